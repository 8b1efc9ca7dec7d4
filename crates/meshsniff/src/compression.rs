//! gzip and zstd, recognised by their first bytes.
//!
//! Knows nothing of captures.

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::error::Error;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// Compression of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Number of bytes that [`Compression::of`] looks at.
pub const MAGIC_LEN: usize = 4;

/// Largest window of a zstd frame: what zstd's own tool grants by default.
const MAX_WINDOW: u64 = 128 << 20;

impl Compression {
    /// Recognises `start`, the first bytes of a source (RFC 1952, 2.3.1; RFC 8878, 3.1).
    pub fn of(start: &[u8]) -> Option<Self> {
        match *start {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // A skippable frame: `pzstd` begins its files with one.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns a reader of what `compressed` holds.
    pub fn reader(self, compressed: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(compressed)),
            Self::Zstd => Box::new(Zstd::new(compressed, MAX_WINDOW)),
        }
    }
}

/// A zstd file: frames one behind another (RFC 8878, 3), of which ruzstd decodes one at a time.
///
/// Of a frame that goes on, ruzstd keeps back a window's worth. Of one that has ended it keeps
/// nothing, and reads nothing beyond its end.
pub(crate) struct Zstd<R> {
    input: BufReader<R>,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: Read> Zstd<R> {
    /// Decodes `input`, with memory for frames of at most `max_window`.
    pub(crate) fn new(input: R, max_window: u64) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(max_window);
        Self {
            input: BufReader::new(input),
            decoder,
            in_frame: false,
        }
    }

    /// Begins the next frame; `false` at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.reset(&mut self.input) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let length = u64::from(length);
                let skipped = io::copy(&mut (&mut self.input).take(length), &mut io::sink())?;
                if skipped < length {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(plain(error)),
        }
        Ok(true)
    }

    /// Ends a frame of which everything was read.
    fn finish(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stored = self.decoder.get_checksum_from_data();
        if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
            let message = "the zstd data does not match its checksum";
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
        Ok(())
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                if !self.begin()? {
                    return Ok(0);
                }
            } else if self.decoder.can_collect() > 0 {
                return self.decoder.read(out);
            } else if self.decoder.is_finished() {
                self.finish()?;
            } else {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder
                    .decode_blocks(&mut self.input, one)
                    .map_err(plain)?;
            }
        }
    }
}

/// Converts the decoder's error to one of reading, so that an early end of the file is recognised.
fn plain(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        if let Some(io) = one.downcast_ref::<io::Error>() {
            return io.kind().into();
        }
        cause = one.source();
    }
    io::Error::new(
        ErrorKind::InvalidData,
        format!("the zstd data is damaged: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::{Cursor, Write};

    fn zstd(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(packed: Vec<u8>) -> io::Result<Vec<u8>> {
        let kind = Compression::of(&packed).unwrap();
        let mut out = Vec::new();
        kind.reader(Box::new(Cursor::new(packed)))
            .read_to_end(&mut out)?;
        Ok(out)
    }

    fn content() -> Vec<u8> {
        (0..300_000_u32)
            .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
            .collect()
    }

    #[test]
    fn several_frames_and_members_are_one_file() {
        let content = content();
        let (one, two) = content.split_at(1_000_001);
        let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let packed = [
            &skippable,
            &zstd(one)[..],
            &skippable,
            &zstd(two),
            &skippable,
        ]
        .concat();
        assert!(unpack(packed).unwrap() == content);
        assert!(unpack([gzip(one), gzip(two)].concat()).unwrap() == content);
    }

    #[test]
    fn a_cut_file_is_an_early_end() {
        let content = content();
        for packed in [zstd(&content), gzip(&content)] {
            for end in [packed.len() - 1, packed.len() / 2, 5] {
                let error = unpack(packed[..end].to_vec()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
            }
        }
    }

    #[test]
    fn a_window_beyond_the_bound_is_refused() {
        // No single segment, window exponent 31: 2 TiB.
        let packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 31 << 3, 0, 0, 0];
        assert_eq!(unpack(packed).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn damage_never_panics() {
        let content: Vec<u8> = (0..2_000_u32).map(|n| (n % 97) as u8).collect();
        for packed in [zstd(&content), gzip(&content)] {
            for place in 4..packed.len() {
                for value in [0, 0xff, packed[place] ^ 1, packed[place] ^ 0x80] {
                    let mut changed = packed.clone();
                    changed[place] = value;
                    let mut out = Vec::new();
                    let reader = Compression::of(&changed).unwrap();
                    let _ = reader
                        .reader(Box::new(Cursor::new(changed)))
                        .take(1 << 20)
                        .read_to_end(&mut out);
                }
            }
        }
    }
}
