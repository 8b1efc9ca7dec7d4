//! The head of the text report: the capture, the figures, and what makes them doubtful.

use super::glance;
use super::paint::{Ink, Paint, blanks, columns, flowing, left, right, wrapped};
use super::timeline::NARROW;
use crate::dns::{Dns, code_name};
use crate::event::Capture;
use crate::event::Outcome;
use crate::exchange::Verdict;
use crate::names::Names;
use crate::packet::Endpoint;
use crate::piece::{Bytes, Counted, Grouped, Number, Percent, Piece, Shown, Spoken, push, said};
use crate::protocol::tls::NotRead;
use crate::report::drawing::Drawing;
use crate::report::facts::Facts;
use crate::report::problems::Told;
use crate::report::sums;
use crate::statistics::routes::{Route, RouteCounts, Routes};
use crate::statistics::{Problem, Severity, SuccessRate, Summary};
use crate::{escape, number};
use std::borrow::Cow;

/// Servers in the table, the busiest first.
const MAX_ROWS: usize = 12;
/// Problems shown.
pub(super) const MAX_PROBLEMS: usize = 20;
/// Timers shown.
const MAX_TIMERS: usize = 12;
/// The label of a timer.
const TIMER: &str = "  timer  ";
/// Characters of a name.
const MAX_NAME: usize = 80;
/// Errors shown.
const MAX_ERRORS: usize = 8;

/// Pushes the head.
pub(super) fn push(
    out: &mut String,
    paint: Paint,
    width: usize,
    facts: &Facts,
    capture: &Capture,
    (told, drawing): (&Told<'_>, Option<&Drawing>),
) {
    let summary = &facts.summary;
    head(out, paint, width, facts, capture);
    let shown = told.problems.len().min(MAX_PROBLEMS);
    exchanges(out, paint, width, summary, &told.problems[..shown]);
    problems(out, paint, width, told);
    if let Some(drawing) = drawing {
        glance::push(out, paint, width, drawing);
    }
    files(out, paint, facts);
    rates(out, paint, width, facts);
    timers(out, paint, width, facts, &told.problems);
    answers(out, width, summary);
    findings(out, width, summary, &told.problems);
    routes(out, paint, &facts.routes);
    notes(out, paint, width, capture, summary);
    out.push('\n');
}

/// Pushes the results of the assertions.
pub(super) fn assertions(out: &mut String, paint: Paint, width: usize, outcomes: &[Outcome]) {
    if outcomes.is_empty() {
        return;
    }
    paint.push(out, Ink::Bold, "Assertions");
    out.push_str("\n\n");
    let widest = outcomes.iter().map(|one| columns(&one.assertion)).max();
    let widest = widest.unwrap_or(0).min(width / 2);
    for outcome in outcomes {
        let (sign, ink) = if outcome.passed() {
            ("  ✓ ", Ink::Good)
        } else {
            ("  ✗ ", Ink::Bad)
        };
        paint.push(out, ink, sign);
        let assertion = said!(Shown(&outcome.assertion, usize::MAX));
        left(out, &assertion, widest);
        out.push_str("   ");
        out.push_str(&outcome.observed);
        out.push('\n');
    }
    out.push('\n');
}

fn head(out: &mut String, paint: Paint, width: usize, facts: &Facts, capture: &Capture) {
    const NAMED: usize = 4;
    let sources = &facts.sources;
    let mut names = String::new();
    match sources.as_slice() {
        [] => names.push_str("nothing"),
        [source] => escape::shown(&mut names, &source.name, 80),
        _ => {
            for (index, name) in facts.source_names.iter().take(NAMED).enumerate() {
                names.push_str(if index > 0 { ", " } else { "" });
                names.push_str(name);
            }
            if facts.source_names.len() > NAMED {
                push!(&mut names; ", and ", Grouped((facts.source_names.len() - NAMED) as u64), " more");
            }
        }
    }
    paint.push(out, Ink::Bold, &names);
    let mut size = String::new();
    read(&mut size, capture);
    // A size that does not fit stands below.
    if columns(&names) + 3 + columns(&size) > width {
        out.push('\n');
        wrapped(out, &size, 0, width);
    } else {
        out.push_str("   ");
        out.push_str(&size);
        out.push('\n');
    }
}

/// Pushes how the exchanges of each of several files went.
fn files(out: &mut String, paint: Paint, facts: &Facts) {
    let of_files = facts.sources.iter().all(|source| source.kind != "live");
    if facts.source_names.is_empty() || !of_files {
        return;
    }
    let rows = facts.source_names.iter().zip(
        facts
            .per_source
            .iter()
            .copied()
            .chain(std::iter::repeat([0; 2])),
    );
    // Those with failures first.
    let mut rows: Vec<(&String, [u64; 2])> = rows.collect();
    rows.sort_by_key(|(_, [_, bad])| std::cmp::Reverse(*bad));
    let widest = rows.iter().take(MAX_ROWS).map(|(name, _)| columns(name));
    let widest = widest.max().unwrap_or(0).max("file".len());
    out.push('\n');
    let mut head = String::from("  ");
    left(&mut head, "file", widest);
    right(&mut head, "exchanges", 12);
    right(&mut head, "did not go well", 18);
    paint.push(out, Ink::Dim, &head);
    out.push('\n');
    for (name, [all, bad]) in rows.iter().take(MAX_ROWS) {
        out.push_str("  ");
        left(out, name, widest);
        right(out, &said!(Grouped(*all)), 12);
        let mut padded = String::new();
        right(&mut padded, &said!(Grouped(*bad)), 18);
        let ink = if *bad > 0 { Ink::Bad } else { Ink::Dim };
        paint.push(out, ink, &padded);
        out.push('\n');
    }
    if rows.len() > MAX_ROWS {
        push!(out; "  … and ",
            Counted((rows.len() - MAX_ROWS) as u64, "file more", "files more"), "\n");
    }
}

/// Pushes the size of the capture.
pub(in super::super) fn read(out: &mut String, capture: &Capture) {
    let totals = &capture.totals;
    push!(out; Counted(totals.frames, "frame", "frames"), ", ", Bytes(totals.bytes));
    if let (Some(first), Some(last)) = (totals.first, totals.last) {
        out.push_str(", ");
        number::decimal(out, (last - first).as_nanos() / 10_000_000, 2, 2);
        out.push_str(" s from ");
        number::Clock::default().push(out, first);
    }
}

fn exchanges(out: &mut String, paint: Paint, width: usize, summary: &Summary, told: &[Problem]) {
    // Escape sequences take no columns, so the columns are counted separately.
    let begin = out.len();
    if summary.exchanges == 0 {
        out.push_str("no HTTP/1 exchange");
    } else {
        push!(out; Counted(summary.exchanges, "exchange", "exchanges"));
    }
    if summary.filtered_out > 0 {
        push!(out; " selected of ", Grouped(summary.filtered_out + summary.exchanges));
    }
    let mut used = columns(&out[begin..]);
    let seen = Verdict::ALL.into_iter().zip(summary.verdicts);
    let mut first = true;
    for (verdict, number) in seen.filter(|(_, number)| *number > 0) {
        let mut text = said!(Grouped(number), " ");
        text.push_str(verdict.name());
        out.push(if first { ':' } else { ',' });
        used += columns(&text) + 2;
        if used > width {
            out.push_str("\n   ");
            used = columns(&text) + 4;
        }
        out.push(' ');
        first = false;
        paint.push(out, Ink::of(verdict), &text);
        if verdict != Verdict::Ok {
            continue;
        }
        let answered = sums::answered(summary);
        let last = answered.len();
        for (number, (text, failed)) in answered.into_iter().enumerate() {
            let ink = if failed { Ink::Bad } else { Ink::Doubt };
            let fits = used + columns(&text) + 3 <= width;
            out.push_str(match (number, fits) {
                (0, true) => " (",
                (0, false) => "\n    (",
                (_, true) => ", ",
                (_, false) => ",\n    ",
            });
            used = if fits { used + 2 } else { 5 } + columns(&text);
            paint.push(out, ink, &text);
            if number + 1 == last {
                out.push(')');
                used += 1;
            }
        }
    }
    if summary.uncertain > 0 {
        let text = sums::uncertain(summary);
        // A line of its own if it does not fit.
        out.push_str(if used + columns(&text) + 2 > width {
            ";\n    "
        } else {
            "; "
        });
        paint.push(out, Ink::Doubt, &text);
    }
    if summary.probes > 0 {
        push!(out; "; ", Counted(summary.probes, "is a probe", "are probes"));
    }
    out.push('\n');
    let said = told.iter().map(Problem::connects_failed);
    if summary.connects_failed() > said.fold(0, u64::saturating_add) {
        let mut text = said!(Counted(
            summary.connects_failed(),
            "connection never opened: ",
            "connections never opened: "
        ));
        let [refused, timed_out, ..] = summary.connections;
        push!(&mut text; Grouped(refused), " refused, ", Grouped(timed_out), " timed out");
        paint.push(out, Ink::Bad, &text);
        out.push('\n');
    }
    let of_connections = Verdict::OF_CONNECTIONS.into_iter().zip(summary.connections);
    let of_tls: Vec<String> = of_connections
        .skip(2)
        .filter(|(_, count)| *count > 0)
        .map(|(verdict, count)| said!(Grouped(count), " ", verdict.name()))
        .collect();
    if !of_tls.is_empty() {
        paint.push(out, Ink::Bad, &of_tls.join(", "));
        out.push('\n');
    }
}

/// A server in a table: by its name, unless that is longer than there is room.
pub(super) fn server_in(server: Endpoint, names: &Names, room: usize) -> String {
    let name = said!(names.brief(server));
    if columns(&name) <= room {
        name
    } else {
        server.to_string()
    }
}

/// Pushes the success rate of each server, as clients see it and as the server sees it.
fn rates(out: &mut String, paint: Paint, width: usize, facts: &Facts) {
    let summary = &facts.summary;
    let mut rates: Vec<(Endpoint, SuccessRate)> = summary.success_rates();
    if rates.is_empty() {
        return;
    }
    rates.sort_by_key(|(server, rate)| {
        (
            std::cmp::Reverse((rate.counted, rate.connects_failed)),
            *server,
        )
    });
    let names: Vec<String> = rates
        .iter()
        .take(MAX_ROWS)
        .map(|(server, _)| server_in(*server, &facts.names, width / 2))
        .collect();
    let widest = names
        .iter()
        .map(|name| columns(name))
        .max()
        .unwrap_or(0)
        .max(6);
    let failed = summary.connects_failed() > 0;
    out.push('\n');
    let mut head = String::from("  ");
    left(&mut head, "server", widest);
    let narrow = width < NARROW;
    let [counted, client, server, none] = if narrow {
        [9, 11, 11, 9]
    } else {
        [12, 15, 20, 17]
    };
    right(&mut head, "counted", counted);
    let said = ["client saw", "server would say", "no connection"];
    let [seen, told, never] = if narrow {
        ["client", "server", "never"]
    } else {
        said
    };
    right(&mut head, seen, client);
    right(&mut head, told, server);
    if failed {
        right(&mut head, never, none);
    }
    paint.push(out, Ink::Dim, &head);
    out.push('\n');
    for ((_, rate), name) in rates.iter().zip(&names) {
        out.push_str("  ");
        left(out, name, widest);
        let number = said!(Grouped(rate.counted));
        right(out, &number, counted);
        for (good, width) in [(rate.good, client), (rate.server_good(), server)] {
            let text = said!(Percent(good, rate.counted));
            let mut padded = String::new();
            right(&mut padded, &text, width);
            let ink = match rate.counted {
                0 => Ink::Dim,
                counted if counted == good => Ink::Good,
                _ => Ink::Bad,
            };
            paint.push(out, ink, &padded);
        }
        if failed {
            let text = said!(Grouped(rate.connects_failed));
            right(out, &text, none);
        }
        out.push('\n');
    }
    if rates.len() > MAX_ROWS {
        push!(out; "  … and ",
            Counted( (rates.len() - MAX_ROWS) as u64, "server more", "servers more" ),
            " (-o json lists them)\n");
    }
}

/// Pushes the problems, the worst first.
///
/// What is the same as of the problem before is not said again: several causes are to fit a screen.
fn problems(out: &mut String, paint: Paint, width: usize, told: &Told<'_>) {
    let shown = &told.problems[..told.problems.len().min(MAX_PROBLEMS)];
    // Of whatever else there is, one command finds out more.
    let open: Vec<&Problem> = shown
        .iter()
        .filter(|one| !one.exchanges.is_empty() && told.own_next(one).is_empty())
        .collect();
    for (index, problem) in shown.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { "" });
        let number = said!(Number(problem.id + 1), ". ");
        let (sentence, more) = told.flowing(index);
        let ink = match problem.severity {
            Severity::Error => Ink::Bad,
            Severity::Warning => Ink::Doubt,
            Severity::Note => Ink::Accent,
        };
        let texts = [(Some(ink), sentence.as_str()), (None, more.as_str())];
        out.push_str(&number);
        flowing(out, paint, &texts, number.len(), width);
        // A command that is broken over lines cannot be copied.
        let next = match open.as_slice() {
            [only] if only.id == problem.id => told.next(problem),
            _ => told.own_next(problem),
        };
        next_step(out, paint, &next, number.len());
    }
    let more = told.problems.len().saturating_sub(MAX_PROBLEMS) as u64 + told.beyond;
    if more > 0 {
        push!(out; "\n… and ", Counted(more, "problem more", "problems more"),
            " (-o json lists them)\n");
    }
    if open.len() > 1 {
        next_step(out, paint, &told.common_next(None), 0);
    }
}

fn next_step(out: &mut String, paint: Paint, next: &str, indent: usize) {
    if !next.is_empty() {
        blanks(out, indent);
        paint.push(out, Ink::Dim, &said!("next: ", Shown(next, usize::MAX)));
        out.push('\n');
    }
}

/// Pushes the timers that are in no problem.
fn timers(out: &mut String, paint: Paint, width: usize, facts: &Facts, told: &[Problem]) {
    let mut timers = facts.summary.timers();
    timers.retain(|timer| !told.iter().any(|problem| problem.is_of(timer)));
    if timers.is_empty() {
        return;
    }
    out.push('\n');
    for timer in timers.iter().take(MAX_TIMERS) {
        let (mut text, mut lines) = (String::new(), String::new());
        sums::timer(&mut text, timer, &facts.names, escape::shown);
        wrapped(&mut lines, &text, TIMER.len(), width);
        lines.replace_range(..TIMER.len(), TIMER);
        for line in lines.lines() {
            paint.push(out, Ink::Accent, line);
            out.push('\n');
        }
    }
    if timers.len() > MAX_TIMERS {
        push!(out; "  … and ",
            Counted( (timers.len() - MAX_TIMERS) as u64, "timer more", "timers more" ),
            " (-o json lists them)\n");
    }
}

/// Pushes what findings cost, but those that problems tell.
fn findings(out: &mut String, width: usize, summary: &Summary, told: &[Problem]) {
    let lines = sums::findings(summary, told);
    if lines.is_empty() {
        return;
    }
    out.push('\n');
    for line in lines {
        wrapped(out, &line, 2, width);
    }
}

/// Pushes what callers waited, and when the answers began.
fn answers(out: &mut String, width: usize, summary: &Summary) {
    let mut lines = String::new();
    sums::waits(&mut lines, summary);
    if lines.is_empty() {
        return;
    }
    out.push('\n');
    for line in lines.lines() {
        wrapped(out, line, 2, width);
    }
}

/// Pushes the good exchanges that a target only counted. A file has none.
fn routes(out: &mut String, paint: Paint, routes: &Routes) {
    let routes = routes.sorted();
    if routes.is_empty() {
        return;
    }
    let servers = routes.iter().take(MAX_ROWS);
    let widest = servers.map(|(route, _)| route.server.to_string().len());
    let widest = widest.max().unwrap_or(0).max("server".len());
    out.push('\n');
    let mut head = String::from("  ");
    left(&mut head, "server", widest);
    right(&mut head, "good", 12);
    for name in ["median", "p90", "p99", "slowest"] {
        right(&mut head, name, 11);
    }
    head.push_str("   status   request");
    paint.push(out, Ink::Dim, &head);
    out.push('\n');
    for (route, counted) in routes.iter().take(MAX_ROWS) {
        route_row(out, route, counted, widest);
    }
    if routes.len() > MAX_ROWS {
        out.push_str("  … and ");
        let more = (routes.len() - MAX_ROWS) as u64;
        push!(out; Counted(more, "route more", "routes more"), " (-o json lists them)\n");
    }
}

fn route_row(out: &mut String, route: &Route, counted: &RouteCounts, widest: usize) {
    out.push_str("  ");
    left(out, &route.server.to_string(), widest);
    let mut text = said!(Grouped(counted.exchanges));
    right(out, &text, 12);
    let wait = counted.wait();
    for span in [
        wait.percentile(50),
        wait.percentile(90),
        wait.percentile(99),
        wait.max(),
    ] {
        text.clear();
        if wait.count() > 0 {
            number::spoken(&mut text, span);
        } else {
            text.push('–');
        }
        right(out, &text, 11);
    }
    // The classes that occur, such as `2xx` or `2xx 4xx`.
    text.clear();
    for (class, count) in counted.statuses.iter().enumerate().skip(1) {
        if *count > 0 {
            text.push_str(if text.is_empty() { "" } else { " " });
            push!(&mut text; Number(class as u64), "xx");
        }
    }
    out.push_str("   ");
    left(out, &text, "status   ".len());
    if route.method.is_empty() {
        out.push_str("all other routes");
    } else {
        push!(out; Shown(&route.method, 24), " ", Shown(&route.path, 72));
    }
    out.push('\n');
}

fn notes(out: &mut String, paint: Paint, width: usize, capture: &Capture, summary: &Summary) {
    let notes = noted(capture, summary);
    if notes.is_empty() {
        return;
    }
    out.push('\n');
    for (ink, text) in notes {
        let mut line = String::new();
        wrapped(&mut line, &text, 2, width);
        for line in line.lines() {
            paint.push(out, ink, line);
            out.push('\n');
        }
    }
}

/// What frames hold, and how many: `12 ARP, 3 ICMP`.
struct Kinds<'a>(&'a [(Cow<'static, str>, u64)]);

impl Piece for Kinds<'_> {
    fn push(self, out: &mut String) {
        for (place, (what, frames)) in self.0.iter().enumerate() {
            push!(out; if place > 0 { ", " } else { "" }, Grouped(*frames), " ");
            // These are the program's own words.
            out.push_str(what);
        }
    }
}

/// What was asked of DNS, if anything was.
fn lookups(capture: &Capture) -> Option<(Ink, String)> {
    let dns = &capture.totals.dns;
    if dns.queries == 0 {
        return None;
    }
    let mut text = said!("dns: ", Counted(dns.queries, "query", "queries"));
    let mut bad = dns.unanswered > 0;
    let mut add = |count: u64, one, many| {
        if count > 0 {
            push!(&mut text; ", ", Counted(count, one, many));
        }
    };
    add(dns.unanswered, "without an answer", "without an answer");
    add(dns.repeated, "sent again", "sent again");
    add(
        dns.failed,
        "answered with an error",
        "answered with an error",
    );
    if let Some(failure) = &dns.failure {
        push!(&mut text; " (such as ");
        text.push_str(&code_name(failure.code));
        push!(&mut text; " for ", Shown(&failure.name, MAX_NAME), ")");
    }
    if let (Some(slowest), Some(name)) = (dns.slowest, &dns.slowest_name) {
        bad |= slowest >= Dns::SLOW;
        push!(&mut text; "; the slowest answer came after ", Spoken(slowest), ", for ",
            Shown(name, MAX_NAME));
    }
    if dns.searches > 0 {
        push!(&mut text; "; ", Counted(dns.searches, "lookup", "lookups"),
            " went through search domains: ", Counted(dns.misses, "name", "names"),
            " that did not exist took ", Spoken(dns.search_time()));
    }
    Some((if bad { Ink::Doubt } else { Ink::Dim }, text))
}

/// The notes on what makes the figures doubtful.
pub(in super::super) fn noted(capture: &Capture, summary: &Summary) -> Vec<(Ink, String)> {
    // They are told, and carried nothing.
    let never = summary.connects_failed();
    let totals = &capture.totals;
    let mut notes: Vec<(Ink, String)> = Vec::new();
    let mut note = |ink, number: u64, one, many| {
        if number > 0 {
            notes.push((ink, said!(Counted(number, one, many))));
        }
    };
    note(
        Ink::Dim,
        totals.decrypted_connections,
        "connection of TLS was read with keys",
        "connections of TLS were read with keys",
    );
    note(
        Ink::Dim,
        totals.encrypted_connections,
        "connection is encrypted and stays closed to this report; on a mesh, the plain side is \
         `lo` of the pod",
        "connections are encrypted and stay closed to this report; on a mesh, the plain side is \
         `lo` of the pod",
    );
    for why in NotRead::ALL {
        let (one, many) = match why {
            NotRead::NoKeys => (
                "of them has no keys here: another process wrote it, or the key log began later",
                "of them have no keys here: other processes wrote them, or the key log began later",
            ),
            NotRead::WrongKeys => (
                "of them has keys that do not open it: they are of another session",
                "of them have keys that do not open them: they are of other sessions",
            ),
            NotRead::Cipher => (
                "of them has a cipher suite that is not read with keys",
                "of them have a cipher suite that is not read with keys",
            ),
            NotRead::HandshakeUnseen => (
                "of them lacks its hellos in the capture: its keys cannot be found",
                "of them lack their hellos in the capture: their keys cannot be found",
            ),
        };
        note(Ink::Dim, summary.not_read(why), one, many);
    }
    note(
        Ink::Dim,
        totals.other_connections.saturating_sub(never),
        "connection carries something else or nothing (--port forces HTTP)",
        "connections carry something else or nothing (--port forces HTTP)",
    );
    note(
        Ink::Bad,
        capture.dropped.unwrap_or(0),
        "packet was lost by the capturing kernel",
        "packets were lost by the capturing kernel",
    );
    note(
        Ink::Dim,
        totals.retransmissions,
        "segment was sent again",
        "segments were sent again",
    );
    note(
        Ink::Dim,
        totals.duplicate_frames,
        "frame shows a packet that was seen already on another interface",
        "frames show packets that were seen already on another interface",
    );
    note(
        Ink::Dim,
        totals.truncated_frames,
        "frame is cut by a snap length",
        "frames are cut by a snap length",
    );
    note(
        Ink::Dim,
        totals.malformed_frames,
        "frame could not be decoded",
        "frames could not be decoded",
    );
    note(
        Ink::Doubt,
        totals.connections_evicted,
        "connection was given up to stay within memory",
        "connections were given up to stay within memory",
    );
    note(
        Ink::Doubt,
        totals.bytes_given_up,
        "byte behind a hole was given up to stay within memory",
        "bytes behind holes were given up to stay within memory",
    );
    note(
        Ink::Doubt,
        summary.servers_left_out,
        "exchange or connect went to a server that found no row in the table",
        "exchanges and connects went to servers that found no row in the table",
    );
    note(
        Ink::Doubt,
        summary.closes_left_out(),
        "close was one too many to be looked at for timers",
        "closes were too many to be looked at for timers",
    );
    if let Some(counters) = &capture.kernel {
        let counted = counters.counted();
        notes.extend(counted.map(|(counter, count)| {
            let ink = if counter.is_bad { Ink::Bad } else { Ink::Dim };
            let name = counter.name;
            (
                ink,
                said!(
                    "the kernel counted ",
                    Grouped(count),
                    " ",
                    counter.words,
                    " (",
                    name,
                    ")"
                ),
            )
        }));
    }
    notes.extend(lookups(capture));
    for (ink, may_hide, one, many) in [
        (
            Ink::Doubt,
            true,
            "frame is in an encapsulation that is not read, and what is inside stays unseen",
            "frames are in an encapsulation that is not read, and what is inside stays unseen",
        ),
        (Ink::Dim, false, "frame is no TCP", "frames are no TCP"),
    ] {
        let kinds = capture.not_read().filter(|kind| kind.2 == may_hide);
        let kinds: Vec<_> = kinds.map(|(what, frames, _)| (what, frames)).collect();
        let frames = kinds.iter().map(|(_, frames)| frames).sum::<u64>();
        if frames > 0 {
            notes.push((ink, said!(Counted(frames, one, many), ": ", Kinds(&kinds))));
        }
    }
    for error in capture.errors.iter().take(MAX_ERRORS) {
        let mut text = String::from("incomplete: ");
        escape::shown(&mut text, error, 400);
        notes.push((Ink::Bad, text));
    }
    notes
}
