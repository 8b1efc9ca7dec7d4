//! An ephemeral container in the target's pod: it shares the network namespace by itself, and works where no pod with
//! the node's processes may run.
//!
//! It cannot be deleted. The agent in it ends, and one entry with its end stays in the pod's status.

use super::connect::Cluster;
use super::error::{Doing, explain};
use super::helper::advice;
use super::manifest::{self, HelperOptions, Run};
use super::stop::{EndedEarly, Stop};
use super::talk::Talk;
use super::target::Target;
use super::waiting::{self, By, Follow, Seen, State};
use anyhow::bail;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use std::time::Duration;

/// An ephemeral container.
#[derive(Clone, Debug)]
pub struct Ephemeral {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
}

/// Whether admission lets it in.
///
/// # Errors
/// If it is refused, as the server puts it.
pub async fn dry_run(
    cluster: &Cluster,
    options: &HelperOptions,
    target: &Target,
) -> kube::Result<()> {
    let params = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    patch(cluster, options, &Run::new(), target, &params).await
}

async fn patch(
    cluster: &Cluster,
    options: &HelperOptions,
    run: &Run,
    target: &Target,
    params: &PatchParams,
) -> kube::Result<()> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &target.namespace);
    let patch = Patch::Strategic(manifest::ephemeral(options, run));
    api.patch_ephemeral_containers(&target.name, params, &patch)
        .await
        .map(drop)
}

impl Ephemeral {
    /// Adds the container to the target's pod.
    ///
    /// # Errors
    /// If the cluster refuses: then nothing was added.
    pub async fn create(
        cluster: &Cluster,
        options: &HelperOptions,
        target: &Target,
    ) -> anyhow::Result<Self> {
        let run = Run::new();
        let params = PatchParams::default();
        let added = patch(cluster, options, &run, target, &params).await;
        added.map_err(|error| {
            explain(
                error,
                Doing::request(
                    "patch",
                    "pods/ephemeralcontainers",
                    &target.namespace,
                    &format!("pod {}", target.name),
                ),
            )
        })?;
        Ok(Self {
            namespace: target.namespace.clone(),
            pod: target.name.clone(),
            container: manifest::ephemeral_name(&run),
        })
    }

    /// Waits until it runs.
    ///
    /// # Errors
    /// If it never will, does not within `patience`, or somebody asks for the end.
    pub async fn wait(
        &self,
        cluster: &Cluster,
        patience: Duration,
        stop: &Stop,
        talk: &Talk,
    ) -> anyhow::Result<()> {
        let mut last = State::Waiting(None);
        let waited = tokio::select! {
            waited = self.watch(cluster, talk, &mut last) => waited.map(Some),
            () = tokio::time::sleep(patience) => Ok(None),
            () = stop.asked() => return Err(EndedEarly.into()),
        };
        if waited?.is_some() {
            return Ok(());
        }
        let why = match last {
            State::Waiting(Some(why)) => format!(" ({why})"),
            _ => String::new(),
        };
        bail!(
            "the ephemeral container did not start within {} s{why}: allow it more with --timeout, or see whether the node \
             can pull the image",
            patience.as_secs()
        );
    }

    async fn watch(&self, cluster: &Cluster, talk: &Talk, last: &mut State) -> anyhow::Result<()> {
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &self.namespace);
        let mut follow = Follow::new(api, By::Name(self.pod.clone()));
        loop {
            let what = format!("pod {}", self.pod);
            let doing = Doing::request("get", "pods", &self.namespace, &what);
            let pod = match follow.next().await.map_err(|error| explain(error, doing))? {
                Seen::Pod(pod) => pod,
                Seen::Deleted => bail!("the pod was deleted before the capture began"),
                Seen::Nothing => continue,
            };
            let state = self.state(&pod);
            match &state {
                State::Running => return Ok(()),
                State::Failed(why) => {
                    bail!("the ephemeral container cannot run ({why}){}", advice(why))
                }
                State::Waiting(_) => {
                    waiting::tell_waiting("ephemeral container", &state, last, talk);
                }
            }
            *last = state;
        }
    }

    fn state(&self, pod: &Pod) -> State {
        let Some(status) = &pod.status else {
            return State::Waiting(None);
        };
        if let Some(phase @ ("Succeeded" | "Failed")) = status.phase.as_deref() {
            return State::Failed(format!("the pod has ended: {phase}"));
        }
        let statuses = status.ephemeral_container_statuses.iter().flatten();
        let mut own = statuses.filter(|one| one.name == self.container);
        waiting::of_container(own.next())
    }
}
