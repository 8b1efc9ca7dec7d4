//! The plugin is interrupted, stopped, killed: before, while and after the helper starts.

use crate::file::{File, cut, whole};
use crate::lab::{Checked, Lab, SOON, wait_until};
use crate::plugin::Ended;
use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    During,
    After,
}

fn disturb(lab: &Lab, name: &str, phase: Phase) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let file = File::new()?;
    let mut plugin = namespace.start(&["app", "-w", &file])?;
    let mut runs = Vec::new();
    match phase {
        Phase::Before => thread::sleep(Duration::from_millis(30)),
        Phase::During => wait_until("a job of ours", SOON, || {
            runs = namespace.runs()?;
            Ok(!runs.is_empty())
        })?,
        Phase::After => {
            plugin.captures()?;
            runs = namespace.runs()?;
            file.has_packets()?;
        }
    }
    plugin.signal(name)?;
    let ended = plugin.ended(SOON)?;
    namespace.nothing_left(&runs)?;
    if phase == Phase::After {
        if name == "KILL" {
            cut(&file)
        } else {
            ended.is(0, &["it was asked to stop"])?;
            whole(&file)
        }
    } else {
        quiet(&ended)
    }
}

/// Ended by the signal, or in good order: nothing was captured, and nobody is to be told anything.
fn quiet(ended: &Ended) -> Checked {
    if ended.status.success() || ended.status.signal().is_some() {
        return Ok(());
    }
    Err(format!("{}: {}", ended.status, ended.stderr).into())
}

macro_rules! table {
    ($($check:ident: $signal:literal $phase:ident;)*) => {
        $(pub(super) fn $check(lab: &Lab) -> Checked {
            disturb(lab, $signal, Phase::$phase)
        })*
    };
}

table! {
    interrupt_before: "INT" Before;
    terminate_before: "TERM" Before;
    hang_up_before: "HUP" Before;
    kill_before: "KILL" Before;
    interrupt_during: "INT" During;
    terminate_during: "TERM" During;
    hang_up_during: "HUP" During;
    kill_during: "KILL" During;
    interrupt_after: "INT" After;
    terminate_after: "TERM" After;
    hang_up_after: "HUP" After;
    kill_after: "KILL" After;
}

/// A laptop that sleeps: the cluster does not wait for it, and it says so when it wakes up.
pub(super) fn stop_for_two_minutes(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let file = File::new()?;
    let (plugin, runs) = namespace.capturing(&file, &[])?;
    plugin.signal("STOP")?;
    // It is still asleep when the cluster has cleaned up.
    namespace.nothing_left(&runs)?;
    plugin.signal("CONT")?;
    let ended = plugin.ended(SOON)?;
    if ended.status.success() {
        ended.is(0, &["no heartbeat"])?;
        return whole(&file);
    }
    ended.is(1, &["error: "])?;
    cut(&file)
}

pub(super) fn kill_ephemeral(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let file = File::new()?;
    let (plugin, _) = namespace.capturing(&file, &["--mode", "ephemeral"])?;
    plugin.signal("KILL")?;
    plugin.ended(SOON)?;
    wait_until("the end of the ephemeral container", SOON * 2, || {
        let path = ".status.ephemeralContainerStatuses[*].state.terminated.reason";
        Ok(!namespace.get("pod/app", path)?.is_empty())
    })?;
    cut(&file)
}
