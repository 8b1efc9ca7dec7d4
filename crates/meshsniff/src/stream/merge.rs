//! Several agents' streams as one: what a file or Wireshark gets.
//!
//! Packets stand in the order of arrival, which between two nodes is neither that of their times
//! nor always the same.

use super::reader::{End, Event};
use crate::pcapng::blocks::{self, Interface, Section, Statistics};
use crate::time::Timestamp;
use std::io::{self, Write};
use std::net::IpAddr;

/// Bytes gathered for one write.
const BATCH: usize = 256 << 10;

/// Number of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamNumber(usize);

/// Writer of streams as one, in one section. Nothing is sure to have left before [`Merger::flush`].
#[derive(Debug)]
pub struct Merger<W> {
    out: W,
    batch: Vec<u8>,
    streams: Vec<Stream>,
    interfaces: Vec<Known>,
    finished: bool,
}

#[derive(Debug)]
struct Stream {
    prefix: String,
    /// Numbers of its interfaces in the merged stream.
    interfaces: Vec<u32>,
}

/// State of an interface that was written.
#[derive(Debug, Default)]
struct Known {
    packets: u64,
    last: Timestamp,
    statistics: Option<((Timestamp, Timestamp), Statistics)>,
}

impl<W: Write> Merger<W> {
    /// Writes the section header, which leaves at once: a viewer waits for it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(out: W, section: &Section<'_>) -> io::Result<Self> {
        let mut merger = Self {
            out,
            batch: Vec::with_capacity(BATCH + blocks::MAX_BLOCK),
            streams: Vec::new(),
            interfaces: Vec::new(),
            finished: false,
        };
        blocks::section(&mut merger.batch, section);
        merger.flush()?;
        Ok(merger)
    }

    /// Adds a stream. Its interfaces' names get `prefix` and a blank before them, unless it is
    /// empty.
    pub fn add_stream(&mut self, prefix: &str) -> StreamNumber {
        let prefix = match prefix {
            "" => String::new(),
            some => format!("{some} "),
        };
        self.streams.push(Stream {
            prefix,
            interfaces: Vec::new(),
        });
        StreamNumber(self.streams.len() - 1)
    }

    /// Writes an event of a stream: interfaces, packets and statistics, but not its header and its
    /// end.
    ///
    /// # Errors
    /// If it cannot be written, or is of an interface that the stream has not described.
    #[inline]
    pub fn write(&mut self, stream: StreamNumber, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Packet {
                interface,
                time,
                wire_len,
                data,
                direction,
            } => {
                let (number, known) = self.known(stream, *interface)?;
                known.packets += 1;
                known.last = known.last.max(*time);
                let batch = &mut self.batch;
                blocks::packet(batch, number, *time, *wire_len, data, *direction);
            }
            Event::Statistics {
                interface,
                times,
                statistics,
                ..
            } => {
                let (number, known) = self.known(stream, *interface)?;
                known.statistics = Some((*times, *statistics));
                blocks::statistics(&mut self.batch, number, *times, statistics, "");
            }
            Event::Interface(interface) => self.describe(stream, interface)?,
            Event::Section(_) => {}
        }
        if self.batch.len() >= BATCH {
            self.write_batch()?;
        }
        Ok(())
    }

    #[inline]
    fn known(&mut self, stream: StreamNumber, interface: u32) -> io::Result<(u32, &mut Known)> {
        let number = self.streams.get(stream.0);
        let number = number.and_then(|stream| stream.interfaces.get(interface as usize).copied());
        let number = number.ok_or_else(undescribed)?;
        let known = self.interfaces.get_mut(number as usize);
        Ok((number, known.ok_or_else(undescribed)?))
    }

    fn describe(&mut self, stream: StreamNumber, interface: &Interface<'_>) -> io::Result<()> {
        let number = u32::try_from(self.interfaces.len()).map_err(|_| undescribed())?;
        let stream = self.streams.get_mut(stream.0).ok_or_else(undescribed)?;
        let interface = Interface {
            name: &format!("{}{}", stream.prefix, interface.name),
            ..interface.clone()
        };
        blocks::interface(&mut self.batch, &interface);
        stream.interfaces.push(number);
        self.interfaces.push(Known::default());
        Ok(())
    }

    /// Writes which names addresses have, for readers that resolve with them. After the end they
    /// come too late: nothing stands behind the last block.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn names(&mut self, names: &[(IpAddr, Vec<String>)]) -> io::Result<()> {
        if self.finished {
            return Ok(());
        }
        blocks::names(&mut self.batch, names);
        self.write_batch()
    }

    /// Writes that the capture is whole and why it ends, in the words of a single stream. Without
    /// an interface there is no block for that.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&mut self, end: &End) -> io::Result<()> {
        self.finished = true;
        let told = self.interfaces.iter().rposition(|k| k.statistics.is_some());
        let number = told.or(self.interfaces.len().checked_sub(1));
        if let Some((number, known)) = number.and_then(|n| Some((n, self.interfaces.get(n)?))) {
            // An agent that was cut off early has told nothing: then what was written counts.
            let (times, statistics) = known.statistics.unwrap_or_else(|| {
                let written = Statistics {
                    received: known.packets,
                    delivered: known.packets,
                    ..Statistics::default()
                };
                ((known.last, known.last), written)
            });
            let comment = format!("{}{}: {}", blocks::END, end.reason, end.sentence);
            blocks::statistics(&mut self.batch, number as u32, times, &statistics, &comment);
        }
        self.flush()
    }

    /// Sends everything that was written.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_batch()?;
        self.out.flush()
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.batch);
        self.batch.clear();
        written
    }

    /// The writer underneath.
    #[must_use]
    pub fn get_ref(&self) -> &W {
        &self.out
    }
}

fn undescribed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "a packet is of an interface that its stream has not described",
    )
}
