//! The README shows what the program prints, and the manifests name its version.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_example_is_what_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("a file of the project");
    let readme = read("README.md");
    let printed = read("tests/golden/expected/tutorial-envoy.pcap.report.txt");
    let (shown, _) = printed
        .split_once("\nSlowest of the good ones")
        .expect("a list of the slowest");
    // The README's command names the file from the top folder, the golden files' from its own.
    assert!(
        readme.contains(&format!("testdata-pcaps/{}", shown.trim_end())),
        "the README shows something else than:\n{shown}"
    );
}

#[test]
fn the_comparison_is_what_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("the README");
    let (_, command) = readme
        .split_once("$ cargo run --release -- compare ")
        .expect("the command");
    let (command, _) = command.split_once("\n```").expect("its end");
    let words = command.replace("\\\n", " ");
    // Words in quotes have blanks in them.
    let words = words.split('\'').enumerate().flat_map(|(index, part)| {
        if index % 2 == 1 {
            vec![part]
        } else {
            part.split_whitespace().collect()
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-meshsniff"))
        .current_dir(root)
        .env_remove("COLUMNS")
        .arg("compare")
        .args(words)
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(3));
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(
        readme.contains(printed.trim_end()),
        "the README shows something else than:\n{printed}"
    );
}

#[test]
fn the_job_for_ci_runs_this_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let job = fs::read_to_string(root.join("manifests/ci/job.yaml")).expect("the Job");
    let image = format!("image: kubectl-meshsniff:{}\n", env!("CARGO_PKG_VERSION"));
    assert!(job.contains(&image), "it does not say {image}");
}
