//! `-o junit`: a test case for each assertion.
//!
//! The form is the one that Jenkins, GitLab, GitHub's report actions and the like read:
//! `testsuites`, `testsuite`, `testcase` with `failure` or `error`. What came over the wire is text
//! in it, never markup; characters that XML 1.0 does not allow stand as escape sequences.

use super::facts::Facts;
use super::text;
use crate::condition::Filter;
use crate::event::{Capture, Conclusion, Outcome, Report, ReportEvent};
use crate::piece::{Shown, said};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::io::{self, Write};
use std::time::Duration;

/// The name of all this.
const SUITES: &str = "meshsniff";
/// The case of a capture that could not be read to its end.
const WHOLE: &str = "the capture is whole";

/// A report for CI.
pub struct JunitReport<W: Write> {
    out: W,
    facts: Facts,
}

impl<W: Write> JunitReport<W> {
    /// A report of the exchanges that `filter` selects. `with_probes`: health checkers count like
    /// everybody else.
    pub fn new(out: W, filter: Filter, with_probes: bool) -> Self {
        Self {
            out,
            facts: Facts::new(filter, with_probes),
        }
    }

    fn suite(&self, capture: &Capture) -> TestSuite {
        let names = self.facts.sources.iter().map(|source| shown(&source.name));
        let names: Vec<String> = names.collect();
        let name = if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        };
        let mut suite = TestSuite::new(name);
        let totals = &capture.totals;
        if let (Some(first), Some(last)) = (totals.first, totals.last) {
            let nanos = (last - first).as_nanos();
            suite.set_time(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)));
        }
        suite.add_test_cases(self.facts.outcomes.iter().map(|one| self.case(one)));
        let mut whole = TestCaseStatus::success();
        if !capture.errors.is_empty() {
            whole = TestCaseStatus::non_success(NonSuccessKind::Error);
            whole.set_message(shown(&capture.errors.join("; ")));
            whole.set_type("incomplete");
        }
        suite.add_test_case(case(WHOLE, whole));
        let summary = &self.facts.summary;
        let mut properties = vec![("exchanges", summary.exchanges), ("frames", totals.frames)];
        let verdicts = crate::exchange::Verdict::ALL
            .into_iter()
            .zip(summary.verdicts);
        properties.extend(
            verdicts.filter_map(|(verdict, count)| (count > 0).then_some((verdict.name(), count))),
        );
        for (name, count) in properties {
            suite.add_property((name, count.to_string().as_str()));
        }
        suite
    }

    fn case(&self, outcome: &Outcome) -> TestCase {
        let mut status = TestCaseStatus::success();
        if !outcome.passed() {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(shown(&outcome.observed));
            status.set_type(outcome.name());
            if outcome.verdict == Conclusion::Failed {
                let mut timelines = String::new();
                for exchange in &outcome.exchanges {
                    text::plain_timeline(&mut timelines, &self.facts, exchange);
                }
                for connection in &outcome.connections {
                    text::plain_connection(&mut timelines, &self.facts, connection);
                }
                status.set_description(timelines);
            }
        }
        case(&shown(&outcome.assertion), status)
    }
}

fn case(name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(SUITES);
    case.set_time(Duration::ZERO);
    case
}

fn shown(text: &str) -> String {
    said!(Shown(text, usize::MAX))
}

impl<W: Write> Report for JunitReport<W> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        self.facts.tell(event);
        if let ReportEvent::Finish(capture) = event {
            let mut report = quick_junit::Report::new(SUITES);
            report.add_test_suite(self.suite(capture));
            let xml = report.to_string().map_err(io::Error::other)?;
            self.out.write_all(xml.as_bytes())?;
            self.out.flush()?;
        }
        Ok(())
    }
}
