//! From the bytes of the two streams of a connection to its exchanges.
//!
//! Reads requests and responses, pairs them first in, first out, and knows when pairing must stop: at a hole
//! that cannot be stepped over nothing is paired until a boundary is sure again. Times, sequence numbers
//! and closes are somebody else's ([`super::connection`]); the verdict is [`super::judge`]'s.

mod client;
mod server;

use super::model::{AckWith, Doubt, Finding, FindingKind, Protocol, ResponseShape, Side};
use super::open::{Acks, Open};
use super::partial::{Again, Partial};
use crate::http::body::Body;
use crate::http::detect::{self};
use crate::http::head::{RequestHead, ResponseHead};
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
    /// Whether the request being read is the first after a stretch that could not be read.
    just_resumed: bool,
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
            just_resumed: false,
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
