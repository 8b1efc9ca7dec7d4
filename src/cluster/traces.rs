//! Traces of earlier runs, and how they are found.

use super::connect::Cluster;
use super::error::{ApiError, Cause, Doing};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::client::Body;
use kube::core::{ApiResource, NamespaceResourceScope, Request};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use tokio::sync::OnceCell;

/// Objects that can be deleted, and ephemeral containers.
pub type Traces = (Vec<Leftover>, Vec<Guest>);

/// An object that an earlier run made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its type.
    pub resource: ApiResource,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its targets, and who started it, in words.
    pub about: String,
    /// Its fate.
    pub fate: Fate,
}

/// The fate of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Unused.
    Left,
    /// Somebody captures with it: seconds that its lease has left.
    InUse(i64),
    /// It is being deleted already.
    Going,
}

impl Leftover {
    /// The object, as a leftover.
    #[must_use]
    pub fn new<K>(object: &K, about: String, fate: Fate) -> Self
    where
        K: Resource<DynamicType = ()>,
    {
        Self {
            resource: ApiResource::erase::<K>(&()),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            about,
            fate,
        }
    }

    /// Its type as kubectl has it, such as `job`.
    #[must_use]
    pub fn kind(&self) -> String {
        self.resource.kind.to_ascii_lowercase()
    }

    /// `job NAMESPACE/NAME`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{} {}/{}", self.kind(), self.namespace, self.name)
    }
}

/// How far an ephemeral container of an earlier run has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestState {
    /// It runs.
    Running,
    /// It waits; with the reason, where there is one.
    Waiting(Option<String>),
    /// It has ended.
    Ended,
}

/// An ephemeral container of some run. Nobody can delete it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// How far it has come.
    pub state: GuestState,
}

/// The cluster cannot be asked for traces.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// A right is missing that is one on all namespaces.
    #[error(
        "you may not list {0} in all namespaces: name one with -n, or ask for a ClusterRole with \
         list on pods and jobs"
    )]
    Everywhere(String),
    /// A request failed.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl LookError {
    /// Whether it is a right that is missing.
    #[must_use]
    pub fn is_missing_right(&self) -> bool {
        match self {
            Self::Everywhere(_) => true,
            Self::Api(error) => error.cause() == Cause::MissingRight,
        }
    }
}

/// The objects of a namespace, or of all, where traces are looked for.
pub struct Look<'a> {
    cluster: &'a Cluster,
    namespace: Option<&'a str>,
    pods: OnceCell<Vec<Pod>>,
}

impl<'a> Look<'a> {
    /// Looks at a namespace, or everywhere.
    #[must_use]
    pub fn new(cluster: &'a Cluster, namespace: Option<&'a str>) -> Self {
        Self {
            cluster,
            namespace,
            pods: OnceCell::new(),
        }
    }

    /// The objects with a label, or all.
    ///
    /// # Errors
    /// If they may not be listed.
    pub async fn list<K>(&self, label: Option<(&str, &str)>) -> Result<Vec<K>, LookError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let api: Api<K> = self.cluster.api(self.namespace);
        let params = ListParams {
            label_selector: label.map(|(key, value)| format!("{key}={value}")),
            ..ListParams::default()
        };
        let listed = api.list(&params).await;
        listed.map(|listed| listed.items).map_err(|error| {
            let resource = K::plural(&()).into_owned();
            if self.namespace.is_none() && Cause::of(&error) == Cause::MissingRight {
                return LookError::Everywhere(resource);
            }
            let namespace = self.namespace.unwrap_or_default();
            Doing::request("list", resource.as_str(), namespace, resource.as_str()).failed()(error)
                .into()
        })
    }

    /// All pods.
    ///
    /// # Errors
    /// If they may not be listed.
    pub async fn pods(&self) -> Result<&[Pod], LookError> {
        Ok(self.pods.get_or_try_init(|| self.list(None)).await?)
    }

    /// The server's time in seconds since the Unix epoch: leases are in it, and a laptop's clock
    /// may be off.
    pub async fn now(&self) -> i64 {
        let now = async {
            let request = Request::new(Job::url_path(&(), self.namespace));
            let request = request.list(&ListParams::default().limit(1)).ok()?;
            let answer = self
                .cluster
                .client
                .send(request.map(Body::from))
                .await
                .ok()?;
            let date = answer.headers().get("date")?.to_str().ok()?;
            let date = jiff::fmt::rfc2822::parse(date).ok()?;
            Some(date.timestamp().as_second())
        };
        now.await
            .unwrap_or_else(|| jiff::Timestamp::now().as_second())
    }
}
