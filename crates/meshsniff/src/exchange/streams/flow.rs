//! Flow control (RFC 9113, 5.2): what is sent, and what may be sent again.
//!
//! Nothing here goes through all streams for a frame: a peer could make that cost as it likes.

use super::Streams;
use super::window;
use crate::exchange::model::Side;
use crate::exchange::stream::index;
use crate::packet::Mark;
use crate::protocol::http2::frame::Setting;
use crate::protocol::http2::reader::Data;

impl Streams {
    /// `side` sent a part of a body.
    pub(super) fn sent(&mut self, side: Side, data: &Data<'_>, mark: Mark) {
        let counted = i64::from(data.counted);
        let Self {
            client,
            server,
            open,
            ..
        } = self;
        let flow = match side {
            Side::Client => &mut client.flow,
            Side::Server => &mut server.flow,
        };
        flow.window = flow.window.map(|left| left - counted);
        let Some(open) = open.get_mut(&data.stream) else {
            return;
        };
        let at = index(side);
        if counted > 0
            && let Some(blocked) = open.stream_mut().blocked[at].take()
        {
            window::note(open, side, blocked, mark.time);
        }
        let stream = open.stream_mut();
        stream.credits[at] -= counted;
        let used_up = flow.is_used_up(stream.credits[at]);
        if used_up && !data.end_stream && stream.blocked[at].is_none() {
            stream.blocked[at] = Some((mark, None));
            flow.wait(data.stream);
        }
    }

    /// `side` lets the other send more.
    pub(super) fn window_update(&mut self, side: Side, stream: u32, increment: u32, mark: Mark) {
        let at = index(side.other());
        let more = i64::from(increment);
        let Self {
            client,
            server,
            open,
            ..
        } = self;
        let flow = match side.other() {
            Side::Client => &mut client.flow,
            Side::Server => &mut server.flow,
        };
        let woken = if stream == 0 {
            flow.window = flow.window.map(|left| left + more);
            flow.wake()
        } else {
            if let Some(open) = open.get_mut(&stream) {
                open.stream_mut().credits[at] += more;
            }
            vec![stream]
        };
        for stream in woken {
            let Some(open) = open.get_mut(&stream) else {
                continue;
            };
            let state = open.stream_mut();
            let used_up = flow.is_used_up(state.credits[at]);
            let Some((_, opened)) = &mut state.blocked[at] else {
                continue;
            };
            if used_up {
                flow.wait(stream);
            } else {
                opened.get_or_insert(mark);
            }
        }
    }

    /// `side` set a limit for the other.
    pub(super) fn setting(&mut self, side: Side, setting: Setting) {
        match setting {
            Setting::HeaderTableSize(_) | Setting::Other(..) => {}
            Setting::MaxConcurrentStreams(most) => self.way(side).peer.max_concurrent = Some(most),
            Setting::InitialWindowSize(bytes) => {
                self.way(side.other()).flow.set_initial(bytes);
            }
        }
    }
}
