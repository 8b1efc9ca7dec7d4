//! The environment variables that the plugin sets in the containers it makes.

/// Names the pods that a helper may capture, by their UIDs with commas between them. It is part of
/// the helper's pod spec, which whoever may exec into the pod cannot change.
pub const TARGETS: &str = "MESHSNIFF_TARGETS";

/// Stands among [`TARGETS`] for the node itself: no pod's UID is spelt like that.
pub const NODE: &str = "node";

/// Names the abstract socket by which captures tell `hold` that they run. An ephemeral container
/// shares the pod's network namespace, and with it the names of such sockets. Without one, or with
/// an empty one, there may be no `hold`, and none is waited for.
pub const HOLD: &str = "MESHSNIFF_HOLD";
