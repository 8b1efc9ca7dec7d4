//! What is inside of TLS, from records that are sealed here.

#![cfg(feature = "keys")]

use crate::packet::Mark;
use crate::protocol::tls::{Keys, Layer, NotRead, Session};
use crate::tcp::{Doubt, Extent, Missing, Offset, Progress, Run, Side, StreamEvent};
use crate::testing::TlsSession;
use Side::{Client, Server};
use std::io::Write as _;
use std::sync::Arc;

/// What is told of the inside.
#[derive(Debug, PartialEq)]
enum Told {
    Bytes(Side, String),
    Missing(Side, u64, bool),
}

struct Wire {
    session: TlsSession,
    layer: Layer,
    upto: [u64; 2],
    order: u64,
    cut: usize,
    told: Vec<Told>,
}

impl Wire {
    fn new(is_1_3: bool, right: bool, cut: usize) -> Self {
        Self::with_log(is_1_3, &TlsSession::new(is_1_3).log(right), cut)
    }

    fn with_log(is_1_3: bool, log: &str, cut: usize) -> Self {
        let session = TlsSession::new(is_1_3);
        let keys = Keys::default();
        keys.add(log.as_bytes());
        let mut wire = Self {
            session,
            layer: Layer::new(Session::default(), Some(&Arc::new(keys))),
            upto: [0; 2],
            order: 0,
            cut,
            told: Vec::new(),
        };
        for side in [Client, Server] {
            wire.send(side, &wire.session.hello(side));
        }
        for side in [Client, Server] {
            wire.send(side, &wire.session.change_cipher());
        }
        wire
    }

    fn send(&mut self, side: Side, bytes: &[u8]) {
        for (place, piece) in bytes.chunks(self.cut).enumerate() {
            let run = |from, mark| Run {
                from,
                bytes: piece,
                mark,
                segment_start: place == 0,
            };
            let length = piece.len() as u64;
            self.pass(side, length, |from, at| {
                StreamEvent::Bytes(run(from, at.mark), at)
            });
        }
    }

    fn lose(&mut self, side: Side, length: usize) {
        self.pass(side, length as u64, |from, at| {
            let missing = Missing {
                extent: Extent::new(from, length as u64),
                why: Doubt::SequenceHole,
                cut_in: None,
                measured: true,
            };
            StreamEvent::Missing(missing, at)
        });
    }

    fn pass<'a>(
        &mut self,
        side: Side,
        length: u64,
        event: impl FnOnce(Offset, Progress) -> StreamEvent<'a>,
    ) {
        self.order += 1;
        let mark = Mark {
            order: self.order,
            ..Mark::default()
        };
        let place = match side {
            Client => 0,
            Server => 1,
        };
        let from = Offset::ORIGIN + self.upto[place];
        self.upto[place] += length;
        let at = Progress::unacknowledged(Offset::ORIGIN + self.upto[1], mark);
        let told = &mut self.told;
        self.layer.tell(
            side,
            event(from, at),
            &mut |side, event| match (event, told.last_mut()) {
                (StreamEvent::Bytes(run, _), Some(Told::Bytes(last, text)))
                    if *last == side && !run.segment_start =>
                {
                    text.push_str(&String::from_utf8_lossy(run.bytes));
                }
                (StreamEvent::Bytes(run, _), _) => {
                    let text = String::from_utf8_lossy(run.bytes).into_owned();
                    told.push(Told::Bytes(side, text));
                }
                (StreamEvent::Missing(missing, _), _) => {
                    told.push(Told::Missing(side, missing.extent.len(), missing.measured));
                }
                _ => {}
            },
        );
    }

    fn say(&mut self, side: Side, text: &str) {
        let record = self.session.data(side, text.as_bytes());
        self.send(side, &record);
    }
}

fn said(side: Side, text: &str) -> Told {
    Told::Bytes(side, text.to_owned())
}

#[test]
fn what_is_inside_is_told_however_it_is_cut() {
    for is_1_3 in [true, false] {
        for cut in [1, 2, 7, 1 << 14] {
            let mut wire = Wire::new(is_1_3, true, cut);
            wire.say(Client, "GET / HTTP/1.1");
            wire.say(Server, "HTTP/1.1 200 OK");
            wire.say(Server, "a body");
            let expected = [
                said(Client, "GET / HTTP/1.1"),
                said(Server, "HTTP/1.1 200 OK"),
                said(Server, "a body"),
            ];
            assert_eq!(wire.told, expected, "1.3: {is_1_3}, in pieces of {cut}");
            let told = wire.layer.told();
            assert!(told.keys && told.not_read.is_none());
        }
    }
}

/// What is opened with a log whose line of the session is this one. `first`: who encrypts first, of
/// a session that is taken up the server.
fn opened(first: Side, line: impl FnOnce(&str, &str) -> String) -> bool {
    let log = TlsSession::new(false).log(true);
    let words: Vec<_> = log.split_whitespace().collect();
    let mut wire = Wire::with_log(false, &line(words[1], words[2]), 1 << 14);
    for side in [first, Client, Server] {
        wire.say(side, "inside");
    }
    let told = wire.layer.told();
    assert_eq!(told.keys, told.not_read != Some(NotRead::NoKeys));
    assert_eq!(wire.told.len(), if told.keys { 3 } else { 0 });
    told.keys
}

#[test]
fn secrets_that_are_logged_under_something_else_are_tried() {
    let named = |_: &str, master: &str| format!("RSA Session-ID:5e5e Master-Key:{master}\n");
    let of_another = |random: &str, master: &str| {
        let random = random.replace("c1", "c2");
        format!("CLIENT_RANDOM {random} {master}\n")
    };
    let wrong = |_: &str, master: &str| {
        let master = master.replace("cc", "cd");
        format!("RSA Session-ID:5e5e Master-Key:{master}\n")
    };
    assert!(opened(Client, named) && opened(Server, named));
    assert!(opened(Server, of_another) && !opened(Client, of_another));
    assert!(!opened(Client, wrong) && !opened(Server, wrong));
}

#[test]
fn keys_that_change() {
    let mut wire = Wire::new(true, true, 1 << 14);
    for number in 0..4 {
        wire.say(Client, &format!("before {number}"));
        let update = wire.session.update(Client);
        wire.send(Client, &update);
    }
    wire.say(Client, "after");
    assert_eq!(wire.told.len(), 5);
    assert_eq!(wire.told.last(), Some(&said(Client, "after")));
}

#[test]
fn behind_lost_records_the_next_is_found() {
    for is_1_3 in [true, false] {
        let mut wire = Wire::new(is_1_3, true, 1 << 14);
        wire.say(Server, "first");
        let lost = [
            wire.session.data(Server, b"second"),
            wire.session.data(Server, b"third"),
        ];
        let lost = lost.concat();
        wire.lose(Server, lost.len() - 9);
        // The end of a record begins no record.
        wire.send(Server, &lost[lost.len() - 9..]);
        wire.say(Server, "fourth");
        assert_eq!(wire.told.first(), Some(&said(Server, "first")));
        assert_eq!(wire.told.last(), Some(&said(Server, "fourth")));
        let between = &wire.told[1..wire.told.len() - 1];
        let lengths = between.iter().map(|told| match told {
            Told::Missing(Server, length, false) => *length,
            told => panic!("{told:?}"),
        });
        assert_eq!(lengths.sum::<u64>(), lost.len() as u64);
    }
}

#[test]
fn a_hole_in_a_record_takes_no_more_than_that() {
    for is_1_3 in [true, false] {
        let mut wire = Wire::new(is_1_3, true, 1 << 14);
        wire.say(Server, "first");
        let record = wire.session.data(Server, b"second");
        wire.send(Server, &record[..7]);
        wire.lose(Server, 4);
        wire.send(Server, &record[11..]);
        wire.say(Server, "third");
        // TLS 1.3 may have padded it.
        let missing = match is_1_3 {
            true => Told::Missing(Server, record.len() as u64, false),
            false => Told::Missing(Server, 6, true),
        };
        let expected = [said(Server, "first"), missing, said(Server, "third")];
        assert_eq!(wire.told, expected);
    }
}

#[test]
fn what_does_not_open_is_told_by_nobody() {
    for is_1_3 in [true, false] {
        let mut wire = Wire::new(is_1_3, false, 1 << 14);
        wire.say(Client, "GET / HTTP/1.1");
        wire.say(Server, "HTTP/1.1 200 OK");
        assert_eq!(wire.told, []);
        let told = wire.layer.told();
        assert_eq!(
            (told.keys, told.not_read),
            (false, Some(NotRead::WrongKeys))
        );

        let mut wire = Wire::new(is_1_3, true, 1 << 14);
        wire.say(Client, "first");
        let mut record = wire.session.data(Client, b"second");
        *record.last_mut().unwrap() ^= 1;
        wire.send(Client, &record);
        wire.say(Client, "third");
        let changed = Told::Missing(Client, record.len() as u64, false);
        assert_eq!(
            wire.told,
            [said(Client, "first"), changed, said(Client, "third")]
        );
    }
}

#[test]
fn a_record_without_an_end_is_missing() {
    let mut wire = Wire::new(true, true, 1 << 14);
    wire.say(Client, "GET /");
    let record = wire.session.data(Server, b"HTTP/1.1 200 OK");
    wire.send(Server, &record[..20]);
    let mut told = Vec::new();
    wire.layer.end(&mut |side, event| {
        if let StreamEvent::Missing(missing, _) = event {
            told.push((side, missing.extent.len(), missing.why));
        }
    });
    assert_eq!(told, [(Server, 20, Doubt::Unreadable)]);
}

#[test]
fn keys_that_are_logged_a_moment_later() {
    let mut log = tempfile::NamedTempFile::new().unwrap();
    let mut wire = Wire::new(true, true, 1 << 14);
    let keys = Keys::default();
    keys.open(log.path()).unwrap();
    wire.layer = Layer::new(Session::default(), Some(&Arc::new(keys)));
    wire.upto = [0; 2];
    for side in [Client, Server] {
        wire.send(side, &wire.session.hello(side));
    }
    wire.say(Server, "first");
    assert_eq!(wire.layer.told().not_read, Some(NotRead::NoKeys));
    log.write_all(wire.session.log(true).as_bytes()).unwrap();
    wire.say(Client, "second");
    assert_eq!(wire.told, [said(Server, "first"), said(Client, "second")]);
}

#[test]
fn what_is_lost_before_the_first_that_is_told_is_said() {
    for is_1_3 in [true, false] {
        let mut wire = Wire::new(is_1_3, true, 1 << 14);
        let lost = wire.session.data(Client, b"first");
        wire.lose(Client, lost.len());
        wire.say(Client, "second");
        let expected = [Told::Missing(Client, 1, false), said(Client, "second")];
        assert_eq!(wire.told, expected);
    }
}
