//! Display filters that show in Wireshark what a report is about.

use crate::event::Source;
use crate::exchange::{Connection, Exchange};
use crate::number;
use crate::packet::{Endpoint, FrameId};
use crate::piece::{Number, push};
use std::net::IpAddr;

/// Whether a display filter can name frames. Connections are always named by their ends: Wireshark
/// numbers some that this program does not, such as those quoted in ICMP or on reused ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// Frames have the numbers that Wireshark shows.
    OneFile,
    /// Frames of several files, or of none, have other numbers in Wireshark or none.
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
    push(
        out,
        (exchange.client, exchange.server),
        "tcp",
        first,
        numbering,
    );
}

/// Pushes a filter that shows a connection.
pub fn connection(out: &mut String, connection: &Connection, numbering: Numbering) {
    let first = connection.first.frame;
    let transport = if connection.is_udp() { "udp" } else { "tcp" };
    let ends = (connection.client, connection.server);
    push(out, ends, transport, first, numbering);
}

fn push(
    out: &mut String,
    (client, server): (Endpoint, Endpoint),
    transport: &'static str,
    first: FrameId,
    numbering: Numbering,
) {
    let mut address = |end: Endpoint| {
        out.push_str(match end.ip() {
            IpAddr::V4(_) => "ip.addr == ",
            IpAddr::V6(_) => "ipv6.addr == ",
        });
        number::address(out, end.ip());
        out.push_str(" && ");
    };
    address(client);
    if server.ip() != client.ip() {
        address(server);
    }
    let ports = (u64::from(client.port), u64::from(server.port));
    push!(out; transport, ".port == ", Number(ports.0), " && ", transport, ".port == ",
        Number(ports.1));
    if numbering == Numbering::OneFile {
        push!(out; " && frame.number >= ", Number(first.number()));
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
    fn frames_are_named_where_there_is_one_file() {
        let ends = "ip.addr == 127.0.0.6 && ip.addr == 10.244.0.5 && tcp.port == 48764 && \
            tcp.port == 3000";
        let with_frames = format!("{ends} && frame.number >= 4185");
        assert_eq!(of("file", 1), with_frames);
        assert_eq!(of("stdin", 1), with_frames);
        assert_eq!(of("file", 2), ends);
        assert_eq!(of("live", 1), ends);
    }

    #[test]
    fn lookups_go_by_udp() {
        let mut out = String::new();
        connection(&mut out, &fixtures::lookups(), Numbering::Ends);
        let udp = "ip.addr == 10.0.0.1 && ip.addr == 10.96.0.10 && udp.port == 40001 && \
            udp.port == 53";
        assert_eq!(out, udp);
    }

    #[test]
    fn one_address_is_named_once() {
        let mut refused = fixtures::refused();
        refused.client = Endpoint::v6([1; 16], 5000);
        refused.server = Endpoint::v6([1; 16], 80);
        let mut out = String::new();
        connection(&mut out, &refused, Numbering::Ends);
        let address = "ipv6.addr == 101:101:101:101:101:101:101:101";
        assert_eq!(
            out,
            format!("{address} && tcp.port == 5000 && tcp.port == 80")
        );
    }
}
