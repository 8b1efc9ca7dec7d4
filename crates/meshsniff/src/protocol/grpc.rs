//! gRPC in HTTP/2, gRPC-Web and the Connect protocol: messages and statuses.
//!
//! The sources are gRPC's [protocol][grpc], [gRPC-Web][web] and [Connect][connect].
//!
//! [grpc]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
//! [web]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
//! [connect]: https://connectrpc.com/docs/protocol

use crate::time::{Span, Timestamp};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// Bytes of a status message that are kept.
const MAX_MESSAGE: usize = 1024;

/// Bytes of trailers in a gRPC-Web body that are read.
const MAX_TRAILERS: usize = 4096;

/// Length of what stands before each message: a byte of flags, and the message's length.
const PREFIX: usize = 5;

/// How messages stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// gRPC.
    Grpc,
    /// gRPC-Web: trailers are the last message of the body.
    Web,
    /// gRPC-Web in base64: its messages are not counted.
    WebText,
    /// A stream of the Connect protocol.
    Connect,
    /// A single call of the Connect protocol: its body is the message.
    ConnectUnary,
}

impl Wire {
    /// What a `content-type` announces, if it is one of these.
    #[must_use]
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let kind = content_type.split(|&b| b == b';').next()?.trim_ascii();
        let is = |base: &[u8]| {
            kind.strip_prefix(base)
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'+')
        };
        if is(b"application/grpc") {
            Some(Self::Grpc)
        } else if is(b"application/grpc-web") {
            Some(Self::Web)
        } else if is(b"application/grpc-web-text") {
            Some(Self::WebText)
        } else if kind.starts_with(b"application/connect+") {
            Some(Self::Connect)
        } else {
            None
        }
    }

    /// The name used in every report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Web | Self::WebText => "grpc-web",
            Self::Connect | Self::ConnectUnary => "connect",
        }
    }
}

/// A status (`grpc-status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Status(pub u32);

impl Status {
    /// The call went well.
    pub const OK: Self = Self(0);
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

/// The text of a `grpc-message`: percent-decoded, and cut where it is too long.
#[must_use]
pub fn message(value: &[u8]) -> CompactString {
    let decoded: Vec<u8> = percent_encoding::percent_decode(value)
        .take(MAX_MESSAGE)
        .collect();
    CompactString::from_utf8_lossy(&decoded)
}

/// The messages of one direction of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// How many began; `None` if bytes of the body are missing.
    pub count: Option<u64>,
    /// How many of them were compressed.
    pub compressed: u64,
    /// When the first was whole.
    pub first: Option<Timestamp>,
    /// The longest time between two of them, of those that were seen.
    pub longest_silence: Span,
}

/// What stands before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// What it is.
    pub kind: MessageKind,
    /// Whether it is compressed.
    pub compressed: bool,
    /// Its length.
    pub length: u32,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A message of the call's.
    Message,
    /// Trailers, the last of a gRPC-Web body.
    Trailers,
    /// The end of a Connect stream, with its status.
    EndOfStream,
}

/// The next bytes of a body with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A part of a prefix.
    Begun,
    /// The rest of a prefix: a message begins. An empty one ends here, too.
    Message(Prefix),
    /// A part of a message.
    Goes,
    /// The rest of it.
    Ends,
}

/// Splits a body into messages.
#[derive(Clone, Debug)]
pub struct Splitter {
    wire: Wire,
    prefix: [u8; PREFIX],
    filled: usize,
    /// Bytes of the message that are still due.
    left: u32,
}

impl Splitter {
    /// Of a body whose messages stand in it as `wire` says; `None` if none do.
    #[must_use]
    pub fn new(wire: Wire) -> Option<Self> {
        (!matches!(wire, Wire::WebText | Wire::ConnectUnary)).then_some(Self {
            wire,
            prefix: [0; PREFIX],
            filled: 0,
            left: 0,
        })
    }

    /// Takes the next bytes, of which there are some. Returns what they are, and how many of them
    /// that is.
    pub fn read(&mut self, bytes: &[u8]) -> (Step, usize) {
        if self.left > 0 {
            let taken = bytes.len().min(self.left as usize);
            self.left -= taken as u32;
            let step = if self.left > 0 {
                Step::Goes
            } else {
                Step::Ends
            };
            return (step, taken);
        }
        let taken = bytes.len().min(PREFIX - self.filled);
        self.prefix[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        if self.filled < PREFIX {
            return (Step::Begun, taken);
        }
        self.filled = 0;
        let [flags, length @ ..] = self.prefix;
        self.left = u32::from_be_bytes(length);
        let prefix = Prefix {
            kind: self.kind(flags),
            compressed: flags & 1 != 0,
            length: self.left,
        };
        (Step::Message(prefix), taken)
    }

    /// Whether it stands in a message, behind its prefix.
    #[must_use]
    pub const fn is_in_message(&self) -> bool {
        self.left > 0
    }

    /// Passes over bytes that are missing. Returns whether they lie within one message, so that it
    /// is known what follows.
    pub fn miss(&mut self, count: u64) -> bool {
        let within = count <= u64::from(self.left);
        self.left = if within { self.left - count as u32 } else { 0 };
        within
    }

    /// The end of a stream of Connect's has a flag of its own, trailers of gRPC-Web another.
    const fn kind(&self, flags: u8) -> MessageKind {
        match self.wire {
            Wire::Web if flags & 0x80 != 0 => MessageKind::Trailers,
            Wire::Connect if flags & 0x2 != 0 => MessageKind::EndOfStream,
            _ => MessageKind::Message,
        }
    }
}

/// Counts the messages in one direction's body.
#[derive(Clone, Debug)]
pub struct Counter {
    /// What splits the body, unless its messages are not counted.
    splitter: Option<Splitter>,
    seen: Messages,
    /// When the latest message was whole.
    last: Option<Timestamp>,
    /// The trailers of a gRPC-Web body, while they are being read.
    trailers: Option<Vec<u8>>,
}

impl Counter {
    /// Of a body whose messages stand in it as `wire` says.
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        let splitter = Splitter::new(wire);
        Self {
            seen: Messages {
                count: splitter.as_ref().map(|_| 0),
                ..Messages::default()
            },
            splitter,
            last: None,
            trailers: None,
        }
    }

    /// The next bytes of the body.
    pub fn bytes(&mut self, mut bytes: &[u8], time: Timestamp) {
        while self.seen.count.is_some() && !bytes.is_empty() {
            let Some(splitter) = &mut self.splitter else {
                return;
            };
            let (step, taken) = splitter.read(bytes);
            match (step, &mut self.trailers) {
                (Step::Message(prefix), _) => self.begin(prefix, time),
                (Step::Goes | Step::Ends, Some(trailers)) => {
                    let room = MAX_TRAILERS.saturating_sub(trailers.len());
                    trailers.extend_from_slice(&bytes[..taken.min(room)]);
                }
                (Step::Ends, None) => self.end(time),
                (Step::Begun | Step::Goes, _) => {}
            }
            bytes = &bytes[taken..];
        }
    }

    /// So many bytes of the body are missing. Within one message they hide nothing of the others.
    pub fn miss(&mut self, missing: u64, time: Timestamp) {
        let Some(splitter) = self.splitter.as_mut().filter(|_| self.trailers.is_none()) else {
            return self.lose();
        };
        let within = splitter.is_in_message() && splitter.miss(missing);
        let ends = within && !splitter.is_in_message();
        if !within {
            self.lose();
        } else if ends {
            self.end(time);
        }
    }

    /// Bytes of the body are missing: what follows may begin anywhere in a message.
    pub const fn lose(&mut self) {
        self.seen.count = None;
    }

    /// What was seen.
    #[must_use]
    pub const fn messages(&self) -> Messages {
        self.seen
    }

    /// Status and message in the trailers at the end of a gRPC-Web body.
    #[must_use]
    pub fn trailers(&self) -> (Option<u32>, Option<CompactString>) {
        let (mut status, mut text) = (None, None);
        let lines = self
            .trailers
            .iter()
            .flat_map(|lines| lines.split(|&b| b == b'\n'));
        for line in lines {
            let Some(colon) = memchr::memchr(b':', line) else {
                continue;
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"grpc-status") {
                status = std::str::from_utf8(value)
                    .ok()
                    .and_then(|value| value.parse().ok());
            } else if name.eq_ignore_ascii_case(b"grpc-message") {
                text = Some(message(value));
            }
        }
        (status, text)
    }

    /// Bytes that what it keeps takes, beside itself.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.trailers.as_ref().map_or(0, Vec::capacity)
    }

    fn begin(&mut self, prefix: Prefix, time: Timestamp) {
        if prefix.kind != MessageKind::Message {
            self.trailers = Some(Vec::new());
            return;
        }
        self.seen.count = self.seen.count.map(|count| count + 1);
        self.seen.compressed += u64::from(prefix.compressed);
        if prefix.length == 0 {
            self.end(time);
        }
    }

    fn end(&mut self, time: Timestamp) {
        self.seen.first.get_or_insert(time);
        if let Some(last) = self.last {
            self.seen.longest_silence = self.seen.longest_silence.max(time - last);
        }
        self.last = Some(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let body = [
            &[0, 0, 0, 0, 3][..],
            b"abc",
            &[1, 0, 0, 0, 0],
            &[0, 0, 0, 0, 2],
            b"de",
        ]
        .concat();
        for size in 1..body.len() {
            let mut counter = Counter::new(Wire::Grpc);
            for piece in body.chunks(size) {
                counter.bytes(piece, at(1));
            }
            let messages = counter.messages();
            assert_eq!(
                (messages.count, messages.compressed),
                (Some(3), 1),
                "{size}"
            );
            assert_eq!(messages.first, Some(at(1)));
        }
    }

    #[test]
    fn the_longest_silence_is_between_messages() {
        let mut counter = Counter::new(Wire::Grpc);
        for millis in [10, 20, 320, 330] {
            counter.bytes(&[0, 0, 0, 0, 0], at(millis));
        }
        let messages = counter.messages();
        assert_eq!(messages.longest_silence, Span::from_millis(300));
        assert_eq!(messages.first, Some(at(10)));
    }

    #[test]
    fn behind_missing_bytes_nothing_is_counted() {
        let mut counter = Counter::new(Wire::Grpc);
        counter.bytes(&[0, 0, 0, 0, 9, 1], at(0));
        counter.lose();
        counter.bytes(&[0, 0, 0, 0, 0], at(0));
        assert_eq!(counter.messages().count, None);
    }

    #[test]
    fn bytes_that_are_missing_in_a_message_hide_no_other() {
        let mut counter = Counter::new(Wire::Grpc);
        counter.bytes(&[0, 0, 0, 0, 9, 1], at(0));
        counter.miss(8, at(1));
        counter.bytes(&[0, 0, 0, 0, 2], at(2));
        assert_eq!(counter.messages().count, Some(2));
        assert_eq!(counter.messages().first, Some(at(1)));
        counter.miss(3, at(3));
        assert_eq!(counter.messages().count, None);
    }

    #[test]
    fn trailers_of_grpc_web_are_no_message() {
        let trailers = b"grpc-status:5\r\ngrpc-message:no%20such%20item\r\n";
        let mut counter = Counter::new(Wire::Web);
        counter.bytes(&[0, 0, 0, 0, 1, b'x'], at(0));
        counter.bytes(&[0x80, 0, 0, 0, trailers.len() as u8], at(0));
        counter.bytes(trailers, at(0));
        assert_eq!(counter.messages().count, Some(1));
        let (status, text) = counter.trailers();
        assert_eq!(status, Some(5));
        assert_eq!(text.as_deref(), Some("no such item"));
    }

    #[test]
    fn statuses_have_names() {
        assert_eq!(Status(14).name(), "UNAVAILABLE");
        assert_eq!(Status(99).name(), "UNKNOWN");
        assert_eq!(Status::by_name("unavailable"), Some(Status(14)));
        assert_eq!(Status::by_name("14"), Some(Status(14)));
        assert_eq!(Status::by_name("nope"), None);
        let failures: Vec<u32> = (0..18).filter(|&n| Status(n).is_server_failure()).collect();
        assert_eq!(failures, [2, 4, 12, 13, 14, 15, 17]);
    }

    #[test]
    fn content_types_are_told_apart() {
        for (kind, wire) in [
            ("application/grpc", Some(Wire::Grpc)),
            ("application/grpc+proto; x=1", Some(Wire::Grpc)),
            ("application/grpc-web+proto", Some(Wire::Web)),
            ("application/grpc-web-text", Some(Wire::WebText)),
            ("application/connect+json", Some(Wire::Connect)),
            ("application/grpcish", None),
            ("text/html", None),
        ] {
            assert_eq!(Wire::of(kind.as_bytes()), wire, "{kind}");
        }
    }
}
