//! pcapng files: blocks of many kinds, in sections, from several interfaces.
//!
//! Format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-04.html>. Blocks are framed here (kind,
//! length, trailer) and only whole ones are handed to the parser, so that what it finds missing is damage and
//! never input still to come. Every block that Wireshark lists as a record is counted as a frame.

use super::OWN_COMMENT;
use super::bytes::Bytes;
use super::error::Fault;
use super::interface::Interface;
use super::source::{MAX_RECORD, Notes, Record};
use crate::packet::FrameId;
use crate::stream::blocks;
use crate::time::Timestamp;
use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, InterfaceStatisticsBlock, OptionCode,
    parse_enhancedpacketblock_be, parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_interfacestatisticsblock_be,
    parse_interfacestatisticsblock_le, parse_sectionheaderblock,
};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const PACKET: u32 = 2;
pub(super) const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;
const JOURNAL: u32 = 9;
/// Events of sysdig and Falco, in the versions that Wireshark lists.
const SYSDIG_EVENTS: [u32; 6] = [0x204, 0x208, 0x216, 0x217, 0x221, 0x222];
const CUSTOM: u32 = 0x0000_0bad;
const CUSTOM_NOT_COPIED: u32 = 0x4000_0bad;

/// How the programs that end their captures with a block that says so call themselves.
const ENDED_BY: [&[u8]; 2] = [b"meshsniff-agent", b"kubectl-meshsniff"];

const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Bytes that tell a pcapng file: kind, length, byte order mark.
pub(super) const START_LEN: usize = 12;

/// Bytes of a block that are neither data nor options: of a simple packet block, and of both other packet
/// blocks (28 in front, 4 behind).
const SIMPLE_FRAME: usize = 16;
pub(super) const PACKET_FRAME: usize = 32;
pub(super) const PACKET_DATA: usize = 28;

/// Most bytes of options that are parsed: a hostile block would have them spread into a list.
const MAX_OPTIONS: usize = 1 << 20;
/// Most interfaces of one source.
const MAX_INTERFACES: usize = 65_536;

/// Whether `start`, of [`START_LEN`] bytes, begins a pcapng file.
pub(super) fn begins(start: &[u8]) -> bool {
    start.starts_with(&SECTION_HEADER.to_be_bytes()) && byte_order(start).is_some()
}

/// Whether Wireshark lists a block of this kind as a record, so that it takes a frame number.
pub(super) fn is_record(kind: u32) -> bool {
    matches!(
        kind,
        ENHANCED_PACKET | SIMPLE_PACKET | PACKET | JOURNAL | CUSTOM | CUSTOM_NOT_COPIED
    ) || SYSDIG_EVENTS.contains(&kind)
}

/// If `head` begins a section: whether that is big-endian.
pub(super) fn section_byte_order(head: &[u8]) -> Result<Option<bool>, Fault> {
    if !head.starts_with(&SECTION_HEADER.to_be_bytes()) {
        return Ok(None);
    }
    let order = byte_order(head);
    let order = order.ok_or_else(|| Fault::malformed("a section has no byte order mark"))?;
    Ok(Some(order))
}

/// Whether the section whose header this is, is big-endian.
fn byte_order(section_header: &[u8]) -> Option<bool> {
    let mark = section_header.get(8..12)?;
    if mark == BYTE_ORDER.to_be_bytes() {
        Some(true)
    } else if mark == BYTE_ORDER.to_le_bytes() {
        Some(false)
    } else {
        None
    }
}

/// Where reading a pcapng file stands.
pub(super) struct PcapNg {
    source: u16,
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Index of the current section's first interface.
    section: usize,
    frames: u64,
    /// Time of the last frame that had one: a simple packet block has none.
    last: Timestamp,
    /// Whether the current section is to end with a block that says so, and that has not come.
    open: bool,
    /// Whether an earlier section lacks that block.
    unended: bool,
}

impl PcapNg {
    /// Begins source number `source`.
    pub(super) fn new(source: u16) -> Self {
        Self {
            source,
            big_endian: false,
            interfaces: Vec::new(),
            section: 0,
            frames: 0,
            last: Timestamp::default(),
            open: false,
            unended: false,
        }
    }

    /// Frames read so far, and other records that Wireshark numbers.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames that the interfaces dropped, by the latest statistics of each; `None` without any.
    pub(super) fn dropped(&self) -> Option<u64> {
        let known = self.interfaces.iter().filter_map(|one| one.dropped);
        known.reduce(u64::saturating_add)
    }

    /// The next frame; `bytes` then stands at the front of its block. `None` at the end.
    #[inline]
    pub(super) fn next(
        &mut self,
        bytes: &mut Bytes,
        names: &mut Vec<String>,
        notes: &mut Notes,
    ) -> Result<Option<Record>, Fault> {
        loop {
            let head = bytes.peek(START_LEN)?;
            if head.is_empty() {
                return match self.open || self.unended {
                    true => Err(Fault::Unended),
                    false => Ok(None),
                };
            }
            let Some(kind) = head.first_chunk::<4>() else {
                return Err(Fault::Cut { in_frame: false });
            };
            if *kind == SECTION_HEADER.to_be_bytes() && head.len() >= START_LEN {
                self.big_endian = section_byte_order(head)?.unwrap_or(self.big_endian);
            }
            let kind = self.u32_at(head, 0);
            let in_frame = matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | PACKET);
            if head.len() < START_LEN {
                return Err(Fault::Cut { in_frame });
            }
            let length = self.u32_at(head, 4) as usize;
            if length < START_LEN || !length.is_multiple_of(4) {
                return Err(Fault::malformed(format!(
                    "the next block has the impossible length {length}"
                )));
            }
            if length > MAX_RECORD {
                return Err(Fault::malformed(format!(
                    "the next block claims {length} bytes, and {MAX_RECORD} is the most that is read"
                )));
            }
            let Some(block) = bytes.peek(length)?.get(..length) else {
                return Err(Fault::Cut { in_frame });
            };
            if self.u32_at(block, length - 4) as usize != length {
                return Err(Fault::malformed("a block's two lengths differ"));
            }
            let record = match kind {
                ENHANCED_PACKET => self.enhanced(block, notes)?,
                SIMPLE_PACKET => self.simple(block, notes)?,
                PACKET => self.packet(block, notes)?,
                kind if is_record(kind) => {
                    self.frames += 1;
                    None
                }
                INTERFACE_DESCRIPTION => {
                    self.describe(block, names)?;
                    None
                }
                INTERFACE_STATISTICS => {
                    self.statistics(block)?;
                    None
                }
                SECTION_HEADER => {
                    self.begin_section(block)?;
                    None
                }
                _ => None,
            };
            if record.is_some() {
                return Ok(record);
            }
            bytes.skip(length);
        }
    }

    /// The number at `at`, which the caller knows to lie inside.
    #[inline]
    fn u32_at(&self, block: &[u8], at: usize) -> u32 {
        let number = [block[at], block[at + 1], block[at + 2], block[at + 3]];
        if self.big_endian {
            u32::from_be_bytes(number)
        } else {
            u32::from_le_bytes(number)
        }
    }

    #[inline]
    fn enhanced(&mut self, block: &[u8], notes: &mut Notes) -> Result<Option<Record>, Fault> {
        if block.len() < PACKET_FRAME {
            return Err(Fault::malformed("a packet block is too short"));
        }
        let captured = self.u32_at(block, 20) as usize;
        let interface = self.u32_at(block, 8) as usize;
        let options = block.len() - PACKET_FRAME;
        let options = options
            .checked_sub(captured.next_multiple_of(4))
            .ok_or_else(|| Fault::malformed("a frame is longer than its block"))?;
        let record = self.with_data(block, interface, captured, notes)?;
        // Few blocks have options: most are read without making a list of none.
        if options > 0 {
            self.comments(block, options, notes)?;
        }
        Ok(record)
    }

    /// The obsolete packet block, which differs from the enhanced one in its first word only.
    fn packet(&mut self, block: &[u8], notes: &mut Notes) -> Result<Option<Record>, Fault> {
        if block.len() < PACKET_FRAME {
            return Err(Fault::malformed("a packet block is too short"));
        }
        let captured = self.u32_at(block, 20) as usize;
        if captured > block.len() - PACKET_FRAME {
            return Err(Fault::malformed("a frame is longer than its block"));
        }
        let word = self.u32_at(block, 8);
        // 16 bits of interface, then 16 bits that count drops.
        let interface = if self.big_endian {
            word >> 16
        } else {
            word & 0xffff
        };
        self.with_data(block, interface as usize, captured, notes)
    }

    /// The record of a packet block whose data has been seen to fit.
    #[inline]
    fn with_data(
        &mut self,
        block: &[u8],
        interface: usize,
        captured: usize,
        notes: &mut Notes,
    ) -> Result<Option<Record>, Fault> {
        let index = self.section + interface;
        let Some(description) = self.interfaces.get(index) else {
            return Err(Fault::malformed(format!(
                "a frame is of interface {interface}, which was not described"
            )));
        };
        self.frames += 1;
        let ticks = u64::from(self.u32_at(block, 12)) << 32 | u64::from(self.u32_at(block, 16));
        self.last = description.time(ticks);
        let link = match description.link {
            Ok(link) => link,
            Err(link) => {
                notes.unsupported(link);
                return Ok(None);
            }
        };
        Ok(Some(Record {
            number: self.frames,
            time: self.last,
            interface: index as u32,
            link,
            wire_len: self.u32_at(block, 24).max(captured as u32),
            data: PACKET_DATA..PACKET_DATA + captured,
            len: block.len(),
        }))
    }

    /// A block with nothing but the packet: interface 0, no time, and a length that the snap length may cut.
    fn simple(&mut self, block: &[u8], notes: &mut Notes) -> Result<Option<Record>, Fault> {
        if block.len() < SIMPLE_FRAME {
            return Err(Fault::malformed("a simple packet block is too short"));
        }
        let Some(description) = self.interfaces.get(self.section) else {
            return Err(Fault::malformed(
                "a frame is of interface 0, which was not described",
            ));
        };
        self.frames += 1;
        let link = match description.link {
            Ok(link) => link,
            Err(link) => {
                notes.unsupported(link);
                return Ok(None);
            }
        };
        let wire_len = self.u32_at(block, 8);
        let mut captured = (wire_len as usize).min(block.len() - SIMPLE_FRAME);
        if description.snap_len > 0 {
            captured = captured.min(description.snap_len as usize);
        }
        Ok(Some(Record {
            number: self.frames,
            time: self.last,
            interface: self.section as u32,
            link,
            wire_len,
            data: 12..12 + captured,
            len: block.len(),
        }))
    }

    #[cold]
    fn comments(&self, block: &[u8], options: usize, notes: &mut Notes) -> Result<(), Fault> {
        if options > MAX_OPTIONS {
            return Err(Fault::malformed("a frame's options are too long"));
        }
        let block: EnhancedPacketBlock<'_> = parsed(if self.big_endian {
            parse_enhancedpacketblock_be(block)
        } else {
            parse_enhancedpacketblock_le(block)
        })?;
        for option in &block.options {
            if option.code == OptionCode::Comment
                && let Ok(text) = option.as_bytes()
                // What an earlier report said is no news to this one.
                && !text.starts_with(OWN_COMMENT.as_bytes())
            {
                notes.comment(FrameId::new(self.source, self.frames), text);
            }
        }
        Ok(())
    }

    fn begin_section(&mut self, block: &[u8]) -> Result<(), Fault> {
        within_options(block)?;
        let header = parsed(parse_sectionheaderblock(block))?;
        if header.major_version != 1 {
            return Err(Fault::malformed(format!(
                "a section is of pcapng version {}.{}, and only 1 is known",
                header.major_version, header.minor_version
            )));
        }
        self.section = self.interfaces.len();
        self.unended |= self.open;
        self.open = header.options.iter().any(|option| {
            option.code == OptionCode::ShbUserAppl
                && option
                    .as_bytes()
                    .is_ok_and(|name| ENDED_BY.iter().any(|ours| name.starts_with(ours)))
        });
        Ok(())
    }

    fn describe(&mut self, block: &[u8], names: &mut Vec<String>) -> Result<(), Fault> {
        within_options(block)?;
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(Fault::malformed(format!(
                "it describes more than {MAX_INTERFACES} interfaces"
            )));
        }
        let block: InterfaceDescriptionBlock<'_> = parsed(if self.big_endian {
            parse_interfacedescriptionblock_be(block)
        } else {
            parse_interfacedescriptionblock_le(block)
        })?;
        let (interface, name) = Interface::described(&block, self.big_endian);
        self.interfaces.push(interface);
        names.push(name);
        Ok(())
    }

    fn statistics(&mut self, block: &[u8]) -> Result<(), Fault> {
        within_options(block)?;
        let block: InterfaceStatisticsBlock<'_> = parsed(if self.big_endian {
            parse_interfacestatisticsblock_be(block)
        } else {
            parse_interfacestatisticsblock_le(block)
        })?;
        let ended = block.options.iter().any(|option| {
            option.code == OptionCode::Comment
                && option
                    .as_bytes()
                    .is_ok_and(|text| text.starts_with(blocks::END.as_bytes()))
        });
        self.open &= !ended;
        // Statistics of an interface that was never described say nothing about any frame.
        if let Some(interface) = self.interfaces.get_mut(self.section + block.if_id as usize) {
            interface.count_drops(&block, self.big_endian);
        }
        Ok(())
    }
}

/// What the parser made of a whole block: anything that it finds missing is damage.
fn parsed<T, E>(result: Result<(&[u8], T), E>) -> Result<T, Fault> {
    match result {
        Ok((_, block)) => Ok(block),
        Err(_) => Err(Fault::malformed("a block contradicts itself")),
    }
}

fn within_options(block: &[u8]) -> Result<(), Fault> {
    if block.len() > MAX_OPTIONS {
        return Err(Fault::malformed("a block's options are too long"));
    }
    Ok(())
}
