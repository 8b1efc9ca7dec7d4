//! Windows of flow control (RFC 9113, 5.2), and streams that had to wait for one to open.

use crate::exchange::model::{Finding, FindingKind, Side};
use crate::exchange::pending::PendingExchange;
use crate::exchange::stream::index;
use crate::packet::Mark;
use crate::time::{Span, Timestamp};
use std::collections::BTreeSet;

/// What a window is until somebody says otherwise.
const DEFAULT: i64 = 65_535;

/// Streams that wait for the connection's window: no server permits so many.
const MAX_WAITING: usize = 4096;

/// A wait for a window that is shorter than this is none.
const STALL: Span = Span::from_millis(1);

/// What may be sent in one direction.
#[derive(Debug)]
pub(super) struct Flow {
    /// On the connection; `None` where that is not known.
    pub(super) window: Option<i64>,
    /// On a stream that begins; `None` where that is not known.
    initial: Option<i64>,
    /// Streams that may go on when the connection's window opens.
    waiting: BTreeSet<u32>,
}

impl Flow {
    pub(super) fn new(whole: bool) -> Self {
        let known = whole.then_some(DEFAULT);
        Self {
            window: known,
            initial: known,
            waiting: BTreeSet::new(),
        }
    }

    /// Streams begin with this window from now on, and the others' change by the difference.
    pub(super) fn set_initial(&mut self, bytes: u32) {
        self.initial = self.initial.map(|_| i64::from(bytes));
    }

    /// Frames are missing: nobody knows what was sent, from now on.
    pub(super) fn lose(&mut self) {
        self.window = None;
        self.initial = None;
        self.waiting.clear();
    }

    /// Whether nothing can be sent on a stream that may send so much beyond what it began with.
    pub(super) fn is_used_up(&self, credits: i64) -> bool {
        let of_stream = self.initial.map(|initial| initial + credits);
        let mut known = [of_stream, self.window].into_iter().flatten();
        known.any(|left| left <= 0)
    }

    /// A stream cannot send: if the connection's window is used up, it waits for that. Its own is
    /// looked at when somebody opens it.
    pub(super) fn wait(&mut self, stream: u32) {
        let used_up = self.window.is_some_and(|left| left <= 0);
        if used_up && self.waiting.len() < MAX_WAITING {
            self.waiting.insert(stream);
        }
    }

    /// The streams that waited, if the connection's window is open.
    pub(super) fn wake(&mut self) -> Vec<u32> {
        if self.window.is_none_or(|left| left <= 0) {
            return Vec::new();
        }
        std::mem::take(&mut self.waiting).into_iter().collect()
    }

    /// The exchange ends: if `side` still could not send, that held it up.
    pub(super) fn end(open: &mut PendingExchange, side: Side, now: Timestamp) {
        let done = match side {
            Side::Client => open.request.upto.is_some(),
            Side::Server => open.is_answered(),
        };
        let end = open.stream.as_ref().and_then(|stream| stream.close);
        let end = end.map_or(now, |close| close.close.mark.time);
        let blocked = open.stream_mut().blocked[index(side)].take();
        if let Some((since, opened)) = blocked.filter(|_| !done) {
            note(open, side, (since, opened), end);
        }
    }
}

/// `side` could not send from one packet to the other, or until this time.
pub(super) fn note(
    open: &mut PendingExchange,
    side: Side,
    (since, opened): (Mark, Option<Mark>),
    until: Timestamp,
) {
    let cost = opened.map_or(until, |opened| opened.time) - since.time;
    if cost >= STALL {
        open.note(Finding {
            kind: FindingKind::FlowControlStall,
            side: side.other(),
            frames: [Some(since), opened].into_iter().flatten().collect(),
            cost,
        });
    }
}
