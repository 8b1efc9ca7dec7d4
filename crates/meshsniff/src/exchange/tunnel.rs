//! A tunnel of WebSocket that is under way: what both sides send in it, and how it ends.

use super::model::{Finding, FindingKind, Side, WebSocket};
use super::stream::index;
use crate::packet::Mark;
use crate::protocol::websocket::{Frames, Opcode, Splitter, Step, Violation, closing};
use crate::time::{Span, Timestamp};
use compact_str::CompactString;
use std::collections::VecDeque;

/// Pings of a side that are remembered until they are answered. A Pong answers those before it, too.
const MAX_PINGS: usize = 16;

/// A Ping without a Pong for so long is told.
const UNANSWERED: Span = Span::from_secs(1);

/// A side's Close.
#[derive(Clone, Debug)]
struct CloseFrame {
    mark: Mark,
    code: Option<u16>,
    reason: Option<CompactString>,
}

/// One side.
#[derive(Clone, Debug, Default)]
struct Way {
    splitter: Splitter,
    frames: Frames,
    bytes: u64,
    compressed: u64,
    /// Whether nothing can be read any more: bytes are missing, or are no frames.
    is_lost: bool,
    close: Option<CloseFrame>,
    /// Pings of it that the other side has not answered.
    pings: VecDeque<(Mark, Vec<u8>)>,
    /// The packet behind which it sends no more.
    end: Option<Mark>,
}

/// A tunnel that is under way.
#[derive(Clone, Debug)]
pub(super) struct Tunnel {
    ways: [Way; 2],
    longest_pong: Option<Span>,
    violation: Option<(Side, Violation, Mark)>,
    /// When a byte came last.
    last: Timestamp,
    longest_silence: Span,
}

/// How the tunnel ended: who ended it, and the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct TunnelEnd {
    pub(super) by: Side,
    pub(super) mark: Mark,
}

impl Tunnel {
    /// One that was agreed on at `begin`.
    pub(super) fn new(begin: Timestamp) -> Self {
        Self {
            ways: [Way::default(), Way::default()],
            longest_pong: None,
            violation: None,
            last: begin,
            longest_silence: Span::ZERO,
        }
    }

    const fn way(&mut self, side: Side) -> &mut Way {
        &mut self.ways[index(side)]
    }

    fn heard(&mut self, time: Timestamp) {
        self.longest_silence = self.longest_silence.max(time - self.last);
        self.last = self.last.max(time);
    }

    /// The next bytes of `side`, in the packet `mark`.
    pub(super) fn bytes(&mut self, side: Side, mut bytes: &[u8], mark: Mark) {
        if bytes.is_empty() {
            return;
        }
        self.heard(mark.time);
        while !bytes.is_empty() && !self.way(side).is_lost {
            let way = self.way(side);
            let inside = way.splitter.remaining().is_some();
            let (step, taken) = way.splitter.read(bytes);
            if inside {
                way.bytes += taken as u64;
            }
            bytes = &bytes[taken..];
            match step {
                Step::Frame(header) => {
                    let way = self.way(side);
                    way.frames.count(header.opcode);
                    way.compressed += u64::from(header.compressed);
                    let wrong = match side {
                        Side::Client if header.mask.is_none() => Some(Violation::Unmasked),
                        Side::Server if header.mask.is_some() => Some(Violation::Masked),
                        _ => None,
                    };
                    if let Some(violation) = wrong {
                        self.violation.get_or_insert((side, violation, mark));
                    }
                    if header.length == 0 {
                        self.frame_ends(side, mark);
                    }
                }
                Step::Ends => self.frame_ends(side, mark),
                Step::Broken(violation) => {
                    let way = self.way(side);
                    way.is_lost = true;
                    // An agent that shows no bodies sends zeros in their place.
                    if !way.splitter.is_blank() || way.frames != Frames::default() {
                        self.violation.get_or_insert((side, violation, mark));
                    }
                }
                Step::Begun | Step::Goes => {}
            }
        }
    }

    /// So many bytes of `side` are missing; what is behind them came in `mark`.
    pub(super) fn missing(&mut self, side: Side, count: u64, mark: Mark) {
        self.heard(mark.time);
        let way = self.way(side);
        if way.is_lost {
            return;
        }
        let was_inside = way.splitter.remaining().is_some();
        if !was_inside || !way.splitter.miss(count) {
            return self.lose(side);
        }
        self.way(side).bytes += count;
        if self.way(side).splitter.remaining().is_none() {
            self.frame_ends(side, mark);
        }
    }

    /// Nobody knows what follows of `side`.
    pub(super) fn lose(&mut self, side: Side) {
        self.way(side).is_lost = true;
        // Their Pongs may be among what is missing.
        self.way(side.other()).pings.clear();
    }

    /// `side` sends no more, from the packet `mark` on.
    pub(super) fn ends(&mut self, side: Side, mark: Mark) {
        self.way(side).end.get_or_insert(mark);
    }

    /// Bytes of a payload of `side` that are due.
    pub(super) const fn remaining(&self, side: Side) -> Option<u64> {
        let way = &self.ways[index(side)];
        if way.is_lost {
            return None;
        }
        way.splitter.remaining()
    }

    fn frame_ends(&mut self, side: Side, mark: Mark) {
        let way = self.way(side);
        let Some(header) = way.splitter.frame() else {
            return;
        };
        let payload = way.splitter.control();
        match header.opcode {
            Opcode::Close if way.close.is_none() => {
                let (code, reason) = payload.map(closing).unwrap_or_default();
                way.close = Some(CloseFrame { mark, code, reason });
            }
            Opcode::Ping => {
                if let Some(payload) = payload {
                    let payload = payload.to_vec();
                    if way.pings.len() == MAX_PINGS {
                        way.pings.pop_front();
                    }
                    way.pings.push_back((mark, payload));
                }
            }
            Opcode::Pong => {
                let payload = payload.map(<[u8]>::to_vec);
                self.ponged(side.other(), payload.as_deref(), mark.time);
            }
            _ => {}
        }
    }

    /// A Ping of `side` was answered with `payload`.
    fn ponged(&mut self, side: Side, payload: Option<&[u8]>, time: Timestamp) {
        let pings = &mut self.way(side).pings;
        let Some(payload) = payload else {
            return pings.clear();
        };
        let Some(at) = pings.iter().position(|(_, asked)| asked == payload) else {
            return;
        };
        let answered = pings.drain(..=at).next_back();
        if let Some((asked, _)) = answered {
            let took = (time - asked.time).max(Span::ZERO);
            self.longest_pong = self.longest_pong.max(Some(took));
        }
    }

    /// Whether nothing can follow: both sides have said that they close, or have closed.
    pub(super) fn is_over(&self) -> bool {
        let said = self.ways.iter().all(|way| way.close.is_some());
        said || self.ways.iter().all(|way| way.end.is_some())
    }

    /// The first side that ended what it sends, with a FIN or the end of its stream.
    fn first_end(&self) -> Option<TunnelEnd> {
        let ends = [Side::Client, Side::Server].into_iter();
        let ends = ends.filter_map(|by| {
            let mark = self.ways[index(by)].end?;
            Some(TunnelEnd { by, mark })
        });
        ends.min_by_key(|end| end.mark.order)
    }

    /// The tunnel is over: by `close`, the first close of what carries it, if that was seen to end
    /// before `now`. `is_sure`: whether a Close that was not seen was not sent.
    pub(super) fn end(
        mut self,
        close: Option<TunnelEnd>,
        now: Option<Timestamp>,
        is_sure: bool,
        note: &mut dyn FnMut(Finding),
    ) -> WebSocket {
        let close = [close, self.first_end()].into_iter().flatten();
        let close = close.min_by_key(|end| end.mark.order);
        let is_over = self.is_over();
        let last = self.last;
        if let Some(end) = close.map(|end| end.mark.time).or(now.filter(|_| !is_over)) {
            self.heard(end);
        }
        let firsts = [Side::Client, Side::Server].into_iter();
        let closes = firsts.filter_map(|by| Some((by, self.ways[index(by)].close.as_ref()?)));
        let first = closes.min_by_key(|(_, close)| close.mark.order);
        let lost_close = self
            .ways
            .iter()
            .any(|way| way.is_lost && way.close.is_none());
        let answered = self.ways.iter().all(|way| way.close.is_some());
        if let Some((side, _, mark)) = self.violation {
            note(Finding {
                kind: FindingKind::WebsocketViolation,
                side,
                frames: vec![mark],
                cost: Span::ZERO,
            });
        }
        if let Some((side, said)) = first
            && said.code.is_some_and(|code| code != 1000)
        {
            note(Finding {
                kind: FindingKind::WebsocketCloseCode,
                side,
                frames: vec![said.mark],
                cost: Span::ZERO,
            });
        }
        if let Some(end) = close
            && !answered
            && !lost_close
            && is_sure
        {
            let said = first.map(|(_, close)| close.mark);
            let mut frames: Vec<Mark> = said.into_iter().chain([end.mark]).collect();
            frames.dedup_by_key(|mark| mark.order);
            note(Finding {
                kind: FindingKind::WebsocketNoClose,
                side: end.by,
                frames,
                cost: (end.mark.time - last).max(Span::ZERO),
            });
        }
        let end = close.map(|end| end.mark.time).or(now).unwrap_or(last);
        for side in [Side::Client, Side::Server] {
            let other = side.other();
            // Whoever has said that it closes owes no Pong.
            let closed = self.ways[index(other)].close.as_ref();
            let end = closed.map_or(end, |close| end.min(close.mark.time));
            if let Some((mark, _)) = self.ways[index(side)].pings.front()
                && !self.ways[index(other)].is_lost
                && end - mark.time >= UNANSWERED
            {
                note(Finding {
                    kind: FindingKind::PingUnanswered,
                    side: other,
                    frames: vec![*mark],
                    cost: end - mark.time,
                });
            }
        }
        let (closed_by, code, reason) = first.map_or((None, None, None), |(by, close)| {
            (Some(by), close.code, close.reason.clone())
        });
        let [client, server] = &self.ways;
        WebSocket {
            frames: [client.frames, server.frames],
            whole: [!client.is_lost, !server.is_lost],
            bytes: [client.bytes, server.bytes],
            compressed: [client.compressed, server.compressed],
            longest_pong: self.longest_pong,
            closed_by,
            close_code: code,
            close_reason: reason,
            close_answered: answered,
            violation: self.violation.map(|(side, what, _)| (side, what)),
            longest_silence: self.longest_silence,
        }
    }

    /// Bytes that it takes, about.
    pub(super) fn weight(&self) -> usize {
        let ways = self.ways.iter().map(|way| {
            let pings = way.pings.iter().map(|(_, payload)| payload.capacity());
            let reason = way.close.as_ref().and_then(|close| close.reason.as_ref());
            way.splitter.weight()
                + way.pings.capacity() * size_of::<(Mark, Vec<u8>)>()
                + pings.sum::<usize>()
                + reason.map_or(0, |text| text.len())
        });
        size_of::<Self>() + ways.sum::<usize>()
    }
}
