//! Good exchanges counted by route: server, method and path.

use super::MAX_COUNT;
use super::buckets::{Buckets, rank};
use super::gap_values::GapStats;
use crate::escape::cut;
use crate::exchange::Exchange;
use crate::packet::Endpoint;
use crate::time::Span;
use compact_str::CompactString;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// Routes of one target that are told apart. Later ones share one route for each server, without a
/// path.
const MAX_ROUTES: usize = 256;
/// The same with the shared routes. Still more servers share one route without an address.
const MAX_ROWS: usize = 1_024;
/// The same for all targets of a report together.
const MAX_MERGED: usize = 8 * MAX_ROWS;

/// Bytes of a path that name a route.
pub(crate) const MAX_PATH: usize = 200;
/// Bytes of a method that name a route: where HTTP is forced upon a port, any word is a method.
pub(crate) const MAX_METHOD: usize = 64;

/// The key by which exchanges are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// The server.
    pub server: Endpoint,
    /// The method; empty for the shared route of those that were too many.
    pub method: CompactString,
    /// The path without its query; empty likewise.
    pub path: CompactString,
}

/// The counts of one route.
#[derive(Clone, Debug, Default)]
pub struct RouteCounts {
    /// The number of exchanges.
    pub exchanges: u64,
    /// The number of exchanges by the hundreds of the status. The first is for those without a
    /// status.
    pub statuses: [u64; 6],
    response: Micros,
    total: Micros,
    wait: Micros,
    /// Not carried in a row: rows are about good exchanges, which have no such gap.
    client_close: Micros,
}

/// Values of a gap in whole microseconds, with two significant digits, as routes are many.
#[derive(Clone, Debug, Default)]
pub struct Micros(Buckets<8>);

/// A route as it is sent from a target.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteRow {
    route: Route,
    exchanges: u64,
    statuses: [u64; 6],
    response: Vec<(u32, u64)>,
    total: Vec<(u32, u64)>,
    wait: Vec<(u32, u64)>,
}

/// Exchanges by route.
#[derive(Clone, Debug, Default)]
pub struct Routes(HashMap<Route, RouteCounts>);

impl Route {
    /// The route of an exchange. Method and path are cut to their limits.
    #[must_use]
    pub fn of(exchange: &Exchange) -> Self {
        let path = exchange.path.as_deref().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let method = exchange.method.as_deref().unwrap_or_default();
        Self {
            server: exchange.server,
            method: CompactString::new(cut(method, MAX_METHOD)),
            path: CompactString::new(cut(path, MAX_PATH)),
        }
    }

    /// The shared route of a server.
    #[must_use]
    pub fn others(server: Endpoint) -> Self {
        Self {
            server,
            method: CompactString::default(),
            path: CompactString::default(),
        }
    }
}

impl Micros {
    /// Adds the values of another.
    pub fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    /// Counts a gap. A negative gap, which an early answer has, counts as 0.
    pub fn add(&mut self, gap: Span) {
        self.0
            .add(u64::try_from(gap.as_nanos() / 1_000).unwrap_or(0));
    }

    fn span(micros: u64) -> Span {
        Span::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// The number of values below each of the ascending limits, in whole microseconds, and not
    /// below the limit before; the last number is of values above all limits. A value within a
    /// hundredth of a limit may be counted on its other side.
    pub(crate) fn between(&self, limits: &[u64]) -> Vec<u64> {
        let mut counts = vec![0_u64; limits.len() + 1];
        for (lowest, count) in self.0.lowest() {
            let place = limits.partition_point(|limit| *limit <= lowest);
            counts[place] = counts[place].saturating_add(count);
        }
        counts
    }

    /// The number of values.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.0.total()
    }

    /// The `percent`th percentile (nearest rank).
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Span {
        Self::span(self.0.at_rank(rank(percent, self.0.total())))
    }

    /// The largest value.
    #[must_use]
    pub fn max(&self) -> Span {
        Self::span(self.0.max())
    }

    /// Count, ends and percentiles; `None` if there is no value.
    #[must_use]
    pub fn stats(&self) -> Option<GapStats> {
        (self.count() > 0).then(|| GapStats {
            count: self.count(),
            min: Self::span(self.0.min()),
            p50: self.percentile(50),
            p90: self.percentile(90),
            p99: self.percentile(99),
            max: self.max(),
        })
    }
}

impl RouteCounts {
    /// From the request's end to the begin of the answer.
    #[must_use]
    pub const fn response(&self) -> &Micros {
        &self.response
    }

    /// From the request's begin to the end of the answer.
    #[must_use]
    pub const fn total(&self) -> &Micros {
        &self.total
    }

    /// What the callers waited, connecting included.
    #[must_use]
    pub const fn wait(&self) -> &Micros {
        &self.wait
    }

    /// From the request's end to the client's close.
    pub(crate) const fn client_close(&self) -> &Micros {
        &self.client_close
    }

    fn merge(&mut self, other: &Self) {
        self.exchanges = self.exchanges.saturating_add(other.exchanges);
        for (count, more) in self.statuses.iter_mut().zip(other.statuses) {
            *count = count.saturating_add(more);
        }
        self.response.0.merge(&other.response.0);
        self.total.0.merge(&other.total.0);
        self.wait.0.merge(&other.wait.0);
        self.client_close.0.merge(&other.client_close.0);
    }
}

impl Routes {
    /// Whether there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts an exchange.
    pub fn add(&mut self, exchange: &Exchange) {
        let route = Route::of(exchange);
        let counted = self.row(route, MAX_ROUTES, MAX_ROWS);
        counted.exchanges += 1;
        let class = exchange
            .status
            .map_or(0, |status| usize::from(status / 100).min(5));
        counted.statuses[class] += 1;
        if let Some(gap) = exchange.gaps.request_to_response {
            counted.response.add(gap);
        }
        if let Some(gap) = exchange.gaps.total {
            counted.total.add(gap);
        }
        if let Some(gap) = exchange.gaps.wait {
            counted.wait.add(gap);
        }
        if let Some(gap) = exchange.gaps.request_to_client_close {
            counted.client_close.add(gap);
        }
    }

    /// Adds the routes of another.
    pub fn merge(&mut self, other: &Self) {
        for (route, counted) in &other.0 {
            self.row(route.clone(), MAX_MERGED / 4, MAX_MERGED)
                .merge(counted);
        }
    }

    fn row(&mut self, mut route: Route, named: usize, most: usize) -> &mut RouteCounts {
        if self.0.len() >= named && !self.0.contains_key(&route) {
            route = Route::others(route.server);
            if self.0.len() >= most && !self.0.contains_key(&route) {
                route.server = Endpoint::v4([0; 4], 0);
            }
        }
        self.0.entry(route).or_default()
    }

    /// Every route, the busiest first.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&Route, &RouteCounts)> {
        let mut routes: Vec<_> = self.0.iter().collect();
        routes
            .sort_unstable_by(|a, b| b.1.exchanges.cmp(&a.1.exchanges).then_with(|| a.0.cmp(b.0)));
        routes
    }

    /// Every route, to be sent to another program.
    pub fn rows(&self) -> impl Iterator<Item = RouteRow> {
        self.sorted().into_iter().map(|(route, counted)| RouteRow {
            route: route.clone(),
            exchanges: counted.exchanges,
            statuses: counted.statuses,
            response: counted.response.0.pairs().collect(),
            total: counted.total.0.pairs().collect(),
            wait: counted.wait.0.pairs().collect(),
        })
    }

    /// Takes in a row from another program. Returns `false` if it cannot be one.
    #[must_use]
    pub fn take_row(&mut self, row: RouteRow) -> bool {
        let statuses = row.statuses.iter().try_fold(0_u64, |sum, count| {
            sum.checked_add(*count).filter(|sum| *sum <= MAX_COUNT)
        });
        let mut counted = RouteCounts {
            exchanges: row.exchanges,
            statuses: row.statuses,
            ..RouteCounts::default()
        };
        let right = (1..=MAX_COUNT).contains(&row.exchanges)
            && statuses == Some(row.exchanges)
            && row.route.method.len() <= MAX_METHOD
            && row.route.path.len() <= MAX_PATH
            && self.0.len() <= MAX_ROWS
            && counted.response.0.add_pairs(&row.response, row.exchanges)
            && counted.total.0.add_pairs(&row.total, row.exchanges)
            && counted.wait.0.add_pairs(&row.wait, row.exchanges);
        if right {
            self.0.insert(row.route, counted);
        }
        right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    fn ok(port: u16, path: &str) -> Exchange {
        let mut exchange = fixtures::every_verdict()[0].clone();
        exchange.server.port = port;
        exchange.path = Some(path.into());
        exchange
    }

    fn exchanges(routes: &Routes) -> u64 {
        routes.0.values().map(|counted| counted.exchanges).sum()
    }

    #[test]
    fn there_is_a_ceiling_and_nothing_is_lost() {
        let mut routes = Routes::default();
        for number in 0..3_000 {
            routes.add(&ok(number, &format!("/{number}?query")));
        }
        assert_eq!(exchanges(&routes), 3_000);
        assert_eq!(routes.0.len(), MAX_ROWS + 1);
        let mut merged = Routes::default();
        for _ in 0..3 {
            merged.merge(&routes);
        }
        assert_eq!(exchanges(&merged), 9_000);
        assert_eq!(merged.0.len(), routes.0.len());
    }

    #[test]
    fn rows_arrive() {
        let mut routes = Routes::default();
        for number in 0..1_000 {
            let mut exchange = ok(80, ["/a", "/b", "/c?d"][number % 3]);
            exchange.gaps.request_to_response = Some(Span::from_micros(number as i64 * 1_001));
            routes.add(&exchange);
        }
        let mut arrived = Routes::default();
        for row in routes.rows() {
            let line = serde_json::to_string(&row).unwrap();
            assert!(arrived.take_row(serde_json::from_str(&line).unwrap()));
        }
        let shown = |routes: &Routes| format!("{:?}", routes.sorted());
        assert_eq!(shown(&arrived), shown(&routes));
    }

    #[test]
    fn rows_that_cannot_be_are_refused() {
        let mut routes = Routes::default();
        routes.add(&ok(80, "/"));
        let row = routes.rows().next().unwrap();
        let wrong: [fn(&mut RouteRow); 6] = [
            |row| row.exchanges = 0,
            |row| row.exchanges = u64::MAX,
            |row| row.statuses = [u64::MAX; 6],
            |row| row.response = vec![(0, 2)],
            |row| row.total = vec![(u32::MAX, 1)],
            |row| row.route.path = "x".repeat(1_000).into(),
        ];
        for spoil in wrong {
            let mut row = row.clone();
            spoil(&mut row);
            assert!(!Routes::default().take_row(row.clone()), "{row:?}");
        }
    }
}
