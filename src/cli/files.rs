//! Files that are written: reports as a whole, packets as they come.

use super::held::{Begun, Held};
use crate::signals;
use anyhow::{Context as _, bail};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::NamedTempFile;

/// The exit status after a signal, as a shell has it for SIGINT.
const SIGNALLED: i32 = 130;

/// Files that have no name of their own yet: a signal must not leave them behind.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the program because of a signal, and takes unfinished files away.
pub(super) fn exit_on_signal() -> ! {
    let files = unfinished();
    for file in files.iter() {
        // It may have got its name, or be gone.
        let _ = std::fs::remove_file(file);
    }
    std::process::exit(SIGNALLED)
}

/// A file that takes its name once it is whole: a report that fails does not destroy the file that
/// had the name before.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: NamedTempFile,
}

impl Kept {
    /// Gives the file its name.
    ///
    /// # Errors
    /// If that cannot be.
    pub(super) fn done(self) -> anyhow::Result<()> {
        let Self { path, file } = self;
        let mut unfinished = unfinished();
        unfinished.retain(|known| known != file.path());
        file.persist(&path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(())
    }

    /// As [`Kept::done`], once the disk has all of it: the file that it replaces may be the only
    /// copy.
    ///
    /// # Errors
    /// If that cannot be.
    pub(super) fn done_for_good(self) -> anyhow::Result<()> {
        let synced = self.file.as_file().sync_all();
        synced.with_context(|| format!("{} cannot be written", self.path.display()))?;
        self.done()
    }
}

/// A file for another program, which goes with this value, or when a signal ends this one.
#[derive(Debug)]
pub(super) struct Passing(NamedTempFile);

impl Passing {
    /// Writes the file, whose name ends with `suffix`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn new(suffix: &str, content: &[u8]) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("meshsniff-").suffix(suffix);
        signals::on_each_if_alone(|| exit_on_signal())?;
        // A signal waits until the file is known.
        let mut unfinished = unfinished();
        let made = builder.tempfile();
        let mut file = made.context("a temporary file cannot be made: name a folder in TMPDIR")?;
        unfinished.push(file.path().to_owned());
        drop(unfinished);
        let written = file.write_all(content);
        written.with_context(|| format!("{} cannot be written", file.path().display()))?;
        Ok(Self(file))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        unfinished().retain(|known| known != self.0.path());
    }
}

/// Writes a whole report to a file, which keeps its old content until then.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let unwritten = || format!("{} cannot be written", path.display());
    let (mut file, kept) = open_whole(path, false, false).with_context(unwritten)?;
    file.write_all(text.as_bytes()).with_context(unwritten)?;
    kept.map_or(Ok(()), Kept::done)
}

/// Opens a file to be written as a whole. With `grows` it is written in its place, because somebody
/// may watch it grow. With `private` only its owner may read it.
pub(super) fn open_whole(
    path: &Path,
    grows: bool,
    private: bool,
) -> io::Result<(File, Option<Kept>)> {
    // A link stays one, and a pipe or device is written to.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_special = path.exists() && !path.is_file();
    if grows || is_special {
        return Ok((File::create(&path)?, None));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let sentence = format!("there is no folder {}: make it first", folder.display());
        return Err(io::Error::other(sentence));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".meshsniff-");
    // Else as any other file: the umask says who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(if private {
        0o600
    } else {
        0o666
    }));
    // Where something else waits for signals, it lets the program come to its own end.
    signals::on_each_if_alone(|| exit_on_signal()).map_err(io::Error::other)?;
    // A signal waits until the file is known.
    let mut unfinished = unfinished();
    let file = builder.tempfile_in(folder)?;
    unfinished.push(file.path().to_owned());
    drop(unfinished);
    if let Ok(before) = path.metadata() {
        // Whoever could read what was there can read what takes its place.
        file.as_file().set_permissions(before.permissions())?;
    }
    Ok((file.reopen()?, Some(Kept { path, file })))
}

/// Returns a path that is the same for the same file, whether the file exists or not.
pub(super) fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Whether the path is something other than a file, such as a pipe or a device.
pub(super) fn is_special(path: &Path) -> bool {
    path.exists() && !path.is_file()
}

/// Refuses packets on a terminal.
///
/// # Errors
/// If standard output is one.
pub(super) fn refuse_terminal() -> anyhow::Result<()> {
    if io::stdout().is_terminal() {
        bail!(
            "packets are nothing for a terminal: name a file with -w, or pipe them into a program"
        );
    }
    Ok(())
}

/// Opens what `-w` names; a new file is for its owner only. Nothing is written before something
/// `begun`: a capture of nothing leaves the file as it was.
pub(super) fn open(path: &Path, begun: &Begun) -> anyhow::Result<Box<dyn Write + Send>> {
    if path == Path::new("-") {
        refuse_terminal()?;
        return Ok(Box::new(io::stdout()));
    }
    let file = Fresh::open(path);
    let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(Box::new(Held::new(file, begun.clone())))
}

/// A file that is emptied at the first write. A new one is removed if nothing was written.
struct Fresh {
    file: File,
    path: PathBuf,
    /// Whether the file is new.
    made: bool,
    written: bool,
}

impl Fresh {
    fn open(path: &Path) -> io::Result<Self> {
        let made = !path.exists();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self {
            file: options.open(path)?,
            path: path.to_owned(),
            made,
            written: false,
        })
    }
}

impl Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.written {
            self.written = true;
            // A pipe or a device has no length.
            if self.file.metadata()?.is_file() {
                self.file.set_len(0)?;
            }
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if self.made && !self.written {
            // It is empty: that it stays would be no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
