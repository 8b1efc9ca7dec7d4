//! Assertions and the reports that CI shows: what they say, to whom, and that nothing from the wire
//! is more than text in them.

use super::{Run, capture, file, folder, good, json, program, report, run};
use crate::tools;
use meshsniff::testing::{End, Talk, write_pcap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const TUTORIAL: &str = "tutorial-istio.pcap";

/// Request targets that would be markup, if anything let them. They hold no blank: no such target
/// would be taken for one.
const HOSTILE: [&str; 5] = [
    "/</failure><script>alert(1)</script>",
    "/```</code></summary><img/src=x/onerror=alert(2)>",
    "/|a|`b`|[x](javascript:alert(3))",
    "/]]>&#x27;&amp;\"'",
    "/${{secrets.TOKEN}}%0A::error::x",
];
/// What would move a cursor or turn a name round, where a field may hold it.
const CONTROLS: &str = "\u{9b}2J\u{9b}31m\u{202e}gnp.exe\u{2028}\u{feff}";

/// Captures in each of which one of them was given up, all of names that are markup as well.
fn hostile(folder: &TempDir) -> Vec<PathBuf> {
    let captures = (40_000..).zip(HOSTILE).map(|(port, path)| {
        let mut talk = Talk::new("hostile");
        talk.client_addr([10, 0, 0, 9], port).open();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {CONTROLS}{path}\r\nx-request-id: {path}{CONTROLS}\r\n\
             x-forwarded-client-cert: Hash=1;URI=\"https://evil.example{path}{CONTROLS}\"\r\n\r\n"
        );
        talk.say(End::Client, request.as_bytes()).ack(End::Server);
        talk.wait(500.0).fin(End::Client).ack(End::Server);
        let file = folder
            .path()
            .join(format!("{port}<img src=x onerror=alert(4)>.pcap"));
        write_pcap(&file, talk.packets()).expect("a capture");
        file
    });
    captures.collect()
}

/// `report` on all of them.
fn hostile_report(folder: &TempDir, args: &[&str]) -> Run {
    let mut command = program();
    command.arg("report").args(args).args(hostile(folder));
    command.output().expect("the program").into()
}

/// Which of two streams ends a pod's log is chance: the reason has a file of its own.
#[test]
fn the_reason_goes_to_a_file_as_well() {
    let folder = folder();
    let reason = folder.path().join("termination-log");
    fs::write(&reason, "").expect("a file");
    let mut command = program();
    command
        .arg("report")
        .arg(capture(TUTORIAL))
        .args(["--fail-on", "client-gave-up"])
        .env("MESHSNIFF_REASON_FILE", &reason);
    let run = Run::from(command.output().expect("the program"));
    assert_eq!(run.status, Some(3));
    assert_eq!(fs::read_to_string(&reason).expect("the reason"), run.err);
    command.env("MESHSNIFF_REASON_FILE", folder.path());
    let run = Run::from(command.output().expect("the program"));
    assert_eq!(run.status, Some(3));
    assert!(run.err.contains("cannot be written"), "{}", run.err);
}

#[test]
fn an_assertion_that_fails_is_status_3_and_named() {
    let run = report(&capture(TUTORIAL), &["--fail-on", "client-gave-up"]);
    assert_eq!(run.status, Some(3));
    assert_eq!(
        run.err,
        "failed: client-gave-up: 4 of 14 exchanges (28.57 %)\n"
    );
    assert!(
        run.out.contains("✗ client-gave-up   4 of 14"),
        "{}",
        run.out
    );
    let passes = ["--fail-on", "client-gave-up>4", "--fail-on=exchanges<14"];
    let out = good(report(&capture(TUTORIAL), &passes));
    assert!(out.contains("✓ client-gave-up>4"), "{out}");
}

#[test]
fn a_policy_from_a_file() {
    let folder = folder();
    let policy = file(
        &folder,
        "policy",
        b"# the route's timeout\nack_to_client_close>400ms where path=/items*\n\nconnects_failed\n",
    );
    let policy = policy.to_str().expect("a path");
    let run = report(&capture(TUTORIAL), &["--assert-file", policy, "-o", "json"]);
    assert_eq!(run.status, Some(3));
    let assertions = json(&run.out)["assertions"].clone();
    assert_eq!(assertions[0]["outcome"], "failed");
    assert_eq!(
        assertions[0]["exchanges"],
        serde_json::json!([10, 11, 12, 13])
    );
    assert_eq!(assertions[1]["outcome"], "passed");
    for (content, said) in [
        (&b"not-ok\nnonsense\n"[..], "policy, line 2: "),
        (b"# nothing\n", "holds no assertion"),
    ] {
        file(&folder, "policy", content);
        let run = report(&capture(TUTORIAL), &["--assert-file", policy]);
        assert_eq!(run.status, Some(2), "{}", run.err);
        assert!(run.err.contains(said), "{}", run.err);
        assert_eq!(run.out, "");
    }
}

#[test]
fn nothing_to_judge_is_no_success_and_what_is_missing_is_an_error_first() {
    let nothing = ["--fail-on", "client-gave-up where path=/other"];
    let run = report(&capture(TUTORIAL), &nothing);
    assert_eq!(run.status, Some(3));
    assert!(run.err.contains("nothing to judge"), "{}", run.err);
    good(report(
        &capture(TUTORIAL),
        &[&nothing[..], &["--allow-no-traffic"]].concat(),
    ));
    let folder = folder();
    let mut bytes = fs::read(capture(TUTORIAL)).expect("a capture");
    bytes.truncate(bytes.len() - 7);
    let cut = file(&folder, "cut.pcap", &bytes);
    let junit = folder.path().join("report.xml");
    let output = format!("junit={}", junit.display());
    let run = report(&cut, &["--fail-on=client-gave-up", "-o", &output]);
    assert_eq!(run.status, Some(1), "{}", run.err);
    assert!(run.err.contains("failed: client-gave-up"), "{}", run.err);
    assert!(run.err.contains("error: "), "{}", run.err);
    let xml = fs::read_to_string(junit).expect("a report");
    assert!(xml.contains("<error message="), "{xml}");
    let run = report(&cut, &["-o", "har"]);
    assert_eq!(run.status, Some(1), "{}", run.err);
    let archive = json(&run.out);
    let comment = archive["log"]["comment"].as_str().expect("a comment");
    assert!(comment.starts_with("incomplete: "), "{comment}");
    assert!(
        run.err.contains(&comment["incomplete: ".len()..]),
        "{}",
        run.err
    );
}

#[test]
fn several_reports_at_once_tell_the_same() {
    let folder = folder();
    let name = |name: &str| folder.path().join(name);
    fs::write(name("r.xml"), "what was there before").expect("a file");
    let args: Vec<String> = [
        "junit=r.xml",
        "markdown=r.md",
        "json=r.json",
        "jsonl=r.jsonl",
        "text=r.txt",
        "csv=r.csv",
        "har=r.har",
        "svg=r.svg",
    ]
    .iter()
    .map(|output| {
        let (format, file) = output.split_once('=').expect("an output");
        format!("-o{format}={}", name(file).display())
    })
    .collect();
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.push("--fail-on=client-gave-up");
    let file = capture(TUTORIAL);
    let run = report(&file, &args);
    assert_eq!((run.status, run.out.as_str()), (Some(3), ""));
    let read = |file: &str| fs::read_to_string(name(file)).expect("a report");
    for (file, alone) in [
        ("r.json", "json"),
        ("r.jsonl", "jsonl"),
        ("r.txt", "text"),
        ("r.xml", "junit"),
        ("r.md", "markdown"),
        ("r.csv", "csv"),
        ("r.har", "har"),
        ("r.svg", "svg"),
    ] {
        let alone = report(
            &capture(TUTORIAL),
            &["-o", alone, "--fail-on=client-gave-up"],
        );
        assert_eq!(read(file), alone.out, "{file}");
    }
    // The tutorial's figure, in each of them.
    for file in [
        "r.json", "r.jsonl", "r.txt", "r.xml", "r.md", "r.csv", "r.har", "r.svg",
    ] {
        assert!(read(file).contains("486.498"), "{file}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 8);
}

#[test]
fn a_report_that_cannot_be_written_leaves_what_was_there() {
    let folder = folder();
    let old = file(&folder, "old.json", b"old");
    let output = format!("-ojson={}", old.display());
    let run = report(Path::new("/no/such.pcap"), &[&output]);
    assert_eq!(run.status, Some(1));
    assert_eq!(fs::read(&old).expect("a file"), b"old");
    let run = report(&capture(TUTORIAL), &["-ojson=/no/such/folder/report.json"]);
    assert_eq!(run.status, Some(1));
    assert!(
        run.err.contains("there is no folder /no/such/folder"),
        "{}",
        run.err
    );
}

#[test]
fn junit_is_xml_whatever_was_on_the_wire() {
    if !tools::need("xmllint", "libxml2-utils") {
        return;
    }
    let folder = folder();
    let run = hostile_report(&folder, &["-ojunit", "--fail-on=client-gave-up"]);
    assert_eq!(run.status, Some(3), "{}", run.err);
    let xml = file(&folder, "report.xml", run.out.as_bytes());
    let elements = Command::new("xmllint")
        .args(["--xpath", "count(//*[not(self::testsuites or self::testsuite or self::testcase or self::failure or self::properties or self::property)])"])
        .arg(&xml)
        .output()
        .expect("xmllint");
    let error = String::from_utf8_lossy(&elements.stderr);
    assert!(elements.status.success(), "{error}");
    assert_eq!(String::from_utf8_lossy(&elements.stdout).trim(), "0");
    assert!(run.out.contains("&lt;script&gt;alert(1)"), "{}", run.out);
    harmless(&run.out);
}

/// No character that a terminal or a reader acts on.
fn harmless(text: &str) {
    let bad = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.chars().any(bad), "{text:?}");
}

#[test]
fn markdown_is_no_html_whatever_was_on_the_wire() {
    if !tools::need("cmark-gfm", "cmark-gfm") {
        return;
    }
    let folder = folder();
    let run = hostile_report(
        &folder,
        &["-omarkdown", "--fail-on=client-gave-up where path=/*"],
    );
    assert_eq!(run.status, Some(3), "{}", run.err);
    harmless(&run.out);
    let mut child = Command::new("cmark-gfm")
        .args(["--unsafe", "-e", "table", "-e", "autolink"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cmark-gfm");
    std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), run.out.as_bytes())
        .expect("markdown");
    let output = child.wait_with_output().expect("cmark-gfm");
    let html = String::from_utf8(output.stdout).expect("text");
    for tag in html.split('<').skip(1) {
        let name = tag.trim_start_matches('/');
        let name: String = name
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let known = [
            "h2", "p", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "pre",
            "details", "summary", "ol", "br",
        ];
        assert!(known.contains(&name.as_str()), "<{tag}\n{html}");
        assert!(
            !tag.to_ascii_lowercase().contains("onerror=alert(2)>") || tag.contains("&gt;"),
            "<{tag}"
        );
    }
    assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
    // One problem, with one example.
    assert_eq!(html.matches("<details>").count(), 1, "{html}");
}

#[test]
fn terminals_and_follow_are_harmless_too() {
    let folder = folder();
    let run = hostile_report(&folder, &["--fail-on=client-gave-up"]);
    harmless(&run.out);
    harmless(&run.err);
    for path in hostile(&folder) {
        let path = path.to_str().expect("a path");
        let out = good(self::run(&["follow", path]));
        harmless(&out);
        assert!(out.contains("FIN: the client closes"), "{out}");
    }
}

fn comments(file: &Path, filter: &str) -> Vec<(u64, String)> {
    let output = Command::new("tshark")
        .args(["-n", "-r"])
        .arg(file)
        .args([
            "-Y",
            filter,
            "-T",
            "fields",
            "-e",
            "frame.number",
            "-e",
            "frame.comment",
        ])
        .output()
        .expect("tshark");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(|line| {
        let (frame, comment) = line.split_once('\t').expect("two fields");
        (frame.parse().expect("a number"), comment.to_owned())
    });
    lines.collect()
}

#[test]
fn wireshark_finds_the_comments() {
    if !tools::need("tshark", "tshark") {
        return;
    }
    let folder = folder();
    let copy = folder.path().join("copy.pcapng");
    let copied = copy.to_str().expect("a path").to_owned();
    let original = capture(TUTORIAL);
    let run: Run = program()
        .arg("annotate")
        .arg(&original)
        .arg(&copy)
        .output()
        .expect("the program")
        .into();
    assert_eq!(
        (run.status, run.err.as_str()),
        (Some(0), "20 frames have comments\n")
    );
    let found = comments(&copy, "frame.comment contains \"client-gave-up\"");
    let frames: Vec<u64> = found.iter().map(|(frame, _)| *frame).collect();
    let expected = [
        17, 18, 19, 31, 32, 33, 45, 46, 47, 58, 59, 61, 62, 63, 65, 66, 67, 68, 69, 70,
    ];
    assert_eq!(frames, expected);
    assert!(
        found[2].1.contains("486.498 ms after the ACK"),
        "{:?}",
        found[2]
    );
    // The filter of a report finds the frame, too.
    let document = json(&good(report(&original, &["-o", "json"])));
    for exchange in super::exchanges(&document) {
        let filter = exchange["display_filter"].as_str().expect("a filter");
        let first = exchange["events"][0]["frame"].as_u64().expect("a frame");
        let shown = comments(&copy, filter);
        assert_eq!(
            shown.first().map(|(frame, _)| *frame),
            Some(first),
            "{filter}"
        );
    }
    // Nothing else has changed, and a second time changes nothing at all.
    assert_eq!(told(&copy), told(&original));
    let again = folder.path().join("again.pcapng");
    let second = self::run(&["annotate", &copied, again.to_str().expect("a path")]);
    assert_eq!(second.status, Some(0), "{}", second.err);
    assert_eq!(
        fs::read(&copy).expect("a copy"),
        fs::read(&again).expect("a copy")
    );
    // The same as part of a report, and in its own place.
    let beside = folder.path().join("beside.pcapng");
    good(report(&original, &["-w", beside.to_str().expect("a path")]));
    assert_eq!(
        fs::read(&copy).expect("a copy"),
        fs::read(&beside).expect("a copy")
    );
    good(report(&copy, &["-w", &copied]));
    assert_eq!(
        fs::read(&copy).expect("a copy"),
        fs::read(&beside).expect("a copy")
    );
}

#[test]
fn every_capture_can_be_annotated_and_stays_what_it_was() {
    let folder = folder();
    let copy = folder.path().join("copy.pcapng");
    let files = fs::read_dir(crate::corpus::own_folder()).expect("captures");
    for entry in files {
        let original = entry.expect("a file").path();
        let name = original.file_name().and_then(|name| name.to_str());
        let name = name.expect("a name");
        let is_capture = [".pcap", ".pcapng", ".gz", ".zst"]
            .iter()
            .any(|end| name.ends_with(end));
        if !is_capture {
            continue;
        }
        let run = annotate_all(&original, &copy);
        assert_eq!(run.status, Some(0), "{name}: {}", run.err);
        if run.err.contains("--with-keys") {
            let mut command = program();
            let command = command.args(["annotate", "--all", "--with-keys"]);
            let done = command.args([&original, &copy]).output();
            assert!(done.expect("the program").status.success(), "{name}");
        }
        assert_eq!(told(&copy), told(&original), "{name}");
    }
}

fn annotate_all(original: &Path, copy: &Path) -> Run {
    let mut command = program();
    let command = command.args(["annotate", "--all"]).args([original, copy]);
    command.output().expect("the program").into()
}

/// What is reported of a capture, but for its name and its interfaces'.
fn told(file: &Path) -> Vec<String> {
    let lines = good(report(file, &["-o", "jsonl"]));
    let lines = lines.lines();
    let told = lines.filter(|line| !line.starts_with("{\"type\":\"source\""));
    // Commands name the file.
    let name = file.to_string_lossy();
    told.map(|line| line.replace(&*name, "FILE")).collect()
}

#[test]
fn tshark_reads_a_copy_like_the_original() {
    if !tools::need("tshark", "tshark") {
        return;
    }
    let folder = folder();
    let copy = folder.path().join("copy.pcapng");
    for name in [
        "multi-interface.pcapng",
        "pcapng-comments.pcapng",
        "snaplen-96.pcap",
        "istio-pod-any.pcap",
    ] {
        let original = capture(name);
        let run = annotate_all(&original, &copy);
        assert_eq!(run.status, Some(0), "{name}: {}", run.err);
        let fields = |file: &Path| {
            let output = Command::new("tshark")
                .args(["-n", "-r"])
                .arg(file)
                .args(["-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len"])
                .args(["-e", "frame.cap_len", "-e", "ip.id", "-e", "tcp.seq_raw"])
                .output()
                .expect("tshark");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert_eq!(fields(&copy), fields(&original), "{name}");
    }
}

#[test]
fn what_cannot_be_annotated_is_said() {
    let folder = folder();
    let copy = folder.path().join("copy.pcapng");
    let copy = copy.to_str().expect("a path");
    for (args, said) in [
        (["annotate", "/no/such.pcap", copy], "there is no file"),
        (["annotate", env!("CARGO_MANIFEST_DIR"), copy], "directory"),
        (
            [
                "annotate",
                concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"),
                copy,
            ],
            "not a capture",
        ),
    ] {
        let run = run(&args);
        assert_eq!(run.status, Some(1));
        assert!(run.err.contains(said), "{}", run.err);
        assert!(!Path::new(copy).exists());
    }
    // What came before damage is copied, and the rest said.
    let mut bytes = fs::read(capture(TUTORIAL)).expect("a capture");
    bytes.truncate(bytes.len() - 7);
    let cut = file(&folder, "cut.pcap", &bytes);
    let run = run(&["annotate", cut.to_str().expect("a path"), copy]);
    assert_eq!(run.status, Some(1));
    assert!(run.err.contains("cut short"), "{}", run.err);
    let frames = json(&good(report(Path::new(copy), &["-o", "json"])))["capture"]["frames"].clone();
    assert_eq!(frames, 69);
}

#[test]
fn a_conversation_has_times_beside_the_lines() {
    let path = capture(TUTORIAL);
    let path = path.to_str().expect("a path");
    let out = good(run(&["follow", path, "--exchange", "10"]));
    for expected in [
        "      17      0.082983  ▶  GET /items?delay=2005 HTTP/1.1\n",
        "      19      0.569507  ▶  FIN: the client closes                      486.498 ms after the ACK",
        "◀  32 bytes of body\n",
        "tcp.port == 53632 && tcp.port == 3000 && frame.number >= 17",
    ] {
        assert!(out.contains(expected), "{expected}\n{out}");
    }
    let same = good(run(&["follow", path, "--frame", "18"]));
    assert_eq!(same, out);
    let by_id = good(run(&["follow", path, "--request-id", "c877a2e8"]));
    assert_eq!(by_id, out);
    let whole = good(run(&["follow", path, "--exchange", "10", "--connection"]));
    assert!(
        whole.contains("SYN, ACK") && whole.contains("GET /items/1 HTTP/1.1"),
        "{whole}"
    );
    let body = good(run(&["follow", path, "--exchange", "10", "--body", "32"]));
    assert!(body.lines().count() > out.lines().count(), "{body}");
    for (args, said) in [
        (&["--exchange", "99"][..], "0 to 13"),
        (&["--frame", "9999"], "it has 70"),
        (&["--request-id", "zzz"], "--all shows them"),
        (&[], "--exchange N"),
    ] {
        let run = run(&[&["follow", path], args].concat());
        assert_eq!(run.status, Some(1), "{args:?}");
        assert!(run.err.contains(said), "{args:?}: {}", run.err);
    }
}

#[test]
fn credentials_are_masked_unless_somebody_asks() {
    let folder = folder();
    let mut talk = Talk::opened("secret");
    talk.say(
        End::Client,
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abcdef\r\nCOOKIE: s=12345\r\nX-Mine: hush\r\n\r\n",
    );
    talk.ack(End::Server).wait(1.0);
    talk.say(
        End::Server,
        b"HTTP/1.1 200 OK\r\nSet-Cookie: s=67890\r\nContent-Length: 5\r\n\r\nhello",
    )
    .ack(End::Client);
    let path = folder.path().join("secret.pcap");
    write_pcap(&path, talk.packets()).expect("a capture");
    let path = path.to_str().expect("a path");
    let out = good(run(&["follow", path, "--redact", "x-mine"]));
    for secret in ["abcdef", "12345", "67890", "hush", "hello"] {
        assert!(!out.contains(secret), "{out}");
    }
    assert!(out.contains("Authorization: (redacted, 13 bytes)"), "{out}");
    let out = good(run(&["follow", path, "--show-secrets", "--body", "99"]));
    for secret in ["Bearer abcdef", "s=12345", "s=67890", "hush", "hello"] {
        assert!(out.contains(secret), "{out}");
    }
}

#[test]
fn a_reader_that_leaves_changes_no_verdict_and_loses_no_file() {
    let folder = folder();
    let junit = folder.path().join("r.xml");
    let output = format!("-ojunit={}", junit.display());
    let mut child = program()
        .args(["report", "-o", "text", &output, "--fail-on=client-gave-up"])
        .arg(capture(TUTORIAL))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("failed: client-gave-up"), "{said}");
    let xml = fs::read_to_string(junit).expect("a report");
    assert!(xml.contains("failures=\"1\""), "{xml}");
}

#[test]
fn a_damaged_capture_is_not_annotated_in_its_own_place() {
    let folder = folder();
    let mut bytes = fs::read(capture(TUTORIAL)).expect("a capture");
    // The length of a record in the middle cannot be.
    let mut at = 24;
    for _ in 0..40 {
        let length: [u8; 4] = bytes[at + 8..at + 12].try_into().expect("a length");
        at += 16 + u32::from_le_bytes(length) as usize;
    }
    bytes[at + 8..at + 12].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    let damaged = file(&folder, "damaged.pcap", &bytes);
    let name = damaged.to_str().expect("a path");
    for args in [
        &["annotate", "--all", name, name][..],
        &["report", name, "-w", name],
    ] {
        let run = run(args);
        assert_eq!(run.status, Some(1), "{}", run.err);
        assert_eq!(fs::read(&damaged).expect("a capture"), bytes, "{args:?}");
    }
}

#[test]
fn what_could_never_fail_or_would_overwrite_is_refused() {
    let refused = capture("refused.pcap");
    for (args, said) in [
        (
            &["--fail-on=connects_failed", "--filter-http=path=/x"][..],
            "client= and server=",
        ),
        (&["--fail-on=envoy=UF"], "connects_failed"),
        (
            &["--fail-on=verdict=connect-refused,client-gave-up"],
            "by itself",
        ),
    ] {
        let run = report(&refused, args);
        assert_eq!(run.status, Some(2), "{args:?}: {}", run.err);
        assert!(run.err.contains(said), "{args:?}: {}", run.err);
    }
    assert_eq!(
        report(&refused, &["--fail-on=connects_failed"]).status,
        Some(3)
    );
    let slow = [
        "--fail-on=request_to_response.p99>1s",
        "--filter-http=verdict=client-gave-up",
    ];
    let run = report(&capture(TUTORIAL), &slow);
    assert_eq!(run.status, Some(3), "{}", run.err);
    assert!(run.err.contains("nothing to judge"), "{}", run.err);
    let folder = folder();
    let copy = file(&folder, "a.pcap", &fs::read(&refused).expect("a capture"));
    let path = copy.to_str().expect("a path");
    let beside = format!("{}/./a.pcap", folder.path().display());
    for args in [
        vec![format!("-ojson={beside}")],
        vec![format!("-ojsonl={path}x"), format!("-ojson={beside}x")],
        vec![
            format!("-ojson={path}y"),
            "-w".to_owned(),
            format!("{beside}y"),
        ],
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let run = report(&copy, &args);
        assert_eq!(run.status, Some(2), "{args:?}: {}", run.err);
    }
    let same = fs::read(&copy).expect("a capture") == fs::read(&refused).expect("a capture");
    assert!(same, "the capture was overwritten");
}

#[test]
fn noncharacters_make_no_report_unreadable() {
    if !tools::need("xmllint", "libxml2-utils") {
        return;
    }
    let folder = folder();
    let mut talk = Talk::opened("noncharacters");
    talk.say(
        End::Client,
        "GET / HTTP/1.1\r\nHost: \u{fffe}\u{ffff}\r\n\r\n".as_bytes(),
    )
    .ack(End::Server);
    talk.wait(500.0).fin(End::Client).ack(End::Server);
    let path = folder.path().join("a.pcap");
    write_pcap(&path, talk.packets()).expect("a capture");
    let run = report(&path, &["-ojunit", "--fail-on=not-ok"]);
    assert_eq!(run.status, Some(3));
    let xml = file(&folder, "a.xml", run.out.as_bytes());
    let read = Command::new("xmllint")
        .arg("--noout")
        .arg(xml)
        .output()
        .expect("xmllint");
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
}

#[test]
fn a_signal_ends_standard_input_and_the_report_comes() {
    let mut child = program()
        .args(["report", "-", "-o", "json", "--live"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut stdin = child.stdin.take().expect("stdin");
    let bytes = fs::read(capture(TUTORIAL)).expect("a capture");
    // It ends inside a packet: as far as a writer with a buffer has got.
    std::io::Write::write_all(&mut stdin, &bytes[..bytes.len() - 20]).expect("a pipe");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("stderr"));
    let mut line = String::new();
    while !line.contains("client-gave-up") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut stderr, &mut line).expect("a line") > 0);
    }
    let killed = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(killed.expect("kill").success());
    let output = child.wait_with_output().expect("the program");
    drop(stdin);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).expect("text");
    assert_eq!(output.status.code(), Some(0), "{rest}");
    let document = json(&String::from_utf8(output.stdout).expect("text"));
    assert_eq!(document["capture"]["frames"], 69);
    assert_eq!(document["capture"]["complete"], true);
}
