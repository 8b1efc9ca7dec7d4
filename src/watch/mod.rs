//! State of `report --live`: figures by route, and what those that did not go well have in common.
//!
//! [`screen`] draws it on a terminal, [`lines`] prints it without one. Nothing in [`Watched`] grows
//! with the number of exchanges.

pub mod lines;
pub mod screen;

use hashbrown::HashMap;
use meshsniff::escape::push_shown;
use meshsniff::exchange::{Connection, Exchange};
use meshsniff::names::Names;
use meshsniff::packet::Endpoint;
use meshsniff::report::problems::{Described, described};
use meshsniff::statistics::Summary;
use meshsniff::statistics::routes::{Micros, Route, RouteCounts, Routes};
use meshsniff::time::{Span, Timestamp};
use std::net::IpAddr;
use std::time::Duration;

/// Most routes with a row of their own; the others of a server share one.
const MAX_ROUTES: usize = 500;
/// Most rows, those of servers included.
const MAX_ROWS: usize = 1_000;
/// How often problems are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Seconds for which a message is shown.
const MESSAGE: u64 = 10;
/// Seconds over which a rate is taken.
const WINDOW: usize = 5;

/// Counts of the last seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    /// Count of the current second.
    now: u64,
    /// Counts of the seconds before, the last one first.
    before: [u64; WINDOW],
    /// Number of seconds that were counted.
    seconds: usize,
}

impl Rate {
    fn second(&mut self) {
        self.before.rotate_right(1);
        self.before[0] = self.now;
        self.now = 0;
        self.seconds = (self.seconds + 1).min(WINDOW);
    }

    /// Rate per second; the first second counts before it is over.
    fn per_second(&self) -> f64 {
        match self.seconds {
            0 => self.now as f64,
            seconds => self.before[..seconds].iter().sum::<u64>() as f64 / seconds as f64,
        }
    }
}

/// Figures of one route.
#[derive(Clone, Debug, Default)]
pub struct Row {
    rate: Rate,
    /// Exchanges.
    pub exchanges: u64,
    /// Good ones.
    pub ok: u64,
    /// Those that their clients ended.
    pub gave_up: u64,
    /// Others that were not good.
    pub failed: u64,
    /// Time from the end of the request to the begin of the response.
    pub response: Micros,
    /// Time from the begin of the request to the end of the response.
    pub total: Micros,
    /// Time from the end of the request to the client's close.
    pub close: Micros,
}

impl Row {
    /// Exchanges per second, lately.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate.per_second()
    }

    fn add(&mut self, exchange: &Exchange) {
        self.exchanges += 1;
        self.rate.now += 1;
        match exchange.good() {
            Some(true) => self.ok += 1,
            Some(false) if exchange.verdict.ended_by_client() => self.gave_up += 1,
            Some(false) => self.failed += 1,
            None => {}
        }
        let gaps = &exchange.gaps;
        for (values, gap) in [
            (&mut self.response, gaps.request_to_response),
            (&mut self.total, gaps.total),
            (&mut self.close, gaps.request_to_client_close),
        ] {
            if let Some(gap) = gap {
                values.add(gap);
            }
        }
    }

    /// Adds good exchanges that were counted elsewhere.
    fn merge(&mut self, counted: &RouteCounts) {
        self.exchanges = self.exchanges.saturating_add(counted.exchanges);
        self.rate.now = self.rate.now.saturating_add(counted.exchanges);
        self.ok = self.ok.saturating_add(counted.exchanges);
        self.response.merge(counted.response());
        self.total.merge(counted.total());
    }
}

/// Order of the routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sorting {
    /// The busiest first.
    #[default]
    Rate,
    /// The one with the most that did not go well first.
    NotOk,
    /// The slowest first, by the 99th percentile of the answer.
    Response,
    /// By name.
    Name,
}

impl Sorting {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Rate => Self::NotOk,
            Self::NotOk => Self::Response,
            Self::Response => Self::Name,
            Self::Name => Self::Rate,
        }
    }

    /// Name of the order.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::NotOk => "not ok",
            Self::Response => "response p99",
            Self::Name => "route",
        }
    }
}

/// State of the live view.
#[derive(Debug, Default)]
pub struct Watched {
    rows: HashMap<Route, Row>,
    sum: Row,
    /// Everything that problems are found in.
    summary: Summary,
    /// When the first of it began.
    origin: Option<Timestamp>,
    problems: Vec<Described>,
    /// Names of addresses.
    names: Names,
    /// When they were looked for, and whether anything came after that.
    looked: Duration,
    stale: bool,
    /// Number of exchanges and connections that did not go well.
    pub not_ok: u64,
    /// Last message, and its second.
    message: Option<(u64, String)>,
    /// Name of the targets.
    pub title: String,
    /// Number of packets that the kernel lost.
    pub dropped: u64,
    /// Whether health checks count like other requests.
    probes: bool,
    seconds: u64,
}

impl Watched {
    /// Begins with nothing.
    #[must_use]
    pub fn new(title: &str, probes: bool) -> Self {
        let mut shown = String::new();
        push_shown(&mut shown, title);
        Self {
            title: shown,
            probes,
            summary: Summary::new(probes),
            ..Self::default()
        }
    }

    /// Adds an exchange.
    pub fn exchange(&mut self, exchange: &Exchange) {
        if exchange.probe && !self.probes {
            return;
        }
        self.sum.add(exchange);
        self.row(Route::of(exchange)).add(exchange);
        self.origin.get_or_insert(exchange.start());
        self.summary.exchange(exchange);
        self.stale = true;
        self.not_ok += u64::from(exchange.good() == Some(false));
    }

    /// Adds a connection.
    pub fn connection(&mut self, connection: &Connection) {
        self.origin.get_or_insert(connection.first.time);
        self.summary.connection(connection);
        self.stale = true;
        self.not_ok += u64::from(connection.verdict.is_some());
    }

    /// Adds good exchanges that are only counted.
    pub fn counted(&mut self, routes: &Routes) {
        for (route, counted) in routes.sorted() {
            self.sum.merge(counted);
            self.row(route.clone()).merge(counted);
        }
        self.summary.good_by_route(routes);
        self.stale = true;
    }

    /// Names an address.
    pub fn name(&mut self, address: IpAddr, name: &str) {
        self.stale |= self.names.add(address, name);
    }

    /// Where a route is asked for.
    #[must_use]
    pub fn server(&self, route: &Route) -> String {
        self.names.shown(route.server)
    }

    /// Shows a message.
    pub fn message(&mut self, sentence: &str) {
        let mut shown = String::new();
        push_shown(&mut shown, sentence);
        self.message = Some((self.seconds, shown));
    }

    /// Sets the time since the begin.
    pub fn at(&mut self, since: Duration) {
        // After a long pause every second of the window is over.
        let over = since.as_secs().saturating_sub(self.seconds);
        for _ in 0..over.min(WINDOW as u64 + 1) {
            self.sum.rate.second();
            for row in self.rows.values_mut() {
                row.rate.second();
            }
        }
        self.seconds = since.as_secs();
        if since >= self.looked + LOOK || self.looked.is_zero() {
            self.look();
            self.looked = since;
        }
    }

    /// Looks for problems, if anything is new.
    pub fn look(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.problems = described(&self.summary, self.origin.unwrap_or_default(), &self.names);
        }
    }

    /// Resets all counts.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.sum = Row::default();
        self.summary = Summary::new(self.probes);
        self.problems.clear();
        self.not_ok = 0;
    }

    /// The figures of all routes together.
    #[must_use]
    pub const fn sum(&self) -> &Row {
        &self.sum
    }

    /// The routes, sorted.
    #[must_use]
    pub fn routes(&self, sorting: Sorting) -> Vec<(&Route, &Row)> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable_by(|(route, row), (other_route, other)| {
            let by = match sorting {
                Sorting::Rate => other
                    .rate()
                    .total_cmp(&row.rate())
                    .then_with(|| other.exchanges.cmp(&row.exchanges)),
                Sorting::NotOk => (other.gave_up + other.failed).cmp(&(row.gave_up + row.failed)),
                Sorting::Response => p99(&other.response).cmp(&p99(&row.response)),
                Sorting::Name => std::cmp::Ordering::Equal,
            };
            by.then_with(|| route.cmp(other_route))
        });
        rows
    }

    /// The problems when they were looked for last, the worst first.
    #[must_use]
    pub fn problems(&self) -> &[Described] {
        &self.problems
    }

    /// Last message, if it is not too old.
    #[must_use]
    pub fn last_message(&self) -> Option<&str> {
        let (said, message) = self.message.as_ref()?;
        (self.seconds < said + MESSAGE).then_some(message.as_str())
    }

    fn row(&mut self, mut route: Route) -> &mut Row {
        if self.rows.len() >= MAX_ROUTES && !self.rows.contains_key(&route) {
            route = Route::others(route.server);
            if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&route) {
                route = Route::others(Endpoint::v4([0; 4], 0));
            }
        }
        self.rows.entry(route).or_default()
    }
}

fn p99(values: &Micros) -> Span {
    if values.count() == 0 {
        Span::from_nanos(-1)
    } else {
        values.percentile(99)
    }
}

/// Returns the name of a route: method and path, or that it stands for many.
#[must_use]
pub fn route_name(route: &Route) -> String {
    let mut name = String::new();
    if route.method.is_empty() && route.path.is_empty() {
        name.push_str("(other routes)");
    } else {
        push_shown(&mut name, &format!("{} {}", route.method, route.path));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshsniff::statistics::problems::MAX_PROBLEMS;
    use meshsniff::testing::fixtures;

    #[test]
    fn rates_are_of_the_last_seconds() {
        let mut watched = Watched::new("pod", false);
        for second in 0..10_u64 {
            watched.at(Duration::from_secs(second));
            for _ in 0..(if second < 8 { 10 } else { 20 }) {
                watched.exchange(&fixtures::ok());
            }
        }
        watched.at(Duration::from_secs(10));
        assert_eq!(watched.sum().exchanges, 120);
        let rate = watched.routes(Sorting::Rate)[0].1.rate();
        assert!((rate - 14.0).abs() < 1e-9, "{rate}");
        // Then it is quiet.
        watched.at(Duration::from_secs(60));
        assert_eq!(watched.sum().rate(), 0.0);
    }

    #[test]
    fn who_gave_up_is_told_from_who_failed() {
        let mut watched = Watched::new("pod", false);
        for exchange in fixtures::every_verdict() {
            watched.exchange(&exchange);
        }
        watched.connection(&fixtures::refused());
        watched.connection(&fixtures::connection());
        let sum = watched.sum().clone();
        let all = fixtures::every_verdict();
        let bad = all.iter().filter(|one| one.good() == Some(false));
        assert_eq!(sum.gave_up + sum.failed, bad.count() as u64);
        assert!(sum.gave_up >= 3 && sum.failed >= 3);
        assert_eq!(watched.not_ok, sum.gave_up + sum.failed + 1);
        watched.look();
        let counts = watched.problems().iter().map(|one| one.problem.count);
        assert_eq!(counts.sum::<u64>(), watched.not_ok);
    }

    #[test]
    fn nothing_grows_without_end() {
        let mut watched = Watched::new("pod", false);
        let mut exchange = fixtures::gave_up();
        for number in 0..3_000_u32 {
            exchange.path = Some(format!("/{number}").into());
            exchange.server.port = number as u16;
            watched.exchange(&exchange);
            watched.message("said");
        }
        assert_eq!(watched.last_message(), Some("said"));
        watched.at(Duration::from_secs(MESSAGE));
        assert_eq!(watched.last_message(), None);
        assert_eq!(watched.rows.len(), MAX_ROWS + 1);
        watched.look();
        assert_eq!(watched.problems().len(), MAX_PROBLEMS);
        assert_eq!(watched.not_ok, 3_000);
        let rows = watched.rows.values();
        assert_eq!(rows.map(|row| row.exchanges).sum::<u64>(), 3_000);
        watched.clear();
        assert!(watched.routes(Sorting::Name).is_empty());
    }

    #[test]
    fn counted_and_told_are_one_route() {
        let mut routes = Routes::default();
        for _ in 0..7 {
            routes.add(&fixtures::ok());
        }
        let mut watched = Watched::new("pod", false);
        watched.counted(&routes);
        watched.exchange(&fixtures::gave_up());
        let rows = watched.routes(Sorting::NotOk);
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].1.exchanges, rows[0].1.ok, rows[0].1.gave_up),
            (8, 7, 1)
        );
        assert_eq!(route_name(rows[0].0), "GET /items");
        watched.look();
        assert_eq!(watched.problems()[0].problem.of, Some(8));
    }
}
