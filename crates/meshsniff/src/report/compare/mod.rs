//! Two captures or reports side by side: what changed by route, and whether that is more than noise.
//!
//! | here | holds |
//! |---|---|
//! | [`side`] | what one side says, counted by route |
//! | [`read`] | a report of `-o json` or `-o jsonl` as a side |
//! | `statistics` | the tests that tell a change from noise |
//! | [`difference`] | the two sides held against each other |
//! | [`language`] | `--fail-on`: which change is a failure |
//! | `rows` | figures as words, for text and Markdown |
//! | [`text`], [`markdown`], [`json`] | what a person, a pull request and a program read |
//!
//! It opens nothing. **What the tests cannot know:** they take every exchange for independent of the others. Requests of one
//! burst, one connection or one slow minute are not, so that a small p says "not by chance within these two captures", and
//! not yet "because of the new version". Two captures of the same version tell how much there is between captures.

pub mod difference;
pub mod json;
pub mod language;
pub mod markdown;
pub mod read;
mod rows;
pub mod side;
mod statistics;
pub mod text;

#[cfg(test)]
mod tests;
