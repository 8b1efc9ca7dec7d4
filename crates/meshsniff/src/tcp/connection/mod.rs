//! One TCP connection: from its segments to stream events, closes and what sequence numbers prove.
//!
//! What the bytes say is an [`Application`]'s to read.

mod segments;

use super::evidence::{CloseEvidence, Evidence, Opening, Side, SideEvidence};
use super::{Application, Flights, LatestSightings, Offset, Sightings, Stream, StreamEvent};
use crate::packet::{Endpoint, Flags, Mark, Segment, Seq};
use crate::time::Span;

/// An acknowledgment this late, and bare, was a delayed one.
const DELAYED_ACK: Span = Span::from_millis(30);

/// A sender that was only waiting for it goes on within this time.
const AT_ONCE: Span = Span::from_micros(100);

/// Sequence numbers this far from the next one lie outside of any window there is in practice.
const FAR: u32 = 1 << 24;

/// More than a server can acknowledge before its SYN-ACK was seen: what a client sends at first.
const FIRST_FLIGHT: i32 = 1 << 20;

/// SYN-ACKs beside the first that are remembered until the client's ACK.
const MAX_RIVALS: usize = 4;

/// Room that TCP options take from a full segment (RFC 9293, 3.2).
const MAX_OPTIONS: u32 = 40;

/// State and counts that all connections share.
#[derive(Debug, Default)]
pub struct Counters {
    /// Whether the capture says that the kernel dropped packets.
    pub dropped: bool,
    /// Packets seen twice.
    pub duplicate_frames: u64,
    /// Bytes given up behind holes for want of room.
    pub bytes_given_up: u64,
    /// The latest packets, for what is captured a second time.
    pub latest: LatestSightings,
}

#[derive(Clone, Debug, Default)]
struct Direction {
    stream: Stream,
    flights: Flights,
    sightings: Sightings,
    fin: Option<CloseEvidence>,
    rst: Option<CloseEvidence>,
    seen: bool,
    /// Whether a byte of payload was seen.
    spoke: bool,
    window: Option<u16>,
    zero_since: Option<Mark>,
    mss: Option<u16>,
    largest: u32,
    /// The shortest time that an ACK of this direction's bytes took.
    quickest_ack: Option<Span>,
    /// A segment that waited for a delayed ACK, and that ACK.
    stalled: Option<(Mark, Mark)>,
    /// How far the other direction had come when this one's last bytes were acknowledged.
    peer_high_at_ack: Option<Offset>,
    /// A zero-window probe's byte: data only if it is acknowledged.
    probe: Option<(Offset, u8, Mark)>,
}

/// How client and server were told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// By SYN, or by what was said.
    Known,
    /// By port.
    Guessed,
}

/// A connection that is followed from segment to segment.
#[derive(Debug)]
pub struct TrackedConnection {
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
    opening: Opening,
    /// SYN-ACKs with other initial numbers than the first: where their streams begin.
    rivals: Vec<(Seq, Mark)>,
    /// The first ACK of what was never sent.
    challenged: Option<Mark>,
    retransmissions: u64,
    server_finished: bool,
    /// The latest packet with a new byte of payload, and which end sent it.
    last_spoke: Option<(usize, Mark)>,
    /// The one before it, if that one may have been an alert of TLS and nothing else.
    spoke_before: Option<(usize, Mark)>,
}

impl TrackedConnection {
    /// A connection whose first packet is `segment`.
    #[must_use]
    pub fn new(id: u64, segment: &Segment<'_>, mark: Mark) -> Self {
        let syn = segment.flags.has(Flags::SYN);
        let from_server = match (syn, segment.flags.has(Flags::ACK)) {
            (true, from_server) => from_server,
            (false, _) => segment.src.port < segment.dst.port,
        };
        Self {
            id,
            ends: [segment.src, segment.dst],
            client: usize::from(from_server),
            role: if syn { Role::Known } else { Role::Guessed },
            whole: syn,
            directions: Default::default(),
            first: mark,
            last: mark,
            opening: Opening::default(),
            rivals: Vec::new(),
            challenged: None,
            retransmissions: 0,
            server_finished: false,
            last_spoke: None,
            spoke_before: None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The side that opened it.
    #[must_use]
    pub const fn client(&self) -> Endpoint {
        self.ends[self.client]
    }

    /// The side that accepted it.
    #[must_use]
    pub const fn server(&self) -> Endpoint {
        self.ends[1 - self.client]
    }

    /// Whether client and server were told apart by their ports only.
    #[must_use]
    pub fn role_is_guessed(&self) -> bool {
        self.role == Role::Guessed
    }

    /// Whether it is seen from its handshake.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Its first packet.
    #[must_use]
    pub const fn first(&self) -> Mark {
        self.first
    }

    /// Its last packet so far.
    #[must_use]
    pub const fn last(&self) -> Mark {
        self.last
    }

    /// How it was opened.
    #[must_use]
    pub const fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The ACK with which the server, before it answered the SYN, spoke of an older connection.
    #[must_use]
    pub const fn challenged(&self) -> Option<Mark> {
        self.challenged
    }

    /// Data, SYN and FIN segments without one new sequence number.
    #[must_use]
    pub const fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    /// Bytes that what it keeps takes, beside itself.
    #[must_use]
    pub fn weight(&self) -> usize {
        let weights = self
            .directions
            .iter()
            .map(|one| one.stream.held_size() + one.flights.weight() + one.sightings.weight());
        weights.sum()
    }

    /// Whether a byte of payload was seen.
    #[must_use]
    pub fn spoke(&self) -> bool {
        self.directions.iter().any(|direction| direction.spoke)
    }

    /// The latest packet with a new byte of payload before the first close, and its sender.
    #[must_use]
    pub fn last_spoke(&self) -> Option<(Side, Mark)> {
        self.last_spoke.map(|(d, mark)| (self.side(d), mark))
    }

    /// The packet before that, if that one may have been a farewell: the alert with which TLS
    /// announces a close.
    #[must_use]
    pub fn spoke_before_farewell(&self) -> Option<(Side, Mark)> {
        self.spoke_before.map(|(d, mark)| (self.side(d), mark))
    }

    /// Whether the server sent any packet.
    #[must_use]
    pub const fn server_was_seen(&self) -> bool {
        self.directions[1 - self.client].seen
    }

    /// Whether the SYN was refused, or was never answered as far as the capture shows.
    #[must_use]
    pub fn never_opened(&self) -> bool {
        let Opening {
            syn,
            synack,
            opened,
            refused,
        } = self.opening;
        let answered = synack.is_some() || opened.is_some();
        syn.is_some() && !answered && (refused.is_some() || !self.server_was_seen())
    }

    /// The evidence of its packets so far.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        Evidence {
            client: self.directions[self.client].evidence(),
            server: self.directions[1 - self.client].evidence(),
            one_sided: !(self.directions[0].seen && self.directions[1].seen),
        }
    }

    /// Whether either side has closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        let mut closes = self.directions.iter();
        closes.any(|direction| direction.fin.is_some() || direction.rst.is_some())
    }

    /// Whether both sides are done with it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let [a, b] = &self.directions;
        let finished = |direction: &Direction| {
            direction
                .fin
                .is_some_and(|fin| direction.stream.acked() > Some(fin.at))
        };
        a.rst.is_some() || b.rst.is_some() || finished(a) && finished(b)
    }

    /// Whether `segment` opens another connection between the same two ends.
    #[must_use]
    pub fn is_superseded_by(&self, segment: &Segment<'_>) -> bool {
        let opens = segment.flags.has(Flags::SYN);
        let data = segment.wire_payload > 0 && !segment.flags.has(Flags::RST);
        (opens || data && self.is_over()) && self.is_anothers(segment)
    }

    /// Whether the sequence number of a SYN, or of data after the end, is not this connection's.
    #[cold]
    fn is_anothers(&self, segment: &Segment<'_>) -> bool {
        let d = self.sender(segment);
        let (stream, peer) = (&self.directions[d].stream, &self.directions[1 - d].stream);
        if segment.flags.has(Flags::SYN) {
            return match stream.origin() {
                // An answer to this connection's SYN is its own, whatever number it brings.
                Some(_) if segment.ack.is_some() && segment.ack == peer.origin() => false,
                Some(origin) => origin != segment.seq.plus(1),
                None => !self.whole,
            };
        }
        let next = stream.next_seq();
        next.is_some_and(|next| segment.seq.distance_from(next).unsigned_abs() >= FAR)
    }

    /// The next sequence number of the end `src`, as far as known.
    #[must_use]
    pub fn next_seq(&self, src: Endpoint) -> Option<Seq> {
        let at = usize::from(self.ends[0] != src);
        self.directions[at].stream.next_seq()
    }

    /// Takes the next segment of the connection, and tells `application` what it changes.
    pub fn segment<A: Application>(
        &mut self,
        segment: &Segment<'_>,
        mark: Mark,
        counters: &mut Counters,
        application: &mut A,
    ) {
        let d = self.sender(segment);
        let of = (self.id, d);
        let sightings = &mut self.directions[d].sightings;
        if sightings.is_repeat(segment, mark.time, of, &mut counters.latest) {
            counters.duplicate_frames += 1;
            return;
        }
        self.last = mark;
        let flags = segment.flags;
        if !flags.any(Flags::SYN.with(Flags::RST)) && self.is_challenge(d, segment) {
            self.challenged.get_or_insert(mark);
            return;
        }
        if flags.has(Flags::RST) && self.is_refusal(d, segment) {
            self.opening.refused.get_or_insert(mark);
        }
        self.directions[d].seen = true;
        let mut new = false;
        if flags.has(Flags::SYN) {
            new |= self.synchronise(d, segment, mark);
        } else if d == self.client
            && let Some(ack) = segment.ack
            && self.opening.opened.is_none()
            && (self.opening.synack.is_some() || self.opening.syn.is_some())
            && !flags.has(Flags::RST)
        {
            self.opening.opened = Some(mark);
            self.choose_syn_ack(ack);
        }
        if let Some(ack) = segment.ack {
            self.acknowledge(d, ack, segment, mark, counters, application);
        }
        self.watch_window(d, segment, mark, application);
        if !flags.any(Flags::SYN.with(Flags::RST)) {
            let stream = &mut self.directions[d].stream;
            if let Some(at) = stream.offset(segment.seq) {
                stream.stand_at(at);
            }
        }
        if flags.has(Flags::RST) {
            if self.reset(d, segment, mark) {
                application.tell(self.side(d), StreamEvent::Closes);
            }
        } else {
            if self.payload(d, segment, mark, counters, application) {
                new = true;
                let closed = |one: &Direction| one.fin.is_some() || one.rst.is_some();
                if !self.directions.iter().any(closed) {
                    let farewell = is_alert(segment.payload, segment.wire_payload);
                    self.spoke_before = self.last_spoke.filter(|_| farewell);
                    self.last_spoke = Some((d, mark));
                }
            }
            if flags.has(Flags::FIN) && self.finish(d, segment, mark) {
                application.tell(self.side(d), StreamEvent::Closes);
                new = true;
            }
            if !new && (segment.wire_payload > 0 || flags.any(Flags::SYN.with(Flags::FIN))) {
                self.count_repeat(d, segment, mark);
            }
        }
        self.fill(d, mark, counters, application);
    }

    /// The connection, or the capture, has ended: tells `application` of what is left.
    pub fn end<A: Application>(&mut self, application: &mut A) {
        self.note_closed_windows(application);
        self.note_never_taken(application);
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
            && self.opening.syn.is_some()
            && self.opening.synack.is_none()
            && !self.directions[self.client].spoke
            && syn_acked
    }
}

impl Direction {
    /// Whether a segment of `len` bytes leaves room, for a receiver that announced `receiver_mss`:
    /// the smaller of what the two announced is what is sent.
    fn is_small(&self, len: u64, receiver_mss: Option<u16>) -> bool {
        let announced = [receiver_mss, self.mss].into_iter().flatten().min();
        let full = announced.map_or(self.largest, u32::from);
        len + u64::from(MAX_OPTIONS) < u64::from(full)
    }

    fn evidence(&self) -> SideEvidence {
        let stream = &self.stream;
        let lacks_fin = stream.lacks_fin();
        let acked = stream.acked();
        // A FIN's number is acknowledged, too, but it is no data.
        let data_end = [stream.fin(), lacks_fin.then(|| stream.high())];
        let data_end = data_end.into_iter().flatten().min();
        SideEvidence {
            fin: self.fin.map(|fin| CloseEvidence {
                is_next: stream.next() >= fin.at,
                ..fin
            }),
            rst: self.rst,
            fin_acked: self.fin.is_some_and(|fin| acked > Some(fin.at)),
            data_acked: acked.map(|acked| data_end.map_or(acked, |end| acked.min(end))),
            lacks_fin,
            may_lack_fin: stream.may_lack_fin(),
            high: stream.high(),
            sent: stream.sent(),
        }
    }
}

/// Whether a payload can be an alert of TLS and nothing else: a record of that type, or one of TLS
/// 1.3, which hides the type but not the length (RFC 8446, 5.2 and 6: two bytes, the type and the
/// authentication tag).
fn is_alert(payload: &[u8], wire: u32) -> bool {
    const ALERT: u8 = 21;
    const APPLICATION_DATA: u8 = 23;
    const HIDDEN: usize = 2 + 1 + 16;
    let &[kind, 3, _, high, low, ..] = payload else {
        return false;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let alone = wire as usize == 5 + length;
    alone && (kind == ALERT || kind == APPLICATION_DATA && length == HIDDEN)
}
