//! From exchanges to something a person or a program reads.
//!
//! | here | holds |
//! |---|---|
//! | [`summary`] | counts, success rates, timers and gap statistics, in bounded memory |
//! | [`explain`] | the sentence that says what happened |
//! | [`json`] | `-o json` and `-o jsonl`, and their schema |
//! | [`folded`] | of a live target: good exchanges counted by route, the others told whole |
//! | [`routes`] | those counts |
//! | [`relay`] | a report on its way from a target to the program that writes it |
//! | [`text`] | the report for a terminal |
//! | `junit`, `markdown` | the reports that CI shows |
//! | `html` | the page for a colleague |
//! | [`select`] | which exchanges are wanted |
//! | [`assertion`], [`judged`] | what makes a report fail, and a report that is held against it |
//! | `annotations` | what is said of single frames, for Wireshark |
//! | [`many`] | several reports of the same |
//! | `compare` | two captures or reports side by side |
//! | [`wireshark`] | display filters for what is reported |
//!
//! A report is fed while the capture is read and keeps nothing that grows with the capture, except where
//! it was asked to show everything, and then in a temporary file. It decides nothing: verdicts come from
//! [`crate::exchange`].

pub mod annotations;
pub mod assertion;
mod buckets;
pub mod compare;
pub mod explain;
mod facts;
pub mod folded;
mod gap_values;
pub mod html;
pub mod json;
pub mod judged;
pub mod junit;
pub mod many;
pub mod markdown;
mod number;
pub mod relay;
pub mod routes;
pub mod select;
mod spans;
pub mod summary;
pub mod text;
mod timeline;
mod timers;
mod wire;
pub mod wireshark;

use crate::analyzer::{Sink, Totals};
use crate::packet::FrameId;
use crate::time::Timestamp;
use assertion::Outcome;
use folded::Folded;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::io;

/// Largest count that is believed of another program, so that no sum of many can overflow: at a million a second, half a
/// year.
pub(crate) const MOST_COUNT: u64 = 1 << 44;

/// The year 2200 in nanoseconds since 1970: the latest time, and the longest span, that is believed of another program.
pub(crate) const MOST_NANOS: i64 = 7_258_118_400_000_000_000;

/// Where packets came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `file`, `stdin` or `live`.
    pub kind: String,
    /// File name as it was given.
    pub name: String,
    /// Names of the interfaces that the capture records, as far as it names them.
    pub interfaces: Vec<String>,
}

/// Pushes `text` so that no control character of it reaches a terminal.
pub fn push_shown(out: &mut String, text: &str) {
    wire::shown(out, text, usize::MAX);
}

/// What was read, once all of it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Counts of the analyser.
    pub totals: Totals,
    /// Packets that the capturing kernel lost; `None` if the capture does not say.
    pub dropped: Option<u64>,
    /// Frames of link layers that cannot be read.
    pub unsupported_frames: u64,
    /// Packet comments that the reader did not keep.
    pub comments_left_out: u64,
    /// Why parts of the input could not be read, one sentence each. Empty: all of it was.
    pub errors: Vec<String>,
}

impl Capture {
    /// Errors that are kept.
    const MOST_ERRORS: usize = 100;

    /// Adds what was read elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        let known = [self.dropped, other.dropped].into_iter().flatten();
        self.dropped = known.reduce(u64::saturating_add);
        let sum = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        sum(&mut self.unsupported_frames, other.unsupported_frames);
        sum(&mut self.comments_left_out, other.comments_left_out);
        let room = Self::MOST_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(other.errors.iter().take(room).cloned());
    }
}

/// A report being made: a [`Sink`] that also hears of what stands around the exchanges.
///
/// Its order of calls: `begin`, the sink's methods, `comment`, `after_frame` for each frame; the sink's
/// methods again when the capture ended; `finish`.
pub trait Report: Sink {
    /// A frame is about to be analysed.
    fn begin(&mut self, frame: FrameId, time: Timestamp);

    /// A packet comment became known. Comments of the current frame come before `after_frame`.
    fn comment(&mut self, frame: FrameId, text: &str);

    /// The sources are known, at the latest after the first frame, and again at the end.
    fn sources(&mut self, sources: &[Source]);

    /// There were exchanges and connections that the sink's methods do not tell of: these are their figures. At the end,
    /// before `finish`; from several targets several times.
    fn folded(&mut self, folded: &Folded);

    /// How the assertions came out: once, before `finish`, if there were any.
    fn assertions(&mut self, outcomes: &[Outcome]);

    /// The frame was analysed.
    ///
    /// # Errors
    /// If what there is to write could not be written.
    fn after_frame(&mut self) -> io::Result<()>;

    /// All was read: writes what is left.
    ///
    /// # Errors
    /// If it could not be written.
    fn finish(&mut self, capture: &Capture) -> io::Result<()>;
}

/// Packet comments by frame, as many as fit.
#[derive(Debug, Default)]
struct Comments {
    by_frame: HashMap<FrameId, Box<str>>,
    /// Frames in the order their comments came.
    order: Vec<FrameId>,
    bytes: usize,
    left_out: u64,
}

impl Comments {
    /// Comments and bytes of them that are kept: far more than a person writes.
    const MOST: usize = 10_000;
    const MOST_BYTES: usize = 4 << 20;

    fn add(&mut self, frame: FrameId, text: &str) {
        if self.order.len() >= Self::MOST || self.bytes + text.len() > Self::MOST_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += text.len();
        match self.by_frame.entry(frame) {
            hashbrown::hash_map::Entry::Occupied(mut entry) => {
                // A packet may carry several comments.
                let joined = format!("{}\n{text}", entry.get());
                entry.insert(joined.into_boxed_str());
            }
            hashbrown::hash_map::Entry::Vacant(entry) => {
                entry.insert(text.into());
                self.order.push(frame);
            }
        }
    }

    fn get(&self, frame: FrameId) -> Option<&str> {
        if self.order.is_empty() {
            return None;
        }
        self.by_frame.get(&frame).map(AsRef::as_ref)
    }

    fn iter(&self) -> impl Iterator<Item = (FrameId, &str)> {
        self.order
            .iter()
            .filter_map(|frame| Some((*frame, self.by_frame.get(frame)?.as_ref())))
    }
}
