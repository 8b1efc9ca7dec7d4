//! What a capture lacks must never make a verdict that is wrong and certain.
//!
//! Every good capture, made by hand or by real programs, is damaged in every way there is a single
//! place for: any one frame taken out, everything before a frame, everything after one. Whatever
//! the analyser is then certain of must be what the whole capture shows.

use crate::corpus;
use crate::scenarios;
use meshsniff::exchange::{Exchange, Status, Verdict};
use meshsniff::packet::{Decoded, Decoder};
use meshsniff::testing::{Packet, analyse};

/// Captures longer than this are damaged in this many places only, evenly spread.
const MAX_PLACES: usize = 400;

/// A client that always keeps one request ahead looks, to a capture that starts late, like one that
/// waits: nothing shows that each answer belongs to the request before. The README lists it as a
/// limitation.
const JOINED_UNDETECTABLY: &str = "pipelining-staggered";

#[derive(Debug, PartialEq)]
struct Claim<'a> {
    verdict: Verdict,
    status: Option<u16>,
    method: Option<&'a str>,
    path: Option<&'a str>,
    grpc: Option<Option<Status>>,
}

fn claim(exchange: &Exchange) -> Claim<'_> {
    Claim {
        verdict: exchange.verdict,
        status: exchange.status,
        method: exchange.method.as_deref(),
        path: exchange.path.as_deref(),
        grpc: exchange.grpc.as_deref().map(|grpc| grpc.status),
    }
}

/// Whether a damaged capture claims nothing that the whole one does not show. What stands in a part
/// of HPACK's table that it lacks it may leave out.
fn agrees(damaged: &Exchange, whole: &Exchange) -> bool {
    let (mut claimed, shown) = (claim(damaged), claim(whole));
    if damaged.headers_cut {
        claimed.method = claimed.method.or(shown.method);
        claimed.path = claimed.path.or(shown.path);
    }
    // Nor is a call without a status known to have none, if its trailers may have been lost.
    let unknown = claimed.grpc.is_none_or(|status| status.is_none());
    if unknown && (damaged.headers_cut || damaged.good().is_none()) {
        claimed.grpc = shown.grpc;
    }
    claimed == shown
}

/// What the whole capture shows of an exchange that a damaged one shows: the same request between
/// the same ends. It may begin in an earlier frame, if that was taken out and repeated later.
fn truth<'a>(whole: &'a [Exchange], damaged: &Exchange) -> Option<&'a Exchange> {
    let start = damaged.events.request_start.frame;
    let same_ends = |x: &&Exchange| {
        x.client == damaged.client && x.server == damaged.server && x.stream == damaged.stream
    };
    let exact = || {
        whole
            .iter()
            .filter(same_ends)
            .filter(|x| x.events.request_start.frame == start)
    };
    let same_path = exact().find(|x| x.path == damaged.path);
    same_path.or_else(|| exact().next()).or_else(|| {
        whole
            .iter()
            .filter(same_ends)
            .filter(|x| x.path == damaged.path && x.events.request_start.frame < start)
            .max_by_key(|x| x.events.request_start.frame)
    })
}

/// Whether a capture that starts late sees only the inside of a tunnel here. If that is HTTP, what
/// it says of it is true, although a capture that saw the CONNECT leaves it alone.
fn is_inside_a_tunnel(whole: &[Exchange], damaged: &Exchange) -> bool {
    whole.iter().any(|x| {
        x.client == damaged.client
            && x.server == damaged.server
            && x.verdict == Verdict::Upgraded
            && x.events.request_start.frame < damaged.events.request_start.frame
    })
}

fn check<'a>(
    name: &str,
    damage: &str,
    whole: &[Exchange],
    left: impl Iterator<Item = &'a Packet>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for exchange in analyse(left).exchanges.iter().filter(|x| x.doubt.is_none()) {
        let truth = truth(whole, exchange);
        if truth.is_none() && is_inside_a_tunnel(whole, exchange) {
            continue;
        }
        if !truth.is_some_and(|truth| agrees(exchange, truth)) {
            wrong.push(format!(
                "{name}, {damage}: certain of {:?}, but the whole capture shows {:?}",
                claim(exchange),
                truth.map(claim)
            ));
        }
    }
    wrong
}

/// Places at which to damage a capture of `len` frames.
fn places(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(len.div_ceil(MAX_PLACES).max(1))
}

fn damage(name: &str, packets: &[Packet]) -> Vec<String> {
    let whole = analyse(packets).exchanges;
    let mut wrong = Vec::new();
    for at in places(packets.len()) {
        let number = packets[at].number;
        let rest = packets.iter().filter(|packet| packet.number != number);
        wrong.extend(check(
            name,
            &format!("without frame {number}"),
            &whole,
            rest,
        ));
    }
    if name != JOINED_UNDETECTABLY {
        wrong.extend(joined(name, packets));
    }
    wrong
}

/// What is wrong of a capture that begins at any of its frames.
fn joined(name: &str, packets: &[Packet]) -> Vec<String> {
    let whole = analyse(packets).exchanges;
    let from = |at: usize| {
        let damage = format!("from frame {}", packets[at].number);
        check(name, &damage, &whole, packets[at..].iter())
    };
    places(packets.len()).flat_map(from).collect()
}

fn report(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} claims are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_conversation_is_misjudged_for_want_of_a_frame() {
    let wrong: Vec<_> = scenarios::all()
        .iter()
        .flat_map(|(name, packets)| damage(name, packets))
        .collect();
    report(&wrong);
}

#[test]
fn every_conversation_is_certain_when_it_is_whole() {
    let doubtful: Vec<_> = scenarios::all()
        .iter()
        .flat_map(|(name, packets)| {
            let exchanges = analyse(packets).exchanges;
            let doubted = exchanges.into_iter().filter(|x| x.doubt.is_some());
            doubted
                .map(|x| format!("{name}: {:?} {:?}", claim(&x), x.doubt))
                .collect::<Vec<_>>()
        })
        .collect();
    report(&doubtful);
}

#[test]
fn no_real_capture_is_misjudged_for_want_of_a_frame() {
    let wrong: Vec<_> = corpus::captures()
        .iter()
        .flat_map(|(name, packets)| damage(name, packets))
        .collect();
    report(&wrong);
}

/// Who is the client is guessed by the ports where no handshake is seen, and the guess may be wrong.
#[test]
fn no_joined_capture_is_misjudged_for_its_ports() {
    let (mut all, mut changed) = (0, 0);
    let wrong: Vec<_> = corpus::captures()
        .iter()
        .filter(|(name, _)| name != JOINED_UNDETECTABLY)
        .flat_map(|(name, packets)| {
            let mirrored = with_ports_mirrored(packets);
            all += packets.len();
            changed += packets
                .iter()
                .zip(&mirrored)
                .filter(|(a, b)| a != b)
                .count();
            joined(&format!("{name} with its ports mirrored"), &mirrored)
        })
        .collect();
    assert!(
        changed * 10 > all * 9,
        "{changed} of {all} packets are mirrored"
    );
    report(&wrong);
}

/// The same with the higher port of each two the lower one.
fn with_ports_mirrored(packets: &[Packet]) -> Vec<Packet> {
    let mut decoder = Decoder::new();
    let mirrored = |packet: &Packet| {
        let mut packet = packet.clone();
        let Decoded::Tcp(segment) = decoder.decode(&packet.frame()) else {
            return packet;
        };
        let ports = [segment.src.port, segment.dst.port].map(u16::to_be_bytes);
        let at = packet.data.windows(4).position(|at| at == ports.concat());
        if let Some(at) = at {
            packet.data[at..at + 4]
                .iter_mut()
                .for_each(|byte| *byte = !*byte);
        }
        packet
    };
    packets.iter().map(mirrored).collect()
}

#[test]
fn a_snap_length_never_makes_a_wrong_claim() {
    let mut wrong = Vec::new();
    for (name, packets) in scenarios::all() {
        let whole = analyse(&packets).exchanges;
        for snap in [54, 60, 70, 78, 90, 96] {
            let cut: Vec<_> = packets
                .iter()
                .cloned()
                .map(|mut packet| {
                    packet.data.truncate(snap);
                    packet
                })
                .collect();
            wrong.extend(check(
                name,
                &format!("cut to {snap} bytes"),
                &whole,
                cut.iter(),
            ));
        }
    }
    report(&wrong);
}
