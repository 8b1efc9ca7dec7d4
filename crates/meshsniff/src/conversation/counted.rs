//! Bytes that are counted, and of which the beginning is kept.

use super::entry::{Entry, Piece, Unread, What};
use crate::exchange::Side;
use crate::packet::Mark;

/// Bytes that are counted.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) size: u64,
    pub(super) begin: Vec<u8>,
    pub(super) first: Mark,
    pub(super) last: Mark,
}

impl Counted {
    pub(super) const fn new(mark: Mark) -> Self {
        Self {
            size: 0,
            begin: Vec::new(),
            first: mark,
            last: mark,
        }
    }

    pub(super) fn add(&mut self, bytes: &[u8], mark: Mark, keep: usize) {
        let room = keep.saturating_sub(self.begin.len());
        self.begin.extend(&bytes[..bytes.len().min(room)]);
        self.step(bytes.len() as u64, mark);
    }

    pub(super) const fn step(&mut self, count: u64, mark: Mark) {
        if self.size == 0 {
            self.first = mark;
        }
        if count > 0 {
            self.size += count;
            self.last = mark;
        }
    }

    /// The bytes as an entry: they were not read.
    pub(super) fn unread(self, from: Side, why: Unread) -> Entry {
        let what = What::Other {
            size: self.size,
            begin: self.begin,
            why,
        };
        Entry::new(from, self.first, what)
    }

    /// The bytes as a piece of a body; whether they came to its end.
    pub(super) fn piece(self, whole: bool) -> Piece {
        Piece {
            size: self.size,
            first: self.first,
            begin: self.begin,
            whole,
        }
    }
}
