//! The live view without a terminal: a line for each problem, and one with the figures now and
//! then.

use super::{Problem, Sorting, Watched, route_name};
use std::time::Duration;

/// Time between two lines of figures.
pub const EVERY: Duration = Duration::from_secs(5);

/// Most problems printed at once; the others are only counted.
const MAX_AT_ONCE: u64 = 20;

/// State of what was printed already.
#[derive(Debug, Default)]
pub struct Lines {
    problems: u64,
    exchanges: u64,
    said: Option<Duration>,
}

impl Lines {
    /// Returns what is new, a line each. `since` counts from the begin; with `last` nothing comes
    /// after.
    pub fn next(&mut self, watched: &Watched, since: Duration, last: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let new = watched.not_ok.saturating_sub(self.problems);
        self.problems = watched.not_ok;
        let kept = watched.problems().len() as u64;
        let shown = new.min(MAX_AT_ONCE).min(kept) as usize;
        if new > shown as u64 {
            lines.push(format!(
                "✗ {} more that did not go well",
                new - shown as u64
            ));
        }
        let latest: Vec<&Problem> = watched.problems().take(shown).collect();
        lines.extend(latest.into_iter().rev().map(problem));
        let due = self.said.is_none_or(|said| since >= said + EVERY);
        let sum = watched.sum();
        if (due || last) && sum.exchanges != self.exchanges {
            self.exchanges = sum.exchanges;
            self.said = Some(since);
            lines.push(figures(watched, since));
        }
        lines
    }
}

fn problem(problem: &Problem) -> String {
    let mut line = format!(
        "✗ {} {} {}",
        problem.time,
        problem.request,
        problem.verdict.name()
    );
    if !problem.figure.is_empty() {
        line.push_str(", ");
        line.push_str(&problem.figure);
    }
    line
}

fn figures(watched: &Watched, since: Duration) -> String {
    let sum = watched.sum();
    let mut line = format!(
        "  {:.0} s: {} exchanges, {:.1}/s, {} gave up, {} failed",
        since.as_secs_f64(),
        sum.exchanges,
        sum.rate(),
        sum.gave_up,
        sum.failed
    );
    if sum.response.count() > 0 {
        line.push_str(&format!(
            ", answers after {:.2} ms (p50), {:.2} ms (p99)",
            sum.response.percentile(50).as_millis(),
            sum.response.percentile(99).as_millis()
        ));
    }
    if let Some((route, row)) = watched.routes(Sorting::NotOk).first()
        && row.gave_up + row.failed > 0
    {
        line.push_str(&format!(
            "; most of what did not go well: {}",
            route_name(route)
        ));
    }
    if watched.dropped > 0 {
        line.push_str(&format!("; {} packets lost", watched.dropped));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshsniff::testing::fixtures;

    #[test]
    fn what_is_new_and_no_more() {
        let mut watched = Watched::new("pod", false);
        let mut lines = Lines::default();
        watched.exchange(&fixtures::ok());
        watched.exchange(&fixtures::gave_up());
        let said = lines.next(&watched, Duration::from_secs(1), false);
        assert_eq!(said.len(), 2, "{said:#?}");
        assert!(
            said[0].contains("GET /items client-gave-up, 501.7 ms"),
            "{said:#?}"
        );
        assert!(
            said[1].contains("2 exchanges") && said[1].contains("1 gave up"),
            "{said:#?}"
        );
        assert!(
            lines
                .next(&watched, Duration::from_secs(20), true)
                .is_empty()
        );
        watched.exchange(&fixtures::ok());
        assert!(
            lines
                .next(&watched, Duration::from_secs(2), false)
                .is_empty()
        );
        assert_eq!(lines.next(&watched, Duration::from_secs(2), true).len(), 1);
        for _ in 0..500 {
            watched.exchange(&fixtures::gave_up());
        }
        let said = lines.next(&watched, Duration::from_secs(9), false);
        assert_eq!(said.len(), 22);
        assert_eq!(said[0], "✗ 480 more that did not go well");
    }
}
