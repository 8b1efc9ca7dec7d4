//! Interfaces of a pcapng file: link type, clock, drops.

use crate::packet::LinkType;
use crate::pcapng::options::{self, Options};
use crate::pcapng::{ByteOrder, INTERFACE_OPTIONS, shortened};
use crate::time::Timestamp;

/// The longest interface name that is kept, in bytes.
const MAX_NAME: usize = 256;

/// An interface as its description block gives it.
pub(super) struct Interface {
    /// The link type, or the number of one that is not read.
    pub(super) link: Result<LinkType, u32>,
    /// Most bytes captured of a frame; 0 for all.
    pub(super) snap_len: u32,
    /// Frames dropped, by the latest statistics.
    pub(super) dropped: Option<u64>,
    clock: Clock,
    /// Nanoseconds to add to every time.
    offset: i128,
}

/// Conversion of an interface's ticks to nanoseconds.
#[derive(Clone, Copy)]
enum Clock {
    /// A tick is this many nanoseconds.
    Times(u64),
    /// This many ticks are a nanosecond.
    Over(u64),
    /// Two to this power ticks are a second.
    Binary(u32),
}

impl Clock {
    /// Reads `if_tsresol`: a negative power of 2 with the top bit set, else of 10.
    fn new(resolution: u8) -> Self {
        let power = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            return Self::Binary(power);
        }
        match power {
            0..=9 => Self::Times(10_u64.pow(9 - power)),
            // Ticks so short that 2^64 of them are no nanosecond make every time 0.
            _ => Self::Over(10_u64.checked_pow(power - 9).unwrap_or(u64::MAX)),
        }
    }

    #[inline]
    fn nanos(self, ticks: u64) -> i128 {
        match self {
            Self::Times(nanos) => i128::from(ticks) * i128::from(nanos),
            Self::Over(ticks_each) => i128::from(ticks / ticks_each),
            Self::Binary(power) => (i128::from(ticks) * 1_000_000_000) >> power,
        }
    }
}

impl Interface {
    /// Reads a whole description block; returns the interface and its name, empty if it has none.
    pub(super) fn described(block: &[u8], order: ByteOrder) -> (Self, String) {
        let link = u32::from(order.u16_at(block, 8));
        let mut interface = Self {
            link: LinkType::from_number(link).map_err(|link| link.0),
            snap_len: order.u32_at(block, 12),
            dropped: None,
            clock: Clock::new(6),
            offset: 0,
        };
        let mut name = String::new();
        for (code, value) in Options::of(block, INTERFACE_OPTIONS, order).map_while(Result::ok) {
            match code {
                options::IF_NAME => name = shortened(value, MAX_NAME),
                options::IF_TSRESOL => {
                    if let [resolution, ..] = value {
                        interface.clock = Clock::new(*resolution);
                    }
                }
                options::IF_TSOFFSET => {
                    // Signed seconds.
                    let seconds = value.first_chunk().map(|value| order.u64(*value));
                    let seconds = seconds.map_or(0, u64::cast_signed);
                    interface.offset = i128::from(seconds) * 1_000_000_000;
                }
                _ => {}
            }
        }
        (interface, name)
    }

    /// Replaces earlier statistics, if these say anything about drops.
    pub(super) fn count_drops(&mut self, options: Options<'_>, order: ByteOrder) {
        let counts = options.map_while(Result::ok).filter_map(|(code, value)| {
            matches!(code, options::ISB_IFDROP | options::ISB_OSDROP)
                .then(|| value.first_chunk().map(|value| order.u64(*value)))?
        });
        self.dropped = counts.reduce(u64::saturating_add).or(self.dropped);
    }

    /// Converts `ticks` of this interface's clock; beyond the year 2262 to the nearest time there
    /// is.
    #[inline]
    pub(super) fn time(&self, ticks: u64) -> Timestamp {
        let nanos = self.clock.nanos(ticks) + self.offset;
        let bound = nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Timestamp::from_nanos(bound as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        let nanos = |resolution, ticks| Clock::new(resolution).nanos(ticks);
        assert_eq!(nanos(6, 1_500_000), 1_500_000_000);
        assert_eq!(nanos(9, 7), 7);
        assert_eq!(nanos(0, 2), 2_000_000_000);
        assert_eq!(nanos(12, 1_999), 1);
        assert_eq!(nanos(0x80 | 1, 3), 1_500_000_000);
        assert_eq!(nanos(0x80 | 32, 1 << 31), 500_000_000);
        for resolution in 0..=255 {
            assert!(nanos(resolution, u64::MAX) >= 0);
            let _ = nanos(resolution, 0);
        }
    }
}
