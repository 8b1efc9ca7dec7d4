//! Tunnels: what an IP packet carries that is a packet again.
//!
//! Holds IP in IP, GRE with ERSPAN, EtherIP, MPLS in IP, VXLAN and GENEVE. A tunnel in UDP is known
//! by its destination port, and what cannot be one by its first bytes is left as it is.

use super::NotRead;
use super::ip::Upper;
use super::layers::{self, Inner};
use etherparse::{EtherType, ip_number};

/// Why a packet holds no TCP segment of its own.
pub(super) enum Opened<'a> {
    /// It is a tunnel. `network` is the number by which it tells its networks apart.
    Tunnel { inner: Inner<'a>, network: u32 },
    /// It is none.
    NotRead(NotRead),
    /// Too short for its own headers.
    Malformed,
}

impl<'a> Opened<'a> {
    const fn tunnel(inner: Inner<'a>, network: u32) -> Self {
        Self::Tunnel { inner, network }
    }
}

/// Opens a packet that is no TCP.
pub(super) fn open<'a>(upper: &Upper<'a>) -> Opened<'a> {
    let data = upper.data;
    Opened::NotRead(match upper.protocol {
        ip_number::IPV4 | ip_number::IPV6 => return Opened::tunnel(Inner::Ip(data), 0),
        ip_number::UDP => return udp(data),
        ip_number::GRE => return gre(data),
        ip_number::ETHER_IP => {
            return match data.get(2..) {
                Some(rest) => Opened::tunnel(layers::ethernet(rest), 0),
                None => Opened::Malformed,
            };
        }
        ip_number::MPLS_IN_IP => return Opened::tunnel(layers::mpls(data), 0),
        ip_number::ENCAP_SEC => NotRead::Esp,
        ip_number::ICMP => NotRead::Icmp,
        ip_number::IPV6_ICMP => NotRead::Icmpv6,
        ip_number::IGMP => NotRead::Igmp,
        ip_number::SCTP => NotRead::Sctp,
        ip_number::OSPFIGP => NotRead::Ospf,
        ip_number::PIM => NotRead::Pim,
        ip_number::VRRP => NotRead::Vrrp,
        ip_number::LAYER2_TUNNELING_PROTOCOL => NotRead::L2tp,
        _ => NotRead::Ip,
    })
}

const VXLAN: u16 = 4789;
/// The port that Linux had for VXLAN before it was given one.
const VXLAN_OF_LINUX: u16 = 8472;
const VXLAN_GPE: u16 = 4790;
const GENEVE: u16 = 6081;

fn udp(data: &[u8]) -> Opened<'_> {
    let Some((header, rest)) = data.split_first_chunk::<8>() else {
        return Opened::Malformed;
    };
    let [from, to] = [0, 2].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
    match to {
        VXLAN | VXLAN_OF_LINUX => return vxlan(rest),
        VXLAN_GPE => return vxlan_gpe(rest),
        GENEVE => return geneve(rest),
        _ => {}
    }
    let is = |port| from == port || to == port;
    Opened::NotRead(if is(443) {
        NotRead::Quic
    } else if is(4500) && !rest.starts_with(&[0; 4]) {
        NotRead::Esp
    } else if is(51820) && matches!(rest, [1..=4, 0, 0, 0, ..]) {
        NotRead::WireGuard
    } else if is(1194) {
        NotRead::OpenVpn
    } else if is(1701) {
        NotRead::L2tp
    } else if is(2152) {
        NotRead::Gtp
    } else {
        NotRead::Udp
    })
}

/// A VXLAN header says that its network's number is valid (RFC 7348, 5).
fn vxlan(data: &[u8]) -> Opened<'_> {
    const VALID: u8 = 0x08;
    match data.split_first_chunk::<8>() {
        Some((header, rest)) if header[0] & VALID != 0 => {
            Opened::tunnel(layers::ethernet(rest), network(&header[4..]))
        }
        Some(_) => Opened::NotRead(NotRead::Vxlan),
        None => Opened::Malformed,
    }
}

/// VXLAN that says what it carries (draft-ietf-nvo3-vxlan-gpe).
fn vxlan_gpe(data: &[u8]) -> Opened<'_> {
    const HAS_NEXT: u8 = 0x04;
    let Some((header, rest)) = data.split_first_chunk::<8>() else {
        return Opened::Malformed;
    };
    let inner = match (header[0] & HAS_NEXT, header[3]) {
        (0, _) | (_, 3) => layers::ethernet(rest),
        (_, 1 | 2) => Inner::Ip(rest),
        (_, 5) => layers::mpls(rest),
        _ => return Opened::NotRead(NotRead::Vxlan),
    };
    Opened::tunnel(inner, network(&header[4..]))
}

/// RFC 8926, 3.4.
fn geneve(data: &[u8]) -> Opened<'_> {
    let Some((header, rest)) = data.split_first_chunk::<8>() else {
        return Opened::Malformed;
    };
    let (version, options) = (header[0] >> 6, usize::from(header[0] & 0x3f) * 4);
    if version != 0 {
        return Opened::NotRead(NotRead::Geneve);
    }
    let Some(rest) = rest.get(options..) else {
        return Opened::Malformed;
    };
    let inner = match u16::from_be_bytes([header[2], header[3]]) {
        // A message of the tunnel's own.
        0 => return Opened::NotRead(NotRead::Geneve),
        protocol => layers::ether(EtherType(protocol), rest),
    };
    Opened::tunnel(inner, network(&header[4..]))
}

/// The number in the first three bytes.
fn network(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk::<3>()
        .map_or(0, |[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]))
}

const CHECKSUM: u8 = 0x80;
const ROUTING: u8 = 0x40;
const KEY: u8 = 0x20;
const SEQUENCE: u8 = 0x10;
/// Of version 1, in the second byte.
const ACKNOWLEDGMENT: u8 = 0x80;

/// GRE (RFC 2784, RFC 2890), and its version 1, which carries PPP (RFC 2637).
fn gre(data: &[u8]) -> Opened<'_> {
    let Some((&[flags, second, high, low], mut rest)) = data.split_first_chunk::<4>() else {
        return Opened::Malformed;
    };
    let version = second & 0x07;
    let protocol = u16::from_be_bytes([high, low]);
    if version > 1 || flags & ROUTING != 0 {
        return Opened::NotRead(NotRead::Gre);
    }
    let mut key = 0;
    let words = [
        (version == 0 && flags & CHECKSUM != 0, false),
        (flags & KEY != 0, true),
        (flags & SEQUENCE != 0, false),
        (version == 1 && second & ACKNOWLEDGMENT != 0, false),
    ];
    for (_, is_key) in words.into_iter().filter(|(is_there, _)| *is_there) {
        let Some((word, behind)) = rest.split_first_chunk::<4>() else {
            return Opened::Malformed;
        };
        if is_key {
            // Of version 1 the upper half is a length.
            key = u32::from_be_bytes(*word) & if version == 1 { 0xffff } else { u32::MAX };
        }
        rest = behind;
    }
    let inner = match protocol {
        0x880b => layers::ppp(rest),
        0x88be => return erspan(rest, flags),
        0x22eb => return erspan_3(rest),
        // A redirected packet, which Cisco's WCCP puts a word before (version 2).
        0x883e => match rest {
            [first, ..] if first >> 4 == 4 => Inner::Ip(rest),
            [_, _, _, _, ip @ ..] => Inner::Ip(ip),
            _ => return Opened::Malformed,
        },
        // A keepalive carries nothing.
        0 => return Opened::NotRead(NotRead::Gre),
        protocol => match layers::ether(EtherType(protocol), rest) {
            Inner::NotRead(NotRead::Link | NotRead::Llc) => Inner::NotRead(NotRead::Gre),
            inner => inner,
        },
    };
    Opened::tunnel(inner, key)
}

/// ERSPAN type I has no header, and no sequence number of GRE; type II has 8 bytes
/// (draft-foschiano-erspan, 4.2).
fn erspan(data: &[u8], gre_flags: u8) -> Opened<'_> {
    if gre_flags & SEQUENCE == 0 {
        return Opened::tunnel(layers::ethernet(data), 0);
    }
    match data.split_first_chunk::<8>() {
        Some((header, rest)) => {
            Opened::tunnel(layers::ethernet(rest), session(header[2], header[3]))
        }
        None => Opened::Malformed,
    }
}

/// ERSPAN type III: 12 bytes, and 8 more if the last bit says so (draft-foschiano-erspan, 4.3).
fn erspan_3(data: &[u8]) -> Opened<'_> {
    let Some((header, mut rest)) = data.split_first_chunk::<12>() else {
        return Opened::Malformed;
    };
    if header[11] & 1 != 0 {
        match rest.get(8..) {
            Some(behind) => rest = behind,
            None => return Opened::Malformed,
        }
    }
    // The frame's type: 0 is Ethernet, 2 an IP packet.
    let inner = match header[10] >> 2 & 0x1f {
        0 => layers::ethernet(rest),
        2 => Inner::Ip(rest),
        _ => return Opened::NotRead(NotRead::Gre),
    };
    let leaves = u32::from(header[11] >> 3 & 1);
    Opened::tunnel(inner, session(header[2], header[3]) << 1 | leaves)
}

/// The session in the low 10 bits.
fn session(high: u8, low: u8) -> u32 {
    u32::from(u16::from_be_bytes([high & 0x03, low]))
}
