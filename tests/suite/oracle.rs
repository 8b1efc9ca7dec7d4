//! Our analyser against tshark, a program that shares no line with it: over every capture, and over conversations made
//! by hand and by chance.
//!
//! | compared | see |
//! |---|---|
//! | TCP connections: how many, between whom, from which frame on; retransmissions on each | [`compare`] |
//! | HTTP/1 messages: method, path and status, the frame that completes them, which answers which, after what time | [`messages`] |
//!
//! Where they differ, [`exceptions`] has to say so, why, and who is right; what it says and no longer happens fails
//! too.

mod compare;
mod conversations;
mod exceptions;
mod generated;
mod messages;
mod tshark;

use crate::{corpus, tools};
use compare::{Compared, Comparison, Difference};
use conversations::Conversations;
use exceptions::Source;
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::{Talk, analyse, write_pcap};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

fn is_there() -> bool {
    tools::need("tshark", "tshark")
}

/// Fails if the differences are not the exceptions that there are to be.
fn check(source: Source, found: &BTreeSet<Difference>) {
    let known = exceptions::of(source);
    let mut complaint = String::new();
    for difference in found.difference(&known) {
        let _ = write!(complaint, "\nnot known: {difference}");
    }
    for exception in known.difference(found) {
        let _ = write!(complaint, "\nno longer so: {exception}");
    }
    assert!(
        complaint.is_empty(),
        "tshark and our analyser (place | subject | tshark | ours):{complaint}"
    );
}

/// Fails if less was compared than the captures have held for long: a test that compares nothing agrees with anything.
fn is_enough(compared: &Compared, least: &Compared) {
    let enough = compared.connections >= least.connections
        && compared.requests >= least.requests
        && compared.responses >= least.responses
        && compared.pairs >= least.pairs
        && compared.retransmissions >= least.retransmissions;
    assert!(
        enough,
        "compared too little: {compared:?}, at least {least:?}"
    );
}

#[test]
fn captures() {
    if !is_there() {
        return;
    }
    let folder = corpus::own_folder();
    let names = corpus::names(&folder).into_iter();
    let mut comparison = Comparison::default();
    for name in names.filter(|name| corpus::unpacked_name(name).is_none()) {
        let path = folder.join(&name);
        let seen = analyse(&corpus::packets(&path));
        comparison.capture(&tshark::segments(&path), &seen, |_| name.clone());
    }
    check(Source::Captures, &comparison.differences);
    let least = Compared {
        connections: 140,
        requests: 220,
        responses: 190,
        pairs: 170,
        retransmissions: 5,
        ..Compared::default()
    };
    is_enough(&comparison.compared, &least);
}

#[test]
fn conversations() {
    if !is_there() {
        return;
    }
    let all = Conversations::write();
    let seen = analyse(&corpus::packets(&all.path));
    let mut comparison = Comparison::default();
    comparison.capture(&tshark::segments(&all.path), &seen, |end| all.name(end));
    check(Source::Conversations, &comparison.differences);
    let least = Compared {
        connections: 120,
        requests: 260,
        responses: 240,
        pairs: 220,
        retransmissions: 100,
        ..Compared::default()
    };
    is_enough(&comparison.compared, &least);
    exceptions::mistakes_still_happen(&comparison.compared.mistaken);
}

#[test]
fn a_port_that_tshark_is_not_told_of() {
    if !is_there() {
        return;
    }
    let mut talk = Talk::new("a_port_that_tshark_is_not_told_of");
    talk.server_port(3000).open();
    talk.say(Client, b"GET /ite")
        .say(Client, b"ms HTTP/1.1\r\n\r\n");
    talk.say(Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle-untold.pcap");
    write_pcap(&path, talk.packets()).expect("the conversation is written");
    let place = |_| "a head in pieces".to_owned();

    let mut told = Comparison::default();
    told.capture(&tshark::segments(&path), &talk.seen(), place);
    assert_eq!(told.differences, BTreeSet::new());
    let mut untold = Comparison::default();
    untold.capture(&tshark::segments_untold(&path), &talk.seen(), place);
    check(Source::UntoldPort, &untold.differences);
}
