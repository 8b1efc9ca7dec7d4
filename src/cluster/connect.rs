//! Which cluster, as whom, and in which namespace: kubectl's own flags with kubectl's own meanings.

use super::error::{ApiError, Doing};
use clap::Args;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// How long a connection to the API server may take.
const CONNECT: Duration = Duration::from_secs(15);

/// Where the cluster is.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The cluster")]
pub struct ConnectArgs {
    /// Namespace of the target; default: the context's
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig to use
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Cluster of the kubeconfig to use, instead of the context's
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// User of the kubeconfig to use, instead of the context's
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Kubeconfig file, instead of those in KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// User to act as
    #[arg(long = "as", value_name = "USER")]
    pub impersonate: Option<String>,
    /// Group to act as; may be given several times
    #[arg(long = "as-group", value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
}

impl ConnectArgs {
    /// Whether an option was given that only a cluster has a use for.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.namespace.is_some()
            || self.context.is_some()
            || self.cluster.is_some()
            || self.user.is_some()
            || self.kubeconfig.is_some()
            || self.impersonate.is_some()
            || !self.impersonate_groups.is_empty()
    }
}

/// Why there is no cluster to talk to.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum ConnectError {
    #[error("--as-group needs --as: name the user that is in these groups")]
    GroupsOfNobody,
    #[error("the kubeconfig {0} cannot be read ({1}): name one with --kubeconfig or in KUBECONFIG")]
    Unreadable(String, io::Error),
    #[error(
        "there is no home directory to look for a kubeconfig in: name one with --kubeconfig or in \
         KUBECONFIG"
    )]
    NoHome,
    #[error(
        "there is no context {0} in the kubeconfig: kubectl config get-contexts lists those there \
         are"
    )]
    NoContext(String),
    #[error(
        "the kubeconfig names no current context: choose one with --context or kubectl config \
         use-context"
    )]
    NoCurrentContext,
    #[error("the kubeconfig cannot be used ({0}): see whether kubectl config view can")]
    Unusable(KubeconfigError),
    #[error(
        "in this pod there is neither a kubeconfig nor a service account that can be used ({0}): \
         name one in the pod's serviceAccountName, and leave automountServiceAccountToken on"
    )]
    NoServiceAccount(InClusterError),
    #[error(transparent)]
    Client(#[from] ApiError),
}

/// A cluster that can be talked to.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// The namespace of objects that are named without one.
    pub namespace: String,
    /// The API server's address, for messages.
    pub server: String,
}

impl Cluster {
    /// Reads the kubeconfig and makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// If there is no usable configuration.
    pub async fn connect(args: &ConnectArgs) -> Result<Self, ConnectError> {
        let mut config = config(args).await?;
        config.connect_timeout = Some(CONNECT);
        // Streams are watched by their heartbeats, everything else by its own deadline: a timeout
        // here would end both.
        config.read_timeout = None;
        if let Some(user) = &args.impersonate {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !args.impersonate_groups.is_empty() {
            if config.auth_info.impersonate.is_none() {
                return Err(ConnectError::GroupsOfNobody);
            }
            config.auth_info.impersonate_groups = Some(args.impersonate_groups.clone());
        }
        let namespace = args.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let connecting = Doing::Connecting(server.clone());
        let client = Client::try_from(config).map_err(connecting.failed())?;
        Ok(Self {
            client,
            namespace,
            server,
        })
    }
}

impl Cluster {
    /// The objects of a namespace, or of all.
    #[must_use]
    pub fn api<K>(&self, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        let client = self.client.clone();
        match namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }
}

async fn config(args: &ConnectArgs) -> Result<Config, ConnectError> {
    let or_in_cluster = |error| in_cluster(args).unwrap_or(Err(error));
    let read = match &args.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        Err(KubeconfigError::ReadConfig(error, path)) => {
            let path = path.display().to_string();
            return or_in_cluster(ConnectError::Unreadable(path, error));
        }
        Err(KubeconfigError::FindPath) => return or_in_cluster(ConnectError::NoHome),
        Err(error) => return Err(ConnectError::Unusable(error)),
    };
    let options = KubeConfigOptions {
        context: args.context.clone(),
        cluster: args.cluster.clone(),
        user: args.user.clone(),
    };
    match Config::from_custom_kubeconfig(kubeconfig, &options).await {
        Ok(config) => Ok(config),
        Err(KubeconfigError::LoadContext(name)) => Err(ConnectError::NoContext(name)),
        Err(KubeconfigError::CurrentContextNotSet) => or_in_cluster(ConnectError::NoCurrentContext),
        Err(error) => Err(ConnectError::Unusable(error)),
    }
}

/// The configuration of a pod, where there is no kubeconfig and none is needed. `None` outside of a
/// pod, or if a kubeconfig or a context was named.
fn in_cluster(args: &ConnectArgs) -> Option<Result<Config, ConnectError>> {
    let named = args.kubeconfig.is_some() || args.context.is_some();
    if named || std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return None;
    }
    Some(Config::incluster().map_err(ConnectError::NoServiceAccount))
}

/// The system starts no threads.
#[derive(Debug, Error)]
#[error("no thread can be started")]
pub struct NoThreads(#[source] io::Error);

/// Runs `future` on a runtime of its own.
///
/// # Errors
/// If no thread can be started.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, NoThreads> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(NoThreads)?;
    let done = runtime.block_on(future);
    // Nothing that still hangs on a dead connection may keep the program.
    runtime.shutdown_timeout(Duration::from_millis(200));
    Ok(done)
}
