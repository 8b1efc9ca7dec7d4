//! One direction's bytes in order.
//!
//! Bytes are named by their [`Offset`] in the stream. Segments that come in order are passed on
//! untouched; only those behind a hole are held. A hole is given up when the other side has
//! acknowledged it (then the capture missed it, as Zeek has it), never by a timer.

use super::{Extent, Offset};
use crate::packet::{Mark, Seq};
use std::collections::BTreeMap;

/// Sequence numbers further off than the largest window are not believed (RFC 7323, 2.3).
const PLAUSIBLE: u32 = 1 << 30;

/// Bytes that a piece takes beside its own: what it is, its place in the map, and what an allocation
/// costs.
const PIECE: usize = 160;

/// Bytes one direction may hold behind a hole: more than a window usually is. Past it the hole is
/// given up.
const MAX_HELD: usize = 4 << 20;

/// Pieces that one direction may hold: more than segments of a usual size fill a window. A packet
/// may touch all of them.
const MAX_PIECES: usize = 4_096;

/// A segment, or a part of one, waiting behind a hole.
#[derive(Clone, Debug)]
pub struct Held {
    /// Offset of its first byte.
    pub start: Offset,
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
    fn end(&self) -> Offset {
        self.start + self.bytes.len() as u64 + self.cut
    }

    fn trim_front(&mut self, to: Offset) {
        let skip = to.since(self.start);
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

/// Fate of a segment's payload.
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

/// Where a stream stands, once that is known.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// Sequence number at [`Offset::ORIGIN`].
    origin: Seq,
    /// Sequence number and offset of the next byte in order.
    next_seq: Seq,
    next: Offset,
    /// One past the highest byte seen, in order or not.
    high: Offset,
}

/// One direction of a connection.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    position: Option<Position>,
    /// One past the highest byte the other side has acknowledged.
    acked: Option<Offset>,
    /// Where a FIN says that the stream ends.
    fin: Option<Offset>,
    /// The highest number at which the sender itself stood, as its packets say.
    stood_at: Option<Offset>,
    /// One past the last number that was acknowledged, not seen, and taken for a byte.
    taken_for_a_byte: Option<Offset>,
    /// What waits behind holes, by its first byte; no two overlap.
    held: BTreeMap<Offset, Held>,
    held_bytes: usize,
}

impl Stream {
    /// Whether the stream's position is known.
    #[must_use]
    pub const fn is_started(&self) -> bool {
        self.position.is_some()
    }

    /// Says that the next byte has this sequence number. Only the first call counts.
    pub const fn start(&mut self, seq: Seq) {
        if self.position.is_none() {
            self.position = Some(Position {
                origin: seq,
                next_seq: seq,
                next: Offset::ORIGIN,
                high: Offset::ORIGIN,
            });
        }
    }

    /// The offset of `seq`; `None` before the start, or if it is implausibly far away.
    #[must_use]
    pub fn offset(&self, seq: Seq) -> Option<Offset> {
        let position = self.position?;
        let distance = seq.distance_from(position.next_seq);
        (distance.unsigned_abs() < PLAUSIBLE).then(|| position.next.moved(distance))
    }

    /// The sequence number the stream started at; `None` before the start.
    #[must_use]
    pub fn origin(&self) -> Option<Seq> {
        self.position.map(|position| position.origin)
    }

    /// The sequence number of the next byte in order; `None` before the start.
    #[must_use]
    pub fn next_seq(&self) -> Option<Seq> {
        self.position.map(|position| position.next_seq)
    }

    /// Offset of the next byte in order.
    #[must_use]
    pub fn next(&self) -> Offset {
        self.position
            .map_or(Offset::ORIGIN, |position| position.next)
    }

    /// One past the highest byte seen.
    #[must_use]
    pub fn high(&self) -> Offset {
        self.position
            .map_or(Offset::ORIGIN, |position| position.high)
    }

    /// One past the highest byte acknowledged by the other side, if any was; a FIN counts for one.
    #[must_use]
    pub const fn acked(&self) -> Option<Offset> {
        self.acked
    }

    /// Bytes held behind holes.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Bytes that what is held behind holes takes.
    #[must_use]
    pub fn held_size(&self) -> usize {
        self.held_bytes + self.held.len() * PIECE
    }

    /// Whether a hole has to be given up.
    #[must_use]
    pub fn holds_too_much(&self) -> bool {
        self.held_size() > MAX_HELD || self.held.len() > MAX_PIECES
    }

    fn first_held(&self) -> Option<&Held> {
        Some(self.held.first_key_value()?.1)
    }

    /// Whether anything is held behind a hole.
    #[must_use]
    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Where a FIN says that the stream ends.
    #[must_use]
    pub const fn fin(&self) -> Option<Offset> {
        self.fin
    }

    /// A FIN was seen at `offset`. True if it is the first.
    pub const fn finish(&mut self, offset: Offset) -> bool {
        let first = self.fin.is_none();
        if first {
            self.fin = Some(offset);
        }
        first
    }

    /// The sender's own packet says that its next byte has this offset.
    pub fn stand_at(&mut self, offset: Offset) {
        self.stood_at = self.stood_at.max(Some(offset));
    }

    /// One past the highest byte of data seen or acknowledged, if the stream has started; FINs,
    /// seen or not, aside.
    #[must_use]
    pub fn data_high(&self) -> Option<Offset> {
        let seen = self.position?.high;
        if self.lacks_fin() {
            return Some(seen);
        }
        let high = self.acked.map_or(seen, |acked| seen.max(acked));
        Some(self.fin.map_or(high, |fin| high.min(fin.max(seen))))
    }

    /// One past the highest byte that the sender sent, as what was seen, what was acknowledged and
    /// the numbers of its own packets say; FINs, seen or not, aside.
    #[must_use]
    pub fn sent(&self) -> Offset {
        let high = self.data_high().unwrap_or(Offset::ORIGIN);
        let stood_at = self.stood_at.filter(|_| !self.lacks_fin());
        let stood_at = stood_at.map(|at| self.fin.map_or(at, |fin| at.min(fin)));
        stood_at.map_or(high, |at| high.max(at))
    }

    /// Takes a segment: `payload` at `start`, and `wire` bytes of it on the wire.
    pub fn receive(&mut self, start: Offset, payload: &[u8], wire: u64, mark: Mark) -> Arrival {
        let end = start + wire;
        let next = self.next();
        if end <= next {
            return Arrival::Known;
        }
        let overlaps_held = self.first_held().is_some_and(|held| held.start < end);
        if start <= next && !overlaps_held {
            let known = next - start;
            self.advance(end);
            return Arrival::Next(known);
        }
        if end - next >= u64::from(PLAUSIBLE) {
            return Arrival::Implausible;
        }
        if self.hold(start, payload, end, mark) {
            Arrival::Held
        } else {
            Arrival::Known
        }
    }

    /// The other side acknowledged everything before `offset`. True if that is news.
    pub fn acknowledge(&mut self, offset: Offset) -> bool {
        let news = Some(offset) > self.acked;
        if news {
            self.acked = Some(offset);
        }
        news
    }

    /// The hole in front of the next byte seen, as far as it was acknowledged; the stream then goes
    /// on after it.
    ///
    /// The very last number acknowledged may stand for a FIN that the capture lacks as well as for
    /// a byte. It is left open until something is seen beyond it, unless `message_left` says that a
    /// byte is due there.
    pub fn take_missing(&mut self, message_left: Option<u64>) -> Option<Extent> {
        let from = self.next();
        let acked = self.acked?;
        let mut upto = self.fin.map_or(acked, |fin| fin.min(acked));
        if upto <= from {
            return None;
        }
        let all_seen_lies_before = self.high() <= from;
        if all_seen_lies_before && self.fin.is_none() {
            if message_left == Some(upto - from) {
                self.taken_for_a_byte = Some(upto);
            } else {
                upto = upto - 1;
            }
        }
        if let Some(held) = self.first_held() {
            upto = upto.min(held.start);
        }
        self.step_over(upto)
    }

    /// Gives up the hole in front of the next byte held, acknowledged or not.
    pub fn give_up_hole(&mut self) -> Option<Extent> {
        let upto = self.first_held()?.start;
        self.step_over(upto)
    }

    /// Moves on over bytes before the first one seen, of a stream joined late. Returns them, if
    /// there are any.
    pub fn skip_to(&mut self, offset: Offset) -> Option<Extent> {
        self.step_over(offset)
    }

    fn step_over(&mut self, upto: Offset) -> Option<Extent> {
        let from = self.next();
        (upto > from).then(|| {
            self.advance(upto);
            Extent { from, upto }
        })
    }

    /// Whether there may be anything for [`Stream::pop`] or [`Stream::take_missing`] to give.
    #[inline]
    #[must_use]
    pub fn may_give(&self) -> bool {
        self.has_held() || self.acked > Some(self.next())
    }

    /// The next held bytes, if they continue the stream now.
    pub fn pop(&mut self) -> Option<Held> {
        let next = self.next();
        while let Some(first) = self.held.first_entry()
            && *first.key() <= next
        {
            let mut held = first.remove();
            self.held_bytes -= held.bytes.len();
            if held.end() > next {
                held.trim_front(next);
                self.advance(held.end());
                return Some(held);
            }
        }
        None
    }

    /// Whether the number just after the last byte was acknowledged, or the sender went on from
    /// there, although no FIN was seen there: a FIN, or one last byte, is missing from the capture.
    #[must_use]
    pub fn lacks_fin(&self) -> bool {
        let high = self.high();
        let beyond = Some(high + 1);
        self.is_started()
            && (self.acked == beyond || self.stood_at == beyond)
            && self.fin.is_none_or(|fin| fin != high)
    }

    /// Whether the last number, which was taken for a byte because one was due, was not seen: it may
    /// be a FIN's all the same.
    #[must_use]
    pub fn may_lack_fin(&self) -> bool {
        self.fin.is_none() && self.taken_for_a_byte == Some(self.high())
    }

    fn advance(&mut self, to: Offset) {
        if let Some(position) = &mut self.position {
            position.next_seq = position.next_seq.plus((to - position.next) as u32);
            position.next = to;
            position.high = position.high.max(to);
        }
    }

    /// Holds what of the segment is not held yet. False if nothing of it is new.
    fn hold(&mut self, start: Offset, payload: &[u8], end: Offset, mark: Mark) -> bool {
        let mut at = start.max(self.next());
        let mut new = false;
        while at < end {
            let before = self.held.range(..=at).next_back();
            if let Some((_, held)) = before.filter(|(_, held)| held.end() > at) {
                at = held.end();
                continue;
            }
            let next = self.held.range(at..).next();
            let upto = next.map_or(end, |(next, _)| end.min(*next));
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
            self.held.insert(at, piece);
            new = true;
            at = upto;
        }
        if let Some(position) = &mut self.position {
            position.high = position.high.max(end);
        }
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
    fn what_never_joins_is_held_up_to_a_number_of_pieces() {
        let mut stream = started();
        let origin = Offset::ORIGIN;
        let mut most = 0;
        for number in (1..20_000).rev() {
            stream.receive(origin + 2 * number, b"x", 1, mark(number));
            most = most.max(stream.held.len());
            while stream.holds_too_much() {
                stream.give_up_hole();
                while stream.pop().is_some() {}
            }
        }
        assert_eq!(most, MAX_PIECES + 1);
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
        let at = Offset::ORIGIN;
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
        let at = Offset::ORIGIN;
        stream.receive(at + 10, b"later", 5, mark(1));
        assert_eq!(stream.take_missing(None), None);
        stream.acknowledge(at + 15);
        assert_eq!(stream.take_missing(None), Some(Extent::new(at, 10)));
        assert_eq!(stream.pop().map(|held| held.bytes), Some(b"later".to_vec()));
        assert!(!stream.lacks_fin());
    }

    #[test]
    fn the_last_number_acknowledged_may_be_a_fin() {
        let mut stream = started();
        let at = Offset::ORIGIN;
        stream.receive(at, b"abc", 3, mark(1));
        stream.acknowledge(at + 4);
        assert_eq!(stream.take_missing(None), None);
        assert!(stream.lacks_fin());
        assert_eq!(stream.take_missing(Some(1)), Some(Extent::new(at + 3, 1)));
        assert!(!stream.lacks_fin());

        let mut stream = started();
        stream.acknowledge(at + 9);
        assert_eq!(stream.take_missing(None), Some(Extent::new(at, 8)));
        assert!(stream.lacks_fin());
        stream.receive(at + 9, b"x", 1, mark(1));
        assert_eq!(stream.take_missing(None), Some(Extent::new(at + 8, 1)));
        assert!(!stream.lacks_fin());
    }

    #[test]
    fn a_sender_that_stands_beyond_its_bytes_has_sent_a_fin() {
        let mut stream = started();
        stream.receive(Offset::ORIGIN, b"abc", 3, mark(1));
        stream.stand_at(Offset::ORIGIN + 3);
        assert!(!stream.lacks_fin());
        stream.stand_at(Offset::ORIGIN + 4);
        assert!(stream.lacks_fin());
        assert_eq!(stream.data_high(), Some(Offset::ORIGIN + 3));
        stream.finish(Offset::ORIGIN + 3);
        assert!(!stream.lacks_fin());
    }

    #[test]
    fn a_sender_that_stands_further_on_has_sent_what_lies_between() {
        let mut stream = started();
        let at = Offset::ORIGIN;
        stream.receive(at, b"abc", 3, mark(1));
        assert_eq!(stream.sent(), at + 3);
        stream.stand_at(at + 9);
        assert_eq!((stream.high(), stream.sent()), (at + 3, at + 9));
        // Its FIN is no byte of data.
        stream.finish(at + 8);
        assert_eq!(stream.sent(), at + 8);

        let mut stream = started();
        stream.receive(at, b"abc", 3, mark(1));
        stream.acknowledge(at + 7);
        assert_eq!(stream.sent(), at + 7);
    }

    #[test]
    fn a_cut_payload_still_takes_its_room() {
        let mut stream = started();
        stream.receive(Offset::ORIGIN + 5, b"ab", 10, mark(1));
        stream.receive(Offset::ORIGIN, b"01234", 5, mark(2));
        let held = stream.pop().unwrap();
        assert_eq!((held.bytes.as_slice(), held.cut), (&b"ab"[..], 8));
        assert_eq!(stream.next(), Offset::ORIGIN + 15);
    }
}
