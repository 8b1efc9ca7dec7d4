//! `compare`: reads two captures or reports and compares them.

use super::analysis::{Onlookers, analyse};
use super::done::Done;
use super::files::write_file;
use super::formats::width;
use super::options::{ColorArgs, KeyArgs, Misuse, PortArgs, Terms, all_of, terms};
use super::output::{Format, Output, OutputParser, a_place_each};
use anyhow::Context as _;
use clap::Args;
use meshsniff::Options;
use meshsniff::capture::{Input, OpenError};
use meshsniff::compare::Thresholds;
use meshsniff::compare::difference::Comparison;
use meshsniff::compare::language::ChangeAssertion;
use meshsniff::compare::side::{ComparedSide, Gatherer, Selection};
use meshsniff::compression::{Compression, MAGIC_LEN};
use meshsniff::condition;
use meshsniff::event::Outcome;
use meshsniff::exchange::{Gap, Gaps};
use meshsniff::pipeline::Pipeline;
use meshsniff::protocol::tls::Keys;
use meshsniff::report::comparison::text::ComparisonTextOptions;
use meshsniff::report::comparison::{json, markdown, text};
use meshsniff::report::json::read;
use meshsniff::statistics::tally::MAX_ASSERTIONS;
use std::fs::File;
use std::io::{self, Cursor, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that tell a report from a capture: a report may begin with a few blanks.
const LOOKED_AT: u64 = 256;

/// Compare two captures or reports, route by route, and tell changes from noise
///
/// BEFORE and AFTER are captures (pcap or pcapng, also compressed with gzip or zstd), or reports
/// that -o json or -o jsonl wrote; - is standard input. A route is a method and a path without its
/// query; servers may differ. Each has, before and after, shares of good exchanges and of each
/// verdict, and percentiles of its gaps.
///
/// A change is called worse, slower, better or faster if it is significant and at least as large as
/// --min-change. Shares are tested by Fisher's exact test, gaps by the Mann-Whitney U test from 8
/// values on each side; both are two-sided, and p is corrected for the number of all tests by Holm
/// and Bonferroni. The tests take exchanges as independent: compare two captures of the same
/// version to see how much captures differ anyway.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Exit status: 0 the comparison was made and every assertion passed, 1 an \
                       error (also when a file could be read only in part: what was read is \
                       compared), 2 wrong usage, 3 an assertion failed."
)]
pub(super) struct CompareArgs {
    /// Baseline: a capture or a JSON report
    #[arg(value_name = "BEFORE")]
    before: PathBuf,

    /// Capture or JSON report to compare with it
    #[arg(value_name = "AFTER")]
    after: PathBuf,

    /// Format: text, json or markdown [default: text], and a file unless it goes to standard
    /// output; repeatable
    #[arg(
        short,
        long,
        value_name = "FORMAT[=FILE]",
        value_parser = OutputParser,
        hide_possible_values = true
    )]
    output: Vec<Output>,

    /// Fail, with exit status 3, if this holds, such as slower or 'total.p50>+10ms'; repeatable
    ///
    /// slower, worse, faster or better: a route is called so. new or gone: a route is on one side
    /// only. A percentile of a gap that changed on any route (request_to_response.p99>+20%,
    /// total.p50>+10ms). A share that changed, in percentage points (client-gave-up>+1%, good<-1%).
    /// exchanges<10 on either side. problems (but no notes), or
    /// problem.KIND: one that is new or has grown.
    ///
    /// Behind it, "where" and path= or method= say which routes are meant: slower where
    /// path=/items*. An assertion also fails if there was nothing to compare.
    #[arg(long, value_name = "ASSERTION", value_parser = ChangeAssertion::parse)]
    fail_on: Vec<ChangeAssertion>,

    /// Make one route of all paths that match, * standing for anything; the first that matches
    /// counts; repeatable
    #[arg(long, value_name = "PATTERN")]
    route: Vec<String>,

    /// Compare this gap, too, beside request_to_response, total and request_to_client_close;
    /// repeatable
    #[arg(long, value_name = "NAME", value_parser = gap)]
    gap: Vec<Gap>,

    /// Largest corrected p of a significant change
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = alpha)]
    alpha: f64,

    /// Least change that gets a name: of the median or p90 of a gap, or of a share (and 0.1
    /// percentage points)
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = min_change)]
    min_change: f64,

    /// Number of routes to show, 0 for all (text)
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,

    /// Compare only exchanges that match, as for report; repeatable
    #[arg(long, value_name = "TERMS", value_parser = terms)]
    filter_http: Vec<Terms>,

    /// Which ports of captures.
    #[command(flatten)]
    port: PortArgs,

    /// Which keys of captures.
    #[command(flatten)]
    keys: KeyArgs,

    /// Treat health checks of the kubelet and the mesh like all other requests
    #[arg(long)]
    probes: bool,

    /// Whether in colour.
    #[command(flatten)]
    color: ColorArgs,
}

fn gap(name: &str) -> Result<Gap, String> {
    condition::gap(name).ok_or_else(|| format!("must be a gap: {}", Gaps::NAMES.join(", ")))
}

fn alpha(text: &str) -> Result<f64, String> {
    let alpha = text.parse().ok();
    alpha
        .filter(|alpha| *alpha > 0.0 && *alpha < 1.0)
        .ok_or_else(|| "must be between 0 and 1, such as 0.05".to_owned())
}

fn min_change(text: &str) -> Result<f64, String> {
    let percent = text
        .strip_suffix('%')
        .and_then(|number| number.trim().parse::<f64>().ok());
    percent
        .filter(|percent| (0.0..=1e6).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| "must be a percentage, such as 5% or 0.5%".to_owned())
}

/// Options of a comparison, checked.
struct CompareOptions {
    before: PathBuf,
    after: PathBuf,
    outputs: Vec<Output>,
    assertions: Vec<ChangeAssertion>,
    selection: Selection,
    thresholds: Thresholds,
    ports: Vec<u16>,
    keys: Arc<Keys>,
    limit: usize,
    colour: bool,
}

impl CompareArgs {
    /// Checks the options.
    ///
    /// # Errors
    /// If they make no sense together.
    fn check(mut self) -> Result<CompareOptions, Misuse> {
        let wrong = |sentence: &str| Misuse(sentence.to_owned());
        if self.before.as_os_str() == "-" && self.after.as_os_str() == "-" {
            return Err(wrong("- (standard input) can be read only once"));
        }
        if self.fail_on.len() > MAX_ASSERTIONS {
            return Err(wrong(&format!(
                "{} assertions are more than can be held against it: {MAX_ASSERTIONS} at most",
                self.fail_on.len()
            )));
        }
        if self.output.is_empty() {
            self.output.push(Output {
                format: Format::Text,
                file: None,
            });
        }
        let fits = |output: &Output| {
            matches!(
                output.format,
                Format::Text | Format::Json | Format::Markdown
            )
        };
        if !self.output.iter().all(fits) {
            return Err(wrong(
                "a comparison is written as text, json or markdown: the other formats are for \
                 report",
            ));
        }
        a_place_each(&self.output).map_err(Misuse)?;
        let usual = Selection::USUAL.into_iter();
        let asserted = self.fail_on.iter().filter_map(ChangeAssertion::gap);
        let mut gaps = Vec::new();
        for gap in usual.chain(self.gap).chain(asserted) {
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
        }
        Ok(CompareOptions {
            before: self.before,
            after: self.after,
            outputs: self.output,
            selection: Selection {
                filter: all_of(&self.filter_http),
                probes: self.probes,
                routes: self.route,
                gaps,
            },
            assertions: self.fail_on,
            thresholds: Thresholds {
                alpha: self.alpha,
                min_change: self.min_change,
            },
            ports: self.port.port,
            keys: Arc::default(),
            limit: usize::try_from(self.limit).unwrap_or(0),
            colour: self.color.is_wanted(),
        })
    }
}

/// Reads both sides and writes how they differ.
///
/// # Errors
/// If the options make no sense, a side cannot be read, or the comparison cannot be written.
pub(super) fn run(args: CompareArgs) -> anyhow::Result<Done> {
    let keys = args.keys.open()?;
    let mut options = args.check()?;
    options.keys = keys;
    let (before, mut errors) = options.side(&options.before, None)?;
    let (after, more) = options.side(&options.after, Some(&before))?;
    errors.extend(more);
    let comparison = Comparison::new(before, after, &options.selection, options.thresholds);
    let outcomes = options.assertions.iter();
    let outcomes = outcomes.map(|assertion| assertion.judge(&comparison, &options.selection));
    let outcomes: Vec<Outcome> = outcomes.collect();
    let mut printed = None;
    for output in &options.outputs {
        let text = options.render(output, &comparison, &outcomes)?;
        match &output.file {
            Some(path) => write_file(path, &text)?,
            None => printed = Some(text),
        }
    }
    if let Some(text) = printed {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        // Whoever read it has seen enough of it; the assertions are held all the same.
        written.or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        })?;
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed());
    Ok(Done {
        errors,
        failures: failed
            .map(|outcome| format!("{}: {}", outcome.assertion, outcome.observed))
            .collect(),
    })
}

impl CompareOptions {
    /// Reads one side; returns it and what is missing in it.
    fn side(
        &self,
        path: &Path,
        other: Option<&ComparedSide>,
    ) -> anyhow::Result<(ComparedSide, Vec<String>)> {
        let name = if path.as_os_str() == "-" {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        match Content::of(path, &name)? {
            Content::Report(reader) => Ok(read::report(reader, &name, &self.selection, other)?),
            Content::Capture(input) => {
                let options = Options {
                    ports: self.ports.clone(),
                    keys: Some(Arc::clone(&self.keys)),
                    ..Options::default()
                };
                let pipeline =
                    Pipeline::open(vec![input], options).map_err(|error| match error {
                        OpenError::NotACapture { name, .. } => anyhow::anyhow!(
                            "{name} is neither a capture (pcap or pcapng, also packed with gzip or \
                         zstd) nor a report of -o json or -o jsonl: name one of these"
                        ),
                        error => error.into(),
                    })?;
                let mut gatherer = Gatherer::new(&self.selection, &name, other);
                let errors = analyse(pipeline, Onlookers::at_stderr(), &mut gatherer)?;
                Ok((gatherer.done(), errors))
            }
        }
    }

    fn render(
        &self,
        output: &Output,
        comparison: &Comparison,
        outcomes: &[Outcome],
    ) -> anyhow::Result<String> {
        Ok(match output.format {
            Format::Json => {
                json::write(comparison, outcomes).context("the comparison could not be written")?
            }
            Format::Markdown => markdown::write(comparison, outcomes),
            _ => text::write(
                comparison,
                outcomes,
                ComparisonTextOptions {
                    colour: self.colour && output.file.is_none(),
                    width: width(output.file.is_none()),
                    limit: self.limit,
                },
            ),
        })
    }
}

/// Kind of a file, by its first bytes.
enum Content {
    Capture(Input),
    Report(Box<dyn Read + Send>),
}

impl Content {
    fn of(path: &Path, name: &str) -> anyhow::Result<Self> {
        let is_stdin = path.as_os_str() == "-";
        let is_plain = path.is_file();
        let mut source: Box<dyn Read + Send> = if is_stdin {
            Box::new(io::stdin())
        } else {
            match File::open(path) {
                Ok(file) if !path.is_dir() => Box::new(file),
                // The reader of captures says what is wrong with it.
                _ => return Ok(Self::Capture(Input::Path(path.to_owned()))),
            }
        };
        let unread = || format!("{name} cannot be read");
        let (magic, whole) = peek(source.as_mut(), MAGIC_LEN as u64).with_context(unread)?;
        source = Box::new(whole.chain(source));
        let Some(compression) = Compression::of(&magic) else {
            let (start, whole) = peek(source.as_mut(), LOOKED_AT).with_context(unread)?;
            let source: Box<dyn Read + Send> = Box::new(whole.chain(source));
            return Ok(if looks_like_json(&start) {
                Self::Report(source)
            } else if is_plain {
                Self::Capture(Input::Path(path.to_owned()))
            } else {
                Self::Capture(Input::from_reader(name, source))
            });
        };
        if is_plain {
            let mut unpacked = compression.reader(source);
            // What cannot be unpacked is for the reader of captures to say.
            let (start, whole) = peek(unpacked.as_mut(), LOOKED_AT).unwrap_or_default();
            return Ok(if looks_like_json(&start) {
                Self::Report(Box::new(whole.chain(unpacked)))
            } else {
                Self::Capture(Input::Path(path.to_owned()))
            });
        }
        let mut unpacked = compression.reader(source);
        let (start, whole) = peek(unpacked.as_mut(), LOOKED_AT).with_context(unread)?;
        let unpacked: Box<dyn Read + Send> = Box::new(whole.chain(unpacked));
        Ok(if looks_like_json(&start) {
            Self::Report(unpacked)
        } else {
            Self::Capture(Input::from_reader(name, unpacked))
        })
    }
}

/// Returns the first bytes, and a reader that gives them once more.
fn peek(source: &mut dyn Read, most: u64) -> io::Result<(Vec<u8>, Cursor<Vec<u8>>)> {
    let mut start = Vec::new();
    source.take(most).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start)))
}

/// Whether a file begins like JSON. A pcapng file begins with line breaks, too, but without a brace
/// behind them.
fn looks_like_json(start: &[u8]) -> bool {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let rest = start.trim_ascii_start();
    rest.first() == Some(&b'{') && !start.starts_with(b"\x0a\x0d\x0d\x0a")
}

#[cfg(test)]
mod tests {
    use super::super::options::testing::parse_args;
    use super::*;

    fn parse(args: &[&str]) -> anyhow::Result<CompareOptions> {
        let args: CompareArgs = parse_args(&[&["a", "b"], args].concat())?;
        Ok(args.check()?)
    }

    #[test]
    fn defaults() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.thresholds, Thresholds::default());
        assert_eq!(options.selection.gaps.len(), 3);
        assert_eq!(options.outputs[0].format, Format::Text);
        let asserted = parse(&["--fail-on", "request_to_ack.p50>+1ms", "--gap=total"]).unwrap();
        assert_eq!(asserted.selection.gaps.len(), 4);
        let changed = parse(&["--min-change=0.5%", "--alpha=0.01"]).unwrap();
        assert_eq!(changed.thresholds.min_change, 0.005);
        assert_eq!(changed.thresholds.alpha, 0.01);
    }

    #[test]
    fn wrong_usage_says_what_is_right() {
        for (args, said) in [
            (&["-o", "junit"][..], "text, json or markdown"),
            (&["-o", "text", "-o", "json"], "standard output"),
            (&["--gap", "time"], "request_to_response"),
            (&["--alpha", "2"], "0.05"),
            (&["--min-change", "5"], "5%"),
            (&["--fail-on", "slowest"], "worse, slower"),
            (&["--fail-on", "total.p50>10ms"], "has no sign"),
            (
                &["--fail-on", "slower where status=200"],
                "path= and method=",
            ),
        ] {
            let error = parse(args).err().expect("refused");
            assert!(error.to_string().contains(said), "{args:?}: {error}");
        }
    }

    #[test]
    fn reports_are_told_from_captures() {
        assert!(looks_like_json(b"{\"schema\""));
        assert!(looks_like_json(b"\xef\xbb\xbf \r\n {"));
        assert!(!looks_like_json(b"\x0a\x0d\x0d\x0a{"));
        assert!(!looks_like_json(b"\xd4\xc3\xb2\xa1{"));
        assert!(!looks_like_json(b""));
    }
}
