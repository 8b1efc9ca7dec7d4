//! What is handed out: exchanges as they are settled, and in the end the connection.

use super::envoy::{self, Seen};
use super::judge::{self, Circumstances};
use super::model::{
    Alert, Close, Connection, Doubt, Exchange, Finding, FindingKind, Protocol, ResponseShape, Tls,
    Verdict,
};
use super::pairing::Pairing;
pub(crate) use super::pairing::Wanted;
use super::pending::PendingExchange;
use super::said::{Keeping, Said};
use super::streams::Streams;
use crate::kernel::{Answer, Listener};
use crate::packet::Mark;
use crate::protocol::tls::{Farewell, Session, StepKind};
use crate::tcp::{
    self, CloseEvidence, Counters, Evidence, Offset, Opening, Scope, Side, StreamEvent,
    TrackedConnection,
};
use crate::time::{Span, Timestamp};

/// A SYN unanswered for this long, and repeated, is a connect that timed out.
const CONNECT_TIMEOUT: Span = Span::from_secs(1);

/// A TLS hello unanswered for this long is told although nobody has closed.
const TLS_TIMEOUT: Span = Span::from_secs(1);
/// A request that lies in a socket for this long is unread; any lies there for a moment.
const UNREAD: Span = Span::from_millis(10);

/// A client that leaves sooner after its last record was not waiting.
const LEFT_WAITING: Span = Span::from_millis(20);

/// Who says in TLS that it closes does so within this time.
const PARTING: Span = Span::from_millis(5);
/// Whoever hears so closes, too, within this time.
const HEARD: Span = Span::from_millis(20);

/// The exchanges of one connection, from its stream events to those that are settled.
#[derive(Debug)]
pub(crate) struct Exchanges {
    pairing: Pairing,
    settled: u64,
    /// Of the exchange settled last.
    last_verdict: Option<Verdict>,
    /// The server's accept queue, if it was full while the SYN waited.
    accept_queue: Option<Listener>,
}

impl Exchanges {
    /// Of `connection`, which carries HTTP for sure if it is `forced`. `messages`: bytes of each body
    /// that are kept, with the heads; `None` for nothing.
    pub(crate) fn new(connection: &TrackedConnection, wanted: Wanted) -> Self {
        let ends = (connection.client(), connection.server());
        Self {
            pairing: Pairing::new(connection.id(), ends, connection.is_whole(), wanted),
            settled: 0,
            last_verdict: None,
            accept_queue: None,
        }
    }

    /// A request with an id, once after its head was read.
    pub(crate) fn newly_asked(&mut self) -> Option<&Exchange> {
        self.pairing.newly_asked()
    }

    /// Whether something may wait that did not before: once.
    #[inline]
    pub(crate) fn newly_waiting(&mut self) -> bool {
        self.pairing.newly_waiting()
    }

    /// Whether a request waits for the first byte of its answer, or else the SYN for its own.
    #[inline]
    pub(crate) fn is_waiting(&mut self, connection: &TrackedConnection) -> bool {
        let opening = connection.opening();
        let opens = opening.syn.is_some() && opening.opened.is_none();
        opens || self.pairing.unanswered().is_some()
    }

    /// Since when a request waits for the first byte of its answer, or else the SYN for its own.
    pub(crate) fn waits_since(&mut self, connection: &TrackedConnection) -> Option<Timestamp> {
        let Opening {
            syn,
            opened,
            refused,
            ..
        } = *connection.opening();
        let since = match self.pairing.unanswered() {
            Some(open) => open.exchange.start(),
            None if opened.is_some() || refused.is_some() => return None,
            None => syn?.first.time,
        };
        (!connection.is_closing()).then_some(since)
    }

    /// What the kernel says of the connection's sockets, while something waits there. No packet of
    /// before `seen` will come any more.
    pub(crate) fn observe(
        &mut self,
        connection: &TrackedConnection,
        answer: Answer,
        seen: Timestamp,
    ) {
        if let Some(open) = self.pairing.unanswered() {
            // Without the handshake nobody knows where the kernel's count began.
            let counted = answer.received.filter(|_| connection.is_whole());
            let received = counted.map(|bytes| Offset::ORIGIN + bytes);
            let received = received.unwrap_or_else(|| connection.evidence().client.high);
            return open.observe(answer, received, seen);
        }
        let full = answer.listener.filter(|listener| listener.is_full());
        self.accept_queue = full.or(self.accept_queue);
    }

    /// Whether another protocol began the connection: there will be no exchanges.
    #[inline]
    pub(crate) const fn are_none(&self) -> bool {
        self.pairing.is_anothers()
    }

    /// Hands out every exchange that nothing can change any more.
    #[inline]
    pub(crate) fn settle(
        &mut self,
        connection: &TrackedConnection,
        counters: &Counters,
        hand_out: &mut dyn FnMut(&mut Exchange),
    ) {
        // Asked after every segment.
        if self.pairing.has_settled() {
            self.hand_out_settled(connection, counters, hand_out);
        }
    }

    fn hand_out_settled(
        &mut self,
        connection: &TrackedConnection,
        counters: &Counters,
        hand_out: &mut dyn FnMut(&mut Exchange),
    ) {
        while let Some((open, at_boundary)) = self.pairing.take_settled() {
            let circumstances = Circumstances {
                at_boundary,
                ..self.circumstances(connection, counters)
            };
            self.judge(open, connection, &circumstances, hand_out);
        }
    }

    /// The connection, or the capture, has ended: hands out all that is left, and describes the
    /// connection.
    pub(crate) fn end(
        mut self,
        connection: &TrackedConnection,
        counters: &Counters,
        now: Timestamp,
        hand_out: &mut dyn FnMut(&mut Exchange),
    ) -> Connection {
        self.settle(connection, counters, hand_out);
        let mut rest = self.pairing.take_rest(now);
        if connection.never_opened() {
            // Data in a SYN that nobody took: the connection's verdict is all there is to say.
            rest.clear();
        }
        let mut before = None;
        for mut open in rest {
            let circumstances = Circumstances {
                now: Some(now),
                ..self.circumstances(connection, counters)
            };
            open.previous_end = open.previous_end.or(before);
            before = self.judge(open, connection, &circumstances, hand_out);
        }
        self.describe(connection, now)
    }

    /// Judges an exchange and hands it out. Returns when its response, or the close that decided
    /// it, came.
    fn judge(
        &mut self,
        mut open: Box<PendingExchange>,
        connection: &TrackedConnection,
        circumstances: &Circumstances,
        hand_out: &mut dyn FnMut(&mut Exchange),
    ) -> Option<Timestamp> {
        judge::settle(&mut open, circumstances);
        tell_sockets(&mut open);
        if let Some(kept) = open.said.take() {
            let [request, response] = kept.map(Keeping::end);
            open.exchange.said = Some(Box::new(Said { request, response }));
        }
        let exchange = &mut open.exchange;
        exchange.encrypted = self.pairing.tls().is_some();
        let syn = connection.opening().syn;
        if let Some(syn) = syn.filter(|syn| self.settled == 0 && syn.retries > 0) {
            exchange.findings.push(Finding {
                kind: FindingKind::SynRetry,
                side: Side::Client,
                frames: vec![syn.first, syn.last],
                cost: syn.last.time - syn.first.time,
            });
        }
        if let Some(syn) = syn.filter(|_| self.settled == 0 && self.accept_queue.is_some()) {
            exchange.findings.push(Finding {
                kind: FindingKind::AcceptQueueFull,
                side: Side::Server,
                frames: vec![syn.first],
                cost: syn.last.time - syn.first.time,
            });
        }
        if let Some(challenge) = connection.challenged().filter(|_| self.settled == 0) {
            exchange.findings.push(Finding {
                kind: FindingKind::PortReuse,
                side: Side::Client,
                frames: syn
                    .map(|syn| syn.first)
                    .into_iter()
                    .chain([challenge])
                    .collect(),
                cost: syn.map_or(Span::ZERO, |syn| syn.last.time - syn.first.time),
            });
        }
        self.settled += 1;
        self.last_verdict = Some(exchange.verdict);
        hand_out(exchange);
        exchange.decided_at()
    }

    /// The circumstances of the exchange that is settled next.
    fn circumstances(&self, connection: &TrackedConnection, counters: &Counters) -> Circumstances {
        let opening = connection.opening();
        let opened = opening
            .syn
            .zip(opening.opened)
            .filter(|_| self.settled == 0);
        Circumstances {
            evidence: self.evidence(connection),
            dropped: counters.dropped,
            at_boundary: false,
            opened: opened.map(|(syn, opened)| (syn.first.time, opened.time)),
            now: None,
        }
    }

    /// The verdict on a connection whose TLS handshake came to nothing, or should have been one.
    fn of_tls(
        &self,
        connection: &TrackedConnection,
        close: Option<Close>,
        now: Timestamp,
    ) -> Option<Verdict> {
        if self.pairing.is_answered_with_tls() {
            return Some(Verdict::PlainRefusedTls);
        }
        let tls = self
            .pairing
            .unread_tls()
            .filter(|tls| tls.is_begun() && !tls.is_lost())?;
        if tls.plain_answer().is_some() {
            return Some(Verdict::TlsRefusedPlain);
        }
        if tls.is_done() {
            // Whoever hears that the other closes says so, too: that refuses nothing.
            let refused = tls.refused()?;
            let left = close.filter(|close| close.by == Side::Client);
            let first = left.is_none_or(|close| refused.order < close.mark.order);
            return first.then_some(Verdict::TlsFailed);
        }
        let hung_up = close.filter(|close| close.by == Side::Server || tls.is_answered());
        if tls.alert().is_some() || hung_up.is_some() {
            return Some(Verdict::TlsFailed);
        }
        let (_, hello) = connection.last_spoke()?;
        let waited = close.map_or(now, |close| close.mark.time) - hello.time;
        let unanswered = !tls.is_answered() && (close.is_some() || waited >= TLS_TIMEOUT);
        unanswered.then_some(Verdict::TlsUnanswered)
    }

    /// What is told of TLS.
    fn told_tls(&self, verdict: Option<Verdict>) -> Option<Tls> {
        let tls = self.pairing.tls()?;
        let mut told = tls.told();
        let refused = tls.session().refused();
        if let Some(mark) = refused.filter(|_| verdict == Some(Verdict::TlsFailed))
            && told.alert.is_none()
        {
            let (by, description) = (Side::Server, None);
            told.alert = Some(Alert { by, description });
            told.note(StepKind::Alert, by, mark);
        }
        // What is inside says which.
        if let (Some(alert), Some(inside)) = (&mut told.alert, tls.alert_inside())
            && alert.by == inside.by
        {
            alert.description = alert.description.or(inside.description);
        }
        if verdict == Some(Verdict::TlsLeftWaiting) {
            // What came after the close came too late.
            told.last_record_by = Some(Side::Client);
            if let Some(asked) = tls.session().asked() {
                told.note(StepKind::LastRecord, Side::Client, asked.last);
            }
        }
        Some(told)
    }

    /// The evidence of a connection. Where a side said in TLS that it closes, and the other's FIN was
    /// out before its own, that counts as its FIN.
    fn evidence(&self, connection: &TrackedConnection) -> Evidence {
        let mut evidence = connection.evidence();
        let first = first_close(connection);
        let said = first.and_then(|first| self.farewell_before(first));
        // What only its length tells may be two bytes of data.
        let Some(said) = said.filter(|said| said.read) else {
            return evidence;
        };
        let (its, other) = match said.by {
            Side::Client => (&mut evidence.client, evidence.server),
            Side::Server => (&mut evidence.server, evidence.client),
        };
        let seen = its.fin.unwrap_or(CloseEvidence {
            scope: Scope::Connection,
            mark: said.mark,
            at: its.high,
            acked: other.data_acked,
            has_ack: true,
            claimed: other.data_acked,
            is_next: true,
        });
        its.fin = Some(CloseEvidence {
            mark: said.mark,
            ..seen
        });
        evidence
    }

    /// What the other side than the one with the first FIN or RST said before it: that it closes.
    /// Then it was the first to leave, and only its FIN was slower.
    fn farewell_before(&self, close: Close) -> Option<Farewell> {
        let said = self.pairing.tls()?.farewell()?;
        let right_before = said.read || close.mark.time - said.mark.time <= HEARD;
        let before = said.mark.order < close.mark.order && right_before;
        (said.by != close.by && before).then_some(said)
    }

    /// How long the client had waited for an answer to its last record when it left, of TLS that is
    /// not read, if the side `by` was the first to leave, in the packet `left`.
    fn left_waiting(&self, by: Side, left: Mark) -> Option<Span> {
        let tls = self.pairing.unread_tls().filter(|tls| tls.is_done())?;
        let asked = tls.asked()?;
        let waited = left.time - asked.last.time;
        // What came after the close came too late.
        let answered = asked
            .answered
            .is_some_and(|answered| answered.order < left.order);
        let waits = by == Side::Client && !answered && !asked.unsure;
        (waits && waited >= LEFT_WAITING).then_some(waited)
    }

    /// Since when the connection was idle: the end of its last answer, or, of TLS that is not read,
    /// its last record of data.
    fn idle_from(&self) -> Option<Timestamp> {
        match self.pairing.unread_tls() {
            Some(tls) => tls.last_record().map(|mark| mark.time),
            None => self
                .pairing
                .last_response_end()
                .filter(|_| self.last_verdict == Some(Verdict::Ok)),
        }
    }

    /// Why the verdict on TLS is not certain.
    fn tls_doubt(
        &self,
        connection: &TrackedConnection,
        verdict: Verdict,
        close: Option<Close>,
    ) -> Option<Doubt> {
        if !matches!(
            verdict,
            Verdict::TlsUnanswered | Verdict::TlsFailed | Verdict::TlsLeftWaiting
        ) {
            return None;
        }
        let evidence = connection.evidence();
        if evidence.one_sided {
            return Some(Doubt::OneSided);
        }
        let tls = self.pairing.unread_tls();
        if tls.is_some_and(Session::is_done) {
            // Only the lengths of encrypted records tell this.
            let holes = tls.is_some_and(Session::has_holes);
            return Some(if holes {
                Doubt::SequenceHole
            } else {
                Doubt::Encrypted
            });
        }
        // A RST without an ACK comes from a socket that is gone: what closed it was not seen. Without
        // an ACK of the hello the path may be gone, not the server.
        let bare = [evidence.client.rst, evidence.server.rst];
        let bare = bare.into_iter().flatten().any(|rst| !rst.has_ack);
        let heard = evidence
            .client
            .data_acked
            .is_some_and(|acked| acked > Offset::ORIGIN);
        let lost = evidence.client.lacks_fin || evidence.server.lacks_fin;
        let proven = heard && !lost && !(bare && close.is_some_and(|close| close.reset));
        (!proven).then_some(Doubt::SequenceHole)
    }

    fn describe(&self, connection: &TrackedConnection, now: Timestamp) -> Connection {
        let first = first_close(connection);
        let farewell = first.and_then(|first| self.farewell_before(first));
        let closed = farewell.and_then(|said| first_close_of(connection, said.by));
        let close = closed.or(first);
        let farewell = farewell.filter(|_| closed.is_some());
        let encrypted = self.pairing.tls().is_some();
        let left = farewell.map(|said| said.mark);
        let left = left.or(close.map(|close| close.mark));
        let waited = close.zip(left);
        let waited = waited.and_then(|(close, left)| self.left_waiting(close.by, left));
        let verdict = verdict(connection, now)
            .or_else(|| self.of_tls(connection, close, now))
            .or(waited.map(|_| Verdict::TlsLeftWaiting));
        let (client, server) = (connection.client(), connection.server());
        let (envoy, _) = envoy::flags(&Seen {
            verdict: verdict.unwrap_or(Verdict::Ok),
            client,
            announced: None,
            gave_up_after: None,
            acknowledged: true,
            silent_for: None,
            shape: ResponseShape::Unread,
            reset: false,
            stream_ended: false,
            defect: None,
            answered_by: None,
        });
        let protocol = match self.pairing.protocol() {
            Protocol::None if connection.spoke() => Protocol::Unknown,
            known => known,
        };
        let last_spoke = match (farewell, close.filter(|_| encrypted)) {
            (Some(said), _) => said.before,
            (None, Some(close)) => before_farewell(connection, close),
            (None, None) => connection.last_spoke(),
        };
        let since = |from: Option<Mark>, to: Option<Mark>| Some(to?.time - from?.time);
        let not_negative = |span: Option<Span>| span.filter(|&span| span >= Span::ZERO);
        let opening = connection.opening();
        let syn = opening.syn.map(|syn| syn.first);
        let counts = self.pairing.counts();
        Connection {
            id: connection.id(),
            client,
            server,
            protocol,
            role_guessed: connection.role_is_guessed(),
            first: connection.first(),
            syn,
            handshake: not_negative(since(syn, opening.opened)),
            syn_to_synack: not_negative(since(syn, opening.synack)),
            syn_retries: opening.syn.map_or(0, |syn| syn.retries),
            verdict,
            doubt: verdict.and_then(|verdict| self.tls_doubt(connection, verdict, close)),
            envoy,
            close,
            idle: waited.or_else(|| {
                let idle = left?.time - self.idle_from()?;
                (idle >= Span::ZERO).then_some(idle)
            }),
            server_answered_others: false,
            accept_queue: self.accept_queue,
            silence: left.and_then(|left| Some(left.time - last_spoke?.1.time)),
            last_byte_by: last_spoke.map(|(side, _)| side),
            goaway: self.pairing.streams().and_then(Streams::gone_away),
            max_concurrent: self.pairing.streams().and_then(Streams::max_concurrent),
            tunnel: self.pairing.is_tunnel(),
            tls: self.told_tls(verdict).map(Box::new),
            exchanges: self.settled,
            orphan_responses: counts.orphan_responses,
            hidden_bytes: match protocol {
                Protocol::Http1 => counts.hidden_bytes,
                _ => 0,
            },
            retransmissions: connection.retransmissions(),
            dns: None,
        }
    }
}

impl tcp::Application for Exchanges {
    fn speaker(&self, bytes: &[u8]) -> Option<Side> {
        self.pairing.speaker(bytes)
    }

    fn swap_sides(&mut self) {
        self.pairing.swap_sides();
    }

    fn expected(&self, side: Side) -> Option<u64> {
        self.pairing.expected(side)
    }

    fn tell(&mut self, side: Side, event: StreamEvent<'_>) {
        self.pairing.tell(side, event);
    }

    fn weight(&self) -> usize {
        self.pairing.weight()
    }
}

/// Adds what the kernel said of an exchange's sockets while it waited.
fn tell_sockets(open: &mut PendingExchange) {
    let Some(observed) = open.observed.take() else {
        return;
    };
    let exchange = &mut open.exchange;
    let events = &exchange.events;
    let start = events.request_start;
    let sent = events.request_end.or(events.request_last).unwrap_or(start);
    let ends = [
        events.response_start,
        events.late_response,
        events.client_fin,
        events.client_rst,
        events.server_fin,
        events.server_rst,
    ];
    // The end of an idle connection may have been under way when the request came.
    let ends = ends.into_iter().flatten().map(|mark| mark.time);
    let until = ends.filter(|end| *end >= start.time).min();
    let Some((sockets, full)) = observed.end(sent.time, until) else {
        return;
    };
    if let Some(cost) = sockets.unread.filter(|&span| span >= UNREAD) {
        exchange.findings.push(Finding {
            kind: FindingKind::UnreadRequest,
            side: Side::Server,
            frames: vec![sent],
            cost,
        });
    }
    if let Some(full) = full {
        exchange.findings.push(Finding {
            kind: FindingKind::AcceptQueueFull,
            side: Side::Server,
            frames: vec![start],
            cost: full - start.time,
        });
    }
    exchange.sockets = Some(Box::new(sockets));
}

/// The verdict on a connection that never opened.
fn verdict(connection: &TrackedConnection, now: Timestamp) -> Option<Verdict> {
    let opening = connection.opening();
    let syn = opening.syn.filter(|_| connection.never_opened())?;
    if opening.refused.is_some() {
        return Some(Verdict::ConnectRefused);
    }
    let waited = now - syn.first.time >= CONNECT_TIMEOUT;
    (syn.retries > 0 && waited).then_some(Verdict::ConnectTimeout)
}

/// The latest packet with payload, without the alert with which TLS announces a close (RFC 8446,
/// 6.1): it is part of that close.
fn before_farewell(connection: &TrackedConnection, close: Close) -> Option<(Side, Mark)> {
    let last = connection.last_spoke()?;
    let parting = last.0 == close.by && close.mark.time - last.1.time <= PARTING;
    let before = parting.then(|| connection.spoke_before_farewell());
    Some(before.flatten().unwrap_or(last))
}

/// The first FIN or RST, unless a FIN that the capture lacks may have come before it.
fn first_close(connection: &TrackedConnection) -> Option<Close> {
    let evidence = connection.evidence();
    if evidence.client.lacks_fin || evidence.server.lacks_fin {
        return None;
    }
    let closes = [Side::Client, Side::Server].map(|by| first_close_of(connection, by));
    closes
        .into_iter()
        .flatten()
        .min_by_key(|close| close.mark.order)
}

/// A side's first FIN or RST.
fn first_close_of(connection: &TrackedConnection, by: Side) -> Option<Close> {
    let evidence = connection.evidence();
    let side = match by {
        Side::Client => evidence.client,
        Side::Server => evidence.server,
    };
    let close = |seen: Option<CloseEvidence>, reset| {
        let mark = seen?.mark;
        Some(Close { by, reset, mark })
    };
    let closes = [close(side.fin, false), close(side.rst, true)];
    closes
        .into_iter()
        .flatten()
        .min_by_key(|close| close.mark.order)
}
