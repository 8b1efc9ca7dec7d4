//! What one side sent, from segments to messages.

use super::{Entry, What};
use crate::exchange::Side;
use crate::http::body::{Body, Fed, Framing, Stepped};
use crate::http::head::{self, LONGEST_HEAD, Parsed, end_of_head};
use crate::packet::{Flags, Mark, Segment};
use crate::tcp::{Arrival, Seq, Stream};
use std::collections::VecDeque;

/// Requests that may wait for their answers.
const MOST_METHODS: usize = 1_000;

pub(super) struct Direction {
    from: Side,
    /// Bytes of each body that are kept.
    keep: usize,
    stream: Stream,
    part: Part,
}

/// What comes next in the stream.
enum Part {
    Head {
        bytes: Vec<u8>,
        /// Where in them the bytes of each segment begin.
        marks: Vec<(usize, Mark)>,
        searched: usize,
    },
    Body {
        body: Body,
        seen: Seen,
    },
    /// No HTTP/1, or not any more.
    Other {
        seen: Option<Seen>,
    },
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
    const fn new() -> Self {
        Self::Head {
            bytes: Vec::new(),
            marks: Vec::new(),
            searched: 0,
        }
    }
}

impl Direction {
    pub(super) fn new(from: Side, keep: usize) -> Self {
        Self {
            from,
            keep,
            stream: Stream::default(),
            part: Part::new(),
        }
    }

    /// Whether its first byte has this number, or none was seen yet.
    pub(super) fn starts_at(&self, seq: Seq) -> bool {
        self.stream.origin().is_none_or(|origin| origin == seq)
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.stream.held_bytes()
    }

    pub(super) fn segment(
        &mut self,
        segment: &Segment<'_>,
        mark: Mark,
        methods: &mut VecDeque<String>,
        entries: &mut Vec<Entry>,
    ) {
        let syn = segment.flags.has(Flags::SYN);
        let first = if syn {
            segment.seq.plus(1)
        } else {
            segment.seq
        };
        if segment.wire_payload == 0 && !syn {
            return;
        }
        self.stream.start(first);
        let Some(start) = self.stream.offset(first) else {
            return;
        };
        let wire = u64::from(segment.wire_payload);
        if wire == 0 {
            return;
        }
        match self.stream.receive(start, segment.payload, wire, mark) {
            Arrival::Next(known) => {
                let known = known as usize;
                let bytes = segment.payload.get(known..).unwrap_or_default();
                self.bytes(bytes, mark, methods, entries);
                let cut = wire - (segment.payload.len().max(known) as u64);
                self.missing(cut, mark, entries);
            }
            Arrival::Known => self.push(What::Again(wire), mark, entries),
            Arrival::Held | Arrival::Implausible => {}
        }
        self.pop(methods, entries);
    }

    /// The other side acknowledged everything before `ack`.
    pub(super) fn acknowledged(
        &mut self,
        ack: Seq,
        mark: Mark,
        methods: &mut VecDeque<String>,
        entries: &mut Vec<Entry>,
    ) {
        if let Some(offset) = self.stream.offset(ack) {
            self.stream.acknowledge(offset);
        }
        while let Some((from, to)) = self.stream.take_missing(None) {
            self.missing(to - from, mark, entries);
            self.pop(methods, entries);
        }
    }

    /// Goes on behind the first hole.
    pub(super) fn give_up(
        &mut self,
        mark: Mark,
        methods: &mut VecDeque<String>,
        entries: &mut Vec<Entry>,
    ) {
        if let Some((from, to)) = self.stream.give_up_hole() {
            self.missing(to - from, mark, entries);
            self.pop(methods, entries);
        }
    }

    /// Nothing more comes: what was begun is told as it is.
    pub(super) fn end(&mut self, entries: &mut Vec<Entry>) {
        match std::mem::replace(&mut self.part, Part::new()) {
            Part::Head { bytes, marks, .. } => self.lines(&bytes, &marks, true, entries),
            Part::Body { body, seen } => self.body(seen, body.is_until_close(), entries),
            Part::Other { seen } => self.other(seen, entries),
        }
    }

    fn pop(&mut self, methods: &mut VecDeque<String>, entries: &mut Vec<Entry>) {
        while let Some(held) = self.stream.pop() {
            self.bytes(&held.bytes, held.mark, methods, entries);
            self.missing(held.cut, held.mark, entries);
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
    fn bytes(
        &mut self,
        mut data: &[u8],
        mark: Mark,
        methods: &mut VecDeque<String>,
        entries: &mut Vec<Entry>,
    ) {
        while !data.is_empty() {
            let taken = match &mut self.part {
                Part::Other { seen } => {
                    let seen = seen.get_or_insert_with(|| Seen::new(mark));
                    seen.add(data, mark, self.keep);
                    return;
                }
                Part::Body { body, seen } => {
                    let (taken, over) = match body.feed(data) {
                        Fed::More => (data.len(), false),
                        Fed::Done(taken) => (taken, true),
                        Fed::Broken => (0, false),
                    };
                    seen.add(&data[..taken], mark, self.keep);
                    if over {
                        self.next_message(true, entries);
                    } else if taken == 0 {
                        // The rest is no body of that kind.
                        self.next_message(false, entries);
                        self.part = Part::Other { seen: None };
                    }
                    taken
                }
                Part::Head {
                    bytes,
                    marks,
                    searched,
                } => {
                    let before = bytes.len();
                    // Lines may stand between messages.
                    if before == 0 && matches!(data[0], b'\r' | b'\n') {
                        data = &data[1..];
                        continue;
                    }
                    marks.push((before, mark));
                    bytes.extend(data);
                    match end_of_head(bytes, *searched) {
                        Some(end) => {
                            let head = bytes[..end].to_vec();
                            let marks = std::mem::take(marks);
                            self.head(&head, &marks, methods, entries);
                            end - before
                        }
                        None if bytes.len() > LONGEST_HEAD || !may_be_head(bytes) => {
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

    fn missing(&mut self, count: u64, mark: Mark, entries: &mut Vec<Entry>) {
        if count == 0 {
            return;
        }
        self.push(What::Missing(count), mark, entries);
        match &mut self.part {
            Part::Body { body, seen } => match body.step(count) {
                Stepped::Over => seen.step(count, mark),
                // A message whose begin is missing cannot be told; the next one may begin with the next segment.
                Stepped::Done(_) | Stepped::Lost => self.next_message(false, entries),
            },
            Part::Head { .. } => self.end(entries),
            Part::Other { .. } => {}
        }
    }

    /// A body is over.
    fn next_message(&mut self, whole: bool, entries: &mut Vec<Entry>) {
        if let Part::Body { seen, .. } = std::mem::replace(&mut self.part, Part::new()) {
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

    fn other(&self, seen: Option<Seen>, entries: &mut Vec<Entry>) {
        if let Some(seen) = seen {
            let what = What::Other {
                size: seen.size,
                begin: seen.begin,
            };
            self.push(what, seen.first, entries);
        }
    }

    /// What came is no head: it is counted from here on.
    fn no_head(&mut self) {
        let part = std::mem::replace(&mut self.part, Part::Other { seen: None });
        let Part::Head { bytes, marks, .. } = part else {
            return;
        };
        let first = marks.first().map(|(_, mark)| *mark);
        let Some(first) = first else { return };
        let mut seen = Seen::new(first);
        seen.add(&bytes, first, self.keep);
        self.part = Part::Other { seen: Some(seen) };
    }

    /// A whole head.
    fn head(
        &mut self,
        bytes: &[u8],
        marks: &[(usize, Mark)],
        methods: &mut VecDeque<String>,
        entries: &mut Vec<Entry>,
    ) {
        let framing = match self.from {
            Side::Client => match head::request(bytes) {
                Parsed::Whole(head, _) => {
                    if methods.len() < MOST_METHODS {
                        methods.push_back(head.method.to_string());
                    }
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
                    let method = methods.pop_front();
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
                    None => Part::Other { seen: None },
                    Some(framing) => {
                        let body = Body::new(framing);
                        if body.is_done() {
                            Part::new()
                        } else {
                            Part::Body {
                                body,
                                seen: Seen::new(mark),
                            }
                        }
                    }
                };
            }
            None => {
                let mut seen = Seen::new(marks.first().map_or(mark, |(_, mark)| *mark));
                seen.add(bytes, seen.first, self.keep);
                self.part = Part::Other { seen: Some(seen) };
            }
        }
    }

    /// Tells a head line by line.
    fn lines(&self, bytes: &[u8], marks: &[(usize, Mark)], cut: bool, entries: &mut Vec<Entry>) {
        let mut at = 0;
        while at < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[at..]);
            let next = end.map_or(bytes.len(), |end| at + end + 1);
            let line = &bytes[at..end.map_or(next, |_| next - 1)];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let segment = marks.partition_point(|(begin, _)| *begin <= at);
            let mark = marks.get(segment.saturating_sub(1));
            let what = What::Line {
                line: line.to_vec(),
                first: at == 0,
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

/// Whether a head may begin so: one token at least, or a status line.
fn may_be_head(bytes: &[u8]) -> bool {
    let line = bytes.iter().take_while(|&&byte| byte != b'\n');
    let mut line = line.take(512);
    line.all(|&byte| byte >= b' ' && byte != 0x7f || matches!(byte, b'\r' | b'\t'))
}
