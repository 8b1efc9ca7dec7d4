//! Those that agree in everything, counted and listed together; and as they are sent.

use super::counts::{Counts, Key};
use super::model::{Example, Problem, ProblemKind};
use super::record::Record;
use super::sorting;
use crate::exchange::EnvoyFlags;
use crate::packet::Mark;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// A cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) counts: Counts,
    pub(super) exchanges: Vec<u64>,
    pub(super) connections: Vec<u64>,
    pub(super) evidence: Vec<Mark>,
    pub(super) example: Option<Example>,
    /// Whether proxies log something else of others than of the example.
    pub(super) mixed_flags: bool,
}

impl Cell {
    /// Lists a member, if there is room.
    pub(super) fn list(&mut self, record: &Record) {
        let (list, id) = match record.exchange {
            Some(id) => (&mut self.exchanges, id),
            None => (&mut self.connections, record.connection),
        };
        if list.len() < Problem::MAX_LISTED {
            list.push(id);
            self.evidence.push(record.shown_by);
        }
    }

    /// Holds what proxies log of a member against what they log of the example.
    pub(super) fn show(&mut self, envoy: &EnvoyFlags) {
        let example = self.example.as_ref();
        self.mixed_flags |= example.is_some_and(|example| example.envoy() != envoy);
    }

    /// Takes a member out of the lists, and returns whether it was the example.
    pub(super) fn unlist(&mut self, record: &Record) -> bool {
        let (list, id) = match record.exchange {
            Some(id) => (&mut self.exchanges, id),
            None => (&mut self.connections, record.connection),
        };
        if let Some(at) = list.iter().position(|listed| *listed == id) {
            list.remove(at);
            // One frame may show several.
            let mut evidence = self.evidence.iter();
            if let Some(at) = evidence.position(|mark| mark.order == record.shown_by.order) {
                self.evidence.remove(at);
            }
        }
        let was = self
            .example
            .as_ref()
            .is_some_and(|example| record.is(example));
        if was {
            self.example = None;
        }
        was
    }

    /// Takes members out of the counts. Ends of what remains cannot be found so.
    pub(super) fn without(&mut self, out: &[Record]) {
        let counts = &mut self.counts;
        for record in out {
            let less = record.counts();
            counts.count = counts.count.saturating_sub(1);
            counts.uncertain = counts.uncertain.saturating_sub(less.uncertain);
            counts.acknowledged = counts.acknowledged.saturating_sub(less.acknowledged);
            counts.readings.subtract(&less.readings);
            counts.late = counts.late.saturating_sub(less.late);
            counts.retries = counts.retries.saturating_sub(less.retries);
            let late_by = counts.late_by.as_nanos() - less.late_by.as_nanos();
            counts.late_by = Span::from_nanos(late_by.max(0));
        }
    }

    /// Adds another, of what came later.
    pub(super) fn add(&mut self, other: Self) {
        fn fill<T>(list: &mut Vec<T>, more: Vec<T>) {
            let room = Problem::MAX_LISTED.saturating_sub(list.len());
            list.extend(more.into_iter().take(room));
        }
        self.counts.add(&other.counts);
        fill(&mut self.exchanges, other.exchanges);
        fill(&mut self.connections, other.connections);
        fill(&mut self.evidence, other.evidence);
        self.mixed_flags |= other.mixed_flags;
        if let Some(example) = other.example {
            self.show(example.envoy());
            self.example.get_or_insert(example);
        }
    }
}

/// A cell as it is sent to another program.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellRow {
    pub(super) key: Key,
    pub(super) counts: Counts,
}

impl CellRow {
    /// Bytes of a route: its limit, and the last character and the ellipsis beyond it.
    const MAX_TEXT: usize = 300;

    /// Whether a cell can be so.
    pub(in super::super) fn can_be(&self, most: u64, latest: i64) -> bool {
        let Counts {
            count,
            uncertain,
            acknowledged,
            slowest_ack,
            readings,
            late,
            late_by,
            ref callers,
            other_callers: _,
            retries,
            fronts,
            min,
            max,
            first,
            last,
        } = self.counts;
        let span = |span: Span| (-latest..=latest).contains(&span.as_nanos());
        let time = |time: Timestamp| (0..=latest).contains(&time.as_nanos());
        let of_some = [uncertain, acknowledged, late, retries, readings.sum()];
        let ends = match (min, max) {
            (None, None) => true,
            (Some(min), Some(max)) => min <= max,
            _ => false,
        };
        let kind = !matches!(
            self.key.kind,
            ProblemKind::ProcessEnd | ProblemKind::KeepAlive
        );
        (1..=most).contains(&count)
            && kind
            && ends
            && (late > 0 || late_by == Span::ZERO)
            && sorting::is_plain(&self.key.detail)
            && fronts <= most
            && of_some.into_iter().all(|some| some <= count)
            && [min, max, slowest_ack].into_iter().flatten().all(span)
            && callers.len() <= Problem::MAX_CALLERS
            && callers.iter().all(|caller| caller.len() <= Self::MAX_TEXT)
            && late_by >= Span::ZERO
            && time(first)
            && time(last)
            && first <= last
            && self.key.route.len() <= Self::MAX_TEXT
            && self.key.detail.len() <= Self::MAX_TEXT
    }
}
