//! The flags that a report expects in the access logs of the Envoys around a capture, held against
//! those logs.
//!
//! `NAME.envoy.jsonl` beside a capture has a line for each request that one of the Envoys logged. A
//! line is about the exchange on whose connection the Envoy was the client, and about the one on
//! which it was the server, as far as the capture has them; a line of the Envoy that called the
//! client's Envoy is about the first of these, too. What is logged in a place must be among what
//! the report expects there, and nothing where it expects nothing.

use crate::corpus;
use meshsniff::exchange::{EnvoyFlags, Exchange, Verdict};
use meshsniff::testing::{Seen, analyse};
use meshsniff::time::Timestamp;
use serde::Deserialize;
use std::collections::HashSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// What is read of a log line; Istio's keys.
#[derive(Deserialize)]
struct Line {
    start_time: String,
    /// Milliseconds.
    duration: i64,
    path: String,
    response_flags: String,
    request_id: String,
    /// Absent if no connection came about.
    upstream_local_address: Option<String>,
    /// Absent if there was none to choose.
    upstream_host: Option<String>,
    downstream_local_address: String,
    downstream_remote_address: String,
}

impl Line {
    /// From when to when the Envoy was at it: its clock is the capture's, cut to milliseconds. It may
    /// come to a request a little after the packet did.
    fn span(&self) -> RangeInclusive<i64> {
        let start: jiff::Timestamp = self.start_time.parse().expect("a time");
        let start = start.as_millisecond();
        start - 5..=start + self.duration + 1
    }
}

fn millis(time: Timestamp) -> i64 {
    time.as_nanos() / 1_000_000
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Client,
    ClientDownstream,
    Server,
}

impl Place {
    const fn of(self, flags: &EnvoyFlags) -> &'static [&'static str] {
        match self {
            Self::Client => flags.client,
            Self::ClientDownstream => flags.client_downstream,
            Self::Server => flags.server,
        }
    }
}

/// A line that was found to be about something in the capture.
#[derive(Debug)]
struct Pair {
    capture: &'static str,
    place: Place,
    path: String,
    verdict: Verdict,
    expected: &'static [&'static str],
    logged: String,
}

impl Pair {
    fn agrees(&self) -> bool {
        if self.logged == "-" {
            self.expected.is_empty()
        } else {
            self.expected.contains(&self.logged.as_str())
        }
    }
}

/// Where what is expected cannot be, or is not, what Envoy 1.40 logs.
struct Exception {
    capture: &'static str,
    place: Place,
    paths: &'static [&'static str],
    expected: &'static [&'static str],
    logged: &'static str,
    why: &'static str,
}

const EXCEPTIONS: [Exception; 6] = [
    Exception {
        capture: "tutorial-envoy.pcap",
        place: Place::Client,
        paths: &["/items?delay=2000"],
        expected: &["UT"],
        logged: "DC",
        why: "the sidecar passes on the timeout that the gateway announced, and announces none of its own: on this \
              connection the gateway's timeout looks like the sidecar's",
    },
    Exception {
        capture: "tutorial-envoy.pcap",
        place: Place::ClientDownstream,
        paths: &["/items?delay=2000"],
        expected: &[],
        logged: "UT",
        why: "the same: the timeout was the gateway's",
    },
    Exception {
        capture: "istio-grpc.pcapng",
        place: Place::Client,
        paths: &[GET, LIST],
        expected: &["UT"],
        logged: "-",
        why: "the gateway made a grpc-timeout of its route's timeout, and the sidecar ended the call by it: \
              max_duration_timeout, which has no flag",
    },
    Exception {
        capture: "istio-grpc.pcapng",
        place: Place::ClientDownstream,
        paths: &[LIST],
        expected: &[],
        logged: "UR",
        why: "the same: the sidecar then reset its answer",
    },
    Exception {
        capture: "istio-grpc.pcapng",
        place: Place::Server,
        paths: &[GET],
        expected: &[],
        logged: "URX",
        why: "UNAVAILABLE, and the gateway had tried as often as it may: how often that is nobody else knows",
    },
    Exception {
        capture: "istio-grpc.pcapng",
        place: Place::ClientDownstream,
        paths: &[GET],
        expected: &[],
        logged: "URX",
        why: "the same",
    },
];

const GET: &str = "/shop.v1.Catalog/GetItem";
const LIST: &str = "/shop.v1.Catalog/ListItems";

const CAPTURES: [&str; 8] = [
    "envoy-verdicts.pcap",
    "grpc-web-envoy.pcap",
    "http2-envoy.pcap",
    "http2-prior-knowledge.pcap",
    "istio-grpc.pcapng",
    "istio-pod-any.pcap",
    "tutorial-envoy.pcap",
    "tutorial-istio.pcap",
];

fn log(capture: &str) -> PathBuf {
    corpus::own_folder()
        .join(capture)
        .with_extension("envoy.jsonl")
}

fn lines(capture: &str) -> Vec<Line> {
    let text = fs::read_to_string(log(capture)).expect("an access log");
    let line = |line| serde_json::from_str(line).expect("a log line");
    text.lines().map(line).collect()
}

fn seen(capture: &str) -> Seen {
    analyse(&corpus::packets(&corpus::own_folder().join(capture)))
}

/// The exchange in which the Envoy asked. It passes its request id on.
fn asked<'a>(seen: &'a Seen, line: &Line) -> Option<&'a Exchange> {
    let client = line.upstream_local_address.as_ref()?;
    let asked = seen.exchanges.iter().filter(|x| {
        x.client.to_string() == *client
            && Some(x.server.to_string()) == line.upstream_host
            && line.span().contains(&millis(x.start()))
            && x.request_id.as_deref() == Some(&line.request_id)
    });
    // Of several tries in the time of one line the last is the one that is logged.
    asked.max_by_key(|x| x.start())
}

/// The exchange in which the Envoy was asked. The request had no id before it came there. One that
/// a line was about already is so again only if there is no other.
fn answered<'a>(seen: &'a Seen, line: &Line, taken: &HashSet<u64>) -> Option<&'a Exchange> {
    let answered = seen.exchanges.iter().filter(|x| {
        x.client.to_string() == line.downstream_remote_address
            && x.server.to_string() == line.downstream_local_address
            && x.path.as_deref() == Some(&line.path)
            && line.span().contains(&millis(x.start()))
    });
    let began = *line.span().start();
    answered.min_by_key(|x| (taken.contains(&x.id), (millis(x.start()) - began).abs()))
}

/// Every line with what it is about, and how many exchanges and connections no line is about.
fn pairs(capture: &'static str) -> (Vec<Pair>, usize) {
    let (seen, lines) = (seen(capture), lines(capture));
    let mut pairs = Vec::new();
    let (mut exchanges, mut connections) = (HashSet::new(), HashSet::new());
    let mut pair = |place: Place, verdict, flags: &EnvoyFlags, line: &Line| {
        pairs.push(Pair {
            capture,
            place,
            path: line.path.clone(),
            verdict,
            expected: place.of(flags),
            logged: line.response_flags.clone(),
        });
    };
    for line in &lines {
        if let Some(exchange) = answered(&seen, line, &exchanges) {
            exchanges.insert(exchange.id);
            pair(Place::Server, exchange.verdict, &exchange.envoy, line);
        }
        if let Some(exchange) = asked(&seen, line) {
            exchanges.insert(exchange.id);
            pair(Place::Client, exchange.verdict, &exchange.envoy, line);
            let calls = |caller: &&Line| {
                caller.request_id == line.request_id
                    && caller.upstream_host.as_deref() == Some(&line.downstream_local_address)
                    && caller.downstream_local_address != line.downstream_local_address
            };
            for caller in lines.iter().filter(calls) {
                pair(
                    Place::ClientDownstream,
                    exchange.verdict,
                    &exchange.envoy,
                    caller,
                );
            }
        }
        // An encrypted leg of which only the end tells something.
        for connection in &seen.connections {
            if let Some(close) = connection.close
                && connection.verdict == Some(Verdict::TlsLeftWaiting)
                && line.upstream_local_address == Some(connection.client.to_string())
                && line.span().contains(&millis(close.mark.time))
            {
                connections.insert(connection.id);
                pair(
                    Place::Client,
                    Verdict::TlsLeftWaiting,
                    &connection.envoy,
                    line,
                );
            }
        }
        if line.upstream_local_address.is_none() {
            for connection in &seen.connections {
                if let Some(verdict) = connection.verdict
                    && Some(connection.server.to_string()) == line.upstream_host
                    && line.span().contains(&millis(connection.first.time))
                {
                    connections.insert(connection.id);
                    pair(Place::Client, verdict, &connection.envoy, line);
                }
            }
        }
    }
    let is_retried = |tried: &Exchange| {
        let others = seen.exchanges.iter();
        let same = |x: &&Exchange| x.request_id.is_some() && x.request_id == tried.request_id;
        let mut later = others.filter(same).filter(|x| x.server == tried.server);
        later.any(|x| x.start() > tried.start())
    };
    let alone = seen
        .exchanges
        .iter()
        .filter(|x| !x.probe && !exchanges.contains(&x.id) && !is_retried(x))
        .count()
        + seen
            .connections
            .iter()
            .filter(|c| c.verdict.is_some() && !connections.contains(&c.id))
            .count();
    (pairs, alone)
}

#[test]
fn every_log_is_looked_at() {
    let logs = CAPTURES.map(String::from);
    let mut captures = corpus::names(&corpus::own_folder());
    captures.retain(|name| log(name).exists());
    assert_eq!(captures, logs);
}

/// A line that finds no exchange would be a line that nothing is learnt from.
#[test]
fn log_lines_and_exchanges_find_each_other() {
    for capture in CAPTURES {
        let (pairs, alone) = pairs(capture);
        assert_eq!(alone, 0, "{capture}: exchanges that no line is about");
        assert!(pairs.len() >= lines(capture).len(), "{capture}");
    }
}

#[test]
fn what_envoy_logged_was_expected() {
    let mut wrong = Vec::new();
    for pair in CAPTURES.into_iter().flat_map(|capture| pairs(capture).0) {
        let excused = EXCEPTIONS.iter().any(|exception| {
            exception.capture == pair.capture
                && exception.place == pair.place
                && exception.paths.contains(&pair.path.as_str())
                && exception.expected == pair.expected
                && exception.logged == pair.logged
        });
        if !excused && !pair.agrees() {
            wrong.push(format!(
                "{}: {} ({}), place {:?}: logged {}, expected {:?}",
                pair.capture,
                pair.path,
                pair.verdict.name(),
                pair.place,
                pair.logged,
                pair.expected
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// An exception that is none any more must go.
#[test]
fn the_exceptions_are_still_needed() {
    for exception in &EXCEPTIONS {
        let pairs = pairs(exception.capture).0;
        for path in exception.paths {
            let excused = pairs.iter().any(|pair| {
                pair.place == exception.place
                    && pair.path == *path
                    && pair.expected == exception.expected
                    && pair.logged == exception.logged
            });
            assert!(
                excused,
                "{path} is not logged so any more: {}",
                exception.why
            );
        }
    }
}
