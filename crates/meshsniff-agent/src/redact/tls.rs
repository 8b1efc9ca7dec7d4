//! Records of TLS: their heads are shown, and of what they hold how the connection got on.

use super::out::Out;

/// Length of a TLS record's header, and of the longest record (RFC 8446, 5.1, with room for what
/// old ciphers add).
const RECORD_HEADER: usize = 5;
const MAX_RECORD: u16 = 16_640;

/// A record's type.
pub(super) const HANDSHAKE: u8 = 22;

/// A record of TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    header: [u8; RECORD_HEADER],
    /// Bytes of the header that were seen.
    seen: usize,
    /// Bytes that are due after it.
    due: usize,
    /// Whether the handshake is to be seen: not where the beginning was missed.
    from_start: bool,
}

impl Record {
    pub(super) const fn new(from_start: bool) -> Self {
        Self {
            header: [0; RECORD_HEADER],
            seen: 0,
            due: 0,
            from_start,
        }
    }

    fn pass(&mut self, len: usize) {
        self.due -= len;
        if self.due == 0 {
            self.seen = 0;
        }
    }

    /// Passes over bytes that are missing, if they are of the same record.
    pub(super) fn step(&mut self, missing: usize) -> bool {
        let is_within = self.seen == RECORD_HEADER && self.due >= missing;
        if is_within {
            self.pass(missing);
        }
        is_within
    }

    /// Decides on the next bytes. `false` if they are no record.
    pub(super) fn read(&mut self, out: &mut Out<'_>) -> bool {
        if self.seen == RECORD_HEADER {
            let len = self.due.min(out.rest().len());
            if self.shows() {
                out.show(len);
            } else {
                out.hide(len);
            }
            self.pass(len);
            return true;
        }
        let len = (RECORD_HEADER - self.seen).min(out.rest().len());
        self.header[self.seen..self.seen + len].copy_from_slice(&out.rest()[..len]);
        self.seen += len;
        let &[kind, major, minor, high, low] = &self.header;
        let length = u16::from_be_bytes([high, low]);
        let is_record = (20..=24).contains(&kind)
            && (self.seen < 2 || major == 3)
            && (self.seen < 3 || minor <= 4)
            && (self.seen < RECORD_HEADER || length <= MAX_RECORD);
        if !is_record {
            return false;
        }
        out.show(len);
        if self.seen == RECORD_HEADER {
            self.due = usize::from(length);
            self.pass(0);
        }
        true
    }

    /// Whether what the record holds may be seen: how a connection got on, nothing of what was said.
    const fn shows(&self) -> bool {
        const CHANGE_CIPHER_SPEC: u8 = 20;
        const ALERT: u8 = 21;
        let [kind, _, _, high, low] = self.header;
        match (kind, high, low) {
            (CHANGE_CIPHER_SPEC, 0, 1) | (ALERT, 0, 2) => true,
            (HANDSHAKE, ..) => self.from_start,
            _ => false,
        }
    }
}
