//! A network namespace: held, watched, and entered by one thread at a time.
//!
//! A socket stays in the namespace it was made in, so only the opening happens inside. A process
//! stands for the target: its `pidfd` shows at once that it ended, which a capture on `lo` would
//! never notice.

use super::target::{self, Found};
use nix::sched::{CloneFlags, setns};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use thiserror::Error;

/// Why a namespace cannot be captured in.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum NamespaceError {
    #[error("process {0} is gone: name one that runs")]
    Gone(i32),
    #[error("the network namespace {path} cannot be opened ({error}): {next}")]
    Open {
        path: String,
        error: io::Error,
        next: &'static str,
    },
    #[error(
        "the network namespace cannot be entered ({0}): CAP_SYS_ADMIN is missing, or the path is \
         no network namespace"
    )]
    Enter(io::Error),
    #[error("no thread could be started ({0})")]
    Thread(io::Error),
}

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    /// `None` for this program's own.
    file: Option<File>,
    /// The process that stands for the target, if there is one.
    process: Option<OwnedFd>,
}

impl Namespace {
    /// This program's own.
    #[must_use]
    pub const fn own() -> Self {
        Self {
            file: None,
            process: None,
        }
    }

    /// The namespace at `path`, such as `/run/netns/NAME`.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn at(path: &Path) -> Result<Self, NamespaceError> {
        Ok(Self {
            file: Some(open(path)?),
            process: None,
        })
    }

    /// The namespace of a process, which is watched from now on.
    ///
    /// # Errors
    /// If the process is gone, or may not be looked at.
    pub fn of(pid: i32) -> Result<Self, NamespaceError> {
        let gone = || NamespaceError::Gone(pid);
        // Numbers below 0 are groups of processes elsewhere, and no process ids at all there.
        let named = Pid::from_raw(pid.max(0)).ok_or_else(gone)?;
        // First the process, then what belongs to it: a process id may be used again.
        let process = pidfd_open(named, PidfdFlags::empty()).map_err(|_| gone())?;
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        Ok(Self {
            file: Some(open(&path)?),
            process: Some(process),
        })
    }

    /// The namespace of a target that was found.
    ///
    /// # Errors
    /// If the process is gone meanwhile, or may not be looked at.
    pub fn of_found(found: &Found) -> Result<Self, NamespaceError> {
        let namespace = Self::of(found.pid)?;
        let path = PathBuf::from(format!("/proc/{}/ns/net", found.pid));
        if target::namespace_of(&path) == Some(found.namespace) {
            Ok(namespace)
        } else {
            Err(NamespaceError::Gone(found.pid))
        }
    }

    /// Becomes readable when the target's process has ended; `None` if there is none to watch.
    #[must_use]
    pub fn watch(&self) -> Option<&OwnedFd> {
        self.process.as_ref()
    }

    /// Runs `work` inside, on a thread of its own that ends with it: `setns` moves one thread and
    /// there is no safe way back.
    ///
    /// # Errors
    /// If it cannot be entered.
    ///
    /// # Panics
    /// If `work` does.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        let Some(file) = &self.file else {
            return Ok(work());
        };
        thread::scope(|scope| {
            let entered = thread::Builder::new()
                .name("inside".to_owned())
                .spawn_scoped(scope, || {
                    setns(file, CloneFlags::CLONE_NEWNET)
                        .map_err(|error| NamespaceError::Enter(error.into()))?;
                    Ok(work())
                })
                .map_err(NamespaceError::Thread)?;
            match entered.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

/// Watches a namespace's name. The namespace itself lives on as long as it is being captured.
///
/// The name is a mount point, whose end causes no event; so its folder is watched.
#[derive(Debug)]
pub(super) struct NameWatch {
    inotify: Inotify,
    name: OsString,
}

impl NameWatch {
    /// Watches the name at `path`; `None` if it cannot be watched.
    pub(super) fn new(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_owned();
        let folder = match path.parent()? {
            empty if empty.as_os_str().is_empty() => Path::new("."),
            folder => folder,
        };
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC).ok()?;
        let events = AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM;
        inotify.add_watch(folder, events).ok()?;
        Some(Self { inotify, name })
    }

    /// Waits until the name is gone; `false` if that will never be known.
    pub(super) fn wait(&self) -> bool {
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    let mut names = events.iter().filter_map(|event| event.name.as_ref());
                    if names.any(|name| *name == self.name) {
                        return true;
                    }
                }
                Err(nix::Error::EINTR) => {}
                Err(_) => return false,
            }
        }
    }
}

fn open(path: &Path) -> Result<File, NamespaceError> {
    File::open(path).map_err(|error| NamespaceError::Open {
        next: match error.kind() {
            io::ErrorKind::NotFound => "check the path (ip netns list)",
            io::ErrorKind::PermissionDenied => "CAP_SYS_PTRACE is missing; run as root with it",
            _ => "name one of /run/netns, or of /proc/PID/ns/net",
        },
        path: path.display().to_string(),
        error,
    })
}
