//! Assertions: `--fail-on 'ack_to_client_close>400ms where path=/items'`.
//!
//! An assertion makes a report fail. [`Assertion::parse`] reads one and refuses what makes no
//! sense, before anything is captured. A [`Judge`] evaluates assertions as exchanges and
//! connections come, and has their [`Outcome`](crate::event::Outcome)s at the end. If good
//! exchanges are only counted beside the target, a judge there counts for the assertions as well,
//! and the judge here adds its tallies.

mod judge;
mod language;
mod near;
mod with_assertions;

pub use judge::{Judge, Rules};
pub use language::Assertion;
pub use with_assertions::WithAssertions;
