//! An exchange that is not settled yet: what has been seen of it, and where in the two streams.

use super::model::{
    AckWith, Doubt, EnvoyFlags, Events, Exchange, Finding, Gaps, ResponseShape, Verdict,
};
use super::timeout;
use crate::http::head::RequestHead;
use crate::packet::{Endpoint, Mark};
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// Most findings kept for one exchange; a lossy upload could make thousands.
const MOST_FINDINGS: usize = 64;

/// Most interim responses kept for one exchange.
const MOST_INTERIM: usize = 64;

/// The latest acknowledgments of one side, each of more than the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Acks {
    latest: [(u64, Mark, AckWith); 4],
    at: usize,
}

impl Acks {
    pub(super) const fn push(&mut self, upto: u64, mark: Mark, with: AckWith) {
        self.latest[self.at] = (upto, mark, with);
        self.at = (self.at + 1) % self.latest.len();
    }

    /// The first that covers everything before `end`, whose last byte was seen in `last`: an ACK is not seen before
    /// what it acknowledges, unless the capture is out of order.
    fn covering_with(&self, end: u64, last: Mark) -> Option<(Mark, AckWith)> {
        let covers = self
            .latest
            .iter()
            .filter(|(upto, mark, _)| *upto >= end && mark.order >= last.order);
        let first = covers.min_by_key(|(upto, ..)| *upto)?;
        Some((first.1, first.2))
    }

    /// The frame of the first that covers everything before `end`, whose last byte was seen in `last`.
    pub(super) fn covering(&self, end: u64, last: Mark) -> Option<Mark> {
        self.covering_with(end, last).map(|(mark, _)| mark)
    }
}

/// An exchange on its way to a verdict.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) exchange: Exchange,
    /// Whether it is surely a request: its head was read, or it is cut but answered like one.
    pub(super) confirmed: bool,
    /// HEAD and CONNECT change what the response looks like.
    pub(super) kind: Kind,
    /// Offset of the request's first byte in the client's stream.
    pub(super) request_from: u64,
    /// Offset after its last byte, once it is whole.
    pub(super) request_upto: Option<u64>,
    /// Offset after its last byte as its head announced it.
    pub(super) request_announced: Option<u64>,
    /// Why the end of the request cannot be told.
    pub(super) request_unreadable: Option<Doubt>,
    /// Why a part of the request's head is missing: then nothing said of it is certain.
    pub(super) head_cut: Option<Doubt>,
    /// Whether the request's last byte is one that the capture lacks.
    pub(super) request_tail_lost: bool,
    /// The last client byte seen that may be the request's, of one that cannot be read to its end.
    pub(super) last_client: Option<(Mark, u64)>,
    /// One past the highest byte that the server had sent when the request began.
    pub(super) server_at_start: u64,
    /// Whether the request asked for an upgrade.
    pub(super) wants_upgrade: bool,
    /// Offset of the first server byte after the request's beginning, whatever it belongs to.
    pub(super) answer_from: Option<u64>,
    /// Offset in the server's stream of the first byte, seen or missing, that may belong to the response.
    pub(super) response_from: Option<u64>,
    /// Offset of the final response's first byte seen.
    pub(super) response_seen_from: Option<u64>,
    /// Offset after its last byte, once it is whole.
    pub(super) response_upto: Option<u64>,
    /// When it was known to be whole, in the analyser's order.
    pub(super) whole_at: Option<u64>,
    /// Offset after its last byte as its head announced it.
    pub(super) response_announced: Option<u64>,
    /// Why the response cannot be read to its end.
    pub(super) response_unreadable: Option<Doubt>,
    /// Whether the response's last byte is one that the capture lacks.
    pub(super) response_tail_lost: bool,
    /// The last server byte seen that may be the response's.
    pub(super) last_server: Option<(Mark, u64)>,
    /// Whether it ended in a 101 or a CONNECT tunnel.
    pub(super) upgraded: bool,
    /// Why its pairing is in doubt from the start.
    pub(super) taint: Option<Doubt>,
    /// When the exchange before it on the connection had ended.
    pub(super) previous_end: Option<Timestamp>,
}

/// What of a method changes the framing of a response (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Head,
    Connect,
}

impl Open {
    pub(super) fn new(
        connection: u64,
        client: Endpoint,
        server: Endpoint,
        from: u64,
        start: Mark,
    ) -> Self {
        Self {
            exchange: Exchange {
                id: 0,
                connection,
                client,
                server,
                minor_version: None,
                method: None,
                path: None,
                authority: None,
                status: None,
                late_status: None,
                request_id: None,
                probe: is_probed(server.port),
                expected_timeout: None,
                timeout_guess: None,
                request_bytes: 0,
                response_bytes: 0,
                response_shape: ResponseShape::Unread,
                pipelined: false,
                half_closed: false,
                events: Events {
                    request_start: start,
                    ..Events::default()
                },
                gaps: Gaps::default(),
                verdict: Verdict::Unanswered,
                doubt: None,
                envoy: EnvoyFlags::default(),
                findings: Vec::new(),
            },
            confirmed: false,
            kind: Kind::Plain,
            request_from: from,
            request_upto: None,
            request_announced: None,
            request_unreadable: None,
            head_cut: None,
            request_tail_lost: false,
            last_client: None,
            server_at_start: 0,
            wants_upgrade: false,
            answer_from: None,
            response_from: None,
            response_seen_from: None,
            response_upto: None,
            whole_at: None,
            response_announced: None,
            response_unreadable: None,
            response_tail_lost: false,
            last_server: None,
            upgraded: false,
            taint: None,
            previous_end: None,
        }
    }

    /// Takes over what the request's head says.
    pub(super) fn read_head(&mut self, head: RequestHead) {
        let exchange = &mut self.exchange;
        self.confirmed = true;
        self.head_cut = None;
        self.kind = match head.method.as_str() {
            "HEAD" => Kind::Head,
            "CONNECT" => Kind::Connect,
            _ => Kind::Plain,
        };
        let announced =
            |value: Option<&str>, parse: fn(&[u8]) -> _| value.and_then(|v| parse(v.as_bytes()));
        exchange.expected_timeout =
            announced(head.envoy_timeout.as_deref(), timeout::parse_envoy_millis)
                .or_else(|| announced(head.grpc_timeout.as_deref(), timeout::parse_grpc_timeout));
        self.wants_upgrade = head.upgrade;
        exchange.probe |= head.kube_probe;
        exchange.minor_version = Some(head.minor_version);
        exchange.method = Some(head.method);
        exchange.path = Some(head.path);
        exchange.authority = head.authority;
        exchange.request_id = head.request_id;
    }

    /// Takes over what the beginning of a cut request head says: only what is certainly whole.
    pub(super) fn read_partial_head(&mut self, bytes: &[u8]) {
        let bytes = crate::http::detect::skip_blank_lines(bytes);
        let line_end = memchr::memchr(b'\n', bytes);
        let line = &bytes[..line_end.unwrap_or(bytes.len())];
        let mut words = line.split(|&b| b == b' ');
        let (method, path, version) = (words.next(), words.next(), words.next());
        let text = |word: Option<&[u8]>| word.map(compact_str::CompactString::from_utf8_lossy);
        // A word is whole only if something follows it.
        if path.is_some() {
            self.exchange.method = text(method);
        }
        if version.is_some() {
            self.exchange.path = text(path);
        }
        if line_end.is_some() {
            self.exchange.minor_version = match version.map(<[u8]>::trim_ascii_end) {
                Some(b"HTTP/1.0") => Some(0),
                Some(b"HTTP/1.1") => Some(1),
                _ => None,
            };
        }
        self.kind = match self.exchange.method.as_deref() {
            Some("HEAD") => Kind::Head,
            Some("CONNECT") => Kind::Connect,
            _ => Kind::Plain,
        };
        self.confirmed = true;
    }

    /// The request's last byte was seen in `mark`, or is known to be missing.
    pub(super) fn end_request(&mut self, upto: u64, mark: Option<Mark>) {
        self.request_upto = Some(upto);
        self.exchange.events.request_end = mark;
        self.request_tail_lost = mark.is_none();
    }

    /// Closes a request whose end cannot be read: it ends at the last client byte seen.
    pub(super) fn end_unreadable_request(&mut self, acks: &Acks) {
        if self.request_upto.is_none()
            && self.request_unreadable.is_some()
            && let Some((mark, upto)) = self.last_client
        {
            self.request_upto = Some(upto);
            self.exchange.events.request_end = Some(mark);
            if let Some((mark, with)) = acks.covering_with(upto, mark) {
                self.server_acknowledged(upto, mark, with);
            }
        }
    }

    /// The response's last byte was seen in `mark`, or is known to be missing; `order` is now.
    pub(super) fn end_response(&mut self, upto: u64, mark: Option<Mark>, order: u64) {
        self.response_upto = Some(upto);
        self.exchange.events.response_end = mark;
        self.response_tail_lost = mark.is_none();
        self.whole_at = Some(order);
    }

    /// Whether the response was seen, or is known, to its end.
    pub(super) const fn is_answered(&self) -> bool {
        self.response_upto.is_some()
    }

    /// Whether nothing that may still come can change it.
    pub(super) const fn is_settled(&self) -> bool {
        self.is_answered()
            && self.exchange.events.response_acked.is_some()
            && (self.exchange.events.request_acked.is_some() || self.request_unreadable.is_some())
    }

    /// The client's packet `mark` acknowledged everything before `upto` of the server's stream.
    pub(super) fn client_acknowledged(&mut self, upto: u64, mark: Mark) {
        if self.response_upto.is_some_and(|end| upto >= end) {
            self.exchange.events.response_acked.get_or_insert(mark);
        }
    }

    /// The server's packet `mark` acknowledged everything before `upto` of the client's stream.
    pub(super) fn server_acknowledged(&mut self, upto: u64, mark: Mark, with: AckWith) {
        if self.request_upto.is_some_and(|end| upto >= end) {
            self.exchange
                .events
                .request_acked
                .get_or_insert((mark, with));
        }
    }

    pub(super) fn interim(&mut self, mark: Mark, status: u16) {
        if self.exchange.events.interim.len() < MOST_INTERIM {
            self.exchange.events.interim.push((mark, status));
        }
    }

    pub(super) fn note(&mut self, finding: Finding) {
        if self.exchange.findings.len() < MOST_FINDINGS {
            self.exchange.findings.push(finding);
        }
    }
}

/// Ports on which only health checkers ask: pilot-agent's and Envoy's in Istio, Linkerd's admin port.
pub(crate) const fn is_probed(port: u16) -> bool {
    matches!(port, 15020 | 15021 | 15090 | 4191)
}
