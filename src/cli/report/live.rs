//! `report` of targets in a cluster: analysed beside them, reported here.
//!
//! The agents send exchanges, not packets, and good ones only as counts. With -w the packets come
//! here, and are analysed here.

use super::args::Live;
use super::heard::Heard;
use super::making::{Making, buffered, write};
use crate::cli::analysis::Onlookers;
use crate::cli::done::Done;
use crate::cli::dry_run::{self, Written};
use crate::cli::files::open;
use crate::cli::held::{Begun, Held};
use crate::cli::names::{self, Unnamed};
use crate::cli::sink::Sink;
use crate::cli::watch::{self, Shared, Watch};
use crate::cluster::connect::{Cluster, ConnectError, block_on};
use crate::cluster::exec::Output;
use crate::cluster::session::{self, Consumer, RunError, Unconsumed};
use crate::cluster::stop::Stop;
use crate::cluster::talk::{Listener, Talk};
use crate::cluster::target::{self, Target, TargetError, Wanted};
use anyhow::{Context as _, anyhow};
use meshsniff::capture::Input;
use meshsniff::condition::Filter;
use meshsniff::stream::reader::End;
use meshsniff_contract::arguments::{Report, Request, Task};
use std::io::{self, Write};
use std::sync::Arc;

/// Most targets of a run that follows them.
const ROOM: usize = 4096;

/// Reports as asked; returns what is missing, one sentence each.
///
/// # Errors
/// If nothing could be captured, or the report could not be written.
pub(super) fn run(live: Live, making: Making) -> anyhow::Result<Done> {
    let wanted = live.cluster.target.wanted(&live.names)?;
    // All that can fail here fails before anything is created there.
    live.packets.check()?;
    if let Some(how) = live.dry_run {
        return dry_run::run(how, Written::Yaml, &live.cluster, &wanted).map(Done::from);
    }
    // What is called like a file was taken for one: a bare name may have been meant for one all the
    // same.
    let bare = live.names.iter().find(|name| !name.contains('/')).cloned();
    let reported = block_on(report(live, making, wanted))?;
    reported.map_err(|error| match bare {
        // The cluster or the target cannot be found.
        Some(name) if error.is::<ConnectError>() || error.is::<TargetError>() => {
            anyhow!("{error:#}; nor is there a file {name}")
        }
        _ => error,
    })
}

async fn report(live: Live, making: Making, wanted: Wanted) -> anyhow::Result<Done> {
    let talk = Talk::new(live.cluster.helper.quiet);
    let stop = Stop::default();
    // Before anything is created that a signal would leave behind.
    stop.listen_to_signals()?;
    let cluster = Cluster::connect(&live.cluster.connect).await?;
    let judged = !making.look.rules.assertions.is_empty();
    let Ok(found) = stop.unless_asked(target::find(&cluster, &wanted)).await else {
        return Ok(nothing(judged));
    };
    let found = found?;
    for why in &found.passed_over {
        talk.warn(&why.to_string());
    }
    let run = Run {
        live,
        wanted,
        targets: found.targets,
        cluster,
        talk,
        stop,
    };
    if run.live.write.is_some() {
        run.with_packets(making).await
    } else {
        run.of_exchanges(making).await
    }
}

/// Outcome of a run that ended before anything was captured: no error, but no success of any
/// assertion either.
fn nothing(judged: bool) -> Done {
    let sentence =
        "it ended before anything was captured: there is nothing to hold against the assertions";
    let errors = judged.then(|| sentence.to_owned());
    Done::from(Vec::from_iter(errors))
}

struct Run {
    live: Live,
    wanted: Wanted,
    targets: Vec<Target>,
    cluster: Cluster,
    talk: Talk,
    stop: Stop,
}

impl Run {
    /// Lets the agents analyse.
    async fn of_exchanges(self, making: Making) -> anyhow::Result<Done> {
        let judged = !making.look.rules.assertions.is_empty();
        let mut look = making.look.clone();
        // The agents select: they know what was left out of what is told here.
        look.filter = Filter::default();
        look.rules.filter = Filter::default();
        let assertions = look.rules.assertions.iter();
        let report = Report {
            all: look.needs_all(),
            probes: look.probes,
            slowest: u16::try_from(look.slowest).unwrap_or(u16::MAX),
            ports: making.ports.clone(),
            filters: self.live.terms.clone(),
            assertions: assertions.map(|one| one.as_str().to_owned()).collect(),
            watched: look.watched.is_some(),
            redact: self.live.redact.clone(),
        };
        let request = self.request(Task::Report(report));
        let follow = self.live.cluster.target.follow;
        let room = if follow { ROOM } else { self.targets.len() };
        let begun = Begun::default();
        let out = Held::new(io::stdout(), begun.clone());
        let unnamed = Unnamed::default();
        let mut reports = look.start(buffered(out))?;
        reports.add(Box::new(unnamed.clone()));
        let until = self
            .live
            .until_findings
            .map(|enough| (enough, self.stop.clone()));
        let heard = Arc::new(Heard::new(
            begun,
            reports,
            room,
            until,
            look.watched.clone(),
            self.talk.clone(),
        ));
        let watch = self.watch(look.watched.as_ref())?;
        let looked_up = names::look_up(self.cluster.clone(), self.targets.clone());
        let named = Arc::clone(&heard);
        let naming = tokio::spawn(async move { named.name(looked_up.await) });
        let plan = self.live.cluster.helper.plan(request, follow);
        let done = session::run(
            &self.cluster,
            (self.wanted, self.targets),
            plan,
            Arc::clone(&heard),
            &self.talk,
            &self.stop,
        )
        .await;
        self.talk.end_live();
        self.talk.tell_instead(None);
        drop(watch);
        naming.abort();
        if let Err(error @ RunError::OutputUnread) = done {
            return Err(error.into());
        }
        let _ = naming.await;
        heard.name(unnamed.look_up(&self.cluster).await);
        let Some(heard) = Arc::into_inner(heard) else {
            return Err(anyhow!("a stream is still being read"));
        };
        match done {
            Ok(finished) => {
                // A report that was cut before its first line is one, too.
                heard.begun.set();
                let errors = finished.into_iter().filter_map(|one| one.error);
                heard.finish(errors.map(|error| error.sentence()))
            }
            Err(RunError::EndedEarly(_)) => Ok(nothing(judged)),
            // What was told until then is not lost.
            Err(error) if heard.begun.get() => heard.finish([error.sentence()]),
            Err(error) => Err(error.into()),
        }
    }

    fn request(&self, task: Task) -> Request {
        Request {
            task,
            packets: self.live.packets.packets(),
            ..Request::default()
        }
    }

    /// Starts the live view, if it was asked for.
    fn watch(&self, watched: Option<&Shared>) -> anyhow::Result<Option<Watch>> {
        let Some(shared) = watched else {
            return Ok(None);
        };
        let names: Vec<String> = self.targets.iter().map(Target::full_name).collect();
        {
            let mut title = String::new();
            meshsniff::escape::push_shown(&mut title, &names.join(", "));
            watch::lock(shared).title = title;
        }
        let stop = self.stop.clone();
        let watch = Watch::start(Arc::clone(shared), move || stop.signal("q"))?;
        if watch.has_screen() {
            self.talk.tell_instead(Some(Listener::new(watch::tell)));
        }
        Ok(Some(watch))
    }

    /// Brings the packets here, to a file and to the analyser.
    async fn with_packets(self, mut making: Making) -> anyhow::Result<Done> {
        let Some(path) = &self.live.write else {
            return Ok(Done::default());
        };
        let judged = !making.look.rules.assertions.is_empty();
        let names: Vec<String> = self.targets.iter().map(Target::full_name).collect();
        let (reader, writer) = io::pipe().context("no pipe can be had")?;
        let begun = Begun::default();
        let out = Both(open(path, &begun)?, Some(writer));
        // What the report says of frames is put on them once they are all there.
        making.annotated = path.is_file().then(|| (path.clone(), path.clone()));
        let follow = self.live.cluster.target.follow;
        let several = names.len() > 1 || follow;
        let sink = Sink::one(Box::new(out), &names, several, begun.clone())?;
        let sink = Arc::new(sink);
        let named = Arc::clone(&sink);
        let looked_up = names::look_up(self.cluster.clone(), self.targets.clone());
        tokio::spawn(async move {
            let names = looked_up.await;
            // Whoever writes may wait for whoever reads.
            tokio::task::spawn_blocking(move || named.names(names)).await
        });
        let input = Input::Live {
            name: names.join(", "),
            reader: Box::new(reader),
        };
        let enough = self.live.until_findings;
        making.until = enough.map(|enough| (enough, self.stop.clone()));
        let unnamed = Unnamed::default();
        making.also.push(Box::new(unnamed.clone()));
        let watch = self.watch(making.look.watched.as_ref())?;
        let report = buffered(Held::new(io::stdout(), begun.clone()));
        let analysis = tokio::task::spawn_blocking(move || {
            write(vec![input], making, Onlookers::default(), report)
        });
        let request = self.request(Task::default());
        let plan = self.live.cluster.helper.plan(request, follow);
        let done = session::run(
            &self.cluster,
            (self.wanted, self.targets),
            plan,
            Arc::clone(&sink),
            &self.talk,
            &self.stop,
        )
        .await;
        self.talk.end_live();
        self.talk.tell_instead(None);
        drop(watch);
        if let Err(error @ RunError::OutputUnread) = done {
            return Err(error.into());
        }
        sink.names(unnamed.look_up(&self.cluster).await);
        let ended = match done {
            Ok(finished) => sink.finish(&finished),
            Err(RunError::EndedEarly(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        };
        // The analyser comes to its end once nobody writes to it any more.
        sink.close();
        let analysed = analysis.await.context("the analysis failed")?;
        let mut errors = ended?;
        let analysed = analysed?;
        if !begun.get() {
            // What is wrong with a capture of nothing is no news.
            if errors.is_empty() {
                return Ok(nothing(judged));
            }
            return Ok(errors.into());
        }
        for error in analysed.errors {
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
        Ok(Done {
            errors,
            failures: analysed.failures,
        })
    }
}

/// Writer to two others; errors of the second one end only that.
struct Both<A, B>(A, Option<B>);

impl<A: Write, B: Write> Write for Both<A, B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        if let Some(second) = &mut self.1
            && second.write_all(bytes).is_err()
        {
            self.1 = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Consumer for Heard {
    fn begin(&self, number: usize, target: &Target) -> Result<(), Unconsumed> {
        let begun = self.source(number, target.full_name(), names::of_target(target));
        Ok(begun?)
    }

    fn consume(&self, number: usize, output: Output) -> Result<Option<End>, Unconsumed> {
        Ok(self.read(number, output)?)
    }
}
