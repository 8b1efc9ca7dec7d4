//! A response of server-sent events that is under way.

use super::model::EventStream;
use crate::protocol::event_stream::Counter;
use crate::protocol::http1::body::{Body, Fed, Framing, Stepped};
use crate::time::{Span, Timestamp};

/// What counts the events of a response.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    counter: Counter,
    /// What undoes HTTP/1's framing; `None` in HTTP/2.
    body: Option<Body>,
    /// When a byte came last.
    last: Timestamp,
    longest_silence: Span,
}

impl Feed {
    /// A response whose head came at `begin`, framed as HTTP/1 frames bodies if that is said.
    pub(super) fn new(begin: Timestamp, framing: Option<Framing>, coded: bool) -> Self {
        let mut counter = Counter::default();
        if coded {
            counter.lose();
        }
        Self {
            counter,
            body: framing.map(Body::new),
            last: begin,
            longest_silence: Span::ZERO,
        }
    }

    fn heard(&mut self, time: Timestamp) {
        self.longest_silence = self.longest_silence.max(time - self.last);
        self.last = self.last.max(time);
    }

    /// The next bytes of the body.
    pub(super) fn bytes(&mut self, mut bytes: &[u8], time: Timestamp) {
        if !bytes.is_empty() {
            self.heard(time);
        }
        let Some(body) = &mut self.body else {
            return self.counter.bytes(bytes);
        };
        while !bytes.is_empty() {
            let content = body.data_ahead().min(bytes.len() as u64) as usize;
            let taken = match content {
                0 => memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1),
                content => content,
            };
            let (now, rest) = bytes.split_at(taken);
            if content > 0 {
                self.counter.bytes(now);
            }
            if body.feed(now) == Fed::Broken {
                return self.counter.lose();
            }
            bytes = rest;
        }
    }

    /// So many bytes of the body are missing.
    pub(super) fn miss(&mut self, missing: u64, time: Timestamp) {
        self.heard(time);
        let stepped = self.body.as_mut().map(|body| body.step(missing));
        if stepped != Some(Stepped::Done(0)) {
            self.counter.lose();
        }
    }

    /// Nobody knows what follows.
    pub(super) const fn lose(&mut self) {
        self.counter.lose();
    }

    /// The response is over, or what is known of it ends, at `end`.
    pub(super) fn end(mut self, end: Option<Timestamp>) -> EventStream {
        if let Some(end) = end {
            self.heard(end);
        }
        let counts = self.counter.counts();
        EventStream {
            events: counts.map(|(events, _)| events),
            comments: counts.map(|(_, comments)| comments),
            longest_silence: self.longest_silence,
        }
    }
}
