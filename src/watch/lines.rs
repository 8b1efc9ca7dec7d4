//! The live view without a terminal: a line for each problem when it is first seen and when it has
//! grown, and one with the figures now and then.

use super::{Sorting, Watched, route_name};
use hashbrown::HashMap;
use meshsniff::exchange::Side;
use meshsniff::packet::Endpoint;
use meshsniff::statistics::{Problem, ProblemKind};
use std::time::Duration;

/// Time between two lines of figures.
pub const EVERY: Duration = Duration::from_secs(5);

/// Most problems printed at once.
const MAX_AT_ONCE: usize = 20;

/// By what a problem is known again.
type Key = (ProblemKind, Endpoint, Side, String);

/// State of what was printed already.
#[derive(Debug, Default)]
pub struct Lines {
    /// The problems, with the counts that were printed.
    problems: HashMap<Key, u64>,
    exchanges: u64,
    said: Option<Duration>,
}

impl Lines {
    /// Returns what is new, a line each. `since` counts from the begin; with `last` nothing comes
    /// after.
    pub fn next(&mut self, watched: &Watched, since: Duration, last: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let due = self.said.is_none_or(|said| since >= said + EVERY);
        for described in watched.problems().iter().take(MAX_AT_ONCE) {
            let problem = &described.problem;
            let known = self.problems.entry(key(problem)).or_default();
            if *known == 0 || problem.count > *known && (due || last) {
                *known = problem.count;
                lines.push(format!("✗ {}: {}", problem.kind, described.sentence));
            }
        }
        let sum = watched.sum();
        if (due || last) && sum.exchanges != self.exchanges {
            self.exchanges = sum.exchanges;
            self.said = Some(since);
            lines.push(figures(watched, since));
        }
        lines
    }
}

fn key(problem: &Problem) -> Key {
    let route = problem.routes.first().map_or("", |route| route.as_str());
    let what = format!("{} {route}", problem.detail);
    (problem.kind, problem.server, problem.side, what)
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
        watched.look();
        let said = lines.next(&watched, Duration::from_secs(1), false);
        assert_eq!(said.len(), 2, "{said:#?}");
        assert!(
            said[0].contains("the caller gave up on 1 of 2 requests after 501.7 ms"),
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
        // The same again is no news at once, and one line then.
        for _ in 0..500 {
            watched.exchange(&fixtures::gave_up());
        }
        watched.look();
        assert!(
            lines
                .next(&watched, Duration::from_secs(3), false)
                .is_empty()
        );
        let said = lines.next(&watched, Duration::from_secs(9), false);
        assert_eq!(said.len(), 2, "{said:#?}");
        assert!(
            said[0].contains("gave up on 501 of 503 requests"),
            "{said:#?}"
        );
    }
}
