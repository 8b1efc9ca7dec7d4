//! A report whose exchanges are held against assertions on the way.

use super::assertion::{Judge, Rules};
use super::folded::Folded;
use super::{Capture, Report, Source};
use crate::analyzer::Sink;
use crate::exchange::{Connection, Exchange};
use crate::packet::FrameId;
use crate::time::Timestamp;
use std::io;

/// Tells a report everything, and at the end how the assertions came out.
pub struct Judged<R> {
    report: R,
    judge: Judge,
    failures: Vec<String>,
}

impl<R: Report> Judged<R> {
    /// A report judged by `rules`.
    pub fn new(report: R, rules: Rules) -> Self {
        Self {
            report,
            judge: Judge::new(rules),
            failures: Vec::new(),
        }
    }

    /// The report that is told.
    pub const fn inner_mut(&mut self) -> &mut R {
        &mut self.report
    }

    /// The assertions that failed, with what was seen; known once it is finished.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }
}

impl<R: Report> Sink for Judged<R> {
    fn exchange(&mut self, exchange: &Exchange) {
        self.judge.exchange(exchange);
        self.report.exchange(exchange);
    }

    fn connection(&mut self, connection: &Connection) {
        self.judge.connection(connection);
        self.report.connection(connection);
    }
}

impl<R: Report> Report for Judged<R> {
    fn begin(&mut self, frame: FrameId, time: Timestamp) {
        self.report.begin(frame, time);
    }

    fn comment(&mut self, frame: FrameId, text: &str) {
        self.report.comment(frame, text);
    }

    fn sources(&mut self, sources: &[Source]) {
        self.report.sources(sources);
    }

    fn folded(&mut self, folded: &Folded) {
        self.judge.merge(&folded.tallies);
        for exchange in &folded.slowest {
            self.judge.example(exchange);
        }
        self.report.folded(folded);
    }

    fn assertions(&mut self, outcomes: &[super::assertion::Outcome]) {
        self.report.assertions(outcomes);
    }

    fn after_frame(&mut self) -> io::Result<()> {
        self.report.after_frame()
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        if !self.judge.is_idle() {
            let outcomes = self.judge.outcomes(capture.dropped);
            let failed = outcomes.iter().filter(|outcome| !outcome.passed());
            let failed = failed.map(|one| format!("{}: {}", one.assertion, one.observed));
            self.failures = failed.collect();
            self.report.assertions(&outcomes);
        }
        self.report.finish(capture)
    }
}
