//! Windows of flow control (RFC 9113, 5.2), and streams that had to wait for one to open.

use crate::exchange::model::{Finding, FindingKind, Side};
use crate::exchange::pending::PendingExchange;
use crate::exchange::stream::index;
use crate::packet::Mark;
use crate::time::{Span, Timestamp};

/// What a window is until somebody says otherwise.
const DEFAULT: i64 = 65_535;

/// A wait for a window that is shorter than this is none.
const STALL: Span = Span::from_millis(1);

/// What may be sent in one direction.
#[derive(Debug)]
pub(super) struct Flow {
    /// On the connection; `None` where that is not known.
    pub(super) window: Option<i64>,
    /// On a stream that begins; `None` where that is not known.
    pub(super) initial: Option<i64>,
}

impl Flow {
    pub(super) fn new(whole: bool) -> Self {
        let known = whole.then_some(DEFAULT);
        Self {
            window: known,
            initial: known,
        }
    }

    /// The window of a stream that begins.
    pub(super) const fn initial(&self) -> Option<i64> {
        self.initial
    }

    /// Frames are missing: nobody knows what was sent.
    pub(super) const fn lose(&mut self) {
        self.window = None;
        self.initial = None;
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
