//! WebSocket: the frames of one side, and what they say (RFC 6455).
//!
//! Messages are counted, never looked at: of a frame's payload only that of a Close, a Ping or a
//! Pong is kept, 125 bytes at most. So compression (RFC 7692) needs no undoing.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The longest payload of a control frame (RFC 6455, 5.5).
const MAX_CONTROL: usize = 125;

/// The longest header: two bytes, eight of the length, four of the mask.
const MAX_HEADER: usize = 14;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message before.
    Continuation,
    /// A message of text begins.
    Text,
    /// A message of bytes begins.
    Binary,
    /// The sender will send no more.
    Close,
    /// Asks for a Pong.
    Ping,
    /// Answers a Ping, or none.
    Pong,
}

impl Opcode {
    const fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether it is a control frame, which may stand between those of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// What no sender may do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Violation {
    /// A client's frame without a mask.
    Unmasked,
    /// A server's frame with one.
    Masked,
    /// Reserved bits that no known extension uses.
    ReservedBits,
    /// A kind of frame that there is not.
    Opcode,
    /// A control frame in parts, or longer than 125 bytes.
    ControlFrame,
    /// A continuation of no message, or a message inside another.
    Order,
    /// A length in more bytes than it takes, or with its highest bit set.
    Length,
}

impl Violation {
    /// Every violation, in the order of the documentation.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().unwrap();

    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// It in words, to follow "sent".
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Unmasked => "a frame without a mask, which only a server may",
            Self::Masked => "a masked frame, which only a client may",
            Self::ReservedBits => "a frame with reserved bits set",
            Self::Opcode => "a frame of an unknown kind",
            Self::ControlFrame => "a control frame that is in parts or too long",
            Self::Order => "a message inside another, or the rest of none",
            Self::Length => "a frame whose length is badly written",
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it is the last of its message.
    pub fin: bool,
    /// Whether the message is compressed: the first reserved bit says so (RFC 7692, 6).
    pub compressed: bool,
    /// What it is.
    pub opcode: Opcode,
    /// What its payload is masked with.
    pub mask: Option<[u8; 4]>,
    /// Bytes of its payload.
    pub length: u64,
}

/// The next bytes of a stream of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A part of a header.
    Begun,
    /// The rest of a header: a frame begins. An empty one ends here, too.
    Frame(Header),
    /// A part of a payload.
    Goes,
    /// The rest of it.
    Ends,
    /// No header that there may be: where the next one begins is not known.
    Broken(Violation),
}

/// Splits what one side sends into frames.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    header: [u8; MAX_HEADER],
    filled: usize,
    /// The frame whose payload is being read.
    frame: Option<Header>,
    /// Bytes of that payload that are still due.
    left: u64,
    /// The payload of a control frame as far as it came, without the mask.
    control: Vec<u8>,
    /// Whether bytes of that are missing.
    is_holed: bool,
    /// Whether a message has begun whose last frame is still to come.
    in_message: bool,
}

impl Splitter {
    /// Takes the next bytes, of which there are some. Returns what they are, and how many of them
    /// that is.
    pub fn read(&mut self, bytes: &[u8]) -> (Step, usize) {
        if self.left > 0 {
            let taken = self.left.min(bytes.len() as u64) as usize;
            self.keep(&bytes[..taken]);
            self.left -= taken as u64;
            let step = if self.left > 0 {
                Step::Goes
            } else {
                Step::Ends
            };
            return (step, taken);
        }
        let mut taken = 0;
        while self.filled < self.header_length() {
            let Some(&byte) = bytes.get(taken) else {
                return (Step::Begun, taken);
            };
            self.header[self.filled] = byte;
            self.filled += 1;
            taken += 1;
        }
        (self.begin(), taken)
    }

    /// Bytes of the header, as far as those that came tell.
    const fn header_length(&self) -> usize {
        if self.filled < 2 {
            return 2;
        }
        let length = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 != 0 { 4 } else { 0 };
        2 + length + mask
    }

    /// The header is whole.
    fn begin(&mut self) -> Step {
        let [first, second, rest @ ..] = self.header;
        self.filled = 0;
        let [a, b, c, d, e, f, g, h, ..] = rest;
        let (length, mask_at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes([a, b])), 2),
            127 => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 8),
            short => (u64::from(short), 0),
        };
        let least = match mask_at {
            2 => 126,
            8 => 1 << 16,
            _ => 0,
        };
        let Some(opcode) = Opcode::of(first & 0xf) else {
            return Step::Broken(Violation::Opcode);
        };
        let fin = first & 0x80 != 0;
        let compressed = first & 0x40 != 0;
        let begins = matches!(opcode, Opcode::Text | Opcode::Binary);
        if first & 0x30 != 0 || compressed && !begins {
            return Step::Broken(Violation::ReservedBits);
        }
        if length < least || length > i64::MAX as u64 {
            return Step::Broken(Violation::Length);
        }
        if opcode.is_control() {
            if !fin || length > MAX_CONTROL as u64 {
                return Step::Broken(Violation::ControlFrame);
            }
        } else if begins == self.in_message {
            return Step::Broken(Violation::Order);
        } else {
            self.in_message = !fin;
        }
        let mask = [0, 1, 2, 3].map(|at| rest[mask_at + at]);
        let header = Header {
            fin,
            compressed,
            opcode,
            mask: (second & 0x80 != 0).then_some(mask),
            length,
        };
        self.frame = Some(header);
        self.left = length;
        self.control.clear();
        self.is_holed = false;
        Step::Frame(header)
    }

    /// Keeps bytes of the payload, if they are of a control frame.
    fn keep(&mut self, bytes: &[u8]) {
        let Some(header) = self.frame.filter(|header| header.opcode.is_control()) else {
            return;
        };
        let at = self.control.len();
        let mask = header.mask.unwrap_or_default();
        let bytes = bytes.iter().enumerate();
        let shown = bytes.map(|(index, byte)| byte ^ mask[(at + index) % mask.len()]);
        self.control.extend(shown);
    }

    /// The frame that began last.
    #[must_use]
    pub const fn frame(&self) -> Option<Header> {
        self.frame
    }

    /// The payload of the control frame that ended last, without the mask; `None` if bytes of it are
    /// missing.
    #[must_use]
    pub fn control(&self) -> Option<&[u8]> {
        (!self.is_holed).then_some(&self.control)
    }

    /// Bytes of the payload that are still due; `None` between frames and in a header.
    #[must_use]
    pub const fn remaining(&self) -> Option<u64> {
        match self.left {
            0 => None,
            left => Some(left),
        }
    }

    /// Whether nothing of a frame is due.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        self.left == 0 && self.filled == 0
    }

    /// Whether the header that came last begins with two zeros.
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        matches!(self.header, [0, 0, ..])
    }

    /// Passes over bytes that are missing. Returns whether they lie within one payload, so that it
    /// is known what follows; if they are the end of it, it ends.
    pub const fn miss(&mut self, count: u64) -> bool {
        if count > self.left {
            return false;
        }
        self.left -= count;
        self.is_holed = true;
        true
    }

    /// Bytes that what it keeps takes, beside itself.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.control.capacity()
    }
}

/// Frames of one side by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frames {
    /// First frames of messages of text.
    pub text: u64,
    /// First frames of messages of bytes.
    pub binary: u64,
    /// Further frames of messages.
    pub continuation: u64,
    /// Pings.
    pub ping: u64,
    /// Pongs.
    pub pong: u64,
    /// Closes.
    pub close: u64,
}

impl Frames {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.each().into_iter().fold(0, u64::saturating_add)
    }

    /// Each number, in the order of the fields.
    #[must_use]
    pub const fn each(&self) -> [u64; 6] {
        [
            self.text,
            self.binary,
            self.continuation,
            self.ping,
            self.pong,
            self.close,
        ]
    }

    /// Counts one.
    pub const fn count(&mut self, opcode: Opcode) {
        *match opcode {
            Opcode::Continuation => &mut self.continuation,
            Opcode::Text => &mut self.text,
            Opcode::Binary => &mut self.binary,
            Opcode::Close => &mut self.close,
            Opcode::Ping => &mut self.ping,
            Opcode::Pong => &mut self.pong,
        } += 1;
    }
}

/// Code and reason of a Close (RFC 6455, 5.5.1); neither, if it says none.
#[must_use]
pub fn closing(payload: &[u8]) -> (Option<u16>, Option<CompactString>) {
    let [first, second, reason @ ..] = payload else {
        return (None, None);
    };
    let reason = CompactString::from_utf8_lossy(reason);
    let code = u16::from_be_bytes([*first, *second]);
    (Some(code), (!reason.is_empty()).then_some(reason))
}

/// A code of a Close in words (RFC 6455, 7.4, and its registry at IANA).
#[must_use]
pub const fn code_in_words(code: u16) -> &'static str {
    match code {
        1000 => "done",
        1001 => "going away: the server stops, or the page was left",
        1002 => "the other side broke the protocol",
        1003 => "data of a kind that it does not take",
        1005 | 1006 | 1015 => "a code that nobody may send",
        1007 => "data that is not what it says it is, such as text that is no UTF-8",
        1008 => "against its policy",
        1009 => "a message too big for it",
        1010 => "an extension that it needs was not granted",
        1011 => "an error inside the server",
        1012 => "the service restarts",
        1013 => "overloaded: try again later",
        1014 => "a gateway got no good answer from the server behind it",
        3000 => "not authorised",
        3003 => "forbidden",
        3008 => "a timeout",
        3001..=3002 | 3004..=3007 | 3009..4000 => "a registered code of libraries",
        4000..5000 => "the application's own code",
        _ => "a code that does not exist",
    }
}

/// Whether a code says that something failed, and not only that one side leaves.
#[must_use]
pub const fn is_failure(code: u16) -> bool {
    !matches!(code, 1000 | 1001 | 3000..5000)
}

#[cfg(test)]
mod tests;
