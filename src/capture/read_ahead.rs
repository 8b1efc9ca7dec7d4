//! Reading a plain file ahead of its parsing, on a thread of its own.
//!
//! A capture is read once, from front to back. The kernel's copy into a warm buffer then costs less than the page
//! faults of a map, runs beside the parsing, keeps this process small however long the file is, and a file
//! that is cut meanwhile is just cut. Holds the buffers and their way between the two threads.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

/// Bytes read at a time.
const CHUNK: usize = 512 << 10;

/// Room in front of a chunk for what was left of the one before: more than a record usually is.
const FRONT: usize = 64 << 10;

/// Chunks read ahead at most.
const AHEAD: usize = 4;

/// A buffer whose bytes are `buffer[start..end]`.
pub(super) struct Chunk {
    pub(super) buffer: Vec<u8>,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Chunk {
    fn empty() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
        }
    }
}

/// A file being read ahead.
pub(super) struct ReadAhead {
    current: Chunk,
    full: Receiver<io::Result<Chunk>>,
    spent: SyncSender<Chunk>,
}

impl ReadAhead {
    /// Begins to read `reader`; `None` if no thread can be had.
    pub(super) fn start(
        mut reader: Box<dyn Read + Send>,
    ) -> Result<Self, (io::Error, Box<dyn Read + Send>)> {
        let (send_full, full) = sync_channel(AHEAD);
        let (spent, take_spent) = sync_channel::<Chunk>(AHEAD + 2);
        let (hand_over, handed) = sync_channel(1);
        let work = move || {
            let Ok(mut reader) = handed.recv() else {
                return;
            };
            loop {
                let chunk = match take_spent.try_recv() {
                    Ok(chunk) => chunk,
                    Err(TryRecvError::Empty) => Chunk::empty(),
                    Err(TryRecvError::Disconnected) => return,
                };
                let chunk = read_chunk(&mut reader, chunk);
                let last = !matches!(&chunk, Ok(chunk) if chunk.end > chunk.start);
                if send_full.send(chunk).is_err() || last {
                    return;
                }
            }
        };
        let spawned = thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(work);
        if let Err(error) = spawned {
            return Err((error, reader));
        }
        if let Err(unsent) = hand_over.send(reader) {
            reader = unsent.0;
            return Err((ErrorKind::BrokenPipe.into(), reader));
        }
        Ok(Self {
            current: Chunk::empty(),
            full,
            spent,
        })
    }

    /// The bytes at hand.
    #[inline]
    pub(super) fn available(&self) -> &[u8] {
        &self.current.buffer[self.current.start..self.current.end]
    }

    /// Moves on by `count` of the bytes at hand.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        self.current.start = self.current.end.min(self.current.start + count);
    }

    /// Waits until `least` bytes are at hand, or the file's end.
    #[cold]
    pub(super) fn fill(&mut self, least: usize) -> io::Result<()> {
        while self.current.end - self.current.start < least {
            match self.full.recv() {
                Ok(Ok(next)) if next.end > next.start => self.append(next),
                Ok(Err(error)) => return Err(error),
                // The thread ends after the file's end, or an error that was reported already.
                Ok(Ok(_)) | Err(_) => break,
            }
        }
        Ok(())
    }

    /// Puts what is left in front of `next`, in its room for that if there is enough.
    fn append(&mut self, mut next: Chunk) {
        let left = self.current.end - self.current.start;
        if left <= next.start {
            next.start -= left;
            next.buffer[next.start..next.start + left].copy_from_slice(self.available());
            let spent = std::mem::replace(&mut self.current, next);
            // If the thread has ended, it needs no buffers.
            let _ = self.spent.try_send(spent);
        } else {
            let current = &mut self.current;
            current.buffer.drain(..current.start);
            current.buffer.truncate(left);
            current.start = 0;
            current
                .buffer
                .extend_from_slice(&next.buffer[next.start..next.end]);
            current.end = current.buffer.len();
            let _ = self.spent.try_send(next);
        }
    }
}

/// Everything not yet skipped, as a reader.
impl Read for ReadAhead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.fill(1)?;
        let count = out.len().min(self.available().len());
        out[..count].copy_from_slice(&self.available()[..count]);
        self.skip(count);
        Ok(count)
    }
}

/// Reads one chunk, as much of it as the file gives at once; empty at the end.
fn read_chunk(reader: &mut Box<dyn Read + Send>, mut chunk: Chunk) -> io::Result<Chunk> {
    chunk.buffer.resize(FRONT + CHUNK, 0);
    chunk.start = FRONT;
    chunk.end = FRONT;
    loop {
        match reader.read(&mut chunk.buffer[FRONT..]) {
            Ok(count) => {
                chunk.end = FRONT + count;
                return Ok(chunk);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_any_size_come_whole_and_in_order() {
        let content: Vec<u8> = (0..7_000_000_u32).map(|n| (n % 251) as u8).collect();
        let reader = Box::new(io::Cursor::new(content.clone()));
        let mut ahead = ReadAhead::start(reader)
            .map_err(|(error, _)| error)
            .unwrap();
        let mut at = 0;
        for step in (1..1_400_000)
            .step_by(199_999)
            .chain([3, 70_000, 2])
            .cycle()
        {
            ahead.fill(step).unwrap();
            let seen = ahead.available().len().min(step);
            assert_eq!(&ahead.available()[..seen], &content[at..at + seen]);
            ahead.skip(seen);
            at += seen;
            if seen < step {
                break;
            }
        }
        assert_eq!(at, content.len());
    }
}
