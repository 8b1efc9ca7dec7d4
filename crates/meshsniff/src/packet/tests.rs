//! Frames built byte by byte, and what the decoder makes of them.

mod wrapped;

use super::*;
use crate::testing::TcpSegment;
use crate::time::Timestamp;
use etherparse::{IpFragOffset, Ipv4Header, PacketBuilder, ip_number};

const HELLO: &[u8] = b"hello, world";

fn frame(link: LinkType, data: &[u8]) -> Frame<'_> {
    Frame {
        id: FrameId::new(0, 1),
        time: Timestamp::from_nanos(0),
        interface: 0,
        link,
        wire_len: data.len() as u32,
        data,
    }
}

/// A copy of a segment that does not borrow.
#[derive(Debug, PartialEq)]
struct Seen {
    src: String,
    dst: String,
    seq: u32,
    ack: Option<u32>,
    flags: u8,
    window: u16,
    payload: Vec<u8>,
    wire_payload: u32,
    mss: Option<u16>,
    ip_id: Option<u16>,
}

fn seen(segment: &Segment<'_>) -> Seen {
    Seen {
        src: segment.src.to_string(),
        dst: segment.dst.to_string(),
        seq: segment.seq.get(),
        ack: segment.ack.map(Seq::get),
        flags: segment.flags.bits(),
        window: segment.window,
        payload: segment.payload.to_vec(),
        wire_payload: segment.wire_payload,
        mss: segment.mss,
        ip_id: segment.ip_id,
    }
}

fn tcp(decoded: Decoded<'_>) -> Segment<'_> {
    match decoded {
        Decoded::Tcp(segment) => segment,
        other => panic!("no segment but {other:?}"),
    }
}

fn not_read(link: LinkType, data: &[u8]) -> NotRead {
    match Decoder::new().decode(&frame(link, data)) {
        Decoded::NotRead(what) => what,
        other => panic!("{other:?}"),
    }
}

/// A segment from port 40000 to 80 that carries [`HELLO`].
const fn hello() -> TcpSegment<'static> {
    TcpSegment {
        from: Endpoint::v4([10, 0, 0, 1], 40_000),
        to: Endpoint::v4([10, 0, 0, 2], 80),
        seq: 1_000,
        ack: 77,
        flags: Flags::ACK.with(Flags::PSH),
        window: 64_240,
        id: 0x1234,
        options: &[],
        payload: HELLO,
    }
}

fn packet_v4() -> Vec<u8> {
    hello().ip()
}

fn packet_v6() -> Vec<u8> {
    let (from, to) = (
        Endpoint::v6([0xfd; 16], 40_000),
        Endpoint::v6([0xfe; 16], 80),
    );
    TcpSegment {
        from,
        to,
        ..hello()
    }
    .ip()
}

/// An IPv6 packet whose TCP segment follows `extensions` (number and bytes, next header filled in
/// here).
fn packet_v6_with(extensions: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let plain = packet_v6();
    let mut out = plain[..40].to_vec();
    out[6] = extensions.first().map_or(6, |(number, _)| *number);
    for (index, (_, bytes)) in extensions.iter().enumerate() {
        let start = out.len();
        out.extend_from_slice(bytes);
        out[start] = extensions.get(index + 1).map_or(6, |(number, _)| *number);
    }
    out.extend_from_slice(&plain[40..]);
    let length = (out.len() - 40) as u16;
    out[4..6].copy_from_slice(&length.to_be_bytes());
    out
}

fn ethernet(ether_types: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut out = vec![2; 12];
    for (index, ether_type) in ether_types.iter().enumerate() {
        if index > 0 {
            out.extend([0, 5]);
        }
        out.extend(ether_type.to_be_bytes());
    }
    out.extend_from_slice(packet);
    out
}

fn sll(packet_type: u8, packet: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 16];
    (out[1], out[14]) = (packet_type, 8);
    out.extend_from_slice(packet);
    out
}

fn sll2(ifindex: u32, packet_type: u8, packet: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 20];
    (out[0], out[10]) = (8, packet_type);
    out[4..8].copy_from_slice(&ifindex.to_be_bytes());
    out.extend_from_slice(packet);
    out
}

fn with_prefix(prefix: [u8; 4], packet: &[u8]) -> Vec<u8> {
    [&prefix, packet].concat()
}

fn hello_v4() -> Seen {
    Seen {
        src: "10.0.0.1:40000".into(),
        dst: "10.0.0.2:80".into(),
        seq: 1_000,
        ack: Some(77),
        flags: 0x18,
        window: 64_240,
        payload: HELLO.to_vec(),
        wire_payload: 12,
        mss: None,
        ip_id: Some(0x1234),
    }
}

#[test]
fn every_link_layer_gives_the_same_segment() {
    let ip = packet_v4();
    let frames = [
        (LinkType::Ethernet, ethernet(&[0x0800], &ip)),
        (LinkType::Ethernet, ethernet(&[0x8100, 0x0800], &ip)),
        (LinkType::Ethernet, ethernet(&[0x88a8, 0x8100, 0x0800], &ip)),
        (
            LinkType::Ethernet,
            ethernet(&[0x9100, 0x8100, 0x8100, 0x0800], &ip),
        ),
        (LinkType::Null, with_prefix([2, 0, 0, 0], &ip)),
        (LinkType::Null, with_prefix([0, 0, 0, 2], &ip)),
        (LinkType::Loop, with_prefix([0, 0, 0, 2], &ip)),
        (LinkType::Raw, ip.clone()),
        (LinkType::Ipv4, ip.clone()),
        (LinkType::LinuxSll, sll(0, &ip)),
        (LinkType::LinuxSll2, sll2(7, 4, &ip)),
    ];
    for (link, data) in &frames {
        let mut decoder = Decoder::new();
        let segment = tcp(decoder.decode(&frame(*link, data)));
        assert_eq!(seen(&segment), hello_v4(), "{link:?}");
    }
    for family in [10, 24, 28, 30] {
        let data = with_prefix([family, 0, 0, 0], &packet_v6());
        let mut decoder = Decoder::new();
        let segment = tcp(decoder.decode(&frame(LinkType::Null, &data)));
        assert_eq!(segment.payload, HELLO);
        assert_eq!(segment.ip_id, None);
        assert!(segment.src.to_string().starts_with("[fdfd:"));
    }
}

#[test]
fn what_is_not_tcp_is_named() {
    let mut udp = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(1, 2)
        .write(&mut udp, HELLO)
        .unwrap();
    let four_tags = ethernet(&[0x8100, 0x8100, 0x8100, 0x8100, 0x0800], &packet_v4());
    let frames = [
        (LinkType::Raw, udp, NotRead::Udp),
        (
            LinkType::Ethernet,
            ethernet(&[0x0806], &[0; 28]),
            NotRead::Arp,
        ),
        (LinkType::Ethernet, ethernet(&[60], &[0; 60]), NotRead::Llc),
        (LinkType::Ethernet, four_tags, NotRead::Link),
        (
            LinkType::Null,
            with_prefix([7, 0, 0, 0], &packet_v4()),
            NotRead::Link,
        ),
    ];
    for (link, data, what) in &frames {
        assert_eq!(not_read(*link, data), *what);
    }
}

#[test]
fn ethernet_padding_is_no_payload() {
    let (flags, payload) = (Flags::NONE, &[][..]);
    let mut out = TcpSegment {
        flags,
        payload,
        ..hello()
    }
    .ip();
    out.extend([0xee; 6]);
    let data = ethernet(&[0x0800], &out);
    let mut decoder = Decoder::new();
    let segment = tcp(decoder.decode(&frame(LinkType::Ethernet, &data)));
    assert_eq!((segment.payload.len(), segment.wire_payload), (0, 0));
    assert_eq!(segment.ack, None);
}

#[test]
fn a_snap_length_cuts_payload_then_options_then_everything() {
    let flags = hello().flags.with(Flags::SYN);
    // Nothing, a maximum segment size of 1460, a window scale of 7.
    let options = &[1, 2, 4, 0x05, 0xb4, 3, 3, 7];
    let whole = TcpSegment {
        flags,
        options,
        ..hello()
    }
    .ip();
    for cut in 0..=whole.len() {
        let mut decoder = Decoder::new();
        let mut cut_frame = frame(LinkType::Raw, &whole[..cut]);
        cut_frame.wire_len = whole.len() as u32;
        match decoder.decode(&cut_frame) {
            Decoded::Tcp(segment) => {
                assert!(cut >= 36, "{cut}");
                assert_eq!(segment.wire_payload, 12);
                assert_eq!(segment.payload, &HELLO[..cut.saturating_sub(48).min(12)]);
                assert_eq!(segment.mss, (cut >= 48).then_some(1_460), "{cut}");
                assert_eq!((segment.seq, segment.window), (Seq::new(1_000), 64_240));
            }
            Decoded::Malformed => assert!(cut < 36, "{cut}"),
            other => panic!("{other:?} at {cut}"),
        }
    }
}

#[test]
fn without_a_length_the_wire_tells() {
    let mut v4 = packet_v4();
    v4[2..4].copy_from_slice(&[0, 0]);
    let mut v6 = packet_v6();
    v6[4..6].copy_from_slice(&[0, 0]);
    let jumbo = (0, vec![0, 0, 0xc2, 4, 0, 0, 0, 40]);
    let mut with_option = packet_v6_with(&[jumbo]);
    with_option[4..6].copy_from_slice(&[0, 0]);
    for packet in [v4, v6, with_option] {
        let mut decoder = Decoder::new();
        let mut long = frame(LinkType::Raw, &packet);
        long.wire_len = packet.len() as u32 + 100_000;
        let segment = tcp(decoder.decode(&long));
        assert_eq!(segment.payload, HELLO);
        assert_eq!(segment.wire_payload, 100_012);
    }
}

#[test]
fn extension_headers_are_passed() {
    let options = vec![0, 0, 1, 4, 0, 0, 0, 0];
    let routing = vec![
        0, 2, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let auth = vec![0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    let atomic = vec![0, 0, 0, 0, 0, 0, 0, 9];
    let chain = [
        (0, options.clone()),
        (60, options),
        (43, routing),
        (44, atomic),
        (51, auth),
    ];
    for length in 0..=chain.len() {
        let packet = packet_v6_with(&chain[..length]);
        let mut decoder = Decoder::new();
        let segment = tcp(decoder.decode(&frame(LinkType::Ipv6, &packet)));
        assert_eq!(segment.payload, HELLO, "{length} headers");
        assert_eq!(segment.wire_payload, 12);
    }
}

/// The upper part of `packet_v4` in fragments of `size` bytes.
fn fragments_v4(size: usize) -> Vec<Vec<u8>> {
    let packet = packet_v4();
    let upper = &packet[20..];
    let pieces = upper.chunks(size).enumerate().map(|(index, piece)| {
        let mut header = Ipv4Header::new(
            piece.len() as u16,
            64,
            ip_number::TCP,
            [10, 0, 0, 1],
            [10, 0, 0, 2],
        )
        .unwrap();
        header.identification = 0x1234;
        header.more_fragments = (index + 1) * size < upper.len();
        header.fragment_offset = IpFragOffset::try_new((index * size / 8) as u16).unwrap();
        let mut out = Vec::new();
        header.write(&mut out).unwrap();
        out.extend_from_slice(piece);
        out
    });
    pieces.collect()
}

#[test]
fn fragments_are_put_together() {
    let mut decoder = Decoder::new();
    let pieces = fragments_v4(8);
    let (last, first) = pieces.split_last().unwrap();
    for piece in first.iter().rev() {
        let decoded = decoder.decode(&frame(LinkType::Raw, piece));
        assert!(matches!(decoded, Decoded::Fragment), "{decoded:?}");
    }
    let segment = tcp(decoder.decode(&frame(LinkType::Raw, last)));
    assert_eq!(seen(&segment), hello_v4());
}

#[test]
fn ipv6_fragments_are_put_together() {
    let plain = packet_v6();
    let upper = &plain[40..];
    let fragment = |offset: usize, end: usize| {
        let more = u8::from(end < upper.len());
        let header = vec![0, 0, 0, offset as u8 | more, 0, 0, 0, 9];
        let mut out = packet_v6_with(&[(44, header)]);
        out.truncate(48);
        out.extend_from_slice(&upper[offset..end]);
        let length = (out.len() - 40) as u16;
        out[4..6].copy_from_slice(&length.to_be_bytes());
        out
    };
    let mut decoder = Decoder::new();
    let first = fragment(0, 24);
    let decoded = decoder.decode(&frame(LinkType::Raw, &first));
    assert!(matches!(decoded, Decoded::Fragment), "{decoded:?}");
    let last = fragment(24, upper.len());
    let segment = tcp(decoder.decode(&frame(LinkType::Raw, &last)));
    assert_eq!((segment.payload, segment.wire_payload), (HELLO, 12));
}

#[test]
fn a_cut_fragment_is_not_taken_for_whole() {
    let mut decoder = Decoder::new();
    let pieces = fragments_v4(16);
    for piece in &pieces {
        let cut = &piece[..piece.len() - 1];
        let decoded = decoder.decode(&frame(LinkType::Raw, cut));
        assert!(matches!(decoded, Decoded::Fragment), "{decoded:?}");
    }
}

#[test]
fn the_tap_tells_sightings_apart() {
    let ip = packet_v4();
    let tap = |link, data: Vec<u8>, source, interface| {
        let mut decoder = Decoder::new();
        let mut one = frame(link, &data);
        (one.id, one.interface) = (FrameId::new(source, 1), interface);
        tcp(decoder.decode(&one)).tap
    };
    let taps = [
        tap(LinkType::Raw, ip.clone(), 0, 0),
        tap(LinkType::Raw, ip.clone(), 0, 1),
        tap(LinkType::Raw, ip.clone(), 1, 0),
        tap(LinkType::LinuxSll, sll(4, &ip), 0, 0),
        tap(LinkType::LinuxSll2, sll2(7, 0, &ip), 0, 0),
        tap(LinkType::LinuxSll2, sll2(7, 4, &ip), 0, 0),
        tap(LinkType::LinuxSll2, sll2(8, 4, &ip), 0, 0),
    ];
    let distinct: std::collections::HashSet<u32> = taps.into_iter().collect();
    assert_eq!(distinct.len(), taps.len());
    assert_eq!(
        tap(LinkType::LinuxSll2, sll2(7, 0, &ip), 0, 0),
        tap(LinkType::LinuxSll2, sll2(7, 1, &ip), 0, 0),
        "incoming and broadcast are one direction"
    );
}

#[test]
fn no_bytes_make_it_panic() {
    let samples = [
        (
            LinkType::Ethernet,
            ethernet(&[0x8100, 0x0800], &packet_v4()),
        ),
        (
            LinkType::Raw,
            packet_v6_with(&[(0, vec![0; 8]), (44, vec![0, 0, 0, 1, 0, 0, 0, 9])]),
        ),
        (LinkType::LinuxSll2, sll2(7, 4, &fragments_v4(8)[1])),
        (LinkType::Null, with_prefix([2, 0, 0, 0], &packet_v4())),
    ];
    let mut decoder = Decoder::new();
    for (link, sample) in &samples {
        for end in 0..=sample.len() {
            let _ = decoder.decode(&frame(*link, &sample[..end]));
        }
        for place in 0..sample.len() {
            for value in 0..=255 {
                let mut changed = sample.clone();
                changed[place] = value;
                let mut hostile = frame(*link, &changed);
                hostile.wire_len = u32::from(value) << 24;
                if let Decoded::Tcp(segment) = decoder.decode(&hostile) {
                    assert!(segment.wire_payload as usize >= segment.payload.len());
                }
            }
        }
    }
}
