//! What was said, one thing at a time.

use crate::exchange::Side;
use crate::packet::{Flags, Mark};

/// Something that one side sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who.
    pub from: Side,
    /// The frame, and when; of a body the one with its last byte.
    pub mark: Mark,
    /// What.
    pub what: What,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A line of a head, without its end. The first of a message is its request or status line; an
    /// empty one ends the head.
    Line {
        /// The bytes; nothing says that they are text.
        line: Vec<u8>,
        /// Whether it begins a message.
        first: bool,
        /// Of a line that goes on with a field's value: that field's name.
        folds: Option<Vec<u8>>,
        /// Whether the rest of the head is not in the capture.
        cut: bool,
    },
    /// A message's body.
    Body {
        /// Its bytes on the wire, chunk sizes and trailers included.
        size: u64,
        /// The frame of its first byte.
        first: Mark,
        /// Its beginning, as much as was asked for.
        begin: Vec<u8>,
        /// Whether it came to its end.
        whole: bool,
    },
    /// Bytes that are not read as HTTP/1.
    Other {
        /// How many.
        size: u64,
        /// Their beginning, as much as was asked for.
        begin: Vec<u8>,
        /// Why not.
        why: Unread,
    },
    /// Bytes that the other side acknowledged and the capture does not have.
    Missing(u64),
    /// Bytes that were sent before.
    Again(u64),
    /// The byte before the next one once more, or a guess at it: a keep-alive.
    KeepAlive,
    /// The next byte, to a side that had no room for it.
    Probe,
    /// A segment without data, by its flags.
    Control(Flags),
}

/// Why bytes are not read as HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// They are none.
    NoHttp,
    /// They belong to a message whose beginning is not in the capture.
    Headless,
    /// They come after a switch to another protocol.
    Switched,
}
