//! Whether a binary can run in an image that holds nothing else (ELF-64, `elf(5)`).

use crate::program::Architecture;
use thiserror::Error;

/// The segment that names a dynamic loader.
const PT_INTERP: u32 = 3;
/// Length of the header.
const HEADER: usize = 64;

/// Why a file cannot run alone in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// It is something else.
    #[error("it is no 64-bit little-endian ELF file")]
    NoElf,
    /// It is for another machine.
    #[error("it is not for {0}")]
    OtherMachine(Architecture),
    /// It takes libraries.
    #[error("it is not static: the image holds no dynamic loader")]
    Dynamic,
    /// Its table of segments is not in it.
    #[error("it is cut short")]
    CutShort,
}

/// Looks at a binary's header and segments.
///
/// # Errors
/// If it cannot run alone in an image of that architecture.
pub fn check(binary: &[u8], architecture: Architecture) -> Result<(), Unfit> {
    if !binary.starts_with(b"\x7fELF\x02\x01") || binary.len() < HEADER {
        return Err(Unfit::NoElf);
    }
    let half = |at: usize| -> Option<u16> {
        let bytes = binary.get(at..at.checked_add(2)?)?;
        Some(u16::from_le_bytes(bytes.try_into().ok()?))
    };
    if half(18) != Some(architecture.machine()) {
        return Err(Unfit::OtherMachine(architecture));
    }
    // e_phoff, e_phentsize, e_phnum.
    let start = binary[32..40].try_into().map(u64::from_le_bytes);
    let start = start.ok().and_then(|start| usize::try_from(start).ok());
    let start = start.ok_or(Unfit::CutShort)?;
    let (Some(size), Some(count)) = (half(54), half(56)) else {
        return Err(Unfit::CutShort);
    };
    for index in 0..usize::from(count) {
        let at = start.checked_add(index * usize::from(size));
        let kind = at.and_then(|at| binary.get(at..at.checked_add(4)?));
        let kind = kind.and_then(|kind| kind.try_into().ok());
        if u32::from_le_bytes(kind.ok_or(Unfit::CutShort)?) == PT_INTERP {
            return Err(Unfit::Dynamic);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::binary;

    #[test]
    fn only_static_programs_of_the_architecture_pass() {
        let good = binary(Architecture::Arm64);
        assert_eq!(check(&good, Architecture::Arm64), Ok(()));
        assert_eq!(
            check(&good, Architecture::Amd64),
            Err(Unfit::OtherMachine(Architecture::Amd64))
        );
        let mut dynamic = good.clone();
        dynamic[HEADER + 56] = 3;
        assert_eq!(check(&dynamic, Architecture::Arm64), Err(Unfit::Dynamic));
        for (what, at, bytes) in [
            ("text", 0, &b"#!/bin/sh\n"[..]),
            ("32 bits", 4, &[1]),
            ("big-endian", 5, &[2]),
        ] {
            let mut bad = good.clone();
            bad[at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(
                check(&bad, Architecture::Arm64),
                Err(Unfit::NoElf),
                "{what}"
            );
        }
    }

    /// Whatever is missing, it is told, and nothing is read past the end.
    #[test]
    fn what_is_cut_short_is_refused() {
        let good = binary(Architecture::Amd64);
        for length in 0..HEADER + 56 + 4 {
            assert!(
                check(&good[..length], Architecture::Amd64).is_err(),
                "{length} bytes"
            );
        }
        let mut far = good;
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(check(&far, Architecture::Amd64), Err(Unfit::CutShort));
    }
}
