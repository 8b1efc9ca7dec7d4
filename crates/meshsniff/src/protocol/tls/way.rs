//! One direction's records, put together from whatever pieces they come in, with the frames that
//! carried them.

use super::record::{self, HEADER, MAX_RECORD};
use crate::packet::Mark;
use crate::tcp::{Doubt, Extent, Missing, Offset, Run};

/// Bytes that a mark takes.
const MARK: usize = size_of::<(usize, Mark)>();

/// A record that is put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) header: [u8; HEADER],
    pub(super) content: Vec<u8>,
    /// Where it begins.
    pub(super) from: Option<Offset>,
    /// Where in the content each frame's part begins, and the frame.
    pub(super) marks: Vec<(usize, Mark)>,
    /// The first frame.
    pub(super) first: Mark,
    /// Why bytes of it are missing.
    pub(super) hole: Option<Doubt>,
    /// Bytes of the header that have come.
    read: usize,
}

/// What comes of bytes.
#[derive(Debug)]
pub(super) enum Taken {
    /// A record, of which all has come, or is known to be missing.
    Record(Record),
    /// Bytes in which no record can be told.
    Skipped(Extent, Mark),
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Way {
    record: Record,
    /// Whether a packet that begins with a record is looked for.
    lost: bool,
    /// One past the last byte that was taken.
    upto: Option<Offset>,
    /// A buffer that was used before.
    spare: Vec<u8>,
}

impl Record {
    pub(super) const fn kind(&self) -> u8 {
        self.header[0]
    }

    fn length(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[3], self.header[4]]))
    }

    fn has_header(&self) -> bool {
        self.read == HEADER
    }

    fn is_whole(&self) -> bool {
        self.has_header() && self.content.len() == self.length()
    }

    /// Bytes that it takes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.content.capacity() + self.marks.capacity() * MARK
    }

    /// Where it lies, as far as it has come.
    pub(super) fn extent(&self) -> Extent {
        let from = self.from.unwrap_or(Offset::ORIGIN);
        Extent::new(from, (self.read + self.content.len()) as u64)
    }

    /// The last frame.
    pub(super) fn last(&self) -> Mark {
        self.marks.last().map_or(self.first, |(_, mark)| *mark)
    }
}

impl Way {
    /// Takes of the run what belongs to the next record.
    pub(super) fn take(&mut self, run: &mut Run<'_>) -> Option<Taken> {
        self.upto = Some(run.from + run.bytes.len() as u64);
        if self.lost {
            let begins = run.segment_start
                && matches!(run.bytes, [record::CHANGE_CIPHER..=record::DATA, 3, 1..=4, high, low, ..]
                    if usize::from(u16::from_be_bytes([*high, *low])) <= MAX_RECORD);
            if !begins {
                return self.skip(run);
            }
            self.lost = false;
        }
        while !run.bytes.is_empty() {
            let record = &mut self.record;
            if record.from.is_none() {
                record.from = Some(run.from);
                record.first = run.mark;
            }
            if !record.has_header() {
                let taken = run.bytes.len().min(HEADER - record.read);
                record.header[record.read..][..taken].copy_from_slice(&run.bytes[..taken]);
                record.read += taken;
                advance(run, taken);
                if record.has_header() && !plausible(record) {
                    self.lost = true;
                    let record = std::mem::take(&mut self.record);
                    return Some(Taken::Skipped(record.extent(), record.first));
                }
            } else {
                let taken = run.bytes.len().min(record.length() - record.content.len());
                if record
                    .marks
                    .last()
                    .is_none_or(|(_, mark)| *mark != run.mark)
                {
                    record.marks.push((record.content.len(), run.mark));
                }
                record.content.extend_from_slice(&run.bytes[..taken]);
                advance(run, taken);
            }
            if let Some(taken) = self.end() {
                return Some(taken);
            }
        }
        None
    }

    fn skip(&mut self, run: &mut Run<'_>) -> Option<Taken> {
        if run.bytes.is_empty() {
            return None;
        }
        let extent = Extent::new(run.from, run.bytes.len() as u64);
        advance(run, run.bytes.len());
        Some(Taken::Skipped(extent, run.mark))
    }

    fn end(&mut self) -> Option<Taken> {
        self.record.is_whole().then(|| {
            let next = Record {
                content: std::mem::take(&mut self.spare),
                ..Record::default()
            };
            Taken::Record(std::mem::replace(&mut self.record, next))
        })
    }

    /// Bytes are missing. Where they are not all of one record no boundary is known any more: what is
    /// to be told of is then longer.
    pub(super) fn miss(&mut self, missing: &Missing) -> Result<Option<Taken>, Extent> {
        let count = missing.extent.len();
        let record = &mut self.record;
        let left = record.length().saturating_sub(record.content.len()) as u64;
        if !self.lost && record.has_header() && count <= left {
            record.hole = Some(missing.why);
            let upto = record.content.len() + count as usize;
            record.content.resize(upto, 0);
            return Ok(self.end());
        }
        self.lost = true;
        let begun = std::mem::take(&mut self.record);
        Err(Extent {
            from: begun.from.unwrap_or(missing.extent.from),
            upto: missing.extent.upto,
        })
    }

    /// A record that was found did not turn out to be one.
    pub(super) const fn lose(&mut self) {
        self.lost = true;
    }

    /// A record's buffer, for the next one.
    pub(super) fn give_back(&mut self, mut content: Vec<u8>) {
        content.clear();
        if self.record.content.capacity() == 0 && self.record.content.is_empty() {
            self.record.content = content;
        } else {
            self.spare = content;
        }
    }

    /// One past the last byte that was taken.
    pub(super) fn place(&self) -> Offset {
        self.upto.unwrap_or(Offset::ORIGIN)
    }

    /// The record that has begun, if it has.
    pub(super) fn leave(&mut self) -> Option<Record> {
        let record = std::mem::take(&mut self.record);
        record.from.is_some().then_some(record)
    }

    /// Bytes that the record still lacks.
    pub(super) fn remaining(&self) -> Option<u64> {
        let record = &self.record;
        let inside = record.has_header() && !self.lost;
        inside.then(|| (record.length() - record.content.len()) as u64)
    }

    /// Bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        self.record.content.capacity() + self.spare.capacity() + self.record.marks.capacity() * MARK
    }
}

fn plausible(record: &Record) -> bool {
    (record::CHANGE_CIPHER..=record::DATA + 1).contains(&record.kind())
        && record.header[1] == 3
        && record.length() <= MAX_RECORD
}

fn advance(run: &mut Run<'_>, count: usize) {
    run.from = run.from + count as u64;
    run.bytes = &run.bytes[count..];
    run.segment_start = false;
}
