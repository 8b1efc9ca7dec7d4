//! What goes wrong, as a table; and that after it nothing of ours is left, and no loss is passed
//! off as whole.
//!
//! | here | holds |
//! |---|---|
//! | `client` | the plugin is interrupted, stopped, killed |
//! | `start` | the helper cannot start |
//! | `target` | the target goes away, or is not what one would think |
//! | `node` | the node's and the cluster's own programs fail |
//! | `network` | nothing gets through any more |
//! | `output` | nobody takes the packets |

mod client;
mod network;
mod node;
mod output;
mod start;
mod target;

use super::lab::{Checked, Lab};
use libtest_mimic::Trial;
use std::sync::Arc;

/// Something that goes wrong.
struct Fault {
    /// What, in words: the test's name.
    name: &'static str,
    /// Where it can be brought about.
    place: Place,
    check: fn(&Lab) -> Checked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In any cluster.
    Anywhere,
    /// In the cluster that runs on this machine.
    Here,
    /// There, and to everybody else's harm meanwhile.
    HereAlone,
}

const fn anywhere(name: &'static str, check: fn(&Lab) -> Checked) -> Fault {
    Fault {
        name,
        place: Place::Anywhere,
        check,
    }
}

const fn here(name: &'static str, check: fn(&Lab) -> Checked) -> Fault {
    Fault {
        name,
        place: Place::Here,
        check,
    }
}

const fn alone(name: &'static str, check: fn(&Lab) -> Checked) -> Fault {
    Fault {
        name,
        place: Place::HereAlone,
        check,
    }
}

/// What goes wrong on the agent's way into the cluster.
const ON_THE_WAY: [Fault; 19] = [
    anywhere("SIGINT before anything is made", client::interrupt_before),
    anywhere("SIGTERM before anything is made", client::terminate_before),
    anywhere("SIGHUP before anything is made", client::hang_up_before),
    anywhere("SIGKILL before anything is made", client::kill_before),
    anywhere("SIGINT while the helper starts", client::interrupt_during),
    anywhere("SIGTERM while the helper starts", client::terminate_during),
    anywhere("SIGHUP while the helper starts", client::hang_up_during),
    anywhere("SIGKILL while the helper starts", client::kill_during),
    anywhere(
        "SIGKILL with an ephemeral container",
        client::kill_ephemeral,
    ),
    anywhere("image that cannot be pulled", start::no_image),
    anywhere(
        "image that cannot be pulled, ephemeral",
        start::no_image_ephemeral,
    ),
    here("image that comes after the plugin died", start::late_image),
    anywhere("Pod Security refuses the helper", start::pod_security),
    anywhere("webhook that is down", start::webhook),
    here("a policy adds a container to the helper", start::sidecar),
    anywhere("quota is used up", start::quota),
    alone("NoExecute taint on the node", start::taint),
    anywhere("target is deleted, ephemeral", target::deleted_ephemeral),
    anywhere("target must not run as root", target::run_as_non_root),
];

/// What goes wrong once it is there, whichever way it came.
const ONCE_THERE: [Fault; 31] = [
    anywhere("SIGINT while it captures", client::interrupt_after),
    anywhere("SIGTERM while it captures", client::terminate_after),
    anywhere("SIGHUP while it captures", client::hang_up_after),
    anywhere("SIGKILL while it captures", client::kill_after),
    anywhere("SIGSTOP for two minutes", client::stop_for_two_minutes),
    alone("node is drained", target::drained),
    anywhere("target is deleted", target::deleted),
    anywhere("target is replaced and followed", target::replaced),
    anywhere("target is OOM-killed", target::oom_killed),
    here("target's sandbox is killed", target::sandbox_killed),
    here(
        "target's sandbox is killed and followed",
        target::sandbox_killed_and_followed,
    ),
    here("target is a static pod", target::static_pod),
    anywhere(
        "target says it is the mirror of another",
        target::false_mirror,
    ),
    anywhere("target has two network namespaces", target::two_namespaces),
    anywhere("target has completed", target::completed),
    anywhere("target crash-loops", target::crash_loop),
    anywhere(
        "helper is deleted while it captures",
        target::helper_deleted,
    ),
    anywhere(
        "helper's Job is deleted without its pod",
        target::job_orphaned,
    ),
    anywhere("capture is OOM-killed", output::capture_oom_killed),
    alone("kubelet is restarted", node::kubelet_restarted),
    alone("kubelet is killed", node::kubelet_killed),
    alone(
        "the container runtime is restarted",
        node::runtime_restarted,
    ),
    alone("the container runtime is killed", node::runtime_killed),
    alone("API server is restarted", node::api_server_restarted),
    alone("API server is killed, and away", node::api_server_away),
    here("network is cut while idle", network::cut_idle),
    here("network is cut under load", network::cut_loaded),
    anywhere("Wireshark is closed", output::wireshark_closed),
    anywhere("output disk is full", output::disk_full),
    anywhere("stdout is closed", output::stdout_closed),
    here("stdout and stderr are not read", output::nothing_read),
];

/// What only whoever wants to do harm does.
const MISUSE: [Fault; 1] = [anywhere(
    "exec into the helper captures no other pod",
    target::misuse,
)];

/// Whether a fault is one of the agent's image.
fn takes_an_image(name: &str) -> bool {
    [
        "image that comes after the plugin died",
        "image that cannot be pulled, ephemeral",
    ]
    .contains(&name)
}

/// The tests that may run beside others, and those that may not. `again`: what goes wrong once the
/// agent is there was tried when it had come another way.
pub(crate) fn trials(lab: &Arc<Lab>, again: bool) -> (Vec<Trial>, Vec<Trial>) {
    let (mut quiet, mut disturbing) = (Vec::new(), Vec::new());
    let once_there = ONCE_THERE.into_iter().chain(MISUSE).filter(|_| !again);
    let faults = ON_THE_WAY.into_iter().chain(once_there);
    for fault in faults.filter(|fault| !(lab.carried && takes_an_image(fault.name))) {
        let own = Arc::clone(lab);
        let trial = Trial::test(format!("fault: {}", fault.name), move || {
            if fault.place != Place::Anywhere && !own.is_here() {
                println!(
                    "SKIPPED {}: it takes a cluster on this machine (tests/cluster/run)",
                    fault.name
                );
                return Ok(());
            }
            (fault.check)(&own)
        });
        if fault.place == Place::HereAlone {
            disturbing.push(trial);
        } else {
            quiet.push(trial);
        }
    }
    (quiet, disturbing)
}
