//! Frames of HTTP/2, made by hand. Header fields are literals that nobody adds to the table, unless
//! a test encodes them itself.

use crate::protocol::http2::frame;

pub use crate::protocol::http2::frame::PREFACE;
pub use crate::protocol::http2::hpack::encode as huffman;

/// A frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Header fields as literals without indexing (RFC 7541, 6.2.2).
#[must_use]
pub fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "a short text");
            block.push(text.len() as u8);
            block.extend(text.as_bytes());
        }
    }
    block
}

/// HEADERS with a whole block; `end` if nothing follows on the stream.
#[must_use]
pub fn headers(stream: u32, end: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    let end = if end { frame::END_STREAM } else { 0 };
    frame(1, frame::END_HEADERS | end, stream, &literals(fields))
}

/// A GET of `path`.
#[must_use]
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", path)];
    headers(stream, true, &fields)
}

/// The head of a POST to `path`, whose body follows.
#[must_use]
pub fn post(stream: u32, path: &str) -> Vec<u8> {
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", path)];
    headers(stream, false, &fields)
}

/// The head of an answer; `end` if it has no body.
#[must_use]
pub fn answer(stream: u32, end: bool, status: &str) -> Vec<u8> {
    headers(stream, end, &[(":status", status)])
}

/// DATA; `end` if nothing follows on the stream.
#[must_use]
pub fn data(stream: u32, end: bool, bytes: &[u8]) -> Vec<u8> {
    frame(0, if end { frame::END_STREAM } else { 0 }, stream, bytes)
}

/// RST_STREAM.
#[must_use]
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

/// GOAWAY.
#[must_use]
pub fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// SETTINGS.
#[must_use]
pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(4, 0, 0, &payload)
}

/// The acknowledgment of SETTINGS.
#[must_use]
pub fn settings_ack() -> Vec<u8> {
    frame(4, frame::ACK, 0, &[])
}

/// WINDOW_UPDATE.
#[must_use]
pub fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(8, 0, stream, &more.to_be_bytes())
}

/// PING, or the answer to one.
#[must_use]
pub fn ping(ack: bool) -> Vec<u8> {
    frame(6, u8::from(ack), 0, b"pingping")
}

/// The client's preface with empty settings.
#[must_use]
pub fn preface() -> Vec<u8> {
    [PREFACE, &settings(&[])].concat()
}

/// A message of gRPC.
#[must_use]
pub fn message(compressed: bool, bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![u8::from(compressed)];
    message.extend((bytes.len() as u32).to_be_bytes());
    message.extend(bytes);
    message
}
