//! Processes that ended: many connections of one server closed at once, and nobody listens after.
//!
//! No exchange shows that alone. Three or more closes by one server within 5 ms of each other, and a
//! refused SYN after them, are not each a decision of the server's.

use crate::exchange::{Connection, Exchange, Side, Verdict};
use crate::packet::Endpoint;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Closes, refusals and connects kept: the latest.
const MAX_SEEN: usize = 8_192;
/// Closes this close to each other happened at once.
const AT_ONCE: Span = Span::from_millis(5);
/// Closes that make an end.
const MIN_CLOSES: usize = 3;
/// A refusal later than this has to do with another end.
const AFTERWARDS: Span = Span::from_secs(60);

/// The end of the process behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessEnd {
    /// The port.
    pub server: Endpoint,
    /// The first close.
    pub at: Timestamp,
    /// Connections that were closed at once.
    pub connections: u64,
    /// From the first of these closes to the last.
    pub within: Span,
    /// Requests that were under way and had no answer.
    pub unanswered: u64,
    /// Connects that were refused afterwards.
    pub refused: u64,
    /// The last of these refusals.
    pub last_refused: Timestamp,
}

/// What happened to a connection of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Happened {
    /// The server closed it.
    Closed,
    /// The server closed it with a request under way.
    Unanswered,
    /// The server refused it.
    Refused,
    /// The server accepted it.
    Opened,
}

/// That, with where and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    server: Endpoint,
    pub(super) at: Timestamp,
    happened: Happened,
}

/// The closes and refusals kept so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Endings {
    seen: VecDeque<Seen>,
}

impl Endings {
    pub(super) fn add_exchange(&mut self, exchange: &Exchange) {
        let unanswered = matches!(
            exchange.verdict,
            Verdict::ServerClosedUnanswered | Verdict::ServerResetUnanswered
        );
        if let Some((mark, _)) = exchange.server_close().filter(|_| unanswered) {
            self.add(exchange.server, mark.time, Happened::Unanswered);
        }
    }

    pub(super) fn add_connection(&mut self, connection: &Connection) {
        if let Some(syn) = connection
            .syn
            .filter(|_| connection.syn_to_synack.is_some())
        {
            self.add(connection.server, syn.time, Happened::Opened);
        }
        if connection.verdict == Some(Verdict::ConnectRefused) {
            self.add(connection.server, connection.first.time, Happened::Refused);
        } else if let Some(close) = connection.close.filter(|close| close.by == Side::Server) {
            self.add(connection.server, close.mark.time, Happened::Closed);
        }
    }

    fn add(&mut self, server: Endpoint, at: Timestamp, happened: Happened) {
        self.add_seen(Seen {
            server,
            at,
            happened,
        });
    }

    pub(super) fn add_seen(&mut self, seen: Seen) {
        if self.seen.len() >= MAX_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(seen);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for seen in &other.seen {
            self.add_seen(*seen);
        }
    }

    /// All of it, for another program.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.iter().copied().collect()
    }

    /// The ends, by server and time.
    pub(super) fn ends(&self) -> Vec<ProcessEnd> {
        let mut seen = self.seen();
        seen.sort_unstable();
        let by_server = seen.chunk_by(|a, b| a.server == b.server);
        by_server.flat_map(ends_of).collect()
    }
}

/// Splits times into groups, none longer than what happens at once.
fn runs(times: &[Timestamp]) -> Vec<&[Timestamp]> {
    let (mut runs, mut rest) = (Vec::new(), times);
    while let Some(&first) = rest.first() {
        let length = rest.partition_point(|&at| at - first <= AT_ONCE);
        let (run, after) = rest.split_at(length);
        runs.push(run);
        rest = after;
    }
    runs
}

/// The ends of one server, of what happened to it in order.
fn ends_of(seen: &[Seen]) -> Vec<ProcessEnd> {
    let of = |happened: Happened| -> Vec<Timestamp> {
        let of_kind = seen.iter().filter(|one| one.happened == happened);
        of_kind.map(|one| one.at).collect()
    };
    let (closed, unanswered) = (of(Happened::Closed), of(Happened::Unanswered));
    let (refused, opened) = (of(Happened::Refused), of(Happened::Opened));
    let runs = runs(&closed).into_iter();
    let ends = runs
        .filter(|run| run.len() >= MIN_CLOSES)
        .filter_map(|run| {
            let (first, last) = (run[0], run[run.len() - 1]);
            let within = |at: &&Timestamp| **at >= first && **at <= last;
            // Whatever listens again is another process.
            let again = opened.iter().copied().find(|&at| at > last);
            let after = refused.iter().filter(|&&at| {
                at > last && at - last <= AFTERWARDS && again.is_none_or(|again| at < again)
            });
            Some(ProcessEnd {
                server: seen[0].server,
                at: first,
                connections: run.len() as u64,
                within: last - first,
                unanswered: unanswered.iter().filter(within).count() as u64,
                refused: after.clone().count() as u64,
                last_refused: *after.max()?,
            })
        });
    ends.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    const SERVER: Endpoint = Endpoint::v4([10, 0, 0, 1], 80);

    fn seen(closes: &[i64], refused: &[i64]) -> Vec<ProcessEnd> {
        let mut endings = Endings::default();
        let at = |millis: &i64| Timestamp::from_nanos(millis * 1_000_000);
        for millis in refused {
            endings.add(SERVER, at(millis), Happened::Refused);
        }
        for millis in closes {
            endings.add(SERVER, at(millis), Happened::Closed);
        }
        endings.ends()
    }

    #[test]
    fn three_closes_at_once_and_a_refusal_are_an_end() {
        let ends = seen(&[1000, 1004, 1005], &[900, 1100, 2000]);
        assert_eq!(ends.len(), 1);
        let end = ends[0];
        assert_eq!((end.connections, end.refused), (3, 2));
        assert_eq!(end.within, Span::from_millis(5));
        assert_eq!(end.last_refused, Timestamp::from_nanos(2_000_000_000));
    }

    #[test]
    fn less_is_none() {
        assert_eq!(seen(&[1000, 1004], &[1100]), []);
        assert_eq!(seen(&[1000, 1004, 1006], &[1100]), []);
        assert_eq!(seen(&[1000, 1001, 1002], &[]), []);
        assert_eq!(seen(&[1000, 1001, 1002], &[900]), []);
        assert_eq!(seen(&[1000, 1001, 1002], &[70_000]), []);
    }

    #[test]
    fn whatever_listens_again_is_another_process() {
        let mut endings = Endings::default();
        let at = |millis: i64| Timestamp::from_nanos(millis * 1_000_000);
        for millis in [1000, 1001, 1002] {
            endings.add(SERVER, at(millis), Happened::Closed);
        }
        endings.add(SERVER, at(20_000), Happened::Opened);
        endings.add(SERVER, at(40_000), Happened::Refused);
        assert_eq!(endings.ends(), []);
        endings.add(SERVER, at(1100), Happened::Refused);
        assert_eq!(endings.ends()[0].refused, 1);
    }

    #[test]
    fn requests_under_way_are_counted() {
        let mut endings = Endings::default();
        let exchange = fixtures::server_closed();
        let (mark, _) = exchange.server_close().unwrap();
        for _ in 0..3 {
            endings.add_exchange(&exchange);
            endings.add(exchange.server, mark.time, Happened::Closed);
        }
        let later = mark.time.plus(Span::from_secs(1));
        endings.add(exchange.server, later, Happened::Refused);
        assert_eq!(endings.ends()[0].unanswered, 3);
    }
}
