//! The end of a run, by a signal, by whoever reads the output, or by a limit.

use crate::signals::{NoSignals, Signals};
use crate::stderr;
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
    /// The reader of the output has left, which is no error.
    OutputClosed,
    /// As much as was asked for has been seen.
    Enough,
    /// Something failed; the error is returned elsewhere.
    Failed,
}

/// The end was asked for before anything was captured, which is no error.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("ended before anything was captured")]
pub struct EndedEarly;

/// A stop that anybody can ask for and everybody can wait for; clones share it.
#[derive(Clone, Debug)]
pub struct Stop {
    why: Arc<watch::Sender<Option<Why>>>,
    /// The time of the first signal.
    signalled: Arc<OnceLock<Instant>>,
    /// Signals so far: after a second one nobody waits for trailers.
    signals: Arc<watch::Sender<u8>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            why: Arc::new(watch::Sender::new(None)),
            signalled: Arc::default(),
            signals: Arc::new(watch::Sender::new(0)),
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

    /// Why the end was asked for, if it was.
    #[must_use]
    pub fn why(&self) -> Option<Why> {
        self.why.borrow().clone()
    }

    /// Waits until the end is asked for.
    pub async fn asked(&self) {
        // The sender lives as long as this does.
        let _ = self.why.subscribe().wait_for(Option::is_some).await;
    }

    /// Whether a signal has come.
    #[must_use]
    pub fn is_signalled(&self) -> bool {
        *self.signals.borrow() > 0
    }

    /// Waits until a signal has come, whatever the end was asked for by.
    pub async fn signalled(&self) {
        let _ = self
            .signals
            .subscribe()
            .wait_for(|signals| *signals > 0)
            .await;
    }

    /// Waits until a second signal has come.
    pub async fn hurried(&self) {
        let _ = self
            .signals
            .subscribe()
            .wait_for(|signals| *signals > 1)
            .await;
    }

    /// Does `work` unless the end is asked for meanwhile: then it is dropped, and must leave
    /// nothing behind.
    ///
    /// # Errors
    /// If the end is asked for.
    pub async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Result<T, EndedEarly> {
        tokio::select! {
            done = work => Ok(done),
            () = self.asked() => Err(EndedEarly),
        }
    }

    /// Asks for the end by a signal, or a key that stands for one. After a second one that is not
    /// the same nobody waits any more.
    pub fn signal(&self, name: &'static str) {
        let first = *self.signalled.get_or_init(Instant::now);
        if first.elapsed() > SAME {
            stderr::hurry();
            self.signals.send_replace(2);
        } else {
            self.signals.send_if_modified(|signals| {
                let is_first = *signals == 0;
                *signals = (*signals).max(1);
                is_first
            });
        }
        self.ask(Why::Signal(name));
    }

    /// Listens for signals from now on: before anything is created that they would have to remove.
    ///
    /// # Errors
    /// If they cannot be listened to.
    pub fn listen_to_signals(&self) -> Result<(), NoSignals> {
        let mut signals = Signals::listen()?;
        let stop = self.clone();
        tokio::spawn(async move {
            loop {
                stop.signal(signals.next().await);
            }
        });
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
        stop.signalled().await;
        assert_eq!(*stop.signals.borrow(), 1);
        tokio::time::advance(SAME * 2).await;
        assert_eq!(*stop.signals.borrow(), 1);
        stop.signal("SIGTERM");
        stop.hurried().await;
        assert_eq!(stop.why(), Some(Why::Signal("SIGINT")));
    }
}
