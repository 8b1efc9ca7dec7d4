//! `capture`: packets to a pcapng stream.

use super::args::CaptureArgs;
use super::clock;
use super::compressed::Compressed;
use super::ending::{Ending, Reason, write_or_end};
use super::live::{self, Packet, Receiver, Tap};
use super::queue::Queue;
use super::redact::{Redaction, Redactor};
use super::setup::{self, Running};
use super::talk::{Losses, Talk, lost};
use anyhow::{Context as _, bail};
use meshsniff::packet::{Frame, FrameId, LinkType};
use meshsniff::pcapng::blocks::{self, Interface, Section, Statistics};
use meshsniff::time::Timestamp;
use meshsniff_contract::stderr::{Event, Totals};
use meshsniff_contract::times::SIGN_OF_LIFE_EVERY;
use meshsniff_contract::{AGENT, VERSION};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes gathered for one write.
const BATCH: usize = 128 << 10;

/// Captures to a pcapng stream until something ends it.
///
/// # Errors
/// If it cannot begin, or the stream could not be written whole.
pub fn run(args: &CaptureArgs, talk: Talk) -> anyhow::Result<()> {
    if setup::is_helper() && args.write != Path::new("-") {
        bail!(
            "a helper pod writes no files: leave --write away, the stream goes to standard output"
        );
    }
    let (running, mut out) = setup::set_up(&args.live, false, talk, || {
        let file = open_output(&args.write)?;
        output(file, args.live.compress)
    })?;
    let ending = running.ending.clone();
    if args.write == Path::new("-") {
        ending.watch_reader().context("no thread can be started")?;
    }
    let totals = through_queue(
        "capture",
        args.live.queue_size,
        &mut out,
        &ending,
        |queue| record(args, running, queue, talk),
    )?;
    say_end(&totals, "packets", &ending, talk);
    Ok(())
}

/// Runs `work` on a thread of its own, and writes what it puts into the queue meanwhile.
pub(super) fn through_queue(
    name: &str,
    kilobytes: u32,
    out: &mut impl Write,
    ending: &Ending,
    work: impl FnOnce(&Queue) -> io::Result<Statistics> + Send,
) -> anyhow::Result<Statistics> {
    let queue = Queue::new(kilobytes as usize * 1024);
    let done = thread::scope(|scope| {
        let working = thread::Builder::new()
            .name(name.to_owned())
            .spawn_scoped(scope, || work(&queue))
            .context("no thread can be started")?;
        write(&queue, out, ending);
        match working.join() {
            Ok(done) => done.context("the packets cannot be waited for"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    ending.finished();
    done
}

/// Standard output without the line buffer that the standard library puts before it, which would
/// look for line ends in packets.
pub(super) fn plain_stdout() -> anyhow::Result<File> {
    let own = io::stdout().as_fd().try_clone_to_owned();
    Ok(File::from(
        own.context("standard output is closed: give it a reader")?,
    ))
}

/// Standard output, or a new file that only its owner may read.
fn open_output(path: &Path) -> anyhow::Result<File> {
    if path == Path::new("-") {
        return plain_stdout();
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!(
                "{} is there already: remove it, or name another file",
                path.display()
            )
        }
        _ => anyhow::anyhow!(
            "{} cannot be written ({error}): name another file",
            path.display()
        ),
    })
}

/// The output, which compresses if so asked.
pub(super) fn output(file: File, compress: bool) -> anyhow::Result<Box<dyn Write + Send>> {
    if !compress {
        return Ok(Box::new(file));
    }
    let compressed = Compressed::new(file).context("there is no memory for --compress")?;
    Ok(Box::new(compressed))
}

/// Writes all batches of the queue, and flushes whenever it is empty. Once nobody reads any more,
/// the rest is only taken out of the queue.
fn write(queue: &Queue, out: &mut impl Write, ending: &Ending) {
    let mut read = true;
    while let Some(batch) = queue.pop() {
        read = read && write_or_end(out, &batch, queue.is_empty(), ending);
        queue.recycle(batch);
    }
}

/// Says how it ended, with sums over all interfaces; `queued` names what the queue held.
pub(super) fn say_end(totals: &Statistics, queued: &str, ending: &Ending, talk: Talk) {
    let Some(reason) = ending.reason() else {
        return;
    };
    let mut message = format!("{} packets captured, {reason}", totals.delivered);
    if totals.kernel_dropped + totals.queue_dropped > 0 {
        message = format!(
            "{message}; {} packets were lost in the kernel and {} {queued} because the stream was \
             not read fast enough: it lacks them",
            totals.kernel_dropped, totals.queue_dropped
        );
    }
    let capture = Totals {
        reason: reason.name().to_owned(),
        packets: totals.delivered,
        lost: lost(totals),
    };
    let event = Event::End {
        capture: Some(capture),
        captures: None,
    };
    talk.say(event, &message);
}

fn record(
    args: &CaptureArgs,
    mut running: Running,
    queue: &Queue,
    talk: Talk,
) -> io::Result<Statistics> {
    let mut taps = std::mem::take(&mut running.taps);
    let mut recorder = Recorder::new(args, &running, &taps, queue);
    recorder.losses = Some(Losses::new(talk));
    let result = live::run(
        &mut taps,
        &running.ending,
        &running.woken,
        running.target(),
        &mut recorder,
    );
    recorder.finish(&mut taps);
    queue.close();
    result?;
    Ok(recorder.totals())
}

/// Packets on their way into the stream.
struct Recorder<'a> {
    queue: &'a Queue,
    ending: &'a Ending,
    batch: Vec<u8>,
    /// Packets of each interface that are in the batch.
    batched: Vec<u64>,
    statistics: Vec<Statistics>,
    started: Timestamp,
    next_statistics: Instant,
    packets_left: u64,
    bytes_left: u64,
    redactor: Option<Redactor>,
    losses: Option<Losses>,
    links: Vec<Option<LinkType>>,
}

impl<'a> Recorder<'a> {
    fn new(args: &CaptureArgs, running: &'a Running, taps: &[Tap], queue: &'a Queue) -> Self {
        let redaction = Redaction {
            headers_only: args.headers_only,
            fields: args
                .redact
                .iter()
                .map(|name| name.trim().to_ascii_lowercase())
                .collect(),
        };
        let mut batch = Vec::with_capacity(BATCH * 2);
        blocks::section(
            &mut batch,
            &Section {
                application: &format!("{AGENT} {VERSION}"),
                os: std::env::consts::OS,
                hardware: std::env::consts::ARCH,
                comment: &format!("meshsniff: {}", running.description),
            },
        );
        for tap in taps {
            blocks::interface(
                &mut batch,
                &Interface {
                    link_type: tap.link_type,
                    snaplen: args.live.snaplen,
                    name: &tap.name,
                    description: &format!("{} of {}", tap.name, running.description),
                    filter: &running.filter,
                },
            );
        }
        let mut recorder = Self {
            queue,
            ending: &running.ending,
            batched: vec![0; taps.len()],
            statistics: vec![Statistics::default(); taps.len()],
            started: clock::wall(),
            next_statistics: clock::now() + SIGN_OF_LIFE_EVERY,
            packets_left: args.live.count.unwrap_or(u64::MAX),
            bytes_left: args.size.unwrap_or(u64::MAX),
            redactor: redaction.is_asked().then(|| Redactor::new(redaction)),
            losses: None,
            links: taps.iter().map(|tap| tap.link().ok()).collect(),
            batch,
        };
        // A reader that waits for the header sees at once that the capture runs.
        recorder.spend(recorder.batch.len());
        queue.push_always(&mut recorder.batch);
        recorder
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes as u64);
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let delivered = self.queue.push(&mut self.batch);
        for (statistics, batched) in self.statistics.iter_mut().zip(&mut self.batched) {
            let packets = std::mem::take(batched);
            if delivered {
                statistics.delivered += packets;
            } else {
                statistics.queue_dropped += packets;
            }
        }
    }

    fn write_statistics(&mut self, taps: &mut [Tap], end: Option<&Reason>) {
        let now = clock::wall();
        let mut out = Vec::new();
        let last = taps.len().saturating_sub(1);
        for (index, (tap, statistics)) in taps.iter_mut().zip(&mut self.statistics).enumerate() {
            statistics.kernel_dropped = tap.kernel_dropped();
            statistics.received =
                statistics.delivered + statistics.queue_dropped + statistics.kernel_dropped;
            let comment = match end.filter(|_| index == last) {
                Some(reason) => format!("{}{}: {reason}", blocks::END, reason.name()),
                None => String::new(),
            };
            blocks::statistics(
                &mut out,
                index as u32,
                (self.started, now),
                statistics,
                &comment,
            );
        }
        self.queue.push_always(&mut out);
    }

    fn finish(&mut self, taps: &mut [Tap]) {
        self.flush();
        let ending = self.ending;
        self.write_statistics(taps, ending.reason());
    }

    fn totals(&self) -> Statistics {
        let add = |a: Statistics, b: &Statistics| Statistics {
            received: a.received + b.received,
            kernel_dropped: a.kernel_dropped + b.kernel_dropped,
            queue_dropped: a.queue_dropped + b.queue_dropped,
            delivered: a.delivered + b.delivered,
        };
        self.statistics.iter().fold(Statistics::default(), add)
    }
}

impl Receiver for Recorder<'_> {
    fn packet(&mut self, packet: &Packet<'_>) -> bool {
        let before = self.batch.len();
        let data = match (&mut self.redactor, self.links[packet.interface]) {
            (None, _) => packet.data,
            (Some(redactor), Some(link)) => redactor.apply(&Frame {
                id: FrameId::default(),
                time: packet.time,
                interface: packet.interface as u32,
                link,
                wire_len: packet.wire_len,
                data: packet.data,
            }),
            // What cannot be looked into cannot be told to be harmless.
            (Some(_), None) => &[],
        };
        blocks::packet(
            &mut self.batch,
            packet.interface as u32,
            packet.time,
            packet.wire_len,
            data,
            packet.direction,
        );
        let bytes = self.batch.len() - before;
        if self.bytes_left < bytes as u64 {
            self.batch.truncate(before);
            self.ending.decide(Reason::Size);
            return false;
        }
        self.spend(bytes);
        self.batched[packet.interface] += 1;
        self.packets_left -= 1;
        if self.batch.len() >= BATCH {
            self.flush();
        }
        self.packets_left > 0
    }

    fn tick(&self) -> Duration {
        SIGN_OF_LIFE_EVERY
    }

    fn idle(&mut self, taps: &mut [Tap]) {
        // While the writer is busy, what is small waits to become more.
        if self.queue.is_empty() || self.batch.len() >= BATCH {
            self.flush();
        }
        if clock::now() >= self.next_statistics {
            self.next_statistics = clock::now() + SIGN_OF_LIFE_EVERY;
            self.flush();
            self.write_statistics(taps, None);
        }
        let totals = self.totals();
        if let Some(losses) = &mut self.losses {
            losses.are(&totals);
        }
    }
}
