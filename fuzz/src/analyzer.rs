//! A capture file through everything, to one of three reports.

use super::judge::Judge;
use super::{file, json};
use meshsniff::capture::{CaptureReader, Input};
use meshsniff::condition::Filter;
use meshsniff::event::{Capture, Report, ReportEvent, Source};
use meshsniff::exchange::{Connection, Exchange};
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::report::text::{TextOptions, TextReport};
use meshsniff::{Analyzer, Options, Sink};

/// Frames looked at: a small file may unpack to a very large one.
const MAX_FRAMES: usize = 5_000;

type Reports<'a> = (Judge, Box<dyn Report + 'a>);

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
    let input = Input::from_bytes("fuzz", file);
    let Ok(mut reader) = CaptureReader::open(vec![input]) else {
        return;
    };
    let mut written = Vec::new();
    let out = &mut written;
    // One report of each input: three of the same one take thrice as long and cover little more.
    let which = data.last().map_or(0, |last| last % 3);
    let json = |out, style| JsonReport::new(out, style, Filter::default(), true);
    let report: Box<dyn Report + '_> = match which {
        0 => Box::new(json(out, Style::Document)),
        1 => Box::new(json(out, Style::Lines { live: false })),
        _ => {
            let all = TextOptions {
                all: true,
                drawing: true,
                probes: true,
                ..TextOptions::default()
            };
            Box::new(TextReport::new(out, all))
        }
    };
    let mut reports = (Judge::default(), report);
    run(&mut reader, &mut reports);
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
        _ => {
            let text = String::from_utf8(written).expect("a report of text");
            let control = text.chars().find(|&c| c.is_control() && c != '\n');
            assert_eq!(control, None, "a control character reaches the terminal");
        }
    }
}

fn run(reader: &mut CaptureReader, reports: &mut Reports<'_>) {
    let mut analyzer = Analyzer::new(Options::default());
    let mut errors = Vec::new();
    for _ in 0..MAX_FRAMES {
        match reader.next() {
            Some(Ok(frame)) => {
                reports.0.frame(frame.id, frame.time);
                tell(&mut reports.1, ReportEvent::Begin(frame.id, frame.time));
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
}
