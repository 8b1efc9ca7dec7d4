//! Sentences on stderr while a command runs.

use crate::stderr;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes sentences to stderr; clones share the live line.
#[derive(Clone, Debug)]
pub struct Talk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    quiet: bool,
    /// The last line of a terminal, rewritten as things go on; hidden elsewhere.
    live: ProgressBar,
    /// Takes the sentences while something else has the terminal.
    elsewhere: Mutex<Option<Listener>>,
}

/// Takes sentences in the place of stderr.
pub struct Listener(Box<dyn Fn(&str) + Send>);

impl Listener {
    /// Calls `tell` for each line.
    pub fn new(tell: impl Fn(&str) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl Talk {
    /// Writes all sentences, or if `quiet` only warnings.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let live = if quiet || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5))
        };
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            live.set_style(style);
        }
        Self(Arc::new(Inner {
            quiet,
            live,
            elsewhere: Mutex::new(None),
        }))
    }

    /// Writes a sentence, unless it is to be quiet.
    pub fn say(&self, sentence: &str) {
        if !self.0.quiet {
            self.print("", sentence);
        }
    }

    /// Writes a warning.
    pub fn warn(&self, sentence: &str) {
        self.print("warning: ", sentence);
    }

    /// Sends sentences to `listener` from now on, or with `None` to stderr again.
    pub fn tell_instead(&self, listener: Option<Listener>) {
        *self.elsewhere() = listener;
    }

    fn elsewhere(&self) -> MutexGuard<'_, Option<Listener>> {
        let elsewhere = self.0.elsewhere.lock();
        elsewhere.unwrap_or_else(PoisonError::into_inner)
    }

    /// Rewrites the live line, on a terminal.
    pub fn live(&self, line: &str) {
        if self.elsewhere().is_some() {
            return;
        }
        let mut shown = String::new();
        meshsniff::escape::push_shown(&mut shown, line);
        self.0.live.set_message(shown);
    }

    /// Removes the live line.
    pub fn end_live(&self) {
        self.0.live.finish_and_clear();
    }

    fn print(&self, prefix: &str, sentence: &str) {
        let mut line = String::from(prefix);
        meshsniff::escape::push_shown(&mut line, sentence);
        if let Some(Listener(tell)) = &*self.elsewhere() {
            return tell(&line);
        }
        self.0.live.suspend(|| stderr::line(&line));
    }
}
