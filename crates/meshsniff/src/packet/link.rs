//! Link layers: from the first byte of a frame to the first byte of its IP packet.
//!
//! Holds the link types that can be read and how each is peeled off. Nothing here looks into IP.
//! Layouts: <https://www.tcpdump.org/linktypes.html>.

use etherparse::{EtherType, Ethernet2HeaderSlice, SingleVlanHeaderSlice, ether_type};
use thiserror::Error;

/// What a frame's data begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// Ethernet, with any VLAN tags (1).
    Ethernet,
    /// BSD loopback, address family in the byte order of the machine that captured (0).
    Null,
    /// OpenBSD loopback, address family in network byte order (108).
    Loop,
    /// IPv4 or IPv6 without a link layer (101, and 12 and 14 as some systems write it).
    Raw,
    /// IPv4 without a link layer (228).
    Ipv4,
    /// IPv6 without a link layer (229).
    Ipv6,
    /// Linux cooked v1 (113).
    LinuxSll,
    /// Linux cooked v2, which names the interface: what `tcpdump -i any` writes (276).
    LinuxSll2,
}

/// A link type that is not read, by its number in the capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error(
    "link type {0} cannot be read: Ethernet (1), Linux cooked (113, 276), BSD loopback (0, 108) and raw IP \
     (101, 228, 229) can; capture on an Ethernet or loopback interface, or on \"any\""
)]
pub struct UnsupportedLink(pub u32);

impl LinkType {
    /// The link type with the number `number` in a capture file (`LINKTYPE_…`).
    ///
    /// # Errors
    /// If frames of that link type cannot be read.
    pub const fn from_number(number: u32) -> Result<Self, UnsupportedLink> {
        Ok(match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            // LINKTYPE_RAW is 101; 12 and 14 are what DLT_RAW was on some systems that wrote it as
            // it stood.
            12 | 14 | 101 => Self::Raw,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            _ => return Err(UnsupportedLink(number)),
        })
    }
}

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

/// Where a frame was captured: which source, and which interface of it.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) source: u16,
    pub(super) interface: u32,
}

/// Takes the link layer off a frame.
pub(super) fn peel(link: LinkType, data: &[u8], frame: Origin) -> Peeled<'_> {
    match link {
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

fn loopback<'a>(frame: Origin, family: [u8; 4], rest: &'a [u8]) -> Peeled<'a> {
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
    frame: Origin,
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

fn ip<'a>(frame: Origin, data: &'a [u8], place: u32) -> Peeled<'a> {
    Peeled::Ip {
        data,
        tap: tap(frame.source, frame.interface, place),
    }
}

/// One number for source, interface and what the link layer says (`place`: interface index and
/// direction).
///
/// Multiplying spreads source and interface over the whole number, so that they do not meet the low
/// bits that `place` uses; two of the few sightings of one packet that share a number are next to
/// impossible.
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

    #[test]
    fn numbers_that_are_read() {
        for number in [0, 1, 12, 14, 101, 108, 113, 228, 229, 276] {
            assert!(LinkType::from_number(number).is_ok(), "{number}");
        }
        let refused = LinkType::from_number(195).unwrap_err();
        assert!(refused.to_string().contains("195"), "{refused}");
    }
}
