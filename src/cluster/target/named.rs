//! Targets as they are typed.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod, ReplicationController, Service};
use kube::core::ApiResource;
use std::fmt;
use std::str::FromStr;

/// A TARGET as it is typed: `POD` or `TYPE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub(super) kind: Kind,
    pub(super) name: String,
}

/// The types of objects that name targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
    const ALL: [Self; 9] = [
        Self::Pod,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::ReplicationController,
        Self::Job,
        Self::Service,
        Self::Node,
    ];

    /// The kind that TYPE is, the part of a TARGET before the slash: kubectl's names, with or
    /// without the API group.
    fn of(typed: &str) -> Option<Self> {
        let typed = typed.to_ascii_lowercase();
        let (bare, typed_group) = match typed.split_once('.') {
            Some((bare, group)) => (bare, Some(group)),
            None => (typed.as_str(), None),
        };
        Self::ALL.into_iter().find(|kind| {
            let (name, plural, short, group) = kind.names();
            let same_group = typed_group.is_none_or(|typed| typed == group && !group.is_empty());
            typed == short || same_group && [name, plural].contains(&bare)
        })
    }

    /// Its name, its resource in RBAC's terms, its short name, its API group.
    const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Pod => ("pod", "pods", "po", ""),
            Self::Deployment => ("deployment", "deployments", "deploy", "apps"),
            Self::StatefulSet => ("statefulset", "statefulsets", "sts", "apps"),
            Self::DaemonSet => ("daemonset", "daemonsets", "ds", "apps"),
            Self::ReplicaSet => ("replicaset", "replicasets", "rs", "apps"),
            Self::ReplicationController => {
                ("replicationcontroller", "replicationcontrollers", "rc", "")
            }
            Self::Job => ("job", "jobs", "job", "batch"),
            Self::Service => ("service", "services", "svc", ""),
            Self::Node => ("node", "nodes", "no", ""),
        }
    }
}

/// The resource that TYPE names, the part of a TARGET before the slash, and whether it is in no
/// namespace.
#[must_use]
pub fn resource(typed: &str) -> Option<(ApiResource, bool)> {
    let kind = Kind::of(typed)?;
    let resource = match kind {
        Kind::Pod => ApiResource::erase::<Pod>(&()),
        Kind::Deployment => ApiResource::erase::<Deployment>(&()),
        Kind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        Kind::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
        Kind::ReplicaSet => ApiResource::erase::<ReplicaSet>(&()),
        Kind::ReplicationController => ApiResource::erase::<ReplicationController>(&()),
        Kind::Job => ApiResource::erase::<Job>(&()),
        Kind::Service => ApiResource::erase::<Service>(&()),
        Kind::Node => ApiResource::erase::<Node>(&()),
    };
    Some((resource, kind == Kind::Node))
}

impl Named {
    /// Its type's name and resource, in RBAC's terms.
    pub(super) const fn kind_names(&self) -> (&'static str, &'static str) {
        let (name, plural, ..) = self.kind.names();
        (name, plural)
    }
}

/// Why something typed is no TARGET.
#[derive(Debug, thiserror::Error)]
pub enum NotATarget {
    /// Its type.
    #[error(
        "{0} is nothing that can be captured: name a pod, or deploy/NAME, sts/NAME, ds/NAME, \
         rs/NAME, job/NAME, svc/NAME or node/NAME"
    )]
    Type(String),
    /// Its name.
    #[error("{0:?} is not a name: names have letters, digits, - and . only")]
    Name(String),
}

impl FromStr for Named {
    type Err = NotATarget;

    fn from_str(typed: &str) -> Result<Self, NotATarget> {
        let (kind, name) = typed.split_once('/').unwrap_or(("pod", typed));
        let kind = Kind::of(kind).ok_or_else(|| NotATarget::Type(kind.to_owned()))?;
        // RFC 1123 subdomains: nothing else ever gets into a request's path or a file name.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':');
        let fits = name.bytes().all(fits) && !name.starts_with('.');
        if !fits || !(1..=253).contains(&name.len()) {
            return Err(NotATarget::Name(name.to_owned()));
        }
        let name = name.to_owned();
        Ok(Self { kind, name })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.names().0, self.name)
    }
}

/// The targets that were asked for.
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
    /// Pods that are captured at once, at most.
    pub max_targets: usize,
}

impl Wanted {
    /// Whether it names one target and no more: a pod or a node.
    #[must_use]
    pub fn is_one(&self) -> bool {
        let is_one = |named: &Named| matches!(named.kind, Kind::Pod | Kind::Node);
        self.selector.is_none()
            && matches!(&self.named[..], [] | [_])
            && self.named.iter().all(is_one)
    }
}
