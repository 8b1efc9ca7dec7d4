//! A report that is held back until there is anything to report: a target that cannot be captured
//! gets an error, and no empty report beside it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether anything was captured yet, shared by its clones.
#[derive(Clone, Debug, Default)]
pub(super) struct Begun(Arc<AtomicBool>);

impl Begun {
    /// Says that something was captured.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Bytes held back: whoever says more has something to report.
const MAX_HELD: usize = 1 << 20;

/// Writer that holds everything back until something was captured, and writes nothing if nothing
/// ever is.
pub(super) struct Held<W> {
    out: W,
    begun: Begun,
    held: Vec<u8>,
}

impl<W: Write> Held<W> {
    pub(super) const fn new(out: W, begun: Begun) -> Self {
        Self {
            out,
            begun,
            held: Vec::new(),
        }
    }

    fn release(&mut self) -> io::Result<()> {
        self.out.write_all(&std::mem::take(&mut self.held))
    }
}

impl<W: Write> Write for Held<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.begun.get() && self.held.len() + bytes.len() > MAX_HELD {
            self.begun.set();
        }
        if !self.begun.get() {
            // What can be said of nothing is little.
            self.held.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        self.release()?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.begun.get() {
            return Ok(());
        }
        self.release()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_before_there_is_anything() {
        let (mut out, begun) = (Vec::new(), Begun::default());
        let mut held = Held::new(&mut out, begun.clone());
        held.write_all(b"head ").unwrap();
        held.flush().unwrap();
        assert!(held.out.is_empty());
        begun.set();
        held.write_all(b"and body").unwrap();
        held.flush().unwrap();
        drop(held);
        assert_eq!(out, b"head and body");
    }

    #[test]
    fn there_is_an_end_to_what_is_held() {
        let (mut out, begun) = (Vec::new(), Begun::default());
        let mut held = Held::new(&mut out, begun.clone());
        for _ in 0..=MAX_HELD / 1_024 {
            held.write_all(&[b'x'; 1_024]).unwrap();
        }
        assert!(held.held.len() <= MAX_HELD && begun.get());
        drop(held);
        assert_eq!(out.len(), MAX_HELD + 1_024);
    }

    #[test]
    fn what_was_held_leaves_with_the_last_flush() {
        let (mut out, begun) = (Vec::new(), Begun::default());
        let mut held = Held::new(&mut out, begun.clone());
        held.write_all(b"all").unwrap();
        begun.set();
        held.flush().unwrap();
        drop(held);
        assert_eq!(out, b"all");
    }
}
