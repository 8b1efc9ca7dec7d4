//! Options about targets in a cluster and about the helper.

use crate::cluster::bringing::{Agent, Source};
use crate::cluster::connect::ConnectArgs;
use crate::cluster::manifest::HelperOptions;
use crate::cluster::mode::Mode;
use crate::cluster::session::Plan;
use crate::cluster::target::{Named, NotATarget, Wanted};
use clap::Args;
use meshsniff_contract::arguments::Request;
use meshsniff_contract::{AGENT, VERSION};
use std::time::Duration;

/// Environment variable that names another image than the released one, for all commands.
const IMAGE: &str = "MESHSNIFF_IMAGE";

/// Choice of pods.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The target")]
pub(super) struct TargetArgs {
    /// Pods with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub(super) selector: Option<String>,

    /// Look for the labels in all namespaces
    #[arg(short = 'A', long, requires = "selector")]
    pub(super) all_namespaces: bool,

    /// Container of the pod whose network is captured
    ///
    /// Without a target: the id of a container of this machine (containerd, CRI-O, Docker, Podman).
    #[arg(short, long, value_name = "NAME")]
    pub(super) container: Option<String>,

    /// Capture the node's network if the pod uses it, without the ports that bring the packets here
    #[arg(long)]
    pub(super) node: bool,

    /// Largest number of pods to capture at once
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub(super) max_targets: u16,

    /// Capture pods that come later, too, such as those that replace the target
    #[arg(long)]
    pub(super) follow: bool,
}

impl TargetArgs {
    /// Whether any option was given that needs a target in a cluster.
    pub(super) const fn is_set(&self) -> bool {
        self.selector.is_some() || self.node || self.follow
    }

    /// The pods that `names` and these options mean.
    ///
    /// # Errors
    /// If a name means neither a pod nor TYPE/NAME.
    pub(super) fn wanted(&self, names: &[String]) -> Result<Wanted, NotATarget> {
        let named: Result<Vec<Named>, _> = names.iter().map(|name| name.parse()).collect();
        Ok(Wanted {
            named: named?,
            selector: self.selector.clone(),
            all_namespaces: self.all_namespaces,
            container: self.container.clone(),
            node: self.node,
            max_targets: usize::from(self.max_targets),
        })
    }
}

/// Options of the helper, which brings the agent to the target.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The helper")]
pub(super) struct HelperArgs {
    /// How to get into the pod's network
    #[arg(long, default_value_t)]
    pub(super) mode: Mode,

    /// Namespace of the helper pod, which must admit pods with the node's processes [default: the
    /// target's]
    #[arg(long, value_name = "NAME")]
    pub(super) helper_namespace: Option<String>,

    /// Where the agent comes from
    #[arg(long, value_enum, default_value_t)]
    pub(super) agent: Agent,

    /// Image of the agent, for mirrors and air gaps [default: this version's; MESHSNIFF_IMAGE]. With
    /// --agent carried: image that the node has, which the agent is carried into
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: Option<String>,

    /// When the node pulls the image
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub(super) image_pull_policy: Option<String>,

    /// Secret in the helper's namespace to pull the image with; repeatable
    #[arg(long, value_name = "NAME")]
    pub(super) image_pull_secret: Vec<String>,

    /// Service account of the helper pod, whose token is not mounted
    #[arg(long, value_name = "NAME")]
    pub(super) service_account: Option<String>,

    /// Priority class of the helper pod
    #[arg(long, value_name = "NAME")]
    pub(super) priority_class: Option<String>,

    /// Label for the helper pod; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) helper_label: Vec<(String, String)>,

    /// Annotation for the helper pod; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) helper_annotation: Vec<(String, String)>,

    /// Memory limit of the helper pod [default: 64Mi, and 64Mi for each target]
    #[arg(long, value_name = "QUANTITY")]
    pub(super) helper_memory: Option<String>,

    /// Run the helper pod privileged, not with three capabilities: where SELinux demands it
    #[arg(long)]
    pub(super) privileged: bool,

    /// Longest time for the helper to start
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        value_parser = meshsniff::time::parse_duration
    )]
    pub(super) timeout: Duration,

    /// Print only warnings and errors
    #[arg(short, long)]
    pub(super) quiet: bool,
}

impl HelperArgs {
    /// Properties of the helper.
    pub(super) fn options(&self) -> HelperOptions {
        let carried = self.agent == Agent::Carried;
        let (image, is_named) = default_image();
        HelperOptions {
            source: Source {
                agent: self.agent,
                image: self.image.clone().unwrap_or(image),
                image_is_named: is_named || self.image.is_some(),
                carrier: self.image.clone().filter(|_| carried),
                pull_secrets: self.image_pull_secret.clone(),
            },
            pull_policy: self.image_pull_policy.clone(),
            service_account: self.service_account.clone(),
            priority_class: self.priority_class.clone(),
            labels: self.helper_label.clone(),
            annotations: self.helper_annotation.clone(),
            privileged: self.privileged,
            memory: self.helper_memory.clone(),
        }
    }

    /// Plan of a run in which the agent does as `request` says.
    pub(super) fn plan(&self, request: Request, follow: bool) -> Plan {
        Plan {
            mode: self.mode,
            helper: self.options(),
            helper_namespace: self.helper_namespace.clone(),
            timeout: self.timeout,
            request,
            follow,
        }
    }
}

/// Image of this version, and whether somebody named it: the environment, or the release, with its
/// digest (`MESHSNIFF_RELEASE_IMAGE` at build time).
fn default_image() -> (String, bool) {
    let named = std::env::var(IMAGE).ok().filter(|image| !image.is_empty());
    let released = option_env!("MESHSNIFF_RELEASE_IMAGE").map(str::to_owned);
    let named = named.or(released);
    let is_named = named.is_some();
    let image = named.unwrap_or_else(|| format!("{AGENT}:{VERSION}"));
    (image, is_named)
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it takes the form KEY=VALUE".to_owned()),
    }
}

/// Options that lead to the stream of a target.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ClusterArgs {
    /// The pods.
    #[command(flatten)]
    pub(super) target: TargetArgs,
    /// The cluster.
    #[command(flatten)]
    pub(super) connect: ConnectArgs,
    /// The helper.
    #[command(flatten)]
    pub(super) helper: HelperArgs,
}
