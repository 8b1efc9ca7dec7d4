//! Bodies on the streams of a connection of HTTP/2.
//!
//! They are treated as those of HTTP/1 are. Of messages of gRPC and the like the prefixes are
//! shown where their places are known, and so are trailers that stand in a body.

use super::line::{Line, Part};
use super::out::Out;
use meshsniff::protocol::grpc::Wire;
use std::collections::VecDeque;

/// Most bodies of a direction that are remembered. What is sent of an older one is read from its
/// next line on.
const MAX_BODIES: usize = 128;

/// Bytes before a message: flags, and its length.
const PREFIX: usize = 5;

/// Flags of a message: that it is compressed, that it is the last of a stream of Connect's, that it
/// is trailers of gRPC-Web.
const COMPRESSED: u8 = 0x1;
const LAST: u8 = 0x2;
const TRAILERS: u8 = 0x80;

/// The longest message that is believed.
const MAX_MESSAGE: u32 = 1 << 28;

/// The bodies that are being sent in one direction.
#[derive(Debug, Default)]
pub(super) struct Bodies(VecDeque<Body>);

/// One of them.
#[derive(Debug)]
struct Body {
    stream: u32,
    line: Line,
    /// Where its messages are, if that is known.
    messages: Option<Messages>,
}

/// Place among messages.
#[derive(Clone, Copy, Debug, Default)]
struct Messages {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that were seen.
    seen: usize,
    /// Bytes of the message that are due.
    left: u32,
}

impl Bodies {
    /// Bytes that they take.
    pub(super) fn weight(&self) -> usize {
        let lines = self.0.iter().map(|body| body.line.weight());
        self.0.capacity() * size_of::<Body>() + lines.sum::<usize>()
    }

    /// A head is over whose body follows, or trailers with no end.
    pub(super) fn begin(&mut self, stream: u32, wire: Option<Wire>) {
        self.end(stream);
        let has_prefixes = matches!(wire, Some(Wire::Grpc | Wire::Web | Wire::Connect));
        self.add(Body {
            stream,
            line: Line::default(),
            messages: has_prefixes.then(Messages::default),
        });
    }

    /// Nothing follows on a stream.
    pub(super) fn end(&mut self, stream: u32) {
        self.0.retain(|body| body.stream != stream);
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    fn add(&mut self, body: Body) {
        if self.0.len() == MAX_BODIES {
            self.0.pop_front();
        }
        self.0.push_back(body);
    }

    /// The body on a stream; of one that is not known nobody knows what it says.
    fn on(&mut self, stream: u32) -> Option<&mut Body> {
        let at = self.0.iter().position(|body| body.stream == stream);
        let at = at.unwrap_or_else(|| {
            let mut line = Line::default();
            line.lose();
            self.add(Body {
                stream,
                line,
                messages: None,
            });
            self.0.len() - 1
        });
        self.0.get_mut(at)
    }

    /// Decides on the next bytes of a body.
    pub(super) fn read(&mut self, stream: u32, len: usize, out: &mut Out<'_>) {
        let Some(body) = self.on(stream) else {
            return out.hide(len);
        };
        let mut left = len;
        while left > 0 {
            left -= body.read(left, out);
        }
    }

    /// Bytes of a body are missing.
    pub(super) fn miss(&mut self, stream: u32, missing: u32) {
        if let Some(body) = self.on(stream).filter(|_| missing > 0) {
            body.line.lose();
            match &mut body.messages {
                Some(messages) if messages.left >= missing => messages.pass(missing),
                messages => *messages = None,
            }
        }
    }
}

impl Body {
    /// Decides on some of the next bytes. Returns how many.
    fn read(&mut self, most: usize, out: &mut Out<'_>) -> usize {
        let (len, is_trailers) = match &mut self.messages {
            None => (most, false),
            Some(messages) if messages.left == 0 => {
                let Some(len) = messages.read_prefix(&out.rest()[..most]) else {
                    self.messages = None;
                    return 0;
                };
                self.line.part();
                out.show(len);
                return len;
            }
            Some(messages) => {
                let len = most.min(messages.left as usize);
                let is_trailers = messages.prefix[0] == TRAILERS;
                messages.pass(len as u32);
                (len, is_trailers)
            }
        };
        if is_trailers {
            out.lines(&mut self.line, Part::Framing, len);
        } else if out.redaction.headers_only {
            out.hide(len);
        } else {
            out.lines(&mut self.line, Part::Body, len);
        }
        len
    }
}

impl Messages {
    /// Reads of a prefix what is there of it; `None` if it is none.
    fn read_prefix(&mut self, bytes: &[u8]) -> Option<usize> {
        let len = bytes.len().min(PREFIX - self.seen);
        self.prefix[self.seen..self.seen + len].copy_from_slice(&bytes[..len]);
        let seen = self.seen + len;
        let [flags, length @ ..] = self.prefix;
        let length = u32::from_be_bytes(length);
        let is_known = flags & !(COMPRESSED | LAST | TRAILERS) == 0;
        // What was not seen yet is 0.
        if !is_known || length > MAX_MESSAGE {
            return None;
        }
        self.seen = seen;
        if seen == PREFIX {
            self.left = length;
            self.pass(0);
        }
        Some(len)
    }

    /// So many bytes of a message are done with.
    const fn pass(&mut self, len: u32) {
        self.left -= len;
        if self.left == 0 {
            self.seen = 0;
            self.prefix = [0; PREFIX];
        }
    }
}
