//! The command line of `kubectl meshsniff`.
//!
//! | here | holds |
//! |---|---|
//! | `args` | what can be typed |
//! | `report` | `report`: options checked, capture read, report written |
//! | `compare` | `compare`: two captures or reports read, and held against each other |
//! | `capture` | the command without a name: packets to Wireshark, a file or a pipe |
//! | `formats` | the formats of a report behind one type, and their files |
//! | `annotate` | `annotate`: a capture with the verdicts as packet comments |
//! | `follow` | `follow`: one conversation as text |
//! | `held` | a report that waits for something to report |
//! | `live` | `report` of targets in a cluster |
//! | `cleanup` | what old runs left in a cluster |
//! | `doctor` | what would fail in a cluster |
//! | `completion` | what a shell and kubectl complete |
//! | `dry_run` | what a capture would make, printed |
//! | `rbac` | the rights that a capture takes, as YAML |
//! | `bpf` | whether a capture filter compiles |
//! | `packets`, `cluster` | options that several commands share |
//! | `local` | a capture on this machine, through the agent |
//! | `sink` | where the streams of targets are put |
//! | `names` | names for addresses |
//! | `wireshark` | finding and starting Wireshark |
//! | `watch` | `report --live`: its terminal and its keys |
//! | `progress` | the bar on stderr |
//!
//! stdout is data, stderr is talk. Exit status: 0 the report was made, 1 an error, 2 wrong usage, 3 an assertion failed.

mod annotate;
mod args;
mod bpf;
mod capture;
mod cleanup;
mod cluster;
mod compare;
mod completion;
mod doctor;
mod dry_run;
mod follow;
mod formats;
mod held;
mod live;
mod local;
mod names;
mod packets;
mod progress;
mod rbac;
mod report;
mod sink;
mod watch;
mod wireshark;

use crate::cluster::session::Unconsumed;
use args::{Cli, Command};
use clap::Parser as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit status when an assertion failed.
const ASSERTION_FAILED: u8 = 3;

/// Names a file that gets the errors and the assertions that failed, too: a container's `/dev/termination-log`, for one. In
/// its log they may stand anywhere, because two streams are brought together there.
const REASON_FILE: &str = "MESHSNIFF_REASON_FILE";

/// Runs the program.
pub fn main() -> ExitCode {
    if let Some(words) = completion::asked() {
        completion::answer(&words);
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let result = match cli.command.unwrap_or(Command::Capture(cli.capture)) {
        Command::Report(args) => match args.check() {
            Ok(options) => report::run(options),
            Err(error) => return usage(&error),
        },
        Command::Compare(args) => match args.check() {
            Ok(options) => compare::run(options),
            Err(error) => return usage(&error),
        },
        Command::Annotate(args) => annotate::run(args),
        Command::Capture(args) => capture::run(*args).map(Done::from),
        Command::Cleanup(args) => cleanup::run(&args).map(Done::from),
        Command::Completion(args) => completion::run(&args).map(Done::from),
        Command::Doctor(args) => doctor::run(&args).map(Done::from),
        Command::Follow(args) => follow::run(args),
        Command::Rbac(args) => rbac::run(args).map(Done::from),
        Command::Schema(args) => schema(&args).map(Done::from),
    };
    match result {
        Ok(done) => done.exit(),
        // Whoever read the output has seen enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say("error: ", &format!("{error:#}"));
            if error.is::<bpf::BadFilter>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Whether nobody reads what was to be written: the end of the run, and no error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
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

/// What came of a command that did its work, if not all of it.
#[derive(Debug, Default)]
struct Done {
    /// What is missing, one sentence each.
    errors: Vec<String>,
    /// Assertions that failed, each with what was seen.
    failures: Vec<String>,
}

impl From<Vec<String>> for Done {
    fn from(errors: Vec<String>) -> Self {
        Self {
            errors,
            failures: Vec::new(),
        }
    }
}

impl Done {
    /// Says what there is to say. Where something is missing, assertions are held against the rest, and that is an error first.
    fn exit(self) -> ExitCode {
        for failure in &self.failures {
            say("failed: ", failure);
        }
        for error in &self.errors {
            say("error: ", error);
        }
        if !self.errors.is_empty() {
            ExitCode::FAILURE
        } else if !self.failures.is_empty() {
            ExitCode::from(ASSERTION_FAILED)
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// Help and version are errors to clap, too: it knows which of them go where, and with what status.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to do if nobody can be told.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::from(2), ExitCode::from)
}

/// Prints one line, whatever is in it.
fn say(kind: &str, sentence: &str) {
    let mut line = String::from(kind);
    meshsniff::escape::push_shown(&mut line, sentence);
    let _ = writeln!(io::stderr(), "{line}");
    if let Some(path) = std::env::var_os(REASON_FILE).filter(|path| !path.is_empty()) {
        let file = OpenOptions::new().append(true).create(true).open(&path);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{line}")) {
            let path = path.to_string_lossy();
            let _ = writeln!(
                io::stderr(),
                "warning: {path}, which {REASON_FILE} names, cannot be written: {error}"
            );
        }
    }
}

fn schema(args: &args::SchemaArgs) -> anyhow::Result<Vec<String>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_broken_pipe_is_known_in_any_context() {
        let broken: Result<(), _> = Err(io::Error::from(io::ErrorKind::BrokenPipe));
        let broken = broken.context("writing").unwrap_err();
        assert!(is_broken_pipe(&broken));
        assert!(matches!(broken.into(), Unconsumed::OutputClosed));
        let full: Result<(), _> = Err(io::Error::from(io::ErrorKind::StorageFull));
        let full = full.context("writing").unwrap_err();
        assert!(!is_broken_pipe(&full));
        let text = format!("{full:#}");
        let Unconsumed::Failed(full) = full.into() else {
            panic!("a full disk is no reader that has gone");
        };
        assert_eq!(
            format!("{:#}", anyhow::Error::from(Unconsumed::Failed(full))),
            text
        );
    }
}
