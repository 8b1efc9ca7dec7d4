//! Several reports of the same, and reports whose format is known only when the program runs.

use super::assertion::Outcome;
use super::folded::Folded;
use super::{Capture, Report, Source};
use crate::analyzer::Sink;
use crate::exchange::{Connection, Exchange};
use crate::packet::FrameId;
use crate::time::Timestamp;
use std::io;

/// Tells each of them everything. One that fails ends all: what was asked for together is wanted together.
#[derive(Debug, Default)]
pub struct Many<R>(pub Vec<R>);

impl<R: Report> Sink for Many<R> {
    fn exchange(&mut self, exchange: &Exchange) {
        for report in &mut self.0 {
            report.exchange(exchange);
        }
    }

    fn connection(&mut self, connection: &Connection) {
        for report in &mut self.0 {
            report.connection(connection);
        }
    }
}

impl<R: Report> Report for Many<R> {
    fn begin(&mut self, frame: FrameId, time: Timestamp) {
        for report in &mut self.0 {
            report.begin(frame, time);
        }
    }

    fn comment(&mut self, frame: FrameId, text: &str) {
        for report in &mut self.0 {
            report.comment(frame, text);
        }
    }

    fn sources(&mut self, sources: &[Source]) {
        for report in &mut self.0 {
            report.sources(sources);
        }
    }

    fn folded(&mut self, folded: &Folded) {
        for report in &mut self.0 {
            report.folded(folded);
        }
    }

    fn assertions(&mut self, outcomes: &[Outcome]) {
        for report in &mut self.0 {
            report.assertions(outcomes);
        }
    }

    fn after_frame(&mut self) -> io::Result<()> {
        self.0.iter_mut().try_for_each(Report::after_frame)
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        self.0
            .iter_mut()
            .try_for_each(|report| report.finish(capture))
    }
}

impl<R: Report + ?Sized> Sink for Box<R> {
    fn exchange(&mut self, exchange: &Exchange) {
        (**self).exchange(exchange);
    }

    fn connection(&mut self, connection: &Connection) {
        (**self).connection(connection);
    }
}

impl<R: Report + ?Sized> Report for Box<R> {
    fn begin(&mut self, frame: FrameId, time: Timestamp) {
        (**self).begin(frame, time);
    }

    fn comment(&mut self, frame: FrameId, text: &str) {
        (**self).comment(frame, text);
    }

    fn sources(&mut self, sources: &[Source]) {
        (**self).sources(sources);
    }

    fn folded(&mut self, folded: &Folded) {
        (**self).folded(folded);
    }

    fn assertions(&mut self, outcomes: &[Outcome]) {
        (**self).assertions(outcomes);
    }

    fn after_frame(&mut self) -> io::Result<()> {
        (**self).after_frame()
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        (**self).finish(capture)
    }
}
