//! A helper pod: a Job on the target's node, which sees the node's processes.
//!
//! Whatever becomes of this program, the cluster ends the helper: its Job has a deadline that only
//! a living plugin moves on, and is deleted soon after its end. Deleting it here only makes that
//! quick.
//!
//! | here | holds |
//! |---|---|
//! | `manifest` | the Job, and the pod that it makes |
//! | `parts` | the `ConfigMap`s in which an agent that is carried comes |
//! | `helper` | a helper's life, from its Job to the end |
//! | `left` | what is left of helpers |

mod helper;
mod left;
mod manifest;
mod parts;

use super::way_in::{
    Container, Facts, Finding, Life, Making, Mark, Preview, Shared, WayError, WayIn,
};
use crate::carried;
use crate::cluster::bringing::{self, Brought, NotCarried};
use crate::cluster::error::{ApiError, Cause, Doing, Obstacle};
use crate::cluster::manifest::{MANAGED_BY, Run};
use crate::cluster::rights::{CONFIG_MAPS, EVENTS, JOBS, Need, PODS, Place, Resource, Rule};
use crate::cluster::talk::Talk;
use crate::cluster::target::{Target, node};
use crate::cluster::traces::{Look, LookError, Traces};
use async_trait::async_trait;
use helper::{creating, start};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::PostParams;
use left::sort;
use manifest::{job, pod};
use meshsniff_contract::arguments::Request;
use meshsniff_contract::ending;
use serde_json::json;

const RULES: &[Rule] = {
    use Need::{Optional, Required, RequiredUnless};
    const fn rule(need: Need, verb: &'static str, on: Resource) -> Rule {
        Rule::new(Place::Helper, need, verb, on)
    }
    let [get_exec, create_exec] = Rule::exec(Place::Helper);
    &[
        rule(Required, "create", JOBS).why("making the helper"),
        rule(Required, "patch", JOBS)
            .why("keeping it: without this the cluster ends it after 90 s"),
        rule(Required, "delete", JOBS)
            .why("removing it: without this it stays for a minute or two"),
        rule(Optional, "get", JOBS).why("telling at once that the helper cannot start"),
        rule(Optional, "list", JOBS).why("cleanup"),
        rule(RequiredUnless("watch"), "list", PODS).why("waiting for the helper; cleanup"),
        rule(RequiredUnless("list"), "watch", PODS)
            .why("waiting for the helper without asking again and again"),
        rule(Optional, "create", PODS).why(
            "trying out whether the helper is admitted; whoever may create jobs gets pods anyway",
        ),
        rule(Optional, "delete", PODS)
            .why("removing a pod whose job is gone, and without delay one that was changed"),
        get_exec,
        create_exec,
        rule(Optional, "list", EVENTS).why("telling why the helper does not start"),
        CARRIES[0],
        CARRIES[1],
        CARRIES[2],
        rule(Optional, "list", CONFIG_MAPS).why("cleanup"),
        rule(Optional, "delete", CONFIG_MAPS)
            .why("cleanup; some clusters let nobody else say whom an object belongs to"),
    ]
};

/// The rights that an agent takes which is carried.
pub const CARRIES: [Rule; 3] = {
    const fn rule(verb: &'static str) -> Rule {
        Rule::new(Place::Helper, Need::Sometimes, verb, CONFIG_MAPS)
    }
    [
        rule("create").why("an agent that is carried: bringing it"),
        rule("patch").why("an agent that is carried: having it in common with other runs"),
        rule("get").why("an agent that is carried: seeing that it was not replaced"),
    ]
};

/// A helper pod.
pub struct HelperPod;

#[async_trait]
impl WayIn for HelperPod {
    fn facts(&self) -> &'static Facts {
        &Facts {
            name: "pod",
            help: "A helper pod on the target's node, which sees the node's processes; it is \
                   deleted at the end",
            noun: "a helper pod",
            place: Place::Helper,
            rules: RULES,
            // Of a Job nobody says that its pod will not be admitted.
            starts_if_refused: true,
        }
    }

    fn kept_out_by(&self, level: &str) -> Option<&'static str> {
        (level != "privileged").then_some(
            "admits no helper pod: let it run in another namespace with --helper-namespace, or use \
             --mode ephemeral",
        )
    }

    fn suits(&self, _targets: &[Target]) -> Result<(), WayError> {
        Ok(())
    }

    /// The helpers' namespace and the node: one helper captures all targets there.
    fn share(&self, own: Option<&str>, target: &Target) -> Shared {
        (
            own.unwrap_or(&target.namespace).to_owned(),
            target.node.clone(),
        )
    }

    async fn dry_run(&self, making: Making<'_>) -> Result<(), ApiError> {
        let doing = Doing::request("create", "pods", making.namespace, "pod");
        let api: Api<Pod> = making.cluster.api(Some(making.namespace));
        let brought = first_way(making).await;
        let tried = match serde_json::from_value(pod(&making, &brought, &Run::new())) {
            Ok(pod) => api.create(&dry(), &pod).await.map(drop),
            Err(error) => Err(kube::Error::SerdeError(error)),
        };
        tried.map_err(doing.failed())
    }

    fn refusal(&self, error: ApiError, making: Making<'_>) -> WayError {
        match error.cause() {
            Cause::NotFound => WayError::NoNamespace(making.namespace.to_owned()),
            Cause::Refused(Some(obstacle)) => WayError::Refused(error, obstacle.advice()),
            // It may be the volumes that are not admitted, or a command that the image has not.
            Cause::Refused(None) if making.options.source.is_carried() => {
                WayError::Refused(error, parts::OR_AN_IMAGE)
            }
            _ => error.into(),
        }
    }

    fn diagnosis(&self, error: ApiError, making: Making<'_>) -> Option<Finding> {
        match error.cause() {
            // That there is no such namespace is said of the namespace.
            Cause::NotFound => None,
            Cause::MissingRight => {
                let text = format!(
                    "whether a helper pod is admitted in namespace {} cannot be tried out without \
                     the right to create pods: it is seen when the Job makes one",
                    making.namespace
                );
                Some((Mark::Warn, text))
            }
            _ => Some((Mark::Fail, self.refusal(error, making).to_string())),
        }
    }

    async fn preview(
        &self,
        making: Making<'_>,
        ask: bool,
        talk: &Talk,
    ) -> Result<Preview, WayError> {
        let namespace = making.namespace;
        let brought = first_way(making).await;
        let mut job = job(&making, &brought, &Run::new());
        let beside = brought.carrier().map(|carrier| parts::told(&carrier.agent));
        if !ask {
            job["metadata"]["namespace"] = json!(namespace);
            return Ok((job, beside));
        }
        // The Job's own dry run says nothing of Pod Security and quotas.
        match self.dry_run(making).await {
            Ok(()) => {}
            Err(error) if error.cause() == Cause::MissingRight => talk.warn(&format!(
                "you may not create pods in namespace {namespace}: whether the Job's pod is \
                 admitted is not tried out"
            )),
            Err(error) => return Err(self.refusal(error, making)),
        }
        let api: Api<Job> = making.cluster.api(Some(namespace));
        let made = api.create(&dry(), &serde_json::from_value(job)?).await;
        let mut made = made.map_err(creating(namespace).failed())?;
        // Who set which field is of no use to a reader.
        made.metadata.managed_fields = None;
        Ok((serde_json::to_value(made)?, beside))
    }

    async fn start(&self, making: Making<'_>, life: &Life) -> Result<Container, WayError> {
        let looked = node::look(making.cluster, making.shared, Place::Helper);
        let node = life.stop.unless_asked(looked).await??;
        let mut ways = ways(making, node.as_ref())?.into_iter().peekable();
        loop {
            // There is one at least.
            let Some(brought) = ways.next() else {
                return Err(WayError::NoTarget);
            };
            let error = match start(making, &brought, ways.peek().is_some(), life).await {
                Ok(container) => return Ok(container),
                Err((error, _)) if ways.peek().is_none() || !is_of_the_way(&error) => {
                    // It is not asked for, and would have helped.
                    if is_of_the_way(&error) && carried::all().is_empty() {
                        life.talk.say(&NotCarried::None.to_string());
                    }
                    return Err(of_carrier(error, &brought));
                }
                Err((error, helper)) => {
                    // Not at the end only: what cannot run is nobody's capture.
                    if let Some(helper) = helper {
                        helper.end(&life.talk, &life.stop).await;
                    }
                    error
                }
            };
            let next = match ways.peek().and_then(Brought::carrier) {
                Some(carrier) => format!(
                    "the agent for {} is carried there, into a container of the image {}",
                    carrier.agent.architecture, carrier.image
                ),
                None => "its image is tried".to_owned(),
            };
            life.talk
                .say(&format!("{}: {next}", without_advice(&error)));
        }
    }

    fn set_target(&self, target: &Target, request: &mut Request) {
        request.target.node = target.host_network;
        request.target.pod_uid = (!target.is_node()).then(|| target.cgroup.clone());
        request.target.container_id = target.container.clone();
        request.target.proof.clone_from(&target.proof);
    }

    fn ends_with_sandbox(&self, reason: &str) -> bool {
        reason == ending::TARGET_GONE
    }

    async fn left_behind(&self, look: &Look<'_>) -> Result<Traces, LookError> {
        let jobs: Vec<Job> = look.list(Some(MANAGED_BY)).await?;
        let pods = look.pods().await?;
        let mut leftovers = sort(&jobs, pods, look.now().await);
        let maps = match look.list(Some(MANAGED_BY)).await {
            // Whoever may not list them has made none.
            Err(error) if error.is_missing_right() => Vec::new(),
            maps => maps?,
        };
        leftovers.extend(parts::without_a_job(&maps, &jobs));
        Ok((leftovers, Vec::new()))
    }
}

/// The ways for the agent to come to the node of these targets.
fn ways(making: Making<'_>, node: Option<&Node>) -> Result<Vec<Brought>, NotCarried> {
    let Making {
        options,
        namespace,
        shared,
        targets,
        ..
    } = making;
    bringing::ways(
        carried::all(),
        &options.source,
        namespace,
        shared,
        node,
        targets,
    )
}

/// The way that is tried first. What cannot be carried at all is said when it is to start.
async fn first_way(making: Making<'_>) -> Brought {
    let node = node::look(making.cluster, making.shared, Place::Helper).await;
    let ways = ways(making, node.ok().flatten().as_ref()).unwrap_or_default();
    ways.into_iter().next().unwrap_or(Brought::Image)
}

/// An error about an image that is only there to carry the agent: it is none to pull.
fn of_carrier(error: WayError, brought: &Brought) -> WayError {
    match (error, brought) {
        (WayError::CannotRun(_, why), Brought::Carried(carrier))
            if why.obstacle == Some(Obstacle::Image) =>
        {
            WayError::NoCarrier(carrier.image.clone(), why.words)
        }
        (error, _) => error,
    }
}

/// An error whose next step is taken here.
fn without_advice(error: &WayError) -> String {
    match error {
        WayError::CannotRun(what, why) => format!("the {what} cannot run ({})", why.words),
        WayError::Late(what, seconds, why, _) => {
            format!("the {what} did not start within {seconds} s{why}")
        }
        error => error.to_string(),
    }
}

/// Whether an error is about the image or the architecture, so that another may do.
fn is_of_the_way(error: &WayError) -> bool {
    match error {
        WayError::CannotRun(_, why) => {
            let of_image = [
                "CreateContainer",
                "RunContainer",
                "StartError",
                "exec format",
            ];
            why.obstacle == Some(Obstacle::Image)
                || of_image.iter().any(|word| why.words.contains(word))
        }
        WayError::Late(_, _, why, _) => Obstacle::in_words(why) == Some(Obstacle::Image),
        _ => false,
    }
}

fn dry() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}
