//! The command line as a user meets it: the real program, what it prints, where, and with which
//! exit status.
//!
//! What is in the reports is for other tests. Here is what the tests of the command line share.
//!
//! | here | holds |
//! |---|---|
//! | `bad_input` | what cannot be read, or only in part |
//! | `cluster_verbs` | commands for clusters, as far as they need none |
//! | `compare` | two captures or reports against each other |
//! | `drawings` | pictures of one exchange, and the capture as a drawing on a terminal |
//! | `following` | `follow`: what it masks, which exchange a frame is part of |
//! | `for_ci` | assertions, JUnit, Markdown, annotated captures, conversations |
//! | `images` | the image of the agents that a plugin carries |
//! | `keys` | TLS that is read with keys, and where the keys do not go |
//! | `live_view` | `report --live` |
//! | `secrets` | what is left out of reports |
//! | `sent_again` | `follow --curl`, against a server |
//! | `usage` | wrong usage, help, and what options do |
//! | `pipes` | readers that leave, writers that are slow, packed and several files |

mod bad_input;
mod cluster_verbs;
mod compare;
mod drawings;
mod drops;
mod following;
mod for_ci;
mod images;
pub mod keys;
mod live_view;
mod pipes;
mod secrets;
mod sent_again;
mod usage;

use crate::corpus;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The program, in a folder where nothing is, and without what this shell says about the terminal.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-meshsniff"));
    command.env_remove("COLUMNS").env_remove("NO_COLOR");
    command.stdin(Stdio::null());
    command
}

struct Run {
    status: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).expect("a report in UTF-8"),
            err: String::from_utf8(output.stderr).expect("errors in UTF-8"),
        }
    }
}

fn run(args: &[&str]) -> Run {
    program().args(args).output().expect("the program").into()
}

/// Runs `report` on one file.
fn report(file: &Path, args: &[&str]) -> Run {
    let mut command = program();
    let command = command.arg("report").args(args).arg(file);
    command.output().expect("the program").into()
}

/// Runs `report` with a file as standard input.
fn report_stdin(file: &Path, args: &[&str]) -> Run {
    let mut command = program();
    let command = command.arg("report").args(args);
    let command = command.stdin(File::open(file).expect("a capture"));
    command.output().expect("the program").into()
}

fn good(run: Run) -> String {
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{}", run.out);
    run.out
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn exchanges(document: &Value) -> &[Value] {
    document["exchanges"].as_array().expect("exchanges")
}

fn capture(name: &str) -> PathBuf {
    corpus::own_folder().join(name)
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A file with these bytes in a folder of the test's own.
fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

fn nothing_reported(run: &Run) {
    assert_eq!(run.out, "", "a report of what could not be read");
}
