//! What is told of a WebSocket: plain data.

use crate::protocol::websocket::{Frames, Violation, is_failure};
use crate::tcp::Side;
use crate::time::Span;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// What came in a tunnel of WebSocket, and how it ended. Of pairs the first is the client's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebSocket {
    /// Frames that were read.
    pub frames: [Frames; 2],
    /// Whether those are all: no bytes are missing that may have held others.
    pub whole: [bool; 2],
    /// Bytes of the payloads of those frames.
    pub bytes: [u64; 2],
    /// Messages that were compressed.
    pub compressed: [u64; 2],
    /// The longest time from a Ping to its Pong; `None` if none was answered.
    pub longest_pong: Option<Span>,
    /// The side whose Close came first.
    pub closed_by: Option<Side>,
    /// The code in that Close, if it has one.
    pub close_code: Option<u16>,
    /// The reason in it.
    pub close_reason: Option<CompactString>,
    /// Whether the other side answered with a Close of its own.
    pub close_answered: bool,
    /// The first thing that no side may do, and who did it.
    pub violation: Option<(Side, Violation)>,
    /// The longest time in which no byte came, up to the end.
    pub longest_silence: Span,
}

impl WebSocket {
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.close_reason.as_ref().map_or(0, |text| text.len())
    }

    /// Whether all frames of both sides were read.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole[0] && self.whole[1]
    }

    /// Pings of both sides.
    #[must_use]
    pub const fn pings(&self) -> u64 {
        self.frames[0].ping.saturating_add(self.frames[1].ping)
    }

    /// The code of the Close that came first, if it says that something failed.
    #[must_use]
    pub fn failure(&self) -> Option<u16> {
        self.close_code.filter(|code| is_failure(*code))
    }
}
