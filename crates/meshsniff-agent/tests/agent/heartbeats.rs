//! Lines on standard input that say that somebody is still there.

use crate::http::{Client, Server};
use crate::netns::Netns;
use crate::program::{Program, agent};
use crate::tools::{END, IP, can, wait_until};
use rustix::io::ioctl_fionread;
use std::time::Duration;

#[test]
fn without_any_it_ends() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let args = [
        "capture",
        "--netns",
        &netns.path(),
        "-i",
        "lo",
        "--heartbeat",
        "1s",
    ];
    let mut program = Program::ready(agent(&args));
    let stream = program.stream();
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
    let args = [
        "capture",
        "--netns",
        &netns.path(),
        "-i",
        "lo",
        "--heartbeat",
        "2s",
    ];
    let mut program = Program::ready(agent(&args));
    let stream = program.stream();
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
    let netns = Netns::new();
    let server = Server::start(&netns);
    for command in ["capture", "report"] {
        let path = netns.path();
        let mut args = vec![command, "--netns", &path, "-i", "lo", "--heartbeat", "2s"];
        if command == "report" {
            args.push("--all");
        }
        let mut program = Program::ready(agent(&args));
        let unread = program.stdout();
        let mut client = Client::connect(&netns, server.local());
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
    let args = [
        "capture",
        "--netns",
        &netns.path(),
        "-i",
        "lo",
        "--heartbeat",
        "30s",
    ];
    let mut program = Program::ready(agent(&args));
    let stream = program.stream();
    program.tell(&"x".repeat(1 << 20));
    program.tell("\u{0}\u{fffd} stopp");
    program.tell("  stop \r");
    let (_, capture) = program.ends_by("stop", stream);
    assert!(capture.packets.is_empty());
}
