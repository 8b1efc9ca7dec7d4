//! Heads as they come in: whole, in pieces, or the same once more.

use crate::http::head::{self, LONGEST_HEAD, Parsed};
use crate::packet::Mark;

/// A head that goes on in another segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Partial {
    pub(super) bytes: Vec<u8>,
    pub(super) from: u64,
    pub(super) start: Mark,
}

/// Longest head that is remembered: connections are many.
const LONGEST_AGAIN: usize = 512;

/// The last head of a side, for the next one that is the same to the byte: on a connection that is kept alive most are,
/// from a load test, a health check, or within a second of the `Date` before.
#[derive(Clone, Debug)]
pub(super) struct Again<T> {
    bytes: Vec<u8>,
    head: Option<T>,
}

impl<T> Default for Again<T> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            head: None,
        }
    }
}

impl<T: Clone> Again<T> {
    fn of(&self, rest: &[u8]) -> Option<(T, usize)> {
        let head = self.head.as_ref()?;
        rest.starts_with(&self.bytes)
            .then(|| (head.clone(), self.bytes.len()))
    }

    fn remember(&mut self, bytes: &[u8], head: &T) {
        self.bytes.clear();
        self.head = None;
        if bytes.len() <= LONGEST_AGAIN {
            self.bytes.extend_from_slice(bytes);
            self.head = Some(head.clone());
        }
    }
}

impl Partial {
    /// Takes bytes of a head. Returns how many of them were taken.
    pub(super) fn feed<T: Clone>(
        &mut self,
        rest: &[u8],
        parse: fn(&[u8]) -> Parsed<T>,
        again: &mut Again<T>,
    ) -> (Parsed<T>, usize) {
        if self.bytes.is_empty() {
            if let Some((head, used)) = again.of(rest) {
                return (Parsed::Whole(head, used), used);
            }
            let parsed = parse(rest);
            return match parsed {
                Parsed::Whole(head, used) => {
                    again.remember(&rest[..used], &head);
                    (Parsed::Whole(head, used), used)
                }
                Parsed::Partial if rest.len() <= LONGEST_HEAD => {
                    self.bytes.extend_from_slice(rest);
                    (parsed, rest.len())
                }
                _ => (Parsed::Invalid, 0),
            };
        }
        let before = self.bytes.len();
        let room = (LONGEST_HEAD + 1).saturating_sub(before);
        self.bytes.extend_from_slice(&rest[..rest.len().min(room)]);
        // The blank line is looked for first: parsing a growing buffer again and again would be quadratic.
        match head::end_of_head(&self.bytes, before) {
            Some(end) => match parse(&self.bytes[..end]) {
                parsed @ Parsed::Whole(..) => (parsed, end - before),
                _ => (Parsed::Invalid, 0),
            },
            None if self.bytes.len() > LONGEST_HEAD => (Parsed::Invalid, 0),
            None => (Parsed::Partial, rest.len()),
        }
    }
}
