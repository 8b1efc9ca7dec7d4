//! Capture time: the only clock the analyser knows.
//!
//! Everything is a whole number of nanoseconds, so that no gap is ever the difference of two
//! rounded figures. Rounding happens once, where a report is written.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Sub;
use std::time::Duration;

/// A moment as the capture recorded it: nanoseconds since the Unix epoch, UTC.
///
/// Arithmetic saturates: a hostile capture may claim any time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `nanos` nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// This moment moved by `span`.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub for Timestamp {
    type Output = Span;

    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// RFC 3339 with nanoseconds, in UTC: `2026-11-24T08:00:00.000000001Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or_default();
        write!(f, "{moment:.9}")
    }
}

/// The time between two moments in nanoseconds; negative when the second came first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `nanos` nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A span of `micros` microseconds.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// A span of `millis` milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// A span of `secs` seconds.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// This span in nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// This span in milliseconds, rounded to whole microseconds: the unit of every gap in a report.
    #[must_use]
    pub fn as_millis(self) -> f64 {
        let micros = if self.0 >= 0 {
            self.0.saturating_add(500) / 1_000
        } else {
            self.0.saturating_sub(500) / 1_000
        };
        micros as f64 / 1_000.0
    }

    /// This span in seconds.
    #[must_use]
    pub fn as_secs(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The sum of two spans.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A length of time as people write it: `30s`, `5m`, `1h30m`.
///
/// # Errors
/// If `text` is no duration, or a duration of 0.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!("“{text}” is not a duration: give a number with a unit, such as 30s, 5m or 1h30m")
    };
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    let parsed = Duration::try_from(parsed).map_err(|_| wrong())?;
    if parsed.is_zero() {
        Err(wrong())
    } else {
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millis_round_to_microseconds_away_from_zero() {
        assert_eq!(Span::from_nanos(501_683_499).as_millis(), 501.683);
        assert_eq!(Span::from_nanos(501_683_500).as_millis(), 501.684);
        assert_eq!(Span::from_nanos(-1_500).as_millis(), -0.002);
    }

    #[test]
    fn hostile_times_saturate() {
        let late = Timestamp::from_nanos(i64::MAX);
        let early = Timestamp::from_nanos(i64::MIN);
        assert_eq!((late - early).as_nanos(), i64::MAX);
        assert_eq!(late.plus(Span::from_secs(i64::MAX)), late);
        let _ = late.to_string();
    }

    #[test]
    fn rfc_3339_has_nine_digits() {
        assert_eq!(
            Timestamp::from_nanos(1_000_000_001).to_string(),
            "1970-01-01T00:00:01.000000001Z"
        );
    }

    #[test]
    fn lengths_of_time() {
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["soon", "5", "", "0s", "-3s"] {
            let said = parse_duration(wrong).unwrap_err();
            assert!(said.contains("such as 30s"), "{said}");
        }
    }
}
