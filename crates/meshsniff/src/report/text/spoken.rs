//! What a conversation's heads and bodies are on a terminal, and what of them is masked.

use super::paint::{Ink, blanks};
use crate::piece::{Shown, push};
use crate::protocol::http2::head::Listed;
use crate::{escape, number};

/// Characters of a line.
pub(super) const MAX_LINE: usize = 400;
/// Bytes of a body in a line, if the body is no text.
const DUMP: usize = 16;

/// Why a field is not known: its text stands in a table that both ends keep, and what put it there
/// was not seen.
const UNKNOWN: &str = "first sent outside the capture";

/// A line, and its colour.
pub(super) type Row = (String, Option<Ink>);

/// What is masked.
#[derive(Clone, Copy)]
pub(super) struct Mask<'a> {
    /// Fields whose values are, in any case of letters.
    pub(super) secret: &'a [String],
    /// Whether what its sender calls a secret is, too.
    pub(super) sealed: bool,
}

impl Mask<'_> {
    fn hides(self, name: &str) -> bool {
        let name = name.trim();
        self.secret.iter().any(|one| one.eq_ignore_ascii_case(name))
    }

    /// Pushes a line of a head of HTTP/1: a field, or a continuation of the field named `folds`.
    pub(super) fn push_line(self, out: &mut String, line: &[u8], folds: Option<&[u8]>) {
        let line = String::from_utf8_lossy(line);
        if folds.is_some_and(|field| self.hides(&String::from_utf8_lossy(field))) {
            out.push_str("  ");
            push_redacted(out, line.trim().len() as u64);
            return;
        }
        let field = line.split_once(':');
        // Some programs forgive a missing colon.
        let field = field
            .filter(|(name, _)| self.hides(name))
            .or_else(|| line.trim_start().split_once(char::is_whitespace));
        match field {
            Some((name, value)) if self.hides(name) => {
                push!(out; Shown(name, MAX_LINE), ": ");
                push_redacted(out, value.trim().len() as u64);
            }
            _ => escape::shown(out, &line, MAX_LINE),
        }
    }

    /// Pushes a field of HTTP/2.
    pub(super) fn push_field(self, out: &mut String, field: &Listed) {
        let name = field.name.as_deref().map(String::from_utf8_lossy);
        let Some(value) = field.value.as_deref().map(String::from_utf8_lossy) else {
            match name {
                Some(name) => push!(out; Shown(&name, MAX_LINE), ": (unknown: "),
                None => out.push_str("(unknown field: "),
            }
            push!(out; UNKNOWN, ")");
            return;
        };
        let hidden = match &name {
            Some(name) => self.hides(name),
            // It may be any of them.
            None => !self.secret.is_empty(),
        };
        match &name {
            Some(name) => push!(out; Shown(name, MAX_LINE), ":"),
            None => out.push_str("(unknown name):"),
        }
        if value.is_empty() {
            return;
        }
        out.push(' ');
        if hidden || field.never_indexed && self.sealed {
            push_redacted(out, field.size);
        } else {
            escape::shown(out, &value, MAX_LINE);
        }
    }
}

fn push_redacted(out: &mut String, size: u64) {
    out.push_str("(redacted, ");
    push_bytes(out, size, ")");
}

/// Pushes so many bytes, and what is told of them.
pub(super) fn push_bytes(out: &mut String, count: u64, told: &str) {
    number::grouped(out, count);
    out.push_str(if count == 1 { " byte" } else { " bytes" });
    out.push_str(told);
}

/// The line of a body and its beginning: as text if it is text, otherwise as bytes.
pub(super) fn bytes(headline: String, begin: &[u8], size: u64) -> Vec<Row> {
    let cut = match std::str::from_utf8(begin) {
        Ok(text) => Some(text),
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&begin[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let is_text = |text: &&str| !text.chars().any(|c| c.is_control() && !c.is_whitespace());
    let Some(text) = cut.filter(is_text) else {
        return binary(headline, begin, size);
    };
    let shown = text.lines().map(|line| {
        let mut shown = String::from("  ");
        escape::shown(&mut shown, line, MAX_LINE);
        shown
    });
    below(headline, shown, begin, size)
}

/// The line of a body and its beginning as bytes.
pub(super) fn binary(headline: String, begin: &[u8], size: u64) -> Vec<Row> {
    let shown = begin.chunks(DUMP).map(|chunk| {
        let mut shown = String::from("  ");
        for byte in chunk {
            shown.push_str(&format!("{byte:02x} "));
        }
        blanks(&mut shown, (DUMP - chunk.len()) * 3 + 1);
        let plain = |byte: &u8| matches!(byte, b' '..=b'~');
        let letters = chunk
            .iter()
            .map(|byte| if plain(byte) { char::from(*byte) } else { '.' });
        shown.extend(letters);
        shown
    });
    below(headline, shown, begin, size)
}

/// A line of a body, what is shown of `begin` below it, and whether there is more.
fn below(
    headline: String,
    shown: impl Iterator<Item = String>,
    begin: &[u8],
    size: u64,
) -> Vec<Row> {
    let mut lines = vec![(headline, Some(Ink::Dim))];
    lines.extend(shown.map(|line| (line, None)));
    if !begin.is_empty() && size > begin.len() as u64 {
        lines.push(("  …".to_owned(), None));
    }
    lines
}
