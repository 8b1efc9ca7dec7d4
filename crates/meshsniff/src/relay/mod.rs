//! A report on its way from a target to the program that writes it.
//!
//! The analyser runs beside the target, and its findings travel as lines of JSON. There
//! [`RelayWriter`] is a [`Report`] like any other; here [`Receiver`] passes on what it reads to the
//! report that was asked for. Nothing is lost in between but what was aggregated on purpose. The
//! lines are for programs of one version: [`FORMAT`] rises with any change, and whoever wants to
//! read lines has `-o jsonl`.
//!
//! ```text
//! {"Format":4}
//! {"Sources":[…]}
//! {"Begin":[frame, time]}      the frame that settled what follows
//! {"Exchange":{…}}  {"Connection":{…}}  {"Comment":[frame, text]}
//! "After"                      everything that this frame settled was sent
//! {"Progress":{…}}             at any time, and as a heartbeat
//! {"Recent":{…}}               recently aggregated exchanges, for a live view
//! {"Summary":{…}}  {"Route":{…}}  {"Slow":{…}}  {"Ranked":n}  {"Tally":{…}}
//! {"Capture":{…}}              what was aggregated, in parts, and then the totals
//! {"End":{…}}                  without it, the relay was cut
//! ```
//!
//! **What arrives is hostile**: the program beside the target may have been taken over. The length
//! of a line, the range of a number and the length of a list are checked before any report hears of
//! them.

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

/// The number of the format, which the first line carries. It rises with any change to a line: a
/// test compares one line of each kind with `lines.jsonl`.
pub const FORMAT: u32 = 12;

/// Bytes of the longest line, without its end. Readers stop there, and the receiver refuses longer
/// ones.
pub const MAX_LINE: usize = 1 << 20;

/// The progress at the target: for a status line, and a sign of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Exchanges so far.
    pub exchanges: u64,
    /// Exchanges among them that did not go well.
    pub not_ok: u64,
    /// Frames so far.
    pub frames: u64,
    /// Packets that the kernel lost.
    pub dropped: u64,
    /// Exchanges and connections that were only counted because the relay was not read fast enough.
    pub not_told: u64,
}

/// Why the capture ended at the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The reason's name, such as `stop` or `target-gone`.
    pub reason: String,
    /// The reason as a sentence without a full stop.
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
