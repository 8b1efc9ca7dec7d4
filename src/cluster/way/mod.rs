//! The ways into a pod's network, each a file with all that is its own: the rights it takes,
//! whether the cluster admits it, its start, the agent's options, its end, and what stays behind.
//!
//! | here | holds |
//! |---|---|
//! | [`way_in`] | the trait of a way in, and what it is given |
//! | [`pod`] | a helper pod on the pod's node, made by a Job |
//! | [`ephemeral`] | an ephemeral container in the pod |
//!
//! A new one is a file beside these, and a line in [`WAYS`].

pub mod ephemeral;
pub mod pod;
pub mod way_in;

pub use way_in::{Making, WayError, WayIn};

use super::target::Target;
use std::collections::BTreeMap;
use way_in::Shared;

/// A way into a pod's network: one of [`WAYS`].
pub type Way = &'static dyn WayIn;

/// The ways, in the order in which `--mode auto` tries them. The first is the default.
pub static WAYS: [Way; 2] = [&pod::HelperPod, &ephemeral::EphemeralContainer];

/// Targets by what they share.
#[must_use]
pub fn groups(way: Way, own: Option<&str>, targets: Vec<Target>) -> BTreeMap<Shared, Vec<Target>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for target in targets {
        groups
            .entry(way.share(own, &target))
            .or_default()
            .push(target);
    }
    groups
}
