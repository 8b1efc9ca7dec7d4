//! When a change counts.

/// The least change of a share that gets a name, in percentage points over 100: of millions of
/// exchanges any change is significant.
pub(crate) const MIN_POINTS: f64 = 0.001;

/// When a change counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// The corrected p below which a change is significant.
    pub alpha: f64,
    /// The least relative change that gets a name.
    pub min_change: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            min_change: 0.05,
        }
    }
}
