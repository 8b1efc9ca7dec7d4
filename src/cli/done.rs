//! What comes of a command: what it lacks, what failed, and the exit status.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit status when an assertion failed.
const ASSERTION_FAILED: u8 = 3;

/// Names a file that gets the errors and the assertions that failed, too: a container's
/// `/dev/termination-log`, for one. In its log they may stand anywhere, because two streams are
/// brought together there.
const REASON_FILE: &str = "MESHSNIFF_REASON_FILE";

/// What came of a command that did its work, if not all of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// What is missing, one sentence each.
    pub(super) errors: Vec<String>,
    /// Assertions that failed, each with what was seen.
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
    /// Says what there is to say. Where something is missing, assertions are held against the rest,
    /// and that is an error first.
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

/// Prints one line, whatever is in it.
pub(super) fn say(kind: &str, sentence: &str) {
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
