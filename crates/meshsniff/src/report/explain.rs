//! Explanations: what happened, in a sentence that can be pasted into a ticket.
//!
//! The sentence says who did what and when, with the figures, and what that makes likely. It judges
//! nothing anew; frame numbers and all flags stand elsewhere in a report.

use crate::dns::{Dns, code_name};
use crate::exchange::{
    Connection, Doubt, Exchange, Finding, FindingKind, ResponseShape, Side, Verdict,
};
use crate::mesh;
use crate::mesh::timeout;
use crate::packet::Endpoint;
use crate::piece::{At, Bytes, Counted, Grouped, Number, Piece, Shown, Spoken, Timeout, push};
use crate::time::Span;

/// Characters of a request target in a sentence.
const MAX_PATH: usize = 80;
/// Characters of a method in a sentence.
const MAX_METHOD: usize = 24;

/// Pushes the explanation of `exchange`.
pub fn exchange(out: &mut String, exchange: &Exchange) {
    match exchange.verdict {
        Verdict::Ok => answered(out, exchange),
        Verdict::Upgraded => upgraded(out, exchange),
        Verdict::ClientGaveUp => gave_up(out, exchange),
        Verdict::ClientGaveUpMidResponse => gave_up_mid_response(out, exchange),
        Verdict::ClientAbortedRequest => aborted(out, exchange),
        Verdict::ServerClosedUnanswered | Verdict::ServerResetUnanswered => {
            server_left(out, exchange);
        }
        Verdict::ServerTruncatedResponse => truncated(out, exchange),
        // The last two are verdicts of connections.
        Verdict::Unanswered | Verdict::ConnectRefused | Verdict::ConnectTimeout => {
            unanswered(out, exchange);
        }
    }
    costs(out, exchange);
    match exchange.doubt {
        // The sentence said so.
        Some(Doubt::CaptureEnded) if exchange.verdict == Verdict::Unanswered => {}
        Some(doubt) => doubtful(out, doubt),
        None => {}
    }
}

/// Pushes the explanation of a connection that never opened; nothing for any other.
pub fn connection(out: &mut String, connection: &Connection) {
    let syns = connection.syn_retries.saturating_add(1);
    let (client, server) = (At(connection.client), At(connection.server));
    if let Some(dns) = &connection.dns {
        lookups(out, connection, dns);
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
                client, ": the address is gone, or packets are dropped on the way ",
                "(a proxy here: UF).");
        }
        None
        | Some(
            Verdict::Ok
            | Verdict::ClientGaveUp
            | Verdict::ClientGaveUpMidResponse
            | Verdict::ClientAbortedRequest
            | Verdict::ServerClosedUnanswered
            | Verdict::ServerResetUnanswered
            | Verdict::ServerTruncatedResponse
            | Verdict::Upgraded
            | Verdict::Unanswered,
        ) => return,
    }
    if let Some(doubt) = connection.doubt {
        doubtful(out, doubt);
    }
}

/// Pushes what went wrong with the queries of a connection; nothing if all is well.
fn lookups(out: &mut String, connection: &Connection, dns: &Dns) {
    if dns.is_fine() {
        return;
    }
    push!(out; "The client (", At(connection.client), ") asked ", At(connection.server), " ",
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
        Doubt::SequenceHole => "packets of this connection are missing from the capture",
        Doubt::OneSided => "the capture holds only one direction",
        Doubt::CaptureStartedLate => "the capture may have started too late to see all of it",
        Doubt::CaptureEnded => "the capture ended before it was settled",
        Doubt::Snaplen => "the snap length cut bytes that were needed",
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
struct Party(Side, Endpoint);

impl Piece for Party {
    fn push(self, out: &mut String) {
        let Self(side, endpoint) = self;
        let who = match side {
            Side::Client => "The client (",
            Side::Server => "The server (",
        };
        let sidecar = mesh::is_istio_inbound(endpoint).then_some(", Istio's sidecar");
        push!(out; who, At(endpoint), sidecar, ")");
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
    let pipelined = gaps.after_previous;
    let pipelined =
        pipelined.map(|gap| (" (", Spoken(gap), " after the answer before it: pipelined)"));
    let duration = gaps.response_duration;
    let duration = duration.filter(|gap| *gap >= Span::from_millis(1));
    let half_closed = exchange.half_closed;
    let half_closed =
        half_closed.then_some("; the client had closed its sending side only (a half-close)");
    let own = exchange.good() == Some(false);
    let own = own.then_some(" The answer is the server's own: nobody hung up.");
    push!(out; pipelined, known("; the response took another ", duration), half_closed, ".", own);
}

fn upgraded(out: &mut String, exchange: &Exchange) {
    let status = exchange.status;
    push!(out; Request(exchange, "The request"), " was switched to another protocol",
        status.map(|status| (" (", Number(u64::from(status)), ")")),
        known(" after ", exchange.gaps.request_to_response),
        "; what follows on the connection is not HTTP.");
}

const fn how(reset: bool) -> &'static str {
    if reset {
        " reset the connection"
    } else {
        " closed"
    }
}

/// The client, and how it closed first.
fn client_closed(exchange: &Exchange) -> impl Piece {
    let reset = exchange.client_close().is_some_and(|(_, reset)| reset);
    (Party(Side::Client, exchange.client), how(reset))
}

fn gave_up(out: &mut String, exchange: &Exchange) {
    let gaps = &exchange.gaps;
    push!(out; client_closed(exchange), after(gaps.request_to_client_close), " after sending ",
        request(exchange), ", before any response byte; ");
    match gaps.request_to_ack {
        Some(gap) => push!(out; "the server's kernel had the request after ", Spoken(gap)),
        None => out.push_str("the server's kernel was not seen to acknowledge the request"),
    }
    match (gaps.client_close_to_late_response, exchange.server_close()) {
        (Some(gap), _) => {
            let late = exchange.late_status;
            let late = late.map_or_else(|| "an answer".to_owned(), |late| format!("the {late}"));
            out.push_str("; ");
            out.push_str(&late);
            if gap < Span::ZERO {
                out.push_str(" crossed the close. ");
            } else {
                push!(out; " came ", Spoken(gap), " too late. ");
            }
        }
        (None, _) if exchange.doubt == Some(Doubt::CaptureEnded) => {
            out.push_str("; the capture ended before the server reacted. ");
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
                    " which the request announced: more likely its own caller hung up ",
                    "(the client's proxy: DC");
            }
            None => push!(out; "The request announced a timeout of ", timeout,
                " (the client's proxy: UT or DC"),
        }
        let server = !exchange.envoy.server.is_empty();
        push!(out; server.then_some(", the server's: DC"), ").");
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
            push!(out; "It fits no usual timeout: a caller that went away, or a timeout of its ",
                "own making ", proxies);
        }
    }
}

fn gave_up_mid_response(out: &mut String, exchange: &Exchange) {
    let gaps = &exchange.gaps;
    let close = gaps.request_to_client_close;
    let matched = exchange.expected_timeout;
    let matched =
        matched.filter(|&announced| close.is_some_and(|gap| timeout::matches(announced, gap)));
    push!(out; client_closed(exchange), after(close), " after sending ", request(exchange),
        ", inside ", response(exchange.status), ", of which ", Bytes(exchange.response_bytes),
        " had come", known("; the response had begun after ", gaps.request_to_response),
        matched.map(|announced| {
            ("; that is the timeout of ", Timeout(announced), " which the request announced")
        }),
        " (a proxy on either side: DC).");
}

fn aborted(out: &mut String, exchange: &Exchange) {
    let close = exchange.client_close();
    let since = close.map(|(mark, _)| mark.time - exchange.start());
    let inside = since.is_none().then_some(" inside ");
    push!(out; client_closed(exchange),
        since.map(|since| (" ", Spoken(since), " after the first byte of ")), inside,
        request(exchange), ", before the request was complete: ", Bytes(exchange.request_bytes),
        " had been sent (a proxy on either side: DC).");
}

fn server_left(out: &mut String, exchange: &Exchange) {
    let server = Party(Side::Server, exchange.server);
    if exchange.finding(FindingKind::KeepaliveRace).is_some() {
        push!(out; server, " had closed the kept-alive connection already when ",
            request(exchange), " was sent: a keep-alive race, the request was never looked at ",
            "(the client's proxy: UC; it may be sent again safely).");
        return;
    }
    // Both a FIN and a RST may be there: the verdict knows which decided.
    push!(out; server, how(exchange.verdict == Verdict::ServerResetUnanswered));
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
        " (the client's proxy: UC, and a 503 to its caller).");
}

fn truncated(out: &mut String, exchange: &Exchange) {
    let server = Party(Side::Server, exchange.server);
    if exchange.response_shape == ResponseShape::NotHttp {
        push!(out; server, " answered ", request(exchange));
        match exchange.status {
            None => out.push_str(" with bytes that are no HTTP response"),
            status => push!(out; " with ", response(status), ", whose body is no valid HTTP"),
        }
    } else {
        let reset = exchange.server_close().is_some_and(|(_, reset)| reset);
        let chunked = exchange.response_shape == ResponseShape::Chunked;
        push!(out; server, how(reset), after(exchange.gaps.request_to_server_close), " after ",
            request(exchange), ", inside ", response(exchange.status), ": only ",
            Bytes(exchange.response_bytes), " of it came",
            chunked.then_some(", without the last chunk"));
    }
    for (index, flag) in exchange.envoy.client.iter().enumerate() {
        push!(out; if index == 0 { " (the client's proxy: " } else { " or " }, *flag);
    }
    let flags = !exchange.envoy.client.is_empty();
    out.push_str(if flags { ")." } else { "." });
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

/// The costliest finding of a kind.
fn costliest(exchange: &Exchange, kind: FindingKind) -> Option<&Finding> {
    let of_kind = exchange
        .findings
        .iter()
        .filter(|finding| finding.kind == kind);
    of_kind.max_by_key(|finding| finding.cost)
}

/// The time that packet loss cost, if it explains most of the wait.
#[must_use]
pub fn lost_time(exchange: &Exchange) -> Option<Span> {
    let cost = costliest(exchange, FindingKind::Retransmission)?.cost;
    let twice = cost.as_nanos().saturating_mul(2);
    let gaps = &exchange.gaps;
    let whole = gaps.total.map(|total| match gaps.response_to_ack {
        Some(ack) => total.plus(ack),
        None => total,
    });
    // Without a response the wait ended with the close.
    let waited = gaps
        .request_to_client_close
        .or(gaps.request_to_server_close)
        .filter(|_| gaps.request_to_response.is_none());
    let more_than_half = |span: Option<Span>| span.is_some_and(|span| twice > span.as_nanos());
    let explained =
        more_than_half(gaps.request_to_response) || more_than_half(whole) || more_than_half(waited);
    explained.then_some(cost)
}

/// Pushes where the time went, by the findings, if it was not the server that took it.
fn costs(out: &mut String, exchange: &Exchange) {
    if exchange.findings.is_empty() {
        return;
    }
    for kind in FindingKind::ALL {
        let Some(finding) = costliest(exchange, kind) else {
            continue;
        };
        let (before, cost, after) = match kind {
            FindingKind::Retransmission => match lost_time(exchange) {
                Some(cost) => (
                    "Packet loss, not the server, cost ",
                    cost,
                    " of this (retransmission).",
                ),
                None => continue,
            },
            FindingKind::ZeroWindow => (
                "A receiver had its window closed for ",
                finding.cost,
                ": a program that did not read.",
            ),
            FindingKind::DelayedAckStall => {
                ("A delayed ACK held the sender up for ", finding.cost, ".")
            }
            FindingKind::SlowRequestBody => {
                ("The client took ", finding.cost, " to send the request.")
            }
            FindingKind::SynRetry => (
                "Opening the connection took a repeated SYN, ",
                finding.cost,
                ".",
            ),
            FindingKind::DnsRetry => (
                "Before the connection a DNS query had no answer and was sent again after ",
                finding.cost,
                ".",
            ),
            FindingKind::DnsSlow => (
                "Before the connection the lookup of the name in DNS took ",
                finding.cost,
                ".",
            ),
            // The sentence before says so.
            FindingKind::KeepaliveRace | FindingKind::LateResponse => continue,
        };
        push!(out; " ", before, Spoken(cost), after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    fn explain(given: &Exchange) -> String {
        let mut out = String::new();
        exchange(&mut out, given);
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
            connection(&mut text, &given);
            assert!(text.starts_with("The server (10.244.0.5:3000)"), "{text}");
        }
        let mut text = String::new();
        connection(&mut text, &fixtures::connection());
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
