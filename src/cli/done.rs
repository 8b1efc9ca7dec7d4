//! Outcome of a command: what is missing, what failed, and the exit status.

use crate::stderr;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;

/// The exit status when an assertion failed.
const ASSERTION_FAILED: u8 = 3;

/// Environment variable that names a file for errors and failed assertions, such as a container's
/// `/dev/termination-log`. In the container's log they may stand anywhere, because it brings two
/// streams together.
const REASON_FILE: &str = "MESHSNIFF_REASON_FILE";

/// Outcome of a command that did its work, or a part of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Sentences about what is missing.
    pub(super) errors: Vec<String>,
    /// Failed assertions, each with what was observed.
    pub(super) failures: Vec<String>,
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
    /// Prints failures and errors. An error decides the exit status: assertions were then held
    /// against a part only.
    pub(super) fn exit(self) -> ExitCode {
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

/// Prints one line, with the control characters in it escaped.
pub(super) fn say(kind: &str, sentence: &str) {
    let mut line = String::from(kind);
    meshsniff::escape::push_shown(&mut line, sentence);
    stderr::line(&line);
    if let Some(path) = std::env::var_os(REASON_FILE).filter(|path| !path.is_empty()) {
        let file = OpenOptions::new().append(true).create(true).open(&path);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{line}")) {
            let path = path.to_string_lossy();
            stderr::line(&format!(
                "warning: {path}, which {REASON_FILE} names, cannot be written: {error}"
            ));
        }
    }
}
