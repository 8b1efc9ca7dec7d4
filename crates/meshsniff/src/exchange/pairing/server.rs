//! The server's stream: responses, and which request each answers.

use super::{Early, Mode, Pairing, Successor};
use crate::exchange::feed::Feed;
use crate::exchange::model::{Doubt, Protocol, ResponseShape};
use crate::exchange::pending::MethodKind;
use crate::exchange::tunnel::Tunnel;
use crate::packet::Mark;
use crate::protocol::detect;
use crate::protocol::http1::body::{Framing, Stepped};
use crate::protocol::http1::head::{CallHead, Defect, ResponseHead};
use crate::protocol::http1::reader::{Event, Partial};
use crate::tcp::{Extent, Missing, Offset, Progress, Run, Side, StreamEvent};

impl Pairing {
    pub(super) fn server_bytes(&mut self, run: Run<'_>, at: &Progress) {
        let skipped = self.server.from.map_or(0, |from| from.since(run.from));
        let mut used = skipped.min(run.bytes.len() as u64) as usize;
        let trimmed = used > 0;
        if used < run.bytes.len() {
            self.answer_begins(run.from + used as u64);
        }
        while used < run.bytes.len() && self.successor.is_none() {
            let rest = &run.bytes[used..];
            let offset = run.from + used as u64;
            match self.server.mode {
                Mode::Messages if self.server.reader.is_between() => {
                    if self.server_between(rest, offset, run.mark, at) {
                        break;
                    }
                }
                Mode::Messages => {
                    let start = self.server.reader.head_start();
                    let (event, taken) = self.server.reader.read(rest, run.mark);
                    used += taken;
                    let upto = run.from + used as u64;
                    self.keep(Side::Server, &event, &rest[..taken]);
                    match event {
                        Event::HeadGoesOn => {}
                        Event::Head(head) => {
                            let start = start.unwrap_or((offset, run.mark));
                            self.response_head(head, start, upto, at);
                        }
                        Event::BodyGoesOn => {
                            self.server_seen(upto, self.server.reader.latest());
                            self.response_body(&rest[..taken]);
                        }
                        Event::End => {
                            self.response_body(&rest[..taken]);
                            let mark = self.server.reader.latest();
                            self.end_response(upto, Some(mark), at);
                        }
                        Event::NoHead => self.not_http(Defect::NoHttp, run.mark, offset),
                        Event::Broken => self.not_http(Defect::ChunkedBody, run.mark, offset),
                    }
                }
                Mode::Lost => {
                    let begins = used == 0 && run.segment_start && !trimmed;
                    if begins && self.is_fresh() && detect::is_tls_record(rest) {
                        self.begin_tls(Side::Server, rest, (offset, run.mark), at);
                    } else if begins
                        && self.is_fresh()
                        && detect::begins_frames(rest, Some(Side::Server))
                    {
                        return self.find_streams(Side::Server, rest, offset, run.mark, at);
                    } else {
                        self.lost_server_bytes(rest, offset, run.mark);
                    }
                    break;
                }
                Mode::Waiting | Mode::NotHttp | Mode::Over => break,
            }
        }
        if (self.streams.is_some() || self.is_tunnel()) && used < run.bytes.len() {
            // What stands behind the answer that agreed on HTTP/2, or on a tunnel.
            let rest = Run {
                from: run.from + used as u64,
                bytes: &run.bytes[used..],
                segment_start: false,
                ..run
            };
            self.tell_successor(Side::Server, StreamEvent::Bytes(rest, *at));
        }
    }

    /// The answer to the request that is due comes in HTTP/2, as it asked for: its 101 began in
    /// `start`.
    fn upgrade_to_streams(&mut self, start: Mark) {
        let Some(mut open) = self.queue.take_due() else {
            return;
        };
        open.interim(start, 101);
        self.begin_streams(true);
        if let Some(streams) = &mut self.streams {
            streams.adopt(open);
        }
    }

    /// The server speaks: a request that cannot be read to its end has ended by now, and one whose
    /// head is not whole yet is one, if it is answered.
    fn answer_begins(&mut self, offset: Offset) {
        self.queue.end_due_request();
        if let Some(open) = self.queue.due() {
            open.answer.possible.get_or_insert(offset);
            open.answer.any.get_or_insert(offset);
        }
    }

    /// Looks at server bytes at a message boundary. True if they are to be passed over.
    fn server_between(&mut self, rest: &[u8], offset: Offset, mark: Mark, at: &Progress) -> bool {
        self.server.orphan = !self.queue.is_answer_due();
        match detect::begins_response(rest) {
            Some(false) if self.server.orphan => {
                // A greeting, or more than was announced: no answer to anything.
                if self.is_fresh() && detect::is_tls_record(rest) {
                    self.begin_tls(Side::Server, rest, (offset, mark), at);
                } else if self.is_fresh() {
                    self.keep_early(rest, offset, mark);
                }
                return true;
            }
            Some(false) => {
                // A server that has answered in HTTP speaks it.
                let spoke =
                    self.queue.last_response_end().is_some() || self.counts.orphan_responses > 0;
                self.answered_with_tls |= !spoke && detect::is_tls_record(rest);
                self.not_http(Defect::NoHttp, mark, offset);
            }
            Some(true) | None => self.server.reader.begin(offset, mark),
        }
        false
    }

    fn response_head(
        &mut self,
        head: ResponseHead,
        (from, start): (Offset, Mark),
        upto: Offset,
        at: &Progress,
    ) {
        let around = self.around();
        let mark = self.server.reader.latest();
        self.confirm_partial_request();
        self.doubts.resumed = None;
        let switches = head.status == 101;
        self.server.orphan = !self.queue.is_answer_due();
        let Some(open) = self.queue.due() else {
            if (100..200).contains(&head.status) && !switches {
                self.server.interim = Some(upto);
                self.server.reader.body(Framing::None);
                return;
            }
            self.count_orphan(start, from);
            self.protocol = Protocol::Http1;
            if switches {
                self.hand_over(Successor::Tunnel);
            } else {
                self.server.reader.body(head.framing);
            }
            return;
        };
        if switches && open.wants_h2c {
            return self.upgrade_to_streams(start);
        }
        if (100..200).contains(&head.status) && !switches {
            open.interim(start, head.status);
            if let Some(kept) = open.kept(Side::Server) {
                kept.begin();
            }
            open.exchange.defect = open.exchange.defect.or(head.defect);
            self.server.reader.body(Framing::None);
            return;
        }
        if at.client_acked <= Some(open.request_from) {
            // A server that has not so much as acknowledged a request answers another one, if there
            // may be one.
            open.confidence.pairing = open.confidence.pairing.or(self.doubts.hole);
        }
        open.exchange.status = Some(head.status);
        open.exchange.defect = open.exchange.defect.or(head.defect);
        let said = head
            .call
            .as_deref()
            .and_then(|call| call.message.as_deref());
        // A proxy that answers a call itself says in the message what it says to others in the
        // body.
        let said = said.filter(|_| head.status < 400).unwrap_or_default();
        open.maker = head.maker.map(|maker| (maker, said.as_bytes().to_vec()));
        open.exchange.events.response_start = Some(start);
        open.answer.possible = Some(from);
        open.answer.seen = Some(from);
        let connect = open.method == MethodKind::Connect;
        let tunnel = switches || connect && (200..300).contains(&head.status);
        let framing = if tunnel || open.method == MethodKind::Head {
            Framing::None
        } else {
            head.framing
        };
        if let Some(call) = &mut open.call {
            let said = head.call.map_or_else(CallHead::default, |call| *call);
            call.answered(Some(head.status), said.wire, said.coded);
            call.begin_body(Side::Server, framing);
            open.read_status(said.status, said.message.as_deref());
        }
        open.exchange.response_shape = match framing {
            Framing::None | Framing::Length(_) => ResponseShape::Length,
            Framing::Chunked => ResponseShape::Chunked,
            Framing::UntilClose => ResponseShape::UntilClose,
        };
        open.response.announced = match framing {
            Framing::None => Some(upto),
            Framing::Length(length) => Some(upto.saturating_add(length).saturating_add(around)),
            Framing::Chunked | Framing::UntilClose => None,
        };
        open.response.last = Some((mark, upto));
        open.upgraded = tunnel;
        if switches && head.websocket {
            open.tunnel = Some(Box::new(Tunnel::new(mark.time)));
        }
        if head.event_stream && !tunnel {
            let feed = Feed::new(mark.time, Some(framing), head.coded);
            open.feed = Some(Box::new(feed));
        }
        let no_body = open.method != MethodKind::Head && framing == Framing::Length(0);
        open.no_body = no_body;
        if self.server.reader.body(framing) {
            self.end_response(upto, Some(mark), at);
        }
        if tunnel {
            self.hand_over(Successor::Tunnel);
        } else if connect {
            // Refused: the client goes on with requests.
            self.client.mode = Mode::Messages;
        }
    }

    /// An answer came before the request's head was whole.
    fn confirm_partial_request(&mut self) {
        if self.queue.due().is_none_or(|open| open.confirmed) {
            return;
        }
        let Some(partial) = self.client.reader.partial() else {
            return;
        };
        let begun = partial.bytes.clone();
        self.confirm_request(&begun);
        if let Some(open) = self.queue.due()
            && open.exchange.method.is_none()
        {
            // More of the head may have been sent than was captured, and the method decides how to
            // read the answer.
            open.confidence.head = Some(Doubt::SequenceHole);
        }
    }

    fn response_body(&mut self, bytes: &[u8]) {
        let latest = self.server.reader.latest();
        if !self.server.orphan
            && let Some(open) = self.queue.due()
        {
            open.response_body(bytes);
            open.body_bytes(Side::Server, bytes, latest);
        }
    }

    fn server_seen(&mut self, upto: Offset, mark: Mark) {
        if self.server.orphan {
            return;
        }
        if let Some(open) = self.queue.due() {
            open.response.last = Some((mark, upto));
        }
    }

    fn end_response(&mut self, upto: Offset, mark: Option<Mark>, at: &Progress) {
        if std::mem::take(&mut self.server.orphan) {
            return;
        }
        if let Some(open) = self.queue.due() {
            open.end_response(upto, mark, at.mark.order);
            // The method says whether there is a body: where it is in doubt, so is the end.
            self.doubts.resumed = self.doubts.resumed.or(open.confidence.head);
            self.queue.count_answered();
        }
    }

    /// Server bytes that are no HTTP response, where one was due.
    fn not_http(&mut self, defect: Defect, mark: Mark, offset: Offset) {
        if std::mem::take(&mut self.server.orphan) {
            // An answer to a request that nobody saw, such as HEAD, was taken for longer than it
            // is.
            self.set_server(Mode::Lost);
            let next = &mut self.doubts.next;
            next.response = next.pairing.or(Some(Doubt::SequenceHole));
            return;
        }
        self.set_server(Mode::NotHttp);
        let unconfirmed = self.queue.due().is_some_and(|open| !open.confirmed);
        if let Some(partial) = self.client.reader.partial().filter(|_| unconfirmed)
            && !detect::begins_request_on(&partial.bytes, self.wanted.forced)
        {
            // Neither side speaks HTTP.
            self.queue.withdraw();
            self.set_client(Mode::Lost);
            return;
        }
        self.confirm_partial_request();
        let mut due = self.queue.all_due();
        if let Some(open) = due.next() {
            open.confidence.pairing = open.confidence.pairing.or(self.doubts.resumed);
            if open.exchange.status.is_none() {
                open.exchange.events.response_start.get_or_insert(mark);
                open.answer.seen.get_or_insert(offset);
            }
            open.answer.possible.get_or_insert(offset);
            open.exchange.response_shape = ResponseShape::NotHttp;
            open.exchange.defect.get_or_insert(defect);
            open.response.last = Some((mark, offset));
        }
        for open in due {
            // Their answers, if there are any, lie somewhere in there.
            open.confidence.response = open.confidence.pairing.or(Some(Doubt::Unreadable));
            open.answer.possible.get_or_insert(offset);
        }
    }

    pub(super) fn server_missing(&mut self, missing: Missing, at: &Progress) {
        if self.is_fresh() {
            self.early = Early::Other;
        }
        let Missing {
            extent: Extent { from, upto },
            why,
            cut_in,
            measured,
        } = missing;
        if Some(upto) <= self.server.from {
            return;
        }
        let from = self.server.from.map_or(from, |least| from.max(least));
        self.answer_begins(from);
        match self.server.mode {
            Mode::Waiting | Mode::NotHttp | Mode::Over => {}
            Mode::Lost => self.lost_server_gap(upto, cut_in),
            Mode::Messages if !self.server.reader.is_in_body() => {
                self.lose_server(why, upto, cut_in);
            }
            Mode::Messages => match self.step(
                Side::Server,
                (upto - from, measured),
                cut_in.unwrap_or(at.mark),
            ) {
                Stepped::Over => {
                    if let Some(mark) = cut_in {
                        self.server_seen(upto, mark);
                    }
                }
                Stepped::Done(taken) => {
                    let from = from + taken;
                    self.end_response(from, cut_in, at);
                    if from < upto {
                        let extent = Extent { from, upto };
                        self.server_missing(Missing { extent, ..missing }, at);
                    }
                }
                Stepped::Lost => self.lose_server(why, upto, cut_in),
            },
        }
    }

    /// What the server sends cannot be read any more, from bytes before `upto` on.
    fn lose_server(&mut self, why: Doubt, upto: Offset, cut_in: Option<Mark>) {
        let start = self.server.reader.head_start();
        let partial = self.server.reader.leave();
        self.server.mode = Mode::Lost;
        self.doubts.next.response = Some(why);
        if let (Some(partial), Some((from, mark))) = (partial, start) {
            self.begin_partial_response(&partial, (mark, from), Some(why));
        }
        let orphan = std::mem::take(&mut self.server.orphan);
        for (index, open) in self.queue.all_due().enumerate() {
            // An orphan's rest was being read: what is open now was not being answered yet.
            open.confidence.response.get_or_insert(why);
            open.answer.possible.get_or_insert(upto);
            if index == 0 && !orphan && open.answer.seen.is_some() {
                open.answer.possible = open.answer.seen;
            }
        }
        self.lost_server_gap(upto, cut_in);
    }

    /// A response head that will not be read further: its status may be there all the same.
    pub(super) fn begin_partial_response(
        &mut self,
        partial: &Partial,
        (start, from): (Mark, Offset),
        why: Option<Doubt>,
    ) {
        self.confirm_partial_request();
        if self.server.orphan {
            if detect::begins_response(&partial.bytes) == Some(true) {
                self.count_orphan(start, from);
            }
            return;
        }
        let Some(open) = self.queue.due() else {
            return;
        };
        let status = detect::partial_status(&partial.bytes);
        let interim = status.is_some_and(|status| (100..200).contains(&status));
        if interim && why.is_none() {
            open.answer.possible = None;
            return;
        }
        open.exchange.status = status.filter(|_| !interim);
        open.exchange.events.response_start = Some(start);
        open.answer.possible = Some(from);
        open.answer.seen = Some(from);
        open.response.last = Some((start, from + partial.bytes.len() as u64));
    }

    fn lost_server_bytes(&mut self, bytes: &[u8], from: Offset, mark: Mark) {
        let upto = from + bytes.len() as u64;
        let begins = detect::begins_response(bytes);
        match self.queue.due() {
            Some(open) => {
                open.response.last = Some((mark, upto));
                // What the server had not said when a request was sent, and begins no answer,
                // belongs to one that the client did not wait for. Of what it had said the last
                // number may be a FIN's.
                let next = open.server_at_start..=open.server_at_start + 1;
                self.client.pipelines |= next.contains(&from) && begins == Some(false);
            }
            None if begins == Some(true) => self.count_orphan(mark, from),
            None => {}
        }
    }

    /// An answer, which began in `mark` at `from`, to no request that is known.
    const fn count_orphan(&mut self, mark: Mark, from: Offset) {
        self.counts.orphan_responses += 1;
        self.server.last_orphan = Some((mark, from));
    }

    fn lost_server_gap(&mut self, upto: Offset, cut_in: Option<Mark>) {
        if let Some(open) = self.queue.due() {
            open.response.last = cut_in.map(|mark| (mark, upto));
        }
    }
}
