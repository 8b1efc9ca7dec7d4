//! Bytes of a source, in order: all there at once or still arriving.
//!
//! Holds the one place where a source waits for input. It knows nothing of capture formats.

use super::map::Map;
use std::io::{self, Cursor, ErrorKind, Read};

/// First size of the buffer: enough for a short source.
const FIRST: usize = 16 << 10;

/// Size that the buffer soon has for a long source: at least so much is read at a time.
const CHUNK: usize = 256 << 10;

/// A position in a source, and the bytes behind it.
pub(super) struct Bytes(Kind);

enum Kind {
    Whole { bytes: Whole, at: usize },
    Stream(Stream),
}

enum Whole {
    Mapped(Map),
    Held(Vec<u8>),
}

impl Whole {
    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map.bytes(),
            Self::Held(bytes) => bytes,
        }
    }
}

/// A reader and what was read from it: `buffer[start..end]` is still to be skipped.
struct Stream {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Bytes {
    pub(super) fn mapped(map: Map) -> Self {
        Self(Kind::Whole {
            bytes: Whole::Mapped(map),
            at: 0,
        })
    }

    pub(super) fn held(bytes: Vec<u8>) -> Self {
        Self(Kind::Whole {
            bytes: Whole::Held(bytes),
            at: 0,
        })
    }

    pub(super) fn stream(reader: Box<dyn Read + Send>) -> Self {
        Self(Kind::Stream(Stream {
            reader,
            buffer: Vec::new(),
            start: 0,
            end: 0,
        }))
    }

    /// The bytes from here on that can be had without waiting.
    #[inline]
    pub(super) fn available(&self) -> &[u8] {
        match &self.0 {
            Kind::Whole { bytes, at } => bytes.as_slice().get(*at..).unwrap_or_default(),
            Kind::Stream(stream) => &stream.buffer[stream.start..stream.end],
        }
    }

    /// At least `least` bytes from here on; fewer only at the end of the source.
    ///
    /// A stream waits for no more than it needs, and takes memory only as bytes arrive.
    #[inline]
    pub(super) fn peek(&mut self, least: usize) -> io::Result<&[u8]> {
        if let Kind::Stream(stream) = &mut self.0
            && stream.end - stream.start < least
        {
            stream.fill(least)?;
        }
        Ok(self.available())
    }

    /// Hints that what lies `ahead` bytes from here will be looked at next.
    #[inline]
    pub(super) fn prefetch(&self, ahead: usize) {
        if let Kind::Whole {
            bytes: Whole::Mapped(map),
            at,
        } = &self.0
        {
            map.prefetch(at.saturating_add(ahead));
        }
    }

    /// Moves on by `count` bytes that were peeked at.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        match &mut self.0 {
            Kind::Whole { bytes, at } => {
                *at = at.saturating_add(count);
                if let Whole::Mapped(map) = bytes {
                    map.reached(*at);
                }
            }
            Kind::Stream(stream) => stream.start = stream.end.min(stream.start + count),
        }
    }

    /// Bytes skipped so far, if all were there from the start.
    pub(super) fn position(&self) -> Option<u64> {
        match &self.0 {
            Kind::Whole { bytes, at } => Some((*at).min(bytes.as_slice().len()) as u64),
            Kind::Stream(_) => None,
        }
    }

    /// Everything from here on, as a reader.
    pub(super) fn into_reader(self) -> Box<dyn Read + Send> {
        match self.0 {
            Kind::Whole { bytes, at } => {
                let mut rest = Cursor::new(bytes);
                rest.set_position(at as u64);
                Box::new(rest)
            }
            Kind::Stream(mut stream) => {
                stream.buffer.truncate(stream.end);
                let mut first = Cursor::new(stream.buffer);
                first.set_position(stream.start as u64);
                Box::new(first.chain(stream.reader))
            }
        }
    }
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Stream {
    #[cold]
    fn fill(&mut self, least: usize) -> io::Result<()> {
        while self.end - self.start < least {
            if self.end == self.buffer.len() {
                self.make_room();
            }
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes room behind `end`: by moving the rest to the front, and by doubling when that is over
    /// half, or the buffer still small.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let size = self.buffer.len();
        if size < CHUNK || self.end >= size / 2 {
            self.buffer.resize((size * 2).max(FIRST), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, and panics when asked beyond `allowed`.
    struct Trickle {
        given: usize,
        allowed: usize,
    }

    impl Read for Trickle {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            assert!(self.given < self.allowed, "asked for more than was needed");
            out[0] = self.given as u8;
            self.given += 1;
            Ok(1)
        }
    }

    #[test]
    fn a_stream_is_asked_for_no_more_than_is_needed() {
        let mut bytes = Bytes::stream(Box::new(Trickle {
            given: 0,
            allowed: 10,
        }));
        assert_eq!(bytes.peek(4).unwrap(), [0, 1, 2, 3]);
        bytes.skip(4);
        assert_eq!(bytes.peek(6).unwrap(), [4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_large_ask_takes_memory_only_as_bytes_arrive() {
        let mut bytes = Bytes::stream(Box::new(Cursor::new(vec![7; 1_000])));
        assert_eq!(bytes.peek(1 << 40).unwrap().len(), 1_000);
        let Kind::Stream(stream) = &bytes.0 else {
            panic!("no stream");
        };
        assert!(stream.buffer.len() <= CHUNK);
    }

    #[test]
    fn order_survives_moves_and_growth() {
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut bytes = Bytes::stream(Box::new(Cursor::new(content.clone())));
        let mut at = 0;
        for step in (1..400_000).step_by(9_973) {
            let seen = bytes.peek(step).unwrap();
            let end = (at + step).min(content.len());
            assert_eq!(seen[..end - at], content[at..end]);
            bytes.skip(end - at);
            at = end;
        }
    }

    #[test]
    fn what_was_peeked_at_is_still_read() {
        for mut bytes in [
            Bytes::held(b"abcdef".to_vec()),
            Bytes::stream(Box::new(Cursor::new(b"abcdef".to_vec()))),
        ] {
            bytes.peek(4).unwrap();
            bytes.skip(2);
            let mut rest = String::new();
            bytes.into_reader().read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "cdef");
        }
    }
}
