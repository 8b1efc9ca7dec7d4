//! From what a user names to the pods that are meant.

use super::connect::Cluster;
use super::error::{Doing, explain};
use anyhow::{anyhow, bail};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Node, Pod, ReplicationController, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ListParams;
use kube::core::{ApiResource, Selector};
use kube::{Api, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Debug;
use std::net::IpAddr;
use std::str::FromStr;

/// The resource that TYPE, the part of a TARGET before the slash, is.
#[must_use]
pub fn resource(typed: &str) -> Option<ApiResource> {
    Some(match Kind::of(typed)? {
        Kind::Pod => ApiResource::erase::<Pod>(&()),
        Kind::Deployment => ApiResource::erase::<Deployment>(&()),
        Kind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        Kind::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
        Kind::ReplicaSet => ApiResource::erase::<ReplicaSet>(&()),
        Kind::ReplicationController => ApiResource::erase::<ReplicationController>(&()),
        Kind::Job => ApiResource::erase::<Job>(&()),
        Kind::Service => ApiResource::erase::<Service>(&()),
        Kind::Node => ApiResource::erase::<Node>(&()),
    })
}

/// Whether TYPE, the part of a TARGET before the slash, is of things that are in no namespace.
#[must_use]
pub fn is_of_cluster(typed: &str) -> bool {
    Kind::of(typed) == Some(Kind::Node)
}

/// A TARGET as it is typed: `POD` or `TYPE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    kind: Kind,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pod,
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    ReplicationController,
    Job,
    Service,
    Node,
}

impl Kind {
    const ALL: [(Self, &'static [&'static str]); 9] = [
        (Self::Pod, &["pod", "pods", "po"]),
        (
            Self::Deployment,
            &[
                "deployment",
                "deployments",
                "deploy",
                "deployment.apps",
                "deployments.apps",
            ],
        ),
        (
            Self::StatefulSet,
            &[
                "statefulset",
                "statefulsets",
                "sts",
                "statefulset.apps",
                "statefulsets.apps",
            ],
        ),
        (
            Self::DaemonSet,
            &[
                "daemonset",
                "daemonsets",
                "ds",
                "daemonset.apps",
                "daemonsets.apps",
            ],
        ),
        (
            Self::ReplicaSet,
            &[
                "replicaset",
                "replicasets",
                "rs",
                "replicaset.apps",
                "replicasets.apps",
            ],
        ),
        (
            Self::ReplicationController,
            &["replicationcontroller", "replicationcontrollers", "rc"],
        ),
        (Self::Job, &["job", "jobs", "job.batch", "jobs.batch"]),
        (Self::Service, &["service", "services", "svc"]),
        (Self::Node, &["node", "nodes", "no"]),
    ];

    fn of(typed: &str) -> Option<Self> {
        let typed = typed.to_ascii_lowercase();
        let found = Self::ALL
            .iter()
            .find(|(_, names)| names.contains(&typed.as_str()));
        found.map(|(kind, _)| *kind)
    }

    /// Its name and its resource in RBAC's terms.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Pod => ("pod", "pods"),
            Self::Deployment => ("deployment", "deployments"),
            Self::StatefulSet => ("statefulset", "statefulsets"),
            Self::DaemonSet => ("daemonset", "daemonsets"),
            Self::ReplicaSet => ("replicaset", "replicasets"),
            Self::ReplicationController => ("replicationcontroller", "replicationcontrollers"),
            Self::Job => ("job", "jobs"),
            Self::Service => ("service", "services"),
            Self::Node => ("node", "nodes"),
        }
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let (kind, name) = match typed.split_once('/') {
            None => (Kind::Pod, typed),
            Some((kind, name)) => match Kind::of(kind) {
                Some(kind) => (kind, name),
                None => {
                    return Err(format!(
                        "{kind} is nothing that can be captured: name a pod, or deploy/NAME, sts/NAME, ds/NAME, rs/NAME, \
                         job/NAME, svc/NAME or node/NAME"
                    ));
                }
            },
        };
        // RFC 1123 subdomains: checked here so that nothing else ever gets into a request's path or a file name.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':');
        if name.is_empty() || name.len() > 253 || !name.bytes().all(fits) || name.starts_with('.') {
            return Err(format!(
                "{name:?} is no name: names are letters, digits, - and ."
            ));
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.names().0, self.name)
    }
}

/// What is to be captured.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// By name.
    pub named: Vec<Named>,
    /// By label.
    pub selector: Option<String>,
    /// In all namespaces; for a selector only.
    pub all_namespaces: bool,
    /// The container whose processes are preferred.
    pub container: Option<String>,
    /// Pods in the node's own network are meant as such.
    pub node: bool,
    /// Most pods that are captured at once.
    pub most: usize,
}

impl Wanted {
    /// In words, for messages and annotations.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut parts: Vec<String> = self.named.iter().map(ToString::to_string).collect();
        parts.extend(self.selector.as_ref().map(|labels| format!("-l {labels}")));
        parts.join(", ")
    }

    /// Whether pods that come later could be meant, too.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let one = |named: &Named| matches!(named.kind, Kind::Pod | Kind::Node);
        self.selector.is_some() || !self.named.iter().all(one)
    }
}

/// A pod that can be captured, or a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its namespace; of a node the one that the helper is made in if no other is named.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// What its cgroups are named by: its UID; a static pod's configuration hash. Of a node [`PINNED_NODE`].
    pub cgroup: String,
    /// The node it runs on.
    pub node: String,
    /// The id of the container asked for, without the runtime's prefix.
    pub container: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it shares the node's network.
    pub host_network: bool,
    /// The ids of its containers that run or did, ephemeral ones aside: there are others once the pod has got a new sandbox.
    pub containers: BTreeSet<String>,
    /// Whether it is being deleted.
    pub ending: bool,
}

/// What the agent knows the node itself by, where pods have a UID.
pub const PINNED_NODE: &str = "node";

impl Target {
    /// Whether this is a node and no pod.
    #[must_use]
    pub fn is_node(&self) -> bool {
        self.cgroup == PINNED_NODE
    }

    /// `NAMESPACE/NAME`; of a node `node/NAME`.
    #[must_use]
    pub fn full_name(&self) -> String {
        if self.is_node() {
            return format!("node/{}", self.name);
        }
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Pods that are meant, and what could not be captured of what was meant.
#[derive(Debug, Default)]
pub struct Found {
    /// The pods, each once.
    pub targets: Vec<Target>,
    /// Why others were passed over.
    pub passed_over: Vec<String>,
}

/// Looks the pods up.
///
/// # Errors
/// If there is none, or it cannot be captured: one sentence that names the next step.
pub async fn find(cluster: &Cluster, wanted: &Wanted) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for named in &wanted.named {
        if named.kind == Kind::Pod {
            let pod: Pod = get(cluster, named).await?;
            // A pod named on its own has to be one that can be captured.
            add(
                &mut found,
                target(&pod, wanted).map_err(|why| anyhow!(why))?,
            );
            continue;
        }
        if named.kind == Kind::Node {
            add(&mut found, node(cluster, named).await?);
            continue;
        }
        let selector = selector_of(cluster, named).await?;
        let pods = list(cluster, Some(&cluster.namespace), &selector).await?;
        if pods.is_empty() {
            bail!("{named} has no pod now: scale it up, or see kubectl describe {named}");
        }
        add_all(&mut found, pods, wanted);
    }
    if let Some(selector) = &wanted.selector {
        let namespace = (!wanted.all_namespaces).then_some(cluster.namespace.as_str());
        let pods = list(cluster, namespace, selector).await?;
        if pods.is_empty() {
            match namespace {
                Some(namespace) => {
                    bail!(
                        "no pod in namespace {namespace} fits -l {selector}: check the labels and -n"
                    )
                }
                None => bail!("no pod in any namespace fits -l {selector}: check the labels"),
            }
        }
        add_all(&mut found, pods, wanted);
    }
    if found.targets.is_empty() {
        match found.passed_over.first() {
            Some(why) => bail!("{why}"),
            None => bail!("name what to capture: a pod, TYPE/NAME or -l LABELS"),
        }
    }
    if found.targets.len() > wanted.most {
        bail!(
            "{} pods are meant, more than {} at once: name fewer, or allow more with --max-targets",
            found.targets.len(),
            wanted.most
        );
    }
    Ok(found)
}

fn add(found: &mut Found, target: Target) {
    if !found.targets.iter().any(|known| known.uid == target.uid) {
        found.targets.push(target);
    }
}

fn add_all(found: &mut Found, pods: Vec<Pod>, wanted: &Wanted) {
    for pod in pods {
        match target(&pod, wanted) {
            Ok(target) => add(found, target),
            Err(why) => found.passed_over.push(why),
        }
    }
}

async fn get<K>(cluster: &Cluster, named: &Named) -> anyhow::Result<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let (kind, resource) = named.kind.names();
    let what = format!("{kind} {}", named.name);
    let got = api.get(&named.name).await;
    got.map_err(|error| {
        explain(
            error,
            Doing::request("get", resource, &cluster.namespace, &what),
        )
    })
}

/// The node called so, as a target.
async fn node(cluster: &Cluster, named: &Named) -> anyhow::Result<Target> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    let what = format!("node {}", named.name);
    let got = api.get(&named.name).await;
    let node = got.map_err(|error| explain(error, Doing::request("get", "nodes", "", &what)))?;
    let addresses = node
        .status
        .as_ref()
        .and_then(|status| status.addresses.as_ref());
    Ok(Target {
        namespace: cluster.namespace.clone(),
        name: node.name_any(),
        uid: node.uid().unwrap_or_default(),
        cgroup: PINNED_NODE.to_owned(),
        node: node.name_any(),
        container: None,
        addresses: addresses
            .into_iter()
            .flatten()
            .filter_map(|one| one.address.parse().ok())
            .collect(),
        host_network: true,
        containers: BTreeSet::new(),
        ending: false,
    })
}

async fn selector_of(cluster: &Cluster, named: &Named) -> anyhow::Result<String> {
    let selector: Option<LabelSelector> = match named.kind {
        Kind::Pod | Kind::Node => None,
        Kind::Deployment => {
            let found: Deployment = get(cluster, named).await?;
            found.spec.map(|spec| spec.selector)
        }
        Kind::StatefulSet => {
            let found: StatefulSet = get(cluster, named).await?;
            found.spec.map(|spec| spec.selector)
        }
        Kind::DaemonSet => {
            let found: DaemonSet = get(cluster, named).await?;
            found.spec.map(|spec| spec.selector)
        }
        Kind::ReplicaSet => {
            let found: ReplicaSet = get(cluster, named).await?;
            found.spec.map(|spec| spec.selector)
        }
        Kind::Job => {
            let found: Job = get(cluster, named).await?;
            found.spec.and_then(|spec| spec.selector)
        }
        Kind::ReplicationController => {
            let found: ReplicationController = get(cluster, named).await?;
            by_labels(found.spec.and_then(|spec| spec.selector))
        }
        Kind::Service => {
            let found: Service = get(cluster, named).await?;
            by_labels(found.spec.and_then(|spec| spec.selector))
        }
    };
    let Some(selector) = selector else {
        bail!(
            "{named} has no selector, so nothing says which pods are its own: name the pods instead"
        );
    };
    let selector = Selector::try_from(selector)
        .map_err(|error| anyhow!("the selector of {named} cannot be read ({error})"))?;
    Ok(selector.to_string())
}

fn by_labels(labels: Option<std::collections::BTreeMap<String, String>>) -> Option<LabelSelector> {
    let labels = labels.filter(|labels| !labels.is_empty())?;
    Some(LabelSelector {
        match_labels: Some(labels),
        match_expressions: None,
    })
}

async fn list(
    cluster: &Cluster,
    namespace: Option<&str>,
    selector: &str,
) -> anyhow::Result<Vec<Pod>> {
    let client = cluster.client.clone();
    let api: Api<Pod> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let listed = api.list(&ListParams::default().labels(selector)).await;
    let doing = Doing::request("list", "pods", namespace.unwrap_or_default(), "pod");
    Ok(listed.map_err(|error| explain(error, doing))?.items)
}

/// What the mirror of a static pod has instead of the UID that the kubelet knows it by.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";
const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";

/// Whether it can be the hash of a configuration: an annotation may say anything, and the helper captures what it says.
fn is_hash(text: &str) -> bool {
    text != PINNED_NODE && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The target that `pod` is, or why it is none.
fn target(pod: &Pod, wanted: &Wanted) -> Result<Target, String> {
    let name = pod.name_any();
    let namespace = pod.namespace().unwrap_or_default();
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    if let Some(phase @ ("Succeeded" | "Failed")) = phase {
        return Err(format!(
            "pod {namespace}/{name} has ended ({}): its network is gone; capture one that runs",
            phase.to_ascii_lowercase()
        ));
    }
    let Some(node) = spec.and_then(|spec| spec.node_name.clone()) else {
        return Err(format!(
            "pod {namespace}/{name} is on no node yet: see kubectl -n {namespace} describe pod {name}"
        ));
    };
    let host_network = spec.is_some_and(|spec| spec.host_network == Some(true));
    if host_network && !wanted.node {
        return Err(format!(
            "pod {namespace}/{name} shares the network of its node {node}: a capture holds everybody's traffic there; say \
             --node if that is meant"
        ));
    }
    let annotations = pod.annotations();
    let uid = pod.uid().unwrap_or_default();
    let cgroup = match annotations.get(CONFIG_HASH) {
        Some(hash) if annotations.contains_key(CONFIG_MIRROR) && is_hash(hash) => hash.clone(),
        _ => uid.clone(),
    };
    let ips = status.and_then(|status| status.pod_ips.clone());
    let addresses = ips.unwrap_or_default();
    Ok(Target {
        container: container(pod, wanted.container.as_deref())?,
        addresses: addresses
            .iter()
            .filter_map(|ip| ip.ip.parse().ok())
            .collect(),
        namespace,
        name,
        uid,
        cgroup,
        node,
        host_network,
        containers: containers(pod),
        ending: pod.metadata.deletion_timestamp.is_some(),
    })
}

/// The ids of the containers that live as long as their pod's sandbox does.
fn containers(pod: &Pod) -> BTreeSet<String> {
    let status = pod.status.as_ref();
    let statuses = status.into_iter().flat_map(|status| {
        let lists = [&status.container_statuses, &status.init_container_statuses];
        lists.into_iter().flatten().flatten()
    });
    statuses
        .filter_map(|status| status.container_id.clone())
        .collect()
}

/// The id of the container called `wanted`, wherever a pod may have containers.
fn container(pod: &Pod, wanted: Option<&str>) -> Result<Option<String>, String> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let spec = pod.spec.as_ref();
    let mut names: Vec<&str> = Vec::new();
    if let Some(spec) = spec {
        names.extend(spec.containers.iter().map(|one| one.name.as_str()));
        let init = spec.init_containers.iter().flatten();
        names.extend(init.map(|one| one.name.as_str()));
        let ephemeral = spec.ephemeral_containers.iter().flatten();
        names.extend(ephemeral.map(|one| one.name.as_str()));
    }
    if !names.contains(&wanted) {
        return Err(format!(
            "pod {} has no container {wanted}: it has {}",
            pod.name_any(),
            names.join(", ")
        ));
    }
    let status = pod.status.as_ref();
    let statuses = status.into_iter().flat_map(|status| {
        let lists: [&Option<Vec<ContainerStatus>>; 3] = [
            &status.container_statuses,
            &status.init_container_statuses,
            &status.ephemeral_container_statuses,
        ];
        lists.into_iter().flatten().flatten()
    });
    let mut ids = statuses
        .filter(|status| status.name == wanted)
        .filter_map(|status| status.container_id.as_deref());
    // A container that is not running has none: the pod's network is there all the same.
    Ok(ids
        .next()
        .map(|id| id.split_once("://").map_or(id, |(_, bare)| bare).to_owned()))
}

/// Whether the node can run the agent; `Ok` if that cannot be told.
///
/// # Errors
/// If it cannot.
pub async fn check_node(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    // Looking at nodes takes a right of its own, which few have: then it is seen when the helper does not start.
    let Ok(node) = api.get(name).await else {
        return Ok(());
    };
    fits(&node)
}

/// Whether the agent runs on a node; `Ok` if that cannot be told.
///
/// # Errors
/// If it does not.
pub fn fits(node: &Node) -> anyhow::Result<()> {
    let name = node.name_any();
    let status = node.status.as_ref();
    let Some(info) = status.and_then(|status| status.node_info.as_ref()) else {
        return Ok(());
    };
    if info.operating_system != "linux" {
        bail!(
            "node {name} runs {}: the agent captures on Linux nodes only",
            info.operating_system
        );
    }
    if !matches!(info.architecture.as_str(), "amd64" | "arm64") {
        bail!(
            "node {name} is {}: there is an agent for amd64 and arm64 only",
            info.architecture
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn wanted() -> Wanted {
        Wanted {
            most: 10,
            ..Wanted::default()
        }
    }

    fn pod(mut more: Value) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "catalog", "namespace": "shop", "uid": "u-1", "annotations": {}},
            "spec": {"nodeName": "n1", "containers": [{"name": "app"}], "initContainers": [{"name": "proxy"}]},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.5"}, {"ip": "fd00::5"}],
                "initContainerStatuses": [{"name": "proxy", "containerID": "containerd://abc", "image": "", "imageID": "",
                    "ready": true, "restartCount": 0}]}
        });
        for (part, fields) in more.as_object_mut().unwrap() {
            for (name, value) in fields.as_object_mut().unwrap() {
                pod[part][name] = value.take();
            }
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn what_can_be_typed() {
        assert_eq!("a".parse::<Named>().unwrap().to_string(), "pod/a");
        assert_eq!(
            "deploy/a".parse::<Named>().unwrap().to_string(),
            "deployment/a"
        );
        assert_eq!(
            "SVC/a.b".parse::<Named>().unwrap().to_string(),
            "service/a.b"
        );
        for wrong in ["", "pod/", "cm/a", "pod/a/b", "a b", "../a", "a?b", "."] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pod_that_runs_is_a_target() {
        let found = target(&pod(json!({})), &wanted()).unwrap();
        assert_eq!((found.cgroup.as_str(), found.node.as_str()), ("u-1", "n1"));
        assert_eq!(found.addresses.len(), 2);
        assert_eq!(found.full_name(), "shop/catalog");
    }

    #[test]
    fn a_static_pod_is_known_by_its_hash() {
        let annotations =
            json!({"metadata": {"annotations": {CONFIG_HASH: "h", CONFIG_MIRROR: "h"}}});
        assert_eq!(target(&pod(annotations), &wanted()).unwrap().cgroup, "h");
    }

    #[test]
    fn an_annotation_names_neither_the_node_nor_several() {
        for hash in [PINNED_NODE, "h,node", "h node", "../h"] {
            let annotations =
                json!({"metadata": {"annotations": {CONFIG_HASH: hash, CONFIG_MIRROR: hash}}});
            let found = target(&pod(annotations), &wanted()).unwrap();
            assert_eq!((found.cgroup.as_str(), found.is_node()), ("u-1", false));
        }
    }

    #[test]
    fn a_native_sidecar_is_a_container_like_others() {
        let sidecar = Wanted {
            container: Some("proxy".to_owned()),
            ..wanted()
        };
        let found = target(&pod(json!({})), &sidecar).unwrap();
        assert_eq!(found.container.as_deref(), Some("abc"));
        // One that is not running: the pod's network is there all the same.
        let waiting = Wanted {
            container: Some("app".to_owned()),
            ..wanted()
        };
        assert_eq!(target(&pod(json!({})), &waiting).unwrap().container, None);
        let none = Wanted {
            container: Some("x".to_owned()),
            ..wanted()
        };
        let why = target(&pod(json!({})), &none).unwrap_err();
        assert!(why.ends_with("it has app, proxy"), "{why}");
    }

    #[test]
    fn what_cannot_be_captured_is_said() {
        let ended = pod(json!({"status": {"phase": "Succeeded"}}));
        assert!(target(&ended, &wanted()).unwrap_err().contains("ended"));
        let waiting = pod(json!({"spec": {"nodeName": null}}));
        assert!(target(&waiting, &wanted()).unwrap_err().contains("no node"));
        let host = pod(json!({"spec": {"hostNetwork": true}}));
        assert!(target(&host, &wanted()).unwrap_err().contains("--node"));
        let meant = Wanted {
            node: true,
            ..wanted()
        };
        assert!(target(&host, &meant).unwrap().host_network);
    }
}
