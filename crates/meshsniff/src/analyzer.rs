//! The whole analyser: captured frames in, settled exchanges and connections out.
//!
//! Pure: it opens nothing and knows no clock but the capture's. Memory follows what is open, never what has
//! passed: every table here has a ceiling, and what is lost at one is counted in [`Totals`].

use crate::exchange::connection::{Shared, Watched};
use crate::exchange::{Connection, Exchange, Protocol};
use crate::packet::{Decoded, Decoder, Endpoint, Flags, Frame, Mark, Segment};
use crate::tcp::Seq;
use crate::time::{Span, Timestamp};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Connections watched at once; past it those silent for longest are given up.
const MOST_CONNECTIONS: usize = 16 * 1024;

/// Connections that are over, remembered so that a stray packet does not look like a new one.
const MOST_REMEMBERED: usize = 32 * 1024;

/// How long a connection that is over is still watched: late answers, and the RSTs they meet, belong to it.
const LINGER: Span = Span::from_secs(1);

/// How long after that its packets are still told from a new connection's (RFC 9293's 2 MSL, as Linux has it).
const REMEMBER: Span = Span::from_secs(60);

/// Sequence numbers this far from the old connection's belong to another.
const STRAY: u32 = 1 << 24;

/// Takes what the analyser settles, as soon as it is settled.
pub trait Sink {
    /// An exchange.
    fn exchange(&mut self, exchange: &Exchange);
    /// A connection, after all its exchanges.
    fn connection(&mut self, connection: &Connection);
}

/// What a user may ask of the analyser.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// TCP ports whose traffic is HTTP even where its first bytes do not show it, such as unusual methods.
    pub ports: Vec<u16>,
}

/// What the capture held, whatever became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Frames seen.
    pub frames: u64,
    /// Bytes they had on the wire.
    pub bytes: u64,
    /// The first frame's time.
    pub first: Option<Timestamp>,
    /// The latest time of any frame.
    pub last: Option<Timestamp>,
    /// Frames that a snap length cut.
    pub truncated_frames: u64,
    /// Packets captured a second time on another interface or in the other direction.
    pub duplicate_frames: u64,
    /// Frames that could not be decoded.
    pub malformed_frames: u64,
    /// TCP connections.
    pub connections: u64,
    /// Of them, those that carried TLS.
    pub encrypted_connections: u64,
    /// Of them, those that carried HTTP/2.
    pub http2_connections: u64,
    /// Of them, those that carried something else or nothing.
    pub other_connections: u64,
    /// Data, SYN and FIN segments without one new sequence number.
    pub retransmissions: u64,
    /// Connections given up while they were open, to stay within memory.
    pub connections_evicted: u64,
    /// Bytes behind holes given up, to stay within memory.
    pub bytes_given_up: u64,
}

impl Totals {
    /// Adds what another capture held.
    pub fn add(&mut self, other: &Self) {
        let earliest = [self.first, other.first].into_iter().flatten().min();
        self.first = earliest;
        self.last = self.last.max(other.last);
        for (count, more) in self
            .counts_mut()
            .into_iter()
            .zip(other.clone().counts_mut())
        {
            *count = count.saturating_add(*more);
        }
    }

    /// All but the times.
    pub(crate) fn counts_mut(&mut self) -> [&mut u64; 12] {
        [
            &mut self.frames,
            &mut self.bytes,
            &mut self.truncated_frames,
            &mut self.duplicate_frames,
            &mut self.malformed_frames,
            &mut self.connections,
            &mut self.encrypted_connections,
            &mut self.http2_connections,
            &mut self.other_connections,
            &mut self.retransmissions,
            &mut self.connections_evicted,
            &mut self.bytes_given_up,
        ]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(Endpoint, Endpoint);

impl Key {
    fn of(segment: &Segment<'_>) -> Self {
        if segment.src <= segment.dst {
            Self(segment.src, segment.dst)
        } else {
            Self(segment.dst, segment.src)
        }
    }
}

/// A connection that is over.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    until: Timestamp,
    /// Next sequence numbers of the two ends of the key.
    next: (Option<Seq>, Option<Seq>),
}

/// Frames in, exchanges out.
#[derive(Default)]
pub struct Analyzer {
    decoder: Decoder,
    tracker: Tracker,
}

/// The connections, and what became of those that are over.
#[derive(Debug, Default)]
struct Tracker {
    options: Options,
    totals: Totals,
    dropped: bool,
    next_exchange: u64,
    next_connection: u64,
    watched: HashMap<Key, Box<Watched>>,
    /// Connections that are over, in the order they will be let go: when, which, and its number.
    lingering: VecDeque<(Timestamp, Key, u64)>,
    remembered: HashMap<Key, Remembered>,
    forgetting: VecDeque<(Timestamp, Key)>,
}

impl Analyzer {
    /// An analyser that has seen nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            decoder: Decoder::default(),
            tracker: Tracker {
                options,
                ..Tracker::default()
            },
        }
    }

    /// Says how many packets the kernel is known to have dropped so far; `None` if nobody counted.
    pub fn set_dropped(&mut self, dropped: Option<u64>) {
        self.tracker.dropped = dropped.is_some_and(|dropped| dropped > 0);
    }

    /// What the capture held so far.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.tracker.totals
    }

    /// Takes the next frame.
    pub fn frame<S: Sink + ?Sized>(&mut self, frame: &Frame<'_>, sink: &mut S) {
        let mark = self.tracker.count(frame, sink);
        match self.decoder.decode(frame) {
            Decoded::Tcp(segment) => self.tracker.segment(&segment, mark, sink),
            Decoded::Malformed => self.tracker.totals.malformed_frames += 1,
            Decoded::Other | Decoded::Fragment => {}
        }
    }

    /// Says that no frame of before `now` will come any more: connections that are over need not wait for the next one.
    /// Only a live capture can know that; its caller has the clock.
    pub fn quiet_until<S: Sink + ?Sized>(&mut self, now: Timestamp, sink: &mut S) {
        self.tracker.let_go(now, sink);
    }

    /// The capture has ended: settles everything left.
    pub fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) {
        self.tracker.finish(sink);
    }
}

impl Tracker {
    fn count<S: Sink + ?Sized>(&mut self, frame: &Frame<'_>, sink: &mut S) -> Mark {
        let totals = &mut self.totals;
        totals.frames += 1;
        totals.bytes += u64::from(frame.wire_len);
        totals.truncated_frames += u64::from((frame.data.len() as u64) < u64::from(frame.wire_len));
        totals.first.get_or_insert(frame.time);
        let now = totals.last.map_or(frame.time, |last| last.max(frame.time));
        totals.last = Some(now);
        let mark = Mark {
            frame: frame.id,
            time: frame.time,
            order: totals.frames,
        };
        if self
            .lingering
            .front()
            .is_some_and(|&(until, ..)| until <= now)
        {
            self.let_go(now, sink);
        }
        mark
    }

    fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) {
        let mut left: Vec<_> = self.watched.drain().map(|(_, watched)| watched).collect();
        left.sort_unstable_by_key(|watched| watched.id());
        let now = self.totals.last.unwrap_or_default();
        for watched in left {
            self.end(*watched, now, sink);
        }
        self.lingering.clear();
    }

    fn segment<S: Sink + ?Sized>(&mut self, segment: &Segment<'_>, mark: Mark, sink: &mut S) {
        let key = Key::of(segment);
        let mut shared = Shared {
            ports: &self.options.ports,
            dropped: self.dropped,
            next_exchange: &mut self.next_exchange,
            duplicate_frames: &mut self.totals.duplicate_frames,
            bytes_given_up: &mut self.totals.bytes_given_up,
        };
        if let Some(watched) = self.watched.get_mut(&key) {
            if !watched.is_superseded_by(segment) {
                let was_over = watched.is_over();
                watched.segment(segment, mark, &mut shared, &mut |exchange| {
                    sink.exchange(exchange)
                });
                if !was_over && watched.is_over() {
                    let until = mark.time.plus(LINGER);
                    self.lingering.push_back((until, key, watched.id()));
                }
                return;
            }
            if let Some(old) = self.watched.remove(&key) {
                self.end(*old, mark.time, sink);
            }
        } else if self.is_stray(&key, segment, mark.time) {
            return;
        }
        self.remembered.remove(&key);
        self.open(key, segment, mark, sink);
    }

    fn open<S: Sink + ?Sized>(
        &mut self,
        key: Key,
        segment: &Segment<'_>,
        mark: Mark,
        sink: &mut S,
    ) {
        if self.watched.len() >= MOST_CONNECTIONS {
            self.evict(mark.time, sink);
        }
        let id = self.next_connection;
        self.next_connection += 1;
        let mut shared = Shared {
            ports: &self.options.ports,
            dropped: self.dropped,
            next_exchange: &mut self.next_exchange,
            duplicate_frames: &mut self.totals.duplicate_frames,
            bytes_given_up: &mut self.totals.bytes_given_up,
        };
        let mut watched = Box::new(Watched::new(id, segment, mark, &shared));
        watched.segment(segment, mark, &mut shared, &mut |exchange| {
            sink.exchange(exchange)
        });
        if watched.is_over() {
            self.lingering.push_back((mark.time.plus(LINGER), key, id));
        }
        self.watched.insert(key, watched);
    }

    /// Whether a packet without a connection belongs to one that is over.
    fn is_stray(&self, key: &Key, segment: &Segment<'_>, now: Timestamp) -> bool {
        let Some(old) = self.remembered.get(key).filter(|old| old.until > now) else {
            return false;
        };
        let next = if segment.src == key.0 {
            old.next.0
        } else {
            old.next.1
        };
        !segment.flags.has(Flags::SYN)
            && next.is_none_or(|next| segment.seq.distance_from(next).unsigned_abs() < STRAY)
    }

    /// Ends the connections that have lingered long enough.
    fn let_go<S: Sink + ?Sized>(&mut self, now: Timestamp, sink: &mut S) {
        while let Some(&(until, key, id)) = self.lingering.front() {
            if until > now {
                break;
            }
            self.lingering.pop_front();
            // A connection that was refused may have opened after all.
            if self
                .watched
                .get(&key)
                .is_none_or(|watched| watched.id() != id || !watched.is_over())
            {
                continue;
            }
            if let Some(watched) = self.watched.remove(&key) {
                let next = (watched.next_seq(key.0), watched.next_seq(key.1));
                self.end(*watched, now, sink);
                self.remember(key, next, now);
            }
        }
    }

    fn remember(&mut self, key: Key, next: (Option<Seq>, Option<Seq>), now: Timestamp) {
        let until = now.plus(REMEMBER);
        while self.forgetting.len() >= MOST_REMEMBERED
            || self
                .forgetting
                .front()
                .is_some_and(|&(until, _)| until <= now)
        {
            if let Some((until, key)) = self.forgetting.pop_front()
                && self
                    .remembered
                    .get(&key)
                    .is_some_and(|old| old.until == until)
            {
                self.remembered.remove(&key);
            }
        }
        self.remembered.insert(key, Remembered { until, next });
        self.forgetting.push_back((until, key));
    }

    /// Makes room: ends the eighth of the connections that were silent for longest.
    fn evict<S: Sink + ?Sized>(&mut self, now: Timestamp, sink: &mut S) {
        let mut oldest: Vec<_> = self
            .watched
            .iter()
            .map(|(key, watched)| (watched.last_seen(), watched.id(), *key))
            .collect();
        oldest.sort_unstable_by_key(|&(last, id, _)| (last, id));
        oldest.truncate(MOST_CONNECTIONS / 8);
        for (_, _, key) in oldest {
            if let Some(watched) = self.watched.remove(&key) {
                self.totals.connections_evicted += u64::from(!watched.is_over());
                self.end(*watched, now, sink);
            }
        }
    }

    fn end<S: Sink + ?Sized>(&mut self, watched: Watched, now: Timestamp, sink: &mut S) {
        let mut shared = Shared {
            ports: &self.options.ports,
            dropped: self.dropped,
            next_exchange: &mut self.next_exchange,
            duplicate_frames: &mut self.totals.duplicate_frames,
            bytes_given_up: &mut self.totals.bytes_given_up,
        };
        let connection = watched.end(now, &mut shared, &mut |exchange| sink.exchange(exchange));
        let totals = &mut self.totals;
        totals.connections += 1;
        totals.retransmissions += connection.retransmissions;
        match connection.protocol {
            Protocol::Tls => totals.encrypted_connections += 1,
            Protocol::Http2 => totals.http2_connections += 1,
            Protocol::None | Protocol::Unknown => totals.other_connections += 1,
            Protocol::Http1 => {}
        }
        sink.connection(&connection);
    }
}
