//! Capture files in every variant of their formats, made in memory, and what is read from them.

use super::Packet;
use crate::capture::{CaptureReader, Input, ReadError};
use crate::packet::LinkType;
use std::path::Path;
use std::{fs, io};

/// A pcap file in the making.
pub struct PcapFile {
    big_endian: bool,
    modified: bool,
    /// The file so far.
    pub bytes: Vec<u8>,
}

impl PcapFile {
    /// A file with this magic number (in the byte order of the file) and link type.
    #[must_use]
    pub fn new(magic: u32, big_endian: bool, link: u32) -> Self {
        let mut file = Self {
            big_endian,
            modified: magic == 0xa1b2_cd34,
            bytes: Vec::new(),
        };
        file.word(magic);
        file.half(2);
        file.half(4);
        for word in [0, 0, 65_535, link] {
            file.word(word);
        }
        file
    }

    /// Ethernet, with times in microseconds.
    #[must_use]
    pub fn micros() -> Self {
        Self::new(0xa1b2_c3d4, false, 1)
    }

    fn word(&mut self, word: u32) {
        let bytes = if self.big_endian {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        };
        self.bytes.extend(bytes);
    }

    fn half(&mut self, half: u16) {
        let bytes = if self.big_endian {
            half.to_be_bytes()
        } else {
            half.to_le_bytes()
        };
        self.bytes.extend(bytes);
    }

    /// A packet: seconds, their fraction, its length on the wire, its captured bytes.
    #[must_use]
    pub fn record(mut self, seconds: u32, fraction: u32, wire: u32, data: &[u8]) -> Self {
        for word in [seconds, fraction, data.len() as u32, wire] {
            self.word(word);
        }
        if self.modified {
            self.bytes.extend([0xee; 8]);
        }
        self.bytes.extend_from_slice(data);
        self
    }
}

/// A pcapng file in the making.
pub struct PcapNgFile {
    big_endian: bool,
    /// The file so far.
    pub bytes: Vec<u8>,
}

impl PcapNgFile {
    /// A file that begins with a section of this byte order.
    #[must_use]
    pub fn new(big_endian: bool) -> Self {
        Self {
            big_endian,
            bytes: Vec::new(),
        }
        .section(big_endian)
    }

    /// A Section Header Block, which begins a section of this byte order.
    #[must_use]
    pub fn section(mut self, big_endian: bool) -> Self {
        self.big_endian = big_endian;
        let mut body = Vec::new();
        body.extend(self.word(0x1a2b_3c4d));
        body.extend(self.half(1));
        body.extend(self.half(0));
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body)
    }

    /// A number in the byte order of the section.
    #[must_use]
    pub fn word(&self, word: u32) -> [u8; 4] {
        if self.big_endian {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    }

    fn half(&self, half: u16) -> [u8; 2] {
        if self.big_endian {
            half.to_be_bytes()
        } else {
            half.to_le_bytes()
        }
    }

    fn options(&self, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (code, value) in options {
            out.extend(self.half(*code));
            out.extend(self.half(value.len() as u16));
            out.extend_from_slice(value);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        if !out.is_empty() {
            out.extend([0; 4]);
        }
        out
    }

    /// A block of any kind.
    #[must_use]
    pub fn block(mut self, kind: u32, body: &[u8]) -> Self {
        let padded = body.len().next_multiple_of(4);
        let length = self.word(padded as u32 + 12);
        self.bytes.extend(self.word(kind));
        self.bytes.extend(length);
        self.bytes.extend_from_slice(body);
        self.bytes.resize(self.bytes.len() + padded - body.len(), 0);
        self.bytes.extend(length);
        self
    }

    /// An Interface Description Block, with options as code and value.
    #[must_use]
    pub fn interface(self, link: u16, snap_len: u32, options: &[(u16, &[u8])]) -> Self {
        let mut body = Vec::new();
        body.extend(self.half(link));
        body.extend([0; 2]);
        body.extend(self.word(snap_len));
        body.extend(self.options(options));
        self.block(1, &body)
    }

    /// An Enhanced Packet Block; the time is in the units of the interface.
    #[must_use]
    pub fn packet(self, interface: u32, ticks: u64, data: &[u8]) -> Self {
        self.packet_with(interface, ticks, data, &[])
    }

    /// The same with options.
    #[must_use]
    pub fn packet_with(
        self,
        interface: u32,
        ticks: u64,
        data: &[u8],
        options: &[(u16, &[u8])],
    ) -> Self {
        let length = data.len() as u32;
        let mut body = Vec::new();
        for word in [
            interface,
            (ticks >> 32) as u32,
            ticks as u32,
            length,
            length,
        ] {
            body.extend(self.word(word));
        }
        body.extend_from_slice(data);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(self.options(options));
        self.block(6, &body)
    }

    /// A Packet Block, which pcapng has replaced.
    #[must_use]
    pub fn obsolete_packet(self, interface: u16, ticks: u64, data: &[u8]) -> Self {
        let length = data.len() as u32;
        let mut body = Vec::new();
        body.extend(self.half(interface));
        body.extend(self.half(3));
        for word in [(ticks >> 32) as u32, ticks as u32, length, length] {
            body.extend(self.word(word));
        }
        body.extend_from_slice(data);
        self.block(2, &body)
    }

    /// A Simple Packet Block, which has neither time nor interface.
    #[must_use]
    pub fn simple_packet(self, wire_len: u32, data: &[u8]) -> Self {
        let mut body = self.word(wire_len).to_vec();
        body.extend_from_slice(data);
        self.block(3, &body)
    }

    /// An Interface Statistics Block with counters.
    #[must_use]
    pub fn statistics(self, interface: u32, options: &[(u16, u64)]) -> Self {
        let values: Vec<(u16, [u8; 8])> = options
            .iter()
            .map(|(code, value)| {
                let bytes = if self.big_endian {
                    value.to_be_bytes()
                } else {
                    value.to_le_bytes()
                };
                (*code, bytes)
            })
            .collect();
        let values: Vec<(u16, &[u8])> = values
            .iter()
            .map(|(code, value)| (*code, &value[..]))
            .collect();
        let mut body = self.word(interface).to_vec();
        body.extend([0; 8]);
        body.extend(self.options(&values));
        self.block(5, &body)
    }
}

/// Reads all there is.
pub fn drain(reader: &mut CaptureReader) -> (Vec<Packet>, Vec<ReadError>) {
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    while let Some(next) = reader.next() {
        match next {
            Ok(frame) => frames.push(frame.into()),
            Err(error) => errors.push(error),
        }
    }
    (frames, errors)
}

/// A reader of one capture in memory.
///
/// # Panics
/// If it is no capture.
#[must_use]
pub fn reader(bytes: &[u8]) -> CaptureReader {
    let input = Input::from_bytes("test", bytes.to_vec());
    CaptureReader::open(vec![input]).expect("a capture")
}

/// The frames of one whole capture.
///
/// # Panics
/// If it cannot be read to its end.
#[must_use]
pub fn frames(bytes: &[u8]) -> Vec<Packet> {
    let (frames, errors) = drain(&mut reader(bytes));
    assert!(errors.is_empty(), "{errors:?}");
    frames
}

/// A capture file of packets, with times in nanoseconds. Its link type is that of the first.
#[must_use]
pub fn pcap(packets: &[Packet]) -> Vec<u8> {
    let link = packets
        .first()
        .map_or(LinkType::Ethernet, |packet| packet.link);
    let is_it = |number: &u32| LinkType::from_number(*number) == Ok(link);
    // Of the numbers of raw IP the last is the portable one.
    let number = (0..=276).rev().find(is_it).expect("its number");
    let mut file = PcapFile::new(0xa1b2_3c4d, false, number);
    for packet in packets {
        let (seconds, nanos) = (packet.nanos / 1_000_000_000, packet.nanos % 1_000_000_000);
        file = file.record(seconds as u32, nanos as u32, packet.wire_len, &packet.data);
    }
    file.bytes
}

/// Writes packets as [`pcap`] to a file.
///
/// # Errors
/// If it cannot be written.
pub fn write_pcap(path: &Path, packets: &[Packet]) -> io::Result<()> {
    fs::write(path, pcap(packets))
}
