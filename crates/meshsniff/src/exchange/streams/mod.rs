//! From the frames on the two directions of an HTTP/2 connection to its exchanges.
//!
//! A request and its answer share a stream's number, so nothing has to be paired by order, and what
//! is missing puts only those streams in doubt that were open then. Frames are read by
//! [`crate::protocol::http2`], segments and closes are [`crate::tcp`]'s, the verdict is
//! [`super::judge`]'s.
//!
//! | here | holds |
//! |---|---|
//! | this file | the streams that are open, and where frames go |
//! | `state` | what becomes of one of them |
//! | `messages` | heads and bodies of the two sides |
//! | `flow`, `window` | flow control, and the streams that it holds up |
//! | `peer` | settings, pings, and who said goodbye |
//!
//! A stream that the server begins (a push) makes no exchange: nobody waits for it.

mod flow;
mod messages;
mod peer;
mod state;
mod window;

use super::counts::Counts;
use super::model::{Doubt, Finding, FindingKind, GoneAway, Side};
use super::pending::{Acks, PendingExchange};
use super::stream::StreamClose;
use crate::packet::{Endpoint, Mark};
use crate::protocol::http2::frame::{ErrorCode, Setting};
use crate::protocol::http2::reader::{Event, Reader};
use crate::tcp::{
    Ack, CloseEvidence, Delay, Delayed, Extent, Missing, Offset, Progress, Run, Scope, StreamEvent,
};
use crate::time::{Span, Timestamp};
use peer::Peer;
use std::collections::{BTreeMap, VecDeque};
use window::Flow;

/// Most streams of one connection that are open at once. Servers permit some hundred.
const MAX_OPEN: usize = 4096;

/// Frames of each direction that are remembered, to tell whose bytes were lost.
const MAX_FRAMES: usize = 512;

/// Streams that are told to have been held up by TCP's window, the oldest ones.
const MAX_HELD_UP: usize = 256;

/// Streams that are looked at for one that waits.
const LOOKED_AT: usize = 16;

/// One direction.
#[derive(Debug)]
struct Way {
    reader: Reader,
    /// Why frames of it are missing, while its place is lost.
    lost: Option<Doubt>,
    /// Why its header table is not known whole.
    unsure: Option<Doubt>,
    /// Its latest acknowledgments, for what ends in bytes that were acknowledged before.
    acks: Acks,
    /// Streams that wait for an acknowledgment of everything before a place.
    unacknowledged: VecDeque<(Offset, u32)>,
    /// The latest frames: one past the last byte, the stream, and the packet.
    frames: VecDeque<(Offset, u32, Mark)>,
    /// The highest number of a stream that is in doubt because frames of it are missing.
    doubted: u32,
    /// What may be sent in it.
    flow: Flow,
    /// What its sender said of itself.
    peer: Peer,
}

/// The exchanges of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    connection: u64,
    ends: (Endpoint, Endpoint),
    /// Bytes of each body that are kept, with the heads; `None` if no message is.
    messages: Option<usize>,
    client: Way,
    server: Way,
    open: BTreeMap<u32, Box<PendingExchange>>,
    /// Exchanges that nothing can change any more.
    settled: VecDeque<Box<PendingExchange>>,
    /// The highest number of a stream that the client began.
    highest: u32,
    /// The number of the stream begun last, whose head has an id, if nobody has asked for it.
    newly_asked: Option<u32>,
    newly_waiting: bool,
    counts: Counts,
    last_response_end: Option<Timestamp>,
    /// The latest end of a stream, for whoever could not begin one before.
    latest_end: Option<Mark>,
    /// The packet being looked at.
    now: Mark,
}

impl Way {
    fn new(side: Side, whole: bool, spell: bool) -> Self {
        let late = (!whole).then_some(Doubt::CaptureStartedLate);
        Self {
            reader: Reader::new(side, whole, spell),
            lost: late,
            unsure: late,
            acks: Acks::default(),
            unacknowledged: VecDeque::new(),
            frames: VecDeque::new(),
            doubted: 0,
            flow: Flow::new(whole),
            peer: Peer::default(),
        }
    }
}

impl Streams {
    /// The exchanges of a connection with this number and these ends. `whole`: whether the client is
    /// seen from its preface on, and the server from its first frame on.
    pub(super) fn new(
        (connection, ends): (u64, (Endpoint, Endpoint)),
        whole: (bool, bool),
        messages: Option<usize>,
    ) -> Self {
        let spell = messages.is_some();
        Self {
            connection,
            ends,
            messages,
            client: Way::new(Side::Client, whole.0, spell),
            server: Way::new(Side::Server, whole.1, spell),
            open: BTreeMap::new(),
            settled: VecDeque::new(),
            highest: 0,
            newly_asked: None,
            newly_waiting: true,
            counts: Counts::default(),
            last_response_end: None,
            latest_end: None,
            now: Mark::default(),
        }
    }

    const fn way(&mut self, side: Side) -> &mut Way {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// The request that asked HTTP/1 for HTTP/2 is answered on stream 1 (RFC 7540, 3.2).
    pub(super) fn adopt(&mut self, mut open: Box<PendingExchange>) {
        open.begin_stream(1);
        self.highest = 1;
        self.counts.exchanges += 1;
        if let Some(upto) = open.request.upto {
            self.client.unacknowledged.push_back((upto, 1));
        }
        self.open.insert(1, open);
    }

    /// A request with an id, once after its head was read.
    pub(super) fn newly_asked(&mut self) -> Option<&super::Exchange> {
        let id = self.newly_asked.take()?;
        self.open.get(&id).map(|open| &open.exchange)
    }

    pub(super) const fn newly_waiting(&mut self) -> bool {
        std::mem::replace(&mut self.newly_waiting, false)
    }

    /// The oldest request of which no byte of its answer has come.
    pub(super) fn unanswered(&mut self) -> Option<&mut PendingExchange> {
        self.open
            .values_mut()
            .take(LOOKED_AT)
            .map(|open| &mut **open)
            .find(|open| open.exchange.events.response_start.is_none())
    }

    pub(super) const fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) const fn last_response_end(&self) -> Option<Timestamp> {
        self.last_response_end
    }

    /// Who ended the connection's streams by a GOAWAY: the server, else the client.
    pub(super) fn gone_away(&self) -> Option<GoneAway> {
        let by = |side, peer: &Peer| {
            peer.goaway.map(|(last_stream, code, mark)| GoneAway {
                by: side,
                code,
                last_stream,
                mark,
            })
        };
        by(Side::Server, &self.server.peer).or_else(|| by(Side::Client, &self.client.peer))
    }

    /// Most streams that the server permits at once, if it said so.
    pub(super) const fn max_concurrent(&self) -> Option<u32> {
        self.server.peer.max_concurrent
    }

    pub(super) fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    pub(super) fn take_settled(&mut self) -> Option<Box<PendingExchange>> {
        self.settled.pop_front()
    }

    /// Everything left at `now`, the end of the connection or of the capture.
    pub(super) fn take_rest(&mut self, now: Timestamp) -> VecDeque<Box<PendingExchange>> {
        for side in [Side::Client, Side::Server] {
            if let Some(headers) = self.way(side).reader.lose() {
                let upto = headers.start.0;
                let at = Progress::unacknowledged(upto, self.now);
                self.headers(side, *headers, upto, None, &at);
            }
        }
        let mut rest: VecDeque<_> = std::mem::take(&mut self.open).into_values().collect();
        for open in &mut rest {
            if let Some((mark, upto)) = open.whole_body() {
                open.end_response(upto, Some(mark), mark.order);
                if let Some(ack) = self.server.acks.covering(upto, mark) {
                    open.acknowledged(Side::Server, ack);
                }
            }
            Flow::end(open, Side::Client, now);
            Flow::end(open, Side::Server, now);
            for (side, peer) in [
                (Side::Client, &self.client.peer),
                (Side::Server, &self.server.peer),
            ] {
                peer.note_unanswered(open, side.other(), now);
            }
        }
        rest
    }

    /// Whether a request is open of which no byte of its answer has come.
    pub(super) fn awaits_answer(&self) -> bool {
        let mut open = self.open.values();
        open.any(|open| open.exchange.events.response_start.is_none())
    }

    pub(super) fn expected(&self, side: Side) -> Option<u64> {
        match side {
            Side::Client => self.client.reader.remaining(),
            Side::Server => self.server.reader.remaining(),
        }
    }

    pub(super) fn weight(&self) -> usize {
        let open: usize = self.open.values().map(|open| open.weight()).sum();
        let settled: usize = self.settled.iter().map(|open| open.weight()).sum();
        let ways = [&self.client, &self.server].into_iter().map(|way| {
            let frames = way.frames.capacity() * size_of::<(Offset, u32, Mark)>();
            let waiting = way.unacknowledged.capacity() * size_of::<(Offset, u32)>();
            way.reader.weight() + frames + waiting
        });
        size_of::<Self>() + open + settled + ways.sum::<usize>()
    }

    pub(super) fn tell(&mut self, side: Side, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Bytes(run, at) => self.bytes(side, run, &at),
            StreamEvent::Missing(missing, at) => self.missing(side, missing, &at),
            StreamEvent::Acknowledged(ack) => self.acknowledged(side, ack),
            StreamEvent::Delayed(delayed) => self.delayed(side, &delayed),
            StreamEvent::Closes if side == Side::Client => {
                for open in self.open.values_mut() {
                    let last = open.response.last;
                    open.response_before_close.get_or_insert(last);
                }
            }
            StreamEvent::WindowClosed {
                since,
                opened,
                until,
            } => self.window_closed(side, since, opened, until),
            StreamEvent::Closes | StreamEvent::Finished(..) | StreamEvent::Repeated(..) => {}
        }
    }

    /// The next bytes of `side`.
    pub(super) fn bytes(&mut self, side: Side, run: Run<'_>, at: &Progress) {
        self.now = at.mark;
        let way = self.way(side);
        if way.reader.is_lost() {
            if !run.segment_start || !way.reader.find(run.bytes) {
                return;
            }
            way.lost = None;
        }
        let mut used = 0;
        while used < run.bytes.len() {
            let offset = run.from + used as u64;
            let reader = &mut self.way(side).reader;
            let (event, taken) = reader.read(&run.bytes[used..], offset, run.mark);
            let latest = reader.latest();
            used += taken;
            let upto = offset + taken as u64;
            self.event(side, event, upto, Some(latest), at);
            if self.way(side).reader.is_lost() {
                return;
            }
        }
    }

    fn missing(&mut self, side: Side, missing: Missing, at: &Progress) {
        self.now = at.mark;
        let Extent { mut from, upto } = missing.extent;
        while from < upto {
            let reader = &mut self.way(side).reader;
            if reader.is_lost() || !missing.measured {
                return self.lose(side, missing.why, from, at);
            }
            if reader.remaining().is_none() {
                return self.lose(side, missing.why, from, at);
            }
            let (event, taken) = reader.miss(upto - from);
            from = from + taken;
            // Of a body no more is missing than the header of its frame says.
            if !matches!(event, Event::Data(_)) {
                self.way(side).flow.lose();
                self.way(side).unsure.get_or_insert(missing.why);
            }
            self.event(side, event, from, missing.cut_in, at);
        }
    }

    /// Nobody knows where the next frame of `side` begins, from the place `from` on.
    fn lose(&mut self, side: Side, why: Doubt, from: Offset, at: &Progress) {
        if let Some(headers) = self.way(side).reader.lose() {
            self.headers(side, *headers, from, None, at);
        }
        let way = self.way(side);
        way.lost = Some(why);
        way.unsure = Some(why);
        way.flow.lose();
        self.way(side.other()).peer.lose();
        // Settings of its own, or its acknowledgments, may be among them.
        self.client.reader.limit(None);
        self.server.reader.limit(None);
        // Those of before are in doubt already: a capture with many holes costs no more for that.
        let highest = self.highest;
        let doubted = std::mem::replace(&mut self.way(side).doubted, highest);
        for (_, open) in self.open.range_mut(doubted.saturating_add(1)..) {
            open.lose_frames(side, why, from);
        }
    }

    /// What came, up to `upto`; its last byte in the packet `mark`, if that was seen.
    fn event(
        &mut self,
        side: Side,
        event: Event<'_>,
        upto: Offset,
        mark: Option<Mark>,
        at: &Progress,
    ) {
        match event {
            Event::Nothing | Event::Preface | Event::Priority { .. } | Event::Passed(_) => {}
            Event::Headers(headers) => {
                self.remember(side, headers.stream, upto, headers.start.1);
                self.headers(side, *headers, upto, mark, at);
            }
            Event::Data(data) => {
                self.remember(side, data.stream, upto, data.start.1);
                self.data(side, data, upto, mark, at);
            }
            Event::Reset { stream, code } => {
                self.remember(side, stream, upto, at.mark);
                let mark = mark.unwrap_or(at.mark);
                self.reset(side, stream, code, (upto, mark), at);
            }
            Event::Goaway { last, code, .. } => {
                self.goaway(side, (last, code), (upto, mark.unwrap_or(at.mark)), at);
            }
            Event::Window { stream, increment } => {
                self.window_update(side, stream, increment, mark.unwrap_or(at.mark));
            }
            Event::Settings(settings) => {
                let mark = mark.unwrap_or(at.mark);
                let mut limit = None;
                for setting in settings {
                    match setting {
                        Setting::HeaderTableSize(bytes) => limit = Some(bytes),
                        other => self.setting(side, other),
                    }
                }
                self.way(side).peer.settings_sent(limit, mark);
            }
            // Its sender keeps to them from here on, in the order of its frames.
            Event::SettingsTaken => {
                if let Some(limit) = self.way(side.other()).peer.settings_taken() {
                    self.way(side).reader.limit(Some(limit));
                }
            }
            Event::Ping {
                ack: false,
                payload,
            } => {
                let mark = mark.unwrap_or(at.mark);
                self.way(side).peer.pinged(payload, mark);
            }
            Event::Ping { ack: true, payload } => {
                self.way(side.other()).peer.ping_answered(payload);
            }
            Event::Broken => self.lose(side, Doubt::Unreadable, upto, at),
        }
    }

    /// A frame of `stream` ends at `upto`.
    fn remember(&mut self, side: Side, stream: u32, upto: Offset, mark: Mark) {
        let frames = &mut self.way(side).frames;
        if let Some(last) = frames.back_mut().filter(|last| last.1 == stream) {
            // What one stream sends on end has one entry.
            if last.2.order == mark.order {
                last.0 = upto;
                return;
            }
        }
        if frames.len() == MAX_FRAMES {
            frames.pop_front();
        }
        frames.push_back((upto, stream, mark));
    }

    /// `side` ended a stream alone, by a frame before `upto`.
    fn reset(
        &mut self,
        by: Side,
        stream: u32,
        code: ErrorCode,
        (upto, mark): (Offset, Mark),
        at: &Progress,
    ) {
        let acked = acked_by(by, at);
        if by == Side::Client {
            self.end_whole_body(stream, at);
        }
        let Some(open) = self.open.get_mut(&stream) else {
            return;
        };
        let close = StreamClose {
            by,
            code,
            by_goaway: false,
            is_inside: true,
            close: CloseEvidence {
                scope: Scope::Stream,
                mark,
                at: upto,
                acked,
                has_ack: true,
                claimed: None,
                is_next: true,
            },
        };
        open.close_stream(close);
        self.latest_end = Some(mark);
        self.await_ack(by, stream, upto, mark);
        self.settle(stream);
    }

    /// `side` takes no further streams.
    fn goaway(
        &mut self,
        by: Side,
        (last, code): (u32, ErrorCode),
        (upto, mark): (Offset, Mark),
        at: &Progress,
    ) {
        let before = self.way(by).peer.goaway.replace((last, code, mark));
        // Whoever says it again, and again, says nothing new.
        let had_failed = before.is_some_and(|(_, code, _)| code != ErrorCode::NO_ERROR);
        let had_refused = before.is_some_and(|(before, ..)| before <= last);
        if code != ErrorCode::NO_ERROR && !had_failed {
            for open in self.open.values_mut() {
                open.exchange.connection_error.get_or_insert((by, code));
            }
        }
        if by == Side::Client || had_refused {
            return;
        }
        let acked = acked_by(by, at);
        let refused: Vec<u32> = self
            .open
            .range(last.saturating_add(1)..)
            .map(|(id, _)| *id)
            .collect();
        for stream in refused {
            if let Some(open) = self.open.get_mut(&stream) {
                open.close_stream(StreamClose::refused_by_goaway(code, mark, upto, acked));
            }
            self.await_ack(by, stream, upto, mark);
            self.settle(stream);
        }
    }

    /// What `side` sent before `upto` ends something of a stream: it is settled when that has been
    /// acknowledged.
    fn await_ack(&mut self, side: Side, stream: u32, upto: Offset, mark: Mark) {
        let way = self.way(side);
        let known = way.acks.covering(upto, mark);
        if known.is_none() {
            way.unacknowledged.push_back((upto, stream));
        } else if let (Some(ack), Some(open)) = (known, self.open.get_mut(&stream)) {
            open.acknowledged(side, ack);
        }
    }

    fn acknowledged(&mut self, side: Side, ack: Ack) {
        let way = self.way(side);
        way.acks.push(ack);
        while let Some(&(upto, stream)) = self.way(side).unacknowledged.front() {
            if upto > ack.upto {
                break;
            }
            self.way(side).unacknowledged.pop_front();
            if let Some(open) = self.open.get_mut(&stream) {
                open.acknowledged(side, ack);
            }
            self.settle(stream);
        }
    }

    /// Puts a stream aside that nothing can change any more.
    fn settle(&mut self, stream: u32) {
        if self.open.get(&stream).is_some_and(|open| open.is_settled())
            && let Some(open) = self.open.remove(&stream)
        {
            self.settled.push_back(open);
        }
    }

    /// Puts a delay to the exchanges whose bytes came late, and to those that had to wait for them.
    fn delayed(&mut self, side: Side, delayed: &Delayed) {
        let kind = match (delayed.by, side) {
            (Delay::Loss, _) => FindingKind::Retransmission,
            (Delay::DelayedAck, _) => FindingKind::DelayedAckStall,
            (Delay::NeverTaken, Side::Client) => FindingKind::RequestUnacknowledged,
            (Delay::NeverTaken, Side::Server) => FindingKind::ResponseUnacknowledged,
        };
        let first = delayed.frames.first().map(|mark| mark.order);
        let last = delayed.frames.last().copied();
        let way = match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        let mut owners = Vec::new();
        let mut held_up = Vec::new();
        let mut begin = Offset::ORIGIN.saturating_sub(u64::MAX);
        for &(upto, stream, mark) in &way.frames {
            let extent = Extent {
                from: begin.min(upto),
                upto,
            };
            begin = upto;
            if extent.overlaps(delayed.extent) {
                owners.push(stream);
            } else if extent.from >= delayed.extent.upto
                && Some(mark.order) > first
                && last.is_some_and(|last| mark.order < last.order)
            {
                held_up.push((stream, mark));
            }
        }
        owners.sort_unstable();
        owners.dedup();
        for stream in &owners {
            if let Some(open) = self.open.get_mut(stream) {
                open.exchange.only_large_lost |= delayed.smaller_passed;
                open.note(Finding {
                    kind,
                    side,
                    frames: delayed.frames.clone(),
                    cost: delayed.cost,
                });
            }
        }
        if delayed.by != Delay::Loss {
            return;
        }
        held_up.sort_unstable_by_key(|&(stream, mark)| (stream, mark.order));
        held_up.dedup_by_key(|&mut (stream, _)| stream);
        for (stream, mark) in held_up {
            if owners.contains(&stream) {
                continue;
            }
            let Some((open, last)) = self.open.get_mut(&stream).zip(last) else {
                continue;
            };
            open.note(Finding {
                kind: FindingKind::HeadOfLine,
                side,
                frames: delayed.frames.clone(),
                cost: (last.time - mark.time).max(Span::ZERO).min(delayed.cost),
            });
        }
    }

    /// A receive window of TCP's was closed: that held up every stream.
    fn window_closed(&mut self, side: Side, since: Mark, opened: Option<Mark>, until: Timestamp) {
        for open in self.open.values_mut().take(MAX_HELD_UP) {
            let begun = since.time.max(open.exchange.start());
            open.note(Finding {
                kind: FindingKind::ZeroWindow,
                side,
                frames: [Some(since), opened].into_iter().flatten().collect(),
                cost: (until - begun).max(Span::ZERO),
            });
        }
    }
}

/// What `side` had acknowledged of the other's bytes.
const fn acked_by(side: Side, at: &Progress) -> Option<Offset> {
    match side {
        Side::Client => at.server_acked,
        Side::Server => at.client_acked,
    }
}
