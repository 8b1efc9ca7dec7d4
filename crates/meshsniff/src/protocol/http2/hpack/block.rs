//! The bytes of a header block (RFC 7541, 5).

use super::huffman;
use super::malformed::Malformed;

/// Bytes of an integer behind its first one. Four would do for every length and index in use; with
/// five, every 32-bit number can be written.
pub(super) const MAX_CONTINUATION: u32 = 5;

/// What is left of a block.
pub(super) struct Block<'a>(pub(super) &'a [u8]);

impl<'a> Block<'a> {
    /// The next byte, which stays.
    pub(super) fn first(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn take(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Takes an integer that begins in the last `prefix` bits of the next byte.
    pub(super) fn integer(&mut self, prefix: u32) -> Result<u32, Malformed> {
        let most = (1 << prefix) - 1;
        let first = u32::from(self.take().ok_or(Malformed::Cut)?) & most;
        if first < most {
            return Ok(first);
        }
        let mut value = u64::from(most);
        for place in 0..MAX_CONTINUATION {
            let byte = self.take().ok_or(Malformed::Cut)?;
            value += u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return u32::try_from(value).map_err(|_| Malformed::Integer);
            }
        }
        Err(Malformed::Integer)
    }

    /// Takes a string: as it stands there, or decoded into `scratch`.
    pub(super) fn string<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Malformed>
    where
        'a: 's,
    {
        let is_coded = self.first().is_some_and(|first| first & 0x80 != 0);
        let len = self.integer(7)?;
        let (string, rest) = self
            .0
            .split_at_checked(len as usize)
            .ok_or(Malformed::Cut)?;
        self.0 = rest;
        if !is_coded {
            return Ok(string);
        }
        huffman::decode(string, scratch).ok_or(Malformed::Huffman)?;
        Ok(scratch)
    }
}
