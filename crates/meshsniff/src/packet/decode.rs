//! [`Decoder`]: one frame in, one TCP segment out, if there is one.
//!
//! Holds the way through the layers and the TCP header. A frame is never an error: what cannot be
//! read is
//! [`Decoded::Malformed`], and the next frame starts afresh.

use super::Seq;
use super::fragments::{Added, Fragments, Key};
use super::ip::{Addresses, Packet, Upper};
use super::link::{self, Origin, Peeled};
use super::{Endpoint, Flags, Frame, Segment};
use etherparse::{TcpHeaderSlice, TcpOptionElement, ip_number};

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug)]
pub enum Decoded<'a> {
    /// A TCP segment; of a fragmented one, with its last fragment.
    Tcp(Segment<'a>),
    /// Anything else: ARP, UDP, ICMP, tunnels, …
    Other,
    /// Part of a fragmented datagram that is not whole yet.
    Fragment,
    /// A frame that contradicts itself, or was cut short before the end of its TCP header's window
    /// field.
    Malformed,
}

/// Peels frames down to TCP segments.
///
/// Payload is borrowed from the frame, but for segments that came in IP fragments. Memory is
/// bounded: at most 64 unfinished datagrams and 4 MiB of fragments are held, each at most 30
/// seconds of capture time.
#[derive(Default)]
pub struct Decoder {
    fragments: Fragments,
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
            Peeled::Other => return Decoded::Other,
            Peeled::Malformed => return Decoded::Malformed,
        };
        let link_len = (frame.data.len() - data.len()) as u32;
        let Some(packet) = Packet::read(data, frame.wire_len.saturating_sub(link_len)) else {
            return Decoded::Malformed;
        };
        if packet.part.is_some() {
            return self.reassemble(frame, packet, tap);
        }
        transport(packet.addresses, packet.id, packet.upper, tap)
    }

    /// Datagrams whose fragments were given up, because they were too many or the rest never came.
    #[must_use]
    pub fn fragments_lost(&self) -> u64 {
        self.fragments.lost()
    }

    #[cold]
    fn reassemble<'a>(
        &'a mut self,
        frame: &Frame<'a>,
        packet: Packet<'a>,
        tap: u32,
    ) -> Decoded<'a> {
        let Packet {
            addresses,
            id,
            upper,
            part: Some(part),
        } = packet
        else {
            return Decoded::Malformed;
        };
        if upper.data.len() < upper.wire_len as usize {
            return Decoded::Fragment;
        }
        let key = Key {
            addresses,
            protocol: upper.protocol,
            id: part.id,
            tap,
        };
        match self.fragments.add(key, part, upper.data, frame.time) {
            Added::Held => Decoded::Fragment,
            Added::Refused => Decoded::Malformed,
            Added::Whole(data) => {
                let whole = Upper {
                    protocol: upper.protocol,
                    data,
                    wire_len: data.len() as u32,
                };
                match whole.past_extensions() {
                    Some((upper, None)) => transport(addresses, id, upper, tap),
                    // Fragments of fragments: no stack sends them.
                    _ => Decoded::Malformed,
                }
            }
        }
    }
}

// In its place, as what comes back is large.
#[inline(always)]
fn transport(addresses: Addresses, id: Option<u16>, upper: Upper<'_>, tap: u32) -> Decoded<'_> {
    if upper.protocol != ip_number::TCP {
        return Decoded::Other;
    }
    segment(addresses, id, upper, tap).map_or(Decoded::Malformed, Decoded::Tcp)
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
