//! Records that are opened: keys from secrets (RFC 8446, 7; RFC 5246, 6.3), and the ciphers that
//! authenticate what they encrypt (RFC 5116).

use super::hello::{Cipher, Random, Version};
use super::keylog::Secret;
#[cfg(any(test, feature = "testing"))]
use super::record;
use super::record::HEADER;
use ccm::aead::generic_array::typenum::{U8, U12, U16};
use ccm::aead::{AeadInPlace, KeyInit};
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{aead, hkdf, hmac};
use tls_parser::{TlsCipherEnc, TlsCipherEncMode, TlsCipherMac, TlsCipherSuite, TlsPRF};

/// Bytes of a tag, but for the suites that say that theirs has eight.
const TAG: usize = 16;
const SHORT_TAG: usize = 8;
/// Bytes of the nonce that a record of TLS 1.2 begins with (RFC 5288, 3).
const EXPLICIT: usize = 8;

/// The cipher of a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Gcm128,
    Gcm256,
    Chacha,
    Ccm128,
    Ccm256,
    Ccm128Short,
    Ccm256Short,
}

/// What a cipher suite says of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suite {
    algorithm: Algorithm,
    sha384: bool,
    is_1_3: bool,
}

type Ccm<K, T> = ccm::Ccm<K, T, U12>;

enum Key {
    Ring(Box<LessSafeKey>),
    Ccm128(Box<Ccm<aes::Aes128, U16>>),
    Ccm256(Box<Ccm<aes::Aes256, U16>>),
    Ccm128Short(Box<Ccm<aes::Aes128, U8>>),
    Ccm256Short(Box<Ccm<aes::Aes256, U8>>),
}

/// One side's key of one epoch.
pub(super) struct Sealed {
    key: Key,
    iv: [u8; NONCE_LEN],
    suite: Suite,
}

impl Suite {
    /// Of a cipher that is read: an AEAD of TLS 1.2 or 1.3.
    pub(super) fn of(cipher: Cipher, version: Version) -> Option<Self> {
        let suite = TlsCipherSuite::from_id(cipher.0)?;
        let is_1_3 = version.is_1_3();
        if !(is_1_3 || version == Version::TLS_1_2) || suite.mac != TlsCipherMac::Aead {
            return None;
        }
        let short = suite.name.ends_with("CCM_8") || suite.name.ends_with("CCM_8_SHA256");
        let algorithm = match (&suite.enc, &suite.enc_mode, suite.enc_size) {
            (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 128) => Algorithm::Gcm128,
            (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 256) => Algorithm::Gcm256,
            (TlsCipherEnc::Aes, TlsCipherEncMode::Ccm, 128) if short => Algorithm::Ccm128Short,
            (TlsCipherEnc::Aes, TlsCipherEncMode::Ccm, 256) if short => Algorithm::Ccm256Short,
            (TlsCipherEnc::Aes, TlsCipherEncMode::Ccm, 128) => Algorithm::Ccm128,
            (TlsCipherEnc::Aes, TlsCipherEncMode::Ccm, 256) => Algorithm::Ccm256,
            (TlsCipherEnc::Chacha20_Poly1305, ..) => Algorithm::Chacha,
            _ => return None,
        };
        let sha384 = suite.prf == TlsPRF::Sha384;
        Some(Self {
            algorithm,
            sha384,
            is_1_3,
        })
    }

    const fn key_length(self) -> usize {
        match self.algorithm {
            Algorithm::Gcm128 | Algorithm::Ccm128 | Algorithm::Ccm128Short => 16,
            Algorithm::Gcm256 | Algorithm::Ccm256 | Algorithm::Ccm256Short | Algorithm::Chacha => {
                32
            }
        }
    }

    const fn hash_length(self) -> usize {
        if self.sha384 { 48 } else { 32 }
    }

    const fn tag(self) -> usize {
        match self.algorithm {
            Algorithm::Ccm128Short | Algorithm::Ccm256Short => SHORT_TAG,
            _ => TAG,
        }
    }

    /// Whether each record begins with a part of its nonce.
    const fn has_explicit(self) -> bool {
        !self.is_1_3 && !matches!(self.algorithm, Algorithm::Chacha)
    }

    /// Bytes in front of what is encrypted.
    pub(super) const fn before(self) -> usize {
        if self.has_explicit() { EXPLICIT } else { 0 }
    }

    /// How many bytes a record of so many holds, where that can be told: TLS 1.3 may pad it.
    pub(super) fn inside(self, length: usize) -> Option<usize> {
        (!self.is_1_3).then(|| length.saturating_sub(self.before() + self.tag()))
    }

    /// The key of a secret of TLS 1.3.
    pub(super) fn of_secret(self, secret: &Secret) -> Option<Sealed> {
        let mut key = vec![0; self.key_length()];
        let mut iv = [0; NONCE_LEN];
        self.expand(secret, b"key", &mut key)?;
        self.expand(secret, b"iv", &mut iv)?;
        self.sealed(&key, iv)
    }

    /// The secret that follows at a key update (RFC 8446, 7.2).
    pub(super) fn update(self, secret: &Secret) -> Option<Secret> {
        let mut next = vec![0; self.hash_length()];
        self.expand(secret, b"traffic upd", &mut next)?;
        Some(Secret(next))
    }

    /// HKDF-Expand-Label without a context (RFC 8446, 7.1).
    fn expand(self, secret: &Secret, label: &[u8], out: &mut [u8]) -> Option<()> {
        struct Length(usize);
        impl hkdf::KeyType for Length {
            fn len(&self) -> usize {
                self.0
            }
        }
        let algorithm = if self.sha384 {
            hkdf::HKDF_SHA384
        } else {
            hkdf::HKDF_SHA256
        };
        if secret.0.len() != self.hash_length() {
            return None;
        }
        let secret = hkdf::Prk::new_less_safe(algorithm, &secret.0);
        let length = u16::try_from(out.len()).ok()?.to_be_bytes();
        let prefix = b"tls13 ";
        let info = [
            &length[..],
            &[(prefix.len() + label.len()) as u8],
            prefix,
            label,
            &[0],
        ];
        let expanded = secret.expand(&info, Length(out.len())).ok()?;
        expanded.fill(out).ok()
    }

    /// The client's and the server's key of a master secret of TLS 1.2.
    pub(super) fn of_master(
        self,
        master: &Secret,
        client: &Random,
        server: &Random,
    ) -> Option<[Sealed; 2]> {
        let iv_length = if self.has_explicit() {
            NONCE_LEN - EXPLICIT
        } else {
            NONCE_LEN
        };
        let (key, iv) = (self.key_length(), iv_length);
        let block = self.expand_master(master, server, client, 2 * (key + iv));
        let (keys, ivs) = block.split_at(2 * key);
        let of = |side: usize| {
            let mut nonce = [0; NONCE_LEN];
            nonce[..iv].copy_from_slice(&ivs[side * iv..][..iv]);
            self.sealed(&keys[side * key..][..key], nonce)
        };
        Some([of(0)?, of(1)?])
    }

    /// The key block: TLS 1.2's PRF (RFC 5246, 5).
    fn expand_master(
        self,
        master: &Secret,
        server: &Random,
        client: &Random,
        length: usize,
    ) -> Vec<u8> {
        let algorithm = if self.sha384 {
            hmac::HMAC_SHA384
        } else {
            hmac::HMAC_SHA256
        };
        let key = hmac::Key::new(algorithm, &master.0);
        let seed = [b"key expansion", &server[..], &client[..]].concat();
        let mut round = hmac::sign(&key, &seed);
        let mut block = Vec::with_capacity(length + self.hash_length());
        while block.len() < length {
            let piece = hmac::sign(&key, &[round.as_ref(), &seed].concat());
            block.extend_from_slice(piece.as_ref());
            round = hmac::sign(&key, round.as_ref());
        }
        block.truncate(length);
        block
    }

    fn sealed(self, key: &[u8], iv: [u8; NONCE_LEN]) -> Option<Sealed> {
        let ring = |algorithm| {
            let key = UnboundKey::new(algorithm, key).ok()?;
            Some(Key::Ring(Box::new(LessSafeKey::new(key))))
        };
        let key = match self.algorithm {
            Algorithm::Gcm128 => ring(&aead::AES_128_GCM)?,
            Algorithm::Gcm256 => ring(&aead::AES_256_GCM)?,
            Algorithm::Chacha => ring(&aead::CHACHA20_POLY1305)?,
            Algorithm::Ccm128 => Key::Ccm128(Box::new(Ccm::new_from_slice(key).ok()?)),
            Algorithm::Ccm256 => Key::Ccm256(Box::new(Ccm::new_from_slice(key).ok()?)),
            Algorithm::Ccm128Short => Key::Ccm128Short(Box::new(Ccm::new_from_slice(key).ok()?)),
            Algorithm::Ccm256Short => Key::Ccm256Short(Box::new(Ccm::new_from_slice(key).ok()?)),
        };
        Some(Sealed {
            key,
            iv,
            suite: self,
        })
    }
}

impl Sealed {
    /// Opens the record with this number, header and content, into `inside`. Returns the type of
    /// what it holds; `None` if it was not sealed so.
    pub(super) fn open(
        &self,
        number: u64,
        header: [u8; HEADER],
        content: &[u8],
        inside: &mut Vec<u8>,
    ) -> Option<u8> {
        let Suite { is_1_3, .. } = self.suite;
        let (explicit, sealed) = content.split_at_checked(self.suite.before())?;
        let length = sealed.len().checked_sub(self.suite.tag())?;
        let mut nonce = self.iv;
        if explicit.is_empty() {
            let low = &mut nonce[NONCE_LEN - 8..];
            for (byte, with) in low.iter_mut().zip(number.to_be_bytes()) {
                *byte ^= with;
            }
        } else {
            nonce[NONCE_LEN - EXPLICIT..].copy_from_slice(explicit);
        }
        inside.clear();
        inside.extend_from_slice(sealed);
        if is_1_3 {
            self.open_in_place(nonce, &header, inside)?;
            // Zeros behind the type are padding (RFC 8446, 5.4).
            let end = inside.iter().rposition(|&byte| byte != 0)?;
            let kind = inside[end];
            inside.truncate(end);
            return Some(kind);
        }
        let [kind, high, low, ..] = header;
        let mut with = number.to_be_bytes().to_vec();
        with.extend([kind, high, low]);
        with.extend((length as u16).to_be_bytes());
        self.open_in_place(nonce, &with, inside)?;
        Some(kind)
    }

    /// The header and the content of the record with this number that holds so much of that kind.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn seal(&self, number: u64, kind: u8, inside: &[u8]) -> Vec<u8> {
        let Suite { is_1_3, .. } = self.suite;
        let Key::Ring(key) = &self.key else {
            unreachable!("records are sealed with AES-GCM");
        };
        let mut nonce = self.iv;
        let low = &mut nonce[NONCE_LEN - 8..];
        for (byte, with) in low.iter_mut().zip(number.to_be_bytes()) {
            *byte ^= with;
        }
        let mut sealed = inside.to_vec();
        let (outer, mut with, before) = if is_1_3 {
            sealed.push(kind);
            (record::DATA, Vec::new(), Vec::new())
        } else {
            let with = [&number.to_be_bytes()[..], &[kind, 3, 3]].concat();
            let length = (inside.len() as u16).to_be_bytes();
            (
                kind,
                [&with[..], &length].concat(),
                nonce[NONCE_LEN - EXPLICIT..].to_vec(),
            )
        };
        let length = (before.len() + sealed.len() + TAG) as u16;
        let [high, low] = length.to_be_bytes();
        let header = [outer, 3, 3, high, low];
        if is_1_3 {
            with = header.to_vec();
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        if key
            .seal_in_place_append_tag(nonce, Aad::from(with), &mut sealed)
            .is_err()
        {
            unreachable!("a record is short");
        }
        [&header[..], &before, &sealed].concat()
    }

    fn open_in_place(
        &self,
        nonce: [u8; NONCE_LEN],
        with: &[u8],
        inside: &mut Vec<u8>,
    ) -> Option<()> {
        let ccm_nonce = nonce.into();
        match &self.key {
            Key::Ring(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                let length = key
                    .open_in_place(nonce, Aad::from(with), inside)
                    .ok()?
                    .len();
                inside.truncate(length);
                Some(())
            }
            Key::Ccm128(key) => key.decrypt_in_place(&ccm_nonce, with, inside).ok(),
            Key::Ccm256(key) => key.decrypt_in_place(&ccm_nonce, with, inside).ok(),
            Key::Ccm128Short(key) => key.decrypt_in_place(&ccm_nonce, with, inside).ok(),
            Key::Ccm256Short(key) => key.decrypt_in_place(&ccm_nonce, with, inside).ok(),
        }
    }
}
