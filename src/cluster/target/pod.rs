//! A target, and whether a pod is one.

use super::named::Wanted;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use meshsniff_contract::environment::NODE;
use std::collections::BTreeSet;
use std::net::IpAddr;
use thiserror::Error;

/// A pod that can be captured, or a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its namespace; of a node the one that the helper is made in if no other is named.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The name of its cgroups: its UID; of a static pod the hash of its configuration; of a node
    /// [`NODE`].
    pub cgroup: String,
    /// The id of a container that shows that these are its cgroups, where an annotation says so.
    pub proof: Option<String>,
    /// The node it runs on.
    pub node: String,
    /// The id of the container asked for, without the runtime's prefix.
    pub container: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it shares the node's network.
    pub host_network: bool,
    /// The ids of its containers that run or did, ephemeral ones aside: there are others once the
    /// pod has got a new sandbox.
    pub containers: BTreeSet<String>,
    /// Its containers that run, and the images that they are of, as the node has them.
    pub images: Vec<(String, String)>,
    /// The names of the secrets with which they were pulled.
    pub pull_secrets: Vec<String>,
    /// Whether it is being deleted.
    pub ending: bool,
}

impl Target {
    /// Whether this is a node and no pod.
    #[must_use]
    pub fn is_node(&self) -> bool {
        self.cgroup == NODE
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

#[cfg(test)]
impl Target {
    /// A pod called `shop/catalog` on node `n1`.
    pub(in crate::cluster) fn for_tests() -> Self {
        Self {
            namespace: "shop".to_owned(),
            name: "catalog".to_owned(),
            uid: "u-1".to_owned(),
            cgroup: "u-1".to_owned(),
            proof: None,
            node: "n1".to_owned(),
            container: None,
            addresses: vec![[10, 0, 0, 1].into()],
            host_network: false,
            containers: BTreeSet::new(),
            images: Vec::new(),
            pull_secrets: Vec::new(),
            ending: false,
        }
    }
}

/// Annotations of the mirror of a static pod. The kubelet knows the pod by this hash, and not by
/// the mirror's UID.
pub(super) const CONFIG_HASH: &str = "kubernetes.io/config.hash";
pub(super) const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";

/// Why a pod cannot be captured.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum Unfit {
    #[error("pod {0}/{1} has ended ({2}): its network is gone; capture one that runs")]
    Ended(String, String, String),
    #[error("pod {0}/{1} is on no node yet: see kubectl -n {0} describe pod {1}")]
    Unscheduled(String, String),
    #[error(
        "pod {0}/{1} shares the network of its node {2}: a capture holds everybody's traffic \
         there; say --node if that is meant"
    )]
    SharesNode(String, String, String),
    #[error("pod {0} has no container {1}: it has {2}")]
    NoContainer(String, String, String),
}

/// Whether a text can be the hash of a configuration. An annotation may say anything, and the
/// helper may capture every pod that is named to it.
fn is_hash(text: &str) -> bool {
    text != NODE && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Whether the pod's owner is the node that it is on, as the kubelet says it of the mirror of a
/// static pod.
fn is_of_node(pod: &Pod, node: &str) -> bool {
    let owners = pod.owner_references();
    let is_node = |owner: &OwnerReference| {
        owner.api_version == "v1" && owner.kind == "Node" && owner.name == node
    };
    owners.iter().any(is_node)
}

/// Makes a target of `pod`.
///
/// # Errors
/// If it cannot be captured.
pub(super) fn target(pod: &Pod, wanted: &Wanted) -> Result<Target, Unfit> {
    let name = pod.name_any();
    let namespace = pod.namespace().unwrap_or_default();
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    if let Some(phase @ ("Succeeded" | "Failed")) = phase {
        return Err(Unfit::Ended(namespace, name, phase.to_ascii_lowercase()));
    }
    let Some(node) = spec.and_then(|spec| spec.node_name.clone()) else {
        return Err(Unfit::Unscheduled(namespace, name));
    };
    let host_network = spec.is_some_and(|spec| spec.host_network == Some(true));
    if host_network && !wanted.node {
        return Err(Unfit::SharesNode(namespace, name, node));
    }
    let annotations = pod.annotations();
    let uid = pod.uid().unwrap_or_default();
    let containers: BTreeSet<String> = lasting(pod)
        .filter_map(|status| status.container_id.clone())
        .collect();
    let hash = annotations.get(CONFIG_HASH).filter(|hash| {
        annotations.contains_key(CONFIG_MIRROR) && is_hash(hash) && is_of_node(pod, &node)
    });
    // The kubelet tells which containers of a static pod run. Of what is none it tells nothing.
    let running = lasting(pod).filter(|status| is_running(status));
    let mut running = running.filter_map(|status| status.container_id.as_deref());
    let mirrored = hash.zip(running.next());
    let cgroup = mirrored.map_or(&uid, |(hash, _)| hash).clone();
    let proof = mirrored.map(|(_, id)| bare(id).to_owned());
    let addresses = status.and_then(|status| status.pod_ips.as_ref());
    let addresses = addresses.into_iter().flatten();
    let pull_secrets = spec.and_then(|spec| spec.image_pull_secrets.as_ref());
    let pull_secrets = pull_secrets.into_iter().flatten();
    Ok(Target {
        container: container(pod, wanted.container.as_deref())?,
        addresses: addresses.filter_map(|ip| ip.ip.parse().ok()).collect(),
        namespace,
        name,
        uid,
        cgroup,
        node,
        host_network,
        containers,
        proof,
        images: images(pod),
        pull_secrets: pull_secrets.map(|one| one.name.clone()).collect(),
        ending: pod.metadata.deletion_timestamp.is_some(),
    })
}

/// The statuses of the containers that live as long as their pod's sandbox does.
fn lasting(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    let lists = status.flat_map(|s| [&s.container_statuses, &s.init_container_statuses]);
    lists.flatten().flatten()
}

fn is_running(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    state.is_some_and(|state| state.running.is_some())
}

/// The containers that run, and their images: by digest where they came from a registry, else by name.
pub fn images(pod: &Pod) -> Vec<(String, String)> {
    let running = lasting(pod).filter(|status| is_running(status));
    let image = |status: &ContainerStatus| {
        // Docker's kubelets put a scheme before it.
        let id = status.image_id.as_str();
        let id = id.split_once("://").map_or(id, |(_, id)| id);
        let is_pulled = id.contains("@sha256:");
        let image = if is_pulled { id } else { status.image.as_str() };
        (!image.is_empty()).then(|| (status.name.clone(), image.to_owned()))
    };
    running.filter_map(image).collect()
}

/// The id of the container called `wanted`, wherever a pod may have containers. One that is not
/// running has none: the pod's network is there all the same.
fn container(pod: &Pod, wanted: Option<&str>) -> Result<Option<String>, Unfit> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let mut names: Vec<&str> = Vec::new();
    if let Some(spec) = &pod.spec {
        let init = spec.init_containers.iter().flatten();
        let ephemeral = spec.ephemeral_containers.iter().flatten();
        names.extend(
            spec.containers
                .iter()
                .chain(init)
                .map(|one| one.name.as_str()),
        );
        names.extend(ephemeral.map(|one| one.name.as_str()));
    }
    if !names.contains(&wanted) {
        let (pod, wanted) = (pod.name_any(), wanted.to_owned());
        return Err(Unfit::NoContainer(pod, wanted, names.join(", ")));
    }
    let status = pod.status.iter();
    let ephemeral = status.flat_map(|status| status.ephemeral_container_statuses.iter().flatten());
    let mut ids = lasting(pod)
        .chain(ephemeral)
        .filter(|status| status.name == wanted)
        .filter_map(|status| status.container_id.as_deref());
    Ok(ids.next().map(|id| bare(id).to_owned()))
}

/// The id of a container without the runtime's prefix.
fn bare(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, bare)| bare)
}
