//! The end of a run, whoever wants it: signals, whoever reads the output, limits.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Signals so close together are one: `timeout` sends its own twice, to the process and to its
/// group.
const SAME: Duration = Duration::from_millis(500);

/// Why a run is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A signal, by its name.
    Signal(&'static str),
    /// Whoever read the output does not read it any more: that is no error.
    OutputClosed,
    /// As much as was asked for has been seen.
    Enough,
    /// Something failed; the error is told by whoever has it.
    Failed,
}

/// Somebody asked for the end before anything was captured: nothing went wrong, and nobody has to
/// be told.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("ended before anything was captured")]
pub struct EndedEarly;

/// The system does not let signals be waited for.
#[derive(Debug, thiserror::Error)]
#[error("signals cannot be waited for")]
pub struct NoSignals(#[source] io::Error);

/// Asked for by anybody, heard by all; clones are the same.
#[derive(Clone, Debug)]
pub struct Stop {
    why: Arc<watch::Sender<Option<Why>>>,
    /// When the first signal came: from the second on nobody waits for trailers.
    signalled: Arc<OnceLock<Instant>>,
    hurried: Arc<watch::Sender<bool>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            why: Arc::new(watch::Sender::new(None)),
            signalled: Arc::default(),
            hurried: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Stop {
    /// Asks for the end; only the first reason counts.
    pub fn ask(&self, why: Why) {
        self.why.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                *known = Some(why);
            }
            first
        });
    }

    /// Why it is to end, if it is.
    #[must_use]
    pub fn why(&self) -> Option<Why> {
        self.why.borrow().clone()
    }

    /// Returns once the end is asked for.
    pub async fn asked(&self) {
        // The sender lives as long as this does.
        let _ = self.why.subscribe().wait_for(Option::is_some).await;
    }

    /// Returns once somebody asked a second time.
    pub async fn hurried(&self) {
        let _ = self.hurried.subscribe().wait_for(|hurried| *hurried).await;
    }

    /// Does `work` unless the end is asked for meanwhile. What is dropped half done must leave
    /// nothing behind.
    ///
    /// # Errors
    /// If it is: [`EndedEarly`].
    pub async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Result<T, EndedEarly> {
        tokio::select! {
            done = work => Ok(done),
            () = self.asked() => Err(EndedEarly),
        }
    }

    /// A signal came, or a key that stands for one. A second one, a while after the first: nobody
    /// waits any more.
    pub fn signal(&self, name: &'static str) {
        let first = *self.signalled.get_or_init(Instant::now);
        if first.elapsed() > SAME {
            self.hurried.send_replace(true);
        }
        self.ask(Why::Signal(name));
    }

    /// Listens for signals from now on: before anything is created that they would have to remove.
    ///
    /// # Errors
    /// If they cannot be listened to.
    pub fn listen_to_signals(&self) -> Result<(), NoSignals> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            for (kind, name) in [
                (SignalKind::interrupt(), "SIGINT"),
                (SignalKind::terminate(), "SIGTERM"),
                (SignalKind::hangup(), "SIGHUP"),
            ] {
                let mut signals = signal(kind).map_err(NoSignals)?;
                let stop = self.clone();
                tokio::spawn(async move {
                    while signals.recv().await.is_some() {
                        stop.signal(name);
                    }
                });
            }
        }
        #[cfg(windows)]
        {
            use tokio::signal::windows;
            let mut interrupt = windows::ctrl_c().map_err(NoSignals)?;
            let mut closed = windows::ctrl_close().map_err(NoSignals)?;
            let stop = self.clone();
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        Some(()) = interrupt.recv() => stop.signal("Ctrl-C"),
                        Some(()) = closed.recv() => stop.signal("Ctrl-Close"),
                        else => return,
                    }
                }
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_counts() {
        let stop = Stop::default();
        assert_eq!(stop.why(), None);
        stop.ask(Why::OutputClosed);
        stop.ask(Why::Failed);
        stop.asked().await;
        assert_eq!(stop.why(), Some(Why::OutputClosed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_hurries() {
        let stop = Stop::default();
        stop.signal("SIGINT");
        stop.signal("SIGINT");
        assert!(!*stop.hurried.borrow());
        tokio::time::advance(SAME * 2).await;
        assert!(!*stop.hurried.borrow());
        stop.signal("SIGTERM");
        stop.hurried().await;
        assert_eq!(stop.why(), Some(Why::Signal("SIGINT")));
    }
}
