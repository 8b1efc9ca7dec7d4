//! The stream as other programs read it, from a file and from the pipe while it comes.

use crate::http::Pod;
use crate::netns::Netns;
use crate::program::{Program, json, lines, plugin, rest};
use crate::stream::{Capture, Stream};
use crate::tools::{CAPINFOS, DUMPCAP, FOR_EVER, IP, TSHARK, can};
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};
use tempfile::{NamedTempFile, TempDir};

const STATUSES: [u16; 3] = [200, 503, 200];

fn requests(pod: &Pod) {
    let mut client = pod.client();
    let paths = ["/first", "/busy", "/bytes/70000"];
    assert_eq!(paths.map(|path| client.get(path)), STATUSES);
}

fn capture(netns: &Netns) -> Program {
    netns.ready("capture", &["-f", "tcp"])
}

/// A capture of those requests, whole.
fn captured() -> Capture {
    let pod = Pod::start();
    let mut agent = capture(&pod);
    let stream = agent.stream();
    requests(&pod);
    stream.wait("the traffic", |capture| capture.settled(1));
    let capture = agent.stop(stream);
    let end = capture.end();
    assert!(end.starts_with("stop: "), "{end}");
    let statistics = capture.statistics.last().expect("statistics");
    let packets = capture.packets.len() as u64;
    assert_eq!(
        (statistics.delivered, statistics.received),
        (packets, packets)
    );
    assert_eq!(
        (statistics.kernel_dropped, statistics.queue_dropped),
        (0, 0)
    );
    assert_eq!(capture.comment, format!("meshsniff: {}", pod.path()));
    capture
}

fn file(capture: &Capture) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), &capture.bytes).expect("a file");
    file
}

/// What a program prints, which must have nothing to complain about.
fn printed(program: &str, args: &[&str], file: &NamedTempFile) -> String {
    let output = Command::new(program).args(args).arg(file.path()).output();
    let output = output.expect("the program");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    for complaint in ["cut short", "damaged", "corrupt", "rror"] {
        assert!(!err.contains(complaint), "{err}");
    }
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn is_right(report: &Value) {
    let sources = report["sources"].as_array().expect("sources");
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0]["interfaces"], serde_json::json!(["lo"]));
    assert_eq!(report["capture"]["dropped"], 0, "{}", report["capture"]);
    assert_eq!(report["capture"]["errors"], serde_json::json!([]));
    let exchanges = report["exchanges"].as_array().expect("exchanges");
    let statuses: Vec<_> = exchanges.iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, STATUSES);
    assert!(exchanges.iter().all(|one| one["verdict"] == "ok"));
}

#[test]
fn tshark_reads_it() {
    if !can(&[IP, TSHARK]) {
        return;
    }
    let capture = captured();
    let file = file(&capture);
    let fields = [
        "frame.number",
        "frame.interface_name",
        "frame.cap_len",
        "frame.time_epoch",
    ];
    let fields = fields.map(|field| ["-e", field]).concat();
    let args = [&["-T", "fields"], fields.as_slice(), &["-r"]].concat();
    let printed_fields = printed("tshark", &args, &file);
    let frames: Vec<Vec<_>> = printed_fields
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(frames.len(), capture.packets.len());
    for (at, (frame, packet)) in frames.iter().zip(&capture.packets).enumerate() {
        let seconds = packet.time / 1_000_000_000;
        let time = format!("{seconds}.{:09}", packet.time % 1_000_000_000);
        let length = packet.data.len().to_string();
        assert_eq!(frame, &[&(at + 1).to_string(), "lo", &length, &time]);
    }
    let args = [
        "-Y",
        "http.response",
        "-T",
        "fields",
        "-e",
        "http.response.code",
        "-r",
    ];
    let statuses = printed("tshark", &args, &file);
    assert_eq!(statuses.lines().collect::<Vec<_>>(), ["200", "503", "200"]);
}

#[test]
fn capinfos_reads_it() {
    if !can(&[IP, CAPINFOS]) {
        return;
    }
    let capture = captured();
    let infos = printed(
        "capinfos",
        &["-M", "-k", "-F", "-I", "-c", "-i", "-t", "-E"],
        &file(&capture),
    );
    for line in [
        format!("Number of packets:   {}", capture.packets.len()),
        concat!(
            "Capture application: meshsniff-agent ",
            env!("CARGO_PKG_VERSION")
        )
        .to_owned(),
        "Name = lo".to_owned(),
        "Filter string = tcp".to_owned(),
        "Time precision = nanoseconds (9)".to_owned(),
        format!("Number of packets = {}", capture.packets.len()),
    ] {
        assert!(
            infos.lines().any(|one| one.trim() == line),
            "{line}: {infos}"
        );
    }
}

#[test]
fn our_report_reads_it() {
    if !can(&[IP]) {
        return;
    }
    let capture = captured();
    let output = plugin(&["report", "-o", "json"])
        .arg(file(&capture).path())
        .output();
    let output = output.expect("the plugin");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    is_right(&json(&String::from_utf8_lossy(&output.stdout)));
}

/// Starts a program that reads the stream from the agent's pipe.
fn reader(mut command: Command, agent: &mut Program) -> std::process::Child {
    command.stdin(agent.stdout());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the reader")
}

#[test]
fn tshark_reads_it_from_the_pipe_while_it_comes() {
    if !can(&[IP, TSHARK, DUMPCAP]) {
        return;
    }
    let pod = Pod::start();
    let mut agent = capture(&pod);
    let mut tshark = Command::new("tshark");
    tshark.args(["-l", "-n", "-i", "-", "-Y", "http.response", "-T", "fields"]);
    tshark.args(["-e", "http.response.code"]);
    let mut tshark = reader(tshark, &mut agent);
    let statuses = lines(tshark.stdout.take().expect("a pipe"));
    requests(&pod);
    for status in STATUSES {
        let printed = statuses.recv_timeout(FOR_EVER);
        assert_eq!(printed.expect("a response"), status.to_string());
    }
    agent.tell("stop");
    agent.end(FOR_EVER);
    let ended = tshark.wait_with_output().expect("its end");
    let err = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{err}");
    assert!(!err.contains("rror") && !err.contains("dropped"), "{err}");
}

#[test]
fn dumpcap_reads_it_from_the_pipe() {
    if !can(&[IP, DUMPCAP, CAPINFOS]) {
        return;
    }
    let pod = Pod::start();
    let folder = TempDir::new().expect("a folder");
    let file = NamedTempFile::new_in(&folder).expect("a file");
    let mut agent = capture(&pod);
    let mut dumpcap = Command::new("dumpcap");
    dumpcap.args(["-q", "-i", "-", "-w"]).arg(file.path());
    let dumpcap = reader(dumpcap, &mut agent);
    requests(&pod);
    agent.tell("stop");
    let last = agent.end(FOR_EVER).last();
    let ended = dumpcap.wait_with_output().expect("its end");
    let err = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{err}");
    let infos = printed("capinfos", &["-M", "-c"], &file);
    let count = format!("Number of packets:   {}", last["packets"]);
    assert!(infos.lines().any(|line| line == count), "{count}: {infos}");
}

#[test]
fn our_report_reads_it_from_the_pipe() {
    let Some(pod) = Pod::new() else {
        return;
    };
    let mut agent = capture(&pod);
    let mut report = reader(plugin(&["report", "-o", "json", "-"]), &mut agent);
    let printed = lines(report.stdout.take().expect("a pipe"));
    requests(&pod);
    agent.tell("stop");
    agent.end(FOR_EVER);
    is_right(&json(&rest(&printed).concat()));
    let ended = report.wait_with_output().expect("its end");
    assert!(ended.status.success());
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

/// A viewer shows nothing before it has the header: it must not wait for the first packet.
#[test]
fn the_header_comes_before_any_packet() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let mut agent = capture(&netns);
    let stream: Stream = agent.stream();
    stream.wait("the header", |capture| capture.interfaces.len() == 1);
    let capture = agent.stop(stream);
    assert!(capture.packets.is_empty());
}

#[test]
fn a_file_of_its_own_is_only_its_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    if !can(&[IP]) {
        return;
    }
    let pod = Pod::start();
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("capture.pcapng");
    let name = path.to_str().expect("UTF-8");
    let mut agent = pod.ready("capture", &["-w", name]);
    requests(&pod);
    agent.tell("stop");
    let last = agent.end(FOR_EVER).last();
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let capture = Stream::read(fs::File::open(&path).expect("a file")).whole();
    assert!(capture.end().starts_with("stop: "));
    assert_eq!(last["packets"], capture.packets.len());
}
