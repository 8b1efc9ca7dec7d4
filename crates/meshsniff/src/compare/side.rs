//! One of two sides to be compared: the figures of a capture or a report, by route.
//!
//! Memory is bounded. A side has at most 200 routes by name (after, also as many that were not
//! before) and one for all others. Of each selected gap of a route 4,096 values are kept (32 kB),
//! and if there are more, counts in buckets that are never wider than 0.4 % of their values (150 kB
//! at worst, mostly a tenth of that). With three gaps that is at worst 90 MB before and 180 MB
//! after.

use super::problems::{self, Sided};
use super::statistics::Share;
use crate::condition::Filter;
use crate::condition::filter::fits;
use crate::escape::cut;
use crate::event::{Report, ReportEvent};
use crate::exchange::{EnvoyFlags, Events, Exchange, Gap, Gaps, Relations, ResponseShape, Verdict};
use crate::packet::Endpoint;
use crate::statistics::gap_values::{GapStats, Values};
use crate::statistics::routes::{MAX_METHOD, MAX_PATH};
use crate::statistics::{MAX_COUNT, Summary};
use compact_str::CompactString;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;

/// Routes of a side with a row of their own.
pub(crate) const MAX_ROUTES: usize = 200;

/// The longest gap, a bit more than an hour: longer ones count as this one.
const MAX_GAP: i64 = 1 << 42;

/// The name by which routes are compared: a method, and a path without its query or the pattern
/// that stands for it. The server is no part of it, as its address changes from one run to the
/// next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RouteName {
    Named {
        method: CompactString,
        path: CompactString,
    },
    /// The shared route of those that were too many.
    Other,
}

/// The values of a gap.
pub(crate) type Sample = Values<9>;

/// What a report says of a gap of exchanges that it only counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Told {
    /// Its figures.
    Stats(GapStats),
    /// Several figures, which cannot be merged.
    Several,
    /// Nothing.
    Missing,
}

/// The figures of a route on one side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest {
    pub(crate) exchanges: u64,
    /// Exchanges by verdict, in the order of [`Verdict::ALL`].
    pub(crate) verdicts: [u64; Verdict::ALL.len()],
    /// Good exchanges among those that count: unanswered and uncertain ones do not.
    pub(crate) good: Share,
    /// The values of each selected gap.
    samples: Vec<Sample>,
    told: Vec<Option<Told>>,
}

/// What is gathered from a capture or a report.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The exchanges.
    pub filter: Filter,
    /// Whether health checkers count as well.
    pub probes: bool,
    /// Patterns of paths that each make one route. The first that fits counts.
    pub routes: Vec<String>,
    /// The gaps.
    pub gaps: Vec<Gap>,
}

/// One side of a comparison.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ComparedSide {
    pub(crate) name: String,
    pub(crate) kind: SideKind,
    #[serde(skip)]
    pub(crate) routes: BTreeMap<RouteName, Digest>,
    pub(crate) exchanges: u64,
    pub(crate) filtered_out: u64,
    pub(crate) probes: u64,
    /// `None` if a filter was asked for and the side is a report: it does not say whose connections
    /// they were.
    pub(crate) connects_failed: Option<u64>,
    pub(crate) dropped: Option<u64>,
    pub(crate) complete: bool,
    #[serde(skip)]
    pub(crate) problems: Sided,
}

/// The source of a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SideKind {
    #[default]
    Capture,
    Report,
    /// A report that only counts good exchanges.
    LiveReport,
}

impl Digest {
    fn new(gaps: usize) -> Self {
        Self {
            samples: vec![Sample::default(); gaps],
            told: vec![None; gaps],
            ..Self::default()
        }
    }

    /// The share of exchanges with this verdict.
    pub(crate) const fn verdict(&self, verdict: Verdict) -> Share {
        Share {
            part: self.verdicts[verdict as usize],
            whole: self.exchanges,
        }
    }

    /// The values of the selected gap at this place.
    ///
    /// # Errors
    /// Why not all of them are known.
    pub(crate) fn sample(&self, place: usize) -> Result<&Sample, &'static str> {
        match self.told.get(place) {
            Some(Some(Told::Stats(_))) => Err("the report holds only percentiles"),
            Some(Some(Told::Several)) => {
                Err("the report holds only percentiles, and those of several routes or servers")
            }
            Some(Some(Told::Missing)) | None => {
                Err("the report does not hold this gap of good exchanges")
            }
            Some(None) => Ok(&self.samples[place]),
        }
    }

    /// The figures of the selected gap at this place.
    pub(crate) fn stats(&self, place: usize) -> Option<GapStats> {
        match self.told.get(place)? {
            Some(Told::Stats(stats)) => Some(*stats),
            Some(Told::Several | Told::Missing) => None,
            None => self.samples.get(place)?.stats(),
        }
    }

    fn add(&mut self, exchange: &Exchange, gaps: &[Gap]) {
        self.exchanges += 1;
        self.verdicts[exchange.verdict as usize] += 1;
        if let Some(good) = exchange.good()
            && exchange.doubt.is_none()
            && exchange.verdict != Verdict::Unanswered
        {
            self.good.whole += 1;
            self.good.part += u64::from(good);
        }
        for (sample, gap) in self.samples.iter_mut().zip(gaps) {
            if let Some(value) = exchange.gaps.get(*gap) {
                // Cut to whole microseconds, as in a report: then a capture equals its report.
                let nanos = crate::number::micros(value).saturating_mul(1_000);
                sample.add(nanos.clamp(-MAX_GAP, MAX_GAP));
            }
        }
    }

    /// Adds the figures of another.
    fn merge(&mut self, other: &Self) {
        // A report may claim any number. Below this no sum overflows and every test ends.
        let add = |count: &mut u64, more: u64| *count = count.saturating_add(more).min(MAX_COUNT);
        add(&mut self.exchanges, other.exchanges);
        for (count, more) in self.verdicts.iter_mut().zip(other.verdicts) {
            add(count, more);
        }
        add(&mut self.good.whole, other.good.whole);
        add(&mut self.good.part, other.good.part);
        for (sample, more) in self.samples.iter_mut().zip(&other.samples) {
            sample.merge(more);
        }
        for (told, more) in self.told.iter_mut().zip(&other.told) {
            *told = match (*told, *more) {
                (told, None) => told,
                (None, more) => more,
                (Some(Told::Missing), Some(_)) | (Some(_), Some(Told::Missing)) => {
                    Some(Told::Missing)
                }
                (Some(_), Some(_)) => Some(Told::Several),
            };
        }
    }

    /// The figures of good exchanges that a report only counts. `told`: what it says of each
    /// selected gap.
    pub(crate) fn counted(exchanges: u64, upgraded: u64, told: Vec<Option<Told>>) -> Self {
        let mut digest = Self::new(told.len());
        digest.exchanges = exchanges;
        digest.verdicts[Verdict::Ok as usize] = exchanges - upgraded;
        digest.verdicts[Verdict::Upgraded as usize] = upgraded;
        digest.good = Share {
            part: exchanges,
            whole: exchanges,
        };
        digest.told = told;
        digest
    }
}

/// The routes of a side while it is read.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: BTreeMap<RouteName, Digest>,
    /// The names of the other side's routes. They always find room: otherwise a route could seem to
    /// be gone.
    known: Vec<RouteName>,
    /// Whether the other side had too many names. Then a name of this side's own could seem to be
    /// new.
    only_known: bool,
    /// The number of names that the other side does not have.
    own: usize,
}

impl Rows {
    pub(crate) fn new(known: Option<&ComparedSide>) -> Self {
        let known = known.map(|side| &side.routes);
        Self {
            rows: BTreeMap::new(),
            own: 0,
            only_known: known.is_some_and(|routes| routes.contains_key(&RouteName::Other)),
            known: known.map_or_else(Vec::new, |routes| routes.keys().cloned().collect()),
        }
    }

    pub(crate) fn row(&mut self, route: RouteName, gaps: usize) -> &mut Digest {
        let is_there = self.rows.contains_key(&route) || self.known.binary_search(&route).is_ok();
        let has_room = !self.only_known && self.own < MAX_ROUTES;
        self.own += usize::from(!is_there && has_room);
        let route = if is_there || has_room {
            route
        } else {
            RouteName::Other
        };
        self.rows.entry(route).or_insert_with(|| Digest::new(gaps))
    }

    pub(crate) fn merge(&mut self, other: &Self, gaps: usize) {
        for (route, digest) in &other.rows {
            self.row(route.clone(), gaps).merge(digest);
        }
    }

    pub(crate) fn add(&mut self, route: RouteName, digest: &Digest) {
        self.row(route, digest.samples.len()).merge(digest);
    }

    pub(crate) fn into_routes(self) -> BTreeMap<RouteName, Digest> {
        self.rows
    }
}

impl Selection {
    /// The gaps that are compared unless more are selected.
    pub const USUAL: [Gap; 3] = [
        Gap::RequestToResponse,
        Gap::Total,
        Gap::RequestToClientClose,
    ];

    pub(crate) fn route(&self, method: Option<&str>, path: Option<&str>) -> RouteName {
        let path = path.unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let mut patterns = self.routes.iter();
        let pattern = patterns.find(|pattern| fits(pattern, path));
        RouteName::Named {
            method: cut(method.unwrap_or_default(), MAX_METHOD).into(),
            path: cut(pattern.map_or(path, String::as_str), MAX_PATH).into(),
        }
    }

    /// Counts a selected exchange.
    pub(crate) fn add(&self, rows: &mut Rows, exchange: &Exchange) {
        let route = self.route(exchange.method.as_deref(), exchange.path.as_deref());
        rows.row(route, self.gaps.len()).add(exchange, &self.gaps);
    }

    /// Whether an exchange is selected. Others are counted on `side`.
    pub(crate) fn wants(&self, side: &mut ComparedSide, exchange: &Exchange) -> bool {
        if !self.filter.exchange(exchange) {
            side.filtered_out += 1;
            return false;
        }
        if exchange.probe && !self.probes {
            side.probes += 1;
            return false;
        }
        side.exchanges += 1;
        true
    }
}

/// An address that no host has.
pub(crate) const NOBODY: Endpoint = Endpoint::v4([0; 4], 0);

/// An exchange of which only method and path are known: filters of routes are filters of exchanges.
pub(crate) fn named(method: Option<CompactString>, path: Option<CompactString>) -> Exchange {
    Exchange {
        id: 0,
        connection: 0,
        stream: None,
        encrypted: false,
        client: NOBODY,
        server: NOBODY,
        minor_version: None,
        method,
        path,
        authority: None,
        status: None,
        late_status: None,
        request_id: None,
        trace_id: None,
        proxied: None,
        attempt: None,
        caller: None,
        answered_by: None,
        relations: Relations::default(),
        probe: false,
        expected_timeout: None,
        timeout_guess: None,
        request_announced: None,
        request_bytes: 0,
        response_bytes: 0,
        response_shape: ResponseShape::default(),
        defect: None,
        request_cut: false,
        only_large_lost: false,
        pipelined: false,
        half_closed: false,
        events: Events::default(),
        gaps: Gaps::default(),
        verdict: Verdict::Ok,
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

/// Gathers a side from a capture.
pub struct Gatherer<'a> {
    selection: &'a Selection,
    rows: Rows,
    summary: Summary,
    side: ComparedSide,
}

impl<'a> Gatherer<'a> {
    /// Starts with nothing. `name`: of the capture; `other`: the side that was read before.
    #[must_use]
    pub fn new(selection: &'a Selection, name: &str, other: Option<&ComparedSide>) -> Self {
        Self {
            selection,
            rows: Rows::new(other),
            summary: Summary::new(selection.probes),
            side: ComparedSide {
                name: name.to_owned(),
                connects_failed: Some(0),
                ..ComparedSide::default()
            },
        }
    }

    /// Ends the side.
    #[must_use]
    pub fn done(self) -> ComparedSide {
        ComparedSide {
            routes: self.rows.into_routes(),
            problems: problems::of_summary(&self.summary),
            ..self.side
        }
    }
}

impl Report for Gatherer<'_> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        match event {
            ReportEvent::Exchange(exchange) if self.selection.wants(&mut self.side, exchange) => {
                self.selection.add(&mut self.rows, exchange);
                self.summary.exchange(exchange);
            }
            ReportEvent::Connection(connection) if self.selection.filter.connection(connection) => {
                self.summary.connection(connection);
                if let Some(Verdict::ConnectRefused | Verdict::ConnectTimeout) = connection.verdict
                {
                    self.side.connects_failed = self.side.connects_failed.map(|failed| failed + 1);
                }
            }
            ReportEvent::Finish(capture) => {
                self.side.dropped = capture.dropped;
                self.side.complete = capture.errors.is_empty();
            }
            _ => {}
        }
        Ok(())
    }
}
