//! Several captures as one, in the order of time.

use super::error::{OpenError, ReadError};
use super::input::{Input, SourceInfo};
use super::record::{Comment, Notes, UnsupportedFrames};
use super::source::Source;
use crate::packet::Frame;
use crate::protocol::tls::Keys;
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// One or more captures, read as one.
pub struct CaptureReader {
    sources: Vec<Source>,
    infos: Vec<SourceInfo>,
    notes: Notes,
    /// The next frame's time of every source that has one, but for the one in `current`.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// The source whose frame was handed out last.
    current: Option<usize>,
    errors: VecDeque<ReadError>,
    started: bool,
}

impl CaptureReader {
    /// Opens all captures and reads their headers. A stream is waited for until its header has
    /// come.
    ///
    /// # Errors
    /// If any of them cannot be opened, is empty, or is no capture that can be read.
    pub fn open(inputs: Vec<Input>) -> Result<Self, OpenError> {
        let count = inputs.len();
        let stdins = inputs.iter().filter(|input| matches!(input, Input::Stdin));
        if stdins.count() > 1 {
            return Err(OpenError::StdinTwice);
        }
        let mut reader = Self {
            sources: Vec::with_capacity(count),
            infos: Vec::with_capacity(count),
            notes: Notes::default(),
            heads: BinaryHeap::new(),
            current: None,
            errors: VecDeque::new(),
            started: false,
        };
        for (index, input) in inputs.into_iter().enumerate() {
            let index = u16::try_from(index).map_err(|_| OpenError::TooMany { count })?;
            let (source, info) = Source::open(index, input)?;
            reader.sources.push(source);
            reader.infos.push(info);
        }
        Ok(reader)
    }

    /// Gives the keys of TLS sessions that the captures hold (decryption secrets blocks) to `keys`.
    pub fn give_keys(&mut self, keys: Arc<Keys>) {
        self.notes.keys = Some(keys);
    }

    /// Returns the next frame, or the error that ends a source early, after which the other sources
    /// go on. `None` at the end.
    ///
    /// A single source keeps its own order. Several are merged by time, and by their order where
    /// times are the same; each of them keeps its own order, even where its times step back.
    #[allow(
        clippy::should_implement_trait,
        reason = "it lends the frame: no iterator can"
    )]
    #[inline]
    pub fn next(&mut self) -> Option<Result<Frame<'_>, ReadError>> {
        match self.step()? {
            Ok(()) => self.frame().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    /// Goes to the next frame, as [`CaptureReader::next`] does, without lending it.
    #[inline]
    pub(crate) fn step(&mut self) -> Option<Result<(), ReadError>> {
        let ([source], [info]) = (&mut self.sources[..], &mut self.infos[..]) else {
            return self.step_of_several();
        };
        // A single source keeps its own order: nothing is compared.
        let next = source.advance(info, &mut self.notes);
        self.current = matches!(next, Ok(Some(_))).then_some(0);
        next.map(|time| time.map(|_| ())).transpose()
    }

    fn step_of_several(&mut self) -> Option<Result<(), ReadError>> {
        if let Some(index) = self.current.take() {
            self.advance(index);
        } else if !self.started {
            self.started = true;
            for index in 0..self.sources.len() {
                self.advance(index);
            }
        }
        if let Some(error) = self.errors.pop_front() {
            return Some(Err(error));
        }
        let Reverse((_, index)) = self.heads.pop()?;
        self.current = Some(index);
        Some(Ok(()))
    }

    /// Returns the frame that the last step went to; `None` at the end and after an error.
    #[inline]
    pub(crate) fn frame(&self) -> Option<Frame<'_>> {
        self.sources[self.current?].frame()
    }

    /// The captures, in the order they were named.
    #[must_use]
    pub fn sources(&self) -> &[SourceInfo] {
        &self.infos
    }

    /// Frames that were lost while capturing: the sum over all interfaces of what their latest
    /// statistics say (dropped by the interface and by the system). `None` if no source says
    /// anything.
    ///
    /// Statistics count that stand before the frame that was handed out last.
    #[must_use]
    pub fn dropped(&self) -> Option<u64> {
        let known = self.sources.iter().filter_map(Source::dropped);
        known.reduce(u64::saturating_add)
    }

    /// Comments on frames read so far: the first 1,000.
    #[must_use]
    pub fn comments(&self) -> &[Comment] {
        &self.notes.comments
    }

    /// Comments beyond those that are kept.
    #[must_use]
    pub fn comments_left_out(&self) -> u64 {
        self.notes.comments_left_out
    }

    /// Names of addresses in the blocks read so far, in their order: each that was news, see
    /// [`Names::add`](crate::names::Names::add).
    #[must_use]
    pub fn names(&self) -> &[(IpAddr, String)] {
        &self.notes.names
    }

    /// Frames passed over because their interface's link type is not read, by link type.
    #[must_use]
    pub fn unsupported_frames(&self) -> Vec<UnsupportedFrames> {
        let counts = self.notes.unsupported.iter();
        counts
            .map(|(&link, &frames)| UnsupportedFrames { link, frames })
            .collect()
    }

    /// Bytes of all sources as they are stored, compressed ones compressed; `None` if one is a
    /// stream.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.sources.iter().map(Source::total_bytes).sum()
    }

    /// Bytes read so far, in the measure of [`CaptureReader::total_bytes`].
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.sources.iter().map(Source::bytes_read).sum()
    }

    #[inline]
    fn advance(&mut self, index: usize) {
        match self.sources[index].advance(&mut self.infos[index], &mut self.notes) {
            Ok(Some(time)) => self.heads.push(Reverse((time, index))),
            Ok(None) => {}
            Err(error) => self.errors.push_back(error),
        }
    }
}
