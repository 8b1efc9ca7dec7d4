//! Places in one direction's stream of bytes.

use std::fmt;
use std::ops::{Add, Sub};

/// A place in a stream: the number of bytes before it, from an origin of the stream's own. Unlike a
/// sequence number it never wraps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// The place of the first byte after a stream's start: far from 0, so that bytes before a
    /// mid-stream start have places too.
    pub const ORIGIN: Self = Self(1 << 32);

    /// The place `distance` bytes away.
    #[must_use]
    pub const fn moved(self, distance: i32) -> Self {
        Self(self.0.wrapping_add_signed(distance as i64))
    }

    /// The number of bytes from `earlier` to here; 0 if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The place `len` bytes before, as far as there are places.
    #[must_use]
    pub const fn saturating_sub(self, len: u64) -> Self {
        Self(self.0.saturating_sub(len))
    }

    /// The place `len` bytes on, as far as there are places.
    #[must_use]
    pub const fn saturating_add(self, len: u64) -> Self {
        Self(self.0.saturating_add(len))
    }
}

impl Add<u64> for Offset {
    type Output = Self;

    fn add(self, len: u64) -> Self {
        Self(self.0 + len)
    }
}

impl Sub<u64> for Offset {
    type Output = Self;

    fn sub(self, len: u64) -> Self {
        Self(self.0 - len)
    }
}

impl Sub for Offset {
    type Output = u64;

    fn sub(self, earlier: Self) -> u64 {
        self.0 - earlier.0
    }
}

/// Bytes from the origin on, negative before it.
impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (i128::from(self.0) - i128::from(Self::ORIGIN.0)).fmt(f)
    }
}

/// A stretch of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its first byte.
    pub from: Offset,
    /// One past its last byte.
    pub upto: Offset,
}

impl Extent {
    /// The stretch of `len` bytes from `from` on.
    #[must_use]
    pub fn new(from: Offset, len: u64) -> Self {
        Self {
            from,
            upto: from + len,
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(self) -> u64 {
        self.upto - self.from
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.upto == self.from
    }

    /// Whether the two share a byte.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.upto && other.from < self.upto
    }
}
