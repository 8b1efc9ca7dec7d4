//! One connection as what both sides said, in order: what "Follow TCP Stream" shows, with frames and times.
//!
//! Fed with the capture's frames, it takes those of one connection, puts each direction's bytes in order and reads HTTP/1
//! messages in them: a line of a head is an entry, a body is one with its size. Nothing is judged here.

mod direction;

use crate::exchange::Side;
use crate::packet::{Decoded, Decoder, Endpoint, Flags, Frame, Mark, Segment};
use direction::Direction;
use std::collections::VecDeque;

/// Entries that are kept: far more than a person reads.
const MOST_ENTRIES: usize = 100_000;
/// Bytes that wait behind a hole before it is given up.
const MOST_HELD: usize = 4 << 20;

/// Something that one side sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who.
    pub from: Side,
    /// The frame, and when; of a body the one with its last byte.
    pub mark: Mark,
    /// What.
    pub what: What,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A line of a head, without its end. The first of a message is its request or status line; an empty one ends the head.
    Line {
        /// The bytes; nothing says that they are text.
        line: Vec<u8>,
        /// Whether it begins a message.
        first: bool,
        /// Whether the rest of the head is not in the capture.
        cut: bool,
    },
    /// A message's body.
    Body {
        /// Its bytes on the wire, chunk sizes and trailers included.
        size: u64,
        /// The frame of its first byte.
        first: Mark,
        /// Its beginning, as much as was asked for.
        begin: Vec<u8>,
        /// Whether it came to its end.
        whole: bool,
    },
    /// Bytes that are no HTTP/1, or come after a switch to another protocol.
    Other {
        /// How many.
        size: u64,
        /// Their beginning, as much as was asked for.
        begin: Vec<u8>,
    },
    /// Bytes that the other side acknowledged and the capture does not have.
    Missing(u64),
    /// Bytes that were sent before.
    Again(u64),
    /// A segment without data, by its flags.
    Control(Flags),
}

/// A connection being followed.
pub struct Conversation {
    client: Endpoint,
    server: Endpoint,
    decoder: Decoder,
    sides: Sides,
    entries: Vec<Entry>,
    left_out: u64,
}

/// Both directions.
struct Sides {
    directions: [Direction; 2],
    /// Methods of requests whose responses have not come.
    methods: VecDeque<String>,
    /// Bytes of each body that are kept.
    body: usize,
}

impl Conversation {
    /// Follows the connection of `client` and `server`. `body`: bytes of each body that are kept.
    #[must_use]
    pub fn new(client: Endpoint, server: Endpoint, body: usize) -> Self {
        Self {
            client,
            server,
            decoder: Decoder::default(),
            sides: Sides::new(body),
            entries: Vec::new(),
            left_out: 0,
        }
    }

    /// Takes a frame of the capture; `order` is its place in it.
    pub fn frame(&mut self, frame: &Frame<'_>, order: u64) {
        let Decoded::Tcp(segment) = self.decoder.decode(frame) else {
            return;
        };
        let from = if (segment.src, segment.dst) == (self.client, self.server) {
            Side::Client
        } else if (segment.src, segment.dst) == (self.server, self.client) {
            Side::Server
        } else {
            return;
        };
        let mark = Mark {
            frame: frame.id,
            time: frame.time,
            order,
        };
        let mut entries = Vec::new();
        self.sides.take((from, mark), &segment, &mut entries);
        self.push(entries);
    }

    /// The end of the capture, or of what was wanted of it: everything that was said, in the order in which it was complete.
    /// The number is of entries that were too many.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Entry>, u64) {
        let mut entries = Vec::new();
        self.sides.end(&mut entries);
        self.push(entries);
        self.entries.sort_by_key(|entry| entry.mark.order);
        (self.entries, self.left_out)
    }

    fn push(&mut self, entries: Vec<Entry>) {
        let room = MOST_ENTRIES.saturating_sub(self.entries.len());
        self.left_out += entries.len().saturating_sub(room) as u64;
        self.entries.extend(entries.into_iter().take(room));
    }
}

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Sides {
    fn new(body: usize) -> Self {
        Self {
            directions: [Side::Client, Side::Server].map(|from| Direction::new(from, body)),
            methods: VecDeque::new(),
            body,
        }
    }

    fn end(&mut self, entries: &mut Vec<Entry>) {
        for direction in &mut self.directions {
            direction.end(entries);
        }
    }

    fn take(
        &mut self,
        (from, mark): (Side, Mark),
        segment: &Segment<'_>,
        entries: &mut Vec<Entry>,
    ) {
        let opens = segment.flags.has(Flags::SYN) && segment.ack.is_none();
        if opens && !self.directions[index(from)].starts_at(segment.seq.plus(1)) {
            // The same ends have a new connection.
            self.end(entries);
            *self = Self::new(self.body);
        }
        let Self {
            directions,
            methods,
            ..
        } = self;
        if let Some(ack) = segment.ack {
            let other = &mut directions[index(from.other())];
            other.acknowledged(ack, mark, methods, entries);
        }
        let direction = &mut directions[index(from)];
        direction.segment(segment, mark, methods, entries);
        if direction.held_bytes() > MOST_HELD {
            direction.give_up(mark, methods, entries);
        }
        let control = segment
            .flags
            .any(Flags::SYN.with(Flags::FIN).with(Flags::RST));
        if control || segment.wire_payload == 0 {
            entries.push(Entry {
                from,
                mark,
                what: What::Control(segment.flags),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{FrameId, LinkType};
    use crate::time::{Span, Timestamp};

    struct Wire {
        conversation: Conversation,
        frames: u64,
    }

    const CLIENT: Endpoint = Endpoint::v4([10, 0, 0, 1], 1024);
    const SERVER: Endpoint = Endpoint::v4([10, 0, 0, 2], 80);

    impl Wire {
        fn new(body: usize) -> Self {
            Self {
                conversation: Conversation::new(CLIENT, SERVER, body),
                frames: 0,
            }
        }

        fn send(&mut self, from_client: bool, seq: u32, ack: u32, flags: u8, data: &[u8]) {
            let length = 40 + data.len() as u16;
            let mut packet = vec![0x45, 0];
            packet.extend(length.to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
            let ends = if from_client {
                [(1, 1024_u16), (2, 80)]
            } else {
                [(2, 80), (1, 1024_u16)]
            };
            for (host, _) in ends {
                packet.extend([10, 0, 0, host]);
            }
            for (_, port) in ends {
                packet.extend(port.to_be_bytes());
            }
            packet.extend(seq.to_be_bytes());
            packet.extend(ack.to_be_bytes());
            packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            packet.extend(data);
            self.frames += 1;
            let frame = Frame {
                id: FrameId::new(0, self.frames),
                time: Timestamp::default().plus(Span::from_millis(self.frames as i64)),
                interface: 0,
                link: LinkType::from_number(101).unwrap(),
                wire_len: packet.len() as u32,
                data: &packet,
            };
            self.conversation.frame(&frame, self.frames);
        }

        /// What was said, a line for each entry.
        fn said(self) -> Vec<String> {
            let (entries, left_out) = self.conversation.finish();
            assert_eq!(left_out, 0);
            let said = entries.iter().map(|entry| {
                let what = match &entry.what {
                    What::Line { line, cut, .. } => {
                        let cut = if *cut { " (cut)" } else { "" };
                        format!("{}{cut}", String::from_utf8_lossy(line))
                    }
                    What::Body {
                        size, begin, whole, ..
                    } => {
                        format!("body {size} {:?} {whole}", String::from_utf8_lossy(begin))
                    }
                    What::Other { size, begin } => {
                        format!("other {size} {:?}", String::from_utf8_lossy(begin))
                    }
                    What::Missing(size) => format!("missing {size}"),
                    What::Again(size) => format!("again {size}"),
                    What::Control(flags) => format!("flags {:02x}", flags.bits()),
                };
                let arrow = if entry.from == Side::Client { '>' } else { '<' };
                format!("{} {arrow} {what}", entry.mark.frame.number())
            });
            said.collect()
        }
    }

    #[test]
    fn a_request_in_two_segments_and_its_answer() {
        let mut wire = Wire::new(3);
        wire.send(true, 100, 0, 0x02, b"");
        wire.send(false, 500, 101, 0x12, b"");
        wire.send(
            true,
            101,
            501,
            0x18,
            b"POST /a HTTP/1.1\r\nHost: b\r\nContent-",
        );
        wire.send(true, 136, 501, 0x18, b"Length: 5\r\n\r\nhello");
        wire.send(
            false,
            501,
            154,
            0x18,
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        );
        wire.send(true, 154, 541, 0x11, b"");
        assert_eq!(
            wire.said(),
            [
                "1 > flags 02",
                "2 < flags 12",
                "3 > POST /a HTTP/1.1",
                "3 > Host: b",
                "3 > Content-Length: 5",
                "4 > ",
                "4 > body 5 \"hel\" true",
                "5 < HTTP/1.1 200 OK",
                "5 < Content-Length: 2",
                "5 < ",
                "5 < body 2 \"hi\" true",
                "6 > flags 11",
            ]
        );
    }

    #[test]
    fn out_of_order_again_and_missing() {
        let mut wire = Wire::new(0);
        wire.send(true, 101, 501, 0x18, b"GET / HTTP/1.1\r\n\r\n");
        wire.send(true, 101, 501, 0x18, b"GET / HTTP/1.1\r\n\r\n");
        // A body of 10, whose second half comes before the first, and of which two bytes never come.
        wire.send(
            false,
            501,
            119,
            0x18,
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        );
        wire.send(false, 545, 119, 0x18, b"fghij");
        wire.send(false, 542, 119, 0x18, b"cde");
        wire.send(true, 119, 550, 0x10, b"");
        let said = wire.said();
        assert!(said.contains(&"2 > again 18".to_owned()), "{said:#?}");
        assert!(
            said.iter().any(|line| line.ends_with("< missing 2")),
            "{said:#?}"
        );
    }

    #[test]
    fn a_cut_head_a_tunnel_and_no_http() {
        let mut wire = Wire::new(0);
        wire.send(true, 101, 501, 0x18, b"GET /cut HTTP/1.1\r\nHost: x");
        assert_eq!(wire.said(), ["1 > GET /cut HTTP/1.1", "1 > Host: x (cut)"]);
        let mut wire = Wire::new(2);
        wire.send(true, 101, 501, 0x18, b"CONNECT a:1 HTTP/1.1\r\n\r\n");
        wire.send(false, 501, 125, 0x18, b"HTTP/1.1 200 OK\r\n\r\nabc");
        wire.send(true, 125, 523, 0x18, b"\x16\x03\x01");
        let said = wire.said();
        assert!(said.contains(&"2 < other 3 \"ab\"".to_owned()), "{said:#?}");
        assert!(
            said.iter().any(|line| line.starts_with("3 > other 3")),
            "{said:#?}"
        );
        let mut wire = Wire::new(0);
        wire.send(true, 101, 501, 0x18, b"\x16\x03\x01garbage");
        assert_eq!(wire.said(), ["1 > other 10 \"\""]);
    }

    #[test]
    fn a_head_request_has_no_body_in_its_answer() {
        let mut wire = Wire::new(0);
        wire.send(true, 101, 501, 0x18, b"HEAD / HTTP/1.1\r\n\r\n");
        wire.send(
            false,
            501,
            120,
            0x18,
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        );
        wire.send(false, 540, 120, 0x18, b"HTTP/1.1 408 Late\r\n\r\n");
        let said = wire.said();
        assert!(
            said.contains(&"3 < HTTP/1.1 408 Late".to_owned()),
            "{said:#?}"
        );
    }
}
