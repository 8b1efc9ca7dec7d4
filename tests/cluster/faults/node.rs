//! The node's and the cluster's own programs fail while it captures.

use crate::file::{File, cut, whole};
use crate::lab::{Checked, Lab, SOON, wait_until};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long the API server is away, and when the Job must be gone from when it went.
const AWAY: Duration = Duration::from_secs(50);
const GONE: Duration = Duration::from_secs(120);

/// Whatever the failure does to the stream: nothing stays behind, and the file and what is said
/// agree.
fn restart(lab: &Lab, part: &str, kill: bool) -> Checked {
    let namespace = lab.namespace()?;
    let node1 = "nodeSelector: {kubernetes.io/hostname: node1}";
    namespace.running("app", &["serve"], node1)?;
    namespace.load("/fast", "50ms")?;
    let file = File::new()?;
    let (mut plugin, runs) = namespace.capturing(&file, &[])?;
    let Some(node) = &lab.node else {
        return Err("no node to harm".into());
    };
    let mut command = Command::new(node.join("restart"));
    command.arg(part).args(kill.then_some("--kill"));
    let restarted = command.output()?;
    if !restarted.status.success() {
        let said = String::from_utf8_lossy(&restarted.stderr);
        return Err(format!("restart {part}: {said}").into());
    }
    // A stream that survived goes on; one that did not is noticed within 30 s.
    let size = file.len();
    let mut ended = false;
    wait_until("more packets, or the end", SOON, || {
        ended = !plugin.is_running()?;
        Ok(ended || file.len() > size + 4096)
    })?;
    let ended = if ended {
        plugin.ended(SOON)?
    } else {
        plugin.interrupt()?
    };
    namespace.nothing_left(&runs)?;
    if ended.status.success() {
        whole(&file)
    } else {
        ended.is(1, &["was cut"])?;
        cut(&file)
    }
}

pub(super) fn kubelet_restarted(lab: &Lab) -> Checked {
    restart(lab, "kubelet", false)
}

pub(super) fn kubelet_killed(lab: &Lab) -> Checked {
    restart(lab, "kubelet", true)
}

pub(super) fn runtime_restarted(lab: &Lab) -> Checked {
    restart(lab, "runtime", false)
}

pub(super) fn runtime_killed(lab: &Lab) -> Checked {
    restart(lab, "runtime", true)
}

/// A part that is stopped or started.
fn part(lab: &Lab, what: &str, part: &[&str]) -> Checked {
    let Some(node) = &lab.node else {
        return Err("no node to harm".into());
    };
    let done = Command::new(node.join(what)).args(part).output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(format!("{what} {part:?}: {said}").into())
}

/// While nobody can delete anything, the plugin goes on trying.
pub(super) fn api_server_away(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let file = File::new()?;
    let (mut plugin, runs) = namespace.capturing(&file, &[])?;
    let killed = Instant::now();
    part(lab, "stop", &["apiserver", "--kill"])?;
    std::thread::sleep(AWAY);
    let is_running = plugin.is_running();
    part(lab, "start", &["apiserver"])?;
    if !is_running? {
        return Err("it did not wait for the API server".into());
    }
    let ended = plugin.ended(SOON)?;
    ended.is(
        1,
        &["was cut", "closed it", "the API server does not answer"],
    )?;
    if ended.stderr.contains("rustls") {
        return Err(format!("a library's words: {}", ended.stderr).into());
    }
    wait_until("the end of the Job", SOON, || {
        Ok(namespace.runs().is_ok_and(|runs| runs.is_empty()))
    })?;
    if killed.elapsed() > GONE {
        return Err(format!("the Job is gone after {:?}", killed.elapsed()).into());
    }
    // A kubelet that was turned away takes its time to ask again, and so do the controllers.
    namespace.nothing_left(&runs)?;
    cut(&file)
}

pub(super) fn api_server_restarted(lab: &Lab) -> Checked {
    restart(lab, "apiserver", false)
}
