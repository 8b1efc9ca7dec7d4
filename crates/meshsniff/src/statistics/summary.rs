//! The figures of a whole report: counts, success rates, timers and gap statistics.
//!
//! A summary takes in each exchange and connection as it settles. Its memory is bounded, whatever
//! the traffic, and it counts what found no room. Several summaries make one ([`Summary::merge`]),
//! and one can be sent to another program in parts of bounded size ([`parts`]).

use super::endings::{Endings, ProcessEnd};
use super::gap_values::{GapStats, GapValues};
#[cfg(doc)]
use super::parts;
use super::problems::{Context, Example, MAX_PROBLEMS, Problem, Problems};
use super::rate::SuccessRate;
use super::routes::Routes;
use super::timers::{Closes, Timer};
use crate::exchange::{Connection, Doubt, Exchange, Finding, FindingKind, Gap, Gaps, Verdict};
use crate::packet::Endpoint;
use crate::protocol::tls::{NotRead, Part};
use crate::time::Span;
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Servers with a row of their own.
pub(super) const MAX_SERVERS: usize = 1_024;

/// All figures of a report.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    with_probes: bool,
    /// Exchanges, probes included.
    pub exchanges: u64,
    /// Requests of health checkers among them.
    pub probes: u64,
    /// Exchanges among them whose verdict is uncertain.
    pub uncertain: u64,
    /// Uncertain exchanges by why they are, in the order of [`Doubt::ALL`].
    pub doubts: [u64; Doubt::ALL.len()],
    /// Exchanges that the filter left out.
    pub filtered_out: u64,
    /// Exchanges by verdict, in the order of [`Verdict::ALL`].
    pub verdicts: [u64; Verdict::ALL.len()],
    /// Exchanges that were good, that were not, and of which it is not known. Probes count only if
    /// asked for.
    pub goodness: [u64; 3],
    /// Exchanges that were answered in full, with a status of 500 or above.
    pub failing_statuses: u64,
    /// Calls that were answered in full, with a 200, and failed by their own status.
    pub failed_calls: u64,
    /// Calls that were answered so, and whose own status is not known.
    pub unknown_calls: u64,
    /// Connections by verdict, in the order of [`Verdict::OF_CONNECTIONS`].
    pub connections: [u64; Verdict::OF_CONNECTIONS.len()],
    /// Exchanges by the hundreds of their status; the first is of those without one.
    pub statuses: [u64; 6],
    /// Retried SYNs of all connections.
    pub syn_retries: u64,
    /// Exchanges and failed connects whose server has no row.
    pub servers_left_out: u64,
    pub(super) served: HashMap<Endpoint, SuccessRate>,
    pub(super) unreachable: HashMap<Endpoint, u64>,
    pub(super) gaps: [GapValues; Gaps::COUNT],
    pub(super) findings: [GapValues; FindingKind::ALL.len()],
    pub(super) handshakes: [GapValues; Part::ALL.len()],
    pub(super) closes: Closes,
    pub(super) endings: Endings,
    pub(super) problems: Problems,
    /// Connections of TLS that keys did not open, by why. An agent has no keys: it is not carried.
    not_read: [u64; NotRead::ALL.len()],
}

impl Summary {
    /// Creates an empty summary. `with_probes`: health checkers count like everybody else.
    #[must_use]
    pub fn new(with_probes: bool) -> Self {
        Self {
            with_probes,
            ..Self::default()
        }
    }

    /// Whether an exchange counts in rates and is listed.
    #[must_use]
    pub const fn counts(&self, exchange: &Exchange) -> bool {
        self.with_probes || !exchange.probe
    }

    /// Takes an exchange in.
    pub fn exchange(&mut self, exchange: &Exchange) {
        self.exchanges += 1;
        self.verdicts[exchange.verdict as usize] += 1;
        self.probes += u64::from(exchange.probe);
        if let Some(doubt) = exchange.doubt {
            self.uncertain += 1;
            self.doubts[doubt as usize] += 1;
        }
        if !self.counts(exchange) {
            return;
        }
        let good = exchange.good();
        self.goodness[match good {
            Some(true) => 0,
            Some(false) => 1,
            None => 2,
        }] += 1;
        let answered = matches!(exchange.verdict, Verdict::Ok | Verdict::Upgraded);
        if answered && exchange.status.is_some_and(|status| status >= 500) {
            self.failing_statuses += 1;
        }
        if answered && exchange.grpc.is_some() && exchange.status == Some(200) {
            self.failed_calls += u64::from(good == Some(false));
            self.unknown_calls += u64::from(good.is_none());
        }
        let class = exchange
            .status
            .map_or(0, |status| usize::from(status / 100));
        self.statuses[if class < 6 { class } else { 0 }] += 1;
        for (values, gap) in self.gaps.iter_mut().zip(exchange.gaps.values()) {
            if let Some(gap) = gap {
                values.add(gap.as_nanos());
            }
        }
        if good != Some(true) {
            self.endings.add_exchange(exchange);
            self.closes.add(exchange);
        }
        if !exchange.findings.is_empty() {
            self.found(&exchange.findings);
        }
        self.problems.exchange(exchange);
        self.rate(exchange, good);
    }

    /// Takes in what findings cost one exchange, a value for each kind.
    fn found(&mut self, findings: &[Finding]) {
        let mut costs = [None::<Span>; FindingKind::ALL.len()];
        for finding in findings {
            let cost = &mut costs[finding.kind as usize];
            *cost = Some(cost.map_or(finding.cost, |sum| sum.plus(finding.cost)));
        }
        for (values, cost) in self.findings.iter_mut().zip(costs) {
            if let Some(cost) = cost {
                values.add(cost.as_nanos());
            }
        }
    }

    /// Counts good exchanges of which only the routes are known, for what others are a share of.
    pub fn good_by_route(&mut self, routes: &Routes) {
        for (route, counted) in routes.sorted() {
            self.problems.good(route, counted.exchanges);
            if let Some(rate) = self.rate_of(route.server) {
                for count in [&mut rate.exchanges, &mut rate.counted, &mut rate.good] {
                    *count = count.saturating_add(counted.exchanges);
                }
            }
        }
    }

    /// The row of a server; `None` if there is no room for another.
    fn rate_of(&mut self, server: Endpoint) -> Option<&mut SuccessRate> {
        let room = self.served.len() < MAX_SERVERS;
        match self.served.entry(server) {
            hashbrown::hash_map::Entry::Occupied(entry) => Some(entry.into_mut()),
            hashbrown::hash_map::Entry::Vacant(entry) if room => {
                Some(entry.insert(SuccessRate::default()))
            }
            hashbrown::hash_map::Entry::Vacant(_) => None,
        }
    }

    fn rate(&mut self, exchange: &Exchange, good: Option<bool>) {
        let Some(rate) = self.rate_of(exchange.server) else {
            self.servers_left_out += 1;
            return;
        };
        rate.exchanges += 1;
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
        self.syn_retries = self.syn_retries.saturating_add(connection.syn_retries);
        self.closes.add_connection(connection);
        self.endings.add_connection(connection);
        self.problems.connection(connection);
        if let Some(tls) = &connection.tls {
            for (values, part) in self.handshakes.iter_mut().zip(Part::ALL) {
                if let Some(span) = tls.part(part) {
                    values.add(span.as_nanos());
                }
            }
            if let Some(why) = tls.not_read {
                self.not_read[why as usize] += 1;
            }
        }
        let Some(verdict) = connection.verdict else {
            return;
        };
        let place = Verdict::OF_CONNECTIONS
            .into_iter()
            .position(|of| of == verdict);
        if let Some(place) = place {
            self.connections[place] += 1;
        }
        if !matches!(verdict, Verdict::ConnectRefused | Verdict::ConnectTimeout) {
            return;
        }
        if let Some(failed) = self.unreachable.get_mut(&connection.server) {
            *failed += 1;
        } else if self.unreachable.len() < MAX_SERVERS {
            self.unreachable.insert(connection.server, 1);
        } else {
            self.servers_left_out += 1;
        }
    }

    /// Connections of TLS that keys did not open, for that reason.
    #[must_use]
    pub const fn not_read(&self, why: NotRead) -> u64 {
        self.not_read[why as usize]
    }

    /// Adds another summary, of other exchanges.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.not_read.iter_mut().zip(other.not_read) {
            *count = count.saturating_add(more);
        }
        for (count, more) in self
            .plain_counts_mut()
            .into_iter()
            .zip(other.plain_counts())
        {
            *count = count.saturating_add(more);
        }
        for (server, rate) in &other.served {
            let room = self.served.len() < MAX_SERVERS;
            match self.served.entry(*server) {
                hashbrown::hash_map::Entry::Occupied(entry) => entry.into_mut().merge(rate),
                hashbrown::hash_map::Entry::Vacant(entry) if room => {
                    entry.insert(*rate);
                }
                hashbrown::hash_map::Entry::Vacant(_) => self.left_out_of_rows(rate.counted),
            }
        }
        for (server, failed) in &other.unreachable {
            let room = self.unreachable.len() < MAX_SERVERS;
            match self.unreachable.entry(*server) {
                hashbrown::hash_map::Entry::Occupied(mut entry) => {
                    *entry.get_mut() = entry.get().saturating_add(*failed);
                }
                hashbrown::hash_map::Entry::Vacant(entry) if room => {
                    entry.insert(*failed);
                }
                hashbrown::hash_map::Entry::Vacant(_) => self.left_out_of_rows(*failed),
            }
        }
        for (values, more) in self.gaps.iter_mut().zip(&other.gaps) {
            values.merge(more);
        }
        for (values, more) in self.findings.iter_mut().zip(&other.findings) {
            values.merge(more);
        }
        for (values, more) in self.handshakes.iter_mut().zip(&other.handshakes) {
            values.merge(more);
        }
        self.closes.merge(&other.closes);
        self.endings.merge(&other.endings);
        self.problems.merge(&other.problems);
    }

    const fn left_out_of_rows(&mut self, count: u64) {
        self.servers_left_out = self.servers_left_out.saturating_add(count);
    }

    /// Every plain count; those by verdict and goodness come last. For [`Summary::merge`] and
    /// [`parts`].
    pub(super) fn plain_counts_mut(&mut self) -> impl IntoIterator<Item = &mut u64> {
        [
            &mut self.exchanges,
            &mut self.probes,
            &mut self.uncertain,
            &mut self.filtered_out,
            &mut self.failing_statuses,
            &mut self.failed_calls,
            &mut self.unknown_calls,
            &mut self.syn_retries,
            &mut self.servers_left_out,
        ]
        .into_iter()
        .chain(&mut self.verdicts)
        .chain(&mut self.connections)
        .chain(&mut self.doubts)
        .chain(&mut self.statuses)
        .chain(&mut self.goodness)
    }

    /// The same counts in the same order.
    pub(super) fn plain_counts(&self) -> impl Iterator<Item = u64> {
        [
            self.exchanges,
            self.probes,
            self.uncertain,
            self.filtered_out,
            self.failing_statuses,
            self.failed_calls,
            self.unknown_calls,
            self.syn_retries,
            self.servers_left_out,
        ]
        .into_iter()
        .chain(self.verdicts)
        .chain(self.connections)
        .chain(self.doubts)
        .chain(self.statuses)
        .chain(self.goodness)
    }

    /// Counts an exchange that the filter left out.
    pub const fn left_out(&mut self) {
        self.filtered_out += 1;
    }

    /// Connections that were refused or timed out.
    #[must_use]
    pub const fn connects_failed(&self) -> u64 {
        let [refused, timed_out, ..] = self.connections;
        refused.saturating_add(timed_out)
    }

    /// Connections whose TLS handshake failed.
    #[must_use]
    pub fn handshakes_failed(&self) -> u64 {
        let of_connections = Verdict::OF_CONNECTIONS.into_iter().zip(self.connections);
        let failed = of_connections.filter(|(verdict, _)| {
            matches!(
                verdict,
                Verdict::TlsUnanswered | Verdict::TlsFailed | Verdict::TlsRefusedPlain
            )
        });
        failed.map(|(_, count)| count).fold(0, u64::saturating_add)
    }

    /// The number of exchanges with this verdict.
    #[must_use]
    pub const fn count(&self, verdict: Verdict) -> u64 {
        self.verdicts[verdict as usize]
    }

    /// The success rates by server.
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

    /// Addresses worth a name: of the servers, and of whoever is in a problem. Loopback addresses
    /// are every host's own.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        let mut ends: Vec<Endpoint> = Vec::new();
        ends.extend(self.success_rates().into_iter().map(|(server, _)| server));
        for problem in self.problems().0 {
            ends.push(problem.server);
            ends.extend(problem.behind.iter().map(|one| one.server));
            ends.extend(problem.example.as_ref().map(Example::client));
        }
        let addresses = ends.into_iter().map(Endpoint::ip);
        addresses.filter(|address| !address.is_loopback()).collect()
    }

    /// The timers, by server, closing side and length.
    #[must_use]
    pub fn timers(&self) -> Vec<Timer> {
        self.closes.timers(&self.endings.ends())
    }

    /// Processes that ended, by server and time.
    #[must_use]
    pub fn process_ends(&self) -> Vec<ProcessEnd> {
        self.endings.ends()
    }

    /// The problems, the worst first, and how many there are beyond those that are told.
    #[must_use]
    pub fn problems(&self) -> (Vec<Problem>, u64) {
        let mut problems = self.all_problems();
        let beyond = problems.len().saturating_sub(MAX_PROBLEMS) as u64;
        problems.truncate(MAX_PROBLEMS);
        (problems, beyond)
    }

    /// The same, however many there are.
    pub(crate) fn all_problems(&self) -> Vec<Problem> {
        let (rates, ends) = (self.success_rates(), self.process_ends());
        self.problems.told(&Context {
            timers: &self.closes.timers(&ends),
            ends: &ends,
            rates: &rates,
        })
    }

    /// Exchanges and connections with a problem that found no room among the others.
    #[must_use]
    pub const fn problems_left_out(&self) -> u64 {
        self.problems.left_out()
    }

    /// Closes that were too many to be searched for timers.
    #[must_use]
    pub const fn closes_left_out(&self) -> u64 {
        self.closes.left_out()
    }

    /// Statistics of each gap that occurs, in the order of [`Gap::ALL`].
    pub fn gaps(&self) -> impl Iterator<Item = (Gap, GapStats)> {
        let all = Gap::ALL.into_iter().zip(&self.gaps);
        all.filter_map(|(gap, values)| Some((gap, values.stats()?)))
    }

    /// What each kind of finding cost the exchanges that have it, in the order of
    /// [`FindingKind::ALL`].
    pub fn findings(&self) -> impl Iterator<Item = (FindingKind, GapStats)> {
        let all = FindingKind::ALL.into_iter().zip(&self.findings);
        all.filter_map(|(kind, costs)| Some((kind, costs.stats()?)))
    }

    /// Statistics of each part of TLS handshakes, in the order of [`Part::ALL`].
    pub fn handshakes(&self) -> impl Iterator<Item = (Part, GapStats)> {
        let all = Part::ALL.into_iter().zip(&self.handshakes);
        all.filter_map(|(part, values)| Some((part, values.stats()?)))
    }

    /// Statistics of a gap; `None` if no exchange has it.
    #[must_use]
    pub fn gap(&self, gap: Gap) -> Option<GapStats> {
        self.gaps[gap as usize].stats()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Doubt;
    use crate::testing::fixtures;

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
        let servers = u16::try_from(MAX_SERVERS).unwrap() + 10;
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
        assert_eq!(summary.success_rates().len(), MAX_SERVERS);
        assert_eq!(summary.servers_left_out, 20);
    }

    #[test]
    fn every_verdict_has_its_place() {
        for (index, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, index);
        }
    }
}
