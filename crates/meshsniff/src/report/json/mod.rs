//! `-o json` and `-o jsonl`.
//!
//! Objects are pushed into one buffer: no tree is built, and nothing grows with the capture. In a
//! document the exchanges come as they settle, the connections wait in a temporary file, and what
//! is only known at the end stands at the end. The fields are those of [`SCHEMA`].

mod objects;
pub mod read;
mod tls;

use super::facts::{Facts, Standing};
use crate::condition::Filter;
use crate::event::{Capture, Report, ReportEvent};
use crate::exchange::{Connection, Exchange};
use crate::statistics::Summary;
use crate::time::Timestamp;
use objects::Objects;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use tempfile::SpooledTempFile;

/// The JSON Schema (draft 2020-12) of a document and of the lines of `jsonl`.
pub const SCHEMA: &str = include_str!("report.schema.json");

/// The name of the format in a document.
pub const FORMAT: &str = "meshsniff.report/v1";

/// How objects follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One document.
    Document,
    /// One object a line.
    Lines {
        /// Whether each line is written at once because its reader waits for it.
        live: bool,
    },
}

/// Bytes gathered before they are written.
const BATCH: usize = 64 << 10;
/// Bytes that wait for the sources to be known, at most.
const MOST: usize = 1 << 20;
/// Bytes of connections that wait in memory rather than in a file.
const SPOOL: usize = 4 << 20;

/// One exchange as `-o json` writes it (see [`SCHEMA`]); times in it count from `origin`, the
/// capture's first frame.
///
/// The `Serialize` of an [`Exchange`] is another encoding, that of the relay, which is private.
#[must_use]
pub fn exchange(exchange: &Exchange, origin: Timestamp) -> String {
    let mut facts = Facts::new(Filter::default(), true);
    facts.origin = Some(origin);
    let mut text = String::from("{");
    Objects::default().exchange(&mut text, &facts, exchange);
    text.push('}');
    text
}

/// A report as JSON.
pub struct JsonReport<W: Write> {
    out: W,
    style: Style,
    facts: Facts,
    objects: Objects,
    buffer: String,
    /// The connections of a document, each with a comma before it.
    spool: SpooledTempFile,
    spooled: String,
    started: bool,
    exchanges: u64,
}

impl<W: Write> JsonReport<W> {
    /// Creates a report of the exchanges that `filter` selects. `with_probes`: health checkers
    /// count in the summary like everybody else. Exchanges are listed in any case, with a mark.
    pub fn new(out: W, style: Style, filter: Filter, with_probes: bool) -> Self {
        Self {
            out,
            style,
            facts: Facts::new(filter, with_probes),
            objects: Objects::default(),
            buffer: String::with_capacity(BATCH + (BATCH >> 1)),
            spool: SpooledTempFile::new(SPOOL),
            spooled: String::new(),
            started: false,
            exchanges: 0,
        }
    }

    /// The figures so far.
    pub const fn summary(&self) -> &Summary {
        &self.facts.summary
    }

    fn exchange(&mut self, exchange: &Exchange) -> io::Result<()> {
        let document = self.is_document();
        self.buffer.push_str(match (document, self.exchanges) {
            (true, 0) => "\n{",
            (true, _) => ",\n{",
            (false, _) => "{\"type\":\"exchange\",",
        });
        self.exchanges += 1;
        self.objects
            .exchange(&mut self.buffer, &self.facts, exchange);
        self.buffer.push_str(if document { "}" } else { "}\n" });
        self.write_if_full()
    }

    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        if !self.is_document() {
            self.buffer.push_str("{\"type\":\"connection\",");
            self.objects
                .connection(&mut self.buffer, &self.facts, connection);
            self.buffer.push_str("}\n");
            return self.write_if_full();
        }
        self.spooled.push_str(",\n{");
        self.objects
            .connection(&mut self.spooled, &self.facts, connection);
        self.spooled.push('}');
        if self.spooled.len() >= BATCH {
            self.spool_batch()?;
        }
        Ok(())
    }

    fn after_frame(&mut self) -> io::Result<()> {
        self.objects.add_comments(&mut self.buffer, &self.facts);
        if !self.started {
            self.start();
        }
        if matches!(self.style, Style::Lines { live: true }) && !self.buffer.is_empty() {
            self.write_batch()?;
            return self.out.flush();
        }
        self.write_if_full()
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        self.objects.add_comments(&mut self.buffer, &self.facts);
        if !self.started {
            self.start();
        }
        if self.is_document() {
            self.finish_document(capture)?;
        } else {
            self.finish_lines(capture);
        }
        self.write_batch()?;
        self.out.flush()
    }

    const fn is_document(&self) -> bool {
        matches!(self.style, Style::Document)
    }

    fn write_if_full(&mut self) -> io::Result<()> {
        // A frame settles only so much: whoever tells more without end has not waited for one.
        if self.buffer.len() >= MOST && !self.started {
            self.start();
        }
        if self.buffer.len() >= BATCH && self.started {
            self.write_batch()?;
        }
        Ok(())
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let written = self.out.write_all(self.buffer.as_bytes());
        self.buffer.clear();
        self.objects.forget_positions();
        written
    }

    fn spool_batch(&mut self) -> io::Result<()> {
        let written = self.spool.write_all(self.spooled.as_bytes());
        self.spooled.clear();
        written
    }

    /// Puts the head before what is in the buffer, which came with the very first frame.
    fn start(&mut self) {
        self.started = true;
        let mut head = String::new();
        if self.is_document() {
            head.push_str("{\"schema\":\"");
            head.push_str(FORMAT);
            head.push_str("\",\n\"exchanges\":[");
        } else {
            for source in &self.facts.sources {
                head.push_str("{\"type\":\"source\",");
                objects::source(&mut head, source);
                head.push_str("}\n");
            }
        }
        self.objects.shift_positions(head.len());
        self.buffer.insert_str(0, &head);
    }

    fn finish_document(&mut self, capture: &Capture) -> io::Result<()> {
        self.buffer.push_str("],\n\"connections\":[");
        self.write_batch()?;
        self.spool_batch()?;
        self.spool.seek(SeekFrom::Start(0))?;
        let mut comma = [0];
        // Every connection was spooled with a comma before it. The first one is skipped.
        if self.spool.read(&mut comma)? > 0 {
            io::copy(&mut self.spool, &mut self.out)?;
        }
        if !self.facts.routes.is_empty() {
            // Only a report of a live target has routes.
            self.buffer.push_str("],\n\"routes\":[");
            for (index, (route, counted)) in self.facts.routes.sorted().into_iter().enumerate() {
                self.buffer.push_str(if index > 0 { ",\n{" } else { "\n{" });
                objects::route(&mut self.buffer, route, counted);
                self.buffer.push('}');
            }
        }
        self.buffer.push_str("],\n\"sources\":[");
        for (index, source) in self.facts.sources.iter().enumerate() {
            if index > 0 {
                self.buffer.push(',');
            }
            self.buffer.push('{');
            objects::source(&mut self.buffer, source);
            self.buffer.push('}');
        }
        self.buffer.push_str("],\n\"assertions\":[");
        for (index, outcome) in self.facts.outcomes.iter().enumerate() {
            self.buffer.push_str(if index > 0 { ",\n{" } else { "\n{" });
            objects::assertion(&mut self.buffer, outcome);
            self.buffer.push('}');
        }
        self.buffer.push_str("],\n\"capture\":{");
        self.objects.capture(&mut self.buffer, &self.facts, capture);
        self.buffer.push_str("},\n\"summary\":{");
        self.objects.summary(&mut self.buffer, &self.facts, capture);
        self.buffer.push_str("}}\n");
        Ok(())
    }

    fn finish_lines(&mut self, capture: &Capture) {
        for (route, counted) in self.facts.routes.sorted() {
            self.buffer.push_str("{\"type\":\"route\",");
            objects::route(&mut self.buffer, route, counted);
            self.buffer.push_str("}\n");
        }
        for outcome in &self.facts.outcomes {
            self.buffer.push_str("{\"type\":\"assertion\",");
            objects::assertion(&mut self.buffer, outcome);
            self.buffer.push_str("}\n");
        }
        self.buffer.push_str("{\"type\":\"capture\",");
        self.objects.capture(&mut self.buffer, &self.facts, capture);
        self.buffer.push_str("}\n{\"type\":\"summary\",");
        self.objects.summary(&mut self.buffer, &self.facts, capture);
        self.buffer.push_str("}\n");
    }
}

impl<W: Write> Report for JsonReport<W> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        let selected = self.facts.tell(event) != Standing::Nowhere;
        match event {
            ReportEvent::Begin(frame, _) => self.objects.begin(frame),
            ReportEvent::Exchange(exchange) if selected => return self.exchange(exchange),
            ReportEvent::Connection(connection) if selected => return self.connection(connection),
            ReportEvent::Comment(frame, _) => self.objects.comment(frame),
            ReportEvent::Aggregate(aggregate) => {
                let mut slowest = aggregate.slowest.iter();
                return slowest.try_for_each(|exchange| self.exchange(exchange));
            }
            ReportEvent::AfterFrame => return self.after_frame(),
            ReportEvent::Finish(capture) => return self.finish(capture),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Aggregate, Conclusion, Outcome, Source};
    use crate::exchange::Doubt;
    use crate::packet::FrameId;
    use crate::testing::fixtures;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn sources() -> Vec<Source> {
        vec![Source {
            kind: "file".into(),
            name: "ut \"1\".pcap".into(),
            interfaces: vec!["lo".into()],
        }]
    }

    fn capture() -> Capture {
        let mut capture = Capture::default();
        capture.totals.frames = 272;
        capture.totals.first = Some(fixtures::ORIGIN);
        capture.totals.last = Some(fixtures::ORIGIN);
        capture
    }

    fn report_of(style: Style, exchanges: &[Exchange], connections: &[Connection]) -> String {
        let mut out = Vec::new();
        let mut report = JsonReport::new(&mut out, style, Filter::default(), false);
        report.tell(ReportEvent::Sources(&sources())).unwrap();
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
        report.tell(ReportEvent::Finish(&capture())).unwrap();
        drop(report);
        String::from_utf8(out).unwrap()
    }

    fn validate(value: &Value) {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
    }

    fn lines(text: &str) -> Vec<Value> {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    #[test]
    fn what_waits_for_the_first_frame_is_bounded() {
        for style in [Style::Document, Style::Lines { live: true }] {
            let mut out = Vec::new();
            let mut report = JsonReport::new(&mut out, style, Filter::default(), false);
            let exchange = fixtures::ok();
            for _ in 0..5_000 {
                report.tell(ReportEvent::Exchange(&exchange)).unwrap();
                assert!(report.buffer.len() < MOST + BATCH);
            }
            report
                .tell(ReportEvent::Finish(&Capture::default()))
                .unwrap();
            drop(report);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.matches("\"verdict\":\"ok\"").count(), 5_000);
        }
    }

    #[test]
    fn one_exchange_is_written_as_in_a_report() {
        let mut lines = Vec::new();
        let mut report = JsonReport::new(
            &mut lines,
            Style::Lines { live: true },
            Filter::default(),
            true,
        );
        let (one, origin) = (fixtures::gave_up(), fixtures::ORIGIN);
        report
            .tell(ReportEvent::Begin(FrameId::new(0, 1), origin))
            .unwrap();
        report.tell(ReportEvent::Exchange(&one)).unwrap();
        report.tell(ReportEvent::AfterFrame).unwrap();
        drop(report);
        let lines = String::from_utf8(lines).unwrap();
        let line = lines.lines().find(|line| line.contains("\"exchange\""));
        let inside = line.unwrap().strip_prefix("{\"type\":\"exchange\",");
        assert_eq!(exchange(&one, origin), format!("{{{}", inside.unwrap()));
    }

    #[test]
    fn the_schema_is_a_schema() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        assert!(jsonschema::meta::is_valid(&schema));
    }

    #[test]
    fn every_verdict_is_valid_in_both_styles() {
        let exchanges = fixtures::every_verdict();
        let connections = [
            fixtures::connection(),
            fixtures::refused(),
            fixtures::connect_timeout(),
        ];
        let document = report_of(Style::Document, &exchanges, &connections);
        let document: Value = serde_json::from_str(&document).unwrap();
        validate(&document);
        assert_eq!(document["schema"], FORMAT);
        assert_eq!(
            document["exchanges"].as_array().unwrap().len(),
            exchanges.len()
        );
        assert_eq!(document["connections"].as_array().unwrap().len(), 3);
        assert_eq!(document["summary"]["connects_failed"], 2);

        let text = report_of(Style::Lines { live: false }, &exchanges, &connections);
        let lines = lines(&text);
        for line in &lines {
            validate(line);
        }
        assert_eq!(lines[0]["type"], "source");
        assert_eq!(lines[0]["name"], "ut \"1\".pcap");
        assert_eq!(lines.last().unwrap()["type"], "summary");
    }

    #[test]
    fn an_empty_report_is_valid() {
        let document: Value = serde_json::from_str(&report_of(Style::Document, &[], &[])).unwrap();
        validate(&document);
        assert_eq!(document["exchanges"], Value::Array(Vec::new()));
        let mut out = Vec::new();
        let mut report = JsonReport::new(&mut out, Style::Document, Filter::default(), false);
        report
            .tell(ReportEvent::Finish(&Capture::default()))
            .unwrap();
        drop(report);
        validate(&serde_json::from_slice(&out).unwrap());
    }

    #[test]
    fn the_schema_is_strict() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let text = report_of(
            Style::Lines { live: false },
            &fixtures::every_verdict(),
            &[],
        );
        for line in lines(&text) {
            let fields: Vec<String> = line.as_object().unwrap().keys().cloned().collect();
            for field in fields {
                let mut without = line.clone();
                without.as_object_mut().unwrap().remove(&field);
                assert!(!validator.is_valid(&without), "{field} is not required");
            }
            let mut more = line.clone();
            more["surprise"] = Value::Null;
            assert!(!validator.is_valid(&more));
        }
    }

    #[test]
    fn the_schema_names_every_field_that_is_written_and_no_other() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let mut out = Vec::new();
        let style = Style::Lines { live: false };
        let mut report = JsonReport::new(&mut out, style, Filter::default(), false);
        let mut aggregate = Aggregate::default();
        aggregate.routes.add(&fixtures::ok());
        let outcome = Outcome {
            assertion: "ok".into(),
            verdict: Conclusion::Failed,
            observed: "1 of 1 exchanges".into(),
            exchanges: Vec::new(),
            connections: Vec::new(),
        };
        for event in [
            ReportEvent::Sources(&sources()),
            ReportEvent::Exchange(&fixtures::ok()),
            ReportEvent::Connection(&fixtures::connection()),
            ReportEvent::Aggregate(&aggregate),
            ReportEvent::Assertions(&[outcome]),
            ReportEvent::Finish(&capture()),
        ] {
            report.tell(event).unwrap();
        }
        drop(report);
        let mut kinds = Vec::new();
        for line in lines(std::str::from_utf8(&out).unwrap()) {
            let names = |value: &Value| -> BTreeSet<String> {
                value.as_object().unwrap().keys().cloned().collect()
            };
            let kind = line["type"].as_str().unwrap();
            let mut written = names(&line);
            written.remove("type");
            let named = names(&schema["$defs"][format!("{kind}_fields")]["properties"]);
            let lacks: Vec<_> = written.difference(&named).collect();
            let more: Vec<_> = named.difference(&written).collect();
            assert!(
                lacks.is_empty() && more.is_empty(),
                "the schema of {kind} lacks {lacks:?}, and names {more:?}, which nobody writes"
            );
            kinds.push(kind.to_owned());
        }
        let line_kinds = schema["$defs"]["line"]["oneOf"].as_array().unwrap();
        assert_eq!(kinds.len(), line_kinds.len(), "{kinds:?}");
    }

    #[test]
    fn the_tutorials_figures() {
        let text = report_of(Style::Lines { live: false }, &[fixtures::gave_up()], &[]);
        let exchange = &lines(&text)[1];
        assert_eq!(exchange["gaps"]["ack_to_client_close"], 501.683);
        assert_eq!(exchange["gaps"]["request_to_client_close"], 501.711);
        assert_eq!(exchange["gaps"]["request_to_ack"], 0.028);
        assert_eq!(exchange["timeout_guess_ms"], 500);
        assert_eq!(exchange["start"], "2026-11-24T08:01:30.518612000Z");
        assert_eq!(exchange["status"], Value::Null);
        assert_eq!(exchange["late_status"], 200);
        assert_eq!(exchange["good"], false);
        assert_eq!(exchange["certainty"], "certain");
        let kinds: Vec<&str> = exchange["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["kind"].as_str().unwrap())
            .collect();
        assert_eq!(
            kinds,
            [
                "request_start",
                "request_end",
                "request_acked",
                "client_fin",
                "late_response"
            ]
        );
        assert_eq!(exchange["events"][0]["t"], 90.518_612);
        assert_eq!(exchange["events"][2]["with"], "bare");
        assert!(text.contains("\"t\":90.518612}"), "{text}");
        assert_eq!(exchange["envoy"]["client_downstream"][1], "DC");
    }

    #[test]
    fn hostile_strings_stay_strings() {
        let hostile = "/\"},\n\u{0}\u{1b}[2J\u{202e}\\";
        let exchange = Exchange {
            method: Some("G\"ET".into()),
            path: Some(hostile.into()),
            authority: Some(hostile.into()),
            request_id: Some(hostile.into()),
            ..fixtures::gave_up()
        };
        let text = report_of(Style::Lines { live: false }, &[exchange], &[]);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
        let line = &lines(&text)[1];
        validate(line);
        assert_eq!(line["path"], hostile);
        assert_eq!(line["authority"], hostile);
    }

    #[test]
    fn comments_reach_their_events_even_late() {
        let mut out = Vec::new();
        let style = Style::Lines { live: false };
        let mut report = JsonReport::new(&mut out, style, Filter::default(), false);
        report.tell(ReportEvent::Sources(&sources())).unwrap();
        report
            .tell(ReportEvent::Begin(FrameId::new(0, 4185), fixtures::ORIGIN))
            .unwrap();
        report
            .tell(ReportEvent::Comment(
                FrameId::new(0, 4185),
                "the \"request\"",
            ))
            .unwrap();
        report.tell(ReportEvent::AfterFrame).unwrap();
        report
            .tell(ReportEvent::Begin(FrameId::new(0, 4303), fixtures::ORIGIN))
            .unwrap();
        report
            .tell(ReportEvent::Exchange(&fixtures::gave_up()))
            .unwrap();
        report
            .tell(ReportEvent::Exchange(&fixtures::gave_up()))
            .unwrap();
        // Only now does the reader hand out the comment of the frame that settled the exchanges.
        report
            .tell(ReportEvent::Comment(FrameId::new(0, 4303), "too late"))
            .unwrap();
        report
            .tell(ReportEvent::Comment(FrameId::new(0, 4303), "indeed"))
            .unwrap();
        report.tell(ReportEvent::AfterFrame).unwrap();
        report.tell(ReportEvent::Finish(&capture())).unwrap();
        drop(report);
        let lines = lines(std::str::from_utf8(&out).unwrap());
        for line in &lines {
            validate(line);
        }
        for exchange in &lines[1..3] {
            assert_eq!(exchange["events"][0]["comment"], "the \"request\"");
            assert_eq!(exchange["events"][4]["comment"], "too late\nindeed");
        }
        let comments = lines[3]["comments"].as_array().unwrap();
        assert_eq!(comments.len(), 2);
        assert_eq!(comments[1]["frame"], 4303);
    }

    #[test]
    fn several_sources_are_told_apart() {
        let mut out = Vec::new();
        let mut report = JsonReport::new(&mut out, Style::Document, Filter::default(), false);
        report
            .tell(ReportEvent::Sources(&[sources(), sources()].concat()))
            .unwrap();
        let mut exchange = fixtures::ok();
        exchange.events.request_start.frame = FrameId::new(1, 5);
        report.tell(ReportEvent::Exchange(&exchange)).unwrap();
        report.tell(ReportEvent::Finish(&capture())).unwrap();
        drop(report);
        let document: Value = serde_json::from_slice(&out).unwrap();
        validate(&document);
        let exchange = &document["exchanges"][0];
        assert_eq!(exchange["source"], 1);
        assert_eq!(exchange["events"][0]["source"], 1);
        assert_eq!(exchange["events"][1]["source"], 0);
    }

    #[test]
    fn filtered_exchanges_are_counted_and_gone() {
        let filter = Filter::parse("verdict=ok").unwrap();
        let mut out = Vec::new();
        let mut report = JsonReport::new(&mut out, Style::Document, filter, false);
        report.tell(ReportEvent::Exchange(&fixtures::ok())).unwrap();
        report
            .tell(ReportEvent::Exchange(&fixtures::gave_up()))
            .unwrap();
        report.tell(ReportEvent::Finish(&capture())).unwrap();
        drop(report);
        let document: Value = serde_json::from_slice(&out).unwrap();
        validate(&document);
        assert_eq!(document["summary"]["exchanges"], 1);
        assert_eq!(document["summary"]["filtered_out"], 1);
        assert_eq!(document["exchanges"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn doubts_and_incomplete_captures_are_said() {
        let exchange = Exchange {
            doubt: Some(Doubt::Snaplen),
            ..fixtures::ok()
        };
        let text = report_of(Style::Lines { live: false }, &[exchange], &[]);
        let line = &lines(&text)[1];
        assert_eq!(line["certainty"], "uncertain");
        assert_eq!(line["certainty_reason"], "snaplen");

        let mut out = Vec::new();
        let mut report = JsonReport::new(&mut out, Style::Document, Filter::default(), false);
        let mut incomplete = capture();
        incomplete.errors = vec!["the file ends inside a packet".into()];
        incomplete.dropped = Some(7);
        report.tell(ReportEvent::Finish(&incomplete)).unwrap();
        drop(report);
        let document: Value = serde_json::from_slice(&out).unwrap();
        validate(&document);
        assert_eq!(document["capture"]["complete"], false);
        assert_eq!(document["capture"]["dropped"], 7);
    }

    #[test]
    fn many_connections_come_back_from_the_spool() {
        let connections = vec![fixtures::connection(); 20_000];
        let text = report_of(Style::Document, &[], &connections);
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["connections"].as_array().unwrap().len(), 20_000);
    }

    #[test]
    fn a_full_disk_is_an_error_and_no_panic() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let style = Style::Lines { live: false };
        let mut report = JsonReport::new(Full, style, Filter::default(), false);
        report.tell(ReportEvent::AfterFrame).unwrap();
        let exchange = fixtures::ok();
        let error = (0..1_000).find_map(|_| report.tell(ReportEvent::Exchange(&exchange)).err());
        let error = error.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
