//! The formats of a report, each of which takes in the same.
//!
//! What is read, and from where, is not known here.

use super::args::Format;
use crate::analyzer::Sink;
use crate::cluster::stop::{Stop, Why};
use crate::exchange::{Connection, Exchange};
use crate::packet::FrameId;
use crate::report::folded::Folded;
use crate::report::json::{JsonReport, Style};
use crate::report::select::Filter;
use crate::report::text::{TextOptions, TextReport};
use crate::report::{Capture, Report, Source};
use crate::time::Timestamp;
use std::io::{self, Write};

/// How a report is to look, and what is in it.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) format: Format,
    pub(super) all: bool,
    pub(super) slowest: usize,
    /// 0 for no limit.
    pub(super) limit: usize,
    pub(super) filter: Filter,
    pub(super) probes: bool,
    pub(super) colour: bool,
    /// Whether the input may pause, so that nobody should be kept waiting for output.
    pub(super) live: bool,
}

impl Look {
    /// Such a report, to `out`.
    pub(super) fn start<W: Write>(&self, out: W) -> AnyReport<W> {
        let style = match self.format {
            Format::Json => Style::Document,
            Format::Jsonl => Style::Lines { live: self.live },
            Format::Text => {
                let text = TextOptions {
                    colour: self.colour,
                    width: width(),
                    all: self.all,
                    limit: self.limit,
                    slowest: self.slowest,
                    probes: self.probes,
                    filter: self.filter.clone(),
                };
                return AnyReport::Text(Box::new(TextReport::new(out, text)));
            }
        };
        let report = JsonReport::new(out, style, self.filter.clone(), self.probes);
        AnyReport::Json(Box::new(report))
    }
}

/// A report of any format.
pub(super) enum AnyReport<W: Write> {
    Text(Box<TextReport<W>>),
    Json(Box<JsonReport<W>>),
}

macro_rules! forward {
    ($self:ident, $report:ident => $call:expr) => {
        match $self {
            AnyReport::Text($report) => $call,
            AnyReport::Json($report) => $call,
        }
    };
}

impl<W: Write> Sink for AnyReport<W> {
    fn exchange(&mut self, exchange: &Exchange) {
        forward!(self, report => report.exchange(exchange));
    }

    fn connection(&mut self, connection: &Connection) {
        forward!(self, report => report.connection(connection));
    }
}

impl<W: Write> Report for AnyReport<W> {
    fn begin(&mut self, frame: FrameId, time: Timestamp) {
        forward!(self, report => report.begin(frame, time));
    }

    fn comment(&mut self, frame: FrameId, text: &str) {
        forward!(self, report => report.comment(frame, text));
    }

    fn sources(&mut self, sources: &[Source]) {
        forward!(self, report => report.sources(sources));
    }

    fn folded(&mut self, folded: &Folded) {
        forward!(self, report => report.folded(folded));
    }

    fn after_frame(&mut self) -> io::Result<()> {
        forward!(self, report => report.after_frame())
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        forward!(self, report => report.finish(capture))
    }
}

/// A report that asks for the end of the capture once enough exchanges did not go well.
pub(super) struct Until<W: Write> {
    report: AnyReport<W>,
    look: Look,
    not_ok: u64,
    enough: u64,
    stop: Stop,
}

impl<W: Write> Until<W> {
    /// `look`'s report to `out`; `enough` such exchanges are enough, and `stop` is told.
    pub(super) fn start(look: Look, out: W, (enough, stop): (u64, Stop)) -> Self {
        Self {
            report: look.start(out),
            look,
            not_ok: 0,
            enough,
            stop,
        }
    }
}

impl<W: Write> Sink for Until<W> {
    fn exchange(&mut self, exchange: &Exchange) {
        let counts = self.look.filter.exchange(exchange) && (self.look.probes || !exchange.probe);
        if counts && exchange.good() == Some(false) {
            self.not_ok += 1;
            if self.not_ok >= self.enough {
                self.stop.ask(Why::Enough);
            }
        }
        self.report.exchange(exchange);
    }

    fn connection(&mut self, connection: &Connection) {
        self.report.connection(connection);
    }
}

impl<W: Write> Report for Until<W> {
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
        self.report.folded(folded);
    }

    fn after_frame(&mut self) -> io::Result<()> {
        self.report.after_frame()
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        self.report.finish(capture)
    }
}

/// Columns to write for, within what reads well. Only a shell that exports `COLUMNS` is asked: a system call
/// for it is not worth a dependency.
fn width() -> usize {
    const USUAL: usize = 100;
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.parse().ok());
    told.unwrap_or(USUAL).clamp(60, 140)
}
