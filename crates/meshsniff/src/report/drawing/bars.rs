//! Connections as bars: open, busy, idle, and who closed.

use super::class::Class;
use crate::exchange::{Close, Connection, Exchange, Verdict};
use crate::packet::Endpoint;
use crate::time::Timestamp;
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Bars.
const MAX_BARS: usize = 20;
/// Those among them that a kind has for sure: connections on which exchanges went wrong, others that
/// opened, and those that never opened or on which nobody could talk.
const SHARES: [usize; 3] = [8, 8, 4];
/// Connections of which the exchanges are known and that are not settled yet.
const MAX_UNSETTLED: usize = 1_024;
/// Stretches of one connection. Beyond them neighbours become one.
const MAX_BUSY: usize = 128;

/// A stretch in which an exchange was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Busy {
    pub(in super::super) from: Timestamp,
    /// `None`: as long as the connection is seen.
    pub(in super::super) to: Option<Timestamp>,
    /// The most telling class of its exchanges.
    pub(in super::super) class: Class,
    /// The number of its first exchange.
    pub(in super::super) exchange: u64,
}

/// A connection.
#[derive(Clone, Debug)]
pub(in super::super) struct Bar {
    pub(in super::super) id: u64,
    pub(in super::super) client: Endpoint,
    pub(in super::super) server: Endpoint,
    pub(in super::super) from: Timestamp,
    /// The last that is known of it.
    pub(in super::super) last: Timestamp,
    pub(in super::super) close: Option<Close>,
    /// Why nobody could talk on it.
    pub(in super::super) verdict: Option<Verdict>,
    /// What it carried.
    pub(in super::super) protocol: &'static str,
    pub(in super::super) exchanges: u64,
    /// Exchanges that did not go well.
    pub(in super::super) bad: u64,
    pub(in super::super) busy: Vec<Busy>,
}

#[derive(Debug, Default)]
struct Unsettled {
    busy: Vec<Busy>,
    bad: u64,
    last: Option<Timestamp>,
}

/// How telling a connection is among its kind: what went wrong on it, how much was on it. Of many
/// that are alike some are taken from all over the capture.
type Rank = (u64, u64, u64, Reverse<u64>);

/// The most telling connections so far.
#[derive(Debug, Default)]
pub(super) struct Bars {
    unsettled: HashMap<u64, Unsettled>,
    /// By kind, in the order of [`SHARES`].
    kinds: [BTreeMap<Rank, Bar>; SHARES.len()],
    /// All of them.
    pub(super) seen: u64,
}

impl Bars {
    pub(super) fn exchange(&mut self, exchange: &Exchange, class: Class) {
        let room = self.unsettled.len() < MAX_UNSETTLED;
        if !room && !self.unsettled.contains_key(&exchange.connection) {
            return;
        }
        let its = self.unsettled.entry(exchange.connection).or_default();
        let to = exchange.decided_at();
        its.last = its.last.max(to).max(Some(exchange.start()));
        its.bad += u64::from(exchange.good() != Some(true));
        its.busy.push(Busy {
            from: exchange.start(),
            to,
            class,
            exchange: exchange.id,
        });
        if its.busy.len() > MAX_BUSY {
            its.busy = its.busy.chunks(2).map(one_of).collect();
        }
    }

    pub(super) fn connection(&mut self, connection: &Connection) {
        let its = self.unsettled.remove(&connection.id).unwrap_or_default();
        if connection.is_udp() {
            return;
        }
        self.seen += 1;
        let rank = (
            its.bad,
            its.busy.len() as u64,
            // The golden ratio: numbers that follow each other come to lie far apart.
            connection.id.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            Reverse(connection.id),
        );
        let kept = &mut self.kinds[match connection.verdict {
            Some(_) => 2,
            None if its.bad > 0 => 0,
            None => 1,
        }];
        let closed = connection.close.map(|close| close.mark.time);
        kept.insert(
            rank,
            Bar {
                id: connection.id,
                client: connection.client,
                server: connection.server,
                from: connection.first.time,
                last: closed.or(its.last).unwrap_or(connection.first.time),
                close: connection.close,
                verdict: connection.verdict,
                protocol: connection.protocol.name(),
                exchanges: connection.exchanges,
                bad: its.bad,
                busy: its.busy,
            },
        );
        if kept.len() > MAX_BARS {
            kept.pop_first();
        }
    }

    /// The bars, by time.
    pub(super) fn into_bars(self) -> Vec<Bar> {
        let counts = self.kinds.each_ref().map(BTreeMap::len);
        let mut taken = [0; SHARES.len()];
        for kind in 0..SHARES.len() {
            taken[kind] = counts[kind].min(SHARES[kind]);
        }
        // Room that a kind does not need is for the others.
        for kind in 0..SHARES.len() {
            let room = MAX_BARS - taken.iter().sum::<usize>();
            taken[kind] += room.min(counts[kind] - taken[kind]);
        }
        let kinds = self.kinds.into_iter().zip(taken);
        let bars = kinds.flat_map(|(kept, taken)| kept.into_values().rev().take(taken));
        let mut bars: Vec<Bar> = bars.collect();
        bars.sort_by_key(|bar| (bar.from, bar.id));
        bars
    }
}

/// Neighbours as one stretch.
fn one_of(neighbours: &[Busy]) -> Busy {
    let (first, last) = (neighbours[0], neighbours[neighbours.len() - 1]);
    Busy {
        from: first.from.min(last.from),
        to: first.to.zip(last.to).map(|(one, other)| one.max(other)),
        class: first.class.max(last.class),
        exchange: first.exchange,
    }
}
