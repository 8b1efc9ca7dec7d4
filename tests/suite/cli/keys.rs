//! TLS with keys: what is read with them, why something is not, and that nothing writes them unless
//! it is told to.

use super::{Run, capture, exchanges, file, folder, good, json, program, run};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const KEYS: &str = "tls-keys.pcapng";

/// The key log in the capture's block of secrets.
pub fn key_log() -> String {
    let bytes = fs::read(capture(KEYS)).expect("a capture");
    let at = bytes.windows(4).position(|four| four == b"KSLT");
    let at = at.expect("a block of secrets");
    let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("four bytes"));
    let log = &bytes[at + 8..][..length as usize];
    String::from_utf8(log.to_vec()).expect("a key log")
}

/// The secrets in a key log, in hexadecimal digits.
fn secrets(log: &str) -> BTreeSet<String> {
    let lines = log.lines().filter(|line| !line.starts_with('#'));
    let secrets = lines.map(|line| line.split(' ').nth(2).expect("a secret").to_owned());
    secrets.collect()
}

/// The capture without its keys, as pcapng.
fn without_keys(folder: &Path) -> std::path::PathBuf {
    let copy = folder.join("no-keys.pcapng");
    let annotated = annotate(&[], &capture(KEYS), &copy);
    assert_eq!(annotated.status, Some(0), "{}", annotated.err);
    copy
}

fn annotate(options: &[&str], from: &Path, to: &Path) -> Run {
    let mut command = program();
    let command = command.arg("annotate").args(options).args([from, to]);
    command.output().expect("the program").into()
}

/// Fails if a secret is in there, in digits or as bytes.
fn no_secret(bytes: &[u8], secrets: &BTreeSet<String>, what: &str) {
    let text = bytes.to_ascii_lowercase();
    for secret in secrets {
        let digits = secret.as_bytes();
        let (pairs, _) = digits.as_chunks::<2>();
        let raw: Vec<u8> = pairs
            .iter()
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16))
            .collect::<Result<_, _>>()
            .expect("digits");
        for (bytes, wanted) in [(text.as_slice(), digits), (bytes, &raw)] {
            let found = bytes.windows(wanted.len()).any(|some| some == wanted);
            assert!(!found, "{what} has the secret {secret}");
        }
    }
}

#[test]
fn no_output_has_a_key_unless_it_is_told_to() {
    let folder = folder();
    let secrets = secrets(&key_log());
    assert!(secrets.len() > 50, "{}", secrets.len());
    let original = capture(KEYS);
    let original = original.to_str().expect("a path");
    let log = file(&folder, "keys.log", key_log().as_bytes());
    let log = log.to_str().expect("a path");
    for format in [
        "text", "json", "jsonl", "junit", "markdown", "csv", "html", "har", "svg",
    ] {
        let written = folder.path().join(format);
        let output = format!("{format}={}", written.display());
        let more: &[&str] = match format {
            "har" => &["--bodies", "100000"],
            "junit" => &["--fail-on", "exchanges<1"],
            "text" => &["--all"],
            _ => &[],
        };
        let args = [&["report", original, "--keylog", log, "-o", &output], more].concat();
        let run = run(&args);
        assert_eq!(run.status, Some(0), "{}", run.err);
        no_secret(&fs::read(&written).expect("a report"), &secrets, format);
        no_secret(run.err.as_bytes(), &secrets, "standard error");
    }
    for args in [
        &[
            "follow",
            original,
            "--exchange",
            "0",
            "--connection",
            "--show-secrets",
            "--body",
            "9999",
        ][..],
        &["follow", original, "--exchange", "0", "--curl"],
        &["compare", original, original, "-o", "json"],
    ] {
        no_secret(good(run(args)).as_bytes(), &secrets, args[0]);
    }
    let copy = folder.path().join("copy.pcapng");
    let copied = annotate(&["--all", "--keylog", log], Path::new(original), &copy);
    assert!(
        copied.err.contains("1 block of keys was left out"),
        "{}",
        copied.err
    );
    no_secret(&fs::read(&copy).expect("a copy"), &secrets, "annotate");
    let copy = copy.to_str().expect("a path");
    let args = [
        "report", original, "--keylog", log, "-w", copy, "-o", "jsonl",
    ];
    let written = run(&args);
    assert_eq!(written.status, Some(0), "{}", written.err);
    assert!(written.err.contains("--with-keys"), "{}", written.err);
    no_secret(&fs::read(copy).expect("a copy"), &secrets, "report -w");
}

#[test]
fn a_copy_has_the_keys_of_its_sessions_if_it_is_told_to() {
    let folder = folder();
    let plain = without_keys(folder.path());
    let strange = format!("CLIENT_RANDOM {} {}\n", "ab".repeat(32), "cd".repeat(48));
    let log = file(&folder, "keys.log", (key_log() + &strange).as_bytes());
    let log = log.to_str().expect("a path");
    let copy = folder.path().join("copy.pcapng");
    let copied = annotate(&["--all", "--keylog", log, "--with-keys"], &plain, &copy);
    assert_eq!(copied.status, Some(0), "{}", copied.err);
    let of_original = good(super::report(&capture(KEYS), &["-o", "json"]));
    let of_copy = good(super::report(&copy, &["-o", "json"]));
    assert_eq!(exchanges(&json(&of_copy)), exchanges(&json(&of_original)));
    let bytes = fs::read(&copy).expect("a copy");
    no_secret(&bytes, &["cd".repeat(48)].into(), "the copy");
    let again = folder.path().join("again.pcapng");
    let copied = annotate(&["--all", "--with-keys"], &copy, &again);
    assert_eq!(copied.status, Some(0), "{}", copied.err);
    let of_again = good(super::report(&again, &["-o", "json"]));
    assert_eq!(exchanges(&json(&of_again)), exchanges(&json(&of_original)));
}

#[test]
fn why_something_is_not_read_is_said() {
    let folder = folder();
    let told = json(&good(super::report(&capture(KEYS), &["-o", "json"])));
    let reasons = |told: &serde_json::Value| -> Vec<(bool, Option<String>)> {
        let connections = told["connections"].as_array().expect("connections");
        let tls = connections.iter().map(|one| &one["tls"]);
        let reason = |tls: &serde_json::Value| tls["keys_reason"].as_str().map(str::to_owned);
        tls.map(|tls| (tls["keys"] == true, reason(tls))).collect()
    };
    let all = reasons(&told);
    let count = |wanted: Option<&str>| {
        let same = |(read, reason): &&(bool, Option<String>)| {
            *read == wanted.is_none() && reason.as_deref() == wanted
        };
        all.iter().filter(same).count()
    };
    assert_eq!((count(None), all.len()), (26, 30));
    assert_eq!((count(Some("no-keys")), count(Some("wrong-keys"))), (2, 2));

    // No keys, and nothing to say of any.
    let plain = without_keys(folder.path());
    let none = json(&good(super::report(&plain, &["-o", "json"])));
    assert!(reasons(&none).iter().all(|one| *one == (false, None)));
    assert!(exchanges(&none).is_empty());

    let missing = run(&[
        "report",
        plain.to_str().expect("a path"),
        "--keylog",
        "/nowhere/keys",
    ]);
    assert_eq!(missing.status, Some(1));
    assert!(
        missing
            .err
            .contains("--keylog /nowhere/keys cannot be read"),
        "{}",
        missing.err
    );
    let no_log = file(&folder, "no.log", b"# nothing yet\n");
    let empty = super::report(&plain, &["--keylog", no_log.to_str().expect("a path")]);
    assert_eq!(empty.status, Some(0));
    assert!(empty.err.contains("has no keys so far"), "{}", empty.err);
}
