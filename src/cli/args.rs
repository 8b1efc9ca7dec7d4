//! What can be typed, and what it means once it is checked.

use super::capture::CaptureArgs;
use super::local::LocalArgs;
use super::packets::PacketArgs;
use crate::capture::Input;
use crate::report::select::Filter;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

/// Says who hung up on whom: times every HTTP request of a packet capture and judges how it ended
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
    Report(ReportArgs),
    Capture(Box<CaptureArgs>),
    /// Print the JSON Schema of what -o json and -o jsonl write
    Schema,
}

/// Report a timing and a verdict for every HTTP request, of captures or of this machine's packets now
///
/// Reads pcap and pcapng, also packed with gzip or zstd. Several files are merged by time. Captures that are
/// still being written can be piped in: tcpdump -U -w - | kubectl meshsniff report -o jsonl -
///
/// With --local, --pid, --container or --netns it captures itself, through meshsniff-agent, as root, until Ctrl-C.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 the report was made, 1 an error (also when a file could be read only in part; \
the report of that part is made), 2 wrong usage."
)]
pub(super) struct ReportArgs {
    /// Capture files; - or nothing for standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Format: text for a person, json for one document, jsonl for one object a line as soon as it is settled
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,

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
    /// host=catalog request-id=d3bf* client=10.0.0.1 server=10.0.0.1:80 (or :80). In path, host and request-id
    /// a * stands for anything; a path without ? fits whatever the query is.
    #[arg(long, value_name = "TERMS", value_parser = Filter::parse)]
    filter_http: Vec<Filter>,

    /// Take this TCP port for HTTP whatever its first bytes look like; may be given more than once
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,

    /// Count and show health checks of the kubelet and the mesh like all other requests
    #[arg(long)]
    probes: bool,

    /// When to use colour; auto asks the terminal and NO_COLOR (text)
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    color: When,

    /// Which packets of a capture.
    #[command(flatten)]
    packets: PacketArgs,

    /// A capture on this machine instead of files.
    #[command(flatten)]
    local: LocalArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// A `report` that can be made.
pub(super) struct ReportOptions {
    pub(super) inputs: Vec<Input>,
    /// A capture on this machine, in the place of inputs.
    pub(super) local: Option<(LocalArgs, PacketArgs)>,
    pub(super) format: Format,
    pub(super) all: bool,
    pub(super) slowest: usize,
    /// 0 for no limit.
    pub(super) limit: usize,
    pub(super) filter: Filter,
    pub(super) ports: Vec<u16>,
    pub(super) probes: bool,
    pub(super) colour: bool,
    /// Whether the input may pause, so that nobody should be kept waiting for output.
    pub(super) live: bool,
}

const LIMIT: usize = 50;

impl ReportArgs {
    /// Puts together what was asked for.
    ///
    /// # Errors
    /// If it makes no sense: to be printed as wrong usage.
    pub(super) fn check(self) -> Result<ReportOptions, clap::Error> {
        let local = self.local.is_asked();
        if local && !self.files.is_empty() {
            let sentence =
                "files and a capture on this machine are reported apart: name the one or the other";
            return Err(wrong(ErrorKind::ArgumentConflict, sentence));
        }
        if !local && self.packets.is_set() {
            let sentence = "-i, --filter, --duration, --count and --snaplen are for a capture on this machine: add --local, \
                            --pid, --container or --netns";
            return Err(wrong(ErrorKind::ArgumentConflict, sentence));
        }
        let no_input = self.files.is_empty() && !local;
        if no_input && io::stdin().is_terminal() {
            return Err(wrong(
                ErrorKind::MissingRequiredArgument,
                "name a capture file, or pipe a capture in",
            ));
        }
        let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
        let stdins = self.files.iter().filter(|path| is_stdin(path)).count();
        if stdins > 1 {
            return Err(wrong(
                ErrorKind::ArgumentConflict,
                "- (standard input) can be read only once",
            ));
        }
        let inputs = if no_input {
            vec![Input::Stdin]
        } else {
            let input = |path| {
                if is_stdin(&path) {
                    Input::Stdin
                } else {
                    Input::Path(path)
                }
            };
            self.files.into_iter().map(input).collect()
        };
        let limit = match self.limit {
            Some(limit) => usize::try_from(limit).unwrap_or(0),
            None if self.all => 0,
            None => LIMIT,
        };
        let filters = self.filter_http.into_iter();
        Ok(ReportOptions {
            live: no_input || stdins > 0 || local,
            local: local.then_some((self.local, self.packets)),
            inputs,
            format: self.output,
            all: self.all,
            slowest: usize::from(self.slowest),
            limit,
            filter: filters.fold(Filter::default(), Filter::and),
            ports: self.port,
            probes: self.probes,
            colour: match self.color {
                When::Always => true,
                When::Never => false,
                When::Auto => colour_is_welcome(),
            },
        })
    }
}

fn wrong(kind: ErrorKind, sentence: &str) -> clap::Error {
    let mut command = Cli::command();
    command.build();
    match command.find_subcommand_mut("report") {
        Some(report) => report.error(kind, sentence),
        None => command.error(kind, sentence),
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
        assert_eq!(options.format, Format::Text);
        assert_eq!((options.slowest, options.limit), (5, 50));
        assert!(!options.live && !options.all && !options.probes);
        assert!(options.filter.selects_all());
        assert_eq!(parse(&["a.pcap", "--all"]).unwrap().limit, 0);
        assert_eq!(parse(&["a.pcap", "--all", "--limit=3"]).unwrap().limit, 3);
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
        assert_eq!(options.format, Format::Jsonl);
        assert_eq!(options.ports, [8080, 81]);
        assert_eq!(options.inputs.len(), 2);
        assert!(options.live && options.probes && options.colour);
        assert_eq!(
            options.filter,
            Filter::parse("method=GET status=5xx path=/a*").unwrap()
        );
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
