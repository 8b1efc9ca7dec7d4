//! The whole analyser: captured frames in, settled exchanges and connections out.
//!
//! Two stages. What one connection tells (its segments, streams, messages and exchanges) depends on
//! that connection alone and on what is handed in with it: whether the kernel lost packets, and the
//! ports that are HTTP for sure. What all of them tell together (numbers of exchanges, [`Totals`])
//! is put on top when something is settled, in the order of the capture.
//!
//! Pure: it opens nothing and knows no clock but the capture's. Memory follows what is open, never
//! what has passed: every table has a ceiling, and what is lost at one is counted in [`Totals`].

use crate::dns::{self, Asked, Dns, DnsTotals, Lookups, OverTcp};
use crate::exchange::outcome::{Exchanges, Wanted};
use crate::exchange::related::{Answering, Related};
use crate::exchange::{Connection, Exchange, Finding, FindingKind, Protocol};
use crate::kernel::{Answer, Waiting};
use crate::packet::{Decoded, Decoder, Endpoint, Frame, Mark, NotRead, NotReadFrames};
use crate::protocol::tls::Keys;
use crate::tcp::{Application, Connections, Counters, Side, StreamEvent, Table, TrackedConnection};
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

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
    /// Bytes that open connections may take together, about; 512 MiB if it is not said. Past it the
    /// largest of them, and those that were silent for longest, are given up, and counted.
    pub memory: Option<usize>,
    /// Whether [`Analyzer::ask`] will be called, as only a live capture can.
    pub asks_kernel: bool,
    /// Bytes of each body that an exchange keeps, with its heads, in
    /// [`Exchange::said`]; `None` for neither.
    pub messages: Option<usize>,
    /// Keys of TLS sessions, with which they are read.
    pub keys: Option<Arc<Keys>>,
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
    /// Queries of DNS and their answers.
    pub dns: DnsTotals,
    /// TCP connections.
    pub connections: u64,
    /// Of them, those that carried TLS.
    pub encrypted_connections: u64,
    /// Those that carried TLS which was read, with keys.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub decrypted_connections: u64,
    /// Of them, those that carried HTTP/2.
    pub http2_connections: u64,
    /// TCP connections that carried DNS, and flows of DNS in UDP.
    pub dns_connections: u64,
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
        self.dns.add_names(&other.dns);
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
            &mut self.decrypted_connections,
            &mut self.http2_connections,
            &mut self.dns_connections,
            &mut self.other_connections,
            &mut self.retransmissions,
            &mut self.connections_evicted,
            &mut self.bytes_given_up,
        ];
        let dns = self.dns.counts_mut();
        let counts = counts.into_iter().chain(dns);
        counts.chain(self.not_read.counts_mut())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Frames in, exchanges out.
#[derive(Default)]
pub struct Analyzer {
    decoder: Decoder,
    table: Table<Reader>,
    settled: Settled,
}

/// What is known of all connections together.
#[derive(Debug, Default)]
struct Settled {
    options: Options,
    totals: Totals,
    next_exchange: u64,
    related: Related,
    answering: Answering,
    lookups: Lookups,
    /// Lookups that a connection waited for, by the number of the query that ended each, and when
    /// that connection was opened: the oldest first.
    waited: VecDeque<(u64, Timestamp)>,
    /// What the kernel is to be asked about.
    waiting: Waiting,
    /// No frame of before this will come any more.
    quiet: Timestamp,
}

/// Most lookups that are known to have been waited for.
const MAX_WAITED: usize = 256;

/// Connections that wait for one lookup are opened together.
const TOGETHER: Span = Span::from_millis(10);

/// A lookup, without the time until it was repeated, is slow from here on if it took longer than the
/// exchange that waited for it.
const SLOW_BESIDE: Span = Span::from_millis(20);

/// A host without its port: `[::1]:80` is `::1`.
fn without_port(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

/// Reads the streams of one connection.
#[derive(Debug)]
struct Reader {
    exchanges: Exchanges,
    /// DNS messages, on its port.
    dns: Option<Box<OverTcp>>,
    /// What the client had asked for when it opened the connection.
    asked: Vec<Arc<Asked>>,
    /// Whether something waits that the kernel is to be asked about.
    watched: Watch,
}

/// Whether the kernel is to be asked about a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Watch {
    /// No.
    #[default]
    No,
    /// If what began with this number has to wait for long.
    Soon(u64),
    /// It was asked about.
    Asked,
}

impl Application for Reader {
    fn speaker(&self, bytes: &[u8]) -> Option<Side> {
        self.exchanges.speaker(bytes)
    }

    fn swap_sides(&mut self) {
        if let Some(dns) = &mut self.dns {
            dns.swap_sides();
        }
        self.exchanges.swap_sides();
    }

    fn expected(&self, side: Side) -> Option<u64> {
        self.exchanges.expected(side)
    }

    fn tell(&mut self, side: Side, event: StreamEvent<'_>) {
        if let Some(dns) = &mut self.dns {
            dns.tell(side, &event);
        }
        self.exchanges.tell(side, event);
    }

    fn weight(&self) -> usize {
        let dns = self.dns.as_ref().map_or(0, |dns| dns.weight());
        self.exchanges.weight() + dns
    }
}

impl Analyzer {
    /// An analyser that has seen nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let memory = options.memory;
        let settled = Settled {
            options,
            ..Settled::default()
        };
        let mut analyzer = Self {
            settled,
            ..Self::default()
        };
        if let Some(bytes) = memory {
            analyzer.table.set_most(bytes);
        }
        analyzer
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
        self.settled.let_go(now, sink);
        let settled = &mut self.settled;
        match self.decoder.decode(frame) {
            Decoded::Tcp(segment) => {
                let to = &mut Settling { settled, sink };
                self.table.segment(&segment, mark, to);
            }
            Decoded::Datagram(datagram) => {
                if !settled.lookups.datagram(&datagram, mark) {
                    settled.totals.not_read.count(NotRead::Dns);
                }
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
        settled.quiet = now;
        self.table.let_go(now, &mut Settling { settled, sink });
        self.settled.let_go(now, sink);
        self.count_table();
    }

    /// Asks `kernel` about the sockets of connections on which something waits for long, by client
    /// and server: `None` if it knows of none. `now` is the time by the clock of the frames.
    pub fn ask(
        &mut self,
        now: Timestamp,
        kernel: &mut dyn FnMut(Endpoint, Endpoint) -> Option<Answer>,
    ) {
        let settled = &mut self.settled;
        while let Some(watched) = settled.waiting.next(now) {
            let Some((connection, reader)) = self.table.get_mut(watched.ends, watched.connection)
            else {
                continue;
            };
            let since = reader.exchanges.waits_since(connection);
            if since != Some(watched.since) {
                reader.watched = Watch::No;
                settled.begin(connection, reader, since);
                continue;
            }
            reader.watched = Watch::Asked;
            settled.waiting.count();
            // What has no socket here will not have one later: it stays watched, and is let alone.
            if let Some(answer) = kernel(connection.client(), connection.server()) {
                reader.exchanges.observe(connection, answer, settled.quiet);
                if !settled.waiting.again(watched, now) {
                    reader.watched = Watch::No;
                }
            }
        }
    }

    /// When the next question is due.
    #[must_use]
    pub fn ask_at(&self) -> Option<Timestamp> {
        self.settled.waiting.due()
    }

    /// The capture has ended: settles everything left.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        let now = self.settled.totals.last.unwrap_or_default();
        let settled = &mut self.settled;
        self.table.finish(now, &mut Settling { settled, sink });
        let over = self.settled.lookups.finish();
        self.settled.end_flows(over, sink);
        self.count_table();
    }

    /// Takes over what the table counts.
    fn count_table(&mut self) {
        let counters = self.table.counters();
        let totals = &mut self.settled.totals;
        let lookups = &self.settled.lookups;
        totals.duplicate_frames = counters.duplicate_frames + lookups.duplicates();
        totals.bytes_given_up = counters.bytes_given_up;
        totals.connections_evicted = self.table.evicted();
    }
}

impl Settled {
    /// Hands out the flows of DNS that are over.
    #[inline]
    fn let_go(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        if let Some(over) = self.lookups.let_go(now) {
            self.end_flows(over, sink);
        }
    }

    /// Sees to it that the kernel is asked about what waits on a connection. Called after every
    /// segment.
    #[inline]
    fn watch(&mut self, connection: &TrackedConnection, reader: &mut Reader) {
        match reader.watched {
            Watch::No if reader.exchanges.newly_waiting() => {
                let since = reader.exchanges.waits_since(connection);
                self.begin(connection, reader, since);
            }
            Watch::Soon(number) if !reader.exchanges.is_waiting(connection) => {
                self.waiting.over(number);
                reader.watched = Watch::No;
            }
            Watch::No | Watch::Soon(_) | Watch::Asked => {}
        }
    }

    /// Something waits since then, if it does.
    fn begin(
        &mut self,
        connection: &TrackedConnection,
        reader: &mut Reader,
        since: Option<Timestamp>,
    ) {
        if let Some(since) = since {
            let ends = (connection.client(), connection.server());
            let number = self.waiting.begin(connection.id(), ends, since);
            reader.watched = number.map_or(Watch::No, Watch::Soon);
        }
    }

    #[cold]
    fn end_flows(&mut self, over: Vec<dns::Ended>, sink: &mut dyn Sink) {
        for flow in over {
            let connection = Connection::of_dns(flow);
            self.count_connection(&connection);
            sink.connection(&connection);
        }
        self.totals.dns.clone_from(self.lookups.totals());
    }

    /// Adds to the first exchange of a connection what its client waited for before.
    #[cold]
    fn tell_wait(&mut self, exchange: &mut Exchange, asked: &[Arc<Asked>], syn: Timestamp) {
        let host = exchange.authority.as_deref().map(without_port);
        let Some(wait) = dns::wait(asked, host, exchange.server.ip(), syn) else {
            return;
        };
        let before = self
            .waited
            .iter()
            .find(|(number, _)| *number == wait.number);
        match before {
            Some((_, opened)) if syn - *opened > TOGETHER => return,
            Some(_) => {}
            None => {
                if self.waited.len() == MAX_WAITED {
                    self.waited.pop_front();
                }
                self.waited.push_back((wait.number, syn));
            }
        }
        if wait.has_repeats() {
            exchange.findings.push(Finding {
                kind: FindingKind::DnsRetry,
                side: Side::Server,
                frames: wait.repeats(),
                cost: wait.repeating,
            });
        }
        let rest = wait
            .total
            .plus(Span::from_nanos(-wait.repeating.as_nanos()));
        let longer = exchange.gaps.total.is_none_or(|total| rest >= total);
        if rest >= Dns::SLOW || rest >= SLOW_BESIDE && longer {
            exchange.findings.push(Finding {
                kind: FindingKind::DnsSlow,
                side: Side::Server,
                frames: wait.frames(),
                cost: rest,
            });
        }
    }

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
        totals.connections += u64::from(!connection.is_udp());
        totals.retransmissions += connection.retransmissions;
        let read = connection.protocol != Protocol::Tls;
        totals.decrypted_connections += u64::from(read && connection.tls.is_some());
        match connection.protocol {
            Protocol::Tls => totals.encrypted_connections += 1,
            Protocol::Http2 => totals.http2_connections += 1,
            Protocol::Dns => totals.dns_connections += 1,
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
    /// Takes the messages of DNS that came on a connection.
    #[inline]
    fn take_messages(&mut self, connection: &TrackedConnection, reader: &mut Reader) {
        let Some(dns) = &mut reader.dns else {
            return;
        };
        let (client, server) = (connection.client(), connection.server());
        for (_, message, mark) in dns.take() {
            self.settled.lookups.over_tcp(client, server, message, mark);
        }
    }

    /// Hands an exchange out. `asked` is what the client had asked for before, if it is the first
    /// one.
    fn hand_out(
        &mut self,
        exchange: &mut Exchange,
        connection: &TrackedConnection,
        asked: &mut Vec<Arc<Asked>>,
    ) {
        if !asked.is_empty() {
            let syn = connection.opening().syn;
            let opened = syn.map_or(connection.first(), |syn| syn.first);
            let asked = std::mem::take(asked);
            self.settled.tell_wait(exchange, &asked, opened.time);
        }
        exchange.id = self.settled.next_exchange;
        self.settled.next_exchange += 1;
        self.settled.related.relate(exchange);
        self.sink.exchange(exchange);
    }
}

impl Connections for Settling<'_> {
    type Application = Reader;

    fn open(&mut self, connection: &TrackedConnection) -> Reader {
        let ports = [connection.client().port, connection.server().port];
        let forced = &self.settled.options.ports;
        let wanted = Wanted {
            forced: ports.iter().any(|port| forced.contains(port)),
            messages: self.settled.options.messages,
            keys: self.settled.options.keys.clone(),
        };
        let client = connection.client();
        Reader {
            exchanges: Exchanges::new(connection, wanted),
            dns: ports.contains(&dns::PORT).then(Box::default),
            asked: match connection.is_whole() {
                true => {
                    let now = connection.first().time;
                    self.settled.lookups.recent(client.ip(), now)
                }
                false => Vec::new(),
            },
            watched: Watch::No,
        }
    }

    #[inline]
    fn advance(
        &mut self,
        connection: &TrackedConnection,
        reader: &mut Reader,
        counters: &Counters,
    ) {
        self.take_messages(connection, reader);
        if !reader.asked.is_empty() && reader.exchanges.are_none() {
            // Nobody will ask what it waited for.
            reader.asked = Vec::new();
        }
        if let Some(asked) = reader.exchanges.newly_asked() {
            self.settled.related.asked(asked);
        }
        if self.settled.options.asks_kernel {
            self.settled.watch(connection, reader);
        }
        let asked = &mut reader.asked;
        reader
            .exchanges
            .settle(connection, counters, &mut |exchange| {
                self.hand_out(exchange, connection, asked);
            });
    }

    fn end(
        &mut self,
        connection: TrackedConnection,
        mut reader: Reader,
        counters: &Counters,
        now: Timestamp,
    ) {
        self.take_messages(&connection, &mut reader);
        let (exchanges, mut asked) = (reader.exchanges, reader.asked);
        let mut described = exchanges.end(&connection, counters, now, &mut |exchange| {
            self.hand_out(exchange, &connection, &mut asked);
        });
        if reader.dns.is_some() {
            let lookups = &mut self.settled.lookups;
            if let Some(dns) = lookups.end_tcp(described.client, described.server) {
                described.protocol = Protocol::Dns;
                described.dns = Some(dns);
            }
        }
        self.settled.answering.judge(&mut described);
        self.settled.count_connection(&described);
        self.sink.connection(&described);
    }
}
