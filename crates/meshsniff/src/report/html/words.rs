//! Words that several parts of a page use.

use crate::exchange::{Gaps, Verdict};

/// What each gap of [`Gaps::NAMES`] is, beside its name.
pub(super) const GAP_WORDS: [&str; Gaps::COUNT] = [
    "sending the request",
    "request sent → the server's kernel has it",
    "request sent → the answer begins",
    "pipelined: the answer before → this one begins",
    "receiving the answer",
    "answer complete → the client's ACK",
    "request's first byte → answer's last",
    "request sent → the client closes",
    "the server's ACK → the client closes",
    "request sent → the server closes",
    "the client closes → the answer comes, too late",
    "the connection idled before",
];

/// A verdict in a few words.
pub(super) const fn verdict_in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "the whole answer came",
        Verdict::ClientGaveUp => "the client closed before any byte of an answer",
        Verdict::ClientGaveUpMidResponse => "the client closed inside the answer",
        Verdict::ClientAbortedRequest => "the client closed inside its own request",
        Verdict::ServerClosedUnanswered => "the server closed without an answer",
        Verdict::ServerResetUnanswered => "the server reset without an answer",
        Verdict::ServerTruncatedResponse => "the server broke off its answer",
        Verdict::Upgraded => "what follows is no HTTP any more",
        Verdict::Unanswered => "the capture ended before the answer",
        Verdict::ConnectRefused => "the connection was refused",
        Verdict::ConnectTimeout => "the connection was never answered",
    }
}
