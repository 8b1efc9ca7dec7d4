//! Lines of a relay made of choices: those of today, some of their values exchanged for others.

use super::choices::Choices;
use std::sync::LazyLock;

/// One line of each kind, and the names of what values there are.
const KNOWN: &str = include_str!("../../crates/meshsniff/src/relay/lines.jsonl");

/// Values that no line of today has.
const ODD: [&[u8]; 24] = [
    b"0",
    b"1",
    b"2",
    b"-1",
    b"255",
    b"65535",
    b"65536",
    b"4294967295",
    b"4294967296",
    b"1152921504606846976",
    b"9007199254740993",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"1e300",
    b"null",
    b"true",
    b"false",
    b"[]",
    b"{}",
    b"\"\"",
    b"\"\\u001b[31m\\u0000\\n\\u202e\"",
    b"\"[::1]:80\"",
    b"\"</script>&\\\"'|`\"",
];

/// Lines made of one input: a byte or two may make kilobytes.
const MAX_LINES: usize = 100;

/// Values of one line that may change.
const MAX_CHANGES: usize = 7;

/// A line of today: values, and what stands before each of them and after the last.
struct Line {
    between: Vec<&'static [u8]>,
    values: Vec<&'static [u8]>,
}

struct Known {
    lines: Vec<Line>,
    /// Every value of any line.
    values: Vec<&'static [u8]>,
}

static LINES: LazyLock<Known> = LazyLock::new(|| {
    let mut lines: Vec<Line> = KNOWN.lines().map(|line| parts(line.as_bytes())).collect();
    let mut values: Vec<&[u8]> = lines.iter().flat_map(|line| line.values.clone()).collect();
    values.sort_unstable();
    values.dedup();
    // The last one is no line, but the names of verdicts and the like; the first one the form.
    lines.pop();
    lines.remove(0);
    Known { lines, values }
});

/// Takes a line apart. Names of members are no values.
fn parts(line: &'static [u8]) -> Line {
    let (mut between, mut values) = (Vec::new(), Vec::new());
    let (mut at, mut from) = (0, 0);
    while at < line.len() {
        let len = match line[at] {
            b'"' => {
                let mut end = at + 1;
                while line[end] != b'"' {
                    end += 1 + usize::from(line[end] == b'\\');
                }
                end + 1 - at
            }
            b'[' | b']' | b'{' | b'}' | b',' | b':' => 0,
            _ => {
                let rest = &line[at..];
                let end = rest.iter().position(|byte| b",]}".contains(byte));
                end.unwrap_or(rest.len())
            }
        };
        if len > 0 && line.get(at + len) != Some(&b':') {
            between.push(&line[from..at]);
            values.push(&line[at..at + len]);
            from = at + len;
        }
        at += len.max(1);
    }
    between.push(&line[from..]);
    Line { between, values }
}

/// Lines: a byte for which one, a byte for whose it is and how much of it changes, and for each
/// change where and how.
pub fn of(choices: &mut Choices<'_>, other: u8) -> Vec<u8> {
    let known = &*LINES;
    let mut out = Vec::new();
    for _ in 0..MAX_LINES {
        let Some(which) = choices.another() else {
            break;
        };
        let line = &known.lines[usize::from(which) % known.lines.len()];
        let how = choices.byte();
        if how & 0x80 != 0 {
            out.push(other);
        }
        let mut changes = [(usize::MAX, 0, 0); MAX_CHANGES];
        for change in &mut changes[..usize::from(how & 7)] {
            let place = match line.values.len() {
                ..=256 => usize::from(choices.byte()),
                _ => usize::from(choices.half()),
            };
            *change = (place % line.values.len(), choices.byte(), choices.byte());
        }
        for (place, value) in line.values.iter().enumerate() {
            out.extend_from_slice(line.between[place]);
            match changes.iter().find(|change| change.0 == place) {
                Some(&(_, how, what)) => changed(&mut out, known, line, value, how, what, choices),
                None => out.extend_from_slice(value),
            }
        }
        out.extend_from_slice(line.between[line.values.len()]);
        out.push(b'\n');
    }
    out
}

fn changed(
    out: &mut Vec<u8>,
    known: &Known,
    line: &Line,
    value: &[u8],
    how: u8,
    what: u8,
    choices: &mut Choices<'_>,
) {
    let what = usize::from(what);
    match how % 8 {
        0 => out.extend_from_slice(ODD[what % ODD.len()]),
        1 => out.extend_from_slice(line.values[what % line.values.len()]),
        2 | 3 => {
            let which = what << 8 | usize::from(choices.byte());
            out.extend_from_slice(known.values[which % known.values.len()]);
        }
        // A little more or less than it was: times that stand in another order.
        4 | 5 => {
            let number = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
            let number: i128 = number.unwrap_or(0);
            let step = i128::from(what as u8 as i8) << (choices.byte() % 40);
            out.extend_from_slice((number + step).to_string().as_bytes());
        }
        // Of a list more items.
        6 => {
            for _ in 0..what {
                out.extend_from_slice(value);
                out.push(b',');
            }
            out.extend_from_slice(value);
        }
        _ => {
            out.push(b'"');
            out.extend_from_slice(choices.bytes(what & 0x1f));
            out.push(b'"');
        }
    }
}
