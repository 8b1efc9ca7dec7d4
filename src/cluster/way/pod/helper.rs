//! The life of a helper: its Job is made, its pod waited for, its lease renewed, and in the end all of
//! it removed.

use super::super::way_in::{Awaited, Container, Lease, Life, Made, Making, Meanwhile, WayError};
use super::manifest::{CONTAINER, GRACE, LEASE, job};
use super::parts::{self, Parts};
use crate::carried::Carried;
use crate::cluster::bringing::Brought;
use crate::cluster::connect::Cluster;
use crate::cluster::error::{Cause, Doing, Obstacle};
use crate::cluster::manifest::{RUN, Run};
use crate::cluster::mutation::Changes;
use crate::cluster::stop::Stop;
use crate::cluster::talk::Talk;
use crate::cluster::waiting::{By, Complaint, Events, Follow, LOOK, State, of_pod};
use async_trait::async_trait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// How often the lease is renewed: it survives two renewals that fail.
const RENEW: Duration = Duration::from_secs(30);
/// How long the helper lives without.
const LASTS: Duration = Duration::from_secs(LEASE.unsigned_abs());
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

/// Makes a helper and waits until it runs; `impatient` if there is another way for its agent to
/// come. After an error, the helper that is still to be ended, if one was made.
pub(super) async fn start(
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
                let parts = tokio::time::timeout(life.timeout, parts);
                let late = |_| WayError::NotThere(life.timeout.as_secs());
                Some(life.stop.unless_asked(parts).await?.map_err(late)??)
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

/// The creation of a Job, in words.
pub(super) fn creating(namespace: &str) -> Doing {
    Doing::request("create", "jobs", namespace, "namespace of that name")
}

/// A Job that was created, or may have been.
#[derive(Clone)]
pub(super) struct Helper {
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
    pub(super) async fn end(&self, talk: &Talk, stop: &Stop) {
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
