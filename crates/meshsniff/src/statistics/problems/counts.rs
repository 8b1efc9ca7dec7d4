//! In what those agree that one cell counts, and what it counts of them.

use super::model::{Problem, ProblemKind, Readings};
use crate::exchange::Side;
use crate::packet::Endpoint;
use crate::time::{Span, Timestamp};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// In what they agree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) kind: ProblemKind,
    pub(super) server: Endpoint,
    pub(super) side: Side,
    pub(super) detail: CompactString,
    /// Method and path without query; empty if there is none, or no room.
    pub(super) route: CompactString,
    /// The place of the figure among powers of two, in 32nds; 0 if no timer can have made it.
    pub(super) bucket: u16,
}

/// How many, when and how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counts {
    pub(super) count: u64,
    pub(super) uncertain: u64,
    pub(super) acknowledged: u64,
    pub(super) slowest_ack: Option<Span>,
    #[serde(default, skip_serializing_if = "Readings::are_none")]
    pub(super) readings: Readings,
    pub(super) late: u64,
    /// The sum of all.
    pub(super) late_by: Span,
    pub(super) callers: Vec<CompactString>,
    pub(super) other_callers: bool,
    pub(super) retries: u64,
    pub(super) fronts: u64,
    pub(super) min: Option<Span>,
    pub(super) max: Option<Span>,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl Counts {
    /// Adds others; returns whether there were none before.
    pub(super) fn add(&mut self, other: &Self) {
        let more = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        if self.count == 0 {
            (self.first, self.last) = (other.first, other.last);
        } else if other.count > 0 {
            self.first = self.first.min(other.first);
            self.last = self.last.max(other.last);
        }
        more(&mut self.count, other.count);
        more(&mut self.uncertain, other.uncertain);
        more(&mut self.acknowledged, other.acknowledged);
        more(&mut self.late, other.late);
        self.readings.add(&other.readings);
        for caller in &other.callers {
            if self.callers.contains(caller) {
                continue;
            }
            if self.callers.len() < Problem::MAX_CALLERS {
                self.callers.push(caller.clone());
            } else {
                self.other_callers = true;
            }
        }
        self.other_callers |= other.other_callers;
        more(&mut self.retries, other.retries);
        more(&mut self.fronts, other.fronts);
        self.late_by = self.late_by.plus(other.late_by);
        self.slowest_ack = self.slowest_ack.max(other.slowest_ack);
        self.min = [self.min, other.min].into_iter().flatten().min();
        self.max = self.max.max(other.max);
    }
}
