//! Where two texts differ, for a person to read.

use std::fmt::Write as _;

/// Lines that are shown of each text.
const MAX_LINES: usize = 8;
/// Characters that are shown of a line before and after the place where it differs: lines of JSON
/// are long.
const BEFORE: usize = 60;
const AFTER: usize = 100;

/// The first lines in which `actual` is not `expected`; `None` if they are the same.
pub(crate) fn first_differences(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let mut out = String::new();
    let mut shown = 0;
    let mut left_out = 0;
    let (mut old, mut new) = (expected.split('\n'), actual.split('\n'));
    for number in 1.. {
        let (old, new) = (old.next(), new.next());
        if old.is_none() && new.is_none() {
            break;
        }
        if old == new {
            continue;
        }
        if shown == MAX_LINES {
            left_out += 1;
            continue;
        }
        shown += 1;
        let from = common_start(old.unwrap_or(""), new.unwrap_or(""));
        for (sign, line) in [('-', old), ('+', new)] {
            let line = line.map_or("(no such line)".into(), |line| window(line, from));
            // A String takes everything.
            let _ = writeln!(out, "{number:>5} {sign} {line}");
        }
    }
    if left_out > 0 {
        let _ = writeln!(out, "      … and {left_out} more");
    }
    Some(out)
}

/// How many characters the two begin with alike.
fn common_start(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// The part of `line` around its character `at`.
fn window(line: &str, at: usize) -> String {
    let (from, to) = (at.saturating_sub(BEFORE), at + AFTER);
    let mut part: String = line.chars().skip(from).take(to - from).collect();
    if from > 0 {
        part.insert(0, '…');
    }
    if to < line.chars().count() {
        part.push('…');
    }
    part
}
