//! One agent's stream, read block by block.
//!
//! Trusts nothing: whoever is in the target, or in its node's agent, can put any bytes here. Only
//! what the agent writes is accepted: little-endian, one section, nanoseconds, four types of block.
//! A length is checked before room is made for it, memory does not grow with the stream, and the
//! work for a block is bounded by its length. Texts are cut to what the agent writes at most, but
//! not escaped: whoever shows them escapes them.

use crate::compression::{Compression, MAGIC_LEN, Zstd};
use crate::pcapng::blocks::{self, Direction, MAX_BLOCK, MAX_DATA, MAX_TEXT, Statistics};
use crate::pcapng::options::{self, Options};
use crate::pcapng::{
    BLOCK_HEAD, ByteOrder, ENHANCED_PACKET, INTERFACE_DESCRIPTION, INTERFACE_OPTIONS,
    INTERFACE_STATISTICS, PACKET_DATA, SECTION_HEADER, SECTION_OPTIONS, STATISTICS_OPTIONS,
    TRAILER, shortened,
};
use crate::time::Timestamp;
use std::io::{self, Chain, Cursor, ErrorKind, Read};
use std::mem;
use std::ops::Range;
use thiserror::Error;

/// Most interfaces of one stream.
pub const MAX_INTERFACES: u32 = 256;

/// Most bytes of the name of a reason to end.
const MAX_REASON: usize = 64;

/// Largest window of a compressed stream, and so what is kept of each: four times that of the
/// agent's level.
const MAX_WINDOW: u64 = 2 << 20;

/// Largest size of the buffer: a block that has begun to come, and one more.
const BUFFER: usize = MAX_BLOCK * 2;

/// First size of the buffer. It doubles whenever it was filled: most pods say little.
const FIRST: usize = 16 << 10;

/// Least lengths of blocks without options.
const MIN_SECTION: usize = SECTION_OPTIONS + TRAILER;
const MIN_INTERFACE: usize = INTERFACE_OPTIONS + TRAILER;
const MIN_STATISTICS: usize = STATISTICS_OPTIONS + TRAILER;
const MIN_PACKET: usize = PACKET_DATA + TRAILER;

/// A stream that cannot be read on. What came before was handed out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The connection, or the decompressor, failed.
    #[error("the agent's stream cannot be read on: {0}; try again")]
    Read(#[source] io::Error),
    /// It does not begin as the agent's stream does.
    #[error(
        "what comes is not the agent's stream: check that the agent's image is meshsniff's, of \
         version {}",
        VERSION
    )]
    NotAStream,
    /// A length that no block of the agent has.
    #[error(
        "after packet {packets}, a block of {length} bytes comes, which the agent does not write: \
         {}",
        NEXT
    )]
    Length {
        /// Packets that came before.
        packets: u64,
        /// The length that the block claims.
        length: u32,
    },
    /// A block of a type that the agent does not write.
    #[error(
        "after packet {packets}, a block of type {kind} comes, which the agent does not write: {}",
        NEXT
    )]
    Kind {
        /// Packets that came before.
        packets: u64,
        /// The type.
        kind: u32,
    },
    /// A block that contradicts itself, or what came before.
    #[error(
        "the agent's stream is damaged after packet {packets}: {what}; {}",
        NEXT
    )]
    Malformed {
        /// Packets that came before.
        packets: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// More interfaces than are kept.
    #[error(
        "the target has more than {MAX_INTERFACES} interfaces: name those to capture on with \
         --interface"
    )]
    TooManyInterfaces,
    /// Something came after the block that says that nothing will.
    #[error("the agent's stream goes on after its end: {}", NEXT)]
    AfterEnd,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const NEXT: &str = concat!(
    "use an agent's image of this version, ",
    env!("CARGO_PKG_VERSION")
);

/// Why a stream ended, as its last block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The reason's name, such as `stop`: lower-case letters, digits and hyphens.
    pub reason: String,
    /// The same as a sentence.
    pub sentence: String,
}

impl End {
    /// Parses the comment of a last block; `None` of any other comment.
    ///
    /// # Errors
    /// If the reason has no name.
    fn of(comment: &str) -> Result<Option<Self>, &'static str> {
        let Some(end) = comment.strip_prefix(blocks::END) else {
            return Ok(None);
        };
        let (reason, sentence) = end.split_once(": ").unwrap_or((end, ""));
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if reason.is_empty() || reason.len() > MAX_REASON || !reason.bytes().all(named) {
            return Err("its end gives no reason");
        }
        Ok(Some(Self {
            reason: reason.to_owned(),
            sentence: sentence.to_owned(),
        }))
    }
}

/// Content of a block.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The stream begins.
    Section(blocks::Section<'a>),
    /// The next interface, numbered from 0.
    Interface(blocks::Interface<'a>),
    /// A packet.
    Packet {
        /// The interface's number: it was described.
        interface: u32,
        /// When it was captured; the nearest there is, beyond the year 2262.
        time: Timestamp,
        /// Its length on the wire, of which `data` may be only the beginning.
        wire_len: u32,
        /// What was kept of it.
        data: &'a [u8],
        /// Which way it went.
        direction: Direction,
    },
    /// What became of an interface's packets so far.
    Statistics {
        /// The interface's number: it was described.
        interface: u32,
        /// From when until when.
        times: (Timestamp, Timestamp),
        /// The counts, 0 where one is not told.
        statistics: Statistics,
        /// Set on the last block: the stream is whole.
        end: Option<&'a End>,
    },
}

/// A sound block, before its contents are borrowed.
enum Block {
    Section,
    Interface {
        link_type: u16,
        snaplen: u32,
    },
    Packet {
        interface: u32,
        time: Timestamp,
        wire_len: u32,
        data: Range<usize>,
        direction: Direction,
    },
    Statistics {
        interface: u32,
        times: (Timestamp, Timestamp),
        statistics: Statistics,
    },
}

/// Texts of the last block that has any.
#[derive(Default)]
struct Texts {
    comment: String,
    hardware: String,
    os: String,
    application: String,
    name: String,
    description: String,
    filter: String,
}

/// Source of bytes.
enum Input<R> {
    /// Its first bytes are still to be looked at.
    New(R),
    Plain(R),
    Packed(Box<Zstd<Chain<Cursor<Vec<u8>>, R>>>),
    Ended,
}

/// Reader of the stream of one agent.
pub struct StreamReader<R> {
    input: Input<R>,
    /// `buffer[start..end]` was read and is still in use.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Length of the block that was handed out last.
    taken: usize,
    texts: Texts,
    began: bool,
    interfaces: u32,
    packets: u64,
    trailer: Option<End>,
    finished: bool,
}

impl<R: Read> StreamReader<R> {
    /// Reads the stream that `read` gives, compressed with zstd or not.
    #[must_use]
    pub fn new(read: R) -> Self {
        Self {
            input: Input::New(read),
            buffer: vec![0; FIRST],
            start: 0,
            end: 0,
            taken: 0,
            texts: Texts::default(),
            began: false,
            interfaces: 0,
            packets: 0,
            trailer: None,
            finished: false,
        }
    }

    /// Returns the next event; `None` at the end of the bytes. The stream was cut unless
    /// [`StreamReader::end`] then says why it ended. After an error, nothing comes.
    ///
    /// # Errors
    /// If the next block is none of the agent's, or cannot be read.
    #[allow(
        clippy::should_implement_trait,
        reason = "it lends the event: no iterator can"
    )]
    #[inline]
    pub fn next(&mut self) -> Option<Result<Event<'_>, StreamError>> {
        if self.finished {
            return None;
        }
        match self.advance() {
            Ok(Some(block)) => Some(Ok(self.event(block))),
            Ok(None) => {
                self.close();
                None
            }
            Err(error) => {
                self.close();
                // Whatever said it was the end, was not.
                self.trailer = None;
                Some(Err(error))
            }
        }
    }

    /// Returns why the stream ended, once its last block was read and nothing wrong came after it.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.trailer.as_ref()
    }

    /// Whether [`StreamReader::next`] has a block without waiting. Flush what was made of the
    /// stream before it waits.
    #[must_use]
    pub fn has_next(&self) -> bool {
        let rest = &self.buffer[self.start + self.taken..self.end];
        self.finished
            || rest.len() >= BLOCK_HEAD && rest.len() >= (u32_at(rest, 4) as usize).min(MAX_BLOCK)
    }

    /// Packets read so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    fn close(&mut self) {
        self.finished = true;
        self.input = Input::Ended;
    }

    fn malformed(&self, what: &'static str) -> StreamError {
        StreamError::Malformed {
            packets: self.packets,
            what,
        }
    }

    /// The next block, checked; `None` at the end, be it in the middle of a block.
    #[inline]
    fn advance(&mut self) -> Result<Option<Block>, StreamError> {
        self.start += mem::take(&mut self.taken);
        if !self.has(BLOCK_HEAD)? {
            return match self.trailer.is_some() && self.start < self.end {
                true => Err(StreamError::AfterEnd),
                false => Ok(None),
            };
        }
        if self.trailer.is_some() {
            return Err(StreamError::AfterEnd);
        }
        let head = &self.buffer[self.start..self.end];
        let (kind, length) = (u32_at(head, 0), u32_at(head, 4));
        if !self.began && kind != SECTION_HEADER {
            return Err(StreamError::NotAStream);
        }
        let least = match kind {
            ENHANCED_PACKET => MIN_PACKET,
            INTERFACE_STATISTICS => MIN_STATISTICS,
            INTERFACE_DESCRIPTION => MIN_INTERFACE,
            SECTION_HEADER => MIN_SECTION,
            kind => {
                let packets = self.packets;
                return Err(StreamError::Kind { packets, kind });
            }
        };
        let size = length as usize;
        if size < least || size > MAX_BLOCK || !size.is_multiple_of(4) {
            // Of a big-endian section the length looks like this, too.
            if !self.began {
                return Err(StreamError::NotAStream);
            }
            let packets = self.packets;
            return Err(StreamError::Length { packets, length });
        }
        if !self.has(size)? {
            return Ok(None);
        }
        if u32_at(&self.buffer[self.start..self.end], size - 4) != length {
            return Err(self.malformed("a block's two lengths differ"));
        }
        self.taken = size;
        match kind {
            ENHANCED_PACKET => self.packet(size),
            INTERFACE_STATISTICS => self.statistics(size),
            INTERFACE_DESCRIPTION => self.interface(size),
            _ => self.section(size),
        }
        .map(Some)
    }

    #[inline]
    fn event(&self, block: Block) -> Event<'_> {
        let texts = &self.texts;
        match block {
            Block::Packet {
                interface,
                time,
                wire_len,
                data,
                direction,
            } => Event::Packet {
                interface,
                time,
                wire_len,
                data: &self.buffer[data],
                direction,
            },
            Block::Statistics {
                interface,
                times,
                statistics,
            } => Event::Statistics {
                interface,
                times,
                statistics,
                end: self.trailer.as_ref(),
            },
            Block::Interface { link_type, snaplen } => Event::Interface(blocks::Interface {
                link_type,
                snaplen,
                name: &texts.name,
                description: &texts.description,
                filter: &texts.filter,
            }),
            Block::Section => Event::Section(blocks::Section {
                application: &texts.application,
                os: &texts.os,
                hardware: &texts.hardware,
                comment: &texts.comment,
            }),
        }
    }

    fn section(&mut self, size: usize) -> Result<Block, StreamError> {
        if self.began {
            return Err(self.malformed("another section begins"));
        }
        let block = &self.buffer[self.start..self.start + size];
        if ByteOrder::of_section(block) != Some(ByteOrder::Little)
            || ByteOrder::Little.u16_at(block, 12) != 1
        {
            return Err(StreamError::NotAStream);
        }
        let mut texts = Texts::default();
        for option in Options::of(block, SECTION_OPTIONS, ByteOrder::Little) {
            let (code, value) = option.map_err(|what| self.malformed(what))?;
            match code {
                options::COMMENT => texts.comment.say(value),
                options::SHB_HARDWARE => texts.hardware.say(value),
                options::SHB_OS => texts.os.say(value),
                options::SHB_USERAPPL => texts.application.say(value),
                _ => {}
            }
        }
        self.texts = texts;
        self.began = true;
        Ok(Block::Section)
    }

    fn interface(&mut self, size: usize) -> Result<Block, StreamError> {
        if self.interfaces == MAX_INTERFACES {
            return Err(StreamError::TooManyInterfaces);
        }
        let block = &self.buffer[self.start..self.start + size];
        let (link_type, snaplen) = (ByteOrder::Little.u16_at(block, 8), u32_at(block, 12));
        let mut texts = Texts::default();
        let mut nanoseconds = None;
        let mut moved = false;
        for option in Options::of(block, INTERFACE_OPTIONS, ByteOrder::Little) {
            let (code, value) = option.map_err(|what| self.malformed(what))?;
            match code {
                options::IF_NAME => texts.name.say(value),
                options::IF_DESCRIPTION => texts.description.say(value),
                options::IF_FILTER => {
                    // 0: a libpcap expression. Others are for programs.
                    if let [0, expression @ ..] = value {
                        texts.filter.say(expression);
                    }
                }
                options::IF_TSRESOL => {
                    let these = *value == [blocks::NANOSECONDS];
                    nanoseconds = Some(these && nanoseconds.unwrap_or(true));
                }
                options::IF_TSOFFSET => moved = true,
                _ => {}
            }
        }
        if nanoseconds != Some(true) || moved {
            return Err(self.malformed("an interface's times are not in nanoseconds since 1970"));
        }
        self.texts = texts;
        self.interfaces += 1;
        Ok(Block::Interface { link_type, snaplen })
    }

    #[inline]
    fn packet(&mut self, size: usize) -> Result<Block, StreamError> {
        let block = &self.buffer[self.start..self.start + size];
        let interface = u32_at(block, 8);
        let captured = u32_at(block, 20) as usize;
        if interface >= self.interfaces {
            return Err(self.malformed("a packet is of an interface that was not described"));
        }
        if captured > MAX_DATA || captured.next_multiple_of(4) > size - MIN_PACKET {
            return Err(self.malformed("a packet is longer than its block"));
        }
        let options = PACKET_DATA + captured.next_multiple_of(4);
        let mut direction = Direction::Unknown;
        if options < size - 4 {
            direction = way(&block[options..size - 4]).map_err(|what| self.malformed(what))?;
        }
        self.packets += 1;
        let data = self.start + PACKET_DATA;
        Ok(Block::Packet {
            interface,
            time: time_at(block, 12),
            wire_len: u32_at(block, 24).max(captured as u32),
            data: data..data + captured,
            direction,
        })
    }

    fn statistics(&mut self, size: usize) -> Result<Block, StreamError> {
        let block = &self.buffer[self.start..self.start + size];
        let interface = u32_at(block, 8);
        if interface >= self.interfaces {
            return Err(self.malformed("statistics are of an interface that was not described"));
        }
        let now = time_at(block, 12);
        let mut times = (now, now);
        let mut statistics = Statistics::default();
        let mut comment = String::new();
        for option in Options::of(block, STATISTICS_OPTIONS, ByteOrder::Little) {
            let (code, value) = option.map_err(|what| self.malformed(what))?;
            let time = |out: &mut Timestamp| {
                let value = value.first_chunk::<8>()?;
                *out = time_at(value, 0);
                Some(())
            };
            let count = |out: &mut u64| {
                *out = u64::from_le_bytes(*value.first_chunk()?);
                Some(())
            };
            let known = match code {
                options::COMMENT => {
                    comment.say(value);
                    Some(())
                }
                options::ISB_STARTTIME => time(&mut times.0),
                options::ISB_ENDTIME => time(&mut times.1),
                options::ISB_IFRECV => count(&mut statistics.received),
                options::ISB_IFDROP => count(&mut statistics.queue_dropped),
                options::ISB_OSDROP => count(&mut statistics.kernel_dropped),
                options::ISB_USRDELIV => count(&mut statistics.delivered),
                _ => Some(()),
            };
            known.ok_or_else(|| self.malformed("a number of statistics is too short"))?;
        }
        self.trailer = End::of(&comment).map_err(|what| self.malformed(what))?;
        Ok(Block::Statistics {
            interface,
            times,
            statistics,
        })
    }

    /// Waits for `least` bytes, at most [`MAX_BLOCK`]; false at the end.
    #[inline]
    fn has(&mut self, least: usize) -> Result<bool, StreamError> {
        if self.end - self.start >= least {
            return Ok(true);
        }
        self.fill(least)
    }

    #[cold]
    fn fill(&mut self, least: usize) -> Result<bool, StreamError> {
        let size = self.buffer.len();
        if self.start + least > size || self.start == self.end {
            let filled = self.end == size;
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if size < BUFFER && (filled || least > size) {
                let size = (size * 2).max(least.next_power_of_two());
                self.buffer.resize(size.min(BUFFER), 0);
            }
        }
        while self.end - self.start < least {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A frame of zstd, or a connection, that ended in the middle: as cut as any other
                // stream.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(StreamError::Read(error)),
            }
        }
        Ok(true)
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self {
                Self::Plain(read) => return read.read(out),
                Self::Packed(read) => return read.read(out),
                Self::Ended => return Ok(0),
                Self::New(_) => {}
            }
            let Self::New(mut read) = mem::replace(self, Self::Ended) else {
                continue;
            };
            let mut first = Vec::with_capacity(MAGIC_LEN);
            (&mut read).take(MAGIC_LEN as u64).read_to_end(&mut first)?;
            if Compression::of(&first) == Some(Compression::Zstd) {
                let packed = Cursor::new(first).chain(read);
                *self = Self::Packed(Box::new(Zstd::new(packed, MAX_WINDOW)));
                continue;
            }
            *self = Self::Plain(read);
            out[..first.len()].copy_from_slice(&first);
            return Ok(first.len());
        }
    }
}

/// Texts of which the first one counts.
trait Say {
    fn say(&mut self, text: &[u8]);
}

impl Say for String {
    fn say(&mut self, text: &[u8]) {
        if self.is_empty() {
            *self = shortened(text, MAX_TEXT);
        }
    }
}

/// Finds the direction among a packet's options.
#[inline]
fn way(options: &[u8]) -> Result<Direction, &'static str> {
    // As the agent writes them.
    match *options {
        [2, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0] => Ok(Direction::Inbound),
        [2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0] => Ok(Direction::Outbound),
        _ => any_way(options),
    }
}

#[cold]
fn any_way(options: &[u8]) -> Result<Direction, &'static str> {
    let mut direction = Direction::Unknown;
    for option in Options::new(options, ByteOrder::Little) {
        if let (options::EPB_FLAGS, [flags, ..]) = option? {
            direction = match flags & 3 {
                1 => Direction::Inbound,
                2 => Direction::Outbound,
                _ => Direction::Unknown,
            };
        }
    }
    Ok(direction)
}

/// Reads a time of two halves, the upper one first.
#[inline]
fn time_at(bytes: &[u8], at: usize) -> Timestamp {
    let nanos = u64::from(u32_at(bytes, at)) << 32 | u64::from(u32_at(bytes, at + 4));
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    ByteOrder::Little.u32_at(bytes, at)
}
