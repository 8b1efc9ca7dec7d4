//! The figures of a whole report: counts, success rates, timers, gap statistics.
//!
//! Fed with each exchange and connection as it settles; its memory has a ceiling, whatever the traffic,
//! and what found no room is counted. It writes nothing.

use super::timers::Closes;
use crate::exchange::{Connection, Exchange, Gaps, Side, Verdict};
use crate::packet::Endpoint;
use crate::time::Span;
use hashbrown::HashMap;
use hdrhistogram::Histogram;

/// Servers that have a row of their own.
const MOST_SERVERS: usize = 1_024;

/// Closes that came again and again after the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The server of the requests.
    pub server: Endpoint,
    /// Who closed.
    pub closed_by: Side,
    /// How many there were.
    pub count: u64,
    /// The shortest gap from the request's end to the close.
    pub min: Span,
    /// The longest.
    pub max: Span,
    /// The usual figure that both fit.
    pub guess: Option<Span>,
    /// Method and path without query, the first few.
    pub routes: Vec<String>,
    /// Ids of the exchanges, the first thousand.
    pub exchanges: Vec<u64>,
}

/// What clients got of one server, and what the server would say of the same exchanges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SuccessRate {
    /// Exchanges that count: no probes, none unanswered, none uncertain.
    pub counted: u64,
    /// Of these, the good ones.
    pub good: u64,
    /// Of these, the ones that were not good because the client ended them.
    pub ended_by_client: u64,
    /// Connections to this server that were refused or timed out.
    pub connects_failed: u64,
}

/// Count, ends and percentiles (nearest rank) of one gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapStats {
    /// How many exchanges have this gap.
    pub count: u64,
    /// The shortest.
    pub min: Span,
    /// Half are at most this.
    pub p50: Span,
    /// Nine tenths are at most this.
    pub p90: Span,
    /// All but one in a hundred are at most this.
    pub p99: Span,
    /// The longest.
    pub max: Span,
}

/// All figures of a report.
#[derive(Debug, Default)]
pub struct Summary {
    with_probes: bool,
    /// Exchanges, probes included.
    pub exchanges: u64,
    /// Of these, requests of health checkers.
    pub probes: u64,
    /// Of these, the ones whose verdict is not certain.
    pub uncertain: u64,
    /// Exchanges that the selection left out.
    pub filtered_out: u64,
    /// Exchanges by verdict, in the order of [`Verdict::ALL`].
    pub verdicts: [u64; Verdict::ALL.len()],
    /// Exchanges by whether they were good (yes, no, not known); probes only if asked for.
    pub goodness: [u64; 3],
    /// Of those not good: the server answered in full, with a status of 500 or above.
    pub failing_statuses: u64,
    /// Connections that were refused.
    pub connects_refused: u64,
    /// Connections that nobody answered.
    pub connects_timed_out: u64,
    /// Retried SYNs of all connections.
    pub syn_retries: u64,
    /// Exchanges and failed connects whose server found no row.
    pub servers_left_out: u64,
    served: HashMap<Endpoint, SuccessRate>,
    unreachable: HashMap<Endpoint, u64>,
    gaps: [GapValues; Gaps::COUNT],
    closes: Closes,
}

impl Summary {
    /// A summary of nothing. `with_probes`: health checkers count like everybody else.
    #[must_use]
    pub fn new(with_probes: bool) -> Self {
        Self {
            with_probes,
            ..Self::default()
        }
    }

    /// Whether this exchange belongs into rates and lists.
    #[must_use]
    pub const fn counts(&self, exchange: &Exchange) -> bool {
        self.with_probes || !exchange.probe
    }

    /// Takes an exchange in.
    pub fn exchange(&mut self, exchange: &Exchange) {
        self.exchanges += 1;
        self.verdicts[exchange.verdict as usize] += 1;
        self.probes += u64::from(exchange.probe);
        self.uncertain += u64::from(exchange.doubt.is_some());
        if !self.counts(exchange) {
            return;
        }
        let good = exchange.good();
        self.goodness[match good {
            Some(true) => 0,
            Some(false) => 1,
            None => 2,
        }] += 1;
        if good == Some(false) && matches!(exchange.verdict, Verdict::Ok | Verdict::Upgraded) {
            self.failing_statuses += 1;
        }
        for (values, gap) in self.gaps.iter_mut().zip(exchange.gaps.values()) {
            if let Some(gap) = gap {
                values.add(gap.as_nanos());
            }
        }
        if good != Some(true) {
            self.closes.add(exchange);
        }
        self.rate(exchange, good);
    }

    fn rate(&mut self, exchange: &Exchange, good: Option<bool>) {
        let room = self.served.len() < MOST_SERVERS;
        let rate = match self.served.entry(exchange.server) {
            hashbrown::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hashbrown::hash_map::Entry::Vacant(entry) if room => {
                entry.insert(SuccessRate::default())
            }
            hashbrown::hash_map::Entry::Vacant(_) => {
                self.servers_left_out += 1;
                return;
            }
        };
        if exchange.verdict == Verdict::Unanswered || exchange.doubt.is_some() {
            return;
        }
        rate.counted += 1;
        if good == Some(true) {
            rate.good += 1;
        } else if exchange.verdict.ended_by_client() {
            rate.ended_by_client += 1;
        }
    }

    /// Takes a connection in.
    pub fn connection(&mut self, connection: &Connection) {
        self.syn_retries += connection.syn_retries;
        match connection.verdict {
            Some(Verdict::ConnectRefused) => self.connects_refused += 1,
            Some(Verdict::ConnectTimeout) => self.connects_timed_out += 1,
            _ => return,
        }
        if let Some(failed) = self.unreachable.get_mut(&connection.server) {
            *failed += 1;
        } else if self.unreachable.len() < MOST_SERVERS {
            self.unreachable.insert(connection.server, 1);
        } else {
            self.servers_left_out += 1;
        }
    }

    /// Notes an exchange that was not selected.
    pub const fn left_out(&mut self) {
        self.filtered_out += 1;
    }

    /// Connections that were refused or timed out.
    #[must_use]
    pub const fn connects_failed(&self) -> u64 {
        self.connects_refused + self.connects_timed_out
    }

    /// How many exchanges came to this verdict.
    #[must_use]
    pub const fn count(&self, verdict: Verdict) -> u64 {
        self.verdicts[verdict as usize]
    }

    /// One row for each server, by address and port.
    #[must_use]
    pub fn success_rates(&self) -> Vec<(Endpoint, SuccessRate)> {
        let mut rates: HashMap<Endpoint, SuccessRate> = self.served.clone();
        for (server, failed) in &self.unreachable {
            rates.entry(*server).or_default().connects_failed = *failed;
        }
        let mut rates: Vec<_> = rates.into_iter().collect();
        rates.sort_unstable_by_key(|(server, _)| *server);
        rates
    }

    /// The timers, by server, closing side and length.
    #[must_use]
    pub fn timers(&self) -> Vec<Timer> {
        self.closes.timers()
    }

    /// Closes that were too many to be looked at for timers.
    #[must_use]
    pub const fn closes_left_out(&self) -> u64 {
        self.closes.left_out()
    }

    /// Statistics of each gap that occurs, with its name, in the order of [`Gaps::NAMES`].
    pub fn gaps(&self) -> impl Iterator<Item = (&'static str, GapStats)> {
        Gaps::NAMES
            .into_iter()
            .zip(&self.gaps)
            .filter_map(|(name, values)| Some((name, values.stats()?)))
    }

    /// Statistics of the gap with this name.
    #[must_use]
    pub fn gap(&self, name: &str) -> Option<GapStats> {
        self.gaps()
            .find_map(|(found, stats)| (found == name).then_some(stats))
    }
}

impl SuccessRate {
    /// Of `counted`, those that a server would call a success: good, or ended by the client.
    #[must_use]
    pub const fn server_good(&self) -> u64 {
        self.good + self.ended_by_client
    }
}

/// Values of one gap: all of them while they are few, then a histogram with three significant digits.
#[derive(Debug, Default)]
struct GapValues {
    few: Vec<i64>,
    many: Option<Box<Histograms>>,
    count: u64,
    min: i64,
    max: i64,
}

#[derive(Debug)]
struct Histograms {
    /// Gaps below zero, by magnitude: an early answer has one.
    below: Histogram<u64>,
    rest: Histogram<u64>,
}

impl GapValues {
    const FEW: usize = 4_096;
    const SIGNIFICANT_DIGITS: u8 = 3;

    fn add(&mut self, nanos: i64) {
        if self.count == 0 {
            (self.min, self.max) = (nanos, nanos);
        } else {
            self.min = self.min.min(nanos);
            self.max = self.max.max(nanos);
        }
        self.count += 1;
        if let Some(many) = &mut self.many {
            many.add(nanos);
            return;
        }
        if self.few.len() < Self::FEW {
            self.few.push(nanos);
            return;
        }
        // The constructor refuses only more than five digits.
        let (Ok(below), Ok(rest)) = (
            Histogram::new(Self::SIGNIFICANT_DIGITS),
            Histogram::new(Self::SIGNIFICANT_DIGITS),
        ) else {
            return;
        };
        let mut many = Box::new(Histograms { below, rest });
        for &value in &self.few {
            many.add(value);
        }
        many.add(nanos);
        self.few = Vec::new();
        self.many = Some(many);
    }

    fn stats(&self) -> Option<GapStats> {
        if self.count == 0 {
            return None;
        }
        let mut sorted = self.few.clone();
        sorted.sort_unstable();
        let at = |percent: u64| {
            let rank = rank(percent, self.count);
            let nanos = match &self.many {
                None => usize::try_from(rank - 1)
                    .ok()
                    .and_then(|index| sorted.get(index).copied())
                    .unwrap_or(self.max),
                Some(many) => many.at_rank(rank, self.count),
            };
            Span::from_nanos(nanos.clamp(self.min, self.max))
        };
        Some(GapStats {
            count: self.count,
            min: Span::from_nanos(self.min),
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: Span::from_nanos(self.max),
        })
    }
}

/// The nearest rank of a percentile among `count` sorted values, from 1.
fn rank(percent: u64, count: u64) -> u64 {
    let rank = (u128::from(percent) * u128::from(count)).div_ceil(100);
    u64::try_from(rank).unwrap_or(count).clamp(1, count)
}

impl Histograms {
    fn add(&mut self, nanos: i64) {
        let histogram = if nanos < 0 {
            &mut self.below
        } else {
            &mut self.rest
        };
        // `record` grows the histogram as it must; only a value beyond all of them is taken as its end.
        if histogram.record(nanos.unsigned_abs()).is_err() {
            histogram.saturating_record(nanos.unsigned_abs());
        }
    }

    fn at_rank(&self, rank: u64, count: u64) -> i64 {
        let below = self.below.len();
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        if rank <= below {
            // The lowest value is the one of the largest magnitude.
            -signed(value_at(&self.below, below - rank + 1, below))
        } else {
            signed(value_at(&self.rest, rank - below, count - below))
        }
    }
}

fn value_at(histogram: &Histogram<u64>, rank: u64, count: u64) -> u64 {
    // Half a rank less, so that rounding in the division cannot reach the next value.
    histogram.value_at_quantile((rank as f64 - 0.5) / count.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;
    use crate::exchange::Doubt;

    #[test]
    fn the_puzzle_in_two_numbers() {
        let mut summary = Summary::new(false);
        for _ in 0..3 {
            summary.exchange(&fixtures::ok());
        }
        summary.exchange(&fixtures::gave_up());
        let rates = summary.success_rates();
        assert_eq!(rates.len(), 1);
        let rate = rates[0].1;
        assert_eq!((rate.counted, rate.good, rate.server_good()), (4, 3, 4));
        assert_eq!(summary.count(Verdict::ClientGaveUp), 1);
        assert_eq!(summary.goodness, [3, 1, 0]);
    }

    #[test]
    fn probes_unanswered_and_uncertain_are_kept_out_of_rates() {
        let probe = Exchange {
            probe: true,
            ..fixtures::ok()
        };
        let unanswered = fixtures::unanswered();
        let uncertain = Exchange {
            doubt: Some(Doubt::SequenceHole),
            ..fixtures::gave_up()
        };
        let mut summary = Summary::new(false);
        summary.exchange(&probe);
        assert!(summary.success_rates().is_empty());
        assert_eq!(summary.gaps().count(), 0);
        summary.exchange(&unanswered);
        summary.exchange(&uncertain);
        assert_eq!(summary.success_rates()[0].1.counted, 0);
        assert_eq!((summary.exchanges, summary.probes), (3, 1));

        let mut summary = Summary::new(true);
        summary.exchange(&probe);
        assert_eq!(summary.success_rates()[0].1.counted, 1);
    }

    #[test]
    fn failed_connects_stand_beside() {
        let mut summary = Summary::new(false);
        summary.connection(&fixtures::refused());
        summary.connection(&fixtures::connect_timeout());
        summary.connection(&fixtures::connection());
        assert_eq!(summary.connects_failed(), 2);
        let rate = summary.success_rates()[0].1;
        assert_eq!((rate.counted, rate.connects_failed), (0, 2));
    }

    #[test]
    fn tables_have_ceilings() {
        let mut summary = Summary::new(false);
        let servers = u16::try_from(MOST_SERVERS).unwrap() + 10;
        for port in 0..servers {
            let server = Endpoint::v4([10, 0, 0, 1], port);
            summary.exchange(&Exchange {
                server,
                ..fixtures::ok()
            });
            summary.connection(&Connection {
                server,
                ..fixtures::refused()
            });
        }
        assert_eq!(summary.success_rates().len(), MOST_SERVERS);
        assert_eq!(summary.servers_left_out, 20);
    }

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
    fn every_verdict_has_its_place() {
        for (index, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, index);
        }
    }
}
