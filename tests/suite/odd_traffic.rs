//! Traffic that no program makes on demand: captures made by hand, each of something that was once
//! misread.
//!
//! `odd_traffic/expected.txt` says what is true of each: after the file's name a line for each
//! exchange, with method, target, verdict, status, late status, certainty, then its events and
//! findings with their frames, and a line of the connections' figures. Unlike golden files, these
//! lines are worked out from the packets: a difference is a defect, or needs a better reason than
//! that the program says so.

use crate::corpus;
use meshsniff::exchange::{Connection, Exchange};
use meshsniff::testing::analyse;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/odd_traffic")
}

fn line(exchange: &Exchange) -> String {
    let or_none =
        |value: Option<u16>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let mut line = format!(
        "  {} {} {} {} {} {}:",
        exchange.method.as_deref().unwrap_or("-"),
        exchange.path.as_deref().unwrap_or("-"),
        exchange.verdict.name(),
        or_none(exchange.status),
        or_none(exchange.late_status),
        exchange.doubt.map_or("certain", |doubt| doubt.name()),
    );
    let events = &exchange.events;
    let interim = events.interim.first().map(|&(mark, _)| mark);
    for (name, mark) in [
        ("start", Some(events.request_start)),
        ("end", events.request_end),
        ("acked", events.request_acked.map(|(mark, _)| mark)),
        ("interim", interim),
        ("answer", events.response_start),
        ("answered", events.response_end),
        ("taken", events.response_acked),
        ("client-fin", events.client_fin),
        ("client-rst", events.client_rst),
        ("server-fin", events.server_fin),
        ("server-rst", events.server_rst),
        ("late", events.late_response),
    ] {
        if let Some(mark) = mark {
            write!(line, " {name} {}", mark.frame.number()).expect("a string");
        }
    }
    for finding in &exchange.findings {
        let frames: Vec<_> = finding
            .frames
            .iter()
            .map(|mark| mark.frame.number())
            .collect();
        write!(line, " [{} {frames:?}]", finding.kind.name()).expect("a string");
    }
    line
}

fn connection(connection: &Connection) -> String {
    format!(
        "  = {} orphans {} hidden {} retransmissions {} idle {}",
        connection.protocol.name(),
        connection.orphan_responses,
        connection.hidden_bytes,
        connection.retransmissions,
        if connection.idle.is_some() {
            "yes"
        } else {
            "no"
        },
    )
}

#[test]
fn odd_traffic_is_read_as_it_is() {
    let mut said = String::new();
    for name in corpus::names(&folder()) {
        let result = analyse(&corpus::packets(&folder().join(&name)));
        writeln!(said, "{name}").expect("a string");
        for exchange in &result.exchanges {
            writeln!(said, "{}", line(exchange)).expect("a string");
        }
        for one in &result.connections {
            writeln!(said, "{}", connection(one)).expect("a string");
        }
    }
    let path = folder().join("expected.txt");
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if let Some((right, wrong)) = expected.lines().zip(said.lines()).find(|(a, b)| a != b) {
        panic!("expected: {right}\nbut said: {wrong}\nall of it:\n{said}");
    }
    assert_eq!(expected.lines().count(), said.lines().count(), "{said}");
}
