//! What there is to draw of an exchange or a connection, in words and times.

use crate::exchange::{Connection, Doubt, EnvoyFlags, Exchange, Finding, Side, Verdict};
use crate::mesh;
use crate::packet::{Endpoint, Mark};
use crate::piece::{Beside, Exact, Grouped, Number, Shown, Timeout, push, said};
use crate::report::explain;
use crate::report::facts::Facts;
use crate::report::flags::places;
use crate::report::text::{self, Ink, MAX_FINDINGS, MAX_FRAMES};
use crate::time::Span;
use std::path::Path;

/// Characters of a request target, and of any other text from the wire.
const MAX_PATH: usize = 64;
const MAX_TEXT: usize = 60;

/// What a packet did.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) frame: u64,
    pub(super) from: Side,
    /// Since the first frame of the capture.
    pub(super) at: Span,
    pub(super) what: String,
    pub(super) ink: Option<Ink>,
    /// The gap that ends here, and since when it counts.
    pub(super) gap: Option<(String, &'static str)>,
    /// The packet's comment.
    pub(super) comment: Option<String>,
}

/// The timer that ended an exchange, or would have.
#[derive(Debug)]
pub(super) struct Timer {
    /// When it ends, since the first packet.
    pub(super) at: Span,
    pub(super) text: String,
}

/// A picture's contents. All text in it is harmless to a terminal.
#[derive(Debug)]
pub(super) struct Scene {
    /// What the picture is of, by its name in reports: `exchange 6`.
    pub(super) name: String,
    pub(super) sign: &'static str,
    pub(super) ink: Ink,
    pub(super) title: String,
    /// The verdict's name, for programs; empty if there is none.
    pub(super) verdict: &'static str,
    /// The verdict and what belongs to it.
    pub(super) came: String,
    pub(super) client: String,
    pub(super) server: String,
    /// More of both ends.
    pub(super) ends: String,
    pub(super) packets: Vec<Packet>,
    pub(super) timer: Option<Timer>,
    /// The problem that it is an example of.
    pub(super) problem: Option<String>,
    /// What happened.
    pub(super) said: String,
    /// What was found, and what proxies log.
    pub(super) notes: Vec<String>,
    /// Where it was captured.
    pub(super) source: String,
}

impl Scene {
    /// Of an exchange.
    pub(super) fn of_exchange(facts: &Facts, exchange: &Exchange) -> Self {
        let start = exchange.events.request_start;
        let (sign, ink) = match exchange.good() {
            Some(true) => ("✓", Ink::Good),
            Some(false) => ("✗", Ink::Bad),
            None => ("?", Ink::Doubt),
        };
        let mut title = String::new();
        text::request(&mut title, exchange, MAX_PATH);
        let failing = exchange.verdict == Verdict::Ok && exchange.good() == Some(false);
        let verdict = exchange.verdict.name();
        let mut came = if failing { "answered" } else { verdict }.to_owned();
        if let Some(status) = exchange.status {
            push!(&mut came; " ", Number(u64::from(status)));
        }
        doubt(&mut came, exchange.doubt);
        let mut ends = String::new();
        if let Some(host) = exchange.authority.as_deref() {
            push!(&mut ends; "host ", Shown(host, MAX_TEXT));
        }
        if let Some(id) = exchange.request_id.as_deref() {
            ends.push_str(if ends.is_empty() { "" } else { ", " });
            push!(&mut ends; "request id ", Shown(id, MAX_TEXT));
        }
        let packets = text::lines(exchange).into_iter().map(|line| {
            let (kind, mark) = line.event;
            Packet {
                gap: line.gap.map(|(gap, since)| (said!(Beside(gap)), since)),
                ..packet(facts, mark, kind.sender(), line.what, line.ink)
            }
        });
        let mut said = String::new();
        explain::exchange(&mut said, exchange, &facts.names);
        let mut notes: Vec<String> = exchange
            .findings
            .iter()
            .take(MAX_FINDINGS)
            .map(finding)
            .collect();
        if let Some(more @ 1..) = exchange.findings.len().checked_sub(MAX_FINDINGS) {
            notes.push(said!("found: … and ", Grouped(more as u64), " more"));
        }
        notes.extend(envoy(
            &exchange.envoy,
            exchange.client,
            exchange.timeout_guess.is_some(),
        ));
        Self {
            name: said!("exchange ", Number(exchange.id)),
            sign,
            ink,
            title,
            verdict,
            came,
            client: end(facts, exchange.client),
            server: end(facts, exchange.server),
            ends,
            packets: packets.collect(),
            timer: timer(exchange),
            problem: None,
            said,
            notes,
            source: source(facts, start),
        }
    }

    /// Of a connection.
    pub(super) fn of_connection(facts: &Facts, connection: &Connection) -> Self {
        let (sign, ink) = match connection.verdict {
            Some(_) => ("✗", Ink::Bad),
            None => ("?", Ink::Doubt),
        };
        let title = match connection.verdict {
            Some(Verdict::ConnectRefused | Verdict::ConnectTimeout) => "no connection",
            Some(_) => "no conversation",
            None if connection.dns.is_some() => "lookups in DNS",
            None => "a connection that was closed",
        };
        let mut what = String::from(if connection.is_udp() { "query" } else { "SYN" });
        if connection.syn_retries > 0 {
            let sent = connection.syn_retries.saturating_add(1);
            push!(&mut what; ", sent ", Grouped(sent), " times");
        }
        let mut packets = vec![packet(facts, connection.first, Side::Client, what, None)];
        if let Some(close) = connection.close {
            let refused = connection.verdict == Some(Verdict::ConnectRefused);
            let what = match (close.by, close.reset) {
                (Side::Client, false) => "FIN: the client closes",
                (Side::Client, true) => "RST: the client resets",
                (Side::Server, false) => "FIN: the server closes",
                (Side::Server, true) if refused => "RST: the server refuses",
                (Side::Server, true) => "RST: the server resets",
            };
            let gap = connection.silence;
            packets.push(Packet {
                gap: gap.map(|gap| (said!(Beside(gap)), "after the last byte")),
                ..packet(facts, close.mark, close.by, what.to_owned(), Some(Ink::Bad))
            });
        }
        let verdict = connection.verdict.map_or("", Verdict::name);
        let mut came = verdict.to_owned();
        doubt(&mut came, connection.doubt);
        let mut said = String::new();
        explain::connection(&mut said, connection, &facts.names);
        Self {
            name: said!("connection ", Number(connection.id)),
            sign,
            ink,
            title: title.to_owned(),
            verdict,
            came,
            client: end(facts, connection.client),
            server: end(facts, connection.server),
            ends: String::new(),
            packets,
            timer: None,
            problem: None,
            said,
            notes: Vec::from_iter(envoy(&connection.envoy, connection.client, false)),
            source: source(facts, connection.first),
        }
    }

    /// Of a capture without anything to draw.
    pub(super) fn of_nothing(facts: &Facts) -> Self {
        Self {
            name: "nothing".to_owned(),
            sign: "–",
            ink: Ink::Dim,
            title: "nothing to draw".to_owned(),
            verdict: "",
            came: String::new(),
            client: String::new(),
            server: String::new(),
            ends: String::new(),
            packets: Vec::new(),
            timer: None,
            problem: None,
            said: "No exchange that the report selects is known in full.".to_owned(),
            notes: Vec::new(),
            source: source(facts, Mark::default()),
        }
    }
}

fn packet(facts: &Facts, mark: Mark, from: Side, what: String, ink: Option<Ink>) -> Packet {
    let comment = facts.comments.get(mark.frame);
    Packet {
        frame: mark.frame.number(),
        from,
        at: mark.time - facts.origin.unwrap_or(mark.time),
        what,
        ink,
        gap: None,
        comment: comment.map(|comment| said!("“", Shown(comment, MAX_TEXT), "”")),
    }
}

/// One end, with its name if it has one.
fn end(facts: &Facts, end: Endpoint) -> String {
    let mut out = said!(facts.names.at(end));
    if mesh::is_istio_inbound(end) {
        out.push_str(" (Istio's sidecar)");
    }
    out
}

/// The name of the capture that has the frame, without the folders before it.
fn source(facts: &Facts, mark: Mark) -> String {
    let source = facts.sources.get(usize::from(mark.frame.source()));
    let Some(source) = source else {
        return String::new();
    };
    let path = Path::new(&source.name);
    let name = match path.file_name().and_then(|name| name.to_str()) {
        // A target is a namespace and a pod.
        Some(name) if source.kind != "live" => name,
        _ => &source.name,
    };
    said!(Shown(name, MAX_TEXT))
}

fn doubt(out: &mut String, doubt: Option<Doubt>) {
    if let Some(doubt) = doubt {
        push!(out; " (uncertain: ", doubt.name(), ")");
    }
}

/// It counts from the request's end.
fn timer(exchange: &Exchange) -> Option<Timer> {
    let announced = exchange.expected_timeout;
    let span = announced.or(exchange.timeout_guess)?;
    let end = exchange.events.request_end?;
    let how = if announced.is_some() {
        "announced"
    } else {
        "a guess"
    };
    Some(Timer {
        at: (end.time - exchange.start()).plus(span),
        text: said!("timeout ", Timeout(span), ", ", how),
    })
}

fn finding(finding: &Finding) -> String {
    let mut out = said!("found: ", finding.kind.name());
    if finding.cost > Span::ZERO {
        push!(&mut out; ", ", Exact(finding.cost), " ms");
    }
    for (index, mark) in finding.frames.iter().take(MAX_FRAMES).enumerate() {
        out.push_str(match (index, finding.frames.len()) {
            (0, 1) => " (frame ",
            (0, _) => " (frames ",
            _ => ", ",
        });
        push!(&mut out; Number(mark.frame.number()));
    }
    match finding.frames.len() {
        0 => {}
        count if count > MAX_FRAMES => out.push_str(", …)"),
        _ => out.push(')'),
    }
    out
}

fn envoy(flags: &EnvoyFlags, client: Endpoint, guessed: bool) -> Option<String> {
    let mut out = String::new();
    for (place, flags) in places(flags, client) {
        out.push_str(if out.is_empty() {
            "Envoy would log: "
        } else {
            "; "
        });
        out.push_str(&flags.join(" or "));
        push!(&mut out; " ", place, (guessed && flags.len() > 1).then_some(" (a guess)"));
    }
    (!out.is_empty()).then_some(out)
}
