//! A program that is being tested: started, heard, ended, and never left behind.

use crate::netns::Netns;
use crate::stream::{Capture, Stream};
use crate::tools::{END, FOR_EVER};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// The agent with these arguments, which joins no `hold` of somebody else's.
pub(crate) fn agent(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshsniff-agent"));
    command.args(args);
    command.env("MESHSNIFF_HOLD", "");
    command.env_remove("MESHSNIFF_TARGETS");
    command
}

/// The plugin. It is another package's program: `cargo test --workspace` puts it beside the agent.
#[track_caller]
pub(crate) fn plugin(args: &[&str]) -> Command {
    let program =
        Path::new(env!("CARGO_BIN_EXE_meshsniff-agent")).with_file_name("kubectl-meshsniff");
    assert!(
        program.exists(),
        "the plugin is not built: run cargo build first"
    );
    let mut command = Command::new(program);
    command.args(args);
    command
}

impl Netns {
    /// The agent on `lo` inside, not yet started.
    pub(crate) fn agent(&self, command: &str, more: &[&str]) -> Command {
        let path = self.path();
        agent(&[&[command, "--netns", &path, "-i", "lo"], more].concat())
    }

    /// The agent on `lo` inside, once it captures.
    #[track_caller]
    pub(crate) fn ready(&self, command: &str, more: &[&str]) -> Program {
        Program::ready(self.agent(command, more))
    }

    /// A capture on `lo` inside, and the stream that it writes.
    #[track_caller]
    pub(crate) fn capture(&self, more: &[&str]) -> (Program, Stream) {
        let mut program = self.ready("capture", more);
        let stream = program.stream();
        (program, stream)
    }
}

/// A running program, with pipes to all it reads and writes.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    said: Receiver<String>,
    heard: Vec<String>,
}

/// What became of it.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Lines of its standard error.
    pub(crate) said: Vec<String>,
}

impl Ended {
    pub(crate) fn text(&self) -> String {
        self.said.join("\n")
    }

    /// The last line, which is JSON.
    #[track_caller]
    pub(crate) fn last(&self) -> Value {
        json(self.said.last().map_or("", String::as_str))
    }
}

#[track_caller]
pub(crate) fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in “{line}”"))
}

/// The lines of a pipe as they come.
pub(crate) fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            if !line.is_ok_and(|line| sender.send(line).is_ok()) {
                return;
            }
        }
    });
    lines
}

/// All lines that are still to come.
#[track_caller]
pub(crate) fn rest(lines: &Receiver<String>) -> Vec<String> {
    let mut rest = Vec::new();
    loop {
        match lines.recv_timeout(FOR_EVER) {
            Ok(line) => rest.push(line),
            Err(RecvTimeoutError::Disconnected) => return rest,
            Err(RecvTimeoutError::Timeout) => panic!("the lines do not end"),
        }
    }
}

impl Program {
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            said: lines(child.stderr.take().expect("a pipe")),
            heard: Vec::new(),
            child,
        }
    }

    /// Starts the agent and waits until it captures, or holds.
    #[track_caller]
    pub(crate) fn ready(command: Command) -> Self {
        let mut program = Self::start(command);
        program.hears("ready");
        program
    }

    pub(crate) fn id(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits for a line of its standard error.
    #[track_caller]
    fn hears_line(&mut self, what: &str, is: impl Fn(&str) -> bool) -> String {
        loop {
            match self.said.recv_timeout(FOR_EVER) {
                Ok(line) => {
                    self.heard.push(line.clone());
                    if is(&line) {
                        return line;
                    }
                }
                Err(error) => panic!("{what} is never said ({error}): {:#?}", self.heard),
            }
        }
    }

    #[track_caller]
    pub(crate) fn hears_text(&mut self, text: &str) -> String {
        self.hears_line(text, |line| line.contains(text))
    }

    /// Waits for a JSON line of this type on its standard error.
    #[track_caller]
    pub(crate) fn hears(&mut self, kind: &str) -> Value {
        let of_type = |line: &str| {
            let line: Option<Value> = serde_json::from_str(line).ok();
            line.is_some_and(|line| line["type"] == kind)
        };
        json(&self.hears_line(kind, of_type))
    }

    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.stdout.take().expect("a pipe that nobody reads yet")
    }

    /// Reads the capture that it writes.
    pub(crate) fn stream(&mut self) -> Stream {
        Stream::read(self.stdout())
    }

    /// Writes a line to its standard input.
    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("an open pipe");
        // One that has ended meanwhile is met when its end is waited for.
        let _ = writeln!(stdin, "{line}");
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id()), signal).expect("a process of its own");
    }

    /// Whether it has ended, after `within` at most. Its process id stays its own.
    pub(crate) fn ends(&self, within: Duration) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        let process = pidfd_open(pid, PidfdFlags::empty()).expect("a process of its own");
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).expect("a short time");
            let mut polled = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
            match poll(&mut polled, timeout) {
                Ok(0) if left.is_zero() => return false,
                Ok(0) | Err(nix::Error::EINTR) => {}
                Ok(_) => return true,
                Err(error) => panic!("it cannot be waited for: {error}"),
            }
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(&mut self, within: Duration) -> Ended {
        let ended = self.ends(within);
        if !ended {
            self.heard.extend(self.said.try_iter());
        }
        assert!(ended, "it still runs after {within:?}: {:#?}", self.heard);
        let status = self.child.wait().expect("its end");
        self.heard.extend(rest(&self.said));
        Ended {
            status,
            said: std::mem::take(&mut self.heard),
        }
    }

    /// Waits for the end of a capture, of which the last line on standard error and the stream's
    /// last comment give this reason.
    #[track_caller]
    pub(crate) fn ends_by(mut self, reason: &str, stream: Stream) -> (Value, Capture) {
        let ended = self.end(END);
        let capture = stream.whole();
        let last = ended.last();
        assert_eq!(last["type"], "end", "{last}");
        assert_eq!(last["reason"], reason, "{last}");
        assert!(ended.status.success(), "{}", ended.status);
        let end = capture.end();
        assert!(end.starts_with(&format!("{reason}: ")), "{end}");
        assert_eq!(last["packets"], capture.packets.len(), "{last}");
        (last, capture)
    }

    /// Ends a capture by a stop line.
    #[track_caller]
    pub(crate) fn stop(mut self, stream: Stream) -> Capture {
        self.tell("stop");
        self.ends_by("stop", stream).1
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
