//! What an exchange said, byte for byte: kept only where somebody asks for it.

/// Bytes of a head that are kept: whoever sends more has something else in mind.
const MAX_HEAD: usize = 16 << 10;

/// A message as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its head, from the first line to the blank one, if all of it is there.
    pub head: Vec<u8>,
    /// The beginning of its body as it was framed, chunk sizes included.
    pub body: Vec<u8>,
    /// Whether that is all of its body, as far as it was sent.
    pub whole: bool,
}

/// Both messages of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The request.
    pub request: Message,
    /// The final response.
    pub response: Message,
}

impl Said {
    /// Bytes that it takes.
    #[must_use]
    pub const fn weight(&self) -> usize {
        let request = self.request.head.capacity() + self.request.body.capacity();
        size_of::<Self>() + request + self.response.head.capacity() + self.response.body.capacity()
    }
}

/// A message that is being kept.
#[derive(Clone, Debug)]
pub(super) struct Keeping {
    message: Message,
    /// Bytes of the body that are kept.
    most: usize,
    /// Whether its head is too long.
    headless: bool,
}

impl Keeping {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            message: Message {
                head: Vec::new(),
                body: Vec::new(),
                whole: true,
            },
            most,
            headless: false,
        }
    }

    /// The next bytes of its head.
    pub(super) fn head(&mut self, bytes: &[u8]) {
        self.headless |= self.message.head.len() + bytes.len() > MAX_HEAD;
        if self.headless {
            self.message.head = Vec::new();
        } else {
            self.message.head.extend(bytes);
        }
    }

    /// Another message begins: what came so far was none of this exchange.
    pub(super) fn begin(&mut self) {
        *self = Self::new(self.most);
    }

    /// The next bytes of its body.
    pub(super) fn body(&mut self, bytes: &[u8]) {
        if self.message.whole {
            let room = self.most - self.message.body.len();
            self.message.whole = bytes.len() <= room;
            self.message.body.extend(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Bytes of it are missing.
    pub(super) const fn lose(&mut self) {
        self.message.whole = false;
    }

    pub(super) fn end(self) -> Message {
        self.message
    }

    pub(super) const fn weight(&self) -> usize {
        self.message.head.capacity() + self.message.body.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_was_asked_for() {
        let mut keeping = Keeping::new(5);
        keeping.head(b"GET / HTTP/1.1\r\n");
        keeping.head(b"\r\n");
        keeping.body(b"abc");
        keeping.body(b"de");
        let message = keeping.clone().end();
        assert_eq!(message.head, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(
            (message.body.as_slice(), message.whole),
            (&b"abcde"[..], true)
        );
        keeping.body(b"f");
        let message = keeping.clone().end();
        assert_eq!(
            (message.body.as_slice(), message.whole),
            (&b"abcde"[..], false)
        );
        // What stands behind a hole is not joined to what stands before it.
        keeping.begin();
        keeping.body(b"a");
        keeping.lose();
        keeping.body(b"c");
        assert_eq!(keeping.clone().end().body, b"a");
        // A head without its beginning is none.
        keeping.begin();
        keeping.head(&[b'x'; MAX_HEAD]);
        keeping.head(b"end");
        assert!(keeping.end().head.is_empty());
    }
}
