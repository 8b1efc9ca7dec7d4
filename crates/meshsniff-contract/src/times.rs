//! How long the plugin and the agent wait for each other.

use std::time::Duration;

/// How often the plugin writes a line to the agent.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
/// How long the agent waits for such a line before it ends.
pub const HEARTBEAT_WITHIN: Duration = Duration::from_secs(30);

/// How often the agent writes to its stream at least, whatever its target does.
pub const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(5);
/// How long the plugin waits for that before it takes the stream for broken.
pub const SILENCE: Duration = Duration::from_secs(30);

/// How long the agent may take for its trailer once the end is decided.
pub const TRAILER_WITHIN: Duration = Duration::from_secs(3);
/// How long others wait for an agent that was asked to stop.
pub const STOPPED_WITHIN: Duration = Duration::from_secs(4);

// Two lines or blocks may be lost on the way and be no reason to end.
const _: () = assert!(HEARTBEAT_WITHIN.as_secs() > 3 * HEARTBEAT_EVERY.as_secs());
const _: () = assert!(SILENCE.as_secs() > 3 * SIGN_OF_LIFE_EVERY.as_secs());
const _: () = assert!(STOPPED_WITHIN.as_secs() > TRAILER_WITHIN.as_secs());
