//! The exchanges of one connection that are not settled yet, in the order of their requests.

use super::pending::{Acks, PendingExchange};
use super::tunnel::Tunnel;
use crate::tcp::{Ack, Extent, Side};
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Most requests waiting for their answers on one connection. No server takes so many.
const MAX_WAITING: usize = 1024;

/// Requests in the order they were sent: first those that have their whole response.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Box<PendingExchange>>,
    /// How many of them, from the front, have their whole response.
    answered: usize,
    /// Exchanges that a boundary in the client's stream has ended.
    ended: VecDeque<Box<PendingExchange>>,
    /// When the last response ended; `None` if it is not known when.
    last_end: Option<Timestamp>,
    /// When the last response ended of which that is known.
    last_response_end: Option<Timestamp>,
    /// The latest acknowledgments of the client's and of the server's bytes, for messages whose end
    /// is told only afterwards.
    client_acked: Acks,
    server_acked: Acks,
}

impl Queue {
    /// Bytes that the exchanges take.
    pub(super) fn weight(&self) -> usize {
        let all = self.waiting.iter().chain(&self.ended);
        all.map(|open| open.weight()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
    }

    /// Whether a request waits for its answer.
    pub(super) fn is_answer_due(&self) -> bool {
        self.waiting.len() > self.answered
    }

    /// The request that the server answers next.
    pub(super) fn due(&mut self) -> Option<&mut PendingExchange> {
        self.waiting.get_mut(self.answered).map(|open| &mut **open)
    }

    /// The request that the server answers next, if nothing of that answer has come.
    pub(super) fn unanswered(&mut self) -> Option<&mut PendingExchange> {
        let open = self.due()?;
        open.exchange
            .events
            .response_start
            .is_none()
            .then_some(open)
    }

    /// Every request that waits for its answer, from the one answered next on.
    pub(super) fn all_due(&mut self) -> impl Iterator<Item = &mut PendingExchange> {
        let answered = self.answered;
        self.waiting
            .iter_mut()
            .skip(answered)
            .map(|open| &mut **open)
    }

    /// The request that was sent last.
    pub(super) fn latest(&mut self) -> Option<&mut PendingExchange> {
        self.waiting.back_mut().map(|open| &mut **open)
    }

    /// The WebSocket that the connection has become.
    pub(super) fn tunnel(&mut self) -> Option<&mut Tunnel> {
        let mut waiting = self.waiting.iter_mut();
        waiting.find_map(|open| open.tunnel.as_deref_mut())
    }

    /// The same, to be looked at.
    pub(super) fn tunnel_seen(&self) -> Option<&Tunnel> {
        self.waiting.iter().find_map(|open| open.tunnel.as_deref())
    }

    /// The oldest exchange that is not settled.
    pub(super) fn oldest(&mut self) -> Option<&mut PendingExchange> {
        self.waiting.front_mut().map(|open| &mut **open)
    }

    /// A request begins.
    pub(super) fn push(&mut self, mut open: Box<PendingExchange>) {
        open.exchange.pipelined = self.is_answer_due();
        open.previous_end = match self.waiting.back() {
            Some(before) => before.exchange.events.response_end.map(|end| end.time),
            None => self.last_end,
        };
        self.waiting.push_back(open);
    }

    /// What began last was no request.
    pub(super) fn withdraw(&mut self) {
        self.waiting.pop_back();
    }

    /// Takes out the request that the server answers next.
    pub(super) fn take_due(&mut self) -> Option<Box<PendingExchange>> {
        self.waiting.remove(self.answered)
    }

    /// The response that was due is over.
    pub(super) fn count_answered(&mut self) {
        if let Some(open) = self.due() {
            let end = open.exchange.events.response_end;
            self.last_end = end.map(|end| end.time);
            self.last_response_end = self.last_end.or(self.last_response_end);
            self.answered += 1;
        }
        let last_end = self.last_end;
        if let Some(next) = self.due() {
            next.previous_end = last_end;
        }
    }

    /// Bytes of `side` were acknowledged.
    pub(super) fn acknowledged(&mut self, side: Side, ack: Ack) {
        match side {
            Side::Client => self.client_acked.push(ack),
            Side::Server => self.server_acked.push(ack),
        }
        for open in &mut self.waiting {
            open.acknowledged(side, ack);
        }
    }

    /// The exchange to which bytes of `side` belong.
    pub(super) fn owner(&mut self, side: Side, extent: Extent) -> Option<&mut PendingExchange> {
        let belongs = |open: &&mut Box<PendingExchange>| {
            let (start, end) = match side {
                Side::Client => (Some(open.request_from), open.request.upto),
                Side::Server => (open.answer.any, open.response.upto),
            };
            end.is_none_or(|end| extent.from < end)
                && start.is_some_and(|start| extent.upto > start)
        };
        self.waiting
            .iter_mut()
            .find(belongs)
            .map(|open| &mut **open)
    }

    /// The answer that is due ended at its last byte seen before now.
    pub(super) fn end_due_request(&mut self) {
        let answered = self.answered;
        if let Some(open) = self.waiting.get_mut(answered) {
            open.end_unreadable_request(&self.client_acked);
        }
    }

    /// The frame that acknowledged the answer due, which ended in `last`, if one did.
    pub(super) const fn server_acked(&self) -> &Acks {
        &self.server_acked
    }

    /// Ends everything that waits, at a boundary in the client's stream. `close` is called for each
    /// that is surely a request, before its messages are closed.
    pub(super) fn end_all(&mut self, mut close: impl FnMut(&mut PendingExchange)) {
        for mut open in std::mem::take(&mut self.waiting) {
            if !open.confirmed {
                continue;
            }
            self.close(&mut open, &mut close);
            if let Some(end) = open.exchange.events.response_end {
                self.last_end = Some(end.time);
                self.last_response_end = Some(end.time);
            }
            self.ended.push_back(open);
        }
        self.answered = 0;
    }

    /// Everything left, at the end of the connection or of the capture.
    pub(super) fn take_rest(
        &mut self,
        mut close: impl FnMut(&mut PendingExchange),
    ) -> VecDeque<Box<PendingExchange>> {
        let mut rest = std::mem::take(&mut self.waiting);
        for open in &mut rest {
            self.close(open, &mut close);
        }
        rest
    }

    fn close(&self, open: &mut PendingExchange, close: &mut impl FnMut(&mut PendingExchange)) {
        open.end_unreadable_request(&self.client_acked);
        close(open);
        open.end_unreadable_response(&self.server_acked);
    }

    /// Whether there is an exchange that nothing can change any more.
    #[inline]
    pub(super) fn has_settled(&self) -> bool {
        !self.ended.is_empty() || self.waiting.front().is_some_and(|open| open.is_settled())
    }

    /// The next exchange that nothing can change any more, and whether a boundary ended it.
    pub(super) fn take_settled(&mut self) -> Option<(Box<PendingExchange>, bool)> {
        if let Some(open) = self.ended.pop_front() {
            return Some((open, true));
        }
        if !self.has_settled() {
            return None;
        }
        let open = self.waiting.pop_front();
        self.answered = self.answered.saturating_sub(1);
        open.map(|open| (open, false))
    }

    /// When the last finished response ended.
    pub(super) const fn last_response_end(&self) -> Option<Timestamp> {
        self.last_response_end
    }
}
