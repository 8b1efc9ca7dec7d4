//! `-o har`: an HTTP Archive, which browsers' developer tools and many other programs show.
//!
//! The form is HAR 1.2 (<http://www.softwareishard.com/blog/har-12-spec/>). A size or a time that
//! is not known is -1 where it may be. What HAR has no name for stands in fields that begin with
//! `_` and have the names of JSON behind it. Headers and bodies are there where the analyser keeps
//! them ([`Options::messages`](crate::Options::messages)), without the values of
//! [fields with credentials](super::text::SECRET_FIELDS); else those headers that every exchange has.
//!
//! Entries are written as they settle. The document ends when the capture does, also if that was
//! cut short: then its `comment` says so.

use self::form::{Content, Nothing, Pair, PostData, UNKNOWN};
use self::spoken::Spoken;
use super::explain;
use super::facts::{Facts, Standing};
use super::secrets;
use crate::condition::Filter;
use crate::escape;
use crate::event::{Capture, Report, ReportEvent};
use crate::exchange::{Exchange, Finding};
use crate::number;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

mod form;
mod spoken;

/// Bytes gathered before they are written.
const BATCH: usize = 64 << 10;

/// What no URL may hold as it is (RFC 3986, 2), and `#`, which would begin a fragment.
const NO_URL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A report as an HTTP Archive.
pub struct HarReport<W: Write> {
    out: W,
    facts: Facts,
    buffer: String,
    entries: u64,
}

impl<W: Write> HarReport<W> {
    /// Creates a report of the exchanges that `filter` selects.
    pub fn new(out: W, filter: Filter) -> Self {
        let creator = Creator {
            name: "meshsniff",
            version: env!("CARGO_PKG_VERSION"),
        };
        let creator = serde_json::json!(creator);
        Self {
            out,
            facts: Facts::new(filter, true),
            buffer: format!("{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"entries\":["),
            entries: 0,
        }
    }

    fn entry(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.buffer
            .push_str(if self.entries > 0 { ",\n" } else { "\n" });
        self.entries += 1;
        let exchange = secrets::exchange(exchange);
        let entry = serde_json::to_string(&Entry::of(&exchange, &self.facts))?;
        self.buffer.push_str(&escape::escaped_json(entry));
        if self.buffer.len() >= BATCH {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let written = self.out.write_all(self.buffer.as_bytes());
        self.buffer.clear();
        written
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        self.buffer.push_str("\n]");
        if !capture.errors.is_empty() {
            self.buffer.push_str(",\n\"comment\":");
            let comment = format!("incomplete: {}", capture.errors.join("; "));
            escape::json(&mut self.buffer, &comment);
        }
        self.buffer.push_str("}}\n");
        self.write()?;
        self.out.flush()
    }
}

impl<W: Write> Report for HarReport<W> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        let selected = self.facts.tell(event) != Standing::Nowhere;
        match event {
            ReportEvent::Exchange(exchange) if selected => self.entry(exchange),
            ReportEvent::Aggregate(aggregate) => {
                let mut slowest = aggregate.slowest.iter();
                slowest.try_for_each(|exchange| self.entry(exchange))
            }
            ReportEvent::Finish(capture) => self.finish(capture),
            _ => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct Creator {
    name: &'static str,
    version: &'static str,
}

/// One entry. Fields that begin with `_` are ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    started_date_time: String,
    time: f64,
    request: Request<'a>,
    response: Response<'a>,
    cache: Nothing,
    timings: Timings,
    #[serde(rename = "serverIPAddress")]
    server_ip: String,
    connection: String,
    #[serde(flatten)]
    own: Own<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    method: &'a str,
    url: String,
    http_version: &'static str,
    cookies: [Nothing; 0],
    headers: Vec<Pair<'a>>,
    query_string: Vec<Pair<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostData>,
    headers_size: i64,
    body_size: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    /// 0 where there was none, as browsers have it.
    status: u16,
    status_text: String,
    http_version: &'static str,
    cookies: [Nothing; 0],
    headers: Vec<Pair<'a>>,
    content: Content,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
    headers_size: i64,
    body_size: i64,
}

#[derive(Serialize)]
struct Timings {
    blocked: f64,
    dns: f64,
    connect: f64,
    send: f64,
    wait: f64,
    receive: f64,
    ssl: f64,
}

/// What HAR has no name for.
#[derive(Serialize)]
struct Own<'a> {
    #[serde(rename = "_id")]
    id: u64,
    #[serde(rename = "_client")]
    client: String,
    #[serde(rename = "_server")]
    server: String,
    #[serde(rename = "_client_name", skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    #[serde(rename = "_server_name", skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    #[serde(rename = "_source", skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    /// The request target as sent: a URL may say it otherwise.
    #[serde(rename = "_path")]
    path: Option<&'a str>,
    #[serde(rename = "_verdict")]
    verdict: &'static str,
    #[serde(rename = "_good")]
    good: Option<bool>,
    #[serde(rename = "_certainty")]
    certainty: &'static str,
    #[serde(rename = "_certainty_reason", skip_serializing_if = "Option::is_none")]
    doubt: Option<&'static str>,
    #[serde(rename = "_stream", skip_serializing_if = "Option::is_none")]
    stream: Option<u32>,
    #[serde(rename = "_reset_by", skip_serializing_if = "Option::is_none")]
    reset_by: Option<&'static str>,
    #[serde(rename = "_reset_code", skip_serializing_if = "Option::is_none")]
    reset_code: Option<&'static str>,
    #[serde(rename = "_grpc_status", skip_serializing_if = "Option::is_none")]
    grpc_status: Option<&'static str>,
    #[serde(rename = "_late_status", skip_serializing_if = "Option::is_none")]
    late_status: Option<u16>,
    #[serde(
        rename = "_expected_timeout_ms",
        skip_serializing_if = "Option::is_none"
    )]
    expected_timeout: Option<f64>,
    #[serde(rename = "_timeout_guess_ms", skip_serializing_if = "Option::is_none")]
    timeout_guess: Option<f64>,
    #[serde(rename = "_probe")]
    probe: bool,
    #[serde(rename = "_request_bytes")]
    request_bytes: u64,
    #[serde(rename = "_response_bytes")]
    response_bytes: u64,
    #[serde(rename = "_gaps")]
    gaps: BTreeMap<&'static str, f64>,
    #[serde(rename = "_findings")]
    findings: Vec<Found>,
    #[serde(rename = "_frame")]
    frame: u64,
    #[serde(rename = "_explanation")]
    explanation: String,
}

/// A finding as JSON has it.
#[derive(Serialize)]
struct Found {
    kind: &'static str,
    side: &'static str,
    frames: Vec<u64>,
    ms: f64,
}

impl Found {
    fn of(finding: &Finding) -> Self {
        Self {
            kind: finding.kind.name(),
            side: finding.side.name(),
            frames: finding
                .frames
                .iter()
                .map(|mark| mark.frame.number())
                .collect(),
            ms: finding.cost.as_millis(),
        }
    }
}

impl<'a> Entry<'a> {
    fn of(exchange: &'a Exchange, facts: &'a Facts) -> Self {
        let phases = Phases::of(exchange);
        let begin = exchange.start().plus(phases.before());
        let version = version(exchange);
        let answered = exchange.status.is_some();
        let source = usize::from(exchange.events.request_start.frame.source());
        let source = facts
            .sources
            .get(source)
            .filter(|_| facts.sources.len() > 1);
        let mut explanation = String::new();
        explain::exchange(&mut explanation, exchange, &facts.names);
        let gaps = exchange.gaps.present();
        let said = exchange.said.as_deref();
        // In HTTP/2 a head has another length than it is spelt with here.
        let sized = |bytes| Some(bytes).filter(|_| exchange.stream.is_none());
        let asked = said.and_then(|said| Spoken::of(&said.request, sized(exchange.request_bytes)));
        let answer = said.filter(|_| answered);
        let answer =
            answer.and_then(|said| Spoken::of(&said.response, sized(exchange.response_bytes)));
        Self {
            started_date_time: begin.to_string(),
            time: millis(phases.sum()),
            request: Request {
                method: exchange.method.as_deref().unwrap_or_default(),
                url: url(exchange),
                http_version: version,
                cookies: [],
                headers: asked
                    .as_ref()
                    .map_or_else(|| headers(exchange), Spoken::headers),
                query_string: query(exchange),
                post_data: asked.as_ref().and_then(Spoken::post_data),
                headers_size: asked.as_ref().map_or(UNKNOWN, |said| said.head_size),
                body_size: asked.as_ref().map_or(UNKNOWN, |said| said.body_size),
            },
            response: Response {
                status: exchange.status.unwrap_or(0),
                status_text: answer
                    .as_ref()
                    .map_or_else(String::new, |said| said.reason.clone()),
                http_version: if answered { version } else { "" },
                cookies: [],
                headers: answer.as_ref().map_or_else(Vec::new, Spoken::headers),
                content: answer.as_ref().map_or_else(
                    || Content {
                        size: if answered { UNKNOWN } else { 0 },
                        mime_type: "x-unknown".to_owned(),
                        text: None,
                        encoding: None,
                        comment: None,
                    },
                    Spoken::content,
                ),
                redirect_url: answer
                    .as_ref()
                    .and_then(|said| said.field("location"))
                    .unwrap_or_default(),
                headers_size: answer.as_ref().map_or(UNKNOWN, |said| said.head_size),
                body_size: answer.as_ref().map_or(UNKNOWN, |said| said.body_size),
            },
            cache: Nothing {},
            timings: phases.timings(),
            server_ip: exchange.server.ip().to_string(),
            connection: exchange.connection.to_string(),
            own: Own {
                id: exchange.id,
                client: exchange.client.to_string(),
                server: exchange.server.to_string(),
                client_name: facts.names.of(exchange.client.ip()),
                server_name: facts.names.of(exchange.server.ip()),
                source: source.map(|source| source.name.as_str()),
                path: exchange.path.as_deref(),
                verdict: exchange.verdict.name(),
                good: exchange.good(),
                certainty: if exchange.doubt.is_none() {
                    "certain"
                } else {
                    "uncertain"
                },
                doubt: exchange.doubt.map(|doubt| doubt.name()),
                stream: exchange.stream,
                reset_by: exchange.reset.map(|end| end.by.name()),
                reset_code: exchange.reset.map(|end| end.code.name()),
                grpc_status: exchange
                    .grpc
                    .as_deref()
                    .and_then(|grpc| grpc.status)
                    .map(|status| status.name()),
                late_status: exchange.late_status,
                expected_timeout: exchange.expected_timeout.map(|span| span.as_millis()),
                timeout_guess: exchange.timeout_guess.map(|span| span.as_millis()),
                probe: exchange.probe,
                request_bytes: exchange.request_bytes,
                response_bytes: exchange.response_bytes,
                gaps: gaps
                    .map(|(gap, span)| (gap.name(), span.as_millis()))
                    .collect(),
                findings: exchange.findings.iter().map(Found::of).collect(),
                frame: exchange.events.request_start.frame.number(),
                explanation,
            },
        }
    }
}

const fn version(exchange: &Exchange) -> &'static str {
    match (exchange.minor_version, exchange.stream) {
        (Some(0), _) => "HTTP/1.0",
        (Some(1), _) => "HTTP/1.1",
        (None, Some(_)) => "HTTP/2",
        _ => "",
    }
}

fn millis(micros: i64) -> f64 {
    micros as f64 / 1_000.0
}

/// The parts of an exchange, one behind the other, in microseconds: HAR has no negative times, and
/// wants the sum of all in `time`. Cuts are rounded rather than parts, so that the sum is the whole
/// as every report has it.
struct Phases {
    /// From the first SYN of a connection that was opened for this request.
    connect: Option<i64>,
    send: i64,
    wait: i64,
    receive: i64,
}

impl Phases {
    fn of(exchange: &Exchange) -> Self {
        let events = &exchange.events;
        let at = |time| number::micros(time - exchange.start()).max(0);
        let spoken = events.request_end.or(events.request_last);
        let sent = spoken.map_or(0, |mark| at(mark.time));
        // Of one that nothing ended the last thing seen is as far as it goes.
        let last = [
            events.response_last,
            events.response_start,
            events.request_acked.map(|(mark, _)| mark),
            spoken,
        ];
        let last = last.into_iter().flatten().map(|mark| mark.time).max();
        let decided = exchange.decided_at();
        let over = decided.or(last).map_or(sent, at);
        // A close may decide it while the request is still being sent.
        let sent = sent.min(over);
        // An answer may begin before the request ends.
        let answered = events.response_start.map_or(over, |mark| at(mark.time));
        let answered = answered.clamp(sent, over);
        // `wait` begins where the connection was opened, if it was for this request.
        let waited = exchange.gaps.wait.zip(decided);
        let connect = waited.map(|(wait, decided)| {
            number::micros(wait) - number::micros(decided - exchange.start())
        });
        Self {
            connect: connect.filter(|&connect| connect > 0),
            send: sent,
            wait: answered - sent,
            receive: over - answered,
        }
    }

    /// From the begin of the request back to that of the entry.
    fn before(&self) -> crate::time::Span {
        crate::time::Span::from_micros(-self.connect.unwrap_or(0))
    }

    fn sum(&self) -> i64 {
        self.connect.unwrap_or(0) + self.send + self.wait + self.receive
    }

    fn timings(&self) -> Timings {
        Timings {
            blocked: -1.0,
            dns: -1.0,
            connect: self.connect.map_or(-1.0, millis),
            send: millis(self.send),
            wait: millis(self.wait),
            receive: millis(self.receive),
            ssl: -1.0,
        }
    }
}

/// The URL of a request target (RFC 9112, 3.3). Every reader takes it apart, so that it is one
/// whatever was sent; that is beside it.
fn url(exchange: &Exchange) -> String {
    let path = exchange.path.as_deref().unwrap_or_default();
    let method = exchange.method.as_deref().unwrap_or_default();
    let target = utf8_percent_encode(path, NO_URL);
    let absolute = ["http://", "https://"].iter().any(|scheme| {
        let begin = path.get(..scheme.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    });
    let host = exchange.authority.as_deref().filter(|host| is_host(host));
    let host = host.map_or_else(|| exchange.server.to_string(), str::to_owned);
    let scheme = if exchange.encrypted { "https" } else { "http" };
    match path {
        _ if absolute => target.to_string(),
        _ if method == "CONNECT" && is_host(path) => format!("http://{path}"),
        // It is about the server as a whole.
        "*" | "" => format!("{scheme}://{host}"),
        _ if path.starts_with('/') => format!("{scheme}://{host}{target}"),
        _ => format!("{scheme}://{host}/{target}"),
    }
}

/// Whether `text` can stand for a host, with or without a port.
fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (text, ""),
    };
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let named = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(plain),
    };
    named && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// The headers that an exchange keeps as they were.
fn headers(exchange: &Exchange) -> Vec<Pair<'_>> {
    let attempt = exchange.attempt.map(|attempt| attempt.to_string().into());
    [
        ("host", exchange.authority.as_deref().map(Into::into)),
        (
            "x-request-id",
            exchange.request_id.as_deref().map(Into::into),
        ),
        ("x-envoy-attempt-count", attempt),
    ]
    .into_iter()
    .filter_map(|(name, value)| {
        Some(Pair {
            name: name.into(),
            value: value?,
        })
    })
    .collect()
}

/// The parameters of the query, decoded.
fn query(exchange: &Exchange) -> Vec<Pair<'_>> {
    let path = exchange.path.as_deref().unwrap_or_default();
    let query = path.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| Pair { name, value })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;
    use serde_json::Value;

    fn report_of(exchanges: &[Exchange], errors: &[&str]) -> Value {
        let mut out = Vec::new();
        let mut report = HarReport::new(&mut out, Filter::default());
        for exchange in exchanges {
            report.tell(ReportEvent::Exchange(exchange)).unwrap();
        }
        let capture = Capture {
            errors: errors.iter().map(|&error| error.to_owned()).collect(),
            ..Capture::default()
        };
        report.tell(ReportEvent::Finish(&capture)).unwrap();
        drop(report);
        serde_json::from_slice(&out).unwrap()
    }

    fn entries(document: &Value) -> &[Value] {
        document["log"]["entries"].as_array().unwrap()
    }

    #[test]
    fn the_parts_of_every_verdict_are_its_whole() {
        let exchanges = fixtures::every_verdict();
        let document = report_of(&exchanges, &[]);
        assert_eq!(document["log"]["version"], "1.2");
        assert!(document["log"].get("comment").is_none());
        assert_eq!(entries(&document).len(), exchanges.len());
        for (entry, exchange) in entries(&document).iter().zip(&exchanges) {
            let name = exchange.verdict.name();
            assert_eq!(entry["_verdict"], name);
            let timings = entry["timings"].as_object().unwrap();
            let known = timings.values().map(|part| part.as_f64().unwrap());
            let sum: f64 = known.filter(|part| *part >= 0.0).sum();
            assert!(
                (sum - entry["time"].as_f64().unwrap()).abs() < 1e-6,
                "{name}"
            );
            for part in ["send", "wait", "receive"] {
                assert!(timings[part].as_f64().unwrap() >= 0.0, "{name}: {part}");
            }
            if let Some(wait) = exchange.gaps.wait {
                assert_eq!(entry["time"], wait.as_millis(), "{name}");
            }
        }
    }

    #[test]
    fn a_connection_that_was_opened_for_it_comes_first() {
        let mut exchange = fixtures::ok();
        let total = exchange.gaps.total.unwrap();
        exchange.gaps.wait = Some(total.plus(crate::time::Span::from_micros(1_500)));
        let document = report_of(&[exchange.clone()], &[]);
        let entry = &entries(&document)[0];
        assert_eq!(entry["timings"]["connect"], 1.5);
        assert_eq!(entry["time"], exchange.gaps.wait.unwrap().as_millis());
        let begin = exchange
            .start()
            .plus(crate::time::Span::from_micros(-1_500))
            .to_string();
        assert_eq!(entry["startedDateTime"], begin);
    }

    #[test]
    fn a_url_whatever_was_sent() {
        let mut exchange = fixtures::ok();
        exchange.server = crate::packet::Endpoint::v4([10, 0, 0, 2], 3000);
        for (method, host, path, url) in [
            ("GET", "shop", "/a?b=c&d=%20", "http://shop/a?b=c&d=%20"),
            (
                "GET",
                "shop:81",
                "/a b#\"<\u{e9}",
                "http://shop:81/a%20b%23%22%3C%C3%A9",
            ),
            ("GET", "[fd00::1]:81", "/", "http://[fd00::1]:81/"),
            ("GET", "a b", "/", "http://10.0.0.2:3000/"),
            ("GET", "a/b@c", "/", "http://10.0.0.2:3000/"),
            ("GET", "shop", "http://other/x", "http://other/x"),
            ("OPTIONS", "shop", "*", "http://shop"),
            ("CONNECT", "shop", "db:5432", "http://db:5432"),
            ("GET", "shop", "odd", "http://shop/odd"),
        ] {
            exchange.method = Some(method.into());
            exchange.authority = Some(host.into());
            exchange.path = Some(path.into());
            let document = report_of(&[exchange.clone()], &[]);
            let entry = &entries(&document)[0];
            assert_eq!(entry["request"]["url"], url);
            assert_eq!(entry["_path"], path);
            assert_eq!(entry["request"]["headers"][0]["value"], host);
        }
        exchange.path = Some("/?token=abc&q".into());
        let document = report_of(&[exchange.clone()], &[]).to_string();
        assert!(
            document.contains("?token=redacted&q") && !document.contains("abc"),
            "{document}"
        );
        exchange.path = Some("/?q=a+b%21&=&x".into());
        let document = report_of(&[exchange], &[]);
        let query = &entries(&document)[0]["request"]["queryString"];
        assert_eq!(query[0], serde_json::json!({"name": "q", "value": "a b!"}));
        assert_eq!(query[2], serde_json::json!({"name": "x", "value": ""}));
    }

    #[test]
    fn a_capture_that_was_cut_short_ends_the_document_all_the_same() {
        let document = report_of(&[], &["the file ends \u{1b}[2J inside a packet"]);
        assert!(entries(&document).is_empty());
        let comment = document["log"]["comment"].as_str().unwrap();
        assert_eq!(
            comment,
            "incomplete: the file ends \u{1b}[2J inside a packet"
        );
    }
}
