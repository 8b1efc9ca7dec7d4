//! The server's stream: responses, and which request each answers.

use super::super::model::{Doubt, Protocol, ResponseShape};
use super::super::open::Kind;
use super::super::partial::Partial;
use super::{Client, Pairing, Progress, Run, Server};
use crate::http::body::{Body, Fed, Framing, Stepped};
use crate::http::detect::{self};
use crate::http::head::{self, Parsed, ResponseHead};
use crate::packet::Mark;

impl Pairing {
    pub(super) fn server_bytes(&mut self, run: Run<'_>, at: &Progress) {
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

    pub(super) fn end_response(&mut self, upto: u64, mark: Option<Mark>, at: &Progress) {
        self.server = Server::Between;
        if std::mem::take(&mut self.orphan) {
            return;
        }
        if let Some(open) = self.queue.get_mut(self.answered) {
            open.end_response(upto, mark, at.order);
            self.count_answered();
        }
    }

    pub(super) fn count_answered(&mut self) {
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

    pub(super) fn server_gap(
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
    pub(super) fn begin_partial_response(&mut self, partial: &Partial, why: Option<Doubt>) {
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
