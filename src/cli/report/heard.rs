//! What agents send of exchanges, line by line, into reports.

use crate::cli::done::Done;
use crate::cli::formats::Reports;
use crate::cli::held::Begun;
use crate::cli::names::Named;
use crate::cli::watch::{self, Shared};
use crate::cluster::stop::{Stop, Why};
use crate::cluster::talk::Talk;
use anyhow::Context as _;
use meshsniff::event::{Report as _, ReportEvent};
use meshsniff::relay::{Gathered, MAX_LINE, Progress, Received, Receiver};
use meshsniff::stream::reader::End;
use std::io::{BufRead as _, BufReader, Read};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// State of what the agents have sent.
pub(super) struct Heard {
    /// Whether any agent has sent anything.
    pub(super) begun: Begun,
    state: Mutex<State>,
    /// Number of exchanges that did not go well after which the run ends, and who is told.
    until: Option<(u64, Stop)>,
    /// The live view, if there is one.
    watched: Option<Shared>,
    talk: Talk,
}

struct State {
    reports: Reports<'static>,
    gathered: Gathered,
    /// By the number of the stream.
    progress: Vec<Progress>,
}

impl State {
    /// Tells the name of an address. A report that cannot be written fails at its next line, too.
    fn name(&mut self, address: IpAddr, name: &str) {
        let _ = self.reports.report.tell(ReportEvent::Name(address, name));
    }
}

impl Heard {
    /// Nothing yet, of up to `room` agents.
    pub(super) fn new(
        begun: Begun,
        reports: Reports<'static>,
        room: usize,
        until: Option<(u64, Stop)>,
        watched: Option<Shared>,
        talk: Talk,
    ) -> Self {
        Self {
            begun,
            state: Mutex::new(State {
                reports,
                gathered: Gathered::with_room(Vec::new(), room),
                progress: Vec::new(),
            }),
            until,
            watched,
            talk,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A source begins, with the names of its addresses.
    pub(super) fn source(
        &self,
        number: usize,
        name: String,
        names: impl IntoIterator<Item = (IpAddr, String)>,
    ) -> anyhow::Result<()> {
        let state = &mut *self.state();
        for (address, name) in names {
            state.name(address, &name);
        }
        let added = state.gathered.add(name);
        let same = added.is_some_and(|added| usize::from(added) == number);
        let same = same.then_some(());
        same.context("more targets came than one report can hold: start another one")
    }

    /// Tells names of addresses, the best one of each.
    pub(super) fn name(&self, names: Named) {
        let state = &mut *self.state();
        for (address, names) in names {
            if let Some(name) = names.first() {
                state.name(address, name);
            }
        }
    }

    /// Writes the report; returns all that it lacks, `errors` included.
    pub(super) fn finish(self, errors: impl IntoIterator<Item = String>) -> anyhow::Result<Done> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let State {
            mut reports,
            mut gathered,
            ..
        } = state;
        for error in errors {
            gathered.error(error);
        }
        let capture = gathered
            .finish(&mut reports.report)
            .context("the report could not be written")?;
        Ok(Done {
            errors: capture.errors,
            failures: reports.done()?,
        })
    }

    /// Shows the progress, and ends the run if it has seen enough.
    fn progressed(&self, number: usize, progress: Progress) {
        let mut sum = Progress::default();
        {
            let mut state = self.state();
            if state.progress.len() <= number {
                state.progress.resize(number + 1, Progress::default());
            }
            state.progress[number] = progress;
            for one in &state.progress {
                sum.exchanges = sum.exchanges.saturating_add(one.exchanges);
                sum.not_ok = sum.not_ok.saturating_add(one.not_ok);
                sum.frames = sum.frames.saturating_add(one.frames);
                sum.dropped = sum.dropped.saturating_add(one.dropped);
            }
        }
        if let Some(shared) = &self.watched {
            watch::lock(shared).dropped = sum.dropped;
        }
        let mut line = format!(
            "{} exchanges, {} of them not ok, {} packets",
            sum.exchanges, sum.not_ok, sum.frames
        );
        if sum.dropped > 0 {
            line = format!("{line}, {} lost", sum.dropped);
        }
        self.talk
            .live(&format!("{line}; Ctrl-C ends it and reports"));
        if let Some((enough, stop)) = &self.until
            && sum.not_ok >= *enough
        {
            stop.ask(Why::Enough);
        }
    }

    /// Reads the lines of a source to their end; returns why they ended, as they say it.
    pub(super) fn read(&self, number: usize, output: impl Read) -> anyhow::Result<Option<End>> {
        let mut receiver = Receiver::new(u16::try_from(number)?);
        let mut lines = BufReader::with_capacity(64 << 10, output);
        let mut line = Vec::new();
        let mut end = None;
        let read = loop {
            line.clear();
            // One byte more than a line may have: then it is too long, and not another one.
            let most = MAX_LINE as u64 + 2;
            match (&mut lines).take(most).read_until(b'\n', &mut line) {
                Ok(0) => break Ok(()),
                Ok(_) if !line.ends_with(b"\n") && line.len() <= MAX_LINE => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(anyhow::Error::from(error)),
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let received = {
                let state = &mut *self.state();
                receiver.line(line, &mut state.gathered, &mut state.reports.report)
            };
            if received.is_ok() {
                self.begun.set();
            }
            match received {
                Ok(Received::Item) => {}
                Ok(Received::Progress(progress)) => self.progressed(number, progress),
                Ok(Received::Recent(routes)) => {
                    if let Some(shared) = &self.watched {
                        watch::lock(shared).counted(&routes);
                    }
                }
                Ok(Received::End(told)) => {
                    end = Some(End {
                        reason: told.reason,
                        sentence: told.sentence,
                    });
                }
                Err(error) => break Err(error.into()),
            }
        };
        // Of one that said nothing the session knows more.
        if receiver.has_begun() {
            receiver.close(&mut self.state().gathered);
        }
        read.map(|()| end)
    }
}
