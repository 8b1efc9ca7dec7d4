//! `--dry-run`: prints what a capture would make in the cluster, instead of making it.

use super::cluster::{ClusterArgs, HelperArgs};
use crate::cluster::connect::{Cluster, block_on};
use crate::cluster::error::{Doing, explain, is_missing_right};
use crate::cluster::manifest::{self, Run};
use crate::cluster::mode::{self, Mode, Way};
use crate::cluster::talk::Talk;
use crate::cluster::target::{self, Target, Wanted};
use crate::cluster::{ephemeral, helper, session};
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

/// Document that a dry run prints.
#[derive(Debug)]
enum Part {
    /// An object that `kubectl create -f -` would take.
    Object(Value),
    /// A patch of a pod's ephemeral containers.
    Patch(Target, Value),
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
    let parts = block_on(parts(how, args, wanted))?;
    let text = match written {
        Written::Yaml => yaml(&parts)?,
        Written::Json => json(parts)?,
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Vec::new())
}

async fn parts(how: DryRun, args: &ClusterArgs, wanted: &Wanted) -> anyhow::Result<Vec<Part>> {
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
        talk.warn(why);
    }
    let way = match (how, mode) {
        (_, Mode::Ephemeral) => {
            mode::admits_ephemeral(&found.targets)?;
            Way::Ephemeral
        }
        (_, Mode::Pod) => Way::Pod,
        (DryRun::Client, Mode::Auto) => {
            talk.say(
                "--mode auto takes a helper pod if the server admits it: --dry-run=server asks",
            );
            Way::Pod
        }
        (DryRun::Server, Mode::Auto) => {
            let first = found.targets.first();
            let first =
                first.map(|first| session::namespace_of(helper_namespace.as_deref(), first));
            let first = first.unwrap_or_default();
            let (way, why) =
                mode::choose(&cluster, *mode, &first, &options, &found.targets).await?;
            if let Some(why) = why {
                talk.say(&format!("{why}: an ephemeral container is used"));
            }
            way
        }
    };
    let mut parts = Vec::new();
    let groups = session::groups(way, helper_namespace.as_deref(), found.targets);
    for ((namespace, node), targets) in groups {
        match way {
            Way::Ephemeral => {
                for target in targets {
                    let patch = manifest::ephemeral(&options, &Run::new());
                    if how == DryRun::Server {
                        let tried = ephemeral::dry_run(&cluster, &options, &target).await;
                        let what = format!("pod {}", target.name);
                        tried.map_err(|error| {
                            explain(
                                error,
                                Doing::request(
                                    "patch",
                                    "pods/ephemeralcontainers",
                                    &target.namespace,
                                    &what,
                                ),
                            )
                        })?;
                    }
                    parts.push(Part::Patch(target, patch));
                }
            }
            Way::Pod if how == DryRun::Server => {
                // The Job's own dry run says nothing of Pod Security and quotas.
                match helper::dry_run(&cluster, &namespace, &options, &node, &targets).await {
                    Ok(()) => {}
                    Err(error) if is_missing_right(&error) => talk.warn(&format!(
                        "you may not create pods in namespace {namespace}: whether the Job's pod \
                         is admitted is not tried out"
                    )),
                    Err(error) => return Err(helper::refused(error, &namespace)),
                }
                let job =
                    helper::dry_run_job(&cluster, &namespace, &options, &node, &targets).await?;
                parts.push(Part::Object(job));
            }
            Way::Pod => {
                let mut job = manifest::job(&options, &Run::new(), &node, &targets);
                job["metadata"]["namespace"] = json!(namespace);
                parts.push(Part::Object(job));
            }
        }
    }
    Ok(parts)
}

fn yaml(parts: &[Part]) -> anyhow::Result<String> {
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            text.push_str("---\n");
        }
        let value = match part {
            Part::Object(object) => object,
            Part::Patch(target, patch) => {
                let _ = writeln!(
                    text,
                    "# kubectl -n {} patch pod {} --subresource ephemeralcontainers --patch-file \
                     FILE",
                    target.namespace, target.name
                );
                patch
            }
        };
        text.push_str(&serde_saphyr::to_string(value)?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

/// One object, or a List of them, as kubectl has it.
fn json(parts: Vec<Part>) -> anyhow::Result<String> {
    let mut values = parts.into_iter().map(|part| match part {
        Part::Object(value) | Part::Patch(_, value) => value,
    });
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
        let options = crate::cluster::manifest::HelperOptions {
            image: "agent:1".to_owned(),
            annotations: vec![("note".to_owned(), "yes: #1".to_owned())],
            ..Default::default()
        };
        let job = manifest::job(&options, &Run::new(), "n1", &[]);
        let text = yaml(&[Part::Object(job.clone()), Part::Object(job.clone())]).unwrap();
        let documents: Vec<Value> = text
            .split("---\n")
            .map(|one| serde_saphyr::from_str(one).unwrap())
            .collect();
        assert_eq!(documents, [job.clone(), job.clone()]);
        let one: Value =
            serde_json::from_str(&json(vec![Part::Object(job.clone())]).unwrap()).unwrap();
        assert_eq!(one, job);
        let two = vec![Part::Object(job.clone()), Part::Object(job.clone())];
        let two: Value = serde_json::from_str(&json(two).unwrap()).unwrap();
        assert_eq!(two["items"].as_array().unwrap().len(), 2);
    }
}
