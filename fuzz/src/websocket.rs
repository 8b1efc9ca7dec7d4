//! Frames of WebSocket of one side, in any pieces, with bytes missing.

use super::choices::Choices;
use meshsniff::protocol::websocket::{Header, Splitter, Step, Violation, closing};

/// What a splitter keeps at most: a header, and the payload of a control frame.
const MAX_WEIGHT: usize = 256;

/// A step: bytes that came, or how many are missing.
enum Said<'a> {
    Bytes(&'a [u8]),
    Missing(u64),
}

/// What was read: each frame, with the payload of a control frame.
type Seen = (Vec<(Header, Option<Vec<u8>>)>, Option<Violation>, bool);

fn ended(frames: &mut [(Header, Option<Vec<u8>>)], splitter: &Splitter) {
    let Some((header, payload)) = frames.last_mut() else {
        return;
    };
    if header.opcode.is_control() {
        *payload = splitter.control().map(<[u8]>::to_vec);
        let (code, reason) = closing(splitter.control().unwrap_or_default());
        assert!(code.is_some() || reason.is_none());
    }
}

fn run(steps: &[Said<'_>], cut: usize) -> Seen {
    let mut splitter = Splitter::default();
    let mut frames = Vec::new();
    for step in steps {
        match *step {
            Said::Bytes(bytes) => {
                for mut piece in bytes.chunks(cut) {
                    while !piece.is_empty() {
                        let (step, taken) = splitter.read(piece);
                        assert!(taken <= piece.len());
                        match step {
                            Step::Frame(header) => {
                                frames.push((header, None));
                                if header.length == 0 {
                                    ended(&mut frames, &splitter);
                                }
                            }
                            Step::Ends => ended(&mut frames, &splitter),
                            Step::Broken(why) => return (frames, Some(why), false),
                            Step::Begun | Step::Goes => assert!(taken == piece.len()),
                        }
                        piece = &piece[taken..];
                        assert!(splitter.weight() <= MAX_WEIGHT, "{}", splitter.weight());
                    }
                }
            }
            Said::Missing(count) => {
                let due = splitter.remaining();
                if due.is_none() || !splitter.miss(count) {
                    return (frames, None, false);
                }
                if splitter.remaining().is_none() {
                    ended(&mut frames, &splitter);
                }
            }
        }
    }
    (frames, None, splitter.is_between())
}

/// The same is read however the bytes are cut, and little is kept.
pub fn check(data: &[u8]) {
    let mut choices = Choices(data);
    let cut = usize::from(choices.byte()).max(1);
    let mut steps = Vec::new();
    while let Some(step) = choices.another() {
        let length = usize::from(choices.half());
        steps.push(match step & 7 {
            7 => Said::Missing(length as u64),
            _ => Said::Bytes(choices.bytes(length)),
        });
    }
    assert_eq!(
        run(&steps, usize::MAX),
        run(&steps, cut),
        "in pieces of {cut}"
    );
}
