//! Formats of a report behind one type, and where each goes.
//!
//! Knows nothing of where packets come from.

use super::files::{Kept, open_whole};
use super::output::{Format, Output};
use super::watch::{Shared, WatchedReport};
use crate::cluster::stop::{Stop, Why};
use anyhow::Context as _;
use meshsniff::assertion::{Rules, WithAssertions};
use meshsniff::condition::Filter;
use meshsniff::event::{Many, Report, ReportEvent};
use meshsniff::redacted::{Redacted, Redacting};
use meshsniff::report::csv::CsvReport;
use meshsniff::report::har::HarReport;
use meshsniff::report::html::HtmlReport;
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::report::junit::JunitReport;
use meshsniff::report::markdown::MarkdownReport;
use meshsniff::report::svg::{SvgOf, SvgReport};
use meshsniff::report::text::{TextOptions, TextReport};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use terminal_size::terminal_size_of;

/// Bytes gathered for one write.
const BUFFER: usize = 64 << 10;

/// Contents and looks of a report.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) outputs: Vec<Output>,
    pub(super) all: bool,
    pub(super) slowest: usize,
    /// Number of timelines to show; 0 shows all.
    pub(super) limit: usize,
    pub(super) filter: Filter,
    pub(super) probes: bool,
    /// Whether text on standard output is coloured.
    pub(super) colour: bool,
    /// Whether something is made beside the reports.
    pub(super) more: bool,
    /// Whether the input may pause, so that nobody should be kept waiting for output.
    pub(super) live: bool,
    /// The assertions.
    pub(super) rules: Rules,
    /// The live view, if there is one.
    pub(super) watched: Option<Shared>,
    /// What is left out of every exchange. Assertions are held against all of it.
    pub(super) redacted: Redacted,
    /// What a picture is of.
    pub(super) pictured: SvgOf,
    /// Whether text on standard output has a small drawing of the capture.
    pub(super) drawn: bool,
}

impl Look {
    /// Whether a person reads standard output.
    pub(super) fn is_text(&self) -> bool {
        let mut shown = self.outputs.iter().filter(|output| output.file.is_none());
        shown.all(|output| output.format == Format::Text)
    }

    /// Whether every exchange is needed, the good ones too: an agent only counts these unless it is
    /// asked for all.
    pub(super) fn needs_all(&self) -> bool {
        let formats = self.outputs.iter().map(|output| output.format);
        // One that was asked for by its number may be a good one.
        let pictured = matches!(self.pictured, SvgOf::Exchange(_));
        self.all || pictured || formats.into_iter().any(Format::has_every_exchange)
    }

    /// Begins the reports; those without a file go to `out`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn start<'a, W: Write + Send + 'a>(&self, out: W) -> anyhow::Result<Reports<'a>> {
        // Where that is not all there is to do, whoever reads standard output may leave before the
        // end.
        let all = self.outputs.len() == 1 && self.rules.assertions.is_empty() && !self.more;
        let mut out = Some(Out {
            out,
            may_leave: !all,
            gone: false,
        });
        let mut reports: Vec<BoxedReport<'a>> = Vec::new();
        let mut files = Vec::new();
        for output in &self.outputs {
            let report = match (&output.file, output.format) {
                (None, format) => {
                    // There is but one: that was checked.
                    let out = out
                        .take()
                        .context("standard output can be written only once")?;
                    self.report(format, out, true)
                }
                (Some(path), format) => {
                    let (file, kept) = open_whole(path, format == Format::Jsonl, false)
                        .with_context(|| format!("{} cannot be written", path.display()))?;
                    files.extend(kept);
                    self.report(format, BufWriter::with_capacity(BUFFER, file), false)
                }
            };
            reports.push(report);
        }
        if let Some(shared) = &self.watched {
            let filter = self.filter.clone();
            reports.push(Box::new(WatchedReport::new(Arc::clone(shared), filter)));
        }
        Ok(Reports {
            report: WithAssertions::new(Many(reports), self.rules.clone()),
            files,
        })
    }

    fn report<'a, W: Write + Send + 'a>(
        &self,
        format: Format,
        out: W,
        on_stdout: bool,
    ) -> BoxedReport<'a> {
        if self.redacted.any() {
            // What it selects by may be left out of what it is told.
            let look = Self {
                filter: Filter::default(),
                redacted: Redacted::default(),
                ..self.clone()
            };
            let report = look.report(format, out, on_stdout);
            return Box::new(Redacting::new(report, self.redacted, self.filter.clone()));
        }
        let json = |out, style| JsonReport::new(out, style, self.filter.clone(), self.probes);
        match format {
            Format::Text => Box::new(TextReport::new(
                out,
                TextOptions {
                    colour: on_stdout && self.colour,
                    width: width(on_stdout),
                    all: self.all,
                    limit: self.limit,
                    slowest: self.slowest,
                    drawing: on_stdout && self.drawn,
                    probes: self.probes,
                    filter: self.filter.clone(),
                },
            )),
            Format::Json => Box::new(json(out, Style::Document)),
            Format::Jsonl => Box::new(json(out, Style::Lines { live: self.live })),
            Format::Junit => Box::new(JunitReport::new(out, self.filter.clone(), self.probes)),
            Format::Markdown => {
                Box::new(MarkdownReport::new(out, self.filter.clone(), self.probes))
            }
            Format::Html => Box::new(HtmlReport::new(out, self.filter.clone(), self.probes)),
            Format::Csv => Box::new(CsvReport::new(out, self.filter.clone(), self.live)),
            Format::Har => Box::new(HarReport::new(out, self.filter.clone())),
            Format::Svg => Box::new(SvgReport::new(
                out,
                self.filter.clone(),
                self.probes,
                self.pictured,
            )),
        }
    }
}

/// Standard output.
struct Out<W> {
    out: W,
    /// Whether the run goes on when the reader leaves.
    may_leave: bool,
    gone: bool,
}

impl<W: Write> Out<W> {
    fn done<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(error) if self.may_leave && error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(instead)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone {
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes);
        self.done(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.done(flushed, ())
    }
}

/// A report whose format is known only when the program runs.
pub(super) type BoxedReport<'a> = Box<dyn Report + Send + 'a>;

/// Every report that was asked for.
pub(super) struct Reports<'a> {
    pub(super) report: WithAssertions<Many<BoxedReport<'a>>>,
    files: Vec<Kept>,
}

impl<'a> Reports<'a> {
    /// Adds a report that `-o` did not ask for.
    pub(super) fn add(&mut self, report: BoxedReport<'a>) {
        self.report.inner_mut().0.push(report);
    }

    /// Puts the files in their places; returns the assertions that failed.
    ///
    /// # Errors
    /// If a file cannot be put there.
    pub(super) fn done(self) -> anyhow::Result<Vec<String>> {
        for file in self.files {
            file.done()?;
        }
        Ok(self.report.failures().to_vec())
    }
}

/// A report that asks for the end of the capture once enough exchanges did not go well.
pub(super) struct Until<'a, R> {
    report: &'a mut R,
    filter: Filter,
    probes: bool,
    not_ok: u64,
    enough: u64,
    stop: Stop,
}

impl<'a, R: Report> Until<'a, R> {
    /// Wraps `report`: tells `stop` after `enough` exchanges that `look` selects and that did not
    /// go well.
    pub(super) fn new(look: &Look, report: &'a mut R, (enough, stop): (u64, Stop)) -> Self {
        Self {
            report,
            filter: look.filter.clone(),
            probes: look.probes,
            not_ok: 0,
            enough,
            stop,
        }
    }
}

impl<R: Report> Report for Until<'_, R> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        if let ReportEvent::Exchange(exchange) = event {
            let counts = self.filter.exchange(exchange) && (self.probes || !exchange.probe);
            if counts && exchange.good() == Some(false) {
                self.not_ok += 1;
                if self.not_ok >= self.enough {
                    self.stop.ask(Why::Enough);
                }
            }
        }
        self.report.tell(event)
    }
}

/// Returns the width of text in columns, within what reads well: what a shell exports in `COLUMNS`,
/// else, on standard output, the width of the terminal. Text that goes elsewhere looks the same
/// wherever it is made.
pub(super) fn width(on_stdout: bool) -> usize {
    const USUAL: usize = 100;
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.parse().ok());
    let terminal = || terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    let width = told.or_else(|| on_stdout.then(terminal).flatten());
    width.unwrap_or(USUAL).clamp(60, 140)
}
