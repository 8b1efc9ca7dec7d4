//! What may stand between the link layer and IP: VLAN tags, LLC and SNAP, PPPoE and PPP, MPLS.
//!
//! Holds no link type of a capture file: those lead here, and tunnels do. What is given back of a
//! frame is always its rest, so that its length says how much was taken off.

use super::NotRead;
use etherparse::{EtherType, SingleVlanHeaderSlice, ether_type};

/// What is left of a frame when all up to IP is taken off.
pub(super) enum Inner<'a> {
    /// An IP packet, with any padding behind it.
    Ip(&'a [u8]),
    /// Something else.
    NotRead(NotRead),
    /// Too short for its own headers.
    Malformed,
}

/// VLAN tags that are looked through: one more than QinQ has.
const MAX_TAGS: usize = 3;

/// Layers that may lie in one another, an Ethernet in MPLS being two of them.
const MAX_LAYERS: u8 = 6;

/// MPLS labels that are looked through.
const MAX_LABELS: usize = 16;

/// EtherTypes below are lengths of IEEE 802.3 frames.
const MIN_ETHER_TYPE: u16 = 0x0600;

/// Length of an Ethernet header.
const ETHERNET: usize = 14;

/// Takes an Ethernet header and what follows it off.
pub(super) fn ethernet(data: &[u8]) -> Inner<'_> {
    ethernet_at(data, MAX_LAYERS)
}

/// Takes off what follows an EtherType.
pub(super) fn ether(ether_type: EtherType, rest: &[u8]) -> Inner<'_> {
    ether_at(ether_type, rest, MAX_LAYERS)
}

/// Takes an LLC header and what follows it off (IEEE 802.2, RFC 1042).
pub(super) fn llc(data: &[u8]) -> Inner<'_> {
    llc_at(data, MAX_LAYERS)
}

/// Takes a PPP header off, with or without HDLC's address and control before it (RFC 1661, RFC
/// 1662), and Cisco's HDLC, which looks alike.
pub(super) fn ppp(data: &[u8]) -> Inner<'_> {
    ppp_at(data, MAX_LAYERS)
}

/// Takes a PPPoE session header and the PPP header off (RFC 2516).
pub(super) fn pppoe(data: &[u8]) -> Inner<'_> {
    pppoe_at(data, MAX_LAYERS)
}

/// Takes an MPLS label stack off (RFC 3032).
pub(super) fn mpls(data: &[u8]) -> Inner<'_> {
    mpls_at(data, MAX_LAYERS)
}

fn ethernet_at(data: &[u8], left: u8) -> Inner<'_> {
    match data.split_first_chunk::<ETHERNET>() {
        Some((header, rest)) => ether_at(type_of(header), rest, left),
        None => Inner::Malformed,
    }
}

fn type_of(header: &[u8; ETHERNET]) -> EtherType {
    EtherType(u16::from_be_bytes([header[12], header[13]]))
}

fn ether_at(mut ether_type: EtherType, mut rest: &[u8], left: u8) -> Inner<'_> {
    let Some(left) = left.checked_sub(1) else {
        return Inner::NotRead(NotRead::TooDeep);
    };
    for _ in 0..=MAX_TAGS {
        match ether_type {
            ether_type::IPV4 | ether_type::IPV6 => return Inner::Ip(rest),
            ether_type::VLAN_TAGGED_FRAME
            | ether_type::PROVIDER_BRIDGING
            | ether_type::VLAN_DOUBLE_TAGGED_FRAME => {
                let Ok(tag) = SingleVlanHeaderSlice::from_slice(rest) else {
                    return Inner::Malformed;
                };
                ether_type = tag.ether_type();
                rest = &rest[tag.slice().len()..];
            }
            other => return untagged(other.0, rest, left),
        }
    }
    Inner::NotRead(NotRead::Link)
}

fn untagged(ether_type: u16, rest: &[u8], left: u8) -> Inner<'_> {
    Inner::NotRead(match ether_type {
        0x8864 => return pppoe_at(rest, left),
        0x8847 | 0x8848 => return mpls_at(rest, left),
        0x6558 => return ethernet_at(rest, left),
        ..MIN_ETHER_TYPE => return llc_at(rest, left),
        0x0806 | 0x8035 => NotRead::Arp,
        0x8863 => NotRead::PppoeDiscovery,
        0x8809 => NotRead::Lacp,
        0x888e => NotRead::Eapol,
        0x88cc => NotRead::Lldp,
        0x88e5 => NotRead::Macsec,
        _ => NotRead::Link,
    })
}

fn llc_at(data: &[u8], left: u8) -> Inner<'_> {
    let Some((&[to, from, control], rest)) = data.split_first_chunk::<3>() else {
        return Inner::Malformed;
    };
    Inner::NotRead(match (to, from, control) {
        (0xaa, 0xaa, 0x03) => {
            let Some((&[a, b, c, high, low], rest)) = rest.split_first_chunk::<5>() else {
                return Inner::Malformed;
            };
            let protocol = u16::from_be_bytes([high, low]);
            match [a, b, c] {
                // An EtherType: of RFC 1042, of bridges (IEEE 802.1H), of Cisco's.
                [0, 0, 0] | [0, 0, 0xf8] => return ether_at(EtherType(protocol), rest, left),
                [0, 0, 0x0c] => NotRead::Cisco,
                _ => NotRead::Llc,
            }
        }
        (0x06, 0x06, 0x03) => return Inner::Ip(rest),
        (0x42, 0x42, 0x03) => NotRead::SpanningTree,
        _ => NotRead::Llc,
    })
}

fn pppoe_at(data: &[u8], left: u8) -> Inner<'_> {
    match data.split_first_chunk::<6>() {
        // Version and type are 1, and code 0 is data.
        Some(([0x11, 0, ..], rest)) => ppp_at(rest, left),
        Some(_) => Inner::NotRead(NotRead::PppoeDiscovery),
        None => Inner::Malformed,
    }
}

fn ppp_at(data: &[u8], left: u8) -> Inner<'_> {
    let rest = match data {
        [0xff, 0x03, rest @ ..] => rest,
        [0xff | 0x0f | 0x8f] | [0x0f | 0x8f, 0x00] | [0x0f | 0x8f, 0x00, _] => {
            return Inner::Malformed;
        }
        [0x0f | 0x8f, 0x00, high, low, rest @ ..] => {
            let ether_type = EtherType(u16::from_be_bytes([*high, *low]));
            return ether_at(ether_type, rest, left);
        }
        rest => rest,
    };
    // The last byte of a protocol's number is odd, its first one even: a number of one byte is
    // short for one that begins with 0.
    let (protocol, rest) = match rest {
        [low, rest @ ..] if low & 1 == 1 => (u16::from(*low), rest),
        [high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        _ => return Inner::Malformed,
    };
    Inner::NotRead(match protocol {
        0x0021 | 0x0057 => return Inner::Ip(rest),
        0x0281 | 0x0283 => return mpls_at(rest, left),
        // Van Jacobson's headers, multilink, encryption, ROHC, compression.
        0x002d | 0x002f | 0x003d | 0x0053 | 0x0055 | 0x0003 | 0x0005 | 0x00fb | 0x00fd => {
            NotRead::PppCompressed
        }
        _ => NotRead::Ppp,
    })
}

fn mpls_at(mut data: &[u8], left: u8) -> Inner<'_> {
    let Some(left) = left.checked_sub(1) else {
        return Inner::NotRead(NotRead::TooDeep);
    };
    for _ in 0..MAX_LABELS {
        let Some((label, rest)) = data.split_first_chunk::<4>() else {
            return Inner::Malformed;
        };
        data = rest;
        let is_last = label[2] & 1 == 1;
        if is_last {
            return below_labels(data, left);
        }
    }
    Inner::NotRead(NotRead::Mpls)
}

/// Nothing says what follows the last label: the first bits tell IP, and an Ethernet pseudowire
/// (RFC 4448), with a control word or without, shows an EtherType in its place.
fn below_labels(data: &[u8], left: u8) -> Inner<'_> {
    let Some(first) = data.first() else {
        return Inner::Malformed;
    };
    match first >> 4 {
        4 | 6 => Inner::Ip(data),
        0 => match data.split_first_chunk::<4>() {
            Some((_, rest)) if holds_ethernet(rest) => ethernet_at(rest, left),
            Some((_, rest)) if rest.len() >= ETHERNET => pseudowire(data, left),
            _ => Inner::Malformed,
        },
        _ => pseudowire(data, left),
    }
}

fn pseudowire(data: &[u8], left: u8) -> Inner<'_> {
    match data.len() {
        ..ETHERNET => Inner::Malformed,
        _ if holds_ethernet(data) => ethernet_at(data, left),
        _ => Inner::NotRead(NotRead::Mpls),
    }
}

/// Whether an EtherType that is often seen stands in its place.
fn holds_ethernet(data: &[u8]) -> bool {
    let header = data.first_chunk::<ETHERNET>();
    header.is_some_and(|header| {
        matches!(
            type_of(header).0,
            0x0800 | 0x86dd | 0x0806 | 0x8100 | 0x88a8 | 0x8847 | 0x8848 | 0x8863 | 0x8864
        )
    })
}
