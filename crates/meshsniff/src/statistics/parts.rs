//! A summary in parts, as it is sent from a target to the program that reports it.
//!
//! Each part fits a line of a relay. The sender may be hostile: a part that no summary has is
//! refused, and one that is accepted has no more entries, and no larger numbers, than this program
//! can add up.

use super::endings::Seen;
use super::gap_values::{GapValues, SignedBuckets};
use super::problems::{CellRow, Totals};
use super::rate::SuccessRate;
use super::summary::{MAX_SERVERS, Summary};
use super::timers::UntoldClose;
use super::{MAX_COUNT, MAX_NANOS};
#[cfg(doc)]
use crate::exchange::FindingKind;
use crate::exchange::Gaps;
use crate::packet::Endpoint;
use crate::time::Span;
use serde::{Deserialize, Serialize};

/// Entries of a part.
const MAX_ENTRIES: usize = 4_096;
/// Closes of a part, each with its route.
const MAX_CLOSES: usize = 256;
/// Bytes of a route: its limit, and the last character and the ellipsis beyond it.
const MAX_ROUTE: usize = 300;

/// A part of a summary.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SummaryPart {
    /// All plain counts.
    Counts(Vec<u64>),
    /// Rows of the success rates.
    Served(Vec<(Endpoint, SuccessRate)>),
    /// Failed connects by server.
    Unreachable(Vec<(Endpoint, u64)>),
    /// Values of a gap.
    Gap {
        /// Its place in [`Gaps::NAMES`].
        gap: u8,
        /// Some of its values.
        values: ValuesPart,
    },
    /// Costs of a kind of finding.
    Finding {
        /// Its place in [`FindingKind::ALL`].
        finding: u8,
        /// Some of its costs.
        values: ValuesPart,
    },
    /// Times of TLS handshakes.
    Handshake {
        /// The place of the part in [`crate::protocol::tls::Part::ALL`].
        part: u8,
        /// Some of its times.
        values: ValuesPart,
    },
    /// Closes and refusals that may show the end of a process.
    Endings(Vec<Seen>),
    /// What went wrong alike.
    Problems {
        /// The number of exchanges and connections for which there was no room.
        left_out: u64,
        /// Some of the cells.
        cells: Vec<CellRow>,
    },
    /// All exchanges of some routes, and connections to some servers.
    Totals(Totals),
    /// Closes that may hold a timer.
    Closes {
        /// The number of closes that were not kept.
        left_out: u64,
        /// Some of the closes that were.
        closes: Vec<UntoldClose>,
    },
}

/// A part of the values of one gap.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValuesPart {
    /// The ends of a gap, and its values if they are few.
    Values {
        /// The shortest gap, in nanoseconds.
        min: i64,
        /// The longest gap.
        max: i64,
        /// The values, if they are few.
        few: Vec<i64>,
    },
    /// Buckets of the gap whose [`ValuesPart::Values`] came before.
    Buckets {
        /// Whether these are values below zero, by magnitude.
        below: bool,
        /// Index and count of each bucket.
        counts: Vec<(u32, u64)>,
    },
}

/// A part that no summary has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongPart(&'static str);

impl WrongPart {
    pub(crate) const fn new(wrong: &'static str) -> Self {
        Self(wrong)
    }
}

fn ensure(right: bool, wrong: &'static str) -> Result<(), WrongPart> {
    if right { Ok(()) } else { Err(WrongPart(wrong)) }
}

impl Summary {
    /// Every part, in the order that [`Summary::take_part`] expects.
    #[must_use]
    pub fn parts(&self) -> Vec<SummaryPart> {
        let mut parts = vec![SummaryPart::Counts(self.plain_counts().collect())];
        let mut served: Vec<_> = self.served.iter().map(|(at, rate)| (*at, *rate)).collect();
        served.sort_unstable_by_key(|(server, _)| *server);
        let mut unreachable: Vec<_> = self.unreachable.iter().map(|(at, n)| (*at, *n)).collect();
        unreachable.sort_unstable_by_key(|(server, _)| *server);
        parts.extend((!served.is_empty()).then_some(SummaryPart::Served(served)));
        parts.extend((!unreachable.is_empty()).then_some(SummaryPart::Unreachable(unreachable)));
        for (gap, values) in (0..).zip(&self.gaps) {
            let values = values.parts().into_iter();
            parts.extend(values.map(|values| SummaryPart::Gap { gap, values }));
        }
        for (finding, values) in (0..).zip(&self.findings) {
            let values = values.parts().into_iter();
            parts.extend(values.map(|values| SummaryPart::Finding { finding, values }));
        }
        for (part, values) in (0..).zip(&self.handshakes) {
            let values = values.parts().into_iter();
            parts.extend(values.map(|values| SummaryPart::Handshake { part, values }));
        }
        let endings = self.endings.seen();
        let endings = endings.chunks(MAX_ENTRIES);
        parts.extend(endings.map(|seen| SummaryPart::Endings(seen.to_vec())));
        let cells = self.problems.rows();
        let mut left_out = self.problems.left_out();
        for cells in cells.chunks(MAX_CLOSES) {
            let cells = cells.to_vec();
            parts.push(SummaryPart::Problems { left_out, cells });
            left_out = 0;
        }
        let totals = self.problems.totals();
        let totals = totals.chunks(MAX_ENTRIES);
        parts.extend(totals.map(|totals| SummaryPart::Totals(totals.to_vec())));
        let closes: Vec<_> = self.closes.untold().collect();
        let mut left_out = self.closes.left_out();
        let mut chunks = closes.chunks(MAX_CLOSES);
        loop {
            let closes = chunks.next().unwrap_or_default().to_vec();
            if closes.is_empty() && left_out == 0 {
                return parts;
            }
            parts.push(SummaryPart::Closes { left_out, closes });
            left_out = 0;
        }
    }

    /// Takes a part in. It is meant for a summary that is made of the parts of one other summary;
    /// use [`Summary::merge`] for anything else.
    ///
    /// # Errors
    /// If it is no part of a summary. The summary must not be used then.
    pub fn take_part(&mut self, part: SummaryPart) -> Result<(), WrongPart> {
        match part {
            SummaryPart::Counts(counts) => self.take_counts(&counts),
            SummaryPart::Served(rows) => self.take_served(&rows),
            SummaryPart::Unreachable(rows) => self.take_unreachable(&rows),
            SummaryPart::Gap { gap, values } => self.gap_mut(gap)?.take_part(values),
            SummaryPart::Finding { finding, values } => {
                let costs = self.findings.get_mut(usize::from(finding));
                let costs = costs.ok_or(WrongPart("a finding that has no name"))?;
                costs.take_part(values)
            }
            SummaryPart::Handshake { part, values } => {
                let times = self.handshakes.get_mut(usize::from(part));
                let times = times.ok_or(WrongPart("a part of a handshake that has no name"))?;
                times.take_part(values)
            }
            SummaryPart::Endings(seen) => {
                ensure(seen.len() <= MAX_ENTRIES, "too many endings")?;
                for one in seen {
                    let of_this_age = (0..=MAX_NANOS).contains(&one.at.as_nanos());
                    ensure(of_this_age, "a time that is not of this age")?;
                    self.endings.add_seen(one);
                }
                Ok(())
            }
            SummaryPart::Problems { left_out, cells } => self.take_cells(left_out, cells),
            SummaryPart::Totals(totals) => {
                ensure(totals.len() <= MAX_ENTRIES, "too many totals")?;
                let right = totals.iter().all(|(_, count)| *count <= MAX_COUNT);
                ensure(right, "a count that cannot be")?;
                self.problems.add_totals(&totals);
                Ok(())
            }
            SummaryPart::Closes { left_out, closes } => self.take_closes(left_out, closes),
        }
    }

    fn take_counts(&mut self, counts: &[u64]) -> Result<(), WrongPart> {
        ensure(
            counts.len() == self.plain_counts().count(),
            "not all counts",
        )?;
        let mut right = true;
        for (mine, count) in self.plain_counts_mut().into_iter().zip(counts) {
            right &= *mine == 0 && *count <= MAX_COUNT;
            *mine = *count;
        }
        ensure(right, "a count that cannot be")
    }

    fn take_served(&mut self, rows: &[(Endpoint, SuccessRate)]) -> Result<(), WrongPart> {
        for (server, rate) in rows {
            let good = rate.good.checked_add(rate.ended_by_client);
            let right = rate.exchanges <= MAX_COUNT
                && rate.counted <= rate.exchanges
                && good.is_some_and(|good| good <= rate.counted)
                && rate.connects_failed == 0;
            ensure(right, "a success rate that cannot be")?;
            ensure(self.served.len() < MAX_SERVERS, "too many servers")?;
            self.served.insert(*server, *rate);
        }
        Ok(())
    }

    fn take_unreachable(&mut self, rows: &[(Endpoint, u64)]) -> Result<(), WrongPart> {
        for (server, failed) in rows {
            ensure(*failed <= MAX_COUNT, "a count that cannot be")?;
            ensure(self.unreachable.len() < MAX_SERVERS, "too many servers")?;
            self.unreachable.insert(*server, *failed);
        }
        Ok(())
    }

    fn take_cells(&mut self, left_out: u64, cells: Vec<CellRow>) -> Result<(), WrongPart> {
        ensure(left_out <= MAX_COUNT, "a count that cannot be")?;
        ensure(cells.len() <= MAX_CLOSES, "too many cells")?;
        for cell in cells {
            ensure(cell.can_be(MAX_COUNT, MAX_NANOS), "a cell that cannot be")?;
            self.problems.add_row(cell);
        }
        self.problems.add_left_out(left_out);
        Ok(())
    }

    fn take_closes(&mut self, left_out: u64, closes: Vec<UntoldClose>) -> Result<(), WrongPart> {
        ensure(left_out <= MAX_COUNT, "a count that cannot be")?;
        ensure(closes.len() <= MAX_CLOSES, "too many closes")?;
        for close in closes {
            let right = (Span::ZERO..=Span::from_nanos(MAX_NANOS)).contains(&close.gap)
                && close
                    .route
                    .as_ref()
                    .is_none_or(|route| route.len() <= MAX_ROUTE);
            ensure(right, "a close that cannot be")?;
            self.closes.add_untold(close);
        }
        self.closes.add_left_out(left_out);
        Ok(())
    }

    fn gap_mut(&mut self, gap: u8) -> Result<&mut GapValues, WrongPart> {
        const { assert!(Gaps::COUNT < u8::MAX as usize) };
        let values = self.gaps.get_mut(usize::from(gap));
        values.ok_or(WrongPart("a gap that has no name"))
    }
}

impl GapValues {
    /// Every part of the values, in the order that [`GapValues::take_part`] expects; none if there
    /// is no value.
    pub(crate) fn parts(&self) -> Vec<ValuesPart> {
        if self.count == 0 {
            return Vec::new();
        }
        let mut parts = vec![ValuesPart::Values {
            min: self.min,
            max: self.max,
            few: self.few.clone(),
        }];
        let Some(many) = &self.many else { return parts };
        for (below, buckets) in [(true, &many.below), (false, &many.rest)] {
            let counts: Vec<_> = buckets.pairs().collect();
            parts.extend(
                counts
                    .chunks(MAX_ENTRIES)
                    .map(|counts| ValuesPart::Buckets {
                        below,
                        counts: counts.to_vec(),
                    }),
            );
        }
        parts
    }

    /// Takes in a part of the values of another.
    pub(crate) fn take_part(&mut self, part: ValuesPart) -> Result<(), WrongPart> {
        match part {
            ValuesPart::Values { min, max, few } => self.take(min, max, few),
            ValuesPart::Buckets { below, counts } => {
                ensure(counts.len() <= MAX_ENTRIES, "too many buckets")?;
                self.take_buckets(below, &counts)
            }
        }
    }

    fn take(&mut self, min: i64, max: i64, few: Vec<i64>) -> Result<(), WrongPart> {
        ensure(self.count == 0 && self.many.is_none(), "a gap twice")?;
        ensure(few.len() <= Self::FEW, "too many values")?;
        let possible = -MAX_NANOS..=MAX_NANOS;
        let right = min <= max
            && possible.contains(&min)
            && possible.contains(&max)
            && few.iter().all(|value| (min..=max).contains(value));
        ensure(right, "a gap that cannot be")?;
        (self.min, self.max) = (min, max);
        self.count = few.len() as u64;
        if few.is_empty() {
            self.many = Some(Box::default());
        }
        self.few = few;
        Ok(())
    }

    fn take_buckets(&mut self, below: bool, counts: &[(u32, u64)]) -> Result<(), WrongPart> {
        let Some(many) = &mut self.many else {
            return Err(WrongPart("buckets of a gap that has none"));
        };
        let SignedBuckets { below: low, rest } = &mut **many;
        let buckets = if below { low } else { rest };
        ensure(
            buckets.add_pairs(counts, MAX_COUNT),
            "buckets that cannot be",
        )?;
        // Percentiles are shares of what the buckets hold.
        self.count = many.below.total() + many.rest.total();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Exchange;
    use crate::testing::fixtures;

    fn carried(summary: &Summary) -> Summary {
        let mut arrived = Summary::default();
        for part in summary.parts() {
            let line = serde_json::to_string(&part).unwrap();
            assert!(line.len() < 500_000);
            arrived
                .take_part(serde_json::from_str(&line).unwrap())
                .unwrap();
        }
        arrived
    }

    fn shown(summary: &Summary) -> String {
        let timers: Vec<_> = summary
            .timers()
            .into_iter()
            .map(|mut timer| {
                timer.exchanges.clear();
                timer
            })
            .collect();
        format!(
            "{:?} {:?} {timers:?} {:?} {}",
            summary.plain_counts().collect::<Vec<_>>(),
            summary.success_rates(),
            summary.gaps().collect::<Vec<_>>(),
            summary.closes_left_out(),
        )
    }

    fn summary(exchanges: u32) -> Summary {
        let mut summary = Summary::new(false);
        let kinds = fixtures::every_verdict();
        for number in 0..exchanges {
            let mut exchange = kinds[number as usize % kinds.len()].clone();
            exchange.id = u64::from(number);
            exchange.server.port = (number % 700) as u16;
            let late = Span::from_micros(i64::from(number) * 997 - 50_000);
            if let Some(gap) = &mut exchange.gaps.request_to_response {
                *gap = gap.plus(late);
            }
            summary.exchange(&exchange);
        }
        summary.connection(&fixtures::refused());
        summary.connection(&fixtures::connect_timeout());
        summary.left_out();
        summary
    }

    #[test]
    fn what_is_carried_arrives() {
        for exchanges in [0, 10, 3_000, 100_000] {
            let summary = summary(exchanges);
            assert_eq!(shown(&carried(&summary)), shown(&summary));
        }
    }

    #[test]
    fn two_make_what_one_would_have_been() {
        for exchanges in [10, 9_000] {
            let mut whole = Summary::new(false);
            let mut halves = [Summary::new(false), Summary::new(false)];
            let kinds = fixtures::every_verdict();
            for number in 0..exchanges {
                let exchange = Exchange {
                    id: number as u64,
                    ..kinds[number % kinds.len()].clone()
                };
                whole.exchange(&exchange);
                halves[number / 7 % 2].exchange(&exchange);
            }
            for connection in [fixtures::refused(), fixtures::connect_timeout()] {
                whole.connection(&connection);
                halves[1].connection(&connection);
            }
            let [mut first, second] = halves;
            first.merge(&carried(&second));
            assert_eq!(shown(&first), shown(&whole));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let rate = |counted, good, ended_by_client, connects_failed| {
            let rate = SuccessRate {
                exchanges: counted,
                counted,
                good,
                ended_by_client,
                connects_failed,
            };
            SummaryPart::Served(vec![(fixtures::SERVER, rate)])
        };
        let gap = |gap, min, max, few: &[i64]| SummaryPart::Gap {
            gap,
            values: ValuesPart::Values {
                min,
                max,
                few: few.to_vec(),
            },
        };
        let counts = Summary::default().plain_counts().count();
        for wrong in [
            SummaryPart::Counts(vec![0; counts - 1]),
            SummaryPart::Counts(vec![MAX_COUNT + 1; counts]),
            rate(1, 1, 1, 0),
            rate(1, u64::MAX, 1, 0),
            rate(1, 0, 0, 1),
            SummaryPart::Unreachable(vec![(fixtures::SERVER, u64::MAX)]),
            gap(Gaps::COUNT as u8, 0, 0, &[0]),
            gap(0, 1, 0, &[]),
            gap(0, 0, 1, &[2]),
            gap(0, i64::MIN, 0, &[0]),
            SummaryPart::Gap {
                gap: 0,
                values: ValuesPart::Buckets {
                    below: false,
                    counts: vec![(0, 1)],
                },
            },
        ] {
            assert!(
                Summary::default().take_part(wrong.clone()).is_err(),
                "{wrong:?}"
            );
        }
        let mut twice = Summary::default();
        assert!(twice.take_part(gap(0, 0, 0, &[0])).is_ok());
        assert!(twice.take_part(gap(0, 0, 0, &[0])).is_err());
    }
}
