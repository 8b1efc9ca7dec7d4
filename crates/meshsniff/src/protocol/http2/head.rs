//! What a header block says: a request, a response, or trailers (RFC 9113, 8).

use super::hpack::Field;
use crate::protocol::event_stream;
use crate::protocol::fields::{self, Maker, RequestFields, text};
use crate::protocol::grpc;
use compact_str::CompactString;

/// Bytes of a head that are spelt out for somebody who asked for it.
const MAX_SPELT: usize = 16 << 10;

/// Bytes of a head that are listed for a person, and of one value: a field that the table holds takes
/// one byte on the wire.
const MAX_LISTED: usize = 64 << 10;
const MAX_VALUE: usize = 2 << 10;

/// A field as it was sent, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name; `None` if it stands in a part of the table that was not seen.
    pub name: Option<Vec<u8>>,
    /// The beginning of the value; `None` likewise.
    pub value: Option<Vec<u8>>,
    /// Bytes of the value.
    pub size: u64,
    /// Whether no proxy may ever index it: it is a secret (RFC 7541, 7.1.3).
    pub never_indexed: bool,
}

/// The fields of a head in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The fields.
    pub fields: Vec<Listed>,
    /// Fields beyond those that are kept.
    pub left_out: u64,
    bytes: usize,
}

impl List {
    fn take(&mut self, field: &Field<'_>) {
        let begin =
            |text: Option<&[u8]>| text.map(|text| text[..text.len().min(MAX_VALUE)].to_vec());
        let (name, value) = (begin(field.name), begin(field.value));
        let length = |text: &Option<Vec<u8>>| text.as_ref().map_or(0, Vec::len);
        let bytes = size_of::<Listed>() + length(&name) + length(&value);
        if self.bytes + bytes > MAX_LISTED {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes;
        self.fields.push(Listed {
            name,
            value,
            size: field.value.map_or(0, |value| value.len() as u64),
            never_indexed: field.never_indexed,
        });
    }
}

/// Contents of a header block. What it has of the table that nobody saw is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `:method`.
    pub method: Option<CompactString>,
    /// `:path`.
    pub path: Option<CompactString>,
    /// `:authority`, else `host`.
    pub authority: Option<CompactString>,
    /// `:protocol`, of an extended CONNECT (RFC 8441).
    pub protocol: Option<CompactString>,
    /// `:status`.
    pub status: Option<u16>,
    /// Whether it has a field that only requests have.
    pub is_request: bool,
    /// Whether it has `:status`, known or not.
    pub is_response: bool,
    /// Fields of a request.
    pub fields: RequestFields,
    /// Fields of a response that tell who made it.
    pub maker: Maker,
    /// `content-length`.
    pub length: Option<u64>,
    /// Whether the client waits for a `100 Continue` before it sends the body.
    pub expect: bool,
    /// What `content-type` says of the messages within.
    pub wire: Option<grpc::Wire>,
    /// Whether `content-encoding` says that they stand in something else.
    pub coded: bool,
    /// Whether `content-type` announces server-sent events.
    pub event_stream: bool,
    /// `grpc-status`.
    pub grpc_status: Option<u32>,
    /// `grpc-message`, as sent.
    pub grpc_message: Option<CompactString>,
    /// Whether a name or a value is not known, or the block was cut.
    pub is_cut: bool,
    /// All of its fields that are known, a line for each, if that was asked for; pseudo-header fields
    /// aside.
    pub spelt: Option<Vec<u8>>,
    /// All of its fields, known or not, if that was asked for.
    pub list: Option<List>,
}

impl Head {
    /// A head; with `spell` it is spelt out.
    #[must_use]
    pub fn new(spell: bool) -> Self {
        Self {
            spelt: spell.then(Vec::new),
            ..Self::default()
        }
    }

    /// Takes the next field.
    pub fn take(&mut self, field: Field<'_>) {
        self.spell(&field);
        if let Some(list) = &mut self.list {
            list.take(&field);
        }
        let (Some(name), Some(value)) = (field.name, field.value) else {
            self.is_cut = true;
            self.is_response |= field.name == Some(b":status");
            self.is_request |= field.name.is_some_and(is_of_request);
            return;
        };
        let Ok(name) = std::str::from_utf8(name) else {
            return;
        };
        match name {
            ":status" => {
                self.is_response = true;
                self.status = std::str::from_utf8(value)
                    .ok()
                    .filter(|digits| digits.len() == 3)
                    .and_then(|digits| digits.parse().ok());
            }
            // An empty one is none.
            ":method" if value.trim_ascii().is_empty() => self.is_cut = true,
            ":method" => self.method = Some(text(value)),
            ":path" => self.path = Some(text(value)),
            ":authority" => self.authority = Some(text(value)),
            ":protocol" => self.protocol = Some(text(value)),
            ":scheme" => {}
            "host" => {
                self.authority.get_or_insert_with(|| text(value));
            }
            "content-type" => {
                self.wire = grpc::Wire::of(value).or(self.wire);
                self.event_stream = event_stream::is_announced(value);
            }
            "content-encoding" => self.coded = fields::is_coded(value),
            "connect-protocol-version" => {
                self.wire.get_or_insert(grpc::Wire::ConnectUnary);
            }
            "content-length" => {
                self.length = std::str::from_utf8(value)
                    .ok()
                    .and_then(|digits| digits.parse().ok());
            }
            "expect" => self.expect = value.eq_ignore_ascii_case(b"100-continue"),
            "grpc-status" => {
                self.grpc_status = grpc::number(value);
            }
            "grpc-message" => self.grpc_message = Some(grpc::message(value)),
            // A block has the fields of one or of the other.
            _ if self.is_response => self.maker.take(name, value),
            _ => self.fields.take(name, value),
        }
        self.is_request |= is_of_request(name.as_bytes());
    }

    fn spell(&mut self, field: &Field<'_>) {
        let Some(spelt) = &mut self.spelt else {
            return;
        };
        let (Some(name), Some(value)) = (field.name, field.value) else {
            return;
        };
        if name.first() != Some(&b':') && spelt.len() + name.len() + value.len() <= MAX_SPELT {
            for part in [name, b": ", value, b"\r\n"] {
                spelt.extend_from_slice(part);
            }
        }
    }
}

/// Whether only requests have this field.
fn is_of_request(name: &[u8]) -> bool {
    let pseudo: [&[u8]; 5] = [
        b":method",
        b":path",
        b":scheme",
        b":authority",
        b":protocol",
    ];
    pseudo.contains(&name)
}
