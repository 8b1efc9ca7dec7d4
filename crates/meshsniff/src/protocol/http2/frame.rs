//! Frames: their headers, and whether bytes can be one (RFC 9113, 4.1 and 6).

use crate::tcp::Side;
use serde::{Deserialize, Serialize};

/// The client connection preface (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length of a frame's header.
pub const HEADER: usize = 9;

/// The longest payload believed of a frame that was found in the middle of a stream. Senders keep
/// to 16 KiB unless told otherwise, and none is known that tells more than 1 MiB.
const MAX_FOUND: u32 = 1 << 20;

/// `END_STREAM`, of DATA and HEADERS.
pub const END_STREAM: u8 = 0x1;
/// `ACK`, of SETTINGS and PING.
pub const ACK: u8 = 0x1;
/// `END_HEADERS`, of HEADERS, PUSH_PROMISE and CONTINUATION.
pub const END_HEADERS: u8 = 0x4;
/// `PADDED`, of DATA, HEADERS and PUSH_PROMISE.
pub const PADDED: u8 = 0x8;
/// `PRIORITY`, of HEADERS.
pub const PRIORITY: u8 = 0x20;

/// Type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A part of a body.
    Data,
    /// A header block, or its beginning.
    Headers,
    /// Advice on order, which nobody follows any more.
    Priority,
    /// One stream ends, with an error code.
    Reset,
    /// Limits of the sender, or their acknowledgment.
    Settings,
    /// A request that the server makes in the client's place.
    PushPromise,
    /// A sign of life, or the answer to one.
    Ping,
    /// No further streams, with an error code.
    Goaway,
    /// More may be sent.
    WindowUpdate,
    /// More of a header block.
    Continuation,
    /// An extension.
    Other(u8),
}

impl Kind {
    /// Its name in the RFC, or in that of the extension.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Data => "DATA",
            Self::Headers => "HEADERS",
            Self::Priority => "PRIORITY",
            Self::Reset => "RST_STREAM",
            Self::Settings => "SETTINGS",
            Self::PushPromise => "PUSH_PROMISE",
            Self::Ping => "PING",
            Self::Goaway => "GOAWAY",
            Self::WindowUpdate => "WINDOW_UPDATE",
            Self::Continuation => "CONTINUATION",
            Self::Other(0x0a) => "ALTSVC",
            Self::Other(0x0c) => "ORIGIN",
            Self::Other(0x10) => "PRIORITY_UPDATE",
            Self::Other(_) => return None,
        })
    }
}

impl From<u8> for Kind {
    fn from(kind: u8) -> Self {
        match kind {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::Goaway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            other => Self::Other(other),
        }
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of its payload.
    pub length: u32,
    /// Its type.
    pub kind: Kind,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 for the connection.
    pub stream: u32,
}

impl Frame {
    /// The header that `bytes` are.
    #[must_use]
    pub const fn parse(bytes: [u8; HEADER]) -> FrameParts {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        let [d, e, f, g] = stream;
        FrameParts {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes([d, e, f, g]),
        }
    }

    /// Whether this flag is set.
    #[must_use]
    pub const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether its type permits its stream and its length (RFC 9113, 6): where not, the connection
    /// ends with an error.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        let of_stream = self.stream != 0;
        match self.kind {
            Kind::Data | Kind::Headers | Kind::Continuation => of_stream,
            Kind::Priority => of_stream && self.length == 5,
            Kind::Reset => of_stream && self.length == 4,
            Kind::PushPromise => of_stream && self.length >= 4,
            Kind::Settings => !of_stream && self.length.is_multiple_of(6),
            Kind::Ping => !of_stream && self.length == 8,
            Kind::Goaway => !of_stream && self.length >= 8,
            Kind::WindowUpdate => self.length == 4,
            Kind::Other(_) => true,
        }
    }
}

/// A frame's header as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameParts {
    length: u32,
    kind: u8,
    flags: u8,
    /// With the reserved bit.
    stream: u32,
}

impl FrameParts {
    /// The header; a receiver ignores the reserved bit.
    #[must_use]
    pub fn frame(self) -> Frame {
        Frame {
            length: self.length,
            kind: Kind::from(self.kind),
            flags: self.flags,
            stream: self.stream & 0x7fff_ffff,
        }
    }

    /// Whether bytes that were found in the middle of a stream of `side`'s may be such a header:
    /// nothing is in it that no sender puts there.
    #[must_use]
    pub fn is_plausible(self, side: Option<Side>) -> bool {
        let frame = self.frame();
        let flags = match frame.kind {
            Kind::Data => END_STREAM | PADDED,
            Kind::Headers => END_STREAM | END_HEADERS | PADDED | PRIORITY,
            Kind::PushPromise => END_HEADERS | PADDED,
            Kind::Continuation => END_HEADERS,
            Kind::Settings | Kind::Ping => ACK,
            Kind::Priority | Kind::Reset | Kind::Goaway | Kind::WindowUpdate => 0,
            Kind::Other(_) => return false,
        };
        // Streams that a client opens have odd numbers; a push begins one with an even number.
        let even = frame.stream != 0 && frame.stream.is_multiple_of(2);
        let streams = match (frame.kind, side) {
            (Kind::PushPromise, Some(Side::Client)) => false,
            (Kind::PushPromise, _) => !even,
            (Kind::Headers | Kind::Data, Some(Side::Client)) => !even,
            _ => true,
        };
        let acknowledgment = frame.kind == Kind::Settings && frame.has(ACK);
        self.stream >> 31 == 0
            && frame.is_valid()
            && frame.length <= MAX_FOUND
            && frame.flags & !flags == 0
            && streams
            && !(acknowledgment && frame.length > 0)
    }
}

/// What of HTTP/2 bytes in the middle of a connection begin with, by the frames in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whole frames.
    pub frames: u32,
    /// Whether a frame is among them whose bytes are fixed but for a few: it is surely one.
    pub sure: bool,
    /// Whether the last frame ends with the bytes.
    pub exact: bool,
    /// The first header block.
    pub block: Option<(usize, usize)>,
}

/// The frames that `bytes` of `side`'s begin with, if every header in them is plausible.
#[must_use]
pub fn find(bytes: &[u8], side: Option<Side>) -> Option<Found> {
    let mut found = Found::default();
    let mut at = 0;
    while let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let parts = Frame::parse(*header);
        if !parts.is_plausible(side) {
            return None;
        }
        let frame = parts.frame();
        let end = at + HEADER + frame.length as usize;
        let whole = end <= bytes.len();
        let payload = bytes.get(at + HEADER..end);
        found.sure |= payload.is_some_and(|payload| is_sure(frame, payload));
        if frame.kind == Kind::Headers && found.block.is_none() {
            let skipped = usize::from(frame.has(PADDED)) + 5 * usize::from(frame.has(PRIORITY));
            let begin = at + HEADER + skipped;
            found.block = (begin < end.min(bytes.len())).then_some((begin, end.min(bytes.len())));
        }
        if !whole {
            return Some(found);
        }
        found.frames += 1;
        at = end;
    }
    found.exact = at == bytes.len();
    // What is left is the beginning of a header.
    (at > 0).then_some(found)
}

/// Whether a whole frame has so much in it that cannot be otherwise that it is surely one.
fn is_sure(frame: Frame, payload: &[u8]) -> bool {
    let word = |at: usize| {
        let word = payload.get(at..at + 4)?.first_chunk()?;
        Some(u32::from_be_bytes(*word))
    };
    match frame.kind {
        Kind::Reset => word(0).is_some_and(|code| code <= ErrorCode::LAST),
        Kind::Goaway => word(4).is_some_and(|code| code <= ErrorCode::LAST),
        Kind::WindowUpdate => {
            word(0).is_some_and(|increment| increment >> 31 == 0 && increment > 0)
        }
        Kind::Ping | Kind::Priority => true,
        Kind::Settings => {
            frame.has(ACK)
                || !payload.is_empty()
                    && payload
                        .chunks(6)
                        .all(|setting| setting[0] == 0 && (1..=9).contains(&setting[1]))
        }
        _ => false,
    }
}

/// Why a stream or a connection ended (RFC 9113, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// No error.
    pub const NO_ERROR: Self = Self(0);
    /// The stream was not processed: it may be tried again.
    pub const REFUSED_STREAM: Self = Self(7);
    /// The stream is not wanted any more.
    pub const CANCEL: Self = Self(8);
    /// The other side does too much of something.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
    /// The last that the RFC defines.
    const LAST: u32 = 13;

    const NAMES: [&'static str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];

    /// Its name in the RFC; one that is not in it is treated like `INTERNAL_ERROR`, and called
    /// `UNKNOWN`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let index = usize::try_from(self.0).unwrap_or(usize::MAX);
        Self::NAMES.get(index).copied().unwrap_or("UNKNOWN")
    }

    /// The code of this name, whatever its case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let at = Self::NAMES
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))?;
        u32::try_from(at).ok().map(Self)
    }

    /// Every name, in the order of the RFC.
    #[must_use]
    pub const fn names() -> &'static [&'static str] {
        &Self::NAMES
    }
}

/// A setting; those that matter to whoever judges apart (RFC 9113, 6.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `SETTINGS_HEADER_TABLE_SIZE`.
    HeaderTableSize(u32),
    /// `SETTINGS_MAX_CONCURRENT_STREAMS`.
    MaxConcurrentStreams(u32),
    /// `SETTINGS_INITIAL_WINDOW_SIZE`.
    InitialWindowSize(u32),
    /// Any other, by its number.
    Other(u16, u32),
}

impl Setting {
    /// Its number and its value.
    #[must_use]
    pub const fn parts(self) -> (u16, u32) {
        match self {
            Self::HeaderTableSize(value) => (1, value),
            Self::MaxConcurrentStreams(value) => (3, value),
            Self::InitialWindowSize(value) => (4, value),
            Self::Other(id, value) => (id, value),
        }
    }

    /// Its name in the registry, without `SETTINGS_`.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.parts().0 {
            1 => "HEADER_TABLE_SIZE",
            2 => "ENABLE_PUSH",
            3 => "MAX_CONCURRENT_STREAMS",
            4 => "INITIAL_WINDOW_SIZE",
            5 => "MAX_FRAME_SIZE",
            6 => "MAX_HEADER_LIST_SIZE",
            8 => "ENABLE_CONNECT_PROTOCOL",
            9 => "NO_RFC7540_PRIORITIES",
            _ => return None,
        })
    }
}

/// The settings in a payload.
pub fn settings(payload: &[u8]) -> impl Iterator<Item = Setting> {
    payload.chunks_exact(6).filter_map(|setting| {
        let &[high, low, a, b, c, d] = setting else {
            return None;
        };
        let value = u32::from_be_bytes([a, b, c, d]);
        Some(match u16::from_be_bytes([high, low]) {
            1 => Setting::HeaderTableSize(value),
            3 => Setting::MaxConcurrentStreams(value),
            4 => Setting::InitialWindowSize(value),
            other => Setting::Other(other, value),
        })
    })
}
