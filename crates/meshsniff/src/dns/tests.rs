//! Lookups made by hand, and the exchanges that waited for them.

use super::*;
use crate::exchange::{Exchange, Finding, FindingKind, Protocol};
use crate::packet::Endpoint;
use crate::testing::End::{Client, Server};
use crate::testing::dns::{A, AAAA, NXDOMAIN, SERVFAIL, answer, over_tcp, query};
use crate::testing::{Seen, Talk};
use crate::time::{Span, Timestamp};
use std::net::IpAddr;

const RESOLVER: Endpoint = Endpoint::v4([10, 96, 0, 10], 53);
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const NAME: &str = "catalog.shop.svc.cluster.local";

const fn from(port: u16) -> Endpoint {
    Endpoint::v4([10, 0, 0, 1], port)
}

fn asks(talk: &mut Talk, port: u16, id: u16, name: &str, kind: u16) {
    talk.datagram(from(port), RESOLVER, &query(id, name, kind));
}

fn is_told(talk: &mut Talk, port: u16, id: u16, name: &str, kind: u16) {
    let addresses = if kind == A { &[ADDRESS][..] } else { &[] };
    let bytes = answer(id, name, kind, 0, addresses);
    talk.datagram(RESOLVER, from(port), &bytes);
}

fn is_refused(talk: &mut Talk, port: u16, id: u16, name: &str, kind: u16) {
    let bytes = answer(id, name, kind, NXDOMAIN, &[]);
    talk.datagram(RESOLVER, from(port), &bytes);
}

/// A request for `host` on a connection of its own, and its answer.
fn gets(talk: &mut Talk, host: &str) {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    talk.open()
        .say(Client, request.as_bytes())
        .ack(Server)
        .say(Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .ack(Client);
}

fn finding(exchange: &Exchange, kind: FindingKind) -> Option<(Vec<u64>, f64)> {
    let Finding { frames, cost, .. } = exchange.finding(kind)?;
    let numbers = frames.iter().map(|mark| mark.frame.number());
    Some((numbers.collect(), cost.as_millis()))
}

fn flows(seen: &Seen) -> Vec<&Dns> {
    let flows = seen.connections.iter();
    flows.filter_map(|one| one.dns.as_deref()).collect()
}

/// What glibc does: it asks for both addresses at once, and after 5 s for both again.
fn repeated(talk: &mut Talk) {
    asks(talk, 5_000, 1, NAME, A);
    asks(talk, 5_000, 2, NAME, AAAA);
    is_told(talk, 5_000, 1, NAME, A);
    talk.wait(5_000.0 - 0.06);
    asks(talk, 5_000, 1, NAME, A);
    is_told(talk, 5_000, 1, NAME, A);
    asks(talk, 5_000, 2, NAME, AAAA);
    is_told(talk, 5_000, 2, NAME, AAAA);
}

#[test]
fn a_query_without_an_answer_is_a_finding_of_the_exchange_that_waited() {
    let mut talk = Talk::new("dns_retry");
    repeated(&mut talk);
    gets(&mut talk, "catalog.shop.svc.cluster.local:8080");
    let seen = talk.seen();
    let exchange = &seen.exchanges[0];
    let retry = finding(exchange, FindingKind::DnsRetry);
    assert_eq!(retry, Some((vec![1, 2, 4, 6], 5_000.0)));
    assert_eq!(finding(exchange, FindingKind::DnsSlow), None);
    let flow = &seen.connections[1];
    assert_eq!(flow.protocol, Protocol::Dns);
    assert_eq!((flow.client, flow.server), (from(5_000), RESOLVER));
    let expected = Dns {
        queries: 4,
        repeated: 2,
        unanswered: 1,
        names: vec![NAME.into()],
        slowest: Some(Span::from_micros(5_000_040)),
        slowest_name: Some(NAME.into()),
        ..Dns::default()
    };
    assert_eq!(flow.dns.as_deref(), Some(&expected));
    let totals = &seen.totals;
    assert_eq!((totals.connections, totals.dns_connections), (1, 1));
    assert_eq!((totals.dns.queries, totals.dns.unanswered), (4, 1));
    assert_eq!(totals.not_read.iter().count(), 0);
}

#[test]
fn only_who_waited_is_told_so() {
    let host = "catalog.shop.svc.cluster.local";
    let told = |talk: &mut Talk, host| {
        gets(talk, host);
        let exchange = talk.seen().exchanges.pop().expect("an exchange");
        finding(&exchange, FindingKind::DnsRetry).is_some()
    };
    let mut talk = Talk::new("dns_waited");
    repeated(&mut talk);
    let before = talk;
    // By the name as it was asked for, a part of it, any case, or the address that was answered.
    for host in [
        host,
        "catalog.shop",
        "CATALOG:8080",
        "10.0.0.2",
        "other.name",
    ] {
        let mut talk = Talk::new("dns_waited_host");
        repeated(&mut talk);
        assert!(told(&mut talk, host), "{host}");
    }
    drop(before);
    let mut elsewhere = Talk::new("dns_waited_elsewhere");
    repeated(&mut elsewhere);
    elsewhere.client_addr([10, 0, 0, 77], 40_000);
    assert!(!told(&mut elsewhere, host), "another client");
    let mut late = Talk::new("dns_waited_late");
    repeated(&mut late);
    late.wait(600.0);
    assert!(!told(&mut late, host), "long after the answer");
    let mut second = Talk::new("dns_waited_second");
    repeated(&mut second);
    gets(&mut second, host);
    second.wait(100.0).client_addr([10, 0, 0, 1], 40_001);
    assert!(!told(&mut second, host), "the next connection");
}

#[test]
fn names_of_search_domains_are_one_lookup() {
    let mut talk = Talk::new("dns_search");
    let domains = [
        ".shop.svc.cluster.local",
        ".svc.cluster.local",
        ".cluster.local",
    ];
    for (number, domain) in domains.iter().enumerate() {
        let (port, name) = (6_000 + number as u16, format!("api.test{domain}"));
        asks(&mut talk, port, 1, &name, A);
        asks(&mut talk, port, 2, &name, AAAA);
        talk.wait(50.0);
        is_refused(&mut talk, port, 1, &name, A);
        is_refused(&mut talk, port, 2, &name, AAAA);
    }
    asks(&mut talk, 7_000, 1, "api.test", A);
    asks(&mut talk, 7_000, 2, "api.test", AAAA);
    talk.wait(50.0);
    is_told(&mut talk, 7_000, 1, "api.test", A);
    is_told(&mut talk, 7_000, 2, "api.test", AAAA);
    gets(&mut talk, "api.test");
    let seen = talk.seen();
    let dns = &seen.totals.dns;
    assert_eq!((dns.queries, dns.failed, dns.repeated), (8, 6, 0));
    assert_eq!((dns.searches, dns.misses), (1, 3));
    assert!(
        (150.0..151.0).contains(&dns.search_time().as_millis()),
        "{dns:?}"
    );
    let exchange = &seen.exchanges[0];
    let (frames, cost) = finding(exchange, FindingKind::DnsSlow).expect("a finding");
    assert_eq!(frames, (1..=16).collect::<Vec<_>>());
    assert!((200.0..201.0).contains(&cost), "{cost}");
    assert_eq!(finding(exchange, FindingKind::DnsRetry), None);
    let failures = &flows(&seen)[0].failures;
    assert_eq!(failures.len(), 2);
    assert_eq!(code_name(failures[0].code), "NXDOMAIN");
    assert_eq!(type_name(failures[1].kind), "AAAA");
}

#[test]
fn who_looks_a_name_up_for_every_connection_waited_for_its_own_lookup() {
    let mut talk = Talk::new("dns_each");
    for connection in 0..10 {
        talk.client_addr([10, 0, 0, 1], 40_000 + connection);
        for (id, kind) in [(1, A), (2, AAAA)] {
            asks(&mut talk, 5_000 + connection, id, NAME, kind);
        }
        talk.wait(25.0);
        for (id, kind) in [(1, A), (2, AAAA)] {
            is_told(&mut talk, 5_000 + connection, id, NAME, kind);
        }
        gets(&mut talk, "catalog");
    }
    let seen = talk.seen();
    assert_eq!(seen.exchanges.len(), 10);
    for exchange in &seen.exchanges {
        let (frames, cost) = finding(exchange, FindingKind::DnsSlow).expect("a finding");
        assert_eq!(frames.len(), 4);
        assert!((25.0..25.5).contains(&cost), "{cost}");
    }
}

#[test]
fn the_next_server_is_asked_after_a_failure_in_the_same_lookup() {
    let mut talk = Talk::new("dns_servfail");
    asks(&mut talk, 5_000, 1, NAME, A);
    talk.wait(2_000.0);
    let failed = answer(1, NAME, A, SERVFAIL, &[]);
    talk.datagram(RESOLVER, from(5_000), &failed);
    asks(&mut talk, 5_001, 2, NAME, A);
    is_told(&mut talk, 5_001, 2, NAME, A);
    gets(&mut talk, "catalog");
    let (frames, cost) = finding(&talk.exchange(), FindingKind::DnsSlow).expect("a finding");
    assert_eq!(frames.len(), 4);
    assert!((2_000.0..2_000.5).contains(&cost), "{cost}");
}

#[test]
fn names_are_read_in_lower_case_and_odd_bytes_escaped() {
    let read = |name| Message::read(&query(1, name, A)).expect("a query").name;
    assert_eq!(read("Catalog.Shop_1.svc"), "catalog.shop_1.svc");
    assert_eq!(read("A b.svc"), "a\\ b.svc");
}

#[test]
fn a_quick_lookup_is_no_finding() {
    let mut talk = Talk::new("dns_quick");
    asks(&mut talk, 5_000, 1, NAME, A);
    talk.wait(15.0);
    is_told(&mut talk, 5_000, 1, NAME, A);
    gets(&mut talk, "catalog");
    assert!(talk.exchange().findings.is_empty());
}

#[test]
fn another_port_repeats_a_query_only_after_a_while() {
    // Two programs at once.
    let mut talk = Talk::new("dns_two_at_once");
    asks(&mut talk, 5_000, 1, NAME, A);
    asks(&mut talk, 5_001, 9, NAME, A);
    is_told(&mut talk, 5_000, 1, NAME, A);
    is_told(&mut talk, 5_001, 9, NAME, A);
    let dns = talk.seen().totals.dns;
    assert_eq!((dns.queries, dns.repeated, dns.unanswered), (2, 0, 0));
    // One that begins anew.
    let mut talk = Talk::new("dns_other_port");
    asks(&mut talk, 5_000, 1, NAME, A);
    talk.wait(4_999.98);
    asks(&mut talk, 5_001, 9, NAME, A);
    is_told(&mut talk, 5_001, 9, NAME, A);
    gets(&mut talk, "catalog");
    let retry = finding(&talk.exchange(), FindingKind::DnsRetry);
    assert_eq!(retry, Some((vec![1, 2], 5_000.0)));
    let seen = talk.seen();
    let figures = flows(&seen);
    let figures: Vec<_> = figures
        .iter()
        .map(|flow| (flow.queries, flow.repeated, flow.unanswered))
        .collect();
    assert_eq!(figures, [(1, 0, 1), (1, 1, 0)]);
}

#[test]
fn a_number_that_is_used_again_is_another_query() {
    let mut talk = Talk::new("dns_number_again");
    for name in [NAME, "other.shop", NAME] {
        asks(&mut talk, 5_000, 1, name, A);
        is_told(&mut talk, 5_000, 1, name, A);
        talk.wait(1_000.0);
    }
    let dns = talk.seen().totals.dns;
    assert_eq!((dns.queries, dns.repeated, dns.unanswered), (3, 0, 0));
    // An answer with a number that was not asked for is none.
    let mut talk = Talk::new("dns_other_number");
    asks(&mut talk, 5_000, 1, NAME, A);
    is_told(&mut talk, 5_000, 2, NAME, A);
    assert_eq!(talk.seen().totals.dns.unanswered, 0, "it may come yet");
    talk.wait(400.0);
    asks(&mut talk, 5_001, 3, "other.shop", A);
    is_told(&mut talk, 5_001, 3, "other.shop", A);
    assert_eq!(talk.seen().totals.dns.unanswered, 1);
}

#[test]
fn a_message_seen_on_two_interfaces_counts_once() {
    let mut talk = Talk::new("dns_seen_twice");
    asks(&mut talk, 5_000, 1, NAME, A);
    talk.on_another_interface();
    is_told(&mut talk, 5_000, 1, NAME, A);
    talk.on_another_interface();
    let totals = talk.seen().totals;
    assert_eq!((totals.dns.queries, totals.dns.repeated), (1, 0));
    assert_eq!(totals.duplicate_frames, 2);
}

#[test]
fn messages_in_a_stream_are_read() {
    let mut talk = Talk::new("dns_over_tcp");
    talk.server_port(53).open();
    let both = [
        over_tcp(&query(1, NAME, A)),
        over_tcp(&query(2, NAME, AAAA)),
    ]
    .concat();
    let (first, second) = both.split_at(30);
    talk.say(Client, first).say(Client, second).ack(Server);
    let one = over_tcp(&answer(1, NAME, A, 0, &[ADDRESS]));
    talk.wait(10.0)
        .say(Server, &one[..1])
        .say(Server, &one[1..]);
    talk.ack(Client).fin(Client).fin(Server).ack(Client);
    let seen = talk.seen();
    let connection = &seen.connections[0];
    assert_eq!((connection.id, connection.protocol), (0, Protocol::Dns));
    let dns = connection.dns.as_deref().expect("its figures");
    assert_eq!(dns.transport, Transport::Tcp);
    assert_eq!((dns.queries, dns.unanswered), (2, 1));
    assert_eq!(dns.slowest.map(|slowest| slowest.as_millis()), Some(10.06));
    assert_eq!(seen.totals.dns_connections, 1);
}

#[test]
fn what_is_no_query_is_counted_as_such() {
    let mut talk = Talk::new("dns_no_query");
    talk.datagram(from(5_000), RESOLVER, b"hello");
    let not_read: Vec<_> = talk.seen().totals.not_read.iter().collect();
    assert_eq!(not_read, [(crate::packet::NotRead::Dns, 1)]);
}

#[test]
fn no_bytes_make_it_panic() {
    let whole = answer(1, NAME, A, 0, &[ADDRESS, ADDRESS]);
    assert_eq!(
        Message::read(&whole).map(|message| message.addresses.len()),
        Some(2)
    );
    for end in 0..whole.len() {
        let message = Message::read(&whole[..end]);
        // The question ends before the first answer, of 16 bytes.
        assert_eq!(message.is_some(), end >= whole.len() - 32, "{end}");
    }
    for place in 0..whole.len() {
        for value in 0..=255 {
            let mut changed = whole.clone();
            changed[place] = value;
            let _ = Message::read(&changed);
        }
    }
    // A name that points to itself.
    let mut circle = query(1, "a", A);
    circle[12..14].copy_from_slice(&[0xc0, 12]);
    assert_eq!(Message::read(&circle), None);
}

#[test]
fn tables_are_bounded() {
    let mut talk = Talk::new("dns_bounded");
    for number in 0..20_000_u16 {
        let [high, low] = number.to_be_bytes();
        let client = Endpoint::v4([10, 1, high, low], number);
        let name = format!("name-{number}.shop");
        talk.datagram(client, RESOLVER, &query(number, &name, A));
        let bytes = answer(number, &name, A, NXDOMAIN, &[]);
        talk.datagram(RESOLVER, client, &bytes);
    }
    let dns = talk.seen().totals.dns;
    assert_eq!((dns.queries, dns.failed), (20_000, 20_000));
    let mut lookups = Lookups::default();
    let mut most = (0, 0);
    for (number, packet) in talk.packets().iter().enumerate() {
        let frame = packet.frame();
        if let crate::packet::Decoded::Datagram(datagram) =
            crate::packet::Decoder::new().decode(&frame)
        {
            let mark = crate::packet::Mark {
                frame: frame.id,
                time: frame.time,
                order: number as u64,
            };
            lookups.datagram(&datagram, mark);
            lookups.let_go(frame.time);
        }
        most = (most.0.max(lookups.flows()), most.1.max(lookups.clients()));
    }
    assert!(most <= (4 * 1024, 1024), "{most:?}");
}

#[test]
fn what_was_asked_is_remembered_in_the_order_of_the_answers() {
    // The capture has the later answer first.
    let mut lookups = Lookups::default();
    let mut take = |src, dst, bytes: &[u8], micros: i64| {
        let datagram = crate::packet::Datagram {
            src,
            dst,
            payload: bytes,
            ip_id: None,
            tap: 0,
        };
        let time = Timestamp::from_nanos(micros * 1_000);
        let mark = crate::packet::Mark {
            time,
            ..Default::default()
        };
        assert!(lookups.datagram(&datagram, mark));
    };
    let (one, two) = (from(5_001), from(5_002));
    take(one, RESOLVER, &query(1, "one.shop", A), 0);
    take(two, RESOLVER, &query(2, "two.shop", A), 1);
    take(RESOLVER, two, &answer(2, "two.shop", A, 0, &[]), 90);
    take(RESOLVER, one, &answer(1, "one.shop", A, 0, &[]), 80);
    let recent = lookups.recent(one.ip(), Timestamp::from_nanos(90_000));
    let names: Vec<_> = recent.iter().map(|asked| asked.name.as_str()).collect();
    assert_eq!(names, ["one.shop", "two.shop"]);
}
