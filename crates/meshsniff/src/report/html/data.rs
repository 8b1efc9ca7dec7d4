//! The exchanges and failed connections of a page, as JSON for its script.
//!
//! Texts are ready to be shown and figures ready to be read, as in the other reports. Whole
//! microseconds stand beside them, by which the script places and sorts.

use super::kept::{Kept, LeftOut};
use super::seen;
use super::words::{gap_in_words, verdict_in_words};
use crate::exchange::{
    Connection, Doubt, EnvoyFlags, Exchange, Finding, Gap, Grpc, Side, Status, Verdict,
};
use crate::mesh;
use crate::packet::{Endpoint, Mark};
use crate::piece::{Exact, Grouped, Shown, push, said};
use crate::report::drawing::Drawing;
use crate::report::encode::{Encode, List, Map, Object, Quoted, Raw, Word, fields, more_fields};
use crate::report::explain;
use crate::report::facts::Facts;
use crate::report::flags::places;
use crate::report::text::{self, Ink, Line, MAX_FINDINGS, MAX_FRAMES};
use crate::report::wireshark;
use crate::time::{Span, Timestamp};
use crate::{escape, number};

/// Bytes of all exchanges together: what a browser opens at once.
const MAX_BYTES: usize = 4 << 20;
/// Characters of a path.
const MAX_PATH: usize = 600;
/// Characters of any other text.
const MAX_TEXT: usize = 2_400;

/// The data of a page.
pub(super) struct PageData {
    /// A JSON object.
    pub(super) json: String,
    /// The number of good exchanges in it, of those that did not go well, and of those of which it
    /// is not known.
    pub(super) shown: [u64; 3],
    pub(super) left_out: LeftOut,
    /// Ids of the exchanges in it.
    pub(super) ids: std::collections::HashSet<u64>,
}

/// Encodes the exchanges and connections that are kept, and the drawing.
pub(super) fn block(facts: &Facts, kept: Kept, drawing: Option<&Drawing>) -> PageData {
    let mut block = PageData {
        json: String::new(),
        shown: [0; 3],
        left_out: kept.left_out,
        ids: std::collections::HashSet::new(),
    };
    let (exchanges, connections) = kept.into_parts();
    let mut rows: Vec<((Timestamp, u64), String)> = Vec::new();
    let mut bytes = 0;
    for exchange in &exchanges {
        let mut row = String::new();
        Rows { facts }.exchange(exchange).encode(&mut row);
        bytes += row.len();
        if bytes > MAX_BYTES {
            block.left_out.add(exchange);
            continue;
        }
        block.ids.insert(exchange.id);
        block.shown[match exchange.good() {
            Some(true) => 0,
            Some(false) => 1,
            None => 2,
        }] += 1;
        rows.push(((exchange.start(), exchange.id), row));
    }
    for connection in &connections {
        let mut row = String::new();
        Rows { facts }.connection(connection).encode(&mut row);
        rows.push(((connection.first.time, connection.id), row));
    }
    rows.sort_by_key(|(start, _)| *start);
    let verdicts = Verdict::ALL.into_iter();
    let verdicts = verdicts.map(|verdict| (verdict.name(), Text(verdict_in_words(verdict))));
    let gaps = Gap::ALL.into_iter();
    let gaps = gaps.map(|gap| (gap.name(), Text(gap_in_words(gap))));
    let rows = rows.iter().map(|(_, row)| {
        Raw(|out: &mut String| {
            out.push('\n');
            out.push_str(row);
        })
    });
    Object(|out: &mut String| {
        fields!(out, {
            "verdicts": Map(verdicts),
            "gaps": Map(gaps),
            "seen": Raw(|out: &mut String| {
                out.push('\n');
                let seen = drawing.map(|drawing| seen::data(drawing, &facts.names));
                seen.encode(out);
            }),
            "rows": List(rows),
        });
    })
    .encode(&mut block.json);
    block
}

/// Text for a person: what could fool them is spelt out as in the other reports.
struct Text<'a>(&'a str);

impl Encode for Text<'_> {
    fn push(self, out: &mut String) {
        let shown = said!(Shown(self.0, MAX_TEXT));
        escape::json_in_html(out, &shown);
    }
}

/// The same for text that a function pushes.
fn shown(push: impl FnOnce(&mut String)) -> impl Encode {
    Raw(|out: &mut String| {
        let mut text = String::new();
        push(&mut text);
        Text(&text).encode(out);
    })
}

/// Milliseconds as a person reads them.
fn millis(span: Span) -> impl Encode {
    Quoted(move |out: &mut String| number::millis_exact(out, span))
}

struct Rows<'a> {
    facts: &'a Facts,
}

impl Rows<'_> {
    fn exchange(&self, exchange: &Exchange) -> impl Encode {
        let start = exchange.events.request_start;
        let taken = exchange.gaps.present();
        let taken = taken.map(|(gap, span)| (gap.name(), millis(span)));
        let guessed = exchange.timeout_guess.is_some();
        Object(move |out: &mut String| {
            fields!(out, {
                "kind": Word("exchange"),
                "id": exchange.id,
                "verdict": Word(exchange.verdict.name()),
                "good": exchange.good(),
                "request": shown(|text| text::request(text, exchange, MAX_PATH)),
            });
            if let Some(host) = exchange.authority.as_deref() {
                more_fields!(out, { "host": Text(host) });
            }
            if let Some(id) = exchange.request_id.as_deref() {
                more_fields!(out, { "request_id": Text(id) });
            }
            if let Some(id) = exchange.trace_id.as_deref() {
                more_fields!(out, { "trace_id": Text(id) });
            }
            if let Some(status) = exchange.status {
                more_fields!(out, { "status": status });
            }
            if let Some(status) = exchange.late_status {
                more_fields!(out, { "late": status });
            }
            if exchange.probe {
                more_fields!(out, { "probe": true });
            }
            if let Some(stream) = exchange.stream {
                more_fields!(out, { "stream": u64::from(stream) });
            }
            if let Some(grpc) = exchange.grpc.as_deref() {
                more_fields!(out, { "call": Object(|out: &mut String| call(out, grpc)) });
            }
            if let Some(websocket) = exchange.websocket.as_deref() {
                let frames = websocket.frames.map(|frames| frames.all());
                more_fields!(out, { "frames": Object(move |out: &mut String| {
                    fields!(out, {
                        "sent": frames[0],
                        "answered": frames[1],
                        "all": websocket.is_whole(),
                    });
                }) });
            }
            if let Some(stream) = exchange.event_stream {
                more_fields!(out, { "events": stream.events });
            }
            self.ends(out, exchange.client, exchange.server, start);
            more_fields!(out, { "took": Map(taken) });
            timeout(out, exchange);
            doubt(out, exchange.doubt);
            more_fields!(out, {
                "envoy": flags(&exchange.envoy, exchange.client, guessed),
                "findings": List(exchange.findings.iter().take(MAX_FINDINGS).map(finding)),
            });
            if let Some(more @ 1..) = exchange.findings.len().checked_sub(MAX_FINDINGS) {
                more_fields!(out, { "findings_more": more as u64 });
            }
            let mut before = None;
            let lines = text::lines(exchange);
            more_fields!(out, {
                "said": shown(|text| explain::exchange(text, exchange, &self.facts.names)),
                "filter": shown(|text| wireshark::exchange(text, exchange, self.facts.numbering())),
                "lines": List(lines.iter().map(|line| {
                    self.line(line, before.replace(line.event.1), start)
                })),
            });
        })
    }

    fn connection(&self, connection: &Connection) -> impl Encode {
        let first = connection.first;
        let close = connection.close;
        Object(move |out: &mut String| {
            fields!(out, {
                "kind": Word("connection"),
                "id": connection.id,
                "verdict": connection.verdict.map(|verdict| Word(verdict.name())),
                "good": false,
                "request": Word("no connection"),
            });
            self.ends(out, connection.client, connection.server, first);
            more_fields!(out, { "took": Object(|_: &mut String| {}) });
            doubt(out, connection.doubt);
            more_fields!(out, {
                "envoy": flags(&connection.envoy, connection.client, false),
                "findings": List([0_u64; 0]),
                "said": shown(|text| explain::connection(text, connection, &self.facts.names)),
                "filter": shown(|text| {
                    wireshark::connection(text, connection, self.facts.numbering());
                }),
                "lines": Raw(|out: &mut String| {
                    let mut what = String::from("SYN");
                    if connection.syn_retries > 0 {
                        let sent = connection.syn_retries.saturating_add(1);
                        push!(&mut what; ", sent ", Grouped(sent), " times");
                    }
                    out.push_str("[{");
                    self.arrow(out, (first, Side::Client), &what, None, first);
                    if let Some(close) = close {
                        let what = if close.reset { "RST" } else { "FIN" };
                        out.push_str("},{");
                        self.arrow(out, (close.mark, close.by), what, Some(first), first);
                        more_fields!(out, { "ink": Word("bad") });
                    }
                    out.push_str("}]");
                }),
            });
        })
    }

    fn seconds(&self, time: Timestamp) -> impl Encode {
        let since = time - self.facts.origin.unwrap_or(time);
        Quoted(move |out: &mut String| number::decimal(out, number::micros(since), 6, 6))
    }

    /// Pushes both ends, and the begin in seconds since the first frame.
    fn ends(&self, out: &mut String, client: Endpoint, server: Endpoint, first: Mark) {
        more_fields!(out, { "client": client, "server": server });
        if let Some(name) = self.facts.names.of(client.ip()) {
            more_fields!(out, { "client_name": Text(name) });
        }
        if let Some(name) = self.facts.names.of(server.ip()) {
            let brief = self.facts.names.shown(server);
            more_fields!(out, { "server_name": Text(name), "server_brief": Text(&brief) });
        }
        if mesh::is_istio_inbound(client) {
            more_fields!(out, { "sidecar": true });
        }
        more_fields!(out, { "start": self.seconds(first.time) });
        self.source(out, first);
    }

    /// Pushes the name of the capture that has the frame, if there are several.
    fn source(&self, out: &mut String, mark: Mark) {
        if let Some(name) = self
            .facts
            .source_names
            .get(usize::from(mark.frame.source()))
        {
            more_fields!(out, { "source": Text(name) });
        }
    }

    fn line(&self, line: &Line, before: Option<Mark>, start: Mark) -> impl Encode {
        let (kind, mark) = line.event;
        let step = before.map(|before| mark.time - before.time);
        Object(move |out: &mut String| {
            self.arrow(out, (mark, kind.sender()), &line.what, before, start);
            // The drawing shows the gap since the arrow before.
            if let Some((gap, since)) = line.gap.filter(|(gap, _)| Some(*gap) != step) {
                more_fields!(out, { "gap": Quoted(|out: &mut String| {
                    push!(out; Exact(gap), " ms ");
                    out.push_str(since);
                }) });
            }
            match line.ink {
                Some(Ink::Bad) => more_fields!(out, { "ink": Word("bad") }),
                Some(Ink::Doubt) => more_fields!(out, { "ink": Word("doubt") }),
                _ => {}
            }
        })
    }

    /// The fields of an arrow.
    fn arrow(
        &self,
        out: &mut String,
        (mark, from): (Mark, Side),
        what: &str,
        before: Option<Mark>,
        start: Mark,
    ) {
        fields!(out, {
            "frame": mark.frame.number(),
            "from": Word(from.name()),
            "at": self.seconds(mark.time),
            "us": number::micros(mark.time - start.time),
        });
        if let Some(before) = before {
            more_fields!(out, { "step": millis(mark.time - before.time) });
        }
        more_fields!(out, { "what": Text(what) });
        // The files of one connection may follow each other.
        if mark.frame.source() != start.frame.source() {
            self.source(out, mark);
        }
        if let Some(comment) = self.facts.comments.get(mark.frame) {
            more_fields!(out, { "comment": Text(comment) });
        }
    }
}

/// A remote procedure call: its status, if that is not OK, and how many messages it had.
fn call(out: &mut String, grpc: &Grpc) {
    let failed = grpc.status.filter(|status| *status != Status::OK);
    fields!(out, {
        "status": failed.map(|status| Word(status.name())),
        "sent": grpc.request,
        "answered": grpc.response,
    });
}

/// Pushes the timeout to mark: it counts from the request's end and is placed from its begin.
fn timeout(out: &mut String, exchange: &Exchange) {
    let announced = exchange.expected_timeout;
    let span = announced.or(exchange.timeout_guess);
    if let (Some(span), Some(end)) = (span, exchange.events.request_end) {
        let at = (end.time - exchange.start()).plus(span);
        more_fields!(out, { "timeout": Object(|out: &mut String| fields!(out, {
            "text": Quoted(|out: &mut String| number::timeout(out, span)),
            "guess": announced.is_none(),
            "us": number::micros(at),
        })) });
    }
}

fn doubt(out: &mut String, doubt: Option<Doubt>) {
    if let Some(doubt) = doubt {
        more_fields!(out, { "doubt": Object(|out: &mut String| fields!(out, {
            "name": Word(doubt.name()),
            "words": Text(explain::doubt_in_words(doubt)),
        })) });
    }
}

fn flags(flags: &EnvoyFlags, client: Endpoint, guessed: bool) -> impl Encode {
    List(places(flags, client).map(move |(place, flags)| {
        Object(move |out: &mut String| {
            fields!(out, { "flags": Text(&flags.join(" or ")), "place": Text(place) });
            if guessed && flags.len() > 1 {
                more_fields!(out, { "guess": true });
            }
        })
    }))
}

fn finding(finding: &Finding) -> impl Encode {
    Object(|out: &mut String| {
        fields!(out, {
            "kind": Word(finding.kind.name()),
            "ms": millis(finding.cost),
            "frames": Quoted(|out: &mut String| {
                for (index, mark) in finding.frames.iter().take(MAX_FRAMES).enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    number::unsigned(out, mark.frame.number());
                }
                if finding.frames.len() > MAX_FRAMES {
                    out.push_str(", …");
                }
            }),
        });
    })
}
