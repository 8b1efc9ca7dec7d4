//! Memory maps of capture files, read from front to back. The only `unsafe` code of the library.
//!
//! The kernel's copy of a file is the only one: nothing is read that nobody looks at. Page faults,
//! which would be a quarter of the time of a run, are taken by a thread that goes ahead of the
//! reader, and pages that were read are given back, so that a long file takes no more of this
//! process's memory than a short one.
#![allow(unsafe_code)]

use memmap2::Mmap;
use std::fs::File;
use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};

/// Bytes that are touched, or given back, at a time.
const WINDOW: usize = 1 << 20;

/// How far ahead of the reader pages are touched.
const AHEAD: usize = 4 * WINDOW;

/// How far behind the reader pages are kept: whoever holds a frame may still look at it.
const BEHIND: usize = 2 * WINDOW;

/// A cache line: three hold a record's header, those of the packet and the beginning of its
/// payload.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// The smallest page there is, and so the distance at which every page is touched.
const PAGE: usize = 4 << 10;

/// A file's bytes.
pub(super) struct Map {
    map: Arc<Mmap>,
    ahead: Option<Ahead>,
    /// The position at which the thread ahead is told how far the reader has come.
    next_report: usize,
}

/// The thread that goes ahead.
struct Ahead {
    thread: Thread,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    reader_at: AtomicUsize,
    abandoned: AtomicBool,
}

impl Map {
    /// Maps a whole file, which must not be empty, for reading from front to back.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is private to this process and only ever read as bytes, for which every
        // value is valid. What cannot be ruled out is another process changing the file meanwhile:
        // changed bytes are parsed like any hostile capture, and a file that is made shorter ends
        // this process with SIGBUS, as it does every program that maps files. Whoever wants to
        // follow a file that is still written uses a pipe.
        let map = Arc::new(unsafe { Mmap::map(file)? });
        let ahead = (map.len() > AHEAD).then(|| Ahead::start(&map)).flatten();
        Ok(Self {
            map,
            ahead,
            next_report: WINDOW,
        })
    }

    /// All of the file.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Says that the reader has come to `at`, and will not look far behind it again.
    #[inline]
    pub(super) fn reached(&mut self, at: usize) {
        if at >= self.next_report {
            self.report(at);
        }
    }

    /// Hints that the reader will look at `at` next, so that memory is asked for it while the
    /// reader still has something to do.
    #[inline]
    pub(super) fn prefetch(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(soon) = self.map.get(at..at + 3 * LINE) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            for line in 0..3 {
                // SAFETY: a prefetch reads nothing and cannot fault; the address lies in the map.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(soon.as_ptr().add(line * LINE).cast()) };
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    #[cold]
    fn report(&mut self, at: usize) {
        self.next_report = at + WINDOW;
        if let Some(ahead) = &self.ahead {
            ahead.shared.reader_at.store(at, Ordering::Release);
            ahead.thread.unpark();
        }
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if let Some(ahead) = &self.ahead {
            ahead.shared.abandoned.store(true, Ordering::Release);
            ahead.thread.unpark();
        }
    }
}

impl Ahead {
    /// Starts the thread; `None` if there is none to be had: then the reader takes the page faults
    /// itself.
    fn start(map: &Arc<Mmap>) -> Option<Self> {
        let shared = Arc::new(Shared::default());
        let work = {
            let (map, shared) = (Arc::clone(map), Arc::clone(&shared));
            move || go_ahead(&map, &shared)
        };
        let thread = thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(work)
            .ok()?;
        Some(Self {
            thread: thread.thread().clone(),
            shared,
        })
    }
}

fn go_ahead(map: &Mmap, shared: &Shared) {
    let mut touched = 0;
    let mut given_back = 0;
    while !shared.abandoned.load(Ordering::Acquire) {
        let reader_at = shared.reader_at.load(Ordering::Acquire);
        let behind = reader_at.saturating_sub(BEHIND) / WINDOW * WINDOW;
        if behind > given_back {
            give_back(map, given_back, behind);
            given_back = behind;
        }
        // Where the reader was faster there is nothing left to do for it.
        touched = touched.max(reader_at / WINDOW * WINDOW);
        if touched < map.len() && touched < reader_at + AHEAD {
            let end = (touched + WINDOW).min(map.len());
            for at in (touched..end).step_by(PAGE) {
                black_box(map[at]);
            }
            touched = end;
        } else {
            thread::park();
        }
    }
}

#[cfg(unix)]
fn give_back(map: &Mmap, from: usize, to: usize) {
    // SAFETY: the map is shared and never written to, so that pages given back hold the file's
    // bytes when they are looked at again. It is only a hint: reading works without it.
    let _ =
        unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from) };
}

#[cfg(not(unix))]
fn give_back(_: &Mmap, _: usize, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn what_was_given_back_can_be_read_again() {
        let content: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let mut map = Map::new(&file).unwrap();
        for at in (0..content.len()).step_by(40_000) {
            map.reached(at);
            assert_eq!(map.bytes()[at], content[at]);
        }
        assert!(map.bytes() == content);
    }
}
