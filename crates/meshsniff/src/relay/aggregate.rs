//! Aggregation at a live target: good exchanges are counted by route, and only the others are sent
//! in full.
//!
//! At tens of thousands of requests a second, a line for each is more than a pod should send. No
//! exchange is left out: it is sent, or counted in an [`Aggregate`].

use crate::assertion::{Assertion, Judge, Rules};
use crate::condition::Filter;
use crate::event::{Aggregate, Report, ReportEvent};
use crate::exchange::{Connection, Exchange, Protocol, Side};
use crate::packet::Endpoint;
use crate::redacted::Redacted;
use crate::statistics::problems::shown_by;
use crate::statistics::routes::Routes;
use crate::statistics::slowest::Slowest;
use crate::statistics::{ProblemKind, Summary};
use hashbrown::HashSet;
use std::io;

/// Which exchanges are sent in full.
#[derive(Clone, Debug, Default)]
pub struct Aggregation {
    /// Whether all are.
    pub all: bool,
    /// How many of the slowest good ones.
    pub slowest: usize,
    /// Whether health checkers count like everybody else.
    pub probes: bool,
    /// Which exchanges the report is about.
    pub filter: Filter,
    /// Parts masked in exchanges that are sent.
    pub redacted: Redacted,
    /// Whether recently aggregated exchanges are sent for a live view.
    pub live: bool,
    /// The assertions. Filter and probes are those of the aggregation.
    pub assertions: Vec<Assertion>,
}

/// Problems of good exchanges that are sent with an example.
const MAX_SHOWN: usize = 256;

/// The counts so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoFar {
    /// Exchanges.
    pub exchanges: u64,
    /// Exchanges among them that did not go well.
    pub not_ok: u64,
}

/// A report adapter that aggregates good exchanges and passes the others on.
pub struct Aggregating<'a, R> {
    told: R,
    /// Whether the other report can take more now.
    room: Box<dyn Fn() -> bool + 'a>,
    options: Aggregation,
    aggregate: Aggregate,
    slowest: Slowest,
    judge: Judge,
    /// Problems of good exchanges of which one was sent in full.
    shown: HashSet<(ProblemKind, Endpoint, Side)>,
    /// Exchanges that were aggregated since [`Aggregating::take_recent`].
    recent: Routes,
    so_far: SoFar,
    not_told: u64,
}

impl<'a, R: Report> Aggregating<'a, R> {
    /// Wraps a report. As long as there is no `room`, exchanges are counted instead of passed on.
    pub fn new(told: R, options: Aggregation, room: impl Fn() -> bool + 'a) -> Self {
        Self {
            told,
            room: Box::new(room),
            aggregate: Aggregate {
                summary: Summary::new(options.probes),
                ..Aggregate::default()
            },
            judge: Judge::new(Rules {
                assertions: options.assertions.clone(),
                probes: options.probes,
                ..Rules::default()
            }),
            options,
            shown: HashSet::new(),
            recent: Routes::default(),
            slowest: Slowest::default(),
            so_far: SoFar::default(),
            not_told: 0,
        }
    }

    /// The wrapped report.
    pub const fn told(&mut self) -> &mut R {
        &mut self.told
    }

    /// The good exchanges that were aggregated since the last call, if the aggregation is live.
    pub fn take_recent(&mut self) -> Routes {
        std::mem::take(&mut self.recent)
    }

    /// The counts so far.
    pub const fn so_far(&self) -> SoFar {
        self.so_far
    }

    /// The number of exchanges and connections that were only counted because there was no room.
    pub const fn not_told(&self) -> u64 {
        self.not_told
    }

    fn exchange(&mut self, exchange: &Exchange) -> io::Result<()> {
        if !self.options.filter.exchange(exchange) {
            self.aggregate.summary.left_out();
            return Ok(());
        }
        let unredacted = exchange;
        let redacted = self.options.redacted.exchange(exchange);
        let exchange = &*redacted;
        let good = exchange.good();
        let counts = self.aggregate.summary.counts(exchange);
        self.so_far.exchanges += 1;
        self.so_far.not_ok += u64::from(counts && good == Some(false));
        let wanted = self.judge.wants(unredacted);
        let whole = self.options.all
            || good != Some(true)
            || exchange.doubt.is_some()
            || wanted
            || counts && self.is_example(exchange);
        if whole && (self.room)() {
            if wanted {
                self.judge.example(unredacted);
            }
            return self.told.tell(ReportEvent::Exchange(exchange));
        }
        self.judge.exchange(unredacted);
        self.aggregate.summary.exchange(exchange);
        if whole {
            self.not_told += 1;
        } else {
            self.aggregate.routes.add(exchange);
            if self.options.live && counts {
                self.recent.add(exchange);
            }
            if let (Some(took), true) = (exchange.slowness(), counts) {
                self.aggregate.ranked += 1;
                let room = self.options.slowest;
                self.slowest.offer(took, room, || exchange.clone());
            }
        }
        Ok(())
    }

    /// Whether a good exchange is the first to show a problem.
    fn is_example(&mut self, exchange: &Exchange) -> bool {
        if exchange.findings.is_empty() || self.shown.len() >= MAX_SHOWN {
            return false;
        }
        shown_by(exchange).is_some_and(|problem| self.shown.insert(problem))
    }

    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        if !self.options.filter.connection(connection) {
            return Ok(());
        }
        let fine = match &connection.dns {
            Some(dns) => !dns.is_notable(),
            None => connection.protocol == Protocol::Http1,
        };
        let plain = connection.verdict.is_none() && fine;
        let connection = &*self.options.redacted.connection(connection);
        let whole = self.options.all || !plain;
        if whole && (self.room)() {
            return self.told.tell(ReportEvent::Connection(connection));
        }
        self.not_told += u64::from(whole);
        self.aggregate.summary.connection(connection);
        self.judge.connection(connection);
        Ok(())
    }

    /// Passes on what was aggregated.
    fn tell_aggregate(&mut self) -> io::Result<()> {
        let slowest = std::mem::take(&mut self.slowest);
        self.aggregate.slowest = slowest.into_exchanges().collect();
        self.aggregate.tallies = self.judge.tallies();
        self.told.tell(ReportEvent::Aggregate(&self.aggregate))
    }
}

impl<R: Report> Report for Aggregating<'_, R> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        match event {
            ReportEvent::Exchange(exchange) => return self.exchange(exchange),
            ReportEvent::Connection(connection) => return self.connection(connection),
            ReportEvent::Finish(capture) => {
                self.tell_aggregate()?;
                let capture = self.options.redacted.capture(capture);
                return self.told.tell(ReportEvent::Finish(&capture));
            }
            _ => {}
        }
        self.told.tell(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Capture, Source};
    use crate::exchange::Verdict;
    use crate::packet::FrameId;
    use crate::report::json::{JsonReport, SCHEMA, Style};
    use crate::testing::fixtures;
    use crate::time::Span;
    use serde_json::Value;

    fn lines(folding: Aggregation, exchanges: &[Exchange]) -> Vec<Value> {
        let mut out = Vec::new();
        let style = Style::Lines { live: true };
        let json = JsonReport::new(&mut out, style, Filter::default(), false);
        let mut report = Aggregating::new(json, folding, || true);
        report
            .tell(ReportEvent::Sources(&[Source {
                kind: "live".to_owned(),
                name: "pod".to_owned(),
                interfaces: vec!["lo".to_owned()],
            }]))
            .unwrap();
        report
            .tell(ReportEvent::Begin(FrameId::new(0, 1), fixtures::ORIGIN))
            .unwrap();
        report.tell(ReportEvent::AfterFrame).unwrap();
        for exchange in exchanges {
            report.tell(ReportEvent::Exchange(exchange)).unwrap();
        }
        let mut capture = Capture::default();
        capture.totals.first = Some(fixtures::ORIGIN);
        capture.totals.last = Some(fixtures::ORIGIN);
        report.tell(ReportEvent::Finish(&capture)).unwrap();
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
            Aggregation {
                all: false,
                slowest: 0,
                ..Aggregation::default()
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
            exchange.gaps.wait = exchange.gaps.request_to_response;
        }
        let values = lines(
            Aggregation {
                all: false,
                slowest: 3,
                ..Aggregation::default()
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
                Aggregation {
                    all: true,
                    slowest: 3,
                    ..Aggregation::default()
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
        exchange.trace_id = Some("463ac35c9f6413ad".into());
        let told = |redacted| {
            let folding = Aggregation {
                all: true,
                slowest: 0,
                redacted,
                ..Aggregation::default()
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
        assert!(!said.contains("secret") && !said.contains("463a"), "{said}");
        assert!(said.contains("/items?redacted"), "{said}");
    }

    #[test]
    fn names_of_dns_are_redacted_with_hosts() {
        let told = |host| {
            let mut out = Vec::new();
            let json = JsonReport::new(
                &mut out,
                Style::Lines { live: true },
                Filter::default(),
                false,
            );
            let redacted = Redacted {
                host,
                ..Redacted::default()
            };
            let folding = Aggregation {
                redacted,
                ..Aggregation::default()
            };
            let mut report = Aggregating::new(json, folding, || true);
            let lookups = fixtures::lookups();
            let mut capture = Capture::default();
            capture.totals.dns.flow(lookups.dns.as_ref().unwrap());
            for event in [
                ReportEvent::Sources(&[]),
                ReportEvent::Connection(&lookups),
                ReportEvent::Finish(&capture),
            ] {
                report.tell(event).unwrap();
            }
            String::from_utf8(out).unwrap()
        };
        assert_eq!(told(false).matches("catalog.").count(), 7);
        let said = told(true);
        assert!(!said.contains("catalog."), "{said}");
        assert!(said.contains("redacted"), "{said}");
    }
}
