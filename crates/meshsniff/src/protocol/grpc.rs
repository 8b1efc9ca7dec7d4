//! gRPC, gRPC-Web and the Connect protocol: messages and statuses.
//!
//! | here | holds |
//! |---|---|
//! | this file | messages in a body, and what counts them |
//! | `status` | statuses and their words |
//! | `ending` | the end of a body that has the status |
//! | `text` | bodies in base64 |
//!
//! The sources are gRPC's [protocol][grpc], [gRPC-Web][web] and [Connect][connect].
//!
//! [grpc]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
//! [web]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
//! [connect]: https://connectrpc.com/docs/protocol

mod ending;
mod status;
mod text;

use crate::time::{Span, Timestamp};
use ending::{Ending, Form};
use serde::{Deserialize, Serialize};

pub use ending::Said;
pub use status::{Status, message, number};

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
    /// gRPC-Web in base64.
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
    /// Whether it has no flags but those that it may have.
    pub is_known: bool,
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
            is_known: flags & !self.flags() == 0,
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

    /// Flags that there are.
    const fn flags(&self) -> u8 {
        match self.wire {
            Wire::Web => 0x81,
            Wire::Connect => 0x3,
            _ => 0x1,
        }
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

/// Counts the messages in one direction's body, and reads the end that has the status.
#[derive(Clone, Debug)]
pub struct Counter {
    /// What splits the body, unless nothing is counted in it.
    splitter: Option<Splitter>,
    /// What reads a body in base64.
    text: Option<text::Decoder>,
    seen: Messages,
    /// When the latest message was whole.
    last: Option<Timestamp>,
    /// The end of the body, while it is being read.
    ending: Option<Ending>,
    /// Whether all that came was zeros; `None` if nothing did.
    is_blank: Option<bool>,
}

impl Counter {
    /// Of a body whose messages stand in it as `wire` says.
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        let text = (wire == Wire::WebText).then(text::Decoder::default);
        let within = if text.is_some() { Wire::Web } else { wire };
        let splitter = Splitter::new(within);
        Self {
            seen: Messages {
                count: splitter.as_ref().map(|_| 0),
                ..Messages::default()
            },
            text,
            ..Self::of_none(splitter)
        }
    }

    /// Of a body that has no messages, whatever was asked for: that of a page, or of an error.
    #[must_use]
    pub fn none() -> Self {
        Self::of_none(None)
    }

    /// Of the body of a single call of Connect's that failed: it says why.
    #[must_use]
    pub fn of_error() -> Self {
        Self {
            ending: Some(Ending::new(Form::Error, false)),
            ..Self::new(Wire::ConnectUnary)
        }
    }

    fn of_none(splitter: Option<Splitter>) -> Self {
        Self {
            splitter,
            text: None,
            seen: Messages {
                count: Some(0),
                ..Messages::default()
            },
            last: None,
            ending: None,
            is_blank: None,
        }
    }

    /// The next bytes of the body.
    pub fn bytes(&mut self, bytes: &[u8], time: Timestamp) {
        let Some(mut text) = self.text else {
            return self.content(bytes, time);
        };
        let read = text.read(bytes, |content| self.content(content, time));
        self.text = Some(text);
        if read.is_err() {
            self.lose();
        }
    }

    fn content(&mut self, mut bytes: &[u8], time: Timestamp) {
        if !bytes.is_empty() && self.is_blank != Some(false) {
            self.is_blank = Some(bytes.iter().all(|&b| b == 0));
        }
        if self.splitter.is_none()
            && let Some(ending) = &mut self.ending
        {
            return ending.bytes(bytes);
        }
        while self.seen.count.is_some() && !bytes.is_empty() {
            let Some(splitter) = &mut self.splitter else {
                return;
            };
            let (step, taken) = splitter.read(bytes);
            match (step, &mut self.ending) {
                (Step::Message(prefix), _) => self.begin(prefix, time),
                (Step::Goes | Step::Ends, Some(ending)) => {
                    ending.bytes(&bytes[..taken]);
                    ending.is_whole = step == Step::Ends;
                }
                (Step::Ends, None) => self.end(time),
                (Step::Begun | Step::Goes, _) => {}
            }
            bytes = &bytes[taken..];
        }
    }

    /// The next bytes of trailers behind the body, with the last of them if it `ends`.
    pub fn fields(&mut self, bytes: &[u8], ends: bool) {
        let begin = || Ending::new(Form::Behind, false);
        let ending = self.ending.get_or_insert_with(begin);
        // A body that has an end of its own says it there.
        if ending.form == Form::Behind {
            ending.bytes(bytes);
            ending.is_whole = ends;
        }
    }

    /// So many bytes of the body are missing. Within one message they hide nothing of the others.
    pub fn miss(&mut self, missing: u64, time: Timestamp) {
        let counts = self.ending.is_none() && self.text.is_none();
        let Some(splitter) = self.splitter.as_mut().filter(|_| counts) else {
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

    /// Whether bytes came, and nothing but zeros: an agent that shows no bodies sends such ones.
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        matches!(self.is_blank, Some(true))
    }

    /// What was seen.
    #[must_use]
    pub const fn messages(&self) -> Messages {
        self.seen
    }

    /// Status and message at the end of the body.
    #[must_use]
    pub fn said(&self) -> Said {
        self.ending.as_ref().map(Ending::said).unwrap_or_default()
    }

    /// Bytes that what it keeps takes, beside itself.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.ending.as_ref().map_or(0, Ending::weight)
    }

    fn begin(&mut self, prefix: Prefix, time: Timestamp) {
        if !prefix.is_known {
            // The body is something else, or masked.
            return self.lose();
        }
        let form = match prefix.kind {
            MessageKind::Message => None,
            MessageKind::Trailers => Some(Form::Fields),
            MessageKind::EndOfStream => Some(Form::EndOfStream),
        };
        if let Some(form) = form {
            let mut ending = Ending::new(form, prefix.compressed);
            ending.is_whole = prefix.length == 0;
            self.ending = Some(ending);
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
    use base64::Engine;

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
        let said = counter.said();
        assert_eq!(said.status, Some(Status(5)));
        assert_eq!(said.message.as_deref(), Some("no such item"));
    }

    #[test]
    fn messages_in_base64_are_counted_however_they_are_cut() {
        let trailers = b"grpc-status:0\r\n";
        let pieces = [
            &[0, 0, 0, 0, 1, b'x', 0, 0, 0, 0, 2, b'y'][..],
            b"z",
            &[0x80, 0, 0, 0, trailers.len() as u8],
            trailers,
        ];
        let text: Vec<u8> = pieces
            .into_iter()
            .flat_map(|piece| {
                base64::engine::general_purpose::STANDARD
                    .encode(piece)
                    .into_bytes()
            })
            .collect();
        for size in 1..text.len() {
            let mut counter = Counter::new(Wire::WebText);
            for piece in text.chunks(size) {
                counter.bytes(piece, at(1));
            }
            assert_eq!(counter.messages().count, Some(2), "{size}");
            assert_eq!(counter.said().status, Some(Status::OK), "{size}");
        }
        let mut counter = Counter::new(Wire::WebText);
        counter.bytes(b"<html>", at(0));
        assert_eq!(counter.messages().count, None);
    }

    #[test]
    fn zeros_may_be_a_body_that_was_not_to_be_shown() {
        let mut counter = Counter::new(Wire::Web);
        assert!(!counter.is_blank(), "nothing came");
        counter.bytes(&[0; 7], at(0));
        assert!(counter.is_blank());
        counter.bytes(&[0, 0, 1, b'x'], at(0));
        assert!(!counter.is_blank());
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
