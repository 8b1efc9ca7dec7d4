//! What is kept of an exchange on its way to a verdict.

use super::{Acks, Confidence, MethodKind, PendingExchange};
use crate::exchange::model::{
    AckWith::{self, *},
    Doubt::{self, *},
    Exchange, Finding, FindingKind,
};
use crate::mesh::is_probed;
use crate::packet::{Endpoint, FrameId, Mark};
use crate::protocol::http1::head::{self, Parsed};
use crate::tcp::{Ack, Offset, Side};
use crate::time::{Span, Timestamp};

/// Frame `n`, seen `n` milliseconds after the first.
const fn frame(n: u64) -> Mark {
    Mark {
        frame: FrameId::new(0, n),
        time: Timestamp::from_nanos(n as i64 * 1_000_000),
        order: n,
    }
}

/// The place of byte `n` of a stream.
const fn place(n: u64) -> Offset {
    Offset::ORIGIN.saturating_add(n)
}

const fn ack(upto: u64, in_frame: u64, with: AckWith) -> Ack {
    Ack {
        upto: place(upto),
        mark: frame(in_frame),
        with,
    }
}

fn number(mark: Mark) -> u64 {
    mark.frame.number()
}

/// The latest acknowledgments of one side: how far, in which frame.
fn acks(pushed: &[(u64, u64)]) -> Acks {
    let mut acks = Acks::default();
    for &(upto, in_frame) in pushed {
        acks.push(ack(upto, in_frame, Bare));
    }
    acks
}

/// The frame of the ACK that covers everything before `end`, the last byte of which was seen in
/// frame `last`.
fn covering(acks: &Acks, end: u64, last: u64) -> Option<u64> {
    acks.covering(place(end), frame(last))
        .map(|ack| number(ack.mark))
}

/// An exchange whose request begins in frame 10 at byte 100. What is asked of it afterwards is
/// asked here.
struct Pending(Box<PendingExchange>);

impl Pending {
    fn new() -> Self {
        Self::to_port(80)
    }

    fn to_port(port: u16) -> Self {
        let client = Endpoint::v4([10, 0, 0, 1], 40_000);
        let server = Endpoint::v4([10, 0, 0, 2], port);
        let sure = Confidence::default();
        let open = PendingExchange::new(0, (client, server), place(100), frame(10), sure);
        Self(Box::new(open))
    }

    fn unreadable(mut self, why: Doubt) -> Self {
        self.0.confidence.request = Some(why);
        self
    }

    fn last_client_byte(mut self, upto: u64, in_frame: u64) -> Self {
        self.0.request.last = Some((frame(in_frame), place(upto)));
        self
    }

    fn request_ends(mut self, upto: u64, in_frame: u64) -> Self {
        self.0.end_request(place(upto), Some(frame(in_frame)));
        self
    }

    fn response_ends(mut self, upto: u64, in_frame: u64) -> Self {
        self.0
            .end_response(place(upto), Some(frame(in_frame)), in_frame);
        self
    }

    fn server_acks(mut self, upto: u64, in_frame: u64, with: AckWith) -> Self {
        self.0.acknowledged(Side::Client, ack(upto, in_frame, with));
        self
    }

    fn client_acks(mut self, upto: u64, in_frame: u64) -> Self {
        self.0.acknowledged(Side::Server, ack(upto, in_frame, Bare));
        self
    }

    fn end_unreadable(mut self, acks: &Acks) -> Self {
        self.0.end_unreadable_request(acks);
        self
    }

    fn partial_head(mut self, bytes: &[u8]) -> Self {
        self.0.read_partial_head(bytes);
        self
    }

    fn head(mut self, text: &str) -> Self {
        let Parsed::Whole(head, _) = head::request(text.as_bytes()) else {
            panic!("{text} is no head");
        };
        self.0.read_head(head);
        self
    }

    const fn exchange(&self) -> &Exchange {
        &self.0.exchange
    }

    /// Where the request ended, and in which frame.
    fn request_end(&self) -> (Option<u64>, Option<u64>) {
        let end = self.exchange().events.request_end;
        (
            self.0.request.upto.map(|upto| upto - Offset::ORIGIN),
            end.map(number),
        )
    }

    fn request_acked(&self) -> Option<(u64, AckWith)> {
        let acked = self.exchange().events.request_acked;
        acked.map(|(mark, with)| (number(mark), with))
    }

    fn response_acked(&self) -> Option<u64> {
        self.exchange().events.response_acked.map(number)
    }

    /// Method, path and minor version.
    fn request_line(&self) -> (Option<&str>, Option<&str>, Option<u8>) {
        let exchange = self.exchange();
        let method = exchange.method.as_deref();
        (method, exchange.path.as_deref(), exchange.minor_version)
    }
}

// Acknowledgments.

#[test]
fn the_first_acknowledgment_that_covers_a_message_is_its_own() {
    let acks = acks(&[(100, 1), (200, 2), (300, 3)]);
    assert_eq!(covering(&acks, 150, 1), Some(2));
    assert_eq!(covering(&acks, 200, 1), Some(2), "all of it");
    assert_eq!(covering(&acks, 201, 1), Some(3), "all but one byte");
    assert_eq!(covering(&acks, 301, 1), None);
}

#[test]
fn a_message_is_not_acknowledged_before_its_last_byte_was_seen() {
    let acks = acks(&[(200, 2), (300, 3)]);
    assert_eq!(covering(&acks, 200, 2), Some(2), "in the same frame");
    assert_eq!(covering(&acks, 200, 3), Some(3));
    assert_eq!(covering(&acks, 200, 4), None);
}

#[test]
fn of_acknowledgments_the_latest_four_are_kept() {
    let acks = acks(&[(100, 1), (200, 2), (300, 3), (400, 4), (500, 5)]);
    assert_eq!(covering(&acks, 100, 1), Some(2), "the first is forgotten");
    assert_eq!(covering(&acks, 500, 1), Some(5));
}

#[test]
fn nothing_was_acknowledged_before_the_first_acknowledgment() {
    assert_eq!(covering(&Acks::default(), 1, 0), None);
}

#[test]
fn the_first_acknowledgment_of_the_whole_request_counts() {
    let pending = Pending::new()
        .request_ends(200, 12)
        .server_acks(199, 13, Bare)
        .server_acks(200, 14, Data)
        .server_acks(300, 15, Fin);
    assert_eq!(pending.request_acked(), Some((14, Data)));
}

#[test]
fn the_first_acknowledgment_of_the_whole_response_counts() {
    let pending = Pending::new()
        .response_ends(1300, 24)
        .client_acks(1299, 25)
        .client_acks(1300, 26)
        .client_acks(1400, 27);
    assert_eq!(pending.response_acked(), Some(26));
}

#[test]
fn what_is_not_whole_is_not_acknowledged() {
    let pending = Pending::new()
        .server_acks(u64::MAX, 11, Bare)
        .client_acks(u64::MAX, 12);
    assert_eq!(pending.request_acked(), None);
    assert_eq!(pending.response_acked(), None);
}

// Where messages end.

#[test]
fn a_request_that_cannot_be_read_ends_at_the_last_client_byte_seen() {
    let pending = Pending::new()
        .unreadable(Snaplen)
        .last_client_byte(250, 12)
        .end_unreadable(&acks(&[(249, 13), (250, 14), (251, 15)]));
    assert_eq!(pending.request_end(), (Some(250), Some(12)));
    assert_eq!(pending.request_acked(), Some((14, Bare)));
    assert_eq!(pending.0.confidence.request, Some(Snaplen), "still");
}

#[test]
fn a_request_that_cannot_be_read_is_not_acknowledged_by_what_covers_less() {
    let pending = Pending::new()
        .unreadable(Snaplen)
        .last_client_byte(250, 12)
        .end_unreadable(&acks(&[(249, 13)]));
    assert_eq!(pending.request_end(), (Some(250), Some(12)));
    assert_eq!(pending.request_acked(), None);
}

#[test]
fn the_acknowledgment_of_a_request_that_cannot_be_read_keeps_its_kind() {
    let mut latest = Acks::default();
    latest.push(ack(250, 13, Fin));
    let pending = Pending::new()
        .unreadable(Snaplen)
        .last_client_byte(250, 12)
        .end_unreadable(&latest);
    assert_eq!(pending.request_acked(), Some((13, Fin)));
}

#[test]
fn a_request_that_can_be_read_does_not_end_before_its_end() {
    let pending = Pending::new()
        .last_client_byte(250, 12)
        .end_unreadable(&acks(&[(250, 13)]));
    assert_eq!(pending.request_end(), (None, None));
}

#[test]
fn a_request_that_has_ended_does_not_end_again() {
    let pending = Pending::new()
        .request_ends(200, 11)
        .unreadable(Snaplen)
        .last_client_byte(250, 12)
        .end_unreadable(&acks(&[(250, 13)]));
    assert_eq!(pending.request_end(), (Some(200), Some(11)));
    assert_eq!(pending.request_acked(), None);
}

#[test]
fn a_request_of_which_no_byte_was_seen_that_tells_its_end_has_none() {
    let pending = Pending::new()
        .unreadable(SequenceHole)
        .end_unreadable(&acks(&[(250, 13)]));
    assert_eq!(pending.request_end(), (None, None));
}

#[test]
fn a_message_may_end_with_a_byte_that_the_capture_lacks() {
    let mut pending = Pending::new();
    pending.0.end_request(place(200), None);
    assert_eq!(pending.request_end(), (Some(200), None));
    assert!(pending.0.request.tail_lost);
    pending.0.end_response(place(1300), None, 24);
    assert!(pending.0.is_answered());
    assert!(pending.0.response.tail_lost);
    assert_eq!(pending.exchange().events.response_end, None);
    let seen = Pending::new().request_ends(200, 12).response_ends(1300, 24);
    assert!(!seen.0.request.tail_lost && !seen.0.response.tail_lost);
}

// When nothing can change it any more.

#[test]
fn an_exchange_is_settled_when_both_messages_were_whole_and_acknowledged() {
    let asked = Pending::new().request_ends(200, 12);
    assert!(!asked.0.is_settled());
    let acked = asked.server_acks(200, 13, Bare);
    assert!(!acked.0.is_settled());
    let answered = acked.response_ends(1300, 24);
    assert!(!answered.0.is_settled());
    let taken = answered.client_acks(1300, 25);
    assert!(taken.0.is_settled());
}

#[test]
fn an_exchange_whose_request_was_not_acknowledged_is_not_settled() {
    let pending = Pending::new()
        .request_ends(200, 12)
        .response_ends(1300, 24)
        .client_acks(1300, 25);
    assert!(!pending.0.is_settled());
}

#[test]
fn a_request_that_cannot_be_read_is_not_waited_for() {
    let answered = Pending::new().unreadable(Snaplen).response_ends(1300, 24);
    assert!(!answered.0.is_settled());
    assert!(answered.client_acks(1300, 25).0.is_settled());
}

// Heads.

#[test]
fn a_whole_head_is_taken_over() {
    let mut pending = Pending::new();
    pending.0.confidence.head = Some(Snaplen);
    let pending =
        pending.head("GET /items?q=1 HTTP/1.0\r\nHost: catalog\r\nx-request-id: 7\r\n\r\n");
    assert_eq!(
        pending.request_line(),
        (Some("GET"), Some("/items?q=1"), Some(0))
    );
    assert_eq!(pending.exchange().authority.as_deref(), Some("catalog"));
    assert_eq!(pending.exchange().request_id.as_deref(), Some("7"));
    assert_eq!(pending.0.confidence.head, None);
    assert!(pending.0.confirmed && !pending.0.wants_upgrade);
    assert_eq!(pending.exchange().expected_timeout, None);
}

#[test]
fn the_method_tells_how_the_response_will_look() {
    for (method, kind) in [
        ("GET", MethodKind::Plain),
        ("head", MethodKind::Plain),
        ("HEAD", MethodKind::Head),
        ("CONNECT", MethodKind::Connect),
    ] {
        let whole = Pending::new().head(&format!("{method} a:1 HTTP/1.1\r\n\r\n"));
        assert_eq!(whole.0.method, kind, "{method}");
        let cut = Pending::new().partial_head(format!("{method} a:").as_bytes());
        assert_eq!(cut.0.method, kind, "{method}, cut");
    }
}

#[test]
fn an_announced_timeout_is_envoys_before_grpcs() {
    let timeout = |fields: &str| {
        let head = format!("POST / HTTP/1.1\r\n{fields}\r\n");
        Pending::new().head(&head).exchange().expected_timeout
    };
    let envoys = "x-envoy-expected-rq-timeout-ms: 500\r\n";
    let grpcs = "grpc-timeout: 2S\r\n";
    assert_eq!(timeout(envoys), Some(Span::from_millis(500)));
    assert_eq!(timeout(grpcs), Some(Span::from_secs(2)));
    let both = format!("{grpcs}{envoys}");
    assert_eq!(timeout(&both), Some(Span::from_millis(500)));
    let unusable = format!("x-envoy-expected-rq-timeout-ms: 0\r\n{grpcs}");
    assert_eq!(timeout(&unusable), Some(Span::from_secs(2)));
}

#[test]
fn an_upgrade_is_remembered() {
    let pending = Pending::new().head("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    assert!(pending.0.wants_upgrade);
}

#[test]
fn a_probe_is_told_by_its_port_or_by_its_user_agent() {
    let plain = "GET / HTTP/1.1\r\n\r\n";
    let kubelets = "GET / HTTP/1.1\r\nUser-Agent: kube-probe/1.33\r\n\r\n";
    assert!(!Pending::new().head(plain).exchange().probe);
    assert!(Pending::new().head(kubelets).exchange().probe);
    for port in [15020, 15021, 15090, 4191] {
        assert!(
            Pending::to_port(port).head(plain).exchange().probe,
            "{port}"
        );
    }
    for port in [80, 4190, 4192, 15019, 15022, 15089, 15091] {
        assert!(!is_probed(port), "{port}");
    }
}

#[test]
fn of_a_cut_head_only_what_is_whole_is_believed() {
    for (bytes, line) in [
        (&b"GE"[..], (None, None, None)),
        (b"GET", (None, None, None)),
        (b"GET ", (Some("GET"), None, None)),
        (b"GET /ite", (Some("GET"), None, None)),
        (b"GET /items ", (Some("GET"), Some("/items"), None)),
        (b"GET /items HTTP/1.1", (Some("GET"), Some("/items"), None)),
        (
            b"GET /items HTTP/1.1\r",
            (Some("GET"), Some("/items"), None),
        ),
        (
            b"GET /items HTTP/1.1\r\n",
            (Some("GET"), Some("/items"), Some(1)),
        ),
        (
            b"GET /items HTTP/1.0\nHost: catalog",
            (Some("GET"), Some("/items"), Some(0)),
        ),
        (
            b"GET /items HTTP/1.7\r\n",
            (Some("GET"), Some("/items"), None),
        ),
        (
            b"\r\n\r\nGET /items HTTP/1.1\r\nHost",
            (Some("GET"), Some("/items"), Some(1)),
        ),
    ] {
        let pending = Pending::new().partial_head(bytes);
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(pending.request_line(), line, "{text:?}");
        assert!(pending.0.confirmed);
    }
}

// Ceilings.

#[test]
fn interim_responses_and_findings_have_a_ceiling() {
    let mut pending = Pending::new();
    for n in 0..70 {
        pending.0.interim(frame(n), 100);
        pending.0.note(Finding {
            kind: FindingKind::Retransmission,
            side: Side::Server,
            frames: vec![frame(n)],
            cost: Span::ZERO,
        });
    }
    let exchange = pending.exchange();
    assert_eq!(exchange.events.interim.len(), 64);
    assert_eq!(exchange.findings.len(), 64);
    assert_eq!(exchange.events.interim[0], (frame(0), 100));
}
