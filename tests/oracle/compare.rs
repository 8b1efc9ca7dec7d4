//! Holds what tshark says of a capture against what our analyser says, connection by connection.
//! The messages of a connection are compared in [`super::messages`].

use super::messages::Messages;
use super::tshark::Segment;
use meshsniff::dns::Transport;
use meshsniff::exchange::{Connection, Exchange, Protocol};
use meshsniff::testing::Seen;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;

/// Something that the two do not agree in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    /// The capture or the conversation.
    pub place: String,
    /// What is spoken of.
    pub subject: String,
    pub tshark: String,
    pub ours: String,
}

/// How much was compared, and how often tshark fell short in a way that [`super::exceptions`] tells
/// once for all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Compared {
    pub connections: usize,
    pub requests: usize,
    pub responses: usize,
    /// Of them, those that both give to the same request, the same time after it.
    pub pairs: usize,
    pub retransmissions: u64,
    pub mistaken: Mistaken,
}

impl std::ops::AddAssign for Compared {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.requests += other.requests;
        self.responses += other.responses;
        self.pairs += other.pairs;
        self.retransmissions += other.retransmissions;
        self.mistaken += other.mistaken;
    }
}

/// How often tshark is mistaken about retransmissions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mistaken {
    pub repeats_called_out_of_order: u64,
    pub repeats_at_zero_unnoticed: u64,
    pub fillers_called_retransmissions: u64,
}

impl Mistaken {
    /// Never.
    pub(crate) const NONE: Self = Self {
        repeats_called_out_of_order: 0,
        repeats_at_zero_unnoticed: 0,
        fillers_called_retransmissions: 0,
    };
}

impl std::ops::AddAssign for Mistaken {
    fn add_assign(&mut self, other: Self) {
        self.repeats_called_out_of_order += other.repeats_called_out_of_order;
        self.repeats_at_zero_unnoticed += other.repeats_at_zero_unnoticed;
        self.fillers_called_retransmissions += other.fillers_called_retransmissions;
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            place,
            subject,
            tshark,
            ours,
        } = self;
        write!(f, "{place} | {subject} | {tshark} | {ours}")
    }
}

#[derive(Default)]
pub(crate) struct Comparison {
    pub compared: Compared,
    pub differences: BTreeSet<Difference>,
    place: String,
    connections_of: BTreeMap<String, usize>,
}

impl Comparison {
    /// Compares one capture. `place_of` names the conversation that an endpoint takes part in.
    pub(crate) fn capture(
        &mut self,
        segments: &[Segment],
        seen: &Seen,
        place_of: impl Fn(SocketAddr) -> String,
    ) {
        let mut streams: BTreeMap<u64, Vec<&Segment>> = BTreeMap::new();
        for segment in segments {
            streams.entry(segment.stream).or_default().push(segment);
        }
        let in_tcp = |connection: &&Connection| {
            let dns = connection.dns.as_deref();
            dns.is_none_or(|dns| dns.transport == Transport::Tcp)
        };
        let mut connections: Vec<_> = seen.connections.iter().filter(in_tcp).collect();
        connections.sort_unstable_by_key(|connection| connection.id);
        if let Some(first) = segments.first() {
            self.place = place_of(first.src);
        }
        self.hold(
            "connections",
            &streams.len().to_string(),
            &connections.len().to_string(),
        );
        for (stream, connection) in streams.values().zip(connections) {
            self.place = place_of(stream[0].src);
            let mut exchanges: Vec<_> = seen
                .exchanges
                .iter()
                .filter(|exchange| exchange.connection == connection.id)
                .collect();
            exchanges.sort_unstable_by_key(|exchange| exchange.id);
            self.connection(stream, connection, &exchanges);
        }
    }

    /// Compares two statements, worded alike where the two agree.
    pub(crate) fn hold(&mut self, subject: &str, tshark: &str, ours: &str) {
        if tshark != ours {
            self.differences.insert(Difference {
                place: self.place.clone(),
                subject: subject.to_owned(),
                tshark: tshark.to_owned(),
                ours: ours.to_owned(),
            });
        }
    }

    fn connection(
        &mut self,
        stream: &[&Segment],
        connection: &Connection,
        exchanges: &[&Exchange],
    ) {
        self.compared.connections += 1;
        let nth = self.connections_of.entry(self.place.clone()).or_default();
        *nth += 1;
        let subject = format!("connection {nth}");
        let first = stream[0];
        let ends = |mut ends: [String; 2], frame: u64| {
            ends.sort();
            format!("{} and {}, first in frame {frame}", ends[0], ends[1])
        };
        self.hold(
            &subject,
            &ends([first.src.to_string(), first.dst.to_string()], first.frame),
            &ends(
                [connection.client.to_string(), connection.server.to_string()],
                connection.first.frame.number(),
            ),
        );
        self.retransmissions(&subject, stream, connection);
        if connection.protocol == Protocol::Http1 {
            Messages::new(stream, connection, exchanges).hold(self);
        } else {
            let messages = stream.iter().map(|segment| segment.messages.len()).sum();
            let said = |count: usize| format!("{count} HTTP/1 messages");
            // What agreed on HTTP/2: a request, and its 101.
            let upgraded = exchanges.iter().filter(|exchange| {
                let mut interim = exchange.events.interim.iter();
                exchange.connection == connection.id && interim.any(|(_, status)| *status == 101)
            });
            self.hold(&subject, &said(messages), &said(2 * upgraded.count()));
        }
    }

    fn retransmissions(&mut self, subject: &str, stream: &[&Segment], connection: &Connection) {
        // The obvious model of what was seen before: every sequence number on its own.
        let mut sent: HashSet<(SocketAddr, u32)> = HashSet::new();
        // The one after the highest number that each side has sent.
        let mut reached: HashMap<SocketAddr, u32> = HashMap::new();
        let (mut called, mut mistaken) = (0, Mistaken::default());
        for segment in stream {
            let len = segment.next.wrapping_sub(segment.seq);
            let numbers = (0..len).map(|at| (segment.src, segment.seq.wrapping_add(at)));
            let new = numbers.filter(|number| sent.insert(*number)).count();
            let highest = reached.entry(segment.src).or_insert(segment.next);
            let is_repeat = len > 0 && new == 0;
            let fills = new > 0 && *highest != segment.next && !is_after(segment.next, *highest);
            if is_after(segment.next, *highest) {
                *highest = segment.next;
            }
            let missed = is_repeat && !segment.retransmission && !segment.keep_alive;
            called += u64::from(segment.retransmission);
            mistaken.fillers_called_retransmissions += u64::from(segment.retransmission && fills);
            mistaken.repeats_called_out_of_order += u64::from(missed && segment.out_of_order);
            mistaken.repeats_at_zero_unnoticed +=
                u64::from(missed && !segment.out_of_order && *highest == 0);
        }
        self.compared.retransmissions += called;
        let missed = mistaken.repeats_called_out_of_order + mistaken.repeats_at_zero_unnoticed;
        let tshark = called + missed - mistaken.fillers_called_retransmissions;
        self.compared.mistaken += mistaken;
        self.hold(
            subject,
            &format!("{tshark} retransmissions"),
            &format!("{} retransmissions", connection.retransmissions),
        );
    }
}

/// Whether a sequence number is higher than another, around the wrap (RFC 9293, 3.4).
fn is_after(seq: u32, other: u32) -> bool {
    (seq.wrapping_sub(other) as i32) > 0
}
