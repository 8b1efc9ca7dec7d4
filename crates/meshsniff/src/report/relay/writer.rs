//! The target's side.

use super::{End, FORMAT, Item, LONGEST_LINE, Progress};
use crate::analyzer::Sink;
use crate::exchange::{Connection, Exchange};
use crate::packet::FrameId;
use crate::report::assertion::{Outcome, tally};
use crate::report::folded::Folded;
use crate::report::routes::Routes;
use crate::report::{Capture, Report, Source};
use crate::time::Timestamp;
use std::borrow::Cow;
use std::io::{self, Write};

/// Bytes that are gathered before they are written, where nobody waits for them.
const BATCH: usize = 64 << 10;

/// Frames of a finding that are kept when an exchange does not fit a line: reports show the first few.
const FEW_FRAMES: usize = 64;
/// Bytes of a text that are kept then.
const SHORT_TEXT: usize = 16 << 10;

/// A report that is written somewhere else.
pub struct RelayWriter<W: Write> {
    out: W,
    buffer: Vec<u8>,
    /// The frame being analysed.
    current: Option<(FrameId, Timestamp)>,
    /// Whether it was told.
    begun: bool,
    /// Whether something was told since the last frame ended.
    told: bool,
    error: Option<io::Error>,
}

impl<W: Write> RelayWriter<W> {
    /// A relay that writes its lines to `out`.
    pub fn new(out: W) -> Self {
        let mut relay = Self {
            out,
            buffer: Vec::with_capacity(BATCH),
            current: None,
            begun: false,
            told: false,
            error: None,
        };
        relay.item(&Item::Format(FORMAT));
        relay
    }

    /// Tells how it stands, at once.
    pub fn progress(&mut self, progress: &Progress) {
        self.item(&Item::Progress(*progress));
        self.flush();
    }

    /// Tells what was folded lately, for those who watch.
    pub fn recent(&mut self, routes: &Routes) {
        for row in routes.rows() {
            self.item(&Item::Recent(row));
        }
    }

    /// Tells why it ended: the last line, after [`Report::finish`].
    ///
    /// # Errors
    /// If it could not be written, or something before it could not.
    pub fn end(&mut self, end: &End) -> io::Result<()> {
        self.item(&Item::End(Cow::Borrowed(end)));
        self.flush();
        self.error.take().map_or(Ok(()), Err)
    }

    fn item(&mut self, item: &Item<'_>) {
        let begin = self.buffer.len();
        // Only a writer fails, or a map whose keys are no text: neither is here.
        if let Err(error) = serde_json::to_writer(&mut self.buffer, item) {
            self.buffer.truncate(begin);
            self.error.get_or_insert(error.into());
            return;
        }
        if self.buffer.len() - begin > LONGEST_LINE {
            self.buffer.truncate(begin);
            if let Item::Exchange(exchange) | Item::Slow(exchange) = item
                && let Some(shorter) = shorter(exchange)
            {
                return match item {
                    Item::Slow(_) => self.item(&Item::Slow(Cow::Owned(shorter))),
                    _ => self.item(&Item::Exchange(Cow::Owned(shorter))),
                };
            }
            self.error
                .get_or_insert_with(|| io::Error::other("a line of the report is too long"));
            return;
        }
        self.buffer.push(b'\n');
        if self.buffer.len() >= BATCH {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.error.is_none()
            && let Err(error) = self.out.write_all(&self.buffer)
        {
            self.error = Some(error);
        }
        self.buffer.clear();
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.write();
        }
        if let Err(error) = self.out.flush() {
            self.error.get_or_insert(error);
        }
    }

    /// What follows is of the current frame.
    fn begin_told(&mut self) {
        if let Some((frame, time)) = self.current
            && !self.begun
        {
            self.begun = true;
            self.item(&Item::Begin(frame, time));
        }
        self.told = true;
    }
}

/// The exchange without what nobody shows in full; `None` if that leaves nothing out.
fn shorter(exchange: &Exchange) -> Option<Exchange> {
    let mut shorter = exchange.clone();
    let mut left_out = false;
    for finding in &mut shorter.findings {
        left_out |= finding.frames.len() > FEW_FRAMES;
        finding.frames.truncate(FEW_FRAMES);
    }
    for text in [
        &mut shorter.method,
        &mut shorter.path,
        &mut shorter.authority,
        &mut shorter.request_id,
    ]
    .into_iter()
    .flatten()
    {
        if text.len() > SHORT_TEXT {
            left_out = true;
            let mut end = SHORT_TEXT;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
    }
    left_out.then_some(shorter)
}

impl<W: Write> Sink for RelayWriter<W> {
    fn exchange(&mut self, exchange: &Exchange) {
        self.begin_told();
        self.item(&Item::Exchange(Cow::Borrowed(exchange)));
    }

    fn connection(&mut self, connection: &Connection) {
        self.begin_told();
        self.item(&Item::Connection(Cow::Borrowed(connection)));
    }
}

impl<W: Write> Report for RelayWriter<W> {
    fn begin(&mut self, frame: FrameId, time: Timestamp) {
        let first = self.current.is_none();
        self.current = Some((frame, time));
        self.begun = false;
        if first {
            // Reports count time from here.
            self.begin_told();
        }
    }

    fn comment(&mut self, frame: FrameId, text: &str) {
        self.begin_told();
        self.item(&Item::Comment(frame, Cow::Borrowed(text)));
    }

    fn sources(&mut self, sources: &[Source]) {
        self.item(&Item::Sources(Cow::Borrowed(sources)));
    }

    fn folded(&mut self, folded: &Folded) {
        for part in folded.summary.parts() {
            self.item(&Item::Summary(part));
        }
        for row in folded.routes.rows() {
            self.item(&Item::Route(row));
        }
        self.item(&Item::Ranked(folded.ranked));
        for part in tally::parts(&folded.tallies) {
            self.item(&Item::Tally(part));
        }
        for exchange in &folded.slowest {
            self.item(&Item::Slow(Cow::Borrowed(exchange)));
        }
    }

    /// They are held against what was told and folded where the relay is read.
    fn assertions(&mut self, _outcomes: &[Outcome]) {}

    fn after_frame(&mut self) -> io::Result<()> {
        if self.told {
            self.told = false;
            self.item(&Item::After);
            self.flush();
        }
        self.error.take().map_or(Ok(()), Err)
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        self.item(&Item::Capture(Cow::Borrowed(capture)));
        self.flush();
        self.error.take().map_or(Ok(()), Err)
    }
}
