//! The success rate of one server: the puzzle in two numbers.

use serde::{Deserialize, Serialize};

/// The success rate of one server, as clients see it and as the server sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SuccessRate {
    /// Exchanges, those included that do not count.
    pub exchanges: u64,
    /// Exchanges that count. Probes, unanswered and uncertain ones do not.
    pub counted: u64,
    /// Good exchanges among them.
    pub good: u64,
    /// Exchanges among them that were not good because the client ended them.
    pub ended_by_client: u64,
    /// Connections to the server that were refused or timed out.
    pub connects_failed: u64,
}

impl SuccessRate {
    /// The number of counted exchanges that the server would call a success: good, or ended by the
    /// client.
    #[must_use]
    pub const fn server_good(&self) -> u64 {
        self.good + self.ended_by_client
    }

    /// Adds the counts of another.
    pub(super) const fn merge(&mut self, other: &Self) {
        self.exchanges = self.exchanges.saturating_add(other.exchanges);
        self.counted = self.counted.saturating_add(other.counted);
        self.good = self.good.saturating_add(other.good);
        self.ended_by_client = self.ended_by_client.saturating_add(other.ended_by_client);
        self.connects_failed = self.connects_failed.saturating_add(other.connects_failed);
    }
}
