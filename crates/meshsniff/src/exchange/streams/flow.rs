//! Flow control (RFC 9113, 5.2): what a side may still send, and the streams that had to wait.

use super::Streams;
use super::state::index;
use crate::exchange::model::{Finding, FindingKind, Side};
use crate::exchange::pending::PendingExchange;
use crate::packet::Mark;
use crate::protocol::http2::frame::Setting;
use crate::protocol::http2::reader::Data;
use crate::time::{Span, Timestamp};

/// What a window is until somebody says otherwise.
const DEFAULT: i64 = 65_535;

/// A wait for a window that is shorter than this is none.
const STALL: Span = Span::from_millis(1);

/// What may be sent in one direction.
#[derive(Debug)]
pub(super) struct Flow {
    /// On the connection; `None` where that is not known.
    window: Option<i64>,
    /// On a stream that begins; `None` where that is not known.
    initial: Option<i64>,
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
fn note(
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

impl Streams {
    /// `side` sent a part of a body.
    pub(super) fn sent(&mut self, side: Side, data: &Data<'_>, mark: Mark) {
        let counted = i64::from(data.counted);
        let window = &mut self.way(side).flow.window;
        *window = window.map(|left| left - counted);
        let of_connection = *window;
        let Some(open) = self.open.get_mut(&data.stream) else {
            return;
        };
        let at = index(side);
        let stream = open.stream_mut();
        if counted > 0
            && let Some(blocked) = stream.blocked[at].take()
        {
            note(open, side, blocked, mark.time);
        }
        let stream = open.stream_mut();
        let window = &mut stream.windows[at];
        *window = window.map(|left| left - counted);
        let used_up = [*window, of_connection]
            .into_iter()
            .flatten()
            .any(|left| left <= 0);
        if used_up && !data.end_stream && stream.blocked[at].is_none() {
            stream.blocked[at] = Some((mark, None));
        }
    }

    /// `side` lets the other send more.
    pub(super) fn window_update(&mut self, side: Side, stream: u32, increment: u32, mark: Mark) {
        let sender = side.other();
        let at = index(sender);
        let more = i64::from(increment);
        if stream == 0 {
            let flow = &mut self.way(sender).flow;
            flow.window = flow.window.map(|left| left + more);
        } else if let Some(open) = self.open.get_mut(&stream) {
            let window = &mut open.stream_mut().windows[at];
            *window = window.map(|left| left + more);
        }
        let of_connection = self.way(sender).flow.window;
        let wakes = |open: &mut PendingExchange| {
            let stream = open.stream_mut();
            let left = [stream.windows[at], of_connection];
            if left.into_iter().flatten().all(|left| left > 0)
                && let Some((_, opened)) = &mut stream.blocked[at]
            {
                opened.get_or_insert(mark);
            }
        };
        if stream == 0 {
            self.open.values_mut().for_each(|open| wakes(open));
        } else if let Some(open) = self.open.get_mut(&stream) {
            wakes(open);
        }
    }

    /// `side` set a limit for the other.
    pub(super) fn setting(&mut self, side: Side, setting: Setting) {
        let sender = side.other();
        match setting {
            Setting::HeaderTableSize(_) => {}
            Setting::MaxConcurrentStreams(most) => self.way(side).peer.max_concurrent = Some(most),
            Setting::InitialWindowSize(bytes) => {
                let new = i64::from(bytes);
                let flow = &mut self.way(sender).flow;
                let old = flow.initial.replace(new);
                let at = index(sender);
                for open in self.open.values_mut() {
                    let window = &mut open.stream_mut().windows[at];
                    *window = window.zip(old).map(|(left, old)| left + new - old);
                }
            }
        }
    }
}
