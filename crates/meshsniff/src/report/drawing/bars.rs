//! Connections as bars: open, busy, idle, and who closed.

use super::class::Class;
use crate::exchange::{Close, Connection, Exchange, Verdict};
use crate::packet::Endpoint;
use crate::time::{Span, Timestamp};
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Bars.
const MAX_BARS: usize = 20;
/// Those among them that a kind has for sure: connections on which exchanges went wrong, others that
/// opened, and those that never opened or on which nobody could talk.
const SHARES: [usize; 3] = [8, 8, 4];
/// Connections of which the exchanges are known and that are not settled yet.
const MAX_UNSETTLED: usize = 512;
/// Stretches of one connection with good exchanges, and with others. Beyond them those become one
/// that are nearest to each other.
const MAX_BUSY: usize = 256;
const MAX_BAD: usize = 64;

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

/// Stretches of one connection.
#[derive(Debug)]
struct Stretches {
    busy: Vec<Busy>,
    most: usize,
    /// Pauses shorter than this are not told.
    shortest: Span,
}

impl Stretches {
    const fn new(most: usize) -> Self {
        Self {
            busy: Vec::new(),
            most,
            shortest: Span::from_micros(1),
        }
    }

    fn add(&mut self, busy: Busy) {
        self.busy.push(busy);
        if self.busy.len() <= self.most {
            return;
        }
        self.busy.sort_by_key(|busy| (busy.from, busy.exchange));
        // Half of them are left, so that this is not done again at once.
        loop {
            let mut joined: Vec<Busy> = Vec::with_capacity(self.most);
            for next in self.busy.drain(..) {
                match joined.last_mut() {
                    Some(last) if last.is_near(next.from, self.shortest) => last.join(&next),
                    _ => joined.push(next),
                }
            }
            self.busy = joined;
            if self.busy.len() <= self.most / 2 {
                break;
            }
            self.shortest = self.shortest.plus(self.shortest);
        }
    }
}

impl Busy {
    /// Whether the pause until then is shorter.
    fn is_near(&self, at: Timestamp, shortest: Span) -> bool {
        self.to.is_none_or(|to| at - to < shortest)
    }

    fn join(&mut self, next: &Self) {
        self.to = self.to.zip(next.to).map(|(one, other)| one.max(other));
        self.class = self.class.max(next.class);
    }
}

#[derive(Debug)]
struct Unsettled {
    good: Stretches,
    others: Stretches,
    bad: u64,
    last: Option<Timestamp>,
}

impl Default for Unsettled {
    fn default() -> Self {
        Self {
            good: Stretches::new(MAX_BUSY),
            others: Stretches::new(MAX_BAD),
            bad: 0,
            last: None,
        }
    }
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
        let stretches = match class {
            Class::Good => &mut its.good,
            _ => &mut its.others,
        };
        stretches.add(Busy {
            from: exchange.start(),
            to,
            class,
            exchange: exchange.id,
        });
    }

    pub(super) fn connection(&mut self, connection: &Connection) {
        let its = self.unsettled.remove(&connection.id).unwrap_or_default();
        if connection.is_udp() {
            return;
        }
        self.seen += 1;
        let rank = (
            its.bad,
            connection.exchanges,
            // The golden ratio: numbers that follow each other come to lie far apart.
            connection.id.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            Reverse(connection.id),
        );
        let kept = &mut self.kinds[match connection.verdict {
            Some(_) => 2,
            None if its.bad > 0 => 0,
            None => 1,
        }];
        let mut busy = its.good.busy;
        busy.extend(its.others.busy);
        busy.sort_by_key(|busy| (busy.from, busy.exchange));
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
                busy,
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
