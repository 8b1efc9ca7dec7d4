//! A capture file made of choices: conversations side by side in any format, and then damaged.

use super::choices::Choices;
use super::conversation;
use meshsniff::testing::files::{PcapFile, PcapNgFile};
use meshsniff::testing::{Packet, wrap};

/// Conversations in one file.
const MAX_CONVERSATIONS: u8 = 4;

/// Bytes that are damaged at most.
const MAX_DAMAGE: u8 = 7;

/// Where the ports of a TCP segment in IPv4 begin.
const PORTS: usize = 20;

/// Whether these bytes are taken for a file as they are: they begin like one that can be read.
pub fn is_one(data: &[u8]) -> bool {
    matches!(
        data,
        [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..]
            | [0x34, 0xcd, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xcd, 0x34, ..]
            | [0x0a, 0x0d, 0x0d, 0x0a, ..]
            | [0x1f, 0x8b, 8, ..]
            | [0x28, 0xb5, 0x2f, 0xfd, ..]
            | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    )
}

/// The format, the layers around each packet, how many conversations there are, what is damaged,
/// the length of every conversation but the last, and the conversations.
pub fn of(data: &[u8]) -> Vec<u8> {
    let mut choices = Choices(data);
    let format = choices.byte();
    let around = choices.byte();
    let count = choices.byte();
    let (others, damage) = (count % MAX_CONVERSATIONS, (count >> 2) % (MAX_DAMAGE + 1));
    let damage: Vec<(usize, u8)> = (0..damage)
        .map(|_| (usize::from(choices.half()), choices.byte()))
        .collect();
    let mut packets = Vec::new();
    for number in 0..=others {
        let bytes = match number < others {
            true => usize::from(choices.byte()),
            false => usize::MAX,
        };
        for mut packet in conversation::packets(choices.bytes(bytes)) {
            told_apart(&mut packet, number);
            packets.push(packet);
        }
    }
    packets.sort_by_key(|packet| packet.nanos);
    let mut file = match format & 1 {
        0 => pcap(&packets, format, around),
        _ => pcapng(&packets, format, around),
    };
    for (place, with) in damage {
        let place = place % file.len();
        file[place] ^= with;
    }
    file
}

/// Gives the client of a conversation a port of its own.
fn told_apart(packet: &mut Packet, number: u8) {
    for port in [PORTS, PORTS + 2] {
        let Some(bytes) = packet.data.get_mut(port..port + 2) else {
            continue;
        };
        if *bytes == 40_000_u16.to_be_bytes() {
            bytes[1] += number;
        }
    }
}

/// The packet as it stands in the file.
fn frame(packet: &Packet, around: u8) -> Vec<u8> {
    let data = &packet.data;
    match around % 4 {
        0 | 1 => data.clone(),
        2 => wrap::in_ethernet(data),
        _ => wrap::in_ethernet(&wrap::ip(
            meshsniff::testing::SERVER,
            meshsniff::testing::CLIENT,
            47,
            &wrap::gre(0, 0x0800, &[], data),
        )),
    }
}

fn link(around: u8) -> u16 {
    if around % 4 < 2 { 101 } else { 1 }
}

fn pcap(packets: &[Packet], format: u8, around: u8) -> Vec<u8> {
    let (magic, nano) = match format >> 2 & 3 {
        0 => (0xa1b2_c3d4, false),
        1 => (0xa1b2_cd34, false),
        _ => (0xa1b2_3c4d, true),
    };
    let mut file = PcapFile::new(magic, format & 2 != 0, u32::from(link(around)));
    for packet in packets {
        let seconds = packet.nanos.div_euclid(1_000_000_000) as u32;
        let nanos = packet.nanos.rem_euclid(1_000_000_000) as u32;
        let fraction = if nano { nanos } else { nanos / 1_000 };
        let data = frame(packet, around);
        let wire = data.len() as u32 + packet.wire_len - packet.data.len() as u32;
        file = file.record(seconds, fraction, wire, &data);
    }
    file.bytes
}

fn pcapng(packets: &[Packet], format: u8, around: u8) -> Vec<u8> {
    let mut file = PcapNgFile::new(format & 2 != 0);
    for name in [b"eth0", b"eth1"] {
        file = file.interface(link(around), 0, &[(2, name), (9, &[9])]);
    }
    for (number, packet) in packets.iter().enumerate() {
        let data = frame(packet, around);
        let (nanos, interface) = (packet.nanos as u64, packet.interface);
        file = match format & 4 != 0 && number % 3 == 0 {
            true => file.packet_with(interface, nanos, &data, &[(1, b"a comment")]),
            false => file.packet(interface, nanos, &data),
        };
    }
    if format & 8 != 0 {
        file = file.statistics(0, &[(4, packets.len() as u64), (5, 3)]);
    }
    file.bytes
}
