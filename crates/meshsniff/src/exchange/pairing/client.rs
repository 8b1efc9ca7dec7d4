//! The client's stream: requests, and where pairing may begin anew.

use super::{Mode, Pairing, Proxied, Stretch};
use crate::exchange::model::{Doubt, Finding, FindingKind};
use crate::exchange::pending::{Confidence, MethodKind, PendingExchange};
use crate::exchange::said::Keeping;
use crate::packet::Mark;
use crate::protocol::detect::{self, Opening};
use crate::protocol::http1::body::{Framing, Stepped};
use crate::protocol::http1::head::{MAX_HEAD, RequestHead};
use crate::protocol::http1::reader::{Event, Partial};
use crate::protocol::http2::frame::PREFACE;
use crate::protocol::proxy_header;
use crate::tcp::{Extent, Missing, Offset, Progress, Run, Side, StreamEvent};
use crate::time::Span;
use std::borrow::Cow;

/// The shortest request: `GET / HTTP/1.0` and a blank line.
const SHORTEST_REQUEST: u64 = 18;
/// A client that has sent so many requests in turn, each behind a whole answer, waits for answers.
const IN_TURN: u8 = 8;

impl Pairing {
    pub(super) fn client_bytes(&mut self, run: Run<'_>, at: &Progress) {
        let mut used = 0;
        while used < run.bytes.len() && self.successor.is_none() {
            let rest = &run.bytes[used..];
            let offset = run.from + used as u64;
            if let Some(begun) = self.preface_begun(rest) {
                return self.begin_with_preface(
                    &begun,
                    Run {
                        from: offset,
                        bytes: rest,
                        ..run
                    },
                    at,
                );
            }
            match self.client.mode {
                Mode::Messages if self.client.reader.is_between() => {
                    used += self
                        .client_between(rest, offset, run.mark, at)
                        .unwrap_or_default();
                }
                Mode::Messages => {
                    let (event, taken) = self.client.reader.read(rest, run.mark);
                    used += taken;
                    let upto = run.from + used as u64;
                    self.keep(Side::Client, &event, &rest[..taken]);
                    match event {
                        Event::HeadGoesOn => self.request_goes_on(upto, None),
                        Event::BodyGoesOn => self.request_goes_on(upto, Some(&rest[..taken])),
                        Event::Head(head) => self.request_head(head, upto),
                        Event::NoHead => {
                            self.refuse_request(rest, at);
                            self.hide(rest, offset, run.mark, false, at);
                            break;
                        }
                        Event::End => {
                            self.request_goes_on(upto, Some(&rest[..taken]));
                            self.end_request(upto, Some(self.client.reader.latest()));
                        }
                        Event::Broken => {
                            self.break_request(None, Doubt::Unreadable);
                            self.lose_client(None, at);
                        }
                    }
                }
                Mode::Lost => {
                    let first = used == 0 && run.segment_start;
                    let request = first && detect::begins_request_on(rest, self.wanted.forced);
                    if request && self.is_boundary(offset, at) {
                        self.resume(offset, run.mark, at);
                    } else {
                        // A request that did not wait for the answer to what was lost before it.
                        self.client.pipelines |= request;
                        self.hide(rest, offset, run.mark, first, at);
                        break;
                    }
                }
                Mode::Waiting | Mode::NotHttp | Mode::Over => break,
            }
        }
        self.client.server_high = at.server_high;
    }

    /// What was taken for the beginning of a request's head, if `rest` makes it one of HTTP/2's
    /// preface: its first letters could be a method's.
    fn preface_begun(&mut self, rest: &[u8]) -> Option<Vec<u8>> {
        let partial = self.client.reader.partial()?;
        let begun = partial.bytes.as_slice();
        let short = (1..PREFACE.len()).contains(&begun.len()) && PREFACE.starts_with(begun);
        let upto = rest
            .len()
            .min(PREFACE.len() - begun.len().min(PREFACE.len()));
        let joined = short.then(|| [begun, &rest[..upto]].concat())?;
        let is_preface = detect::client_opening(&joined, false) == Opening::Http2;
        is_preface.then(|| begun.to_vec())
    }

    /// What began as a request is HTTP/2: its first bytes were `begun`, and `run` follows.
    fn begin_with_preface(&mut self, begun: &[u8], run: Run<'_>, at: &Progress) {
        self.queue.withdraw();
        self.begin_streams(true);
        let first = Run {
            from: run.from.saturating_sub(begun.len() as u64),
            bytes: begun,
            ..run
        };
        self.tell_successor(Side::Client, StreamEvent::Bytes(first, *at));
        self.tell_successor(Side::Client, StreamEvent::Bytes(run, *at));
    }

    /// Looks at bytes at a message boundary; returns how many blank ones to skip, or none if a
    /// state was entered.
    fn client_between(
        &mut self,
        rest: &[u8],
        offset: Offset,
        mark: Mark,
        at: &Progress,
    ) -> Option<usize> {
        if self.is_fresh()
            && let Some(taken) = self.read_proxy_header(rest, mark)
        {
            return Some(taken);
        }
        let blank = rest.len() - detect::skip_blank_lines(rest).len();
        if blank > 0 {
            return Some(blank);
        }
        if self.server.mode == Mode::NotHttp {
            self.lose_client(None, at);
            return None;
        }
        match detect::client_opening(rest, self.wanted.forced) {
            Opening::Request | Opening::PerhapsRequest if !self.queue.is_full() => {
                self.begin_request(offset, mark, at);
            }
            Opening::Http2 => {
                self.begin_streams(true);
                let run = Run {
                    from: offset,
                    bytes: rest,
                    mark,
                    segment_start: true,
                };
                self.tell_successor(Side::Client, StreamEvent::Bytes(run, *at));
            }
            Opening::Tls => self.begin_tls(Side::Client, rest, (offset, mark), at),
            _ => self.lose_client(None, at),
        }
        None
    }

    /// Takes what of `rest` belongs to a PROXY header, whatever segments it is cut into.
    fn read_proxy_header(&mut self, rest: &[u8], mark: Mark) -> Option<usize> {
        let (mark, mut bytes) = match self.proxied.as_deref_mut() {
            Some(Proxied::Header(..)) => return None,
            Some(Proxied::Begun(first, bytes)) => (*first, std::mem::take(bytes)),
            None => (mark, Vec::new()),
        };
        let held = bytes.len();
        let bytes = if held == 0 {
            Cow::Borrowed(rest)
        } else {
            bytes.extend(rest);
            Cow::Owned(bytes)
        };
        if let Some((header, length)) = proxy_header::read(&bytes) {
            self.proxied = Some(Box::new(Proxied::Header(mark, header)));
            return Some(length - held);
        }
        let begun = proxy_header::is_begun(&bytes);
        self.proxied = begun.then(|| Box::new(Proxied::Begun(mark, bytes.into_owned())));
        begun.then_some(rest.len())
    }

    fn begin_request(&mut self, offset: Offset, mark: Mark, at: &Progress) {
        self.find_server(offset, at);
        self.client.pipelines |= self.queue.is_answer_due();
        // A client that waits for answers has taken all there is of them when it asks again.
        let sure = at.client_acked >= Some(self.before(offset))
            && self.has_answered(at)
            && at.server_acked >= at.server_high;
        let joined_late = self.doubts.next.pairing == Some(Doubt::CaptureStartedLate);
        let waits = !self.client.pipelines && self.client.to_come_in_turn == 0;
        if sure && waits && !(joined_late && self.counts.exchanges == 0) {
            self.doubts.next.pairing = None;
        }
        let to_come = &mut self.client.to_come_in_turn;
        *to_come = to_come.saturating_sub(u8::from(sure));
        // A request that stood behind missing bytes when an answer to none came may be what that
        // answered.
        let orphan = self.server.last_orphan;
        let answered = orphan.filter(|(orphan, _)| orphan.order > mark.order);
        if answered.is_some() {
            let next = &mut self.doubts.next.pairing;
            *next = next.or(Some(Doubt::SequenceHole));
        }
        let mut confidence = self.doubts.next;
        let lost = self.server.mode == Mode::Lost;
        confidence.response = confidence.response.filter(|_| lost);
        let (connection, ends) = (self.connection, self.ends);
        let open = PendingExchange::new(connection, ends, offset, mark, confidence);
        let mut open = Box::new(open);
        open.said = self
            .wanted
            .messages
            .map(|most| Box::new([most; 2].map(Keeping::new)));
        open.behind_missing =
            self.counts.exchanges == 0 && confidence.pairing == Some(Doubt::CaptureStartedLate);
        if let Some(&Proxied::Header(told, header)) = self.proxied.as_deref() {
            open.exchange.proxied = Some(header);
            if self.is_fresh() {
                open.note(Finding {
                    kind: FindingKind::ProxyProtocol,
                    side: Side::Client,
                    frames: vec![told],
                    cost: Span::ZERO,
                });
            }
        }
        let high = at.server_high.unwrap_or(Offset::ORIGIN);
        open.server_at_start = answered.map_or(high, |(_, from)| from.min(high));
        open.answer.possible = lost.then_some(at.server_next);
        self.queue.push(open);
        self.newly_waiting = true;
        self.client.untouched = false;
        self.client.mode = Mode::Messages;
        self.client.reader.begin(offset, mark);
    }

    /// Before a new request: if the server's stream is lost but the client has taken all of it, the
    /// answer is looked for from here.
    fn find_server(&mut self, offset: Offset, at: &Progress) {
        if self.server.mode != Mode::Lost {
            return;
        }
        let taken = at.server_acked >= Some(at.server_next);
        let progressed = self.has_answered(at);
        let untouched = self.client.untouched;
        if !(untouched || taken && progressed) {
            return;
        }
        // A client that does not wait for answers may still be owed several.
        let sure =
            at.client_acked >= Some(self.before(offset)) && progressed && !self.client.pipelines;
        let next = &mut self.doubts.next;
        if !sure && !untouched {
            next.pairing = next.pairing.or(next.response);
        }
        self.end_stretch(at);
    }

    fn request_head(&mut self, head: RequestHead, upto: Offset) {
        let mark = self.client.reader.latest();
        let (framing, expect) = (head.framing, head.expect);
        let around = self.around();
        let named = head.fields.request_id.is_some();
        if let Some(open) = self.queue.latest() {
            open.read_head(head);
        }
        self.doubt_method();
        let Some(open) = self.queue.latest() else {
            return;
        };
        if let Framing::Length(length) = framing {
            let end = upto.saturating_add(length);
            open.request.announced_bytes = Some(end.since(open.request_from));
            open.request.announced = Some(end.saturating_add(around));
        }
        open.request.last = Some((mark, upto));
        open.expecting = expect.then_some(mark);
        let tunnel = open.method == MethodKind::Connect;
        self.newly_asked |= named;
        self.count_exchange();
        let done = self.client.reader.body(framing);
        if tunnel || done {
            self.end_request(upto, Some(mark));
        }
        if tunnel {
            self.set_client(Mode::Waiting);
        }
    }

    /// What was read of a head that stopped short makes it a request.
    pub(super) fn confirm_request(&mut self, head: &[u8]) {
        if let Some(open) = self.queue.latest() {
            open.read_partial_head(head);
            self.doubt_method();
            self.count_exchange();
        }
    }

    /// Says of the latest request what is in doubt about its head: the first behind missing bytes
    /// may have begun in them, unless its method is a usual one.
    fn doubt_method(&mut self) {
        let Some(open) = self.queue.latest() else {
            return;
        };
        let method = open.exchange.method.as_deref();
        let usual = || method.is_some_and(detect::is_usual_method);
        open.confidence.head = if open.behind_missing && !usual() {
            open.confidence.pairing.or(self.doubts.hole)
        } else {
            self.doubts.next.head
        };
    }

    /// More of the request came, of its `body` unless of its head, the last byte before `upto`.
    fn request_goes_on(&mut self, upto: Offset, body: Option<&[u8]>) {
        let latest = self.client.reader.latest();
        if let Some(open) = self.queue.latest() {
            if let Some(bytes) = body {
                open.request_body(upto, latest);
                open.body_bytes(Side::Client, bytes, latest);
            } else {
                open.request.last = Some((latest, upto));
            }
        }
    }

    fn end_request(&mut self, upto: Offset, mark: Option<Mark>) {
        if let Some(open) = self.queue.latest() {
            open.end_request(upto, mark);
        }
    }

    /// What looked like a request cannot be read as one. If its first line is a request line it is
    /// one all the same, which no server will like.
    fn refuse_request(&mut self, rest: &[u8], at: &Progress) {
        let mut partial = self.client.reader.leave();
        if let Some(partial) = partial.as_mut().filter(|partial| partial.bytes.is_empty()) {
            partial.bytes = rest[..rest.len().min(MAX_HEAD)].to_vec();
        }
        self.break_request(partial, Doubt::Unreadable);
        let tunnel = self.doubts.next.head;
        if let Some(open) = self.queue.latest()
            && open.confidence.request.is_some()
        {
            // Nothing of its first line is missing.
            open.confidence.head = tunnel;
        }
        self.lose_client(None, at);
    }

    /// The end of the request being sent cannot be told any more. `partial` is its head, if it was
    /// not whole yet.
    fn break_request(&mut self, partial: Option<Partial>, why: Doubt) {
        let Some(open) = self.queue.latest() else {
            return;
        };
        let mut confirmed = false;
        if let Some(partial) = partial
            && !open.confirmed
        {
            open.confidence.head = Some(why);
            if !detect::begins_request_on(&partial.bytes, self.wanted.forced) {
                self.queue.withdraw();
                return;
            }
            open.read_partial_head(&partial.bytes);
            confirmed = true;
        }
        open.confidence.request = Some(why);
        if confirmed {
            self.count_exchange();
        }
    }

    pub(super) fn client_missing(&mut self, missing: Missing, at: &Progress) {
        let Missing {
            extent,
            why,
            cut_in,
            measured: _,
        } = missing;
        match self.client.mode {
            Mode::Waiting | Mode::NotHttp | Mode::Over => {}
            Mode::Lost => self.hidden_gap(extent, cut_in, at),
            Mode::Messages if self.client.reader.is_between() => {
                // Bytes were lost although an answer was still due: the client may not wait for
                // answers.
                self.client.pipelines |= self.queue.is_answer_due();
                self.lose_requests(extent.from, true, why, at);
                self.hidden_gap(extent, cut_in, at);
            }
            Mode::Messages if !self.client.reader.is_in_body() => {
                let partial = self.client.reader.leave();
                self.break_request(partial, why);
                self.lose_requests(extent.from, false, why, at);
                self.cut_request(extent.upto, cut_in);
                self.counts.hidden_bytes += extent.len();
            }
            Mode::Messages => {
                match self.step(
                    Side::Client,
                    (extent.len(), missing.measured),
                    cut_in.unwrap_or(at.mark),
                ) {
                    Stepped::Over => {}
                    Stepped::Done(taken) => {
                        let from = extent.from + taken;
                        self.end_request(from, cut_in);
                        if from < extent.upto {
                            let extent = Extent { from, ..extent };
                            self.client_missing(Missing { extent, ..missing }, at);
                        }
                    }
                    Stepped::Lost => {
                        self.break_request(None, why);
                        self.lose_requests(extent.from, false, why, at);
                        self.cut_request(extent.upto, cut_in);
                    }
                }
            }
        }
        self.client.server_high = at.server_high;
    }

    /// A request that became unreadable was cut in this frame.
    fn cut_request(&mut self, upto: Offset, cut_in: Option<Mark>) {
        if let (Some(open), Some(mark)) = (self.queue.latest(), cut_in)
            && open.confidence.request.is_some()
        {
            open.request.last = Some((mark, upto));
        }
    }

    /// Bytes from `from` on are missing, of a request's beginning if it is `whole`.
    fn lose_requests(&mut self, from: Offset, whole: bool, why: Doubt, at: &Progress) {
        let orphans = self.counts.orphan_responses;
        self.client.stretch = Some(Stretch {
            from,
            whole,
            orphans,
        });
        self.lose_client(Some(why), at);
    }

    fn lose_client(&mut self, why: Option<Doubt>, at: &Progress) {
        self.set_client(Mode::Lost);
        let begun = |proxied: &mut Box<Proxied>| matches!(**proxied, Proxied::Begun(..));
        self.proxied.take_if(begun);
        let next = &mut self.doubts.next;
        next.pairing = why.or(next.pairing);
        self.doubts.hole = self.doubts.hole.or(why);
        self.client.server_high = at.server_high;
    }

    /// In the middle of a connection a segment of `side` has frames of HTTP/2.
    pub(super) fn find_streams(
        &mut self,
        side: Side,
        bytes: &[u8],
        from: Offset,
        mark: Mark,
        at: &Progress,
    ) {
        self.begin_streams(false);
        let run = Run {
            from,
            bytes,
            mark,
            segment_start: true,
        };
        self.tell_successor(side, StreamEvent::Bytes(run, *at));
    }

    /// Client bytes that cannot be read.
    fn hide(&mut self, bytes: &[u8], from: Offset, mark: Mark, segment_start: bool, at: &Progress) {
        if segment_start && self.is_fresh() {
            match detect::client_opening(bytes, false) {
                Opening::Tls => return self.begin_tls(Side::Client, bytes, (from, mark), at),
                Opening::Http2 => return self.find_streams(Side::Client, bytes, from, mark, at),
                _ if detect::begins_frames(bytes, Some(Side::Client)) => {
                    return self.find_streams(Side::Client, bytes, from, mark, at);
                }
                _ => {}
            }
        }
        self.client.untouched = false;
        self.hidden_gap(Extent::new(from, bytes.len() as u64), Some(mark), at);
    }

    fn hidden_gap(&mut self, extent: Extent, seen_in: Option<Mark>, at: &Progress) {
        self.counts.hidden_bytes += extent.len();
        if let (Some(open), Some(mark)) = (self.queue.latest(), seen_in) {
            open.extend_unreadable_request(mark, extent.upto);
        }
        self.client.server_high = at.server_high;
    }

    /// Whether a segment that begins with a request line at `offset` surely begins a message: the
    /// server has acknowledged everything before it, and has sent something since.
    fn is_boundary(&self, offset: Offset, at: &Progress) -> bool {
        let being_answered = match self.server.mode {
            Mode::Lost => false,
            Mode::NotHttp => return false,
            // Nothing can follow an answer that ends with the connection: what looks like one
            // opened a tunnel.
            Mode::Messages if self.server.reader.is_until_close() => true,
            _ => self.queue.is_answer_due(),
        };
        let acknowledged = at.client_acked >= Some(self.before(offset)) && self.has_answered(at);
        self.client.untouched || acknowledged && !being_answered
    }

    /// Whether the server has said something since the client did, and more than that the answer is
    /// still to come.
    fn has_answered(&self, at: &Progress) -> bool {
        at.server_high > self.client.server_high.max(self.server.interim)
    }

    /// Begins anew at a boundary of the client's.
    fn resume(&mut self, offset: Offset, mark: Mark, at: &Progress) {
        self.end_stretch(at);
        self.doubt_turns(offset);
        self.begin_request(offset, mark, at);
        if let Some(open) = self.queue.latest() {
            open.behind_missing = true;
        }
    }

    /// What is missing before `offset` may have held several requests whose answers are to come.
    fn doubt_turns(&mut self, offset: Offset) {
        let Some(stretch) = self.client.stretch.take() else {
            return;
        };
        let requests = (offset.max(stretch.from) - stretch.from) / SHORTEST_REQUEST;
        let answers = self.counts.orphan_responses - stretch.orphans;
        let most = answers.max(u64::from(stretch.whole));
        if requests > most {
            self.client.to_come_in_turn = IN_TURN;
        }
    }

    /// Everything open ends here; the next answer is looked for after the server's last byte.
    fn end_stretch(&mut self, at: &Progress) {
        let Self { queue, doubts, .. } = self;
        let lost = doubts.next.response.take();
        queue.end_all(|open| {
            if open.is_answered() {
                return;
            }
            if open.wants_upgrade {
                doubts.next.head = Some(Doubt::SequenceHole);
            }
            // Whatever answered it lies before the boundary, unread.
            let Confidence {
                request, response, ..
            } = open.confidence;
            let why = response.or(lost).or(request);
            open.confidence.response = why.or(Some(Doubt::SequenceHole));
        });
        self.doubts.resumed = lost.or(self.doubts.next.pairing);
        self.set_server(Mode::Messages);
        self.server.from = at.server_high;
        self.server.orphan = false;
    }
}
