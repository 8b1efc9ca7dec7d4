//! Capture files that the plugin writes, and what other programs find in them.

use super::lab::{Checked, SOON, wait_until};
use super::plugin::{Ended, report};
use libtest_mimic::Failed;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A folder for a test's files.
pub(crate) fn folder() -> Result<TempDir, Failed> {
    Ok(tempfile::tempdir()?)
}

/// A capture file to be written, in a folder of its own. It is its path.
pub(crate) struct File {
    path: String,
    _folder: TempDir,
}

impl Deref for File {
    type Target = str;

    fn deref(&self) -> &str {
        &self.path
    }
}

impl AsRef<Path> for File {
    fn as_ref(&self) -> &Path {
        self.path.as_ref()
    }
}

impl File {
    pub(crate) fn new() -> Result<Self, Failed> {
        let folder = folder()?;
        Ok(Self {
            path: folder
                .path()
                .join("a.pcapng")
                .to_string_lossy()
                .into_owned(),
            _folder: folder,
        })
    }

    /// Waits until packets have come.
    pub(crate) fn has_packets(&self) -> Checked {
        wait_until("packets in the file", SOON, || Ok(self.len() > 4096))
    }

    /// Waits until more packets have come.
    pub(crate) fn grows(&self) -> Checked {
        let size = self.len();
        wait_until("more packets", SOON, || Ok(self.len() > size + 4096))
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> u64 {
        Path::new(&self.path)
            .metadata()
            .map_or(0, |file| file.len())
    }
}

/// The file is read to its end, and nothing is missing.
pub(crate) fn whole(file: impl AsRef<Path>) -> Checked {
    let read = report(file.as_ref(), &["-o", "json"])?;
    read.is(0, &[])?;
    exchanges(&read).map(drop)
}

/// The file is read up to the cut, and called incomplete.
pub(crate) fn cut(file: impl AsRef<Path>) -> Checked {
    let read = report(file.as_ref(), &["-o", "json"])?;
    read.is(1, &["error: "])?;
    exchanges(&read).map(drop)
}

/// How many exchanges a JSON report tells of: some, or it is an error.
fn exchanges(read: &Ended) -> Result<u64, Failed> {
    match read.json()?["summary"]["exchanges"].as_u64() {
        Some(exchanges @ 1..) => Ok(exchanges),
        _ => Err(format!("no exchange in it: {}", read.stderr).into()),
    }
}

/// What a program prints of a file.
pub(crate) fn shown(
    program: &str,
    args: &[&str],
    file: impl AsRef<Path>,
) -> Result<String, Failed> {
    let output = Command::new(program)
        .args(args)
        .arg(file.as_ref())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {said}").into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How many packets capinfos, and so Wireshark, finds in a file.
pub(crate) fn packets(file: impl AsRef<Path>) -> Result<u64, Failed> {
    let text = shown("capinfos", &["-Mrc", "-T"], file)?;
    let last = text.split_whitespace().last().unwrap_or_default();
    last.parse()
        .map_err(|_| format!("capinfos: {text:?}").into())
}

/// How many frames of a file fit a display filter.
pub(crate) fn matching(file: impl AsRef<Path>, filter: &str) -> Result<usize, Failed> {
    let args = [
        "-n",
        "-Y",
        filter,
        "-T",
        "fields",
        "-e",
        "frame.number",
        "-r",
    ];
    Ok(shown("tshark", &args, file)?.lines().count())
}
