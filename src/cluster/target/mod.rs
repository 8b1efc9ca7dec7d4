//! From the names that a user types to the pods that are meant.
//!
//! | here | holds |
//! |---|---|
//! | [`named`] | targets as they are typed |
//! | [`pod`] | a target, and whether a pod is one |
//! | [`node`] | a node as a target, and whether it can run the agent |

pub mod named;
pub mod node;
pub mod pod;
#[cfg(test)]
mod tests;

pub use named::{Named, NotATarget, Wanted, resource};
pub use pod::{Target, Unfit};

use super::connect::Cluster;
use super::error::{ApiError, Doing};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, ReplicationController, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Api;
use kube::api::ListParams;
use kube::core::{ParseExpressionError, Selector};
use named::Kind;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use thiserror::Error;

/// Pods that are meant, and why others are left out.
#[derive(Debug, Default)]
pub struct Found {
    /// The pods, each once.
    pub targets: Vec<Target>,
    /// Why others were passed over.
    pub passed_over: Vec<Unfit>,
}

/// Why there is nothing to capture.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum TargetError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("name what to capture: a pod, TYPE/NAME or -l LABELS")]
    Unnamed,
    #[error("{0} has no pod now: scale it up, or see kubectl describe {0}")]
    NoPods(Named),
    #[error("{0} has no selector, so nothing says which pods are its own: name the pods instead")]
    NoSelector(Named),
    #[error("the selector of {0} cannot be read ({1})")]
    Selector(Named, ParseExpressionError),
    #[error("no pod in namespace {0} fits -l {1}: check the labels and -n")]
    NoMatch(String, String),
    #[error("no pod in any namespace fits -l {0}: check the labels")]
    NoMatchAnywhere(String),
    #[error(
        "{0} pods are meant, more than {1} at once: name fewer, or allow more with --max-targets"
    )]
    TooMany(usize, usize),
}

/// Looks the pods up.
///
/// # Errors
/// If there is none, or it cannot be captured.
pub async fn find(cluster: &Cluster, wanted: &Wanted) -> Result<Found, TargetError> {
    let mut found = Found::default();
    for named in &wanted.named {
        match named.kind {
            // A pod named on its own has to be one that can be captured.
            Kind::Pod => found.add(pod::target(&get(cluster, named).await?, wanted)?),
            Kind::Node => found.add(node::target(cluster, named).await?),
            _ => {
                let selector = selector_of(cluster, named).await?;
                let pods = list(cluster, Some(&cluster.namespace), &selector).await?;
                if pods.is_empty() {
                    return Err(TargetError::NoPods(named.clone()));
                }
                found.add_all(&pods, wanted);
            }
        }
    }
    if let Some(selector) = wanted.selector.clone() {
        let namespace = (!wanted.all_namespaces).then_some(cluster.namespace.as_str());
        let pods = list(cluster, namespace, &selector).await?;
        if pods.is_empty() {
            return Err(match namespace.map(str::to_owned) {
                Some(namespace) => TargetError::NoMatch(namespace, selector),
                None => TargetError::NoMatchAnywhere(selector),
            });
        }
        found.add_all(&pods, wanted);
    }
    match found.targets.len() {
        0 if found.passed_over.is_empty() => Err(TargetError::Unnamed),
        0 => Err(found.passed_over.swap_remove(0).into()),
        found if found > wanted.max_targets => Err(TargetError::TooMany(found, wanted.max_targets)),
        _ => Ok(found),
    }
}

impl Found {
    fn add(&mut self, target: Target) {
        if !self.targets.iter().any(|known| known.uid == target.uid) {
            self.targets.push(target);
        }
    }

    fn add_all(&mut self, pods: &[Pod], wanted: &Wanted) {
        for pod in pods {
            match pod::target(pod, wanted) {
                Ok(target) => self.add(target),
                Err(why) => self.passed_over.push(why),
            }
        }
    }
}

async fn get<K>(cluster: &Cluster, named: &Named) -> Result<K, ApiError>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let (kind, resource) = named.kind_names();
    let what = format!("{kind} {}", named.name);
    let doing = Doing::request("get", resource, &cluster.namespace, what);
    api.get(&named.name).await.map_err(doing.failed())
}

/// The labels of an object's pods.
async fn selector_of(cluster: &Cluster, named: &Named) -> Result<String, TargetError> {
    /// The selector of an object of this type.
    macro_rules! of {
        ($kind:ty, $selector:expr) => {{
            let object: $kind = get(cluster, named).await?;
            object.spec.and_then($selector)
        }};
    }
    let selector: Option<LabelSelector> = match named.kind {
        Kind::Pod | Kind::Node => None,
        Kind::Deployment => of!(Deployment, |spec| Some(spec.selector)),
        Kind::StatefulSet => of!(StatefulSet, |spec| Some(spec.selector)),
        Kind::DaemonSet => of!(DaemonSet, |spec| Some(spec.selector)),
        Kind::ReplicaSet => of!(ReplicaSet, |spec| Some(spec.selector)),
        Kind::Job => of!(Job, |spec| spec.selector),
        Kind::ReplicationController => of!(ReplicationController, |spec| by_labels(spec.selector)),
        Kind::Service => of!(Service, |spec| by_labels(spec.selector)),
    };
    let selector = selector.ok_or_else(|| TargetError::NoSelector(named.clone()))?;
    let selector = Selector::try_from(selector);
    let selector = selector.map_err(|error| TargetError::Selector(named.clone(), error))?;
    Ok(selector.to_string())
}

fn by_labels(labels: Option<BTreeMap<String, String>>) -> Option<LabelSelector> {
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
) -> Result<Vec<Pod>, ApiError> {
    let doing = Doing::request("list", "pods", namespace.unwrap_or_default(), "pod");
    let listed = cluster
        .api(namespace)
        .list(&ListParams::default().labels(selector))
        .await;
    Ok(listed.map_err(doing.failed())?.items)
}
