//! Comparisons of two captures or reports, written for a person, a pull request and a program.
//!
//! | module | holds |
//! |---|---|
//! | `rows` | the figures of a route as words, for text and Markdown |
//! | [`text`] | for a terminal |
//! | [`markdown`] | for a pull request |
//! | [`json`] | for a program |

pub mod json;
pub mod markdown;
mod rows;
pub mod text;

#[cfg(test)]
mod tests;
