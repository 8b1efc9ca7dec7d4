//! Where the time went, by the findings of an exchange.

use super::words::{is_refused_header, known};
use crate::exchange::{Exchange, Finding, FindingKind, Reading, Side};
use crate::piece::{At, Bytes, Counted, Grouped, Number, Piece, Spoken, push};
use crate::time::Span;

/// Pushes where the time went, by the findings, if it was not the server that took it.
pub(super) fn costs(out: &mut String, exchange: &Exchange) {
    if exchange.findings.is_empty() {
        return;
    }
    for kind in FindingKind::ALL {
        for side in [Side::Client, Side::Server] {
            if let Some(finding) = costliest(exchange, kind, side) {
                cost(out, exchange, finding);
            }
        }
    }
}

/// Pushes what the server's program did with the request, where its kernel was asked; nothing if it
/// is said already that it did not read it.
pub(super) fn reading(out: &mut String, exchange: &Exchange) {
    let read = exchange.reading() == Some(Reading::Read);
    if let Some(sockets) = exchange.sockets.as_deref().filter(|_| read)
        && let Some(by) = sockets.read_by
    {
        push!(out; " Its program had read the request within ", Spoken(by),
            ": it was at work on it, or waited for others.");
    }
}

/// The costliest finding of a kind about one side.
pub(super) fn costliest(exchange: &Exchange, kind: FindingKind, side: Side) -> Option<&Finding> {
    let findings = exchange.findings.iter();
    let of_kind = findings.filter(|finding| (finding.kind, finding.side) == (kind, side));
    of_kind.max_by_key(|finding| finding.cost)
}

/// Whether a loss explains most of the part of the exchange in which it lay: the wait for the
/// answer, or all of it.
pub(super) fn lost_time(exchange: &Exchange, loss: &Finding) -> bool {
    let twice = loss.cost.as_nanos().saturating_mul(2);
    let gaps = &exchange.gaps;
    let whole = gaps.total.map(|total| match gaps.response_to_ack {
        Some(ack) => total.plus(ack),
        None => total,
    });
    let begun = exchange.events.response_start;
    let in_body = begun.zip(loss.frames.first());
    let in_body = in_body.is_some_and(|(begun, first)| first.order > begun.order);
    // Without a response the wait ended with the close.
    let waited = gaps
        .request_to_response
        .or(gaps.request_to_client_close)
        .or(gaps.request_to_server_close)
        .filter(|_| !in_body);
    let more_than_half = |span: Option<Span>| span.is_some_and(|span| twice > span.as_nanos());
    more_than_half(whole) || more_than_half(waited)
}

/// `, 30 ms later`.
pub(super) fn took_since(finding: &Finding) -> impl Piece {
    (", ", Spoken(finding.cost), " later")
}

pub(super) fn cost(out: &mut String, exchange: &Exchange, finding: &Finding) {
    let whose = match finding.side {
        Side::Client => "client",
        Side::Server => "server",
    };
    let took = Spoken(finding.cost);
    match finding.kind {
        FindingKind::Retransmission => {
            if lost_time(exchange, finding) {
                push!(out; " Packet loss, not the server, cost ", took,
                    " of this (a retransmission of the ", whose, "'s).");
            }
        }
        FindingKind::ZeroWindow => {
            // In a tunnel it may be longer than the wait for the answer.
            let whole = exchange.gaps.wait.filter(|wait| *wait >= finding.cost);
            let whole = whole.map(|wait| (" of ", Spoken(wait)));
            push!(out; " The ", whose, " did not read for ", took, whole,
                ": its receive window was closed.");
        }
        FindingKind::DelayedAckStall => push!(out; " A delayed ACK held the ", whose,
            " up for ", took, " (Nagle's algorithm)."),
        FindingKind::SlowRequestBody => {
            push!(out; " The client took ", took, " to send the request.");
        }
        FindingKind::SynRetry => {
            push!(out; " Opening the connection took a repeated SYN, ", took, ".");
        }
        FindingKind::RequestStalled => {
            let whole = exchange.request_announced;
            let whole = whole.map(|whole| (" of ", Bytes(whole)));
            push!(out; " The client stopped in the middle of its request: ",
                Bytes(exchange.request_bytes), whole, " came, and then nothing for ", took, ".");
        }
        FindingKind::ExpectUnanswered => push!(out; " The client waited ", took,
            " for a 100 Continue that the server never sent."),
        FindingKind::RequestUnacknowledged | FindingKind::ResponseUnacknowledged => {
            let what = match finding.kind {
                FindingKind::RequestUnacknowledged => "request",
                _ => "response",
            };
            push!(out; " The ", whose, " sent bytes of the ", what, " ",
                Counted(finding.frames.len() as u64, "time", "times"), " within ", took,
                ", and nobody acknowledged them");
            let idle = exchange
                .gaps
                .idle_before
                .filter(|&idle| idle >= Span::from_secs(1));
            if exchange.only_large_lost {
                out.push_str(
                    ", while smaller segments came through: the path's MTU is smaller \
                    than its ends believe.",
                );
            } else {
                push!(out; known(", after ", idle), idle.map(|_| " of idling"),
                    ": the path or the other end is gone.");
            }
        }
        FindingKind::DnsRetry => {
            push!(out; " Before the connection a DNS query had no answer and ",
            "was sent again after ", took, ".")
        }
        FindingKind::DnsSlow => push!(out; " Before the connection the lookup of the name in DNS ",
            "took ", took, "."),
        FindingKind::UnreadRequest => {
            let sockets = exchange.sockets.as_deref();
            let bytes = sockets.map(|one| (" (", Bytes(one.unread_bytes), ")"));
            push!(out; " The request lay unread in the server's socket for ", took, bytes, ": ");
            out.push_str(match sockets.and_then(|one| one.accepted) {
                Some(false) => {
                    "its program had not even accepted the connection (a blocked event loop, an \
                     exhausted pool, a stopped process)."
                }
                _ => {
                    "its program did not read it (a blocked event loop, an exhausted pool, a \
                     stopped process)."
                }
            });
        }
        FindingKind::AcceptQueueFull => {
            push!(out; " The server's accept queue was full");
            let sockets = exchange.sockets.as_deref();
            if let Some(listener) = sockets.and_then(|one| one.listener) {
                push!(out; " (", Grouped(listener.waiting.into()), " waiting, its backlog is ",
                    Grouped(listener.most.into()), ")");
            }
            out.push_str(": its program accepts connections too slowly, or its backlog is small.");
        }
        FindingKind::StrangerReset => push!(out; " The connection had been idle for ", took,
            "; a RST without an ACK comes from somebody who does not know it any more: a restart, ",
            "a NAT or balancer on the way that forgot it, or a server that had closed it."),
        FindingKind::Retry => {
            out.push_str(" It is a later try");
            if let Some(id) = exchange.relations.retry_of {
                push!(out; " of exchange ", Number(id), took_since(finding));
            } else if let Some(attempt) = exchange.attempt {
                push!(out; ", number ", Number(u64::from(attempt)));
            }
            out.push('.');
        }
        FindingKind::PortReuse => push!(out; " The client reused the ports of a connection that ",
            "the server still knew: it challenged the SYN", known(", which cost ",
            Some(finding.cost).filter(|&cost| cost > Span::ZERO)), "."),
        FindingKind::ProxyProtocol => {
            let Some(header) = exchange.proxied else {
                return;
            };
            push!(out; " A PROXY header (version ", Number(u64::from(header.version)),
                ") stands before the request");
            if let Some(client) = header.client {
                push!(out; ": the real client is ", At(client));
            }
            out.push('.');
            if is_refused_header(exchange) {
                out.push_str(" The server does not expect one, it seems: 400 is its answer to it.");
            }
        }
        FindingKind::FlowControlStall => push!(out; " For ", took, " the ", whose,
            "'s window of HTTP/2 was used up, and nothing could be sent to it."),
        FindingKind::HeadOfLine => push!(out; " Frames of it had come and waited ", took,
            " for another stream's segment that was lost on the way (head-of-line blocking)."),
        FindingKind::StreamsExhausted => {
            out.push_str(" It began the moment another stream ended: the server permits no more ");
            out.push_str("streams at once, so it had waited before it was sent.");
        }
        FindingKind::PingUnanswered => push!(out; " The ", whose, " had not answered a PING for ",
            took, "."),
        FindingKind::SettingsUnacknowledged => push!(out; " The ", whose,
            " had not acknowledged SETTINGS for ", took, "."),
        FindingKind::WebsocketNoClose => {
            let closed = exchange
                .websocket
                .as_deref()
                .is_some_and(|one| one.closed_by.is_some());
            let without = match closed {
                true => " before both sides had said Close.",
                false => " without a Close of either side: a crash, a timer or a proxy cut it.",
            };
            push!(out; " The ", whose, " ended the connection", without, known(
                " Nothing had come for ",
                Some(finding.cost).filter(|&cost| cost >= Span::from_secs(1)),
            ));
            if finding.cost >= Span::from_secs(1) {
                out.push('.');
            }
        }
        FindingKind::WebsocketViolation => {
            let websocket = exchange.websocket.as_deref();
            if let Some((_, violation)) = websocket.and_then(|one| one.violation) {
                push!(out; " The ", whose, " broke the protocol of WebSocket: it sent ",
                    violation.in_words(), ".");
            }
        }
        // The sentence before says so.
        FindingKind::WebsocketCloseCode
        | FindingKind::KeepaliveRace
        | FindingKind::LateResponse => {}
    }
}
