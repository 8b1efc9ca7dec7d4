//! What happened, in a sentence.

use super::pieces::{
    After, ByTimer, Cost, Ends, Large, MAX_ROUTE, Of, TheServer, Timer, Where, Words,
    may_be_a_proxys, side, were,
};
use crate::exchange::model::Alert;
use crate::exchange::{FindingKind, Side, Verdict};
use crate::piece::{Bytes, Number, Piece, Shown, push};
use crate::protocol::websocket;
use crate::report::sums;
use crate::statistics::problems::{
    Example, FULL, Problem, ProblemKind, QUEUE, RESET, SLOW, UNANSWERED,
};

/// Pushes what happened.
pub(super) fn sentence(out: &mut String, problem: &Problem, words: &Words<'_>) {
    happened(out, problem, words);
    // Of its own words, and not of a name.
    if out.starts_with("the ") || out.starts_with("there, ") {
        out.replace_range(..1, "T");
    }
    out.push('.');
}

fn happened(out: &mut String, problem: &Problem, words: &Words<'_>) {
    match problem.kind {
        ProblemKind::ProcessEnd => match &problem.end {
            Some(end) => sums::process_end(out, end, words.origin, words.at(end.server)),
            None => push!(out; "the process behind ", words.at(problem.server), " ended"),
        },
        ProblemKind::Verdict(verdict) if verdict.is_of_connection() => {
            of_connections(out, problem, verdict, words);
        }
        ProblemKind::Verdict(verdict) => of_verdict(out, problem, verdict, words),
        ProblemKind::FailingAnswer => {
            let itself = (!may_be_a_proxys(problem)).then_some("itself ");
            push!(out; Where(problem, words), "the server ", itself, "answered ",
                Of(problem, "request"), " with ", Shown(&problem.detail, MAX_ROUTE),
                After(problem));
        }
        ProblemKind::ProxyAnswer => {
            push!(out; Where(problem, words), "a proxy answered ", Of(problem, "request"),
                " in the server's place (", Shown(&problem.detail, MAX_ROUTE), ")",
                After(problem), ByTimer(problem));
            if !words.same(problem, |one| one.kind) {
                out.push_str(": the fault is one hop on");
            }
        }
        ProblemKind::EarlyAnswer => {
            push!(out; Where(problem, words), "the server answered ", Of(problem, "request"),
                " before the end of it came");
            if !problem.detail.is_empty() {
                push!(out; ", with ", Shown(&problem.detail, MAX_ROUTE));
            }
        }
        ProblemKind::Finding(finding) => of_finding(out, problem, finding, words),
        ProblemKind::Lookups => lookups(out, problem, words),
        ProblemKind::TunnelIdle => {
            push!(out; "the ", side(problem.side), " closed ", Of(problem, "tunnel"), " to ",
                words.server(problem), After(problem), " of silence", Timer(problem));
        }
        ProblemKind::KeepAlive => {
            push!(out; TheServer(words.server(problem)), " closed ",
                Of(problem, "idle connection"), After(problem),
                ", its keep-alive timeout: whoever reuses connections for longer will race it");
        }
    }
}

fn of_verdict(out: &mut String, problem: &Problem, verdict: Verdict, words: &Words<'_>) {
    push!(out; Where(problem, words));
    match verdict {
        Verdict::ClientGaveUp => {
            push!(out; "the caller gave up on ", Of(problem, "request"), After(problem),
                Timer(problem));
        }
        Verdict::ClientGaveUpMidResponse => {
            push!(out; "the caller closed inside ", Of(problem, "response"), After(problem),
                Timer(problem));
        }
        Verdict::ClientAbortedRequest => {
            push!(out; "the caller closed inside ", Of(problem, "request"), " of its own",
                After(problem), Timer(problem));
        }
        Verdict::ServerClosedUnanswered => {
            push!(out; "the server closed the connection instead of answering ",
                Of(problem, "request"), After(problem), Timer(problem));
        }
        Verdict::ServerResetUnanswered => {
            let what = if problem.detail.is_empty() {
                "connection"
            } else {
                "stream"
            };
            push!(out; "the server reset the ", what, InBrackets(&problem.detail),
                " instead of answering ", Of(problem, "request"), After(problem), Timer(problem));
        }
        Verdict::ServerTruncatedResponse => {
            let how = match problem.detail.as_str() {
                RESET => "the server reset the connection inside ",
                "" => "the server closed inside ",
                _ => "the server reset the stream inside ",
            };
            let frame = problem.detail.as_str();
            let frame = if frame == RESET { "" } else { frame };
            push!(out; how, Of(problem, "response"), InBrackets(frame), After(problem),
                Timer(problem));
        }
        Verdict::Refused => {
            push!(out; "the server refused ", Of(problem, "request"), InBrackets(&problem.detail),
                " without processing: safe to send again");
        }
        Verdict::ServerResetEarlyAnswer => {
            push!(out; "the server answered ", Of(problem, "request"),
                " too early and reset the connection under the rest: the caller may never read ",
                "that answer");
        }
        Verdict::ServerInvalidResponse => {
            push!(out; "a proxy must refuse ", Of(problem, "response"));
            if !problem.detail.is_empty() {
                push!(out; ": ", Shown(&problem.detail, MAX_ROUTE * 2));
            }
        }
        _ => {
            push!(out; Of(problem, "request"), " had no answer yet when the capture ended");
        }
    }
}

/// ` (RST_STREAM CANCEL)`, or nothing.
struct InBrackets<'a>(&'a str);

impl Piece for InBrackets<'_> {
    fn push(self, out: &mut String) {
        if !self.0.is_empty() {
            push!(out; " (", Shown(self.0, MAX_ROUTE), ")");
        }
    }
}

fn of_connections(out: &mut String, problem: &Problem, verdict: Verdict, words: &Words<'_>) {
    let server = words.server(problem);
    let connections = Of(problem, "connection");
    match verdict {
        Verdict::ConnectRefused => {
            push!(out; server, " refused ", connections,
                ": nothing listens there, or a firewall rejects");
        }
        Verdict::ConnectTimeout => {
            push!(out; server, " did not answer the SYNs of ", connections);
            out.push_str(match problem.detail.as_str() {
                QUEUE => ": its accept queue was full",
                FULL => {
                    ", but others meanwhile: its accept queue is full, unless it has gone since"
                }
                _ => ": the address is gone, or packets are dropped on the way",
            });
        }
        Verdict::TlsUnanswered => {
            push!(out; server, " did not answer the TLS hello of ", connections);
            if problem.min.is_some() {
                push!(out; "; the ", side(problem.side), " closed", After(problem), Timer(problem));
            }
        }
        Verdict::TlsFailed => {
            push!(out; server, ": the TLS handshakes of ", connections, " failed: the ",
                side(problem.side));
            match problem.detail.is_empty() {
                true => push!(out; " closed inside them"),
                false => push!(out; " sent ", Shown(&problem.detail, MAX_ROUTE)),
            }
            if let Some(meaning) = Alert::meaning(&problem.detail) {
                push!(out; ": ", meaning);
            }
        }
        Verdict::TlsLeftWaiting => {
            push!(out; "the caller closed ", connections, " to ", server, Cost(problem),
                " after its last TLS record, and nothing had come back", Timer(problem));
        }
        Verdict::TlsRefusedPlain => {
            push!(out; server, " answers in plain text, and the client spoke TLS to it on ",
                connections, ": the port, or the protocol that the client is told, is wrong");
        }
        _ => {
            push!(out; server, " answers with TLS, and the client spoke plain text to it on ",
                connections, ": the port, or the protocol that the client is told, is wrong");
        }
    }
}

fn of_finding(out: &mut String, problem: &Problem, finding: FindingKind, words: &Words<'_>) {
    let whose = match problem.side {
        Side::Client => "the client's",
        Side::Server => "the server's",
    };
    push!(out; Where(problem, words), Of(problem, "request"));
    match finding {
        FindingKind::KeepaliveRace => {
            push!(out; " met a connection that the server was closing");
            if let (Some(min), Some(max)) = (problem.min, problem.max) {
                push!(out; ", idle for ", Ends(min, max));
            }
        }
        FindingKind::StrangerReset => {
            push!(out; " met a RST from somebody who does not know the connection any more");
        }
        FindingKind::RequestUnacknowledged => {
            push!(out; were(problem), "sent again and again, and never acknowledged",
                Large(problem));
        }
        FindingKind::ResponseUnacknowledged => {
            push!(out; " had an answer that was sent again and again, and never acknowledged");
            push!(out; Large(problem));
        }
        FindingKind::RequestStalled => {
            push!(out; " stopped before the end");
            if let Some(Example::Exchange(one)) = &problem.example
                && problem.count == 1
                && let Some(all) = one.request_announced
            {
                push!(out; ", after ", Bytes(one.request_bytes), " of ", Bytes(all));
            }
            push!(out; ", and", were(problem), "ended", After(problem), " of silence",
                Timer(problem));
        }
        FindingKind::ProxyProtocol => {
            push!(out; " came behind a PROXY header, which the server answers with 400");
        }
        FindingKind::Retransmission => {
            push!(out; " lost", Cost(problem), " to ", whose,
                " segments that had to be sent again");
        }
        FindingKind::ZeroWindow => {
            push!(out; " waited", Cost(problem), " for the ", side(problem.side),
                ", which did not read");
        }
        FindingKind::DelayedAckStall => {
            push!(out; " took", Cost(problem), " because of a delayed ACK");
        }
        FindingKind::SlowRequestBody => {
            push!(out; " took the client", Cost(problem), " to send");
        }
        FindingKind::SynRetry => {
            push!(out; " waited", Cost(problem), " for a SYN that had to be sent again");
        }
        FindingKind::ExpectUnanswered => {
            push!(out; " waited", Cost(problem), " for a 100 Continue that did not come");
        }
        FindingKind::DnsRetry => {
            push!(out; " waited", Cost(problem), " for a DNS query that had to be sent again");
        }
        FindingKind::DnsSlow => {
            push!(out; " waited", Cost(problem), " for a slow lookup in DNS");
        }
        FindingKind::PortReuse => {
            push!(out; " waited", Cost(problem),
                ": the server still knew an older connection on the same ports");
        }
        FindingKind::UnreadRequest => {
            push!(out; " lay", Cost(problem), " unread in the server's socket");
        }
        FindingKind::AcceptQueueFull => {
            push!(out; " waited", Cost(problem), " because the server's accept queue was full");
        }
        FindingKind::FlowControlStall => {
            push!(out; " waited", Cost(problem), " for ", whose, " window of HTTP/2 to open");
        }
        FindingKind::HeadOfLine => {
            push!(out; " waited", Cost(problem),
                " behind segments of another stream that were lost");
        }
        FindingKind::StreamsExhausted => {
            push!(out; " began only when another stream ended: no more are permitted at once");
        }
        FindingKind::PingUnanswered => {
            push!(out; " ran beside a PING that the ", side(problem.side), " never answered");
        }
        FindingKind::SettingsUnacknowledged => {
            push!(out; " ran beside SETTINGS that the ", side(problem.side),
                " never acknowledged");
        }
        FindingKind::WebsocketNoClose => {
            push!(out; " opened a WebSocket that the ", side(problem.side),
                " ended without the Close of both sides");
        }
        FindingKind::WebsocketCloseCode => {
            push!(out; " opened a WebSocket that the ", side(problem.side),
                " closed with an error");
            if let Ok(code) = problem.detail.parse::<u16>() {
                push!(out; ": ", Number(u64::from(code)), ", ", websocket::code_in_words(code));
            }
        }
        FindingKind::WebsocketViolation => {
            push!(out; " opened a WebSocket on which the ", side(problem.side),
                " broke the protocol");
        }
        FindingKind::LateResponse | FindingKind::Retry => {}
    }
}

fn lookups(out: &mut String, problem: &Problem, words: &Words<'_>) {
    push!(out; "DNS at ", words.server(problem), ": queries from ", Of(problem, "client port"));
    match problem.detail.as_str() {
        UNANSWERED => push!(out; " had no answer"),
        SLOW => push!(out; " waited for their answer, the longest"),
        code => push!(out; " were answered ", Shown(code, MAX_ROUTE)),
    }
    match (problem.detail.as_str(), problem.max) {
        (SLOW, Some(max)) => push!(out; " ", Ends(max, max)),
        (_, Some(max)) => push!(out; "; the slowest answer came after ", Ends(max, max)),
        (_, None) => {}
    }
}
