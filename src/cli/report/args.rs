//! Options of `report`, as they are typed and as they are checked.

use super::folder;
use super::making::Making;
use crate::cli::cluster::ClusterArgs;
use crate::cli::dry_run::{DryRun, DryRunArgs};
use crate::cli::files::{is_special, resolved};
use crate::cli::formats::Look;
use crate::cli::local::LocalArgs;
use crate::cli::options::{ColorArgs, KeyArgs, Misuse, PortArgs, Terms, all_of, terms};
use crate::cli::output::{Format, Output, OutputParser, a_place_each};
use crate::cli::packets::PacketArgs;
use crate::cluster::target::Named;
use crate::watch::Watched;
use clap::Args;
use meshsniff::assertion::{Assertion, Rules};
use meshsniff::capture::Input;
use meshsniff::redacted::Redacted;
use meshsniff::report::svg::SvgOf;
use meshsniff::statistics::tally::MAX_ASSERTIONS;
use meshsniff_contract::arguments::{PARTS, part};
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Time and judge every HTTP request: of a target as its packets come, or of captures
///
/// TARGET is a POD or TYPE/NAME. Its packets are analysed beside it until Ctrl-C, or until
/// --duration or the like; then comes the report.
///
/// FILE is a pcap or pcapng capture, also compressed with gzip or zstd. Several files are merged by
/// time. A name means a FILE if there is one or if it ends like one; pod/NAME is always a pod. A
/// capture that is still being written can be piped in: tcpdump -U -w - | kubectl meshsniff report
/// -o jsonl -
///
/// Without both, --local, --pid, --netns or --container captures on this machine, through
/// meshsniff-agent, as root.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "The report",
    after_long_help = "Exit status: 0 the report was made and every assertion passed, 1 an error \
                       (also when a file could be read only in part: the report of that part is \
                       made), 2 wrong usage, 3 an assertion failed. The file that \
                       MESHSNIFF_REASON_FILE names gets the errors and the assertions that failed, \
                       too: in a pod, /dev/termination-log."
)]
pub(in crate::cli) struct ReportArgs {
    /// Pod, TYPE/NAME, or capture files and folders of them; - or nothing: standard input
    #[arg(help_heading = None, value_name = "TARGET|FILE")]
    inputs: Vec<PathBuf>,

    /// Format of the report [default: text], and a file unless it goes to standard output;
    /// repeatable
    #[arg(short, long, value_name = "FORMAT[=FILE]", value_parser = OutputParser)]
    output: Vec<Output>,

    /// Fail, with exit status 3, if this holds, such as client-gave-up or 'not-ok>1%'; repeatable
    ///
    /// What may not be at all: a verdict (client-gave-up), not-ok, not-good, findings,
    /// findings.KIND, problems, problem.KIND, connects_failed, dropped, a status (5xx), a term of
    /// --filter-http (certainty=uncertain). With an operator and a number or share, what may not be
    /// more: not-ok>1%.
    ///
    /// What may not be so few, slow or bad: exchanges<N; a gap and a time
    /// (ack_to_client_close>400ms), or a percentile of the gap (request_to_response.p99>200ms); the
    /// success rates client_side<99% and server_side<99%.
    ///
    /// Verdicts and gaps are those that a report names; docs/verdicts-and-fields.md lists them, and
    /// the kinds of findings and problems.
    ///
    /// Behind all but dropped and problems, "where" and terms of --filter-http say which exchanges are meant:
    /// total>1s where path=/items. An assertion also fails if there was nothing to judge.
    #[arg(
        help_heading = "Assertions",
        long,
        value_name = "ASSERTION",
        value_parser = Assertion::parse
    )]
    fail_on: Vec<Assertion>,

    /// Fail, with exit status 3, unless this is so: the opposite of --fail-on
    ///
    /// --require 'request_to_response.p99<=250ms', --require 'server_side>=99%'. In a file of
    /// assertions a line that begins with "require" says the same.
    #[arg(
        help_heading = "Assertions",
        long,
        value_name = "CONDITION",
        value_parser = Assertion::require
    )]
    require: Vec<Assertion>,

    /// Read assertions from a file, one on each line; # begins a comment
    #[arg(help_heading = "Assertions", long, value_name = "FILE")]
    assert_file: Vec<PathBuf>,

    /// Watch the figures while packets come: on a terminal with keys, else as lines on standard
    /// error
    #[arg(long)]
    live: bool,

    /// Let assertions pass if there was nothing to judge
    #[arg(help_heading = "Assertions", long)]
    allow_no_traffic: bool,

    /// Show a timeline of every exchange, not only an example of each problem (text)
    #[arg(long)]
    all: bool,

    /// Number of the slowest good exchanges to show (text)
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u16).range(..=10_000)
    )]
    slowest: u16,

    /// Number of timelines to show, 0 for all [default: 50, with --all all] (text)
    #[arg(long, value_name = "N")]
    limit: Option<u32>,

    /// Draw this exchange, as report and follow number them (svg)
    #[arg(long, value_name = "N", conflicts_with = "problem")]
    exchange: Option<u64>,

    /// Draw the example of this problem, from 1 [default: the worst] (svg)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    problem: Option<u64>,

    /// Put so many bytes of each body into the archive, as they were sent (har)
    #[arg(
        long,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(1..=16 << 20)
    )]
    bodies: Option<u32>,

    /// Report only exchanges that match, such as 'path=/items* status=5xx'; repeatable
    ///
    /// An exchange must match every term, and one of the values of a term that has several; ! in
    /// front negates a term. A path without ? matches whatever the query is. In path, host and
    /// request-id * stands for anything.
    ///
    /// Terms: method=GET,POST path=/items* status=404,5xx,500-504,none verdict=client-gave-up (or
    /// not-ok) host=catalog request-id=d3bf* client=10.0.0.1 server=10.0.0.1:80 (or :80)
    /// certainty=uncertain finding=zero-window envoy=UT protocol=http/2 reset=CANCEL (or client,
    /// server, any) grpc-status=UNAVAILABLE,14,none
    #[arg(help_heading = "The exchanges", long, value_name = "TERMS", value_parser = terms)]
    filter_http: Vec<Terms>,

    /// Which ports.
    #[command(flatten, next_help_heading = "The exchanges")]
    port: PortArgs,

    /// Which keys.
    #[command(flatten, next_help_heading = "The exchanges")]
    pub(super) keys: KeyArgs,

    /// Also write the keys of the captured sessions to the file of -w; whoever has it can then
    /// decrypt them
    #[arg(help_heading = "The exchanges", long, requires = "write")]
    with_keys: bool,

    /// Treat health checks of the kubelet and the mesh like all other requests
    #[arg(help_heading = "The exchanges", long)]
    probes: bool,

    /// Whether in colour.
    #[command(flatten)]
    color: ColorArgs,

    /// Write the packets to this file, too, with the verdicts as packet comments
    ///
    /// Of a capture file it is a copy. The packets of a target come here for it, and are analysed
    /// here.
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// End after this many exchanges that did not go well (of a target)
    #[arg(
        help_heading = "The packets",
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    until_findings: Option<u64>,

    /// Leave these parts out of every exchange; of a target's already on the node
    #[arg(
        help_heading = "The exchanges",
        long,
        value_name = "PARTS",
        value_delimiter = ',',
        value_parser = PARTS.map(|(name, _)| name)
    )]
    redact: Vec<String>,

    /// Which packets of a capture.
    #[command(flatten)]
    packets: PacketArgs,

    /// Which targets, in which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,

    /// Whether only to print what would be made there, as YAML.
    #[command(flatten)]
    dry_run: DryRunArgs,

    /// A capture on this machine instead of files.
    #[command(flatten)]
    local: LocalArgs,
}

/// Options of a report of targets in a cluster.
pub(super) struct Live {
    pub(super) names: Vec<String>,
    pub(super) cluster: ClusterArgs,
    pub(super) packets: PacketArgs,
    pub(super) write: Option<PathBuf>,
    pub(super) until_findings: Option<u64>,
    pub(super) redact: Vec<String>,
    /// Print what would be made, and make nothing.
    pub(super) dry_run: Option<DryRun>,
    /// The selection, as it was typed.
    pub(super) terms: Vec<String>,
}

/// Origin of packets.
pub(super) enum Packets {
    /// Targets in a cluster.
    Targets(Box<Live>),
    /// This machine, through the agent.
    ThisMachine(LocalArgs, PacketArgs),
    /// Captures.
    Captures(Vec<Input>),
}

const LIMIT: usize = 50;

impl ReportArgs {
    /// Checks the options.
    ///
    /// # Errors
    /// If they make no sense together.
    pub(super) fn check(mut self) -> Result<(Packets, Making), Misuse> {
        self.inputs = folder::opened(self.inputs)?;
        let files: Vec<bool> = self.inputs.iter().map(|input| is_file(input)).collect();
        let named = files.contains(&false) || self.cluster.target.selector.is_some();
        if !named {
            self.local.container = self.cluster.target.container.take();
        }
        let local = self.local.is_asked();
        let no_input = self.inputs.is_empty() && !local && !named;
        let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
        let stdins = self.inputs.iter().filter(|path| is_stdin(path)).count();
        let one_file = matches!(self.inputs.as_slice(), [path] if !is_stdin(path));
        let now = named || local || no_input || stdins > 0;
        let archived = self.output.iter().any(|one| one.format == Format::Har);
        let drawn = self.output.iter().any(|one| one.format == Format::Svg);
        let of_target = self.cluster.target.is_set() || self.cluster.connect.is_set();
        let conflicts = [
            (
                named && files.contains(&true),
                "files and targets are reported apart: name the one or the other",
            ),
            (
                local && !self.inputs.is_empty(),
                "files or targets, and a capture on this machine, are reported apart: name the one \
                 or the other",
            ),
            (
                !local && !named && self.packets.is_set(),
                "-i, --filter, --duration, --count and --snaplen are for a capture: name a target, \
                 or add --local, --pid, --container or --netns",
            ),
            (
                !named && self.until_findings.is_some(),
                "--until-findings is for targets in a cluster: name one",
            ),
            (
                !named && self.write.is_some() && !one_file,
                "-w writes a copy of one capture file, or the packets of a target in a cluster: \
                 name one",
            ),
            (
                !named && of_target,
                "--namespace and the like are for targets in a cluster: name one",
            ),
            (
                !named && self.dry_run.dry_run.is_some(),
                "--dry-run is for targets in a cluster: name one",
            ),
            (
                self.write.is_some() && !self.redact.is_empty(),
                "--redact leaves parts out of a report, not of packets: write the packets with \
                 meshsniff and its own --redact or --headers-only, and report on the file",
            ),
            (
                no_input && io::stdin().is_terminal(),
                "name a pod or a capture file, or pipe a capture in",
            ),
            (stdins > 1, "- (standard input) can be read only once"),
            (
                (self.exchange.or(self.problem)).is_some() && !drawn,
                "--exchange and --problem say what a picture is of: add -o svg=FILE. One exchange \
                 as text is shown by kubectl meshsniff follow",
            ),
            (
                self.bodies.is_some() && !archived,
                "--bodies are for an HTTP Archive: add -o har=FILE. kubectl meshsniff follow --body \
                 shows those of one exchange",
            ),
            (
                self.bodies.is_some() && (local || named && self.write.is_none()),
                "--bodies takes the packets, and of a target only what they tell comes here: add -w \
                 FILE to a pod, or report on a capture file",
            ),
            (
                !self.keys.keylog.is_empty() && (local || named && self.write.is_none()),
                "--keylog needs the packets on this machine, and a report on a target brings only \
                 its results: add -w FILE to a pod, or report on a capture file",
            ),
            (
                self.bodies.is_some() && !self.redact.is_empty(),
                "a body may hold what --redact leaves out: leave out --bodies, too",
            ),
            (
                self.live && !now,
                "--live is for packets that come now: name a target, or pipe a capture in",
            ),
        ];
        if let Some((_, sentence)) = conflicts.iter().find(|(conflict, _)| *conflict) {
            return Err(Misuse((*sentence).to_owned()));
        }
        let limit = match self.limit {
            Some(limit) => usize::try_from(limit).unwrap_or(0),
            None if self.all => 0,
            None => LIMIT,
        };
        let assertions = self.assertions()?;
        let filter = all_of(&self.filter_http);
        if self.output.is_empty() {
            self.output.push(Output {
                format: Format::Text,
                file: None,
            });
        }
        let is_left_out = |part: &str| self.redact.iter().any(|one| one == part);
        let look = Look {
            outputs: self.output,
            rules: Rules {
                assertions,
                allow_no_traffic: self.allow_no_traffic,
                probes: self.probes,
                filter: filter.clone(),
            },
            all: self.all,
            slowest: usize::from(self.slowest),
            limit,
            filter,
            probes: self.probes,
            colour: self.color.is_wanted(),
            live: now,
            more: self.write.is_some(),
            pictured: match (self.exchange, self.problem) {
                (Some(exchange), _) => SvgOf::Exchange(exchange),
                (None, Some(problem)) => SvgOf::Problem(problem),
                (None, None) => SvgOf::Worst,
            },
            drawn: io::stdout().is_terminal(),
            redacted: Redacted {
                query: is_left_out(part::QUERY),
                path: is_left_out(part::PATH),
                host: is_left_out(part::HOST),
                request_id: is_left_out(part::REQUEST_ID),
            },
            watched: self.live.then(|| {
                let names: Vec<_> = self
                    .inputs
                    .iter()
                    .map(|name| name.to_string_lossy())
                    .collect();
                let title = match names.as_slice() {
                    _ if local => self.local.name(),
                    [] if named => "the targets".to_owned(),
                    [] => "standard input".to_owned(),
                    [one] if one == "-" => "standard input".to_owned(),
                    names => names.join(", "),
                };
                Arc::new(Mutex::new(Watched::new(&title, self.probes)))
            }),
        };
        let mut making = Making {
            look,
            ports: self.port.port,
            messages: archived.then(|| self.bodies.unwrap_or(0) as usize),
            keys: Arc::default(),
            annotated: None,
            with_keys: self.with_keys,
            also: Vec::new(),
            until: None,
        };
        let packets = if named {
            let names = self.inputs.iter().map(|name| name.to_string_lossy());
            Packets::Targets(Box::new(Live {
                names: names.map(Into::into).collect(),
                cluster: self.cluster,
                packets: self.packets,
                write: self.write,
                until_findings: self.until_findings,
                redact: self.redact,
                dry_run: self.dry_run.dry_run,
                terms: self.filter_http.into_iter().map(Terms::typed).collect(),
            }))
        } else if local {
            Packets::ThisMachine(self.local, self.packets)
        } else if no_input {
            Packets::Captures(vec![Input::Stdin])
        } else {
            let copied = self.write.zip(self.inputs.first());
            making.annotated = copied.map(|(to, from)| (from.clone(), to));
            let inputs = self.inputs.into_iter().map(|path| match is_stdin(&path) {
                true => Input::Stdin,
                false => Input::Path(path),
            });
            Packets::Captures(inputs.collect())
        };
        Ok((packets, making))
    }

    /// Returns every assertion, if they and the outputs make sense together.
    fn assertions(&self) -> Result<Vec<Assertion>, Misuse> {
        let mut assertions = self.fail_on.clone();
        assertions.extend(self.require.iter().cloned());
        for path in &self.assert_file {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Misuse(format!("{shown} cannot be read: {error}")))?;
            let read = Assertion::parse_lines(&text)
                .map_err(|error| Misuse(format!("{shown}, {error}")))?;
            if read.is_empty() {
                return Err(Misuse(format!(
                    "{shown} holds no assertion: one on each line, such as client-gave-up"
                )));
            }
            assertions.extend(read);
        }
        if assertions.len() > MAX_ASSERTIONS {
            return Err(Misuse(format!(
                "{} assertions are more than a report can hold: {MAX_ASSERTIONS} at most",
                assertions.len()
            )));
        }
        if self.allow_no_traffic && assertions.is_empty() {
            return Err(Misuse(
                "--allow-no-traffic is for assertions: add --fail-on, --require or --assert-file"
                    .to_owned(),
            ));
        }
        let junit = self
            .output
            .iter()
            .any(|output| output.format == Format::Junit);
        if junit && assertions.is_empty() {
            return Err(Misuse(
                "-o junit has a test case for each assertion: add one, such as --fail-on not-good"
                    .to_owned(),
            ));
        }
        if !self.redact.is_empty() && assertions.iter().any(Assertion::asks_for_redacted) {
            return Err(Misuse(
                "--redact leaves out what an assertion asks for: path=, host= or request-id="
                    .to_owned(),
            ));
        }
        let connects = assertions.iter().find(|one| one.is_about_connects());
        if let Some(connects) = connects
            && !all_of(&self.filter_http).is_about_ends()
        {
            return Err(Misuse(format!(
                "“{}” is about connections that never opened, of which --filter-http can ask only \
                 for client= and server=",
                connects.as_str()
            )));
        }
        a_place_each(&self.output).map_err(Misuse)?;
        self.no_overwriting().map_err(Misuse)?;
        Ok(assertions)
    }
}

impl ReportArgs {
    /// Refuses an output that would take the place of a capture.
    fn no_overwriting(&self) -> Result<(), String> {
        let captures = self.inputs.iter().chain(&self.write);
        let captures: Vec<PathBuf> = captures.map(|path| resolved(path)).collect();
        for path in self.output.iter().filter_map(|output| output.file.as_ref()) {
            if captures.contains(&resolved(path)) && !is_special(path) {
                return Err(format!(
                    "a report would take the place of a capture: {}",
                    path.display()
                ));
            }
        }
        Ok(())
    }
}

/// Whether a word means a file: there is one, it ends like one, or it can mean nothing else.
pub(in crate::cli) fn is_file(typed: &Path) -> bool {
    const ENDINGS: [&str; 7] = ["pcap", "pcapng", "cap", "gz", "zst", "ntar", "dmp"];
    let Some(text) = typed.to_str() else {
        return true;
    };
    if text == "-" || text.parse::<Named>().is_err() {
        return true;
    }
    // A kind of thing in a cluster before a slash is never a folder by accident.
    if text.contains('/') {
        return false;
    }
    let ending = typed.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending)) || typed.exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::testing::parse_args;
    use meshsniff::condition::Filter;

    fn parse(args: &[&str]) -> anyhow::Result<(Packets, Making)> {
        Ok(parse_args::<ReportArgs>(args)?.check()?)
    }

    fn made(args: &[&str]) -> Making {
        parse(args).expect("a report").1
    }

    fn output(format: Format) -> Output {
        Output { format, file: None }
    }

    fn refused(args: &[&str]) -> String {
        let error = parse(args).err().expect("refused");
        error.to_string()
    }

    #[test]
    fn defaults() {
        let options = made(&["a.pcap"]);
        assert_eq!(options.look.outputs, [output(Format::Text)]);
        assert_eq!((options.look.slowest, options.look.limit), (5, 50));
        assert!(!options.look.live && !options.look.all && !options.look.probes);
        assert!(options.look.filter.selects_all());
        assert_eq!(made(&["a.pcap", "--all"]).look.limit, 0);
        assert_eq!(made(&["a.pcap", "--all", "--limit=3"]).look.limit, 3);
        // What lists exchanges is of no use without the good ones.
        for (format, all) in [("json", false), ("csv=a.csv", true), ("har=a.har", true)] {
            let look = made(&["a.pcap", "-o", format]).look;
            assert_eq!((look.needs_all(), look.all), (all, false), "{format}");
        }
    }

    #[test]
    fn everything_at_once() {
        let (packets, options) = parse(&[
            "-",
            "a.pcap",
            "-o",
            "jsonl",
            "--port",
            "8080",
            "--port",
            "81",
            "--slowest=0",
            "--probes",
            "--color=always",
            "--filter-http",
            "method=GET status=5xx",
            "--filter-http",
            "path=/a*",
        ])
        .unwrap();
        assert_eq!(options.look.outputs, [output(Format::Jsonl)]);
        assert_eq!(options.ports, [8080, 81]);
        assert!(matches!(packets, Packets::Captures(inputs) if inputs.len() == 2));
        assert!(options.look.live && options.look.probes && options.look.colour);
        assert_eq!(
            options.look.filter,
            Filter::parse("method=GET status=5xx path=/a*").unwrap()
        );
    }

    #[test]
    fn a_target_is_told_from_a_file() {
        for file in ["a.pcap", "a.pcapng.gz", "-", "../a", "dir/a", "/tmp/a"] {
            assert!(is_file(Path::new(file)), "{file}");
        }
        for target in ["catalog-7d9f", "deploy/catalog", "pod/a.pcap"] {
            assert!(!is_file(Path::new(target)), "{target}");
        }
        let live = parse(&["deploy/catalog", "--filter-http", "status=5xx"]).unwrap();
        let Packets::Targets(live) = live.0 else {
            panic!("no target");
        };
        assert_eq!(live.names, ["deploy/catalog"]);
        assert_eq!(live.terms, ["status=5xx"]);
        let labelled = parse(&["-l", "app=catalog"]).unwrap();
        assert!(matches!(labelled.0, Packets::Targets(_)));
        assert!(refused(&["catalog", "a.pcap"]).contains("apart"));
        assert!(refused(&["a.pcap", "c.pcap", "-w", "b.pcap"]).contains("one capture file"));
        assert!(made(&["a.pcap", "-w", "b.pcap"]).annotated.is_some());
        assert!(refused(&["a.pcap", "-n", "shop"]).contains("--namespace"));
    }

    #[test]
    fn several_formats_and_assertions() {
        let options = made(&[
            "a.pcap",
            "-o",
            "text",
            "-ojunit=out/report.xml",
            "--fail-on",
            "client-gave-up",
            "--fail-on=total>1s where path=/items",
        ]);
        let junit = Output {
            format: Format::Junit,
            file: Some("out/report.xml".into()),
        };
        assert_eq!(options.look.outputs, [output(Format::Text), junit]);
        let typed = options.look.rules.assertions.iter().map(Assertion::as_str);
        let typed: Vec<_> = typed.collect();
        assert_eq!(typed, ["client-gave-up", "total>1s where path=/items"]);
        for (args, said) in [
            (&["-o", "text", "-o", "json"][..], "standard output"),
            (&["-o", "text=a", "-o", "json=a"], "one file"),
            (&["-o", "text="], "names no file"),
            (&["-o", "html5=a"], "markdown"),
            (&["-o", "junit"], "--fail-on not-good"),
            (&["--allow-no-traffic"], "--fail-on"),
            (&["--fail-on", "client-gaveup"], "client-gave-up"),
            (&["--assert-file", "/no/such/file"], "cannot be read"),
        ] {
            let message = refused(&[&["a.pcap"], args].concat());
            assert!(message.contains(said), "{args:?}: {message}");
        }
        let redacted = ["catalog", "--redact=path", "--fail-on=not-ok where path=/a"];
        assert!(refused(&redacted).contains("leaves out"));
    }

    #[test]
    fn wrong_usage_says_what_is_right() {
        assert!(refused(&["-", "-"]).contains("only once"));
        assert!(refused(&["a.pcap", "-o", "xml"]).contains("jsonl"));
        assert!(refused(&["a.pcap", "--port", "0"]).contains("65535"));
        let text = refused(&["a.pcap", "--filter-http", "status=many"]);
        assert!(text.contains("500-504"), "{text}");
    }
}
