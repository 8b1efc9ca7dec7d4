//! One run: from targets to streams, and everything away again.
//!
//! ```text
//!  targets ──► way in ──► helper or ephemeral container ──► exec ──► consumer (a thread for each)
//!                             └──── deleted, whatever happens ◄────────────┘
//! ```
//!
//! | here | holds |
//! |---|---|
//! | `plan` | a run's input and its results |
//! | `known` | the pods that have been captured |
//! | `stream` | one target's stream |

mod known;
mod plan;
mod stream;

pub use plan::{Consumer, Cut, Finished, Plan, RunError, Unconsumed};

use super::connect::Cluster;
use super::mode;
use super::stop::{Stop, Why};
use super::talk::Talk;
use super::target::{self, Target, Wanted};
use super::way::groups;
use super::way::way_in::{Life, Making};
use futures_util::future::join_all;
use known::{Known, Seen};
use std::sync::Arc;
use std::time::Duration;
use stream::{Found, Session, Stream};
use tokio::task::JoinSet;

/// How long the output may take to be read once the end was asked for twice.
const UNREAD: Duration = Duration::from_secs(2);

/// How often new pods are looked for while they are followed.
const LOOK: Duration = Duration::from_secs(2);

/// Captures `targets`, and with [`Plan::follow`] whatever is meant by `wanted` later, until all
/// have ended or `stop` is asked.
///
/// Everything that was made in the cluster is deleted before this returns, also when it fails or
/// panics.
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
) -> Result<Vec<Finished>, RunError> {
    let life = Arc::new(Life::new(plan.timeout, stop.clone(), talk.clone()));
    let session = Session {
        cluster: cluster.clone(),
        wanted,
        plan,
        life: Arc::clone(&life),
        consumer,
    };
    // A task of its own: neither a panic in it nor an output that nobody reads must keep us from
    // what has to be deleted.
    let mut running = tokio::spawn(session.run(targets));
    let done = tokio::select! {
        done = &mut running => done,
        () = unread(stop) => Ok(Err(RunError::OutputUnread)),
    };
    let made = life.take_made().into_iter();
    join_all(made.map(|made| made.end(talk.clone(), stop.clone()))).await;
    match done {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Waits until the end was asked for twice, and until whoever reads the output has had the time to.
async fn unread(stop: &Stop) {
    stop.hurried().await;
    tokio::time::sleep(UNREAD).await;
}

/// Streams that run, and the number of the next one.
#[derive(Default)]
struct Running {
    streams: JoinSet<Result<Option<Finished>, RunError>>,
    next: usize,
}

impl<C: Consumer> Session<C> {
    async fn run(self, targets: Vec<Target>) -> Result<Vec<Finished>, RunError> {
        let session = Arc::new(self);
        let (stop, talk) = (&session.life.stop, &session.life.talk);
        let mut running = Running::default();
        let mut known = Known::default();
        for target in &targets {
            known.begin(target);
        }
        let begun = session.begin(targets, Found::First, &mut running).await;
        let mut finished = Vec::new();
        // Where others are captured, one that cannot be is no reason to end.
        let mut failed = begun.err();
        let mut look = tokio::time::interval(LOOK);
        while failed.is_none() || !running.streams.is_empty() {
            let following = session.plan.follow && stop.why().is_none();
            tokio::select! {
                Some(done) = running.streams.join_next() => match done {
                    Ok(Ok(None)) => {}
                    Ok(Ok(Some(one))) => {
                        if following && let Some(word) = &one.last_word {
                            talk.say(&format!("{}: {}", one.target.full_name(), word.sentence));
                        }
                        known.ended(&one);
                        finished.push(one);
                    }
                    Ok(Err(error)) => {
                        stop.ask(Why::Failed);
                        failed.get_or_insert(error);
                    }
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                _ = look.tick(), if following => {
                    let (new, again) = session.new_targets(&mut known).await;
                    for (targets, found) in [(new, Found::Later), (again, Found::Again)] {
                        if let Err(error) = session.begin(targets, found, &mut running).await {
                            talk.warn(&error.sentence());
                        }
                    }
                }
                () = stop.asked(), if session.plan.follow && running.streams.is_empty() => break,
                else => break,
            }
        }
        failed.map_or(Ok(finished), Err)
    }

    /// Pods that are meant and were not there before, and those that run again.
    async fn new_targets(&self, known: &mut Known) -> (Vec<Target>, Vec<Target>) {
        let (mut new, mut again) = (Vec::new(), Vec::new());
        let found = target::find(&self.cluster, &self.wanted).await;
        for target in found.map(|found| found.targets).unwrap_or_default() {
            match known.see(&target) {
                Seen::New => new.push(target),
                Seen::Again => {
                    self.life.talk.say(&format!(
                        "{} runs again in a new sandbox: it is captured on",
                        target.full_name()
                    ));
                    again.push(target);
                }
                Seen::Before => {}
            }
        }
        (new, again)
    }

    /// Starts capturing `targets`.
    async fn begin(
        self: &Arc<Self>,
        targets: Vec<Target>,
        found: Found,
        running: &mut Running,
    ) -> Result<(), RunError> {
        if targets.is_empty() {
            return Ok(());
        }
        let (cluster, plan, life) = (&self.cluster, &self.plan, &self.life);
        let own = plan.helper_namespace.as_deref();
        let chosen = mode::choose(cluster, plan.mode, own, &plan.helper, &targets);
        let (way, why) = life.stop.unless_asked(chosen).await??;
        if let Some(why) = why {
            life.talk.say(&why);
        }
        // Each captures the targets it was made for, and no others.
        let start = async |(shared, targets): (_, Vec<Target>)| {
            let making = Making::new(cluster, &plan.helper, &shared, &targets);
            (way.start(making, life).await, targets)
        };
        let started = join_all(groups(way, own, targets).into_iter().map(start)).await;
        let mut failed: Option<RunError> = None;
        let mut begun = 0;
        for (container, targets) in started {
            let container = match container {
                Ok(container) => container,
                Err(error) => {
                    if let Some(first) = failed.replace(error.into()) {
                        life.talk.warn(&first.sentence());
                    }
                    continue;
                }
            };
            for target in targets {
                let number = running.next;
                self.consumer.begin(number, &target)?;
                let container = container.clone();
                let stream = Stream {
                    number,
                    target,
                    way,
                    container,
                    found,
                };
                running.streams.spawn(Arc::clone(self).stream(stream));
                running.next += 1;
                begun += 1;
            }
        }
        match failed {
            Some(error) if begun == 0 => Err(error),
            Some(error) => {
                life.talk.warn(&error.sentence());
                Ok(())
            }
            None => Ok(()),
        }
    }
}
