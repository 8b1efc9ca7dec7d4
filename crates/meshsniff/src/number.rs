//! Numbers and times as digits, pushed straight into a `String`.
//!
//! The report of a busy capture has hundreds of thousands of objects with thirty numbers each. This
//! is several times faster than `std::fmt` and never shows the noise of a binary fraction.

use crate::packet::Endpoint;
use crate::time::{Span, Timestamp};
use std::fmt::Write as _;
use std::net::IpAddr;

/// Pushes a whole number.
pub(crate) fn unsigned(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

const POWERS: [u64; 10] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

/// Pushes a number below `10^digits` with leading zeros.
fn padded(out: &mut String, number: u64, digits: usize) {
    // A 1 in front keeps the zeros.
    out.push_str(&itoa::Buffer::new().format(POWERS[digits] + number)[1..]);
}

/// Pushes `value / 10^places`, with at least `least` of its decimals and no trailing zeros beyond.
/// `places` is at most 9.
pub(crate) fn decimal(out: &mut String, value: i64, places: usize, least: usize) {
    if value < 0 {
        out.push('-');
    }
    let value = value.unsigned_abs();
    let power = POWERS[places];
    unsigned(out, value / power);
    let mut fraction = value % power;
    let mut digits = places;
    while digits > least && fraction.is_multiple_of(10) {
        fraction /= 10;
        digits -= 1;
    }
    if digits > 0 {
        out.push('.');
        padded(out, fraction, digits);
    }
}

/// A span in whole microseconds, rounded half away from zero as [`Span::as_millis`] does.
pub(crate) const fn micros(span: Span) -> i64 {
    let nanos = span.as_nanos();
    if nanos >= 0 {
        nanos.saturating_add(500) / 1_000
    } else {
        nanos.saturating_sub(500) / 1_000
    }
}

/// Pushes `span` in milliseconds with up to three decimals and at least one: `501.683`, `2.0`.
pub(crate) fn millis(out: &mut String, span: Span) {
    decimal(out, micros(span), 3, 1);
}

/// Pushes `span` in milliseconds with exactly three decimals: `501.683`, `2.000`.
pub(crate) fn millis_exact(out: &mut String, span: Span) {
    decimal(out, micros(span), 3, 3);
}

/// Pushes `span` in milliseconds with no more decimals than it needs: `500`, `0.25`.
pub(crate) fn millis_plain(out: &mut String, span: Span) {
    decimal(out, micros(span), 3, 0);
}

/// Pushes `span` in seconds with up to nine decimals and at least one.
pub(crate) fn seconds(out: &mut String, span: Span) {
    decimal(out, span.as_nanos(), 9, 1);
}

/// Pushes a duration as a person says it: `0.03 ms`, `501.7 ms`, `12.3 s`, `6 min 12 s`, `3 h 5 min`.
pub(crate) fn spoken(out: &mut String, span: Span) {
    let micros = micros(span);
    if micros < 0 {
        out.push('-');
    }
    let micros = i64::try_from(micros.unsigned_abs()).unwrap_or(i64::MAX);
    let round = |unit: i64| micros.saturating_add(unit / 2) / unit;
    let unit = if micros < 10 {
        decimal(out, micros, 3, 1);
        " ms"
    } else if micros < 10_000 {
        decimal(out, round(10), 2, 1);
        " ms"
    } else if micros < 10_000_000 {
        decimal(out, round(100), 1, 1);
        " ms"
    } else if micros < 120_000_000 {
        decimal(out, round(100_000), 1, 1);
        " s"
    } else {
        return long(out, round(1_000_000).unsigned_abs());
    };
    out.push_str(unit);
}

/// Pushes a duration of minutes or more in its two largest units.
fn long(out: &mut String, seconds: u64) {
    const UNITS: [(u64, &str); 4] = [(86_400, " d"), (3_600, " h"), (60, " min"), (1, " s")];
    // Two of a unit at least: 90 minutes are not an hour and a half to whoever compares figures.
    let first = UNITS.iter().position(|&(unit, _)| seconds >= 2 * unit);
    let first = first.unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[first];
    unsigned(out, seconds / unit);
    out.push_str(name);
    if let Some(&(smaller, name)) = UNITS.get(first + 1)
        && seconds % unit / smaller > 0
    {
        out.push(' ');
        unsigned(out, seconds % unit / smaller);
        out.push_str(name);
    }
}

/// Pushes a gap beside a line: milliseconds with three decimals, `501.683 ms`, or, from 100 s on,
/// as a person says it.
pub(crate) fn gap(out: &mut String, span: Span) {
    if span.as_nanos().unsigned_abs() < 100_000_000_000 {
        millis_exact(out, span);
        out.push_str(" ms");
    } else {
        spoken(out, span);
    }
}

/// Pushes a timeout as it is configured: `500 ms`, `15 s`.
pub(crate) fn timeout(out: &mut String, span: Span) {
    let micros = micros(span);
    if micros >= 1_000_000 && micros % 100_000 == 0 {
        decimal(out, micros / 100_000, 1, 0);
        out.push_str(" s");
    } else {
        decimal(out, micros, 3, 0);
        out.push_str(" ms");
    }
}

/// Pushes a whole number with a comma at each thousand: `1,234,567`.
pub(crate) fn grouped(out: &mut String, number: u64) {
    if number < 1_000 {
        unsigned(out, number);
    } else {
        grouped(out, number / 1_000);
        out.push(',');
        padded(out, number % 1_000, 3);
    }
}

/// Pushes a number of bytes: `812 bytes`, `31.7 kB`, `1.2 GB`.
pub(crate) fn bytes(out: &mut String, bytes: u64) {
    const UNITS: [(&str, u64); 4] = [
        (" TB", 1_000_000_000_000),
        (" GB", 1_000_000_000),
        (" MB", 1_000_000),
        (" kB", 1_000),
    ];
    for (name, unit) in UNITS {
        if bytes >= unit {
            let tenths = bytes / (unit / 10);
            unsigned(out, tenths / 10);
            out.push('.');
            unsigned(out, tenths % 10);
            out.push_str(name);
            return;
        }
    }
    unsigned(out, bytes);
    out.push_str(if bytes == 1 { " byte" } else { " bytes" });
}

/// `part / whole` in millionths. Never a full million unless it is exactly all, so that one failure
/// among millions cannot be rounded away.
pub(crate) fn millionths(part: u64, whole: u64) -> Option<i64> {
    if whole == 0 {
        return None;
    }
    if part >= whole {
        return Some(1_000_000);
    }
    let (part, whole) = (u128::from(part), u128::from(whole));
    let rounded = (part * 2_000_000 + whole) / (2 * whole);
    Some(i64::try_from(rounded).unwrap_or(0).min(999_999))
}

/// Pushes `part / whole` as a number between `0.0` and `1.0`. Returns `false` if `whole` is 0.
pub(crate) fn share(out: &mut String, part: u64, whole: u64) -> bool {
    let Some(millionths) = millionths(part, whole) else {
        return false;
    };
    decimal(out, millionths, 6, 1);
    true
}

/// Pushes `part / whole` as a percentage, `99.99 %`. Returns `false` if `whole` is 0.
pub(crate) fn percent(out: &mut String, part: u64, whole: u64) -> bool {
    let Some(millionths) = millionths(part, whole) else {
        return false;
    };
    // Cut, not rounded: 99.999 % must not read as all.
    decimal(out, millionths / 100, 2, 2);
    out.push_str(" %");
    true
}

/// Pushes `10.0.0.1:80` or `[::1]:80`.
pub(crate) fn endpoint(out: &mut String, endpoint: Endpoint) {
    match endpoint.ip() {
        ip @ IpAddr::V4(_) => {
            address(out, ip);
            out.push(':');
            unsigned(out, u64::from(endpoint.port));
        }
        IpAddr::V6(_) => {
            let _ = write!(out, "{endpoint}");
        }
    }
}

/// Pushes `10.0.0.1` or `::1`.
pub(crate) fn address(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push('.');
                }
                unsigned(out, u64::from(octet));
            }
        }
        IpAddr::V6(ip) => {
            let _ = write!(out, "{ip}");
        }
    }
}

/// Writes RFC 3339 times. It keeps the part up to the second, because the next time likely has the
/// same.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    second: Option<i64>,
    /// `2026-11-24T08:00:00`.
    prefix: String,
}

impl Clock {
    /// Pushes `2026-11-24T08:00:00.000000001Z`.
    pub(crate) fn push(&mut self, out: &mut String, time: Timestamp) {
        const PER_SECOND: i64 = 1_000_000_000;
        let second = time.as_nanos().div_euclid(PER_SECOND);
        if self.second != Some(second) {
            self.second = Some(second);
            self.prefix.clear();
            let _ = write!(self.prefix, "{time}");
            self.prefix.truncate("2026-11-24T08:00:00".len());
        }
        out.push_str(&self.prefix);
        let nanos = time.as_nanos().rem_euclid(PER_SECOND).unsigned_abs();
        out.push('.');
        padded(out, nanos, 9);
        out.push('Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn decimals_have_no_noise() {
        assert_eq!(of(|out| decimal(out, 0, 3, 1)), "0.0");
        assert_eq!(of(|out| decimal(out, 28, 3, 1)), "0.028");
        assert_eq!(of(|out| decimal(out, -1_500, 3, 1)), "-1.5");
        assert_eq!(of(|out| decimal(out, 500_000, 3, 0)), "500");
        assert_eq!(of(|out| decimal(out, 2_000, 3, 3)), "2.000");
        assert_eq!(
            of(|out| decimal(out, i64::MIN, 9, 1)),
            "-9223372036.854775808"
        );
        assert_eq!(of(|out| unsigned(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(of(|out| unsigned(out, 10)), "10");
        assert_eq!(
            of(|out| seconds(out, Span::from_nanos(90_518_612_000))),
            "90.518612"
        );
    }

    #[test]
    fn durations_as_people_say_them() {
        let spoken = |nanos| of(|out| spoken(out, Span::from_nanos(nanos)));
        assert_eq!(spoken(28_000), "0.03 ms");
        assert_eq!(spoken(4_000), "0.004 ms");
        assert_eq!(spoken(0), "0.0 ms");
        assert_eq!(spoken(501_711_000), "501.7 ms");
        assert_eq!(spoken(1_503_512_000), "1503.5 ms");
        assert_eq!(spoken(75_240_000_000), "75.2 s");
        assert_eq!(spoken(-1_230_000), "-1.23 ms");
        assert_eq!(spoken(119_949_000_000), "119.9 s");
        assert_eq!(spoken(120_000_000_000), "2 min");
        assert_eq!(spoken(372_497_000_000), "6 min 12 s");
        assert_eq!(spoken(3_600_000_000_000), "60 min");
        assert_eq!(spoken(11_100_000_000_000), "3 h 5 min");
        assert_eq!(spoken(180_000_000_000_000), "2 d 2 h");
        assert_eq!(spoken(i64::MIN), "-106751 d 23 h");
        let timeout = |millis| of(|out| timeout(out, Span::from_millis(millis)));
        assert_eq!(timeout(500), "500 ms");
        assert_eq!(timeout(1_000), "1 s");
        assert_eq!(timeout(1_500), "1.5 s");
        assert_eq!(timeout(1_234), "1234 ms");
    }

    #[test]
    fn counts_and_bytes() {
        assert_eq!(of(|out| grouped(out, 1_002_003)), "1,002,003");
        assert_eq!(of(|out| bytes(out, 31_698)), "31.6 kB");
        assert_eq!(of(|out| bytes(out, 1)), "1 byte");
    }

    #[test]
    fn one_failure_is_never_rounded_away() {
        assert_eq!(of(|out| assert!(share(out, 3, 4))), "0.75");
        assert_eq!(of(|out| assert!(share(out, 4, 4))), "1.0");
        assert_eq!(
            of(|out| assert!(share(out, 9_999_999, 10_000_000))),
            "0.999999"
        );
        assert_eq!(of(|out| assert!(percent(out, 99_999, 100_000))), "99.99 %");
        assert_eq!(of(|out| assert!(!share(out, 0, 0))), "");
        assert_eq!(
            of(|out| assert!(share(out, u64::MAX - 1, u64::MAX))),
            "0.999999"
        );
    }

    #[test]
    fn the_clock_agrees_with_the_slow_way() {
        let mut clock = Clock::default();
        for nanos in [
            0,
            1,
            -1,
            999_999_999,
            1_000_000_000,
            1_795_507_200_000_000_001,
            1_795_507_200_999_999_999,
            i64::MAX,
            i64::MIN,
            -1_000_000_000,
        ] {
            let time = Timestamp::from_nanos(nanos);
            assert_eq!(of(|out| clock.push(out, time)), time.to_string());
        }
    }

    #[test]
    fn endpoints_agree_with_their_display() {
        for end in [
            Endpoint::v4([10, 244, 0, 5], 3000),
            Endpoint::v4([255, 0, 100, 9], 0),
            Endpoint::v6([0; 16], 65535),
            Endpoint::v6([0x20; 16], 80),
        ] {
            assert_eq!(of(|out| endpoint(out, end)), end.to_string());
        }
    }
}
