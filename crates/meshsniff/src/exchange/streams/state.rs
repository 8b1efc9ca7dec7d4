//! What an exchange has that is one stream of several.

use crate::exchange::model::{Doubt, Grpc, Side};
use crate::exchange::pending::PendingExchange;
use crate::packet::Mark;
use crate::protocol::grpc::{Counter, Status, Wire};
use crate::protocol::http2::frame::ErrorCode;
use crate::tcp::{Ack, CloseEvidence, Offset, Scope};

/// The end of a stream alone, before both sides were done with it.
#[derive(Clone, Copy, Debug)]
pub(in crate::exchange) struct StreamClose {
    /// Who ended it.
    pub(in crate::exchange) by: Side,
    /// The reason given.
    pub(in crate::exchange) code: ErrorCode,
    /// Whether a GOAWAY did it, for every stream above its last.
    pub(in crate::exchange) by_goaway: bool,
    /// Whether it was inside the exchange: not behind an answer that was whole by then, and that the
    /// client had taken where it is the client's.
    pub(in crate::exchange) is_inside: bool,
    /// The frame, as evidence.
    pub(in crate::exchange) close: CloseEvidence,
}

impl StreamClose {
    /// The server will not process the stream: its GOAWAY, before `upto`, names a lower one as the
    /// last.
    pub(super) const fn refused_by_goaway(
        code: ErrorCode,
        mark: Mark,
        upto: Offset,
        acked: Option<Offset>,
    ) -> Self {
        Self {
            by: Side::Server,
            code,
            by_goaway: true,
            is_inside: true,
            close: CloseEvidence {
                scope: Scope::Connection,
                mark,
                at: upto,
                acked,
                has_ack: true,
                claimed: None,
                is_next: true,
            },
        }
    }

    /// Whether the server says that it did not process the stream: it may be tried again.
    pub(in crate::exchange) fn is_refusal(&self) -> bool {
        self.by == Side::Server && (self.by_goaway || self.code == ErrorCode::REFUSED_STREAM)
    }
}

/// State of an exchange that is one stream of several.
#[derive(Clone, Debug, Default)]
pub(in crate::exchange) struct StreamState {
    /// Bytes of its frames, by side: heads compressed as they were sent, padding aside.
    pub(in crate::exchange) bytes: [u64; 2],
    /// Its end, if it was not by both sides being done.
    pub(in crate::exchange) close: Option<StreamClose>,
    /// Whether the other side acknowledged that end.
    close_acked: bool,
    /// Why frames of it may be missing that would change what became of it.
    pub(in crate::exchange) doubt: Option<Doubt>,
    /// What counts the messages of each side.
    pub(super) counters: Option<Box<[Counter; 2]>>,
    /// What may still be sent, by side; `None` where that is not known.
    pub(super) windows: [Option<i64>; 2],
    /// Since when a side cannot send, and when it could again.
    pub(super) blocked: [Option<(Mark, Option<Mark>)>; 2],
}

/// The index of a side in what is kept by side.
pub(super) const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl StreamState {
    /// Whether nothing that may still come can change what became of it.
    pub(in crate::exchange) const fn is_over(&self) -> bool {
        self.close.is_some() && self.close_acked
    }

    /// Bytes that it takes, about.
    pub(in crate::exchange) fn weight(&self) -> usize {
        let counters = self.counters.as_ref();
        let counters = counters.map_or(0, |two| {
            size_of::<[Counter; 2]>() + two.iter().map(Counter::weight).sum::<usize>()
        });
        size_of::<Self>() + counters
    }
}

impl PendingExchange {
    /// It is stream number `stream` of its connection.
    pub(super) fn begin_stream(&mut self, stream: u32) {
        self.exchange.stream = Some(stream);
        self.exchange.minor_version = None;
        self.confirmed = true;
        self.stream.get_or_insert_default();
    }

    /// The stream's own state.
    pub(super) fn stream_mut(&mut self) -> &mut StreamState {
        self.stream.get_or_insert_default()
    }

    /// The stream ended by itself. The first end is the one that counts.
    pub(super) fn close_stream(&mut self, close: StreamClose) {
        let mark = close.close.mark;
        // What comes after a whole answer ends only what was left of the request.
        let taken = self.response.upto.is_none_or(|upto| close.close.acked >= Some(upto));
        let is_inside = !self.is_answered() || close.by == Side::Client && !taken;
        let stream = self.stream.get_or_insert_default();
        if stream.close.is_some() {
            return;
        }
        stream.close = Some(StreamClose { is_inside, ..close });
        if close.by == Side::Client {
            let last = self.response.last;
            self.response_before_close.get_or_insert(last);
        }
        if !is_inside {
            return;
        }
        let events = &mut self.exchange.events;
        match (close.by_goaway, close.by) {
            (true, _) => events.goaway = Some(mark),
            (false, Side::Client) => events.client_rst_stream = Some(mark),
            (false, Side::Server) => events.server_rst_stream = Some(mark),
        }
    }

    /// Bytes of `side` were acknowledged: its end of the stream may be among them.
    pub(in crate::exchange) fn close_acknowledged(&mut self, side: Side, ack: Ack) {
        if let Some(stream) = self.stream.as_deref_mut()
            && let Some(close) = stream.close
            && close.by == side
            && ack.upto >= close.close.at
        {
            stream.close_acked = true;
        }
    }

    /// Frames of `side`, from the place `from` on, are missing: some may have been of this stream.
    pub(super) fn lose_frames(&mut self, side: Side, why: Doubt, from: Offset) {
        match side {
            Side::Client => {
                if self.request.upto.is_none() {
                    self.confidence.request.get_or_insert(why);
                }
                // It may have ended the stream there.
                self.stream_mut().doubt.get_or_insert(why);
            }
            Side::Server if !self.is_answered() => {
                self.confidence.response.get_or_insert(why);
                self.answer.possible.get_or_insert(from);
            }
            Side::Server => {}
        }
        if let Some(counters) = &mut self.stream_mut().counters {
            counters[index(side)].lose();
        }
    }

    /// The request is a call whose messages stand in its body as `wire` says.
    pub(super) fn begin_call(&mut self, wire: Wire) {
        let path = self.exchange.path.as_deref().unwrap_or_default();
        let mut parts = path.trim_start_matches('/').rsplitn(2, '/');
        let method = parts.next().filter(|method| !method.is_empty());
        let service = parts.next();
        let is_health = service == Some("grpc.health.v1.Health");
        self.exchange.grpc = Some(Box::new(Grpc {
            wire,
            service: service.map(Into::into),
            method: method.map(Into::into),
            status: None,
            message: None,
            request: None,
            response: None,
            compressed: [0; 2],
            first_message: None,
            longest_silence: None,
        }));
        self.exchange.probe |= is_health;
        let counter = Counter::new(wire);
        self.stream_mut().counters = Some(Box::new([counter.clone(), counter]));
    }

    /// Takes over what a head or trailers say of the call.
    pub(super) fn read_status(&mut self, status: Option<u32>, message: Option<&str>) {
        if let Some(grpc) = &mut self.exchange.grpc {
            grpc.status = status.map(Status).or(grpc.status);
            if let Some(message) = message.filter(|message| !message.is_empty()) {
                grpc.message = Some(message.into());
            }
        }
    }

    /// The exchange is over: what was counted of its messages is told.
    pub(in crate::exchange) fn end_call(&mut self) {
        let start = self.exchange.start();
        let Some(counters) = self
            .stream
            .as_deref_mut()
            .and_then(|stream| stream.counters.take())
        else {
            return;
        };
        let Some(grpc) = &mut self.exchange.grpc else {
            return;
        };
        let [request, response] = *counters;
        let (status, message) = response.trailers();
        grpc.status = grpc.status.or(status.map(Status));
        let message = message.filter(|text| !text.is_empty());
        grpc.message = grpc.message.take().or(message);
        let (request, response) = (request.messages(), response.messages());
        grpc.request = request.count;
        grpc.response = response.count;
        grpc.compressed = [request.compressed, response.compressed];
        grpc.first_message = response.first.map(|first| first - start);
        let silence = response.longest_silence;
        grpc.longest_silence = (response.count > Some(1)).then_some(silence);
    }
}
