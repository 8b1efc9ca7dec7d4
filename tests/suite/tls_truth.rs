//! TLS connections of real programs, told as their ends saw them.
//!
//! Their words are in `NAME.tls.json` beside each capture, written by `tests/make-captures`.

use crate::corpus;
use meshsniff::exchange::{Connection, Doubt, Verdict};
use meshsniff::testing::analyse;
use meshsniff::time::Span;
use serde_json::{Value, json};
use std::fs;

/// What a row of the truth may have of TLS itself.
const FIELDS: [&str; 9] = [
    "version",
    "sni",
    "alpn",
    "alpn_offered",
    "cipher",
    "resumed",
    "hello_retry",
    "early_data",
    "client_certificate_requested",
];
/// A program that waits for a time wakes up later, on a busy machine by this much.
const LATE: f64 = 60.0;

/// What is said of a connection in that field.
fn said(connection: &Connection, field: &str) -> Value {
    let tls = connection.tls.as_deref().expect("TLS");
    match field {
        "version" => json!(tls.version.and_then(|version| version.name())),
        "sni" => json!(tls.sni.as_deref()),
        "alpn" => json!(tls.alpn.as_deref()),
        "alpn_offered" => json!(
            tls.alpn_offered
                .iter()
                .map(|one| one.as_str())
                .collect::<Vec<_>>()
        ),
        "cipher" => json!(tls.cipher.and_then(|cipher| cipher.name())),
        "resumed" => json!(tls.resumed),
        "hello_retry" => json!(tls.retried),
        "early_data" => json!(tls.early_data),
        "client_certificate_requested" => json!(tls.client_certificate),
        "verdict" => json!(connection.verdict.map(Verdict::name)),
        "closed_by" => json!(connection.close.map(|close| close.by.name())),
        "close_notify_client" => json!(tls.close_notify[0]),
        "alert" => tls.alert.map_or(Value::Null, |alert| {
            let description = alert.description.map(|_| alert.name());
            json!({ "by": alert.by.name(), "description": description })
        }),
        _ => panic!("no field {field}"),
    }
}

/// How long the side that left had been silent, or the connection idle.
fn waited(connection: &Connection, field: &str) -> Option<f64> {
    let own = field == "idle_ms" || connection.verdict == Some(Verdict::TlsLeftWaiting);
    let span = if own {
        connection.idle
    } else {
        connection.silence
    };
    span.map(Span::as_millis)
}

fn check(name: &str, truth: &Value, wrong: &mut Vec<String>) -> usize {
    let seen = analyse(&corpus::packets(&corpus::own_folder().join(name)));
    let rows = truth["connections"].as_array().expect("connections");
    for row in rows {
        let port = row["connection"].as_u64();
        let found = seen.connections.iter();
        let mut found = found.filter(|one| Some(u64::from(one.client.port)) == port);
        let Some(connection) = found.next().filter(|one| one.tls.is_some()) else {
            wrong.push(format!("{name}: port {port:?} is not told: {row}"));
            continue;
        };
        let others = ["verdict", "alert", "closed_by", "close_notify_client"];
        for field in FIELDS.into_iter().chain(others) {
            let told = said(connection, field);
            if row.get(field).is_some_and(|expected| told != *expected) {
                wrong.push(format!(
                    "{name}: port {port:?}: {field}: said {told}: {row}"
                ));
            }
        }
        for field in ["left_after_ms", "idle_ms"] {
            let Some(expected) = row.get(field).and_then(Value::as_f64) else {
                continue;
            };
            let told = waited(connection, field);
            if !told.is_some_and(|told| (expected - 1.0..expected + LATE).contains(&told)) {
                wrong.push(format!(
                    "{name}: port {port:?}: {field}: said {told:?}: {row}"
                ));
            }
        }
        let estimated = connection.doubt == Some(Doubt::Encrypted);
        if estimated != (row.get("certain") == Some(&json!(false))) {
            wrong.push(format!(
                "{name}: port {port:?}: {:?}: {row}",
                connection.doubt
            ));
        }
    }
    rows.len()
}

#[test]
fn connections_are_told_as_their_ends_saw_them() {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for name in corpus::names(&corpus::own_folder()) {
        let path = corpus::own_folder().join(&name).with_extension("tls.json");
        let Ok(text) = fs::read_to_string(&path) else {
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
    assert!(checked >= 30, "only {checked} connections were checked");
}
