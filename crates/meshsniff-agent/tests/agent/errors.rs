//! What goes wrong is told in one sentence that names the next step.

use crate::netns::{Netns, unique};
use crate::program::{Program, agent};
use crate::stream::Stream;
use crate::targets::{Cgroup, uid};
use crate::tools::{END, IP, SETPRIV, can, skip};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use tempfile::TempDir;

/// The one sentence of a program that could not begin.
#[track_caller]
fn complaint(command: Command) -> String {
    let mut program = Program::start(command);
    let stream = Stream::read(program.stdout());
    let ended = program.end(END);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
    assert_eq!(ended.said.len(), 1, "{}", ended.text());
    let last = ended.last();
    assert_eq!(last["type"], "error");
    assert!(stream.whole().bytes.is_empty(), "a stream of nothing");
    let message = last["message"].as_str().expect("a sentence").to_owned();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn no_such_interface() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    netns.ip(&[
        "link", "add", "one0", "type", "veth", "peer", "name", "one1",
    ]);
    let message = complaint(agent(&["capture", "--netns", &netns.path(), "-i", "eth7"]));
    let before = "there is no interface eth7 here: name one of these: ";
    let names = message
        .strip_prefix(before)
        .unwrap_or_else(|| panic!("{message}"));
    let mut names: Vec<_> = names.split(", ").collect();
    names.sort_unstable();
    assert_eq!(names, ["lo", "one0", "one1"]);
}

#[test]
fn no_interface_is_up() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    netns.ip(&["link", "set", "lo", "down"]);
    let message = complaint(agent(&["capture", "--netns", &netns.path()]));
    assert_eq!(
        message,
        "no interface is up here: is the target's network set up already?"
    );
}

#[test]
fn a_filter_that_does_not_compile() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    for command in ["capture", "report"] {
        let message = complaint(netns.agent(command, &["-f", "tcp prot 80"]));
        let expected = "the filter «tcp prot 80» does not compile: ";
        assert!(message.starts_with(expected), "{message}");
        assert!(
            message.contains("syntax error") || message.contains("parse filter"),
            "{message}"
        );
        assert!(message.ends_with("; see pcap-filter(7)"), "{message}");
    }
}

#[test]
fn a_target_that_is_not_there() {
    if !can(&[IP]) {
        return;
    }
    let uid = uid();
    let message = complaint(agent(&["capture", "--pod-uid", &uid]));
    let expected = format!("no process of pod {uid} runs on this node: check the id and the node");
    assert!(message.starts_with(&expected), "{message}");
    let message = complaint(agent(&["capture", "--container-id", "0123abcd"]));
    assert!(
        message.starts_with("no process of container 0123abcd runs"),
        "{message}"
    );

    let gone = Program::start(Command::new("cat"));
    let pid = gone.id().to_string();
    gone.signal(Signal::SIGKILL);
    drop(gone);
    let message = complaint(agent(&["capture", "--pid", &pid]));
    assert_eq!(
        message,
        format!("process {pid} is gone: name one that runs")
    );
    for pid in ["0", "-1"] {
        let message = complaint(agent(&["capture", &format!("--pid={pid}")]));
        assert_eq!(
            message,
            format!("process {pid} is gone: name one that runs")
        );
    }
}

#[test]
fn a_path_that_is_no_network_namespace() {
    if !can(&[IP]) {
        return;
    }
    let path = format!("/run/netns/{}", unique("meshsniff-test-none"));
    let message = complaint(agent(&["capture", "--netns", &path]));
    let expected = format!("the network namespace {path} cannot be opened (");
    assert!(message.starts_with(&expected), "{message}");
    assert!(
        message.ends_with("check the path (ip netns list)"),
        "{message}"
    );
    for wrong in ["/dev/null", "/proc/self/ns/mnt"] {
        let message = complaint(agent(&["capture", "--netns", wrong]));
        assert!(
            message.contains("the path is no network namespace"),
            "{message}"
        );
    }
}

#[test]
fn a_file_that_is_there_already() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "precious").expect("a file");
    let write = |path: &str| netns.agent("capture", &["-w", path]);
    let path = file.to_str().expect("UTF-8");
    let message = complaint(write(path));
    assert_eq!(
        message,
        format!("{path} is there already: remove it, or name another file")
    );
    assert_eq!(fs::read(&file).expect("the file"), b"precious");
    let message = complaint(write(&format!("{path}/below")));
    assert!(message.ends_with("name another file"), "{message}");
}

#[test]
fn a_wrong_option_is_wrong_usage() {
    for (args, named) in [
        (
            ["--duration", "soon"],
            "give a number with a unit, such as 30s, 5m or 1h30m",
        ),
        (["--duration", "0s"], "give a number with a unit"),
        (["--duration=-5s", "--probes"], "give a number with a unit"),
        (["--heartbeat", "10"], "give a number with a unit"),
        (["--count", "0"], "--count"),
        (["--snaplen", "10"], "--snaplen"),
        (["--queue-size", "1"], "--queue-size"),
        (["--pid=1", "--netns=/x"], "--netns"),
        (["--pid=1", "--pod-uid=x"], "--pod-uid"),
    ] {
        let mut program = Program::start(agent(&[&["report"], args.as_slice()].concat()));
        let ended = program.end(END);
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {}", ended.text());
        assert!(ended.text().contains(named), "{args:?}: {}", ended.text());
    }
}

/// The agent, where somebody without rights can start it, and as such a one.
fn without_rights(folder: &TempDir, args: &[&str]) -> Command {
    let program = folder.path().join("meshsniff-agent");
    if !program.exists() {
        let all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), all).expect("a folder for all");
        fs::copy(env!("CARGO_BIN_EXE_meshsniff-agent"), &program).expect("a copy");
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command
        .args(["--inh-caps=-all", "--bounding-set=-all", "--"])
        .arg(program);
    command.args(args);
    command.env("MESHSNIFF_HOLD", "");
    command.env_remove("MESHSNIFF_TARGETS");
    command
}

#[test]
fn without_rights_the_missing_one_is_named() {
    if !can(&[IP, SETPRIV]) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let netns = Netns::new();
    let message = complaint(without_rights(&folder, &["capture", "-i", "lo"]));
    let expected = "capturing on lo is not allowed: CAP_NET_RAW is missing; run as root with it";
    assert_eq!(message, expected);

    let args = ["capture", "--netns", &netns.path(), "-i", "lo"];
    let message = complaint(without_rights(&folder, &args));
    assert!(message.contains("CAP_SYS_ADMIN is missing"), "{message}");

    // A process of somebody else.
    let target = Program::start(Command::new("cat"));
    let pid = target.id().to_string();
    let message = complaint(without_rights(&folder, &["capture", "--pid", &pid]));
    let expected = format!("the network namespace /proc/{pid}/ns/net cannot be opened (");
    assert!(message.starts_with(&expected), "{message}");
    assert!(
        message.ends_with("CAP_SYS_PTRACE is missing; run as root with it"),
        "{message}"
    );
}

#[test]
fn without_rights_a_pod_s_namespace_cannot_be_read() {
    if !can(&[IP, SETPRIV]) {
        return;
    }
    let uid = uid();
    let Some(cgroup) = Cgroup::new(&[&format!("pod{uid}")]) else {
        skip("no cgroup can be made here");
        return;
    };
    let folder = TempDir::new().expect("a folder");
    let target = Program::start(Command::new("cat"));
    cgroup.add(0, &target);
    let message = complaint(without_rights(&folder, &["capture", "--pod-uid", &uid]));
    let expected = format!(
        "the network namespace of pod {uid} (process {}) cannot be read: CAP_SYS_PTRACE is missing",
        target.id()
    );
    assert!(message.starts_with(&expected), "{message}");
    drop(target);
}
