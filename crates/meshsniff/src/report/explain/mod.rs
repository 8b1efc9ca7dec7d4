//! Explanations: what happened, in a sentence that can be pasted into a ticket.
//!
//! The sentence says who did what and when, with the figures, and what that makes likely. It judges
//! nothing anew; frame numbers and all flags stand elsewhere in a report.
//!
//! | here | holds |
//! |---|---|
//! | `connections` | a connection without a conversation |
//! | `tunnels` | an exchange that was switched to another protocol, server-sent events |
//! | `costs` | where the time went |
//! | `words` | what sentences share |

mod connections;
mod costs;
mod tunnels;
mod words;

pub use connections::{connection, is_notable};
pub use words::doubt_in_words;

use crate::exchange::{
    Defect, Doubt, ErrorCode, Exchange, FindingKind, ResponseShape, Side, Status, Verdict,
};
use crate::mesh;
use crate::mesh::timeout;
use crate::names::Names;
use crate::piece::{Bytes, Counted, Grouped, Number, Piece, Shown, Spoken, Timeout, push};
use crate::time::Span;
use costs::{costs, reading};
use tunnels::{event_stream, upgraded, websocket};
use words::{MAX_PATH, Party, Request, after, doubtful, how, known, request};

/// A silence before a close that is worth a word.
const WORTH_SAYING: Span = Span::from_millis(10);

/// Pushes the explanation of `exchange`; `names` are those of addresses.
pub fn exchange(out: &mut String, exchange: &Exchange, names: &Names) {
    match exchange.verdict {
        Verdict::Ok => answered(out, exchange),
        Verdict::Upgraded => upgraded(out, exchange),
        Verdict::ClientGaveUp => gave_up(out, exchange, names),
        Verdict::ClientGaveUpMidResponse => gave_up_mid_response(out, exchange, names),
        Verdict::ClientAbortedRequest => aborted(out, exchange, names),
        Verdict::ServerClosedUnanswered | Verdict::ServerResetUnanswered => {
            server_left(out, exchange, names);
        }
        Verdict::ServerTruncatedResponse => truncated(out, exchange, names),
        Verdict::Refused => refused(out, exchange, names),
        Verdict::ServerResetEarlyAnswer => reset_early(out, exchange, names),
        Verdict::ServerInvalidResponse => invalid(out, exchange, names),
        // The others are verdicts of connections.
        Verdict::Unanswered
        | Verdict::ConnectRefused
        | Verdict::ConnectTimeout
        | Verdict::TlsUnanswered
        | Verdict::TlsFailed
        | Verdict::TlsLeftWaiting
        | Verdict::TlsRefusedPlain
        | Verdict::PlainRefusedTls => unanswered(out, exchange),
    }
    connection_error(out, exchange);
    call(out, exchange);
    websocket(out, exchange);
    event_stream(out, exchange);
    costs(out, exchange);
    reading(out, exchange);
    if let Some(id) = exchange.relations.front {
        push!(out; " Its caller is a proxy, which had been asked for it in exchange ", Number(id),
            ".");
    }
    if let Some(id) = exchange.relations.retried_as {
        push!(out; " It was tried again in exchange ", Number(id), ".");
    }
    match exchange.doubt {
        // The sentence said so.
        Some(Doubt::CaptureEnded) if exchange.verdict == Verdict::Unanswered => {}
        Some(doubt) => doubtful(out, doubt),
        None => {}
    }
}

/// `the 200`, or `the response`.
fn response(status: Option<u16>) -> impl Piece {
    let unknown = status.is_none().then_some("the response");
    (
        status.map(|status| ("the ", Number(u64::from(status)))),
        unknown,
    )
}

fn answered(out: &mut String, exchange: &Exchange) {
    let gaps = &exchange.gaps;
    push!(out; Request(exchange, "The request"), " was answered");
    match (exchange.status, gaps.request_to_response) {
        (Some(status), _) => push!(out; " ", Number(u64::from(status))),
        (None, Some(_)) => out.push_str(", with a status that the capture does not show,"),
        (None, None) => out.push_str(", with a status that the capture does not show"),
    }
    match gaps.request_to_response {
        Some(gap) if gap < Span::ZERO => {
            push!(out; " ", Spoken(Span::from_nanos(gap.as_nanos().saturating_neg())),
                " before the request was complete");
        }
        gap => push!(out; known(" after ", gap)),
    }
    if exchange.request_cut {
        push!(out; " before the request was complete (", Bytes(exchange.request_bytes),
            exchange.request_announced.map(|all| (" of ", Bytes(all))), " had been sent)");
    }
    let pipelined = gaps.after_previous;
    let pipelined =
        pipelined.map(|gap| (" (", Spoken(gap), " after the answer before it: pipelined)"));
    let duration = gaps.response_duration;
    let duration = duration.filter(|gap| *gap >= Span::from_millis(1));
    let half_closed = exchange.half_closed;
    let half_closed =
        half_closed.then_some("; the client had closed its sending side only (a half-close)");
    let own = exchange.good() == Some(false) && !exchange.request_cut;
    let own = own && exchange.answered_by.is_none();
    let own = own.then_some(match exchange.status {
        Some(502..=504) => {
            " Nothing says whose answer that is. If the server is a proxy, the fault may be one hop \
             on."
        }
        _ => " The answer is the server's own: nobody hung up.",
    });
    push!(out; pipelined, known("; the response took another ", duration), half_closed, ".", own);
    if let Some(by) = exchange.answered_by.as_deref() {
        push!(out; " A proxy made this answer itself: ", by.software.in_words());
        if !by.text.is_empty() {
            push!(out; " says “", Shown(&by.text, MAX_PATH), "”");
        }
        if !by.flag.is_empty() {
            out.push_str(", and logs ");
            out.push_str(&by.flag);
        }
        match exchange.relations.behind {
            Some(id) => push!(out; ". What it called is exchange ", Number(id), "."),
            None => out.push_str(". The fault is one hop on: look at what it called."),
        }
    }
}

/// How `side` ended the exchange: its stream alone, or the connection with a RST or not.
fn how_ended(exchange: &Exchange, side: Side, reset: bool) -> impl Piece + use<> {
    let stream = exchange
        .reset
        .filter(|end| end.by == side && !end.by_goaway);
    let of_connection = stream.is_none().then(|| how(reset));
    let of_stream = stream.map(|end| (" reset the stream (", end.code.name(), ")"));
    (of_stream, of_connection)
}

/// The client, and how it closed first.
fn client_closed<'a>(exchange: &Exchange, names: &'a Names) -> impl Piece + use<'a> {
    let reset = exchange.client_close().is_some_and(|(_, reset)| reset);
    let ended = how_ended(exchange, Side::Client, reset);
    (Party::new(Side::Client, exchange.client, names), ended)
}

/// `, the server's: DC`, if a proxy may have accepted the connection.
fn servers_flag(exchange: &Exchange) -> impl Piece + use<> {
    let flag = exchange.envoy.server.first();
    flag.map(|flag| (", the server's: ", *flag))
}

/// The server did not process the stream.
fn refused(out: &mut String, exchange: &Exchange, names: &Names) {
    push!(out; Party::new(Side::Server, exchange.server, names), " refused ", request(exchange),
        known(" after ", exchange.gaps.request_to_server_close), " without processing it");
    if let Some(end) = exchange.reset {
        let how = if end.by_goaway {
            "its GOAWAY names a lower stream as the last, "
        } else {
            "RST_STREAM, "
        };
        push!(out; " (", how, end.code.name(), ")");
    }
    out.push_str(": it may be sent again safely");
    flags(out, exchange);
}

/// Pushes who gave up on the connection by a GOAWAY with an error.
fn connection_error(out: &mut String, exchange: &Exchange) {
    let refused = exchange.verdict == Verdict::Refused;
    if let Some((by, code)) = exchange.connection_error.filter(|_| !refused) {
        let (who, other) = match by {
            Side::Client => ("client", "server"),
            Side::Server => ("server", "client"),
        };
        push!(out; " The ", who, " had given up on the connection: GOAWAY (", code.name());
        out.push_str(match code {
            ErrorCode::ENHANCE_YOUR_CALM => {
                "), because of too many requests, pings or the like of the "
            }
            _ => "), because of what it took for a fault of the ",
        });
        out.push_str(other);
        out.push_str("'s.");
    }
}

/// Pushes how a remote procedure call ended.
fn call(out: &mut String, exchange: &Exchange) {
    let Some(grpc) = exchange.grpc.as_deref() else {
        return;
    };
    if let (Some(asked), Some(answered)) = (grpc.request, grpc.response)
        && (asked > 1 || answered > 1)
    {
        push!(out; " The client sent ", Counted(asked, "message", "messages"), ", the server ",
            Grouped(answered), known(", never silent for longer than ", grpc.longest_silence),
            ".");
    }
    let Some(status) = grpc.status else {
        match exchange.good() {
            _ if exchange.verdict != Verdict::Ok || exchange.status != Some(200) => {}
            Some(false) => {
                out.push_str(" The call ended without a status: to its caller it failed.");
            }
            Some(true) => {}
            None => out.push_str(" The status of the call is in what the capture does not show."),
        }
        return;
    };
    if status == Status::OK {
        return;
    }
    push!(out; " The call ended with ", status.name(), " (", Number(u64::from(status.0)), ")",
        grpc.message.as_deref().map(|text| (": “", Shown(text, MAX_PATH), "”")));
    out.push_str(if status.is_server_failure() {
        ", which counts as the server's failure."
    } else {
        ", which is the caller's own affair."
    });
}

fn gave_up(out: &mut String, exchange: &Exchange, names: &Names) {
    let gaps = &exchange.gaps;
    push!(out; client_closed(exchange, names), after(gaps.request_to_client_close), " after sending ",
        request(exchange), ", before any response byte; ");
    match gaps.request_to_ack {
        Some(gap) => push!(out; "the server's kernel had the request after ", Spoken(gap)),
        None => out.push_str("the server's kernel was not seen to acknowledge the request"),
    }
    match (exchange.events.late_response, exchange.server_close()) {
        (Some(_), _) => {
            let late = exchange.late_status;
            let late = late.map_or_else(|| "an answer".to_owned(), |late| format!("the {late}"));
            out.push_str("; ");
            out.push_str(&late);
            match gaps.client_close_to_late_response {
                None => out.push_str(" crossed the close. "),
                Some(gap) => push!(out; " came ", Spoken(gap), " too late. "),
            }
        }
        (None, _) if exchange.doubt == Some(Doubt::CaptureEnded) => {
            out.push_str("; the capture ended before the server reacted. ");
        }
        (None, Some((_, true))) if exchange.reset.is_some() => {
            out.push_str("; the server sent nothing more than its own RST_STREAM. ");
        }
        (None, Some((_, true))) => out.push_str("; the server sent nothing more than a RST. "),
        (None, Some((_, false))) => {
            out.push_str("; the server sent nothing more than its own FIN. ");
        }
        (None, None) => out.push_str("; nothing more came from the server. "),
    }
    whose_timeout(out, exchange);
}

/// Pushes whose timeout the time of a give-up makes likely.
fn whose_timeout(out: &mut String, exchange: &Exchange) {
    let istio = mesh::is_istio_inbound(exchange.client);
    if let Some(announced) = exchange.expected_timeout {
        let timeout = Timeout(announced);
        match exchange.gaps.request_to_client_close {
            Some(gap) if timeout::matches(announced, gap) => {
                let proxy = if istio {
                    "(the proxy that announced it: UT, one that passed it on: DC"
                } else {
                    "(the client's proxy: UT"
                };
                push!(out; "That is the timeout of ", timeout, " which the request announced ",
                    proxy);
            }
            Some(gap) => {
                let than = if gap < announced { "earlier" } else { "later" };
                push!(out; "That is ", than, " than the timeout of ", timeout,
                    " which the request announced: ");
                match timeout::usual_figure(gap) {
                    Some(figure) => push!(out; Timeout(figure), " fits another timer of the same ",
                        "proxy, such as its stream idle timeout, or its own caller hung up ",
                        "(the client's proxy: SI or DC"),
                    None => {
                        out.push_str("more likely its own caller hung up (the client's proxy: DC")
                    }
                }
            }
            None => push!(out; "The request announced a timeout of ", timeout,
                " (the client's proxy: UT or DC"),
        }
        push!(out; servers_flag(exchange), ").");
        return;
    }
    match exchange.timeout_guess {
        Some(guess) => {
            let proxies = if istio {
                "(gateway: UT, sidecar: DC)."
            } else {
                "(the client's proxy: DC, or UT if the timeout is its own)."
            };
            push!(out; Timeout(guess), " is a usual timeout: probably the caller's ", proxies);
        }
        None => {
            let proxies = if istio {
                "(gateway: DC or UT, sidecar: DC)."
            } else {
                "(the client's proxy: DC)."
            };
            push!(out; "That is no usual timeout: a caller that went away, or a timer of its ",
                "own making ", proxies);
        }
    }
}

fn gave_up_mid_response(out: &mut String, exchange: &Exchange, names: &Names) {
    let gaps = &exchange.gaps;
    let close = gaps.request_to_client_close;
    push!(out; client_closed(exchange, names), after(close), " after sending ", request(exchange),
        ", inside ", response(exchange.status), ", of which ", Bytes(exchange.response_bytes),
        " had come", known("; the response had begun after ", gaps.request_to_response));
    let server = servers_flag(exchange);
    let announced = exchange.expected_timeout;
    if let Some(announced) = announced.filter(|_| exchange.envoy.client == ["UT"]) {
        push!(out; ". That is the timeout of ", Timeout(announced),
            " which the request announced (the client's proxy: UT", server, ").");
        return;
    }
    let silence = gaps
        .response_silence
        .filter(|&silence| silence >= WORTH_SAYING);
    push!(out; known("; its last byte had come ", silence), silence.map(|_| " before"));
    match silence.and_then(timeout::usual_figure) {
        Some(figure) => {
            push!(out; ". ", Timeout(figure), " is a usual figure for a timer of silence",
            " (the client's proxy: SI, or DC if its caller left", server, ").")
        }
        None => out.push_str(" (a proxy on either side: DC)."),
    }
}

fn aborted(out: &mut String, exchange: &Exchange, names: &Names) {
    let close = exchange.client_close();
    let since = close.map(|(mark, _)| mark.time - exchange.start());
    let inside = since.is_none().then_some(" inside ");
    push!(out; client_closed(exchange, names),
        since.map(|since| (" ", Spoken(since), " after the first byte of ")), inside,
        request(exchange), ", before the request was complete: ", Bytes(exchange.request_bytes),
        " had been sent (a proxy on either side: DC).");
}

fn server_left(out: &mut String, exchange: &Exchange, names: &Names) {
    let server = Party::new(Side::Server, exchange.server, names);
    if let Some(stall) = exchange.finding(FindingKind::RequestStalled) {
        let reset = exchange.verdict == Verdict::ServerResetUnanswered;
        push!(out; server, " waited for the rest of ", request(exchange), " for ",
            Spoken(stall.cost), " and", how(reset),
            ": not the server, the client is to blame (the client's proxy: UC, and a 503).");
        return;
    }
    if exchange.finding(FindingKind::KeepaliveRace).is_some() {
        let idle = exchange.gaps.idle_before;
        let idle = idle.map(|idle| (", idle for ", Spoken(idle), ","));
        push!(out; server, " had closed the kept-alive connection", idle, " already when ",
            request(exchange), " was sent: a keep-alive race, the request was never looked at ",
            "(the client's proxy: UC; it may be sent again safely).");
        return;
    }
    // Both a FIN and a RST may be there: the verdict knows which decided.
    let reset = exchange.verdict == Verdict::ServerResetUnanswered;
    push!(out; server, how_ended(exchange, Side::Server, reset));
    match exchange.gaps.request_to_server_close {
        Some(gap) if gap >= Span::ZERO => {
            push!(out; " ", Spoken(gap), " after ", request(exchange));
        }
        Some(_) => push!(out; " before ", request(exchange), " was complete"),
        None => push!(out; " on ", request(exchange)),
    }
    let closed = exchange.verdict == Verdict::ServerClosedUnanswered;
    let had = exchange.gaps.request_to_ack.filter(|_| closed);
    push!(out; " without a single response byte", known("; its kernel had the request after ", had),
        " (the client's proxy: ", *exchange.envoy.client.first().unwrap_or(&"UC"),
        ", and a 503 to its caller).");
}

fn truncated(out: &mut String, exchange: &Exchange, names: &Names) {
    let server = Party::new(Side::Server, exchange.server, names);
    let reset = exchange.server_close().is_some_and(|(_, reset)| reset);
    let chunked = exchange.response_shape == ResponseShape::Chunked;
    push!(out; server, how_ended(exchange, Side::Server, reset),
        after(exchange.gaps.request_to_server_close), " after ", request(exchange), ", inside ", response(exchange.status), ": only ",
        Bytes(exchange.response_bytes), " of it came",
        chunked.then_some(", without the last chunk"));
    let silence = exchange.gaps.response_silence;
    let silence = silence.filter(|&silence| silence >= WORTH_SAYING);
    push!(out; known("; its last byte had come ", silence), silence.map(|_| " before"));
    flags(out, exchange);
}

/// Pushes the flags of the client's proxy and ends the sentence.
fn flags(out: &mut String, exchange: &Exchange) {
    for (index, flag) in exchange.envoy.client.iter().enumerate() {
        push!(out; if index == 0 { " (the client's proxy: " } else { " or " }, *flag);
    }
    let flags = !exchange.envoy.client.is_empty();
    out.push_str(if flags { ")." } else { "." });
}

/// An answer to a request that was not whole, and a RST for the rest of it.
fn reset_early(out: &mut String, exchange: &Exchange, names: &Names) {
    let events = &exchange.events;
    let reset = events.server_rst.zip(events.response_start);
    let reset = reset.map(|(rst, answer)| (", ", Spoken(rst.time - answer.time), " later"));
    push!(out; Party::new(Side::Server, exchange.server, names), " answered ", request(exchange),
        exchange.status.map(|status| (" with a ", Number(u64::from(status)))),
        " before it had all of it (", Bytes(exchange.request_bytes),
        exchange.request_announced.map(|all| (" of ", Bytes(all))),
        " had been sent), and reset the connection", reset,
        ": the client may never read that answer (the client's proxy: UC and a 503, or the ",
        "answer). Let the server read the body, or close only after it.");
}

/// An answer that a proxy must refuse.
fn invalid(out: &mut String, exchange: &Exchange, names: &Names) {
    push!(out; Party::new(Side::Server, exchange.server, names), " answered ", request(exchange));
    match exchange.status {
        Some(status) => push!(out; " with a ", Number(u64::from(status)), " that has "),
        None => out.push_str(" with "),
    }
    let defect = exchange
        .defect
        .map_or("bytes that are no HTTP response", Defect::in_words);
    push!(out; defect, ": a proxy must refuse that");
    out.push_str(if exchange.envoy.client.is_empty() {
        " or mend it (Envoy mends it)."
    } else {
        " (the client's proxy: UPE, and a 502 to its caller)."
    });
}

fn unanswered(out: &mut String, exchange: &Exchange) {
    let gaps = &exchange.gaps;
    push!(out; "The capture ended before ", request(exchange));
    if exchange.events.response_start.is_some() {
        push!(out; " was answered in full",
            known("; the response had begun after ", gaps.request_to_response));
    } else if exchange.events.request_end.is_none() {
        out.push_str(" was sent in full");
    } else {
        push!(out; " was answered",
            known("; the server's kernel had the request after ", gaps.request_to_ack));
    }
    out.push('.');
}

#[cfg(test)]
mod tests;
