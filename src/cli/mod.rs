//! The command line of `kubectl meshsniff`.
//!
//! | here | holds |
//! |---|---|
//! | `args` | what can be typed |
//! | `report` | `report`: options checked, capture read, report written |
//! | `capture` | the command without a name: packets to Wireshark, a file or a pipe |
//! | `formats` | text, JSON and JSON lines behind one type |
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
//! | `progress` | the bar on stderr |
//!
//! stdout is data, stderr is talk. Exit status: 0 the report was made, 1 an error, 2 wrong usage.

mod args;
mod bpf;
mod capture;
mod cleanup;
mod cluster;
mod completion;
mod doctor;
mod dry_run;
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
mod wireshark;

use args::{Cli, Command};
use clap::Parser as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

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
        Command::Capture(args) => capture::run(*args),
        Command::Cleanup(args) => cleanup::run(&args),
        Command::Completion(args) => completion::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Rbac(args) => rbac::run(args),
        Command::Schema => schema(),
    };
    match result {
        Ok(errors) if errors.is_empty() => ExitCode::SUCCESS,
        Ok(errors) => {
            for error in errors {
                say(&error);
            }
            ExitCode::FAILURE
        }
        // Whoever read the output has seen enough of it.
        Err(error) if crate::cluster::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            if error.is::<bpf::BadFilter>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Help and version are errors to clap, too: it knows which of them go where, and with what status.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to do if nobody can be told.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::from(2), ExitCode::from)
}

/// Prints an error: one line, whatever is in it.
fn say(error: &str) {
    let mut line = String::from("error: ");
    crate::report::push_shown(&mut line, error);
    let _ = writeln!(io::stderr(), "{line}");
}

fn schema() -> anyhow::Result<Vec<String>> {
    let mut out = io::stdout().lock();
    out.write_all(crate::report::json::SCHEMA.as_bytes())?;
    out.flush()?;
    Ok(Vec::new())
}
