//! `capture`: packets to a file or a pipe.

use super::local::{Agent, LocalArgs};
use anyhow::{Context as _, bail};
use clap::Args;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

/// Capture on this machine and write the packets as pcapng, for Wireshark or for later
///
/// For example into Wireshark: kubectl meshsniff capture --netns /run/netns/blue -w - | wireshark -k -i -
#[derive(Debug, Args)]
pub(super) struct CaptureArgs {
    /// What to capture.
    #[command(flatten)]
    local: LocalArgs,

    /// File to write to; - is standard output, which must not be a terminal
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
}

/// Captures as asked.
///
/// # Errors
/// If nothing can be captured or written.
pub(super) fn run(args: &CaptureArgs) -> anyhow::Result<Vec<String>> {
    if !args.local.is_asked() {
        bail!("say what to capture: --local, --pid, --container or --netns");
    }
    let mut out = open(&args.write)?;
    let (agent, mut stream) = Agent::start(&args.local)?;
    let copied = io::copy(&mut stream, &mut out).and_then(|_| out.flush());
    drop(stream);
    agent.finish(copied.context("the packets could not be written"))?;
    Ok(Vec::new())
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path != Path::new("-") {
        let file = File::create(path);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        return Ok(Box::new(file));
    }
    if io::stdout().is_terminal() {
        bail!(
            "packets are nothing for a terminal: name a file with -w, or pipe them into a program"
        );
    }
    Ok(Box::new(io::stdout()))
}
