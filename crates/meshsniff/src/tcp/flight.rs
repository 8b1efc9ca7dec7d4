//! Segments on their way: sent, and not acknowledged yet.

use crate::packet::Mark;
use std::collections::VecDeque;

/// How many segments in flight are remembered for one direction; past it the oldest is forgotten, and with
/// it what its retransmission would have cost.
const REMEMBERED: usize = 512;

#[derive(Clone, Copy, Debug)]
struct Flight {
    end: u64,
    start: u64,
    first: Mark,
}

/// A stretch that was sent more than once before it was acknowledged.
#[derive(Clone, Debug)]
pub struct Resent {
    /// Offset of its first byte.
    pub start: u64,
    /// Offset after its last byte.
    pub end: u64,
    /// Where it was first seen, then each repeat.
    pub frames: Vec<Mark>,
}

/// What one direction has in flight.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    queue: VecDeque<Flight>,
    resent: Vec<Resent>,
}

impl Flights {
    /// New bytes from `start` to `end` were seen.
    pub fn sent(&mut self, start: u64, end: u64, mark: Mark) {
        if self.queue.len() == REMEMBERED {
            self.queue.pop_front();
        }
        self.queue.push_back(Flight {
            end,
            start,
            first: mark,
        });
    }

    /// Bytes seen before were seen again. Those acknowledged already are a spurious repeat and change
    /// nothing.
    pub fn sent_again(&mut self, start: u64, end: u64, mark: Mark) {
        if let Some(known) = self
            .resent
            .iter_mut()
            .find(|resent| resent.start < end && start < resent.end)
        {
            known.frames.push(mark);
            return;
        }
        let first = self
            .queue
            .iter()
            .find(|flight| flight.start < end && start < flight.end);
        if let Some(flight) = first
            && self.resent.len() < REMEMBERED
        {
            self.resent.push(Resent {
                start: flight.start,
                end: flight.end,
                frames: vec![flight.first, mark],
            });
        }
    }

    /// Everything before `upto` is acknowledged: forgets it, and returns the segment sent last of it.
    pub fn acknowledged(&mut self, upto: u64) -> Option<(Mark, u64)> {
        let mut last = None;
        while let Some(flight) = self.queue.front().filter(|flight| flight.end <= upto) {
            last = Some((flight.first, flight.end - flight.start));
            self.queue.pop_front();
        }
        last
    }

    /// Takes out a stretch that was sent again and is acknowledged now.
    pub fn take_recovered(&mut self, upto: u64) -> Option<Resent> {
        let at = self.resent.iter().position(|resent| resent.end <= upto)?;
        Some(self.resent.swap_remove(at))
    }
}
