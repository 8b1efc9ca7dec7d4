//! The formats of a report, each of which takes in the same, and where they go.
//!
//! What is read, and from where, is not known here.

use super::watch::{Shared, WatchedReport};
use crate::cluster::stop::{Stop, Why};
use anyhow::Context as _;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, ValueEnum};
use meshsniff::assertion::Rules;
use meshsniff::assertion::WithAssertions;
use meshsniff::condition::Filter;
use meshsniff::event::{Many, Report, ReportEvent};
use meshsniff::report::html::HtmlReport;
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::report::junit::JunitReport;
use meshsniff::report::markdown::MarkdownReport;
use meshsniff::report::text::{TextOptions, TextReport};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Bytes gathered for one write.
const BUFFER: usize = 64 << 10;

/// What a report looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For a person at a terminal
    Text,
    /// One document
    Json,
    /// One object a line, as soon as it is settled
    Jsonl,
    /// Test cases for CI, one for each --fail-on
    Junit,
    /// For a pull request or a GitHub step summary
    Markdown,
    /// A page for a colleague: one file, no network
    Html,
}

/// A format and where it goes: `-o json` or `-o junit=report.xml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) format: Format,
    /// Standard output if it is `None`.
    pub(super) file: Option<PathBuf>,
}

/// Reads an [`Output`].
#[derive(Clone, Debug)]
pub(super) struct OutputParser;

impl TypedValueParser for OutputParser {
    type Value = Output;

    fn parse_ref(
        &self,
        command: &Command,
        _arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Output, clap::Error> {
        let invalid = |typed: &str| {
            let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
            let formats = Format::value_variants().iter();
            let formats = formats
                .filter_map(|format| Some(format.to_possible_value()?.get_name().to_owned()));
            for (kind, value) in [
                (
                    ContextKind::InvalidArg,
                    ContextValue::String("--output <FORMAT[=FILE]>".to_owned()),
                ),
                (
                    ContextKind::InvalidValue,
                    ContextValue::String(typed.to_owned()),
                ),
                (
                    ContextKind::ValidValue,
                    ContextValue::Strings(formats.collect()),
                ),
            ] {
                error.insert(kind, value);
            }
            error
        };
        let text = value.to_string_lossy();
        let (name, _) = text.split_once('=').unwrap_or((&text, ""));
        let format = Format::from_str(name, false).map_err(|_| invalid(name))?;
        let file = value.as_encoded_bytes().get(name.len() + 1..);
        let file = match file {
            None => None,
            Some(b"" | b"-") => {
                return Err(clap::Error::raw(
                    ErrorKind::InvalidValue,
                    format!("-o {text} names no file: -o {name} alone writes to standard output\n"),
                )
                .with_cmd(command));
            }
            Some(_) => text.split_once('=').map(|(_, file)| PathBuf::from(file)),
        };
        Ok(Output { format, file })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let formats = Format::value_variants().iter();
        Some(Box::new(formats.filter_map(ValueEnum::to_possible_value)))
    }
}

/// How a report is to look, and what is in it.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) outputs: Vec<Output>,
    pub(super) all: bool,
    pub(super) slowest: usize,
    /// 0 for no limit.
    pub(super) limit: usize,
    pub(super) filter: Filter,
    pub(super) probes: bool,
    /// Of text on standard output.
    pub(super) colour: bool,
    /// Whether something is made beside the reports.
    pub(super) more: bool,
    /// Whether the input may pause, so that nobody should be kept waiting for output.
    pub(super) live: bool,
    /// What must not be.
    pub(super) rules: Rules,
    /// Who watches while it is made.
    pub(super) watched: Option<Shared>,
}

impl Look {
    /// Whether a person reads standard output.
    pub(super) fn is_text(&self) -> bool {
        let mut shown = self.outputs.iter().filter(|output| output.file.is_none());
        shown.all(|output| output.format == Format::Text)
    }

    /// Such reports, those without a file to `out`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn start<'a, W: Write + Send + 'a>(&self, out: W) -> anyhow::Result<Reports<'a>> {
        // Where that is not all there is to do, whoever reads standard output may leave before the end.
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
                    self.report(format, out, self.colour)
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
        colour: bool,
    ) -> BoxedReport<'a> {
        let json = |out, style| JsonReport::new(out, style, self.filter.clone(), self.probes);
        match format {
            Format::Text => Box::new(TextReport::new(
                out,
                TextOptions {
                    colour,
                    width: width(),
                    all: self.all,
                    limit: self.limit,
                    slowest: self.slowest,
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
        }
    }
}

/// Standard output.
struct Out<W> {
    out: W,
    /// Whether a reader that leaves is no reason to end.
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

/// A file that takes its name once it is whole: what had the name before is not lost to a report that fails.
pub(super) struct Kept {
    path: PathBuf,
    file: NamedTempFile,
}

impl Kept {
    /// Gives it its name.
    ///
    /// # Errors
    /// If that cannot be.
    pub(super) fn done(self) -> anyhow::Result<()> {
        let Self { path, file } = self;
        file.persist(&path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(())
    }
}

impl<'a> Reports<'a> {
    /// One more report of the same, which writes nothing that was asked for with `-o`.
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

/// Writes a whole report to a file, which has its old content until then.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let unwritten = || format!("{} cannot be written", path.display());
    let (mut file, kept) = open_whole(path, false, false).with_context(unwritten)?;
    file.write_all(text.as_bytes()).with_context(unwritten)?;
    kept.map_or(Ok(()), Kept::done)
}

/// Opens a file to be written as a whole. `grows`: somebody may watch it grow, so it is written in its place. `private`: only
/// its owner may read it.
pub(super) fn open_whole(
    path: &Path,
    grows: bool,
    private: bool,
) -> io::Result<(File, Option<Kept>)> {
    // A link stays one, and a pipe or device is written to.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_special = path.exists() && !path.is_file();
    if grows || is_special {
        return Ok((File::create(&path)?, None));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let sentence = format!("there is no folder {}: make it first", folder.display());
        return Err(io::Error::other(sentence));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".meshsniff-");
    // Else as any other file: the umask says who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(if private {
        0o600
    } else {
        0o666
    }));
    let file = builder.tempfile_in(folder)?;
    if let Ok(before) = path.metadata() {
        // Whoever could read what was there can read what takes its place.
        file.as_file().set_permissions(before.permissions())?;
    }
    Ok((file.reopen()?, Some(Kept { path, file })))
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
    /// `report`, of what `look` selects; `enough` such exchanges are enough, and `stop` is told.
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

/// Columns to write for, within what reads well. Only a shell that exports `COLUMNS` is asked: a system call
/// for it is not worth a dependency.
pub(super) fn width() -> usize {
    const USUAL: usize = 100;
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.parse().ok());
    told.unwrap_or(USUAL).clamp(60, 140)
}
