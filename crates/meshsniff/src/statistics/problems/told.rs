//! The cells put together to problems.

use super::cells::{Cell, Key, Problems};
use super::model::{MAX_PROBLEMS, Problem, ProblemKind, Recurring, Severity};
use super::sorting::DECIDE;
use crate::exchange::{FindingKind, Side, Verdict};
use crate::packet::Endpoint;
use crate::statistics::{ProcessEnd, SuccessRate, Timer, TimerKind};
use crate::time::Span;
use compact_str::CompactString;
use hashbrown::HashMap;

/// What problems are told by, beside the cells.
pub(in super::super) struct Context<'a> {
    /// All timers, by server and kind.
    pub(in super::super) timers: &'a [Timer],
    pub(in super::super) ends: &'a [ProcessEnd],
    pub(in super::super) rates: &'a [(Endpoint, SuccessRate)],
}

/// What is put together: server, kind, side, detail, and the place of the timer.
type Group<'a> = (Endpoint, ProblemKind, Side, &'a str, Option<usize>);
/// The cells of each.
type Groups<'a> = HashMap<Group<'a>, Vec<(&'a Key, &'a Cell)>>;

/// Fewer closes of a kind are no timer, though they are those of another kind's.
const MIN_TIMED: u64 = 3;

impl Problems {
    /// The problems, the worst first, and how many there are beyond those that are told.
    pub(in super::super) fn told(&self, context: &Context<'_>) -> (Vec<Problem>, u64) {
        let mut groups = Groups::new();
        let mut ended: Vec<Cell> = vec![Cell::default(); context.ends.len()];
        for (key, cell) in self.cells() {
            if let Some(end) = context.ends.iter().position(|end| is_of(end, key, cell)) {
                ended[end].add(cell.clone());
                continue;
            }
            let timer = context
                .timers
                .iter()
                .position(|timer| made(timer, key, cell));
            let group = (key.server, key.kind, key.side, key.detail.as_str(), timer);
            groups.entry(group).or_default().push((key, cell));
        }
        let mut problems: Vec<Problem> = without_small_timers(groups)
            .into_iter()
            .map(|(group, cells)| self.problem(group, cells, context))
            .collect();
        let ends = context.ends.iter().zip(ended);
        problems.extend(ends.map(|(end, cell)| process_end(end, cell)));
        problems.extend(context.timers.iter().filter_map(keep_alive));
        problems.sort_by(|a, b| {
            let worst = |problem: &Problem| (problem.severity, !problem.count, problem.first);
            let same =
                |problem: &Problem| (problem.server, problem.kind, problem.side, problem.min);
            (worst(a), same(a), &a.detail).cmp(&(worst(b), same(b), &b.detail))
        });
        let beyond = problems.len().saturating_sub(MAX_PROBLEMS) as u64;
        problems.truncate(MAX_PROBLEMS);
        for (id, problem) in (0..).zip(&mut problems) {
            problem.id = id;
        }
        (problems, beyond)
    }

    fn problem(
        &self,
        (server, kind, side, detail, timer): Group<'_>,
        mut cells: Vec<(&Key, &Cell)>,
        context: &Context<'_>,
    ) -> Problem {
        cells.sort_by_key(|(key, cell)| (cell.counts.first, *key));
        let mut routes: HashMap<&CompactString, u64> = HashMap::new();
        let mut all = Cell::default();
        for (key, cell) in cells {
            *routes.entry(&key.route).or_default() += cell.counts.count;
            all.add(cell.clone());
        }
        let of = if kind == ProblemKind::TunnelIdle {
            None
        } else if of_connections(kind) {
            self.of_connections(server)
        } else {
            let totals = routes.keys().map(|route| self.of_route(server, route));
            totals
                .sum::<Option<u64>>()
                .or_else(|| served(context, server))
        };
        routes.retain(|route, _| !route.is_empty());
        let mut routes: Vec<_> = routes.into_iter().collect();
        routes.sort_unstable_by_key(|(route, count)| (!*count, *route));
        let named = routes.iter().take(Problem::MAX_ROUTES);
        let timer = timer.map(|timer| &context.timers[timer]);
        let rate = |rates: &[(Endpoint, SuccessRate)], is: &dyn Fn(&Endpoint) -> bool| {
            let others = rates.iter().filter(|(other, _)| is(other));
            let good = others.filter(|(_, rate)| {
                rate.counted > 0 && rate.good == rate.counted && rate.connects_failed == 0
            });
            good.count() as u64
        };
        let brothers = |other: &Endpoint| *other != server && other.port == server.port;
        let unaffected = rate(context.rates, &brothers);
        let problem = empty(kind, server, side);
        Problem {
            severity: severity(kind),
            detail: detail.into(),
            routes: named.map(|(route, _)| (*route).clone()).collect(),
            routes_left_out: routes.len().saturating_sub(Problem::MAX_ROUTES) as u64,
            // Totals are counted where there is room: never fewer than what went wrong.
            of: of.map(|of| of.max(all.counts.count)),
            unaffected_servers: match severity(kind) {
                Severity::Error => unaffected,
                Severity::Warning | Severity::Note => 0,
            },
            timer: timer.map(|timer| Recurring { guess: timer.guess }),
            ..with(problem, all)
        }
    }
}

/// Puts cells of a timer that are few among those of none.
fn without_small_timers(groups: Groups<'_>) -> Groups<'_> {
    let mut kept = Groups::new();
    for ((server, kind, side, detail, timer), cells) in groups {
        let counts = cells.iter().map(|(_, cell)| cell.counts.count);
        let timer = timer.filter(|_| counts.sum::<u64>() >= MIN_TIMED);
        let group = (server, kind, side, detail, timer);
        kept.entry(group).or_default().extend(cells);
    }
    kept
}

/// The number of exchanges of a server.
fn served(context: &Context<'_>, server: Endpoint) -> Option<u64> {
    let rates = context.rates;
    let place = rates.binary_search_by_key(&server, |(other, _)| *other);
    place.ok().map(|place| rates[place].1.exchanges)
}

fn of_connections(kind: ProblemKind) -> bool {
    match kind {
        ProblemKind::Verdict(verdict) => verdict.is_of_connection(),
        ProblemKind::Lookups | ProblemKind::TunnelIdle => true,
        _ => false,
    }
}

/// Whether it is one of the closes and refusals of a process that ended.
fn is_of(end: &ProcessEnd, key: &Key, cell: &Cell) -> bool {
    let (first, last) = (cell.counts.first, cell.counts.last);
    key.server == end.server
        && match key.kind {
            // Requests began before the end, and the closes are counted by their time.
            ProblemKind::Verdict(
                Verdict::ServerClosedUnanswered | Verdict::ServerResetUnanswered,
            ) => {
                let mut closes = cell.evidence.iter().map(|mark| mark.time);
                let until = end.at.plus(end.within);
                let all = cell.evidence.len() as u64 == cell.counts.count;
                all && closes.all(|at| at >= end.at && at <= until)
            }
            ProblemKind::Verdict(Verdict::ConnectRefused) => {
                first >= end.at && last <= end.last_refused
            }
            _ => false,
        }
}

/// Whether a timer made the figures of a cell.
fn made(timer: &Timer, key: &Key, cell: &Cell) -> bool {
    let kind = match key.kind {
        ProblemKind::Verdict(Verdict::ClientGaveUpMidResponse) => {
            matches!(timer.kind, TimerKind::GiveUp | TimerKind::ResponseIdle)
        }
        ProblemKind::Verdict(Verdict::ClientAbortedRequest)
        | ProblemKind::Finding(FindingKind::RequestStalled) => timer.kind == TimerKind::RequestIdle,
        ProblemKind::Verdict(Verdict::TlsUnanswered | Verdict::TlsFailed) => {
            timer.kind == TimerKind::Handshake
        }
        ProblemKind::TunnelIdle => timer.kind == TimerKind::TunnelIdle,
        ProblemKind::Verdict(_) => timer.kind == TimerKind::GiveUp,
        _ => false,
    };
    let (Some(min), Some(max)) = (cell.counts.min, cell.counts.max) else {
        return false;
    };
    let middle = Span::from_nanos(min.as_nanos() / 2 + max.as_nanos() / 2);
    kind && key.server == timer.server
        && key.side == timer.closed_by
        && (timer.min..=timer.max).contains(&middle)
}

/// How bad it is.
fn severity(kind: ProblemKind) -> Severity {
    match kind {
        // The capture ended: nobody knows yet.
        ProblemKind::Verdict(Verdict::Unanswered)
        | ProblemKind::TunnelIdle
        | ProblemKind::KeepAlive => Severity::Note,
        ProblemKind::Lookups => Severity::Warning,
        ProblemKind::Finding(finding) if !DECIDE.contains(&finding) => Severity::Warning,
        _ => Severity::Error,
    }
}

fn empty(kind: ProblemKind, server: Endpoint, side: Side) -> Problem {
    Problem {
        id: 0,
        kind,
        severity: Severity::Note,
        server,
        side,
        detail: CompactString::default(),
        routes: Vec::new(),
        routes_left_out: 0,
        count: 0,
        of: None,
        uncertain: 0,
        acknowledged: 0,
        slowest_ack: None,
        late: 0,
        late_by: None,
        callers: Vec::new(),
        other_callers: false,
        retries: 0,
        fronts: 0,
        unaffected_servers: 0,
        min: None,
        max: None,
        timer: None,
        first: None,
        last: None,
        exchanges: Vec::new(),
        connections: Vec::new(),
        evidence: Vec::new(),
        end: None,
        example: None,
    }
}

/// The problem with all that is counted.
fn with(problem: Problem, cell: Cell) -> Problem {
    let counts = cell.counts;
    let average = counts.late_by.as_nanos() / i64::try_from(counts.late.max(1)).unwrap_or(1);
    Problem {
        count: counts.count,
        uncertain: counts.uncertain,
        acknowledged: counts.acknowledged,
        slowest_ack: counts.slowest_ack,
        late: counts.late,
        late_by: (counts.late > 0).then(|| Span::from_nanos(average)),
        callers: counts.callers,
        other_callers: counts.other_callers,
        retries: counts.retries,
        fronts: counts.fronts,
        min: counts.min,
        max: counts.max,
        first: (counts.count > 0).then_some(counts.first),
        last: (counts.count > 0).then_some(counts.last),
        exchanges: cell.exchanges,
        connections: cell.connections,
        evidence: cell.evidence,
        example: cell.example,
        ..problem
    }
}

fn process_end(end: &ProcessEnd, cell: Cell) -> Problem {
    let problem = empty(ProblemKind::ProcessEnd, end.server, Side::Server);
    Problem {
        severity: Severity::Error,
        count: end.connections,
        of: None,
        min: None,
        max: None,
        first: Some(end.at),
        last: Some(end.last_refused),
        end: Some(*end),
        ..with(problem, cell)
    }
}

/// The timer of a server that closes idle connections: whoever keeps them for longer will race it.
fn keep_alive(timer: &Timer) -> Option<Problem> {
    if (timer.kind, timer.closed_by) != (TimerKind::KeepAlive, Side::Server) {
        return None;
    }
    let problem = empty(ProblemKind::KeepAlive, timer.server, timer.closed_by);
    Some(Problem {
        count: timer.count,
        of: Some(timer.of),
        min: Some(timer.min),
        max: Some(timer.max),
        timer: Some(Recurring { guess: timer.guess }),
        ..problem
    })
}
