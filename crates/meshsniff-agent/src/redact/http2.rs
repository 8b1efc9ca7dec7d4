//! Frames of HTTP/2: which of their bytes may be seen.
//!
//! Headers of frames are shown, and what they say of the connection. Header blocks are masked by
//! the library, with the names of HTTP/1's heads; bodies are `body`'s.

use super::body::Bodies;
use super::choice;
use super::out::Out;
use meshsniff::protocol::detect::is_token;
use meshsniff::protocol::http2::frame::{
    END_HEADERS, END_STREAM, Frame, HEADER, Kind, PADDED, PREFACE, PRIORITY,
};
use meshsniff::protocol::http2::hpack::Masker;
use meshsniff::tcp::Side;

/// The longest payload that is believed: none is known that announces more.
const MAX_LENGTH: u32 = 1 << 20;

/// Bytes of a GOAWAY that are no text.
const GOAWAY: u32 = 8;

/// The type of SETTINGS, as it stands in a header.
const SETTINGS: u8 = 4;

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    at: At,
    /// Whether it was found in the middle of a connection, as frames of this side's, if that is
    /// known: then nothing is believed that no sender puts there.
    found: Option<Option<Side>>,
    /// Whether the next frame is the first one, which is SETTINGS.
    is_first: bool,
    masker: Masker,
    /// The header block that goes on in another frame.
    open: Option<Block>,
    bodies: Bodies,
}

/// A header block.
#[derive(Clone, Copy, Debug)]
struct Block {
    stream: u32,
    /// Whether a body follows, if it is no push.
    has_body: bool,
    /// Whether bytes of it are missing.
    is_cut: bool,
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug)]
enum At {
    /// The client's preface, of which so many bytes were seen.
    Preface(usize),
    /// A frame's header, of which so many bytes were seen.
    Header([u8; HEADER], usize),
    Payload(Payload),
}

/// A frame's payload.
#[derive(Clone, Copy, Debug)]
struct Payload {
    frame: Frame,
    /// Bytes that are due.
    left: u32,
    /// Bytes that are due of what stands before a header block: a priority, a promise.
    before: u32,
    /// Bytes of padding; `None` before its length was read.
    padding: Option<u32>,
    /// Whether bytes of it are missing.
    is_cut: bool,
}

impl At {
    const fn between() -> Self {
        Self::Header([0; HEADER], 0)
    }
}

impl Frames {
    fn new(at: At, found: Option<Option<Side>>) -> Self {
        Self {
            at,
            found,
            is_first: found.is_none(),
            masker: Masker::default(),
            open: None,
            bodies: Bodies::default(),
        }
    }

    /// A client's, from its preface on, of which so many bytes were seen.
    pub(super) fn of_client(seen: usize) -> Self {
        if seen == PREFACE.len() {
            return Self::new(At::between(), None);
        }
        Self::new(At::Preface(seen), None)
    }

    /// A server's, from its first frame on.
    pub(super) fn of_server() -> Self {
        Self::new(At::between(), None)
    }

    /// Those that were found in the middle of a connection.
    pub(super) fn found(side: Option<Side>) -> Self {
        Self::new(At::between(), Some(side))
    }

    /// Bytes that what it keeps takes beside itself.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.masker.weight() + self.bodies.weight()
    }

    /// Decides on the next bytes. `false` if they are no frame.
    pub(super) fn read(&mut self, out: &mut Out<'_>) -> bool {
        match self.at {
            At::Preface(seen) => self.preface(seen, out),
            At::Header(header, seen) => self.header(header, seen, out),
            At::Payload(payload) => self.payload(payload, out),
        }
    }

    /// Passes over bytes that are missing, if they are of one frame.
    pub(super) fn step(&mut self, missing: u32) -> bool {
        let At::Payload(mut payload) = self.at else {
            return false;
        };
        if missing > payload.left {
            return false;
        }
        let frame = payload.frame;
        payload.is_cut = true;
        if frame.kind == Kind::Data {
            // How much of it is padding may not be known: it is none, nearly always.
            let padding = *payload.padding.get_or_insert(0);
            let data = payload.left.saturating_sub(padding).min(missing);
            self.bodies.miss(frame.stream, data);
        }
        self.pass(payload, missing)
    }

    fn preface(&mut self, seen: usize, out: &mut Out<'_>) -> bool {
        let len = out.rest().len().min(PREFACE.len() - seen);
        if out.rest()[..len] != PREFACE[seen..seen + len] {
            return false;
        }
        out.show(len);
        self.at = match seen + len {
            seen if seen == PREFACE.len() => At::between(),
            seen => At::Preface(seen),
        };
        true
    }

    fn header(&mut self, mut header: [u8; HEADER], seen: usize, out: &mut Out<'_>) -> bool {
        let len = out.rest().len().min(HEADER - seen);
        header[seen..seen + len].copy_from_slice(&out.rest()[..len]);
        let seen = seen + len;
        if !self.may_be(&header, seen) {
            return false;
        }
        out.show(len);
        self.at = At::Header(header, seen);
        if seen < HEADER {
            return true;
        }
        let frame = Frame::parse(header).frame();
        self.is_first = false;
        let before = match frame.kind {
            Kind::Headers if frame.has(PRIORITY) => 5,
            Kind::PushPromise => 4,
            _ => 0,
        };
        let may_pad = matches!(frame.kind, Kind::Data | Kind::Headers | Kind::PushPromise);
        let is_padded = may_pad && frame.has(PADDED);
        if frame.length < before + u32::from(is_padded) {
            return false;
        }
        if matches!(frame.kind, Kind::Headers | Kind::PushPromise) {
            self.open = Some(Block {
                stream: frame.stream,
                has_body: frame.kind == Kind::Headers && !frame.has(END_STREAM),
                is_cut: false,
            });
        }
        let payload = Payload {
            frame,
            left: frame.length,
            before,
            padding: (!is_padded).then_some(0),
            is_cut: false,
        };
        self.pass(payload, 0)
    }

    /// Whether this may be a frame's header, or so many bytes of one.
    fn may_be(&self, header: &[u8; HEADER], seen: usize) -> bool {
        let parts = Frame::parse(*header);
        let frame = parts.frame();
        if header[0] > (MAX_LENGTH >> 16) as u8
            || seen > 3 && self.is_first && header[3] != SETTINGS
            || seen > 5 && header[5] & 0x80 != 0
        {
            return false;
        }
        let in_order = match self.open {
            Some(open) => frame.kind == Kind::Continuation && frame.stream == open.stream,
            None => frame.kind != Kind::Continuation,
        };
        let is_believed = self.found.is_none_or(|side| parts.is_plausible(side));
        let is_long = frame.length > MAX_LENGTH;
        seen < HEADER || in_order && !is_long && frame.is_valid() && is_believed
    }

    /// So many bytes of a frame's payload are done with. `false` if what that ends is broken.
    fn pass(&mut self, mut payload: Payload, len: u32) -> bool {
        payload.left -= len;
        self.at = At::Payload(payload);
        if payload.left > 0 {
            return true;
        }
        self.at = At::between();
        let frame = payload.frame;
        match frame.kind {
            Kind::Data | Kind::Reset if frame.kind == Kind::Reset || frame.has(END_STREAM) => {
                self.bodies.end(frame.stream);
            }
            Kind::Headers | Kind::PushPromise | Kind::Continuation => {
                return self.end_of_block(frame, payload.is_cut);
            }
            _ => {}
        }
        true
    }

    /// A frame with a part of a header block is over.
    fn end_of_block(&mut self, frame: Frame, is_cut: bool) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        open.is_cut |= is_cut;
        let open = *open;
        if open.is_cut {
            self.masker.lose();
        }
        if !frame.has(END_HEADERS) {
            return true;
        }
        self.open = None;
        let Ok(wire) = self.masker.end() else {
            return false;
        };
        if open.has_body {
            self.bodies.begin(open.stream, wire);
        } else {
            self.bodies.end(open.stream);
        }
        true
    }

    fn payload(&mut self, mut payload: Payload, out: &mut Out<'_>) -> bool {
        let frame = payload.frame;
        let room = out.rest().len().min(payload.left as usize);
        if payload.is_cut && frame.kind != Kind::Data {
            // Nothing behind a hole can be told.
            out.hide(room);
            return self.pass(payload, room as u32);
        }
        let Some(padding) = payload.padding else {
            let padding = u32::from(out.rest()[0]);
            if padding + payload.before >= payload.left {
                return false;
            }
            out.show(1);
            payload.padding = Some(padding);
            return self.pass(payload, 1);
        };
        if payload.before > 0 {
            let len = room.min(payload.before as usize);
            out.show(len);
            payload.before -= len as u32;
            return self.pass(payload, len as u32);
        }
        let content = payload.left.saturating_sub(padding);
        let len = room.min(content as usize);
        if len == 0 {
            // Padding, which is to be zeros. Cut off it would take a header block with it.
            out.blank(room);
            return self.pass(payload, room as u32);
        }
        let is_whole = match frame.kind {
            Kind::Data => {
                self.bodies.read(frame.stream, len, out);
                true
            }
            Kind::Headers | Kind::PushPromise | Kind::Continuation => {
                self.block(frame, content as usize - len, len, out)
            }
            Kind::Goaway => {
                let told = frame.length - payload.left;
                let shown = len.min(GOAWAY.saturating_sub(told) as usize);
                out.show(shown);
                out.hide(len - shown);
                true
            }
            Kind::Other(_) => {
                out.hide(len);
                true
            }
            Kind::Priority | Kind::Reset | Kind::Settings | Kind::Ping | Kind::WindowUpdate => {
                out.show(len);
                true
            }
        };
        is_whole && self.pass(payload, len as u32)
    }

    /// Decides on bytes of a header block, behind which `behind` bytes of it follow in its frame.
    fn block(&mut self, frame: Frame, behind: usize, len: usize, out: &mut Out<'_>) -> bool {
        if self.open.is_some_and(|open| open.is_cut) {
            out.hide(len);
            return true;
        }
        let behind = frame.has(END_HEADERS).then_some(behind);
        let fields = &out.redaction.fields;
        let hides = |name: Option<&[u8]>| hides(fields, name);
        let bytes = &mut out.bytes[out.at..out.at + len];
        if self.masker.pass(bytes, behind, &hides).is_err() {
            return false;
        }
        out.show(len);
        true
    }
}

/// Whether a field of this name is to be masked. One whose name is not known, or is none, may be
/// any of them.
fn hides(fields: &[String], name: Option<&[u8]>) -> bool {
    let is_name = |name: &&[u8]| {
        let name = name.strip_prefix(b":").unwrap_or(name);
        !name.is_empty() && name.iter().all(|byte| is_token(*byte))
    };
    match name.filter(is_name) {
        // What HTTP/1 says in `host`.
        Some(b":authority") => {
            choice::hides(fields, b"host") || choice::hides(fields, b":authority")
        }
        Some(name) => choice::hides(fields, name),
        None => !fields.is_empty(),
    }
}
