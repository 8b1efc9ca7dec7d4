//! Readers that leave, writers that are slow, packed files and several at once.

use super::{Run, capture, exchanges, folder, good, json, program, report, report_stdin, run};
use crate::corpus;
use meshsniff::testing::write_pcap;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Nothing here takes a hundredth of it: who waits this long waits for ever.
const FOR_EVER: Duration = Duration::from_secs(60);

/// A program that is still running; a test that fails does not leave it behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// The lines of its standard output, as they come.
    fn lines(&mut self) -> mpsc::Receiver<String> {
        let out = BufReader::new(self.0.stdout.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines() {
                if line.is_ok_and(|line| sender.send(line).is_ok()) {
                    continue;
                }
                break;
            }
        });
        lines
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    // Together far more than a pipe holds, so that writing does not end before the reader has left.
    let mut captures = corpus::names(&corpus::own_folder());
    captures.retain(|name| corpus::unpacked_name(name).is_none());
    for format in [&["--all"][..], &["-o", "json"], &["-o", "jsonl"]] {
        let mut command = program();
        command.current_dir(corpus::own_folder());
        command.arg("report").args(format).args(&captures);
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        out.read_line(&mut first).expect("a line");
        assert!(!first.is_empty());
        drop(out);
        let run = Run::from(child.wait_with_output().expect("its end"));
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{format:?}");
    }
    let mut command = program();
    command
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().expect("its end"));
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
}

/// Half of a capture is piped in, and the other half only when an exchange of the first was
/// printed.
#[test]
fn exchanges_are_printed_while_the_capture_is_still_being_written() {
    let bytes = fs::read(capture("early-hints.pcap")).expect("a capture");
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    let mut command = program();
    command.args(["report", "-o", "jsonl", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running(command.spawn().expect("the program"));
    let lines = running.lines();
    let mut stdin = running.0.stdin.take().expect("a pipe");

    stdin.write_all(half).expect("room in the pipe");
    let mut printed = Vec::new();
    while !printed
        .iter()
        .any(|line: &String| line.contains(r#""type":"exchange""#))
    {
        printed.push(
            lines
                .recv_timeout(FOR_EVER)
                .expect("an exchange before the end"),
        );
    }
    assert!(
        running.0.try_wait().expect("its state").is_none(),
        "it has ended"
    );

    stdin.write_all(rest).expect("room in the pipe");
    drop(stdin);
    loop {
        match lines.recv_timeout(FOR_EVER) {
            Ok(line) => printed.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
        }
    }
    assert!(running.0.wait().expect("its end").success());
    let at_once = good(report_stdin(&capture("early-hints.pcap"), &["-o", "jsonl"]));
    assert_eq!(printed, at_once.lines().collect::<Vec<_>>());
}

#[test]
fn packed_captures_give_the_same_report() {
    for format in [&["--all"][..], &["-o", "json"], &["-o", "jsonl"]] {
        let plain = good(report_stdin(&capture("tutorial-envoy.pcap"), format));
        for ending in [".gz", ".zst"] {
            let packed = capture(&format!("tutorial-envoy.pcap{ending}"));
            assert_eq!(good(report_stdin(&packed, format)), plain, "{ending}");
        }
    }
    let document = |ending: &str| {
        let path = capture(&format!("tutorial-envoy.pcap{ending}"));
        let mut document = json(&good(report(&path, &["-o", "json"])));
        assert_eq!(document["sources"][0]["name"], *path.to_string_lossy());
        document["sources"].take();
        for problem in document["summary"]["problems"]
            .as_array_mut()
            .expect("problems")
        {
            let next = problem["next"].take();
            assert!(
                next.as_str()
                    .expect("a command")
                    .contains(&*path.to_string_lossy())
            );
        }
        document
    };
    assert_eq!(document(".gz"), document(""));
    assert_eq!(document(".zst"), document(""));
}

/// What remains of an exchange when its frames are found in other files.
fn without_frames(document: &Value) -> Vec<Value> {
    let kept = [
        "client",
        "path",
        "start",
        "status",
        "late_status",
        "gaps",
        "verdict",
        "certainty",
    ];
    let strip = |exchange: &Value| kept.iter().map(|field| exchange[field].clone()).collect();
    exchanges(document).iter().map(strip).collect()
}

#[test]
fn several_files_are_merged_by_time() {
    let folder = folder();
    let packets = corpus::packets(&capture("closes.pcap"));
    let mut halves = [Vec::new(), Vec::new()];
    for (at, packet) in packets.into_iter().enumerate() {
        halves[at % 2].push(packet);
    }
    let names = ["even.pcap", "odd.pcap"].map(|name| folder.path().join(name));
    for (name, half) in names.iter().zip(&halves) {
        write_pcap(name, half).expect("a file");
    }
    let whole = json(&good(report(&capture("closes.pcap"), &["-o", "json"])));
    let [even, odd] = names.map(|name| name.to_string_lossy().into_owned());
    for order in [[&even, &odd], [&odd, &even]] {
        let merged = json(&good(run(&["report", "-o", "json", order[0], order[1]])));
        assert_eq!(without_frames(&merged), without_frames(&whole));
        let sources = merged["sources"].as_array().expect("sources");
        let names: Vec<_> = sources.iter().map(|source| &source["name"]).collect();
        assert_eq!(names, order);
    }
}

/// Temporary files in a folder.
#[cfg(unix)]
fn hidden(folder: &std::path::Path) -> usize {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .filter(|name| name.as_encoded_bytes().starts_with(b".meshsniff-"))
        .count()
}

/// A report into a file, which waits for packets, and was started with signals as `env` has them by
/// these options.
#[cfg(unix)]
fn begun(folder: &std::path::Path, signals: &[&str]) -> (Running, fs::File) {
    let pipe = folder.join("slow.pcap");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    let mut command = std::process::Command::new("/usr/bin/env");
    command.args(signals).arg(program().get_program());
    command
        .current_dir(folder)
        .args(["report", "slow.pcap", "-o", "html=page.html"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let running = Running(child.expect("the program"));
    let mut writer = fs::OpenOptions::new().write(true).open(&pipe).expect("it");
    let bytes = fs::read(capture("closes.pcap")).expect("a capture");
    writer.write_all(&bytes[..24]).expect("a reader");
    let look = Duration::from_millis(5);
    let mut looks = 0..FOR_EVER.as_millis() / look.as_millis();
    while hidden(folder) == 0 {
        assert!(looks.next().is_some(), "no report was begun");
        std::thread::sleep(look);
    }
    (running, writer)
}

#[cfg(unix)]
fn kill(running: &Running, signal: &str) {
    let mut kill = std::process::Command::new("kill");
    kill.args([signal, &running.0.id().to_string()]);
    assert!(kill.status().expect("kill").success());
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_no_temporary_file() {
    let all = "--default-signal=INT,TERM,HUP";
    // A shell without job control has its background jobs ignore SIGINT.
    for (signals, sent) in [
        (&[all][..], "-TERM"),
        (&[all], "-INT"),
        (&[all], "-HUP"),
        (&[all, "--ignore-signal=INT"], "-TERM"),
        (&[all, "--ignore-signal=INT"], "-INT"),
        (&[all, "--ignore-signal=INT,HUP"], "-TERM"),
    ] {
        let folder = folder();
        let (mut running, _writer) = begun(folder.path(), signals);
        kill(&running, sent);
        let status = running.0.wait().expect("its end").code();
        assert_eq!(status, Some(130), "{signals:?} {sent}");
        assert_eq!(hidden(folder.path()), 0);
        assert!(!folder.path().join("page.html").exists());
    }
}

#[cfg(unix)]
#[test]
fn under_nohup_the_end_of_a_terminal_is_none() {
    let folder = folder();
    let (mut running, mut writer) = begun(folder.path(), &["--ignore-signal=HUP"]);
    kill(&running, "-HUP");
    let bytes = fs::read(capture("closes.pcap")).expect("a capture");
    writer.write_all(&bytes[24..]).expect("a reader");
    drop(writer);
    let status = running.0.wait().expect("its end").code();
    assert_ne!(status, Some(130));
    assert!(folder.path().join("page.html").exists());
}
