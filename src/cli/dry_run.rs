//! `--dry-run`: prints what a capture would make in the cluster, instead of making it.

use super::cluster::{ClusterArgs, HelperArgs};
use crate::cluster::connect::{Cluster, block_on};
use crate::cluster::mode::{self, Mode};
use crate::cluster::talk::Talk;
use crate::cluster::target::{self, Wanted};
use crate::cluster::way::way_in::Preview;
use crate::cluster::way::{Making, WAYS, groups};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Kind of dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DryRun {
    /// Look up the targets; send nothing else
    Client,
    /// Ask the server, too, whether it would admit it, and for its defaults
    Server,
}

/// Format of what would be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Written {
    /// YAML
    #[default]
    Yaml,
    /// JSON
    Json,
}

/// Option to print instead of make; apart, because `report` has another -o.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "The helper")]
pub(super) struct DryRunArgs {
    /// Print what would be made in the cluster, and make nothing
    #[arg(long, value_enum, value_name = "HOW")]
    pub(super) dry_run: Option<DryRun>,
}

/// Prints what a capture of `wanted` would make.
///
/// # Errors
/// If the targets cannot be found, or the server would refuse.
pub(super) fn run(
    how: DryRun,
    written: Written,
    args: &ClusterArgs,
    wanted: &Wanted,
) -> anyhow::Result<Vec<String>> {
    let parts = block_on(parts(how, args, wanted))??;
    let text = match written {
        Written::Yaml => yaml(&parts)?,
        Written::Json => json(parts)?,
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Vec::new())
}

async fn parts(how: DryRun, args: &ClusterArgs, wanted: &Wanted) -> anyhow::Result<Vec<Preview>> {
    let HelperArgs {
        mode,
        helper_namespace,
        quiet,
        ..
    } = &args.helper;
    let talk = Talk::new(*quiet);
    let options = args.helper.options();
    let cluster = Cluster::connect(&args.connect).await?;
    let found = target::find(&cluster, wanted).await?;
    for why in &found.passed_over {
        talk.warn(&why.to_string());
    }
    let own = helper_namespace.as_deref();
    let way = match (how, mode) {
        (_, Mode::Way(way)) => {
            way.suits(&found.targets)?;
            *way
        }
        (DryRun::Client, Mode::Auto) => {
            talk.say(
                "--mode auto takes a helper pod if the server admits it: --dry-run=server asks",
            );
            WAYS[0]
        }
        (DryRun::Server, Mode::Auto) => {
            let chosen = mode::choose(&cluster, *mode, own, &options, &found.targets);
            let (way, why) = chosen.await?;
            if let Some(why) = why {
                talk.say(&why);
            }
            way
        }
    };
    let mut parts = Vec::new();
    for (shared, targets) in groups(way, own, found.targets) {
        let making = Making::new(&cluster, &options, &shared, &targets);
        parts.push(way.preview(making, how == DryRun::Server, &talk).await?);
    }
    Ok(parts)
}

fn yaml(parts: &[Preview]) -> anyhow::Result<String> {
    let mut text = String::new();
    for (at, (value, command)) in parts.iter().enumerate() {
        if at > 0 {
            text.push_str("---\n");
        }
        if let Some(command) = command {
            let _ = writeln!(text, "# {command}");
        }
        text.push_str(&serde_saphyr::to_string(value)?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

/// One object, or a List of them, as kubectl has it.
fn json(parts: Vec<Preview>) -> anyhow::Result<String> {
    let mut values = parts.into_iter().map(|(value, _)| value);
    let value = match (values.next(), values.next()) {
        (Some(only), None) => only,
        (first, second) => {
            let items: Vec<Value> = first.into_iter().chain(second).chain(values).collect();
            json!({"apiVersion": "v1", "kind": "List", "items": items})
        }
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_would_be_sent() {
        let job = json!({"metadata": {"name": "a", "annotations": {"note": "yes: #1"}}, "n": "1"});
        let part = (job.clone(), None);
        let text = yaml(&[part.clone(), part.clone()]).unwrap();
        let documents: Vec<Value> = text
            .split("---\n")
            .map(|one| serde_saphyr::from_str(one).unwrap())
            .collect();
        assert_eq!(documents, [job.clone(), job.clone()]);
        let one: Value = serde_json::from_str(&json(vec![part.clone()]).unwrap()).unwrap();
        assert_eq!(one, job);
        let two: Value = serde_json::from_str(&json(vec![part.clone(), part]).unwrap()).unwrap();
        assert_eq!(two["items"].as_array().unwrap().len(), 2);
    }
}
