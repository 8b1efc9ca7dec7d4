//! The report for a terminal.
//!
//! The figures come first, then the exchanges that did not go well as small timelines, then the
//! slowest good ones. The figures are only known at the end, so the timelines wait: the first ones
//! in memory, sorted, the rest (only without a limit) in a temporary file.

mod connection;
mod conversation;
mod frames;
mod glance;
mod overview;
pub(super) mod paint;
mod plain;
mod spoken;
mod timeline;

use super::drawing::Gathering;
use super::explain;
use super::facts::{Facts, Standing};
use super::problems::Told;
use crate::condition::Filter;
use crate::event::{Capture, Report, ReportEvent};
use crate::exchange::Exchange;
use crate::packet::Mark;
use crate::statistics::problems::Example;
use crate::statistics::slowest::Slowest;
use crate::statistics::{Problem, Summary};
use crate::time::Timestamp;
use paint::{Paint, columns};
use std::io::{self, Seek as _, SeekFrom, Write};
use tempfile::SpooledTempFile;
use timeline::Canvas;

/// How the text looks, and what it holds.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// Escape sequences for colour.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// Whether every exchange has a timeline, not only those that did not go well.
    pub all: bool,
    /// How many timelines to show; 0 for all.
    pub limit: usize,
    /// How many of the slowest good exchanges to show.
    pub slowest: usize,
    /// Whether a small drawing of the capture stands after the problems, for a terminal.
    pub drawing: bool,
    /// Whether health checkers are shown and counted like everybody else.
    pub probes: bool,
    /// Which exchanges the report is about.
    pub filter: Filter,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            colour: false,
            width: 100,
            all: false,
            limit: 50,
            slowest: 5,
            drawing: false,
            probes: false,
            filter: Filter::default(),
        }
    }
}

pub use conversation::{
    ConversationOptions, SECRET_FIELDS, conversation, push_ends, push_explanation,
};
pub(super) use overview::{noted, read};
pub(super) use paint::Ink;
pub(super) use plain::{frames_in_words, plain_connection, plain_timeline, request};
pub(super) use timeline::{Line, MAX_FINDINGS, MAX_FRAMES, lines};

/// Exchanges that wait for the comment of the current frame.
const MAX_FRESH: usize = 500;
/// Bytes of timelines that are sorted in memory.
const SORTED: usize = 8 << 20;
/// Bytes of further timelines that wait in memory rather than in a file.
const SPOOL: usize = 4 << 20;

/// Timelines that wait for the head of the report.
struct Blocks {
    /// Timelines with their first frame, by which they are sorted.
    sorted: Vec<(Mark, String)>,
    bytes: usize,
    /// Further timelines, in the order in which they settled.
    rest: SpooledTempFile,
    has_rest: bool,
    shown: usize,
    /// The number of timelines beyond the limit.
    left_out: u64,
}

/// A report as text.
pub struct TextReport<W: Write> {
    out: W,
    options: TextOptions,
    facts: Facts,
    /// Exchanges of the current frame, whose comment may not be known yet.
    fresh: Vec<Exchange>,
    blocks: Blocks,
    slowest: Slowest,
    /// The number of good exchanges with a time to be ranked by.
    ranked: u64,
    /// What is drawn, if something is.
    gathered: Option<Gathering>,
}

impl<W: Write> TextReport<W> {
    /// Creates a report that is written to `out`.
    pub fn new(out: W, options: TextOptions) -> Self {
        Self {
            out,
            facts: Facts::new(options.filter.clone(), options.probes),
            gathered: options.drawing.then(Gathering::default),
            options,
            fresh: Vec::new(),
            blocks: Blocks {
                sorted: Vec::new(),
                bytes: 0,
                rest: SpooledTempFile::new(SPOOL),
                has_rest: false,
                shown: 0,
                left_out: 0,
            },
            slowest: Slowest::default(),
            ranked: 0,
        }
    }

    /// The figures so far.
    pub const fn summary(&self) -> &Summary {
        &self.facts.summary
    }

    const fn paint(&self) -> Paint {
        Paint {
            colour: self.options.colour,
        }
    }

    fn canvas(&self, first: Timestamp) -> Canvas<'_> {
        Canvas {
            paint: self.paint(),
            width: self.options.width,
            origin: self.facts.origin.unwrap_or(first),
            captured: &self.facts.sources,
            sources: &self.facts.source_names,
            comments: &self.facts.comments,
            names: &self.facts.names,
            numbering: self.facts.numbering(),
        }
    }

    fn has_room(&mut self) -> bool {
        let room =
            self.options.limit == 0 || self.blocks.shown + self.fresh.len() < self.options.limit;
        self.blocks.left_out += u64::from(!room);
        room
    }

    fn render_fresh(&mut self) -> io::Result<()> {
        for exchange in std::mem::take(&mut self.fresh) {
            let mut block = String::new();
            self.canvas(exchange.start())
                .exchange(&mut block, &exchange);
            self.add(exchange.events.request_start, block)?;
        }
        Ok(())
    }

    fn add(&mut self, first: Mark, block: String) -> io::Result<()> {
        let blocks = &mut self.blocks;
        blocks.shown += 1;
        if !blocks.has_rest && blocks.bytes + block.len() <= SORTED {
            blocks.bytes += block.len();
            blocks.sorted.push((first, block));
            return Ok(());
        }
        blocks.has_rest = true;
        blocks.rest.write_all(block.as_bytes())
    }

    /// Keeps `exchange` if it is among the slowest.
    fn rank(&mut self, exchange: &Exchange) {
        if let Some(took) = exchange.slowness() {
            let room = self.options.slowest;
            self.slowest.offer(took, room, || exchange.kept());
        }
    }

    fn exchange(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.draw(exchange);
        let good = exchange.good();
        if good == Some(true) {
            self.ranked += u64::from(exchange.slowness().is_some());
            self.rank(exchange);
        }
        if self.options.all && self.has_room() {
            self.fresh.push(exchange.kept());
            // At the end of a capture any number may come at once.
            if self.fresh.len() >= MAX_FRESH {
                return self.render_fresh();
            }
        }
        Ok(())
    }

    fn draw(&mut self, exchange: &Exchange) {
        if let Some(gathered) = &mut self.gathered {
            gathered.exchange(exchange);
        }
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        self.render_fresh()?;
        let (summary, names) = (&self.facts.summary, &self.facts.names);
        let gathered = self.gathered.take();
        let drawing = gathered.and_then(|gathered| gathered.drawing(summary, capture, names));
        let told = Told::of(&self.facts, capture);
        let mut head = String::new();
        overview::push(
            &mut head,
            self.paint(),
            self.options.width,
            &self.facts,
            capture,
            (&told, drawing.as_ref()),
        );
        overview::assertions(
            &mut head,
            self.paint(),
            self.options.width,
            &self.facts.outcomes,
        );
        self.out.write_all(head.as_bytes())?;
        let problems = told.problems;
        if !self.options.all {
            self.examples(&problems)?;
        }
        let untroubled = problems.is_empty() && self.facts.summary.findings().next().is_none();
        self.write_blocks()?;
        self.write_slowest(untroubled)?;
        self.out.flush()
    }

    /// Renders an example of each problem that is told.
    fn examples(&mut self, problems: &[Problem]) -> io::Result<()> {
        for problem in problems.iter().take(overview::MAX_PROBLEMS) {
            let Some(example) = &problem.example else {
                continue;
            };
            if !self.has_room() {
                continue;
            }
            let (mut block, first) = (String::new(), example.first());
            let canvas = self.canvas(first.time);
            match example {
                Example::Exchange(exchange) => canvas.exchange(&mut block, exchange),
                Example::Connection(connection) => canvas.connection(&mut block, connection),
            }
            self.add(first, block)?;
        }
        Ok(())
    }

    fn write_blocks(&mut self) -> io::Result<()> {
        let blocks = &mut self.blocks;
        let mut head = String::new();
        if blocks.shown > 0 {
            let title = if self.options.all {
                "Every exchange"
            } else {
                "For example"
            };
            let paint = Paint {
                colour: self.options.colour,
            };
            paint.push(&mut head, Ink::Bold, title);
            head.push_str("\n\n");
        }
        self.out.write_all(head.as_bytes())?;
        // Frames of several live targets have no common order but time.
        let several = self.facts.sources.len() > 1;
        if self.options.all {
            blocks
                .sorted
                .sort_by_key(|(first, _)| (several.then_some(first.time), first.order));
        }
        for (_, block) in blocks.sorted.drain(..) {
            self.out.write_all(block.as_bytes())?;
        }
        if blocks.has_rest {
            blocks.rest.seek(SeekFrom::Start(0))?;
            io::copy(&mut blocks.rest, &mut self.out)?;
        }
        if blocks.left_out > 0 {
            let more = blocks.left_out;
            let are = if more == 1 { "is" } else { "are" };
            writeln!(
                self.out,
                "… and there {are} {more} more of these (--limit 0 shows all, --filter-http \
                 selects)\n"
            )?;
        }
        Ok(())
    }

    fn write_slowest(&mut self, untroubled: bool) -> io::Result<()> {
        let mut text = String::new();
        let [good, not_good, unknown] = self.facts.summary.goodness;
        if good > 0 && not_good + unknown == 0 && untroubled {
            self.paint()
                .push(&mut text, Ink::Good, "Every exchange went well.");
            text.push_str("\n\n");
        }
        let slowest: Vec<&Exchange> = self.slowest.iter().collect();
        if !slowest.is_empty() {
            self.paint()
                .push(&mut text, Ink::Bold, "Slowest of the good ones");
            if self.ranked > slowest.len() as u64 {
                text.push_str(" (");
                crate::number::grouped(&mut text, slowest.len() as u64);
                text.push_str(" of ");
                crate::number::grouped(&mut text, self.ranked);
                text.push(')');
            }
            text.push_str("\n\n");
            let names = &self.facts.names;
            let servers = slowest.iter();
            let servers: Vec<String> = servers
                .map(|exchange| overview::server_in(exchange.server, names, self.options.width / 3))
                .collect();
            let widest = servers.iter().map(|server| columns(server)).max();
            let widest = widest.unwrap_or(0).max("server".len());
            let mut head = String::from("  ");
            paint::right(&mut head, "waited", "1234567.890 ms".len());
            head.push_str("   ");
            paint::left(&mut head, "status", timeline::STATUS);
            paint::left(&mut head, "server", widest + 2);
            if self.options.width >= timeline::NARROW {
                paint::left(&mut head, "frames", timeline::FRAMES);
            }
            head.push_str("request");
            self.paint().push(&mut text, Ink::Dim, &head);
            text.push('\n');
            for (exchange, server) in slowest.into_iter().zip(&servers) {
                timeline::row(
                    &mut text,
                    self.paint(),
                    exchange,
                    (server, widest),
                    self.options.width,
                );
            }
        }
        self.out.write_all(text.as_bytes())
    }
}

impl<W: Write> Report for TextReport<W> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        let listed = self.facts.tell(event) == Standing::Listed;
        match event {
            ReportEvent::Exchange(exchange) if listed => self.exchange(exchange),
            ReportEvent::Connection(connection)
                if listed && self.options.all && explain::is_notable(connection) =>
            {
                if !self.has_room() {
                    return Ok(());
                }
                let mut block = String::new();
                self.canvas(connection.first.time)
                    .connection(&mut block, connection);
                self.add(connection.first, block)
            }
            ReportEvent::Aggregate(aggregate) => {
                self.ranked = self.ranked.saturating_add(aggregate.ranked);
                for exchange in &aggregate.slowest {
                    self.rank(exchange);
                    self.draw(exchange);
                }
                Ok(())
            }
            ReportEvent::AfterFrame => self.render_fresh(),
            ReportEvent::Lost(lost) => {
                if let Some(gathered) = &mut self.gathered {
                    gathered.lost(lost);
                }
                Ok(())
            }
            ReportEvent::Finish(capture) => self.finish(capture),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Source;
    use crate::exchange::Connection;
    use crate::packet::FrameId;
    use crate::testing::fixtures;
    use crate::time::Span;

    fn report_of(
        options: TextOptions,
        exchanges: &[Exchange],
        connections: &[Connection],
    ) -> String {
        report_from("file", "ut.pcap", options, exchanges, connections)
    }

    fn report_from(
        kind: &str,
        name: &str,
        options: TextOptions,
        exchanges: &[Exchange],
        connections: &[Connection],
    ) -> String {
        let mut out = Vec::new();
        let mut report = TextReport::new(&mut out, options);
        report
            .tell(ReportEvent::Sources(&[Source {
                kind: kind.into(),
                name: name.into(),
                interfaces: Vec::new(),
            }]))
            .unwrap();
        report
            .tell(ReportEvent::Begin(FrameId::new(0, 1), fixtures::ORIGIN))
            .unwrap();
        report.tell(ReportEvent::AfterFrame).unwrap();
        for exchange in exchanges {
            report.tell(ReportEvent::Exchange(exchange)).unwrap();
        }
        for connection in connections {
            report.tell(ReportEvent::Connection(connection)).unwrap();
        }
        let mut capture = Capture::default();
        capture.totals.frames = 272;
        capture.totals.bytes = 31_698;
        capture.totals.first = Some(fixtures::ORIGIN);
        capture.totals.last = Some(fixtures::ORIGIN.plus(Span::from_millis(92_524)));
        report.tell(ReportEvent::Finish(&capture)).unwrap();
        drop(report);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_proxys_log_is_looked_into_where_there_is_one() {
        let of = |kind, name, id: Option<&str>| {
            let mut exchange = fixtures::gave_up();
            exchange.request_id = id.map(Into::into);
            let options = TextOptions::default();
            let text = report_from(kind, name, options, &[exchange], &[]);
            let line = text.lines().find(|line| line.contains("In its log"));
            line.map(|line| line.trim().to_owned())
        };
        let line = of("live", "shop/catalog-7d9f", Some("d3bf; rm -rf /"));
        let wanted = "In its log: kubectl logs catalog-7d9f -n shop --all-containers | grep -F -e \
                      'd3bf; rm -rf /'";
        assert_eq!(line.as_deref(), Some(wanted));
        for (kind, name, id) in [
            ("file", "shop/ut.pcap", Some("d3bf")),
            ("live", "node/worker", Some("d3bf")),
            ("live", "this machine", Some("d3bf")),
            ("live", "shop/catalog-7d9f", None),
            ("live", "shop/catalog-7d9f", Some("redacted")),
        ] {
            assert_eq!(of(kind, name, id), None, "{kind} {name} {id:?}");
        }
    }

    #[test]
    fn the_tutorials_case_is_told_in_five_seconds() {
        let mut exchanges = vec![fixtures::ok(), fixtures::ok(), fixtures::ok()];
        exchanges.push(fixtures::gave_up());
        let text = report_of(TextOptions::default(), &exchanges, &[]);
        for expected in [
            "ut.pcap   272 frames, 31.6 kB, 92.52 s from 2026-11-24T08:00:00.000000000Z",
            "4 exchanges: 3 ok, 1 client-gave-up",
            "75.00 %",
            "100.00 %",
            "✗ GET /items   client-gave-up",
            "127.0.0.6:48764 (Istio's sidecar) → 10.244.0.5:3000, host catalog",
            "4185       90.518612   ─────────▶   GET /items, 161 bytes",
            "4186       90.518640   ◀─────────   ACK ",
            "4192       91.020323   ─────────▶   FIN: the client closes",
            "501.683 ms after the ACK",
            "200, too late",
            "found: late-response, 1503.512 ms (frame 4303)",
            "Envoy would log: DC at the sidecar; UT or DC at its caller (a \
             guess)",
            "Slowest of the good ones",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        let head = text.find("4 exchanges").unwrap();
        let bad = text.find("For example").unwrap();
        let slow = text.find("Slowest").unwrap();
        assert!(head < bad && bad < slow);
    }

    #[test]
    fn a_late_ack_is_not_what_the_close_is_measured_from() {
        let mut exchange = fixtures::gave_up();
        exchange.gaps.request_to_ack = Some(Span::from_millis(40));
        let text = report_of(TextOptions::default(), &[exchange], &[]);
        assert!(text.contains("501.711 ms after the request"), "{text}");
    }

    #[test]
    fn every_verdict_can_be_drawn() {
        let connections = [
            fixtures::connection(),
            fixtures::refused(),
            fixtures::connect_timeout(),
        ];
        let options = TextOptions {
            all: true,
            limit: 0,
            ..TextOptions::default()
        };
        let text = report_of(options, &fixtures::every_verdict(), &connections);
        for exchange in fixtures::every_verdict() {
            assert!(text.contains(exchange.verdict.name()));
        }
        assert!(text.contains("connect-refused") && text.contains("connect-timeout"));
        assert!(text.contains("SYN, sent 3 times"), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert!(
            text.lines().all(|line| line.chars().count() <= 130),
            "{text}"
        );
    }

    #[test]
    fn more_than_the_limit_is_counted() {
        let many = vec![fixtures::gave_up(); 60];
        let options = TextOptions {
            all: true,
            ..TextOptions::default()
        };
        let text = report_of(options.clone(), &many, &[]);
        assert_eq!(text.matches("✗ GET /items").count(), 50);
        assert!(text.contains("there are 10 more"), "{text}");
        let options = TextOptions {
            all: true,
            limit: 0,
            ..TextOptions::default()
        };
        let text = report_of(options, &many, &[]);
        assert_eq!(text.matches("✗ GET /items").count(), 60);
    }

    #[test]
    fn a_problem_is_told_once_with_one_timeline() {
        let mut exchanges = vec![fixtures::ok(), fixtures::ok()];
        exchanges.extend(vec![fixtures::gave_up(); 60]);
        let text = report_of(TextOptions::default(), &exchanges, &[]);
        assert!(
            text.contains(
                "1. GET /items on 10.244.0.5:3000: the caller gave up on 60 of 62 requests after \
                 501.7 ms, a timer,\n   probably 500 ms."
            ),
            "{text}"
        );
        assert_eq!(text.matches("✗ GET /items").count(), 1, "{text}");
        assert_eq!(
            text.matches("a timer").count() + text.matches("a\n   timer").count(),
            1
        );
        let problem = text.find("1. GET /items").unwrap();
        let rates = text.find("client saw").unwrap();
        assert!(problem < rates && rates < text.find("For example").unwrap());
    }

    #[test]
    fn without_limit_memory_has_one() {
        let many = vec![fixtures::gave_up(); 12_000];
        let options = TextOptions {
            all: true,
            limit: 0,
            ..TextOptions::default()
        };
        let text = report_of(options, &many, &[]);
        assert_eq!(text.matches("✗ GET /items").count(), 12_000);
    }

    #[test]
    fn the_slowest_come_first() {
        let exchanges: Vec<Exchange> = (0..20)
            .map(|n| {
                let mut exchange = fixtures::ok();
                exchange.path = Some(format!("/n{n}").into());
                exchange.gaps.wait = Some(Span::from_millis((n * 7) % 20));
                exchange
            })
            .collect();
        let text = report_of(TextOptions::default(), &exchanges, &[]);
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("GET /n"))
            .collect();
        assert_eq!(rows.len(), 5);
        assert!(rows[0].contains("19.000 ms") && rows[4].contains("15.000 ms"));
        assert!(text.contains("(5 of 20)"));
        assert!(text.contains("Every exchange went well."));
        let none = TextOptions {
            slowest: 0,
            ..TextOptions::default()
        };
        assert!(!report_of(none, &exchanges, &[]).contains("Slowest"));
    }

    #[test]
    fn probes_are_left_out_unless_asked_for() {
        let probe = Exchange {
            probe: true,
            ..fixtures::gave_up()
        };
        let text = report_of(TextOptions::default(), std::slice::from_ref(&probe), &[]);
        assert!(text.contains("1 is a probe") && !text.contains("For example"));
        let asked = TextOptions {
            probes: true,
            ..TextOptions::default()
        };
        let text = report_of(asked, &[probe], &[]);
        assert!(text.contains("(probe)"), "{text}");
    }

    #[test]
    fn it_fits_a_narrow_terminal() {
        for width in [60, 80] {
            let options = TextOptions {
                width,
                ..TextOptions::default()
            };
            let text = report_of(options, &fixtures::every_verdict(), &[fixtures::refused()]);
            // What is to be copied stands in one line.
            let whole = |line: &&str| !line.contains("Wireshark: ") && !line.contains("next: ");
            for line in text.lines().filter(whole) {
                assert!(paint::columns(line) <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn nothing_from_the_wire_reaches_the_terminal_raw() {
        let hostile = "/\u{1b}[2J\u{9b}\u{202e}\r\n\u{7}";
        let exchange = Exchange {
            method: Some("G\u{1b}ET".into()),
            path: Some(hostile.into()),
            authority: Some(hostile.into()),
            request_id: Some(hostile.into()),
            ..fixtures::gave_up()
        };
        let slow = Exchange {
            path: Some(hostile.into()),
            ..fixtures::ok()
        };
        let many = vec![exchange; 3];
        let text = report_of(TextOptions::default(), &[many, vec![slow]].concat(), &[]);
        assert!(
            !text
                .chars()
                .any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
            "{text:?}"
        );
    }

    #[test]
    fn colour_is_only_paint() {
        let options = TextOptions {
            colour: true,
            all: true,
            ..TextOptions::default()
        };
        let exchanges = fixtures::every_verdict();
        let painted = report_of(options.clone(), &exchanges, &[]);
        let plain = report_of(
            TextOptions {
                colour: false,
                ..options
            },
            &exchanges,
            &[],
        );
        let mut stripped = String::new();
        let mut rest = painted.as_str();
        while let Some(at) = rest.find('\u{1b}') {
            stripped.push_str(&rest[..at]);
            rest = &rest[at..];
            rest = &rest[rest.find('m').unwrap() + 1..];
        }
        stripped.push_str(rest);
        assert_eq!(stripped, plain);
    }

    #[test]
    fn an_empty_capture_says_so() {
        let text = report_of(TextOptions::default(), &[], &[]);
        assert!(text.contains("no HTTP/1 exchange"), "{text}");
    }
}
