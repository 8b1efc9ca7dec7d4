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

/// A kubeconfig that is not there: whoever complains of the filter has asked no cluster.
#[test]
fn a_filter_that_does_not_compile_is_wrong_usage() {
    if !crate::tools::need("tcpdump", "tcpdump") {
        return;
    }
    let nowhere = ["--kubeconfig", "/nonexistent", "--filter"];
    for command in [
        &["catalog", "-w", "-"][..],
        &["report", "catalog"],
        &["report", "node/n1", "-w", "/dev/null"],
        &["catalog", "--dry-run=client"],
    ] {
        let bad = run(&[command, &nowhere, &["tcp prt 80"]].concat());
        assert_eq!(bad.status, Some(2), "{command:?}: {}", bad.err);
        for words in ["«tcp prt 80»", "syntax error"] {
            assert!(bad.err.contains(words), "{}", bad.err);
        }
        nothing_reported(&bad);
        let good = run(&[command, &nowhere, &["tcp port 80"]].concat());
        assert_eq!(good.status, Some(1), "{command:?}: {}", good.err);
        assert!(good.err.contains("kubeconfig"), "{}", good.err);
    }
}

/// The files are what is printed: whoever changes the rights writes them again with the command in
/// this test.
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

#[test]
fn shells_get_their_scripts() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let run = run(&["completion", shell]);
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
        assert!(run.out.contains("kubectl-meshsniff"), "{shell}");
        assert!(run.out.contains("helper-namespace"), "{shell}");
    }
}

/// As kubectl asks, without any cluster: candidates, and a directive at the end.
#[test]
fn kubectl_gets_candidates_and_a_directive() {
    let complete = |words: &[&str]| {
        let mut command = super::program();
        command
            .env("KUBECONFIG", "/nonexistent")
            .env("HOME", "/nonexistent");
        command.arg("__complete").args(words);
        let run = super::Run::from(command.output().expect("the program"));
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{words:?}");
        run.out
    };
    assert!(complete(&["--mode", "e"]).starts_with("ephemeral\t"));
    assert!(complete(&["--mode", "e"]).ends_with("\n:4\n"));
    assert_eq!(complete(&["-n", "s"]), ":4\n");
    assert_eq!(complete(&["report", "cap"]), ":0\n");
    assert!(complete(&["--help"]).contains("--help\t"));
    assert!(complete(&[]).contains("report\t"));
}

#[test]
fn without_a_cluster_the_next_step_is_named() {
    let report = |variables: &[(&str, &str)]| {
        let mut command = super::program();
        command
            .env_remove("KUBECONFIG")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env("HOME", "/nonexistent")
            .envs(variables.iter().copied())
            .args(["report", "deploy/catalog"]);
        super::Run::from(command.output().expect("the program"))
    };
    let run = report(&[]);
    assert_eq!((run.status, run.out.as_str()), (Some(1), ""));
    assert!(run.err.contains("--kubeconfig"), "{}", run.err);
    // In a pod that has no service account's token. (These tests may themselves run in one that
    // has.)
    if !std::path::Path::new("/var/run/secrets/kubernetes.io/serviceaccount").exists() {
        let pod = [
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", "1"),
        ];
        let run = report(&pod);
        assert_eq!((run.status, run.out.as_str()), (Some(1), ""));
        assert!(run.err.contains("serviceAccountName"), "{}", run.err);
    }
}
