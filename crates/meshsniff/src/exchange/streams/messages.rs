//! Heads and bodies on the streams.

use super::{MAX_OPEN, Streams, acked_by};
use crate::exchange::feed::Feed;
use crate::exchange::model::{Doubt, Finding, FindingKind, ResponseShape, Side};
use crate::exchange::pending::{Confidence, MethodKind, PendingExchange};
use crate::exchange::said::Keeping;
use crate::exchange::stream::{StreamClose, index};
use crate::exchange::tunnel::Tunnel;
use crate::packet::Mark;
use crate::protocol::http2::frame::ErrorCode;
use crate::protocol::http2::head::Head;
use crate::protocol::http2::reader::{Data, Headers};
use crate::tcp::{Offset, Progress};
use crate::time::Span;
use std::io::Write;

/// A stream that begins this soon after another ended, when no more were permitted, waited for that.
const AT_ONCE: Span = Span::from_millis(1);

impl Streams {
    /// A header block that ends before `upto`; its last byte in the packet `mark`, if that was
    /// seen.
    pub(super) fn headers(
        &mut self,
        side: Side,
        headers: Headers,
        upto: Offset,
        mark: Option<Mark>,
        at: &Progress,
    ) {
        if headers.promised.is_some() {
            return;
        }
        match side {
            Side::Client => self.client_headers(headers, upto, mark, at),
            Side::Server => self.server_headers(headers, upto, mark, at),
        }
    }

    fn client_headers(
        &mut self,
        headers: Headers,
        upto: Offset,
        mark: Option<Mark>,
        at: &Progress,
    ) {
        let stream = headers.stream;
        let end_stream = headers.end_stream;
        let (from, _) = headers.start;
        let known = self.open.contains_key(&stream);
        // Trailers of a request that is settled, or what no client may send.
        if !known && (stream <= self.highest || stream.is_multiple_of(2)) {
            return;
        }
        // Of a request that was not seen, or, if the roles are guessed wrong, of an answer.
        let head = &headers.head;
        let is_no_request = !head.is_request && (!head.is_cut || head.is_response);
        if !known && is_no_request && self.client.unsure.is_some() {
            return;
        }
        if !known {
            self.begin(headers, at);
        }
        if let Some(open) = self.open.get_mut(&stream) {
            open.came(Side::Client, from, (upto, mark), at.mark);
        }
        if end_stream {
            self.end_request(stream, upto, mark);
        }
    }

    /// A request begins.
    fn begin(&mut self, headers: Headers, at: &Progress) {
        let Headers {
            stream,
            start: (from, start),
            head,
            ..
        } = headers;
        self.make_room();
        self.highest = stream;
        self.counts.exchanges += 1;
        self.newly_waiting = true;
        let mut confidence = Confidence::default();
        if head.method.is_none() && head.is_cut {
            // Perhaps the trailers of a request that began before, or a CONNECT.
            confidence.head = self.client.unsure.or(Some(Doubt::Unreadable));
        }
        if self.server.reader.is_lost() {
            confidence.response = self.server.lost;
        }
        let open = PendingExchange::new(self.connection, self.ends, from, start, confidence);
        let mut open = Box::new(open);
        open.begin_stream(stream);
        open.server_at_start = at.server_high.unwrap_or(Offset::ORIGIN);
        open.answer.possible = confidence.response.map(|_| at.server_next);
        open.previous_end = self.last_response_end.filter(|_| self.open.is_empty());
        if let Some(limit) = self.server.peer.max_concurrent
            && let Some(end) = self.latest_end
            && self.open.len() + 1 >= limit as usize
            && start.time - end.time <= AT_ONCE
            && start.order >= end.order
        {
            open.note(Finding {
                kind: FindingKind::StreamsExhausted,
                side: Side::Server,
                frames: vec![end, start],
                cost: Span::ZERO,
            });
        }
        if let Some(most) = self.messages {
            let mut said = Box::new([most; 2].map(Keeping::new));
            said[0].head(&request_text(&head));
            open.said = Some(said);
        }
        if head.fields.request_id.is_some() {
            self.newly_asked = Some(stream);
        }
        open.read_request(head);
        if let Some((_, code, _)) = self.server.peer.goaway
            && code != ErrorCode::NO_ERROR
        {
            open.exchange.connection_error = Some((Side::Server, code));
        }
        if let Some((last, code, mark)) = self.server.peer.goaway.filter(|goaway| stream > goaway.0)
        {
            debug_assert!(last < stream, "it is refused");
            let acked = acked_by(Side::Server, at);
            open.close_stream(StreamClose::refused_by_goaway(
                code,
                mark,
                Offset::ORIGIN,
                acked,
            ));
        }
        self.open.insert(stream, open);
    }

    /// There are more streams than any server permits: the oldest is handed out as it is.
    fn make_room(&mut self) {
        if self.open.len() >= MAX_OPEN
            && let Some((_, mut open)) = self.open.pop_first()
        {
            open.stream_mut().doubt.get_or_insert(Doubt::Unreadable);
            self.settled.push_back(open);
        }
    }

    fn server_headers(
        &mut self,
        headers: Headers,
        upto: Offset,
        mark: Option<Mark>,
        at: &Progress,
    ) {
        let Headers {
            stream,
            end_stream,
            start,
            head,
            ..
        } = headers;
        let unsure = self.server.unsure;
        let Some(open) = self.open.get_mut(&stream) else {
            // Of a stream that the client began while it was watched the request is known.
            let asked = stream <= self.highest && self.client.unsure.is_none();
            let is_final = head.is_response && head.status.is_none_or(|status| status >= 200);
            if !asked && is_final && !stream.is_multiple_of(2) {
                self.counts.orphan_responses += 1;
            }
            return;
        };
        let events = &open.exchange.events;
        let answered = events.response_start.is_some() || open.answer.seen.is_some();
        // A status that nobody knows, and another head behind it: it was an interim one.
        let was_interim = answered && !end_stream && open.exchange.status.is_none();
        if answered && !was_interim {
            open.read_status(head.grpc_status, head.grpc_message.as_deref());
            open.exchange.headers_cut |= head.is_cut;
        } else if head
            .status
            .is_some_and(|status| (100..200).contains(&status))
            && !end_stream
        {
            open.interim(start.1, head.status.unwrap_or_default());
            // Where frames are missing, the answer may have been among them.
            open.answer.possible = open.confidence.response.map(|_| start.0);
            return;
        } else {
            let connect = open.method == MethodKind::Connect;
            let tunnel = connect
                && head
                    .status
                    .is_some_and(|status| (200..300).contains(&status));
            if head.status.is_none() {
                let doubt = unsure.or(Some(Doubt::Unreadable));
                let stream = open.stream_mut();
                stream.doubt = stream.doubt.or(doubt);
            }
            open.read_response(head, start, end_stream);
            if tunnel {
                open.upgraded = true;
                if open.wants_websocket && !end_stream {
                    open.tunnel = Some(Box::new(Tunnel::new(start.1.time)));
                }
                open.came(Side::Server, start.0, (upto, mark), at.mark);
                // The request was its head, and what was sent behind that before the answer.
                if let Some((last, asked)) = open.request.last {
                    self.end_request(stream, asked, Some(last));
                }
                return self.end_response(stream, upto, mark, at);
            }
        }
        open.came(Side::Server, start.0, (upto, mark), at.mark);
        let state = open.stream_mut();
        if state.to_come == Some(0) {
            state
                .body_whole
                .get_or_insert((mark.unwrap_or(at.mark), upto));
        }
        if end_stream {
            self.end_response(stream, upto, mark, at);
        }
    }

    /// A part of a body, before `upto`.
    pub(super) fn data(
        &mut self,
        side: Side,
        data: Data<'_>,
        upto: Offset,
        mark: Option<Mark>,
        at: &Progress,
    ) {
        self.sent(side, &data, mark.unwrap_or(at.mark));
        let Some(open) = self.open.get_mut(&data.stream) else {
            return;
        };
        let seen = mark.unwrap_or(at.mark);
        if let Some(tunnel) = &mut open.tunnel {
            if data.missing > 0 {
                tunnel.missing(side, data.missing, seen);
            }
            tunnel.bytes(side, data.bytes, seen);
            if data.end_stream {
                tunnel.ends(side, seen);
            }
            // It may have been the last that was waited for.
            return self.settle(data.stream);
        }
        match side {
            Side::Client => {
                open.request_body(upto, seen);
            }
            Side::Server => {
                open.response.last = Some((seen, upto));
                open.answer.possible.get_or_insert(data.start.0);
                open.answer.any.get_or_insert(data.start.0);
                open.response_body(data.bytes);
            }
        }
        if let Some(kept) = open.kept(side) {
            if data.missing > 0 {
                kept.lose();
            }
            kept.body(data.bytes);
        }
        let stream = open.stream_mut();
        let came = data.bytes.len() as u64 + data.missing;
        stream.bytes[index(side)] += came;
        if let Some(to_come) = stream.to_come.filter(|_| side == Side::Server && came > 0) {
            stream.to_come = to_come.checked_sub(came);
            stream.body_whole = (stream.to_come == Some(0)).then_some((seen, upto));
        }
        if data.missing > 0 {
            open.body_missing(side, data.missing, seen);
        }
        open.body_bytes(side, data.bytes, seen);
        if data.end_stream {
            match side {
                Side::Client => self.end_request(data.stream, upto, mark),
                Side::Server => self.end_response(data.stream, upto, mark, at),
            }
        }
    }

    fn end_request(&mut self, stream: u32, upto: Offset, mark: Option<Mark>) {
        let now = self.now;
        let Some(open) = self.open.get_mut(&stream) else {
            return;
        };
        if open.request.upto.is_some() {
            return self.tunnel_ends(Side::Client, stream, mark.unwrap_or(now));
        }
        open.end_request(upto, mark);
        self.await_ack(Side::Client, stream, upto, mark.unwrap_or(now));
        self.settle(stream);
    }

    /// The client is done with the stream: an answer whose body it has taken whole was whole, whether
    /// or not the server has ended the stream.
    pub(super) fn end_whole_body(&mut self, stream: u32, at: &Progress) {
        let whole = self.open.get(&stream).and_then(|open| open.whole_body());
        if let Some((mark, upto)) = whole.filter(|&(_, upto)| at.server_acked >= Some(upto)) {
            self.end_response(stream, upto, Some(mark), at);
        }
    }

    /// `side` ended a stream, which may have become a WebSocket.
    fn tunnel_ends(&mut self, side: Side, stream: u32, mark: Mark) {
        if let Some(open) = self.open.get_mut(&stream)
            && let Some(tunnel) = &mut open.tunnel
        {
            tunnel.ends(side, mark);
            self.settle(stream);
        }
    }

    fn end_response(&mut self, stream: u32, upto: Offset, mark: Option<Mark>, at: &Progress) {
        let now = self.now;
        let Some(open) = self.open.get_mut(&stream) else {
            return;
        };
        if open.is_answered() {
            return self.tunnel_ends(Side::Server, stream, mark.unwrap_or(now));
        }
        open.end_response(upto, mark, at.mark.order);
        if let Some(mark) = mark {
            self.last_response_end = Some(mark.time);
            self.latest_end = Some(mark);
        }
        self.await_ack(Side::Server, stream, upto, mark.unwrap_or(now));
        self.settle(stream);
    }
}

impl PendingExchange {
    /// A head of `side`'s came, from `from` up to `upto`.
    fn came(&mut self, side: Side, from: Offset, (upto, mark): (Offset, Option<Mark>), now: Mark) {
        self.stream_mut().bytes[index(side)] += upto.since(from);
        let last = Some((mark.unwrap_or(now), upto));
        match side {
            Side::Client => self.request.last = last,
            Side::Server => self.response.last = last,
        }
    }

    /// Where the body of an answer was whole whose stream the server has not ended.
    pub(super) fn whole_body(&self) -> Option<(Mark, Offset)> {
        let stream = self.stream.as_ref().filter(|_| !self.is_answered())?;
        stream.body_whole.filter(|_| stream.close.is_none())
    }

    /// Takes over what the request's head says.
    fn read_request(&mut self, head: Head) {
        self.method = head.method.as_deref().into();
        self.wants_websocket = head.protocol.as_deref() == Some("websocket");
        self.expecting = head.expect.then_some(self.exchange.events.request_start);
        self.exchange.headers_cut = head.is_cut;
        self.exchange.method = head.method;
        // What a CONNECT asks for is named there (RFC 9113, 8.5).
        let target = head
            .authority
            .clone()
            .filter(|_| self.method == MethodKind::Connect);
        self.exchange.path = head.path.or(target);
        self.exchange.authority = head.authority;
        self.read_fields(head.fields);
        if let Some(wire) = head.wire {
            self.begin_call(wire, head.coded);
        }
    }

    /// Takes over what the head of the final response says, which begins at `start`.
    fn read_response(&mut self, head: Head, start: (Offset, Mark), end_stream: bool) {
        let (from, mark) = start;
        self.exchange.status = head.status;
        self.exchange.headers_cut |= head.is_cut;
        self.exchange.events.response_start = Some(mark);
        self.exchange.response_shape = ResponseShape::Stream;
        self.answer.any.get_or_insert(from);
        self.answer.possible = Some(from);
        self.answer.seen = Some(from);
        self.no_body = end_stream;
        // Of a call the status comes behind the body.
        self.stream_mut().to_come = head
            .length
            .filter(|_| self.call.is_none() && head.wire.is_none());
        let failed = head.status.is_some_and(|status| status >= 400);
        let refused = head.grpc_status.is_some_and(|status| status != 0);
        if failed || refused && end_stream {
            // A proxy that answers a call itself says in the message what it says to others in the
            // body.
            let text = head.grpc_message.as_deref().unwrap_or_default();
            self.maker = Some((Box::new(head.maker.clone()), text.as_bytes().to_vec()));
        }
        self.read_status(head.grpc_status, head.grpc_message.as_deref());
        if let Some(call) = self.call.as_mut().filter(|_| !head.is_cut) {
            call.answered(head.status, head.wire, head.coded);
        }
        if head.event_stream && !end_stream {
            self.feed = Some(Box::new(Feed::new(mark.time, None, head.coded)));
        }
        if let Some(kept) = self.kept(Side::Server) {
            kept.begin();
            kept.head(&response_text(&head));
        }
    }
}

/// A request's head as HTTP/1.1 would have it: what reads kept messages reads that.
fn request_text(head: &Head) -> Vec<u8> {
    let method = head.method.as_deref().unwrap_or("?");
    let path = head.path.as_deref().unwrap_or("?");
    let mut text = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
    if let Some(authority) = &head.authority {
        // A vector takes whatever is written.
        let _ = write!(text, "host: {authority}\r\n");
    }
    text.extend(head.spelt.iter().flatten());
    text.extend(b"\r\n");
    text
}

/// A response's head as HTTP/1.1 would have it.
fn response_text(head: &Head) -> Vec<u8> {
    let status = head.status.unwrap_or_default();
    let mut text = format!("HTTP/1.1 {status}\r\n").into_bytes();
    text.extend(head.spelt.iter().flatten());
    text.extend(b"\r\n");
    text
}
