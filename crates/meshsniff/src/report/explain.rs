//! Explanations: what happened, in a sentence that can be pasted into a ticket.
//!
//! The sentence says who did what and when, with the figures, and what that makes likely. It judges
//! nothing anew; frame numbers and all flags stand elsewhere in a report.

use crate::exchange::{
    Connection, Doubt, Exchange, Finding, FindingKind, ResponseShape, Side, Verdict,
};
use crate::mesh;
use crate::mesh::timeout;
use crate::packet::Endpoint;
use crate::piece::{At, Bytes, Grouped, Number, Shown, Spoken, Timeout, push};
use crate::time::Span;
use crate::{escape, number};

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
    match connection.verdict {
        Some(Verdict::ConnectRefused) => {
            push!(out; "The server (", At(connection.server), ") refused the connection from ",
                At(connection.client), " with a RST");
            if syns > 1 {
                push!(out; " after ", Grouped(syns), " SYNs");
            }
            out.push_str(": nothing listens there, or a firewall rejects (a proxy here: UF).");
        }
        Some(Verdict::ConnectTimeout) => {
            push!(out; "The server (", At(connection.server), ") did not answer ", Grouped(syns),
                " SYNs from ", At(connection.client));
            out.push_str(
                ": the address is gone, or packets are dropped on the way (a proxy here: UF).",
            );
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
    out.push_str(" Uncertain: ");
    out.push_str(doubt_in_words(doubt));
    out.push('.');
}

/// Pushes `GET /items`, or `the request` if its line was cut.
fn request(out: &mut String, exchange: &Exchange) {
    let Some(method) = exchange.method.as_deref() else {
        out.push_str("the request");
        return;
    };
    escape::shown(out, method, MAX_METHOD);
    if let Some(path) = exchange.path.as_deref() {
        push!(out; " ", Shown(path, MAX_PATH));
    }
}

/// Pushes the same at the begin of a sentence.
fn request_first(out: &mut String, exchange: &Exchange) {
    if exchange.method.is_some() {
        request(out, exchange);
    } else {
        out.push_str("The request");
    }
}

fn party(out: &mut String, side: Side, endpoint: Endpoint) {
    out.push_str(match side {
        Side::Client => "The client (",
        Side::Server => "The server (",
    });
    number::endpoint(out, endpoint);
    if mesh::is_istio_inbound(endpoint) {
        out.push_str(", Istio's sidecar");
    }
    out.push(')');
}

/// Pushes ` 12.3 ms`, or nothing if the gap is not known.
fn after(out: &mut String, gap: Option<Span>) {
    if let Some(gap) = gap {
        push!(out; " ", Spoken(gap));
    }
}

fn status(out: &mut String, status: Option<u16>) {
    match status {
        Some(status) => {
            push!(out; "the ", Number(u64::from(status)));
        }
        None => out.push_str("the response"),
    }
}

fn answered(out: &mut String, exchange: &Exchange) {
    let gaps = &exchange.gaps;
    request_first(out, exchange);
    out.push_str(" was answered");
    match exchange.status {
        Some(status) => {
            push!(out; " ", Number(u64::from(status)));
        }
        None => out.push_str(", with a status that the capture does not show,"),
    }
    if gaps.request_to_response.is_none() && out.ends_with(',') {
        out.pop();
    }
    match gaps.request_to_response {
        Some(gap) if gap < Span::ZERO => {
            push!(out; " ", Spoken(Span::from_nanos(gap.as_nanos().saturating_neg())),
                " before the request was complete");
        }
        Some(gap) => {
            push!(out; " after ", Spoken(gap));
        }
        None => {}
    }
    if let Some(gap) = gaps.after_previous {
        push!(out; " (", Spoken(gap), " after the answer before it: pipelined)");
    }
    if let Some(gap) = gaps.response_duration
        && gap >= Span::from_millis(1)
    {
        push!(out; "; the response took another ", Spoken(gap));
    }
    if exchange.half_closed {
        out.push_str("; the client had closed its sending side only (a half-close)");
    }
    out.push('.');
    if exchange.good() == Some(false) {
        out.push_str(" The answer is the server's own: nobody hung up.");
    }
}

fn upgraded(out: &mut String, exchange: &Exchange) {
    request_first(out, exchange);
    out.push_str(" was switched to another protocol");
    if let Some(status) = exchange.status {
        push!(out; " (", Number(u64::from(status)), ")");
    }
    if let Some(gap) = exchange.gaps.request_to_response {
        push!(out; " after ", Spoken(gap));
    }
    out.push_str("; what follows on the connection is not HTTP.");
}

/// How a side closed.
const fn how(reset: bool) -> &'static str {
    if reset {
        " reset the connection"
    } else {
        " closed"
    }
}

fn client_how(exchange: &Exchange) -> &'static str {
    how(exchange.client_close().is_some_and(|(_, reset)| reset))
}

fn gave_up(out: &mut String, exchange: &Exchange) {
    let gaps = &exchange.gaps;
    party(out, Side::Client, exchange.client);
    out.push_str(client_how(exchange));
    after(out, gaps.request_to_client_close);
    out.push_str(" after sending ");
    request(out, exchange);
    out.push_str(", before any response byte; ");
    match gaps.request_to_ack {
        Some(gap) => {
            push!(out; "the server's kernel had the request after ", Spoken(gap));
        }
        None => out.push_str("the server's kernel was not seen to acknowledge the request"),
    }
    match gaps.client_close_to_late_response {
        Some(gap) => {
            out.push_str("; ");
            match exchange.late_status {
                Some(late) => status(out, Some(late)),
                None => out.push_str("an answer"),
            }
            if gap < Span::ZERO {
                out.push_str(" crossed the close. ");
            } else {
                push!(out; " came ", Spoken(gap), " too late. ");
            }
        }
        None if exchange.doubt == Some(Doubt::CaptureEnded) => {
            out.push_str("; the capture ended before the server reacted. ");
        }
        None => match exchange.server_close() {
            Some((_, true)) => out.push_str("; the server sent nothing more than a RST. "),
            Some((_, false)) => out.push_str("; the server sent nothing more than its own FIN. "),
            None => out.push_str("; nothing more came from the server. "),
        },
    }
    whose_timeout(out, exchange);
}

/// Pushes whose timeout the time of a give-up makes likely.
fn whose_timeout(out: &mut String, exchange: &Exchange) {
    let istio = mesh::is_istio_inbound(exchange.client);
    if let Some(announced) = exchange.expected_timeout {
        match exchange.gaps.request_to_client_close {
            Some(gap) if timeout::matches(announced, gap) => {
                push!(out; "That is the timeout of ", Timeout(announced));
                out.push_str(if istio {
                    " which the request announced (the proxy that announced it: UT, one that \
                     passed it on: DC"
                } else {
                    " which the request announced (the client's proxy: UT"
                });
            }
            Some(gap) => {
                out.push_str(if gap < announced {
                    "That is earlier than the timeout of "
                } else {
                    "That is later than the timeout of "
                });
                push!(out; Timeout(announced),
                    " which the request announced: more likely its own caller hung up (the \
                     client's proxy: DC");
            }
            None => {
                push!(out; "The request announced a timeout of ", Timeout(announced),
                    " (the client's proxy: UT or DC");
            }
        }
        if !exchange.envoy.server.is_empty() {
            out.push_str(", the server's: DC");
        }
        out.push_str(").");
        return;
    }
    match exchange.timeout_guess {
        Some(guess) => {
            push!(out; Timeout(guess), " is a usual timeout: probably the caller's ");
            out.push_str(if istio {
                "(gateway: UT, sidecar: DC)."
            } else {
                "(the client's proxy: DC, or UT if the timeout is its own)."
            });
        }
        None => out.push_str(if istio {
            "It fits no usual timeout: a caller that went away, or a timeout of its own making \
             (gateway: DC or UT, sidecar: DC)."
        } else {
            "It fits no usual timeout: a caller that went away, or a timeout of its own making \
             (the client's proxy: DC)."
        }),
    }
}

fn gave_up_mid_response(out: &mut String, exchange: &Exchange) {
    party(out, Side::Client, exchange.client);
    out.push_str(client_how(exchange));
    after(out, exchange.gaps.request_to_client_close);
    out.push_str(" after sending ");
    request(out, exchange);
    out.push_str(", inside ");
    status(out, exchange.status);
    push!(out; ", of which ", Bytes(exchange.response_bytes), " had come");
    if let Some(gap) = exchange.gaps.request_to_response {
        push!(out; "; the response had begun after ", Spoken(gap));
    }
    if let (Some(announced), Some(gap)) = (
        exchange.expected_timeout,
        exchange.gaps.request_to_client_close,
    ) && timeout::matches(announced, gap)
    {
        push!(out; "; that is the timeout of ", Timeout(announced), " which the request announced");
    }
    out.push_str(" (a proxy on either side: DC).");
}

fn aborted(out: &mut String, exchange: &Exchange) {
    party(out, Side::Client, exchange.client);
    out.push_str(client_how(exchange));
    let since = exchange
        .client_close()
        .map(|(mark, _)| mark.time - exchange.start());
    if let Some(since) = since {
        push!(out; " ", Spoken(since), " after the first byte of ");
    } else {
        out.push_str(" inside ");
    }
    request(out, exchange);
    push!(out; ", before the request was complete: ", Bytes(exchange.request_bytes),
        " had been sent (a proxy on either side: DC).");
}

fn server_left(out: &mut String, exchange: &Exchange) {
    if exchange.finding(FindingKind::KeepaliveRace).is_some() {
        party(out, Side::Server, exchange.server);
        out.push_str(" had closed the kept-alive connection already when ");
        request(out, exchange);
        out.push_str(
            " was sent: a keep-alive race, the request was never looked at (the client's proxy: \
             UC; it may be sent again safely).",
        );
        return;
    }
    party(out, Side::Server, exchange.server);
    // Both a FIN and a RST may be there: the verdict knows which decided.
    out.push_str(how(exchange.verdict == Verdict::ServerResetUnanswered));
    match exchange.gaps.request_to_server_close {
        Some(gap) if gap >= Span::ZERO => {
            after(out, Some(gap));
            out.push_str(" after ");
            request(out, exchange);
        }
        Some(_) => {
            out.push_str(" before ");
            request(out, exchange);
            out.push_str(" was complete");
        }
        None => {
            out.push_str(" on ");
            request(out, exchange);
        }
    }
    out.push_str(" without a single response byte");
    match exchange.gaps.request_to_ack {
        Some(gap) if exchange.verdict == Verdict::ServerClosedUnanswered => {
            push!(out; "; its kernel had the request after ", Spoken(gap));
        }
        _ => {}
    }
    out.push_str(" (the client's proxy: UC, and a 503 to its caller).");
}

fn truncated(out: &mut String, exchange: &Exchange) {
    party(out, Side::Server, exchange.server);
    if exchange.response_shape == ResponseShape::NotHttp {
        out.push_str(" answered ");
        request(out, exchange);
        if exchange.status.is_some() {
            out.push_str(" with ");
            status(out, exchange.status);
            out.push_str(", whose body is no valid HTTP");
        } else {
            out.push_str(" with bytes that are no HTTP response");
        }
    } else {
        out.push_str(how(exchange.server_close().is_some_and(|(_, reset)| reset)));
        after(out, exchange.gaps.request_to_server_close);
        out.push_str(" after ");
        request(out, exchange);
        out.push_str(", inside ");
        status(out, exchange.status);
        push!(out; ": only ", Bytes(exchange.response_bytes), " of it came");
        if exchange.response_shape == ResponseShape::Chunked {
            out.push_str(", without the last chunk");
        }
    }
    if exchange.envoy.client.is_empty() {
        out.push('.');
        return;
    }
    out.push_str(" (the client's proxy: ");
    for (index, flag) in exchange.envoy.client.iter().enumerate() {
        if index > 0 {
            out.push_str(" or ");
        }
        out.push_str(flag);
    }
    out.push_str(").");
}

fn unanswered(out: &mut String, exchange: &Exchange) {
    out.push_str("The capture ended before ");
    request(out, exchange);
    if exchange.events.response_start.is_some() {
        out.push_str(" was answered in full");
        if let Some(gap) = exchange.gaps.request_to_response {
            push!(out; "; the response had begun after ", Spoken(gap));
        }
    } else if exchange.events.request_end.is_none() {
        out.push_str(" was sent in full");
    } else {
        out.push_str(" was answered");
        if let Some(gap) = exchange.gaps.request_to_ack {
            push!(out; "; the server's kernel had the request after ", Spoken(gap));
        }
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
