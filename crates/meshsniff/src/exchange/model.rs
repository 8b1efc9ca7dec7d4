//! What the analyser hands out: exchanges and connections, settled and judged.
//!
//! Plain data. How they come about is in `connection` and `judge`, how they are written
//! down in [`crate::report`].

pub use super::gaps::{Gap, Gaps};
pub use super::websocket::WebSocket;
pub use crate::mesh::answer::ProxyAnswer;
pub use crate::mesh::envoy::EnvoyFlags;
pub use crate::protocol::grpc::{Status, Wire};
pub use crate::protocol::http1::head::Defect;
pub use crate::protocol::http2::frame::ErrorCode;
pub use crate::protocol::proxy_header::ProxyHeader;
pub use crate::protocol::tls::{Alert, Bursts, Tls};
pub use crate::protocol::websocket::{Frames, Violation};
pub use crate::tcp::{AckWith, Doubt, Scope, Side};

use super::said::Said;
use crate::dns::{Dns, Ended, Transport};
use crate::escape::cut;
use crate::kernel::{Listener, Sockets};
use crate::mesh::logs;
use crate::packet::{Endpoint, Mark};
use crate::time::{Span, Timestamp};
use compact_str::{CompactString, format_compact};
use serde::{Deserialize, Serialize};
use std::fmt;
use strum::{IntoStaticStr, VariantArray};

/// Outcome of an exchange, or of a connection that never opened.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Verdict {
    /// The whole response, whatever its status.
    Ok,
    /// The client closed after a whole request, before any response byte.
    ClientGaveUp,
    /// The client closed inside the response.
    ClientGaveUpMidResponse,
    /// The client closed inside its own request.
    ClientAbortedRequest,
    /// The server's FIN, and no response byte.
    ServerClosedUnanswered,
    /// The server's RST, and no response byte.
    ServerResetUnanswered,
    /// The server closed inside the response.
    ServerTruncatedResponse,
    /// The server answered before the request was whole, and its RST met the rest.
    ServerResetEarlyAnswer,
    /// No HTTP response, or one framed such that a proxy must refuse it.
    ServerInvalidResponse,
    /// 101, or CONNECT with a 2xx: what follows is not HTTP.
    Upgraded,
    /// The capture ended first.
    Unanswered,
    /// The server did not process the stream: RST_STREAM with REFUSED_STREAM, or a GOAWAY that
    /// names a lower one as its last. It may be sent again.
    Refused,
    /// Of a connection: RST to the SYN.
    ConnectRefused,
    /// Of a connection: at least 2 SYNs and at least 1 s without an answer.
    ConnectTimeout,
    /// Of a connection: a TLS hello that the server did not answer.
    TlsUnanswered,
    /// Of a connection: an alert, a FIN or a RST inside the TLS handshake.
    TlsFailed,
    /// Of a connection, as far as can be seen without keys: the client closed while it waited for an
    /// answer to its last TLS record.
    TlsLeftWaiting,
    /// Of a connection: a TLS hello to a port that answers in plain text.
    TlsRefusedPlain,
    /// Of a connection: plain text to a port that answers with TLS.
    PlainRefusedTls,
}

impl Verdict {
    /// Every verdict, in the order of the documentation.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().unwrap();

    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Verdicts of connections, not of exchanges.
    pub const OF_CONNECTIONS: [Self; 7] = [
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::TlsUnanswered,
        Self::TlsFailed,
        Self::TlsLeftWaiting,
        Self::TlsRefusedPlain,
        Self::PlainRefusedTls,
    ];

    /// Whether it is a verdict of connections, not of exchanges.
    #[must_use]
    pub fn is_of_connection(self) -> bool {
        Self::OF_CONNECTIONS.contains(&self)
    }

    /// Whether the client ended the exchange: its share is what separates the two success rates.
    #[must_use]
    pub const fn ended_by_client(self) -> bool {
        matches!(
            self,
            Self::ClientGaveUp | Self::ClientGaveUpMidResponse | Self::ClientAbortedRequest
        )
    }
}

/// Its name.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The moments of an exchange; each absent when the capture does not show it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// First byte of the request.
    pub request_start: Mark,
    /// Last byte of the request.
    pub request_end: Option<Mark>,
    /// Last byte seen of a request that never became whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_last: Option<Mark>,
    /// First packet of the server whose ACK covers the last byte of the request.
    pub request_acked: Option<(Mark, AckWith)>,
    /// Each 1xx response that was not final, with its status.
    pub interim: Vec<(Mark, u16)>,
    /// First byte of the final response.
    pub response_start: Option<Mark>,
    /// Last byte of the final response.
    pub response_end: Option<Mark>,
    /// Last byte seen of a response that never became whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_last: Option<Mark>,
    /// First packet of the client whose ACK covers the last byte of the response.
    pub response_acked: Option<Mark>,
    /// The client's first FIN, between `request_start` and `response_end`.
    pub client_fin: Option<Mark>,
    /// The server's first FIN, in the same span, or before it in a keep-alive race.
    pub server_fin: Option<Mark>,
    /// The client's first RST in the same span.
    pub client_rst: Option<Mark>,
    /// The server's first RST in the same span.
    pub server_rst: Option<Mark>,
    /// First byte of an answer that came after the client had closed.
    pub late_response: Option<Mark>,
    /// The client's RST_STREAM, between `request_start` and `response_end`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_rst_stream: Option<Mark>,
    /// The server's RST_STREAM in the same span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_rst_stream: Option<Mark>,
    /// The server's GOAWAY that says that it will not process the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goaway: Option<Mark>,
}

/// Kind of a finding.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum FindingKind {
    /// Bytes sent again before they were acknowledged; costs first sighting to covering ACK.
    Retransmission,
    /// A receiver that closed its window; costs until it opened again.
    ZeroWindow,
    /// A sender that waited for a delayed ACK (Nagle's algorithm).
    DelayedAckStall,
    /// The server had closed the idle connection when the request came.
    KeepaliveRace,
    /// The answer came after the client had closed.
    LateResponse,
    /// The client took its time to send the body.
    SlowRequestBody,
    /// The SYN had to be repeated.
    SynRetry,
    /// The client stopped in the middle of its request.
    RequestStalled,
    /// The client waited for a `100 Continue` that did not come before it sent the body.
    ExpectUnanswered,
    /// Bytes of the request were sent again and again, and never acknowledged.
    RequestUnacknowledged,
    /// Bytes of the response were sent again and again, and never acknowledged.
    ResponseUnacknowledged,
    /// A RST without an ACK on a connection that had been idle: whoever sent it does not know the
    /// connection.
    StrangerReset,
    /// A PROXY protocol header stands before the first request.
    ProxyProtocol,
    /// The request is a later try of another: by its id, or by `x-envoy-attempt-count`.
    Retry,
    /// The server still knew an older connection on the same ports: it challenged the SYN.
    PortReuse,
    /// The name's lookup had to be repeated before the connection; costs the time until then.
    DnsRetry,
    /// The name's lookup took long, the time until it was repeated aside.
    DnsSlow,
    /// The request lay unread in the server's socket; costs from its last byte to the last time that
    /// the kernel was asked and it lay there.
    UnreadRequest,
    /// The server's accept queue was full while the exchange, or its SYN, waited.
    AcceptQueueFull,
    /// A sender of HTTP/2 that was not allowed to send more; costs until it was.
    FlowControlStall,
    /// Frames of the stream had come, but had to wait for bytes of another that were lost.
    HeadOfLine,
    /// The stream began when another ended: no more were permitted at once.
    StreamsExhausted,
    /// A PING of HTTP/2, or a Ping of WebSocket, was not answered; costs from then to the end.
    PingUnanswered,
    /// SETTINGS were not acknowledged; costs from then to the end.
    SettingsUnacknowledged,
    /// A WebSocket ended without a Close from each side; costs from its last byte to the end. The
    /// side is who ended the connection, or the stream, first.
    WebsocketNoClose,
    /// A WebSocket was closed with a code other than 1000.
    WebsocketCloseCode,
    /// A side of a WebSocket sent what no side may send.
    WebsocketViolation,
}

impl FindingKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().unwrap();

    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Something worth knowing beside the verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// The side it is about: whose bytes were lost or held up, whose window was closed, who stopped
    /// or closed.
    pub side: Side,
    /// The frames that show it.
    pub frames: Vec<Mark>,
    /// Its cost.
    pub cost: Span,
}

impl Finding {
    /// Most frames kept for one finding.
    const MAX_FRAMES: usize = 64;

    /// Adds frames, as far as there is room.
    pub(super) fn add_frames(&mut self, frames: Vec<Mark>) {
        let room = Self::MAX_FRAMES.saturating_sub(self.frames.len());
        self.frames.extend(frames.into_iter().take(room));
    }
}

/// How the end of the response was to be told; decides what a cut one means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseShape {
    /// No final response head was read.
    #[default]
    Unread,
    /// No body, or one of known length.
    Length,
    /// Chunked transfer coding.
    Chunked,
    /// Ends with the connection.
    UntilClose,
    /// Bytes came that are no HTTP response.
    NotHttp,
    /// Ends with a flag on its stream's last frame.
    Stream,
}

/// What became of a request in the server's socket for most of the time that it waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The server had no socket for it, because its accept queue was full.
    TurnedAway,
    /// It lay unread: no program had accepted the connection.
    NotAccepted,
    /// It lay unread in the socket of a program.
    Unread,
    /// A program read it, and waited or worked.
    Read,
}

/// Exchanges that one belongs together with, by their ids. Of two that do, the one settled last
/// names the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relations {
    /// The earlier try of the same request.
    pub retry_of: Option<u64>,
    /// The later try of the same request.
    pub retried_as: Option<u64>,
    /// What the server, a proxy, asked in its turn to answer this one.
    pub behind: Option<u64>,
    /// What the client, a proxy, had been asked and asked this one for.
    pub front: Option<u64>,
}

impl Relations {
    /// Whether there is none.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// Replaces each id by what `renumber` makes of it.
    pub(crate) fn renumber(&mut self, renumber: impl Fn(u64) -> Option<u64>) {
        for id in [
            &mut self.retry_of,
            &mut self.retried_as,
            &mut self.behind,
            &mut self.front,
        ] {
            *id = id.and_then(&renumber);
        }
    }
}

/// The end of one stream alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReset {
    /// Who ended it.
    pub by: Side,
    /// The reason given.
    pub code: ErrorCode,
    /// Whether it was by a GOAWAY that names a lower stream as the last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_goaway: bool,
}

/// A remote procedure call: gRPC, gRPC-Web or Connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grpc {
    /// How its messages stand in the bodies.
    pub wire: Wire,
    /// The service, with its package.
    pub service: Option<CompactString>,
    /// The method.
    pub method: Option<CompactString>,
    /// `grpc-status`, or what an error of Connect's stands for; `None` if it did not come, or is not
    /// known.
    pub status: Option<Status>,
    /// `grpc-message`, decoded.
    pub message: Option<CompactString>,
    /// Messages of the client that began; `None` if bytes of them are missing.
    pub request: Option<u64>,
    /// Messages of the server that began; `None` if bytes of them are missing.
    pub response: Option<u64>,
    /// How many of the client's and of the server's were compressed.
    pub compressed: [u64; 2],
    /// From the request's beginning to the end of the server's first message.
    pub first_message: Option<Span>,
    /// The longest time between two messages of the server; `None` if there are no two.
    pub longest_silence: Option<Span>,
}

impl Grpc {
    fn weight(&self) -> usize {
        let texts = [&self.service, &self.method, &self.message];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        size_of::<Self>() + texts
    }

    /// Service and method as one name, as far as they are known.
    #[must_use]
    pub fn name(&self) -> CompactString {
        let service = self.service.as_deref().unwrap_or("?");
        let method = self.method.as_deref().unwrap_or("?");
        format_compact!("{service}/{method}")
    }
}

/// A response of server-sent events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventStream {
    /// Events that were whole; `None` if bytes of them are missing, or cannot be read.
    pub events: Option<u64>,
    /// Lines that are comments, by which servers keep a silent stream alive; `None` likewise.
    pub comments: Option<u64>,
    /// The longest time in which no byte came, from the head to the end.
    pub longest_silence: Span,
}

/// Why a connection takes no further streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneAway {
    /// Who said so.
    pub by: Side,
    /// The reason given.
    pub code: ErrorCode,
    /// The last stream that will be processed.
    pub last_stream: u32,
    /// The frame.
    pub mark: Mark,
}

/// One request and all that answers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// Number of the exchange in the report, from 0, in the order they were settled.
    pub id: u64,
    /// Number of its connection.
    pub connection: u64,
    /// Its stream, of a protocol that has several on one connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<u32>,
    /// Whether it was inside of TLS, and read with keys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    /// Who asked.
    pub client: Endpoint,
    /// Who was asked.
    pub server: Endpoint,
    /// The request's HTTP/1 minor version; `None` if its request line was cut.
    pub minor_version: Option<u8>,
    /// The request method; `None` if it was cut.
    pub method: Option<CompactString>,
    /// The request target as sent; `None` if it was cut.
    pub path: Option<CompactString>,
    /// `Host`.
    pub authority: Option<CompactString>,
    /// Status of the response that answered in time.
    pub status: Option<u16>,
    /// Status of the response that came after the client had closed.
    pub late_status: Option<u16>,
    /// `x-request-id`.
    pub request_id: Option<CompactString>,
    /// The trace that it is part of, by `traceparent`, `b3` or `x-b3-traceid`: hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<CompactString>,
    /// The PROXY header that the connection began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxied: Option<ProxyHeader>,
    /// `x-envoy-attempt-count`, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Who asked the proxy that asks: the identity in its certificate, or its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<CompactString>,
    /// The proxy that made the answer itself; `None` if the server did, as far as can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<Box<ProxyAnswer>>,
    /// Exchanges that it belongs together with.
    #[serde(default, skip_serializing_if = "Relations::are_none")]
    pub relations: Relations,
    /// Whether a health checker asked.
    pub probe: bool,
    /// The timeout announced on the request.
    pub expected_timeout: Option<Span>,
    /// The usual figure that the client's close fits, where nothing was announced.
    pub timeout_guess: Option<Span>,
    /// Bytes of the request, head and body, as its head announced them, of one that never became
    /// whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_announced: Option<u64>,
    /// Bytes of the request, head and body, as far as it was sent.
    pub request_bytes: u64,
    /// Bytes of the final response, head and body, as far as it came in time.
    pub response_bytes: u64,
    /// How the response's end was to be told.
    pub response_shape: ResponseShape,
    /// Why a proxy must refuse the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defect: Option<Defect>,
    /// Whether the request never became whole although its end could be told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request_cut: bool,
    /// Whether bytes that nobody acknowledged were sent in segments larger than those that came
    /// through: the path may have a smaller MTU than its ends believe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_large_lost: bool,
    /// Whether the request was sent before the one before it was answered.
    pub pipelined: bool,
    /// Whether the client's FIN was a half-close: it went on to take the answer.
    pub half_closed: bool,
    /// The moments.
    pub events: Events,
    /// The gaps between them.
    pub gaps: Gaps,
    /// The outcome.
    pub verdict: Verdict,
    /// Why the verdict is not certain; `None` if it is.
    pub doubt: Option<Doubt>,
    /// What the close ended that decided it: the connection, unless its stream alone was reset.
    #[serde(default, skip_serializing_if = "Scope::is_connection")]
    pub close_scope: Scope,
    /// Who ended the stream alone, and the reason given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<StreamReset>,
    /// Who gave up on the connection while the stream was open, by a GOAWAY with an error, and the
    /// error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_error: Option<(Side, ErrorCode)>,
    /// Whether header fields are left out that stand in a part of HPACK's table nobody saw, or
    /// trailers that cannot be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub headers_cut: bool,
    /// The remote procedure call that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Box<Grpc>>,
    /// The WebSocket that it opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<Box<WebSocket>>,
    /// The server-sent events that answered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_stream: Option<EventStream>,
    /// Flags that proxies would log.
    pub envoy: EnvoyFlags,
    /// What else was seen.
    pub findings: Vec<Finding>,
    /// What the kernel said of its sockets while it waited; `None` if nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sockets: Option<Box<Sockets>>,
    /// What was said; `None` unless [`Options::messages`](crate::Options::messages) asks for it. It
    /// never leaves the machine.
    #[serde(skip)]
    pub said: Option<Box<Said>>,
}

impl Exchange {
    /// Bytes that it takes, about: itself, its texts and its lists.
    pub(crate) fn weight(&self) -> usize {
        let texts = [
            &self.method,
            &self.path,
            &self.authority,
            &self.request_id,
            &self.trace_id,
            &self.caller,
        ];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        let findings = self.findings.iter();
        let findings: usize = findings
            .map(|finding| size_of::<Finding>() + finding.frames.len() * size_of::<Mark>())
            .sum();
        let interim = self.events.interim.len() * size_of::<(Mark, u16)>();
        let sockets = self.sockets.as_ref().map_or(0, |_| size_of::<Sockets>());
        let said = self.said.as_ref().map_or(0, |said| said.weight());
        let grpc = self.grpc.as_ref().map_or(0, |grpc| grpc.weight());
        let websocket = self.websocket.as_ref().map_or(0, |one| one.weight());
        size_of::<Self>() + texts + findings + interim + sockets + said + grpc + websocket
    }

    /// Bytes of a copy that is kept, about, and of one of its texts. A request head may have 256 KiB,
    /// and a report keeps some hundred examples.
    const MAX_KEPT: usize = 64 << 10;
    const MAX_KEPT_TEXT: usize = 2 << 10;
    /// Findings of such a copy, frames of each, and interim answers.
    const MAX_KEPT_LIST: usize = 16;

    /// A copy to be kept as an example: of one that is too large its texts and lists are cut.
    pub(crate) fn kept(&self) -> Self {
        let mut kept = Self {
            said: None,
            ..self.clone()
        };
        if self.weight() <= Self::MAX_KEPT {
            return kept;
        }
        let texts = [
            &mut kept.method,
            &mut kept.path,
            &mut kept.authority,
            &mut kept.request_id,
            &mut kept.trace_id,
            &mut kept.caller,
        ];
        let grpc = kept.grpc.as_deref_mut();
        let of_grpc = grpc.map(|grpc| [&mut grpc.service, &mut grpc.method, &mut grpc.message]);
        for text in texts
            .into_iter()
            .chain(of_grpc.into_iter().flatten())
            .flatten()
        {
            if text.len() > Self::MAX_KEPT_TEXT {
                // A cut text would keep its memory.
                *text = format_compact!("{}…", cut(text, Self::MAX_KEPT_TEXT));
            }
        }
        kept.events.interim.truncate(Self::MAX_KEPT_LIST);
        kept.events.interim.shrink_to_fit();
        kept.findings.truncate(Self::MAX_KEPT_LIST);
        kept.findings.shrink_to_fit();
        for finding in &mut kept.findings {
            finding.frames.truncate(Self::MAX_KEPT_LIST);
            finding.frames.shrink_to_fit();
        }
        kept
    }

    /// `ok` or `upgraded` with a status below 500, of a request that became whole; `None` if the
    /// status is not known. Of a call its own status decides, if it came with a 200.
    #[must_use]
    pub fn good(&self) -> Option<bool> {
        match self.verdict {
            Verdict::Ok | Verdict::Upgraded if self.request_cut => Some(false),
            Verdict::Ok if self.status == Some(200) && self.grpc.is_some() => self.call_is_good(),
            Verdict::Ok | Verdict::Upgraded => self.status.map(|status| status < 500),
            _ => Some(false),
        }
    }

    /// Whether a call that was answered went well, as far as the server is to blame.
    fn call_is_good(&self) -> Option<bool> {
        let grpc = self.grpc.as_ref()?;
        match grpc.status {
            Some(status) => Some(!status.is_server_failure()),
            None if self.headers_cut || grpc.response.is_none() => None,
            // What ends without a status failed, to any client.
            None => Some(false),
        }
    }

    /// When the request began.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.events.request_start.time
    }

    /// The client's first close and whether it was a RST or RST_STREAM; `None` for a half-close
    /// alone.
    #[must_use]
    pub fn client_close(&self) -> Option<(Mark, bool)> {
        let fin = self.events.client_fin.filter(|_| !self.half_closed);
        first([
            (fin, false),
            (self.events.client_rst, true),
            (self.events.client_rst_stream, true),
        ])
    }

    /// The server's first close, or GOAWAY, and whether it was a RST or RST_STREAM.
    #[must_use]
    pub fn server_close(&self) -> Option<(Mark, bool)> {
        first([
            (self.events.server_fin, false),
            (self.events.server_rst, true),
            (self.events.server_rst_stream, true),
            (self.events.goaway, false),
        ])
    }

    /// What its caller waited, for ranking: a pipelined one is not to blame for those before it.
    #[must_use]
    pub fn slowness(&self) -> Option<Span> {
        self.gaps.after_previous.or(self.gaps.wait)
    }

    /// When its response ended, else when the close came that decided its verdict.
    #[must_use]
    pub fn decided_at(&self) -> Option<Timestamp> {
        let close = match self.verdict {
            Verdict::ClientGaveUp
            | Verdict::ClientGaveUpMidResponse
            | Verdict::ClientAbortedRequest => self.client_close(),
            Verdict::ServerClosedUnanswered
            | Verdict::ServerResetUnanswered
            | Verdict::Refused
            | Verdict::ServerTruncatedResponse => self.server_close(),
            Verdict::ServerResetEarlyAnswer => self.events.server_rst.map(|mark| (mark, true)),
            _ => None,
        };
        match close {
            Some((mark, _)) => Some(mark.time),
            None => self.events.response_end.map(|end| end.time),
        }
    }

    /// What happened to a proxy that opened this connection (`Client`) or accepted it (`Server`),
    /// if it went wrong in a way that proxies log. Where a figure that people like is all that tells
    /// a timer of the proxy's from its caller that left, either may have happened.
    #[must_use]
    pub fn happened_to(&self, proxy: Side) -> [Option<logs::Event>; 2] {
        use logs::Event;
        let reset = self.client_close().is_some_and(|(_, reset)| reset);
        let reset_by_server = self.server_close().is_some_and(|(_, reset)| reset);
        let stuck = self.finding(FindingKind::ZeroWindow).is_some();
        let unread = self.response_shape == ResponseShape::Unread;
        let one = match (self.verdict, proxy) {
            (Verdict::ClientGaveUp, Side::Client) => {
                let guessed = self.timeout_guess.is_some();
                let left = is_of_caller(self.envoy) || guessed;
                return [
                    (!left || guessed).then_some(Event::TimedOut),
                    left.then_some(Event::CallerLeft),
                ];
            }
            (Verdict::ClientGaveUp, Side::Server) if reset => Event::CallerReset,
            (Verdict::ClientGaveUp, Side::Server) => Event::CallerLeft,
            (Verdict::ClientGaveUpMidResponse, _) if stuck => return [None, None],
            // Whether it was a timer of the proxy's or its caller is told by a silence alone.
            (Verdict::ClientGaveUpMidResponse, Side::Client) if is_of_caller(self.envoy) => {
                return [None, None];
            }
            (Verdict::ClientGaveUpMidResponse, Side::Client) => {
                let left = self.envoy.client.contains(&"DC");
                return [
                    Some(Event::TimedOutInside),
                    left.then_some(Event::CallerLeftInside),
                ];
            }
            (Verdict::ClientGaveUpMidResponse, Side::Server) => Event::CallerLeftInside,
            (_, Side::Server) => return [None, None],
            (Verdict::ServerClosedUnanswered, _) => Event::UpstreamClosed,
            (Verdict::ServerResetUnanswered, _) => Event::UpstreamReset,
            // Inside the head nothing was passed on yet.
            (Verdict::ServerTruncatedResponse, _) if unread => Event::UpstreamClosed,
            (Verdict::ServerTruncatedResponse, _) if reset_by_server => Event::UpstreamResetInside,
            (Verdict::ServerTruncatedResponse, _) => Event::UpstreamTruncated,
            (Verdict::ServerInvalidResponse, _) => Event::InvalidAnswer,
            _ => return [None, None],
        };
        [Some(one), None]
    }

    /// What became of the request in the server's socket, as far as its kernel was asked.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        let sockets = self.sockets.as_ref()?;
        if let Some(unread) = sockets.unread.filter(|_| sockets.unread_bytes > 0) {
            let twice = unread.as_nanos().saturating_mul(2);
            if self.gaps.wait.is_none_or(|wait| twice >= wait.as_nanos()) {
                return Some(match sockets.accepted {
                    Some(false) => Reading::NotAccepted,
                    _ => Reading::Unread,
                });
            }
        }
        match sockets.accepted {
            None => sockets.accept_queue_was_full.then_some(Reading::TurnedAway),
            Some(_) => sockets.read_by.map(|_| Reading::Read),
        }
    }

    /// The finding of this kind, if there is one.
    #[must_use]
    pub fn finding(&self, kind: FindingKind) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.kind == kind)
    }
}

/// Whether the proxy that opened the connection had been left by its own caller, as far as its
/// flags say.
fn is_of_caller(flags: EnvoyFlags) -> bool {
    matches!(flags.client, ["DC"] | ["DC", "DR"])
}

/// The first of several closes, each with whether it is a reset.
fn first<const N: usize>(closes: [(Option<Mark>, bool); N]) -> Option<(Mark, bool)> {
    closes
        .into_iter()
        .filter_map(|(mark, reset)| mark.map(|mark| (mark, reset)))
        .min_by_key(|(mark, _)| mark.order)
}

/// What a connection carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// No payload at all.
    #[default]
    None,
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// TLS records.
    Tls,
    /// DNS, in UDP or TCP.
    Dns,
    /// Anything else.
    Unknown,
}

impl Protocol {
    /// The name used in every report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Http1 => "http/1",
            Self::Http2 => "http/2",
            Self::Tls => "tls",
            Self::Dns => "dns",
            Self::Unknown => "unknown",
        }
    }
}

/// How a connection was closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// By whom.
    pub by: Side,
    /// Whether by RST.
    pub reset: bool,
    /// The frame.
    pub mark: Mark,
}

/// One TCP connection, or what one port asked a server of DNS over UDP.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// Number of the connection in the report, from 0, in the order of their first packets. Flows
    /// in UDP have numbers of their own, from [`Connection::FIRST_UDP`] on.
    pub id: u64,
    /// The side that opened it.
    pub client: Endpoint,
    /// The side that accepted it.
    pub server: Endpoint,
    /// What it carried.
    pub protocol: Protocol,
    /// Whether client and server were only told apart by their ports.
    pub role_guessed: bool,
    /// Its first packet.
    pub first: Mark,
    /// The client's first SYN.
    pub syn: Option<Mark>,
    /// SYN to the client's ACK.
    pub handshake: Option<Span>,
    /// SYN to the server's SYN-ACK.
    pub syn_to_synack: Option<Span>,
    /// SYNs beyond the first.
    pub syn_retries: u64,
    /// `connect-refused` or `connect-timeout`.
    pub verdict: Option<Verdict>,
    /// Why that verdict is not certain.
    pub doubt: Option<Doubt>,
    /// What proxies would log of a connection that never opened.
    pub envoy: EnvoyFlags,
    /// The first FIN or RST; `None` also when one that came before it may be missing.
    pub close: Option<Close>,
    /// From the last finished response to the close.
    pub idle: Option<Span>,
    /// Whether the server's port answered other SYNs within a minute, of a connection whose SYNs it
    /// did not answer: its accept queue is full.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_answered_others: bool,
    /// The server's accept queue when its kernel was asked about this connection's SYN, and it was
    /// full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_queue: Option<Listener>,
    /// From the last byte of payload, of either side, to the close.
    pub silence: Option<Span>,
    /// The side that sent that byte.
    pub last_byte_by: Option<Side>,
    /// The GOAWAY that ended it, of HTTP/2: the server's, else the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goaway: Option<GoneAway>,
    /// Most streams that the server permits at once, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
    /// Whether it became a tunnel: by a 101 or a CONNECT.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tunnel: bool,
    /// TLS, as far as it can be seen without keys, of a connection that speaks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<Tls>>,
    /// Exchanges on it.
    pub exchanges: u64,
    /// Responses whose request the capture does not have.
    pub orphan_responses: u64,
    /// Client bytes in stretches that could not be read as requests.
    pub hidden_bytes: u64,
    /// Data, SYN or FIN segments without one new sequence number.
    pub retransmissions: u64,
    /// The queries, of a connection that carried DNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Box<Dns>>,
}

impl Connection {
    /// The number of the first flow in UDP. Below are TCP connections, which so are numbered as
    /// Wireshark does.
    pub const FIRST_UDP: u64 = 1 << 32;

    /// Whether it is a flow of DNS messages in UDP, and no TCP connection.
    #[must_use]
    pub fn is_udp(&self) -> bool {
        let transport = self.dns.as_ref().map(|dns| dns.transport);
        transport == Some(Transport::Udp)
    }

    /// The alert that ended its TLS handshake.
    #[must_use]
    pub fn alert(&self) -> Option<Alert> {
        self.tls.as_ref()?.alert
    }

    /// Whether it is a tunnel that somebody closed after a second of silence or more.
    #[must_use]
    pub fn is_tunnel_closed_idle(&self) -> bool {
        let long = |silence: Span| silence >= Span::from_secs(1);
        self.tunnel && self.close.is_some() && self.silence.is_some_and(long)
    }

    /// A flow of DNS messages in UDP.
    #[must_use]
    pub fn of_dns(flow: Ended) -> Self {
        Self {
            id: Self::FIRST_UDP + flow.number,
            client: flow.client,
            server: flow.server,
            protocol: Protocol::Dns,
            role_guessed: false,
            first: flow.first,
            syn: None,
            handshake: None,
            syn_to_synack: None,
            syn_retries: 0,
            verdict: None,
            doubt: None,
            envoy: EnvoyFlags::default(),
            close: None,
            idle: None,
            server_answered_others: false,
            accept_queue: None,
            silence: None,
            last_byte_by: None,
            goaway: None,
            max_concurrent: None,
            tunnel: false,
            tls: None,
            exchanges: 0,
            orphan_responses: 0,
            hidden_bytes: 0,
            retransmissions: 0,
            dns: Some(flow.dns),
        }
    }
}
