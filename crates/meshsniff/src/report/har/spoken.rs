//! A message that was kept, as an HTTP Archive shows it.

use super::form::{Content, Pair, PostData, UNKNOWN};
use crate::exchange::Message;
use crate::redacted::MASK;
use crate::report::chunks::unchunked;
use crate::report::text::SECRET_FIELDS;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Read as _;

/// Fields of a head that are read.
const MAX_FIELDS: usize = 256;
/// Bytes that a compressed body may become.
const MAX_DECODED: u64 = 4 << 20;

const CUT: &str = "the beginning: there was more";
const CODED: &str = "as it was sent, in its content coding";

/// A message taken apart.
pub(super) struct Spoken<'a> {
    message: &'a Message,
    fields: Vec<(&'a str, &'a [u8])>,
    /// The reason phrase, of a response.
    pub(super) reason: String,
    pub(super) head_size: i64,
    pub(super) body_size: i64,
}

/// A body without its framing and coding.
struct Plain {
    bytes: Vec<u8>,
    whole: bool,
    /// Whether it is still in its content coding.
    coded: bool,
}

impl<'a> Spoken<'a> {
    /// A message of so many bytes, if its head is as long as it was sent; `None` if its head is not
    /// there.
    pub(super) fn of(message: &'a Message, bytes: Option<u64>) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut reason = String::new();
        let parsed: &[httparse::Header<'_>] = if message.head.starts_with(b"HTTP/") {
            let mut response = httparse::Response::new(&mut fields);
            let read = response.parse(&message.head).ok()?;
            response.reason.unwrap_or_default().clone_into(&mut reason);
            read.is_complete().then_some(())?;
            response.headers
        } else {
            let mut request = httparse::Request::new(&mut fields);
            let read = request.parse(&message.head).ok()?;
            read.is_complete().then_some(())?;
            request.headers
        };
        let head = message.head.len() as u64;
        let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        Some(Self {
            message,
            fields: parsed.iter().map(|one| (one.name, one.value)).collect(),
            reason,
            head_size: bytes.map_or(UNKNOWN, |_| size(head)),
            body_size: bytes.map_or(UNKNOWN, |bytes| size(bytes.saturating_sub(head))),
        })
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter();
        fields.filter_map(move |&(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let value = self.values(name).next()?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// All fields, credentials masked.
    pub(super) fn headers(&self) -> Vec<Pair<'a>> {
        let fields = self.fields.iter().map(|&(name, value)| {
            let secret = SECRET_FIELDS
                .iter()
                .any(|one| name.eq_ignore_ascii_case(one));
            Pair {
                name: name.into(),
                value: if secret {
                    MASK.into()
                } else {
                    String::from_utf8_lossy(value)
                },
            }
        });
        fields.collect()
    }

    fn mime_type(&self) -> String {
        let known = self.field("content-type");
        known.unwrap_or_else(|| "x-unknown".to_owned())
    }

    /// The body of a request; `None` if none was kept.
    pub(super) fn post_data(&self) -> Option<PostData> {
        let plain = self.body()?;
        let (text, encoding) = in_text(&plain);
        Some(PostData {
            mime_type: self.mime_type(),
            params: [],
            text,
            encoding,
            comment: plain.comment(),
        })
    }

    /// The body of a response.
    pub(super) fn content(&self) -> Content {
        let plain = self.body();
        let whole = plain.as_ref().filter(|plain| plain.whole && !plain.coded);
        let size = match whole {
            Some(plain) => plain.bytes.len() as i64,
            None if self.body_size == 0 => 0,
            None => UNKNOWN,
        };
        let (text, encoding) = plain.as_ref().map(in_text).unzip();
        Content {
            size,
            mime_type: self.mime_type(),
            text,
            encoding: encoding.flatten(),
            comment: plain.as_ref().and_then(Plain::comment),
        }
    }

    fn body(&self) -> Option<Plain> {
        if self.message.body.is_empty() {
            return None;
        }
        let chunked = self.values("transfer-encoding").any(|value| {
            let codings = value.to_ascii_lowercase();
            memchr::memmem::find(&codings, b"chunked").is_some()
        });
        let (bytes, complete) = match chunked {
            true => unchunked(&self.message.body),
            false => (self.message.body.clone(), true),
        };
        let whole = self.message.whole && complete;
        let coding = self.field("content-encoding").unwrap_or_default();
        let coding = coding.trim().to_ascii_lowercase();
        Some(match coding.as_str() {
            "" | "identity" => Plain {
                bytes,
                whole,
                coded: false,
            },
            "gzip" | "x-gzip" if whole => match unzipped(&bytes) {
                Some(bytes) => Plain {
                    bytes,
                    whole,
                    coded: false,
                },
                None => Plain {
                    bytes,
                    whole,
                    coded: true,
                },
            },
            _ => Plain {
                bytes,
                whole,
                coded: true,
            },
        })
    }
}

impl Plain {
    const fn comment(&self) -> Option<&'static str> {
        match (self.whole, self.coded) {
            (false, _) => Some(CUT),
            (true, true) => Some(CODED),
            (true, false) => None,
        }
    }
}

/// A body as text, or else in base64.
fn in_text(plain: &Plain) -> (String, Option<&'static str>) {
    let bytes = &plain.bytes;
    // The limit may have cut a character.
    let end = match std::str::from_utf8(bytes) {
        Err(error) if !plain.whole && error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    match std::str::from_utf8(&bytes[..end]) {
        Ok(text) if !plain.coded => (text.to_owned(), None),
        _ => (STANDARD.encode(bytes), Some("base64")),
    }
}

/// What is compressed with gzip; `None` if it cannot be read, or is too much.
fn unzipped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(MAX_DECODED + 1);
    reader.read_to_end(&mut plain).ok()?;
    (plain.len() as u64 <= MAX_DECODED).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn message(head: &str, body: &[u8]) -> Message {
        Message {
            head: head.replace('\n', "\r\n").into_bytes(),
            body: body.to_vec(),
            whole: true,
        }
    }

    fn content(head: &str, body: &[u8]) -> Content {
        let message = message(head, body);
        let bytes = (message.head.len() + body.len()) as u64;
        Spoken::of(&message, Some(bytes)).unwrap().content()
    }

    #[test]
    fn credentials_are_masked() {
        let message = message(
            "GET / HTTP/1.1\nHost: a\nAuthorization: Bearer x\nCookie: a=b\n\n",
            b"",
        );
        let spoken = Spoken::of(&message, Some(message.head.len() as u64)).unwrap();
        let headers = spoken.headers();
        let values: Vec<_> = headers.iter().map(|pair| &*pair.value).collect();
        assert_eq!(values, ["a", MASK, MASK]);
        assert!(spoken.post_data().is_none());
        assert_eq!(spoken.body_size, 0);
    }

    #[test]
    fn a_body_is_shown_without_its_framing() {
        let head = "HTTP/1.1 200 Fine\nTransfer-Encoding: chunked\nContent-Type: text/plain\n\n";
        let shown = content(head, b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n");
        assert_eq!((shown.text.as_deref(), shown.size), (Some("abcde"), 5));
        assert_eq!(
            (shown.mime_type.as_str(), shown.comment),
            ("text/plain", None)
        );
        // Its end was not kept.
        let shown = content(head, b"3\r\nabc\r\n2\r\nd");
        assert_eq!((shown.text.as_deref(), shown.size), (Some("abcd"), -1));
        assert_eq!(shown.comment, Some(CUT));
        let hostile = content(head, b"ffffffffffffffff\r\nabc");
        assert_eq!(hostile.text.as_deref(), Some("abc"));
    }

    #[test]
    fn bytes_that_are_no_text_are_in_base64() {
        let shown = content("HTTP/1.1 200 OK\n\n", b"\xff\x00");
        assert_eq!(
            (shown.text.as_deref(), shown.encoding),
            (Some("/wA="), Some("base64"))
        );
    }

    #[test]
    fn gzip_is_undone_and_a_bomb_is_not() {
        let zipped = |bytes: &[u8]| {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        };
        let head = "HTTP/1.1 200 OK\nContent-Encoding: gzip\n\n";
        let shown = content(head, &zipped(b"hello"));
        assert_eq!((shown.text.as_deref(), shown.size), (Some("hello"), 5));
        let bomb = content(head, &zipped(&vec![0; 5 << 20]));
        assert_eq!((bomb.encoding, bomb.comment), (Some("base64"), Some(CODED)));
        assert_eq!(content(head, b"none").comment, Some(CODED));
    }
}
