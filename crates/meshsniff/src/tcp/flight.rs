//! Segments on their way: sent, and not acknowledged yet.

use super::{Extent, Offset};
use crate::packet::Mark;
use std::collections::VecDeque;

/// How many segments in flight are remembered for one direction; past it the oldest is forgotten,
/// and with it what its retransmission would have cost.
const MAX_REMEMBERED: usize = 512;

/// Most sightings kept of one stretch: the first, and the latest.
const MAX_FRAMES: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Flight {
    extent: Extent,
    first: Mark,
}

/// A stretch that was sent more than once before it was acknowledged.
#[derive(Clone, Debug)]
pub struct Resent {
    /// Where it lies.
    pub extent: Extent,
    /// Where it was first seen, then each repeat.
    pub frames: Vec<Mark>,
}

/// Bytes of one direction in flight.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    queue: VecDeque<Flight>,
    resent: Vec<Resent>,
    largest_acked: u64,
}

impl Flights {
    /// Bytes that what it keeps takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let frames = self.resent.iter().map(|one| one.frames.capacity());
        self.queue.capacity() * size_of::<Flight>()
            + self.resent.capacity() * size_of::<Resent>()
            + frames.sum::<usize>() * size_of::<Mark>()
    }

    /// New bytes were seen.
    pub fn sent(&mut self, extent: Extent, mark: Mark) {
        if self.queue.len() == MAX_REMEMBERED {
            self.queue.pop_front();
        }
        self.queue.push_back(Flight {
            extent,
            first: mark,
        });
    }

    /// Bytes seen before were seen again. Those acknowledged already are a spurious repeat and
    /// change nothing.
    pub fn sent_again(&mut self, extent: Extent, mark: Mark) {
        if let Some(known) = self
            .resent
            .iter_mut()
            .find(|resent| resent.extent.overlaps(extent))
        {
            if known.frames.len() < MAX_FRAMES {
                known.frames.push(mark);
            } else if let Some(last) = known.frames.last_mut() {
                *last = mark;
            }
            return;
        }
        let first = self
            .queue
            .iter()
            .find(|flight| flight.extent.overlaps(extent));
        if let Some(flight) = first
            && self.resent.len() < MAX_REMEMBERED
        {
            self.resent.push(Resent {
                extent: flight.extent,
                frames: vec![flight.first, mark],
            });
        }
    }

    /// Everything before `upto` is acknowledged: forgets it, and returns the segment sent last of
    /// it.
    pub fn acknowledged(&mut self, upto: Offset) -> Option<(Mark, u64)> {
        let mut last = None;
        while let Some(flight) = self
            .queue
            .front()
            .filter(|flight| flight.extent.upto <= upto)
        {
            self.largest_acked = self.largest_acked.max(flight.extent.len());
            last = Some((flight.first, flight.extent.len()));
            self.queue.pop_front();
        }
        last
    }

    /// The bytes of the largest segment that was acknowledged.
    #[must_use]
    pub const fn largest_acked(&self) -> u64 {
        self.largest_acked
    }

    /// Takes out what was sent again and is not acknowledged.
    pub fn take_resent(&mut self) -> Vec<Resent> {
        std::mem::take(&mut self.resent)
    }

    /// Takes out a stretch that was sent again and is acknowledged now.
    pub fn take_recovered(&mut self, upto: Offset) -> Option<Resent> {
        let at = self
            .resent
            .iter()
            .position(|resent| resent.extent.upto <= upto)?;
        Some(self.resent.swap_remove(at))
    }
}
