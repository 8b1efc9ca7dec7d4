//! What can be typed, and what it means once it is checked.

use super::annotate::AnnotateArgs;
use super::capture::CaptureArgs;
use super::cleanup::CleanupArgs;
use super::cluster::ClusterArgs;
use super::compare::CompareArgs;
use super::completion::CompletionArgs;
use super::doctor::DoctorArgs;
use super::dry_run::{DryRun, DryRunArgs};
use super::follow::FollowArgs;
use super::formats::{Format, Look, Output, OutputParser};
use super::local::LocalArgs;
use super::packets::PacketArgs;
use super::rbac::RbacArgs;
use crate::cluster::stop::Stop;
use crate::cluster::target::Named;
use crate::watch::Watched;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use meshsniff::assertion::{Assertion, Rules};
use meshsniff::capture::Input;
use meshsniff::condition::Filter;
use meshsniff::statistics::tally::MAX_ASSERTIONS;
use meshsniff_contract::arguments::PARTS;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// Says who hung up on whom: captures what a pod sends and gets, times every HTTP request in it, and judges how it ended
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-meshsniff",
    bin_name = "kubectl meshsniff",
    version,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 110
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// Without a command: a capture.
    #[command(flatten)]
    pub(super) capture: Box<CaptureArgs>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Report(Box<ReportArgs>),
    Compare(Box<CompareArgs>),
    Annotate(AnnotateArgs),
    Follow(FollowArgs),
    Capture(Box<CaptureArgs>),
    Cleanup(CleanupArgs),
    Doctor(Box<DoctorArgs>),
    Rbac(RbacArgs),
    Completion(CompletionArgs),
    Schema(SchemaArgs),
}

/// Print the JSON Schema of what report -o json and -o jsonl write
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Of what compare -o json writes
    #[arg(long)]
    pub(super) compare: bool,
}

/// Report a timing and a verdict for every HTTP request, of a target's packets now or of captures
///
/// Of a TARGET (POD or TYPE/NAME): its packets are analysed beside it, until Ctrl-C or what --duration and the like say, and
/// the report comes at the end. What is a file, or ends like one, is a FILE; pod/NAME is always a pod.
///
/// Of a FILE: reads pcap and pcapng, also packed with gzip or zstd. Several files are merged by time. Captures that are
/// still being written can be piped in: tcpdump -U -w - | kubectl meshsniff report -o jsonl -
///
/// With --local, --pid, --netns, or --container without a TARGET, it captures on this machine, through meshsniff-agent, as
/// root.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 the report was made and every assertion passed, 1 an error (also when a file could be read \
only in part; the report of that part is made), 2 wrong usage, 3 an assertion failed. The file that MESHSNIFF_REASON_FILE names gets the errors and the assertions that failed, \
too: in a pod, /dev/termination-log."
)]
pub(super) struct ReportArgs {
    /// A pod or TYPE/NAME, or capture files; - or nothing for standard input
    #[arg(value_name = "TARGET|FILE")]
    inputs: Vec<PathBuf>,

    /// Format, and the file it goes to if not to standard output; may be given more than once. Text if none is given
    #[arg(short, long, value_name = "FORMAT[=FILE]", value_parser = OutputParser)]
    output: Vec<Output>,

    /// Fail, with exit status 3, if this is so; may be given more than once
    ///
    /// A verdict (client-gave-up), not-ok or not-good, findings or findings.KIND, connects_failed, dropped, a term of
    /// --filter-http (certainty=uncertain), each with an operator and a number or share if more than none may be
    /// (not-ok>1%); exchanges<N; a gap and a time (ack_to_client_close>400ms) or a percentile of it
    /// (request_to_response.p99>200ms); client_side<99% or server_side<99%, the success rates. Behind all but dropped,
    /// "where" and terms of --filter-http say which exchanges are meant: total>1s where path=/items. Where there was nothing
    /// to judge it fails, too.
    #[arg(long, value_name = "ASSERTION", value_parser = Assertion::parse)]
    fail_on: Vec<Assertion>,

    /// Read such assertions from a file, one on each line; # begins a comment
    #[arg(long, value_name = "FILE")]
    assert_file: Vec<PathBuf>,

    /// Watch while it is captured: figures by route and the latest problems on a terminal, with keys, else as lines on
    /// standard error; the report comes at the end
    #[arg(long)]
    live: bool,

    /// Do not fail where there was nothing to judge
    #[arg(long)]
    allow_no_traffic: bool,

    /// Show every exchange as a timeline, not only those that did not go well (text)
    #[arg(long)]
    all: bool,

    /// How many of the slowest good exchanges to show (text)
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(..=10_000))]
    slowest: u16,

    /// How many timelines to show; 0 shows all. 50 unless --all is given (text)
    #[arg(long, value_name = "N")]
    limit: Option<u32>,

    /// Report only the exchanges that fit; may be given more than once, all must fit
    ///
    /// Terms separated by blanks must all fit; of values separated by commas one must; a leading ! turns a term
    /// round. Terms: method=GET,POST path=/items* status=404,5xx,500-504,none verdict=client-gave-up (or not-ok)
    /// host=catalog request-id=d3bf* client=10.0.0.1 server=10.0.0.1:80 (or :80) certainty=uncertain finding=zero-window envoy=UT. In path, host and request-id
    /// a * stands for anything; a path without ? fits whatever the query is.
    #[arg(long, value_name = "TERMS", value_parser = terms)]
    filter_http: Vec<Terms>,

    /// Take this TCP port for HTTP whatever its first bytes look like; may be given more than once
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,

    /// Count and show health checks of the kubelet and the mesh like all other requests
    #[arg(long)]
    probes: bool,

    /// When to use colour; auto asks the terminal and NO_COLOR (text)
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    color: When,

    /// Write the packets to this file, too, with the verdicts as packet comments; of a target they are then analysed here
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// End once this many exchanges did not go well (of a target)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    until_findings: Option<u64>,

    /// Leave these out of what is told of an exchange, already on the node (of a target)
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_parser = PARTS.map(|(name, _)| name))]
    redact: Vec<String>,

    /// Which packets of a capture.
    #[command(flatten)]
    packets: PacketArgs,

    /// Where it is captured.
    #[command(flatten)]
    cluster: ClusterArgs,

    /// Or only what would be made there, as YAML.
    #[command(flatten)]
    dry_run: DryRunArgs,

    /// A capture on this machine instead of files.
    #[command(flatten)]
    local: LocalArgs,
}

/// When there is to be colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

/// A selection, and how it was typed: the agent is told the same.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    filter: Filter,
    typed: String,
}

/// Reads a selection.
pub(super) fn terms(typed: &str) -> Result<Terms, String> {
    let filter = Filter::parse(typed).map_err(|error| error.to_string())?;
    let typed = typed.to_owned();
    Ok(Terms { filter, typed })
}

/// The selection of what all of them select.
pub(super) fn all_of(terms: &[Terms]) -> Filter {
    let filters = terms.iter().map(|terms| terms.filter.clone());
    filters.fold(Filter::default(), Filter::and)
}

/// A report of targets in a cluster.
pub(super) struct Live {
    pub(super) names: Vec<String>,
    pub(super) cluster: ClusterArgs,
    pub(super) packets: PacketArgs,
    pub(super) write: Option<PathBuf>,
    pub(super) until_findings: Option<u64>,
    pub(super) redact: Vec<String>,
    /// Print what would be made, and make nothing.
    pub(super) dry_run: Option<DryRun>,
    /// What is selected, as it was typed.
    pub(super) terms: Vec<String>,
}

/// A `report` that can be made.
pub(super) struct ReportOptions {
    /// Targets in a cluster, in the place of inputs.
    pub(super) cluster: Option<Box<Live>>,
    /// How many exchanges that did not go well are enough, and who is to be told.
    pub(super) until: Option<(u64, Stop)>,
    pub(super) inputs: Vec<Input>,
    /// A capture, and where a copy with comments goes.
    pub(super) annotated: Option<(PathBuf, PathBuf)>,
    /// Whether the user has ended standard input.
    pub(super) cut: Option<Arc<AtomicBool>>,
    /// A capture on this machine, in the place of inputs.
    pub(super) local: Option<(LocalArgs, PacketArgs)>,
    pub(super) ports: Vec<u16>,
    pub(super) look: Look,
}

const LIMIT: usize = 50;

impl ReportArgs {
    /// Puts together what was asked for.
    ///
    /// # Errors
    /// If it makes no sense: to be printed as wrong usage.
    pub(super) fn check(mut self) -> Result<ReportOptions, clap::Error> {
        let conflict = |sentence| Err(wrong(ErrorKind::ArgumentConflict, sentence));
        let files: Vec<bool> = self.inputs.iter().map(|input| is_file(input)).collect();
        let named = files.contains(&false) || self.cluster.target.selector.is_some();
        if !named {
            self.local.container = self.cluster.target.container.take();
        }
        let local = self.local.is_asked();
        if named && files.contains(&true) {
            return conflict("files and targets are reported apart: name the one or the other");
        }
        if local && !self.inputs.is_empty() {
            return conflict(
                "files or targets, and a capture on this machine, are reported apart: name the one or the other",
            );
        }
        if !local && !named && self.packets.is_set() {
            return conflict(
                "-i, --filter, --duration, --count and --snaplen are for a capture: name a target, or add --local, --pid, \
                 --container or --netns",
            );
        }
        if !named && (self.until_findings.is_some() || !self.redact.is_empty()) {
            return conflict(
                "--until-findings and --redact are for targets in a cluster: name one",
            );
        }
        let one_file = matches!(self.inputs.as_slice(), [path] if path.as_os_str() != "-");
        if !named && self.write.is_some() && !one_file {
            return conflict(
                "-w writes a copy of one capture file, or the packets of a target in a cluster: name one",
            );
        }
        if !named && (self.cluster.target.is_set() || self.cluster.connect.is_set()) {
            return conflict("--namespace and the like are for targets in a cluster: name one");
        }
        if !named && self.dry_run.dry_run.is_some() {
            return conflict("--dry-run is for targets in a cluster: name one");
        }
        if self.write.is_some() && !self.redact.is_empty() {
            return conflict(
                "--redact leaves parts out of a report, not of packets: write the packets with meshsniff and its own \
                 --redact or --headers-only, and report on the file",
            );
        }
        let no_input = self.inputs.is_empty() && !local && !named;
        if no_input && io::stdin().is_terminal() {
            return Err(wrong(
                ErrorKind::MissingRequiredArgument,
                "name a pod or a capture file, or pipe a capture in",
            ));
        }
        let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
        let stdins = self.inputs.iter().filter(|path| is_stdin(path)).count();
        if stdins > 1 {
            return conflict("- (standard input) can be read only once");
        }
        let limit = match self.limit {
            Some(limit) => usize::try_from(limit).unwrap_or(0),
            None if self.all => 0,
            None => LIMIT,
        };
        if self.live && !named && !local && !no_input && stdins == 0 {
            return conflict(
                "--live is for packets that come now: name a target, or pipe a capture in",
            );
        }
        let assertions = self.assertions()?;
        let filter = all_of(&self.filter_http);
        if self.output.is_empty() {
            self.output.push(Output {
                format: Format::Text,
                file: None,
            });
        }
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
            colour: colour(self.color),
            live: no_input || stdins > 0 || local || named,
            more: self.write.is_some(),
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
        let mut options = ReportOptions {
            cluster: None,
            until: None,
            local: None,
            inputs: Vec::new(),
            annotated: None,
            cut: None,
            ports: self.port,
            look,
        };
        if named {
            let names = self.inputs.into_iter();
            options.cluster = Some(Box::new(Live {
                names: names
                    .map(|name| name.to_string_lossy().into_owned())
                    .collect(),
                cluster: self.cluster,
                packets: self.packets,
                write: self.write,
                until_findings: self.until_findings,
                redact: self.redact,
                dry_run: self.dry_run.dry_run,
                terms: self
                    .filter_http
                    .into_iter()
                    .map(|terms| terms.typed)
                    .collect(),
            }));
        } else if local {
            options.local = Some((self.local, self.packets));
        } else if no_input {
            options.inputs = vec![Input::Stdin];
        } else {
            let input = |path| {
                if is_stdin(&path) {
                    Input::Stdin
                } else {
                    Input::Path(path)
                }
            };
            options.annotated = self
                .write
                .zip(self.inputs.first())
                .map(|(to, from)| (from.clone(), to));
            options.inputs = self.inputs.into_iter().map(input).collect();
        }
        Ok(options)
    }

    /// Every assertion, and whether that and the outputs make sense.
    fn assertions(&self) -> Result<Vec<Assertion>, clap::Error> {
        let mut assertions = self.fail_on.clone();
        let invalid = |sentence: String| wrong(ErrorKind::ValueValidation, &sentence);
        for path in &self.assert_file {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| invalid(format!("{shown} cannot be read: {error}")))?;
            let read = Assertion::parse_lines(&text)
                .map_err(|error| invalid(format!("{shown}, {error}")))?;
            if read.is_empty() {
                return Err(invalid(format!(
                    "{shown} holds no assertion: one on each line, such as client-gave-up"
                )));
            }
            assertions.extend(read);
        }
        if assertions.len() > MAX_ASSERTIONS {
            return Err(invalid(format!(
                "{} assertions are more than a report can hold: {MAX_ASSERTIONS} at most",
                assertions.len()
            )));
        }
        if self.allow_no_traffic && assertions.is_empty() {
            return Err(invalid(
                "--allow-no-traffic is for assertions: add --fail-on or --assert-file".to_owned(),
            ));
        }
        let junit = self
            .output
            .iter()
            .any(|output| output.format == Format::Junit);
        if junit && assertions.is_empty() {
            return Err(invalid(
                "-o junit has a test case for each assertion: add one, such as --fail-on not-good"
                    .to_owned(),
            ));
        }
        if !self.redact.is_empty() && assertions.iter().any(Assertion::asks_for_redacted) {
            return Err(invalid(
                "--redact leaves out what an assertion asks for: path=, host= or request-id="
                    .to_owned(),
            ));
        }
        let connects = assertions.iter().find(|one| one.is_about_connects());
        if let Some(connects) = connects
            && !all_of(&self.filter_http).is_about_ends()
        {
            return Err(invalid(format!(
                "“{}” is about connections that never opened, of which --filter-http can ask only for client= and server=",
                connects.as_str()
            )));
        }
        a_place_each(&self.output).map_err(invalid)?;
        self.no_overwriting().map_err(invalid)?;
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

/// A path that is the same for the same file, whether it is there or not.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Whether it is there and no file, as a pipe or a device.
fn is_special(path: &Path) -> bool {
    path.exists() && !path.is_file()
}

/// Refuses two outputs that would go to one place.
pub(super) fn a_place_each(outputs: &[Output]) -> Result<(), String> {
    let files = outputs.iter().map(|output| output.file.as_deref());
    let files = files.filter(|file| !file.is_some_and(is_special));
    let mut files: Vec<_> = files.map(|file| file.map(resolved)).collect();
    files.sort();
    let twice = files.windows(2).find(|pair| pair[0] == pair[1]);
    match twice.map(|pair| &pair[0]) {
        None => Ok(()),
        Some(None) => Err(
            "only one report can go to standard output: give the others files, as in -o json=report.json"
                .to_owned(),
        ),
        Some(Some(path)) => Err(format!("two reports cannot go to one file: {}", path.display())),
    }
}

/// Whether what was typed is a file: it is one, it is called like one, or it can be nothing else.
fn is_file(typed: &Path) -> bool {
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

fn wrong(kind: ErrorKind, sentence: &str) -> clap::Error {
    wrong_in("report", kind, sentence)
}

/// Wrong usage of a command.
pub(super) fn wrong_in(command: &str, kind: ErrorKind, sentence: &str) -> clap::Error {
    let name = command;
    let mut command = Cli::command();
    command.build();
    match command.find_subcommand_mut(name) {
        Some(subcommand) => subcommand.error(kind, sentence),
        None => command.error(kind, sentence),
    }
}

/// Whether to write colour.
pub(super) fn colour(when: When) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => colour_is_welcome(),
    }
}

/// See <https://no-color.org>: any value but the empty one says no.
fn colour_is_welcome() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<ReportOptions, clap::Error> {
        let args = [&["kubectl-meshsniff", "report"], args].concat();
        let Some(Command::Report(args)) = Cli::try_parse_from(args)?.command else {
            panic!("not a report");
        };
        args.check()
    }

    fn output(format: Format) -> Output {
        Output { format, file: None }
    }

    fn refused(args: &[&str]) -> String {
        let error = parse(args).err().expect("refused");
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_prints_help_and_is_wrong_usage() {
        let error = Cli::try_parse_from(["kubectl-meshsniff"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("Usage: kubectl meshsniff"), "{text}");
        assert!(text.contains("report"), "{text}");
    }

    #[test]
    fn defaults() {
        let options = parse(&["a.pcap"]).unwrap();
        assert_eq!(options.look.outputs, [output(Format::Text)]);
        assert_eq!((options.look.slowest, options.look.limit), (5, 50));
        assert!(!options.look.live && !options.look.all && !options.look.probes);
        assert!(options.look.filter.selects_all());
        assert_eq!(parse(&["a.pcap", "--all"]).unwrap().look.limit, 0);
        assert_eq!(
            parse(&["a.pcap", "--all", "--limit=3"]).unwrap().look.limit,
            3
        );
    }

    #[test]
    fn everything_at_once() {
        let options = parse(&[
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
        assert_eq!(options.inputs.len(), 2);
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
        let live = live.cluster.unwrap();
        assert_eq!(live.names, ["deploy/catalog"]);
        assert_eq!(live.terms, ["status=5xx"]);
        assert!(parse(&["-l", "app=catalog"]).unwrap().cluster.is_some());
        assert!(refused(&["catalog", "a.pcap"]).contains("apart"));
        assert!(refused(&["a.pcap", "c.pcap", "-w", "b.pcap"]).contains("one capture file"));
        assert!(
            parse(&["a.pcap", "-w", "b.pcap"])
                .unwrap()
                .annotated
                .is_some()
        );
        assert!(refused(&["a.pcap", "-n", "shop"]).contains("--namespace"));
    }

    #[test]
    fn several_formats_and_assertions() {
        let options = parse(&[
            "a.pcap",
            "-o",
            "text",
            "-ojunit=out/report.xml",
            "--fail-on",
            "client-gave-up",
            "--fail-on=total>1s where path=/items",
        ])
        .unwrap();
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
