//! What the fuzzers found, and what they start from, replayed without them.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "it is the fuzzer's, and some of it for the fuzzer alone"
)]
#[path = "../../fuzz/src/lib.rs"]
mod checks;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// The files for `target` in a folder of `fuzz/`; none if there is no such folder.
fn inputs(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(folder);
    let entries = fs::read_dir(folder.join(target)).into_iter().flatten();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

fn replay(folder: &str) {
    let mut failed = Vec::new();
    let mut replayed = 0;
    for (target, check) in checks::TARGETS {
        for path in inputs(folder, target) {
            let data = fs::read(&path).expect("a readable input");
            replayed += 1;
            if catch_unwind(|| check(&data)).is_err() {
                failed.push(path.display().to_string());
            }
        }
    }
    assert!(replayed > 0, "nothing in fuzz/{folder}");
    assert!(failed.is_empty(), "found again:\n{}", failed.join("\n"));
}

#[test]
fn what_was_found_is_not_found_again() {
    replay("regressions");
}

#[test]
fn the_seeds_are_sound() {
    replay("seeds");
}

#[test]
fn every_finding_has_its_line() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions/README.md");
    let readme = fs::read_to_string(readme).expect("the list of findings");
    for (target, _) in checks::TARGETS {
        for path in inputs("regressions", target) {
            let name = path.file_name().expect("a name").to_string_lossy();
            assert!(
                readme.contains(&format!("`{target}/{name}`")),
                "{target}/{name}"
            );
        }
    }
}
