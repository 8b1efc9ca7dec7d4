//! Words that several parts of a page share.

use crate::exchange::{Gap, Verdict};
use crate::protocol::tls::Part;

/// A gap in a few words, beside its name.
pub(super) const fn gap_in_words(gap: Gap) -> &'static str {
    match gap {
        Gap::RequestDuration => "sending the request",
        Gap::RequestToAck => "request sent → the server's kernel has it",
        Gap::RequestToResponse => "request sent → the answer begins",
        Gap::RequestSilence => "the request stopped → what ended the wait",
        Gap::ResponseSilence => "answer's last byte → the close that decided",
        Gap::Wait => "what the caller waited, connecting included",
        Gap::AfterPrevious => "pipelined: the answer before → this one begins",
        Gap::ResponseDuration => "receiving the answer",
        Gap::ResponseToAck => "answer complete → the client's ACK",
        Gap::Total => "request's first byte → answer's last",
        Gap::RequestToClientClose => "request sent → the client closes",
        Gap::AckToClientClose => "the server's ACK → the client closes",
        Gap::RequestToServerClose => "request sent → the server closes",
        Gap::ClientCloseToLateResponse => "the client closes → the answer comes, too late",
        Gap::IdleBefore => "the connection idled before",
    }
}

/// A part of a TLS handshake in a few words, beside its name.
pub(super) const fn handshake_in_words(part: Part) -> &'static str {
    match part {
        Part::Whole => "TLS: the client's hello → the end of the handshake",
        Part::Server => "TLS: the client's hello → the server's",
        Part::Client => "TLS: the server's last → the client goes on",
    }
}

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
        Verdict::ServerResetEarlyAnswer => {
            "the server answered before it had the request, and reset the rest"
        }
        Verdict::ServerInvalidResponse => "the answer is one that a proxy must refuse",
        Verdict::Upgraded => "what follows is no HTTP any more",
        Verdict::Unanswered => "the capture ended before the answer",
        Verdict::Refused => "the server did not process it: it may be sent again",
        Verdict::ConnectRefused => "the connection was refused",
        Verdict::ConnectTimeout => "the connection was never answered",
        Verdict::TlsUnanswered => "the TLS hello was never answered",
        Verdict::TlsFailed => "the TLS handshake failed",
        Verdict::TlsLeftWaiting => "the client closed while it waited, as far as TLS lets see",
        Verdict::TlsRefusedPlain => "TLS to a port that speaks plain text",
        Verdict::PlainRefusedTls => "plain text to a port that speaks TLS",
    }
}
