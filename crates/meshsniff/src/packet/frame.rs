//! Frames as they were captured, and how they are referred to.

use super::link::LinkType;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

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
