//! Pieces of GitHub Flavored Markdown. Text from the wire stands in code spans, so that nothing in
//! it is markup.

use crate::piece::{Grouped, Shown, push, said};

/// The length of the longest run of backticks.
pub(super) fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// Pushes a code span (GFM 6.3), in which nothing is markup.
pub(super) fn code(out: &mut String, text: &str, most: usize) {
    let shown = said!(Shown(text, most));
    let fence = "`".repeat(longest_run(&shown) + 1);
    // A blank at each end, which readers do not see, separates backticks of the text from the
    // fence.
    out.push_str(&fence);
    out.push(' ');
    out.push_str(&shown);
    out.push(' ');
    out.push_str(&fence);
}

/// Pushes a code span in a table, where a bar ends a cell even in code.
pub(super) fn cell(out: &mut String, text: &str, most: usize) {
    let mut span = String::new();
    code(&mut span, text, most);
    out.push_str(&span.replace('|', "\\|"));
}

/// Pushes how many rows a table leaves out.
pub(super) fn more(out: &mut String, all: usize, shown: usize) {
    if all > shown {
        push!(out; "\n… and ", Grouped((all - shown) as u64), " more.\n");
    }
}
