//! What the hellos say: names and offers of the client, choices of the server.

use super::message;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use tls_parser::{
    TlsCipherSuite, TlsExtension, TlsMessageHandshake, parse_tls_client_hello_extension,
    parse_tls_handshake_msg_client_hello, parse_tls_handshake_msg_server_hello,
    parse_tls_server_hello_extension,
};

/// A name of a host has no more characters (RFC 1035, 2.3.4).
const MAX_NAME: usize = 255;
/// So many protocols of ALPN are kept.
const MAX_PROTOCOLS: usize = 8;
/// And so many characters of each.
const MAX_PROTOCOL: usize = 64;
/// The random bytes that make a ServerHello a HelloRetryRequest (RFC 8446, 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The random bytes of a hello.
pub(super) type Random = [u8; 32];

/// The number of the extension `early_data` (RFC 8446, 4.2.10).
const EARLY_DATA: [u8; 2] = 42_u16.to_be_bytes();

/// A version of the protocol, by its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u16);

impl Version {
    /// TLS 1.2.
    pub const TLS_1_2: Self = Self(0x0303);
    /// TLS 1.3.
    pub const TLS_1_3: Self = Self(0x0304);

    /// As people call it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x0300 => "SSL 3.0",
            0x0301 => "TLS 1.0",
            0x0302 => "TLS 1.1",
            0x0303 => "TLS 1.2",
            // Before it had its number it was that of a draft.
            0x0304 | 0x7f00..=0x7fff => "TLS 1.3",
            _ => return None,
        })
    }

    /// Whether it is TLS 1.3 or one of its drafts.
    #[must_use]
    pub const fn is_1_3(self) -> bool {
        matches!(self.0, 0x0304 | 0x7f00..=0x7fff)
    }
}

/// A cipher suite, by its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cipher(pub u16);

impl Cipher {
    /// Its name in IANA's registry.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        TlsCipherSuite::from_id(self.0).map(|suite| suite.name)
    }

    /// The length of an encrypted Finished in TLS 1.3: a header of four bytes, a hash, the type
    /// and a tag of sixteen.
    pub(super) const fn finished(self) -> usize {
        match self.0 {
            // Those with SHA-384.
            0x1302 => 4 + 48 + 17,
            _ => 4 + 32 + 17,
        }
    }
}

/// What a client's hello offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// The random bytes by which a key log names the session.
    pub(super) random: Random,
    pub(super) sni: Option<CompactString>,
    pub(super) alpn: Vec<CompactString>,
    pub(super) session: Vec<u8>,
    pub(super) early_data: bool,
}

/// What a server's hello chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) random: Random,
    pub(super) version: Version,
    pub(super) cipher: Cipher,
    pub(super) session: Vec<u8>,
    pub(super) alpn: Option<CompactString>,
    /// A key that both had before was taken (TLS 1.3).
    pub(super) known_key: bool,
    /// It is a HelloRetryRequest.
    pub(super) retry: bool,
}

/// Reads a client's hello; `message` with its header.
pub(super) fn offer(message: &[u8]) -> Option<Offer> {
    let content = content(message, message::CLIENT_HELLO)?;
    let (_, TlsMessageHandshake::ClientHello(hello)) =
        parse_tls_handshake_msg_client_hello(content).ok()?
    else {
        return None;
    };
    let mut offer = Offer {
        random: hello.random.try_into().ok()?,
        session: hello.session_id.unwrap_or_default().to_vec(),
        ..Offer::default()
    };
    each_extension(hello.ext, |one| {
        match parse_tls_client_hello_extension(one) {
            Ok((_, TlsExtension::SNI(names))) => {
                offer.sni = names.first().map(|(_, name)| kept(name, MAX_NAME));
            }
            Ok((_, TlsExtension::ALPN(names))) => {
                let names = names.iter().take(MAX_PROTOCOLS);
                offer.alpn = names.map(|name| kept(name, MAX_PROTOCOL)).collect();
            }
            Ok((_, TlsExtension::EarlyData(_))) => offer.early_data = true,
            _ => {}
        }
    });
    Some(offer)
}

/// Reads a server's hello; `message` with its header.
pub(super) fn choice(message: &[u8]) -> Option<Choice> {
    let content = content(message, message::SERVER_HELLO)?;
    let (_, TlsMessageHandshake::ServerHello(hello)) =
        parse_tls_handshake_msg_server_hello(content).ok()?
    else {
        return None;
    };
    let mut choice = Choice {
        random: hello.random.try_into().ok()?,
        version: Version(hello.version.0),
        cipher: Cipher(hello.cipher.0),
        session: hello.session_id.unwrap_or_default().to_vec(),
        alpn: None,
        known_key: false,
        retry: hello.random == RETRY,
    };
    each_extension(hello.ext, |one| {
        match parse_tls_server_hello_extension(one) {
            Ok((_, TlsExtension::SupportedVersions(versions))) => {
                choice.version = versions
                    .first()
                    .map_or(choice.version, |one| Version(one.0));
            }
            Ok((_, TlsExtension::ALPN(names))) => {
                choice.alpn = names.first().map(|name| kept(name, MAX_PROTOCOL));
            }
            Ok((_, TlsExtension::PreSharedKey(_))) => choice.known_key = true,
            _ => {}
        }
    });
    Some(choice)
}

/// What a server says beside its hello, in TLS 1.3: the protocol of ALPN, and whether it takes what
/// the client sent with its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) protocol: Option<CompactString>,
    pub(super) early: bool,
}

/// Reads a server's encrypted extensions; `message` with its header.
pub(super) fn inside(message: &[u8]) -> Inside {
    let content = content(message, message::ENCRYPTED_EXTENSIONS).unwrap_or_default();
    let mut inside = Inside::default();
    each_extension(content.get(2..), |one| {
        if one.starts_with(&EARLY_DATA) {
            inside.early = true;
        }
        if let Ok((_, TlsExtension::ALPN(names))) = parse_tls_server_hello_extension(one) {
            inside.protocol = names.first().map(|name| kept(name, MAX_PROTOCOL));
        }
    });
    inside
}

fn content(message: &[u8], kind: u8) -> Option<&[u8]> {
    let (header, content) = message.split_first_chunk::<4>()?;
    (header[0] == kind).then_some(content)
}

/// Each extension with its header: one that cannot be read takes no other with it.
fn each_extension(extensions: Option<&[u8]>, mut look: impl FnMut(&[u8])) {
    let mut rest = extensions.unwrap_or_default();
    while let Some(header) = rest.first_chunk::<4>() {
        let length = 4 + usize::from(u16::from_be_bytes([header[2], header[3]]));
        let Some((one, others)) = rest.split_at_checked(length) else {
            return;
        };
        look(one);
        rest = others;
    }
}

/// Bytes of the peer as text.
fn kept(bytes: &[u8], most: usize) -> CompactString {
    CompactString::from_utf8_lossy(&bytes[..bytes.len().min(most)])
}
