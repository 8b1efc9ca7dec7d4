//! Counts of values in buckets whose width grows with the value: percentiles in bounded memory.
//!
//! The layout is that of an HDR histogram. Below `2^BITS` every value has a bucket of its own;
//! above it a bucket is never wider than a `2^(BITS-1)`th of its values. It is written out here
//! because every exchange of a busy target is recorded, which must be an index and an addition, and
//! because the relay carries the buckets.

/// Counts by bucket. `BITS` = 11 keeps three significant decimal digits, 8 keeps two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Buckets<const BITS: u32> {
    /// Up to the bucket of the largest value so far.
    counts: Vec<u64>,
    total: u64,
}

impl<const BITS: u32> Buckets<BITS> {
    /// Buckets of each power of two above the first.
    const HALF: usize = 1 << (BITS - 1);

    /// The number of buckets.
    pub(crate) const MAX: usize = (66 - BITS as usize) * Self::HALF;

    const fn index(value: u64) -> usize {
        let exponent = (u64::BITS - value.leading_zeros()).saturating_sub(BITS);
        exponent as usize * Self::HALF + (value >> exponent) as usize
    }

    /// The lowest and the highest value of a bucket.
    const fn ends(index: usize) -> (u64, u64) {
        let exponent = (index / Self::HALF).saturating_sub(1);
        let mantissa = (index - exponent * Self::HALF) as u64;
        let lowest = mantissa << exponent;
        (lowest, lowest + ((1 << exponent) - 1))
    }

    /// Counts a value.
    pub(crate) fn add(&mut self, value: u64) {
        let index = Self::index(value);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.total += 1;
    }

    /// Adds the counts of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.total = self.total.saturating_add(other.total);
    }

    /// Bytes that the counts take, about.
    pub(crate) fn weight(&self) -> usize {
        self.counts.capacity() * size_of::<u64>()
    }

    /// The number of values.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// Index and count of each bucket that is not empty.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (u32, u64)> {
        let counted = self.counts.iter().enumerate();
        let counted = counted.filter(|(_, count)| **count > 0);
        counted.filter_map(|(index, count)| Some((u32::try_from(index).ok()?, *count)))
    }

    /// Lowest value and count of each bucket that is not empty.
    pub(crate) fn lowest(&self) -> impl Iterator<Item = (u64, u64)> {
        let counted = self.counts.iter().enumerate();
        let counted = counted.filter(|(_, count)| **count > 0);
        counted.map(|(index, count)| (Self::ends(index).0, *count))
    }

    /// Adds what [`Buckets::pairs`] gave in another program. Returns `false` if it cannot have.
    pub(crate) fn add_pairs(&mut self, pairs: &[(u32, u64)], most: u64) -> bool {
        for &(index, count) in pairs {
            let index = index as usize;
            if index >= Self::MAX || count == 0 || count > most {
                return false;
            }
            if index >= self.counts.len() {
                self.counts.resize(index + 1, 0);
            }
            self.counts[index] = self.counts[index].saturating_add(count);
            self.total = self.total.saturating_add(count);
        }
        self.total <= most
    }

    /// The highest value of the bucket with the value of this rank, from 1.
    pub(crate) fn at_rank(&self, rank: u64) -> u64 {
        let mut seen = 0_u64;
        for (index, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return Self::ends(index).1;
            }
        }
        self.max()
    }

    /// The lowest value of the first bucket that is not empty; 0 if all are.
    pub(crate) fn min(&self) -> u64 {
        let first = self.counts.iter().position(|count| *count > 0);
        first.map_or(0, |index| Self::ends(index).0)
    }

    /// The highest value of the last bucket that is not empty; 0 if all are.
    pub(crate) fn max(&self) -> u64 {
        let last = self.counts.iter().rposition(|count| *count > 0);
        last.map_or(0, |index| Self::ends(index).1)
    }
}

/// The nearest rank of a percentile among `count` sorted values, from 1.
pub(crate) fn rank(percent: u64, count: u64) -> u64 {
    let rank = (u128::from(percent) * u128::from(count)).div_ceil(100);
    u64::try_from(rank).unwrap_or(count).clamp(1, count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    /// Up to the largest span: at the very top an HDR histogram is off by one.
    fn of_any_size() -> impl Strategy<Value = u64> {
        (any::<u64>(), 1..64_u32).prop_map(|(value, shift)| value >> shift)
    }

    proptest! {
        #[test]
        fn it_is_an_hdr_histogram(values in prop::collection::vec(of_any_size(), 1..200)) {
            let mut ours = (Buckets::<11>::default(), Buckets::<8>::default());
            let mut theirs = [3, 2].map(|digits| Histogram::<u64>::new(digits).unwrap());
            for &value in &values {
                ours.0.add(value);
                ours.1.add(value);
                for histogram in &mut theirs {
                    histogram.record(value).unwrap();
                }
            }
            let count = values.len() as u64;
            for percent in [1, 50, 90, 99, 100] {
                let rank = rank(percent, count);
                let quantile = (rank as f64 - 0.5) / count as f64;
                prop_assert_eq!(ours.0.at_rank(rank), theirs[0].value_at_quantile(quantile));
                prop_assert_eq!(ours.1.at_rank(rank), theirs[1].value_at_quantile(quantile));
            }
            prop_assert_eq!((ours.0.min(), ours.0.max()), (theirs[0].min(), theirs[0].max()));
            prop_assert_eq!((ours.1.min(), ours.1.max()), (theirs[1].min(), theirs[1].max()));
            prop_assert_eq!(ours.0.total(), theirs[0].len());
        }

        #[test]
        fn parts_are_the_whole(
            one in prop::collection::vec(of_any_size(), 0..50),
            other in prop::collection::vec(of_any_size(), 0..50),
        ) {
            let (mut parts, mut whole, mut second) =
                (Buckets::<11>::default(), Buckets::default(), Buckets::default());
            for &value in &one {
                parts.add(value);
                whole.add(value);
            }
            for &value in &other {
                second.add(value);
                whole.add(value);
            }
            let pairs: Vec<_> = second.pairs().collect();
            let mut carried = Buckets::default();
            prop_assert!(carried.add_pairs(&pairs, 1_000));
            prop_assert_eq!(&carried, &second);
            parts.merge(&carried);
            prop_assert_eq!(parts, whole);
        }
    }

    #[test]
    fn what_cannot_have_been_is_refused() {
        let mut buckets = Buckets::<8>::default();
        assert!(!buckets.add_pairs(&[(Buckets::<8>::MAX as u32, 1)], 9));
        assert!(!buckets.add_pairs(&[(0, 0)], 9));
        assert!(!buckets.add_pairs(&[(0, 10)], 9));
        assert!(!buckets.add_pairs(&[(0, 9), (0, 9)], 9));
        let mut buckets = Buckets::<8>::default();
        buckets.add(u64::MAX);
        assert_eq!(buckets.counts.len(), Buckets::<8>::MAX);
        assert_eq!((buckets.max(), buckets.at_rank(7)), (u64::MAX, u64::MAX));
    }
}
