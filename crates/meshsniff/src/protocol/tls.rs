//! TLS without keys: how far the handshake came, and what broke it.
//!
//! Only record headers, the kind of the hellos and plain alerts are read (RFC 8446, 5.1 and 6). What
//! is encrypted is counted by its records' lengths.

use crate::packet::Mark;
use crate::tcp::Side;
use serde::{Deserialize, Serialize};

/// Length of a record's header.
const HEADER: usize = 5;
/// The longest record that a peer may send, with room for what old ciphers add.
const MAX_RECORD: usize = 16_640;
/// An encrypted record with nothing but an alert: two bytes, the content type, and a tag of 16.
const ENCRYPTED_ALERT: usize = 19;

/// An alert: who sent it, and which; `None` if it is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The sender.
    pub by: Side,
    /// Its description (RFC 8446, 6).
    pub description: Option<u8>,
}

impl Alert {
    /// The name of the description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let Some(description) = self.description else {
            return "an encrypted alert";
        };
        match description {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => "an unknown alert",
        }
    }
}

/// A record being read.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    header: [u8; HEADER],
    /// Bytes of the header, and then of the content, that were read.
    read: usize,
    /// The first two bytes of the content.
    begin: [u8; 2],
}

/// One side's records.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    record: Record,
    /// Whether it has sent a hello of its kind.
    hello: bool,
    /// Whether what it sends is encrypted from here on.
    encrypts: bool,
    /// Whether it has sent anything encrypted that is more than an alert.
    finished: bool,
    /// Whether its records cannot be told any more.
    lost: bool,
}

/// The handshake of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handshake {
    sent: [Sent; 2],
    alert: Option<Alert>,
    /// The server's first bytes, if they are no TLS.
    plain: Option<Mark>,
}

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Handshake {
    /// The next bytes of a side.
    pub fn bytes(&mut self, side: Side, mut bytes: &[u8], mark: Mark) {
        while !bytes.is_empty() && !self.sent[index(side)].lost && self.plain.is_none() {
            let record = &mut self.sent[index(side)].record;
            if record.read < HEADER {
                let take = bytes.len().min(HEADER - record.read);
                record.header[record.read..record.read + take].copy_from_slice(&bytes[..take]);
                record.read += take;
                bytes = &bytes[take..];
                if !record.begins_like_tls() {
                    self.no_tls(side, mark);
                }
            } else {
                let taken = record.content(bytes);
                bytes = &bytes[taken..];
                self.hear_hello(side);
            }
            self.end_record(side);
        }
    }

    /// So many bytes of a side are not in the capture.
    pub fn missing(&mut self, side: Side, count: u64) {
        let sent = &mut self.sent[index(side)];
        let left = sent.record.left() as u64;
        if sent.record.read < HEADER || count > left {
            sent.lost = true;
            return;
        }
        sent.record.read += count as usize;
        self.end_record(side);
    }

    /// A hello is known by its first byte: a server need not wait for the rest to be silent.
    fn hear_hello(&mut self, side: Side) {
        let sent = &mut self.sent[index(side)];
        let hello = match side {
            Side::Client => 1,
            Side::Server => 2,
        };
        let handshake = sent.record.header[0] == 22 && !sent.encrypts;
        sent.hello |= handshake && sent.record.read > HEADER && sent.record.begin[0] == hello;
    }

    /// The server does not speak TLS, or a side's records were lost.
    const fn no_tls(&mut self, side: Side, mark: Mark) {
        if matches!(side, Side::Server) && !self.sent[1].hello {
            self.plain = Some(mark);
        } else {
            self.sent[index(side)].lost = true;
        }
    }

    fn end_record(&mut self, side: Side) {
        let sent = &mut self.sent[index(side)];
        let record = sent.record;
        if record.read < HEADER || record.left() > 0 {
            return;
        }
        sent.record = Record::default();
        let length = record.length();
        // After a HelloRetryRequest a hello comes again, behind a change of ciphers that means nothing.
        let hello = match side {
            Side::Client => 1,
            Side::Server => 2,
        };
        let again = record.header[0] == 22 && record.begin == [hello, 0] && !sent.finished;
        match record.header[0] {
            22 if again => sent.encrypts = false,
            20 => sent.encrypts = true,
            21 if !sent.encrypts && length == 2 => {
                self.alert.get_or_insert(Alert {
                    by: side,
                    description: Some(record.begin[1]),
                });
            }
            22 if !sent.encrypts => {}
            // TLS 1.3 calls everything application data once it is encrypted.
            23 if length == ENCRYPTED_ALERT && !sent.finished => {
                sent.encrypts = true;
                self.alert.get_or_insert(Alert {
                    by: side,
                    description: None,
                });
            }
            _ => {
                sent.encrypts = true;
                sent.finished = true;
            }
        }
    }

    /// Whether the client has said hello.
    #[must_use]
    pub const fn is_begun(&self) -> bool {
        self.sent[0].hello
    }

    /// Whether the server has said hello.
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        self.sent[1].hello
    }

    /// Whether both sides have finished it.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.sent[0].finished && self.sent[1].finished
    }

    /// Whether the capture does not show how it went: whether the server answered, or, once it has,
    /// whether the client went on.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        let [client, server] = &self.sent;
        server.lost || server.hello && client.lost
    }

    /// The first alert.
    #[must_use]
    pub const fn alert(&self) -> Option<Alert> {
        self.alert
    }

    /// The server's first bytes, if they are no TLS.
    #[must_use]
    pub const fn plain_answer(&self) -> Option<Mark> {
        self.plain
    }
}

impl Record {
    fn begins_like_tls(&self) -> bool {
        let read = self.read.min(HEADER);
        let kind = read < 1 || (20..=24).contains(&self.header[0]);
        let version = read < 2 || self.header[1] == 3;
        kind && version && (read < HEADER || self.length() <= MAX_RECORD)
    }

    fn length(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[3], self.header[4]]))
    }

    fn left(&self) -> usize {
        (HEADER + self.length()).saturating_sub(self.read)
    }

    /// Takes content. Returns how many bytes of it.
    fn content(&mut self, bytes: &[u8]) -> usize {
        let take = bytes.len().min(self.left());
        let at = self.read - HEADER;
        for (place, &byte) in (at..self.begin.len()).zip(&bytes[..take]) {
            self.begin[place] = byte;
        }
        self.read += take;
        take
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Side::{Client, Server};

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 3, 3];
        record.extend((content.len() as u16).to_be_bytes());
        record.extend(content);
        record
    }

    fn hello(kind: u8) -> Vec<u8> {
        record(22, &[kind, 0, 0, 2, 3, 3])
    }

    /// What is said, cut into pieces of `cut` bytes.
    fn said(cut: usize, said: &[(Side, Vec<u8>)]) -> Handshake {
        let mut handshake = Handshake::default();
        for (side, bytes) in said {
            for piece in bytes.chunks(cut) {
                handshake.bytes(*side, piece, Mark::default());
            }
        }
        handshake
    }

    fn whole() -> Vec<(Side, Vec<u8>)> {
        vec![
            (Client, hello(1)),
            (
                Server,
                [hello(2), record(20, &[1]), record(23, &[0; 900])].concat(),
            ),
            (Client, [record(20, &[1]), record(23, &[0; 53])].concat()),
        ]
    }

    #[test]
    fn a_handshake_that_comes_to_its_end() {
        for cut in [1, 3, 1000] {
            for many in 0..3 {
                let handshake = said(cut, &whole()[..many]);
                assert_eq!(handshake.is_begun(), many > 0);
                assert_eq!(handshake.is_answered(), many > 1);
                assert!(!handshake.is_done() && !handshake.is_lost());
            }
            let handshake = said(cut, &whole());
            assert!(handshake.is_done() && handshake.alert().is_none());
        }
        let mut of_1_2 = whole();
        of_1_2[1].1 = [hello(2), record(22, &[11, 0])].concat();
        of_1_2[2].1 = [record(22, &[16]), record(20, &[1]), record(22, &[9; 40])].concat();
        of_1_2.push((Server, [record(20, &[1]), record(22, &[9; 40])].concat()));
        assert!(said(7, &of_1_2).is_done());
    }

    #[test]
    fn alerts_plain_and_encrypted() {
        let plain = said(2, &[(Client, hello(1)), (Server, record(21, &[2, 112]))]);
        let alert = plain.alert().unwrap();
        assert_eq!((alert.by, alert.name()), (Server, "unrecognized_name"));
        let mut refused = whole();
        refused[2].1 = [record(20, &[1]), record(23, &[0; 19])].concat();
        let refused = said(50, &refused);
        let alert = refused.alert().unwrap();
        assert_eq!((alert.by, alert.description), (Client, None));
        assert!(!refused.is_done());
    }

    #[test]
    fn plain_text_and_lost_records() {
        let plain = said(
            3,
            &[(Client, hello(1)), (Server, b"HTTP/1.1 400 Bad".to_vec())],
        );
        assert!(plain.plain_answer().is_some() && !plain.is_lost());
        let client = (Client, [hello(1), b"GET /".to_vec()].concat());
        assert!(
            !said(3, std::slice::from_ref(&client)).is_lost(),
            "the server has not answered"
        );
        assert!(said(3, &[client, (Server, hello(2))]).is_lost());
        let mut cut = Handshake::default();
        cut.bytes(Client, &hello(1)[..9], Mark::default());
        cut.missing(Client, 2);
        assert!(cut.is_begun() && !cut.is_lost());
        cut.missing(Client, 1);
        cut.bytes(Server, &hello(2), Mark::default());
        assert!(cut.is_lost());
    }
}
