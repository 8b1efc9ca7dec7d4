//! The removal of what must not leave the node: values of header fields, and everything that is no
//! header.
//!
//! Works on the packets as they are, before they leave the node, and what no reader has named counts
//! as secret: every protocol but HTTP (of TLS the records' heads and the handshake stay, of the DNS
//! all), what follows a hole that no reader can step over, what is sent again, packets that cannot
//! be looked into, and those that ICMP quotes. Lengths stay what they were; checksums do not.
//!
//! | here | holds |
//! |---|---|
//! | `body` | bodies on the streams of HTTP/2 |
//! | `choice` | what is to be removed |
//! | `connection` | what the next bytes of a connection are |
//! | `http2` | frames of HTTP/2 |
//! | `line` | which bytes of a head's lines are masked |
//! | `out` | the bytes of a segment, as they are decided on |
//! | `tls` | records of TLS |

mod body;
mod choice;
mod connection;
mod http2;
mod line;
mod out;
mod tls;

pub use choice::Redaction;
use connection::Connection;
use hashbrown::HashMap;
use meshsniff::dns::Message;
use meshsniff::packet::{Decoded, Decoder, Endpoint, Frame, LinkType, NotRead, Segment};
use std::collections::VecDeque;

/// Most connections whose place is remembered. Past it all are forgotten, and what they say counts
/// as not placed until their other side has spoken.
const MAX_CONNECTIONS: usize = 16 * 1024;
/// Most bytes of heads that are not whole.
const MAX_WEIGHT: usize = 8 * 1024 * 1024;
/// Connections that have ended and are still remembered: for what is sent again.
const MAX_ENDED: usize = 1024;

/// Takes out of packets what is to be taken out.
pub struct Redactor {
    decoder: Decoder,
    places: Places,
    packet: Vec<u8>,
}

/// What every connection has come to.
struct Places {
    redaction: Redaction,
    connections: HashMap<(Endpoint, Endpoint), Connection>,
    /// Those that have ended, the first first.
    ended: VecDeque<(Endpoint, Endpoint)>,
    /// Bytes that the connections keep.
    weight: usize,
    /// Whether connections were forgotten that may go on.
    forgot: bool,
}

impl Redactor {
    /// One that takes out what `redaction` says.
    #[must_use]
    pub fn new(redaction: Redaction) -> Self {
        Self {
            decoder: Decoder::default(),
            places: Places {
                redaction,
                connections: HashMap::new(),
                ended: VecDeque::new(),
                weight: 0,
                forgot: false,
            },
            packet: Vec::new(),
        }
    }

    /// Returns the part of a packet that may be kept, masked.
    pub fn apply<'a>(&'a mut self, frame: &Frame<'a>) -> &'a [u8] {
        let data = frame.data;
        let headers = &data[..headers(frame)];
        let segment = match self.decoder.decode(frame) {
            Decoded::Tcp(segment) => segment,
            Decoded::Datagram(datagram) => {
                let is_of_dns = Message::read(datagram.payload).is_some();
                let end = within(data, datagram.payload).filter(|_| is_of_dns);
                return end.map_or(headers, |at| &data[..at + datagram.payload.len()]);
            }
            Decoded::NotRead(NotRead::Arp) => {
                return &data[..data.len().min(headers.len() + ARP)];
            }
            Decoded::NotRead(what) if is_of_the_network(what) => return data,
            Decoded::NotRead(_) | Decoded::Fragment | Decoded::Malformed => return headers,
        };
        let payload = segment.payload;
        self.packet.clear();
        let Some(offset) = within(data, payload) else {
            // It was put together from fragments, which lie elsewhere: read, and not shown. Or the
            // TCP header itself is cut.
            if !payload.is_empty() {
                self.packet.extend_from_slice(payload);
                self.places.hide(&segment, &mut self.packet);
                return headers;
            }
            return data;
        };
        // Padding behind the payload is nobody's.
        self.packet
            .extend_from_slice(&data[..offset + payload.len()]);
        let kept = self.places.hide(&segment, &mut self.packet[offset..]);
        let kept = if self.places.redaction.headers_only {
            kept
        } else {
            payload.len()
        };
        &self.packet[..offset + kept]
    }
}

impl Places {
    /// Hides what is to be hidden in `bytes`, the payload of a segment. Returns how many of them are
    /// worth keeping where only heads are wanted.
    fn hide(&mut self, segment: &Segment<'_>, bytes: &mut [u8]) -> usize {
        if self.connections.len() >= MAX_CONNECTIONS || self.weight > MAX_WEIGHT {
            self.connections.clear();
            self.ended.clear();
            self.weight = 0;
            self.forgot = true;
        }
        let side = usize::from(segment.src > segment.dst);
        let key = if side == 0 {
            (segment.src, segment.dst)
        } else {
            (segment.dst, segment.src)
        };
        let connection = self.connections.entry(key).or_default();
        let before = connection.weight();
        let kept = connection.apply(&self.redaction, side, segment, !self.forgot, bytes);
        self.weight = self.weight + connection.weight() - before;
        if connection.has_ended(side, segment.flags) {
            self.ended.push_back(key);
            if self.ended.len() > MAX_ENDED
                && let Some(key) = self.ended.pop_front()
                && let Some(connection) = self.connections.get(&key)
                && connection.is_over()
            {
                self.weight -= connection.weight();
                self.connections.remove(&key);
            }
        }
        kept
    }
}

/// Where in `data` the slice `part` of it begins, if it is one.
fn within(data: &[u8], part: &[u8]) -> Option<usize> {
    let offset = (part.as_ptr() as usize).checked_sub(data.as_ptr() as usize)?;
    (offset + part.len() <= data.len()).then_some(offset)
}

/// Bytes of an ARP message that asks for the address of an IPv4 one.
const ARP: usize = 28;

/// Whether a frame is of the network's own protocols, which carry nothing of what applications say.
const fn is_of_the_network(what: NotRead) -> bool {
    matches!(
        what,
        NotRead::Lldp
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

#[cfg(test)]
mod conversations;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tests;
