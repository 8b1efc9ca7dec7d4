//! Link layers: from the first byte of a frame to the first byte of its IP packet.
//!
//! Holds the link types that can be read and how each is peeled off. What stands between them and
//! IP is in `layers`. Nothing here looks into IP.
//! Layouts: <https://www.tcpdump.org/linktypes.html>.

use super::layers::{self, Inner};
use super::{NotRead, wifi};
use etherparse::{EtherType, Ethernet2HeaderSlice, ether_type};
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
    /// PPP, with or without HDLC's address, and Cisco's HDLC (9, 50, and 104 for the latter).
    Ppp,
    /// A PPPoE session (51).
    PppoeSession,
    /// 802.11 (105).
    Wifi,
    /// 802.11 behind a Prism header, or an AVS one in its place (119).
    WifiPrism,
    /// 802.11 behind a radiotap header (127).
    WifiRadiotap,
    /// 802.11 behind an AVS header (163).
    WifiAvs,
    /// What Linux's firewall logs (239).
    Nflog,
    /// Frames of any kind behind a header of macOS (258).
    Pktap,
}

/// A link type that is not read, by its number in the capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error(
    "{} cannot be read: Ethernet (1), Linux cooked (113, 276), BSD loopback (0, 108), raw IP (101, \
     228, 229), PPP (9, 50, 51), 802.11 (105, 119, 127, 163), NFLOG (239) and PKTAP (258) can; \
     capture on an Ethernet or loopback interface, or on \"any\"",
    self.name()
)]
pub struct UnsupportedLink(pub u32);

impl UnsupportedLink {
    /// What it is called in a report: `link type 195 (802.15.4)`.
    #[must_use]
    pub fn name(self) -> String {
        let number = self.0;
        let known = match number {
            6 => "token ring",
            7 => "ARCNET",
            10 => "FDDI",
            11 | 100 => "ATM",
            107 => "frame relay",
            117 => "PFLOG",
            122 => "Fibre Channel",
            143 => "DOCSIS",
            147..=162 => "a user's own",
            166 | 204 => "PPP with direction",
            187 | 201 => "Bluetooth HCI",
            186 | 189 | 220 | 249 | 266 => "USB",
            192 => "PPI",
            195 | 215 | 230 | 283 => "802.15.4",
            227 => "CAN",
            247 => "InfiniBand",
            251 | 255 | 256 | 272 => "Bluetooth LE",
            252 => "Wireshark's upper PDUs",
            253 => "netlink",
            271 => "VSOCK",
            _ => return format!("link type {number}"),
        };
        format!("link type {number} ({known})")
    }
}

impl LinkType {
    /// The link type with the number `number` in a capture file (`LINKTYPE_…`).
    ///
    /// # Errors
    /// If frames of that link type cannot be read.
    pub const fn from_number(number: u32) -> Result<Self, UnsupportedLink> {
        Ok(match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            9 | 50 | 104 => Self::Ppp,
            51 => Self::PppoeSession,
            // LINKTYPE_RAW is 101; 12 and 14 are what DLT_RAW was on some systems that wrote it as
            // it stood.
            12 | 14 | 101 => Self::Raw,
            105 => Self::Wifi,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            119 => Self::WifiPrism,
            127 => Self::WifiRadiotap,
            163 => Self::WifiAvs,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            239 => Self::Nflog,
            258 => Self::Pktap,
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
    NotRead(NotRead),
    /// Too short for its own headers.
    Malformed,
}

/// `LINUX_SLL_OUTGOING`: the packet was sent by the machine that captured it.
const OUTGOING: u8 = 4;

/// Where a frame was captured: which source, and which interface of it.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) source: u16,
    pub(super) interface: u32,
}

/// Takes the link layer off a frame.
#[inline]
pub(super) fn peel(link: LinkType, data: &[u8], frame: Origin) -> Peeled<'_> {
    if link == LinkType::Ethernet
        && let Ok(header) = Ethernet2HeaderSlice::from_slice(data)
        && matches!(header.ether_type(), ether_type::IPV4 | ether_type::IPV6)
    {
        return ip(frame, &data[header.slice().len()..], 0);
    }
    let (inner, place) = take_off(link, data, 0);
    match inner {
        Inner::Ip(data) => ip(frame, data, place),
        Inner::NotRead(what) => Peeled::NotRead(what),
        Inner::Malformed => Peeled::Malformed,
    }
}

/// What is left of a frame, and where the link layer says that it was sighted: interface index and
/// direction, as far as they are known.
type Sighted<'a> = (Inner<'a>, u32);

/// Headers of captures in one another, such as 802.11 behind PKTAP.
const MAX_WRAPPERS: u8 = 2;

fn take_off(link: LinkType, data: &[u8], depth: u8) -> Sighted<'_> {
    let inner = match link {
        LinkType::Ethernet => layers::ethernet(data),
        LinkType::Raw | LinkType::Ipv4 | LinkType::Ipv6 => Inner::Ip(data),
        LinkType::Null | LinkType::Loop => match data.split_first_chunk::<4>() {
            Some((family, rest)) => loopback(*family, rest),
            None => Inner::Malformed,
        },
        LinkType::LinuxSll => match data.split_first_chunk::<16>() {
            Some((header, rest)) => {
                let [hardware, protocol] =
                    [2, 14].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
                return cooked(hardware, protocol, rest, direction(header[1]));
            }
            None => Inner::Malformed,
        },
        LinkType::LinuxSll2 => match data.split_first_chunk::<20>() {
            Some((header, rest)) => {
                let [hardware, protocol] =
                    [8, 0].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
                let ifindex = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                return cooked(
                    hardware,
                    protocol,
                    rest,
                    ifindex << 1 | direction(header[10]),
                );
            }
            None => Inner::Malformed,
        },
        LinkType::Ppp => layers::ppp(data),
        LinkType::PppoeSession => layers::pppoe(data),
        LinkType::Wifi => return wifi::frame(data, false),
        LinkType::WifiPrism => return wifi::prism(data),
        LinkType::WifiRadiotap => return wifi::radiotap(data),
        LinkType::WifiAvs => return wifi::avs(data),
        LinkType::Nflog => return nflog(data),
        LinkType::Pktap => return pktap(data, depth),
    };
    (inner, 0)
}

/// 1 for a packet on its way out, else 0: incoming, broadcast and overheard ones are one direction.
fn direction(packet_type: u8) -> u32 {
    u32::from(packet_type == OUTGOING)
}

fn loopback(family: [u8; 4], rest: &[u8]) -> Inner<'_> {
    // The byte order is the capturing machine's, which the file does not always share. No family is
    // 65,536 or above, so only one reading of it makes sense.
    let family = u32::from_le_bytes(family).min(u32::from_be_bytes(family));
    match family {
        // AF_INET, and AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        2 | 10 | 24 | 28 | 30 => Inner::Ip(rest),
        _ => Inner::NotRead(NotRead::Link),
    }
}

/// What follows a Linux cooked header. `hardware` is the kind of interface, which decides what
/// `protocol` means.
fn cooked(hardware: u16, protocol: u16, rest: &[u8], place: u32) -> Sighted<'_> {
    const WIFI: u16 = 801;
    const WIFI_RADIOTAP: u16 = 803;
    const NETLINK: u16 = 824;
    /// The protocol of 802.2, which has no EtherType.
    const LLC: u16 = 0x0004;
    let inner = match (hardware, protocol) {
        (NETLINK, _) => Inner::NotRead(NotRead::Netlink),
        (WIFI, _) => wifi::frame(rest, false).0,
        (WIFI_RADIOTAP, _) => wifi::radiotap(rest).0,
        (_, LLC) => layers::llc(rest),
        // Other numbers of Linux's own.
        (_, ..0x0600) => Inner::NotRead(NotRead::Link),
        (_, protocol) => layers::ether(EtherType(protocol), rest),
    };
    (inner, place)
}

/// A message of Linux's firewall: a header of 4 bytes, then values with a length and a type before
/// each, one of them the packet.
fn nflog(data: &[u8]) -> Sighted<'_> {
    const HOOK: u16 = 1;
    const IN: u16 = 4;
    const OUT: u16 = 5;
    const PAYLOAD: u16 = 9;
    /// The highest type there is, with room for more.
    const MAX_TYPE: u16 = 63;
    let Some((_, mut rest)) = data.split_first_chunk::<4>() else {
        return (Inner::Malformed, 0);
    };
    let mut place = 0_u32;
    while let Some((head, _)) = rest.split_first_chunk::<4>() {
        // They are in the byte order of the machine that captured; one of them makes no sense.
        let little = [0, 2].map(|at| u16::from_le_bytes([head[at], head[at + 1]]));
        let big = [0, 2].map(|at| u16::from_be_bytes([head[at], head[at + 1]]));
        let [length, kind] = if little[1] <= MAX_TYPE { little } else { big };
        let length = usize::from(length);
        if length < 4 {
            return (Inner::Malformed, place);
        }
        if kind == PAYLOAD {
            return (Inner::Ip(&rest[4..]), place);
        }
        let Some(value) = rest.get(4..length) else {
            return (Inner::Malformed, place);
        };
        let number = value
            .first_chunk()
            .map_or(0, |bytes| u32::from_be_bytes(*bytes));
        place ^= match kind {
            HOOK => number << 24,
            IN => number << 1,
            OUT => number << 1 | 1,
            _ => 0,
        };
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    (Inner::Malformed, place)
}

/// A frame behind a header of macOS, which says its link type. Its numbers are in the byte order of
/// the machine that captured, and that is little-endian.
fn pktap(data: &[u8], depth: u8) -> Sighted<'_> {
    const LEAST: usize = 40;
    const OUTGOING: u32 = 2;
    let Some(header) = data.first_chunk::<LEAST>() else {
        return (Inner::Malformed, 0);
    };
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let [length, follows, number, flags] = [0, 4, 8, 36].map(word);
    let Some(rest) = data
        .get(length as usize..)
        .filter(|_| length as usize >= LEAST)
    else {
        return (Inner::Malformed, 0);
    };
    let (true, Ok(link)) = (
        follows == 1 && depth < MAX_WRAPPERS,
        LinkType::from_number(number),
    ) else {
        return (Inner::NotRead(NotRead::Link), 0);
    };
    let name = header[12..36].iter().take_while(|byte| **byte != 0);
    let interface = name.fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
    });
    let (inner, place) = take_off(link, rest, depth + 1);
    (
        inner,
        place ^ (interface << 1 | u32::from(flags & OUTGOING != 0)),
    )
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
    spread(u64::from(source) << 32 | u64::from(interface)) ^ place
}

/// Spreads a number over 32 bits.
pub(super) const fn spread(number: u64) -> u32 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
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
        for number in [
            0, 1, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113, 119, 127, 163, 228, 229, 239, 258,
            276,
        ] {
            assert!(LinkType::from_number(number).is_ok(), "{number}");
        }
        let refused = LinkType::from_number(195).unwrap_err();
        let begins = "link type 195 (802.15.4) cannot be read";
        assert!(refused.to_string().starts_with(begins), "{refused}");
    }
}
