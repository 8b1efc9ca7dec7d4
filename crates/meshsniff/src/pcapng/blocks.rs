//! The pcapng blocks of the stream (draft-ietf-opsawg-pcapng, sections 4.1 to 4.6), each pushed to
//! a buffer.
//!
//! Lengths are bounded here, so that nothing that comes in can make a block longer than a reader
//! accepts.

use super::{
    BYTE_ORDER_MAGIC, ByteOrder, DECRYPTION_SECRETS, ENHANCED_PACKET, INTERFACE_DESCRIPTION,
    INTERFACE_STATISTICS, NAME_RESOLUTION, PACKET_DATA, SECRETS_DATA, SECTION_HEADER, TLS_KEY_LOG,
    TRAILER, cut, options,
};
use crate::time::Timestamp;
use std::net::IpAddr;

/// Longest block that is written, and that a reader of the stream must accept: a whole offloaded
/// segment and its options.
pub const MAX_BLOCK: usize = 256 << 10;

/// Most bytes of a packet that are written: the rest of the block takes less than what is left.
pub const MAX_DATA: usize = MAX_BLOCK - 256;

/// Begin of the comment on the last statistics block, after which nothing comes: a stream without
/// it was cut.
pub const END: &str = "meshsniff: end: ";

/// Most bytes of one option's text.
pub(crate) const MAX_TEXT: usize = 4 << 10;

/// Most names of one address, and most bytes of one: a name of the DNS has 255 at most.
const MAX_NAMES: usize = 32;
const MAX_NAME: usize = 255;

/// Bytes of names after which another block begins.
const NAMES_IN_A_BLOCK: usize = MAX_BLOCK / 4;

/// Bytes of a key log after which another block begins.
const KEYS_IN_A_BLOCK: usize = MAX_BLOCK / 4;

/// Nanoseconds: ten to the minus ninth.
pub(crate) const NANOSECONDS: u8 = 9;

/// Direction of a packet, as seen from the target.
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

/// Description of a stream, at its beginning.
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

/// An interface that packets come from. Interfaces are numbered from 0 in the order of their
/// blocks.
#[derive(Clone, Debug, Default)]
pub struct Interface<'a> {
    /// `LINKTYPE_…`.
    pub link_type: u16,
    /// Bytes kept of each packet at most; 0: all.
    pub snaplen: u32,
    /// Its name, such as `lo`.
    pub name: &'a str,
    /// Its owner, in words.
    pub description: &'a str,
    /// The filter, in libpcap's language; empty for none.
    pub filter: &'a str,
}

/// Counts of an interface's packets so far.
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
        out.extend(BYTE_ORDER_MAGIC.to_le_bytes());
        out.extend([1, 0, 0, 0]); // version 1.0
        out.extend([0xff; 8]); // of a length that is not known
        text_option(out, options::COMMENT, section.comment);
        text_option(out, options::SHB_HARDWARE, section.hardware);
        text_option(out, options::SHB_OS, section.os);
        text_option(out, options::SHB_USERAPPL, section.application);
        options::push_end(out);
    });
}

/// Pushes a key log of TLS sessions (section 4.7), in as many blocks as needed.
pub(crate) fn key_log(out: &mut Vec<u8>, order: ByteOrder, log: &[u8]) {
    let mut rest = log;
    while !rest.is_empty() {
        let most = rest.len().min(KEYS_IN_A_BLOCK);
        let cut = match most < rest.len() {
            true => memchr::memrchr(b'\n', &rest[..most]).map_or(most, |end| end + 1),
            false => most,
        };
        let (log, others) = rest.split_at(cut);
        rest = others;
        keys_block(out, order, log);
    }
}

fn keys_block(out: &mut Vec<u8>, order: ByteOrder, log: &[u8]) {
    let padding = log.len().next_multiple_of(4) - log.len();
    let total = order.bytes32((SECRETS_DATA + log.len() + padding + TRAILER) as u32);
    out.extend(order.bytes32(DECRYPTION_SECRETS));
    out.extend(total);
    out.extend(order.bytes32(TLS_KEY_LOG));
    out.extend(order.bytes32(log.len() as u32));
    out.extend(log);
    out.extend(&[0; 3][..padding]);
    out.extend(total);
}

/// Pushes the description of the next interface.
pub fn interface(out: &mut Vec<u8>, interface: &Interface<'_>) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend(interface.link_type.to_le_bytes());
        out.extend([0, 0]);
        out.extend(interface.snaplen.to_le_bytes());
        text_option(out, options::IF_NAME, interface.name);
        text_option(out, options::IF_DESCRIPTION, interface.description);
        option(out, options::IF_TSRESOL, &[&[NANOSECONDS]]);
        if !interface.filter.is_empty() {
            // 0: a libpcap expression.
            let filter = cut(interface.filter, MAX_TEXT);
            option(out, options::IF_FILTER, &[&[0], filter.as_bytes()]);
        }
        options::push_end(out);
    });
}

/// Pushes a packet, of which at most [`MAX_DATA`] bytes of `data` are kept and `wire_len` bytes
/// were on the wire.
#[inline]
pub fn packet(
    out: &mut Vec<u8>,
    interface: u32,
    time: Timestamp,
    wire_len: u32,
    data: &[u8],
    direction: Direction,
) {
    // An option of four bytes, and the end of the options.
    const INBOUND: [u8; 12] = [options::EPB_FLAGS as u8, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    const OUTBOUND: [u8; 12] = [options::EPB_FLAGS as u8, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0];
    let options: &[u8] = match direction {
        Direction::Unknown => &[],
        Direction::Inbound => &INBOUND,
        Direction::Outbound => &OUTBOUND,
    };
    let data = &data[..data.len().min(MAX_DATA)];
    packet_with(out, interface, time, wire_len, data, options);
}

/// Pushes a packet with `options`, which hold their end, too, unless there are none.
///
/// The hot path: no closure, no growth but the block's own.
#[inline]
pub(crate) fn packet_with(
    out: &mut Vec<u8>,
    interface: u32,
    time: Timestamp,
    wire_len: u32,
    data: &[u8],
    options: &[u8],
) {
    let padded = data.len().next_multiple_of(4);
    let total = (PACKET_DATA + padded + options.len() + TRAILER) as u32;
    let nanos = nanos(time);
    out.reserve(total as usize);
    let mut head = [0; PACKET_DATA];
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
    out.extend_from_slice(options);
    out.extend_from_slice(&total.to_le_bytes());
}

/// Pushes the statistics of an interface from `start` until `now`, with a comment unless it is
/// empty.
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
        text_option(out, options::COMMENT, comment);
        option(out, options::ISB_STARTTIME, &[&halves(start)]);
        option(out, options::ISB_ENDTIME, &[&halves(now)]);
        // Filtered and lost alike, as libpcap's ps_recv counts on Linux: what is delivered is told
        // apart below.
        option(
            out,
            options::ISB_IFRECV,
            &[&statistics.received.to_le_bytes()],
        );
        // ifdrop and osdrop are apart: a capture's reader adds them up.
        option(
            out,
            options::ISB_IFDROP,
            &[&statistics.queue_dropped.to_le_bytes()],
        );
        option(
            out,
            options::ISB_OSDROP,
            &[&statistics.kernel_dropped.to_le_bytes()],
        );
        option(
            out,
            options::ISB_USRDELIV,
            &[&statistics.delivered.to_le_bytes()],
        );
        options::push_end(out);
    });
}

/// Pushes the names of addresses, in as many blocks as needed.
///
/// A name is cut to the length of the DNS, and characters that no name can hold are replaced.
pub fn names(out: &mut Vec<u8>, names: &[(IpAddr, Vec<String>)]) {
    let mut rest = names;
    while !rest.is_empty() {
        block(out, NAME_RESOLUTION, |out| {
            let most = out.len() + NAMES_IN_A_BLOCK;
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
    for name in names.take(MAX_NAMES) {
        let shown = |c: char| if c.is_control() { '_' } else { c };
        ended.extend(cut(name, MAX_NAME).chars().map(shown));
        ended.push('\0');
    }
    let ended = ended.as_bytes();
    match address {
        _ if ended.is_empty() => {}
        IpAddr::V4(address) => option(out, options::NAME_IPV4, &[&address.octets(), ended]),
        IpAddr::V6(address) => option(out, options::NAME_IPV6, &[&address.octets(), ended]),
    }
}

/// Converts a time to that of pcapng, which knows none before 1970.
fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(0)
}

/// Splits a time: its upper 32 bits, then the lower.
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
        option(out, code, &[cut(text, MAX_TEXT).as_bytes()]);
    }
}

fn option(out: &mut Vec<u8>, code: u16, parts: &[&[u8]]) {
    options::push(out, ByteOrder::Little, code, parts);
}
