//! A report of `-o json` or `-o jsonl`, read as a side of a comparison.
//!
//! It is read as a stream: exchange after exchange is counted and forgotten, and none may take more
//! than 16 MiB. Unknown fields are skipped, so that a later version of the format with more of them
//! can be read.

use super::FORMAT;
use crate::compare::problems;
use crate::compare::side::{
    ComparedSide, Digest, NOBODY, RouteName, Rows, Selection, SideKind, Told, named,
};
use crate::exchange::{
    Doubt, EnvoyFlags, Exchange, Finding, FindingKind, Gap, Gaps, Side, Verdict,
};
use crate::packet::Endpoint;
use crate::statistics::{GapStats, MAX_COUNT};
use crate::time::Span;
use compact_str::CompactString;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufReader, Read};

/// Bytes of an exchange, a line, or anything else that is read as a whole.
const MAX_ITEM: u64 = 16 << 20;

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The JSON is no report.
    #[error(
        "{0} is JSON, but no report of meshsniff: name the capture, or what kubectl meshsniff \
         report -o json or -o jsonl wrote"
    )]
    NotAReport(String),
    /// An unknown format.
    #[error(
        "{name} is of the format {schema}, and {FORMAT} can be compared: name the capture, or \
         make a report of it with this version"
    )]
    Format {
        /// The file.
        name: String,
        /// The name of the format.
        schema: String,
    },
    /// The report ends too early.
    #[error("{0} ends in the middle: get the whole of it, or make the report anew")]
    Cut(String),
    /// The JSON is invalid.
    #[error(
        "{name} cannot be read as a report ({error}): make it anew with kubectl meshsniff report \
         -o json"
    )]
    Malformed {
        /// The file.
        name: String,
        /// The parser's error.
        error: serde_json::Error,
    },
    /// The system failed to read the file.
    #[error("{name} cannot be read: {error}")]
    Io {
        /// The file.
        name: String,
        /// The system's error.
        error: io::Error,
    },
    /// A filter is asked for, but the report holds only figures of its good exchanges.
    #[error(
        "{0} is of a live target and holds its good exchanges only as figures, of which \
         --filter-http cannot select any: give --filter-http to the report itself, or leave it \
         out here"
    )]
    OnlyFigures(String),
}

/// Reads a report. `other`: the side that was read before. The second value says what is missing in
/// the report.
///
/// # Errors
/// If it is no report or cannot be read.
pub fn report(
    reader: impl Read,
    name: &str,
    selection: &Selection,
    other: Option<&ComparedSide>,
) -> Result<(ComparedSide, Vec<String>), ReportError> {
    let left = Cell::new(MAX_ITEM);
    let metered = Metered {
        reader,
        left: &left,
    };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(metered));
    let mut hearing = Hearing::new(selection, other, &left);
    let mut first = true;
    // `end` fails as long as anything follows, JSON or not, which the next turn finds out.
    while first || json.end().is_err() {
        first = false;
        left.set(MAX_ITEM);
        if let Err(error) = (TopSeed(&mut hearing)).deserialize(&mut json) {
            return Err(failed(name, error, hearing.wrong_schema));
        }
    }
    hearing.done(name)
}

fn failed(name: &str, error: serde_json::Error, schema: Option<String>) -> ReportError {
    let name = name.to_owned();
    if let Some(schema) = schema {
        return ReportError::Format { name, schema };
    }
    match error.classify() {
        serde_json::error::Category::Eof => ReportError::Cut(name),
        serde_json::error::Category::Io => ReportError::Io {
            name,
            error: error.into(),
        },
        _ => ReportError::Malformed { name, error },
    }
}

/// Reads no more than what is left for one item.
struct Metered<'a, R> {
    reader: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(out)?;
        match self.left.get().checked_sub(read as u64) {
            Some(left) => self.left.set(left),
            None => {
                return Err(io::Error::other(
                    "a single entry of it is longer than 16 MiB, which no report of meshsniff's \
                     has",
                ));
            }
        }
        Ok(read)
    }
}

/// The state while a report is read.
struct Hearing<'a> {
    selection: &'a Selection,
    left: &'a Cell<u64>,
    /// Exchanges that are counted nowhere else.
    rows: Rows,
    /// Good exchanges in full. Those of a live target are among its routes as well.
    good: Rows,
    good_exchanges: u64,
    /// Good exchanges that are only counted.
    counted: Rows,
    counted_exchanges: u64,
    side: ComparedSide,
    is_report: bool,
    has_summary: bool,
    wrong_schema: Option<String>,
    probes_in_figures: u64,
}

/// The fields of an exchange or a route that are needed.
#[derive(Deserialize)]
struct ReportItem {
    client: Option<Endpoint>,
    server: Option<Endpoint>,
    method: Option<CompactString>,
    path: Option<CompactString>,
    authority: Option<CompactString>,
    status: Option<u16>,
    request_id: Option<CompactString>,
    #[serde(default)]
    probe: bool,
    verdict: Option<Verdict>,
    good: Option<bool>,
    certainty_reason: Option<Doubt>,
    #[serde(default)]
    envoy: Value,
    #[serde(default)]
    findings: Vec<FoundItem>,
    #[serde(default)]
    gaps: HashMap<CompactString, Figure>,
    /// Of a route.
    exchanges: Option<u64>,
    #[serde(default)]
    statuses: HashMap<CompactString, u64>,
}

#[derive(Deserialize)]
struct FoundItem {
    kind: Value,
}

/// A gap of an exchange in milliseconds, or the figures of a route's gap.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Figure {
    Millis(f64),
    Stats {
        count: u64,
        min: f64,
        p50: f64,
        p90: f64,
        p99: f64,
        max: f64,
    },
}

fn span(millis: f64) -> Span {
    // A number out of range becomes the nearest one in range, and NaN becomes 0.
    Span::from_micros((millis * 1_000.0).round() as i64)
}

impl<'a> Hearing<'a> {
    fn new(selection: &'a Selection, other: Option<&ComparedSide>, left: &'a Cell<u64>) -> Self {
        Self {
            selection,
            left,
            rows: Rows::new(other),
            good: Rows::new(other),
            good_exchanges: 0,
            counted: Rows::new(other),
            counted_exchanges: 0,
            side: ComparedSide {
                kind: SideKind::Report,
                complete: true,
                ..ComparedSide::default()
            },
            is_report: false,
            has_summary: false,
            wrong_schema: None,
            probes_in_figures: 0,
        }
    }

    fn done(mut self, name: &str) -> Result<(ComparedSide, Vec<String>), ReportError> {
        if !self.is_report {
            return Err(ReportError::NotAReport(name.to_owned()));
        }
        let gaps = self.selection.gaps.len();
        if self.counted_exchanges == 0 {
            self.rows.merge(&self.good, gaps);
        } else if !self.selection.filter.selects_all() {
            return Err(ReportError::OnlyFigures(name.to_owned()));
        } else {
            self.side.kind = SideKind::LiveReport;
            self.side.exchanges =
                (self.side.exchanges - self.good_exchanges).saturating_add(self.counted_exchanges);
            self.side.probes = self.probes_in_figures;
            self.rows.merge(&self.counted, gaps);
        }
        if !self.selection.filter.selects_all() {
            // They are of all exchanges.
            self.side.problems = None;
            self.side.connects_failed = None;
        }
        let mut missing = Vec::new();
        if !self.has_summary {
            self.side.complete = false;
            missing.push(format!(
                "{name} lacks its last line, the summary: the report was cut, and what it holds \
                 is compared; get the whole of it"
            ));
        }
        let side = ComparedSide {
            name: name.to_owned(),
            routes: self.rows.into_routes(),
            ..self.side
        };
        Ok((side, missing))
    }

    fn exchange(&mut self, item: ReportItem) -> Result<(), String> {
        let exchange = item.exchange()?;
        if !self.selection.wants(&mut self.side, &exchange) {
            return Ok(());
        }
        let folds = exchange.good() == Some(true) && exchange.doubt.is_none();
        self.good_exchanges += u64::from(folds);
        let rows = if folds {
            &mut self.good
        } else {
            &mut self.rows
        };
        self.selection.add(rows, &exchange);
        Ok(())
    }

    fn route(&mut self, item: &ReportItem) -> Result<(), String> {
        let exchanges = item.exchanges.unwrap_or_default();
        if !(1..=MAX_COUNT).contains(&exchanges) {
            return Err(format!("a route of {exchanges} exchanges"));
        }
        let method = item.method.as_deref();
        let switched = item.statuses.get("1xx").copied().unwrap_or_default();
        let upgraded = if method == Some("CONNECT") {
            exchanges
        } else {
            switched.min(exchanges)
        };
        let told = self.selection.gaps.iter().map(|gap| item.told(*gap));
        let digest = Digest::counted(exchanges, upgraded, told.collect());
        let route = match (method, &item.path) {
            (None, None) => RouteName::Other,
            (method, path) => self.selection.route(method, path.as_deref()),
        };
        self.counted.add(route, &digest);
        self.counted_exchanges = self.counted_exchanges.saturating_add(exchanges);
        Ok(())
    }

    /// Takes in a line, or the plain fields of a document.
    fn fields(&mut self, kind: Option<&str>, fields: Map<String, Value>) -> Result<(), String> {
        let item = |fields| {
            ReportItem::deserialize(Value::Object(fields)).map_err(|error| error.to_string())
        };
        match kind {
            Some("exchange") => self.exchange(item(fields)?)?,
            Some("route") => self.route(&item(fields)?)?,
            Some("summary") => self.summary(&fields),
            Some("capture") => self.capture(&fields),
            // Nothing is needed of unknown lines.
            Some(_) => {}
            None => {
                for (key, value) in &fields {
                    match (key.as_str(), value) {
                        ("summary", Value::Object(fields)) => self.summary(fields),
                        ("capture", Value::Object(fields)) => self.capture(fields),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn summary(&mut self, fields: &Map<String, Value>) {
        self.has_summary = true;
        let number = |name: &str| fields.get(name).and_then(Value::as_u64);
        let failed = number("connects_failed").unwrap_or_default();
        let sum = self.side.connects_failed.unwrap_or_default();
        self.side.connects_failed = Some(sum.saturating_add(failed));
        self.probes_in_figures = number("probes").unwrap_or_default();
        self.side.problems = problems::of_report(fields);
    }

    fn capture(&mut self, fields: &Map<String, Value>) {
        let dropped = fields.get("dropped").and_then(Value::as_u64);
        self.side.dropped = match (self.side.dropped, dropped) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        self.side.complete &= fields.get("complete") != Some(&Value::Bool(false));
    }
}

impl ReportItem {
    fn exchange(self) -> Result<Exchange, String> {
        let verdict = self.verdict.ok_or("an exchange without a verdict")?;
        let mut gaps = [None; Gaps::COUNT];
        for (gap, name) in gaps.iter_mut().zip(Gaps::NAMES) {
            if let Some(Figure::Millis(millis)) = self.gaps.get(name) {
                *gap = Some(span(*millis));
            }
        }
        let findings = self.findings.iter();
        // Nobody can ask for an unknown kind.
        let findings = findings.filter_map(|found| FindingKind::deserialize(&found.kind).ok());
        Ok(Exchange {
            client: self.client.unwrap_or(NOBODY),
            server: self.server.unwrap_or(NOBODY),
            authority: self.authority,
            status: self.status,
            request_id: self.request_id,
            probe: self.probe,
            gaps: Gaps::from_values(gaps),
            // All else that keeps an answer from being good is in verdict and status.
            request_cut: self.good == Some(false),
            verdict,
            doubt: self.certainty_reason,
            envoy: EnvoyFlags::deserialize(&self.envoy).unwrap_or_default(),
            findings: findings
                .map(|kind| Finding {
                    kind,
                    side: Side::Client,
                    frames: Vec::new(),
                    cost: Span::ZERO,
                })
                .collect(),
            ..named(self.method, self.path)
        })
    }

    /// The figures of a gap in a route.
    fn told(&self, gap: Gap) -> Option<Told> {
        // Good exchanges have no such gap, and the others are told one by one.
        if gap.is_of_client_close() {
            return None;
        }
        match self.gaps.get(gap.name()) {
            Some(&Figure::Stats {
                count,
                min,
                p50,
                p90,
                p99,
                max,
            }) => Some(Told::Stats(GapStats {
                count,
                min: span(min),
                p50: span(p50),
                p90: span(p90),
                p99: span(p99),
                max: span(max),
            })),
            _ => Some(Told::Missing),
        }
    }
}

/// A document or a line.
struct TopSeed<'h, 'a>(&'h mut Hearing<'a>);

impl<'de> DeserializeSeed<'de> for TopSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TopSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut kind: Option<String> = None;
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            self.0.left.set(MAX_ITEM);
            match key.as_str() {
                "type" => kind = Some(map.next_value()?),
                "schema" => {
                    let schema = map.next_value::<Value>()?;
                    let schema = schema.as_str().unwrap_or_default();
                    if schema != FORMAT {
                        if schema.starts_with("meshsniff.") {
                            self.0.wrong_schema = Some(schema.to_owned());
                        }
                        return Err(A::Error::custom("another format"));
                    }
                    self.0.is_report = true;
                }
                "exchanges" | "routes" => {
                    let list = ListSeed {
                        hearing: self.0,
                        of_routes: key == "routes",
                    };
                    if let Some(number) = map.next_value_seed(list)? {
                        fields.insert(key, number.into());
                    }
                }
                // They are long, and not needed.
                "connections" | "events" | "explanation" | "display_filter" | "start"
                | "protocol" | "sources" | "assertions" => {
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {
                    fields.insert(key, map.next_value()?);
                }
            }
        }
        let known = [
            "source",
            "exchange",
            "connection",
            "route",
            "capture",
            "summary",
            "assertion",
        ];
        self.0.is_report |= kind.as_deref().is_some_and(|kind| known.contains(&kind));
        self.0
            .fields(kind.as_deref(), fields)
            .map_err(A::Error::custom)
    }
}

/// The exchanges or routes of a document. In a line they are a number, which is returned.
struct ListSeed<'h, 'a> {
    hearing: &'h mut Hearing<'a>,
    of_routes: bool,
}

impl<'de> DeserializeSeed<'de> for ListSeed<'_, '_> {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_, '_> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or a number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        loop {
            self.hearing.left.set(MAX_ITEM);
            let Some(item) = list.next_element::<ReportItem>()? else {
                return Ok(None);
            };
            let taken = if self.of_routes {
                self.hearing.route(&item)
            } else {
                self.hearing.exchange(item)
            };
            taken.map_err(A::Error::custom)?;
        }
    }
}
