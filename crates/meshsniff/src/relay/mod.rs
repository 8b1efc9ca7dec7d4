//! A report on its way from a target to the program that writes it.
//!
//! The analyser runs beside the target, and its findings travel as lines of JSON: [`RelayWriter`]
//! there is a [`Report`] like any other, and [`Receiver`] here tells what it hears to whatever
//! report was asked for. Nothing is lost between them but what was folded on purpose. The lines are
//! between two programs of one version and nobody else: [`FORMAT`] is counted up with any change,
//! and whoever wants to read lines has `-o jsonl`.
//!
//! ```text
//! {"Format":3}
//! {"Sources":[…]}
//! {"Begin":[frame, time]}      the frame that what follows was settled by
//! {"Exchange":{…}}  {"Connection":{…}}  {"Comment":[frame, text]}
//! "After"                      all that this frame settled has been told
//! {"Progress":{…}}             at any time, and as a heartbeat
//! {"Summary":{…}}  {"Route":{…}}  {"Slow":{…}}  {"Ranked":n}      what was folded, in parts
//! {"Capture":{…}}
//! {"End":{…}}                  without it, the relay was cut
//! ```
//!
//! **What arrives is hostile**: the program beside the target may have been taken over. A line has
//! a length, a number a range, a list a length, before any report hears of it.

pub mod aggregate;
mod check;
mod receiver;
#[cfg(test)]
mod tests;
mod writer;

pub use receiver::{Gathered, Received, Receiver, RelayError};
pub use writer::RelayWriter;

#[cfg(doc)]
use crate::event::Report;
use crate::event::{Capture, Source};
use crate::exchange::{Connection, Exchange};
use crate::packet::FrameId;
use crate::statistics::parts::SummaryPart;
use crate::statistics::routes::RouteRow;
use crate::statistics::tally::TallyPart;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The number of this form, which the first line carries. It rises with any change to a line: a test
/// holds one line of each kind against `lines.jsonl`.
pub const FORMAT: u32 = 3;

/// Bytes of the longest line, its end not counted. Whoever reads lines stops there; the receiver refuses them as well.
pub const MAX_LINE: usize = 1 << 20;

/// How it stands at the target: for a line that a person watches, and a sign of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Exchanges so far, told and folded.
    pub exchanges: u64,
    /// Of these, the ones that did not go well.
    pub not_ok: u64,
    /// Frames so far.
    pub frames: u64,
    /// Packets that the kernel lost.
    pub dropped: u64,
    /// Exchanges and connections that are only counted because the relay was not read fast enough.
    pub not_told: u64,
}

/// Why it ended at the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The reason's name, such as `stop` or `target-gone`.
    pub reason: String,
    /// The same as a sentence without a full stop.
    pub sentence: String,
}

/// A line.
#[derive(Serialize, Deserialize)]
enum Item<'a> {
    Format(u32),
    Sources(Cow<'a, [Source]>),
    Begin(FrameId, Timestamp),
    Comment(FrameId, Cow<'a, str>),
    Exchange(Cow<'a, Exchange>),
    Connection(Cow<'a, Connection>),
    After,
    Progress(Progress),
    Recent(RouteRow),
    Summary(SummaryPart),
    Route(RouteRow),
    Slow(Cow<'a, Exchange>),
    Ranked(u64),
    Tally(TallyPart),
    Capture(Cow<'a, Capture>),
    End(Cow<'a, End>),
}
