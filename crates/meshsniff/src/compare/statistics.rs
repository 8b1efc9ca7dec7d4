//! The tests that tell a change from noise.
//!
//! The special functions are those of `statrs`. The tests are written here, because its
//! Mann–Whitney test takes single values only (here they may be counted in buckets), and its Fisher
//! test computes small probabilities as 1 − CDF, which makes them 0, and overflows with the counts
//! of a long capture.

use statrs::function::erf::erfc;
use statrs::function::factorial::ln_factorial;
use std::cmp::Ordering;

/// The least number of values on each side of a rank test: below it the normal approximation is no
/// good.
pub(crate) const MIN_VALUES: u64 = 8;

/// The result of a rank test of two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RankTest {
    /// The probability of such a difference if there is none.
    pub(crate) p: f64,
    /// The share of pairs of a value before and a value after in which the latter is larger. A tie
    /// counts half, and 0.5 is no difference. (U divided by the number of pairs, called the
    /// common-language effect size.)
    pub(crate) larger: f64,
}

/// The two-sided Mann–Whitney U test by the normal approximation, corrected for ties and
/// continuity. The samples are sorted values with their counts. Returns `None` if every value is
/// the same.
pub(crate) fn mann_whitney(before: &[(i64, u64)], after: &[(i64, u64)]) -> Option<RankTest> {
    let size = |sample: &[(i64, u64)]| sample.iter().map(|(_, count)| *count as f64).sum::<f64>();
    let (n_before, n_after) = (size(before), size(after));
    let pairs = n_before * n_after;
    let all = n_before + n_after;
    let (mut larger, mut ties, mut below) = (0.0, 0.0, 0.0);
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let here = before.next_if(|_| order.is_le());
        let there = after.next_if(|_| order.is_ge());
        let [here, there] =
            [here, there].map(|group| group.map_or(0.0, |(_, count)| *count as f64));
        larger += there * (below + here / 2.0);
        below += here;
        let tied = here + there;
        ties += tied * tied * tied - tied;
    }
    let variance = pairs / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    // Rounding may leave a little where there is nothing.
    if variance.is_nan() || variance <= pairs * all * 1e-14 {
        return None;
    }
    let z = ((larger - pairs / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    Some(RankTest {
        p: erfc(z / std::f64::consts::SQRT_2).min(1.0),
        larger: larger / pairs,
    })
}

/// A number of things, and the number of those of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) part: u64,
    pub(crate) whole: u64,
}

impl Share {
    /// The share, between 0 and 1; `None` of nothing.
    pub(crate) fn value(self) -> Option<f64> {
        (self.whole > 0).then(|| self.part as f64 / self.whole as f64)
    }

    const fn rest(self) -> u64 {
        self.whole - self.part
    }
}

/// The two-sided Fisher exact test: the sum of the probabilities of all tables with these sums of
/// rows and columns that are no more probable than the given one. Returns `None` if it is the only
/// such table.
pub(crate) fn fisher(before: Share, after: Share) -> Option<f64> {
    let kind = before.part + after.part;
    if before.whole == 0 || after.whole == 0 || kind == 0 || before.rest() + after.rest() == 0 {
        return None;
    }
    let urn = Urn {
        first: before.whole,
        second: after.whole,
        kind,
    };
    let seen = before.part;
    let mode = urn.mode();
    let ln_seen = urn.ln_probability(seen);
    // As probable as the most probable one, but for rounding.
    if ln_seen >= urn.ln_probability(mode) - ROUNDING {
        return Some(1.0);
    }
    let own = urn.tail(seen, seen < mode);
    let other = match urn.opposite(ln_seen, mode, seen < mode) {
        Some(start) => urn.tail(start, seen > mode) * (urn.ln_probability(start) - ln_seen).exp(),
        None => 0.0,
    };
    Some(((own + other) * ln_seen.exp()).min(1.0))
}

/// The largest difference between the logarithms of two equal probabilities.
const ROUNDING: f64 = 1e-7;

/// The distribution of `kind` things over `first` and `second` places by chance.
struct Urn {
    first: u64,
    second: u64,
    kind: u64,
}

impl Urn {
    const fn least(&self) -> u64 {
        self.kind.saturating_sub(self.second)
    }

    fn most(&self) -> u64 {
        self.kind.min(self.first)
    }

    fn mode(&self) -> u64 {
        let product = (u128::from(self.first) + 1) * (u128::from(self.kind) + 1);
        let mode = product / (u128::from(self.first) + u128::from(self.second) + 2);
        u64::try_from(mode)
            .unwrap_or(u64::MAX)
            .clamp(self.least(), self.most())
    }

    fn ln_probability(&self, k: u64) -> f64 {
        let choose = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
        choose(self.first, k) + choose(self.second, self.kind - k)
            - choose(self.first + self.second, self.kind)
    }

    /// The probability of `k + 1` divided by that of `k`.
    fn step_up(&self, k: u64) -> f64 {
        let up = (self.first - k) as f64 * (self.kind - k) as f64;
        up / ((k + 1) as f64 * (self.second + k + 1 - self.kind) as f64)
    }

    /// The sum of the probabilities from `start` on, downwards or upwards and away from the mode,
    /// in units of that of `start`. The terms fall faster and faster, so the sum ends a few
    /// standard deviations away.
    fn tail(&self, start: u64, down: bool) -> f64 {
        let (mut sum, mut term, mut k) = (0.0, 1.0, start);
        while term > sum * 1e-17 {
            sum += term;
            if down {
                if k == self.least() {
                    break;
                }
                k -= 1;
                term /= self.step_up(k);
            } else {
                if k == self.most() {
                    break;
                }
                term *= self.step_up(k);
                k += 1;
            }
        }
        sum
    }

    /// The number nearest to the mode on its other side that is no more probable.
    fn opposite(&self, ln_seen: f64, mode: u64, upwards: bool) -> Option<u64> {
        let fits = |k: u64| self.ln_probability(k) <= ln_seen + ROUNDING;
        let (mut near, mut far) = (mode, if upwards { self.most() } else { self.least() });
        if !fits(far) {
            return None;
        }
        // `far` always fits and `near` never does.
        while near.abs_diff(far) > 1 {
            let middle = near.midpoint(far);
            if fits(middle) {
                far = middle;
            } else {
                near = middle;
            }
        }
        Some(far)
    }
}

/// Corrects the probabilities of many tests by Holm and Bonferroni, in their order. The probability
/// that any of them falls below a threshold by chance is then at most that threshold.
pub(crate) fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&one, &other| probabilities[one].total_cmp(&probabilities[other]));
    let mut corrected = vec![1.0; probabilities.len()];
    let mut least: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        let left = (probabilities.len() - rank) as f64;
        least = least.max((probabilities[index] * left).min(1.0));
        corrected[index] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(values: &[i64]) -> Vec<(i64, u64)> {
        let mut values = values.to_vec();
        values.sort_unstable();
        let same = values.chunk_by(|one, other| one == other);
        same.map(|same| (same[0], same.len() as u64)).collect()
    }

    fn near(found: f64, expected: f64) {
        let off = (found - expected).abs() / expected;
        assert!(off < 1e-6, "{found} is not {expected}");
    }

    /// `scipy.stats.mannwhitneyu(after, before, use_continuity=True, alternative='two-sided',
    /// method='asymptotic')` of scipy 1.17.1: p, and U divided by the number of pairs.
    #[test]
    fn ranks_are_tested_as_by_scipy() {
        let repeated = |pairs: &[(i64, usize)]| {
            let repeat = pairs.iter().map(|&(value, count)| vec![value; count]);
            repeat.collect::<Vec<_>>().concat()
        };
        let cases: [(Vec<i64>, Vec<i64>, f64, f64); 3] = [
            (
                (1..=10).collect(),
                (3..=12).collect(),
                0.184_550_939_435_011_33,
                0.68,
            ),
            (
                repeated(&[(5, 6), (7, 4), (9, 3)]),
                repeated(&[(5, 2), (7, 5), (9, 5), (11, 2)]),
                0.053_465_694_437_317_975,
                0.711_538_461_538_461_5,
            ),
            (
                vec![-3, 0, 0, 1, 1, 2, 8, 40],
                vec![0, 1, 1, 1, 2, 2, 90, 91, 92],
                0.220_953_622_349_494_3,
                0.680_555_555_555_555_6,
            ),
        ];
        for (before, after, p, larger) in cases {
            let test = mann_whitney(&groups(&before), &groups(&after)).unwrap();
            near(test.p, p);
            near(test.larger, larger);
            let back = mann_whitney(&groups(&after), &groups(&before)).unwrap();
            near(back.p, p);
            near(back.larger, 1.0 - larger);
        }
        assert_eq!(mann_whitney(&[(7, 20)], &[(7, 30)]), None);
    }

    /// `scipy.stats.fisher_exact([[part, rest], [part, rest]]).pvalue` of scipy 1.17.1.
    #[test]
    fn shares_are_tested_as_by_scipy() {
        for ([a, b, c, d], p) in [
            ([3, 5, 4, 50], 0.039_707_492_465_292_815),
            ([18, 147, 123, 58], 7.686_224_774_595_132e-29),
            ([9, 101, 135, 7], 3.333_621_353_384_738e-50),
            ([0, 7, 1, 6], 1.0),
            ([7, 0, 1, 6], 0.004_662_004_662_004_662),
            ([0, 500, 12, 490], 0.000_456_928_029_960_492_75),
            ([10, 990, 40, 960], 1.900_947_494_329_907e-5),
            (
                [100_000, 900_000, 101_000, 899_000],
                0.018_800_806_211_350_142,
            ),
        ] {
            let share = |part, rest| Share {
                part,
                whole: part + rest,
            };
            near(fisher(share(a, b), share(c, d)).unwrap(), p);
            near(fisher(share(c, d), share(a, b)).unwrap(), p);
            near(fisher(share(b, a), share(d, c)).unwrap(), p);
        }
        let all = Share { part: 7, whole: 7 };
        assert_eq!(fisher(all, all), None);
        assert_eq!(fisher(all, Share::default()), None);
    }

    #[test]
    fn counts_of_any_size_end() {
        let most = crate::statistics::MAX_COUNT;
        let half = |more: u64| Share {
            part: most / 2 + more,
            whole: most,
        };
        assert!(fisher(half(0), half(1_000)).unwrap() > 0.9);
        assert!(fisher(half(0), half(most / 4)).unwrap() < 1e-100);
        let test = mann_whitney(&[(0, most), (1, most)], &[(0, most), (1, most + 9)]).unwrap();
        assert!(test.p > 0.9, "{test:?}");
    }

    #[test]
    fn many_tests_are_corrected() {
        assert_eq!(holm(&[]), Vec::<f64>::new());
        let corrected = holm(&[0.04, 0.01, 0.5, 0.03]);
        let expected = [0.09, 0.04, 0.5, 0.09];
        for (found, expected) in corrected.into_iter().zip(expected) {
            near(found, expected);
        }
    }

    /// Numbers that look random, the same in every run (xorshift64*).
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
        }

        /// Exponentially distributed with a mean of a thousand, as times of answers more or less
        /// are.
        fn time(&mut self) -> i64 {
            let share = (self.roll() as f64 + 1.0) / (1_u64 << 53) as f64;
            (-1_000.0 * share.ln()) as i64
        }
    }

    #[test]
    fn samples_of_one_distribution_differ_about_as_often_as_alpha_says() {
        let mut dice = Dice(0x6d65_7368_736e_6966);
        let rounds = 2_000;
        let (mut ranks, mut shares) = (0, 0);
        for _ in 0..rounds {
            let mut sample = |count: usize| {
                let values: Vec<i64> = (0..count).map(|_| dice.time()).collect();
                groups(&values)
            };
            let (before, after) = (sample(30), sample(50));
            ranks += u32::from(mann_whitney(&before, &after).unwrap().p <= 0.05);
            let mut share = |whole: u64| Share {
                part: (0..whole).filter(|_| dice.roll() % 10 < 3).count() as u64,
                whole,
            };
            let test = fisher(share(150), share(200));
            shares += u32::from(test.is_some_and(|p| p <= 0.05));
        }
        // Three standard deviations are 1.5 %. Fisher's test is exact and discrete: it errs on the
        // quiet side.
        let share = |count: u32| f64::from(count) / f64::from(rounds);
        assert!((0.035..=0.065).contains(&share(ranks)), "{ranks}");
        assert!((0.015..=0.055).contains(&share(shares)), "{shares}");
    }

    #[test]
    fn a_shift_is_found() {
        let mut dice = Dice(7);
        let mut sample = |shift: i64| {
            let values: Vec<i64> = (0..100).map(|_| dice.time() + shift).collect();
            groups(&values)
        };
        let test = mann_whitney(&sample(0), &sample(700)).unwrap();
        assert!(test.p < 1e-6 && test.larger > 0.7, "{test:?}");
    }
}
