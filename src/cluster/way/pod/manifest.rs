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
