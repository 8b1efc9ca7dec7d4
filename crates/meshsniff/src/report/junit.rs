//! `-o junit`: a test case for each assertion.
//!
//! The form is what Jenkins, GitLab and GitHub's report actions read: `testsuites`, `testsuite`,
//! `testcase` with `failure` or `error`. Text from the wire is text in it, and characters that XML
//! 1.0 does not allow stand as escape sequences.

use super::facts::Facts;
use super::problems::Told;
use super::text;
use crate::analyzer::Totals;
use crate::condition::Filter;
use crate::event::{Capture, Conclusion, Outcome, Report, ReportEvent};
use crate::exchange::{Gap, Verdict};
use crate::piece::{Shown, said};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::io::{self, Write};
use std::time::Duration;

/// The name of the suites and of every class.
const SUITES: &str = "meshsniff";
/// The test case of the capture itself, which fails if part of it could not be read.
const WHOLE: &str = "the capture is whole";

/// A report for CI.
pub struct JunitReport<W: Write> {
    out: W,
    facts: Facts,
}

impl<W: Write> JunitReport<W> {
    /// Creates a report of the exchanges that `filter` selects. `with_probes`: health checkers
    /// count like everybody else.
    pub fn new(out: W, filter: Filter, with_probes: bool) -> Self {
        Self {
            out,
            facts: Facts::new(filter, with_probes),
        }
    }

    fn write(&mut self, capture: &Capture) -> io::Result<()> {
        let mut cases: Vec<Case> = self
            .facts
            .outcomes
            .iter()
            .map(|one| self.case(one))
            .collect();
        let whole = capture.errors.is_empty();
        cases.push(Case {
            name: WHOLE.to_owned(),
            problem: (!whole).then(|| Problem {
                tag: "error",
                kind: "incomplete",
                message: shown(&capture.errors.join("; ")),
                description: None,
            }),
        });
        let problems = cases.iter().filter_map(|case| case.problem.as_ref());
        let failures = problems.filter(|problem| problem.tag == "failure").count();
        let (tests, failures) = (cases.len().to_string(), failures.to_string());
        let errors = if whole { "0" } else { "1" };
        let sources = self.facts.sources.iter().map(|source| shown(&source.name));
        let sources = sources.collect::<Vec<_>>().join(", ");
        let mut suite = vec![
            (
                "name",
                if sources.is_empty() {
                    "nothing"
                } else {
                    &sources
                },
            ),
            ("tests", &tests),
            ("disabled", "0"),
            ("errors", errors),
            ("failures", &failures),
        ];
        let Totals { first, last, .. } = capture.totals;
        let seconds = first.zip(last).map(|(first, last)| {
            let nanos = u64::try_from((last - first).as_nanos()).unwrap_or(0);
            format!("{:.3}", Duration::from_nanos(nanos).as_secs_f64())
        });
        suite.extend(seconds.as_deref().map(|seconds| ("time", seconds)));
        let mut xml = Writer::new_with_indent(&mut self.out, b' ', 4);
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        xml.create_element("testsuites")
            .with_attributes([
                ("name", SUITES),
                ("tests", &tests),
                ("failures", &failures),
                ("errors", errors),
            ])
            .write_inner_content(|xml| {
                let suite = xml.create_element("testsuite").with_attributes(suite);
                suite.write_inner_content(|xml| {
                    properties(xml, &self.facts, capture)?;
                    cases.iter().try_for_each(|case| case.write(xml))
                })?;
                Ok(())
            })?;
        xml.write_indent()?;
        self.out.flush()
    }

    fn case(&self, outcome: &Outcome) -> Case {
        let problem = (!outcome.passed()).then(|| Problem {
            tag: "failure",
            kind: outcome.name(),
            message: shown(&outcome.observed),
            description: (outcome.verdict == Conclusion::Failed).then(|| {
                let mut timelines = String::new();
                for exchange in &outcome.exchanges {
                    text::plain_timeline(&mut timelines, &self.facts, exchange);
                }
                for connection in &outcome.connections {
                    text::plain_connection(&mut timelines, &self.facts, connection);
                }
                timelines
            }),
        });
        Case {
            name: shown(&outcome.assertion),
            problem,
        }
    }
}

/// A test case.
struct Case {
    name: String,
    problem: Option<Problem>,
}

/// Why a test case did not pass.
struct Problem {
    tag: &'static str,
    kind: &'static str,
    message: String,
    description: Option<String>,
}

impl Case {
    fn write<W: Write>(&self, xml: &mut Writer<W>) -> io::Result<()> {
        let attributes = [
            ("name", &*self.name),
            ("classname", SUITES),
            ("time", "0.000"),
        ];
        let case = xml.create_element("testcase").with_attributes(attributes);
        case.write_inner_content(|xml| {
            let Some(problem) = &self.problem else {
                return Ok(());
            };
            let attributes = [("message", &*problem.message), ("type", problem.kind)];
            let element = xml.create_element(problem.tag).with_attributes(attributes);
            match &problem.description {
                Some(text) => element.write_text_content(BytesText::new(text))?,
                None => element.write_empty()?,
            };
            Ok(())
        })?;
        Ok(())
    }
}

fn properties<W: Write>(xml: &mut Writer<W>, facts: &Facts, capture: &Capture) -> io::Result<()> {
    let summary = &facts.summary;
    let told = Told::of(facts, capture);
    let told = told.problems.iter().map(|problem| {
        (
            format!("problem {}", problem.id + 1),
            told.paragraph(problem),
        )
    });
    let mut properties = vec![
        ("exchanges", summary.exchanges),
        ("frames", capture.totals.frames),
    ];
    let verdicts = Verdict::ALL.map(Verdict::name).into_iter();
    properties.extend(
        verdicts
            .zip(summary.verdicts)
            .filter(|(_, count)| *count > 0),
    );
    let findings: Vec<(String, u64)> = summary
        .findings()
        .map(|(kind, costs)| (format!("found {}", kind.name()), costs.count))
        .collect();
    properties.extend(findings.iter().map(|(name, count)| (name.as_str(), *count)));
    let wait = summary.gap(Gap::Wait);
    let wait = wait.map(|wait| wait.p50.as_nanos().unsigned_abs() / 1_000);
    properties.extend(wait.map(|wait| ("wait median µs", wait)));
    xml.create_element("properties")
        .write_inner_content(|xml| {
            let counts = properties
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count.to_string()));
            for (name, value) in told.chain(counts) {
                let attributes = [("name", &*name), ("value", &*value)];
                let property = xml.create_element("property");
                property.with_attributes(attributes).write_empty()?;
            }
            Ok(())
        })?;
    Ok(())
}

fn shown(text: &str) -> String {
    said!(Shown(text, usize::MAX))
}

impl<W: Write> Report for JunitReport<W> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        self.facts.tell(event);
        if let ReportEvent::Finish(capture) = event {
            self.write(capture)?;
        }
        Ok(())
    }
}
