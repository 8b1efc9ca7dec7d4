//! A report adapter that evaluates assertions as exchanges pass.

use super::{Judge, Rules};
use crate::event::{Report, ReportEvent};
use std::io;

/// Passes every event on, and the results of the assertions before the last.
pub struct WithAssertions<R> {
    report: R,
    judge: Judge,
    failures: Vec<String>,
}

impl<R: Report> WithAssertions<R> {
    /// Wraps a report.
    pub fn new(report: R, rules: Rules) -> Self {
        Self {
            report,
            judge: Judge::new(rules),
            failures: Vec::new(),
        }
    }

    /// The wrapped report.
    pub const fn inner_mut(&mut self) -> &mut R {
        &mut self.report
    }

    /// The assertions that failed, with their figures; known after [`ReportEvent::Finish`].
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }
}

impl<R: Report> Report for WithAssertions<R> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        match event {
            ReportEvent::Exchange(exchange) => self.judge.exchange(exchange),
            ReportEvent::Connection(connection) => self.judge.connection(connection),
            ReportEvent::Aggregate(aggregate) => {
                self.judge.merge(&aggregate.tallies);
                self.judge.merge_summary(&aggregate.summary);
                for exchange in &aggregate.slowest {
                    self.judge.example(exchange);
                }
            }
            ReportEvent::Finish(capture) if !self.judge.is_idle() => {
                let outcomes = self.judge.outcomes(capture.dropped);
                let failed = outcomes.iter().filter(|outcome| !outcome.passed());
                let failed = failed.map(|one| format!("{}: {}", one.assertion, one.observed));
                self.failures = failed.collect();
                self.report.tell(ReportEvent::Assertions(&outcomes))?;
            }
            _ => {}
        }
        self.report.tell(event)
    }
}
