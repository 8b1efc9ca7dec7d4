//! The helper's manifests, and what is left of helpers.

use super::*;
use crate::cluster::bringing::Source;
use crate::cluster::manifest::HelperOptions;
use serde_json::Value;

fn target() -> Target {
    Target {
        addresses: Vec::new(),
        ..Target::for_tests()
    }
}

fn options() -> HelperOptions {
    HelperOptions {
        source: Source {
            image: "agent:1".to_owned(),
            ..Source::default()
        },
        labels: vec![("team".to_owned(), "mesh".to_owned())],
        ..HelperOptions::default()
    }
}

/// The Job and the Pod of a helper.
async fn made(options: &HelperOptions) -> (Job, Pod) {
    let config = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
    let cluster = Cluster {
        client: kube::Client::try_from(config).unwrap(),
        namespace: "shop".to_owned(),
        server: String::new(),
    };
    let shared = ("shop".to_owned(), "n1".to_owned());
    let targets = [target()];
    let making = Making::new(&cluster, options, &shared, &targets);
    let run = Run::new();
    let job = serde_json::from_value(job(&making, &Brought::Image, &run)).unwrap();
    (
        job,
        serde_json::from_value(pod(&making, &Brought::Image, &run)).unwrap(),
    )
}

#[tokio::test]
async fn the_manifests_are_what_the_cluster_reads() {
    let (job, pod) = made(&options()).await;
    let spec = job.spec.unwrap();
    assert_eq!(spec.active_deadline_seconds, Some(LEASE));
    let template = spec.template;
    let labels = template.metadata.unwrap().labels.unwrap();
    assert_eq!(labels["team"], "mesh");
    assert_eq!(labels["sidecar.istio.io/inject"], "false");
    assert_eq!(pod.spec, template.spec, "what is tried is what is made");
    let spec = pod.spec.unwrap();
    assert_eq!(spec.host_pid, Some(true));
    assert_eq!(spec.node_name.as_deref(), Some("n1"));
    let container = &spec.containers[0];
    let names: Vec<_> = container
        .env
        .iter()
        .flatten()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["MESHSNIFF_TARGETS", "MESHSNIFF_HOLD"]);
    let pinned = &container.env.as_ref().unwrap()[0];
    assert_eq!(pinned.value.as_deref(), Some("u-1"));
    assert!(container.image_pull_policy.is_none());
}

#[tokio::test]
async fn an_own_label_is_never_taken_over() {
    let mut options = options();
    let (key, value) = MANAGED_BY;
    options.labels.push((key.to_owned(), "helm".to_owned()));
    let (_, pod) = made(&options).await;
    assert_eq!(pod.metadata.labels.unwrap()[key], value);
}

const STARTED: &str = "2026-11-24T08:00:00Z";

fn started() -> i64 {
    STARTED.parse::<jiff::Timestamp>().unwrap().as_second()
}

fn old_job(status: Value) -> Job {
    serde_json::from_value(json!({
        "metadata": {"name": "meshsniff-a", "namespace": "shop", "uid": "j",
            "annotations": {"meshsniff-targets": "shop/catalog", "meshsniff-started-by": "eve"}},
        "spec": {"activeDeadlineSeconds": 90, "template": {}},
        "status": status,
    }))
    .unwrap()
}

fn old_pod(phase: &str, owner: &str) -> Pod {
    let owner =
        json!({"apiVersion": "batch/v1", "kind": "Job", "name": "meshsniff-a", "uid": owner});
    serde_json::from_value(json!({
        "metadata": {"name": "meshsniff-a-x", "namespace": "shop", "uid": "p",
            "labels": {MANAGED_BY.0: MANAGED_BY.1}, "ownerReferences": [owner]},
        "status": {"phase": phase},
    }))
    .unwrap()
}

fn fate_of(status: Value, phase: &str, after: i64) -> Fate {
    let found = sort(
        &[old_job(status)],
        &[old_pod(phase, "j")],
        started() + after,
    );
    assert_eq!(found.len(), 1, "its pod goes with it");
    found[0].fate.clone()
}

#[test]
fn a_lease_that_is_renewed_is_somebodys_capture() {
    let running = json!({"startTime": STARTED});
    assert_eq!(fate_of(running.clone(), "Running", 30), Fate::InUse(60));
    assert_eq!(fate_of(running.clone(), "Pending", 30), Fate::InUse(60));
    assert_eq!(fate_of(running.clone(), "Running", 75), Fate::Left);
    assert_eq!(fate_of(running, "Succeeded", 30), Fate::Left);
    let ended =
        json!({"startTime": STARTED, "conditions": [{"type": "Complete", "status": "True"}]});
    assert_eq!(fate_of(ended, "Running", 30), Fate::Left);
}

#[test]
fn a_pod_without_its_job_is_left() {
    let found = sort(&[], &[old_pod("Running", "gone")], 0);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].full_name(), "pod shop/meshsniff-a-x");
    assert_eq!(found[0].fate, Fate::Left);
}

#[test]
fn a_pod_is_known_by_either_label() {
    let labelled = |labels: Value| {
        let mut pod = old_pod("Succeeded", "gone");
        pod.metadata.labels = serde_json::from_value(labels).unwrap();
        // As `--cascade=orphan` leaves it.
        pod.metadata.owner_references = None;
        sort(&[], &[pod], 0).len()
    };
    assert_eq!(labelled(json!({RUN: "a"})), 1);
    assert_eq!(labelled(json!({MANAGED_BY.0: MANAGED_BY.1})), 1);
    assert_eq!(labelled(json!({MANAGED_BY.0: "helm"})), 0);
}

#[test]
fn a_leftover_names_its_owner() {
    let found = sort(&[old_job(json!({}))], &[], 0);
    assert_eq!(found[0].full_name(), "job shop/meshsniff-a");
    assert_eq!(found[0].about, "of shop/catalog, started by eve");
}
