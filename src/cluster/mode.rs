//! Which way into the pod's network: a helper pod on its node, or an ephemeral container in it.

use super::connect::Cluster;
use super::error::{Doing, explain, is_missing_right, is_passing};
use super::manifest::HelperOptions;
use super::target::Target;
use super::{ephemeral, helper};
use anyhow::bail;
use clap::ValueEnum;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// A helper pod on the target's node, which sees the node's processes; it is deleted at the end
    #[default]
    Pod,
    /// An ephemeral container in the target's pod; its entry stays in the pod when it has ended
    Ephemeral,
    /// The first of the two that the cluster admits
    Auto,
}

/// What it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A helper pod.
    Pod,
    /// An ephemeral container.
    Ephemeral,
}

/// Chooses, and says why if it was not told.
///
/// # Errors
/// If what was asked for is refused: one sentence with the server's words and the next step.
pub async fn choose(
    cluster: &Cluster,
    mode: Mode,
    helper_namespace: &str,
    options: &HelperOptions,
    targets: &[Target],
) -> anyhow::Result<(Way, Option<String>)> {
    let Some(target) = targets.first() else {
        bail!("there is nothing to capture");
    };
    if mode == Mode::Ephemeral {
        admits_ephemeral(targets)?;
        return Ok((Way::Ephemeral, None));
    }
    let tried = helper::dry_run(
        cluster,
        helper_namespace,
        options,
        &target.node,
        std::slice::from_ref(target),
    )
    .await;
    let refused = match tried {
        Ok(()) => return Ok((Way::Pod, None)),
        // Whoever may not create pods may still create Jobs; and a webhook that is down says nothing.
        Err(error) if is_passing(&error) => return Ok((Way::Pod, None)),
        Err(error) if is_missing_right(&error) && mode == Mode::Pod => return Ok((Way::Pod, None)),
        Err(error) => error,
    };
    if mode == Mode::Pod || admits_ephemeral(targets).is_err() {
        return Err(helper::refused(refused, helper_namespace));
    }
    let why = short(&refused);
    let tried = ephemeral::dry_run(cluster, options, target).await;
    match tried {
        Ok(()) => Ok((
            Way::Ephemeral,
            Some(format!("no helper pod is admitted ({why})")),
        )),
        Err(error) if is_passing(&error) => Ok((
            Way::Ephemeral,
            Some(format!("no helper pod is admitted ({why})")),
        )),
        Err(error) => {
            let doing = Doing::request(
                "patch",
                "pods/ephemeralcontainers",
                &target.namespace,
                "pod of that name",
            );
            let second = explain(error, doing);
            bail!("neither a helper pod nor an ephemeral container is admitted: {why}; {second}")
        }
    }
}

/// Whether all of the targets can be captured by an ephemeral container.
///
/// # Errors
/// If one is in its node's network: there the stream itself would be captured, and only a helper pod sees the processes by
/// which to tell its ports.
pub fn admits_ephemeral(targets: &[Target]) -> anyhow::Result<()> {
    match targets.iter().find(|target| target.host_network) {
        None => Ok(()),
        Some(target) => bail!(
            "{} is in its node's network, which only a helper pod can capture without its own stream: use --mode pod, with \
             --helper-namespace if need be",
            target.full_name()
        ),
    }
}

fn short(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
