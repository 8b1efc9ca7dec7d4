//! Problems on both sides: new, gone, grown or shrunk.

use super::statistics::{Share, fisher};
use super::thresholds::{MIN_POINTS, Thresholds};
use crate::exchange::Side;
use crate::statistics::{Problem, ProblemKind, Summary};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use strum::{IntoStaticStr, VariantArray};

/// Problems read of a side.
const MAX_READ: usize = 1_000;
/// Bytes of a route or a detail that are read.
const MAX_TEXT: usize = 300;
/// Routes kept of a problem.
const MAX_ROUTES: usize = 64;

/// By what a problem is known on the other side. Addresses change from one run to the next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) kind: ProblemKind,
    pub(crate) side: Side,
    pub(crate) port: u16,
    /// What it was exactly, where the kind has several.
    pub(crate) detail: String,
}

/// The problems of one side. `None` if a report does not say.
pub(crate) type Sided = Option<BTreeMap<Name, Figures>>;

/// How often, of how many, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) count: u64,
    pub(crate) of: Option<u64>,
    /// Method and path of each route, as far as they are known.
    pub(crate) routes: BTreeSet<String>,
    /// Whether there are others.
    pub(crate) others: bool,
}

impl Figures {
    /// The only route; empty if it has none, or several.
    fn route(&self) -> &str {
        let only = self.routes.first().filter(|_| self.routes.len() == 1);
        only.filter(|_| !self.others).map_or("", String::as_str)
    }
}

/// What became of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Became {
    New,
    Grown,
    Gone,
    Shrunk,
    Same,
}

impl Became {
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    pub(crate) const fn is_bad(self) -> bool {
        matches!(self, Self::New | Self::Grown)
    }
}

/// A problem on both sides or on one of them.
#[derive(Clone, Debug)]
pub(crate) struct ProblemChange {
    pub(crate) name: Name,
    pub(crate) before: Option<Figures>,
    pub(crate) after: Option<Figures>,
    pub(crate) became: Became,
}

impl ProblemChange {
    /// Whether it is, or was, on a route that `fits`: method and path.
    pub(crate) fn has_route(&self, fits: impl Fn(&str, &str) -> bool) -> bool {
        let sides = [&self.before, &self.after].into_iter().flatten();
        let mut routes = sides.flat_map(|figures| &figures.routes);
        routes.any(|route| {
            route
                .split_once(' ')
                .is_some_and(|(method, path)| fits(method, path))
        })
    }

    /// Where it is, or was; empty if it has no route, or several.
    pub(crate) fn route(&self) -> &str {
        let side = self.after.as_ref().or(self.before.as_ref());
        side.map_or("", Figures::route)
    }
}

/// The problems of a capture.
pub(crate) fn of_summary(summary: &Summary) -> Sided {
    let mut all = BTreeMap::new();
    for problem in summary.all_problems() {
        let figures = Figures {
            count: problem.count,
            of: problem.of,
            routes: problem.routes.iter().map(ToString::to_string).collect(),
            others: problem.routes_left_out > 0,
        };
        add(&mut all, name(&problem), figures);
    }
    Some(all)
}

fn name(problem: &Problem) -> Name {
    Name {
        kind: problem.kind,
        side: problem.side,
        port: problem.server.port,
        detail: problem.detail.to_string(),
    }
}

/// The problems that a report names; `None` if it names none at all.
pub(crate) fn of_report(summary: &Map<String, Value>) -> Sided {
    let mut all = BTreeMap::new();
    for problem in summary.get("problems")?.as_array()?.iter().take(MAX_READ) {
        let text = |field: &str| {
            let text = problem
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default();
            text.chars().take(MAX_TEXT).collect::<String>()
        };
        let number = |field: &str| problem.get(field).and_then(Value::as_u64);
        let routes = problem.get("routes").and_then(Value::as_array);
        let routes = routes.map_or(&[][..], Vec::as_slice);
        let (_, port) = text("server").rsplit_once(':').map_or_else(
            || (String::new(), 0),
            |(address, port)| (address.to_owned(), port.parse().unwrap_or(0)),
        );
        let Some(kind) = ProblemKind::of_name(&text("kind")) else {
            continue;
        };
        let name = Name {
            kind,
            side: match text("side").as_str() {
                "client" => Side::Client,
                _ => Side::Server,
            },
            port,
            detail: text("detail"),
        };
        let figures = Figures {
            count: number("count").unwrap_or(0),
            of: number("of"),
            routes: routes
                .iter()
                .filter_map(Value::as_str)
                .take(MAX_ROUTES)
                .map(|route| route.chars().take(MAX_TEXT).collect())
                .collect(),
            others: number("routes_left_out") != Some(0) || routes.len() > MAX_ROUTES,
        };
        add(&mut all, name, figures);
    }
    Some(all)
}

fn add(all: &mut BTreeMap<Name, Figures>, name: Name, more: Figures) {
    let Some(figures) = all.get_mut(&name) else {
        all.insert(name, more);
        return;
    };
    figures.count = figures.count.saturating_add(more.count);
    figures.of = match (figures.of, more.of) {
        // Several timers of one route are of the same exchanges.
        (one, other) if figures.routes == more.routes => one.max(other),
        (one, other) => one.zip(other).map(|(one, other)| one.saturating_add(other)),
    };
    figures.routes.extend(more.routes);
    figures.others |= more.others || figures.routes.len() > MAX_ROUTES;
    while figures.routes.len() > MAX_ROUTES {
        figures.routes.pop_last();
    }
}

/// What became of the problems, the worst first; `None` if a side does not say.
pub(crate) fn compared(
    before: &Sided,
    after: &Sided,
    thresholds: Thresholds,
) -> Option<Vec<ProblemChange>> {
    let (before, after) = (before.as_ref()?, after.as_ref()?);
    let both = before
        .keys()
        .filter(|name| after.contains_key(name))
        .count();
    let mut changes: Vec<ProblemChange> = before
        .keys()
        .chain(after.keys().filter(|name| !before.contains_key(name)))
        .map(|name| {
            let (before, after) = (before.get(name).cloned(), after.get(name).cloned());
            ProblemChange {
                name: name.clone(),
                became: became(before.as_ref(), after.as_ref(), both, thresholds),
                before,
                after,
            }
        })
        .collect();
    changes.sort_by_key(|change| {
        let count = |side: &Option<Figures>| side.as_ref().map_or(0, |figures| figures.count);
        (
            change.became,
            !count(&change.after).max(count(&change.before)),
        )
    });
    Some(changes)
}

/// `tests`: how many are tested, for the correction (Bonferroni's).
fn became(
    before: Option<&Figures>,
    after: Option<&Figures>,
    tests: usize,
    thresholds: Thresholds,
) -> Became {
    let (before, after) = match (before, after) {
        (None, _) => return Became::New,
        (_, None) => return Became::Gone,
        (Some(before), Some(after)) => (before, after),
    };
    let share = |figures: &Figures| {
        let whole = figures.of?.max(figures.count);
        (whole > 0).then_some(Share {
            part: figures.count,
            whole,
        })
    };
    let (Some(before), Some(after)) = (share(before), share(after)) else {
        return Became::Same;
    };
    let (Some(from), Some(to)) = (before.value(), after.value()) else {
        return Became::Same;
    };
    let significant = fisher(before, after).is_some_and(|p| p * tests as f64 <= thresholds.alpha);
    if !significant || (to - from).abs() < MIN_POINTS.max(from * thresholds.min_change) {
        Became::Same
    } else if to > from {
        Became::Grown
    } else {
        Became::Shrunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Exchange;
    use crate::testing::fixtures;

    fn side(ok: u64, gave_up: u64, failed: u64) -> Sided {
        let mut summary = Summary::new(false);
        let exchanges = [
            (ok, fixtures::ok()),
            (gave_up, fixtures::gave_up()),
            (failed, fixtures::server_reset()),
        ];
        let mut id = 0;
        for (times, exchange) in exchanges {
            for _ in 0..times {
                id += 1;
                summary.exchange(&Exchange {
                    id,
                    request_id: None,
                    ..exchange.clone()
                });
            }
        }
        of_summary(&summary)
    }

    fn seen(before: &Sided, after: &Sided) -> Vec<(&'static str, &'static str)> {
        let changes = compared(before, after, Thresholds::default()).expect("changes");
        let named = changes
            .iter()
            .map(|one| (one.name.kind.name(), one.became.name()));
        named.collect()
    }

    #[test]
    fn what_is_new_gone_grown_and_shrunk_is_told() {
        let (none, some) = (side(100, 0, 0), side(100, 3, 0));
        assert_eq!(seen(&none, &some), [("client-gave-up", "new")]);
        assert_eq!(seen(&some, &none), [("client-gave-up", "gone")]);
        assert_eq!(seen(&none, &none), []);
        assert_eq!(
            seen(&some, &side(100, 60, 0)),
            [("client-gave-up", "grown")]
        );
        assert_eq!(
            seen(&side(100, 60, 0), &some),
            [("client-gave-up", "shrunk")]
        );
        assert_eq!(seen(&some, &side(100, 5, 0)), [("client-gave-up", "same")]);
        let both = seen(&side(100, 3, 0), &side(100, 3, 9));
        assert_eq!(
            both,
            [
                ("server-reset-unanswered", "new"),
                ("client-gave-up", "same")
            ]
        );
    }

    #[test]
    fn a_report_says_the_same_and_an_old_one_nothing() {
        let problem = serde_json::json!({
            "kind": "client-gave-up", "side": "client", "server": "10.0.0.9:3000",
            "detail": null, "routes": ["GET /items"], "routes_left_out": 0, "count": 3, "of": 103,
        });
        let summary = serde_json::json!({ "problems": [problem] });
        let read = of_report(summary.as_object().expect("an object"));
        assert_eq!(read, side(100, 3, 0));
        assert_eq!(of_report(&Map::new()), None);
        assert!(compared(&None, &read, Thresholds::default()).is_none());
    }
}
