//! What one side says, from its bytes to entries.

use super::counted::Counted;
use super::entry::{Entry, Unread, What};
use super::tunnel::Frames;
use crate::exchange::Side;
use crate::packet::Mark;
use crate::protocol::detect::{self, Opening};
use crate::protocol::http1::body::{Framing, Stepped};
use crate::protocol::http1::head::{RequestHead, ResponseHead};
use crate::protocol::http1::reader::{Event, Head, Partial, Reader};
use crate::protocol::http2::frame::PREFACE;
use crate::tcp::{Offset, Run};
use std::collections::VecDeque;

/// Requests that may wait for their answers.
const MAX_METHODS: usize = 1_000;

/// Requests whose responses have not come.
#[derive(Default)]
pub(super) struct Asked {
    waiting: VecDeque<Ask>,
    /// How far the server has acknowledged what the client sent.
    pub(super) heard: Option<Offset>,
    /// Whether a message was read on either side.
    spoken: bool,
    /// Whether a 101 agreed on WebSocket.
    is_websocket: bool,
}

/// A request.
struct Ask {
    method: String,
    /// Where in the client's stream it begins.
    start: Offset,
    /// Whether it asks for HTTP/2.
    h2c: bool,
}

impl Asked {
    fn ask(&mut self, method: &str, start: Offset, h2c: bool) {
        if self.waiting.len() < MAX_METHODS {
            self.waiting.push_back(Ask {
                method: method.to_owned(),
                start,
                h2c,
            });
        }
    }

    /// The method of the request that a response now answers. One of which the server has not got a
    /// byte is not the one: then it answers what was asked before the capture began, or in a hole.
    fn answered(&mut self) -> Option<String> {
        let start = self.waiting.front()?.start;
        if Some(start) >= self.heard {
            return None;
        }
        self.waiting.pop_front().map(|ask| ask.method)
    }

    /// Whether the request that a 101 answers asks for HTTP/2.
    fn wants_frames(&self) -> bool {
        self.waiting.front().is_some_and(|ask| ask.h2c)
    }
}

/// What follows a head.
pub(super) struct Next {
    /// How the body is framed; `None` if what follows is not HTTP.
    framing: Option<Framing>,
    /// Whether the request is known that tells if there is a body at all.
    sure: bool,
    /// Whether what follows is HTTP/2.
    frames: bool,
    /// Whether what follows is WebSocket.
    websocket: bool,
}

/// HTTP/2 takes over both sides.
pub(super) struct Takeover<'a> {
    /// What came of its preface before.
    pub(super) begun: Vec<u8>,
    /// The frame of that, else of what follows.
    pub(super) first: Mark,
    /// What follows.
    pub(super) run: Run<'a>,
    /// Whether this side is read from its first frame on.
    pub(super) whole: bool,
}

/// The head of one side's messages.
pub(super) trait Said: Head {
    /// Who says it.
    const SIDE: Side;

    /// Whether `bytes` begin with one.
    fn begins(bytes: &[u8]) -> bool;

    /// Whether they do as far as they go.
    fn may_begin(bytes: &[u8]) -> bool;

    /// A whole head, which began at `start`.
    fn whole(&self, start: Offset, asked: &mut Asked) -> Next;

    /// A head of which only the beginning is there.
    fn cut(bytes: &[u8], start: Offset, asked: &mut Asked);
}

impl Said for RequestHead {
    const SIDE: Side = Side::Client;

    fn begins(bytes: &[u8]) -> bool {
        detect::begins_request_on(bytes, false)
    }

    fn may_begin(bytes: &[u8]) -> bool {
        let opening = detect::client_opening(bytes, false);
        matches!(opening, Opening::Request | Opening::PerhapsRequest)
    }

    fn whole(&self, start: Offset, asked: &mut Asked) -> Next {
        asked.ask(&self.method, start, self.h2c);
        Next {
            framing: (self.method != "CONNECT").then_some(self.framing),
            sure: true,
            frames: false,
            websocket: false,
        }
    }

    fn cut(bytes: &[u8], start: Offset, asked: &mut Asked) {
        let method = bytes.split(|&byte| byte == b' ').next();
        let method = String::from_utf8_lossy(method.unwrap_or_default());
        asked.ask(&method, start, false);
    }
}

impl Said for ResponseHead {
    const SIDE: Side = Side::Server;

    fn begins(bytes: &[u8]) -> bool {
        detect::begins_response(bytes) == Some(true)
    }

    fn may_begin(bytes: &[u8]) -> bool {
        detect::begins_response(bytes) != Some(false)
    }

    fn whole(&self, _: Offset, asked: &mut Asked) -> Next {
        if (100..200).contains(&self.status) {
            return Next {
                framing: (self.status != 101).then_some(Framing::None),
                sure: true,
                frames: self.status == 101 && asked.wants_frames(),
                websocket: self.status == 101 && self.websocket,
            };
        }
        let method = asked.answered();
        Next {
            framing: match method.as_deref() {
                Some("HEAD") => Some(Framing::None),
                Some("CONNECT") if (200..300).contains(&self.status) => None,
                _ => Some(self.framing),
            },
            sure: method.is_some(),
            frames: false,
            websocket: false,
        }
    }

    fn cut(bytes: &[u8], _: Offset, asked: &mut Asked) {
        if detect::partial_status(bytes).is_none_or(|status| status >= 200) {
            asked.answered();
        }
    }
}

/// One side of a conversation.
pub(super) struct Voice<H> {
    /// Bytes of each body that are kept.
    keep: usize,
    reader: Reader<H>,
    part: Part,
    /// Whether the connection is seen from its beginning.
    whole: bool,
    /// Whether the head read last agrees on HTTP/2.
    hands_over: bool,
}

/// What comes next in the stream.
enum Part {
    /// A head, or the boundary before one. `sure`: whether a message begins here; not so behind a
    /// hole, or where the capture begins.
    Head { sure: bool },
    /// A body. `sure`: whether it is known that there is one at all.
    Body { seen: Counted, sure: bool },
    /// Frames of WebSocket.
    Tunnel(Box<Frames>),
    /// No HTTP/1, or not any more.
    Other { seen: Option<Counted>, why: Unread },
}

impl<H: Said> Voice<H> {
    /// A side of which nothing was heard; `whole` if the connection is seen from its beginning.
    pub(super) fn new(keep: usize, whole: bool) -> Self {
        Self {
            keep,
            reader: Reader::default(),
            part: Part::Head { sure: whole },
            whole,
            hands_over: false,
        }
    }

    /// Takes the next bytes of the stream, up to where HTTP/2 takes over.
    pub(super) fn bytes<'a>(
        &mut self,
        run: Run<'a>,
        asked: &mut Asked,
        entries: &mut Vec<Entry>,
    ) -> Option<Takeover<'a>> {
        let waits = matches!(self.part, Part::Head { .. }) && self.reader.is_between();
        if asked.is_websocket && waits {
            self.reader.leave();
            self.part = Part::Tunnel(Box::default());
        }
        if run.segment_start {
            if self.begins_frames(&run, asked) {
                return Some(self.found_frames(run));
            }
            self.resynchronise(&run, asked, entries);
        }
        let mark = run.mark;
        let end = run.from + run.bytes.len() as u64;
        let mut data = run.bytes;
        while !data.is_empty() {
            if let Some((begun, first)) = self.preface_begun(data, mark) {
                return Some(self.hand_over(begun, first, rest_of(run, data), true));
            }
            let taken = match &mut self.part {
                Part::Tunnel(frames) => {
                    let read = frames.bytes(H::SIDE, data, (mark, self.keep), entries);
                    if read == data.len() {
                        return None;
                    }
                    self.leave(Unread::Switched);
                    read
                }
                Part::Other { seen, .. } => {
                    let seen = seen.get_or_insert_with(|| Counted::new(mark));
                    seen.add(data, mark, self.keep);
                    return None;
                }
                Part::Body { seen, .. } => {
                    let (event, taken) = self.reader.read(data, mark);
                    seen.add(&data[..taken], mark, self.keep);
                    match event {
                        Event::End => self.next_message(true, true, entries),
                        Event::Broken => {
                            // The rest is no body of that kind.
                            self.next_message(false, false, entries);
                            self.leave(Unread::NoHttp);
                        }
                        _ => {}
                    }
                    taken
                }
                Part::Head { sure: false } => {
                    self.leave(Unread::Headless);
                    0
                }
                // Lines may stand between messages.
                Part::Head { .. }
                    if self.reader.is_between() && matches!(data[0], b'\r' | b'\n') =>
                {
                    1
                }
                Part::Head { .. } => {
                    if self.reader.is_between() {
                        self.reader.begin(end - data.len() as u64, mark);
                    }
                    self.head(data, mark, asked, entries)
                }
            };
            data = &data[taken..];
            if self.hands_over {
                return Some(self.hand_over(Vec::new(), mark, rest_of(run, data), true));
            }
        }
        None
    }

    /// Whether bytes came that were not read.
    pub(super) const fn is_unread(&self) -> bool {
        matches!(&self.part, Part::Other { seen: Some(_), .. })
    }

    /// Whether a segment has frames of HTTP/2, where no message was read.
    fn begins_frames(&self, run: &Run<'_>, asked: &Asked) -> bool {
        let open = match &self.part {
            Part::Head { .. } => self.reader.is_between(),
            Part::Body { .. } | Part::Tunnel(_) => false,
            Part::Other { why, .. } => *why != Unread::Switched,
        };
        let is_preface = H::SIDE == Side::Client && run.bytes.starts_with(PREFACE);
        let begins = || is_preface || detect::begins_frames(run.bytes, Some(H::SIDE));
        open && !asked.spoken && begins()
    }

    /// Frames were found. A server may send some before it has heard the client.
    fn found_frames<'a>(&mut self, run: Run<'a>) -> Takeover<'a> {
        let first = self.whole && run.from == Offset::ORIGIN;
        let is_preface = run.bytes.starts_with(PREFACE);
        let whole = first && (H::SIDE == Side::Server || is_preface);
        self.hand_over(Vec::new(), run.mark, run, whole)
    }

    /// What came of HTTP/2's preface before `rest`, and its frame, if that makes it one: its first
    /// letters could be a method's.
    fn preface_begun(&self, rest: &[u8], mark: Mark) -> Option<(Vec<u8>, Mark)> {
        if H::SIDE == Side::Server || !matches!(self.part, Part::Head { sure: true }) {
            return None;
        }
        let (begun, first) = match self.reader.partial() {
            Some(Partial { bytes, marks }) => {
                let first = marks.first().map_or(mark, |(_, mark)| *mark);
                (bytes.as_slice(), first)
            }
            None => (&[][..], mark),
        };
        if !PREFACE.starts_with(begun) {
            return None;
        }
        let upto = rest.len().min(PREFACE.len() - begun.len());
        let joined = [begun, &rest[..upto]].concat();
        let is_preface = detect::client_opening(&joined, false) == Opening::Http2;
        is_preface.then(|| (begun.to_vec(), first))
    }

    /// Nothing is told here any more of what comes.
    fn hand_over<'a>(
        &mut self,
        begun: Vec<u8>,
        first: Mark,
        run: Run<'a>,
        whole: bool,
    ) -> Takeover<'a> {
        if matches!(self.part, Part::Head { .. }) {
            self.leave(Unread::Switched);
        }
        Takeover {
            begun,
            first,
            run,
            whole,
        }
    }

    /// So many bytes are not in the capture.
    pub(super) fn missing(
        &mut self,
        count: u64,
        mark: Mark,
        asked: &mut Asked,
        entries: &mut Vec<Entry>,
    ) {
        match &mut self.part {
            Part::Body { seen, .. } => match self.reader.step(count) {
                Stepped::Over => seen.step(count, mark),
                // Behind it a message begins, if just the body was missing.
                Stepped::Done(of) => self.next_message(false, of == count, entries),
                Stepped::Lost => self.next_message(false, false, entries),
            },
            Part::Head { .. } => self.end(asked, entries),
            Part::Tunnel(frames) => {
                if !frames.missing(H::SIDE, count, mark, entries) {
                    self.leave(Unread::Switched);
                }
            }
            Part::Other { .. } => {}
        }
        entries.push(Entry::new(H::SIDE, mark, What::Missing(count)));
    }

    /// Nothing more comes: what was begun is told as it is.
    pub(super) fn end(&mut self, asked: &mut Asked, entries: &mut Vec<Entry>) {
        let until_close = self.reader.is_until_close();
        let start = self.reader.head_start();
        let head = self.reader.leave();
        match std::mem::replace(&mut self.part, Part::Head { sure: false }) {
            Part::Head { .. } => {
                if let (Some(head), Some((start, _))) = (head, start) {
                    self.cut_head(&head, start, asked, entries);
                }
            }
            Part::Body { seen, .. } => Self::body(seen, until_close, entries),
            Part::Tunnel(mut frames) => frames.end(H::SIDE, entries),
            Part::Other { seen, why } => Self::other(seen, why, entries),
        }
    }

    /// Takes the next bytes of a head. Returns how many that is.
    fn head(
        &mut self,
        data: &[u8],
        mark: Mark,
        asked: &mut Asked,
        entries: &mut Vec<Entry>,
    ) -> usize {
        let before = self.reader.partial().map_or(0, |head| head.bytes.len());
        let (event, taken) = self.reader.read(data, mark);
        let here = Partial {
            bytes: Vec::new(),
            marks: vec![(0, mark)],
        };
        let partial = self.reader.partial().filter(|_| before > 0);
        let Partial { bytes, marks } = partial.unwrap_or(&here);
        match event {
            Event::Head(head) => {
                let bytes = match before {
                    0 => &data[..taken],
                    _ => &bytes[..before + taken],
                };
                let last = marks.last().map_or(mark, |(_, mark)| *mark);
                Self::lines(bytes, marks, false, entries);
                let start = self.reader.head_start();
                let start = start.map_or(Offset::ORIGIN, |(start, _)| start);
                let next = head.whole(start, asked);
                let Next { framing, sure, .. } = next;
                asked.spoken = true;
                self.hands_over = next.frames;
                asked.is_websocket |= next.websocket && !next.frames;
                let Some(framing) = framing else {
                    self.leave(Unread::Switched);
                    if asked.is_websocket {
                        self.part = Part::Tunnel(Box::default());
                    }
                    return taken;
                };
                self.part = if self.reader.body(framing) {
                    Part::Head { sure: true }
                } else {
                    let seen = Counted::new(last);
                    Part::Body { seen, sure }
                };
                taken
            }
            Event::HeadGoesOn if self.reader.partial().is_some_and(may_be_head::<H>) => taken,
            _ => {
                // What came is no head: it is counted from here on.
                let first = marks.first().map_or(mark, |(_, mark)| *mark);
                let mut seen = Counted::new(first);
                seen.add(&bytes[..before.min(bytes.len())], first, self.keep);
                seen.add(data, first, self.keep);
                self.reader.leave();
                self.part = Part::Other {
                    seen: Some(seen),
                    why: Unread::NoHttp,
                };
                data.len()
            }
        }
    }

    /// A head that does not come to its end. Only what begins as one is shown.
    fn cut_head(&self, head: &Partial, start: Offset, asked: &mut Asked, entries: &mut Vec<Entry>) {
        let Partial { bytes, marks } = head;
        let Some((_, first)) = marks.first() else {
            return;
        };
        if H::begins(bytes) {
            H::cut(bytes, start, asked);
            asked.spoken = true;
            Self::lines(bytes, marks, true, entries);
        } else {
            let mut seen = Counted::new(*first);
            seen.add(bytes, *first, self.keep);
            Self::other(Some(seen), Unread::NoHttp, entries);
        }
    }

    /// Where a message is not read, the next one begins with a segment that looks like it.
    fn resynchronise(&mut self, run: &Run<'_>, asked: &mut Asked, entries: &mut Vec<Entry>) {
        let lost = match &self.part {
            Part::Head { sure } => {
                let head = self.reader.partial();
                !sure
                    || head.is_some_and(|head| !head.bytes.is_empty() && !H::may_begin(&head.bytes))
            }
            Part::Body { sure, .. } => !sure,
            Part::Tunnel(_) => false,
            Part::Other { why, .. } => *why != Unread::Switched,
        };
        if !lost || !H::begins(run.bytes) {
            return;
        }
        self.end(asked, entries);
        self.part = Part::Head { sure: true };
        // Which of several is answered cannot be told, and what was asked before a hole is answered
        // before.
        let lost_some = run.from != Offset::ORIGIN;
        if lost_some && (H::SIDE == Side::Client || asked.waiting.len() > 1) {
            asked.waiting.clear();
        }
    }

    /// Nothing is read as messages from here on.
    fn leave(&mut self, why: Unread) {
        self.reader.leave();
        self.part = Part::Other { seen: None, why };
    }

    /// A body is over; whether a message is sure to begin behind it.
    fn next_message(&mut self, whole: bool, sure: bool, entries: &mut Vec<Entry>) {
        self.reader.leave();
        if let Part::Body { seen, .. } = std::mem::replace(&mut self.part, Part::Head { sure }) {
            Self::body(seen, whole, entries);
        }
    }

    fn body(seen: Counted, whole: bool, entries: &mut Vec<Entry>) {
        if seen.size > 0 {
            let what = What::Body {
                size: seen.size,
                first: seen.first,
                begin: seen.begin,
                whole,
            };
            entries.push(Entry::new(H::SIDE, seen.last, what));
        }
    }

    fn other(seen: Option<Counted>, why: Unread, entries: &mut Vec<Entry>) {
        if let Some(seen) = seen {
            entries.push(seen.unread(H::SIDE, why));
        }
    }

    /// Tells a head line by line.
    fn lines(bytes: &[u8], marks: &[(usize, Mark)], cut: bool, entries: &mut Vec<Entry>) {
        let mut at = 0;
        // The field whose value goes on in the next line, if that begins with a blank (RFC 9112,
        // 5.2).
        let mut field = Vec::new();
        while at < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[at..]);
            let next = end.map_or(bytes.len(), |end| at + end + 1);
            let line = &bytes[at..end.map_or(next, |_| next - 1)];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let segment = marks.partition_point(|(begin, _)| *begin <= at);
            let mark = marks.get(segment.saturating_sub(1));
            let folded = at > 0 && matches!(line.first(), Some(b' ' | b'\t'));
            if at > 0 && !folded {
                let name = line.split(|&byte| byte == b':').next();
                field = name.unwrap_or_default().to_vec();
            }
            let what = What::Line {
                line: line.to_vec(),
                first: at == 0,
                folds: folded.then(|| field.clone()),
                cut: cut && next == bytes.len(),
            };
            let mark = mark.map_or_else(Mark::default, |(_, mark)| *mark);
            entries.push(Entry::new(H::SIDE, mark, what));
            at = next;
        }
    }
}

/// What of `run` is left with `data`, the end of its bytes.
fn rest_of<'a>(run: Run<'a>, data: &'a [u8]) -> Run<'a> {
    let used = run.bytes.len() - data.len();
    Run {
        from: run.from + used as u64,
        bytes: data,
        segment_start: run.segment_start && used == 0,
        ..run
    }
}

/// Whether a head may begin so: a request line, or a token at least as long as its end is not
/// there, or a status line.
fn may_be_head<H: Said>(head: &Partial) -> bool {
    let bytes = &head.bytes;
    if H::SIDE == Side::Server {
        return H::may_begin(bytes);
    }
    if memchr::memchr(b'\n', bytes).is_some() {
        return detect::begins_request(bytes);
    }
    let mut line = bytes.iter().take(512);
    line.all(|&byte| byte >= b' ' && byte != 0x7f || matches!(byte, b'\r' | b'\t'))
}
