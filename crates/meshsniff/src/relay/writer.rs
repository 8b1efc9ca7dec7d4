//! The sending side of a relay.

use super::{End, FORMAT, Item, MAX_LINE, Progress};
use crate::escape::cut;
use crate::event::{Aggregate, Report, ReportEvent};
use crate::exchange::Exchange;
use crate::packet::FrameId;
use crate::statistics::routes::Routes;
use crate::statistics::tally;
use crate::time::Timestamp;
use std::borrow::Cow;
use std::io::{self, Write};

/// Bytes gathered before they are written, if nobody waits for them.
const BATCH: usize = 64 << 10;

/// Frames kept of a finding if the exchange does not fit a line: reports show the first few.
const MAX_FRAMES: usize = 64;
/// Bytes kept of a text in that case.
const MAX_TEXT: usize = 16 << 10;

/// A report that another program writes.
pub struct RelayWriter<W: Write> {
    out: W,
    buffer: Vec<u8>,
    /// The frame being analysed.
    current: Option<(FrameId, Timestamp)>,
    /// Whether a line named the frame.
    begun: bool,
    /// Whether anything was sent since the last frame ended.
    told: bool,
}

impl<W: Write> RelayWriter<W> {
    /// Creates a relay that writes its lines to `out`.
    pub fn new(out: W) -> Self {
        let mut buffer = Vec::with_capacity(BATCH);
        buffer.extend_from_slice(format!("{{\"Format\":{FORMAT}}}\n").as_bytes());
        Self {
            out,
            buffer,
            current: None,
            begun: false,
            told: false,
        }
    }

    /// Sends the progress at once.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn progress(&mut self, progress: &Progress) -> io::Result<()> {
        self.item(&Item::Progress(*progress))?;
        self.flush()
    }

    /// Sends recently aggregated exchanges by route, for a live view.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn recent(&mut self, routes: &Routes) -> io::Result<()> {
        let mut rows = routes.rows();
        rows.try_for_each(|row| self.item(&Item::Recent(row)))
    }

    /// Sends why the capture ended. It is the last line, after [`ReportEvent::Finish`].
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn end(&mut self, end: &End) -> io::Result<()> {
        self.item(&Item::End(Cow::Borrowed(end)))?;
        self.flush()
    }

    fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        let begin = self.buffer.len();
        // Only writers and maps with odd keys fail, and there are none.
        serde_json::to_writer(&mut self.buffer, item)?;
        if self.buffer.len() - begin > MAX_LINE {
            self.buffer.truncate(begin);
            return match item {
                Item::Exchange(exchange) => self.item(&Item::Exchange(shorter(exchange)?)),
                Item::Slow(exchange) => self.item(&Item::Slow(shorter(exchange)?)),
                _ => Err(too_long()),
            };
        }
        self.buffer.push(b'\n');
        if self.buffer.len() >= BATCH {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write()?;
        self.out.flush()
    }

    /// Names the frame of the lines that follow.
    fn begin(&mut self) -> io::Result<()> {
        self.told = true;
        match self.current {
            Some((frame, time)) if !self.begun => {
                self.begun = true;
                self.item(&Item::Begin(frame, time))
            }
            _ => Ok(()),
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> io::Result<()> {
        for part in aggregate.summary.parts() {
            self.item(&Item::Summary(part))?;
        }
        for row in aggregate.routes.rows() {
            self.item(&Item::Route(row))?;
        }
        self.item(&Item::Ranked(aggregate.ranked))?;
        for part in tally::parts(&aggregate.tallies) {
            self.item(&Item::Tally(part))?;
        }
        for exchange in &aggregate.slowest {
            self.item(&Item::Slow(Cow::Borrowed(exchange)))?;
        }
        Ok(())
    }
}

fn too_long() -> io::Error {
    io::Error::other("a line of the report is too long")
}

/// The exchange without what nobody shows in full.
///
/// # Errors
/// If that leaves nothing out.
fn shorter(exchange: &Exchange) -> io::Result<Cow<'static, Exchange>> {
    let mut shorter = exchange.clone();
    let mut left_out = false;
    for finding in &mut shorter.findings {
        left_out |= finding.frames.len() > MAX_FRAMES;
        finding.frames.truncate(MAX_FRAMES);
    }
    for text in [
        &mut shorter.method,
        &mut shorter.path,
        &mut shorter.authority,
        &mut shorter.request_id,
        &mut shorter.trace_id,
    ]
    .into_iter()
    .flatten()
    {
        if text.len() > MAX_TEXT {
            left_out = true;
            text.truncate(cut(text, MAX_TEXT).len());
        }
    }
    if left_out {
        Ok(Cow::Owned(shorter))
    } else {
        Err(too_long())
    }
}

impl<W: Write> Report for RelayWriter<W> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        match event {
            ReportEvent::Begin(frame, time) => {
                let first = self.current.is_none();
                self.current = Some((frame, time));
                self.begun = false;
                if first {
                    // Reports count time from here.
                    self.begin()?;
                }
                Ok(())
            }
            ReportEvent::Exchange(exchange) => {
                self.begin()?;
                self.item(&Item::Exchange(Cow::Borrowed(exchange)))
            }
            ReportEvent::Connection(connection) => {
                self.begin()?;
                self.item(&Item::Connection(Cow::Borrowed(connection)))
            }
            ReportEvent::Comment(frame, text) => {
                self.begin()?;
                self.item(&Item::Comment(frame, Cow::Borrowed(text)))
            }
            ReportEvent::Sources(sources) => self.item(&Item::Sources(Cow::Borrowed(sources))),
            ReportEvent::Aggregate(aggregate) => self.aggregate(aggregate),
            // They are evaluated where the relay is read, and the names are looked up there.
            ReportEvent::Assertions(_) | ReportEvent::Name(..) => Ok(()),
            // Of lost packets only the number is sent, at the end.
            ReportEvent::Lost(_) => Ok(()),
            ReportEvent::AfterFrame if !self.told => Ok(()),
            ReportEvent::AfterFrame => {
                self.told = false;
                self.item(&Item::After)?;
                self.flush()
            }
            ReportEvent::Finish(capture) => {
                self.item(&Item::Capture(Cow::Borrowed(capture)))?;
                self.flush()
            }
        }
    }
}
