//! The whole analyser: captured frames in, settled exchanges and connections out.
//!
//! Two stages. What one connection tells (its segments, streams, messages and exchanges) depends on
//! that connection alone and on what is handed in with it: whether the kernel lost packets, and the
//! ports that are HTTP for sure. What all of them tell together (numbers of exchanges, [`Totals`])
//! is put on top when something is settled, in the order of the capture.
//!
//! Pure: it opens nothing and knows no clock but the capture's. Memory follows what is open, never
//! what has passed: every table has a ceiling, and what is lost at one is counted in [`Totals`].

use crate::exchange::outcome::Exchanges;
use crate::exchange::{Connection, Exchange, Protocol};
use crate::packet::{Decoded, Decoder, Frame, Mark, NotReadFrames};
use crate::tcp::{Connections, Counters, Table, TrackedConnection};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// TCP ports whose traffic is HTTP even where its first bytes do not show it, such as unusual
    /// methods.
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
    /// Frames without a TCP segment that can be read, by what they hold.
    pub not_read: NotReadFrames,
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
        let mut other = other.clone();
        for (count, more) in self.counts_mut().zip(other.counts_mut()) {
            *count = count.saturating_add(*more);
        }
    }

    /// All but the times.
    pub(crate) fn counts_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let counts = [
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
        ];
        counts.into_iter().chain(self.not_read.counts_mut())
    }
}

/// Frames in, exchanges out.
#[derive(Default)]
pub struct Analyzer {
    decoder: Decoder,
    table: Table<Exchanges>,
    settled: Settled,
}

/// What is known of all connections together.
#[derive(Debug, Default)]
struct Settled {
    options: Options,
    totals: Totals,
    next_exchange: u64,
}

impl Analyzer {
    /// An analyser that has seen nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let settled = Settled {
            options,
            ..Settled::default()
        };
        Self {
            settled,
            ..Self::default()
        }
    }

    /// Says how many packets the kernel is known to have dropped so far; `None` if nobody counted.
    pub fn set_dropped(&mut self, dropped: Option<u64>) {
        self.table
            .set_dropped(dropped.is_some_and(|dropped| dropped > 0));
    }

    /// What the capture held so far.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.settled.totals
    }

    /// Takes the next frame.
    pub fn frame(&mut self, frame: &Frame<'_>, sink: &mut dyn Sink) {
        let (mark, now) = self.settled.count(frame);
        let settled = &mut self.settled;
        self.table.let_go(now, &mut Settling { settled, sink });
        match self.decoder.decode(frame) {
            Decoded::Tcp(segment) => {
                let to = &mut Settling { settled, sink };
                self.table.segment(&segment, mark, to);
            }
            Decoded::Malformed => settled.totals.malformed_frames += 1,
            Decoded::NotRead(what) => settled.totals.not_read.count(what),
            Decoded::Fragment => {}
        }
        self.count_table();
    }

    /// Says that no frame of before `now` will come any more: connections that are over need not
    /// wait for the next one. Only a live capture can know that; its caller has the clock.
    pub fn quiet_until(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        let settled = &mut self.settled;
        self.table.let_go(now, &mut Settling { settled, sink });
    }

    /// The capture has ended: settles everything left.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        let now = self.settled.totals.last.unwrap_or_default();
        let settled = &mut self.settled;
        self.table.finish(now, &mut Settling { settled, sink });
    }

    /// Takes over what the table counts.
    fn count_table(&mut self) {
        let counters = self.table.counters();
        let totals = &mut self.settled.totals;
        totals.duplicate_frames = counters.duplicate_frames;
        totals.bytes_given_up = counters.bytes_given_up;
        totals.connections_evicted = self.table.evicted();
    }
}

impl Settled {
    /// Counts a frame. Returns its mark, and the latest time of any.
    fn count(&mut self, frame: &Frame<'_>) -> (Mark, Timestamp) {
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
        (mark, now)
    }

    fn count_connection(&mut self, connection: &Connection) {
        let totals = &mut self.totals;
        totals.connections += 1;
        totals.retransmissions += connection.retransmissions;
        match connection.protocol {
            Protocol::Tls => totals.encrypted_connections += 1,
            Protocol::Http2 => totals.http2_connections += 1,
            Protocol::None | Protocol::Unknown => totals.other_connections += 1,
            Protocol::Http1 => {}
        }
    }
}

/// Numbers what is settled and passes it on.
struct Settling<'a> {
    settled: &'a mut Settled,
    sink: &'a mut dyn Sink,
}

impl Settling<'_> {
    fn hand_out(&mut self, exchange: &mut Exchange) {
        exchange.id = self.settled.next_exchange;
        self.settled.next_exchange += 1;
        self.sink.exchange(exchange);
    }
}

impl Connections for Settling<'_> {
    type Application = Exchanges;

    fn open(&mut self, connection: &TrackedConnection) -> Exchanges {
        let ports = [connection.client().port, connection.server().port];
        let forced = &self.settled.options.ports;
        let forced = ports.iter().any(|port| forced.contains(port));
        Exchanges::new(connection, forced)
    }

    fn advance(
        &mut self,
        connection: &TrackedConnection,
        exchanges: &mut Exchanges,
        counters: &Counters,
    ) {
        exchanges.settle(connection, counters, &mut |exchange| {
            self.hand_out(exchange)
        });
    }

    fn end(
        &mut self,
        connection: TrackedConnection,
        exchanges: Exchanges,
        counters: &Counters,
        now: Timestamp,
    ) {
        let described = exchanges.end(&connection, counters, now, &mut |exchange| {
            self.hand_out(exchange);
        });
        self.settled.count_connection(&described);
        self.sink.connection(&described);
    }
}
