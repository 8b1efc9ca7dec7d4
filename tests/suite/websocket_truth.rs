//! WebSockets of real programs, told as their ends saw them.
//!
//! Their words are in `NAME.websocket.json` beside each capture, written by `tests/make-captures`.

use crate::corpus;
use meshsniff::exchange::{Exchange, FindingKind, Frames, WebSocket};
use meshsniff::testing::analyse;
use serde_json::{Value, json};
use std::fs;

/// A program that waits for a time wakes up later, on a busy machine by this much.
const LATE: f64 = 80.0;
/// And nginx, which looks at its clock once in a round of its loop, a little sooner.
const EARLY: f64 = 25.0;

/// The kinds of frames that there are some of.
fn kinds(frames: &Frames) -> Value {
    let names = ["text", "binary", "continuation", "ping", "pong", "close"];
    let kinds = names.into_iter().zip(frames.each());
    let some = kinds.filter(|(_, count)| *count > 0);
    some.map(|(name, count)| (name.to_owned(), json!(count)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// What is said of a WebSocket in that field.
fn said(exchange: &Exchange, websocket: &WebSocket, field: &str) -> Value {
    match field {
        "path" => json!(exchange.path.as_deref()),
        "frames" => json!({
            "client": kinds(&websocket.frames[0]),
            "server": kinds(&websocket.frames[1]),
        }),
        "compressed" => json!(websocket.compressed),
        "closed_by" => json!(websocket.closed_by.map(|side| side.name())),
        "close_code" => json!(websocket.close_code),
        "close_reason" => json!(websocket.close_reason.as_deref()),
        "close_answered" => json!(websocket.close_answered),
        "ended_by" => {
            let ended = exchange.finding(FindingKind::WebsocketNoClose);
            json!(ended.map(|finding| finding.side.name()))
        }
        _ => panic!("no field {field}"),
    }
}

const FIELDS: [&str; 8] = [
    "path",
    "frames",
    "compressed",
    "closed_by",
    "close_code",
    "close_reason",
    "close_answered",
    "ended_by",
];

fn check(name: &str, truth: &Value, wrong: &mut Vec<String>) -> usize {
    let seen = analyse(&corpus::packets(&corpus::own_folder().join(name)));
    let rows = truth["connections"].as_array().expect("connections");
    for row in rows {
        let (port, stream) = (row["connection"].as_u64(), row["stream"].as_u64());
        let mut found = seen.exchanges.iter().filter(|one| {
            Some(u64::from(one.client.port)) == port && one.stream.map(u64::from) == stream
        });
        let found = found.next();
        let websocket = found.and_then(|one| Some((one, one.websocket.as_deref()?)));
        let Some((exchange, websocket)) = websocket else {
            wrong.push(format!("{name}: is not told: {row}"));
            continue;
        };
        for field in FIELDS {
            let told = said(exchange, websocket, field);
            let expected = match field {
                "ended_by" => Some(&row[field]),
                _ => row.get(field),
            };
            if expected.is_some_and(|expected| told != *expected) {
                wrong.push(format!("{name}: {field}: said {told}: {row}"));
            }
        }
        if !websocket.is_whole() || websocket.violation.is_some() {
            wrong.push(format!("{name}: {websocket:?}: {row}"));
        }
        let silence = websocket.longest_silence.as_millis();
        if let Some(expected) = row["silent_ms"].as_f64()
            && !(expected - EARLY..expected + LATE).contains(&silence)
        {
            wrong.push(format!("{name}: silent for {silence} ms: {row}"));
        }
    }
    rows.len()
}

#[test]
fn websockets_are_told_as_their_ends_saw_them() {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for name in corpus::names(&corpus::own_folder()) {
        let path = corpus::own_folder().join(&name);
        let Ok(text) = fs::read_to_string(path.with_extension("websocket.json")) else {
            continue;
        };
        let truth: Value = serde_json::from_str(&text).expect("a truth in JSON");
        checked += check(&name, &truth, &mut wrong);
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(checked >= 19, "only {checked} WebSockets were checked");
}
