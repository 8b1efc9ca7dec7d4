//! Explanations: what happened, in a sentence that can be pasted into a ticket.
//!
//! The sentence says who did what and when, with the figures, and what that makes likely. It judges
//! nothing anew; frame numbers and all flags stand elsewhere in a report.

use crate::dns::{Dns, code_name};
use crate::exchange::model::Alert;
use crate::exchange::{
    Close, Connection, Defect, Doubt, ErrorCode, Exchange, Finding, FindingKind, Reading,
    ResponseShape, Side, Status, Verdict,
};
use crate::mesh;
use crate::mesh::timeout;
use crate::names::{Named, Names};
use crate::packet::Endpoint;
use crate::piece::{At, Bytes, Counted, Grouped, Number, Piece, Shown, Spoken, Timeout, push};
use crate::protocol::websocket::code_in_words;
use crate::time::Span;

/// A silence before a close that is worth a word.
const WORTH_SAYING: Span = Span::from_millis(10);
/// Characters of a request target in a sentence.
const MAX_PATH: usize = 80;
/// Characters of a method in a sentence.
const MAX_METHOD: usize = 24;

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

/// Pushes the explanation of a connection that never opened; nothing for any other.
pub fn connection(out: &mut String, connection: &Connection, names: &Names) {
    let syns = connection.syn_retries.saturating_add(1);
    let client = names.at(connection.client);
    let server = names.beside(connection.server);
    if let Some(dns) = &connection.dns {
        lookups(out, connection, dns, names);
    }
    match connection.verdict {
        Some(Verdict::ConnectRefused) => {
            let again = (syns > 1).then_some((" after ", Grouped(syns), " SYNs"));
            push!(out; "The server (", server, ") refused the connection from ", client,
                " with a RST", again,
                ": nothing listens there, or a firewall rejects (a proxy here: UF).");
        }
        Some(Verdict::ConnectTimeout) => {
            push!(out; "The server (", server, ") did not answer ", Grouped(syns), " SYNs from ",
                client, ": ");
            out.push_str(if connection.accept_queue.is_some() {
                "its accept queue was full"
            } else if connection.server_answered_others {
                "it answered others within a minute, so its accept queue is full, unless it has gone \
                 since"
            } else {
                "the address is gone, or packets are dropped on the way"
            });
            out.push_str(" (a proxy here: UF).");
        }
        Some(verdict) if verdict.is_of_connection() => of_tls(out, connection, verdict, names),
        _ => match connection.close {
            Some(close) if connection.tunnel && is_notable(connection) => {
                idle_tunnel(out, connection, close, names)
            }
            _ => return,
        },
    }
    if let Some(doubt) = connection.doubt {
        doubtful(out, doubt);
    }
}

/// Whether the answer is one to a PROXY header that the server did not expect.
#[must_use]
pub fn is_refused_header(exchange: &Exchange) -> bool {
    let behind = exchange.finding(FindingKind::ProxyProtocol).is_some();
    behind && exchange.status == Some(400)
}

/// Whether a connection is worth a word: it has a verdict of its own, or is a tunnel that somebody
/// closed after a silence, or carried queries of DNS that did not go well.
#[must_use]
pub fn is_notable(connection: &Connection) -> bool {
    let lookups = connection.dns.as_ref().is_some_and(|dns| dns.is_notable());
    connection.verdict.is_some() || connection.is_tunnel_closed_idle() || lookups
}

/// A close in words, with who, at the begin of a sentence.
fn closer<'a>(connection: &Connection, close: Close, names: &'a Names) -> impl Piece + use<'a> {
    let end = match close.by {
        Side::Client => connection.client,
        Side::Server => connection.server,
    };
    (Party::new(close.by, end, names), how(close.reset))
}

fn idle_tunnel(out: &mut String, connection: &Connection, close: Close, names: &Names) {
    let silence = connection.silence.unwrap_or_default();
    push!(out; closer(connection, close, names), " the tunnel ", Spoken(silence),
        " after its last byte, which was the ");
    let last = connection.last_byte_by.unwrap_or(Side::Client);
    out.push_str(if last == Side::Client {
        "client's"
    } else {
        "server's"
    });
    match timeout::usual_figure(silence) {
        Some(figure) => push!(out; ": an idle timeout, probably ", Timeout(figure),
            ". Let one side send pings more often than that."),
        None => out.push_str("; it fits no usual idle timeout."),
    }
}

fn of_tls(out: &mut String, connection: &Connection, verdict: Verdict, names: &Names) {
    let (client, server) = (names.at(connection.client), names.at(connection.server));
    let after = connection
        .silence
        .map(|silence| (" after ", Spoken(silence)));
    match verdict {
        Verdict::TlsRefusedPlain => {
            push!(out; "The client (", names.beside(connection.client), ") spoke TLS to ", server,
            ", which answers in plain text: the port, or the protocol that the client is told to ",
            "speak, is wrong.")
        }
        Verdict::PlainRefusedTls => {
            push!(out; "The client (", names.beside(connection.client), ") spoke plain text to ",
            server, ", which answers with TLS: the port, or the protocol that the client is told ",
            "to speak, is wrong.")
        }
        Verdict::TlsLeftWaiting => {
            push!(out; "The client (", names.beside(connection.client), ") closed ", Spoken(connection.idle.unwrap_or_default()),
                " after its last TLS record to ", server, ", and nothing had come back: as far as can be ",
                "seen without keys it waited for an answer and gave up");
            push!(out; " (a proxy in the client's place: UT, or DC behind it).");
        }
        Verdict::TlsUnanswered => {
            push!(out; "The server (", names.beside(connection.server), ") did not answer the TLS hello of ", client);
            let long = connection
                .silence
                .is_some_and(|gap| gap >= Span::from_secs(1));
            match connection.close {
                Some(close) => {
                    let who = match close.by {
                        Side::Client => "the client",
                        Side::Server => "the server",
                    };
                    push!(out; "; ", who, how(close.reset), after);
                    let serves = long && connection.doubt.is_none();
                    out.push_str(if serves {
                        ". It accepts connections and does not serve them"
                    } else {
                        ""
                    });
                }
                None => out.push_str(" until the capture ended"),
            }
            out.push_str(" (a proxy here: UF).");
        }
        _ => {
            push!(out; "The TLS handshake of ", client, " with ", server, " failed: ");
            match (connection.alert(), connection.close) {
                (Some(alert), _) => {
                    let whose = match alert.by {
                        Side::Client => "the client sent ",
                        Side::Server => "the server sent ",
                    };
                    out.push_str(whose);
                    out.push_str(alert.name());
                    if let Some(meaning) = Alert::meaning(alert.name()) {
                        push!(out; ": ", meaning);
                    }
                }
                (None, Some(close)) => {
                    let whose = match close.by {
                        Side::Client => "the client",
                        Side::Server => "the server",
                    };
                    push!(out; whose, how(close.reset), after, " inside it");
                }
                (None, None) => out.push_str("it was never finished"),
            }
            out.push_str(" (a proxy here: UF).");
        }
    }
}

/// Pushes what went wrong with the queries of a connection; nothing if all is well.
fn lookups(out: &mut String, connection: &Connection, dns: &Dns, names: &Names) {
    if dns.is_fine() {
        return;
    }
    push!(out; "The client (", names.beside(connection.client), ") asked ",
        names.at(connection.server), " ",
        Counted(dns.queries, "DNS query", "DNS queries"));
    let unanswered = (": ", Grouped(dns.unanswered), " had no answer");
    push!(out; (dns.unanswered > 0).then_some(unanswered));
    let repeated = (
        ", ",
        Counted(dns.repeated, "was sent again", "were sent again"),
    );
    push!(out; (dns.repeated > 0).then_some(repeated));
    if let Some(failure) = dns.failures.first() {
        push!(out; ", ", Counted(dns.failed, "was", "were"), " answered with an error (");
        out.push_str(&code_name(failure.code));
        push!(out; " for ", Shown(&failure.name, 80), ")");
    }
    if let (Some(slowest), Some(name)) = (dns.slowest, &dns.slowest_name) {
        push!(out; "; the slowest answer came after ", Spoken(slowest), ", for ", Shown(name, 80));
    }
    out.push('.');
}

/// A doubt in words.
#[must_use]
pub const fn doubt_in_words(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::CaptureDropped => "the kernel lost packets of the capture meanwhile",
        Doubt::SequenceHole => {
            "the sequence numbers do not prove that the capture has every packet of this connection"
        }
        Doubt::OneSided => "the capture holds only one direction",
        Doubt::CaptureStartedLate => "the capture may have started too late to see all of it",
        Doubt::CaptureEnded => "the capture ended before it was settled",
        Doubt::Snaplen => "the snap length cut bytes that were needed",
        Doubt::Unreadable => "the bytes are all there, but how they are framed cannot be read",
        Doubt::Encrypted => {
            "an estimate from the lengths and times of encrypted records: what is in them is not seen"
        }
    }
}

fn doubtful(out: &mut String, doubt: Doubt) {
    push!(out; " Uncertain: ", doubt_in_words(doubt), ".");
}

/// `GET /items`, or else words for the request if its line was cut.
struct Request<'a>(&'a Exchange, &'static str);

impl Piece for Request<'_> {
    fn push(self, out: &mut String) {
        let Self(exchange, cut) = self;
        match exchange.method.as_deref() {
            Some(method) => {
                let path = exchange.path.as_deref();
                push!(out; Shown(method, MAX_METHOD), path.map(|path| (" ", Shown(path, MAX_PATH))));
            }
            None => out.push_str(cut),
        }
    }
}

const fn request(exchange: &Exchange) -> Request<'_> {
    Request(exchange, "the request")
}

/// A side and its address, at the begin of a sentence.
struct Party<'a> {
    side: Side,
    sidecar: bool,
    end: Named<'a>,
}

impl<'a> Party<'a> {
    fn new(side: Side, end: Endpoint, names: &'a Names) -> Self {
        Self {
            side,
            sidecar: mesh::is_istio_inbound(end),
            end: names.beside(end),
        }
    }
}

impl Piece for Party<'_> {
    fn push(self, out: &mut String) {
        let Self { side, sidecar, end } = self;
        let who = match side {
            Side::Client => "The client (",
            Side::Server => "The server (",
        };
        let sidecar = sidecar.then_some(", Istio's sidecar");
        push!(out; who, end, sidecar, ")");
    }
}

/// ` 12.3 ms`, or nothing if the gap is not known.
fn after(gap: Option<Span>) -> impl Piece {
    gap.map(|gap| (" ", Spoken(gap)))
}

/// `; the response had begun after 12.3 ms`, or nothing if the gap is not known.
fn known(words: &'static str, gap: Option<Span>) -> impl Piece {
    gap.map(|gap| (words, Spoken(gap)))
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

fn upgraded(out: &mut String, exchange: &Exchange) {
    let status = exchange.status;
    push!(out; Request(exchange, "The request"), " was switched to another protocol",
        status.map(|status| (" (", Number(u64::from(status)), ")")),
        known(" after ", exchange.gaps.request_to_response),
        "; what follows on the connection is not HTTP.");
}

/// Pushes what came in a WebSocket, and how it was closed.
fn websocket(out: &mut String, exchange: &Exchange) {
    let Some(websocket) = exchange.websocket.as_deref() else {
        return;
    };
    let [client, server] = websocket.frames.map(|frames| frames.all());
    let [at_least_client, at_least_server] =
        websocket.whole.map(|whole| (!whole).then_some("at least "));
    push!(out; " It is a WebSocket: the client sent ", at_least_client,
        Counted(client, "frame", "frames"), ", the server ", at_least_server, Grouped(server),
        ", never silent for longer than ", Spoken(websocket.longest_silence));
    if let Some(pong) = websocket.longest_pong {
        push!(out; "; a Pong took ", Spoken(pong), " at most");
    }
    out.push('.');
    if !websocket.is_whole() {
        out.push_str(match websocket.violation {
            None => " Bytes are missing or not shown, so there may be more frames.",
            Some(_) => " What follows cannot be read.",
        });
    }
    let Some(by) = websocket.closed_by else {
        return;
    };
    push!(out; " The ", by.name(), " closed it");
    if let Some(code) = websocket.close_code {
        push!(out; " with ", Number(u64::from(code)), " (", code_in_words(code), ")");
    }
    if let Some(reason) = websocket.close_reason.as_deref() {
        push!(out; ": “", Shown(reason, MAX_PATH), "”");
    }
    if !websocket.close_answered {
        push!(out; ", and the ", by.other().name(), " was not seen to answer");
    }
    out.push('.');
}

/// Pushes what came of server-sent events.
fn event_stream(out: &mut String, exchange: &Exchange) {
    let Some(stream) = exchange.event_stream else {
        return;
    };
    out.push_str(" It is a stream of server-sent events: ");
    match stream.events {
        Some(events) => push!(out; Counted(events, "event", "events")),
        None => out.push_str("how many cannot be told, as bytes are missing or hidden"),
    }
    push!(out; ", never silent for longer than ", Spoken(stream.longest_silence));
    if let Some(comments @ 1..) = stream.comments {
        push!(out; ", kept alive by ", Counted(comments, "comment", "comments"));
    }
    out.push('.');
}

const fn how(reset: bool) -> &'static str {
    if reset {
        " reset the connection"
    } else {
        " closed"
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

/// The costliest finding of a kind about one side.
fn costliest(exchange: &Exchange, kind: FindingKind, side: Side) -> Option<&Finding> {
    let findings = exchange.findings.iter();
    let of_kind = findings.filter(|finding| (finding.kind, finding.side) == (kind, side));
    of_kind.max_by_key(|finding| finding.cost)
}

/// Whether a loss explains most of the part of the exchange in which it lay: the wait for the
/// answer, or all of it.
fn lost_time(exchange: &Exchange, loss: &Finding) -> bool {
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

/// Pushes where the time went, by the findings, if it was not the server that took it.
fn costs(out: &mut String, exchange: &Exchange) {
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
fn reading(out: &mut String, exchange: &Exchange) {
    let read = exchange.reading() == Some(Reading::Read);
    if let Some(sockets) = exchange.sockets.as_deref().filter(|_| read)
        && let Some(by) = sockets.read_by
    {
        push!(out; " Its program had read the request within ", Spoken(by),
            ": it was at work on it, or waited for others.");
    }
}

/// `, 30 ms later`.
fn took_since(finding: &Finding) -> impl Piece {
    (", ", Spoken(finding.cost), " later")
}

fn cost(out: &mut String, exchange: &Exchange, finding: &Finding) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    fn explain(given: &Exchange) -> String {
        let mut out = String::new();
        exchange(&mut out, given, &Names::default());
        out
    }

    #[test]
    fn the_tutorials_case() {
        assert_eq!(
            explain(&fixtures::gave_up()),
            "The client (127.0.0.6:48764, Istio's sidecar) closed 501.7 ms after sending GET \
             /items, before any response byte; the server's kernel had the request after 0.03 ms; \
             the 200 came 1503.5 ms too late. 500 ms is a usual timeout: probably the caller's \
             (gateway: UT, sidecar: DC)."
        );
    }

    #[test]
    fn announced_timeouts_are_matched_or_not() {
        let announced = |millis| Exchange {
            expected_timeout: Some(Span::from_millis(millis)),
            timeout_guess: None,
            ..fixtures::gave_up()
        };
        assert!(explain(&announced(500)).contains("That is the timeout of 500 ms"));
        assert!(explain(&announced(2_000)).contains("earlier than the timeout of 2 s"));
        assert!(explain(&announced(100)).contains("later than the timeout of 100 ms"));
    }

    #[test]
    fn every_verdict_has_a_sentence() {
        for exchange in fixtures::every_verdict() {
            let text = explain(&exchange);
            assert!(text.ends_with('.'), "{text}");
            assert!(!text.contains("  "), "{text}");
            assert!(text.len() > 30, "{text}");
        }
        for given in [fixtures::refused(), fixtures::connect_timeout()] {
            let mut text = String::new();
            connection(&mut text, &given, &Names::default());
            assert!(text.starts_with("The server (10.244.0.5:3000)"), "{text}");
        }
        let mut text = String::new();
        connection(&mut text, &fixtures::connection(), &Names::default());
        assert!(text.is_empty());
    }

    #[test]
    fn silence_after_the_close_is_said() {
        let mut silent = fixtures::gave_up();
        silent.late_status = None;
        silent.events.late_response = None;
        silent.gaps.client_close_to_late_response = None;
        assert!(explain(&silent).contains("nothing more came from the server"));
        silent.doubt = Some(Doubt::CaptureEnded);
        let text = explain(&silent);
        assert!(
            text.contains("the capture ended before the server reacted"),
            "{text}"
        );
        assert!(
            text.ends_with("Uncertain: the capture ended before it was settled."),
            "{text}"
        );
    }

    #[test]
    fn loss_is_named_when_it_cost_more_than_half() {
        let mut slow = fixtures::ok();
        slow.gaps.request_to_response = Some(Span::from_millis(210));
        slow.gaps.total = Some(Span::from_millis(211));
        let retransmission = |millis| Finding {
            kind: FindingKind::Retransmission,
            side: Side::Server,
            frames: Vec::new(),
            cost: Span::from_millis(millis),
        };
        slow.findings = vec![retransmission(201)];
        assert!(explain(&slow).contains("Packet loss, not the server, cost 201.0 ms"));
        slow.findings = vec![retransmission(90)];
        assert!(!explain(&slow).contains("loss"));
        // The answer came at once, but its last bytes had to be sent again.
        let mut tail = fixtures::ok();
        tail.gaps.response_to_ack = Some(Span::from_millis(230));
        tail.findings = vec![retransmission(229)];
        assert!(explain(&tail).contains("Packet loss"));
    }

    #[test]
    fn half_close_race_and_unread_status() {
        let half = Exchange {
            half_closed: true,
            ..fixtures::ok()
        };
        assert!(explain(&half).contains("half-close"));
        let unread = Exchange {
            status: None,
            doubt: Some(Doubt::Snaplen),
            ..fixtures::ok()
        };
        let text = explain(&unread);
        assert!(
            text.contains("does not show") && text.contains("snap length"),
            "{text}"
        );
        let mut race = fixtures::server_closed();
        race.gaps.request_to_server_close = None;
        race.findings = vec![Finding {
            kind: FindingKind::KeepaliveRace,
            side: Side::Server,
            frames: Vec::new(),
            cost: Span::ZERO,
        }];
        assert!(explain(&race).contains("keep-alive race"));
    }

    #[test]
    fn wire_data_cannot_escape() {
        let hostile = Exchange {
            path: Some(format!("/\u{1b}[2J\u{202e}{}", "x".repeat(5_000)).into()),
            ..fixtures::gave_up()
        };
        let text = explain(&hostile);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
        assert!(text.chars().count() < 500);
    }
}
