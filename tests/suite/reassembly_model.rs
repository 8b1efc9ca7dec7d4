//! Reassembly against a model that is dumb and obviously right: a table of bytes, each filled by
//! its first sighting.

use meshsniff::packet::Mark;
use meshsniff::packet::Seq;
use meshsniff::tcp::{Arrival, Stream};
use proptest::prelude::*;

const LEN: usize = 120;

/// One thing that happens to a stream.
#[derive(Clone, Debug)]
enum Step {
    /// A segment from, to, and how many of its bytes the snap length leaves.
    Segment(usize, usize, usize),
    /// The other side acknowledges everything before.
    Acknowledge(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let segment = (0..LEN, 1..30_usize, 0..30_usize)
        .prop_map(|(from, len, kept)| Step::Segment(from, (from + len).min(LEN), kept));
    let step = prop_oneof![4 => segment, 1 => (0..=LEN).prop_map(Step::Acknowledge)];
    proptest::collection::vec(step, 1..60)
}

/// What a byte of the stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Byte {
    /// Captured, first in this frame.
    Seen(u8, u64),
    /// Cut by the snap length.
    Cut,
    /// Never seen, and acknowledged.
    Missing,
}

/// The bytes each frame carries differ, so that a wrong first sighting shows.
fn byte(at: usize, frame: u64) -> u8 {
    (at as u8).wrapping_mul(7).wrapping_add(frame as u8)
}

/// The model: the table, and what may be read of it in order.
#[derive(Default)]
struct Model {
    table: Vec<Option<Byte>>,
    read: Vec<Byte>,
    acked: usize,
}

impl Model {
    fn segment(&mut self, from: usize, to: usize, kept: usize, frame: u64) {
        self.table.resize(LEN + 1, None);
        for at in from.max(self.read.len())..to {
            let captured = at - from < kept;
            let new = if captured {
                Byte::Seen(byte(at, frame), frame)
            } else {
                Byte::Cut
            };
            self.table[at].get_or_insert(new);
        }
        self.read_on();
    }

    fn acknowledge(&mut self, upto: usize) {
        self.table.resize(LEN + 1, None);
        self.acked = self.acked.max(upto);
        self.read_on();
    }

    fn read_on(&mut self) {
        loop {
            let at = self.read.len();
            let seen_beyond = self.table[at..].iter().skip(1).any(Option::is_some);
            match self.table.get(at).copied().flatten() {
                Some(byte) => self.read.push(byte),
                // The last number acknowledged may be a FIN until something is seen beyond it.
                None if at < self.acked && (at + 1 < self.acked || seen_beyond) => {
                    self.read.push(Byte::Missing);
                }
                None => break,
            }
        }
    }
}

fn check(isn: u32, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut stream = Stream::default();
    stream.start(Seq::new(isn));
    let origin = stream.next();
    let mut model = Model::default();
    let mut read: Vec<Byte> = Vec::new();
    for (frame, step) in (1_u64..).zip(steps) {
        let mark = Mark {
            order: frame,
            ..Mark::default()
        };
        match *step {
            Step::Segment(from, to, kept) => {
                let kept = kept.min(to - from);
                model.segment(from, to, kept, frame);
                let bytes: Vec<u8> = (from..from + kept).map(|at| byte(at, frame)).collect();
                let seq = Seq::new(isn).plus(from as u32);
                let at = stream.offset(seq).expect("near");
                prop_assert_eq!(at, origin + from as u64);
                if let Arrival::Next(known) = stream.receive(at, &bytes, (to - from) as u64, mark) {
                    let known = known as usize;
                    for at in from + known..to {
                        let seen = at - from < kept;
                        read.push(if seen {
                            Byte::Seen(byte(at, frame), frame)
                        } else {
                            Byte::Cut
                        });
                    }
                }
            }
            Step::Acknowledge(upto) => {
                model.acknowledge(upto);
                stream.acknowledge(origin + upto as u64);
            }
        }
        loop {
            while let Some(held) = stream.pop() {
                prop_assert_eq!(held.start, origin + read.len() as u64);
                read.extend(held.bytes.iter().map(|&b| Byte::Seen(b, held.mark.order)));
                read.extend((0..held.cut).map(|_| Byte::Cut));
            }
            let Some(missing) = stream.take_missing(None) else {
                break;
            };
            prop_assert_eq!(missing.from, origin + read.len() as u64);
            read.extend((0..missing.len()).map(|_| Byte::Missing));
        }
        prop_assert_eq!(stream.next(), origin + read.len() as u64);
        prop_assert_eq!(&read, &model.read);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn reassembly_agrees_with_the_model(isn in any::<u32>(), steps in steps()) {
        check(isn, &steps)?;
    }

    #[test]
    fn reassembly_agrees_across_the_wrap(before in 0..LEN as u32, steps in steps()) {
        check(0_u32.wrapping_sub(before), &steps)?;
    }
}
