//! The exchanges and failed connections of a page, as JSON for its script.
//!
//! Texts are ready to be shown and figures ready to be read, as in the other reports. Beside them stand whole microseconds, by
//! which the script places and sorts.

use super::kept::{Kept, LeftOut};
use super::page;
use crate::exchange::{Connection, Doubt, EnvoyFlags, Exchange, Gaps, Side, Verdict};
use crate::mesh;
use crate::packet::{Endpoint, Mark};
use crate::report::explain;
use crate::report::facts::Facts;
use crate::report::text::{self, Ink, Line};
use crate::report::wireshark;
use crate::time::{Span, Timestamp};
use crate::{escape, number};

/// Bytes of all exchanges together: what a browser opens at once.
const MOST_BYTES: usize = 4 << 20;
/// Characters of a path.
const LONGEST: usize = 600;
/// Characters of any other text.
const LONGEST_TEXT: usize = 2_400;
/// Arrows of a drawing: a server may send any number of interim responses.
const MOST_LINES: usize = 64;

/// The exchanges of a page.
pub(super) struct Block {
    /// A JSON object.
    pub(super) json: String,
    /// Exchanges in it: good ones, those that did not go well, and those of which it is not known.
    pub(super) shown: [u64; 3],
    pub(super) left_out: LeftOut,
    /// Ids of the exchanges in it.
    pub(super) ids: std::collections::HashSet<u64>,
}

/// Writes down what was kept.
pub(super) fn block(facts: &Facts, kept: Kept) -> Block {
    let mut block = Block {
        json: String::from("{\"verdicts\":{"),
        shown: [0; 3],
        left_out: kept.left_out,
        ids: std::collections::HashSet::new(),
    };
    for (index, verdict) in Verdict::ALL.into_iter().enumerate() {
        comma(&mut block.json, index);
        text(&mut block.json, verdict.name());
        block.json.push(':');
        text(&mut block.json, page::verdict_in_words(verdict));
    }
    block.json.push_str("},\"gaps\":{");
    for (index, (name, words)) in Gaps::NAMES.into_iter().zip(page::GAP_WORDS).enumerate() {
        comma(&mut block.json, index);
        text(&mut block.json, name);
        block.json.push(':');
        text(&mut block.json, words);
    }
    block.json.push_str("},\"rows\":[");
    let (exchanges, connections) = kept.into_parts();
    let mut rows: Vec<((Timestamp, u64), String)> = Vec::new();
    let mut bytes = 0;
    for exchange in &exchanges {
        let mut row = String::new();
        Row { facts }.exchange(&mut row, exchange);
        bytes += row.len();
        if bytes > MOST_BYTES {
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
        Row { facts }.connection(&mut row, connection);
        rows.push(((connection.first.time, connection.id), row));
    }
    rows.sort_by_key(|(start, _)| *start);
    for (index, (_, row)) in rows.iter().enumerate() {
        comma(&mut block.json, index);
        block.json.push('\n');
        block.json.push_str(row);
    }
    block.json.push_str("]}");
    block
}

struct Row<'a> {
    facts: &'a Facts,
}

impl Row<'_> {
    fn exchange(&self, out: &mut String, exchange: &Exchange) {
        out.push_str("{\"kind\":\"exchange\",\"id\":");
        number::unsigned(out, exchange.id);
        out.push_str(",\"verdict\":\"");
        out.push_str(exchange.verdict.name());
        out.push_str(match exchange.good() {
            Some(true) => "\",\"good\":true",
            Some(false) => "\",\"good\":false",
            None => "\",\"good\":null",
        });
        let mut request = String::new();
        text::request(&mut request, exchange, LONGEST);
        out.push_str(",\"request\":");
        text(out, &request);
        for (name, value) in [
            (",\"host\":", exchange.authority.as_deref()),
            (",\"request_id\":", exchange.request_id.as_deref()),
        ] {
            if let Some(value) = value {
                out.push_str(name);
                text(out, value);
            }
        }
        for (name, status) in [
            (",\"status\":", exchange.status),
            (",\"late\":", exchange.late_status),
        ] {
            if let Some(status) = status {
                out.push_str(name);
                number::unsigned(out, u64::from(status));
            }
        }
        if exchange.probe {
            out.push_str(",\"probe\":true");
        }
        ends(out, exchange.client, exchange.server);
        self.start(out, exchange.start());
        self.source(out, exchange.events.request_start);
        out.push_str(",\"took\":");
        gaps(out, &exchange.gaps);
        timeout(out, exchange);
        doubt(out, exchange.doubt);
        flags(
            out,
            &exchange.envoy,
            exchange.client,
            exchange.timeout_guess.is_some(),
        );
        findings(out, exchange);
        let mut sentence = String::new();
        explain::exchange(&mut sentence, exchange);
        out.push_str(",\"said\":");
        text(out, &sentence);
        let mut filter = String::new();
        wireshark::exchange(&mut filter, exchange, self.facts.numbering());
        out.push_str(",\"filter\":");
        text(out, &filter);
        out.push_str(",\"lines\":[");
        let mut before = None;
        for line in text::lines(exchange).iter().take(MOST_LINES) {
            self.line(out, line, &mut before, exchange.events.request_start);
        }
        out.push_str("]}");
    }

    fn connection(&self, out: &mut String, connection: &Connection) {
        let Some(verdict) = connection.verdict else {
            return;
        };
        out.push_str("{\"kind\":\"connection\",\"id\":");
        number::unsigned(out, connection.id);
        out.push_str(",\"verdict\":\"");
        out.push_str(verdict.name());
        out.push_str("\",\"good\":false,\"request\":\"no connection\"");
        ends(out, connection.client, connection.server);
        let first = connection.first;
        self.start(out, first.time);
        self.source(out, first);
        out.push_str(",\"took\":{}");
        doubt(out, connection.doubt);
        flags(out, &connection.envoy, connection.client, false);
        let mut sentence = String::new();
        explain::connection(&mut sentence, connection);
        out.push_str(",\"findings\":[],\"said\":");
        text(out, &sentence);
        let mut filter = String::new();
        wireshark::connection(&mut filter, connection, self.facts.numbering());
        out.push_str(",\"filter\":");
        text(out, &filter);
        out.push_str(",\"lines\":[");
        let mut what = String::from("SYN");
        if connection.syn_retries > 0 {
            what.push_str(", sent ");
            number::grouped(&mut what, connection.syn_retries.saturating_add(1));
            what.push_str(" times");
        }
        let mut before = None;
        self.arrow(out, (first, Side::Client), &what, &mut before, first);
        out.push('}');
        if let Some(close) = connection.close {
            let what = if close.reset { "RST" } else { "FIN" };
            self.arrow(out, (close.mark, close.by), what, &mut before, first);
            out.push_str(",\"ink\":\"bad\"}");
        }
        out.push_str("]}");
    }

    fn seconds(&self, out: &mut String, time: Timestamp) {
        let origin = self.facts.origin.unwrap_or(time);
        let span = Span::from_nanos((time - origin).as_nanos());
        number::decimal(out, number::micros(span), 6, 6);
    }

    /// When it began, in seconds since the first frame.
    fn start(&self, out: &mut String, time: Timestamp) {
        out.push_str(",\"start\":\"");
        self.seconds(out, time);
        out.push('"');
    }

    /// Where there are several, the capture whose frames these are.
    fn source(&self, out: &mut String, mark: Mark) {
        if let Some(name) = self.facts.names.get(usize::from(mark.frame.source())) {
            out.push_str(",\"source\":");
            text(out, name);
        }
    }

    fn line(&self, out: &mut String, line: &Line, before: &mut Option<Mark>, start: Mark) {
        let (kind, mark) = line.event;
        let step = before.map(|before| mark.time - before.time);
        self.arrow(out, (mark, kind.sender()), &line.what, before, start);
        // That a gap is the one since the arrow before it, the drawing shows.
        if let Some((gap, since)) = line.gap.filter(|(gap, _)| Some(*gap) != step) {
            out.push_str(",\"gap\":\"");
            number::millis_exact(out, gap);
            out.push_str(" ms ");
            out.push_str(since);
            out.push('"');
        }
        match line.ink {
            Some(Ink::Bad) => out.push_str(",\"ink\":\"bad\""),
            Some(Ink::Doubt) => out.push_str(",\"ink\":\"doubt\""),
            _ => {}
        }
        out.push('}');
    }

    /// An arrow's object, without its end.
    fn arrow(
        &self,
        out: &mut String,
        (mark, from): (Mark, Side),
        what: &str,
        before: &mut Option<Mark>,
        start: Mark,
    ) {
        out.push_str(if before.is_some() {
            ",{\"frame\":"
        } else {
            "{\"frame\":"
        });
        number::unsigned(out, mark.frame.number());
        out.push_str(",\"from\":\"");
        out.push_str(from.name());
        out.push_str("\",\"at\":\"");
        self.seconds(out, mark.time);
        out.push_str("\",\"us\":");
        number::decimal(out, number::micros(mark.time - start.time), 0, 0);
        if let Some(before) = before.replace(mark) {
            out.push_str(",\"step\":\"");
            number::millis_exact(out, mark.time - before.time);
            out.push('"');
        }
        out.push_str(",\"what\":");
        text(out, what);
        // Files of one connection may follow each other.
        if mark.frame.source() != start.frame.source() {
            self.source(out, mark);
        }
        if let Some(comment) = self.facts.comments.get(mark.frame) {
            out.push_str(",\"comment\":");
            text(out, comment);
        }
    }
}

fn comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

/// Pushes text that a person is to read: what could fool them is spelt out as in the other reports.
fn text(out: &mut String, text: &str) {
    let mut shown = String::new();
    escape::shown(&mut shown, text, LONGEST_TEXT);
    escape::json_in_html(out, &shown);
}

fn ends(out: &mut String, client: Endpoint, server: Endpoint) {
    out.push_str(",\"client\":\"");
    number::endpoint(out, client);
    out.push_str("\",\"server\":\"");
    number::endpoint(out, server);
    out.push('"');
    if mesh::is_istio_inbound(client) {
        out.push_str(",\"sidecar\":true");
    }
}

fn gaps(out: &mut String, gaps: &Gaps) {
    out.push('{');
    let mut first = true;
    for (name, gap) in Gaps::NAMES.into_iter().zip(gaps.values()) {
        let Some(gap) = gap else { continue };
        out.push_str(if first { "\"" } else { ",\"" });
        first = false;
        out.push_str(name);
        out.push_str("\":\"");
        number::millis_exact(out, gap);
        out.push('"');
    }
    out.push('}');
}

/// The timeout to mark: counted from the request's end, placed from its begin.
fn timeout(out: &mut String, exchange: &Exchange) {
    let announced = exchange.expected_timeout;
    let Some(span) = announced.or(exchange.timeout_guess) else {
        return;
    };
    let Some(end) = exchange.events.request_end else {
        return;
    };
    out.push_str(",\"timeout\":{\"text\":\"");
    number::timeout(out, span);
    out.push_str(if announced.is_some() {
        "\",\"guess\":false,\"us\":"
    } else {
        "\",\"guess\":true,\"us\":"
    });
    let at = (end.time - exchange.start()).plus(span);
    number::decimal(out, number::micros(at), 0, 0);
    out.push('}');
}

fn doubt(out: &mut String, doubt: Option<Doubt>) {
    if let Some(doubt) = doubt {
        out.push_str(",\"doubt\":{\"name\":\"");
        out.push_str(doubt.name());
        out.push_str("\",\"words\":");
        text(out, explain::doubt_in_words(doubt));
        out.push('}');
    }
}

fn flags(out: &mut String, flags: &EnvoyFlags, client: Endpoint, guessed: bool) {
    out.push_str(",\"envoy\":[");
    for (index, (place, flags)) in text::places(flags, client).enumerate() {
        comma(out, index);
        out.push_str("{\"flags\":");
        text(out, &flags.join(" or "));
        out.push_str(",\"place\":");
        text(out, place);
        if guessed && flags.len() > 1 {
            out.push_str(",\"guess\":true");
        }
        out.push('}');
    }
    out.push(']');
}

fn findings(out: &mut String, exchange: &Exchange) {
    /// As in the text report: a page has no more use for all of them.
    const MOST: usize = 12;
    const MOST_FRAMES: usize = 8;
    out.push_str(",\"findings\":[");
    for (index, finding) in exchange.findings.iter().take(MOST).enumerate() {
        comma(out, index);
        out.push_str("{\"kind\":\"");
        out.push_str(finding.kind.name());
        out.push_str("\",\"ms\":\"");
        number::millis_exact(out, finding.cost);
        out.push_str("\",\"frames\":\"");
        for (index, mark) in finding.frames.iter().take(MOST_FRAMES).enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            number::unsigned(out, mark.frame.number());
        }
        out.push_str(if finding.frames.len() > MOST_FRAMES {
            ", …\"}"
        } else {
            "\"}"
        });
    }
    out.push(']');
    if exchange.findings.len() > MOST {
        out.push_str(",\"findings_more\":");
        number::unsigned(out, (exchange.findings.len() - MOST) as u64);
    }
}
