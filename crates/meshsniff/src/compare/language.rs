//! `--fail-on` of `compare`: which change is a failure.
//!
//! ```text
//! assertion = condition [ "where" terms ]       terms: path= and method= of --filter-http
//! condition = worse | slower | better | faster  a route's change: significant, and --min-change
//!           | new | gone                        a route that is only on one side
//!           | GAP.PERCENTILE order change       of any route: total.p99>+20%, total.p50>+10ms
//!           | VERDICT|good order change         of any route, in points: client-gave-up>+1%
//!           | problems | problem.KIND           new or grown: any but notes, or of a kind
//!           | exchanges order N                 on either side: exchanges<10
//! order     = > >= < <=
//! change    = +20% | -5% | +10ms                the sign belongs to it
//! ```

use super::difference::{
    ChangeOutcome, Comparison, Difference, Presence, ShareOf, Trend, percent, relative,
};
use super::problems::ProblemChange;
use super::side::{RouteName, Selection, named};
use crate::condition::{self, AssertionError, Condition, Filter, Operator, Order};
use crate::event::{self, Conclusion};
use crate::exchange::Gap;
use crate::piece::{Shown, Spoken, push, said};
use crate::statistics::gap_values::Percentile;
use crate::statistics::problems::{ProblemKind, Severity};
use crate::time::Span;

/// Routes named in a result, and characters of each name.
const MAX_NAMED: usize = 3;
const MAX_NAME: usize = 80;

/// An assertion about a change: a condition that must not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeAssertion {
    typed: String,
    what: Criterion,
    only: Filter,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Criterion {
    Trend(Trend),
    Only(Presence),
    Gap(Gap, Percentile, Operator, Change),
    /// In percentage points over 100.
    Share(ShareOf, Operator, f64),
    Exchanges(Operator, u64),
    /// Any, or those of a kind.
    Problems(Option<ProblemKind>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Relative(f64),
    Absolute(Span),
}

/// The sentence about an unknown name.
fn unknown(name: &str) -> String {
    format!(
        "“{name}” is nothing that compare can fail on: worse, slower, better, faster, new, gone, \
         exchanges<N, a share that grew by so many points (good<-1%, client-gave-up>+1%) and a \
         percentile that changed (total.p50>+10ms, request_to_response.p99>+20%), problems and \
         problem.KIND are"
    )
}

impl ChangeAssertion {
    /// Reads an assertion.
    ///
    /// # Errors
    /// If `text` is not an assertion or makes no sense.
    pub fn parse(text: &str) -> Result<Self, AssertionError> {
        let typed = text.trim();
        let sense = |wrong: String| AssertionError::Sense {
            assertion: typed.to_owned(),
            wrong,
        };
        let condition = Condition::parse(typed)?.ok_or_else(|| {
            sense("name a change, as in slower or total.p50>+10ms where path=/items*".to_owned())
        })?;
        let only = &condition.only;
        if !only.is_about_routes() {
            return Err(sense(
                "behind where, path= and method= say which routes are meant: --filter-http \
                 selects exchanges"
                    .to_owned(),
            ));
        }
        Ok(Self {
            typed: typed.to_owned(),
            what: what(&condition).map_err(sense)?,
            only: condition.only,
        })
    }

    /// The gap that the assertion is about.
    #[must_use]
    pub const fn gap(&self) -> Option<Gap> {
        match self.what {
            Criterion::Gap(gap, ..) => Some(gap),
            _ => None,
        }
    }

    /// Evaluates the assertion. `selection`: how both sides were gathered.
    #[must_use]
    pub fn judge(&self, comparison: &Comparison, selection: &Selection) -> event::Outcome {
        let routes: Vec<&Difference> = comparison
            .routes
            .iter()
            .filter(|one| self.concerns(&one.route))
            .collect();
        let (verdict, observed) = match self.what {
            Criterion::Exchanges(operator, number) => exchanges(&routes, operator, number),
            Criterion::Problems(kind) => self.problems(comparison, kind),
            Criterion::Only(presence) => {
                if comparison.before.exchanges == 0 || comparison.after.exchanges == 0 {
                    nothing("one side has no exchange")
                } else if routes.is_empty() {
                    nothing("there is no such route")
                } else {
                    named_ones(routes.iter().map(|route| {
                        let found = route.presence() == presence;
                        (*route, found.then(String::new))
                    }))
                }
            }
            _ => {
                let looked = routes.iter().filter_map(|route| {
                    let seen = self.look(route, selection)?;
                    Some((*route, seen))
                });
                let looked: Vec<_> = looked
                    .map(|(route, (hit, seen))| (route, hit.then_some(seen)))
                    .collect();
                if looked.is_empty() {
                    nothing(self.why_nothing())
                } else {
                    named_ones(looked.into_iter())
                }
            }
        };
        event::Outcome {
            assertion: self.typed.clone(),
            verdict,
            observed,
            exchanges: Vec::new(),
            connections: Vec::new(),
        }
    }

    fn concerns(&self, route: &RouteName) -> bool {
        match route {
            RouteName::Named { method, path } => {
                let asked = named(Some(method.clone()), Some(path.clone()));
                self.only.exchange(&asked)
            }
            RouteName::Other => self.only.selects_all(),
        }
    }

    /// Whether a route fails the assertion, and its figures; `None` if there is nothing to compare.
    fn look(&self, route: &Difference, selection: &Selection) -> Option<(bool, String)> {
        if route.presence() != Presence::Both {
            return None;
        }
        match self.what {
            Criterion::Trend(word) => word_of(route, word),
            Criterion::Gap(gap, percentile, operator, change) => {
                let place = selection.gaps.iter().position(|known| *known == gap)?;
                let before = percentile_of(&route.before, place, percentile)?;
                let after = percentile_of(&route.after, place, percentile)?;
                let grown = Span::from_nanos(after.as_nanos().saturating_sub(before.as_nanos()));
                let hit = match change {
                    Change::Absolute(bound) => operator.holds(grown, bound),
                    // From nothing to something is more than any share.
                    Change::Relative(bound) => {
                        let from_nothing = match grown.as_nanos() {
                            0 => 0.0,
                            1.. => f64::INFINITY,
                            _ => f64::NEG_INFINITY,
                        };
                        operator.holds(relative(before, after).unwrap_or(from_nothing), bound)
                    }
                };
                let seen = said!(Spoken(before), " → ", Spoken(after));
                Some((hit, seen))
            }
            Criterion::Share(kind, operator, bound) => {
                let row = route.shares.iter().find(|row| row.kind == kind);
                // A verdict that is on neither side did not change.
                let change = match row {
                    Some(row) => row.change()?,
                    None => 0.0,
                };
                let seen = row.map_or_else(String::new, |row| {
                    let value = |share: Option<f64>| percent(share.unwrap_or_default());
                    format!(
                        "{} → {}",
                        value(row.before.value()),
                        value(row.after.value())
                    )
                });
                // Rounded, so that from 1 % to 2 % is one point and not a bit less.
                let change = (change * 1e9).round() / 1e9;
                Some((operator.holds(change, bound), seen))
            }
            Criterion::Only(_) | Criterion::Exchanges(..) | Criterion::Problems(_) => None,
        }
    }

    /// Problems that are new or have grown.
    fn problems(&self, comparison: &Comparison, kind: Option<ProblemKind>) -> (Conclusion, String) {
        let Some(problems) = &comparison.problems else {
            return nothing("a side does not say which problems it has");
        };
        if comparison.before.exchanges == 0 || comparison.after.exchanges == 0 {
            return nothing("one side has no exchange");
        }
        let asked = |change: &&ProblemChange| match kind {
            Some(kind) => change.name.kind == kind,
            None => change.name.kind.severity() < Severity::Note,
        };
        // A problem of connections is on no route.
        let there = |change: &&ProblemChange| {
            self.only.selects_all()
                || change.has_route(|method, path| {
                    let route = named(Some(method.into()), Some(path.into()));
                    self.only.exchange(&route)
                })
        };
        let worse: Vec<&ProblemChange> = problems
            .iter()
            .filter(|change| change.became.is_bad())
            .filter(asked)
            .filter(there)
            .collect();
        let names = worse.iter().take(MAX_NAMED).map(|change| {
            let (kind, route) = (change.name.kind.name(), change.route());
            let of = (!route.is_empty()).then_some((" of ", Shown(route, MAX_NAME)));
            said!(change.became.name(), " ", kind, of)
        });
        let mut observed = names.collect::<Vec<String>>().join("; ");
        if worse.len() > MAX_NAMED {
            observed.push_str("; …");
        }
        match worse.is_empty() {
            true => (Conclusion::Passed, "none is new or has grown".to_owned()),
            false => (Conclusion::Failed, observed),
        }
    }

    const fn why_nothing(&self) -> &'static str {
        match self.what {
            Criterion::Trend(Trend::Slower | Trend::Faster) => {
                "no gap of a route has enough values on both sides to be tested"
            }
            Criterion::Gap(..) => "no route has this figure on both sides",
            _ => "no route has exchanges on both sides",
        }
    }
}

/// Whether a route's changes have this name, and of which rows. `None` if the name is one of gaps
/// and no gap could be tested.
fn word_of(route: &Difference, word: Trend) -> Option<(bool, String)> {
    let changed = ChangeOutcome::Changed(word);
    let names: Vec<&str> = if matches!(word, Trend::Slower | Trend::Faster) {
        if route.gaps.iter().all(|row| row.test.is_none()) {
            return None;
        }
        let rows = route.gaps.iter().filter(|row| row.outcome == changed);
        rows.map(|row| row.name).collect()
    } else {
        let rows = route.shares.iter().filter(|row| row.outcome == changed);
        rows.map(|row| row.kind.name()).collect()
    };
    Some((!names.is_empty(), names.join(", ")))
}

fn percentile_of(
    digest: &super::side::Digest,
    place: usize,
    percentile: Percentile,
) -> Option<Span> {
    let stats = digest.stats(place)?;
    match percentile {
        Percentile::Min => Some(stats.min),
        Percentile::Nearest(50) => Some(stats.p50),
        Percentile::Nearest(90) => Some(stats.p90),
        Percentile::Nearest(99) => Some(stats.p99),
        Percentile::Max => Some(stats.max),
        Percentile::Nearest(percent) => digest.sample(place).ok()?.percentile(percent),
    }
}

fn nothing(why: &str) -> (Conclusion, String) {
    (Conclusion::NoTraffic, format!("nothing to compare: {why}"))
}

/// Too few exchanges on either side fail the assertion.
fn exchanges(routes: &[&Difference], operator: Operator, number: u64) -> (Conclusion, String) {
    let sum = |count: fn(&Difference) -> u64| {
        let counts = routes.iter().map(|route| count(route));
        counts.fold(0_u64, u64::saturating_add)
    };
    let (before, after) = (
        sum(|one| one.before.exchanges),
        sum(|one| one.after.exchanges),
    );
    let fails = operator.holds(before, number) || operator.holds(after, number);
    let observed = format!("{before} before, {after} after");
    (
        if fails {
            Conclusion::Failed
        } else {
            Conclusion::Passed
        },
        observed,
    )
}

/// The result, with the names of the routes that fail.
fn named_ones<'a>(
    looked: impl Iterator<Item = (&'a Difference, Option<String>)>,
) -> (Conclusion, String) {
    let (mut all, mut failed, mut observed) = (0_u64, 0_usize, String::new());
    for (route, seen) in looked {
        all += 1;
        let Some(seen) = seen else { continue };
        failed += 1;
        if failed > MAX_NAMED {
            continue;
        }
        observed.push_str(if failed == 1 { ": " } else { "; " });
        route_name(&mut observed, &route.route, MAX_NAME);
        if !seen.is_empty() {
            observed.push_str(" (");
            observed.push_str(&seen);
            observed.push(')');
        }
    }
    if failed > MAX_NAMED {
        observed.push_str("; …");
    }
    let routes = if all == 1 { "route" } else { "routes" };
    let observed = format!("{failed} of {all} {routes}{observed}");
    (
        if failed > 0 {
            Conclusion::Failed
        } else {
            Conclusion::Passed
        },
        observed,
    )
}

/// Pushes the name of a route for a person.
pub(crate) fn route_name(out: &mut String, route: &RouteName, most: usize) {
    match route {
        RouteName::Other => out.push_str("… other routes"),
        RouteName::Named { method, path } => {
            let known = |text: &str| if text.is_empty() { "?" } else { text }.to_owned();
            push!(out; Shown(&known(method), 24), " ", Shown(&known(path), most));
        }
    }
}

fn what(condition: &Condition<'_>) -> Result<Criterion, String> {
    let name = condition.name;
    let (operator, value) = match condition.order {
        Order::None => return plain(name),
        Order::Unknown => return Err("compare with > or <".to_owned()),
        Order::Of(Operator::Equal | Operator::Unequal, _) => {
            return Err("a change is hardly ever exactly so much: compare with > or <".to_owned());
        }
        Order::Of(operator, value) => (operator, value),
    };
    if name == "exchanges" {
        let number = value.parse().map_err(|_| {
            format!(
                "“{value}” is not a number: exchanges<10 fails where either side has fewer than 10"
            )
        })?;
        return Ok(Criterion::Exchanges(operator, number));
    }
    if let Some(kind) = share(name) {
        return match change(value)? {
            Change::Relative(points) if points.abs() <= 1.0 => {
                Ok(Criterion::Share(kind, operator, points))
            }
            Change::Relative(_) => Err("a share changes by 100 points at most".to_owned()),
            Change::Absolute(_) => Err(format!("a share changes by points: {name}>+1%")),
        };
    }
    if let Some((gap, percentile)) = name.rsplit_once('.')
        && let Some(gap) = condition::gap(gap)
    {
        let percentile = Percentile::parse(percentile).ok_or_else(|| {
            format!("“{percentile}” is not a percentile: give p1 to p99, min or max")
        })?;
        return Ok(Criterion::Gap(gap, percentile, operator, change(value)?));
    }
    if condition::gap(name).is_some() {
        return Err(format!("say which percentile of it: {name}.p50>+10ms"));
    }
    Err(unknown(name))
}

fn plain(name: &str) -> Result<Criterion, String> {
    match name {
        "new" => return Ok(Criterion::Only(Presence::New)),
        "gone" => return Ok(Criterion::Only(Presence::Gone)),
        "exchanges" => return Err("say how few are too few: exchanges<10".to_owned()),
        "problems" => return Ok(Criterion::Problems(None)),
        _ => {}
    }
    if let Some(kind) = name.strip_prefix("problem.") {
        let known = ProblemKind::of_name(&kind.replace('_', "-"));
        return known
            .map(|kind| Criterion::Problems(Some(kind)))
            .ok_or_else(|| {
                let kinds: Vec<&str> = ProblemKind::all().map(ProblemKind::name).collect();
                format!("“{kind}” is no kind of problem: {} are", kinds.join(", "))
            });
    }
    let mut words = Trend::ALL
        .into_iter()
        .filter(|word| !matches!(word, Trend::More | Trend::Fewer));
    if let Some(word) = words.find(|word| word.name() == name) {
        return Ok(Criterion::Trend(word));
    }
    if share(name).is_some() {
        let sign = if name == "good" { "<-" } else { ">+" };
        return Err(format!(
            "say by how many points it may change: {name}{sign}1%"
        ));
    }
    let gap = name.rsplit_once('.').map_or(name, |(gap, _)| gap);
    if condition::gap(gap).is_some() {
        return Err(format!(
            "say by how much it may change: {gap}.p50>+10ms, or slower"
        ));
    }
    Err(unknown(name))
}

/// A verdict of exchanges, or `good`; `-` and `_` are the same in it.
fn share(name: &str) -> Option<ShareOf> {
    if name == "good" {
        return Some(ShareOf::Good);
    }
    let verdict = condition::verdict(name).filter(|verdict| !verdict.is_of_connection());
    verdict.map(ShareOf::Verdict)
}

fn change(text: &str) -> Result<Change, String> {
    let (sign, size) = match text.as_bytes().first() {
        Some(b'+') => (1.0, &text[1..]),
        Some(b'-') => (-1.0, &text[1..]),
        _ => {
            return Err(format!(
                "“{text}” has no sign: +20%, -5% and +10ms are changes; what AFTER alone must not \
                 hold is for report --fail-on"
            ));
        }
    };
    let size = size.trim();
    if let Some(share) = condition::percent(size, 0.0..=1e9) {
        let share =
            share.map_err(|()| format!("“{text}” is not a change: give one such as +20%"))?;
        return Ok(Change::Relative(sign * share / 100.0));
    }
    let length = condition::span(size);
    let length = length
        .ok_or_else(|| format!("“{text}” is not a change: give one such as +20% or +10ms"))?;
    Ok(Change::Absolute(if sign < 0.0 {
        Span::from_nanos(-length.as_nanos())
    } else {
        length
    }))
}
