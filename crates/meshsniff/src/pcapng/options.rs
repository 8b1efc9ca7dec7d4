//! Options: code, length, value, each at a multiple of four bytes (section 3.5).

use super::ByteOrder;
use std::mem;

pub(crate) const END: u16 = 0;
pub(crate) const COMMENT: u16 = 1;
pub(crate) const SHB_HARDWARE: u16 = 2;
pub(crate) const SHB_OS: u16 = 3;
pub(crate) const SHB_USERAPPL: u16 = 4;
pub(crate) const IF_NAME: u16 = 2;
pub(crate) const IF_DESCRIPTION: u16 = 3;
pub(crate) const IF_TSRESOL: u16 = 9;
pub(crate) const IF_FILTER: u16 = 11;
pub(crate) const IF_TSOFFSET: u16 = 14;
pub(crate) const EPB_FLAGS: u16 = 2;
pub(crate) const ISB_STARTTIME: u16 = 2;
pub(crate) const ISB_ENDTIME: u16 = 3;
pub(crate) const ISB_IFRECV: u16 = 4;
pub(crate) const ISB_IFDROP: u16 = 5;
pub(crate) const ISB_OSDROP: u16 = 7;
pub(crate) const ISB_USRDELIV: u16 = 8;
/// Records of a name resolution block, which are built like options.
pub(crate) const NAME_IPV4: u16 = 1;
pub(crate) const NAME_IPV6: u16 = 2;

/// Options of a block, one after another.
#[derive(Clone, Debug)]
pub(crate) struct Options<'a> {
    rest: &'a [u8],
    order: ByteOrder,
}

/// What is wrong with an option that does not fit into what is left of its block.
const OVERLONG: &str = "an option is longer than its block";

impl<'a> Options<'a> {
    /// The options that `bytes` hold, without the length that ends the block.
    pub(crate) const fn new(bytes: &'a [u8], order: ByteOrder) -> Self {
        Self { rest: bytes, order }
    }

    /// The options of a whole block, which begin at `at`; none if it is too short for any.
    pub(crate) fn of(block: &'a [u8], at: usize, order: ByteOrder) -> Self {
        let end = block.len().saturating_sub(super::TRAILER);
        Self::new(block.get(at..end).unwrap_or_default(), order)
    }
}

/// Code and value, until the option that ends them, or one that is too long.
impl<'a> Iterator for Options<'a> {
    type Item = Result<(u16, &'a [u8]), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        // Nothing comes after the end, or after damage.
        let rest = mem::take(&mut self.rest);
        let Some((head, after)) = rest.split_first_chunk::<4>() else {
            return Some(Err(OVERLONG));
        };
        let code = self.order.u16_at(head, 0);
        if code == END {
            return None;
        }
        let length = usize::from(self.order.u16_at(head, 2));
        let padded = length.next_multiple_of(4);
        let (Some(value), Some(rest)) = (after.get(..length), after.get(padded..)) else {
            return Some(Err(OVERLONG));
        };
        self.rest = rest;
        Some(Ok((code, value)))
    }
}

/// Pushes an option whose value is `parts` in a row.
pub(crate) fn push(out: &mut Vec<u8>, order: ByteOrder, code: u16, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend(order.bytes16(code));
    out.extend(order.bytes16(length as u16));
    for part in parts {
        out.extend_from_slice(part);
    }
    out.resize(out.len() + length.next_multiple_of(4) - length, 0);
}

/// Pushes the option that ends the others.
pub(crate) fn push_end(out: &mut Vec<u8>) {
    out.extend([0; 4]);
}
