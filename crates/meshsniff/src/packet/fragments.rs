//! Reassembly of IP fragments (RFC 791, 3.2; RFC 8200, 4.5), within fixed bounds.
//!
//! Holds unfinished datagrams, oldest first. Past the bounds the oldest goes: what is lost that way
//! is counted. Which bytes win where fragments overlap is left as it falls (the later ones).

use super::ip::{Addresses, Part};
use crate::time::{Span, Timestamp};
use etherparse::{IpNumber, defrag::IpDefragBuf};
use std::collections::VecDeque;

/// Most unfinished datagrams at a time.
const MAX_DATAGRAMS: usize = 64;
/// Most bytes held at a time.
const MAX_BYTES: usize = 4 << 20;
/// Most separate stretches of one datagram; a sender's own fragments come near 45.
const MAX_STRETCHES: usize = 256;
/// How long a datagram may take, in capture time: after that its identification may mean another
/// one.
const MAX_AGE: Span = Span::from_secs(30);

/// Fragments with the same key belong to one datagram. The tap is part of it because a capture may
/// hold every fragment once for each interface it crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) addresses: Addresses,
    pub(super) protocol: IpNumber,
    pub(super) id: u32,
    pub(super) tap: u32,
}

/// What became of a fragment.
pub(super) enum Added<'a> {
    /// It was kept.
    Held,
    /// It was the last one: this is the datagram.
    Whole(&'a [u8]),
    /// It contradicts the ones before it, or itself.
    Refused,
}

struct Unfinished {
    key: Key,
    started: Timestamp,
    buffer: IpDefragBuf,
}

/// The table of unfinished datagrams.
#[derive(Default)]
pub(super) struct Fragments {
    unfinished: VecDeque<Unfinished>,
    whole: Vec<u8>,
    lost: u64,
}

impl Fragments {
    /// Datagrams given up unfinished: too old, or too many of them at a time.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes in one fragment, all of whose bytes were captured.
    pub(super) fn add(&mut self, key: Key, part: Part, data: &[u8], time: Timestamp) -> Added<'_> {
        while self
            .unfinished
            .front()
            .is_some_and(|oldest| time - oldest.started > MAX_AGE)
        {
            self.drop_oldest();
        }
        let place = self.unfinished.iter().position(|one| one.key == key);
        let place = place.unwrap_or_else(|| {
            self.unfinished.push_back(Unfinished {
                key,
                started: time,
                buffer: IpDefragBuf::new(key.protocol, Vec::new(), Vec::new()),
            });
            self.unfinished.len() - 1
        });
        let buffer = &mut self.unfinished[place].buffer;
        let accepted = buffer.add(part.offset, part.more, data).is_ok();
        if accepted && buffer.is_complete() {
            if let Some(done) = self.unfinished.remove(place) {
                (self.whole, _) = done.buffer.take_bufs();
            }
            return Added::Whole(&self.whole);
        }
        if buffer.sections().is_empty() {
            // Refused, and the first of its datagram: nothing was held.
            self.unfinished.remove(place);
        } else if buffer.sections().len() > MAX_STRETCHES {
            self.unfinished.remove(place);
            self.lost += 1;
        }
        while self.unfinished.len() > MAX_DATAGRAMS || self.bytes() > MAX_BYTES {
            self.drop_oldest();
        }
        if accepted {
            Added::Held
        } else {
            Added::Refused
        }
    }

    fn drop_oldest(&mut self) {
        self.unfinished.pop_front();
        self.lost += 1;
    }

    fn bytes(&self) -> usize {
        let sizes = self
            .unfinished
            .iter()
            .map(|one| one.buffer.data().capacity());
        sizes.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{IpFragOffset, ip_number};

    fn key(id: u32) -> Key {
        Key {
            addresses: Addresses::V4([10, 0, 0, 1], [10, 0, 0, 2]),
            protocol: ip_number::TCP,
            id,
            tap: 0,
        }
    }

    fn part(id: u32, offset: u16, more: bool) -> Part {
        let offset = IpFragOffset::try_new(offset / 8).unwrap();
        Part { id, offset, more }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(0).plus(Span::from_secs(seconds))
    }

    #[test]
    fn any_order_makes_the_datagram() {
        let pieces = [(0, true, [1; 8]), (8, true, [2; 8]), (16, false, [3; 8])];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            let mut table = Fragments::default();
            let mut whole = Vec::new();
            for index in order {
                let (offset, more, data) = pieces[index];
                if let Added::Whole(bytes) = table.add(key(7), part(7, offset, more), &data, at(0))
                {
                    whole = bytes.to_vec();
                }
            }
            assert_eq!(whole, [[1; 8], [2; 8], [3; 8]].concat(), "{order:?}");
            assert!(table.unfinished.is_empty());
        }
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut table = Fragments::default();
        for id in 0..1_000 {
            let added = table.add(key(id), part(id, 0, true), &[0; 1_480], at(0));
            assert!(matches!(added, Added::Held));
        }
        assert_eq!(table.unfinished.len(), MAX_DATAGRAMS);
        assert_eq!(table.lost(), 1_000 - MAX_DATAGRAMS as u64);
        assert_eq!(table.unfinished[0].key.id, 1_000 - MAX_DATAGRAMS as u32);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut table = Fragments::default();
        for id in 0..64 {
            table.add(key(id), part(id, 65_496, true), &[0; 32], at(0));
        }
        assert!(table.bytes() <= MAX_BYTES);
        for offset in (0..65_000).step_by(16) {
            table.add(key(99), part(99, offset, true), &[0; 8], at(0));
        }
        let most = table
            .unfinished
            .iter()
            .map(|one| one.buffer.sections().len());
        assert!(most.max() <= Some(MAX_STRETCHES));
    }

    #[test]
    fn an_old_start_is_not_continued() {
        let mut table = Fragments::default();
        table.add(key(1), part(1, 0, true), &[1; 8], at(0));
        let added = table.add(key(1), part(1, 8, false), &[2; 8], at(31));
        assert!(matches!(added, Added::Held));
        assert_eq!(table.lost(), 1);
    }

    #[test]
    fn a_contradiction_is_refused() {
        let mut table = Fragments::default();
        let added = table.add(key(1), part(1, 0, true), &[1; 7], at(0));
        assert!(matches!(added, Added::Refused), "7 is no multiple of 8");
        assert!(table.unfinished.is_empty());
    }
}
