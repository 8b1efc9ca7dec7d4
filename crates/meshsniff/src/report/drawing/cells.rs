//! Many exchanges as cells of time and wait.

use super::class::Class;
use crate::number::micros;
use crate::time::{Span, Timestamp};
use hashbrown::HashMap;

/// Most cells. There are 91 rows and five classes, so that eight columns fit at the very least.
const MAX_CELLS: usize = 6_000;
/// Rows of a decade.
pub(in super::super) const PER_DECADE: u8 = 10;
/// The last row: 1,000 s and longer.
const LAST_ROW: u8 = 9 * PER_DECADE;
/// The width of a column at first: 2^20 ns, about a millisecond.
const FIRST_SHIFT: u32 = 20;
const LAST_SHIFT: u32 = 62;

/// Exchanges of one class that began at about the same time and took about as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Cell {
    /// Where its column begins.
    pub(in super::super) from: Timestamp,
    /// The length of time of its column.
    pub(in super::super) width: Span,
    /// Its row: tenths of decades above 1 µs; `None` of exchanges whose wait is not known.
    pub(in super::super) row: Option<u8>,
    /// How many there are.
    pub(in super::super) count: u64,
    /// The number of the slowest.
    pub(in super::super) slowest: u64,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    count: u64,
    slowest: (Option<Span>, u64),
}

/// The cells so far.
#[derive(Debug)]
pub(super) struct Cells {
    by_place: HashMap<(i64, Option<u8>, Class), Counted>,
    /// Columns are `2^shift` ns wide.
    shift: u32,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            by_place: HashMap::new(),
            shift: FIRST_SHIFT,
        }
    }
}

impl Cells {
    pub(super) fn add(&mut self, class: Class, at: Timestamp, wait: Option<Span>, id: u64) {
        let one = Counted {
            count: 1,
            slowest: (wait, id),
        };
        let place = (at.as_nanos() >> self.shift, wait.map(row), class);
        merge(&mut self.by_place, place, one);
        while self.by_place.len() > MAX_CELLS && self.shift < LAST_SHIFT {
            self.widen();
        }
    }

    /// Makes one of every two columns.
    fn widen(&mut self) {
        self.shift += 1;
        for ((column, row, class), one) in std::mem::take(&mut self.by_place) {
            merge(&mut self.by_place, (column >> 1, row, class), one);
        }
    }

    /// The cells of a class, by time and wait.
    pub(super) fn of(&self, class: Class) -> Vec<Cell> {
        let width = Span::from_nanos(1 << self.shift);
        let its = self.by_place.iter().filter(|((.., its), _)| *its == class);
        let mut cells: Vec<Cell> = its
            .map(|(&(column, row, _), counted)| Cell {
                from: Timestamp::from_nanos(column << self.shift),
                width,
                row,
                count: counted.count,
                slowest: counted.slowest.1,
            })
            .collect();
        cells.sort_unstable_by_key(|cell| (cell.from, cell.row));
        cells
    }
}

fn merge(
    cells: &mut HashMap<(i64, Option<u8>, Class), Counted>,
    place: (i64, Option<u8>, Class),
    one: Counted,
) {
    let cell = cells.entry(place).or_insert(Counted { count: 0, ..one });
    cell.count = cell.count.saturating_add(one.count);
    // Of several that took as long, the first by its number.
    let (wait, id) = one.slowest;
    if (wait, std::cmp::Reverse(id)) > (cell.slowest.0, std::cmp::Reverse(cell.slowest.1)) {
        cell.slowest = one.slowest;
    }
}

/// The row of a wait.
pub(super) fn row(wait: Span) -> u8 {
    let micros = micros(wait).clamp(1, 1_000_000_000);
    let micros = u32::try_from(micros).unwrap_or(u32::MAX);
    // A little more, so that the begin of a decade is in it however it is rounded.
    let tenths = f64::from(micros).log10() * f64::from(PER_DECADE) + 1e-9;
    (0..LAST_ROW)
        .rev()
        .find(|&row| f64::from(row) <= tenths)
        .map_or(0, |row| {
            if tenths >= f64::from(LAST_ROW) {
                LAST_ROW
            } else {
                row
            }
        })
}
