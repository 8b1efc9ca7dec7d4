//! Colour, columns and line breaks of the text report.

use crate::exchange::Verdict;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr as _;

/// The meaning of a piece of text, by which it has a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Bold,
    Dim,
    Good,
    Bad,
    Doubt,
    Accent,
}

impl Ink {
    /// The ink of a verdict.
    pub(crate) const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ok | Verdict::Upgraded => Self::Good,
            Verdict::Unanswered => Self::Doubt,
            Verdict::ClientGaveUp
            | Verdict::ClientGaveUpMidResponse
            | Verdict::ClientAbortedRequest
            | Verdict::ServerClosedUnanswered
            | Verdict::ServerResetUnanswered
            | Verdict::ServerTruncatedResponse
            | Verdict::ServerResetEarlyAnswer
            | Verdict::ServerInvalidResponse
            | Verdict::Refused
            | Verdict::ConnectRefused
            | Verdict::ConnectTimeout
            | Verdict::TlsUnanswered
            | Verdict::TlsFailed
            | Verdict::TlsLeftWaiting
            | Verdict::TlsRefusedPlain
            | Verdict::PlainRefusedTls => Self::Bad,
        }
    }
}

/// Colours text, or does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    pub(crate) colour: bool,
}

impl Paint {
    /// Pushes `text` in `ink`.
    pub(crate) fn push(self, out: &mut String, ink: Ink, text: &str) {
        if !self.colour {
            out.push_str(text);
            return;
        }
        // ECMA-48 "select graphic rendition".
        let code = match ink {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Good => "32",
            Ink::Bad => "1;31",
            Ink::Doubt => "33",
            Ink::Accent => "36",
        };
        let _ = write!(out, "\x1b[{code}m{text}\x1b[0m");
    }
}

/// Columns that `text` takes in a terminal.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// Pushes `text`, and blanks up to `width` columns.
pub(crate) fn left(out: &mut String, text: &str, width: usize) {
    out.push_str(text);
    blanks(out, width.saturating_sub(columns(text)));
}

/// Pushes blanks and `text`, `width` columns together.
pub(crate) fn right(out: &mut String, text: &str, width: usize) {
    blanks(out, width.saturating_sub(columns(text)));
    out.push_str(text);
}

pub(crate) fn blanks(out: &mut String, count: usize) {
    for _ in 0..count {
        out.push(' ');
    }
}

/// Pushes `text` broken into lines of `width` columns, each behind `indent` blanks. A longer word
/// has a line of its own.
pub(crate) fn wrapped(out: &mut String, text: &str, indent: usize, width: usize) {
    let room = width.saturating_sub(indent).max(20);
    let mut used = 0;
    for word in text.split(' ') {
        let length = columns(word);
        if used == 0 {
            blanks(out, indent);
        } else if used + 1 + length > room {
            out.push('\n');
            blanks(out, indent);
            used = 0;
        } else {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out.push('\n');
}

/// Pushes texts as one paragraph, each in its ink, broken between words. The first line begins where
/// `out` ends, `indent` columns from the left.
pub(crate) fn flowing(
    out: &mut String,
    paint: Paint,
    texts: &[(Option<Ink>, &str)],
    indent: usize,
    width: usize,
) {
    let room = width.saturating_sub(indent).max(20);
    let mut used = 0;
    for &(ink, text) in texts {
        // Words of one line are painted together.
        let mut line = String::new();
        let end = |out: &mut String, line: &mut String| {
            match ink {
                Some(ink) if !line.is_empty() => paint.push(out, ink, line),
                _ => out.push_str(line),
            }
            line.clear();
        };
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let length = columns(word);
            if used > 0 && used + 1 + length > room {
                end(out, &mut line);
                out.push('\n');
                blanks(out, indent);
                used = 0;
            } else if used > 0 && line.is_empty() {
                out.push(' ');
                used += 1;
            } else if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
        end(out, &mut line);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let mut out = String::new();
        wrapped(&mut out, "one two three four five six seven", 2, 22);
        assert_eq!(out, "  one two three four\n  five six seven\n");
        out.clear();
        wrapped(&mut out, &"x".repeat(50), 4, 10);
        assert_eq!(out, format!("    {}\n", "x".repeat(50)));
    }

    #[test]
    fn a_wide_character_takes_two_columns() {
        let mut out = String::new();
        left(&mut out, "東京", 6);
        right(&mut out, "é", 3);
        assert_eq!(out, "東京    é");
    }

    #[test]
    fn without_colour_there_is_no_escape() {
        let mut out = String::new();
        Paint { colour: false }.push(&mut out, Ink::Bad, "bad");
        assert_eq!(out, "bad");
        Paint { colour: true }.push(&mut out, Ink::Bad, "bad");
        assert_eq!(out, "bad\x1b[1;31mbad\x1b[0m");
    }
}
