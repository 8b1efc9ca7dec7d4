//! Nobody takes the packets, or there is no room for them.

use crate::file::{File, cut, folder};
use crate::lab::{Checked, Lab, SOON, wait_until};
use crate::plugin::{Plugin, signal};
use libtest_mimic::Failed;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The longest time between a second signal and the end.
const HURRIED: Duration = Duration::from_secs(5);

/// A program in Wireshark's place that notes its process id and reads: what closing the window does
/// to the pipe is what ending it does.
pub(super) fn wireshark_closed(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let folder = folder()?;
    let (program, noted) = (folder.path().join("wireshark"), folder.path().join("id"));
    fs::write(
        &program,
        format!(
            "#!/bin/sh\necho $$ > {0}.new && mv {0}.new {0}\nexec cat >/dev/null\n",
            noted.display()
        ),
    )?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let mut command = namespace.command(&["app"]);
    command.env("MESHSNIFF_WIRESHARK", &program);
    let mut plugin = Plugin::spawn(command)?;
    plugin.captures()?;
    let runs = namespace.runs()?;
    wait_until("a program that shows packets", SOON, || Ok(noted.exists()))?;
    let id: u32 = fs::read_to_string(&noted)?.trim().parse()?;
    signal(id, "TERM")?;
    plugin.ended(SOON)?.is(0, &[])?;
    namespace.nothing_left(&runs)
}

pub(super) fn disk_full(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let ended = namespace.run(&["app", "-w", "/dev/full"])?;
    ended.is(1, &["cannot be written", "-w"])?;
    namespace.nothing_left(&[])
}

/// `| head`: whoever read the output has seen enough of it, and that is no error.
pub(super) fn stdout_closed(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let mut command = namespace.command(&["app", "-w", "-"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let Some(stdout) = child.stdout.take() else {
        return Err("no output to read".into());
    };
    let head = Command::new("head")
        .args(["-c", "1000"])
        .stdin(stdout)
        .output()?;
    if head.stdout.len() != 1000 {
        return Err("too little came".into());
    }
    let mut status = None;
    wait_until("the end of the plugin", SOON, || {
        status = child.try_wait()?;
        Ok(status.is_some())
    })?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {said}", output.status).into());
    }
    namespace.nothing_left(&[])
}

/// A pipe that nobody reads, and that is full.
fn full_pipe() -> Result<(PipeReader, PipeWriter), Failed> {
    let (reader, mut writer) = io::pipe()?;
    // As much as Linux gives it; one byte more and it would wait.
    writer.write_all(&[b'.'; 64 * 1024])?;
    Ok((reader, writer))
}

/// Whether a thread of this process writes to its standard output and gets no further.
fn waits_for_a_reader(id: u32) -> Result<bool, Failed> {
    let calls = || -> Result<Vec<String>, Failed> {
        let threads = fs::read_dir(format!("/proc/{id}/task"))?.flatten();
        let calls = threads.map(|thread| fs::read_to_string(thread.path().join("syscall")));
        Ok(calls.flatten().collect())
    };
    let is_write = |call: &String| {
        let mut words = call.split(' ');
        let number = if cfg!(target_arch = "x86_64") {
            "1"
        } else {
            "64"
        };
        (words.next(), words.next()) == (Some(number), Some("0x1"))
    };
    let before = calls()?;
    std::thread::sleep(Duration::from_millis(300));
    let after = calls()?;
    Ok(before
        .iter()
        .filter(|call| is_write(call))
        .any(|call| after.contains(call)))
}

/// A pager that was stopped, a pipe into nothing: the second signal ends what waits for it.
pub(super) fn nothing_read(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let url = namespace.url("app", "/bytes?n=20000")?;
    namespace.running("load", &["get", "-every", "2ms", "-c", "2", &url], "")?;
    for args in [
        &["app", "-w", "-"][..],
        &["report", "app", "-o", "jsonl", "--all"],
        &["report", "app", "-o", "jsonl", "--all", "-w", "/dev/null"],
    ] {
        let (stdout, into) = io::pipe()?;
        let (stderr, full) = full_pipe()?;
        let mut command = namespace.command(args);
        command.stdin(Stdio::null()).stdout(into).stderr(full);
        let mut child = command.spawn()?;
        drop(command);
        wait_until("an output that is full", SOON, || {
            waits_for_a_reader(child.id())
        })?;
        let runs = namespace.runs()?;
        signal(child.id(), "INT")?;
        // So close together two of them are one.
        std::thread::sleep(Duration::from_secs(1));
        let again = Instant::now();
        signal(child.id(), "TERM")?;
        let mut status = None;
        let ended = wait_until("the end of the plugin", SOON, || {
            status = child.try_wait()?;
            Ok(status.is_some())
        });
        if ended.is_err() {
            let _ = child.kill();
        }
        ended?;
        if again.elapsed() > HURRIED {
            return Err(format!("{args:?} took {:?} to end", again.elapsed()).into());
        }
        if status.and_then(|status| status.code()) != Some(1) {
            return Err(format!("{args:?}: {status:?} for an output that lacks something").into());
        }
        drop((stdout, stderr));
        namespace.nothing_left(&runs)?;
    }
    Ok(())
}

/// The queue grows while the plugin sleeps, and the helper may not take that much.
pub(super) fn capture_oom_killed(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let url = namespace.url("app", "/bytes?n=200000")?;
    namespace.running("load", &["get", "-every", "2ms", "-c", "2", &url], "")?;
    let file = File::new()?;
    let (plugin, runs) = namespace.capturing(&file, &["--helper-memory", "24Mi"])?;
    plugin.signal("STOP")?;
    // Within the 30 s in which the agent waits for a sign of life, 32 MiB have come.
    wait_until("the end of the helper", SOON * 2, || {
        Ok(namespace.helpers()?.is_empty() || lab.is_here() && !alive(&runs[0]))
    })?;
    plugin.signal("CONT")?;
    let ended = plugin.ended(SOON)?;
    ended.is(1, &["was cut"])?;
    namespace.nothing_left(&runs)?;
    cut(&file)
}

/// Whether a capture of this run is a process of this machine.
fn alive(run: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.map(|entry| entry.path()).any(|folder| {
        let environment = fs::read(folder.join("environ")).unwrap_or_default();
        let command = fs::read(folder.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains("capture")
            && String::from_utf8_lossy(&environment).contains(run)
    })
}
