//! What is left of helpers: Jobs, and pods without one.

use crate::cluster::manifest::{MANAGED_BY, RUN, STARTED_BY, TARGETS};
use crate::cluster::traces::{Fate, Leftover};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// A lease with less than this is one that nobody renews: a living plugin never lets it come below
/// a minute.
const EXPIRING: i64 = 20;

/// Pods without a Job, and Jobs.
pub(super) fn sort(jobs: &[Job], pods: &[Pod], now: i64) -> Vec<Leftover> {
    let (key, value) = MANAGED_BY;
    let is_own = |pod: &&Pod| {
        let managed = pod.labels().get(key).is_some_and(|label| label == value);
        // One of the labels is enough: somebody may have changed the other.
        managed || pod.labels().contains_key(RUN)
    };
    let job_of = |pod: &Pod| {
        let owner = pod
            .owner_references()
            .iter()
            .find(|one| one.kind == "Job")?;
        jobs.iter()
            .position(|job| job.metadata.uid.as_ref() == Some(&owner.uid))
    };
    let mut of_jobs: Vec<Option<&Pod>> = vec![None; jobs.len()];
    let mut found = Vec::new();
    for pod in pods.iter().filter(is_own) {
        match job_of(pod) {
            Some(job) => of_jobs[job] = Some(pod),
            None if pod.metadata.deletion_timestamp.is_some() => {
                found.push(Leftover::new(pod, about(pod), Fate::Going));
            }
            None => found.push(Leftover::new(pod, about(pod), Fate::Left)),
        }
    }
    let jobs = jobs.iter().zip(of_jobs);
    found.extend(jobs.map(|(job, pod)| Leftover::new(job, about(job), fate(job, pod, now))));
    found
}

fn about<K: kube::Resource>(object: &K) -> String {
    let said = |key: &str| {
        object
            .annotations()
            .get(key)
            .map_or("somebody", String::as_str)
    };
    format!("of {}, started by {}", said(TARGETS), said(STARTED_BY))
}

fn fate(job: &Job, pod: Option<&Pod>, now: i64) -> Fate {
    if job.metadata.deletion_timestamp.is_some() {
        return Fate::Going;
    }
    let status = job.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let ended = conditions.into_iter().flatten().any(|one| {
        let ends = ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"];
        ends.contains(&one.type_.as_str()) && one.status == "True"
    });
    let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
    if ended || matches!(phase, Some("Succeeded" | "Failed")) {
        return Fate::Left;
    }
    // One that has no running pod yet is somebody's start, as long as its lease is.
    let started = status.and_then(|status| status.start_time.as_ref());
    let started = started.or(job.metadata.creation_timestamp.as_ref());
    let lease = job
        .spec
        .as_ref()
        .and_then(|spec| spec.active_deadline_seconds);
    let left = |(started, lease): (i64, i64)| started.saturating_add(lease).saturating_sub(now);
    match started.map(|time| time.0.as_second()).zip(lease).map(left) {
        Some(left) if left > EXPIRING => Fate::InUse(left),
        _ => Fate::Left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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
}
