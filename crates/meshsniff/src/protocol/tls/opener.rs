//! One side's records, opened one after the other.

use super::hello::Random;
use super::keylog::{Secret, Secrets};
use super::record::HEADER;
use super::sealed::{Sealed, Suite};
use std::fmt;

/// Records are tried under so many numbers at most, where some may be missing.
const MAX_AHEAD: u64 = 4096;
/// Bytes that are tried in vain on one side, behind which only the next number is.
const MAX_TRIED: usize = 16 << 20;
/// Records that could not be opened, behind which nothing is tried any more.
const MAX_FAILED: u32 = 64;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Epoch {
    /// Data with the client's hello.
    Early,
    /// The handshake of TLS 1.3.
    Handshake,
    /// What comes behind it.
    Data,
}

/// One side's keys, in the order in which they are used.
pub(super) struct Opener {
    suite: Suite,
    epochs: Vec<(Epoch, Sealed, Secret)>,
    /// The epoch that the latest record was of, and the number of the next in it.
    now: usize,
    number: u64,
    /// So many records may be missing.
    missing: u64,
    failed: u32,
    opened: bool,
    /// Bytes tried in vain.
    tried: usize,
    /// Whether a record of the handshake was opened.
    of_handshake: bool,
    /// Whether a record that has a number was not told.
    lost: bool,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({} epochs)", self.epochs.len())
    }
}

impl Opener {
    /// The client's and the server's. `None` if the secrets are not those of such a session.
    pub(super) fn both(
        suite: Suite,
        is_1_3: bool,
        secrets: Secrets,
        (client, server): (&Random, &Random),
    ) -> Option<[Self; 2]> {
        if !is_1_3 {
            let sealed = suite.of_master(secrets.master.as_ref()?, client, server)?;
            return Some(
                sealed
                    .map(|sealed| Self::new(suite, vec![(Epoch::Data, sealed, Secret::default())])),
            );
        }
        let [of_client, of_server] = secrets.handshake;
        // Half of a conversation would be told as one whose other side is silent.
        let [Some(client), Some(server)] = secrets.traffic else {
            return None;
        };
        if [&client, &server]
            .iter()
            .any(|&secret| suite.of_secret(secret).is_none())
        {
            return None;
        }
        let [client, server] = [Some(client), Some(server)];
        let epochs = |secrets: [(Epoch, Option<Secret>); 3]| {
            let epochs = secrets.into_iter().filter_map(|(epoch, secret)| {
                let secret = secret?;
                Some((epoch, suite.of_secret(&secret)?, secret))
            });
            Self::new(suite, epochs.collect())
        };
        Some([
            epochs([
                (Epoch::Early, secrets.early),
                (Epoch::Handshake, of_client),
                (Epoch::Data, client),
            ]),
            epochs([
                (Epoch::Early, None),
                (Epoch::Handshake, of_server),
                (Epoch::Data, server),
            ]),
        ])
    }

    fn new(suite: Suite, epochs: Vec<(Epoch, Sealed, Secret)>) -> Self {
        Self {
            suite,
            epochs,
            now: 0,
            number: 0,
            missing: 0,
            failed: 0,
            opened: false,
            tried: 0,
            of_handshake: false,
            lost: false,
        }
    }

    /// The suite.
    pub(super) const fn suite(&self) -> Suite {
        self.suite
    }

    /// Whether a message of the handshake may still come that is read.
    pub(super) fn is_in_handshake(&self) -> bool {
        let left = self.epochs.get(self.now..).unwrap_or_default();
        left.iter().any(|(its, ..)| *its == Epoch::Handshake)
    }

    /// Whether a record of the handshake was opened.
    pub(super) const fn has_opened_handshake(&self) -> bool {
        self.of_handshake
    }

    /// Whether a record may have come, or has, that was not told.
    pub(super) const fn has_lost(&self) -> bool {
        self.lost
    }

    /// What a record held is not told.
    pub(super) const fn lose(&mut self) {
        self.lost = true;
    }

    /// Whether a record was opened.
    pub(super) const fn has_opened(&self) -> bool {
        self.opened
    }

    /// Whether a record could not be opened.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// A record is not all there.
    pub(super) fn pass_over(&mut self) {
        self.number += 1;
        self.lost = true;
        // It may have been the first of the next epoch.
        self.miss(1);
    }

    /// So many records at most are missing.
    pub(super) fn miss(&mut self, records: u64) {
        self.missing = self.missing.saturating_add(records).min(MAX_AHEAD);
    }

    /// Opens the next record into `inside`: the type of what it holds, and the epoch it is of. Only
    /// the right key under the right number opens one.
    pub(super) fn open(
        &mut self,
        header: [u8; HEADER],
        content: &[u8],
        inside: &mut Vec<u8>,
    ) -> Option<(u8, Epoch)> {
        if self.failed > MAX_FAILED {
            return None;
        }
        for at in self.now..self.epochs.len() {
            let from = if at == self.now { self.number } else { 0 };
            if let Some(kind) = self.open_in(at, from, header, content, inside) {
                return Some((kind, self.epochs[at].0));
            }
        }
        if let Some(kind) = self.open_updated(header, content, inside) {
            return Some((kind, Epoch::Data));
        }
        self.failed += 1;
        self.lost |= self.opened;
        // It has a number, whatever it is.
        self.number += u64::from(self.opened);
        None
    }

    fn open_in(
        &mut self,
        at: usize,
        from: u64,
        header: [u8; HEADER],
        content: &[u8],
        inside: &mut Vec<u8>,
    ) -> Option<u8> {
        let sealed = &self.epochs[at].1;
        let ahead = match self.tried > MAX_TRIED {
            true => 0,
            false => self.missing,
        };
        for number in from..=from.saturating_add(ahead) {
            if let Some(kind) = sealed.open(number, header, content, inside) {
                self.lost |= number > from;
                self.of_handshake |= self.epochs[at].0 == Epoch::Handshake;
                self.now = at;
                self.number = number + 1;
                self.missing = 0;
                self.opened = true;
                return Some(kind);
            }
            self.tried += content.len();
        }
        None
    }

    /// Behind a key update (RFC 8446, 4.6.3).
    fn open_updated(
        &mut self,
        header: [u8; HEADER],
        content: &[u8],
        inside: &mut Vec<u8>,
    ) -> Option<u8> {
        let (epoch, _, secret) = self.epochs.last()?;
        let in_use = self.opened && self.now + 1 == self.epochs.len() && *epoch == Epoch::Data;
        if !in_use || secret.0.is_empty() {
            return None;
        }
        let next = self.suite.update(secret)?;
        let sealed = self.suite.of_secret(&next)?;
        self.epochs.push((Epoch::Data, sealed, next));
        let at = self.epochs.len() - 1;
        let kind = self.open_in(at, 0, header, content, inside);
        match kind {
            Some(_) => {
                // Nothing comes under an older key any more.
                self.epochs.drain(..at);
                self.now = 0;
            }
            None => self.epochs.truncate(at),
        }
        kind
    }
}
