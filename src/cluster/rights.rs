//! The rights that a capture takes, and whether one has them by the API server's own word (SelfSubjectAccessReview): nothing
//! is tried out.
//!
//! [`RULES`] is the one list: `rbac` prints it, `doctor` asks for it.

use super::connect::Cluster;
use super::mode::{Mode, Way};
use futures_util::future::join_all;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use std::fmt;

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

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.full_resource())
    }
}

/// Where a right is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the target's namespace.
    Target,
    /// In the namespace of the helper pod.
    Helper,
    /// In the whole cluster: what it is about is in no namespace.
    Cluster,
}

/// What becomes of a capture without a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// There is none.
    Always,
    /// There is none, unless this verb is granted on the same.
    Unless(&'static str),
    /// There is none of targets that are named as `why` says.
    Sometimes,
    /// There is one, without what `why` says.
    Nicety,
}

/// A right that a capture takes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The right.
    pub right: Right,
    /// Where.
    pub place: Place,
    /// For which way in; both if none.
    pub way: Option<Way>,
    /// What becomes of a capture without it.
    pub need: Need,
    /// What it is for.
    pub why: &'static str,
}

const fn rule(place: Place, way: Option<Way>, need: Need, right: Right, why: &'static str) -> Rule {
    Rule {
        right,
        place,
        way,
        need,
        why,
    }
}

/// All rights that are ever asked for, those of one resource beside each other.
pub const RULES: &[Rule] = {
    use Need::{Always, Nicety, Sometimes, Unless};
    use Place::{Helper, Target};
    const POD: Option<Way> = Some(Way::Pod);
    const GUEST: Option<Way> = Some(Way::Ephemeral);
    const NAMED: &str = "targets named by TYPE/NAME of this type";
    &[
        rule(
            Target,
            None,
            Always,
            Right::new("get", "", "pods", ""),
            "the target: its node, its UID",
        ),
        rule(
            Target,
            None,
            Sometimes,
            Right::new("list", "", "pods", ""),
            "targets named by -l or TYPE/NAME; names for addresses",
        ),
        rule(
            Target,
            GUEST,
            Nicety,
            Right::new("watch", "", "pods", ""),
            "waiting for the container without asking again and again",
        ),
        rule(
            Target,
            GUEST,
            Always,
            Right::new("patch", "", "pods", "ephemeralcontainers"),
            "adding the container",
        ),
        rule(
            Target,
            GUEST,
            Always,
            Right::new("get", "", "pods", "exec"),
            "the capture itself: an exec over a WebSocket is a get",
        ),
        rule(
            Target,
            GUEST,
            Always,
            Right::new("create", "", "pods", "exec"),
            "the capture itself: newer servers ask for this as well",
        ),
        rule(
            Target,
            None,
            Sometimes,
            Right::new("get", "apps", "deployments", ""),
            NAMED,
        ),
        rule(
            Target,
            None,
            Sometimes,
            Right::new("get", "apps", "statefulsets", ""),
            NAMED,
        ),
        rule(
            Target,
            None,
            Sometimes,
            Right::new("get", "apps", "daemonsets", ""),
            NAMED,
        ),
        rule(
            Target,
            None,
            Sometimes,
            Right::new("get", "apps", "replicasets", ""),
            NAMED,
        ),
        rule(
            Target,
            None,
            Sometimes,
            Right::new("get", "batch", "jobs", ""),
            NAMED,
        ),
        rule(
            Target,
            None,
            Sometimes,
            Right::new("get", "", "replicationcontrollers", ""),
            NAMED,
        ),
        rule(
            Target,
            None,
            Sometimes,
            Right::new("get", "", "services", ""),
            NAMED,
        ),
        rule(
            Target,
            None,
            Nicety,
            Right::new("list", "", "services", ""),
            "names for addresses",
        ),
        rule(
            Helper,
            POD,
            Always,
            Right::new("create", "batch", "jobs", ""),
            "making the helper",
        ),
        rule(
            Helper,
            POD,
            Always,
            Right::new("patch", "batch", "jobs", ""),
            "keeping it: without this the cluster ends it after 90 s",
        ),
        rule(
            Helper,
            POD,
            Always,
            Right::new("delete", "batch", "jobs", ""),
            "removing it: without this it stays for a minute or two",
        ),
        rule(
            Helper,
            POD,
            Nicety,
            Right::new("get", "batch", "jobs", ""),
            "telling at once that the helper cannot start",
        ),
        rule(
            Helper,
            POD,
            Nicety,
            Right::new("list", "batch", "jobs", ""),
            "cleanup",
        ),
        rule(
            Helper,
            POD,
            Unless("watch"),
            Right::new("list", "", "pods", ""),
            "waiting for the helper; cleanup",
        ),
        rule(
            Helper,
            POD,
            Unless("list"),
            Right::new("watch", "", "pods", ""),
            "waiting for the helper without asking again and again",
        ),
        rule(
            Helper,
            POD,
            Nicety,
            Right::new("create", "", "pods", ""),
            "trying out whether the helper is admitted; whoever may create jobs gets pods anyway",
        ),
        rule(
            Helper,
            POD,
            Nicety,
            Right::new("delete", "", "pods", ""),
            "cleanup of a pod whose job is gone",
        ),
        rule(
            Helper,
            POD,
            Always,
            Right::new("get", "", "pods", "exec"),
            "the capture itself: an exec over a WebSocket is a get",
        ),
        rule(
            Helper,
            POD,
            Always,
            Right::new("create", "", "pods", "exec"),
            "the capture itself: newer servers ask for this as well",
        ),
        rule(
            Helper,
            POD,
            Nicety,
            Right::new("list", "", "events", ""),
            "telling why the helper does not start",
        ),
        rule(
            Place::Cluster,
            None,
            Nicety,
            Right::new("get", "", "nodes", ""),
            "targets named node/NAME; telling at once that a node is neither Linux nor amd64 or arm64",
        ),
        rule(
            Place::Cluster,
            None,
            Nicety,
            Right::new("get", "", "namespaces", ""),
            "doctor: which Pod Security a namespace has",
        ),
    ]
};

/// The rules of a mode.
pub fn rules(mode: Mode) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| match mode {
        Mode::Auto => true,
        Mode::Pod => rule.way != Some(Way::Ephemeral),
        Mode::Ephemeral => rule.way != Some(Way::Pod),
    })
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
    let asked = wanted.iter().map(|right| async move {
        let granted = is_granted(cluster, namespace, *right).await;
        (granted == Some(false)).then(|| right.to_string())
    });
    join_all(asked).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_right_is_listed_twice() {
        for (at, rule) in RULES.iter().enumerate() {
            let again = RULES[at + 1..].iter().find(|other| {
                other.right == rule.right && other.place == rule.place && other.way == rule.way
            });
            assert_eq!(again, None);
        }
    }

    #[test]
    fn both_modes_take_what_exec_takes() {
        for mode in [Mode::Pod, Mode::Ephemeral] {
            for right in EXEC {
                assert!(rules(mode).any(|rule| rule.right == right && rule.need == Need::Always));
            }
        }
        assert!(!rules(Mode::Pod).any(|rule| rule.right.subresource == "ephemeralcontainers"));
        assert!(!rules(Mode::Ephemeral).any(|rule| rule.place == Place::Helper));
    }
}
