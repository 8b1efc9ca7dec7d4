//! Axes: decades of waits, and round figures of time.

use crate::number;
use crate::time::Span;

/// The decades of microseconds that a drawing shows: from `10^first` to `10^last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Decades {
    pub(in super::super) first: u32,
    pub(in super::super) last: u32,
}

impl Decades {
    /// The longest wait that has a place: 1,000 s. What is longer stands there, too.
    const MAX: u32 = 9;

    /// The decades around waits in microseconds; two at least, so that little looks little.
    pub(super) fn around(least: u64, most: u64) -> Self {
        let first = least.max(1).ilog10().min(Self::MAX - 2);
        let most = most.clamp(1, 10_u64.pow(Self::MAX));
        let above = most.ilog10() + u32::from(!most.is_multiple_of(10_u64.pow(most.ilog10())));
        Self {
            first,
            last: above.clamp(first + 2, Self::MAX),
        }
    }

    /// How far up a wait lies, between 0 and 1.
    pub(in super::super) fn along(self, micros: i64) -> f64 {
        let micros = u32::try_from(micros.clamp(1, 1_000_000_000)).unwrap_or(1);
        let along = f64::from(micros).log10() - f64::from(self.first);
        (along / f64::from(self.last - self.first)).clamp(0.0, 1.0)
    }

    /// The ends of its decades, with how far up they lie and their names.
    pub(in super::super) fn names(self) -> impl Iterator<Item = (f64, &'static str)> {
        const NAMES: [&str; 10] = [
            "1 µs", "10 µs", "0.1 ms", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s", "1000 s",
        ];
        (self.first..=self.last).map(move |decade| {
            let along = f64::from(decade - self.first) / f64::from(self.last - self.first);
            (along, NAMES[decade as usize])
        })
    }
}

/// Round moments within a length of time, no more than `most`, with their names.
pub(in super::super) fn ticks(length: Span, most: i64) -> Vec<(Span, String)> {
    const SECOND: i64 = 1_000_000_000;
    /// What a minute and an hour are divided by.
    const LONG: [i64; 14] = [
        60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800,
        604_800,
    ];
    let nanos = length.as_nanos().max(1);
    let mut step = 1_000_i64;
    let mut factors = [2, 5, 10].iter().cycle();
    let mut base = step;
    while nanos / step > most && step < 60 * SECOND {
        let factor = *factors.next().unwrap_or(&10);
        step = base.saturating_mul(factor);
        if factor == 10 {
            base = step;
        }
    }
    if step > 20 * SECOND {
        let long = LONG.into_iter().map(|seconds| seconds * SECOND);
        let mut long = long.skip_while(|long| nanos / long > most);
        // Of years there are no round figures: days will do.
        step = long
            .next()
            .unwrap_or_else(|| (nanos / most / (86_400 * SECOND) + 1) * 86_400 * SECOND);
    }
    let moments = (0..=nanos / step).map(|count| Span::from_nanos(count.saturating_mul(step)));
    moments
        .map(|moment| (moment, moment_in_words(moment, step, nanos)))
        .collect()
}

/// A moment as it stands on an axis of this length, in nanoseconds.
fn moment_in_words(moment: Span, step: i64, length: i64) -> String {
    const SECOND: i64 = 1_000_000_000;
    let mut out = String::new();
    let nanos = moment.as_nanos();
    if nanos == 0 {
        out.push('0');
    } else if nanos == 60 * SECOND && step == nanos {
        // Else it would have a decimal among whole minutes.
        out.push_str("1 min");
    } else if step >= 60 * SECOND {
        number::spoken(&mut out, moment);
    } else if length < SECOND {
        number::decimal(&mut out, nanos / 1_000, 3, 0);
        out.push_str(" ms");
    } else {
        number::decimal(&mut out, nanos / 1_000_000, 3, 0);
        out.push_str(" s");
    }
    out
}
