//! From the command line to open handles without rights: the part that `capture` and `report`
//! share.

use super::args::{LiveArgs, TargetArgs};
use super::ending::{self, Ending};
use super::hold;
use super::interfaces::{self, Role};
use super::kernel::Kernel;
use super::live::{self, Tap};
use super::namespace::{NameWatch, Namespace};
use super::oom;
use super::own_stream::{self, OwnStream};
use super::rights;
use super::talk::Talk;
use super::target::{self, Proxies, Target};
use anyhow::{Context as _, bail};
use meshsniff_contract::VERSION;
use meshsniff_contract::environment::{self, TARGETS};
use meshsniff_contract::stderr::{Capture, Event};
use meshsniff_contract::times::HEARTBEAT_WITHIN;
use std::env::VarError;
use std::io::{self, IsTerminal as _, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// KiB of a ring's block, which takes a packet of any size: libpcap makes rings of whole ones.
const BLOCK: u64 = 256;

/// Open handles, and everything that may end the capture.
pub struct Running {
    /// The interfaces.
    pub taps: Vec<Tap>,
    /// The end of the capture, by whatever comes first.
    pub ending: Ending,
    /// Readable once the end is decided.
    pub woken: PipeReader,
    /// The target, in words.
    pub description: String,
    /// The filter that the kernel was given.
    pub filter: String,
    /// What the kernel there can be asked; `None` unless that was wanted.
    pub(super) kernel: Option<Kernel>,
    process: Option<Namespace>,
}

/// A sign that the target is gone.
enum Watch {
    Nothing,
    /// A process.
    Process(Namespace),
    /// A namespace's name.
    Name(NameWatch),
}

impl Running {
    /// Readable when the target's process is gone.
    #[must_use]
    pub fn target(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref()?.watch().map(AsFd::as_fd)
    }
}

/// Whether this is a helper pod's process, whose targets are pinned.
#[must_use]
pub fn is_helper() -> bool {
    std::env::var_os(TARGETS).is_some()
}

fn allow(args: &TargetArgs) -> anyhow::Result<()> {
    let pinned = match std::env::var(TARGETS) {
        Ok(pinned) => pinned,
        Err(VarError::NotPresent) => return Ok(()),
        // What cannot be read allows nothing.
        Err(VarError::NotUnicode(_)) => {
            bail!("{TARGETS} is not text: the helper's pod spec is wrong")
        }
    };
    if args.pid.is_some() || args.netns.is_some() {
        bail!("--pid and --netns are not for a helper pod: name a pod with --pod-uid");
    }
    let is_pinned = |wanted: &str| pinned.split(',').any(|one| one == wanted);
    match args.pod_uid.as_deref() {
        None if args.is_node() && is_pinned(environment::NODE) => Ok(()),
        None if args.is_node() => {
            bail!("the node is not among the targets of this helper: start a helper for it")
        }
        Some(uid) if is_pinned(uid) => Ok(()),
        Some(uid) => {
            bail!("pod {uid} is not among the targets of this helper: start a helper for it")
        }
        None => bail!("this helper captures the pods it was started for: name one with --pod-uid"),
    }
}

/// A target that was found.
struct There {
    namespace: Namespace,
    description: String,
    watch: Watch,
    /// Proxies of a mesh that run there.
    proxies: Proxies,
    /// The ports by which the stream itself crosses it.
    own: Option<OwnStream>,
}

impl There {
    const fn new(namespace: Namespace, description: String, watch: Watch) -> Self {
        Self {
            namespace,
            description,
            watch,
            proxies: Proxies::None,
            own: None,
        }
    }
}

fn find(args: &TargetArgs, talk: Talk) -> anyhow::Result<There> {
    if let Some(path) = &args.netns {
        // First the name, then what it stands for: it may be taken away in between.
        let watch = NameWatch::new(path).map_or(Watch::Nothing, Watch::Name);
        let namespace = Namespace::at(path)?;
        return Ok(There::new(namespace, path.display().to_string(), watch));
    }
    if args.is_node() {
        let Some((process, inode)) = own_stream::of_node(Path::new("/proc")) else {
            bail!(
                "the network of the node cannot be found: run as root with CAP_SYS_PTRACE, in the \
                 host's PID namespace"
            );
        };
        // The network of a node goes when the node does.
        let mut there = There::new(
            Namespace::of(process)?,
            "the node".to_owned(),
            Watch::Nothing,
        );
        there.own = Some(OwnStream::find(Path::new("/proc"), inode));
        return Ok(there);
    }
    if let Some(pid) = args.pid {
        let watch = Watch::Process(Namespace::of(pid)?);
        let namespace = Namespace::of(pid)?;
        return Ok(There::new(namespace, format!("process {pid}"), watch));
    }
    if args.pod_uid.is_none() && args.container_id.is_none() {
        let words = "this network namespace".to_owned();
        return Ok(There::new(Namespace::own(), words, Watch::Nothing));
    }
    let target = Target {
        pod: args.pod_uid.clone(),
        container: args.container_id.clone(),
        proof: args.proof.clone(),
    };
    let found = target::find(Path::new("/proc"), &target)?;
    if let [(pid, name), rest @ ..] = found.elsewhere.as_slice() {
        let message = format!(
            "{} of its processes, such as {name} ({pid}), are in another network namespace than {} \
             ({}): what they send there is not captured",
            rest.len() + 1,
            found.name,
            found.pid
        );
        talk.warn(&message);
    }
    let watch = Watch::Process(Namespace::of_found(&found)?);
    let namespace = Namespace::of_found(&found)?;
    let mut there = There::new(namespace, target.describe(), watch);
    there.proxies = found.proxies;
    there.own = args
        .node
        .then(|| OwnStream::find(Path::new("/proc"), found.namespace));
    Ok(there)
}

/// Says which ports a capture of the node's own network leaves out.
fn say_left_out(own: &OwnStream, talk: Talk) {
    let left_out = own.ports().collect();
    talk.say(Event::Note { left_out }, &own.describe());
    for missing in own.missing() {
        talk.warn(missing);
    }
}

/// Bytes of each of `count` rings, which are to be of `wanted` KiB: their memory is the node's, so
/// all captures of a container share what there is for them.
fn ring(hold: Option<&UnixStream>, count: usize, wanted: u32, talk: Talk) -> anyhow::Result<u32> {
    let count = count as u64;
    let wanted = u64::from(wanted).next_multiple_of(BLOCK) * count;
    let room = hold::room(hold, wanted).context("there is no room for rings")?;
    let each = room / count / BLOCK * BLOCK;
    if each == 0 {
        bail!(
            "the rings of {count} interfaces have no room beside those of other captures: end one \
             of them, or name fewer interfaces with -i"
        );
    }
    if room < wanted {
        talk.warn(&format!(
            "each of {count} interfaces has a ring of {each} KiB instead of {}: all captures of \
             this container share what there is for rings",
            wanted / count
        ));
    }
    Ok(u32::try_from(each * 1024).unwrap_or(u32::MAX))
}

/// Finds the target, opens the interfaces there, starts all that may end the capture, and gives up
/// every right.
///
/// The kernel there is made ready to be asked if it is to be (`asks_kernel`).
///
/// `before` is called with all rights, after the handles are open.
///
/// # Errors
/// If anything of that fails: one sentence that names the next step.
pub fn set_up<T>(
    args: &LiveArgs,
    asks_kernel: bool,
    talk: Talk,
    before: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(Running, T)> {
    ending::block_signals(&[]).context("signals cannot be waited for")?;
    allow(&args.target)?;
    oom::end_early(args.oom_score_adj, talk);
    let There {
        namespace,
        description,
        watch,
        proxies,
        own,
    } = find(&args.target, talk)?;
    let hold = hold::join();
    let mut options = live::Options {
        snaplen: args.snaplen,
        buffer: 0,
        filter: args.filter.clone(),
        left_out: own.as_ref().map(OwnStream::expression).unwrap_or_default(),
    };
    let mut wanted = args.interface.clone();
    if own.is_some() && proxies != Proxies::Beside && wanted.is_empty() {
        // A node's interfaces come and go with its pods, and are many: one ring for all of them, in
        // the order of time.
        wanted.push(live::ANY.to_owned());
    }
    let (taps, kernel, role) = namespace.inside(|| {
        let there = interfaces::list().context("the interfaces cannot be listed")?;
        let role = Role::here(proxies);
        let names = live::choose(&wanted, &there, role)?;
        options.buffer = ring(hold.as_ref(), names.len(), args.buffer_size, talk)?;
        let taps = live::open(&names, &there, &options)?;
        let kernel = asks_kernel.then(Kernel::open);
        // Where somebody named the interfaces, nothing was chosen.
        Ok::<_, anyhow::Error>((taps, kernel, wanted.is_empty().then_some(role)))
    })??;
    let more = before()?;
    let (ending, woken) = Ending::new().context("no pipe can be had")?;
    // One thread until here: the others inherit what is left.
    rights::give_up()?;
    let process = match watch {
        Watch::Nothing => None,
        Watch::Process(namespace) => Some(namespace),
        Watch::Name(name) => {
            ending
                .watch_name(name)
                .context("no thread can be started")?;
            None
        }
    };
    start_watchers(args, &ending, hold).context("no thread can be started")?;
    if let Some(own) = &own {
        say_left_out(own, talk);
    }
    let filter = options.expression();
    let interfaces: Vec<_> = taps.iter().map(|tap| tap.name.clone()).collect();
    let why = role.and_then(Role::why);
    let reason = why.map_or_else(String::new, |why| format!(" ({why})"));
    let sentence = format!(
        "capturing on {} of {description}{reason}",
        interfaces.join(", ")
    );
    let capture = Some(Capture {
        version: VERSION.to_owned(),
        interfaces,
        target: description.clone(),
        filter: filter.clone(),
        snaplen: args.snaplen,
        why: why.unwrap_or_default().to_owned(),
    });
    talk.say(Event::Ready { capture }, &sentence);
    let running = Running {
        taps,
        ending,
        woken,
        description,
        filter,
        kernel,
        process,
    };
    Ok((running, more))
}

fn start_watchers(
    args: &LiveArgs,
    ending: &Ending,
    hold: Option<std::os::unix::net::UnixStream>,
) -> io::Result<()> {
    ending.watch_deadlines()?;
    ending.wait_for_signals(&[])?;
    if let Some(duration) = args.duration {
        ending.after(duration);
    }
    if let Some(timeout) = args.heartbeat {
        ending.expect_heartbeats(timeout);
    }
    // A person's keyboard is no channel of control, unless it was made one.
    if args.heartbeat.is_some() || !io::stdin().is_terminal() {
        ending.listen(args.heartbeat.unwrap_or(HEARTBEAT_WITHIN))?;
    }
    if let Some(stream) = hold {
        ending.listen_to_hold(stream)?;
    }
    Ok(())
}
