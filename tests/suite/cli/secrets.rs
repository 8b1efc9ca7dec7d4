//! What is left out of reports, whatever their format.

use super::{folder, json, program, report};
use meshsniff::testing::{End, Talk, pcap, write_pcap};
use std::fs;

/// One exchange that is given up and one that is answered, each with a secret in every place that a
/// report may show.
fn talk() -> Talk {
    let mut talk = Talk::opened("secrets");
    let ask = "GET /top-secret/a?token=top-secret HTTP/1.1\r\nHost: top-secret.example\r\n\
               X-Request-Id: top-secret\r\nAuthorization: Bearer top-secret\r\n\
               Cookie: session=top-secret\r\n\
               X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/a/sa/top-secret\r\n\r\n";
    talk.say(End::Client, ask.as_bytes());
    let answer = "HTTP/1.1 503 Service Unavailable\r\nServer: envoy\r\nSet-Cookie: top-secret\r\n\
                  l5d-proxy-error: top-secret\r\nContent-Length: 0\r\n\r\n";
    talk.say(End::Server, answer.as_bytes());
    talk.say(End::Client, ask.as_bytes()).ack(End::Server);
    talk.wait(500.0)
        .fin(End::Client)
        .fin(End::Server)
        .ack(End::Client);
    talk
}

const PARTS: &str = "--redact=query,path,host,request-id";
const FORMATS: [&str; 9] = [
    "text", "json", "jsonl", "junit", "markdown", "html", "csv", "har", "svg",
];

#[test]
fn what_is_redacted_is_in_no_format() {
    let folder = folder();
    let path = folder.path().join("a.pcap");
    write_pcap(&path, talk().packets()).expect("a capture");
    for format in FORMATS {
        let assertions = ["--fail-on=client-gave-up", "--fail-on=total>100ms"];
        let mut args = [&["-o", format, "--all", PARTS][..], &assertions].concat();
        if format == "svg" {
            // A picture has one of them.
            args.push("--exchange=1");
        }
        let run = report(&path, &args);
        assert_eq!(run.status, Some(3), "{format}: {}", run.err);
        for said in [&run.out, &run.err] {
            assert!(!said.contains("top-secret"), "{format}: {said}");
        }
        // It is there, and still says who gave up.
        assert!(run.out.contains("client-gave-up"), "{format}: {}", run.out);
    }
    // The paths, hosts and ids are what was redacted, and nothing else ever shows credentials.
    let shown = report(&path, &["--all", "-o", "json"]).out;
    assert!(shown.contains("token=top-secret") && !shown.contains("Bearer"));
}

#[test]
fn what_is_selected_by_may_be_redacted() {
    let folder = folder();
    let path = folder.path().join("a.pcap");
    write_pcap(&path, talk().packets()).expect("a capture");
    for (filter, count) in [("host=top-secret.example", 2), ("host=other.example", 0)] {
        let run = report(&path, &["-o", "json", PARTS, "--filter-http", filter]);
        let document = json(&run.out);
        assert_eq!(
            document["summary"]["exchanges"], count,
            "{filter}: {}",
            run.out
        );
        assert!(!run.out.contains("top-secret"), "{}", run.out);
    }
}

#[test]
fn follow_shows_no_credentials() {
    let folder = folder();
    let path = folder.path().join("a.pcap");
    fs::write(&path, pcap(talk().packets())).expect("a capture");
    let path = path.to_string_lossy();
    for also in [&[][..], &["--redact", "x-request-id"]] {
        let args = [&["follow", &path, "--exchange", "0"][..], also].concat();
        let output = program().args(args).output().expect("the program");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("GET /top-secret"), "{said}");
        for secret in [
            "Bearer top-secret",
            "session=top-secret",
            "Set-Cookie: top-secret",
        ] {
            assert!(!said.contains(secret), "{said}");
        }
        assert!(!said.contains("sa/top-secret"), "{said}");
        let named = said.contains("X-Request-Id: top-secret");
        assert_eq!(named, also.is_empty(), "{said}");
    }
}
