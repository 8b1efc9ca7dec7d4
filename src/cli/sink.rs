//! Destination of the streams of targets: one capture for all, or a file for each.

use super::held::Begun;
use crate::cluster::exec::Output;
use crate::cluster::session::{Consumer, Finished, RunError, Unconsumed};
use crate::cluster::target::Target;
use anyhow::{Context as _, bail};
use meshsniff::pcapng::blocks::Section;
use meshsniff::stream::merge::{Merger, StreamNumber};
use meshsniff::stream::reader::{End, StreamReader};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Out = Box<dyn Write + Send>;

/// Most files of the same pod that a folder may hold.
const MAX_FILES: usize = 1000;

/// Writer of streams.
pub(super) struct Sink {
    folder: Option<PathBuf>,
    /// Whether interfaces carry the names of their targets.
    several: bool,
    captures: Mutex<Vec<Arc<Mutex<Merger<Out>>>>>,
    /// Streams by their numbers.
    streams: Mutex<Vec<Place>>,
    names: Mutex<Vec<(IpAddr, Vec<String>)>>,
    /// Whether any stream sent anything.
    begun: Begun,
}

#[derive(Clone)]
struct Place {
    capture: Arc<Mutex<Merger<Out>>>,
    stream: StreamNumber,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a thread that panicked has written so far is there all the same.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn capture(out: Out, names: &[String]) -> io::Result<Merger<Out>> {
    let section = Section {
        application: concat!("kubectl-meshsniff ", env!("CARGO_PKG_VERSION")),
        comment: &format!("capture of {}", names.join(", ")),
        ..Section::default()
    };
    Merger::new(out, &section)
}

impl Sink {
    fn new(folder: Option<PathBuf>, several: bool) -> Self {
        Self {
            folder,
            several,
            captures: Mutex::default(),
            streams: Mutex::default(),
            names: Mutex::default(),
            begun: Begun::default(),
        }
    }

    /// Writes all streams to `out`, as one capture of the targets called `names`. `begun` is set
    /// when the first one sends anything.
    ///
    /// # Errors
    /// If its header cannot be written.
    pub(super) fn one(
        out: Out,
        names: &[String],
        several: bool,
        begun: Begun,
    ) -> anyhow::Result<Self> {
        let capture = capture(out, names).context(UNWRITTEN)?;
        let sink = Self {
            begun,
            ..Self::new(None, several)
        };
        lock(&sink.captures).push(Arc::new(Mutex::new(capture)));
        Ok(sink)
    }

    /// Writes each stream to a file of its own in `folder`.
    pub(super) fn folder(folder: &Path) -> Self {
        Self::new(Some(folder.to_owned()), false)
    }

    /// Writes the names of addresses.
    pub(super) fn names(&self, names: Vec<(IpAddr, Vec<String>)>) {
        for capture in lock(&self.captures).iter() {
            // Whoever writes packets will see the same error.
            let _ = lock(capture).names(&names);
        }
        lock(&self.names).extend(names);
    }

    /// Ends all captures; returns what they lack, one sentence each.
    ///
    /// # Errors
    /// If the end could not be written.
    pub(super) fn finish(&self, finished: &[Finished]) -> anyhow::Result<Vec<String>> {
        let errors = finished
            .iter()
            .filter_map(|one| one.error.as_ref().map(RunError::sentence))
            .collect();
        if self.folder.is_none()
            && let Some(capture) = lock(&self.captures).first()
            // A capture that lacks something must not look whole: it gets no last block.
            && let Some(end) = common_end(finished)
            && let Err(error) = lock(capture).finish(&end)
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(error).context(UNWRITTEN);
        }
        Ok(errors)
    }

    /// Closes everything that is written to.
    pub(super) fn close(&self) {
        lock(&self.captures).clear();
        lock(&self.streams).clear();
    }

    fn stream(&self, number: usize) -> anyhow::Result<Place> {
        let place = lock(&self.streams).get(number).cloned();
        place.context("a stream comes that nobody asked for")
    }

    fn copy(&self, place: &Place, output: Output) -> anyhow::Result<Option<End>> {
        let mut reader = StreamReader::new(output);
        while let Some(event) = reader.next() {
            {
                let event = event?;
                self.begun.set();
                lock(&place.capture)
                    .write(place.stream, &event)
                    .context(UNWRITTEN)?;
            }
            if !reader.has_next() {
                lock(&place.capture).flush().context(UNWRITTEN)?;
            }
        }
        lock(&place.capture).flush().context(UNWRITTEN)?;
        Ok(reader.end().cloned())
    }
}

const UNWRITTEN: &str = "the packets cannot be written, what was written so far is kept: make \
                         room, or write elsewhere with -w";

/// Returns how a capture of several targets ends; `None` if one of them was cut.
fn common_end(finished: &[Finished]) -> Option<End> {
    let mut ends = finished.iter().map(|one| one.last_word.as_ref());
    let first = ends.next()??;
    let mut same = true;
    for end in ends {
        same &= end?.reason == first.reason;
    }
    let end = if same {
        first.clone()
    } else {
        End {
            reason: meshsniff_contract::ending::ENDED.to_owned(),
            sentence: "the targets ended one after another".to_owned(),
        }
    };
    Some(end)
}

impl Consumer for Sink {
    fn begin(&self, number: usize, target: &Target) -> Result<(), Unconsumed> {
        let name = target.full_name();
        let capture = match &self.folder {
            None => {
                let captures = lock(&self.captures);
                let first = captures.first().cloned();
                first.context("there is no capture to write to")?
            }
            Some(folder) => {
                let file = create(folder, target)?;
                let mut made =
                    capture(Box::new(file), std::slice::from_ref(&name)).context(UNWRITTEN)?;
                made.names(&lock(&self.names)).context(UNWRITTEN)?;
                let made = Arc::new(Mutex::new(made));
                lock(&self.captures).push(Arc::clone(&made));
                made
            }
        };
        let prefix = if self.several { name.as_str() } else { "" };
        let stream = lock(&capture).add_stream(prefix);
        let mut streams = lock(&self.streams);
        debug_assert_eq!(
            streams.len(),
            number,
            "streams begin in the order of their numbers"
        );
        streams.push(Place { capture, stream });
        Ok(())
    }

    fn consume(&self, number: usize, output: Output) -> Result<Option<End>, Unconsumed> {
        let place = self.stream(number)?;
        let end = self.copy(&place, output)?;
        // In a folder each stream has a file of its own, and so an end.
        if let (Some(_), Some(end)) = (&self.folder, &end) {
            lock(&place.capture).finish(end).context(UNWRITTEN)?;
        }
        Ok(end)
    }
}

/// Creates a file for a target, readable by its owner only. It never overwrites a file nor follows
/// a link: the user did not type the name.
fn create(folder: &Path, target: &Target) -> anyhow::Result<File> {
    let plain = |text: &str| -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        text.chars()
            .map(|c| if fits(c) { c } else { '-' })
            .collect()
    };
    let stem = if target.is_node() {
        format!("node_{}", plain(&target.name))
    } else {
        format!("{}_{}", plain(&target.namespace), plain(&target.name))
    };
    for again in 1..=MAX_FILES {
        let name = match again {
            1 => format!("{stem}.pcapng"),
            again => format!("{stem}-{again}.pcapng"),
        };
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be written", path.display()));
            }
        }
    }
    bail!(
        "{} holds {MAX_FILES} captures of {} already: name another folder",
        folder.display(),
        target.full_name()
    )
}
