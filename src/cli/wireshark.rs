//! Wireshark: found before anything is created, and started on a pipe. When it ends, the run ends.

use anyhow::{Context as _, anyhow, bail};
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

/// Environment variable that names another program.
const PROGRAM: &str = "MESHSNIFF_WIRESHARK";

/// Places beside the PATH: the usual ones of macOS, of Windows, and of Windows as WSL sees it.
const PLACES: [&str; 6] = [
    "/Applications/Wireshark.app/Contents/MacOS/Wireshark",
    "/opt/homebrew/bin/wireshark",
    "/usr/local/bin/wireshark",
    r"C:\Program Files\Wireshark\Wireshark.exe",
    r"C:\Program Files (x86)\Wireshark\Wireshark.exe",
    "/mnt/c/Program Files/Wireshark/Wireshark.exe",
];

/// Finds Wireshark.
///
/// # Errors
/// If it is nowhere, with what to do without it.
pub(super) fn find() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM).filter(|named| !named.is_empty()) {
        return Ok(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(&path, &PLACES.map(PathBuf::from)).context(
        "Wireshark is neither on the PATH nor in the usual places: install it, name it in \
         MESHSNIFF_WIRESHARK, or write the packets to a file with -w FILE (-w - for a pipe)",
    )
}

fn find_in(path: &OsString, places: &[PathBuf]) -> Option<PathBuf> {
    const NAMES: [&str; 3] = ["wireshark", "wireshark.exe", "Wireshark.exe"];
    let on_path =
        std::env::split_paths(path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    on_path
        .chain(places.iter().cloned())
        .find(|program| program.is_file())
}

/// A Wireshark that was started.
#[derive(Debug)]
pub(super) struct Window {
    child: Child,
    /// The end of what it says on its standard error.
    said: JoinHandle<String>,
}

/// Starts Wireshark with a window titled `title`; it shows what is written to the pipe that is
/// returned.
///
/// # Errors
/// If it cannot be started.
pub(super) fn start(program: &Path, title: &str) -> anyhow::Result<(Window, ChildStdin)> {
    let mut command = Command::new(program);
    command
        // -k: at once; -i -: from standard input; -N n: names for addresses, from those in the
        // stream.
        .args(["-k", "-i", "-", "-N", "n", "-o"])
        .arg(format!("gui.window_title:{title}"));
    watched(command).with_context(|| format!("{} cannot be started", program.display()))
}

fn watched(mut command: Command) -> anyhow::Result<(Window, ChildStdin)> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // Ctrl-C in the terminal is for us: Wireshark stays open with what it has.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn()?;
    let (Some(stdin), Some(stderr)) = (child.stdin.take(), child.stderr.take()) else {
        bail!("Wireshark has no standard input");
    };
    let said = thread::spawn(move || tail(stderr));
    Ok((Window { child, said }, stdin))
}

impl Window {
    /// Waits until nobody looks at packets any more.
    ///
    /// # Errors
    /// If Wireshark was not closed, but failed.
    pub(super) fn closed(mut self) -> anyhow::Result<()> {
        let ended = self.child.wait().context("Wireshark is out of sight")?;
        if was_closed(ended) {
            return Ok(());
        }
        Err(failure(ended, &self.said.join().unwrap_or_default()))
    }
}

/// Whether somebody closed it, by its window or by a signal.
fn was_closed(ended: ExitStatus) -> bool {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&ended) {
        const HUP_INT_KILL_TERM: [i32; 4] = [1, 2, 9, 15];
        return HUP_INT_KILL_TERM.contains(&signal);
    }
    ended.success()
}

fn failure(ended: ExitStatus, said: &str) -> anyhow::Error {
    const INSTEAD: &str = "write the packets to a file with -w FILE (-w - for a pipe)";
    if said.contains("could not connect to display") || said.contains("cannot open display") {
        return anyhow!(
            "Wireshark found no display to open its window on: name one in DISPLAY, log in with \
             ssh -X, or {INSTEAD}"
        );
    }
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    match last {
        Some(last) => anyhow!("Wireshark failed ({ended}): {last}; mend it, or {INSTEAD}"),
        None => anyhow!("Wireshark failed ({ended}) without a word: mend it, or {INSTEAD}"),
    }
}

/// Reads to the end, and keeps the last few thousand bytes.
fn tail(mut from: ChildStderr) -> String {
    const KEPT: usize = 4096;
    let (mut kept, mut more) = (Vec::new(), [0; KEPT]);
    while let Ok(length @ 1..) = from.read(&mut more) {
        kept.extend_from_slice(&more[..length]);
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_comes_first_then_the_usual_places() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("Wireshark.app");
        let places = [folder.path().join("none"), place.clone()];
        let path = folder.path().join("bin").into_os_string();
        assert_eq!(find_in(&path, &places), None);
        std::fs::write(&place, "").unwrap();
        assert_eq!(find_in(&path, &places), Some(place));
        std::fs::create_dir(&path).unwrap();
        let program = Path::new(&path).join("wireshark");
        std::fs::write(&program, "").unwrap();
        assert_eq!(find_in(&path, &places), Some(program));
    }

    #[cfg(unix)]
    #[test]
    fn what_fails_says_why_and_what_is_closed_does_not() {
        let closed = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let (window, _stdin) = watched(command).unwrap();
            window.closed().map_err(|error| error.to_string())
        };
        assert_eq!(closed("exit 0"), Ok(()));
        assert_eq!(closed("kill -TERM $$"), Ok(()));
        let no_display =
            closed("echo '[GUI WARNING] -- could not connect to display ' >&2; kill -ABRT $$");
        assert!(
            no_display
                .unwrap_err()
                .contains("found no display to open its window on")
        );
        let broken =
            closed("head -c 100000 /dev/zero >&2; printf '\\nno such library\\n\\n' >&2; exit 127");
        assert_eq!(
            broken.unwrap_err(),
            "Wireshark failed (exit status: 127): no such library; mend it, or write the packets \
             to a file with -w FILE (-w - for a pipe)"
        );
        assert!(closed("exit 3").unwrap_err().contains("without a word"));
    }
}
