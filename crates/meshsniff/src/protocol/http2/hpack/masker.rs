//! Blocks whose secret values are replaced as they pass.
//!
//! Bytes come in any pieces, and of each it is said at once what becomes of it. The block stays one:
//! indices, lengths and names are as they were, a value has as many bytes as it had, and what is
//! not secret is the same.
//!
//! Whoever decodes the masked blocks has a table of his own, out of which entries fall by their
//! decoded sizes. Were a masked entry larger than what stood there, another might fall out that the
//! sender still points to. Were it smaller, entries would only stay longer: that misleads nobody,
//! for indices count from the newest. So a value gets as many characters as it had, and a
//! Huffman-coded one codes that fill just as many bits. Of a value that comes in pieces the first
//! ones become characters of eight bits, one for each byte, before anybody can tell how many it
//! has; the last piece makes up the difference, and goes without where it is too short. Too many
//! they can be only where what was passed had more than eight bits for each character. No sender
//! has to code that at all.

use super::block::MAX_CONTINUATION;
use super::table::{Name, Table};
use super::{Malformed, huffman};
use crate::protocol::grpc;

/// Bytes of a name that are kept while it is read. One that is longer counts as unknown.
const MAX_NAME: usize = 256;

/// Bytes of a value that are kept while it is read: for whoever has to know how many characters it
/// has, or which type of content it names.
const MAX_VALUE: usize = 8 * 1024;

/// The byte that stands for a masked one.
const MASK: u8 = b'x';

/// Whether the value of a field of this name is secret; `None` if it stands in a part of the table
/// that was not seen.
pub type Hides<'a> = &'a dyn Fn(Option<&[u8]>) -> bool;

/// What a string says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Name,
    Value,
}

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    /// Which field of the table it is.
    Field,
    /// Which field has the name; 0 if it follows.
    Name,
    /// How large the table is from here on.
    Size,
    /// How long a string is, and whether it is Huffman-coded.
    Length(Of, bool),
}

/// What the next byte is.
#[derive(Clone, Copy, Debug)]
enum At {
    /// The first one of a field.
    Field,
    /// The first one of a string.
    String(Of),
    /// More of a number, of which this much is known, in so many bytes.
    Number(Number, u64, u32),
    /// More of a string, of which this much is left.
    Text { of: Of, is_coded: bool, left: u32 },
}

/// Masks the blocks of one direction of a connection, which it may have joined late.
#[derive(Debug)]
pub struct Masker {
    /// Names, and those values that name a type of content. What the sender has dropped may still
    /// be in it, and is never pointed to.
    table: Table,
    at: At,
    /// Whether the field goes into the table.
    is_indexed: bool,
    /// Whether its value is masked.
    is_masked: bool,
    name: Name,
    /// What was seen of the string.
    kept: Vec<u8>,
    /// Whether that is not all of it.
    is_too_long: bool,
    /// Characters that stand for what has passed of the value.
    passed: usize,
    scratch: Vec<u8>,
    wire: Option<grpc::Wire>,
}

impl Default for Masker {
    fn default() -> Self {
        Self {
            table: Table::unseen(u32::MAX),
            at: At::Field,
            is_indexed: false,
            is_masked: false,
            name: Name::Unknown,
            kept: Vec::new(),
            is_too_long: false,
            passed: 0,
            scratch: Vec::new(),
            wire: None,
        }
    }
}

impl Masker {
    /// Masks the next bytes of a block, behind which `behind` bytes of it follow; `None` if that is
    /// not known.
    ///
    /// # Errors
    ///
    /// If they are no part of one. Then they are as they came, or half masked.
    pub fn pass(
        &mut self,
        bytes: &mut [u8],
        behind: Option<usize>,
        hides: Hides<'_>,
    ) -> Result<(), Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            if let At::Text { left, .. } = self.at {
                let end = bytes.len().min(at + left as usize);
                self.text(&mut bytes[at..end])?;
                at = end;
                continue;
            }
            let byte = bytes[at];
            at += 1;
            let left = behind.map(|behind| bytes.len() - at + behind);
            self.byte(byte, left, hides)?;
        }
        Ok(())
    }

    /// A block ends. Returns how it says that messages stand in the body.
    ///
    /// # Errors
    ///
    /// If it ends in the middle of a field.
    pub fn end(&mut self) -> Result<Option<grpc::Wire>, Malformed> {
        if !matches!(self.at, At::Field) {
            return Err(Malformed::Cut);
        }
        Ok(self.wire.take())
    }

    /// Forgets the table: a block or a part of one was missed. The next byte begins a block.
    pub fn lose(&mut self) {
        *self = Self::default();
    }

    /// Bytes of memory that it has on the heap.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.table.weight() + self.kept.capacity() + self.scratch.capacity()
    }

    /// Reads a byte that is in no string.
    fn byte(&mut self, byte: u8, left: Option<usize>, hides: Hides<'_>) -> Result<(), Malformed> {
        match self.at {
            At::Field => {
                self.is_indexed = (0x40..0x80).contains(&byte);
                let (number, prefix) = match byte {
                    0x80.. => (Number::Field, 7),
                    0x40.. => (Number::Name, 6),
                    0x20.. => (Number::Size, 5),
                    _ => (Number::Name, 4),
                };
                self.begin(number, byte, prefix, left, hides)
            }
            At::String(of) => {
                let number = Number::Length(of, byte & 0x80 != 0);
                self.begin(number, byte, 7, left, hides)
            }
            At::Number(number, value, place) => {
                let value = value + (u64::from(byte & 0x7f) << (7 * place));
                if byte < 0x80 {
                    let value = u32::try_from(value).map_err(|_| Malformed::Integer)?;
                    return self.number(number, value, left, hides);
                }
                if place + 1 == MAX_CONTINUATION {
                    return Err(Malformed::Integer);
                }
                self.at = At::Number(number, value, place + 1);
                Ok(())
            }
            At::Text { .. } => Ok(()),
        }
    }

    /// Begins a number in the last `prefix` bits of a byte.
    fn begin(
        &mut self,
        number: Number,
        byte: u8,
        prefix: u32,
        left: Option<usize>,
        hides: Hides<'_>,
    ) -> Result<(), Malformed> {
        let most = (1 << prefix) - 1;
        let value = u32::from(byte) & most;
        if value < most {
            return self.number(number, value, left, hides);
        }
        self.at = At::Number(number, u64::from(most), 0);
        Ok(())
    }

    /// A number is whole.
    fn number(
        &mut self,
        number: Number,
        value: u32,
        left: Option<usize>,
        hides: Hides<'_>,
    ) -> Result<(), Malformed> {
        match number {
            Number::Field => {
                if let (Some(b"content-type"), Some(kind)) = self.table.get(value)?.parts() {
                    self.wire = grpc::Wire::of(kind).or(self.wire);
                }
                self.at = At::Field;
            }
            Number::Name if value == 0 => self.at = At::String(Of::Name),
            Number::Name => {
                self.name = self.table.get(value)?.name();
                self.at = At::String(Of::Value);
            }
            Number::Size => self.at = At::Field,
            Number::Length(..) if left.is_some_and(|left| value as usize > left) => {
                return Err(Malformed::Cut);
            }
            Number::Length(of, is_coded) => {
                self.kept.clear();
                self.is_too_long = false;
                self.passed = 0;
                self.is_masked = of == Of::Value && hides(self.name.bytes());
                self.at = At::Text {
                    of,
                    is_coded,
                    left: value,
                };
                if value == 0 {
                    return self.text(&mut []);
                }
            }
        }
        Ok(())
    }

    /// Reads the next bytes of a string, and masks them if it is secret.
    fn text(&mut self, bytes: &mut [u8]) -> Result<(), Malformed> {
        let At::Text { of, is_coded, left } = self.at else {
            return Ok(());
        };
        let left = left - bytes.len() as u32;
        self.keep(of, is_coded, bytes);
        if self.is_masked && left > 0 {
            // How many characters these are cannot be told yet.
            let stars = if is_coded { huffman::STAR } else { MASK };
            bytes.fill(stars);
            self.passed += bytes.len();
        }
        self.at = At::Text { of, is_coded, left };
        if left > 0 {
            return Ok(());
        }
        self.decode(is_coded)?;
        match of {
            Of::Name => {
                self.name = match self.said(is_coded) {
                    Some(name) => Name::Own(name.into()),
                    None => Name::Unknown,
                };
                self.at = At::String(Of::Value);
            }
            Of::Value => {
                if self.is_masked {
                    self.mask_last(is_coded, bytes);
                }
                self.end_field(is_coded);
            }
        }
        Ok(())
    }

    /// Keeps bytes of a string that matters, as long as it is short.
    fn keep(&mut self, of: Of, is_coded: bool, bytes: &[u8]) {
        let most = match of {
            Of::Name => MAX_NAME,
            Of::Value => MAX_VALUE,
        };
        let is_counted = self.is_masked && is_coded;
        let is_asked = of == Of::Name || is_counted || self.names_content();
        if is_asked && self.kept.len() + bytes.len() <= most {
            self.kept.extend_from_slice(bytes);
        } else {
            self.is_too_long = true;
        }
    }

    fn names_content(&self) -> bool {
        self.name.bytes() == Some(b"content-type")
    }

    /// Decodes a string that is whole, if it was kept.
    fn decode(&mut self, is_coded: bool) -> Result<(), Malformed> {
        if is_coded && !self.is_too_long {
            huffman::decode(&self.kept, &mut self.scratch).ok_or(Malformed::Huffman)?;
        }
        Ok(())
    }

    /// What the string says, if it was kept.
    fn said(&self, is_coded: bool) -> Option<&[u8]> {
        let said = if is_coded { &self.scratch } else { &self.kept };
        (!self.is_too_long).then_some(said)
    }

    /// Masks the last bytes of a value, so that it has as many characters as it had.
    fn mask_last(&self, is_coded: bool, bytes: &mut [u8]) {
        match self.said(true) {
            _ if !is_coded => bytes.fill(MASK),
            Some(said) => huffman::fill(said.len().saturating_sub(self.passed), bytes),
            None => bytes.fill(huffman::STAR),
        }
    }

    /// A literal is whole.
    fn end_field(&mut self, is_coded: bool) {
        let name = std::mem::replace(&mut self.name, Name::Unknown);
        let is_content = name.bytes() == Some(b"content-type".as_slice());
        let said = if is_coded { &self.scratch } else { &self.kept };
        let value = match said {
            said if is_content && !self.is_too_long => &said[..],
            _ => &[],
        };
        if is_content {
            self.wire = grpc::Wire::of(value).or(self.wire);
        }
        if self.is_indexed {
            self.table.insert(name, value);
        }
        self.kept.clear();
        self.scratch.clear();
        for buffer in [&mut self.kept, &mut self.scratch] {
            buffer.shrink_to(MAX_NAME);
        }
        self.at = At::Field;
    }
}
