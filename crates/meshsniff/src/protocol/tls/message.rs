//! Messages of the handshake, whatever records they are cut into (RFC 8446, 4).

/// Length of a message's header.
const HEADER: usize = 4;
/// A hello longer than this is not kept: keys for after the quantum computer take two kilobytes.
const MAX_KEPT: usize = 16 << 10;

/// Hellos: the client's and the server's.
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
/// What else the server says of the connection, in TLS 1.3.
pub(super) const ENCRYPTED_EXTENSIONS: u8 = 8;
/// The server wants the client's.
pub(super) const CERTIFICATE_REQUEST: u8 = 13;

/// One side's messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    header: [u8; HEADER],
    read: usize,
    /// Bytes of the content that are to come.
    left: usize,
    /// A hello's bytes, with its header.
    kept: Option<Vec<u8>>,
    /// Whether a boundary cannot be known any more.
    lost: bool,
}

impl Messages {
    /// The next bytes. Tells each message that is whole: its kind, and all of it if it is read.
    pub(super) fn bytes(&mut self, mut bytes: &[u8], whole: &mut dyn FnMut(u8, Option<&[u8]>)) {
        while !self.lost && !bytes.is_empty() {
            if self.read < HEADER {
                let take = bytes.len().min(HEADER - self.read);
                self.header[self.read..self.read + take].copy_from_slice(&bytes[..take]);
                self.read += take;
                bytes = &bytes[take..];
                if self.read < HEADER {
                    return;
                }
                let [kind, high, middle, low] = self.header;
                self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
                let read = matches!(kind, CLIENT_HELLO | SERVER_HELLO | ENCRYPTED_EXTENSIONS);
                self.kept = (read && self.left <= MAX_KEPT).then(|| self.header.to_vec());
            }
            let take = bytes.len().min(self.left);
            if let Some(kept) = &mut self.kept {
                kept.extend_from_slice(&bytes[..take]);
            }
            self.left -= take;
            bytes = &bytes[take..];
            self.end(whole);
        }
    }

    /// Bytes that are not in the capture.
    pub(super) fn missing(&mut self, count: usize, whole: &mut dyn FnMut(u8, Option<&[u8]>)) {
        self.kept = None;
        self.lost |= self.read < HEADER || count > self.left;
        if !self.lost {
            self.left -= count;
            self.end(whole);
        }
    }

    fn end(&mut self, whole: &mut dyn FnMut(u8, Option<&[u8]>)) {
        if self.left == 0 {
            whole(self.header[0], self.kept.take().as_deref());
            self.read = 0;
        }
    }

    /// Bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        self.kept.as_ref().map_or(0, Vec::capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&[u8]]) -> Vec<(u8, Option<usize>)> {
        let (mut messages, mut told) = (Messages::default(), Vec::new());
        for piece in pieces {
            messages.bytes(piece, &mut |kind, kept| {
                told.push((kind, kept.map(<[u8]>::len)));
            });
        }
        told
    }

    #[test]
    fn messages_in_whatever_pieces() {
        let all = [
            [1, 0, 0, 3, 9, 9, 9].as_slice(),
            &[14, 0, 0, 0],
            &[11, 0, 0, 2, 7, 7],
        ]
        .concat();
        let known = vec![(1, Some(7)), (14, None), (11, None)];
        for cut in 1..all.len() {
            let pieces: Vec<&[u8]> = all.chunks(cut).collect();
            assert_eq!(told(&pieces), known, "pieces of {cut}");
        }
    }

    #[test]
    fn a_hole_takes_a_message_or_all_that_follow() {
        let mut messages = Messages::default();
        let mut kinds = Vec::new();
        messages.bytes(&[2, 0, 0, 5, 1], &mut |kind, _| kinds.push(kind));
        messages.missing(4, &mut |kind, kept| {
            assert_eq!(kept, None);
            kinds.push(kind);
        });
        messages.bytes(&[13, 0, 0, 0, 11, 0], &mut |kind, _| kinds.push(kind));
        messages.missing(1, &mut |kind, _| kinds.push(kind));
        messages.bytes(&[14, 0, 0, 0], &mut |kind, _| kinds.push(kind));
        assert_eq!(kinds, [2, 13], "behind a lost header no boundary is known");
    }

    #[test]
    fn a_hello_without_end_is_not_kept() {
        let mut messages = Messages::default();
        messages.bytes(&[1, 0xff, 0xff, 0xff], &mut |_, _| {});
        for _ in 0..1000 {
            messages.bytes(&[0; 1000], &mut |_, _| {});
        }
        assert_eq!(messages.weight(), 0);
    }
}
