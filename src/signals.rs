//! Signals that end a run: SIGINT and SIGTERM, and SIGHUP unless it was ignored when the program
//! began, which is what `nohup` is for. A shell without job control has its background jobs ignore
//! SIGINT; who sends it to one of them means it all the same, as with tcpdump. On Windows Ctrl-C,
//! and that the console is closed.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// The system does not allow to wait for signals.
#[derive(Debug, thiserror::Error)]
#[error("signals cannot be waited for")]
pub struct NoSignals(#[source] io::Error);

/// Whether somebody listens.
static HEARD: AtomicBool = AtomicBool::new(false);

/// The signals that come from now on.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    kinds: Vec<(tokio::signal::unix::Signal, &'static str)>,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
    #[cfg(windows)]
    closed: tokio::signal::windows::CtrlClose,
}

impl Signals {
    /// Listens, in a runtime. From now on no signal ends the program by itself.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn listen() -> Result<Self, NoSignals> {
        let listening = Self::new().map_err(NoSignals)?;
        HEARD.store(true, Ordering::Release);
        Ok(listening)
    }

    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use meshsniff_contract::signals::hangup_is_ignored;
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = (!hangup_is_ignored()).then_some((SignalKind::hangup(), "SIGHUP"));
        let kinds = [
            (SignalKind::interrupt(), "SIGINT"),
            (SignalKind::terminate(), "SIGTERM"),
        ];
        let kinds = kinds.into_iter().chain(hangup);
        let kinds = kinds.map(|(kind, name)| Ok((signal(kind)?, name)));
        Ok(Self {
            kinds: kinds.collect::<io::Result<_>>()?,
        })
    }

    #[cfg(windows)]
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: tokio::signal::windows::ctrl_c()?,
            closed: tokio::signal::windows::ctrl_close()?,
        })
    }

    /// Waits for the next signal, and returns its name.
    #[cfg(unix)]
    pub async fn next(&mut self) -> &'static str {
        std::future::poll_fn(|context| {
            for (signal, name) in &mut self.kinds {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*name);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// Waits for the next signal, and returns its name.
    #[cfg(windows)]
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.closed.recv() => "Ctrl-Close",
        }
    }
}

/// Calls `handler` for each signal from now on, in a thread of its own.
///
/// # Errors
/// If signals cannot be waited for.
pub fn on_each(mut handler: impl FnMut() + Send + 'static) -> Result<(), NoSignals> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(NoSignals)?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::listen()?
    };
    let listener = move || {
        runtime.block_on(async {
            loop {
                signals.next().await;
                handler();
            }
        });
    };
    let started = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listener);
    started.map(drop).map_err(NoSignals)
}

/// As [`on_each`], unless somebody listens already.
///
/// # Errors
/// If signals cannot be waited for.
pub fn on_each_if_alone(handler: impl FnMut() + Send + 'static) -> Result<(), NoSignals> {
    match HEARD.load(Ordering::Acquire) {
        true => Ok(()),
        false => on_each(handler),
    }
}
