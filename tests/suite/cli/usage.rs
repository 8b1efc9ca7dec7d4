//! Wrong usage, help, and what options do.

use super::{capture, exchanges, folder, good, json, nothing_reported, report, run};
use crate::corpus;
use crate::tools;
use meshsniff::testing::{End, Talk, write_pcap};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn wrong_usage_is_status_2_and_says_how_it_goes() {
    for args in [
        &[][..],
        &["--frobnicate"],
        &["report", "--frob", "a.pcap"],
        &["report", "-o", "xml", "a.pcap"],
        &["report", "--port", "0", "a.pcap"],
        &["report", "--limit", "many", "a.pcap"],
        &["report", "-", "-"],
    ] {
        let run = run(args);
        assert_eq!(run.status, Some(2), "{args:?}: {}", run.err);
        assert!(
            run.err.contains("Usage: ") || run.err.contains("--help"),
            "{}",
            run.err
        );
        nothing_reported(&run);
    }
}

#[test]
fn help_and_version_are_data() {
    for (args, expected) in [
        (&["--help"][..], "Usage: kubectl meshsniff"),
        (&["report", "--help"], "--filter-http <TERMS>"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let out = good(run(args));
        assert!(out.contains(expected), "{out}");
    }
}

#[test]
fn a_bad_filter_says_what_is_allowed() {
    for (filter, expected) in [
        ("status=many", "404, 1xx to 5xx, 500-504 and none"),
        ("colour=blue", "method=, path=, status="),
        ("verdict=gave-up", "client-gave-up"),
        ("client=nowhere", "“nowhere” is not "),
        ("/items", "“/items” is not a term"),
    ] {
        let run = report(&capture("tls.pcap"), &["--filter-http", filter]);
        assert_eq!(run.status, Some(2), "{filter}");
        assert!(run.err.contains(expected), "{filter}: {}", run.err);
        nothing_reported(&run);
    }
}

#[test]
fn the_schema_is_printed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/meshsniff/src/report/json/report.schema.json");
    let schema = fs::read_to_string(file).expect("the schema");
    assert_eq!(good(run(&["schema"])), schema);
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let path = capture("closes.pcap");
    let coloured = |args: &[&str]| good(report(&path, args)).contains('\x1b');
    assert!(!coloured(&[]), "no colour into a pipe");
    assert!(coloured(&["--color", "always"]));
    assert!(!coloured(&["--color", "never"]));
}

#[cfg(target_os = "linux")]
#[test]
fn no_color_is_honoured_on_a_terminal() {
    if !tools::need("script", "bsdutils") {
        return;
    }
    let on_a_terminal = |no_color: Option<&str>| {
        let program = env!("CARGO_BIN_EXE_kubectl-meshsniff");
        let mut command = Command::new("script");
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        command
            .current_dir(corpus::own_folder())
            .stdin(Stdio::null());
        command.args([
            "-qec",
            &format!("'{program}' report closes.pcap"),
            "/dev/null",
        ]);
        let out = command.output().expect("script").stdout;
        let out = String::from_utf8(out).expect("a report in UTF-8");
        assert!(out.contains("22 exchanges"), "{out}");
        out.contains('\x1b')
    };
    assert!(on_a_terminal(None));
    assert!(!on_a_terminal(Some("1")));
    // <https://no-color.org>: the empty value says nothing.
    assert!(on_a_terminal(Some("")));
}

#[test]
fn a_filter_selects_exchanges() {
    let path = capture("envoy-verdicts.pcap");
    let all = json(&good(report(&path, &["-o", "json"])));
    let (id, client) = (
        &all["exchanges"][3]["request_id"],
        &all["exchanges"][3]["client"],
    );
    let by_id = format!("request-id={}*", &id.as_str().expect("an id")[..8]);
    let by_client = format!("client={}", client.as_str().expect("an address"));
    let status = |x: &Value| x["status"].as_u64();
    type Wanted<'a> = &'a dyn Fn(&Value) -> bool;
    let cases: &[(&[&str], Wanted<'_>)] = &[
        (&["path=/items"], &|x| {
            x["path"]
                .as_str()
                .is_some_and(|p| p.split('?').next() == Some("/items"))
        }),
        (&["path=/stall*"], &|x| {
            x["path"].as_str().is_some_and(|p| p.starts_with("/stall"))
        }),
        (&["status=5xx"], &|x| status(x).is_some_and(|s| s >= 500)),
        (&["status=none"], &|x| status(x).is_none()),
        (&["status=200,503 verdict=ok"], &|x| x["verdict"] == "ok"),
        (&["verdict=client-gave-up"], &|x| {
            x["verdict"] == "client-gave-up"
        }),
        (&["verdict=not-ok"], &|x| x["verdict"] != "ok"),
        (&["!verdict=not-ok"], &|x| x["verdict"] == "ok"),
        (&["verdict=not-ok", "status=200"], &|x| {
            x["verdict"] != "ok" && status(x) == Some(200)
        }),
        (&["method=GET host=127.0.0.1:8080 server=:3000"], &|_| true),
        (&[&by_id], &|x| x["request_id"] == *id),
        (&[&by_client], &|x| x["client"] == *client),
    ];
    for (filters, wanted) in cases {
        let mut args = vec!["-o", "json"];
        args.extend(filters.iter().flat_map(|filter| ["--filter-http", filter]));
        let selected = json(&good(report(&path, &args)));
        let expected: Vec<_> = exchanges(&all).iter().filter(|x| wanted(x)).collect();
        assert!(!expected.is_empty(), "{filters:?}");
        assert_eq!(
            exchanges(&selected).iter().collect::<Vec<_>>(),
            expected,
            "{filters:?}"
        );
        assert_eq!(selected["summary"]["exchanges"], expected.len());
        let left_out = exchanges(&all).len() - expected.len();
        assert_eq!(selected["summary"]["filtered_out"], left_out);
    }
    let none = json(&good(report(
        &path,
        &["-o", "json", "--filter-http", "method=POST"],
    )));
    assert!(exchanges(&none).is_empty());
}

/// The lines of the table of the slowest.
fn slowest(text: &str) -> usize {
    let Some((_, table)) = text.split_once("\nSlowest of the good ones") else {
        return 0;
    };
    // The rest of that line, an empty one, and the names of the columns.
    let mut lines = table.lines().skip(3);
    lines.by_ref().take_while(|line| !line.is_empty()).count()
}

#[test]
fn as_many_of_the_slowest_as_asked_for() {
    let text = |args: &[&str]| good(report(&capture("loss.pcap"), args));
    assert_eq!(slowest(&text(&[])), 5);
    assert_eq!(slowest(&text(&["--slowest", "2"])), 2);
    assert_eq!(slowest(&text(&["--slowest", "1000"])), 18);
    assert_eq!(slowest(&text(&["--slowest", "0"])), 0);
}

#[test]
fn as_many_timelines_as_asked_for() {
    let path = capture("envoy-verdicts.pcap");
    let timelines = |args: &[&str]| {
        let text = good(report(&path, args));
        let count = text
            .lines()
            .filter(|line| line.starts_with(['✗', '✓']))
            .count();
        (count, text)
    };
    // Of ten problems, one each.
    assert_eq!(timelines(&[]).0, 10);
    assert_eq!(timelines(&["--limit", "0"]).0, 10);
    let (count, text) = timelines(&["--limit", "2"]);
    assert_eq!(count, 2);
    assert!(
        text.contains("8 more"),
        "what was left out is not said: {text}"
    );
    assert_eq!(timelines(&["--all"]).0, 21);
    assert_eq!(timelines(&["--all", "--limit", "3"]).0, 3);
}

/// First bytes that do not show by themselves that they are HTTP: a method that nobody knows, cut
/// by the snap length before the version that would vouch for it, and one longer than any there is.
#[test]
fn a_port_is_taken_for_http() {
    let folder = folder();
    let cases = [
        ("BREW", 54 + 20),
        ("DISSOLVE-SUGAR-IN-WHATEVER-IT-IS", 1_500),
    ];
    for (method, snap) in cases {
        let mut talk = Talk::opened("cli-port");
        let request = format!("{method} /coffee/with/milk HTTP/1.1\r\nHost: pot\r\n\r\n");
        talk.say(End::Client, request.as_bytes());
        talk.say(
            End::Server,
            b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n",
        );
        talk.snap(snap);
        let path = folder.path().join("brew.pcap");
        write_pcap(&path, talk.packets()).expect("a file");
        let document =
            |args: &[&str]| json(&good(report(&path, &[&["-o", "json"], args].concat())));
        let other = document(&["--port", "1"]);
        // Its answer is HTTP, but to nothing that was seen.
        assert_eq!(other["connections"][0]["orphan_responses"], 1);
        assert!(exchanges(&other).is_empty(), "{other}");
        let forced = document(&["--port", "1", "--port", "8080"]);
        assert_eq!(exchanges(&forced).len(), 1, "{method}: {forced}");
        assert_eq!(forced["exchanges"][0]["method"], method);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn text_is_as_wide_as_the_terminal() {
    if !tools::need("script", "bsdutils") {
        return;
    }
    let program = env!("CARGO_BIN_EXE_kubectl-meshsniff");
    let on_terminal = |columns: u32, exported: &str| {
        let shell =
            format!("stty cols {columns} rows 50; {exported} '{program}' report resets.pcap");
        let mut command = Command::new("script");
        command
            .env_remove("COLUMNS")
            .args(["-qec", &shell, "/dev/null"]);
        command
    };
    let in_pipe = |columns: &str| {
        let mut command = Command::new(program);
        command
            .env("COLUMNS", columns)
            .args(["report", "resets.pcap"]);
        command
    };
    let text = |mut command: Command| {
        command.current_dir(corpus::own_folder());
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        let out = command.output().expect("a report").stdout;
        let text = String::from_utf8(out).expect("a report in UTF-8");
        text.replace('\r', "")
    };
    let (narrow, wide) = (text(in_pipe("72")), text(in_pipe("130")));
    assert_ne!(narrow, wide);
    assert_eq!(text(on_terminal(72, "")), narrow);
    assert_eq!(text(on_terminal(130, "")), wide);
    assert_eq!(
        text(on_terminal(72, "COLUMNS=130")),
        wide,
        "what is exported counts"
    );
}
