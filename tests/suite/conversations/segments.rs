//! Segments that come again, wait or carry nothing.

use super::{GET, OK, ms, verdict};
use meshsniff::exchange::{FindingKind, Verdict};
use meshsniff::packet::Endpoint;
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::{ACK, Packet, Talk, analyse, wrap};

#[test]
fn retransmission_is_a_finding_until_it_is_acknowledged() {
    let mut talk = Talk::opened("retransmission");
    talk.say(Client, GET)
        .wait(200.0)
        .again()
        .ack(Server)
        .say(Server, OK)
        .ack(Client);
    let exchange = talk.exchange();
    let finding = exchange
        .finding(FindingKind::Retransmission)
        .expect("finding");
    assert_eq!(finding.cost.as_millis(), 200.04);
    assert_eq!(
        ms(exchange.gaps.request_to_ack),
        200.04,
        "the first sighting counts"
    );

    let mut talk = Talk::opened("spurious");
    let seq = talk.next_seq(Client);
    talk.say(Client, GET).ack(Server);
    let ack = talk.next_seq(Server);
    talk.raw(Client, ACK, seq, ack, GET)
        .say(Server, OK)
        .ack(Client);
    assert!(talk.exchange().findings.is_empty());
    assert_eq!(talk.seen().connections[0].retransmissions, 1);
}

#[test]
fn a_packet_seen_twice_is_no_retransmission() {
    let mut talk = Talk::opened("seen_twice");
    talk.say(Client, GET)
        .on_another_interface()
        .ack(Server)
        .on_another_interface();
    talk.say(Server, OK)
        .on_another_interface()
        .ack(Client)
        .on_another_interface();
    let seen = talk.seen();
    assert_eq!(seen.exchanges.len(), 1);
    assert!(seen.exchanges[0].findings.is_empty());
    assert_eq!(seen.connections[0].retransmissions, 0);
    assert_eq!(seen.totals.duplicate_frames, 4);
}

/// The same packets inside of a tunnel, on the wire, a little later.
fn in_tunnel(packets: &[Packet], first: u64, wrap: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Packet> {
    let outer = packets.iter().zip(first..).map(|(packet, number)| {
        let data = wrap(&packet.data);
        Packet {
            number,
            nanos: packet.nanos + 30_000,
            wire_len: data.len() as u32,
            data,
            ..packet.clone()
        }
    });
    outer.collect()
}

#[test]
fn a_packet_seen_inside_and_outside_of_a_tunnel_counts_once() {
    let mut talk = Talk::opened("tunnel");
    talk.say(Client, GET)
        .ack(Server)
        .say(Server, OK)
        .ack(Client);
    let inner = talk.packets();
    let [from, to] = [
        Endpoint::v4([172, 16, 0, 1], 50_000),
        Endpoint::v4([172, 16, 0, 2], 4_789),
    ];
    let vxlan = |frame: &[u8]| wrap::in_ethernet(&wrap::udp(from, to, &wrap::vxlan(7, frame)));
    let ipip = |frame: &[u8]| wrap::in_ethernet(&wrap::ip(from, to, 4, &frame[14..]));
    let plain = analyse(inner);
    let first = inner.len() as u64 + 1;
    // On the same tap, too: Linux cooked v1 has no interface.
    for mut outer in [
        in_tunnel(inner, first, vxlan),
        in_tunnel(inner, first, ipip),
    ] {
        let alone = analyse(&outer);
        assert_eq!(alone.connections[0].client, plain.connections[0].client);
        assert_eq!(alone.exchanges[0].gaps, plain.exchanges[0].gaps);
        outer.extend_from_slice(inner);
        outer.sort_by_key(|packet| packet.nanos);
        let both = analyse(&outer);
        assert_eq!(both.totals.duplicate_frames, inner.len() as u64);
        assert_eq!(both.connections.len(), 1);
        assert_eq!(both.connections[0].retransmissions, 0);
        assert_eq!(both.exchanges[0].gaps, plain.exchanges[0].gaps);
        assert!(both.exchanges[0].findings.is_empty());
    }
}

#[test]
fn keep_alives_and_window_probes_are_no_data() {
    let mut talk = Talk::opened("keep_alive");
    talk.say(Client, GET).ack(Server);
    let (seq, ack) = (talk.next_seq(Client).wrapping_sub(1), talk.next_seq(Server));
    talk.wait(15_000.0)
        .raw(Client, ACK, seq, ack, b"")
        .ack(Server);
    talk.wait(15_000.0)
        .raw(Client, ACK, seq, ack, b"\n")
        .ack(Server)
        .say(Server, OK)
        .ack(Client);
    let seen = talk.seen();
    assert_eq!(verdict(&seen.exchanges[0]), (Verdict::Ok, Some(200), None));
    assert_eq!(seen.connections[0].retransmissions, 0);

    let body = b"POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc";
    let mut talk = Talk::opened("window_probe");
    talk.say(Client, body).window(Server, 0).ack(Server);
    let (seq, ack) = (talk.next_seq(Client), talk.next_seq(Server));
    talk.wait(200.0)
        .raw(Client, ACK, seq, ack, b"d")
        .ack(Server);
    talk.wait(400.0)
        .raw(Client, ACK, seq, ack, b"d")
        .ack(Server);
    talk.wait(400.0)
        .window(Server, 64_000)
        .ack(Server)
        .say(Client, b"def")
        .ack(Server)
        .say(Server, OK)
        .ack(Client);
    let seen = talk.seen();
    let exchange = &seen.exchanges[0];
    assert_eq!(verdict(exchange), (Verdict::Ok, Some(200), None));
    assert_eq!(seen.connections[0].retransmissions, 0);
    let finding = exchange.finding(FindingKind::ZeroWindow).expect("finding");
    assert_eq!(finding.cost.as_millis(), 1_000.1);
}

#[test]
fn nagle_waiting_for_a_delayed_ack() {
    let mut talk = Talk::opened("stall");
    talk.say(Client, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
        .wait(40.0)
        .ack(Server);
    talk.say(Client, b"hi").say(Server, OK).ack(Client);
    // The largest segment seen is the measure without an MSS; a larger one makes these small.
    let mut small = Talk::opened("stall_small");
    let big = [
        b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n".to_vec(),
        vec![b'x'; 1000],
    ]
    .concat();
    small.say(Client, &big).say(Server, OK).ack(Client);
    small
        .say(Client, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
        .wait(40.0)
        .ack(Server);
    small.say(Client, b"hi").say(Server, OK).ack(Client);
    let seen = small.seen();
    let finding = seen.exchanges[1]
        .finding(FindingKind::DelayedAckStall)
        .expect("finding");
    assert_eq!(finding.cost.as_millis(), 40.02);
    assert!(talk.exchange().findings.is_empty());
}

#[test]
fn a_slow_request_body() {
    let mut talk = Talk::opened("slow_body");
    talk.say(Client, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nh")
        .ack(Server)
        .wait(1_500.0);
    talk.say(Client, b"i").say(Server, OK).ack(Client);
    assert!(
        talk.exchange()
            .finding(FindingKind::SlowRequestBody)
            .is_some()
    );
}
