//! The pcapng blocks of the stream (draft-ietf-opsawg-pcapng, sections 4.1 to 4.6), each pushed to a buffer.
//!
//! Writing only. Lengths are bounded here, so that nothing that comes in can make a block longer than a
//! reader takes.

use crate::time::Timestamp;
use std::net::IpAddr;

/// The longest block that is written, and so that a reader of this stream has to take: a whole offloaded segment
/// and its options.
pub const LONGEST: usize = 256 << 10;

/// Most bytes of a packet that are written: what goes around them takes less than the rest of the block.
pub const MOST_DATA: usize = LONGEST - 256;

/// How the comment of the last statistics block begins, after which nothing comes: a stream without it was cut.
pub const END: &str = "meshsniff: end: ";

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const BYTE_ORDER: u32 = 0x1a2b_3c4d;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const NAME_RESOLUTION: u32 = 4;
pub(super) const INTERFACE_STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;

pub(super) const OPT_COMMENT: u16 = 1;
pub(super) const SHB_HARDWARE: u16 = 2;
pub(super) const SHB_OS: u16 = 3;
pub(super) const SHB_USERAPPL: u16 = 4;
pub(super) const IF_NAME: u16 = 2;
pub(super) const IF_DESCRIPTION: u16 = 3;
pub(super) const IF_TSRESOL: u16 = 9;
pub(super) const IF_FILTER: u16 = 11;
pub(super) const EPB_FLAGS: u16 = 2;
pub(super) const ISB_STARTTIME: u16 = 2;
pub(super) const ISB_ENDTIME: u16 = 3;
pub(super) const ISB_IFRECV: u16 = 4;
pub(super) const ISB_IFDROP: u16 = 5;
pub(super) const ISB_OSDROP: u16 = 7;
pub(super) const ISB_USRDELIV: u16 = 8;

const NAME_IPV4: u16 = 1;
const NAME_IPV6: u16 = 2;

/// Most bytes of one option's text.
pub(super) const MOST_TEXT: usize = 4 << 10;

/// Most names of one address, and most bytes of one: a name of the DNS has 255 at most.
const MOST_NAMES: usize = 32;
const MOST_NAME: usize = 255;

/// Bytes of names after which another block begins.
const NAMES_EACH: usize = LONGEST / 4;

/// Nanoseconds: ten to the minus ninth.
pub(super) const NANOSECONDS: u8 = 9;

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
            let filter = shortened(interface.filter, MOST_TEXT);
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
    let data = &data[..data.len().min(MOST_DATA)];
    let padded = data.len().next_multiple_of(4);
    let options = match direction {
        Direction::Unknown => 0,
        Direction::Inbound | Direction::Outbound => 12,
    };
    let total = (32 + padded + options) as u32;
    let nanos = nanos(time);
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
        let flags = if direction == Direction::Inbound {
            1
        } else {
            2
        };
        // An option of four bytes, and the end of the options.
        out.extend_from_slice(&[EPB_FLAGS as u8, 0, 4, 0, flags, 0, 0, 0, 0, 0, 0, 0]);
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

/// Pushes which names addresses have, for readers that show them instead: as many blocks as it takes.
///
/// A name is cut where the DNS would not have it longer, and what no name can hold is replaced.
pub fn names(out: &mut Vec<u8>, names: &[(IpAddr, Vec<String>)]) {
    let mut rest = names;
    while !rest.is_empty() {
        block(out, NAME_RESOLUTION, |out| {
            let most = out.len() + NAMES_EACH;
            while let [(address, names), others @ ..] = rest
                && out.len() < most
            {
                rest = others;
                name_record(out, *address, names);
            }
            out.extend([0; 4]); // the end of the records; no options follow
        });
    }
}

fn name_record(out: &mut Vec<u8>, address: IpAddr, names: &[String]) {
    let mut ended = String::new();
    let names = names.iter().filter(|name| !name.is_empty());
    for name in names.take(MOST_NAMES) {
        let shown = |c: char| if c.is_control() { '_' } else { c };
        ended.extend(shortened(name, MOST_NAME).chars().map(shown));
        ended.push('\0');
    }
    let ended = ended.as_bytes();
    match address {
        _ if ended.is_empty() => {}
        IpAddr::V4(address) => option(out, NAME_IPV4, &[&address.octets(), ended]),
        IpAddr::V6(address) => option(out, NAME_IPV6, &[&address.octets(), ended]),
    }
}

/// A time as pcapng has it, which knows none before 1970.
fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(0)
}

/// The upper 32 bits of a time, then the lower.
fn halves(time: Timestamp) -> [u8; 8] {
    let nanos = nanos(time);
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
        option(out, code, &[shortened(text, MOST_TEXT).as_bytes()]);
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

fn shortened(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
