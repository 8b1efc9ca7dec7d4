//! What becomes of an exchange that is one stream of several.

use crate::exchange::model::{Doubt, Side};
use crate::exchange::pending::PendingExchange;
use crate::exchange::stream::{StreamClose, StreamState};
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
        if let Some(call) = &mut self.call {
            call.lose(side);
        }
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.lose(side);
        }
        if let Some(feed) = self.feed.as_mut().filter(|_| side == Side::Server) {
            feed.lose();
        }
    }
}
