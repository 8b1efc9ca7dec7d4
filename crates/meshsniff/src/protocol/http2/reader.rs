//! One side's frames, read from bytes that come in any pieces.
//!
//! [`Reader::read`] takes as many bytes as its next [`Event`] needs. Missing bytes are stepped over
//! where they lie within one frame; elsewhere the reader is lost until a segment begins with frames
//! again ([`Reader::find`]).

use super::frame::{
    self, ACK, END_HEADERS, END_STREAM, ErrorCode, Frame, FrameParts, HEADER, Kind, PADDED,
    PREFACE, PRIORITY, Setting,
};
use super::head::{Head, List};
use super::hpack::{Decoder, Field};
use crate::packet::Mark;
use crate::tcp::{Offset, Side};

/// The longest header block that is read, in bytes. What is beyond is passed over, and what the
/// table holds is not known afterwards.
pub const MAX_BLOCK: usize = 256 * 1024;

/// The longest payload kept of any other frame: nothing behind that is looked at.
const MAX_PAYLOAD: usize = 1024;

/// Meaning of the next bytes.
#[derive(Debug)]
pub enum Event<'a> {
    /// Nothing yet.
    Nothing,
    /// The end of the client's preface.
    Preface,
    /// A header block, whole as far as it will come.
    Headers(Box<Headers>),
    /// A part of a body.
    Data(Data<'a>),
    /// `RST_STREAM`.
    Reset {
        /// The stream.
        stream: u32,
        /// The reason.
        code: ErrorCode,
    },
    /// `GOAWAY`.
    Goaway {
        /// The last stream that will be processed.
        last: u32,
        /// The reason.
        code: ErrorCode,
        /// The beginning of what else its sender says, for whoever looks into it.
        debug: Vec<u8>,
        /// Bytes of that.
        debug_size: u32,
    },
    /// `SETTINGS`.
    Settings(Vec<Setting>),
    /// The other side's `SETTINGS` are taken.
    SettingsTaken,
    /// `PING`, or the answer to one.
    Ping {
        /// Whether it is the answer.
        ack: bool,
        /// Its eight bytes.
        payload: [u8; 8],
    },
    /// `WINDOW_UPDATE`.
    Window {
        /// The stream; 0 for the connection.
        stream: u32,
        /// So many bytes more may be sent.
        increment: u32,
    },
    /// `PRIORITY`.
    Priority {
        /// The stream.
        stream: u32,
        /// The one that it depends on; 0 for none.
        parent: u32,
        /// Its share among those that depend on the same, from 1 to 256.
        weight: u16,
    },
    /// A frame of an extension, or one of which too much is missing.
    Passed(Frame),
    /// Bytes that cannot be read: the connection ends with an error, unless somebody was misled
    /// here.
    Broken,
}

/// A header block.
#[derive(Debug)]
pub struct Headers {
    /// Its stream.
    pub stream: u32,
    /// The stream that a PUSH_PROMISE promises.
    pub promised: Option<u32>,
    /// Whether its side is done with the stream.
    pub end_stream: bool,
    /// Whether its end is missing, or too long to be read.
    pub is_cut: bool,
    /// Whether it cannot be read to its end.
    pub is_malformed: bool,
    /// Where the first of its frames begins, and the packet.
    pub start: (Offset, Mark),
    /// What it says.
    pub head: Head,
}

/// A part of a DATA frame's payload, without its padding.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// Its stream.
    pub stream: u32,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Bytes in their place that are missing.
    pub missing: u64,
    /// Bytes that count against the windows: of the whole frame, at its beginning.
    pub counted: u32,
    /// Where the frame begins, and the packet.
    pub start: (Offset, Mark),
    /// Whether its side is done with the stream.
    pub end_stream: bool,
}

/// Place of a reader.
#[derive(Clone, Debug)]
enum State {
    /// In the client's preface; so many bytes were read.
    Preface(usize),
    /// In a frame's header; so many bytes were read.
    Header([u8; HEADER], usize, (Offset, Mark)),
    /// In a frame's payload.
    Payload(Payload),
    /// Nobody knows where the next frame begins.
    Lost,
}

impl State {
    /// Before a frame.
    fn between() -> Self {
        Self::Header([0; HEADER], 0, (Offset::ORIGIN, Mark::default()))
    }
}

#[derive(Clone, Copy, Debug)]
struct Payload {
    frame: Frame,
    start: (Offset, Mark),
    /// Bytes that are still due.
    left: u32,
    /// Of DATA: bytes of padding at its end; `None` before its length was read.
    padding: Option<u32>,
    /// Of DATA: whether nothing of it was told yet.
    untold: bool,
    /// Whether bytes of it are missing or were passed over.
    cut: bool,
}

/// A header block that goes on in another frame.
#[derive(Clone, Copy, Debug)]
struct Assembling {
    stream: u32,
    promised: Option<u32>,
    end_stream: bool,
    start: (Offset, Mark),
    cut: bool,
}

/// Reads the frames of one side.
#[derive(Debug)]
pub struct Reader {
    side: Side,
    state: State,
    decoder: Decoder,
    /// The payload being read, or the header block.
    buffer: Vec<u8>,
    assembling: Option<Assembling>,
    /// The frame seen last of those that carried what was read.
    latest: Mark,
    /// Whether heads are to be spelt out.
    spell: bool,
    /// Whether the fields of heads are to be listed.
    list: bool,
    /// Whether it was lost, and found its place by itself.
    found: bool,
}

impl Reader {
    /// Of `side`'s stream. `whole`: it is read from its beginning on.
    #[must_use]
    pub fn new(side: Side, whole: bool, spell: bool) -> Self {
        let state = match (whole, side) {
            (true, Side::Client) => State::Preface(0),
            (true, Side::Server) => State::between(),
            (false, _) => State::Lost,
        };
        Self {
            side,
            state,
            decoder: Decoder::new(whole),
            buffer: Vec::new(),
            assembling: None,
            latest: Mark::default(),
            spell,
            list: false,
            found: false,
        }
    }

    /// Lists all fields of each head, too.
    #[must_use]
    pub fn listing(self) -> Self {
        Self { list: true, ..self }
    }

    /// The side is read from its beginning on, as turns out: its header table is empty.
    pub fn set_whole(&mut self) {
        self.decoder = Decoder::new(true);
    }

    /// What its receiver accepts as a table's size, from its sender's acknowledgment on; `None` if
    /// that is not known.
    pub fn limit(&mut self, bytes: Option<u32>) {
        self.decoder.limit(bytes);
    }

    /// Whether it does not know where the next frame begins.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// Bytes still due of the frame it stands in.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match &self.state {
            State::Payload(payload) => Some(u64::from(payload.left)),
            _ => None,
        }
    }

    /// The frame that carried the latest byte read.
    #[must_use]
    pub const fn latest(&self) -> Mark {
        self.latest
    }

    /// Bytes that what it keeps takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.buffer.capacity() + self.decoder.weight()
    }

    /// Whether a segment with these bytes begins with frames: reading goes on there.
    pub fn find(&mut self, bytes: &[u8]) -> bool {
        let side = Some(self.side);
        let begins = match self.state {
            State::Lost if self.side == Side::Client && bytes.starts_with(PREFACE) => {
                self.state = State::Preface(0);
                self.decoder = Decoder::new(true);
                return true;
            }
            State::Lost => frame::find(bytes, side).is_some_and(|found| {
                found.sure || found.exact || found.frames > 1 || found.block.is_some()
            }),
            _ => true,
        };
        if begins && self.is_lost() {
            self.state = State::between();
            self.found = true;
        }
        begins
    }

    /// Takes the next bytes, which begin at `from` and which the frame `mark` carried. Returns what
    /// they are, and how many of them that is.
    pub fn read<'a>(&mut self, bytes: &'a [u8], from: Offset, mark: Mark) -> (Event<'a>, usize) {
        if mark.order > self.latest.order {
            self.latest = mark;
        }
        match &mut self.state {
            State::Lost => (Event::Nothing, bytes.len()),
            State::Preface(read) => {
                let taken = bytes.len().min(PREFACE.len() - *read);
                if bytes[..taken] != PREFACE[*read..*read + taken] {
                    self.lose();
                    return (Event::Broken, taken);
                }
                *read += taken;
                if *read < PREFACE.len() {
                    return (Event::Nothing, taken);
                }
                self.state = State::between();
                (Event::Preface, taken)
            }
            State::Header(header, filled, start) => {
                if *filled == 0 {
                    *start = (from, mark);
                }
                let taken = bytes.len().min(HEADER - *filled);
                header[*filled..*filled + taken].copy_from_slice(&bytes[..taken]);
                *filled += taken;
                if *filled < HEADER {
                    return (Event::Nothing, taken);
                }
                let (parts, start) = (Frame::parse(*header), *start);
                (self.begin(parts, start), taken)
            }
            State::Payload(payload) if payload.frame.kind == Kind::Data => {
                let payload = *payload;
                self.data(payload, bytes)
            }
            State::Payload(_) => self.payload(bytes),
        }
    }

    /// Passes over bytes that are missing. Returns what that ends, and how many were passed over:
    /// to be called until all are.
    pub fn miss(&mut self, missing: u64) -> (Event<'static>, u64) {
        let State::Payload(payload) = &mut self.state else {
            self.lose();
            return (Event::Nothing, missing);
        };
        let taken = missing.min(u64::from(payload.left));
        payload.left -= taken as u32;
        payload.cut = true;
        let payload = *payload;
        if payload.frame.kind == Kind::Data {
            return (Event::Data(self.missing_data(payload, taken)), taken);
        }
        if payload.left > 0 {
            return (Event::Nothing, taken);
        }
        // The rest of a header block in a frame that is cut cannot be read: what came first can.
        (self.finish(payload), taken)
    }

    /// Gives up its place. Returns the header block that was being read, as far as it came.
    pub fn lose(&mut self) -> Option<Box<Headers>> {
        let state = std::mem::replace(&mut self.state, State::Lost);
        let open = match state {
            State::Payload(payload) if self.assembling.is_none() => self.open_block(payload),
            _ => self.assembling.take(),
        };
        let headers = open.map(|open| self.decode(Assembling { cut: true, ..open }));
        self.decoder.lose();
        self.buffer.clear();
        headers
    }

    /// A frame's header is whole.
    fn begin(&mut self, parts: FrameParts, start: (Offset, Mark)) -> Event<'static> {
        let frame = parts.frame();
        let continues = self
            .assembling
            .is_some_and(|open| open.stream == frame.stream);
        let in_order = match frame.kind {
            Kind::Continuation => continues,
            _ => self.assembling.is_none(),
        };
        let misled = self.found && !parts.is_plausible(Some(self.side));
        if !frame.is_valid() || !in_order || misled {
            self.lose();
            return Event::Broken;
        }
        let payload = Payload {
            frame,
            start,
            left: frame.length,
            padding: (!frame.has(PADDED)).then_some(0),
            untold: true,
            cut: false,
        };
        if frame.length > 0 {
            self.state = State::Payload(payload);
            return Event::Nothing;
        }
        match frame.kind {
            Kind::Data => {
                self.next_header();
                Event::Data(Data {
                    stream: frame.stream,
                    bytes: &[],
                    missing: 0,
                    counted: 0,
                    start,
                    end_stream: frame.has(END_STREAM),
                })
            }
            _ => self.finish(payload),
        }
    }

    fn next_header(&mut self) {
        self.state = State::between();
    }

    /// Bytes of a DATA frame.
    fn data<'a>(&mut self, mut payload: Payload, bytes: &'a [u8]) -> (Event<'a>, usize) {
        let mut used = 0;
        if payload.padding.is_none() {
            let length = u32::from(bytes[0]);
            payload.left -= 1;
            used = 1;
            if length > payload.left {
                self.lose();
                return (Event::Broken, used);
            }
            payload.padding = Some(length);
        }
        let padding = payload.padding.unwrap_or_default();
        let wanted = payload.left.saturating_sub(padding) as usize;
        let taken = (bytes.len() - used).min(payload.left as usize);
        let told = &bytes[used..used + taken.min(wanted)];
        payload.left -= taken as u32;
        used += taken;
        let data = self.told(&mut payload, told, 0);
        (Event::Data(data), used)
    }

    fn missing_data(&mut self, mut payload: Payload, missing: u64) -> Data<'static> {
        // How much of it is padding may not be known: it is none, nearly always.
        payload.padding.get_or_insert(0);
        self.told(&mut payload, &[], missing)
    }

    fn told<'a>(&mut self, payload: &mut Payload, bytes: &'a [u8], missing: u64) -> Data<'a> {
        let first = std::mem::take(&mut payload.untold);
        let data = Data {
            stream: payload.frame.stream,
            bytes,
            missing,
            counted: if first { payload.frame.length } else { 0 },
            start: payload.start,
            end_stream: payload.left == 0 && payload.frame.has(END_STREAM),
        };
        if payload.left == 0 {
            self.next_header();
        } else {
            self.state = State::Payload(*payload);
        }
        data
    }

    /// Bytes of any other frame.
    fn payload(&mut self, bytes: &[u8]) -> (Event<'static>, usize) {
        let State::Payload(payload) = &mut self.state else {
            return (Event::Broken, 0);
        };
        let taken = bytes.len().min(payload.left as usize);
        payload.left -= taken as u32;
        let most = match payload.frame.kind {
            Kind::Headers | Kind::PushPromise | Kind::Continuation => MAX_BLOCK,
            Kind::Other(_) => 0,
            _ => MAX_PAYLOAD,
        };
        // Behind a cut nothing joins what came before.
        let room = most.saturating_sub(self.buffer.len());
        let cut = payload.cut || self.assembling.is_some_and(|open| open.cut);
        let kept = if cut { 0 } else { taken.min(room) };
        self.buffer.extend_from_slice(&bytes[..kept]);
        payload.cut |= kept < taken;
        let payload = *payload;
        if payload.left > 0 {
            return (Event::Nothing, taken);
        }
        (self.finish(payload), taken)
    }

    /// A frame that is no DATA is whole, or what is missing of it was passed over.
    fn finish(&mut self, payload: Payload) -> Event<'static> {
        self.next_header();
        let frame = payload.frame;
        match frame.kind {
            Kind::Headers | Kind::PushPromise | Kind::Continuation => {
                let Some(mut open) = self.open_block(payload) else {
                    self.lose();
                    return Event::Broken;
                };
                open.cut |= payload.cut;
                if frame.has(END_HEADERS) {
                    return Event::Headers(self.decode(open));
                }
                self.assembling = Some(open);
                return Event::Nothing;
            }
            _ => {}
        }
        let event = self.small(frame, payload.cut);
        self.buffer.clear();
        event
    }

    /// The header block that `payload` belongs to: one that is being put together, or one that it
    /// begins. What stands before the block in its frame goes.
    fn open_block(&mut self, payload: Payload) -> Option<Assembling> {
        let frame = payload.frame;
        if frame.kind == Kind::Continuation {
            return self.assembling.take();
        }
        let promises = match frame.kind {
            Kind::PushPromise => 4,
            Kind::Headers => 0,
            _ => return None,
        };
        let padded = usize::from(frame.has(PADDED));
        let padding = if padded == 1 {
            usize::from(*self.buffer.first().unwrap_or(&0))
        } else {
            0
        };
        let priority = 5 * usize::from(frame.kind == Kind::Headers && frame.has(PRIORITY));
        let before = padded + promises + priority;
        if before + padding > frame.length as usize {
            return None;
        }
        let promised = self.buffer.get(padded..padded + 4).filter(|_| promises > 0);
        let promised = promised.and_then(|word| word.first_chunk());
        let promised = promised.map(|word| u32::from_be_bytes(*word) & 0x7fff_ffff);
        // Of a frame that is not whole the padding, which ends it, did not come.
        let cut = payload.cut || payload.left > 0;
        let padding = if cut { 0 } else { padding };
        let end = self.buffer.len().saturating_sub(padding);
        self.buffer.truncate(end);
        self.buffer.drain(..before.min(end));
        Some(Assembling {
            stream: frame.stream,
            promised,
            end_stream: frame.kind == Kind::Headers && frame.has(END_STREAM),
            start: payload.start,
            cut,
        })
    }

    fn decode(&mut self, open: Assembling) -> Box<Headers> {
        let mut head = Head::new(self.spell);
        head.list = self.list.then(List::default);
        let mut take = |field: Field<'_>| head.take(field);
        let decoded = self.decoder.decode(&self.buffer, &mut take);
        if open.cut || decoded.is_err() {
            head.is_cut = true;
            self.decoder.lose();
        }
        self.buffer.clear();
        Box::new(Headers {
            stream: open.stream,
            promised: open.promised,
            end_stream: open.end_stream,
            is_cut: open.cut,
            is_malformed: decoded.is_err() && !open.cut,
            start: open.start,
            head,
        })
    }

    /// A frame without header block or body.
    fn small(&self, frame: Frame, cut: bool) -> Event<'static> {
        let word = |at: usize| {
            let word = self.buffer.get(at..at + 4)?.first_chunk()?;
            Some(u32::from_be_bytes(*word))
        };
        let stream = frame.stream;
        let event = match frame.kind {
            // The code may be missing: that the stream ended is not.
            Kind::Reset => Some(Event::Reset {
                stream,
                code: ErrorCode(word(0).unwrap_or(u32::MAX)),
            }),
            Kind::Goaway => word(0).zip(word(4)).map(|(last, code)| Event::Goaway {
                last: last & 0x7fff_ffff,
                code: ErrorCode(code),
                debug: self.buffer[8..].to_vec(),
                debug_size: frame.length - 8,
            }),
            Kind::WindowUpdate => word(0).map(|increment| Event::Window {
                stream,
                increment: increment & 0x7fff_ffff,
            }),
            Kind::Settings if frame.has(ACK) => Some(Event::SettingsTaken),
            Kind::Settings if !cut => {
                Some(Event::Settings(frame::settings(&self.buffer).collect()))
            }
            Kind::Ping => self.buffer.first_chunk().map(|payload| Event::Ping {
                ack: frame.has(ACK),
                payload: *payload,
            }),
            Kind::Priority => {
                word(0)
                    .zip(self.buffer.get(4))
                    .map(|(parent, weight)| Event::Priority {
                        stream,
                        parent: parent & 0x7fff_ffff,
                        weight: u16::from(*weight) + 1,
                    })
            }
            _ => None,
        };
        event.unwrap_or(Event::Passed(frame))
    }
}
