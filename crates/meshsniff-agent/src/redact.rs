//! The removal of what must not leave the node: values of header fields, and everything that is no
//! header.
//!
//! Works on the packets as they are, before they leave the node, so it errs on the side of taking
//! out too much: what it cannot place, such as a segment that comes without the one before it,
//! counts as secret until a line's end. Lengths stay what they were; checksums do not.

use hashbrown::HashMap;
use meshsniff::packet::Seq;
use meshsniff::packet::{Decoded, Decoder, Endpoint, Frame};
use meshsniff::protocol::detect;

/// Most directions whose place in a head is remembered. Past it all are forgotten, and what follows
/// counts as not placed.
const MAX_FLOWS: usize = 32 * 1024;

/// Longest field name.
const MAX_NAME: usize = 64;

/// Bytes kept of a packet that is or may hold TCP but cannot be looked into: link, network and transport
/// headers at most.
const UNREADABLE: usize = 54;

/// The byte that replaces a masked one.
const MASK: u8 = b'x';

/// Choice of what is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Everything of a TCP segment that is no HTTP/1 head.
    pub headers_only: bool,
    /// The values of these fields, named in lower case.
    pub fields: Vec<String>,
}

impl Redaction {
    /// Whether anything is.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.headers_only || !self.fields.is_empty()
    }
}

/// Where one direction stands.
#[derive(Clone, Debug, Default)]
struct Place {
    next: Seq,
    in_head: bool,
    line: Line,
}

/// Where in a line.
#[derive(Clone, Debug, Default)]
struct Line {
    /// Its beginning in lower case, up to the colon.
    name: Vec<u8>,
    /// Bytes of it so far, the CR aside.
    len: usize,
    past_name: bool,
    masked: bool,
    /// Whether the line before was masked: a folded one goes on.
    was_masked: bool,
}

/// Takes out of packets what is to be taken out.
pub struct Redactor {
    redaction: Redaction,
    decoder: Decoder,
    flows: HashMap<(Endpoint, Endpoint), Place>,
    packet: Vec<u8>,
}

impl Redactor {
    /// One that takes out what `redaction` says.
    #[must_use]
    pub fn new(redaction: Redaction) -> Self {
        Self {
            redaction,
            decoder: Decoder::default(),
            flows: HashMap::new(),
            packet: Vec::new(),
        }
    }

    /// Returns the part of a packet that may be kept, masked.
    pub fn apply<'a>(&'a mut self, frame: &Frame<'a>) -> &'a [u8] {
        let data = frame.data;
        let segment = match self.decoder.decode(frame) {
            Decoded::Tcp(segment) => segment,
            Decoded::Datagram(_) => return data,
            Decoded::NotRead(what) if !what.may_hide() => return data,
            Decoded::NotRead(_) | Decoded::Fragment | Decoded::Malformed => {
                return &data[..data.len().min(UNREADABLE)];
            }
        };
        let payload = segment.payload;
        if payload.is_empty() {
            return data;
        }
        // What was put together from fragments lies elsewhere.
        let offset = (payload.as_ptr() as usize).wrapping_sub(data.as_ptr() as usize);
        if offset > data.len() || offset + payload.len() > data.len() {
            return &data[..data.len().min(UNREADABLE)];
        }
        let begins =
            detect::begins_request(payload) || detect::begins_response(payload) == Some(true);
        if self.flows.len() >= MAX_FLOWS {
            self.flows.clear();
        }
        let known = self.flows.entry((segment.src, segment.dst));
        let known = known.or_insert_with(|| Place {
            // No segment follows this one.
            next: segment.seq.plus(u32::MAX / 2),
            ..Place::default()
        });
        let follows = known.next == segment.seq;
        let is_repeat = segment.seq.distance_from(known.next) < 0 && !begins;
        let mut place = match (begins, follows) {
            (false, true) => known.clone(),
            (true, _) => Place {
                in_head: true,
                ..Place::default()
            },
            (false, false) => Place {
                line: Line {
                    masked: true,
                    past_name: true,
                    ..Line::default()
                },
                ..Place::default()
            },
        };
        self.packet.clear();
        self.packet.extend_from_slice(data);
        let kept = place.read(
            &self.redaction,
            &mut self.packet[offset..offset + payload.len()],
        );
        place.next = segment.seq.plus(segment.wire_payload);
        if !is_repeat {
            *known = place;
        }
        // Padding behind the payload is nobody's.
        &self.packet[..offset + kept]
    }
}

impl Place {
    /// Masks what is to be masked in the next bytes; returns how many of them may be kept.
    fn read(&mut self, redaction: &Redaction, bytes: &mut [u8]) -> usize {
        if redaction.headers_only && !self.in_head {
            return 0;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            let head_ends = self.line.read(&redaction.fields, byte);
            if head_ends && self.in_head {
                self.in_head = false;
                if redaction.headers_only {
                    return at + 1;
                }
            }
        }
        bytes.len()
    }
}

impl Line {
    /// Takes the next byte. True if it ends an empty line.
    fn read(&mut self, fields: &[String], byte: &mut u8) -> bool {
        match *byte {
            b'\n' => {
                let empty = self.len == 0;
                let masked = self.masked;
                *self = Self {
                    name: std::mem::take(&mut self.name),
                    was_masked: masked,
                    ..Self::default()
                };
                self.name.clear();
                return empty;
            }
            b'\r' => return false,
            b' ' | b'\t' if self.len == 0 && self.was_masked => {
                self.masked = true;
                self.past_name = true;
            }
            b':' if !self.past_name => {
                self.past_name = true;
                self.masked = fields.iter().any(|field| field.as_bytes() == self.name);
            }
            _ if self.masked => *byte = MASK,
            plain if !self.past_name && self.name.len() < MAX_NAME => {
                self.name.push(plain.to_ascii_lowercase());
            }
            _ => {}
        }
        self.len += 1;
        false
    }
}

#[cfg(test)]
mod tests;
