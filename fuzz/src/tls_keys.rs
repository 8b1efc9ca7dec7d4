//! TLS whose keys are known, in any pieces, with records that are lost, cut and changed.

use super::choices::Choices;
use meshsniff::exchange::{Doubt, Side};
use meshsniff::packet::Mark;
use meshsniff::protocol::tls::{Keys, Layer, Session};
use meshsniff::tcp::{Extent, Missing, Offset, Progress, Run, StreamEvent};
use meshsniff::testing::TlsSession;
use std::sync::Arc;

/// Records of an input: what goes wrong between two shows in a few.
const MAX_RECORDS: usize = 12;

/// A session, as it goes over the wire.
struct Wire {
    layer: Layer,
    upto: [u64; 2],
    order: u64,
    cut: usize,
    /// What is told of each side: the records' bytes, and whether something is missing.
    told: [Vec<u8>; 2],
    missing: bool,
}

impl Wire {
    fn pass(&mut self, side: Side, bytes: &[u8], is_there: bool) {
        for (place, piece) in bytes.chunks(self.cut).enumerate() {
            self.order += 1;
            let mark = Mark {
                order: self.order,
                ..Mark::default()
            };
            let index = usize::from(side == Side::Server);
            let from = Offset::ORIGIN + self.upto[index];
            self.upto[index] += piece.len() as u64;
            let at = Progress::unacknowledged(Offset::ORIGIN + self.upto[1], mark);
            let event = if is_there {
                let run = Run {
                    from,
                    bytes: piece,
                    mark,
                    segment_start: place == 0,
                };
                StreamEvent::Bytes(run, at)
            } else {
                let missing = Missing {
                    extent: Extent::new(from, piece.len() as u64),
                    why: Doubt::SequenceHole,
                    cut_in: None,
                    measured: true,
                };
                StreamEvent::Missing(missing, at)
            };
            let (told, lacks) = (&mut self.told, &mut self.missing);
            self.layer
                .tell(side, event, &mut |side, event| match event {
                    StreamEvent::Bytes(run, _) => {
                        told[usize::from(side == Side::Server)].extend(run.bytes);
                    }
                    StreamEvent::Missing(missing, _) => {
                        *lacks = true;
                        assert!(!missing.extent.is_empty(), "nothing is missing");
                    }
                    _ => {}
                });
        }
        assert!(self.layer.weight() < 1 << 20, "{}", self.layer.weight());
    }
}

/// Nothing is told of the inside that was not said, and all of it if nothing was done to it.
pub fn check(data: &[u8]) {
    let mut choices = Choices(data);
    let what = choices.byte();
    let mut session = TlsSession::new(what & 1 == 1);
    let keys = Keys::default();
    keys.add(session.log(true).as_bytes());
    let mut wire = Wire {
        layer: Layer::new(Session::default(), Some(&Arc::new(keys))),
        upto: [0; 2],
        order: 0,
        cut: usize::from(choices.byte()).max(1),
        told: Default::default(),
        missing: false,
    };
    for side in [Side::Client, Side::Server] {
        let hello = session.hello(side);
        wire.pass(side, &hello, true);
    }
    for side in [Side::Client, Side::Server] {
        wire.pass(side, &session.change_cipher(), true);
    }
    // Each record's bytes are a letter of its own, so that they are known by it.
    let mut said: [Vec<(u8, usize)>; 2] = Default::default();
    let mut whole = true;
    let mut letter = 0_u8;
    for _ in 0..MAX_RECORDS {
        let Some(step) = choices.another() else {
            break;
        };
        let side = if step & 1 == 0 {
            Side::Client
        } else {
            Side::Server
        };
        if what & 1 == 1 && step & 0xf0 == 0xf0 {
            let update = session.update(side);
            wire.pass(side, &update, true);
            continue;
        }
        let length = usize::from(choices.half() % 200) + 1;
        letter = letter.wrapping_add(1);
        let mut record = session.data(side, &vec![letter; length]);
        match step >> 1 & 7 {
            0 => {
                whole = false;
                wire.pass(side, &record, false);
            }
            1 => {
                whole = false;
                let at = usize::from(choices.half()) % record.len();
                let (before, rest) = record.split_at(at);
                let (lost, after) = rest.split_at(usize::from(choices.half()) % rest.len());
                wire.pass(side, before, true);
                wire.pass(side, lost, false);
                wire.pass(side, after, true);
            }
            2 => {
                whole = false;
                let at = 5 + usize::from(choices.half()) % (record.len() - 5);
                record[at] ^= 1 << (step >> 4 & 7);
                wire.pass(side, &record, true);
            }
            3 => {
                // What is no record at all.
                whole = false;
                wire.pass(side, choices.bytes(length), true);
                continue;
            }
            _ => wire.pass(side, &record, true),
        }
        said[usize::from(side == Side::Server)].push((letter, length));
    }
    wire.layer.end(&mut |_, _| {});
    for (said, told) in said.iter().zip(&wire.told) {
        let runs = told.chunk_by(|one, other| one == other);
        let told: Vec<_> = runs.map(|run| (run[0], run.len())).collect();
        let mut all = said.iter();
        for run in &told {
            assert!(all.any(|record| record == run), "{run:?} was not said");
        }
        if whole {
            assert_eq!(&told, said, "nothing was done to it");
        }
    }
    assert!(!whole || !wire.missing, "nothing is missing");
}
