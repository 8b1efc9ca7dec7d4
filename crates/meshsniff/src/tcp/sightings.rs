//! The same packet captured twice: on `-i any` it is seen on every interface it crosses, and inside
//! and outside of a tunnel.
//!
//! On its way a packet may be split into several, or several be merged into one: that is what
//! segmentation offload does between two interfaces. The bytes were sent once all the same.

use crate::packet::{Flags, Segment, Seq};
use crate::time::{Span, Timestamp};
use std::collections::VecDeque;

/// Packets that are remembered, of one direction and of all together: more than cross an interface
/// in the time that two sightings may be apart.
const MAX_REMEMBERED: usize = 256;

/// How far apart two sightings of one packet may be.
const APART: Span = Span::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    seq: u32,
    ack: u32,
    len: u32,
    ip_id: Option<u16>,
    flags: Flags,
}

impl Identity {
    fn of(segment: &Segment<'_>) -> Self {
        Self {
            seq: segment.seq.get(),
            ack: segment.ack.map_or(0, |ack| ack.get()),
            len: segment.wire_payload,
            ip_id: segment.ip_id,
            flags: segment.flags,
        }
    }

    fn end(&self) -> Seq {
        Seq::new(self.seq).plus(self.len)
    }

    /// Bytes from the start of `whole` to the start of this one, if it lies inside and says the
    /// same beside its bytes. Offload leaves PSH and FIN to the last piece.
    fn place_in(&self, whole: &Self) -> Option<u32> {
        let alike = self.ack == whole.ack && self.ip_id.is_some() == whole.ip_id.is_some();
        let plain = !self.flags.any(Flags::SYN.with(Flags::RST));
        let ends_alike =
            !self.flags.has(Flags::FIN) || whole.flags.has(Flags::FIN) && self.end() == whole.end();
        let place = self.seq.wrapping_sub(whole.seq);
        let inside = self.len > 0 && place < whole.len && self.len <= whole.len - place;
        let smaller = self.len < whole.len;
        (alike && plain && ends_alike && inside && smaller).then_some(place)
    }

    /// Whether a packet with these bytes at `place` of `whole` is a piece of it, as far as IP's
    /// identification tells: it rises by one from piece to piece, or stays. A segment that was sent
    /// again has another one.
    fn is_piece(&self, place: u32, whole: &Self) -> bool {
        let (Some(id), Some(first)) = (self.ip_id, whole.ip_id) else {
            return true;
        };
        let is_last = place + self.len == whole.len;
        match u32::from(id.wrapping_sub(first)) {
            0 => true,
            // The last piece may be shorter than the others.
            number if is_last => place.is_multiple_of(number) && place / number >= self.len,
            number => u64::from(number) * u64::from(self.len) == u64::from(place),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sighting {
    identity: Identity,
    tap: u32,
    time: Timestamp,
}

impl Sighting {
    fn is_near(&self, time: Timestamp) -> bool {
        (time - self.time).as_nanos().unsigned_abs() <= APART.as_nanos().unsigned_abs()
    }
}

/// A direction of a connection: the connection's number, and which end sends.
pub(super) type Of = (u64, usize);

/// The latest packets of all directions that came from one tap each: what the first from another
/// tap may repeat.
#[derive(Debug, Default)]
pub struct LatestSightings {
    /// A ring: where the next one goes the oldest is, once it is full.
    ring: Vec<(Of, Sighting)>,
    next: usize,
}

impl LatestSightings {
    #[inline]
    fn add(&mut self, of: Of, sighting: Sighting) {
        match self.ring.get_mut(self.next) {
            Some(oldest) => *oldest = (of, sighting),
            None => self.ring.push((of, sighting)),
        }
        self.next = (self.next + 1) % MAX_REMEMBERED;
    }

    /// Those of one direction, the oldest first.
    fn of(&self, of: Of) -> impl Iterator<Item = Sighting> {
        let (latest, oldest) = self.ring.split_at(self.next);
        let own = oldest.iter().chain(latest).filter(move |one| one.0 == of);
        own.map(|(_, sighting)| *sighting)
    }
}

/// The last packets of one direction.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    /// The tap of the first packet; as long as all came from there, none can be a second sighting.
    first_tap: Option<u32>,
    several_taps: bool,
    /// Once there are several taps, all packets that are recent enough to matter, oldest first.
    last: VecDeque<Sighting>,
    /// The end of the latest bytes seen: what goes beyond was not seen before.
    high: Option<Seq>,
}

impl Sightings {
    /// Bytes that what it keeps takes.
    pub fn weight(&self) -> usize {
        self.last.capacity() * size_of::<Sighting>()
    }

    /// Remembers `segment`; true if it is a packet seen before on another interface or in the other
    /// direction. A packet seen twice on the same tap is a retransmission, not a second sighting.
    ///
    /// `of` is the direction that these are the sightings of.
    #[inline]
    pub fn is_repeat(
        &mut self,
        segment: &Segment<'_>,
        time: Timestamp,
        of: Of,
        latest: &mut LatestSightings,
    ) -> bool {
        let sighting = Sighting {
            identity: Identity::of(segment),
            tap: segment.tap,
            time,
        };
        if *self.first_tap.get_or_insert(segment.tap) != segment.tap && !self.several_taps {
            self.several_taps = true;
            self.last = latest.of(of).collect();
        }
        let repeat = self.several_taps && self.is_seen(&sighting);
        let identity = &sighting.identity;
        if identity.len > 0 {
            let end = identity.end();
            let high = self.high.filter(|high| end.distance_from(*high) <= 0);
            self.high = high.or(Some(end));
        }
        // A second sighting too: a third one may come from the first one's tap.
        if self.several_taps {
            self.remember(sighting);
        } else {
            latest.add(of, sighting);
        }
        repeat
    }

    fn is_seen(&self, packet: &Sighting) -> bool {
        let identity = &packet.identity;
        if self.is_beyond(identity) {
            return false;
        }
        let near = |seen: &Sighting| seen.is_near(packet.time);
        let elsewhere = |seen: &&Sighting| seen.tap != packet.tap && near(seen);
        let mut sightings = self.last.iter().rev().filter(elsewhere);
        sightings.any(|seen| seen.identity == *identity)
            || identity.len > 0 && self.is_resized(identity, packet.tap, near)
    }

    fn remember(&mut self, packet: Sighting) {
        let is_old = |seen: &Sighting| !seen.is_near(packet.time);
        while self.last.len() >= MAX_REMEMBERED || self.last.front().is_some_and(is_old) {
            self.last.pop_front();
        }
        self.last.push_back(packet);
    }

    /// Whether a packet brings bytes that no packet has brought.
    fn is_beyond(&self, packet: &Identity) -> bool {
        let above = |high| packet.end().distance_from(high) > 0;
        packet.len > 0 && self.high.is_none_or(above)
    }

    /// Whether a packet is a piece of one that was seen on another tap, or is put together from
    /// such.
    #[cold]
    fn is_resized(&self, packet: &Identity, tap: u32, near: impl Fn(&Sighting) -> bool) -> bool {
        let recent = || self.last.iter().filter(|seen| near(seen));
        let came_here = |seen: &Sighting| {
            let place = packet.seq.wrapping_sub(seen.identity.seq);
            seen.tap == tap && place < seen.identity.len
        };
        if recent().any(came_here) {
            return false;
        }
        let elsewhere = || recent().filter(|seen| seen.tap != tap);
        let is_piece_of = |whole: &Identity| {
            let place = packet.place_in(whole);
            place.is_some_and(|place| packet.is_piece(place, whole))
        };
        if elsewhere().any(|seen| is_piece_of(&seen.identity)) {
            return true;
        }
        // Pieces are seen in order. All must be of one tap, or one may be counted twice.
        let mut from = None;
        let mut come = 0;
        for seen in elsewhere() {
            let piece = &seen.identity;
            let next = piece.place_in(packet) == Some(come) && piece.is_piece(come, packet);
            if next && *from.get_or_insert(seen.tap) == seen.tap {
                come += piece.len;
            }
        }
        come == packet.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Endpoint;
    use crate::time::Span;

    /// The sightings of a direction, and those of all.
    type Seen = (Sightings, LatestSightings);

    /// A packet of `len` bytes from `seq` on, and where and when it was seen.
    fn is_repeat(
        (sightings, latest): &mut Seen,
        (tap, micros): (u32, i64),
        (seq, len): (u32, u32),
        ip_id: Option<u16>,
        flags: Flags,
    ) -> bool {
        let segment = Segment {
            flags,
            ip_id,
            ..segment(tap, (seq, len))
        };
        sightings.is_repeat(&segment, at(micros), (0, 1), latest)
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_nanos(0).plus(Span::from_micros(micros))
    }

    /// A packet of `len` bytes from `seq` on.
    fn segment(tap: u32, (seq, len): (u32, u32)) -> Segment<'static> {
        let end = Endpoint::v4([10, 0, 0, 1], 80);
        Segment {
            src: end,
            dst: end,
            seq: Seq::new(seq),
            ack: Some(Seq::new(7)),
            flags: ACK,
            window: 100,
            payload: &[],
            wire_payload: len,
            mss: None,
            ip_id: None,
            tap,
        }
    }

    const START: u32 = u32::MAX - 100;

    /// Five pieces of 1,000 bytes and one of 200.
    fn pieces(first: Option<u16>) -> impl Iterator<Item = (u32, u32, Option<u16>)> {
        (0..6_u16).map(move |number| {
            let seq = START.wrapping_add(u32::from(number) * 1_000);
            let len = if number == 5 { 200 } else { 1_000 };
            (seq, len, first.map(|first| first.wrapping_add(number)))
        })
    }

    const ACK: Flags = Flags::ACK;
    const FIN: Flags = ACK.with(Flags::FIN);

    #[test]
    fn pieces_of_a_packet_that_was_seen_are_no_new_packets() {
        for id in [None, Some(u16::MAX - 2)] {
            let mut sightings = Seen::default();
            assert!(!is_repeat(&mut sightings, (1, 0), (START, 5_200), id, FIN));
            for (seq, len, id) in pieces(id) {
                let flags = if len == 200 { FIN } else { ACK };
                assert!(is_repeat(&mut sightings, (2, 50), (seq, len), id, flags));
                // Once more on the same interface it was sent again.
                assert!(!is_repeat(&mut sightings, (2, 90), (seq, len), id, flags));
            }
        }
    }

    #[test]
    fn a_packet_put_together_from_those_that_were_seen_is_no_new_packet() {
        for id in [None, Some(u16::MAX - 2)] {
            let mut sightings = Seen::default();
            for (seq, len, id) in pieces(id) {
                assert!(!is_repeat(&mut sightings, (1, 0), (seq, len), id, ACK));
            }
            assert!(is_repeat(&mut sightings, (2, 50), (START, 5_200), id, ACK));
            assert!(!is_repeat(&mut sightings, (2, 60), (START, 5_200), id, ACK));
        }
    }

    #[test]
    fn what_others_sent_in_between_is_not_mistaken_for_it() {
        let of = |(mine, latest): &mut Seen, others: u32| {
            assert!(!mine.is_repeat(&segment(1, (7, 10)), at(0), (0, 1), latest));
            for other in 0..others {
                // The same numbers, in another direction.
                let of = (u64::from(other), 0);
                Sightings::default().is_repeat(&segment(1, (7, 10)), at(0), of, latest);
            }
            mine.is_repeat(&segment(2, (7, 10)), at(50), (0, 1), latest)
        };
        assert!(of(&mut Seen::default(), 200));
        // What others sent is none of its own.
        let (mut own, mut seen) = (Sightings::default(), Seen::default());
        of(&mut seen, 5);
        let mut is_repeat = |tap, seq| {
            let segment = segment(tap, (seq, 10));
            own.is_repeat(&segment, at(60), (9, 0), &mut seen.1)
        };
        assert!(!is_repeat(1, 99));
        assert!(!is_repeat(3, 7));
        // Past its size the ring has forgotten.
        assert!(!of(&mut Seen::default(), MAX_REMEMBERED as u32));
    }

    #[test]
    fn what_was_sent_again_is_no_piece() {
        let whole = (START, 5_200);
        let second = (START.wrapping_add(1_000), 1_000);
        let last = (START.wrapping_add(5_000), 200);
        for (case, place, packet, id, flags) in [
            ("another identification", (2, 50), second, Some(16), ACK),
            ("too late", (2, 1_050), second, Some(11), ACK),
            ("the same interface", (1, 50), second, Some(11), ACK),
            ("a FIN that the whole had not", (2, 50), last, Some(15), FIN),
            ("a FIN before the end", (2, 50), second, Some(11), FIN),
            ("a reset", (2, 50), second, Some(11), Flags::RST),
            ("beyond the end", (2, 50), (last.0, 201), Some(15), ACK),
        ] {
            let mut sightings = Seen::default();
            assert!(!is_repeat(&mut sightings, (1, 0), whole, Some(10), ACK));
            let repeat = is_repeat(&mut sightings, place, packet, id, flags);
            assert!(!repeat, "{case}");
        }
        // A piece is missing.
        let mut sightings = Seen::default();
        for (seq, len, id) in pieces(Some(10)).filter(|piece| piece.2 != Some(13)) {
            is_repeat(&mut sightings, (1, 0), (seq, len), id, ACK);
        }
        assert!(!is_repeat(&mut sightings, (2, 50), whole, Some(10), ACK));
    }
}
