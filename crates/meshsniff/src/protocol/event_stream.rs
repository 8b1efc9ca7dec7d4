//! Server-sent events: a response that goes on, an event at a time ([HTML, 9.2][html]).
//!
//! [html]: https://html.spec.whatwg.org/multipage/server-sent-events.html

use memchr::memchr2;

/// The field without which a browser takes an event for none.
const DATA: &[u8; 4] = b"data";

/// What a body may begin with.
const BYTE_ORDER_MARK: &[u8; 3] = b"\xef\xbb\xbf";

/// Counts the events in a body.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    events: u64,
    comments: u64,
    /// Bytes of a byte order mark that have come, or might have.
    marked: usize,
    /// What the line being read is, as far as it came.
    line: Line,
    /// Whether the byte before was a CR: an LF behind it ends no other line.
    behind_cr: bool,
    /// Whether the event being read has data: else it is none.
    begun: bool,
    /// Whether bytes are missing, or cannot be read.
    is_lost: bool,
    /// Whether all that came was zeros; `None` if nothing did.
    is_blank: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Empty,
    Comment,
    /// So many bytes of it are those of [`DATA`].
    Perhaps(usize),
    Data,
    Other,
}

impl Line {
    /// It, with these bytes more.
    fn goes_on(mut self, bytes: &[u8]) -> Self {
        for &byte in bytes {
            self = match self {
                Self::Empty if byte == b':' => Self::Comment,
                Self::Empty if byte == DATA[0] => Self::Perhaps(1),
                Self::Perhaps(found) if DATA.get(found) == Some(&byte) => Self::Perhaps(found + 1),
                Self::Perhaps(found) if found == DATA.len() && byte == b':' => Self::Data,
                Self::Empty | Self::Perhaps(_) => Self::Other,
                Self::Comment | Self::Data | Self::Other => return self,
            };
        }
        self
    }
}

/// Whether a `content-type` announces such a body.
#[must_use]
pub fn is_announced(content_type: &[u8]) -> bool {
    let kind = content_type.split(|&b| b == b';').next();
    kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

impl Default for Counter {
    fn default() -> Self {
        Self {
            events: 0,
            comments: 0,
            marked: 0,
            line: Line::Empty,
            behind_cr: false,
            begun: false,
            is_lost: false,
            is_blank: None,
        }
    }
}

impl Counter {
    /// The next bytes of the body.
    pub fn bytes(&mut self, mut bytes: &[u8]) {
        // A byte order mark is none of the first line's.
        while let Some(mark) = BYTE_ORDER_MARK.get(self.marked)
            && let [first, rest @ ..] = bytes
        {
            if first == mark {
                self.marked += 1;
                bytes = rest;
            } else {
                self.marked = BYTE_ORDER_MARK.len();
            }
        }
        if !bytes.is_empty() && self.is_blank != Some(false) {
            self.is_blank = Some(bytes.iter().all(|&b| b == 0));
        }
        while let [first, rest @ ..] = bytes {
            if std::mem::take(&mut self.behind_cr) && *first == b'\n' {
                bytes = rest;
                continue;
            }
            let end = memchr2(b'\r', b'\n', bytes);
            self.line = self.line.goes_on(&bytes[..end.unwrap_or(bytes.len())]);
            let Some(end) = end else {
                return;
            };
            self.behind_cr = bytes[end] == b'\r';
            self.end_line();
            bytes = &bytes[end + 1..];
        }
    }

    const fn end_line(&mut self) {
        match self.line {
            Line::Comment => self.comments += 1,
            Line::Data | Line::Perhaps(4) => self.begun = true,
            Line::Perhaps(_) | Line::Other => {}
            Line::Empty => {
                self.events += self.begun as u64;
                self.begun = false;
            }
        }
        self.line = Line::Empty;
    }

    /// Bytes of the body are missing: an event may have ended among them.
    pub const fn lose(&mut self) {
        self.is_lost = true;
    }

    /// Events, and lines that are comments, which are what keeps a silent stream alive; `None` if
    /// bytes are missing, or an agent that shows no bodies sent zeros in their place.
    #[must_use]
    pub const fn counts(&self) -> Option<(u64, u64)> {
        if self.is_lost || matches!(self.is_blank, Some(true)) {
            return None;
        }
        Some((self.events, self.comments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(body: &str, size: usize) -> Option<(u64, u64)> {
        let mut counter = Counter::default();
        for piece in body.as_bytes().chunks(size) {
            counter.bytes(piece);
        }
        counter.counts()
    }

    #[test]
    fn events_are_counted_however_their_lines_end_and_are_cut() {
        for end in ["\n", "\r\n", "\r"] {
            let lines = [
                "data: a", "", ":", "", "event: b", "data", "", "id: 1", "", "datum", "", "data",
            ];
            let body = lines.join(end);
            for size in 1..=body.len() {
                assert_eq!(counts(&body, size), Some((2, 1)), "{body:?} by {size}");
            }
        }
    }

    #[test]
    fn comments_inside_an_event_are_no_event() {
        assert_eq!(counts(": hello\n\n: ping\ndata: a\n\n", 4), Some((1, 2)));
    }

    #[test]
    fn what_is_missing_or_hidden_is_not_counted() {
        assert_eq!(counts("\0\0\0\0", 2), None);
        assert_eq!(counts("", 1), Some((0, 0)));
        let mut counter = Counter::default();
        counter.bytes(b"data: a\n\n");
        counter.lose();
        assert_eq!(counter.counts(), None);
    }

    #[test]
    fn the_type_may_have_parameters() {
        assert!(is_announced(b"text/event-stream; charset=utf-8"));
        assert!(is_announced(b"Text/Event-Stream"));
        assert!(!is_announced(b"text/event-streams"));
    }
}
