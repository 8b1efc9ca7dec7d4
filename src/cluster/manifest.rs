//! What is created in the cluster, as it is sent: the helper's Job, its Pod for a dry run, and the ephemeral container.
//!
//! Nothing here talks to anybody. The reasons for every field that is not usual stand beside it.

use super::target::Target;
use serde_json::{Map, Value, json};
use std::hash::{BuildHasher as _, Hasher as _};

/// The label by which all that belongs to this program is found, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kubectl-meshsniff");
/// The label by which one run's things are found.
pub const RUN: &str = "meshsniff-run";
/// What is captured, for whoever finds the helper.
const TARGETS: &str = "meshsniff-targets";
/// Who started it.
const STARTED_BY: &str = "meshsniff-started-by";

/// Names the pods that the helper may capture; see [`crate::cluster`].
const PINNED_ENV: &str = "MESHSNIFF_TARGETS";
/// Names the socket by which captures tell `hold` that they run: an ephemeral container shares the pod's
/// network namespace, and with it the names of such sockets.
const HOLD_ENV: &str = "MESHSNIFF_HOLD";

/// The agent inside its image.
pub const AGENT: &str = "/meshsniff-agent";
/// The helper's only container.
pub const CONTAINER: &str = "agent";

/// Seconds that the helper's Job may run before the cluster ends it; the plugin moves that on while it lives.
pub const LEASE: i64 = 90;
/// Seconds after its end at which the cluster deletes the Job and its pod.
const TTL: i64 = 30;
/// Seconds that captures have for their trailers when the pod is deleted.
const GRACE: i64 = 5;

/// How the helper is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelperOptions {
    /// The agent's image.
    pub image: String,
    /// When the image is pulled; the cluster's default if empty.
    pub pull_policy: Option<String>,
    /// Names of secrets to pull it with.
    pub pull_secrets: Vec<String>,
    /// The service account; the namespace's default if empty.
    pub service_account: Option<String>,
    /// The priority class.
    pub priority_class: Option<String>,
    /// More labels.
    pub labels: Vec<(String, String)>,
    /// More annotations.
    pub annotations: Vec<(String, String)>,
    /// Privileged, instead of the capabilities that it takes: where SELinux wants it.
    pub privileged: bool,
    /// The memory limit, such as `256Mi`.
    pub memory: Option<String>,
}

/// One run of the plugin, as far as the cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// A name that no other run has.
    pub id: String,
    /// Who runs it.
    pub user: String,
}

impl Run {
    /// A run with a name made up at random.
    #[must_use]
    pub fn new() -> Self {
        let user = ["USER", "USERNAME", "LOGNAME"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok());
        Self {
            id: random_name(),
            user: user.unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

impl Default for Run {
    fn default() -> Self {
        Self::new()
    }
}

/// Ten letters and digits. The standard library seeds its hashers from the system's random numbers.
pub fn random_name() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let mut number = hasher.finish();
    let mut name = String::new();
    for _ in 0..10 {
        name.push(char::from(LETTERS[(number % 32) as usize]));
        number /= 32;
    }
    name
}

fn map(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect()
}

fn labels(options: &HelperOptions, run: &Run) -> Value {
    let mut labels = map(&options.labels);
    // Meshes that inject by webhook skip pods with these labels before they ask anybody: the annotation alone is of no use
    // when the injector is down.
    for (key, value) in [
        ("app.kubernetes.io/name", "meshsniff"),
        MANAGED_BY,
        (RUN, run.id.as_str()),
        ("sidecar.istio.io/inject", "false"),
    ] {
        labels.insert(key.to_owned(), json!(value));
    }
    Value::Object(labels)
}

fn annotations(options: &HelperOptions, run: &Run, targets: &[Target]) -> Value {
    let mut annotations = map(&options.annotations);
    let names: Vec<String> = targets.iter().map(Target::full_name).collect();
    for (key, value) in [
        (TARGETS, names.join(",").as_str()),
        (STARTED_BY, &run.user),
        ("sidecar.istio.io/inject", "false"),
        ("linkerd.io/inject", "disabled"),
        ("consul.hashicorp.com/connect-inject", "false"),
        ("kuma.io/sidecar-injection", "disabled"),
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "true"),
    ] {
        annotations.insert(key.to_owned(), json!(value));
    }
    Value::Object(annotations)
}

fn security(options: &HelperOptions) -> Value {
    if options.privileged {
        return json!({"privileged": true, "runAsUser": 0, "readOnlyRootFilesystem": true});
    }
    json!({
        "runAsUser": 0,
        "runAsGroup": 0,
        "runAsNonRoot": false,
        // To look at other processes' namespaces, to enter one, and to open a packet socket there. The agent gives
        // all of it up before it looks at the first packet.
        "capabilities": {"drop": ["ALL"], "add": ["NET_RAW", "SYS_ADMIN", "SYS_PTRACE"]},
        "readOnlyRootFilesystem": true,
        "seccompProfile": {"type": "RuntimeDefault"},
        // The runtime's profile lets a container look at processes of the same profile only: a target without one would
        // not be found.
        "appArmorProfile": {"type": "Unconfined"},
    })
}

fn pod_spec(options: &HelperOptions, run: &Run, node: &str, targets: &[Target]) -> Value {
    // The kernel's rings and the queue, 48 MiB for each capture.
    let memory = options.memory.clone().unwrap_or_else(|| {
        let megabytes = 64 + 64 * targets.len().max(1);
        format!("{megabytes}Mi")
    });
    let pinned: Vec<&str> = targets
        .iter()
        .map(|target| target.cgroup.as_str())
        .collect();
    let mut container = json!({
        "name": CONTAINER,
        "image": options.image,
        "command": [AGENT, "hold"],
        "env": [
            // Whoever may exec into this pod may run the agent as it likes: these are the only pods it captures.
            {"name": PINNED_ENV, "value": pinned.join(",")},
            {"name": HOLD_ENV, "value": run.id},
        ],
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"cpu": "2", "memory": memory},
        },
        "securityContext": security(options),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if let Some(policy) = &options.pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    let mut spec = json!({
        // No scheduler is asked: it has to be this node, full or not.
        "nodeName": node,
        "hostPID": true,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        // A node that is tainted may be the very one to look at.
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
    });
    if !options.pull_secrets.is_empty() {
        let secrets = options.pull_secrets.iter();
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

/// The helper's Job. The cluster itself ends it: at the deadline, which the plugin moves on while it lives, and
/// deletes it soon after its end.
#[must_use]
pub fn job(options: &HelperOptions, run: &Run, node: &str, targets: &[Target]) -> Value {
    let labels = labels(options, run);
    let annotations = annotations(options, run, targets);
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": format!("meshsniff-{}", run.id),
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": TTL,
            "activeDeadlineSeconds": LEASE,
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": pod_spec(options, run, node, targets),
            },
        },
    })
}

/// The Pod that the Job will make: Pod Security and quotas say what they think of a Pod, never of a Job.
#[must_use]
pub fn pod(options: &HelperOptions, run: &Run, node: &str, targets: &[Target]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("meshsniff-{}", run.id),
            "labels": labels(options, run),
            "annotations": annotations(options, run, targets),
        },
        "spec": pod_spec(options, run, node, targets),
    })
}

/// The name of a run's ephemeral container: one of an old run cannot be used again.
#[must_use]
pub fn ephemeral_name(run: &Run) -> String {
    format!("meshsniff-{}", run.id)
}

/// The patch (strategic merge) that adds the ephemeral container to a pod.
#[must_use]
pub fn ephemeral(options: &HelperOptions, run: &Run) -> Value {
    let mut container = json!({
        "name": ephemeral_name(run),
        "image": options.image,
        "command": [AGENT, "hold", "--oom-score-adj", "1000"],
        "env": [{"name": HOLD_ENV, "value": run.id}],
        // No capability is added: Pod Security "baseline" forbids that, and the runtime's default set has NET_RAW.
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            // Or a pod whose spec says true would leave it waiting for ever.
            "runAsNonRoot": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if let Some(policy) = &options.pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    json!({"spec": {"ephemeralContainers": [container]}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::batch::v1::Job;
    use k8s_openapi::api::core::v1::Pod;

    fn target() -> Target {
        Target {
            namespace: "shop".to_owned(),
            name: "catalog".to_owned(),
            uid: "u-1".to_owned(),
            cgroup: "u-1".to_owned(),
            node: "n1".to_owned(),
            container: None,
            addresses: Vec::new(),
            host_network: false,
            containers: std::collections::BTreeSet::new(),
            ending: false,
        }
    }

    fn options() -> HelperOptions {
        HelperOptions {
            image: "agent:1".to_owned(),
            labels: vec![("team".to_owned(), "mesh".to_owned())],
            ..HelperOptions::default()
        }
    }

    #[test]
    fn names_are_not_given_twice() {
        let names: std::collections::HashSet<String> = (0..1000).map(|_| random_name()).collect();
        assert_eq!(names.len(), 1000);
    }

    #[test]
    fn the_manifests_are_what_the_cluster_reads() {
        let run = Run::new();
        let job: Job = serde_json::from_value(job(&options(), &run, "n1", &[target()])).unwrap();
        let spec = job.spec.unwrap();
        assert_eq!(spec.active_deadline_seconds, Some(LEASE));
        let template = spec.template;
        let labels = template.metadata.unwrap().labels.unwrap();
        assert_eq!(labels["team"], "mesh");
        assert_eq!(labels["sidecar.istio.io/inject"], "false");
        let pod: Pod = serde_json::from_value(pod(&options(), &run, "n1", &[target()])).unwrap();
        assert_eq!(pod.spec, template.spec, "what is tried is what is made");
        let spec = pod.spec.unwrap();
        assert_eq!(spec.host_pid, Some(true));
        let container = &spec.containers[0];
        let pinned = &container.env.as_ref().unwrap()[0];
        assert_eq!(pinned.value.as_deref(), Some("u-1"));
        assert!(container.image_pull_policy.is_none());
    }

    #[test]
    fn an_own_label_is_never_taken_over() {
        let mut options = options();
        let (key, _) = MANAGED_BY;
        options.labels.push((key.to_owned(), "helm".to_owned()));
        let pod: Pod = serde_json::from_value(pod(&options, &Run::new(), "n1", &[])).unwrap();
        assert_eq!(pod.metadata.labels.unwrap()[key], MANAGED_BY.1);
    }
}
