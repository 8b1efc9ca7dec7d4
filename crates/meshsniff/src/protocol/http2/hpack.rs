//! Header blocks (HPACK, RFC 7541), decoded by somebody who only watches.
//!
//! Who joins a connection late, or loses bytes of it, does not know the table that indices point
//! into. He knows again what is added to it from then on: indices count from the newest entry. The
//! decoders of libraries begin with an empty table, or not at all, so the tables here are our own.
//! So is the Huffman code: `httlib-huffman` takes wrong paddings, and others go bit by bit.
//!
//! | here | holds |
//! |---|---|
//! | `block` | integers and strings |
//! | `huffman` | the code of strings |
//! | `malformed` | why a block cannot be read on |
//! | `masker` | blocks whose secret values are replaced as they pass |
//! | `table` | what an index points to |

mod block;
mod huffman;
mod malformed;
mod masker;
mod table;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "testing"))]
pub use huffman::encode;
pub use malformed::Malformed;
pub use masker::{Hides, Masker};
pub use table::MAX_TABLE;

use block::Block;
use table::{Name, Table};

/// Buffers for decoded strings are as large as strings are; larger ones are not kept.
const MAX_SCRATCH: usize = 4096;

/// The size of a table before anybody said something else (RFC 9113, 6.5.2).
const DEFAULT_LIMIT: u32 = 4096;

/// A header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name; `None` if it stands in a part of the table that was not seen.
    pub name: Option<&'a [u8]>,
    /// The value; `None` likewise.
    pub value: Option<&'a [u8]>,
    /// Whether no proxy may ever index it: it is a secret (RFC 7541, 7.1.3).
    pub never_indexed: bool,
}

/// Where a decoded literal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Into the table.
    Indexed,
    NotIndexed,
    NeverIndexed,
}

/// The decoder of one direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// The most that the receiver lets the table be, if known.
    limit: Option<u32>,
    /// Whether the size of the table is known, not only a limit for it.
    is_settled: bool,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// A decoder for a stream. If it is seen from its beginning (`whole`) then its table is empty
    /// and has the default limit; otherwise neither is known.
    #[must_use]
    pub fn new(whole: bool) -> Self {
        Self {
            table: if whole {
                Table::empty(DEFAULT_LIMIT)
            } else {
                Table::unseen(u32::MAX)
            },
            limit: whole.then_some(DEFAULT_LIMIT),
            is_settled: whole,
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Forgets the table: a block or a part of one was missed. It moved the entries by an unknown
    /// number of places, and may have changed the size of the table.
    pub fn lose(&mut self) {
        self.table = Table::unseen(self.limit.unwrap_or(u32::MAX));
        self.is_settled = false;
    }

    /// Takes the limit that the receiver of these blocks announced with
    /// `SETTINGS_HEADER_TABLE_SIZE`; `None` if such settings may have been missed.
    ///
    /// A lower one is in force with the ACK of the settings, and in the order of the ACK and the
    /// blocks, which one end sends: to take it earlier makes proper blocks malformed. The table
    /// itself changes size only when its sender says so.
    pub fn limit(&mut self, bytes: Option<u32>) {
        self.limit = bytes;
        if !self.is_settled {
            self.table.guess(bytes.unwrap_or(u32::MAX));
        }
    }

    /// Decodes a whole block, and tells every field in its order.
    ///
    /// # Errors
    ///
    /// If the block cannot be read on. The fields told until then stand, and the table is lost.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(Field<'_>),
    ) -> Result<(), Malformed> {
        let read = self.read(Block(block), &mut each);
        if read.is_err() {
            self.lose();
        }
        for scratch in [&mut self.name, &mut self.value] {
            if scratch.capacity() > MAX_SCRATCH {
                *scratch = Vec::new();
            }
        }
        read
    }

    /// Bytes of memory that it has on the heap.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.table.weight() + self.name.capacity() + self.value.capacity()
    }

    /// Whether everything that an index may point to is known.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.table.is_whole()
    }

    fn read(
        &mut self,
        mut block: Block<'_>,
        each: &mut impl FnMut(Field<'_>),
    ) -> Result<(), Malformed> {
        let mut is_first = true;
        while let Some(first) = block.first() {
            match first {
                0x80.. => {
                    let (name, value) = self.table.get(block.integer(7)?)?.parts();
                    each(Field {
                        name,
                        value,
                        never_indexed: false,
                    });
                }
                0x40.. => self.literal(&mut block, 6, Kind::Indexed, each)?,
                0x20.. if is_first => {
                    self.update(block.integer(5)?)?;
                    continue;
                }
                0x20.. => return Err(Malformed::LateUpdate),
                0x10.. => self.literal(&mut block, 4, Kind::NeverIndexed, each)?,
                _ => self.literal(&mut block, 4, Kind::NotIndexed, each)?,
            }
            is_first = false;
        }
        Ok(())
    }

    fn update(&mut self, bytes: u32) -> Result<(), Malformed> {
        if self.limit.is_some_and(|limit| bytes > limit) {
            return Err(Malformed::UpdateAboveLimit);
        }
        self.table.bound(bytes);
        self.is_settled = true;
        Ok(())
    }

    fn literal(
        &mut self,
        block: &mut Block<'_>,
        prefix: u32,
        kind: Kind,
        each: &mut impl FnMut(Field<'_>),
    ) -> Result<(), Malformed> {
        // The name in the table, or in the block.
        let (found, literal) = match block.integer(prefix)? {
            0 => (None, Some(block.string(&mut self.name)?)),
            index => (Some(self.table.get(index)?), None),
        };
        let value = block.string(&mut self.value)?;
        each(Field {
            name: literal.or_else(|| found.and_then(|found| found.parts().0)),
            value: Some(value),
            never_indexed: kind == Kind::NeverIndexed,
        });
        if kind == Kind::Indexed {
            let name = match (found, literal) {
                (Some(found), _) => found.name(),
                (None, literal) => Name::Own(literal.unwrap_or_default().into()),
            };
            self.table.insert(name, value);
        }
        Ok(())
    }
}
