//! Where a message body ends (RFC 9112, 6 and 7).
//!
//! Bytes of known length are counted, never looked at. Only chunk-size lines and trailers are read.

use memchr::memchr;

/// The longest chunk-size line or trailer line believed, in bytes; extensions included.
const MAX_LINE: usize = 16 * 1024;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// The body ends when the connection does.
    UntilClose,
}

/// A body being passed over.
#[derive(Clone, Debug)]
pub struct Body {
    state: State,
    /// Bytes of the line being read so far; lines are not kept, only what is needed of them.
    line: Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    Fixed { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailer,
    UntilClose,
    Broken,
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    len: usize,
    size: u64,
    digits: usize,
    /// Past the hexadecimal digits: in an extension or at the line's end.
    tail: bool,
}

/// Result of giving bytes to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// All were taken and the body goes on.
    More,
    /// The body ended after this many of them.
    Done(usize),
    /// They cannot be part of such a body.
    Broken,
}

/// Result of passing over missing bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// They lay inside, and the body goes on.
    Over,
    /// The body ended after this many of them.
    Done(u64),
    /// Where the body ends can no longer be told.
    Lost,
}

impl Body {
    /// A body with this framing, none of it seen.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Fixed { left },
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self {
            state,
            line: Line::default(),
        }
    }

    /// Whether the body has ended.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether only the connection's end ends it.
    #[must_use]
    pub const fn is_until_close(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    /// Bytes still to come, where the framing tells.
    #[must_use]
    pub const fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Fixed { left } => Some(left),
            _ => None,
        }
    }

    /// Bytes to come that are content, before the next of the framing: `u64::MAX` where only the
    /// connection's end ends them.
    #[must_use]
    pub const fn data_ahead(&self) -> u64 {
        match self.state {
            State::Fixed { left } | State::ChunkData { left } => left,
            State::UntilClose => u64::MAX,
            _ => 0,
        }
    }

    /// Whether the next bytes are lines of trailers.
    #[must_use]
    pub const fn is_in_trailers(&self) -> bool {
        matches!(self.state, State::Trailer)
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) -> Fed {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.state {
                State::Done => return Fed::Done(at),
                State::Broken => return Fed::Broken,
                State::UntilClose => return Fed::More,
                State::Fixed { left } => {
                    let taken = left.min(rest.len() as u64);
                    at += taken as usize;
                    self.state = match left - taken {
                        0 => State::Done,
                        left => State::Fixed { left },
                    };
                    if self.state != State::Done {
                        return Fed::More;
                    }
                }
                State::ChunkData { left } => {
                    let taken = left.min(rest.len() as u64);
                    at += taken as usize;
                    self.state = match left - taken {
                        0 => State::ChunkEnd,
                        left => State::ChunkData { left },
                    };
                    if self.state != State::ChunkEnd {
                        return Fed::More;
                    }
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => {
                    if rest.is_empty() {
                        return Fed::More;
                    }
                    let (piece, whole) = match memchr(b'\n', rest) {
                        Some(end) => (&rest[..=end], true),
                        None => (rest, false),
                    };
                    at += piece.len();
                    if !self.take_line(piece) {
                        self.state = State::Broken;
                    } else if whole {
                        self.end_line();
                    }
                }
            }
        }
    }

    /// Passes over `missing` bytes that the capture does not have.
    pub fn step(&mut self, missing: u64) -> Stepped {
        match self.state {
            State::Done => Stepped::Done(0),
            State::UntilClose => Stepped::Over,
            State::Fixed { left } if missing < left => {
                self.state = State::Fixed {
                    left: left - missing,
                };
                Stepped::Over
            }
            State::Fixed { left } => {
                self.state = State::Done;
                Stepped::Done(left)
            }
            State::ChunkData { left } if missing <= left => {
                self.state = match left - missing {
                    0 => State::ChunkEnd,
                    left => State::ChunkData { left },
                };
                Stepped::Over
            }
            _ => {
                self.state = State::Broken;
                Stepped::Lost
            }
        }
    }

    fn take_line(&mut self, piece: &[u8]) -> bool {
        self.line.len += piece.len();
        if self.line.len > MAX_LINE {
            return false;
        }
        match self.state {
            State::ChunkSize => self.line.take_size(piece),
            State::ChunkEnd => piece.iter().all(|&b| is_line_end(b)),
            _ => {
                self.line.tail |= !piece.iter().all(|&b| is_line_end(b));
                true
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.state = match self.state {
            State::ChunkSize if line.digits == 0 => State::Broken,
            State::ChunkSize if line.size == 0 => State::Trailer,
            State::ChunkSize => State::ChunkData { left: line.size },
            State::ChunkEnd => State::ChunkSize,
            // An empty line ends the trailers; "\r\n" and a bare "\n" are both taken for one.
            State::Trailer if !line.tail => State::Done,
            other => other,
        };
    }
}

const fn is_line_end(b: u8) -> bool {
    b == b'\r' || b == b'\n'
}

impl Line {
    fn take_size(&mut self, piece: &[u8]) -> bool {
        for &b in piece {
            if self.tail {
                break;
            }
            match (b as char).to_digit(16) {
                Some(digit) => {
                    if self.size >> 58 != 0 {
                        return false;
                    }
                    self.size = self.size << 4 | u64::from(digit);
                    self.digits += 1;
                }
                None if matches!(b, b';' | b' ' | b'\t' | b'\r' | b'\n') => self.tail = true,
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of every size; each must end at the same place.
    fn end_of(framing: Framing, bytes: &[u8]) -> Option<usize> {
        let mut ends = (1..=bytes.len()).map(|size| {
            let mut body = Body::new(framing);
            let mut at = 0;
            for piece in bytes.chunks(size) {
                match body.feed(piece) {
                    Fed::More => at += piece.len(),
                    Fed::Done(used) => return Some(at + used),
                    Fed::Broken => return None,
                }
            }
            body.is_done().then_some(at)
        });
        let first = ends.next().expect("bytes");
        assert!(ends.all(|end| end == first));
        first
    }

    #[test]
    fn known_length() {
        assert_eq!(end_of(Framing::Length(3), b"abcGET"), Some(3));
        assert_eq!(end_of(Framing::Length(9), b"abc"), None);
        assert_eq!(Body::new(Framing::Length(0)).feed(b"GET"), Fed::Done(0));
    }

    #[test]
    fn chunks_with_extensions_and_trailers() {
        let body = b"4;a=b\r\nWiki\r\n5 \r\npedia\r\n0\r\nChecksum: 1\r\nB: 2\r\n\r\nGET";
        assert_eq!(end_of(Framing::Chunked, body), Some(body.len() - 3));
        assert_eq!(end_of(Framing::Chunked, b"0\r\n\r\nX"), Some(5));
        assert_eq!(end_of(Framing::Chunked, b"a\r\n0123456789\r\n0\r\n"), None);
    }

    #[test]
    fn broken_chunks() {
        for bad in [
            &b"zz\r\n"[..],
            b"\r\n",
            b"ffffffffffffffffff\r\n",
            b"1\r\naXX\r\n",
        ] {
            assert_eq!(
                Body::new(Framing::Chunked).feed(bad),
                Fed::Broken,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn holes_inside_one_chunk_are_stepped_over() {
        let mut body = Body::new(Framing::Chunked);
        assert_eq!(body.feed(b"a\r\n012"), Fed::More);
        assert_eq!(body.step(7), Stepped::Over);
        assert_eq!(body.feed(b"\r\n0\r\n\r\n"), Fed::Done(7));

        let mut body = Body::new(Framing::Chunked);
        assert_eq!(body.feed(b"a\r\n012"), Fed::More);
        assert_eq!(body.step(8), Stepped::Lost);
        assert_eq!(body.feed(b"0\r\n\r\n"), Fed::Broken);
    }

    #[test]
    fn holes_in_a_known_length() {
        let mut body = Body::new(Framing::Length(10));
        assert_eq!(body.step(4), Stepped::Over);
        assert_eq!(body.remaining(), Some(6));
        assert_eq!(body.step(8), Stepped::Done(6));
        assert!(body.is_done());
    }
}
