//! Calls in HTTP/1: gRPC-Web, and the Connect protocol.

use super::CERTAIN;
use super::talk::{
    End::{Client, Server},
    Talk,
};
use crate::exchange::model::{Exchange, Grpc, Verdict::*, Wire};
use crate::testing::frames::message;
use crate::time::Span;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const WEB: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";
const STREAM: &str = "application/connect+json";

/// Messages, the last of which has these flags.
fn body(messages: &[&[u8]], flags: u8, last: &[u8]) -> Vec<u8> {
    let mut end = message(false, last);
    end[0] = flags;
    let messages = messages.iter().map(|bytes| message(false, bytes));
    [messages.collect::<Vec<_>>().concat(), end].concat()
}

fn with_length(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{head}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn asked(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /shop.Catalog/List HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\n");
    with_length(&head, body)
}

fn head(kind: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n")
}

/// A body in chunks of so many bytes.
fn chunked(kind: &str, body: &[u8], size: usize, trailers: &str) -> Vec<u8> {
    let mut out = format!("{}transfer-encoding: chunked\r\n\r\n", head(kind)).into_bytes();
    for chunk in body.chunks(size) {
        out.extend(format!("{:x};x=y\r\n", chunk.len()).bytes());
        out.extend(chunk);
        out.extend(b"\r\n");
    }
    out.extend(format!("0\r\n{trailers}\r\n").bytes());
    out
}

/// The call that is asked with one message and answered so.
fn answered(kind: &str, answer: &[u8]) -> Exchange {
    let exchange = Talk::opened()
        .say(Client, asked(kind, &message(false, b"ask")))
        .say(Server, answer)
        .ack(Client)
        .exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    exchange.0
}

fn call(exchange: &Exchange) -> &Grpc {
    exchange.grpc.as_deref().expect("a call")
}

fn status(exchange: &Exchange) -> Option<u32> {
    call(exchange).status.map(|status| status.0)
}

#[test]
fn the_status_is_the_last_of_the_body() {
    let trailers = b"grpc-status:14\r\ngrpc-message:no%20way\r\n";
    let body = body(&[b"one", b"two"], 0x80, trailers);
    let mut answers = vec![with_length(&head(WEB), &body)];
    answers.extend((1..=body.len()).map(|size| chunked(WEB, &body, size, "")));
    for answer in answers {
        let exchange = answered(WEB, &answer);
        assert_eq!(exchange.good(), Some(false));
        let grpc = call(&exchange);
        assert_eq!(
            (grpc.wire, grpc.status.map(|status| status.0)),
            (Wire::Web, Some(14))
        );
        assert_eq!(grpc.message.as_deref(), Some("no way"));
        assert_eq!(grpc.name(), "shop.Catalog/List");
        assert_eq!((grpc.request, grpc.response), (Some(1), Some(2)));
        assert!(!exchange.headers_cut);
    }
}

#[test]
fn messages_have_times_however_segments_cut_them() {
    let body = body(&[b"one", b"two"], 0x80, b"grpc-status: 0\r\n");
    let answer = chunked(WEB, &body, 5, "");
    let first = answer
        .windows(3)
        .position(|three| three == b"one")
        .expect("it is there")
        + 3;
    let exchange = Talk::opened()
        .say(Client, asked(WEB, &message(false, b"ask")))
        .say(Server, &answer[..first])
        .after(300.0)
        .say(Server, &answer[first..])
        .ack(Client)
        .exchange();
    assert_eq!(exchange.0.good(), Some(true));
    let grpc = call(&exchange.0);
    assert_eq!(grpc.first_message, Some(Span::from_millis(1)));
    assert_eq!(grpc.longest_silence, Some(Span::from_millis(300)));
}

#[test]
fn a_head_alone_may_have_the_status() {
    for (more, good) in [("grpc-status: 5\r\n", true), ("Grpc-Status: 13\r\n", false)] {
        let head = format!("{}{more}grpc-message: no%20item\r\n", head(WEB));
        let exchange = answered(WEB, &with_length(&head, b""));
        assert_eq!(exchange.good(), Some(good));
        assert_eq!(call(&exchange).response, Some(0));
        assert_eq!(call(&exchange).message.as_deref(), Some("no item"));
    }
    let more = "grpc-status: 14\r\ngrpc-message: upstream request timeout\r\nserver: envoy\r\n";
    let exchange = answered(WEB, &with_length(&format!("{}{more}", head(WEB)), b""));
    let by = exchange.answered_by.as_deref().expect("a proxy's");
    assert_eq!(by.flag, "UT");
}

#[test]
fn base64_is_read_in_pieces() {
    let pieces = [
        message(false, b"one"),
        body(&[b"two!"], 0x80, b"grpc-status:7\r\n"),
    ];
    let text: String = pieces.iter().map(|piece| STANDARD.encode(piece)).collect();
    let answer = chunked("application/grpc-web-text+proto", text.as_bytes(), 7, "");
    let talk = Talk::opened()
        .say(
            Client,
            asked(TEXT, STANDARD.encode(message(false, b"ask")).as_bytes()),
        )
        .say(Server, answer)
        .ack(Client);
    let exchange = talk.exchange().0;
    assert_eq!((status(&exchange), exchange.good()), (Some(7), Some(true)));
    let grpc = call(&exchange);
    assert_eq!((grpc.request, grpc.response), (Some(1), Some(2)));
}

#[test]
fn the_answer_may_be_of_another_kind_than_the_request() {
    let text = STANDARD.encode(body(&[b"one"], 0x80, b"grpc-status:2\r\n"));
    let exchange = answered(WEB, &with_length(&head(TEXT), text.as_bytes()));
    assert_eq!((status(&exchange), exchange.good()), (Some(2), Some(false)));
    assert_eq!(call(&exchange).response, Some(1));
    let page = answered(WEB, &with_length(&head("text/html"), b"<html>hello</html>"));
    assert_eq!(
        (status(&page), page.good()),
        (None, Some(false)),
        "no answer to a call"
    );
    assert_eq!(call(&page).response, Some(0));
}

#[test]
fn trailers_of_http_have_the_status_too() {
    let body = message(false, b"one");
    let answer = chunked("application/grpc", &body, 99, "grpc-status: 8\r\n");
    let exchange = answered("application/grpc", &answer);
    assert_eq!((status(&exchange), exchange.good()), (Some(8), Some(true)));
    let without = answered(
        "application/grpc",
        &chunked("application/grpc", &body, 99, ""),
    );
    assert_eq!((status(&without), without.good()), (None, Some(false)));
}

#[test]
fn what_is_coded_as_a_whole_is_not_known() {
    let head = format!("{}content-encoding: gzip\r\n", head(WEB));
    let packed = body(&[b"one"], 0x80, b"grpc-status:0\r\n");
    let exchange = answered(WEB, &with_length(&head, &packed));
    assert_eq!((status(&exchange), exchange.good()), (None, None));
    assert_eq!(call(&exchange).response, None);
    let asked = asked(
        &format!("{WEB}\r\ncontent-encoding: br"),
        &message(false, b"ask"),
    );
    let talk = Talk::opened()
        .say(Client, asked)
        .say(Server, with_length(&head, &packed));
    assert_eq!(call(&talk.ack(Client).exchange().0).request, None);
}

#[test]
fn a_body_that_is_not_shown_hides_the_status() {
    let body = body(&[b"one", b"two"], 0x80, b"grpc-status:14\r\n");
    let kinds = [WEB, TEXT, STREAM, "application/grpc"];
    for kind in kinds {
        for blank in [vec![0; 5], vec![0; body.len()], vec![b'x'; body.len()]] {
            for answer in [
                chunked(kind, &blank, 8, ""),
                with_length(&head(kind), &blank),
            ] {
                let exchange = answered(kind, &answer);
                assert_eq!((status(&exchange), exchange.good()), (None, None), "{kind}");
                assert_eq!(call(&exchange).response.filter(|count| *count > 1), None);
            }
        }
    }
    // The prefix of the trailers is shown, and they are not.
    let mut half = body.clone();
    let trailers = half.len() - b"grpc-status:14\r\n".len();
    half[trailers..].fill(0);
    let exchange = answered(WEB, &with_length(&head(WEB), &half));
    assert_eq!((status(&exchange), exchange.good()), (None, None));
    assert_eq!(call(&exchange).response, Some(2));
    assert!(exchange.headers_cut);
}

#[test]
fn a_hole_hides_what_it_has() {
    let of = |from: usize, upto: usize, answer: &[u8]| {
        let talk = Talk::opened()
            .say(Client, asked(WEB, &message(false, b"ask")))
            .say(Server, &answer[..from])
            .missing()
            .say(Server, &answer[from..upto])
            .say(Server, &answer[upto..]);
        talk.ack(Client).exchange().0
    };
    let long = [b'x'; 90];
    let body = body(&[&long, &long], 0x80, b"grpc-status:14\r\n");
    let answer = with_length(&head(WEB), &body);
    let begin = answer.len() - body.len();
    let within = of(begin + 20, begin + 50, &answer);
    assert_eq!((status(&within), within.good()), (Some(14), Some(false)));
    assert_eq!(call(&within).response, Some(2));
    for (from, upto) in [
        (begin + 50, begin + 110),
        (begin, begin + 60),
        (answer.len() - 9, answer.len() - 4),
        (answer.len() - 3, answer.len()),
    ] {
        let exchange = of(from, upto, &answer);
        assert_eq!((status(&exchange), exchange.good()), (None, None), "{from}");
    }
    let answer = chunked(WEB, &body, 999, "");
    let begin = answer.len() - body.len() - 7;
    let within = of(begin + 20, begin + 50, &answer);
    assert_eq!(
        (status(&within), call(&within).response),
        (Some(14), Some(2))
    );
    let over = of(begin + 180, answer.len() - 2, &answer);
    assert_eq!((status(&over), over.good()), (None, None));
}

#[test]
fn an_answer_whose_head_is_cut_says_nothing_of_the_call() {
    let answer = with_length(&head(WEB), &body(&[], 0x80, b"grpc-status:0\r\n"));
    let exchange = Talk::opened()
        .say(Client, asked(WEB, &message(false, b"ask")))
        .say(Server, &answer[..20])
        .missing()
        .say(Server, &answer[20..])
        .ack(Client)
        .exchange();
    assert_ne!(exchange.0.good(), Some(true));
    assert_eq!(call(&exchange.0).response, None);
}

#[test]
fn a_stream_of_connects_ends_with_json() {
    let denied = br#"{"error":{"code":"unavailable","message":"gone"}}"#;
    for (end, expected) in [
        (&denied[..], (Some(14), Some(false))),
        (b"{}", (Some(0), Some(true))),
        (br#"{"error":{"code":"canceled"}}"#, (Some(1), Some(true))),
    ] {
        let body = body(&[b"one", b"two"], 0x2, end);
        let exchange = answered(STREAM, &chunked(STREAM, &body, 9, ""));
        assert_eq!((status(&exchange), exchange.good()), expected);
        assert_eq!(call(&exchange).response, Some(2));
    }
    let body = [message(false, b"one"), message(false, b"two")].concat();
    let unended = answered(STREAM, &with_length(&head(STREAM), &body));
    assert_eq!((status(&unended), unended.good()), (None, Some(false)));
}

#[test]
fn a_single_call_of_connects_has_the_status_of_http() {
    let kind = "application/json\r\nconnect-protocol-version: 1";
    let good = answered(kind, &with_length(&head("application/json"), b"{}"));
    assert_eq!((status(&good), good.good()), (Some(0), Some(true)));
    let grpc = call(&good);
    assert_eq!(
        (grpc.wire, grpc.request, grpc.response),
        (Wire::ConnectUnary, Some(1), Some(1))
    );
    let failed = |code: u16, body: &str| {
        let head = format!("HTTP/1.1 {code} No\r\ncontent-type: application/json\r\n");
        answered(kind, &with_length(&head, body.as_bytes()))
    };
    let missing = failed(404, r#"{"code":"not_found","message":"no such item"}"#);
    assert_eq!((status(&missing), missing.good()), (Some(5), Some(true)));
    assert_eq!(call(&missing).message.as_deref(), Some("no such item"));
    assert_eq!(call(&missing).response, Some(0));
    let gone = failed(503, "<html>");
    assert_eq!((status(&gone), gone.good()), (None, Some(false)));
}

#[test]
fn what_is_no_call_is_none() {
    for kind in ["application/json", "application/proto", "text/html"] {
        let answer = with_length(&head(kind), b"\x80\0\0\0\x10grpc-status:14\r\n");
        let exchange = answered(kind, &answer);
        assert_eq!(
            (exchange.grpc.as_deref(), exchange.good()),
            (None, Some(true))
        );
    }
}
