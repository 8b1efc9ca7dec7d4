//! What people bring from the field: answers that cannot be used, requests that stop, connections
//! that somebody forgot, and the silence before a close.

use super::talk::{
    ACK,
    End::{Client, Server},
    FIN, Talk,
};
use super::{BODY, CERTAIN, EMPTY, GET, HEAD_OF_300, POST_OF_300, UNTIL_CLOSE, doubtful};
use crate::exchange::model::{
    Defect::{self, *},
    Doubt::{CaptureEnded, Encrypted, SequenceHole},
    FindingKind::*,
    Side,
    Verdict::*,
};
use crate::packet::Endpoint;
use crate::time::Span;

const REFUSED: &[u8] = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n";

fn asked() -> Talk {
    Talk::opened().say(Client, GET).ack(Server)
}

fn taken() -> Talk {
    asked().say(Server, EMPTY).ack(Client)
}

/// The exchange that was settled last.
macro_rules! last {
    ($talk:expr) => {
        $talk.seen().exchanges.pop().expect("an exchange")
    };
}

// An early answer.

fn answered_early() -> Talk {
    let talk = Talk::opened().say(Client, POST_OF_300).say(Client, BODY);
    talk.ack(Server).say(Server, REFUSED).ack(Client)
}

#[test]
fn an_early_answer_with_a_rst_for_the_rest_is_no_answer_to_rely_on() {
    let exchange = answered_early().rst(Server).exchange();
    assert_eq!(exchange.verdict(), (ServerResetEarlyAnswer, CERTAIN));
    assert_eq!(exchange.statuses().0, Some(401));
    assert_eq!(exchange.event("server_rst"), Some(9));
    assert_eq!(exchange.event("request_last"), Some(5));
    assert_eq!(exchange.0.good(), Some(false));
    assert_eq!(exchange.envoy()[0], ["UC"]);
    let closed = answered_early().fin(Server).unaware().say(Client, BODY);
    let exchange = closed.bare_rst(Server).exchange();
    assert_eq!(exchange.verdict().0, ServerResetEarlyAnswer);
    assert_eq!(exchange.closes(), [None, None, Some(9), Some(11)]);
}

#[test]
fn an_early_answer_is_one_too_if_the_rest_was_sent_before_the_rst() {
    let talk = answered_early().say(Client, [b'x'; 200]).bare_rst(Server);
    assert_eq!(talk.verdict().0, ServerResetEarlyAnswer);
}

#[test]
fn an_early_answer_to_a_client_that_leaves_is_an_answer() {
    let had_all = answered_early().say(Client, [b'x'; 200]).ack(Server);
    let later = had_all.after(5000.0).bare_rst(Server);
    assert_eq!(later.verdict().0, Ok, "it had all of the request");
    let begun = b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\n";
    let cut = Talk::opened().say(Client, POST_OF_300).say(Client, BODY);
    let cut = cut.ack(Server).say(Server, begun).ack(Client);
    let cut = cut.say(Client, [b'x'; 200]).ack(Server).rst(Server);
    assert_eq!(cut.verdict(), (ServerTruncatedResponse, CERTAIN));
    let unread = Talk::opened().say(Client, POST_OF_300).say(Client, BODY);
    let unread = unread.ack(Server).say(Server, REFUSED);
    let had_all = unread.unaware().say(Client, [b'x'; 200]).ack(Server);
    assert_eq!(had_all.rst(Server).verdict().0, Ok);
    let left = answered_early().fin(Client).ack(Server).rst(Server);
    assert_eq!(left.verdict().0, Ok);
    let whole = taken().rst(Server);
    assert_eq!(whole.verdict(), (Ok, CERTAIN));
}

// Framing that a proxy must refuse.

fn answer(fields: &str) -> Talk {
    let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
    asked().say(Server, head).ack(Client)
}

fn defect(fields: &str) -> Option<Defect> {
    let exchange = answer(fields).exchange();
    let invalid = exchange.verdict().0 == ServerInvalidResponse;
    assert_eq!(invalid, exchange.0.defect.is_some(), "{fields}");
    exchange.0.defect
}

#[test]
fn what_two_readers_may_read_differently_a_proxy_must_refuse() {
    for (fields, known) in [
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0",
            TransferEncodingTwice,
        ),
        (
            "Transfer-Encoding: chunked, chunked\r\n\r\n0",
            TransferEncodingTwice,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0",
            TransferEncodingWithLength,
        ),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0",
            TransferEncodingWithLength,
        ),
        ("Transfer-Encoding: gzip", TransferEncodingNotChunked),
        (
            "Transfer-Encoding: chunked, gzip",
            TransferEncodingNotChunked,
        ),
        ("Content-Length: 0\r\nContent-Length: 1", LengthsDiffer),
        ("Content-Length: 0, 1", LengthsDiffer),
        ("Content-Length: -1", LengthInvalid),
        ("Content-Length: +0", LengthInvalid),
        ("Content-Length:", LengthInvalid),
        ("Content-Length: 99999999999999999999", LengthInvalid),
        ("Content-Length: 0x0", LengthInvalid),
        ("no colon\r\nContent-Length: 0", FieldWithoutColon),
        ("a b: c\r\nContent-Length: 0", FieldName),
        ("a: b\0c\r\nContent-Length: 0", ControlByte),
        ("a: b\rc\r\nContent-Length: 0", BareCr),
    ] {
        assert_eq!(defect(fields), Some(known), "{fields:?}");
    }
}

#[test]
fn what_every_reader_reads_alike_is_passed_on() {
    for fields in [
        "Content-Length: 0",
        "Content-Length: 0\r\nContent-Length: 0",
        "Content-Length: 0, 0",
        "Transfer-Encoding: chunked\r\n\r\n0",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0",
        "Content-Length: 0\r\nX-Name: caf\u{e9}",
        "Content-Length: 0\r\nX-Folded: a\r\n b",
    ] {
        assert_eq!(defect(fields), None, "{fields:?}");
    }
}

#[test]
fn a_204_or_1xx_has_no_transfer_encoding() {
    let head = b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n";
    let exchange = asked().say(Server, head).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (ServerInvalidResponse, CERTAIN));
    assert_eq!(exchange.statuses().0, Some(204));
    assert_eq!(exchange.envoy()[0], ["UPE"]);
    let head = b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n";
    let exchange = asked().say(Server, head).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
}

#[test]
fn a_client_that_leaves_an_invalid_answer_did_not_give_up() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n";
    let talk = asked().say(Server, head).ack(Client).fin(Client);
    assert_eq!(talk.verdict().0, ServerInvalidResponse);
}

// Answers that end with the connection.

#[test]
fn an_answer_that_ends_with_the_connection_ends_with_the_servers_fin() {
    let begun = || {
        asked()
            .say(Server, UNTIL_CLOSE)
            .say(Server, BODY)
            .ack(Client)
    };
    let whole = begun().fin(Server).ack(Client).fin(Client).ack(Server);
    assert_eq!(whole.verdict(), (Ok, CERTAIN));
    let left = begun()
        .after(5000.0)
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    let exchange = left.exchange();
    assert_eq!(exchange.verdict(), (ClientGaveUpMidResponse, CERTAIN));
    assert_eq!(exchange.gap("response_silence"), Some(5001));
    let lost = begun().after(5000.0).missing().fin(Client).ack(Server);
    let lost = lost.fin(Server).ack(Client).exchange();
    assert_eq!(lost.verdict(), doubtful(Ok, SequenceHole));
    let half = begun()
        .fin(Client)
        .ack(Server)
        .unaware()
        .say(Server, BODY)
        .ack(Client);
    let exchange = half.fin(Server).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert!(exchange.half_closed());
}

// Silence.

#[test]
fn silence_inside_a_response_counts_from_its_last_byte_before_the_close() {
    let begun = asked()
        .say(Server, HEAD_OF_300)
        .ack(Client)
        .after(700.0)
        .say(Server, BODY);
    let left = begun.ack(Client).after(2000.0).fin(Client);
    let exchange = left.clone().ack(Server).exchange();
    assert_eq!(exchange.gap("response_silence"), Some(2001));
    assert_eq!(exchange.event("response_last"), Some(8));
    assert_eq!(exchange.envoy()[0], ["SI", "DC"]);
    let dripping = left.unaware().say(Server, BODY).bare_rst(Client);
    assert_eq!(dripping.exchange().gap("response_silence"), Some(2001));
}

#[test]
fn a_request_that_stops_has_stalled() {
    let stopped = Talk::opened()
        .say(Client, POST_OF_300)
        .say(Client, BODY)
        .ack(Server);
    let timed_out = b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n";
    let exchange = stopped
        .clone()
        .after(5000.0)
        .say(Server, timed_out)
        .ack(Client)
        .fin(Client)
        .ack(Server)
        .exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.0.good(), Some(false));
    assert_eq!(exchange.findings(), [(RequestStalled, vec![5], 5001)]);
    assert_eq!(exchange.gap("request_silence"), Some(5001));
    assert_eq!(exchange.0.request_announced, Some(340));
    assert_eq!(exchange.bytes().0, 140);
    let closed = stopped.clone().after(60_000.0).fin(Server).exchange();
    assert_eq!(closed.verdict(), (ServerClosedUnanswered, CERTAIN));
    assert_eq!(closed.findings(), [(RequestStalled, vec![5], 60_001)]);
    let soon = stopped.after(900.0).fin(Server).exchange();
    assert_eq!(soon.findings(), []);
}

#[test]
fn whoever_waits_for_a_100_need_not_send_the_body() {
    let head = b"POST / HTTP/1.1\r\nContent-Length: 300\r\nExpect: 100-continue\r\n\r\n";
    let waits = Talk::opened().say(Client, head).ack(Server);
    let refused = waits.clone().say(Server, REFUSED).ack(Client).exchange();
    assert_eq!(refused.0.good(), Some(true));
    let late = waits
        .clone()
        .after(1000.0)
        .say(Client, [b'x'; 300])
        .ack(Server);
    let late = late.say(Server, EMPTY).ack(Client).exchange();
    assert_eq!(late.findings(), [(ExpectUnanswered, vec![4, 6], 1001)]);
    let told = waits
        .say(Server, b"HTTP/1.1 100 Continue\r\n\r\n")
        .after(1500.0);
    let told = told.say(Client, [b'x'; 300]).say(Server, EMPTY).ack(Client);
    assert_eq!(
        told.exchange().findings(),
        [(SlowRequestBody, vec![4, 7], 1502)]
    );
}

// What was whole when.

#[test]
fn a_message_is_whole_when_its_last_missing_byte_is_seen() {
    let talk = Talk::opened().say(Client, POST_OF_300);
    let talk = talk.ahead(100).say(Client, [b'x'; 200]).after(2000.0);
    let talk = talk.say(Client, BODY).send(Client, ACK, b"");
    let exchange = talk.ack(Server).say(Server, EMPTY).ack(Client).exchange();
    assert_eq!(exchange.event("request_end"), Some(6));
    assert_eq!(exchange.gap("request_duration"), Some(2001));
    assert_eq!(exchange.gap("request_to_response"), Some(3));
}

// Keep-alive.

#[test]
fn a_fin_that_covers_no_byte_of_the_request_crossed_it() {
    let crossed = taken()
        .after(5000.0)
        .say(Client, GET)
        .all_but(18)
        .fin(Server);
    let raced = crossed.clone().ack(Client).bare_rst(Server);
    let exchange = last!(raced);
    assert_eq!(exchange.verdict(), (ServerClosedUnanswered, CERTAIN));
    assert_eq!(exchange.findings(), [(KeepaliveRace, vec![8, 9, 11], 0)]);
    assert_eq!(exchange.gap("idle_before"), Some(5001));
    let took_it = taken()
        .after(5000.0)
        .say(Client, GET)
        .fin(Server)
        .ack(Client);
    assert_eq!(last!(took_it.clone()).findings(), []);
    let reset_then = took_it.ack(Client).bare_rst(Server);
    assert_eq!(last!(reset_then).findings(), [], "it had the request");
}

#[test]
fn a_bare_rst_after_idling_comes_from_a_stranger() {
    let talk = taken().after(60_000.0).say(Client, GET).bare_rst(Server);
    let exchange = last!(talk);
    // Or a FIN is missing, that had crossed the request.
    let verdict = doubtful(ServerResetUnanswered, SequenceHole);
    assert_eq!(exchange.verdict(), verdict);
    assert_eq!(exchange.findings(), [(StrangerReset, vec![9], 60_001)]);
    let busy = last!(taken().say(Client, GET).bare_rst(Server));
    assert_eq!(
        busy.verdict(),
        doubtful(ServerResetUnanswered, SequenceHole)
    );
    assert_eq!(busy.findings(), []);
}

// What nobody acknowledged.

#[test]
fn a_request_sent_again_and_again_was_never_acknowledged() {
    let again = |talk: Talk| talk.after(400.0).back(18).say(Client, GET);
    let talk = again(again(Talk::opened().say(Client, GET)));
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict(), doubtful(Unanswered, CaptureEnded));
    assert_eq!(
        exchange.findings(),
        [(RequestUnacknowledged, vec![4, 5, 6], 800)]
    );
    assert_eq!(talk.ack(Server).exchange().findings()[0].0, Retransmission);
}

#[test]
fn large_segments_that_are_lost_beside_small_ones_are_too_large() {
    let begun = asked().say(Server, &HEAD_OF_300[..20]).ack(Client);
    let large = || {
        begun
            .clone()
            .say(Server, [&HEAD_OF_300[20..], &[b'x'; 300]].concat())
    };
    let again = |talk: Talk| talk.after(300.0).back(320).say(Server, [b'x'; 320]);
    let lost = again(again(large())).exchange();
    assert_eq!(lost.findings()[0].0, ResponseUnacknowledged);
    assert!(lost.0.only_large_lost);
    let small = begun.clone().say(Server, &HEAD_OF_300[20..]);
    let small = small
        .after(300.0)
        .back(20)
        .say(Server, &HEAD_OF_300[20..])
        .exchange();
    assert!(!small.0.only_large_lost);
}

#[test]
fn what_was_sent_behind_the_clients_back_did_not_come() {
    let talk = asked().say(Server, HEAD_OF_300).ack(Client);
    let talk = talk
        .say(Server, BODY)
        .say(Server, BODY)
        .all_but(200)
        .fin(Client);
    let exchange = talk.bare_rst(Client).exchange();
    assert_eq!(exchange.verdict().0, ClientGaveUpMidResponse);
    assert_eq!(exchange.bytes().1, 40);
}

// Windows.

#[test]
fn the_windows_of_one_side_are_one_finding() {
    let closed = |talk: Talk| {
        talk.window(Client, 0)
            .ack(Client)
            .after(80.0)
            .window(Client, 9)
    };
    let talk = closed(asked().say(Server, HEAD_OF_300)).ack(Client);
    let exchange = closed(talk).ack(Client).exchange();
    assert_eq!(exchange.findings(), [(ZeroWindow, vec![7, 8, 9, 10], 160)]);
    assert_eq!(exchange.0.findings[0].side, Side::Client);
}

// Waiting.

#[test]
fn the_caller_waited_for_the_connection_that_was_opened_for_its_request() {
    let opened = |pause: f64| {
        let talk = Talk::new().syn(Client).after(200.0).syn_ack().ack(Client);
        let talk = talk
            .after(pause)
            .say(Client, GET)
            .say(Server, EMPTY)
            .ack(Client);
        talk.say(Client, GET).say(Server, EMPTY).ack(Client).seen()
    };
    let waits = |pause| {
        opened(pause)
            .exchanges
            .iter()
            .map(|one| one.gap("wait"))
            .collect::<Vec<_>>()
    };
    assert_eq!(waits(10.0), [Some(212), Some(1)]);
    assert_eq!(waits(10.1), [Some(1), Some(1)]);
    let gave_up = asked().after(500.0).fin(Client).ack(Server).exchange();
    assert_eq!(gave_up.gap("wait"), Some(504));
}

// PROXY headers, targets and who answered.

#[test]
fn a_proxy_header_names_the_client_and_is_no_request() {
    let header = b"PROXY TCP4 192.0.2.7 10.0.0.2 5000 80\r\n";
    let talk = Talk::opened()
        .say(Client, header)
        .say(Client, GET)
        .say(Server, EMPTY);
    let exchange = talk.ack(Client).exchange();
    assert_eq!(exchange.findings(), [(ProxyProtocol, vec![4], 0)]);
    let client = exchange.0.proxied.and_then(|header| header.client);
    assert_eq!(client, Some(Endpoint::v4([192, 0, 2, 7], 5000)));
}

#[test]
fn a_proxy_header_may_be_cut_anywhere() {
    let sent = [&b"PROXY TCP4 192.0.2.7 10.0.0.2 5000 80\r\n"[..], GET].concat();
    // Five letters of it could as well be a method's.
    for cut in 6..sent.len() {
        let (begin, rest) = sent.split_at(cut);
        let talk = Talk::opened().say(Client, begin).say(Client, rest);
        let exchange = talk.say(Server, EMPTY).ack(Client).exchange();
        assert_eq!(exchange.findings(), [(ProxyProtocol, vec![4], 0)], "{cut}");
        let client = exchange.0.proxied.and_then(|header| header.client);
        assert_eq!(client, Some(Endpoint::v4([192, 0, 2, 7], 5000)), "{cut}");
    }
}

#[test]
fn a_target_with_blanks_is_told_as_it_was_sent_however_it_was_cut() {
    let request = b"GET /files/a b.txt HTTP/1.1\r\nHost: catalog\r\n\r\n";
    for cut in [request.len(), 12, 13, 14, 20, 30] {
        let (begin, rest) = request.split_at(cut);
        let mut talk = Talk::opened().say(Client, begin);
        if !rest.is_empty() {
            talk = talk.say(Client, rest);
        }
        let exchange = talk.say(Server, EMPTY).ack(Client).exchange();
        assert_eq!(exchange.0.path.as_deref(), Some("/files/a b.txt"), "{cut}");
        assert_eq!(exchange.0.authority.as_deref(), Some("catalog"), "{cut}");
    }
}

#[test]
fn an_answer_that_a_proxy_made_is_told_by_its_body_too() {
    let answer = |body: &str, chunked: bool| {
        let (framing, body) = match chunked {
            true => (
                "Transfer-Encoding: chunked".to_owned(),
                format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            ),
            false => (format!("Content-Length: {}", body.len()), body.to_owned()),
        };
        let head = format!("HTTP/1.1 504 No\r\nServer: envoy\r\n{framing}\r\n\r\n");
        asked()
            .say(Server, head)
            .say(Server, body)
            .ack(Client)
            .exchange()
    };
    for chunked in [false, true] {
        let exchange = answer("upstream request timeout", chunked);
        let by = exchange.0.answered_by.as_deref().expect("a proxy");
        assert_eq!(by.flag, "UT");
        assert_eq!(exchange.envoy()[2], ["UT"]);
        assert!(
            answer("the database is slow", chunked)
                .0
                .answered_by
                .is_none()
        );
    }
}

#[test]
fn a_fin_on_an_answer_is_no_rst() {
    let talk = answered_early().send(Server, FIN.with(ACK), b"");
    assert_eq!(talk.verdict().0, Ok);
}

// TLS without keys, tunnels.

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend((content.len() as u16).to_be_bytes());
    record.extend(content);
    record
}

fn client_hello() -> Vec<u8> {
    record(22, &[1, 0, 0, 2, 3, 3])
}

#[test]
fn the_alert_that_announces_a_close_ends_no_silence() {
    let asked = || {
        let talk = Talk::opened().say(Client, client_hello()).ack(Server);
        let talk = talk
            .say(Server, record(22, &[2, 0, 0, 2, 3, 3]))
            .ack(Client);
        talk.say(Client, record(23, &[9; 300]))
            .ack(Server)
            .after(500.0)
    };
    let silence = |talk: Talk| {
        let left = talk.fin(Client).ack(Server).connection();
        let silence = left.silence.map(|gap| gap.as_millis().round());
        (silence, left.last_byte_by)
    };
    let client = Some(Side::Client);
    assert_eq!(silence(asked()), (Some(501.0), client));
    // TLS 1.3 hides the type and not the length; TLS 1.2 shows it, also of one that is encrypted.
    for alert in [
        record(23, &[7; 19]),
        record(21, &[1, 0]),
        record(21, &[7; 26]),
    ] {
        assert_eq!(silence(asked().say(Client, alert)), (Some(502.0), client));
    }
    // Another record, two of them, and one that came earlier are what somebody said.
    let two = [record(23, &[7; 19]), record(23, &[7; 19])].concat();
    for said in [record(23, &[7; 20]), two] {
        assert_eq!(silence(asked().say(Client, said)), (Some(1.0), client));
    }
    let earlier = asked().say(Client, record(23, &[7; 19])).after(9.0);
    assert_eq!(silence(earlier), (Some(9.0), client));
    let others = asked().say(Server, record(23, &[7; 19]));
    assert_eq!(silence(others), (Some(1.0), Some(Side::Server)));
}

#[test]
fn a_tls_hello_without_an_answer_and_who_left() {
    let asked = || Talk::opened().say(Client, client_hello()).ack(Server);
    let left = asked().after(10_000.0).fin(Client).ack(Server).connection();
    assert_eq!((left.verdict, left.doubt), (Some(TlsUnanswered), CERTAIN));
    let unheard = Talk::opened()
        .say(Client, client_hello())
        .after(9000.0)
        .fin(Client);
    assert_eq!(
        unheard.connection().doubt,
        Some(SequenceHole),
        "the path may be gone"
    );
    let gone = asked().after(9000.0).bare_rst(Client).connection();
    assert_eq!(gone.doubt, Some(SequenceHole));
    assert_eq!(left.silence.map(|gap| gap.as_millis()), Some(10_001.0));
    assert_eq!(left.last_byte_by, Some(Side::Client));
    assert_eq!(asked().rst(Server).connection().verdict, Some(TlsFailed));
    assert_eq!(asked().connection().verdict, None, "not yet");
    let waiting = asked().after(1000.0).ack(Client).connection();
    assert_eq!(waiting.verdict, Some(TlsUnanswered));
}

#[test]
fn a_tls_handshake_that_is_ended_inside_has_failed() {
    let answered = || {
        let talk = Talk::opened().say(Client, client_hello());
        talk.say(Server, record(22, &[2, 0, 0, 2, 3, 3]))
    };
    let by_fin = answered().fin(Client).ack(Server).connection();
    assert_eq!(by_fin.verdict, Some(TlsFailed));
    let alert = answered()
        .say(Client, record(21, &[2, 48]))
        .fin(Client)
        .connection();
    assert_eq!(alert.verdict, Some(TlsFailed));
    assert_eq!(alert.alert().map(|alert| alert.name()), Some("unknown_ca"));
    let whole = answered().say(Server, [record(20, &[1]), record(23, &[0; 90])].concat());
    let whole = whole.say(Client, [record(20, &[1]), record(23, &[0; 53])].concat());
    assert_eq!(whole.fin(Client).ack(Server).connection().verdict, None);
}

/// A server's hello that chooses TLS 1.3 and TLS_AES_128_GCM_SHA256.
fn server_hello() -> Vec<u8> {
    let chosen = [0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4];
    record(
        22,
        &[[2, 0, 0, 46, 3, 3].as_slice(), &[7; 32], &chosen].concat(),
    )
}

/// A handshake of TLS 1.3 that both sides finished, the client with a record of that length: 53 are
/// a mere Finished.
fn encrypted_with(flight: usize) -> Talk {
    let talk = Talk::opened().say(Client, client_hello());
    let talk = talk.say(Server, [server_hello(), record(23, &[0; 90])].concat());
    talk.say(Client, record(23, &vec![0; flight])).ack(Server)
}

fn encrypted() -> Talk {
    encrypted_with(53)
}

#[test]
fn an_alert_that_meets_a_certificate_refuses_it_unless_the_client_had_left() {
    let alert = || record(23, &[7; 19]);
    let refused = encrypted_with(1600).say(Server, alert()).fin(Server);
    let refused = refused.connection();
    let said = refused.alert().map(|alert| (alert.by, alert.description));
    assert_eq!(
        (refused.verdict, refused.doubt),
        (Some(TlsFailed), Some(Encrypted))
    );
    assert_eq!(said, Some((Side::Server, None)));
    let verdict = |talk: Talk| talk.fin(Server).connection().verdict;
    // A prober that is content; a server that says good-bye; one that wants no certificate.
    let probed = encrypted_with(1600).fin(Client).ack(Server);
    assert_eq!(verdict(probed.say(Server, alert())), None);
    let idle = encrypted_with(1600).after(10_000.0);
    assert_eq!(verdict(idle.say(Server, alert())), None);
    assert_eq!(verdict(encrypted().say(Server, alert())), None);
    // Two bytes of data are as long.
    let works = encrypted_with(1600).say(Server, alert());
    assert_eq!(verdict(works.say(Server, record(23, &[7; 90]))), None);
}

#[test]
fn two_bytes_of_data_are_no_farewell() {
    let ping = || record(23, &[7; 19]);
    let asked = encrypted().say(Client, record(23, &[9; 300])).after(20.0);
    let talk = asked.say(Server, ping()).say(Server, record(23, &[9; 90]));
    let left = talk.after(500.0).fin(Client).ack(Server).connection();
    assert_eq!(left.verdict, None);
    let tls = left.tls.unwrap();
    assert_eq!((tls.bursts.client, tls.bursts.server), (1, 1));
    assert_eq!(tls.close_notify, [Some(false), Some(false)]);
}

#[test]
fn an_answer_that_is_missing_is_no_silence() {
    let asked = encrypted().say(Client, record(23, &[9; 300])).ack(Server);
    let lost = asked.missing().say(Server, record(23, &[9; 90]));
    let left = lost.ack(Client).after(500.0).fin(Client).ack(Server);
    assert_eq!(left.connection().verdict, None);
}

#[test]
fn a_warning_ends_no_handshake() {
    let warning = record(21, &[1, 112]);
    let talk = Talk::opened().say(Client, client_hello());
    let hello = record(22, &[2, 0, 0, 2, 3, 3]);
    let talk = talk.say(Server, [warning, hello, record(23, &[0; 90])].concat());
    let talk = talk.say(Client, record(23, &[0; 53])).ack(Server);
    let served = talk.fin(Client).ack(Server).connection();
    assert_eq!((served.verdict, served.alert()), (None, None));
}

#[test]
fn a_client_of_tls_that_closes_while_nothing_has_come_back_left_waiting() {
    let asked = || encrypted().say(Client, record(23, &[9; 300])).ack(Server);
    let left = asked().after(500.0).fin(Client).ack(Server).connection();
    assert_eq!(
        (left.verdict, left.doubt),
        (Some(TlsLeftWaiting), Some(Encrypted))
    );
    assert_eq!(left.idle.map(|idle| idle.as_millis().round()), Some(501.0));
    let late = asked().after(500.0).fin(Client).ack(Server);
    let late = late.say(Server, record(23, &[9; 200])).connection();
    assert_eq!(late.verdict, Some(TlsLeftWaiting), "that came too late");
    let at_once = asked().fin(Client).ack(Server).connection();
    assert_eq!(at_once.verdict, None);
    let answered = asked().say(Server, record(23, &[9; 200])).after(500.0);
    assert_eq!(answered.fin(Client).ack(Server).connection().verdict, None);
    let closed = asked().after(500.0).fin(Server).ack(Client).connection();
    assert_eq!(closed.verdict, None, "the server closed");
    assert_eq!(asked().after(500.0).connection().verdict, None, "not yet");
}

/// A server that hears so at once may have its FIN out first, with what it still had to say.
#[test]
fn whoever_says_first_that_it_closes_is_the_first_to_leave() {
    let asked = || encrypted().say(Client, record(23, &[9; 300])).ack(Server);
    let notify = || record(23, &[7; 19]);
    let late = || [record(23, &[9; 2749]), notify()].concat();
    let left = || asked().after(500.0).say(Client, notify());
    let slow = left()
        .say(Server, late())
        .fin(Server)
        .rst(Client)
        .connection();
    assert_eq!(slow.verdict, Some(TlsLeftWaiting));
    assert_eq!(slow.close.map(|close| close.by), Some(Side::Client));
    assert_eq!(slow.last_byte_by, Some(Side::Client));
    let ms = |gap: Option<Span>| gap.map(|gap| gap.as_millis().round());
    assert_eq!(
        (ms(slow.idle), ms(slow.silence)),
        (Some(501.0), Some(501.0))
    );
    // Much later it is another matter, and so is the same from the other side.
    let later = left().after(100.0).fin(Server).rst(Client).connection();
    assert_eq!(later.verdict, None);
    let ends = asked()
        .after(500.0)
        .say(Server, notify())
        .say(Client, notify());
    let ends = ends.fin(Client).fin(Server).connection();
    assert_eq!(ends.verdict, None);
    assert_eq!(ends.close.map(|close| close.by), Some(Side::Server));
}

#[test]
fn tls_and_plain_text_do_not_understand_each_other() {
    let plain = Talk::opened()
        .say(Client, client_hello())
        .say(Server, REFUSED);
    assert_eq!(plain.connection().verdict, Some(TlsRefusedPlain));
    let tls = Talk::opened()
        .say(Client, GET)
        .say(Server, record(21, &[2, 10]));
    let seen = tls.fin(Server).seen();
    assert_eq!(seen.connections[0].verdict, Some(PlainRefusedTls));
    assert_eq!(seen.exchanges[0].verdict().0, ServerInvalidResponse);
    // Bytes like those of TLS, on a connection that has answered in plain text.
    let http = asked().say(Server, EMPTY).ack(Client).say(Client, GET);
    let http = http.say(Server, record(21, &[2, 10])).fin(Server).seen();
    assert_eq!(http.connections[0].verdict, None);
    assert_eq!(http.exchanges[1].verdict().0, ServerInvalidResponse);
}

#[test]
fn a_tunnels_silence_is_its_connections() {
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    let talk = asked()
        .say(Server, switched)
        .ack(Client)
        .say(Client, b"\x81\x00");
    let connection = talk.ack(Server).after(2000.0).fin(Server).connection();
    assert!(connection.tunnel);
    assert_eq!(connection.silence.map(|gap| gap.as_millis()), Some(2001.0));
    assert_eq!(connection.last_byte_by, Some(Side::Client));
}

// Exchanges that belong together.

#[test]
fn a_request_with_the_id_of_another_is_its_retry() {
    let failed = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    let again = |path: &str, first: &[u8]| {
        let request = |path: &str| format!("GET {path} HTTP/1.1\r\nX-Request-Id: one\r\n\r\n");
        let talk = Talk::opened().say(Client, request("/a"));
        let talk = talk.say(Server, first).ack(Client).after(30.0);
        let talk = talk.say(Client, request(path)).say(Server, EMPTY);
        talk.ack(Client).seen().exchanges
    };
    let tries = again("/a", failed);
    assert_eq!(tries[1].0.relations.retry_of, Some(0));
    assert_eq!(tries[1].findings(), [(Retry, vec![4, 7], 32)]);
    // An id is a trace's, too: of what follows from one request, and of what a test asks for ever.
    for traced in [again("/b", failed), again("/a", EMPTY)] {
        assert_eq!(traced[1].0.relations.retry_of, None);
        assert_eq!(traced[1].findings(), []);
    }
    let attempt = b"GET / HTTP/1.1\r\nx-envoy-attempt-count: 2\r\n\r\n";
    let second = Talk::opened()
        .say(Client, attempt)
        .say(Server, EMPTY)
        .ack(Client);
    assert_eq!(second.exchange().findings(), [(Retry, vec![4], 0)]);
}

#[test]
fn a_port_that_answers_others_has_a_full_queue() {
    let opened = asked()
        .say(Server, EMPTY)
        .ack(Client)
        .fin(Client)
        .ack(Server)
        .fin(Server);
    let later = opened
        .ack(Client)
        .anew()
        .client_port(40_001)
        .after(2000.0)
        .syn(Client);
    let again = later
        .after(1000.0)
        .back(1)
        .syn(Client)
        .after(2000.0)
        .back(1)
        .syn(Client);
    let connections = again.seen().connections;
    assert_eq!(connections[1].verdict, Some(ConnectTimeout));
    assert!(connections[1].server_answered_others);
    let alone = Talk::new()
        .syn(Client)
        .after(1000.0)
        .back(1)
        .syn(Client)
        .connection();
    assert!(!alone.server_answered_others);
}
