//! One target's stream: the agent's start, its lines, and its end.

use super::plan::{Consumer, Cut, Finished, Plan, RanOut, RunError, Unconsumed};
use crate::cluster::connect::Cluster;
use crate::cluster::error::Cause;
use crate::cluster::exec::{self, Ended, Exec, Output};
use crate::cluster::rights::missing_for_exec;
use crate::cluster::stop::{EndedEarly, Why};
use crate::cluster::talk::Talk;
use crate::cluster::target::{Target, Wanted};
use crate::cluster::way::Way;
use crate::cluster::way::way_in::{Container, Life, WayError};
use meshsniff::stream::reader::End;
use meshsniff_contract::VERSION;
use meshsniff_contract::ending;
use meshsniff_contract::stderr::{Capture, Event, Line};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How long an exec that fails for a transient reason is tried again.
const TRY: Duration = Duration::from_secs(5);

/// How long the agent may find nothing of a pod that runs again, and how often it looks.
const AGAIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A target that is to be captured.
#[derive(Clone)]
pub(super) struct Stream {
    /// The stream's number, from 0.
    pub(super) number: usize,
    pub(super) target: Target,
    pub(super) way: Way,
    /// Where the agent is run.
    pub(super) container: Container,
    pub(super) found: Found,
}

/// When a target was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// At the beginning.
    First,
    /// Later, while others were captured.
    Later,
    /// Again, in a new sandbox.
    Again,
}

/// The state that all streams of a run share.
pub(super) struct Session<C> {
    pub(super) cluster: Cluster,
    pub(super) wanted: Wanted,
    pub(super) plan: Plan,
    pub(super) life: Arc<Life>,
    pub(super) consumer: Arc<C>,
}

impl<C: Consumer> Session<C> {
    /// Runs a stream from its beginning to its end. A target that came later, and may have gone
    /// before it could be captured, or that cannot be captured again, does not end the run. Returns
    /// `None` of the first, and if the end was asked for before it was.
    pub(super) async fn stream(self: Arc<Self>, of: Stream) -> Result<Option<Finished>, RunError> {
        let error = match self.read(&of).await {
            Ok(finished) => return Ok(Some(finished)),
            Err(error) if of.found == Found::First => return Err(error),
            Err(RunError::EndedEarly(EndedEarly)) => return Ok(None),
            Err(error) => error,
        };
        self.life.talk.warn(&error.sentence());
        if of.found == Found::Later {
            return Ok(None);
        }
        Ok(Some(Finished {
            target: of.target,
            way: of.way,
            last_word: None,
            error: Some(error),
        }))
    }

    async fn read(&self, of: &Stream) -> Result<Finished, RunError> {
        let life = &self.life;
        let (exec, said_already) = life.stop.unless_asked(self.start(of)).await??;
        let stopper = exec.stopper();
        let ended = exec.ended.abort_handle();
        let stop = life.stop.clone();
        let guard = tokio::spawn(async move {
            stop.asked().await;
            stopper.stop().await;
            stop.hurried().await;
            ended.abort();
        });
        let label = self.label(&of.target);
        let heard = Heard {
            name: of.target.full_name(),
            label: label.clone(),
            talk: life.talk.clone(),
            failed: None,
        };
        let listener = tokio::spawn(heard.listen(said_already, exec.lines));
        let consumed = consume(Arc::clone(&self.consumer), of.number, exec.output)?;
        let how = exec.ended.await.unwrap_or(Ended::NoTrailer);
        let consumed = consumed.await;
        guard.abort();
        let said = listener.await.ok().flatten();
        let last_word = match consumed {
            Ok(Ok(last_word)) => last_word,
            Ok(Err(Unconsumed::OutputClosed)) => {
                life.stop.ask(Why::OutputClosed);
                None
            }
            // What the agent says of its end is closer to the cause than what was not understood of
            // its stream.
            Ok(Err(error)) => return Err(said.map_or(error.into(), RunError::Agent)),
            Err(_) => return Err(said.map_or(RunError::Unread, RunError::Agent)),
        };
        if last_word.is_none()
            && let Some(said) = said
        {
            return Err(RunError::Agent(format!("{label}{said}")));
        }
        let is_cut = last_word.is_none() && life.stop.why() != Some(Why::OutputClosed);
        let target = of.target.full_name();
        let signalled = last_word
            .as_ref()
            .is_some_and(|end| end.reason == ending::SIGNAL);
        let silent = life
            .lease
            .ran_out()
            .filter(|_| signalled && life.stop.why().is_none());
        let error = match silent {
            _ if is_cut => Some(Cut { target, how }.into()),
            Some(silent) => {
                let seconds = silent.as_secs();
                Some(RanOut { target, seconds }.into())
            }
            None => None,
        };
        Ok(Finished {
            target: of.target.clone(),
            way: of.way,
            last_word,
            error,
        })
    }

    /// The prefix of sentences about this target: its name, where there are several.
    fn label(&self, target: &Target) -> String {
        if self.wanted.is_one() {
            String::new()
        } else {
            format!("{}: ", target.full_name())
        }
    }

    /// Starts the agent; returns its lines so far, too.
    async fn start(&self, of: &Stream) -> Result<(Exec, Vec<String>), RunError> {
        let deadline = Instant::now() + AGAIN;
        loop {
            let mut exec = self.exec(of).await?;
            if of.found != Found::Again {
                return Ok((exec, Vec::new()));
            }
            let (ready, said) = first_lines(&mut exec.lines).await;
            if ready || Instant::now() >= deadline {
                return Ok((exec, said));
            }
            // The new sandbox's processes are not there yet.
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn exec(&self, of: &Stream) -> Result<Exec, RunError> {
        let mut request = self.plan.request.clone();
        of.way.set_target(&of.target, &mut request);
        let Container {
            namespace,
            pod,
            name,
            command,
        } = &of.container;
        let command = [command.clone(), request.arguments()].concat();
        let client = &self.cluster.client;
        let deadline = Instant::now() + TRY;
        loop {
            let error = match exec::start(client, namespace, pod, name, &command).await {
                Ok(exec) => return Ok(exec),
                Err(error) => error,
            };
            if error.cause().is_transient() && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(300)).await;
                continue;
            }
            if error.cause() == Cause::MissingRight
                && let Some(missing) = missing_for_exec(&self.cluster, namespace).await
            {
                return Err(WayError::from(missing).into());
            }
            return Err(WayError::from(error).into());
        }
    }
}

/// Lets `consumer` read a stream's output on a thread of its own, which holds the consumer no
/// longer once it has answered, nor once it has panicked.
fn consume<C: Consumer>(
    consumer: Arc<C>,
    number: usize,
    output: Output,
) -> io::Result<oneshot::Receiver<Result<Option<End>, Unconsumed>>> {
    let (answer, answered) = oneshot::channel();
    std::thread::Builder::new()
        .name(format!("stream {number}"))
        .spawn(move || {
            // Dropped in the reverse order, also by a panic.
            let (answer, consumer) = (answer, consumer);
            let consumed = consumer.consume(number, output);
            drop(consumer);
            // Whoever waits for it may have gone.
            let _ = answer.send(consumed);
        })?;
    Ok(answered)
}

/// Reads the agent's lines until it is ready, and whether it ever is.
async fn first_lines(lines: &mut mpsc::Receiver<String>) -> (bool, Vec<String>) {
    let mut said = Vec::new();
    while let Some(line) = lines.recv().await {
        let ready = matches!(Line::read(&line).event, Event::Ready { .. });
        said.push(line);
        if ready {
            return (true, said);
        }
    }
    (false, said)
}

/// Reads an agent's lines.
struct Heard {
    /// The target's name.
    name: String,
    /// The prefix of its sentences.
    label: String,
    talk: Talk,
    /// The agent's error.
    failed: Option<String>,
}

impl Heard {
    /// Passes on the lines; returns the agent's error, if it has one.
    async fn listen(
        mut self,
        said: Vec<String>,
        mut lines: mpsc::Receiver<String>,
    ) -> Option<String> {
        for line in said {
            self.hear(&line);
        }
        while let Some(line) = lines.recv().await {
            self.hear(&line);
        }
        self.failed
    }

    fn hear(&mut self, line: &str) {
        let Self {
            name, label, talk, ..
        } = self;
        let Line { message, event } = Line::read(line);
        match event {
            Event::Ready { capture } => {
                let (version, interfaces, why) = match capture {
                    Some(Capture {
                        version,
                        interfaces,
                        why,
                        ..
                    }) => (version, interfaces.join(", "), why),
                    None => ("unknown".to_owned(), String::new(), String::new()),
                };
                let why = match why.as_str() {
                    "" => String::new(),
                    why => format!(" ({why})"),
                };
                // The streams are the same within a version.
                if version != VERSION {
                    talk.warn(&format!(
                        "the agent in the image is version {version}, this is {VERSION}: if \
                         something is not understood, use the image of this version"
                    ));
                }
                talk.say(&format!(
                    "capturing on {interfaces} of {name}{why}; Ctrl-C ends it"
                ));
            }
            Event::Warning | Event::Drops { .. } => talk.warn(&format!("{label}{message}")),
            Event::End { .. } | Event::Note { .. } => talk.say(&format!("{label}{message}")),
            Event::Error | Event::Unknown => self.failed = Some(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A consumer that takes its time to go.
    struct Slow {
        panics: bool,
        gone: Arc<AtomicBool>,
    }

    impl Consumer for Slow {
        fn begin(&self, _: usize, _: &Target) -> Result<(), Unconsumed> {
            Ok(())
        }

        fn consume(&self, _: usize, _: Output) -> Result<Option<End>, Unconsumed> {
            assert!(!self.panics, "as asked");
            Ok(None)
        }
    }

    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(50));
            self.gone.store(true, Ordering::SeqCst);
        }
    }

    /// Whoever has the answer may take the consumer apart.
    #[tokio::test]
    async fn nobody_holds_the_consumer_once_it_has_answered() {
        for panics in [false, true] {
            let gone = Arc::new(AtomicBool::new(false));
            let consumer = Slow {
                panics,
                gone: Arc::clone(&gone),
            };
            let answered = consume(Arc::new(consumer), 0, Output::default()).unwrap();
            assert_eq!(answered.await.is_err(), panics);
            assert!(gone.load(Ordering::SeqCst), "panics: {panics}");
        }
    }
}
