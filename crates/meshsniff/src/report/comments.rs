//! Packet comments that reports show beside frames.

use crate::packet::FrameId;
use hashbrown::HashMap;

/// Packet comments by frame, as many as fit.
#[derive(Debug, Default)]
pub(super) struct Comments {
    by_frame: HashMap<FrameId, Box<str>>,
    /// Frames in the order of their comments.
    order: Vec<FrameId>,
    comments: usize,
    bytes: usize,
    pub(super) left_out: u64,
}

impl Comments {
    /// Comments kept, and bytes of them: far more than a person writes.
    const MAX_COMMENTS: usize = 10_000;
    const MAX_BYTES: usize = 4 << 20;

    pub(super) fn add(&mut self, frame: FrameId, text: &str) {
        let full = self.comments >= Self::MAX_COMMENTS;
        if full || self.bytes + text.len() > Self::MAX_BYTES {
            self.left_out += 1;
            return;
        }
        self.comments += 1;
        self.bytes += text.len();
        match self.by_frame.entry(frame) {
            hashbrown::hash_map::Entry::Occupied(mut entry) => {
                // A packet may carry several comments.
                let joined = format!("{}\n{text}", entry.get());
                entry.insert(joined.into_boxed_str());
            }
            hashbrown::hash_map::Entry::Vacant(entry) => {
                entry.insert(text.into());
                self.order.push(frame);
            }
        }
    }

    pub(super) fn get(&self, frame: FrameId) -> Option<&str> {
        if self.order.is_empty() {
            return None;
        }
        self.by_frame.get(&frame).map(AsRef::as_ref)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FrameId, &str)> {
        self.order
            .iter()
            .filter_map(|frame| Some((*frame, self.by_frame.get(frame)?.as_ref())))
    }
}
