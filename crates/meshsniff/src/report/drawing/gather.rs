//! What a drawing is made of, gathered while a capture is read.

use super::bars::Bars;
use super::cells::Cells;
use super::class::Class;
use super::model::{Dot, Drawing, Many, Mark, MarkKind, line_of, mark_of_end};
use crate::event::{Capture, Lost};
use crate::exchange::{Connection, Exchange, Verdict};
use crate::names::Names;
use crate::piece::{Counted, Timeout, said};
use crate::statistics::{Summary, TimerKind};
use crate::time::{Span, Timestamp};
use std::collections::BTreeMap;

/// Dots of a class: beyond them it becomes cells.
const MAX_DOTS: usize = 1_500;
/// Timeouts told apart.
const MAX_TIMEOUTS: usize = 64;
/// Lines of timers.
const MAX_LINES: usize = 4;
/// Stretches in which packets were lost. Beyond them the last one grows.
const MAX_LOST: usize = 24;
/// Ends of processes.
const MAX_ENDS: usize = 12;

/// Exchanges of a class.
#[derive(Debug, Default)]
struct Of {
    dots: Vec<Dot>,
    /// Whether there are so many that they are cells.
    many: bool,
    count: u64,
}

/// Dots, cells and bars so far.
#[derive(Debug, Default)]
pub(in super::super) struct Gathering {
    classes: [Of; Class::ALL.len()],
    cells: Cells,
    bars: Bars,
    /// How many were given up by each timeout, and whether it was announced.
    timeouts: BTreeMap<(Span, bool), u64>,
    lost: Vec<Lost>,
    /// The first and the last moment of what is drawn.
    ends: Option<(Timestamp, Timestamp)>,
    /// The shortest and the longest wait, in microseconds.
    waits: Option<(u64, u64)>,
}

impl Gathering {
    /// Takes an exchange in.
    pub(in super::super) fn exchange(&mut self, exchange: &Exchange) {
        let class = Class::of(exchange);
        let (at, wait) = (exchange.start(), wait(exchange));
        self.reach(at);
        if let Some(end) = exchange.decided_at() {
            self.reach(end);
        }
        if let Some(wait) = wait {
            let micros = crate::number::micros(wait).max(0).unsigned_abs();
            let (least, most) = self.waits.unwrap_or((micros, micros));
            self.waits = Some((least.min(micros), most.max(micros)));
        }
        self.bars.exchange(exchange, class);
        if exchange.verdict == Verdict::ClientGaveUp {
            let announced = exchange.expected_timeout.map(|span| (span, true));
            let guessed = exchange.timeout_guess.map(|span| (span, false));
            if let Some(timeout) = announced.or(guessed)
                && (self.timeouts.len() < MAX_TIMEOUTS || self.timeouts.contains_key(&timeout))
            {
                *self.timeouts.entry(timeout).or_default() += 1;
            }
        }
        let its = &mut self.classes[class as usize];
        its.count += 1;
        if !its.many && its.dots.len() < MAX_DOTS {
            its.dots.push(Dot {
                at,
                wait,
                id: exchange.id,
                verdict: exchange.verdict,
            });
            return;
        }
        its.many = true;
        for dot in std::mem::take(&mut its.dots) {
            self.cells.add(class, dot.at, dot.wait, dot.id);
        }
        self.cells.add(class, at, wait, exchange.id);
    }

    /// Takes a connection in, after its exchanges.
    pub(in super::super) fn connection(&mut self, connection: &Connection) {
        if !connection.is_udp() {
            self.reach(connection.first.time);
            if let Some(close) = connection.close {
                self.reach(close.mark.time);
            }
        }
        self.bars.connection(connection);
    }

    /// Takes in that packets were lost.
    pub(in super::super) fn lost(&mut self, lost: Lost) {
        if self.lost.len() < MAX_LOST {
            self.lost.push(lost);
        } else if let Some(last) = self.lost.last_mut() {
            last.until = last.until.max(lost.until);
            last.packets = last.packets.saturating_add(lost.packets);
        }
    }

    fn reach(&mut self, at: Timestamp) {
        let (first, last) = self.ends.unwrap_or((at, at));
        self.ends = Some((first.min(at), last.max(at)));
    }

    /// How many exchanges were taken in.
    pub(in super::super) fn count(&self) -> u64 {
        let counts = self.classes.iter().map(|of| of.count);
        counts.fold(0, u64::saturating_add)
    }

    /// The drawing, once everything was taken in; `None` if there is nothing to draw.
    pub(in super::super) fn drawing(
        self,
        summary: &Summary,
        capture: &Capture,
        names: &Names,
    ) -> Option<Drawing> {
        let (first, last) = self.ends?;
        let from = capture.totals.first.map_or(first, |start| start.min(first));
        let to = capture.totals.last.map_or(last, |end| end.max(last));
        let drawn = self.count();
        let counted: u64 = summary
            .verdicts
            .iter()
            .fold(0, |sum, n| sum.saturating_add(*n));
        let connections = capture.totals.connections.max(self.bars.seen);
        let mut classes = Vec::new();
        let cells = &self.cells;
        for (class, of) in Class::ALL.into_iter().zip(self.classes) {
            let Of {
                mut dots,
                many,
                count,
            } = of;
            if count == 0 {
                continue;
            }
            dots.sort_unstable_by_key(|dot| (dot.at, dot.id));
            classes.push(Many {
                class,
                count,
                dots,
                cells: if many { cells.of(class) } else { Vec::new() },
            });
        }
        let bars = self.bars.into_bars();
        let (least, most) = self.waits.unwrap_or((1_000, 1_000));
        Some(Drawing {
            from,
            to: to.max(from),
            decades: super::Decades::around(least, most),
            not_drawn: counted.saturating_sub(drawn),
            bars_left_out: connections.saturating_sub(bars.len() as u64),
            classes,
            bars,
            lines: lines(&self.timeouts, summary),
            marks: marks(summary, (&self.lost, capture.dropped), names, (from, to)),
        })
    }
}

/// What an exchange's caller waited.
fn wait(exchange: &Exchange) -> Option<Span> {
    let gaps = &exchange.gaps;
    let closes = gaps
        .request_to_client_close
        .or(gaps.request_to_server_close);
    gaps.wait.or(gaps.total).or(closes)
}

/// Timers as lines: first those that were announced, then those that recur, then those that only a
/// usual figure speaks for; of each those that ended most first.
fn lines(timeouts: &BTreeMap<(Span, bool), u64>, summary: &Summary) -> Vec<(Span, String)> {
    let mut counted: Vec<_> = timeouts.iter().collect();
    counted.sort_by_key(|(timeout, count)| (std::cmp::Reverse(**count), **timeout));
    let (announced, guessed): (Vec<_>, Vec<_>) = counted
        .into_iter()
        .map(|(timeout, _)| *timeout)
        .partition(|(_, announced)| *announced);
    let mut lines: Vec<(Span, String)> = Vec::new();
    for (span, _) in announced {
        add_line(&mut lines, span, said!(Timeout(span), ", announced"));
    }
    let mut timers = summary.timers();
    timers.sort_by_key(|timer| std::cmp::Reverse(timer.count));
    for timer in timers {
        // The others measure silences, which are no waits.
        if timer.kind == TimerKind::GiveUp {
            let middle = Span::from_nanos(timer.min.as_nanos().midpoint(timer.max.as_nanos()));
            let (at, text) = line_of(&timer, middle);
            add_line(&mut lines, at, text);
        }
    }
    for (span, _) in guessed {
        add_line(&mut lines, span, said!(Timeout(span), ", a guess"));
    }
    lines
}

/// Adds a line unless there is one that could not be told apart.
fn add_line(lines: &mut Vec<(Span, String)>, at: Span, text: String) {
    let near = |other: &Span| {
        let (less, more) = (at.min(*other).as_nanos(), at.max(*other).as_nanos());
        more - less <= more / 20
    };
    if lines.len() < MAX_LINES && !lines.iter().any(|(other, _)| near(other)) {
        lines.push((at, text));
    }
}

/// Ends of processes, and where packets were lost.
fn marks(
    summary: &Summary,
    (lost, dropped): (&[Lost], Option<u64>),
    names: &Names,
    (from, to): (Timestamp, Timestamp),
) -> Vec<Mark> {
    let ends = summary.process_ends().into_iter().take(MAX_ENDS);
    let mut marks: Vec<Mark> = ends.map(|end| mark_of_end(&end, names)).collect();
    let known: u64 = lost
        .iter()
        .fold(0, |sum, one| sum.saturating_add(one.packets));
    let rest = dropped.unwrap_or(0).saturating_sub(known);
    let anywhere = (rest > 0).then_some(Lost {
        since: from,
        until: to,
        packets: rest,
    });
    marks.extend(lost.iter().copied().chain(anywhere).map(|lost| Mark {
        kind: MarkKind::Lost,
        from: lost.since,
        to: lost.until,
        text: said!(Counted(lost.packets, "packet", "packets"), " lost"),
    }));
    marks.sort_by_key(|mark| (mark.from, mark.to));
    marks
}
