//! IPv4 and IPv6 headers, extension headers included, up to the transport layer or a fragment.
//!
//! Lengths come from the IP header, so that Ethernet padding is left out, and from the wire where
//! the header has none: a length of 0 is what offloading leaves there, and what packets above 64
//! KiB (BIG TCP, RFC 2675 jumbograms) carry. Checksums are not looked at: with offloading they are
//! wrong in good captures.

use etherparse::{
    IpAuthHeaderSlice, IpFragOffset, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice,
    Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, ip_number,
};

/// Source and destination address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

/// Bytes above the IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upper<'a> {
    /// What they are.
    pub(super) protocol: IpNumber,
    /// Those of them that were captured.
    pub(super) data: &'a [u8],
    /// How many there were on the wire: at least `data.len()`.
    pub(super) wire_len: u32,
}

/// Which part of a datagram a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) id: u32,
    pub(super) offset: IpFragOffset,
    pub(super) more: bool,
}

/// An IP packet; `None` anywhere here means that the packet contradicts itself or was cut in its
/// headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) addresses: Addresses,
    /// IPv4 identification.
    pub(super) id: Option<u16>,
    pub(super) upper: Upper<'a>,
    /// Set if `upper` is only part of a datagram.
    pub(super) part: Option<Part>,
}

impl<'a> Packet<'a> {
    /// Reads the packet at the start of `data`, of which the wire had `wire_len` bytes.
    #[inline(always)]
    pub(super) fn read(data: &'a [u8], wire_len: u32) -> Option<Self> {
        let wire_len = wire_len.max(u32::try_from(data.len()).ok()?);
        match data.first()? >> 4 {
            4 => Self::read_v4(data, wire_len),
            6 => Self::read_v6(data, wire_len),
            _ => None,
        }
    }

    #[inline]
    fn read_v4(data: &'a [u8], wire_len: u32) -> Option<Self> {
        let header = Ipv4HeaderSlice::from_slice(data).ok()?;
        let total = match header.total_len() {
            0 => wire_len,
            total => u32::from(total),
        };
        let header_len = header.slice().len();
        let upper = Upper {
            protocol: header.protocol(),
            data: &data[header_len..],
            wire_len: total.checked_sub(header_len as u32)?,
        }
        .without_padding();
        let part = header.is_fragmenting_payload().then(|| Part {
            id: u32::from(header.identification()),
            offset: header.fragments_offset(),
            more: header.more_fragments(),
        });
        let mut packet = Self {
            addresses: Addresses::V4(header.source(), header.destination()),
            id: Some(header.identification()),
            upper,
            part,
        };
        if part.is_none() {
            (packet.upper, _) = packet.upper.past_extensions()?;
        }
        Some(packet)
    }

    #[inline]
    fn read_v6(data: &'a [u8], wire_len: u32) -> Option<Self> {
        let header = Ipv6HeaderSlice::from_slice(data).ok()?;
        let header_len = header.slice().len();
        let upper = Upper {
            protocol: header.next_header(),
            data: &data[header_len..],
            wire_len: match header.payload_length() {
                0 => wire_len - header_len as u32,
                length => u32::from(length),
            },
        };
        let (upper, part) = upper.without_padding().past_extensions()?;
        Some(Self {
            addresses: Addresses::V6(header.source(), header.destination()),
            id: None,
            upper,
            part,
        })
    }
}

impl<'a> Upper<'a> {
    /// Drops captured bytes that lie behind the packet's end.
    #[inline]
    fn without_padding(mut self) -> Self {
        let end = self.data.len().min(self.wire_len as usize);
        self.data = &self.data[..end];
        self
    }

    /// Takes extension headers off, up to a fragment header that means it or the first header that
    /// is none.
    #[inline]
    pub(super) fn past_extensions(mut self) -> Option<(Self, Option<Part>)> {
        loop {
            let (next, length) = match self.protocol {
                ip_number::IPV6_HOP_BY_HOP
                | ip_number::IPV6_ROUTE
                | ip_number::IPV6_DEST_OPTIONS => {
                    let header = Ipv6RawExtHeaderSlice::from_slice(self.data).ok()?;
                    (header.next_header(), header.slice().len())
                }
                ip_number::AUTH => {
                    let header = IpAuthHeaderSlice::from_slice(self.data).ok()?;
                    (header.next_header(), header.slice().len())
                }
                ip_number::IPV6_FRAG => {
                    let header = Ipv6FragmentHeaderSlice::from_slice(self.data).ok()?;
                    let part = header.is_fragmenting_payload().then(|| Part {
                        id: header.identification(),
                        offset: header.fragment_offset(),
                        more: header.more_fragments(),
                    });
                    let (next, length) = (header.next_header(), header.slice().len());
                    if part.is_some() {
                        return Some((self.after(next, length), part));
                    }
                    (next, length)
                }
                _ => return Some((self, None)),
            };
            self = self.after(next, length);
        }
    }

    /// What follows a header of `length` bytes, all of them captured.
    fn after(self, protocol: IpNumber, length: usize) -> Self {
        Self {
            protocol,
            data: &self.data[length..],
            wire_len: self.wire_len - length as u32,
        }
    }
}
