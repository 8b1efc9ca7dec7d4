//! From the bytes of the two streams of a connection to its exchanges.
//!
//! Reads requests and responses, pairs them first in, first out, and knows when pairing must stop: at a hole
//! that cannot be stepped over nothing is paired until a boundary is sure again. Times, sequence numbers
//! and closes are somebody else's ([`super::connection`]); the verdict is [`super::judge`]'s.

use super::model::{AckWith, Doubt, Finding, FindingKind, Protocol, ResponseShape, Side};
use super::open::{Acks, Kind, Open};
use super::partial::{Again, Partial};
use crate::http::body::{Body, Fed, Framing, Stepped};
use crate::http::detect::{self, Opening};
use crate::http::head::{self, LONGEST_HEAD, Parsed, RequestHead, ResponseHead};
use crate::packet::{Endpoint, Mark};
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Most requests waiting for their answers on one connection. No server takes so many.
const MOST_OPEN: usize = 1024;

/// Bytes of one direction, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    /// Offset of the first of them.
    pub(super) from: u64,
    pub(super) bytes: &'a [u8],
    /// The frame that first carried them.
    pub(super) mark: Mark,
    /// Whether a segment began here.
    pub(super) segment_start: bool,
}

/// How far the two streams have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Client bytes acknowledged by the server.
    pub(super) client_acked: u64,
    /// Server bytes in order.
    pub(super) server_next: u64,
    /// Server bytes acknowledged by the client.
    pub(super) server_acked: u64,
    /// One past the highest server byte seen or acknowledged; a FIN is none.
    pub(super) server_high: u64,
    /// The analyser's order of the packet being looked at.
    pub(super) order: u64,
}

#[derive(Clone, Debug)]
enum Client {
    /// At a message boundary.
    Between,
    Head(Partial),
    Body(Body),
    /// Past an upgrade, or waiting to hear whether a CONNECT is one.
    Tunnel,
    /// Somewhere: looking for a boundary that is sure.
    Lost,
    /// Not HTTP/1, for good.
    Foreign,
}

#[derive(Clone, Debug)]
enum Server {
    Between,
    Head(Partial),
    Body(Body),
    Tunnel,
    Lost,
    /// After bytes that are no HTTP where an answer was due: pairing has ended.
    Garbage,
    /// Nothing is looked for any more.
    Foreign,
}

/// The exchanges of one connection.
#[derive(Clone, Debug)]
pub(super) struct Pairing {
    pub(super) protocol: Protocol,
    pub(super) exchanges: u64,
    pub(super) orphan_responses: u64,
    pub(super) hidden_bytes: u64,
    /// When the last response ended, or the last close that decided one came.
    pub(super) last_end: Option<Timestamp>,
    /// When the last finished response ended.
    pub(super) last_response_end: Option<Timestamp>,
    queue: VecDeque<Box<Open>>,
    /// How many of the queue, from the front, have their whole response.
    answered: usize,
    client: Client,
    server: Server,
    /// Server bytes before this offset belong to nothing that is still looked for.
    server_from: u64,
    /// Whether the response being read has no request in the capture.
    orphan: bool,
    /// Whether nothing has been seen of the client yet, on a connection joined mid-stream.
    untouched: bool,
    /// `server_high` when the client last sent something.
    server_high_at_client: u64,
    /// Whether the client was ever seen, or must be supposed, not to wait for answers.
    pipelines: bool,
    /// Why the next exchange's pairing is in doubt.
    taint: Option<Doubt>,
    /// Why the server's stream is lost.
    server_lost: Option<Doubt>,
    /// Why requests may be missing from the capture that were answered all the same.
    after_hole: Option<Doubt>,
    /// Why it is in doubt that the client still speaks HTTP: it asked for an upgrade, and the answer was not seen.
    perhaps_tunnel: Option<Doubt>,
    /// Why it is in doubt that the server's next byte begins a response: it was found after a stretch that could
    /// not be read.
    server_resumed: Option<Doubt>,
    forced: bool,
    ends: (u64, Endpoint, Endpoint),
    /// Exchanges that a boundary has ended.
    ended: VecDeque<Box<Open>>,
    /// The latest acknowledgments by client and server, for messages whose end is told only afterwards.
    client_acks: Acks,
    server_acks: Acks,
    request_again: Again<RequestHead>,
    response_again: Again<ResponseHead>,
}

impl Pairing {
    /// The exchanges of connection `id`; `whole` if it is seen from its beginning.
    pub(super) fn new(
        id: u64,
        client: Endpoint,
        server: Endpoint,
        whole: bool,
        forced: bool,
    ) -> Self {
        Self {
            protocol: Protocol::None,
            exchanges: 0,
            orphan_responses: 0,
            hidden_bytes: 0,
            last_end: None,
            last_response_end: None,
            queue: VecDeque::new(),
            answered: 0,
            client: if whole { Client::Between } else { Client::Lost },
            server: if whole { Server::Between } else { Server::Lost },
            server_from: 0,
            orphan: false,
            untouched: !whole,
            server_high_at_client: 0,
            pipelines: false,
            taint: (!whole).then_some(Doubt::CaptureStartedLate),
            server_lost: (!whole).then_some(Doubt::CaptureStartedLate),
            after_hole: None,
            perhaps_tunnel: None,
            server_resumed: None,
            forced,
            ends: (id, client, server),
            ended: VecDeque::new(),
            client_acks: Acks::default(),
            server_acks: Acks::default(),
            request_again: Again::default(),
            response_again: Again::default(),
        }
    }

    /// Whether a client's byte, not only its SYN, has been looked at.
    pub(super) fn is_fresh(&self) -> bool {
        self.exchanges == 0 && self.queue.is_empty()
    }

    /// Bytes still due of the message that `side` is sending, where that is known.
    pub(super) fn message_left(&self, side: Side) -> Option<u64> {
        match side {
            Side::Client => match &self.client {
                Client::Body(body) => body.remaining(),
                _ => None,
            },
            Side::Server => match &self.server {
                Server::Body(body) => body.remaining(),
                _ => None,
            },
        }
    }

    /// The next bytes of `side`.
    pub(super) fn bytes(&mut self, side: Side, run: Run<'_>, at: &Progress) {
        if self.protocol == Protocol::None {
            self.protocol = Protocol::Unknown;
        }
        match side {
            Side::Client => self.client_bytes(run, at),
            Side::Server => self.server_bytes(run, at),
        }
    }

    /// Bytes that the capture does not have: cut by the snap length in `cut_in`, or missing altogether.
    pub(super) fn gap(
        &mut self,
        side: Side,
        (from, upto): (u64, u64),
        why: Doubt,
        cut_in: Option<Mark>,
        at: &Progress,
    ) {
        match side {
            Side::Client => self.client_gap(from, upto, why, cut_in, at),
            Side::Server => self.server_gap(from, upto, why, cut_in, at),
        }
    }

    /// The server's FIN is next in order.
    pub(super) fn server_finished(&mut self, upto: u64, at: &Progress) {
        let Server::Body(body) = &self.server else {
            return;
        };
        if body.remaining().is_some() || self.orphan {
            return;
        }
        if let Some(open) = self.queue.get_mut(self.answered)
            && open.exchange.response_shape == ResponseShape::UntilClose
        {
            let last = open.last_server.filter(|&(_, end)| end == upto);
            open.end_response(upto, last.map(|(mark, _)| mark), at.order);
            let taken = last.and_then(|(mark, _)| self.client_acks.covering(upto, mark));
            if let Some(taken) = taken {
                open.client_acknowledged(upto, taken);
            }
            self.server = Server::Foreign;
            self.count_answered();
        }
    }

    /// `side`'s packet `mark` acknowledged everything of the other side's before `upto`.
    pub(super) fn acknowledged(&mut self, side: Side, upto: u64, mark: Mark, with: AckWith) {
        match side {
            Side::Client => self.client_acks.push(upto, mark, with),
            Side::Server => self.server_acks.push(upto, mark, with),
        }
        for open in &mut self.queue {
            match side {
                Side::Client => open.client_acknowledged(upto, mark),
                Side::Server => open.server_acknowledged(upto, mark, with),
            }
        }
    }

    /// Puts a finding about bytes `from..upto` of `side` to the exchange they belong to.
    pub(super) fn note(&mut self, side: Side, (from, upto): (u64, u64), finding: Finding) {
        let belongs = |open: &&mut Box<Open>| match side {
            Side::Client => {
                from < open.request_upto.unwrap_or(u64::MAX) && upto > open.request_from
            }
            Side::Server => {
                from < open.response_upto.unwrap_or(u64::MAX)
                    && open.answer_from.is_some_and(|start| upto > start)
            }
        };
        if let Some(open) = self.queue.iter_mut().find(belongs) {
            open.note(finding);
        }
    }

    /// A window was closed from `since` until `until`: that held up whatever was going on when it opened, for as long as
    /// that had been going on.
    pub(super) fn note_closed_window(
        &mut self,
        receiver: Side,
        since: Mark,
        opened: Option<Mark>,
        until: Timestamp,
    ) {
        let open = match receiver {
            // A server that does not read holds up the request sent last, a client the answer due first.
            Side::Server => self.queue.back_mut(),
            Side::Client => self.queue.front_mut(),
        };
        if let Some(open) = open {
            let begun = since.time.max(open.exchange.start());
            open.note(Finding {
                kind: FindingKind::ZeroWindow,
                frames: [Some(since), opened].into_iter().flatten().collect(),
                cost: until - begun,
            });
        }
    }

    /// The next exchange that nothing can change any more, and whether a boundary ended it.
    pub(super) fn take_settled(&mut self) -> Option<(Box<Open>, bool)> {
        if let Some(open) = self.ended.pop_front() {
            return Some((open, true));
        }
        if !self.queue.front()?.is_settled() {
            return None;
        }
        let open = self.queue.pop_front();
        self.answered = self.answered.saturating_sub(1);
        open.map(|open| (open, false))
    }

    /// Everything left, at the end of the connection or of the capture.
    pub(super) fn take_rest(&mut self) -> VecDeque<Box<Open>> {
        if let Some(open) = self.queue.back_mut()
            && !open.confirmed
        {
            match &self.client {
                // On a connection that is known to be HTTP, the beginning of a line is a request too.
                Client::Head(partial)
                    if self.exchanges > 0
                        || detect::begins_request_on(&partial.bytes, self.forced) =>
                {
                    open.read_partial_head(&partial.bytes);
                    self.protocol = Protocol::Http1;
                    self.exchanges += 1;
                }
                _ => {
                    self.queue.pop_back();
                }
            }
        }
        let server_lost = self.server_lost;
        let head = match &mut self.server {
            Server::Head(partial) => Some(std::mem::take(partial)),
            _ => None,
        };
        if let Some(partial) = head {
            self.begin_partial_response(&partial, None);
        }
        let mut rest = std::mem::take(&mut self.queue);
        for open in &mut rest {
            open.end_unreadable_request(&self.server_acks);
            if !open.is_answered() && matches!(self.server, Server::Lost) {
                open.response_unreadable = open.response_unreadable.or(server_lost);
            }
            end_unreadable_response(open, &self.client_acks);
        }
        rest
    }

    // The client's stream.

    fn client_bytes(&mut self, run: Run<'_>, at: &Progress) {
        let mut used = 0;
        while used < run.bytes.len() {
            let rest = &run.bytes[used..];
            let offset = run.from + used as u64;
            match &mut self.client {
                Client::Between => match self.client_between(rest, offset, run.mark, at) {
                    Some(blank) => used += blank,
                    None => continue,
                },
                Client::Head(partial) => {
                    let (parsed, taken) =
                        partial.feed(rest, head::request, &mut self.request_again);
                    match parsed {
                        Parsed::Partial => used += taken,
                        Parsed::Invalid => {
                            self.refuse_request(rest, at);
                            self.hide(rest, offset, run.mark, false, at);
                            break;
                        }
                        Parsed::Whole(head, _) => {
                            used += taken;
                            self.request_head(head, run.from + used as u64, run.mark);
                        }
                    }
                }
                Client::Body(body) => match body.feed(rest) {
                    Fed::More => used = run.bytes.len(),
                    Fed::Done(taken) => {
                        used += taken;
                        self.client = Client::Between;
                        self.end_request(run.from + used as u64, Some(run.mark));
                    }
                    Fed::Broken => {
                        self.break_request(Doubt::SequenceHole);
                        self.lose_client(None, at);
                    }
                },
                Client::Tunnel | Client::Foreign => break,
                Client::Lost => {
                    let first = used == 0 && run.segment_start;
                    let request = first && detect::begins_request_on(rest, self.forced);
                    if request && self.is_boundary(offset, at) {
                        self.resume(offset, run.mark, at);
                    } else {
                        // A request that did not wait for the answer to what was lost before it.
                        self.pipelines |= request;
                        self.hide(rest, offset, run.mark, first, at);
                        break;
                    }
                }
            }
        }
        self.server_high_at_client = at.server_high;
    }

    /// Looks at bytes at a message boundary; returns how many blank ones to skip, or none if a state was entered.
    fn client_between(
        &mut self,
        rest: &[u8],
        offset: u64,
        mark: Mark,
        at: &Progress,
    ) -> Option<usize> {
        if let Some(preamble) = self
            .is_fresh()
            .then(|| detect::proxy_preamble(rest))
            .flatten()
        {
            return Some(preamble);
        }
        let blank = rest.len() - detect::skip_blank_lines(rest).len();
        if blank > 0 {
            return Some(blank);
        }
        if matches!(self.server, Server::Garbage) {
            self.lose_client(None, at);
            return None;
        }
        match detect::client_opening(rest, self.forced) {
            Opening::Request | Opening::PerhapsRequest if self.queue.len() < MOST_OPEN => {
                self.begin_request(offset, mark, at);
            }
            Opening::Http2 => self.foreign(Protocol::Http2),
            Opening::Tls => self.foreign(Protocol::Tls),
            _ => self.lose_client(None, at),
        }
        None
    }

    fn begin_request(&mut self, offset: u64, mark: Mark, at: &Progress) {
        self.find_server(offset, at);
        let waiting = self.queue.len() > self.answered;
        self.pipelines |= waiting;
        // A client that waits for answers has taken all there is of them when it asks again.
        let sure = at.client_acked >= offset
            && at.server_high > self.server_high_at_client
            && at.server_acked >= at.server_high;
        let joined_late = self.taint == Some(Doubt::CaptureStartedLate);
        if sure && !self.pipelines && !(joined_late && self.exchanges == 0) {
            self.taint = None;
        }
        let (id, client, server) = self.ends;
        let mut open = Box::new(Open::new(id, client, server, offset, mark));
        open.exchange.pipelined = waiting;
        open.taint = self.taint;
        open.server_at_start = at.server_high;
        open.head_cut = self.perhaps_tunnel;
        open.previous_end = match self.queue.back() {
            Some(before) => before.exchange.events.response_end.map(|end| end.time),
            None => self.last_end,
        };
        if matches!(self.server, Server::Lost) {
            open.response_unreadable = self.server_lost;
            open.response_from = Some(at.server_next);
        }
        self.queue.push_back(open);
        self.untouched = false;
        self.client = Client::Head(Partial {
            from: offset,
            start: mark,
            ..Partial::default()
        });
    }

    /// Before a new request: if the server's stream is lost but the client has taken all of it, the
    /// answer is looked for from here.
    fn find_server(&mut self, offset: u64, at: &Progress) {
        if !matches!(self.server, Server::Lost) {
            return;
        }
        let taken = at.server_acked >= at.server_next;
        let progressed = at.server_high > self.server_high_at_client;
        if !(self.untouched || taken && progressed) {
            return;
        }
        let sure = at.client_acked >= offset && progressed;
        if !sure && !self.untouched {
            self.taint = self.taint.or(self.server_lost);
        }
        self.end_stretch(at);
    }

    fn request_head(&mut self, head: RequestHead, upto: u64, mark: Mark) {
        let framing = head.framing;
        let Some(open) = self.queue.back_mut() else {
            return;
        };
        open.read_head(head);
        open.head_cut = self.perhaps_tunnel;
        let method = open.exchange.method.as_deref().unwrap_or_default();
        if open.taint == Some(Doubt::CaptureStartedLate)
            && self.exchanges == 0
            && !detect::is_usual_method(method)
        {
            // The capture may have begun inside the method.
            open.head_cut = open.taint;
        }
        if let Framing::Length(length) = framing {
            open.request_announced = Some(upto.saturating_add(length));
        }
        let tunnel = open.kind == Kind::Connect;
        self.exchanges += 1;
        self.protocol = Protocol::Http1;
        let body = Body::new(framing);
        if tunnel || body.is_done() {
            self.end_request(upto, Some(mark));
            self.client = if tunnel {
                Client::Tunnel
            } else {
                Client::Between
            };
        } else {
            self.client = Client::Body(body);
        }
    }

    fn end_request(&mut self, upto: u64, mark: Option<Mark>) {
        if let Some(open) = self.queue.back_mut() {
            open.end_request(upto, mark);
        }
    }

    /// What looked like a request cannot be read as one. If its first line is a request line it is one all the same, which
    /// no server will like.
    fn refuse_request(&mut self, rest: &[u8], at: &Progress) {
        if let Client::Head(partial) = &mut self.client
            && partial.bytes.is_empty()
        {
            partial.bytes = rest[..rest.len().min(LONGEST_HEAD)].to_vec();
        }
        self.break_request(Doubt::SequenceHole);
        if let Some(open) = self.queue.back_mut()
            && open.request_unreadable.is_some()
        {
            // Nothing of its first line is missing.
            open.head_cut = self.perhaps_tunnel;
        }
        self.lose_client(None, at);
    }

    /// The end of the request being sent cannot be told any more.
    fn break_request(&mut self, why: Doubt) {
        let partial = match &mut self.client {
            Client::Head(partial) => Some(std::mem::take(partial)),
            _ => None,
        };
        let Some(open) = self.queue.back_mut() else {
            return;
        };
        if let Some(partial) = partial
            && !open.confirmed
        {
            open.head_cut = Some(why);
            if !detect::begins_request_on(&partial.bytes, self.forced) {
                self.queue.pop_back();
                return;
            }
            open.read_partial_head(&partial.bytes);
            self.exchanges += 1;
            self.protocol = Protocol::Http1;
        }
        open.request_unreadable = Some(why);
    }

    fn client_gap(
        &mut self,
        from: u64,
        upto: u64,
        why: Doubt,
        cut_in: Option<Mark>,
        at: &Progress,
    ) {
        match &mut self.client {
            Client::Tunnel | Client::Foreign => {}
            Client::Lost => self.hidden_gap(from, upto, cut_in, at),
            Client::Between => {
                self.suppose_pipelining();
                self.lose_client(Some(why), at);
                self.hidden_gap(from, upto, cut_in, at);
            }
            Client::Head(_) => {
                self.break_request(why);
                self.lose_client(Some(why), at);
                if let (Some(open), Some(mark)) = (self.queue.back_mut(), cut_in)
                    && open.request_unreadable.is_some()
                {
                    open.last_client = Some((mark, upto));
                }
                self.hidden_bytes += upto - from;
            }
            Client::Body(body) => match body.step(upto - from) {
                Stepped::Over => {}
                Stepped::Done(taken) => {
                    self.client = Client::Between;
                    self.end_request(from + taken, cut_in);
                    if from + taken < upto {
                        self.client_gap(from + taken, upto, why, cut_in, at);
                    }
                }
                Stepped::Lost => {
                    self.break_request(why);
                    self.lose_client(Some(why), at);
                    if let (Some(open), Some(mark)) = (self.queue.back_mut(), cut_in) {
                        open.last_client = Some((mark, upto));
                    }
                }
            },
        }
        self.server_high_at_client = at.server_high;
    }

    /// Bytes were lost although an answer was still due: the client may not wait for answers.
    fn suppose_pipelining(&mut self) {
        self.pipelines |= self.queue.len() > self.answered;
    }

    fn lose_client(&mut self, why: Option<Doubt>, at: &Progress) {
        self.client = Client::Lost;
        self.taint = why.or(self.taint);
        self.after_hole = self.after_hole.or(why);
        self.server_high_at_client = at.server_high;
    }

    /// Client bytes that cannot be read.
    fn hide(&mut self, bytes: &[u8], from: u64, mark: Mark, segment_start: bool, at: &Progress) {
        if segment_start && self.is_fresh() {
            match detect::client_opening(bytes, false) {
                Opening::Tls => return self.foreign(Protocol::Tls),
                Opening::Http2 => return self.foreign(Protocol::Http2),
                _ => {}
            }
        }
        self.untouched = false;
        self.hidden_bytes += bytes.len() as u64;
        let upto = from + bytes.len() as u64;
        self.extend_unreadable_request(mark, upto);
        self.server_high_at_client = at.server_high;
    }

    fn hidden_gap(&mut self, from: u64, upto: u64, cut_in: Option<Mark>, at: &Progress) {
        self.hidden_bytes += upto - from;
        if let Some(mark) = cut_in {
            self.extend_unreadable_request(mark, upto);
        }
        self.server_high_at_client = at.server_high;
    }

    /// A request that cannot be read to its end goes on until it is answered.
    fn extend_unreadable_request(&mut self, mark: Mark, upto: u64) {
        if let Some(open) = self.queue.back_mut()
            && open.request_unreadable.is_some()
            && open.request_upto.is_none()
        {
            open.last_client = Some((mark, upto));
        }
    }

    /// Whether a segment that begins with a request line at `offset` surely begins a message: the server has
    /// acknowledged everything before it, and has sent something since.
    fn is_boundary(&self, offset: u64, at: &Progress) -> bool {
        let being_answered = match &self.server {
            Server::Lost => false,
            Server::Garbage => return false,
            // Nothing can follow an answer that ends with the connection: what looks like one opened a tunnel.
            Server::Body(body) if body.is_until_close() => true,
            _ => self.queue.len() > self.answered,
        };
        let acknowledged = at.client_acked >= offset && at.server_high > self.server_high_at_client;
        self.untouched || acknowledged && !being_answered
    }

    /// Begins anew at a boundary of the client's.
    fn resume(&mut self, offset: u64, mark: Mark, at: &Progress) {
        self.end_stretch(at);
        self.begin_request(offset, mark, at);
    }

    /// Everything open ends here; the next answer is looked for after the server's last byte.
    fn end_stretch(&mut self, at: &Progress) {
        let why = self.server_lost;
        for mut open in std::mem::take(&mut self.queue) {
            if !open.confirmed {
                continue;
            }
            open.end_unreadable_request(&self.server_acks);
            if !open.is_answered() {
                if open.wants_upgrade {
                    self.perhaps_tunnel = Some(Doubt::SequenceHole);
                }
                // Whatever answered it lies before the boundary, unread.
                let why = open.response_unreadable.or(why).or(open.request_unreadable);
                open.response_unreadable = why.or(Some(Doubt::SequenceHole));
            }
            end_unreadable_response(&mut open, &self.client_acks);
            if let Some(end) = open.exchange.events.response_end {
                self.last_end = Some(end.time);
                self.last_response_end = Some(end.time);
            }
            self.ended.push_back(open);
        }
        self.answered = 0;
        self.server = Server::Between;
        self.server_from = at.server_high;
        self.server_resumed = self.server_lost.or(self.taint);
        self.server_lost = None;
        self.orphan = false;
    }

    fn foreign(&mut self, protocol: Protocol) {
        if self.protocol != Protocol::Http1 {
            self.protocol = protocol;
        }
        self.client = Client::Foreign;
        self.server = Server::Foreign;
    }

    // The server's stream.

    fn server_bytes(&mut self, run: Run<'_>, at: &Progress) {
        let mut used = self
            .server_from
            .saturating_sub(run.from)
            .min(run.bytes.len() as u64) as usize;
        let trimmed = used > 0;
        if used < run.bytes.len() {
            self.answer_begins(run.from + used as u64);
        }
        while used < run.bytes.len() {
            let rest = &run.bytes[used..];
            let offset = run.from + used as u64;
            match &mut self.server {
                Server::Between => {
                    if self.server_between(rest, offset, run.mark) {
                        break;
                    }
                }
                Server::Head(partial) => {
                    let (parsed, taken) =
                        partial.feed(rest, head::response, &mut self.response_again);
                    match parsed {
                        Parsed::Partial => used += taken,
                        Parsed::Invalid => self.not_http(run.mark, offset),
                        Parsed::Whole(head, _) => {
                            used += taken;
                            let start = (partial.start, partial.from);
                            self.response_head(head, start, (run.mark, run.from + used as u64), at);
                        }
                    }
                }
                Server::Body(body) => match body.feed(rest) {
                    Fed::More => {
                        used = run.bytes.len();
                        self.server_seen(run.mark, run.from + used as u64);
                    }
                    Fed::Done(taken) => {
                        used += taken;
                        self.end_response(run.from + used as u64, Some(run.mark), at);
                    }
                    Fed::Broken => self.not_http(run.mark, offset),
                },
                Server::Tunnel | Server::Foreign | Server::Garbage => break,
                Server::Lost => {
                    if used == 0
                        && run.segment_start
                        && !trimmed
                        && self.is_fresh()
                        && detect::is_tls_record(rest)
                    {
                        self.foreign(Protocol::Tls);
                        break;
                    }
                    self.lost_server_bytes(rest, offset, run.mark);
                    break;
                }
            }
        }
    }

    /// The server speaks: a request that cannot be read to its end has ended by now, and one whose head is not
    /// whole yet is one, if it is answered.
    fn answer_begins(&mut self, offset: u64) {
        if let Some(open) = self.queue.get_mut(self.answered) {
            open.end_unreadable_request(&self.server_acks);
            open.response_from.get_or_insert(offset);
            open.answer_from.get_or_insert(offset);
        }
    }

    /// Looks at server bytes at a message boundary. True if they are to be passed over.
    fn server_between(&mut self, rest: &[u8], offset: u64, mark: Mark) -> bool {
        self.orphan = self.queue.len() <= self.answered;
        match detect::begins_response(rest) {
            Some(false) if self.orphan => {
                // A greeting, or more than was announced: no answer to anything.
                if self.is_fresh() && detect::is_tls_record(rest) {
                    self.foreign(Protocol::Tls);
                }
                return true;
            }
            Some(false) => self.not_http(mark, offset),
            Some(true) | None => {
                self.server = Server::Head(Partial {
                    from: offset,
                    start: mark,
                    ..Partial::default()
                });
            }
        }
        false
    }

    fn response_head(
        &mut self,
        head: ResponseHead,
        (start, from): (Mark, u64),
        (mark, upto): (Mark, u64),
        at: &Progress,
    ) {
        self.confirm_partial_request();
        self.server_resumed = None;
        let interim = (100..200).contains(&head.status) && head.status != 101;
        self.orphan = self.queue.len() <= self.answered;
        if interim {
            if let Some(open) = self.queue.get_mut(self.answered) {
                open.interim(start, head.status);
                open.response_from = None;
            }
            self.server = Server::Between;
            return;
        }
        let Some(open) = self.queue.get_mut(self.answered) else {
            self.orphan_responses += 1;
            self.protocol = Protocol::Http1;
            if head.status == 101 {
                self.client = Client::Tunnel;
                self.server = Server::Tunnel;
                return;
            }
            let body = Body::new(head.framing);
            self.server = if body.is_done() {
                Server::Between
            } else {
                Server::Body(body)
            };
            return;
        };
        if at.client_acked <= open.request_from {
            // A server that has not so much as acknowledged a request answers another one, if there may be one.
            open.taint = open.taint.or(self.after_hole);
        }
        open.exchange.status = Some(head.status);
        open.exchange.events.response_start = Some(start);
        open.response_from = Some(from);
        open.response_seen_from = Some(from);
        let tunnel =
            head.status == 101 || open.kind == Kind::Connect && (200..300).contains(&head.status);
        let framing = if tunnel || open.kind == Kind::Head {
            Framing::None
        } else {
            head.framing
        };
        open.exchange.response_shape = match framing {
            Framing::None | Framing::Length(_) => ResponseShape::Length,
            Framing::Chunked => ResponseShape::Chunked,
            Framing::UntilClose => ResponseShape::UntilClose,
        };
        open.response_announced = match framing {
            Framing::None => Some(upto),
            Framing::Length(length) => Some(upto.saturating_add(length)),
            Framing::Chunked | Framing::UntilClose => None,
        };
        open.last_server = Some((mark, upto));
        open.upgraded = tunnel;
        let refused = open.kind == Kind::Connect && !tunnel;
        let body = Body::new(framing);
        let done = body.is_done();
        self.server = Server::Body(body);
        if done {
            self.end_response(upto, Some(mark), at);
        }
        if tunnel {
            self.client = Client::Tunnel;
            self.server = Server::Tunnel;
        } else if refused {
            self.client = Client::Between;
        }
    }

    /// An answer came before the request's head was whole.
    fn confirm_partial_request(&mut self) {
        let Some(open) = self.queue.get_mut(self.answered) else {
            return;
        };
        if open.confirmed {
            return;
        }
        if let Client::Head(partial) = &self.client {
            open.read_partial_head(&partial.bytes);
            if open.exchange.method.is_none() {
                // More of the head may have been sent than was captured, and the method decides how to read the answer.
                open.head_cut = Some(Doubt::SequenceHole);
            }
            self.exchanges += 1;
            self.protocol = Protocol::Http1;
        }
    }

    fn server_seen(&mut self, mark: Mark, upto: u64) {
        if self.orphan {
            return;
        }
        if let Some(open) = self.queue.get_mut(self.answered) {
            open.last_server = Some((mark, upto));
        }
    }

    fn end_response(&mut self, upto: u64, mark: Option<Mark>, at: &Progress) {
        self.server = Server::Between;
        if std::mem::take(&mut self.orphan) {
            return;
        }
        if let Some(open) = self.queue.get_mut(self.answered) {
            open.end_response(upto, mark, at.order);
            self.count_answered();
        }
    }

    fn count_answered(&mut self) {
        if let Some(open) = self.queue.get(self.answered) {
            let end = open.exchange.events.response_end;
            self.last_end = end.map(|end| end.time);
            self.last_response_end = self.last_end.or(self.last_response_end);
            self.answered += 1;
        }
        if let Some(next) = self.queue.get_mut(self.answered) {
            next.previous_end = self.last_end;
        }
    }

    /// Server bytes that are no HTTP response, where one was due.
    fn not_http(&mut self, mark: Mark, offset: u64) {
        if std::mem::take(&mut self.orphan) {
            // An answer to a request that nobody saw, such as HEAD, was taken for longer than it is.
            self.server = Server::Lost;
            self.server_lost = self.taint.or(Some(Doubt::SequenceHole));
            return;
        }
        self.server = Server::Garbage;
        if let Client::Head(partial) = &self.client
            && self
                .queue
                .get(self.answered)
                .is_some_and(|open| !open.confirmed)
            && !detect::begins_request_on(&partial.bytes, self.forced)
        {
            // Neither side speaks HTTP.
            self.queue.pop_back();
            self.client = Client::Lost;
            return;
        }
        self.confirm_partial_request();
        if let Some(open) = self.queue.get_mut(self.answered) {
            open.taint = open.taint.or(self.server_resumed);
            if open.exchange.status.is_none() {
                open.exchange.events.response_start.get_or_insert(mark);
                open.response_seen_from.get_or_insert(offset);
            }
            open.response_from.get_or_insert(offset);
            open.exchange.response_shape = ResponseShape::NotHttp;
            open.last_server = Some((mark, offset));
        }
        for open in self.queue.iter_mut().skip(self.answered + 1) {
            // Their answers, if there are any, lie somewhere in there.
            open.response_unreadable = open.taint.or(Some(Doubt::SequenceHole));
            open.response_from.get_or_insert(offset);
        }
    }

    fn server_gap(
        &mut self,
        from: u64,
        upto: u64,
        why: Doubt,
        cut_in: Option<Mark>,
        at: &Progress,
    ) {
        if upto <= self.server_from {
            return;
        }
        let from = from.max(self.server_from);
        self.answer_begins(from);
        match &mut self.server {
            Server::Tunnel | Server::Foreign | Server::Garbage => {}
            Server::Lost => self.lost_server_gap(upto, cut_in),
            Server::Between => self.lose_server(why, None, (upto, cut_in)),
            Server::Head(partial) => {
                let partial = std::mem::take(partial);
                self.lose_server(why, Some(partial), (upto, cut_in));
            }
            Server::Body(body) => match body.step(upto - from) {
                Stepped::Over => {
                    if let Some(mark) = cut_in {
                        self.server_seen(mark, upto);
                    }
                }
                Stepped::Done(taken) => {
                    self.end_response(from + taken, cut_in, at);
                    if from + taken < upto {
                        self.server_gap(from + taken, upto, why, cut_in, at);
                    }
                }
                Stepped::Lost => self.lose_server(why, None, (upto, cut_in)),
            },
        }
    }

    fn lose_server(
        &mut self,
        why: Doubt,
        partial: Option<Partial>,
        (upto, cut_in): (u64, Option<Mark>),
    ) {
        self.server = Server::Lost;
        self.server_lost = Some(why);
        if let Some(partial) = partial {
            self.begin_partial_response(&partial, Some(why));
        }
        let orphan = std::mem::take(&mut self.orphan);
        for (index, open) in self.queue.iter_mut().enumerate().skip(self.answered) {
            // An orphan's rest was being read: what is open now was not being answered yet.
            open.response_unreadable.get_or_insert(why);
            open.response_from.get_or_insert(upto);
            if index == self.answered && !orphan && open.response_seen_from.is_some() {
                open.response_from = open.response_seen_from;
            }
        }
        self.lost_server_gap(upto, cut_in);
    }

    /// A response head that will not be read further: its status may be there all the same.
    fn begin_partial_response(&mut self, partial: &Partial, why: Option<Doubt>) {
        self.confirm_partial_request();
        if self.orphan {
            self.orphan_responses +=
                u64::from(detect::begins_response(&partial.bytes) == Some(true));
            return;
        }
        let Some(open) = self.queue.get_mut(self.answered) else {
            return;
        };
        let status = detect::partial_status(&partial.bytes);
        let interim = status.is_some_and(|status| (100..200).contains(&status));
        if interim && why.is_none() {
            open.response_from = None;
            return;
        }
        open.exchange.status = status.filter(|_| !interim);
        open.exchange.events.response_start = Some(partial.start);
        open.response_from = Some(partial.from);
        open.response_seen_from = Some(partial.from);
        open.last_server = Some((partial.start, partial.from + partial.bytes.len() as u64));
    }

    fn lost_server_bytes(&mut self, bytes: &[u8], from: u64, mark: Mark) {
        let upto = from + bytes.len() as u64;
        if self.queue.len() <= self.answered {
            self.orphan_responses += u64::from(detect::begins_response(bytes) == Some(true));
        }
        if let Some(open) = self.queue.get_mut(self.answered) {
            open.last_server = Some((mark, upto));
        }
    }

    fn lost_server_gap(&mut self, upto: u64, cut_in: Option<Mark>) {
        if let Some(open) = self.queue.get_mut(self.answered) {
            open.last_server = cut_in.map(|mark| (mark, upto));
        }
    }
}

/// A response that cannot be read to its end ends at the last server byte seen before the boundary.
fn end_unreadable_response(open: &mut Open, acks: &Acks) {
    if open.response_upto.is_none()
        && open.response_unreadable.is_some()
        && let Some((mark, upto)) = open.last_server
        && open.response_seen_from.is_some()
    {
        let events = &mut open.exchange.events;
        events.response_end = Some(mark);
        events.response_acked = events.response_acked.or(acks.covering(upto, mark));
    }
}
