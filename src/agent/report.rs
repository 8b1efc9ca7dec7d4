//! `report`: the analyser on live packets, and its report as JSON lines.
//!
//! The thread that empties the rings analyses too: what is cheaper than to carry packets elsewhere. Lines go through
//! the same bounded queue as packets do, so that a slow reader never holds the analyser up.

use super::args::{Part, ReportArgs};
use super::capture;
use super::clock;
use super::ending::Ending;
use super::live::{self, Packet, Receiver, Tap};
use super::queue::Queue;
use super::setup::{self, Running};
use super::talk::{Losses, Talk};
use crate::analyzer::{Analyzer, Options};
use crate::packet::{Frame, FrameId, LinkType};
use crate::report::folded::{FoldedReport, Folding, Redacted};
use crate::report::json::{JsonReport, Style};
use crate::report::select::Filter;
use crate::report::{Capture, Report, Source};
use crate::stream::blocks::Statistics;
use crate::time::Timestamp;
use anyhow::Context as _;
use std::cell::Cell;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

/// Nanoseconds that a packet may lie in a ring before it is handed over, and more.
const RING_DELAY: i64 = 250_000_000;

/// How often the kernel is asked how many packets it lost.
const TICK: Duration = Duration::from_millis(500);

/// Reports as asked.
///
/// # Errors
/// If it cannot begin.
pub fn run(args: &ReportArgs, talk: Talk) -> anyhow::Result<()> {
    let (running, mut out) = setup::set_up(&args.live, talk, || {
        capture::output(capture::plain_stdout()?, args.live.compress)
    })?;
    let ending = running.ending.clone();
    ending.watch_reader().context("no thread can be started")?;
    let queue = Queue::new(args.live.queue_size as usize * 1024);
    let analysed = thread::scope(|scope| {
        let analysing = thread::Builder::new()
            .name("report".to_owned())
            .spawn_scoped(scope, || analyse(args, running, &queue, talk))
            .context("no thread can be started")?;
        capture::write(&queue, &mut out, &ending);
        match analysing.join() {
            Ok(analysed) => analysed.context("the packets cannot be waited for"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    ending.finished();
    capture::say_end(&analysed?, "lines", &ending, talk);
    Ok(())
}

/// Lines on their way into the queue. They leave when the kernel has nothing more to give for now.
struct Lines<'a> {
    queue: &'a Queue,
    batch: Vec<u8>,
    fate: &'a Fate,
}

/// What became of lines.
#[derive(Debug, Default)]
struct Fate {
    /// Lines given up because nobody read them in time.
    lost: Cell<u64>,
    /// The last ones come: they are few, the sums are among them, and so none of them is given up.
    ends: Cell<bool>,
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.batch.extend_from_slice(bytes);
        self.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.fate.ends.get() {
            self.queue.push_always(&mut self.batch);
            return Ok(());
        }
        let lines = memchr::memchr_iter(b'\n', &self.batch).count() as u64;
        if !self.batch.is_empty() && !self.queue.push(&mut self.batch) {
            self.fate.lost.set(self.fate.lost.get() + lines);
        }
        Ok(())
    }
}

fn analyse(
    args: &ReportArgs,
    mut running: Running,
    queue: &Queue,
    talk: Talk,
) -> io::Result<Statistics> {
    let mut taps = std::mem::take(&mut running.taps);
    let fate = Fate::default();
    let lines = Lines {
        queue,
        batch: Vec::new(),
        fate: &fate,
    };
    let style = Style::Lines { live: true };
    let json = JsonReport::new(lines, style, Filter::default(), args.probes);
    let folding = Folding {
        all: args.all,
        slowest: usize::from(args.slowest),
        redacted: Redacted {
            query: args.redact.contains(&Part::Query),
            path: args.redact.contains(&Part::Path),
            host: args.redact.contains(&Part::Host),
            request_id: args.redact.contains(&Part::RequestId),
        },
    };
    let mut report = FoldedReport::new(json, folding);
    report.sources(&[Source {
        kind: "live".to_owned(),
        name: running.description.clone(),
        interfaces: taps.iter().map(|tap| tap.name.clone()).collect(),
    }]);
    let mut analysis = Analysis {
        analyzer: Analyzer::new(Options {
            ports: args.port.clone(),
        }),
        report,
        links: taps
            .iter()
            .map(|tap| LinkType::from_number(u32::from(tap.link_type)).ok())
            .collect(),
        frames: 0,
        unsupported: 0,
        left: args.live.count.unwrap_or(u64::MAX),
        statistics: Statistics::default(),
        losses: Losses::new(talk),
        fate: &fate,
        ending: &running.ending,
    };
    let result = live::run(
        &mut taps,
        &running.ending,
        &running.woken,
        running.target(),
        TICK,
        &mut analysis,
    );
    analysis.count_drops(&mut taps);
    let statistics = analysis.finish();
    queue.close();
    result?;
    statistics
}

struct Analysis<'a, W: Write> {
    analyzer: Analyzer,
    report: FoldedReport<W>,
    links: Vec<Option<LinkType>>,
    frames: u64,
    unsupported: u64,
    left: u64,
    statistics: Statistics,
    losses: Losses,
    fate: &'a Fate,
    ending: &'a Ending,
}

impl<W: Write> Analysis<'_, W> {
    fn count_drops(&mut self, taps: &mut [Tap]) {
        let dropped = taps.iter_mut().map(Tap::kernel_dropped).sum();
        self.statistics.kernel_dropped = dropped;
        self.statistics.queue_dropped = self.fate.lost.get();
        self.losses.are(&self.statistics);
        self.analyzer.set_dropped(Some(dropped));
    }

    fn finish(mut self) -> io::Result<Statistics> {
        self.analyzer.finish(&mut self.report);
        self.statistics.delivered = self.frames;
        self.fate.ends.set(true);
        let lost = self.fate.lost.get();
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
                "{lost} lines were lost because the report was not read fast enough: the sums count what they told"
            ));
        }
        self.report.finish(&Capture {
            totals: self.analyzer.totals().clone(),
            dropped: Some(self.statistics.kernel_dropped),
            unsupported_frames: self.unsupported,
            comments_left_out: 0,
            errors,
        })?;
        Ok(self.statistics)
    }
}

impl<W: Write> Receiver for Analysis<'_, W> {
    fn packet(&mut self, packet: &Packet<'_>) -> bool {
        self.frames += 1;
        self.left -= 1;
        let Some(link) = self.links[packet.interface] else {
            self.unsupported += 1;
            return self.left > 0;
        };
        let frame = Frame {
            id: FrameId::new(0, self.frames),
            time: packet.time,
            interface: packet.interface as u32,
            link,
            wire_len: packet.wire_len,
            data: packet.data,
        };
        self.report.begin(frame.id, frame.time);
        self.analyzer.frame(&frame, &mut self.report);
        // A queue takes all there is; what it gives up is counted there.
        let _ = self.report.after_frame();
        self.left > 0
    }

    fn idle(&mut self, taps: &mut [Tap]) {
        self.count_drops(taps);
        // On a target that is quiet no packet's time moves on: this machine's clock stands in for it.
        let now = Timestamp::from_nanos(clock::wall().as_nanos() - RING_DELAY);
        self.analyzer.quiet_until(now, &mut self.report);
        // A queue takes all there is; what it gives up is counted there.
        let _ = self.report.after_frame();
    }
}
