//! Names of the reasons to end, in the stream's last comment and in the relay's last line.

/// A stop line on standard input.
pub const STOP: &str = "stop";
/// Standard input was closed.
pub const STDIN_CLOSED: &str = "stdin-closed";
/// No line came on standard input for too long.
pub const NO_HEARTBEAT: &str = "no-heartbeat";
/// A signal.
pub const SIGNAL: &str = "signal";
/// The reader of the stream has left.
pub const READER_GONE: &str = "reader-gone";
/// As many packets as asked for.
pub const COUNT: &str = "count";
/// As long as asked for.
pub const DURATION: &str = "duration";
/// As many bytes as asked for.
pub const SIZE: &str = "size";
/// The target's process ended, or its namespace was deleted.
pub const TARGET_GONE: &str = "target-gone";
/// The last interface is gone.
pub const INTERFACE_GONE: &str = "interface-gone";
/// Several targets ended for several reasons: what the plugin writes at the end of their capture.
pub const ENDED: &str = "ended";
