//! The streams of HTTP/2 that have a share in one packet.

use crate::exchange::Side;
use crate::packet::Mark;
use crate::protocol::http2::reader::Event;

/// Most streams of a packet that are told.
const MAX_STREAMS: usize = 256;

/// What a stream has in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    /// What keeps it going: a window, a priority.
    Upkeep,
    /// A part of a head or of a body, whose frame began in another packet.
    Part,
    /// The beginning of a frame with a head or a body, or a reset.
    Begins,
}

/// A packet whose streams are looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    /// The number of its frame; 0 for none.
    frame: u64,
    /// Who sent it, and its place in the capture, once it came.
    came: Option<(Side, u64)>,
    streams: Vec<(u32, Share)>,
}

impl Watched {
    /// Looks for those of the frame with this number.
    pub(super) fn of(frame: u64) -> Self {
        Self {
            frame,
            ..Self::default()
        }
    }

    /// A packet of the connection comes.
    pub(super) const fn packet(&mut self, from: Side, mark: Mark) {
        if mark.frame.number() == self.frame {
            self.came = Some((from, mark.order));
        }
    }

    /// Something came, the last of it in the packet `mark`.
    pub(super) fn event(&mut self, from: Side, event: &Event<'_>, mark: Mark) {
        let Some((_, order)) = self.came.filter(|(side, _)| *side == from) else {
            return;
        };
        let (stream, start) = match event {
            Event::Headers(headers) => (headers.stream, Some(headers.start.1)),
            Event::Data(data) => (data.stream, Some(data.start.1)),
            Event::Reset { stream, .. } => (*stream, Some(mark)),
            Event::Window { stream, .. } | Event::Priority { stream, .. } => (*stream, None),
            Event::Passed(frame) => (frame.stream, None),
            _ => return,
        };
        let share = match start {
            Some(start) if start.order == order => Share::Begins,
            // The pieces of a head are told when it is whole.
            Some(start) if (start.order..=mark.order).contains(&order) => Share::Part,
            None if mark.order == order => Share::Upkeep,
            _ => return,
        };
        // Of a body a piece in another packet says nothing of this one.
        if matches!(event, Event::Data(_)) && share == Share::Part && mark.order != order {
            return;
        }
        let known = self.streams.iter_mut().find(|(known, _)| *known == stream);
        if let Some((_, known)) = known {
            *known = (*known).max(share);
        } else if stream > 0 && self.streams.len() < MAX_STREAMS {
            self.streams.push((stream, share));
        }
    }

    /// Those that have most of it, in their order.
    pub(super) fn streams(self) -> Vec<u32> {
        let most = self.streams.iter().map(|(_, share)| *share).max();
        let streams = self.streams.into_iter();
        let streams = streams.filter(|(_, share)| Some(*share) == most);
        streams.map(|(stream, _)| stream).collect()
    }
}
