//! A remote procedure call that is under way: the messages in its two bodies, and how it ended.

use super::model::{Grpc, Side};
use super::stream::index;
use crate::protocol::grpc::{Counter, Said, Wire};
use crate::protocol::http1::body::{Body, Fed, Framing, Stepped};
use crate::time::Timestamp;

/// One side's messages.
#[derive(Clone, Debug)]
struct Way {
    counter: Counter,
    /// What undoes HTTP/1's framing; `None` in HTTP/2, and before the head was read.
    body: Option<Body>,
}

/// A call that is under way.
#[derive(Clone, Debug)]
pub(super) struct Call {
    wire: Wire,
    ways: [Way; 2],
}

/// Service and method as a call's path names them.
pub(super) fn names(path: &str) -> (Option<&str>, Option<&str>) {
    let mut parts = path.trim_start_matches('/').rsplitn(2, '/');
    let method = parts.next().filter(|method| !method.is_empty());
    (parts.next(), method)
}

impl Call {
    /// A call whose messages stand in its bodies as `wire` says.
    pub(super) fn new(wire: Wire) -> Self {
        let way = Way {
            counter: Counter::new(wire),
            body: None,
        };
        Self {
            wire,
            ways: [way.clone(), way],
        }
    }

    fn way(&mut self, side: Side) -> &mut Way {
        &mut self.ways[index(side)]
    }

    /// The head of the answer was read: its messages stand in it as `wire` says, unless they are
    /// `coded` as a whole.
    pub(super) fn answered(&mut self, status: Option<u16>, wire: Option<Wire>, coded: bool) {
        let unary = self.wire == Wire::ConnectUnary;
        let counter = &mut self.way(Side::Server).counter;
        *counter = match wire {
            _ if unary && status == Some(200) => return,
            _ if unary => Counter::of_error(),
            Some(wire) => Counter::new(wire),
            None => Counter::none(),
        };
        if coded {
            counter.lose();
        }
    }

    /// What follows the head of `side` is framed as HTTP/1 frames bodies.
    pub(super) fn begin_body(&mut self, side: Side, framing: Framing) {
        self.way(side).body = Some(Body::new(framing));
    }

    /// The next bytes of the body of `side`.
    pub(super) fn bytes(&mut self, side: Side, mut bytes: &[u8], time: Timestamp) {
        let Way { counter, body } = self.way(side);
        let Some(body) = body else {
            return counter.bytes(bytes, time);
        };
        while !bytes.is_empty() {
            let content = body.data_ahead().min(bytes.len() as u64) as usize;
            let taken = match content {
                0 => memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1),
                content => content,
            };
            let (now, rest) = bytes.split_at(taken);
            let in_trailers = body.is_in_trailers();
            let fed = body.feed(now);
            if content > 0 {
                counter.bytes(now, time);
            } else if in_trailers {
                counter.fields(now, body.is_done());
            }
            if fed == Fed::Broken {
                return counter.lose();
            }
            bytes = rest;
        }
    }

    /// So many bytes of the body of `side` are missing.
    pub(super) fn miss(&mut self, side: Side, missing: u64, time: Timestamp) {
        let Way { counter, body } = self.way(side);
        let stepped = body.as_mut().map(|body| body.step(missing));
        match stepped {
            None | Some(Stepped::Over) => counter.miss(missing, time),
            Some(Stepped::Done(0)) => {}
            Some(Stepped::Done(taken)) => counter.miss(taken, time),
            Some(Stepped::Lost) => counter.lose(),
        }
    }

    /// Nobody knows what follows in the body of `side`.
    pub(super) const fn lose(&mut self, side: Side) {
        self.ways[index(side)].counter.lose();
    }

    /// Whether the body of `side`, in HTTP/1, cannot be told from one that was not to be shown.
    fn may_be_masked(&self, side: Side) -> bool {
        let counter = &self.ways[index(side)].counter;
        // An empty message is nothing but zeros, too.
        let is_one = side == Side::Client && counter.messages().count <= Some(1);
        counter.is_blank() && !is_one
    }

    /// The call is over, in HTTP/1 unless `is_stream`: tells what was counted, and what the end of
    /// the answer said. `unread`: whose body could not be read to its end.
    pub(super) fn end(
        mut self,
        grpc: &mut Grpc,
        start: Timestamp,
        is_stream: bool,
        unread: [bool; 2],
    ) -> Said {
        if !is_stream {
            for (side, unread) in [Side::Client, Side::Server].into_iter().zip(unread) {
                let body = self.ways[index(side)].body.as_ref();
                let is_whole = body.is_some_and(|body| !unread || body.is_done());
                if !is_whole || self.may_be_masked(side) {
                    self.lose(side);
                }
            }
        }
        let [request, response] = self.ways.map(|way| way.counter);
        let said = response.said();
        let (request, response) = (request.messages(), response.messages());
        grpc.request = request.count;
        grpc.response = response.count;
        grpc.compressed = [request.compressed, response.compressed];
        grpc.first_message = response.first.map(|first| first - start);
        let silence = response.longest_silence;
        grpc.longest_silence = (response.count > Some(1)).then_some(silence);
        said
    }

    /// Bytes that it takes, about.
    pub(super) fn weight(&self) -> usize {
        let kept = self.ways.iter().map(|way| way.counter.weight());
        size_of::<Self>() + kept.sum::<usize>()
    }
}
