//! Layers around a packet: tunnels, and what captures of other link types have before it.
//!
//! Each function takes what is inside and returns it with one more header in front.

use crate::packet::Endpoint;
use etherparse::{IpNumber, Ipv4Header, Ipv6Header};
use std::net::IpAddr;

/// The EtherType of an IP packet.
#[must_use]
pub fn ether_type(packet: &[u8]) -> u16 {
    match packet.first() {
        Some(first) if first >> 4 == 6 => 0x86dd,
        _ => 0x0800,
    }
}

/// An Ethernet frame.
#[must_use]
pub fn ethernet(ether_type: u16, inside: &[u8]) -> Vec<u8> {
    [&[2; 12], &ether_type.to_be_bytes()[..], inside].concat()
}

/// An IP packet in an Ethernet frame.
#[must_use]
pub fn in_ethernet(packet: &[u8]) -> Vec<u8> {
    ethernet(ether_type(packet), packet)
}

/// An IP packet of any protocol; ports are left out.
///
/// # Panics
/// If the ends are of two families, or the packet would be too long.
#[must_use]
pub fn ip(from: Endpoint, to: Endpoint, protocol: u8, inside: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let length = inside.len() as u16;
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let (from, to) = (from.octets(), to.octets());
            let header = Ipv4Header::new(length, 64, IpNumber(protocol), from, to);
            let header = header.expect("not too long");
            header.write(&mut out).expect("a header");
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                payload_length: length,
                next_header: IpNumber(protocol),
                hop_limit: 64,
                source: from.octets(),
                destination: to.octets(),
                ..Default::default()
            };
            header.write(&mut out).expect("a header");
        }
        ends => panic!("two families of addresses: {ends:?}"),
    }
    out.extend_from_slice(inside);
    out
}

/// A UDP datagram in an IP packet, without a checksum.
#[must_use]
pub fn udp(from: Endpoint, to: Endpoint, inside: &[u8]) -> Vec<u8> {
    let length = inside.len() as u16 + 8;
    let mut datagram = Vec::new();
    for half in [from.port, to.port, length, 0] {
        datagram.extend(half.to_be_bytes());
    }
    datagram.extend_from_slice(inside);
    ip(from, to, 17, &datagram)
}

/// The header of VXLAN before an Ethernet frame.
#[must_use]
pub fn vxlan(network: u32, frame: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0], &(network << 8).to_be_bytes()[..], frame].concat()
}

/// The header of GENEVE, with `options` in words of 4 bytes.
#[must_use]
pub fn geneve(network: u32, protocol: u16, options: &[u8], inside: &[u8]) -> Vec<u8> {
    let words = options.len() as u8 / 4;
    let [high, low] = protocol.to_be_bytes();
    let head = [words, 0, high, low];
    let network = (network << 8).to_be_bytes();
    [&head, &network[..], options, inside].concat()
}

/// The header of GRE, with the words that `flags` announce.
#[must_use]
pub fn gre(flags: u16, protocol: u16, words: &[u32], inside: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(flags.to_be_bytes());
    out.extend(protocol.to_be_bytes());
    for word in words {
        out.extend(word.to_be_bytes());
    }
    out.extend_from_slice(inside);
    out
}

/// ERSPAN type II in GRE, before an Ethernet frame.
#[must_use]
pub fn erspan_2(session: u16, frame: &[u8]) -> Vec<u8> {
    let [high, low] = session.to_be_bytes();
    let header = [0x10, 0, high, low, 0, 0, 0, 0];
    gre(0x1000, 0x88be, &[1], &[&header, frame].concat())
}

/// ERSPAN type III in GRE, before an Ethernet frame, with the optional header.
#[must_use]
pub fn erspan_3(session: u16, frame: &[u8]) -> Vec<u8> {
    let [high, low] = session.to_be_bytes();
    let header = [0x20, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 1];
    gre(
        0x1000,
        0x22eb,
        &[1],
        &[&header, &[0; 8][..], frame].concat(),
    )
}

/// MPLS labels, the last one marked as such.
#[must_use]
pub fn mpls(labels: &[u32], inside: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (place, label) in labels.iter().enumerate() {
        let last = u32::from(place + 1 == labels.len());
        out.extend((label << 12 | last << 8 | 64).to_be_bytes());
    }
    out.extend_from_slice(inside);
    out
}

/// The number of IP in PPP, before an IP packet.
#[must_use]
pub fn ppp(packet: &[u8]) -> Vec<u8> {
    let protocol = if ether_type(packet) == 0x86dd {
        0x57
    } else {
        0x21
    };
    [&[0, protocol], packet].concat()
}

/// A PPPoE session's header before a PPP frame.
#[must_use]
pub fn pppoe(frame: &[u8]) -> Vec<u8> {
    let [high, low] = (frame.len() as u16).to_be_bytes();
    [&[0x11, 0, 0, 7, high, low], frame].concat()
}

/// LLC and SNAP before an IP packet.
#[must_use]
pub fn snap(packet: &[u8]) -> Vec<u8> {
    let ether_type = ether_type(packet).to_be_bytes();
    [&[0xaa, 0xaa, 3, 0, 0, 0], &ether_type[..], packet].concat()
}

/// An 802.11 data frame with the second byte `flags`; with the quality-of-service field if `qos`.
#[must_use]
pub fn wifi(flags: u8, qos: Option<u8>, inside: &[u8]) -> Vec<u8> {
    let mut out = vec![if qos.is_some() { 0x88 } else { 0x08 }, flags];
    out.resize(24, 0);
    if flags & 3 == 3 {
        out.extend([2; 6]);
    }
    if let Some(qos) = qos {
        out.extend([qos, 0]);
        if flags & 0x80 != 0 {
            out.extend([0; 4]);
        }
    }
    out.extend_from_slice(inside);
    out
}

/// A radiotap header with a time, and these flags.
#[must_use]
pub fn radiotap(flags: u8, frame: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 20, 0, 0x03, 0, 0, 0];
    out.extend([9; 8]);
    out.extend([flags, 0, 0, 0]);
    out.extend_from_slice(frame);
    out
}

/// An AVS header.
#[must_use]
pub fn avs(frame: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80, 0x21, 0x10, 1, 0, 0, 0, 64];
    out.resize(64, 0);
    out.extend_from_slice(frame);
    out
}

/// A Prism header.
#[must_use]
pub fn prism(frame: &[u8]) -> Vec<u8> {
    let mut out = vec![0x44, 0, 0, 0, 144, 0, 0, 0];
    out.resize(144, 0);
    out.extend_from_slice(frame);
    out
}

/// A message of Linux's firewall about a packet, in little-endian order.
#[must_use]
pub fn nflog(interface: u32, packet: &[u8]) -> Vec<u8> {
    let family = if ether_type(packet) == 0x86dd { 10 } else { 2 };
    let mut out = vec![family, 0, 0, 1];
    let mut value = |kind: u16, value: &[u8]| {
        out.extend((value.len() as u16 + 4).to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    };
    value(1, &[8, 0, 1, 0]);
    value(10, b"seen\0");
    value(4, &interface.to_be_bytes());
    value(9, packet);
    out
}

/// A header of macOS before a frame of link type `link`.
#[must_use]
pub fn pktap(link: u32, interface: &str, outgoing: bool, frame: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [108, 1, link] {
        out.extend(u32::to_le_bytes(word));
    }
    out.extend_from_slice(interface.as_bytes());
    out.resize(36, 0);
    out.extend(if outgoing { 2_u32 } else { 1 }.to_le_bytes());
    out.resize(108, 0);
    out.extend_from_slice(frame);
    out
}
