//! One TCP connection: from its segments to streams, closes and findings.
//!
//! Holds what sequence numbers tell. What the bytes say is [`super::pairing`]'s, what it all means
//! [`super::judge`]'s.

use super::envoy::{self, Seen};
use super::judge::{self, CloseSeen, SideSeen, Wire};
use super::model::{
    AckWith, Close, Connection, Doubt, Exchange, Finding, FindingKind, Protocol, ResponseShape,
    Side, Verdict,
};
use super::open::Open;
use super::pairing::{Pairing, Progress, Run};
use crate::http::detect;
use crate::packet::{Endpoint, Flags, Mark, Segment};
use crate::tcp::{Arrival, Flights, Seq, Sightings, Stream};
use crate::time::{Span, Timestamp};

/// Bytes one direction may hold behind a hole: more than a window usually is. Past it the hole is given up.
const MOST_HELD: usize = 4 << 20;

/// An acknowledgment this late, and bare, was a delayed one.
const DELAYED_ACK: Span = Span::from_millis(30);

/// A sender that was only waiting for it goes on within this time.
const AT_ONCE: Span = Span::from_micros(100);

/// A SYN unanswered for this long, and repeated, is a connect that timed out.
const CONNECT_TIMEOUT: Span = Span::from_secs(1);

/// Sequence numbers this far from the next one lie outside of any window there is in practice.
const FAR: u32 = 1 << 24;

/// Room that TCP options take from a full segment (RFC 9293, 3.2).
const MOST_OPTIONS: u32 = 40;

/// What is shared by all connections.
pub(crate) struct Shared<'a> {
    /// Ports that are HTTP whatever the bytes look like.
    pub(crate) ports: &'a [u16],
    /// Whether the capture says that the kernel dropped packets.
    pub(crate) dropped: bool,
    /// Counts exchanges.
    pub(crate) next_exchange: &'a mut u64,
    /// Counts packets seen twice.
    pub(crate) duplicate_frames: &'a mut u64,
    /// Counts bytes given up behind holes for want of room.
    pub(crate) bytes_given_up: &'a mut u64,
}

#[derive(Clone, Debug, Default)]
struct Direction {
    stream: Stream,
    flights: Flights,
    sightings: Sightings,
    fin: Option<CloseSeen>,
    rst: Option<CloseSeen>,
    seen: bool,
    /// Whether a byte of payload was seen.
    spoke: bool,
    window: Option<u16>,
    zero_since: Option<Mark>,
    mss: Option<u16>,
    largest: u32,
    /// A segment that waited for a delayed ACK, and that ACK.
    stalled: Option<(Mark, Mark)>,
    /// How far the other direction had come when this one's last bytes were acknowledged.
    peer_high_at_ack: u64,
    /// A zero-window probe's byte: data only if it is acknowledged.
    probe: Option<(u64, u8, Mark)>,
}

#[derive(Clone, Copy, Debug)]
struct Syn {
    first: Mark,
    last: Mark,
    retries: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// By SYN, or by what was said.
    Known,
    /// By port.
    Guessed,
}

/// A connection being watched.
#[derive(Debug)]
pub(crate) struct Watched {
    id: u64,
    ends: [Endpoint; 2],
    /// Which of the two ends is the client.
    client: usize,
    role: Role,
    /// Whether it is seen from its handshake.
    whole: bool,
    directions: [Direction; 2],
    first: Mark,
    last: Mark,
    syn: Option<Syn>,
    synack: Option<Mark>,
    opened: Option<Mark>,
    refused: Option<Mark>,
    retransmissions: u64,
    settled: u64,
    /// Of the exchange settled last.
    last_verdict: Option<Verdict>,
    server_finished: bool,
    forced: bool,
    pairing: Pairing,
}

impl Watched {
    /// A connection whose first packet is `segment`.
    pub(crate) fn new(id: u64, segment: &Segment<'_>, mark: Mark, shared: &Shared<'_>) -> Self {
        let ends = [segment.src, segment.dst];
        let syn = segment.flags.has(Flags::SYN);
        let from_server = match (syn, segment.flags.has(Flags::ACK)) {
            (true, from_server) => from_server,
            (false, _) => segment.src.port < segment.dst.port,
        };
        let client = usize::from(from_server);
        let forced = ends.iter().any(|end| shared.ports.contains(&end.port));
        Self {
            id,
            ends,
            client,
            role: if syn { Role::Known } else { Role::Guessed },
            whole: syn,
            directions: Default::default(),
            first: mark,
            last: mark,
            syn: None,
            synack: None,
            opened: None,
            refused: None,
            retransmissions: 0,
            settled: 0,
            last_verdict: None,
            server_finished: false,
            forced,
            pairing: Pairing::new(id, ends[client], ends[1 - client], syn, forced),
        }
    }

    /// Its number.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// When its last packet was seen.
    pub(crate) const fn last_seen(&self) -> Timestamp {
        self.last.time
    }

    /// Whether both sides are done with it.
    pub(crate) fn is_over(&self) -> bool {
        let [a, b] = &self.directions;
        let finished = |direction: &Direction| {
            direction
                .fin
                .is_some_and(|fin| direction.stream.acked() > fin.at)
        };
        a.rst.is_some() || b.rst.is_some() || finished(a) && finished(b)
    }

    /// Whether `segment` opens another connection between the same two ends.
    pub(crate) fn is_superseded_by(&self, segment: &Segment<'_>) -> bool {
        let stream = &self.directions[self.sender(segment)].stream;
        let other_origin = match stream.origin() {
            Some(origin) => origin != segment.seq.plus(1),
            None => !self.whole,
        };
        let far = stream.is_started()
            && segment.seq.distance_from(stream.next_seq()).unsigned_abs() >= FAR;
        let data = segment.wire_payload > 0 && !segment.flags.has(Flags::RST);
        segment.flags.has(Flags::SYN) && other_origin || self.is_over() && data && far
    }

    /// The next sequence numbers of the ends `src` and its peer, as far as known.
    pub(crate) fn next_seq(&self, src: Endpoint) -> Option<Seq> {
        let at = usize::from(self.ends[0] != src);
        let stream = &self.directions[at].stream;
        stream.is_started().then(|| stream.next_seq())
    }

    /// Takes the next segment of the connection.
    pub(crate) fn segment(
        &mut self,
        segment: &Segment<'_>,
        mark: Mark,
        shared: &mut Shared<'_>,
        settled: &mut dyn FnMut(&Exchange),
    ) {
        let d = self.sender(segment);
        if self.directions[d].sightings.is_repeat(segment, mark.time) {
            *shared.duplicate_frames += 1;
            return;
        }
        self.last = mark;
        let flags = segment.flags;
        if flags.has(Flags::RST) && self.is_refusal(d, segment) {
            self.refused.get_or_insert(mark);
        }
        self.directions[d].seen = true;
        let mut new = false;
        if flags.has(Flags::SYN) {
            new |= self.synchronise(d, segment, mark);
        } else if d == self.client
            && segment.ack.is_some()
            && self.synack.or(self.syn.map(|s| s.first)).is_some()
        {
            self.opened.get_or_insert(mark);
        }
        if let Some(ack) = segment.ack {
            self.acknowledge(d, ack, segment, mark, shared);
        }
        self.watch_window(d, segment, mark);
        if !flags.any(Flags::SYN.with(Flags::RST)) {
            let stream = &mut self.directions[d].stream;
            if let Some(at) = stream.offset(segment.seq) {
                stream.stand_at(at);
            }
        }
        if flags.has(Flags::RST) {
            self.reset(d, segment, mark);
        } else {
            new |= self.payload(d, segment, mark, shared);
            if flags.has(Flags::FIN) {
                new |= self.finish(d, segment, mark);
            }
            if !new && (segment.wire_payload > 0 || flags.any(Flags::SYN.with(Flags::FIN))) {
                self.count_repeat(d, segment, mark);
            }
        }
        self.fill(d, mark, shared);
        self.settle(shared, settled);
    }

    /// The connection, or the capture, has ended: settles all that is left.
    pub(crate) fn end(
        mut self,
        now: Timestamp,
        shared: &mut Shared<'_>,
        settled: &mut dyn FnMut(&Exchange),
    ) -> Connection {
        self.note_closed_windows();
        self.settle(shared, settled);
        let mut rest = self.pairing.take_rest();
        if self.never_opened() {
            // Data in a SYN that nobody took: the connection's verdict is all there is to say.
            rest.clear();
        }
        let wire = self.wire(shared, false);
        let mut before = None;
        for mut open in rest {
            open.previous_end = open.previous_end.or(before);
            before = self.hand_out(open, &wire, shared, settled);
        }
        self.describe(now)
    }

    fn sender(&self, segment: &Segment<'_>) -> usize {
        usize::from(self.ends[0] != segment.src)
    }

    const fn side(&self, d: usize) -> Side {
        if d == self.client {
            Side::Client
        } else {
            Side::Server
        }
    }

    fn is_refusal(&self, d: usize, segment: &Segment<'_>) -> bool {
        let syn_acked = self.directions[self.client]
            .stream
            .origin()
            .is_some_and(|origin| segment.ack == Some(origin));
        d != self.client
            && self.syn.is_some()
            && self.synack.is_none()
            && !self.directions[self.client].spoke
            && syn_acked
    }

    /// A SYN, with or without ACK. True if it is new.
    fn synchronise(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) -> bool {
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

    fn acknowledge(
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

    fn watch_window(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) {
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

    fn note_closed_windows(&mut self) {
        for d in 0..2 {
            if let Some(since) = self.directions[d].zero_since.take() {
                self.pairing
                    .note_closed_window(self.side(d), since, None, self.last.time);
            }
        }
    }

    /// The payload of a segment. True if a byte of it is new.
    fn payload(
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
    fn count_repeat(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) {
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
    fn finish(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) -> bool {
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
    fn reset(&mut self, d: usize, segment: &Segment<'_>, mark: Mark) {
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
    fn fill(&mut self, d: usize, mark: Mark, shared: &mut Shared<'_>) {
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

    fn settle(&mut self, shared: &mut Shared<'_>, settled: &mut dyn FnMut(&Exchange)) {
        while let Some((open, at_boundary)) = self.pairing.take_settled() {
            let wire = self.wire(shared, at_boundary);
            self.hand_out(open, &wire, shared, settled);
        }
    }

    /// Judges an exchange and hands it out. Returns when its response, or the close that decided it, came.
    fn hand_out(
        &mut self,
        mut open: Box<Open>,
        wire: &Wire,
        shared: &mut Shared<'_>,
        settled: &mut dyn FnMut(&Exchange),
    ) -> Option<Timestamp> {
        judge::settle(&mut open, wire);
        let exchange = &mut open.exchange;
        exchange.id = *shared.next_exchange;
        *shared.next_exchange += 1;
        if let Some(syn) = self.syn.filter(|syn| self.settled == 0 && syn.retries > 0) {
            exchange.findings.push(Finding {
                kind: FindingKind::SynRetry,
                frames: vec![syn.first, syn.last],
                cost: syn.last.time - syn.first.time,
            });
        }
        self.settled += 1;
        self.last_verdict = Some(exchange.verdict);
        settled(exchange);
        exchange.decided_at()
    }

    fn wire(&self, shared: &Shared<'_>, at_boundary: bool) -> Wire {
        Wire {
            client: self.directions[self.client].describe(),
            server: self.directions[1 - self.client].describe(),
            dropped: shared.dropped,
            one_sided: !(self.directions[0].seen && self.directions[1].seen),
            at_boundary,
        }
    }

    fn describe(self, now: Timestamp) -> Connection {
        let verdict = self.verdict(now);
        let (client, server) = (self.ends[self.client], self.ends[1 - self.client]);
        let (envoy, _) = envoy::flags(&Seen {
            verdict: verdict.unwrap_or(Verdict::Ok),
            client,
            announced: None,
            gave_up_after: None,
            shape: ResponseShape::Unread,
            reset: false,
        });
        let close = self.close();
        let spoke = self.directions.iter().any(|direction| direction.spoke);
        let protocol = match self.pairing.protocol {
            Protocol::None if spoke => Protocol::Unknown,
            known => known,
        };
        let since = |from: Option<Mark>, to: Option<Mark>| Some(to?.time - from?.time);
        let not_negative = |span: Option<Span>| span.filter(|&span| span >= Span::ZERO);
        let syn = self.syn.map(|syn| syn.first);
        Connection {
            id: self.id,
            client,
            server,
            protocol,
            role_guessed: self.role == Role::Guessed,
            first: self.first,
            syn,
            handshake: not_negative(since(syn, self.opened)),
            syn_to_synack: not_negative(since(syn, self.synack)),
            syn_retries: self.syn.map_or(0, |syn| syn.retries),
            verdict,
            doubt: None,
            envoy,
            close,
            idle: close
                .filter(|_| self.last_verdict == Some(Verdict::Ok))
                .and_then(|close| Some(close.mark.time - self.pairing.last_response_end?))
                .filter(|&idle| idle >= Span::ZERO),
            exchanges: self.settled,
            orphan_responses: self.pairing.orphan_responses,
            hidden_bytes: match protocol {
                Protocol::Http1 => self.pairing.hidden_bytes,
                _ => 0,
            },
            retransmissions: self.retransmissions,
        }
    }

    /// Whether the SYN was refused, or was never answered as far as the capture shows.
    fn never_opened(&self) -> bool {
        let answered = self.synack.is_some() || self.opened.is_some();
        let silent = !self.directions[1 - self.client].seen;
        self.syn.is_some() && !answered && (self.refused.is_some() || silent)
    }

    fn verdict(&self, now: Timestamp) -> Option<Verdict> {
        let syn = self.syn.filter(|_| self.never_opened())?;
        if self.refused.is_some() {
            return Some(Verdict::ConnectRefused);
        }
        let waited = now - syn.first.time >= CONNECT_TIMEOUT;
        (syn.retries > 0 && waited).then_some(Verdict::ConnectTimeout)
    }

    fn close(&self) -> Option<Close> {
        let closes = (0..2).flat_map(|d| {
            let direction = &self.directions[d];
            let by = self.side(d);
            let close = move |seen: Option<CloseSeen>, reset| {
                seen.map(|seen| Close {
                    by,
                    reset,
                    mark: seen.mark,
                })
            };
            [close(direction.fin, false), close(direction.rst, true)]
        });
        let first = closes.flatten().min_by_key(|close| close.mark.order)?;
        // A FIN that the capture lacks may have come before it.
        let lacking = self
            .directions
            .iter()
            .any(|direction| direction.stream.lacks_fin());
        (!lacking).then_some(first)
    }
}

impl Direction {
    /// Whether a segment of `len` bytes leaves room, for a receiver that announced `receiver_mss`: the smaller of what
    /// the two announced is what is sent.
    fn is_small(&self, len: u64, receiver_mss: Option<u16>) -> bool {
        let announced = [receiver_mss, self.mss].into_iter().flatten().min();
        let full = announced.map_or(self.largest, u32::from);
        len + u64::from(MOST_OPTIONS) < u64::from(full)
    }

    fn describe(&self) -> SideSeen {
        let stream = &self.stream;
        let lacks_fin = stream.lacks_fin();
        let acked = stream.acked().min(stream.fin().unwrap_or(u64::MAX));
        SideSeen {
            fin: self.fin.map(|fin| CloseSeen {
                is_next: stream.next() >= fin.at,
                ..fin
            }),
            rst: self.rst,
            fin_acked: self.fin.is_some_and(|fin| stream.acked() > fin.at),
            data_acked: if lacks_fin {
                acked.min(stream.high())
            } else {
                acked
            },
            lacks_fin,
            high: stream.high(),
        }
    }
}
