//! `report`: a capture is read, a report is written.

use super::args::{Format, ReportOptions};
use super::progress::Progress;
use crate::analyzer::{Analyzer, Options};
use crate::capture::{CaptureReader, Input, SourceInfo};
use crate::report::json::{JsonReport, Style};
use crate::report::text::{TextOptions, TextReport};
use crate::report::{Capture, Report, Source};
use anyhow::Context as _;
use std::io::{self, BufWriter, Write};

/// Bytes gathered for one write to stdout.
const BUFFER: usize = 64 << 10;
/// Frames between two looks at how many packets the kernel lost: a power of two. That is known from blocks
/// which come seldom, mostly at the end.
const DROPS_EVERY: u64 = 64;

/// Reads and reports as asked; what comes back is what could not be read, one sentence each.
///
/// # Errors
/// If nothing could be read, or the report could not be written.
pub(super) fn run(mut options: ReportOptions) -> anyhow::Result<Vec<String>> {
    let inputs = std::mem::take(&mut options.inputs);
    let out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    write(inputs, options, out, true)
}

/// As [`run`], to any writer. `watched`: somebody may be looking at stderr.
fn write(
    inputs: Vec<Input>,
    options: ReportOptions,
    out: impl Write,
    watched: bool,
) -> anyhow::Result<Vec<String>> {
    let reader = CaptureReader::open(inputs)?;
    let progress = if watched {
        Progress::of(&reader, options.format != Format::Text)
    } else {
        Progress::none()
    };
    let analyzer = Analyzer::new(Options {
        ports: options.ports,
    });
    let driver = Driver {
        reader,
        analyzer,
        progress,
        comments: 0,
        errors: Vec::new(),
    };
    let style = match options.format {
        Format::Json => Style::Document,
        Format::Jsonl => Style::Lines { live: options.live },
        Format::Text => {
            let text = TextOptions {
                colour: options.colour,
                width: width(),
                all: options.all,
                limit: options.limit,
                slowest: options.slowest,
                probes: options.probes,
                filter: options.filter,
            };
            return driver.drive(&mut TextReport::new(out, text));
        }
    };
    let mut report = JsonReport::new(out, style, options.filter, options.probes);
    driver.drive(&mut report)
}

/// Columns to write for, within what reads well. Only a shell that exports `COLUMNS` is asked: a system call
/// for it is not worth a dependency.
fn width() -> usize {
    const USUAL: usize = 100;
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.parse().ok());
    told.unwrap_or(USUAL).clamp(60, 140)
}

/// Brings frames from the reader through the analyser to a report.
struct Driver {
    reader: CaptureReader,
    analyzer: Analyzer,
    progress: Progress,
    /// Comments handed on.
    comments: usize,
    errors: Vec<String>,
}

impl Driver {
    fn drive<R: Report>(mut self, report: &mut R) -> anyhow::Result<Vec<String>> {
        report.sources(&sources(self.reader.sources()));
        let read = self.read(report);
        self.progress.clear();
        read.context("the report could not be written")?;
        self.finish(report)
            .context("the report could not be written")?;
        Ok(self.errors)
    }

    fn read<R: Report>(&mut self, report: &mut R) -> io::Result<()> {
        let mut frames = 0_u64;
        while let Some(next) = self.reader.next() {
            match next {
                Ok(frame) => {
                    report.begin(frame.id, frame.time);
                    self.analyzer.frame(&frame, report);
                }
                Err(error) => {
                    self.errors.push(error.to_string());
                    continue;
                }
            }
            if frames == 0 {
                // A pcapng file names its interfaces before its first packet.
                report.sources(&sources(self.reader.sources()));
            }
            frames += 1;
            if frames.is_multiple_of(DROPS_EVERY) {
                self.analyzer.set_dropped(self.reader.dropped());
            }
            self.pass_comments(report);
            report.after_frame()?;
            if self.progress.is_due() {
                self.progress.show(&self.reader);
            }
        }
        Ok(())
    }

    fn pass_comments<R: Report>(&mut self, report: &mut R) {
        let comments = self.reader.comments();
        if comments.len() > self.comments {
            for comment in &comments[self.comments..] {
                report.comment(comment.frame, &comment.text);
            }
            self.comments = comments.len();
        }
    }

    fn finish<R: Report>(&mut self, report: &mut R) -> io::Result<()> {
        self.analyzer.set_dropped(self.reader.dropped());
        self.analyzer.finish(report);
        report.sources(&sources(self.reader.sources()));
        let unsupported = self.reader.unsupported_frames();
        report.finish(&Capture {
            totals: self.analyzer.totals().clone(),
            dropped: self.reader.dropped(),
            unsupported_frames: unsupported.iter().map(|link| link.frames).sum(),
            comments_left_out: self.reader.comments_left_out(),
            errors: self.errors.clone(),
        })
    }
}

fn sources(infos: &[SourceInfo]) -> Vec<Source> {
    let source = |info: &SourceInfo| Source {
        kind: info.kind.as_str().to_owned(),
        name: info.name.clone(),
        interfaces: info.interfaces.clone(),
    };
    infos.iter().map(source).collect()
}
