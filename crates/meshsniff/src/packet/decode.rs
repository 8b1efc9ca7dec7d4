//! [`Decoder`]: one frame in, one TCP segment out, if there is one.
//!
//! Holds the way through the layers and the TCP header. A frame is never an error: what cannot be
//! read is
//! [`Decoded::Malformed`], and the next frame starts afresh.

use super::fragments::{Added, Fragments, Key};
use super::ip::{Addresses, Packet, Part, Upper};
use super::layers::Inner;
use super::link::{self, Origin, Peeled};
use super::tunnel::{self, Opened};
use super::{Datagram, Endpoint, Flags, Frame, NotRead, Segment, Seq};
use crate::time::Timestamp;
use etherparse::{TcpHeaderSlice, TcpOptionElement, ip_number};

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug)]
pub enum Decoded<'a> {
    /// A TCP segment; of a fragmented one, with its last fragment.
    Tcp(Segment<'a>),
    /// A UDP datagram from or to port 53.
    Datagram(Datagram<'a>),
    /// Anything else: ARP, UDP, ICMP, what is encrypted, …
    NotRead(NotRead),
    /// Part of a fragmented datagram that is not whole yet.
    Fragment,
    /// A frame that contradicts itself, or was cut short before the end of its TCP header's window
    /// field.
    Malformed,
}

/// Peels frames down to TCP segments.
///
/// What tunnels carry is a packet like any other: the innermost addresses are the segment's, and the
/// tunnels are part of where it was sighted (`Segment::tap`).
///
/// Payload is borrowed from the frame, but for segments that came in IP fragments. Memory is
/// bounded: at most 64 unfinished datagrams and 4 MiB of fragments are held outside of tunnels and
/// in each depth of them, each at most 30 seconds of capture time.
#[derive(Default)]
pub struct Decoder {
    /// One table for each depth: what is whole at one is looked into while it lies there.
    fragments: [Fragments; MAX_DEPTH],
}

/// IP packets that are looked through in one another: that of the frame and three tunnels.
const MAX_DEPTH: usize = 4;

/// An IP packet and where it came from.
struct Found<'a> {
    packet: Packet<'a>,
    /// `Segment::tap`.
    tap: u32,
}

impl Decoder {
    /// A decoder that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes one frame.
    ///
    /// Of a frame that a snap length cut, `payload` is what was captured and `wire_payload` what
    /// there was. A fragment that was cut is lost: nothing can be put together from it.
    #[inline]
    pub fn decode<'a>(&'a mut self, frame: &Frame<'a>) -> Decoded<'a> {
        let origin = Origin {
            source: frame.id.source(),
            interface: frame.interface,
        };
        let (data, tap) = match link::peel(frame.link, frame.data, origin) {
            Peeled::Ip { data, tap } => (data, tap),
            Peeled::NotRead(what) => return Decoded::NotRead(what),
            Peeled::Malformed => return Decoded::Malformed,
        };
        let link_len = (frame.data.len() - data.len()) as u32;
        let Some(packet) = Packet::read(data, frame.wire_len.saturating_sub(link_len)) else {
            return Decoded::Malformed;
        };
        if packet.part.is_none() && packet.upper.protocol == ip_number::TCP {
            return transport(&packet, tap);
        }
        look_into(&mut self.fragments, Found { packet, tap }, frame.time)
    }

    /// Datagrams whose fragments were given up, because they were too many or the rest never came.
    #[must_use]
    pub fn fragments_lost(&self) -> u64 {
        self.fragments.iter().map(Fragments::lost).sum()
    }
}

/// Decodes a packet that is a fragment, or no TCP. `tables` are those of its depth and below.
#[cold]
fn look_into<'a>(
    tables: &'a mut [Fragments],
    Found { mut packet, tap }: Found<'a>,
    time: Timestamp,
) -> Decoded<'a> {
    let Some((table, deeper)) = tables.split_first_mut() else {
        return Decoded::NotRead(NotRead::TooDeep);
    };
    if let Some(part) = packet.part.take() {
        match reassemble(table, &packet, part, tap, time) {
            Ok(upper) => packet.upper = upper,
            Err(decoded) => return decoded,
        }
    }
    if packet.upper.protocol == ip_number::TCP {
        return transport(&packet, tap);
    }
    if let Some(datagram) = Datagram::read(&packet, tap) {
        return Decoded::Datagram(datagram);
    }
    let upper = &packet.upper;
    let (inner, network) = match tunnel::open(upper) {
        Opened::Tunnel { inner, network } => (inner, network),
        Opened::NotRead(what) => return Decoded::NotRead(what),
        Opened::Malformed => return Decoded::Malformed,
    };
    let data = match inner {
        Inner::Ip(data) => data,
        Inner::NotRead(what) => return Decoded::NotRead(what),
        Inner::Malformed => return Decoded::Malformed,
    };
    let outer_len = (upper.data.len() - data.len()) as u32;
    let Some(inside) = Packet::read(data, upper.wire_len.saturating_sub(outer_len)) else {
        return Decoded::Malformed;
    };
    let found = Found {
        tap: inside_of(&packet, network, tap),
        packet: inside,
    };
    look_into(deeper, found, time)
}

/// Adds a fragment; returns the whole datagram if it was the last one.
fn reassemble<'a>(
    table: &'a mut Fragments,
    packet: &Packet<'a>,
    part: Part,
    tap: u32,
    time: Timestamp,
) -> Result<Upper<'a>, Decoded<'a>> {
    let upper = &packet.upper;
    if upper.data.len() < upper.wire_len as usize {
        return Err(Decoded::Fragment);
    }
    let key = Key {
        addresses: packet.addresses,
        protocol: upper.protocol,
        id: part.id,
        tap,
    };
    match table.add(key, part, upper.data, time) {
        Added::Held => Err(Decoded::Fragment),
        Added::Refused => Err(Decoded::Malformed),
        Added::Whole(data) => {
            let whole = Upper {
                protocol: upper.protocol,
                data,
                wire_len: data.len() as u32,
            };
            match whole.past_extensions() {
                Some((upper, None)) => Ok(upper),
                // Fragments of fragments: no stack sends them.
                _ => Err(Decoded::Malformed),
            }
        }
    }
}

/// Where a packet inside of a tunnel was sighted: another place than outside of it, so that both
/// sightings of it are known for one packet.
fn inside_of(outer: &Packet<'_>, network: u32, tap: u32) -> u32 {
    let ends = match outer.addresses {
        Addresses::V4(from, to) => {
            u64::from(u32::from_be_bytes(from)) << 32 | u64::from(u32::from_be_bytes(to))
        }
        Addresses::V6(from, to) => {
            let ends = u128::from_be_bytes(from) ^ u128::from_be_bytes(to).rotate_left(1);
            (ends >> 64) as u64 ^ ends as u64
        }
    };
    let kind = u64::from(outer.upper.protocol.0) << 56;
    tap.rotate_left(8) ^ link::spread(ends ^ kind ^ u64::from(network).rotate_left(24))
}

// In its place, as what comes back is large.
#[inline(always)]
fn transport<'a>(packet: &Packet<'a>, tap: u32) -> Decoded<'a> {
    let segment = segment(packet.addresses, packet.id, packet.upper, tap);
    segment.map_or(Decoded::Malformed, Decoded::Tcp)
}

/// The bytes of a TCP header up to its window field: with fewer of them captured a segment says too
/// little.
const LEAST_HEADER: usize = 16;
/// The longest TCP header: 15 words of 4 bytes.
const MAX_HEADER: usize = 60;

#[inline(always)]
fn segment<'a>(
    addresses: Addresses,
    ip_id: Option<u16>,
    upper: Upper<'a>,
    tap: u32,
) -> Option<Segment<'a>> {
    let data = upper.data;
    if data.len() < LEAST_HEADER {
        return None;
    }
    let header_len = usize::from(data[12] >> 4) * 4;
    let wire_payload = upper.wire_len.checked_sub(header_len as u32)?;
    // A header that the snap length cut is filled up with zeros: an end-of-options mark.
    let mut filled = [0; MAX_HEADER];
    let cut = data.len() < header_len;
    let header = if cut {
        filled[..data.len()].copy_from_slice(data);
        TcpHeaderSlice::from_slice(&filled[..header_len])
    } else {
        TcpHeaderSlice::from_slice(data)
    }
    .ok()?;
    let flags = Flags::from_bits(header.slice()[13]);
    let (source, destination) = (header.source_port(), header.destination_port());
    let (src, dst) = match addresses {
        Addresses::V4(from, to) => (Endpoint::v4(from, source), Endpoint::v4(to, destination)),
        Addresses::V6(from, to) => (Endpoint::v6(from, source), Endpoint::v6(to, destination)),
    };
    Some(Segment {
        src,
        dst,
        seq: Seq::new(header.sequence_number()),
        ack: flags
            .has(Flags::ACK)
            .then(|| Seq::new(header.acknowledgment_number())),
        flags,
        window: header.window_size(),
        payload: data.get(header_len..).unwrap_or_default(),
        wire_payload,
        mss: if flags.has(Flags::SYN) && !cut {
            mss(&header)
        } else {
            None
        },
        ip_id,
        tap,
    })
}

/// The maximum segment size option (RFC 9293, 3.7.1).
fn mss(header: &TcpHeaderSlice<'_>) -> Option<u16> {
    header.options_iterator().find_map(|option| match option {
        Ok(TcpOptionElement::MaximumSegmentSize(size)) => Some(size),
        _ => None,
    })
}
