//! Two captures or reports side by side, as a person, a pull request and a program read it.
//!
//! | module | holds |
//! |---|---|
//! | `rows` | figures as words, for text and Markdown |
//! | [`text`] | for a terminal |
//! | [`markdown`] | for a pull request |
//! | [`json`] | for a program |

pub mod json;
pub mod markdown;
mod rows;
pub mod text;

#[cfg(test)]
mod tests;
