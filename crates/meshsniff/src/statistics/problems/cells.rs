//! Counts of what went wrong alike.
//!
//! A cell counts what agrees in kind, server, side, detail and route, and whose figures lie within
//! some 3 % of each other where a timer may have made them. Timers are only known at the end: then
//! the cells of one are put together, and so are those of none.

use super::model::{Example, Problem, ProblemKind};
use super::sorting::{self, Sorted};
use crate::exchange::{Connection, Exchange, FindingKind, Side};
use crate::packet::{Endpoint, Mark};
use crate::statistics::routes::Route;
use crate::statistics::timers;
use crate::time::{Span, Timestamp};
use compact_str::CompactString;
use foldhash::quality::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::hash::BuildHasher as _;

/// Cells kept. What finds no room is counted with its kind and server alone, and at last only
/// counted.
pub(super) const MAX_CELLS: usize = 2_048;
/// Of them, without the cells for which there is no room otherwise.
const MAX_DISTINCT: usize = 1_536;
/// Examples kept, some 2 kB each.
const MAX_EXAMPLES: usize = 256;
/// Routes of which all exchanges are counted.
const MAX_TOTALS: usize = 4_096;
/// Failed exchanges whose cells are remembered, for the other side of a proxy.
const MAX_MEMBERS: usize = 4_096;

/// In what they agree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) kind: ProblemKind,
    pub(super) server: Endpoint,
    pub(super) side: Side,
    pub(super) detail: CompactString,
    /// Method and path without query; empty if there is none, or no room.
    pub(super) route: CompactString,
    /// The place of the figure among powers of two, in 32nds; 0 if no timer can have made it.
    bucket: u16,
}

/// How many, when and how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counts {
    pub(super) count: u64,
    pub(super) uncertain: u64,
    pub(super) acknowledged: u64,
    pub(super) slowest_ack: Option<Span>,
    pub(super) late: u64,
    /// The sum of all.
    pub(super) late_by: Span,
    pub(super) callers: Vec<CompactString>,
    pub(super) other_callers: bool,
    pub(super) retries: u64,
    pub(super) fronts: u64,
    pub(super) min: Option<Span>,
    pub(super) max: Option<Span>,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl Counts {
    /// Adds others; returns whether there were none before.
    pub(super) fn add(&mut self, other: &Self) {
        let more = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        if self.count == 0 {
            (self.first, self.last) = (other.first, other.last);
        } else if other.count > 0 {
            self.first = self.first.min(other.first);
            self.last = self.last.max(other.last);
        }
        more(&mut self.count, other.count);
        more(&mut self.uncertain, other.uncertain);
        more(&mut self.acknowledged, other.acknowledged);
        more(&mut self.late, other.late);
        for caller in &other.callers {
            if self.callers.contains(caller) {
                continue;
            }
            if self.callers.len() < Problem::MAX_CALLERS {
                self.callers.push(caller.clone());
            } else {
                self.other_callers = true;
            }
        }
        self.other_callers |= other.other_callers;
        more(&mut self.retries, other.retries);
        more(&mut self.fronts, other.fronts);
        self.late_by = self.late_by.plus(other.late_by);
        self.slowest_ack = self.slowest_ack.max(other.slowest_ack);
        self.min = [self.min, other.min].into_iter().flatten().min();
        self.max = self.max.max(other.max);
    }
}

/// A cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) counts: Counts,
    pub(super) exchanges: Vec<u64>,
    pub(super) connections: Vec<u64>,
    pub(super) evidence: Vec<Mark>,
    pub(super) example: Option<Example>,
}

impl Cell {
    /// Adds another, of what came later.
    pub(super) fn add(&mut self, other: Self) {
        fn fill<T>(list: &mut Vec<T>, more: Vec<T>) {
            let room = Problem::MAX_LISTED.saturating_sub(list.len());
            list.extend(more.into_iter().take(room));
        }
        self.counts.add(&other.counts);
        fill(&mut self.exchanges, other.exchanges);
        fill(&mut self.connections, other.connections);
        fill(&mut self.evidence, other.evidence);
        self.example = self.example.take().or(other.example);
    }
}

/// A cell as it is sent to another program.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellRow {
    pub(super) key: Key,
    pub(super) counts: Counts,
}

impl CellRow {
    /// Bytes of a route: its limit, and the last character and the ellipsis beyond it.
    const MAX_TEXT: usize = 300;

    /// Whether a cell can be so.
    pub(in super::super) fn can_be(&self, most: u64, latest: i64) -> bool {
        let Counts {
            count,
            uncertain,
            acknowledged,
            slowest_ack,
            late,
            late_by,
            ref callers,
            other_callers: _,
            retries,
            fronts,
            min,
            max,
            first,
            last,
        } = self.counts;
        let span = |span: Span| (-latest..=latest).contains(&span.as_nanos());
        let time = |time: Timestamp| (0..=latest).contains(&time.as_nanos());
        let of_some = [uncertain, acknowledged, late, retries];
        count <= most
            && fronts <= most
            && of_some.into_iter().all(|some| some <= count)
            && [min, max, slowest_ack].into_iter().flatten().all(span)
            && callers.len() <= Problem::MAX_CALLERS
            && callers.iter().all(|caller| caller.len() <= Self::MAX_TEXT)
            && late_by >= Span::ZERO
            && time(first)
            && time(last)
            && first <= last
            && self.key.route.len() <= Self::MAX_TEXT
            && self.key.detail.len() <= Self::MAX_TEXT
    }
}

/// All exchanges of a route or a server, and connections to one, by a hash of what they have in
/// common.
pub type Totals = Vec<(u64, u64)>;

/// A failed exchange whose cell is known.
#[derive(Clone, Copy, Debug)]
struct Member {
    cell: u32,
    client_left: bool,
    at: Option<Timestamp>,
}

/// What went wrong so far.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Problems {
    places: HashMap<Key, u32>,
    cells: Vec<Cell>,
    examples: usize,
    totals: HashMap<u64, u64>,
    members: HashMap<u64, Member>,
    /// The members, the oldest first.
    order: VecDeque<u64>,
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
        let method = exchange.method.as_deref().unwrap_or_default();
        let path = exchange.path.as_deref().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        self.count(Total::Route(exchange.server, method, path).hash(), 1);
        let Some(sorted) = sorting::exchange(exchange) else {
            return;
        };
        let route = timers::route(exchange).unwrap_or_default();
        if self.is_told_by_its_other_side(exchange) {
            return;
        }
        let retries =
            exchange.finding(FindingKind::Retry).is_some() || exchange.relations.retry_of.is_some();
        let gaps = &exchange.gaps;
        let late = gaps.client_close_to_late_response;
        let counts = Counts {
            count: 1,
            uncertain: u64::from(exchange.doubt.is_some()),
            acknowledged: u64::from(exchange.events.request_acked.is_some()),
            slowest_ack: gaps.request_to_ack,
            late: u64::from(late.is_some()),
            late_by: late.unwrap_or_default(),
            callers: exchange.caller.clone().into_iter().collect(),
            other_callers: exchange.caller.is_none(),
            retries: u64::from(retries),
            fronts: 0,
            min: sorted.figure,
            max: sorted.figure,
            first: exchange.start(),
            last: exchange.start(),
        };
        let Some(place) = self.add(exchange.server, route, &sorted, counts) else {
            return;
        };
        let room = self.examples < MAX_EXAMPLES;
        let cell = &mut self.cells[place as usize];
        if cell.exchanges.len() < Problem::MAX_LISTED {
            cell.exchanges.push(exchange.id);
            cell.evidence.push(sorted.shown_by);
        }
        if cell.example.is_none() && room {
            self.examples += 1;
            cell.example = Some(Example::Exchange(Box::new(exchange.clone())));
        }
        if exchange.good() == Some(false) {
            self.remember(exchange, place);
        }
    }

    /// Takes a connection in.
    pub(in super::super) fn connection(&mut self, connection: &Connection) {
        self.count(Total::Connections(connection.server).hash(), 1);
        let Some(sorted) = sorting::connection(connection) else {
            return;
        };
        let at = connection.first.time;
        let counts = Counts {
            count: 1,
            uncertain: u64::from(connection.doubt.is_some()),
            min: sorted.figure,
            max: sorted.figure,
            first: at,
            last: at,
            ..Counts::default()
        };
        let server = connection.server;
        let Some(place) = self.add(server, CompactString::default(), &sorted, counts) else {
            return;
        };
        let room = self.examples < MAX_EXAMPLES;
        let cell = &mut self.cells[place as usize];
        if cell.connections.len() < Problem::MAX_LISTED {
            cell.connections.push(connection.id);
            cell.evidence.push(sorted.shown_by);
        }
        if cell.example.is_none() && room {
            self.examples += 1;
            cell.example = Some(Example::Connection(Box::new(connection.clone())));
        }
    }

    /// Counts good exchanges of a route.
    pub(in super::super) fn good(&mut self, route: &Route, exchanges: u64) {
        let total = Total::Route(route.server, &route.method, &route.path);
        self.count(total.hash(), exchanges);
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

    /// Whether it failed because of what its proxy asked, or because its proxy's caller left. If
    /// the other one failed because of this one, that is told here from now on.
    fn is_told_by_its_other_side(&mut self, exchange: &Exchange) -> bool {
        if exchange.good() != Some(false) {
            return false;
        }
        let this = Member {
            cell: 0,
            client_left: exchange.verdict.ended_by_client(),
            at: exchange.decided_at(),
        };
        // Whoever left first left the other one no choice.
        let left_first = |front: Member, back: Member| {
            front.client_left && back.client_left && front.at <= back.at
        };
        let relations = &exchange.relations;
        if let Some(back) = relations.behind.and_then(|id| self.member(id)) {
            if !left_first(this, back) {
                self.cells[back.cell as usize].counts.fronts += 1;
                return true;
            }
            self.forget(relations.behind, back);
        } else if let Some(front) = relations.front.and_then(|id| self.member(id)) {
            if left_first(front, this) {
                return true;
            }
            self.forget(relations.front, front);
        }
        false
    }

    fn member(&self, id: u64) -> Option<Member> {
        self.members.get(&id).copied()
    }

    /// Takes an exchange out of its cell.
    fn forget(&mut self, id: Option<u64>, member: Member) {
        let Some(id) = id else { return };
        let cell = &mut self.cells[member.cell as usize];
        cell.counts.count = cell.counts.count.saturating_sub(1);
        cell.exchanges.retain(|listed| *listed != id);
        if matches!(&cell.example, Some(Example::Exchange(example)) if example.id == id) {
            cell.example = None;
            self.examples -= 1;
        }
        self.members.remove(&id);
    }

    fn remember(&mut self, exchange: &Exchange, cell: u32) {
        let related = exchange.relations.behind.is_some() || exchange.request_id.is_some();
        // Of a server that is no proxy nobody asks.
        if !related && exchange.relations.front.is_none() && self.order.len() >= MAX_MEMBERS {
            return;
        }
        if self.order.len() >= MAX_MEMBERS
            && let Some(oldest) = self.order.pop_front()
        {
            self.members.remove(&oldest);
        }
        self.order.push_back(exchange.id);
        let member = Member {
            cell,
            client_left: exchange.verdict.ended_by_client(),
            at: exchange.decided_at(),
        };
        self.members.insert(exchange.id, member);
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
        let rows = self.places.iter().map(|(key, &place)| CellRow {
            key: key.clone(),
            counts: self.cells[place as usize].counts.clone(),
        });
        let mut rows: Vec<CellRow> = rows.filter(|row| row.counts.count > 0).collect();
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        rows
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

    /// The cells with what they agree in, in the order of that.
    pub(super) fn cells(&self) -> Vec<(&Key, &Cell)> {
        let cells = self.places.iter();
        let cells = cells.map(|(key, &place)| (key, &self.cells[place as usize]));
        let mut cells: Vec<_> = cells.filter(|(_, cell)| cell.counts.count > 0).collect();
        cells.sort_unstable_by_key(|(key, _)| *key);
        cells
    }

    /// All exchanges of a route of a server; `None` if there was no room to count them.
    pub(super) fn of_route(&self, server: Endpoint, route: &str) -> Option<u64> {
        let (method, path) = route.split_once(' ').unwrap_or_default();
        let total = Total::Route(server, method, path);
        self.totals.get(&total.hash()).copied()
    }

    /// All connections to a server likewise.
    pub(super) fn of_connections(&self, server: Endpoint) -> Option<u64> {
        self.totals.get(&Total::Connections(server).hash()).copied()
    }
}

/// The place of a figure among powers of two, in 32nds, from 1.
fn bucket(figure: Span) -> u16 {
    let nanos = u64::try_from(figure.as_nanos()).unwrap_or(0).max(32);
    let exponent = nanos.ilog2();
    let thirty_seconds = (nanos >> (exponent - 5)) & 31;
    (exponent * 32) as u16 + thirty_seconds as u16
}
