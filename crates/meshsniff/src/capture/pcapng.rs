//! pcapng files: blocks of many kinds, in sections, from several interfaces.
//!
//! Format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-04.html>. Only whole blocks
//! are looked into, so that what is missing in one is damage and never input still to come. Every
//! block that Wireshark lists as a record is counted as a frame.

use super::bytes::Bytes;
use super::error::Fault;
use super::interface::Interface;
use super::record::{MAX_RECORD, Notes, Record};
use crate::packet::{FrameId, UnsupportedLink};
use crate::pcapng::options::{self, Options};
use crate::pcapng::{
    ByteOrder, DECRYPTION_SECRETS, ENHANCED_PACKET, INTERFACE_DESCRIPTION, INTERFACE_OPTIONS,
    INTERFACE_STATISTICS, MIN_BLOCK, NAME_RESOLUTION, OWN_COMMENT, PACKET, PACKET_DATA,
    SECRETS_DATA, SECTION_HEADER, SECTION_OPTIONS, SIMPLE_PACKET, SIMPLE_PACKET_DATA,
    STATISTICS_OPTIONS, TLS_KEY_LOG, TRAILER, blocks, is_record, shortened,
};
use crate::time::Timestamp;
use std::net::IpAddr;

/// Names of the programs that end their captures with a block that says so.
const ENDED_BY: [&[u8]; 2] = [b"meshsniff-agent", b"kubectl-meshsniff"];

/// Where the records of a name resolution block begin.
const NAME_RECORDS: usize = 8;
/// Most bytes of a name in the DNS.
const MAX_NAME: usize = 255;

/// Most interfaces of one source.
const MAX_INTERFACES: usize = 65_536;

/// Whether `start`, of [`MIN_BLOCK`] bytes, begins a pcapng file.
pub(super) fn begins(start: &[u8]) -> bool {
    start.starts_with(&SECTION_HEADER.to_be_bytes()) && ByteOrder::of_section(start).is_some()
}

/// Returns type and bytes of the whole block at the front of `bytes`; `None` at the end. `order` is
/// that of the section, and changes where another one begins.
#[inline]
pub(super) fn block<'a>(
    bytes: &'a mut Bytes,
    order: &mut ByteOrder,
) -> Result<Option<(u32, &'a [u8])>, Fault> {
    let head = bytes.peek(MIN_BLOCK)?;
    if head.is_empty() {
        return Ok(None);
    }
    let Some(&kind) = head.first_chunk::<4>() else {
        return Err(Fault::Cut { in_frame: false });
    };
    if kind == SECTION_HEADER.to_be_bytes() && head.len() >= MIN_BLOCK {
        *order = ByteOrder::of_section(head)
            .ok_or_else(|| Fault::malformed("a section has no byte order mark"))?;
    }
    let kind = order.u32(kind);
    let in_frame = matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | PACKET);
    if head.len() < MIN_BLOCK {
        return Err(Fault::Cut { in_frame });
    }
    let length = order.u32_at(head, 4) as usize;
    if length < MIN_BLOCK || !length.is_multiple_of(4) {
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
    if order.u32_at(block, length - TRAILER) as usize != length {
        return Err(Fault::malformed("a block's two lengths differ"));
    }
    Ok(Some((kind, block)))
}

/// State of reading a pcapng file.
pub(super) struct PcapNg {
    source: u16,
    order: ByteOrder,
    interfaces: Vec<Interface>,
    /// Frames that the interfaces dropped, by the latest statistics of each: wide enough for their
    /// sum.
    dropped: Option<u128>,
    /// Index of the current section's first interface.
    section: usize,
    frames: u64,
    /// Time of the last frame that had one: a simple packet block has none.
    last: Timestamp,
    /// Whether the current section is to end with a block that says so, and that has not come.
    open: bool,
    /// Whether an earlier section lacks that block.
    unended: bool,
    /// Whether a frame could be read.
    read_any: bool,
    /// The link type of the first frame that could not be, and how many there were.
    passed_over: Option<(UnsupportedLink, u64)>,
}

impl PcapNg {
    /// Begins source number `source`.
    pub(super) fn new(source: u16) -> Self {
        Self {
            source,
            order: ByteOrder::default(),
            interfaces: Vec::new(),
            dropped: None,
            section: 0,
            frames: 0,
            last: Timestamp::default(),
            open: false,
            unended: false,
            read_any: false,
            passed_over: None,
        }
    }

    /// Frames read so far, and other records that Wireshark numbers.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames that the interfaces dropped, by the latest statistics of each; `None` without any.
    pub(super) fn dropped(&self) -> Option<u64> {
        let dropped = self.dropped?;
        Some(u64::try_from(dropped).unwrap_or(u64::MAX))
    }

    /// Returns the next frame, with `bytes` at the front of its block; `None` at the end.
    #[inline]
    pub(super) fn next(
        &mut self,
        bytes: &mut Bytes,
        names: &mut Vec<String>,
        notes: &mut Notes,
    ) -> Result<Option<Record>, Fault> {
        loop {
            let Some((kind, block)) = block(bytes, &mut self.order)? else {
                return self.end();
            };
            let length = block.len();
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
                NAME_RESOLUTION => {
                    self.resolve(block, notes);
                    None
                }
                DECRYPTION_SECRETS => {
                    if let Some((keys, log)) = notes.keys.as_ref().zip(key_log(block, self.order)) {
                        keys.add(log);
                    }
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

    /// What there is to say at the end.
    #[cold]
    fn end(&self) -> Result<Option<Record>, Fault> {
        match self.passed_over {
            _ if self.open || self.unended => Err(Fault::Unended),
            Some((link, frames)) if !self.read_any => Err(Fault::Link { frames, link }),
            _ => Ok(None),
        }
    }

    /// Passes a frame over whose link type is not read.
    #[cold]
    fn pass_over(&mut self, link: u32, notes: &mut Notes) {
        notes.unsupported(link);
        let (_, frames) = self.passed_over.get_or_insert((UnsupportedLink(link), 0));
        *frames += 1;
    }

    #[inline]
    fn enhanced(&mut self, block: &[u8], notes: &mut Notes) -> Result<Option<Record>, Fault> {
        if block.len() < PACKET_DATA + TRAILER {
            return Err(Fault::malformed("a packet block is too short"));
        }
        let captured = self.order.u32_at(block, 20) as usize;
        let interface = self.order.u32_at(block, 8) as usize;
        let options_at = PACKET_DATA + captured.next_multiple_of(4);
        if options_at > block.len() - TRAILER {
            return Err(Fault::malformed("a frame is longer than its block"));
        }
        let record = self.with_data(block, interface, captured, notes)?;
        if options_at < block.len() - TRAILER {
            self.comments(Options::of(block, options_at, self.order), notes);
        }
        Ok(record)
    }

    /// Reads the obsolete packet block, which differs from the enhanced one in its first word only.
    fn packet(&mut self, block: &[u8], notes: &mut Notes) -> Result<Option<Record>, Fault> {
        if block.len() < PACKET_DATA + TRAILER {
            return Err(Fault::malformed("a packet block is too short"));
        }
        let captured = self.order.u32_at(block, 20) as usize;
        if captured > block.len() - PACKET_DATA - TRAILER {
            return Err(Fault::malformed("a frame is longer than its block"));
        }
        // 16 bits of interface; those behind them count drops.
        let interface = self.order.u16_at(block, 8);
        self.with_data(block, interface.into(), captured, notes)
    }

    /// Returns the record of a packet block whose data fits.
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
        let ticks =
            u64::from(self.order.u32_at(block, 12)) << 32 | u64::from(self.order.u32_at(block, 16));
        self.last = description.time(ticks);
        let link = match description.link {
            Ok(link) => link,
            Err(link) => {
                self.pass_over(link, notes);
                return Ok(None);
            }
        };
        self.read_any = true;
        Ok(Some(Record {
            number: self.frames,
            time: self.last,
            interface: index as u32,
            link,
            wire_len: self.order.u32_at(block, 24).max(captured as u32),
            data: PACKET_DATA..PACKET_DATA + captured,
            len: block.len(),
        }))
    }

    /// Reads a block with nothing but the packet: interface 0, no time, and a length that the snap
    /// length may cut.
    fn simple(&mut self, block: &[u8], notes: &mut Notes) -> Result<Option<Record>, Fault> {
        if block.len() < SIMPLE_PACKET_DATA + TRAILER {
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
                self.pass_over(link, notes);
                return Ok(None);
            }
        };
        let wire_len = self.order.u32_at(block, 8);
        let mut captured = (wire_len as usize).min(block.len() - SIMPLE_PACKET_DATA - TRAILER);
        if description.snap_len > 0 {
            captured = captured.min(description.snap_len as usize);
        }
        self.read_any = true;
        Ok(Some(Record {
            number: self.frames,
            time: self.last,
            interface: self.section as u32,
            link,
            wire_len,
            data: SIMPLE_PACKET_DATA..SIMPLE_PACKET_DATA + captured,
            len: block.len(),
        }))
    }

    #[cold]
    fn comments(&self, options: Options<'_>, notes: &mut Notes) {
        for (code, text) in options.map_while(Result::ok) {
            // What an earlier report said is no news to this one.
            if code == options::COMMENT && !text.starts_with(OWN_COMMENT.as_bytes()) {
                notes.comment(FrameId::new(self.source, self.frames), text);
            }
        }
    }

    /// Reads names of addresses. Damage among them harms nothing else: they are a nicety.
    #[cold]
    fn resolve(&self, block: &[u8], notes: &mut Notes) {
        let records = Options::of(block, NAME_RECORDS, self.order);
        for (code, value) in records.map_while(Result::ok) {
            let (address, names): (IpAddr, _) = match code {
                options::NAME_IPV4 => match value.split_first_chunk::<4>() {
                    Some((address, names)) => ((*address).into(), names),
                    None => continue,
                },
                options::NAME_IPV6 => match value.split_first_chunk::<16>() {
                    Some((address, names)) => ((*address).into(), names),
                    None => continue,
                },
                _ => continue,
            };
            // The first name is the best one: a pod's stands before its services'.
            let name = names.split(|byte| *byte == 0).next().unwrap_or_default();
            notes.name(address, &shortened(name, MAX_NAME));
        }
    }

    fn begin_section(&mut self, block: &[u8]) -> Result<(), Fault> {
        at_least(block, SECTION_OPTIONS)?;
        let [major, minor] = [12, 14].map(|at| self.order.u16_at(block, at));
        if major != 1 {
            return Err(Fault::malformed(format!(
                "a section is of pcapng version {major}.{minor}, and only 1 is known"
            )));
        }
        self.section = self.interfaces.len();
        self.unended |= self.open;
        self.open = has_text(
            Options::of(block, SECTION_OPTIONS, self.order),
            options::SHB_USERAPPL,
            &ENDED_BY,
        );
        Ok(())
    }

    fn describe(&mut self, block: &[u8], names: &mut Vec<String>) -> Result<(), Fault> {
        at_least(block, INTERFACE_OPTIONS)?;
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(Fault::malformed(format!(
                "it describes more than {MAX_INTERFACES} interfaces"
            )));
        }
        let (interface, name) = Interface::described(block, self.order);
        self.interfaces.push(interface);
        names.push(name);
        Ok(())
    }

    fn statistics(&mut self, block: &[u8]) -> Result<(), Fault> {
        at_least(block, STATISTICS_OPTIONS)?;
        let options = Options::of(block, STATISTICS_OPTIONS, self.order);
        self.open &= !has_text(options.clone(), options::COMMENT, &[blocks::END.as_bytes()]);
        let interface = self.order.u32_at(block, 8) as usize;
        // Statistics of an interface that was never described say nothing about any frame.
        if let Some(interface) = self.interfaces.get_mut(self.section + interface) {
            let before = interface.dropped;
            interface.count_drops(options, self.order);
            if let Some(now) = interface.dropped {
                let others = self.dropped.unwrap_or(0) - u128::from(before.unwrap_or(0));
                self.dropped = Some(others + u128::from(now));
            }
        }
        Ok(())
    }
}

/// The key log that a block with secrets holds, if they are of TLS.
pub(super) fn key_log(block: &[u8], order: ByteOrder) -> Option<&[u8]> {
    let content = block.get(..block.len().checked_sub(TRAILER)?)?;
    let log = content.get(SECRETS_DATA..)?;
    let length = order.u32_at(content, 12) as usize;
    (order.u32_at(content, 8) == TLS_KEY_LOG).then(|| &log[..length.min(log.len())])
}

/// Whether an option of this code begins with any of `texts`.
fn has_text(options: Options<'_>, code: u16, texts: &[&[u8]]) -> bool {
    let mut options = options.map_while(Result::ok);
    options.any(|(its, value)| its == code && texts.iter().any(|text| value.starts_with(text)))
}

/// Refuses a block that ends before its options begin.
fn at_least(block: &[u8], options_at: usize) -> Result<(), Fault> {
    if block.len() < options_at + TRAILER {
        return Err(Fault::malformed("a block contradicts itself"));
    }
    Ok(())
}
