//! In place of `sealed`, where nothing is read with keys: no suite is known.

use super::hello::{Cipher, Random, Version};
use super::keylog::Secret;
use super::record::HEADER;

/// There is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suite;

/// There is none.
pub(super) struct Sealed;

impl Suite {
    pub(super) const fn of(_: Cipher, _: Version) -> Option<Self> {
        None
    }

    pub(super) const fn before(self) -> usize {
        0
    }

    pub(super) const fn inside(self, _: usize) -> Option<usize> {
        None
    }

    pub(super) const fn of_secret(self, _: &Secret) -> Option<Sealed> {
        None
    }

    pub(super) const fn update(self, _: &Secret) -> Option<Secret> {
        None
    }

    pub(super) const fn of_master(self, _: &Secret, _: &Random, _: &Random) -> Option<[Sealed; 2]> {
        None
    }
}

impl Sealed {
    pub(super) const fn open(
        &self,
        _: u64,
        _: [u8; HEADER],
        _: &[u8],
        _: &mut Vec<u8>,
    ) -> Option<u8> {
        None
    }
}
