//! `doctor`: checks what would fail here, before anything is made. It asks the server, or tries as
//! a dry run.

use super::cluster::ClusterArgs;
use super::wireshark;
use crate::carried;
use crate::cluster::bringing::{self, Brought};
use crate::cluster::connect::{Cluster, block_on};
use crate::cluster::error::{Cause, Doing};
use crate::cluster::manifest::HelperOptions;
use crate::cluster::mode::{Mode, rules};
use crate::cluster::rights::{self, NAMESPACES, Need, Place, Rule, is_granted};
use crate::cluster::target::node::{caution, fits};
use crate::cluster::target::{self, Target, Wanted};
use crate::cluster::way::pod::CARRIES;
use crate::cluster::way::way_in::{Mark, Shared};
use crate::cluster::way::{Making, WAYS, Way};
use clap::Args;
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::{Api, ResourceExt as _};
use meshsniff::escape::push_shown;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::time::Duration;

/// Longest time for the first answer of the server.
const PATIENCE: Duration = Duration::from_secs(15);
/// Name of a node for tries without a target: admission does not look at it.
const NO_NODE: &str = "meshsniff-doctor";
/// The label of a namespace that says which pods Pod Security admits.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Check what would fail here, before anything is made
///
/// Checks your rights, whether the helper would be admitted, and the targets' nodes. Nothing is
/// made: the server is asked, or tries it as a dry run. Without a TARGET, only rights and admission
/// are checked.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 nothing FAILs, 1 something does, 2 wrong usage.")]
pub(super) struct DoctorArgs {
    /// Pods or TYPE/NAME that are to be captured
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// Where.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Result of one check.
#[derive(Debug)]
struct Line {
    mark: Mark,
    /// The way in that it concerns; `None` for both.
    way: Option<Way>,
    text: String,
}

#[derive(Debug, Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn ok(&mut self, way: Option<Way>, text: String) {
        self.push(Mark::Ok, way, text);
    }

    fn warn(&mut self, way: Option<Way>, text: String) {
        self.push(Mark::Warn, way, text);
    }

    fn fail(&mut self, way: Option<Way>, text: String) {
        self.push(Mark::Fail, way, text);
    }

    fn push(&mut self, mark: Mark, way: Option<Way>, text: String) {
        self.0.push(Line { mark, way, text });
    }

    fn fails(&self, way: Way) -> bool {
        let mut lines = self.0.iter();
        lines.any(|line| line.mark == Mark::Fail && line.way == Some(way))
    }

    /// Turns failures of one way in to warnings if another one works.
    fn forgive_one_way(&mut self) {
        let Some(open) = WAYS.into_iter().find(|way| !self.fails(*way)) else {
            return;
        };
        for line in &mut self.0 {
            if line.mark == Mark::Fail && line.way.is_some() {
                line.mark = Mark::Warn;
            }
        }
        if open != WAYS[0] {
            self.ok(
                Some(open),
                format!("--mode auto uses {} here", open.facts().noun),
            );
        }
    }

    /// Prints all results, with `quiet` only warnings and failures; returns the number of failures.
    fn write(&self, quiet: bool) -> io::Result<usize> {
        let mut out = io::stdout().lock();
        for line in &self.0 {
            let mark = match line.mark {
                Mark::Ok if quiet => continue,
                Mark::Ok => "ok   ",
                Mark::Warn => "warn ",
                Mark::Fail => "FAIL ",
            };
            let mut shown = String::from(mark);
            push_shown(&mut shown, &line.text);
            writeln!(out, "{shown}")?;
        }
        out.flush()?;
        let fails = self.0.iter().filter(|line| line.mark == Mark::Fail);
        Ok(fails.count())
    }
}

/// Runs every check; returns one sentence if any failed.
///
/// # Errors
/// If a target has no valid name, or nothing can be printed.
pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<Vec<String>> {
    let wanted = args.cluster.target.wanted(&args.targets)?;
    let mut lines = block_on(look(args, &wanted))?;
    if args.cluster.helper.mode == Mode::Auto {
        lines.forgive_one_way();
    }
    match wireshark::find() {
        Ok(program) => lines.ok(None, format!("Wireshark is {}", program.display())),
        Err(error) => lines.warn(None, format!("{error:#}")),
    }
    let fails = lines.write(args.cluster.helper.quiet)?;
    let told = match fails {
        0 => return Ok(Vec::new()),
        1 => "one thing fails here: see the line that begins with FAIL".to_owned(),
        fails => format!("{fails} things fail here: see the lines that begin with FAIL"),
    };
    Ok(vec![told])
}

/// Runs every check, as far as the cluster can be reached.
async fn look(args: &DoctorArgs, wanted: &Wanted) -> Lines {
    let mut lines = Lines::default();
    let cluster = match Cluster::connect(&args.cluster.connect).await {
        Ok(cluster) => cluster,
        Err(error) => {
            lines.fail(None, format!("{error:#}"));
            return lines;
        }
    };
    let server = cluster.server.clone();
    match tokio::time::timeout(PATIENCE, cluster.client.apiserver_version()).await {
        Ok(Ok(version)) => {
            let text = format!("the API server {server} answers: {}", version.git_version);
            lines.ok(None, text);
        }
        // Who may not ask for the version has reached the server all the same.
        Ok(Err(error)) if Cause::of(&error) == Cause::MissingRight => {
            lines.ok(None, format!("the API server {server} answers"));
        }
        Ok(Err(error)) => {
            let asking = Doing::request("get", "version", "", "version");
            lines.fail(None, asking.failed()(error).to_string());
            return lines;
        }
        Err(_) => {
            let text = format!(
                "the API server {server} does not answer within {} s: see whether kubectl get ns \
                 works",
                PATIENCE.as_secs()
            );
            lines.fail(None, text);
            return lines;
        }
    }
    let mut targets = Vec::new();
    if !wanted.named.is_empty() || wanted.selector.is_some() {
        match target::find(&cluster, wanted).await {
            Ok(found) => {
                let names: Vec<String> = found.targets.iter().map(Target::full_name).collect();
                lines.ok(None, format!("the targets are {}", names.join(", ")));
                for why in found.passed_over {
                    lines.warn(None, why.to_string());
                }
                targets = found.targets;
            }
            Err(error) => lines.fail(None, format!("{error:#}")),
        }
    }
    let check = Check::new(args, cluster, targets);
    check.rights(&mut lines).await;
    for way in WAYS.into_iter().filter(|way| check.mode.allows(*way)) {
        check.pod_security(&mut lines, way).await;
        check.admission(&mut lines, way).await;
    }
    check.nodes(&mut lines).await;
    lines
}

/// Subject of the checks.
struct Check {
    cluster: Cluster,
    mode: Mode,
    options: HelperOptions,
    own_namespace: Option<String>,
    targets: Vec<Target>,
    /// The namespaces of the targets.
    target_namespaces: BTreeSet<String>,
    /// The namespaces of the helpers.
    helper_namespaces: BTreeSet<String>,
}

impl Check {
    fn new(args: &DoctorArgs, cluster: Cluster, targets: Vec<Target>) -> Self {
        let found = targets.iter().map(|target| target.namespace.clone());
        let mut target_namespaces: BTreeSet<String> = found.collect();
        if target_namespaces.is_empty() {
            target_namespaces.insert(cluster.namespace.clone());
        }
        let own_namespace = args.cluster.helper.helper_namespace.clone();
        let helper_namespaces = match &own_namespace {
            Some(own) => BTreeSet::from([own.clone()]),
            None => target_namespaces.clone(),
        };
        Self {
            cluster,
            mode: args.cluster.helper.mode,
            options: args.cluster.helper.options(),
            own_namespace,
            targets,
            target_namespaces,
            helper_namespaces,
        }
    }

    /// Command that prints the rights that are missing in a namespace.
    fn rbac(&self, namespace: &str) -> String {
        let target = if self.target_namespaces.contains(namespace) {
            Some(namespace)
        } else {
            self.target_namespaces.first().map(String::as_str)
        };
        let mut command = format!(
            "kubectl meshsniff rbac -n {}",
            target.unwrap_or(&self.cluster.namespace)
        );
        let in_helpers = WAYS
            .into_iter()
            .any(|way| way.facts().place == Place::Helper && self.mode.allows(way));
        if let Some(own) = self.own_namespace.as_ref().filter(|_| in_helpers) {
            command = format!("{command} --helper-namespace {own}");
        }
        format!("{command} --mode {}", self.mode)
    }

    async fn rights(&self, lines: &mut Lines) {
        let cluster_wide = BTreeSet::from([String::new()]);
        let asked = rules(self.mode).into_iter().flat_map(|(way, rule)| {
            let namespaces = match rule.place {
                Place::Target => &self.target_namespaces,
                Place::Helper => &self.helper_namespaces,
                Place::Cluster => &cluster_wide,
            };
            namespaces
                .iter()
                .map(move |namespace| (way, rule, namespace.as_str()))
        });
        let asked: Vec<(Option<Way>, &Rule, &str)> = asked.collect();
        let answers = join_all(asked.iter().map(|(_, rule, namespace)| {
            // A namespace is asked for by name.
            let named = rule.right.on == NAMESPACES;
            let namespace = match self.helper_namespaces.first() {
                Some(first) if named => first.as_str(),
                _ => namespace,
            };
            is_granted(&self.cluster, namespace, rule.right)
        }))
        .await;
        let granted = |namespace: &str, right: rights::Right| {
            let mut known = asked.iter().zip(&answers);
            known.any(|((_, rule, place), answer)| {
                rule.right == right && *place == namespace && *answer == Some(true)
            })
        };
        let mut held: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut optional: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut others = Lines::default();
        for ((way, rule, namespace), answer) in asked.iter().zip(&answers) {
            let right = rule.right;
            let place = place(namespace);
            match answer {
                Some(true) => {
                    let held = held.entry(namespace).or_default();
                    if !held.contains(&right.to_string()) {
                        held.push(right.to_string());
                    }
                }
                None => others.warn(
                    *way,
                    format!(
                        "nobody says whether you may {right} {place}: see kubectl auth can-i --list"
                    ),
                ),
                Some(false) => {
                    let needed = match rule.need {
                        Need::Required => true,
                        Need::RequiredUnless(verb) => {
                            !granted(namespace, rights::Right { verb, ..right })
                        }
                        Need::Sometimes | Need::Optional => false,
                    };
                    if needed {
                        let text = format!(
                            "you may not {right} {place} ({}): ask for the rights that {} prints",
                            rule.why,
                            self.rbac(namespace)
                        );
                        others.fail(*way, text);
                    } else {
                        optional
                            .entry(namespace)
                            .or_default()
                            .push(right.to_string());
                    }
                }
            }
        }
        for (namespace, held) in held {
            let place = place(namespace);
            lines.ok(None, format!("{place} you may {}", held.join(", ")));
        }
        lines.0.append(&mut others.0);
        for (namespace, mut missing) in optional {
            missing.dedup();
            let text = format!(
                "{} you may not {}: a plain capture does without; {} says what each is for",
                place(namespace),
                missing.join(", "),
                self.rbac(namespace)
            );
            lines.warn(None, text);
        }
    }

    /// Checks the labels of the namespaces.
    async fn pod_security(&self, lines: &mut Lines, way: Way) {
        let namespaces = match way.facts().place {
            Place::Target => &self.target_namespaces,
            Place::Helper => &self.helper_namespaces,
            Place::Cluster => return,
        };
        let api: Api<Namespace> = Api::all(self.cluster.client.clone());
        for name in namespaces {
            let namespace = match api.get(name).await {
                Ok(namespace) => namespace,
                Err(error) if Cause::of(&error) == Cause::NotFound => {
                    let text = format!(
                        "there is no namespace {name}: create it (manifests/helper-namespace.yaml \
                         is one for helpers), or name another one"
                    );
                    lines.fail(Some(way), text);
                    continue;
                }
                Err(_) => {
                    let text = format!(
                        "the Pod Security level of namespace {name} cannot be read: only trying \
                         out says what it is"
                    );
                    lines.warn(Some(way), text);
                    continue;
                }
            };
            let level = namespace.labels().get(ENFORCE).map(String::as_str);
            // What counts is what the server says when it is tried; this only says why.
            let keeps_out = level.and_then(|level| Some((level, way.kept_out_by(level)?)));
            match keeps_out {
                Some((level, what)) => lines.warn(
                    Some(way),
                    format!("Pod Security in namespace {name} is {level}, which {what}"),
                ),
                None if level.is_none() => lines.ok(
                    Some(way),
                    format!(
                        "namespace {name} enforces no Pod Security level by a label of its own"
                    ),
                ),
                None => lines.ok(
                    Some(way),
                    format!(
                        "Pod Security in namespace {name} admits {}",
                        way.facts().noun
                    ),
                ),
            }
        }
    }

    /// Tries what a way in makes: for one target of each namespace, or for each target.
    async fn admission(&self, lines: &mut Lines, way: Way) {
        let own = self.own_namespace.as_deref();
        let tried: Vec<(String, Shared, &[Target])> = match way.facts().place {
            Place::Helper => {
                let namespaces = self.helper_namespaces.iter().map(|namespace| {
                    let is_there = |one: &&Target| own.is_some() || one.namespace == *namespace;
                    let target = self.targets.iter().find(is_there);
                    let node = target.map_or(NO_NODE, |target| target.node.as_str());
                    let shared = (namespace.clone(), node.to_owned());
                    let targets = target.map_or(&[][..], std::slice::from_ref);
                    (format!("namespace {namespace}"), shared, targets)
                });
                namespaces.collect()
            }
            Place::Target | Place::Cluster => {
                let targets = self.targets.iter().map(|target| {
                    let place = format!("pod {}", target.full_name());
                    (place, way.share(own, target), std::slice::from_ref(target))
                });
                targets.collect()
            }
        };
        for (place, shared, targets) in tried {
            if let Err(error) = way.suits(targets) {
                lines.fail(Some(way), error.to_string());
                continue;
            }
            let making = Making::new(&self.cluster, &self.options, &shared, targets);
            let finding = match way.dry_run(making).await {
                Ok(()) => Some((
                    Mark::Ok,
                    format!("{} is admitted in {place}", way.facts().noun),
                )),
                Err(error) if error.cause().is_transient() => {
                    Some((Mark::Warn, format!("{error}: try again later")))
                }
                Err(error) => way.diagnosis(error, making),
            };
            if let Some((mark, text)) = finding {
                lines.push(mark, Some(way), text);
            }
        }
    }

    /// Checks the rights that an agent takes which is carried: here they are not optional.
    async fn may_carry(&self, lines: &mut Lines) {
        for namespace in &self.helper_namespaces {
            let asked = CARRIES.iter().map(async |rule| {
                let granted = is_granted(&self.cluster, namespace, rule.right).await;
                (granted == Some(false)).then(|| rule.right.to_string())
            });
            let missing: Vec<String> = join_all(asked).await.into_iter().flatten().collect();
            if !missing.is_empty() {
                let text = format!(
                    "you may not {} {}, through which the agent is carried: ask for the rights that \
                     {} prints, or name an image of the agent with --agent image --image",
                    missing.join(", "),
                    place(namespace),
                    self.rbac(namespace)
                );
                lines.fail(Some(WAYS[0]), text);
            }
        }
    }

    /// Checks the nodes of the targets.
    async fn nodes(&self, lines: &mut Lines) {
        let names: BTreeSet<&str> = self.targets.iter().map(|one| one.node.as_str()).collect();
        let api: Api<Node> = Api::all(self.cluster.client.clone());
        for name in names {
            let node = match api.get(name).await {
                Ok(node) => node,
                Err(_) => {
                    let text = format!(
                        "node {name} cannot be looked at: whether it can run the agent and pull {} \
                         is seen when it is to",
                        self.options.source.image
                    );
                    lines.warn(None, text);
                    continue;
                }
            };
            if let Err(error) = fits(&node, Place::Target) {
                lines.fail(None, error.to_string());
                continue;
            }
            let ways = WAYS.into_iter().filter(|way| self.mode.allows(*way));
            let mut fitting = 0;
            for way in ways {
                match fits(&node, way.facts().place) {
                    Ok(()) => fitting += 1,
                    Err(error) => lines.fail(Some(way), error.to_string()),
                }
            }
            if fitting == 0 {
                continue;
            }
            match caution(&node) {
                Some(caution) => lines.warn(None, caution),
                None => lines.ok(None, format!("node {name} can run the agent")),
            }
            let namespaces = self.helper_namespaces.iter();
            let namespace = namespaces.map(String::as_str).next().unwrap_or_default();
            let here = self.targets.iter().filter(|one| one.node == name);
            let here: Vec<Target> = here.cloned().collect();
            let ways = bringing::ways(
                carried::all(),
                &self.options.source,
                namespace,
                name,
                Some(&node),
                &here,
            );
            match ways
                .as_ref()
                .map(|ways| ways.first().and_then(Brought::carrier))
            {
                Err(error) => {
                    lines.fail(None, error.to_string());
                    continue;
                }
                Ok(Some(carrier)) if self.mode.allows(WAYS[0]) => {
                    lines.ok(None, format!(
                        "node {name} gets the agent for {} that this plugin carries ({} kB), into a \
                         container of the image {}, which it has",
                        carrier.agent.architecture,
                        carrier.agent.packed.len() / 1000,
                        carrier.image
                    ));
                    self.may_carry(lines).await;
                    continue;
                }
                Ok(Some(_)) => {
                    lines.ok(None, format!(
                        "the agent that this plugin carries comes by a shell of the pod's own image; \
                         where no container of the pod has one, the image {} is pulled",
                        self.options.source.image
                    ));
                    continue;
                }
                Ok(None) => {}
            }
            let image = &self.options.source.image;
            let images = node.status.into_iter().flat_map(|status| status.images);
            let known: Vec<String> = images
                .flatten()
                .flat_map(|image| image.names.unwrap_or_default())
                .collect();
            let here = is_there(&known, image);
            let never = self.options.pull_policy.as_deref() == Some("Never");
            match (here, never) {
                (true, _) => lines.ok(None, format!("node {name} has the image {image}")),
                (false, true) => lines.warn(
                    None,
                    format!(
                        "node {name} does not list the image {image}, and --image-pull-policy \
                         Never keeps it from pulling it: import it there (a node lists its 50 \
                         largest images only)"
                    ),
                ),
                (false, false) => lines.warn(
                    None,
                    format!(
                        "node {name} does not list the image {image}, so it will be pulled: if it \
                         cannot be, name a mirror with --image, and --image-pull-secret if that \
                         needs one"
                    ),
                ),
            }
        }
    }
}

fn place(namespace: &str) -> String {
    if namespace.is_empty() {
        "in the whole cluster".to_owned()
    } else {
        format!("in namespace {namespace}")
    }
}

/// Whether a node lists an image. The names there are whole; a digest counts more than a tag.
fn is_there(known: &[String], image: &str) -> bool {
    let whole = whole_name(image);
    known.contains(&whole)
}

/// Returns an image's name as container runtimes store it: `agent:1` is
/// `docker.io/library/agent:1`.
fn whole_name(image: &str) -> String {
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let name = if first.is_empty() {
        format!("docker.io/library/{rest}")
    } else if first.contains(['.', ':']) || first == "localhost" {
        image.to_owned()
    } else {
        format!("docker.io/{image}")
    };
    let tag_of = |name: &str| name.rsplit('/').next().and_then(|last| last.find(':'));
    match name.split_once('@') {
        Some((named, digest)) => {
            let bare = tag_of(named).map_or(named, |_| {
                named.rsplit_once(':').map_or(named, |(bare, _)| bare)
            });
            format!("{bare}@{digest}")
        }
        None if tag_of(&name).is_some() => name,
        None => format!("{name}:latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_whole_names() {
        assert_eq!(whole_name("agent:1"), "docker.io/library/agent:1");
        assert_eq!(whole_name("me/agent"), "docker.io/me/agent:latest");
        assert_eq!(
            whole_name("r.example:5000/a/agent:1"),
            "r.example:5000/a/agent:1"
        );
        assert_eq!(
            whole_name("r.example:5000/agent"),
            "r.example:5000/agent:latest"
        );
        assert_eq!(
            whole_name("r.example/agent:1@sha256:ab"),
            "r.example/agent@sha256:ab"
        );
        let known = ["docker.io/library/agent:1".to_owned()];
        assert!(is_there(&known, "agent:1") && !is_there(&known, "agent:2"));
    }

    #[test]
    fn one_way_in_is_enough_for_auto() {
        let mut lines = Lines::default();
        lines.fail(Some(WAYS[0]), "no pods".to_owned());
        lines.forgive_one_way();
        assert!(!lines.fails(WAYS[0]));
        assert!(lines.0.iter().any(|line| line.text.contains("ephemeral")));
        let mut lines = Lines::default();
        lines.fail(Some(WAYS[0]), "no pods".to_owned());
        lines.fail(Some(WAYS[1]), "no patch".to_owned());
        lines.forgive_one_way();
        assert!(lines.fails(WAYS[0]) && lines.fails(WAYS[1]));
        let mut lines = Lines::default();
        lines.fail(None, "no server".to_owned());
        lines.forgive_one_way();
        assert_eq!(lines.0[0].mark, Mark::Fail);
    }
}
