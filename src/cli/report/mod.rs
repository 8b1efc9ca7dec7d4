//! `report`: brings packets from where they come into a report.
//!
//! | here | holds |
//! |---|---|
//! | `args` | what can be typed, checked |
//! | `folder` | the captures below a folder |
//! | `heard` | what agents send of exchanges |
//! | `live` | targets in a cluster |
//! | `making` | a report of captures, written |

mod args;
pub(super) mod folder;
mod heard;
mod live;
mod making;

pub(super) use args::{ReportArgs, is_file};

use crate::cli::analysis::Onlookers;
use crate::cli::done::Done;
use crate::cli::files::exit_on_signal;
use crate::cli::formats::Look;
use crate::cli::held::{Begun, Held};
use crate::cli::local::{Agent, LocalArgs};
use crate::cli::packets::PacketArgs;
use crate::cli::watch::{self, Endable, Watch};
use crate::cluster::talk::{Listener, Talk};
use crate::signals;
use anyhow::bail;
use args::Packets;
use heard::Heard;
use making::{Making, buffered, write};
use meshsniff::capture::Input;
use meshsniff_contract::arguments::{Report, Task};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Reports as asked; returns what could not be read, and the assertions that failed.
///
/// # Errors
/// If the options make no sense, nothing could be read, or the report could not be written.
pub(super) fn run(args: ReportArgs) -> anyhow::Result<Done> {
    let keys = args.keys.clone();
    let (packets, mut making) = args.check()?;
    making.keys = keys.open()?;
    match packets {
        Packets::Targets(live) => live::run(*live, making),
        Packets::ThisMachine(local, packets) => this_machine(&local, &packets, making),
        Packets::Captures(inputs) => captures(inputs, making),
    }
}

/// Lets an agent on this machine analyse. It tells every exchange, and which of them are reported
/// is decided here.
fn this_machine(local: &LocalArgs, packets: &PacketArgs, making: Making) -> anyhow::Result<Done> {
    let task = Task::Report(Report {
        all: true,
        probes: making.look.probes,
        ports: making.ports,
        ..Report::default()
    });
    let (agent, lines) = Agent::start(local, packets, task)?;
    let talk = Talk::new(false);
    let watch = Watch::of(&making.look.watched, agent.stopper())?;
    if watch.as_ref().is_some_and(Watch::has_screen) {
        talk.tell_instead(Some(Listener::new(watch::tell)));
    }
    let reported = report_of(lines, local.name(), making.look, talk.clone());
    talk.end_live();
    drop(watch);
    agent.finish(reported)
}

/// A report of the lines that an agent writes.
fn report_of(lines: impl Read, name: String, look: Look, talk: Talk) -> anyhow::Result<Done> {
    let begun = Begun::default();
    let out = Held::new(io::stdout(), begun.clone());
    let reports = look.start(buffered(out))?;
    let watched = look.watched.clone();
    let heard = Heard::new(begun, reports, 1, None, watched, talk);
    heard.source(0, name, [])?;
    let read = heard.read(0, lines);
    if !heard.begun.get() {
        // Nothing came: the agent says why.
        read?;
        bail!("nothing was captured");
    }
    // What was told until then is not lost.
    heard.finish(read.err().map(|error| format!("{error:#}")))
}

fn captures(mut inputs: Vec<Input>, making: Making) -> anyhow::Result<Done> {
    let mut onlookers = Onlookers::at_stderr();
    let stdin = inputs
        .iter_mut()
        .find(|input| matches!(input, Input::Stdin));
    if let Some(stdin) = stdin {
        // A key or a signal must be able to end what is read, whoever writes it: then the report
        // comes.
        let Endable { reader, end, cut } = watch::endable_stdin()?;
        *stdin = Input::from_reader("-", reader);
        onlookers.cut = Some(Arc::clone(&cut));
        let on_signal = Arc::clone(&end);
        let handler = move || {
            if cut.load(Ordering::Acquire) {
                // Once more: nobody waits for the report.
                exit_on_signal();
            }
            on_signal();
        };
        signals::on_each(handler)?;
        onlookers.watch = Watch::of(&making.look.watched, move || end())?;
    }
    write(inputs, making, onlookers, buffered(io::stdout()))
}
