//! How far a container has come, told from what the API server says of its pod, and following that.

use super::connect::Cluster;
use super::error::is_missing_right;
use super::talk::Talk;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryFutureExt as _};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Interval;

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not yet there; with the reason, where there is one.
    Waiting(Option<String>),
    /// It runs.
    Running,
    /// It will never run; why.
    Failed(String),
}

/// Reasons for waiting that waiting does not cure.
const FINAL: [&str; 8] = [
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// The state of a container whose status this is.
#[must_use]
pub fn of_container(status: Option<&ContainerStatus>) -> State {
    let Some(state) = status.and_then(|status| status.state.as_ref()) else {
        return State::Waiting(None);
    };
    if state.running.is_some() {
        return State::Running;
    }
    if let Some(ended) = &state.terminated {
        let reason = ended.reason.clone().unwrap_or_default();
        let message = ended.message.as_deref().unwrap_or_default().trim();
        let mut said = format!(
            "it ended at once with exit status {} ({reason})",
            ended.exit_code
        );
        if !message.is_empty() {
            said = format!("{said}: {message}");
        }
        return State::Failed(said);
    }
    let Some(waiting) = &state.waiting else {
        return State::Waiting(None);
    };
    let reason = waiting.reason.clone().unwrap_or_default();
    let mut said = reason.clone();
    if let Some(message) = waiting.message.as_deref().filter(|text| !text.is_empty()) {
        said = format!("{said}: {message}");
    }
    if FINAL.contains(&reason.as_str()) {
        return State::Failed(said);
    }
    let usual = matches!(
        reason.as_str(),
        "" | "ContainerCreating" | "PodInitializing"
    );
    State::Waiting((!usual).then_some(said))
}

/// The state of a helper's pod, whose only container is `container`.
#[must_use]
pub fn of_pod(pod: &Pod, container: &str) -> State {
    let Some(status) = &pod.status else {
        return State::Waiting(None);
    };
    if status.phase.as_deref() == Some("Failed") {
        // The kubelet's own refusals are here, and nowhere else.
        let reason = status.reason.clone().unwrap_or_default();
        let message = status.message.clone().unwrap_or_default();
        if !(reason.is_empty() && message.is_empty()) {
            return State::Failed(format!("{reason}: {message}"));
        }
    }
    let statuses = status.container_statuses.iter().flatten();
    of_container(statuses.into_iter().find(|one| one.name == container))
}

/// Says why it waits, when that has changed.
pub fn tell_waiting(what: &str, state: &State, last: &State, talk: &Talk) {
    if let State::Waiting(Some(why)) = state
        && state != last
    {
        talk.say(&format!("waiting for the {what}: {why}"));
    }
}

/// Between two looks at a pod that cannot be watched.
pub const LOOK: Duration = Duration::from_millis(500);

/// Which pod.
#[derive(Clone, Debug)]
pub enum By {
    /// The one with this label, which need not be there yet.
    Label(String),
    /// The one with this name.
    Name(String),
}

/// Follows a pod: by watching it, and by looking again and again where that is not allowed, or ends.
pub struct Follow {
    api: Api<Pod>,
    by: By,
    /// What the server sends; `None` where it is of no use to ask.
    watched: Option<BoxStream<'static, kube::Result<WatchEvent<Pod>>>>,
    may_watch: bool,
    look: Interval,
}

/// What is known of it.
pub enum Seen {
    /// It is like this now.
    Pod(Box<Pod>),
    /// It was deleted.
    Deleted,
    /// Nothing new; said every [`LOOK`].
    Nothing,
}

impl Follow {
    /// Follows a pod of `api`'s namespace.
    #[must_use]
    pub fn new(api: Api<Pod>, by: By) -> Self {
        Self {
            api,
            by,
            watched: None,
            may_watch: true,
            look: tokio::time::interval(LOOK),
        }
    }

    fn watch(&self) -> BoxStream<'static, kube::Result<WatchEvent<Pod>>> {
        // Without bookmarks, which not every server's storage can give.
        let params = WatchParams::default().timeout(60).disable_bookmarks();
        let params = match &self.by {
            By::Label(label) => params.labels(label),
            By::Name(name) => params.fields(&format!("metadata.name={name}")),
        };
        let api = self.api.clone();
        // The answer's head may come with the first event only: that is waited for like all others.
        let watched = async move { api.watch(&params, "0").await };
        watched.try_flatten_stream().boxed()
    }

    /// What comes next.
    ///
    /// # Errors
    /// If one may neither watch it nor look at it.
    pub async fn next(&mut self) -> kube::Result<Seen> {
        if self.may_watch && self.watched.is_none() {
            self.watched = Some(self.watch());
        }
        let event = match &mut self.watched {
            None => {
                self.look.tick().await;
                return self.look().await;
            }
            Some(watched) => tokio::select! {
                event = watched.next() => event,
                _ = self.look.tick() => return Ok(Seen::Nothing),
            },
        };
        match event {
            Some(Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod))) => {
                Ok(Seen::Pod(Box::new(pod)))
            }
            Some(Ok(WatchEvent::Deleted(_))) => Ok(Seen::Deleted),
            Some(Ok(WatchEvent::Bookmark(_))) => Ok(Seen::Nothing),
            // A watch ends now and then, and some servers give none: then it is looked at before it is watched again.
            ended => {
                self.watched = None;
                self.may_watch = !matches!(&ended, Some(Err(error)) if is_missing_right(error));
                self.look.tick().await;
                self.look().await
            }
        }
    }

    async fn look(&mut self) -> kube::Result<Seen> {
        let looked = match &self.by {
            By::Label(label) => {
                let listed = self.api.list(&ListParams::default().labels(label)).await;
                listed.map(|listed| listed.items.into_iter().next())
            }
            By::Name(name) => self.api.get_opt(name).await,
        };
        match looked {
            Ok(Some(pod)) => Ok(Seen::Pod(Box::new(pod))),
            Ok(None) if matches!(self.by, By::Name(_)) => Ok(Seen::Deleted),
            Err(error) if is_missing_right(&error) => Err(error),
            // The server may be away for a while.
            Ok(None) | Err(_) => Ok(Seen::Nothing),
        }
    }
}

/// Tells of events as they come, each once; where they may not be read, nothing is told.
#[derive(Debug, Default)]
pub struct Events {
    seen: HashSet<String>,
    forbidden: bool,
}

impl Events {
    /// Says what is new about the object called `name`; returns the latest complaint.
    pub async fn tell(
        &mut self,
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        talk: &Talk,
    ) -> Option<String> {
        if self.forbidden {
            return None;
        }
        let api: Api<Event> = Api::namespaced(cluster.client.clone(), namespace);
        let params = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let listed = match api.list(&params).await {
            Ok(listed) => listed.items,
            Err(error) => {
                // They are a nicety.
                self.forbidden = is_missing_right(&error);
                return None;
            }
        };
        let mut complaint = None;
        for event in listed {
            let reason = event.reason.unwrap_or_default();
            let message = event.message.unwrap_or_default();
            let warns = event.type_.as_deref() == Some("Warning");
            if warns {
                complaint = Some(message.clone());
            }
            let told = warns || reason == "Pulling";
            if told && self.seen.insert(format!("{reason} {message}")) {
                talk.say(&format!("{reason}: {message}"));
            }
        }
        complaint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn state(state: Value) -> State {
        let status = json!({"name": "agent", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        of_container(Some(&serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn what_waiting_does_not_cure() {
        assert_eq!(of_container(None), State::Waiting(None));
        assert_eq!(
            state(json!({"waiting": {"reason": "ContainerCreating"}})),
            State::Waiting(None)
        );
        assert_eq!(
            state(json!({"waiting": {"reason": "ErrImagePull", "message": "no route"}})),
            State::Waiting(Some("ErrImagePull: no route".to_owned()))
        );
        assert_eq!(
            state(json!({"waiting": {"reason": "ErrImageNeverPull", "message": "not there"}})),
            State::Failed("ErrImageNeverPull: not there".to_owned())
        );
        assert_eq!(state(json!({"running": {}})), State::Running);
        let ended = state(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
        assert!(matches!(ended, State::Failed(why) if why.contains("137 (OOMKilled)")));
    }

    #[test]
    fn the_kubelets_refusal_is_the_pods() {
        let pod = json!({"status": {"phase": "Failed", "reason": "OutOfpods", "message": "Node didn't have enough"}});
        let state = of_pod(&serde_json::from_value(pod).unwrap(), "agent");
        assert_eq!(
            state,
            State::Failed("OutOfpods: Node didn't have enough".to_owned())
        );
    }
}
