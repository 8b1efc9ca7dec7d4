//! What is to be drawn.

use super::axis::Decades;
use super::bars::Bar;
use super::cells::Cell;
use super::class::Class;
use crate::exchange::Verdict;
use crate::names::Names;
use crate::piece::{Counted, Grouped, Spoken, Timeout, push, said};
use crate::report::sums;
use crate::statistics::{ProcessEnd, Timer};
use crate::time::{Span, Timestamp};

/// An exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Dot {
    pub(in super::super) at: Timestamp,
    /// `None` if it is not known.
    pub(in super::super) wait: Option<Span>,
    pub(in super::super) id: u64,
    pub(in super::super) verdict: Verdict,
}

/// The exchanges of a class: dots, or cells if there are many.
#[derive(Clone, Debug)]
pub(in super::super) struct Many {
    pub(in super::super) class: Class,
    pub(in super::super) count: u64,
    /// By time.
    pub(in super::super) dots: Vec<Dot>,
    /// By time.
    pub(in super::super) cells: Vec<Cell>,
}

/// What a mark on the time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum MarkKind {
    /// The process behind a port ended.
    End,
    /// The capturing kernel lost packets.
    Lost,
}

/// Something that happened to all, at a time or within a stretch of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Mark {
    pub(in super::super) kind: MarkKind,
    pub(in super::super) from: Timestamp,
    pub(in super::super) to: Timestamp,
    /// What happened. Names in it are harmless to a terminal.
    pub(in super::super) text: String,
}

/// The whole capture.
#[derive(Clone, Debug)]
pub(in super::super) struct Drawing {
    /// The first moment.
    pub(in super::super) from: Timestamp,
    /// The last.
    pub(in super::super) to: Timestamp,
    /// The decades of all waits.
    pub(in super::super) decades: Decades,
    /// The classes that occur, the most telling last.
    pub(in super::super) classes: Vec<Many>,
    /// Exchanges that were only counted, and have no place.
    pub(in super::super) not_drawn: u64,
    /// Connections, by time.
    pub(in super::super) bars: Vec<Bar>,
    /// Connections beyond these.
    pub(in super::super) bars_left_out: u64,
    /// Timers by their length, with what they are.
    pub(in super::super) lines: Vec<(Span, String)>,
    /// Ends of processes and lost packets, by time.
    pub(in super::super) marks: Vec<Mark>,
}

impl Drawing {
    /// The length of time that it shows.
    pub(in super::super) fn length(&self) -> Span {
        self.to - self.from
    }

    /// Since its begin; nothing is before that.
    pub(in super::super) fn since(&self, at: Timestamp) -> Span {
        (at - self.from).max(Span::ZERO)
    }

    /// Pushes what it shows, for whoever does not see it.
    pub(in super::super) fn push_words(&self, out: &mut String) {
        push!(out; "Each exchange by when it began, over ", Spoken(self.length()),
            ", and how long its caller waited, on a logarithmic axis. ");
        for (index, many) in self.classes.iter().enumerate() {
            push!(out; (index > 0).then_some(", "), Grouped(many.count), " ", many.class.words());
        }
        out.push('.');
        for (index, (_, text)) in self.lines.iter().enumerate() {
            out.push_str(if index == 0 { " Timers: " } else { "; " });
            out.push_str(text);
        }
        if !self.lines.is_empty() {
            out.push('.');
        }
        for mark in &self.marks {
            out.push(' ');
            out.push_str(&mark.text);
            out.push('.');
        }
    }
}

/// The line of a timer, and what it is.
pub(super) fn line_of(timer: &Timer, middle: Span) -> (Span, String) {
    let mut text = String::new();
    match timer.guess {
        Some(guess) => push!(&mut text; Timeout(guess), ", a timer"),
        None => {
            sums::ends(&mut text, timer.min, timer.max);
            text.push_str(", a timer");
        }
    }
    (timer.guess.unwrap_or(middle), text)
}

/// The end of a process.
pub(super) fn mark_of_end(end: &ProcessEnd, names: &Names) -> Mark {
    Mark {
        kind: MarkKind::End,
        from: end.at,
        to: end.last_refused.max(end.at),
        text: said!(
            names.brief(end.server),
            " ended: ",
            Counted(end.connections, "connection", "connections"),
            " closed at once, ",
            Grouped(end.refused),
            " refused after it"
        ),
    }
}
