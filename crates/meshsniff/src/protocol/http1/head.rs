//! Heads: the request line or status line and the header fields, read with `httparse`.

use super::body::Framing;
use crate::protocol::detect::{self, Opening};
use crate::protocol::event_stream;
use crate::protocol::fields::{Maker, RequestFields, is_coded, text};
use crate::protocol::grpc;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The longest head believed, in bytes. Envoy's own ceiling is 60 KiB by default and 8 MiB at most.
pub const MAX_HEAD: usize = 256 * 1024;

/// Header fields looked at; heads with more of them are read with [`MAX_FIELDS`].
const FIELDS: usize = 64;
const MAX_FIELDS: usize = 4096;

/// Contents of a request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: CompactString,
    /// The request target as sent.
    pub path: CompactString,
    /// 0 or 1, of HTTP/1.0 or HTTP/1.1.
    pub minor_version: u8,
    /// `Host`.
    pub authority: Option<CompactString>,
    /// Whether there is an `Upgrade` field.
    pub upgrade: bool,
    /// Whether it asks for HTTP/2 (RFC 7540, 3.2).
    pub h2c: bool,
    /// Whether the client waits for a `100 Continue` before it sends the body (RFC 9110, 10.1.1).
    pub expect: bool,
    /// What it says of the messages of a call within.
    pub wire: Option<grpc::Wire>,
    /// Whether `Content-Encoding` says that they stand in something else.
    pub coded: bool,
    /// Fields that say the same in every version of HTTP.
    pub fields: RequestFields,
    /// How the request's end is told.
    pub framing: Framing,
}

/// A reason why a proxy must not pass on a response: what is read from it in one way here may be
/// read in another elsewhere (RFC 9112, 2.2, 5, 6.1 and 6.3).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Defect {
    /// No HTTP/1 response at all.
    NoHttp,
    /// The chunks of the body cannot be read.
    ChunkedBody,
    /// `Transfer-Encoding` more than once, or `chunked` twice in it.
    TransferEncodingTwice,
    /// `Transfer-Encoding` beside a `Content-Length`.
    TransferEncodingWithLength,
    /// `Transfer-Encoding` on a 1xx or a 204, which have no body.
    TransferEncodingNotAllowed,
    /// A `Transfer-Encoding` whose last coding is not `chunked`.
    TransferEncodingNotChunked,
    /// Lengths in `Content-Length` that differ.
    LengthsDiffer,
    /// A `Content-Length` that is no number: signed, empty, too large.
    LengthInvalid,
    /// A field line without a colon.
    FieldWithoutColon,
    /// A field name that is no token.
    FieldName,
    /// A NUL or another control byte in a field.
    ControlByte,
    /// A CR in a field that no LF follows: some take it for a blank, others for the line's end.
    BareCr,
}

impl Defect {
    /// Every defect, in the order of the documentation.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().unwrap();

    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The defect in words, to follow "with" or "has".
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NoHttp => "bytes that are no HTTP response",
            Self::ChunkedBody => "a chunked body that cannot be read",
            Self::TransferEncodingTwice => "Transfer-Encoding twice",
            Self::TransferEncodingWithLength => "Transfer-Encoding and Content-Length",
            Self::TransferEncodingNotAllowed => "a Transfer-Encoding on a status that has no body",
            Self::TransferEncodingNotChunked => "a Transfer-Encoding that does not end in chunked",
            Self::LengthsDiffer => "Content-Lengths that differ",
            Self::LengthInvalid => "a Content-Length that is no number",
            Self::FieldWithoutColon => "a header line without a colon",
            Self::FieldName => "a header name that is no token",
            Self::ControlByte => "a control byte in a header",
            Self::BareCr => "a bare CR in a header",
        }
    }
}

/// Contents of a response head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// Why a proxy must refuse it; `None` if nothing speaks against it.
    pub defect: Option<Defect>,
    /// Of an error, what may tell who made it.
    pub maker: Option<Box<Maker>>,
    /// What it says of a call, if it says anything.
    pub call: Option<Box<CallHead>>,
    /// Whether it agrees on WebSocket.
    pub websocket: bool,
    /// Whether it announces server-sent events.
    pub event_stream: bool,
    /// Whether `Content-Encoding` says that they stand in something else.
    pub coded: bool,
    /// How the response's end is told, for a request whose method does not change it.
    pub framing: Framing,
}

/// What the head of a response says of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallHead {
    /// What `Content-Type` says of the messages within.
    pub wire: Option<grpc::Wire>,
    /// Whether `Content-Encoding` says that they stand in something else.
    pub coded: bool,
    /// `grpc-status`.
    pub status: Option<u32>,
    /// `grpc-message`, decoded.
    pub message: Option<CompactString>,
}

/// Contents of the beginning of a cut request head: only what is certainly whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialRequest {
    /// The method.
    pub method: Option<CompactString>,
    /// The request target as sent.
    pub path: Option<CompactString>,
    /// 0 or 1, of HTTP/1.0 or HTTP/1.1.
    pub minor_version: Option<u8>,
}

/// Reads the request line, as far as it goes, from the beginning of `bytes`.
#[must_use]
pub fn partial_request(bytes: &[u8]) -> PartialRequest {
    let bytes = detect::skip_blank_lines(bytes);
    let line_end = memchr::memchr(b'\n', bytes);
    let line = &bytes[..line_end.unwrap_or(bytes.len())];
    let Some(space) = memchr::memchr(b' ', line) else {
        return PartialRequest::default();
    };
    let (method, rest) = (&line[..space], &line[space + 1..]);
    // A target is whole only if something follows it; blanks in it belong to it.
    let target = match (memchr::memrchr(b' ', rest), memchr::memchr(b' ', rest)) {
        (Some(last), _) if rest[last + 1..].starts_with(b"HTTP/1.") => {
            Some((last, &rest[last + 1..]))
        }
        (_, Some(first)) => Some((first, &rest[first + 1..])),
        _ => None,
    };
    PartialRequest {
        method: Some(CompactString::from_utf8_lossy(method)),
        path: target.map(|(end, _)| CompactString::from_utf8_lossy(&rest[..end])),
        minor_version: match line_end
            .and(target)
            .map(|(_, version)| version.trim_ascii_end())
        {
            Some(b"HTTP/1.0") => Some(0),
            Some(b"HTTP/1.1") => Some(1),
            _ => None,
        },
    }
}

/// Result of parsing bytes as a head.
#[derive(Clone, Debug)]
pub enum Parsed<T> {
    /// The head goes on beyond them.
    Partial,
    /// The head, and how many bytes it took.
    Whole(T, usize),
    /// They are no such head.
    Invalid,
}

/// Reads a request head from the beginning of `bytes`.
#[must_use]
pub fn request(bytes: &[u8]) -> Parsed<RequestHead> {
    // A field that no server would take is passed over: the request was made all the same.
    let mut config = httparse::ParserConfig::default();
    config.ignore_invalid_headers_in_requests(true);
    let mut fields = [std::mem::MaybeUninit::uninit(); FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match config.parse_request_with_uninit_headers(&mut request, bytes, &mut fields) {
        Ok(status) => finish_request(&request, status),
        Err(httparse::Error::Version) => {
            let blank = bytes.len() - detect::skip_blank_lines(bytes).len();
            let end = memchr::memchr(b'\n', &bytes[blank..]).map(|end| blank + end);
            let line = &bytes[..end.unwrap_or(bytes.len())];
            match memchr::memrchr(b' ', line).and_then(|at| known_version(bytes, at + 1)) {
                Some(mended) => self::request(&mended),
                None => odd_target(bytes),
            }
        }
        Err(httparse::Error::TooManyHeaders) => {
            let mut fields = vec![httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut request = httparse::Request::new(&mut fields);
            match config.parse_request(&mut request, bytes) {
                Ok(status) => finish_request(&request, status),
                Err(_) => odd_target(bytes),
            }
        }
        Err(_) => odd_target(bytes),
    }
}

/// Reads a request head whose target has blanks or other bytes in it that no server takes. It was
/// asked for all the same, and is told as it was sent.
fn odd_target(bytes: &[u8]) -> Parsed<RequestHead> {
    let skipped = bytes.len() - detect::skip_blank_lines(bytes).len();
    let rest = &bytes[skipped..];
    // The same of the line's beginning and of all of it: it must not matter how it is cut.
    let Some(end) = memchr::memchr(b'\n', rest) else {
        return match detect::client_opening(rest, false) {
            Opening::Other => Parsed::Invalid,
            _ => Parsed::Partial,
        };
    };
    if !detect::begins_request(rest) {
        return Parsed::Invalid;
    }
    let line = &bytes[skipped..skipped + end];
    let words = memchr::memchr(b' ', line).zip(memchr::memrchr(b' ', line));
    let Some((first, last)) = words.filter(|(first, last)| last > first) else {
        return Parsed::Invalid;
    };
    let target = &line[first + 1..last];
    let odd = |b: u8| !b.is_ascii_graphic();
    if !target.iter().any(|&b| odd(b)) {
        return Parsed::Invalid;
    }
    let mut mended = bytes.to_vec();
    for b in &mut mended[skipped + first + 1..skipped + last] {
        if odd(*b) {
            *b = b'_';
        }
    }
    match request(&mended) {
        Parsed::Whole(mut head, used) => {
            head.path = CompactString::from_utf8_lossy(target);
            Parsed::Whole(head, used)
        }
        other => other,
    }
}

fn finish_request(
    request: &httparse::Request<'_, '_>,
    status: httparse::Status<usize>,
) -> Parsed<RequestHead> {
    let httparse::Status::Complete(used) = status else {
        return Parsed::Partial;
    };
    let (Some(method), Some(path), Some(minor_version)) =
        (request.method, request.path, request.version)
    else {
        return Parsed::Invalid;
    };
    let mut head = RequestHead {
        method: CompactString::new(method),
        path: CompactString::new(path),
        minor_version,
        authority: None,
        upgrade: false,
        h2c: false,
        expect: false,
        wire: None,
        coded: false,
        fields: RequestFields::default(),
        framing: Framing::None,
    };
    let mut length = BodyLength::default();
    for field in request.headers.iter() {
        let name = field.name;
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => head.authority = Some(text(field.value)),
            6 if name.eq_ignore_ascii_case("expect") => {
                head.expect = field
                    .value
                    .trim_ascii()
                    .eq_ignore_ascii_case(b"100-continue");
            }
            7 if name.eq_ignore_ascii_case("upgrade") => {
                head.upgrade = true;
                let mut protocols = field.value.split(|&b| b == b',');
                head.h2c |= protocols.any(|one| one.trim_ascii() == b"h2c");
            }
            12 if name.eq_ignore_ascii_case("content-type") => {
                head.wire = grpc::Wire::of(field.value).or(head.wire);
            }
            14 if name.eq_ignore_ascii_case("content-length") => length.length(field.value),
            16 if name.eq_ignore_ascii_case("content-encoding") => {
                head.coded = is_coded(field.value);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => length.coding(field.value),
            24 if name.eq_ignore_ascii_case("connect-protocol-version") => {
                head.wire.get_or_insert(grpc::Wire::ConnectUnary);
            }
            _ => head.fields.take(name, field.value),
        }
    }
    head.framing = match length.framing() {
        // A request that does not end with chunked cannot be delimited (RFC 9112, 6.3, rule 4).
        Err(()) | Ok(Some(Framing::UntilClose)) => return Parsed::Invalid,
        Ok(framing) => framing.unwrap_or(Framing::None),
    };
    Parsed::Whole(head, used)
}

/// Reads a response head from the beginning of `bytes`.
#[must_use]
pub fn response(bytes: &[u8]) -> Parsed<ResponseHead> {
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    match parse_response(&config, bytes) {
        Err(httparse::Error::Version) => match known_version(bytes, 0) {
            Some(mended) => response(&mended),
            None => Parsed::Invalid,
        },
        // A field that no client takes is passed over: the answer came all the same.
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => {
            config.ignore_invalid_headers_in_responses(true);
            config.allow_spaces_after_header_name_in_responses(true);
            match parse_response(&config, bytes) {
                Ok(Parsed::Whole(mut head, used)) => {
                    head.defect = Some(defective_field(&bytes[..used]));
                    Parsed::Whole(head, used)
                }
                Ok(parsed) => parsed,
                Err(_) => controlled(&config, bytes),
            }
        }
        Ok(parsed) => parsed,
        Err(_) => Parsed::Invalid,
    }
}

/// The control byte in a header line that no reader takes, if there is one.
fn control_byte(line: &[u8]) -> Option<Defect> {
    let mut control = line
        .iter()
        .filter(|&&b| b.is_ascii_control() && b != b'\t')
        .peekable();
    control.peek()?;
    let only_cr = control.all(|&b| b == b'\r');
    Some(if only_cr {
        Defect::BareCr
    } else {
        Defect::ControlByte
    })
}

/// Reads a response head with control bytes in its fields that no reader takes.
fn controlled(config: &httparse::ParserConfig, bytes: &[u8]) -> Parsed<ResponseHead> {
    let Some(end) = end_of_head(bytes, 0) else {
        return Parsed::Partial;
    };
    let mut mended = bytes[..end].to_vec();
    for at in 0..end {
        let line_end = mended[at] == b'\n' || mended[at..].starts_with(b"\r\n");
        if mended[at].is_ascii_control() && !line_end {
            mended[at] = b' ';
        }
    }
    match parse_response(config, &mended) {
        Ok(Parsed::Whole(mut head, used)) => {
            head.defect = Some(defective_field(&bytes[..used]));
            Parsed::Whole(head, used)
        }
        _ => Parsed::Invalid,
    }
}

/// A head whose version, at `at`, is an unknown `HTTP/1.x`, as one of HTTP/1.1: that is how it is to
/// be read (RFC 9110, 2.5). `None` if it is no such version.
fn known_version(bytes: &[u8], at: usize) -> Option<Vec<u8>> {
    let minor = bytes.get(at..)?.strip_prefix(b"HTTP/1.")?.first()?;
    if !matches!(minor, b'2'..=b'9') {
        return None;
    }
    let mut mended = bytes.to_vec();
    mended[at + b"HTTP/1.".len()] = b'1';
    Some(mended)
}

fn parse_response(
    config: &httparse::ParserConfig,
    bytes: &[u8],
) -> Result<Parsed<ResponseHead>, httparse::Error> {
    let mut fields = [std::mem::MaybeUninit::uninit(); FIELDS];
    let mut response = httparse::Response::new(&mut []);
    match config.parse_response_with_uninit_headers(&mut response, bytes, &mut fields) {
        Ok(status) => Ok(finish_response(&response, status)),
        Err(httparse::Error::TooManyHeaders) => {
            let mut fields = vec![httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut response = httparse::Response::new(&mut fields);
            let status = config.parse_response(&mut response, bytes)?;
            Ok(finish_response(&response, status))
        }
        Err(error) => Err(error),
    }
}

/// Why a head cannot be read strictly, of which one field is to blame.
fn defective_field(head: &[u8]) -> Defect {
    for line in head.split(|&b| b == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(control) = control_byte(line) {
            return control;
        }
        let goes_on = line.first().is_none_or(|b| b" \t".contains(b));
        if !goes_on && !line.contains(&b':') {
            return Defect::FieldWithoutColon;
        }
    }
    Defect::FieldName
}

fn finish_response(
    response: &httparse::Response<'_, '_>,
    status: httparse::Status<usize>,
) -> Parsed<ResponseHead> {
    let httparse::Status::Complete(used) = status else {
        return Parsed::Partial;
    };
    let Some(status) = response.code else {
        return Parsed::Invalid;
    };
    let mut length = BodyLength::default();
    let (mut call, mut coded) = (None::<Box<CallHead>>, false);
    let (mut websocket, mut event_stream) = (false, false);
    for field in response.headers.iter() {
        match field.name.len() {
            11 if field.name.eq_ignore_ascii_case("grpc-status") => {
                call.get_or_insert_default().status = grpc::number(field.value);
            }
            7 if field.name.eq_ignore_ascii_case("upgrade") => {
                websocket |= names_websocket(field.value);
            }
            12 if field.name.eq_ignore_ascii_case("content-type") => {
                if let Some(wire) = grpc::Wire::of(field.value) {
                    call.get_or_insert_default().wire = Some(wire);
                }
                event_stream = event_stream::is_announced(field.value);
            }
            12 if field.name.eq_ignore_ascii_case("grpc-message") => {
                call.get_or_insert_default().message = Some(grpc::message(field.value));
            }
            16 if field.name.eq_ignore_ascii_case("content-encoding") => {
                coded = is_coded(field.value);
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => length.length(field.value),
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                length.coding(field.value);
            }
            _ => {}
        }
    }
    let framing = match status {
        100..=199 | 204 | 304 => Framing::None,
        // A length that cannot be read leaves the close as the only end (RFC 9112, 6.3, rules 5 and
        // 8).
        _ => length
            .framing()
            .unwrap_or(None)
            .unwrap_or(Framing::UntilClose),
    };
    if let Some(call) = &mut call {
        call.coded = coded;
    }
    let refused = call.as_ref().and_then(|call| call.status) > Some(0);
    let head = ResponseHead {
        status,
        defect: length.defect(status),
        maker: (status >= 400 || refused).then(|| made_by(response.headers)),
        call,
        websocket,
        event_stream,
        coded,
        framing,
    };
    Parsed::Whole(head, used)
}

/// Whether an `Upgrade` field names WebSocket (RFC 6455, 4.2.2).
fn names_websocket(protocols: &[u8]) -> bool {
    let mut protocols = protocols.split(|&b| b == b',');
    protocols.any(|one| one.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn made_by(fields: &[httparse::Header<'_>]) -> Box<Maker> {
    let mut maker = Box::<Maker>::default();
    for field in fields {
        maker.take(field.name, field.value);
    }
    maker
}

/// The fields that tell a body's length (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, Default)]
struct BodyLength {
    length: Option<u64>,
    invalid: bool,
    differ: bool,
    /// Whether the last transfer coding named was chunked.
    chunked: Option<bool>,
    /// `Transfer-Encoding` fields, or `chunked` in them, beyond the first.
    twice: bool,
}

impl BodyLength {
    fn length(&mut self, value: &[u8]) {
        // A list of equal values is one value (RFC 9112, 6.3, rule 5).
        for one in value.split(|&b| b == b',') {
            let one = one.trim_ascii();
            let parsed = std::str::from_utf8(one)
                .ok()
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|digits| digits.parse::<u64>().ok());
            match (parsed, self.length) {
                (Some(new), None) => self.length = Some(new),
                (Some(new), Some(old)) if new == old => {}
                (Some(_), Some(_)) => self.differ = true,
                (None, _) => self.invalid = true,
            }
        }
    }

    fn coding(&mut self, value: &[u8]) {
        let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
        let mut codings = value.rsplit(|&b| b == b',');
        let last = codings.next().is_some_and(is_chunked);
        self.twice |= self.chunked.is_some() || last && codings.any(is_chunked);
        self.chunked = Some(last);
    }

    fn framing(self) -> Result<Option<Framing>, ()> {
        match (self.chunked, self.invalid || self.differ, self.length) {
            (Some(true), _, _) => Ok(Some(Framing::Chunked)),
            (Some(false), _, _) => Ok(Some(Framing::UntilClose)),
            (None, true, _) => Err(()),
            (None, false, length) => Ok(length.map(Framing::Length)),
        }
    }

    /// Why a proxy must refuse a response of this status.
    const fn defect(self, status: u16) -> Option<Defect> {
        let has_length = self.length.is_some() || self.invalid;
        Some(match self.chunked {
            Some(_) if self.twice => Defect::TransferEncodingTwice,
            Some(_) if has_length => Defect::TransferEncodingWithLength,
            Some(_) if matches!(status, 100..=199 | 204) => Defect::TransferEncodingNotAllowed,
            Some(false) => Defect::TransferEncodingNotChunked,
            _ if self.invalid => Defect::LengthInvalid,
            _ if self.differ => Defect::LengthsDiffer,
            _ => return None,
        })
    }
}

/// Where the blank line that ends a head lies: the length of the head, found without reading it
/// again from the start. `from` is where earlier bytes were searched to.
#[must_use]
pub fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3);
    memchr::memchr_iter(b'\n', &bytes[start..])
        .map(|at| start + at)
        .find(|&at| matches!(bytes[..at], [.., b'\n'] | [.., b'\n', b'\r']))
        .map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole<T>(parsed: Parsed<T>) -> (T, usize) {
        match parsed {
            Parsed::Whole(head, used) => (head, used),
            Parsed::Partial => panic!("partial"),
            Parsed::Invalid => panic!("invalid"),
        }
    }

    #[test]
    fn a_request_behind_envoy() {
        let bytes = b"POST /items?x=1 HTTP/1.1\r\nHost: catalog\r\nX-Request-Id: d3bf\r\n\
            x-envoy-expected-rq-timeout-ms: 500\r\nContent-Length: 5\r\n\r\nhello";
        let (head, used) = whole(request(bytes));
        assert_eq!(used, bytes.len() - 5);
        assert_eq!(head.method, "POST");
        assert_eq!(head.path, "/items?x=1");
        assert_eq!(head.authority.as_deref(), Some("catalog"));
        assert_eq!(head.fields.request_id.as_deref(), Some("d3bf"));
        assert_eq!(head.fields.envoy_timeout.as_deref(), Some("500"));
        assert_eq!(head.framing, Framing::Length(5));
    }

    #[test]
    fn of_several_trace_headers_the_standard_one_counts() {
        let head = |fields: &str| {
            whole(request(
                format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes(),
            ))
            .0
        };
        let [parent, b3, old] = [
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
            "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1\r\n",
            "X-B3-TraceId: 463ac35c9f6413ad\r\n",
        ];
        for (fields, trace) in [
            (
                format!("{old}{b3}{parent}"),
                Some("4bf92f3577b34da6a3ce929d0e0e4736"),
            ),
            (
                format!("{parent}{b3}{old}"),
                Some("4bf92f3577b34da6a3ce929d0e0e4736"),
            ),
            (format!("b3: 0\r\n{old}"), Some("463ac35c9f6413ad")),
            (b3.to_owned(), Some("80f198ee56343ba864fe8b2a57d3eff7")),
            (String::new(), None),
        ] {
            assert_eq!(head(&fields).fields.trace_id.as_deref(), trace, "{fields}");
        }
    }

    #[test]
    fn transfer_encoding_overrides_content_length() {
        let (head, _) = whole(request(
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ));
        assert_eq!(head.framing, Framing::Chunked);
    }

    #[test]
    fn lengths_that_cannot_be() {
        for value in ["-1", "5, 6", "5x", "", "99999999999999999999"] {
            let head = format!("POST / HTTP/1.1\r\nContent-Length: {value}\r\n\r\n");
            assert!(
                matches!(request(head.as_bytes()), Parsed::Invalid),
                "{value}"
            );
        }
        let (head, _) = whole(request(b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n"));
        assert_eq!(head.framing, Framing::Length(5));
    }

    #[test]
    fn responses() {
        let framing = |bytes: &[u8]| whole(response(bytes)).0.framing;
        assert_eq!(framing(b"HTTP/1.1 200 OK\r\n\r\n"), Framing::UntilClose);
        assert_eq!(
            framing(b"HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n"),
            Framing::None
        );
        assert_eq!(
            framing(b"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n"),
            Framing::None
        );
        assert_eq!(framing(b"HTTP/1.1 100 Go\r\n\r\n"), Framing::None);
        assert_eq!(
            framing(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            Framing::Chunked
        );
        assert_eq!(
            framing(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"),
            Framing::UntilClose
        );
    }

    #[test]
    fn many_fields_are_read_all_the_same() {
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        for n in 0..500 {
            head.extend_from_slice(format!("X-{n}: y\r\n").as_bytes());
        }
        head.extend_from_slice(b"Host: last\r\n\r\n");
        assert_eq!(whole(request(&head)).0.authority.as_deref(), Some("last"));
    }

    #[test]
    fn the_blank_line_is_found_wherever_the_search_went_on() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest";
        for from in 0..head.len() - 4 {
            assert_eq!(end_of_head(head, from), Some(head.len() - 4), "{from}");
        }
        assert_eq!(end_of_head(b"GET / HTTP/1.1\n\nrest", 0), Some(16));
        assert_eq!(end_of_head(b"GET / HTTP/1.1\r\nA: b\r\n", 0), None);
    }
}
