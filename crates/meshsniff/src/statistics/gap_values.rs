//! The values of one gap, for its percentiles, in bounded memory.

use super::buckets::{Buckets, rank};
use crate::time::Span;

/// A percentile of a gap, or one of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Percentile {
    Min,
    Nearest(u64),
    Max,
}

impl Percentile {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "min" => Some(Self::Min),
            "max" => Some(Self::Max),
            _ => {
                let percent = name.strip_prefix('p')?.parse().ok()?;
                (1..=99)
                    .contains(&percent)
                    .then_some(Self::Nearest(percent))
            }
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Min => "min".to_owned(),
            Self::Nearest(percent) => format!("p{percent}"),
            Self::Max => "max".to_owned(),
        }
    }
}

/// Count, ends and percentiles (nearest rank) of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GapStats {
    /// The number of exchanges with this gap.
    pub count: u64,
    /// The shortest gap.
    pub min: Span,
    /// The median.
    pub p50: Span,
    /// The 90th percentile.
    pub p90: Span,
    /// The 99th percentile.
    pub p99: Span,
    /// The longest gap.
    pub max: Span,
}

/// Values in buckets that keep three significant digits.
pub(crate) type GapValues = Values<11>;

/// Every value while they are few, then counts in buckets of this many bits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values<const BITS: u32> {
    pub(crate) few: Vec<i64>,
    pub(crate) many: Option<Box<SignedBuckets<BITS>>>,
    pub(crate) count: u64,
    pub(crate) min: i64,
    pub(crate) max: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct SignedBuckets<const BITS: u32> {
    /// Values below zero, by magnitude: an early answer has such a gap.
    pub(crate) below: Buckets<BITS>,
    pub(crate) rest: Buckets<BITS>,
}

impl<const BITS: u32> Values<BITS> {
    /// Bytes that the values take, about.
    pub(crate) fn weight(&self) -> usize {
        let many = self.many.as_deref();
        let many = many.map_or(0, |many| many.below.weight() + many.rest.weight());
        size_of::<Self>() + many
    }

    pub(crate) const FEW: usize = 4_096;

    pub(crate) fn add(&mut self, nanos: i64) {
        if self.count == 0 {
            (self.min, self.max) = (nanos, nanos);
        } else {
            self.min = self.min.min(nanos);
            self.max = self.max.max(nanos);
        }
        self.count += 1;
        if let Some(many) = &mut self.many {
            many.add(nanos);
        } else if self.few.len() < Self::FEW {
            self.few.push(nanos);
        } else {
            self.many().add(nanos);
        }
    }

    /// The buckets, which take over the single values.
    fn many(&mut self) -> &mut SignedBuckets<BITS> {
        let many = self.many.get_or_insert_default();
        for value in self.few.drain(..) {
            many.add(value);
        }
        self.few.shrink_to_fit();
        many
    }

    /// Adds the values of another. The result is the same as if all had been added here.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            (self.min, self.max) = (other.min, other.max);
        } else {
            self.min = self.min.min(other.min);
            self.max = self.max.max(other.max);
        }
        self.count = self.count.saturating_add(other.count);
        let few = self.many.is_none() && other.many.is_none();
        if few && self.few.len() + other.few.len() <= Self::FEW {
            self.few.extend(&other.few);
            return;
        }
        let many = self.many();
        for &value in &other.few {
            many.add(value);
        }
        if let Some(more) = &other.many {
            many.below.merge(&more.below);
            many.rest.merge(&more.rest);
        }
    }

    pub(crate) fn stats(&self) -> Option<GapStats> {
        if self.count == 0 {
            return None;
        }
        let sorted = self.sorted();
        Some(GapStats {
            count: self.count,
            min: Span::from_nanos(self.min),
            p50: self.at(50, &sorted),
            p90: self.at(90, &sorted),
            p99: self.at(99, &sorted),
            max: Span::from_nanos(self.max),
        })
    }

    /// The `percent`th percentile (nearest rank).
    pub(crate) fn percentile(&self, percent: u64) -> Option<Span> {
        (self.count > 0).then(|| self.at(percent, &self.sorted()))
    }

    /// Values and how often they occur, the lowest first. `coarse`: the numbers of their buckets
    /// instead, which keep the order and can be compared with those of values that are in buckets
    /// already.
    pub(crate) fn groups(&self, coarse: bool) -> Vec<(i64, u64)> {
        if let Some(many) = &self.many {
            return many.groups();
        }
        let sorted = self.sorted();
        if coarse {
            let mut many = SignedBuckets::<BITS>::default();
            for value in sorted {
                many.add(value);
            }
            return many.groups();
        }
        let same = sorted.chunk_by(|one, next| one == next);
        same.map(|same| (same[0], same.len() as u64)).collect()
    }

    fn sorted(&self) -> Vec<i64> {
        let mut sorted = self.few.clone();
        sorted.sort_unstable();
        sorted
    }

    fn at(&self, percent: u64, sorted: &[i64]) -> Span {
        let rank = rank(percent, self.count);
        let nanos = match &self.many {
            None => usize::try_from(rank - 1)
                .ok()
                .and_then(|index| sorted.get(index).copied())
                .unwrap_or(self.max),
            Some(many) => many.at_rank(rank),
        };
        Span::from_nanos(nanos.clamp(self.min, self.max))
    }
}

impl<const BITS: u32> SignedBuckets<BITS> {
    pub(crate) fn add(&mut self, nanos: i64) {
        let buckets = if nanos < 0 {
            &mut self.below
        } else {
            &mut self.rest
        };
        buckets.add(nanos.unsigned_abs());
    }

    /// Numbers of buckets with their counts. Numbers of values below zero are below zero.
    fn groups(&self) -> Vec<(i64, u64)> {
        let below = self.below.pairs();
        let mut groups: Vec<_> = below
            .map(|(index, count)| (-1 - i64::from(index), count))
            .collect();
        groups.reverse();
        groups.extend(
            self.rest
                .pairs()
                .map(|(index, count)| (i64::from(index), count)),
        );
        groups
    }

    fn at_rank(&self, rank: u64) -> i64 {
        let below = self.below.total();
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        if rank <= below {
            // The lowest value is the one with the largest magnitude.
            -signed(self.below.at_rank(below - rank + 1))
        } else {
            signed(self.rest.at_rank(rank - below))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut values = GapValues::default();
        for value in [30, 10, 20, 40] {
            values.add(value);
        }
        let stats = values.stats().unwrap();
        assert_eq!(stats.p50.as_nanos(), 20);
        assert_eq!(stats.p90.as_nanos(), 40);
        assert_eq!(
            (stats.min.as_nanos(), stats.max.as_nanos(), stats.count),
            (10, 40, 4)
        );
        let mut one = GapValues::default();
        one.add(-7);
        let stats = one.stats().unwrap();
        assert_eq!((stats.p50.as_nanos(), stats.p99.as_nanos()), (-7, -7));
    }

    #[test]
    fn many_values_keep_three_digits_and_exact_ends() {
        let mut values = GapValues::default();
        for value in 0..100_000_i64 {
            values.add((value - 1_000) * 1_009);
        }
        let stats = values.stats().unwrap();
        let near = |span: Span, expected: i64| {
            let off = (span.as_nanos() - expected).abs();
            assert!(off * 500 <= expected.abs(), "{span:?} is not {expected}");
        };
        near(stats.p50, 49_000 * 1_009);
        near(stats.p90, 89_000 * 1_009);
        near(stats.p99, 98_000 * 1_009);
        assert_eq!(stats.min.as_nanos(), -1_000 * 1_009);
        assert_eq!(stats.max.as_nanos(), 98_999 * 1_009);
        assert!(values.few.is_empty());
    }

    #[test]
    fn hostile_values_do_not_panic() {
        let mut values = GapValues::default();
        for _ in 0..5_000 {
            values.add(i64::MAX);
            values.add(i64::MIN);
        }
        let stats = values.stats().unwrap();
        assert_eq!(stats.min.as_nanos(), i64::MIN);
        assert_eq!(stats.max.as_nanos(), i64::MAX);
    }

    #[test]
    fn parts_are_the_whole() {
        for (one, other) in [(10, 10), (4_000, 96), (4_000, 97), (10, 9_000), (9_000, 10)] {
            let value = |index: i64| (index - 7) * 1_234_567;
            let mut parts = [GapValues::default(), GapValues::default()];
            let mut whole = GapValues::default();
            for index in 0..one + other {
                parts[usize::from(index >= one)].add(value(index));
                whole.add(value(index));
            }
            let [mut first, second] = parts;
            first.merge(&second);
            assert_eq!(first.stats(), whole.stats());
            assert_eq!(first.many.is_some(), whole.many.is_some());
        }
    }
}
