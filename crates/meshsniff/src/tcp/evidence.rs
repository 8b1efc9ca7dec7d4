//! What the packets of a connection prove, and why that may be less than it seems.

use super::Offset;
use crate::packet::Mark;
use crate::time::Span;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The two ends of a connection.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Side {
    /// The side that opened the connection.
    Client,
    /// The side that accepted it.
    Server,
}

impl Side {
    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Why a verdict is not certain.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Doubt {
    /// The kernel lost packets while the connection was open.
    CaptureDropped,
    /// Bytes, a FIN or a RST are missing from the capture.
    SequenceHole,
    /// The capture holds only one direction.
    OneSided,
    /// The request, or the one before it, may have begun before the first frame.
    CaptureStartedLate,
    /// The capture ended before it was decided.
    CaptureEnded,
    /// The snap length cut bytes that were needed.
    Snaplen,
    /// The bytes are all there, but how they are framed cannot be read.
    Unreadable,
    /// The bytes are encrypted: an estimate from their lengths and times.
    Encrypted,
}

impl Doubt {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().unwrap();

    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Scope of a close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The whole connection: a FIN or a RST.
    #[default]
    Connection,
    /// One stream of a multiplexed protocol: a reset of that stream alone.
    Stream,
}

impl Scope {
    /// Whether it is the whole connection.
    #[must_use]
    pub const fn is_connection(&self) -> bool {
        matches!(self, Self::Connection)
    }
}

/// One side's first FIN, or its first RST, or what a multiplexed protocol has in their place.
#[derive(Clone, Copy, Debug)]
pub struct CloseEvidence {
    /// Its scope.
    pub scope: Scope,
    /// The packet.
    pub mark: Mark,
    /// Its sequence number, as a place in the closing side's stream.
    pub at: Offset,
    /// The end of what the closing side had acknowledged by then, in this packet at the latest.
    pub acked: Option<Offset>,
    /// Whether the packet itself acknowledges anything: a RST from a socket that is gone does not.
    pub has_ack: bool,
    /// The end of what it says to have received, if its socket was still there. On a RST behind a FIN
    /// that proves nothing.
    pub claimed: Option<Offset>,
    /// Whether its sequence number is the closing side's next unseen byte.
    pub is_next: bool,
}

/// Evidence about one side's stream.
#[derive(Clone, Copy, Debug)]
pub struct SideEvidence {
    /// Its first FIN.
    pub fin: Option<CloseEvidence>,
    /// Its first RST.
    pub rst: Option<CloseEvidence>,
    /// One past the last byte of data that the other side acknowledged: FINs aside.
    pub data_acked: Option<Offset>,
    /// Whether the other side acknowledged the FIN.
    pub fin_acked: bool,
    /// Whether the other side acknowledged a number that may be a FIN the capture lacks.
    pub lacks_fin: bool,
    /// Whether that number was taken for a byte, because one was due there.
    pub may_lack_fin: bool,
    /// One past the highest byte seen.
    pub high: Offset,
    /// One past the highest byte that it sent, seen or not.
    pub sent: Offset,
}

/// Evidence of a connection's packets so far.
#[derive(Clone, Copy, Debug)]
pub struct Evidence {
    /// Of the client's stream.
    pub client: SideEvidence,
    /// Of the server's stream.
    pub server: SideEvidence,
    /// Whether only one side was ever seen.
    pub one_sided: bool,
}

impl Evidence {
    /// Whether neither side was seen to close.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        let Self { client, server, .. } = self;
        client.fin.is_none() && client.rst.is_none() && server.fin.is_none() && server.rst.is_none()
    }
}

/// How a connection was opened, as far as it was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening {
    /// The client's SYNs.
    pub syn: Option<Syn>,
    /// The server's first SYN-ACK.
    pub synack: Option<Mark>,
    /// The client's first packet after its SYN.
    pub opened: Option<Mark>,
    /// The RST that refused it.
    pub refused: Option<Mark>,
}

impl Opening {
    /// One round trip, as far as the handshake tells: from the last SYN to the client's ACK.
    #[must_use]
    pub fn round_trip(&self) -> Option<Span> {
        Some(self.opened?.time - self.syn?.last.time)
    }
}

/// The SYNs of a client.
#[derive(Clone, Copy, Debug)]
pub struct Syn {
    /// The first.
    pub first: Mark,
    /// The latest.
    pub last: Mark,
    /// How many came after the first.
    pub retries: u64,
}
