//! Lines on standard error, which may be a pipe that nobody reads.
//!
//! A thread of its own writes them, so that nothing which has to be deleted in a cluster waits for
//! somebody who looks elsewhere. On a terminal they are written at once: what is drawn there must
//! not come between.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines that may wait. Past it they are lost: a pipe has room for some hundred more.
const MOST: usize = 4_096;

/// How long the program's end waits for the last line to be read, and how long once its user has
/// asked for the end twice.
const PATIENCE: Duration = Duration::from_secs(10);
const HURRIED: Duration = Duration::from_millis(500);

/// Whether nobody waits for anything any more.
static HURRY: AtomicBool = AtomicBool::new(false);

static WRITER: OnceLock<Option<Writer>> = OnceLock::new();

struct Writer {
    lines: SyncSender<Option<String>>,
    /// Says that all was written.
    written: Mutex<Receiver<()>>,
}

impl Writer {
    /// Starts the thread; `None` where lines are written at once.
    fn start() -> Option<Self> {
        if io::stderr().is_terminal() {
            return None;
        }
        let (lines, queue) = sync_channel::<Option<String>>(MOST);
        let (told, written) = sync_channel(1);
        let write = move || {
            while let Ok(Some(line)) = queue.recv() {
                // Nothing is left to do if nobody can be told.
                let _ = io::stderr().write_all(line.as_bytes());
            }
            let _ = told.send(());
        };
        let thread = thread::Builder::new()
            .name("stderr".to_owned())
            .spawn(write);
        thread.ok().map(|_| Self {
            lines,
            written: Mutex::new(written),
        })
    }
}

/// Writes a line, without waiting for whoever reads it.
pub fn line(text: &str) {
    let line = format!("{text}\n");
    match WRITER.get_or_init(Writer::start) {
        Some(writer) => drop(writer.lines.try_send(Some(line))),
        None => drop(io::stderr().write_all(line.as_bytes())),
    }
}

/// From now on nobody is waited for.
pub fn hurry() {
    HURRY.store(true, Ordering::Relaxed);
}

/// Waits until everything was written, but not for ever. What comes afterwards is lost.
pub fn finish() {
    let Some(Some(writer)) = WRITER.get() else {
        return;
    };
    let patience = match HURRY.load(Ordering::Relaxed) {
        true => HURRIED,
        false => PATIENCE,
    };
    // Where the queue is full nobody reads.
    if writer.lines.try_send(None).is_ok() {
        let written = writer
            .written
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let _ = written.recv_timeout(patience);
    }
}
