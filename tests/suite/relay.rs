//! A report that travels says what it would have said at once.
//!
//! Every capture is analysed twice: straight to a report, and to a relay, whose lines are then told
//! to the same report.

use crate::corpus;
use meshsniff::capture::Input;
use meshsniff::condition::Filter;
use meshsniff::event::{Report, ReportEvent};
use meshsniff::relay::aggregate::{Aggregating, Aggregation};
use meshsniff::relay::{End, Gathered, Received, Receiver, RelayWriter};
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::report::text::{TextOptions, TextReport};
use meshsniff::{Options, Pipeline};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// A way to report, and the ending of what `tests/golden/expected` holds of it.
const WAYS: [&str; 5] = [
    "report.txt",
    "all.txt",
    "probes.txt",
    "report.json",
    "report.jsonl",
];

fn filter(terms: &str) -> Filter {
    Filter::parse(terms).expect("a filter")
}

/// Hands a report of this kind to `tell`; what it wrote comes back.
fn written(way: &str, terms: &str, tell: impl FnOnce(&mut dyn AnyReport)) -> String {
    let mut out = Vec::new();
    let style = match way {
        "report.json" => Some(Style::Document),
        "report.jsonl" => Some(Style::Lines { live: false }),
        _ => None,
    };
    if let Some(style) = style {
        tell(&mut JsonReport::new(&mut out, style, filter(terms), false));
    } else {
        let options = TextOptions {
            all: way == "all.txt",
            probes: way == "probes.txt",
            filter: filter(terms),
            ..TextOptions::default()
        };
        tell(&mut TextReport::new(&mut out, options));
    }
    String::from_utf8(out).expect("text")
}

/// What is done with a report of a kind that is known only then.
trait AnyReport {
    fn drive(&mut self, captures: &[PathBuf]);
    fn hear(&mut self, relays: &[Vec<u8>], names: &[String]);
}

impl<R: Report> AnyReport for R {
    fn drive(&mut self, captures: &[PathBuf]) {
        drive(captures, self);
    }

    fn hear(&mut self, relays: &[Vec<u8>], names: &[String]) {
        let mut gathered = Gathered::new(names.to_vec());
        for (index, relay) in (0..).zip(relays) {
            let mut receiver = Receiver::new(index);
            let mut last = None;
            for line in relay
                .strip_suffix(b"\n")
                .expect("a line")
                .split(|&b| b == b'\n')
            {
                let heard = receiver.line(line, &mut gathered, self);
                last = Some(heard.expect("a line of a relay"));
            }
            assert!(matches!(last, Some(Received::End(_))), "{last:?}");
            receiver.close(&mut gathered);
        }
        gathered.finish(self).expect("memory can be written to");
    }
}

/// As the plugin brings captures to a report.
fn drive<R: Report>(captures: &[PathBuf], report: &mut R) {
    let input = |path: &PathBuf| {
        let bytes = std::fs::read(path).expect("a capture");
        Input::from_bytes(file_name(path), bytes)
    };
    let inputs = captures.iter().map(input).collect();
    let pipeline = Pipeline::open(inputs, Options::default()).expect("a capture");
    let run = pipeline.run(&mut Nameless(report));
    run.expect("memory can be written to");
}

/// A report that hears no names of addresses: agents know none.
struct Nameless<'a, R>(&'a mut R);

impl<R: Report> Report for Nameless<'_, R> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        match event {
            ReportEvent::Name(..) => Ok(()),
            event => self.0.tell(event),
        }
    }
}

/// What a target sends that sees this capture.
fn relayed(capture: &Path, folding: Aggregation) -> Vec<u8> {
    let mut out = Vec::new();
    let mut report = Aggregating::new(RelayWriter::new(&mut out), folding, || true);
    drive(&[capture.to_owned()], &mut report);
    let end = End {
        reason: "stop".to_owned(),
        sentence: "it was asked to stop".to_owned(),
    };
    report.told().end(&end).expect("memory can be written to");
    drop(report);
    out
}

fn all() -> Aggregation {
    Aggregation {
        all: true,
        ..Aggregation::default()
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().expect("a file");
    name.to_string_lossy().into_owned()
}

fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let names = corpus::names(folder).into_iter();
    names.map(|name| folder.join(name)).collect()
}

/// The captures of `testdata-pcaps`, and those of odd traffic.
fn captures() -> Vec<PathBuf> {
    let odd = root().join("tests/suite/odd_traffic");
    [in_folder(&corpus::folder()), in_folder(&odd)].concat()
}

/// Whether nobody put other captures in their place.
fn are_those_checked_in() -> bool {
    corpus::folder() == root().join("testdata-pcaps")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn same(one: &str, other: &str, of: &str) {
    if one != other {
        let (one_lines, other_lines) = (one.lines(), other.lines());
        let different = one_lines.zip(other_lines).find(|(one, other)| one != other);
        panic!(
            "{of}: {different:#?}, {} and {} bytes",
            one.len(),
            other.len()
        );
    }
}

#[test]
fn every_report_of_every_capture_travels_unchanged() {
    let golden = root().join("tests/golden/expected");
    let mut as_expected = 0;
    for capture in captures() {
        let name = file_name(&capture);
        let relay = relayed(&capture, all());
        for way in WAYS {
            let direct = written(way, "", |report| {
                report.drive(std::slice::from_ref(&capture))
            });
            let travelled = written(way, "", |report| {
                report.hear(std::slice::from_ref(&relay), std::slice::from_ref(&name));
            });
            same(&direct, &travelled, &format!("{name}, {way}"));
            let expected = std::fs::read_to_string(golden.join(format!("{name}.{way}")));
            as_expected += usize::from(expected.is_ok_and(|expected| expected == direct));
        }
    }
    assert!(
        as_expected > 100 || !are_those_checked_in(),
        "this is not what the plugin does"
    );
}

fn document(way: impl FnOnce(&mut dyn AnyReport), terms: &str) -> Value {
    serde_json::from_str(&written("report.json", terms, way)).expect("JSON")
}

/// The figures, without the numbers of exchanges: those that are only counted have none.
fn figures(document: &Value) -> Value {
    let mut summary = document["summary"].clone();
    for timer in summary["timers"].as_array_mut().expect("timers") {
        timer.as_object_mut().expect("a timer").remove("exchanges");
    }
    for problem in summary["problems"].as_array_mut().expect("problems") {
        let problem = problem.as_object_mut().expect("a problem");
        for of_those_told in [
            "exchanges",
            "connections",
            "evidence",
            "example",
            "example_connection",
            "display_filter",
            "next",
        ] {
            problem.remove(of_those_told);
        }
    }
    summary
}

/// The head of a text report without the table of routes.
fn head(text: &str) -> String {
    let mut head = Vec::new();
    let mut routes = false;
    for line in text.lines() {
        if ["For example", "Slowest of", "Every exchange went"]
            .iter()
            .any(|end| line.starts_with(end))
        {
            break;
        }
        routes = line.ends_with("status   request") || routes && !line.is_empty();
        if !routes && !line.contains("next: ") {
            head.push(line);
        }
    }
    without_numbers(&head.join(" "))
}

/// The words of a text without the numbers of exchanges, and of frames that show connections: they
/// are those of what is told.
fn without_numbers(text: &str) -> String {
    let mut kept = Vec::new();
    let mut numbers = false;
    for word in text.split_whitespace() {
        let ends = word.ends_with('.') || word.ends_with('…');
        numbers |= ["Exchange", "Exchanges", "Frame", "Frames"].contains(&word);
        if !numbers {
            kept.push(word);
        }
        numbers &= !ends;
    }
    kept.join(" ")
}

/// What stands before the number of another exchange.
const RELATED: [&str; 3] = [
    " What it called is exchange ",
    " It is a later try of exchange ",
    " It was tried again in exchange ",
];

#[test]
fn folding_changes_no_figure() {
    let mut folded_exchanges = 0;
    for capture in captures() {
        let name = file_name(&capture);
        for terms in [
            "",
            "path=/items",
            "!status=2xx",
            "verdict=not-ok",
            "client=127.0.0.6",
        ] {
            let folding = Aggregation {
                slowest: 5,
                filter: filter(terms),
                ..Aggregation::default()
            };
            let relay = relayed(&capture, folding);
            let (relays, names) = ([relay], [name.clone()]);
            let capture = std::slice::from_ref(&capture);
            let direct = document(|report| report.drive(capture), terms);
            let folded = document(|report| report.hear(&relays, &names), "");
            assert_eq!(figures(&folded), figures(&direct), "{name}, {terms}");
            assert_eq!(folded["capture"], direct["capture"], "{name}, {terms}");
            // What did not go well is told, and what is left is counted by route.
            let bad = |document: &Value| {
                let exchanges = document["exchanges"].as_array().expect("exchanges").iter();
                let bad = exchanges.filter(|one| one["good"] != true).cloned();
                let nameless = bad.map(|mut one| {
                    one["id"] = Value::Null;
                    // Those it belongs together with have other numbers, or are not told.
                    for relation in ["behind", "front", "retry_of", "retried_as"] {
                        one[relation] = Value::Null;
                    }
                    let words = one["explanation"].as_str().expect("words").to_owned();
                    let (words, _) = words
                        .split_once(" Its caller is a proxy")
                        .unwrap_or((&words, ""));
                    // Nor which numbers those have.
                    let mut words = words.to_owned();
                    for before in RELATED {
                        if let Some((head, rest)) = words.split_once(before) {
                            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
                            words = format!("{head}{before}{rest}");
                        }
                    }
                    one["explanation"] = words.into();
                    one
                });
                nameless.collect::<Vec<Value>>()
            };
            for (one, other) in bad(&folded).into_iter().zip(bad(&direct)) {
                assert_eq!(one, other, "{name}, {terms}");
            }
            assert_eq!(bad(&folded).len(), bad(&direct).len(), "{name}, {terms}");
            if let Some(routes) = folded.get("routes") {
                let routes = routes.as_array().expect("routes").iter();
                let counted = routes.map(|route| route["exchanges"].as_u64().expect("a count"));
                folded_exchanges += counted.sum::<u64>();
            }
            let direct = written("report.txt", terms, |report| report.drive(capture));
            let folded = written("report.txt", "", |report| report.hear(&relays, &names));
            same(&head(&direct), &head(&folded), &format!("{name}, {terms}"));
            // Those of one time in the order they came, the counted ones last.
            let slowest = |text: &str| {
                let at = text.find("Slowest of").unwrap_or(text.len());
                let mut lines: Vec<_> = text[at..].lines().map(str::to_owned).collect();
                lines.sort_unstable();
                lines
            };
            assert_eq!(slowest(&folded), slowest(&direct), "{name}, {terms}");
        }
    }
    assert!(
        folded_exchanges > 100 || !are_those_checked_in(),
        "nothing was folded"
    );
}

#[test]
fn two_relays_are_two_captures() {
    let folder = corpus::own_folder();
    let of = |name: &str| folder.join(name);
    for [one, other] in [
        ["closes.pcap", "loss.pcap"],
        ["tutorial-istio.pcap", "resets.pcap"],
        ["ipv6.pcap", "connect-timeout.pcap"],
        ["pcapng-comments.pcapng", "multi-interface.pcapng"],
    ] {
        let captures = [of(one), of(other)];
        let names = [one.to_owned(), other.to_owned()];
        let direct = document(|report| report.drive(&captures), "");
        for all in [true, false] {
            let folding = || Aggregation {
                all,
                slowest: 5,
                ..Aggregation::default()
            };
            let relays = [
                relayed(&captures[0], folding()),
                relayed(&captures[1], folding()),
            ];
            let both = document(|report| report.hear(&relays, &names), "");
            assert_eq!(figures(&both), figures(&direct), "{one}, {other}");
            assert_eq!(both["sources"], direct["sources"]);
            let counts = |document: &Value| {
                let mut capture = document["capture"].clone();
                // In the order they came.
                capture["comments"] = Value::Null;
                capture
            };
            assert_eq!(counts(&both), counts(&direct), "{one}, {other}");
        }
    }
}

/// The fuzzer starts from relays as they are now: `MESHSNIFF_BLESS=1 cargo test --test suite relay`
/// writes them anew.
#[test]
fn the_fuzzers_seeds_are_of_today() {
    let bless = std::env::var_os("MESHSNIFF_BLESS").is_some_and(|value| value == "1");
    let seeds = root().join("fuzz/seeds/relay");
    for (capture, all) in [
        ("refused.pcap", true),
        ("connect-timeout.pcap", true),
        ("pcapng-comments.pcapng", true),
        ("tutorial-istio.pcap", false),
        ("keepalive-race.pcap", false),
        ("early-hints.pcap", true),
    ] {
        let folding = Aggregation {
            all,
            slowest: 1,
            ..Aggregation::default()
        };
        let path = root().join("testdata-pcaps").join(capture);
        let relay = relayed(&path, folding);
        let kind = if all { "all" } else { "folded" };
        let seed = seeds.join(format!("{capture}-{kind}"));
        if bless {
            std::fs::create_dir_all(&seeds).expect("a folder");
            std::fs::write(&seed, &relay).expect("a seed");
        }
        let kept = std::fs::read(&seed).unwrap_or_default();
        assert!(kept == relay, "{} is of another form", seed.display());
    }
}
