//! One exchange, or one connection that failed, as a small timeline.
//!
//! ```text
//! ✗ GET /items   client-gave-up                                                 exchange 3
//!   127.0.0.6:48764 (Istio's sidecar) → 10.244.0.5:3000, host catalog
//!     frame     seconds   client   server
//!      4185   90.518612     ─────────▶     GET /items, 161 bytes
//!      4186   90.518640     ◀─────────     ACK                       0.028 ms after the request
//!      4192   91.020323     ─────────▶     FIN: the client hangs up  501.683 ms after the ACK
//! ```
//!
//! Events of one frame share a line. The gap beside a line is the one that ends there.

use super::paint::{Ink, Paint, blanks, columns, left, right, wrapped};
use crate::event::Source;
use crate::exchange::{
    AckWith, EnvoyFlags, ErrorCode, Exchange, FindingKind, Side, Status, Verdict,
};
use crate::mesh;
use crate::names::Names;
use crate::number;
use crate::packet::{Endpoint, Mark};
use crate::piece::{Beside, Bytes, Exact, Grouped, Number, Shown, push, said};
use crate::redacted::MASK;
use crate::report::comments::Comments;
use crate::report::explain;
use crate::report::flags::places;
use crate::report::shell::Word;
use crate::report::timeline::{self, EventKind, TimelineEvent};
use crate::report::wireshark::{self, Numbering};
use crate::time::{Span, Timestamp};

/// Characters of a request target in a headline and in a line.
const MAX_HEADLINE: usize = 72;
const MAX_LINE: usize = 40;
/// Characters of a caller's identity.
const MAX_CALLER: usize = 100;
/// Columns of what a frame did, before the gap beside it.
const WHAT: usize = 34;
/// Events shown: a server may send any number of interim responses.
const MAX_EVENTS: usize = 64;
/// Findings shown, and frames of each.
pub(in super::super) const MAX_FINDINGS: usize = 12;
pub(in super::super) const MAX_FRAMES: usize = 8;
/// With an ACK later than this, the time from the request is the better figure: a delayed ACK would
/// take 40 ms of the time from the ACK.
const PROMPT_ACK: Span = Span::from_millis(5);

/// Context of a timeline, beside the exchange.
pub(super) struct Canvas<'a> {
    pub(super) paint: Paint,
    pub(super) width: usize,
    /// The time of the first frame.
    pub(super) origin: Timestamp,
    /// What was captured.
    pub(super) captured: &'a [Source],
    /// Names of the sources, if there are several.
    pub(super) sources: &'a [String],
    pub(super) comments: &'a Comments,
    pub(super) names: &'a Names,
    pub(super) numbering: Numbering,
}

/// A line of a timeline: what one frame did.
pub(in super::super) struct Line {
    pub(in super::super) event: TimelineEvent,
    pub(in super::super) what: String,
    pub(in super::super) ink: Option<Ink>,
    /// The gap that ends here, and since when it counts.
    pub(in super::super) gap: Option<(Span, &'static str)>,
}

impl Line {
    fn row(&self) -> Row<'_> {
        let (kind, mark) = self.event;
        Row {
            by: kind.sender(),
            mark,
            what: &self.what,
            ink: self.ink,
            gap: self.gap,
        }
    }
}

/// A line as it is drawn.
pub(super) struct Row<'a> {
    pub(super) by: Side,
    pub(super) mark: Mark,
    pub(super) what: &'a str,
    pub(super) ink: Option<Ink>,
    pub(super) gap: Option<(Span, &'static str)>,
}

impl Canvas<'_> {
    /// Pushes an exchange.
    pub(super) fn exchange(&self, out: &mut String, exchange: &Exchange) {
        self.headline(out, exchange);
        let mut ends = String::new();
        self.parties(&mut ends, exchange.client, exchange.server);
        if let Some(host) = exchange.authority.as_deref() {
            push!(&mut ends; ", host ", Shown(host, MAX_LINE));
        }
        if let Some(stream) = exchange.stream {
            push!(&mut ends; ", stream ", Number(u64::from(stream)));
        }
        if let Some(caller) = exchange.caller.as_deref() {
            push!(&mut ends; ", asked by ", Shown(caller, MAX_CALLER));
        }
        if let Some(id) = exchange.request_id.as_deref() {
            push!(&mut ends; ", request id ", Shown(id, MAX_LINE));
        }
        if let Some(id) = exchange.trace_id.as_deref() {
            push!(&mut ends; ", trace ", Shown(id, MAX_LINE));
        }
        let lines = lines(exchange);
        let rows: Vec<Row<'_>> = lines.iter().map(Line::row).collect();
        let only = self.only_source(&rows);
        if let Some(name) = only {
            push!(&mut ends; ", frames of ");
            ends.push_str(name);
        }
        wrapped(out, &ends, 2, self.width);
        self.rows(out, &rows, only.is_none());
        self.findings(out, exchange);
        let guessed = exchange.timeout_guess.is_some();
        self.envoy(out, &exchange.envoy, exchange.client, guessed);
        self.log(out, exchange);
        let mut sentence = String::new();
        explain::exchange(&mut sentence, exchange, self.names);
        wrapped(out, &sentence, 2, self.width);
        if exchange.good() != Some(true) {
            self.wireshark(out, |filter| {
                wireshark::exchange(filter, exchange, self.numbering);
            });
        }
        out.push('\n');
    }

    pub(super) fn wireshark(&self, out: &mut String, push: impl FnOnce(&mut String)) {
        let mut line = String::from("  Wireshark: ");
        push(&mut line);
        self.paint.push(out, Ink::Dim, &line);
        out.push('\n');
    }

    /// Pushes how to find what the proxies of the pod logged of an exchange that did not go well.
    fn log(&self, out: &mut String, exchange: &Exchange) {
        let source = exchange.events.request_start.frame.source();
        let source = self.captured.get(usize::from(source));
        // The trace is in a log that is told to say it.
        let id = exchange
            .request_id
            .as_deref()
            .or(exchange.trace_id.as_deref());
        if let Some((namespace, pod)) = source.and_then(Source::target)
            && namespace != "node"
            && let Some(id) = id.filter(|id| *id != MASK)
            && exchange.good() == Some(false)
        {
            // A command that is broken over lines cannot be copied.
            let line = said!(
                "  In its log: kubectl logs ",
                Word(pod),
                " -n ",
                Word(namespace),
                " --all-containers | grep -F -e ",
                Word(id)
            );
            self.paint.push(out, Ink::Dim, &line);
            out.push('\n');
        }
    }

    fn headline(&self, out: &mut String, exchange: &Exchange) {
        let (sign, ink) = match exchange.good() {
            Some(true) => ("✓ ", Ink::Good),
            Some(false) => ("✗ ", Ink::Bad),
            None => ("? ", Ink::Doubt),
        };
        self.paint.push(out, ink, sign);
        let mut title = String::new();
        let most = MAX_HEADLINE.min(self.width.saturating_sub(8)).max(20);
        request(&mut title, exchange, most);
        self.paint.push(out, Ink::Bold, &title);
        let mut verdict = String::new();
        outcome(&mut verdict, exchange);
        let mut used = 2 + columns(&title) + 3 + columns(&verdict);
        if used > self.width {
            out.push_str("\n  ");
            used = 2 + columns(&verdict);
        } else {
            out.push_str("   ");
        }
        self.paint.push(out, ink, &verdict);
        if let Some(doubt) = exchange.doubt {
            self.doubt(out, doubt.name());
            used += " (uncertain: )".len() + doubt.name().len();
        }
        if exchange.probe {
            out.push_str(" (probe)");
            used += " (probe)".len();
        }
        let mut id = String::from("exchange ");
        number::unsigned(&mut id, exchange.id);
        if used + 2 + columns(&id) > self.width {
            out.push_str("\n  ");
        } else {
            blanks(out, (self.width - used - columns(&id)).clamp(2, 80));
        }
        self.paint.push(out, Ink::Dim, &id);
        out.push('\n');
    }

    pub(super) fn doubt(&self, out: &mut String, name: &str) {
        out.push(' ');
        self.paint
            .push(out, Ink::Doubt, &format!("(uncertain: {name})"));
    }

    pub(super) fn parties(&self, out: &mut String, client: Endpoint, server: Endpoint) {
        push!(out; self.names.at(client));
        if mesh::is_istio_inbound(client) {
            out.push_str(" (Istio's sidecar)");
        }
        push!(out; " → ", self.names.at(server));
    }

    /// The name of the source, if there are several and all lines are of one.
    pub(super) fn only_source(&self, rows: &[Row<'_>]) -> Option<&str> {
        let mut sources = rows.iter().map(|row| row.mark.frame.source());
        let first = sources.next()?;
        let one = sources.all(|source| source == first);
        let name = self.sources.get(usize::from(first)).filter(|_| one)?;
        Some(name)
    }

    /// Pushes what each frame did; `named`: each with the name of its source.
    pub(super) fn rows(&self, out: &mut String, rows: &[Row<'_>], named: bool) {
        let mut head = String::from("  ");
        right(&mut head, "frame", self.frame_width());
        right(&mut head, "seconds", self.seconds_width());
        if !self.is_narrow() {
            head.push_str("   client    server\n");
        }
        self.paint.push(out, Ink::Dim, head.trim_end());
        out.push('\n');
        let widest = rows.iter().filter(|row| row.gap.is_some());
        let what = widest.map(|row| columns(row.what)).max();
        let what = what.unwrap_or(0).min(WHAT.max(MAX_LINE));
        let before = 2 + self.frame_width() + self.seconds_width() + self.arrow_width();
        let room = self.width.saturating_sub(before).max(MIN_WHAT);
        for row in rows {
            let mark = row.mark;
            out.push_str("  ");
            self.frame_column(out, mark.frame.number());
            self.seconds(out, mark.time);
            self.arrow(out, row.by, row.ink);
            let mut words = row.what.to_owned();
            if self.is_narrow() && columns(&words) > room {
                words = words.chars().take(room - 1).collect();
                words.push('…');
            }
            match row.ink {
                Some(ink) => self.paint.push(out, ink, &words),
                None => out.push_str(&words),
            }
            if let Some((gap, since)) = row.gap {
                let figure = said!(Beside(gap));
                let mut padded = String::new();
                if self.is_narrow() {
                    // Below, unless it fits behind.
                    let length = columns(&figure) + 1 + since.len();
                    if columns(&words) + 2 + length <= room {
                        blanks(out, 2);
                    } else {
                        out.push('\n');
                        blanks(out, before.min(self.width.saturating_sub(length)));
                    }
                    padded.push_str(&figure);
                } else {
                    blanks(out, what.saturating_sub(columns(row.what)) + 2);
                    right(&mut padded, &figure, "12345.678 ms".len());
                }
                self.paint
                    .push(out, row.ink.unwrap_or(Ink::Accent), &padded);
                out.push(' ');
                self.paint.push(out, Ink::Dim, since);
            }
            if named && let Some(name) = self.sources.get(usize::from(mark.frame.source())) {
                out.push_str("  ");
                self.paint.push(out, Ink::Dim, name);
            }
            out.push('\n');
            if let Some(comment) = self.comments.get(mark.frame) {
                blanks(out, before);
                let text = said!("“", Shown(comment, 200), "”");
                self.paint.push(out, Ink::Accent, &text);
                out.push('\n');
            }
        }
    }

    fn frame_column(&self, out: &mut String, frame: u64) {
        right(out, &frame.to_string(), self.frame_width());
    }

    fn seconds(&self, out: &mut String, time: Timestamp) {
        let mut text = String::new();
        let span = Span::from_nanos((time - self.origin).as_nanos());
        number::decimal(&mut text, number::micros(span), 6, 6);
        let mut padded = String::new();
        right(&mut padded, &text, self.seconds_width());
        self.paint.push(out, Ink::Dim, &padded);
    }

    const fn is_narrow(&self) -> bool {
        self.width < NARROW
    }

    const fn frame_width(&self) -> usize {
        if self.is_narrow() { 6 } else { FRAME }
    }

    const fn seconds_width(&self) -> usize {
        if self.is_narrow() { 12 } else { SECONDS }
    }

    const fn arrow_width(&self) -> usize {
        if self.is_narrow() { 9 } else { ARROW }
    }

    fn arrow(&self, out: &mut String, from: Side, ink: Option<Ink>) {
        out.push_str("   ");
        let arrow = match (from, self.is_narrow()) {
            (Side::Client, false) => "─────────▶",
            (Side::Server, false) => "◀─────────",
            (Side::Client, true) => "──▶",
            (Side::Server, true) => "◀──",
        };
        match ink {
            Some(ink) => self.paint.push(out, ink, arrow),
            None => out.push_str(arrow),
        }
        out.push_str("   ");
    }

    fn findings(&self, out: &mut String, exchange: &Exchange) {
        for finding in exchange.findings.iter().take(MAX_FINDINGS) {
            let mut line = String::from("  found: ");
            line.push_str(finding.kind.name());
            if finding.cost > Span::ZERO {
                push!(&mut line; ", ", Beside(finding.cost));
            }
            for (index, mark) in finding.frames.iter().take(MAX_FRAMES).enumerate() {
                line.push_str(match (index, finding.frames.len()) {
                    (0, 1) => " (frame ",
                    (0, _) => " (frames ",
                    _ => ", ",
                });
                number::unsigned(&mut line, mark.frame.number());
            }
            match finding.frames.len() {
                0 => {}
                count if count > MAX_FRAMES => line.push_str(", …)"),
                _ => line.push(')'),
            }
            let mut lines = String::new();
            wrapped(&mut lines, line.trim_start(), 2, self.width);
            for line in lines.lines() {
                self.paint.push(out, Ink::Doubt, line);
                out.push('\n');
            }
        }
        if exchange.findings.len() > MAX_FINDINGS {
            push!(out; "  found: … and ", Grouped((exchange.findings.len() - MAX_FINDINGS) as u64),
                " more\n");
        }
    }

    pub(super) fn envoy(
        &self,
        out: &mut String,
        flags: &EnvoyFlags,
        client: Endpoint,
        guessed: bool,
    ) {
        if *flags == EnvoyFlags::default() {
            return;
        }
        let mut used = "  Envoy would log:".len();
        out.push_str("  Envoy would log:");
        for (index, (place, flags)) in places(flags, client).enumerate() {
            let guess = if guessed && flags.len() > 1 {
                " (a guess)"
            } else {
                ""
            };
            let names = flags.join(" or ");
            out.push_str(if index == 0 { "" } else { ";" });
            // A place that does not fit stands below.
            used += 2 + names.len() + 1 + place.len() + guess.len();
            if used > self.width && index > 0 {
                out.push_str("\n   ");
                used = 4 + names.len() + 1 + place.len() + guess.len();
            }
            out.push(' ');
            self.paint.push(out, Ink::Bold, &names);
            out.push(' ');
            out.push_str(place);
            out.push_str(guess);
        }
        out.push('\n');
    }
}

/// A terminal with fewer columns has short arrows, and gaps below what they end at.
pub(super) const NARROW: usize = 92;
/// Columns that what a frame did has at least.
const MIN_WHAT: usize = 12;
/// Columns of the frame number, the time and the arrow.
const FRAME: usize = 8;
const SECONDS: usize = 16;
const ARROW: usize = 16;
/// Columns of the frames in a row.
pub(super) const FRAMES: usize = 20;
/// Columns of the status in a row.
pub(super) const STATUS: usize = 9;

/// Pushes what became of an exchange: its verdict, its status, and of a call the status that it has
/// of its own.
pub(super) fn outcome(out: &mut String, exchange: &Exchange) {
    // A whole answer that says that it failed, or may say so, is not "ok" to a reader.
    let is_good = exchange.good() == Some(true) || exchange.status.is_none();
    out.push_str(match exchange.verdict {
        Verdict::Ok if !is_good => "answered",
        verdict => verdict.name(),
    });
    if let Some(status) = exchange.status {
        push!(out; " ", Number(u64::from(status)));
    }
    if let Some(websocket) = exchange.websocket.as_deref() {
        match websocket.close_code {
            Some(code) => push!(out; ", closed ", Number(u64::from(code))),
            None if websocket.closed_by.is_some() => out.push_str(", closed"),
            None if exchange.finding(FindingKind::WebsocketNoClose).is_some() => {
                out.push_str(", not closed");
            }
            None => {}
        }
    }
    let Some(grpc) = exchange.grpc.as_deref() else {
        return;
    };
    match grpc.status {
        Some(Status::OK) => {}
        Some(status) => push!(out; " ", status.name()),
        None if exchange.verdict == Verdict::Ok && exchange.good().is_none() => {
            out.push_str(", its own status unknown");
        }
        None => {}
    }
}

/// Pushes `GET /items`, or what is left of it.
pub(super) fn request(out: &mut String, exchange: &Exchange, most: usize) {
    match (exchange.method.as_deref(), exchange.path.as_deref()) {
        (None, _) => out.push_str("(request line cut)"),
        (Some(method), path) => {
            push!(out; Shown(method, 24), " ", Shown(path.unwrap_or("(target cut)"), most))
        }
    }
}

/// The lines of an exchange, in the order of their frames.
pub(in super::super) fn lines(exchange: &Exchange) -> Vec<Line> {
    let mut events = Vec::new();
    timeline::fill(&mut events, exchange);
    let mut lines: Vec<Line> = Vec::new();
    for event in events.into_iter().take(MAX_EVENTS) {
        let (kind, mark) = event;
        let gap = gap(exchange, kind);
        match lines.last_mut() {
            Some(line) if line.event.1.order == mark.order => {
                if let Some(more) = joined(exchange, line.event.0, kind) {
                    if !line.what.is_empty() {
                        line.what.push_str(", ");
                    }
                    line.what.push_str(&more);
                }
                if gap.is_some_and(|(gap, _)| gap > Span::ZERO) && line.gap.is_none()
                    || is_close(kind)
                {
                    line.gap = gap.or(line.gap);
                }
                line.ink = ink(exchange, kind).or(line.ink);
            }
            _ => lines.push(Line {
                event,
                what: what(exchange, kind),
                ink: ink(exchange, kind),
                gap,
            }),
        }
    }
    lines
}

const fn is_close(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::ClientFin | EventKind::ServerFin | EventKind::ClientRst | EventKind::ServerRst
    )
}

/// Words that a further event of a frame adds to its line.
fn joined(exchange: &Exchange, before: EventKind, kind: EventKind) -> Option<String> {
    match (before, kind) {
        // The request's line says its length, and that a response packet acknowledges is no news.
        (EventKind::RequestStart, EventKind::RequestEnd) => None,
        (EventKind::RequestAcked(AckWith::Fin), EventKind::ServerFin)
        | (EventKind::RequestAcked(AckWith::Rst), EventKind::ServerRst) => None,
        (_, EventKind::ResponseEnd) => {
            let text = said!(Bytes(exchange.response_bytes));
            Some(text)
        }
        _ => Some(what(exchange, kind)),
    }
}

fn what(exchange: &Exchange, kind: EventKind) -> String {
    let mut out = String::new();
    let status = |out: &mut String, status: Option<u16>| match status {
        Some(status) => number::unsigned(out, u64::from(status)),
        None => out.push_str("an answer"),
    };
    let at_once = exchange
        .events
        .request_end
        .is_some_and(|end| end.order == exchange.events.request_start.order);
    match kind {
        EventKind::RequestStart => {
            request(&mut out, exchange, MAX_LINE);
            if at_once {
                push!(&mut out; ", ", Bytes(exchange.request_bytes));
            }
        }
        EventKind::RequestEnd => {
            push!(&mut out; "the request is complete, ", Bytes(exchange.request_bytes))
        }
        EventKind::RequestLast => {
            push!(&mut out; "the last of the request, ", Bytes(exchange.request_bytes));
            if let Some(all) = exchange.request_announced {
                push!(&mut out; " of ", Bytes(all));
            }
        }
        EventKind::RequestAcked(with) => out.push_str(match with {
            AckWith::Bare | AckWith::Data => "ACK",
            AckWith::Fin => "ACK and FIN: the server closes",
            AckWith::Rst => "ACK and RST: the server resets",
        }),
        EventKind::Interim(code) => {
            status(&mut out, Some(code));
            out.push_str(" (interim)");
        }
        EventKind::ResponseStart => status(&mut out, exchange.status),
        EventKind::ResponseEnd if exchange.verdict == Verdict::ClientGaveUpMidResponse => {
            out.push_str("the last of the response is sent");
        }
        EventKind::ResponseEnd => {
            push!(&mut out; "the response is complete, ", Bytes(exchange.response_bytes))
        }
        EventKind::ResponseLast => out.push_str("the last of the response"),
        EventKind::ResponseAcked => out.push_str("ACK"),
        EventKind::ClientFin if exchange.half_closed => {
            out.push_str("FIN: half-close, the client still reads");
        }
        EventKind::ClientFin => out.push_str("FIN: the client closes"),
        EventKind::ClientRst => out.push_str("RST: the client resets"),
        EventKind::ServerFin => out.push_str("FIN: the server closes"),
        EventKind::ServerRst => out.push_str("RST: the server resets"),
        EventKind::ClientRstStream | EventKind::ServerRstStream => {
            let who = if kind == EventKind::ClientRstStream {
                ": the client cancels"
            } else {
                ": the server resets"
            };
            push!(&mut out; "RST_STREAM", who);
            let code = exchange.reset.map(|end| end.code);
            let code = code.filter(|code| *code != ErrorCode::CANCEL);
            push!(&mut out; code.map(|code| (", ", code.name())));
        }
        EventKind::Goaway => {
            push!(&mut out; "GOAWAY: not to be processed");
            let code = exchange.reset.map(|end| end.code);
            let code = code.filter(|code| *code != ErrorCode::NO_ERROR);
            push!(&mut out; code.map(|code| (", ", code.name())));
        }
        EventKind::LateResponse => {
            status(&mut out, exchange.late_status);
            out.push_str(", too late");
        }
    }
    out
}

/// The ink of an event: the close that decided stands out.
fn ink(exchange: &Exchange, kind: EventKind) -> Option<Ink> {
    let client = exchange.client_close().map(|(_, reset)| reset);
    let server = exchange.server_close().map(|(_, reset)| reset);
    let (by_client, by_server) = match exchange.verdict {
        Verdict::ClientGaveUp
        | Verdict::ClientGaveUpMidResponse
        | Verdict::ClientAbortedRequest => (true, false),
        Verdict::ServerClosedUnanswered
        | Verdict::ServerResetUnanswered
        | Verdict::ServerTruncatedResponse
        | Verdict::Refused
        | Verdict::ServerResetEarlyAnswer => (false, true),
        Verdict::Ok
        | Verdict::Upgraded
        | Verdict::ServerInvalidResponse
        | Verdict::Unanswered
        | Verdict::ConnectRefused
        | Verdict::ConnectTimeout
        | Verdict::TlsUnanswered
        | Verdict::TlsFailed
        | Verdict::TlsLeftWaiting
        | Verdict::TlsRefusedPlain
        | Verdict::PlainRefusedTls => (false, false),
    };
    let decided = match kind {
        EventKind::ClientRstStream => by_client && exchange.reset.is_some(),
        EventKind::ServerRstStream | EventKind::Goaway => by_server && exchange.reset.is_some(),
        EventKind::ClientFin => by_client && client == Some(false),
        EventKind::ClientRst => by_client && client == Some(true),
        EventKind::ServerFin | EventKind::RequestAcked(AckWith::Fin) => {
            by_server && server == Some(false)
        }
        EventKind::ServerRst | EventKind::RequestAcked(AckWith::Rst) => {
            by_server && server == Some(true)
        }
        EventKind::ResponseStart if exchange.good() == Some(false) => {
            return matches!(exchange.verdict, Verdict::Ok).then_some(Ink::Bad);
        }
        EventKind::LateResponse => return Some(Ink::Doubt),
        EventKind::RequestStart
        | EventKind::RequestEnd
        | EventKind::RequestLast
        | EventKind::RequestAcked(AckWith::Bare | AckWith::Data)
        | EventKind::Interim(_)
        | EventKind::ResponseStart
        | EventKind::ResponseEnd
        | EventKind::ResponseLast
        | EventKind::ResponseAcked => false,
    };
    decided.then_some(Ink::Bad)
}

/// Since when a gap counts that ends a request which never became whole.
const STOPPED: &str = "after the last of the request";

/// Whether a timer of silence, not of the whole exchange, closed inside the response.
fn is_silence(exchange: &Exchange) -> bool {
    exchange.verdict == Verdict::ClientGaveUpMidResponse && exchange.envoy.client != ["UT"]
}

/// The gap that ends at an event, and since when it counts.
fn gap(exchange: &Exchange, kind: EventKind) -> Option<(Span, &'static str)> {
    let gaps = &exchange.gaps;
    let (gap, since) = match kind {
        EventKind::RequestStart | EventKind::RequestLast | EventKind::ResponseLast => (None, ""),
        EventKind::RequestEnd => (
            gaps.request_duration.filter(|gap| *gap != Span::ZERO),
            "after its first byte",
        ),
        EventKind::RequestAcked(_) => (gaps.request_to_ack, "after the request"),
        EventKind::Interim(_) => (None, ""),
        EventKind::ResponseStart => match gaps.after_previous {
            Some(gap) => (Some(gap), "after the response before it (pipelined)"),
            None if gaps.request_silence.is_some() => (gaps.request_silence, STOPPED),
            None => (gaps.request_to_response, "after the request"),
        },
        EventKind::ResponseEnd => (
            gaps.response_duration.filter(|gap| *gap != Span::ZERO),
            "after its first byte",
        ),
        EventKind::ResponseAcked => (gaps.response_to_ack, "after the response"),
        EventKind::ClientFin | EventKind::ClientRst | EventKind::ClientRstStream => {
            let (_, reset) = exchange.client_close()?;
            let is_first = match kind {
                EventKind::ClientFin => !reset,
                _ => reset,
            };
            if !is_first {
                return None;
            }
            match gaps.ack_to_client_close {
                None if exchange.verdict.ended_by_client() && gaps.request_silence.is_some() => {
                    (gaps.request_silence, STOPPED)
                }
                _ if is_silence(exchange) => {
                    (gaps.response_silence, "after the response's last byte")
                }
                Some(gap) if gaps.request_to_ack.is_some_and(|ack| ack < PROMPT_ACK) => {
                    (Some(gap), "after the ACK")
                }
                _ => (gaps.request_to_client_close, "after the request"),
            }
        }
        EventKind::ServerFin
        | EventKind::ServerRst
        | EventKind::ServerRstStream
        | EventKind::Goaway => {
            let (_, reset) = exchange.server_close()?;
            if reset == matches!(kind, EventKind::ServerFin | EventKind::Goaway) {
                return None;
            }
            match gaps.request_silence {
                Some(_) if exchange.verdict.ended_by_client() => return None,
                Some(silence) => (Some(silence), STOPPED),
                None => (gaps.request_to_server_close, "after the request"),
            }
        }
        EventKind::LateResponse => (
            gaps.client_close_to_late_response,
            "after the client's close",
        ),
    };
    gap.map(|gap| (gap, since))
}

/// Pushes a row of the table of slowest exchanges: the time that ranks, status, server, frames,
/// request, and what cost the time.
pub(super) fn row(
    out: &mut String,
    paint: Paint,
    exchange: &Exchange,
    (server, server_width): (&str, usize),
    width: usize,
) {
    let mut figure = String::new();
    if let Some(gap) = exchange.slowness() {
        push!(&mut figure; Exact(gap), " ms");
    }
    out.push_str("  ");
    let mut padded = String::new();
    right(&mut padded, &figure, "1234567.890 ms".len());
    paint.push(out, Ink::Accent, &padded);
    out.push_str("   ");
    let status = exchange.status.map(|status| status.to_string());
    left(out, status.as_deref().unwrap_or("–"), STATUS);
    left(out, server, server_width + 2);
    let mut frames = exchange.events.request_start.frame.number().to_string();
    if let Some(mark) = exchange.events.response_start {
        frames.push_str(" → ");
        frames.push_str(&mark.frame.number().to_string());
    }
    if width >= NARROW {
        left(out, &frames, FRAMES);
    }
    let used = 2 + "1234567.890 ms".len() + 3 + STATUS + server_width + 2;
    let room = if width >= NARROW {
        MAX_HEADLINE
    } else {
        // The method counts apart.
        width.saturating_sub(used + 8).max(12)
    };
    request(out, exchange, room);
    if let Some(doubt) = exchange.doubt {
        out.push(' ');
        paint.push(out, Ink::Doubt, &format!("(uncertain: {})", doubt.name()));
    }
    let mut told: Vec<FindingKind> = Vec::new();
    for finding in &exchange.findings {
        if !told.contains(&finding.kind) {
            told.push(finding.kind);
            out.push(' ');
            paint.push(out, Ink::Doubt, &format!("[{}]", finding.kind.name()));
        }
    }
    out.push('\n');
}
