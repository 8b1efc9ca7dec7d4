//! What every exchange must be, whatever the packets were.

use meshsniff::exchange::{Connection, Exchange, Gaps, Verdict};
use meshsniff::packet::{FrameId, Mark};
use meshsniff::testing::{Packet, analyse_into};
use meshsniff::time::{Span, Timestamp};
use meshsniff::{Sink, Totals};
use std::collections::HashMap;

/// Looks at everything the analyser hands out.
#[derive(Default)]
pub struct Judge {
    frames: Vec<(FrameId, Timestamp)>,
    /// Exchanges of connections that are not over.
    open: HashMap<u64, u64>,
    ended: HashMap<u64, u64>,
    /// Flows of DNS in UDP among them: no connections in any count.
    udp: u64,
    retransmissions: u64,
    /// All exchanges.
    pub exchanges: Vec<Exchange>,
}

/// Runs the analyser over packets and judges what it says.
pub fn judged(packets: &[Packet]) -> Judge {
    let mut judge = Judge::default();
    for frame in packets.iter().map(Packet::frame) {
        judge.frame(frame.id, frame.time);
    }
    let totals = analyse_into(packets, &mut judge);
    judge.finish(&totals);
    judge
}

impl Judge {
    /// A frame is about to be analysed.
    pub fn frame(&mut self, id: FrameId, time: Timestamp) {
        self.frames.push((id, time));
    }

    /// The capture has ended.
    pub fn finish(&self, totals: &Totals) {
        assert!(self.open.is_empty(), "a connection was never handed out");
        assert_eq!(totals.connections + self.udp, self.ended.len() as u64);
        assert_eq!(totals.retransmissions, self.retransmissions);
        assert_eq!(totals.frames, self.frames.len() as u64);
        let other =
            totals.encrypted_connections + totals.http2_connections + totals.other_connections;
        assert!(other <= totals.connections);
    }

    fn mark(&self, name: &str, mark: Mark) {
        let frame = self.frames.get(mark.order.wrapping_sub(1) as usize);
        assert_eq!(frame, Some(&(mark.frame, mark.time)), "{name} is no frame");
    }

    /// The longest time between any two frames.
    fn span(&self) -> Span {
        let times = || self.frames.iter().map(|&(_, time)| time);
        match (times().min(), times().max()) {
            (Some(first), Some(last)) => last - first,
            _ => Span::ZERO,
        }
    }
}

impl Sink for Judge {
    fn exchange(&mut self, exchange: &Exchange) {
        assert_eq!(exchange.id, self.exchanges.len() as u64, "ids have a gap");
        assert!(
            !self.ended.contains_key(&exchange.connection),
            "an exchange after its connection"
        );
        *self.open.entry(exchange.connection).or_default() += 1;
        for (name, mark) in marks(exchange) {
            self.mark(name, mark);
        }
        for finding in &exchange.findings {
            assert!(!finding.frames.is_empty());
            for &mark in &finding.frames {
                self.mark(finding.kind.name(), mark);
            }
        }
        gaps(exchange, self.span());
        order(exchange);
        claims(exchange);
        self.exchanges.push(exchange.clone());
    }

    fn connection(&mut self, connection: &Connection) {
        let exchanges = self.open.remove(&connection.id).unwrap_or_default();
        assert_eq!(connection.exchanges, exchanges, "exchanges of a connection");
        assert!(
            self.ended.insert(connection.id, exchanges).is_none(),
            "a connection ended twice"
        );
        self.mark("first", connection.first);
        if let Some(close) = connection.close {
            self.mark("close", close.mark);
        }
        if exchanges > 0 {
            assert!(matches!(connection.protocol.name(), "http/1" | "http/2"));
            assert!(
                matches!(connection.verdict, None | Some(Verdict::PlainRefusedTls)),
                "a connection with exchanges never opened"
            );
        }
        for span in [
            connection.handshake,
            connection.syn_to_synack,
            connection.idle,
        ] {
            assert!(span.is_none_or(|span| span >= Span::ZERO && span <= self.span()));
        }
        self.udp += u64::from(connection.is_udp());
        self.retransmissions += connection.retransmissions;
    }
}

fn marks(exchange: &Exchange) -> Vec<(&'static str, Mark)> {
    let events = &exchange.events;
    let mut marks = vec![("request_start", events.request_start)];
    let optional = [
        ("request_end", events.request_end),
        ("request_acked", events.request_acked.map(|(mark, _)| mark)),
        ("response_start", events.response_start),
        ("response_end", events.response_end),
        ("response_acked", events.response_acked),
        ("client_fin", events.client_fin),
        ("server_fin", events.server_fin),
        ("client_rst", events.client_rst),
        ("server_rst", events.server_rst),
        ("late_response", events.late_response),
        ("client_rst_stream", events.client_rst_stream),
        ("server_rst_stream", events.server_rst_stream),
        ("goaway", events.goaway),
    ];
    marks.extend(
        optional
            .into_iter()
            .filter_map(|(name, mark)| Some((name, mark?))),
    );
    marks.extend(events.interim.iter().map(|&(mark, _)| ("interim", mark)));
    marks
}

/// Each gap is the time between its two events, or absent.
fn gaps(exchange: &Exchange, longest: Span) {
    let events = &exchange.events;
    let acked = events.request_acked.map(|(mark, _)| mark);
    let ends = [
        (
            "request_duration",
            Some(events.request_start),
            events.request_end,
        ),
        ("request_to_ack", events.request_end, acked),
        (
            "request_to_response",
            events.request_end,
            events.response_start,
        ),
        (
            "response_duration",
            events.response_start,
            events.response_end,
        ),
        (
            "response_to_ack",
            events.response_end,
            events.response_acked,
        ),
        ("total", Some(events.request_start), events.response_end),
    ];
    for (name, gap) in Gaps::NAMES.into_iter().zip(exchange.gaps.values()) {
        let Some(gap) = gap else {
            continue;
        };
        assert!(
            gap.as_nanos().unsigned_abs() <= longest.as_nanos().unsigned_abs(),
            "{name} is {gap:?}"
        );
        if let Some(&(_, from, to)) = ends.iter().find(|(known, ..)| *known == name) {
            let (Some(from), Some(to)) = (from, to) else {
                panic!("{name} without both its ends");
            };
            assert_eq!(gap, to.time - from.time, "{name}");
        }
    }
    let close = exchange.gaps.request_to_client_close;
    assert!(close.is_none() || exchange.client_close().is_some());
    assert!(
        exchange.gaps.ack_to_client_close.is_none()
            || acked.is_some() && exchange.client_close().is_some()
    );
    assert!(exchange.gaps.request_to_server_close.is_none() || exchange.server_close().is_some());
    assert!(
        exchange.gaps.client_close_to_late_response.is_none() || events.late_response.is_some()
    );
    assert!(
        exchange
            .gaps
            .idle_before
            .is_none_or(|gap| gap >= Span::ZERO)
    );
    assert!(exchange.gaps.after_previous.is_none() || exchange.pipelined);
}

/// An acknowledgment comes after what it acknowledges.
fn order(exchange: &Exchange) {
    let events = &exchange.events;
    let before = |name: &str, first: Option<Mark>, then: Option<Mark>| {
        if let (Some(first), Some(then)) = (first, then) {
            assert!(
                first.order <= then.order,
                "{name}: {first:?} after {then:?}"
            );
        }
    };
    let acked = events.request_acked.map(|(mark, _)| mark);
    before("request_acked", events.request_end, acked);
    before("response_acked", events.response_end, events.response_acked);
}

/// What a verdict says is what was seen.
fn claims(exchange: &Exchange) {
    let events = &exchange.events;
    let certain = exchange.doubt.is_none();
    assert!(exchange.status.is_none_or(|status| status <= 999));
    assert!(exchange.late_status.is_none() || events.late_response.is_some());
    assert!(events.late_response.is_none() || events.response_start.is_none());
    assert!(
        events
            .interim
            .iter()
            .all(|(_, status)| (100..200).contains(status))
    );
    assert!(
        exchange
            .method
            .as_ref()
            .is_none_or(|method| !method.is_empty())
    );
    match exchange.verdict {
        Verdict::Ok => {
            assert!(
                !certain || exchange.status.is_some(),
                "certainly ok, and no status"
            );
            assert!(!certain || events.response_start.is_some());
        }
        Verdict::ClientGaveUp | Verdict::ClientAbortedRequest => {
            assert!(events.response_start.is_none() && exchange.status.is_none());
            assert!(!certain || exchange.client_close().is_some());
        }
        Verdict::ClientGaveUpMidResponse => {
            assert!(!certain || exchange.client_close().is_some());
        }
        Verdict::ServerClosedUnanswered => {
            assert!(events.response_start.is_none() && exchange.status.is_none());
            assert!(!certain || events.server_fin.is_some());
        }
        Verdict::ServerResetUnanswered => {
            assert!(events.response_start.is_none() && exchange.status.is_none());
            assert!(!certain || events.server_rst.or(events.server_rst_stream).is_some());
        }
        Verdict::Refused => {
            assert!(events.response_start.is_none() && exchange.status.is_none());
            assert!(events.server_rst_stream.or(events.goaway).is_some());
        }
        Verdict::ServerTruncatedResponse => {
            assert!(!certain || events.response_start.is_some());
        }
        Verdict::ServerResetEarlyAnswer => {
            assert!(events.server_rst.is_some() && events.response_start.is_some());
            let early = |end: Mark| Some(end.order) > events.response_start.map(|m| m.order);
            assert!(events.request_end.is_none_or(early));
        }
        Verdict::ServerInvalidResponse => assert!(exchange.defect.is_some()),
        Verdict::Upgraded => {
            let tunnel = exchange.method.as_deref() == Some("CONNECT");
            assert!(
                exchange
                    .status
                    .is_some_and(|s| s == 101 || tunnel && (200..300).contains(&s))
            );
        }
        Verdict::Unanswered => {
            assert!(!certain, "certainly unanswered");
            assert!(exchange.status.is_none() || events.response_start.is_some());
        }
        Verdict::ConnectRefused
        | Verdict::ConnectTimeout
        | Verdict::TlsUnanswered
        | Verdict::TlsFailed
        | Verdict::TlsRefusedPlain
        | Verdict::TlsLeftWaiting
        | Verdict::PlainRefusedTls => panic!("{:?}", exchange.verdict),
    }
}
