//! The removal of what must not leave the node: values of header fields, and everything that is no
//! header.
//!
//! Works on the packets as they are, before they leave the node, so it errs on the side of taking
//! out too much. What it has not placed counts as secret: a segment that comes without the one
//! before it, every protocol but HTTP/1 (of TLS the records' heads and the handshake stay, of HTTP/2
//! the preface, DNS in UDP), packets that cannot be looked into, and those that ICMP quotes. Lengths
//! stay what they were; checksums do not.

use hashbrown::HashMap;
use meshsniff::packet::Seq;
use meshsniff::packet::{Decoded, Decoder, Endpoint, Frame, LinkType, NotRead};
use meshsniff::protocol::detect;

/// Most directions whose place in a head is remembered. Past it all are forgotten, and what follows
/// counts as not placed.
const MAX_FLOWS: usize = 32 * 1024;

/// Longest field name.
const MAX_NAME: usize = 64;

/// What an HTTP/2 connection begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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
    holds: Holds,
    in_head: bool,
    line: Line,
}

/// What the next byte of a direction is part of.
#[derive(Clone, Debug, Default)]
enum Holds {
    /// Nobody knows.
    #[default]
    Anything,
    /// HTTP/1.
    Http,
    /// TLS: so many bytes of a record are due, and whether they are to be seen.
    Tls(usize, bool),
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
            // It is of the DNS.
            Decoded::Datagram(_) => return data,
            Decoded::NotRead(what) if is_of_the_network(what) => return data,
            Decoded::NotRead(_) | Decoded::Fragment | Decoded::Malformed => {
                return &data[..headers(frame)];
            }
        };
        let payload = segment.payload;
        if payload.is_empty() {
            return data;
        }
        // What was put together from fragments lies elsewhere.
        let offset = (payload.as_ptr() as usize).wrapping_sub(data.as_ptr() as usize);
        if offset > data.len() || offset + payload.len() > data.len() {
            return &data[..headers(frame)];
        }
        let begins = !payload.starts_with(b"PRI * HTTP/2")
            && (detect::begins_request(payload) || detect::begins_response(payload) == Some(true));
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
                holds: Holds::Http,
                in_head: true,
                ..Place::default()
            },
            (false, false) => Place::default(),
        };
        self.packet.clear();
        self.packet.extend_from_slice(data);
        let kept = place.read(
            &self.redaction,
            &mut self.packet[offset..offset + payload.len()],
        );
        place.next = segment.seq.plus(segment.wire_payload);
        if payload.len() < segment.wire_payload as usize {
            // What the snap length cut may have held the begin of anything.
            place.holds = Holds::Anything;
        }
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
        let Holds::Http = self.holds else {
            self.read_other(bytes);
            return bytes.len();
        };
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

impl Place {
    /// Masks what is no HTTP/1, but for what shows how a connection got on.
    fn read_other(&mut self, mut bytes: &mut [u8]) {
        if bytes.starts_with(PREFACE) {
            bytes = &mut bytes[PREFACE.len()..];
        }
        loop {
            if let Holds::Tls(due @ 1.., seen) = &mut self.holds {
                let (record, rest) = bytes.split_at_mut((*due).min(bytes.len()));
                if !*seen {
                    record.fill(0);
                }
                *due -= record.len();
                bytes = rest;
            }
            // A head that is cut between two segments is not looked for: what follows is not placed.
            let &mut [kind @ 20..=23, 3, 0..=4, high, low, ..] = bytes else {
                break;
            };
            const APPLICATION_DATA: u8 = 23;
            let length = usize::from(u16::from_be_bytes([high, low]));
            self.holds = Holds::Tls(length, kind != APPLICATION_DATA);
            bytes = &mut bytes[5..];
            if length == 0 {
                break;
            }
        }
        if !bytes.is_empty() {
            self.holds = Holds::Anything;
            bytes.fill(0);
        }
    }
}

/// Whether a frame is of the network's own protocols, which carry nothing of what applications say.
const fn is_of_the_network(what: NotRead) -> bool {
    matches!(
        what,
        NotRead::Arp
            | NotRead::Lldp
            | NotRead::Lacp
            | NotRead::Igmp
            | NotRead::Vrrp
            | NotRead::Pim
            | NotRead::Ospf
    )
}

/// Bytes of a frame that are surely its link's and its network's headers, the outermost ones.
fn headers(frame: &Frame<'_>) -> usize {
    let data = frame.data;
    let mut at = match frame.link {
        LinkType::Ethernet => 14,
        LinkType::LinuxSll => 16,
        LinkType::LinuxSll2 => 20,
        LinkType::Null | LinkType::Loop => 4,
        _ => 0,
    };
    // Tags of VLANs stand before the last type.
    while frame.link == LinkType::Ethernet
        && let Some([0x81, 0] | [0x88, 0xa8] | [0x91, 0]) = data.get(at - 2..at)
    {
        at += 4;
    }
    let network = match data
        .get(at)
        .map(|byte| (byte >> 4, usize::from(byte & 15) * 4))
    {
        Some((4, length @ 20..)) => length,
        Some((6, _)) => 40,
        _ => 0,
    };
    data.len().min(at + network)
}

impl Line {
    /// Takes the next byte. True if it ends an empty line.
    fn read(&mut self, fields: &[String], byte: &mut u8) -> bool {
        match *byte {
            b'\n' => {
                let empty = self.len == 0;
                *self = Self {
                    name: std::mem::take(&mut self.name),
                    ..Self::default()
                };
                self.name.clear();
                return empty;
            }
            b'\r' => return false,
            // A folded line goes on with the value before; where there is none, it is no line that
            // could be placed.
            b' ' | b'\t' if self.len == 0 => {
                self.masked = true;
                self.past_name = true;
            }
            b':' if !self.past_name => {
                self.past_name = true;
                // Some servers take a blank before the colon.
                let name = self.name.trim_ascii_end();
                let long = self.name.len() == MAX_NAME;
                self.masked = long || fields.iter().any(|field| field.as_bytes() == name);
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
