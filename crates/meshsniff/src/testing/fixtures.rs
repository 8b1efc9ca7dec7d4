//! Hand-built exchanges and connections for the tests of this folder.

use crate::dns::{Dns, Ended, Failure, Transport};
use crate::exchange::{
    AckWith, Close, Connection, EnvoyFlags, EventStream, Events, Exchange, Finding, FindingKind,
    Frames, Gaps, Grpc, Protocol, ResponseShape, Side, Status, Verdict, Violation, WebSocket, Wire,
};
use crate::kernel::{Listener, Socket, Sockets};
use crate::packet::{Endpoint, FrameId, Mark};
use crate::protocol::tls::{Alert, Bursts, Cipher, NotRead, StepKind, Tls, Version};
use crate::time::{Span, Timestamp};

/// When the captures of these tests begin: 2026-11-24T08:00:00Z.
pub const ORIGIN: Timestamp = Timestamp::from_nanos(1_795_507_200_000_000_000);
/// The app.
pub const SERVER: Endpoint = Endpoint::v4([10, 244, 0, 5], 3000);
/// The proxy that asks it.
pub const SIDECAR: Endpoint = Endpoint::v4([127, 0, 0, 6], 48764);

/// Frame `number`, `micros` after the first frame.
pub fn mark(number: u64, micros: i64) -> Mark {
    Mark {
        frame: FrameId::new(0, number),
        time: ORIGIN.plus(Span::from_micros(micros)),
        order: number,
    }
}

fn gap(from: Option<Mark>, to: Option<Mark>) -> Option<Span> {
    Some(to?.time - from?.time)
}

/// Fills the gaps from the events, as the analyser does.
fn with_gaps(mut exchange: Exchange) -> Exchange {
    let events = &exchange.events;
    let acked = events.request_acked.map(|(mark, _)| mark);
    let client = exchange.client_close().map(|(mark, _)| mark);
    let server = exchange.server_close().map(|(mark, _)| mark);
    exchange.gaps = Gaps {
        request_duration: gap(Some(events.request_start), events.request_end),
        request_to_ack: gap(events.request_end, acked),
        request_to_response: gap(events.request_end, events.response_start),
        request_silence: gap(
            events.request_last,
            events.response_start.or(client).or(server),
        ),
        response_silence: gap(events.response_last, client.or(server)),
        wait: gap(
            Some(events.request_start),
            client.or(server).or(events.response_end),
        ),
        after_previous: None,
        response_duration: gap(events.response_start, events.response_end),
        response_to_ack: gap(events.response_end, events.response_acked),
        total: gap(Some(events.request_start), events.response_end),
        request_to_client_close: gap(events.request_end, client),
        ack_to_client_close: gap(acked, client),
        request_to_server_close: gap(events.request_end, server),
        client_close_to_late_response: gap(client, events.late_response),
        idle_before: None,
    };
    exchange
}

fn asked() -> Exchange {
    Exchange {
        id: 3,
        connection: 0,
        stream: None,
        encrypted: false,
        client: SIDECAR,
        server: SERVER,
        minor_version: Some(1),
        method: Some("GET".into()),
        path: Some("/items".into()),
        authority: Some("catalog".into()),
        status: None,
        late_status: None,
        request_id: Some("d3bf0c3e-0000-4000-8000-000000000001".into()),
        trace_id: None,
        proxied: None,
        attempt: None,
        caller: None,
        answered_by: None,
        relations: crate::exchange::Relations::default(),
        probe: false,
        expected_timeout: None,
        timeout_guess: None,
        request_announced: None,
        request_bytes: 161,
        response_bytes: 0,
        response_shape: ResponseShape::Unread,
        defect: None,
        request_cut: false,
        only_large_lost: false,
        pipelined: false,
        half_closed: false,
        events: Events {
            request_start: mark(4185, 90_518_612),
            request_end: Some(mark(4185, 90_518_612)),
            request_acked: Some((mark(4186, 90_518_640), AckWith::Bare)),
            ..Events::default()
        },
        gaps: Gaps::default(),
        verdict: Verdict::Unanswered,
        doubt: None,
        close_scope: crate::exchange::Scope::Connection,
        reset: None,
        connection_error: None,
        headers_cut: false,
        grpc: None,
        websocket: None,
        event_stream: None,
        envoy: EnvoyFlags::default(),
        findings: Vec::new(),
        sockets: None,
        said: None,
    }
}

/// The tutorial's case.
pub fn gave_up() -> Exchange {
    let mut exchange = asked();
    exchange.verdict = Verdict::ClientGaveUp;
    exchange.late_status = Some(200);
    exchange.timeout_guess = Some(Span::from_millis(500));
    exchange.events.client_fin = Some(mark(4192, 91_020_323));
    exchange.events.late_response = Some(mark(4303, 92_523_835));
    exchange.envoy = EnvoyFlags {
        client: &["DC"],
        client_downstream: &["UT", "DC"],
        server: &[],
    };
    exchange.findings = vec![Finding {
        kind: FindingKind::LateResponse,
        side: crate::exchange::Side::Server,
        frames: vec![mark(4303, 92_523_835)],
        cost: Span::from_micros(1_503_512),
    }];
    with_gaps(exchange)
}

/// 200 after 1.2 ms.
pub fn ok() -> Exchange {
    let mut exchange = asked();
    exchange.id = 0;
    exchange.verdict = Verdict::Ok;
    exchange.status = Some(200);
    exchange.response_bytes = 234;
    exchange.response_shape = ResponseShape::Length;
    exchange.events.response_start = Some(mark(4187, 90_519_812));
    exchange.events.response_end = Some(mark(4188, 90_519_830));
    exchange.events.response_acked = Some(mark(4189, 90_519_840));
    with_gaps(exchange)
}

/// Cut inside a chunked 200.
fn half_answered(verdict: Verdict) -> Exchange {
    let mut exchange = asked();
    exchange.verdict = verdict;
    exchange.status = Some(200);
    exchange.response_bytes = 100;
    exchange.response_shape = ResponseShape::Chunked;
    exchange.events.interim = vec![(mark(4187, 90_519_000), 103)];
    exchange.events.response_start = Some(mark(4188, 90_519_812));
    exchange
}

/// The client reset inside the response.
pub fn gave_up_mid_response() -> Exchange {
    let mut exchange = half_answered(Verdict::ClientGaveUpMidResponse);
    exchange.events.client_rst = Some(mark(4190, 90_600_000));
    exchange.envoy.client = &["DC"];
    exchange.envoy.server = &["DC"];
    with_gaps(exchange)
}

/// The client closed inside its request.
pub fn aborted() -> Exchange {
    let mut exchange = asked();
    exchange.verdict = Verdict::ClientAbortedRequest;
    exchange.events.request_end = None;
    exchange.events.request_acked = None;
    exchange.events.client_fin = Some(mark(4190, 90_600_000));
    exchange.envoy.client = &["DC"];
    exchange.envoy.server = &["DC"];
    with_gaps(exchange)
}

/// The server's FIN in the place of an answer.
pub fn server_closed() -> Exchange {
    let mut exchange = asked();
    exchange.verdict = Verdict::ServerClosedUnanswered;
    exchange.events.server_fin = Some(mark(4190, 90_600_000));
    exchange.events.client_fin = Some(mark(4191, 90_600_010));
    exchange.envoy.client = &["UC"];
    with_gaps(exchange)
}

/// The server's RST in the place of an answer.
pub fn server_reset() -> Exchange {
    let mut exchange = asked();
    exchange.verdict = Verdict::ServerResetUnanswered;
    exchange.events.request_acked = Some((mark(4190, 90_600_000), AckWith::Rst));
    exchange.events.server_rst = Some(mark(4190, 90_600_000));
    exchange.envoy.client = &["UC"];
    with_gaps(exchange)
}

/// The server closed inside a chunked response.
pub fn truncated() -> Exchange {
    let mut exchange = half_answered(Verdict::ServerTruncatedResponse);
    exchange.events.server_fin = Some(mark(4190, 90_600_000));
    exchange.envoy.client = &["UPE"];
    with_gaps(exchange)
}

fn not_http() -> Exchange {
    let mut exchange = half_answered(Verdict::ServerTruncatedResponse);
    exchange.status = None;
    exchange.response_shape = ResponseShape::NotHttp;
    exchange.envoy.client = &["UPE"];
    with_gaps(exchange)
}

fn upgraded() -> Exchange {
    let mut exchange = ok();
    exchange.verdict = Verdict::Upgraded;
    exchange.status = Some(101);
    exchange
}

/// The capture ended first.
pub fn unanswered() -> Exchange {
    let mut exchange = asked();
    exchange.doubt = Some(crate::exchange::Doubt::CaptureEnded);
    with_gaps(exchange)
}

/// One exchange of every verdict and some of their kinds.
pub fn every_verdict() -> Vec<Exchange> {
    let failing = Exchange {
        status: Some(503),
        ..ok()
    };
    let cut = Exchange {
        minor_version: None,
        method: None,
        path: None,
        authority: None,
        request_id: None,
        trace_id: None,
        status: None,
        doubt: Some(crate::exchange::Doubt::Snaplen),
        ..ok()
    };
    vec![
        ok(),
        failing,
        cut,
        gave_up(),
        gave_up_mid_response(),
        aborted(),
        server_closed(),
        server_reset(),
        truncated(),
        not_http(),
        upgraded(),
        unanswered(),
    ]
}

/// A connection that did its work.
pub fn connection() -> Connection {
    Connection {
        id: 0,
        client: SIDECAR,
        server: SERVER,
        protocol: Protocol::Http1,
        role_guessed: false,
        first: mark(11, 12),
        syn: Some(mark(11, 12)),
        handshake: Some(Span::from_micros(25)),
        syn_to_synack: Some(Span::from_micros(12)),
        syn_retries: 0,
        verdict: None,
        doubt: None,
        envoy: EnvoyFlags::default(),
        close: Some(Close {
            by: Side::Client,
            reset: false,
            mark: mark(4192, 91_020_323),
        }),
        idle: None,
        server_answered_others: false,
        accept_queue: None,
        silence: None,
        last_byte_by: None,
        goaway: None,
        max_concurrent: None,
        tunnel: false,
        tls: None,
        exchanges: 4,
        orphan_responses: 0,
        hidden_bytes: 0,
        retransmissions: 0,
        dns: None,
    }
}

/// What a kernel said of a request that its program had not read in time.
pub const fn unread() -> Sockets {
    let server = Socket {
        receive_queue: 161,
        send_queue: 0,
        retransmits: 0,
        congestion_window: 10,
        rtt: Span::from_micros(21),
    };
    Sockets {
        asked: 5,
        unread_bytes: 161,
        unread: Some(Span::from_millis(320)),
        read_by: None,
        accepted: Some(true),
        accept_queue_was_full: false,
        client: Some(Socket {
            receive_queue: 0,
            ..server
        }),
        server: Some(server),
        listener: Some(Listener {
            waiting: 0,
            most: 128,
        }),
    }
}

/// A RST to the SYN.
pub fn refused() -> Connection {
    Connection {
        protocol: Protocol::None,
        handshake: None,
        syn_to_synack: None,
        verdict: Some(Verdict::ConnectRefused),
        envoy: EnvoyFlags {
            client: &["UF", "URX,UF"],
            ..EnvoyFlags::default()
        },
        close: Some(Close {
            by: Side::Server,
            reset: true,
            mark: mark(12, 20),
        }),
        exchanges: 0,
        ..connection()
    }
}

/// SYNs without an answer.
pub fn connect_timeout() -> Connection {
    Connection {
        verdict: Some(Verdict::ConnectTimeout),
        syn_retries: 2,
        close: None,
        ..refused()
    }
}

/// Queries of DNS in UDP, of which one had no answer and one did not exist.
#[must_use]
pub fn lookups() -> Connection {
    Connection::of_dns(Ended {
        number: 0,
        client: Endpoint::v4([10, 0, 0, 1], 40_001),
        server: Endpoint::v4([10, 96, 0, 10], 53),
        first: mark(1, 0),
        dns: Box::new(Dns {
            transport: Transport::Udp,
            queries: 3,
            repeated: 1,
            unanswered: 1,
            failed: 1,
            failures: vec![Failure {
                name: "catalog.svc.cluster.local".into(),
                kind: 28,
                code: 3,
                count: 1,
            }],
            names: vec!["catalog.shop.svc.cluster.local".into()],
            slowest: Some(Span::from_micros(5_003_000)),
            slowest_name: Some("catalog.shop.svc.cluster.local".into()),
        }),
    })
}

/// TLS of which everything is known that can be.
#[must_use]
pub fn tls() -> Tls {
    let mut tls = Tls {
        version: Some(Version(0x0304)),
        sni: Some("catalog.shop".into()),
        alpn: Some("h2".into()),
        alpn_offered: vec!["h2".into(), "http/1.1".into()],
        cipher: Some(Cipher(0x1301)),
        resumed: Some(true),
        early_data: true,
        early_data_taken: Some(true),
        retried: true,
        client_certificate: Some(true),
        handshake: Some(Span::from_micros(2_000)),
        server: Some(Span::from_micros(1_000)),
        client: Some(Span::from_micros(500)),
        alert: Some(Alert {
            by: Side::Client,
            description: Some(48),
        }),
        close_notify: [Some(true), Some(false)],
        bursts: Bursts {
            client: 2,
            server: 1,
            longest_wait: Some(Span::from_millis(500)),
            longest_wait_ended: Some(mark(9, 2_000)),
        },
        last_record_by: Some(Side::Client),
        keys: true,
        not_read: Some(NotRead::NoKeys),
        steps: Vec::new(),
    };
    for (number, kind, by) in [
        (4, StepKind::ClientHello, Side::Client),
        (5, StepKind::ServerHello, Side::Server),
        (6, StepKind::HandshakeEnd, Side::Client),
        (7, StepKind::Alert, Side::Client),
        (8, StepKind::LastRecord, Side::Client),
    ] {
        tls.note(kind, by, mark(number, 1_000 + number as i64));
    }
    tls
}

/// A WebSocket that the server closed because of an error of its own.
#[must_use]
pub fn websocket() -> WebSocket {
    let client = Frames {
        text: 3,
        continuation: 1,
        ping: 1,
        close: 1,
        ..Frames::default()
    };
    let server = Frames {
        binary: 2,
        pong: 1,
        close: 1,
        ..Frames::default()
    };
    WebSocket {
        frames: [client, server],
        whole: [true, false],
        bytes: [100, 2_000],
        compressed: [1, 0],
        longest_pong: Some(Span::from_micros(1_200)),
        closed_by: Some(Side::Server),
        close_code: Some(1011),
        close_reason: Some("no room".into()),
        close_answered: true,
        violation: Some((Side::Client, Violation::Unmasked)),
        longest_silence: Span::from_millis(300),
    }
}

/// Server-sent events.
#[must_use]
pub const fn event_stream() -> EventStream {
    EventStream {
        events: Some(12),
        comments: Some(3),
        longest_silence: Span::from_secs(15),
    }
}

/// A call that failed.
#[must_use]
pub fn call() -> Grpc {
    Grpc {
        wire: Wire::Grpc,
        service: Some("shop.Catalog".into()),
        method: Some("List".into()),
        status: Some(Status::UNAVAILABLE),
        message: Some("no room".into()),
        request: Some(1),
        response: Some(5),
        compressed: [1, 2],
        first_message: Some(Span::from_millis(12)),
        longest_silence: Some(Span::from_millis(300)),
    }
}
