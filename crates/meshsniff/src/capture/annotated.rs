//! A capture copied as pcapng, with comments on its frames.
//!
//! A pcapng capture keeps every block as it is, in its byte order, but for the options of the
//! packet blocks that get a comment; earlier comments of this program are replaced. A pcap capture
//! becomes one section with one interface and nanoseconds. Format:
//! <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-04.html>.

use super::bytes::Bytes;
use super::error::{Fault, OpenError, ReadError};
use super::pcap::Pcap;
use super::pcapng;
use super::record::MAX_RECORD;
use super::source::{Format, open_path, recognise};
use crate::pcapng::options::{self, Options};
use crate::pcapng::{
    ByteOrder, DECRYPTION_SECRETS, ENHANCED_PACKET, OWN_COMMENT, PACKET, PACKET_DATA,
    SECTION_HEADER, TRAILER, blocks, cut, is_record,
};
use std::io::{self, Write};
use std::path::Path;

/// Most bytes of one comment: an option's length has 16 bits.
const MAX_COMMENT: usize = 16 << 10;
/// Most comments of one frame.
const MAX_COMMENTS: usize = 64;

/// Why a capture could not be copied to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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

/// Counts of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Frames.
    pub frames: u64,
    /// Frames that got a comment.
    pub commented: u64,
    /// Frames that should have got one, in blocks that cannot carry any (simple packet blocks).
    pub not_commentable: u64,
    /// Blocks of keys that were left out.
    pub keys_left_out: u64,
}

/// Copies the capture at `path` to `out`. `comments` returns the comments of a frame, by its
/// number. `keys` is a key log of TLS that the copy gets in a block of its own, empty for none, and
/// then those that the capture has stay, too; without it the copy has no keys at all.
///
/// # Errors
/// If it cannot be read, or the copy cannot be written. What came before damage was copied.
pub fn copy_annotated<'a, C>(
    path: &Path,
    out: &mut impl Write,
    keys: Option<&[u8]>,
    comments: impl Fn(u64) -> &'a [C],
) -> Result<Copied, CopyError>
where
    C: AsRef<str> + 'a,
{
    let label = path.display().to_string();
    let mut bytes = open_path(path, &label)?;
    let format = recognise(&mut bytes, 0, &label)?;
    let mut copy = Copy {
        out,
        keys,
        comments: |frame| {
            let comments = comments(frame).iter().take(MAX_COMMENTS);
            comments.map(|one| cut(one.as_ref(), MAX_COMMENT)).collect()
        },
        copied: Copied::default(),
        block: Vec::new(),
    };
    let fault = match format {
        Format::Pcap(pcap) => copy.pcap(pcap, &mut bytes),
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
    keys: Option<&'w [u8]>,
    comments: C,
    copied: Copied,
    /// A block being made.
    block: Vec<u8>,
}

impl<'a, W: Write, C: Fn(u64) -> Vec<&'a str>> Copy<'_, W, C> {
    fn pcap(&mut self, mut pcap: Pcap, bytes: &mut Bytes) -> Result<(), Stopped> {
        blocks::section(
            &mut self.block,
            &blocks::Section {
                // Not the name of the plugin alone, whose captures end with a block that says so.
                application: concat!("meshsniff annotate ", env!("CARGO_PKG_VERSION")),
                ..blocks::Section::default()
            },
        );
        self.push_keys(ByteOrder::Little);
        blocks::interface(
            &mut self.block,
            &blocks::Interface {
                link_type: pcap.link_number,
                snaplen: pcap.snap_len,
                ..blocks::Interface::default()
            },
        );
        self.write_block()?;
        let mut options = Vec::new();
        while let Some(record) = pcap.next(bytes)? {
            self.copied.frames += 1;
            let data = bytes.available().get(record.data.clone());
            let comments = (self.comments)(record.number);
            options.clear();
            if !comments.is_empty() {
                self.copied.commented += 1;
                push_comments(&mut options, &comments, ByteOrder::Little);
                options::push_end(&mut options);
            }
            blocks::packet_with(
                &mut self.block,
                0,
                record.time,
                record.wire_len,
                data.unwrap_or_default(),
                &options,
            );
            self.write_block()?;
            bytes.skip(record.len);
        }
        Ok(())
    }

    fn pcapng(&mut self, bytes: &mut Bytes) -> Result<(), Stopped> {
        let mut order = ByteOrder::default();
        while let Some((kind, block)) = pcapng::block(bytes, &mut order)? {
            let length = block.len();
            if is_record(kind) {
                self.copied.frames += 1;
                let comments = (self.comments)(self.copied.frames);
                let wanted = u64::from(!comments.is_empty());
                let can = matches!(kind, ENHANCED_PACKET | PACKET);
                if can && commented(&mut self.block, block, &comments, order) {
                    self.copied.commented += wanted;
                } else {
                    self.copied.not_commentable += wanted;
                    self.block.clear();
                    self.block.extend(block);
                }
            } else if kind == DECRYPTION_SECRETS && self.keys.is_none() {
                self.copied.keys_left_out += 1;
            } else {
                self.block.extend(block);
                if kind == SECTION_HEADER
                    && let Some(section_length) = self.block.get_mut(16..24)
                {
                    // Blocks become longer: of a length that is not known.
                    section_length.fill(0xff);
                }
                if kind == SECTION_HEADER {
                    self.push_keys(order);
                }
            }
            self.write_block()?;
            bytes.skip(length);
        }
        Ok(())
    }

    /// Keys stand before the packets that they open.
    fn push_keys(&mut self, order: ByteOrder) {
        if let Some(log) = self.keys.filter(|log| !log.is_empty()) {
            blocks::key_log(&mut self.block, order, log);
        }
    }

    fn write_block(&mut self) -> Result<(), Stopped> {
        let written = self.out.write_all(&self.block);
        self.block.clear();
        written.map_err(Stopped::Write)
    }
}

/// Pushes a packet block with these comments, in place of earlier ones of this program. Returns
/// `false` if its options cannot be told apart or it would be too long.
fn commented(out: &mut Vec<u8>, block: &[u8], comments: &[&str], order: ByteOrder) -> bool {
    if block.len() < PACKET_DATA + TRAILER {
        return false;
    }
    let captured = order.u32_at(block, 20) as usize;
    let options_at = PACKET_DATA.saturating_add(captured.next_multiple_of(4));
    if options_at > block.len() - TRAILER {
        return false;
    }
    out.extend(&block[..options_at]);
    for option in Options::of(block, options_at, order) {
        let Ok((code, value)) = option else {
            return false;
        };
        let own = code == options::COMMENT && value.starts_with(OWN_COMMENT.as_bytes());
        if !own {
            options::push(out, order, code, &[value]);
        }
    }
    push_comments(out, comments, order);
    if out.len() > options_at {
        options::push_end(out);
    }
    let length = order.bytes32((out.len() + TRAILER) as u32);
    out[4..8].copy_from_slice(&length);
    out.extend(length);
    out.len() <= MAX_RECORD
}

fn push_comments(out: &mut Vec<u8>, comments: &[&str], order: ByteOrder) {
    for comment in comments {
        options::push(out, order, options::COMMENT, &[comment.as_bytes()]);
    }
}
