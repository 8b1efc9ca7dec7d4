//! The exchanges and connections that a page shows one by one, in bounded memory.

use crate::escape::cut;
use crate::event::Outcome;
use crate::exchange::{Connection, Exchange, Verdict};
use crate::statistics::slowest::Slowest;
use crate::time::Span;
use compact_str::format_compact;
use std::collections::HashSet;

/// Exchanges shown one by one: those that did not go well, then the slowest others.
const MAX_EXCHANGES: usize = 2_000;
/// Exchanges shown of each verdict, however many of others came before.
const MIN_OF_EACH: u64 = 25;
/// Connections that never opened.
const MAX_CONNECTIONS: usize = 500;
/// Bytes of a path, a host or a request id: a request head may have 256 KiB.
const MAX_TEXT: usize = 600;

/// Exchanges and connections that are shown one by one.
#[derive(Debug, Default)]
pub(super) struct Kept {
    not_good: Vec<Exchange>,
    good: Slowest,
    of_each: [u64; Verdict::ALL.len()],
    connections: Vec<Connection>,
    /// Exchanges and connections that found no room.
    pub(super) left_out: LeftOut,
}

/// The number of exchanges and connections that found no room. Good exchanges are counted
/// elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOut {
    /// Exchanges that did not go well, or of which it is not known, in the order of
    /// [`Verdict::ALL`].
    pub(super) not_good: [u64; Verdict::ALL.len()],
    pub(super) connections: u64,
}

impl LeftOut {
    pub(super) fn add(&mut self, exchange: &Exchange) {
        if exchange.good() != Some(true) {
            self.not_good[exchange.verdict as usize] += 1;
        }
    }
}

impl Kept {
    /// Keeps an exchange if there is room, or if it is among the slowest.
    pub(super) fn exchange(&mut self, exchange: &Exchange) {
        if exchange.good() == Some(true) {
            let took = exchange.slowness().unwrap_or(Span::ZERO);
            self.good.offer(took, self.room(), || bounded(exchange));
            return;
        }
        let of_each = &mut self.of_each[exchange.verdict as usize];
        if self.not_good.len() >= MAX_EXCHANGES && *of_each >= MIN_OF_EACH {
            self.left_out.add(exchange);
            return;
        }
        *of_each += 1;
        self.not_good.push(bounded(exchange));
        self.good.shrink(self.room());
    }

    /// The room for good exchanges.
    fn room(&self) -> usize {
        MAX_EXCHANGES.saturating_sub(self.not_good.len())
    }

    pub(super) fn connection(&mut self, connection: &Connection) {
        if self.connections.len() < MAX_CONNECTIONS {
            self.connections.push(connection.clone());
        } else {
            self.left_out.connections += 1;
        }
    }

    /// Keeps the examples of an assertion, which a reader will want to follow.
    pub(super) fn examples(&mut self, outcome: &Outcome) {
        for exchange in &outcome.exchanges {
            let mut kept = self.good.iter().chain(&self.not_good);
            let known = kept.any(|one| one.id == exchange.id);
            drop(kept);
            if !known {
                // It was told before, and left out then if it was not good.
                let left_out = &mut self.left_out.not_good[exchange.verdict as usize];
                *left_out = left_out.saturating_sub(u64::from(exchange.good() != Some(true)));
                self.not_good.push(bounded(exchange));
            }
        }
        for connection in &outcome.connections {
            if !self.connections.iter().any(|one| one.id == connection.id) {
                self.left_out.connections = self.left_out.connections.saturating_sub(1);
                self.connections.push(connection.clone());
            }
        }
    }

    /// The exchanges, the most important first, and the connections.
    pub(super) fn into_parts(self) -> (Vec<Exchange>, Vec<Connection>) {
        let mut exchanges = self.not_good;
        exchanges.extend(self.good.into_exchanges());
        let mut seen = HashSet::new();
        exchanges.retain(|exchange| seen.insert(exchange.id));
        (exchanges, self.connections)
    }
}

/// Cuts texts that are too long for a page.
fn bounded(exchange: &Exchange) -> Exchange {
    let mut exchange = exchange.kept();
    let texts = [
        &mut exchange.method,
        &mut exchange.path,
        &mut exchange.authority,
        &mut exchange.request_id,
        &mut exchange.trace_id,
    ];
    for text in texts.into_iter().flatten() {
        if text.len() > MAX_TEXT {
            // A cut text would keep its memory.
            *text = format_compact!("{}…", cut(text, MAX_TEXT));
        }
    }
    exchange
}
