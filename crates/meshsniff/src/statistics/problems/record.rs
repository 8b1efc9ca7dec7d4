//! What one exchange or connection added to its cell.

use super::counts::Counts;
use super::model::{Example, Readings};
use crate::exchange::Reading;
use crate::packet::Mark;
use crate::time::{Span, Timestamp};

/// What one exchange or connection added to its cell, for when it has to be taken out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) place: u32,
    /// `None` of a connection.
    pub(super) exchange: Option<u64>,
    pub(super) connection: u64,
    pub(super) figure: Option<Span>,
    pub(super) began: Timestamp,
    /// When it was decided.
    pub(super) decided: Option<Timestamp>,
    /// The server's close or refusal that decided it.
    pub(super) closed: Option<Timestamp>,
    pub(super) shown_by: Mark,
    pub(super) uncertain: bool,
    pub(super) acknowledged: Option<Span>,
    pub(super) is_acknowledged: bool,
    pub(super) reading: Option<Reading>,
    pub(super) late: Option<Span>,
    pub(super) retry: bool,
    pub(super) client_left: bool,
    /// Whether it is told elsewhere.
    pub(super) gone: bool,
}

impl Record {
    pub(super) fn is(&self, example: &Example) -> bool {
        match example {
            Example::Exchange(exchange) => self.exchange == Some(exchange.id),
            Example::Connection(connection) => {
                self.exchange.is_none() && self.connection == connection.id
            }
        }
    }

    /// Whether a server closed or refused it between two moments.
    pub(super) fn closed_within(&self, from: Timestamp, until: Timestamp) -> bool {
        self.closed.is_some_and(|at| at >= from && at <= until)
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            count: 1,
            uncertain: u64::from(self.uncertain),
            acknowledged: u64::from(self.is_acknowledged),
            slowest_ack: self.acknowledged,
            readings: Readings::of(self.reading),
            late: u64::from(self.late.is_some()),
            late_by: self.late.unwrap_or_default(),
            retries: u64::from(self.retry),
            min: self.figure,
            max: self.figure,
            first: self.began,
            last: self.began,
            ..Counts::default()
        }
    }
}
