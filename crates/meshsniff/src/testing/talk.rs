//! Conversations made by hand: what no proxy does by itself, one packet at a time.
//!
//! A [`Talk`] is a client and a server on Ethernet and IPv4. Each call is one packet, 20 µs after
//! the one before it unless [`Talk::wait`] says more. A test that fails leaves its packets as a
//! capture file to open.

use super::{CLIENT, Packet, SERVER, Seen, TcpSegment, analyse, wrap, write_pcap};
use crate::exchange::Exchange;
use crate::packet::{Endpoint, Flags, LinkType};

/// Who sends a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Who opened the connection.
    Client,
    /// Who was asked.
    Server,
}
use self::End::{Client, Server};

/// The sender acknowledges.
pub const ACK: Flags = Flags::ACK;
/// The sender has no more to say.
pub const FIN: Flags = Flags::FIN;
/// The sender is gone.
pub const RST: Flags = Flags::RST;
/// The sender opens.
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
    client: Endpoint,
    server: Endpoint,
    ip_id: u16,
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
            client: CLIENT,
            server: SERVER,
            ip_id: 1,
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

    /// Another client.
    pub fn client_addr(&mut self, addr: [u8; 4], port: u16) -> &mut Self {
        self.client = Endpoint::v4(addr, port);
        self
    }

    /// Another port of the server's.
    pub fn server_port(&mut self, port: u16) -> &mut Self {
        self.server.port = port;
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
        let (sender, receiver) = match from {
            Client => (self.client, self.server),
            Server => (self.server, self.client),
        };
        let segment = TcpSegment {
            from: sender,
            to: receiver,
            seq,
            ack: if flags.has(ACK) { ack } else { 0 },
            flags,
            window: self.window[from as usize],
            id: self.ip_id,
            payload,
            ..TcpSegment::default()
        };
        self.ip_id += 1;
        self.push(segment.ethernet());
        self
    }

    /// A UDP datagram of anybody.
    pub fn datagram(&mut self, from: Endpoint, to: Endpoint, payload: &[u8]) -> &mut Self {
        self.push(wrap::in_ethernet(&wrap::udp(from, to, payload)));
        self
    }

    fn push(&mut self, data: Vec<u8>) {
        self.nanos += 20_000;
        let number = self.packets.len() as u64 + 1;
        let packet = Packet::new(number, self.nanos, LinkType::Ethernet, data);
        self.packets.push(packet);
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

    /// The sequence number of what the side says next.
    pub fn next_seq(&self, from: End) -> u32 {
        self.next[from as usize]
    }

    /// The packets so far.
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    /// What the analyser says.
    pub fn seen(&self) -> Seen {
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
            let path = std::env::temp_dir().join(format!("meshsniff-{}.pcap", self.name));
            if write_pcap(&path, &self.packets).is_ok() {
                eprintln!("the packets of this test: {}", path.display());
            }
        }
    }
}
