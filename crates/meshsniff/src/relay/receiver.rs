//! The receiving side of a relay.

use super::check::{self, Checked};
use super::{End, FORMAT, Item, MAX_LINE, Progress};
use crate::event::{Aggregate, Capture, Report, ReportEvent, Source};
use crate::exchange::Exchange;
use crate::packet::FrameId;
use crate::statistics::routes::Routes;
use crate::statistics::tally::{self, Tally};
use std::collections::VecDeque;
use std::io;

/// Slowest exchanges that a target may send.
const MAX_SLOWEST: usize = 1_000;
/// Bytes of the lines with the slowest exchanges, all of which are kept until the totals come.
const MAX_SLOW: usize = 16 << 20;
/// Bytes of all lines that are summed up until then. Those of an analyser whose tables are all full
/// have some 40 MiB.
const MAX_SUMS: usize = 128 << 20;
/// Bytes that the values of the assertions take.
const MAX_TALLIES: usize = 64 << 20;
/// Bytes shown of a parser's complaint, which may quote what came.
const MAX_COMPLAINT: usize = 200;
/// Bytes of an end's reason and of its sentence.
const MAX_END: usize = 1_024;

/// Why a relay cannot be read any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// A line longer than [`MAX_LINE`].
    #[error("the agent sent a line of more than 1 MiB, which is not a report")]
    TooLong,
    /// A text that is no line of a relay.
    #[error("the agent sent something that is not a report: {0}")]
    NoLine(String),
    /// A format of another version.
    #[error(
        "the agent writes its report in form {found}, this program reads form {FORMAT}: use an \
         image of this program's version"
    )]
    Format {
        /// The format's number.
        found: u32,
    },
    /// A value out of its range.
    #[error("the agent sent what cannot be: {0}")]
    Wrong(String),
    /// A line where none of its kind belongs.
    #[error("the agent sent {0} where none belongs")]
    OutOfTurn(&'static str),
    /// Sums that have no end.
    #[error(
        "the report of {target} grew beyond {mebibytes} MiB of figures, which no capture has: what \
         it told until then is kept; see whether --image names the agent that was meant"
    )]
    Grew {
        /// The target's name.
        target: String,
        /// How much is kept.
        mebibytes: usize,
    },
    /// The report could not be written.
    #[error("the report could not be written")]
    Write(#[from] io::Error),
}

/// The kind of a line.
#[derive(Clone, Debug)]
pub enum Received {
    /// An event that the report was told.
    Item,
    /// Progress, or a sign of life.
    Progress(Progress),
    /// Recently aggregated good exchanges. The sums at the end include them.
    Recent(Box<Routes>),
    /// The last line.
    End(End),
}

/// State that the relays of one report share.
///
/// ```text
/// let mut gathered = Gathered::new(names);
/// let mut receivers: Vec<_> = (0..).map(Receiver::new).take(names).collect();
/// receivers[i].line(line, &mut gathered, &mut report)?;    for every line of target i
/// receivers[i].close(&mut gathered);                       when no more come, or one was an error
/// gathered.finish(&mut report)?;
/// ```
#[derive(Debug)]
pub struct Gathered {
    /// A name for each target. An empty one leaves the name to the target.
    names: Vec<String>,
    sources: Vec<Source>,
    /// The number of targets there may be.
    room: usize,
    next_exchange: u64,
    capture: Capture,
}

impl Gathered {
    /// Creates the state for as many targets as there are `names`, 65,536 at most. An empty name
    /// leaves the name to the target.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let room = names.len();
        Self::with_room(names, room)
    }

    /// Creates the state with room for targets that come later: `room` in all, 65,536 at most.
    #[must_use]
    pub fn with_room(names: Vec<String>, room: usize) -> Self {
        let source = |name: &String| Source {
            kind: "live".to_owned(),
            name: name.clone(),
            interfaces: Vec::new(),
        };
        Self {
            sources: names.iter().map(source).collect(),
            room: room.max(names.len()),
            names,
            next_exchange: 0,
            capture: Capture::default(),
        }
    }

    /// Adds a target. Returns its number, or `None` if there is no room.
    pub fn add(&mut self, name: String) -> Option<u16> {
        let number = u16::try_from(self.names.len()).ok();
        let number = number.filter(|number| usize::from(*number) < self.room)?;
        self.sources.push(Source {
            kind: "live".to_owned(),
            name: name.clone(),
            interfaces: Vec::new(),
        });
        self.names.push(name);
        Some(number)
    }

    /// The totals of all targets whose relays have ended.
    #[must_use]
    pub const fn capture(&self) -> &Capture {
        &self.capture
    }

    /// Adds a sentence that makes the report incomplete.
    pub fn error(&mut self, sentence: String) {
        let capture = Capture {
            errors: vec![sentence],
            ..Capture::default()
        };
        self.capture.add(&capture);
    }

    /// Ends the report. Returns the totals.
    ///
    /// # Errors
    /// If the report cannot be written.
    pub fn finish(self, report: &mut dyn Report) -> io::Result<Capture> {
        report.tell(ReportEvent::Sources(&self.sources))?;
        report.tell(ReportEvent::Finish(&self.capture))?;
        Ok(self.capture)
    }

    fn source(&mut self, index: u16, mut sources: Vec<Source>) -> Checked {
        if sources.len() != 1 {
            return Err("a target that is not one");
        }
        let Some(mut source) = sources.pop() else {
            return Ok(());
        };
        check::source(&source)?;
        let index = usize::from(index);
        if let (Some(mine), Some(name)) = (self.sources.get_mut(index), self.names.get(index)) {
            if !name.is_empty() {
                source.name.clone_from(name);
            }
            *mine = source;
        }
        Ok(())
    }

    fn next_exchange(&mut self) -> u64 {
        let id = self.next_exchange;
        self.next_exchange += 1;
        id
    }

    /// A connection's number in the report: as at the target, unless there are several.
    fn connection(&self, index: u16, id: u64) -> u64 {
        // The number was checked: this is below 2^60.
        id * self.room.max(1) as u64 + u64::from(index)
    }

    /// The name of a target for a sentence.
    fn name(&self, index: u16) -> &str {
        let source = self.sources.get(usize::from(index));
        source.map_or("", |source| &source.name)
    }
}

/// The progress of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing came yet.
    New,
    /// Exchanges may come.
    Open,
    /// The sums came.
    Captured,
    /// The last line came.
    Ended,
    /// A line could not be read. No other is.
    Broken,
}

/// Reads the relay of one target.
#[derive(Debug)]
pub struct Receiver {
    source: u16,
    stage: Stage,
    aggregate: Aggregate,
    /// Bytes of the lines that it was made of, and of those with the slowest exchanges.
    sums: usize,
    slow: usize,
    /// Numbers of the latest exchanges: there, and here.
    numbers: VecDeque<(u64, u64)>,
}

/// Exchanges whose numbers are remembered: another may name them.
const MAX_NUMBERS: usize = 4_096;

impl Receiver {
    /// Creates the receiver of target `source`, a number of [`Gathered`] from 0.
    #[must_use]
    pub fn new(source: u16) -> Self {
        Self {
            source,
            stage: Stage::New,
            aggregate: Aggregate::default(),
            sums: 0,
            slow: 0,
            numbers: VecDeque::new(),
        }
    }

    /// Gives an exchange the number that it has here, and those that it names theirs. One that was
    /// only counted has none.
    fn renumber(&mut self, exchange: &mut Exchange, id: u64) {
        let numbers = &self.numbers;
        exchange.relations.renumber(|named| {
            let known = numbers.iter().rev().find(|(there, _)| *there == named);
            known.map(|(_, here)| *here)
        });
        if self.numbers.len() >= MAX_NUMBERS {
            self.numbers.pop_front();
        }
        self.numbers.push_back((exchange.id, id));
        exchange.id = id;
    }

    /// Takes a line without its end, and passes its event on to `report`.
    ///
    /// # Errors
    /// If it is no valid line, or the report cannot be written. No further line is read then.
    pub fn line(
        &mut self,
        line: &[u8],
        gathered: &mut Gathered,
        report: &mut dyn Report,
    ) -> Result<Received, RelayError> {
        if self.stage == Stage::Broken {
            return Err(RelayError::OutOfTurn("a line"));
        }
        let taken = self.take(line, gathered, report);
        if taken.is_err() {
            self.stage = Stage::Broken;
        }
        taken
    }

    /// Whether the last line came: the relay is whole.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Whether anything came.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.stage != Stage::New
    }

    /// Ends the relay. If its last line is missing, the report is incomplete and says so.
    pub fn close(self, gathered: &mut Gathered) {
        let told = match self.stage {
            Stage::Ended => return,
            Stage::New => "nothing came of it",
            Stage::Open => {
                "what it told until then is reported, but not the good exchanges that it only \
                 counts"
            }
            Stage::Captured | Stage::Broken => "what it told until then is reported",
        };
        let sentence = format!(
            "the report of {} was cut off: {told}",
            gathered.name(self.source)
        );
        gathered.error(sentence);
    }

    fn take(
        &mut self,
        line: &[u8],
        gathered: &mut Gathered,
        report: &mut dyn Report,
    ) -> Result<Received, RelayError> {
        if line.len() > MAX_LINE {
            return Err(RelayError::TooLong);
        }
        let item: Item<'_> = serde_json::from_slice(line).map_err(|error| no_line(&error))?;
        match (self.stage, &item) {
            (Stage::New, Item::Format(FORMAT)) => {
                self.stage = Stage::Open;
                return Ok(Received::Item);
            }
            (Stage::New, Item::Format(found)) => return Err(RelayError::Format { found: *found }),
            (Stage::New, _) => return Err(RelayError::OutOfTurn("something before its form")),
            (_, Item::Format(_)) => return Err(RelayError::OutOfTurn("its form")),
            (Stage::Ended, _) => return Err(RelayError::OutOfTurn("something after its end")),
            (Stage::Captured, Item::Progress(_) | Item::End(_)) => {}
            (Stage::Captured, _) => return Err(RelayError::OutOfTurn("something after its sums")),
            (_, Item::End(_)) => return Err(RelayError::OutOfTurn("its end before its sums")),
            _ => {}
        }
        match item {
            Item::Summary(_) | Item::Route(_) | Item::Tally(_) | Item::Ranked(_) => {
                self.sums += line.len();
                self.ensure_room(MAX_SUMS, self.sums, gathered)?;
            }
            Item::Slow(_) => {
                self.slow += line.len();
                self.ensure_room(MAX_SLOW, self.slow, gathered)?;
            }
            _ => {}
        }
        self.item(item, gathered, report)
    }

    fn ensure_room(&self, most: usize, bytes: usize, of: &Gathered) -> Result<(), RelayError> {
        if bytes <= most {
            return Ok(());
        }
        Err(RelayError::Grew {
            target: of.name(self.source).to_owned(),
            mebibytes: most >> 20,
        })
    }

    fn item(
        &mut self,
        item: Item<'_>,
        gathered: &mut Gathered,
        report: &mut dyn Report,
    ) -> Result<Received, RelayError> {
        let wrong = |what: &str| RelayError::Wrong(what.to_owned());
        match item {
            Item::Format(_) => {}
            Item::Sources(sources) => {
                let named = gathered.source(self.source, sources.into_owned());
                named.map_err(wrong)?;
                report.tell(ReportEvent::Sources(&gathered.sources))?;
            }
            Item::Begin(frame, time) => {
                check::frame(frame).and(check::time(time)).map_err(wrong)?;
                report.tell(ReportEvent::Begin(self.frame(frame), time))?;
            }
            Item::Comment(frame, text) => {
                let checked = check::frame(frame).and(check::comment(&text));
                checked.map_err(wrong)?;
                report.tell(ReportEvent::Comment(self.frame(frame), &text))?;
            }
            Item::Exchange(exchange) => {
                let mut exchange = exchange.into_owned();
                check::exchange(&mut exchange, self.source).map_err(wrong)?;
                self.renumber(&mut exchange, gathered.next_exchange());
                exchange.connection = gathered.connection(self.source, exchange.connection);
                report.tell(ReportEvent::Exchange(&exchange))?;
            }
            Item::Connection(connection) => {
                let mut connection = connection.into_owned();
                check::connection(&mut connection, self.source).map_err(wrong)?;
                connection.id = gathered.connection(self.source, connection.id);
                report.tell(ReportEvent::Connection(&connection))?;
            }
            Item::After => report.tell(ReportEvent::AfterFrame)?,
            Item::Progress(progress) => return Ok(Received::Progress(progress)),
            Item::Recent(row) => {
                let mut recent = Routes::default();
                if !recent.take_row(row) {
                    return Err(wrong("a route that cannot be"));
                }
                return Ok(Received::Recent(Box::new(recent)));
            }
            Item::Summary(part) => {
                let taken = self.aggregate.summary.take_part(part);
                taken.map_err(|error| RelayError::Wrong(error.to_string()))?;
            }
            Item::Route(row) => {
                if !self.aggregate.routes.take_row(row) {
                    return Err(wrong("a route that cannot be"));
                }
            }
            Item::Slow(exchange) => {
                let mut exchange = exchange.into_owned();
                check::exchange(&mut exchange, self.source).map_err(wrong)?;
                if self.aggregate.slowest.len() >= MAX_SLOWEST {
                    return Err(wrong("too many slowest exchanges"));
                }
                self.renumber(&mut exchange, gathered.next_exchange());
                exchange.connection = gathered.connection(self.source, exchange.connection);
                self.aggregate.slowest.push(exchange);
            }
            Item::Ranked(ranked) => {
                check::count(ranked).map_err(wrong)?;
                self.aggregate.ranked = ranked;
            }
            Item::Tally(part) => {
                let taken = tally::take_part(&mut self.aggregate.tallies, part);
                taken.map_err(|error| RelayError::Wrong(error.to_string()))?;
                let tallies = self.aggregate.tallies.iter().map(Tally::weight).sum();
                self.ensure_room(MAX_TALLIES, tallies, gathered)?;
            }
            Item::Capture(capture) => {
                check::capture(&capture).map_err(wrong)?;
                report.tell(ReportEvent::Aggregate(&std::mem::take(&mut self.aggregate)))?;
                gathered.capture.add(&capture);
                self.stage = Stage::Captured;
            }
            Item::End(end) => {
                if end.reason.len() > MAX_END || end.sentence.len() > MAX_END {
                    return Err(wrong("an end that is too long"));
                }
                self.stage = Stage::Ended;
                return Ok(Received::End(end.into_owned()));
            }
        }
        Ok(Received::Item)
    }

    const fn frame(&self, frame: FrameId) -> FrameId {
        FrameId::new(self.source, frame.number())
    }
}

/// Makes a parser's complaint, which may quote what came, fit to be shown.
fn no_line(error: &serde_json::Error) -> RelayError {
    let mut complaint = String::new();
    crate::escape::shown(&mut complaint, &error.to_string(), MAX_COMPLAINT);
    RelayError::NoLine(complaint)
}
