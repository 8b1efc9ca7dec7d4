//! Which trace a request is part of, as tracing headers say it.
//!
//! `traceparent` is [W3C's][w3c], `b3` and `x-b3-traceid` are [Zipkin's][b3], which Envoy sends
//! unless it is told otherwise.
//!
//! [w3c]: https://www.w3.org/TR/trace-context/#traceparent-header
//! [b3]: https://github.com/openzipkin/b3-propagation

use compact_str::CompactString;

/// The trace in `traceparent`: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
pub(super) fn by_traceparent(value: &[u8]) -> Option<CompactString> {
    let mut parts = value.trim_ascii().split(|byte| *byte == b'-');
    let (version, trace, _) = (parts.next()?, parts.next()?, parts.next()?);
    let known = version.len() == 2 && version != b"ff" && trace.len() == 32;
    known.then(|| by_id(trace))?
}

/// The trace in `b3`: `80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1`. What only says whether
/// to sample names none.
pub(super) fn by_b3(value: &[u8]) -> Option<CompactString> {
    by_id(value.trim_ascii().split(|byte| *byte == b'-').next()?)
}

/// The trace in `x-b3-traceid`: 64 or 128 bits in hexadecimal digits, and not zero.
pub(super) fn by_id(value: &[u8]) -> Option<CompactString> {
    let value = value.trim_ascii();
    let is_id = [16, 32].contains(&value.len())
        && value.iter().all(u8::is_ascii_hexdigit)
        && value.iter().any(|byte| *byte != b'0');
    let text = std::str::from_utf8(value).ok()?;
    is_id.then(|| CompactString::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_known_by_its_number() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!(" 00-{id}-00f067aa0ba902b7-01");
        assert_eq!(by_traceparent(parent.as_bytes()).as_deref(), Some(id));
        let b3 = format!("{id}-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90");
        assert_eq!(by_b3(b3.as_bytes()).as_deref(), Some(id));
        assert_eq!(
            by_b3(b"463ac35c9f6413ad").as_deref(),
            Some("463ac35c9f6413ad")
        );
        assert_eq!(by_id(id.as_bytes()).as_deref(), Some(id));
    }

    #[test]
    fn what_is_no_number_names_none() {
        let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let of_no_version = "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for none in [
            &zeros,
            of_no_version,
            "00-4bf92f3577b34da6-00f067aa0ba902b7-01",
            "00",
            "",
        ] {
            assert_eq!(by_traceparent(none.as_bytes()), None, "{none}");
        }
        for none in ["0", "d", "1", "not-hex", "4bf92f3577b34da6a3ce929d0e0e473g"] {
            assert_eq!(by_b3(none.as_bytes()), None, "{none}");
        }
    }
}
