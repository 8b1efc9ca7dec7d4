//! The client's stream: requests, and where pairing may begin anew.

use super::super::model::{Doubt, Protocol};
use super::super::open::{Kind, Open};
use super::super::partial::Partial;
use super::{Client, MOST_OPEN, Pairing, Progress, Run, Server, end_unreadable_response};
use crate::http::body::{Body, Fed, Framing, Stepped};
use crate::http::detect::{self, Opening};
use crate::http::head::{self, LONGEST_HEAD, Parsed, RequestHead};
use crate::packet::Mark;

impl Pairing {
    pub(super) fn client_bytes(&mut self, run: Run<'_>, at: &Progress) {
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
        let joined = open.taint == Some(Doubt::CaptureStartedLate) && self.exchanges == 0;
        let resumed = std::mem::take(&mut self.just_resumed);
        if (joined || resumed) && !detect::is_usual_method(method) {
            // What is missing may end inside the method.
            open.head_cut = open.taint.or(self.after_hole);
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

    pub(super) fn client_gap(
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
        self.just_resumed = true;
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

    pub(super) fn foreign(&mut self, protocol: Protocol) {
        if self.protocol != Protocol::Http1 {
            self.protocol = protocol;
        }
        self.client = Client::Foreign;
        self.server = Server::Foreign;
    }
}
