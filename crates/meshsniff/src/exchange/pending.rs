//! An exchange that is not settled yet: what has been seen of it, and where in the two streams.

use super::call::{self, Call};
use super::feed::Feed;
use super::model::{
    AckWith, Doubt, EnvoyFlags, Events, Exchange, Finding, FindingKind, Gaps, Grpc, Relations,
    ResponseShape, Verdict,
};
use super::said::Keeping;
use super::stream::StreamState;
use super::tunnel::Tunnel;
use crate::kernel::{Answer, Observed, Request};
use crate::mesh::{self, answer, timeout};
use crate::packet::{Endpoint, Mark};
use crate::protocol::fields::{Maker, RequestFields};
use crate::protocol::grpc::{Status, Wire};
use crate::protocol::http1::head::{self, RequestHead};
use crate::tcp::{Ack, Offset, Scope, Side};
use crate::time::{Span, Timestamp};

/// A client that sends its body this long after a head with `Expect: 100-continue` waited for a
/// `100` in vain.
const EXPECT_WAIT: Span = Span::from_millis(100);

/// Most findings kept for one exchange; a lossy upload could make thousands.
const MAX_FINDINGS: usize = 64;

/// Most interim responses kept for one exchange.
const MAX_INTERIM: usize = 64;

/// The latest acknowledgments of one side's bytes, each of more than the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Acks {
    latest: [Option<Ack>; 4],
    at: usize,
}

impl Acks {
    pub(super) const fn push(&mut self, ack: Ack) {
        self.latest[self.at] = Some(ack);
        self.at = (self.at + 1) % self.latest.len();
    }

    /// The first that covers everything before `end`, whose last byte was seen in `last`: an ACK is
    /// not seen before what it acknowledges, unless the capture is out of order.
    pub(super) fn covering(&self, end: Offset, last: Mark) -> Option<Ack> {
        let covers = |ack: &Ack| ack.upto >= end && ack.mark.order >= last.order;
        let covering = self.latest.iter().flatten().filter(|ack| covers(ack));
        covering.min_by_key(|ack| ack.upto).copied()
    }
}

/// Where one message of an exchange ends, as far as that is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MessageEnd {
    /// One past its last byte, once it is whole.
    pub(super) upto: Option<Offset>,
    /// One past its last byte, as its head announced it; inside of TLS beyond that.
    pub(super) announced: Option<Offset>,
    /// Its bytes, head and body, as its head announced them.
    pub(super) announced_bytes: Option<u64>,
    /// Whether its last byte is one that the capture lacks.
    pub(super) tail_lost: bool,
    /// The frame of the last byte seen that may be its, and one past that byte.
    pub(super) last: Option<(Mark, Offset)>,
}

/// Where the answer begins, by three measures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AnswerStart {
    /// The first server byte after the request's beginning, whatever it belongs to.
    pub(super) any: Option<Offset>,
    /// The first byte, seen or missing, that may belong to the final response.
    pub(super) possible: Option<Offset>,
    /// The first byte seen of the final response.
    pub(super) seen: Option<Offset>,
}

/// What an exchange is in doubt about, each with its reason. What is `None` is sure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Confidence {
    /// A part of the request's head is missing, or it may be no request: nothing said of it is
    /// certain.
    pub(super) head: Option<Doubt>,
    /// The end of the request cannot be told.
    pub(super) request: Option<Doubt>,
    /// The response cannot be read to its end.
    pub(super) response: Option<Doubt>,
    /// The two may not belong together.
    pub(super) pairing: Option<Doubt>,
}

/// An exchange on its way to a verdict.
#[derive(Clone, Debug)]
pub(super) struct PendingExchange {
    pub(super) exchange: Exchange,
    /// Whether it is surely a request: its head was read, or it is cut but answered like one.
    pub(super) confirmed: bool,
    /// Whether bytes of the client's right before it are missing.
    pub(super) behind_missing: bool,
    /// HEAD and CONNECT change what the response looks like.
    pub(super) method: MethodKind,
    /// Whether the request asked for an upgrade.
    pub(super) wants_upgrade: bool,
    /// Whether it asked for HTTP/2.
    pub(super) wants_h2c: bool,
    /// The end of a head with `Expect: 100-continue`, while no byte of its body has come.
    pub(super) expecting: Option<Mark>,
    /// Whether it ended in a 101 or a CONNECT tunnel.
    pub(super) upgraded: bool,
    /// The place of the request's first byte.
    pub(super) request_from: Offset,
    pub(super) request: MessageEnd,
    pub(super) response: MessageEnd,
    /// Whether the response has no body for sure.
    pub(super) no_body: bool,
    /// Whether only the ACK on a RST covers the response.
    pub(super) taken_by_rst: bool,
    /// Whether the client acknowledged more than the response: of one that ends with the connection,
    /// the FIN.
    pub(super) end_taken: bool,
    /// What of an answer's head and body may tell who made it.
    pub(super) maker: Option<(Box<Maker>, Vec<u8>)>,
    /// The end of what had been seen of the response when the client closed.
    pub(super) response_before_close: Option<Option<(Mark, Offset)>>,
    pub(super) answer: AnswerStart,
    /// One past the highest byte that the server had sent when the request began.
    pub(super) server_at_start: Offset,
    /// When the response was known to be whole, in the order of the capture.
    pub(super) whole_at: Option<u64>,
    pub(super) confidence: Confidence,
    /// What the kernel said of its sockets so far.
    pub(super) observed: Option<Box<Observed>>,
    /// Request and response, byte for byte, if they are kept.
    pub(super) said: Option<Box<[Keeping; 2]>>,
    /// When the exchange before it on the connection had ended.
    pub(super) previous_end: Option<Timestamp>,
    /// What it has as one stream of several.
    pub(super) stream: Option<Box<StreamState>>,
    /// What counts its messages, if it is a remote procedure call.
    pub(super) call: Option<Box<Call>>,
    /// Whether it asked for a WebSocket on its stream (RFC 8441).
    pub(super) wants_websocket: bool,
    /// What reads the WebSocket that it opened.
    pub(super) tunnel: Option<Box<Tunnel>>,
    /// What counts the events that answer it.
    pub(super) feed: Option<Box<Feed>>,
}

/// What of a method changes the framing of a response (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodKind {
    Plain,
    Head,
    Connect,
}

impl From<Option<&str>> for MethodKind {
    fn from(method: Option<&str>) -> Self {
        match method {
            Some("HEAD") => Self::Head,
            Some("CONNECT") => Self::Connect,
            _ => Self::Plain,
        }
    }
}

impl PendingExchange {
    /// A request that begins at `from`, in the frame `start`.
    #[inline(always)]
    pub(super) fn new(
        connection: u64,
        (client, server): (Endpoint, Endpoint),
        from: Offset,
        start: Mark,
        confidence: Confidence,
    ) -> Self {
        Self {
            exchange: Exchange {
                id: 0,
                connection,
                stream: None,
                encrypted: false,
                client,
                server,
                minor_version: None,
                method: None,
                path: None,
                authority: None,
                status: None,
                late_status: None,
                request_id: None,
                trace_id: None,
                proxied: None,
                attempt: None,
                caller: None,
                answered_by: None,
                relations: Relations::default(),
                probe: mesh::is_probed(server.port),
                expected_timeout: None,
                timeout_guess: None,
                request_announced: None,
                request_bytes: 0,
                response_bytes: 0,
                response_shape: ResponseShape::Unread,
                defect: None,
                request_cut: false,
                only_large_lost: false,
                pipelined: false,
                half_closed: false,
                events: Events {
                    request_start: start,
                    ..Events::default()
                },
                gaps: Gaps::default(),
                verdict: Verdict::Unanswered,
                doubt: None,
                close_scope: Scope::Connection,
                reset: None,
                connection_error: None,
                headers_cut: false,
                grpc: None,
                websocket: None,
                event_stream: None,
                envoy: EnvoyFlags::default(),
                findings: Vec::new(),
                sockets: None,
                said: None,
            },
            confirmed: false,
            behind_missing: false,
            method: MethodKind::Plain,
            wants_upgrade: false,
            wants_h2c: false,
            expecting: None,
            upgraded: false,
            request_from: from,
            request: MessageEnd::default(),
            response: MessageEnd::default(),
            no_body: false,
            taken_by_rst: false,
            end_taken: false,
            maker: None,
            response_before_close: None,
            answer: AnswerStart::default(),
            server_at_start: Offset::ORIGIN,
            whole_at: None,
            confidence,
            observed: None,
            said: None,
            previous_end: None,
            stream: None,
            call: None,
            wants_websocket: false,
            tunnel: None,
            feed: None,
        }
    }

    /// Takes over what the request's head says.
    pub(super) fn read_head(&mut self, head: RequestHead) {
        let exchange = &mut self.exchange;
        self.confirmed = true;
        self.confidence.head = None;
        self.method = Some(head.method.as_str()).into();
        self.wants_upgrade = head.upgrade;
        self.wants_h2c = head.h2c;
        exchange.minor_version = Some(head.minor_version);
        exchange.method = Some(head.method);
        exchange.path = Some(head.path);
        exchange.authority = head.authority;
        self.read_fields(head.fields);
        if let Some(wire) = head.wire {
            self.begin_call(wire, head.coded);
            if let Some(call) = &mut self.call {
                call.begin_body(Side::Client, head.framing);
            }
        }
    }

    /// The request is a call whose messages stand in its body as `wire` says, unless that is
    /// `coded` as a whole.
    pub(super) fn begin_call(&mut self, wire: Wire, coded: bool) {
        let path = self.exchange.path.as_deref().unwrap_or_default();
        let (service, method) = call::names(path);
        let is_health = service == Some("grpc.health.v1.Health");
        self.exchange.grpc = Some(Box::new(Grpc {
            wire,
            service: service.map(Into::into),
            method: method.map(Into::into),
            status: None,
            message: None,
            request: None,
            response: None,
            compressed: [0; 2],
            first_message: None,
            longest_silence: None,
        }));
        self.exchange.probe |= is_health;
        let mut call = Box::new(Call::new(wire));
        if coded {
            call.lose(Side::Client);
        }
        self.call = Some(call);
    }

    /// Takes over what a head or trailers say of the call.
    pub(super) fn read_status(&mut self, status: Option<u32>, message: Option<&str>) {
        if let Some(grpc) = &mut self.exchange.grpc {
            grpc.status = status.map(Status).or(grpc.status);
            if let Some(message) = message.filter(|message| !message.is_empty()) {
                grpc.message = Some(message.into());
            }
        }
    }

    /// The next bytes of a body of HTTP/1, the last of them in `mark`.
    #[inline]
    pub(super) fn body_bytes(&mut self, side: Side, bytes: &[u8], mark: Mark) {
        if let Some(call) = &mut self.call {
            call.bytes(side, bytes, mark.time);
        }
        if let Some(feed) = self.feed.as_mut().filter(|_| side == Side::Server) {
            feed.bytes(bytes, mark.time);
        }
    }

    /// So many bytes of the body of `side` are missing.
    pub(super) fn body_missing(&mut self, side: Side, missing: u64, mark: Mark) {
        if let Some(call) = &mut self.call {
            call.miss(side, missing, mark.time);
        }
        if let Some(feed) = self.feed.as_mut().filter(|_| side == Side::Server) {
            feed.miss(missing, mark.time);
        }
    }

    /// Takes over what the fields of a request's head say.
    pub(super) fn read_fields(&mut self, fields: RequestFields) {
        let exchange = &mut self.exchange;
        let announced =
            |value: Option<&str>, parse: fn(&[u8]) -> _| value.and_then(|v| parse(v.as_bytes()));
        exchange.expected_timeout =
            announced(fields.envoy_timeout.as_deref(), timeout::parse_envoy_millis)
                .or_else(|| announced(fields.grpc_timeout.as_deref(), timeout::parse_grpc_timeout));
        exchange.attempt = fields.attempt;
        exchange.caller = fields.caller;
        exchange.probe |= fields.kube_probe;
        exchange.request_id = fields.request_id;
        exchange.trace_id = fields.trace_id;
    }

    /// Takes over what the beginning of a cut request head says: only what is certainly whole.
    pub(super) fn read_partial_head(&mut self, bytes: &[u8]) {
        let line = head::partial_request(bytes);
        self.method = line.method.as_deref().into();
        self.exchange.method = line.method.or(self.exchange.method.take());
        self.exchange.path = line.path.or(self.exchange.path.take());
        self.exchange.minor_version = line.minor_version.or(self.exchange.minor_version);
        self.confirmed = true;
    }

    /// A byte of the request's body came in `mark`, the last before `upto` so far.
    pub(super) fn request_body(&mut self, upto: Offset, mark: Mark) {
        self.request.last = Some((mark, upto));
        let Some(head) = self.expecting.take() else {
            return;
        };
        let cost = mark.time - head.time;
        if self.exchange.events.interim.is_empty() && cost >= EXPECT_WAIT {
            self.note(Finding {
                kind: FindingKind::ExpectUnanswered,
                side: Side::Server,
                frames: vec![head, mark],
                cost,
            });
        }
    }

    /// The request's last byte was seen in `mark`, or is known to be missing.
    pub(super) fn end_request(&mut self, upto: Offset, mark: Option<Mark>) {
        self.request.upto = Some(upto);
        self.request.tail_lost = mark.is_none();
        self.exchange.events.request_end = mark;
    }

    /// The next client bytes, before `upto`, may be a part of a request that cannot be read to its
    /// end: it goes on until it is answered.
    pub(super) fn extend_unreadable_request(&mut self, mark: Mark, upto: Offset) {
        if self.confidence.request.is_some() && self.request.upto.is_none() {
            self.request.last = Some((mark, upto));
        }
    }

    /// Closes a request whose end cannot be read: it ends at the last client byte seen.
    pub(super) fn end_unreadable_request(&mut self, acks: &Acks) {
        if self.request.upto.is_none()
            && self.confidence.request.is_some()
            && let Some((mark, upto)) = self.request.last
        {
            self.request.upto = Some(upto);
            self.exchange.events.request_end = Some(mark);
            if let Some(ack) = acks.covering(upto, mark) {
                self.acknowledged(Side::Client, ack);
            }
        }
    }

    /// The response's last byte was seen in `mark`, or is known to be missing; `order` is now.
    pub(super) fn end_response(&mut self, upto: Offset, mark: Option<Mark>, order: u64) {
        self.response.upto = Some(upto);
        self.response.tail_lost = mark.is_none();
        self.exchange.events.response_end = mark;
        self.whole_at = Some(order);
    }

    /// A response that cannot be read to its end ends at the last server byte seen before the
    /// boundary.
    pub(super) fn end_unreadable_response(&mut self, acks: &Acks) {
        if self.response.upto.is_none()
            && self.confidence.response.is_some()
            && let Some((mark, upto)) = self.response.last
            && self.answer.seen.is_some()
        {
            let events = &mut self.exchange.events;
            events.response_end = Some(mark);
            let taken = acks.covering(upto, mark).map(|ack| ack.mark);
            events.response_acked = events.response_acked.or(taken);
        }
    }

    /// The next bytes of the response's body.
    pub(super) fn response_body(&mut self, bytes: &[u8]) {
        if let Some((_, body)) = self.maker.as_mut() {
            let room = answer::MAX_BODY.saturating_sub(body.len());
            body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Whether the response was seen, or is known, to its end.
    pub(super) const fn is_answered(&self) -> bool {
        self.response.upto.is_some()
    }

    /// Whether nothing that may still come can change it.
    pub(super) fn is_settled(&self) -> bool {
        if let Some(stream) = &self.stream
            && stream.is_over()
        {
            return true;
        }
        if self.tunnel.as_ref().is_some_and(|tunnel| !tunnel.is_over()) {
            return false;
        }
        let until_close = matches!(self.exchange.response_shape, ResponseShape::UntilClose);
        self.is_answered()
            && self.exchange.events.response_acked.is_some()
            && (!until_close || self.end_taken)
            && (self.exchange.events.request_acked.is_some() || self.confidence.request.is_some())
    }

    /// Bytes of `side` were acknowledged.
    pub(super) fn acknowledged(&mut self, side: Side, ack: Ack) {
        let events = &mut self.exchange.events;
        let covers = |end: Option<Offset>| end.is_some_and(|end| ack.upto >= end);
        match side {
            Side::Client if covers(self.request.upto) => {
                events.request_acked.get_or_insert((ack.mark, ack.with));
            }
            Side::Server if covers(self.response.upto) => {
                self.end_taken |= Some(ack.upto) > self.response.upto;
                if events.response_acked.is_none() {
                    events.response_acked = Some(ack.mark);
                    self.taken_by_rst = ack.with == AckWith::Rst;
                }
            }
            Side::Client | Side::Server => {}
        }
        self.close_acknowledged(side, ack);
    }

    /// Bytes of `side` were acknowledged: its end of the stream may be among them.
    fn close_acknowledged(&mut self, side: Side, ack: Ack) {
        if let Some(stream) = self.stream.as_deref_mut()
            && let Some(close) = stream.close
            && close.by == side
            && ack.upto >= close.close.at
        {
            stream.close_acked = true;
        }
    }

    /// The exchange is over: what was counted of its messages is told, and how the call ended.
    pub(super) fn end_call(&mut self) {
        let exchange = &mut self.exchange;
        let start = exchange.start();
        let Some((call, grpc)) = self.call.take().zip(exchange.grpc.as_deref_mut()) else {
            return;
        };
        let unread =
            [self.confidence.request, self.confidence.response].map(|doubt| doubt.is_some());
        let said = call.end(grpc, start, self.stream.is_some(), unread);
        grpc.status = grpc.status.or(said.status);
        grpc.message = grpc.message.take().or(said.message);
        exchange.headers_cut |= said.is_hidden && grpc.status.is_none();
        if grpc.wire == Wire::ConnectUnary {
            // Its body is its message, and what went well has a 200.
            let end = exchange.events.response_end;
            let went_well = exchange.status == Some(200);
            grpc.status = grpc.status.or(went_well.then_some(Status::OK));
            grpc.request = exchange.events.request_end.map(|_| 1);
            grpc.response = end.map(|_| u64::from(went_well));
            let whole = end.filter(|_| went_well);
            grpc.first_message = whole.map(|end| end.time - start);
        }
    }

    /// An interim response began in `mark`.
    pub(super) fn interim(&mut self, mark: Mark, status: u16) {
        self.answer.possible = None;
        if self.exchange.events.interim.len() < MAX_INTERIM {
            self.exchange.events.interim.push((mark, status));
        }
    }

    /// Bytes that it takes, about.
    pub(super) fn weight(&self) -> usize {
        let maker = self.maker.as_ref();
        let maker = maker.map_or(0, |(_, bytes)| size_of::<Maker>() + bytes.capacity());
        let observed = self.observed.as_ref().map_or(0, |one| one.weight());
        let said = self.said.as_ref().map_or(0, |kept| {
            let kept = kept.iter().map(Keeping::weight);
            kept.sum::<usize>() + size_of::<[Keeping; 2]>()
        });
        let stream = self.stream.as_ref().map_or(0, |_| size_of::<StreamState>());
        let call = self.call.as_ref().map_or(0, |call| call.weight());
        let tunnel = self.tunnel.as_ref().map_or(0, |one| one.weight());
        let feed = self.feed.as_ref().map_or(0, |_| size_of::<Feed>());
        let own = size_of::<Self>() - size_of::<Exchange>() + tunnel + feed;
        own + self.exchange.weight() + maker + observed + said + stream + call
    }

    /// What is kept of the message of `side`.
    pub(super) fn kept(&mut self, side: Side) -> Option<&mut Keeping> {
        let [request, response] = &mut **self.said.as_mut()?;
        Some(match side {
            Side::Client => request,
            Side::Server => response,
        })
    }

    /// The kernel said something of its sockets; `received` and `seen` are those of
    /// [`Observed::take`].
    pub(super) fn observe(&mut self, answer: Answer, received: Offset, seen: Timestamp) {
        let last = self.request.last.map(|(_, upto)| upto);
        let request = Request {
            from: self.request_from,
            upto: self.request.upto.or(last).unwrap_or(self.request_from),
            whole: self.request.upto.is_some(),
        };
        let observed = self.observed.get_or_insert_default();
        observed.take(answer, request, received, seen);
    }

    /// Adds a finding. Windows of one side that were closed are one, and so are bytes that nobody
    /// acknowledged.
    pub(super) fn note(&mut self, finding: Finding) {
        let kind = finding.kind;
        let known = |known: &&mut Finding| (known.kind, known.side) == (kind, finding.side);
        match self.exchange.findings.iter_mut().find(known) {
            Some(known) if kind == FindingKind::ZeroWindow => {
                known.cost = known.cost.plus(finding.cost);
                return known.add_frames(finding.frames);
            }
            Some(known)
                if matches!(
                    kind,
                    FindingKind::RequestUnacknowledged | FindingKind::ResponseUnacknowledged
                ) =>
            {
                // Of several stretches the one that was sent most often.
                known.cost = known.cost.max(finding.cost);
                if finding.frames.len() > known.frames.len() {
                    known.frames = finding.frames;
                }
                return;
            }
            _ => {}
        }
        if self.exchange.findings.len() < MAX_FINDINGS {
            self.exchange.findings.push(finding);
        }
    }
}

#[cfg(test)]
mod tests;
