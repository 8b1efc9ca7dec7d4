//! `hold`, the helper pod's main process, and what captures in a helper refuse.

use crate::http::Pod;
use crate::netns::{Netns, unique};
use crate::program::{Program, agent};
use crate::targets::uid;
use crate::tools::{END, IP, UNSHARE, can, wait_until};
use meshsniff_contract::times::STOPPED_WITHIN;
use nix::sys::signal::Signal;
use std::io::Read as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Command;
use std::time::Duration;

/// The agent in a helper of its own.
fn of(hold: &str, mut command: Command) -> Command {
    command.env("MESHSNIFF_HOLD", hold);
    command
}

#[test]
fn it_ends_when_nobody_comes() {
    let hold = unique("meshsniff-test-hold");
    let mut program = Program::ready(of(&hold, agent(&["hold", "--first", "500ms"])));
    let ended = program.end(Duration::from_millis(500) + END);
    assert!(ended.status.success());
    assert_eq!(ended.last()["type"], "end");
    assert_eq!(ended.last()["message"], "no capture runs any more");
}

#[test]
fn there_is_only_one() {
    let hold = unique("meshsniff-test-hold");
    let _first = Program::ready(of(&hold, agent(&["hold"])));
    let mut second = Program::start(of(&hold, agent(&["hold"])));
    let ended = second.end(END);
    assert_eq!(ended.status.code(), Some(1));
    let message = ended.last()["message"].to_string();
    assert!(
        message.contains("another hold runs here already"),
        "{message}"
    );
}

#[test]
fn it_lives_as_long_as_captures_do() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let hold = unique("meshsniff-test-hold");
    let args = ["hold", "--first", "1s", "--after", "1s"];
    let mut holding = Program::ready(of(&hold, agent(&args)));
    let mut first = Program::ready(of(&hold, netns.agent("capture", &[])));
    let mut second = Program::ready(of(&hold, netns.agent("capture", &[])));
    let (one, other) = (first.stream(), second.stream());
    // Longer than either of its times.
    assert!(!holding.ends(Duration::from_millis(1500)));
    first.stop(one);
    assert!(!holding.ends(Duration::from_millis(1500)));
    // One that is killed tells nobody either.
    second.signal(Signal::SIGKILL);
    assert!(second.ends(END));
    let ended = holding.end(Duration::from_secs(1) + END);
    assert!(ended.status.success());
    assert_eq!(ended.last()["message"], "no capture runs any more");
    drop(other);
}

/// The container runs before its process waits for captures.
#[test]
fn a_capture_that_is_quicker_waits_for_it() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let hold = unique("meshsniff-test-hold");
    let mut capture = Program::start(of(&hold, netns.agent("capture", &[])));
    let args = ["hold", "--first", "1s", "--after", "1s"];
    let mut holding = Program::ready(of(&hold, agent(&args)));
    let stream = capture.stream();
    assert!(!holding.ends(Duration::from_millis(1500)));
    capture.stop(stream);
    assert!(holding.end(Duration::from_secs(1) + END).status.success());
}

#[test]
fn it_ends_its_captures_and_then_itself() {
    let Some(pod) = Pod::new() else {
        return;
    };
    // The last two are what some images have their process end with.
    let ends = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGWINCH,
    ];
    for signal in ends {
        let hold = unique("meshsniff-test-hold");
        let mut holding = Program::ready(of(&hold, agent(&["hold"])));
        let mut captures = [(); 2].map(|()| {
            let capture = pod.agent("capture", &["-f", "tcp"]);
            let mut program = Program::ready(of(&hold, capture));
            let stream = program.stream();
            (program, stream)
        });
        pod.talk(3);
        for (_, stream) in &mut captures {
            stream.wait("the traffic", |capture| capture.settled(1));
        }
        holding.signal(signal);
        let ended = holding.end(END);
        for (program, stream) in captures {
            let (_, capture) = program.ends_by("signal", stream);
            assert!(capture.settled(1));
        }
        assert!(ended.status.success());
        let last = ended.last();
        assert_eq!(last["captures"], 0, "it ended before its captures: {last}");
        assert_eq!(last["message"], format!("{signal} came"));
    }
}

#[test]
fn a_helper_captures_only_the_pods_it_was_started_for() {
    if !can(&[IP]) {
        return;
    }
    let (ours, theirs) = (uid(), uid());
    let netns = Netns::new();
    let path = netns.path();
    let pinned = format!("{ours},{}", uid());
    let of_pod =
        format!("pod {theirs} is not among the targets of this helper: start a helper for it");
    let path_or_pid = "--pid and --netns are not for a helper pod: name a pod with --pod-uid";
    let none = "this helper captures the pods it was started for: name one with --pod-uid";
    let cases: [(&[&str], &str); 6] = [
        (&["--pod-uid", &theirs], &of_pod),
        (&["--pid", "1"], path_or_pid),
        (&["--netns", &path], path_or_pid),
        (&[], none),
        (&["--container-id", "abc"], none),
        // Neither a part of one nor all of them.
        (
            &["--pod-uid", ""],
            "pod  is not among the targets of this helper: start a helper for it",
        ),
    ];
    for command in ["capture", "report"] {
        for (args, message) in &cases {
            let mut command = agent(&[&[command], *args].concat());
            command.env("MESHSNIFF_TARGETS", &pinned);
            let ended = Program::start(command).end(END);
            assert_eq!(ended.status.code(), Some(1), "{args:?}");
            assert_eq!(ended.last()["message"], *message, "{args:?}");
        }
    }
    // Its own pod is looked for, though nothing of it runs here.
    let mut command = agent(&["capture", "--pod-uid", &ours]);
    command.env("MESHSNIFF_TARGETS", &pinned);
    let message = Program::start(command).end(END).last()["message"].to_string();
    assert!(message.contains("no process of pod"), "{message}");
}

#[test]
fn a_helper_writes_no_files() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("file");
    let mut command = agent(&["capture", "--pod-uid", &uid(), "-w"]);
    command.arg(&file).env("MESHSNIFF_TARGETS", uid());
    let ended = Program::start(command).end(END);
    assert_eq!(ended.status.code(), Some(1));
    let message = ended.last()["message"].to_string();
    assert!(message.contains("leave --write away"), "{message}");
    assert!(!file.exists());
}

/// Whether the other end hangs up.
fn hangs_up(mut peer: UnixStream) -> bool {
    peer.set_read_timeout(Some(END)).is_ok() && matches!(peer.read(&mut [0]), Ok(0))
}

#[test]
fn a_process_of_another_container_holds_nothing() {
    if !can(&[UNSHARE]) {
        return;
    }
    let hold = unique("meshsniff-test-hold");
    let address = SocketAddr::from_abstract_name(&hold).unwrap();
    let connect = || UnixStream::connect_addr(&address);
    // Processes outside of its PID namespace have no number in it.
    let mut apart = Command::new("unshare");
    apart.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    apart.arg(agent(&[]).get_program());
    apart.args(["hold", "--first", "2s"]);
    let mut holding = Program::ready(of(&hold, apart));
    let strangers: Vec<UnixStream> = (0..300).map(|_| connect().unwrap()).collect();
    assert!(strangers.into_iter().all(hangs_up));
    let ended = holding.end(Duration::from_secs(2) + END);
    assert_eq!(ended.last()["message"], "no capture runs any more");
    // Nor does a capture take for its hold what a stranger made under that name.
    let stranger = UnixListener::bind_addr(&address).unwrap();
    let mut apart = Command::new("unshare");
    apart.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    apart.arg(agent(&[]).get_program());
    apart.args(["capture", "-i", "lo"]);
    let mut capture = Program::ready(of(&hold, apart));
    let (peer, _) = stranger.accept().unwrap();
    assert!(hangs_up(peer));
    let stream = capture.stream();
    capture.stop(stream);
}

#[test]
fn not_more_than_some_captures_are_held_and_not_for_ever() {
    let hold = unique("meshsniff-test-hold");
    let address = SocketAddr::from_abstract_name(&hold).unwrap();
    let args = ["hold", "--first", "1s", "--at-most", "3s"];
    let mut holding = Program::ready(of(&hold, agent(&args)));
    let mut own: Vec<UnixStream> = (0..65)
        .map(|_| UnixStream::connect_addr(&address).unwrap())
        .collect();
    assert!(hangs_up(own.pop().unwrap()));
    let ended = holding.end(Duration::from_secs(3) + STOPPED_WITHIN + END);
    assert_eq!(ended.last()["message"], "nothing is held longer than that");
}

/// KiB of the rings of a process, as the kernel maps them into it.
fn rings(id: i32) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).expect("its mappings");
    let rings = maps.lines().filter(|line| line.contains("socket:["));
    let sizes = rings.map(|line| {
        let mut ends = line.split(['-', ' ']);
        let mut end = || u64::from_str_radix(ends.next().expect("an end"), 16).expect("a number");
        let (from, until) = (end(), end());
        (until - from) / 1024
    });
    sizes.sum()
}

#[test]
fn captures_share_what_there_is_for_rings() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    for number in 0..50 {
        let ends = [format!("a{number}"), format!("b{number}")];
        netns.ip(&[
            "link", "add", &ends[0], "type", "veth", "peer", "name", &ends[1],
        ]);
        for end in &ends {
            netns.ip(&["link", "set", end, "up"]);
        }
    }
    let hold = unique("meshsniff-test-hold");
    let _holding = Program::ready(of(&hold, agent(&["hold"])));
    let huge = ["--buffer-size", "131072"];
    let mut captures: Vec<Program> = Vec::new();
    for each in [131_072, 131_072, 65_536] {
        let mut capture = Program::start(of(&hold, netns.agent("capture", &huge)));
        if each < 131_072 {
            let told = capture.hears("warning")["message"].to_string();
            assert!(
                told.contains(&format!("a ring of {each} KiB instead of 131072")),
                "{told}"
            );
        }
        capture.hears("ready");
        assert_eq!(rings(capture.id()), each);
        captures.push(capture);
    }
    let mut none = Program::start(of(&hold, netns.agent("capture", &huge)));
    let message = none.end(END).last()["message"].to_string();
    assert!(
        message.contains("end one of them, or name fewer"),
        "{message}"
    );
    // What one gives back is there for another, and if that has a hundred interfaces.
    let ended = captures.remove(0);
    ended.signal(Signal::SIGKILL);
    drop(ended);
    wait_until("room for the rings of all", || {
        let all = agent(&["capture", "--netns", &netns.path()]);
        let mut all = Program::start(of(&hold, all));
        let said = all.hears_text("interfaces");
        let starts = said.contains("interfaces has a ring of");
        if starts {
            all.hears("ready");
            assert!((65_536..=131_072).contains(&rings(all.id())));
        }
        starts
    });
}

#[test]
fn it_has_no_capability() {
    let hold = unique("meshsniff-test-hold");
    let holding = Program::ready(of(&hold, agent(&["hold"])));
    let status = std::fs::read_to_string(format!("/proc/{}/status", holding.id())).unwrap();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        let none = format!("{set}\t0000000000000000");
        assert!(status.contains(&none), "{status}");
    }
}
