//! Timeouts: how a request announces one, and whether a gap fits one.

use crate::time::Span;

/// The figures people write into a timeout field, smallest first.
pub const USUAL_FIGURES: [Span; 12] = [
    Span::from_millis(100),
    Span::from_millis(200),
    Span::from_millis(250),
    Span::from_millis(500),
    Span::from_secs(1),
    Span::from_secs(2),
    Span::from_secs(3),
    Span::from_secs(5),
    Span::from_secs(10),
    Span::from_secs(15),
    Span::from_secs(30),
    Span::from_secs(60),
];

/// Whether a close `gap` after the request fits a timeout of `timeout`.
///
/// A gap is more often short than long, because the caller's timer starts before its connection and
/// TLS handshake do: from max(10 ms, 5 %) below to max(10 ms, 3 %) above, and never further off
/// than a quarter.
#[must_use]
pub fn matches(timeout: Span, gap: Span) -> bool {
    let t = timeout.as_nanos();
    let floor = Span::from_millis(10).as_nanos();
    let below = floor.max(t / 20).min(t / 4);
    let above = floor.max(t / 100 * 3).min(t / 4);
    let gap = gap.as_nanos();
    gap >= t.saturating_sub(below) && gap <= t.saturating_add(above)
}

/// The usual figure that `gap` fits, if one does.
#[must_use]
pub fn usual_figure(gap: Span) -> Option<Span> {
    USUAL_FIGURES
        .into_iter()
        .find(|&figure| matches(figure, gap))
}

/// The value of `x-envoy-expected-rq-timeout-ms`: whole milliseconds. Zero means no timeout.
#[must_use]
pub fn parse_envoy_millis(value: &[u8]) -> Option<Span> {
    let millis: u32 = parse_digits(value, 10)?;
    (millis > 0).then(|| Span::from_millis(i64::from(millis)))
}

/// The value of `grpc-timeout`: at most 8 digits and a unit (gRPC over HTTP/2, "Requests").
#[must_use]
pub fn parse_grpc_timeout(value: &[u8]) -> Option<Span> {
    let (unit, digits) = value.split_last()?;
    let amount = i64::from(parse_digits(digits, 8)?);
    let nanos = match unit {
        b'H' => amount.saturating_mul(3_600_000_000_000),
        b'M' => amount.saturating_mul(60_000_000_000),
        b'S' => amount.saturating_mul(1_000_000_000),
        b'm' => amount.saturating_mul(1_000_000),
        b'u' => amount.saturating_mul(1_000),
        b'n' => amount,
        _ => return None,
    };
    (nanos > 0).then(|| Span::from_nanos(nanos))
}

fn parse_digits(digits: &[u8], most: usize) -> Option<u32> {
    if digits.is_empty() || digits.len() > most || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: f64) -> Span {
        Span::from_nanos((millis * 1e6) as i64)
    }

    #[test]
    fn gaps_of_a_real_mesh_fit_half_a_second() {
        for gap in [475.0, 493.6, 499.5, 501.683, 515.0] {
            assert!(matches(ms(500.0), ms(gap)), "{gap}");
        }
        for gap in [474.9, 515.1, 250.0] {
            assert!(!matches(ms(500.0), ms(gap)), "{gap}");
        }
    }

    #[test]
    fn a_short_timeout_is_never_matched_from_further_than_a_quarter() {
        assert!(matches(ms(20.0), ms(15.0)));
        assert!(!matches(ms(20.0), ms(14.9)));
        assert!(matches(ms(20.0), ms(25.0)));
        assert!(!matches(ms(20.0), ms(25.1)));
    }

    #[test]
    fn usual_figures_do_not_overlap() {
        assert_eq!(usual_figure(ms(501.7)), Some(Span::from_millis(500)));
        assert_eq!(usual_figure(ms(0.3)), None);
        assert_eq!(usual_figure(ms(700.0)), None);
        assert_eq!(usual_figure(ms(14_800.0)), Some(Span::from_secs(15)));
    }

    #[test]
    fn a_timeout_is_matched_from_5_percent_below_to_3_percent_above() {
        for (timeout, from, upto) in [
            (10_000.0, 9_500.0, 10_300.0),
            // No less than 10 ms, which 5 % are at 200 ms, and 3 % at 333.
            (201.0, 190.95, 211.0),
            (199.0, 189.0, 209.0),
            (334.0, 317.3, 344.02),
            (332.0, 315.4, 342.0),
            // No more than a quarter, which 10 ms are at 40 ms.
            (41.0, 31.0, 51.0),
            (39.0, 29.25, 48.75),
            (1.0, 0.75, 1.25),
        ] {
            let near = |gap: f64, by: i64| Span::from_nanos(ms(gap).as_nanos() + by);
            assert!(matches(ms(timeout), near(from, 100)), "{timeout} {from}");
            assert!(!matches(ms(timeout), near(from, -100)), "{timeout} {from}");
            assert!(matches(ms(timeout), near(upto, -100)), "{timeout} {upto}");
            assert!(!matches(ms(timeout), near(upto, 100)), "{timeout} {upto}");
        }
    }

    #[test]
    fn the_bounds_themselves_match() {
        for gap in [475, 515] {
            assert!(matches(Span::from_millis(500), Span::from_millis(gap)));
        }
    }

    #[test]
    fn every_usual_figure_is_found_by_itself() {
        for figure in USUAL_FIGURES {
            assert_eq!(usual_figure(figure), Some(figure));
        }
    }

    #[test]
    fn units_and_longest_values_of_announced_timeouts() {
        for (value, nanos) in [
            (&b"1H"[..], 3_600_000_000_000),
            (b"1M", 60_000_000_000),
            (b"1S", 1_000_000_000),
            (b"1m", 1_000_000),
            (b"1u", 1_000),
            (b"1n", 1),
            (b"99999999n", 99_999_999),
            (b"99999999H", i64::MAX),
        ] {
            assert_eq!(parse_grpc_timeout(value), Some(Span::from_nanos(nanos)));
        }
        for bad in [&b"0S"[..], b"+1S", b"1 S", b"1.5S"] {
            assert_eq!(parse_grpc_timeout(bad), None);
        }
        let longest = Some(Span::from_millis(4_294_967_295));
        assert_eq!(parse_envoy_millis(b"4294967295"), longest);
        assert_eq!(parse_envoy_millis(b"4294967296"), None);
        assert_eq!(parse_envoy_millis(b"00000000001"), None, "eleven digits");
        assert_eq!(
            parse_envoy_millis(b"0000000001"),
            Some(Span::from_millis(1))
        );
    }

    #[test]
    fn announced_timeouts() {
        assert_eq!(parse_envoy_millis(b"500"), Some(Span::from_millis(500)));
        for bad in [&b""[..], b"0", b"5s", b"-1", b"99999999999"] {
            assert_eq!(parse_envoy_millis(bad), None);
        }
        assert_eq!(parse_grpc_timeout(b"500m"), Some(Span::from_millis(500)));
        assert_eq!(parse_grpc_timeout(b"2S"), Some(Span::from_secs(2)));
        for bad in [&b""[..], b"m", b"500", b"123456789m", b"1x"] {
            assert_eq!(parse_grpc_timeout(bad), None);
        }
    }
}
