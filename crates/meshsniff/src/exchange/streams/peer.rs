//! What a side says of itself and of the connection: settings, pings, goodbye.

use crate::exchange::model::{Finding, FindingKind, Side};
use crate::exchange::pending::PendingExchange;
use crate::packet::Mark;
use crate::protocol::http2::frame::ErrorCode;
use crate::time::Span;

/// A ping or settings that wait for this long are not answered.
const UNANSWERED: Span = Span::from_secs(1);

/// What one side said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    /// Most streams that the other may have open at once.
    pub(super) max_concurrent: Option<u32>,
    /// Its latest GOAWAY: the last stream that it processes, and why.
    pub(super) goaway: Option<(u32, ErrorCode, Mark)>,
    /// Its oldest ping that was not answered.
    ping: Option<([u8; 8], Mark)>,
    /// Its oldest settings that were not acknowledged, and how many were sent since.
    settings: Option<(Mark, u32)>,
}

impl Peer {
    pub(super) fn pinged(&mut self, payload: [u8; 8], mark: Mark) {
        self.ping.get_or_insert((payload, mark));
    }

    /// The other side answered a ping.
    pub(super) fn ping_answered(&mut self, payload: [u8; 8]) {
        self.ping.take_if(|(sent, _)| *sent == payload);
    }

    pub(super) fn settings_sent(&mut self, mark: Mark) {
        let (_, count) = self.settings.get_or_insert((mark, 0));
        *count += 1;
    }

    pub(super) fn settings_taken(&mut self) {
        if let Some((_, count)) = &mut self.settings {
            *count -= 1;
            if *count == 0 {
                self.settings = None;
            }
        }
    }

    /// Frames of the other side are missing: what is not answered may have been.
    pub(super) const fn lose(&mut self) {
        self.ping = None;
        self.settings = None;
    }

    /// At the end: notes what `other` did not answer, beside an exchange that was open then.
    pub(super) fn note_unanswered(&self, open: &mut PendingExchange, other: Side, now: Mark) {
        let ping = self.ping.map(|(_, mark)| (FindingKind::PingUnanswered, mark));
        let settings = self
            .settings
            .map(|(mark, _)| (FindingKind::SettingsUnacknowledged, mark));
        for (kind, mark) in [ping, settings].into_iter().flatten() {
            let cost = now.time - mark.time;
            if cost >= UNANSWERED {
                open.note(Finding {
                    kind,
                    side: other,
                    frames: vec![mark],
                    cost,
                });
            }
        }
    }
}
