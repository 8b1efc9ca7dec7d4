//! Why and when a capture ends.
//!
//! Everything that can end one reports to a single [`Ending`], of which only the first reason
//! counts: lines and the end of standard input, missing heartbeats, signals, limits, the target,
//! the reader of the stream. The threads here only wait; a last one ends the process when the
//! trailer cannot be written in time, because a write to a reader that is gone without a word never
//! returns.

use super::clock;
use super::namespace::NameWatch;
use meshsniff_contract::signals::hangup_is_ignored;
use meshsniff_contract::times::TRAILER_WITHIN;
use meshsniff_contract::{ending, stdin};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use std::fmt;
use std::io::{self, BufRead, PipeReader, PipeWriter, Write};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a line of standard input that are looked at.
const MAX_LINE: u64 = 4096;

/// Why a capture ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A stop line on standard input.
    Stop,
    /// Standard input was closed.
    StdinClosed,
    /// No line on standard input for so long.
    NoHeartbeat(Duration),
    /// A signal.
    Signal(&'static str),
    /// The reader of the stream has left.
    ReaderGone,
    /// As many packets as asked for.
    Count,
    /// As long as asked for.
    Duration,
    /// As many bytes as asked for.
    Size,
    /// The target's process ended, or its namespace was deleted.
    TargetGone,
    /// The last interface is gone.
    InterfaceGone(String),
}

impl Reason {
    /// Its name in the stream and in messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stop => ending::STOP,
            Self::StdinClosed => ending::STDIN_CLOSED,
            Self::NoHeartbeat(_) => ending::NO_HEARTBEAT,
            Self::Signal(_) => ending::SIGNAL,
            Self::ReaderGone => ending::READER_GONE,
            Self::Count => ending::COUNT,
            Self::Duration => ending::DURATION,
            Self::Size => ending::SIZE,
            Self::TargetGone => ending::TARGET_GONE,
            Self::InterfaceGone(_) => ending::INTERFACE_GONE,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop => f.write_str("it was asked to stop"),
            Self::StdinClosed => f.write_str("standard input was closed"),
            Self::NoHeartbeat(time) => write!(f, "no heartbeat came for {} s", time.as_secs()),
            Self::Signal(name) => write!(f, "{name} came"),
            Self::ReaderGone => f.write_str("nobody reads the stream any more"),
            Self::Count => f.write_str("as many packets as asked for were captured"),
            Self::Duration => f.write_str("the time asked for is over"),
            Self::Size => f.write_str("as many bytes as asked for were written"),
            Self::TargetGone => f.write_str("the target is gone"),
            Self::InterfaceGone(name) => write!(f, "the interface {name} is gone"),
        }
    }
}

/// The end of a capture, shared by all that may bring it about.
#[derive(Clone, Debug)]
pub struct Ending(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    reason: OnceLock<Reason>,
    /// Closed once the end is decided, which makes the other end readable for good.
    wake: Mutex<Option<PipeWriter>>,
    watch: Mutex<Watch>,
    changed: Condvar,
}

/// The deadlines.
#[derive(Debug, Default)]
struct Watch {
    heartbeat: Option<(Duration, Instant)>,
    until: Option<Instant>,
    decided: Option<Instant>,
    finished: bool,
}

impl Ending {
    /// An end that is not decided yet, and a pipe that becomes readable when it is.
    ///
    /// # Errors
    /// If no pipe can be had.
    pub fn new() -> io::Result<(Self, PipeReader)> {
        let (woken, wake) = io::pipe()?;
        let shared = Shared {
            reason: OnceLock::new(),
            wake: Mutex::new(Some(wake)),
            watch: Mutex::default(),
            changed: Condvar::new(),
        };
        Ok((Self(Arc::new(shared)), woken))
    }

    /// Decides the end, unless it is decided already.
    pub fn decide(&self, reason: Reason) {
        if self.0.reason.set(reason).is_ok() {
            let mut wake = self.0.wake.lock().unwrap_or_else(PoisonError::into_inner);
            drop(wake.take());
            self.watch().decided = Some(clock::now());
            self.0.changed.notify_all();
        }
    }

    /// Why it ends, once that is decided.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        self.0.reason.get()
    }

    /// Notes that the trailer is written: the process may take its time to end.
    pub fn finished(&self) {
        self.watch().finished = true;
        self.0.changed.notify_all();
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.0.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when `duration` is over.
    pub fn after(&self, duration: Duration) {
        self.watch().until = clock::now().checked_add(duration);
        self.0.changed.notify_all();
    }

    /// Expects a line every `timeout` from now on.
    pub fn expect_heartbeats(&self, timeout: Duration) {
        let mut watch = self.watch();
        watch.heartbeat = Some((timeout, clock::now()));
        self.0.changed.notify_all();
    }

    /// Notes that a line came.
    fn heard(&self, timeout: Duration) {
        let mut watch = self.watch();
        let timeout = watch.heartbeat.map_or(timeout, |(timeout, _)| timeout);
        watch.heartbeat = Some((timeout, clock::now()));
        self.0.changed.notify_all();
    }

    /// Starts a thread that waits for something that ends the capture.
    ///
    /// # Errors
    /// If no thread can be had.
    fn spawn(&self, name: &str, wait: impl FnOnce(&Self) + Send + 'static) -> io::Result<()> {
        let ending = self.clone();
        let thread = thread::Builder::new().name(name.to_owned());
        thread.spawn(move || wait(&ending)).map(drop)
    }

    /// Ends the capture at its deadlines, and the process when the capture does not end.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn watch_deadlines(&self) -> io::Result<()> {
        self.spawn("deadlines", Self::wait_for_deadlines)
    }

    /// Listens to standard input: a stop line, its end, and heartbeats, which are any other lines.
    /// Once one came, the next must come within `timeout`.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn listen(&self, timeout: Duration) -> io::Result<()> {
        self.spawn("stdin", move |ending| {
            ending.hear(io::stdin().lock(), timeout)
        })
    }

    /// Listens to the `hold` process, which says when everything is to end.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(super) fn listen_to_hold(&self, stream: UnixStream) -> io::Result<()> {
        self.spawn("hold", move |ending| {
            let mut line = [0; 16];
            // Its end without a word is that of the container: nothing of this process will be
            // left. After a word the connection stays open as long as this process lives: its end
            // tells `hold` that the trailer is out.
            while matches!(io::Read::read(&mut &stream, &mut line), Ok(1..)) {
                ending.decide(Reason::Signal("SIGTERM"));
            }
        })
    }

    /// Waits until a namespace's name is gone.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(super) fn watch_name(&self, name: NameWatch) -> io::Result<()> {
        self.spawn("name", move |ending| {
            if name.wait() {
                ending.decide(Reason::TargetGone);
            }
        })
    }

    /// Waits until nobody reads standard output any more: where nothing happens, nothing is written
    /// that would show it.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(super) fn watch_reader(&self) -> io::Result<()> {
        self.spawn("reader", |ending| {
            let out = io::stdout();
            // Asked for nothing, it returns when the other end is closed, and for a file never.
            let mut polled = [PollFd::new(out.as_fd(), PollFlags::empty())];
            while poll(&mut polled, PollTimeout::NONE) == Err(nix::Error::EINTR) {}
            if polled[0].any() == Some(true) {
                ending.decide(Reason::ReaderGone);
            }
        })
    }

    /// Waits for signals, which [`block_signals`] has kept from everything else.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn wait_for_signals(&self, more: &'static [Signal]) -> io::Result<()> {
        self.spawn("signals", move |ending| {
            if let Ok(signal) = ending_signals(more).wait() {
                ending.decide(Reason::Signal(signal.as_str()));
            }
        })
    }

    fn wait_for_deadlines(&self) {
        let mut watch = self.watch();
        while !watch.finished {
            let now = clock::now();
            let heartbeat = watch.heartbeat.map(|(timeout, last)| last + timeout);
            let next = match watch.decided {
                Some(decided) => Some(decided + TRAILER_WITHIN),
                None => [heartbeat, watch.until].into_iter().flatten().min(),
            };
            let due = next.is_some_and(|next| next <= now);
            if due && watch.decided.is_some() {
                // A writer is blocked for good: nothing it could still say would be heard.
                std::process::exit(1);
            }
            if due {
                let late = heartbeat.is_some_and(|heartbeat| heartbeat <= now);
                let reason = match watch.heartbeat {
                    Some((timeout, _)) if late => Reason::NoHeartbeat(timeout),
                    _ => Reason::Duration,
                };
                drop(watch);
                self.decide(reason);
                watch = self.watch();
                continue;
            }
            watch = match next {
                Some(next) => {
                    let waited = self.0.changed.wait_timeout(watch, next - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.0.changed.wait(watch);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn hear(&self, mut input: impl BufRead, timeout: Duration) {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = io::Read::take(&mut input, MAX_LINE).read_until(b'\n', &mut line);
            match read {
                Ok(0) | Err(_) => return self.decide(Reason::StdinClosed),
                Ok(_) if line.trim_ascii() == stdin::STOP.as_bytes() => {
                    return self.decide(Reason::Stop);
                }
                Ok(_) => self.heard(timeout),
            }
        }
    }
}

fn ending_signals(more: &[Signal]) -> SigSet {
    // The one that is ignored would come all the same once it is blocked.
    let hangup = (!hangup_is_ignored()).then_some(Signal::SIGHUP);
    let ending = [Signal::SIGTERM, Signal::SIGINT];
    let more = more.iter().copied();
    ending.into_iter().chain(hangup).chain(more).collect()
}

/// Keeps the signals that end a capture, and `more`, from this thread and from those it starts. Waiting for them
/// instead of handling them works as process 1 too, which the kernel sends no signal it has no
/// handler for.
///
/// # Errors
/// If the system refuses.
pub fn block_signals(more: &[Signal]) -> io::Result<()> {
    ending_signals(more).thread_block().map_err(io::Error::from)
}

/// Writes all of `bytes` to the stream, and if `flush` at once. A reader that is gone decides the
/// end. Returns whether it was written.
pub(super) fn write_or_end(
    out: &mut impl Write,
    bytes: &[u8],
    flush: bool,
    ending: &Ending,
) -> bool {
    let written = out.write_all(bytes);
    let written = written.and_then(|()| if flush { out.flush() } else { Ok(()) });
    if written.is_err() {
        ending.decide(Reason::ReaderGone);
    }
    written.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn the_first_reason_counts_and_wakes() {
        let (ending, mut woken) = Ending::new().unwrap();
        assert_eq!(ending.reason(), None);
        ending.decide(Reason::Count);
        ending.decide(Reason::Stop);
        assert_eq!(ending.reason(), Some(&Reason::Count));
        assert_eq!(woken.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn lines_are_heartbeats_or_the_end() {
        let hear = |lines: &[u8]| {
            let (ending, _woken) = Ending::new().unwrap();
            ending.hear(lines, Duration::from_secs(30));
            let heard = ending.watch().heartbeat.is_some();
            (ending.reason().cloned(), heard)
        };
        assert_eq!(hear(b""), (Some(Reason::StdinClosed), false));
        assert_eq!(hear(b"alive\n"), (Some(Reason::StdinClosed), true));
        assert_eq!(hear(b"alive\nstop\nalive\n"), (Some(Reason::Stop), true));
        assert_eq!(hear(b"stop"), (Some(Reason::Stop), false));
    }

    #[test]
    fn a_missing_heartbeat_ends_it() {
        let (ending, mut woken) = Ending::new().unwrap();
        let short = Duration::from_millis(1);
        ending.expect_heartbeats(short);
        ending.watch_deadlines().unwrap();
        assert_eq!(woken.read(&mut [0]).unwrap(), 0);
        assert_eq!(ending.reason(), Some(&Reason::NoHeartbeat(short)));
        ending.finished();
    }

    #[test]
    fn a_duration_ends_it() {
        let (ending, mut woken) = Ending::new().unwrap();
        ending.watch_deadlines().unwrap();
        ending.after(Duration::from_millis(1));
        assert_eq!(woken.read(&mut [0]).unwrap(), 0);
        assert_eq!(ending.reason(), Some(&Reason::Duration));
        ending.finished();
    }
}
