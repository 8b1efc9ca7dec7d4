//! The objects of a JSON report, field by field, without the braces around them.
//!
//! Every function pushes the inside of one object, so that a `type` can be put before it. Field names and
//! their order are those of the documentation.

use crate::event::Outcome;
use crate::event::{Capture, Source};
use crate::exchange::{Connection, Doubt, EnvoyFlags, Exchange, Gaps, Verdict};
use crate::packet::FrameId;
use crate::report::explain;
use crate::report::facts::Facts;
use crate::report::timeline::{self, Event, EventKind};
use crate::report::wireshark;
use crate::statistics::routes::{Counted, Route};
use crate::statistics::{GapStats, Summary};
use crate::time::Span;
use crate::{escape, number};

/// Writes objects; keeps what they need beyond themselves.
#[derive(Debug, Default)]
pub(super) struct Objects {
    clock: number::Clock,
    /// The frame being analysed, whose comment may not be known yet.
    current: FrameId,
    /// Whether a comment on the current frame came after an exchange was written.
    commented: bool,
    /// Where in the buffer the events of the current frame end.
    positions: Vec<usize>,
    events: Vec<Event>,
    sentence: String,
}

impl Objects {
    pub(super) const fn begin(&mut self, frame: FrameId) {
        self.current = frame;
    }

    /// A comment on `frame` became known.
    pub(super) fn comment(&mut self, frame: FrameId) {
        self.commented |= frame == self.current;
    }

    /// Adds a comment that came late to the events already in `buffer`.
    pub(super) fn add_comments(&mut self, buffer: &mut String, facts: &Facts) {
        if self.commented {
            self.commented = false;
            if let Some(text) = facts.comments.get(self.current) {
                let mut field = String::from(",\"comment\":");
                escape::json(&mut field, text);
                for &position in self.positions.iter().rev() {
                    buffer.insert_str(position, &field);
                }
            }
        }
        self.positions.clear();
    }

    /// The buffer was emptied.
    pub(super) fn forget_positions(&mut self) {
        self.positions.clear();
    }

    /// Something of this length was put before what the buffer holds.
    pub(super) fn shift_positions(&mut self, by: usize) {
        for position in &mut self.positions {
            *position += by;
        }
    }

    pub(super) fn exchange(&mut self, out: &mut String, facts: &Facts, exchange: &Exchange) {
        out.push_str("\"id\":");
        number::unsigned(out, exchange.id);
        out.push_str(",\"source\":");
        let source = exchange.events.request_start.frame.source();
        number::unsigned(out, u64::from(source));
        out.push_str(",\"connection\":");
        number::unsigned(out, exchange.connection);
        out.push_str(",\"client\":\"");
        number::endpoint(out, exchange.client);
        out.push_str("\",\"server\":\"");
        number::endpoint(out, exchange.server);
        out.push_str("\",\"start\":\"");
        self.clock.push(out, exchange.start());
        out.push_str("\",\"protocol\":");
        match exchange.minor_version {
            Some(minor) => {
                out.push_str("\"HTTP/1.");
                number::unsigned(out, u64::from(minor));
                out.push('"');
            }
            None => out.push_str("null"),
        }
        out.push_str(",\"method\":");
        text_or_null(out, exchange.method.as_deref());
        out.push_str(",\"path\":");
        text_or_null(out, exchange.path.as_deref());
        out.push_str(",\"authority\":");
        text_or_null(out, exchange.authority.as_deref());
        out.push_str(",\"status\":");
        number_or_null(out, exchange.status.map(u64::from));
        out.push_str(",\"late_status\":");
        number_or_null(out, exchange.late_status.map(u64::from));
        out.push_str(",\"request_id\":");
        text_or_null(out, exchange.request_id.as_deref());
        out.push_str(if exchange.probe {
            ",\"probe\":true"
        } else {
            ",\"probe\":false"
        });
        out.push_str(",\"expected_timeout_ms\":");
        timeout_or_null(out, exchange.expected_timeout);
        out.push_str(",\"timeout_guess_ms\":");
        timeout_or_null(out, exchange.timeout_guess);
        out.push_str(",\"request_bytes\":");
        number::unsigned(out, exchange.request_bytes);
        out.push_str(",\"response_bytes\":");
        number::unsigned(out, exchange.response_bytes);
        self.events(out, facts, exchange);
        gaps(out, &exchange.gaps);
        out.push_str(",\"verdict\":\"");
        out.push_str(exchange.verdict.name());
        out.push_str(match exchange.good() {
            Some(true) => "\",\"good\":true",
            Some(false) => "\",\"good\":false",
            None => "\",\"good\":null",
        });
        match exchange.doubt {
            None => out.push_str(",\"certainty\":\"certain\",\"certainty_reason\":null"),
            Some(doubt) => uncertain(out, doubt),
        }
        envoy(out, &exchange.envoy);
        findings(out, exchange);
        self.sentence.clear();
        explain::exchange(&mut self.sentence, exchange);
        out.push_str(",\"explanation\":");
        escape::json(out, &self.sentence);
        out.push_str(",\"display_filter\":\"");
        // Names, numbers and signs of the program's own: there is nothing to escape.
        wireshark::exchange(out, exchange, facts.numbering());
        out.push('"');
    }

    fn events(&mut self, out: &mut String, facts: &Facts, exchange: &Exchange) {
        timeline::fill(&mut self.events, exchange);
        let origin = facts.origin.unwrap_or(exchange.start());
        out.push_str(",\"events\":[");
        for (index, &(kind, mark)) in self.events.iter().enumerate() {
            out.push_str(if index == 0 {
                "{\"kind\":\""
            } else {
                "},{\"kind\":\""
            });
            out.push_str(kind.name());
            out.push_str("\",\"frame\":");
            number::unsigned(out, mark.frame.number());
            out.push_str(",\"t\":");
            number::seconds(out, mark.time - origin);
            match kind {
                EventKind::RequestAcked(with) => {
                    out.push_str(",\"with\":\"");
                    out.push_str(with.name());
                    out.push('"');
                }
                EventKind::Interim(status) => {
                    out.push_str(",\"status\":");
                    number::unsigned(out, u64::from(status));
                }
                _ => {}
            }
            if facts.sources.len() > 1 {
                out.push_str(",\"source\":");
                number::unsigned(out, u64::from(mark.frame.source()));
            }
            if mark.frame == self.current {
                self.positions.push(out.len());
                // A comment on the current frame is added once all of them are known.
                self.commented |= facts.comments.get(mark.frame).is_some();
            } else if let Some(text) = facts.comments.get(mark.frame) {
                out.push_str(",\"comment\":");
                escape::json(out, text);
            }
        }
        out.push_str("}]");
    }

    pub(super) fn connection(&mut self, out: &mut String, facts: &Facts, connection: &Connection) {
        out.push_str("\"id\":");
        number::unsigned(out, connection.id);
        out.push_str(",\"source\":");
        number::unsigned(out, u64::from(connection.first.frame.source()));
        out.push_str(",\"client\":\"");
        number::endpoint(out, connection.client);
        out.push_str("\",\"server\":\"");
        number::endpoint(out, connection.server);
        out.push_str("\",\"protocol\":\"");
        out.push_str(connection.protocol.name());
        out.push_str(if connection.role_guessed {
            "\",\"role_guessed\":true"
        } else {
            "\",\"role_guessed\":false"
        });
        out.push_str(",\"first_frame\":");
        number::unsigned(out, connection.first.frame.number());
        out.push_str(",\"syn_frame\":");
        number_or_null(out, connection.syn.map(|mark| mark.frame.number()));
        out.push_str(",\"handshake\":");
        millis_or_null(out, connection.handshake);
        out.push_str(",\"syn_to_synack\":");
        millis_or_null(out, connection.syn_to_synack);
        out.push_str(",\"syn_retries\":");
        number::unsigned(out, connection.syn_retries);
        out.push_str(",\"verdict\":");
        text_or_null(out, connection.verdict.map(Verdict::name));
        match (connection.verdict, connection.doubt) {
            (_, Some(doubt)) => uncertain(out, doubt),
            (Some(_), None) => {
                out.push_str(",\"certainty\":\"certain\",\"certainty_reason\":null");
            }
            (None, None) => out.push_str(",\"certainty\":null,\"certainty_reason\":null"),
        }
        envoy(out, &connection.envoy);
        out.push_str(",\"closed_by\":");
        text_or_null(out, connection.close.map(|close| close.by.name()));
        out.push_str(match connection.close {
            None => ",\"close\":null",
            Some(close) if close.reset => ",\"close\":\"rst\"",
            Some(_) => ",\"close\":\"fin\"",
        });
        out.push_str(",\"close_frame\":");
        number_or_null(out, connection.close.map(|close| close.mark.frame.number()));
        out.push_str(",\"idle_ms\":");
        millis_or_null(out, connection.idle);
        for (name, count) in [
            (",\"exchanges\":", connection.exchanges),
            (",\"orphan_responses\":", connection.orphan_responses),
            (",\"hidden_bytes\":", connection.hidden_bytes),
            (",\"retransmissions\":", connection.retransmissions),
        ] {
            out.push_str(name);
            number::unsigned(out, count);
        }
        out.push_str(",\"explanation\":");
        self.sentence.clear();
        explain::connection(&mut self.sentence, connection);
        if self.sentence.is_empty() {
            out.push_str("null");
        } else {
            escape::json(out, &self.sentence);
        }
        out.push_str(",\"display_filter\":\"");
        wireshark::connection(out, connection, facts.numbering());
        out.push('"');
    }

    pub(super) fn capture(&mut self, out: &mut String, facts: &Facts, capture: &Capture) {
        let totals = &capture.totals;
        out.push_str("\"frames\":");
        number::unsigned(out, totals.frames);
        out.push_str(",\"bytes\":");
        number::unsigned(out, totals.bytes);
        out.push_str(",\"dropped\":");
        number_or_null(out, capture.dropped);
        for (name, time) in [(",\"first\":", totals.first), (",\"last\":", totals.last)] {
            out.push_str(name);
            match time {
                None => out.push_str("null"),
                Some(time) => {
                    out.push('"');
                    self.clock.push(out, time);
                    out.push('"');
                }
            }
        }
        out.push_str(if capture.errors.is_empty() {
            ",\"complete\":true"
        } else {
            ",\"complete\":false"
        });
        for (name, count) in [
            (",\"truncated_frames\":", totals.truncated_frames),
            (",\"duplicate_frames\":", totals.duplicate_frames),
            (",\"malformed_frames\":", totals.malformed_frames),
            (",\"unsupported_frames\":", capture.unsupported_frames),
            (",\"connections\":", totals.connections),
            (",\"encrypted_connections\":", totals.encrypted_connections),
            (",\"http2_connections\":", totals.http2_connections),
            (",\"other_connections\":", totals.other_connections),
            (",\"retransmissions\":", totals.retransmissions),
            (",\"connections_evicted\":", totals.connections_evicted),
            (",\"bytes_given_up\":", totals.bytes_given_up),
        ] {
            out.push_str(name);
            number::unsigned(out, count);
        }
        out.push_str(",\"errors\":[");
        for (index, error) in capture.errors.iter().enumerate() {
            comma(out, index);
            escape::json(out, error);
        }
        out.push_str("],\"comments\":[");
        for (index, (frame, text)) in facts.comments.iter().enumerate() {
            comma(out, index);
            out.push_str("{\"source\":");
            number::unsigned(out, u64::from(frame.source()));
            out.push_str(",\"frame\":");
            number::unsigned(out, frame.number());
            out.push_str(",\"text\":");
            escape::json(out, text);
            out.push('}');
        }
        out.push_str("],\"comments_left_out\":");
        number::unsigned(out, facts.comments.left_out + capture.comments_left_out);
    }
}

pub(super) fn source(out: &mut String, source: &Source) {
    out.push_str("\"kind\":");
    escape::json(out, &source.kind);
    out.push_str(",\"name\":");
    escape::json(out, &source.name);
    out.push_str(",\"interfaces\":[");
    for (index, interface) in source.interfaces.iter().enumerate() {
        comma(out, index);
        escape::json(out, interface);
    }
    out.push(']');
}

pub(super) fn assertion(out: &mut String, outcome: &Outcome) {
    out.push_str("\"assertion\":");
    escape::json(out, &outcome.assertion);
    out.push_str(",\"outcome\":\"");
    out.push_str(outcome.name());
    out.push_str("\",\"observed\":");
    escape::json(out, &outcome.observed);
    for (name, ids) in [
        (
            ",\"exchanges\":[",
            outcome
                .exchanges
                .iter()
                .map(|one| one.id)
                .collect::<Vec<_>>(),
        ),
        (
            "],\"connections\":[",
            outcome.connections.iter().map(|one| one.id).collect(),
        ),
    ] {
        out.push_str(name);
        for (index, id) in ids.into_iter().enumerate() {
            comma(out, index);
            number::unsigned(out, id);
        }
    }
    out.push(']');
}

pub(super) fn summary(out: &mut String, summary: &Summary) {
    out.push_str("\"exchanges\":");
    number::unsigned(out, summary.exchanges);
    out.push_str(",\"probes\":");
    number::unsigned(out, summary.probes);
    out.push_str(",\"uncertain\":");
    number::unsigned(out, summary.uncertain);
    out.push_str(",\"filtered_out\":");
    number::unsigned(out, summary.filtered_out);
    out.push_str(",\"verdicts\":{");
    let seen = Verdict::ALL.into_iter().zip(summary.verdicts);
    for (index, (verdict, count)) in seen.filter(|(_, count)| *count > 0).enumerate() {
        comma(out, index);
        out.push('"');
        out.push_str(verdict.name());
        out.push_str("\":");
        number::unsigned(out, count);
    }
    out.push_str("},\"connects_failed\":");
    number::unsigned(out, summary.connects_failed());
    success_rates(out, summary);
    timers(out, summary);
    out.push_str(",\"gaps\":{");
    for (index, (name, stats)) in summary.gaps().enumerate() {
        comma(out, index);
        out.push('"');
        out.push_str(name);
        out.push_str("\":");
        gap_stats(out, &stats);
    }
    out.push('}');
}

/// A route whose exchanges are not told one by one. Its name is null if it stands for all that were too many.
pub(super) fn route(out: &mut String, route: &Route, counted: &Counted) {
    let named = !route.method.is_empty();
    out.push_str("\"server\":\"");
    number::endpoint(out, route.server);
    out.push_str("\",\"method\":");
    text_or_null(out, named.then_some(route.method.as_str()));
    out.push_str(",\"path\":");
    text_or_null(out, named.then_some(route.path.as_str()));
    out.push_str(",\"exchanges\":");
    number::unsigned(out, counted.exchanges);
    out.push_str(",\"statuses\":{");
    for (index, count) in counted.statuses[1..].iter().enumerate() {
        comma(out, index);
        out.push('"');
        number::unsigned(out, index as u64 + 1);
        out.push_str("xx\":");
        number::unsigned(out, *count);
    }
    out.push_str("},\"gaps\":{");
    counted.push_gaps(out);
    out.push('}');
}

fn success_rates(out: &mut String, summary: &Summary) {
    out.push_str(",\"success_rates\":[");
    for (index, (server, rate)) in summary.success_rates().into_iter().enumerate() {
        comma(out, index);
        out.push_str("{\"server\":\"");
        number::endpoint(out, server);
        out.push_str("\",\"counted\":");
        number::unsigned(out, rate.counted);
        for (name, good) in [
            (",\"client_side\":", rate.good),
            (",\"server_side\":", rate.server_good()),
        ] {
            out.push_str(name);
            if !number::share(out, good, rate.counted) {
                out.push_str("null");
            }
        }
        out.push_str(",\"connects_failed\":");
        number::unsigned(out, rate.connects_failed);
        out.push('}');
    }
    out.push_str("],\"success_rates_left_out\":");
    number::unsigned(out, summary.servers_left_out);
}

fn timers(out: &mut String, summary: &Summary) {
    out.push_str(",\"timers\":[");
    for (index, timer) in summary.timers().iter().enumerate() {
        comma(out, index);
        out.push_str("{\"server\":\"");
        number::endpoint(out, timer.server);
        out.push_str("\",\"closed_by\":\"");
        out.push_str(timer.closed_by.name());
        out.push_str("\",\"count\":");
        number::unsigned(out, timer.count);
        out.push_str(",\"ms_min\":");
        number::millis(out, timer.min);
        out.push_str(",\"ms_max\":");
        number::millis(out, timer.max);
        out.push_str(",\"guess_ms\":");
        timeout_or_null(out, timer.guess);
        out.push_str(",\"routes\":[");
        for (index, route) in timer.routes.iter().enumerate() {
            comma(out, index);
            escape::json(out, route);
        }
        out.push_str("],\"exchanges\":[");
        for (index, id) in timer.exchanges.iter().enumerate() {
            comma(out, index);
            number::unsigned(out, *id);
        }
        out.push_str("]}");
    }
    out.push_str("],\"timers_left_out\":");
    number::unsigned(out, summary.closes_left_out());
}

fn gap_stats(out: &mut String, stats: &GapStats) {
    out.push_str("{\"count\":");
    number::unsigned(out, stats.count);
    for (name, span) in [
        (",\"min\":", stats.min),
        (",\"p50\":", stats.p50),
        (",\"p90\":", stats.p90),
        (",\"p99\":", stats.p99),
        (",\"max\":", stats.max),
    ] {
        out.push_str(name);
        number::millis(out, span);
    }
    out.push('}');
}

fn gaps(out: &mut String, gaps: &Gaps) {
    out.push_str(",\"gaps\":{");
    let mut first = true;
    for (name, gap) in Gaps::NAMES.into_iter().zip(gaps.values()) {
        let Some(gap) = gap else { continue };
        out.push_str(if first { "\"" } else { ",\"" });
        first = false;
        out.push_str(name);
        out.push_str("\":");
        number::millis(out, gap);
    }
    out.push('}');
}

fn envoy(out: &mut String, flags: &EnvoyFlags) {
    if *flags == EnvoyFlags::default() {
        out.push_str(",\"envoy\":{}");
        return;
    }
    for (name, flags) in [
        (",\"envoy\":{\"client\":[", flags.client),
        ("],\"client_downstream\":[", flags.client_downstream),
        ("],\"server\":[", flags.server),
    ] {
        out.push_str(name);
        for (index, flag) in flags.iter().enumerate() {
            comma(out, index);
            out.push('"');
            out.push_str(flag);
            out.push('"');
        }
    }
    out.push_str("]}");
}

fn findings(out: &mut String, exchange: &Exchange) {
    out.push_str(",\"findings\":[");
    for (index, finding) in exchange.findings.iter().enumerate() {
        comma(out, index);
        out.push_str("{\"kind\":\"");
        out.push_str(finding.kind.name());
        out.push_str("\",\"frames\":[");
        for (index, mark) in finding.frames.iter().enumerate() {
            comma(out, index);
            number::unsigned(out, mark.frame.number());
        }
        out.push_str("],\"ms\":");
        number::millis(out, finding.cost);
        out.push('}');
    }
    out.push(']');
}

fn uncertain(out: &mut String, doubt: Doubt) {
    out.push_str(",\"certainty\":\"uncertain\",\"certainty_reason\":\"");
    out.push_str(doubt.name());
    out.push('"');
}

fn comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

fn text_or_null(out: &mut String, text: Option<&str>) {
    match text {
        Some(text) => escape::json(out, text),
        None => out.push_str("null"),
    }
}

fn number_or_null(out: &mut String, number: Option<u64>) {
    match number {
        Some(number) => number::unsigned(out, number),
        None => out.push_str("null"),
    }
}

fn millis_or_null(out: &mut String, span: Option<Span>) {
    match span {
        Some(span) => number::millis(out, span),
        None => out.push_str("null"),
    }
}

fn timeout_or_null(out: &mut String, span: Option<Span>) {
    match span {
        Some(span) => number::millis_plain(out, span),
        None => out.push_str("null"),
    }
}
