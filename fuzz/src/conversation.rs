//! Segments of one connection that no stack would send, with bytes that may be HTTP.

use super::choices::Choices;
use super::judge::judged;
use meshsniff::packet::{Flags, LinkType};
use meshsniff::testing::{ACK, CLIENT, FIN, Packet, RST, SERVER, SYN, TcpSegment};

/// What a payload may be: heads and bodies, whole and in parts.
pub(super) const SAID: [&[u8]; 43] = [
    b"",
    b"GET /items HTTP/1.1\r\nHost: catalog\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /orders HTTP/1.1\r\nContent-Length: 10\r\n\r\n",
    b"0123456789",
    b"01234",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil",
    b"HEAD / HTTP/1.1\r\n\r\n",
    b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
    b"GET /half HTTP/1.1\r\nHo",
    b"st: catalog\r\n\r\n",
    b"HTTP/1.1 500 In",
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\nx-envoy-expected-rq-timeout-ms: 500\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\0\xff not http \r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    b"\0\0\x0c\x04\0\0\0\0\0\0\x03\0\0\0\x01\0\x04\0\0\0\n\0\0\0\x04\x01\0\0\0\0",
    b"\0\0\x08\x01\x05\0\0\0\x01\x82\x86\x84@\x01a\x01b",
    b"\0\0\x07\x01\x04\0\0\0\x03\x83\x86D\x02/c\xbe",
    b"\0\0\n\0\x01\0\0\0\x03\0\0\0\0\x05hello",
    b"\0\0\x04\x01\x05\0\0\0\x05\x82\x86\x84\xbf",
    b"\0\0\x01\x01\x04\0\0\0\x01\x88",
    b"\0\0\n\0\0\0\0\0\x010123456789",
    b"\0\0\x05\0\x01\0\0\0\x0101234",
    b"\0\0\x01\x01\x05\0\0\0\x03\x8d",
    b"\0\0\x05\x01\x04\0\0\0\x03\x08\x03103",
    b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x07",
    b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\x0b",
    b"\0\0\x04\x08\0\0\0\0\x01\0\0\x01\0\0\0\x04\x08\0\0\0\0\0\0\0\x01\0",
    b"\0\0\x08\x06\0\0\0\0\0pingping",
    b"\0\0\x02\x01\0\0\0\0\x07\x82\x86",
    b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
];

/// Two starting numbers, then segments: a byte of flags, a byte of what is odd about it, a byte of
/// what it says.
pub fn check(data: &[u8]) {
    let packets = packets(data);
    let _ = judged(&packets);
}

/// The packets of `data`.
pub fn packets(data: &[u8]) -> Vec<Packet> {
    packets_that_say(&SAID, data)
}

/// The packets of `data`, with other payloads.
pub(super) fn packets_that_say(what: &[&[u8]], data: &[u8]) -> Vec<Packet> {
    let mut choices = Choices(data);
    // Numbers that wrap soon, seldom or in between.
    let mut next = [
        u32::from(choices.byte()),
        u32::MAX - u32::from(choices.byte()),
    ];
    let mut nanos = 1_700_000_000_000_000_000_i64;
    let mut packets: Vec<Packet> = Vec::new();
    while let Some(flags) = choices.another() {
        if packets.len() == 500 {
            break;
        }
        let server = flags & 0x80 != 0;
        let own = usize::from(server);
        let odd = choices.byte();
        let said = choices.byte();
        if odd & 0xf0 == 0xf0 && !packets.is_empty() {
            // The same packet once more: later, on another interface, or out of its order.
            let mut again = packets[packets.len() - 1 - usize::from(said) % packets.len()].clone();
            nanos += 5_000;
            again.nanos = nanos;
            again.interface = u32::from(odd & 1);
            again.number = packets.len() as u64 + 1;
            packets.push(again);
            continue;
        }
        let payload = if said & 0x80 == 0 {
            what[usize::from(said) % what.len()]
        } else {
            choices.bytes(usize::from(said & 0x3f))
        };
        let mut seq = next[own];
        let mut ack = next[1 - own];
        if odd & 1 != 0 {
            seq = seq.wrapping_add(i32::from(choices.byte() as i8) as u32);
        }
        if odd & 2 != 0 {
            ack = ack.wrapping_add(i32::from(choices.byte() as i8) as u32);
        }
        if odd & 4 != 0 {
            seq ^= 0x8000_0000 >> (choices.byte() % 32);
        }
        nanos += match odd & 0x18 {
            0x08 => i64::from(choices.half()) * 1_000_000,
            0x10 => -i64::from(choices.byte()) * 10_000,
            0x18 => 61_000_000_000,
            _ => 20_000,
        };
        // Mostly ACK alone: SYN, FIN and RST end what could be seen.
        let flags = match flags & 0x0f {
            0..=8 => ACK,
            9 => SYN,
            10 => SYN.with(ACK),
            11 => FIN.with(ACK),
            12 => RST,
            13 => RST.with(ACK),
            14 => FIN,
            _ => Flags::from_bits(choices.byte() & 0x3f),
        };
        let ends = [CLIENT, SERVER];
        let segment = TcpSegment {
            from: ends[own],
            to: ends[1 - own],
            seq,
            ack,
            flags,
            window: if odd & 0x20 != 0 { 0 } else { 64_000 },
            id: packets.len() as u16,
            options: &[],
            payload,
        };
        let extra = u32::from(flags.any(SYN.with(FIN)));
        next[own] = seq.wrapping_add(payload.len() as u32 + extra);
        let number = packets.len() as u64 + 1;
        let mut packet = Packet::new(number, nanos, LinkType::Raw, segment.ip());
        if odd & 0x40 != 0 {
            packet.data.truncate(40 + usize::from(choices.byte()));
        }
        packets.push(packet);
    }
    packets
}
