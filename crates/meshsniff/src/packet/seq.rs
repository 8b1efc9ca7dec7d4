//! Sequence numbers modulo 2^32 (RFC 9293, 3.4).

/// A TCP sequence number. It has no order of its own: only distances between near numbers mean
/// anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq(u32);

impl Seq {
    /// The number as it stands in a header.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number as it stands in a header.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number `n` bytes on, wrapping.
    #[must_use]
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// How far `self` lies beyond `other`: negative when it lies before. Right as long as the two
    /// are within 2^31 bytes of each other.
    #[must_use]
    pub const fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_wraps_around() {
        let before = Seq::new(u32::MAX - 9);
        assert_eq!(before.plus(20), Seq::new(10));
        assert_eq!(before.plus(20).distance_from(before), 20);
        assert_eq!(before.distance_from(before.plus(20)), -20);
    }
}
