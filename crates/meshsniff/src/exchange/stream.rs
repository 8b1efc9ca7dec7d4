//! What an exchange has that is one stream of several.

use super::model::{Doubt, Side};
use crate::packet::Mark;
use crate::protocol::http2::frame::ErrorCode;
use crate::tcp::{CloseEvidence, Offset, Scope};

/// The end of a stream alone, before both sides were done with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamClose {
    /// Who ended it.
    pub(super) by: Side,
    /// The reason given.
    pub(super) code: ErrorCode,
    /// Whether a GOAWAY did it, for every stream above its last.
    pub(super) by_goaway: bool,
    /// Whether it was inside the exchange: not behind an answer that was whole by then, and that the
    /// client had taken where it is the client's.
    pub(super) is_inside: bool,
    /// The frame, as evidence.
    pub(super) close: CloseEvidence,
}

impl StreamClose {
    /// The server will not process the stream: its GOAWAY, before `upto`, names a lower one as the
    /// last.
    pub(super) const fn refused_by_goaway(
        code: ErrorCode,
        mark: Mark,
        upto: Offset,
        acked: Option<Offset>,
    ) -> Self {
        Self {
            by: Side::Server,
            code,
            by_goaway: true,
            is_inside: true,
            close: CloseEvidence {
                scope: Scope::Connection,
                mark,
                at: upto,
                acked,
                has_ack: true,
                claimed: None,
                is_next: true,
            },
        }
    }

    /// Whether the server says that it did not process the stream: it may be tried again.
    pub(super) fn is_refusal(&self) -> bool {
        self.by == Side::Server && (self.by_goaway || self.code == ErrorCode::REFUSED_STREAM)
    }
}

/// State of an exchange that is one stream of several.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamState {
    /// Bytes of its frames, by side: heads compressed as they were sent, padding aside.
    pub(super) bytes: [u64; 2],
    /// Its end, if it was not by both sides being done.
    pub(super) close: Option<StreamClose>,
    /// Whether the other side acknowledged that end.
    pub(super) close_acked: bool,
    /// Bytes of the answer's body that are to come, where its head says how many there are.
    pub(super) to_come: Option<u64>,
    /// Where that many had come, and in which packet: the frame that ends the stream may come later.
    pub(super) body_whole: Option<(Mark, Offset)>,
    /// Why frames of it may be missing that would change what became of it.
    pub(super) doubt: Option<Doubt>,
    /// What a side may send beyond what a stream begins with, by side: less than nothing of what
    /// it has sent.
    pub(super) credits: [i64; 2],
    /// Since when a side cannot send, and when it could again.
    pub(super) blocked: [Option<(Mark, Option<Mark>)>; 2],
}

/// The index of a side in what is kept by side.
pub(super) const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl StreamState {
    /// Whether nothing that may still come can change what became of it.
    pub(super) const fn is_over(&self) -> bool {
        self.close.is_some() && self.close_acked
    }
}
