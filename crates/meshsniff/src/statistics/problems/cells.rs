//! Counts of what went wrong alike.
//!
//! A cell counts what agrees in kind, server, side, detail and route, and whose figures lie within
//! some 3 % of each other where a timer may have made them. Timers are only known at the end: then
//! the cells of one are put together, and so are those of none.

use super::behind::{self, Answer, Legs, Servers};
use super::cell::{Cell, CellRow};
use super::counts::{Counts, Key};
use super::model::{Example, ProblemKind};
use super::record::Record;
use super::sorting::{self, Sorted};
use crate::escape::cut;
use crate::exchange::{Connection, EnvoyFlags, Exchange, FindingKind, Side, Verdict};
use crate::packet::Endpoint;
use crate::statistics::routes::{MAX_METHOD, MAX_PATH, Route};
use crate::time::{Span, Timestamp};
use compact_str::CompactString;
use foldhash::quality::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;

/// Cells kept. What finds no room is counted with its kind and server alone, and at last only
/// counted.
pub(super) const MAX_CELLS: usize = 2_048;
/// Of them, without the cells for which there is no room otherwise.
const MAX_DISTINCT: usize = 1_536;
/// Examples kept, some 2 kB each.
const MAX_EXAMPLES: usize = 256;
/// Bytes of a caller.
const MAX_CALLER: usize = 256;
/// Routes of which all exchanges are counted.
const MAX_TOTALS: usize = 4_096;
/// Exchanges and connections that can be taken out of their cells, 140 bytes each.
const MAX_RECORDS: usize = 4_096;

/// All exchanges of a route or a server, and connections to one, by a hash of what they have in
/// common.
pub type Totals = Vec<(u64, u64)>;

/// Members that are told elsewhere than in their cells, in the order in which they came.
pub(super) type Taken = Vec<(Key, Record)>;

/// What went wrong so far.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Problems {
    places: HashMap<Key, u32>,
    cells: Vec<Cell>,
    examples: usize,
    totals: HashMap<u64, u64>,
    /// The latest that were counted, the oldest first.
    records: VecDeque<Record>,
    /// The number of the first of them, since the beginning.
    first: u64,
    /// The numbers of exchanges among them, by id.
    members: HashMap<u64, u64>,
    legs: Legs,
    /// Exchanges and connections that no cell has.
    left_out: u64,
}

/// What a total is of.
enum Total<'a> {
    /// Its server, method and path without query.
    Route(Endpoint, &'a str, &'a str),
    Connections(Endpoint),
}

impl Total<'_> {
    fn hash(&self) -> u64 {
        // The same in every program: totals of several targets are added.
        let hasher = FixedState::with_seed(0);
        match *self {
            Self::Route(server, method, path) => hasher.hash_one((0_u8, server, method, path)),
            Self::Connections(server) => hasher.hash_one((1_u8, server)),
        }
    }
}

impl Problems {
    /// Takes an exchange in that counts.
    pub(in super::super) fn exchange(&mut self, exchange: &Exchange) {
        let (method, path) = parts(exchange);
        self.count(Total::Route(exchange.server, method, path).hash(), 1);
        let Some(sorted) = sorting::exchange(exchange) else {
            return;
        };
        let Some(fronts) = self.told_by_its_other_side(exchange) else {
            return;
        };
        let mut route = CompactString::new(method);
        if !method.is_empty() {
            route.push(' ');
            route.push_str(path);
        }
        let gaps = &exchange.gaps;
        let record = Record {
            place: 0,
            exchange: Some(exchange.id),
            connection: exchange.connection,
            figure: sorted.figure,
            began: exchange.start(),
            decided: exchange.decided_at(),
            closed: exchange
                .decided_at()
                .filter(|_| sorted.side == Side::Server),
            shown_by: sorted.shown_by,
            uncertain: exchange.doubt.is_some(),
            acknowledged: gaps.request_to_ack,
            is_acknowledged: exchange.events.request_acked.is_some(),
            reading: exchange.reading(),
            // One that failed as well is no success to anybody.
            late: gaps
                .client_close_to_late_response
                .filter(|_| exchange.late_status.is_some_and(|status| status < 500)),
            retry: exchange.finding(FindingKind::Retry).is_some()
                || exchange.relations.retry_of.is_some(),
            client_left: exchange.verdict.ended_by_client(),
            gone: false,
        };
        let counts = Counts {
            fronts,
            callers: exchange
                .caller
                .iter()
                .map(|caller| caller_in(caller))
                .collect(),
            other_callers: exchange.caller.is_none(),
            ..record.counts()
        };
        let Some(place) = self.add(exchange.server, route, &sorted, counts) else {
            return;
        };
        let record = Record { place, ..record };
        self.show(&record, &exchange.envoy, || {
            Example::Exchange(Box::new(exchange.kept()))
        });
        if exchange.good() == Some(false) {
            self.remember(record);
        }
    }

    /// Takes a connection in.
    pub(in super::super) fn connection(&mut self, connection: &Connection) {
        self.count(Total::Connections(connection.server).hash(), 1);
        self.legs.connection(connection);
        let Some(sorted) = sorting::connection(connection) else {
            return;
        };
        let began = connection.first.time;
        let record = Record {
            place: 0,
            exchange: None,
            connection: connection.id,
            figure: sorted.figure,
            began,
            decided: None,
            closed: (connection.verdict == Some(Verdict::ConnectRefused)).then_some(began),
            shown_by: sorted.shown_by,
            uncertain: connection.doubt.is_some(),
            acknowledged: None,
            is_acknowledged: false,
            reading: None,
            late: None,
            retry: false,
            client_left: false,
            gone: false,
        };
        let server = connection.server;
        let counts = record.counts();
        let Some(place) = self.add(server, CompactString::default(), &sorted, counts) else {
            return;
        };
        let record = Record { place, ..record };
        self.show(&record, &connection.envoy, || {
            Example::Connection(Box::new(connection.clone()))
        });
        if record.closed.is_some() {
            self.remember(record);
        }
    }

    /// Lists one in its cell, as the example if it has none.
    fn show(&mut self, record: &Record, envoy: &EnvoyFlags, example: impl FnOnce() -> Example) {
        let cell = &mut self.cells[record.place as usize];
        cell.list(record);
        cell.show(envoy);
        if cell.example.is_none() && self.examples < MAX_EXAMPLES {
            self.examples += 1;
            cell.example = Some(example());
        }
    }

    /// The servers on which a proxy lost a connection while it answered in their place, by time
    /// alone: of each key of such answers.
    pub(super) fn behind(&self) -> HashMap<&Key, Servers> {
        let answers = self.places.iter();
        let answers = answers.filter(|(key, _)| key.kind == ProblemKind::ProxyAnswer);
        let answers: HashMap<u32, &Key> = answers.map(|(key, &place)| (place, key)).collect();
        let mut behind: HashMap<&Key, Servers> = HashMap::new();
        if answers.is_empty() {
            return behind;
        }
        let legs = self.legs.by_time();
        for record in self.records.iter().filter(|record| !record.gone) {
            let (Some(key), Some(at)) = (answers.get(&record.place), record.decided) else {
                continue;
            };
            let answer = Answer {
                detail: &key.detail,
                source: record.shown_by.frame.source(),
                began: record.began,
                at,
            };
            if let Some(one) = legs.of(key.server.ip(), &answer) {
                behind::add(behind.entry(key).or_default(), &one);
            }
        }
        behind
    }

    /// Counts good exchanges of a route.
    pub(in super::super) fn good(&mut self, route: &Route, exchanges: u64) {
        // Those that were too many have no name.
        if !route.method.is_empty() {
            let total = Total::Route(route.server, &route.method, &route.path);
            self.count(total.hash(), exchanges);
        }
    }

    fn count(&mut self, hash: u64, more: u64) {
        if let Some(count) = self.totals.get_mut(&hash) {
            *count = count.saturating_add(more);
        } else if self.totals.len() < MAX_TOTALS {
            self.totals.insert(hash, more);
        }
    }

    /// Counts it in the cell where it belongs, and returns the cell's place.
    fn add(
        &mut self,
        server: Endpoint,
        route: CompactString,
        sorted: &Sorted,
        counts: Counts,
    ) -> Option<u32> {
        let timed = sorted.figure.filter(|_| sorted.timed);
        let key = Key {
            kind: sorted.kind,
            server,
            side: sorted.side,
            detail: sorted.detail.clone(),
            route,
            bucket: timed.map_or(0, bucket),
        };
        let place = self.place(key);
        match place {
            Some(place) => self.cells[place as usize].counts.add(&counts),
            None => self.left_out = self.left_out.saturating_add(counts.count),
        }
        place
    }

    fn place(&mut self, mut key: Key) -> Option<u32> {
        if let Some(&place) = self.places.get(&key) {
            return Some(place);
        }
        if self.cells.len() >= MAX_DISTINCT {
            (key.route, key.bucket) = (CompactString::default(), 0);
            key.detail.clear();
            if let Some(&place) = self.places.get(&key) {
                return Some(place);
            }
        }
        if self.cells.len() >= MAX_CELLS {
            return None;
        }
        let place = u32::try_from(self.cells.len()).ok()?;
        self.places.insert(key, place);
        self.cells.push(Cell::default());
        Some(place)
    }

    /// How many answers of a proxy in front failed because of it; `None` if it failed itself because
    /// of what its proxy asked, or because its proxy's caller left, and so is told there.
    fn told_by_its_other_side(&mut self, exchange: &Exchange) -> Option<u64> {
        if exchange.good() != Some(false) {
            return Some(0);
        }
        // Whoever left first left the other one no choice.
        let this = (exchange.verdict.ended_by_client(), exchange.decided_at());
        let left_first =
            |(front_left, front_at): (bool, Option<Timestamp>),
             (back_left, back_at): (bool, Option<Timestamp>)| {
                front_left && back_left && front_at <= back_at
            };
        let relations = &exchange.relations;
        if let Some((number, back)) = relations.behind.and_then(|id| self.member(id)) {
            if left_first(this, (back.client_left, back.decided)) {
                self.forget(number);
                return Some(0);
            }
            let fronts = &mut self.cells[back.place as usize].counts.fronts;
            *fronts = fronts.saturating_add(1);
            return None;
        }
        if let Some((number, front)) = relations.front.and_then(|id| self.member(id)) {
            if left_first((front.client_left, front.decided), this) {
                return None;
            }
            self.forget(number);
            return Some(1);
        }
        Some(0)
    }

    /// What an exchange added, and the place of that.
    fn member(&self, id: u64) -> Option<(usize, Record)> {
        let number = self.members.get(&id)?.checked_sub(self.first)?;
        let place = usize::try_from(number).ok()?;
        let record = self.records.get(place).filter(|record| !record.gone)?;
        Some((place, *record))
    }

    /// Takes an exchange out that is told elsewhere. Others take its place in the lists.
    fn forget(&mut self, number: usize) {
        let Some(record) = self.records.get_mut(number) else {
            return;
        };
        record.gone = true;
        let was_example = self.cells[record.place as usize].unlist(record);
        self.examples -= usize::from(was_example);
    }

    fn remember(&mut self, record: Record) {
        if self.records.len() >= MAX_RECORDS
            && let Some(oldest) = self.records.pop_front()
        {
            self.first += 1;
            if let Some(id) = oldest.exchange {
                self.members.remove(&id);
            }
            // What was taken out stays so.
            if oldest.gone {
                let cell = &mut self.cells[oldest.place as usize];
                cell.without(&[oldest]);
            }
        }
        if let Some(id) = record.exchange {
            let number = self.first + self.records.len() as u64;
            self.members.insert(id, number);
        }
        self.records.push_back(record);
    }

    /// Adds what another has, whose exchanges are told nowhere.
    pub(in super::super) fn merge(&mut self, other: &Self) {
        for row in other.rows() {
            self.add_row(row);
        }
        self.add_totals(&other.totals());
        self.left_out = self.left_out.saturating_add(other.left_out);
    }

    /// Adds a cell of another program.
    pub(in super::super) fn add_row(&mut self, row: CellRow) {
        match self.place(row.key) {
            Some(place) => self.cells[place as usize].counts.add(&row.counts),
            None => self.left_out = self.left_out.saturating_add(row.counts.count),
        }
    }

    /// Adds totals of another program.
    pub(in super::super) fn add_totals(&mut self, totals: &[(u64, u64)]) {
        for &(hash, count) in totals {
            self.count(hash, count);
        }
    }

    /// The cells for another program, in an order of their own.
    pub(in super::super) fn rows(&self) -> Vec<CellRow> {
        let rows = self.cells(|_, _| false).0.into_iter();
        rows.map(|(key, cell)| CellRow {
            key,
            counts: cell.counts,
        })
        .collect()
    }

    /// The totals for another program.
    pub(in super::super) fn totals(&self) -> Totals {
        let mut totals: Totals = self.totals.iter().map(|(hash, n)| (*hash, *n)).collect();
        totals.sort_unstable();
        totals
    }

    pub(in super::super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(in super::super) const fn add_left_out(&mut self, more: u64) {
        self.left_out = self.left_out.saturating_add(more);
    }

    /// The cells with what they agree in, in the order of that, without those of their members that
    /// are told elsewhere or that `taken` takes; and what it took.
    pub(super) fn cells(&self, taken: impl Fn(&Key, &Record) -> bool) -> (Vec<(Key, Cell)>, Taken) {
        let mut members: HashMap<u32, Vec<Record>> = HashMap::new();
        for record in &self.records {
            members.entry(record.place).or_default().push(*record);
        }
        let (mut cells, mut all_taken) = (Vec::new(), Vec::new());
        for (key, &place) in &self.places {
            let mut cell = self.cells[place as usize].clone();
            let mut out = Vec::new();
            let of_cell = members.remove(&place).unwrap_or_default();
            let whole = of_cell.len() as u64 == cell.counts.count;
            let mut kept = Counts::default();
            for record in of_cell {
                let taken = !record.gone && taken(key, &record);
                if taken {
                    all_taken.push((key.clone(), record));
                }
                if taken || record.gone {
                    out.push(record);
                } else {
                    kept.add(&record.counts());
                }
            }
            for record in &out {
                cell.unlist(record);
            }
            if whole {
                // Where all members are known, what remains is counted anew.
                cell.counts = Counts {
                    fronts: cell.counts.fronts,
                    callers: cell.counts.callers,
                    other_callers: cell.counts.other_callers,
                    ..kept
                };
            } else {
                cell.without(&out);
            }
            if cell.counts.count > 0 {
                cells.push((key.clone(), cell));
            }
        }
        cells.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all_taken.sort_unstable_by_key(|(_, record)| record.shown_by.order);
        (cells, all_taken)
    }

    /// The example of a cell that a record is, or was.
    pub(super) fn example_of(&self, record: &Record) -> Option<&Example> {
        let example = self.cells[record.place as usize].example.as_ref()?;
        record.is(example).then_some(example)
    }

    /// All exchanges of a route of a server; `None` if there was no room to count them.
    pub(super) fn of_route(&self, server: Endpoint, route: &str) -> Option<u64> {
        let (method, path) = route.split_once(' ')?;
        let total = Total::Route(server, method, path);
        self.totals.get(&total.hash()).copied()
    }

    /// All connections to a server likewise.
    pub(super) fn of_connections(&self, server: Endpoint) -> Option<u64> {
        self.totals.get(&Total::Connections(server).hash()).copied()
    }
}

/// Method and path without query, as routes are counted: in [`Route`], too.
fn parts(exchange: &Exchange) -> (&str, &str) {
    let method = exchange.method.as_deref().unwrap_or_default();
    let path = exchange.path.as_deref().unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    (cut(method, MAX_METHOD), cut(path, MAX_PATH))
}

/// A caller as it is counted: its name is as long as whoever asked liked.
fn caller_in(caller: &str) -> CompactString {
    CompactString::new(cut(caller, MAX_CALLER))
}

/// The place of a figure among powers of two, in 32nds, from 1.
fn bucket(figure: Span) -> u16 {
    let nanos = u64::try_from(figure.as_nanos()).unwrap_or(0).max(32);
    let exponent = nanos.ilog2();
    let thirty_seconds = (nanos >> (exponent - 5)) & 31;
    (exponent * 32) as u16 + thirty_seconds as u16
}
