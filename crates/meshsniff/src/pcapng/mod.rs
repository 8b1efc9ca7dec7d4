//! pcapng (draft-ietf-opsawg-pcapng): numbers of blocks and options, byte order, options, blocks.
//!
//! | here | holds |
//! |---|---|
//! | [`blocks`] | the blocks that this program writes, one function each |
//! | `options` | the options of a block, read and written |
//!
//! [`crate::capture`] reads files that anybody wrote, [`crate::stream`] the stream of the agent.

pub mod blocks;
pub(crate) mod options;

/// The type of a section header. It reads the same in both byte orders.
pub(crate) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(crate) const INTERFACE_DESCRIPTION: u32 = 1;
/// The obsolete packet block.
pub(crate) const PACKET: u32 = 2;
pub(crate) const SIMPLE_PACKET: u32 = 3;
pub(crate) const NAME_RESOLUTION: u32 = 4;
pub(crate) const DECRYPTION_SECRETS: u32 = 10;
/// The type of secrets that are a key log of TLS (`TLSK`), where in a block they begin.
pub(crate) const TLS_KEY_LOG: u32 = 0x544c_534b;
pub(crate) const SECRETS_DATA: usize = 16;
pub(crate) const INTERFACE_STATISTICS: u32 = 5;
pub(crate) const ENHANCED_PACKET: u32 = 6;
const JOURNAL: u32 = 9;
/// Events of sysdig and Falco, in the versions that Wireshark lists.
const SYSDIG_EVENTS: [u32; 6] = [0x204, 0x208, 0x216, 0x217, 0x221, 0x222];
const CUSTOM: u32 = 0x0000_0bad;
const CUSTOM_NOT_COPIED: u32 = 0x4000_0bad;

/// Number in a section header that shows its byte order.
pub(crate) const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Bytes of a block before its body: type and length.
pub(crate) const BLOCK_HEAD: usize = 8;
/// Bytes of a block of nothing: type, length, and the length again.
pub(crate) const MIN_BLOCK: usize = 12;

/// Where the options of a block begin, of those whose body has a fixed length.
pub(crate) const SECTION_OPTIONS: usize = 24;
pub(crate) const INTERFACE_OPTIONS: usize = 16;
pub(crate) const STATISTICS_OPTIONS: usize = 20;
/// Where the data of both packet blocks begin.
pub(crate) const PACKET_DATA: usize = 28;
/// Where the data of a simple packet block begin.
pub(crate) const SIMPLE_PACKET_DATA: usize = 12;
/// The length that ends every block.
pub(crate) const TRAILER: usize = 4;

/// Begin of every comment that this program puts on a frame.
pub const OWN_COMMENT: &str = "meshsniff: ";

/// Whether Wireshark lists a block of this type as a record, so that it takes a frame number.
pub(crate) fn is_record(kind: u32) -> bool {
    matches!(
        kind,
        ENHANCED_PACKET | SIMPLE_PACKET | PACKET | JOURNAL | CUSTOM | CUSTOM_NOT_COPIED
    ) || SYSDIG_EVENTS.contains(&kind)
}

/// The byte order of a section, or of a pcap file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    #[default]
    Little,
    Big,
}

impl ByteOrder {
    /// The byte order of the section that `block` begins; `None` if it shows none.
    pub(crate) fn of_section(block: &[u8]) -> Option<Self> {
        let magic = *block.get(BLOCK_HEAD..)?.first_chunk()?;
        let mut orders = [Self::Little, Self::Big].into_iter();
        orders.find(|order| order.u32(magic) == BYTE_ORDER_MAGIC)
    }

    #[inline]
    pub(crate) const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(crate) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(crate) const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    /// The number at `at`, which the caller knows to lie inside.
    #[inline]
    pub(crate) fn u32_at(self, block: &[u8], at: usize) -> u32 {
        let bytes = &block[at..at + 4];
        self.u32([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// The number at `at`, which the caller knows to lie inside.
    #[inline]
    pub(crate) fn u16_at(self, block: &[u8], at: usize) -> u16 {
        self.u16([block[at], block[at + 1]])
    }

    pub(crate) const fn bytes16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    pub(crate) const fn bytes32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// The first bytes of `text`, at most `max`, that are whole characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Text of at most `max` bytes, with anything that is no UTF-8 replaced.
pub(crate) fn shortened(text: &[u8], max: usize) -> String {
    let mut text = String::from_utf8_lossy(&text[..text.len().min(max)]).into_owned();
    // Replacements are longer than what they replace.
    while text.len() > max {
        text.pop();
    }
    text
}
