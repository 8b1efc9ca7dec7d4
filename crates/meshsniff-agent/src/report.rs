//! `report`: the analyser on live packets, and its report as JSON lines.
//!
//! The thread that empties the rings analyses too, which costs less than to carry packets
//! elsewhere. Lines go through the same bounded queue as packets do, so that a slow reader never
//! holds the analyser up.

use super::args::ReportArgs;
use super::capture;
use super::clock;
use super::ending::Ending;
use super::kernel::Kernel;
use super::live::{self, Packet, Receiver, Tap};
use super::queue::Queue;
use super::setup::{self, Running};
use super::talk::{Losses, Talk};
use anyhow::Context as _;
use meshsniff::analyzer::{Analyzer, Options};
use meshsniff::condition::Filter;
use meshsniff::event::{Capture, Report, ReportEvent, ReportSink, Source};
use meshsniff::packet::{Frame, FrameId, LinkType, UnsupportedLink};
use meshsniff::pcapng::blocks::Statistics;
use meshsniff::redacted::Redacted;
use meshsniff::relay::aggregate::{Aggregating, Aggregation};
use meshsniff::relay::{End, Progress, RelayWriter};
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::statistics::routes::Routes;
use meshsniff::time::Timestamp;
use meshsniff_contract::arguments::part;
use meshsniff_contract::times::SIGN_OF_LIFE_EVERY;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Bytes that open connections may take together, whatever comes. Every other table of the analyser
/// has a size of its own, and a helper's container may take 128 MiB.
const MEMORY: usize = 16 << 20;

/// Nanoseconds after which every packet in a ring has been handed over.
const RING_DELAY: i64 = 250_000_000;

/// How often the kernel is asked how many packets it lost.
const TICK: Duration = Duration::from_millis(500);

/// How long packets are waited for at least, whatever the kernel is to be asked. While some come it
/// is woken as often anyway.
const SHORTEST: Duration = Duration::from_millis(50);

/// How often progress is reported while packets come, and how often in any case.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
const ALIVE_EVERY: Duration = Duration::from_secs(4);
const _: () = assert!(ALIVE_EVERY.as_secs() < SIGN_OF_LIFE_EVERY.as_secs());

/// Frames between two looks at the clock for that.
const LOOK_EVERY: u64 = 8_192;

/// Reports on live packets until something ends it.
///
/// # Errors
/// If it cannot begin.
pub fn run(args: &ReportArgs, talk: Talk) -> anyhow::Result<()> {
    let (running, mut out) = setup::set_up(&args.live, true, talk, || {
        capture::output(capture::plain_stdout()?, args.live.compress)
    })?;
    let ending = running.ending.clone();
    ending.watch_reader().context("no thread can be started")?;
    let totals =
        capture::through_queue("report", args.live.queue_size, &mut out, &ending, |queue| {
            analyse(args, running, queue, talk)
        })?;
    capture::say_end(&totals, "lines", &ending, talk);
    Ok(())
}

/// Lines on their way into the queue. They leave when the kernel has nothing more to give for now.
struct Lines<'a> {
    queue: &'a Queue,
    batch: Vec<u8>,
}

/// Lines never wait for room: whether there is any is asked before an exchange is begun.
impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.batch.extend_from_slice(bytes);
        self.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.queue.push_always(&mut self.batch);
        Ok(())
    }
}

/// A report that leaves the machine while it is made.
trait Leaving: Report {
    /// How it stands, and what was folded since it was told last.
    ///
    /// # Errors
    /// If it cannot be written.
    fn progress(&mut self, progress: &Progress, recent: &Routes) -> io::Result<()>;
    /// Takes the reason for the end.
    fn end(&mut self, end: &End) -> io::Result<()>;
}

/// Public lines show by themselves how it stands, and the end is said on stderr.
impl<W: Write> Leaving for JsonReport<W> {
    fn progress(&mut self, _progress: &Progress, _recent: &Routes) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _end: &End) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Leaving for RelayWriter<W> {
    fn progress(&mut self, progress: &Progress, recent: &Routes) -> io::Result<()> {
        self.recent(recent)?;
        Self::progress(self, progress)
    }

    fn end(&mut self, end: &End) -> io::Result<()> {
        Self::end(self, end)
    }
}

fn analyse(
    args: &ReportArgs,
    running: Running,
    queue: &Queue,
    talk: Talk,
) -> io::Result<Statistics> {
    let lines = Lines {
        queue,
        batch: Vec::new(),
    };
    if args.relay {
        return analyse_to(RelayWriter::new(lines), args, running, queue, talk);
    }
    let style = Style::Lines { live: true };
    let json = JsonReport::new(lines, style, Filter::default(), args.probes);
    analyse_to(json, args, running, queue, talk)
}

fn analyse_to<R: Leaving>(
    told: R,
    args: &ReportArgs,
    mut running: Running,
    queue: &Queue,
    talk: Talk,
) -> io::Result<Statistics> {
    let mut taps = std::mem::take(&mut running.taps);
    let filters = args.filter_http.iter().cloned();
    let is_left_out = |part: &str| args.redact.iter().any(|one| one == part);
    let folding = Aggregation {
        all: args.all,
        slowest: usize::from(args.slowest),
        probes: args.probes,
        filter: filters.fold(Filter::default(), Filter::and),
        live: args.watched,
        assertions: args.fail_on.clone(),
        redacted: Redacted {
            query: is_left_out(part::QUERY),
            path: is_left_out(part::PATH),
            host: is_left_out(part::HOST),
            request_id: is_left_out(part::REQUEST_ID),
        },
    };
    // The last ones are few, and so none of them is given up.
    let ends = Cell::new(false);
    let mut report = Aggregating::new(told, folding, || ends.get() || queue.has_room());
    if let Some(refusal) = running.kernel.as_ref().and_then(Kernel::refusal) {
        talk.warn(&refusal);
    }
    report.tell(ReportEvent::Sources(&[Source {
        kind: "live".to_owned(),
        name: running.description.clone(),
        interfaces: taps.iter().map(|tap| tap.name.clone()).collect(),
    }]))?;
    let mut analysis = Analysis {
        analyzer: Analyzer::new(Options {
            ports: args.port.clone(),
            memory: Some(MEMORY),
            asks_kernel: true,
            ..Options::default()
        }),
        kernel: running.kernel.take(),
        report,
        links: taps.iter().map(Tap::link).collect(),
        frames: 0,
        unsupported: BTreeMap::new(),
        left: args.live.count.unwrap_or(u64::MAX),
        statistics: Statistics::default(),
        losses: Losses::new(talk),
        progress: Due::new(),
        queue,
        ending: &running.ending,
    };
    let result = live::run(
        &mut taps,
        &running.ending,
        &running.woken,
        running.target(),
        &mut analysis,
    );
    analysis.count_drops(&mut taps);
    ends.set(true);
    let statistics = analysis.finish();
    queue.close();
    result?;
    statistics
}

/// The times at which progress is due: every second that brings packets, and as a sign of life.
struct Due {
    last: Instant,
    frames: u64,
}

impl Due {
    fn new() -> Self {
        Self {
            last: clock::now(),
            frames: 0,
        }
    }

    fn is_now(&mut self, frames: u64) -> bool {
        let since = clock::now() - self.last;
        let due = since >= PROGRESS_EVERY && frames > self.frames || since >= ALIVE_EVERY;
        if due {
            self.last = clock::now();
            self.frames = frames;
        }
        due
    }
}

struct Analysis<'a, R> {
    analyzer: Analyzer,
    kernel: Option<Kernel>,
    report: Aggregating<'a, R>,
    links: Vec<Result<LinkType, UnsupportedLink>>,
    frames: u64,
    unsupported: BTreeMap<u32, u64>,
    left: u64,
    statistics: Statistics,
    losses: Losses,
    progress: Due,
    queue: &'a Queue,
    ending: &'a Ending,
}

impl<R: Leaving> Analysis<'_, R> {
    fn count_drops(&mut self, taps: &mut [Tap]) {
        let dropped = taps.iter_mut().map(Tap::kernel_dropped).sum();
        self.statistics.kernel_dropped = dropped;
        self.statistics.queue_dropped = self.report.not_told();
        self.losses.are(&self.statistics);
        self.analyzer.set_dropped(Some(dropped));
    }

    fn finish(mut self) -> io::Result<Statistics> {
        let mut sink = ReportSink::new(&mut self.report);
        self.analyzer.finish(&mut sink);
        sink.done()?;
        self.statistics.delivered = self.frames;
        let lost = self.report.not_told();
        self.statistics.queue_dropped = lost;
        let mut errors = match self.ending.reason() {
            Some(super::ending::Reason::InterfaceGone(name)) => {
                vec![format!(
                    "the interface {name} went away: what came before is reported"
                )]
            }
            _ => Vec::new(),
        };
        if lost > 0 {
            errors.push(format!(
                "{lost} lines were lost because the report was not read fast enough: the sums \
                 count what they told"
            ));
        }
        self.report.tell(ReportEvent::Finish(&Capture {
            totals: self.analyzer.totals().clone(),
            dropped: Some(self.statistics.kernel_dropped),
            unsupported_frames: self.unsupported,
            comments_left_out: 0,
            kernel: self.kernel.as_mut().and_then(Kernel::counted),
            errors,
        }))?;
        if let Some(reason) = self.ending.reason() {
            self.report.told().end(&End {
                reason: reason.name().to_owned(),
                sentence: reason.to_string(),
            })?;
        }
        Ok(self.statistics)
    }

    /// Asks the kernel about what waits.
    fn ask(&mut self) {
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        let now = clock::wall();
        if self.analyzer.ask_at().is_some_and(|due| due <= now) {
            self.analyzer
                .ask(now, &mut |client, server| kernel.ask(client, server));
        }
    }

    fn tell(&mut self, event: ReportEvent<'_>) {
        // A queue takes all there is; what it gives up is counted there.
        let _ = self.report.tell(event);
    }

    fn tell_progress(&mut self) {
        if !self.queue.has_room() || !self.progress.is_now(self.frames) {
            return;
        }
        let so_far = self.report.so_far();
        let progress = Progress {
            exchanges: so_far.exchanges,
            not_ok: so_far.not_ok,
            frames: self.frames,
            dropped: self.statistics.kernel_dropped,
            not_told: self.report.not_told(),
        };
        let recent = self.report.take_recent();
        // As in `tell`.
        let _ = self.report.told().progress(&progress, &recent);
    }
}

impl<R: Leaving> Receiver for Analysis<'_, R> {
    fn packet(&mut self, packet: &Packet<'_>) -> bool {
        self.frames += 1;
        self.left -= 1;
        let link = match self.links[packet.interface] {
            Ok(link) => link,
            Err(UnsupportedLink(number)) => {
                *self.unsupported.entry(number).or_default() += 1;
                return self.left > 0;
            }
        };
        let frame = Frame {
            id: FrameId::new(0, self.frames),
            time: packet.time,
            interface: packet.interface as u32,
            link,
            wire_len: packet.wire_len,
            data: packet.data,
        };
        let mut sink = ReportSink::of_frame(&mut self.report, frame.id, frame.time);
        if self.analyzer.totals().frames == 0 {
            sink.begin();
        }
        self.analyzer.frame(&frame, &mut sink);
        // As in `tell`.
        let _ = sink.done();
        if self.frames.is_multiple_of(LOOK_EVERY) {
            // A target may leave no time to be idle.
            self.tell_progress();
            self.ask();
        }
        self.left > 0
    }

    fn idle(&mut self, taps: &mut [Tap]) {
        self.count_drops(taps);
        // On a target that is quiet no packet's time moves on: this machine's clock stands in for
        // it.
        let now = Timestamp::from_nanos(clock::wall().as_nanos() - RING_DELAY);
        self.analyzer
            .quiet_until(now, &mut ReportSink::new(&mut self.report));
        self.tell(ReportEvent::AfterFrame);
        self.tell_progress();
        self.ask();
    }

    fn tick(&self) -> Duration {
        let asks = self.kernel.is_some();
        match self.analyzer.ask_at().filter(|_| asks) {
            Some(due) => {
                let nanos = u64::try_from((due - clock::wall()).as_nanos()).unwrap_or(0);
                Duration::from_nanos(nanos).clamp(SHORTEST, TICK)
            }
            None => TICK,
        }
    }
}
