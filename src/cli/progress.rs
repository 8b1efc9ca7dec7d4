//! Progress bar on stderr, while a long file is read.

use indicatif::{ProgressBar, ProgressStyle};
use meshsniff::capture::CaptureReader;
use std::io::{self, IsTerminal as _};

/// Least size of a file that gets a bar: smaller ones are read before anybody looks.
const LONG: u64 = 50 << 20;
/// Frames between two updates: a power of two.
const EVERY: u64 = 1 << 16;

/// A bar, if standard error is a terminal.
#[derive(Default)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    frames: u64,
}

impl Progress {
    /// Makes a bar for what `reader` is going to read. `streams`: output is written meanwhile.
    pub(super) fn of(reader: &CaptureReader, streams: bool) -> Self {
        let total = reader.total_bytes().filter(|total| *total >= LONG);
        // Output to the same terminal would run through the bar.
        let alone = io::stderr().is_terminal() && !(streams && io::stdout().is_terminal());
        let bar = total.filter(|_| alone).map(|total| {
            let bar = ProgressBar::new(total);
            let template =
                "{bar:30} {percent:>3} %  {bytes} of {total_bytes}, {bytes_per_sec}, {eta} to go";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, frames: 0 }
    }

    /// Counts a frame; true when an update is due.
    pub(super) const fn is_due(&mut self) -> bool {
        self.frames += 1;
        self.bar.is_some() && self.frames.is_multiple_of(EVERY)
    }

    /// Updates the bar.
    pub(super) fn show(&self, reader: &CaptureReader) {
        if let Some(bar) = &self.bar {
            bar.set_position(reader.bytes_read());
        }
    }

    /// Removes the bar.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
