//! Capturing on this machine, without a cluster: the same agent as in a pod, as a child process.
//!
//! The plugin itself has no libpcap and no rights. It starts the agent, keeps it alive with a line
//! every few seconds, passes on what it says, and asks it to stop: on Ctrl-C the capture ends, and
//! what was captured is still reported.

use super::packets::PacketArgs;
use crate::signals;
use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use meshsniff_contract::arguments::{self, Request, Target, Task, option};
use meshsniff_contract::stderr::{Event, Line};
use meshsniff_contract::times::HEARTBEAT_EVERY;
use meshsniff_contract::{AGENT, stdin};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Environment variable that names the agent, if it is not beside this program or on the PATH.
const PROGRAM: &str = "MESHSNIFF_AGENT";

/// Options of a capture on this machine.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Capturing on this machine")]
pub(super) struct LocalArgs {
    /// Capture in this machine's own network namespace
    #[arg(long)]
    pub(super) local: bool,

    /// Capture in the network namespace of this process
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<i32>,

    /// Capture in the network namespace at this path, such as /run/netns/NAME
    #[arg(long, value_name = "PATH", conflicts_with = "pid")]
    pub(super) netns: Option<PathBuf>,

    /// Container of this machine whose network namespace is meant: `--container` without a target.
    #[arg(skip)]
    pub(super) container: Option<String>,
}

impl LocalArgs {
    /// Whether a capture on this machine was asked for.
    pub(super) const fn is_asked(&self) -> bool {
        self.local || self.pid.is_some() || self.container.is_some() || self.netns.is_some()
    }

    /// Name of what is captured, for messages and reports.
    pub(super) fn name(&self) -> String {
        match (&self.pid, &self.container, &self.netns) {
            (Some(pid), ..) => format!("process {pid}"),
            (_, Some(id), _) => format!("container {id}"),
            (.., Some(path)) => path.display().to_string(),
            _ => "this machine".to_owned(),
        }
    }

    fn to_command(&self, packets: &PacketArgs, task: Task, program: &Path) -> Command {
        let request = Request {
            task,
            packets: packets.packets(),
            target: Target {
                pid: self.pid,
                container_id: self.container.clone(),
                ..Target::default()
            },
            guest: false,
        };
        let mut command = Command::new(program);
        command.args(request.arguments());
        // A path need not be text.
        if let Some(path) = &self.netns {
            command.arg(arguments::dashed(option::NETNS)).arg(path);
        }
        command
    }
}

/// A running agent.
pub(super) struct Agent {
    child: Child,
    stdin: Arc<Mutex<ChildStdin>>,
    /// Ends the thread of the heartbeats when dropped.
    alive: Sender<()>,
    said: JoinHandle<Option<String>>,
}

impl Agent {
    /// Starts the agent; returns it and its stream: pcapng, or lines of a report.
    ///
    /// # Errors
    /// If there is no agent.
    pub(super) fn start(
        args: &LocalArgs,
        packets: &PacketArgs,
        task: Task,
    ) -> anyhow::Result<(Self, ChildStdout)> {
        let program = program()?;
        let mut command = args.to_command(packets, task, &program);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = command.spawn();
        let mut child = started.with_context(|| {
            format!(
                "{} cannot be started: name another agent in {PROGRAM}",
                program.display()
            )
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            bail!("the agent has no pipes");
        };
        let to_keep = Arc::new(Mutex::new(stdin));
        let (on_signal, to_stop) = (Arc::clone(&to_keep), Arc::clone(&to_keep));
        signals::on_each(move || tell(&on_signal, stdin::STOP))?;
        let (alive, ended) = channel();
        thread::spawn(move || {
            while ended.recv_timeout(HEARTBEAT_EVERY) == Err(RecvTimeoutError::Timeout) {
                tell(&to_keep, stdin::ALIVE);
            }
        });
        let said = thread::spawn(move || listen(stderr));
        let agent = Self {
            child,
            stdin: to_stop,
            alive,
            said,
        };
        Ok((agent, stdout))
    }

    /// Returns a function that asks the agent to stop.
    pub(super) fn stopper(&self) -> impl Fn() + Send + 'static {
        let to_stop = Arc::clone(&self.stdin);
        move || tell(&to_stop, stdin::STOP)
    }

    /// Waits for the end of the agent.
    ///
    /// # Errors
    /// If the agent failed, in its own words; else the error in `result`.
    pub(super) fn finish<T>(mut self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        // Nobody reads its stream any more: it ends by itself, if it has not.
        drop(self.alive);
        drop(self.stdin);
        let status = self
            .child
            .wait()
            .context("the agent cannot be waited for")?;
        let error = self.said.join().ok().flatten();
        match (error, result) {
            (Some(error), _) => Err(anyhow!(error)),
            (None, Ok(value)) if status.success() => Ok(value),
            (None, Ok(_)) => Err(anyhow!(
                "the agent ended without a word ({status}): the capture may be cut short"
            )),
            (None, Err(_)) if !status.success() => Err(anyhow!(
                "the agent ended before it captured anything ({status}): what it said stands above"
            )),
            (None, Err(error)) => Err(error),
        }
    }
}

fn tell(stdin: &Mutex<ChildStdin>, line: &str) {
    let mut stdin = stdin.lock().unwrap_or_else(PoisonError::into_inner);
    // An agent that has ended hears nothing.
    let _ = writeln!(stdin, "{line}");
}

/// Passes on the messages of the agent; returns its error, if it has one.
fn listen(stderr: ChildStderr) -> Option<String> {
    let mut failed = None;
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let Line { message, event } = Line::read(&line);
        if event == Event::Error {
            failed = Some(message);
            continue;
        }
        let warning = if event == Event::Warning {
            "warning: "
        } else {
            ""
        };
        let mut shown = String::from(warning);
        meshsniff::escape::push_shown(&mut shown, &message);
        super::watch::tell(&shown);
    }
    failed
}

fn program() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM) {
        return Ok(named.into());
    }
    let beside = std::env::current_exe()
        .ok()
        .map(|own| own.with_file_name(AGENT));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(AGENT));
    let found = beside
        .into_iter()
        .chain(on_path)
        .find(|program| program.is_file());
    found.ok_or_else(|| {
        anyhow!(
            "there is no {AGENT} beside this program or on the PATH: build it with cargo build \
             --release -p {AGENT}, or name it in {PROGRAM}"
        )
    })
}
