//! Bodies on the streams of HTTP/2: pieces, the messages of a call, or the frames of a WebSocket.

use super::counted::Counted;
use super::entry::{Entry, Told, What};
use super::tunnel::Frames;
use crate::exchange::Side;
use crate::packet::Mark;
use crate::protocol::grpc::{Prefix, Splitter, Step, Wire};
use crate::protocol::http2::head::Head;
use crate::protocol::http2::reader::Data;
use std::collections::BTreeMap;

/// Streams of which it is known what their bodies hold: servers permit some hundred at once.
const MAX_STREAMS: usize = 4096;

/// The bodies of one connection.
#[derive(Default)]
pub(super) struct Bodies {
    /// Bytes of each piece that are kept.
    keep: usize,
    streams: BTreeMap<u32, Stream>,
    /// The DATA frame that each side is sending, of a body without messages.
    pieces: [Option<(u32, Counted)>; 2],
}

/// What the two bodies of a stream hold.
#[derive(Default)]
struct Stream {
    /// As the heads say.
    wires: [Option<Contents>; 2],
    messages: [Option<Messages>; 2],
    /// Whether its request asks for a WebSocket (RFC 8441).
    asks_websocket: bool,
    /// The sides of a WebSocket, as long as it is known where the next frame begins.
    websocket: [Option<Box<Frames>>; 2],
    /// Which sides are done with it.
    done: [bool; 2],
}

/// What a body holds, by its head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contents {
    Messages(Wire),
    Plain,
}

/// Messages that are being sent.
struct Messages {
    /// `None` behind a hole: nobody knows where the next message begins.
    splitter: Option<Splitter>,
    open: Option<(Prefix, Counted)>,
    /// The frame of the first byte of a prefix that is not whole.
    begun: Option<Mark>,
}

/// Where entries go, and of whom they are.
struct Teller<'a> {
    from: Side,
    stream: u32,
    entries: &'a mut Vec<Entry>,
}

impl Teller<'_> {
    fn tell(&mut self, mark: Mark, told: Told) {
        self.entries.push(Entry {
            from: self.from,
            mark,
            stream: Some(self.stream),
            what: What::Frame(told),
        });
    }

    fn message(&mut self, (prefix, seen): (Prefix, Counted), end: bool) {
        let whole = seen.size == u64::from(prefix.length);
        let told = Told::Message {
            kind: prefix.kind,
            compressed: prefix.compressed,
            length: prefix.length,
            end,
            piece: seen.clone().piece(whole),
        };
        self.tell(seen.last, told);
    }

    fn piece(&mut self, seen: Counted, whole: bool, end: bool) {
        let mark = seen.last;
        let piece = seen.piece(whole);
        self.tell(mark, Told::Data { piece, end });
    }
}

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Bodies {
    pub(super) fn new(keep: usize) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    /// A head says what the body behind it holds.
    pub(super) fn head(&mut self, from: Side, stream: u32, head: &Head, entries: &mut Vec<Entry>) {
        let asks_websocket = head.protocol.as_deref() == Some("websocket");
        if from == Side::Client && asks_websocket {
            self.stream(stream, entries).asks_websocket = true;
        }
        let accepts = from == Side::Server && matches!(head.status, Some(200..300));
        let known = self.streams.get_mut(&stream).filter(|_| accepts);
        if let Some(known) = known.filter(|known| known.asks_websocket) {
            known.websocket = [Some(Box::default()), Some(Box::default())];
        }
        let fields = head.list.iter().flat_map(|list| &list.fields);
        let mut fields = fields.filter(|field| field.value.is_some());
        let plain = fields.any(|field| field.name.as_deref() == Some(b"content-type"));
        let contents = match head.wire {
            Some(wire) => Contents::Messages(wire),
            None if plain => Contents::Plain,
            None => return,
        };
        let stream = self.stream(stream, entries);
        stream.wires[index(from)] = Some(contents);
        // Whatever was missing, its body begins behind it.
        stream.messages[index(from)] = None;
    }

    fn stream(&mut self, stream: u32, entries: &mut Vec<Entry>) -> &mut Stream {
        if self.streams.len() >= MAX_STREAMS
            && !self.streams.contains_key(&stream)
            && let Some((oldest, stream)) = self.streams.pop_first()
        {
            stream.end(oldest, entries);
        }
        self.streams.entry(stream).or_default()
    }

    /// A part of a DATA frame; `ends` if it is the last of it.
    pub(super) fn data(
        &mut self,
        from: Side,
        data: &Data<'_>,
        (mark, ends): (Mark, bool),
        entries: &mut Vec<Entry>,
    ) {
        let stream = data.stream;
        let known = self.streams.get_mut(&stream);
        // What is no frame, and that the stream ends, is told below.
        let data = &known.map_or(*data, |known| {
            known.frames(from, data, (mark, self.keep), entries)
        });
        let mut teller = Teller {
            from,
            stream,
            entries,
        };
        let known = self.streams.get_mut(&stream);
        let is_frames = known
            .as_ref()
            .is_some_and(|known| known.websocket[index(from)].is_some());
        if is_frames && !data.end_stream {
            return;
        }
        let messages = known.and_then(|stream| stream.messages(from));
        if let Some(messages) = messages.filter(|messages| messages.splitter.is_some()) {
            messages.data(data, mark, self.keep, &mut teller);
        } else {
            let piece = &mut self.pieces[index(from)];
            let (_, seen) = piece.get_or_insert_with(|| (stream, Counted::new(data.start.1)));
            seen.add(data.bytes, mark, self.keep);
            seen.step(data.missing, mark);
            if ends && let Some((_, seen)) = piece.take() {
                teller.piece(seen, true, data.end_stream);
            }
        }
        if data.end_stream {
            self.done(from, stream);
        }
    }

    /// A side ends a stream without a DATA frame: what it began is told as it is.
    pub(super) fn reset(&mut self, from: Side, stream: u32, entries: &mut Vec<Entry>) {
        if let Some(known) = self.streams.get_mut(&stream) {
            known.lose(from, stream, entries);
        }
        self.done(from, stream);
    }

    /// A side is done with a stream.
    fn done(&mut self, from: Side, stream: u32) {
        if let Some(known) = self.streams.get_mut(&stream) {
            known.done[index(from)] = true;
            if known.done == [true; 2] {
                self.streams.remove(&stream);
            }
        }
    }

    /// Frames of a side are missing.
    pub(super) fn lose(&mut self, from: Side, entries: &mut Vec<Entry>) {
        if let Some((stream, seen)) = self.pieces[index(from)].take() {
            let mut teller = Teller {
                from,
                stream,
                entries,
            };
            teller.piece(seen, false, false);
        }
        for (&id, stream) in &mut self.streams {
            stream.lose(from, id, entries);
        }
    }
}

impl Stream {
    /// The messages of a side, if its body has some. Its own head tells, else the other's: one asks
    /// and answers in the same kind.
    fn messages(&mut self, from: Side) -> Option<&mut Messages> {
        let [own, other] = [from, from.other()].map(|side| self.wires[index(side)]);
        let Some(Contents::Messages(wire)) = own.or(other) else {
            return None;
        };
        let messages = &mut self.messages[index(from)];
        if messages.is_none() {
            *messages = Some(Messages {
                splitter: Some(Splitter::new(wire)?),
                open: None,
                begun: None,
            });
        }
        messages.as_mut()
    }

    /// A part of a WebSocket. Returns what of it is no frame.
    fn frames<'a>(
        &mut self,
        from: Side,
        data: &Data<'a>,
        (mark, keep): (Mark, usize),
        entries: &mut Vec<Entry>,
    ) -> Data<'a> {
        let side = &mut self.websocket[index(from)];
        let Some(frames) = side else {
            return *data;
        };
        let before = entries.len();
        let read = frames.bytes(from, data.bytes, (mark, keep), entries);
        let rest = &data.bytes[read..];
        let known = rest.is_empty()
            && (data.missing == 0 || frames.missing(from, data.missing, mark, entries));
        if !known || data.end_stream {
            frames.end(from, entries);
        }
        if !known {
            *side = None;
        }
        of_stream(&mut entries[before..], data.stream);
        Data {
            bytes: rest,
            missing: if known { 0 } else { data.missing },
            ..*data
        }
    }

    fn lose(&mut self, from: Side, stream: u32, entries: &mut Vec<Entry>) {
        if let Some(mut frames) = self.websocket[index(from)].take() {
            let before = entries.len();
            frames.end(from, entries);
            of_stream(&mut entries[before..], stream);
        }
        let mut teller = Teller {
            from,
            stream,
            entries,
        };
        // A body of which nothing came yet may begin in what is missing.
        if let Some(messages) = self.messages(from) {
            messages.lose(&mut teller);
        }
    }

    fn end(mut self, id: u32, entries: &mut Vec<Entry>) {
        for side in [Side::Client, Side::Server] {
            self.lose(side, id, entries);
        }
    }
}

/// They are told in frames of a stream.
fn of_stream(entries: &mut [Entry], stream: u32) {
    entries
        .iter_mut()
        .for_each(|entry| entry.stream = Some(stream));
}

impl Messages {
    fn data(&mut self, data: &Data<'_>, mark: Mark, keep: usize, teller: &mut Teller<'_>) {
        let mut bytes = data.bytes;
        while let Some(splitter) = self.splitter.as_mut().filter(|_| !bytes.is_empty()) {
            let (step, taken) = splitter.read(bytes);
            let (now, rest) = bytes.split_at(taken);
            bytes = rest;
            let end = data.end_stream && rest.is_empty();
            match step {
                Step::Begun => {
                    self.begun.get_or_insert(mark);
                }
                Step::Message(prefix) => {
                    let first = self.begun.take().unwrap_or(mark);
                    self.open = Some((prefix, Counted::new(first)));
                    if prefix.length == 0 {
                        self.tell(mark, end, teller);
                    }
                }
                Step::Goes | Step::Ends => {
                    if let Some((_, seen)) = &mut self.open {
                        seen.add(now, mark, keep);
                    }
                    if step == Step::Ends {
                        self.tell(mark, end, teller);
                    }
                }
            }
        }
        if data.missing > 0 {
            self.miss(data, mark, teller);
        }
        let told = !data.bytes.is_empty() && self.open.is_none() && self.begun.is_none();
        if data.end_stream && !told {
            self.lose(teller);
            teller.piece(Counted::new(mark), true, true);
        }
    }

    fn miss(&mut self, data: &Data<'_>, mark: Mark, teller: &mut Teller<'_>) {
        let within = self
            .splitter
            .as_mut()
            .is_some_and(|splitter| splitter.miss(data.missing));
        if !within {
            return self.lose(teller);
        }
        if let Some((_, seen)) = &mut self.open {
            seen.step(data.missing, mark);
        }
        let goes_on = self.splitter.as_ref().is_some_and(Splitter::is_in_message);
        if !goes_on {
            self.tell(mark, false, teller);
        }
    }

    /// The message is over, in the frame `mark`.
    fn tell(&mut self, mark: Mark, end: bool, teller: &mut Teller<'_>) {
        if let Some((prefix, mut seen)) = self.open.take() {
            seen.last = mark;
            teller.message((prefix, seen), end);
        }
    }

    /// Nobody knows where the next one begins.
    fn lose(&mut self, teller: &mut Teller<'_>) {
        self.splitter = None;
        if let Some(open) = self.open.take() {
            teller.message(open, false);
        }
        self.begun = None;
    }
}
