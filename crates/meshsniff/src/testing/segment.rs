//! One TCP segment as the bytes of a packet.

use crate::packet::{Endpoint, Flags};
use etherparse::{IpHeaders, Ipv4Header, Ipv6Header, PacketBuilder, TcpHeader, ip_number};
use std::net::IpAddr;

/// The client, where a test has no other.
pub const CLIENT: Endpoint = Endpoint::v4([10, 0, 0, 1], 40_000);
/// The server, where a test has no other.
pub const SERVER: Endpoint = Endpoint::v4([10, 0, 0, 2], 8080);

const ETHERNET: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// A TCP segment to be sent: [`Default`] is an empty ACK of the client's.
#[derive(Clone, Copy, Debug)]
pub struct TcpSegment<'a> {
    /// The sender.
    pub from: Endpoint,
    /// The receiver.
    pub to: Endpoint,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number, sent as it is whatever the flags say.
    pub ack: u32,
    /// The flags.
    pub flags: Flags,
    /// The receive window, unscaled.
    pub window: u16,
    /// IPv4 identification.
    pub id: u16,
    /// TCP options; a multiple of four bytes.
    pub options: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl Default for TcpSegment<'_> {
    fn default() -> Self {
        Self {
            from: CLIENT,
            to: SERVER,
            seq: 0,
            ack: 0,
            flags: Flags::ACK,
            window: 64_000,
            id: 1,
            options: &[],
            payload: &[],
        }
    }
}

impl TcpSegment<'_> {
    /// An IPv4 or IPv6 packet, as the sender's address says.
    ///
    /// # Panics
    /// If the ends are of two families, or the packet would be too long.
    #[must_use]
    pub fn ip(&self) -> Vec<u8> {
        let ip = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let (from, to) = (from.octets(), to.octets());
                let header = Ipv4Header::new(0, 64, ip_number::TCP, from, to);
                let mut header = header.expect("a header without payload");
                header.identification = self.id;
                IpHeaders::Ipv4(header, Default::default())
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let header = Ipv6Header {
                    source: from.octets(),
                    destination: to.octets(),
                    hop_limit: 64,
                    ..Default::default()
                };
                IpHeaders::Ipv6(header, Default::default())
            }
            ends => panic!("two families of addresses: {ends:?}"),
        };
        let mut tcp = TcpHeader::new(self.from.port, self.to.port, self.seq, self.window);
        tcp.acknowledgment_number = self.ack;
        let [fin, syn, rst, psh, ack, urg, ece, cwr] =
            [0, 1, 2, 3, 4, 5, 6, 7].map(|bit| self.flags.bits() & 1 << bit != 0);
        (tcp.fin, tcp.syn, tcp.rst, tcp.psh) = (fin, syn, rst, psh);
        (tcp.ack, tcp.urg, tcp.ece, tcp.cwr) = (ack, urg, ece, cwr);
        tcp.set_options_raw(self.options).expect("up to 40 bytes");
        let mut bytes = Vec::new();
        let packet = PacketBuilder::ip(ip).tcp_header(tcp);
        packet.write(&mut bytes, self.payload).expect("a packet");
        bytes
    }

    /// The packet in an Ethernet frame.
    #[must_use]
    pub fn ethernet(&self) -> Vec<u8> {
        let ether_type: [u8; 2] = match self.from.ip() {
            IpAddr::V4(_) => [0x08, 0x00],
            IpAddr::V6(_) => [0x86, 0xdd],
        };
        [&ETHERNET[..], &ether_type, &self.ip()].concat()
    }
}
