//! What one may do, by the API server's own word (SelfSubjectAccessReview): nothing is tried out.

use super::connect::Cluster;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

/// A right: a verb on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The verb.
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource.
    pub resource: &'static str,
    /// The subresource; empty for none.
    pub subresource: &'static str,
}

impl Right {
    /// A right on a resource of the core group; a subresource is behind a slash.
    #[must_use]
    pub const fn new(
        verb: &'static str,
        group: &'static str,
        resource: &'static str,
        subresource: &'static str,
    ) -> Self {
        Self {
            verb,
            group,
            resource,
            subresource,
        }
    }

    /// The resource with its subresource, as RBAC writes it.
    #[must_use]
    pub fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// Both verbs are asked for when a WebSocket exec begins.
pub const EXEC: [Right; 2] = [
    Right::new("get", "", "pods", "exec"),
    Right::new("create", "", "pods", "exec"),
];

/// Whether it is granted in `namespace` (everywhere, if empty); `None` if the server does not say.
pub async fn is_granted(cluster: &Cluster, namespace: &str, right: Right) -> Option<bool> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "namespace": namespace,
            "verb": right.verb,
            "group": right.group,
            "resource": right.resource,
            "subresource": right.subresource,
        }},
    });
    let review: SelfSubjectAccessReview = serde_json::from_value(review).ok()?;
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = api.create(&PostParams::default(), &review).await.ok()?;
    Some(answer.status?.allowed)
}

/// The rights among `wanted` that are missing, in words; empty if none is, or nobody says.
pub async fn missing(cluster: &Cluster, namespace: &str, wanted: &[Right]) -> Vec<String> {
    let mut missing = Vec::new();
    for right in wanted {
        if is_granted(cluster, namespace, *right).await == Some(false) {
            missing.push(format!("{} {}", right.verb, right.full_resource()));
        }
    }
    missing
}
