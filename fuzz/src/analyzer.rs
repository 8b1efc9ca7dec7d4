//! A capture file through everything, to all three reports.

use super::judge::Judge;
use meshsniff::capture::{CaptureReader, Input};
use meshsniff::condition::Filter;
use meshsniff::event::{Capture, Many, Report, ReportEvent, Source};
use meshsniff::exchange::{Connection, Exchange};
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::report::text::{TextOptions, TextReport};
use meshsniff::{Analyzer, Options, Sink};

/// Frames looked at: a small file may unpack to a very large one.
const MAX_FRAMES: usize = 5_000;

type Reports<'a> = (Judge, Many<Box<dyn Report + 'a>>);

/// Hands everything to the judge and to every report.
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

fn tell(report: &mut impl Report, event: ReportEvent<'_>) {
    report.tell(event).expect("memory can be written to");
}

/// Reports that parse, of exchanges that make sense.
pub fn check(data: &[u8]) {
    let input = Input::from_bytes("fuzz", data.to_vec());
    let Ok(mut reader) = CaptureReader::open(vec![input]) else {
        return;
    };
    let (mut document, mut lines, mut text) = (Vec::new(), Vec::new(), Vec::new());
    let all = TextOptions {
        all: true,
        probes: true,
        ..TextOptions::default()
    };
    let exchanges = {
        let mut reports: Reports<'_> = (
            Judge::default(),
            Many(vec![
                Box::new(JsonReport::new(
                    &mut document,
                    Style::Document,
                    Filter::default(),
                    true,
                )),
                Box::new(JsonReport::new(
                    &mut lines,
                    Style::Lines { live: false },
                    Filter::default(),
                    true,
                )),
                Box::new(TextReport::new(&mut text, all)),
            ]),
        );
        run(&mut reader, &mut reports);
        reports.0.exchanges.len()
    };

    let document: serde_json::Value =
        serde_json::from_slice(&document).expect("the document parses");
    assert_eq!(
        document["exchanges"].as_array().map(Vec::len),
        Some(exchanges)
    );
    assert_eq!(document["summary"]["exchanges"], exchanges);
    let lines = String::from_utf8(lines).expect("lines of text");
    let of_lines = lines.lines().filter(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("the line parses");
        line["type"] == "exchange"
    });
    assert_eq!(of_lines.count(), exchanges);
    let text = String::from_utf8(text).expect("a report of text");
    let control = text.chars().find(|&c| c.is_control() && c != '\n');
    assert_eq!(control, None, "a control character reaches the terminal");
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
