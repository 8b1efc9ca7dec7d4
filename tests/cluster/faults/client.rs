//! The plugin is interrupted, stopped, killed: before, while and after the helper starts.

use crate::lab::{Checked, Lab, SOON, folder, wait_until};
use crate::plugin::{Ended, Plugin, report};
use libtest_mimic::Failed;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
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
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    let args = ["app", "-n", &namespace.name, "-w", &path];
    let mut plugin = Plugin::start(lab, &args)?;
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
            some_packets(&file)?;
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

/// Waits until packets have come.
pub(super) fn some_packets(file: &Path) -> Checked {
    wait_until("packets in the file", SOON, || {
        Ok(file.metadata().is_ok_and(|file| file.len() > 4096))
    })
}

/// The file is read to its end, and nothing is missing.
pub(crate) fn whole(file: &Path) -> Checked {
    let read = report(file, &["-o", "json"])?;
    read.is(0, &[])?;
    exchanges(&read).map(drop)
}

/// The file is read up to the cut, and called incomplete.
pub(super) fn cut(file: &Path) -> Checked {
    let read = report(file, &["-o", "json"])?;
    read.is(1, &["error: "])?;
    exchanges(&read).map(drop)
}

/// How many exchanges a JSON report tells of: some, or it is an error.
pub(super) fn exchanges(read: &Ended) -> Result<u64, Failed> {
    let document: serde_json::Value = serde_json::from_slice(&read.stdout)?;
    match document["summary"]["exchanges"].as_u64() {
        Some(exchanges @ 1..) => Ok(exchanges),
        _ => Err(format!("no exchange in it: {}", read.stderr).into()),
    }
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
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    let mut plugin = Plugin::start(lab, &["app", "-n", &namespace.name, "-w", &path])?;
    plugin.captures()?;
    some_packets(&file)?;
    let runs = namespace.runs()?;
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
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    let args = [
        "app",
        "-n",
        &namespace.name,
        "--mode",
        "ephemeral",
        "-w",
        &path,
    ];
    let mut plugin = Plugin::start(lab, &args)?;
    plugin.captures()?;
    some_packets(&file)?;
    plugin.signal("KILL")?;
    plugin.ended(SOON)?;
    wait_until("the end of the ephemeral container", SOON * 2, || {
        let path = ".status.ephemeralContainerStatuses[*].state.terminated.reason";
        Ok(!namespace.get("pod/app", path)?.is_empty())
    })?;
    cut(&file)
}
