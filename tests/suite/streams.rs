//! Streams of agents, merged by the plugin, as other programs read the file; and files of ours that
//! lack their end.

use crate::tools;
use meshsniff::pcapng::blocks::{self, Direction, Interface, Section, Statistics};
use meshsniff::stream::{self, Merger, StreamReader};
use meshsniff::testing::{End, Talk};
use meshsniff::time::Timestamp;
use serde_json::Value;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const END: &str = "meshsniff: end: stop: it was asked to stop";

/// What an agent sends of a request and its answer.
fn stream_of_an_agent(interface: &str, end: &str) -> Vec<u8> {
    let mut talk = Talk::opened("streams");
    talk.say(End::Client, b"GET /items HTTP/1.1\r\nHost: catalog\r\n\r\n");
    talk.say(
        End::Server,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    let mut bytes = Vec::new();
    blocks::section(
        &mut bytes,
        &Section {
            application: "meshsniff-agent 0.1.0",
            os: "linux",
            hardware: "x86_64",
            comment: "meshsniff: pod shop/catalog",
        },
    );
    blocks::interface(
        &mut bytes,
        &Interface {
            link_type: 1,
            snaplen: 262_144,
            name: interface,
            description: "of a pod",
            filter: "tcp",
        },
    );
    for packet in talk.packets() {
        blocks::packet(
            &mut bytes,
            0,
            Timestamp::from_nanos(packet.nanos),
            packet.wire_len,
            &packet.data,
            Direction::Inbound,
        );
    }
    let count = talk.packets().len() as u64;
    let statistics = Statistics {
        received: count + 7,
        kernel_dropped: 3,
        queue_dropped: 4,
        delivered: count,
    };
    let times = (Timestamp::from_nanos(1), Timestamp::from_nanos(2));
    blocks::statistics(&mut bytes, 0, times, &statistics, end);
    bytes
}

/// Two agents' streams and the names of both ends, as one file.
fn merged() -> Vec<u8> {
    let section = Section {
        application: "kubectl-meshsniff 0.1.0",
        comment: "two pods",
        ..Section::default()
    };
    let mut merger = Merger::new(Vec::new(), &section).expect("memory");
    let names = |address: [u8; 4], name: &str| (IpAddr::from(address), vec![name.to_owned()]);
    merger
        .names(&[
            names([10, 0, 0, 1], "shop/web-5c4"),
            names([10, 0, 0, 2], "shop/catalog-7d9"),
        ])
        .expect("memory");
    for (prefix, interface) in [("shop/catalog-7d9", "lo"), ("shop/web-5c4", "eth0")] {
        let bytes = stream_of_an_agent(interface, END);
        let number = merger.add_stream(prefix);
        let mut reader = StreamReader::new(&bytes[..]);
        while let Some(event) = reader.next() {
            let event = event.expect("a stream");
            merger.write(number, &event).expect("memory");
        }
        assert!(reader.end().is_some());
    }
    let end = stream::End {
        reason: "stop".to_owned(),
        sentence: "Ctrl-C was pressed".to_owned(),
    };
    merger.finish(&end).expect("memory");
    merger.get_ref().clone()
}

fn written(folder: &TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

/// What a program prints, which must have nothing to complain about.
fn printed(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(args).arg(file).output();
    let output = output.expect("the program");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    for complaint in ["cut short", "damaged", "corrupt", "rror"] {
        assert!(!err.contains(complaint), "{err}");
    }
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn tshark_shows_interfaces_and_names() {
    if !tools::need("tshark", "tshark") {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let file = written(&folder, "merged.pcapng", &merged());
    let fields = [
        "-N",
        "n",
        "-T",
        "fields",
        "-e",
        "frame.interface_name",
        "-e",
        "ip.src_host",
        "-e",
        "ip.dst_host",
        "-r",
    ];
    let printed = printed("tshark", &fields, &file);
    let lines: Vec<Vec<_>> = printed
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let (web, catalog) = ("shop/web-5c4", "shop/catalog-7d9");
    assert!(
        lines.len() > 8 && lines.len().is_multiple_of(2),
        "{printed}"
    );
    for (at, line) in lines.iter().enumerate() {
        let interface = match at < lines.len() / 2 {
            true => "shop/catalog-7d9 lo",
            false => "shop/web-5c4 eth0",
        };
        assert_eq!(line[0], interface);
        assert!(
            line[1..] == [web, catalog] || line[1..] == [catalog, web],
            "{line:?}"
        );
    }
}

#[test]
fn capinfos_counts_packets_of_each_interface() {
    if !tools::need("capinfos", "wireshark-common") {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let file = written(&folder, "merged.pcapng", &merged());
    let infos = printed(
        "capinfos",
        &["-M", "-k", "-F", "-I", "-c", "-i", "-E"],
        &file,
    );
    let mut talk = Talk::opened("streams");
    let each = talk
        .say(End::Client, b"x")
        .say(End::Server, b"x")
        .packets()
        .len();
    let lines: Vec<_> = infos.lines().map(str::trim).collect();
    for line in [
        format!("Number of packets:   {}", each * 2),
        "Number of interfaces in file: 2".to_owned(),
        "Capture application: kubectl-meshsniff 0.1.0".to_owned(),
        "Name = shop/catalog-7d9 lo".to_owned(),
        "Name = shop/web-5c4 eth0".to_owned(),
        "Time precision = nanoseconds (9)".to_owned(),
        "Filter string = tcp".to_owned(),
    ] {
        assert!(lines.contains(&line.as_str()), "{line}: {infos}");
    }
    let counted = format!("Number of packets = {each}");
    assert_eq!(lines.iter().filter(|line| **line == counted).count(), 2);
    assert!(infos.contains("Number of stat entries = "), "{infos}");
}

/// Runs `report` on a file, by its name or as standard input.
fn report(file: &Path, stdin: bool) -> (Option<i32>, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-meshsniff"));
    command.args(["report", "-o", "json"]).stdin(Stdio::null());
    if stdin {
        command.stdin(File::open(file).expect("a file")).arg("-");
    } else {
        command.arg(file);
    }
    let output = command.output().expect("the program");
    let document = serde_json::from_slice(&output.stdout).expect("a report");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code(), document, err)
}

#[test]
fn our_report_tells_whether_the_end_is_there() {
    let folder = TempDir::new().expect("a folder");
    for (name, bytes, whole) in [
        ("agent.pcapng", stream_of_an_agent("lo", END), true),
        ("cut.pcapng", stream_of_an_agent("lo", ""), false),
        ("merged.pcapng", merged(), true),
    ] {
        let file = written(&folder, name, &bytes);
        for stdin in [false, true] {
            let (status, document, err) = report(&file, stdin);
            assert_eq!(document["capture"]["complete"], whole, "{name}: {document}");
            let exchanges = document["exchanges"].as_array().expect("exchanges");
            assert_eq!(exchanges[0]["status"], 200);
            if whole {
                assert_eq!((status, err.as_str()), (Some(0), ""));
                continue;
            }
            let name = match stdin {
                true => "standard input".into(),
                false => file.to_string_lossy(),
            };
            let sentence = document["capture"]["errors"][0].as_str();
            let sentence = sentence.expect("an error");
            assert!(
                sentence.starts_with(&format!("{name} lacks its last block")),
                "{sentence}"
            );
            assert_eq!((status, err), (Some(1), format!("error: {sentence}\n")));
        }
    }
}

/// Wireshark's tools keep the name of the program that captured, but not its last words.
#[test]
fn what_editcap_left_of_a_capture_is_said_to_lack_its_end() {
    if !tools::need("editcap", "wireshark-common") {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let whole = written(&folder, "agent.pcapng", &stream_of_an_agent("lo", END));
    let edited = folder.path().join("edited.pcapng");
    let status = Command::new("editcap").arg(whole).arg(&edited).status();
    assert!(status.expect("the program").success());
    let (status, document, err) = report(&edited, false);
    assert_eq!(
        (status, &document["capture"]["complete"]),
        (Some(1), &false.into())
    );
    assert!(err.contains("edited by a program"), "{err}");
}
