//! What is counted on one connection.

/// Counts of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Requests.
    pub(super) exchanges: u64,
    /// Responses whose request the capture does not have.
    pub(super) orphan_responses: u64,
    /// Client bytes in stretches that could not be read as requests.
    pub(super) hidden_bytes: u64,
}
