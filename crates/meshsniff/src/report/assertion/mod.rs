//! What must not be: `--fail-on 'ack_to_client_close>400ms where path=/items'`.
//!
//! An assertion names what makes a report fail. [`Assertion::parse`] reads one and refuses what makes no sense, before
//! anything is captured; a [`Judge`] looks at exchanges and connections as they come and knows the [`Outcome`]s at the end.
//! Where good exchanges are only counted beside the target, the judge there counts for the assertions, too, and its tallies
//! are added to those of the judge here.

mod judge;
mod language;
pub mod tally;

pub use judge::{Judge, Rules};
pub use language::{Assertion, AssertionError};
pub(super) use language::{Operator, Percentile, split_where};

use crate::exchange::{Connection, Exchange};

/// How an assertion came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What must not be was not.
    Passed,
    /// It was.
    Failed,
    /// There was nothing that could have failed: that is no success.
    NoTraffic,
}

/// An assertion after all was seen.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The assertion, as it was typed.
    pub assertion: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen: `1 of 4 exchanges`.
    pub observed: String,
    /// Exchanges that failed it, the first few, or of a statistic those that weigh most.
    pub exchanges: Vec<Exchange>,
    /// Connections that failed it, the first few.
    pub connections: Vec<Connection>,
}

impl Outcome {
    /// Whether it passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }

    /// The name of how it came out, as it stands in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::NoTraffic => "no-traffic",
        }
    }
}
