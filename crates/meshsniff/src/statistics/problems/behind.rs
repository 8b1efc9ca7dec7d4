//! Whom a proxy waited for when it answered in the place of a server, where that leg is encrypted:
//! what was asked cannot be read there, but when it was opened, fell silent and was closed can.

use crate::exchange::{Close, Connection, Protocol, Side, Verdict};
use crate::packet::Endpoint;
use crate::time::{Span, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// Connections remembered, by their end.
const MAX_LEGS: usize = 1_024;
/// A proxy that gives up answers its caller and hangs up on the server within this time.
const AT_ONCE: Span = Span::from_millis(5);

/// What happened between a proxy and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum BehindKind {
    /// The proxy hung up on an encrypted connection.
    HungUp,
    /// The server closed an encrypted connection.
    Closed,
    /// The server refused a connection.
    Refused,
    /// A TLS handshake failed.
    TlsFailed,
}

impl BehindKind {
    /// The name used in every report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HungUp => "hung-up",
            Self::Closed => "closed",
            Self::Refused => "refused",
            Self::TlsFailed => "tls-failed",
        }
    }
}

/// A server behind a proxy, by time alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The server.
    pub server: Endpoint,
    /// What happened there at the time of the answer.
    pub kind: BehindKind,
    /// At the time of how many answers.
    pub count: u64,
    /// How many of its connections the proxy had opened after it was asked.
    pub opened: u64,
    /// How long the proxy had heard nothing after its own last byte, the shortest and the longest
    /// time; `None` of connections that never opened.
    pub silence: Option<(Span, Span)>,
}

impl Behind {
    /// Adds what was seen of other answers.
    fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.opened = self.opened.saturating_add(other.opened);
        let both = self.silence.zip(other.silence);
        self.silence = both.map(|(one, other)| (one.0.min(other.0), one.1.max(other.1)));
    }
}

/// Whether what happened on a connection can be why a proxy answered so: `detail` is the status, the
/// proxy and its flag, if it has one.
fn explains(detail: &str, kind: BehindKind) -> bool {
    use BehindKind::{Closed, HungUp, Refused, TlsFailed};
    let mut words = detail.split(' ');
    let (status, flag) = (words.next().unwrap_or_default(), words.nth(1));
    match (flag, status) {
        (Some("UT" | "SI"), _) | (None, "504") => kind == HungUp,
        (Some("UF"), _) => matches!(kind, Refused | TlsFailed),
        (Some("UC"), _) => kind == Closed,
        // Whatever it was, it was tried again.
        (Some("URX" | "URX,UF" | "URX,UC"), _) | (None, "502" | "503") => kind != HungUp,
        // No host, no route, a limit: it waited for nobody.
        _ => false,
    }
}

/// Servers behind a proxy, by what happened there.
pub(super) type Servers = BTreeMap<(Endpoint, BehindKind), Behind>;

/// Adds what was seen of a server.
pub(super) fn add(all: &mut Servers, one: &Behind) {
    all.entry((one.server, one.kind))
        .and_modify(|known| known.add(one))
        .or_insert(*one);
}

/// The end of a connection of which nothing can be read.
#[derive(Clone, Copy, Debug)]
struct Leg {
    proxy: IpAddr,
    server: Endpoint,
    /// The number of the capture.
    source: u16,
    kind: BehindKind,
    began: Timestamp,
    at: Timestamp,
    silence: Option<Span>,
}

/// The latest ends of such connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Legs(VecDeque<Leg>);

impl Legs {
    /// Remembers how a connection ended, if it may be a proxy's to a server that it waits for.
    pub(super) fn connection(&mut self, connection: &Connection) {
        let Some((kind, close, silence)) = ended(connection) else {
            return;
        };
        if self.0.len() >= MAX_LEGS {
            self.0.pop_front();
        }
        self.0.push_back(Leg {
            proxy: connection.client.ip(),
            server: connection.server,
            source: connection.first.frame.source(),
            kind,
            began: connection.first.time,
            at: close.mark.time,
            silence,
        });
    }

    /// The same, in the order of time.
    pub(super) fn by_time(&self) -> ByTime {
        let mut legs: Vec<Leg> = self.0.iter().copied().collect();
        legs.sort_unstable_by_key(|leg| leg.at);
        ByTime(legs)
    }
}

fn ended(connection: &Connection) -> Option<(BehindKind, Close, Option<Span>)> {
    let close = connection.close?;
    match connection.verdict {
        Some(Verdict::ConnectRefused) => Some((BehindKind::Refused, close, None)),
        Some(Verdict::TlsFailed | Verdict::TlsUnanswered) => {
            Some((BehindKind::TlsFailed, close, None))
        }
        // Only where the proxy spoke last did it wait for anything.
        _ if connection.protocol == Protocol::Tls
            && connection.last_byte_by == Some(Side::Client) =>
        {
            let kind = match close.by {
                Side::Client => BehindKind::HungUp,
                Side::Server => BehindKind::Closed,
            };
            Some((kind, close, Some(connection.silence?)))
        }
        _ => None,
    }
}

/// Ends of connections in the order of time.
pub(super) struct ByTime(Vec<Leg>);

impl ByTime {
    /// The only server on which `proxy` lost a connection that can be why it answered so: of several
    /// none can be told.
    pub(super) fn of(&self, proxy: IpAddr, answer: &Answer<'_>) -> Option<Behind> {
        let Self(legs) = self;
        let &Answer { began, at, .. } = answer;
        // On loopback a sidecar talks to its own pod, which every capture has.
        let own = |leg: &Leg| leg.proxy.is_loopback() && leg.source == answer.source;
        // Whoever waited for it was silent for most of the time.
        let waited = (at - began).as_nanos() / 2;
        let long = |leg: &Leg| {
            leg.kind != BehindKind::HungUp
                || leg
                    .silence
                    .is_some_and(|silence| silence.as_nanos() >= waited)
        };
        let from = legs.partition_point(|leg| at - leg.at > AT_ONCE);
        let near = legs[from..].iter().take_while(|leg| leg.at - at <= AT_ONCE);
        let near: Vec<&Leg> = near
            .filter(|leg| leg.proxy == proxy || own(leg))
            .filter(|leg| explains(answer.detail, leg.kind) && long(leg))
            .collect();
        // Of several to one server, the one that was silent the longest.
        let leg = near.iter().max_by_key(|leg| leg.silence)?;
        let only = near.iter().all(|other| other.server == leg.server);
        only.then(|| Behind {
            server: leg.server,
            kind: leg.kind,
            count: 1,
            opened: u64::from(leg.began >= began),
            silence: leg.silence.map(|silence| (silence, silence)),
        })
    }
}

/// An answer of a proxy in the place of a server.
pub(super) struct Answer<'a> {
    pub(super) detail: &'a str,
    /// The number of the capture.
    pub(super) source: u16,
    /// When the request began.
    pub(super) began: Timestamp,
    /// When it was answered.
    pub(super) at: Timestamp,
}
