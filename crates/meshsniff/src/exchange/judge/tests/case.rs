//! Exchanges to be judged: what was seen of one, said in the terms of the rules.
//!
//! Everything that knows how the judge's input is laid out is in this file. A [`Case`] is written
//! down in the order in which things happened. Frame `n` was captured `n` milliseconds after the
//! first one, so that the gap between two frames is the difference of their numbers.
//!
//! The request begins in frame 10. Unless a case says otherwise its bytes are 100 to 200 of the
//! client's stream, and the server's next byte is its 1000th.

use super::super::{Circumstances, settle};
use crate::exchange::model::{AckWith, Defect, Doubt, ResponseShape, Verdict};
use crate::exchange::pending::{Confidence, PendingExchange};
use crate::exchange::tests::Settled;
use crate::packet::{Endpoint, FrameId, Mark};
use crate::tcp::{CloseEvidence, Evidence, Offset, Scope, SideEvidence};
use crate::time::{Span, Timestamp};
use std::ops::{Range, RangeInclusive};

/// Where the client's stream stands when the request begins.
const REQUEST_FROM: u64 = 100;
/// Where a request of the usual length ends.
const REQUEST_UPTO: u64 = 200;
/// Where the server's stream stands when the request begins.
const SERVER_FROM: u64 = 1000;
/// The frame in which the request begins.
const REQUEST_START: u64 = 10;

/// Frame `n`.
fn frame(n: u64) -> Mark {
    Mark {
        frame: FrameId::new(0, n),
        time: Timestamp::from_nanos(n as i64 * 1_000_000),
        order: n,
    }
}

/// The place of byte `n` of a stream.
fn place(n: u64) -> Offset {
    Offset::ORIGIN.saturating_add(n)
}

/// A FIN or a RST. It continues the stream of the side that sends it, and acknowledges all that was
/// seen of the other side's, unless it says otherwise.
#[derive(Clone, Copy)]
pub(super) struct Close {
    frame: u64,
    reset: bool,
    at: Option<u64>,
    acked: Option<u64>,
    has_ack: bool,
    is_next: bool,
    scope: Scope,
}

pub(super) const fn fin(frame: u64) -> Close {
    Close {
        frame,
        reset: false,
        at: None,
        acked: None,
        has_ack: true,
        is_next: true,
        scope: Scope::Connection,
    }
}

pub(super) const fn rst(frame: u64) -> Close {
    Close {
        reset: true,
        ..fin(frame)
    }
}

impl Close {
    /// Its sequence number.
    pub(super) const fn at(mut self, offset: u64) -> Self {
        self.at = Some(offset);
        self
    }

    /// How much of the other side's stream its sender had acknowledged by then.
    pub(super) const fn acked(mut self, upto: u64) -> Self {
        self.acked = Some(upto);
        self
    }

    /// It ends the exchange's stream, not the connection.
    pub(super) const fn of_stream(mut self) -> Self {
        self.scope = Scope::Stream;
        self
    }

    /// The packet has no ACK: a RST from a socket that is gone.
    pub(super) const fn bare(mut self) -> Self {
        self.has_ack = false;
        self
    }

    /// Its number is not the next one: bytes before it are missing, or it repeats an earlier one.
    pub(super) const fn out_of_line(mut self) -> Self {
        self.is_next = false;
        self
    }

    fn seen(self, own: &SideEvidence, other: &SideEvidence) -> CloseEvidence {
        CloseEvidence {
            scope: self.scope,
            mark: frame(self.frame),
            at: self.at.map_or(own.high, place),
            acked: Some(self.acked.map_or(other.high, place)),
            has_ack: self.has_ack,
            claimed: self.acked.filter(|_| self.has_ack).map(place),
            is_next: self.is_next,
        }
    }
}

/// What was seen of one exchange, and of the connection around it.
#[derive(Clone)]
pub(super) struct Case {
    open: Box<PendingExchange>,
    at: Circumstances,
}

/// How a case begins.
/// Bytes before `upto` are seen.
fn see(side: &mut SideEvidence, upto: u64) {
    side.high = side.high.max(place(upto));
    side.sent = side.sent.max(side.high);
}

impl Case {
    /// A request of which bytes 100 to `upto` were seen, and whose head has not said where it ends.
    pub(super) fn asking(upto: u64) -> Self {
        let client = Endpoint::v4([10, 0, 0, 1], 40_000);
        let server = Endpoint::v4([10, 0, 0, 2], 80);
        let start = frame(REQUEST_START);
        let ends = (client, server);
        let sure = Confidence::default();
        let mut open = PendingExchange::new(0, ends, place(REQUEST_FROM), start, sure);
        open.confirmed = true;
        open.server_at_start = place(SERVER_FROM);
        let side = |high| SideEvidence {
            fin: None,
            rst: None,
            data_acked: Some(place(high)),
            fin_acked: false,
            lacks_fin: false,
            may_lack_fin: false,
            high: place(high),
            sent: place(high),
        };
        Self {
            open: Box::new(open),
            at: Circumstances {
                evidence: Evidence {
                    client: side(upto),
                    server: side(SERVER_FROM),
                    one_sided: false,
                },
                dropped: false,
                at_boundary: false,
                opened: None,
                now: None,
            },
        }
    }

    /// A request whose bytes 100 to 200 were seen, the last in frame 12, and acknowledged in frame
    /// 13.
    pub(super) fn asked() -> Self {
        Self::asking(REQUEST_UPTO)
            .request_ends(REQUEST_UPTO, 12)
            .request_acked(13, AckWith::Bare)
    }

    /// The same, answered by bytes 1000 to 1300 in frames 20 to 24. No ACK of the client's was
    /// seen.
    pub(super) fn answered() -> Self {
        Self::asked().response(1000..1300, 20..=24)
    }

    /// The same, and the client has taken it, in frame 25.
    pub(super) fn taken() -> Self {
        Self::answered().response_acked(25)
    }
}

/// The request.
impl Case {
    /// Its head says that it ends before `upto`.
    pub(super) fn request_announced(mut self, upto: u64) -> Self {
        self.open.request.announced = Some(place(upto));
        self
    }

    /// Its last byte is the one before `upto`, in this frame.
    pub(super) fn request_ends(mut self, upto: u64, in_frame: u64) -> Self {
        self.open.end_request(place(upto), Some(frame(in_frame)));
        see(&mut self.at.evidence.client, upto);
        self
    }

    pub(super) fn request_acked(mut self, in_frame: u64, with: AckWith) -> Self {
        self.open.exchange.events.request_acked = Some((frame(in_frame), with));
        self
    }

    /// The server acknowledged it in a packet that the capture lacks, or not at all.
    pub(super) fn request_not_acked(mut self) -> Self {
        self.open.exchange.events.request_acked = None;
        self
    }

    /// Where it ends cannot be told.
    pub(super) fn request_unreadable(mut self, why: Doubt) -> Self {
        self.open.confidence.request = Some(why);
        self
    }

    /// The last byte seen that may be its own is the one before `upto`.
    pub(super) fn last_request_byte(mut self, upto: u64, in_frame: u64) -> Self {
        self.open.request.last = Some((frame(in_frame), place(upto)));
        self
    }

    /// Its last byte was sent, but the capture lacks it.
    pub(super) fn request_tail_lost(mut self) -> Self {
        let end = self.open.request.upto.unwrap_or(place(REQUEST_UPTO));
        self.open.end_request(end, None);
        self
    }

    /// A part of its head is missing.
    pub(super) fn head_cut(mut self, why: Doubt) -> Self {
        self.open.confidence.head = Some(why);
        self
    }

    /// It may not be this request that the next answer belongs to.
    pub(super) fn pairing_in_doubt(mut self, why: Doubt) -> Self {
        self.open.confidence.pairing = Some(why);
        self
    }

    pub(super) fn pipelined(mut self) -> Self {
        self.open.exchange.pipelined = true;
        self
    }

    /// The exchange before it on the connection ended in this frame.
    pub(super) fn previous_ended(mut self, in_frame: u64) -> Self {
        self.open.previous_end = Some(frame(in_frame).time);
        self
    }

    pub(super) fn timeout_announced(mut self, millis: i64) -> Self {
        self.open.exchange.expected_timeout = Some(Span::from_millis(millis));
        self
    }

    pub(super) fn client_is_istios_sidecar(mut self) -> Self {
        self.open.exchange.client = Endpoint::v4([127, 0, 0, 6], 40_000);
        self
    }
}

/// The response.
impl Case {
    /// The first bytes of a response with status 200 whose body has a length.
    pub(super) fn response_begins(mut self, bytes: Range<u64>, in_frame: u64) -> Self {
        let mark = frame(in_frame);
        let exchange = &mut self.open.exchange;
        exchange.status = Some(200);
        exchange.response_shape = ResponseShape::Length;
        exchange.events.response_start = Some(mark);
        self.open.answer.any.get_or_insert(place(bytes.start));
        self.open.answer.possible = Some(place(bytes.start));
        self.open.answer.seen = Some(place(bytes.start));
        self.open.response.last = Some((mark, place(bytes.end)));
        self.server_sends(bytes.end)
    }

    /// Its head says that it ends before `upto`.
    pub(super) fn response_announced(mut self, upto: u64) -> Self {
        self.open.response.announced = Some(place(upto));
        self
    }

    /// Its last byte is the one before `upto`, in this frame.
    pub(super) fn response_ends(mut self, upto: u64, in_frame: u64) -> Self {
        self.open
            .end_response(place(upto), Some(frame(in_frame)), in_frame);
        self.server_sends(upto)
    }

    /// A whole response: its bytes, and the frames of the first and the last of them.
    pub(super) fn response(self, bytes: Range<u64>, frames: RangeInclusive<u64>) -> Self {
        self.response_begins(bytes.start..bytes.end, *frames.start())
            .response_announced(bytes.end)
            .response_ends(bytes.end, *frames.end())
    }

    /// The last byte seen that may be its own is the one before `upto`.
    pub(super) fn last_response_byte(mut self, upto: u64, in_frame: u64) -> Self {
        self.open.response.last = Some((frame(in_frame), place(upto)));
        self
    }

    /// The client took the whole of it.
    pub(super) fn response_acked(mut self, in_frame: u64) -> Self {
        self.open.exchange.events.response_acked = Some(frame(in_frame));
        let high = self.at.evidence.server.high;
        let end = self.open.response.upto.unwrap_or(high);
        self.client_takes(end - Offset::ORIGIN)
    }

    pub(super) fn chunked(self) -> Self {
        self.shaped(ResponseShape::Chunked)
    }

    pub(super) fn until_close(self) -> Self {
        self.shaped(ResponseShape::UntilClose)
    }

    fn shaped(mut self, shape: ResponseShape) -> Self {
        self.open.exchange.response_shape = shape;
        self
    }

    /// Nothing but the first bytes of its status line were seen: it may be a 1xx yet.
    pub(super) fn status_unknown(mut self) -> Self {
        self.open.exchange.status = None;
        self.shaped(ResponseShape::Unread)
    }

    /// Bytes that are no HTTP, where a response was due.
    pub(super) fn no_http(mut self, bytes: Range<u64>, in_frame: u64) -> Self {
        self.open.exchange.defect = Some(Defect::NoHttp);
        self.response_begins(bytes, in_frame)
            .status_unknown()
            .shaped(ResponseShape::NotHttp)
    }

    /// Bytes from `from` on may belong to it, but not one of them can be read as its beginning.
    pub(super) fn response_somewhere_from(mut self, from: u64) -> Self {
        self.open.answer.any.get_or_insert(place(from));
        self.open.answer.possible = Some(place(from));
        self
    }

    /// Where it ends cannot be told.
    pub(super) fn response_unreadable(mut self, why: Doubt) -> Self {
        self.open.confidence.response = Some(why);
        self
    }

    /// Its last byte was sent, but the capture lacks it.
    pub(super) fn response_tail_lost(mut self, upto: u64, noticed_in: u64) -> Self {
        self.open.end_response(place(upto), None, noticed_in);
        self.server_sends(upto)
    }

    pub(super) fn upgraded(mut self) -> Self {
        self.open.upgraded = true;
        self
    }

    /// The server's stream was seen up to here, whatever its bytes belong to.
    pub(super) fn server_sends(mut self, upto: u64) -> Self {
        see(&mut self.at.evidence.server, upto);
        self
    }

    /// The client acknowledged everything of the server's before `upto`.
    pub(super) fn client_takes(mut self, upto: u64) -> Self {
        self.at.evidence.server.data_acked =
            self.at.evidence.server.data_acked.max(Some(place(upto)));
        self
    }
}

/// The connection.
impl Case {
    pub(super) fn client(mut self, close: Close) -> Self {
        let seen = close.seen(&self.at.evidence.client, &self.at.evidence.server);
        if close.reset {
            self.at.evidence.client.rst = Some(seen);
        } else {
            self.at.evidence.client.fin = Some(seen);
        }
        let acked = close.acked.map(place);
        self.client_takes(acked.or(seen.acked).unwrap_or(Offset::ORIGIN) - Offset::ORIGIN)
    }

    pub(super) fn server(mut self, close: Close) -> Self {
        let seen = close.seen(&self.at.evidence.server, &self.at.evidence.client);
        if close.reset {
            self.at.evidence.server.rst = Some(seen);
        } else {
            self.at.evidence.server.fin = Some(seen);
        }
        self
    }

    /// The server acknowledged the client's FIN.
    pub(super) fn client_fin_acked(mut self) -> Self {
        self.at.evidence.client.fin_acked = true;
        self
    }

    /// The server acknowledged a number that may be a FIN of the client's, which the capture lacks.
    pub(super) fn client_fin_missing(mut self) -> Self {
        self.at.evidence.client.lacks_fin = true;
        self
    }

    /// The client acknowledged a number that may be a FIN of the server's, which the capture lacks.
    pub(super) fn server_fin_missing(mut self) -> Self {
        self.at.evidence.server.lacks_fin = true;
        self
    }

    /// The kernel says that it lost packets.
    pub(super) fn dropped(mut self) -> Self {
        self.at.dropped = true;
        self
    }

    /// Not one packet of the other side was seen.
    pub(super) fn one_sided(mut self) -> Self {
        self.at.evidence.one_sided = true;
        self
    }

    /// The next request begins where it ends: whatever belongs to it had come by then.
    pub(super) fn at_boundary(mut self) -> Self {
        self.at.at_boundary = true;
        self
    }
}

/// What the judge says.
impl Case {
    pub(super) fn settle(&self) -> Settled {
        let mut open = self.open.clone();
        settle(&mut open, &self.at);
        Settled(open.exchange)
    }

    pub(super) fn verdict(&self) -> (Verdict, Option<Doubt>) {
        self.settle().verdict()
    }
}
