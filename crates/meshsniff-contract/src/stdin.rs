//! The lines that the plugin writes to the agent's standard input, and `hold` to its captures.

/// Asks for the end: the agent writes its trailer first.
pub const STOP: &str = "stop";

/// Says that the plugin is there. The agent takes any line but [`STOP`] for it.
pub const ALIVE: &str = "alive";
