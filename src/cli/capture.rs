//! The command without a name, also called `capture`: packets to Wireshark, a file, a pipe or a
//! folder of files.

use super::cluster::ClusterArgs;
use super::dry_run::{self, DryRunArgs, Written};
use super::files::{open, refuse_terminal};
use super::held::Begun;
use super::local::{Agent, LocalArgs};
use super::names;
use super::packets::PacketArgs;
use super::sink::Sink;
use super::wireshark;
use crate::cluster::connect::{Cluster, block_on};
use crate::cluster::session::{self, RunError};
use crate::cluster::stop::{Stop, Why};
use crate::cluster::talk::Talk;
use crate::cluster::target::{self, Target, Wanted};
use anyhow::{Context as _, bail};
use clap::Args;
use meshsniff_contract::arguments::{Capture, Request, Task};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

/// Capture a target's packets: into Wireshark, or with -w to a file, a pipe or a folder
///
/// TARGET is a pod, or deploy/NAME, sts/NAME, ds/NAME, rs/NAME, job/NAME or svc/NAME: then all of
/// its pods are captured. node/NAME is the network of a node, with everybody's traffic.
///
/// Without a TARGET, --local, --pid, --netns or --container captures on this machine, through
/// meshsniff-agent, as root.
#[derive(Debug, Args)]
pub(super) struct CaptureArgs {
    /// Pods or TYPE/NAME to capture; several are several interfaces of one capture
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// Write to this file, not to Wireshark; - is standard output, FOLDER/ gets a file for each
    /// target
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// Which packets.
    #[command(flatten)]
    packets: PacketArgs,

    /// Which parts of them.
    #[command(flatten)]
    keep: KeepArgs,

    /// Which targets, in which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,

    /// Whether only to print what would be made there.
    #[command(flatten)]
    dry_run: DryRunArgs,

    /// Format of what --dry-run prints
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        requires = "dry_run",
        help_heading = "The helper"
    )]
    output: Option<Written>,

    /// A capture on this machine instead.
    #[command(flatten)]
    local: LocalArgs,
}

impl CaptureArgs {
    /// The targets as they were typed.
    pub(super) fn targets(&self) -> &[String] {
        &self.targets
    }
}

/// Parts of the packets that leave the node.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The packets")]
pub(super) struct KeepArgs {
    /// Keep the heads of HTTP messages, and of other protocols how a connection got on: no bodies
    #[arg(long)]
    headers_only: bool,

    /// Mask the values of these header fields on the node, such as authorization,cookie
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    redact: Vec<String>,

    /// Compress the stream with zstd on the node, for a slow way between the cluster and here
    #[arg(long)]
    compress: bool,
}

impl KeepArgs {
    /// The same for the agent.
    fn capture(&self) -> Capture {
        Capture {
            headers_only: self.headers_only,
            redact: self.redact.clone(),
            compress: self.compress,
        }
    }
}

/// Captures as asked; returns what is missing, one sentence each.
///
/// # Errors
/// If nothing can be captured or written.
pub(super) fn run(mut args: CaptureArgs) -> anyhow::Result<Vec<String>> {
    let named = !args.targets.is_empty() || args.cluster.target.selector.is_some();
    if !named {
        args.local.container = args.cluster.target.container.take();
    }
    if args.local.is_asked() {
        if named {
            bail!(
                "a target in a cluster and a capture on this machine are two things: name the one \
                 or the other"
            );
        }
        if args.dry_run.dry_run.is_some() {
            bail!("--dry-run is for targets in a cluster: name one");
        }
        return local(&args);
    }
    if !named {
        bail!(
            "say what to capture: a pod, TYPE/NAME or -l LABELS; on this machine --local, --pid, \
             --container or --netns"
        );
    }
    let wanted = args.cluster.target.wanted(&args.targets)?;
    // All that can fail here fails before anything is created there.
    args.packets.check()?;
    if let Some(how) = args.dry_run.dry_run {
        return dry_run::run(how, args.output.unwrap_or_default(), &args.cluster, &wanted);
    }
    let destination = Destination::of(args.write.as_deref())?;
    block_on(cluster(args, wanted, destination))?
}

fn local(args: &CaptureArgs) -> anyhow::Result<Vec<String>> {
    let Some(path) = &args.write else {
        bail!(
            "name a file with -w, or pipe the packets: kubectl meshsniff capture --local -w - | \
             wireshark -k -i -"
        );
    };
    let begun = Begun::default();
    let mut out = open(path, &begun)?;
    let (agent, mut stream) = Agent::start(
        &args.local,
        &args.packets,
        Task::Capture(args.keep.capture()),
    )?;
    // From its first byte on it is a capture.
    begun.set();
    let copied = io::copy(&mut stream, &mut out).and_then(|_| out.flush());
    drop(stream);
    agent.finish(copied.context("the packets could not be written"))?;
    Ok(Vec::new())
}

/// Destination of packets.
#[derive(Debug)]
enum Destination {
    /// This Wireshark.
    Wireshark(PathBuf),
    /// Standard output or a file.
    One(PathBuf),
    /// A file for each target, in this folder.
    Folder(PathBuf),
}

impl Destination {
    fn of(write: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = write else {
            return Ok(Self::Wireshark(wireshark::find()?));
        };
        let text = path.to_string_lossy();
        if text.ends_with(['/', std::path::MAIN_SEPARATOR]) || path.is_dir() {
            std::fs::create_dir_all(path)
                .with_context(|| format!("the folder {} cannot be made", path.display()))?;
            return Ok(Self::Folder(path.to_owned()));
        }
        if path == Path::new("-") {
            refuse_terminal()?;
        } else if let Some(folder) = path.parent()
            && folder != Path::new("")
            && !folder.is_dir()
        {
            bail!("there is no folder {}: make it first", folder.display());
        }
        Ok(Self::One(path.to_owned()))
    }
}

async fn cluster(
    args: CaptureArgs,
    wanted: Wanted,
    destination: Destination,
) -> anyhow::Result<Vec<String>> {
    let talk = Talk::new(args.cluster.helper.quiet);
    let stop = Stop::default();
    // Before anything is created that a signal would leave behind.
    stop.listen_to_signals()?;
    let cluster = Cluster::connect(&args.cluster.connect).await?;
    let Ok(found) = stop.unless_asked(target::find(&cluster, &wanted)).await else {
        return Ok(Vec::new());
    };
    let found = found?;
    for why in &found.passed_over {
        talk.warn(&why.to_string());
    }
    let names: Vec<String> = found.targets.iter().map(Target::full_name).collect();
    let several = names.len() > 1 || args.cluster.target.follow;
    let begun = Begun::default();
    let (became, window) = mpsc::channel();
    let sink = match &destination {
        Destination::Folder(folder) => Sink::folder(folder),
        Destination::One(path) => Sink::one(open(path, &begun)?, &names, several, begun)?,
        Destination::Wireshark(program) => {
            let (window, pipe) = wireshark::start(program, &title(&names))?;
            let (closed, became) = (stop.clone(), became.clone());
            std::thread::spawn(move || {
                let _ = became.send(window.closed());
                // Whatever became of it: nobody looks at packets any more.
                closed.ask(Why::OutputClosed);
            });
            Sink::one(Box::new(pipe), &names, several, begun)?
        }
    };
    let sink = Arc::new(sink);
    let named = Arc::clone(&sink);
    let looked_up = names::look_up(cluster.clone(), found.targets.clone());
    tokio::spawn(async move {
        let names = looked_up.await;
        // Whoever writes may wait for whoever reads.
        tokio::task::spawn_blocking(move || named.names(names)).await
    });
    let request = Request {
        task: Task::Capture(args.keep.capture()),
        packets: args.packets.packets(),
        ..Request::default()
    };
    let plan = args
        .cluster
        .helper
        .plan(request, args.cluster.target.follow);
    let done = session::run(
        &cluster,
        (wanted, found.targets),
        plan,
        Arc::clone(&sink),
        &talk,
        &stop,
    )
    .await;
    talk.end_live();
    let shown = window.try_recv().unwrap_or(Ok(()));
    let finished = match done {
        Ok(finished) => finished,
        Err(RunError::EndedEarly(_)) => return shown.map(|()| Vec::new()),
        Err(error) => return Err(error.into()),
    };
    shown?;
    sink.finish(&finished)
}

fn title(names: &[String]) -> String {
    match names {
        [] => "meshsniff".to_owned(),
        [name] => name.clone(),
        [name, rest @ ..] => format!("{name} and {} more", rest.len()),
    }
}
