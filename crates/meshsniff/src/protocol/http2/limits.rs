//! Limits of a header table that were announced and are not in force yet.

use std::collections::VecDeque;

/// Settings that wait for their acknowledgment: nobody sends more.
const MAX_SETTINGS: usize = 64;

/// What one side's settings say of the header table, in those that were not acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    waiting: VecDeque<Option<u32>>,
}

impl Limits {
    /// The side sent settings, with this limit, if with one.
    pub fn sent(&mut self, limit: Option<u32>) {
        if self.waiting.len() < MAX_SETTINGS {
            self.waiting.push_back(limit);
        }
    }

    /// The other side acknowledged the oldest of them. Returns the limit that is in force from now
    /// on, if they had one.
    pub fn taken(&mut self) -> Option<u32> {
        self.waiting.pop_front().flatten()
    }

    /// Whether all of them are acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Acknowledgments may have been missed.
    pub fn lose(&mut self) {
        self.waiting.clear();
    }
}
