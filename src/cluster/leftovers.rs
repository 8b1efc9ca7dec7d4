//! What old runs left in the cluster, and its removal.
//!
//! The cluster itself ends and deletes every helper (see [`helper`](super::helper)); this is for whoever does not want to wait
//! for that, and for clusters where it does not work.

use super::connect::Cluster;
use super::error::{Doing, explain, is_missing_right, is_not_found};
use super::manifest::MANAGED_BY;
use anyhow::anyhow;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::client::Body;
use kube::core::Request;
use kube::{Api, Resource as _, ResourceExt as _};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// A lease with less than this is one that nobody renews: a living plugin never lets it come below a minute.
const EXPIRING: i64 = 20;
/// How long pods may take to go.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether they have gone.
const LOOK: Duration = Duration::from_millis(500);

/// What becomes of something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody uses it any more.
    Left,
    /// Somebody captures with it: seconds that its lease has left.
    InUse(i64),
    /// It is being deleted already.
    Going,
}

/// A Job or a pod of an old run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is a Job, and not a pod without one.
    pub is_job: bool,
    /// What it captures, and who started it, in words.
    pub about: String,
    /// What becomes of it.
    pub fate: Fate,
}

impl Leftover {
    /// `job NAMESPACE/NAME`.
    #[must_use]
    pub fn full_name(&self) -> String {
        let kind = if self.is_job { "job" } else { "pod" };
        format!("{kind} {}/{}", self.namespace, self.name)
    }
}

/// How far an ephemeral container of an old run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestState {
    /// It runs.
    Running,
    /// It waits; with the reason, where there is one.
    Waiting(Option<String>),
    /// It has ended.
    Ended,
}

/// An ephemeral container of some run. Nobody can delete it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// How far it is.
    pub state: GuestState,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Jobs, and pods without one.
    pub leftovers: Vec<Leftover>,
    /// Ephemeral containers.
    pub guests: Vec<Guest>,
}

/// Looks for it in a namespace, or everywhere.
///
/// # Errors
/// If the cluster cannot be asked: a sentence that names the right that is missing, or the next step.
pub async fn find(cluster: &Cluster, namespace: Option<&str>) -> anyhow::Result<Found> {
    let (key, value) = MANAGED_BY;
    let own = ListParams::default().labels(&format!("{key}={value}"));
    let jobs = of::<Job>(cluster, namespace).list(&own).await;
    let jobs = jobs
        .map_err(|error| refused(error, "jobs", namespace))?
        .items;
    let pods = of::<Pod>(cluster, namespace)
        .list(&ListParams::default())
        .await;
    let pods = pods
        .map_err(|error| refused(error, "pods", namespace))?
        .items;
    let now = now(cluster, namespace).await;
    Ok(sort(&jobs, &pods, now))
}

fn of<K>(cluster: &Cluster, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    let client = cluster.client.clone();
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

fn refused(error: kube::Error, resource: &str, namespace: Option<&str>) -> anyhow::Error {
    if is_missing_right(&error) && namespace.is_none() {
        return anyhow!(
            "you may not list {resource} in all namespaces: name one with -n, or ask for a ClusterRole with list on pods and \
             jobs"
        );
    }
    explain(
        error,
        Doing::request("list", resource, namespace.unwrap_or_default(), resource),
    )
}

/// The server's time in seconds since the Unix epoch: leases are told in it, and a laptop's clock may be off.
async fn now(cluster: &Cluster, namespace: Option<&str>) -> i64 {
    let own = jiff::Timestamp::now().as_second();
    let request = Request::new(Job::url_path(&(), namespace)).list(&ListParams::default().limit(1));
    let Ok(request) = request else {
        return own;
    };
    let Ok(answer) = cluster.client.send(request.map(Body::from)).await else {
        return own;
    };
    let date = answer.headers().get("date");
    let date = date.and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    date.map_or(own, |date| date.timestamp().as_second())
}

fn sort(jobs: &[Job], pods: &[Pod], now: i64) -> Found {
    let mut found = Found::default();
    let is_own = |pod: &&Pod| {
        let (key, value) = MANAGED_BY;
        pod.labels().get(key).is_some_and(|label| label == value)
    };
    let mut of_jobs: HashMap<&str, &Pod> = HashMap::new();
    let uids: Vec<Option<&str>> = jobs.iter().map(|job| job.metadata.uid.as_deref()).collect();
    for pod in pods.iter().filter(is_own) {
        let owner = pod.owner_references().iter().find(|one| one.kind == "Job");
        if let Some(owner) = owner.filter(|owner| uids.contains(&Some(owner.uid.as_str()))) {
            of_jobs.insert(&owner.uid, pod);
            continue;
        }
        let going = pod.metadata.deletion_timestamp.is_some();
        found.leftovers.push(Leftover {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            is_job: false,
            about: about(pod),
            fate: if going { Fate::Going } else { Fate::Left },
        });
    }
    for job in jobs {
        let pod = job.metadata.uid.as_deref().and_then(|uid| of_jobs.get(uid));
        found.leftovers.push(Leftover {
            namespace: job.namespace().unwrap_or_default(),
            name: job.name_any(),
            is_job: true,
            about: about(job),
            fate: fate(job, pod.copied(), now),
        });
    }
    for pod in pods {
        found.guests.extend(guests(pod));
    }
    found
}

fn about<K: kube::Resource>(object: &K) -> String {
    let annotations = object.meta().annotations.as_ref();
    let said = |key: &str| {
        let value = annotations.and_then(|annotations| annotations.get(key));
        value.map_or("somebody", String::as_str)
    };
    format!(
        "of {}, started by {}",
        said("meshsniff-targets"),
        said("meshsniff-started-by")
    )
}

fn fate(job: &Job, pod: Option<&Pod>, now: i64) -> Fate {
    if job.metadata.deletion_timestamp.is_some() {
        return Fate::Going;
    }
    let status = job.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let ended = conditions.into_iter().flatten().any(|one| {
        matches!(
            one.type_.as_str(),
            "Complete" | "Failed" | "FailureTarget" | "SuccessCriteriaMet"
        ) && one.status == "True"
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
    let (Some(started), Some(lease)) = (started, lease) else {
        return Fate::Left;
    };
    let left = started
        .0
        .as_second()
        .saturating_add(lease)
        .saturating_sub(now);
    if left > EXPIRING {
        Fate::InUse(left)
    } else {
        Fate::Left
    }
}

fn guests(pod: &Pod) -> Vec<Guest> {
    let declared = pod
        .spec
        .iter()
        .flat_map(|spec| spec.ephemeral_containers.iter().flatten());
    let own = declared.filter(|one| one.name.starts_with("meshsniff-"));
    let status = pod.status.as_ref();
    let over = matches!(
        status.and_then(|status| status.phase.as_deref()),
        Some("Succeeded" | "Failed")
    );
    own.map(|one| {
        let statuses = status
            .iter()
            .flat_map(|status| status.ephemeral_container_statuses.iter().flatten());
        let mut statuses = statuses.filter(|status| status.name == one.name);
        let state = statuses.next().and_then(|status| status.state.as_ref());
        Guest {
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            container: one.name.clone(),
            state: if over {
                GuestState::Ended
            } else {
                guest_state(state)
            },
        }
    })
    .collect()
}

fn guest_state(state: Option<&ContainerState>) -> GuestState {
    let Some(state) = state else {
        return GuestState::Waiting(None);
    };
    if state.terminated.is_some() {
        GuestState::Ended
    } else if state.running.is_some() {
        GuestState::Running
    } else {
        GuestState::Waiting(
            state
                .waiting
                .as_ref()
                .and_then(|waiting| waiting.reason.clone()),
        )
    }
}

/// Deletes it, with what it made.
///
/// # Errors
/// If the cluster refuses, in a sentence.
pub async fn remove(cluster: &Cluster, leftover: &Leftover) -> anyhow::Result<()> {
    let namespace = leftover.namespace.as_str();
    let client = cluster.client.clone();
    let params = DeleteParams::background();
    let (resource, deleted) = if leftover.is_job {
        let api: Api<Job> = Api::namespaced(client, namespace);
        ("jobs", api.delete(&leftover.name, &params).await.map(drop))
    } else {
        let api: Api<Pod> = Api::namespaced(client, namespace);
        ("pods", api.delete(&leftover.name, &params).await.map(drop))
    };
    match deleted {
        Ok(()) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(explain(
            error,
            Doing::request("delete", resource, namespace, &leftover.full_name()),
        )),
    }
}

/// Waits until none of these is there any more, nor a pod of theirs; names what still is.
///
/// # Errors
/// If the cluster cannot be asked.
pub async fn wait_until_gone(
    cluster: &Cluster,
    namespace: Option<&str>,
    removed: &[Leftover],
) -> anyhow::Result<Vec<Leftover>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = find(cluster, namespace).await?;
        let is_of = |one: &Leftover| {
            removed.iter().any(|old| {
                // A Job's pods are called after it.
                let same = one.name == old.name || one.name.starts_with(&format!("{}-", old.name));
                old.namespace == one.namespace && same
            })
        };
        let left: Vec<Leftover> = found.leftovers.into_iter().filter(is_of).collect();
        if left.is_empty() || Instant::now() > deadline {
            return Ok(left);
        }
        tokio::time::sleep(LOOK).await;
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

    fn job(status: Value) -> Job {
        serde_json::from_value(json!({
            "metadata": {"name": "meshsniff-a", "namespace": "shop", "uid": "j",
                "annotations": {"meshsniff-targets": "shop/catalog", "meshsniff-started-by": "eve"}},
            "spec": {"activeDeadlineSeconds": 90, "template": {}},
            "status": status,
        }))
        .unwrap()
    }

    fn pod(phase: &str, owner: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "meshsniff-a-x", "namespace": "shop", "uid": "p", "labels": {MANAGED_BY.0: MANAGED_BY.1},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "meshsniff-a", "uid": owner}]},
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    fn fate_of(status: Value, phase: &str, after: i64) -> Fate {
        let found = sort(&[job(status)], &[pod(phase, "j")], started() + after);
        assert_eq!(found.leftovers.len(), 1, "its pod goes with it");
        found.leftovers[0].fate.clone()
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
        let found = sort(&[], &[pod("Running", "gone")], 0);
        assert_eq!(found.leftovers.len(), 1);
        assert_eq!(found.leftovers[0].full_name(), "pod shop/meshsniff-a-x");
        assert_eq!(found.leftovers[0].fate, Fate::Left);
        assert!(found.guests.is_empty());
    }

    #[test]
    fn whose_it_was_is_told() {
        let found = sort(&[job(json!({}))], &[], 0);
        assert_eq!(found.leftovers[0].about, "of shop/catalog, started by eve");
    }

    #[test]
    fn ephemeral_containers_are_told_apart() {
        let status = |name: &str, state: Value| {
            json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": state})
        };
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "catalog", "namespace": "shop"},
            "spec": {"containers": [], "ephemeralContainers": [
                {"name": "meshsniff-a"}, {"name": "meshsniff-b"}, {"name": "meshsniff-c"}, {"name": "debugger"}]},
            "status": {"phase": "Running", "ephemeralContainerStatuses": [
                status("meshsniff-a", json!({"running": {}})),
                status("meshsniff-b", json!({"terminated": {"exitCode": 0}})),
                status("meshsniff-c", json!({"waiting": {"reason": "ImagePullBackOff"}})),
                status("debugger", json!({"running": {}})),
            ]},
        }))
        .unwrap();
        let states: Vec<GuestState> = guests(&pod).into_iter().map(|one| one.state).collect();
        let waiting = GuestState::Waiting(Some("ImagePullBackOff".to_owned()));
        assert_eq!(states, [GuestState::Running, GuestState::Ended, waiting]);
    }
}
