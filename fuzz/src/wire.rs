//! Segments between one client and one server, as raw IPv4 frames.

use super::judge::Judge;
use meshsniff::packet::{Frame, FrameId, LinkType};
use meshsniff::time::Timestamp;
use meshsniff::{Analyzer, Options, Sink};

/// TCP flags as they stand in a header.
pub const FIN: u8 = 0x01;
/// Synchronize.
pub const SYN: u8 = 0x02;
/// Reset.
pub const RST: u8 = 0x04;
/// The acknowledgment counts.
pub const ACK: u8 = 0x10;

/// A captured frame.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Its number, from 1.
    pub number: u64,
    /// When.
    pub nanos: i64,
    /// Where.
    pub interface: u32,
    /// Its bytes on the wire.
    pub wire_len: u32,
    /// Those that were captured.
    pub data: Vec<u8>,
}

/// A segment to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent<'a> {
    /// Whether the server sends it.
    pub server: bool,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Flags.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// IPv4 identification.
    pub id: u16,
    /// Payload.
    pub payload: &'a [u8],
}

/// The bytes of a segment between 10.0.0.1:40000 and 10.0.0.2:8080.
pub fn ipv4(sent: &Sent<'_>) -> Vec<u8> {
    let mut ends = [([10, 0, 0, 1], 40_000_u16), ([10, 0, 0, 2], 8_080)];
    if sent.server {
        ends.reverse();
    }
    let mut data = vec![0x45, 0];
    data.extend((40 + sent.payload.len() as u16).to_be_bytes());
    data.extend(sent.id.to_be_bytes());
    data.extend([0x40, 0, 64, 6, 0, 0]);
    data.extend(ends[0].0);
    data.extend(ends[1].0);
    data.extend(ends[0].1.to_be_bytes());
    data.extend(ends[1].1.to_be_bytes());
    data.extend(sent.seq.to_be_bytes());
    data.extend(sent.ack.to_be_bytes());
    data.extend([0x50, sent.flags]);
    data.extend(sent.window.to_be_bytes());
    data.extend([0; 4]);
    data.extend_from_slice(sent.payload);
    data
}

/// Runs the analyser over packets.
pub fn analyse<'a, S: Sink>(
    packets: impl IntoIterator<Item = &'a Packet>,
    sink: &mut S,
) -> Analyzer {
    let mut analyzer = Analyzer::new(Options::default());
    for packet in packets {
        let frame = Frame {
            id: FrameId::new(0, packet.number),
            time: Timestamp::from_nanos(packet.nanos),
            interface: packet.interface,
            link: LinkType::Raw,
            wire_len: packet.wire_len,
            data: &packet.data,
        };
        analyzer.frame(&frame, sink);
    }
    analyzer.finish(sink);
    analyzer
}

/// Runs the analyser over packets and judges what it says.
pub fn judged(packets: &[Packet]) -> Judge {
    let mut judge = Judge::default();
    for packet in packets {
        judge.frame(
            FrameId::new(0, packet.number),
            Timestamp::from_nanos(packet.nanos),
        );
    }
    let analyzer = analyse(packets, &mut judge);
    judge.finish(analyzer.totals());
    judge
}

/// The packets as a nanosecond capture file of raw IP.
pub fn pcap(packets: &[Packet]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 101] {
        file.extend(word.to_le_bytes());
    }
    for packet in packets {
        let (seconds, nanos) = (packet.nanos / 1_000_000_000, packet.nanos % 1_000_000_000);
        for word in [
            seconds as u32,
            nanos as u32,
            packet.data.len() as u32,
            packet.wire_len,
        ] {
            file.extend(word.to_le_bytes());
        }
        file.extend_from_slice(&packet.data);
    }
    file
}
