//! Everything that ends a capture: the last line on standard error and the end of the stream say
//! why.

use crate::http::{Pod, Server, talk};
use crate::netns::Netns;
use crate::program::{Program, agent};
use crate::stream::Stream;
use crate::tools::{END, IP, UNSHARE, can, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// A running capture on `lo` of a namespace, of which the header has come.
fn capture(netns: &Netns, more: &[&str]) -> (Program, Stream) {
    with_header(netns.ready("capture", more))
}

fn with_header(mut program: Program) -> (Program, Stream) {
    let stream = program.stream();
    stream.wait("the header", |capture| !capture.interfaces.is_empty());
    (program, stream)
}

#[test]
fn a_stop_line() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let (mut program, stream) = capture(&netns, &[]);
    program.tell("stop");
    let (last, capture) = program.ends_by("stop", stream);
    assert!(capture.end().starts_with("stop: "));
    let why = capture.end().replace("stop: ", "0 packets captured, ");
    assert_eq!(last["message"], why);
}

#[test]
fn standard_input_is_closed() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let (mut program, stream) = capture(&netns, &[]);
    program.close_stdin();
    program.ends_by("stdin-closed", stream);
}

/// A capture that was started with SIGHUP as `env` has it by this option, whatever it is here.
fn capture_with(netns: &Netns, hangup: &str) -> (Program, Stream) {
    let started = netns.agent("capture", &[]);
    let mut command = Command::new("/usr/bin/env");
    command.arg(hangup).arg(started.get_program());
    command.args(started.get_args());
    command.envs(
        started
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    with_header(Program::ready(command))
}

#[test]
fn signals() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let (program, stream) = capture_with(&netns, "--default-signal=HUP");
        program.signal(signal);
        let (_, capture) = program.ends_by("signal", stream);
        assert_eq!(capture.end(), format!("signal: {signal} came"));
    }
}

#[test]
fn under_nohup_the_end_of_a_terminal_is_none() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let (program, stream) = capture_with(&netns, "--ignore-signal=HUP");
    program.signal(Signal::SIGHUP);
    program.signal(Signal::SIGTERM);
    let (_, capture) = program.ends_by("signal", stream);
    assert_eq!(capture.end(), "signal: SIGTERM came");
}

#[test]
fn as_many_packets_as_asked_for_and_not_one_more() {
    let Some(pod) = Pod::new() else {
        return;
    };
    for count in [1, 7, 50] {
        let (program, stream) = capture(&pod, &["--count", &count.to_string()]);
        let mut client = pod.client();
        while !program.ends(std::time::Duration::ZERO) {
            client.get("/hello");
        }
        let (_, capture) = program.ends_by("count", stream);
        assert_eq!(capture.packets.len(), count);
    }
}

#[test]
fn as_long_as_asked_for() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let (program, stream) = capture(&netns, &["--duration", "500ms"]);
    program.ends_by("duration", stream);
}

#[test]
fn as_many_bytes_as_asked_for() {
    let Some(pod) = Pod::new() else {
        return;
    };
    let size: usize = 100_000;
    let (program, stream) = capture(&pod, &["--size", &size.to_string()]);
    let mut client = pod.client();
    while !program.ends(std::time::Duration::ZERO) {
        client.get("/bytes/2000");
    }
    let (_, capture) = program.ends_by("size", stream);
    // The statistics at the end are no part of it.
    let trailer = 200;
    let bytes = capture.bytes.len();
    assert!((size - 5000..=size + trailer).contains(&bytes), "{bytes}");
}

/// The stream's reader leaves: while packets come, and while none does.
#[test]
fn nobody_reads_any_more() {
    let Some(pod) = Pod::new() else {
        return;
    };
    for command in ["capture", "report"] {
        for busy in [true, false] {
            let mut program = pod.ready(command, &[]);
            drop(program.stdout());
            if busy {
                pod.talk(3);
            }
            let ended = program.end(END);
            assert_eq!(ended.last()["reason"], "reader-gone", "{command} {busy}");
            assert!(ended.status.success());
        }
    }
}

#[test]
fn the_target_s_process_ends() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let target = netns.inside(|| Program::start(Command::new("cat")));
    let pid = target.id().to_string();
    let program = Program::ready(agent(&["capture", "--pid", &pid, "-i", "lo"]));
    let (program, stream) = with_header(program);
    target.signal(Signal::SIGKILL);
    let (_, capture) = program.ends_by("target-gone", stream);
    assert_eq!(capture.comment, format!("meshsniff: process {pid}"));
}

#[test]
fn the_namespace_s_name_is_deleted() {
    if !can(&[IP]) {
        return;
    }
    let (netns, other) = (Netns::new(), Netns::new());
    let (program, stream) = capture(&netns, &[]);
    // That of another one ends nothing.
    other.delete();
    let server = Server::start(&netns);
    talk(&netns, server.local(), 1);
    stream.wait("the traffic", |capture| capture.settled(1));
    netns.delete();
    program.ends_by("target-gone", stream);
}

/// The last interface is taken away, as when a pod's network is torn down before its processes.
#[test]
fn the_interface_goes_away() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    netns.ip(&[
        "link", "add", "gone0", "type", "veth", "peer", "name", "gone1",
    ]);
    netns.ip(&["link", "set", "gone0", "up"]);
    let args = ["capture", "--netns", &netns.path(), "-i", "gone0"];
    let (program, stream) = with_header(Program::ready(agent(&args)));
    netns.ip(&["link", "del", "gone0"]);
    let (_, capture) = program.ends_by("interface-gone", stream);
    assert_eq!(capture.end(), "interface-gone: the interface gone0 is gone");
}

/// A parent that is killed can tell nobody: the end of the pipe it held is all there is.
#[test]
fn the_parent_is_killed() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let folder = TempDir::new().expect("a folder");
    let (fifo, file) = (folder.path().join("fifo"), folder.path().join("file"));
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo").success());
    let started = netns.agent("capture", &["-w"]);
    let mut parent = Command::new("sh");
    // Only the shell holds the end of the pipe that is written to.
    parent.args([
        "-c",
        r#"fifo=$1; shift; "$@" <"$fifo" & exec 3>"$fifo"; read -r _"#,
    ]);
    parent.arg("sh").arg(&fifo).arg(started.get_program());
    parent.args(started.get_args()).arg(&file);
    for (name, value) in started.get_envs() {
        match value {
            Some(value) => parent.env(name, value),
            None => parent.env_remove(name),
        };
    }
    let mut parent = Program::ready(parent);
    parent.signal(Signal::SIGKILL);
    assert!(parent.ends(END));
    let last = parent.hears("end");
    assert_eq!(last["reason"], "stdin-closed");
    // Its standard error ends when it does.
    parent.end(END);
    let capture = Stream::read(fs::File::open(&file).expect("a file")).whole();
    assert!(capture.end().starts_with("stdin-closed: "));
}

/// As process 1 of a container no signal comes that is not waited for.
#[test]
fn signals_as_process_1() {
    if !can(&[IP, UNSHARE]) {
        return;
    }
    let netns = Netns::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let started = netns.agent("capture", &[]);
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc"]);
        command.arg(started.get_program()).args(started.get_args());
        let (program, stream) = with_header(Program::ready(command));
        let children = format!("/proc/{0}/task/{0}/children", program.id());
        let children = fs::read_to_string(children).expect("its children");
        let child: i32 = children.trim().parse().expect("one child");
        let status = fs::read_to_string(format!("/proc/{child}/status"));
        let status = status.expect("its status");
        assert!(
            status
                .lines()
                .any(|line| line == format!("NSpid:\t{child}\t1"))
        );
        kill(Pid::from_raw(child), signal).expect("a process of ours");
        let (_, capture) = program.ends_by("signal", stream);
        assert_eq!(capture.end(), format!("signal: {signal} came"));
        wait_until("the process is gone", || {
            !fs::exists(format!("/proc/{child}")).unwrap_or(true)
        });
    }
}
