//! WebSocket: frames, how they end, and what the capture lacks of them. Server-sent events.

use super::talk::{
    End::{self, Client, Server},
    Talk,
};
use super::{CERTAIN, Settled};
use crate::exchange::model::{
    FindingKind::{PingUnanswered, WebsocketCloseCode, WebsocketNoClose, WebsocketViolation},
    Frames, Side,
    Verdict::*,
    Violation, WebSocket,
};
use crate::testing::frames::{answer, data, headers, preface, reset, settings, settings_ack};
use crate::testing::websocket::{frame, masked};
use crate::time::Span;

const ASK: &[u8] = b"GET /live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n";
/// A Close that says 1000.
const DONE: &[u8] = b"\x03\xe8";

/// Frames 1 to 5: the tunnel is open.
fn opened() -> Talk {
    Talk::opened().say(Client, ASK).say(Server, SWITCH)
}

fn said(side: End, first: u8, payload: &[u8]) -> Vec<u8> {
    match side {
        Client => masked(first, payload),
        Server => frame(first, payload),
    }
}

trait Speaks {
    fn frame(self, side: End, first: u8, payload: &[u8]) -> Self;
}

impl Speaks for Talk {
    fn frame(self, side: End, first: u8, payload: &[u8]) -> Self {
        self.say(side, said(side, first, payload))
    }
}

fn of(exchange: &Settled) -> &WebSocket {
    exchange.0.websocket.as_deref().expect("a WebSocket")
}

fn all(exchange: &Settled) -> [u64; 2] {
    of(exchange).frames.map(|frames| frames.all())
}

#[test]
fn frames_are_counted_and_a_proper_close_is_no_finding() {
    let talk = opened()
        .frame(Client, 0x81, b"hello")
        .frame(Server, 0x02, b"one")
        .frame(Server, 0x89, b"")
        .frame(Server, 0x80, b"two")
        .frame(Client, 0x8a, b"")
        .after(700.0)
        .frame(Client, 0x88, DONE)
        .frame(Server, 0x88, DONE)
        .ack(Client);
    let exchange = talk.clone().fin(Server).fin(Client).exchange();
    assert_eq!(exchange.verdict(), (Upgraded, CERTAIN));
    let websocket = of(&exchange);
    let [client, server] = websocket.frames;
    assert_eq!(
        client,
        Frames {
            text: 1,
            pong: 1,
            close: 1,
            ..Frames::default()
        }
    );
    assert_eq!((server.binary, server.continuation, server.ping), (1, 1, 1));
    assert_eq!(websocket.bytes, [7, 8]);
    assert_eq!(websocket.longest_silence, Span::from_millis(700));
    assert_eq!(websocket.longest_pong, Some(Span::from_millis(2)));
    assert_eq!(websocket.closed_by, Some(Side::Client));
    assert_eq!(websocket.close_code, Some(1000));
    assert!(websocket.close_answered && websocket.is_whole());
    assert_eq!(exchange.findings(), []);
    // It is settled as soon as both have said that they close.
    assert_eq!(of(&talk.exchange()), websocket);
}

#[test]
fn frames_in_the_packet_of_the_101_and_over_several_packets_are_read() {
    let first = [SWITCH, &frame(0x81, b"welcome")].concat();
    let long = masked(0x82, &[0; 300]);
    let talk = Talk::opened().say(Client, ASK).say(Server, first);
    let talk = talk.say(Client, &long[..3]).say(Client, &long[3..200]);
    let exchange = talk.say(Client, &long[200..]).exchange();
    assert_eq!(all(&exchange), [1, 1]);
    assert_eq!(exchange.findings(), []);
}

#[test]
fn a_tunnel_that_ends_without_a_close_is_told() {
    let talk = opened()
        .frame(Server, 0x81, b"a")
        .ack(Client)
        .after(2_000.0);
    let reset = talk.clone().rst(Server).exchange();
    assert_eq!(reset.findings(), [(WebsocketNoClose, vec![8], 2_001)]);
    assert_eq!(reset.0.findings[0].side, Side::Server);
    assert_eq!(of(&reset).longest_silence, Span::from_millis(2_001));
    let finished = talk.fin(Client).fin(Server).ack(Client).exchange();
    assert_eq!(finished.findings(), [(WebsocketNoClose, vec![8], 2_001)]);
    assert_eq!(finished.0.findings[0].side, Side::Client);
    assert_eq!(finished.verdict(), (Upgraded, CERTAIN));
}

#[test]
fn a_close_that_nobody_answers_is_told_with_both_frames() {
    let talk = opened().frame(Client, 0x88, DONE).fin(Server).fin(Client);
    let exchange = talk.ack(Server).exchange();
    assert_eq!(exchange.findings(), [(WebsocketNoClose, vec![6, 7], 1)]);
    assert_eq!(of(&exchange).closed_by, Some(Side::Client));
    assert!(!of(&exchange).close_answered);
}

#[test]
fn a_tunnel_that_is_still_open_at_the_end_is_not_told_to_have_died() {
    let exchange = opened().frame(Client, 0x81, b"a").exchange();
    assert_eq!(exchange.findings(), []);
    assert_eq!(all(&exchange), [1, 0]);
}

#[test]
fn a_close_with_a_code_of_trouble_is_told() {
    let talk = opened().frame(Server, 0x88, b"\x03\xf3no room");
    let talk = talk.frame(Client, 0x88, b"\x03\xf3");
    let exchange = talk.fin(Server).fin(Client).ack(Server).exchange();
    assert_eq!(exchange.findings(), [(WebsocketCloseCode, vec![6], 0)]);
    let websocket = of(&exchange);
    assert_eq!(websocket.failure(), Some(1011));
    assert_eq!(websocket.close_reason.as_deref(), Some("no room"));
}

#[test]
fn a_ping_that_is_never_answered_is_told() {
    let talk = opened().frame(Server, 0x89, b"1").frame(Server, 0x89, b"2");
    let talk = talk.frame(Client, 0x8a, b"1").after(3_000.0);
    let exchange = talk.clone().rst(Server).exchange();
    let findings = [
        (WebsocketNoClose, vec![9], 3_000),
        (PingUnanswered, vec![7], 3_001),
    ];
    assert_eq!(exchange.findings(), findings);
    assert_eq!(exchange.0.findings[1].side, Side::Client);
    // An answer to a later one answers those before it.
    let talk = opened().frame(Server, 0x89, b"1").frame(Server, 0x89, b"2");
    let talk = talk.frame(Client, 0x8a, b"2").after(3_000.0).rst(Server);
    assert_eq!(talk.exchange().findings().len(), 1);
}

#[test]
fn a_mask_on_the_wrong_side_is_told_and_the_frames_are_counted() {
    let talk = opened().say(Client, frame(0x81, b"bare"));
    let exchange = talk.frame(Client, 0x81, b"good").exchange();
    assert_eq!(exchange.findings(), [(WebsocketViolation, vec![6], 0)]);
    let bare = Some((Side::Client, Violation::Unmasked));
    assert_eq!(of(&exchange).violation, bare);
    assert_eq!(all(&exchange), [2, 0]);
}

#[test]
fn what_is_no_frame_ends_the_count() {
    let talk = opened().frame(Server, 0x81, b"a").say(Server, b"garbage");
    let exchange = talk.frame(Client, 0x81, b"a").fin(Server).exchange();
    assert_eq!(exchange.findings(), [(WebsocketViolation, vec![7], 0)]);
    assert_eq!(of(&exchange).whole, [true, false]);
    assert_eq!(all(&exchange), [1, 1]);
}

#[test]
fn a_hole_in_a_payload_hides_no_frame_and_another_ends_the_count() {
    let long = frame(0x82, &[7; 300]);
    let talk = opened().say(Server, &long[..50]);
    let talk = talk.missing().say(Server, &long[50..200]);
    let talk = talk.say(Server, &long[200..]).frame(Server, 0x81, b"a");
    let whole = talk.clone().ack(Client).exchange();
    assert_eq!((all(&whole), of(&whole).whole), ([0, 2], [true, true]));
    let talk = talk.missing().frame(Server, 0x81, b"b");
    let talk = talk.frame(Server, 0x81, b"c").ack(Client).rst(Client);
    let cut = talk.exchange();
    assert_eq!((all(&cut), of(&cut).whole), ([0, 2], [true, false]));
    // A Close may have been among what is missing.
    assert_eq!(cut.findings(), []);
}

#[test]
fn frames_that_an_agent_hides_are_unknown_and_break_no_rule() {
    let talk = opened().say(Client, [0; 40]).say(Server, [0; 9]);
    let exchange = talk.rst(Server).exchange();
    assert_eq!(exchange.findings(), []);
    assert_eq!(of(&exchange).whole, [false, false]);
}

#[test]
fn another_protocol_behind_a_101_is_no_websocket() {
    let talk = Talk::opened().say(Client, ASK);
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\n\r\n";
    let exchange = talk.say(Server, switch).say(Server, b"x").exchange();
    assert_eq!(exchange.verdict(), (Upgraded, CERTAIN));
    assert!(exchange.0.websocket.is_none());
}

// On a stream of HTTP/2.

/// Stream 1 is a WebSocket, from frame 8 on.
fn on_stream() -> Talk {
    let connect = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/live"),
        (":authority", "shop"),
    ];
    Talk::opened()
        .say(Client, preface())
        .say(Server, [settings(&[(8, 1)]), settings_ack()].concat())
        .say(Client, headers(1, false, &connect))
        .say(Server, answer(1, false, "200"))
}

trait Streams {
    fn data(self, side: End, end: bool, first: u8, payload: &[u8]) -> Self;
}

impl Streams for Talk {
    fn data(self, side: End, end: bool, first: u8, payload: &[u8]) -> Self {
        self.say(side, data(1, end, &said(side, first, payload)))
    }
}

#[test]
fn a_stream_that_is_a_websocket_is_read_like_a_connection() {
    let talk = on_stream()
        .data(Client, false, 0x81, b"a")
        .data(Server, false, 0xc1, b"b")
        .data(Client, true, 0x88, DONE)
        .data(Server, true, 0x88, DONE)
        .ack(Client);
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict(), (Upgraded, CERTAIN));
    assert_eq!(all(&exchange), [2, 2]);
    assert_eq!(of(&exchange).compressed, [0, 1]);
    assert_eq!(exchange.findings(), []);
}

#[test]
fn a_stream_that_is_reset_or_ended_without_a_close_is_told() {
    let talk = on_stream().data(Client, false, 0x81, b"a");
    let talk = talk.say(Server, reset(1, 8)).ack(Client);
    let exchange = talk.exchange();
    assert_eq!(exchange.findings(), [(WebsocketNoClose, vec![9], 1)]);
    assert_eq!(exchange.0.findings[0].side, Side::Server);
    let talk = on_stream().say(Client, data(1, true, b""));
    let talk = talk.say(Server, data(1, true, b"")).ack(Client);
    let exchange = talk.exchange();
    assert_eq!(exchange.findings(), [(WebsocketNoClose, vec![8], 1)]);
    assert_eq!(exchange.0.findings[0].side, Side::Client);
}

// Server-sent events.

const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Transfer-Encoding: chunked\r\n\r\n";

#[test]
fn events_are_counted_in_chunks() {
    let talk = Talk::opened().say(Client, b"GET /live HTTP/1.1\r\n\r\n");
    let talk = talk.say(Server, EVENTS);
    let talk = talk.say(Server, b"9\r\ndata: a\n\n\r\n4\r\ndata\r\n");
    let talk = talk.after(400.0).say(Server, b"9\r\n: b\n\n:\n\nx\r\n");
    let exchange = talk.say(Server, b"0\r\n\r\n").ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    let stream = exchange.0.event_stream.expect("events");
    assert_eq!((stream.events, stream.comments), (Some(2), Some(1)));
    assert_eq!(stream.longest_silence, Span::from_millis(400));
}

#[test]
fn a_silence_goes_up_to_the_close_and_a_hole_hides_events() {
    let ask = b"GET /live HTTP/1.1\r\n\r\n";
    let talk = Talk::opened().say(Client, ask).say(Server, EVENTS);
    let left = talk.clone().ack(Client).after(900.0).rst(Client).exchange();
    assert_eq!(left.verdict().0, ClientGaveUpMidResponse);
    let stream = left.0.event_stream.expect("events");
    assert_eq!(stream.events, Some(0));
    assert_eq!(stream.longest_silence, Span::from_millis(901));
    let talk = talk.say(Server, b"9\r\ndata: a\n\n\r\n").missing();
    let talk = talk.say(Server, b"9\r\ndata: a\n\n\r\n");
    let holed = talk.say(Server, b"9\r\ndata: a\n\n\r\n").ack(Client);
    let stream = holed.exchange().0.event_stream.expect("events");
    assert_eq!(stream.events, None);
}

#[test]
fn events_on_a_stream_are_counted() {
    let begun = [(":status", "200"), ("content-type", "text/event-stream")];
    let talk = Talk::opened()
        .say(Client, preface())
        .say(Server, [settings(&[]), settings_ack()].concat())
        .say(Client, crate::testing::frames::get(1, "/live"))
        .say(Server, headers(1, false, &begun))
        .say(Server, data(1, false, b"data: a\n\n"))
        .say(Server, data(1, true, b": x\n\n"))
        .ack(Client);
    let stream = talk.exchange().0.event_stream.expect("events");
    assert_eq!((stream.events, stream.comments), (Some(1), Some(1)));
}
