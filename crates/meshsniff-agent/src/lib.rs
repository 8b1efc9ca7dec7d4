//! The program inside the image: it captures in a target's network namespace.
//!
//! ```text
//!  /proc ──► target ──► namespace ──► live ──► capture ──► queue ──► stdout (pcapng)
//!                                       └────► report  ──► queue ──► stdout (JSON lines)
//! ```
//!
//! | here | holds |
//! |---|---|
//! | [`args`] | the command line |
//! | [`target`] | which process stands for a pod or a container |
//! | [`namespace`] | its network namespace: held, watched, entered |
//! | [`interfaces`] | its interfaces, and which of them to capture on |
//! | `sockets` | the ports that listen there |
//! | [`own_stream`] | the ports by which a capture of the node's own network leaves the node |
//! | [`live`] | packets as they come, from libpcap |
//! | `kernel` | what the kernel there knows of its sockets, and counts |
//! | [`rights`] | giving up every right before the first packet is looked at |
//! | `oom` | who is ended first when memory runs short |
//! | [`ending`] | why and when it ends |
//! | [`setup`] | all of that in order |
//! | [`redact`] | leaving out of packets what must not leave the node |
//! | [`queue`] | between the thread that captures and the one that writes |
//! | `compressed` | what it writes, compressed with zstd |
//! | [`capture`], [`report`], [`hold`] | the commands |
//! | [`talk`] | what is said on stderr |

#![cfg(target_os = "linux")]

pub mod args;
pub mod capture;
mod clock;
mod compressed;
pub mod ending;
pub mod hold;
mod ignore_outgoing;
pub mod interfaces;
mod kernel;
pub mod live;
pub mod namespace;
mod oom;
pub mod own_stream;
pub mod queue;
pub mod redact;
pub mod report;
pub mod rights;
pub mod setup;
mod sockets;
pub mod talk;
pub mod target;

use args::{Cli, Command};
use clap::Parser as _;
use meshsniff_contract::stderr::Event;
use std::process::ExitCode;
use talk::Talk;

/// Runs the program as the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to do if nobody can be told.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::from(2), ExitCode::from);
        }
    };
    let talk = Talk::by_terminal();
    // One that was carried was executed without a name. It is for whoever looks at the processes.
    let _ = rustix::thread::set_name(c"meshsniff-agent");
    let done = match &cli.command {
        Command::Capture(args) => capture::run(args, talk),
        Command::Report(args) => report::run(args, talk),
        Command::Hold(args) => hold::run(args, talk),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            talk.say(Event::Error, &format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
