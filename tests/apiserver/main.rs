//! The plugin as it was built, against an API server that changes what is sent to it.
//!
//! What a webhook may do to a helper, and what becomes of pods whose Job somebody deleted. No pod
//! ever runs here: `tests/cluster` has a cluster.

#![cfg(unix)]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests: a program that runs is waited for, and what fails is a failure"
)]

mod server;

use serde_json::{Value, json};
use server::{Server, Ways, Webhook};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-meshsniff");

/// How long the start of a helper may take.
const START: Duration = Duration::from_secs(4);

fn kubeconfig(server: &Server, folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("kubeconfig");
    let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": server.address}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x",
            "namespace": "shop"}}]});
    std::fs::write(&path, text.to_string()).unwrap();
    path
}

/// Starts the plugin at a server.
fn start(server: &Server, folder: &tempfile::TempDir, args: &[&str]) -> Child {
    Command::new(PROGRAM)
        .args(args)
        .arg("--kubeconfig")
        .arg(kubeconfig(server, folder))
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Captures `app`, and returns what was said and how long it took.
fn capture(server: &Server, more: &[&str]) -> (String, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let timeout = format!("{}s", START.as_secs());
    let args = [
        "app",
        "-w",
        "-",
        "--image",
        "agent:1",
        "--timeout",
        &timeout,
    ];
    let began = Instant::now();
    let child = start(server, &folder, &[&args[..], more].concat());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{said}");
    (said, began.elapsed())
}

fn add_container(pod: &mut Value) {
    let containers = pod["spec"]["containers"].as_array_mut().unwrap();
    containers.push(json!({"name": "proxy", "image": "proxy:1"}));
    pod["spec"]["terminationGracePeriodSeconds"] = json!(3600);
}

/// Asserts that this ends a run at once, and that nothing is left.
fn ends_at_once(ways: Ways, more: &[&str], words: &[&str]) {
    let server = Server::start(ways);
    let (said, took) = capture(&server, more);
    for words in [&["is not what was asked for"], words].concat() {
        assert!(said.contains(words), "{words:?} is not in: {said}");
    }
    assert!(took < START, "{took:?}: {said}");
    let state = server.state();
    assert!(
        state.jobs.is_empty() && state.helpers().is_empty(),
        "{said}"
    );
}

fn of_pods(of_pods: Webhook) -> Ways {
    Ways {
        of_pods,
        ..Ways::default()
    }
}

/// Asserts that this is told where the helper does not start, and that nothing is left.
fn is_told(webhook: Webhook, words: &[&str]) {
    let server = Server::start(of_pods(webhook));
    let (said, took) = capture(&server, &[]);
    for words in [&["did not start within"], words].concat() {
        assert!(said.contains(words), "{words:?} is not in: {said}");
    }
    assert!(took >= START, "{took:?}");
    assert!(server.state().jobs.is_empty() && server.state().helpers().is_empty());
}

#[test]
fn a_sidecar_is_told_and_goes_with_the_run() {
    let words = ["container proxy was added", "a mutating webhook"];
    is_told(add_container, &words);
}

#[test]
fn what_makes_another_helper_of_it_ends_the_run_at_once() {
    let cases: [(Webhook, &str); 5] = [
        (
            |pod| pod["spec"]["containers"][0]["image"] = json!("other:1"),
            "from agent:1 to other:1",
        ),
        (
            |pod| pod["spec"]["containers"][0]["command"] = json!(["/bin/sh"]),
            "command of container agent was changed",
        ),
        (
            |pod| pod["spec"]["hostPID"] = Value::Null,
            "hostPID (true) was removed",
        ),
        (
            |pod| {
                let security = &mut pod["spec"]["containers"][0]["securityContext"];
                security["capabilities"] = json!({"drop": ["ALL"]});
            },
            "securityContext.capabilities",
        ),
        (
            // It is not found by its label any more.
            |pod| pod["metadata"]["labels"]["meshsniff-run"] = json!("other"),
            "label meshsniff-run",
        ),
    ];
    for (webhook, words) in cases {
        ends_at_once(of_pods(webhook), &[], &[words]);
    }
}

/// A server whose node is marked so.
fn on_node(labels: Value, taints: Value) -> Server {
    let server = Server::start(Ways::default());
    server.state().node = json!({"kind": "Node", "apiVersion": "v1",
        "metadata": {"name": "n1", "labels": labels}, "spec": {"taints": taints}});
    server
}

/// Whether something was made, in a place that ends so.
fn was_made(server: &Server, place: &str) -> bool {
    let state = server.state();
    let mut requests = state.requests.iter();
    requests
        .any(|(verb, path, _)| ["POST", "PATCH"].contains(&verb.as_str()) && path.ends_with(place))
}

fn fargate() -> (Value, Value) {
    let taint = json!({"key": "eks.amazonaws.com/compute-type", "value": "fargate",
        "effect": "NoSchedule"});
    (json!({"kubernetes.io/os": "linux"}), json!([taint]))
}

#[test]
fn nothing_is_made_on_a_node_where_it_cannot_run() {
    let windows = (json!({"kubernetes.io/os": "windows"}), json!([]));
    let azure = (json!({"type": "virtual-kubelet"}), json!([]));
    for (marks, mode, words) in [
        (&windows, "pod", "node n1 runs windows"),
        (&windows, "ephemeral", "node n1 runs windows"),
        (&windows, "auto", "node n1 runs windows"),
        (&fargate(), "pod", "node n1 is of AWS Fargate"),
        (&azure, "pod", "a Virtual Kubelet"),
    ] {
        let (labels, taints) = marks.clone();
        let server = on_node(labels, taints);
        let (said, took) = capture(&server, &["--mode", mode]);
        assert!(said.contains(words), "{words:?} is not in: {said}");
        assert!(took < START, "{took:?}: {said}");
        assert!(!was_made(&server, "/jobs") && !was_made(&server, "/ephemeralcontainers"));
    }
}

#[test]
fn auto_takes_the_way_that_the_node_leaves_open() {
    let (labels, taints) = fargate();
    let server = on_node(labels, taints);
    let (said, _) = capture(&server, &["--mode", "auto"]);
    assert!(said.contains("AWS Fargate"), "{said}");
    assert!(!was_made(&server, "/jobs") && was_made(&server, "/ephemeralcontainers"));
}

#[test]
fn doctor_tells_what_the_node_is() {
    let autopilot = json!({"cloud.google.com/gke-autopilot": "true"});
    let (labels, taints) = fargate();
    for (labels, taints, words) in [
        (labels, taints, "FAIL node n1 is of AWS Fargate"),
        (autopilot, json!([]), "warn node n1 is of GKE Autopilot"),
        (
            json!({"kubernetes.io/os": "windows"}),
            json!([]),
            "FAIL node n1 runs windows",
        ),
        (json!({}), json!([]), "ok   node n1 can run the agent"),
    ] {
        let server = on_node(labels, taints);
        let folder = tempfile::tempdir().unwrap();
        let child = start(&server, &folder, &["doctor", "app"]);
        let said = child.wait_with_output().unwrap().stdout;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(words), "{words:?} is not in: {said}");
    }
}

#[test]
fn a_changed_job_ends_the_run_at_once() {
    let ways = Ways {
        of_jobs: |job| job["spec"]["parallelism"] = json!(3),
        ..Ways::default()
    };
    ends_at_once(ways, &[], &["parallelism was changed from 1 to 3"]);
}

#[test]
fn a_changed_ephemeral_container_ends_the_run_at_once() {
    let ways = Ways {
        of_target: |pod| {
            pod["spec"]["ephemeralContainers"][0]["command"] = json!(["/bin/sh"]);
        },
        ..Ways::default()
    };
    let words = [
        "the ephemeral container is not",
        "command of container",
        "--mode pod",
        "it runs what was made of it",
    ];
    ends_at_once(ways, &["--mode", "ephemeral"], &words);
}

#[test]
fn a_field_manager_is_named() {
    let webhook: Webhook = |pod| {
        add_container(pod);
        pod["metadata"]["managedFields"] = json!([{"manager": "mallory", "operation": "Update",
            "fieldsV1": {"f:spec": {"f:containers": {"k:{\"name\":\"proxy\"}": {".": {}}}}}}]);
    };
    is_told(webhook, &["container proxy was added by mallory"]);
}

#[test]
fn what_does_no_harm_is_told_where_the_helper_does_not_start() {
    let webhook: Webhook = |pod| {
        pod["metadata"]["labels"]["team"] = json!("mesh");
        pod["spec"]["nodeSelector"] = json!({"zone": "a"});
        pod["spec"]["initContainers"] = json!([{"name": "first", "image": "first:1"}]);
    };
    let words = [
        "label team (mesh) was added",
        "nodeSelector",
        "init container first was added",
    ];
    is_told(webhook, &words);
}

#[test]
fn nothing_is_told_of_a_helper_that_was_not_changed() {
    let server = Server::start(Ways::default());
    let (said, _) = capture(&server, &[]);
    assert!(said.contains("did not start within"), "{said}");
    assert!(
        !said.contains("webhook") && !said.contains("added"),
        "{said}"
    );
}

/// Interrupts a start whose Job somebody deleted without its pod.
fn orphaned(ways: Ways) -> (Server, String) {
    let server = Server::start(ways);
    let folder = tempfile::tempdir().unwrap();
    let args = ["app", "-w", "-", "--image", "agent:1", "--timeout", "60s"];
    let child = start(&server, &folder, &args);
    server.wait_until("a helper", |state| !state.helpers().is_empty());
    server.wait_until("a renewal of its lease", |state| {
        state.requests.iter().any(|(verb, ..)| verb == "PATCH")
    });
    server.state().orphan();
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (server, said)
}

#[test]
fn a_pod_that_lost_its_job_goes_with_the_run() {
    let (server, said) = orphaned(Ways::default());
    assert!(server.state().helpers().is_empty(), "{said}");
}

#[test]
fn a_pod_that_cannot_be_deleted_is_named() {
    let (server, said) = orphaned(Ways {
        may_delete_pods: false,
        ..Ways::default()
    });
    assert_eq!(server.state().helpers().len(), 1);
    for words in ["has lost its job", "kubectl -n shop delete pod meshsniff-"] {
        assert!(said.contains(words), "{words:?} is not in: {said}");
    }
}

#[test]
fn cleanup_finds_a_pod_that_lost_its_job() {
    let server = Server::start(Ways::default());
    let label = |key: &str, value: &str| json!({key: value});
    for (name, labels) in [
        (
            "meshsniff-a-x",
            label("app.kubernetes.io/managed-by", "kubectl-meshsniff"),
        ),
        ("meshsniff-b-x", label("meshsniff-run", "b")),
        ("else", label("app", "else")),
    ] {
        let pod = json!({"kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "shop", "labels": labels},
            "spec": {"containers": []}, "status": {"phase": "Succeeded"}});
        server.state().pods.push(pod);
    }
    let folder = tempfile::tempdir().unwrap();
    let output = start(&server, &folder, &["cleanup"]).wait_with_output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    for words in [
        "removed pod shop/meshsniff-a-x",
        "removed pod shop/meshsniff-b-x",
    ] {
        assert!(said.contains(words), "{words:?} is not in: {said}");
    }
    let state = server.state();
    let left: Vec<_> = state
        .helpers()
        .into_iter()
        .map(|pod| &pod["metadata"]["name"])
        .collect();
    assert_eq!(left, ["else"]);
}
