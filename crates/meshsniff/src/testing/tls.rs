//! Records of TLS sessions whose keys are known.

use crate::protocol::tls::sealing::{Sealing, Suite};
use crate::tcp::Side;

/// `TLS_AES_128_GCM_SHA256`.
const CIPHER_1_3: u16 = 0x1301;
/// `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`.
const CIPHER_1_2: u16 = 0xc02b;
const RANDOMS: [u8; 2] = [0xc1, 0x5e];
const SECRETS: [u8; 2] = [0xaa, 0xbb];
const HANDSHAKE: [u8; 2] = [0xa5, 0xb5];
const MASTER: u8 = 0xcc;

/// Both sides of a session.
pub struct TlsSession {
    is_1_3: bool,
    sides: [Sealing; 2],
}

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

/// A record in plain text.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend((content.len() as u16).to_be_bytes());
    record.extend(content);
    record
}

/// A message of the handshake, in a record.
fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0];
    message.extend((content.len() as u16).to_be_bytes());
    message.extend(content);
    record(22, &message)
}

impl TlsSession {
    /// Of TLS 1.3 or 1.2, with AES-GCM.
    #[must_use]
    pub fn new(is_1_3: bool) -> Self {
        let sides = if is_1_3 {
            let suite = Suite::new(CIPHER_1_3, true);
            SECRETS.map(|secret| suite.of_secret(&[secret; 32]))
        } else {
            let suite = Suite::new(CIPHER_1_2, false);
            suite.of_master(&[MASTER; 48], RANDOMS.map(|random| [random; 32]))
        };
        Self { is_1_3, sides }
    }

    /// The key log that opens it; with other secrets where it is the wrong one.
    #[must_use]
    pub fn log(&self, right: bool) -> String {
        let digits = |byte: u8, count: usize| {
            let byte = if right { byte } else { !byte };
            format!("{byte:02x}").repeat(count)
        };
        let random = format!("{:02x}", RANDOMS[0]).repeat(32);
        if self.is_1_3 {
            let [client, server] = SECRETS.map(|secret| digits(secret, 32));
            format!(
                "CLIENT_TRAFFIC_SECRET_0 {random} {client}\nSERVER_TRAFFIC_SECRET_0 {random} {server}\n"
            )
        } else {
            format!("CLIENT_RANDOM {random} {}\n", digits(MASTER, 48))
        }
    }

    /// What that log lacks for [`TlsSession::finished`] in TLS 1.3.
    #[must_use]
    pub fn handshake_log(&self) -> String {
        let random = format!("{:02x}", RANDOMS[0]).repeat(32);
        let [client, server] = HANDSHAKE.map(|secret| format!("{secret:02x}").repeat(32));
        format!(
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET {random} {client}\nSERVER_HANDSHAKE_TRAFFIC_SECRET {random} {server}\n"
        )
    }

    /// The last message of a side's handshake.
    pub fn finished(&mut self, side: Side) -> Vec<u8> {
        let length = if self.is_1_3 { 32 } else { 12 };
        let message = [[20, 0, 0, length].as_slice(), &vec![7; length.into()]].concat();
        if self.is_1_3 {
            let suite = Suite::new(CIPHER_1_3, true);
            let mut sealing = suite.of_secret(&[HANDSHAKE[index(side)]; 32]);
            sealing.seal(22, &message)
        } else {
            self.sides[index(side)].seal(22, &message)
        }
    }

    /// What a side says in plain text: its hello, and of TLS 1.2 that it encrypts from here on.
    #[must_use]
    pub fn hello(&self, side: Side) -> Vec<u8> {
        let mut content = vec![3, 3];
        content.extend([RANDOMS[index(side)]; 32]);
        content.push(0); // no session
        let cipher = if self.is_1_3 { CIPHER_1_3 } else { CIPHER_1_2 };
        // supported_versions: TLS 1.3
        let extensions: &[u8] = match (self.is_1_3, side) {
            (true, Side::Client) => &[0, 7, 0, 43, 0, 3, 2, 3, 4],
            (true, Side::Server) => &[0, 6, 0, 43, 0, 2, 3, 4],
            (false, _) => &[],
        };
        match side {
            Side::Client => {
                content.extend([0, 2]);
                content.extend(cipher.to_be_bytes());
                content.extend([1, 0]); // no compression
                content.extend(extensions);
                message(1, &content)
            }
            Side::Server => {
                content.extend(cipher.to_be_bytes());
                content.push(0);
                content.extend(extensions);
                message(2, &content)
            }
        }
    }

    /// What a side of TLS 1.2 says before it encrypts.
    #[must_use]
    pub fn change_cipher(&self) -> Vec<u8> {
        match self.is_1_3 {
            true => Vec::new(),
            false => record(20, &[1]),
        }
    }

    /// A record with data.
    pub fn data(&mut self, side: Side, bytes: &[u8]) -> Vec<u8> {
        self.sides[index(side)].seal(23, bytes)
    }

    /// A record with an alert of that description.
    pub fn alert(&mut self, side: Side, description: u8) -> Vec<u8> {
        self.sides[index(side)].seal(21, &[1, description])
    }

    /// A key update of TLS 1.3: what follows has another key.
    pub fn update(&mut self, side: Side) -> Vec<u8> {
        let sealing = &mut self.sides[index(side)];
        let record = sealing.seal(22, &[24, 0, 0, 1, 0]);
        sealing.update();
        record
    }
}
