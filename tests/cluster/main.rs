//! The plugin against a real cluster.
//!
//! | here | holds |
//! |---|---|
//! | `carried` | the agent without an image of ours, and what can be done to it on its way |
//! | `captures` | what works: modes, targets, formats, rights |
//! | `faults` | the table of what goes wrong, and that nothing is left behind after it |
//! | `recipe` | the files of `manifests/ci`, as they stand |
//! | `lab` | the cluster, namespaces, traffic, what is left in it |
//! | `plugin` | the program under test |
//! | `file` | capture files, and what other programs find in them |
//! | `node` | a Kubernetes on this machine (scripts) |
//!
//! `tests/cluster/run` starts that Kubernetes and runs these tests; with `KUBECONFIG` set, it runs
//! them against that cluster instead. They run with `MESHSNIFF_TEST_KUBECONFIG` only, so that no
//! `cargo test` ever touches a cluster by accident. Faults of the node itself are for the one that
//! was started here (`MESHSNIFF_TEST_NODE`, its folder of scripts).

#![cfg(unix)]
#![allow(
    clippy::print_stdout,
    reason = "what is skipped is said where whoever counts tests looks"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "deadlines are about the programs under test, not about what they capture"
)]

mod captures;
mod carried;
mod faults;
mod file;
mod lab;
mod plugin;
mod recipe;

use lab::Lab;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use std::sync::Arc;

/// How many tests run at once where they do not disturb each other: mostly they wait.
const AT_ONCE: usize = 4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let Some(lab) = Lab::from_env() else {
        let skipped = Trial::test("cluster", || {
            println!(
                "SKIPPED the cluster: none was named; tests/cluster/run starts one and runs these tests"
            );
            Ok(())
        });
        return libtest_mimic::run(&arguments, vec![skipped]).exit_code();
    };
    let lab = Arc::new(lab);
    let again = std::env::var_os("MESHSNIFF_TEST_AGAIN").is_some();
    let (mut quiet, mut disturbing) = faults::trials(&lab, again);
    quiet.extend(captures::trials(&lab));
    if lab.carried {
        quiet.extend(carried::trials(&lab));
    } else {
        quiet.extend(recipe::trials(&lab));
    }
    arguments.test_threads.get_or_insert(AT_ONCE);
    let first = libtest_mimic::run(&arguments, quiet);
    if again {
        disturbing.clear();
    }
    // What restarts a kubelet is nobody's neighbour.
    arguments.test_threads = Some(1);
    let second = libtest_mimic::run(&arguments, disturbing);
    if first.has_failed() || second.has_failed() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
