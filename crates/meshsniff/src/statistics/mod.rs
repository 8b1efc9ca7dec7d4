//! Figures of many exchanges, in memory that has a ceiling.
//!
//! | module | holds |
//! |---|---|
//! | [`summary`] | counts, success rates, timers and gap statistics of a whole report |
//! | [`parts`] | a summary in parts of bounded size, to be carried to another program |
//! | [`routes`] | good exchanges counted by server, method and path |
//! | [`timers`] | closes that come again and again after the same time |
//! | [`tally`] | what was counted for one assertion |
//! | `slowest` | the slowest exchanges, as many as there is room for |
//! | `gap_values` | the values of one gap, for its percentiles |
//! | `buckets` | how often values came, in buckets whose width grows with the value |
//!
//! It writes nothing, and decides nothing: verdicts come from [`crate::exchange`].

mod buckets;
pub(crate) mod gap_values;
pub mod parts;
pub mod routes;
pub(crate) mod slowest;
pub mod summary;
pub mod tally;
pub mod timers;

pub use gap_values::GapStats;
pub use summary::{SuccessRate, Summary};
pub use timers::Timer;

/// Largest count that is believed of another program, so that no sum of many can overflow: at a
/// million a second, half a year.
pub(crate) const MAX_COUNT: u64 = 1 << 44;

/// The year 2200 in nanoseconds since 1970: the latest time, and the longest span, that is believed
/// of another program.
pub(crate) const MAX_NANOS: i64 = 7_258_118_400_000_000_000;
