//! What each segment changes: acknowledgments, windows, payload, closes, and the bytes they set
//! free.

use super::{
    AT_ONCE, Counters, DELAYED_ACK, FAR, FIRST_FLIGHT, MAX_RIVALS, Role, TrackedConnection,
};
use crate::packet::{Flags, Mark, Segment, Seq};
use crate::tcp::evidence::{CloseEvidence, Doubt, Scope, Side, Syn};
use crate::tcp::{
    Ack, AckWith, Application, Arrival, Delay, Delayed, Extent, Missing, Offset, Progress, Repeat,
    Run, Stream, StreamEvent,
};
use crate::time::Span;

/// Bytes that were sent so often, or for so long, and were not acknowledged, will not be.
const MANY: usize = 3;
const LONG: Span = Span::from_secs(1);

/// Whether an ACK that came after `waited` is later than one round trip explains: by half at least.
const fn is_late(waited: Span, round_trip: Span) -> bool {
    waited.as_nanos().saturating_mul(2) >= round_trip.as_nanos().saturating_mul(3)
}

impl TrackedConnection {
    /// A SYN, with or without ACK. True if it is new.
    pub(super) fn synchronise(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) -> bool {
        let origin = segment.seq.plus(1);
        let direction = &mut self.directions[d];
        direction.stream.start(origin);
        direction.mss = direction.mss.or(segment.mss);
        if segment.ack.is_some() {
            if direction.stream.origin() != Some(origin) {
                // Whether it is the one that opens the connection, the client's ACK tells.
                let known = self.rivals.iter().any(|&(known, _)| known == origin);
                if self.opening.opened.is_none() && !known && self.rivals.len() < MAX_RIVALS {
                    self.rivals.push((origin, mark));
                }
                return true;
            }
            let new = self.opening.synack.is_none();
            self.opening.synack.get_or_insert(mark);
            if new {
                // It opens after all: a RST before was an answer to something else.
                self.directions[0].rst = None;
                self.directions[1].rst = None;
            }
            return new;
        }
        match &mut self.opening.syn {
            Some(syn) => {
                syn.retries += 1;
                syn.last = mark;
                false
            }
            None => {
                self.opening.syn = Some(Syn {
                    first: mark,
                    last: mark,
                    retries: 0,
                });
                true
            }
        }
    }

    /// The client's first ACK: the SYN-ACK that it takes is the connection's. If it takes none that
    /// was seen, nor bytes that may have followed one, the right one is missing.
    pub(super) fn choose_syn_ack(&mut self, ack: Seq) {
        let server = &mut self.directions[1 - self.client];
        let rivals = std::mem::take(&mut self.rivals);
        if server.spoke {
            return;
        }
        let taken = rivals.into_iter().find(|&(origin, _)| origin == ack);
        let ahead = server
            .stream
            .origin()
            .map(|origin| ack.distance_from(origin));
        if taken.is_some() || ahead.is_some_and(|ahead| !(0..FIRST_FLIGHT).contains(&ahead)) {
            server.stream = Stream::default();
            server.stream.start(ack);
            self.opening.synack = taken.map(|(_, mark)| mark);
        }
    }

    /// Whether this is an ACK of what was never sent, from a server that has not answered the SYN:
    /// a challenge (RFC 9293, 3.10.7.3), or what an older connection left. It proves nothing.
    pub(super) fn is_challenge(&self, d: usize, segment: &Segment<'_>) -> bool {
        let unanswered = self.opening.syn.is_some()
            && self.opening.synack.is_none()
            && self.opening.opened.is_none();
        let origin = self.directions[self.client].stream.origin();
        let (Some(ack), Some(origin), true) = (segment.ack, origin, unanswered && d != self.client)
        else {
            return false;
        };
        let ahead = ack.distance_from(origin);
        !(0..FIRST_FLIGHT).contains(&ahead)
    }

    pub(super) fn acknowledge<A: Application>(
        &mut self,
        d: usize,
        ack: Seq,
        segment: &Segment<'_>,
        mark: Mark,
        counters: &mut Counters,
        application: &mut A,
    ) {
        if segment.flags.has(Flags::RST) && self.directions[d].fin.is_some() {
            // Windows puts an ACK of the very data that it rejects on the RST.
            return;
        }
        let p = 1 - d;
        let own_high = self.directions[d].stream.data_high();
        let own_mss = self.directions[d].mss;
        let round_trip = self
            .opening
            .round_trip()
            .or(self.directions[p].quickest_ack);
        let peer = &mut self.directions[p];
        peer.stream.start(ack);
        let Some(upto) = peer.stream.offset(ack) else {
            return;
        };
        if !peer.stream.acknowledge(upto) {
            return;
        }
        peer.peer_high_at_ack = own_high;
        let with = match segment.flags {
            flags if flags.has(Flags::RST) => AckWith::Rst,
            flags if flags.has(Flags::FIN) => AckWith::Fin,
            _ if segment.wire_payload > 0 => AckWith::Data,
            _ => AckWith::Bare,
        };
        if let Some((sent, len)) = peer.flights.acknowledged(upto) {
            let small = peer.is_small(len, own_mss);
            let waited = mark.time - sent.time;
            // An ACK that took no longer than the way there and back was not delayed.
            let late =
                waited >= DELAYED_ACK && round_trip.is_some_and(|trip| is_late(waited, trip));
            peer.stalled = (with == AckWith::Bare && small && late).then_some((sent, mark));
            peer.quickest_ack = Some(peer.quickest_ack.map_or(waited, |least| least.min(waited)));
        }
        self.take_probe(p, upto, application);
        self.note_recovered(p, upto, mark, application);
        self.fill(p, mark, counters, application);
        let ack = Ack { upto, mark, with };
        application.tell(self.side(p), StreamEvent::Acknowledged(ack));
    }

    /// A zero-window probe's byte that was acknowledged is data after all.
    fn take_probe<A: Application>(&mut self, p: usize, upto: Offset, application: &mut A) {
        let direction = &mut self.directions[p];
        let Some((from, byte, mark)) = direction.probe.filter(|&(at, ..)| at < upto) else {
            return;
        };
        direction.probe = None;
        if from == direction.stream.next() {
            direction.stream.receive(from, &[byte], 1, mark);
            let run = Run {
                from,
                bytes: &[byte],
                mark,
                segment_start: false,
            };
            self.deliver(p, run, 0, application);
        }
    }

    fn note_recovered<A: Application>(
        &mut self,
        p: usize,
        upto: Offset,
        mark: Mark,
        application: &mut A,
    ) {
        while let Some(mut resent) = self.directions[p].flights.take_recovered(upto) {
            let cost = mark.time - resent.frames[0].time;
            resent.frames.push(mark);
            let delayed = Delayed {
                extent: resent.extent,
                by: Delay::Loss,
                frames: resent.frames,
                cost,
                smaller_passed: false,
            };
            application.tell(self.side(p), StreamEvent::Delayed(delayed));
        }
    }

    pub(super) fn watch_window<A: Application>(
        &mut self,
        d: usize,
        segment: &Segment<'_>,
        mark: Mark,
        application: &mut A,
    ) {
        if segment.flags.any(Flags::SYN.with(Flags::RST)) {
            return;
        }
        let direction = &mut self.directions[d];
        direction.window = Some(segment.window);
        if segment.window == 0 {
            direction.zero_since.get_or_insert(mark);
        } else if let Some(since) = direction.zero_since.take() {
            let event = StreamEvent::WindowClosed {
                since,
                opened: Some(mark),
                until: mark.time,
            };
            application.tell(self.side(d), event);
        }
    }

    pub(super) fn note_closed_windows<A: Application>(&mut self, application: &mut A) {
        for d in 0..2 {
            if let Some(since) = self.directions[d].zero_since.take() {
                let event = StreamEvent::WindowClosed {
                    since,
                    opened: None,
                    until: self.last.time,
                };
                application.tell(self.side(d), event);
            }
        }
    }

    /// Tells of bytes that were sent again and were never acknowledged, by a side that did not
    /// reject them either.
    pub(super) fn note_never_taken<A: Application>(&mut self, application: &mut A) {
        for d in 0..2 {
            let peer = &self.directions[1 - d];
            if peer.rst.is_some() || !peer.seen {
                continue;
            }
            let passed = self.directions[d].flights.largest_acked();
            let resent = self.directions[d].flights.take_resent();
            for resent in resent {
                let [first, .., last] = *resent.frames else {
                    continue;
                };
                // One that was sent twice just before the end may still be acknowledged.
                if resent.frames.len() < MANY && last.time - first.time < LONG {
                    continue;
                }
                let delayed = Delayed {
                    extent: resent.extent,
                    by: Delay::NeverTaken,
                    cost: last.time - first.time,
                    frames: resent.frames,
                    smaller_passed: (1..=resent.extent.len() / 2).contains(&passed),
                };
                application.tell(self.side(d), StreamEvent::Delayed(delayed));
            }
        }
    }

    /// The payload of a segment. True if a byte of it is new.
    pub(super) fn payload<A: Application>(
        &mut self,
        d: usize,
        segment: &Segment<'_>,
        mark: Mark,
        counters: &mut Counters,
        application: &mut A,
    ) -> bool {
        let wire = u64::from(segment.wire_payload);
        if wire == 0 {
            return false;
        }
        let syn = u32::from(segment.flags.has(Flags::SYN));
        let seq = segment.seq.plus(syn);
        let peer_window = self.directions[1 - d].window;
        let side = self.side(d);
        let plain = !segment.flags.any(Flags::FIN.with(Flags::SYN));
        let direction = &mut self.directions[d];
        if plain && wire == 1 && !direction.stream.is_started() {
            // Nothing is known of this direction yet: one byte is a keep-alive probe far more often
            // than a message.
            direction.stream.start(seq.plus(1));
            application.tell(side, StreamEvent::Repeated(Repeat::KeepAlive, mark));
            return true;
        }
        direction.stream.start(seq);
        let Some(from) = direction.stream.offset(seq) else {
            return true;
        };
        if plain && wire == 1 && direction.stream.fin() == Some(from) {
            // A keep-alive probe repeats the number before the next one, which is the FIN's.
            application.tell(side, StreamEvent::Repeated(Repeat::KeepAlive, mark));
            return true;
        }
        if plain && wire == 1 && from == direction.stream.high() && peer_window == Some(0) {
            if let Some(&byte) = segment.payload.first() {
                direction.probe = Some((from, byte, mark));
            }
            application.tell(side, StreamEvent::Repeated(Repeat::Probe, mark));
            return true;
        }
        if !self.whole
            && !direction.spoke
            && let Some(extent) = direction.stream.skip_to(from)
        {
            let missing = Missing {
                extent,
                why: Doubt::CaptureStartedLate,
                cut_in: None,
                measured: true,
            };
            let event = StreamEvent::Missing(missing, self.progress(mark));
            application.tell(side, event);
        }
        let direction = &mut self.directions[d];
        direction.spoke = true;
        direction.largest = direction.largest.max(segment.wire_payload);
        let stalled = direction.stalled.take();
        match direction.stream.receive(from, segment.payload, wire, mark) {
            Arrival::Next(known) => {
                let extent = Extent::new(from + known, wire - known);
                direction.flights.sent(extent, mark);
                let skip = known.min(segment.payload.len() as u64);
                let bytes = &segment.payload[skip as usize..];
                let cut = extent.len() - bytes.len() as u64;
                let run = Run {
                    from: extent.from,
                    bytes,
                    mark,
                    segment_start: known == 0,
                };
                self.deliver(d, run, cut, application);
                self.note_stall(d, stalled, extent, mark, application);
                true
            }
            Arrival::Held => {
                direction.flights.sent(Extent::new(from, wire), mark);
                self.give_up_if_full(d, mark, counters, application);
                true
            }
            Arrival::Known => {
                let is_last = wire == 1 && from + 1 == direction.stream.high();
                let repeat = if plain && is_last {
                    Repeat::KeepAlive
                } else {
                    Repeat::Bytes(wire)
                };
                application.tell(side, StreamEvent::Repeated(repeat, mark));
                false
            }
            Arrival::Implausible => true,
        }
    }

    /// A segment that the sender held back until a delayed ACK came.
    fn note_stall<A: Application>(
        &mut self,
        d: usize,
        stalled: Option<(Mark, Mark)>,
        extent: Extent,
        mark: Mark,
        application: &mut A,
    ) {
        let Some((sent, acked)) = stalled else {
            return;
        };
        if mark.time - acked.time > AT_ONCE {
            return;
        }
        let delayed = Delayed {
            extent,
            by: Delay::DelayedAck,
            frames: vec![sent, acked, mark],
            cost: acked.time - sent.time,
            smaller_passed: false,
        };
        application.tell(self.side(d), StreamEvent::Delayed(delayed));
    }

    /// A segment without one new sequence number.
    pub(super) fn count_repeat(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) {
        let direction = &mut self.directions[d];
        let syn = u32::from(segment.flags.has(Flags::SYN));
        let from = direction.stream.offset(segment.seq.plus(syn));
        let plain = !segment.flags.any(Flags::FIN.with(Flags::SYN));
        let keep_alive = plain
            && segment.wire_payload <= 1
            && from.is_some_and(|from| from + 1 == direction.stream.high());
        if keep_alive {
            return;
        }
        self.retransmissions += 1;
        if let Some(from) = from {
            let extent = Extent::new(from, u64::from(segment.wire_payload));
            direction.flights.sent_again(extent, mark);
        }
    }

    /// A FIN. True if it is the first.
    pub(super) fn finish(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) -> bool {
        let peer = &self.directions[1 - d].stream;
        let claimed = segment.ack.and_then(|ack| peer.offset(ack));
        let acked = peer.acked();
        let direction = &mut self.directions[d];
        let syn = u32::from(segment.flags.has(Flags::SYN));
        let seq = segment.seq.plus(syn);
        direction.stream.start(seq);
        let Some(from) = direction.stream.offset(seq) else {
            return true;
        };
        let at = from + u64::from(segment.wire_payload);
        let first = direction.stream.finish(at);
        if first {
            direction.fin = Some(CloseEvidence {
                scope: Scope::Connection,
                mark,
                at,
                acked,
                has_ack: segment.ack.is_some(),
                claimed,
                is_next: false,
            });
        }
        first
    }

    /// A RST. One whose number no receiver would take is none (RFC 9293, 3.5.3). True if it is the
    /// first.
    pub(super) fn reset(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) -> bool {
        let peer = &self.directions[1 - d].stream;
        // A RST that rejects what came, Linux's and Windows' alike, announces no window.
        let received = segment.ack.filter(|_| segment.window > 0);
        let claimed = received.and_then(|ack| peer.offset(ack));
        let acked = peer.acked();
        let direction = &mut self.directions[d];
        let next = direction.stream.next_seq();
        let near = next.is_none_or(|next| segment.seq.distance_from(next).unsigned_abs() < FAR);
        if direction.rst.is_some() || !near {
            return false;
        }
        let at = direction.stream.offset(segment.seq);
        let at = at.unwrap_or(Offset::ORIGIN);
        direction.rst = Some(CloseEvidence {
            scope: Scope::Connection,
            mark,
            at,
            acked,
            has_ack: segment.ack.is_some(),
            claimed,
            is_next: direction.stream.is_started()
                && at == direction.stream.next()
                && at == direction.stream.high(),
        });
        true
    }

    /// Passes on what the stream can give now: bytes that were held, and holes that were
    /// acknowledged.
    #[inline]
    pub(super) fn fill<A: Application>(
        &mut self,
        d: usize,
        mark: Mark,
        counters: &Counters,
        application: &mut A,
    ) {
        if self.directions[d].stream.may_give() {
            self.give(d, mark, counters, application);
        }
        let server = &self.directions[1 - self.client].stream;
        if !self.server_finished && server.is_started() && server.fin() == Some(server.next()) {
            self.server_finished = true;
            let event = StreamEvent::Finished(server.next(), self.progress(mark));
            application.tell(Side::Server, event);
        }
    }

    fn give<A: Application>(
        &mut self,
        d: usize,
        mark: Mark,
        counters: &Counters,
        application: &mut A,
    ) {
        loop {
            while let Some(held) = self.directions[d].stream.pop() {
                let run = Run {
                    from: held.start,
                    bytes: &held.bytes,
                    mark: held.mark,
                    segment_start: held.segment_start,
                };
                self.deliver(d, run, held.cut, application);
            }
            let left = application.expected(self.side(d));
            let Some(extent) = self.directions[d].stream.take_missing(left) else {
                break;
            };
            self.miss(d, extent, mark, counters, application);
        }
    }

    /// Bytes of `d` that the capture does not have.
    fn miss<A: Application>(
        &mut self,
        d: usize,
        extent: Extent,
        mark: Mark,
        counters: &Counters,
        application: &mut A,
    ) {
        let why = match () {
            () if counters.dropped => Doubt::CaptureDropped,
            () if !self.directions[d].seen => Doubt::OneSided,
            () => Doubt::SequenceHole,
        };
        let mut at = self.progress(mark);
        if d == self.client {
            // What is missing was sent before it was acknowledged, however late that is noticed.
            at.server_high = self.directions[d].peer_high_at_ack;
        }
        let missing = Missing {
            extent,
            why,
            cut_in: None,
            measured: true,
        };
        application.tell(self.side(d), StreamEvent::Missing(missing, at));
    }

    fn give_up_if_full<A: Application>(
        &mut self,
        d: usize,
        mark: Mark,
        counters: &mut Counters,
        application: &mut A,
    ) {
        // One packet may fill many holes, and so leave many pieces.
        while self.directions[d].stream.holds_too_much()
            && let Some(missing) = self.directions[d].stream.give_up_hole()
        {
            counters.bytes_given_up += missing.len();
            self.miss(d, missing, mark, counters, application);
            self.fill(d, mark, counters, application);
        }
    }

    /// Passes on bytes, and the `cut` ones behind them that the snap length left out.
    fn deliver<A: Application>(&mut self, d: usize, run: Run<'_>, cut: u64, application: &mut A) {
        if self.role == Role::Guessed && run.segment_start {
            self.tell_roles(d, run.bytes, application);
        }
        let side = self.side(d);
        let at = self.progress(run.mark);
        if !run.bytes.is_empty() {
            application.tell(side, StreamEvent::Bytes(run, at));
        }
        if cut > 0 {
            let missing = Missing {
                extent: Extent::new(run.from + run.bytes.len() as u64, cut),
                why: Doubt::Snaplen,
                cut_in: Some(run.mark),
                measured: true,
            };
            application.tell(side, StreamEvent::Missing(missing, at));
        }
    }

    /// Who speaks the first word that only one side can say tells the roles, whatever the ports.
    fn tell_roles<A: Application>(&mut self, d: usize, bytes: &[u8], application: &mut A) {
        let client = match application.speaker(bytes) {
            Some(Side::Client) => d,
            Some(Side::Server) => 1 - d,
            None => return,
        };
        self.role = Role::Known;
        if client != self.client {
            self.client = client;
            application.swap_sides();
        }
    }

    fn progress(&self, mark: Mark) -> Progress {
        let client = &self.directions[self.client].stream;
        let server = &self.directions[1 - self.client].stream;
        Progress {
            client_acked: client.acked(),
            server_next: server.next(),
            server_acked: server.acked(),
            server_high: server.data_high(),
            mark,
        }
    }
}
