//! The helper's life: a Job on the target's node, made, waited for, kept alive by its lease, and deleted.
//!
//! Whatever becomes of this program, the cluster ends the helper: its Job has a deadline that only a living plugin moves
//! on, and is deleted soon after its end. Deleting it here only makes that quick.

use super::connect::Cluster;
use super::error::{Doing, explain, is_missing_right, is_not_found, is_passing};
use super::manifest::{self, CONTAINER, HelperOptions, LEASE, RUN, Run};
use super::stop::{EndedEarly, Stop};
use super::talk::Talk;
use super::target::Target;
use super::waiting::{self, By, Events, Follow, LOOK, Seen, State};
use anyhow::{anyhow, bail};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often the lease is renewed: it survives two renewals that fail.
const RENEW: Duration = Duration::from_secs(30);
/// How long a request may take whose failure would leave something behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// A helper on a node.
pub struct Helper {
    cluster: Cluster,
    /// The namespace it is in.
    pub namespace: String,
    /// Its Job's name.
    pub job: String,
    /// Its pod's name, once there is one.
    pub pod: String,
    run: Run,
    lease: Option<JoinHandle<()>>,
}

/// Whether admission lets the helper in; what the Job's own dry run would never say.
///
/// # Errors
/// If it is refused, as the server puts it.
pub async fn dry_run(
    cluster: &Cluster,
    namespace: &str,
    options: &HelperOptions,
    node: &str,
    targets: &[Target],
) -> kube::Result<()> {
    let run = Run::new();
    let pod = manifest::pod(options, &run, node, targets);
    let pod: Pod = serde_json::from_value(pod).map_err(kube::Error::SerdeError)?;
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api.create(&params, &pod).await.map(drop)
}

/// The Job as the server would make it.
///
/// # Errors
/// If it is refused, in a sentence.
pub async fn dry_run_job(
    cluster: &Cluster,
    namespace: &str,
    options: &HelperOptions,
    node: &str,
    targets: &[Target],
) -> anyhow::Result<Value> {
    let job: Job = serde_json::from_value(manifest::job(options, &Run::new(), node, targets))?;
    let api: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let doing = Doing::request("create", "jobs", namespace, "namespace of that name");
    let made = api.create(&params, &job).await;
    let mut made = made.map_err(|error| explain(error, doing))?;
    // Who set which field is of no use to a reader.
    made.metadata.managed_fields = None;
    Ok(serde_json::to_value(made)?)
}

impl Helper {
    /// Creates the Job. From here on [`Helper::end`] has to be called, whatever happens.
    ///
    /// # Errors
    /// If the cluster refuses: then nothing was made.
    pub async fn create(
        cluster: &Cluster,
        namespace: &str,
        options: &HelperOptions,
        node: &str,
        targets: &[Target],
        talk: &Talk,
    ) -> anyhow::Result<Self> {
        let run = Run::new();
        let job = manifest::job(options, &run, node, targets);
        let job: Job = serde_json::from_value(job)?;
        let name = job.name_any();
        let mut helper = Self {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            job: name,
            pod: String::new(),
            run,
            lease: None,
        };
        let params = PostParams::default();
        let jobs = helper.jobs();
        let created = tokio::time::timeout(PATIENCE, jobs.create(&params, &job)).await;
        let doing = Doing::request("create", "jobs", namespace, "namespace of that name");
        match created {
            Ok(Ok(_)) => {
                // From now on, and not from its start on: an image may take longer to come than the lease is.
                let (jobs, talk) = (helper.jobs(), talk.clone());
                let renewed = renew(jobs, helper.job.clone(), helper.namespace.clone(), talk);
                helper.lease = Some(tokio::spawn(renewed));
                Ok(helper)
            }
            Ok(Err(error)) if is_passing(&error) => {
                // It may have been made before the answer was lost.
                helper.end(talk.clone()).await;
                Err(explain(error, doing))
            }
            Ok(Err(error)) if is_not_found(&error) => {
                bail!("there is no namespace {namespace}: create it, or name another one")
            }
            Ok(Err(error)) => Err(explain(error, doing)),
            Err(_) => {
                helper.end(talk.clone()).await;
                bail!(
                    "the API server did not answer within {} s: see whether kubectl get ns works",
                    PATIENCE.as_secs()
                )
            }
        }
    }

    fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Waits until the helper runs.
    ///
    /// # Errors
    /// If it never will, does not within `patience`, or somebody asks for the end.
    pub async fn wait(
        &mut self,
        patience: Duration,
        stop: &Stop,
        talk: &Talk,
    ) -> anyhow::Result<()> {
        let mut last = State::Waiting(None);
        let mut complaint = None;
        let waited = tokio::select! {
            waited = self.watch(talk, &mut last, &mut complaint) => waited.map(Some),
            () = tokio::time::sleep(patience) => Ok(None),
            () = stop.asked() => return Err(EndedEarly.into()),
        };
        let Some(pod) = waited? else {
            let why = match (last, complaint) {
                (State::Waiting(Some(why)), _) | (_, Some(why)) => format!(" ({why})"),
                _ => String::new(),
            };
            bail!(
                "the helper did not start within {} s{why}: allow it more with --timeout, or see whether the node can pull \
                 the image and runs pods at all",
                patience.as_secs()
            );
        };
        self.pod = pod;
        Ok(())
    }

    /// Follows the helper's pod until it runs; returns its name.
    async fn watch(
        &self,
        talk: &Talk,
        last: &mut State,
        complaint: &mut Option<String>,
    ) -> anyhow::Result<String> {
        let mut follow = Follow::new(self.pods(), By::Label(format!("{RUN}={}", self.run.id)));
        let started = Instant::now();
        let mut events = Events::default();
        loop {
            let seen = follow.next().await.map_err(|error| {
                explain(
                    error,
                    Doing::request("list", "pods", &self.namespace, "pod"),
                )
            })?;
            let pod = match seen {
                Seen::Pod(pod) => pod,
                Seen::Deleted => bail!("the helper was deleted before it ran"),
                Seen::Nothing => {
                    if let Some(said) = self.tell(&mut events, started, talk).await? {
                        *complaint = Some(said);
                    }
                    continue;
                }
            };
            let state = waiting::of_pod(&pod, CONTAINER);
            match &state {
                State::Running => return Ok(pod.name_any()),
                State::Failed(why) => bail!("the helper cannot run ({why}){}", advice(why)),
                State::Waiting(_) => waiting::tell_waiting("helper", &state, last, talk),
            }
            *last = state;
        }
    }

    /// Tells what the events say; fails if the Job has failed.
    async fn tell(
        &self,
        events: &mut Events,
        started: Instant,
        talk: &Talk,
    ) -> anyhow::Result<Option<String>> {
        // What goes well is over by then, and nobody has to be asked.
        if started.elapsed() < LOOK {
            return Ok(None);
        }
        let complaint = events
            .tell(&self.cluster, &self.namespace, &self.job, talk)
            .await;
        let Ok(job) = self.jobs().get(&self.job).await else {
            return Ok(complaint);
        };
        let conditions = job.status.and_then(|status| status.conditions);
        for condition in conditions.unwrap_or_default() {
            if condition.type_ == "Failed" && condition.status == "True" {
                let why = condition.message.or(condition.reason).unwrap_or_default();
                let why = complaint.unwrap_or(why);
                bail!("the helper cannot run ({why}){}", advice(&why));
            }
        }
        Ok(complaint)
    }

    /// Deletes the helper; says so if that could not be done.
    pub async fn end(mut self, talk: Talk) {
        if let Some(lease) = self.lease.take() {
            lease.abort();
        }
        if let Err(why) = delete(&self.jobs(), &self.job).await {
            let why = match why {
                Some(error) if is_missing_right(&error) => format!(
                    " (you may not delete jobs in namespace {}: ask for the rights that kubectl meshsniff rbac prints)",
                    self.namespace
                ),
                Some(error) => format!(" ({error})"),
                None => String::new(),
            };
            talk.warn(&format!(
                "the helper (job {} in namespace {}) could not be deleted{why}: it ends by itself, and the cluster deletes it \
                 within two minutes",
                self.job, self.namespace
            ));
        }
    }
}

/// Deletes a Job and what it made, as far as the server can be reached. The lease ends what is left.
///
/// # Errors
/// If it is refused, as the server puts it; without words if there was no answer.
async fn delete(jobs: &Api<Job>, name: &str) -> Result<(), Option<kube::Error>> {
    let params = DeleteParams::background();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match tokio::time::timeout_at(deadline, jobs.delete(name, &params)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if is_not_found(&error) => return Ok(()),
            Ok(Err(error)) if is_passing(&error) => {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Ok(Err(error)) => return Err(Some(error)),
            Err(_) => return Err(None),
        }
    }
    Err(None)
}

/// What to do about it, where that is known.
pub(super) fn advice(why: &str) -> &'static str {
    if why.contains("violates PodSecurity") {
        ": let the helper run in another namespace with --helper-namespace, or use --mode ephemeral"
    } else if why.contains("ImagePull") || why.contains("ErrImage") || why.contains("pull") {
        ": name an image that the node can pull with --image, and --image-pull-secret if it needs one"
    } else if why.contains("quota") {
        ": let the helper run in another namespace with --helper-namespace"
    } else {
        ""
    }
}

/// Moves the deadline of the Job on, as long as this program lives.
async fn renew(jobs: Api<Job>, name: String, namespace: String, talk: Talk) {
    let started = Instant::now();
    let mut tick = tokio::time::interval(RENEW);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // The deadline counts from the Job's start, which was a little before.
        let deadline = started.elapsed().as_secs().cast_signed() + LEASE + 10;
        let patch = json!({"spec": {"activeDeadlineSeconds": deadline}});
        let patched = jobs
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        match patched {
            Err(error) if is_missing_right(&error) => {
                talk.warn(&format!(
                    "you may not patch jobs in namespace {namespace}, so the cluster ends the helper {LEASE} s after its start: \
                     ask for the rights that kubectl meshsniff rbac prints"
                ));
                return;
            }
            Err(error) if is_not_found(&error) => return,
            _ => {}
        }
    }
}

/// An error for a helper that was refused, with what to do about it.
#[must_use]
pub fn refused(error: kube::Error, namespace: &str) -> anyhow::Error {
    if is_not_found(&error) {
        return anyhow!("there is no namespace {namespace}: create it, or name another one");
    }
    let error = explain(error, Doing::request("create", "pods", namespace, "pod"));
    let text = error.to_string();
    anyhow!("{text}{}", advice(&text))
}
