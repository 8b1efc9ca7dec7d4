//! `report --relay`: what the agent sees beside its target, in a report that is made elsewhere.

use crate::http::Pod;
use crate::netns::Netns;
use crate::program::{agent, lines};
use crate::tools::{END, FOR_EVER, IP, can};
use meshsniff::condition::Filter;
use meshsniff::event::{Capture, Report};
use meshsniff::relay::{End, Gathered, Progress, Received, Receiver};
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::report::text::{TextOptions, TextReport};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

const GOOD: usize = 30;
const BUSY: usize = 4;

/// What a relay came to.
struct Heard {
    progress: Vec<Progress>,
    end: Option<End>,
    capture: Capture,
}

/// Tells the lines to a report.
fn hear<R: Report>(lines: &[String], report: &mut R) -> Heard {
    let mut gathered = Gathered::new(vec!["shop/catalog".to_owned()]);
    let mut receiver = Receiver::new(0);
    let (mut progress, mut end) = (Vec::new(), None);
    for line in lines {
        let heard = receiver.line(line.as_bytes(), &mut gathered, report);
        match heard.expect("a line of a relay") {
            Received::Item | Received::Recent(_) => {}
            Received::Progress(one) => progress.push(one),
            Received::End(last) => end = Some(last),
        }
    }
    assert_eq!(receiver.has_ended(), end.is_some());
    receiver.close(&mut gathered);
    let capture = gathered.finish(report).expect("memory can be written to");
    Heard {
        progress,
        end,
        capture,
    }
}

fn text(lines: &[String]) -> (String, Heard) {
    let mut out = Vec::new();
    let heard = hear(
        lines,
        &mut TextReport::new(&mut out, TextOptions::default()),
    );
    (String::from_utf8(out).expect("text"), heard)
}

fn document(lines: &[String]) -> Value {
    let mut out = Vec::new();
    let style = Style::Document;
    let mut report = JsonReport::new(&mut out, style, Filter::default(), false);
    hear(lines, &mut report);
    drop(report);
    serde_json::from_slice(&out).expect("JSON")
}

/// The lines about good answers, bad ones and one give-up.
fn relay(args: &[&str]) -> (Vec<String>, String) {
    let pod = Pod::start();
    let mut program = pod.ready("report", &[&["--relay"], args].concat());
    let coming = lines(program.stdout());
    let mut client = pod.client();
    for number in 0..GOOD {
        let path = if number % 3 == 0 { "/one" } else { "/other" };
        assert_eq!(client.get(&format!("{path}?number={number}")), 200);
    }
    for _ in 0..BUSY {
        assert_eq!(client.get("/busy"), 503);
    }
    pod.client().give_up(&pod.server);
    drop(client);
    let mut seen = Vec::new();
    let is_told = |line: &String| line.contains("client-gave-up");
    // While it runs; if it is not among those selected, there is nothing to wait for.
    let begun = Instant::now();
    while !args.contains(&"--filter-http") && !seen.iter().any(is_told) {
        // Signs of life come in any case.
        assert!(begun.elapsed() < FOR_EVER, "it is never told");
        seen.push(coming.recv_timeout(END).expect("a line while it runs"));
    }
    program.tell("stop");
    let ended = program.end(END);
    assert_eq!(ended.last()["reason"], "stop", "{}", ended.text());
    seen.extend(crate::program::rest(&coming));
    (seen, pod.server.local().to_string())
}

#[test]
fn a_report_is_made_of_it() {
    if !can(&[IP]) {
        return;
    }
    let (lines, server) = relay(&[]);
    let (text, heard) = text(&lines);
    for expected in [
        "shop/catalog   ",
        "35 exchanges: 34 ok (4 with a 5xx status), 1 client-gave-up",
        "2xx      GET /other",
        "2xx      GET /one",
        "Slowest of the good ones (5 of 30)",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    // One example of each problem.
    assert_eq!(text.matches("✗ GET").count(), 2, "{text}");
    let busy = format!("answered {BUSY} of {BUSY} requests with 503");
    assert!(text.contains(&busy), "{text}");
    let end = heard.end.expect("an end");
    assert_eq!(
        (end.reason.as_str(), end.sentence.as_str()),
        ("stop", "it was asked to stop")
    );
    assert_eq!(heard.capture.dropped, Some(0));
    assert!(
        heard.capture.errors.is_empty(),
        "{:?}",
        heard.capture.errors
    );

    let document = document(&lines);
    let routes = document["routes"].as_array().expect("routes");
    assert_eq!(routes.len(), 2);
    assert_eq!(routes[0]["server"], server);
    assert_eq!(routes[0]["path"], "/other");
    assert_eq!(routes[0]["exchanges"], GOOD - GOOD.div_ceil(3));
    assert_eq!(document["summary"]["exchanges"], GOOD + BUSY + 1);
    assert_eq!(
        document["exchanges"].as_array().map(Vec::len),
        Some(BUSY + 1 + 5)
    );
}

#[test]
fn all_of_it_if_asked_for() {
    if !can(&[IP]) {
        return;
    }
    let (lines, _) = relay(&["--all"]);
    let document = document(&lines);
    assert!(document.get("routes").is_none());
    assert_eq!(
        document["exchanges"].as_array().map(Vec::len),
        Some(GOOD + BUSY + 1)
    );
    assert_eq!(document["summary"]["exchanges"], GOOD + BUSY + 1);
}

#[test]
fn the_selection_is_made_at_the_target() {
    if !can(&[IP]) {
        return;
    }
    let (lines, _) = relay(&["--filter-http", "path=/one", "--filter-http", "status=2xx"]);
    let summary = document(&lines)["summary"].take();
    let selected = GOOD.div_ceil(3);
    assert_eq!(summary["exchanges"], selected);
    assert_eq!(summary["filtered_out"], GOOD + BUSY + 1 - selected);
    assert!(!lines.iter().any(|line| line.contains("/other")));
}

/// Where nothing happens, it still says that it is there; and one that was cut is not taken for
/// whole.
#[test]
fn a_quiet_target_gives_signs_of_life() {
    if !can(&[IP]) {
        return;
    }
    let netns = Netns::new();
    let mut program = netns.ready("report", &["--relay"]);
    let coming = lines(program.stdout());
    let mut seen = Vec::new();
    let mut last = Instant::now();
    while seen.len() < 4 {
        let line = coming.recv_timeout(FOR_EVER).expect("a sign of life");
        assert!(
            last.elapsed() <= Duration::from_secs(9),
            "{:?}",
            last.elapsed()
        );
        last = Instant::now();
        seen.push(line);
    }
    program.signal(Signal::SIGKILL);
    assert!(program.ends(END));
    seen.extend(crate::program::rest(&coming));
    let (text, heard) = text(&seen);
    assert_eq!(heard.progress.first(), Some(&Progress::default()));
    assert_eq!(heard.end, None);
    assert!(
        text.contains("incomplete: the report of shop/catalog was cut off"),
        "{text}"
    );
}

#[test]
fn a_wrong_selection_is_wrong_usage() {
    let args = ["report", "--relay", "--filter-http", "colour=red"];
    let output = agent(&args).output().expect("the agent");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("“colour=red” is not a term"), "{said}");
}
