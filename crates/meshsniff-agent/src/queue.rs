//! The way from the thread that empties the kernel's rings to the one that writes the stream.
//!
//! It is bounded: when the stream is not read fast enough, whole batches are given up and counted,
//! while the rings go on being emptied. So two kinds of loss stay apart: the kernel's, if this
//! machine is too slow, and the queue's, if the way to the reader is.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Buffers that are kept for the next batches.
const MAX_SPARES: usize = 8;

/// Batches of bytes on their way.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Vec<u8>>,
    bytes: usize,
    closed: bool,
    spares: Vec<Vec<u8>>,
}

impl Queue {
    /// A queue that holds `max_bytes` at most, and one batch in any case.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            max_bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the bytes of `batch`, and leaves it empty either way; `false` if there was no room and
    /// they are lost.
    pub fn push(&self, batch: &mut Vec<u8>) -> bool {
        let mut state = self.state();
        let room = state.batches.is_empty() || state.bytes + batch.len() <= self.max_bytes;
        if room {
            self.put(&mut state, batch);
        } else {
            batch.clear();
        }
        room
    }

    /// Takes the bytes of `batch` whether there is room or not: for what is small and must not be
    /// lost.
    pub fn push_always(&self, batch: &mut Vec<u8>) {
        let mut state = self.state();
        self.put(&mut state, batch);
    }

    fn put(&self, state: &mut State, batch: &mut Vec<u8>) {
        if batch.is_empty() {
            return;
        }
        let spare = state.spares.pop().unwrap_or_default();
        state.bytes += batch.len();
        state.batches.push_back(std::mem::replace(batch, spare));
        self.changed.notify_one();
    }

    /// Whether there is room for more. Only pushing makes it less.
    pub fn has_room(&self) -> bool {
        self.state().bytes < self.max_bytes
    }

    /// Whether nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.state().batches.is_empty()
    }

    /// Ends the queue: nothing more will come.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits for the next batch; `None` when there will be none.
    pub fn pop(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        loop {
            if let Some(batch) = state.batches.pop_front() {
                state.bytes -= batch.len();
                return Some(batch);
            }
            if state.closed {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives a batch's buffer back.
    pub fn recycle(&self, mut batch: Vec<u8>) {
        batch.clear();
        let mut state = self.state();
        if state.spares.len() < MAX_SPARES {
            state.spares.push(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_is_said_and_nothing_else_is_lost() {
        let queue = Queue::new(10);
        assert!(queue.push(&mut vec![1; 20]), "one batch in any case");
        let mut second = vec![2; 1];
        assert!(!queue.push(&mut second));
        assert!(second.is_empty());
        queue.push_always(&mut vec![3; 5]);
        queue.close();
        assert_eq!(queue.pop(), Some(vec![1; 20]));
        assert_eq!(queue.pop(), Some(vec![3; 5]));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn batches_cross_threads_in_order() {
        let queue = Queue::new(1 << 20);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..1_000_u32 {
                    queue.push_always(&mut number.to_le_bytes().to_vec());
                }
                queue.close();
            });
            for number in 0..1_000_u32 {
                let batch = queue.pop().unwrap();
                assert_eq!(batch, number.to_le_bytes());
                queue.recycle(batch);
            }
            assert_eq!(queue.pop(), None);
        });
    }
}
