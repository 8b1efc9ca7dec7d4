//! One direction's bytes against a table of them, each filled by its first sighting.

use super::choices::Choices;
use meshsniff::packet::Mark;
use meshsniff::packet::Seq;
use meshsniff::tcp::{Arrival, Stream};

const LEN: usize = 160;

/// What a byte of the stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Byte {
    Seen(u8, u64),
    Cut,
    Missing,
}

fn byte(at: usize, frame: u64) -> u8 {
    (at as u8).wrapping_mul(7).wrapping_add(frame as u8)
}

struct Model {
    table: Vec<Option<Byte>>,
    read: Vec<Byte>,
    acked: usize,
    fin: Option<usize>,
}

impl Model {
    fn segment(&mut self, from: usize, to: usize, kept: usize, frame: u64) {
        for at in from.max(self.read.len())..to {
            let new = if at - from < kept {
                Byte::Seen(byte(at, frame), frame)
            } else {
                Byte::Cut
            };
            self.table[at].get_or_insert(new);
        }
    }

    fn read_on(&mut self) {
        loop {
            let at = self.read.len();
            let seen_beyond = self.table[at..].iter().skip(1).any(Option::is_some);
            let acked = self.acked.min(self.fin.unwrap_or(usize::MAX));
            match self.table.get(at).copied().flatten() {
                Some(byte) => self.read.push(byte),
                // The last number acknowledged may be a FIN, unless that was seen or something
                // beyond it.
                None if at < acked && (at + 1 < acked || seen_beyond || self.fin.is_some()) => {
                    self.read.push(Byte::Missing);
                }
                None => break,
            }
        }
    }

    fn give_up(&mut self) {
        let at = self.read.len();
        if let Some(hole) = self.table[at..].iter().position(Option::is_some) {
            self.read.extend((0..hole).map(|_| Byte::Missing));
        }
    }
}

/// The first sequence number, then steps.
pub fn check(data: &[u8]) {
    let mut choices = Choices(data);
    let isn = choices.word();
    let mut stream = Stream::default();
    stream.start(Seq::new(isn));
    let origin = stream.next();
    let mut model = Model {
        table: vec![None; LEN + 1],
        read: Vec::new(),
        acked: 0,
        fin: None,
    };
    let mut read = Vec::new();
    let mut frame = 0;
    while let Some(step) = choices.another() {
        frame += 1;
        let mark = Mark {
            order: frame,
            ..Mark::default()
        };
        let place = usize::from(choices.byte()) % LEN;
        match step % 16 {
            0..=9 => {
                let to = (place + 1 + usize::from(choices.byte() % 40)).min(LEN);
                let kept = usize::from(choices.byte()).min(to - place);
                model.segment(place, to, kept, frame);
                let bytes: Vec<u8> = (place..place + kept).map(|at| byte(at, frame)).collect();
                let at = stream.offset(Seq::new(isn).plus(place as u32));
                assert_eq!(at, Some(origin + place as u64));
                let at = origin + place as u64;
                let wire = (to - place) as u64;
                if let Arrival::Next(known) = stream.receive(at, &bytes, wire, mark) {
                    for at in place + known as usize..to {
                        read.push(if at - place < kept {
                            Byte::Seen(byte(at, frame), frame)
                        } else {
                            Byte::Cut
                        });
                    }
                }
            }
            10..=12 => {
                let upto = (place + 1).min(LEN);
                model.acked = model.acked.max(upto);
                stream.acknowledge(origin + upto as u64);
            }
            13 => {
                model.give_up();
                if let Some(missing) = stream.give_up_hole() {
                    assert_eq!(missing.from, origin + read.len() as u64);
                    read.extend((0..missing.len()).map(|_| Byte::Missing));
                }
            }
            14 => {
                // A FIN stands behind all that was sent; here only its place matters.
                let place = place.max(model.read.len());
                model.fin.get_or_insert(place);
                stream.finish(origin + place as u64);
            }
            _ => {
                let far = Seq::new(choices.word());
                if let Some(offset) = stream.offset(far) {
                    let next = stream.next();
                    let distance = offset.since(next).max(next.since(offset));
                    assert!(distance < 1 << 30, "{distance} is not near");
                }
            }
        }
        model.read_on();
        loop {
            while let Some(held) = stream.pop() {
                assert_eq!(held.start, origin + read.len() as u64);
                read.extend(held.bytes.iter().map(|&b| Byte::Seen(b, held.mark.order)));
                read.extend((0..held.cut).map(|_| Byte::Cut));
            }
            let Some(missing) = stream.take_missing(None) else {
                break;
            };
            assert_eq!(missing.from, origin + read.len() as u64);
            read.extend((0..missing.len()).map(|_| Byte::Missing));
        }
        assert_eq!(stream.next(), origin + read.len() as u64);
        assert_eq!(read, model.read);
        assert_eq!(
            stream.has_held(),
            model.table[read.len()..].iter().any(Option::is_some)
        );
        assert!(stream.has_held() || stream.held_bytes() == 0);
        assert!(stream.held_bytes() <= LEN);
    }
}
