//! `follow`: nothing is shown that is to be masked, a frame belongs to its own exchange, and no
//! packet is blamed for nothing.

use super::{folder, good, run};
use crate::corpus;
use meshsniff::testing::frames::{answer, data, frame, get, literals, preface, window};
use meshsniff::testing::{ACK, End, Talk, write_pcap};

/// `follow` on what was said, with these arguments.
fn follow(talk: &Talk, args: &[&str]) -> String {
    let folder = folder();
    let path = folder.path().join("talk.pcap");
    write_pcap(&path, talk.packets()).expect("a capture");
    let path = path.to_str().expect("a path");
    good(run(&[&["follow", path], args].concat()))
}

#[test]
fn a_folded_value_is_masked() {
    let mut talk = Talk::opened("folded");
    talk.say(
        End::Client,
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\r\n abcdef\r\n\tghijkl\r\nX-A: seen\r\n\r\n",
    );
    talk.ack(End::Server).wait(1.0);
    talk.say(
        End::Server,
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1;\r\n mnopqr\r\nContent-Length: 0\r\n\r\n",
    );
    talk.ack(End::Client);
    let out = follow(&talk, &["--exchange", "0"]);
    for secret in ["abcdef", "ghijkl", "mnopqr"] {
        assert!(!out.contains(secret), "{secret}\n{out}");
    }
    assert!(out.contains("X-A: seen"), "{out}");
    let out = follow(&talk, &["--exchange", "0", "--show-secrets"]);
    assert!(out.contains(" mnopqr"), "{out}");
}

#[test]
fn what_follows_a_hole_in_a_head_is_not_shown() {
    let mut talk = Talk::opened("hole");
    talk.say(End::Client, b"GET /a HTTP/1.1\r\nHost: a\r\nCookie: ");
    talk.uncaptured(End::Client, 10);
    talk.say(End::Client, b"abcdef\r\nX-A: b\r\n\r\n")
        .ack(End::Server);
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    talk.ack(End::Client).wait(1.0);
    talk.say(End::Client, b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
        .ack(End::Server);
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    talk.ack(End::Client);
    let out = follow(&talk, &["--frame", "4", "--connection", "--body", "99"]);
    assert!(!out.contains("abcdef"), "{out}");
    assert!(
        out.contains("10 bytes are missing from the capture"),
        "{out}"
    );
    assert!(out.contains("GET /b HTTP/1.1\n"), "{out}");
}

#[test]
fn a_frame_of_a_pipelined_exchange() {
    let mut talk = Talk::opened("pipelined");
    for path in ["a", "b"] {
        let request = format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n");
        talk.say(End::Client, request.as_bytes());
    }
    talk.ack(End::Server).wait(1.0);
    talk.say(
        End::Server,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n1",
    );
    let first = talk.packets().len().to_string();
    talk.say(End::Server, b"2");
    let inside = talk.packets().len().to_string();
    talk.say(End::Server, b"3").ack(End::Client);
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let second = talk.packets().len().to_string();
    talk.ack(End::Client);
    for (frame, path) in [(&first, "/a"), (&inside, "/a"), (&second, "/b")] {
        let out = follow(&talk, &["--frame", frame]);
        let line = out.lines().next().expect("a line");
        assert!(line.contains(path), "{frame}: {out}");
    }
}

#[test]
fn a_packet_of_http_2_belongs_to_the_stream_that_begins_in_it() {
    let mut talk = Talk::opened("shares");
    let all = [preface(), get(1, "/a"), get(3, "/b")].concat();
    talk.say(End::Client, &all).ack(End::Server);
    let heads = [answer(1, false, "200"), answer(3, false, "200")].concat();
    talk.say(End::Server, &heads).ack(End::Client);
    // A piece of one body, and the beginning of the other.
    let long = data(1, false, &[b'x'; 30]);
    talk.say(End::Server, &long[..20]);
    talk.say(End::Server, &long[20..30]);
    talk.say(End::Server, &[&long[30..], &data(3, false, b"y")].concat());
    talk.say(End::Client, &[window(1, 9), window(0, 9)].concat());
    talk.say(End::Server, &data(1, true, b"")).ack(End::Client);
    talk.say(End::Server, &data(3, true, b"")).ack(End::Client);
    for (frame, stream) in [
        ("8", 1),
        ("9", 1),
        ("10", 3),
        ("11", 1),
        ("12", 1),
        ("14", 3),
    ] {
        let out = follow(&talk, &["--frame", frame]);
        let line = out.lines().next().expect("a line");
        assert!(
            line.ends_with(&format!(", stream {stream}")),
            "{frame}: {line}"
        );
    }
    let folder = folder();
    let path = folder.path().join("talk.pcap");
    write_pcap(&path, talk.packets()).expect("a capture");
    let path = path.to_str().expect("a path");
    for (frame, told) in [
        (
            "4",
            "has pieces of 2 streams; name one: --exchange 0 for stream 1, 1 for 3",
        ),
        ("6", "has pieces of 2 streams"),
    ] {
        let done = run(&["follow", path, "--frame", frame]);
        assert!(done.err.contains(told), "{frame}: {}", done.err);
        let out = good(run(&["follow", path, "--frame", frame, "--all-streams"]));
        assert!(out.contains("/b"), "{out}");
    }
}

#[test]
fn keep_alives_and_probes_are_no_retransmissions() {
    let mut talk = Talk::opened("no-repeat");
    talk.say(
        End::Client,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n",
    );
    talk.wait(5.0).ack(End::Server);
    let (seq, ack) = (talk.next_seq(End::Client), talk.next_seq(End::Server));
    talk.raw(End::Client, ACK, seq.wrapping_sub(1), ack, b"\0");
    talk.wait(5.0).window(End::Server, 0).ack(End::Server);
    talk.raw(End::Client, ACK, seq, ack, b"x").wait(5.0);
    talk.raw(End::Client, ACK, seq, ack, b"x").wait(5.0);
    talk.window(End::Server, 1000).ack(End::Server);
    talk.say(End::Client, b"xy").ack(End::Server);
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    talk.ack(End::Client);
    let out = follow(&talk, &["--exchange", "0"]);
    assert!(!out.contains("retransmission"), "{out}");
    assert!(out.contains("keep-alive\n"), "{out}");
    assert!(out.contains("2 bytes of body"), "{out}");
}

#[test]
fn one_byte_is_no_bytes() {
    let mut talk = Talk::opened("one-byte");
    talk.say(End::Client, b"GET /a HTTP/1.1\r\nHost: a\r\nX-A: ");
    talk.uncaptured(End::Client, 1);
    talk.say(End::Client, b"\n").ack(End::Server);
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    talk.ack(End::Client);
    let out = follow(&talk, &["--frame", "4", "--connection"]);
    for told in [
        "1 byte is missing from the capture",
        "1 byte of a message whose beginning is not in the capture",
    ] {
        assert!(out.contains(told), "{told}\n{out}");
    }
}

/// `follow` on a capture of the corpus, with these arguments.
fn follow_captured(name: &str, args: &[&str]) -> String {
    let path = corpus::folder().join(name);
    let path = path.to_str().expect("a path");
    good(run(&[&["follow", path], args].concat()))
}

#[test]
fn a_call_alone_and_among_others() {
    let alone = follow_captured("grpc-go.pcap", &["--exchange", "3"]);
    assert!(alone.contains("exchange 3, stream 7"), "{alone}");
    for told in [
        "▶  :path: /shop.v1.Catalog/Chat\n",
        "◀  HEADERS: response ",
        "◀  message of 12 bytes\n",
        "▶  DATA: nothing more, END_STREAM ",
        "◀  HEADERS: trailers, END_STREAM ",
        "◀  grpc-status: 0\n",
    ] {
        assert!(alone.contains(told), "{told:?}\n{alone}");
    }
    assert!(!alone.contains("PING"), "{alone}");
    let all = follow_captured("grpc-go.pcap", &["--exchange", "3", "--all-streams"]);
    assert!(
        all.contains("stream\n") && all.contains("▶  PING\n"),
        "{all}"
    );
    assert!(all.contains("9  ▶  HEADERS: request\n"), "{all}");
}

#[test]
fn frames_that_end_streams_have_names() {
    let out = follow_captured("http2-resets.pcap", &["--exchange", "1"]);
    assert!(out.contains("▶  RST_STREAM: CANCEL "), "{out}");
    let out = follow_captured("http2-resets.pcap", &["--exchange", "18"]);
    assert!(out.contains("◀  GOAWAY: NO_ERROR, last stream 1 "), "{out}");
}

#[test]
fn an_upgrade_to_frames_is_followed() {
    let out = follow_captured("http2-upgrade.pcap", &["--exchange", "0", "--connection"]);
    for told in [
        "◀  HTTP/1.1 101 Switching Protocols\n",
        "0  ▶  preface of HTTP/2\n",
        "◀  SETTINGS: MAX_CONCURRENT_STREAMS 100, INITIAL_WINDOW_SIZE 65,535",
        "1  ◀  HEADERS: response ",
        "◀  DATA: 32 bytes, END_STREAM\n",
    ] {
        assert!(out.contains(told), "{told:?}\n{out}");
    }
    let out = follow_captured("http2-joined.pcap", &["--exchange", "0"]);
    let unknown = "▶  (unknown field: first sent outside the capture)\n";
    assert!(out.contains(unknown), "{out}");
}

#[test]
fn secrets_in_frames_are_masked() {
    let secret = [("authorization", "Bearer abcdef"), ("x-a", "seen")];
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let mut talk = Talk::opened("secret-frames");
    talk.say(End::Client, &preface());
    // Its sender calls the last one a secret.
    let sealed = [&[0x10][..], &literals(&[("x-b", "ghijkl")])[1..]].concat();
    let block = [literals(&[&fields[..], &secret].concat()), sealed].concat();
    talk.say(End::Client, &frame(1, 5, 1, &block))
        .ack(End::Server);
    talk.say(End::Server, &answer(1, true, "200"))
        .ack(End::Client);
    let out = follow(&talk, &["--exchange", "0"]);
    for told in [
        "authorization: (redacted, 13 bytes)",
        "x-b: (redacted, 6 bytes)",
    ] {
        assert!(out.contains(told), "{told}\n{out}");
    }
    assert!(out.contains("x-a: seen"), "{out}");
    let out = follow(
        &talk,
        &["--exchange", "0", "--show-secrets", "--redact", "x-a"],
    );
    assert!(
        out.contains("Bearer abcdef") && out.contains("ghijkl"),
        "{out}"
    );
    assert!(out.contains("x-a: (redacted, 4 bytes)"), "{out}");
}

#[test]
fn a_value_whose_name_is_unknown_is_masked() {
    let mut talk = Talk::new("no-name");
    // Index 62 is the newest entry of a table that nobody saw.
    let block = [
        &literals(&[(":method", "GET"), (":path", "/")])[..],
        b"\x7e\x06abcdef",
    ]
    .concat();
    talk.say(End::Client, &frame(1, 5, 7, &block))
        .ack(End::Server);
    talk.say(End::Server, &answer(7, true, "200"));
    talk.ack(End::Client);
    let out = follow(&talk, &["--exchange", "0"]);
    assert!(out.contains("(unknown name): (redacted, 6 bytes)"), "{out}");
    let out = follow(&talk, &["--exchange", "0", "--show-secrets"]);
    assert!(out.contains("(unknown name): abcdef"), "{out}");
}

#[test]
fn a_websocket_is_followed_to_its_end() {
    let capture = corpus::own_folder().join("websocket.pcap");
    let capture = capture.to_str().expect("a path");
    let follow = |number: &str, also: &[&str]| {
        good(run(
            &[&["follow", capture, "--exchange", number], also].concat()
        ))
    };
    let parts = follow("1", &[]);
    for line in [
        "▶  WebSocket text, 2 bytes, more to come",
        "◀  WebSocket binary, 66,048 bytes",
        "◀  WebSocket Close 1000 (done)",
        "▶  WebSocket Close 1000 (done)",
    ] {
        assert!(parts.contains(line), "{line}: {parts}");
    }
    assert!(follow("8", &[]).contains("RST: the client resets"));
    // Payloads are shown without their masks.
    let chat = follow("0", &["--body", "100"]);
    assert!(
        chat.contains("▶    hello") && chat.contains("◀    hello"),
        "{chat}"
    );
}
