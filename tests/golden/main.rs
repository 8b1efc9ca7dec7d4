//! Every capture × every way to report it, held against what is checked in, byte by byte.
//!
//! The tests are made from what lies in `testdata-pcaps`: a new capture has its tests as soon as it
//! is there. What they expect is in `tests/golden/expected`; `MESHSNIFF_BLESS=1 cargo test --test
//! golden` writes it anew, and the diff is then to be read like any other change. That a report is
//! *right* is for other tests to show: these show that it changes only when somebody wants it to.

mod diff;

use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// One way to report a capture: its name, the arguments, the ending of the expected file.
struct Way {
    name: &'static str,
    args: &'static [&'static str],
    ending: &'static str,
}

/// What must not be in the reports for CI.
const FAIL_ON: [&str; 3] = [
    "--fail-on=not-good",
    "--fail-on=connects_failed",
    "--fail-on=ack_to_client_close>400ms where path=/items*",
];

const WAYS: [Way; 10] = [
    Way {
        name: "report",
        args: &[],
        ending: "report.txt",
    },
    Way {
        name: "all",
        args: &["--all"],
        ending: "all.txt",
    },
    Way {
        name: "probes",
        args: &["--probes"],
        ending: "probes.txt",
    },
    Way {
        name: "json",
        args: &["-o", "json"],
        ending: "report.json",
    },
    Way {
        name: "jsonl",
        args: &["-o", "jsonl"],
        ending: "report.jsonl",
    },
    Way {
        name: "junit",
        args: &["-o", "junit", FAIL_ON[0], FAIL_ON[1], FAIL_ON[2]],
        ending: "junit.xml",
    },
    Way {
        name: "markdown",
        args: &["-o", "markdown", FAIL_ON[0], FAIL_ON[1], FAIL_ON[2]],
        ending: "report.md",
    },
    Way {
        name: "html",
        args: &["-o", "html", FAIL_ON[0], FAIL_ON[1], FAIL_ON[2]],
        ending: "body.html",
    },
    Way {
        name: "csv",
        args: &["-o", "csv"],
        ending: "report.csv",
    },
    Way {
        name: "har",
        args: &["-o", "har"],
        ending: "report.har",
    },
];

const BLESS: &str = "MESHSNIFF_BLESS=1 cargo test --test golden";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let captures = captures();
    let schema = Arc::new(schema());
    let mut trials = vec![Trial::test("expected_files_have_a_capture", {
        let captures = captures.clone();
        move || no_stale_files(&captures)
    })];
    for capture in captures {
        for way in &WAYS {
            let name = format!("{capture}::{}", way.name);
            let capture = capture.clone();
            trials.push(Trial::test(name, move || golden(&capture, way)));
        }
        for (way, check) in [("json", document as Check), ("jsonl", lines as Check)] {
            let name = format!("{capture}::{way}_fits_the_schema");
            let file = format!("{capture}.report.{way}");
            let schema = Arc::clone(&schema);
            // What is checked in: that it is what is printed, the test before this one shows.
            trials.push(Trial::test(name, move || {
                // While they are written anew, they may be anything.
                if blessing() {
                    return Ok(());
                }
                check(&schema, &fs::read_to_string(expected_folder().join(file))?)
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn blessing() -> bool {
    std::env::var_os("MESHSNIFF_BLESS").is_some_and(|value| value == "1")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn expected_folder() -> PathBuf {
    root().join("tests/golden/expected")
}

/// File names of the captures, sorted.
fn captures() -> Vec<String> {
    let is_capture = |name: &String| {
        let unpacked = name.strip_suffix(".gz").or(name.strip_suffix(".zst"));
        let name = unpacked.unwrap_or(name);
        name.ends_with(".pcap") || name.ends_with(".pcapng")
    };
    let mut names = file_names(&root().join("testdata-pcaps"));
    names.retain(is_capture);
    names.sort();
    assert!(!names.is_empty(), "testdata-pcaps holds no capture");
    names
}

fn file_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    entries
        .map(|entry| entry.expect("a folder entry").file_name())
        .map(|name| name.into_string().expect("a name in UTF-8"))
        .collect()
}

/// What the program prints. It runs in the folder of the captures, so that no path gets into the
/// report, and without what the shell says about the terminal.
fn report(capture: &str, args: &[&str]) -> Result<String, Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-meshsniff"))
        .current_dir(root().join("testdata-pcaps"))
        .env_remove("COLUMNS")
        .args(["report", "--color", "never"])
        .args(args)
        .arg(capture)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let failed =
        errors.lines().count() > 0 && errors.lines().all(|line| line.starts_with("failed: "));
    let as_told = match output.status.code() {
        Some(0) => errors.is_empty(),
        Some(3) => failed && args.iter().any(|arg| arg.starts_with("--fail-on")),
        _ => false,
    };
    if !as_told {
        let status = output.status;
        return Err(format!("{status}, and on standard error: {errors}").into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn golden(capture: &str, way: &Way) -> Result<(), Failed> {
    let name = format!("{capture}.{}", way.ending);
    let mut actual = report(capture, way.args)?;
    if way.name == "html" {
        actual = body(&actual)?.to_owned();
    }
    if way.name == "har" {
        actual = entries(&actual)?.to_owned();
    }
    let path = expected_folder().join(&name);
    if blessing() {
        fs::create_dir_all(expected_folder())?;
        fs::write(path, actual)?;
        return Ok(());
    }
    let Ok(expected) = fs::read_to_string(&path) else {
        return Err(format!(
            "tests/golden/expected/{name} is missing. Make it, then read it: {BLESS} {capture}"
        )
        .into());
    };
    match diff::first_differences(&expected, &actual) {
        None => Ok(()),
        Some(differences) => Err(format!(
            "`{}` is not what tests/golden/expected/{name} says:\n{differences}\
             If the new output is right: {BLESS} {capture}",
            [&["report"], way.args, &[capture]].concat().join(" ")
        )
        .into()),
    }
}

/// What of a page the capture makes: its style and its script are the same in all of them.
fn body(page: &str) -> Result<&str, Failed> {
    let begin = page.find("<body>");
    let end = page.find("<script>");
    match (begin, end) {
        (Some(begin), Some(end)) => Ok(&page[begin..end]),
        _ => Err("the page has no body, or no script after it".into()),
    }
}

/// The entries of an archive: the line before them has the program's version.
fn entries(archive: &str) -> Result<&str, Failed> {
    let (_, entries) = archive.split_once('\n').ok_or("the archive has one line")?;
    Ok(entries)
}

/// An expected file whose capture or way to report is gone would be kept, and believed, for ever.
fn no_stale_files(captures: &[String]) -> Result<(), Failed> {
    let wanted: BTreeSet<String> = captures
        .iter()
        .flat_map(|capture| WAYS.iter().map(move |way| (capture, way.ending)))
        .map(|(capture, ending)| format!("{capture}.{ending}"))
        .collect();
    if blessing() && !expected_folder().exists() {
        return Ok(());
    }
    let mut stale = file_names(&expected_folder());
    stale.retain(|name| !wanted.contains(name));
    if blessing() {
        for name in stale {
            fs::remove_file(expected_folder().join(name))?;
        }
        return Ok(());
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "no capture makes these files of tests/golden/expected; remove them ({BLESS}): {}",
        stale.join(", ")
    )
    .into())
}

type Check = fn(&Schema, &str) -> Result<(), Failed>;

/// The schema that the program hands out, once for documents and once for lines: in the file either
/// will do.
struct Schema {
    document: jsonschema::Validator,
    line: jsonschema::Validator,
}

fn schema() -> Schema {
    let text =
        fs::read_to_string(root().join("crates/meshsniff/src/report/json/report.schema.json"));
    let schema: serde_json::Value =
        serde_json::from_str(&text.expect("the schema")).expect("a schema in JSON");
    let only = |part: &str| {
        let mut schema = schema.clone();
        let object = schema.as_object_mut().expect("an object");
        object
            .remove("oneOf")
            .expect("a choice of document or line");
        object.insert("$ref".into(), format!("#/$defs/{part}").into());
        jsonschema::validator_for(&schema).expect("a sound schema")
    };
    Schema {
        document: only("document"),
        line: only("line"),
    }
}

fn document(schema: &Schema, text: &str) -> Result<(), Failed> {
    fits(&schema.document, text)
}

fn lines(schema: &Schema, text: &str) -> Result<(), Failed> {
    if !text.ends_with('\n') {
        return Err("the last line is not ended".into());
    }
    for (number, line) in (1..).zip(text.lines()) {
        fits(&schema.line, line)
            .map_err(|failed| format!("line {number}: {}", failed.message().unwrap_or("?")))?;
    }
    Ok(())
}

fn fits(schema: &jsonschema::Validator, text: &str) -> Result<(), Failed> {
    let value: serde_json::Value = serde_json::from_str(text)?;
    let errors: Vec<String> = schema
        .iter_errors(&value)
        .take(5)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors.join("\n").into())
    }
}
