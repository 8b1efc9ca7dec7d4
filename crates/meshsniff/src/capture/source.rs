//! One capture: a file, standard input or a reader, opened, told apart and read record by record.

use super::bytes::Bytes;
use super::error::{Fault, OpenError, ReadError};
use super::input::{Input, SourceInfo, SourceKind};
use super::map::Map;
use super::pcap::{self, Pcap};
use super::pcapng::{self, PcapNg};
use super::record::{Notes, Record};
use crate::compression::{self, Compression};
use crate::packet::{Frame, FrameId};
use crate::pcapng::{MIN_BLOCK, SECTION_HEADER};
use crate::time::Timestamp;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of standard input, also where a reader stands for it.
const STDIN: &str = "-";

pub(super) enum Format {
    Pcap(Pcap),
    PcapNg(Box<PcapNg>),
}

/// A capture that is being read.
pub(super) struct Source {
    index: u16,
    label: String,
    bytes: Bytes,
    format: Format,
    record: Option<Record>,
    finished: bool,
    total: Option<u64>,
    /// Bytes taken from a stream so far.
    counted: Arc<AtomicU64>,
}

impl Source {
    /// Opens a capture and reads its header.
    pub(super) fn open(index: u16, input: Input) -> Result<(Self, SourceInfo), OpenError> {
        let counted = Arc::new(AtomicU64::new(0));
        let count = |reader| -> Box<dyn Read + Send> {
            Box::new(Counted {
                reader,
                count: Arc::clone(&counted),
            })
        };
        let (kind, name, mut bytes, total) = match input {
            Input::Stdin => {
                let bytes = Bytes::stream(count(Box::new(io::stdin())));
                (SourceKind::Stdin, STDIN.to_owned(), bytes, None)
            }
            Input::Reader { name, reader } => {
                let kind = match name.as_str() {
                    STDIN => SourceKind::Stdin,
                    _ => SourceKind::File,
                };
                (kind, name, Bytes::stream(count(reader)), None)
            }
            Input::Live { name, reader } => {
                (SourceKind::Live, name, Bytes::stream(count(reader)), None)
            }
            Input::Bytes { name, bytes } => {
                let total = bytes.len() as u64;
                (SourceKind::File, name, Bytes::held(bytes), Some(total))
            }
            Input::Path(path) => {
                let name = path.display().to_string();
                let (file, total) = open_file(&path, &name)?;
                let bytes = match total {
                    // A file that cannot be mapped, as on some network file systems, can still be
                    // read.
                    Some(1..) => match Map::new(&file) {
                        Ok(map) if Compression::of(map.bytes()).is_none() => Bytes::mapped(map),
                        _ => Bytes::stream(count(Box::new(file))),
                    },
                    _ => Bytes::stream(count(Box::new(file))),
                };
                (SourceKind::File, name, bytes, total)
            }
        };
        let label = match kind {
            SourceKind::Stdin => "standard input".to_owned(),
            SourceKind::File | SourceKind::Live => name.clone(),
        };
        if let Some(compression) =
            peek(&mut bytes, compression::MAGIC_LEN, &label).map(Compression::of)?
        {
            let reader = match bytes.position() {
                Some(_) => count(bytes.into_reader()),
                None => bytes.into_reader(),
            };
            bytes = Bytes::stream(compression.reader(reader));
        }
        let format = recognise(&mut bytes, index, &label)?;
        let source = Self {
            index,
            label,
            bytes,
            format,
            record: None,
            finished: false,
            total,
            counted,
        };
        let info = SourceInfo {
            kind,
            name,
            interfaces: Vec::new(),
        };
        Ok((source, info))
    }

    /// Goes to the next frame and returns its time; `None` at the end, and after an error.
    #[inline(always)]
    pub(super) fn advance(
        &mut self,
        info: &mut SourceInfo,
        notes: &mut Notes,
    ) -> Result<Option<Timestamp>, ReadError> {
        if let Some(record) = self.record.take() {
            self.bytes.skip(record.len);
        }
        if self.finished {
            return Ok(None);
        }
        let next = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.bytes),
            Format::PcapNg(pcapng) => pcapng.next(&mut self.bytes, &mut info.interfaces, notes),
        };
        match next {
            Ok(record) => {
                self.finished = record.is_none();
                if let Some(record) = &record {
                    self.bytes.prefetch(record.len);
                }
                self.record = record;
                Ok(self.record.as_ref().map(|record| record.time))
            }
            Err(fault) => {
                self.finished = true;
                Err(self.named(fault))
            }
        }
    }

    /// Returns the frame that [`Source::advance`] went to.
    #[inline]
    pub(super) fn frame(&self) -> Option<Frame<'_>> {
        let record = self.record.as_ref()?;
        Some(Frame {
            id: FrameId::new(self.index, record.number),
            time: record.time,
            interface: record.interface,
            link: record.link,
            wire_len: record.wire_len,
            data: self.bytes.available().get(record.data.clone())?,
        })
    }

    pub(super) fn dropped(&self) -> Option<u64> {
        match &self.format {
            Format::Pcap(_) => None,
            Format::PcapNg(pcapng) => pcapng.dropped(),
        }
    }

    pub(super) fn total_bytes(&self) -> Option<u64> {
        self.total
    }

    pub(super) fn bytes_read(&self) -> u64 {
        let counted = || self.counted.load(Ordering::Relaxed);
        self.bytes.position().unwrap_or_else(counted)
    }

    #[cold]
    fn named(&self, fault: Fault) -> ReadError {
        let frames = match &self.format {
            Format::Pcap(pcap) => pcap.frames(),
            Format::PcapNg(pcapng) => pcapng.frames(),
        };
        fault.named(&self.label, frames)
    }
}

/// A reader that counts what was read of it.
struct Counted {
    reader: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(out)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Opens a file and decompresses it.
pub(super) fn open_path(path: &Path, name: &str) -> Result<Bytes, OpenError> {
    let (file, _) = open_file(path, name)?;
    let mut bytes = Bytes::stream(Box::new(file));
    let compression = peek(&mut bytes, compression::MAGIC_LEN, name).map(Compression::of)?;
    Ok(match compression {
        Some(compression) => Bytes::stream(compression.reader(bytes.into_reader())),
        None => bytes,
    })
}

/// Opens a file; returns its length, too, if it is a plain one rather than a pipe or a device.
fn open_file(path: &Path, name: &str) -> Result<(File, Option<u64>), OpenError> {
    let name = || name.to_owned();
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => OpenError::NotFound { name: name() },
        ErrorKind::PermissionDenied => OpenError::Permission { name: name() },
        _ => OpenError::Io {
            name: name(),
            error,
        },
    };
    // Asked before opening: some systems refuse to open a directory, with an error that says less.
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(OpenError::Directory { name: name() });
    }
    let file = File::open(path).map_err(failed)?;
    Ok((file, metadata.is_file().then_some(metadata.len())))
}

fn peek<'a>(bytes: &'a mut Bytes, least: usize, label: &str) -> Result<&'a [u8], OpenError> {
    bytes.peek(least).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => OpenError::Cut {
            name: label.to_owned(),
        },
        _ => OpenError::Io {
            name: label.to_owned(),
            error,
        },
    })
}

/// Recognises the format by the first bytes, asking for no more of them than it needs.
pub(super) fn recognise(bytes: &mut Bytes, index: u16, label: &str) -> Result<Format, OpenError> {
    let name = || label.to_owned();
    let start = peek(bytes, 4, label)?;
    if start.is_empty() {
        return Err(OpenError::Empty { name: name() });
    }
    if pcap::begins(start) {
        let header = peek(bytes, pcap::HEADER_LEN, label)?;
        let header = header
            .first_chunk()
            .ok_or_else(|| OpenError::Cut { name: name() })?;
        let pcap = Pcap::new(header).map_err(|link| OpenError::Link { name: name(), link })?;
        bytes.skip(pcap::HEADER_LEN);
        return Ok(Format::Pcap(pcap));
    }
    if start.starts_with(&SECTION_HEADER.to_be_bytes()) {
        let start = peek(bytes, MIN_BLOCK, label)?;
        if start.len() < MIN_BLOCK {
            return Err(OpenError::Cut { name: name() });
        }
        if pcapng::begins(start) {
            return Ok(Format::PcapNg(Box::new(PcapNg::new(index))));
        }
    }
    let start = bytes.available();
    if other_format(start).is_none() && may_be_other_format(start) {
        peek(bytes, LONGEST_SIGN, label)?;
    }
    Err(match other_format(bytes.available()) {
        Some(format) => OpenError::OtherFormat {
            name: name(),
            format,
        },
        None => OpenError::NotACapture {
            name: name(),
            looks_like: looks_like(bytes.available()),
        },
    })
}

/// What the captures begin with that are not read.
const SIGNS: [(&[u8], &str); 20] = [
    (b"snoop\0\0\0", "snoop"),
    (b"btsnoop\0", "btsnoop"),
    (b"TRSNIFF data", "Sniffer"),
    (b"XCP\0", "Sniffer for Windows (NetXRay)"),
    (b"VL\0\0", "NetXRay"),
    (b"RTSS", "Network Monitor 1"),
    (b"GMBU", "Network Monitor 2"),
    (b"\0\0\x02\0\x12\x05\0\x10", "K12"),
    (
        b"+---------+---------------+----------+",
        "K12's text files",
    ),
    (b"ObserverPktBuffe", "Observer"),
    (b"\x05VNF", "Visual Networks"),
    (b"\x7fver", "OmniPeek"),
    (b"\xaa\xaa\xaa\xaa", "5View"),
    (b"iptrace 1.0", "iptrace"),
    (b"iptrace 2.0", "iptrace"),
    (b"NetScaler V", "NetScaler"),
    (b"V0208", "Aethra"),
    (b"\x01\x10\x4c\0\x01\x05", "LANalyzer"),
    (b"TR\0\x64", "nettl"),
    (b"#Format=4", "Daintree"),
];
/// Bytes that are enough to tell any of them.
const LONGEST_SIGN: usize = 40;

/// Whether more than `start` may show one of them.
fn may_be_other_format(start: &[u8]) -> bool {
    let begun = |(sign, _): &(&[u8], _)| sign.starts_with(&start[..start.len().min(sign.len())]);
    SIGNS.iter().any(begun) || matches!(start, [_, _, 0 | 1, 0, ..])
}

/// Says whose capture it is that begins with `start`, if Wireshark's tools can convert it.
fn other_format(start: &[u8]) -> Option<&'static str> {
    let known = SIGNS.iter().find(|(sign, _)| start.starts_with(sign));
    let hci = || is_hcidump(start).then_some("HCIdump");
    known.map(|(_, format)| *format).or_else(hci)
}

/// Whether `start` is the first record of HCIdump, which has no number to know it by: a length, a
/// direction, a byte of nothing, a time, and then a packet type of Bluetooth.
fn is_hcidump(start: &[u8]) -> bool {
    match start {
        [low, high, 0 | 1, 0, seconds @ ..] if seconds.len() > 8 => {
            let length = u16::from_le_bytes([*low, *high]);
            let micros = [seconds[4], seconds[5], seconds[6], seconds[7]];
            (2..=2_048).contains(&length)
                && u32::from_le_bytes(micros) < 1_000_000
                && matches!(seconds[8], 1..=4)
        }
        _ => false,
    }
}

/// Says what the first bytes of something look like that is not a capture.
fn looks_like(start: &[u8]) -> Option<&'static str> {
    let start = &start[..start.len().min(512)];
    let signs: [(&[u8], &str); 7] = [
        (b"\x7fELF", "a program"),
        (b"PK\x03\x04", "a zip archive (unpack it first)"),
        (b"BZh", "a bzip2 archive (unpack it first)"),
        (b"\xfd7zXZ\0", "an xz archive (unpack it first)"),
        (b"\x04\x22\x4d\x18", "an lz4 archive (unpack it first)"),
        (b"\x1f\x8b", "something compressed twice (unpack it first)"),
        (
            b"\x28\xb5\x2f\xfd",
            "something compressed twice (unpack it first)",
        ),
    ];
    if let Some((_, what)) = signs.iter().find(|(sign, _)| start.starts_with(sign)) {
        return Some(what);
    }
    let text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace() || *byte >= 0x80;
    if !start.iter().all(text) || !start.is_ascii() && std::str::from_utf8(start).is_err() {
        return None;
    }
    match start.trim_ascii_start().first() {
        Some(b'{' | b'[') => Some("JSON"),
        Some(b'<') => Some("HTML or XML"),
        _ => Some("text"),
    }
}
