//! What the analyser says of each stream of HTTP/2 and of each call, in HTTP/1, too, held against
//! what the clients and servers themselves wrote down.
//!
//! Their words are in `NAME.truth.json` beside each capture; `testdata-pcaps/README.md` has the
//! format.

use crate::corpus;
use meshsniff::exchange::Exchange;
use meshsniff::testing::analyse;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;

/// What was said of a stream, by the names of the truth.
fn said(exchange: &Exchange, field: &str) -> Value {
    let grpc = exchange.grpc.as_deref();
    match field {
        "method" => exchange.method.as_deref().into(),
        "path" => exchange.path.as_deref().into(),
        "status" => exchange.status.into(),
        "grpc_service" => grpc.and_then(|grpc| grpc.service.as_deref()).into(),
        "grpc_method" => grpc.and_then(|grpc| grpc.method.as_deref()).into(),
        "grpc_status" => {
            let status = grpc.and_then(|grpc| grpc.status);
            status.map(|status| status.0).into()
        }
        "grpc_message" => grpc.and_then(|grpc| grpc.message.as_deref()).into(),
        "messages_request" => grpc.and_then(|grpc| grpc.request).into(),
        "messages_response" => grpc.and_then(|grpc| grpc.response).into(),
        other => panic!("nothing says {other}"),
    }
}

const FIELDS: [&str; 9] = [
    "method",
    "path",
    "status",
    "grpc_service",
    "grpc_method",
    "grpc_status",
    "grpc_message",
    "messages_request",
    "messages_response",
];

/// Whether a capture that began late cannot have this.
fn is_unknown(exchange: &Exchange, field: &str) -> bool {
    exchange.headers_cut && said(exchange, field).is_null()
}

/// The reset that the truth has, if the stream was not over by then: what a server sends behind its
/// whole answer cuts nothing off.
fn reset(truth: &Value, exchange: &Exchange) -> Option<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let reset = truth.get("reset").filter(|reset| !reset.is_null())?;
    let (by, code) = (text(&reset["by"]), text(&reset["code"]));
    let after = by == "server" && code == "NO_ERROR" && exchange.events.response_end.is_some();
    (!after).then_some((by, code))
}

fn check(name: &str, truth: &Value, wrong: &mut Vec<String>) -> usize {
    let seen = analyse(&corpus::packets(&corpus::own_folder().join(name)));
    let mut checked = 0;
    let streams = truth["streams"].as_array().expect("streams");
    // How many of each connection of HTTP/1 there were so far.
    let mut in_turn: HashMap<Option<u64>, usize> = HashMap::new();
    for stream in streams {
        let number = stream["stream"].as_u64();
        // What the server began by itself is no exchange.
        if stream.get("pushed_by").is_some_and(|by| !by.is_null()) {
            continue;
        }
        let port = stream["connection"].as_u64();
        let mut found = seen.exchanges.iter().filter(|one| {
            Some(u64::from(one.client.port)) == port && one.stream.map(u64::from) == number
        });
        let found = match number {
            Some(_) => found.next(),
            None => {
                let turn = in_turn.entry(port).or_default();
                *turn += 1;
                found.nth(*turn - 1)
            }
        };
        let what = format!("{name}: stream {number:?} of port {port:?}");
        let Some(exchange) = found else {
            // The request of one of them came before the capture began.
            let before = stream["note"].as_str().unwrap_or_default();
            if !before.contains("request was before the capture") {
                wrong.push(format!("{what} was not told: {stream}"));
            }
            continue;
        };
        checked += 1;
        for field in FIELDS {
            let Some(expected) = stream.get(field) else {
                continue;
            };
            // An empty message is none.
            let none = expected.is_null() || expected == "";
            let told = said(exchange, field);
            if !is_unknown(exchange, field) && told != *expected && !(none && told.is_null()) {
                wrong.push(format!(
                    "{what}: {field}: said {told}, but it was {expected}"
                ));
            }
        }
        let told = exchange
            .reset
            .filter(|end| !end.by_goaway)
            .map(|end| (end.by.name().to_owned(), end.code.name().to_owned()));
        let expected = reset(stream, exchange);
        if told != expected {
            wrong.push(format!(
                "{what}: reset: said {told:?}, but it was {expected:?}"
            ));
        }
    }
    for connection in truth["connections"].as_array().into_iter().flatten() {
        let port = connection["connection"].as_u64();
        let found = seen.connections.iter();
        let mut found = found.filter(|one| Some(u64::from(one.client.port)) == port);
        let told = found.next().and_then(|one| one.goaway);
        let told = told.map(|goaway| (goaway.by.name().to_owned(), goaway.code.name().to_owned()));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let expected = connection.get("goaway").filter(|goaway| !goaway.is_null());
        let expected = expected.map(|goaway| (text(&goaway["by"]), text(&goaway["code"])));
        // What nobody wrote down may have been said: a client that is done says so.
        if expected.is_some() && told != expected {
            wrong.push(format!(
                "{name}: port {port:?}: GOAWAY: said {told:?}, but it was {expected:?}"
            ));
        }
    }
    checked
}

#[test]
fn streams_and_calls_are_told_as_their_ends_saw_them() {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for name in corpus::names(&corpus::own_folder()) {
        let path = corpus::own_folder()
            .join(&name)
            .with_extension("truth.json");
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
    assert!(checked > 150, "only {checked} streams were checked");
}
