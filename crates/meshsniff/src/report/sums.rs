//! What all exchanges have in common, in words: timers, what findings cost, what callers waited.

use crate::exchange::{Doubt, FindingKind, Gap, Side, Verdict};
use crate::names::Names;
use crate::number;
use crate::piece::{Counted, Grouped, Number, Piece, Spoken, Timeout, push, said};
use crate::protocol::tls::Part;
use crate::statistics::{GapStats, Problem, ProcessEnd, Summary, Timer, TimerKind};
use crate::time::{Span, Timestamp};

/// Routes named for a timer.
const MAX_ROUTES: usize = 3;

/// How a format shows text from the wire, cut to a number of characters. Everything else in a
/// sentence is the program's own.
pub(super) type Wire = fn(&mut String, &str, usize);

/// Pushes a timer.
pub(super) fn timer(out: &mut String, timer: &Timer, names: &Names, wire: Wire) {
    let by = match timer.closed_by {
        Side::Client => "client",
        Side::Server => "server",
    };
    let of = |out: &mut String| push!(out; Grouped(timer.count), " of ", Grouped(timer.of));
    match (timer.kind, timer.closed_by) {
        (TimerKind::KeepAlive, _) => {
            push!(out; "the ", by, " closed ");
            of(out);
            out.push_str(" idle connections ");
            range(out, timer);
            out.push_str(" after the last answer: its keep-alive timeout");
        }
        (TimerKind::TunnelIdle, _) => {
            push!(out; "the ", by, " closed ");
            of(out);
            out.push_str(" tunnels ");
            range(out, timer);
            out.push_str(" after their last byte: an idle timeout");
        }
        (TimerKind::Handshake, _) => {
            push!(out; "the ", by, " left ");
            of(out);
            out.push_str(" unfinished TLS handshakes after ");
            range(out, timer);
            out.push_str(": a timer");
        }
        (TimerKind::RequestIdle, _) => {
            of(out);
            push!(out; " requests that stopped were ended by the ", by, " after ");
            range(out, timer);
            out.push_str(" of silence: a timer");
        }
        (TimerKind::ResponseIdle, _) => {
            of(out);
            push!(out; " responses were cut off by the ", by, " ");
            range(out, timer);
            out.push_str(" after their last byte: a timer of silence");
        }
        (TimerKind::GiveUp, by) => {
            number::grouped(out, timer.count);
            out.push_str(match by {
                Side::Client => " give-ups at ",
                Side::Server => " closes by the server at ",
            });
            let (mut min, mut max) = (String::new(), String::new());
            tenths(&mut min, timer.min);
            tenths(&mut max, timer.max);
            out.push_str(&min);
            if min != max {
                out.push('–');
                out.push_str(&max);
            }
            out.push_str(" ms: a timer");
        }
    }
    if let Some(guess) = timer.guess {
        push!(out; ", probably ", Timeout(guess));
    }
    out.push_str("; ");
    names.at(timer.server).push_as(out, wire);
    for (index, route) in timer.routes.iter().take(MAX_ROUTES).enumerate() {
        out.push_str(if index == 0 { ", " } else { " | " });
        wire(out, route, 60);
    }
    if timer.routes.len() > MAX_ROUTES {
        out.push_str(" | …");
    }
}

/// Pushes the ends of a timer's gaps, or the one that both are: `5.00 s`, `493.6–499.5 ms`.
fn range(out: &mut String, timer: &Timer) {
    ends(out, timer.min, timer.max);
}

/// Pushes the ends of spans, or the one that both are, the shorter with one decimal of a millisecond
/// or two of a second.
pub(super) fn ends(out: &mut String, min: Span, max: Span) {
    const SECOND: i64 = 1_000_000_000;
    let (least, most) = (min.as_nanos(), max.as_nanos());
    let ends = [min, max].map(|span| {
        let mut text = String::new();
        match least {
            ..SECOND => tenths(&mut text, span),
            _ if most < 120 * SECOND => {
                number::decimal(&mut text, (span.as_nanos() + 5_000_000) / 10_000_000, 2, 2);
            }
            _ => number::spoken(&mut text, span),
        }
        text
    });
    out.push_str(&ends[0]);
    if ends[0] != ends[1] {
        out.push('–');
        out.push_str(&ends[1]);
    }
    out.push_str(match least {
        ..SECOND => " ms",
        _ if most < 120 * SECOND => " s",
        _ => "",
    });
}

/// Pushes milliseconds with one decimal.
fn tenths(out: &mut String, span: Span) {
    let micros = number::micros(span);
    number::decimal(out, micros.saturating_add(50) / 100, 1, 1);
}

/// A finding as what it did to several exchanges.
const fn did(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Retransmission => "lost time to segments that were sent again",
        FindingKind::ZeroWindow => "waited for a program that did not read",
        FindingKind::DelayedAckStall => "waited for a delayed ACK",
        FindingKind::KeepaliveRace => "raced the server's close of an idle connection",
        FindingKind::LateResponse => "got the answer too late",
        FindingKind::SlowRequestBody => "took long to be sent",
        FindingKind::SynRetry => "waited for a repeated SYN",
        FindingKind::RequestStalled => "stopped in the middle of the request",
        FindingKind::ExpectUnanswered => "waited for a 100 Continue in vain",
        FindingKind::RequestUnacknowledged => "sent a request that nobody acknowledged",
        FindingKind::ResponseUnacknowledged => "had a response that nobody acknowledged",
        FindingKind::StrangerReset => "met a RST from somebody who did not know the connection",
        FindingKind::DnsRetry => "waited for a DNS query that had to be sent again",
        FindingKind::UnreadRequest => "lay unread in the server's socket",
        FindingKind::AcceptQueueFull => "met a full accept queue",
        FindingKind::FlowControlStall => "waited for a window of HTTP/2 to open",
        FindingKind::HeadOfLine => "waited behind another stream's lost segments",
        FindingKind::StreamsExhausted => "waited for one of the permitted streams to end",
        FindingKind::PingUnanswered => "ran beside a PING that was never answered",
        FindingKind::SettingsUnacknowledged => "ran beside SETTINGS that were never acknowledged",
        FindingKind::WebsocketNoClose => "ended as a WebSocket that nobody had closed properly",
        FindingKind::WebsocketCloseCode => "ended as a WebSocket closed with a code of trouble",
        FindingKind::WebsocketViolation => "broke the rules of WebSocket",
        FindingKind::DnsSlow => "waited for a slow lookup in DNS",
        FindingKind::Retry => "tried again what had been asked before",
        FindingKind::PortReuse => "reused ports of a connection that the server still knew",
        FindingKind::ProxyProtocol => "came behind a PROXY header",
    }
}

/// The lines on what findings cost, the most frequent first, but those that `told` says of all.
pub(super) fn findings(summary: &Summary, told: &[Problem]) -> Vec<String> {
    let [good, not_good, unknown] = summary.goodness;
    let all = good.saturating_add(not_good).saturating_add(unknown);
    let mut found: Vec<(FindingKind, GapStats)> = summary.findings().collect();
    found.retain(|(kind, costs)| {
        let said = told.iter().map(|problem| problem.tells_of(*kind));
        said.fold(0, u64::saturating_add) < costs.count
    });
    found.sort_by_key(|(_, costs)| std::cmp::Reverse(costs.count));
    let lines = found.into_iter().map(|(kind, costs)| {
        let mut line = String::new();
        push!(&mut line; Grouped(costs.count), " of ", Grouped(all), " ", did(kind));
        if costs.max > Span::ZERO {
            push!(&mut line; ": ", Spoken(costs.p50));
            if costs.count > 1 {
                push!(&mut line; " (median), ", Spoken(costs.max), " (most)");
            }
        }
        line
    });
    lines.collect()
}

/// `4 uncertain (3 capture-ended, 1 sequence-hole)`; empty if none is.
pub(super) fn uncertain(summary: &Summary) -> String {
    let mut out = String::new();
    if summary.uncertain == 0 {
        return out;
    }
    push!(&mut out; Grouped(summary.uncertain), " uncertain");
    let doubts = Doubt::ALL.into_iter().zip(summary.doubts);
    for (index, (doubt, count)) in doubts.filter(|(_, count)| *count > 0).enumerate() {
        out.push_str(if index == 0 { " (" } else { ", " });
        push!(&mut out; Grouped(count), " ", doubt.name());
    }
    out.push(')');
    out
}

/// Pushes the end of a process. `origin` is the time of the first frame.
pub(super) fn process_end(
    out: &mut String,
    end: &ProcessEnd,
    origin: Timestamp,
    server: impl Piece,
) {
    let seconds = |out: &mut String, at: Timestamp| {
        number::decimal(out, number::micros(at - origin), 6, 3);
        out.push_str(" s");
    };
    push!(out; "the process behind ", server, " ended at ");
    seconds(out, end.at);
    push!(out; ": it closed ", Grouped(end.connections), " connections within ",
        Spoken(end.within), ", ", Counted(end.unanswered, "request was", "requests were"),
        " under way, and ", Counted(end.refused, "connect was refused", "connects were refused"),
        " after that, the last at ");
    seconds(out, end.last_refused);
}

/// Pushes what callers waited, and after which time answers began; nothing if nobody waited.
pub(super) fn waits(out: &mut String, summary: &Summary) {
    if let Some(wait) = summary.gap(Gap::Wait) {
        percentiles(out, "the caller waited", "callers waited", wait);
        // Whoever gave up waited, and has no answer.
        let left = Verdict::ALL.into_iter().zip(summary.verdicts);
        let left = left.filter(|(verdict, _)| verdict.ended_by_client());
        let left = left.map(|(_, count)| count).fold(0, u64::saturating_add);
        if left > 0 && wait.count > 1 {
            push!(out; ", with ", Grouped(left), " who gave up");
        }
    }
    if let Some(response) = summary.gap(Gap::RequestToResponse) {
        out.push_str(if out.is_empty() { "" } else { "\n" });
        percentiles(
            out,
            "the answer began after",
            "answers began after",
            response,
        );
    }
    let mut handshakes = summary.handshakes();
    if let Some((Part::Whole, took)) = handshakes.next() {
        out.push_str(if out.is_empty() { "" } else { "\n" });
        percentiles(
            out,
            "the TLS handshake took",
            &said!(Grouped(took.count), " TLS handshakes took"),
            took,
        );
        if let Some((_, server)) = handshakes.find(|(part, _)| *part == Part::Server) {
            push!(out; "; the server's part ", Spoken(server.p50));
        }
    }
}

fn percentiles(out: &mut String, one: &str, many: &str, stats: GapStats) {
    if stats.count == 1 {
        out.push_str(one);
        push!(out; " ", Spoken(stats.max));
        return;
    }
    out.push_str(many);
    for (index, (name, span)) in [
        (" (median)", stats.p50),
        (" (p90)", stats.p90),
        (" (p99)", stats.p99),
        (" (longest)", stats.max),
    ]
    .into_iter()
    .enumerate()
    {
        out.push_str(if index == 0 { " " } else { ", " });
        push!(out; Spoken(span), name);
    }
}

/// What not all is well with of those that were answered in full, with counts: `1 with a 4xx status`,
/// `3 failed calls`. Whether it is a failure stands beside each.
pub(super) fn answered(summary: &Summary) -> Vec<(String, bool)> {
    let classes = [4_usize, 5].into_iter();
    let counts = classes.map(|class| (class, summary.statuses[class]));
    let occurring = counts.filter(|(_, count)| *count > 0);
    let words = occurring.map(|(class, count)| {
        let mut text = String::new();
        push!(&mut text; Grouped(count), " with a ", Number(class as u64), "xx status");
        (text, class == 5)
    });
    let mut all: Vec<_> = words.collect();
    let mut call = |count: u64, (one, many): (&'static str, &'static str), failed| {
        if count > 0 {
            let mut text = String::new();
            push!(&mut text; Counted(count, one, many));
            all.push((text, failed));
        }
    };
    call(summary.failed_calls, ("failed call", "failed calls"), true);
    let unknown = ("call of unknown status", "calls of unknown status");
    call(summary.unknown_calls, unknown, false);
    all
}
