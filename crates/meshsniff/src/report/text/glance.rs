//! The whole capture as a small drawing for a terminal.
//!
//! Good exchanges are dots of braille, eight in a character. What did not go well has a sign of its
//! own, so that it is seen without colour. It stands for its character if that is few of many good
//! ones or more: else a single failure in each would hide how the good ones went.

use super::paint::{Ink, Paint, blanks, columns, right, wrapped};
use crate::number::micros;
use crate::piece::{Counted, Grouped, push, said};
use crate::report::drawing::{Class, Drawing, MarkKind, PER_DECADE, ticks};
use crate::time::{Span, Timestamp};

/// With fewer exchanges nothing is learnt from a drawing.
const MIN_EXCHANGES: u64 = 20;
/// Columns, whatever the terminal has.
const MAX_WIDTH: usize = 80;
/// Columns before the axis.
const LEFT: usize = 9;
/// Rows.
const MIN_ROWS: usize = 6;
const MAX_ROWS: usize = 8;
/// Columns of a label on the axis of time.
const TICK: usize = 12;
/// So many good exchanges in a character go before one that is not.
const FEW_OF: u64 = 20;
/// The dots of a character of braille, by column and row.
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
const BRAILLE: u32 = 0x2800;

/// A character of the drawing.
#[derive(Clone, Copy, Debug)]
struct Place {
    sign: char,
    ink: Option<Ink>,
    /// Exchanges in it, by class.
    counts: [u64; Class::ALL.len()],
    dots: u32,
}

impl Place {
    const fn is_free(&self) -> bool {
        self.dots == 0
    }

    /// Takes exchanges in, and shows them.
    fn put(&mut self, class: Class, count: u64, dot: u32) {
        self.dots |= dot;
        let here = &mut self.counts[class as usize];
        *here = here.saturating_add(count);
        let good = self.counts[Class::Good as usize];
        let others = Class::ALL.into_iter().rev();
        let mut others = others.filter(|class| *class != Class::Good);
        let counts = self.counts;
        let bad = others.find(|class| {
            let count = counts[*class as usize];
            count > 0 && count.saturating_mul(FEW_OF) >= good
        });
        let shown = bad.unwrap_or(Class::Good);
        self.ink = Some(ink(shown));
        self.sign = match shown {
            Class::Good => char::from_u32(BRAILLE + self.dots).unwrap_or('.'),
            class => sign(class),
        };
    }
}

const EMPTY: Place = Place {
    sign: ' ',
    ink: None,
    counts: [0; Class::ALL.len()],
    dots: 0,
};

/// Pushes the drawing, if there is enough of it.
pub(super) fn push(out: &mut String, paint: Paint, width: usize, drawing: &Drawing) {
    let count = drawing.classes.iter().map(|many| many.count);
    if count.fold(0, u64::saturating_add) < MIN_EXCHANGES {
        return;
    }
    let width = width.min(MAX_WIDTH);
    let decades = (drawing.decades.last - drawing.decades.first) as usize;
    let field = Field {
        drawing,
        columns: width.saturating_sub(LEFT + 2).max(TICK),
        rows: (decades * 2).clamp(MIN_ROWS, MAX_ROWS),
    };
    out.push('\n');
    let rows = field.rows();
    let mut names: Vec<String> = vec![String::new(); field.rows];
    for (along, name) in drawing.decades.names() {
        // Of two that share a line the upper one is told.
        names[field.row(along)] = name.to_owned();
    }
    for (places, name) in rows.iter().zip(&names) {
        line(out, paint, name, '│', places);
    }
    let unknown = field.unknown();
    if let Some(places) = unknown {
        line(out, paint, "?", '│', &places);
    }
    field.axis(out, paint);
    legend(out, paint, width, drawing);
}

fn line(out: &mut String, paint: Paint, name: &str, edge: char, places: &[Place]) {
    let mut head = String::new();
    right(&mut head, name, LEFT);
    head.push(' ');
    head.push(edge);
    paint.push(out, Ink::Dim, &head);
    // What has the same colour is painted together, and blanks at the end are left out.
    let used = places.iter().rposition(|place| place.sign != ' ');
    let places = &places[..used.map_or(0, |last| last + 1)];
    for run in places.chunk_by(|one, other| one.ink == other.ink) {
        let text: String = run.iter().map(|place| place.sign).collect();
        match run[0].ink {
            Some(ink) => paint.push(out, ink, &text),
            None => out.push_str(&text),
        }
    }
    out.push('\n');
}

const fn sign(class: Class) -> char {
    match class {
        Class::Good => '⣿',
        Class::Unknown => '○',
        Class::Answered => '■',
        Class::Client => '×',
        Class::Server => '▲',
    }
}

const fn ink(class: Class) -> Ink {
    match class {
        Class::Good => Ink::Good,
        Class::Unknown => Ink::Dim,
        Class::Answered => Ink::Doubt,
        Class::Client | Class::Server => Ink::Bad,
    }
}

struct Field<'a> {
    drawing: &'a Drawing,
    columns: usize,
    rows: usize,
}

impl Field<'_> {
    /// How many halves of columns from the left a moment lies.
    fn half(&self, at: Timestamp) -> usize {
        let nanos = i128::from(self.drawing.since(at).as_nanos());
        let length = i128::from(self.drawing.length().as_nanos().max(1));
        let half = nanos * (2 * self.columns as i128) / length;
        usize::try_from(half).unwrap_or(0).min(2 * self.columns - 1)
    }

    /// How many quarters of rows from the top a wait lies.
    fn quarter(&self, along: f64) -> usize {
        let most = 4 * self.rows - 1;
        ((1.0 - along) * most as f64).round() as usize
    }

    fn row(&self, along: f64) -> usize {
        self.quarter(along) / 4
    }

    /// Places of everything whose wait is known.
    fn rows(&self) -> Vec<Vec<Place>> {
        let mut rows = vec![vec![EMPTY; self.columns]; self.rows];
        self.each(|(class, count), (from, to), wait| {
            let Some(wait) = wait else { return };
            let quarter = self.quarter(self.drawing.decades.along(wait));
            for half in from..=to {
                let dot = DOTS[half % 2][quarter % 4];
                rows[quarter / 4][half / 2].put(class, count, dot);
            }
        });
        for (span, text) in &self.drawing.lines {
            let along = self.drawing.decades.along(micros(*span));
            timer(&mut rows[self.row(along)], text);
        }
        let ends = self.drawing.marks.iter();
        for mark in ends.filter(|mark| mark.kind == MarkKind::End) {
            let column = self.half(mark.from) / 2;
            for row in &mut rows {
                let place = &mut row[column];
                if place.is_free() {
                    (place.sign, place.ink) = ('┊', Some(Ink::Bad));
                }
            }
        }
        rows
    }

    /// Places of those whose wait is not known.
    fn unknown(&self) -> Option<Vec<Place>> {
        let mut places = vec![EMPTY; self.columns];
        self.each(|(class, count), (from, to), wait| {
            if wait.is_none() {
                for half in from..=to {
                    places[half / 2].put(class, count, DOTS[half % 2][1]);
                }
            }
        });
        places
            .iter()
            .any(|place| !place.is_free())
            .then_some(places)
    }

    /// Calls `each` with every dot and cell: class and count, halves of columns, and wait in
    /// microseconds.
    fn each(&self, mut each: impl FnMut((Class, u64), (usize, usize), Option<i64>)) {
        for many in &self.drawing.classes {
            for dot in &many.dots {
                let half = self.half(dot.at);
                each((many.class, 1), (half, half), dot.wait.map(micros));
            }
            for cell in &many.cells {
                // The end of a cell is the begin of the next.
                let last = cell.from.plus(Span::from_nanos(cell.width.as_nanos() - 1));
                let middle = cell
                    .row
                    .map(|row| 10_f64.powf((f64::from(row) + 0.5) / f64::from(PER_DECADE)) as i64);
                let (from, to) = (self.half(cell.from), self.half(last));
                // Of one that is wider than half a column each part has its share.
                let share = (cell.count / (to - from + 1) as u64).max(1);
                each((many.class, share), (from, to), middle);
            }
        }
    }

    /// Pushes the axis of time, with where packets were lost, and round moments below.
    fn axis(&self, out: &mut String, paint: Paint) {
        let mut axis = vec!['─'; self.columns];
        let mut names = String::new();
        let most = i64::try_from(self.columns / TICK).unwrap_or(1);
        for (moment, name) in ticks(self.drawing.length(), most) {
            let column = self.half(self.drawing.from.plus(moment)) / 2;
            axis[column] = '┴';
            let from = columns(&names);
            if column >= from && column + columns(&name) <= self.columns + 1 {
                blanks(&mut names, column - from);
                names.push_str(&name);
                names.push(' ');
            }
        }
        let lost = self.drawing.marks.iter();
        for mark in lost.filter(|mark| mark.kind == MarkKind::Lost) {
            let (from, to) = (self.half(mark.from) / 2, self.half(mark.to) / 2);
            axis[from..=to].fill('░');
        }
        let mut line = String::new();
        blanks(&mut line, LEFT + 1);
        line.push('└');
        line.extend(axis);
        paint.push(out, Ink::Dim, &line);
        out.push('\n');
        blanks(out, LEFT + 2);
        paint.push(out, Ink::Dim, names.trim_end());
        out.push('\n');
    }
}

/// Draws the line of a timer where nothing else is, and its words at the end, or at the begin, if there is
/// room.
fn timer(row: &mut [Place], text: &str) {
    for place in row.iter_mut().filter(|place| place.is_free()) {
        (place.sign, place.ink) = ('╌', Some(Ink::Dim));
    }
    let words: Vec<char> = format!(" {text} ").chars().collect();
    let Some(end) = row.len().checked_sub(words.len()) else {
        return;
    };
    let is_free = |from: &usize| {
        let places = &row[*from..*from + words.len()];
        places.iter().all(|place| place.is_free())
    };
    if let Some(from) = [end, 0].into_iter().find(is_free) {
        for (place, c) in row[from..].iter_mut().zip(words) {
            place.sign = c;
        }
    }
}

/// Pushes what the signs mean.
fn legend(out: &mut String, paint: Paint, width: usize, drawing: &Drawing) {
    let mut used = 2;
    blanks(out, 2);
    for many in &drawing.classes {
        let words = said!(" ", Grouped(many.count), " ", many.class.words());
        let length = 1 + columns(&words) + 3;
        if used + length > width + 3 && used > 2 {
            out.push('\n');
            blanks(out, 2);
            used = 2;
        }
        if used > 2 {
            blanks(out, 3);
        }
        used += length;
        paint.push(
            out,
            ink(many.class),
            sign(many.class).encode_utf8(&mut [0; 4]),
        );
        out.push_str(&words);
    }
    out.push('\n');
    for mark in &drawing.marks {
        let sign = match mark.kind {
            MarkKind::End => "┊ ",
            MarkKind::Lost => "░ ",
        };
        wrapped(out, &[sign, mark.text.as_str()].concat(), 2, width);
    }
    if drawing.not_drawn > 0 {
        let mut text = said!("not drawn: ");
        push!(&mut text; Counted(drawing.not_drawn, "exchange", "exchanges"),
            " that the target only counted");
        wrapped(out, &text, 2, width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Capture;
    use crate::exchange::Exchange;
    use crate::names::Names;
    use crate::report::drawing::Gathering;
    use crate::statistics::Summary;
    use crate::testing::fixtures;

    fn drawn(exchanges: &[Exchange], colour: bool, width: usize) -> String {
        let mut gathering = Gathering::default();
        let mut summary = Summary::new(false);
        for exchange in exchanges {
            summary.exchange(exchange);
            gathering.exchange(exchange);
        }
        let drawing = gathering.drawing(&summary, &Capture::default(), &Names::default());
        let mut out = String::new();
        push(&mut out, Paint { colour }, width, &drawing.unwrap());
        out
    }

    /// So many good exchanges, 10 ms from each other, each a little slower.
    fn good(count: i64) -> Vec<Exchange> {
        let exchanges = (0..count).map(|n| {
            let mut exchange = fixtures::ok();
            exchange.events.request_start = fixtures::mark(1, 10_000 * n);
            exchange.gaps.wait = Some(Span::from_micros(200 + 100 * n));
            exchange
        });
        exchanges.collect()
    }

    #[test]
    fn of_a_few_nothing_is_drawn() {
        assert_eq!(drawn(&good(19), false, 80), "");
        assert!(drawn(&good(20), false, 80).contains("⣿ 20 went well"));
    }

    #[test]
    fn what_went_wrong_has_a_sign_of_its_own() {
        let mut exchanges = good(100);
        for (n, mut exchange) in (0..).zip(fixtures::every_verdict()) {
            exchange.events.request_start = fixtures::mark(1, 5_000_000 * n);
            exchanges.push(exchange);
        }
        let text = drawn(&exchanges, false, 80);
        for sign in ["×", "▲", "■", "○"] {
            // In the drawing, and in the legend.
            assert!(text.matches(sign).count() >= 2, "{sign}\n{text}");
        }
        assert!(text.contains("500 ms, a guess"), "{text}");
        assert!(text.lines().count() <= 16, "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn one_failure_does_not_hide_many_good_ones() {
        let one = |count: i64| {
            let mut exchanges = good(count);
            for exchange in &mut exchanges {
                exchange.events.request_start = fixtures::mark(1, 0);
                exchange.gaps.wait = Some(Span::from_millis(1));
            }
            exchanges.push(Exchange {
                status: Some(503),
                ..exchanges[0].clone()
            });
            let text = drawn(&exchanges, false, 80);
            text.matches('■').count()
        };
        // In the legend, and in the drawing.
        assert_eq!((one(20), one(21), one(5_000)), (2, 1, 1));
    }

    #[test]
    fn it_fits_and_colour_is_only_paint() {
        let mut exchanges = good(3_000);
        exchanges.extend(fixtures::every_verdict());
        for width in [60, 80, 140] {
            let text = drawn(&exchanges, false, width);
            for line in text.lines() {
                assert!(columns(line) <= width.min(MAX_WIDTH), "{width}: {line}");
            }
            let painted = drawn(&exchanges, true, width);
            assert!(painted.contains('\u{1b}'));
            let mut stripped = String::new();
            for (index, part) in painted.split('\u{1b}').enumerate() {
                let rest = part.split_once('m').map_or(part, |(_, rest)| rest);
                stripped.push_str(if index == 0 { part } else { rest });
            }
            assert_eq!(stripped, text);
        }
    }
}
