//! Records of TLS of both sides, in any pieces, with bytes missing.

use super::choices::Choices;
use meshsniff::exchange::Side;
use meshsniff::packet::Mark;
use meshsniff::protocol::tls::{Asked, Session, Tls};
use meshsniff::time::Timestamp;

/// What a session keeps at most: a hello of each side, and what was read of them.
const MAX_WEIGHT: usize = 128 << 10;

/// What a side says, or lacks.
enum Step<'a> {
    Bytes(Side, &'a [u8]),
    Missing(Side, u64),
}

/// What is said in the end.
type Seen = (Tls, Option<Asked>, [Option<Mark>; 3], [bool; 5]);

fn run(joined: bool, steps: &[Step<'_>], cut: usize) -> Seen {
    let mut session = match joined {
        true => Session::joined(),
        false => Session::default(),
    };
    for (number, step) in steps.iter().enumerate() {
        let mark = Mark {
            time: Timestamp::from_nanos(number as i64 * 30_000_000),
            order: number as u64,
            ..Mark::default()
        };
        match *step {
            Step::Bytes(side, bytes) => {
                for (place, piece) in bytes.chunks(cut).enumerate() {
                    session.bytes(side, piece, place == 0, mark);
                }
            }
            Step::Missing(side, count) => session.missing(side, count),
        }
        assert!(session.weight() <= MAX_WEIGHT, "{}", session.weight());
    }
    let marks = [
        session.last_record(),
        session.refused(),
        session.plain_answer(),
    ];
    let known = [
        session.is_begun(),
        session.is_answered(),
        session.is_done(),
        session.is_lost(),
        session.has_holes(),
    ];
    (session.told(), session.asked(), marks, known)
}

/// The same is said however a packet's bytes are cut, and little is kept.
pub fn check(data: &[u8]) {
    let mut choices = Choices(data);
    let what = choices.byte();
    // Behind a hole a record is looked for in what a packet begins with.
    let cut = usize::from(choices.byte()).max(3);
    let mut steps = Vec::new();
    while let Some(step) = choices.another() {
        let side = match step & 1 {
            0 => Side::Client,
            _ => Side::Server,
        };
        let length = usize::from(choices.half());
        steps.push(match step & 14 {
            14 => Step::Missing(side, length as u64),
            _ => Step::Bytes(side, choices.bytes(length)),
        });
    }
    let joined = what & 1 == 1;
    assert_eq!(
        run(joined, &steps, usize::MAX),
        run(joined, &steps, cut),
        "in pieces of {cut}"
    );
}
