//! Programs beside ours that some tests compare it with. None of them is needed to build or to use
//! it, so a test whose program is not installed says so and passes, unless it was told that
//! everything must be there.

use std::collections::BTreeSet;
use std::io::Write;
use std::panic::Location;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Whether a missing program is a failure: `MESHSNIFF_REQUIRE_TOOLS=1`, for runs that must leave
/// nothing out.
pub(crate) fn required() -> bool {
    std::env::var_os("MESHSNIFF_REQUIRE_TOOLS").is_some_and(|value| value == "1")
}

/// Whether `tool` is installed. If it is not, one line on standard error says which of the test
/// files is left out and what to install, and the test that asked should return.
///
/// # Panics
/// If it is not installed but [`required`].
#[track_caller]
pub(crate) fn need(tool: &str, package: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        let missing = format!("{tool} is not installed (Debian: apt-get install {package})");
        assert!(
            !required(),
            "{missing}, and MESHSNIFF_REQUIRE_TOOLS=1 asks for it"
        );
        say_once(&format!("SKIPPED {}: {missing}", asked_in()));
    }
    found
}

/// The name of the test file that called [`need`]; of a `main.rs`, that of its folder.
#[track_caller]
fn asked_in() -> &'static str {
    let file = Path::new(Location::caller().file());
    let named = if file.ends_with("main.rs") {
        file.parent()
    } else {
        Some(file)
    };
    let stem = named.and_then(Path::file_stem);
    stem.and_then(|stem| stem.to_str()).unwrap_or("test")
}

/// A line on standard error, once however many tests have it to say. The test harness keeps back
/// what `eprintln!` writes in a test that passes, but not this.
fn say_once(line: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(line.to_owned()) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
