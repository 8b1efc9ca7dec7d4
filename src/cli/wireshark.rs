//! Wireshark: found before anything is created, and started on a pipe. When it ends, the run ends.

use anyhow::{Context as _, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

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

/// Starts Wireshark with a window titled `title`; it shows what is written to the pipe that is
/// returned.
///
/// # Errors
/// If it cannot be started.
pub(super) fn start(program: &Path, title: &str) -> anyhow::Result<(Child, ChildStdin)> {
    let mut command = Command::new(program);
    command
        // -k: at once; -i -: from standard input; -N n: names for addresses, from those in the
        // stream.
        .args(["-k", "-i", "-", "-N", "n", "-o"])
        .arg(format!("gui.window_title:{title}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Ctrl-C in the terminal is for us: Wireshark stays open with what it has.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let started = command.spawn();
    let mut child = started.with_context(|| format!("{} cannot be started", program.display()))?;
    let Some(stdin) = child.stdin.take() else {
        bail!("Wireshark has no standard input");
    };
    Ok((child, stdin))
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
}
