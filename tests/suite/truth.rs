//! What the analyser says of the captures of real programs, held against what those programs did.
//!
//! The truth is in `NAME.expect.json` beside each capture, and its format in
//! `testdata-pcaps/README.md`. It was written by what made the packets, never by an analyser.

use crate::corpus;
use meshsniff::exchange::{Connection, Doubt, Exchange};
use meshsniff::statistics::{Summary, Timer};
use meshsniff::testing::{Seen, analyse};
use meshsniff::time::Span;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::fs;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Truth {
    capture: String,
    /// Counts by `total`, protocol, verdict, and a few names of their own.
    connections: BTreeMap<String, u64>,
    summary: TrueSummary,
    exchanges: Vec<TrueExchange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrueSummary {
    success_rates: Option<Vec<TrueRate>>,
    timers: Option<Vec<TrueTimer>>,
    connects_failed: Option<u64>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct TrueRate {
    server: String,
    counted: u64,
    good_for_client: u64,
    good_for_server: u64,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct TrueTimer {
    server: String,
    closed_by: String,
    count: u64,
    guess_ms: Option<f64>,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrueExchange {
    server: String,
    method: String,
    path: String,
    verdict: String,
    status: Option<u16>,
    late_status: Option<u16>,
    #[serde(default)]
    interim: Vec<u16>,
    /// Those that must be there; others may be.
    #[serde(default)]
    findings: Vec<String>,
    /// Events that the server sent whole, and comments.
    event_stream: Option<[u64; 2]>,
    #[serde(default)]
    probe: bool,
    expected_timeout_ms: Option<f64>,
    timeout_guess_ms: Option<f64>,
    /// Exchanges of the same number share a connection, no others do.
    connection: Option<u64>,
    #[serde(default = "yes")]
    certain: bool,
    #[serde(rename = "note")]
    _for_people: Option<String>,
    #[serde(rename = "envoy_flags")]
    _see_envoy_logs: Option<String>,
    #[serde(rename = "envoy_code")]
    _what_envoy_told_its_own_client: Option<u16>,
}

fn truths() -> Vec<Truth> {
    let folder = corpus::own_folder();
    let mut truths = Vec::new();
    for entry in fs::read_dir(&folder).expect("the folder of the captures") {
        let path = entry.expect("an entry").path();
        if !path.to_string_lossy().ends_with(".expect.json") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a readable truth");
        let truth: Truth = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        truths.push(truth);
    }
    truths.sort_by(|a, b| a.capture.cmp(&b.capture));
    truths
}

/// What does not agree with the truth, a line each.
struct Differences<'a> {
    capture: &'a str,
    found: Vec<String>,
}

impl Differences<'_> {
    fn same<T: PartialEq + Debug>(&mut self, what: &str, said: T, truth: T) {
        if said != truth {
            let capture = self.capture;
            self.found.push(format!(
                "{capture}: {what}: said {said:?}, but it was {truth:?}"
            ));
        }
    }
}

/// The analyser's exchanges in the order in which the requests began. In one segment they begin at
/// the same time: then in the order in which they were settled, which pipelining does not change.
fn in_order(seen: &Seen) -> Vec<&Exchange> {
    let mut exchanges: Vec<_> = seen.exchanges.iter().collect();
    exchanges.sort_by_key(|x| (x.start(), x.stream, x.id));
    exchanges
}

/// Each exchange of the truth with what was said of it. Streams run side by side: they are found by
/// what they asked for, where that is known.
fn pairs<'a>(
    mut said: Vec<&'a Exchange>,
    truth: &'a Truth,
) -> impl Iterator<Item = (&'a Exchange, &'a TrueExchange)> {
    let mut pairs = Vec::new();
    let streams = said.iter().any(|one| one.stream.is_some());
    for truth in &truth.exchanges {
        let is_it = |one: &&Exchange| {
            one.path.as_deref() == Some(&truth.path) && one.server.to_string() == truth.server
        };
        let at = said.iter().position(is_it).filter(|_| streams);
        if !said.is_empty() {
            pairs.push((said.remove(at.unwrap_or(0)), truth));
        }
    }
    pairs.into_iter()
}

/// `excused`: a doubt that the capture itself gives reason for.
fn check_exchange(
    said: &Exchange,
    truth: &TrueExchange,
    excused: Option<Doubt>,
    capture: &str,
) -> Vec<String> {
    let mut differ = Differences {
        capture,
        found: Vec::new(),
    };
    let what = |field: &str| format!("{} {}: {field}", truth.method, truth.path);
    let millis = |span: Option<Span>| span.map(|span| span.as_millis());
    let interim: Vec<u16> = said.events.interim.iter().map(|&(_, s)| s).collect();
    differ.same(
        &what("server"),
        said.server.to_string(),
        truth.server.clone(),
    );
    // What stood in HPACK's table before the capture began may be left out, but not made up.
    for (field, told, asked) in [
        ("method", said.method.as_deref(), &truth.method),
        ("path", said.path.as_deref(), &truth.path),
    ] {
        if told.is_some() || !said.headers_cut {
            differ.same(&what(field), told, Some(asked.as_str()));
        }
    }
    differ.same(&what("verdict"), said.verdict.name(), &truth.verdict);
    differ.same(&what("status"), said.status, truth.status);
    differ.same(&what("late status"), said.late_status, truth.late_status);
    differ.same(&what("interim"), interim, truth.interim.clone());
    differ.same(&what("probe"), said.probe, truth.probe);
    // A call's deadline is sent as what is left of it: whoever set it knows another figure.
    if truth.expected_timeout_ms.is_some() || said.stream.is_none() {
        differ.same(
            &what("announced timeout"),
            millis(said.expected_timeout),
            truth.expected_timeout_ms,
        );
    }
    // A guess is promised where the truth names one, and never beside an announcement; elsewhere it
    // may fit.
    if truth.timeout_guess_ms.is_some() || truth.expected_timeout_ms.is_some() {
        differ.same(
            &what("guessed timeout"),
            millis(said.timeout_guess),
            truth.timeout_guess_ms,
        );
    }
    for finding in &truth.findings {
        let found = said.findings.iter().any(|f| f.kind.name() == finding);
        differ.same(&what(finding), found, true);
    }
    if let Some(events) = truth.event_stream {
        let stream = said.event_stream.expect("server-sent events");
        let counted = stream.events.zip(stream.comments).map(<[u64; 2]>::from);
        differ.same(&what("events"), counted, Some(events));
    }
    if truth.certain {
        let doubt = said.doubt.filter(|&doubt| Some(doubt) != excused);
        differ.same(&what("doubt"), doubt, None);
    } else if !differ.found.is_empty() && said.doubt.is_some() {
        // The capture cannot prove the truth, and the analyser says so.
        differ.found.clear();
    }
    differ.found
}

/// Why an exchange may be doubted although it was as it looks: it is the first on a connection that
/// was in use before the capture began, and what was asked before it is not known.
fn excuse(seen: &Seen, said: &Exchange) -> Option<Doubt> {
    let connection = seen.connections.iter().find(|c| c.id == said.connection)?;
    let same = |x: &&Exchange| x.connection == said.connection;
    let first = in_order(seen).into_iter().find(same)?;
    (connection.syn.is_none() && first.id == said.id).then_some(Doubt::CaptureStartedLate)
}

/// Exchanges that the truth puts on one connection share one, and others do not.
fn check_sharing(said: &[&Exchange], truth: &Truth, differ: &mut Differences<'_>) {
    let mut seen_as: HashMap<u64, u64> = HashMap::new();
    let mut taken: HashMap<u64, u64> = HashMap::new();
    for (said, truth) in pairs(said.to_vec(), truth) {
        let Some(number) = truth.connection else {
            continue;
        };
        let what = format!("{}: its connection", truth.path);
        differ.same(
            &what,
            said.connection,
            *seen_as.entry(number).or_insert(said.connection),
        );
        differ.same(
            &what,
            number,
            *taken.entry(said.connection).or_insert(number),
        );
    }
}

fn check_connections(seen: &Seen, truth: &Truth, differ: &mut Differences<'_>) {
    for (name, &count) in &truth.connections {
        let of = |found: &dyn Fn(&Connection) -> bool| {
            seen.connections.iter().filter(|c| found(c)).count() as u64
        };
        let said = match name.as_str() {
            "total" => seen.connections.iter().filter(|c| !c.is_udp()).count() as u64,
            "orphan_responses" => seen.connections.iter().map(|c| c.orphan_responses).sum(),
            "http/1" | "http/2" | "tls" => of(&|c| c.protocol.name() == name),
            "connect-refused" | "connect-timeout" => {
                of(&|c| c.verdict.is_some_and(|verdict| verdict.name() == name))
            }
            // Lost ACKs are not sent again, so that this is no count of retransmissions, but some
            // there must be.
            "packets_dropped_after_the_vantage" => {
                differ.same(
                    "whether any segment came again",
                    seen.totals.retransmissions > 0,
                    count > 0,
                );
                continue;
            }
            other => panic!("{}: nothing checks connections of “{other}”", truth.capture),
        };
        differ.same(&format!("connections, {name}"), said, count);
    }
}

fn check_summary(seen: &Seen, truth: &Truth, differ: &mut Differences<'_>) {
    let mut summary = Summary::new(false);
    for exchange in &seen.exchanges {
        summary.exchange(exchange);
    }
    for connection in &seen.connections {
        summary.connection(connection);
    }
    if let Some(expected) = &truth.summary.success_rates {
        let mut said: Vec<TrueRate> = summary
            .success_rates()
            .into_iter()
            .map(|(server, rate)| TrueRate {
                server: server.to_string(),
                counted: rate.counted,
                good_for_client: rate.good,
                good_for_server: rate.server_good(),
            })
            .collect();
        let mut expected: Vec<&TrueRate> = expected.iter().collect();
        said.sort_by(|a, b| a.server.cmp(&b.server));
        expected.sort_by(|a, b| a.server.cmp(&b.server));
        differ.same("success rates", said.iter().collect(), expected);
    }
    if let Some(expected) = &truth.summary.timers {
        let timer = |timer: Timer| TrueTimer {
            server: timer.server.to_string(),
            closed_by: timer.closed_by.name().to_owned(),
            count: timer.count,
            guess_ms: timer.guess.map(|guess| guess.as_millis()),
        };
        let said: Vec<_> = summary.timers().into_iter().map(timer).collect();
        differ.same("timers", &said, expected);
    }
    if let Some(expected) = truth.summary.connects_failed {
        differ.same("failed connects", summary.connects_failed(), expected);
    }
}

fn check(truth: &Truth) -> Vec<String> {
    let seen = analyse(&corpus::packets(&corpus::own_folder().join(&truth.capture)));
    let mut differ = Differences {
        capture: &truth.capture,
        found: Vec::new(),
    };
    check_connections(&seen, truth, &mut differ);
    let said = in_order(&seen);
    differ.same("exchanges", said.len(), truth.exchanges.len());
    for (said, truth) in pairs(said.clone(), truth) {
        let excused = excuse(&seen, said);
        let found = check_exchange(said, truth, excused, differ.capture);
        differ.found.extend(found);
    }
    check_sharing(&said, truth, &mut differ);
    check_summary(&seen, truth, &mut differ);
    differ.found
}

#[test]
fn every_capture_has_one_truth() {
    let named: Vec<_> = truths().into_iter().map(|truth| truth.capture).collect();
    assert_eq!(named, corpus::names(&corpus::own_folder()));
}

#[test]
fn real_captures_are_judged_as_they_were_made() {
    let wrong: Vec<_> = truths().iter().flat_map(check).collect();
    assert!(
        wrong.is_empty(),
        "{} differ from the truth:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
