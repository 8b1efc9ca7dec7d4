//! What is captured, against what tcpdump captures beside it.

use crate::http::{Client, Pod, Server, talk};
use crate::netns::Pair;
use crate::program::{Program, agent};
use crate::stream::{Capture, Packet};
use crate::tcpdump::Tcpdump;
use crate::tools::{IP, TCPDUMP, can};
use std::net::SocketAddrV4;

const CONNECTIONS: usize = 6;
const INBOUND: Option<u32> = Some(1);
const OUTBOUND: Option<u32> = Some(2);

/// Sizes and bytes, in no order of time: each socket has stamps of its own.
fn bytes(capture: &Capture) -> Vec<(u32, &[u8])> {
    let packets = capture.packets.iter();
    let mut packets: Vec<_> = packets
        .map(|packet| (packet.wire_len, packet.data.as_slice()))
        .collect();
    packets.sort_unstable();
    packets
}

/// What each side of each connection sent, in the order it was captured.
fn sent(capture: &Capture) -> Vec<(SocketAddrV4, SocketAddrV4, u32, u32, u8, u32)> {
    let mut sent: Vec<_> = capture
        .segments()
        .map(|one| (one.from, one.to, one.seq, one.ack, one.flags, one.len))
        .collect();
    sent.sort_by_key(|&(from, to, ..)| (from, to));
    sent
}

#[track_caller]
fn same(ours: &Capture, theirs: &Capture) {
    assert_eq!(ours.packets.len(), theirs.packets.len(), "packets");
    assert_eq!(sent(ours), sent(theirs), "order within connections");
    assert!(bytes(ours) == bytes(theirs), "bytes differ");
    for (one, other) in [(ours, theirs), (theirs, ours)] {
        let begins = other.packets[0].time.saturating_sub(1_000_000_000);
        assert!(
            one.packets.iter().all(|packet| packet.time > begins),
            "times differ"
        );
    }
    assert!(ours.packets.len() > CONNECTIONS * 10, "hardly any traffic");
}

fn counted(capture: &Capture) {
    let statistics = capture.statistics.last().expect("statistics");
    let packets = capture.packets.len() as u64;
    let lost = (statistics.kernel_dropped, statistics.queue_dropped);
    assert_eq!(lost, (0, 0));
    assert_eq!(
        (statistics.delivered, statistics.received),
        (packets, packets)
    );
}

#[test]
fn loopback_is_captured_as_tcpdump_does() {
    if !can(&[IP, TCPDUMP]) {
        return;
    }
    let pod = Pod::start();
    let theirs = Tcpdump::start(&pod, "lo", "tcp");
    let (ours, stream) = pod.capture(&["-f", "tcp"]);
    for _ in 0..CONNECTIONS {
        pod.talk(7);
    }
    theirs.stream.wait("the traffic in tcpdump's", |capture| {
        capture.settled(CONNECTIONS)
    });
    stream.wait("the traffic in ours", |capture| {
        capture.settled(CONNECTIONS)
    });
    let ours = ours.stop(stream);
    same(&ours, &theirs.stop());
    counted(&ours);
    assert!(ours.packets.iter().all(|packet| packet.flags.is_none()));
    let [interface] = ours.interfaces.as_slice() else {
        panic!("{:?}", ours.interfaces);
    };
    assert_eq!(interface.link_type, 1);
    assert_eq!(
        (interface.name.as_str(), interface.filter.as_str()),
        ("lo", "tcp")
    );
}

#[test]
fn what_is_not_kept_of_a_packet_is_counted_in_its_length() {
    let Some(pod) = Pod::new() else {
        return;
    };
    let (ours, stream) = pod.capture(&["-s", "96"]);
    let mut client = pod.client();
    client.get("/bytes/5000");
    drop(client);
    stream.wait("the traffic", |capture| capture.settled(1));
    let capture = ours.stop(stream);
    assert_eq!(capture.interfaces[0].snaplen, 96);
    let kept = |packet: &Packet| packet.data.len() == packet.wire_len.min(96) as usize;
    assert!(capture.packets.iter().all(kept));
    let port = pod.server.port;
    let response = capture.segments().filter(|one| one.from.port() == port);
    assert!(response.map(|one| one.len).sum::<u32>() > 5000);
}

#[test]
fn ethernet_is_captured_as_tcpdump_does_and_knows_which_way() {
    if !can(&[IP, TCPDUMP]) {
        return;
    }
    let pair = Pair::new();
    let (here, there) = (Server::start(&pair.target), Server::start(&pair.peer));
    let theirs = Tcpdump::start(&pair.target, Pair::INTERFACE, "tcp");
    let path = pair.target.path();
    let args = [
        "capture",
        "--netns",
        &path,
        "-i",
        Pair::INTERFACE,
        "-f",
        "tcp",
    ];
    let mut ours = Program::ready(agent(&args));
    let stream = ours.stream();
    for _ in 0..CONNECTIONS / 2 {
        talk(&pair.peer, here.at(Pair::TARGET), 7);
        talk(&pair.target, there.at(Pair::PEER), 7);
    }
    theirs.stream.wait("the traffic in tcpdump's", |capture| {
        capture.settled(CONNECTIONS)
    });
    stream.wait("the traffic in ours", |capture| {
        capture.settled(CONNECTIONS)
    });
    let ours = ours.stop(stream);
    same(&ours, &theirs.stop());
    counted(&ours);

    let (mut requests, mut responses) = ([0, 0], [0, 0]);
    for packet in &ours.packets {
        let segment = packet.tcp().expect("TCP over IPv4");
        let outbound = segment.from.ip().octets() == Pair::TARGET;
        let expected = if outbound { OUTBOUND } else { INBOUND };
        assert_eq!(packet.flags, expected, "{segment:?}");
        let payload = &packet.data[packet.data.len().saturating_sub(segment.len as usize)..];
        if payload.starts_with(b"GET ") {
            requests[usize::from(outbound)] += 1;
        } else if payload.starts_with(b"HTTP/1.1 ") {
            responses[usize::from(outbound)] += 1;
        }
    }
    let each = CONNECTIONS / 2 * 7;
    assert_eq!((requests, responses), ([each, each], [each, each]));
}

#[test]
fn what_is_no_ip_has_its_direction_too() {
    if !can(&[IP]) {
        return;
    }
    let pair = Pair::new();
    let args = [
        "capture",
        "--netns",
        &pair.target.path(),
        "-i",
        Pair::INTERFACE,
    ];
    let mut ours = Program::ready(agent(&args));
    let stream = ours.stream();
    let server = Server::start(&pair.target);
    let _client = Client::connect(&pair.peer, server.at(Pair::TARGET));
    stream.wait("the request of ARP and its answer", |capture| {
        let arp = |packet: &&Packet| packet.data[12..14] == [8, 6];
        capture.packets.iter().filter(arp).count() >= 2
    });
    for packet in ours.stop(stream).packets {
        let outbound = packet.data[6..12] == Pair::HARDWARE;
        let expected = if outbound { OUTBOUND } else { INBOUND };
        assert_eq!(packet.flags, expected, "{:?}", packet.data);
    }
}

#[test]
fn several_interfaces_stand_in_one_stream() {
    if !can(&[IP]) {
        return;
    }
    let pair = Pair::new();
    let (here, there) = (Server::start(&pair.target), Server::start(&pair.peer));
    let path = pair.target.path();
    let args = [
        "capture",
        "--netns",
        &path,
        "-i",
        "lo",
        "-i",
        Pair::INTERFACE,
        "-f",
        "tcp",
    ];
    let mut ours = Program::ready(agent(&args));
    let stream = ours.stream();
    talk(&pair.target, here.local(), 2);
    talk(&pair.target, there.at(Pair::PEER), 2);
    stream.wait("the traffic", |capture| capture.settled(2));
    let capture = ours.stop(stream);
    let names: Vec<_> = capture
        .interfaces
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["lo", Pair::INTERFACE]);
    for packet in &capture.packets {
        let over = packet.tcp().expect("TCP over IPv4").from.ip().is_loopback();
        assert_eq!(packet.interface, u32::from(!over));
    }
    for interface in [0, 1] {
        let mut of_it = capture.statistics.iter().rev();
        let last = of_it
            .find(|one| one.interface == interface)
            .expect("its statistics");
        let packets = capture
            .packets
            .iter()
            .filter(|one| one.interface == interface);
        assert_eq!(last.delivered, packets.count() as u64);
    }
}
