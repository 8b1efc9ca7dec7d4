//! What becomes of an exchange that is one stream of several.

use crate::exchange::model::{Doubt, Grpc, Side};
use crate::exchange::pending::PendingExchange;
use crate::exchange::stream::{StreamClose, StreamState, index};
use crate::protocol::grpc::{Counter, Status, Wire};
use crate::tcp::Offset;

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
        let taken = self
            .response
            .upto
            .is_none_or(|upto| close.close.acked >= Some(upto));
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
}
