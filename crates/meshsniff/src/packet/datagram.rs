//! UDP datagrams of the ports that are read.

use super::endpoint::Endpoint;
use super::ip::{Addresses, Packet};

/// The only port that is read: DNS.
const DNS: u16 = 53;

/// One UDP datagram as a frame carried it.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub src: Endpoint,
    /// Who it was sent to.
    pub dst: Endpoint,
    /// The payload the capture holds.
    pub payload: &'a [u8],
    /// IPv4 identification; `None` for IPv6.
    pub ip_id: Option<u16>,
    /// Interface and direction, as one number: two sightings of one packet differ in it.
    pub tap: u32,
}

impl<'a> Datagram<'a> {
    /// Reads the datagram in a packet; `None` if it is none, or of another port.
    pub(super) fn read(packet: &Packet<'a>, tap: u32) -> Option<Self> {
        if packet.upper.protocol != etherparse::ip_number::UDP {
            return None;
        }
        let (header, rest) = packet.upper.data.split_first_chunk::<8>()?;
        let [from, to, length] =
            [0, 2, 4].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
        if from != DNS && to != DNS {
            return None;
        }
        let length = usize::from(length).saturating_sub(header.len());
        let (src, dst) = match packet.addresses {
            Addresses::V4(src, dst) => (Endpoint::v4(src, from), Endpoint::v4(dst, to)),
            Addresses::V6(src, dst) => (Endpoint::v6(src, from), Endpoint::v6(dst, to)),
        };
        Some(Self {
            src,
            dst,
            payload: rest.get(..length).unwrap_or(rest),
            ip_id: packet.id,
            tap,
        })
    }
}
