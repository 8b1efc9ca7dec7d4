//! Classic pcap files: one link type, one resolution, records one behind another.
//!
//! Format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>. Besides microseconds and
//! nanoseconds in both byte orders, the "modified" variant of old Linux libpcaps is read, whose records have
//! eight bytes more in front of the data.

use super::bytes::Bytes;
use super::error::Fault;
use super::source::{MAX_RECORD, Record};
use crate::packet::{LinkType, UnsupportedLink};
use crate::time::Timestamp;
use pcap_parser::{parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header};

/// Length of the file header.
pub(super) const HEADER_LEN: usize = 24;

const MODIFIED: [u8; 4] = [0x34, 0xcd, 0xb2, 0xa1];
const MODIFIED_BIG_ENDIAN: [u8; 4] = [0xa1, 0xb2, 0xcd, 0x34];
const BIG_ENDIAN: [u8; 4] = [0xa1, 0xb2, 0xc3, 0xd4];

/// Whether these are the first bytes of a pcap file.
pub(super) fn begins(start: &[u8]) -> bool {
    matches!(
        *start,
        [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..]
            | [0x34, 0xcd, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xcd, 0x34, ..]
    )
}

/// Where reading a pcap file stands.
pub(super) struct Pcap {
    link: LinkType,
    big_endian: bool,
    /// Nanoseconds in a unit of the fraction.
    unit: i64,
    /// Bytes before a record's data: 16, or 24 in the modified format.
    record_header: usize,
    frames: u64,
}

impl Pcap {
    /// Reads the file header; `None` if it makes no sense.
    pub(super) fn new(header: &[u8; HEADER_LEN]) -> Option<Result<Self, UnsupportedLink>> {
        let mut header = *header;
        let modified = header.starts_with(&MODIFIED) || header.starts_with(&MODIFIED_BIG_ENDIAN);
        if header.starts_with(&MODIFIED_BIG_ENDIAN) {
            // The parser knows the modified format in one byte order only. The header is no different.
            header[..4].copy_from_slice(&BIG_ENDIAN);
        }
        let (_, parsed) = parse_pcap_header(&header).ok()?;
        // The upper half holds the length of the frame check sequence and flags.
        let number = parsed.network.0 as u32 & 0xffff;
        let link = match LinkType::from_number(number) {
            Ok(link) => link,
            Err(unsupported) => return Some(Err(unsupported)),
        };
        Some(Ok(Self {
            link,
            big_endian: parsed.is_bigendian(),
            unit: if parsed.is_nanosecond_precision() {
                1
            } else {
                1_000
            },
            record_header: if modified { 24 } else { 16 },
            frames: 0,
        }))
    }

    /// The byte order of its headers.
    pub(super) fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// Frames read so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// The record at the front of `bytes`; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self, bytes: &mut Bytes) -> Result<Option<Record>, Fault> {
        let header_len = self.record_header;
        let head = bytes.peek(header_len)?;
        if head.len() < header_len {
            return if head.is_empty() {
                Ok(None)
            } else {
                Err(Fault::Cut { in_frame: true })
            };
        }
        let length = [head[8], head[9], head[10], head[11]];
        let length = if self.big_endian {
            u32::from_be_bytes(length)
        } else {
            u32::from_le_bytes(length)
        } as usize;
        if length > MAX_RECORD {
            return Err(Fault::malformed(format!(
                "the next frame claims {length} captured bytes, and {MAX_RECORD} is the most that is read"
            )));
        }
        let record = bytes.peek(header_len + length)?;
        let Some(record) = record.get(..header_len + length) else {
            return Err(Fault::Cut { in_frame: true });
        };
        let parsed = if self.big_endian {
            parse_pcap_frame_be(record)
        } else {
            parse_pcap_frame(record)
        };
        let Ok((_, block)) = parsed else {
            return Err(Fault::malformed("a frame's header makes no sense"));
        };
        self.frames += 1;
        // Both parts are 32 bits wide: no sum of them leaves 64.
        let nanos = i64::from(block.ts_sec) * 1_000_000_000 + i64::from(block.ts_usec) * self.unit;
        Ok(Some(Record {
            number: self.frames,
            time: Timestamp::from_nanos(nanos),
            interface: 0,
            link: self.link,
            wire_len: block.origlen.max(block.caplen),
            data: header_len..header_len + length,
            len: header_len + length,
        }))
    }
}
