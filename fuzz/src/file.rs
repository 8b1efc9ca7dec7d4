//! A capture file made of choices: conversations side by side in any format, and then damaged.

use super::choices::Choices;
use super::conversation::{self, SAID};
use meshsniff::packet::{Endpoint, LinkType};
use meshsniff::testing::files::{PcapFile, PcapNgFile};
use meshsniff::testing::{CLIENT, Packet, SERVER, dns, wrap};
use std::sync::LazyLock;

/// Conversations in one file.
const MAX_CONVERSATIONS: u8 = 4;

/// Bytes that are damaged at most.
const MAX_DAMAGE: u8 = 7;

/// Where the ports of a TCP segment in IPv4 begin.
const PORTS: usize = 20;

/// The server of names.
const RESOLVER: Endpoint = Endpoint::v4([10, 0, 0, 53], 53);

/// Payloads beside those of `conversation`: what proxies add, TLS, and DNS in TCP.
const MORE: [&[u8]; 20] = [
    b"GET /healthz HTTP/1.1\r\nHost: 10.0.0.2:8080\r\nUser-Agent: kube-probe/1.33\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: catalog\r\nx-request-id: d3bf0c3e-0000-4000-8000-000000000001\r\n\
      traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: catalog\r\nx-request-id: d3bf0c3e-0000-4000-8000-000000000001\r\n\
      x-envoy-attempt-count: 2\r\nx-envoy-expected-rq-timeout-ms: 15\r\n\r\n",
    b"GET /b?token=secret HTTP/1.1\r\nHost: [::1]:80\r\n\
      b3: 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nserver: envoy\r\n\
      x-envoy-upstream-service-time: 12\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 503 Service Unavailable\r\nserver: istio-envoy\r\n\
      content-length: 19\r\n\r\nno healthy upstream",
    b"HTTP/1.1 504 Gateway Timeout\r\nserver: envoy\r\n\
      content-length: 24\r\n\r\nupstream request timeout",
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /\xc3\xa9\x1b[31m\r\n\
      Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n",
    b"PUT /d HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"PROXY TCP4 10.0.0.9 10.0.0.2 4000 8080\r\nGET /p HTTP/1.1\r\nHost: catalog\r\n\r\n",
    b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x0300000000000000000000000000000000\
      \x00\x00\x02\x13\x01\x01\x00\x00\x00",
    b"\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x0300000000000000000000000000000000\
      \x00\x13\x01\x00\x00\x00",
    b"\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x050000\x16",
    b"\x15\x03\x03\x00\x02\x02\x30",
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nplain",
    b"\x00\x1e\0\x01\x01\0\0\x01\0\0\0\0\0\0\x07catalog\x04shop\0\0\x01\0\x01",
    b"\x00\x1e\0\x01\x81\x83\0\x01\0\0\0\0\0\0\x07catalog\x04shop\0\0\x01\0\x01",
];

static PAYLOADS: LazyLock<Vec<&[u8]>> = LazyLock::new(|| {
    let (first, streams) = SAID.split_at(FIRST_STREAMS);
    let all = first.iter().copied().chain(MORE);
    all.chain(streams.iter().copied()).collect()
});

/// What of [`SAID`] is HTTP/2: seeds name what stands before by its place.
const FIRST_STREAMS: usize = 24;

/// Whether these bytes are taken for a file as they are: they begin like one that can be read.
pub fn is_one(data: &[u8]) -> bool {
    matches!(
        data,
        [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..]
            | [0x34, 0xcd, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xcd, 0x34, ..]
            | [0x0a, 0x0d, 0x0d, 0x0a, ..]
            | [0x1f, 0x8b, 8, ..]
            | [0x28, 0xb5, 0x2f, 0xfd, ..]
            | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    )
}

/// The format, the layers around each packet, how many conversations and lookups there are, what is
/// damaged, the lookups, the length of every conversation but the last, and the conversations.
pub fn of(data: &[u8]) -> Vec<u8> {
    let mut choices = Choices(data);
    let format = choices.byte();
    let around = choices.byte();
    let count = choices.byte();
    let (others, damage) = (count % MAX_CONVERSATIONS, (count >> 2) % (MAX_DAMAGE + 1));
    let damage: Vec<(usize, u8)> = (0..damage)
        .map(|_| (usize::from(choices.half()), choices.byte()))
        .collect();
    let mut packets = Vec::new();
    for number in 0..count >> 5 {
        packets.push(lookup(&mut choices, number));
    }
    for number in 0..=others {
        let bytes = match number < others {
            true => usize::from(choices.byte()),
            false => usize::MAX,
        };
        for mut packet in conversation::packets_that_say(&PAYLOADS, choices.bytes(bytes)) {
            told_apart(&mut packet, number);
            packets.push(packet);
        }
    }
    packets.sort_by_key(|packet| packet.nanos);
    let mut file = match format & 1 {
        0 => pcap(&packets, format, around),
        _ => pcapng(&packets, format, around),
    };
    for (place, with) in damage {
        let place = place % file.len();
        file[place] ^= with;
    }
    file
}

/// A message of DNS: what it is, and when it comes.
fn lookup(choices: &mut Choices<'_>, number: u8) -> Packet {
    let (what, when) = (choices.byte(), choices.half());
    let id = u16::from(what & 1);
    let kind = if what & 2 != 0 { dns::AAAA } else { dns::A };
    let names = ["catalog", "catalog.shop.svc.cluster.local", "", "a.b"];
    let name = names[usize::from(what >> 2 & 3)];
    let client = Endpoint::v4([10, 0, 0, 1], 50_000 + id);
    let data = match what >> 4 & 7 {
        0..=3 => wrap::udp(client, RESOLVER, &dns::query(id, name, kind)),
        code => {
            let addresses = &[SERVER.ip()][..usize::from(code == 4)];
            let code = [0, 0, dns::SERVFAIL, dns::NXDOMAIN][usize::from(code - 4)];
            let answer = dns::answer(id, name, kind, code, addresses);
            wrap::udp(RESOLVER, client, &answer)
        }
    };
    let nanos = 1_700_000_000_000_000_000 + i64::from(when) * 1_000_000;
    Packet::new(u64::from(number) + 1, nanos, LinkType::Raw, data)
}

/// Gives the client of a conversation a port of its own.
fn told_apart(packet: &mut Packet, number: u8) {
    for port in [PORTS, PORTS + 2] {
        let Some(bytes) = packet.data.get_mut(port..port + 2) else {
            continue;
        };
        if *bytes == 40_000_u16.to_be_bytes() {
            bytes[1] += number;
        }
    }
}

/// The packet as it stands in the file.
fn frame(packet: &Packet, around: u8) -> Vec<u8> {
    let data = &packet.data;
    match around % 4 {
        0 | 1 => data.clone(),
        2 => wrap::in_ethernet(data),
        _ => wrap::in_ethernet(&wrap::ip(
            SERVER,
            CLIENT,
            47,
            &wrap::gre(0, 0x0800, &[], data),
        )),
    }
}

fn link(around: u8) -> u16 {
    if around % 4 < 2 { 101 } else { 1 }
}

fn pcap(packets: &[Packet], format: u8, around: u8) -> Vec<u8> {
    let (magic, nano) = match format >> 2 & 3 {
        0 => (0xa1b2_c3d4, false),
        1 => (0xa1b2_cd34, false),
        _ => (0xa1b2_3c4d, true),
    };
    let mut file = PcapFile::new(magic, format & 2 != 0, u32::from(link(around)));
    for packet in packets {
        let seconds = packet.nanos.div_euclid(1_000_000_000) as u32;
        let nanos = packet.nanos.rem_euclid(1_000_000_000) as u32;
        let fraction = if nano { nanos } else { nanos / 1_000 };
        let data = frame(packet, around);
        let wire = data.len() as u32 + packet.wire_len - packet.data.len() as u32;
        file = file.record(seconds, fraction, wire, &data);
    }
    file.bytes
}

fn pcapng(packets: &[Packet], format: u8, around: u8) -> Vec<u8> {
    let mut file = PcapNgFile::new(format & 2 != 0);
    for name in [b"eth0", b"eth1"] {
        file = file.interface(link(around), 0, &[(2, name), (9, &[9])]);
    }
    for (number, packet) in packets.iter().enumerate() {
        let data = frame(packet, around);
        let (nanos, interface) = (packet.nanos as u64, packet.interface);
        file = match format & 4 != 0 && number % 3 == 0 {
            true => file.packet_with(interface, nanos, &data, &[(1, b"a comment")]),
            false => file.packet(interface, nanos, &data),
        };
    }
    if format & 8 != 0 {
        file = file.statistics(0, &[(4, packets.len() as u64), (5, 3)]);
    }
    file.bytes
}
