//! gRPC: services, statuses, messages and deadlines.

use super::CERTAIN;
use super::talk::{
    End::{Client, Server},
    Talk,
};
use crate::exchange::model::{Exchange, Verdict::*, Wire};
use crate::testing::frames::{
    answer, data, headers, message, preface, reset, settings, settings_ack,
};
use crate::time::Span;

/// The type of a gRPC body.
const TYPE: (&str, &str) = ("content-type", "application/grpc");

fn opened() -> Talk {
    Talk::opened()
        .say(Client, preface())
        .say(Server, [settings(&[]), settings_ack()].concat())
        .say(Client, settings_ack())
}

/// The head of a call.
fn head(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let begin = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        TYPE,
    ];
    headers(1, false, &[&begin, more].concat())
}

/// A call with one message.
fn call(path: &str) -> Vec<u8> {
    [head(path, &[]), data(1, true, &message(false, b"ask"))].concat()
}

fn begun() -> Vec<u8> {
    headers(1, false, &[(":status", "200"), TYPE])
}

fn trailers(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, true, fields)
}

#[test]
fn a_call_has_a_service_messages_and_a_status() {
    let exchange = opened()
        .say(Client, call("/shop.Catalog/List"))
        .say(
            Server,
            [begun(), data(1, false, &message(true, b"one"))].concat(),
        )
        .after(300.0)
        .say(Server, data(1, false, &message(false, b"two")))
        .say(Server, trailers(&[("grpc-status", "0")]))
        .ack(Client)
        .exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.0.good(), Some(true));
    let grpc = exchange.0.grpc.as_deref().expect("a call");
    assert_eq!(grpc.wire, Wire::Grpc);
    assert_eq!(grpc.name(), "shop.Catalog/List");
    assert_eq!((grpc.request, grpc.response), (Some(1), Some(2)));
    assert_eq!(grpc.compressed, [0, 1]);
    assert_eq!(grpc.longest_silence, Some(Span::from_millis(300)));
    assert_eq!(grpc.first_message, Some(Span::from_millis(1)));
}

fn ended_with(fields: &[(&str, &str)]) -> Exchange {
    opened()
        .say(Client, call("/a.B/C"))
        .say(Server, [begun(), trailers(fields)].concat())
        .ack(Client)
        .exchange()
        .0
}

#[test]
fn the_status_says_whether_a_call_was_good() {
    for (status, good) in [("0", true), ("5", true), ("14", false), ("13", false)] {
        let exchange = ended_with(&[("grpc-status", status)]);
        assert_eq!(exchange.good(), Some(good), "{status}");
        assert_eq!(exchange.verdict, Ok);
    }
    assert_eq!(ended_with(&[]).good(), Some(false), "no status");
    let text = ended_with(&[("grpc-status", "14"), ("grpc-message", "no%20r%C3%B6om")]);
    let grpc = text.grpc.expect("a call");
    assert_eq!(grpc.message.as_deref(), Some("no r\u{f6}om"));
}

#[test]
fn an_answer_of_trailers_only_may_be_a_proxys() {
    let fields = [
        (":status", "200"),
        TYPE,
        ("grpc-status", "14"),
        ("grpc-message", "upstream request timeout"),
        ("server", "envoy"),
    ];
    let exchange = opened()
        .say(Client, call("/a.B/C"))
        .say(Server, trailers(&fields))
        .ack(Client)
        .exchange()
        .0;
    assert_eq!(exchange.good(), Some(false));
    let by = exchange.answered_by.as_deref().expect("a proxy's");
    assert_eq!(by.flag, "UT");
    assert_eq!(exchange.envoy.server, ["UT"]);
}

#[test]
fn a_deadline_is_an_announced_timeout() {
    let exchange = opened()
        .say(Client, head("/a.B/C", &[("grpc-timeout", "500m")]))
        .say(Client, data(1, true, &message(false, b"")))
        .ack(Server)
        .after(499.0)
        .say(Client, reset(1, 8))
        .ack(Server)
        .exchange();
    assert_eq!(exchange.verdict(), (ClientGaveUp, CERTAIN));
    assert_eq!(exchange.envoy()[0], ["UT"]);
    let grpc = exchange.0.grpc.as_deref().expect("a call");
    assert_eq!(grpc.status, None);
}

#[test]
fn a_server_may_end_a_call_before_its_client_does() {
    let exchange = opened()
        .say(Client, head("/a.B/Talk", &[]))
        .say(Client, data(1, false, &message(false, b"hello")))
        .say(
            Server,
            [begun(), trailers(&[("grpc-status", "16")])].concat(),
        )
        .say(Server, reset(1, 0))
        .ack(Client)
        .exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.0.good(), Some(true), "the caller's own affair");
}

#[test]
fn a_health_check_is_a_probe() {
    let exchange = opened()
        .say(Client, call("/grpc.health.v1.Health/Check"))
        .say(
            Server,
            [begun(), trailers(&[("grpc-status", "0")])].concat(),
        )
        .ack(Client)
        .exchange();
    assert!(exchange.0.probe);
}

/// Messages of an answer, in a frame of which the middle third is missing.
fn counted_behind_a_hole(messages: &[Vec<u8>]) -> Option<u64> {
    let whole = data(1, false, &messages.concat());
    let third = whole.len() / 3;
    let exchange = opened()
        .say(Client, call("/a.B/C"))
        .say(Server, [begun(), whole[..third].to_vec()].concat())
        .missing()
        .say(Server, &whole[third..2 * third])
        .say(Server, &whole[2 * third..])
        .say(Server, trailers(&[("grpc-status", "0")]))
        .ack(Client)
        .exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.0.good(), Some(true));
    let grpc = exchange.0.grpc.as_deref().expect("a call");
    assert_eq!(grpc.request, Some(1));
    grpc.response
}

#[test]
fn behind_a_hole_messages_are_not_counted_unless_it_is_in_one() {
    let of = |length: usize| message(false, &vec![b'x'; length]);
    assert_eq!(counted_behind_a_hole(&[of(440), of(440)]), None);
    assert_eq!(counted_behind_a_hole(&[of(900)]), Some(1));
}

#[test]
fn an_answer_that_is_no_call_keeps_its_status() {
    let exchange = opened()
        .say(Client, call("/a.B/C"))
        .say(Server, answer(1, true, "503"))
        .ack(Client)
        .exchange();
    assert_eq!(exchange.0.good(), Some(false));
    assert_eq!(exchange.0.status, Some(503));
}
