//! A capture file, whatever it holds.

use meshsniff::capture::{CaptureReader, Input};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read};

/// Frames looked at: a small file may unpack to a very large one.
const MAX_FRAMES: usize = 20_000;

/// Gives a few bytes at a time.
pub(super) struct Trickle {
    bytes: Vec<u8>,
    at: usize,
}

impl Trickle {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let bytes = bytes.to_vec();
        Self { bytes, at: 0 }
    }
}

impl Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.at..];
        let count = (1 + self.at * 7 % 61).min(rest.len()).min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    frames: Vec<(u64, i64, u32, u32, usize, u64)>,
    errors: Vec<String>,
    interfaces: Vec<String>,
    dropped: Option<u64>,
    comments: usize,
    unsupported: Vec<(u32, u64)>,
}

fn sentence(error: &impl ToString) -> String {
    let text = error.to_string();
    // What something that is no capture looks like is told by the bytes at hand.
    let text = match text.split_once(" is not a capture") {
        Some((name, _)) => format!("{name} is not a capture"),
        None => text,
    };
    assert!(
        !text.is_empty() && !text.contains(char::is_control),
        "no sentence: {text:?}"
    );
    text
}

fn read(input: Input) -> Outcome {
    let mut seen = Outcome::default();
    let mut reader = match CaptureReader::open(vec![input]) {
        Ok(reader) => reader,
        Err(error) => {
            seen.errors.push(sentence(&error));
            return seen;
        }
    };
    let mut last = 0;
    while let Some(next) = reader.next() {
        assert!(seen.errors.is_empty(), "something came after an error");
        match next {
            Ok(frame) => {
                assert!(frame.id.number() > last && frame.id.source() == 0);
                last = frame.id.number();
                assert!(frame.wire_len as usize >= frame.data.len());
                let mut hasher = DefaultHasher::new();
                hasher.write(frame.data);
                seen.frames.push((
                    last,
                    frame.time.as_nanos(),
                    frame.interface,
                    frame.wire_len,
                    frame.data.len(),
                    hasher.finish(),
                ));
            }
            Err(error) => seen.errors.push(sentence(&error)),
        }
        if seen.frames.len() == MAX_FRAMES {
            return seen;
        }
    }
    assert!(reader.next().is_none(), "the end is not the end");
    if let Some(total) = reader.total_bytes() {
        assert!(reader.bytes_read() <= total);
    }
    seen.interfaces = reader.sources()[0].interfaces.clone();
    if !seen.interfaces.is_empty() {
        let known = seen.interfaces.len();
        assert!(seen.frames.iter().all(|frame| (frame.2 as usize) < known));
    }
    seen.dropped = reader.dropped();
    seen.comments = reader.comments().len();
    assert!(reader.comments().iter().all(|c| c.text.len() <= 4 << 10));
    let unsupported = reader.unsupported_frames();
    seen.unsupported = unsupported.iter().map(|u| (u.link, u.frames)).collect();
    seen
}

/// The same whether the bytes are all there or come a few at a time.
pub fn check(data: &[u8]) {
    let whole = read(Input::from_bytes("fuzz", data.to_vec()));
    let trickle = Trickle::new(data);
    let pieces = read(Input::from_reader("fuzz", Box::new(trickle)));
    if is_packed(data) && !(whole.errors.is_empty() && pieces.errors.is_empty()) {
        // A damaged archive may say so sooner or later, but not only sometimes.
        assert!(!whole.errors.is_empty() && !pieces.errors.is_empty());
        let both = whole.frames.len().min(pieces.frames.len());
        assert_eq!(whole.frames[..both], pieces.frames[..both]);
        return;
    }
    assert_eq!(whole, pieces);
}

fn is_packed(data: &[u8]) -> bool {
    data.starts_with(b"\x1f\x8b") || data.starts_with(b"\x28\xb5\x2f\xfd")
}
