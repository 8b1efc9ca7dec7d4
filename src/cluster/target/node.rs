//! Nodes: as targets, and whether the agent runs on them.

use super::named::Named;
use super::pod::Target;
use crate::cluster::connect::Cluster;
use crate::cluster::error::{ApiError, Doing};
use crate::cluster::rights::Place;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt as _};
use meshsniff_contract::environment::NODE;
use std::collections::BTreeSet;
use thiserror::Error;

/// Why a node cannot run the agent.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum NodeError {
    #[error(
        "node {0} runs {1}: the agent captures on Linux nodes only; capture a pod on a Linux node \
         that talks to this one"
    )]
    System(String, String),
    #[error("node {0} is {1}: there is an agent for amd64 and arm64 only")]
    Architecture(String, String),
    #[error(
        "node {0} is of AWS Fargate, which gives each pod a machine of its own and takes no helper \
         beside it: let the pod run on a node of EC2 (outside of the Fargate profile), or try \
         --mode ephemeral"
    )]
    Fargate(String),
    #[error(
        "node {0} is none of its own but a Virtual Kubelet, and its pods run elsewhere, where a \
         helper pod sees nothing of them: let the pod run on another node, or try --mode ephemeral"
    )]
    Virtual(String),
}

/// The node of this name, as a target.
pub(super) async fn target(cluster: &Cluster, named: &Named) -> Result<Target, ApiError> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    let doing = Doing::request("get", "nodes", "", format!("node {}", named.name));
    let node = api.get(&named.name).await.map_err(doing.failed())?;
    let addresses = node
        .status
        .as_ref()
        .and_then(|status| status.addresses.as_ref());
    let addresses = addresses.into_iter().flatten();
    Ok(Target {
        namespace: cluster.namespace.clone(),
        name: node.name_any(),
        uid: node.uid().unwrap_or_default(),
        cgroup: NODE.to_owned(),
        node: node.name_any(),
        container: None,
        addresses: addresses
            .filter_map(|one| one.address.parse().ok())
            .collect(),
        host_network: true,
        containers: BTreeSet::new(),
        proof: None,
        images: Vec::new(),
        pull_secrets: Vec::new(),
        ending: false,
    })
}

/// Looks at the node of this name: `None` if it may not be looked at.
///
/// # Errors
/// If what is made in this place cannot run the agent there.
pub async fn look(cluster: &Cluster, name: &str, place: Place) -> Result<Option<Node>, NodeError> {
    let node = get(cluster, name).await;
    node.as_ref().map_or(Ok(()), |node| fits(node, place))?;
    Ok(node)
}

/// The node of this name. Few have the right to look at nodes: without it, it is seen when the
/// helper does not start.
pub async fn get(cluster: &Cluster, name: &str) -> Option<Node> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    api.get(name).await.ok()
}

/// Checks whether what is made in this place can run the agent on a node, a pod beside the target's
/// or a container in it; `Ok` if the node does not show that.
///
/// # Errors
/// If it cannot.
pub fn fits(node: &Node, place: Place) -> Result<(), NodeError> {
    let name = node.name_any();
    let status = node.status.as_ref();
    let info = status.and_then(|status| status.node_info.as_ref());
    let told = info.map(|info| (info.operating_system.as_str(), info.architecture.as_str()));
    let (system, architecture) = told.unwrap_or_default();
    let or_label = |told: &str, label| {
        let labelled = node.labels().get(label).cloned();
        Some(told.to_owned())
            .filter(|told| !told.is_empty())
            .or(labelled)
    };
    if let Some(system) = or_label(system, "kubernetes.io/os").filter(|system| system != "linux") {
        return Err(NodeError::System(name, system));
    }
    let known = |architecture: &String| matches!(architecture.as_str(), "amd64" | "arm64");
    if let Some(architecture) =
        or_label(architecture, "kubernetes.io/arch").filter(|one| !known(one))
    {
        return Err(NodeError::Architecture(name, architecture));
    }
    if place == Place::Helper {
        if is_marked(node, "eks.amazonaws.com/compute-type", Some("fargate")) {
            return Err(NodeError::Fargate(name));
        }
        if is_marked(node, "type", Some("virtual-kubelet"))
            || is_marked(node, "virtual-kubelet.io/provider", None)
        {
            return Err(NodeError::Virtual(name));
        }
    }
    Ok(())
}

/// What is known of a node that need not keep the agent away; only trying shows whether it does.
#[must_use]
pub fn caution(node: &Node) -> Option<String> {
    let name = node.name_any();
    let is_autopilot = name.starts_with("gk3-")
        || is_marked(node, "cloud.google.com/gke-autopilot", Some("true"))
        || is_marked(node, "cloud.google.com/gke-provisioning", Some("autopilot"));
    is_autopilot.then(|| {
        format!(
            "node {name} is of GKE Autopilot, which admits no pod with the node's processes or with \
             NET_RAW unless an allowlist of the cluster names it: let the target run in a cluster \
             of the Standard mode, or ask whoever runs this one for an allowlist"
        )
    })
}

/// Whether a node has such a label or taint; `None` for any value. What marks nodes of a kind is a
/// label with one provider and a taint with another.
fn is_marked(node: &Node, key: &str, value: Option<&str>) -> bool {
    let is_it = |found: Option<&str>| value.is_none() || found == value;
    let label = node.labels().get(key);
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    label.is_some_and(|label| is_it(Some(label)))
        || taints
            .filter(|taint| taint.key == key)
            .any(|taint| is_it(taint.value.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(name: &str, labels: Value, taints: Value, system: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": taints},
            "status": {"nodeInfo": {"operatingSystem": system, "architecture": "amd64",
                "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                "kubeletVersion": "", "machineID": "", "osImage": "", "systemUUID": ""}},
        }))
        .unwrap()
    }

    #[test]
    fn what_no_agent_runs_on_is_refused_to_both() {
        let windows = node("w", json!({}), json!([]), "windows");
        let labelled: Node = serde_json::from_value(json!({
            "metadata": {"name": "w", "labels": {"kubernetes.io/os": "windows"}},
        }))
        .unwrap();
        let other: Node = serde_json::from_value(json!({
            "metadata": {"name": "p", "labels": {"kubernetes.io/arch": "ppc64le"}},
        }))
        .unwrap();
        for place in [Place::Helper, Place::Target] {
            for windows in [&windows, &labelled] {
                let error = fits(windows, place).unwrap_err().to_string();
                assert!(error.starts_with("node w runs windows: "), "{error}");
            }
            let error = fits(&other, place).unwrap_err().to_string();
            assert!(error.starts_with("node p is ppc64le: "), "{error}");
        }
    }

    #[test]
    fn where_no_pod_is_beside_the_target_no_helper_is_made() {
        let fargate = "eks.amazonaws.com/compute-type";
        let taint =
            |key: &str, value: &str| json!([{"key": key, "value": value, "effect": "NoSchedule"}]);
        for (labels, taints, word) in [
            (json!({fargate: "fargate"}), json!([]), "Fargate"),
            (json!({}), taint(fargate, "fargate"), "Fargate"),
            (
                json!({"type": "virtual-kubelet"}),
                json!([]),
                "Virtual Kubelet",
            ),
            (
                json!({}),
                taint("virtual-kubelet.io/provider", "azure"),
                "Virtual Kubelet",
            ),
        ] {
            let node = node("n", labels, taints, "linux");
            let error = fits(&node, Place::Helper).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
            assert!(error.contains("--mode ephemeral"), "{error}");
            assert!(fits(&node, Place::Target).is_ok());
        }
    }

    #[test]
    fn usual_nodes_are_neither() {
        for (name, labels) in [
            (
                "ip-10-0-0-1",
                json!({"eks.amazonaws.com/compute-type": "ec2"}),
            ),
            (
                "gke-a",
                json!({"cloud.google.com/gke-provisioning": "standard"}),
            ),
            (
                "node1",
                json!({"kubernetes.io/os": "linux", "type": "worker"}),
            ),
        ] {
            let node = node(name, labels, json!([]), "linux");
            assert!(fits(&node, Place::Helper).is_ok(), "{name}");
            assert_eq!(caution(&node), None);
        }
        let autopilot = node("gk3-shop-pool-1", json!({}), json!([]), "linux");
        assert!(fits(&autopilot, Place::Helper).is_ok());
        assert!(caution(&autopilot).unwrap().contains("Autopilot"));
    }
}
