//! Targets as they are found on a node, in cgroups made here; and the interfaces that are taken if
//! none is named.

use crate::http::{Server, talk};
use crate::netns::{Netns, unique};
use crate::program::{Program, agent};
use crate::tools::{IP, can, skip};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A cgroup, gone with the test. What is in it must be gone before.
pub(crate) struct Cgroup(Vec<PathBuf>);

impl Cgroup {
    /// One with a folder for each name, each in the one before; `None` where none can be made.
    pub(crate) fn new(names: &[&str]) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        // The unified hierarchy, or the named one that has no controller.
        let mount = |wanted: &dyn Fn(&str) -> bool| {
            let line = mounts.lines().find(|line| wanted(line))?;
            line.split(' ').nth(4).map(PathBuf::from)
        };
        let unified = mount(&|line| line.contains(" - cgroup2 "));
        let named = mount(&|line| line.contains(" - cgroup ") && line.contains("name=systemd"));
        [unified, named].into_iter().flatten().find_map(|mut path| {
            let mut made = Self(Vec::new());
            for name in names {
                path.push(name);
                fs::create_dir(&path).ok()?;
                made.0.push(path.clone());
            }
            Some(made)
        })
    }

    pub(crate) fn add(&self, depth: usize, program: &Program) {
        let file = self.0[depth].join("cgroup.procs");
        fs::write(file, program.id().to_string()).expect("a process in a cgroup");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// A UID that no pod has.
pub(crate) fn uid() -> String {
    let digits: String = unique("").chars().filter(char::is_ascii_digit).collect();
    let digits = format!("{digits:0>12}");
    format!("00000000-0000-4000-8000-{}", &digits[digits.len() - 12..])
}

/// A process of this name that does nothing until it is killed.
fn idle(folder: &Path, netns: &Netns, name: &str) -> Program {
    let program = folder.join(name);
    if !program.exists() {
        let cat = ["/bin/cat", "/usr/bin/cat"]
            .into_iter()
            .find(|cat| fs::exists(cat).unwrap_or(false));
        fs::copy(cat.expect("cat"), &program).expect("a copy");
    }
    netns.inside(|| Program::start(Command::new(program)))
}

#[test]
fn a_pod_is_found_by_its_cgroup() {
    if !can(&[IP]) {
        return;
    }
    let uid = uid();
    let container = format!("{}{}", "0".repeat(52), &uid[24..]);
    let pod = format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_"));
    let names = [pod, format!("cri-containerd-{container}.scope")];
    let Some(cgroup) = Cgroup::new(&[&names[0], &names[1]]) else {
        skip("no cgroup can be made here");
        return;
    };
    let folder = TempDir::new().expect("a folder");
    let (netns, other) = (Netns::new(), Netns::new());
    let server = Server::start(&netns);
    // The sandbox is there first; one of its processes goes somewhere else, called as it likes.
    let pause = idle(folder.path(), &netns, "sandbox");
    let app = idle(folder.path(), &netns, "app");
    let stray = idle(folder.path(), &other, "pause");
    for (depth, program) in [(1, &stray), (1, &app), (0, &pause)] {
        cgroup.add(depth, program);
    }

    let args = [
        "capture",
        "--pod-uid",
        &uid,
        "--container-id",
        &container,
        "-i",
        "lo",
    ];
    let mut program = Program::start(agent(&args));
    let warning = program.hears("warning");
    let warning = warning["message"].as_str().expect("a sentence").to_owned();
    assert!(
        warning.contains(&format!("pause ({})", stray.id())),
        "{warning}"
    );
    let ready = program.hears("ready");
    let target = format!("container {container} of pod {uid}");
    assert_eq!(ready["target"], target);
    let stream = program.stream();
    talk(&netns, server.local(), 3);
    stream.wait("the pod's traffic", |capture| capture.settled(1));
    let capture = program.stop(stream);
    assert_eq!(capture.comment, format!("meshsniff: {target}"));

    // Its sandbox is what stands for it: when that ends, so does the capture.
    let mut program = Program::start(agent(&["capture", "--pod-uid", &uid, "-i", "lo"]));
    program.hears("ready");
    let stream = program.stream();
    stream.wait("the header", |capture| !capture.interfaces.is_empty());
    pause.signal(Signal::SIGKILL);
    program.ends_by("target-gone", stream);

    // A container without its pod.
    drop((stray, pause));
    let mut program = Program::start(agent(&[
        "capture",
        "--container-id",
        &container,
        "-i",
        "lo",
    ]));
    assert_eq!(
        program.hears("ready")["target"],
        format!("container {container}")
    );
    let stream = program.stream();
    talk(&netns, server.local(), 3);
    stream.wait("the container's traffic", |capture| capture.settled(1));
    program.stop(stream);
    drop(app);
}

fn interfaces(netns: &Netns, more: &[&str]) -> Value {
    let path = netns.path();
    let args = [&["capture", "--netns", &path], more].concat();
    let mut program = Program::start(agent(&args));
    let mut interfaces = program.hears("ready")["interfaces"].take();
    let names = interfaces.as_array_mut().expect("names");
    names.sort_by_key(|name| name.as_str().map(str::to_owned));
    interfaces
}

#[test]
fn loopback_is_taken_where_a_proxy_listens_else_all_that_is_up() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    for (name, peer) in [("up0", "up1"), ("down0", "down1")] {
        netns.ip(&["link", "add", name, "type", "veth", "peer", "name", peer]);
    }
    netns.ip(&["link", "set", "up0", "up"]);
    assert_eq!(interfaces(&netns, &[]), json!(["lo", "up0"]));
    let app = Server::start_on(&netns, 8080);
    assert_eq!(interfaces(&netns, &[]), json!(["lo", "up0"]));
    // A gateway has the ports of health and telemetry, and callers from outside.
    let health = Server::start_on(&netns, 15021);
    assert_eq!(interfaces(&netns, &[]), json!(["lo", "up0"]));
    let proxy = Server::start_on(&netns, 15006);
    assert_eq!(interfaces(&netns, &[]), json!(["lo"]));
    assert_eq!(interfaces(&netns, &["-i", "up0"]), json!(["up0"]));
    assert_eq!(interfaces(&netns, &["-i", "any"]), json!(["any"]));
    drop((app, health, proxy));
}

#[test]
fn any_interface_is_captured_with_its_directions() {
    if !can(&[IP]) {
        return;
    }
    let pair = crate::netns::Pair::new();
    let server = Server::start(&pair.target);
    let args = [
        "capture",
        "--netns",
        &pair.target.path(),
        "-i",
        "any",
        "-f",
        "tcp",
    ];
    let mut program = Program::ready(agent(&args));
    let stream = program.stream();
    talk(&pair.peer, server.at(crate::netns::Pair::TARGET), 2);
    stream.wait("both directions", |capture| {
        let is = |flags| {
            capture
                .packets
                .iter()
                .any(|packet| packet.flags == Some(flags))
        };
        is(1) && is(2)
    });
    program.stop(stream);
}
