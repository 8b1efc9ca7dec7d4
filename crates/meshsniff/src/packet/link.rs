//! Link layers: from the first byte of a frame to the first byte of its IP packet.
//!
//! Holds how each is peeled off. Nothing here looks into IP.
//! Layouts: <https://www.tcpdump.org/linktypes.html>.

use super::frame::Frame;
use super::link_type::LinkType;
use etherparse::{EtherType, Ethernet2HeaderSlice, SingleVlanHeaderSlice, ether_type};

/// A frame without its link layer.
pub(super) enum Peeled<'a> {
    /// An IP packet, with any padding behind it.
    Ip {
        data: &'a [u8],
        /// Where the frame was sighted, as `Segment::tap`.
        tap: u32,
    },
    /// Something else.
    Other,
    /// Too short for its own headers.
    Malformed,
}

/// VLAN tags that are looked through: one more than QinQ has.
const MAX_TAGS: usize = 3;

/// `LINUX_SLL_OUTGOING`: the packet was sent by the machine that captured it.
const OUTGOING: u8 = 4;

/// Takes the link layer off a frame.
pub(super) fn peel<'a>(frame: &Frame<'a>) -> Peeled<'a> {
    let data = frame.data;
    match frame.link {
        LinkType::Ethernet => match Ethernet2HeaderSlice::from_slice(data) {
            Ok(header) => ether(frame, header.ether_type(), &data[header.slice().len()..], 0),
            Err(_) => Peeled::Malformed,
        },
        LinkType::Raw | LinkType::Ipv4 | LinkType::Ipv6 => ip(frame, data, 0),
        LinkType::Null | LinkType::Loop => match data.split_first_chunk::<4>() {
            Some((family, rest)) => loopback(frame, *family, rest),
            None => Peeled::Malformed,
        },
        LinkType::LinuxSll => match data.split_first_chunk::<16>() {
            Some((header, rest)) => {
                let protocol = EtherType(u16::from_be_bytes([header[14], header[15]]));
                ether(frame, protocol, rest, direction(header[1]))
            }
            None => Peeled::Malformed,
        },
        LinkType::LinuxSll2 => match data.split_first_chunk::<20>() {
            Some((header, rest)) => {
                let protocol = EtherType(u16::from_be_bytes([header[0], header[1]]));
                let ifindex = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                ether(frame, protocol, rest, ifindex << 1 | direction(header[10]))
            }
            None => Peeled::Malformed,
        },
    }
}

/// 1 for a packet on its way out, else 0: incoming, broadcast and overheard ones are one direction.
fn direction(packet_type: u8) -> u32 {
    u32::from(packet_type == OUTGOING)
}

fn loopback<'a>(frame: &Frame<'a>, family: [u8; 4], rest: &'a [u8]) -> Peeled<'a> {
    // The byte order is the capturing machine's, which the file does not always share. No family is
    // 65,536 or above, so only one reading of it makes sense.
    let family = u32::from_le_bytes(family).min(u32::from_be_bytes(family));
    match family {
        // AF_INET, and AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        2 | 10 | 24 | 28 | 30 => ip(frame, rest, 0),
        _ => Peeled::Other,
    }
}

fn ether<'a>(
    frame: &Frame<'a>,
    mut ether_type: EtherType,
    mut rest: &'a [u8],
    place: u32,
) -> Peeled<'a> {
    for _ in 0..=MAX_TAGS {
        match ether_type {
            ether_type::IPV4 | ether_type::IPV6 => return ip(frame, rest, place),
            ether_type::VLAN_TAGGED_FRAME
            | ether_type::PROVIDER_BRIDGING
            | ether_type::VLAN_DOUBLE_TAGGED_FRAME => {
                let Ok(tag) = SingleVlanHeaderSlice::from_slice(rest) else {
                    return Peeled::Malformed;
                };
                ether_type = tag.ether_type();
                rest = &rest[tag.slice().len()..];
            }
            _ => return Peeled::Other,
        }
    }
    Peeled::Other
}

fn ip<'a>(frame: &Frame<'a>, data: &'a [u8], place: u32) -> Peeled<'a> {
    Peeled::Ip {
        data,
        tap: tap(frame.id.source(), frame.interface, place),
    }
}

/// One number for source, interface and what the link layer says (`place`: interface index and direction).
///
/// Multiplying spreads source and interface over the whole number, so that they do not meet the low bits
/// that `place` uses; two of the few sightings of one packet that share a number are next to impossible.
fn tap(source: u16, interface: u32, place: u32) -> u32 {
    let seat = u64::from(source) << 32 | u64::from(interface);
    (seat.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 ^ place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_own_tap() {
        let mut seen = std::collections::HashSet::new();
        for source in 0..8 {
            for interface in 0..8 {
                for place in 0..64 {
                    assert!(seen.insert(tap(source, interface, place)));
                }
            }
        }
    }
}
