//! The state of a container by its pod's status, and how it is followed.

use super::connect::Cluster;
use super::error::{ApiError, Cause, Doing, Obstacle};
use super::talk::Talk;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryFutureExt as _};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;
use tokio::time::Interval;

/// The state of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does not run yet; with the reason, where there is one.
    Waiting(Option<String>),
    /// It runs.
    Running,
    /// It will never run.
    Failed(Complaint),
}

/// Why a container will never run. Displayed in brackets, with the next step behind it where that
/// is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// In the cluster's words.
    pub words: String,
    /// The obstacle that these are about.
    pub obstacle: Option<Obstacle>,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = self.obstacle.map_or("", Obstacle::advice);
        write!(f, "({}){advice}", self.words)
    }
}

impl State {
    fn failed(words: String, obstacle: Option<Obstacle>) -> Self {
        Self::Failed(Complaint { words, obstacle })
    }
}

/// Reasons for waiting that are final, and their obstacles.
const FINAL: [(&str, Option<Obstacle>); 8] = [
    ("ErrImageNeverPull", Some(Obstacle::Image)),
    ("ImagePullBackOff", Some(Obstacle::Image)),
    ("InvalidImageName", None),
    ("ImageInspectError", None),
    ("CreateContainerConfigError", None),
    ("CreateContainerError", None),
    ("RunContainerError", None),
    ("CrashLoopBackOff", None),
];

/// The state of a container with this status.
#[must_use]
pub fn of_container(status: Option<&ContainerStatus>) -> State {
    let Some(state) = status.and_then(|status| status.state.as_ref()) else {
        return State::Waiting(None);
    };
    if state.running.is_some() {
        return State::Running;
    }
    if let Some(ended) = &state.terminated {
        let reason = ended.reason.as_deref().unwrap_or_default();
        let code = ended.exit_code;
        let mut words = format!("it ended at once with exit status {code} ({reason})");
        let message = ended.message.as_deref().unwrap_or_default().trim();
        if !message.is_empty() {
            words = format!("{words}: {message}");
        }
        return State::failed(words, None);
    }
    let Some(waiting) = &state.waiting else {
        return State::Waiting(None);
    };
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let words = match waiting.message.as_deref() {
        None | Some("") => reason.to_owned(),
        Some(message) => format!("{reason}: {message}"),
    };
    if let Some((_, obstacle)) = FINAL.iter().find(|(known, _)| *known == reason) {
        return State::failed(words, *obstacle);
    }
    let usual = matches!(reason, "" | "ContainerCreating" | "PodInitializing");
    State::Waiting((!usual).then_some(words))
}

/// The state of a helper's pod, whose only container is `container`.
#[must_use]
pub fn of_pod(pod: &Pod, container: &str) -> State {
    let Some(status) = &pod.status else {
        return State::Waiting(None);
    };
    if status.phase.as_deref() == Some("Failed") {
        // The kubelet's own refusals are here, and nowhere else.
        let reason = status.reason.as_deref().unwrap_or_default();
        let message = status.message.as_deref().unwrap_or_default();
        if !(reason.is_empty() && message.is_empty()) {
            return State::failed(format!("{reason}: {message}"), None);
        }
    }
    let mut statuses = status.container_statuses.iter().flatten();
    of_container(statuses.find(|one| one.name == container))
}

/// Between two looks at a pod that cannot be watched.
pub const LOOK: Duration = Duration::from_millis(500);

/// Which pod.
#[derive(Clone, Debug)]
pub enum By {
    /// The one with this label, which need not exist yet.
    Label(String),
    /// The one with this name.
    Name(String),
}

/// Follows a pod: by watching it, and by looking again and again where that is not allowed, or
/// ends.
pub struct Follow {
    api: Api<Pod>,
    by: By,
    doing: Doing,
    /// Events from the server; `None` while watching is of no use.
    watched: Option<BoxStream<'static, kube::Result<WatchEvent<Pod>>>>,
    may_watch: bool,
    look: Interval,
}

/// News of a pod.
pub enum News {
    /// It is like this now.
    Pod(Box<Pod>),
    /// It was deleted.
    Deleted,
    /// None; comes every [`LOOK`].
    Nothing,
}

impl Follow {
    /// Follows a pod of a namespace.
    #[must_use]
    pub fn new(cluster: &Cluster, namespace: &str, by: By) -> Self {
        let doing = match &by {
            By::Label(_) => Doing::request("list", "pods", namespace, "pod"),
            By::Name(name) => Doing::request("get", "pods", namespace, format!("pod {name}")),
        };
        Self {
            api: Api::namespaced(cluster.client.clone(), namespace),
            by,
            doing,
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

    /// Waits for news.
    ///
    /// # Errors
    /// If one may neither watch the pod nor look at it.
    pub async fn next(&mut self) -> Result<News, ApiError> {
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
                _ = self.look.tick() => return Ok(News::Nothing),
            },
        };
        match event {
            Some(Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod))) => {
                Ok(News::Pod(Box::new(pod)))
            }
            Some(Ok(WatchEvent::Deleted(_))) => Ok(News::Deleted),
            Some(Ok(WatchEvent::Bookmark(_))) => Ok(News::Nothing),
            // A watch ends now and then, and some servers give none: then the pod is looked at
            // before it is watched again.
            ended => {
                self.watched = None;
                let cause = ended.and_then(Result::err).as_ref().map(Cause::of);
                self.may_watch = cause != Some(Cause::MissingRight);
                self.look.tick().await;
                self.look().await
            }
        }
    }

    async fn look(&mut self) -> Result<News, ApiError> {
        let looked = match &self.by {
            By::Label(label) => {
                let listed = self.api.list(&ListParams::default().labels(label)).await;
                listed.map(|listed| listed.items.into_iter().next())
            }
            By::Name(name) => self.api.get_opt(name).await,
        };
        match looked {
            Ok(Some(pod)) => Ok(News::Pod(Box::new(pod))),
            Ok(None) if matches!(self.by, By::Name(_)) => Ok(News::Deleted),
            Err(error) if Cause::of(&error) == Cause::MissingRight => {
                Err(self.doing.clone().failed()(error))
            }
            // The server may be away for a while.
            Ok(None) | Err(_) => Ok(News::Nothing),
        }
    }
}

/// Reports events as they come, each once; where they may not be read, none.
#[derive(Debug, Default)]
pub struct Events {
    seen: HashSet<String>,
    forbidden: bool,
}

impl Events {
    /// Reports what is new about the object called `name`; returns the latest warning.
    pub async fn report(
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
                self.forbidden = Cause::of(&error) == Cause::MissingRight;
                return None;
            }
        };
        let mut warning = None;
        for event in listed {
            let reason = event.reason.unwrap_or_default();
            let message = event.message.unwrap_or_default();
            let warns = event.type_.as_deref() == Some("Warning");
            let reported = warns || reason == "Pulling";
            if reported && self.seen.insert(format!("{reason} {message}")) {
                talk.say(&format!("{reason}: {message}"));
            }
            if warns {
                warning = Some(message);
            }
        }
        warning
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
            State::failed(
                "ErrImageNeverPull: not there".to_owned(),
                Some(Obstacle::Image)
            )
        );
        assert_eq!(state(json!({"running": {}})), State::Running);
        let ended = state(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
        assert!(matches!(ended, State::Failed(why) if why.words.contains("137 (OOMKilled)")));
    }

    #[test]
    fn the_kubelets_refusal_is_the_pods() {
        let pod = json!({"status": {"phase": "Failed", "reason": "OutOfpods", "message": "Node didn't have enough"}});
        let state = of_pod(&serde_json::from_value(pod).unwrap(), "agent");
        assert_eq!(
            state,
            State::failed("OutOfpods: Node didn't have enough".to_owned(), None)
        );
    }
}
