//! Reports of targets: live, judged, with the packets beside them, and of what was not captured.

use crate::file::{File, folder, matching};
use crate::lab::{Checked, Lab, Namespace, SOON};
use crate::plugin::{Ended, report, signal};
use libtest_mimic::Failed;
use serde_json::Value;
use std::fs;

/// Traffic, and a client that gives up after 500 ms.
fn impatient(namespace: &Namespace<'_>) -> Checked {
    namespace.traffic()?;
    let url = namespace.url("app", "/slow?ms=900")?;
    let args = ["get", "-every", "200ms", "-timeout", "500ms", &url];
    namespace.running("hasty", &args, "")
}

pub(super) fn live(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    impatient(&namespace)?;
    let name = &namespace.name;
    let ended = namespace.run(&["report", "app", "--until-findings", "3"])?;
    ended.is(0, &["capturing on"])?;
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    for words in ["client-gave-up", "GET /fast", &format!("{name}/app")] {
        if !text.contains(words) {
            return Err(format!("no {words:?} in {text}").into());
        }
    }
    let ended = namespace.run(&["report", "app", "-o", "json", "--duration", "3s"])?;
    ended.is(0, &[])?;
    let document = ended.json()?;
    if document["capture"]["complete"] != true || document["summary"]["exchanges"] == 0 {
        return Err(format!("not a whole report: {}", document["capture"]).into());
    }
    namespace.nothing_left(&[])
}

/// What the kernel knows: a server that reads is told from one whose pool is exhausted, in both ways
/// into a pod.
pub(super) fn unread(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    namespace.running("pool", &["serve", "-pool", "1"], "")?;
    for pod in ["app", "pool"] {
        let url = namespace.url(pod, "/slow?ms=400")?;
        let args = [
            "get", "-every", "100ms", "-timeout", "300ms", "-c", "4", &url,
        ];
        namespace.running(&format!("hasty-{pod}"), &args, "")?;
    }
    for mode in ["pod", "ephemeral"] {
        for (pod, expected) in [("app", "read"), ("pool", "not_accepted")] {
            let args = [
                "report",
                pod,
                "--mode",
                mode,
                "-o",
                "json",
                "--duration",
                "4s",
            ];
            let ended = namespace.run(&args)?;
            ended.is(0, &["capturing on"])?;
            let document = ended.json()?;
            let problems = document["summary"]["problems"].as_array();
            let readings = |kind: &str| {
                let problems = problems.into_iter().flatten();
                let counts = problems.map(|one| one["readings"][kind].as_u64().unwrap_or(0));
                counts.sum::<u64>()
            };
            let kinds = ["read", "unread", "not_accepted", "turned_away"];
            let others = kinds.into_iter().filter(|kind| *kind != expected);
            if readings(expected) <= others.map(readings).sum() {
                let problems = &document["summary"]["problems"];
                return Err(format!("{mode}: {pod} is not {expected}: {problems:#}").into());
            }
            if expected == "read" {
                continue;
            }
            let exchanges = document["exchanges"].as_array().into_iter().flatten();
            let mut unread = exchanges.filter(|one| {
                let findings = one["findings"].as_array().into_iter().flatten();
                let mut kinds = findings.map(|finding| &finding["kind"]);
                kinds.any(|kind| kind == "unread-request")
            });
            let is_right = unread.next().is_some_and(|exchange| {
                let sockets = &exchange["sockets"];
                sockets["unread_bytes"] == exchange["request_bytes"] && sockets["accepted"] == false
            });
            if !is_right {
                return Err(format!("{mode}: {pod} is not told right: {document:#}").into());
            }
        }
    }
    Ok(())
}

/// The target and a caller from another namespace by their names, live and in a file that was made
/// meanwhile.
pub(super) fn named(lab: &Lab) -> Checked {
    let (namespace, other) = (lab.namespace()?, lab.namespace()?);
    namespace.traffic()?;
    let url = namespace.url("app", "/slow?ms=900")?;
    let hasty = ["get", "-every", "200ms", "-timeout", "500ms", &url];
    other.running("hasty", &hasty, "")?;
    let (name, caller) = (&namespace.name, format!("hasty.{}", other.name));
    let file = File::new()?;
    for args in [
        &["report", "app", "--until-findings", "3"][..],
        &["report", "app", "--until-findings", "3", "-w", &file],
    ] {
        let ended = namespace.run(args)?;
        ended.is(0, &[])?;
        let read = report(file.as_ref(), &[]);
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        // The text of a file begins with its name, and its next step names it.
        let read = match args.contains(&"-w") {
            true => Some(String::from_utf8_lossy(&read?.stdout).into_owned()),
            false => None,
        };
        for text in std::iter::once(text).chain(read) {
            for words in [format!("on app.{name} ("), format!("{caller} (")] {
                if !text
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
                    .contains(&words)
                {
                    return Err(format!("no {words:?} of {args:?} in {text}").into());
                }
            }
        }
    }
    let ended = namespace.run(&["report", "app", "-o", "json", "--until-findings", "3"])?;
    ended.is(0, &[])?;
    let document = ended.json()?;
    for server in [
        &document["exchanges"][0]["server_name"],
        &document["summary"]["problems"][0]["server_name"],
    ] {
        if *server != format!("app.{name}") {
            return Err(format!("the server is called {server}").into());
        }
    }
    namespace.nothing_left(&[])
}

pub(super) fn judged(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    impatient(&namespace)?;
    let folder = folder()?;
    let junit = folder.path().join("report.xml");
    let output = format!("junit={}", junit.display());
    let mut args = vec!["report", "app", "-o", &output, "--duration", "5s", "--live"];
    for assertion in [
        "client-gave-up",
        // Good ones are only counted beside the target: these are held against what it counted.
        "status=200 > 0 where path=/fast",
        "request_to_response.p50>1m",
        "exchanges<2",
        "total>1h where path=/nothing-is-there",
    ] {
        args.extend(["--fail-on", assertion]);
    }
    let ended = namespace.run(&args)?;
    ended.is(
        3,
        &[
            "✗ client-gave-up: GET /slow on ",
            "exchanges, ",
            "failed: client-gave-up: ",
            "failed: status=200 > 0 where path=/fast: ",
            "failed: total>1h where path=/nothing-is-there: nothing to judge",
        ],
    )?;
    let failed = ended.stderr.matches("failed: ").count();
    if failed != 3 || !ended.stdout.is_empty() {
        return Err(format!("{failed} failed: {}", ended.stderr).into());
    }
    let xml = fs::read_to_string(&junit)?;
    for words in ["failures=\"3\"", "FIN: the client closes", "GET /fast"] {
        if !xml.contains(words) {
            return Err(format!("no {words:?} in {xml}").into());
        }
    }
    namespace.nothing_left(&[])
}

pub(super) fn with_packets(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    impatient(&namespace)?;
    let file = File::new()?;
    let args = [
        "report",
        "app",
        "-o",
        "json",
        "-w",
        &file,
        "--duration",
        "3s",
    ];
    let live = namespace.run(&args)?;
    live.is(0, &[])?;
    namespace.nothing_left(&[])?;
    let told = |ended: &Ended| -> Result<Value, Failed> {
        let mut document = ended.json()?;
        for exchange in document["exchanges"].as_array_mut().into_iter().flatten() {
            // Of a file it names a stream's number, of packets that come the ends.
            exchange["display_filter"].take();
        }
        let problems = document["summary"]["problems"].as_array_mut();
        for problem in problems.into_iter().flatten() {
            problem["display_filter"].take();
            // Of a file it is a command that names it.
            problem["next"].take();
        }
        Ok(document)
    };
    let live = told(&live)?;
    let read = report(file.as_ref(), &["-o", "json"])?;
    read.is(0, &[])?;
    let read = told(&read)?;
    if matching(&file, "frame.comment contains \"client-gave-up\"")? == 0 {
        return Err("no frame of the file has a comment".into());
    }
    for part in ["summary", "exchanges"] {
        if live[part] != read[part] {
            return Err(format!("{part} differ: {} and {}", live[part], read[part]).into());
        }
    }
    let ended = namespace.run(&["report", "app", "-w", &file, "--until-findings", "2"])?;
    ended.is(0, &["it was asked to stop"])?;
    namespace.nothing_left(&[])
}

/// Only the error, in every format, with and without the packets; whether the helper is refused or
/// the agent itself.
pub(super) fn none(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let file = File::new()?;
    fs::write(&file, "what was there before")?;
    let to_file: &[&str] = &["app", "-w", &file];
    let how = if lab.carried { "carried" } else { "image" };
    let never = [
        "--agent",
        how,
        "--image",
        "local/none:1",
        "--image-pull-policy",
        "Never",
    ];
    let nowhere = ["--helper-namespace", "nowhere"];
    for (why, words) in [
        (&never[..], "ErrImageNeverPull"),
        (&nowhere[..], "there is no namespace nowhere"),
        (&["-i", "none0"][..], "there is no interface none0"),
    ] {
        for how in [
            &["app"][..],
            &["app", "-o", "json"],
            to_file,
            &[to_file, &["-o", "json"]].concat(),
            &[to_file, &["-o", "jsonl"]].concat(),
        ] {
            let args = [&["report"], how, why].concat();
            let ended = namespace.run(&args)?;
            ended.is(1, &[words])?;
            if !ended.stdout.is_empty() {
                let told = String::from_utf8_lossy(&ended.stdout).into_owned();
                return Err(format!("{args:?}: a report of nothing: {told}").into());
            }
        }
        namespace.run(&[to_file, why].concat())?.is(1, &[words])?;
    }
    if fs::read(&file)? != b"what was there before" {
        return Err("a capture of nothing took the place of what was there".into());
    }
    fs::remove_file(&file)?;
    namespace.run(&[to_file, &nowhere].concat())?.is(1, &[])?;
    if fs::exists(&file)? {
        return Err("a capture of nothing left a file".into());
    }
    namespace.nothing_left(&[])
}

pub(super) fn cut_short(lab: &Lab) -> Checked {
    if !lab.is_here() {
        println!("SKIPPED a report that is cut: it takes a cluster on this machine");
        return Ok(());
    }
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let file = File::new()?;
    let with_packets: &[&str] = &["report", "app", "-o", "json", "-w", &file];
    for args in [with_packets, &with_packets[..4]] {
        let mut plugin = namespace.start(args)?;
        plugin.captures()?;
        let runs = namespace.runs()?;
        if args == with_packets {
            file.has_packets()?;
        }
        for agent in lab.agents(&runs) {
            let id = agent.rsplit('/').next().unwrap_or_default();
            // The first takes the others with it.
            let _ = signal(id.parse()?, "KILL");
        }
        let ended = plugin.ended(SOON)?;
        ended.is(1, &["was cut"])?;
        let document = ended.json()?;
        if document["capture"]["complete"] != false {
            return Err(format!("a whole report: {}", document["capture"]).into());
        }
        if args == with_packets && document["summary"]["exchanges"] == 0 {
            return Err("what was captured is not reported".into());
        }
        namespace.nothing_left(&runs)?;
    }
    Ok(())
}
