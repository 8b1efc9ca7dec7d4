//! `cleanup`: finds and removes what old runs left in the cluster.

use crate::cluster::connect::{Cluster, ConnectArgs, block_on};
use crate::cluster::leftovers;
use crate::cluster::traces::{Fate, Guest, GuestState, Leftover};
use clap::Args;
use meshsniff::escape::push_shown;
use std::io::{self, Write as _};

/// Remove what earlier runs left in the cluster
///
/// Helpers end by themselves, and the cluster deletes them within two minutes: cleanup is for those
/// who do not want to wait. It names helpers that somebody captures with, and leaves them alone
/// unless --all is given.
///
/// Ephemeral containers cannot be deleted: cleanup names those that have not ended, and what ends
/// them.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 nothing is left that was to be removed, 1 something is, or an \
                  error, 2 wrong usage."
)]
pub(super) struct CleanupArgs {
    /// Look in all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,

    /// Remove helpers in use, too: their captures end
    #[arg(long)]
    all: bool,

    /// The cluster.
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Cleans up; returns what could not be removed, one sentence each.
///
/// # Errors
/// If the cluster cannot be asked.
pub(super) fn run(args: &CleanupArgs) -> anyhow::Result<Vec<String>> {
    block_on(cleanup(args))?
}

async fn cleanup(args: &CleanupArgs) -> anyhow::Result<Vec<String>> {
    let cluster = Cluster::connect(&args.connect).await?;
    let namespace = (!args.all_namespaces).then_some(cluster.namespace.as_str());
    let place = namespace.map_or_else(
        || "in any namespace".to_owned(),
        |namespace| format!("in namespace {namespace}"),
    );
    let (leftovers, guests) = leftovers::find(&cluster, namespace).await?;
    let mut errors = Vec::new();
    let mut removed: Vec<Leftover> = Vec::new();
    let nothing = leftovers.is_empty();
    for leftover in leftovers {
        match &leftover.fate {
            Fate::InUse(seconds) if !args.all => {
                say(&format!(
                    "{} is in use ({}; its lease runs for {seconds} s): left alone, --all removes \
                     it, too",
                    leftover.full_name(),
                    leftover.about
                ))?;
                continue;
            }
            Fate::Going => {}
            Fate::InUse(_) | Fate::Left => {
                if let Err(error) = leftovers::remove(&cluster, &leftover).await {
                    errors.push(error.to_string());
                    continue;
                }
            }
        }
        removed.push(leftover);
    }
    let left = if removed.is_empty() {
        Vec::new()
    } else {
        leftovers::wait_until_gone(&cluster, namespace, &removed).await?
    };
    for one in &removed {
        if !left.iter().any(|still| still.name.starts_with(&one.name)) {
            say(&format!("removed {} ({})", one.full_name(), one.about))?;
        }
    }
    for one in &left {
        errors.push(format!(
            "{} is still being deleted: see whether its node is ready (kubectl get nodes) and what \
             keeps it (kubectl -n {} describe {} {})",
            one.full_name(),
            one.namespace,
            one.kind(),
            one.name
        ));
    }
    if nothing {
        say(&format!("no helper is left {place}"))?;
    }
    tell_guests(&guests)?;
    Ok(errors)
}

/// Prints which ephemeral containers are left, and what ends them.
fn tell_guests(guests: &[Guest]) -> io::Result<()> {
    let mut ended = 0;
    for guest in guests {
        let Guest {
            namespace,
            pod,
            container,
            state,
        } = guest;
        let name = format!("ephemeral container {container} of pod {namespace}/{pod}");
        match state {
            GuestState::Ended => ended += 1,
            GuestState::Running => say(&format!(
                "{name} runs: it cannot be deleted; it ends by itself within 40 s once nobody \
                 captures with it, or with the pod (kubectl -n {namespace} delete pod {pod})"
            ))?,
            GuestState::Waiting(why) => {
                let why = why.as_ref().map(|why| format!(" ({why})"));
                say(&format!(
                    "{name} does not run yet{}: it cannot be deleted; it waits until the node can \
                     run it, or goes with the pod (kubectl -n {namespace} delete pod {pod})",
                    why.unwrap_or_default()
                ))?;
            }
        }
    }
    match ended {
        0 => Ok(()),
        1 => say("1 ephemeral container has ended: its entry goes with its pod"),
        ended => say(&format!(
            "{ended} ephemeral containers have ended: their entries go with their pods"
        )),
    }
}

/// Prints a sentence with its control characters escaped: anybody may have made the names in it.
fn say(sentence: &str) -> io::Result<()> {
    let mut line = String::new();
    push_shown(&mut line, sentence);
    writeln!(io::stdout(), "{line}")
}
