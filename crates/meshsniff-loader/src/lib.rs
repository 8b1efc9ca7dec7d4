//! The form in which an agent comes through the API server, and its way back.
//!
//! The agent is one zstd frame (RFC 8878), cut into parts that `ConfigMap`s can hold. They are
//! mounted as files into a container of whatever image the node has, beside the loader: a static
//! program of a few tens of kB without a standard library. It joins the parts, compares their
//! SHA-256 with the one that its command names, unpacks them into memory, and becomes the agent.
//!
//! Whoever may change the `ConfigMap`s cannot change the command: it is part of the pod's spec.
//! Nothing is unpacked before it is found to be what the command says.

#![no_std]

extern crate alloc;

use alloc::vec::Vec;
use core::fmt;
use ruzstd::decoding::FrameDecoder;
use sha2::{Digest as _, Sha256};

/// The folder that the loader and the parts are mounted in.
pub const FOLDER: &str = "/meshsniff";
/// The loader's name there.
pub const LOADER: &str = "loader";
/// How the names of the parts begin; their number from 0 follows.
pub const PART: &str = "agent.";
/// Most parts.
pub const MOST_PARTS: i32 = 8;
/// A folder in memory, for kernels that execute no memory without a name
/// (`vm.memfd_noexec`, see `proc_sys_vm(5)`).
pub const SPARE_FOLDER: &str = "/meshsniff-memory";
/// The name of the agent's process.
pub const AGENT: &str = "meshsniff-agent";
/// How the names of the environment variables begin that the agent is to have. All others are the
/// image's, which knows nothing of the agent.
pub const OWN_VARIABLES: &str = "MESHSNIFF_";

/// The largest agent, unpacked.
const LARGEST: u64 = 64 << 20;

/// A SHA-256 in hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut written = [0; 64];
    for (pair, byte) in written.chunks_exact_mut(2).zip(Sha256::digest(bytes)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    written
}

/// Why there is no agent in these parts. Each has a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// They are not those that the command means.
    Other,
    /// They are those, and no zstd frame of a size that an agent may have.
    Damaged,
}

impl Unfit {
    /// In words.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Other => {
                "the agent in the ConfigMaps is not the one that the command names: somebody has \
                 changed them, see who may"
            }
            Self::Damaged => "the agent in the ConfigMaps cannot be unpacked: use another plugin",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl core::error::Error for Unfit {}

/// The agent's bytes, of its joined parts and their SHA-256.
///
/// # Errors
/// If the parts are others, or cannot be unpacked.
pub fn open(packed: &[u8], expected: &[u8]) -> Result<Vec<u8>, Unfit> {
    if digest(packed) != *expected {
        return Err(Unfit::Other);
    }
    unpack(packed).ok_or(Unfit::Damaged)
}

/// The content of a zstd frame that says how long it is.
fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(LARGEST);
    decoder.init(packed).ok()?;
    let length = decoder.content_size();
    if !(1..=LARGEST).contains(&length) {
        return None;
    }
    let length = usize::try_from(length).ok()?;
    let mut content = Vec::with_capacity(length);
    decoder.decode_all_to_vec(packed, &mut content).ok()?;
    (content.len() == length).then_some(content)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::format;

    fn packed(content: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(content, 1).unwrap()
    }

    #[test]
    fn what_was_packed_is_opened() {
        let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = packed(&content);
        assert!(open(&packed, &digest(&packed)).unwrap() == content);
    }

    #[test]
    fn another_agent_is_not_opened() {
        let (meant, other) = (packed(b"meant"), packed(b"other"));
        assert_eq!(open(&other, &digest(&meant)), Err(Unfit::Other));
        assert_eq!(open(&meant, b""), Err(Unfit::Other));
        assert_eq!(open(&meant, &digest(&meant)[..63]), Err(Unfit::Other));
    }

    #[test]
    fn what_is_no_frame_is_damaged() {
        let whole = packed(&[7; 5000]);
        for bad in [&b""[..], b"no frame", &whole[..whole.len() - 3]] {
            assert_eq!(open(bad, &digest(bad)), Err(Unfit::Damaged));
        }
    }

    #[test]
    fn a_digest_is_written_as_sha256sum_writes_it() {
        let written = digest(b"abc");
        let written = std::str::from_utf8(&written).unwrap();
        // FIPS 180-4, the example of one block.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(written, known);
        assert!(format!("{}", Unfit::Other).contains("changed"));
    }
}
