//! The output compressed with zstd, in frames that end where it pauses.

use std::io::{self, Write};
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation as _, OutBuffer};

/// A level that keeps up with a capture: stronger ones cost more time than they save bytes.
const LEVEL: i32 = 1;

/// Bytes gathered for one write.
const BUFFER: usize = 128 << 10;

/// Packs what is written. A flush ends the frame: of one that goes on, the plugin's decoder would
/// keep the last window's worth back until more comes.
pub(super) struct Compressed<W> {
    out: W,
    encoder: Encoder<'static>,
    buffer: Vec<u8>,
    /// Whether a frame has begun.
    open: bool,
}

impl<W: Write> Compressed<W> {
    /// Packs for `out`.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn new(out: W) -> io::Result<Self> {
        let mut encoder = Encoder::new(LEVEL)?;
        // What carries the stream has checksums of its own.
        encoder.set_parameter(CParameter::ChecksumFlag(false))?;
        Ok(Self {
            out,
            encoder,
            buffer: Vec::with_capacity(BUFFER),
            open: false,
        })
    }
}

impl<W: Write> Write for Compressed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut input = InBuffer::around(bytes);
        while input.pos() < bytes.len() {
            self.open = true;
            self.buffer.clear();
            let mut output = OutBuffer::around(&mut self.buffer);
            self.encoder.run(&mut input, &mut output)?;
            self.out.write_all(&self.buffer)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.open {
            self.buffer.clear();
            let mut output = OutBuffer::around(&mut self.buffer);
            let left = self.encoder.finish(&mut output, true)?;
            self.out.write_all(&self.buffer)?;
            if left == 0 {
                self.encoder.reinit()?;
                self.open = false;
            }
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompressed(compressed: &[u8]) -> Vec<u8> {
        zstd::stream::decode_all(compressed).unwrap()
    }

    #[test]
    fn a_flush_ends_a_frame_and_no_frame_is_empty() {
        let mut compressed = Compressed::new(Vec::new()).unwrap();
        compressed.flush().unwrap();
        assert!(compressed.out.is_empty());
        let mut written: Vec<u8> = Vec::new();
        for round in 1..50_u32 {
            let some: Vec<u8> = (0..round * 20_000)
                .map(|n| (n.wrapping_mul(n) >> 11) as u8)
                .collect();
            compressed.write_all(&some).unwrap();
            written.extend(&some);
            if round % 3 == 0 {
                compressed.flush().unwrap();
                compressed.flush().unwrap();
                assert!(decompressed(&compressed.out) == written);
            }
        }
        compressed.flush().unwrap();
        assert!(decompressed(&compressed.out) == written);
    }
}
