//! Tunnels, and the link types that have more than one header before IP.

use super::*;
use crate::testing::wrap;
use std::collections::HashSet;

const OUTER: [Endpoint; 2] = [
    Endpoint::v4([172, 16, 0, 1], 50_123),
    Endpoint::v4([172, 16, 0, 2], 4_789),
];
const OUTER_V6: [Endpoint; 2] = [
    Endpoint::v6([0xfa; 16], 50_123),
    Endpoint::v6([0xfb; 16], 4_789),
];

fn at_port(mut end: Endpoint, port: u16) -> Endpoint {
    end.port = port;
    end
}

/// Everything that carries an IP packet in an IP packet: its name, and the outer packet.
fn tunnels(inner: &[u8], [from, to]: [Endpoint; 2]) -> Vec<(&'static str, Vec<u8>)> {
    let frame = wrap::in_ethernet(inner);
    let ether_type = wrap::ether_type(inner);
    let protocol = if ether_type == 0x86dd { 41 } else { 4 };
    let port = |port| at_port(to, port);
    let ip = |protocol, inside: &[u8]| wrap::ip(from, to, protocol, inside);
    let labels = wrap::mpls(&[16, 17], inner);
    let control_word = [&[0; 4], &frame[..]].concat();
    vec![
        ("IP in IP, 6in4", ip(protocol, inner)),
        (
            "VXLAN",
            wrap::udp(from, port(4_789), &wrap::vxlan(7, &frame)),
        ),
        (
            "VXLAN of Linux",
            wrap::udp(from, port(8_472), &wrap::vxlan(7, &frame)),
        ),
        (
            "VXLAN-GPE",
            wrap::udp(from, port(4_790), &{
                let next = if ether_type == 0x86dd { 2 } else { 1 };
                [&[0x0c, 0, 0, next, 0, 0, 7, 0], inner].concat()
            }),
        ),
        (
            "GENEVE",
            wrap::udp(
                from,
                port(6_081),
                &wrap::geneve(7, 0x6558, &[1; 12], &frame),
            ),
        ),
        (
            "GENEVE without Ethernet",
            wrap::udp(from, port(6_081), &wrap::geneve(7, ether_type, &[], inner)),
        ),
        ("GRE", ip(47, &wrap::gre(0, ether_type, &[], inner))),
        (
            "GRE with everything",
            ip(47, &wrap::gre(0xb000, ether_type, &[0, 9, 1], inner)),
        ),
        (
            "GRE with Ethernet",
            ip(47, &wrap::gre(0x2000, 0x6558, &[9], &frame)),
        ),
        ("GRE with MPLS", ip(47, &wrap::gre(0, 0x8847, &[], &labels))),
        (
            "PPTP",
            ip(
                47,
                &wrap::gre(0x3081, 0x880b, &[9, 1, 1], &wrap::ppp(inner)),
            ),
        ),
        ("ERSPAN I", ip(47, &wrap::gre(0, 0x88be, &[], &frame))),
        ("ERSPAN II", ip(47, &wrap::erspan_2(5, &frame))),
        ("ERSPAN III", ip(47, &wrap::erspan_3(5, &frame))),
        ("EtherIP", ip(97, &[&[0x30, 0], &frame[..]].concat())),
        ("MPLS in IP", ip(137, &labels)),
        ("a pseudowire", ip(137, &wrap::mpls(&[16], &frame))),
        (
            "a pseudowire with a control word",
            ip(137, &wrap::mpls(&[16], &control_word)),
        ),
    ]
}

/// Everything below IP: its name, the link type and the frame.
fn below(inner: &[u8]) -> Vec<(&'static str, LinkType, Vec<u8>)> {
    let snap = wrap::snap(inner);
    let length = snap.len() as u16;
    let ppp = wrap::ppp(inner);
    let wifi = wrap::wifi(2, Some(0), &snap);
    let subframe = [&[2; 12], &length.to_be_bytes()[..], &snap].concat();
    let in_sll = |hardware: u16, protocol: u16, inside: &[u8]| {
        let mut out = sll(0, inside);
        out[2..4].copy_from_slice(&hardware.to_be_bytes());
        out[14..16].copy_from_slice(&protocol.to_be_bytes());
        out
    };
    use LinkType::{
        Ethernet, LinuxSll, Nflog, Pktap, Ppp, PppoeSession, Wifi, WifiAvs, WifiPrism, WifiRadiotap,
    };
    vec![
        ("SNAP", Ethernet, wrap::ethernet(length, &snap)),
        (
            "LLC",
            Ethernet,
            wrap::ethernet(3, &[&[6, 6, 3], inner].concat()),
        ),
        (
            "MPLS",
            Ethernet,
            wrap::ethernet(0x8847, &wrap::mpls(&[16], inner)),
        ),
        (
            "PPPoE",
            Ethernet,
            wrap::ethernet(0x8864, &wrap::pppoe(&ppp)),
        ),
        (
            "MPLS in a VLAN",
            Ethernet,
            ethernet(&[0x8100, 0x8847], &wrap::mpls(&[1, 2, 3], inner)),
        ),
        ("PPP", Ppp, ppp.clone()),
        ("PPP, short", Ppp, ppp[1..].to_vec()),
        ("PPP in HDLC", Ppp, [&[0xff, 3], &ppp[..]].concat()),
        (
            "Cisco's HDLC",
            Ppp,
            [
                &[0x0f, 0],
                &wrap::ether_type(inner).to_be_bytes()[..],
                inner,
            ]
            .concat(),
        ),
        ("a PPPoE session", PppoeSession, wrap::pppoe(&ppp)),
        ("802.11", Wifi, wrap::wifi(1, None, &snap)),
        (
            "802.11, four addresses",
            Wifi,
            wrap::wifi(0x83, Some(0), &snap),
        ),
        (
            "802.11, one subframe",
            Wifi,
            wrap::wifi(1, Some(0x80), &subframe),
        ),
        ("radiotap", WifiRadiotap, wrap::radiotap(0, &wifi)),
        (
            "radiotap with padding",
            WifiRadiotap,
            // 26 bytes of header are padded to 28.
            wrap::radiotap(
                0x20,
                &wrap::wifi(2, Some(0), &[&[0, 0], &snap[..]].concat()),
            ),
        ),
        ("AVS", WifiAvs, wrap::avs(&wifi)),
        ("Prism", WifiPrism, wrap::prism(&wifi)),
        ("AVS for Prism", WifiPrism, wrap::avs(&wifi)),
        ("NFLOG", Nflog, wrap::nflog(3, inner)),
        (
            "PKTAP",
            Pktap,
            wrap::pktap(1, "en0", true, &wrap::in_ethernet(inner)),
        ),
        (
            "PKTAP of a tunnel",
            Pktap,
            wrap::pktap(12, "utun3", false, inner),
        ),
        ("SLL of 802.2", LinuxSll, in_sll(1, 4, &snap)),
        (
            "SLL of radiotap",
            LinuxSll,
            in_sll(803, 0, &wrap::radiotap(0, &wifi)),
        ),
    ]
}

#[test]
fn tunnels_are_looked_through() {
    for inner in [packet_v4(), packet_v6()] {
        let plain = seen(&tcp(Decoder::new().decode(&frame(LinkType::Raw, &inner))));
        for ends in [OUTER, OUTER_V6] {
            for (name, outer) in tunnels(&inner, ends) {
                let mut decoder = Decoder::new();
                let segment = tcp(decoder.decode(&frame(LinkType::Raw, &outer)));
                assert_eq!(seen(&segment), plain, "{name}");
            }
        }
    }
}

#[test]
fn layers_below_ip_are_looked_through() {
    for inner in [packet_v4(), packet_v6()] {
        let plain = seen(&tcp(Decoder::new().decode(&frame(LinkType::Raw, &inner))));
        for (name, link, data) in below(&inner) {
            let mut decoder = Decoder::new();
            let segment = tcp(decoder.decode(&frame(link, &data)));
            assert_eq!(seen(&segment), plain, "{name}");
        }
    }
}

#[test]
fn a_snap_length_cuts_what_is_wrapped_as_it_cuts_the_rest() {
    let outer = tunnels(&packet_v4(), OUTER);
    let outer = outer
        .into_iter()
        .map(|(name, packet)| (name, LinkType::Raw, packet));
    for (name, link, data) in outer.chain(below(&packet_v4())) {
        let least = data.len() - HELLO.len() - 4;
        for kept in 0..data.len() {
            let mut cut = frame(link, &data[..kept]);
            cut.wire_len = data.len() as u32;
            match Decoder::new().decode(&cut) {
                Decoded::Tcp(segment) => {
                    assert!(kept >= least, "{name} at {kept}");
                    assert_eq!(segment.wire_payload, 12, "{name}");
                }
                Decoded::Malformed => assert!(kept < least, "{name} at {kept}"),
                other => panic!("{name} at {kept}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_packet_without_a_length_in_a_tunnel_is_as_long_as_the_wire_says() {
    let mut inner = packet_v4();
    inner[2..4].copy_from_slice(&[0, 0]);
    let [from, to] = OUTER;
    let mut outer = wrap::udp(from, to, &wrap::vxlan(7, &wrap::in_ethernet(&inner)));
    outer[2..4].copy_from_slice(&[0, 0]);
    let mut long = frame(LinkType::Raw, &outer);
    long.wire_len += 100_000;
    let mut decoder = Decoder::new();
    assert_eq!(tcp(decoder.decode(&long)).wire_payload, 100_012);
}

#[test]
fn fragments_outside_and_inside_of_a_tunnel_are_put_together() {
    // The inner packet in three fragments, each in a tunnel whose packets are fragments, too.
    let mut decoder = Decoder::new();
    let mut last = None;
    for (number, piece) in fragments_v4(16).iter().enumerate() {
        let [from, to] = OUTER;
        let outer = wrap::udp(from, to, &wrap::vxlan(7, &wrap::in_ethernet(piece)));
        let (header, upper) = outer.split_at(20);
        for (offset, piece) in upper.chunks(24).enumerate() {
            let mut header = header.to_vec();
            header[2..4].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
            let more = u16::from((offset + 1) * 24 < upper.len()) << 13;
            header[4] = number as u8;
            header[6..8].copy_from_slice(&(more | (offset as u16 * 3)).to_be_bytes());
            header.extend_from_slice(piece);
            last = match decoder.decode(&frame(LinkType::Raw, &header)) {
                Decoded::Tcp(segment) => Some(seen(&segment)),
                Decoded::Fragment => None,
                other => panic!("{other:?}"),
            };
        }
    }
    assert_eq!(last, Some(hello_v4()));
    assert_eq!(decoder.fragments_lost(), 0);
}

#[test]
fn tunnels_in_tunnels_are_looked_through_to_a_depth() {
    let [from, to] = OUTER;
    let mut packet = packet_v4();
    for depth in 1..=10 {
        packet = wrap::ip(from, to, 4, &packet);
        let mut decoder = Decoder::new();
        match decoder.decode(&frame(LinkType::Raw, &packet)) {
            Decoded::Tcp(_) => assert!(depth <= 3, "{depth}"),
            Decoded::NotRead(what) => assert_eq!((what, depth > 3), (NotRead::TooDeep, true)),
            other => panic!("{other:?}"),
        }
    }
    // So are Ethernets in MPLS in Ethernets.
    let mut inside = wrap::in_ethernet(&packet_v4());
    for _ in 0..100 {
        inside = wrap::ethernet(0x8847, &wrap::mpls(&[3], &inside));
    }
    assert_eq!(not_read(LinkType::Ethernet, &inside), NotRead::TooDeep);
}

#[test]
fn each_tunnel_has_its_own_tap() {
    let inner = packet_v4();
    let tap = |packet: &[u8]| tcp(Decoder::new().decode(&frame(LinkType::Raw, packet))).tap;
    let [from, to] = OUTER;
    let vxlan = |network| wrap::udp(from, to, &wrap::vxlan(network, &wrap::in_ethernet(&inner)));
    let taps = [
        tap(&inner),
        tap(&vxlan(1)),
        tap(&vxlan(2)),
        tap(&wrap::ip(from, to, 4, &inner)),
        tap(&wrap::ip(to, from, 4, &inner)),
        tap(&wrap::ip(from, to, 4, &vxlan(1))),
    ];
    assert_eq!(taps.iter().collect::<HashSet<_>>().len(), taps.len());
    assert_eq!(tap(&vxlan(1)), tap(&vxlan(1)));
}

#[test]
fn what_is_closed_or_not_understood_is_named() {
    let [from, to] = OUTER;
    let port = |port| at_port(to, port);
    let inner = packet_v4();
    let snap = wrap::snap(&inner);
    let several = [&[2; 12], &[0, snap.len() as u8][..], &snap, &[0; 40]].concat();
    let raw = [
        (wrap::ip(from, to, 50, &inner), NotRead::Esp),
        (wrap::udp(from, port(4_500), &[1; 40]), NotRead::Esp),
        // The key exchange beside it.
        (wrap::udp(from, port(4_500), &[0; 40]), NotRead::Udp),
        (
            wrap::udp(from, port(51_820), &[4, 0, 0, 0, 1]),
            NotRead::WireGuard,
        ),
        (wrap::udp(from, port(443), &[1; 40]), NotRead::Quic),
        (wrap::udp(from, port(4_789), &[0; 40]), NotRead::Vxlan),
        (wrap::udp(from, port(6_081), &[0xff; 40]), NotRead::Geneve),
        (
            wrap::ip(from, to, 47, &wrap::gre(2, 0x800, &[], &inner)),
            NotRead::Gre,
        ),
        (
            wrap::ip(from, to, 47, &wrap::gre(0, 0, &[], &[])),
            NotRead::Gre,
        ),
        (wrap::ip(from, to, 132, &[1; 40]), NotRead::Sctp),
        (wrap::ip(from, to, 1, &[8; 40]), NotRead::Icmp),
        (wrap::ip(from, to, 254, &[8; 40]), NotRead::Ip),
        (
            wrap::ip(
                from,
                to,
                47,
                &wrap::gre(0, 0x6558, &[], &wrap::ethernet(0x0806, &[0; 28])),
            ),
            NotRead::Arp,
        ),
    ];
    for (packet, what) in &raw {
        assert_eq!(not_read(LinkType::Raw, packet), *what);
    }
    let wifi = [
        (wrap::wifi(0x41, None, &snap), NotRead::WifiEncrypted),
        (wrap::wifi(0x05, None, &snap), NotRead::WifiFragment),
        (wrap::wifi(1, Some(0x80), &several), NotRead::WifiAggregate),
        (vec![0x80; 30], NotRead::WifiManagement),
        (vec![0xd4; 30], NotRead::WifiControl),
        (vec![0x48; 24], NotRead::WifiEmpty),
    ];
    for (data, what) in &wifi {
        assert_eq!(not_read(LinkType::Wifi, data), *what);
    }
    let others = [
        (
            LinkType::Ethernet,
            wrap::ethernet(0x88e5, &inner),
            NotRead::Macsec,
        ),
        (
            LinkType::Ethernet,
            wrap::ethernet(3, &[0x42, 0x42, 3]),
            NotRead::SpanningTree,
        ),
        (
            LinkType::Ethernet,
            wrap::ethernet(0x8863, &[0; 20]),
            NotRead::PppoeDiscovery,
        ),
        (LinkType::Ppp, vec![0xc0, 0x21, 1, 1], NotRead::Ppp),
        (
            LinkType::Ppp,
            vec![0x00, 0xfd, 1, 1],
            NotRead::PppCompressed,
        ),
        (
            LinkType::Pktap,
            wrap::pktap(147, "x", true, &inner),
            NotRead::Link,
        ),
        (
            LinkType::Pktap,
            // Forever in itself.
            (0..50).fold(inner, |inside, _| wrap::pktap(258, "x", true, &inside)),
            NotRead::Link,
        ),
    ];
    for (link, data, what) in &others {
        assert_eq!(not_read(*link, data), *what);
    }
}

#[test]
fn no_wrapping_makes_it_panic() {
    let outer = tunnels(&packet_v4(), OUTER);
    let outer = outer
        .into_iter()
        .map(|(name, packet)| (name, LinkType::Raw, packet));
    let mut decoder = Decoder::new();
    for (_, link, sample) in outer.chain(below(&packet_v6())) {
        let headers = sample.len() - HELLO.len();
        for place in 0..headers {
            for value in [0, 1, 3, 0x40, 0x7f, 0x80, 0xaa, 0xff] {
                let mut changed = sample.clone();
                changed[place] = value;
                let mut hostile = frame(link, &changed);
                hostile.wire_len = u32::from(value) << 24;
                if let Decoded::Tcp(segment) = decoder.decode(&hostile) {
                    assert!(segment.wire_payload as usize >= segment.payload.len());
                }
            }
        }
    }
}
