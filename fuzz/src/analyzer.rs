//! A capture file through everything, some to one of three reports, and some with a kernel that
//! answers about sockets.

use super::judge::Judge;
use super::{file, json};
use meshsniff::capture::{CaptureReader, Input};
use meshsniff::condition::Filter;
use meshsniff::event::{Capture, Many, Report, ReportEvent, Source};
use meshsniff::exchange::{Connection, Doubt, Exchange, Gaps, Verdict};
use meshsniff::kernel::{Answer, Listener, Socket};
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::report::text::{TextOptions, TextReport};
use meshsniff::time::Timestamp;
use meshsniff::{Analyzer, Options, Sink};

/// Frames looked at: a small file may unpack to a very large one.
const MAX_FRAMES: usize = 5_000;

type Reports<'a> = (Judge, Box<dyn Report + 'a>);

/// What must not depend on what a kernel says.
type Said = Vec<(u64, Verdict, Option<Doubt>, Gaps)>;

/// Hands everything to the judge and to the report.
struct All<'a, 'b>(&'a mut Reports<'b>);

impl Sink for All<'_, '_> {
    fn exchange(&mut self, exchange: &Exchange) {
        self.0.0.exchange(exchange);
        tell(&mut self.0.1, ReportEvent::Exchange(exchange));
    }

    fn connection(&mut self, connection: &Connection) {
        self.0.0.connection(connection);
        tell(&mut self.0.1, ReportEvent::Connection(connection));
    }
}

fn tell(report: &mut Box<dyn Report + '_>, event: ReportEvent<'_>) {
    report.tell(event).expect("memory can be written to");
}

/// Reports that parse, of exchanges that make sense.
pub fn check(data: &[u8]) {
    let file = match file::is_one(data) {
        true => data.to_vec(),
        false => file::of(data),
    };
    let again = file.clone();
    let input = Input::from_bytes("fuzz", file);
    let Ok(mut reader) = CaptureReader::open(vec![input]) else {
        return;
    };
    let mut written = Vec::new();
    let out = &mut written;
    // A report takes longer than what is reported, and covers little that others do not.
    let which = data.last().map_or(0, |last| last % 16);
    let json = |out, style| JsonReport::new(out, style, Filter::default(), true);
    let report: Box<dyn Report + '_> = match which {
        0 => Box::new(json(out, Style::Document)),
        1 => Box::new(json(out, Style::Lines { live: false })),
        2 => {
            let all = TextOptions {
                all: true,
                drawing: true,
                probes: true,
                ..TextOptions::default()
            };
            Box::new(TextReport::new(out, all))
        }
        _ => Box::new(Many::<Box<dyn Report>>(Vec::new())),
    };
    let mut reports = (Judge::default(), report);
    let said = run(&mut reader, &mut reports, None);
    if which >= 12 {
        let input = Input::from_bytes("fuzz", again);
        let mut reader = CaptureReader::open(vec![input]).expect("it was opened before");
        let none: Box<dyn Report> = Box::new(Many::<Box<dyn Report>>(Vec::new()));
        let asked = run(&mut reader, &mut (Judge::default(), none), Some(data));
        assert_eq!(said, asked, "a kernel changed a verdict");
    }
    let exchanges = reports.0.exchanges.len() as u64;
    drop(reports);
    match which {
        0 => {
            let document = json::read(&written);
            assert_eq!(document.exchanges, Some(exchanges));
            assert_eq!(document.summarised, Some(exchanges));
        }
        1 => {
            let lines = String::from_utf8(written).expect("lines of text");
            let of_lines = lines.lines().map(|line| json::read(line.as_bytes()));
            let of_lines = of_lines.filter(|line| line.of_exchange).count();
            assert_eq!(of_lines as u64, exchanges);
        }
        2 => {
            let text = String::from_utf8(written).expect("a report of text");
            let control = text.chars().find(|&c| c.is_control() && c != '\n');
            assert_eq!(control, None, "a control character reaches the terminal");
        }
        _ => assert!(written.is_empty()),
    }
}

/// What a kernel may say, by the next bytes of `choices`.
fn answer(choices: &mut impl Iterator<Item = u8>, at: Timestamp) -> Option<Answer> {
    let mut next = || u32::from(choices.next().unwrap_or_default());
    let socket = |size| Socket {
        receive_queue: size,
        ..Socket::default()
    };
    let kind = next();
    Some(Answer {
        at,
        client: (kind & 1 > 0).then(|| socket(next())),
        server: (kind & 2 > 0).then(|| socket(next())),
        unread: next(),
        received: (kind & 4 > 0).then(|| next().into()),
        accepted: (kind & 2 > 0).then_some(kind & 8 > 0),
        listener: (kind & 16 > 0).then(|| Listener {
            waiting: next(),
            most: next(),
        }),
    })
    .filter(|_| kind & 32 == 0)
}

/// Everything through the analyser. With `kernel` the sockets of what waits are asked about, with
/// these bytes as answers, and what was said is kept.
fn run(reader: &mut CaptureReader, reports: &mut Reports<'_>, kernel: Option<&[u8]>) -> Said {
    let mut analyzer = Analyzer::new(Options {
        asks_kernel: kernel.is_some(),
        messages: kernel.map(<[u8]>::len),
        ..Options::default()
    });
    let mut choices = kernel.unwrap_or_default().iter().copied().cycle();
    let mut errors = Vec::new();
    for _ in 0..MAX_FRAMES {
        match reader.next() {
            Some(Ok(frame)) => {
                reports.0.frame(frame.id, frame.time);
                tell(&mut reports.1, ReportEvent::Begin(frame.id, frame.time));
                if let Some(now) = analyzer.ask_at().filter(|_| kernel.is_some()) {
                    let now = now.max(frame.time);
                    analyzer.ask(now, &mut |_, _| answer(&mut choices, now));
                }
                analyzer.frame(&frame, &mut All(reports));
            }
            Some(Err(error)) => {
                errors.push(error.to_string());
                continue;
            }
            None => break,
        }
        analyzer.set_dropped(reader.dropped());
        tell(&mut reports.1, ReportEvent::AfterFrame);
    }
    analyzer.finish(&mut All(reports));
    reports.0.finish(analyzer.totals());
    let source = reader.sources()[0].clone();
    let capture = Capture {
        totals: analyzer.totals().clone(),
        dropped: reader.dropped(),
        errors,
        ..Capture::default()
    };
    for comment in reader.comments() {
        let event = ReportEvent::Comment(comment.frame, &comment.text);
        tell(&mut reports.1, event);
    }
    let source = Source {
        kind: source.kind.as_str().to_owned(),
        name: source.name.clone(),
        interfaces: source.interfaces.clone(),
    };
    tell(&mut reports.1, ReportEvent::Sources(&[source]));
    tell(&mut reports.1, ReportEvent::Finish(&capture));
    let exchanges = reports.0.exchanges.iter();
    let said = exchanges.map(|one| (one.id, one.verdict, one.doubt, one.gaps));
    said.collect()
}
