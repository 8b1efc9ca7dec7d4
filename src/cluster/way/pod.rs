//! A helper pod: a Job on the target's node, which sees the node's processes.
//!
//! Whatever becomes of this program, the cluster ends the helper: its Job has a deadline that only
//! a living plugin moves on, and is deleted soon after its end. Deleting it here only makes that
//! quick.

mod manifest;
mod parts;
#[cfg(test)]
mod tests;

use super::way_in::{
    Awaited, Container, Facts, Finding, Lease, Life, Made, Making, Mark, Meanwhile, Preview,
    Shared, WayError, WayIn,
};
use crate::carried::{self, Carried};
use crate::cluster::bringing::{self, Brought, NotCarried};
use crate::cluster::connect::Cluster;
use crate::cluster::error::{ApiError, Cause, Doing, Obstacle};
use crate::cluster::manifest::{MANAGED_BY, RUN, Run, STARTED_BY, TARGETS};
use crate::cluster::mutation::Changes;
use crate::cluster::rights::{CONFIG_MAPS, EVENTS, JOBS, Need, PODS, Place, Resource, Rule};
use crate::cluster::stop::Stop;
use crate::cluster::talk::Talk;
use crate::cluster::target::{Target, node};
use crate::cluster::traces::{Fate, Leftover, Look, LookError, Traces};
use crate::cluster::waiting::{By, Complaint, Events, Follow, LOOK, State, of_pod};
use async_trait::async_trait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use manifest::{CONTAINER, GRACE, LEASE, job, pod};
use meshsniff_contract::arguments::Request;
use meshsniff_contract::ending;
use parts::Parts;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// How often the lease is renewed: it survives two renewals that fail.
const RENEW: Duration = Duration::from_secs(30);
/// How long the helper lives without.
const LASTS: Duration = Duration::from_secs(LEASE.unsigned_abs());
/// A lease with less than this is one that nobody renews: a living plugin never lets it come below
/// a minute.
const EXPIRING: i64 = 20;
/// How long a request may take whose failure would leave something behind.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server that is not reached is asked again when nobody waits for the end: by then the
/// cluster itself would have deleted what was made.
const UNREACHED: Duration = Duration::from_secs(110);

const AWAITED: Awaited = Awaited {
    what: "helper",
    more: " and runs pods at all",
    deleted: "the helper was deleted before it ran",
};

/// What is to be done about a helper that was changed.
const EXEMPT: &str = ": exempt pods with the label app.kubernetes.io/managed-by=kubectl-meshsniff \
                      from that, or let the helper run in another namespace with \
                      --helper-namespace";

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
                    return Err(error);
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
            life.talk.say(&format!("{error}: {next}"));
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
        // Whoever may not list them has made none.
        let maps = look.list(Some(MANAGED_BY)).await.unwrap_or_default();
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
    bringing::ways(&options.source, namespace, shared, node, targets)
}

/// The way that is tried first. What cannot be carried at all is said when it is to start.
async fn first_way(making: Making<'_>) -> Brought {
    let node = node::look(making.cluster, making.shared, Place::Helper).await;
    let ways = ways(making, node.ok().flatten().as_ref()).unwrap_or_default();
    ways.into_iter().next().unwrap_or(Brought::Image)
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

/// Makes a helper and waits until it runs; `impatient` if there is another way for its agent to
/// come. After an error, the helper that is still to be ended, if one was made.
async fn start(
    making: Making<'_>,
    brought: &Brought,
    impatient: bool,
    life: &Life,
) -> Result<Container, (WayError, Option<Helper>)> {
    let run = Run::new();
    let mut helper = Helper {
        cluster: making.cluster.clone(),
        namespace: making.namespace.to_owned(),
        job: run.name(),
        run: run.id.clone(),
        carried: None,
    };
    let sent = job(&making, brought, &run);
    let read = serde_json::from_value(sent.clone()).map_err(|error| (error.into(), None))?;
    let made = helper.create(read, life).await;
    let made = made.map_err(|error| (error, None))?;
    helper.carried = brought
        .carrier()
        .map(|carrier| (carrier.agent, made.uid().unwrap_or_default()));
    life.lease.renewed(LASTS);
    let renewing = helper.clone().renew(life.talk.clone(), life.lease.clone());
    life.keep(Leased(helper.clone(), tokio::spawn(renewing)));
    let started = async {
        let changes = unharmed(Changes::of_job(&sent, &made))?;
        let parts = match &helper.carried {
            Some((agent, uid)) => {
                let owner = (helper.job.as_str(), uid.as_str());
                let (cluster, namespace) = (making.cluster, making.namespace);
                let parts = Parts::bring(cluster, namespace, making.options, agent, owner);
                Some(life.stop.unless_asked(parts).await??)
            }
            None => None,
        };
        let pod = helper.wait(&sent, changes, impatient, life).await?;
        if let Some(parts) = parts {
            life.stop.unless_asked(parts.are_the_same()).await??;
        }
        Ok(pod)
    };
    match started.await {
        Ok(pod) => Ok(Container {
            namespace: helper.namespace,
            pod,
            name: CONTAINER.to_owned(),
            command: brought.command(),
        }),
        Err(error) => Err((error, Some(helper))),
    }
}

fn dry() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

fn creating(namespace: &str) -> Doing {
    Doing::request("create", "jobs", namespace, "namespace of that name")
}

/// A Job that was created, or may have been.
#[derive(Clone)]
struct Helper {
    cluster: Cluster,
    namespace: String,
    job: String,
    /// The value of the label of the run.
    run: String,
    /// The agent that is carried, and the UID of the Job that its `ConfigMap`s belong to.
    carried: Option<(Carried, String)>,
}

/// One whose lease is renewed.
struct Leased(Helper, JoinHandle<()>);

#[async_trait]
impl Made for Leased {
    async fn end(self: Box<Self>, talk: Talk, stop: Stop) {
        self.1.abort();
        self.0.end(&talk, &stop).await;
    }
}

impl Helper {
    fn jobs(&self) -> Api<Job> {
        self.cluster.api(Some(&self.namespace))
    }

    fn pods(&self) -> Api<Pod> {
        self.cluster.api(Some(&self.namespace))
    }

    /// Creates the Job; returns what was made of it. After an error there is no Job.
    async fn create(&self, job: Job, life: &Life) -> Result<Job, WayError> {
        let (talk, stop) = (&life.talk, &life.stop);
        let jobs = self.jobs();
        let creating = creating(&self.namespace);
        match tokio::time::timeout(PATIENCE, jobs.create(&PostParams::default(), &job)).await {
            Ok(Ok(made)) => Ok(made),
            Ok(Err(error)) => {
                let error = creating.failed()(error);
                match error.cause() {
                    Cause::NotFound => return Err(WayError::NoNamespace(self.namespace.clone())),
                    // It may have been made before the answer was lost.
                    cause if cause.is_transient() => self.end(talk, stop).await,
                    _ => {}
                }
                Err(error.into())
            }
            Err(_) => {
                self.end(talk, stop).await;
                Err(WayError::NoAnswer(PATIENCE.as_secs()))
            }
        }
    }

    /// Waits until the Job's pod runs; returns its name.
    async fn wait(
        &self,
        sent: &Value,
        of_job: Changes,
        impatient: bool,
        life: &Life,
    ) -> Result<String, WayError> {
        let by = By::Label(format!("{RUN}={}", self.run));
        let follow = Follow::new(&self.cluster, &self.namespace, by);
        let looks = Looks {
            helper: self,
            talk: &life.talk,
            from: Instant::now() + LOOK,
            events: Events::default(),
            sent,
            of_job,
            seen: false,
        };
        let state = |pod: &Pod| match of_pod(pod, CONTAINER) {
            State::Waiting(why) if impatient => without_a_second_pull(why),
            state => state,
        };
        let pod = AWAITED.until_it_runs(follow, state, looks, life);
        Ok(pod.await?.name_any())
    }

    /// Fails if the Job has: for the reason that an event gives, or else for its own.
    async fn failed(&self, warning: Option<&str>) -> Result<(), WayError> {
        let Ok(job) = self.jobs().get(&self.job).await else {
            return Ok(());
        };
        let conditions = job.status.and_then(|status| status.conditions);
        let mut conditions = conditions.into_iter().flatten();
        let failed = conditions.find(|one| one.type_ == "Failed" && one.status == "True");
        let Some(failed) = failed else {
            return Ok(());
        };
        let own = failed.message.or(failed.reason).unwrap_or_default();
        let words = warning.map_or(own, str::to_owned);
        let obstacle = Obstacle::in_words(&words);
        Err(WayError::CannotRun(
            AWAITED.what,
            Complaint { words, obstacle },
        ))
    }

    /// Deletes the Job and its pods; says so if that could not be done.
    async fn end(&self, talk: &Talk, stop: &Stop) {
        let Self { namespace, job, .. } = self;
        let mut deleted = self.delete(PATIENCE).await;
        if matches!(deleted, Err(None)) && !stop.is_signalled() {
            talk.say(&format!(
                "the API server does not answer: the helper (job {job} in namespace {namespace}) is \
                 deleted as soon as it does; Ctrl-C leaves that to the cluster"
            ));
            tokio::select! {
                again = self.delete(UNREACHED) => deleted = again,
                () = stop.signalled() => {}
            }
        }
        let pods = if matches!(deleted, Err(None)) {
            // The server cannot be reached.
            Vec::new()
        } else {
            let parts = async {
                if let Some((agent, uid)) = &self.carried {
                    parts::remove(&self.cluster, namespace, agent, uid).await;
                }
            };
            let both = async { tokio::join!(self.delete_pods(), parts).0 };
            let pods = tokio::time::timeout(PATIENCE, both);
            pods.await.unwrap_or_default()
        };
        for (pod, why) in pods {
            talk.warn(&format!(
                "the helper's pod {pod} in namespace {namespace} has lost its job and could not be \
                 deleted ({why}): kubectl -n {namespace} delete pod {pod} removes it"
            ));
        }
        let Err(why) = deleted else {
            return;
        };
        let why = match why {
            Some(error) if Cause::of(&error) == Cause::MissingRight => format!(
                "(you may not delete jobs in namespace {namespace}: ask for the rights that \
                 kubectl meshsniff rbac prints)"
            ),
            Some(error) => format!(" ({error})"),
            None => String::new(),
        };
        talk.warn(&format!(
            "the helper (job {job} in namespace {namespace}) could not be deleted{why}: it ends by \
             itself, and the cluster deletes it within two minutes"
        ));
    }

    /// Deletes the Job and what it made, as far as the server can be reached. Fails without an
    /// error if there was no answer.
    async fn delete(&self, patience: Duration) -> Result<(), Option<kube::Error>> {
        let (jobs, params) = (self.jobs(), DeleteParams::background());
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            // One that hangs on a connection that is dead must not keep the next from being made.
            let until = deadline.min(Instant::now() + PATIENCE);
            match tokio::time::timeout_at(until, jobs.delete(&self.job, &params)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => match Cause::of(&error) {
                    Cause::NotFound => return Ok(()),
                    cause if cause.is_transient() => {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                    }
                    _ => return Err(Some(error)),
                },
                Err(_) => {}
            }
        }
        Err(None)
    }

    /// The pods that the Job made, by the Job controller's own label.
    async fn of_job(&self) -> Vec<Pod> {
        self.list(&format!("batch.kubernetes.io/job-name={}", self.job))
            .await
    }

    async fn list(&self, label: &str) -> Vec<Pod> {
        let listed = self.pods().list(&ListParams::default().labels(label)).await;
        listed.map(|listed| listed.items).unwrap_or_default()
    }

    /// Deletes the run's pods; returns those that nobody else will delete, and why.
    ///
    /// The garbage collector takes a Job's pods, but not those that somebody orphaned, and it gives
    /// a changed pod all the time that it asks for. The streams have ended: none of it is needed.
    async fn delete_pods(&self) -> Vec<(String, String)> {
        let mut pods = self.list(&format!("{RUN}={}", self.run)).await;
        for pod in self.of_job().await {
            if !pods.iter().any(|known| known.name_any() == pod.name_any()) {
                pods.push(pod);
            }
        }
        let mut left = Vec::new();
        let params = DeleteParams::background().grace_period(GRACE);
        for pod in pods {
            let name = pod.name_any();
            let Err(error) = self.pods().delete(&name, &params).await else {
                continue;
            };
            let owned = pod.owner_references().iter().any(|one| one.kind == "Job");
            if Cause::of(&error) != Cause::NotFound && !owned {
                left.push((name, error.to_string()));
            }
        }
        left
    }

    /// Moves the deadline of the Job on, as long as this program lives. An image may take longer to
    /// come than the lease is: that is part of it.
    async fn renew(self, talk: Talk, lease: Lease) {
        let jobs = self.jobs();
        let started = Instant::now();
        let mut tick = tokio::time::interval(RENEW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // The deadline counts from the Job's start.
            let deadline = started.elapsed().as_secs().cast_signed() + LEASE;
            let patch = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": deadline}}));
            let params = PatchParams::default();
            let patched = jobs.patch(&self.job, &params, &patch);
            // An answer that never comes must not keep the next try from being made.
            let Ok(patched) = tokio::time::timeout(RENEW, patched).await else {
                continue;
            };
            match patched.as_ref().map_err(Cause::of) {
                Ok(_) => lease.renewed(LASTS),
                Err(Cause::MissingRight) => {
                    talk.warn(&format!(
                        "you may not patch jobs in namespace {}, so the cluster ends the helper \
                         {LEASE} s after its start: ask for the rights that kubectl meshsniff rbac \
                         prints",
                        self.namespace
                    ));
                    return;
                }
                Err(Cause::NotFound) => return,
                _ => {}
            }
        }
    }
}

/// The state of a container that waits, where the image is not pulled again before another way is
/// tried.
fn without_a_second_pull(why: Option<String>) -> State {
    match why {
        Some(words) if words.starts_with("ErrImagePull") => State::Failed(Complaint {
            words,
            obstacle: Some(Obstacle::Image),
        }),
        why => State::Waiting(why),
    }
}

/// Looks at the events and at the Job.
struct Looks<'a> {
    helper: &'a Helper,
    talk: &'a Talk,
    /// A start that goes well is over by then, without a further request.
    from: Instant,
    events: Events,
    /// The Job as it was sent.
    sent: &'a Value,
    /// What was changed in the Job.
    of_job: Changes,
    /// Whether the Job's pod was seen.
    seen: bool,
}

#[async_trait]
impl Meanwhile for Looks<'_> {
    async fn look(&mut self) -> Result<Option<String>, WayError> {
        if Instant::now() < self.from {
            return Ok(None);
        }
        let Helper {
            cluster,
            namespace,
            job,
            ..
        } = self.helper;
        // One that lost its label is not found by that.
        if !self.seen {
            for pod in self.helper.of_job().await {
                self.inspect(&pod)?;
            }
        }
        let warning = self.events.report(cluster, namespace, job, self.talk).await;
        self.helper.failed(warning.as_deref()).await?;
        Ok(warning)
    }

    fn inspect(&mut self, pod: &Pod) -> Result<Changes, WayError> {
        self.seen = true;
        let mut changes = self.of_job.clone();
        changes.add(unharmed(Changes::of_pod(self.sent, pod))?);
        Ok(changes)
    }
}

/// Changes that do no harm.
fn unharmed(changes: Changes) -> Result<Changes, WayError> {
    match changes.harmful() {
        Some(harmful) => Err(WayError::Mutated(AWAITED.what, harmful, EXEMPT)),
        None => Ok(changes),
    }
}

/// Pods without a Job, and Jobs.
fn sort(jobs: &[Job], pods: &[Pod], now: i64) -> Vec<Leftover> {
    let (key, value) = MANAGED_BY;
    let is_own = |pod: &&Pod| {
        let managed = pod.labels().get(key).is_some_and(|label| label == value);
        // One of the labels is enough: somebody may have changed the other.
        managed || pod.labels().contains_key(RUN)
    };
    let job_of = |pod: &Pod| {
        let owner = pod
            .owner_references()
            .iter()
            .find(|one| one.kind == "Job")?;
        jobs.iter()
            .position(|job| job.metadata.uid.as_ref() == Some(&owner.uid))
    };
    let mut of_jobs: Vec<Option<&Pod>> = vec![None; jobs.len()];
    let mut found = Vec::new();
    for pod in pods.iter().filter(is_own) {
        match job_of(pod) {
            Some(job) => of_jobs[job] = Some(pod),
            None if pod.metadata.deletion_timestamp.is_some() => {
                found.push(Leftover::new(pod, about(pod), Fate::Going));
            }
            None => found.push(Leftover::new(pod, about(pod), Fate::Left)),
        }
    }
    let jobs = jobs.iter().zip(of_jobs);
    found.extend(jobs.map(|(job, pod)| Leftover::new(job, about(job), fate(job, pod, now))));
    found
}

fn about<K: kube::Resource>(object: &K) -> String {
    let said = |key: &str| {
        object
            .annotations()
            .get(key)
            .map_or("somebody", String::as_str)
    };
    format!("of {}, started by {}", said(TARGETS), said(STARTED_BY))
}

fn fate(job: &Job, pod: Option<&Pod>, now: i64) -> Fate {
    if job.metadata.deletion_timestamp.is_some() {
        return Fate::Going;
    }
    let status = job.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let ended = conditions.into_iter().flatten().any(|one| {
        let ends = ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"];
        ends.contains(&one.type_.as_str()) && one.status == "True"
    });
    let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
    if ended || matches!(phase, Some("Succeeded" | "Failed")) {
        return Fate::Left;
    }
    // One that has no running pod yet is somebody's start, as long as its lease is.
    let started = status.and_then(|status| status.start_time.as_ref());
    let started = started.or(job.metadata.creation_timestamp.as_ref());
    let lease = job
        .spec
        .as_ref()
        .and_then(|spec| spec.active_deadline_seconds);
    let left = |(started, lease): (i64, i64)| started.saturating_add(lease).saturating_sub(now);
    match started.map(|time| time.0.as_second()).zip(lease).map(left) {
        Some(left) if left > EXPIRING => Fate::InUse(left),
        _ => Fate::Left,
    }
}
