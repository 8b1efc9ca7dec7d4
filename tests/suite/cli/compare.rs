//! `compare`: two captures or reports against each other.

use super::{Run, capture, file, folder, good, json, report, run};
use crate::corpus;
use meshsniff::testing::{End, Talk, write_pcap};
use serde_json::{Value, json as value};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn compare(before: &Path, after: &Path, args: &[&str]) -> Run {
    let files = [before, after].map(|path| path.to_str().expect("a path in UTF-8"));
    run(&[&["compare", files[0], files[1]], args].concat())
}

fn compared(before: &Path, after: &Path, args: &[&str]) -> Value {
    let out = good(compare(before, after, &[&["-o", "json"], args].concat()));
    fits_the_schema(&out);
    json(&out)
}

fn fits_the_schema(text: &str) {
    let schema = json(&good(run(&["schema", "--compare"])));
    let schema = jsonschema::validator_for(&schema).expect("a sound schema");
    let document = json(text);
    let errors: Vec<String> = schema
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:?} in {text}");
}

fn routes(document: &Value) -> &[Value] {
    document["routes"].as_array().expect("routes")
}

fn row<'a>(route: &'a Value, list: &str, key: &str, name: &str) -> &'a Value {
    let rows = route[list].as_array().expect("rows");
    let found = rows.iter().find(|row| row[key] == name);
    found.unwrap_or_else(|| panic!("no {name} in {route}"))
}

/// Requests for `/items/N` that are answered after about `millis`, of which `given_up` are left by
/// the client after 50 ms.
fn traffic(folder: &TempDir, name: &str, count: u32, millis: f64, given_up: u32) -> PathBuf {
    let mut talk = Talk::new("compare");
    for number in 0..count {
        let request = format!("GET /items/{number}?page=2 HTTP/1.1\r\nHost: shop\r\n\r\n");
        talk.client_addr([10, 0, 0, 1], 20_000 + number as u16)
            .open();
        talk.say(End::Client, request.as_bytes()).ack(End::Server);
        if number < given_up {
            talk.wait(50.0).fin(End::Client).fin(End::Server);
        } else {
            // Spread out a little, the same way in every file.
            talk.wait(millis + f64::from(number * 7 % 13) / 10.0)
                .say(
                    End::Server,
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                )
                .ack(End::Client)
                .fin(End::Client)
                .fin(End::Server);
        }
        talk.ack(End::Client);
    }
    let path = folder.path().join(name);
    write_pcap(&path, talk.packets()).expect("a capture");
    path
}

const ONE_ROUTE: [&str; 2] = ["--route", "/items/*"];

#[test]
fn a_capture_does_not_differ_from_itself() {
    let path = capture("tutorial-istio.pcap");
    for args in [&[][..], &["--route", "/*"]] {
        let out = good(compare(&path, &path, args));
        assert!(out.contains("no change beyond noise"), "{out}");
        let (out, _) = out.split_once("\nNoise:").unwrap_or((&out, ""));
        for word in ["worse", "slower", "better", "faster,", "too little"] {
            assert!(!out.contains(word), "{word} in {out}");
        }
    }
}

#[test]
fn every_capture_is_what_its_reports_say() {
    let folder = folder();
    for name in corpus::names(&corpus::own_folder()) {
        let path = capture(&name);
        for format in ["json", "jsonl"] {
            let text = report(&path, &["-o", format]).out;
            let told = file(&folder, "told", text.as_bytes());
            let document = compared(&path, &told, &["--gap", "idle_before"]);
            for route in routes(&document) {
                assert_eq!(route["presence"], "both", "{name}: {route}");
                assert_eq!(
                    route["headline"], "no change beyond noise",
                    "{name}: {route}"
                );
                for row in ["shares", "gaps"]
                    .iter()
                    .flat_map(|list| route[list].as_array())
                    .flatten()
                {
                    assert_eq!(row["before"], row["after"], "{name}: {row}");
                }
            }
            let (before, after) = (&document["before"], &document["after"]);
            for field in ["exchanges", "probes", "connects_failed", "dropped"] {
                assert_eq!(before[field], after[field], "{name}: {field}");
            }
        }
    }
}

#[test]
fn what_became_slower_is_found() {
    let folder = folder();
    let before = traffic(&folder, "before.pcap", 40, 10.0, 0);
    let after = traffic(&folder, "after.pcap", 40, 30.0, 0);
    let document = compared(&before, &after, &ONE_ROUTE);
    let route = &routes(&document)[0];
    assert_eq!(
        (&route["method"], &route["path"]),
        (&value!("GET"), &value!("/items/*"))
    );
    assert_eq!(route["words"], value!(["slower"]));
    let gap = row(route, "gaps", "gap", "request_to_response");
    assert_eq!(gap["outcome"], "slower");
    assert_eq!(gap["longer_in_share_of_pairs"], 1.0);
    assert!(gap["p_corrected"].as_f64().expect("a p") < 1e-9);
    let change = gap["change"]["p50"]["ms"].as_f64().expect("a change");
    assert!((19.5..=20.5).contains(&change), "{change}");
    assert_eq!(row(route, "shares", "of", "good")["outcome"], "not-tested");
    // The other way round it is faster, and a part of a millisecond is too little to be called
    // anything.
    let back = compared(&after, &before, &ONE_ROUTE);
    assert_eq!(routes(&back)[0]["words"], value!(["faster"]));
    let nearly = traffic(&folder, "nearly.pcap", 400, 10.2, 0);
    let before = traffic(&folder, "more.pcap", 400, 10.0, 0);
    let small = compared(&before, &nearly, &ONE_ROUTE);
    assert_eq!(routes(&small)[0]["headline"], "changed by less than 5 %");
    let small = compared(&before, &nearly, &["--route=/items/*", "--min-change=1%"]);
    assert_eq!(routes(&small)[0]["headline"], "slower");
    // Without --route each path is a route of its own, with far too few exchanges, but for those
    // that are too many.
    let apart = compared(&before, &nearly, &[]);
    assert_eq!(routes(&apart).len(), 201);
    let named = |route: &&Value| route["path"].is_string();
    let mut named = routes(&apart).iter().filter(named);
    assert!(named.all(|route| route["exchanges"]["after"] == 1));
}

#[test]
fn what_became_worse_is_found_and_fails() {
    let folder = folder();
    let before = traffic(&folder, "before.pcap", 40, 10.0, 0);
    let after = traffic(&folder, "after.pcap", 40, 10.0, 15);
    let failing = [
        "worse",
        "worse where path=/items* method=GET",
        "client-gave-up>+1%",
        "good<-30%",
        "exchanges<41",
        // Nothing to compare: give-ups are on one side only, and there is no such route.
        "request_to_client_close.p50>+10ms",
        "slower where path=/basket",
        "gone where path=/basket",
    ];
    for assertion in failing {
        let args = [&ONE_ROUTE[..], &["--fail-on", assertion]].concat();
        let run = compare(&before, &after, &args);
        assert_eq!(run.status, Some(3), "{assertion}: {}", run.err);
        assert!(
            run.err.starts_with(&format!("failed: {assertion}: ")),
            "{}",
            run.err
        );
        assert!(run.out.contains("worse"), "{}", run.out);
    }
    for assertion in [
        "slower",
        "better",
        "new",
        "gone",
        "good<-40%",
        "total.p95>+50%",
        "exchanges<40",
    ] {
        let args = [&ONE_ROUTE[..], &["--fail-on", assertion]].concat();
        let run = compare(&before, &after, &args);
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{assertion}");
    }
    // A filter that selects nothing leaves nothing to compare.
    let nothing = compare(
        &before,
        &after,
        &["--filter-http=path=/basket", "--fail-on=worse"],
    );
    assert_eq!(nothing.status, Some(3));
    assert!(
        nothing.err.contains("nothing to compare"),
        "{}",
        nothing.err
    );
    // It is refused before anything is read.
    let wrong = compare(
        Path::new("/no/such/file"),
        &after,
        &["--fail-on", "total>+1ms"],
    );
    assert_eq!(wrong.status, Some(2));
    assert!(wrong.err.contains("total.p50>+10ms"), "{}", wrong.err);
}

#[test]
fn every_format_in_one_run() {
    let folder = folder();
    let before = traffic(&folder, "before.pcap", 40, 10.0, 0);
    let after = traffic(&folder, "after.pcap", 40, 30.0, 15);
    let (page, data) = (folder.path().join("c.md"), folder.path().join("c.json"));
    let outputs = [
        format!("markdown={}", page.display()),
        format!("json={}", data.display()),
    ];
    let args = [
        "-o",
        "text",
        "-o",
        &outputs[0],
        "-o",
        &outputs[1],
        "--route=/items/*",
    ];
    let out = good(compare(&before, &after, &args));
    assert!(
        out.contains("GET /items/*   worse, slower   40 → 40 exchanges"),
        "{out}"
    );
    assert!(
        out.contains("slower in 100 % of pairs, p < 0.0001"),
        "{out}"
    );
    assert!(!out.contains('\x1b'), "{out}");
    let page = fs::read_to_string(page).expect("a page");
    assert!(
        page.contains("### ` GET /items/* `: worse, slower"),
        "{page}"
    );
    let data = fs::read_to_string(data).expect("a document");
    fits_the_schema(&data);
    let args = [&ONE_ROUTE[..], &["--color", "always"]].concat();
    assert!(good(compare(&before, &after, &args)).contains("\x1b[1;31mworse, slower"));
}

/// A report of one exchange for each path.
fn lines(paths: &[&str]) -> String {
    let exchange = |path: &&str| {
        let line = value!({"type": "exchange", "verdict": "ok", "status": 200, "method": "GET", "path": path,
            "gaps": {"total": 1.5}});
        format!("{line}\n")
    };
    let exchanges: String = paths.iter().map(exchange).collect();
    format!(
        "{exchanges}{}\n",
        value!({"type": "summary", "exchanges": paths.len(), "connects_failed": 0})
    )
}

#[test]
fn nothing_of_a_path_acts_on_a_reader() {
    let folder = folder();
    let hostile = "/a\u{1b}[2J`|<script>\u{202e}\r\n| x |\u{9b}";
    let both = file(
        &folder,
        "both.jsonl",
        lines(&[hostile, "/other"]).as_bytes(),
    );
    let args = [
        "--fail-on",
        "new",
        "--fail-on",
        "gone",
        "--fail-on",
        "exchanges>1",
    ];
    for format in ["text", "markdown", "json"] {
        let run = compare(&both, &both, &[&["-o", format], &args[..]].concat());
        assert_eq!(run.status, Some(3));
        for text in [&run.out, &run.err] {
            let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(odd), "{format}: {text:?}");
        }
        if format == "markdown" {
            let line = run
                .out
                .lines()
                .find(|line| line.contains("script"))
                .expect("the path");
            assert!(line.starts_with("### `` GET /a"), "{line}");
        }
        if format == "json" {
            fits_the_schema(&run.out);
            let document = json(&run.out);
            assert!(
                routes(&document)
                    .iter()
                    .any(|route| route["path"] == hostile)
            );
        }
    }
    let one = file(&folder, "one.jsonl", lines(&["/other"]).as_bytes());
    let run = compare(&one, &both, &["-o", "markdown", "--fail-on", "new"]);
    assert!(
        !run.out.contains('\u{1b}') && run.err.contains("1 of 2 routes: GET /a\\x1b"),
        "{}",
        run.err
    );
    let line = run
        .out
        .lines()
        .find(|line| line.contains("1 of 2"))
        .expect("what was seen");
    assert!(line.contains("\\|") && !line.contains(" | x"), "{line}");
}

#[test]
fn a_report_of_a_live_target_has_figures_that_no_test_can_use() {
    let folder = folder();
    let live = |p50: f64, exchanges: u64| {
        let gap = value!({"count": exchanges, "min": 1.0, "p50": p50, "p90": 20.0, "p99": 30.0, "max": 40.0});
        value!({"schema": "meshsniff.report/v1",
            "exchanges": [
                // One of the slowest good ones: it is in the figures already.
                {"verdict": "ok", "status": 200, "method": "GET", "path": "/items", "gaps": {"total": 40.0}},
                {"verdict": "client-gave-up", "method": "GET", "path": "/items", "gaps": {"request_to_client_close": 500.0}}],
            "routes": [{"server": "10.0.0.1:80", "method": "GET", "path": "/items", "exchanges": exchanges,
                "statuses": {"2xx": exchanges}, "gaps": {"request_to_response": gap, "total": gap}}],
            "summary": {"exchanges": exchanges + 1, "probes": 0, "connects_failed": 2}})
        .to_string()
    };
    let before = file(&folder, "before.json", live(10.0, 100).as_bytes());
    let after = file(&folder, "after.json", live(12.0, 10).as_bytes());
    let document = compared(&before, &after, &["--gap", "request_to_ack"]);
    assert_eq!(document["before"]["kind"], "live-report");
    let route = &routes(&document)[0];
    assert_eq!(route["exchanges"], value!({"before": 101, "after": 11}));
    let gap = row(route, "gaps", "gap", "request_to_response");
    assert_eq!(gap["not_tested"], "the report holds only percentiles");
    assert_eq!(gap["change"]["p50"], value!({"ms": 2.0, "share": 0.2}));
    let gave_up = row(route, "shares", "of", "client-gave-up");
    assert_eq!(
        gave_up["after"],
        value!({"count": 1, "whole": 11, "share": 1.0 / 11.0})
    );
    assert!(gave_up["p"].as_f64().is_some());
    let threshold = compare(&before, &after, &["--fail-on", "total.p50>+10%"]);
    assert_eq!(threshold.status, Some(3));
    let untested = compare(&before, &after, &["--fail-on", "slower"]);
    assert!(
        untested.err.contains("nothing to compare"),
        "{}",
        untested.err
    );
    let filtered = compare(&before, &after, &["--filter-http", "status=200"]);
    assert_eq!(filtered.status, Some(1));
    assert!(filtered.err.contains("only as figures"), "{}", filtered.err);
}

#[test]
fn what_cannot_be_compared_says_what_can() {
    let folder = folder();
    let right = capture("tutorial-istio.pcap");
    let document = report(&right, &["-o", "json"]).out;
    let comparison = good(compare(&right, &right, &["-o", "json"]));
    let no_summary = lines(&["/a"]);
    let no_summary = no_summary.lines().next().expect("a line").to_owned() + "\n";
    let long = format!(
        "{{\"type\":\"exchange\",\"verdict\":\"ok\",\"path\":\"{}\"}}",
        "x".repeat(17 << 20)
    );
    let cases: [(&str, &str, bool); 9] = [
        ("dear diary", "neither a capture", false),
        ("", "is empty", false),
        ("{\"a\": 1}", "no report of meshsniff", false),
        ("{\"a\": ", "ends in the middle", false),
        (&document[..document.len() / 2], "ends in the middle", false),
        (
            "{\"type\":\"exchange\",\"verdict\":\"fine\"}",
            "make it anew",
            false,
        ),
        (&comparison, "meshsniff.compare/v1", false),
        (&long, "longer than 16 MiB", false),
        (&no_summary, "the report was cut", true),
    ];
    for (content, said, is_compared) in cases {
        let wrong = file(&folder, "wrong", content.as_bytes());
        let run = compare(&right, &wrong, &[]);
        let start: String = content.chars().take(40).collect();
        assert_eq!(run.status, Some(1), "{start}");
        assert!(run.err.contains(said), "{start}: {}", run.err);
        assert_eq!(run.err.lines().count(), 1, "{}", run.err);
        assert_eq!(!run.out.is_empty(), is_compared, "{start}");
    }
    let missing = compare(&right, Path::new("/no/such/file"), &[]);
    assert!(
        missing.err.contains("there is no file /no/such/file"),
        "{}",
        missing.err
    );
    let both = run(&["compare", "-", "-"]);
    assert_eq!(both.status, Some(2));
}

#[test]
fn reports_and_captures_may_be_packed_or_piped() {
    let packed = compared(
        &capture("tutorial-envoy.pcap.gz"),
        &capture("tutorial-envoy.pcap.zst"),
        &[],
    );
    assert_eq!(packed["before"]["exchanges"], 7);
    assert_eq!(packed["before"]["exchanges"], packed["after"]["exchanges"]);
    let text = report(&capture("tutorial-envoy.pcap"), &["-o", "jsonl"]).out;
    let folder = folder();
    let told = file(&folder, "told.jsonl", text.as_bytes());
    for piped in [told, capture("tutorial-envoy.pcap")] {
        let mut command = super::program();
        let command = command.args(["compare", "-o", "json", "-"]).arg(&piped);
        let command = command.stdin(fs::File::open(&piped).expect("a file"));
        let out = good(command.output().expect("the program").into());
        assert_eq!(json(&out)["before"]["exchanges"], 7);
    }
}
