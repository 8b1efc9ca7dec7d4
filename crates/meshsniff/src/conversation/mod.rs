//! One connection as what both sides said, in order: what "Follow TCP Stream" shows, with frames
//! and times.
//!
//! Fed with the capture's frames, it takes those of one connection, puts each direction's bytes in
//! order and reads HTTP/1 messages in them: a line of a head is an entry, a body is one with its
//! size. Nothing is judged here.

mod entry;
mod voice;

pub use entry::{Entry, Unread, What};

use crate::exchange::Side;
use crate::packet::{Decoded, Decoder, Endpoint, Flags, Frame, Mark};
use crate::protocol::detect;
use crate::protocol::http1::head::{RequestHead, ResponseHead};
use crate::tcp::{Application, Counters, Repeat, StreamEvent, TrackedConnection};
use std::ops::RangeInclusive;
use voice::{Asked, Voice};

/// Entries that are kept: far more than a person reads.
const MAX_ENTRIES: usize = 100_000;

/// A connection being followed.
pub struct Conversation {
    client: Endpoint,
    server: Endpoint,
    decoder: Decoder,
    counters: Counters,
    talk: Option<(TrackedConnection, Talk)>,
    /// Bytes of each body that are kept.
    body: usize,
    kept: Kept,
}

/// What was said and is wanted.
struct Kept {
    /// Orders of the entries that are wanted.
    wanted: RangeInclusive<u64>,
    entries: Vec<Entry>,
    left_out: u64,
}

/// What both sides say.
struct Talk {
    client: Voice<RequestHead>,
    server: Voice<ResponseHead>,
    asked: Asked,
    /// Whether TCP takes the two sides for each other.
    swapped: bool,
    entries: Vec<Entry>,
}

impl Conversation {
    /// Follows the connection of `client` and `server`. `body`: bytes of each body that are kept.
    /// `wanted`: the orders of the frames whose entries are.
    #[must_use]
    pub fn new(
        client: Endpoint,
        server: Endpoint,
        body: usize,
        wanted: RangeInclusive<u64>,
    ) -> Self {
        Self {
            client,
            server,
            decoder: Decoder::default(),
            counters: Counters::default(),
            talk: None,
            body,
            kept: Kept {
                wanted,
                entries: Vec::new(),
                left_out: 0,
            },
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
        // The same ends may have a new connection.
        let superseded =
            |(connection, _): &(TrackedConnection, Talk)| connection.is_superseded_by(&segment);
        if let Some((_, talk)) = self.talk.take_if(|talk| superseded(talk)) {
            self.kept.push(talk.end());
        }
        let (connection, talk) = self.talk.get_or_insert_with(|| {
            let connection = TrackedConnection::new(0, &segment, mark);
            let talk = Talk::new(&connection, self.client, self.body);
            (connection, talk)
        });
        let twice = self.counters.duplicate_frames;
        connection.segment(&segment, mark, &mut self.counters, talk);
        if self.counters.duplicate_frames > twice {
            return;
        }
        let control = Flags::SYN.with(Flags::FIN).with(Flags::RST);
        if segment.flags.any(control) || segment.wire_payload == 0 {
            let what = What::Control(segment.flags);
            talk.entries.push(Entry { from, mark, what });
        }
        self.kept.push(std::mem::take(&mut talk.entries));
    }

    /// The end of the capture, or of what was wanted of it: everything that was said, in the order
    /// in which it was complete. The number is of entries that were too many.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Entry>, u64) {
        if let Some((_, talk)) = self.talk.take() {
            self.kept.push(talk.end());
        }
        let Kept {
            mut entries,
            left_out,
            ..
        } = self.kept;
        entries.sort_by_key(|entry| entry.mark.order);
        (entries, left_out)
    }
}

impl Kept {
    fn push(&mut self, mut entries: Vec<Entry>) {
        entries.retain(|entry| self.wanted.contains(&entry.mark.order));
        let room = MAX_ENTRIES.saturating_sub(self.entries.len());
        self.left_out += entries.len().saturating_sub(room) as u64;
        self.entries.extend(entries.into_iter().take(room));
    }
}

impl Talk {
    fn new(connection: &TrackedConnection, client: Endpoint, body: usize) -> Self {
        let whole = connection.is_whole();
        Self {
            client: Voice::new(body, whole),
            server: Voice::new(body, whole),
            asked: Asked::default(),
            swapped: connection.client() != client,
            entries: Vec::new(),
        }
    }

    /// The connection is over: what was begun is told as it is.
    fn end(mut self) -> Vec<Entry> {
        self.client.end(&mut self.asked, &mut self.entries);
        self.server.end(&mut self.asked, &mut self.entries);
        self.entries
    }
}

impl Application for Talk {
    fn speaker(&self, bytes: &[u8]) -> Option<Side> {
        detect::speaker(bytes, false)
    }

    fn swap_sides(&mut self) {
        self.swapped = !self.swapped;
    }

    fn expected(&self, _: Side) -> Option<u64> {
        None
    }

    fn tell(&mut self, side: Side, event: StreamEvent<'_>) {
        let from = if self.swapped { side.other() } else { side };
        let (asked, entries) = (&mut self.asked, &mut self.entries);
        match event {
            StreamEvent::Bytes(run, at) => {
                asked.heard = if self.swapped {
                    at.server_acked
                } else {
                    at.client_acked
                };
                match from {
                    Side::Client => self.client.bytes(run, asked, entries),
                    Side::Server => self.server.bytes(run, asked, entries),
                }
            }
            StreamEvent::Missing(missing, at) => {
                let count = missing.extent.len();
                match from {
                    Side::Client => self.client.missing(count, at.mark, asked, entries),
                    Side::Server => self.server.missing(count, at.mark, asked, entries),
                }
            }
            StreamEvent::Repeated(repeat, mark) => {
                let what = match repeat {
                    Repeat::Bytes(count) => What::Again(count),
                    Repeat::KeepAlive => What::KeepAlive,
                    Repeat::Probe => What::Probe,
                };
                entries.push(Entry { from, mark, what });
            }
            StreamEvent::Finished(..)
            | StreamEvent::Closes
            | StreamEvent::Acknowledged(_)
            | StreamEvent::Delayed(_)
            | StreamEvent::WindowClosed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use crate::testing::{Packet, TcpSegment};

    struct Wire {
        conversation: Conversation,
        frames: u64,
        window: u16,
        /// The interface of the next packet.
        taps: u32,
    }

    const CLIENT: Endpoint = Endpoint::v4([10, 0, 0, 1], 1024);
    const SERVER: Endpoint = Endpoint::v4([10, 0, 0, 2], 80);

    impl Wire {
        fn new(body: usize) -> Self {
            Self {
                conversation: Conversation::new(CLIENT, SERVER, body, 0..=u64::MAX),
                frames: 0,
                window: 0xffff,
                taps: 0,
            }
        }

        fn send(&mut self, from_client: bool, seq: u32, ack: u32, flags: u8, data: &[u8]) {
            let (from, to) = if from_client {
                (CLIENT, SERVER)
            } else {
                (SERVER, CLIENT)
            };
            let packet = TcpSegment {
                from,
                to,
                seq,
                ack,
                flags: Flags::from_bits(flags),
                window: self.window,
                id: 0,
                options: &[],
                payload: data,
            };
            self.frames += 1;
            let micros = self.frames as i64 * 100;
            let mut packet = Packet::new(self.frames, micros * 1_000, LinkType::Raw, packet.ip());
            packet.interface = self.taps;
            self.conversation.frame(&packet.frame(), self.frames);
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
                    What::Other { size, begin, .. } => {
                        format!("other {size} {:?}", String::from_utf8_lossy(begin))
                    }
                    What::Missing(size) => format!("missing {size}"),
                    What::Again(size) => format!("again {size}"),
                    What::KeepAlive => "keep-alive".to_owned(),
                    What::Probe => "probe".to_owned(),
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
        // A body of 10, whose second half comes before the first, and of which two bytes never
        // come.
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

    #[test]
    fn what_follows_a_hole_is_counted_and_the_next_message_is_told() {
        let mut wire = Wire::new(0);
        wire.send(true, 100, 0, 0x02, b"");
        wire.send(
            true,
            101,
            501,
            0x18,
            b"GET /a HTTP/1.1\r\nHost: a\r\nCookie: ",
        );
        // Ten bytes are missing.
        wire.send(true, 145, 501, 0x18, b"secret\r\nx: y\r\n\r\n");
        wire.send(true, 161, 501, 0x18, b"GET /b HTTP/1.1\r\n\r\n");
        wire.send(false, 501, 180, 0x10, b"");
        let said = wire.said();
        let said: Vec<&str> = said
            .iter()
            .map(|line| line.split_once(' ').unwrap().1)
            .filter(|line| !line.contains("flags"))
            .collect();
        assert_eq!(
            said,
            [
                "> GET /a HTTP/1.1",
                "> Host: a",
                "> Cookie:  (cut)",
                "> other 16 \"\"",
                "> GET /b HTTP/1.1",
                "> ",
                "> missing 10",
            ]
        );
    }

    #[test]
    fn a_capture_that_begins_inside_a_body() {
        let mut wire = Wire::new(0);
        wire.send(false, 501, 101, 0x18, b"rest\nAuthorization: x\r\n\r\n");
        // An answer to what was asked before: the server has not got the HEAD yet.
        wire.send(true, 101, 526, 0x18, b"HEAD / HTTP/1.1\r\n\r\n");
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        wire.send(false, 526, 101, 0x18, ok);
        wire.send(false, 564, 101, 0x18, b"abc");
        wire.send(false, 567, 120, 0x18, ok);
        wire.send(false, 605, 120, 0x18, b"HTTP/1.1 408 Late\r\n\r\n");
        let said = wire.said();
        assert_eq!(said[0], "1 < other 25 \"\"");
        let has = |line: &str| said.iter().any(|said| said == line);
        assert!(has("4 < body 3 \"\" true"), "{said:#?}");
        assert!(has("5 < HTTP/1.1 200 OK"), "{said:#?}");
        assert!(has("6 < HTTP/1.1 408 Late"), "{said:#?}");
    }

    #[test]
    fn no_retransmission_without_one() {
        let mut wire = Wire::new(0);
        wire.send(true, 100, 0, 0x02, b"");
        wire.send(false, 500, 101, 0x12, b"");
        wire.send(true, 101, 501, 0x18, b"GET / HTTP/1.1\r\n\r\n");
        // The same packet on another interface, a keep-alive, and a probe of a closed window.
        wire.taps = 1;
        wire.send(true, 101, 501, 0x18, b"GET / HTTP/1.1\r\n\r\n");
        wire.taps = 0;
        wire.send(true, 118, 501, 0x10, b"\0");
        wire.window = 0;
        wire.send(false, 501, 119, 0x10, b"");
        wire.window = 0xffff;
        wire.send(true, 119, 501, 0x10, b"G");
        wire.send(true, 119, 501, 0x10, b"G");
        wire.send(false, 501, 120, 0x10, b"");
        wire.send(true, 120, 501, 0x18, b"ET /b HTTP/1.1\r\n\r\n");
        let said = wire.said();
        assert!(!said.iter().any(|line| line.contains("again")), "{said:#?}");
        for line in ["5 > keep-alive", "7 > probe", "8 > probe"] {
            assert!(said.iter().any(|said| said == line), "{said:#?}");
        }
        assert!(
            said.iter().any(|line| line.ends_with("> GET /b HTTP/1.1")),
            "{said:#?}"
        );
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        let mut wire = Wire::new(0);
        wire.conversation = Conversation::new(CLIENT, SERVER, 0, 2..=2);
        for (at, path) in (0..).zip(["a", "b", "c"]) {
            let request = format!("GET /{path} HTTP/1.1\r\n\r\n");
            wire.send(true, 101 + at * 19, 501, 0x18, request.as_bytes());
        }
        assert_eq!(wire.said(), ["2 > GET /b HTTP/1.1", "2 > "]);
    }

    #[test]
    fn a_folded_line_names_its_field() {
        let mut wire = Wire::new(0);
        wire.send(true, 101, 501, 0x18, b"GET / HTTP/1.1\r\nCookie: a\r\n\tb");
        let (entries, _) = wire.conversation.finish();
        let folds = entries.iter().map(|entry| match &entry.what {
            What::Line { folds, .. } => folds.clone(),
            _ => None,
        });
        let folds: Vec<_> = folds.collect();
        assert_eq!(folds, [None, None, Some(b"Cookie".to_vec())]);
    }
}
