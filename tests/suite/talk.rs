//! Conversations made by hand: what no proxy does by itself, one packet at a time.
//!
//! A [`Talk`] is a client and a server on Ethernet and IPv4. Each call is one packet, 20 µs after the one before
//! it unless [`Talk::wait`] says more. A test that fails leaves its packets as a capture file to open.

use etherparse::PacketBuilder;
use meshsniff::exchange::{Connection, Exchange};
use meshsniff::packet::{Flags, Frame, FrameId, LinkType};
use meshsniff::time::Timestamp;
use meshsniff::{Analyzer, Options, Sink, Totals};
use std::path::PathBuf;

/// A frame that owns its bytes.
#[derive(Clone, Debug)]
pub struct Packet {
    pub number: u64,
    pub nanos: i64,
    pub interface: u32,
    pub link: LinkType,
    pub wire_len: u32,
    pub data: Vec<u8>,
}

/// Everything the analyser settled.
#[derive(Default)]
pub struct Seen {
    pub exchanges: Vec<Exchange>,
    pub connections: Vec<Connection>,
    pub totals: Totals,
}

impl Sink for Seen {
    fn exchange(&mut self, exchange: &Exchange) {
        self.exchanges.push(exchange.clone());
    }

    fn connection(&mut self, connection: &Connection) {
        self.connections.push(connection.clone());
    }
}

/// Runs the analyser over packets.
pub fn analyse<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> Seen {
    let mut seen = Seen::default();
    let mut analyzer = Analyzer::new(Options::default());
    for packet in packets {
        let frame = Frame {
            id: FrameId::new(0, packet.number),
            time: Timestamp::from_nanos(packet.nanos),
            interface: packet.interface,
            link: packet.link,
            wire_len: packet.wire_len,
            data: &packet.data,
        };
        analyzer.frame(&frame, &mut seen);
    }
    analyzer.finish(&mut seen);
    seen.totals = analyzer.totals().clone();
    seen
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Client,
    Server,
}
use self::End::{Client, Server};

pub const ACK: Flags = Flags::ACK;
pub const FIN: Flags = Flags::FIN;
pub const RST: Flags = Flags::RST;
pub const SYN: Flags = Flags::SYN;

/// A client and a server, talking.
pub struct Talk {
    name: &'static str,
    packets: Vec<Packet>,
    nanos: i64,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
    /// What each of them has acknowledged.
    acked: [u32; 2],
    window: [u16; 2],
    client: ([u8; 4], u16),
    server: ([u8; 4], u16),
    ip_id: u16,
    checked: std::cell::Cell<bool>,
}

impl Talk {
    /// Two hosts that have not said a word. `name` is the test's.
    pub fn new(name: &'static str) -> Self {
        // The client's numbers wrap soon, the server's sooner: every test is a test of that too.
        let next = [u32::MAX - 50, u32::MAX - 20];
        Self {
            name,
            packets: Vec::new(),
            nanos: 1_700_000_000_000_000_000,
            next,
            acked: [0, 0],
            window: [64_000, 64_000],
            client: ([10, 0, 0, 1], 40_000),
            server: ([10, 0, 0, 2], 8080),
            ip_id: 1,
            checked: std::cell::Cell::new(false),
        }
    }

    /// The same after a handshake.
    pub fn opened(name: &'static str) -> Self {
        let mut talk = Self::new(name);
        talk.open();
        talk
    }

    /// A three-way handshake.
    pub fn open(&mut self) -> &mut Self {
        self.packet(Client, SYN, b"")
            .packet(Server, SYN.with(ACK), b"")
            .ack(Client)
    }

    pub fn client_addr(&mut self, addr: [u8; 4], port: u16) -> &mut Self {
        self.client = (addr, port);
        self
    }

    pub fn server_port(&mut self, port: u16) -> &mut Self {
        self.server.1 = port;
        self
    }

    /// Lets `millis` pass before the next packet.
    pub fn wait(&mut self, millis: f64) -> &mut Self {
        self.nanos += (millis * 1e6) as i64;
        self
    }

    /// The side's receive window from now on.
    pub fn window(&mut self, from: End, window: u16) -> &mut Self {
        self.window[from as usize] = window;
        self
    }

    /// A data segment that acknowledges all there is.
    pub fn say(&mut self, from: End, bytes: &[u8]) -> &mut Self {
        self.packet(from, ACK.with(Flags::PSH), bytes)
    }

    /// A bare ACK of all there is.
    pub fn ack(&mut self, from: End) -> &mut Self {
        self.packet(from, ACK, b"")
    }

    /// A FIN that acknowledges all there is.
    pub fn fin(&mut self, from: End) -> &mut Self {
        self.packet(from, FIN.with(ACK), b"")
    }

    /// A RST from a socket that still exists.
    pub fn rst(&mut self, from: End) -> &mut Self {
        self.packet(from, RST.with(ACK), b"")
    }

    /// A RST without ACK, as a socket that is gone answers data.
    pub fn bare_rst(&mut self, from: End) -> &mut Self {
        self.packet(from, RST, b"")
    }

    /// A packet that acknowledges all there is, if its flags say ACK.
    pub fn packet(&mut self, from: End, flags: Flags, payload: &[u8]) -> &mut Self {
        let (own, other) = (from as usize, 1 - from as usize);
        if flags.has(ACK) {
            self.acked[own] = self.next[other];
        }
        let seq = self.next[own];
        self.raw(from, flags, seq, self.acked[own], payload);
        let flag_len = u32::from(flags.any(SYN.with(FIN)));
        self.next[own] = seq.wrapping_add(payload.len() as u32 + flag_len);
        self
    }

    /// The same as [`Talk::packet`], but acknowledging only what was acknowledged before.
    pub fn unaware(&mut self, from: End, flags: Flags, payload: &[u8]) -> &mut Self {
        let own = from as usize;
        let seq = self.next[own];
        self.raw(from, flags, seq, self.acked[own], payload);
        let flag_len = u32::from(flags.any(SYN.with(FIN)));
        self.next[own] = seq.wrapping_add(payload.len() as u32 + flag_len);
        self
    }

    /// Bytes that are sent and acknowledged, but that nobody captured.
    pub fn uncaptured(&mut self, from: End, len: u32) -> &mut Self {
        self.next[from as usize] = self.next[from as usize].wrapping_add(len);
        self
    }

    /// Any packet at all; it moves nothing.
    pub fn raw(
        &mut self,
        from: End,
        flags: Flags,
        seq: u32,
        ack: u32,
        payload: &[u8],
    ) -> &mut Self {
        let ((src, sport), (dst, dport)) = match from {
            Client => (self.client, self.server),
            Server => (self.server, self.client),
        };
        let mut tcp = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(src, dst, 64)
            .tcp(sport, dport, seq, self.window[from as usize]);
        if flags.has(FIN) {
            tcp = tcp.fin();
        }
        if flags.has(SYN) {
            tcp = tcp.syn();
        }
        if flags.has(RST) {
            tcp = tcp.rst();
        }
        if flags.has(Flags::PSH) {
            tcp = tcp.psh();
        }
        if flags.has(ACK) {
            tcp = tcp.ack(ack);
        }
        let mut data = Vec::new();
        tcp.write(&mut data, payload).expect("a small packet");
        data[18..20].copy_from_slice(&self.ip_id.to_be_bytes());
        self.ip_id += 1;
        self.push(data);
        self
    }

    fn push(&mut self, data: Vec<u8>) {
        self.nanos += 20_000;
        self.packets.push(Packet {
            number: self.packets.len() as u64 + 1,
            nanos: self.nanos,
            interface: 0,
            link: LinkType::Ethernet,
            wire_len: data.len() as u32,
            data,
        });
    }

    /// The last packet once more, as it was.
    pub fn again(&mut self) -> &mut Self {
        let last = self.packets.last().expect("a packet").data.clone();
        self.push(last);
        self
    }

    /// The last packet seen on another interface, 5 µs later.
    pub fn on_another_interface(&mut self) -> &mut Self {
        let data = self.packets.last().expect("a packet").data.clone();
        self.nanos -= 15_000;
        self.push(data);
        self.packets.last_mut().expect("it").interface = 1;
        self
    }

    /// Cuts every packet to `len` captured bytes.
    pub fn snap(&mut self, len: usize) -> &mut Self {
        for packet in &mut self.packets {
            packet.data.truncate(len);
        }
        self
    }

    pub fn next_seq(&self, from: End) -> u32 {
        self.next[from as usize]
    }

    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    /// What the analyser says.
    pub fn seen(&self) -> Seen {
        self.checked.set(true);
        analyse(&self.packets)
    }

    /// The one exchange there is.
    pub fn exchange(&self) -> Exchange {
        let mut seen = self.seen();
        assert_eq!(seen.exchanges.len(), 1, "exchanges: {:#?}", seen.exchanges);
        seen.exchanges.remove(0)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path =
                PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.pcap", self.name));
            if write_pcap(&path, &self.packets).is_ok() {
                eprintln!("the packets of this test: {}", path.display());
            }
        }
    }
}

/// Writes packets as a nanosecond pcap.
pub fn write_pcap(path: &std::path::Path, packets: &[Packet]) -> std::io::Result<()> {
    let mut file = Vec::new();
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for packet in packets {
        let (secs, nanos) = (packet.nanos / 1_000_000_000, packet.nanos % 1_000_000_000);
        for word in [
            secs as u32,
            nanos as u32,
            packet.data.len() as u32,
            packet.wire_len,
        ] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&packet.data);
    }
    std::fs::write(path, file)
}
