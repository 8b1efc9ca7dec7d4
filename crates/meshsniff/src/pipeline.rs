//! From captures to a report: reader, analyser and report, joined once.
//!
//! Does what a loop over frames easily forgets. The analyser hears of lost packets in time; a
//! report hears of sources and comments; a capture that cannot be read to its end is analysed as
//! far as possible, and the error stands beside the result.

use crate::analyzer::{Analyzer, Options, Sink};
use crate::capture::{CaptureReader, Input, OpenError, ReadError, SourceInfo};
use crate::event::{Capture, Lost, Report, ReportEvent, ReportSink, Source};
use crate::exchange::{Connection, Exchange};
use crate::packet::Frame;
use crate::time::Timestamp;
use std::io;
use std::sync::Arc;

/// Captures on their way into a report.
pub struct Pipeline {
    reader: CaptureReader,
    analyzer: Analyzer,
    frames: u64,
    /// Number of comments that were passed on.
    comments: usize,
    /// Number of names that were passed on.
    names: usize,
    /// Packets known to be lost, and since when that is known.
    lost: (u64, Timestamp),
    /// The latest time of any frame.
    latest: Timestamp,
    errors: Vec<ReadError>,
}

/// Outcome of analysing captures.
#[derive(Debug)]
#[non_exhaustive]
pub struct Analysed {
    /// Counts of the frames, and what was found wrong with them.
    pub capture: Capture,
    /// Why a source could not be read to its end. What came before was analysed.
    pub errors: Vec<ReadError>,
}

/// Analyses one capture with default [`Options`]. `each` gets every exchange as soon as it is
/// settled.
///
/// # Errors
/// If it is not a capture. One that ends early is no error here: see [`Analysed::errors`].
pub fn analyse(
    input: impl Into<Input>,
    each: impl FnMut(&Exchange),
) -> Result<Analysed, OpenError> {
    Ok(Pipeline::open(vec![input.into()], Options::default())?.for_each(each))
}

impl Pipeline {
    /// Opens captures, which are read as one.
    ///
    /// # Errors
    /// If any of them is not a capture.
    pub fn open(inputs: Vec<Input>, mut options: Options) -> Result<Self, OpenError> {
        let mut reader = CaptureReader::open(inputs)?;
        // A capture may bring its own.
        reader.give_keys(Arc::clone(options.keys.get_or_insert_default()));
        Ok(Self {
            reader,
            analyzer: Analyzer::new(options),
            frames: 0,
            comments: 0,
            names: 0,
            lost: (0, Timestamp::default()),
            latest: Timestamp::default(),
            errors: Vec::new(),
        })
    }

    /// The reader, for its progress.
    #[must_use]
    pub const fn reader(&self) -> &CaptureReader {
        &self.reader
    }

    /// Returns the frame that the last step analysed; `None` at the end, and after a source that
    /// could not be read on.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'_>> {
        self.reader.frame()
    }

    /// Errors of sources so far. One that is removed counts as no error.
    pub const fn errors_mut(&mut self) -> &mut Vec<ReadError> {
        &mut self.errors
    }

    /// Hands every exchange to `each`, as soon as it is settled.
    #[must_use]
    pub fn for_each(self, each: impl FnMut(&Exchange)) -> Analysed {
        self.into_sink(&mut Exchanges(each))
    }

    /// Analyses to the end, into a sink.
    #[must_use]
    pub fn into_sink(mut self, sink: &mut dyn Sink) -> Analysed {
        let mut report = Plain(sink);
        // Nothing is written, so nothing fails.
        while self.step(&mut report).is_ok_and(|goes_on| goes_on) {}
        let settled = self.settle(&mut report);
        debug_assert!(settled.is_ok(), "a sink does not fail");
        self.analysed()
    }

    /// Analyses to the end, into a report.
    ///
    /// # Errors
    /// If the report cannot be written.
    pub fn run(mut self, report: &mut dyn Report) -> io::Result<Analysed> {
        while self.step(report)? {}
        self.finish(report)
    }

    /// Analyses the next frame; `false` at the end, after which only [`Pipeline::finish`] is left
    /// to do.
    ///
    /// # Errors
    /// If the report cannot be written.
    pub fn step(&mut self, report: &mut dyn Report) -> io::Result<bool> {
        if self.frames == 0 && self.errors.is_empty() {
            report.tell(ReportEvent::Sources(&sources(self.reader.sources())))?;
        }
        let step = self.reader.step();
        // Before the frame: they stand before it.
        let names = self.reader.names();
        for (address, name) in &names[self.names..] {
            report.tell(ReportEvent::Name(*address, name))?;
        }
        self.names = names.len();
        match step {
            None => return Ok(false),
            Some(Err(error)) => {
                self.errors.push(error);
                return Ok(true);
            }
            Some(Ok(())) => {}
        }
        let Some(frame) = self.reader.frame() else {
            return Ok(false);
        };
        // Before the frame: it may be the one that settles what the drops made uncertain.
        let dropped = self.reader.dropped();
        self.analyzer.set_dropped(dropped);
        if self.frames == 0 {
            self.lost.1 = frame.time;
            self.latest = frame.time;
        }
        let lost = lost(&mut self.lost, dropped, frame.time);
        self.latest = self.latest.max(frame.time);
        let mut sink = ReportSink::of_frame(report, frame.id, frame.time);
        if self.frames == 0 {
            sink.begin();
        }
        if let Some(lost) = lost {
            sink.tell(ReportEvent::Lost(lost));
        }
        self.analyzer.frame(&frame, &mut sink);
        if self.frames == 0 {
            // A pcapng file names its interfaces before its first packet.
            sink.tell(ReportEvent::Sources(&sources(self.reader.sources())));
        }
        self.frames += 1;
        let comments = self.reader.comments();
        for comment in &comments[self.comments..] {
            sink.tell(ReportEvent::Comment(comment.frame, &comment.text));
        }
        self.comments = comments.len();
        sink.done()?;
        Ok(true)
    }

    /// Settles what is open at the end of the captures.
    ///
    /// # Errors
    /// If the report cannot be written.
    pub fn settle(&mut self, report: &mut dyn Report) -> io::Result<()> {
        self.analyzer.set_dropped(self.reader.dropped());
        let mut sink = ReportSink::new(report);
        self.analyzer.finish(&mut sink);
        sink.done()
    }

    /// Ends the report, after settling what is open.
    ///
    /// # Errors
    /// If the report cannot be written.
    pub fn finish(mut self, report: &mut dyn Report) -> io::Result<Analysed> {
        self.settle(report)?;
        if let Some(lost) = lost(&mut self.lost, self.reader.dropped(), self.latest) {
            report.tell(ReportEvent::Lost(lost))?;
        }
        report.tell(ReportEvent::Sources(&sources(self.reader.sources())))?;
        let analysed = self.analysed();
        report.tell(ReportEvent::Finish(&analysed.capture))?;
        Ok(analysed)
    }

    fn analysed(self) -> Analysed {
        let unsupported = self.reader.unsupported_frames().into_iter();
        let capture = Capture {
            totals: self.analyzer.totals().clone(),
            dropped: self.reader.dropped(),
            unsupported_frames: unsupported.map(|of| (of.link, of.frames)).collect(),
            comments_left_out: self.reader.comments_left_out(),
            kernel: None,
            errors: self.errors.iter().map(ToString::to_string).collect(),
        };
        Analysed {
            capture,
            errors: self.errors,
        }
    }
}

/// What was lost since it was last known how much. `known` is that number, and since when.
fn lost(known: &mut (u64, Timestamp), dropped: Option<u64>, now: Timestamp) -> Option<Lost> {
    let dropped = dropped?;
    let packets = dropped.checked_sub(known.0).filter(|more| *more > 0)?;
    let since = known.1.min(now);
    *known = (dropped, now);
    Some(Lost {
        since,
        until: now,
        packets,
    })
}

fn sources(infos: &[SourceInfo]) -> Vec<Source> {
    let source = |info: &SourceInfo| Source {
        kind: info.kind.as_str().to_owned(),
        name: info.name.clone(),
        interfaces: info.interfaces.clone(),
    };
    infos.iter().map(source).collect()
}

/// A sink that calls a function with every exchange.
#[derive(Clone, Copy, Debug)]
pub struct Exchanges<F>(pub F);

impl<F: FnMut(&Exchange)> Sink for Exchanges<F> {
    fn exchange(&mut self, exchange: &Exchange) {
        (self.0)(exchange);
    }

    fn connection(&mut self, _connection: &Connection) {}
}

/// A report that only feeds a sink.
struct Plain<'a>(&'a mut dyn Sink);

impl Report for Plain<'_> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        match event {
            ReportEvent::Exchange(exchange) => self.0.exchange(exchange),
            ReportEvent::Connection(connection) => self.0.connection(connection),
            _ => {}
        }
        Ok(())
    }
}
