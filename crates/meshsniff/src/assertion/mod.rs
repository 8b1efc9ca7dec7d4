//! What must not be: `--fail-on 'ack_to_client_close>400ms where path=/items'`.
//!
//! An assertion names what makes a report fail. [`Assertion::parse`] reads one and refuses what
//! makes no sense, before anything is captured; a [`Judge`] looks at exchanges and connections as
//! they come and knows the [`Outcome`](crate::event::Outcome)s at the end. Where good exchanges are
//! only counted beside the target, the judge there counts for the assertions, too, and its tallies
//! are added to those of the judge here.

mod judge;
mod language;
mod with_assertions;

pub use judge::{Judge, Rules};
pub use language::Assertion;
pub use with_assertions::WithAssertions;
