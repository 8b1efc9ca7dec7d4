//! The helper's Job, and the Pod that it makes. The reasons for every field that is not usual stand
//! beside it.

use super::super::way_in::Making;
use super::parts;
use crate::cluster::bringing::Brought;
use crate::cluster::manifest::{self, HelperOptions, Run};
use meshsniff_contract::environment;
use serde_json::{Value, json};

/// The helper's only container.
pub(super) const CONTAINER: &str = "agent";

/// Seconds that the helper's Job may run before the cluster ends it; the plugin moves that on while
/// it lives.
pub(super) const LEASE: i64 = 90;
/// Seconds after its end at which the cluster deletes the Job and its pod.
const TTL: i64 = 10;
/// Seconds that captures have for their trailers when the pod is deleted.
pub(super) const GRACE: u32 = 5;

fn security(options: &HelperOptions) -> Value {
    if options.privileged {
        return json!({"privileged": true, "runAsUser": 0, "readOnlyRootFilesystem": true});
    }
    json!({
        "runAsUser": 0,
        "runAsGroup": 0,
        "runAsNonRoot": false,
        // To look at other processes' namespaces, to enter one, and to open a packet socket there.
        // The agent gives all of it up before it looks at the first packet.
        "capabilities": {"drop": ["ALL"], "add": ["NET_RAW", "SYS_ADMIN", "SYS_PTRACE"]},
        "readOnlyRootFilesystem": true,
        "seccompProfile": {"type": "RuntimeDefault"},
        // The runtime's profile lets a container look at processes of the same profile only: a
        // target without one would not be found.
        "appArmorProfile": {"type": "Unconfined"},
    })
}

fn pod_spec(making: &Making<'_>, brought: &Brought, run: &Run) -> Value {
    let Making {
        options, targets, ..
    } = making;
    // The kernel's rings and the queue, 48 MiB for each capture.
    let memory = options.memory.clone();
    let memory = memory.unwrap_or_else(|| format!("{}Mi", 64 + 64 * targets.len().max(1)));
    let pinned: Vec<&str> = targets
        .iter()
        .map(|target| target.cgroup.as_str())
        .collect();
    let mut container = manifest::container(options, brought, run, CONTAINER, false);
    container["resources"] = json!({
        "requests": {"cpu": "10m", "memory": "16Mi"},
        "limits": {"cpu": "2", "memory": memory},
    });
    container["securityContext"] = security(options);
    if let Some(environment) = container["env"].as_array_mut() {
        // Whoever may exec into this pod may run the agent as it likes: these are the only pods it
        // captures.
        let pinned = json!({"name": environment::TARGETS, "value": pinned.join(",")});
        environment.insert(0, pinned);
    }
    let mut spec = json!({
        // No scheduler is asked: it has to be this node, full or not.
        "nodeName": making.shared,
        "hostPID": true,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        // A node that is tainted may be the very one to look at.
        "tolerations": [{"operator": "Exists"}],
    });
    let carrier = brought.carrier();
    if let Some(carrier) = carrier {
        parts::mount(&carrier.agent, &mut spec, &mut container);
    }
    spec["containers"] = json!([container]);
    let secrets = carrier.map_or(&options.source.pull_secrets, |carrier| {
        &carrier.pull_secrets
    });
    if !secrets.is_empty() {
        let secrets = secrets.iter();
        spec["imagePullSecrets"] = secrets.map(|name| json!({"name": name})).collect();
    }
    if let Some(account) = &options.service_account {
        spec["serviceAccountName"] = json!(account);
    }
    if let Some(class) = &options.priority_class {
        spec["priorityClassName"] = json!(class);
    }
    spec
}

fn metadata(making: &Making<'_>, run: &Run) -> Value {
    json!({
        "name": run.name(),
        "labels": manifest::labels(making.options, run),
        "annotations": manifest::annotations(making.options, run, making.targets),
    })
}

/// The helper's Job. The cluster itself ends it at the deadline, which the plugin moves on while it
/// lives, and deletes it soon after its end.
pub(super) fn job(making: &Making<'_>, brought: &Brought, run: &Run) -> Value {
    let metadata = metadata(making, run);
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": TTL,
            "activeDeadlineSeconds": LEASE,
            "template": {
                "metadata": {"labels": metadata["labels"], "annotations": metadata["annotations"]},
                "spec": pod_spec(making, brought, run),
            },
        },
    })
}

/// The Pod that the Job will make: Pod Security and quotas say what they think of a Pod, never of a
/// Job.
pub(super) fn pod(making: &Making<'_>, brought: &Brought, run: &Run) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(making, run),
        "spec": pod_spec(making, brought, run),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carried::{Architecture, Carried};
    use crate::cluster::bringing::{Carrier, Source};
    use crate::cluster::connect::Cluster;
    use crate::cluster::manifest::MANAGED_BY;
    use crate::cluster::target::Target;
    use k8s_openapi::api::batch::v1::Job;
    use k8s_openapi::api::core::v1::Pod;

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
        made_of(options, &Brought::Image).await
    }

    async fn made_of(options: &HelperOptions, brought: &Brought) -> (Job, Pod) {
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
        let job = serde_json::from_value(job(&making, brought, &run)).unwrap();
        (
            job,
            serde_json::from_value(pod(&making, brought, &run)).unwrap(),
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

    /// Nothing is pulled, and what it is carried in is executed by no other command.
    #[tokio::test]
    async fn an_agent_that_is_carried_takes_what_the_node_has() {
        let carrier = Carrier {
            agent: Carried {
                architecture: Architecture::Amd64,
                packed: b"agent",
                digest: "0123456789",
                loader: b"loader",
            },
            image: "pause:1".to_owned(),
            pull_secrets: vec!["regcred".to_owned()],
        };
        let (job, pod) = made_of(&options(), &Brought::Carried(carrier)).await;
        let spec = pod.spec.unwrap();
        assert_eq!(job.spec.unwrap().template.spec.as_ref(), Some(&spec));
        assert_eq!(spec.image_pull_secrets.unwrap()[0].name, "regcred");
        assert_eq!(spec.volumes.unwrap().len(), 2);
        let container = &spec.containers[0];
        assert_eq!(container.image.as_deref(), Some("pause:1"));
        assert_eq!(container.image_pull_policy.as_deref(), Some("Never"));
        let command = container.command.as_ref().unwrap();
        assert_eq!(command[..], ["/meshsniff/loader", "0123456789", "hold"]);
    }
}
