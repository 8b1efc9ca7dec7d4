//! The bytes of a segment on their way out, each shown, masked or hidden.

use super::choice::Redaction;
use super::line::{Line, Part};

/// How bytes go out.
pub(super) struct Out<'a> {
    pub(super) redaction: &'a Redaction,
    pub(super) bytes: &'a mut [u8],
    /// Bytes decided on.
    pub(super) at: usize,
    /// Where the last byte ends that says something.
    pub(super) kept: usize,
}

impl Out<'_> {
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// The next bytes are left as they are.
    pub(super) fn show(&mut self, len: usize) {
        self.at += len;
        self.kept = self.at;
    }

    pub(super) fn hide(&mut self, len: usize) {
        self.bytes[self.at..self.at + len].fill(0);
        self.at += len;
    }

    /// The next bytes become zeros that are kept.
    pub(super) fn blank(&mut self, len: usize) {
        self.hide(len);
        self.kept = self.at;
    }

    /// The next bytes are lines, of which the values that were asked for are masked.
    pub(super) fn lines(&mut self, line: &mut Line, part: Part, len: usize) {
        let bytes = &mut self.bytes[self.at..self.at + len];
        line.mask(&self.redaction.fields, part, bytes);
        self.show(len);
    }
}
