//! Both sides of a connection that speaks HTTP/2, from their bytes to entries.

use super::bodies::Bodies;
use super::counted::Counted;
use super::entry::{Block, Entry, Told, Unread, What};
use super::watched::Watched;
use crate::exchange::{ErrorCode, Side};
use crate::packet::Mark;
use crate::protocol::http2::frame::Setting;
use crate::protocol::http2::head::Head;
use crate::protocol::http2::limits::Limits;
use crate::protocol::http2::reader::{Event, Headers, Reader};
use crate::tcp::Run;

/// A code that is missing: the reader's word for it.
const NO_CODE: ErrorCode = ErrorCode(u32::MAX);

/// One direction.
struct Way {
    reader: Reader,
    /// The limits of the header table that its sender announced for the other's.
    limits: Limits,
    /// Bytes that were not read, and why.
    unread: Option<(Counted, Unread)>,
    /// Why the place in it is lost.
    lost: Unread,
    /// Whether anything of it was seen.
    heard: bool,
}

/// The frames of one connection.
pub(super) struct Frames {
    keep: usize,
    client: Way,
    server: Way,
    bodies: Bodies,
}

impl Way {
    fn new(side: Side, whole: bool) -> Self {
        Self {
            reader: Reader::new(side, whole, false).listing(),
            limits: Limits::default(),
            unread: None,
            lost: Unread::Frameless,
            heard: false,
        }
    }

    fn tell_unread(&mut self, from: Side, entries: &mut Vec<Entry>) {
        if let Some((seen, why)) = self.unread.take() {
            entries.push(seen.unread(from, why));
        }
    }

    fn pass(&mut self, bytes: &[u8], mark: Mark, keep: usize) {
        if bytes.is_empty() {
            return;
        }
        let why = self.lost;
        let unread = self.unread.get_or_insert_with(|| (Counted::new(mark), why));
        unread.0.add(bytes, mark, keep);
    }
}

impl Frames {
    /// Of a connection, each side of which is read from its first frame on or not. `keep`: bytes of
    /// each piece of a body that are kept.
    pub(super) fn new(keep: usize, [client, server]: [bool; 2]) -> Self {
        Self {
            keep,
            client: Way::new(Side::Client, client),
            server: Way::new(Side::Server, server),
            bodies: Bodies::new(keep),
        }
    }

    const fn way(&mut self, side: Side) -> &mut Way {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Bytes still due of the frame that a side is sending.
    pub(super) fn expected(&self, side: Side) -> Option<u64> {
        match side {
            Side::Client => self.client.reader.remaining(),
            Side::Server => self.server.reader.remaining(),
        }
    }

    /// Takes the next bytes of a side.
    pub(super) fn bytes(
        &mut self,
        from: Side,
        run: Run<'_>,
        watched: &mut Watched,
        entries: &mut Vec<Entry>,
    ) {
        let keep = self.keep;
        let way = self.way(from);
        if way.reader.is_lost() {
            if !run.segment_start || !way.reader.find(run.bytes) {
                return way.pass(run.bytes, run.mark, keep);
            }
            way.tell_unread(from, entries);
        }
        let mut used = 0;
        while used < run.bytes.len() {
            let offset = run.from + used as u64;
            let reader = &mut self.way(from).reader;
            let (event, taken) = reader.read(&run.bytes[used..], offset, run.mark);
            let mark = reader.latest();
            watched.event(from, &event, run.mark);
            self.event(from, event, mark, entries);
            let way = self.way(from);
            way.heard = true;
            if way.reader.is_lost() {
                // What was taken is no frame either.
                return way.pass(&run.bytes[used..], run.mark, keep);
            }
            used += taken;
        }
    }

    /// So many bytes of a side are not in the capture.
    pub(super) fn missing(&mut self, from: Side, count: u64, mark: Mark, entries: &mut Vec<Entry>) {
        let mut left = count;
        while left > 0 {
            let reader = &mut self.way(from).reader;
            if reader.remaining().is_none() {
                self.lose(from, Unread::Frameless, entries);
                break;
            }
            let (event, taken) = reader.miss(left);
            left -= taken;
            self.event(from, event, mark, entries);
        }
        entries.push(Entry::new(from, mark, What::Missing(count)));
    }

    /// Nothing more comes: what was begun is told as it is.
    pub(super) fn end(&mut self, entries: &mut Vec<Entry>) {
        for side in [Side::Client, Side::Server] {
            self.lose(side, Unread::Frameless, entries);
            self.way(side).tell_unread(side, entries);
        }
    }

    /// Nobody knows where the next frame of a side begins.
    fn lose(&mut self, from: Side, why: Unread, entries: &mut Vec<Entry>) {
        let way = self.way(from);
        way.lost = why;
        if let Some(headers) = way.reader.lose() {
            self.headers(from, *headers, entries);
        }
        self.bodies.lose(from, entries);
        // Settings of its own, or its acknowledgments, may be among what is missing.
        self.way(from.other()).limits.lose();
        self.client.reader.limit(None);
        self.server.reader.limit(None);
    }

    fn event(&mut self, from: Side, event: Event<'_>, mark: Mark, entries: &mut Vec<Entry>) {
        let (stream, told) = match event {
            Event::Nothing => return,
            Event::Headers(headers) => return self.headers(from, *headers, entries),
            Event::Data(data) => {
                let ends = self.way(from).reader.remaining().is_none();
                return self.bodies.data(from, &data, (mark, ends), entries);
            }
            Event::Broken => return self.lose(from, Unread::NoFrame, entries),
            Event::Preface => {
                // Nothing can have been answered before: the server's table is still empty.
                if !self.server.heard {
                    self.server.reader.set_whole();
                }
                (0, Told::Preface)
            }
            Event::Reset { stream, code } => {
                self.bodies.reset(from, stream, entries);
                (stream, Told::Reset((code != NO_CODE).then_some(code)))
            }
            Event::Goaway {
                last,
                code,
                mut debug,
                debug_size: size,
            } => {
                debug.truncate(self.keep);
                (
                    0,
                    Told::Goaway {
                        last,
                        code,
                        size,
                        debug,
                    },
                )
            }
            Event::Settings(settings) => {
                let limit = settings.iter().rev().find_map(|setting| match setting {
                    Setting::HeaderTableSize(bytes) => Some(*bytes),
                    _ => None,
                });
                self.way(from).limits.sent(limit);
                (0, Told::Settings(settings))
            }
            Event::SettingsTaken => {
                // Its sender keeps to them from here on.
                if let Some(limit) = self.way(from.other()).limits.taken() {
                    self.way(from).reader.limit(Some(limit));
                }
                (0, Told::SettingsTaken)
            }
            Event::Ping { ack: answer, .. } => (0, Told::Ping { answer }),
            Event::Window { stream, increment } => (stream, Told::Window(increment)),
            Event::Priority {
                stream,
                parent,
                weight,
            } => (stream, Told::Priority { parent, weight }),
            Event::Passed(frame) => (frame.stream, Told::Passed(frame)),
        };
        entries.push(entry(from, mark, stream, told));
    }

    fn headers(&mut self, from: Side, headers: Headers, entries: &mut Vec<Entry>) {
        let Headers {
            stream,
            promised,
            end_stream: end,
            is_cut,
            is_malformed,
            start: (_, mark),
            mut head,
        } = headers;
        let block = if let Some(promised) = promised {
            Block::Promise(promised)
        } else {
            self.bodies.head(from, stream, &head, entries);
            kind(from, &head)
        };
        let list = head.list.take().unwrap_or_default();
        let mut tell = |told| entries.push(entry(from, mark, stream, told));
        tell(Told::Block { block, end });
        list.fields
            .into_iter()
            .for_each(|field| tell(Told::Field(field)));
        if list.left_out > 0 {
            tell(Told::MoreFields(list.left_out));
        }
        if is_cut {
            tell(Told::CutBlock);
        } else if is_malformed {
            tell(Told::MalformedBlock);
        }
        if end {
            self.bodies.reset(from, stream, entries);
        }
    }
}

fn entry(from: Side, mark: Mark, stream: u32, told: Told) -> Entry {
    Entry {
        from,
        mark,
        stream: Some(stream),
        what: What::Frame(told),
    }
}

/// What a head is; trailers have no pseudo-header fields.
fn kind(from: Side, head: &Head) -> Block {
    match from {
        _ if head.status.is_some_and(|status| status < 200) => Block::Interim,
        Side::Server if head.is_response => Block::Response,
        Side::Client if head.is_request => Block::Request,
        _ if head.is_cut => Block::Unknown,
        _ => Block::Trailers,
    }
}
