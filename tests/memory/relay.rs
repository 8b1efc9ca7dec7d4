//! Reports without end, as a hostile agent sends them: this program keeps no more of them than it
//! was given, in every format.

use super::HEAP;
use libtest_mimic::{Failed, Trial};
use meshsniff::assertion::{Assertion, Rules, WithAssertions};
use meshsniff::condition::Filter;
use meshsniff::event::Report;
use meshsniff::relay::{Gathered, Receiver};
use meshsniff::report::csv::CsvReport;
use meshsniff::report::har::HarReport;
use meshsniff::report::html::HtmlReport;
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::report::junit::JunitReport;
use meshsniff::report::markdown::MarkdownReport;
use meshsniff::report::svg::{SvgOf, SvgReport};
use meshsniff::report::text::{TextOptions, TextReport};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::LazyLock;

/// What a report may take in MiB, whatever comes one by one; and of what is summed up, whose tables
/// are larger.
const MOST: usize = 24;
const MOST_OF_SLOWEST: usize = 64;
const MOST_OF_SUMS: usize = 256;
const MOST_OF_ROUTES: usize = 800;
/// MiB of lines sent: more than may be kept.
const SENT: usize = 40;
/// The same of sums.
const SENT_OF_SUMS: usize = 136;
/// Lines sent, at most: of short ones time is the limit.
const LINES: u64 = 5_000;

/// One line of each kind.
const EACH: &str = include_str!("../../crates/meshsniff/src/relay/lines.jsonl");

/// The line of a kind that comes first in the list, as far as there are several.
fn line_of(kind: &str) -> Value {
    let mut lines = EACH
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let line = lines.find(|line: &Value| line.get(kind).is_some());
    line.unwrap_or_else(|| panic!("no line of kind {kind}"))
}

/// An exchange that no other is like, with texts as long as a line may be.
fn exchange(kind: &str, number: u64) -> Value {
    let mut line = line_of(kind);
    let exchange = &mut line[kind];
    exchange["id"] = json!(number);
    exchange["server"] = json!(format!("10.{}.{}.5:3000", number / 250 % 250, number % 250));
    exchange["doubt"] = Value::Null;
    exchange["path"] = json!(format!("/{number}/{}", "p".repeat(400_000)));
    exchange["authority"] = json!("h".repeat(200_000));
    exchange["caller"] = json!("c".repeat(200_000));
    exchange["relations"] = json!({"retry_of": null, "retried_as": null, "behind": null,
        "front": null});
    line
}

/// The same of one that went well, and took longer than all before.
fn good(kind: &str, number: u64) -> Value {
    let mut line = exchange(kind, number);
    let exchange = &mut line[kind];
    exchange["verdict"] = json!("ok");
    exchange["status"] = json!(200);
    exchange["gaps"]["wait"] = json!(1_000_000 + number);
    exchange["gaps"]["total"] = json!(1_000_000 + number);
    line
}

/// An exchange with as many frames as there may be.
fn frames(number: u64) -> String {
    static LINE: LazyLock<String> = LazyLock::new(|| {
        let mut line = line_of("Exchange");
        let exchange = &mut line["Exchange"];
        exchange["id"] = json!("ID");
        exchange["server"] = json!("10.0.0.5:PORT");
        exchange["doubt"] = Value::Null;
        let mark = json!({"frame": 7, "time": 1_795_507_200_001_500_000_u64, "order": 7});
        let finding = json!({"kind": "late-response", "side": "server", "cost": 1,
            "frames": vec![mark.clone(); 64]});
        exchange["findings"] = json!(vec![finding; 128]);
        exchange["events"]["interim"] = json!(vec![json!([mark, 103]); 128]);
        line.to_string()
    });
    let port = number % 60_000 + 1;
    LINE.replacen("\"ID\"", &number.to_string(), 1)
        .replacen("PORT", &port.to_string(), 1)
}

/// A row with a count in the last bucket that there is.
fn route(kind: &str, number: u64) -> Value {
    let mut line = line_of(kind);
    let row = &mut line[kind];
    row["route"]["path"] = json!(format!("/{number}"));
    for gap in ["response", "total", "wait"] {
        row[gap] = json!([[0, 1]]);
    }
    line
}

/// Values of a tally that reach from the first bucket to the last.
fn tally(number: u64) -> Value {
    let tally = number.saturating_sub(1) / 3;
    match number {
        0 => json!({"Tally": {"counts": vec![json!([9, 9]); 256]}}),
        _ if number % 3 == 1 => {
            json!({"Tally": {"values": [tally, {"values": {"min": -9, "max": 9, "few": []}}]}})
        }
        _ => json!({"Tally": {"values": [tally, {"buckets": {"below": number % 3 == 2,
            "counts": [[0, 1], [56_000, 1]]}}]}}),
    }
}

type Lines = fn(u64) -> String;

/// What is sent without end, and what a report of it may take.
const ENDLESS: [(&str, usize, Lines); 16] = [
    ("exchanges that failed", MOST, |number| {
        exchange("Exchange", number).to_string()
    }),
    ("exchanges that went well", MOST, |number| {
        good("Exchange", number).to_string()
    }),
    ("exchanges of many frames", MOST, frames),
    ("slowest exchanges", MOST_OF_SLOWEST, |number| {
        good("Slow", number).to_string()
    }),
    ("connections", MOST, |number| {
        let mut line = line_of("Connection");
        let connection = &mut line["Connection"];
        connection["id"] = json!(number);
        connection["server"] = json!(format!("10.1.{}.{}:53", number / 250 % 250, number % 250));
        connection["dns"]["names"] = json!(vec!["n".repeat(1_000); 8]);
        line.to_string()
    }),
    ("comments", MOST, |number| {
        json!({"Comment": [number + 1, "c".repeat(60_000)]}).to_string()
    }),
    ("comments that say nothing", MOST, |_| {
        json!({"Comment": [1, ""]}).to_string()
    }),
    (
        "comments on all frames of an exchange",
        MOST,
        |number| match number {
            0 => json!({"Begin": [7, 1_795_507_200_000_000_000_u64]}).to_string(),
            1..=60 => json!({"Comment": [7, "c".repeat(60_000)]}).to_string(),
            number if number % 3 == 0 => json!("After").to_string(),
            number if number % 3 == 1 => {
                let frame = 7 + 2 * (number / 3 % 2);
                json!({"Begin": [frame, 1_795_507_200_000_000_000_u64]}).to_string()
            }
            number => frames(number),
        },
    ),
    ("sources", MOST, |number| {
        let names = vec![format!("{number}{}", "n".repeat(900)); 1_000];
        json!({"Sources": [{"kind": "live", "name": "pod", "interfaces": names}]}).to_string()
    }),
    ("routes", MOST_OF_ROUTES, |number| {
        route("Route", number).to_string()
    }),
    ("recent routes", MOST, |number| {
        route("Recent", number).to_string()
    }),
    ("tallies", MOST_OF_SUMS, |number| tally(number).to_string()),
    ("totals", MOST, |number| {
        let totals: Vec<_> = (0..4_096)
            .map(|at| json!([number * 4_096 + at, 1]))
            .collect();
        json!({"Summary": {"totals": totals}}).to_string()
    }),
    ("closes", MOST_OF_SUMS, |number| {
        let close = |at: u64| {
            json!({"kind": "give-up", "server": "10.0.0.5:1", "by": "client",
            "gap": number * 256 + at, "at": null, "route": "r".repeat(290)})
        };
        let closes: Vec<_> = (0..256).map(close).collect();
        json!({"Summary": {"closes": {"left_out": 0, "closes": closes}}}).to_string()
    }),
    ("endings", MOST, |number| {
        let ending = |at: u64| {
            json!({"server": "10.0.0.5:1", "happened": "refused",
            "at": 1_795_507_200_000_000_000_u64 + number * 4_096 + at})
        };
        let endings: Vec<_> = (0..4_096).map(ending).collect();
        json!({"Summary": {"endings": endings}}).to_string()
    }),
    ("signs of life", MOST, |_| line_of("Progress").to_string()),
];

/// Nobody's output.
struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Start = fn() -> Box<dyn Report>;

const FORMATS: [(&str, Start); 10] = [
    ("json", || {
        Box::new(JsonReport::new(
            Nowhere,
            Style::Document,
            Filter::default(),
            false,
        ))
    }),
    ("jsonl", || {
        let style = Style::Lines { live: true };
        Box::new(JsonReport::new(Nowhere, style, Filter::default(), false))
    }),
    ("text", || {
        Box::new(TextReport::new(Nowhere, TextOptions::default()))
    }),
    ("text of all", || {
        let all = TextOptions {
            all: true,
            slowest: 1_000,
            drawing: true,
            ..TextOptions::default()
        };
        Box::new(TextReport::new(Nowhere, all))
    }),
    ("junit", || {
        Box::new(JunitReport::new(Nowhere, Filter::default(), false))
    }),
    ("md", || {
        Box::new(MarkdownReport::new(Nowhere, Filter::default(), false))
    }),
    ("html", || {
        Box::new(HtmlReport::new(Nowhere, Filter::default(), false))
    }),
    ("csv", || {
        Box::new(CsvReport::new(Nowhere, Filter::default(), true))
    }),
    ("har", || {
        Box::new(HarReport::new(Nowhere, Filter::default()))
    }),
    ("svg", || {
        Box::new(SvgReport::new(
            Nowhere,
            Filter::default(),
            false,
            SvgOf::Worst,
        ))
    }),
];

/// Sends lines to a report, so many MiB; returns the peak of memory, and what was wrong.
fn send(start: Start, lines: Lines, most: usize) -> Result<(usize, Vec<String>), Failed> {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let rules = Rules {
        assertions: vec![Assertion::parse("client-gave-up").map_err(|error| error.to_string())?],
        ..Rules::default()
    };
    let mut report = WithAssertions::new(start(), rules);
    let mut gathered = Gathered::new(vec!["shop/catalog".to_owned()]);
    let mut receiver = Receiver::new(0);
    let head = [line_of("Format"), line_of("Sources")].map(|line| line.to_string());
    let endless = head.into_iter().chain((0..LINES).map(lines));
    let (mut sent, mut longest) = (0, 0);
    for line in endless {
        sent += line.len();
        longest = longest.max(line.len());
        if sent > most << 20 {
            break;
        }
        if let Err(error) = receiver.line(line.as_bytes(), &mut gathered, &mut report) {
            gathered.error(error.to_string());
            break;
        }
    }
    receiver.close(&mut gathered);
    let capture = gathered.finish(&mut report)?;
    // What makes the lines is no part of what is measured.
    let peak = (HEAP.peak_usage() - before).saturating_sub(4 * longest);
    Ok((peak, capture.errors))
}

fn bounded(start: Start, lines: Lines, most: usize) -> Result<(), Failed> {
    let (peak, errors) = send(start, lines, SENT)?;
    if peak > most << 20 {
        let mebibytes = peak as f64 / f64::from(1 << 20);
        return Err(format!("{mebibytes:.1} MiB: {errors:?}").into());
    }
    // A report that was cut says so.
    if errors.is_empty() {
        return Err("nothing is said to be missing".into());
    }
    Ok(())
}

/// Whether a report ends with the sentence that it grew.
fn ends(lines: Lines, most: usize) -> Result<(), Failed> {
    let (_, errors) = send(FORMATS[1].1, lines, most)?;
    let grew = "the report of shop/catalog grew beyond";
    if errors.iter().any(|error| error.starts_with(grew)) {
        return Ok(());
    }
    Err(format!("{errors:?}").into())
}

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (at, (what, most, lines)) in ENDLESS.into_iter().enumerate() {
        for (format, start) in FORMATS {
            // What is told one by one each format keeps in its own way; of sums all keep the same.
            let tries = match at {
                0 => true,
                1..5 => ["text of all", "html"].contains(&format),
                _ => format == "html",
            };
            if tries {
                let name = format!("endless {what}: {format}");
                trials.push(Trial::test(name, move || bounded(start, lines, most)));
            }
        }
    }
    for (what, sent) in [
        ("slowest exchanges", SENT),
        ("closes", SENT_OF_SUMS),
        ("tallies", SENT),
    ] {
        let of = ENDLESS.into_iter().find(|(name, ..)| *name == what);
        let lines = of.map(|(.., lines)| lines);
        trials
            .extend(lines.map(|lines| {
                Trial::test(format!("endless {what} end"), move || ends(lines, sent))
            }));
    }
    trials
}
