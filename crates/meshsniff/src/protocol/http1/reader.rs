//! One side's messages, read from bytes that come in any pieces.
//!
//! [`Reader::read`] takes as many bytes as its next [`Event`] needs. It is told where a message
//! begins ([`Reader::begin`]), because that takes knowledge of both sides, and how a body is framed
//! ([`Reader::body`]), because a response's framing depends on its request.

use super::body::{Body, Fed, Framing, Stepped};
use super::head::{self, MAX_HEAD, Parsed, RequestHead, ResponseHead};
use crate::packet::Mark;
use crate::tcp::Offset;

/// Longest head that is remembered: connections are many.
const MAX_REMEMBERED: usize = 512;

/// A head that a [`Reader`] can read.
pub trait Head: Clone {
    /// Reads a head from the beginning of `bytes`.
    fn parse(bytes: &[u8]) -> Parsed<Self>;
}

impl Head for RequestHead {
    fn parse(bytes: &[u8]) -> Parsed<Self> {
        head::request(bytes)
    }
}

impl Head for ResponseHead {
    fn parse(bytes: &[u8]) -> Parsed<Self> {
        head::response(bytes)
    }
}

/// Meaning of the next bytes of a message.
#[derive(Clone, Debug)]
pub enum Event<H> {
    /// A part of the head, which goes on.
    HeadGoesOn,
    /// The head, to its end. [`Reader::body`] is to be called next.
    Head(H),
    /// No head: what was taken for one cannot be read.
    NoHead,
    /// A part of the body, which goes on.
    BodyGoesOn,
    /// The rest of the body.
    End,
    /// The body cannot be read on: its framing is broken.
    Broken,
}

/// The beginning of a head that goes on in another segment.
#[derive(Clone, Debug, Default)]
pub struct Partial {
    /// Its bytes so far.
    pub bytes: Vec<u8>,
    /// Where in `bytes` each segment begins, and the frame that carried it.
    pub marks: Vec<(usize, Mark)>,
}

/// Place of a reader.
#[derive(Clone, Debug)]
enum State {
    /// At a message boundary.
    Between,
    /// In a head that began at this place, in this frame.
    Head(Partial, Offset, Mark),
    /// In a body.
    Body(Body),
}

/// Reads the messages of one side.
#[derive(Clone, Debug)]
pub struct Reader<H> {
    state: State,
    /// The frame seen last of those that carried the message. The one with the message's last byte
    /// may have come before one that was sent again.
    latest: Mark,
    again: Again<H>,
}

impl<H> Default for Reader<H> {
    fn default() -> Self {
        Self {
            state: State::Between,
            latest: Mark::default(),
            again: Again {
                bytes: Vec::new(),
                head: None,
            },
        }
    }
}

impl<H: Head> Reader<H> {
    /// Bytes that what it keeps takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let begun = match &self.state {
            State::Head(partial, ..) => partial.weight(),
            State::Between | State::Body(_) => 0,
        };
        // What the last head says is about as long as the head.
        begun + 2 * self.again.bytes.capacity()
    }

    /// Whether it stands at a message boundary.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        matches!(self.state, State::Between)
    }

    /// Whether it stands in a body that only the connection's end ends.
    #[must_use]
    pub const fn is_until_close(&self) -> bool {
        matches!(&self.state, State::Body(body) if body.is_until_close())
    }

    /// The head it stands in, as far as it was read.
    #[must_use]
    pub const fn partial(&self) -> Option<&Partial> {
        match &self.state {
            State::Head(partial, ..) => Some(partial),
            _ => None,
        }
    }

    /// Where the head began that it stands in.
    #[must_use]
    pub const fn head_start(&self) -> Option<(Offset, Mark)> {
        match self.state {
            State::Head(_, from, mark) => Some((from, mark)),
            _ => None,
        }
    }

    /// Bytes still due of the body it stands in, where that is known.
    #[must_use]
    pub const fn remaining(&self) -> Option<u64> {
        match &self.state {
            State::Body(body) => body.remaining(),
            _ => None,
        }
    }

    /// Whether it stands in a body.
    #[must_use]
    pub const fn is_in_body(&self) -> bool {
        matches!(self.state, State::Body(_))
    }

    /// A message begins at `from`, in the frame `mark`.
    pub fn begin(&mut self, from: Offset, mark: Mark) {
        self.state = State::Head(Partial::default(), from, mark);
        self.latest = mark;
    }

    /// The frame that made whole what was read of the message: its last missing byte was in it.
    #[must_use]
    pub const fn latest(&self) -> Mark {
        self.latest
    }

    /// The head that was just read is followed by a body with this framing. True if that is empty.
    pub fn body(&mut self, framing: Framing) -> bool {
        let body = Body::new(framing);
        let done = body.is_done();
        self.state = if done {
            State::Between
        } else {
            State::Body(body)
        };
        done
    }

    /// Nothing of the message is read any more. Returns what there is of its head, if it stood in
    /// one.
    pub fn leave(&mut self) -> Option<Partial> {
        match std::mem::replace(&mut self.state, State::Between) {
            State::Head(partial, ..) => Some(partial),
            _ => None,
        }
    }

    /// Takes the next bytes, which the frame `mark` carried. Returns what they are, and how many of
    /// them that is.
    // A head is large: it should not be moved from call to call.
    #[inline(always)]
    pub fn read(&mut self, bytes: &[u8], mark: Mark) -> (Event<H>, usize) {
        if mark.order > self.latest.order {
            self.latest = mark;
        }
        match &mut self.state {
            State::Between => (Event::NoHead, 0),
            State::Head(partial, ..) => match partial.feed(bytes, mark, &mut self.again) {
                (Parsed::Partial, taken) => (Event::HeadGoesOn, taken),
                (Parsed::Whole(head, _), taken) => (Event::Head(head), taken),
                (Parsed::Invalid, _) => (Event::NoHead, 0),
            },
            State::Body(body) => match body.feed(bytes) {
                Fed::More => (Event::BodyGoesOn, bytes.len()),
                Fed::Done(taken) => {
                    self.state = State::Between;
                    (Event::End, taken)
                }
                Fed::Broken => (Event::Broken, 0),
            },
        }
    }

    /// Passes over `missing` bytes of a body.
    pub fn step(&mut self, missing: u64) -> Stepped {
        let State::Body(body) = &mut self.state else {
            return Stepped::Lost;
        };
        let stepped = body.step(missing);
        if matches!(stepped, Stepped::Done(_)) {
            self.state = State::Between;
        }
        stepped
    }
}

/// The last head of a side, for the next one that is the same to the byte: on a connection that is
/// kept alive most are, from a load test, a health check, or within a second of the `Date` before.
#[derive(Clone, Debug)]
struct Again<H> {
    bytes: Vec<u8>,
    head: Option<H>,
}

impl<H: Clone> Again<H> {
    fn of(&self, rest: &[u8]) -> Option<(H, usize)> {
        let head = self.head.as_ref()?;
        rest.starts_with(&self.bytes)
            .then(|| (head.clone(), self.bytes.len()))
    }

    fn remember(&mut self, bytes: &[u8], head: &H) {
        self.bytes.clear();
        self.head = None;
        if bytes.len() <= MAX_REMEMBERED {
            self.bytes.extend_from_slice(bytes);
            self.head = Some(head.clone());
        }
    }
}

impl Partial {
    /// Takes bytes of a head. Returns how many of them were taken.
    #[inline(always)]
    fn feed<H: Head>(
        &mut self,
        rest: &[u8],
        mark: Mark,
        again: &mut Again<H>,
    ) -> (Parsed<H>, usize) {
        if self.bytes.is_empty() {
            if let Some((head, used)) = again.of(rest) {
                return (Parsed::Whole(head, used), used);
            }
            let parsed = H::parse(rest);
            return match parsed {
                Parsed::Whole(head, used) => {
                    again.remember(&rest[..used], &head);
                    (Parsed::Whole(head, used), used)
                }
                Parsed::Partial if rest.len() <= MAX_HEAD => {
                    self.push(rest, mark);
                    (parsed, rest.len())
                }
                _ => (Parsed::Invalid, 0),
            };
        }
        let before = self.bytes.len();
        let room = (MAX_HEAD + 1).saturating_sub(before);
        self.push(&rest[..rest.len().min(room)], mark);
        // The blank line is looked for first: parsing a growing buffer again and again would be
        // quadratic.
        match head::end_of_head(&self.bytes, before) {
            Some(end) => match H::parse(&self.bytes[..end]) {
                parsed @ Parsed::Whole(..) => (parsed, end - before),
                _ => (Parsed::Invalid, 0),
            },
            None if self.bytes.len() > MAX_HEAD => (Parsed::Invalid, 0),
            None => (Parsed::Partial, rest.len()),
        }
    }

    fn weight(&self) -> usize {
        self.bytes.capacity() + self.marks.capacity() * size_of::<(usize, Mark)>()
    }

    fn push(&mut self, bytes: &[u8], mark: Mark) {
        self.marks.push((self.bytes.len(), mark));
        self.bytes.extend_from_slice(bytes);
    }
}
