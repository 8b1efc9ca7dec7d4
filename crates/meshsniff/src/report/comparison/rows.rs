//! The figures of a route as words, which text and Markdown share.
//!
//! Nothing in them comes from the wire.

use crate::compare::Thresholds;
use crate::compare::difference::{
    ChangeOutcome, Comparison, Difference, GapChange, ShareChange, ShareOf, TestResult, percent,
    relative,
};
use crate::compare::problems::{Name, ProblemChange};
use crate::compare::side::{ComparedSide, SideKind};
use crate::compare::statistics::Share;
use crate::exchange::Verdict;
use crate::number;
use crate::piece::{Grouped, Number, Percent, push, said};
use crate::statistics::GapStats;
use crate::time::Span;

/// A row of a table.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// The gap or the share; empty if it is the one of the row above.
    pub(super) name: String,
    /// The percentile; empty for a share.
    pub(super) figure: &'static str,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) change: String,
    /// Whether the change is more than noise. Only the first row of a test says so.
    pub(super) noise: String,
    pub(super) outcome: Option<ChangeOutcome>,
}

const NONE: &str = "–";
/// Characters of a route or a detail.
const MAX_TEXT: usize = 60;

/// The rows of a route.
pub(super) fn rows(difference: &Difference, thresholds: Thresholds) -> Vec<Row> {
    let shares = difference
        .shares
        .iter()
        .filter(|row| row.kind != ShareOf::Verdict(Verdict::Ok));
    let mut rows: Vec<Row> = shares.map(|row| share_row(row, thresholds)).collect();
    rows.extend(
        difference
            .gaps
            .iter()
            .flat_map(|row| gap_rows(row, thresholds)),
    );
    rows
}

/// A problem: `grown: client-gave-up of GET /items on port 3000: 2 of 100 → 40 of 100`. `wire` shows
/// text from the wire.
pub(super) fn problem(change: &ProblemChange, wire: fn(&mut String, &str, usize)) -> String {
    let Name {
        kind,
        side: _,
        port,
        detail,
    } = &change.name;
    let route = change.route();
    let mut out = said!(change.became.name(), ": ", kind.name());
    if !detail.is_empty() {
        out.push_str(" (");
        wire(&mut out, detail, MAX_TEXT);
        out.push(')');
    }
    if !route.is_empty() {
        out.push_str(" of ");
        wire(&mut out, route, MAX_TEXT);
    }
    push!(&mut out; " on port ", Number(u64::from(*port)), ": ");
    for (index, figures) in [&change.before, &change.after].into_iter().enumerate() {
        let (count, of) = figures
            .as_ref()
            .map_or((0, None), |one| (one.count, one.of));
        let arrow = (index > 0).then_some(" → ");
        push!(&mut out; arrow, Grouped(count), of.map(|of| (" of ", Grouped(of))));
    }
    out
}

fn share_row(row: &ShareChange, thresholds: Thresholds) -> Row {
    let change = row.change().map_or_else(
        || NONE.to_owned(),
        |change| match (change * 1e4).round() / 100.0 {
            0.0 if change == 0.0 => "0".to_owned(),
            points => format!("{points:+.2} points"),
        },
    );
    Row {
        name: row.kind.name().to_owned(),
        before: share(row.before),
        after: share(row.after),
        change,
        noise: noise(row.outcome, row.test, None, thresholds),
        outcome: Some(row.outcome),
        ..Row::default()
    }
}

fn share(share: Share) -> String {
    said!(Percent(share.part, share.whole))
}

fn gap_rows(row: &GapChange, thresholds: Thresholds) -> Vec<Row> {
    let figure = |name: &'static str, of: fn(&GapStats) -> Span| {
        let (before, after) = (row.before.as_ref().map(of), row.after.as_ref().map(of));
        let value = |span: Option<Span>| {
            let mut text = String::new();
            match span {
                Some(span) => number::spoken(&mut text, span),
                None => text.push_str(NONE),
            }
            text
        };
        Row {
            figure: name,
            before: value(before),
            after: value(after),
            change: match (before, after) {
                (Some(before), Some(after)) => moved(before, after),
                _ => NONE.to_owned(),
            },
            ..Row::default()
        }
    };
    let mut rows = vec![
        figure("p50", |stats| stats.p50),
        figure("p90", |stats| stats.p90),
        figure("p99", |stats| stats.p99),
    ];
    rows[0].name = row.name.to_owned();
    rows[0].noise = noise(row.outcome, row.test, row.longer, thresholds);
    rows[0].outcome = Some(row.outcome);
    rows
}

/// `+12.1 ms, +35 %`; from ten times on `+501.2 ms, 1,114 ×`.
fn moved(before: Span, after: Span) -> String {
    let grown = Span::from_nanos(after.as_nanos().saturating_sub(before.as_nanos()));
    if number::micros(grown) == 0 {
        return "0".to_owned();
    }
    let mut text = String::new();
    if grown.as_nanos() > 0 {
        text.push('+');
    }
    number::spoken(&mut text, grown);
    match relative(before, after).map(|change| change * 100.0) {
        Some(change) if change.abs() >= 1e9 => text.push_str(", beyond all measure"),
        Some(change) if change >= 900.0 => {
            let times = (change / 100.0 + 1.0).round() as u64;
            push!(&mut text; ", ", Grouped(times), " ×");
        }
        Some(change) if change.abs() >= 10.0 => text.push_str(&format!(", {change:+.0} %")),
        Some(change) => text.push_str(&format!(", {change:+.1} %")),
        None => {}
    }
    text
}

/// `slower in 98 % of pairs, p 0.0004`.
fn noise(
    outcome: ChangeOutcome,
    test: Option<TestResult>,
    longer: Option<f64>,
    thresholds: Thresholds,
) -> String {
    let mut text = match outcome {
        ChangeOutcome::NotTested(why) => return format!("not tested: {why}"),
        ChangeOutcome::Changed(word) => word.name().to_owned(),
        ChangeOutcome::Small => format!("less than {}", percent(thresholds.min_change)),
        ChangeOutcome::Noise => "noise".to_owned(),
    };
    if let (Some(longer), ChangeOutcome::Changed(_)) = (longer, outcome) {
        let share = longer.max(1.0 - longer) * 100.0;
        text.push_str(&format!(" in {share:.0} % of pairs"));
    }
    if let Some(test) = test {
        text.push_str(&format!(", {}", probability(test.corrected)));
    }
    text
}

fn probability(p: f64) -> String {
    if p < 0.0001 {
        "p < 0.0001".to_owned()
    } else if p >= 0.995 {
        "p 1".to_owned()
    } else if p >= 0.1 {
        format!("p {p:.2}")
    } else {
        format!("p {p:.4}")
    }
}

/// The size and the source of a side: `120 exchanges (capture)`.
pub(super) fn side(side: &ComparedSide) -> String {
    let mut text = said!(Grouped(side.exchanges));
    text.push_str(if side.exchanges == 1 {
        " exchange"
    } else {
        " exchanges"
    });
    let mut more = |count: u64, what: &str| {
        if count > 0 {
            push!(&mut text; ", ", Grouped(count));
            text.push_str(what);
        }
    };
    more(side.filtered_out, " left out by --filter-http");
    more(
        side.probes,
        match side.kind {
            SideKind::LiveReport => " health checks, some of them among its figures",
            SideKind::Capture | SideKind::Report => " health checks left out",
        },
    );
    more(
        side.connects_failed.unwrap_or(0),
        " connections never opened",
    );
    more(side.dropped.unwrap_or(0), " packets lost by the kernel");
    text.push_str(match side.kind {
        SideKind::Capture => " (capture)",
        SideKind::Report => " (report)",
        SideKind::LiveReport => " (report of a live target)",
    });
    if !side.complete {
        text.push_str(", not whole");
    }
    text
}

/// The number of routes of each kind: `2 routes: 1 slower; 1 no change beyond noise`.
pub(super) fn overview(comparison: &Comparison) -> String {
    let mut text = String::new();
    let routes = comparison.routes.len() as u64;
    number::grouped(&mut text, routes);
    text.push_str(if routes == 1 { " route" } else { " routes" });
    for (index, (headline, count)) in comparison.headlines().into_iter().enumerate() {
        text.push_str(if index == 0 { ": " } else { "; " });
        push!(&mut text; Grouped(count), " ");
        text.push_str(&headline);
    }
    text
}

/// How changes were told from noise.
pub(super) fn method(comparison: &Comparison) -> String {
    let thresholds = comparison.thresholds;
    let tests = said!(Grouped(comparison.tests as u64));
    format!(
        "Noise: {tests} tests, p corrected for their number (Holm–Bonferroni), significant at p ≤ \
         {}. Shares: two-sided Fisher exact test. Gaps: two-sided Mann–Whitney U test; “in N % of \
         pairs” is how often an exchange after is slower (or faster) than one before. A change \
         gets its name only from {} on (of p50 or p90; of a share, and 0.1 points). The tests \
         take exchanges as independent of each other.",
        thresholds.alpha,
        percent(thresholds.min_change)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_many_times_as_long_is_no_percentage() {
        let millis = Span::from_millis;
        for (before, after, said) in [
            (100, 150, "+50.0 ms, +50 %"),
            (100, 950, "+850.0 ms, +850 %"),
            (2, 20, "+18.0 ms, 10 ×"),
            (1, 1_114, "+1113.0 ms, 1,114 ×"),
            (100, 50, "-50.0 ms, -50 %"),
            (5, 5, "0"),
        ] {
            assert_eq!(moved(millis(before), millis(after)), said);
        }
    }
}
