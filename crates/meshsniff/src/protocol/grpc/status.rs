//! The status of a call, and its message.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// Bytes of a status message that are kept.
const MAX_MESSAGE: usize = 1024;

/// A status (`grpc-status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Status(pub u32);

impl Status {
    /// The call went well.
    pub const OK: Self = Self(0);
    /// Something went wrong, and nothing more is known.
    pub const UNKNOWN: Self = Self(2);
    /// Nobody was there to do it.
    pub const UNAVAILABLE: Self = Self(14);

    const NAMES: [&'static str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    /// Its name; a number that has none is to be read as `UNKNOWN`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let index = usize::try_from(self.0).unwrap_or(usize::MAX);
        Self::NAMES.get(index).copied().unwrap_or("UNKNOWN")
    }

    /// The status of this name, whatever its case, or of this number.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let at = Self::NAMES
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name));
        match at {
            Some(at) => u32::try_from(at).ok().map(Self),
            None => name.parse().ok().map(Self),
        }
    }

    /// The status that an error code of Connect's stands for. One that is none of them is to be
    /// read as `unknown`.
    #[must_use]
    pub fn by_connect_code(code: &str) -> Option<Self> {
        // It spells one of them in another way, and names no status of what went well.
        let name = match code {
            "canceled" => "CANCELLED",
            "ok" | "cancelled" => return None,
            name => name,
        };
        let mut names = Self::NAMES.iter();
        let at = names.position(|known| known.eq_ignore_ascii_case(name))?;
        u32::try_from(at).ok().map(Self)
    }

    /// Every name, in the order of their numbers.
    #[must_use]
    pub const fn names() -> &'static [&'static str] {
        &Self::NAMES
    }

    /// Whether the server failed; the others are the caller's own affair. [OpenTelemetry's table
    /// for servers][table].
    ///
    /// [table]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
    #[must_use]
    pub fn is_server_failure(self) -> bool {
        matches!(self.0, 2 | 4 | 12 | 13 | 14 | 15 | 17..)
    }
}

/// The text of a message that is no field's, cut where it is too long.
pub(super) fn cut(text: &str) -> CompactString {
    let mut end = text.len().min(MAX_MESSAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

/// The number in a `grpc-status`.
#[must_use]
pub fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

/// The text of a `grpc-message`: percent-decoded, and cut where it is too long.
#[must_use]
pub fn message(value: &[u8]) -> CompactString {
    let decoded: Vec<u8> = percent_encoding::percent_decode(value)
        .take(MAX_MESSAGE)
        .collect();
    CompactString::from_utf8_lossy(&decoded)
}
