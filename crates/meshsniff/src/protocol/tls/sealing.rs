//! Records that are sealed, for tests: what `sealed` opens, the other way round.

use super::hello::{Cipher, Random, Version};
use super::keylog::Secret;
use super::sealed::{self, Sealed};

/// A cipher suite.
pub(crate) struct Suite(sealed::Suite);

/// One side.
pub(crate) struct Sealing {
    suite: sealed::Suite,
    sealed: Sealed,
    secret: Secret,
    number: u64,
}

impl Suite {
    pub(crate) fn new(cipher: u16, is_1_3: bool) -> Self {
        let version = if is_1_3 {
            Version::TLS_1_3
        } else {
            Version::TLS_1_2
        };
        Self(sealed::Suite::of(Cipher(cipher), version).expect("a suite that is read"))
    }

    pub(crate) fn of_secret(&self, secret: &[u8]) -> Sealing {
        Sealing::of(self.0, Secret(secret.to_vec()))
    }

    pub(crate) fn of_master(&self, master: &[u8], [client, server]: [Random; 2]) -> [Sealing; 2] {
        let master = Secret(master.to_vec());
        let both = self.0.of_master(&master, &client, &server);
        both.expect("keys").map(|sealed| Sealing {
            suite: self.0,
            sealed,
            secret: Secret::default(),
            number: 0,
        })
    }
}

impl Sealing {
    fn of(suite: sealed::Suite, secret: Secret) -> Self {
        let sealed = suite.of_secret(&secret).expect("a key");
        Self {
            suite,
            sealed,
            secret,
            number: 0,
        }
    }

    /// The next record.
    pub(crate) fn seal(&mut self, kind: u8, inside: &[u8]) -> Vec<u8> {
        self.number += 1;
        self.sealed.seal(self.number - 1, kind, inside)
    }

    /// The next key.
    pub(crate) fn update(&mut self) {
        let next = self.suite.update(&self.secret).expect("a secret");
        *self = Self::of(self.suite, next);
    }
}
