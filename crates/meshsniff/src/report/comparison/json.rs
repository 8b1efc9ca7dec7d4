//! `-o json` of a comparison.

use crate::compare::difference::{
    ChangeOutcome, Comparison, Difference, GapChange, Presence, ShareChange, TestResult, relative,
};
use crate::compare::problems::{self, ProblemChange};
use crate::compare::side::{ComparedSide, RouteName};
use crate::compare::statistics::Share;
use crate::escape;
use crate::event;
use crate::statistics::GapStats;
use crate::time::Span;
use serde::Serialize;

/// The JSON Schema (draft 2020-12) of the document.
pub const SCHEMA: &str = include_str!("compare.schema.json");

/// The name of the format in a document.
pub const FORMAT: &str = "meshsniff.compare/v1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    before: &'a ComparedSide,
    after: &'a ComparedSide,
    alpha: f64,
    min_change: f64,
    tests: Tests,
    /// `null` if a side does not say.
    problems: Option<Vec<ProblemObject<'a>>>,
    routes: Vec<RouteObject<'a>>,
    assertions: Vec<AssertionObject<'a>>,
}

#[derive(Serialize)]
struct ProblemObject<'a> {
    kind: &'static str,
    side: &'static str,
    port: u16,
    detail: Option<&'a str>,
    route: Option<&'a str>,
    became: &'static str,
    before: Option<ProblemFigures>,
    after: Option<ProblemFigures>,
}

#[derive(Serialize)]
struct ProblemFigures {
    count: u64,
    of: Option<u64>,
}

#[derive(Serialize)]
struct Tests {
    count: usize,
    correction: &'static str,
    gaps: &'static str,
    shares: &'static str,
}

#[derive(Serialize)]
struct RouteObject<'a> {
    method: Option<&'a str>,
    path: Option<&'a str>,
    presence: &'static str,
    words: Vec<&'static str>,
    headline: String,
    exchanges: Pair<u64>,
    shares: Vec<ShareRow>,
    gaps: Vec<GapRow>,
}

#[derive(Serialize)]
struct Pair<T> {
    before: T,
    after: T,
}

#[derive(Serialize)]
struct ShareRow {
    of: &'static str,
    before: ShareFigures,
    after: ShareFigures,
    change_points: Option<f64>,
    #[serde(flatten)]
    judged: JudgedRow,
}

#[derive(Serialize)]
struct ShareFigures {
    count: u64,
    whole: u64,
    share: Option<f64>,
}

#[derive(Serialize)]
struct GapRow {
    gap: &'static str,
    before: Option<Figures>,
    after: Option<Figures>,
    change: Option<Changes>,
    longer_in_share_of_pairs: Option<f64>,
    #[serde(flatten)]
    judged: JudgedRow,
}

#[derive(Serialize)]
struct Figures {
    count: u64,
    min: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize)]
struct Changes {
    p50: Shift,
    p90: Shift,
    p99: Shift,
}

#[derive(Serialize)]
struct Shift {
    ms: f64,
    share: Option<f64>,
}

#[derive(Serialize)]
struct JudgedRow {
    outcome: &'static str,
    not_tested: Option<&'static str>,
    p: Option<f64>,
    p_corrected: Option<f64>,
}

#[derive(Serialize)]
struct AssertionObject<'a> {
    assertion: &'a str,
    outcome: &'static str,
    observed: &'a str,
}

/// Writes the document.
///
/// # Errors
/// If a number cannot be written, which does not happen.
pub fn write(comparison: &Comparison, assertions: &[event::Outcome]) -> serde_json::Result<String> {
    let document = Document {
        schema: FORMAT,
        before: &comparison.before,
        after: &comparison.after,
        alpha: comparison.thresholds.alpha,
        min_change: comparison.thresholds.min_change,
        tests: Tests {
            count: comparison.tests,
            correction: "holm-bonferroni",
            gaps: "mann-whitney-u",
            shares: "fisher-exact",
        },
        problems: comparison
            .problems
            .as_ref()
            .map(|changes| changes.iter().map(problem).collect()),
        routes: comparison
            .routes
            .iter()
            .map(|route| row(comparison, route))
            .collect(),
        assertions: assertions
            .iter()
            .map(|outcome| AssertionObject {
                assertion: &outcome.assertion,
                outcome: outcome.name(),
                observed: &outcome.observed,
            })
            .collect(),
    };
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(escape::escaped_json(text))
}

fn row<'a>(comparison: &Comparison, difference: &'a Difference) -> RouteObject<'a> {
    let (method, path) = match &difference.route {
        RouteName::Named { method, path } => (Some(method.as_str()), Some(path.as_str())),
        RouteName::Other => (None, None),
    };
    RouteObject {
        method,
        path,
        presence: match difference.presence() {
            Presence::Both => "both",
            Presence::New => "new",
            Presence::Gone => "gone",
        },
        words: difference.words().iter().map(|word| word.name()).collect(),
        headline: difference.headline(comparison.thresholds),
        exchanges: Pair {
            before: difference.before.exchanges,
            after: difference.after.exchanges,
        },
        shares: difference.shares.iter().map(share_row).collect(),
        gaps: difference.gaps.iter().map(gap_row).collect(),
    }
}

fn share_row(row: &ShareChange) -> ShareRow {
    let counted = |share: Share| ShareFigures {
        count: share.part,
        whole: share.whole,
        share: share.value(),
    };
    ShareRow {
        of: row.kind.name(),
        before: counted(row.before),
        after: counted(row.after),
        change_points: row.change().map(|change| change * 100.0),
        judged: judged(row.outcome, row.test),
    }
}

fn gap_row(row: &GapChange) -> GapRow {
    let figures = |stats: &GapStats| Figures {
        count: stats.count,
        min: stats.min.as_millis(),
        p50: stats.p50.as_millis(),
        p90: stats.p90.as_millis(),
        p99: stats.p99.as_millis(),
        max: stats.max.as_millis(),
    };
    let change = |before: Span, after: Span| Shift {
        ms: Span::from_nanos(after.as_nanos().saturating_sub(before.as_nanos())).as_millis(),
        share: relative(before, after),
    };
    let both = row.before.as_ref().zip(row.after.as_ref());
    GapRow {
        gap: row.name,
        before: row.before.as_ref().map(figures),
        after: row.after.as_ref().map(figures),
        change: both.map(|(before, after)| Changes {
            p50: change(before.p50, after.p50),
            p90: change(before.p90, after.p90),
            p99: change(before.p99, after.p99),
        }),
        longer_in_share_of_pairs: row.longer,
        judged: judged(row.outcome, row.test),
    }
}

fn judged(outcome: ChangeOutcome, test: Option<TestResult>) -> JudgedRow {
    JudgedRow {
        outcome: match outcome {
            ChangeOutcome::Changed(word) => word.name(),
            ChangeOutcome::Small => "small",
            ChangeOutcome::Noise => "noise",
            ChangeOutcome::NotTested(_) => "not-tested",
        },
        not_tested: match outcome {
            ChangeOutcome::NotTested(why) => Some(why),
            _ => None,
        },
        p: test.map(|test| test.p),
        p_corrected: test.map(|test| test.corrected),
    }
}

fn problem(change: &ProblemChange) -> ProblemObject<'_> {
    let text = |text| Some(text).filter(|text: &&str| !text.is_empty());
    let figures = |figures: &Option<problems::Figures>| {
        let &problems::Figures { count, of, .. } = figures.as_ref()?;
        Some(ProblemFigures { count, of })
    };
    ProblemObject {
        kind: change.name.kind.name(),
        side: change.name.side.name(),
        port: change.name.port,
        detail: text(&change.name.detail),
        route: text(change.route()),
        became: change.became.name(),
        before: figures(&change.before),
        after: figures(&change.after),
    }
}
