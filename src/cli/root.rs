//! The root of the command line: its commands, and what becomes of what they return.

use super::annotate::{self, AnnotateArgs};
use super::bpf::BadFilter;
use super::capture::{self, CaptureArgs};
use super::cleanup::{self, CleanupArgs};
use super::compare::{self, CompareArgs};
use super::completion::{self, CompletionArgs};
use super::doctor::{self, DoctorArgs};
use super::done::{Done, say};
use super::follow::{self, FollowArgs};
use super::help;
use super::image::{self, ImageArgs};
use super::meant;
use super::options::Misuse;
use super::rbac::{self, RbacArgs};
use super::report::{self, ReportArgs};
use crate::cluster::session::Unconsumed;
use crate::stderr;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Says who hung up on whom: captures a pod's packets, times every HTTP request in them, and judges
/// how it ended
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
    command: Option<Command>,

    /// Without a command: a capture.
    #[command(flatten)]
    capture: Box<CaptureArgs>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Report(Box<ReportArgs>),
    Compare(Box<CompareArgs>),
    Annotate(AnnotateArgs),
    Follow(FollowArgs),
    Capture(Box<CaptureArgs>),
    Cleanup(CleanupArgs),
    Doctor(Box<DoctorArgs>),
    Rbac(RbacArgs),
    Image(ImageArgs),
    Completion(CompletionArgs),
    Schema(SchemaArgs),
}

/// Print the JSON Schema of report -o json and -o jsonl
#[derive(Debug, Args)]
struct SchemaArgs {
    /// Print the schema of compare -o json
    #[arg(long)]
    compare: bool,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let status = run();
    stderr::finish();
    status
}

fn run() -> ExitCode {
    if let Some(words) = completion::asked() {
        completion::answer(Cli::command(), &words);
        return ExitCode::SUCCESS;
    }
    let matches = help::fitted(Cli::command).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            let meant = meant::by_option(&error);
            let meant =
                meant.map(|sentence| Cli::command().error(ErrorKind::UnknownArgument, sentence));
            return usage(&meant.unwrap_or(error));
        }
    };
    let command = match cli.command {
        Some(command) => command,
        None => match meant::by_targets(&Cli::command(), cli.capture.targets()) {
            Some(sentence) => return usage(&misused("", &sentence)),
            None => Command::Capture(cli.capture),
        },
    };
    let name = command.name();
    let error = match command.run() {
        Ok(done) => return done.exit(),
        Err(error) => error,
    };
    if let Some(Misuse(sentence)) = error.downcast_ref() {
        return usage(&misused(name, sentence));
    }
    // Whoever read the output has seen enough of it.
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    say("error: ", &format!("{error:#}"));
    match error.is::<BadFilter>() {
        true => ExitCode::from(2),
        false => ExitCode::FAILURE,
    }
}

impl Command {
    /// Name of the command, if it can be misused.
    fn name(&self) -> &'static str {
        match self {
            Self::Report(_) => "report",
            Self::Compare(_) => "compare",
            _ => "",
        }
    }

    fn run(self) -> anyhow::Result<Done> {
        match self {
            Self::Report(args) => report::run(*args),
            Self::Compare(args) => compare::run(*args),
            Self::Annotate(args) => annotate::run(args),
            Self::Capture(args) => capture::run(*args).map(Done::from),
            Self::Cleanup(args) => cleanup::run(&args).map(Done::from),
            Self::Completion(args) => completion::run(&mut Cli::command(), &args).map(Done::from),
            Self::Doctor(args) => doctor::run(&args).map(Done::from),
            Self::Follow(args) => follow::run(args),
            Self::Image(args) => image::run(&args).map(Done::from),
            Self::Rbac(args) => rbac::run(args).map(Done::from),
            Self::Schema(args) => schema(&args).map(Done::from),
        }
    }
}

/// Error of wrong usage of the command with this name.
fn misused(name: &str, sentence: &str) -> clap::Error {
    let mut root = Cli::command();
    root.build();
    let command = root.find_subcommand(name).cloned();
    let mut command = command.unwrap_or(root);
    command.error(ErrorKind::ValueValidation, sentence)
}

/// Prints help, the version or wrong usage: clap knows where each goes, and with what status.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to do if nobody can be told.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::from(2), ExitCode::from)
}

fn schema(args: &SchemaArgs) -> anyhow::Result<Vec<String>> {
    let schema = if args.compare {
        meshsniff::report::comparison::json::SCHEMA
    } else {
        meshsniff::report::json::SCHEMA
    };
    let mut out = io::stdout().lock();
    out.write_all(schema.as_bytes())?;
    out.flush()?;
    Ok(Vec::new())
}

/// Whether the reader of the output has left, which ends the run without an error.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

impl From<anyhow::Error> for Unconsumed {
    fn from(error: anyhow::Error) -> Self {
        if is_broken_pipe(&error) {
            Self::OutputClosed
        } else {
            Self::Failed(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_broken_pipe_is_known_in_any_context() {
        let of = |kind: io::ErrorKind| anyhow::Error::new(io::Error::from(kind));
        let error = of(io::ErrorKind::BrokenPipe).context("standard output");
        assert!(is_broken_pipe(&error));
        assert!(matches!(Unconsumed::from(error), Unconsumed::OutputClosed));
        let error = of(io::ErrorKind::StorageFull).context("standard output");
        assert!(!is_broken_pipe(&error));
        assert!(matches!(Unconsumed::from(error), Unconsumed::Failed(_)));
    }
}
