//! The events of a report: what it is told while a capture is read, and who tells it.

use crate::analyzer::{Sink, Totals};
use crate::exchange::{Connection, Exchange};
use crate::kernel::Counters;
use crate::packet::{FrameId, NotRead, UnsupportedLink};
use crate::statistics::Summary;
use crate::statistics::routes::Routes;
use crate::statistics::tally::Tally;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::IpAddr;

/// Where packets came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `file`, `stdin` or `live`.
    pub kind: String,
    /// The file's name as it was given.
    pub name: String,
    /// Names of the interfaces that the capture records, if it names them.
    pub interfaces: Vec<String>,
}

impl Source {
    /// Namespace and pod of a live target; `node` and its name of a node's. `None` of everything
    /// else, and of several targets that are one source.
    #[must_use]
    pub fn target(&self) -> Option<(&str, &str)> {
        let one = self.kind == "live" && !self.name.contains(", ");
        // A path is no pod.
        self.name
            .split_once('/')
            .filter(|(namespace, _)| one && !namespace.is_empty())
    }
}

/// The totals of everything that was read; known at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The analyser's counts.
    pub totals: Totals,
    /// Packets that the capturing kernel lost; `None` if the capture does not say.
    pub dropped: Option<u64>,
    /// Frames of link layers that cannot be read, by the number of their link type.
    pub unsupported_frames: BTreeMap<u32, u64>,
    /// Packet comments that the reader did not keep.
    pub comments_left_out: u64,
    /// What the kernel counted in the target's network namespace meanwhile; `None` if nobody asked
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Counters>,
    /// One sentence for each part of the input that could not be read. Empty if all of it was.
    pub errors: Vec<String>,
}

impl Capture {
    /// Frames that were not read, by the name of what they hold, and whether a TCP segment may be
    /// inside. Link types come first, then what may hide a segment.
    pub fn not_read(&self) -> impl Iterator<Item = (Cow<'static, str>, u64, bool)> {
        let links = self.unsupported_frames.iter();
        let links =
            links.map(|(link, frames)| (UnsupportedLink(*link).name().into(), *frames, true));
        let others = self.totals.not_read.iter();
        let others = others
            .map(|(what, frames): (NotRead, u64)| (what.name().into(), frames, what.may_hide()));
        links.chain(others)
    }

    /// Link types told apart, far more than there are.
    const MAX_LINKS: usize = 4_096;
    /// Errors kept.
    const MAX_ERRORS: usize = 100;

    /// Adds the totals of another capture.
    pub fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        let known = [self.dropped, other.dropped].into_iter().flatten();
        self.dropped = known.reduce(u64::saturating_add);
        let sum = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        for (link, frames) in &other.unsupported_frames {
            let room = self.unsupported_frames.len() < Self::MAX_LINKS;
            match self.unsupported_frames.entry(*link) {
                Entry::Occupied(mut known) => sum(known.get_mut(), *frames),
                Entry::Vacant(free) if room => sum(free.insert(0), *frames),
                Entry::Vacant(_) => {}
            }
        }
        sum(&mut self.comments_left_out, other.comments_left_out);
        if let Some(counters) = &other.kernel {
            self.kernel.get_or_insert_default().add(counters);
        }
        let room = Self::MAX_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(other.errors.iter().take(room).cloned());
    }
}

/// The result of an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conclusion {
    /// Passed: the condition never held.
    Passed,
    /// Failed: the condition held.
    Failed,
    /// Nothing was there that could have failed. That is no success.
    NoTraffic,
}

/// An assertion and its result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The assertion as it was typed.
    pub assertion: String,
    /// The result.
    pub verdict: Conclusion,
    /// The figures it was decided by: `1 of 4 exchanges`.
    pub observed: String,
    /// The first few exchanges that failed it; of a statistic, those that weigh most.
    pub exchanges: Vec<Exchange>,
    /// The first few connections that failed it.
    pub connections: Vec<Connection>,
}

impl Outcome {
    /// Whether the assertion passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == Conclusion::Passed
    }

    /// The name of the result, as it stands in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.verdict {
            Conclusion::Passed => "passed",
            Conclusion::Failed => "failed",
            Conclusion::NoTraffic => "no-traffic",
        }
    }
}

/// Exchanges and connections that were not sent one by one.
#[derive(Clone, Debug, Default)]
pub struct Aggregate {
    /// Their figures.
    pub summary: Summary,
    /// The good exchanges by route.
    pub routes: Routes,
    /// The slowest good exchanges in full, the slowest first. The figures and routes include them.
    pub slowest: Vec<Exchange>,
    /// How many good exchanges have a time to be ranked by.
    pub ranked: u64,
    /// The tallies of the assertions, in their order.
    pub tallies: Vec<Tally>,
}

/// Packets that the capturing kernel lost within a stretch of time: a capture says only now and then
/// how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The last moment at which they had not been counted yet.
    pub since: Timestamp,
    /// The first moment at which they had.
    pub until: Timestamp,
    /// How many.
    pub packets: u64,
}

/// An event of a report. The order is: `Sources`; for the first frame, and each of which there is
/// something to tell, `Begin`, what the frame settled (`Exchange`, `Connection`), `Comment`,
/// `AfterFrame`; at the end of the capture what that settled, `Aggregate`, `Sources` once more,
/// `Assertions`, `Finish`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ReportEvent<'a> {
    /// A frame that settled something, or that has a comment; and the first one.
    Begin(FrameId, Timestamp),
    /// An exchange is settled.
    Exchange(&'a Exchange),
    /// A connection is settled, after all its exchanges.
    Connection(&'a Connection),
    /// A packet comment became known. Comments of the current frame come before `AfterFrame`.
    Comment(FrameId, &'a str),
    /// The sources are known. Told at the latest after the first frame, and again at the end.
    Sources(&'a [Source]),
    /// A name of an address became known: see [`Names::add`](crate::names::Names::add). It may come
    /// at any time.
    Name(IpAddr, &'a str),
    /// Packets were lost, and it is known about when. It may come at any time.
    Lost(Lost),
    /// Exchanges and connections that are not told one by one. Of several targets it comes several
    /// times.
    Aggregate(&'a Aggregate),
    /// The results of the assertions. Told once, if there are any.
    Assertions(&'a [Outcome]),
    /// The frame was analysed.
    AfterFrame,
    /// Everything was read: the report writes what is left.
    Finish(&'a Capture),
}

/// A report in the making.
pub trait Report {
    /// Takes an event in.
    ///
    /// # Errors
    /// If the output cannot be written. No further event may be told then.
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()>;
}

/// A report whose format is known only when the program runs.
impl<R: Report + ?Sized> Report for Box<R> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        (**self).tell(event)
    }
}

/// Several reports of the same capture. An error of one ends all: they were asked for together.
#[derive(Debug, Default)]
pub struct Many<R>(pub Vec<R>);

impl<R: Report> Report for Many<R> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|report| report.tell(event))
    }
}

/// Tells a report what the analyser settles, up to the first error. A frame begins when there is
/// something to tell of it, and most frames have nothing.
pub struct ReportSink<'a> {
    report: &'a mut dyn Report,
    /// The frame, until it has begun.
    waiting: Option<(FrameId, Timestamp)>,
    began: bool,
    result: io::Result<()>,
}

impl<'a> ReportSink<'a> {
    /// Creates a sink for what no frame settles.
    pub fn new(report: &'a mut dyn Report) -> Self {
        Self {
            report,
            waiting: None,
            began: false,
            result: Ok(()),
        }
    }

    /// Creates a sink for one frame.
    pub fn of_frame(report: &'a mut dyn Report, id: FrameId, time: Timestamp) -> Self {
        Self {
            waiting: Some((id, time)),
            ..Self::new(report)
        }
    }

    /// Tells of the frame, though nothing else may be told of it.
    pub fn begin(&mut self) {
        if let Some((id, time)) = self.waiting.take() {
            self.began = true;
            self.result = self.report.tell(ReportEvent::Begin(id, time));
        }
    }

    /// Tells an event, of the frame if there is one.
    pub fn tell(&mut self, event: ReportEvent<'_>) {
        self.begin();
        if self.result.is_ok() {
            self.result = self.report.tell(event);
        }
    }

    /// Ends the frame, if it began.
    ///
    /// # Errors
    /// The first error of the report.
    #[inline]
    pub fn done(mut self) -> io::Result<()> {
        if self.began {
            self.tell(ReportEvent::AfterFrame);
        }
        self.result
    }
}

impl Sink for ReportSink<'_> {
    fn exchange(&mut self, exchange: &Exchange) {
        self.tell(ReportEvent::Exchange(exchange));
    }

    fn connection(&mut self, connection: &Connection) {
        self.tell(ReportEvent::Connection(connection));
    }
}
