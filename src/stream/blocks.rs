//! The pcapng blocks of the stream (draft-ietf-opsawg-pcapng, sections 4.1 to 4.6), each pushed to a buffer.
//!
//! Writing only. Lengths are bounded here, so that nothing that comes in can make a block longer than a
//! reader takes.

use crate::time::Timestamp;

/// The longest block that is written, and so that a reader of this stream has to take: a whole offloaded segment
/// and its options.
pub const LONGEST: usize = 256 << 10;

/// How the comment of the last statistics block begins, after which nothing comes: a stream without it was cut.
pub const END: &str = "meshsniff: end: ";

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const OPT_COMMENT: u16 = 1;
const SHB_HARDWARE: u16 = 2;
const SHB_OS: u16 = 3;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const IF_FILTER: u16 = 11;
const EPB_FLAGS: u16 = 2;
const ISB_STARTTIME: u16 = 2;
const ISB_ENDTIME: u16 = 3;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;
const ISB_USRDELIV: u16 = 8;

/// Most bytes of one option's text.
const MOST_TEXT: usize = 4 << 10;

/// Nanoseconds: ten to the minus ninth.
const NANOSECONDS: u8 = 9;

/// Which way a packet went, as seen from the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Not known, as on a loopback interface.
    #[default]
    Unknown,
    /// To the target.
    Inbound,
    /// From the target.
    Outbound,
}

/// What a stream says of itself at its beginning.
#[derive(Clone, Debug, Default)]
pub struct Section<'a> {
    /// The program that captures, with its version.
    pub application: &'a str,
    /// The system it runs on.
    pub os: &'a str,
    /// The machine's architecture.
    pub hardware: &'a str,
    /// What is captured, for a person.
    pub comment: &'a str,
}

/// An interface that packets come from. Interfaces are numbered from 0 in the order of their blocks.
#[derive(Clone, Debug, Default)]
pub struct Interface<'a> {
    /// `LINKTYPE_…`.
    pub link_type: u16,
    /// Bytes kept of each packet at most; 0: all.
    pub snaplen: u32,
    /// Its name, such as `lo`.
    pub name: &'a str,
    /// Whose it is.
    pub description: &'a str,
    /// The filter, in libpcap's language; empty for none.
    pub filter: &'a str,
}

/// What became of an interface's packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets that passed the filter, whether they were lost afterwards or not.
    pub received: u64,
    /// Packets that the kernel's ring had no room for.
    pub kernel_dropped: u64,
    /// Packets that were captured, and given up because the stream was not read fast enough.
    pub queue_dropped: u64,
    /// Packets handed to the stream.
    pub delivered: u64,
}

/// Pushes the header of the stream's only section.
pub fn section(out: &mut Vec<u8>, section: &Section<'_>) {
    block(out, SECTION_HEADER, |out| {
        out.extend(BYTE_ORDER.to_le_bytes());
        out.extend([1, 0, 0, 0]); // version 1.0
        out.extend([0xff; 8]); // of a length that is not known
        text_option(out, OPT_COMMENT, section.comment);
        text_option(out, SHB_HARDWARE, section.hardware);
        text_option(out, SHB_OS, section.os);
        text_option(out, SHB_USERAPPL, section.application);
        end_of_options(out);
    });
}

/// Pushes the description of the next interface.
pub fn interface(out: &mut Vec<u8>, interface: &Interface<'_>) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend(interface.link_type.to_le_bytes());
        out.extend([0, 0]);
        out.extend(interface.snaplen.to_le_bytes());
        text_option(out, IF_NAME, interface.name);
        text_option(out, IF_DESCRIPTION, interface.description);
        option(out, IF_TSRESOL, &[&[NANOSECONDS]]);
        if !interface.filter.is_empty() {
            // 0: a libpcap expression.
            let filter = shortened(interface.filter);
            option(out, IF_FILTER, &[&[0], filter.as_bytes()]);
        }
        end_of_options(out);
    });
}

/// Pushes a packet, of which `data` was kept and `wire_len` bytes were on the wire.
///
/// The hot path: no closure, no growth but the block's own.
#[inline]
pub fn packet(
    out: &mut Vec<u8>,
    interface: u32,
    time: Timestamp,
    wire_len: u32,
    data: &[u8],
    direction: Direction,
) {
    let data = &data[..data.len().min(LONGEST - 256)];
    let padded = data.len().next_multiple_of(4);
    let options = match direction {
        Direction::Unknown => 0,
        Direction::Inbound | Direction::Outbound => 12,
    };
    let total = (32 + padded + options) as u32;
    let nanos = time.as_nanos().cast_unsigned();
    out.reserve(total as usize);
    let mut head = [0; 28];
    for (at, word) in [
        ENHANCED_PACKET,
        total,
        interface,
        (nanos >> 32) as u32,
        nanos as u32,
        data.len() as u32,
        wire_len,
    ]
    .into_iter()
    .enumerate()
    {
        head[at * 4..at * 4 + 4].copy_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&head);
    out.extend_from_slice(data);
    out.extend_from_slice(&[0; 3][..padded - data.len()]);
    if options > 0 {
        let flags: u32 = if direction == Direction::Inbound {
            1
        } else {
            2
        };
        option(out, EPB_FLAGS, &[&flags.to_le_bytes()]);
        end_of_options(out);
    }
    out.extend_from_slice(&total.to_le_bytes());
}

/// Pushes the statistics of an interface from `start` until `now`, with a comment unless it is empty.
pub fn statistics(
    out: &mut Vec<u8>,
    interface: u32,
    (start, now): (Timestamp, Timestamp),
    statistics: &Statistics,
    comment: &str,
) {
    block(out, INTERFACE_STATISTICS, |out| {
        out.extend(interface.to_le_bytes());
        out.extend(halves(now));
        text_option(out, OPT_COMMENT, comment);
        option(out, ISB_STARTTIME, &[&halves(start)]);
        option(out, ISB_ENDTIME, &[&halves(now)]);
        // Filtered and lost alike, as libpcap's ps_recv counts on Linux: what is delivered is told apart below.
        option(out, ISB_IFRECV, &[&statistics.received.to_le_bytes()]);
        // ifdrop and osdrop are apart: a capture's reader adds them up.
        option(out, ISB_IFDROP, &[&statistics.queue_dropped.to_le_bytes()]);
        option(out, ISB_OSDROP, &[&statistics.kernel_dropped.to_le_bytes()]);
        option(out, ISB_USRDELIV, &[&statistics.delivered.to_le_bytes()]);
        end_of_options(out);
    });
}

/// A time as pcapng has it: the upper 32 bits, then the lower.
fn halves(time: Timestamp) -> [u8; 8] {
    let nanos = time.as_nanos().cast_unsigned();
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&((nanos >> 32) as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&(nanos as u32).to_le_bytes());
    bytes
}

fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    let total = (out.len() - start + 4) as u32;
    out.extend(total.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&total.to_le_bytes());
}

fn text_option(out: &mut Vec<u8>, code: u16, text: &str) {
    if !text.is_empty() {
        option(out, code, &[shortened(text).as_bytes()]);
    }
}

fn option(out: &mut Vec<u8>, code: u16, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend(code.to_le_bytes());
    out.extend((length as u16).to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.resize(out.len() + length.next_multiple_of(4) - length, 0);
}

fn end_of_options(out: &mut Vec<u8>) {
    out.extend([0; 4]);
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
