//! From a captured frame to a TCP segment.
//!
//! Holds the types that the stages hand to one another and [`Decoder`], which peels link layer, IP and TCP
//! off a frame. It keeps no connection state: the only thing it remembers is unfinished IP fragments.

mod decode;
mod fragments;
mod ip;
mod link;
mod seq;

#[cfg(test)]
mod tests;

pub use decode::{Decoded, Decoder};
pub use link::{LinkType, UnsupportedLink};
pub use seq::Seq;

use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a frame stands: which source (file or stream) and which frame of it.
///
/// The frame number is 1-based and counts as Wireshark does, per source.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct FrameId(u64);

impl FrameId {
    const NUMBER_BITS: u32 = 48;

    /// Frame `number` of source `source` (0-based).
    #[must_use]
    pub const fn new(source: u16, number: u64) -> Self {
        Self(((source as u64) << Self::NUMBER_BITS) | (number & ((1 << Self::NUMBER_BITS) - 1)))
    }

    /// The 0-based index of the source.
    #[must_use]
    pub const fn source(self) -> u16 {
        (self.0 >> Self::NUMBER_BITS) as u16
    }

    /// The 1-based frame number within its source.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0 & ((1 << Self::NUMBER_BITS) - 1)
    }
}

/// A frame and the moment it was captured: what every event of a report refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The frame.
    pub frame: FrameId,
    /// When it was captured.
    pub time: Timestamp,
    /// Its place in the order the analyser saw frames in, from 1. Frame numbers cannot be compared
    /// across sources; this can.
    pub order: u64,
}

/// One captured frame, borrowed from wherever it was read.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Source and frame number.
    pub id: FrameId,
    /// When it was captured.
    pub time: Timestamp,
    /// The interface it was captured on, numbered within its source.
    pub interface: u32,
    /// What the data begins with.
    pub link: LinkType,
    /// Bytes the frame had on the wire; more than `data` holds when a snap length cut it.
    pub wire_len: u32,
    /// The captured bytes.
    pub data: &'a [u8],
}

/// One end of a TCP connection. IPv4 addresses are held as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) and
/// shown as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    addr: u128,
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    const MAPPED: u128 = 0xffff << 32;

    /// An IPv4 endpoint.
    #[must_use]
    pub const fn v4(addr: [u8; 4], port: u16) -> Self {
        Self {
            addr: Self::MAPPED | u32::from_be_bytes(addr) as u128,
            port,
        }
    }

    /// An IPv6 endpoint.
    #[must_use]
    pub const fn v6(addr: [u8; 16], port: u16) -> Self {
        Self {
            addr: u128::from_be_bytes(addr),
            port,
        }
    }

    /// The IP address.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        if self.addr >> 32 == 0xffff {
            IpAddr::V4(Ipv4Addr::from_bits(self.addr as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(self.addr))
        }
    }

    /// Whether this is the address that Istio's sidecar calls its own app from (127.0.0.6, or `::6`).
    #[must_use]
    pub const fn is_istio_inbound(self) -> bool {
        self.addr == Self::MAPPED | 0x7f00_0006 || self.addr == 6
    }
}

/// `10.0.0.1:80` or `[::1]:80`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip(), self.port).fmt(f)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::v4(v4.ip().octets(), v4.port()),
            SocketAddr::V6(v6) => Self::v6(v6.ip().octets(), v6.port()),
        }
    }
}

/// As it is shown.
impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let address: SocketAddr = text.parse().map_err(de::Error::custom)?;
        Ok(address.into())
    }
}

/// The TCP flags that decide anything here (RFC 9293, 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// No flag at all.
    pub const NONE: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x10);

    /// The flags of byte 13 of a TCP header.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Byte 13 of a TCP header.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any flag of `other` is set.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One TCP segment as a frame carried it.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Who sent it.
    pub src: Endpoint,
    /// Who it was sent to.
    pub dst: Endpoint,
    /// Sequence number of its first byte (of the SYN, if it has one).
    pub seq: Seq,
    /// The acknowledgment number; `None` without the ACK flag.
    pub ack: Option<Seq>,
    /// Its flags.
    pub flags: Flags,
    /// The advertised window as sent, without scaling.
    pub window: u16,
    /// The payload the capture holds.
    pub payload: &'a [u8],
    /// Bytes of payload it had on the wire: at least `payload.len()`.
    pub wire_payload: u32,
    /// Maximum segment size option, on a SYN.
    pub mss: Option<u16>,
    /// IPv4 identification; `None` for IPv6.
    pub ip_id: Option<u16>,
    /// Interface and direction, as one number: two sightings of one packet differ in it.
    pub tap: u32,
}
