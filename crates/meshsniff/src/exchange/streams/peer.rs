//! What a side says of itself and of the connection: settings, pings, goodbye.

use crate::exchange::model::{Finding, FindingKind, Side};
use crate::exchange::pending::PendingExchange;
use crate::packet::Mark;
use crate::protocol::http2::frame::ErrorCode;
use crate::protocol::http2::limits::Limits;
use crate::time::{Span, Timestamp};

/// A ping or settings that wait for this long are not answered.
const UNANSWERED: Span = Span::from_secs(1);

/// What one side said.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// Most streams that the other may have open at once.
    pub(super) max_concurrent: Option<u32>,
    /// Its latest GOAWAY: the last stream that it processes, and why.
    pub(super) goaway: Option<(u32, ErrorCode, Mark)>,
    /// Its oldest ping that was not answered.
    ping: Option<([u8; 8], Mark)>,
    /// Its oldest settings that were not acknowledged.
    settings: Option<Mark>,
    /// The limit of the header table in each of its settings that were not acknowledged.
    limits: Limits,
}

impl Peer {
    pub(super) fn pinged(&mut self, payload: [u8; 8], mark: Mark) {
        self.ping.get_or_insert((payload, mark));
    }

    /// The other side answered a ping.
    pub(super) fn ping_answered(&mut self, payload: [u8; 8]) {
        self.ping.take_if(|(sent, _)| *sent == payload);
    }

    /// It sent settings, with this limit of the header table, if with one.
    pub(super) fn settings_sent(&mut self, limit: Option<u32>, mark: Mark) {
        self.settings.get_or_insert(mark);
        self.limits.sent(limit);
    }

    /// The other side acknowledged its settings, the oldest of those that are not. Returns the limit
    /// of the header table that is in force from now on, if they had one.
    pub(super) fn settings_taken(&mut self) -> Option<u32> {
        let limit = self.limits.taken();
        if self.limits.is_empty() {
            self.settings = None;
        }
        limit
    }

    /// Frames of the other side are missing: what is not answered may have been.
    pub(super) fn lose(&mut self) {
        self.ping = None;
        self.settings = None;
        self.limits.lose();
    }

    /// At the end: notes what `other` did not answer, beside an exchange that was open then.
    pub(super) fn note_unanswered(&self, open: &mut PendingExchange, other: Side, now: Timestamp) {
        let ping = self
            .ping
            .map(|(_, mark)| (FindingKind::PingUnanswered, mark));
        let settings = self
            .settings
            .map(|mark| (FindingKind::SettingsUnacknowledged, mark));
        for (kind, mark) in [ping, settings].into_iter().flatten() {
            let cost = now - mark.time;
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
