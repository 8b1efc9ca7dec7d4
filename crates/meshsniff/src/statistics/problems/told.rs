//! The cells put together to problems.

use super::behind::{self, Behind, Servers};
use super::cell::Cell;
use super::cells::Problems;
use super::counts::Key;
use super::model::{Example, Problem, ProblemKind, Readings, Recurring, Severity};
use super::record::Record;
use crate::exchange::{FindingKind, Side, Verdict};
use crate::packet::Endpoint;
use crate::statistics::{ProcessEnd, SuccessRate, Timer, TimerKind};
use crate::time::Span;
use compact_str::CompactString;
use hashbrown::{HashMap, HashSet};

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
    /// The problems, the worst first.
    pub(in super::super) fn told(&self, context: &Context<'_>) -> Vec<Problem> {
        let end_of = |key: &Key, record: &Record| {
            let mut ends = context.ends.iter();
            ends.position(|end| is_of(end, key, record))
        };
        let (cells, taken) = self.cells(|key, record| end_of(key, record).is_some());
        let mut ended: Vec<Cell> = vec![Cell::default(); context.ends.len()];
        for (key, record) in &taken {
            if let Some(end) = end_of(key, record) {
                ended[end].list(record);
                // A request under way says more than a refusal.
                let has_exchange = matches!(ended[end].example, Some(Example::Exchange(_)));
                if let Some(example) = self.example_of(record).filter(|_| !has_exchange) {
                    ended[end].example = Some(example.clone());
                }
            }
        }
        let mut groups = Groups::new();
        for (key, cell) in &cells {
            let timer = context
                .timers
                .iter()
                .position(|timer| made(timer, key, cell));
            let group = (key.server, key.kind, key.side, key.detail.as_str(), timer);
            groups.entry(group).or_default().push((key, cell));
        }
        let behind = self.behind();
        let mut problems: Vec<Problem> = without_small_timers(groups)
            .into_iter()
            .map(|(group, cells)| Problem {
                behind: most(cells.iter().filter_map(|(key, _)| behind.get(key))),
                ..self.problem(group, cells, context)
            })
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
        let troubled: HashSet<Endpoint> = problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| problem.server)
            .collect();
        for (id, problem) in (0..).zip(&mut problems) {
            problem.id = id;
            if problem.severity == Severity::Error {
                problem.unaffected_servers = unaffected(context.rates, problem.server, &troubled);
            }
        }
        problems
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
            let count = routes.entry(&key.route).or_default();
            *count = count.saturating_add(cell.counts.count);
            all.add(cell.clone());
        }
        let of = if kind == ProblemKind::TunnelIdle {
            None
        } else if of_connections(kind) {
            self.of_connections(server)
        } else {
            // Of routes that are not all known nobody knows how many there were.
            let mut totals = routes.keys().map(|route| self.of_route(server, route));
            totals.try_fold(0_u64, |sum, total| Some(sum.saturating_add(total?)))
        };
        routes.retain(|route, _| !route.is_empty());
        let mut routes: Vec<_> = routes.into_iter().collect();
        routes.sort_unstable_by_key(|(route, count)| (!*count, *route));
        let named = routes.iter().take(Problem::MAX_ROUTES);
        let timer = timer.map(|timer| &context.timers[timer]);
        let problem = empty(kind, server, side);
        Problem {
            severity: kind.severity(),
            detail: detail.into(),
            routes: named.map(|(route, _)| (*route).clone()).collect(),
            routes_left_out: routes.len().saturating_sub(Problem::MAX_ROUTES) as u64,
            // Totals are counted where there is room: never fewer than what went wrong.
            of: of.map(|of| of.max(all.counts.count)),
            timer: timer.map(|timer| Recurring { guess: timer.guess }),
            ..with(problem, all)
        }
    }
}

/// The servers of several cells at whose expense most answers were made.
fn most<'a>(servers: impl Iterator<Item = &'a Servers>) -> Vec<Behind> {
    let mut all = Servers::new();
    for one in servers.flat_map(Servers::values) {
        behind::add(&mut all, one);
    }
    let mut all: Vec<Behind> = all.into_values().collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.count));
    all.truncate(Problem::MAX_BEHIND);
    all
}

/// Puts cells of a timer that are few among those of none.
fn without_small_timers(groups: Groups<'_>) -> Groups<'_> {
    let mut kept = Groups::new();
    for ((server, kind, side, detail, timer), cells) in groups {
        let counts = cells.iter().map(|(_, cell)| cell.counts.count);
        let count = counts.fold(0, u64::saturating_add);
        let timer = timer.filter(|_| count >= MIN_TIMED);
        let group = (server, kind, side, detail, timer);
        kept.entry(group).or_default().extend(cells);
    }
    kept
}

/// How many other servers on the same port had exchanges, and nothing but good ones.
fn unaffected(
    rates: &[(Endpoint, SuccessRate)],
    server: Endpoint,
    troubled: &HashSet<Endpoint>,
) -> u64 {
    let others = rates.iter().filter(|(other, rate)| {
        other.port == server.port
            && *other != server
            && rate.exchanges > 0
            && rate.good == rate.exchanges
            && rate.connects_failed == 0
            && !troubled.contains(other)
    });
    others.count() as u64
}

fn of_connections(kind: ProblemKind) -> bool {
    match kind {
        ProblemKind::Verdict(verdict) => verdict.is_of_connection(),
        ProblemKind::Lookups | ProblemKind::TunnelIdle => true,
        _ => false,
    }
}

/// Whether it is one of the closes and refusals of a process that ended.
fn is_of(end: &ProcessEnd, key: &Key, record: &Record) -> bool {
    let last_close = end.at.plus(end.within);
    key.server == end.server
        && match key.kind {
            ProblemKind::Verdict(
                Verdict::ServerClosedUnanswered | Verdict::ServerResetUnanswered,
            ) => record.closed_within(end.at, last_close),
            ProblemKind::Verdict(Verdict::ConnectRefused) => {
                record.closed_within(last_close, end.last_refused)
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
        readings: Readings::default(),
        late: 0,
        late_by: None,
        behind: Vec::new(),
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
        mixed_flags: false,
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
        readings: counts.readings,
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
        mixed_flags: cell.mixed_flags,
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
