//! The only clock of the agent: for deadlines and for the times of statistics blocks, never for
//! those of packets.
#![allow(
    clippy::disallowed_methods,
    reason = "deadlines are about this process, not about what was captured"
)]

use meshsniff::time::Timestamp;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Now, for measuring how long something takes.
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Now, as packets are stamped.
pub(super) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}
