//! TCP segments as frames carry them.

use super::endpoint::Endpoint;
use super::seq::Seq;

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
