//! HTTP/2: streams, their ends, and what the capture lacks of them.

use super::talk::{
    End::{Client, Server},
    Talk,
};
use super::{CERTAIN, doubtful};
use crate::exchange::model::{
    Doubt::{CaptureEnded, CaptureStartedLate, SequenceHole},
    FindingKind::{self, FlowControlStall, HeadOfLine, PingUnanswered, StreamsExhausted},
    Protocol, Side,
    Verdict::*,
};
use crate::testing::frames::{
    PREFACE, answer, data, frame, get, goaway, headers, literals, ping, post, preface, reset,
    settings, settings_ack, window,
};

/// A connection on which both sides have said who they are, in frames 1 to 6.
fn opened() -> Talk {
    Talk::opened()
        .say(Client, preface())
        .say(Server, [settings(&[]), settings_ack()].concat())
        .say(Client, settings_ack())
}

/// The bytes of several frames.
fn all<const N: usize>(frames: [Vec<u8>; N]) -> Vec<u8> {
    frames.concat()
}

#[test]
fn each_stream_is_an_exchange() {
    let seen = opened()
        .say(Client, all([get(1, "/a"), get(3, "/b")]))
        .say(Server, answer(3, true, "204"))
        .say(
            Server,
            all([answer(1, false, "200"), data(1, true, b"abc")]),
        )
        .ack(Client)
        .seen();
    let asked: Vec<_> = seen.exchanges.iter().map(|one| one.asked()).collect();
    let expected = [
        (Some(3), Some("GET"), Some("/b")),
        (Some(1), Some("GET"), Some("/a")),
    ];
    assert_eq!(asked, expected);
    let [of_b, of_a] = &seen.exchanges[..] else {
        panic!("two");
    };
    assert_eq!(of_b.verdict(), (Ok, CERTAIN));
    assert_eq!(of_a.verdict(), (Ok, CERTAIN));
    assert_eq!(
        (of_b.statuses().0, of_a.statuses().0),
        (Some(204), Some(200))
    );
    assert_eq!(of_a.event("response_start"), Some(9));
    assert_eq!(of_a.gap("request_to_response"), Some(2));
    assert_eq!(of_a.bytes().1, answer(1, false, "200").len() as u64 + 3);
    let connection = &seen.connections[0];
    assert_eq!(connection.protocol, Protocol::Http2);
    assert_eq!(connection.exchanges, 2);
}

#[test]
fn frames_may_be_cut_anywhere() {
    let asked = all([
        preface(),
        get(1, "/a"),
        post(3, "/b"),
        data(3, true, b"body"),
    ]);
    let answered = all([
        settings(&[]),
        answer(3, false, "200"),
        answer(1, true, "404"),
        data(3, true, b"answer"),
    ]);
    for size in 1..30 {
        let mut talk = Talk::opened();
        for piece in asked.chunks(size) {
            talk = talk.say(Client, piece);
        }
        for piece in answered.chunks(size) {
            talk = talk.say(Server, piece);
        }
        let seen = talk.ack(Client).seen();
        let exchanges = seen.exchanges.iter();
        let mut told: Vec<_> = exchanges
            .map(|one| (one.asked(), one.statuses().0, one.verdict()))
            .collect();
        told.sort_by_key(|(asked, ..)| asked.0);
        let expected = [
            ((Some(1), Some("GET"), Some("/a")), Some(404), (Ok, CERTAIN)),
            (
                (Some(3), Some("POST"), Some("/b")),
                Some(200),
                (Ok, CERTAIN),
            ),
        ];
        assert_eq!(told, expected, "in pieces of {size}");
    }
}

#[test]
fn a_client_that_cancels_a_stream_gave_up() {
    let exchange = opened()
        .say(Client, get(1, "/"))
        .ack(Server)
        .after(500.0)
        .say(Client, reset(1, 8))
        .ack(Server)
        .exchange();
    assert_eq!(exchange.verdict(), (ClientGaveUp, CERTAIN));
    assert_eq!(exchange.reset(), Some((Side::Client, "CANCEL", false)));
    assert_eq!(exchange.event("client_rst_stream"), Some(9));
    assert_eq!(exchange.gap("request_to_client_close"), Some(501));
    assert_eq!(exchange.guess(), Some(500));
    assert!(exchange.was_of_stream());
    assert_eq!(
        exchange.envoy(),
        [&["DC", "DR"][..], &["UT", "DC", "DR"], &["DR"]]
    );
}

#[test]
fn an_answer_behind_a_reset_came_too_late() {
    let exchange = opened()
        .say(Client, get(1, "/"))
        .ack(Server)
        .say(Client, reset(1, 8))
        .unaware()
        .say(Server, answer(1, true, "200"))
        .ack(Server)
        .exchange();
    assert_eq!(exchange.verdict(), (ClientGaveUp, CERTAIN));
    assert_eq!(exchange.statuses(), (None, Some(200)));
    assert_eq!(exchange.event("late_response"), Some(10));
}

#[test]
fn a_reset_inside_the_answer() {
    let begun = opened()
        .say(Client, get(1, "/"))
        .say(
            Server,
            all([answer(1, false, "200"), data(1, false, b"ab")]),
        )
        .ack(Client);
    let by_client = begun.clone().say(Client, reset(1, 8)).ack(Server);
    assert_eq!(by_client.verdict(), (ClientGaveUpMidResponse, CERTAIN));
    let by_server = begun.say(Server, reset(1, 2)).ack(Client).exchange();
    assert_eq!(by_server.verdict(), (ServerTruncatedResponse, CERTAIN));
    let reset = (Side::Server, "INTERNAL_ERROR", false);
    assert_eq!(by_server.reset(), Some(reset));
    let flags = [&["UR"][..], &[], &["UR", "UC", "UPE", "UT"]];
    assert_eq!(by_server.envoy(), flags);
}

#[test]
fn a_client_that_has_the_whole_body_leaves_nothing() {
    let head = headers(1, false, &[(":status", "200"), ("content-length", "4")]);
    let begun = opened()
        .say(Client, get(1, "/"))
        .say(Server, all([head.clone(), data(1, false, b"te")]))
        .say(Server, data(1, false, b"a\n"));
    let whole = begun.clone().ack(Client);
    let reset_by_client = whole.clone().say(Client, reset(1, 5)).ack(Server);
    assert_eq!(reset_by_client.verdict(), (Ok, CERTAIN));
    let left = whole.clone().fin(Client);
    assert_eq!(left.clone().ack(Server).verdict(), (Ok, CERTAIN));
    let end_comes_late = left.say(Server, data(1, true, b"")).bare_rst(Client);
    assert_eq!(end_comes_late.verdict(), (Ok, CERTAIN));
    let end_taken_by_a_reset = whole.clone().say(Server, data(1, true, b"")).rst(Client);
    assert_eq!(end_taken_by_a_reset.verdict(), (Ok, CERTAIN));
    assert_eq!(whole.verdict().0, Ok, "at the capture's end, too");
    let part = opened()
        .say(Client, get(1, "/"))
        .say(Server, all([head, data(1, false, b"tea")]))
        .ack(Client);
    for ended in [part.clone().say(Client, reset(1, 8)), part.fin(Client)] {
        let verdict = ended.ack(Server).verdict();
        assert_eq!(verdict, (ClientGaveUpMidResponse, CERTAIN));
    }
    // It had not taken the last of it.
    let before = begun.say(Client, reset(1, 8)).ack(Server);
    assert_eq!(before.verdict().0, Ok, "what it says takes it");
}

#[test]
fn a_client_that_resets_inside_its_request_aborted_it() {
    let talk = opened()
        .say(Client, all([post(1, "/"), data(1, false, b"ab")]))
        .ack(Server)
        .say(Client, reset(1, 8))
        .ack(Server);
    assert_eq!(talk.verdict(), (ClientAbortedRequest, CERTAIN));
}

#[test]
fn a_server_that_resets_without_an_answer() {
    let asked = opened().say(Client, get(1, "/")).ack(Server);
    let failed = asked.clone().say(Server, reset(1, 2)).ack(Client);
    assert_eq!(failed.verdict(), (ServerResetUnanswered, CERTAIN));
    assert_eq!(failed.exchange().envoy(), [&["UR"][..], &[], &[]]);
    let refused = asked.say(Server, reset(1, 7)).ack(Client).exchange();
    assert_eq!(refused.verdict(), (Refused, CERTAIN));
    assert_eq!(refused.event("server_rst_stream"), Some(9));
}

#[test]
fn streams_above_a_goaways_last_are_refused() {
    let seen = opened()
        .say(Client, all([get(1, "/1"), get(3, "/3"), get(5, "/5")]))
        .say(Server, goaway(3, 0))
        .ack(Client)
        .say(
            Server,
            all([answer(1, true, "200"), answer(3, true, "200")]),
        )
        .ack(Client)
        .fin(Server)
        .fin(Client)
        .seen();
    let exchanges = seen.exchanges.iter();
    let mut verdicts: Vec<_> = exchanges
        .map(|one| (one.asked().0, one.verdict()))
        .collect();
    verdicts.sort_by_key(|(stream, _)| *stream);
    let expected = [
        (Some(1), (Ok, CERTAIN)),
        (Some(3), (Ok, CERTAIN)),
        (Some(5), (Refused, CERTAIN)),
    ];
    assert_eq!(verdicts, expected);
    let goaway = seen.connections[0].goaway.expect("a GOAWAY");
    assert_eq!((goaway.last_stream, goaway.code.name()), (3, "NO_ERROR"));
}

#[test]
fn a_stream_that_crosses_a_goaway_is_refused() {
    let exchange = opened()
        .say(Server, goaway(0, 0))
        .unaware()
        .say(Client, get(1, "/"))
        .ack(Server)
        .fin(Server)
        .exchange();
    assert_eq!(exchange.verdict(), (Refused, CERTAIN));
    assert_eq!(exchange.reset(), Some((Side::Server, "NO_ERROR", true)));
}

#[test]
fn the_end_of_the_connection_ends_its_streams() {
    let asked = opened().say(Client, get(1, "/")).ack(Server);
    let by_server = asked.clone().fin(Server).fin(Client).ack(Server);
    assert_eq!(by_server.verdict(), (ServerClosedUnanswered, CERTAIN));
    let by_client = asked.clone().after(300.0).fin(Client);
    let by_client = by_client.fin(Server).ack(Client);
    assert_eq!(by_client.verdict(), (ClientGaveUp, CERTAIN));
    let flags = [&["DC"][..], &["DC", "UT"], &["DC"]];
    assert_eq!(by_client.exchange().envoy(), flags);
    let reset = asked.rst(Server);
    assert_eq!(reset.verdict(), (ServerResetUnanswered, CERTAIN));
    assert_eq!(reset.exchange().envoy(), [&["UC"][..], &[], &[]]);
}

#[test]
fn what_the_capture_did_not_see_answered() {
    let talk = opened().say(Client, get(1, "/")).ack(Server);
    assert_eq!(talk.verdict(), doubtful(Unanswered, CaptureEnded));
}

#[test]
fn interim_answers_and_trailers() {
    let exchange = opened()
        .say(Client, get(1, "/"))
        .say(Server, answer(1, false, "103"))
        .ack(Client)
        .say(
            Server,
            all([answer(1, false, "200"), data(1, false, b"ab")]),
        )
        .say(Server, headers(1, true, &[("etag", "x")]))
        .ack(Client)
        .exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.interim(), [(8, 103)]);
    assert_eq!(exchange.event("response_start"), Some(10));
    assert_eq!(exchange.event("response_end"), Some(11));
}

#[test]
fn an_answer_may_end_before_its_request() {
    let begun = opened().say(Client, all([post(1, "/"), data(1, false, b"ab")]));
    let answered = begun.say(Server, answer(1, true, "413"));
    let stopped = answered.clone().say(Server, reset(1, 0));
    let stopped = stopped.ack(Client).exchange();
    assert_eq!(stopped.verdict(), (Ok, CERTAIN));
    assert_eq!(stopped.0.good(), Some(true));
    assert_eq!(stopped.reset(), None, "nothing was cut off");
    let went_on = answered.say(Client, data(1, true, b"cd")).ack(Server);
    assert_eq!(went_on.verdict(), (Ok, CERTAIN));
}

#[test]
fn padding_and_continuation_are_read() {
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/long")];
    let block = literals(&fields);
    let (first, rest) = block.split_at(11);
    let padded = [&[3][..], &[0, 0, 0, 0, 16], first, &[0; 3]].concat();
    let exchange = opened()
        .say(Client, frame(1, 0x1 | 0x8 | 0x20, 1, &padded))
        .say(Client, frame(9, 0x4, 1, rest))
        .say(Server, answer(1, false, "200"))
        .say(Server, frame(0, 0x1 | 0x8, 1, b"\x02abc\0\0"))
        .ack(Client)
        .exchange();
    assert_eq!(exchange.asked(), (Some(1), Some("GET"), Some("/long")));
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.bytes().1, answer(1, false, "200").len() as u64 + 3);
    assert_eq!(exchange.event("request_end"), Some(8));
}

#[test]
fn the_preface_may_be_cut_after_any_byte() {
    let bytes = all([preface(), get(1, "/")]);
    for cut in 1..PREFACE.len() + 3 {
        let talk = Talk::opened()
            .say(Client, &bytes[..cut])
            .say(Client, &bytes[cut..])
            .say(Server, all([settings(&[]), answer(1, true, "200")]))
            .ack(Client);
        assert_eq!(talk.verdicts(), [(Ok, CERTAIN)], "cut after {cut}");
        assert_eq!(talk.connection().protocol, Protocol::Http2, "{cut}");
    }
}

#[test]
fn a_server_may_say_its_settings_before_its_client_speaks() {
    let settings = settings(&[(3, 7)]);
    let talk = |opened: Talk| {
        opened
            .say(Client, all([preface(), window(0, 100_000), get(1, "/")]))
            .say(
                Server,
                all([answer(1, false, "200"), data(1, false, &[0; 9])]),
            )
            .ack(Client)
            .after(50.0)
            .say(Server, data(1, true, b""))
            .ack(Client)
            .seen()
    };
    let whole = talk(Talk::opened().say(Server, &settings));
    let (first, rest) = settings.split_at(12);
    let split = talk(Talk::opened().say(Server, first).say(Server, rest));
    for seen in [whole, split] {
        assert_eq!(seen.exchanges[0].verdict(), (Ok, CERTAIN));
        assert_eq!(seen.connections[0].max_concurrent, Some(7));
        assert_eq!(seen.connections[0].orphan_responses, 0);
    }
    // If its beginning is missing, its frames are found again.
    let lost = talk(Talk::opened().missing().say(Server, &settings).ack(Client));
    assert_eq!(lost.connections[0].max_concurrent, None);
    assert_eq!(lost.exchanges[0].verdict(), (Ok, CERTAIN));
}

#[test]
fn http1_may_agree_on_http2() {
    let request = b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";
    let seen = Talk::opened()
        .say(Client, request)
        .say(Server, [&switched[..], &settings(&[])].concat())
        .say(Client, preface())
        .say(Server, answer(1, true, "200"))
        .say(Client, get(3, "/next"))
        .say(Server, answer(3, true, "404"))
        .ack(Client)
        .seen();
    let exchanges = seen.exchanges.iter();
    let told: Vec<_> = exchanges
        .map(|one| (one.asked(), one.statuses().0, one.verdict()))
        .collect();
    let expected = [
        (
            (Some(1), Some("GET"), Some("/up")),
            Some(200),
            (Ok, CERTAIN),
        ),
        (
            (Some(3), Some("GET"), Some("/next")),
            Some(404),
            (Ok, CERTAIN),
        ),
    ];
    assert_eq!(told, expected);
    assert_eq!(seen.exchanges[0].interim(), [(5, 101)]);
}

#[test]
fn a_connection_joined_late_is_known_by_its_frames() {
    for first in [Client, Server] {
        let talk = match first {
            Client => Talk::joined(),
            Server => Talk::joined().say(Server, answer(5, true, "200")),
        };
        let seen = talk
            .say(Client, get(7, "/late"))
            .say(Server, answer(7, true, "200"))
            .ack(Client)
            .seen();
        let told: Vec<_> = seen.exchanges.iter().map(|one| one.verdict()).collect();
        assert_eq!(told, [(Ok, CERTAIN)]);
        let connection = &seen.connections[0];
        assert_eq!(connection.orphan_responses, u64::from(first == Server));
        assert_eq!(connection.protocol, Protocol::Http2);
    }
}

#[test]
fn who_is_the_client_is_told_by_header_fields() {
    // The lower port is taken for the server's, until somebody asks.
    let seen = Talk::joined()
        .client_port(80)
        .say(Client, get(7, "/late"))
        .say(Server, answer(7, true, "200"))
        .ack(Client)
        .seen();
    assert_eq!(seen.connections[0].client.port, 80);
    assert_eq!(seen.exchanges.len(), 1);
}

/// With a server at the higher port, as the ports tell nothing of the roles.
#[test]
fn trailers_are_nobodys_request() {
    let trailers = |stream| [window(0, 9), headers(stream, true, &[("checksum", "1")])].concat();
    let of_server = Talk::joined()
        .client_port(80)
        .say(Server, trailers(1))
        .ack(Client)
        .fin(Client)
        .fin(Server)
        .seen();
    assert!(of_server.exchanges.is_empty());
    let answers = |fields: &[(&str, &str)]| {
        let answer = [window(0, 9), headers(1, true, fields)].concat();
        Talk::joined()
            .client_port(80)
            .say(Server, answer)
            .fin(Client)
            .seen()
    };
    assert!(answers(&[(":status", "200")]).exchanges.is_empty());
    let of_client = Talk::joined()
        .say(Client, all([trailers(3), get(5, "/")]))
        .ack(Server)
        .seen();
    assert_eq!(of_client.exchanges.len(), 1);
    // Here the ports are wrong and the trailers tell.
    let call = headers(1, true, &[("grpc-status", "0")]);
    let connection = Talk::joined()
        .client_port(80)
        .say(Server, call)
        .connection();
    assert_eq!(connection.client.port, 80);
    assert!(!connection.role_guessed);
    // A request that begins in the capture is one, whatever it lacks.
    let malformed = opened()
        .say(Client, trailers(1))
        .ack(Server)
        .fin(Server)
        .exchange();
    assert_eq!(malformed.verdict(), (ServerClosedUnanswered, CERTAIN));
}

#[test]
fn a_lost_answer_leaves_the_others_certain() {
    let seen = opened()
        .say(Client, all([get(1, "/1"), get(3, "/3")]))
        .say(Server, answer(3, true, "200"))
        .ack(Client)
        .missing()
        .say(Server, answer(1, true, "200"))
        .ack(Client)
        .say(Client, get(5, "/5"))
        .say(Server, answer(5, true, "200"))
        .ack(Client)
        .fin(Client)
        .fin(Server)
        .ack(Client)
        .seen();
    let exchanges = seen.exchanges.iter();
    let mut told: Vec<_> = exchanges
        .map(|one| (one.asked().0, one.verdict()))
        .collect();
    told.sort_by_key(|(stream, _)| *stream);
    assert_eq!(told[0].0, Some(1));
    assert_eq!(told[0].1.1, Some(SequenceHole), "{told:?}");
    let expected = [(Some(3), (Ok, CERTAIN)), (Some(5), (Ok, CERTAIN))];
    assert_eq!(told[1..], expected);
}

#[test]
fn a_lost_reset_makes_nothing_certain() {
    let talk = opened()
        .say(Client, get(1, "/1"))
        .ack(Server)
        .missing()
        .say(Client, reset(1, 8))
        .ack(Server)
        .fin(Server)
        .fin(Client)
        .ack(Server);
    assert_eq!(talk.verdict().1, Some(SequenceHole));
}

#[test]
fn a_hole_inside_a_body_is_stepped_over() {
    let body = data(1, true, &[b'x'; 900]);
    let exchange = opened()
        .say(Client, get(1, "/1"))
        .say(
            Server,
            [answer(1, false, "200"), body[..300].to_vec()].concat(),
        )
        .missing()
        .say(Server, &body[300..600])
        .say(Server, &body[600..])
        .ack(Client)
        .exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    let length = answer(1, false, "200").len() as u64 + 900;
    assert_eq!(exchange.bytes().1, length);
}

#[test]
fn names_behind_a_hole_are_left_out_and_come_back() {
    // `:path: /x` and `:method: PUT` are put into the table, and named by their places later.
    let first = [&[0x86, 0x44, 2][..], b"/x", &[0x42, 3], b"PUT"].concat();
    let insert = |stream| frame(1, 0x5, stream, &first);
    let named = |stream| frame(1, 0x5, stream, &[0x86, 0xbe, 0xbf]);
    let seen = opened()
        .missing()
        .say(Client, insert(1))
        .ack(Server)
        .say(Client, named(3))
        .say(Server, answer(3, true, "200"))
        .say(Client, insert(5))
        .say(Server, answer(5, true, "200"))
        .say(Client, named(7))
        .say(Server, answer(7, true, "200"))
        .ack(Client)
        .seen();
    let exchanges = seen.exchanges.iter();
    let asked: Vec<_> = exchanges
        .map(|one| (one.asked(), one.0.headers_cut))
        .collect();
    let expected = [
        ((Some(3), None, None), true),
        ((Some(5), Some("PUT"), Some("/x")), false),
        ((Some(7), Some("PUT"), Some("/x")), false),
    ];
    assert_eq!(asked, expected);
    assert_eq!(seen.exchanges[1].verdict(), (Ok, CERTAIN));
}

#[test]
fn a_status_that_nobody_knows_makes_nothing_certain() {
    // The status stands in a place of the table that was filled before.
    let exchange = Talk::joined()
        .say(Client, get(7, "/late"))
        .say(Server, frame(1, 0x5, 7, &[0xbe]))
        .ack(Client)
        .exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, CaptureStartedLate));
    assert_eq!(exchange.statuses().0, None);
    assert_eq!(exchange.0.good(), None);
}

#[test]
fn a_window_that_is_used_up_is_a_finding() {
    let exchange = opened()
        .say(Client, settings(&[(4, 10)]))
        .say(Client, get(1, "/"))
        .say(
            Server,
            all([answer(1, false, "200"), data(1, false, &[0; 10])]),
        )
        .ack(Client)
        .after(300.0)
        .say(Client, window(1, 100))
        .say(Server, data(1, true, &[0; 10]))
        .ack(Client)
        .exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.findings(), [(FlowControlStall, vec![9, 11], 301)]);
}

#[test]
fn the_window_of_the_connection_holds_up_all_streams() {
    let body = |stream, end| data(stream, end, &[0; 20_000]);
    let talk = opened()
        .say(Client, all([get(1, "/1"), get(3, "/3")]))
        .say(Server, all([answer(1, false, "200"), body(1, false)]))
        .say(Server, all([answer(3, false, "200"), body(3, false)]))
        .say(Server, body(1, false))
        .say(Server, data(3, false, &[0; 5_535]))
        .ack(Client)
        .after(100.0)
        // More for one stream does not help where the connection's is used up.
        .say(Client, window(3, 9))
        .after(200.0)
        .say(Client, window(0, 100_000))
        .say(Server, all([data(1, true, b"x"), data(3, true, b"x")]))
        .ack(Client);
    let seen = talk.seen();
    let stalls: Vec<_> = seen.exchanges.iter().map(|one| one.findings()).collect();
    // Stream 1 was not held up: it had nothing to send when the window was used up.
    assert_eq!(stalls[0], []);
    assert_eq!(stalls[1], [(FlowControlStall, vec![11, 14], 301)]);
}

#[test]
fn a_loss_holds_up_the_streams_behind_it() {
    let lost = all([answer(1, false, "200"), data(1, true, &[b'1'; 100])]);
    let behind = answer(3, true, "200");
    let length = (lost.len() + behind.len()) as u32;
    let seen = opened()
        .say(Client, all([get(1, "/1"), get(3, "/3")]))
        .ack(Server)
        .say(Server, &lost)
        .say(Server, &behind)
        .all_but(length)
        .ack(Client)
        .after(200.0)
        .back(length)
        .say(Server, &lost)
        .ack(Client)
        .seen();
    let exchanges = seen.exchanges.iter();
    let kinds: Vec<_> = exchanges
        .map(|one| {
            let kinds: Vec<FindingKind> = one.findings().iter().map(|found| found.0).collect();
            (one.asked().0, kinds)
        })
        .collect();
    let lost = (Some(1), vec![FindingKind::Retransmission]);
    assert!(kinds.contains(&lost), "{kinds:?}");
    assert!(kinds.contains(&(Some(3), vec![HeadOfLine])), "{kinds:?}");
}

#[test]
fn a_stream_that_had_to_wait_for_another_says_so() {
    let seen = Talk::opened()
        .say(Client, preface())
        .say(Server, all([settings(&[(3, 1)]), settings_ack()]))
        .say(Client, all([settings_ack(), get(1, "/1")]))
        .after(100.0)
        .say(Server, answer(1, true, "200"))
        .after(0.1)
        .say(Client, get(3, "/3"))
        .say(Server, answer(3, true, "200"))
        .ack(Client)
        .seen();
    assert_eq!(seen.connections[0].max_concurrent, Some(1));
    assert_eq!(seen.exchanges[0].findings(), []);
    assert_eq!(
        seen.exchanges[1].findings(),
        [(StreamsExhausted, vec![7, 8], 0)]
    );
}

#[test]
fn a_ping_that_is_not_answered_is_a_finding() {
    let asked = opened()
        .say(Client, all([get(1, "/"), ping(false)]))
        .ack(Server);
    let unanswered = asked.clone().after(20_000.0).fin(Client).exchange();
    assert_eq!(unanswered.findings(), [(PingUnanswered, vec![7], 20_001)]);
    let answered = asked.say(Server, ping(true)).after(20_000.0).fin(Client);
    assert_eq!(answered.exchange().findings(), []);
}

#[test]
fn a_flood_of_streams_keeps_little() {
    let mut talk = opened();
    for batch in 0..100_u32 {
        let frames = (0..20).flat_map(|n| {
            let stream = 1 + 2 * (batch * 20 + n);
            [get(stream, "/"), reset(stream, 8)].concat()
        });
        talk = talk.say(Client, frames.collect::<Vec<u8>>()).ack(Server);
    }
    let verdicts = talk.verdicts();
    assert_eq!(verdicts.len(), 2_000);
    assert!(verdicts.iter().all(|one| *one == (ClientGaveUp, CERTAIN)));
}

#[test]
fn a_header_block_without_end_is_cut() {
    let mut talk = opened().say(Client, frame(1, 0x1, 1, &[0x82, 0x86, 0x84]));
    for _ in 0..400 {
        talk = talk.say(Client, frame(9, 0, 1, &[0x82; 1400]));
    }
    let exchange = talk
        .say(Client, frame(9, 0x4, 1, &[0x82]))
        .say(Server, answer(1, true, "400"))
        .ack(Client)
        .exchange();
    assert_eq!(exchange.asked(), (Some(1), Some("GET"), Some("/")));
    assert!(exchange.0.headers_cut);
}
