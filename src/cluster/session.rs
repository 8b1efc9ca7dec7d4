//! One run: from targets to streams, and everything away again.
//!
//! ```text
//!  targets ──► way in ──► helper or ephemeral container ──► exec ──► consumer (a thread for each stream)
//!                             └──── deleted, whatever happens ◄────────────┘
//! ```

use super::connect::Cluster;
use super::ephemeral::Ephemeral;
use super::error::{Doing, explain, is_missing_right, is_passing};
use super::exec::{self, Ended, Output};
use super::helper::Helper;
use super::manifest::{AGENT, CONTAINER, HelperOptions};
use super::mode::{self, Mode, Way};
use super::rights;
use super::stop::{EndedEarly, Stop, Why};
use super::talk::Talk;
use super::target::{self, Target, Wanted};
use anyhow::anyhow;
use futures_util::future::join_all;
use meshsniff::stream::reader::End;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

/// How often new pods are looked for while they are followed.
const LOOK: Duration = Duration::from_secs(2);
/// How long an exec that fails for a passing reason is tried again.
const TRY: Duration = Duration::from_secs(5);

/// How long the agent may find nothing of a pod that runs again, and how often it looks.
const AGAIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long the agent waits for a sign of life before it ends.
const ALIVE_WITHIN: &str = "30s";

/// What an ephemeral container may take: its memory counts against the pod's own limits.
const GUEST: [&str; 6] = [
    "--buffer-size",
    "2048",
    "--queue-size",
    "8192",
    "--oom-score-adj",
    "1000",
];

/// What is to be run where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which way in.
    pub mode: Mode,
    /// How the helper is made.
    pub helper: HelperOptions,
    /// The namespace it is made in; the target's if none.
    pub helper_namespace: Option<String>,
    /// How long its start may take.
    pub timeout: Duration,
    /// The agent's command and options, without the target.
    pub command: Vec<String>,
    /// Pods that come later are captured, too.
    pub follow: bool,
}

/// What takes the streams in.
pub trait Consumer: Send + Sync + 'static {
    /// A target's stream begins; the number is the stream's, from 0.
    ///
    /// # Errors
    /// If it cannot be taken: the run ends.
    fn begin(&self, number: usize, target: &Target) -> anyhow::Result<()>;

    /// Reads the stream to its end, on a thread of its own; returns its last word, if it came.
    ///
    /// # Errors
    /// If the stream is not what it should be, or cannot be put away: the run ends. A broken pipe ends it
    /// without an error.
    fn consume(&self, number: usize, output: Output) -> anyhow::Result<Option<End>>;
}

/// How a target's stream ended.
#[derive(Debug)]
pub struct Finished {
    /// The target.
    pub target: Target,
    /// Which way in it was.
    pub way: Way,
    /// Its last word; without one it was cut.
    pub last_word: Option<End>,
    /// What went wrong, in a sentence.
    pub error: Option<String>,
}

/// Pods that have been captured, by their UIDs.
#[derive(Default)]
struct Known(HashMap<String, Life>);

/// What was last known of a pod.
struct Life {
    containers: BTreeSet<String>,
    /// Whether its stream has ended with its sandbox.
    gone: bool,
}

/// What a pod is that is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It was not there before.
    New,
    /// It was captured until its sandbox was gone, and has another one.
    Again,
    /// Nothing is to be done.
    Before,
}

impl Known {
    fn see(&mut self, target: &Target) -> Seen {
        // Before its network is set up a pod has no address, and nothing could be captured.
        if target.addresses.is_empty() {
            return Seen::Before;
        }
        let seen = match self.0.get(&target.uid) {
            None => Seen::New,
            // The API server learns late that the old containers are gone: new ones are a sure sign.
            Some(life)
                if life.gone
                    && !target.ending
                    && !target.containers.is_subset(&life.containers) =>
            {
                Seen::Again
            }
            Some(_) => Seen::Before,
        };
        if seen != Seen::Before {
            let life = Life {
                containers: target.containers.clone(),
                gone: false,
            };
            self.0.insert(target.uid.clone(), life);
        }
        seen
    }

    fn ended(&mut self, finished: &Finished) {
        let reason = finished.last_word.as_ref().map(|word| word.reason.as_str());
        let gone = match finished.way {
            Way::Pod => reason == Some("target-gone"),
            // It is a container of the pod, and told to end with the others.
            Way::Ephemeral => matches!(reason, Some("target-gone" | "signal")),
        };
        if let Some(life) = self.0.get_mut(&finished.target.uid) {
            life.gone |= gone;
        }
    }
}

/// What is in the cluster because of this run.
#[derive(Default)]
struct Made {
    helpers: Vec<Helper>,
    ephemeral: Vec<Ephemeral>,
}

/// Captures `targets`, and with [`Plan::follow`] whatever is meant by `wanted` later, until all have ended or `stop` is
/// asked.
///
/// Everything that was made in the cluster is deleted before this returns, also when it fails or panics.
///
/// # Errors
/// If nothing could be captured at all.
pub async fn run<C: Consumer>(
    cluster: &Cluster,
    (wanted, targets): (Wanted, Vec<Target>),
    plan: Plan,
    consumer: Arc<C>,
    talk: &Talk,
    stop: &Stop,
) -> anyhow::Result<Vec<Finished>> {
    let made = Arc::new(Mutex::new(Made::default()));
    let session = Session {
        cluster: cluster.clone(),
        wanted,
        plan,
        talk: talk.clone(),
        stop: stop.clone(),
        made: Arc::clone(&made),
        consumer,
    };
    // A task of its own: a panic in it must not keep us from what has to be deleted.
    let done = tokio::spawn(session.run(targets)).await;
    let mut made = made.lock().await;
    join_all(
        made.helpers
            .drain(..)
            .map(|helper| helper.end(talk.clone())),
    )
    .await;
    for left in made.ephemeral.drain(..) {
        talk.say(&format!(
            "the ephemeral container {} has ended or will within 30 s; its entry stays in pod {}/{} as long as the pod does",
            left.container, left.namespace, left.pod
        ));
    }
    match done {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// The namespace that a target's helper is in.
#[must_use]
pub fn namespace_of(own: Option<&str>, target: &Target) -> String {
    own.unwrap_or(&target.namespace).to_owned()
}

/// Targets that share a helper, by its namespace and its node, or by the target's namespace and name where each has its
/// own ephemeral container.
#[must_use]
pub fn groups(
    way: Way,
    own: Option<&str>,
    targets: Vec<Target>,
) -> BTreeMap<(String, String), Vec<Target>> {
    let mut groups: BTreeMap<(String, String), Vec<Target>> = BTreeMap::new();
    for target in targets {
        let key = match way {
            Way::Pod => (namespace_of(own, &target), target.node.clone()),
            Way::Ephemeral => (target.namespace.clone(), target.name.clone()),
        };
        groups.entry(key).or_default().push(target);
    }
    groups
}

struct Session<C> {
    cluster: Cluster,
    wanted: Wanted,
    plan: Plan,
    talk: Talk,
    stop: Stop,
    made: Arc<Mutex<Made>>,
    consumer: Arc<C>,
}

/// Where a target's agent is run.
#[derive(Clone, Debug)]
struct Place {
    namespace: String,
    pod: String,
    container: String,
    way: Way,
}

impl<C: Consumer> Session<C> {
    async fn run(self, targets: Vec<Target>) -> anyhow::Result<Vec<Finished>> {
        let session = Arc::new(self);
        let mut running: JoinSet<anyhow::Result<Option<Finished>>> = JoinSet::new();
        let mut number = 0;
        let mut known = Known::default();
        for target in &targets {
            let life = Life {
                containers: target.containers.clone(),
                gone: false,
            };
            known.0.insert(target.uid.clone(), life);
        }
        let begun = session
            .begin(targets, false, &mut number, &mut running)
            .await;
        let mut finished = Vec::new();
        // Where others are captured, one that cannot be is no reason to end.
        let mut failed = begun.err();
        let mut look = tokio::time::interval(LOOK);
        while failed.is_none() || !running.is_empty() {
            let following = session.plan.follow && session.stop.why().is_none();
            tokio::select! {
                Some(done) = running.join_next() => match done {
                    Ok(Ok(None)) => {}
                    Ok(Ok(Some(one))) => {
                        if following && let Some(word) = &one.last_word {
                            session.talk.say(&format!("{}: {}", one.target.full_name(), word.sentence));
                        }
                        known.ended(&one);
                        finished.push(one);
                    }
                    Ok(Err(error)) => {
                        session.stop.ask(Why::Failed);
                        failed.get_or_insert(error);
                    }
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                _ = look.tick(), if following => {
                    let (new, again) = session.new_targets(&mut known).await;
                    for (targets, again) in [(new, false), (again, true)] {
                        let begun = session.begin(targets, again, &mut number, &mut running).await;
                        if let Err(error) = begun {
                            session.talk.warn(&format!("{error:#}"));
                        }
                    }
                }
                () = session.stop.asked(), if session.plan.follow && running.is_empty() => break,
                else => break,
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(finished),
        }
    }

    /// Pods that are meant and were not there before, and those that run again.
    async fn new_targets(&self, known: &mut Known) -> (Vec<Target>, Vec<Target>) {
        let (mut new, mut again) = (Vec::new(), Vec::new());
        let Ok(found) = target::find(&self.cluster, &self.wanted).await else {
            return (new, again);
        };
        for target in found.targets {
            match known.see(&target) {
                Seen::New => new.push(target),
                Seen::Again => {
                    let name = target.full_name();
                    self.talk.say(&format!(
                        "{name} runs again in a new sandbox: it is captured on"
                    ));
                    again.push(target);
                }
                Seen::Before => {}
            }
        }
        (new, again)
    }

    /// Starts capturing `targets`; `again` if they were captured before.
    async fn begin(
        self: &Arc<Self>,
        targets: Vec<Target>,
        again: bool,
        number: &mut usize,
        running: &mut JoinSet<anyhow::Result<Option<Finished>>>,
    ) -> anyhow::Result<()> {
        if targets.is_empty() {
            return Ok(());
        }
        let plan = &self.plan;
        let own = plan.helper_namespace.as_deref();
        let first = namespace_of(own, &targets[0]);
        let chosen = mode::choose(&self.cluster, plan.mode, &first, &plan.helper, &targets);
        let (way, why) = self.stop.unless_asked(chosen).await??;
        if let Some(why) = why {
            self.talk
                .say(&format!("{why}: an ephemeral container is used"));
        }
        // One helper for each node and namespace; each captures the targets it was made for, and no others.
        let groups = groups(way, own, targets);
        let placed = join_all(
            groups
                .into_iter()
                .map(|((namespace, _), targets)| async move {
                    let place = match way {
                        Way::Pod => self.helper(&namespace, &targets).await,
                        Way::Ephemeral => self.ephemeral(&targets[0]).await,
                    };
                    (place, targets)
                }),
        )
        .await;
        let mut failed = None;
        let mut begun = 0;
        for (place, targets) in placed {
            let place = match place {
                Ok(place) => place,
                Err(error) => {
                    if let Some(first) = failed.replace(error) {
                        self.talk.warn(&format!("{first:#}"));
                    }
                    continue;
                }
            };
            for target in targets {
                self.consumer.begin(*number, &target)?;
                let session = Arc::clone(self);
                let (number_of_this, place) = (*number, place.clone());
                running.spawn(async move {
                    if again {
                        Ok(session.stream_again(number_of_this, target, place).await)
                    } else {
                        let done = session.stream(number_of_this, target, place, false);
                        done.await.map(Some)
                    }
                });
                *number += 1;
                begun += 1;
            }
        }
        match failed {
            Some(error) if begun == 0 => Err(error),
            Some(error) => {
                self.talk.warn(&format!("{error:#}"));
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn helper(&self, namespace: &str, targets: &[Target]) -> anyhow::Result<Place> {
        let node = &targets[0].node;
        let checked = target::check_node(&self.cluster, node);
        self.stop.unless_asked(checked).await??;
        let mut helper = Helper::create(
            &self.cluster,
            namespace,
            &self.plan.helper,
            node,
            targets,
            &self.talk,
        )
        .await?;
        let waited = helper.wait(self.plan.timeout, &self.stop, &self.talk).await;
        let place = Place {
            namespace: namespace.to_owned(),
            pod: helper.pod.clone(),
            container: CONTAINER.to_owned(),
            way: Way::Pod,
        };
        self.made.lock().await.helpers.push(helper);
        waited.map(|()| place)
    }

    async fn ephemeral(&self, target: &Target) -> anyhow::Result<Place> {
        let checked = target::check_node(&self.cluster, &target.node);
        self.stop.unless_asked(checked).await??;
        // It cannot be taken away again: what would be of no use is not made.
        let missing = rights::missing(&self.cluster, &target.namespace, &rights::EXEC);
        let missing = self.stop.unless_asked(missing).await?;
        if !missing.is_empty() {
            return Err(no_exec(&missing, &target.namespace));
        }
        let ephemeral = Ephemeral::create(&self.cluster, &self.plan.helper, target).await?;
        self.made.lock().await.ephemeral.push(ephemeral.clone());
        ephemeral
            .wait(&self.cluster, self.plan.timeout, &self.stop, &self.talk)
            .await?;
        Ok(Place {
            namespace: ephemeral.namespace,
            pod: ephemeral.pod,
            container: ephemeral.container,
            way: Way::Ephemeral,
        })
    }

    fn command(&self, target: &Target, way: Way) -> Vec<String> {
        let mut command = vec![AGENT.to_owned()];
        command.extend(self.plan.command.iter().cloned());
        command.extend(["--heartbeat", ALIVE_WITHIN].map(str::to_owned));
        match way {
            Way::Pod => {
                if target.host_network {
                    command.push("--node".to_owned());
                }
                if !target.is_node() {
                    command.extend(["--pod-uid".to_owned(), target.cgroup.clone()]);
                }
                if let Some(id) = &target.container {
                    command.extend(["--container-id".to_owned(), id.clone()]);
                }
            }
            Way::Ephemeral => command.extend(GUEST.map(str::to_owned)),
        }
        command
    }

    /// The stream of a target that was captured before: that it cannot be captured again is no reason to end. `None` if the
    /// end came first.
    async fn stream_again(
        self: Arc<Self>,
        number: usize,
        target: Target,
        place: Place,
    ) -> Option<Finished> {
        let way = place.way;
        let done = Arc::clone(&self)
            .stream(number, target.clone(), place, true)
            .await;
        match done {
            Ok(finished) => Some(finished),
            Err(error) if error.is::<EndedEarly>() => None,
            Err(error) => {
                let error = format!("{error:#}");
                self.talk.warn(&error);
                Some(Finished {
                    target,
                    way,
                    last_word: None,
                    error: Some(error),
                })
            }
        }
    }

    /// Runs the agent; what comes with it is what it has said already.
    async fn start(
        &self,
        target: &Target,
        place: &Place,
        again: bool,
    ) -> anyhow::Result<(exec::Exec, Vec<String>)> {
        let deadline = tokio::time::Instant::now() + AGAIN;
        loop {
            let mut exec = self.exec(target, place).await?;
            if !again {
                return Ok((exec, Vec::new()));
            }
            let (ready, said) = first_words(&mut exec.lines).await;
            if ready || tokio::time::Instant::now() >= deadline {
                return Ok((exec, said));
            }
            // The new sandbox's processes are not there yet.
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// One target's stream, from its beginning to its end; `again` if it was captured before.
    async fn stream(
        self: Arc<Self>,
        number: usize,
        target: Target,
        place: Place,
        again: bool,
    ) -> anyhow::Result<Finished> {
        let started = self.start(&target, &place, again);
        let (exec, said_already) = self.stop.unless_asked(started).await??;
        let stopper = exec.stopper();
        let ended = exec.ended.abort_handle();
        let stop = self.stop.clone();
        let guard = tokio::spawn(async move {
            stop.asked().await;
            stopper.stop().await;
            stop.hurried().await;
            ended.abort();
        });
        let listener = tokio::spawn(listen(
            said_already,
            exec.lines,
            target.full_name(),
            self.label(&target),
            self.talk.clone(),
        ));
        let (done, consumed) = oneshot::channel();
        let consumer = Arc::clone(&self.consumer);
        let output = exec.output;
        std::thread::Builder::new()
            .name(format!("stream {number}"))
            .spawn(move || {
                // Whoever waits for it may have gone.
                let _ = done.send(consumer.consume(number, output));
            })?;
        let ended = exec.ended.await.unwrap_or(Ended::NoTrailer);
        let consumed = match consumed.await {
            Ok(consumed) => consumed,
            Err(_) => Err(anyhow!("reading the stream failed")),
        };
        guard.abort();
        let said = listener.await.ok().flatten();
        let last_word = match consumed {
            Ok(last_word) => last_word,
            Err(error) if super::is_broken_pipe(&error) => {
                self.stop.ask(Why::OutputClosed);
                None
            }
            Err(error) => {
                // What the agent says of its end is closer to the cause than what was not understood of its stream.
                return Err(match said {
                    Some(said) => anyhow!("{said}"),
                    None => error,
                });
            }
        };
        if last_word.is_none()
            && let Some(said) = said
        {
            return Err(anyhow!("{}{said}", self.label(&target)));
        }
        let error = (last_word.is_none())
            .then(|| self.cut(&target, ended))
            .flatten();
        Ok(Finished {
            target,
            way: place.way,
            last_word,
            error,
        })
    }

    /// What is put before a sentence about this target, where there are several.
    fn label(&self, target: &Target) -> String {
        if self.wanted.is_open() || self.wanted.named.len() > 1 {
            format!("{}: ", target.full_name())
        } else {
            String::new()
        }
    }

    /// Why a stream has no last word.
    fn cut(&self, target: &Target, ended: Ended) -> Option<String> {
        if self.stop.why() == Some(Why::OutputClosed) {
            return None;
        }
        let why = match ended {
            Ended::Exited(None) => {
                "the cluster says that it ended well, which it also says when a container runtime is restarted".to_owned()
            }
            Ended::Exited(Some(said)) => said,
            Ended::Broken(said) => format!("the connection broke: {said}"),
            Ended::Silent => "nothing came for 30 s".to_owned(),
            Ended::NoTrailer => "its last word was not waited for any longer".to_owned(),
            Ended::Unread => "its output was not read".to_owned(),
        };
        Some(format!(
            "the stream of {} was cut ({why}): what came before is kept, the rest is missing",
            target.full_name()
        ))
    }

    async fn exec(&self, target: &Target, place: &Place) -> anyhow::Result<exec::Exec> {
        let command = self.command(target, place.way);
        let deadline = tokio::time::Instant::now() + TRY;
        loop {
            let started = exec::start(
                &self.cluster.client,
                &place.namespace,
                &place.pod,
                &place.container,
                &command,
            );
            let error = match started.await {
                Ok(exec) => return Ok(exec),
                Err(error) => error,
            };
            if is_passing(&error) && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(300)).await;
                continue;
            }
            if is_missing_right(&error) {
                let missing = rights::missing(&self.cluster, &place.namespace, &rights::EXEC).await;
                if !missing.is_empty() {
                    return Err(no_exec(&missing, &place.namespace));
                }
            }
            let what = format!("pod {}", place.pod);
            let doing = Doing::request("create", "pods/exec", &place.namespace, &what);
            return Err(explain(error, doing));
        }
    }
}

fn no_exec(missing: &[String], namespace: &str) -> anyhow::Error {
    anyhow!(
        "you may not {} in namespace {namespace} (an exec takes both get and create): ask for the rights that kubectl meshsniff \
         rbac prints",
        missing.join(" and ")
    )
}

/// What the agent says until it is ready, and whether it ever is.
async fn first_words(lines: &mut mpsc::Receiver<String>) -> (bool, Vec<String>) {
    let mut said = Vec::new();
    while let Some(line) = lines.recv().await {
        let ready = serde_json::from_str::<Value>(&line).is_ok_and(|said| said["type"] == "ready");
        said.push(line);
        if ready {
            return (true, said);
        }
    }
    (false, said)
}

/// Passes on what the agent says and has said; returns its error, if it has one.
async fn listen(
    said: Vec<String>,
    mut lines: mpsc::Receiver<String>,
    name: String,
    label: String,
    talk: Talk,
) -> Option<String> {
    let mut failed = None;
    let mut said = said.into_iter();
    loop {
        let line = match said.next() {
            Some(line) => line,
            None => match lines.recv().await {
                Some(line) => line,
                None => return failed,
            },
        };
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let message = said["message"].as_str().unwrap_or(&line).to_owned();
        match said["type"].as_str() {
            Some("error") => failed = Some(message),
            Some("ready") => {
                check_version(&said, &talk);
                let interfaces = said["interfaces"].as_array();
                let interfaces: Vec<&str> = interfaces
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                talk.say(&format!(
                    "capturing on {} of {name}; Ctrl-C ends it",
                    interfaces.join(", ")
                ));
            }
            Some("warning" | "drops") => talk.warn(&format!("{label}{message}")),
            Some("end" | "note") => talk.say(&format!("{label}{message}")),
            // What is no line of the agent's comes from whoever could not run it.
            _ => failed = Some(message),
        }
    }
}

/// The agent's version is the image's; the stream is the same within a version.
fn check_version(ready: &Value, talk: &Talk) {
    let own = env!("CARGO_PKG_VERSION");
    let agents = ready["version"].as_str().unwrap_or("unknown");
    if agents != own {
        talk.warn(&format!(
            "the agent in the image is version {agents}, this is {own}: if something is not understood, use the image of this \
             version"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(containers: &[&str]) -> Target {
        Target {
            namespace: "shop".to_owned(),
            name: "catalog".to_owned(),
            uid: "u-1".to_owned(),
            cgroup: "u-1".to_owned(),
            node: "n1".to_owned(),
            container: None,
            addresses: vec![[10, 0, 0, 1].into()],
            host_network: false,
            containers: containers.iter().map(|id| (*id).to_owned()).collect(),
            ending: false,
        }
    }

    fn ended(way: Way, reason: &str) -> Finished {
        Finished {
            target: target(&["a"]),
            way,
            last_word: Some(End {
                reason: reason.to_owned(),
                sentence: String::new(),
            }),
            error: None,
        }
    }

    #[test]
    fn a_pod_is_captured_again_in_its_new_sandbox() {
        let mut known = Known::default();
        assert_eq!(known.see(&target(&["a"])), Seen::New);
        // A container that comes again in the same sandbox.
        assert_eq!(known.see(&target(&["b"])), Seen::Before);
        known.ended(&ended(Way::Pod, "target-gone"));
        // As it was before.
        assert_eq!(known.see(&target(&["a"])), Seen::Before);
        let mut deleted = target(&["c"]);
        deleted.ending = true;
        assert_eq!(known.see(&deleted), Seen::Before);
        let mut homeless = target(&["c"]);
        homeless.addresses.clear();
        assert_eq!(known.see(&homeless), Seen::Before);
        assert_eq!(known.see(&target(&["c"])), Seen::Again);
        assert_eq!(known.see(&target(&["c"])), Seen::Before);
    }

    #[test]
    fn only_the_end_of_its_sandbox_is_one_to_go_on_after() {
        for (way, reason, seen) in [
            (Way::Pod, "target-gone", Seen::Again),
            (Way::Pod, "signal", Seen::Before),
            (Way::Pod, "count", Seen::Before),
            (Way::Ephemeral, "signal", Seen::Again),
            (Way::Ephemeral, "duration", Seen::Before),
        ] {
            let mut known = Known::default();
            known.see(&target(&["a"]));
            known.ended(&ended(way, reason));
            assert_eq!(known.see(&target(&["b"])), seen, "{way:?} {reason}");
        }
    }
}
