//! The comparison for a person at a terminal.

use super::rows::{self, Row};
use crate::compare::difference::{ChangeOutcome, Comparison, Difference, Presence, Trend};
use crate::compare::language::route_name;
use crate::compare::problems::Became;
use crate::escape;
use crate::event;
use crate::piece::{Grouped, Shown, push, said};
use crate::report::text::paint::{Ink, Paint, columns, left, right, wrapped};

/// Characters of a file's name, and of a path.
const MAX_NAME: usize = 200;
const MAX_PATH: usize = 80;
/// Problems shown.
const MAX_PROBLEMS: usize = 20;

/// How the text looks.
#[derive(Clone, Copy, Debug)]
pub struct ComparisonTextOptions {
    /// Escape sequences for colour.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// How many routes to show; 0 for all.
    pub limit: usize,
}

/// Writes the text.
#[must_use]
pub fn write(
    comparison: &Comparison,
    assertions: &[event::Outcome],
    options: ComparisonTextOptions,
) -> String {
    let paint = Paint {
        colour: options.colour,
    };
    let mut out = String::new();
    for (title, head) in [
        ("before  ", &comparison.before),
        ("after   ", &comparison.after),
    ] {
        paint.push(&mut out, Ink::Dim, title);
        let name = said!(Shown(&head.name, MAX_NAME));
        paint.push(&mut out, Ink::Bold, &name);
        out.push_str("   ");
        out.push_str(&rows::side(head));
        out.push('\n');
    }
    out.push('\n');
    wrapped(&mut out, &rows::overview(comparison), 0, options.width);
    outcomes(&mut out, paint, assertions);
    problems(&mut out, paint, comparison, options.width);
    let limit = match options.limit {
        0 => usize::MAX,
        limit => limit,
    };
    let mut one_sided = false;
    for difference in comparison.routes.iter().take(limit) {
        route(&mut out, paint, comparison, difference, &mut one_sided);
    }
    let more = comparison.routes.len().saturating_sub(limit);
    if more > 0 {
        out.push_str(&format!(
            "\n… and {more} more (--limit 0 shows all, --route makes one of several)\n"
        ));
    }
    if comparison.tests > 0 {
        out.push('\n');
        let mut method = String::new();
        wrapped(&mut method, &rows::method(comparison), 0, options.width);
        paint.push(&mut out, Ink::Dim, method.trim_end());
        out.push('\n');
    }
    out
}

/// Pushes what became of problems, those that did not change aside.
fn problems(out: &mut String, paint: Paint, comparison: &Comparison, width: usize) {
    let changes = comparison.problems.iter().flatten();
    let mut changes = changes
        .filter(|change| change.became != Became::Same)
        .peekable();
    if changes.peek().is_none() {
        return;
    }
    out.push_str("\nproblems\n");
    for change in changes.by_ref().take(MAX_PROBLEMS) {
        let ink = if change.became.is_bad() {
            Ink::Bad
        } else {
            Ink::Good
        };
        let mut lines = String::new();
        wrapped(&mut lines, &rows::problem(change, escape::shown), 2, width);
        for line in lines.lines() {
            paint.push(out, ink, line);
            out.push('\n');
        }
    }
    let more = changes.count();
    if more > 0 {
        out.push_str(&format!("  … and {more} more (-o json lists them)\n"));
    }
}

fn outcomes(out: &mut String, paint: Paint, assertions: &[event::Outcome]) {
    if assertions.is_empty() {
        return;
    }
    out.push('\n');
    for outcome in assertions {
        out.push_str("  ");
        if outcome.passed() {
            paint.push(out, Ink::Good, "✓ ");
        } else {
            paint.push(out, Ink::Bad, "✗ ");
        }
        push!(out; Shown(&outcome.assertion, MAX_NAME), ": ");
        out.push_str(&outcome.observed);
        out.push('\n');
    }
}

const fn ink(words: &[Trend]) -> Ink {
    match words {
        [word, ..] if word.is_bad() => Ink::Bad,
        [Trend::Better | Trend::Faster, ..] => Ink::Good,
        [_, ..] => Ink::Accent,
        [] => Ink::Dim,
    }
}

/// `one_sided`: the route before had no table either, so that no empty line separates them.
fn route(
    out: &mut String,
    paint: Paint,
    comparison: &Comparison,
    difference: &Difference,
    one_sided: &mut bool,
) {
    let is_both = difference.presence() == Presence::Both;
    if is_both || !*one_sided {
        out.push('\n');
    }
    *one_sided = !is_both;
    let mut name = String::new();
    route_name(&mut name, &difference.route, MAX_PATH);
    paint.push(out, Ink::Bold, &name);
    out.push_str("   ");
    let ink = match difference.presence() {
        Presence::Both => ink(&difference.words()),
        Presence::New | Presence::Gone => Ink::Accent,
    };
    paint.push(out, ink, &difference.headline(comparison.thresholds));
    push!(out; "   ", Grouped(difference.before.exchanges), " → ",
        Grouped(difference.after.exchanges), " exchanges\n");
    if !is_both {
        return;
    }
    let rows = rows::rows(difference, comparison.thresholds);
    let widest = |of: fn(&Row) -> &str, least: usize| {
        let widths = rows.iter().map(|row| columns(of(row)));
        widths.max().unwrap_or(0).max(least)
    };
    let width = Widths {
        name: widest(|row| &row.name, "request_to_response".len()),
        before: widest(|row| &row.before, "before".len()),
        after: widest(|row| &row.after, "after".len()),
        change: widest(|row| &row.change, "change".len()),
    };
    let mut head = String::from("  ");
    left(&mut head, "", width.name + 4);
    for (title, width) in [
        ("before", width.before),
        ("after", width.after),
        ("change", width.change),
    ] {
        right(&mut head, title, width + 3);
    }
    paint.push(out, Ink::Dim, &head);
    out.push('\n');
    for row in &rows {
        line(out, paint, row, &width);
    }
}

struct Widths {
    name: usize,
    before: usize,
    after: usize,
    change: usize,
}

fn line(out: &mut String, paint: Paint, row: &Row, width: &Widths) {
    out.push_str("  ");
    left(out, &row.name, width.name + 1);
    left(out, row.figure, 3);
    right(out, &row.before, width.before + 3);
    right(out, &row.after, width.after + 3);
    right(out, &row.change, width.change + 3);
    if !row.noise.is_empty() {
        out.push_str("   ");
        let ink = match row.outcome {
            Some(ChangeOutcome::Changed(word)) => ink(&[word]),
            _ => Ink::Dim,
        };
        paint.push(out, ink, &row.noise);
    }
    out.push('\n');
}
