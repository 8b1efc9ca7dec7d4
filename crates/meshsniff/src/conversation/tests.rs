//! What is said of conversations, HTTP/1, HTTP/2 and WebSocket.

use super::*;
use crate::exchange::ErrorCode;
use crate::packet::LinkType;
use crate::testing::frames::{
    answer, data, frame, get, goaway, headers, literals, message, ping, post, preface, reset,
    settings, settings_ack, window,
};
use crate::testing::websocket::{frame as frame_of_websocket, masked};
use crate::testing::{Packet, TcpSegment};

struct Wire {
    conversation: Conversation,
    frames: u64,
    window: u16,
    /// The interface of the next packet.
    taps: u32,
}

const CLIENT: Endpoint = Endpoint::v4([10, 0, 0, 1], 1024);
const SERVER: Endpoint = Endpoint::v4([10, 0, 0, 2], 80);

impl Wire {
    fn new(body: usize) -> Self {
        Self {
            conversation: Conversation::new(CLIENT, SERVER, body, 0..=u64::MAX),
            frames: 0,
            window: 0xffff,
            taps: 0,
        }
    }

    fn send(&mut self, from_client: bool, seq: u32, ack: u32, flags: u8, data: &[u8]) {
        let (from, to) = if from_client {
            (CLIENT, SERVER)
        } else {
            (SERVER, CLIENT)
        };
        let packet = TcpSegment {
            from,
            to,
            seq,
            ack,
            flags: Flags::from_bits(flags),
            window: self.window,
            id: 0,
            options: &[],
            payload: data,
        };
        self.frames += 1;
        let micros = self.frames as i64 * 100;
        let mut packet = Packet::new(self.frames, micros * 1_000, LinkType::Raw, packet.ip());
        packet.interface = self.taps;
        self.conversation.frame(&packet.frame(), self.frames);
    }

    /// What was said, a line for each entry.
    fn said(self) -> Vec<String> {
        let (entries, left_out) = self.conversation.finish();
        assert_eq!(left_out, 0);
        entries.iter().map(shown).collect()
    }
}

/// An entry, in short.
fn shown(entry: &Entry) -> String {
    let what = match &entry.what {
        What::Line { line, cut, .. } => {
            let cut = if *cut { " (cut)" } else { "" };
            format!("{}{cut}", String::from_utf8_lossy(line))
        }
        What::Body {
            size, begin, whole, ..
        } => {
            format!("body {size} {:?} {whole}", String::from_utf8_lossy(begin))
        }
        What::Frame(told) => {
            format!("{} {}", entry.stream.unwrap(), plain(told))
        }
        What::Other { size, begin, .. } => {
            format!("other {size} {:?}", String::from_utf8_lossy(begin))
        }
        What::WebSocket { header, piece, .. } => {
            let text = String::from_utf8_lossy(&piece.begin);
            let whole = if piece.whole { "" } else { " (cut)" };
            format!("{:?} {} {text:?}{whole}", header.opcode, header.length)
        }
        What::Missing(size) => format!("missing {size}"),
        What::Again(size) => format!("again {size}"),
        What::KeepAlive => "keep-alive".to_owned(),
        What::Probe => "probe".to_owned(),
        What::Control(flags) => format!("flags {:02x}", flags.bits()),
    };
    let arrow = if entry.from == Side::Client { '>' } else { '<' };
    format!("{} {arrow} {what}", entry.mark.frame.number())
}

/// What a frame says, in short.
fn plain(told: &Told) -> String {
    let text = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => "?".to_owned(),
    };
    let ended = |end: &bool| if *end { " end" } else { "" };
    match told {
        Told::Block { block, end } => format!("{block:?}{}", ended(end)),
        Told::Field(field) => format!("{}={}", text(&field.name), text(&field.value)),
        Told::Data { piece, end } => {
            let begin = String::from_utf8_lossy(&piece.begin);
            let cut = if piece.whole { "" } else { " cut" };
            format!("data {} {begin:?}{cut}{}", piece.size, ended(end))
        }
        Told::Message {
            compressed,
            length,
            piece,
            end,
            ..
        } => {
            let packed = if *compressed { " compressed" } else { "" };
            let size = piece.size;
            format!("message {size} of {length}{packed}{}", ended(end))
        }
        Told::Reset(code) => format!("reset {}", code.map_or("?", ErrorCode::name)),
        Told::Goaway { last, code, .. } => format!("goaway {last} {}", code.name()),
        Told::Settings(settings) => format!("settings {}", settings.len()),
        Told::Passed(frame) => format!("passed {:?}", frame.kind),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_request_in_two_segments_and_its_answer() {
    let mut wire = Wire::new(3);
    wire.send(true, 100, 0, 0x02, b"");
    wire.send(false, 500, 101, 0x12, b"");
    wire.send(
        true,
        101,
        501,
        0x18,
        b"POST /a HTTP/1.1\r\nHost: b\r\nContent-",
    );
    wire.send(true, 136, 501, 0x18, b"Length: 5\r\n\r\nhello");
    wire.send(
        false,
        501,
        154,
        0x18,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    wire.send(true, 154, 541, 0x11, b"");
    assert_eq!(
        wire.said(),
        [
            "1 > flags 02",
            "2 < flags 12",
            "3 > POST /a HTTP/1.1",
            "3 > Host: b",
            "3 > Content-Length: 5",
            "4 > ",
            "4 > body 5 \"hel\" true",
            "5 < HTTP/1.1 200 OK",
            "5 < Content-Length: 2",
            "5 < ",
            "5 < body 2 \"hi\" true",
            "6 > flags 11",
        ]
    );
}

#[test]
fn out_of_order_again_and_missing() {
    let mut wire = Wire::new(0);
    wire.send(true, 101, 501, 0x18, b"GET / HTTP/1.1\r\n\r\n");
    wire.send(true, 101, 501, 0x18, b"GET / HTTP/1.1\r\n\r\n");
    // A body of 10, whose second half comes before the first, and of which two bytes never
    // come.
    wire.send(
        false,
        501,
        119,
        0x18,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    );
    wire.send(false, 545, 119, 0x18, b"fghij");
    wire.send(false, 542, 119, 0x18, b"cde");
    wire.send(true, 119, 550, 0x10, b"");
    let said = wire.said();
    assert!(said.contains(&"2 > again 18".to_owned()), "{said:#?}");
    assert!(
        said.iter().any(|line| line.ends_with("< missing 2")),
        "{said:#?}"
    );
}

#[test]
fn a_cut_head_a_tunnel_and_no_http() {
    let mut wire = Wire::new(0);
    wire.send(true, 101, 501, 0x18, b"GET /cut HTTP/1.1\r\nHost: x");
    assert_eq!(wire.said(), ["1 > GET /cut HTTP/1.1", "1 > Host: x (cut)"]);
    let mut wire = Wire::new(2);
    wire.send(true, 101, 501, 0x18, b"CONNECT a:1 HTTP/1.1\r\n\r\n");
    wire.send(false, 501, 125, 0x18, b"HTTP/1.1 200 OK\r\n\r\nabc");
    wire.send(true, 125, 523, 0x18, b"\x16\x03\x01");
    let said = wire.said();
    assert!(said.contains(&"2 < other 3 \"ab\"".to_owned()), "{said:#?}");
    assert!(
        said.iter().any(|line| line.starts_with("3 > other 3")),
        "{said:#?}"
    );
    let mut wire = Wire::new(0);
    wire.send(true, 101, 501, 0x18, b"\x16\x03\x01garbage");
    assert_eq!(wire.said(), ["1 > other 10 \"\""]);
}

#[test]
fn a_head_request_has_no_body_in_its_answer() {
    let mut wire = Wire::new(0);
    wire.send(true, 101, 501, 0x18, b"HEAD / HTTP/1.1\r\n\r\n");
    wire.send(
        false,
        501,
        120,
        0x18,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    );
    wire.send(false, 540, 120, 0x18, b"HTTP/1.1 408 Late\r\n\r\n");
    let said = wire.said();
    assert!(
        said.contains(&"3 < HTTP/1.1 408 Late".to_owned()),
        "{said:#?}"
    );
}

#[test]
fn what_follows_a_hole_is_counted_and_the_next_message_is_told() {
    let mut wire = Wire::new(0);
    wire.send(true, 100, 0, 0x02, b"");
    wire.send(
        true,
        101,
        501,
        0x18,
        b"GET /a HTTP/1.1\r\nHost: a\r\nCookie: ",
    );
    // Ten bytes are missing.
    wire.send(true, 145, 501, 0x18, b"secret\r\nx: y\r\n\r\n");
    wire.send(true, 161, 501, 0x18, b"GET /b HTTP/1.1\r\n\r\n");
    wire.send(false, 501, 180, 0x10, b"");
    let said = wire.said();
    let said: Vec<&str> = said
        .iter()
        .map(|line| line.split_once(' ').unwrap().1)
        .filter(|line| !line.contains("flags"))
        .collect();
    assert_eq!(
        said,
        [
            "> GET /a HTTP/1.1",
            "> Host: a",
            "> Cookie:  (cut)",
            "> other 16 \"\"",
            "> GET /b HTTP/1.1",
            "> ",
            "> missing 10",
        ]
    );
}

#[test]
fn a_capture_that_begins_inside_a_body() {
    let mut wire = Wire::new(0);
    wire.send(false, 501, 101, 0x18, b"rest\nAuthorization: x\r\n\r\n");
    // An answer to what was asked before: the server has not got the HEAD yet.
    wire.send(true, 101, 526, 0x18, b"HEAD / HTTP/1.1\r\n\r\n");
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    wire.send(false, 526, 101, 0x18, ok);
    wire.send(false, 564, 101, 0x18, b"abc");
    wire.send(false, 567, 120, 0x18, ok);
    wire.send(false, 605, 120, 0x18, b"HTTP/1.1 408 Late\r\n\r\n");
    let said = wire.said();
    assert_eq!(said[0], "1 < other 25 \"\"");
    let has = |line: &str| said.iter().any(|said| said == line);
    assert!(has("4 < body 3 \"\" true"), "{said:#?}");
    assert!(has("5 < HTTP/1.1 200 OK"), "{said:#?}");
    assert!(has("6 < HTTP/1.1 408 Late"), "{said:#?}");
}

#[test]
fn no_retransmission_without_one() {
    let mut wire = Wire::new(0);
    wire.send(true, 100, 0, 0x02, b"");
    wire.send(false, 500, 101, 0x12, b"");
    wire.send(true, 101, 501, 0x18, b"GET / HTTP/1.1\r\n\r\n");
    // The same packet on another interface, a keep-alive, and a probe of a closed window.
    wire.taps = 1;
    wire.send(true, 101, 501, 0x18, b"GET / HTTP/1.1\r\n\r\n");
    wire.taps = 0;
    wire.send(true, 118, 501, 0x10, b"\0");
    wire.window = 0;
    wire.send(false, 501, 119, 0x10, b"");
    wire.window = 0xffff;
    wire.send(true, 119, 501, 0x10, b"G");
    wire.send(true, 119, 501, 0x10, b"G");
    wire.send(false, 501, 120, 0x10, b"");
    wire.send(true, 120, 501, 0x18, b"ET /b HTTP/1.1\r\n\r\n");
    let said = wire.said();
    assert!(!said.iter().any(|line| line.contains("again")), "{said:#?}");
    for line in ["5 > keep-alive", "7 > probe", "8 > probe"] {
        assert!(said.iter().any(|said| said == line), "{said:#?}");
    }
    assert!(
        said.iter().any(|line| line.ends_with("> GET /b HTTP/1.1")),
        "{said:#?}"
    );
}

#[test]
fn only_what_is_wanted_is_kept() {
    let mut wire = Wire::new(0);
    wire.conversation = Conversation::new(CLIENT, SERVER, 0, 2..=2);
    for (at, path) in (0..).zip(["a", "b", "c"]) {
        let request = format!("GET /{path} HTTP/1.1\r\n\r\n");
        wire.send(true, 101 + at * 19, 501, 0x18, request.as_bytes());
    }
    assert_eq!(wire.said(), ["2 > GET /b HTTP/1.1", "2 > "]);
}

#[test]
fn a_folded_line_names_its_field() {
    let mut wire = Wire::new(0);
    wire.send(true, 101, 501, 0x18, b"GET / HTTP/1.1\r\nCookie: a\r\n\tb");
    let (entries, _) = wire.conversation.finish();
    let folds = entries.iter().map(|entry| match &entry.what {
        What::Line { folds, .. } => folds.clone(),
        _ => None,
    });
    let folds: Vec<_> = folds.collect();
    assert_eq!(folds, [None, None, Some(b"Cookie".to_vec())]);
}

/// A 101 that agrees on WebSocket, and what both sides say behind it.
fn tunnel(server: &[u8], client: &[&[u8]]) -> Wire {
    let mut wire = Wire::new(99);
    wire.send(
        true,
        101,
        501,
        0x18,
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    );
    let head = b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n";
    let said = [&head[..], server].concat();
    wire.send(false, 501, 139, 0x18, &said);
    let mut at = 139;
    for part in client {
        wire.send(true, at, 501 + said.len() as u32, 0x18, part);
        at += part.len() as u32;
    }
    wire
}

#[test]
fn frames_of_websocket_are_told_one_by_one() {
    let hello = masked(0x81, b"hello");
    let server = [
        frame_of_websocket(0x01, b"a"),
        frame_of_websocket(0x80, b"b"),
    ]
    .concat();
    let close = masked(0x88, b"\x03\xe8");
    let said = tunnel(&server, &[&hello[..4], &hello[4..], &close]).said();
    assert_eq!(
        said[6..],
        [
            "2 < Text 1 \"a\"",
            "2 < Continuation 1 \"b\"",
            "4 > Text 5 \"hello\"",
            "5 > Close 2 \"\\u{3}�\"",
        ]
    );
}

#[test]
fn a_websocket_on_a_stream_is_told_by_its_frames() {
    let mut wire = Wire::new(99);
    wire.send(true, 100, 0, 0x02, b"");
    wire.send(false, 500, 101, 0x12, b"");
    let (mut sent, mut answered) = (101, 501);
    let mut say = |from_client: bool, bytes: &[u8]| {
        let (seq, ack) = if from_client {
            (sent, answered)
        } else {
            (answered, sent)
        };
        wire.send(from_client, seq, ack, 0x18, bytes);
        let at = if from_client {
            &mut sent
        } else {
            &mut answered
        };
        *at += bytes.len() as u32;
    };
    let asks = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":path", "/"),
    ];
    say(true, &[preface(), headers(1, false, &asks)].concat());
    say(
        false,
        &[settings(&[]), settings_ack(), answer(1, false, "200")].concat(),
    );
    let hello = masked(0x81, b"hello");
    say(true, &[data(1, false, &hello[..4]), get(3, "/x")].concat());
    say(true, &data(1, false, &hello[4..]));
    say(false, &data(1, false, &frame_of_websocket(0x82, b"b")));
    // What is no frame is a part of a body, as what ends the stream is.
    say(true, &data(1, true, b"garbage"));
    say(false, &data(1, true, b""));
    let (entries, _) = wire.conversation.finish();
    let of_first = entries.iter().filter(|entry| entry.stream == Some(1));
    let told: Vec<String> = of_first.skip(6).map(shown).collect();
    let expected = [
        "6 > Text 5 \"hello\"",
        "7 < Binary 1 \"b\"",
        "8 > 1 data 7 \"garbage\" end",
        "9 < 1 data 0 \"\" end",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_no_frame_of_websocket_is_counted() {
    let said = tunnel(b"", &[&masked(0x81, b"a"), b"garbage", b"more"]).said();
    assert_eq!(
        said[6..],
        ["3 > Text 1 \"a\"", "4 > other 11 \"garbagemore\""]
    );
}

/// What was said in frames, without the preface and what both sides say of themselves.
fn spoken(said: &[String]) -> Vec<&str> {
    let dull = ["flags", "Preface", "settings", "Settings"];
    let said = said.iter().map(String::as_str);
    said.filter(|line| !dull.iter().any(|dull| line.contains(dull)))
        .collect()
}

/// A wire on which both sides send these bytes, in segments of `size`, the client first.
fn talk(client: &[u8], server: &[u8], size: usize) -> Vec<String> {
    let mut wire = Wire::new(99);
    wire.send(true, 100, 0, 0x02, b"");
    wire.send(false, 500, 101, 0x12, b"");
    let mut sent = 0;
    for part in client.chunks(size) {
        wire.send(true, 101 + sent, 501, 0x18, part);
        sent += part.len() as u32;
    }
    let mut at = 501;
    for part in server.chunks(size) {
        wire.send(false, at, 101 + sent, 0x18, part);
        at += part.len() as u32;
    }
    wire.said()
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[test]
fn frames_however_they_are_cut() {
    let client = [
        preface(),
        headers(1, false, &[(":method", "POST"), (":path", "/a.B/C"), GRPC]),
        data(1, false, &message(false, b"abc")[..4]),
        get(3, "/x"),
        data(
            1,
            true,
            &[&message(false, b"abc")[4..], &message(true, b"d")].concat(),
        ),
    ];
    let server = [
        settings(&[(3, 100), (9, 1)]),
        settings_ack(),
        headers(1, false, &[(":status", "200"), GRPC]),
        answer(3, false, "200"),
        data(3, false, b"he"),
        data(1, false, &message(false, b"")),
        data(3, true, b"y"),
        headers(1, true, &[("grpc-status", "0")]),
        goaway(3, 0),
    ];
    let plain = |said: Vec<String>| -> Vec<String> {
        let said = said.into_iter().filter(|line| !line.contains("flags"));
        let said = said.map(|line| line.split_once(' ').unwrap().1.to_owned());
        said.collect()
    };
    let expected = [
        "> 0 Preface",
        "> 0 settings 0",
        "> 1 Request",
        "> 1 :method=POST",
        "> 1 :path=/a.B/C",
        "> 1 content-type=application/grpc",
        "> 3 Request end",
        "> 3 :method=GET",
        "> 3 :scheme=http",
        "> 3 :path=/x",
        "> 1 message 3 of 3",
        "> 1 message 1 of 1 compressed end",
        "< 0 settings 2",
        "< 0 SettingsTaken",
        "< 1 Response",
        "< 1 :status=200",
        "< 1 content-type=application/grpc",
        "< 3 Response",
        "< 3 :status=200",
        "< 3 data 2 \"he\"",
        "< 1 message 0 of 0",
        "< 3 data 1 \"y\" end",
        "< 1 Trailers end",
        "< 1 grpc-status=0",
        "< 0 goaway 3 NO_ERROR",
    ];
    let (client, server) = (client.concat(), server.concat());
    for size in [1, 2, 3, 5, 8, 13, 24, 100, 1000] {
        assert_eq!(plain(talk(&client, &server, size)), expected, "{size}");
    }
}

#[test]
fn a_server_that_speaks_first() {
    let mut wire = Wire::new(0);
    wire.send(true, 100, 0, 0x02, b"");
    wire.send(false, 500, 101, 0x12, b"");
    let greeting = settings(&[(3, 100)]);
    wire.send(false, 501, 101, 0x18, &greeting);
    let at = 501 + greeting.len() as u32;
    wire.send(true, 101, at, 0x18, &[preface(), get(1, "/a")].concat());
    let said = wire.said();
    assert_eq!(
        said[2..5],
        ["3 < 0 settings 1", "4 > 0 Preface", "4 > 0 settings 0"]
    );
    assert!(said.contains(&"4 > 1 :path=/a".to_owned()), "{said:#?}");
}

#[test]
fn frames_behind_a_101() {
    let request = b"GET /up HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";
    let mut wire = Wire::new(9);
    wire.send(true, 101, 501, 0x18, request);
    let asked = 101 + request.len() as u32;
    let answered = [&switched[..], &settings(&[]), &answer(1, false, "200")].concat();
    wire.send(false, 501, asked, 0x18, &answered);
    let mut at = 501 + answered.len() as u32;
    wire.send(true, asked, at, 0x18, &preface());
    let last = data(1, true, b"up");
    wire.send(false, at, asked + preface().len() as u32, 0x18, &last);
    at += last.len() as u32;
    let more = asked + preface().len() as u32;
    wire.send(true, more, at, 0x18, &reset(3, 8));
    let said = wire.said();
    let ends = [
        "2 < Upgrade: h2c",
        "2 < ",
        "2 < 0 settings 0",
        "2 < 1 Response",
        "2 < 1 :status=200",
        "3 > 0 Preface",
        "3 > 0 settings 0",
        "4 < 1 data 2 \"up\" end",
        "5 > 3 reset CANCEL",
    ];
    assert!(said.ends_with(&ends.map(str::to_owned)), "{said:#?}");
}

#[test]
fn a_connection_joined_late() {
    let mut wire = Wire::new(9);
    // The end of a frame, and then fields of a table that nobody saw.
    wire.send(true, 101, 501, 0x18, b"rest of a frame");
    let block = [
        &[0x83, 0xbe, 0x7e, 0x01, b'v'][..],
        &literals(&[("a", "b")]),
    ]
    .concat();
    wire.send(true, 116, 501, 0x18, &frame(1, 5, 7, &block));
    wire.send(
        false,
        501,
        116,
        0x18,
        &[answer(7, true, "204"), ping(true)].concat(),
    );
    let said = wire.said();
    let expected = [
        "1 > other 15 \"rest of a\"",
        "2 > 7 Request end",
        "2 > 7 :method=POST",
        "2 > 7 ?=?",
        "2 > 7 ?=v",
        "2 > 7 a=b",
        "3 < 7 Response end",
        "3 < 7 :status=204",
        "3 < 0 Ping { answer: true }",
    ];
    assert_eq!(spoken(&said), expected);
}

#[test]
fn holes_in_frames_and_between_them() {
    let begin = [preface(), post(1, "/a")].concat();
    let body = data(1, false, b"0123456789");
    let mut wire = Wire::new(99);
    wire.send(true, 100, 0, 0x02, b"");
    wire.send(false, 500, 101, 0x12, b"");
    let mut at = 101;
    for (bytes, seen) in [
        (&begin[..], true),
        // Within a frame what follows is known, and behind it is the next one.
        (&body[..12], true),
        (&body[12..15], false),
        (&body[15..], true),
        // Between frames it is not.
        (&get(3, "/lost"), false),
        (&data(1, false, b"unread")[4..], true),
        (&[window(0, 5), get(5, "/b")].concat(), true),
    ] {
        if seen {
            wire.send(true, at, 501, 0x18, bytes);
        }
        at += bytes.len() as u32;
    }
    wire.send(false, 501, at, 0x10, b"");
    let said = wire.said();
    let mut spoken = spoken(&said);
    spoken.drain(..4);
    spoken.sort_unstable();
    let frames: Vec<_> = spoken
        .iter()
        .map(|line| line.split_once(' ').unwrap().1)
        .collect();
    let expected = [
        "> 1 data 10 \"0126789\"",
        "> other 11 \"\\0\\0\\0\\0\\u{1}unread\"",
        "> 0 Window(5)",
        "> 5 Request end",
        "> 5 :method=GET",
        "> 5 :scheme=http",
        "> 5 :path=/b",
    ];
    for line in expected {
        assert!(frames.contains(&line), "{line}: {said:#?}");
    }
    let missing = frames.iter().filter(|line| line.contains("missing"));
    assert_eq!(missing.count(), 2, "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("/lost")), "{said:#?}");
}

#[test]
fn a_message_that_never_becomes_whole() {
    let client = [
        preface(),
        headers(1, false, &[(":method", "POST"), (":path", "/a.B/C"), GRPC]),
        data(1, false, &message(false, b"abcdef")[..8]),
        reset(1, 8),
    ];
    let said = talk(&client.concat(), b"", 1000);
    assert_eq!(
        said[said.len() - 2..],
        ["3 > 1 message 3 of 6", "3 > 1 reset CANCEL"]
    );
}

#[test]
fn one_stream_and_what_ends_it() {
    let mut wire = Wire::new(0);
    wire.conversation = wire.conversation.of_stream(3);
    let said = [
        preface(),
        get(1, "/a"),
        get(3, "/b"),
        window(0, 1),
        window(3, 1),
        goaway(0, 0),
    ];
    wire.send(true, 101, 501, 0x18, &said.concat());
    wire.send(true, 101 + said.concat().len() as u32, 501, 0x11, b"");
    let expected = [
        "1 > 3 Request end",
        "1 > 3 :method=GET",
        "1 > 3 :scheme=http",
        "1 > 3 :path=/b",
        "1 > 3 Window(1)",
        "1 > 0 goaway 0 NO_ERROR",
        "2 > flags 11",
    ];
    assert_eq!(wire.said(), expected);
}

#[test]
fn a_short_block_that_says_much_is_bounded() {
    // One long value in the table, and then many times its index.
    let mut block = vec![0x40, 1, b'a', 0x7f, 0xb1, 0x1e];
    block.extend([b'v'; 4016]);
    block.extend([0xbe; 9000]);
    let client = [preface(), frame(1, 4, 1, &block)].concat();
    let mut wire = Wire::new(0);
    wire.send(true, 101, 501, 0x18, &client);
    let (entries, _) = wire.conversation.finish();
    let fields = entries.iter().filter_map(|entry| match &entry.what {
        What::Frame(Told::Field(field)) => Some(field),
        _ => None,
    });
    let kept: usize = fields
        .map(|field| field.value.as_ref().unwrap().len())
        .sum();
    assert!((10_000..100_000).contains(&kept), "{kept}");
    let more = |entry: &Entry| match entry.what {
        What::Frame(Told::MoreFields(more)) => Some(more),
        _ => None,
    };
    assert!(entries.iter().find_map(more) > Some(8_900));
}
