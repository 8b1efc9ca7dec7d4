//! What is handed out: exchanges as they are settled, and in the end the connection.

use super::super::envoy::{self, Seen};
use super::super::judge::{self, CloseSeen, Wire};
use super::super::model::{
    Close, Connection, Exchange, Finding, FindingKind, Protocol, ResponseShape, Verdict,
};
use super::super::open::Open;
use super::{CONNECT_TIMEOUT, Role, Shared, Watched};
use crate::packet::Mark;
use crate::time::{Span, Timestamp};

impl Watched {
    pub(super) fn settle(&mut self, shared: &mut Shared<'_>, settled: &mut dyn FnMut(&Exchange)) {
        while let Some((open, at_boundary)) = self.pairing.take_settled() {
            let wire = self.wire(shared, at_boundary);
            self.hand_out(open, &wire, shared, settled);
        }
    }

    /// Judges an exchange and hands it out. Returns when its response, or the close that decided it, came.
    pub(super) fn hand_out(
        &mut self,
        mut open: Box<Open>,
        wire: &Wire,
        shared: &mut Shared<'_>,
        settled: &mut dyn FnMut(&Exchange),
    ) -> Option<Timestamp> {
        judge::settle(&mut open, wire);
        let exchange = &mut open.exchange;
        exchange.id = *shared.next_exchange;
        *shared.next_exchange += 1;
        if let Some(syn) = self.syn.filter(|syn| self.settled == 0 && syn.retries > 0) {
            exchange.findings.push(Finding {
                kind: FindingKind::SynRetry,
                frames: vec![syn.first, syn.last],
                cost: syn.last.time - syn.first.time,
            });
        }
        self.settled += 1;
        self.last_verdict = Some(exchange.verdict);
        settled(exchange);
        exchange.decided_at()
    }

    pub(super) fn wire(&self, shared: &Shared<'_>, at_boundary: bool) -> Wire {
        Wire {
            client: self.directions[self.client].describe(),
            server: self.directions[1 - self.client].describe(),
            dropped: shared.dropped,
            one_sided: !(self.directions[0].seen && self.directions[1].seen),
            at_boundary,
        }
    }

    pub(super) fn describe(self, now: Timestamp) -> Connection {
        let verdict = self.verdict(now);
        let (client, server) = (self.ends[self.client], self.ends[1 - self.client]);
        let (envoy, _) = envoy::flags(&Seen {
            verdict: verdict.unwrap_or(Verdict::Ok),
            client,
            announced: None,
            gave_up_after: None,
            shape: ResponseShape::Unread,
            reset: false,
        });
        let close = self.close();
        let spoke = self.directions.iter().any(|direction| direction.spoke);
        let protocol = match self.pairing.protocol {
            Protocol::None if spoke => Protocol::Unknown,
            known => known,
        };
        let since = |from: Option<Mark>, to: Option<Mark>| Some(to?.time - from?.time);
        let not_negative = |span: Option<Span>| span.filter(|&span| span >= Span::ZERO);
        let syn = self.syn.map(|syn| syn.first);
        Connection {
            id: self.id,
            client,
            server,
            protocol,
            role_guessed: self.role == Role::Guessed,
            first: self.first,
            syn,
            handshake: not_negative(since(syn, self.opened)),
            syn_to_synack: not_negative(since(syn, self.synack)),
            syn_retries: self.syn.map_or(0, |syn| syn.retries),
            verdict,
            doubt: None,
            envoy,
            close,
            idle: close
                .filter(|_| self.last_verdict == Some(Verdict::Ok))
                .and_then(|close| Some(close.mark.time - self.pairing.last_response_end?))
                .filter(|&idle| idle >= Span::ZERO),
            exchanges: self.settled,
            orphan_responses: self.pairing.orphan_responses,
            hidden_bytes: match protocol {
                Protocol::Http1 => self.pairing.hidden_bytes,
                _ => 0,
            },
            retransmissions: self.retransmissions,
        }
    }

    /// Whether the SYN was refused, or was never answered as far as the capture shows.
    pub(super) fn never_opened(&self) -> bool {
        let answered = self.synack.is_some() || self.opened.is_some();
        let silent = !self.directions[1 - self.client].seen;
        self.syn.is_some() && !answered && (self.refused.is_some() || silent)
    }

    fn verdict(&self, now: Timestamp) -> Option<Verdict> {
        let syn = self.syn.filter(|_| self.never_opened())?;
        if self.refused.is_some() {
            return Some(Verdict::ConnectRefused);
        }
        let waited = now - syn.first.time >= CONNECT_TIMEOUT;
        (syn.retries > 0 && waited).then_some(Verdict::ConnectTimeout)
    }

    fn close(&self) -> Option<Close> {
        let closes = (0..2).flat_map(|d| {
            let direction = &self.directions[d];
            let by = self.side(d);
            let close = move |seen: Option<CloseSeen>, reset| {
                seen.map(|seen| Close {
                    by,
                    reset,
                    mark: seen.mark,
                })
            };
            [close(direction.fin, false), close(direction.rst, true)]
        });
        let first = closes.flatten().min_by_key(|close| close.mark.order)?;
        // A FIN that the capture lacks may have come before it.
        let lacking = self
            .directions
            .iter()
            .any(|direction| direction.stream.lacks_fin());
        (!lacking).then_some(first)
    }
}
