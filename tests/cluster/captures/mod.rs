//! What works, as a table of tests.
//!
//! | here | holds |
//! |---|---|
//! | `files` | packets to a file, a pipe, Wireshark |
//! | `targets` | every kind of target, and those that are refused |
//! | `node` | a node's own network |
//! | `reports` | reports of targets, live and judged |
//! | `rights` | only the rights it takes, and each one missing |

mod files;
mod node;
mod reports;
mod rights;
mod targets;

use super::lab::{Checked, Lab};
use libtest_mimic::Trial;
use std::sync::Arc;

type Check = fn(&Lab) -> Checked;

const CAPTURES: [(&str, Check); 24] = [
    ("into Wireshark, which shows packets", files::into_wireshark),
    ("a pod, to a file", files::to_a_file),
    (
        "a pod, ephemeral, in a baseline namespace",
        files::ephemeral,
    ),
    (
        "a pod, ephemeral, whose processes hold on to the agent",
        files::strangers,
    ),
    (
        "a pod in a restricted namespace, from another",
        targets::helper_namespace,
    ),
    ("every kind of target", targets::kinds),
    ("a pod that the runtime confines", targets::confined),
    ("a pod with users of its own", targets::own_users),
    ("several pods are several interfaces", files::several),
    ("several pods, a file each", files::file_each),
    (
        "a native sidecar and an ephemeral container are containers",
        targets::containers,
    ),
    ("nodes' own networks are refused", targets::host_network),
    (
        "a node's own network, without the stream itself",
        node::of_a_pod,
    ),
    ("a node by its name, and a report of it", node::by_name),
    (
        "a filter that does not compile makes nothing",
        files::bad_filter,
    ),
    ("a report, live", reports::live),
    ("a report that names pods", reports::named),
    ("a report of who does not read", reports::unread),
    ("a report with the packets beside it", reports::with_packets),
    ("a report, watched and judged", reports::judged),
    ("no report of what was not captured", reports::none),
    (
        "a report of what was captured before the end",
        reports::cut_short,
    ),
    (
        "only the rights it takes, and each one missing",
        rights::each_one,
    ),
    ("a lease that nobody may renew", rights::no_renewal),
];

pub(crate) fn trials(lab: &Arc<Lab>) -> Vec<Trial> {
    let trial = |(name, check): (&str, Check)| {
        let lab = Arc::clone(lab);
        Trial::test(format!("capture: {name}"), move || check(&lab))
    };
    CAPTURES.into_iter().map(trial).collect()
}
