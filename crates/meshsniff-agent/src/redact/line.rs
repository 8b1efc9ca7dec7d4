//! Lines of a head, byte by byte, and which of their bytes may be seen.

use super::choice;
use meshsniff::protocol::detect::is_token;

/// Longest field name.
pub(super) const MAX_NAME: usize = 64;

/// The byte that replaces a masked one.
pub(super) const MASK: u8 = b'x';

/// What a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A head: its first line as it is, then fields. What is none is masked.
    Head,
    /// A line between chunks, or a trailer.
    Framing,
    /// A body, of which a line may look like a field.
    Body,
}

/// Place in a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// Its beginning in lower case, up to the colon.
    name: Vec<u8>,
    /// Bytes of it so far.
    raw: usize,
    /// Bytes of it so far, the CR aside.
    len: usize,
    /// Behind a blank that may stand before the colon.
    blank: bool,
    past_name: bool,
    masked: bool,
    /// Whether an earlier line of the same part has ended.
    is_later: bool,
}

impl Line {
    /// Masks what is to be masked in the next bytes.
    pub(super) fn mask(&mut self, fields: &[String], part: Part, bytes: &mut [u8]) {
        for at in 0..bytes.len() {
            let byte = bytes[at];
            if byte == b'\n' {
                if part == Part::Head && self.is_later && !self.past_name {
                    // No field after all: as much of it as has not gone yet.
                    let begun = at - self.raw.min(at);
                    for byte in &mut bytes[begun..at] {
                        if *byte != b'\r' {
                            *byte = MASK;
                        }
                    }
                }
                self.end();
                continue;
            }
            self.raw += 1;
            if byte != b'\r' {
                if self.hides(fields, part, byte) {
                    bytes[at] = MASK;
                }
                self.len += 1;
            }
        }
    }

    /// Bytes of it are missing: nobody knows what the rest of it is.
    pub(super) fn lose(&mut self) {
        self.past_name = true;
        self.masked = true;
    }

    /// What comes next begins a line, unless it belongs to a value that is masked.
    pub(super) fn part(&mut self) {
        if !self.masked {
            self.end();
        }
    }

    /// Bytes that it takes beside itself.
    pub(super) fn weight(&self) -> usize {
        self.name.capacity()
    }

    fn end(&mut self) {
        self.name.clear();
        *self = Self {
            name: std::mem::take(&mut self.name),
            is_later: true,
            ..Self::default()
        };
    }

    /// Whether the next byte, which ends no line, is to be hidden.
    fn hides(&mut self, fields: &[String], part: Part, byte: u8) -> bool {
        if part == Part::Head && !self.is_later {
            return false;
        }
        match byte {
            // A folded line goes on with the value before; where there is none, it is no line that
            // could be placed.
            b' ' | b'\t' if self.len == 0 => {
                self.masked = true;
                self.past_name = true;
                return false;
            }
            b':' if !self.past_name => {
                self.past_name = true;
                let long = self.name.len() == MAX_NAME;
                self.masked |= long || choice::hides(fields, &self.name);
                return false;
            }
            // An extension of a chunk is nothing that anybody reads.
            b';' if part == Part::Framing && !self.past_name => {
                self.past_name = true;
                self.masked = true;
                return false;
            }
            // Some servers take a blank before the colon.
            b' ' | b'\t' if !self.past_name => self.blank = true,
            _ if self.past_name => {}
            _ if part == Part::Head && (self.blank || !is_token(byte)) => self.masked = true,
            _ => self.push(byte),
        }
        self.masked
    }

    fn push(&mut self, byte: u8) {
        if self.name.len() < MAX_NAME {
            self.name.push(byte.to_ascii_lowercase());
        }
    }
}
