//! Records, whatever pieces they come in (RFC 8446, 5.1).

/// Length of a record's header.
pub(super) const HEADER: usize = 5;
/// The longest record that a peer may send, with room for what old ciphers add.
pub(super) const MAX_RECORD: usize = 16_640;

/// A change of the cipher.
pub(super) const CHANGE_CIPHER: u8 = 20;
/// An alert.
pub(super) const ALERT: u8 = 21;
/// Part of the handshake.
pub(super) const HANDSHAKE: u8 = 22;
/// Application data, and everything that TLS 1.3 encrypts.
pub(super) const DATA: u8 = 23;

/// A record being read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    header: [u8; HEADER],
    /// Bytes of the header, and then of the content, that were read.
    read: usize,
    /// The first two bytes of the content.
    pub(super) begin: [u8; 2],
}

impl Record {
    /// Takes of the header what is there. Returns how many bytes, or `None` if it is no record's.
    pub(super) fn take_header(&mut self, bytes: &[u8]) -> Option<usize> {
        let take = bytes.len().min(HEADER - self.read);
        self.header[self.read..self.read + take].copy_from_slice(&bytes[..take]);
        self.read += take;
        self.begins_like_tls().then_some(take)
    }

    /// Takes of the content what is there. Returns how many bytes.
    pub(super) fn take_content(&mut self, bytes: &[u8]) -> usize {
        let take = bytes.len().min(self.left());
        let at = self.read - HEADER;
        for (place, &byte) in (at..self.begin.len()).zip(&bytes[..take]) {
            self.begin[place] = byte;
        }
        self.read += take;
        take
    }

    /// Steps over content that is not in the capture. False if it is not all of this record's.
    pub(super) fn step_over(&mut self, count: u64) -> bool {
        let inside = self.has_header() && count <= self.left() as u64;
        if inside {
            self.read += count as usize;
        }
        inside
    }

    fn begins_like_tls(&self) -> bool {
        let read = self.read.min(HEADER);
        let kind = read < 1 || (20..=24).contains(&self.header[0]);
        let version = read < 2 || self.header[1] == 3;
        kind && version && (read < HEADER || self.length() <= MAX_RECORD)
    }

    /// Whether nothing of it has come.
    pub(super) const fn is_new(&self) -> bool {
        self.read == 0
    }

    /// Whether its header is whole.
    pub(super) const fn has_header(&self) -> bool {
        self.read >= HEADER
    }

    /// Whether all of it has come.
    pub(super) fn is_whole(&self) -> bool {
        self.has_header() && self.left() == 0
    }

    /// Its type, once it has a header.
    pub(super) const fn kind(&self) -> u8 {
        self.header[0]
    }

    /// The length of its content.
    pub(super) fn length(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[3], self.header[4]]))
    }

    fn left(&self) -> usize {
        (HEADER + self.length()).saturating_sub(self.read)
    }

    /// Bytes of its content that were read.
    pub(super) const fn content_read(&self) -> usize {
        self.read.saturating_sub(HEADER)
    }
}
