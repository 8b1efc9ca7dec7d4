//! A capture copied as pcapng, with comments on its frames.
//!
//! A pcapng capture keeps every block as it is, in its byte order, but for the options of the packet blocks that get a
//! comment; what this program commented before is replaced. A pcap capture becomes one section with one interface and
//! nanoseconds. Format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-04.html>.

use super::bytes::Bytes;
use super::error::{Fault, OpenError, ReadError};
use super::pcap;
use super::pcapng::{self, ENHANCED_PACKET, PACKET, PACKET_DATA, PACKET_FRAME, SIMPLE_PACKET};
use super::source::{Format, MAX_RECORD, open_path, recognise};
use crate::stream::blocks;
use std::io::{self, Write};
use std::path::Path;

/// How every comment begins that this program puts on a frame.
pub const OWN_COMMENT: &str = "meshsniff: ";

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
/// Bytes of one comment: an option's length has 16 bits.
const MOST_COMMENT: usize = 16 << 10;
/// Comments of one frame.
const MOST_COMMENTS: usize = 64;

/// Why a capture could not be copied to its end.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It cannot be read at all.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read on: what came before was copied.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The copy cannot be written.
    #[error("the copy cannot be written")]
    Write(#[source] io::Error),
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Frames.
    pub frames: u64,
    /// Frames that got a comment.
    pub commented: u64,
    /// Frames that should have got one, in blocks that cannot carry any (simple packet blocks).
    pub not_commentable: u64,
}

/// Copies the capture at `path` to `out`. `comments` tells the comments of a frame, by its number.
///
/// # Errors
/// If it cannot be read, or the copy cannot be written. What came before damage was copied.
pub fn copy_annotated<'a, C>(
    path: &Path,
    out: &mut impl Write,
    comments: impl Fn(u64) -> &'a [C],
) -> Result<Copied, CopyError>
where
    C: AsRef<str> + 'a,
{
    let label = path.display().to_string();
    let mut bytes = open_path(path, &label)?;
    let start = bytes.peek(pcap::HEADER_LEN).unwrap_or_default();
    let header: Option<[u8; pcap::HEADER_LEN]> = start.first_chunk().copied();
    let format = recognise(&mut bytes, 0, &label)?;
    let mut copy = Copy {
        out,
        comments: |frame| {
            let comments = comments(frame).iter().take(MOST_COMMENTS);
            comments.map(|one| cut(one.as_ref())).collect()
        },
        copied: Copied::default(),
        block: Vec::new(),
    };
    let fault = match format {
        Format::Pcap(pcap) => copy.pcap(pcap, header.as_ref(), &mut bytes),
        Format::PcapNg(_) => copy.pcapng(&mut bytes),
    };
    let frames = copy.copied.frames;
    let copied = copy.copied;
    match fault {
        Ok(()) => {}
        Err(Stopped::Read(fault)) => return Err(fault.named(&label, frames).into()),
        Err(Stopped::Write(error)) => return Err(CopyError::Write(error)),
    }
    out.flush().map_err(CopyError::Write)?;
    Ok(copied)
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MOST_COMMENT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

enum Stopped {
    Read(Fault),
    Write(io::Error),
}

impl<F: Into<Fault>> From<F> for Stopped {
    fn from(fault: F) -> Self {
        Self::Read(fault.into())
    }
}

struct Copy<'w, W, C> {
    out: &'w mut W,
    comments: C,
    copied: Copied,
    /// A block being made.
    block: Vec<u8>,
}

impl<'a, W: Write, C: Fn(u64) -> Vec<&'a str>> Copy<'_, W, C> {
    fn pcap(
        &mut self,
        mut pcap: pcap::Pcap,
        header: Option<&[u8; pcap::HEADER_LEN]>,
        bytes: &mut Bytes,
    ) -> Result<(), Stopped> {
        let number = |at: usize| {
            let part = header.and_then(|header| header.get(at..at + 4)?.first_chunk().copied());
            let part = part.unwrap_or_default();
            if pcap.is_big_endian() {
                u32::from_be_bytes(part)
            } else {
                u32::from_le_bytes(part)
            }
        };
        let (snaplen, network) = (number(16), number(20));
        blocks::section(
            &mut self.block,
            &blocks::Section {
                // Not the name of the plugin alone, whose captures end with a block that says so.
                application: concat!("meshsniff annotate ", env!("CARGO_PKG_VERSION")),
                ..blocks::Section::default()
            },
        );
        blocks::interface(
            &mut self.block,
            &blocks::Interface {
                link_type: (network & 0xffff) as u16,
                snaplen,
                ..blocks::Interface::default()
            },
        );
        self.write_block()?;
        while let Some(record) = pcap.next(bytes)? {
            self.copied.frames += 1;
            let data = bytes.available().get(record.data.clone());
            let data = data.unwrap_or_default();
            let nanos = record.time.as_nanos().cast_unsigned();
            let block = &mut self.block;
            block.extend(ENHANCED_PACKET.to_le_bytes());
            block.extend([0; 8]); // the length, later; interface 0
            block.extend(((nanos >> 32) as u32).to_le_bytes());
            block.extend((nanos as u32).to_le_bytes());
            block.extend((data.len() as u32).to_le_bytes());
            block.extend(record.wire_len.to_le_bytes());
            block.extend(data);
            pad(block);
            let comments = (self.comments)(record.number);
            self.copied.commented += u64::from(!comments.is_empty());
            if !comments.is_empty() {
                push_comments(block, &comments, false);
                push_option(block, OPT_END, b"", false);
            }
            close(block, false);
            self.write_block()?;
            bytes.skip(record.len);
        }
        Ok(())
    }

    fn pcapng(&mut self, bytes: &mut Bytes) -> Result<(), Stopped> {
        let mut big_endian = false;
        loop {
            let head = bytes.peek(pcapng::START_LEN)?;
            if head.is_empty() {
                return Ok(());
            }
            if head.len() < pcapng::START_LEN {
                return Err(Fault::Cut { in_frame: false }.into());
            }
            if let Some(section) = pcapng::section_byte_order(head)? {
                big_endian = section;
            }
            let kind = u32_at(head, 0, big_endian);
            let length = u32_at(head, 4, big_endian) as usize;
            if length < pcapng::START_LEN || !length.is_multiple_of(4) || length > MAX_RECORD {
                return Err(Fault::malformed(format!(
                    "the next block has the impossible length {length}"
                ))
                .into());
            }
            let Some(block) = bytes.peek(length)?.get(..length) else {
                let in_frame = matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | PACKET);
                return Err(Fault::Cut { in_frame }.into());
            };
            if pcapng::is_record(kind) {
                self.copied.frames += 1;
            }
            if pcapng::is_record(kind) {
                let comments = (self.comments)(self.copied.frames);
                let can = matches!(kind, ENHANCED_PACKET | PACKET);
                if can && commented(&mut self.block, block, &comments, big_endian) {
                    self.copied.commented += u64::from(!comments.is_empty());
                } else {
                    self.copied.not_commentable += u64::from(!comments.is_empty());
                    self.block.clear();
                    self.block.extend(block);
                }
            } else {
                self.block.extend(block);
                if let Some(length) = section_length(&mut self.block) {
                    // Blocks become longer: of a length that is not known.
                    length.fill(0xff);
                }
            }
            self.write_block()?;
            bytes.skip(length);
        }
    }

    fn write_block(&mut self) -> Result<(), Stopped> {
        let written = self.out.write_all(&self.block);
        self.block.clear();
        written.map_err(Stopped::Write)
    }
}

/// The bytes of a section header that say how long the section is; `None` of any other block.
fn section_length(block: &mut [u8]) -> Option<&mut [u8]> {
    let begins = pcapng::section_byte_order(block).ok().flatten();
    begins.and_then(|_| block.get_mut(16..24))
}

/// Pushes a packet block with these comments in place of those of this program's that it had. `false`: its options cannot be
/// told apart, or it would be too long.
fn commented(out: &mut Vec<u8>, block: &[u8], comments: &[&str], big_endian: bool) -> bool {
    if block.len() < PACKET_FRAME {
        return false;
    }
    let captured = u32_at(block, 20, big_endian) as usize;
    let options_at = PACKET_DATA.saturating_add(captured.next_multiple_of(4));
    let Some(mut options) = block.get(options_at..block.len() - 4) else {
        return false;
    };
    out.extend(&block[..options_at]);
    let before = out.len();
    while let Some((&head, rest)) = options.split_first_chunk::<4>() {
        let code = u16_of([head[0], head[1]], big_endian);
        let length = usize::from(u16_of([head[2], head[3]], big_endian));
        if code == OPT_END {
            break;
        }
        let (Some(value), Some(after)) =
            (rest.get(..length), rest.get(length.next_multiple_of(4)..))
        else {
            return false;
        };
        let own = code == OPT_COMMENT && value.starts_with(OWN_COMMENT.as_bytes());
        if !own {
            push_option(out, code, value, big_endian);
        }
        options = after;
    }
    push_comments(out, comments, big_endian);
    if out.len() > before {
        push_option(out, OPT_END, b"", big_endian);
    }
    close(out, big_endian);
    out.len() <= MAX_RECORD
}

fn push_comments(out: &mut Vec<u8>, comments: &[&str], big_endian: bool) {
    for comment in comments {
        push_option(out, OPT_COMMENT, comment.as_bytes(), big_endian);
    }
}

fn push_option(out: &mut Vec<u8>, code: u16, value: &[u8], big_endian: bool) {
    for number in [code, value.len() as u16] {
        out.extend(if big_endian {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        });
    }
    out.extend(value);
    pad(out);
}

/// Blocks and options begin at multiples of four.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Writes both lengths of the block that `out` holds.
fn close(out: &mut Vec<u8>, big_endian: bool) {
    let length = (out.len() + 4) as u32;
    let length = if big_endian {
        length.to_be_bytes()
    } else {
        length.to_le_bytes()
    };
    out[4..8].copy_from_slice(&length);
    out.extend(length);
}

fn u32_at(block: &[u8], at: usize, big_endian: bool) -> u32 {
    let number = [block[at], block[at + 1], block[at + 2], block[at + 3]];
    if big_endian {
        u32::from_be_bytes(number)
    } else {
        u32::from_le_bytes(number)
    }
}

const fn u16_of(bytes: [u8; 2], big_endian: bool) -> u16 {
    if big_endian {
        u16::from_be_bytes(bytes)
    } else {
        u16::from_le_bytes(bytes)
    }
}
