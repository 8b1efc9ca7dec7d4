//! What a report is told while a capture is read, and who tells it.

use crate::analyzer::{Sink, Totals};
use crate::exchange::{Connection, Exchange};
use crate::packet::FrameId;
use crate::statistics::Summary;
use crate::statistics::routes::Routes;
use crate::statistics::tally::Tally;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::io;

/// Where packets came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `file`, `stdin` or `live`.
    pub kind: String,
    /// File name as it was given.
    pub name: String,
    /// Names of the interfaces that the capture records, as far as it names them.
    pub interfaces: Vec<String>,
}

/// What was read, once all of it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Counts of the analyser.
    pub totals: Totals,
    /// Packets that the capturing kernel lost; `None` if the capture does not say.
    pub dropped: Option<u64>,
    /// Frames of link layers that cannot be read.
    pub unsupported_frames: u64,
    /// Packet comments that the reader did not keep.
    pub comments_left_out: u64,
    /// Why parts of the input could not be read, one sentence each. Empty: all of it was.
    pub errors: Vec<String>,
}

impl Capture {
    /// Errors that are kept.
    const MAX_ERRORS: usize = 100;

    /// Adds what was read elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        let known = [self.dropped, other.dropped].into_iter().flatten();
        self.dropped = known.reduce(u64::saturating_add);
        let sum = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        sum(&mut self.unsupported_frames, other.unsupported_frames);
        sum(&mut self.comments_left_out, other.comments_left_out);
        let room = Self::MAX_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(other.errors.iter().take(room).cloned());
    }
}

/// How an assertion came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conclusion {
    /// What must not be was not.
    Passed,
    /// It was.
    Failed,
    /// There was nothing that could have failed: that is no success.
    NoTraffic,
}

/// An assertion after all was seen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The assertion, as it was typed.
    pub assertion: String,
    /// How it came out.
    pub verdict: Conclusion,
    /// What was seen: `1 of 4 exchanges`.
    pub observed: String,
    /// Exchanges that failed it, the first few, or of a statistic those that weigh most.
    pub exchanges: Vec<Exchange>,
    /// Connections that failed it, the first few.
    pub connections: Vec<Connection>,
}

impl Outcome {
    /// Whether it passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == Conclusion::Passed
    }

    /// The name of how it came out, as it stands in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.verdict {
            Conclusion::Passed => "passed",
            Conclusion::Failed => "failed",
            Conclusion::NoTraffic => "no-traffic",
        }
    }
}

/// What is known of the exchanges that were not told one by one.
#[derive(Clone, Debug, Default)]
pub struct Aggregate {
    /// Their figures, and those of connections that were not told.
    pub summary: Summary,
    /// The good ones by route.
    pub routes: Routes,
    /// The slowest good ones, whole, the slowest first: they are in the figures and routes already.
    pub slowest: Vec<Exchange>,
    /// How many good ones have a time to be ranked by.
    pub ranked: u64,
    /// What they count for the assertions, in their order.
    pub tallies: Vec<Tally>,
}

/// What a report is told, in this order: `Sources`; for each frame `Begin`, what it settled
/// (`Exchange`, `Connection`), `Comment`, `AfterFrame`; when the capture ended what that settled,
/// `Aggregate`, `Sources` once more, `Assertions`, `Finish`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ReportEvent<'a> {
    /// A frame is about to be analysed.
    Begin(FrameId, Timestamp),
    /// An exchange is settled.
    Exchange(&'a Exchange),
    /// A connection is settled, after all its exchanges.
    Connection(&'a Connection),
    /// A packet comment became known. Comments of the current frame come before `AfterFrame`.
    Comment(FrameId, &'a str),
    /// The sources are known: at the latest after the first frame, and again at the end.
    Sources(&'a [Source]),
    /// Exchanges and connections that are not told one by one; from several targets several times.
    Aggregate(&'a Aggregate),
    /// The outcomes of the assertions: once, if there are any.
    Assertions(&'a [Outcome]),
    /// The frame was analysed.
    AfterFrame,
    /// Everything was read: the report writes what is left.
    Finish(&'a Capture),
}

/// A report being made.
pub trait Report {
    /// Takes an event in.
    ///
    /// # Errors
    /// If what there is to write cannot be written. Nothing more is to be told then.
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()>;
}

/// A report whose format is known only when the program runs.
impl<R: Report + ?Sized> Report for Box<R> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        (**self).tell(event)
    }
}

/// Several reports of the same. One that fails ends all: what was asked for together is wanted
/// together.
#[derive(Debug, Default)]
pub struct Many<R>(pub Vec<R>);

impl<R: Report> Report for Many<R> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|report| report.tell(event))
    }
}

/// Tells a report what the analyser settles, up to the first error.
#[derive(Debug)]
pub struct ReportSink<'a, R: ?Sized> {
    report: &'a mut R,
    result: io::Result<()>,
}

impl<'a, R: Report + ?Sized> ReportSink<'a, R> {
    /// A sink for one call of the analyser.
    pub const fn new(report: &'a mut R) -> Self {
        Self {
            report,
            result: Ok(()),
        }
    }

    /// Whether everything was told.
    ///
    /// # Errors
    /// The first error of the report.
    pub fn done(self) -> io::Result<()> {
        self.result
    }

    fn tell(&mut self, event: ReportEvent<'_>) {
        if self.result.is_ok() {
            self.result = self.report.tell(event);
        }
    }
}

impl<R: Report + ?Sized> Sink for ReportSink<'_, R> {
    fn exchange(&mut self, exchange: &Exchange) {
        self.tell(ReportEvent::Exchange(exchange));
    }

    fn connection(&mut self, connection: &Connection) {
        self.tell(ReportEvent::Connection(connection));
    }
}
