//! One side of a WebSocket, from its bytes to frames.

use super::counted::Counted;
use super::entry::{Entry, What};
use crate::exchange::Side;
use crate::packet::Mark;
use crate::protocol::websocket::{Header, Splitter, Step};

/// What one side sends in a WebSocket.
#[derive(Default)]
pub(super) struct Frames {
    splitter: Splitter,
    /// The frame of the first byte of a header that is not whole.
    begun: Option<Mark>,
    open: Option<(Header, Counted)>,
}

impl Frames {
    /// Takes the next bytes of `side`; keeps so many of each payload. Returns how many of them were
    /// read: fewer than all, if what follows is no frame.
    pub(super) fn bytes(
        &mut self,
        side: Side,
        bytes: &[u8],
        (mark, keep): (Mark, usize),
        entries: &mut Vec<Entry>,
    ) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            let first = self.begun.unwrap_or(mark);
            let (step, taken) = self.splitter.read(&bytes[used..]);
            let now = &bytes[used..used + taken];
            match step {
                Step::Begun => self.begun = Some(first),
                Step::Frame(header) => {
                    self.begun = None;
                    self.open = Some((header, Counted::new(first)));
                    if header.length == 0 {
                        self.tell(side, mark, entries);
                    }
                }
                Step::Goes | Step::Ends => {
                    if let Some((header, seen)) = &mut self.open {
                        seen.add(&shown(*header, seen, now, keep), mark, keep);
                    }
                    if step == Step::Ends {
                        self.tell(side, mark, entries);
                    }
                }
                Step::Broken(_) => return used,
            }
            used += taken;
        }
        used
    }

    /// So many bytes are missing. Returns whether it is known what follows.
    pub(super) fn missing(
        &mut self,
        side: Side,
        count: u64,
        mark: Mark,
        entries: &mut Vec<Entry>,
    ) -> bool {
        if self.splitter.remaining().is_none() || !self.splitter.miss(count) {
            self.end(side, entries);
            return false;
        }
        if let Some((_, seen)) = &mut self.open {
            seen.step(count, mark);
        }
        if self.splitter.remaining().is_none() {
            self.tell(side, mark, entries);
        }
        true
    }

    /// Nothing more comes: what was begun is told as it is.
    pub(super) fn end(&mut self, side: Side, entries: &mut Vec<Entry>) {
        if let Some(mark) = self.open.as_ref().map(|(_, seen)| seen.last) {
            self.tell(side, mark, entries);
        }
    }

    fn tell(&mut self, side: Side, mark: Mark, entries: &mut Vec<Entry>) {
        let Some((header, seen)) = self.open.take() else {
            return;
        };
        let whole = seen.size == header.length;
        let close = self
            .splitter
            .control()
            .filter(|_| whole)
            .map(<[u8]>::to_vec);
        let what = What::WebSocket {
            header,
            control: close.filter(|_| header.opcode.is_control()),
            piece: seen.piece(whole),
        };
        entries.push(Entry::new(side, mark, what));
    }
}

/// Bytes of a payload without their mask, as far as they are kept.
fn shown(header: Header, seen: &Counted, bytes: &[u8], keep: usize) -> Vec<u8> {
    let mask = header.mask.unwrap_or_default();
    let at = seen.size as usize;
    let bytes = bytes.iter().enumerate();
    // Those that are not kept are only counted.
    bytes
        .map(|(index, byte)| match at + index {
            place if place < keep => byte ^ mask[place % mask.len()],
            _ => *byte,
        })
        .collect()
}
