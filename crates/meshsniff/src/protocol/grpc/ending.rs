//! The end of a body that says how the call went: trailers, or an error of Connect's in JSON.

use super::status::{self, Status};
use compact_str::CompactString;
use serde::Deserialize;
use std::io::Read;

/// Bytes of such an end that are read.
const MAX_ENDING: usize = 8192;

/// How an end says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The last message of gRPC-Web's: header fields, a line for each.
    Fields,
    /// The same behind a chunked body of HTTP/1.
    Behind,
    /// The last message of a stream of Connect's.
    EndOfStream,
    /// The body of a call of Connect's that failed.
    Error,
}

/// What the end of a body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The status.
    pub status: Option<Status>,
    /// Its message.
    pub message: Option<CompactString>,
    /// Whether a part of it cannot be read, so that a status may be in there.
    pub is_hidden: bool,
}

/// An end that is being read.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) form: Form,
    is_compressed: bool,
    bytes: Vec<u8>,
    /// Whether more came than is kept.
    is_cut: bool,
    /// Whether its last byte came.
    pub(super) is_whole: bool,
}

#[derive(Deserialize)]
struct EndOfStream {
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    code: Option<CompactString>,
    message: Option<CompactString>,
}

impl Error {
    fn said(&self, status: Option<Status>) -> Said {
        let message = self.message.as_deref().map(status::cut);
        let code = self.code.as_deref();
        Said {
            status: code.and_then(Status::by_connect_code).or(status),
            message: message.filter(|text| !text.is_empty()),
            is_hidden: false,
        }
    }
}

impl Ending {
    pub(super) const fn new(form: Form, is_compressed: bool) -> Self {
        Self {
            form,
            is_compressed,
            bytes: Vec::new(),
            is_cut: false,
            is_whole: false,
        }
    }

    /// The next bytes of it.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let room = MAX_ENDING - self.bytes.len();
        self.is_cut |= bytes.len() > room;
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Bytes that it takes, beside itself.
    pub(super) fn weight(&self) -> usize {
        self.bytes.capacity()
    }

    /// What it says, as far as it came.
    pub(super) fn said(&self) -> Said {
        let hidden = Said {
            is_hidden: true,
            ..Said::default()
        };
        let all = self.is_whole && !self.is_cut;
        let mut unpacked = Vec::new();
        let bytes = if self.is_compressed {
            // Nobody but gzip is in use for these, and the head that names it may be missing.
            let reader = flate2::read::MultiGzDecoder::new(&*self.bytes);
            let read = reader.take(MAX_ENDING as u64).read_to_end(&mut unpacked);
            if !all || read.is_err() || unpacked.len() == MAX_ENDING {
                return hidden;
            }
            &unpacked
        } else {
            &self.bytes
        };
        match self.form {
            Form::Fields | Form::Behind => fields(bytes, all),
            Form::EndOfStream => {
                serde_json::from_slice::<EndOfStream>(bytes).map_or(hidden, |end| {
                    let ok = Said {
                        status: Some(Status::OK),
                        ..Said::default()
                    };
                    end.error
                        .map_or(ok, |error| error.said(Some(Status::UNKNOWN)))
                })
            }
            Form::Error => serde_json::from_slice::<Error>(bytes)
                .map_or_else(|_| Said::default(), |error| error.said(None)),
        }
    }
}

/// What lines say; of the last one only if they are `all`, for its end may be missing.
fn fields(bytes: &[u8], all: bool) -> Said {
    let mut said = Said::default();
    let mut lines = bytes.split_inclusive(|&b| b == b'\n');
    let whole = |line: &&[u8]| all || line.ends_with(b"\n");
    // What is masked begins so.
    let is_blank = bytes.first() == Some(&0);
    while let Some(line) = lines.next().filter(whole) {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"grpc-status") {
            said.status = status::number(value).map(Status);
        } else if name.eq_ignore_ascii_case(b"grpc-message") {
            said.message = Some(status::message(value)).filter(|text| !text.is_empty());
        }
    }
    said.is_hidden = said.status.is_none() && (!all || is_blank);
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(form: Form, is_compressed: bool, bytes: &[u8], is_whole: bool) -> Said {
        let mut ending = Ending::new(form, is_compressed);
        bytes.chunks(3).for_each(|piece| ending.bytes(piece));
        ending.is_whole = is_whole;
        ending.said()
    }

    fn of(status: u32, message: Option<&str>) -> Said {
        Said {
            status: Some(Status(status)),
            message: message.map(Into::into),
            is_hidden: false,
        }
    }

    #[test]
    fn a_status_whose_end_is_missing_is_none() {
        let lines = b"grpc-message:no%20way\r\nGRPC-Status: 14\r\n";
        assert_eq!(
            said(Form::Fields, false, lines, true),
            of(14, Some("no way"))
        );
        let unended = &lines[..lines.len() - 2];
        assert_eq!(
            said(Form::Fields, false, unended, true).status,
            Some(Status(14))
        );
        let cut = said(Form::Fields, false, &lines[..lines.len() - 3], false);
        assert_eq!((cut.status, cut.is_hidden), (None, true));
        assert_eq!(cut.message.as_deref(), Some("no way"));
        let none = said(Form::Fields, false, b"x: y\r\n", true);
        assert_eq!(
            (none.status, none.is_hidden),
            (None, false),
            "there is none"
        );
        let long = [b"grpc-status:5\r\nx:", &[b'x'; 9000][..]].concat();
        assert_eq!(said(Form::Fields, false, &long, true), of(5, None));
        let hidden = said(Form::Fields, false, &long[15..], true);
        assert_eq!((hidden.status, hidden.is_hidden), (None, true));
    }

    #[test]
    fn an_end_may_be_packed() {
        let packed = |bytes: &[u8]| {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut writer, bytes).expect("a vector takes it");
            writer.finish().expect("a vector takes it")
        };
        let lines = packed(b"grpc-status:7\r\n");
        assert_eq!(said(Form::Fields, true, &lines, true), of(7, None));
        assert!(said(Form::Fields, true, &lines, false).is_hidden);
        assert!(said(Form::Fields, true, b"grpc-status:7\r\n", true).is_hidden);
        assert!(said(Form::Fields, true, &packed(&[b'x'; 9999]), true).is_hidden);
        let json = packed(b"{}");
        assert_eq!(said(Form::EndOfStream, true, &json, true), of(0, None));
    }

    #[test]
    fn connect_says_it_in_json() {
        let stream = |text: &str| said(Form::EndOfStream, false, text.as_bytes(), true);
        assert_eq!(stream("{}"), of(0, None));
        assert_eq!(stream(r#"{"metadata": {"a": ["b"]}}"#), of(0, None));
        let denied = r#"{"error":{"code":"permission_denied","message":"not for you"}}"#;
        assert_eq!(stream(denied), of(7, Some("not for you")));
        assert_eq!(stream(r#"{"error":{"code":"canceled"}}"#), of(1, None));
        for odd in [r#"{"error":{"code":"ok"}}"#, r#"{"error":{}}"#] {
            assert_eq!(stream(odd), of(2, None), "{odd}");
        }
        for unread in ["", "{", "\0\0", "[]x"] {
            assert!(stream(unread).is_hidden, "{unread:?}");
        }
        let single = |text: &str| said(Form::Error, false, text.as_bytes(), true);
        let missing = r#"{"code":"not_found","message":"no such item","details":[]}"#;
        assert_eq!(single(missing), of(5, Some("no such item")));
        assert_eq!(single("<html>"), Said::default());
    }
}
