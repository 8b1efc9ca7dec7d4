//! The counts of an assertion, and how they are sent from a target.

use super::MAX_COUNT;
use super::gap_values::{GapValues, Percentile};
use super::parts::{ValuesPart, WrongPart};
use crate::time::Span;
use serde::{Deserialize, Serialize};

/// Assertions of a report.
pub const MAX_ASSERTIONS: usize = 256;

/// The counts of one assertion.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    looked_at: u64,
    hits: u64,
    /// Of a percentile every gap; of other measures the gaps that failed.
    values: GapValues,
}

/// A part of the tallies of a judge, small enough for a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TallyPart {
    /// For each assertion, the number of exchanges it is about, and of those that count.
    Counts(Vec<(u64, u64)>),
    /// Gaps of one assertion.
    Values(u16, ValuesPart),
}

impl Tally {
    pub(crate) fn look(&mut self, hit: bool) {
        self.looked_at += 1;
        self.hits += u64::from(hit);
    }

    pub(crate) fn value(&mut self, gap: Span) {
        self.values.add(gap.as_nanos());
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.looked_at = self.looked_at.saturating_add(other.looked_at);
        self.hits = self.hits.saturating_add(other.hits);
        self.values.merge(&other.values);
    }

    /// Bytes that its values take, about.
    pub(crate) fn weight(&self) -> usize {
        self.values.weight()
    }

    pub(crate) const fn looked_at(&self) -> u64 {
        self.looked_at
    }

    pub(crate) const fn hits(&self) -> u64 {
        self.hits
    }

    pub(crate) const fn values(&self) -> u64 {
        self.values.count
    }

    pub(crate) fn percentile(&self, percentile: Percentile) -> Option<Span> {
        match percentile {
            Percentile::Min => self.values.stats().map(|stats| stats.min),
            Percentile::Max => self.values.stats().map(|stats| stats.max),
            Percentile::Nearest(percent) => self.values.percentile(percent),
        }
    }
}

/// Every part of the tallies, in the order that [`take_part`] expects.
#[must_use]
pub fn parts(tallies: &[Tally]) -> Vec<TallyPart> {
    if tallies.is_empty() {
        return Vec::new();
    }
    let counts = tallies.iter().map(|tally| (tally.looked_at, tally.hits));
    let mut parts = vec![TallyPart::Counts(counts.collect())];
    for (index, tally) in (0..).zip(tallies) {
        let values = tally.values.parts().into_iter();
        parts.extend(values.map(|part| TallyPart::Values(index, part)));
    }
    parts
}

/// Takes a part in.
///
/// # Errors
/// If it is no part of tallies. The tallies must not be used then.
pub fn take_part(tallies: &mut Vec<Tally>, part: TallyPart) -> Result<(), WrongPart> {
    match part {
        TallyPart::Counts(counts) => {
            let right = tallies.is_empty()
                && counts.len() <= MAX_ASSERTIONS
                && counts
                    .iter()
                    .all(|(looked_at, hits)| hits <= looked_at && *looked_at <= MAX_COUNT);
            if !right {
                return Err(WrongPart::new("tallies that cannot be"));
            }
            tallies.extend(counts.into_iter().map(|(looked_at, hits)| Tally {
                looked_at,
                hits,
                values: GapValues::default(),
            }));
            Ok(())
        }
        TallyPart::Values(index, part) => {
            let tally = tallies.get_mut(usize::from(index));
            let tally = tally.ok_or(WrongPart::new("gaps of an assertion that is none"))?;
            tally.values.take_part(part)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tallies() -> Vec<Tally> {
        let mut few = Tally::default();
        few.look(true);
        few.value(Span::from_millis(3));
        let mut many = Tally::default();
        for nanos in 0..10_000 {
            many.look(false);
            many.value(Span::from_nanos(nanos * 1_001));
        }
        vec![few, Tally::default(), many]
    }

    #[test]
    fn tallies_arrive() {
        let sent = tallies();
        let mut arrived = Vec::new();
        for part in parts(&sent) {
            let line = serde_json::to_string(&part).unwrap();
            take_part(&mut arrived, serde_json::from_str(&line).unwrap()).unwrap();
        }
        for (sent, arrived) in sent.iter().zip(&arrived) {
            assert_eq!(
                (sent.looked_at, sent.hits),
                (arrived.looked_at, arrived.hits)
            );
            assert_eq!(sent.values.stats(), arrived.values.stats());
        }
        assert_eq!(arrived.len(), sent.len());
    }

    #[test]
    fn tallies_that_cannot_be_are_refused() {
        let value = || ValuesPart::Values {
            min: 1,
            max: 1,
            few: vec![1],
        };
        for part in [
            TallyPart::Counts(vec![(1, 2)]),
            TallyPart::Counts(vec![(u64::MAX, 0)]),
            TallyPart::Counts(vec![(0, 0); MAX_ASSERTIONS + 1]),
            TallyPart::Values(0, value()),
        ] {
            assert!(take_part(&mut Vec::new(), part).is_err());
        }
        let mut taken = tallies();
        assert!(take_part(&mut taken, TallyPart::Counts(vec![(1, 1)])).is_err());
        assert!(take_part(&mut taken, TallyPart::Values(3, value())).is_err());
        assert!(take_part(&mut taken, TallyPart::Values(1, value())).is_ok());
    }
}
