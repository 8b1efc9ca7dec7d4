//! One direction's bytes in order.
//!
//! Bytes are named by their offset in the stream, a `u64` that never wraps. Segments that come in order are
//! passed on untouched; only those behind a hole are held. A hole is given up when the other side has
//! acknowledged it (then the capture missed it, as Zeek has it), never by a timer.

use super::Seq;
use crate::packet::Mark;

/// The offset of a direction's first byte: far from 0, so that bytes before a mid-stream start have offsets too.
const ORIGIN: u64 = 1 << 32;

/// Sequence numbers further off than the largest window are not believed (RFC 7323, 2.3).
const PLAUSIBLE: u32 = 1 << 30;

/// A segment, or a part of one, waiting behind a hole.
#[derive(Clone, Debug)]
pub struct Held {
    /// Offset of its first byte.
    pub start: u64,
    /// The captured bytes.
    pub bytes: Vec<u8>,
    /// Bytes beyond them that the snap length cut.
    pub cut: u64,
    /// The frame that carried it.
    pub mark: Mark,
    /// Whether it begins where its segment began.
    pub segment_start: bool,
}

impl Held {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64 + self.cut
    }

    fn trim_front(&mut self, to: u64) {
        let skip = to.saturating_sub(self.start);
        if skip == 0 {
            return;
        }
        let from_bytes = skip.min(self.bytes.len() as u64);
        self.bytes.drain(..from_bytes as usize);
        self.cut -= (skip - from_bytes).min(self.cut);
        self.start = to;
        self.segment_start = false;
    }
}

/// What became of a segment's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It continues the stream; this many of its first bytes were known already.
    Next(u64),
    /// It lies behind a hole, or overlaps what does: it is held, to be popped in its turn.
    Held,
    /// Not one new byte.
    Known,
    /// Too far from everything to be believed.
    Implausible,
}

/// One direction of a connection.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    started: bool,
    origin: Seq,
    /// Sequence number and offset of the next byte in order.
    next_seq: Seq,
    next: u64,
    /// One past the highest byte seen, in order or not.
    high: u64,
    /// One past the highest byte the other side has acknowledged; 0 before it has any.
    acked: u64,
    /// Where a FIN says that the stream ends.
    fin: Option<u64>,
    /// The highest number at which the sender itself stood, as its packets say; 0 before it said any.
    stood_at: u64,
    held: Vec<Held>,
    held_bytes: usize,
}

impl Stream {
    /// Whether the stream's position is known.
    #[must_use]
    pub const fn is_started(&self) -> bool {
        self.started
    }

    /// Says that the next byte has this sequence number. Only the first call counts.
    pub const fn start(&mut self, seq: Seq) {
        if !self.started {
            self.started = true;
            self.origin = seq;
            self.next_seq = seq;
            self.next = ORIGIN;
            self.high = ORIGIN;
        }
    }

    /// The offset of `seq`; `None` before the start, or if it is implausibly far away.
    #[must_use]
    pub fn offset(&self, seq: Seq) -> Option<u64> {
        let distance = seq.distance_from(self.next_seq);
        (self.started && distance.unsigned_abs() < PLAUSIBLE)
            .then(|| self.next.wrapping_add_signed(i64::from(distance)))
    }

    /// The sequence number the stream started at; `None` before the start.
    #[must_use]
    pub fn origin(&self) -> Option<Seq> {
        self.started.then_some(self.origin)
    }

    /// The sequence number of the next byte in order.
    #[must_use]
    pub const fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// Offset of the next byte in order.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// One past the highest byte seen.
    #[must_use]
    pub const fn high(&self) -> u64 {
        self.high
    }

    /// One past the highest byte acknowledged by the other side; a FIN counts for one. 0 if none was.
    #[must_use]
    pub const fn acked(&self) -> u64 {
        self.acked
    }

    /// Bytes held behind holes.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether anything is held behind a hole.
    #[must_use]
    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Where a FIN says that the stream ends.
    #[must_use]
    pub const fn fin(&self) -> Option<u64> {
        self.fin
    }

    /// A FIN was seen at `offset`. True if it is the first.
    pub const fn finish(&mut self, offset: u64) -> bool {
        let first = self.fin.is_none();
        if first {
            self.fin = Some(offset);
        }
        first
    }

    /// The sender's own packet says that its next byte has this offset.
    pub const fn stand_at(&mut self, offset: u64) {
        if offset > self.stood_at {
            self.stood_at = offset;
        }
    }

    /// One past the highest byte of data seen or acknowledged; FINs, seen or not, aside.
    #[must_use]
    pub fn data_high(&self) -> u64 {
        if self.lacks_fin() {
            return self.high;
        }
        let high = self.high.max(self.acked);
        self.fin.map_or(high, |fin| high.min(fin.max(self.high)))
    }

    /// Takes a segment: `payload` at `start`, and `wire` bytes of it on the wire.
    pub fn receive(&mut self, start: u64, payload: &[u8], wire: u64, mark: Mark) -> Arrival {
        let end = start + wire;
        if end <= self.next {
            return Arrival::Known;
        }
        let overlaps_held = self.held.first().is_some_and(|held| held.start < end);
        if start <= self.next && !overlaps_held {
            let known = self.next - start;
            self.advance(end);
            return Arrival::Next(known);
        }
        if end - self.next >= u64::from(PLAUSIBLE) {
            return Arrival::Implausible;
        }
        if self.hold(start, payload, end, mark) {
            Arrival::Held
        } else {
            Arrival::Known
        }
    }

    /// The other side acknowledged everything before `offset`. True if that is news.
    pub const fn acknowledge(&mut self, offset: u64) -> bool {
        let news = offset > self.acked;
        if news {
            self.acked = offset;
        }
        news
    }

    /// The hole in front of the next byte seen, as far as it was acknowledged; the stream then goes on after it.
    ///
    /// The very last number acknowledged may stand for a FIN that the capture lacks as well as for a byte.
    /// It is left open until something is seen beyond it, unless `message_left` says that a byte is due there.
    pub fn take_missing(&mut self, message_left: Option<u64>) -> Option<(u64, u64)> {
        let mut upto = self.acked.min(self.fin.unwrap_or(u64::MAX));
        if upto <= self.next {
            return None;
        }
        let first_held = self.held.first().map_or(u64::MAX, |held| held.start);
        let all_seen_lies_before = self.high <= self.next;
        if all_seen_lies_before && self.fin.is_none() && message_left != Some(upto - self.next) {
            upto -= 1;
        }
        let upto = upto.min(first_held);
        (upto > self.next).then(|| {
            let from = self.next;
            self.advance(upto);
            (from, upto)
        })
    }

    /// Gives up the hole in front of the next byte held, acknowledged or not.
    pub fn give_up_hole(&mut self) -> Option<(u64, u64)> {
        let upto = self.held.first()?.start;
        (upto > self.next).then(|| {
            let from = self.next;
            self.advance(upto);
            (from, upto)
        })
    }

    /// Moves on over bytes before the first one seen, of a stream joined late. True if it moved.
    pub fn skip_to(&mut self, offset: u64) -> bool {
        let moves = offset > self.next;
        if moves {
            self.advance(offset);
        }
        moves
    }

    /// The next held bytes, if they continue the stream now.
    pub fn pop(&mut self) -> Option<Held> {
        while self
            .held
            .first()
            .is_some_and(|held| held.start <= self.next)
        {
            let mut held = self.held.remove(0);
            self.held_bytes -= held.bytes.len();
            if held.end() > self.next {
                held.trim_front(self.next);
                self.advance(held.end());
                return Some(held);
            }
        }
        None
    }

    /// Whether the number just after the last byte was acknowledged, or the sender went on from there, although
    /// no FIN was seen there: a FIN, or one last byte, is missing from the capture.
    #[must_use]
    pub fn lacks_fin(&self) -> bool {
        let beyond = self.high + 1;
        self.started
            && (self.acked == beyond || self.stood_at == beyond)
            && self.fin.is_none_or(|fin| fin != self.high)
    }

    fn advance(&mut self, to: u64) {
        self.next_seq = self.next_seq.plus((to - self.next) as u32);
        self.next = to;
        self.high = self.high.max(to);
    }

    /// Holds what of the segment is not held yet. False if nothing of it is new.
    fn hold(&mut self, start: u64, payload: &[u8], end: u64, mark: Mark) -> bool {
        let mut at = start.max(self.next);
        let mut index = self.held.partition_point(|held| held.end() <= at);
        let mut new = false;
        while at < end {
            let upto = self.held.get(index).map_or(end, |held| held.start.min(end));
            if at < upto {
                let captured = start + payload.len() as u64;
                let from = (at - start).min(payload.len() as u64) as usize;
                let to = (upto.min(captured).max(at) - start).min(payload.len() as u64) as usize;
                let bytes = payload[from..to.max(from)].to_vec();
                self.held_bytes += bytes.len();
                let piece = Held {
                    start: at,
                    cut: upto - at - bytes.len() as u64,
                    bytes,
                    mark,
                    segment_start: at == start,
                };
                self.held.insert(index, piece);
                index += 1;
                new = true;
            }
            match self.held.get(index) {
                Some(held) if held.start < end => {
                    at = held.end();
                    index += 1;
                }
                _ => break,
            }
        }
        self.high = self.high.max(end);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Stream {
        let mut stream = Stream::default();
        stream.start(Seq::new(u32::MAX - 4));
        stream
    }

    fn mark(order: u64) -> Mark {
        Mark {
            order,
            ..Mark::default()
        }
    }

    #[test]
    fn in_order_across_the_wrap() {
        let mut stream = started();
        let at = stream.offset(Seq::new(u32::MAX - 4)).unwrap();
        assert_eq!(
            stream.receive(at, b"0123456789", 10, mark(1)),
            Arrival::Next(0)
        );
        assert_eq!(stream.offset(Seq::new(5)), Some(at + 10));
        assert_eq!(
            stream.receive(at + 5, b"56789ab", 7, mark(2)),
            Arrival::Next(5)
        );
        assert_eq!(stream.receive(at, b"0123", 4, mark(3)), Arrival::Known);
    }

    #[test]
    fn what_comes_early_waits_and_keeps_its_first_sighting() {
        let mut stream = started();
        let at = ORIGIN;
        assert_eq!(stream.receive(at + 4, b"4567", 4, mark(1)), Arrival::Held);
        assert_eq!(
            stream.receive(at + 2, b"23XXXX89", 8, mark(2)),
            Arrival::Held
        );
        assert_eq!(stream.receive(at + 2, b"YY", 2, mark(3)), Arrival::Known);
        assert!(stream.pop().is_none());
        assert_eq!(stream.receive(at, b"01", 2, mark(4)), Arrival::Next(0));
        let mut seen = Vec::new();
        while let Some(held) = stream.pop() {
            seen.push((held.bytes, held.mark.order, held.segment_start));
        }
        assert_eq!(
            seen,
            [
                (b"23".to_vec(), 2, true),
                (b"4567".to_vec(), 1, true),
                (b"89".to_vec(), 2, false)
            ]
        );
        assert_eq!(stream.held_bytes(), 0);
        assert_eq!(stream.next(), at + 10);
    }

    #[test]
    fn a_hole_is_given_up_when_it_was_acknowledged() {
        let mut stream = started();
        let at = ORIGIN;
        stream.receive(at + 10, b"later", 5, mark(1));
        assert_eq!(stream.take_missing(None), None);
        stream.acknowledge(at + 15);
        assert_eq!(stream.take_missing(None), Some((at, at + 10)));
        assert_eq!(stream.pop().map(|held| held.bytes), Some(b"later".to_vec()));
        assert!(!stream.lacks_fin());
    }

    #[test]
    fn the_last_number_acknowledged_may_be_a_fin() {
        let mut stream = started();
        let at = ORIGIN;
        stream.receive(at, b"abc", 3, mark(1));
        stream.acknowledge(at + 4);
        assert_eq!(stream.take_missing(None), None);
        assert!(stream.lacks_fin());
        assert_eq!(stream.take_missing(Some(1)), Some((at + 3, at + 4)));
        assert!(!stream.lacks_fin());

        let mut stream = started();
        stream.acknowledge(at + 9);
        assert_eq!(stream.take_missing(None), Some((at, at + 8)));
        assert!(stream.lacks_fin());
        stream.receive(at + 9, b"x", 1, mark(1));
        assert_eq!(stream.take_missing(None), Some((at + 8, at + 9)));
        assert!(!stream.lacks_fin());
    }

    #[test]
    fn a_sender_that_stands_beyond_its_bytes_has_sent_a_fin() {
        let mut stream = started();
        stream.receive(ORIGIN, b"abc", 3, mark(1));
        stream.stand_at(ORIGIN + 3);
        assert!(!stream.lacks_fin());
        stream.stand_at(ORIGIN + 4);
        assert!(stream.lacks_fin());
        assert_eq!(stream.data_high(), ORIGIN + 3);
        stream.finish(ORIGIN + 3);
        assert!(!stream.lacks_fin());
    }

    #[test]
    fn a_cut_payload_still_takes_its_room() {
        let mut stream = started();
        stream.receive(ORIGIN + 5, b"ab", 10, mark(1));
        stream.receive(ORIGIN, b"01234", 5, mark(2));
        let held = stream.pop().unwrap();
        assert_eq!((held.bytes.as_slice(), held.cut), (&b"ab"[..], 8));
        assert_eq!(stream.next(), ORIGIN + 15);
    }
}
