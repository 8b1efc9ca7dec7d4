//! Two captures or reports side by side: what changed by route, and whether that is more than
//! noise.
//!
//! | module | holds |
//! |---|---|
//! | [`side`] | what one side says, counted by route |
//! | `statistics` | the tests that tell a change from noise |
//! | [`difference`] | the two sides held against each other |
//! | [`language`] | `--fail-on`: which change is a failure |
//!
//! It opens nothing and writes nothing: [`crate::report::comparison`] does. **What the tests cannot
//! know:** they take every exchange for independent of the others. Requests of one burst, one
//! connection or one slow minute are not, so that a small p says "not by chance within these two
//! captures", and not yet "because of the new version". Two captures of the same version tell how
//! much there is between captures.

pub mod difference;
pub mod language;
pub mod side;
pub(crate) mod statistics;
