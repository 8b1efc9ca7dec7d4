//! Which problem an exchange or a connection shows.

use super::model::{CAUSES, ProblemKind};
use crate::dns::code_name;
use crate::exchange::{Connection, Exchange, Finding, FindingKind, Side, Verdict, WebSocket};
use crate::mesh;
use crate::number;
use crate::packet::{Endpoint, Mark};
use crate::statistics::timers::deciding_gap;
use crate::time::Span;
use compact_str::{CompactString, ToCompactString as _, format_compact};

/// A finding that cost less is not what anybody waited for.
const WORTH_TELLING: Span = Span::from_millis(5);

/// Bytes that nobody acknowledged, if they were large segments and smaller ones came through.
pub(crate) const LARGE: &str = "large segments";
/// A connect that timed out while the port answered others.
pub(crate) const FULL: &str = "others answered";
/// A connect that timed out at a full accept queue, as the server's kernel said.
pub(crate) const QUEUE: &str = "accept queue full";
/// How a response was cut off, if by a RST.
pub(crate) const RESET: &str = "RST";
/// What went wrong with lookups, beside the names of response codes.
pub(crate) const UNANSWERED: &str = "unanswered";
/// The same.
pub(crate) const SLOW: &str = "slow";

/// Whether a detail has only what details are made of: nothing that is markup anywhere.
pub(super) fn is_plain(detail: &str) -> bool {
    detail
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || " -_.,'".contains(c))
}

/// What one of them shows.
#[derive(Clone, Debug)]
pub(super) struct Sorted {
    pub(super) kind: ProblemKind,
    pub(super) side: Side,
    pub(super) detail: CompactString,
    /// The figure of its kind.
    pub(super) figure: Option<Span>,
    /// Whether a timer may have made the figure.
    pub(super) timed: bool,
    /// The frame that shows it.
    pub(super) shown_by: Mark,
}

impl Sorted {
    const fn new(kind: ProblemKind, side: Side, shown_by: Mark) -> Self {
        Self {
            kind,
            side,
            detail: CompactString::const_new(""),
            figure: None,
            timed: false,
            shown_by,
        }
    }
}

/// Sorts an exchange; `None` if all is well with it, or it is not known.
pub(super) fn exchange(exchange: &Exchange) -> Option<Sorted> {
    match exchange.good() {
        Some(true) => slowed(exchange),
        Some(false) => Some(failed(exchange)),
        None => None,
    }
}

/// Which problem an exchange shows: its kind, server and side.
pub(crate) fn shown_by(exchange: &Exchange) -> Option<(ProblemKind, Endpoint, Side)> {
    let sorted = self::exchange(exchange)?;
    Some((sorted.kind, exchange.server, sorted.side))
}

/// What decided an exchange that failed: findings that name a cause before the verdict.
fn failed(exchange: &Exchange) -> Sorted {
    let shown_by = decided_by(exchange);
    let timed = deciding_gap(exchange);
    let mut causes = CAUSES.into_iter().filter_map(|kind| exchange.finding(kind));
    if let Some(cause) = causes.next() {
        let large = exchange.only_large_lost && cause.kind != FindingKind::StrangerReset;
        let (figure, timed) = match cause.kind {
            FindingKind::KeepaliveRace => (exchange.gaps.idle_before, None),
            FindingKind::RequestStalled => (exchange.gaps.request_silence, timed),
            _ => (exchange.gaps.wait, None),
        };
        return Sorted {
            detail: CompactString::const_new(if large { LARGE } else { "" }),
            figure,
            timed: timed.is_some(),
            ..Sorted::new(ProblemKind::Finding(cause.kind), cause.side, shown_by)
        };
    }
    if matches!(exchange.verdict, Verdict::Ok | Verdict::Upgraded) {
        // Of one that was cut any answer is a failure.
        return match exchange.status {
            Some(500..) => failing_answer(exchange, shown_by),
            _ if exchange.grpc.is_some() && !exchange.request_cut => {
                failing_answer(exchange, shown_by)
            }
            status => Sorted {
                detail: status
                    .map(|status| status.to_compact_string())
                    .unwrap_or_default(),
                ..Sorted::new(ProblemKind::EarlyAnswer, Side::Server, shown_by)
            },
        };
    }
    let side = if exchange.verdict.ended_by_client() {
        Side::Client
    } else {
        Side::Server
    };
    let detail = match exchange.verdict {
        Verdict::ServerInvalidResponse => exchange
            .defect
            .map(|defect| CompactString::const_new(defect.in_words())),
        Verdict::ClientGaveUp | Verdict::ClientGaveUpMidResponse
            if exchange.envoy.client == ["UT"] =>
        {
            exchange.expected_timeout.map(configured)
        }
        Verdict::ServerTruncatedResponse | Verdict::ServerResetUnanswered | Verdict::Refused
            if exchange.reset.is_some() =>
        {
            exchange.reset.map(|end| {
                let frame = if end.by_goaway {
                    "GOAWAY"
                } else {
                    "RST_STREAM"
                };
                format_compact!("{frame} {}", end.code.name())
            })
        }
        Verdict::ServerTruncatedResponse
            if exchange.server_close().is_some_and(|(_, reset)| reset) =>
        {
            Some(CompactString::const_new(RESET))
        }
        _ => None,
    };
    Sorted {
        detail: detail.unwrap_or_default(),
        figure: timed.map(|(_, _, gap)| gap).or(exchange.gaps.wait),
        timed: timed.is_some(),
        ..Sorted::new(ProblemKind::Verdict(exchange.verdict), side, shown_by)
    }
}

/// A timeout as it is configured.
fn configured(timeout: Span) -> CompactString {
    let mut text = String::new();
    number::timeout(&mut text, timeout);
    text.into()
}

/// Whether the detail of a proxy's answer says that its own time was over: Envoy's flags for that.
pub(crate) fn is_timeout(detail: &str) -> bool {
    [" UT", " SI"].iter().any(|flag| detail.ends_with(flag))
}

/// An answer whose status says that it failed: by the server, or by a proxy in its place.
fn failing_answer(exchange: &Exchange, shown_by: Mark) -> Sorted {
    // Of a call its own status says more than the 200 that it came with.
    let of_call = exchange
        .grpc
        .as_deref()
        .filter(|_| exchange.status == Some(200));
    let status = match of_call {
        Some(grpc) => CompactString::const_new(match grpc.status {
            Some(status) => status.name(),
            None => "no grpc-status",
        }),
        None => exchange.status.unwrap_or_default().to_compact_string(),
    };
    let (kind, detail) = match exchange.answered_by.as_deref() {
        Some(by) => {
            let mut detail = status;
            for word in [by.software.in_words(), &by.flag] {
                if !word.is_empty() && is_plain(word) {
                    detail.push(' ');
                    detail.push_str(word);
                }
            }
            (ProblemKind::ProxyAnswer, detail)
        }
        None => (ProblemKind::FailingAnswer, status),
    };
    Sorted {
        detail,
        figure: exchange.gaps.request_to_response,
        ..Sorted::new(kind, Side::Server, shown_by)
    }
}

/// What a good exchange waited for, if one finding was most of it.
fn slowed(exchange: &Exchange) -> Option<Sorted> {
    if exchange.findings.is_empty() {
        return None;
    }
    if exchange.status == Some(400)
        && let Some(header) = exchange.finding(FindingKind::ProxyProtocol)
    {
        return Some(of_finding(header, None));
    }
    if let Some(websocket) = exchange.websocket.as_deref()
        && let Some(trouble) = of_websocket(exchange, websocket)
    {
        return Some(trouble);
    }
    let costly = exchange.findings.iter().filter(|finding| {
        !matches!(
            finding.kind,
            FindingKind::Retry | FindingKind::ProxyProtocol | FindingKind::LateResponse
        )
    });
    let worst = costly.max_by_key(|finding| finding.cost)?;
    let same = exchange.findings.iter();
    let same = same.filter(|finding| finding.kind == worst.kind);
    let cost = same.fold(Span::ZERO, |sum, finding| sum.plus(finding.cost));
    let whole = exchange.gaps.wait.or(exchange.gaps.total)?;
    let most = cost >= WORTH_TELLING && cost.as_nanos() >= whole.as_nanos() / 2;
    most.then(|| of_finding(worst, Some(cost)))
}

/// What went wrong with a WebSocket that was opened.
fn of_websocket(exchange: &Exchange, websocket: &WebSocket) -> Option<Sorted> {
    if let Some(broken) = exchange.finding(FindingKind::WebsocketViolation) {
        return Some(of_finding(broken, None));
    }
    if let Some(code) = websocket.failure()
        && let Some(closed) = exchange.finding(FindingKind::WebsocketCloseCode)
    {
        return Some(Sorted {
            detail: code.to_compact_string(),
            ..of_finding(closed, None)
        });
    }
    let ended = exchange.finding(FindingKind::WebsocketNoClose)?;
    Some(of_finding(ended, Some(ended.cost)))
}

fn of_finding(finding: &Finding, figure: Option<Span>) -> Sorted {
    let shown_by = finding.frames.first().copied().unwrap_or_default();
    Sorted {
        figure,
        ..Sorted::new(ProblemKind::Finding(finding.kind), finding.side, shown_by)
    }
}

/// The frame that decided an exchange.
fn decided_by(exchange: &Exchange) -> Mark {
    let events = &exchange.events;
    let close = match exchange.verdict {
        verdict if verdict.ended_by_client() => exchange.client_close(),
        Verdict::Ok | Verdict::Upgraded | Verdict::ServerInvalidResponse => None,
        _ => exchange.server_close(),
    };
    let answer = events.response_start.or(events.request_end);
    close
        .map(|(mark, _)| mark)
        .or(answer)
        .unwrap_or(events.request_start)
}

/// Sorts a connection; `None` if all is well with it.
pub(super) fn connection(connection: &Connection) -> Option<Sorted> {
    if mesh::is_probed(connection.server.port) && connection.verdict.is_none() {
        return None;
    }
    let close = connection.close.map(|close| close.mark);
    let shown_by = close.unwrap_or(connection.first);
    if let Some(verdict) = connection.verdict {
        let side = match (connection.alert(), connection.close) {
            (Some(alert), _) => alert.by,
            (None, Some(close)) => close.by,
            (None, None) => Side::Server,
        };
        let detail = match connection.alert() {
            Some(alert) => Some(alert.name().into()),
            None if connection.accept_queue.is_some() => Some(CompactString::const_new(QUEUE)),
            None if connection.server_answered_others => Some(CompactString::const_new(FULL)),
            None => None,
        };
        return Some(Sorted {
            detail: detail.unwrap_or_default(),
            figure: match verdict {
                Verdict::TlsLeftWaiting => connection.idle,
                _ => connection.silence,
            },
            timed: matches!(
                verdict,
                Verdict::TlsUnanswered | Verdict::TlsFailed | Verdict::TlsLeftWaiting
            ),
            ..Sorted::new(ProblemKind::Verdict(verdict), side, shown_by)
        });
    }
    if let Some(dns) = connection.dns.as_ref().filter(|dns| dns.is_notable()) {
        let what = match dns.failures.iter().find(|failure| failure.is_of_server()) {
            _ if dns.unanswered > 0 => CompactString::const_new(UNANSWERED),
            Some(failure) => CompactString::new(&*code_name(failure.code)),
            None => CompactString::const_new(SLOW),
        };
        return Some(Sorted {
            detail: what,
            figure: dns.slowest,
            ..Sorted::new(ProblemKind::Lookups, Side::Server, connection.first)
        });
    }
    let by = connection.close?.by;
    connection.is_tunnel_closed_idle().then(|| Sorted {
        figure: connection.silence,
        timed: true,
        ..Sorted::new(ProblemKind::TunnelIdle, by, shown_by)
    })
}
