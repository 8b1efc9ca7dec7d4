//! Flow control (RFC 9113, 5.2): what is sent, and what may be sent again.

use super::Streams;
use super::window;
use crate::exchange::model::Side;
use crate::exchange::pending::PendingExchange;
use crate::exchange::stream::index;
use crate::packet::Mark;
use crate::protocol::http2::frame::Setting;
use crate::protocol::http2::reader::Data;

impl Streams {
    /// `side` sent a part of a body.
    pub(super) fn sent(&mut self, side: Side, data: &Data<'_>, mark: Mark) {
        let counted = i64::from(data.counted);
        let window = &mut self.way(side).flow.window;
        *window = window.map(|left| left - counted);
        let of_connection = *window;
        let Some(open) = self.open.get_mut(&data.stream) else {
            return;
        };
        let at = index(side);
        let stream = open.stream_mut();
        if counted > 0
            && let Some(blocked) = stream.blocked[at].take()
        {
            window::note(open, side, blocked, mark.time);
        }
        let stream = open.stream_mut();
        let window = &mut stream.windows[at];
        *window = window.map(|left| left - counted);
        let used_up = [*window, of_connection]
            .into_iter()
            .flatten()
            .any(|left| left <= 0);
        if used_up && !data.end_stream && stream.blocked[at].is_none() {
            stream.blocked[at] = Some((mark, None));
        }
    }

    /// `side` lets the other send more.
    pub(super) fn window_update(&mut self, side: Side, stream: u32, increment: u32, mark: Mark) {
        let sender = side.other();
        let at = index(sender);
        let more = i64::from(increment);
        if stream == 0 {
            let flow = &mut self.way(sender).flow;
            flow.window = flow.window.map(|left| left + more);
        } else if let Some(open) = self.open.get_mut(&stream) {
            let window = &mut open.stream_mut().windows[at];
            *window = window.map(|left| left + more);
        }
        let of_connection = self.way(sender).flow.window;
        let wakes = |open: &mut PendingExchange| {
            let stream = open.stream_mut();
            let left = [stream.windows[at], of_connection];
            if left.into_iter().flatten().all(|left| left > 0)
                && let Some((_, opened)) = &mut stream.blocked[at]
            {
                opened.get_or_insert(mark);
            }
        };
        if stream == 0 {
            self.open.values_mut().for_each(|open| wakes(open));
        } else if let Some(open) = self.open.get_mut(&stream) {
            wakes(open);
        }
    }

    /// `side` set a limit for the other.
    pub(super) fn setting(&mut self, side: Side, setting: Setting) {
        let sender = side.other();
        match setting {
            Setting::HeaderTableSize(_) | Setting::Other(..) => {}
            Setting::MaxConcurrentStreams(most) => self.way(side).peer.max_concurrent = Some(most),
            Setting::InitialWindowSize(bytes) => {
                let new = i64::from(bytes);
                let flow = &mut self.way(sender).flow;
                let old = flow.initial.replace(new);
                let at = index(sender);
                for open in self.open.values_mut() {
                    let window = &mut open.stream_mut().windows[at];
                    *window = window.zip(old).map(|(left, old)| left + new - old);
                }
            }
        }
    }
}
