//! What a running capture may still do: nothing but capture.

use crate::http::Pod;
use crate::program::{Program, json, lines};
use crate::tools::{END, FOR_EVER};
use std::fs;

/// The status of every thread, which must all have given everything up.
fn all_given_up(program: &Program, least: usize) {
    let tasks = fs::read_dir(format!("/proc/{}/task", program.id())).expect("its threads");
    let mut threads = 0;
    for task in tasks {
        let status = task.expect("a thread").path().join("status");
        let status = fs::read_to_string(status).expect("a status");
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value
                .unwrap_or_else(|| panic!("no {name} in {status}"))
                .trim()
                .to_owned()
        };
        let name = field("Name:");
        for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:", "CapBnd:"] {
            assert_eq!(
                u64::from_str_radix(&field(set), 16),
                Ok(0),
                "{set} of {name}"
            );
        }
        assert_eq!(field("NoNewPrivs:"), "1", "{name}");
        assert_eq!(field("Seccomp:"), "2", "{name}");
        threads += 1;
    }
    assert!(threads >= least, "{threads} threads");
}

#[test]
fn a_capture_has_none_and_still_captures() {
    let Some(pod) = Pod::new() else {
        return;
    };
    let mut program = pod.ready("capture", &["--heartbeat", "1m", "--duration", "1h"]);
    // Those for deadlines, for standard input and for signals, the one that captures and the one
    // that writes.
    let stream = program.stream();
    stream.wait("the header", |capture| !capture.interfaces.is_empty());
    all_given_up(&program, 4);
    pod.talk(5);
    stream.wait("the traffic", |capture| capture.settled(1));
    all_given_up(&program, 4);
    program.stop(stream);
}

#[test]
fn a_report_has_none_and_still_reports() {
    let Some(pod) = Pod::new() else {
        return;
    };
    let mut program = pod.ready("report", &["--all"]);
    let lines = lines(program.stdout());
    all_given_up(&program, 4);
    pod.talk(5);
    loop {
        let line = lines.recv_timeout(FOR_EVER).expect("an exchange");
        if json(&line)["type"] == "exchange" {
            break;
        }
    }
    all_given_up(&program, 4);
    program.tell("stop");
    assert_eq!(program.end(END).last()["reason"], "stop");
}
