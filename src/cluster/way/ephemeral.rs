//! An ephemeral container in the target's pod: it shares the network namespace by itself, and works
//! where no pod with the node's processes may run.
//!
//! It cannot be deleted. The agent in it ends, and one entry with its end stays in the pod's
//! status.

mod shell;

use super::way_in::{
    Awaited, Container, Facts, Finding, Life, Made, Making, Mark, Meanwhile, Preview, Shared,
    WayError, WayIn,
};
use crate::carried;
use crate::cluster::bringing::Brought;
use crate::cluster::error::{ApiError, Cause, Doing};
use crate::cluster::manifest::{self, HelperOptions, PREFIX, Run};
use crate::cluster::mutation::Changes;
use crate::cluster::rights::{EPHEMERAL, Need, PODS, Place, Rule, missing_for_exec};
use crate::cluster::stop::Stop;
use crate::cluster::talk::Talk;
use crate::cluster::target::{Target, node};
use crate::cluster::traces::{Guest, GuestState, Look, LookError, Traces};
use crate::cluster::waiting::{By, Complaint, Follow, State, of_container};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use meshsniff_contract::arguments::{self, Request};
use meshsniff_contract::ending;
use serde_json::{Value, json};

const AWAITED: Awaited = Awaited {
    what: "ephemeral container",
    more: "",
    deleted: "the pod was deleted before the capture began",
};

/// What is to be done about a container that was changed.
const EXEMPT: &str = ": exempt ephemeral containers whose names begin with meshsniff- from that, \
                      or use --mode pod, with --helper-namespace if need be";

const RULES: &[Rule] = {
    let [get_exec, create_exec] = Rule::exec(Place::Target);
    &[
        Rule::new(Place::Target, Need::Optional, "watch", PODS)
            .why("waiting for the container without asking again and again"),
        Rule::new(Place::Target, Need::Required, "patch", EPHEMERAL).why("adding the container"),
        get_exec,
        create_exec,
    ]
};

/// An ephemeral container.
pub struct EphemeralContainer;

#[async_trait]
impl WayIn for EphemeralContainer {
    fn facts(&self) -> &'static Facts {
        &Facts {
            name: "ephemeral",
            help: "An ephemeral container in the target's pod; its entry stays in the pod when it \
                   has ended",
            noun: "an ephemeral container",
            place: Place::Target,
            rules: RULES,
            starts_if_refused: false,
        }
    }

    fn kept_out_by(&self, level: &str) -> Option<&'static str> {
        (!matches!(level, "privileged" | "baseline"))
            .then_some("admits no container as root: use --mode pod with --helper-namespace")
    }

    /// In a node's network the stream itself would be captured, and only a helper pod sees the
    /// processes by which to tell its ports.
    fn suits(&self, targets: &[Target]) -> Result<(), WayError> {
        match targets.iter().find(|target| target.host_network) {
            None => Ok(()),
            Some(target) => Err(WayError::OnNode(target.full_name())),
        }
    }

    /// Nothing: each pod has its own.
    fn share(&self, _own: Option<&str>, target: &Target) -> Shared {
        (target.namespace.clone(), target.name.clone())
    }

    async fn dry_run(&self, making: Making<'_>) -> Result<(), ApiError> {
        let brought = Brought::Image;
        patch(&making, &brought, &Run::new(), true).await.map(drop)
    }

    fn refusal(&self, error: ApiError, _making: Making<'_>) -> WayError {
        error.into()
    }

    fn diagnosis(&self, error: ApiError, making: Making<'_>) -> Option<Finding> {
        let Making {
            namespace, shared, ..
        } = making;
        let text = format!(
            "pod {namespace}/{shared}: {error}: use --mode pod, with --helper-namespace if need be"
        );
        // A missing right is said of the namespace.
        (error.cause() != Cause::MissingRight).then_some((Mark::Fail, text))
    }

    async fn preview(
        &self,
        making: Making<'_>,
        ask: bool,
        _talk: &Talk,
    ) -> Result<Preview, WayError> {
        if ask {
            self.dry_run(making).await?;
        }
        let Making {
            namespace, shared, ..
        } = making;
        let command = format!(
            "kubectl -n {namespace} patch pod {shared} --subresource ephemeralcontainers \
             --patch-file FILE"
        );
        let manifest = manifest(&making, &Brought::Image, &Run::new());
        Ok((manifest, Some(command)))
    }

    async fn start(&self, making: Making<'_>, life: &Life) -> Result<Container, WayError> {
        for target in making.targets {
            let looked = node::look(making.cluster, &target.node, Place::Target);
            life.stop.unless_asked(looked).await??;
        }
        // It cannot be taken away again: what would be of no use is not made.
        let missing = missing_for_exec(making.cluster, making.namespace);
        if let Some(missing) = life.stop.unless_asked(missing).await? {
            return Err(missing.into());
        }
        let run = Run::new();
        let brought = life.stop.unless_asked(brought(&making, life)).await?;
        let made = patch(&making, &brought, &run, false).await?;
        let added = Container {
            namespace: making.namespace.to_owned(),
            pod: making.shared.to_owned(),
            name: run.name(),
            command: brought.command(),
        };
        let sent = manifest(&making, &brought, &run);
        let changes = Changes::of_ephemeral(&sent["spec"]["ephemeralContainers"][0], &made);
        if let Some(harmful) = changes.harmful() {
            life.keep(Another(added));
            return Err(WayError::Mutated(AWAITED.what, harmful, EXEMPT));
        }
        life.keep(added.clone());
        let by = By::Name(added.pod.clone());
        let follow = Follow::new(making.cluster, &added.namespace, by);
        let state = |pod: &Pod| state(pod, &added.name);
        AWAITED
            .until_it_runs(follow, state, Changed(changes), life)
            .await?;
        if let Some(carrier) = brought.carrier() {
            let agent = &carrier.agent;
            let arrives = shell::bring(making.cluster, &added, agent);
            life.stop.unless_asked(arrives).await??;
        }
        Ok(added)
    }

    fn set_target(&self, _target: &Target, request: &mut Request) {
        request.guest = true;
    }

    /// It is a container of the pod, and told to end with the others.
    fn ends_with_sandbox(&self, reason: &str) -> bool {
        [ending::TARGET_GONE, ending::SIGNAL].contains(&reason)
    }

    async fn left_behind(&self, look: &Look<'_>) -> Result<Traces, LookError> {
        let guests = look.pods().await?.iter().flat_map(guests).collect();
        Ok((Vec::new(), guests))
    }
}

#[async_trait]
impl Made for Container {
    async fn end(self: Box<Self>, talk: Talk, _: Stop) {
        talk.say(&format!(
            "the ephemeral container {} has ended or will within 30 s; its entry stays in pod \
             {}/{} as long as the pod does",
            self.name, self.namespace, self.pod
        ));
    }
}

/// A container that was made another: nobody knows when it ends.
struct Another(Container);

#[async_trait]
impl Made for Another {
    async fn end(self: Box<Self>, talk: Talk, _: Stop) {
        let Container {
            namespace,
            pod,
            name,
            ..
        } = &self.0;
        talk.warn(&format!(
            "the ephemeral container {name} cannot be deleted: it runs what was made of it until \
             its pod goes (kubectl -n {namespace} delete pod {pod})"
        ));
    }
}

/// What was changed in the container when it was added: nobody can change it later.
struct Changed(Changes);

#[async_trait]
impl Meanwhile for Changed {
    async fn look(&mut self) -> Result<Option<String>, WayError> {
        Ok(None)
    }

    fn inspect(&mut self, _pod: &Pod) -> Result<Changes, WayError> {
        Ok(self.0.clone())
    }
}

/// How the agent comes into the pod. What was added cannot be taken away again: nothing is tried
/// that may fail.
async fn brought(making: &Making<'_>, life: &Life) -> Brought {
    let source = &making.options.source;
    let [target] = making.targets else {
        return Brought::Image;
    };
    if !source.is_carried() {
        return Brought::Image;
    }
    let carrier = match (life.carrier(&target.uid), carried::all()) {
        (Some(known), _) => Some(known),
        (None, []) => None,
        (None, all) => shell::find(making.cluster, target, all, &life.talk).await,
    };
    if let Some(carrier) = carrier {
        life.carries(&target.uid, &carrier);
        return Brought::Carried(carrier);
    }
    life.talk.say(&format!(
        "no container of pod {} has a shell by which the agent could be carried: the image {} is \
         pulled",
        target.full_name(),
        source.image
    ));
    Brought::Image
}

async fn patch(
    making: &Making<'_>,
    brought: &Brought,
    run: &Run,
    dry_run: bool,
) -> Result<Pod, ApiError> {
    let api: Api<Pod> = making.cluster.api(Some(making.namespace));
    let params = PatchParams {
        dry_run,
        ..PatchParams::default()
    };
    let patch = Patch::Strategic(manifest(making, brought, run));
    let what = format!("pod {}", making.shared);
    let doing = Doing::request("patch", "pods/ephemeralcontainers", making.namespace, what);
    let patched = api
        .patch_ephemeral_containers(making.shared, &params, &patch)
        .await;
    patched.map_err(doing.failed())
}

/// The patch (strategic merge) that adds the container to a pod.
fn manifest(making: &Making<'_>, brought: &Brought, run: &Run) -> Value {
    patch_for(making.options, making.targets, brought, run)
}

/// Whether the runtime gives containers NET_RAW by itself. CRI-O, and with it OpenShift, does not.
fn has_net_raw(targets: &[Target]) -> bool {
    let mut containers = targets.iter().flat_map(|target| &target.containers);
    !containers.any(|id| id.starts_with("cri-o://"))
}

fn patch_for(options: &HelperOptions, targets: &[Target], brought: &Brought, run: &Run) -> Value {
    let mut container = manifest::container(options, brought, run, &run.name(), true);
    let carrier = brought.carrier();
    if let Some(carrier) = carrier {
        container["command"] = json!(shell::command(carrier, &arguments::hold(true)));
    }
    container["securityContext"] = json!({
        "runAsUser": 0,
        "runAsGroup": 0,
        // Or a pod whose spec says true would leave it waiting for ever.
        "runAsNonRoot": false,
        "allowPrivilegeEscalation": false,
        // An agent that is carried has to be put somewhere.
        "readOnlyRootFilesystem": carrier.is_none(),
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    // Not where it is there anyway: Pod Security "baseline" admits no container that asks for it.
    if !has_net_raw(targets) {
        container["securityContext"]["capabilities"] = json!({"add": ["NET_RAW"]});
    }
    json!({"spec": {"ephemeralContainers": [container]}})
}

/// How the pod has ended, if it has.
fn ended(pod: &Pod) -> Option<&str> {
    let phase = pod.status.as_ref()?.phase.as_deref();
    phase.filter(|phase| matches!(*phase, "Succeeded" | "Failed"))
}

/// The status of an ephemeral container.
fn status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let statuses = pod.status.as_ref()?.ephemeral_container_statuses.as_ref()?;
    statuses.iter().find(|one| one.name == container)
}

fn state(pod: &Pod, container: &str) -> State {
    match ended(pod) {
        None => of_container(status(pod, container)),
        Some(phase) => State::Failed(Complaint {
            words: format!("the pod has ended: {phase}"),
            obstacle: None,
        }),
    }
}

/// The containers of earlier runs in a pod.
fn guests(pod: &Pod) -> Vec<Guest> {
    let spec = pod.spec.iter();
    let declared = spec.flat_map(|spec| spec.ephemeral_containers.iter().flatten());
    let own = declared.filter(|one| one.name.starts_with(PREFIX));
    let guests = own.map(|one| Guest {
        namespace: pod.namespace().unwrap_or_default(),
        pod: pod.name_any(),
        container: one.name.clone(),
        state: match status(pod, &one.name).and_then(|status| status.state.as_ref()) {
            _ if ended(pod).is_some() => GuestState::Ended,
            Some(ContainerState {
                terminated: Some(_),
                ..
            }) => GuestState::Ended,
            Some(ContainerState {
                running: Some(_), ..
            }) => GuestState::Running,
            state => {
                let waiting = state.and_then(|state| state.waiting.as_ref());
                GuestState::Waiting(waiting.and_then(|waiting| waiting.reason.clone()))
            }
        },
    });
    guests.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_of_earlier_runs_are_told_apart() {
        let status = |name: &str, state: Value| {
            json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": state})
        };
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "catalog", "namespace": "shop"},
            "spec": {"containers": [], "ephemeralContainers": [
                {"name": "meshsniff-a"}, {"name": "meshsniff-b"}, {"name": "meshsniff-c"},
                {"name": "debugger"}]},
            "status": {"phase": "Running", "ephemeralContainerStatuses": [
                status("meshsniff-a", json!({"running": {}})),
                status("meshsniff-b", json!({"terminated": {"exitCode": 0}})),
                status("meshsniff-c", json!({"waiting": {"reason": "ImagePullBackOff"}})),
                status("debugger", json!({"running": {}})),
            ]},
        }))
        .unwrap();
        let states: Vec<GuestState> = guests(&pod).into_iter().map(|one| one.state).collect();
        let waiting = GuestState::Waiting(Some("ImagePullBackOff".to_owned()));
        assert_eq!(states, [GuestState::Running, GuestState::Ended, waiting]);
    }

    #[test]
    fn its_memory_is_the_pods() {
        let run = Run::new();
        let options = HelperOptions::default();
        let patch = patch_for(&options, &[Target::for_tests()], &Brought::Image, &run);
        let container = &patch["spec"]["ephemeralContainers"][0];
        assert_eq!(container["name"], run.name());
        let command = json!(["/meshsniff-agent", "hold", "--oom-score-adj", "1000"]);
        assert_eq!(container["command"], command);
        assert_eq!(
            container["env"],
            json!([{"name": "MESHSNIFF_HOLD", "value": run.id}])
        );
    }

    #[test]
    fn net_raw_is_asked_for_where_the_runtime_does_not_give_it() {
        let capabilities = |container: &str| {
            let target = Target {
                containers: [container.to_owned()].into(),
                ..Target::for_tests()
            };
            let patch = patch_for(
                &HelperOptions::default(),
                &[target],
                &Brought::Image,
                &Run::new(),
            );
            patch["spec"]["ephemeralContainers"][0]["securityContext"]["capabilities"].clone()
        };
        assert_eq!(capabilities("containerd://ab"), Value::Null);
        assert_eq!(capabilities("cri-o://ab"), json!({"add": ["NET_RAW"]}));
    }
}
