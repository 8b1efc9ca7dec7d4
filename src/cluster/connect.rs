//! Which cluster, as whom, and in which namespace: kubectl's own flags with kubectl's own meanings.

use super::error::{Doing, explain};
use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use std::path::PathBuf;
use std::time::Duration;

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
    /// Whether anything was said that has a meaning for a cluster only.
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

/// A cluster that can be talked to.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// The namespace that is meant where none is named.
    pub namespace: String,
    /// Where the API server is, for messages.
    pub server: String,
}

impl Cluster {
    /// Reads the kubeconfig and makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// If there is no usable configuration: one sentence that names the next step.
    pub async fn connect(args: &ConnectArgs) -> anyhow::Result<Self> {
        let mut config = config(args).await?;
        config.connect_timeout = Some(CONNECT);
        // Streams are watched by their heartbeats, everything else by its own deadline: a timeout here would end both.
        config.read_timeout = None;
        if let Some(user) = &args.impersonate {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !args.impersonate_groups.is_empty() {
            if config.auth_info.impersonate.is_none() {
                bail!("--as-group needs --as: name the user that is in these groups");
            }
            config.auth_info.impersonate_groups = Some(args.impersonate_groups.clone());
        }
        let namespace = args.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let client =
            Client::try_from(config).map_err(|error| explain(error, Doing::Connecting(&server)))?;
        Ok(Self {
            client,
            namespace,
            server,
        })
    }
}

async fn config(args: &ConnectArgs) -> anyhow::Result<Config> {
    let read = match &args.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        Err(KubeconfigError::ReadConfig(error, path)) => {
            if let Some(config) = in_cluster(args) {
                return config;
            }
            bail!(
                "the kubeconfig {} cannot be read ({error}): name one with --kubeconfig or in KUBECONFIG",
                path.display()
            );
        }
        Err(KubeconfigError::FindPath) => {
            return in_cluster(args).unwrap_or_else(|| {
                Err(anyhow!(
                    "there is no home directory to look for a kubeconfig in: name one with --kubeconfig or in KUBECONFIG"
                ))
            });
        }
        Err(error) => return Err(unusable(&error)),
    };
    let options = KubeConfigOptions {
        context: args.context.clone(),
        cluster: args.cluster.clone(),
        user: args.user.clone(),
    };
    let loaded = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    match loaded {
        Ok(config) => Ok(config),
        Err(KubeconfigError::LoadContext(name)) => bail!(
            "there is no context {name} in the kubeconfig: kubectl config get-contexts lists those there are"
        ),
        Err(KubeconfigError::CurrentContextNotSet) => in_cluster(args).unwrap_or_else(|| {
            Err(anyhow!(
                "the kubeconfig names no current context: choose one with --context or kubectl config use-context"
            ))
        }),
        Err(error) => Err(unusable(&error)),
    }
}

/// In a pod there is no kubeconfig, and none is needed. `None`: this is no pod, or something of a kubeconfig was named.
fn in_cluster(args: &ConnectArgs) -> Option<anyhow::Result<Config>> {
    if args.kubeconfig.is_some()
        || args.context.is_some()
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_none()
    {
        return None;
    }
    let config = Config::incluster().map_err(|error| {
        anyhow!(
            "in this pod there is neither a kubeconfig nor a service account that can be used ({error}): name one in the pod's \
             serviceAccountName, and leave automountServiceAccountToken on"
        )
    });
    Some(config)
}

fn unusable(error: &KubeconfigError) -> anyhow::Error {
    anyhow!("the kubeconfig cannot be used ({error}): see whether kubectl config view can")
}

/// Runs `future` on a runtime of its own.
///
/// # Errors
/// If there are no threads to be had, or what `future` says.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no thread can be started")?;
    let done = runtime.block_on(future);
    // Nothing that still hangs on a dead connection may keep the program.
    runtime.shutdown_timeout(Duration::from_millis(200));
    done
}
