//! What each segment changes: acknowledgments, windows, payload, closes, and the bytes they set free.

use super::super::judge::CloseSeen;
use super::super::model::{AckWith, Doubt, Finding, FindingKind, Side};
use super::super::pairing::{Pairing, Progress, Run};
use super::{AT_ONCE, DELAYED_ACK, FAR, MOST_HELD, Role, Shared, Syn, Watched};
use crate::http::detect;
use crate::packet::{Flags, Mark, Segment};
use crate::tcp::{Arrival, Seq};

impl Watched {
    /// A SYN, with or without ACK. True if it is new.
    pub(super) fn synchronise(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) -> bool {
        let direction = &mut self.directions[d];
        direction.stream.start(segment.seq.plus(1));
        direction.mss = direction.mss.or(segment.mss);
        if segment.ack.is_some() {
            let new = self.synack.is_none();
            self.synack.get_or_insert(mark);
            if new {
                // It opens after all: a RST before was an answer to something else.
                self.refused = None;
                self.directions[0].rst = None;
                self.directions[1].rst = None;
            }
            return new;
        }
        match &mut self.syn {
            Some(syn) => {
                syn.retries += 1;
                syn.last = mark;
                false
            }
            None => {
                self.syn = Some(Syn {
                    first: mark,
                    last: mark,
                    retries: 0,
                });
                true
            }
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        d: usize,
        ack: Seq,
        segment: &Segment<'_>,
        mark: Mark,
        shared: &mut Shared<'_>,
    ) {
        let p = 1 - d;
        let own_high = self.directions[d].stream.data_high();
        let own_mss = self.directions[d].mss;
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
            let late = mark.time - sent.time >= DELAYED_ACK;
            peer.stalled = (with == AckWith::Bare && small && late).then_some((sent, mark));
        }
        self.take_probe(p, upto);
        self.note_recovered(p, upto, mark);
        self.fill(p, mark, shared);
        self.pairing.acknowledged(self.side(d), upto, mark, with);
    }

    /// A zero-window probe's byte that was acknowledged is data after all.
    fn take_probe(&mut self, p: usize, upto: u64) {
        let direction = &mut self.directions[p];
        let Some((at, byte, mark)) = direction.probe.filter(|&(at, ..)| at < upto) else {
            return;
        };
        direction.probe = None;
        if at == direction.stream.next() {
            direction.stream.receive(at, &[byte], 1, mark);
            self.deliver(p, at, &[byte], 0, mark, false);
        }
    }

    fn note_recovered(&mut self, p: usize, upto: u64, mark: Mark) {
        while let Some(mut resent) = self.directions[p].flights.take_recovered(upto) {
            let cost = mark.time - resent.frames[0].time;
            resent.frames.push(mark);
            let finding = Finding {
                kind: FindingKind::Retransmission,
                frames: resent.frames,
                cost,
            };
            self.pairing
                .note(self.side(p), (resent.start, resent.end), finding);
        }
    }

    pub(super) fn watch_window(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) {
        if segment.flags.any(Flags::SYN.with(Flags::RST)) {
            return;
        }
        let direction = &mut self.directions[d];
        direction.window = Some(segment.window);
        if segment.window == 0 {
            direction.zero_since.get_or_insert(mark);
        } else if let Some(since) = direction.zero_since.take() {
            self.pairing
                .note_closed_window(self.side(d), since, Some(mark), mark.time);
        }
    }

    pub(super) fn note_closed_windows(&mut self) {
        for d in 0..2 {
            if let Some(since) = self.directions[d].zero_since.take() {
                self.pairing
                    .note_closed_window(self.side(d), since, None, self.last.time);
            }
        }
    }

    /// The payload of a segment. True if a byte of it is new.
    pub(super) fn payload(
        &mut self,
        d: usize,
        segment: &Segment<'_>,
        mark: Mark,
        shared: &mut Shared<'_>,
    ) -> bool {
        let wire = u64::from(segment.wire_payload);
        if wire == 0 {
            return false;
        }
        let syn = u32::from(segment.flags.has(Flags::SYN));
        let seq = segment.seq.plus(syn);
        let peer_window = self.directions[1 - d].window;
        let plain = !segment.flags.any(Flags::FIN.with(Flags::SYN));
        let direction = &mut self.directions[d];
        if plain && wire == 1 && !direction.stream.is_started() {
            // Nothing is known of this direction yet: one byte is a keep-alive probe far more often than a message.
            direction.stream.start(seq.plus(1));
            return true;
        }
        direction.stream.start(seq);
        let Some(from) = direction.stream.offset(seq) else {
            return true;
        };
        if plain && wire == 1 && direction.stream.fin() == Some(from) {
            // A keep-alive probe repeats the number before the next one, which is the FIN's.
            return true;
        }
        if plain && wire == 1 && from == direction.stream.high() && peer_window == Some(0) {
            if let Some(&byte) = segment.payload.first() {
                direction.probe = Some((from, byte, mark));
            }
            return true;
        }
        if !self.whole && !direction.spoke {
            let skipped = direction.stream.next();
            if direction.stream.skip_to(from) && d != self.client {
                let at = self.progress(mark);
                let why = Doubt::CaptureStartedLate;
                self.pairing
                    .gap(Side::Server, (skipped, from), why, None, &at);
            }
        }
        let direction = &mut self.directions[d];
        direction.spoke = true;
        direction.largest = direction.largest.max(segment.wire_payload);
        let stalled = direction.stalled.take();
        match direction.stream.receive(from, segment.payload, wire, mark) {
            Arrival::Next(known) => {
                direction.flights.sent(from + known, from + wire, mark);
                let skip = known.min(segment.payload.len() as u64);
                let bytes = &segment.payload[skip as usize..];
                let cut = wire - known - bytes.len() as u64;
                self.deliver(d, from + known, bytes, cut, mark, known == 0);
                self.note_stall(d, stalled, (from + known, from + wire), mark);
                true
            }
            Arrival::Held => {
                direction.flights.sent(from, from + wire, mark);
                self.give_up_if_full(d, mark, shared);
                true
            }
            Arrival::Known => false,
            Arrival::Implausible => true,
        }
    }

    /// A segment that the sender held back until a delayed ACK came.
    fn note_stall(
        &mut self,
        d: usize,
        stalled: Option<(Mark, Mark)>,
        range: (u64, u64),
        mark: Mark,
    ) {
        let Some((sent, acked)) = stalled else {
            return;
        };
        if mark.time - acked.time > AT_ONCE {
            return;
        }
        let finding = Finding {
            kind: FindingKind::DelayedAckStall,
            frames: vec![sent, acked, mark],
            cost: acked.time - sent.time,
        };
        self.pairing.note(self.side(d), range, finding);
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
            let upto = from + u64::from(segment.wire_payload);
            direction.flights.sent_again(from, upto, mark);
        }
    }

    /// A FIN. True if it is the first.
    pub(super) fn finish(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) -> bool {
        let acked = self.directions[1 - d].stream.acked();
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
            direction.fin = Some(CloseSeen {
                mark,
                at,
                acked,
                has_ack: segment.ack.is_some(),
                is_next: false,
            });
        }
        first
    }

    /// A RST. One whose number no receiver would take is none (RFC 9293, 3.5.3).
    pub(super) fn reset(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) {
        let acked = self.directions[1 - d].stream.acked();
        let direction = &mut self.directions[d];
        let near = !direction.stream.is_started()
            || segment
                .seq
                .distance_from(direction.stream.next_seq())
                .unsigned_abs()
                < FAR;
        if direction.rst.is_some() || !near {
            return;
        }
        let at = direction.stream.offset(segment.seq).unwrap_or_default();
        direction.rst = Some(CloseSeen {
            mark,
            at,
            acked,
            has_ack: segment.ack.is_some(),
            is_next: direction.stream.is_started()
                && at == direction.stream.next()
                && at == direction.stream.high(),
        });
    }

    /// Passes on what the stream can give now: bytes that were held, and holes that were acknowledged.
    pub(super) fn fill(&mut self, d: usize, mark: Mark, shared: &mut Shared<'_>) {
        loop {
            while let Some(held) = self.directions[d].stream.pop() {
                self.deliver(
                    d,
                    held.start,
                    &held.bytes,
                    held.cut,
                    held.mark,
                    held.segment_start,
                );
            }
            let left = self.pairing.message_left(self.side(d));
            let Some(missing) = self.directions[d].stream.take_missing(left) else {
                break;
            };
            self.miss(d, missing, mark, shared);
        }
        let server = &self.directions[1 - self.client].stream;
        if !self.server_finished && server.is_started() && server.fin() == Some(server.next()) {
            self.server_finished = true;
            let upto = server.next();
            let at = self.progress(mark);
            self.pairing.server_finished(upto, &at);
        }
    }

    /// Bytes of `d` that the capture does not have.
    fn miss(&mut self, d: usize, missing: (u64, u64), mark: Mark, shared: &Shared<'_>) {
        let why = match () {
            () if shared.dropped => Doubt::CaptureDropped,
            () if !self.directions[d].seen => Doubt::OneSided,
            () => Doubt::SequenceHole,
        };
        let mut at = self.progress(mark);
        if d == self.client {
            // What is missing was sent before it was acknowledged, however late that is noticed.
            at.server_high = self.directions[d].peer_high_at_ack;
        }
        self.pairing.gap(self.side(d), missing, why, None, &at);
    }

    fn give_up_if_full(&mut self, d: usize, mark: Mark, shared: &mut Shared<'_>) {
        if self.directions[d].stream.held_bytes() <= MOST_HELD {
            return;
        }
        if let Some(missing) = self.directions[d].stream.give_up_hole() {
            *shared.bytes_given_up += missing.1 - missing.0;
            self.miss(d, missing, mark, shared);
            self.fill(d, mark, shared);
        }
    }

    fn deliver(
        &mut self,
        d: usize,
        from: u64,
        bytes: &[u8],
        cut: u64,
        mark: Mark,
        segment_start: bool,
    ) {
        if self.role == Role::Guessed && segment_start {
            self.tell_roles(d, bytes);
        }
        let side = self.side(d);
        let at = self.progress(mark);
        if !bytes.is_empty() {
            let run = Run {
                from,
                bytes,
                mark,
                segment_start,
            };
            self.pairing.bytes(side, run, &at);
        }
        if cut > 0 {
            let start = from + bytes.len() as u64;
            self.pairing
                .gap(side, (start, start + cut), Doubt::Snaplen, Some(mark), &at);
        }
    }

    /// Who speaks HTTP's first word is the client, whatever the ports.
    fn tell_roles(&mut self, d: usize, bytes: &[u8]) {
        let client = if detect::begins_request_on(bytes, self.forced) {
            d
        } else if detect::begins_response(bytes) == Some(true) {
            1 - d
        } else {
            return;
        };
        self.role = Role::Known;
        if client != self.client {
            self.client = client;
            let (client, server) = (self.ends[client], self.ends[1 - client]);
            self.pairing = Pairing::new(self.id, client, server, self.whole, self.forced);
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
            order: mark.order,
        }
    }
}
