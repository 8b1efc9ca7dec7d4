//! Classic pcap files: one link type, one resolution, records one behind another.
//!
//! Format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>. Besides microseconds
//! and nanoseconds in both byte orders, the "modified" variant of old Linux libpcaps is read, whose
//! records have eight bytes more in front of the data.

use super::bytes::Bytes;
use super::error::Fault;
use super::record::{MAX_RECORD, Record};
use crate::packet::{LinkType, UnsupportedLink};
use crate::pcapng::ByteOrder;
use crate::time::Timestamp;

/// Length of the file header.
pub(super) const HEADER_LEN: usize = 24;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

/// Returns byte order and magic number of the pcap file that begins with `start`; `None` of
/// anything else.
fn magic(start: &[u8]) -> Option<(ByteOrder, u32)> {
    let start = *start.first_chunk()?;
    let orders = [ByteOrder::Little, ByteOrder::Big].into_iter();
    let mut read = orders.map(|order| (order, order.u32(start)));
    read.find(|(_, magic)| matches!(*magic, MICROSECONDS | NANOSECONDS | MODIFIED))
}

/// Whether these are the first bytes of a pcap file.
pub(super) fn begins(start: &[u8]) -> bool {
    magic(start).is_some()
}

/// State of reading a pcap file.
pub(super) struct Pcap {
    link: LinkType,
    /// The number of the link type.
    pub(super) link_number: u16,
    /// Most bytes captured of a frame, as the header has it.
    pub(super) snap_len: u32,
    order: ByteOrder,
    /// Nanoseconds in a unit of the fraction.
    unit: i64,
    /// Bytes before a record's data: 16, or 24 in the modified format.
    record_header: usize,
    frames: u64,
}

impl Pcap {
    /// Reads the header of a file that [`begins`] as a pcap file does.
    pub(super) fn new(header: &[u8; HEADER_LEN]) -> Result<Self, UnsupportedLink> {
        let (order, magic) = magic(header).unwrap_or_default();
        // The upper half holds the length of the frame check sequence and flags.
        let link_number = order.u32_at(header, 20) as u16;
        Ok(Self {
            link: LinkType::from_number(link_number.into())?,
            link_number,
            snap_len: order.u32_at(header, 16),
            order,
            unit: if magic == NANOSECONDS { 1 } else { 1_000 },
            record_header: if magic == MODIFIED { 24 } else { 16 },
            frames: 0,
        })
    }

    /// Frames read so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns the record at the front of `bytes`; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self, bytes: &mut Bytes) -> Result<Option<Record>, Fault> {
        let header_len = self.record_header;
        let head = bytes.peek(header_len)?;
        if head.is_empty() {
            return Ok(None);
        }
        let there = head.len();
        if there < header_len {
            return Err(Fault::Cut { in_frame: true });
        }
        let [seconds, fraction, captured, wire_len] =
            [0, 4, 8, 12].map(|at| self.order.u32_at(head, at));
        let captured_len = captured as usize;
        if captured_len > MAX_RECORD {
            return Err(Fault::malformed(format!(
                "the next frame claims {captured} captured bytes, and {MAX_RECORD} is the most \
                 that is read"
            )));
        }
        let len = header_len + captured_len;
        if there < len && bytes.peek(len)?.len() < len {
            return Err(Fault::Cut { in_frame: true });
        }
        self.frames += 1;
        // Both parts are 32 bits wide: no sum of them leaves 64.
        let nanos = i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * self.unit;
        Ok(Some(Record {
            number: self.frames,
            time: Timestamp::from_nanos(nanos),
            interface: 0,
            link: self.link,
            wire_len: wire_len.max(captured),
            data: header_len..len,
            len,
        }))
    }
}
