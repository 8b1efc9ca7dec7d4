//! What a problem is.

use super::behind::Behind;
use crate::exchange::{Connection, EnvoyFlags, Exchange, FindingKind, Reading, Side, Verdict};
use crate::packet::{Endpoint, Mark};
use crate::statistics::{ProcessEnd, Timer};
use crate::time::{Span, Timestamp};
use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Problems told of one report; the others are counted.
pub const MAX_PROBLEMS: usize = 100;

/// Findings that decide, which verdict it may be: the most telling first.
pub(super) const CAUSES: [FindingKind; 5] = [
    FindingKind::RequestUnacknowledged,
    FindingKind::ResponseUnacknowledged,
    FindingKind::StrangerReset,
    FindingKind::KeepaliveRace,
    FindingKind::RequestStalled,
];
/// Findings of exchanges that failed.
const DECIDE: [FindingKind; 6] = {
    let [a, b, c, d, e] = CAUSES;
    [a, b, c, d, e, FindingKind::ProxyProtocol]
};

/// What a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A process ended: many closes at once, refusals after them.
    ProcessEnd,
    /// Exchanges or connections with this verdict.
    Verdict(Verdict),
    /// The server itself answered with a 5xx.
    FailingAnswer,
    /// A proxy answered in the place of the server.
    ProxyAnswer,
    /// The server answered a request that never became whole.
    EarlyAnswer,
    /// Exchanges that this finding decided or slowed down.
    Finding(FindingKind),
    /// Lookups in DNS that failed, were repeated or took long.
    Lookups,
    /// A tunnel that was closed for its silence.
    TunnelIdle,
    /// A side that closes idle connections after the same time.
    KeepAlive,
}

impl ProblemKind {
    /// Every kind that a problem can have.
    pub fn all() -> impl Iterator<Item = Self> {
        let verdicts = Verdict::ALL.into_iter();
        let verdicts =
            verdicts.filter(|verdict| !matches!(verdict, Verdict::Ok | Verdict::Upgraded));
        [
            Self::ProcessEnd,
            Self::FailingAnswer,
            Self::ProxyAnswer,
            Self::EarlyAnswer,
            Self::Lookups,
            Self::TunnelIdle,
            Self::KeepAlive,
        ]
        .into_iter()
        .chain(verdicts.map(Self::Verdict))
        .chain(FindingKind::ALL.into_iter().map(Self::Finding))
    }

    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ProcessEnd => "process-end",
            Self::Verdict(verdict) => verdict.name(),
            Self::FailingAnswer => "failing-answer",
            Self::ProxyAnswer => "proxy-answer",
            Self::EarlyAnswer => "early-answer",
            Self::Finding(finding) => finding.name(),
            Self::Lookups => "dns",
            Self::TunnelIdle => "tunnel-idle",
            Self::KeepAlive => "keep-alive",
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            // The capture ended: nobody knows yet.
            Self::Verdict(Verdict::Unanswered) | Self::TunnelIdle | Self::KeepAlive => {
                Severity::Note
            }
            Self::Lookups | Self::EarlyAnswer => Severity::Warning,
            // An estimate: where the plain leg is seen, too, that one is told first.
            Self::Verdict(Verdict::TlsLeftWaiting) => Severity::Warning,
            Self::Finding(finding) if !DECIDE.contains(&finding) => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::all().find(|kind| kind.name() == name)
    }
}

/// Its name.
impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for ProblemKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for ProblemKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = CompactString::deserialize(deserializer)?;
        Self::of_name(&name).ok_or_else(|| de::Error::custom("no kind of problem"))
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Requests or connections failed.
    Error,
    /// Somebody waited, and got what was asked for.
    Warning,
    /// Nothing failed yet, or it is not known: worth a look.
    Note,
}

impl Severity {
    /// The name used in every report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What shows a problem.
#[derive(Clone, Debug)]
pub enum Example {
    /// One of its exchanges.
    Exchange(Box<Exchange>),
    /// One of its connections.
    Connection(Box<Connection>),
}

impl Example {
    /// What proxies log of it.
    #[must_use]
    pub fn envoy(&self) -> &EnvoyFlags {
        match self {
            Self::Exchange(exchange) => &exchange.envoy,
            Self::Connection(connection) => &connection.envoy,
        }
    }

    /// Its client.
    #[must_use]
    pub fn client(&self) -> Endpoint {
        match self {
            Self::Exchange(exchange) => exchange.client,
            Self::Connection(connection) => connection.client,
        }
    }

    /// Its first frame.
    #[must_use]
    pub fn first(&self) -> Mark {
        match self {
            Self::Exchange(exchange) => exchange.events.request_start,
            Self::Connection(connection) => connection.first,
        }
    }
}

/// The time after which the closes of a problem came, if it was the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recurring {
    /// The usual figure that all fit.
    pub guess: Option<Span>,
}

/// What became of requests in the server's socket: how many of each [`Reading`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readings {
    /// Turned away by a full accept queue.
    pub turned_away: u64,
    /// Not read, on a connection that no program had accepted.
    pub not_accepted: u64,
    /// Not read by a program that had accepted the connection.
    pub unread: u64,
    /// Read.
    pub read: u64,
}

impl Readings {
    /// Of one exchange.
    pub(super) fn of(reading: Option<Reading>) -> Self {
        let mut readings = Self::default();
        if let Some(reading) = reading {
            *match reading {
                Reading::TurnedAway => &mut readings.turned_away,
                Reading::NotAccepted => &mut readings.not_accepted,
                Reading::Unread => &mut readings.unread,
                Reading::Read => &mut readings.read,
            } = 1;
        }
        readings
    }

    fn zip<'a>(&'a mut self, other: &'a Self) -> impl Iterator<Item = (&'a mut u64, u64)> {
        [
            (&mut self.turned_away, other.turned_away),
            (&mut self.not_accepted, other.not_accepted),
            (&mut self.unread, other.unread),
            (&mut self.read, other.read),
        ]
        .into_iter()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.zip(other) {
            *count = count.saturating_add(more);
        }
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        for (count, less) in self.zip(other) {
            *count = count.saturating_sub(less);
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        let first = self.turned_away.saturating_add(self.not_accepted);
        first.saturating_add(self.unread).saturating_add(self.read)
    }

    /// Whether no kernel was asked.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What exchanges or connections have in common that went wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// Its number in the report, from 0, the worst first.
    pub id: u64,
    /// What it is.
    pub kind: ProblemKind,
    /// How bad it is.
    pub severity: Severity,
    /// The server.
    pub server: Endpoint,
    /// The side that closed, stopped, or whose bytes or window it is about.
    pub side: Side,
    /// What it was exactly, where the kind has several: a status, a proxy's flag, an alert.
    pub detail: CompactString,
    /// Methods and paths, the most frequent first; no more than [`Problem::MAX_ROUTES`].
    pub routes: Vec<CompactString>,
    /// Routes beyond them.
    pub routes_left_out: u64,
    /// Exchanges or connections.
    pub count: u64,
    /// Of how many that could have it; `None` if that is not known.
    pub of: Option<u64>,
    /// How many of them are uncertain.
    pub uncertain: u64,
    /// Of how many the request was acknowledged.
    pub acknowledged: u64,
    /// The longest time until that.
    pub slowest_ack: Option<Span>,
    /// What became of requests in the server's socket, of those whose kernel was asked.
    pub readings: Readings,
    /// How many had an answer below 500 after all, too late.
    pub late: u64,
    /// How much too late, on average.
    pub late_by: Option<Span>,
    /// Of answers that a proxy made: servers on which it lost a connection at the same time; no more
    /// than [`Problem::MAX_BEHIND`].
    pub behind: Vec<Behind>,
    /// Who asked, as proxies say it: the first few.
    pub callers: Vec<CompactString>,
    /// Whether there were more callers, or some of which nothing is said.
    pub other_callers: bool,
    /// How many were tries of a request that had been asked before.
    pub retries: u64,
    /// How many answers of a proxy in front of them failed for it.
    pub fronts: u64,
    /// Other servers on the same port that had exchanges, all of them good.
    pub unaffected_servers: u64,
    /// The shortest of the figures of its kind.
    pub min: Option<Span>,
    /// The longest.
    pub max: Option<Span>,
    /// The timer, if all came after the same time.
    pub timer: Option<Recurring>,
    /// When the first began; `None` if that is not kept.
    pub first: Option<Timestamp>,
    /// When the last began.
    pub last: Option<Timestamp>,
    /// The first exchanges by their ids, no more than [`Problem::MAX_LISTED`].
    pub exchanges: Vec<u64>,
    /// The first connections likewise.
    pub connections: Vec<u64>,
    /// The first frames that show it.
    pub evidence: Vec<Mark>,
    /// The end of the process, if that is what it is.
    pub end: Option<ProcessEnd>,
    /// Whether proxies log something else of others than of the example.
    pub mixed_flags: bool,
    /// One of them in full. None is known of those that were only counted.
    pub example: Option<Example>,
}

impl Problem {
    /// Routes named.
    pub const MAX_ROUTES: usize = 5;
    /// Servers behind a proxy named.
    pub const MAX_BEHIND: usize = 3;
    /// Callers named.
    pub const MAX_CALLERS: usize = 3;
    /// Exchanges, connections and frames listed.
    pub const MAX_LISTED: usize = 20;

    /// The timeout that was announced and that the caller kept, as it is configured.
    #[must_use]
    pub fn announced(&self) -> Option<&str> {
        let left = matches!(self.kind, ProblemKind::Verdict(verdict) if verdict.ended_by_client());
        (left && !self.detail.is_empty()).then_some(self.detail.as_str())
    }

    /// Whether it tells of this timer.
    #[must_use]
    pub fn is_of(&self, timer: &Timer) -> bool {
        let within = self.min.is_some_and(|min| min >= timer.min)
            && self.max.is_some_and(|max| max <= timer.max);
        self.timer.is_some()
            && within
            && (self.server, self.side) == (timer.server, timer.closed_by)
    }

    /// Of how many connections it tells that never opened.
    #[must_use]
    pub fn connects_failed(&self) -> u64 {
        match (self.kind, &self.end) {
            (ProblemKind::Verdict(Verdict::ConnectRefused | Verdict::ConnectTimeout), _) => {
                self.count
            }
            (ProblemKind::ProcessEnd, Some(end)) => end.refused,
            _ => 0,
        }
    }

    /// Of how many exchanges with this finding it tells.
    #[must_use]
    pub fn tells_of(&self, finding: FindingKind) -> u64 {
        match (finding, self.kind) {
            (finding, ProblemKind::Finding(kind)) if finding == kind => self.count,
            (FindingKind::LateResponse, _) => self.late,
            (FindingKind::Retry, _) => self.retries,
            _ => 0,
        }
    }
}
