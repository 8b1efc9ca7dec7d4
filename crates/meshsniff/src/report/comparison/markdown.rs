//! `-o markdown` of a comparison: for a pull request or a GitHub step summary.

use super::rows;
use crate::compare::difference::{ChangeOutcome, Comparison, Difference, Presence};
use crate::compare::language::route_name;
use crate::compare::problems::Became;
use crate::event;
use crate::piece::{Grouped, push};
use crate::report::spans::{cell, code, more};

/// Routes with a table of their own, and rows of the list of the others.
const MAX_TABLES: usize = 20;
const MAX_ROWS: usize = 50;
/// Characters of a path or a file's name.
const MAX_NAME: usize = 80;

/// Writes the page.
#[must_use]
pub fn write(comparison: &Comparison, assertions: &[event::Outcome]) -> String {
    let mut out = String::from("## ");
    let failed = assertions.iter().filter(|one| !one.passed()).count();
    if failed > 0 {
        out.push_str(&format!(
            "❌ {failed} of {} assertions failed\n\n",
            assertions.len()
        ));
    } else if !assertions.is_empty() {
        out.push_str("✅ Every assertion passed\n\n");
    } else {
        out.push_str("Comparison\n\n");
    }
    out.push_str(&rows::overview(comparison));
    out.push_str(".\n\n");
    for (title, head) in [("before", &comparison.before), ("after", &comparison.after)] {
        out.push_str("- ");
        out.push_str(title);
        out.push_str(": ");
        code(&mut out, &head.name, MAX_NAME);
        out.push_str(", ");
        out.push_str(&rows::side(head));
        out.push('\n');
    }
    out.push('\n');
    outcomes(&mut out, assertions);
    let changes = comparison.problems.iter().flatten();
    let changes = changes.filter(|change| change.became != Became::Same);
    for change in changes.take(MAX_ROWS) {
        let sign = if change.became.is_bad() { "❌" } else { "✅" };
        push!(&mut out; "- ", sign, " problem ");
        out.push_str(&rows::problem(change, code));
        out.push('\n');
    }
    out.push('\n');
    // The changed ones come first.
    let (both, one_sided): (Vec<_>, Vec<_>) = comparison
        .routes
        .iter()
        .partition(|one| one.presence() == Presence::Both);
    let (tables, others) = both.split_at(both.len().min(MAX_TABLES));
    let unchanged = tables.partition_point(|one| !one.words().is_empty());
    let (changed, unchanged) = tables.split_at(unchanged);
    for difference in changed {
        table(&mut out, comparison, difference);
    }
    if !unchanged.is_empty() {
        out.push_str("<details><summary>Routes that did not change</summary>\n\n");
        for difference in unchanged {
            table(&mut out, comparison, difference);
        }
        out.push_str("</details>\n\n");
    }
    let rest: Vec<&Difference> = others.iter().copied().chain(one_sided).collect();
    list(&mut out, comparison, &rest);
    if comparison.tests > 0 {
        out.push_str("\n<sub>");
        out.push_str(&rows::method(comparison));
        out.push_str("</sub>\n");
    }
    out
}

fn outcomes(out: &mut String, assertions: &[event::Outcome]) {
    if assertions.is_empty() {
        return;
    }
    out.push_str("| | must not be | what was seen |\n|---|---|---|\n");
    for outcome in assertions {
        out.push_str(if outcome.passed() {
            "| ✅ | "
        } else {
            "| ❌ | "
        });
        cell(out, &outcome.assertion, 200);
        out.push_str(" | ");
        // It may name routes.
        cell(out, &outcome.observed, 400);
        out.push_str(" |\n");
    }
    out.push('\n');
}

fn title(difference: &Difference) -> String {
    let mut name = String::new();
    route_name(&mut name, &difference.route, MAX_NAME);
    name
}

fn traffic(out: &mut String, difference: &Difference) {
    push!(out; Grouped(difference.before.exchanges), " → ", Grouped(difference.after.exchanges));
}

fn table(out: &mut String, comparison: &Comparison, difference: &Difference) {
    out.push_str("### ");
    code(out, &title(difference), MAX_NAME * 2);
    out.push_str(": ");
    out.push_str(&difference.headline(comparison.thresholds));
    out.push_str("\n\n");
    traffic(out, difference);
    out.push_str(
        " exchanges\n\n| | | before | after | change | more than noise? \
        |\n|---|---|--:|--:|--:|---|\n",
    );
    for row in rows::rows(difference, comparison.thresholds) {
        let mark = if matches!(row.outcome, Some(ChangeOutcome::Changed(_))) {
            "**"
        } else {
            ""
        };
        for field in [
            row.name.as_str(),
            row.figure,
            &row.before,
            &row.after,
            &row.change,
        ] {
            out.push_str("| ");
            out.push_str(field);
            out.push(' ');
        }
        push!(out; "| ", mark);
        out.push_str(&row.noise.replace('<', "&lt;"));
        push!(out; mark, " |\n");
    }
    out.push('\n');
}

fn list(out: &mut String, comparison: &Comparison, others: &[&Difference]) {
    if others.is_empty() {
        return;
    }
    out.push_str("| route | exchanges | |\n|---|--:|---|\n");
    for difference in others.iter().take(MAX_ROWS) {
        out.push_str("| ");
        cell(out, &title(difference), MAX_NAME * 2);
        out.push_str(" | ");
        traffic(out, difference);
        out.push_str(" | ");
        out.push_str(&difference.headline(comparison.thresholds));
        out.push_str(" |\n");
    }
    more(out, others.len(), MAX_ROWS);
}
