//! What the first bytes of a stream, or of a segment, are.

use super::http2::frame::{self, Frame, Kind, PREFACE};
use super::http2::hpack::Decoder;
use crate::tcp::Side;
use memchr::memchr;

/// No method in the IANA registry is longer than 17 bytes; `UPDATEREDIRECTREF` is.
const MAX_METHOD: usize = 24;

/// Methods believed in a request line that is cut before its version (RFC 9110, 9.3, and RFC 5789).
const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
];

/// How bytes at a message boundary look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A whole request line, or a known method and the beginning of a target.
    Request,
    /// Could still become a request line.
    PerhapsRequest,
    /// The HTTP/2 preface, or a beginning of it that no HTTP/1 request shares.
    Http2,
    /// A TLS record.
    Tls,
    /// None of these.
    Other,
}

/// Tells what `bytes` open with, where a client is expected to speak. With `forced` any method is
/// believed as soon as it is followed by a space.
#[must_use]
pub fn client_opening(bytes: &[u8], forced: bool) -> Opening {
    let shared = bytes.len().min(PREFACE.len());
    if shared >= 5 && bytes[..shared] == PREFACE[..shared] {
        return Opening::Http2;
    }
    if is_tls_record(bytes) {
        return Opening::Tls;
    }
    let bytes = skip_blank_lines(bytes);
    if begins_request(bytes) {
        return Opening::Request;
    }
    let method = bytes.iter().take_while(|&&b| is_token(b)).count();
    if method > MAX_METHOD && !forced {
        return Opening::Other;
    }
    match bytes.get(method) {
        None => Opening::PerhapsRequest,
        Some(b' ') if method > 0 => {
            let line_ended = memchr(b'\n', bytes).is_some();
            if forced && bytes.len() > method + 1 {
                Opening::Request
            } else if !line_ended && may_become_request_line(&bytes[method + 1..]) {
                Opening::PerhapsRequest
            } else {
                Opening::Other
            }
        }
        Some(_) => Opening::Other,
    }
}

/// Whether `rest`, what follows a method, is a target and as much of a version as is there.
fn may_become_request_line(rest: &[u8]) -> bool {
    const VERSION: &[u8] = b"HTTP/1.";
    let (target, version) = match memchr(b' ', rest) {
        Some(space) => (&rest[..space], &rest[space + 1..]),
        None => (rest, &rest[..0]),
    };
    let shared = version.len().min(VERSION.len());
    let minor = &version[shared..];
    target.iter().all(|&b| is_target(b))
        && (!target.is_empty() || version.is_empty())
        && version[..shared] == VERSION[..shared]
        && match minor {
            [] => true,
            [digit] => digit.is_ascii_digit(),
            [digit, b'\r'] => digit.is_ascii_digit(),
            _ => false,
        }
}

/// [`begins_request`], or, with `forced`, anything that [`client_opening`] then takes for a
/// request. Empty lines in front do not count.
#[must_use]
pub fn begins_request_on(bytes: &[u8], forced: bool) -> bool {
    let bytes = skip_blank_lines(bytes);
    begins_request(bytes) || forced && client_opening(bytes, true) == Opening::Request
}

/// The side that says `bytes`, by their first words; with `forced` as for [`client_opening`].
#[must_use]
pub fn speaker(bytes: &[u8], forced: bool) -> Option<Side> {
    if begins_request_on(bytes, forced) || bytes.starts_with(PREFACE) {
        Some(Side::Client)
    } else if begins_response(bytes) == Some(true) {
        Some(Side::Server)
    } else {
        speaker_of_frames(bytes)
    }
}

/// The side that says the first header block in frames of HTTP/2.
fn speaker_of_frames(bytes: &[u8]) -> Option<Side> {
    let (begin, end) = frame::find(bytes, None)?.block?;
    let (mut client, mut server) = (false, false);
    let mut look = |field: super::http2::hpack::Field<'_>| {
        let name = field.name.unwrap_or_default();
        server |= name == b":status" || name == b"grpc-status";
        client |= name.first() == Some(&b':') && name != b":status";
    };
    // It need not be whole, nor known: what is there tells.
    let _ = Decoder::new(false).decode(&bytes[begin..end], &mut look);
    match (client, server) {
        (true, false) => Some(Side::Client),
        (false, true) => Some(Side::Server),
        _ => None,
    }
}

/// Whether `bytes` begin with SETTINGS, as what a side of HTTP/2 says first does.
#[must_use]
pub fn begins_settings(bytes: &[u8]) -> bool {
    let header = bytes.first_chunk().map(|header| Frame::parse(*header));
    header.is_some_and(|parts| {
        let frame = parts.frame();
        let settings = frame.kind == Kind::Settings && !frame.has(frame::ACK);
        settings && parts.is_plausible(None)
    })
}

/// Whether `bytes`, in the middle of a connection, surely are frames of HTTP/2 that `side` sends.
#[must_use]
pub fn begins_frames(bytes: &[u8], side: Option<Side>) -> bool {
    let Some(found) = frame::find(bytes, side) else {
        return false;
    };
    let certain = found.sure && (found.exact || found.frames > 1);
    certain || speaker_of_frames(bytes).is_some_and(|by| side.is_none_or(|side| side == by))
}

/// Whether `bytes` begin with a request line: a token, a target and `HTTP/1.x`, or, if the line's
/// end is not in `bytes`, one of the usual methods and a target's beginning.
#[must_use]
pub fn begins_request(bytes: &[u8]) -> bool {
    if !bytes.first().is_some_and(|&b| is_token(b)) {
        return false;
    }
    let line = match memchr(b'\n', bytes) {
        Some(end) => &bytes[..end],
        None => return begins_with_known_method(bytes),
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some(rest) = line.len().checked_sub(9).map(|at| line.split_at(at)) else {
        return false;
    };
    let (start, version) = rest;
    if !(version.starts_with(b" HTTP/1.") && version[8].is_ascii_digit()) {
        return false;
    }
    let Some(space) = memchr(b' ', start) else {
        return false;
    };
    let target = &start[space + 1..];
    // A blank in a target is what no server takes, but behind a usual method it was meant so.
    let usual = || METHODS.contains(&&start[..=space]) && !target.starts_with(b" ");
    space > 0
        && space <= MAX_METHOD
        && start[..space].iter().all(|&b| is_token(b))
        && !target.is_empty()
        && (target.iter().all(|&b| is_target(b))
            || usual() && target.iter().all(|&b| is_target_or_line(b)))
}

/// Whether `method` is one of the usual methods.
#[must_use]
pub fn is_usual_method(method: &str) -> bool {
    METHODS
        .iter()
        .any(|known| known.strip_suffix(b" ") == Some(method.as_bytes()))
}

/// Whether `bytes` are the beginning of one of the usual methods, or all of it and the blank after
/// it.
#[must_use]
pub fn is_method_begun(bytes: &[u8]) -> bool {
    METHODS.iter().any(|method| method.starts_with(bytes))
}

fn begins_with_known_method(bytes: &[u8]) -> bool {
    METHODS.iter().any(|method| {
        bytes.strip_prefix(*method).is_some_and(|target| {
            !target.is_empty() && target.iter().all(|&b| is_target_or_line(b))
        })
    })
}

/// Whether `bytes` begin with `HTTP/1.x` and a status code, as far as they go; `None` if they are
/// too short to tell.
#[must_use]
pub fn begins_response(bytes: &[u8]) -> Option<bool> {
    const SHAPE: &[u8] = b"HTTP/1.";
    let shared = bytes.len().min(SHAPE.len());
    if bytes[..shared] != SHAPE[..shared] {
        return Some(false);
    }
    let rest = &bytes[shared..];
    let fits = rest.iter().take(5).enumerate().all(|(at, &b)| match at {
        1 => b == b' ',
        _ => b.is_ascii_digit(),
    });
    if !fits {
        return Some(false);
    }
    (rest.len() >= 5).then_some(true)
}

/// The status code of a response whose head may be cut after it.
#[must_use]
pub fn partial_status(bytes: &[u8]) -> Option<u16> {
    if begins_response(bytes) != Some(true) {
        return None;
    }
    let digits = std::str::from_utf8(&bytes[9..12]).ok()?;
    // The digits may go on beyond the cut: only a fourth byte proves that they do not.
    bytes.get(12).filter(|b| !b.is_ascii_digit())?;
    digits.parse().ok()
}

/// Whether `bytes` begin with a TLS record (RFC 8446, 5.1): content type 20 to 23, version 3.0 to
/// 3.4, a permitted length, and for a handshake one of the hellos.
#[must_use]
pub fn is_tls_record(bytes: &[u8]) -> bool {
    let &[kind, major, minor, high, low, ref rest @ ..] = bytes else {
        return false;
    };
    let length = u16::from_be_bytes([high, low]);
    (20..=23).contains(&kind)
        && major == 3
        && minor <= 4
        && length <= 16_640
        && (kind != 22 || matches!(rest.first(), None | Some(1 | 2)))
}

/// `bytes` without the empty lines a server should ignore before a request line (RFC 9112, 2.2).
#[must_use]
pub fn skip_blank_lines(bytes: &[u8]) -> &[u8] {
    let blank = bytes.iter().take_while(|&&b| b == b'\r' || b == b'\n');
    &bytes[blank.count()..]
}

/// Whether a byte may stand in a method or a field's name (RFC 9110, 5.6.2).
#[must_use]
pub const fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Bytes met in request targets; beyond ASCII too, since real clients send them.
const fn is_target(b: u8) -> bool {
    b > b' ' && b != 0x7f
}

const fn is_target_or_line(b: u8) -> bool {
    b >= b' ' && b != 0x7f || b == b'\r'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        for line in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"GET / HTTP/1.0\nHost: x",
            b"QUERY /search?q=1 HTTP/1.1\r\n",
            b"get /lower HTTP/1.1\r\n",
            b"CONNECT a:443 HTTP/1.1\r\n\r\n",
            b"GET /cut-before-its-vers",
            b"POST /cut HTT",
        ] {
            assert_eq!(client_opening(line, false), Opening::Request, "{line:?}");
        }
    }

    #[test]
    fn things_that_are_no_request() {
        for bytes in [
            &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
            b"EHLO example.org\r\n",
            b"INVITE sip:a@b SIP/2.0\r\n",
            b"GET /\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"\x00\x01\x02",
            b"HTTP/1.1 200 OK\r\n",
            b"QUERY /search HTTP/2",
            b"QUERY  HTTP/1.1",
        ] {
            assert_eq!(client_opening(bytes, false), Opening::Other, "{bytes:?}");
        }
    }

    #[test]
    fn short_beginnings_stay_open() {
        for bytes in [
            &b"G"[..],
            b"GE",
            b"QUERY",
            b"QUERY /sea",
            b"QUERY /search HTT",
            b"QUERY /search HTTP/1.1",
            b"QUERY /search HTTP/1.1\r",
            b"PRI",
        ] {
            assert_eq!(
                client_opening(bytes, false),
                Opening::PerhapsRequest,
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn http2_and_tls() {
        assert_eq!(client_opening(PREFACE, false), Opening::Http2);
        assert_eq!(client_opening(b"PRI * HTTP/2.0\r\n", false), Opening::Http2);
        let hello = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc];
        assert_eq!(client_opening(&hello, false), Opening::Tls);
        assert!(!is_tls_record(&[22, 3, 1, 2, 0, 9]));
        assert!(!is_tls_record(&[22, 3, 1, 0x50, 0, 1]));
        assert!(!is_tls_record(&[24, 3, 1, 0, 2, 1]));
    }

    #[test]
    fn status_lines() {
        assert_eq!(begins_response(b"HTTP/1.1 200 OK"), Some(true));
        assert_eq!(begins_response(b"HTTP/1.1 2"), None);
        assert_eq!(begins_response(b"HTTP/2 200"), Some(false));
        assert_eq!(begins_response(b"SSH-2.0"), Some(false));
        assert_eq!(partial_status(b"HTTP/1.1 504 Gat"), Some(504));
        assert_eq!(partial_status(b"HTTP/1.1 504"), None);
    }
}
