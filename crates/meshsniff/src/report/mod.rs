//! Formats and words: from events to something a person or a program reads.
//!
//! | module | holds |
//! |---|---|
//! | [`text`] | the report for a terminal |
//! | [`json`] | `-o json` and `-o jsonl`, their schema, and how a report is read back |
//! | [`html`] | the page for a colleague |
//! | [`svg`] | one exchange as a picture |
//! | [`csv`], [`har`] | rows for spreadsheets, an archive for HTTP tools |
//! | [`curl`] | a request as a command that sends it again |
//! | [`junit`], [`markdown`] | the reports that CI shows |
//! | [`annotations`] | comments on single frames, for Wireshark |
//! | [`comparison`] | two captures or reports side by side |
//! | [`explain`] | the sentence that says what happened |
//! | [`problems`] | what several have in common, in words |
//! | [`wireshark`] | display filters for what is reported |
//! | `drawing` | the whole capture as one drawing, for page and terminal |
//! | `encode` | JSON, pushed straight into a `String` |
//! | `flags` | Envoy's flags, in words |
//! | `facts` | state that the formats share |
//! | `timeline` | the events of an exchange in capture order |
//! | `comments` | packet comments |
//! | `shell`, `secrets` | words of commands, and what does not belong into them |
//! | `chunks` | bodies without their framing |
//! | `spans` | pieces of Markdown |
//!
//! A report is fed while the capture is read and keeps nothing that grows with the capture, except
//! where it was asked to show everything, and then in a temporary file. It counts and decides
//! nothing: figures come from [`crate::statistics`], verdicts from [`crate::exchange`].

pub mod annotations;
mod chunks;
mod comments;
pub mod comparison;
pub mod csv;
pub mod curl;
mod drawing;
mod encode;
pub mod explain;
mod facts;
mod flags;
pub mod har;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod problems;
mod secrets;
mod shell;
mod spans;
mod sums;
pub mod svg;
pub mod text;
mod timeline;
pub mod wireshark;
