//! Rights, and whether one has them: the API server is asked (SelfSubjectAccessReview), and nothing
//! is tried out.
//!
//! Each way in has its own list beside the two here; [`mode::rules`](super::mode::rules) puts them
//! together. `rbac` prints them, `doctor` asks for them.

use super::connect::Cluster;
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
    /// The resource.
    pub on: Resource,
}

/// A resource in RBAC's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource in the plural.
    pub name: &'static str,
    /// The subresource; empty for none.
    pub subresource: &'static str,
}

impl Resource {
    /// A resource without a subresource.
    #[must_use]
    pub const fn new(group: &'static str, name: &'static str) -> Self {
        Self {
            group,
            name,
            subresource: "",
        }
    }

    /// A subresource of this one.
    #[must_use]
    pub const fn sub(self, subresource: &'static str) -> Self {
        Self {
            subresource,
            ..self
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.subresource {
            "" => Ok(()),
            subresource => write!(f, "/{subresource}"),
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.on)
    }
}

/// Where a right is asked for, in the order in which roles are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the target's namespace.
    Target,
    /// In the namespace of the helper pod.
    Helper,
    /// In the whole cluster: the resource is in no namespace.
    Cluster,
}

/// Whether a capture is possible without a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Required.
    Required,
    /// Required, unless this verb is granted on the same resource.
    RequiredUnless(&'static str),
    /// Required for targets that are named in the way that the reason says.
    Sometimes,
    /// Optional: the reason says what is lost without it.
    Optional,
}

/// A right that a capture takes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where.
    pub place: Place,
    /// Whether it is required.
    pub need: Need,
    /// The right.
    pub right: Right,
    /// The reason.
    pub why: &'static str,
}

impl Rule {
    /// A rule whose reason is still to be given.
    #[must_use]
    pub const fn new(place: Place, need: Need, verb: &'static str, on: Resource) -> Self {
        let right = Right { verb, on };
        Self {
            place,
            need,
            right,
            why: "",
        }
    }

    /// The rule with its reason.
    #[must_use]
    pub const fn why(self, why: &'static str) -> Self {
        Self { why, ..self }
    }

    /// Both rights on `pods/exec` that a capture takes.
    #[must_use]
    pub const fn exec(place: Place) -> [Self; 2] {
        let [get, create] = EXEC;
        [
            Self::new(place, Need::Required, get.verb, get.on)
                .why("the capture itself: an exec over a WebSocket is a get"),
            Self::new(place, Need::Required, create.verb, create.on)
                .why("the capture itself: newer servers ask for this as well"),
        ]
    }
}

/// `pods`.
pub const PODS: Resource = Resource::new("", "pods");
/// `pods/ephemeralcontainers`.
pub const EPHEMERAL: Resource = PODS.sub("ephemeralcontainers");
/// `jobs`.
pub const JOBS: Resource = Resource::new("batch", "jobs");
/// `configmaps`.
pub const CONFIG_MAPS: Resource = Resource::new("", "configmaps");
/// `events`.
pub const EVENTS: Resource = Resource::new("", "events");
/// `namespaces`.
pub const NAMESPACES: Resource = Resource::new("", "namespaces");
const SERVICES: Resource = Resource::new("", "services");

/// Both verbs are asked for when a WebSocket exec begins.
pub const EXEC: [Right; 2] = [
    Right {
        verb: "get",
        on: PODS.sub("exec"),
    },
    Right {
        verb: "create",
        on: PODS.sub("exec"),
    },
];

/// The rights on pods that all ways in take.
pub const ON_PODS: &[Rule] = {
    use Need::{Required, Sometimes};
    use Place::Target;
    &[
        Rule::new(Target, Required, "get", PODS).why("the target: its node, its UID"),
        Rule::new(Target, Sometimes, "list", PODS)
            .why("targets named by -l or TYPE/NAME; names for addresses"),
    ]
};

/// The rights on other resources that all ways in take.
pub const ON_OTHERS: &[Rule] = {
    use Place::{Cluster, Target};
    const fn named(group: &'static str, name: &'static str) -> Rule {
        Rule::new(Target, Need::Sometimes, "get", Resource::new(group, name))
            .why("targets named by TYPE/NAME of this type")
    }
    &[
        named("apps", "deployments"),
        named("apps", "statefulsets"),
        named("apps", "daemonsets"),
        named("apps", "replicasets"),
        named("batch", "jobs"),
        named("", "replicationcontrollers"),
        named("", "services"),
        Rule::new(Target, Need::Optional, "list", SERVICES).why("names for addresses"),
        Rule::new(Cluster, Need::Optional, "get", Resource::new("", "nodes")).why(
            "targets named node/NAME; telling at once that a node is neither Linux nor amd64 or \
             arm64",
        ),
        Rule::new(Cluster, Need::Optional, "get", NAMESPACES)
            .why("doctor: which Pod Security a namespace has"),
    ]
};

/// Whether a right is granted in `namespace` (everywhere, if empty); `None` if the server does not
/// say.
pub async fn is_granted(cluster: &Cluster, namespace: &str, right: Right) -> Option<bool> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "namespace": namespace,
            "verb": right.verb,
            "group": right.on.group,
            "resource": right.on.name,
            "subresource": right.on.subresource,
        }},
    });
    let review: SelfSubjectAccessReview = serde_json::from_value(review).ok()?;
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = api.create(&PostParams::default(), &review).await.ok()?;
    Some(answer.status?.allowed)
}

/// Rights on `pods/exec` are missing.
#[derive(Debug, thiserror::Error)]
#[error(
    "you may not {} in namespace {namespace} (an exec takes both get and create): ask for the \
     rights that kubectl meshsniff rbac prints",
    missing.join(" and ")
)]
pub struct NoExec {
    namespace: String,
    missing: Vec<String>,
}

/// Asks for the rights that an exec takes; `None` if none is missing, or the server does not say.
pub async fn missing_for_exec(cluster: &Cluster, namespace: &str) -> Option<NoExec> {
    let asked = EXEC.map(|right| async move {
        let granted = is_granted(cluster, namespace, right).await;
        (granted == Some(false)).then(|| right.to_string())
    });
    let missing: Vec<String> = join_all(asked).await.into_iter().flatten().collect();
    let namespace = namespace.to_owned();
    (!missing.is_empty()).then_some(NoExec { namespace, missing })
}
