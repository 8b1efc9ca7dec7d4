//! The differences between two sides, route by route.

use super::problems::{self, ProblemChange};
use super::side::{ComparedSide, Digest, RouteName, Selection};
use super::statistics::{self, Share, fisher, holm, mann_whitney};
use super::thresholds::{MIN_POINTS, Thresholds};
use crate::exchange::{Gap, Verdict};
use crate::statistics::GapStats;
use crate::time::Span;
use std::collections::BTreeSet;
use strum::{IntoStaticStr, VariantArray};

/// Two sides and the differences between them.
#[derive(Debug)]
pub struct Comparison {
    /// The side before, without its routes: they are in [`Comparison::routes`].
    pub(crate) before: ComparedSide,
    pub(crate) after: ComparedSide,
    pub(crate) thresholds: Thresholds,
    /// The number of tests, which are corrected together.
    pub(crate) tests: usize,
    /// The routes, those with the gravest change first.
    pub(crate) routes: Vec<Difference>,
    /// The problems; `None` if a side does not say.
    pub(crate) problems: Option<Vec<ProblemChange>>,
}

/// The sides that have a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Both,
    /// Only the side after.
    New,
    /// Only the side before.
    Gone,
}

/// A route on both sides or on one of them.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) route: RouteName,
    pub(crate) before: Digest,
    pub(crate) after: Digest,
    pub(crate) shares: Vec<ShareChange>,
    pub(crate) gaps: Vec<GapChange>,
}

/// What a share counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShareOf {
    Good,
    Verdict(Verdict),
}

/// The result of a test, before and after the correction for the number of tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TestResult {
    pub(crate) p: f64,
    pub(crate) corrected: f64,
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeOutcome {
    /// Significant, and large enough to have a name.
    Changed(Trend),
    /// Significant, but small.
    Small,
    Noise,
    /// Not tested, with the reason.
    NotTested(&'static str),
}

/// The name of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Trend {
    Worse,
    Slower,
    Better,
    Faster,
    /// A change of a verdict that is neither good nor bad.
    More,
    Fewer,
}

impl Trend {
    pub(crate) const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().unwrap();

    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    pub(crate) const fn is_bad(self) -> bool {
        matches!(self, Self::Worse | Self::Slower)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ShareChange {
    pub(crate) kind: ShareOf,
    pub(crate) before: Share,
    pub(crate) after: Share,
    pub(crate) test: Option<TestResult>,
    pub(crate) outcome: ChangeOutcome,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct GapChange {
    pub(crate) name: &'static str,
    pub(crate) before: Option<GapStats>,
    pub(crate) after: Option<GapStats>,
    /// The share of pairs in which the value after is longer.
    pub(crate) longer: Option<f64>,
    pub(crate) test: Option<TestResult>,
    pub(crate) outcome: ChangeOutcome,
}

/// The relative change from one span to another; `None` if the first is 0.
pub(crate) fn relative(before: Span, after: Span) -> Option<f64> {
    let (before, after) = (before.as_nanos() as f64, after.as_nanos() as f64);
    (before != 0.0).then(|| (after - before) / before.abs())
}

impl ShareOf {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Verdict(verdict) => verdict.name(),
        }
    }

    /// The name of a change that grew or shrank.
    const fn word(self, grew: bool) -> Trend {
        let is_fine = match self {
            Self::Good => true,
            Self::Verdict(Verdict::Ok | Verdict::Upgraded | Verdict::Unanswered) => {
                return if grew { Trend::More } else { Trend::Fewer };
            }
            Self::Verdict(
                Verdict::ClientGaveUp
                | Verdict::ClientGaveUpMidResponse
                | Verdict::ClientAbortedRequest
                | Verdict::ServerClosedUnanswered
                | Verdict::ServerResetUnanswered
                | Verdict::ServerTruncatedResponse
                | Verdict::ServerResetEarlyAnswer
                | Verdict::ServerInvalidResponse
                | Verdict::Refused
                | Verdict::ConnectRefused
                | Verdict::ConnectTimeout
                | Verdict::TlsUnanswered
                | Verdict::TlsFailed
                | Verdict::TlsLeftWaiting
                | Verdict::TlsRefusedPlain
                | Verdict::PlainRefusedTls,
            ) => false,
        };
        if grew == is_fine {
            Trend::Better
        } else {
            Trend::Worse
        }
    }
}

impl ShareChange {
    fn new(kind: ShareOf, before: Share, after: Share) -> Self {
        let tested = match kind {
            ShareOf::Verdict(Verdict::Ok) => Err("it is what the others leave"),
            _ if before.whole == 0 || after.whole == 0 => Err("one side has none to count"),
            _ => fisher(before, after).ok_or("all of them, or none, on both sides"),
        };
        Self {
            kind,
            before,
            after,
            test: tested.ok().map(uncorrected),
            outcome: tested
                .err()
                .map_or(ChangeOutcome::Noise, ChangeOutcome::NotTested),
        }
    }

    /// The change in percentage points over 100.
    pub(crate) fn change(&self) -> Option<f64> {
        Some(self.after.value()? - self.before.value()?)
    }

    fn settle(&mut self, thresholds: Thresholds) {
        let (Some(test), Some(change)) = (self.test, self.change()) else {
            return;
        };
        // Of good exchanges the rest counts: from 1 in 1,000 that fail to 2 is twice as many.
        let from = match self.kind {
            ShareOf::Good => self.before.value().map(|share| 1.0 - share),
            ShareOf::Verdict(_) => self.before.value(),
        };
        let least = MIN_POINTS.max(from.unwrap_or_default() * thresholds.min_change);
        self.outcome = if test.corrected > thresholds.alpha {
            ChangeOutcome::Noise
        } else if change.abs() < least {
            ChangeOutcome::Small
        } else {
            ChangeOutcome::Changed(self.kind.word(change > 0.0))
        };
    }
}

impl GapChange {
    fn new(name: &'static str, place: usize, before: &Digest, after: &Digest) -> Self {
        let tested = compare_values(place, before, after);
        Self {
            name,
            before: before.stats(place),
            after: after.stats(place),
            longer: tested.ok().map(|test| test.larger),
            test: tested.ok().map(|test| uncorrected(test.p)),
            outcome: tested
                .err()
                .map_or(ChangeOutcome::Noise, ChangeOutcome::NotTested),
        }
    }

    fn settle(&mut self, thresholds: Thresholds) {
        let (Some(test), Some(longer), Some(before), Some(after)) =
            (self.test, self.longer, self.before, self.after)
        else {
            return;
        };
        let slower = longer > 0.5;
        let enough = |from: Span, to: Span| {
            let moved = relative(from, to)
                .map_or(from != to, |change| change.abs() >= thresholds.min_change);
            moved && (to > from) == slower
        };
        let enough = enough(before.p50, after.p50) || enough(before.p90, after.p90);
        self.outcome = if test.corrected > thresholds.alpha {
            ChangeOutcome::Noise
        } else if !enough {
            ChangeOutcome::Small
        } else if slower {
            ChangeOutcome::Changed(Trend::Slower)
        } else {
            ChangeOutcome::Changed(Trend::Faster)
        };
    }
}

fn compare_values(
    place: usize,
    before: &Digest,
    after: &Digest,
) -> Result<statistics::RankTest, &'static str> {
    let (before, after) = (before.sample(place)?, after.sample(place)?);
    let fewest = before.count.min(after.count);
    if fewest == 0 {
        return Err("one side has no values");
    }
    if fewest < statistics::MIN_VALUES {
        return Err("fewer than 8 values on a side");
    }
    // Values in buckets can only be compared with values in buckets.
    let coarse = before.many.is_some() || after.many.is_some();
    let test = mann_whitney(&before.groups(coarse), &after.groups(coarse));
    test.ok_or("every value is the same")
}

const fn uncorrected(p: f64) -> TestResult {
    TestResult { p, corrected: p }
}

impl Difference {
    fn new(route: RouteName, before: Digest, after: Digest, gaps: &[Gap]) -> Self {
        let mut difference = Self {
            route,
            shares: Vec::new(),
            gaps: Vec::new(),
            before,
            after,
        };
        let (before, after) = (&difference.before, &difference.after);
        let occurs = |verdict: &Verdict| {
            before.verdicts[*verdict as usize] + after.verdicts[*verdict as usize] > 0
        };
        let verdicts = Verdict::ALL.into_iter().filter(occurs);
        let verdicts = verdicts.map(|verdict| {
            let kind = ShareOf::Verdict(verdict);
            ShareChange::new(kind, before.verdict(verdict), after.verdict(verdict))
        });
        let good = ShareChange::new(ShareOf::Good, before.good, after.good);
        let shares = std::iter::once(good).chain(verdicts).collect();
        let names = gaps.iter().enumerate();
        let names = names.map(|(place, gap)| (place, gap.name()));
        let gaps = names.map(|(place, name)| GapChange::new(name, place, before, after));
        let gaps = gaps
            .filter(|gap| gap.before.is_some() || gap.after.is_some())
            .collect();
        difference.shares = shares;
        difference.gaps = gaps;
        difference
    }

    pub(crate) const fn presence(&self) -> Presence {
        match (self.before.exchanges, self.after.exchanges) {
            (0, _) => Presence::New,
            (_, 0) => Presence::Gone,
            _ => Presence::Both,
        }
    }

    fn tests(&mut self) -> impl Iterator<Item = &mut TestResult> {
        let shares = self.shares.iter_mut().filter_map(|row| row.test.as_mut());
        shares.chain(self.gaps.iter_mut().filter_map(|row| row.test.as_mut()))
    }

    fn outcomes(&self) -> impl Iterator<Item = ChangeOutcome> {
        let shares = self.shares.iter().map(|row| row.outcome);
        shares.chain(self.gaps.iter().map(|row| row.outcome))
    }

    /// The names of the changes, the gravest first.
    pub(crate) fn words(&self) -> Vec<Trend> {
        let words = self.outcomes().filter_map(|outcome| match outcome {
            ChangeOutcome::Changed(word) => Some(word),
            _ => None,
        });
        let words: BTreeSet<Trend> = words.collect();
        words.into_iter().collect()
    }

    /// The names of the changes in one line.
    pub(crate) fn headline(&self, thresholds: Thresholds) -> String {
        match self.presence() {
            Presence::New => return "new".to_owned(),
            Presence::Gone => return "gone".to_owned(),
            Presence::Both => {}
        }
        let words: Vec<&str> = self.words().into_iter().map(Trend::name).collect();
        let mut outcomes = self.outcomes();
        if !words.is_empty() {
            words.join(", ")
        } else if outcomes.any(|outcome| outcome == ChangeOutcome::Small) {
            format!("changed by less than {}", percent(thresholds.min_change))
        } else if self.is_tested() || self.is_the_same() {
            "no change beyond noise".to_owned()
        } else {
            "too little to tell a change from noise".to_owned()
        }
    }

    fn is_tested(&self) -> bool {
        self.shares.iter().any(|row| row.test.is_some())
            || self.gaps.iter().any(|row| row.test.is_some())
    }

    /// Whether every figure is the same on both sides. Then nothing changed, however few the
    /// exchanges.
    fn is_the_same(&self) -> bool {
        let shares = self.shares.iter();
        let mut shares = shares.map(|row| row.before.value() == row.after.value());
        shares.all(|same| same) && self.gaps.iter().all(|row| row.before == row.after)
    }
}

/// A share as a percentage without needless digits: `5 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

impl Comparison {
    /// Compares two sides. Both must have been gathered with this selection.
    #[must_use]
    pub fn new(
        mut before: ComparedSide,
        mut after: ComparedSide,
        selection: &Selection,
        thresholds: Thresholds,
    ) -> Self {
        let mut before_routes = std::mem::take(&mut before.routes);
        let mut after_routes = std::mem::take(&mut after.routes);
        let names: BTreeSet<RouteName> = before_routes
            .keys()
            .chain(after_routes.keys())
            .cloned()
            .collect();
        let mut routes: Vec<Difference> = names
            .into_iter()
            .map(|route| {
                let before = before_routes.remove(&route).unwrap_or_default();
                let after = after_routes.remove(&route).unwrap_or_default();
                Difference::new(route, before, after, &selection.gaps)
            })
            .collect();
        let tests = correct(&mut routes);
        for route in &mut routes {
            route
                .shares
                .iter_mut()
                .for_each(|row| row.settle(thresholds));
            route.gaps.iter_mut().for_each(|row| row.settle(thresholds));
        }
        routes.sort_by_cached_key(|route| {
            let gravest = route.words().first().copied();
            let traffic = route.before.exchanges.saturating_add(route.after.exchanges);
            (
                gravest.is_none(),
                gravest,
                route.presence() != Presence::Both,
                std::cmp::Reverse(traffic),
            )
        });
        Self {
            problems: problems::compared(&before.problems, &after.problems, thresholds),
            before,
            after,
            thresholds,
            tests,
            routes,
        }
    }

    /// The number of routes with each headline, in their order.
    pub(crate) fn headlines(&self) -> Vec<(String, u64)> {
        let mut counts: Vec<(String, u64)> = Vec::new();
        for route in &self.routes {
            let headline = route.headline(self.thresholds);
            match counts.iter_mut().find(|(known, _)| *known == headline) {
                Some((_, count)) => *count += 1,
                None => counts.push((headline, 1)),
            }
        }
        counts
    }
}

/// Corrects the results of all tests together. Returns the number of tests.
fn correct(routes: &mut [Difference]) -> usize {
    let tests = routes.iter_mut().flat_map(Difference::tests);
    let found: Vec<f64> = tests.map(|test| test.p).collect();
    let corrected = holm(&found);
    let tests = routes.iter_mut().flat_map(Difference::tests);
    for (test, corrected) in tests.zip(corrected) {
        test.corrected = corrected;
    }
    found.len()
}
