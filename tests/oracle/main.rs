//! Our analyser against tshark, a program that shares no line with it: over every capture, and over
//! conversations made by hand and by chance.
//!
//! | compared | see |
//! |---|---|
//! | TCP connections: how many, between whom, from which frame on; retransmissions on each | [`compare`] |
//! | what hellos and plain alerts of TLS say | [`hellos`] |
//! | frames of WebSocket: how many of each kind by each side, and the codes of Closes | [`websockets`] |
//! | HTTP/1 messages: method, path and status, the frame that completes them, which answers which, after what time | [`messages`] |
//!
//! Where they differ, [`exceptions`] has to say so, why, and who is right; what it says and no
//! longer happens fails too.

#![allow(
    unreachable_pub,
    reason = "nothing is reachable from outside of a test"
)]

#[path = "../suite/corpus.rs"]
#[allow(dead_code, reason = "the rest is for the suite")]
mod corpus;
#[path = "../suite/scenarios.rs"]
mod scenarios;
#[path = "../suite/tools.rs"]
mod tools;

mod compare;
mod conversations;
mod exceptions;
mod generated;
mod hellos;
mod messages;
mod tshark;
mod websockets;

use compare::{Compared, Comparison, Difference, Mistaken};
use conversations::Conversations;
use exceptions::Source;
use libtest_mimic::{Arguments, Failed, Trial};
use meshsniff::exchange::Exchange;
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::{Talk, analyse, write_pcap};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// What the captures have held for long: a test that compares nothing agrees with anything.
const LEAST_OF_CAPTURES: Compared = Compared {
    connections: 140,
    requests: 220,
    responses: 190,
    pairs: 170,
    retransmissions: 5,
    mistaken: Mistaken::NONE,
};
/// The same of the conversations.
const LEAST_OF_CONVERSATIONS: Compared = Compared {
    connections: 120,
    requests: 260,
    responses: 240,
    pairs: 220,
    retransmissions: 100,
    mistaken: Mistaken::NONE,
};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = corpus::own_folder();
    let mut names = corpus::names(&folder);
    names.retain(|name| corpus::unpacked_name(name).is_none());
    let compared = Arc::new(Mutex::new(Compared::default()));
    let mut trials = vec![
        trial("conversations", conversations),
        trial("hellos", hellos),
        trial("websockets", websockets),
        trial(
            "a_port_that_tshark_is_not_told_of",
            a_port_that_tshark_is_not_told_of,
        ),
        Trial::test("exceptions_have_a_capture", {
            let names = names.clone();
            move || exceptions_have_a_capture(&names)
        }),
    ];
    for name in names {
        let (path, compared) = (folder.join(&name), Arc::clone(&compared));
        trials.push(trial(&format!("captures::{name}"), move || {
            let found = capture(&name, &path);
            *compared.lock().unwrap_or_else(PoisonError::into_inner) += found;
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let all = conclusion.num_filtered_out == 0 && !conclusion.has_failed() && !arguments.list;
    let compared = *compared.lock().unwrap_or_else(PoisonError::into_inner);
    if all && compared.connections > 0 && !is_enough(&compared, &LEAST_OF_CAPTURES) {
        eprintln!("compared too little: {compared:?}, at least {LEAST_OF_CAPTURES:?}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// A test that takes tshark.
fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        if tools::need("tshark", "tshark") {
            test();
        }
        Ok(())
    })
}

/// Fails if the differences are not the exceptions that there are to be.
fn check(known: &BTreeSet<Difference>, found: &BTreeSet<Difference>) {
    let mut complaint = String::new();
    for difference in found.difference(known) {
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

/// Whether as much was compared as it has to be.
fn is_enough(compared: &Compared, least: &Compared) -> bool {
    compared.connections >= least.connections
        && compared.requests >= least.requests
        && compared.responses >= least.responses
        && compared.pairs >= least.pairs
        && compared.retransmissions >= least.retransmissions
}

fn capture(name: &str, path: &Path) -> Compared {
    let seen = analyse(&corpus::packets(path));
    let mut comparison = Comparison::default();
    comparison.capture(&tshark::segments(path), &seen, |_| name.to_owned());
    let mut known = exceptions::of(Source::Captures);
    known.retain(|exception| exception.place == name);
    check(&known, &comparison.differences);
    comparison.compared
}

/// An exception of a capture that is gone would be kept, and believed, for ever.
fn exceptions_have_a_capture(names: &[String]) -> Result<(), Failed> {
    let exceptions = exceptions::of(Source::Captures);
    match exceptions
        .iter()
        .find(|exception| !names.contains(&exception.place))
    {
        Some(stale) => Err(format!("there is no such capture: {stale}").into()),
        None => Ok(()),
    }
}

fn conversations() {
    let all = Conversations::write();
    let seen = analyse(&corpus::packets(&all.path));
    let mut comparison = Comparison::default();
    comparison.capture(&tshark::segments(&all.path), &seen, |end| all.name(end));
    check(
        &exceptions::of(Source::Conversations),
        &comparison.differences,
    );
    let compared = &comparison.compared;
    assert!(
        is_enough(compared, &LEAST_OF_CONVERSATIONS),
        "compared too little: {compared:?}"
    );
    exceptions::mistakes_still_happen(&compared.mistaken);
}

fn hellos() {
    let folder = corpus::own_folder();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for name in corpus::names(&folder) {
        if corpus::unpacked_name(&name).is_none() {
            let path = folder.join(&name);
            let seen = analyse(&corpus::packets(&path));
            // There are none elsewhere.
            if seen.connections.iter().any(|one| one.tls.is_some()) {
                compared += hellos::compare(&name, &path, &seen, &mut wrong);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared >= 70, "only {compared} were compared");
}

fn websockets() {
    let folder = corpus::own_folder();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for name in corpus::names(&folder) {
        let path = folder.join(&name);
        let seen = analyse(&corpus::packets(&path));
        let is_one = |one: &Exchange| one.websocket.is_some() && one.stream.is_none();
        if seen.exchanges.iter().any(is_one) {
            compared += websockets::compare(&name, &path, &seen, &mut wrong);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared >= 60, "only {compared} were compared");
}

fn a_port_that_tshark_is_not_told_of() {
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
    check(&exceptions::of(Source::UntoldPort), &untold.differences);
}
