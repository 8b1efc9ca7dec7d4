//! The events of an exchange as one list in capture order, for JSON and text.

use crate::exchange::{AckWith, Events, Exchange, Side};
use crate::packet::Mark;
use strum::IntoStaticStr;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum EventKind {
    RequestStart,
    RequestEnd,
    RequestLast,
    RequestAcked(AckWith),
    Interim(u16),
    ResponseStart,
    ResponseEnd,
    ResponseLast,
    ResponseAcked,
    ClientFin,
    ServerFin,
    ClientRst,
    ServerRst,
    LateResponse,
    ClientRstStream,
    ServerRstStream,
    Goaway,
}

impl EventKind {
    /// The name used in every report.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    /// The side that sent the packet.
    pub(crate) const fn sender(self) -> Side {
        match self {
            Self::RequestStart
            | Self::RequestEnd
            | Self::RequestLast
            | Self::ResponseAcked
            | Self::ClientFin
            | Self::ClientRst
            | Self::ClientRstStream => Side::Client,
            Self::RequestAcked(_)
            | Self::Interim(_)
            | Self::ResponseStart
            | Self::ResponseEnd
            | Self::ResponseLast
            | Self::ServerFin
            | Self::ServerRst
            | Self::LateResponse
            | Self::ServerRstStream
            | Self::Goaway => Side::Server,
        }
    }
}

/// An event: its kind, and its frame and time.
pub(crate) type TimelineEvent = (EventKind, Mark);

/// Replaces `events` by those of `exchange`, in the order of their frames. Events of one frame are
/// in the order of the documentation.
pub(crate) fn fill(events: &mut Vec<TimelineEvent>, exchange: &Exchange) {
    // Taken apart by name, so that a new event is listed or left out on purpose.
    let &Events {
        request_start,
        request_end,
        request_last,
        request_acked,
        ref interim,
        response_start,
        response_end,
        response_last,
        response_acked,
        client_fin,
        server_fin,
        client_rst,
        server_rst,
        late_response,
        client_rst_stream,
        server_rst_stream,
        goaway,
    } = &exchange.events;
    events.clear();
    events.push((EventKind::RequestStart, request_start));
    let mut push = |kind, mark: Option<Mark>| events.extend(mark.map(|mark| (kind, mark)));
    push(EventKind::RequestEnd, request_end);
    push(EventKind::RequestLast, request_last);
    if let Some((mark, with)) = request_acked {
        push(EventKind::RequestAcked(with), Some(mark));
    }
    for &(mark, status) in interim {
        push(EventKind::Interim(status), Some(mark));
    }
    push(EventKind::ResponseStart, response_start);
    push(EventKind::ResponseEnd, response_end);
    push(EventKind::ResponseLast, response_last);
    push(EventKind::ResponseAcked, response_acked);
    push(EventKind::ClientFin, client_fin);
    push(EventKind::ServerFin, server_fin);
    push(EventKind::ClientRst, client_rst);
    push(EventKind::ServerRst, server_rst);
    push(EventKind::LateResponse, late_response);
    push(EventKind::ClientRstStream, client_rst_stream);
    push(EventKind::ServerRstStream, server_rst_stream);
    push(EventKind::Goaway, goaway);
    events.sort_by_key(|(_, mark)| mark.order);
}
