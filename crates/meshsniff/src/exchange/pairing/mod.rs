//! From the messages on the two streams of a connection to its exchanges.
//!
//! Pairs requests and responses first in, first out, and knows when pairing must stop: at a hole
//! that cannot be stepped over nothing is paired until a boundary is sure again. Heads and bodies
//! are read by
//! [`crate::protocol::http1`], segments and closes are [`crate::tcp`]'s, the verdict is
//! [`super::judge`]'s.

mod client;
mod server;

use super::counts::Counts;
use super::model::{Doubt, Exchange, Finding, FindingKind, Protocol, ResponseShape};
use super::pending::{Confidence, PendingExchange};
use super::queue::Queue;
use super::streams::Streams;
use crate::packet::{Endpoint, Mark};
use crate::protocol::detect;
use crate::protocol::http1::body::Stepped;
use crate::protocol::http1::head::{RequestHead, ResponseHead};
use crate::protocol::http1::reader::{Event, Partial, Reader};
use crate::protocol::proxy_header::ProxyHeader;
use crate::protocol::tls::{Keys, Layer, Session};
use crate::tcp::{Application, Delay, Delayed, Offset, Progress, Run, Side, StreamEvent};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;

/// Use of a side's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// They are read as messages.
    Messages,
    /// They come after a CONNECT, and wait to hear whether it opens a tunnel.
    Waiting,
    /// They belong to a message that cannot be read: a boundary that is sure is looked for.
    Lost,
    /// The server sent what is no HTTP where an answer was due: pairing has ended.
    NotHttp,
    /// The answer that the connection's end ends is over: nothing can follow it.
    Over,
}

/// Protocol that takes over both streams of a connection from HTTP/1: from its beginning, at a
/// message boundary, or behind the head that agreed on it. Only HTTP/2 is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Successor {
    /// HTTP/2: by its preface (RFC 9113, 3.4), by frames in the middle of a connection, or because
    /// HTTP/1 agreed on it.
    Http2,
    /// TLS, by its first record.
    Tls,
    /// Whatever a 101 or a CONNECT agreed on.
    Tunnel,
}

/// The PROXY header that a connection begins with, and its first frame.
#[derive(Clone, Debug)]
enum Proxied {
    Header(Mark, ProxyHeader),
    /// As many bytes of it as have come.
    Begun(Mark, Vec<u8>),
}

/// What a server says before its client does: one of HTTP/2 may say its SETTINGS.
#[derive(Clone, Debug)]
enum Early {
    Nothing,
    /// The beginning of frames: where, in which packet, and the bytes.
    Frames(Offset, Mark, Vec<u8>),
    /// Anything else, or bytes that are missing.
    Other,
}

/// Bytes of it that are kept.
const MAX_EARLY: usize = 1024;

/// Bytes that a record has beside what is in it, but for padding, which hardly anybody sends.
const SEALING: u64 = 5 + 8 + 16 + 1;

/// More than any connection carries.
const AROUND: u64 = 1 << 48;

/// Client bytes that are missing, up to the next request.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: Offset,
    /// Whether it begins between requests; else with the rest of one, whose answer is no orphan.
    whole: bool,
    /// Orphans before it.
    orphans: u64,
}

/// State of the client's stream.
#[derive(Clone, Debug)]
struct Client {
    mode: Mode,
    reader: Reader<RequestHead>,
    /// Whether nothing has been seen of the client yet, on a connection joined mid-stream.
    untouched: bool,
    /// Whether the client was ever seen, or must be supposed, not to wait for answers.
    pipelines: bool,
    /// Bytes that are missing.
    stretch: Option<Stretch>,
    /// Requests that must still come in turn before it is supposed that the client waits: a stretch
    /// that could not be read may have held several at once.
    to_come_in_turn: u8,
    /// How far the server had come when the client last sent something.
    server_high: Option<Offset>,
}

/// State of the server's stream.
#[derive(Clone, Debug)]
struct Server {
    mode: Mode,
    reader: Reader<ResponseHead>,
    /// Bytes before this place belong to nothing that is still looked for.
    from: Option<Offset>,
    /// Whether the response being read has no request in the capture.
    orphan: bool,
    /// Where the last response began that had none.
    last_orphan: Option<(Mark, Offset)>,
    /// The end of the last interim answer to a request that is missing.
    interim: Option<Offset>,
}

/// Doubts about the next exchange, each with its reason.
#[derive(Clone, Copy, Debug, Default)]
struct Doubts {
    /// Its doubts from the start. `response` holds why the server's stream is lost,
    /// as long as it is; `head` that the client asked for an upgrade whose answer was not seen, and
    /// may not speak HTTP any more.
    next: Confidence,
    /// Why requests may be missing from the capture that were answered all the same.
    hole: Option<Doubt>,
    /// Why it is in doubt that the server's next byte begins a response: it was found after a
    /// stretch that could not be read.
    resumed: Option<Doubt>,
}

/// What is asked of the exchanges of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// It carries HTTP, whatever its first bytes look like.
    pub(crate) forced: bool,
    /// Bytes of each body that are kept, with the heads; `None` if no message is.
    pub(crate) messages: Option<usize>,
    /// Keys of TLS sessions.
    pub(crate) keys: Option<Arc<Keys>>,
}

/// The exchanges of one connection.
#[derive(Debug)]
pub(crate) struct Pairing {
    connection: u64,
    ends: (Endpoint, Endpoint),
    /// Whether the connection is seen from its beginning.
    whole: bool,
    wanted: Wanted,
    protocol: Protocol,
    successor: Option<Successor>,
    /// The PROXY header that the connection began with.
    proxied: Option<Box<Proxied>>,
    /// TLS, of a connection that speaks it.
    tls: Option<Box<Layer>>,
    /// Whether what is read came out of TLS.
    inside: bool,
    /// Whether the connection, or the capture, is over.
    over: bool,
    /// The streams of HTTP/2, of a connection that speaks it.
    streams: Option<Box<Streams>>,
    /// What the server said before its client.
    early: Early,
    /// Whether the server answered a request with TLS.
    answered_with_tls: bool,
    /// Whether the head of a request with an id was read, and nobody has asked for it.
    newly_asked: bool,
    /// Whether a request began, or the connection itself, and nobody has asked for it.
    newly_waiting: bool,
    counts: Counts,
    client: Client,
    server: Server,
    doubts: Doubts,
    queue: Queue,
}

impl Pairing {
    /// The exchanges of connection number `connection`; `whole` if it is seen from its beginning.
    pub(crate) fn new(
        connection: u64,
        ends: (Endpoint, Endpoint),
        whole: bool,
        wanted: Wanted,
    ) -> Self {
        let mode = if whole { Mode::Messages } else { Mode::Lost };
        let late = (!whole).then_some(Doubt::CaptureStartedLate);
        Self {
            connection,
            ends,
            whole,
            wanted,
            protocol: Protocol::None,
            successor: None,
            proxied: None,
            tls: None,
            inside: false,
            over: false,
            streams: None,
            early: Early::Nothing,
            answered_with_tls: false,
            newly_asked: false,
            newly_waiting: true,
            counts: Counts::default(),
            client: Client {
                mode,
                reader: Reader::default(),
                untouched: !whole,
                pipelines: false,
                stretch: None,
                to_come_in_turn: 0,
                server_high: None,
            },
            server: Server {
                mode,
                reader: Reader::default(),
                from: None,
                orphan: false,
                last_orphan: None,
                interim: None,
            },
            doubts: Doubts {
                next: Confidence {
                    pairing: late,
                    response: late,
                    ..Confidence::default()
                },
                ..Doubts::default()
            },
            queue: Queue::default(),
        }
    }

    /// Protocol of the connection, as far as it is known.
    pub(super) const fn protocol(&self) -> Protocol {
        match self.protocol {
            Protocol::None | Protocol::Unknown if self.tls.is_some() => Protocol::Tls,
            known => known,
        }
    }

    /// A request with an id, once after its head was read.
    pub(super) fn newly_asked(&mut self) -> Option<&Exchange> {
        if let Some(streams) = &mut self.streams {
            return streams.newly_asked();
        }
        if !std::mem::take(&mut self.newly_asked) {
            return None;
        }
        self.queue.latest().map(|open| &open.exchange)
    }

    /// Whether a request began, or the connection itself: once.
    #[inline]
    pub(super) fn newly_waiting(&mut self) -> bool {
        if let Some(streams) = &mut self.streams {
            return streams.newly_waiting();
        }
        std::mem::replace(&mut self.newly_waiting, false)
    }

    /// The request that is to be answered next, if nothing of that answer has come.
    #[inline]
    pub(super) fn unanswered(&mut self) -> Option<&mut PendingExchange> {
        match &mut self.streams {
            Some(streams) => streams.unanswered(),
            None => self.queue.unanswered(),
        }
    }

    /// Whether another protocol took over before there was a request.
    pub(super) const fn is_anothers(&self) -> bool {
        self.successor.is_some() && self.streams.is_none() && self.counts.exchanges == 0
    }

    /// The streams of HTTP/2, of a connection that speaks it.
    pub(super) fn streams(&self) -> Option<&Streams> {
        self.streams.as_deref()
    }

    /// Whether a 101 or a CONNECT opened a tunnel.
    pub(super) fn is_tunnel(&self) -> bool {
        self.successor == Some(Successor::Tunnel)
    }

    /// TLS, of a connection that speaks it.
    pub(super) fn tls(&self) -> Option<&Layer> {
        self.tls.as_deref()
    }

    /// TLS of which nothing is read but itself.
    pub(super) fn unread_tls(&self) -> Option<&Session> {
        let unread = self.protocol() == Protocol::Tls;
        self.tls
            .as_ref()
            .filter(|_| unread)
            .map(|tls| tls.session())
    }

    /// Whether the server answered a request with TLS.
    pub(super) const fn is_answered_with_tls(&self) -> bool {
        self.answered_with_tls
    }

    /// The counts.
    pub(super) fn counts(&self) -> &Counts {
        match &self.streams {
            Some(streams) => streams.counts(),
            None => &self.counts,
        }
    }

    /// When the last finished response ended.
    pub(super) fn last_response_end(&self) -> Option<Timestamp> {
        let streams = self.streams.as_ref();
        let streams = streams.and_then(|streams| streams.last_response_end());
        streams.or_else(|| self.queue.last_response_end())
    }

    /// Whether there is an exchange that nothing can change any more.
    #[inline]
    pub(super) fn has_settled(&self) -> bool {
        let streams = self.streams.as_ref();
        self.queue.has_settled() || streams.is_some_and(|streams| streams.has_settled())
    }

    /// The next exchange that nothing can change any more, and whether a boundary ended it.
    pub(super) fn take_settled(&mut self) -> Option<(Box<PendingExchange>, bool)> {
        self.queue.take_settled().or_else(|| {
            let open = self.streams.as_mut()?.take_settled()?;
            Some((open, false))
        })
    }

    /// Everything left at `now`, the end of the connection or of the capture.
    pub(super) fn take_rest(&mut self, now: Timestamp) -> VecDeque<Box<PendingExchange>> {
        self.over = true;
        self.through_tls(|tls, inside| tls.end(inside));
        if self.latest_is_unconfirmed() {
            // On a connection that is known to be HTTP, the beginning of a line is a request too.
            let partial = self.client.reader.leave().filter(|partial| {
                self.counts.exchanges > 0
                    || detect::begins_request_on(&partial.bytes, self.wanted.forced)
            });
            match partial {
                Some(partial) => self.confirm_request(&partial.bytes),
                None => self.queue.withdraw(),
            }
        }
        if let Some((from, mark)) = self.server.reader.head_start()
            && let Some(partial) = self.server.reader.leave()
        {
            self.begin_partial_response(&partial, (mark, from), None);
        }
        let is_lost = self.successor.is_none() && self.server.mode == Mode::Lost;
        let lost = self.doubts.next.response.filter(|_| is_lost);
        let mut rest = self.queue.take_rest(|open| {
            if !open.is_answered() {
                open.confidence.response = open.confidence.response.or(lost);
            }
        });
        if let Some(streams) = &mut self.streams {
            rest.extend(streams.take_rest(now));
        }
        rest
    }

    /// Whether no client's byte, not only its SYN, has been looked at.
    fn is_fresh(&self) -> bool {
        self.counts.exchanges == 0 && self.queue.is_empty()
    }

    /// Whether what began last is not yet sure to be a request.
    fn latest_is_unconfirmed(&mut self) -> bool {
        self.queue.latest().is_some_and(|open| !open.confirmed)
    }

    /// A request is sure to be one.
    const fn count_exchange(&mut self) {
        self.counts.exchanges += 1;
        self.protocol = Protocol::Http1;
    }

    /// Another protocol takes over both streams: what follows on them is its.
    fn hand_over(&mut self, successor: Successor) {
        match successor {
            Successor::Http2 => self.protocol = Protocol::Http2,
            Successor::Tls if self.protocol != Protocol::Http1 => self.protocol = Protocol::Tls,
            Successor::Tls | Successor::Tunnel => {}
        }
        self.client.reader.leave();
        self.server.reader.leave();
        self.successor = Some(successor);
    }

    /// The connection's next bytes, `side`'s, are TLS records.
    fn begin_tls(&mut self, side: Side, bytes: &[u8], (from, mark): (Offset, Mark), at: &Progress) {
        if self.inside {
            return self.hand_over(Successor::Tunnel);
        }
        self.hand_over(Successor::Tls);
        if self.protocol == Protocol::Tls {
            // A record with the beginning of a client's hello, and all of the connection before it.
            let hello = matches!(bytes, [22, _, _, _, _, 1, ..]) || self.whole;
            let from_hello = side == Side::Client && hello;
            let session = match from_hello {
                true => Session::default(),
                false => Session::joined(),
            };
            let run = Run {
                from,
                bytes,
                mark,
                segment_start: true,
            };
            self.tls = Some(Box::new(Layer::new(session, self.wanted.keys.as_ref())));
            self.tell_tls(side, StreamEvent::Bytes(run, *at));
        }
    }

    /// Tells TLS what comes, and itself what is inside.
    fn tell_tls(&mut self, side: Side, event: StreamEvent<'_>) {
        self.through_tls(|tls, inside| tls.tell(side, event, inside));
    }

    fn through_tls(
        &mut self,
        tell: impl FnOnce(&mut Layer, &mut dyn FnMut(Side, StreamEvent<'_>)),
    ) {
        let Some(mut tls) = self.tls.take() else {
            return;
        };
        tell(&mut tls, &mut |side, event| {
            if !self.inside {
                self.begin_inside();
            }
            // A record without an end leaves a message as it is: nobody sent the rest.
            if !(self.over && self.is_in_message(side)) {
                self.tell_plain(side, event);
            }
        });
        self.tls = Some(tls);
    }

    /// Bytes that may stand around those of a message: inside of TLS nobody knows how many, and what
    /// has no end by then ends behind all that was sent.
    const fn around(&self) -> u64 {
        if self.inside { AROUND } else { 0 }
    }

    /// A place behind which a message that begins at `offset` has to have its beginning: inside of TLS
    /// a header, and what seals a record, stand before it.
    const fn before(&self, offset: Offset) -> Offset {
        offset.saturating_sub(if self.inside { SEALING } else { 0 })
    }

    /// Whether what `side` was sending had begun before, as far as that can be told.
    fn is_in_message(&self, side: Side) -> bool {
        match (&self.streams, side) {
            (Some(streams), Side::Server) => !streams.awaits_answer(),
            (Some(_), Side::Client) => true,
            (None, Side::Client) => !self.client.reader.is_between(),
            (None, Side::Server) => !self.server.reader.is_between(),
        }
    }

    /// What is inside of TLS is read, from the beginning of both streams.
    fn begin_inside(&mut self) {
        *self = Self {
            inside: true,
            proxied: self.proxied.take(),
            ..Self::new(self.connection, self.ends, true, self.wanted.clone())
        };
    }

    /// HTTP/2 takes over. `whole`: from the client's preface on.
    fn begin_streams(&mut self, whole: bool) {
        let early = std::mem::replace(&mut self.early, Early::Nothing);
        // Behind an answer in HTTP/1 the server's frames begin where that ends.
        let fresh = self.is_fresh();
        let server_whole = whole && !(fresh && matches!(early, Early::Other));
        self.hand_over(Successor::Http2);
        let ends = (self.connection, self.ends);
        let streams = Streams::new(ends, (whole, server_whole), self.wanted.messages);
        self.streams = Some(Box::new(streams));
        if let Early::Frames(from, mark, bytes) = early
            && fresh
            && whole
        {
            let run = Run {
                from,
                bytes: &bytes,
                mark,
                segment_start: true,
            };
            let at = Progress::unacknowledged(from + bytes.len() as u64, mark);
            self.tell_successor(Side::Server, StreamEvent::Bytes(run, at));
        }
    }

    /// Keeps what the server says before its client, if it may be HTTP/2.
    fn keep_early(&mut self, bytes: &[u8], from: Offset, mark: Mark) {
        let goes_on = match &mut self.early {
            Early::Frames(first, _, kept) if *first + kept.len() as u64 == from => {
                kept.extend_from_slice(bytes);
                kept.len() <= MAX_EARLY
            }
            Early::Nothing if from == Offset::ORIGIN && detect::begins_settings(bytes) => {
                self.early = Early::Frames(from, mark, bytes.to_vec());
                bytes.len() <= MAX_EARLY
            }
            _ => false,
        };
        if !goes_on {
            self.early = Early::Other;
        }
    }

    /// What a protocol that took over is told of its streams.
    fn tell_successor(&mut self, side: Side, event: StreamEvent<'_>) {
        if let Some(streams) = &mut self.streams {
            return streams.tell(side, event);
        }
        if self.is_tunnel() {
            self.tell_tunnel(side, event);
        }
    }

    /// What a WebSocket is told of its streams.
    fn tell_tunnel(&mut self, side: Side, event: StreamEvent<'_>) {
        let Some(tunnel) = self.queue.tunnel() else {
            return;
        };
        match event {
            StreamEvent::Bytes(run, _) => tunnel.bytes(side, run.bytes, run.mark),
            StreamEvent::Missing(missing, at) => {
                let mark = missing.cut_in.unwrap_or(at.mark);
                // More than there can be, where nobody knows how many.
                let length = missing.extent.len();
                let length = if missing.measured { length } else { u64::MAX };
                tunnel.missing(side, length, mark);
            }
            StreamEvent::Finished(_, at) => tunnel.ends(side, at.mark),
            _ => {}
        }
    }

    /// Reads the client's bytes in another mode; the message they belonged to is left.
    fn set_client(&mut self, mode: Mode) -> Option<Partial> {
        self.client.mode = mode;
        self.client.reader.leave()
    }

    /// Reads the server's bytes in another mode; the message they belonged to is left.
    fn set_server(&mut self, mode: Mode) {
        self.server.mode = mode;
        self.server.reader.leave();
    }

    /// The server's FIN is next in order: an answer that the connection's end ends is over.
    fn server_finished(&mut self, upto: Offset, at: &Progress) {
        let cannot_end =
            !self.server.reader.is_in_body() || self.server.reader.remaining().is_some();
        if self.server.mode != Mode::Messages || cannot_end || self.server.orphan {
            return;
        }
        let acks = self.queue.server_acked().clone();
        if let Some(open) = self.queue.due()
            && open.exchange.response_shape == ResponseShape::UntilClose
        {
            let last = open.response.last.filter(|&(_, end)| end == upto);
            open.end_response(upto, last.map(|(mark, _)| mark), at.mark.order);
            if let Some(ack) = last.and_then(|(mark, _)| acks.covering(upto, mark)) {
                open.acknowledged(Side::Server, ack);
            }
            self.set_server(Mode::Over);
            self.queue.count_answered();
        }
    }

    /// Keeps bytes of a message, if messages are kept.
    #[inline]
    fn keep<H>(&mut self, side: Side, event: &Event<H>, bytes: &[u8]) {
        if self.wanted.messages.is_none() {
            return;
        }
        let orphan = self.server.orphan;
        let open = match side {
            Side::Client => self.queue.latest(),
            Side::Server => self.queue.due().filter(|_| !orphan),
        };
        let Some(kept) = open.and_then(|open| open.kept(side)) else {
            return;
        };
        match event {
            Event::HeadGoesOn | Event::Head(_) => kept.head(bytes),
            Event::BodyGoesOn | Event::End => kept.body(bytes),
            Event::NoHead | Event::Broken => kept.lose(),
        }
    }

    /// Passes over `missing` bytes of the body that `side` is sending, if so many are `measured`;
    /// `mark` has what is behind.
    fn step(&mut self, side: Side, (missing, measured): (u64, bool), mark: Mark) -> Stepped {
        let orphan = self.server.orphan;
        let (stepped, open) = match side {
            Side::Client => {
                let reader = &mut self.client.reader;
                let stepped = measured.then(|| reader.step(missing));
                (stepped, self.queue.latest())
            }
            Side::Server => {
                let reader = &mut self.server.reader;
                let stepped = measured.then(|| reader.step(missing));
                (stepped, self.queue.due().filter(|_| !orphan))
            }
        };
        if let Some(open) = open {
            open.body_missing(side, missing, mark);
        }
        stepped.unwrap_or(Stepped::Lost)
    }

    /// Bytes of the message that `side` is sending are missing.
    fn lose(&mut self, side: Side) {
        let open = match side {
            Side::Client => self.queue.latest(),
            Side::Server => self.queue.due(),
        };
        if let Some(kept) = open.and_then(|open| open.kept(side)) {
            kept.lose();
        }
    }

    /// Puts a delay to the exchange whose bytes came late.
    fn delayed(&mut self, side: Side, delayed: Delayed) {
        let finding = Finding {
            kind: match (delayed.by, side) {
                (Delay::Loss, _) => FindingKind::Retransmission,
                (Delay::DelayedAck, _) => FindingKind::DelayedAckStall,
                (Delay::NeverTaken, Side::Client) => FindingKind::RequestUnacknowledged,
                (Delay::NeverTaken, Side::Server) => FindingKind::ResponseUnacknowledged,
            },
            side,
            frames: delayed.frames,
            cost: delayed.cost,
        };
        if let Some(open) = self.queue.owner(side, delayed.extent) {
            open.exchange.only_large_lost |= delayed.smaller_passed;
            open.note(finding);
        }
    }
}

impl Application for Pairing {
    fn speaker(&self, bytes: &[u8]) -> Option<Side> {
        detect::speaker(bytes, self.wanted.forced)
    }

    fn swap_sides(&mut self) {
        let (client, server) = self.ends;
        let wanted = std::mem::take(&mut self.wanted);
        *self = Self::new(self.connection, (server, client), self.whole, wanted);
    }

    fn expected(&self, side: Side) -> Option<u64> {
        if let Some(tls) = &self.tls {
            return tls.remaining(side);
        }
        match (&self.streams, side) {
            (Some(streams), _) => streams.expected(side),
            (None, _) if self.is_tunnel() => self.queue.tunnel_seen()?.remaining(side),
            (None, Side::Client) => self.client.reader.remaining(),
            (None, Side::Server) => self.server.reader.remaining(),
        }
    }

    fn weight(&self) -> usize {
        let streams = self.streams.as_ref().map_or(0, |streams| streams.weight());
        let early = match &self.early {
            Early::Frames(_, _, bytes) => bytes.capacity(),
            Early::Nothing | Early::Other => 0,
        };
        let readers = self.client.reader.weight() + self.server.reader.weight() + early;
        let tls = self.tls.as_ref().map_or(0, |tls| tls.weight());
        readers + self.queue.weight() + streams + tls
    }

    fn tell(&mut self, side: Side, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Bytes(..) | StreamEvent::Missing(..) if self.tls.is_some() => {
                self.tell_tls(side, event);
            }
            // The stream inside ends with its last byte, whatever says goodbye behind it.
            StreamEvent::Finished(upto, at) => {
                let ended = self.tls.as_ref().and_then(|tls| tls.ended(side));
                self.tell_plain(side, StreamEvent::Finished(ended.unwrap_or(upto), at));
            }
            StreamEvent::Acknowledged(ack) => {
                if let Some(tls) = &mut self.tls {
                    tls.acknowledged(side, ack);
                }
                self.tell_plain(side, event);
            }
            _ => self.tell_plain(side, event),
        }
    }
}

impl Pairing {
    /// Takes an event of the streams that are read: the connection's, or those inside of TLS.
    fn tell_plain(&mut self, side: Side, event: StreamEvent<'_>) {
        if self.streams.is_some() && self.queue.is_empty() {
            return self.tell_successor(side, event);
        }
        match event {
            StreamEvent::Bytes(..) | StreamEvent::Missing(..) | StreamEvent::Finished(..)
                if self.successor.is_some() =>
            {
                self.tell_successor(side, event);
            }
            StreamEvent::Bytes(run, at) => {
                if self.protocol == Protocol::None {
                    self.protocol = Protocol::Unknown;
                }
                match side {
                    Side::Client => self.client_bytes(run, &at),
                    Side::Server => self.server_bytes(run, &at),
                }
            }
            StreamEvent::Missing(missing, at) => {
                self.lose(side);
                match side {
                    // What the client sent before the capture began belongs to nothing in it.
                    Side::Client if missing.why == Doubt::CaptureStartedLate => {}
                    Side::Client => self.client_missing(missing, &at),
                    Side::Server => self.server_missing(missing, &at),
                }
            }
            StreamEvent::Repeated(..) => {}
            StreamEvent::Finished(upto, at) => {
                if side == Side::Server {
                    self.server_finished(upto, &at);
                }
            }
            StreamEvent::Acknowledged(ack) => {
                self.queue.acknowledged(side, ack);
                if self.streams.is_some() {
                    self.tell_successor(side, event);
                }
            }
            StreamEvent::Closes => {
                if side == Side::Client
                    && let Some(open) = self.queue.due()
                {
                    let last = open.response.last;
                    open.response_before_close.get_or_insert(last);
                }
            }
            StreamEvent::Delayed(delayed) => self.delayed(side, delayed),
            StreamEvent::WindowClosed {
                since,
                opened,
                until,
            } => {
                // That held up whatever was going on when it opened, for as long as that had been
                // going on: a server that does not read the request sent last, a client the answer
                // due first.
                let open = match side {
                    Side::Server => self.queue.latest(),
                    Side::Client => self.queue.oldest(),
                };
                if let Some(open) = open {
                    let begun = since.time.max(open.exchange.start());
                    open.note(Finding {
                        kind: FindingKind::ZeroWindow,
                        side,
                        frames: [Some(since), opened].into_iter().flatten().collect(),
                        cost: until - begun,
                    });
                }
            }
        }
    }
}
