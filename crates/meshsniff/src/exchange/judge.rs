//! The verdict on one exchange, and how sure it is.
//!
//! A pure function of what was seen: the exchange, and what the packets around it prove. The rules
//! stand in `docs/verdicts-and-fields.md` under "Verdicts" and "Certainty".

use super::envoy::{self, Seen};
use super::model::{
    AckWith, Doubt, Exchange, Finding, FindingKind, Gaps, ResponseShape, Side, StreamReset, Verdict,
};
use super::pending::PendingExchange;
use super::stream::StreamClose;
use super::tunnel::TunnelEnd;
use crate::mesh::answer;
use crate::packet::Mark;
use crate::tcp::{CloseEvidence, Evidence, Offset, Scope};
use crate::time::{Span, Timestamp};

#[cfg(test)]
mod tests;

/// A request body that takes this long, and more than half of the exchange, is a finding.
const SLOW_BODY: Span = Span::from_secs(1);

/// A request that stops for this long before it is whole has stalled.
const STALL: Span = Span::from_secs(1);

/// A connection that nobody used for this long was idle.
const IDLE: Span = Span::from_secs(1);

/// A request sent this soon after a handshake is what the connection was opened for.
const OPENED_FOR: Span = Span::from_millis(10);

/// What is known beside the exchange itself when it is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// What the packets of the connection prove.
    pub(super) evidence: Evidence,
    /// Whether the kernel is known to have dropped packets.
    pub(super) dropped: bool,
    /// Whether the exchange was ended by a boundary in the client's stream: no close has to do with
    /// it.
    pub(super) at_boundary: bool,
    /// The first SYN and the client's ACK, if no exchange came before this one.
    pub(super) opened: Option<(Timestamp, Timestamp)>,
    /// When the capture, or what is remembered of the connection, ended.
    pub(super) now: Option<Timestamp>,
}

/// The close that decided.
#[derive(Clone, Copy, Debug)]
struct Decider {
    side: Side,
    reset: bool,
    close: CloseEvidence,
}

/// Settles `open`: its exchange is whole then.
pub(super) fn settle(open: &mut PendingExchange, at: &Circumstances) {
    open.end_call();
    end_tunnel(open, at);
    end_feed(open, at);
    let facts = Facts::new(open, at);
    let (verdict, doubt, decider) = facts.decide();
    let half_closed = facts.half_closed;
    let answered_late = facts.answered_late(verdict);
    let request_cut = facts.request_is_cut();
    let raced = decider.filter(|decider| facts.is_race(decider));
    let stranger = decider.filter(|decider| facts.is_stranger(decider));
    let reset = facts.stream_end().copied();
    let of_stream = open.stream.as_ref().and_then(|stream| stream.doubt);
    // Frames that nobody saw may have ended the stream before, but not before its client did.
    let by_client = reset.is_some_and(|reset| reset.by == Side::Client);
    let of_stream = of_stream.filter(|_| !by_client || open.exchange.status.is_none());
    // An answer of which only the end is there.
    let headless = verdict == Verdict::Ok && open.exchange.status.is_none();
    let headless = open
        .confidence
        .response
        .filter(|_| headless && open.stream.is_some());
    let of_stream = of_stream.or(headless);
    let doubt = first([doubt, open.confidence.head, of_stream]).map(|doubt| match doubt {
        Doubt::SequenceHole if at.dropped => Doubt::CaptureDropped,
        Doubt::SequenceHole if at.evidence.one_sided => Doubt::OneSided,
        other => other,
    });
    let exchange = &mut open.exchange;
    let mut passed_on = false;
    exchange.answered_by = open.maker.take().and_then(|maker| {
        let (headers, body) = maker;
        passed_on = headers.from_upstream;
        let answer = if exchange.status == Some(200) {
            answer::recognise_call(&headers, &body)
        } else {
            let body = unchunked(exchange, body);
            answer::recognise(exchange.status?, &headers, &body, open.no_body)
        };
        answer.map(Box::new)
    });
    exchange.verdict = verdict;
    exchange.doubt = doubt;
    exchange.request_cut = request_cut;
    exchange.close_scope = decider.map_or_else(Scope::default, |by| by.close.scope);
    exchange.reset = reset.map(|end| StreamReset {
        by: end.by,
        code: end.code,
        by_goaway: end.by_goaway,
    });
    exchange.half_closed = half_closed;
    list_closes(exchange, at, decider, open.response.upto);
    if answered_late {
        let events = &mut exchange.events;
        events.late_response = events.response_start.take();
        events.response_end = None;
        events.response_acked = None;
        exchange.late_status = exchange.status.take();
    }
    exchange.request_bytes = open
        .request
        .upto
        .or(open.request.last.map(|(_, upto)| upto))
        .unwrap_or(at.evidence.client.high)
        .since(open.request_from);
    exchange.response_bytes = match (answered_late, open.answer.seen) {
        (false, Some(from)) => {
            let seen = open
                .response
                .upto
                .or(open.response.last.map(|(_, upto)| upto));
            // What a client that left had not acknowledged was sent to it, but did not come.
            let taken = decider.filter(|_| verdict == Verdict::ClientGaveUpMidResponse);
            let taken = taken.and_then(|decider| decider.close.acked);
            let seen = seen.unwrap_or(from);
            taken.map_or(seen, |taken| seen.min(taken)).since(from)
        }
        _ => 0,
    };
    if let Some(stream) = &open.stream {
        [exchange.request_bytes, exchange.response_bytes] = stream.bytes;
        if answered_late {
            exchange.response_bytes = 0;
        }
    }
    let events = &mut exchange.events;
    // Bytes that came after the client had closed ended no silence of its.
    let by_client = decider.is_some_and(|decider| decider.side == Side::Client);
    let heard = open.response_before_close.flatten().filter(|_| by_client);
    let heard = heard.map(|(mark, _)| mark);
    if request_cut {
        exchange.request_announced = open.request.announced_bytes;
    }
    if events.request_end.is_none() {
        events.request_last = open.request.last.map(|(mark, _)| mark);
    }
    if events.response_end.is_none() && events.response_start.is_some() {
        let last = heard.or(open.response.last.map(|(mark, _)| mark));
        events.response_last = last;
    }
    let idle_since = open.previous_end;
    exchange.gaps = gaps(exchange, idle_since, at, decider, raced.is_some());
    if let (Some(heard), Some(decider)) = (heard, decider) {
        let silence = decider.close.mark.time - heard.time;
        exchange.gaps.response_silence = Some(silence).filter(|gap| *gap >= Span::ZERO);
    }
    let (envoy, guess) = envoy::flags(&Seen {
        verdict,
        client: exchange.client,
        announced: exchange.expected_timeout,
        gave_up_after: exchange.gaps.request_to_client_close,
        acknowledged: exchange.events.request_acked.is_some(),
        silent_for: exchange
            .gaps
            .response_silence
            .or(exchange.gaps.request_silence),
        shape: exchange.response_shape,
        reset: decider.is_some_and(|decider| decider.reset),
        stream_ended: reset.is_some(),
        defect: exchange.defect,
        answered_by: exchange.answered_by.as_deref().filter(|_| !passed_on),
    });
    exchange.envoy = envoy;
    exchange.timeout_guess = guess;
    add_findings(exchange, raced, stranger);
}

/// The first close of the connection, or of the exchange's stream alone.
fn first_close(open: &PendingExchange, at: &Circumstances) -> Option<TunnelEnd> {
    let Evidence { client, server, .. } = &at.evidence;
    let seen = |by, close: Option<CloseEvidence>| {
        let mark = close?.mark;
        Some(TunnelEnd { by, mark })
    };
    let stream = open.stream.as_ref().and_then(|stream| stream.close);
    let ends = [
        seen(Side::Client, client.fin),
        seen(Side::Client, client.rst),
        seen(Side::Server, server.fin),
        seen(Side::Server, server.rst),
        stream.and_then(|close| seen(close.by, Some(close.close))),
    ];
    let ends = ends.into_iter().flatten();
    ends.min_by_key(|end| end.mark.order)
}

/// The WebSocket is over: what was seen of it is told.
fn end_tunnel(open: &mut PendingExchange, at: &Circumstances) {
    let Some(tunnel) = open.tunnel.take() else {
        return;
    };
    let close = first_close(open, at);
    let is_sure = !at.evidence.one_sided && !at.dropped;
    let mut findings = Vec::new();
    let told = tunnel.end(close, at.now, is_sure, &mut |finding| {
        findings.push(finding)
    });
    for finding in findings {
        open.note(finding);
    }
    open.exchange.websocket = Some(Box::new(told));
}

/// The response of server-sent events is over, or is not seen any further.
fn end_feed(open: &mut PendingExchange, at: &Circumstances) {
    let Some(mut feed) = open.feed.take() else {
        return;
    };
    if open.confidence.response.is_some() && !open.is_answered() {
        feed.lose();
    }
    let whole = open.exchange.events.response_end.map(|end| end.time);
    let close = || first_close(open, at).map(|end| end.mark.time);
    let end = whole.or_else(close).or(at.now);
    open.exchange.event_stream = Some(feed.end(end));
}

/// The beginning of a body without the first chunk's size.
fn unchunked(exchange: &Exchange, mut body: Vec<u8>) -> Vec<u8> {
    if exchange.response_shape == ResponseShape::Chunked
        && let Some(line) = memchr::memchr(b'\n', &body)
    {
        body.drain(..=line);
        if let Some(end) = memchr::memchr(b'\r', &body) {
            body.truncate(end);
        }
    }
    body
}

struct Facts<'a> {
    open: &'a PendingExchange,
    at: &'a Circumstances,
    /// Offset after the response's last byte, seen or announced.
    response_end: Option<Offset>,
    /// Whether the client had acknowledged the whole body when it closed.
    has_body: bool,
    half_closed: bool,
}

/// What was decided: the verdict, its doubt, and the close that decided it.
type Decision = (Verdict, Option<Doubt>, Option<Decider>);

/// The doubt that is told where several hold: the first.
fn first<const N: usize>(doubts: [Option<Doubt>; N]) -> Option<Doubt> {
    doubts.into_iter().flatten().next()
}

/// A doubt for whatever is not proven by sequence numbers.
fn unless_proven(proven: bool) -> Option<Doubt> {
    (!proven).then_some(Doubt::SequenceHole)
}

impl<'a> Facts<'a> {
    fn new(open: &'a PendingExchange, at: &'a Circumstances) -> Self {
        let mut response_end = open.response.upto.or(open.response.announced);
        if response_end.is_none() && open.exchange.response_shape == ResponseShape::UntilClose {
            response_end = at.evidence.server.fin.map(|fin| fin.at);
        }
        let mut has_body = false;
        // A client that has the whole body may leave before the server ends the stream.
        if let Some((_, upto)) = open.stream.as_ref().and_then(|stream| stream.body_whole) {
            let client = &at.evidence.client;
            let mut closes = [client.fin, client.rst].into_iter().flatten();
            if closes.any(|close| close.acked >= Some(upto)) {
                response_end = Some(upto);
                has_body = true;
            }
        }
        // Server data beyond the client's FIN that the client went on to acknowledge. Inside a
        // request a FIN is no half-close of its exchange: nobody can complete it.
        let request_is_cut = open.request.upto.is_none() && open.confidence.request.is_none();
        let one_of_several = open.stream.is_some();
        let half_closed = !(at.at_boundary || request_is_cut)
            && (!one_of_several || open.exchange.events.response_acked.is_some())
            && at.evidence.client.fin.is_some_and(|fin| {
                at.evidence.server.data_acked > fin.acked
                    && response_end.is_none_or(|end| fin.acked < Some(end))
            });
        Self {
            open,
            at,
            response_end,
            has_body,
            half_closed,
        }
    }

    fn decide(&self) -> Decision {
        if self.open.upgraded {
            return (Verdict::Upgraded, self.open.confidence.pairing, None);
        }
        if let Some(end) = self.stream_end() {
            return self.stream_closed(end);
        }
        if let Some(reset) = self.early_answer_reset() {
            let client = &self.at.evidence.client;
            // Bytes of the client's beyond what can be read say that it had sent more.
            let last = self.open.request.last.map(|(_, upto)| upto);
            let read = self.open.request.upto.or(last) >= Some(client.sent);
            let proven = read && !client.lacks_fin && self.response_is_final();
            let doubt = first([self.open.confidence.pairing, unless_proven(proven)]);
            return (Verdict::ServerResetEarlyAnswer, doubt, Some(reset));
        }
        match self.decider() {
            Some(decider) if decider.side == Side::Client => self.client_closed(decider),
            Some(decider) => self.server_closed(decider),
            None => self.not_closed(),
        }
    }

    /// The end of the stream alone, if it was inside the exchange and before the connection's.
    fn stream_end(&self) -> Option<&'a StreamClose> {
        let end = self.open.stream.as_ref()?.close.as_ref()?;
        let connection = self.decider().map(|decider| decider.close.mark.order);
        let is_first = connection.is_none_or(|order| order >= end.close.mark.order);
        (end.is_inside && is_first).then_some(end)
    }

    /// A stream ended by itself. Its frames came in order, so what was not seen before was not sent,
    /// unless it is missing.
    fn stream_closed(&self, end: &StreamClose) -> Decision {
        let doubts = &self.open.confidence;
        let decider = Decider {
            side: end.by,
            reset: !end.by_goaway,
            close: end.close,
        };
        // What is missing of the answer may have been its end.
        let unread = doubts.response;
        let answered = self.open.answer.seen.is_some();
        let (verdict, doubt) = match end.by {
            Side::Client if self.client_took_some(&end.close) => {
                (Verdict::ClientGaveUpMidResponse, unread)
            }
            Side::Client if !self.request_is_whole(&end.close) => (
                Verdict::ClientAbortedRequest,
                first([doubts.request, unread]),
            ),
            Side::Client => (Verdict::ClientGaveUp, unread),
            Side::Server if answered => (Verdict::ServerTruncatedResponse, unread),
            Side::Server if end.is_refusal() => (Verdict::Refused, unread),
            Side::Server => (Verdict::ServerResetUnanswered, unread),
        };
        (verdict, doubt, Some(decider))
    }

    /// The first close inside the exchange.
    fn decider(&self) -> Option<Decider> {
        if self.at.at_boundary || self.at.evidence.is_open() {
            return None;
        }
        let close = |side, reset, close: Option<CloseEvidence>| {
            close.map(|close| Decider { side, reset, close })
        };
        let client = &self.at.evidence.client;
        let server = &self.at.evidence.server;
        [
            close(
                Side::Client,
                false,
                client.fin.filter(|_| !self.half_closed),
            ),
            close(Side::Client, true, client.rst),
            close(Side::Server, false, server.fin),
            close(Side::Server, true, server.rst),
        ]
        .into_iter()
        .flatten()
        .filter(|decider| self.is_inside(decider))
        .min_by_key(|decider| decider.close.mark.order)
    }

    fn is_inside(&self, decider: &Decider) -> bool {
        let close = &decider.close;
        if self.is_unreadable() {
            // Nobody can tell whether the response was whole by then: only a client that had not
            // taken one byte of it surely was inside.
            return decider.side == Side::Client
                && self
                    .open
                    .answer
                    .possible
                    .is_none_or(|from| close.acked <= Some(from));
        }
        match (decider.side, decider.reset) {
            (Side::Client, _) => {
                self.response_end.is_none_or(|end| close.acked < Some(end))
                    || self.is_before_the_end_of_all(close)
            }
            (Side::Server, false) => self.response_end.is_none_or(|end| close.at < end),
            (Side::Server, true) => self
                .open
                .whole_at
                .is_none_or(|order| order >= close.mark.order),
        }
    }

    /// Whether the answer ends with the connection, and the server had not ended it by then.
    fn is_before_the_end_of_all(&self, close: &CloseEvidence) -> bool {
        let server = &self.at.evidence.server;
        self.open.exchange.response_shape == ResponseShape::UntilClose
            && !server.lacks_fin
            && (server.fin).is_none_or(|fin| fin.mark.order > close.mark.order)
    }

    /// Whether the request never became whole, although its end could be told. Whoever waits for a
    /// `100 Continue` need not send the body.
    fn request_is_cut(&self) -> bool {
        let open = self.open;
        let waits = open.expecting.is_some() && open.exchange.status.is_some();
        // A stream's answer may end before its request does (RFC 9113, 8.1).
        let waits = waits || open.stream.is_some() && open.is_answered();
        open.request.upto.is_none() && open.confidence.request.is_none() && !waits
    }

    /// Whether the server's kernel acknowledged the request before a close, not with it.
    fn was_acknowledged_before(&self, close: &CloseEvidence) -> bool {
        let acked = self.open.exchange.events.request_acked;
        acked.is_some_and(|(mark, with)| with != AckWith::Rst && mark.order < close.mark.order)
    }

    /// The RST that met the rest of a request which the server had answered before it was whole.
    fn early_answer_reset(&self) -> Option<Decider> {
        let open = self.open;
        let events = &open.exchange.events;
        let answered = events.response_start.filter(|_| open.is_answered())?;
        let Evidence { client, server, .. } = &self.at.evidence;
        let close = server.rst.filter(|rst| rst.mark.order > answered.order)?;
        // A server that has taken all of the request resets for another reason.
        let taken = self.was_acknowledged_before(&close);
        let early = match events.request_end {
            Some(end) => end.order > answered.order && !taken,
            None => self.request_is_cut(),
        };
        let client_left = [client.fin, client.rst].into_iter().flatten();
        let client_left = client_left.map(|left| left.mark.order).min();
        let first = client_left.is_none_or(|left| left > close.mark.order);
        (early && first && !self.at.at_boundary).then_some(Decider {
            side: Side::Server,
            reset: true,
            close,
        })
    }

    /// Whether what was answered is no HTTP, or such that a proxy must refuse it.
    const fn is_invalid(&self) -> bool {
        self.open.exchange.defect.is_some()
    }

    /// Whether the server had closed a connection that was idle before it had the request: its FIN
    /// came before the request's first byte, or covers none of it and a RST met the request.
    fn is_race(&self, decider: &Decider) -> bool {
        let close = &decider.close;
        let start = self.open.exchange.events.request_start;
        let crossed = || {
            let reset = self.at.evidence.server.rst;
            !decider.reset
                && self.open.previous_end.is_some()
                && close.acked <= Some(self.open.request_from)
                && reset.is_some_and(|reset| reset.mark.order > close.mark.order)
        };
        decider.side == Side::Server && (close.mark.order < start.order || crossed())
    }

    /// Whether a RST without an ACK met a request on a connection that had been idle: it comes from
    /// somebody who does not know the connection, and the request was the first to find out.
    fn is_stranger(&self, decider: &Decider) -> bool {
        let start = self.open.exchange.events.request_start.time;
        let idle = self
            .open
            .previous_end
            .is_some_and(|end| start - end >= IDLE);
        let unheard = self.open.exchange.events.request_acked.is_none();
        let reset = decider.side == Side::Server && decider.reset;
        reset && idle && unheard && !decider.close.has_ack && self.open.answer.seen.is_none()
    }

    fn is_unreadable(&self) -> bool {
        self.open.confidence.response.is_some() && !self.open.is_answered()
    }

    /// Whether the client had taken a byte of the response when it closed.
    fn client_took_some(&self, close: &CloseEvidence) -> bool {
        self.open
            .answer
            .possible
            .is_some_and(|from| close.acked > Some(from))
    }

    /// Whether what was seen of the response is surely no 1xx: its status says so, or that it is no
    /// HTTP at all.
    fn response_is_final(&self) -> bool {
        let exchange = &self.open.exchange;
        exchange.status.is_some() || exchange.response_shape == ResponseShape::NotHttp
    }

    /// Whether the answer counts as late: seen, but not one byte of it taken before the client
    /// closed.
    fn answered_late(&self, verdict: Verdict) -> bool {
        let decided = matches!(
            verdict,
            Verdict::ClientGaveUp | Verdict::ClientAbortedRequest
        );
        decided && self.open.answer.seen.is_some()
    }

    fn client_closed(&self, decider: Decider) -> Decision {
        let close = &decider.close;
        let server = &self.at.evidence.server;
        let doubts = &self.open.confidence;
        let took_some = self.client_took_some(close);
        if took_some && self.is_invalid() {
            return (Verdict::ServerInvalidResponse, doubts.pairing, None);
        }
        if server.lacks_fin {
            return self.server_fin_missing(decider, took_some);
        }
        let is_first = self.client_close_is_first(&decider);
        let unsettled = self.is_unsettled(&decider).then_some(Doubt::CaptureEnded);
        // Of an answer that cannot be read, closes of the server's decide nothing: it may have been
        // first all the same.
        let server_was_first = self.is_unreadable()
            && [server.fin, server.rst]
                .into_iter()
                .flatten()
                .any(|other| other.mark.order < close.mark.order);
        let perhaps_second = doubts.response.filter(|_| server_was_first);
        let surely_left = is_first && close.has_ack && !self.may_have_been_taken(&decider);
        let (verdict, doubt) = if took_some {
            let proven = surely_left && self.response_is_final();
            // What is missing of a body of known length may have been the rest of it.
            let stream = self.open.stream.as_ref();
            let has_length = stream.is_some_and(|stream| stream.to_come.is_some());
            let rest = doubts.response.filter(|_| has_length);
            let doubt = first([doubts.pairing, unless_proven(proven), rest, unsettled]);
            (Verdict::ClientGaveUpMidResponse, doubt)
        } else if !self.request_is_whole(close) {
            let proven = is_first && close.is_next;
            let misread = self.misread(close.acked);
            let doubts = [doubts.request, perhaps_second, unless_proven(proven)];
            let doubt = first(doubts).or(misread);
            (Verdict::ClientAbortedRequest, doubt)
        } else {
            let request = match self.open.request.tail_lost {
                true => Some(Doubt::SequenceHole),
                false => doubts.request,
            };
            let doubt = first([
                request,
                perhaps_second,
                unless_proven(surely_left),
                self.misread(close.acked),
                unsettled,
            ]);
            (Verdict::ClientGaveUp, doubt)
        };
        (verdict, doubt, Some(decider))
    }

    /// The client acknowledged a FIN that the capture lacks: the server may well have closed first.
    fn server_fin_missing(&self, decider: Decider, took_some: bool) -> Decision {
        let hole = Some(Doubt::SequenceHole);
        if decider.close.acked <= Some(self.at.evidence.server.high) {
            // It came after the client's close, or crossed it.
            let verdict = match (took_some, self.request_is_whole(&decider.close)) {
                (true, _) => Verdict::ClientGaveUpMidResponse,
                (false, true) => Verdict::ClientGaveUp,
                (false, false) => Verdict::ClientAbortedRequest,
            };
            return (verdict, hole, Some(decider));
        }
        match (took_some, self.open.exchange.response_shape) {
            (true, ResponseShape::UntilClose) => (Verdict::Ok, hole, None),
            (true, _) => (Verdict::ServerTruncatedResponse, hole, None),
            (false, _) => (Verdict::ServerClosedUnanswered, hole, None),
        }
    }

    /// Whether no FIN of the client's own, nor of the server's, can have come before this close.
    fn client_close_is_first(&self, decider: &Decider) -> bool {
        if self.at.evidence.server.may_lack_fin {
            return false;
        }
        if !decider.reset {
            return true;
        }
        // A socket that still exists says so with an ACK. One that is gone was closed before.
        decider.close.has_ack && decider.close.is_next && !self.at.evidence.client.lacks_fin
    }

    /// Why an answer that was not found may have been read as something else: what the server sent
    /// before `upto`, its next number when the exchange was closed, goes beyond where it stood when
    /// the request began, and the pairing is in doubt.
    fn misread(&self, upto: Option<Offset>) -> Option<Doubt> {
        let answered = upto > Some(self.open.server_at_start);
        self.open.confidence.pairing.filter(|_| answered)
    }

    /// Whether a FIN may still turn out to be a half-close: server data beyond it was neither
    /// acknowledged nor met by a RST, or the capture ended before the server so much as
    /// acknowledged the FIN.
    fn is_unsettled(&self, decider: &Decider) -> bool {
        if self.at.evidence.client.rst.is_some() {
            return false;
        }
        let data_left = Some(self.at.evidence.server.sent) > decider.close.acked;
        let reacted = self.at.evidence.client.fin_acked
            || self.at.evidence.server.fin.is_some()
            || self.at.evidence.server.rst.is_some();
        data_left || !reacted
    }

    /// Whether a RST followed the client's FIN that says to acknowledge more than the FIN did. An ACK
    /// between the two would make the FIN a half-close: the capture may lack it, and what a RST says
    /// proves none.
    fn may_have_been_taken(&self, decider: &Decider) -> bool {
        let reset = self.at.evidence.client.rst;
        let claimed = reset.and_then(|reset| reset.claimed);
        !decider.reset && claimed > decider.close.acked
    }

    /// Whether the whole request had been sent when the client closed.
    fn request_is_whole(&self, close: &CloseEvidence) -> bool {
        match (self.open.request.upto, self.open.request.announced) {
            (Some(upto), _) | (None, Some(upto)) => upto <= close.at,
            (None, None) => false,
        }
    }

    fn server_closed(&self, decider: Decider) -> Decision {
        let close = &decider.close;
        let open = self.open;
        let hole = Some(Doubt::SequenceHole);
        // Then it closed first, it may be.
        let client_left = self.at.evidence.client.may_lack_fin;
        if open.answer.seen.is_some() && self.is_invalid() {
            return (
                Verdict::ServerInvalidResponse,
                open.confidence.pairing,
                None,
            );
        }
        if open.answer.seen.is_some() {
            let ends_short = open.response.announced.is_some_and(|end| close.at < end);
            let proven = (close.is_next || ends_short)
                && !self.at.evidence.client.lacks_fin
                && !client_left
                && self.response_is_final();
            let doubt = first([open.confidence.pairing, unless_proven(proven)]);
            return (Verdict::ServerTruncatedResponse, doubt, Some(decider));
        }
        if self.at.evidence.client.lacks_fin {
            // The server acknowledged a FIN that the capture lacks: the client closed first, it
            // seems.
            return (Verdict::ClientGaveUp, hole, None);
        }
        if !decider.reset {
            let proven = close.is_next && !open.request.tail_lost && !client_left;
            let doubt = first([unless_proven(proven), self.misread(Some(close.at))]);
            return (Verdict::ServerClosedUnanswered, doubt, Some(decider));
        }
        if self.at.evidence.server.lacks_fin || close.at == self.at.evidence.server.high + 1 {
            return (Verdict::ServerClosedUnanswered, hole, None);
        }
        // A bare RST comes from a socket that is gone. It proves nothing of how it went, unless the
        // server was there to acknowledge the request.
        let alive = self.was_acknowledged_before(close);
        let proven = close.is_next && (close.has_ack || alive) && !open.request.tail_lost;
        let proven = proven && !self.at.evidence.server.may_lack_fin && !client_left;
        let doubt = first([unless_proven(proven), self.misread(Some(close.at))]);
        (Verdict::ServerResetUnanswered, doubt, Some(decider))
    }

    fn not_closed(&self) -> Decision {
        let open = self.open;
        if self.is_invalid() {
            return (
                Verdict::ServerInvalidResponse,
                open.confidence.pairing,
                None,
            );
        }
        if self.is_unreadable() {
            return (Verdict::Ok, open.confidence.response, None);
        }
        if !open.is_answered() && !self.at.at_boundary {
            if self.response_end.is_some() && self.at.evidence.server.fin.is_some() {
                // Until-close, and bytes before the FIN are missing.
                return (Verdict::Ok, Some(Doubt::SequenceHole), None);
            }
            return (Verdict::Unanswered, Some(Doubt::CaptureEnded), None);
        }
        let never_taken = open.exchange.events.response_acked.is_none()
            && self
                .response_end
                .is_none_or(|end| self.at.evidence.server.data_acked < Some(end));
        // An answer that ends with the connection is whole only if the client had not left before.
        let may_have_left = open.exchange.response_shape == ResponseShape::UntilClose;
        let lacks_fin = self.at.evidence.client.lacks_fin;
        // Of a RST's ACK the kernel is sure, not the program: it may have left before.
        // Who asks again without having taken the answer does not wait for answers, and may leave
        // before this one.
        let hole = open.response.tail_lost
            || never_taken && (lacks_fin || self.at.at_boundary)
            || lacks_fin && may_have_left
            || open.taken_by_rst && !self.has_body;
        // A client that took nothing of it, or not its end, may still have left.
        let client = &self.at.evidence.client;
        let client_stays = client.fin.is_none() && client.rst.is_none();
        let end_never_taken = may_have_left && client_stays && !self.at.evidence.server.fin_acked;
        let unsettled = (never_taken || end_never_taken) && !self.at.at_boundary;
        // A server that answered before the request was whole may still reset the rest of it.
        let early = self.request_is_cut() && client_stays && !self.at.at_boundary;
        let doubt = first([
            open.confidence.pairing,
            unless_proven(!hole),
            unsettled.then_some(Doubt::CaptureEnded),
            open.confidence.head.filter(|_| early),
            early.then_some(Doubt::CaptureEnded),
        ]);
        (Verdict::Ok, doubt, None)
    }
}

/// Lists the closes between the request's start and the response's end, and the one that decided.
fn list_closes(
    exchange: &mut Exchange,
    at: &Circumstances,
    decider: Option<Decider>,
    response_upto: Option<Offset>,
) {
    if at.at_boundary || at.evidence.is_open() || exchange.verdict == Verdict::Upgraded {
        return;
    }
    let start = exchange.events.request_start.order;
    let end = match exchange.events.response_end {
        Some(end) if exchange.verdict == Verdict::Ok => Some(end.order),
        _ => None,
    };
    let listed = |close: Option<CloseEvidence>| {
        close.map(|close| close.mark).filter(|mark| {
            let decides = decider.is_some_and(|decider| decider.close.mark == *mark);
            decides || mark.order >= start && end.is_none_or(|end| mark.order <= end)
        })
    };
    // A FIN behind the last byte, in the same segment too, closes nothing that was going on.
    let ok = exchange.verdict == Verdict::Ok;
    let behind = |fin: &CloseEvidence| ok && response_upto.is_some_and(|upto| fin.at >= upto);
    exchange.events.client_fin = listed(at.evidence.client.fin);
    exchange.events.client_rst = listed(at.evidence.client.rst);
    exchange.events.server_fin = listed(at.evidence.server.fin.filter(|fin| !behind(fin)));
    exchange.events.server_rst = listed(at.evidence.server.rst);
}

fn gaps(
    exchange: &Exchange,
    previous_end: Option<Timestamp>,
    at: &Circumstances,
    decider: Option<Decider>,
    raced: bool,
) -> Gaps {
    let events = &exchange.events;
    let between = |from: Option<Mark>, to: Option<Mark>| Some(to?.time - from?.time);
    let not_negative = |span: Option<Span>| span.filter(|&span| span >= Span::ZERO);
    let start = Some(events.request_start);
    let request_end = events.request_end;
    let acked = events.request_acked.map(|(mark, _)| mark);
    let client_close = exchange.client_close().map(|(mark, _)| mark);
    let before = raced && request_is_later(exchange, decider);
    let server_close = exchange
        .server_close()
        .filter(|_| !before)
        .map(|(mark, _)| mark);
    let decided = decider.map(|decider| decider.close.mark);
    let time = |mark: Option<Mark>| mark.map(|mark| mark.time);
    let ended = time(events.response_start).or(time(decided)).or(at.now);
    let last_byte = events.response_end.or(events.response_last);
    let opened_for = at.opened.filter(|&(_, opened)| {
        let since = events.request_start.time - opened;
        (Span::ZERO..=OPENED_FOR).contains(&since)
    });
    let asked = opened_for.map_or(events.request_start.time, |(syn, _)| syn);
    let over = time(decided).or(time(events.response_end));
    Gaps {
        request_duration: between(start, request_end),
        request_to_ack: not_negative(between(request_end, acked)),
        request_to_response: between(request_end, events.response_start),
        request_silence: not_negative(
            events
                .request_last
                .filter(|_| exchange.request_cut)
                .and_then(|last| Some(ended? - last.time)),
        ),
        response_silence: not_negative(between(last_byte, decided)),
        wait: not_negative(over.filter(|_| !before).map(|over| over - asked)),
        after_previous: previous_end
            .filter(|_| exchange.pipelined)
            .and_then(|end| Some(events.response_start?.time - end)),
        response_duration: between(events.response_start, events.response_end),
        response_to_ack: not_negative(between(events.response_end, events.response_acked)),
        total: between(start, events.response_end),
        request_to_client_close: not_negative(between(request_end, client_close)),
        ack_to_client_close: not_negative(between(acked, client_close)),
        request_to_server_close: not_negative(between(request_end, server_close)),
        client_close_to_late_response: not_negative(between(client_close, events.late_response)),
        idle_before: not_negative(previous_end.map(|end| events.request_start.time - end)),
    }
}

/// Whether the request's first byte left after the close had come.
fn request_is_later(exchange: &Exchange, decider: Option<Decider>) -> bool {
    let start = exchange.events.request_start.order;
    decider.is_some_and(|decider| decider.close.mark.order < start)
}

fn add_findings(exchange: &mut Exchange, raced: Option<Decider>, stranger: Option<Decider>) {
    let start = exchange.events.request_start;
    let idle = exchange.gaps.idle_before.unwrap_or_default();
    if let Some(decider) = raced {
        let close = decider.close.mark;
        let mut frames = vec![close, start];
        frames.sort_unstable_by_key(|mark| mark.order);
        frames.extend(
            exchange
                .events
                .server_rst
                .filter(|rst| rst.order > close.order),
        );
        exchange.findings.push(Finding {
            kind: FindingKind::KeepaliveRace,
            side: Side::Server,
            frames,
            cost: (start.time - close.time).max(Span::ZERO),
        });
    }
    if let Some(decider) = stranger {
        exchange.findings.push(Finding {
            kind: FindingKind::StrangerReset,
            side: Side::Server,
            frames: vec![decider.close.mark],
            cost: idle,
        });
    }
    if let Some(late) = exchange.events.late_response {
        exchange.findings.push(Finding {
            kind: FindingKind::LateResponse,
            side: Side::Server,
            frames: vec![late],
            // An answer that crossed the close was seen before it.
            cost: exchange
                .gaps
                .client_close_to_late_response
                .unwrap_or_default()
                .max(Span::ZERO),
        });
    }
    if let Some(silence) = exchange.gaps.request_silence.filter(|&gap| gap >= STALL) {
        exchange.findings.push(Finding {
            kind: FindingKind::RequestStalled,
            side: Side::Client,
            frames: exchange.events.request_last.into_iter().collect(),
            cost: silence,
        });
    }
    let waited = exchange.finding(FindingKind::ExpectUnanswered);
    let waited = waited.map_or(Span::ZERO, |finding| finding.cost);
    let slow = exchange.gaps.request_duration.filter(|&duration| {
        let total = exchange.gaps.total.unwrap_or(duration);
        let busy = Span::from_nanos(duration.as_nanos() - waited.as_nanos());
        busy >= SLOW_BODY && busy.as_nanos() > total.as_nanos() / 2
    });
    if let (Some(cost), Some(end)) = (slow, exchange.events.request_end) {
        exchange.findings.push(Finding {
            kind: FindingKind::SlowRequestBody,
            side: Side::Client,
            frames: vec![start, end],
            cost,
        });
    }
}
