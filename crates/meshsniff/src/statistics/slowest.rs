//! The slowest exchanges.

use crate::exchange::Exchange;
use crate::time::Span;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Exchanges by the time that ranks them. Of two with the same time, the first is the slower one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slowest {
    kept: BTreeMap<(Span, Reverse<u64>), Box<Exchange>>,
    offered: u64,
}

impl Slowest {
    /// Keeps an exchange if it is among the `room` slowest so far.
    pub(crate) fn offer(&mut self, took: Span, room: usize, exchange: impl FnOnce() -> Exchange) {
        let rank = (took, Reverse(self.offered));
        self.offered += 1;
        let fastest = self.kept.first_key_value();
        let is_full = self.kept.len() >= room;
        if is_full && fastest.is_none_or(|(fastest, _)| *fastest > rank) {
            return;
        }
        if is_full {
            self.kept.pop_first();
        }
        self.kept.insert(rank, Box::new(exchange()));
    }

    /// Keeps only the `room` slowest.
    pub(crate) fn shrink(&mut self, room: usize) {
        while self.kept.len() > room {
            self.kept.pop_first();
        }
    }

    /// The exchanges, the slowest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.kept.values().rev().map(AsRef::as_ref)
    }

    /// The exchanges by value, the slowest first.
    pub(crate) fn into_exchanges(self) -> impl Iterator<Item = Exchange> {
        self.kept.into_values().rev().map(|exchange| *exchange)
    }
}
