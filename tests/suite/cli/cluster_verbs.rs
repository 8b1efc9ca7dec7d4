//! Commands for clusters, as far as they need none.

use super::{nothing_reported, run};
use std::fs;
use std::path::Path;

fn manifest(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    fs::read_to_string(folder.join(name)).expect("a manifest")
}

#[test]
fn wrong_usage_is_status_2() {
    for args in [
        &["cleanup", "-A", "-n", "shop"][..],
        &["cleanup", "catalog"],
        &["doctor", "-A"],
        &["doctor", "--mode", "attach"],
        &["catalog", "-o", "yaml"],
        &["catalog", "--dry-run=never"],
        &["report", "a.pcap", "--dry-run=client"],
        &["rbac", "--user", "a", "--group", "b"],
        &["rbac", "--serviceaccount", "sniffer"],
        &["rbac", "-n", "Shop"],
        &["rbac", "-n", "shop", "--cluster-wide"],
        &["rbac", "--mode", "attach"],
    ] {
        let run = run(args);
        assert_eq!(run.status, Some(2), "{args:?}: {}", run.err);
        assert!(run.err.contains("--help"), "{}", run.err);
        nothing_reported(&run);
    }
}

/// The files are what is printed: whoever changes the rights writes them again with the command in this test.
#[test]
fn the_manifests_with_rights_are_what_is_printed() {
    let shop = ["rbac", "--group", "meshsniff-users", "-n", "shop"];
    for (name, more) in [
        (
            "rbac-pod-mode.yaml",
            &["--helper-namespace", "meshsniff", "--mode", "pod"][..],
        ),
        ("rbac-ephemeral-mode.yaml", &["--mode", "ephemeral"]),
    ] {
        let args = [&shop[..], more].concat();
        let run = run(&args);
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
        assert!(
            run.out == manifest(name),
            "manifests/{name} is not what this prints: kubectl-meshsniff {}",
            args.join(" ")
        );
    }
}
