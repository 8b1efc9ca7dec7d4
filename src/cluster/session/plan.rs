//! A run's input and its results.

use crate::cluster::error;
use crate::cluster::exec::{Ended, Output};
use crate::cluster::manifest::HelperOptions;
use crate::cluster::mode::Mode;
use crate::cluster::stop::EndedEarly;
use crate::cluster::target::Target;
use crate::cluster::way::{Way, WayError};
use meshsniff::stream::reader::End;
use meshsniff_contract::arguments::Request;
use std::io;
use std::time::Duration;
use thiserror::Error;

/// A run that is to be made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which way in.
    pub mode: Mode,
    /// How the helper is made.
    pub helper: HelperOptions,
    /// The namespace it is made in; the target's if none.
    pub helper_namespace: Option<String>,
    /// How long its start may take.
    pub timeout: Duration,
    /// The agent's task, without the target.
    pub request: Request,
    /// Pods that come later are captured, too.
    pub follow: bool,
}

/// A consumer of streams.
pub trait Consumer: Send + Sync + 'static {
    /// Notes that a target's stream begins, with this number; the first is 0.
    ///
    /// # Errors
    /// If it cannot be taken: the run ends.
    fn begin(&self, number: usize, target: &Target) -> Result<(), Unconsumed>;

    /// Reads the stream to its end, on a thread of its own; returns its last word, if it came.
    ///
    /// # Errors
    /// If the stream is not what it should be, or cannot be put away: the run ends.
    fn consume(&self, number: usize, output: Output) -> Result<Option<End>, Unconsumed>;
}

/// Why a stream was not consumed.
#[derive(Debug, Error)]
pub enum Unconsumed {
    /// The reader of the output has left, which ends the run without an error.
    #[error("nobody reads the output any more")]
    OutputClosed,
    /// Anything else.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Why a run failed.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum RunError {
    #[error(transparent)]
    EndedEarly(#[from] EndedEarly),
    #[error(transparent)]
    Way(WayError),
    #[error(transparent)]
    Cut(#[from] Cut),
    #[error(transparent)]
    RanOut(#[from] RanOut),
    #[error(transparent)]
    Unconsumed(#[from] Unconsumed),
    /// In the agent's own words.
    #[error("{0}")]
    Agent(String),
    #[error("reading the stream failed")]
    Unread,
    /// Whoever should read the output does not, and the end was asked for twice.
    #[error("the output was not read to its end: what was not read is lost")]
    OutputUnread,
    #[error(transparent)]
    Thread(#[from] io::Error),
}

impl From<WayError> for RunError {
    fn from(error: WayError) -> Self {
        match error {
            WayError::EndedEarly(error) => Self::EndedEarly(error),
            error => Self::Way(error),
        }
    }
}

impl RunError {
    /// The error with all its causes.
    #[must_use]
    pub fn sentence(&self) -> String {
        error::chain(self)
    }
}

/// A helper that nobody told to go on.
#[derive(Debug, thiserror::Error)]
#[error(
    "the capture of {target} ended because the helper's lease ran out: for {seconds} s the API \
     server took no renewal, be it that it was not reached or refused; what came until then is kept"
)]
pub struct RanOut {
    /// The target's name.
    pub target: String,
    /// For how long.
    pub seconds: u64,
}

/// A stream that has no last word.
#[derive(Debug, thiserror::Error)]
#[error("the stream of {target} was cut ({how}): what came before is kept, the rest is missing")]
pub struct Cut {
    /// The target's name.
    pub target: String,
    /// How its exec ended.
    pub how: Ended,
}

/// How a target's stream ended.
#[derive(Debug)]
pub struct Finished {
    /// The target.
    pub target: Target,
    /// Which way in it was.
    pub way: Way,
    /// Its last word; without one it was cut.
    pub last_word: Option<End>,
    /// The error.
    pub error: Option<RunError>,
}
