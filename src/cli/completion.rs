//! Completion of what is being typed: scripts for shells, and the answers that kubectl asks for.
//!
//! `kubectl meshsniff <Tab>` makes kubectl run `kubectl_complete-meshsniff` with the words typed so
//! far, the last one being the one to complete. It prints candidates, one a line, with a
//! description behind a tab, and at the end a line `:N`, N being a sum of Cobra's directives. That
//! program is this one under another name, or a script that calls it as `kubectl-meshsniff
//! __complete WORDS...`.
//!
//! Whoever presses Tab waits: the cluster has a second, and no error is ever told.

use super::typed::Typed;
use crate::cluster::connect::{Cluster, ConnectArgs, block_on};
use crate::cluster::target;
use anyhow::Context as _;
use clap::{Arg, Args, Command, ValueHint};
use clap_complete::Shell;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ListParams, PartialObjectMeta};
use kube::config::Kubeconfig;
use kube::core::DynamicObject;
use kube::{Api, ResourceExt as _};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest time for the cluster to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most names to ask for: more are of no use in a shell.
const MOST: u32 = 500;
/// The hidden command.
const COMMAND: &str = "__complete";
/// Name under which kubectl runs it.
const PROGRAM: &str = "kubectl_complete-meshsniff";

/// Directives of Cobra: complete files if there is no candidate; no blank after the word; no files.
const FILES: u8 = 0;
const NO_SPACE: u8 = 2;
const NO_FILES: u8 = 4;

/// Print a script that lets a shell complete kubectl-meshsniff
///
/// kubectl's own script (kubectl completion --help) completes `kubectl meshsniff`, with names from
/// the cluster, if kubectl_complete-meshsniff is on the PATH. It comes with the release; a link of
/// that name to kubectl-meshsniff does the same.
#[derive(Debug, Args)]
pub(super) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// If it cannot be written.
pub(super) fn run(root: &mut Command, args: &CompletionArgs) -> anyhow::Result<Vec<String>> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, root, "kubectl-meshsniff", &mut script);
    let mut out = io::stdout().lock();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Vec::new())
}

/// Returns the words to complete, if the program was started for that.
pub(super) fn asked() -> Option<Vec<String>> {
    let mut args = std::env::args_os();
    let program = args.next().map(PathBuf::from);
    let name = program.as_deref().and_then(Path::file_stem);
    let words: Vec<OsString> = if name.is_some_and(|name| name == PROGRAM) {
        args.collect()
    } else {
        args.next().filter(|first| first == COMMAND)?;
        args.collect()
    };
    let words = words.iter().map(|word| word.to_string_lossy().into_owned());
    Some(words.collect())
}

/// Prints the candidates.
pub(super) fn answer(root: Command, words: &[String]) {
    let (candidates, directive) = complete(root, words, &InCluster);
    let mut text = String::new();
    for (value, help) in candidates {
        text.push_str(&value);
        if !help.is_empty() {
            text.push('\t');
            text.push_str(&help);
        }
        text.push('\n');
    }
    // Nobody is told if it cannot be written.
    let _ = writeln!(io::stdout(), "{text}:{directive}");
}

/// Names that only a cluster or a kubeconfig knows.
trait Names {
    fn namespaces(&self, connect: &ConnectArgs) -> Vec<String>;
    /// Objects of a type, as it is typed before a slash.
    fn objects(&self, connect: &ConnectArgs, kind: &str) -> Vec<String>;
    fn containers(&self, connect: &ConnectArgs, pod: &str) -> Vec<String>;
    /// Names of contexts, clusters or users.
    fn configured(&self, connect: &ConnectArgs, what: &str) -> Vec<String>;
}

type Candidates = Vec<(String, String)>;

fn connect(typed: &Typed<'_>) -> ConnectArgs {
    ConnectArgs {
        namespace: typed.value("namespace"),
        context: typed.value("context"),
        cluster: typed.value("cluster"),
        user: typed.value("user"),
        kubeconfig: typed.value("kubeconfig").map(PathBuf::from),
        impersonate: typed.value("impersonate"),
        ..ConnectArgs::default()
    }
}

fn complete(mut root: Command, words: &[String], names: &impl Names) -> (Candidates, u8) {
    root.build();
    let (last, before) = match words.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", words),
    };
    let typed = Typed::read(&root, before);
    if let Some(option) = typed.pending {
        return values(&typed, option, last, names);
    }
    if last.starts_with('-') && !typed.only_plain {
        if last.starts_with("--")
            && let Some((option, Some(value))) = typed.option(last)
        {
            return values(&typed, option, &value, names);
        }
        return (options(typed.command, last), NO_FILES);
    }
    plain(&root, &typed, last, names)
}

fn starting(names: Vec<String>, with: &str) -> Candidates {
    let mut names: Vec<String> = names
        .into_iter()
        .filter(|name| name.starts_with(with))
        .collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|name| (name, String::new()))
        .collect()
}

/// The first sentence of a help text.
fn first_line(help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    help.lines().next().unwrap_or_default().replace('\t', " ")
}

fn options(command: &Command, last: &str) -> Candidates {
    let options = command
        .get_arguments()
        .filter(|option| !option.is_hide_set());
    let named = options.filter_map(|option| {
        let name = format!("--{}", option.get_long()?);
        name.starts_with(last)
            .then(|| (name, first_line(option.get_help())))
    });
    named.collect()
}

fn possible(arg: &Arg, last: &str) -> Candidates {
    let values = arg.get_possible_values().into_iter();
    let fitting = values.filter(|value| !value.is_hide_set() && value.get_name().starts_with(last));
    fitting
        .map(|value| (value.get_name().to_owned(), first_line(value.get_help())))
        .collect()
}

/// Candidates for the value of an option.
fn values(typed: &Typed<'_>, option: &Arg, last: &str, names: &impl Names) -> (Candidates, u8) {
    let is_files = matches!(
        option.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
    );
    if is_files {
        return (Candidates::new(), FILES);
    }
    let known = possible(option, last);
    if !known.is_empty() {
        return (known, NO_FILES);
    }
    let connect = connect(typed);
    let found = match option.get_id().as_str() {
        "namespace" | "helper_namespace" => names.namespaces(&connect),
        // Of rbac it is any user.
        "user" if typed.command.get_name() == "rbac" => Vec::new(),
        what @ ("context" | "cluster" | "user") => names.configured(&connect, what),
        "container" => {
            let pod = typed
                .plain
                .first()
                .map(|first| first.trim_start_matches("pod/"));
            pod.map(|pod| names.containers(&connect, pod))
                .unwrap_or_default()
        }
        _ => Vec::new(),
    };
    (starting(found, last), NO_FILES)
}

/// Candidates for a word that is not an option: a command, a target, or what else a command takes.
fn plain(root: &Command, typed: &Typed<'_>, last: &str, names: &impl Names) -> (Candidates, u8) {
    const TYPES: [&str; 7] = ["deploy/", "sts/", "ds/", "svc/", "rs/", "job/", "node/"];
    let command = typed.command;
    let is_root = std::ptr::eq(command, root);
    let mut found = Candidates::new();
    if typed.plain.is_empty() {
        let commands = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set());
        let fitting = commands.filter(|command| command.get_name().starts_with(last));
        found.extend(fitting.map(|command| {
            (
                command.get_name().to_owned(),
                first_line(command.get_about()),
            )
        }));
    }
    if command.get_name() == "compare" {
        return (found, FILES);
    }
    if command.has_subcommands() && !is_root {
        return (found, NO_FILES);
    }
    if !(is_root || matches!(command.get_name(), "capture" | "report" | "doctor")) {
        let mut takes = command.get_positionals();
        let Some(arg) = takes.next().filter(|_| typed.plain.is_empty()) else {
            return (Candidates::new(), NO_FILES);
        };
        return match arg.get_value_hint() {
            ValueHint::FilePath => (Candidates::new(), FILES),
            _ => (possible(arg, last), NO_FILES),
        };
    }
    let files = if command.get_name() == "report" {
        FILES
    } else {
        NO_FILES
    };
    let connect = connect(typed);
    if let Some((kind, _)) = last.split_once('/') {
        let objects = names.objects(&connect, kind);
        let objects = objects.into_iter().map(|name| format!("{kind}/{name}"));
        found.extend(starting(objects.collect(), last));
        return (found, files);
    }
    found.extend(starting(names.objects(&connect, "pod"), last));
    let types = TYPES
        .iter()
        .filter(|kind| !last.is_empty() && kind.starts_with(last));
    let before = found.len();
    found.extend(types.map(|kind| ((*kind).to_owned(), String::new())));
    // After a type comes a name.
    let only_types = before == 0 && !found.is_empty();
    (found, if only_types { files | NO_SPACE } else { files })
}

/// Names from the cluster and the kubeconfig.
struct InCluster;

/// Names that `asking` finds within a second; none if anything fails.
fn ask<F>(asking: F) -> Vec<String>
where
    F: Future<Output = anyhow::Result<Vec<String>>> + Send + 'static,
{
    // A task of its own: a program that hands out credentials may block it.
    let found = block_on(async {
        let asking = tokio::spawn(asking);
        let found: anyhow::Result<_> = tokio::time::timeout(PATIENCE, asking).await??;
        found
    });
    found.ok().and_then(Result::ok).unwrap_or_default()
}

impl Names for InCluster {
    fn namespaces(&self, connect: &ConnectArgs) -> Vec<String> {
        let connect = connect.clone();
        ask(async move {
            let cluster = Cluster::connect(&connect).await?;
            let api: Api<Namespace> = Api::all(cluster.client);
            let listed = api
                .list_metadata(&ListParams::default().limit(MOST))
                .await?;
            Ok(listed
                .items
                .iter()
                .map(PartialObjectMeta::name_any)
                .collect())
        })
    }

    fn objects(&self, connect: &ConnectArgs, kind: &str) -> Vec<String> {
        let connect = connect.clone();
        let Some((resource, of_cluster)) = target::resource(kind) else {
            return Vec::new();
        };
        ask(async move {
            let cluster = Cluster::connect(&connect).await?;
            let api: Api<DynamicObject> = if of_cluster {
                Api::all_with(cluster.client, &resource)
            } else {
                Api::namespaced_with(cluster.client, &cluster.namespace, &resource)
            };
            let listed = api
                .list_metadata(&ListParams::default().limit(MOST))
                .await?;
            Ok(listed
                .items
                .iter()
                .map(PartialObjectMeta::name_any)
                .collect())
        })
    }

    fn containers(&self, connect: &ConnectArgs, pod: &str) -> Vec<String> {
        let (connect, pod) = (connect.clone(), pod.to_owned());
        ask(async move {
            let cluster = Cluster::connect(&connect).await?;
            let api: Api<Pod> = Api::namespaced(cluster.client, &cluster.namespace);
            let spec = api.get(&pod).await?.spec.context("no spec")?;
            let init = spec.init_containers.unwrap_or_default();
            let containers = spec.containers.into_iter().chain(init);
            Ok(containers.map(|one| one.name).collect())
        })
    }

    fn configured(&self, connect: &ConnectArgs, what: &str) -> Vec<String> {
        let read = match &connect.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let Ok(config) = read else {
            return Vec::new();
        };
        match what {
            "context" => config.contexts.into_iter().map(|one| one.name).collect(),
            "cluster" => config.clusters.into_iter().map(|one| one.name).collect(),
            _ => config.auth_infos.into_iter().map(|one| one.name).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::root::Cli;
    use super::*;
    use clap::CommandFactory as _;

    /// A cluster with a few names; objects are called after namespace and type.
    struct Few;

    impl Names for Few {
        fn namespaces(&self, _: &ConnectArgs) -> Vec<String> {
            ["shop", "system"].map(str::to_owned).into()
        }
        fn objects(&self, connect: &ConnectArgs, kind: &str) -> Vec<String> {
            let namespace = connect.namespace.as_deref().unwrap_or("default");
            vec![format!("{namespace}-{kind}")]
        }
        fn containers(&self, _: &ConnectArgs, pod: &str) -> Vec<String> {
            vec![format!("app-of-{pod}")]
        }
        fn configured(&self, _: &ConnectArgs, what: &str) -> Vec<String> {
            vec![format!("my-{what}")]
        }
    }

    fn completed(line: &str) -> (Vec<String>, u8) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (candidates, directive) = complete(Cli::command(), &words, &Few);
        (candidates.into_iter().map(|one| one.0).collect(), directive)
    }

    fn names(line: &str) -> Vec<String> {
        completed(line).0
    }

    #[test]
    fn commands_and_pods_come_first() {
        let found = names("");
        for name in [
            "report",
            "capture",
            "cleanup",
            "doctor",
            "rbac",
            "completion",
            "default-pod",
        ] {
            assert!(found.contains(&name.to_owned()), "{name}: {found:?}");
        }
        assert_eq!(completed("rep"), (vec!["report".to_owned()], NO_FILES));
        assert_eq!(names("report default"), ["default-pod"]);
        assert_eq!(completed("report zzz").1, FILES, "or a capture file");
        assert_eq!(completed("compare zzz").1, FILES, "or a report");
        assert_eq!(complete(Cli::command(), &[], &Few).1, NO_FILES);
    }

    #[test]
    fn what_stands_before_counts() {
        assert_eq!(names("-n shop shop"), ["shop-pod"]);
        assert_eq!(names("--namespace=shop capture shop"), ["shop-pod"]);
        assert_eq!(names("capture deploy/"), ["deploy/default-deploy"]);
        assert_eq!(
            completed("capture dep"),
            (vec!["deploy/".to_owned()], NO_FILES | NO_SPACE)
        );
        assert_eq!(names("catalog -c "), ["app-of-catalog"]);
        assert!(names("report -- --").is_empty());
    }

    #[test]
    fn options_and_their_values() {
        assert_eq!(names("--helper-n"), ["--helper-namespace"]);
        assert!(names("doctor --mo") == ["--mode"] && names("cleanup --mo").is_empty());
        assert_eq!(names("--mode "), ["pod", "ephemeral", "auto"]);
        assert_eq!(names("--mode=a"), ["auto"]);
        assert_eq!(names("-n s"), ["shop", "system"]);
        assert_eq!(names("--context "), ["my-context"]);
        assert_eq!(names("rbac --user "), Vec::<String>::new());
        assert_eq!(completed("-w "), (Vec::new(), FILES));
        assert_eq!(names("completion z"), ["zsh"]);
        assert_eq!(names("image "), ["save", "push", "load", "help"]);
        assert_eq!(completed("image save a").1, FILES);
        assert_eq!(completed("image push a"), (Vec::new(), NO_FILES));
        assert_eq!(names("image load --into k"), ["kind", "k3d"]);
        assert_eq!(names("image load --context "), ["my-context"]);
        assert!(!names("-").contains(&"--dry_run".to_owned()));
    }
}
