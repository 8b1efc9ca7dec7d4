//! Timers: closes that recur after the same time.
//!
//! Three or more closes of one kind and one side against one server within 5 % + 2 ms of each other
//! are nobody's impatience. They show that there is a timer, not whose it is.

use super::endings::ProcessEnd;
use crate::exchange::{Connection, Exchange, FindingKind, Side, Verdict};
use crate::mesh::{self, timeout};
use crate::packet::Endpoint;
use crate::time::{Span, Timestamp};
use compact_str::CompactString;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// Closes kept, 40 bytes each.
const MAX_CLOSES: usize = 65_536;
/// Different routes kept.
const MAX_ROUTES: usize = 4_096;
/// Bytes of a route kept.
const MAX_ROUTE_BYTES: usize = 256;
/// Routes listed for a timer.
const MAX_ROUTES_LISTED: usize = 20;
/// Exchanges listed for a timer.
const MAX_EXCHANGES_LISTED: usize = 1_000;
/// Closes of the smallest group that is called a timer.
const MIN_MEMBERS: usize = 3;

/// No timer is shorter: what is, is how long a program takes.
const SHORTEST: Span = Span::from_millis(2);
/// An idle connection or tunnel that is closed sooner was not closed for its idleness.
const SHORTEST_IDLE: Span = Span::from_millis(100);

/// What a timer measures.
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
#[non_exhaustive]
pub enum TimerKind {
    /// The end of a request to the close that ended the wait for its answer.
    GiveUp,
    /// The last byte of a response to the close inside it.
    ResponseIdle,
    /// The last byte of a request that stopped to what ended it: an answer or a close.
    RequestIdle,
    /// The end of the last answer to the close of the idle connection.
    KeepAlive,
    /// The last byte in a tunnel to its close.
    TunnelIdle,
    /// The last byte of an unfinished TLS handshake to the close.
    Handshake,
}

impl TimerKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().unwrap();

    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A timer: closes that recur after the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timer {
    /// What it measures.
    pub kind: TimerKind,
    /// The server of the requests.
    pub server: Endpoint,
    /// The side that closed.
    pub closed_by: Side,
    /// The number of closes.
    pub count: u64,
    /// Closes of this kind against this server that were looked at, of either side.
    pub of: u64,
    /// The shortest of the gaps that its kind names.
    pub min: Span,
    /// The longest of them.
    pub max: Span,
    /// The usual figure that both ends fit.
    pub guess: Option<Span>,
    /// The first few routes: method and path without query.
    pub routes: Vec<String>,
    /// Ids of the first thousand exchanges.
    pub exchanges: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct DecidingClose {
    kind: TimerKind,
    server: Endpoint,
    by: Side,
    gap: Span,
    /// When it came, of an idle connection, or by the server.
    at: Option<Timestamp>,
    /// `None` if the exchange is not told, only counted.
    exchange: Option<u64>,
    /// The place among the routes.
    route: Option<u16>,
}

impl DecidingClose {
    /// Whether it was one of the closes of a process that ended.
    fn is_of(&self, end: &ProcessEnd) -> bool {
        let during = self
            .at
            .is_some_and(|at| at >= end.at && at - end.at <= end.within);
        self.server == end.server && self.by == Side::Server && during
    }
}

/// A close whose exchange is not told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UntoldClose {
    pub(super) kind: TimerKind,
    pub(super) server: Endpoint,
    pub(super) by: Side,
    pub(super) gap: Span,
    pub(super) at: Option<Timestamp>,
    pub(super) route: Option<CompactString>,
}

/// The closes kept so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Closes {
    closes: Vec<DecidingClose>,
    routes: HashMap<CompactString, u16>,
    left_out: u64,
}

impl Closes {
    /// Keeps the close that decided an exchange, if one did.
    pub(super) fn add(&mut self, exchange: &Exchange) {
        let Some((kind, by, gap)) = deciding_gap(exchange) else {
            return;
        };
        if self.closes.len() >= MAX_CLOSES {
            self.left_out += 1;
            return;
        }
        let route = route(exchange).and_then(|route| self.index(route));
        let close = exchange.server_close().filter(|_| by == Side::Server);
        self.closes.push(DecidingClose {
            kind,
            server: exchange.server,
            by,
            gap,
            at: close.map(|(mark, _)| mark.time),
            exchange: Some(exchange.id),
            route,
        });
    }

    /// Keeps the close of a connection that was idle, a tunnel, or unfinished.
    pub(super) fn add_connection(&mut self, connection: &Connection) {
        let (Some(close), Some(silence)) = (connection.close, connection.silence) else {
            return;
        };
        if mesh::is_probed(connection.server.port) {
            return;
        }
        let (kind, gap, least) = match connection.verdict {
            Some(Verdict::TlsUnanswered | Verdict::TlsFailed) => {
                (TimerKind::Handshake, silence, SHORTEST_IDLE)
            }
            Some(Verdict::TlsLeftWaiting) => match connection.idle {
                Some(waited) => (TimerKind::GiveUp, waited, SHORTEST),
                None => return,
            },
            None if connection.tunnel => (TimerKind::TunnelIdle, silence, SHORTEST_IDLE),
            None => match connection.idle {
                Some(idle) => (TimerKind::KeepAlive, idle, SHORTEST_IDLE),
                None => return,
            },
            Some(_) => return,
        };
        if gap >= least {
            self.add_untold(UntoldClose {
                kind,
                server: connection.server,
                by: close.by,
                gap,
                at: Some(close.mark.time),
                route: None,
            });
        }
    }

    /// Adds the closes of exchanges that are told nowhere.
    pub(super) fn merge(&mut self, other: &Self) {
        let names = other.names();
        for close in &other.closes {
            let route = close.route.map(|route| names[usize::from(route)]);
            self.add_untold(UntoldClose {
                kind: close.kind,
                server: close.server,
                by: close.by,
                gap: close.gap,
                at: close.at,
                route: route.map(CompactString::new),
            });
        }
        self.add_left_out(other.left_out);
    }

    pub(super) fn add_untold(&mut self, close: UntoldClose) {
        if self.closes.len() >= MAX_CLOSES {
            return self.add_left_out(1);
        }
        let route = close.route.and_then(|route| self.index(route));
        self.closes.push(DecidingClose {
            kind: close.kind,
            server: close.server,
            by: close.by,
            gap: close.gap,
            at: close.at,
            exchange: None,
            route,
        });
    }

    pub(super) const fn add_left_out(&mut self, more: u64) {
        self.left_out = self.left_out.saturating_add(more);
    }

    /// The closes for another program: without the numbers that exchanges have here.
    pub(super) fn untold(&self) -> impl Iterator<Item = UntoldClose> {
        let names = self.names();
        self.closes.iter().map(move |close| {
            let route = close.route.map(|route| names[usize::from(route)]);
            UntoldClose {
                kind: close.kind,
                server: close.server,
                by: close.by,
                gap: close.gap,
                at: close.at,
                route: route.map(CompactString::new),
            }
        })
    }

    /// The routes in the order of their places.
    fn names(&self) -> Vec<&str> {
        let mut names = vec![""; self.routes.len()];
        for (name, &index) in &self.routes {
            names[usize::from(index)] = name;
        }
        names
    }

    /// Closes that found no room.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    fn index(&mut self, route: CompactString) -> Option<u16> {
        if let Some(&index) = self.routes.get(&route) {
            return Some(index);
        }
        if self.routes.len() >= MAX_ROUTES {
            return None;
        }
        let index = u16::try_from(self.routes.len()).ok()?;
        self.routes.insert(route, index);
        Some(index)
    }

    /// The timers by server, kind, closing side and gap.
    pub(super) fn timers(&self, ends: &[ProcessEnd]) -> Vec<Timer> {
        let mut closes = self.closes.clone();
        // What a process does when it ends it does not do by a timer.
        closes.retain(|close| !ends.iter().any(|end| close.is_of(end)));
        closes.sort_by_key(|close| {
            (
                close.server,
                close.kind,
                close.by,
                close.gap,
                close.exchange,
            )
        });
        let names = self.names();
        let of_kind = closes.chunk_by(|a, b| (a.server, a.kind) == (b.server, b.kind));
        of_kind
            .flat_map(|closes| {
                let names = &names;
                let of = closes.len() as u64;
                let by_side = closes.chunk_by(|a, b| a.by == b.by);
                by_side.flat_map(move |closes| {
                    groups(closes).map(move |group| timer(group, of, names))
                })
            })
            .collect()
    }
}

/// Method and path without query, cut to the limit.
fn route(exchange: &Exchange) -> Option<CompactString> {
    let method = exchange.method.as_deref()?;
    let path = exchange.path.as_deref()?;
    let path = path.split('?').next().unwrap_or(path);
    let mut route = CompactString::new(method);
    route.push(' ');
    for c in path.chars() {
        if route.len() >= MAX_ROUTE_BYTES {
            route.push('…');
            break;
        }
        route.push(c);
    }
    Some(route)
}

/// What ended an exchange that did not go well: which timer it may have been, whose, and how long
/// that had run.
pub(super) fn deciding_gap(exchange: &Exchange) -> Option<(TimerKind, Side, Span)> {
    let gaps = &exchange.gaps;
    let (kind, by, gap) = match exchange.verdict {
        // Whatever ended a request that had stopped.
        Verdict::Ok | Verdict::ServerClosedUnanswered | Verdict::ServerResetUnanswered
            if gaps.request_silence.is_some() =>
        {
            (TimerKind::RequestIdle, Side::Server, gaps.request_silence)
        }
        Verdict::ClientAbortedRequest => {
            (TimerKind::RequestIdle, Side::Client, gaps.request_silence)
        }
        Verdict::ClientGaveUp => (
            TimerKind::GiveUp,
            Side::Client,
            gaps.request_to_client_close,
        ),
        Verdict::ClientGaveUpMidResponse => {
            let (whole, silence) = (gaps.request_to_client_close, gaps.response_silence);
            // A response that dripped until the end was not silent.
            let dripped = silence
                .zip(whole)
                .is_none_or(|(silence, whole)| silence.as_nanos() < whole.as_nanos() / 4);
            if dripped || exchange.envoy.client == ["UT"] {
                (TimerKind::GiveUp, Side::Client, whole)
            } else {
                (TimerKind::ResponseIdle, Side::Client, silence)
            }
        }
        Verdict::ServerClosedUnanswered | Verdict::ServerResetUnanswered => {
            let raced = exchange.finding(FindingKind::KeepaliveRace).is_some()
                || exchange.finding(FindingKind::StrangerReset).is_some();
            let gap = gaps.request_to_server_close.filter(|_| !raced);
            (TimerKind::GiveUp, Side::Server, gap)
        }
        Verdict::ServerTruncatedResponse => (
            TimerKind::GiveUp,
            Side::Server,
            gaps.request_to_server_close,
        ),
        _ => return None,
    };
    // A close before the request was complete is not due to a timer of this request.
    gap.filter(|gap| *gap >= SHORTEST)
        .map(|gap| (kind, by, gap))
}

/// The longest gap of a group whose shortest is `shortest`: 5 % and 2 ms more.
fn longest_of_group(shortest: Span) -> i64 {
    let nanos = shortest.as_nanos();
    nanos
        .saturating_add(nanos / 20)
        .saturating_add(Span::from_millis(2).as_nanos())
}

/// Splits closes that are sorted by gap into groups, each grown from the smallest gap that is in no
/// group yet.
fn groups(mut closes: &[DecidingClose]) -> impl Iterator<Item = &[DecidingClose]> {
    std::iter::from_fn(move || {
        while let Some(first) = closes.first() {
            let longest = longest_of_group(first.gap);
            let length = closes.partition_point(|close| close.gap.as_nanos() <= longest);
            if length < MIN_MEMBERS {
                closes = &closes[1..];
                continue;
            }
            let (group, rest) = closes.split_at(length);
            closes = rest;
            return Some(group);
        }
        None
    })
}

fn timer(group: &[DecidingClose], of: u64, names: &[&str]) -> Timer {
    let (first, last) = (group[0], group[group.len() - 1]);
    let mut routes: Vec<u16> = group.iter().filter_map(|close| close.route).collect();
    routes.sort_unstable();
    routes.dedup();
    let mut routes: Vec<String> = routes
        .into_iter()
        .take(MAX_ROUTES_LISTED)
        .map(|index| names[usize::from(index)].to_owned())
        .collect();
    routes.sort_unstable();
    let mut exchanges: Vec<u64> = group
        .iter()
        .filter_map(|close| close.exchange)
        .take(MAX_EXCHANGES_LISTED)
        .collect();
    exchanges.sort_unstable();
    Timer {
        kind: first.kind,
        of,
        server: first.server,
        closed_by: first.by,
        count: group.len() as u64,
        min: first.gap,
        max: last.gap,
        guess: timeout::USUAL_FIGURES.into_iter().find(|&figure| {
            timeout::matches(figure, first.gap) && timeout::matches(figure, last.gap)
        }),
        routes,
        exchanges,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    fn closes(gaps_ms: &[f64]) -> Closes {
        let mut closes = Closes::default();
        for (id, gap) in gaps_ms.iter().enumerate() {
            let mut exchange = fixtures::gave_up();
            exchange.id = id as u64;
            exchange.gaps.request_to_client_close = Some(Span::from_nanos((gap * 1e6) as i64));
            closes.add(&exchange);
        }
        closes
    }

    #[test]
    fn seventeen_give_ups_are_a_timer() {
        let gaps: Vec<f64> = (0..17).map(|n| 493.6 + f64::from(n) * 0.36875).collect();
        let timers = closes(&gaps).timers(&[]);
        assert_eq!(timers.len(), 1);
        let timer = &timers[0];
        assert_eq!((timer.count, timer.closed_by), (17, Side::Client));
        assert_eq!(timer.min.as_millis(), 493.6);
        assert_eq!(timer.max.as_millis(), 499.5);
        assert_eq!(timer.guess, Some(Span::from_millis(500)));
        assert_eq!(timer.routes, ["GET /items"]);
        assert_eq!(timer.exchanges.len(), 17);
    }

    #[test]
    fn two_are_none_and_nobody_is_counted_twice() {
        assert!(closes(&[500.0, 501.0]).timers(&[]).is_empty());
        // 100 and 101 are two; 110..112 are three; 200 stands alone.
        let timers = closes(&[100.0, 110.0, 111.0, 112.0, 200.0, 107.0]).timers(&[]);
        assert_eq!(timers.len(), 1);
        assert_eq!(timers[0].count, 4);
        assert_eq!(timers[0].min.as_millis(), 107.0);
        assert_eq!(timers[0].guess, None);
        // The run from 100 takes 105; what is left begins a new one.
        let timers = closes(&[100.0, 105.0, 106.9, 107.1, 108.0, 109.0]).timers(&[]);
        assert_eq!(
            timers.iter().map(|timer| timer.count).collect::<Vec<_>>(),
            [3, 3]
        );
        assert_eq!(timers[0].max.as_millis(), 106.9);
    }

    #[test]
    fn a_guess_needs_both_ends() {
        // 485 to 510: within 5 % + 2 ms of each other, both fit 500.
        assert_eq!(
            closes(&[485.0, 500.0, 510.0]).timers(&[])[0].guess,
            Some(Span::from_millis(500))
        );
        assert_eq!(closes(&[500.0, 505.0, 520.0]).timers(&[])[0].guess, None);
    }

    fn closed(close: impl Fn(&mut Connection)) -> Vec<Timer> {
        let mut closes = Closes::default();
        for number in 0..3 {
            let mut connection = fixtures::connection();
            if let Some(one) = &mut connection.close {
                one.mark.time = one.mark.time.plus(Span::from_secs(number));
            }
            close(&mut connection);
            closes.add_connection(&connection);
        }
        closes.timers(&[])
    }

    #[test]
    fn connections_have_timers_of_their_own() {
        let kind = |close: fn(&mut Connection)| {
            let timers = closed(close);
            timers
                .first()
                .map(|timer| (timer.kind, timer.closed_by, timer.of))
        };
        let idle = kind(|one| {
            one.idle = Some(Span::from_secs(5));
            one.silence = one.idle;
        });
        assert_eq!(idle, Some((TimerKind::KeepAlive, Side::Client, 3)));
        let tunnel = kind(|one| {
            one.tunnel = true;
            one.silence = Some(Span::from_secs(60));
        });
        assert_eq!(tunnel, Some((TimerKind::TunnelIdle, Side::Client, 3)));
        let handshake = kind(|one| {
            one.verdict = Some(Verdict::TlsUnanswered);
            one.silence = Some(Span::from_secs(10));
        });
        assert_eq!(handshake, Some((TimerKind::Handshake, Side::Client, 3)));
        let at_once = kind(|one| {
            one.idle = Some(Span::from_millis(99));
            one.silence = one.idle;
        });
        assert_eq!(at_once, None);
    }

    #[test]
    fn what_took_less_than_2_ms_is_no_timer() {
        assert!(closes(&[1.9, 1.9, 1.9]).timers(&[]).is_empty());
        assert_eq!(closes(&[2.0, 2.0, 2.0]).timers(&[]).len(), 1);
    }

    #[test]
    fn silence_inside_a_response_is_another_timer_than_a_give_up() {
        let of = |silence: i64, announced: bool| {
            let mut closes = Closes::default();
            for _ in 0..3 {
                let mut exchange = fixtures::gave_up_mid_response();
                exchange.gaps.request_to_client_close = Some(Span::from_millis(2_400));
                exchange.gaps.response_silence = Some(Span::from_millis(silence));
                if announced {
                    exchange.envoy.client = &["UT"];
                }
                closes.add(&exchange);
            }
            let timer = closes.timers(&[]).remove(0);
            (timer.kind, timer.min.as_millis())
        };
        assert_eq!(of(2_000, false), (TimerKind::ResponseIdle, 2_000.0));
        assert_eq!(of(2_000, true), (TimerKind::GiveUp, 2_400.0));
        assert_eq!(of(100, false), (TimerKind::GiveUp, 2_400.0));
    }

    #[test]
    fn sides_servers_and_verdicts_are_kept_apart() {
        let mut closes = Closes::default();
        for _ in 0..2 {
            closes.add(&fixtures::gave_up());
            closes.add(&fixtures::server_closed());
            closes.add(&fixtures::ok());
        }
        assert!(closes.timers(&[]).is_empty());
        closes.add(&fixtures::server_closed());
        let timers = closes.timers(&[]);
        assert_eq!(timers.len(), 1);
        assert_eq!(timers[0].closed_by, Side::Server);
    }
}
