//! `hold`: the helper's main process. It captures nothing and keeps the container alive as long as
//! anything does.
//!
//! Captures are run beside it through `exec`; when its own process ends, the runtime kills them.
//! Each has a connection to its abstract socket, which needs no file and no signal: the connection
//! ends with the capture, and a line on it asks the capture for its end. The first line, from the
//! capture, asks for room for its rings: they are the kernel's memory, which no limit of the
//! container counts.
//!
//! An ephemeral container shares its network, and with it such sockets, with the pod that it
//! captures. So both ends look at who the other is: a process of the same container, or nobody.

use super::args::HoldArgs;
use super::clock;
use super::ending::{self, Ending};
use super::oom;
use super::rights;
use super::talk::Talk;
use anyhow::Context as _;
use meshsniff_contract::stderr::Event;
use meshsniff_contract::times::STOPPED_WITHIN;
use meshsniff_contract::{environment, stdin};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// Most captures at a time: each is somebody at a terminal, or a job.
const MOST: usize = 64;

/// With which images ask their process to end that do not do it with SIGTERM (`STOPSIGNAL`; nginx,
/// httpd, `PostgreSQL`): an agent that is carried runs in any of them.
const STOP_SIGNALS: [Signal; 4] = [
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// The address of the socket. Without a name in the environment it is one for all.
fn address() -> std::io::Result<SocketAddr> {
    let name = std::env::var(environment::HOLD).unwrap_or_else(|_| "meshsniff-hold".to_owned());
    SocketAddr::from_abstract_name(name)
}

/// KiB that the rings of all captures of a container may take: so much, and so much for each of its
/// targets.
const RINGS: u64 = 256 * 1024;
const RINGS_OF_EACH: u64 = 64 * 1024;

/// How long a capture waits for the answer to its one question.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// The longest question.
const MAX_QUESTION: usize = 32;

/// How long a capture waits for the `hold` of its container, which may still be starting: one that
/// is missed ends the container because nobody captures.
const HELD_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(20);

/// Connects a capture to the `hold` of its container; `None` if there is none.
pub(super) fn join() -> Option<UnixStream> {
    let is_named = std::env::var_os(environment::HOLD).is_some_and(|name| !name.is_empty());
    let address = address().ok()?;
    let deadline = clock::now() + HELD_WITHIN;
    loop {
        match UnixStream::connect_addr(&address) {
            Ok(hold) => return is_of_this_container(&hold).then_some(hold),
            Err(_) if is_named && clock::now() < deadline => std::thread::sleep(LOOK),
            Err(_) => return None,
        }
    }
}

/// How many of the KiB that a capture's rings would like to take they may; without a `hold`, what
/// one with a single target allows.
///
/// # Errors
/// If there is no answer.
pub(super) fn room(hold: Option<&UnixStream>, wanted: u64) -> io::Result<u64> {
    let Some(mut hold) = hold else {
        return Ok(wanted.min(RINGS + RINGS_OF_EACH));
    };
    hold.set_read_timeout(Some(ANSWERED_WITHIN))?;
    writeln!(hold, "{wanted}")?;
    let mut answer = Vec::new();
    let mut byte = [0];
    // No byte behind the line is taken: it may be the word to stop.
    while hold.read(&mut byte)? == 1 && byte != *b"\n" && answer.len() < MAX_QUESTION {
        answer.extend(byte);
    }
    hold.set_read_timeout(None)?;
    let answer = std::str::from_utf8(&answer).ok();
    let answer = answer.and_then(|answer| answer.parse().ok());
    answer.ok_or_else(|| io::Error::other("the container's main process does not answer"))
}

/// A capture that is held.
struct Held {
    stream: UnixStream,
    /// Its question, as far as it came.
    asked: Vec<u8>,
    /// KiB that its rings take.
    rings: u64,
}

impl Held {
    /// Hears what it says; `left` is the room for rings. `false` if it has ended.
    fn hears(&mut self, left: u64) -> bool {
        let mut bytes = [0; MAX_QUESTION];
        let Ok(count @ 1..) = self.stream.read(&mut bytes) else {
            return false;
        };
        self.asked.extend_from_slice(&bytes[..count]);
        let question = std::str::from_utf8(&self.asked).unwrap_or_default();
        match question.strip_suffix('\n').map(str::parse::<u64>) {
            // There is one question.
            Some(Ok(wanted)) if self.rings == 0 => {
                self.rings = wanted.min(left);
                self.asked.clear();
                writeln!(self.stream, "{}", self.rings).is_ok()
            }
            Some(_) => false,
            None => self.asked.len() < MAX_QUESTION,
        }
    }
}

/// KiB for the rings of everything that is captured here.
fn rings() -> u64 {
    let targets = std::env::var(environment::TARGETS).unwrap_or_default();
    let targets = targets.split(',').count().max(1) as u64;
    RINGS + RINGS_OF_EACH * targets
}

/// Whether a process of this container is at the other end. A process of another one has another
/// cgroup, or no number at all in this PID namespace.
fn is_of_this_container(peer: &UnixStream) -> bool {
    let Ok(peer) = getsockopt(peer, PeerCredentials) else {
        return false;
    };
    // Who may read what a process is, and who may read its cgroup, are two questions: the second
    // takes no right.
    let cgroup = |process: &str| fs::read(format!("/proc/{process}/cgroup")).ok();
    let own = cgroup("self");
    peer.pid() > 0 && own.is_some() && cgroup(&peer.pid().to_string()) == own
}

/// Waits for captures until the last one has ended, or none comes.
///
/// # Errors
/// If it cannot wait, or another one does already.
pub fn run(args: &HoldArgs, talk: Talk) -> anyhow::Result<()> {
    ending::block_signals(&STOP_SIGNALS).context("signals cannot be waited for")?;
    oom::end_early(args.oom_score_adj, talk);
    let listener = address().and_then(|address| UnixListener::bind_addr(&address));
    let listener = listener.context("another hold runs here already, or sockets are forbidden")?;
    listener.set_nonblocking(true)?;
    // What captures need they have from the container, not from here.
    rights::give_up_capabilities()?;
    let (ending, woken) = Ending::new()?;
    ending.wait_for_signals(&STOP_SIGNALS)?;
    talk.say(Event::Ready { capture: None }, "waiting for captures");
    let rings = rings();
    let mut captures: Vec<Held> = Vec::new();
    let mut deadline = clock::now() + args.first;
    let longest = clock::now() + args.at_most;
    let mut stopping = false;
    loop {
        let is_late = clock::now() >= longest;
        if (is_late || ending.reason().is_some()) && !stopping {
            stopping = true;
            deadline = clock::now() + STOPPED_WITHIN;
            for capture in &mut captures {
                // One that does not listen any more ends by itself.
                let _ = writeln!(capture.stream, "{}", stdin::STOP);
            }
        }
        let idle = captures.is_empty();
        if stopping && idle || (idle || stopping) && clock::now() >= deadline {
            let why = match ending.reason() {
                Some(reason) => reason.to_string(),
                None if is_late => "nothing is held longer than that".to_owned(),
                None => "no capture runs any more".to_owned(),
            };
            let captures = Some(captures.len());
            let capture = None;
            talk.say(Event::End { capture, captures }, &why);
            return Ok(());
        }
        let wait_until = if idle || stopping {
            deadline.min(longest.max(clock::now()))
        } else {
            longest
        };
        let ready = wait(
            &listener,
            &captures,
            (!stopping).then(|| woken.as_fd()),
            wait_until,
        )?;
        for index in ready.into_iter().rev() {
            let taken: u64 = captures.iter().map(|capture| capture.rings).sum();
            if !captures[index].hears(rings.saturating_sub(taken)) {
                drop(captures.swap_remove(index));
                if captures.is_empty() && !stopping {
                    deadline = clock::now() + args.after;
                }
            }
        }
        // Not more at once than can be turned away before the others are looked at again.
        for _ in 0..MOST {
            let Ok((capture, _)) = listener.accept() else {
                break;
            };
            if captures.len() < MOST && is_of_this_container(&capture) {
                captures.push(Held {
                    stream: capture,
                    asked: Vec::new(),
                    rings: 0,
                });
            }
        }
    }
}

/// Waits until something happens; returns the indices of the captures that are readable.
fn wait(
    listener: &UnixListener,
    captures: &[Held],
    woken: Option<std::os::fd::BorrowedFd<'_>>,
    until: Instant,
) -> anyhow::Result<Vec<usize>> {
    let left = until.saturating_duration_since(clock::now());
    let timeout =
        PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    let mut polled: Vec<_> = captures
        .iter()
        .map(|capture| PollFd::new(capture.stream.as_fd(), PollFlags::POLLIN))
        .collect();
    polled.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
    polled.extend(woken.map(|woken| PollFd::new(woken, PollFlags::POLLIN)));
    match poll(&mut polled, timeout) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(error) => return Err(error).context("waiting failed"),
    }
    let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
    Ok((0..captures.len())
        .filter(|&index| ready(&polled[index]))
        .collect())
}
