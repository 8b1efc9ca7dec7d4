//! Figures of many exchanges, in bounded memory.
//!
//! | module | holds |
//! |---|---|
//! | [`summary`] | counts, success rates, timers and gap statistics of a whole report |
//! | `rate` | the success rate of one server |
//! | [`parts`] | a summary in parts of bounded size, to be sent to another program |
//! | [`routes`] | good exchanges counted by server, method and path |
//! | [`timers`] | closes that recur after the same time |
//! | [`problems`] | what exchanges and connections that went wrong have in common |
//! | [`tally`] | the counts of one assertion |
//! | `slowest` | the slowest exchanges |
//! | `gap_values` | the values of one gap, for its percentiles |
//! | `buckets` | counts of values in buckets whose width grows with the value |
//!
//! These modules write nothing and decide nothing: verdicts come from [`crate::exchange`].

mod buckets;
mod endings;
pub(crate) mod gap_values;
pub mod parts;
pub mod problems;
mod rate;
pub mod routes;
pub(crate) mod slowest;
pub mod summary;
pub mod tally;
pub mod timers;

pub use endings::ProcessEnd;
pub use gap_values::GapStats;
pub use problems::{Problem, ProblemKind, Severity};
pub use rate::SuccessRate;
pub use summary::Summary;
pub use timers::{Timer, TimerKind};

/// The largest count believed of another program, so that no sum can overflow: half a year at a
/// million a second.
pub(crate) const MAX_COUNT: u64 = 1 << 44;

/// The latest time and the longest span believed of another program: the year 2200 in nanoseconds
/// since 1970.
pub(crate) const MAX_NANOS: i64 = 7_258_118_400_000_000_000;
