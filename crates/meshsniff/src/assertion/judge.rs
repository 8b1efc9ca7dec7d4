//! Evaluates assertions on exchanges and connections.

use super::language::{Assertion, Bound, BoundValue, Measure};
use crate::condition::{Filter, Operator};
use crate::event::{Conclusion, Outcome};
use crate::exchange::{Connection, Exchange, Verdict};
use crate::mesh::is_probed;
use crate::piece::{Counted, Exact, Grouped, Percent, push, said};
use crate::statistics::gap_values::Percentile;
use crate::statistics::problems::Example;
use crate::statistics::tally::Tally;
use crate::statistics::{Problem, Severity, Summary};
use crate::time::Span;

/// Examples kept of an assertion.
const MAX_SHOWN: usize = 10;
/// Examples kept of an assertion on a statistic, where almost every exchange is one.
const MAX_OF_STATISTIC: usize = 3;

/// Assertions, and the exchanges they are about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// The assertions.
    pub assertions: Vec<Assertion>,
    /// Whether an assertion passes if there was no traffic to evaluate it on.
    pub allow_no_traffic: bool,
    /// Whether health checkers count like everybody else.
    pub probes: bool,
    /// Which exchanges the report is about.
    pub filter: Filter,
}

/// Evaluates assertions as exchanges and connections come.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    rules: Rules,
    checks: Vec<AssertionState>,
    /// What problems are found in, if an assertion is about them.
    summary: Option<Box<Summary>>,
}

/// The state of one assertion.
#[derive(Clone, Debug, Default)]
struct AssertionState {
    tally: Tally,
    exchanges: Vec<Exchange>,
    connections: Vec<Connection>,
}

impl Judge {
    /// Creates a judge that has seen nothing yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            checks: vec![AssertionState::default(); rules.assertions.len()],
            summary: rules
                .assertions
                .iter()
                .any(Assertion::is_about_problems)
                .then(|| Box::new(Summary::new(rules.probes))),
            rules,
        }
    }

    /// Whether there is no assertion.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.checks.is_empty()
    }

    /// Takes an exchange in.
    pub fn exchange(&mut self, exchange: &Exchange) {
        if self.is_idle() || !self.concerns(exchange) {
            return;
        }
        if let Some(summary) = &mut self.summary {
            summary.exchange(exchange);
        }
        for (assertion, check) in self.rules.assertions.iter().zip(&mut self.checks) {
            let of_exchanges = !matches!(
                assertion.what,
                Measure::Connects(_) | Measure::Handshakes(_) | Measure::Dropped
            );
            if of_exchanges && assertion.only.exchange(exchange) {
                check.exchange(assertion, exchange);
                check.show(assertion, exchange);
            }
        }
    }

    /// Whether this exchange is an example that some assertion still lacks. It is then sent in
    /// full, however well it went.
    #[must_use]
    pub fn wants(&self, exchange: &Exchange) -> bool {
        !self.is_idle()
            && self.concerns(exchange)
            && self
                .rules
                .assertions
                .iter()
                .zip(&self.checks)
                .any(|(assertion, check)| {
                    check.exchanges.len() < MAX_SHOWN
                        && !matches!(assertion.what, Measure::SuccessRate { .. })
                        && assertion.only.exchange(exchange)
                        && assertion.is_hit(exchange) == Some(true)
                })
    }

    /// Takes in an exchange as an example only: it was counted elsewhere.
    pub fn example(&mut self, exchange: &Exchange) {
        if !self.concerns(exchange) {
            return;
        }
        for (assertion, check) in self.rules.assertions.iter().zip(&mut self.checks) {
            if assertion.only.exchange(exchange) {
                check.show(assertion, exchange);
            }
        }
    }

    /// Takes a connection in.
    pub fn connection(&mut self, connection: &Connection) {
        // Problems are those of the report, which takes in every connection.
        if let Some(summary) = &mut self.summary
            && self.rules.filter.connection(connection)
        {
            summary.connection(connection);
        }
        if connection.is_udp() {
            // It was not opened, and so did not fail to be.
            return;
        }
        let probe = is_probed(connection.server.port);
        if probe && !self.rules.probes || !self.rules.filter.connection(connection) {
            return;
        }
        for (assertion, check) in self.rules.assertions.iter().zip(&mut self.checks) {
            if assertion.only.connection(connection) {
                check.connection(assertion, connection);
            }
        }
    }

    /// The counts of all assertions, in their order.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        self.checks
            .iter()
            .map(|check| check.tally.clone())
            .collect()
    }

    /// Adds the counts of another judge of the same assertions.
    pub fn merge(&mut self, tallies: &[Tally]) {
        for (check, tally) in self.checks.iter_mut().zip(tallies) {
            check.tally.merge(tally);
        }
    }

    /// Adds the figures of exchanges and connections that are told nowhere.
    pub fn merge_summary(&mut self, other: &Summary) {
        if let Some(summary) = &mut self.summary {
            summary.merge(other);
        }
    }

    /// The results of all assertions. `dropped`: packets that the capturing kernel lost, if that is
    /// known.
    #[must_use]
    pub fn outcomes(&self, dropped: Option<u64>) -> Vec<Outcome> {
        let checks = self.rules.assertions.iter().zip(&self.checks);
        let problems = self.summary.as_ref().map(|summary| summary.all_problems());
        let problems = problems.unwrap_or_default();
        let judged = checks.map(|(assertion, check)| {
            let of_it: Vec<&Problem> = assertion.problems(&problems).collect();
            let (mut verdict, observed) = assertion.judge(&check.tally, dropped, &of_it);
            if verdict == Conclusion::NoTraffic && self.rules.allow_no_traffic {
                verdict = Conclusion::Passed;
            }
            let mut outcome = Outcome {
                assertion: assertion.typed.clone(),
                verdict,
                observed,
                exchanges: Vec::new(),
                connections: Vec::new(),
            };
            if verdict == Conclusion::Failed {
                outcome.exchanges.clone_from(&check.exchanges);
                outcome.connections.clone_from(&check.connections);
                for problem in of_it.into_iter().take(MAX_SHOWN) {
                    match &problem.example {
                        Some(Example::Exchange(one)) => outcome.exchanges.push((**one).clone()),
                        Some(Example::Connection(one)) => outcome.connections.push((**one).clone()),
                        None => {}
                    }
                }
            }
            outcome
        });
        judged.collect()
    }

    fn concerns(&self, exchange: &Exchange) -> bool {
        (self.rules.probes || !exchange.probe) && self.rules.filter.exchange(exchange)
    }
}

impl AssertionState {
    fn exchange(&mut self, assertion: &Assertion, exchange: &Exchange) {
        match assertion.what {
            Measure::SuccessRate { .. }
                if exchange.verdict == Verdict::Unanswered || exchange.doubt.is_some() =>
            {
                return;
            }
            Measure::Percentile(gap, _) => {
                if let Some(gap) = exchange.gaps.get(gap) {
                    self.tally.value(gap);
                }
            }
            Measure::EachGap(gap) => {
                if assertion.is_hit(exchange) == Some(true)
                    && let Some(gap) = exchange.gaps.get(gap)
                {
                    self.tally.value(gap);
                }
            }
            _ => {}
        }
        self.tally.look(assertion.is_hit(exchange) == Some(true));
    }

    /// Keeps an exchange if it is an example of what the assertion is about.
    fn show(&mut self, assertion: &Assertion, exchange: &Exchange) {
        let kept = &mut self.exchanges;
        match assertion.what {
            Measure::Percentile(gap, _) => {
                let rank = |one: &Exchange| {
                    let gap = one.gaps.get(gap).map_or(0, Span::as_nanos);
                    if assertion.bound.operator.is_upper() {
                        gap.saturating_neg()
                    } else {
                        gap
                    }
                };
                if exchange.gaps.get(gap).is_some() {
                    let place = kept.partition_point(|other| rank(other) <= rank(exchange));
                    if place < MAX_OF_STATISTIC {
                        kept.insert(place, exchange.kept());
                        kept.truncate(MAX_OF_STATISTIC);
                    }
                }
            }
            Measure::SuccessRate { of_server } => {
                let good = exchange.good() == Some(true)
                    || (of_server && exchange.verdict.ended_by_client());
                if !good && exchange.doubt.is_none() && kept.len() < MAX_SHOWN {
                    kept.push(exchange.kept());
                }
            }
            _ => {
                if kept.len() < MAX_SHOWN && assertion.is_hit(exchange) == Some(true) {
                    kept.push(exchange.kept());
                }
            }
        }
    }

    fn connection(&mut self, assertion: &Assertion, connection: &Connection) {
        let hit = match assertion.what {
            Measure::Connects(verdicts) => {
                let verdict = connection.verdict;
                verdict.is_some_and(|verdict| verdicts.contains(&verdict))
            }
            Measure::Handshakes(part) => {
                let tls = connection.tls.as_ref();
                let Some(took) = tls.and_then(|tls| tls.part(part)) else {
                    return;
                };
                let hit = assertion.is_beyond(took);
                if hit {
                    self.tally.value(took);
                }
                hit
            }
            _ => return,
        };
        self.tally.look(hit);
        if hit && self.connections.len() < MAX_SHOWN {
            self.connections.push(connection.clone());
        }
    }
}

impl Assertion {
    /// Whether the assertion counts an exchange that it is about; `None` if it counts none.
    fn is_hit(&self, exchange: &Exchange) -> Option<bool> {
        match &self.what {
            Measure::Fitting(filter) => Some(filter.exchange(exchange)),
            Measure::NotGood => Some(exchange.good() == Some(false)),
            Measure::EachGap(gap) => {
                let gap = exchange.gaps.get(*gap);
                Some(gap.is_some_and(|gap| self.is_beyond(gap)))
            }
            Measure::SuccessRate { of_server } => Some(
                exchange.good() == Some(true) || (*of_server && exchange.verdict.ended_by_client()),
            ),
            Measure::Exchanges
            | Measure::Connects(_)
            | Measure::Handshakes(_)
            | Measure::Percentile(..)
            | Measure::Problems(_)
            | Measure::Dropped => None,
        }
    }

    /// Whether a time is beyond the bound.
    fn is_beyond(&self, span: Span) -> bool {
        match self.bound.value {
            BoundValue::Span(bound) => self.bound.operator.holds(span, bound),
            BoundValue::Count(_) | BoundValue::Share(_) => false,
        }
    }

    /// The problems that it is about.
    fn problems<'a>(&self, all: &'a [Problem]) -> impl Iterator<Item = &'a Problem> {
        let asked = match self.what {
            Measure::Problems(kind) => Some(kind),
            _ => None,
        };
        all.iter().filter(move |problem| match asked {
            Some(Some(kind)) => problem.kind == kind,
            Some(None) => problem.severity != Severity::Note,
            None => false,
        })
    }

    fn judge(
        &self,
        tally: &Tally,
        dropped: Option<u64>,
        problems: &[&Problem],
    ) -> (Conclusion, String) {
        let &Bound { operator, value } = &self.bound;
        let count = tally.looked_at();
        let hits = tally.hits();
        let judged = |fails: bool| {
            if fails {
                Conclusion::Failed
            } else {
                Conclusion::Passed
            }
        };
        match &self.what {
            Measure::Exchanges => (
                judged(counts(operator, count, value)),
                said!(exchanges(count)),
            ),
            Measure::Dropped => match dropped {
                Some(dropped) => (
                    judged(counts(operator, dropped, value)),
                    said!(Counted(dropped, "packet", "packets"), " lost"),
                ),
                None => (
                    Conclusion::NoTraffic,
                    "the capture does not say how many packets were lost".to_owned(),
                ),
            },
            Measure::Problems(_) if count == 0 && problems.is_empty() => (
                Conclusion::NoTraffic,
                "nothing to judge: there was no exchange".to_owned(),
            ),
            Measure::Problems(_) => {
                let found = problems.len() as u64;
                let mut observed = said!(Counted(found, "problem", "problems"));
                for (index, problem) in problems.iter().take(MAX_SHOWN).enumerate() {
                    observed.push_str(if index == 0 { ": " } else { ", " });
                    push!(&mut observed; problem.kind.name());
                    if let Some(of) = problem.of {
                        push!(&mut observed; " ", Grouped(problem.count), " of ", Grouped(of));
                    }
                }
                (judged(counts(operator, found, value)), observed)
            }
            Measure::Connects(_) if count == 0 => (
                Conclusion::NoTraffic,
                "nothing to judge: there was no connection".to_owned(),
            ),
            Measure::Connects(_) => {
                let observed = said!(
                    Grouped(hits),
                    " of ",
                    Counted(count, "connection", "connections")
                );
                (judged(counts(operator, hits, value)), observed)
            }
            Measure::Handshakes(_) if count == 0 => (
                Conclusion::NoTraffic,
                "nothing to judge: there was no TLS handshake".to_owned(),
            ),
            Measure::Handshakes(_) => {
                let mut observed = said!(
                    Grouped(hits),
                    " of ",
                    Counted(count, "handshake", "handshakes")
                );
                self.push_extreme(&mut observed, tally);
                (judged(hits > 0), observed)
            }
            _ if count == 0 => (
                Conclusion::NoTraffic,
                if self.only.selects_all() {
                    "nothing to judge: there was no exchange".to_owned()
                } else {
                    "nothing to judge: no exchange was of this kind".to_owned()
                },
            ),
            Measure::Fitting(_) | Measure::NotGood => {
                let fails = match value {
                    BoundValue::Share(share) => shares(operator, hits, count, share),
                    _ => counts(operator, hits, value),
                };
                (judged(fails), of(hits, count))
            }
            Measure::SuccessRate { .. } => {
                let share = match value {
                    BoundValue::Share(share) => share,
                    BoundValue::Count(whole) => whole.saturating_mul(1_000_000),
                    BoundValue::Span(_) => 0,
                };
                let fails = shares(operator, hits, count, share);
                (judged(fails), format!("{} went well", of(hits, count)))
            }
            Measure::EachGap(_) => {
                let mut observed = of(hits, count);
                self.push_extreme(&mut observed, tally);
                (judged(hits > 0), observed)
            }
            Measure::Percentile(gap, _) if tally.values() == 0 && gap.is_of_every_answer() => (
                Conclusion::NoTraffic,
                said!("nothing to judge: no such gap in ", exchanges(count)),
            ),
            Measure::Percentile(_, percentile) => {
                let (Some(found), BoundValue::Span(bound)) = (tally.percentile(*percentile), value)
                else {
                    return (
                        Conclusion::Passed,
                        said!("no gap of this kind in ", exchanges(count)),
                    );
                };
                let mut observed = format!("{} is ", percentile.name());
                push!(&mut observed; Exact(found), " ms of ", Grouped(tally.values()));
                (judged(operator.holds(found, bound)), observed)
            }
        }
    }
}

impl Assertion {
    /// Pushes the figure that was the furthest beyond the bound.
    fn push_extreme(&self, observed: &mut String, tally: &Tally) {
        let up = self.bound.operator.is_upper();
        let extreme = tally.percentile(if up { Percentile::Max } else { Percentile::Min });
        if let Some(extreme) = extreme {
            observed.push_str(match (tally.hits(), up) {
                (1, _) => ": ",
                (_, true) => ", at most ",
                (_, false) => ", at least ",
            });
            push!(observed; Exact(extreme), " ms");
        }
    }
}

fn counts(operator: Operator, found: u64, value: BoundValue) -> bool {
    match value {
        BoundValue::Count(bound) => operator.holds(found, bound),
        BoundValue::Share(_) | BoundValue::Span(_) => false,
    }
}

/// Compares `part / whole` with millionths, exactly.
fn shares(operator: Operator, part: u64, whole: u64, millionths: u64) -> bool {
    operator.holds(
        u128::from(part) * 1_000_000,
        u128::from(whole) * u128::from(millionths),
    )
}

const fn exchanges(count: u64) -> Counted {
    Counted(count, "exchange", "exchanges")
}

/// `2 of 17 exchanges (11.76 %)`.
fn of(part: u64, whole: u64) -> String {
    said!(
        Grouped(part),
        " of ",
        exchanges(whole),
        " (",
        Percent(part, whole),
        ")"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::tls::Tls;
    use crate::testing::fixtures;

    fn judge(assertions: &[&str]) -> Judge {
        Judge::new(Rules {
            assertions: assertions
                .iter()
                .map(|text| Assertion::parse(text).unwrap())
                .collect(),
            ..Rules::default()
        })
    }

    #[test]
    fn the_time_that_tls_handshakes_took() {
        let mut judge = judge(&[
            "tls.handshake_ms>200ms",
            "tls-left-waiting",
            "tls.server_ms<1ms",
        ]);
        let outcomes = judge.outcomes(None);
        assert_eq!(outcomes[0].verdict, Conclusion::NoTraffic);
        for (ms, verdict) in [
            (150, None),
            (201, Some(Verdict::TlsLeftWaiting)),
            (900, None),
        ] {
            let mut connection = fixtures::connection();
            connection.verdict = verdict;
            connection.tls = Some(Box::new(Tls {
                handshake: Some(Span::from_millis(ms)),
                ..Tls::default()
            }));
            judge.connection(&connection);
        }
        let outcomes = judge.outcomes(None);
        assert_eq!(
            outcomes[0].observed,
            "2 of 3 handshakes, at most 900.000 ms"
        );
        assert_eq!(outcomes[0].verdict, Conclusion::Failed);
        assert_eq!(outcomes[0].connections.len(), 2);
        assert_eq!(outcomes[1].observed, "1 of 3 connections");
        assert_eq!(outcomes[2].verdict, Conclusion::NoTraffic);
    }

    #[test]
    fn problems_are_those_of_the_report() {
        let mut slow = fixtures::ok();
        slow.gaps.wait = Some(Span::from_millis(50));
        slow.findings.push(crate::exchange::Finding {
            kind: crate::exchange::FindingKind::SynRetry,
            side: crate::exchange::Side::Client,
            frames: Vec::new(),
            cost: Span::from_millis(45),
        });
        let exchanges = [fixtures::gave_up(), fixtures::unanswered(), slow];
        let outcomes = |assertions: &[&str], exchanges: &[Exchange]| {
            let mut judge = judge(assertions);
            for exchange in exchanges {
                judge.exchange(exchange);
            }
            let outcomes = judge.outcomes(None).into_iter();
            let told = outcomes.map(|one| (one.verdict, one.observed, one.exchanges.len()));
            told.collect::<Vec<_>>()
        };
        // A note is no problem unless it is asked for.
        let assertions = [
            "problems",
            "problem.unanswered",
            "problem.dns",
            "problems>2",
        ];
        let seen = outcomes(&assertions, &exchanges);
        let both = "2 problems: client-gave-up 1 of 3, syn-retry 1 of 3";
        assert_eq!(seen[0], (Conclusion::Failed, both.to_owned(), 2));
        assert_eq!(seen[1].0, Conclusion::Failed);
        assert_eq!(seen[2], (Conclusion::Passed, "0 problems".to_owned(), 0));
        assert_eq!(seen[3].0, Conclusion::Passed);
        // Lookups in UDP are no connections that failed, and a problem all the same.
        let mut judge = judge(&["problem.dns"]);
        let mut lookups = fixtures::lookups();
        if let Some(dns) = &mut lookups.dns {
            dns.unanswered = 1;
        }
        judge.connection(&lookups);
        assert_eq!(judge.outcomes(None)[0].verdict, Conclusion::Failed);
        // However many worse ones there are.
        let many: Vec<Exchange> = (0..150)
            .map(|port| {
                let mut exchange = fixtures::gave_up();
                exchange.server.port = port + 1;
                exchange
            })
            .chain([fixtures::unanswered()])
            .collect();
        let seen = outcomes(&["problems>149", "problem.unanswered"], &many);
        assert!(
            seen.iter()
                .all(|(conclusion, ..)| *conclusion == Conclusion::Failed)
        );
        assert_eq!(outcomes(&["problems"], &[])[0].0, Conclusion::NoTraffic);
        assert_eq!(
            outcomes(&["problems"], &[fixtures::ok()])[0].0,
            Conclusion::Passed
        );
    }

    fn outcome(assertion: &str, exchanges: &[Exchange]) -> Outcome {
        let mut judge = judge(&[assertion]);
        for exchange in exchanges {
            judge.exchange(exchange);
        }
        judge.connection(&fixtures::refused());
        judge.connection(&fixtures::connection());
        judge.outcomes(Some(7)).remove(0)
    }

    fn tutorial() -> Vec<Exchange> {
        vec![
            fixtures::ok(),
            fixtures::ok(),
            fixtures::ok(),
            fixtures::gave_up(),
        ]
    }

    #[test]
    fn the_tutorials_case() {
        let exchanges = tutorial();
        for (assertion, failed, observed) in [
            ("client-gave-up", true, "1 of 4 exchanges (25.00 %)"),
            ("client-gave-up>1", false, "1 of 4 exchanges (25.00 %)"),
            ("client-gave-up>25%", false, "1 of 4 exchanges (25.00 %)"),
            ("client-gave-up>=25%", true, "1 of 4 exchanges (25.00 %)"),
            (
                "server-closed-unanswered",
                false,
                "0 of 4 exchanges (0.00 %)",
            ),
            ("not-good", true, "1 of 4 exchanges (25.00 %)"),
            (
                "ack_to_client_close>400ms",
                true,
                "1 of 4 exchanges (25.00 %): 501.683 ms",
            ),
            (
                "ack_to_client_close>600ms",
                false,
                "0 of 4 exchanges (0.00 %)",
            ),
            ("findings.late-response", true, "1 of 4 exchanges (25.00 %)"),
            ("findings.zero-window", false, "0 of 4 exchanges (0.00 %)"),
            ("certainty=uncertain", false, "0 of 4 exchanges (0.00 %)"),
            ("exchanges<4", false, "4 exchanges"),
            ("exchanges<5", true, "4 exchanges"),
            (
                "client_side<99%",
                true,
                "3 of 4 exchanges (75.00 %) went well",
            ),
            (
                "server_side<1",
                false,
                "4 of 4 exchanges (100.00 %) went well",
            ),
            ("connects_failed", true, "1 of 2 connections"),
            ("connect-timeout", false, "0 of 2 connections"),
            ("verdict=connect-refused", true, "1 of 2 connections"),
            ("dropped", true, "7 packets lost"),
            ("envoy=UT", true, "1 of 4 exchanges (25.00 %)"),
            (
                "request_to_server_close.p99>1ms",
                false,
                "no gap of this kind in 4 exchanges",
            ),
        ] {
            let outcome = outcome(assertion, &exchanges);
            assert_eq!(outcome.observed, observed, "{assertion}");
            assert_eq!(!outcome.passed(), failed, "{assertion}");
        }
    }

    #[test]
    fn percentiles_name_the_worst() {
        let mut exchanges = vec![fixtures::ok(); 100];
        for (millis, exchange) in (1..).zip(&mut exchanges) {
            exchange.id = millis;
            exchange.gaps.request_to_response = Some(Span::from_millis(millis as i64));
        }
        let failed = outcome("request_to_response.p99>98.5ms", &exchanges);
        assert_eq!(failed.observed, "p99 is 99.000 ms of 100");
        let ids: Vec<u64> = failed.exchanges.iter().map(|one| one.id).collect();
        assert_eq!(ids, [100, 99, 98]);
        let passed = outcome("request_to_response.p50>50ms", &exchanges);
        assert!(passed.passed() && passed.exchanges.is_empty());
    }

    #[test]
    fn nothing_to_judge_is_no_success() {
        let nothing = outcome("total>1s where path=/other", &tutorial());
        assert_eq!(nothing.verdict, Conclusion::NoTraffic);
        assert!(nothing.observed.contains("nothing to judge"));
        let mut judge = Judge::new(Rules {
            allow_no_traffic: true,
            ..judge(&["client-gave-up", "exchanges<1"]).rules
        });
        judge.merge(&[]);
        let outcomes = judge.outcomes(None);
        assert!(outcomes[0].passed());
        assert!(!outcomes[1].passed(), "that was asked for");
        assert!(!super::tests::judge(&["dropped"]).outcomes(None)[0].passed());
    }

    #[test]
    fn probes_and_what_is_not_selected_do_not_count() {
        let mut probe = fixtures::gave_up();
        probe.probe = true;
        assert!(
            outcome(
                "client-gave-up where path=/items",
                &[probe.clone(), fixtures::ok()]
            )
            .passed()
        );
        let mut judge = Judge::new(Rules {
            probes: true,
            filter: Filter::parse("path=/other").unwrap(),
            ..judge(&["client-gave-up"]).rules
        });
        judge.exchange(&probe);
        assert_eq!(judge.outcomes(None)[0].verdict, Conclusion::NoTraffic);
    }

    #[test]
    fn two_judges_are_one() {
        let assertions = [
            "client-gave-up",
            "total.p90>1ms",
            "ack_to_client_close>1ms",
            "exchanges<9",
            "client_side<50%",
        ];
        let (mut one, mut other, mut whole) =
            (judge(&assertions), judge(&assertions), judge(&assertions));
        for (index, exchange) in fixtures::every_verdict().iter().enumerate() {
            whole.exchange(exchange);
            if index % 2 == 0 { &mut one } else { &mut other }.exchange(exchange);
        }
        one.merge(&other.tallies());
        let seen = |judge: &Judge| -> Vec<_> {
            judge
                .outcomes(None)
                .into_iter()
                .map(|outcome| (outcome.verdict, outcome.observed))
                .collect()
        };
        assert_eq!(seen(&one), seen(&whole));
    }

    #[test]
    fn examples_are_wanted_while_they_are_few() {
        let mut judge = judge(&["status=200"]);
        for _ in 0..MAX_SHOWN {
            assert!(judge.wants(&fixtures::ok()));
            judge.exchange(&fixtures::ok());
        }
        assert!(!judge.wants(&fixtures::ok()));
        assert!(!judge.wants(&fixtures::gave_up()));
    }
}
