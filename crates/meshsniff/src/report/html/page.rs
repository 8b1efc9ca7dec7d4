//! The parts of a page that need no script.

use super::data::PageData;
use super::routes;
use super::seen;
use super::words::{gap_in_words, handshake_in_words, verdict_in_words};
use crate::escape;
use crate::event::Capture;
use crate::event::{Conclusion, Outcome};
use crate::exchange::{Doubt, Verdict};
use crate::piece::{Counted, Exact, Grouped, Html, Number, Percent, Shown, push, said};
use crate::report::drawing::Drawing;
use crate::report::explain;
use crate::report::facts::Facts;
use crate::report::problems::Told;
use crate::report::sums;
use crate::report::text::{self, Ink};
use crate::statistics::Severity;
use crate::statistics::routes::Routes;

const TEMPLATE: &str = include_str!("page.html");
pub(super) const STYLE: &str = include_str!("page.css");
pub(super) const SCRIPT: &str = include_str!("page.js");
/// The hashes by which the page's policy lets its own style and script through, and nothing else
/// (CSP 3, 8.4). They are constants, so that no program has to compute them. A test says when they
/// have to change.
pub(super) const STYLE_HASH: &str = "sha256-7TLae5m1ux46tC4Tvm1wTTUKJS4aYP8FSmTyfPLN9x8=";
pub(super) const SCRIPT_HASH: &str = "sha256-scJknM/Cw+KX1pSZMJIsKlQWt7lXzsNoz9LXBZHSogg=";

/// Rows of a table.
const MAX_ROWS: usize = 100;
/// Problems of which all is shown at once.
const UNFOLDED: usize = 3;
/// Sources named.
const MAX_SOURCES: usize = 20;

/// The contents of a page.
pub(super) struct Page<'a> {
    pub(super) facts: &'a Facts,
    pub(super) capture: &'a Capture,
    pub(super) routes: &'a Routes,
    pub(super) block: &'a PageData,
    pub(super) drawing: Option<&'a Drawing>,
    pub(super) told: &'a Told<'a>,
}

impl Page<'_> {
    /// Writes the page.
    pub(super) fn html(&self) -> String {
        let mut out = String::with_capacity(self.block.json.len() + (64 << 10));
        for piece in TEMPLATE.split("{{") {
            match piece.split_once("}}") {
                Some((name, rest)) => {
                    self.part(&mut out, name);
                    out.push_str(rest);
                }
                None => out.push_str(piece),
            }
        }
        out
    }

    /// Pushes the part that stands in the place of this name in the template.
    fn part(&self, out: &mut String, name: &str) {
        match name {
            "title" => self.title(out),
            "style" => out.push_str(STYLE),
            "script" => out.push_str(SCRIPT),
            "style_hash" => out.push_str(STYLE_HASH),
            "script_hash" => out.push_str(SCRIPT_HASH),
            "sources" => self.sources(out),
            "names" => self.names(out),
            "read" => {
                let mut read = String::new();
                text::read(&mut read, self.capture);
                escape::html(out, &read);
            }
            "summary" => self.summary(out),
            "problems" => self.problems(out),
            "seen" => {
                if let Some(drawing) = self.drawing {
                    seen::section(out, drawing, &self.facts.names);
                }
            }
            "warnings" => self.warnings(out),
            "assertions" => self.assertions(out),
            "rates" => self.rates(out),
            "timers" => self.timers(out),
            "waits" => self.waits(out),
            "gaps" => self.gaps(out),
            "routes" => routes::section(out, self.routes, &self.facts.names),
            "notes" => self.notes(out),
            "left_out" => self.left_out(out),
            "data" => out.push_str(&self.block.json),
            _ => {}
        }
    }

    fn title(&self, out: &mut String) {
        match self.facts.sources.as_slice() {
            [] => out.push_str("no source"),
            [source] => escape::html(out, &source.name),
            [source, rest @ ..] => {
                push!(out; Html(&source.name), " and ", Grouped(rest.len() as u64), " more")
            }
        }
    }

    /// The only source, or how many there are.
    fn sources(&self, out: &mut String) {
        match self.facts.sources.as_slice() {
            [] => out.push_str("Nothing was read"),
            [source] => escape::html(out, &source.name),
            all => {
                let live = all.iter().all(|source| source.kind == "live");
                let what = if live { "targets" } else { "captures" };
                push!(out; Grouped(all.len() as u64), " ", what);
            }
        }
    }

    /// The names of several sources.
    fn names(&self, out: &mut String) {
        for (index, name) in self.facts.source_names.iter().take(MAX_SOURCES).enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            escape::html(out, name);
        }
        if self.facts.source_names.len() > MAX_SOURCES {
            let more = (self.facts.source_names.len() - MAX_SOURCES) as u64;
            push!(out; " and ", Grouped(more), " more");
        }
        if !self.facts.source_names.is_empty() {
            out.push_str("<br>");
        }
    }

    fn summary(&self, out: &mut String) {
        let summary = &self.facts.summary;
        out.push_str("<p class=headline>");
        if summary.exchanges == 0 {
            out.push_str("No HTTP/1 exchange");
        } else {
            push!(out; Counted(summary.exchanges, "exchange", "exchanges"));
        }
        if summary.filtered_out > 0 {
            push!(out; " selected of ", Grouped(summary.filtered_out + summary.exchanges));
        }
        let [good, not_good, unknown] = summary.goodness;
        let never_opened = summary.connects_failed();
        if not_good > 0 {
            push!(out; ", <strong class=bad>", Grouped(not_good), " did not go well</strong>");
        }
        if never_opened > 0 {
            push!(out; ", <strong class=bad>", Counted(never_opened, "connection", "connections"),
                " never opened</strong>");
        }
        if good > 0 && not_good + unknown + never_opened == 0 {
            out.push_str(", <strong class=good>every one went well</strong>");
        }
        out.push_str("</p>\n<ul class=verdicts>");
        let counts = Verdict::ALL.into_iter().zip(summary.verdicts);
        for (verdict, count) in counts.filter(|(_, count)| *count > 0) {
            verdict_item(out, verdict, count);
            if verdict == Verdict::Ok {
                for (text, _) in sums::answered(summary) {
                    push!(out; " <span class=\"also bad\">", Html(&text), "</span>");
                }
            }
            out.push_str("</li>");
        }
        let of_connections = Verdict::OF_CONNECTIONS.into_iter().zip(summary.connections);
        for (verdict, count) in of_connections.filter(|(_, count)| *count > 0) {
            verdict_item(out, verdict, count);
            out.push_str("</li>");
        }
        out.push_str("</ul>");
        if summary.uncertain + summary.probes > 0 {
            out.push_str("\n<p class=dim>");
            if summary.uncertain > 0 {
                push!(out; "Of ", Counted(summary.uncertain, "exchange", "exchanges"),
                    " the verdict is uncertain:");
                let doubts = Doubt::ALL.into_iter().zip(summary.doubts);
                for (index, (doubt, count)) in doubts.filter(|(_, n)| *n > 0).enumerate() {
                    out.push_str(if index == 0 { " of " } else { "; of " });
                    push!(out; Grouped(count), " ", explain::doubt_in_words(doubt));
                }
                out.push_str(". ");
            }
            if summary.probes > 0 {
                push!(out; Counted( summary.probes, "exchange is a probe", "exchanges are probes" ),
                    " (health checks).");
            }
            out.push_str("</p>");
        }
    }

    /// Pushes what makes the whole report doubtful. It stands before anything else.
    fn warnings(&self, out: &mut String) {
        self.noted(out, "warnings", |ink| *ink == Ink::Bad);
    }

    fn notes(&self, out: &mut String) {
        self.noted(out, "notes", |ink| *ink != Ink::Bad);
    }

    fn noted(&self, out: &mut String, class: &'static str, wanted: impl Fn(&Ink) -> bool) {
        let notes = text::noted(self.capture, &self.facts.summary);
        let mut notes = notes.iter().filter(|(ink, _)| wanted(ink)).peekable();
        if notes.peek().is_none() {
            return;
        }
        push!(out; "<ul class=", class, ">");
        for (_, note) in notes {
            push!(out; "<li>", Html(note));
        }
        out.push_str("</ul>");
    }

    fn assertions(&self, out: &mut String) {
        let outcomes = &self.facts.outcomes;
        if outcomes.is_empty() {
            return;
        }
        let failed = outcomes.iter().filter(|one| !one.passed()).count() as u64;
        out.push_str("<section aria-labelledby=assertions><h2 id=assertions>Assertions</h2>\n<p>");
        if failed == 0 {
            out.push_str("All passed.");
        } else {
            push!(out; Grouped(failed), " of ",
                Counted(outcomes.len() as u64, "assertion", "assertions"), " did not pass.");
        }
        out.push_str(
            "</p>\n<div class=scroll tabindex=0 role=region aria-labelledby=assertions><table>\
             <thead><tr><th scope=col>outcome<th scope=col>must not be<th scope=col>what was \
             seen<th scope=col>seen in</thead><tbody>",
        );
        for outcome in outcomes {
            self.outcome(out, outcome);
        }
        out.push_str("</tbody></table></div></section>");
    }

    fn outcome(&self, out: &mut String, outcome: &Outcome) {
        let (class, sign) = match outcome.verdict {
            Conclusion::Passed => ("good", "✓"),
            Conclusion::Failed => ("bad", "✗"),
            Conclusion::NoTraffic => ("doubt", "?"),
        };
        push!(out; "\n<tr><th scope=row class=\"word ", class, "\"><span class=sign>", sign,
            "</span> ");
        out.push_str(outcome.name());
        push!(out; "<td><code>", Html(&outcome.assertion), "</code><td>", Html(&outcome.observed),
            "<td>");
        if outcome.verdict != Conclusion::Failed {
            return;
        }
        let exchanges = outcome.exchanges.iter().map(|one| ("exchange", one.id));
        let connections = outcome.connections.iter().map(|one| ("connection", one.id));
        for (kind, id) in exchanges.chain(connections) {
            if kind == "exchange" && !self.block.ids.contains(&id) {
                continue;
            }
            push!(out; "<a href=\"#", kind, "-", Number(id), "\">", kind, "\u{a0}", Number(id),
                "</a> ");
        }
    }

    fn rates(&self, out: &mut String) {
        let mut rates = self.facts.summary.success_rates();
        if rates.is_empty() {
            return;
        }
        rates.sort_by_key(|(server, rate)| {
            let weight = (rate.counted, rate.connects_failed);
            (std::cmp::Reverse(weight), *server)
        });
        let failed = self.facts.summary.connects_failed() > 0;
        out.push_str(
            "<section aria-labelledby=rates><h2 id=rates>The puzzle in two numbers</h2>\n<p>What \
             clients got of each server, and what \
             the server would report of the same exchanges: a request that its client left looks \
             like a success to it.</p>\n\
             <div class=scroll tabindex=0 role=region aria-labelledby=rates><table \
             class=rates><thead><tr><th scope=col>server\
             <th scope=col class=n>counted<th scope=col class=n>client saw<th scope=col \
             class=n>server would say",
        );
        out.push_str(if failed {
            "<th scope=col class=n>no connection</thead><tbody>"
        } else {
            "</thead><tbody>"
        });
        for (server, rate) in rates.iter().take(MAX_ROWS) {
            out.push_str("\n<tr><th scope=row><code>");
            self.facts.names.brief(*server).push_html(out);
            push!(out; "</code><td class=n>", Grouped(rate.counted));
            for good in [rate.good, rate.server_good()] {
                out.push_str(match rate.counted {
                    0 => "<td class=\"n rate dim\">",
                    counted if counted == good => "<td class=\"n rate good\">",
                    _ => "<td class=\"n rate bad\">",
                });
                push!(out; Percent(good, rate.counted));
            }
            if failed {
                push!(out; "<td class=n>", Grouped(rate.connects_failed));
            }
        }
        out.push_str("</tbody></table></div>");
        more(out, rates.len(), "server", "servers");
        out.push_str(
            "<p class=dim>Not counted: health checks, and exchanges that are \
             <code>unanswered</code> or uncertain.</p></section>",
        );
    }

    /// The problems, the worst first.
    fn problems(&self, out: &mut String) {
        let problems = &self.told.problems;
        if problems.is_empty() {
            return;
        }
        out.push_str(
            "<section aria-labelledby=problems><h2 id=problems>Problems</h2>\n<ol class=problems>",
        );
        for (index, problem) in problems.iter().take(MAX_ROWS).enumerate() {
            // What happened is always to be seen. Of more than a few the rest is folded, so that the
            // drawing below is near.
            let folded = index >= UNFOLDED;
            push!(out; "<li id=problem-", Number(problem.id + 1), ">",
                folded.then_some("<details><summary>"), "<strong class=");
            out.push_str(match problem.severity {
                Severity::Error => "bad",
                Severity::Warning => "doubt",
                Severity::Note => "note",
            });
            out.push('>');
            out.push_str(&self.told.sentence_with(problem, code));
            push!(out; "</strong>", folded.then_some("</summary>"));
            let mut rest = Vec::new();
            for more in [self.told.facts_with(problem, code), Told::envoy(problem)] {
                if !more.is_empty() {
                    rest.push(more);
                }
            }
            if !problem.exchanges.is_empty() {
                let mut links = String::from("exchanges");
                for id in &problem.exchanges {
                    push!(&mut links; " <a href=#exchange-", Number(*id), ">", Number(*id), "</a>");
                }
                if problem.count > problem.exchanges.len() as u64 {
                    links.push_str(" …");
                }
                rest.push(links);
            }
            let next = self.told.next(problem);
            if !next.is_empty() {
                rest.push(said!("next: <code>", Html(&next), "</code>"));
            }
            for (line, text) in rest.iter().enumerate() {
                // Behind a summary a line begins by itself.
                push!(out; (line > 0 || !folded).then_some("<br>"));
                out.push_str(text);
            }
            push!(out; folded.then_some("</details>"));
        }
        out.push_str("</ol>");
        let all = problems.len() + usize::try_from(self.told.beyond).unwrap_or(usize::MAX);
        more(out, all, "problem", "problems");
        out.push_str("</section>");
    }

    fn timers(&self, out: &mut String) {
        let mut timers = self.facts.summary.timers();
        timers.retain(|timer| {
            !self
                .told
                .problems
                .iter()
                .any(|problem| problem.is_of(timer))
        });
        if timers.is_empty() {
            return;
        }
        out.push_str(
            "<section aria-labelledby=timers><h2 id=timers>Timers</h2>\n<p>Closes that came again \
             and again after the same time: not a \
             coincidence, a setting.</p>\n<ul class=timers>",
        );
        for timer in timers.iter().take(MAX_ROWS) {
            out.push_str("<li>");
            sums::timer(out, timer, &self.facts.names, code);
        }
        out.push_str("</ul>");
        more(out, timers.len(), "timer", "timers");
        out.push_str("</section>");
    }

    fn waits(&self, out: &mut String) {
        let mut waits = String::new();
        sums::waits(&mut waits, &self.facts.summary);
        if waits.is_empty() {
            return;
        }
        out.push_str(
            "<section aria-labelledby=waits><h2 id=waits>What callers waited</h2>\n\
             <ul class=timers>",
        );
        let found = sums::findings(&self.facts.summary, &self.told.problems);
        for line in waits.lines().chain(found.iter().map(String::as_str)) {
            push!(out; "<li>", Html(line));
        }
        out.push_str("</ul></section>");
    }

    fn gaps(&self, out: &mut String) {
        let summary = &self.facts.summary;
        let gaps = summary.gaps();
        let gaps = gaps.map(|(gap, stats)| (gap.name(), gap_in_words(gap), stats));
        let handshakes = summary.handshakes();
        let handshakes =
            handshakes.map(|(part, stats)| (part.name(), handshake_in_words(part), stats));
        let mut gaps = gaps.chain(handshakes).peekable();
        if gaps.peek().is_none() {
            return;
        }
        out.push_str(
            "<section aria-labelledby=gaps><h2 id=gaps>Gaps</h2>\n<p>In milliseconds, as seen \
             where the capture was taken.</p>\n\
             <div class=scroll tabindex=0 role=region aria-labelledby=gaps><table \
             class=gaps><thead><tr><th scope=col>gap<th scope=col class=n>count\
             <th scope=col class=n>shortest<th scope=col class=n>median<th scope=col \
             class=n>p90<th scope=col class=n>p99\
             <th scope=col class=n>longest</thead><tbody>",
        );
        for (name, words, stats) in gaps {
            push!(out; "\n<tr><th scope=row><code>", name, "</code> <span class=words>",
                words, "</span><td class=n>", Grouped(stats.count));
            for span in [stats.min, stats.p50, stats.p90, stats.p99, stats.max] {
                push!(out; "<td class=n>", Exact(span));
            }
        }
        out.push_str("</tbody></table></div></section>");
    }

    /// Pushes how much of the capture the table below leaves out.
    fn left_out(&self, out: &mut String) {
        let block = self.block;
        let missing = |index: usize| -> u64 {
            self.facts.summary.goodness[index].saturating_sub(block.shown[index])
        };
        let (good, not_good, unknown) = (missing(0), missing(1), missing(2));
        let connections = block.left_out.connections;
        if good + not_good + unknown + connections == 0 {
            return;
        }
        out.push_str(
            "<p class=left-out><strong>Not everything is shown one by one.</strong> Left out are ",
        );
        let mut parts = Vec::new();
        let mut part = |count: u64, one, many, rest: &str| {
            if count > 0 {
                let mut text = said!(Counted(count, one, many));
                text.push_str(rest);
                parts.push(text);
            }
        };
        let verdicts = self.verdicts_left_out(not_good + unknown);
        part(
            not_good,
            "exchange that did not go well",
            "exchanges that did not go well",
            &verdicts,
        );
        part(
            unknown,
            "exchange of unknown status",
            "exchanges of unknown status",
            "",
        );
        let rest = match block.shown[0] {
            0 => String::new(),
            shown => {
                said!(" (shown are the slowest ", Grouped(shown), ")")
            }
        };
        part(
            good,
            "exchange that went well",
            "exchanges that went well",
            &rest,
        );
        part(connections, "failed connection", "failed connections", "");
        out.push_str(&parts.join(", "));
        out.push_str(
            ". All of them are in the other figures of this page; <code>-o json</code> tells \
             every one, <code>--filter-http</code> selects.</p>",
        );
    }

    /// The verdicts of those that are left out, if all of them are known.
    fn verdicts_left_out(&self, count: u64) -> String {
        let left_out = self.block.left_out.not_good;
        let mut out = String::new();
        if left_out.iter().sum::<u64>() != count {
            return out;
        }
        let counts = Verdict::ALL.into_iter().zip(left_out);
        for (verdict, count) in counts.filter(|(_, count)| *count > 0) {
            out.push_str(if out.is_empty() { " (" } else { ", " });
            push!(&mut out; Grouped(count), " ");
            out.push_str(verdict.name());
        }
        if !out.is_empty() {
            out.push(')');
        }
        out
    }
}

/// Pushes a verdict and its number, without the end of the list item.
fn verdict_item(out: &mut String, verdict: Verdict, count: u64) {
    let (class, sign) = match Ink::of(verdict) {
        Ink::Good => ("good", "✓"),
        Ink::Doubt => ("doubt", "?"),
        _ => ("bad", "✗"),
    };
    push!(out; "\n<li class=", class, "><span class=sign>", sign, "</span> <b>", Grouped(count),
        "</b> <code>");
    out.push_str(verdict.name());
    out.push_str("</code> <span class=words>");
    out.push_str(verdict_in_words(verdict));
    out.push_str("</span>");
}

fn more(out: &mut String, all: usize, one: &'static str, many: &'static str) {
    if all > MAX_ROWS {
        push!(out; "<p class=dim>… and ", Counted((all - MAX_ROWS) as u64, one, many),
            " more.</p>");
    }
}

/// Pushes text from the wire, cut to a number of characters.
fn code(out: &mut String, text: &str, most: usize) {
    let shown = said!(Shown(text, most));
    push!(out; "<code>", Html(&shown), "</code>");
}
