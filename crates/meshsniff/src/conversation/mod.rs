//! One connection as what both sides said, in order: what "Follow TCP Stream" shows, with frames
//! and times.
//!
//! Fed with the capture's frames, it takes those of one connection, puts each direction's bytes in
//! order and reads them: of HTTP/1 a line of a head is an entry, and a body is one with its size; of
//! HTTP/2 a frame is one, a field in it, and a message of a call; of WebSocket a frame. Nothing is
//! judged here.
//!
//! | here | holds |
//! |---|---|
//! | this file | the connection, and which entries are kept |
//! | `entry` | what was said, one thing at a time |
//! | `voice` | one side that speaks HTTP/1 |
//! | `tunnel` | one side of a WebSocket |
//! | `watched` | which streams have a share in one packet |
//! | `frames`, `bodies` | two sides that speak HTTP/2, and the bodies on their streams |

mod bodies;
mod counted;
mod entry;
mod frames;
mod tunnel;
mod voice;
mod watched;

pub use entry::{Block, Entry, Piece, Told, Unread, What};

use crate::exchange::Side;
use crate::packet::{Decoded, Decoder, Endpoint, Flags, Frame, Mark};
use crate::protocol::detect::{self, Opening};
use crate::protocol::http1::head::{RequestHead, ResponseHead};
use crate::protocol::proxy_header;
use crate::protocol::tls::{Keys, Layer, Session};
use crate::tcp::{Application, Counters, Repeat, Run, StreamEvent, TrackedConnection};
use frames::Frames;
use std::ops::RangeInclusive;
use std::sync::Arc;
use voice::{Asked, Takeover, Voice};
use watched::Watched;

/// Entries that are kept: far more than a person reads.
const MAX_ENTRIES: usize = 100_000;

/// A connection being followed.
pub struct Conversation {
    client: Endpoint,
    server: Endpoint,
    decoder: Decoder,
    counters: Counters,
    talk: Option<(TrackedConnection, Talk)>,
    /// Bytes of each body that are kept.
    body: usize,
    kept: Kept,
    watched: Watched,
    keys: Option<Arc<Keys>>,
}

/// What was said and is wanted.
struct Kept {
    /// Orders of the entries that are wanted.
    wanted: RangeInclusive<u64>,
    /// The stream that is wanted; `None` for all.
    stream: Option<u32>,
    entries: Vec<Entry>,
    left_out: u64,
}

/// What both sides say.
struct Talk {
    client: Voice<RequestHead>,
    server: Voice<ResponseHead>,
    asked: Asked,
    /// HTTP/2, on a connection that speaks it.
    frames: Option<Frames>,
    /// Bytes of each body that are kept.
    keep: usize,
    /// Whether TCP takes the two sides for each other.
    swapped: bool,
    entries: Vec<Entry>,
    tls: Tls,
    /// Lent by the conversation while it takes a packet.
    watched: Watched,
}

/// TLS of a connection, where there are keys.
#[derive(Default)]
struct Tls {
    keys: Option<Arc<Keys>>,
    layer: Option<Layer>,
    /// Whether the client's first bytes were looked at.
    looked: bool,
    /// Whether what is inside is told.
    inside: bool,
}

impl Conversation {
    /// Follows the connection of `client` and `server`. `body`: bytes of each body that are kept.
    /// `wanted`: the orders of the frames whose entries are.
    #[must_use]
    pub fn new(
        client: Endpoint,
        server: Endpoint,
        body: usize,
        wanted: RangeInclusive<u64>,
    ) -> Self {
        Self {
            client,
            server,
            decoder: Decoder::default(),
            counters: Counters::default(),
            talk: None,
            body,
            kept: Kept {
                wanted,
                stream: None,
                entries: Vec::new(),
                left_out: 0,
            },
            watched: Watched::default(),
            keys: None,
        }
    }

    /// Reads TLS with these keys, as far as they fit.
    #[must_use]
    pub fn with_keys(mut self, keys: &Arc<Keys>) -> Self {
        self.keys = Some(Arc::clone(keys));
        self
    }

    /// Looks for the streams of the frame with this number, and keeps nothing of what was said.
    #[must_use]
    pub fn streams_of(client: Endpoint, server: Endpoint, frame: u64) -> Self {
        Self {
            watched: Watched::of(frame),
            ..Self::new(client, server, 0, 0..=0)
        }
    }

    /// Keeps only one stream of HTTP/2, with what concerns it of the rest.
    #[must_use]
    pub fn of_stream(mut self, stream: u32) -> Self {
        self.kept.stream = Some(stream);
        self
    }

    /// Takes a frame of the capture; `order` is its place in it.
    pub fn frame(&mut self, frame: &Frame<'_>, order: u64) {
        let Decoded::Tcp(segment) = self.decoder.decode(frame) else {
            return;
        };
        let from = if (segment.src, segment.dst) == (self.client, self.server) {
            Side::Client
        } else if (segment.src, segment.dst) == (self.server, self.client) {
            Side::Server
        } else {
            return;
        };
        let mark = Mark {
            frame: frame.id,
            time: frame.time,
            order,
        };
        // The same ends may have a new connection.
        let superseded =
            |(connection, _): &(TrackedConnection, Talk)| connection.is_superseded_by(&segment);
        if let Some((_, talk)) = self.talk.take_if(|talk| superseded(talk)) {
            self.kept.push(talk.end());
        }
        self.watched.packet(from, mark);
        let (connection, talk) = self.talk.get_or_insert_with(|| {
            let connection = TrackedConnection::new(0, &segment, mark);
            let mut talk = Talk::new(&connection, self.client, self.body);
            talk.tls.keys = self.keys.clone();
            (connection, talk)
        });
        let twice = self.counters.duplicate_frames;
        std::mem::swap(&mut self.watched, &mut talk.watched);
        connection.segment(&segment, mark, &mut self.counters, talk);
        std::mem::swap(&mut self.watched, &mut talk.watched);
        if self.counters.duplicate_frames > twice {
            return;
        }
        let control = Flags::SYN.with(Flags::FIN).with(Flags::RST);
        if segment.flags.any(control) || segment.wire_payload == 0 {
            let what = What::Control(segment.flags);
            talk.entries.push(Entry::new(from, mark, what));
        }
        self.kept.push(std::mem::take(&mut talk.entries));
    }

    /// The end of the capture, or of what was wanted of it: everything that was said, in the order
    /// in which it was complete. The number is of entries that were too many.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Entry>, u64) {
        if let Some((_, talk)) = self.talk.take() {
            self.kept.push(talk.end());
        }
        let Kept {
            mut entries,
            left_out,
            ..
        } = self.kept;
        entries.sort_by_key(|entry| entry.mark.order);
        (entries, left_out)
    }
}

impl Conversation {
    /// The streams that have a share in the frame that was named: those of which a frame with a
    /// head or a body begins in it, else a part of one, else what keeps them going.
    #[must_use]
    pub fn streams(self) -> Vec<u32> {
        self.watched.streams()
    }
}

impl Kept {
    fn push(&mut self, mut entries: Vec<Entry>) {
        let concerns = |entry: &Entry| match (self.stream, entry.stream) {
            (None, _) | (_, None) => true,
            // All streams end with their connection.
            (Some(_), Some(0)) => matches!(entry.what, What::Frame(Told::Goaway { .. })),
            (wanted, stream) => wanted == stream,
        };
        entries.retain(|entry| self.wanted.contains(&entry.mark.order) && concerns(entry));
        let room = MAX_ENTRIES.saturating_sub(self.entries.len());
        self.left_out += entries.len().saturating_sub(room) as u64;
        self.entries.extend(entries.into_iter().take(room));
    }
}

impl Talk {
    fn new(connection: &TrackedConnection, client: Endpoint, body: usize) -> Self {
        let whole = connection.is_whole();
        Self {
            client: Voice::new(body, whole),
            server: Voice::new(body, whole),
            asked: Asked::default(),
            frames: None,
            keep: body,
            swapped: connection.client() != client,
            entries: Vec::new(),
            tls: Tls::default(),
            watched: Watched::default(),
        }
    }

    /// The connection is over: what was begun is told as it is.
    fn end(mut self) -> Vec<Entry> {
        self.through_tls(|tls, inside| tls.end(inside));
        match &mut self.frames {
            Some(frames) => frames.end(&mut self.entries),
            None => self.end_voices(),
        }
        self.entries
    }

    /// Tells a PROXY header that the client begins with, and returns what is behind it.
    fn behind_proxy_header<'a>(
        &mut self,
        from: Side,
        event: StreamEvent<'a>,
    ) -> Option<StreamEvent<'a>> {
        let StreamEvent::Bytes(run, at) = event else {
            return Some(event);
        };
        let looks = from == Side::Client && !self.tls.looked && self.tls.keys.is_some();
        let header = proxy_header::read(run.bytes).filter(|_| looks);
        let Some((_, length)) = header else {
            return Some(event);
        };
        let (bytes, rest) = run.bytes.split_at(length);
        self.tell_plain(from, StreamEvent::Bytes(Run { bytes, ..run }, at));
        let behind = Run {
            from: run.from + length as u64,
            bytes: rest,
            segment_start: true,
            ..run
        };
        (!rest.is_empty()).then_some(StreamEvent::Bytes(behind, at))
    }

    /// Whether what comes is TLS, of which the inside is told, or may come to be.
    fn is_tls(&mut self, from: Side, event: &StreamEvent<'_>) -> bool {
        let StreamEvent::Bytes(run, _) = event else {
            return self.tls.layer.is_some() && matches!(event, StreamEvent::Missing(..));
        };
        let first = from == Side::Client && !std::mem::replace(&mut self.tls.looked, true);
        if first && detect::client_opening(run.bytes, false) == Opening::Tls {
            let keys = self.tls.keys.as_ref();
            self.tls.layer = keys.map(|keys| Layer::new(Session::default(), Some(keys)));
        }
        self.tls.layer.is_some()
    }

    fn through_tls(
        &mut self,
        tell: impl FnOnce(&mut Layer, &mut dyn FnMut(Side, StreamEvent<'_>)),
    ) {
        let Some(mut layer) = self.tls.layer.take() else {
            return;
        };
        tell(&mut layer, &mut |from, event| {
            if !std::mem::replace(&mut self.tls.inside, true) {
                // The handshake is over: what is inside begins.
                self.end_voices();
                self.client = Voice::new(self.keep, true);
                self.server = Voice::new(self.keep, true);
            }
            self.tell_plain(from, event);
        });
        self.tls.layer = Some(layer);
    }

    fn end_voices(&mut self) {
        self.client.end(&mut self.asked, &mut self.entries);
        self.server.end(&mut self.asked, &mut self.entries);
    }

    fn bytes(&mut self, from: Side, run: Run<'_>) {
        if let Some(frames) = &mut self.frames {
            return frames.bytes(from, run, &mut self.watched, &mut self.entries);
        }
        let (asked, entries) = (&mut self.asked, &mut self.entries);
        let takeover = match from {
            Side::Client => self.client.bytes(run, asked, entries),
            Side::Server => self.server.bytes(run, asked, entries),
        };
        if let Some(takeover) = takeover {
            self.take_over(from, &takeover);
        }
    }

    /// HTTP/2 takes over, with what `from` says.
    fn take_over(&mut self, from: Side, takeover: &Takeover<'_>) {
        let Takeover {
            begun,
            first,
            run,
            whole,
        } = takeover;
        // Where bytes of the server's could not be read, nobody knows where its next frame begins.
        let whole = [*whole, *whole && !self.server.is_unread()];
        self.end_voices();
        let mut frames = Frames::new(self.keep, whole);
        let begun = Run {
            from: run.from.saturating_sub(begun.len() as u64),
            bytes: begun,
            mark: *first,
            segment_start: true,
        };
        for run in [begun, *run] {
            frames.bytes(from, run, &mut self.watched, &mut self.entries);
        }
        self.frames = Some(frames);
    }

    fn missing(&mut self, from: Side, count: u64, mark: Mark) {
        let (asked, entries) = (&mut self.asked, &mut self.entries);
        match (&mut self.frames, from) {
            (Some(frames), from) => frames.missing(from, count, mark, entries),
            (None, Side::Client) => self.client.missing(count, mark, asked, entries),
            (None, Side::Server) => self.server.missing(count, mark, asked, entries),
        }
    }
}

impl Application for Talk {
    fn speaker(&self, bytes: &[u8]) -> Option<Side> {
        detect::speaker(bytes, false)
    }

    fn swap_sides(&mut self) {
        self.swapped = !self.swapped;
    }

    fn expected(&self, side: Side) -> Option<u64> {
        let from = if self.swapped { side.other() } else { side };
        self.frames.as_ref()?.expected(from)
    }

    fn tell(&mut self, side: Side, event: StreamEvent<'_>) {
        let from = if self.swapped { side.other() } else { side };
        let Some(event) = self.behind_proxy_header(from, event) else {
            return;
        };
        if self.is_tls(from, &event) {
            let same = event.clone();
            self.through_tls(|tls, inside| tls.tell(from, same, inside));
            if self.tls.inside {
                return;
            }
        }
        self.tell_plain(from, event);
    }
}

impl Talk {
    /// Takes an event of the streams that are read: the connection's, or those inside of TLS.
    fn tell_plain(&mut self, from: Side, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Bytes(run, at) => {
                self.asked.heard = if self.swapped {
                    at.server_acked
                } else {
                    at.client_acked
                };
                self.bytes(from, run);
            }
            StreamEvent::Missing(missing, at) => {
                self.missing(from, missing.extent.len(), at.mark);
            }
            StreamEvent::Repeated(repeat, mark) => {
                let what = match repeat {
                    Repeat::Bytes(count) => What::Again(count),
                    Repeat::KeepAlive => What::KeepAlive,
                    Repeat::Probe => What::Probe,
                };
                self.entries.push(Entry::new(from, mark, what));
            }
            StreamEvent::Finished(..)
            | StreamEvent::Closes
            | StreamEvent::Acknowledged(_)
            | StreamEvent::Delayed(_)
            | StreamEvent::WindowClosed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
