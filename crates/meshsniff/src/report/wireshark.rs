//! Display filters that show in Wireshark what a report is about.

use crate::dns::Transport;
use crate::event::Source;
use crate::exchange::{Connection, Exchange};
use crate::packet::{Endpoint, FrameId};
use crate::piece::{Number, push};
use std::net::IpAddr;

/// How a display filter names a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// By its number in Wireshark, which is the same here: connections are numbered in the order of
    /// their first packets.
    OneFile,
    /// By its ends. A connection of several files, or of none, has another number in Wireshark or
    /// none.
    Ends,
}

impl Numbering {
    /// The way that works for these sources.
    #[must_use]
    pub fn of(sources: &[Source]) -> Self {
        match sources {
            [source] if source.kind != "live" => Self::OneFile,
            _ => Self::Ends,
        }
    }
}

/// Pushes a filter that shows an exchange and what followed it on its connection.
pub fn exchange(out: &mut String, exchange: &Exchange, numbering: Numbering) {
    let first = exchange.events.request_start.frame;
    let ends = (exchange.client, exchange.server);
    push(out, exchange.connection, ends, first, numbering);
}

/// Pushes a filter that shows a connection.
pub fn connection(out: &mut String, connection: &Connection, numbering: Numbering) {
    let first = connection.first.frame;
    let ends = (connection.client, connection.server);
    let transport = connection.dns.as_ref().map(|dns| dns.transport);
    if transport == Some(Transport::Udp) {
        by_ends(out, ends, " && udp.port == ");
    } else {
        push(out, connection.id, ends, first, numbering);
    }
}

fn push(
    out: &mut String,
    id: u64,
    (client, server): (Endpoint, Endpoint),
    first: FrameId,
    numbering: Numbering,
) {
    match numbering {
        Numbering::OneFile => {
            push!(out; "tcp.stream == ", Number(id), " && frame.number >= ",
                Number(first.number()));
        }
        Numbering::Ends => by_ends(out, (client, server), " && tcp.port == "),
    }
}

/// Pushes a filter of two ends. `port` is what stands before a port.
fn by_ends(out: &mut String, (client, server): (Endpoint, Endpoint), port: &'static str) {
    for (end, joint) in [(client, " && "), (server, "")] {
        out.push_str(match end.ip() {
            IpAddr::V4(_) => "ip.addr == ",
            IpAddr::V6(_) => "ipv6.addr == ",
        });
        out.push_str(&end.ip().to_string());
        push!(out; port, Number(u64::from(end.port)));
        out.push_str(joint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    fn of(kind: &str, count: usize) -> String {
        let source = Source {
            kind: kind.to_owned(),
            ..Source::default()
        };
        let mut out = String::new();
        let numbering = Numbering::of(&vec![source; count]);
        exchange(&mut out, &fixtures::gave_up(), numbering);
        out
    }

    #[test]
    fn by_number_where_there_is_one_file() {
        let by_number = "tcp.stream == 0 && frame.number >= 4185";
        let by_ends = "ip.addr == 127.0.0.6 && tcp.port == 48764 && ip.addr == 10.244.0.5 && \
            tcp.port == 3000";
        assert_eq!(of("file", 1), by_number);
        assert_eq!(of("stdin", 1), by_number);
        assert_eq!(of("file", 2), by_ends);
        assert_eq!(of("live", 1), by_ends);
        let mut out = String::new();
        connection(&mut out, &fixtures::refused(), Numbering::OneFile);
        assert!(out.starts_with("tcp.stream == "), "{out}");
        out.clear();
        connection(&mut out, &fixtures::lookups(), Numbering::OneFile);
        let udp = "ip.addr == 10.0.0.1 && udp.port == 40001 && ip.addr == 10.96.0.10 && \
            udp.port == 53";
        assert_eq!(out, udp);
    }
}
