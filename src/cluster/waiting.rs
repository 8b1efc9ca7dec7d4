//! How far a container has come, told from what the API server says of its pod.

use super::connect::Cluster;
use super::talk::Talk;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::Api;
use kube::api::ListParams;
use std::collections::HashSet;

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
                self.forbidden = super::error::is_missing_right(&error);
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
