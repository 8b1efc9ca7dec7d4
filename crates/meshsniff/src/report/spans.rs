//! Pieces of GitHub Flavored Markdown: what came over the wire stands in code spans, so that
//! nothing in it is markup.

use crate::piece::{Grouped, Shown, push, said};

/// The most backticks in a row.
pub(super) fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// Pushes a code span (GFM 6.3), in which nothing is markup.
pub(super) fn code(out: &mut String, text: &str, most: usize) {
    let shown = said!(Shown(text, most));
    let fence = "`".repeat(longest_run(&shown) + 1);
    // A blank at each end, which a reader does not see, keeps backticks of the text from the fence.
    out.push_str(&fence);
    out.push(' ');
    out.push_str(&shown);
    out.push(' ');
    out.push_str(&fence);
}

/// A code span in a table, where a bar ends a cell even in code.
pub(super) fn cell(out: &mut String, text: &str, most: usize) {
    let mut span = String::new();
    code(&mut span, text, most);
    out.push_str(&span.replace('|', "\\|"));
}

/// Says that a table shows fewer rows than there are.
pub(super) fn more(out: &mut String, all: usize, shown: usize) {
    if all > shown {
        push!(out, "\n… and ", Grouped((all - shown) as u64), " more.\n");
    }
}
