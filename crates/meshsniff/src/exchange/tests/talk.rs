//! Conversations made by hand: the packets of one connection, and what the analyser makes of them.
//!
//! Each call is a packet, 1 ms after the one before it unless [`Talk::after`] says otherwise. What
//! a call does not say is as TCP has it: a packet continues the stream of its sender and
//! acknowledges all that the other side has sent. Frame `n` is the `n`th packet, also of those that
//! the capture lacks.

use super::settled::Settled;
use crate::exchange::model::{Connection, Doubt, Exchange, Verdict};
use crate::kernel::Answer;
use crate::packet::{Flags, Frame, FrameId, LinkType};
use crate::time::Timestamp;
use crate::{Analyzer, Options, Sink, Totals};
use etherparse::{PacketBuilder, TcpOptionElement};

pub(super) const ACK: Flags = Flags::ACK;
pub(super) const FIN: Flags = Flags::FIN;
pub(super) const RST: Flags = Flags::RST;
pub(super) const SYN: Flags = Flags::SYN;

/// Length of the headers in front of the payload.
const HEADERS: usize = 14 + 20 + 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}
use End::{Client, Server};

/// How the next packet differs from what would be expected.
#[derive(Clone, Copy, Default)]
struct Odd {
    after_micros: Option<i64>,
    missing: bool,
    shift: Option<i64>,
    less_acked: u32,
    unaware: bool,
    mss: Option<u16>,
    captured: Option<usize>,
}

#[derive(Clone)]
struct Packet {
    number: u64,
    nanos: i64,
    interface: u32,
    wire_len: u32,
    data: Vec<u8>,
}

/// A client and a server, talking.
#[derive(Clone)]
pub(super) struct Talk {
    packets: Vec<Packet>,
    said: u64,
    nanos: i64,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
    /// What each of them has acknowledged.
    acked: [u32; 2],
    window: [u16; 2],
    client_port: u16,
    odd: Odd,
    dropped: bool,
}

/// What is said.
impl Talk {
    /// Two hosts that have not said a word.
    pub(super) const fn new() -> Self {
        Self {
            packets: Vec::new(),
            said: 0,
            nanos: 0,
            // Both wrap soon.
            next: [u32::MAX - 50, u32::MAX - 20],
            acked: [0, 0],
            window: [64_000, 64_000],
            client_port: 40_000,
            odd: Odd {
                after_micros: None,
                missing: false,
                shift: None,
                less_acked: 0,
                unaware: false,
                mss: None,
                captured: None,
            },
            dropped: false,
        }
    }

    /// A three-way handshake, in frames 1 to 3.
    pub(super) fn opened() -> Self {
        Self::new().syn(Client).syn_ack().ack(Client)
    }

    /// A connection that the capture joins: nothing of what was said before was seen.
    pub(super) fn joined() -> Self {
        let mut talk = Self::new();
        talk.acked = [talk.next[1], talk.next[0]];
        talk
    }

    pub(super) fn syn(self, from: End) -> Self {
        self.send(from, SYN, b"")
    }

    pub(super) fn syn_ack(self) -> Self {
        self.send(Server, SYN.with(ACK), b"")
    }

    /// A bare ACK.
    pub(super) fn ack(self, from: End) -> Self {
        self.send(from, ACK, b"")
    }

    /// Data.
    pub(super) fn say(self, from: End, payload: impl AsRef<[u8]>) -> Self {
        self.send(from, ACK.with(Flags::PSH), payload)
    }

    pub(super) fn fin(self, from: End) -> Self {
        self.send(from, FIN.with(ACK), b"")
    }

    /// A RST from a socket that still exists.
    pub(super) fn rst(self, from: End) -> Self {
        self.send(from, RST.with(ACK), b"")
    }

    /// A RST from a socket that is gone.
    pub(super) fn bare_rst(self, from: End) -> Self {
        self.send(from, RST, b"")
    }

    /// Any packet.
    pub(super) fn send(mut self, from: End, flags: Flags, payload: impl AsRef<[u8]>) -> Self {
        let payload = payload.as_ref();
        let odd = std::mem::take(&mut self.odd);
        let (own, other) = (from as usize, 1 - from as usize);
        self.said += 1;
        self.nanos += odd.after_micros.unwrap_or(1000) * 1000;
        let mut ack = self.next[other].wrapping_sub(odd.less_acked);
        if odd.unaware {
            ack = self.acked[own];
        }
        if flags.has(ACK) {
            self.acked[own] = ack;
        }
        let seq = self.next[own].wrapping_add(odd.shift.unwrap_or(0) as u32);
        if odd.shift.is_none() {
            let flag_len = u32::from(flags.has(SYN)) + u32::from(flags.has(FIN));
            self.next[own] = seq.wrapping_add(payload.len() as u32 + flag_len);
        }
        if odd.missing {
            return self;
        }
        let mut data = self.bytes(from, flags, (seq, ack), odd.mss, payload);
        let wire_len = data.len() as u32;
        if let Some(captured) = odd.captured {
            data.truncate(HEADERS + captured);
        }
        self.packets.push(Packet {
            number: self.said,
            nanos: self.nanos,
            interface: 0,
            wire_len,
            data,
        });
        self
    }

    fn bytes(
        &self,
        from: End,
        flags: Flags,
        (seq, ack): (u32, u32),
        mss: Option<u16>,
        payload: &[u8],
    ) -> Vec<u8> {
        let client = ([10, 0, 0, 1], self.client_port);
        let server = ([10, 0, 0, 2], 8080);
        let ((src, sport), (dst, dport)) = match from {
            Client => (client, server),
            Server => (server, client),
        };
        let mut tcp = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(src, dst, 64)
            .tcp(sport, dport, seq, self.window[from as usize]);
        for (flag, set) in [
            (FIN, etherparse::PacketBuilderStep::fin as fn(_) -> _),
            (SYN, etherparse::PacketBuilderStep::syn),
            (RST, etherparse::PacketBuilderStep::rst),
            (Flags::PSH, etherparse::PacketBuilderStep::psh),
        ] {
            if flags.has(flag) {
                tcp = set(tcp);
            }
        }
        if flags.has(ACK) {
            tcp = tcp.ack(ack);
        }
        if let Some(mss) = mss {
            let option = TcpOptionElement::MaximumSegmentSize(mss);
            tcp = tcp.options(&[option]).expect("one option");
        }
        let mut data = Vec::new();
        tcp.write(&mut data, payload).expect("a small packet");
        // Every packet has an IP id of its own: none is another sighting of the one before.
        data[18..20].copy_from_slice(&(self.said as u16).to_be_bytes());
        data
    }
}

/// How the next packet differs from what would be expected.
impl Talk {
    /// It comes so many milliseconds after the one before.
    pub(super) fn after(mut self, millis: f64) -> Self {
        self.odd.after_micros = Some((millis * 1000.0) as i64);
        self
    }

    /// The capture lacks it.
    pub(super) const fn missing(mut self) -> Self {
        self.odd.missing = true;
        self
    }

    /// Its number lies so far before what comes next, and it moves nothing.
    pub(super) const fn back(self, by: u32) -> Self {
        self.shifted(-(by as i64))
    }

    /// Its number lies so far beyond what comes next, and it moves nothing.
    pub(super) const fn ahead(self, by: u32) -> Self {
        self.shifted(by as i64)
    }

    const fn shifted(mut self, by: i64) -> Self {
        self.odd.shift = Some(by);
        self
    }

    /// It acknowledges all but the last `n` bytes.
    pub(super) const fn all_but(mut self, n: u32) -> Self {
        self.odd.less_acked = n;
        self
    }

    /// It acknowledges bytes that nobody has sent.
    pub(super) const fn too_much(mut self, by: u32) -> Self {
        self.odd.less_acked = 0_u32.wrapping_sub(by);
        self
    }

    /// It acknowledges no more than its sender had acknowledged before.
    pub(super) const fn unaware(mut self) -> Self {
        self.odd.unaware = true;
        self
    }

    /// It announces a maximum segment size.
    pub(super) const fn mss(mut self, mss: u16) -> Self {
        self.odd.mss = Some(mss);
        self
    }

    /// The snap length leaves so many bytes of its payload.
    pub(super) const fn cut_to(mut self, bytes: usize) -> Self {
        self.odd.captured = Some(bytes);
        self
    }
}

/// What lasts.
impl Talk {
    /// The side's receive window from now on.
    pub(super) const fn window(mut self, from: End, window: u16) -> Self {
        self.window[from as usize] = window;
        self
    }

    /// The client's port, which is above the server's 8080 unless this says otherwise.
    pub(super) const fn client_port(mut self, port: u16) -> Self {
        self.client_port = port;
        self
    }

    /// Another connection between the same ends begins: its numbers lie far from the old ones.
    pub(super) const fn anew(mut self) -> Self {
        self.next = [
            self.next[0].wrapping_add(1 << 28),
            self.next[1].wrapping_add(1 << 28),
        ];
        self
    }

    /// The last packet captured once more, the same to the bit, on another interface.
    pub(super) fn seen_again_on(mut self, interface: u32) -> Self {
        self.said += 1;
        self.nanos += 10_000;
        let last = self.packets.last().expect("a packet");
        let again = Packet {
            number: self.said,
            nanos: self.nanos,
            interface,
            ..last.clone()
        };
        self.packets.push(again);
        self
    }

    /// The kernel says that it lost packets.
    pub(super) const fn dropped(mut self) -> Self {
        self.dropped = true;
        self
    }
}

/// What the analyser makes of it.
pub(super) struct Seen {
    pub(super) exchanges: Vec<Settled>,
    pub(super) connections: Vec<Connection>,
    pub(super) totals: Totals,
}

#[derive(Default)]
struct Kept(Vec<Settled>, Vec<Connection>);

impl Sink for Kept {
    fn exchange(&mut self, exchange: &Exchange) {
        self.0.push(Settled(exchange.clone()));
    }

    fn connection(&mut self, connection: &Connection) {
        self.1.push(connection.clone());
    }
}

impl Talk {
    pub(super) fn seen(&self) -> Seen {
        self.analysed(Options::default(), |_| None)
    }

    /// The same, with what a kernel says of the sockets so many milliseconds after the first packet.
    pub(super) fn asking(&self, kernel: impl FnMut(f64) -> Option<Answer>) -> Seen {
        let options = Options {
            asks_kernel: true,
            ..Options::default()
        };
        self.analysed(options, kernel)
    }

    fn analysed(&self, options: Options, mut kernel: impl FnMut(f64) -> Option<Answer>) -> Seen {
        let mut kept = Kept::default();
        let mut analyzer = Analyzer::new(options);
        let first = Timestamp::from_nanos(self.packets.first().map_or(0, |one| one.nanos));
        analyzer.set_dropped(Some(u64::from(self.dropped)));
        for packet in &self.packets {
            let frame = Frame {
                id: FrameId::new(0, packet.number),
                time: Timestamp::from_nanos(packet.nanos),
                interface: packet.interface,
                link: LinkType::Ethernet,
                wire_len: packet.wire_len,
                data: &packet.data,
            };
            while let Some(now) = analyzer.ask_at().filter(|at| *at < frame.time) {
                analyzer.ask(now, &mut |_, _| {
                    let answer = kernel((now - first).as_millis())?;
                    Some(Answer { at: now, ..answer })
                });
            }
            analyzer.frame(&frame, &mut kept);
        }
        analyzer.finish(&mut kept);
        Seen {
            exchanges: kept.0,
            connections: kept.1,
            totals: analyzer.totals().clone(),
        }
    }

    /// The one exchange there is.
    pub(super) fn exchange(&self) -> Settled {
        let mut exchanges = self.seen().exchanges;
        assert_eq!(exchanges.len(), 1, "so many exchanges");
        exchanges.remove(0)
    }

    /// The verdict of the one exchange there is.
    pub(super) fn verdict(&self) -> (Verdict, Option<Doubt>) {
        self.exchange().verdict()
    }

    /// The verdicts of all exchanges.
    pub(super) fn verdicts(&self) -> Vec<(Verdict, Option<Doubt>)> {
        let exchanges = self.seen().exchanges;
        exchanges.iter().map(Settled::verdict).collect()
    }

    /// The one connection there is.
    pub(super) fn connection(&self) -> Connection {
        let mut connections = self.seen().connections;
        assert_eq!(connections.len(), 1, "so many connections");
        connections.remove(0)
    }
}
