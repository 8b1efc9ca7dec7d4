//! What a way in is, and what it is given.

use crate::cluster::bringing::{Carrier, NotCarried};
use crate::cluster::connect::Cluster;
use crate::cluster::error::ApiError;
use crate::cluster::manifest::HelperOptions;
use crate::cluster::mutation::Changes;
use crate::cluster::rights::{NoExec, Place, Rule};
use crate::cluster::stop::{EndedEarly, Stop};
use crate::cluster::talk::Talk;
use crate::cluster::target::Target;
use crate::cluster::target::node::NodeError;
use crate::cluster::traces::{Look, LookError, Traces};
use crate::cluster::waiting::{Complaint, Follow, News, State};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use meshsniff_contract::arguments::Request;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use thiserror::Error;

/// A way into a pod's network.
#[async_trait]
pub trait WayIn: Sync {
    /// The constant properties.
    fn facts(&self) -> &'static Facts;

    /// The consequence of a namespace that enforces this level of Pod Security; `None` if there is none.
    fn kept_out_by(&self, level: &str) -> Option<&'static str>;

    /// Checks whether the targets can be captured at all in this way.
    ///
    /// # Errors
    /// If one of them cannot.
    fn suits(&self, targets: &[Target]) -> Result<(), WayError>;

    /// The namespace to make something in, and the name of what the targets share that are captured
    /// by the same, such as their node. `own` is the namespace that was asked for.
    fn share(&self, own: Option<&str>, target: &Target) -> Shared;

    /// Asks the server whether it would admit it.
    ///
    /// # Errors
    /// As the server refuses it.
    async fn dry_run(&self, making: Making<'_>) -> Result<(), ApiError>;

    /// The sentence for such a refusal, with the next step.
    fn refusal(&self, error: ApiError, making: Making<'_>) -> WayError;

    /// The same for `doctor`; `None` if something else says it.
    fn diagnosis(&self, error: ApiError, making: Making<'_>) -> Option<Finding>;

    /// What would be made, and a line about it: the command where `kubectl create` is none, or what
    /// comes with it; with `ask` as the server would make it.
    ///
    /// # Errors
    /// If the server would not.
    async fn preview(
        &self,
        making: Making<'_>,
        ask: bool,
        talk: &Talk,
    ) -> Result<Preview, WayError>;

    /// Makes it, and waits until it runs. What is made is kept in its [`Life`] before it is waited
    /// for.
    ///
    /// # Errors
    /// If the cluster refuses, it never runs, or the end is asked for.
    async fn start(&self, making: Making<'_>, life: &Life) -> Result<Container, WayError>;

    /// Adds to a request what makes the agent find the target.
    fn set_target(&self, target: &Target, request: &mut Request);

    /// Whether a stream that ends for this reason ended with the pod's sandbox, of which there may
    /// be another.
    fn ends_with_sandbox(&self, reason: &str) -> bool;

    /// Looks for what earlier runs left behind.
    async fn left_behind(&self, look: &Look<'_>) -> Result<Traces, LookError>;
}

/// Constant properties of a way in.
pub struct Facts {
    /// Its name in `--mode`.
    pub name: &'static str,
    /// Its line in the help of `--mode`.
    pub help: &'static str,
    /// The thing it makes, such as `a helper pod`.
    pub noun: &'static str,
    /// In which namespace it makes that.
    pub place: Place,
    /// The rights that it takes, beside those that all take.
    pub rules: &'static [Rule],
    /// Whether what would be refused starts all the same, and has to be tried before.
    pub starts_if_refused: bool,
}

impl PartialEq for dyn WayIn {
    fn eq(&self, other: &Self) -> bool {
        self.facts().name == other.facts().name
    }
}

impl fmt::Debug for dyn WayIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.facts().name)
    }
}

/// A namespace, and the name of what targets share: see [`WayIn::share`].
pub type Shared = (String, String);

/// Something to be made for some targets.
#[derive(Clone, Copy)]
pub struct Making<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) options: &'a HelperOptions,
    pub(super) namespace: &'a str,
    /// The name of what the targets share.
    pub(super) shared: &'a str,
    pub(super) targets: &'a [Target],
}

impl<'a> Making<'a> {
    /// For the targets that share this.
    #[must_use]
    pub fn new(
        cluster: &'a Cluster,
        options: &'a HelperOptions,
        (namespace, shared): &'a Shared,
        targets: &'a [Target],
    ) -> Self {
        Self {
            cluster,
            options,
            namespace,
            shared,
            targets,
        }
    }
}

/// Who waits for a start, and what was started.
pub struct Life {
    /// How long a start may take.
    pub timeout: Duration,
    /// Who ends it.
    pub stop: Stop,
    /// Who hears of it.
    pub talk: Talk,
    /// How long what was made lives by itself.
    pub lease: Lease,
    made: Mutex<Vec<Box<dyn Made>>>,
    /// What carried the agent into a pod, by its UID: it does so again into a new sandbox, where
    /// none of the pod's containers may run yet.
    carriers: Mutex<BTreeMap<String, Carrier>>,
}

/// How long the cluster lets something live without a word of this program. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Lease(Arc<Mutex<Option<(SystemTime, Duration)>>>);

impl Lease {
    /// It was made, or renewed, for so long from now on.
    #[allow(
        clippy::disallowed_methods,
        reason = "the clock of the wall goes on while a laptop sleeps"
    )]
    pub fn renewed(&self, length: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((SystemTime::now(), length));
    }

    /// For how long nobody renewed it, if it has run out.
    #[must_use]
    pub fn ran_out(&self) -> Option<Duration> {
        let (renewed, length) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let silent = renewed.elapsed().unwrap_or_default();
        // The cluster began to count before the answer came, and gives notice before it kills.
        (silent >= length * 5 / 6).then_some(silent)
    }
}

impl Life {
    /// One in which nothing is made yet.
    #[must_use]
    pub fn new(timeout: Duration, stop: Stop, talk: Talk) -> Self {
        Self {
            timeout,
            stop,
            talk,
            lease: Lease::default(),
            made: Mutex::default(),
            carriers: Mutex::default(),
        }
    }

    /// What carried the agent into a pod before.
    pub(super) fn carrier(&self, uid: &str) -> Option<Carrier> {
        let carriers = self.carriers.lock().unwrap_or_else(PoisonError::into_inner);
        carriers.get(uid).cloned()
    }

    /// Remembers what carries the agent into a pod.
    pub(super) fn carries(&self, uid: &str, carrier: &Carrier) {
        let mut carriers = self.carriers.lock().unwrap_or_else(PoisonError::into_inner);
        carriers.insert(uid.to_owned(), carrier.clone());
    }

    /// Takes care of something that was made.
    pub(super) fn keep(&self, made: impl Made + 'static) {
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Box::new(made));
    }

    /// Everything made so far that has to be ended.
    pub fn take_made(&self) -> Vec<Box<dyn Made>> {
        std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Something that was made in the cluster.
#[async_trait]
pub trait Made: Send {
    /// Removes it, or says what stays. A server that does not answer is not waited for any longer
    /// once `stop` has had a signal.
    async fn end(self: Box<Self>, talk: Talk, stop: Stop);
}

/// The container that runs the agent for some targets.
#[derive(Clone, Debug)]
pub struct Container {
    /// The namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub name: String,
    /// The agent's command in it, without its arguments.
    pub command: Vec<String>,
}

/// An object or a patch that would be made, and the command for it, or what would be made beside it.
pub type Preview = (Value, Option<String>);

/// Something that `doctor` looked at, in a sentence.
pub type Finding = (Mark, String);

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Not known, or optional.
    Warn,
    /// A capture would fail.
    Fail,
}

/// Why a way in leads nowhere.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum WayError {
    #[error(transparent)]
    EndedEarly(#[from] EndedEarly),
    #[error(transparent)]
    Api(#[from] ApiError),
    /// With the next step.
    #[error("{0}{1}")]
    Refused(ApiError, &'static str),
    #[error("neither {0} is admitted: {1}")]
    Neither(String, String),
    #[error("there is nothing to capture")]
    NoTarget,
    #[error(transparent)]
    NotCarried(#[from] NotCarried),
    /// The image, and why.
    #[error(
        "the node has not the image {0}, into which the agent was to be carried ({1}): name one that \
         it has with --agent carried --image, or an image of the agent with --agent image --image"
    )]
    NoCarrier(String, String),
    /// Its namespace and name.
    #[error(
        "configmap {1} in namespace {0} has the name of the agent that is carried, and holds \
         something else: see who made it, and delete it (kubectl -n {0} delete configmap {1})"
    )]
    Foreign(String, String),
    /// Its namespace and name.
    #[error(
        "configmap {1} in namespace {0} was deleted or replaced while the helper started, so what \
         runs there may not be the agent: see who may do that, or let the helper run in a namespace \
         of its own with --helper-namespace"
    )]
    Replaced(String, String),
    #[error(
        "{0} is in its node's network, which only a helper pod can capture without its own stream: \
         use --mode pod, with --helper-namespace if need be"
    )]
    OnNode(String),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    NoExec(#[from] NoExec),
    /// After how many seconds.
    #[error(
        "the agent was not carried to the cluster within {0} s: allow it more with --timeout, or \
         name an image of it with --agent image --image"
    )]
    NotThere(u64),
    /// The container, and why.
    #[error(
        "a shell in container {0} did not do as it was told ({1}): use --mode pod, or name an image \
         of the agent with --agent image --image"
    )]
    Shell(String, String),
    #[error("there is no namespace {0}: create it, or name another one")]
    NoNamespace(String),
    #[error("the API server did not answer within {0} s: see whether kubectl get ns works")]
    NoAnswer(u64),
    /// What, after how many seconds, why, and what else to see.
    #[error(
        "the {0} did not start within {1} s{2}: allow it more with --timeout, or see whether the \
         node can pull the image{3}"
    )]
    Late(&'static str, u64, String, &'static str),
    #[error("the {0} cannot run {1}")]
    CannotRun(&'static str, Complaint),
    /// What, the changes, and the next step.
    #[error("the {0} is not what was asked for ({1}){2}")]
    Mutated(&'static str, Changes, &'static str),
    #[error("{0}")]
    Deleted(&'static str),
    #[error(transparent)]
    Manifest(#[from] serde_json::Error),
}

/// Something that is waited for, in words.
pub(super) struct Awaited {
    /// What.
    pub(super) what: &'static str,
    /// Further advice if it does not start.
    pub(super) more: &'static str,
    /// The sentence if it is deleted.
    pub(super) deleted: &'static str,
}

/// A task beside the wait.
#[async_trait]
pub(super) trait Meanwhile: Send {
    /// Looks elsewhere, again and again while there is no news; returns the latest complaint.
    async fn look(&mut self) -> Result<Option<String>, WayError>;

    /// Looks at the pod, which may not be what was asked for; returns what was changed in it.
    fn inspect(&mut self, pod: &Pod) -> Result<Changes, WayError>;
}

impl Awaited {
    /// Waits until it runs; returns its pod.
    pub(super) async fn until_it_runs(
        &self,
        mut follow: Follow,
        state: impl Fn(&Pod) -> State + Send,
        mut meanwhile: impl Meanwhile,
        life: &Life,
    ) -> Result<Pod, WayError> {
        let mut last = State::Waiting(None);
        let mut complaint = None;
        let mut changes = Changes::default();
        let runs = async {
            loop {
                let pod = match follow.next().await? {
                    News::Pod(pod) => {
                        changes = meanwhile.inspect(&pod)?;
                        pod
                    }
                    News::Deleted => return Err(WayError::Deleted(self.deleted)),
                    News::Nothing => {
                        complaint = meanwhile.look().await?.or(complaint.take());
                        continue;
                    }
                };
                let state = state(&pod);
                match &state {
                    State::Running => {
                        if let Some(beside) = changes.beside() {
                            let what = self.what;
                            life.talk
                                .warn(&format!("the {what} is not alone ({beside})"));
                        }
                        return Ok(*pod);
                    }
                    State::Failed(why) => {
                        let why = Complaint {
                            words: with_changes(why.words.clone(), &changes),
                            ..why.clone()
                        };
                        return Err(WayError::CannotRun(self.what, why));
                    }
                    State::Waiting(Some(why)) if state != last => {
                        let what = self.what;
                        life.talk.say(&format!("waiting for the {what}: {why}"));
                    }
                    State::Waiting(_) => {}
                }
                last = state;
            }
        };
        tokio::select! {
            runs = runs => return runs,
            () = life.stop.asked() => return Err(EndedEarly.into()),
            () = tokio::time::sleep(life.timeout) => {}
        }
        if let State::Waiting(Some(why)) = last {
            complaint = Some(why);
        }
        let why = with_changes(complaint.unwrap_or_default(), &changes);
        let why = if why.is_empty() {
            why
        } else {
            format!(" ({why})")
        };
        let seconds = life.timeout.as_secs();
        Err(WayError::Late(self.what, seconds, why, self.more))
    }
}

/// A complaint, and what was changed, which may be the reason for it.
fn with_changes(words: String, changes: &Changes) -> String {
    match (words.is_empty(), changes.is_empty()) {
        (_, true) => words,
        (true, false) => changes.to_string(),
        (false, false) => format!("{words}; {changes}"),
    }
}
