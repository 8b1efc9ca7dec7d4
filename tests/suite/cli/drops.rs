//! Packets that the kernel lost: what is missing is put down to that as soon as a capture says so.

use super::{exchanges, folder, good, json, report, run};
use meshsniff::pcapng::blocks::{self, Direction, Interface, Section, Statistics};
use meshsniff::testing::{End, Talk};
use meshsniff::time::Timestamp;
use std::path::PathBuf;
use tempfile::TempDir;

/// A capture of a response with a hole, which says before packet `at` that the kernel lost one.
fn capture(folder: &TempDir, at: usize) -> PathBuf {
    let mut talk = Talk::opened("drops");
    talk.say(End::Client, b"GET /items HTTP/1.1\r\nHost: catalog\r\n\r\n");
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nCont");
    talk.uncaptured(End::Server, 14)
        .say(End::Server, b"2\r\n\r\nhi");
    talk.ack(End::Client).wait(1.0);
    talk.say(End::Client, b"GET /next HTTP/1.1\r\nHost: catalog\r\n\r\n");
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    talk.ack(End::Client).wait(1.0);
    talk.fin(End::Client).fin(End::Server).ack(End::Client);
    let mut bytes = Vec::new();
    blocks::section(&mut bytes, &Section::default());
    let interface = Interface {
        link_type: 1,
        ..Interface::default()
    };
    blocks::interface(&mut bytes, &interface);
    for (number, packet) in talk.packets().iter().enumerate() {
        let time = Timestamp::from_nanos(packet.nanos);
        if number == at {
            let lost = Statistics {
                kernel_dropped: 1,
                ..Statistics::default()
            };
            blocks::statistics(&mut bytes, 0, (time, time), &lost, "");
        }
        let (data, wire_len) = (&packet.data, packet.wire_len);
        blocks::packet(&mut bytes, 0, time, wire_len, data, Direction::Unknown);
    }
    let path = folder.path().join("drops.pcapng");
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// The packet with which the exchange with the hole is settled: the next request.
const SETTLED: usize = 7;

#[test]
fn a_hole_is_put_down_to_drops_from_the_very_next_packet_on() {
    let folder = folder();
    for (at, reason) in [
        (0, "capture-dropped"),
        (SETTLED, "capture-dropped"),
        // Nobody knew yet.
        (SETTLED + 1, "sequence-hole"),
    ] {
        let path = capture(&folder, at);
        let document = json(&good(report(&path, &["-o", "json"])));
        assert_eq!(document["capture"]["dropped"], 1, "{document}");
        let exchange = &exchanges(&document)[0];
        assert_eq!(exchange["certainty_reason"], reason, "{at}: {exchange}");
    }
}

#[test]
fn follow_knows_of_drops_like_report() {
    let folder = folder();
    let path = capture(&folder, SETTLED);
    let path = path.to_str().expect("a path");
    let out = good(run(&["follow", path, "--exchange", "0"]));
    let words: Vec<&str> = out.split_whitespace().collect();
    let lost = "Uncertain: the kernel lost packets of the capture meanwhile.";
    assert!(words.join(" ").contains(lost), "{out}");
}
