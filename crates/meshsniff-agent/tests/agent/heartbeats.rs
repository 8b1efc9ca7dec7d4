//! Lines on standard input that say that somebody is still there.

use crate::http::Pod;
use crate::netns::Netns;
use crate::tools::{END, IP, can, wait_until};
use rustix::io::ioctl_fionread;
use std::time::Duration;

#[test]
fn without_any_it_ends() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let (program, stream) = netns.capture(&["--heartbeat", "1s"]);
    assert!(program.ends(Duration::from_secs(1) + END));
    let (_, capture) = program.ends_by("no-heartbeat", stream);
    assert_eq!(capture.end(), "no-heartbeat: no heartbeat came for 1 s");
}

#[test]
fn with_them_it_lives() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let (mut program, stream) = netns.capture(&["--heartbeat", "2s"]);
    for beat in 0..15 {
        assert!(!program.ends(Duration::from_millis(200)), "after {beat}");
        program.tell("");
    }
    let capture = program.stop(stream);
    assert!(capture.end().starts_with("stop: "));
}

/// The hard one: the reader is still there but reads nothing, so that no write ever returns, and
/// nobody says that it is to end.
#[test]
fn it_ends_though_its_writer_is_blocked() {
    if !can(&[IP]) {
        return;
    }
    let heartbeat = Duration::from_secs(2);
    let pod = Pod::start();
    let heartbeats = ["--heartbeat", "2s"];
    let all = ["--heartbeat", "2s", "--all"];
    for (command, args) in [("capture", &heartbeats[..]), ("report", &all)] {
        let mut program = pod.ready(command, args);
        let unread = program.stdout();
        let mut client = pod.client();
        // Full: what is written next finds no room, and more comes.
        let mut before = 0;
        wait_until("the pipe is full", || {
            program.tell("");
            for _ in 0..20 {
                client.get("/bytes/9000");
            }
            let waiting = ioctl_fionread(&unread).expect("the pipe's bytes");
            let same = waiting == before && waiting > 32 << 10;
            before = waiting;
            same
        });
        let ended = program.end(heartbeat + END);
        assert_eq!(ended.status.code(), Some(1), "{command}");
        drop(unread);
    }
}

/// What comes on standard input is not trusted: neither a line that never ends nor what is no text
/// does any harm.
#[test]
fn any_line_is_one() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let (mut program, stream) = netns.capture(&["--heartbeat", "30s"]);
    program.tell(&"x".repeat(1 << 20));
    program.tell("\u{0}\u{fffd} stopp");
    program.tell("  stop \r");
    let (_, capture) = program.ends_by("stop", stream);
    assert!(capture.packets.is_empty());
}
