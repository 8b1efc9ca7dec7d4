//! What was said, one thing at a time.

use crate::exchange::{ErrorCode, Side};
use crate::packet::{Flags, Mark};
use crate::protocol::grpc::MessageKind;
use crate::protocol::http2::frame::{Frame, Setting};
use crate::protocol::http2::head::Listed;
use crate::protocol::websocket::Header;

/// Something that one side sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who.
    pub from: Side,
    /// The frame, and when; of a body the one with its last byte.
    pub mark: Mark,
    /// The stream of HTTP/2, 0 for its connection; `None` of anything else.
    pub stream: Option<u32>,
    /// What.
    pub what: What,
}

impl Entry {
    /// An entry that belongs to no stream.
    #[must_use]
    pub const fn new(from: Side, mark: Mark, what: What) -> Self {
        let stream = None;
        Self {
            from,
            mark,
            stream,
            what,
        }
    }
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
    /// A frame of HTTP/2, or a part of one.
    Frame(Told),
    /// A frame of WebSocket.
    WebSocket {
        /// Its header.
        header: Header,
        /// All of its payload, if it is a control frame.
        control: Option<Vec<u8>>,
        /// The payload, without its mask.
        piece: Piece,
    },
    /// Bytes that are not read.
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

/// What a frame of HTTP/2 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The client's preface.
    Preface,
    /// A header block, whose fields follow.
    Block {
        /// What it is.
        block: Block,
        /// Whether its side is done with the stream.
        end: bool,
    },
    /// A field of a block, or of a promise.
    Field(Listed),
    /// So many fields more.
    MoreFields(u64),
    /// The rest of the block is not in the capture.
    CutBlock,
    /// The rest of the block cannot be read.
    MalformedBlock,
    /// A part of a body: DATA.
    Data {
        /// The bytes.
        piece: Piece,
        /// Whether its side is done with the stream.
        end: bool,
    },
    /// A message of gRPC's or of Connect's, in as many frames as it takes.
    Message {
        /// What it is.
        kind: MessageKind,
        /// Whether it is compressed.
        compressed: bool,
        /// Its length.
        length: u32,
        /// The bytes that came.
        piece: Piece,
        /// Whether its side is done with the stream.
        end: bool,
    },
    /// `RST_STREAM`; the code may be missing.
    Reset(Option<ErrorCode>),
    /// `GOAWAY`.
    Goaway {
        /// The last stream that will be processed.
        last: u32,
        /// The reason.
        code: ErrorCode,
        /// Bytes that its sender added.
        size: u32,
        /// Their beginning, as much as was asked for.
        debug: Vec<u8>,
    },
    /// `SETTINGS`.
    Settings(Vec<Setting>),
    /// The acknowledgment of the other side's `SETTINGS`.
    SettingsTaken,
    /// `PING`, or the answer to one.
    Ping {
        /// Whether it is the answer.
        answer: bool,
    },
    /// `WINDOW_UPDATE`, by so many bytes.
    Window(u32),
    /// `PRIORITY`.
    Priority {
        /// The stream that it depends on.
        parent: u32,
        /// Its share.
        weight: u16,
    },
    /// A frame of which no more is told.
    Passed(Frame),
}

/// What a header block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// A request.
    Request,
    /// An answer that is not the final one.
    Interim,
    /// The final answer.
    Response,
    /// What follows a body.
    Trailers,
    /// The request of a push, on this stream.
    Promise(u32),
    /// One or the other: what would tell is unknown.
    Unknown,
}

/// Bytes that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How many.
    pub size: u64,
    /// The frame of the first.
    pub first: Mark,
    /// Their beginning, as much as was asked for.
    pub begin: Vec<u8>,
    /// Whether the last of them was sent.
    pub whole: bool,
}

/// Why bytes are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// They are none.
    NoHttp,
    /// They belong to a message whose beginning is not in the capture.
    Headless,
    /// They come after a switch to another protocol.
    Switched,
    /// They belong to frames of HTTP/2 whose beginning is not in the capture.
    Frameless,
    /// They stand where a frame of HTTP/2 should, and are none.
    NoFrame,
}
