//! `report --live`: the live view's thread, its terminal and its keys.

use crate::stderr;
use crate::watch::Watched;
use crate::watch::lines::Lines;
use crate::watch::screen::{Key, View};
use anyhow::Context as _;
use meshsniff::condition::Filter;
use meshsniff::event::{Report, ReportEvent};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::time::Instant;

/// Time between two drawings of the screen, and the longest wait for a key.
const REFRESH: Duration = Duration::from_millis(200);

/// Receiver of messages while a screen covers stderr.
static HEARD: Mutex<Option<Shared>> = Mutex::new(None);

/// Prints a line on stderr, or on the screen that covers it.
pub(super) fn tell(line: &str) {
    let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    match &*heard {
        Some(shared) => lock(shared).message(line),
        None => stderr::line(line),
    }
}

/// State of the live view, shared by its writers and its thread.
pub(super) type Shared = Arc<Mutex<Watched>>;

/// The live view; dropping it ends it.
pub(super) struct Watch {
    screen: bool,
    /// Ends the thread when dropped.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts the live view of `shared`, if there is one: see [`Watch::start`].
    pub(super) fn of(
        shared: &Option<Shared>,
        quit: impl Fn() + Send + 'static,
    ) -> anyhow::Result<Option<Self>> {
        let shared = shared.as_ref().map(Arc::clone);
        shared.map(|shared| Self::start(shared, quit)).transpose()
    }

    /// Shows `shared` on the terminal that stderr is, or else as lines there. `quit` is called when
    /// the user has seen enough.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub(super) fn start(shared: Shared, quit: impl Fn() + Send + 'static) -> anyhow::Result<Self> {
        let (end, ended) = mpsc::channel();
        let watched = Arc::clone(&shared);
        let thread = thread::Builder::new().name("live".to_owned());
        let screen = io::stderr().is_terminal();
        let thread = if screen {
            let opened = Screen::open().context("the terminal cannot be drawn on")?;
            *HEARD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&shared));
            thread.spawn(move || opened.run(&watched, &ended, &quit))
        } else {
            thread.spawn(move || say(&watched, &ended))
        };
        Ok(Self {
            screen,
            end: Some(end),
            thread: Some(thread.context("no thread can be started")?),
        })
    }
}

impl Watch {
    /// Whether it covers the terminal.
    pub(super) const fn has_screen(&self) -> bool {
        self.screen
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.end.take());
        *HEARD.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Of a terminal that was hung up crossterm reads nothing for ever: nobody waits for that.
        let hung_up = self.screen && !io::stderr().is_terminal();
        if let Some(thread) = self.thread.take().filter(|_| !hung_up) {
            // It has put the terminal back, also if it has panicked.
            let _ = thread.join();
        }
    }
}

pub(super) fn lock(shared: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints what is new, until the end.
fn say(shared: &Mutex<Watched>, ended: &mpsc::Receiver<()>) {
    let (began, mut lines) = (Instant::now(), Lines::default());
    loop {
        let last = ended.recv_timeout(Duration::from_secs(1)) != Err(RecvTimeoutError::Timeout);
        let since = began.elapsed();
        let new = {
            let mut watched = lock(shared);
            watched.at(since);
            if last {
                watched.look();
            }
            lines.next(&watched, since, last)
        };
        let mut stderr = io::stderr().lock();
        for line in new {
            // Nothing is left to do if nobody can be told.
            let _ = writeln!(stderr, "{line}");
        }
        if last {
            return;
        }
    }
}

/// The terminal of the live view.
struct Screen {
    terminal: Terminal<CrosstermBackend<io::Stderr>>,
    /// Restores the terminal when dropped.
    _restored: Restored,
}

struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

impl Screen {
    fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        let restored = Restored;
        execute!(io::stderr(), EnterAlternateScreen, cursor::Hide)?;
        Ok(Self {
            terminal: Terminal::new(CrosstermBackend::new(io::stderr()))?,
            _restored: restored,
        })
    }

    fn run(mut self, shared: &Mutex<Watched>, ended: &mpsc::Receiver<()>, quit: &dyn Fn()) {
        let (began, mut view) = (Instant::now(), View::default());
        loop {
            if ended.try_recv() == Err(mpsc::TryRecvError::Disconnected) {
                return;
            }
            let since = began.elapsed();
            {
                let mut watched = lock(shared);
                if std::mem::take(&mut view.clear) {
                    watched.clear();
                }
                watched.at(since);
            }
            if !view.paused {
                let watched = lock(shared);
                // A terminal that is gone takes no drawing; the report is made all the same.
                let _ = self
                    .terminal
                    .draw(|frame| view.draw(frame, &watched, since));
            }
            match key() {
                Ok(Some(key)) => {
                    if view.key(key) {
                        lock(shared).message("the capture ends, and the report comes");
                        quit();
                    }
                    // That it stands still is to be seen.
                    if view.paused {
                        let watched = lock(shared);
                        let _ = self
                            .terminal
                            .draw(|frame| view.draw(frame, &watched, since));
                    }
                }
                Ok(None) => {}
                Err(_) => thread::sleep(REFRESH),
            }
        }
    }
}

/// Returns the next key with a meaning, if one comes before the next drawing.
fn key() -> io::Result<Option<Key>> {
    if !event::poll(REFRESH)? {
        return Ok(None);
    }
    let Event::Key(pressed) = event::read()? else {
        return Ok(None);
    };
    if pressed.kind == KeyEventKind::Release {
        return Ok(None);
    }
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    Ok(Some(match pressed.code {
        KeyCode::Char('c' | 'd') if control => Key::Quit,
        KeyCode::Char('q') => Key::Quit,
        KeyCode::Esc => Key::Back,
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Key::First,
        KeyCode::Tab | KeyCode::BackTab => Key::Other,
        KeyCode::Enter => Key::Open,
        KeyCode::Char('s') => Key::Sort,
        KeyCode::Char(' ' | 'p') => Key::Pause,
        KeyCode::Char('c') => Key::Clear,
        KeyCode::Char('?' | 'h') => Key::Help,
        _ => return Ok(None),
    }))
}

/// Report that feeds the live view.
pub(super) struct WatchedReport {
    shared: Shared,
    filter: Filter,
}

impl WatchedReport {
    /// Feeds `shared` with the exchanges that `filter` selects.
    pub(super) const fn new(shared: Shared, filter: Filter) -> Self {
        Self { shared, filter }
    }
}

impl Report for WatchedReport {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        match event {
            ReportEvent::Exchange(exchange) if self.filter.exchange(exchange) => {
                lock(&self.shared).exchange(exchange);
            }
            ReportEvent::Connection(connection)
                if connection.verdict.is_some() && self.filter.connection(connection) =>
            {
                lock(&self.shared).connection(connection);
            }
            ReportEvent::Name(address, name) => lock(&self.shared).name(address, name),
            // What is aggregated was told as it came.
            _ => {}
        }
        Ok(())
    }
}

/// Standard input that the user can end.
pub(super) struct Endable {
    /// The bytes until then.
    pub(super) reader: Box<dyn Read + Send>,
    /// Function that ends it.
    pub(super) end: Arc<dyn Fn() + Send + Sync>,
    /// Whether the user ended it: a last packet that is half there is then no damage.
    pub(super) cut: Arc<AtomicBool>,
}

/// Reads standard input through a pipe, so that it can be ended.
///
/// # Errors
/// If no pipe or thread can be made.
pub(super) fn endable_stdin() -> anyhow::Result<Endable> {
    let (reader, writer) = io::pipe().context("no pipe can be had")?;
    let writer = Arc::new(Mutex::new(Some(writer)));
    let ended = Arc::clone(&writer);
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            let mut stdin = io::stdin().lock();
            loop {
                let count = match stdin.read(&mut buffer) {
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    // The end, or an error that a reader of a pipe would see as one.
                    Err(_) => 0,
                };
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let written = match writer.as_mut() {
                    Some(writer) if count > 0 => writer.write_all(&buffer[..count]).is_ok(),
                    _ => false,
                };
                if !written {
                    *writer = None;
                    return;
                }
            }
        })
        .context("no thread can be started")?;
    let cut = Arc::new(AtomicBool::new(false));
    let cut_by_user = Arc::clone(&cut);
    let end = move || {
        cut_by_user.store(true, Ordering::Release);
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = None;
    };
    Ok(Endable {
        reader: Box::new(reader),
        end: Arc::new(end),
        cut,
    })
}
