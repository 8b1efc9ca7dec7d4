//! What one side sent, from segments to messages.

use super::{Entry, Unread, What};
use crate::exchange::Side;
use crate::packet::{Flags, Mark, Segment, Seq};
use crate::protocol::detect::{self, Opening};
use crate::protocol::http1::body::{Body, Fed, Framing, Stepped};
use crate::protocol::http1::head::{self, MAX_HEAD, Parsed, end_of_head};
use crate::tcp::{Arrival, Held, Offset, Run, Sightings, Stream};
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Requests that may wait for their answers.
const MOST_METHODS: usize = 1_000;

/// Requests whose responses have not come.
#[derive(Default)]
pub(super) struct Pending {
    asked: VecDeque<Asked>,
    /// How far the server has acknowledged what the client sent.
    pub(super) heard: Option<Offset>,
}

struct Asked {
    method: String,
    /// Where in the client's stream the request begins.
    start: Offset,
}

impl Pending {
    fn ask(&mut self, method: &str, start: Offset) {
        if self.asked.len() < MOST_METHODS {
            let method = method.to_owned();
            self.asked.push_back(Asked { method, start });
        }
    }

    /// The method of the request that a response now answers. One of which the server has not got a byte is not the one:
    /// then it answers what was asked before the capture began, or in a hole.
    fn answered(&mut self) -> Option<String> {
        let heard = self.heard;
        let front = self.asked.front().filter(|asked| Some(asked.start) < heard);
        front?;
        self.asked.pop_front().map(|asked| asked.method)
    }
}

pub(super) struct Direction {
    from: Side,
    /// Bytes of each body that are kept.
    keep: usize,
    stream: Stream,
    sightings: Sightings,
    /// A zero-window probe's byte: data only if it is acknowledged.
    probe: Option<(Offset, u8, Mark)>,
    part: Part,
}

/// What comes next in the stream.
enum Part {
    Head {
        bytes: Vec<u8>,
        /// Where in them the bytes of each segment begin.
        marks: Vec<(usize, Mark)>,
        searched: usize,
        /// Where in the stream they begin.
        start: Offset,
        /// Whether a message begins here; not so behind a hole, or where the capture begins.
        sure: bool,
    },
    Body {
        body: Body,
        seen: Seen,
        /// Whether the request is known that tells if there is a body at all.
        sure: bool,
    },
    /// No HTTP/1, or not any more.
    Other { seen: Option<Seen>, why: Unread },
}

/// Bytes that are counted.
struct Seen {
    size: u64,
    begin: Vec<u8>,
    first: Mark,
    last: Mark,
}

impl Seen {
    fn new(mark: Mark) -> Self {
        Self {
            size: 0,
            begin: Vec::new(),
            first: mark,
            last: mark,
        }
    }

    fn add(&mut self, bytes: &[u8], mark: Mark, keep: usize) {
        let room = keep.saturating_sub(self.begin.len());
        self.begin.extend(&bytes[..bytes.len().min(room)]);
        self.step(bytes.len() as u64, mark);
    }

    fn step(&mut self, count: u64, mark: Mark) {
        if self.size == 0 {
            self.first = mark;
        }
        if count > 0 {
            self.size += count;
            self.last = mark;
        }
    }
}

impl Part {
    const fn new(sure: bool) -> Self {
        Self::Head {
            bytes: Vec::new(),
            marks: Vec::new(),
            searched: 0,
            start: Offset::ORIGIN,
            sure,
        }
    }
}

impl Direction {
    pub(super) fn new(from: Side, keep: usize) -> Self {
        Self {
            from,
            keep,
            stream: Stream::default(),
            sightings: Sightings::default(),
            probe: None,
            part: Part::new(false),
        }
    }

    /// Whether the packet was seen before, on another interface or in the other direction.
    pub(super) fn is_second_sighting(&mut self, segment: &Segment<'_>, time: Timestamp) -> bool {
        self.sightings.is_repeat(segment, time)
    }

    /// How far the other side has acknowledged; 0 if not at all.
    pub(super) const fn acked(&self) -> Option<Offset> {
        self.stream.acked()
    }

    /// Says that the next byte has this number, and whether a message begins there. Only the first call counts.
    pub(super) fn start(&mut self, seq: Seq, sure: bool) {
        if !self.stream.is_started() {
            self.stream.start(seq);
            self.part = Part::new(sure);
        }
    }

    /// Whether its first byte has this number, or none was seen yet.
    pub(super) fn starts_at(&self, seq: Seq) -> bool {
        self.stream.origin().is_none_or(|origin| origin == seq)
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.stream.held_bytes()
    }

    /// `window`: what the other side announced last.
    pub(super) fn segment(
        &mut self,
        segment: &Segment<'_>,
        (mark, window): (Mark, Option<u16>),
        pending: &mut Pending,
        entries: &mut Vec<Entry>,
    ) {
        let syn = segment.flags.has(Flags::SYN);
        let fin = segment.flags.has(Flags::FIN);
        let wire = u64::from(segment.wire_payload);
        if wire == 0 && !syn && !fin {
            return;
        }
        let first = segment.seq.plus(u32::from(syn));
        // The same tests as the analyzer's.
        let one = wire == 1
            && !segment
                .flags
                .any(Flags::SYN.with(Flags::FIN).with(Flags::RST));
        if one && !self.stream.is_started() {
            self.start(first.plus(1), false);
            self.push(What::KeepAlive, mark, entries);
            return;
        }
        self.start(first, syn);
        let Some(start) = self.stream.offset(first) else {
            return;
        };
        if one && self.stream.fin() == Some(start) {
            self.push(What::KeepAlive, mark, entries);
            return;
        }
        if one && start == self.stream.high() && window == Some(0) {
            self.probe = segment.payload.first().map(|byte| (start, *byte, mark));
            self.push(What::Probe, mark, entries);
            return;
        }
        if fin {
            self.stream.finish(start + wire);
        }
        if wire == 0 {
            return;
        }
        match self.stream.receive(start, segment.payload, wire, mark) {
            Arrival::Next(known) => {
                let bytes = segment.payload.get(known as usize..).unwrap_or_default();
                let run = Run {
                    from: start + known,
                    bytes,
                    mark,
                    segment_start: known == 0,
                };
                self.bytes(run, pending, entries);
                let cut = wire - (segment.payload.len() as u64).max(known);
                self.missing(cut, mark, pending, entries);
            }
            Arrival::Known if one && start + 1 == self.stream.high() => {
                self.push(What::KeepAlive, mark, entries);
            }
            Arrival::Known => self.push(What::Again(wire), mark, entries),
            Arrival::Held | Arrival::Implausible => {}
        }
        self.pop(pending, entries);
    }

    /// The other side acknowledged everything before `ack`.
    pub(super) fn acknowledged(
        &mut self,
        ack: Seq,
        mark: Mark,
        pending: &mut Pending,
        entries: &mut Vec<Entry>,
    ) {
        if let Some(offset) = self.stream.offset(ack) {
            self.stream.acknowledge(offset);
            if let Some((at, byte, mark)) = self.probe.take_if(|(at, ..)| *at < offset)
                && at == self.stream.next()
            {
                self.stream.receive(at, &[byte], 1, mark);
                let run = Run {
                    from: at,
                    bytes: &[byte],
                    mark,
                    segment_start: false,
                };
                self.bytes(run, pending, entries);
            }
        }
        while let Some(extent) = self.stream.take_missing(None) {
            self.missing(extent.len(), mark, pending, entries);
            self.pop(pending, entries);
        }
    }

    /// Goes on behind the first hole.
    pub(super) fn give_up(&mut self, mark: Mark, pending: &mut Pending, entries: &mut Vec<Entry>) {
        if let Some(extent) = self.stream.give_up_hole() {
            self.missing(extent.len(), mark, pending, entries);
            self.pop(pending, entries);
        }
    }

    /// Nothing more comes: what was begun is told as it is.
    pub(super) fn end(&mut self, pending: &mut Pending, entries: &mut Vec<Entry>) {
        match std::mem::replace(&mut self.part, Part::new(false)) {
            Part::Head {
                bytes,
                marks,
                start,
                ..
            } => self.cut_head(&bytes, &marks, start, pending, entries),
            Part::Body { body, seen, .. } => self.body(seen, body.is_until_close(), entries),
            Part::Other { seen, why } => self.other(seen, why, entries),
        }
    }

    /// A head that does not come to its end. Only what begins as one is shown.
    fn cut_head(
        &self,
        bytes: &[u8],
        marks: &[(usize, Mark)],
        start: Offset,
        pending: &mut Pending,
        entries: &mut Vec<Entry>,
    ) {
        let Some((_, first)) = marks.first() else {
            return;
        };
        if !self.begins_message(bytes) {
            let mut seen = Seen::new(*first);
            seen.add(bytes, *first, self.keep);
            self.other(Some(seen), Unread::NoHttp, entries);
            return;
        }
        match self.from {
            Side::Client => {
                let method = bytes.split(|&byte| byte == b' ').next();
                pending.ask(&String::from_utf8_lossy(method.unwrap_or_default()), start);
            }
            Side::Server if detect::partial_status(bytes).is_none_or(|status| status >= 200) => {
                pending.answered();
            }
            Side::Server => {}
        }
        self.lines(bytes, marks, true, entries);
    }

    /// Whether `bytes` begin with a request or a status line, whoever should say it.
    fn begins_message(&self, bytes: &[u8]) -> bool {
        match self.from {
            Side::Client => detect::begins_request_on(bytes, false),
            Side::Server => detect::begins_response(bytes) == Some(true),
        }
    }

    /// The same, as far as they go.
    fn may_begin_message(&self, bytes: &[u8]) -> bool {
        match self.from {
            Side::Client => matches!(
                detect::client_opening(bytes, false),
                Opening::Request | Opening::PerhapsRequest
            ),
            Side::Server => detect::begins_response(bytes) != Some(false),
        }
    }

    /// Where a message is not read, the next one begins with a segment that looks like it.
    fn resynchronise(
        &mut self,
        bytes: &[u8],
        from: Offset,
        pending: &mut Pending,
        entries: &mut Vec<Entry>,
    ) {
        let lost = match &self.part {
            Part::Head { bytes, sure, .. } => {
                !sure || !bytes.is_empty() && !self.may_begin_message(bytes)
            }
            Part::Body { sure, .. } => !sure,
            Part::Other { why, .. } => *why != Unread::Switched,
        };
        if !lost || !self.begins_message(bytes) {
            return;
        }
        self.end(pending, entries);
        self.part = Part::new(true);
        // Which of several is answered cannot be told, and what was asked before a hole is answered before.
        let origin = self.stream.origin().and_then(|seq| self.stream.offset(seq));
        let lost_some = origin != Some(from);
        if lost_some && (self.from == Side::Client || pending.asked.len() > 1) {
            pending.asked.clear();
        }
    }

    fn pop(&mut self, pending: &mut Pending, entries: &mut Vec<Entry>) {
        while let Some(held) = self.stream.pop() {
            let Held {
                start,
                bytes,
                cut,
                mark,
                segment_start,
            } = held;
            let run = Run {
                from: start,
                bytes: &bytes,
                mark,
                segment_start,
            };
            self.bytes(run, pending, entries);
            self.missing(cut, mark, pending, entries);
        }
    }

    fn push(&self, what: What, mark: Mark, entries: &mut Vec<Entry>) {
        entries.push(Entry {
            from: self.from,
            mark,
            what,
        });
    }

    /// Takes the next bytes of the stream.
    fn bytes(&mut self, run: Run<'_>, pending: &mut Pending, entries: &mut Vec<Entry>) {
        let Run {
            from,
            bytes: mut data,
            mark,
            segment_start,
        } = run;
        if segment_start {
            self.resynchronise(data, from, pending, entries);
        }
        let end = from + data.len() as u64;
        while !data.is_empty() {
            let side = self.from;
            let taken = match &mut self.part {
                Part::Other { seen, .. } => {
                    let seen = seen.get_or_insert_with(|| Seen::new(mark));
                    seen.add(data, mark, self.keep);
                    return;
                }
                Part::Body { body, seen, .. } => {
                    let (taken, over) = match body.feed(data) {
                        Fed::More => (data.len(), false),
                        Fed::Done(taken) => (taken, true),
                        Fed::Broken => (0, false),
                    };
                    seen.add(&data[..taken], mark, self.keep);
                    if over {
                        self.next_message(true, true, entries);
                    } else if taken == 0 {
                        // The rest is no body of that kind.
                        self.next_message(false, false, entries);
                        self.part = Part::Other {
                            seen: None,
                            why: Unread::NoHttp,
                        };
                    }
                    taken
                }
                Part::Head { sure: false, .. } => {
                    self.part = Part::Other {
                        seen: None,
                        why: Unread::Headless,
                    };
                    0
                }
                Part::Head {
                    bytes,
                    marks,
                    searched,
                    start,
                    ..
                } => {
                    let before = bytes.len();
                    // Lines may stand between messages.
                    if before == 0 && matches!(data[0], b'\r' | b'\n') {
                        data = &data[1..];
                        continue;
                    }
                    if before == 0 {
                        *start = end - data.len() as u64;
                    }
                    marks.push((before, mark));
                    bytes.extend(data);
                    match end_of_head(bytes, *searched) {
                        Some(end) => {
                            let head = bytes[..end].to_vec();
                            let marks = std::mem::take(marks);
                            let start = *start;
                            self.head(&head, &marks, start, pending, entries);
                            end - before
                        }
                        None if bytes.len() > MAX_HEAD || !may_be_head(side, bytes) => {
                            self.no_head();
                            data.len()
                        }
                        None => {
                            *searched = bytes.len();
                            data.len()
                        }
                    }
                }
            };
            data = &data[taken..];
        }
    }

    fn missing(&mut self, count: u64, mark: Mark, pending: &mut Pending, entries: &mut Vec<Entry>) {
        if count == 0 {
            return;
        }
        match &mut self.part {
            Part::Body { body, seen, .. } => match body.step(count) {
                Stepped::Over => seen.step(count, mark),
                // Behind it a message begins, if just the body was missing.
                Stepped::Done(of) => self.next_message(false, of == count, entries),
                Stepped::Lost => self.next_message(false, false, entries),
            },
            Part::Head { .. } => self.end(pending, entries),
            Part::Other { .. } => {}
        }
        self.push(What::Missing(count), mark, entries);
    }

    /// A body is over; whether a message is sure to begin behind it.
    fn next_message(&mut self, whole: bool, sure: bool, entries: &mut Vec<Entry>) {
        if let Part::Body { seen, .. } = std::mem::replace(&mut self.part, Part::new(sure)) {
            self.body(seen, whole, entries);
        }
    }

    fn body(&self, seen: Seen, whole: bool, entries: &mut Vec<Entry>) {
        if seen.size > 0 {
            let what = What::Body {
                size: seen.size,
                first: seen.first,
                begin: seen.begin,
                whole,
            };
            self.push(what, seen.last, entries);
        }
    }

    fn other(&self, seen: Option<Seen>, why: Unread, entries: &mut Vec<Entry>) {
        if let Some(seen) = seen {
            let what = What::Other {
                size: seen.size,
                begin: seen.begin,
                why,
            };
            self.push(what, seen.first, entries);
        }
    }

    /// What came is no head: it is counted from here on.
    fn no_head(&mut self) {
        let why = Unread::NoHttp;
        let part = std::mem::replace(&mut self.part, Part::Other { seen: None, why });
        let Part::Head { bytes, marks, .. } = part else {
            return;
        };
        let first = marks.first().map(|(_, mark)| *mark);
        let Some(first) = first else { return };
        let mut seen = Seen::new(first);
        seen.add(&bytes, first, self.keep);
        let seen = Some(seen);
        self.part = Part::Other { seen, why };
    }

    /// A whole head.
    fn head(
        &mut self,
        bytes: &[u8],
        marks: &[(usize, Mark)],
        start: Offset,
        pending: &mut Pending,
        entries: &mut Vec<Entry>,
    ) {
        let mut sure = true;
        let framing = match self.from {
            Side::Client => match head::request(bytes) {
                Parsed::Whole(head, _) => {
                    pending.ask(&head.method, start);
                    let tunnel = head.method == "CONNECT";
                    Some((!tunnel).then_some(head.framing))
                }
                _ => None,
            },
            Side::Server => match head::response(bytes) {
                Parsed::Whole(head, _) if (100..200).contains(&head.status) => {
                    Some((head.status != 101).then_some(Framing::None))
                }
                Parsed::Whole(head, _) => {
                    let method = pending.answered();
                    sure = method.is_some();
                    match method.as_deref() {
                        Some("HEAD") => Some(Some(Framing::None)),
                        Some("CONNECT") if (200..300).contains(&head.status) => Some(None),
                        _ => Some(Some(head.framing)),
                    }
                }
                _ => None,
            },
        };
        let mark = marks.last().map_or_else(Mark::default, |(_, mark)| *mark);
        match framing {
            Some(framing) => {
                self.lines(bytes, marks, false, entries);
                self.part = match framing {
                    None => Part::Other {
                        seen: None,
                        why: Unread::Switched,
                    },
                    Some(framing) => {
                        let body = Body::new(framing);
                        if body.is_done() {
                            Part::new(true)
                        } else {
                            Part::Body {
                                body,
                                sure,
                                seen: Seen::new(mark),
                            }
                        }
                    }
                };
            }
            None => {
                let mut seen = Seen::new(marks.first().map_or(mark, |(_, mark)| *mark));
                seen.add(bytes, seen.first, self.keep);
                self.part = Part::Other {
                    seen: Some(seen),
                    why: Unread::NoHttp,
                };
            }
        }
    }

    /// Tells a head line by line.
    fn lines(&self, bytes: &[u8], marks: &[(usize, Mark)], cut: bool, entries: &mut Vec<Entry>) {
        let mut at = 0;
        // The field whose value goes on in the next line, if that begins with a blank (RFC 9112, 5.2).
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
            self.push(
                what,
                mark.map_or_else(Mark::default, |(_, mark)| *mark),
                entries,
            );
            at = next;
        }
    }
}

/// Whether a head may begin so: a request line, or a token at least as long as its end is not there, or a status line.
fn may_be_head(from: Side, bytes: &[u8]) -> bool {
    if from == Side::Server {
        return detect::begins_response(bytes) != Some(false);
    }
    if memchr::memchr(b'\n', bytes).is_some() {
        return detect::begins_request(bytes);
    }
    let mut line = bytes.iter().take(512);
    line.all(|&byte| byte >= b' ' && byte != 0x7f || matches!(byte, b'\r' | b'\t'))
}
