//! What earlier runs left in the cluster, and its removal.
//!
//! The cluster itself ends and deletes every helper (see [`pod`](super::way::pod)). This module is
//! for those who do not want to wait for that, and for clusters where it does not work.

use super::connect::Cluster;
use super::error::{ApiError, Cause, Doing};
use super::traces::{Leftover, Look, LookError, Traces};
use super::way::WAYS;
use kube::Api;
use kube::api::DeleteParams;
use kube::core::DynamicObject;
use std::time::Duration;
use tokio::time::Instant;

/// How long pods may take to go.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether they have gone.
const LOOK: Duration = Duration::from_millis(500);

/// Looks for traces in a namespace, or everywhere.
///
/// # Errors
/// If the cluster cannot be asked.
pub async fn find(cluster: &Cluster, namespace: Option<&str>) -> Result<Traces, LookError> {
    let look = Look::new(cluster, namespace);
    let mut found = Traces::default();
    for way in WAYS {
        let (leftovers, guests) = way.left_behind(&look).await?;
        found.0.extend(leftovers);
        found.1.extend(guests);
    }
    Ok(found)
}

/// Deletes an object, with what it made.
///
/// # Errors
/// If the cluster refuses.
pub async fn remove(cluster: &Cluster, leftover: &Leftover) -> Result<(), ApiError> {
    let Leftover {
        resource,
        namespace,
        name,
        ..
    } = leftover;
    let client = cluster.client.clone();
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, resource);
    let plural = resource.plural.as_str();
    let doing = Doing::request("delete", plural, namespace.as_str(), leftover.full_name());
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(error) if Cause::of(&error) == Cause::NotFound => Ok(()),
        Err(error) => Err(doing.failed()(error)),
    }
}

/// Waits until none of these objects exists any more, nor a pod of theirs; returns those that still
/// do.
///
/// # Errors
/// If the cluster cannot be asked.
pub async fn wait_until_gone(
    cluster: &Cluster,
    namespace: Option<&str>,
    removed: &[Leftover],
) -> Result<Vec<Leftover>, LookError> {
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
        let left: Vec<Leftover> = found.0.into_iter().filter(is_of).collect();
        if left.is_empty() || Instant::now() > deadline {
            return Ok(left);
        }
        tokio::time::sleep(LOOK).await;
    }
}
