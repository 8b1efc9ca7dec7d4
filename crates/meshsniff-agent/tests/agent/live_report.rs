//! `report` while the traffic runs: what did not go well is told at once and whole, the rest is
//! counted by route.

use crate::http::{Pod, Server};
use crate::program::{json, lines, rest};
use crate::tools::{END, IP, can, wait_until};
use serde_json::Value;
use std::cmp::Reverse;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

const GOOD: usize = 30;
const BUSY: usize = 4;
const GIVEN_UP: usize = 2;
const REFUSED: usize = 3;

/// How long a line may take that nothing else holds up.
const SOON: Duration = Duration::from_secs(10);

fn of_type<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

/// A report of all that can happen, and where it happened.
struct Reported {
    lines: Vec<Value>,
    /// Good exchanges on `/pulse`, which keep the capture's clock going.
    pulses: usize,
    server: SocketAddr,
    nowhere: SocketAddr,
}

impl Reported {
    fn with(args: &[&str]) -> Self {
        let pod = Pod::start();
        let nowhere = {
            let unused = Server::start(&pod);
            unused.local()
        };
        let mut program = pod.ready("report", args);
        let (coming, mut seen) = (lines(program.stdout()), Vec::<Value>::new());

        let mut client = pod.client();
        for number in 0..GOOD {
            let path = if number % 3 == 0 { "/one" } else { "/other" };
            assert_eq!(client.get(&format!("{path}?number={number}")), 200);
        }
        for _ in 0..BUSY {
            assert_eq!(client.get("/busy"), 503);
        }
        for _ in 0..REFUSED {
            let refused = pod.inside(|| TcpStream::connect(nowhere));
            let kind = refused.expect_err("nothing listens there").kind();
            assert_eq!(kind, std::io::ErrorKind::ConnectionRefused);
        }
        let mut pulses = 0;
        for number in 1..=GIVEN_UP {
            pod.client().give_up(&pod.server);
            // Before the end: the capture runs, and so does the connection before.
            wait_until("the one that was given up is told", || {
                match coming.recv_timeout(Duration::from_millis(100)) {
                    Ok(line) => seen.push(json(&line)),
                    Err(RecvTimeoutError::Timeout) => {
                        pulses += 1;
                        assert_eq!(client.get("/pulse"), 200);
                    }
                    Err(error) => panic!("{error}: {}", program.end(END).text()),
                }
                let given_up = seen
                    .iter()
                    .filter(|line| line["verdict"] == "client-gave-up");
                given_up.count() == number
            });
            assert!(of_type(&seen, "summary").is_empty());
        }
        drop(client);
        program.tell("stop");
        let ended = program.end(END);
        assert_eq!(ended.last()["reason"], "stop", "{}", ended.text());
        seen.extend(rest(&coming).iter().map(|line| json(line)));
        Self {
            lines: seen,
            pulses,
            server: pod.server.local(),
            nowhere,
        }
    }

    /// How many exchanges were good.
    fn good(&self) -> usize {
        GOOD + self.pulses
    }

    fn exchanges(&self) -> Vec<&Value> {
        of_type(&self.lines, "exchange")
    }

    fn summary(&self) -> &Value {
        let last = self.lines.last().expect("a line");
        assert_eq!(last["type"], "summary");
        last
    }

    /// Exchanges counted by routes: all, and those with a good status.
    fn routed(&self) -> (u64, u64) {
        let sum = |field: &dyn Fn(&Value) -> &Value| {
            let routes = of_type(&self.lines, "route").into_iter();
            routes
                .map(|route| field(route).as_u64().expect("a count"))
                .sum()
        };
        (
            sum(&|route| &route["exchanges"]),
            sum(&|route| &route["statuses"]["2xx"]),
        )
    }

    fn what_was_not_good_is_told(&self) {
        let server = self.server.to_string();
        let exchanges = self.exchanges();
        let busy: Vec<_> = exchanges
            .iter()
            .filter(|one| one["status"] == 503)
            .collect();
        assert_eq!(busy.len(), BUSY);
        for one in busy {
            assert_eq!(
                (&one["path"], &one["good"]),
                (&"/busy".into(), &false.into())
            );
            assert_eq!(
                (&one["verdict"], &one["server"]),
                (&"ok".into(), &server.as_str().into())
            );
        }
        let given_up = exchanges
            .iter()
            .filter(|one| one["verdict"] == "client-gave-up");
        let given_up: Vec<_> = given_up.collect();
        assert_eq!(given_up.len(), GIVEN_UP);
        for one in given_up {
            assert_eq!(
                (&one["path"], &one["status"]),
                (&"/never".into(), &Value::Null)
            );
        }
        let connections = of_type(&self.lines, "connection").into_iter();
        let refused = connections.filter(|one| one["verdict"] == "connect-refused");
        let refused: Vec<_> = refused.map(|one| &one["server"]).collect();
        assert_eq!(refused, [self.nowhere.to_string().as_str(); REFUSED]);
    }

    fn the_summary_has_all(&self) {
        let summary = self.summary();
        assert_eq!(summary["exchanges"], self.good() + BUSY + GIVEN_UP);
        assert_eq!(summary["connects_failed"], REFUSED);
        assert_eq!(summary["verdicts"]["ok"], self.good() + BUSY);
        assert_eq!(summary["verdicts"]["client-gave-up"], GIVEN_UP);
        let captures = of_type(&self.lines, "capture");
        assert_eq!(captures.len(), 1);
        assert_eq!(captures[0]["dropped"], 0);
        assert_eq!(captures[0]["connections"], 1 + GIVEN_UP + REFUSED);
        let sources = of_type(&self.lines, "source");
        assert_eq!(sources.len(), 1);
        assert_eq!(sources[0]["kind"], "live");
        assert_eq!(sources[0]["interfaces"], serde_json::json!(["lo"]));
    }
}

#[test]
fn what_went_well_is_folded_into_routes() {
    if !can(&[IP]) {
        return;
    }
    let reported = Reported::with(&[]);
    reported.what_was_not_good_is_told();
    reported.the_summary_has_all();
    assert_eq!(
        reported.routed(),
        <(u64, u64)>::from([reported.good() as u64; 2])
    );
    let routes = of_type(&reported.lines, "route");
    let named: Vec<_> = routes
        .iter()
        .map(|route| {
            assert_eq!(route["method"], "GET");
            let count = route["exchanges"].as_u64().expect("a count");
            (route["path"].as_str().expect("a path"), count as usize)
        })
        .collect();
    let (one, other) = (GOOD.div_ceil(3), GOOD - GOOD.div_ceil(3));
    let counts = [
        ("/one", one),
        ("/other", other),
        ("/pulse", reported.pulses),
    ];
    let mut expected: Vec<_> = counts.into_iter().filter(|&(_, count)| count > 0).collect();
    expected.sort_by_key(|&(path, count)| (Reverse(count), path));
    assert_eq!(named, expected, "most first");
    for route in &routes {
        assert_eq!(route["server"], reported.server.to_string());
        for gap in ["request_to_response", "wait", "total"] {
            assert_eq!(route["gaps"][gap]["count"], route["exchanges"], "{gap}");
        }
    }
    // Beside those that were not good, only the slowest of the good.
    let told = reported.exchanges().len();
    assert_eq!(told, BUSY + GIVEN_UP + 5);
}

#[test]
fn all_are_told_if_all_are_asked_for() {
    if !can(&[IP]) {
        return;
    }
    let reported = Reported::with(&["--all"]);
    reported.what_was_not_good_is_told();
    reported.the_summary_has_all();
    assert_eq!(
        reported.exchanges().len(),
        reported.good() + BUSY + GIVEN_UP
    );
    assert_eq!(reported.routed(), (0, 0));
}

#[test]
fn as_many_of_the_slowest_as_asked_for() {
    if !can(&[IP]) {
        return;
    }
    for slowest in [0, 2] {
        let reported = Reported::with(&["--slowest", &slowest.to_string()]);
        reported.what_was_not_good_is_told();
        reported.the_summary_has_all();
        assert_eq!(
            reported.routed(),
            <(u64, u64)>::from([reported.good() as u64; 2])
        );
        let exchanges = reported.exchanges();
        let good = exchanges.iter().filter(|one| one["good"] == true);
        let millis = |one: &&Value| one["gaps"]["wait"].as_f64().expect("a gap");
        let good: Vec<f64> = good.copied().map(|one| millis(&one)).collect();
        assert_eq!(good.len(), slowest);
        assert!(
            good.is_sorted_by(|a, b| a >= b),
            "the slowest first: {good:?}"
        );
        let longest = of_type(&reported.lines, "route").into_iter();
        let longest = longest.filter_map(|route| route["gaps"]["wait"]["max"].as_f64());
        let longest = longest.fold(0.0, f64::max);
        // Routes have two digits.
        assert!(
            good.first()
                .is_none_or(|&one| one <= longest * 1.02 + 0.002),
            "{good:?} {longest}"
        );
    }
}

/// Nothing comes after the client's and the server's close: that nobody sends anything must not
/// hold the line back.
#[test]
fn a_give_up_is_told_though_no_packet_follows() {
    let Some(pod) = Pod::new() else {
        return;
    };
    let mut program = pod.ready("report", &[]);
    let coming = lines(program.stdout());
    pod.client().give_up(&pod.server);
    loop {
        let line = coming.recv_timeout(SOON);
        let line = json(&line.expect("a line while the capture runs"));
        if line["type"] == "exchange" {
            assert_eq!(line["verdict"], "client-gave-up");
            break;
        }
    }
    program.tell("stop");
    assert_eq!(program.end(END).last()["reason"], "stop");
    let counts = rest(&coming);
    let summary = json(counts.last().expect("a summary"));
    assert_eq!(summary["verdicts"]["client-gave-up"], 1);
}

/// A line of the report fits the schema that `kubectl meshsniff schema` prints.
#[test]
fn lines_fit_the_schema() {
    if !can(&[IP]) {
        return;
    }
    let output = crate::program::plugin(&["schema"])
        .output()
        .expect("the plugin");
    let mut schema = json(&String::from_utf8_lossy(&output.stdout));
    // A line rather than a document: in the schema either will do.
    let object = schema.as_object_mut().expect("an object");
    object.remove("oneOf").expect("the choice");
    object.insert("$ref".to_owned(), "#/$defs/line".into());
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for line in Reported::with(&[]).lines {
        let errors: Vec<_> = validator
            .iter_errors(&line)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?} in {line}");
    }
}
