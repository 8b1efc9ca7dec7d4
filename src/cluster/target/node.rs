//! Nodes: as targets, and whether the agent runs on them.

use super::named::Named;
use super::pod::Target;
use crate::cluster::connect::Cluster;
use crate::cluster::error::{ApiError, Doing};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt as _};
use meshsniff_contract::environment::NODE;
use std::collections::BTreeSet;
use thiserror::Error;

/// Why a node cannot run the agent.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum NodeError {
    #[error("node {0} runs {1}: the agent captures on Linux nodes only")]
    System(String, String),
    #[error("node {0} is {1}: there is an agent for amd64 and arm64 only")]
    Architecture(String, String),
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
/// If it cannot run the agent.
pub async fn look(cluster: &Cluster, name: &str) -> Result<Option<Node>, NodeError> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    // Few have the right to look at nodes: without it, it is seen when the helper does not start.
    let Ok(node) = api.get(name).await else {
        return Ok(None);
    };
    fits(&node)?;
    Ok(Some(node))
}

/// Checks whether a node can run the agent; `Ok` if its status does not show that.
///
/// # Errors
/// If it cannot.
pub fn fits(node: &Node) -> Result<(), NodeError> {
    let name = node.name_any();
    let status = node.status.as_ref();
    let Some(info) = status.and_then(|status| status.node_info.as_ref()) else {
        return Ok(());
    };
    if info.operating_system != "linux" {
        return Err(NodeError::System(name, info.operating_system.clone()));
    }
    if !matches!(info.architecture.as_str(), "amd64" | "arm64") {
        return Err(NodeError::Architecture(name, info.architecture.clone()));
    }
    Ok(())
}
