//! `report`: brings packets from where they come into a report.
//!
//! | here | holds |
//! |---|---|
//! | `args` | what can be typed, checked |
//! | `folder` | the captures below a folder |
//! | `live` | targets in a cluster |
//! | `making` | a report of captures, written |

mod args;
pub(super) mod folder;
mod live;
mod making;

pub(super) use args::{ReportArgs, is_file};

use crate::cli::analysis::Onlookers;
use crate::cli::done::Done;
use crate::cli::files::exit_on_signal;
use crate::cli::local::Agent;
use crate::cli::watch::{self, Endable, Watch};
use crate::signals;
use args::Packets;
use making::{Making, buffered, write};
use meshsniff::capture::Input;
use meshsniff_contract::arguments::Capture;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Reports as asked; returns what could not be read, and the assertions that failed.
///
/// # Errors
/// If the options make no sense, nothing could be read, or the report could not be written.
pub(super) fn run(args: ReportArgs) -> anyhow::Result<Done> {
    let (packets, making) = args.check()?;
    match packets {
        Packets::Targets(live) => live::run(*live, making),
        Packets::ThisMachine(local, packets) => {
            let (agent, stream) = Agent::start(&local, &packets, Capture::default())?;
            let onlookers = Onlookers {
                watch: Watch::of(&making.look.watched, agent.stopper())?,
                ..Onlookers::default()
            };
            let input = Input::Live {
                name: local.name(),
                reader: Box::new(stream),
            };
            agent.finish(write(
                vec![input],
                making,
                onlookers,
                buffered(io::stdout()),
            ))
        }
        Packets::Captures(inputs) => captures(inputs, making),
    }
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
