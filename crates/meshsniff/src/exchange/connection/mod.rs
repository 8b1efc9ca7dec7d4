//! One TCP connection: from its segments to streams, closes and findings.
//!
//! Holds what sequence numbers tell. What the bytes say is [`super::pairing`]'s, what it all means
//! [`super::judge`]'s.

mod outcome;
mod segments;

use super::judge::{CloseSeen, SideSeen};
use super::model::{Connection, Exchange, Side, Verdict};
use super::pairing::Pairing;
use crate::packet::{Endpoint, Flags, Mark, Segment};
use crate::tcp::{Flights, Seq, Sightings, Stream};
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
