//! JSON lines of a live target: what went well is counted by route, what did not is told whole.
//!
//! At tens of thousands of requests a second, a line for each is more than a pod should send. Nothing is left out
//! silently: every exchange is in a `route` line's counts, or in a line of its own.

use super::json::JsonReport;
use super::{Capture, Report, Source};
use crate::analyzer::Sink;
use crate::exchange::{Connection, Exchange, Protocol};
use crate::packet::{Endpoint, FrameId};
use crate::time::{Span, Timestamp};
use compact_str::CompactString;
use hashbrown::HashMap;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

/// Most routes that are told apart; those that come later share one without a path.
const MOST_ROUTES: usize = 256;

/// Characters of a path that name a route.
const LONGEST_PATH: usize = 200;

/// Which exchanges are told whole.
#[derive(Clone, Copy, Debug)]
pub struct Folding {
    /// All of them.
    pub all: bool,
    /// How many of the slowest good ones.
    pub slowest: usize,
    /// What is left out of what is told.
    pub redacted: Redacted,
}

/// Parts of an exchange that are not told, because they may be secret.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redacted {
    /// The query of a request target.
    pub query: bool,
    /// The whole target.
    pub path: bool,
    /// `Host`.
    pub host: bool,
    /// `x-request-id`.
    pub request_id: bool,
}

impl Redacted {
    fn any(self) -> bool {
        self.query || self.path || self.host || self.request_id
    }

    fn apply(self, exchange: &mut Exchange) {
        const MASK: &str = "redacted";
        let query = exchange.path.as_deref().and_then(|path| path.find('?'));
        if self.path && exchange.path.is_some() {
            exchange.path = Some(MASK.into());
        } else if let (true, Some(at), Some(path)) = (self.query, query, &mut exchange.path) {
            path.truncate(at + 1);
            path.push_str(MASK);
        }
        if self.host && exchange.authority.is_some() {
            exchange.authority = Some(MASK.into());
        }
        if self.request_id && exchange.request_id.is_some() {
            exchange.request_id = Some(MASK.into());
        }
    }
}

/// A report that folds.
pub struct FoldedReport<W: Write> {
    lines: JsonReport<W>,
    folding: Folding,
    routes: HashMap<Route, Counted>,
    slowest: BinaryHeap<Reverse<Slow>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Route {
    server: Endpoint,
    method: CompactString,
    /// Without the query; empty for the routes that were too many.
    path: CompactString,
}

#[derive(Default)]
struct Counted {
    exchanges: u64,
    statuses: [u64; 6],
    response: Micros,
    total: Micros,
}

/// Values of a gap in whole microseconds, with two significant digits: routes are many.
#[derive(Default)]
struct Micros(Option<Histogram<u32>>);

impl Micros {
    const DIGITS: u8 = 2;

    /// An early answer, whose gap is negative, counts as none at all.
    fn add(&mut self, gap: Span) {
        let micros = u64::try_from(gap.as_nanos() / 1_000).unwrap_or(0);
        if self.0.is_none() {
            // The constructor refuses only more than five digits.
            self.0 = Histogram::new(Self::DIGITS).ok();
        }
        if let Some(histogram) = &mut self.0
            && histogram.record(micros).is_err()
        {
            histogram.saturating_record(micros);
        }
    }

    fn to_json(&self) -> Option<Value> {
        let histogram = self.0.as_ref()?;
        let millis = |micros: u64| micros as f64 / 1_000.0;
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        Some(json!({
            "count": histogram.len(),
            "min": millis(histogram.min()),
            "p50": at(0.5),
            "p90": at(0.9),
            "p99": at(0.99),
            "max": millis(histogram.max()),
        }))
    }
}

struct Slow {
    response: Span,
    exchange: Box<Exchange>,
}

impl PartialEq for Slow {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Slow {}

impl PartialOrd for Slow {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slow {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.response, Reverse(self.exchange.id))
            .cmp(&(other.response, Reverse(other.exchange.id)))
    }
}

impl<W: Write> FoldedReport<W> {
    /// A report that writes its lines to `lines`.
    pub fn new(lines: JsonReport<W>, folding: Folding) -> Self {
        Self {
            lines,
            folding,
            routes: HashMap::new(),
            slowest: BinaryHeap::new(),
        }
    }

    fn fold(&mut self, exchange: &Exchange) {
        let path = exchange.path.as_deref().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let mut end = path.len().min(LONGEST_PATH);
        while !path.is_char_boundary(end) {
            end -= 1;
        }
        let mut route = Route {
            server: exchange.server,
            method: exchange.method.clone().unwrap_or_default(),
            path: CompactString::new(&path[..end]),
        };
        if self.routes.len() >= MOST_ROUTES && !self.routes.contains_key(&route) {
            route.path = CompactString::default();
            route.method = CompactString::default();
        }
        let counted = self.routes.entry(route).or_default();
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
    }

    /// Keeps it if it is among the slowest so far.
    fn rank(&mut self, exchange: &Exchange) {
        let Some(response) = exchange.slowness() else {
            return;
        };
        let full = self.slowest.len() >= self.folding.slowest;
        let faster = || {
            self.slowest
                .peek()
                .is_none_or(|Reverse(fastest)| fastest.response >= response)
        };
        if exchange.probe || self.folding.slowest == 0 || full && faster() {
            return;
        }
        if full {
            self.slowest.pop();
        }
        self.slowest.push(Reverse(Slow {
            response,
            exchange: Box::new(exchange.clone()),
        }));
    }

    fn write_routes(&mut self) {
        let mut routes: Vec<_> = self.routes.drain().collect();
        routes.sort_unstable_by(|a, b| {
            b.1.exchanges
                .cmp(&a.1.exchanges)
                .then_with(|| a.0.cmp(&b.0))
        });
        for (route, counted) in routes {
            let [_, informational, successful, redirected, refused, failed] = counted.statuses;
            let mut gaps = serde_json::Map::new();
            for (name, values) in [
                ("request_to_response", &counted.response),
                ("total", &counted.total),
            ] {
                if let Some(values) = values.to_json() {
                    gaps.insert(name.to_owned(), values);
                }
            }
            let other = route.method.is_empty();
            self.lines.line(&json!({
                "type": "route",
                "server": route.server.to_string(),
                "method": (!other).then_some(route.method.as_str()),
                "path": (!other).then_some(route.path.as_str()),
                "exchanges": counted.exchanges,
                "statuses": {
                    "1xx": informational,
                    "2xx": successful,
                    "3xx": redirected,
                    "4xx": refused,
                    "5xx": failed,
                },
                "gaps": gaps,
            }));
        }
    }
}

impl<W: Write> Sink for FoldedReport<W> {
    fn exchange(&mut self, exchange: &Exchange) {
        let mut redacted = None;
        let exchange = if self.folding.redacted.any() {
            let redacted = redacted.insert(exchange.clone());
            self.folding.redacted.apply(redacted);
            redacted
        } else {
            exchange
        };
        let whole = self.folding.all || exchange.good() != Some(true) || exchange.doubt.is_some();
        if whole {
            self.lines.exchange(exchange);
            return;
        }
        self.lines.count(exchange);
        self.fold(exchange);
        self.rank(exchange);
    }

    fn connection(&mut self, connection: &Connection) {
        let plain = connection.verdict.is_none() && connection.protocol == Protocol::Http1;
        if self.folding.all || !plain {
            self.lines.connection(connection);
        } else {
            self.lines.count_connection(connection);
        }
    }
}

impl<W: Write> Report for FoldedReport<W> {
    fn begin(&mut self, frame: FrameId, time: Timestamp) {
        self.lines.begin(frame, time);
    }

    fn comment(&mut self, frame: FrameId, text: &str) {
        self.lines.comment(frame, text);
    }

    fn sources(&mut self, sources: &[Source]) {
        self.lines.sources(sources);
    }

    fn after_frame(&mut self) -> io::Result<()> {
        self.lines.after_frame()
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        let slowest = std::mem::take(&mut self.slowest).into_sorted_vec();
        for Reverse(slow) in slowest {
            self.lines.write_exchange(&slow.exchange);
        }
        self.write_routes();
        self.lines.finish(capture)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::super::json::{SCHEMA, Style};
    use super::super::select::Filter;
    use super::*;
    use crate::exchange::Verdict;

    fn lines(folding: Folding, exchanges: &[Exchange]) -> Vec<Value> {
        let mut out = Vec::new();
        let style = Style::Lines { live: true };
        let json = JsonReport::new(&mut out, style, Filter::default(), false);
        let mut report = FoldedReport::new(json, folding);
        report.sources(&[Source {
            kind: "live".to_owned(),
            name: "pod".to_owned(),
            interfaces: vec!["lo".to_owned()],
        }]);
        report.begin(FrameId::new(0, 1), fixtures::ORIGIN);
        report.after_frame().unwrap();
        for exchange in exchanges {
            report.exchange(exchange);
        }
        let mut capture = Capture::default();
        capture.totals.first = Some(fixtures::ORIGIN);
        capture.totals.last = Some(fixtures::ORIGIN);
        report.finish(&capture).unwrap();
        drop(report);
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let text = String::from_utf8(out).unwrap();
        let values = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let values: Vec<Value> = values.collect();
        for value in &values {
            assert!(validator.is_valid(value), "{value:#}");
        }
        values
    }

    fn of_type<'a>(values: &'a [Value], kind: &str) -> Vec<&'a Value> {
        values
            .iter()
            .filter(|value| value["type"] == kind)
            .collect()
    }

    #[test]
    fn good_ones_are_counted_and_the_others_told() {
        let exchanges = fixtures::every_verdict();
        let good = exchanges
            .iter()
            .filter(|one| one.good() == Some(true) && one.doubt.is_none())
            .count();
        let values = lines(
            Folding {
                all: false,
                slowest: 0,
                redacted: Redacted::default(),
            },
            &exchanges,
        );
        let counted: u64 = of_type(&values, "route")
            .iter()
            .filter_map(|route| route["exchanges"].as_u64())
            .sum();
        let told = of_type(&values, "exchange").len();
        assert_eq!((counted as usize, told), (good, exchanges.len() - good));
        let summary = of_type(&values, "summary")[0];
        assert_eq!(summary["exchanges"], exchanges.len());
    }

    #[test]
    fn the_slowest_good_ones_are_told_too() {
        let mut exchanges = vec![fixtures::every_verdict()[0].clone(); 9];
        for (index, exchange) in exchanges.iter_mut().enumerate() {
            assert_eq!(exchange.verdict, Verdict::Ok);
            exchange.id = index as u64;
            let millis = [3, 9, 1, 7, 5, 8, 2, 6, 4][index];
            exchange.gaps.request_to_response = Some(Span::from_millis(millis));
        }
        let values = lines(
            Folding {
                all: false,
                slowest: 3,
                redacted: Redacted::default(),
            },
            &exchanges,
        );
        let told: Vec<_> = of_type(&values, "exchange")
            .iter()
            .map(|one| one["id"].as_u64().unwrap())
            .collect();
        assert_eq!(told, [1, 5, 3]);
        assert_eq!(of_type(&values, "route")[0]["exchanges"], 9);
        assert_eq!(
            lines(
                Folding {
                    all: true,
                    slowest: 3,
                    redacted: Redacted::default(),
                },
                &exchanges
            )
            .len(),
            9 + 3
        );
    }

    #[test]
    fn what_is_redacted_is_not_told() {
        let mut exchange = fixtures::every_verdict()[0].clone();
        exchange.path = Some("/items?token=secret".into());
        exchange.authority = Some("secret.example".into());
        exchange.request_id = Some("secret-id".into());
        let told = |redacted| {
            let folding = Folding {
                all: true,
                slowest: 0,
                redacted,
            };
            of_type(&lines(folding, &[exchange.clone()]), "exchange")[0].to_string()
        };
        assert!(told(Redacted::default()).contains("token=secret"));
        let all = Redacted {
            query: true,
            path: false,
            host: true,
            request_id: true,
        };
        let said = told(all);
        assert!(!said.contains("secret"), "{said}");
        assert!(said.contains("/items?redacted"), "{said}");
    }
}
