//! Captures read into a report, with a bar on stderr or a live view.

use super::progress::Progress;
use super::watch::Watch;
use anyhow::Context as _;
use meshsniff::capture::ReadError;
use meshsniff::event::Report;
use meshsniff::pipeline::Pipeline;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Who looks on while captures are read.
#[derive(Default)]
pub(super) struct Onlookers {
    /// Whether somebody may be looking at stderr, for a bar.
    pub(super) bar: bool,
    /// Whether output is written meanwhile, which would run through a bar on the same terminal.
    pub(super) output_flows: bool,
    /// The live view. It ends before the report does, which may need the terminal.
    pub(super) watch: Option<Watch>,
    /// Whether the user ended standard input: that it then ends within a packet is no error.
    pub(super) cut: Option<Arc<AtomicBool>>,
}

impl Onlookers {
    /// Onlookers of a command that reads files: a bar on stderr.
    pub(super) fn at_stderr() -> Self {
        Self {
            bar: true,
            ..Self::default()
        }
    }
}

/// Reads captures into a report; returns what could not be read.
///
/// # Errors
/// If the report cannot be written.
pub(super) fn analyse(
    mut pipeline: Pipeline,
    onlookers: Onlookers,
    report: &mut dyn Report,
) -> anyhow::Result<Vec<String>> {
    let mut progress = if onlookers.bar && onlookers.watch.is_none() {
        Progress::of(pipeline.reader(), onlookers.output_flows)
    } else {
        Progress::default()
    };
    let mut read = || -> io::Result<()> {
        while pipeline.step(report)? {
            if progress.is_due() {
                progress.show(pipeline.reader());
            }
        }
        Ok(())
    };
    let read = read();
    progress.clear();
    read.context(UNWRITTEN)?;
    if onlookers.cut.is_some_and(|cut| cut.load(Ordering::Acquire)) {
        let unfinished =
            |error: &ReadError| matches!(error, ReadError::Cut { .. } | ReadError::Unended { .. });
        pipeline.errors_mut().retain(|error| !unfinished(error));
    }
    pipeline.settle(report).context(UNWRITTEN)?;
    drop(onlookers.watch);
    let analysed = pipeline.finish(report).context(UNWRITTEN)?;
    Ok(analysed.capture.errors)
}

const UNWRITTEN: &str = "the report could not be written";
