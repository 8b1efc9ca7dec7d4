//! Two captures or reports compared: what changed by route, and whether that is more than noise.
//!
//! | module | holds |
//! |---|---|
//! | [`side`] | the figures of one side by route |
//! | `statistics` | the tests that tell a change from noise |
//! | [`difference`] | the differences between the sides |
//! | `problems` | problems that are new, gone, grown |
//! | `thresholds` | when a change counts |
//! | [`language`] | `--fail-on`: which change is a failure |
//!
//! These modules open nothing and write nothing: [`crate::report::comparison`] does. **What the
//! tests cannot know:** they take every exchange for independent of the others. Requests of one
//! burst, one connection or one slow minute are not. A small p therefore says "not by chance within
//! these two captures", and not yet "because of the new version". Two captures of the same version
//! show how much captures differ.

pub mod difference;
pub mod language;
pub(crate) mod problems;
pub mod side;
pub(crate) mod statistics;
mod thresholds;

pub use thresholds::Thresholds;
