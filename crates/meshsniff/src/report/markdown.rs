//! `-o markdown`: for a pull request or a GitHub step summary.
//!
//! The text is GitHub Flavored Markdown. Text from the wire stands in code blocks and code spans,
//! fenced by more backticks than it has, so that nothing in it is markup.

use super::facts::Facts;
use super::problems::Told;
use super::spans::{cell, code, longest_run, more};
use super::sums;
use super::text;
use crate::condition::Filter;
use crate::event::{Capture, Report, ReportEvent};
use crate::exchange::Verdict;
use crate::piece::{Counted, Grouped, Html, Number, Percent, push};
use crate::statistics::problems::Example;
use crate::statistics::{Problem, Timer};
use std::io::{self, Write};

/// Problems with their timelines, and rows of a table: GitHub takes 1 MiB for a step, and nobody
/// reads more.
const MAX_ROWS: usize = 20;
/// Characters of a command.
const MAX_NEXT: usize = 400;
/// Characters of a path in a table.
const MAX_PATH: usize = 80;
/// Characters of a server's name.
const MAX_SERVER: usize = 100;

/// A report for a page that renders Markdown.
pub struct MarkdownReport<W: Write> {
    out: W,
    facts: Facts,
}

impl<W: Write> MarkdownReport<W> {
    /// Creates a report of the exchanges that `filter` selects. `with_probes`: health checkers
    /// count like everybody else.
    pub fn new(out: W, filter: Filter, with_probes: bool) -> Self {
        Self {
            out,
            facts: Facts::new(filter, with_probes),
        }
    }

    fn head(&self, out: &mut String, capture: &Capture) {
        let summary = &self.facts.summary;
        let failed = self.facts.outcomes.iter().filter(|one| !one.passed());
        let failed = failed.count() as u64;
        out.push_str("## ");
        if failed > 0 {
            push!(out; "❌ ", Counted(failed, "assertion", "assertions"), " failed\n\n");
        } else if !capture.errors.is_empty() {
            out.push_str("⚠️ The report is not whole\n\n");
        } else if !self.facts.outcomes.is_empty() {
            out.push_str("✅ Every assertion passed\n\n");
        } else {
            push!(out; Counted(summary.exchanges, "exchange", "exchanges"), "\n\n");
        }
        for (index, source) in self.facts.sources.iter().take(MAX_ROWS).enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            code(out, &source.name, MAX_PATH);
        }
        if !self.facts.sources.is_empty() {
            out.push_str(": ");
        }
        push!(out; Counted(capture.totals.frames, "frame", "frames"), ", ",
            Counted(summary.exchanges, "exchange", "exchanges"));
        let verdicts = Verdict::ALL.into_iter().zip(summary.verdicts);
        for (verdict, count) in verdicts.filter(|(_, count)| *count > 0) {
            push!(out; ", ", Grouped(count), " `");
            out.push_str(verdict.name());
            out.push('`');
            let answered = sums::answered(summary);
            if verdict == Verdict::Ok && !answered.is_empty() {
                let words: Vec<String> = answered.into_iter().map(|(text, _)| text).collect();
                out.push_str(" (");
                out.push_str(&words.join(", "));
                out.push(')');
            }
        }
        if summary.connects_failed() > 0 {
            push!(out; ", ", Counted(summary.connects_failed(), "connection", "connections"),
                " that never opened");
        }
        out.push_str(".\n\n");
        for error in &capture.errors {
            out.push_str("- ⚠️ ");
            code(out, error, 400);
            out.push('\n');
        }
        if let Some(dropped @ 1..) = capture.dropped {
            push!(out; "- ⚠️ the kernel lost ", Counted(dropped, "packet", "packets"), "\n");
        }
        out.push('\n');
    }

    fn outcomes(&self, out: &mut String) {
        if self.facts.outcomes.is_empty() {
            return;
        }
        out.push_str("| | must not be | what was seen |\n|---|---|---|\n");
        for outcome in &self.facts.outcomes {
            out.push_str(if outcome.passed() {
                "| ✅ | "
            } else {
                "| ❌ | "
            });
            cell(out, &outcome.assertion, 200);
            out.push_str(" | ");
            // Figures and words of the program's own.
            out.push_str(&outcome.observed);
            out.push_str(" |\n");
        }
        out.push('\n');
    }

    fn rates(&self, out: &mut String) {
        let mut rates = self.facts.summary.success_rates();
        if rates.is_empty() {
            return;
        }
        rates.sort_by_key(|(_, rate)| std::cmp::Reverse(rate.counted));
        out.push_str(
            "| server | exchanges | the client's success rate | the server's \
            |\n|---|--:|--:|--:|\n",
        );
        for (server, rate) in rates.iter().take(MAX_ROWS) {
            out.push_str("| ");
            cell(out, &self.facts.names.shown(*server), MAX_SERVER);
            push!(out; " | ", Grouped(rate.counted));
            for good in [rate.good, rate.server_good()] {
                push!(out; " | ", Percent(good, rate.counted));
            }
            out.push_str(" |\n");
        }
        more(out, rates.len(), MAX_ROWS);
        out.push('\n');
    }

    /// The problems, the worst first.
    fn problems(out: &mut String, told: &Told<'_>) {
        for problem in told.problems.iter().take(MAX_ROWS) {
            push!(out; Number(problem.id + 1), ". ");
            out.push_str(&told.sentence_with(problem, code));
            let facts = told.facts_with(problem, code);
            for more in [facts, Told::envoy(problem), Told::members(problem)] {
                if !more.is_empty() {
                    out.push_str("<br>");
                    out.push_str(&more);
                }
            }
            let next = told.next(problem);
            if !next.is_empty() {
                out.push_str("<br>next: ");
                code(out, &next, MAX_NEXT);
            }
            out.push('\n');
        }
        let beyond = told.problems.len().saturating_sub(MAX_ROWS) as u64 + told.beyond;
        if beyond > 0 {
            push!(out; "\n… and ", Counted(beyond, "problem more", "problems more"), "\n");
        }
        if !told.problems.is_empty() {
            out.push('\n');
        }
    }

    fn timers(&self, out: &mut String, told: &Told<'_>) {
        let timers = self.facts.summary.timers();
        let untold = |timer: &&Timer| !told.problems.iter().any(|problem| problem.is_of(timer));
        for timer in timers.iter().filter(untold).take(MAX_ROWS) {
            out.push_str("- ⏱ ");
            sums::timer(out, timer, &self.facts.names, code);
            out.push_str("\n\n");
        }
        for line in sums::findings(&self.facts.summary, &told.problems) {
            push!(out; "- ", Html(&line), "\n");
        }
        let mut waits = String::new();
        sums::waits(&mut waits, &self.facts.summary);
        for line in waits.lines() {
            push!(out; "- ", Html(line), "\n");
        }
        out.push('\n');
    }

    /// An example of each problem.
    fn timelines(&self, out: &mut String, told: &Told<'_>) {
        for problem in told.problems.iter().take(MAX_ROWS) {
            let (mut title, mut timeline) = (String::new(), String::new());
            match &problem.example {
                Some(Example::Exchange(exchange)) => {
                    text::request(&mut title, exchange, MAX_PATH);
                    text::plain_timeline(&mut timeline, &self.facts, exchange);
                }
                Some(Example::Connection(connection)) => {
                    push!(&mut title; self.facts.names.brief(connection.server));
                    text::plain_connection(&mut timeline, &self.facts, connection);
                }
                None => continue,
            }
            details(out, problem, &title, &timeline);
        }
    }
}

/// Pushes a timeline that opens when its title is clicked.
fn details(out: &mut String, problem: &Problem, title: &str, timeline: &str) {
    push!(out; "<details><summary>", Number(problem.id + 1), ". <code>",
        Html(problem.kind.name()), "</code> <code>", Html(title),
        "</code></summary>\n\n");
    let fence = "`".repeat(longest_run(timeline).max(2) + 1);
    out.push_str(&fence);
    out.push_str("text\n");
    out.push_str(timeline.trim_end());
    out.push('\n');
    out.push_str(&fence);
    out.push_str("\n\n</details>\n\n");
}

impl<W: Write> Report for MarkdownReport<W> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        self.facts.tell(event);
        if let ReportEvent::Finish(capture) = event {
            let mut out = String::new();
            let told = Told::of(&self.facts, capture);
            self.head(&mut out, capture);
            Self::problems(&mut out, &told);
            self.outcomes(&mut out);
            self.rates(&mut out);
            self.timers(&mut out, &told);
            self.timelines(&mut out, &told);
            self.out.write_all(out.as_bytes())?;
            self.out.flush()?;
        }
        Ok(())
    }
}
