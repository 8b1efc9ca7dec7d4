//! The README shows what the program prints, and the manifests name its version.

use std::fs;
use std::path::Path;

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
fn the_job_for_ci_runs_this_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let job = fs::read_to_string(root.join("manifests/ci/job.yaml")).expect("the Job");
    let image = format!("image: kubectl-meshsniff:{}\n", env!("CARGO_PKG_VERSION"));
    assert!(job.contains(&image), "it does not say {image}");
}
