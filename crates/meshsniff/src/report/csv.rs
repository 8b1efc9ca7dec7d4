//! `-o csv`: a row an exchange, for spreadsheets and data frames.
//!
//! The form is that of RFC 4180 in UTF-8, with a header. Columns have the names of JSON: what is
//! inside another object has that object's name before its own, and milliseconds end in `_ms`. What
//! is not known is an empty cell.
//!
//! A spreadsheet takes a text that begins with `=` and the like for a formula, and a path may be
//! chosen by anybody. Such a text gets an apostrophe before it, as OWASP advises ("CSV Injection").

use super::facts::{Facts, Standing};
use super::{explain, wireshark};
use crate::condition::Filter;
use crate::event::{Report, ReportEvent};
use crate::exchange::{Exchange, Finding, Gap, Side, WebSocket};
use crate::packet::{Endpoint, Mark};
use crate::time::Span;
use crate::{escape, number};
use csv::{Terminator, WriterBuilder};
use std::io::{self, Write};

/// First characters that make a text a formula. Tab, CR and LF are escaped before anybody looks.
/// The wide ones are the same to a spreadsheet in Japanese. A text that begins with the apostrophe
/// gets another, so that whoever takes one off has every text as it was.
const FORMULA: [char; 9] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\''];

/// Between the parts of a cell that has several.
const BETWEEN: char = ';';

/// Writes a cell.
type Put = fn(&mut Cell<'_>, &Exchange);

/// The columns but the gaps.
const COLUMNS: [(&str, Put); 90] = [
    ("id", |cell, one| cell.count(Some(one.id))),
    ("source", |cell, one| {
        cell.count(Some(one.events.request_start.frame.source().into()));
    }),
    ("source_name", |cell, one| {
        let source = usize::from(one.events.request_start.frame.source());
        let source = cell.facts.sources.get(source);
        cell.text(source.map(|source| source.name.as_str()));
    }),
    ("connection", |cell, one| cell.count(Some(one.connection))),
    ("client", |cell, one| cell.end(Some(one.client))),
    ("server", |cell, one| cell.end(Some(one.server))),
    ("client_name", |cell, one| {
        cell.text(cell.facts.names.of(one.client.ip()));
    }),
    ("server_name", |cell, one| {
        cell.text(cell.facts.names.of(one.server.ip()));
    }),
    ("start", |cell, one| cell.clock.push(cell.out, one.start())),
    ("protocol", |cell, one| {
        if let Some(minor) = one.minor_version {
            cell.out.push_str("HTTP/1.");
            cell.count(Some(minor.into()));
        } else if one.stream.is_some() {
            cell.out.push_str("HTTP/2");
        }
    }),
    ("stream", |cell, one| cell.count(one.stream.map(u64::from))),
    ("method", |cell, one| cell.text(one.method.as_deref())),
    ("path", |cell, one| cell.text(one.path.as_deref())),
    ("authority", |cell, one| cell.text(one.authority.as_deref())),
    ("status", |cell, one| cell.count(one.status.map(u64::from))),
    ("late_status", |cell, one| {
        cell.count(one.late_status.map(u64::from));
    }),
    ("headers_known", |cell, one| {
        cell.out
            .push_str(if one.headers_cut { "some" } else { "all" });
    }),
    ("reset_by", |cell, one| {
        cell.text(one.reset.map(|end| end.by.name()));
    }),
    ("reset_code", |cell, one| {
        cell.text(one.reset.map(|end| end.code.name()));
    }),
    ("grpc_service", |cell, one| {
        cell.text(one.grpc.as_deref().and_then(|grpc| grpc.service.as_deref()));
    }),
    ("grpc_method", |cell, one| {
        cell.text(one.grpc.as_deref().and_then(|grpc| grpc.method.as_deref()));
    }),
    ("grpc_status", |cell, one| {
        let status = one.grpc.as_deref().and_then(|grpc| grpc.status);
        cell.text(status.map(|status| status.name()));
    }),
    ("grpc_message", |cell, one| {
        cell.text(one.grpc.as_deref().and_then(|grpc| grpc.message.as_deref()));
    }),
    ("grpc_request_messages", |cell, one| {
        cell.count(one.grpc.as_deref().and_then(|grpc| grpc.request));
    }),
    ("grpc_response_messages", |cell, one| {
        cell.count(one.grpc.as_deref().and_then(|grpc| grpc.response));
    }),
    ("grpc_longest_silence_ms", |cell, one| {
        cell.millis(one.grpc.as_deref().and_then(|grpc| grpc.longest_silence));
    }),
    ("websocket_client_frames", |cell, one| {
        let frames = one.websocket.as_deref().map(|one| one.frames[0].all());
        cell.count(frames);
    }),
    ("websocket_server_frames", |cell, one| {
        let frames = one.websocket.as_deref().map(|one| one.frames[1].all());
        cell.count(frames);
    }),
    ("websocket_whole", |cell, one| {
        cell.flag(one.websocket.as_deref().map(WebSocket::is_whole));
    }),
    ("websocket_pings", |cell, one| {
        cell.count(one.websocket.as_deref().map(WebSocket::pings));
    }),
    ("websocket_longest_pong_ms", |cell, one| {
        cell.millis(one.websocket.as_deref().and_then(|one| one.longest_pong));
    }),
    ("websocket_close_code", |cell, one| {
        let code = one.websocket.as_deref().and_then(|one| one.close_code);
        cell.count(code.map(u64::from));
    }),
    ("websocket_close_reason", |cell, one| {
        let websocket = one.websocket.as_deref();
        cell.text(websocket.and_then(|one| one.close_reason.as_deref()));
    }),
    ("websocket_closed_by", |cell, one| {
        let side = one.websocket.as_deref().and_then(|one| one.closed_by);
        cell.text(side.map(Side::name));
    }),
    ("websocket_longest_silence_ms", |cell, one| {
        cell.millis(one.websocket.as_deref().map(|one| one.longest_silence));
    }),
    ("event_stream_count", |cell, one| {
        cell.count(one.event_stream.and_then(|stream| stream.events));
    }),
    ("event_stream_comments", |cell, one| {
        cell.count(one.event_stream.and_then(|stream| stream.comments));
    }),
    ("event_stream_longest_silence_ms", |cell, one| {
        cell.millis(one.event_stream.map(|stream| stream.longest_silence));
    }),
    ("verdict", |cell, one| cell.out.push_str(one.verdict.name())),
    ("good", |cell, one| cell.flag(one.good())),
    ("certainty", |cell, one| {
        let certain = one.doubt.is_none();
        cell.out
            .push_str(if certain { "certain" } else { "uncertain" });
    }),
    ("certainty_reason", |cell, one| {
        cell.text(one.doubt.map(|doubt| doubt.name()));
    }),
    ("findings", |cell, one| {
        cell.list(&one.findings, |out, finding: &Finding| {
            out.push_str(finding.kind.name());
        });
    }),
    ("findings_ms", |cell, one| {
        cell.list(&one.findings, |out, finding: &Finding| {
            number::millis(out, finding.cost);
        });
    }),
    ("sockets_asked", |cell, one| {
        cell.count(one.sockets.as_ref().map(|sockets| sockets.asked.into()));
    }),
    ("sockets_unread_bytes", |cell, one| {
        cell.count(one.sockets.as_ref().map(|sockets| sockets.unread_bytes));
    }),
    ("sockets_unread_ms", |cell, one| {
        cell.millis(one.sockets.as_ref().and_then(|sockets| sockets.unread));
    }),
    ("sockets_read_by_ms", |cell, one| {
        cell.millis(one.sockets.as_ref().and_then(|sockets| sockets.read_by));
    }),
    ("sockets_accepted", |cell, one| {
        cell.flag(one.sockets.as_ref().and_then(|sockets| sockets.accepted));
    }),
    ("sockets_accept_queue_was_full", |cell, one| {
        let sockets = one.sockets.as_ref();
        cell.flag(sockets.map(|sockets| sockets.accept_queue_was_full));
    }),
    ("envoy_client", |cell, one| cell.words(one.envoy.client)),
    ("envoy_client_downstream", |cell, one| {
        cell.words(one.envoy.client_downstream);
    }),
    ("envoy_server", |cell, one| cell.words(one.envoy.server)),
    ("answered_by", |cell, one| {
        let by_proxy = one.answered_by.is_some();
        cell.out.push_str(if by_proxy { "proxy" } else { "server" });
    }),
    ("proxy_software", |cell, one| {
        cell.text(one.answered_by.as_deref().map(|by| by.software.name()));
    }),
    ("proxy_flag", |cell, one| {
        cell.text(one.answered_by.as_deref().map(|by| by.flag.as_str()));
    }),
    ("proxy_text", |cell, one| {
        cell.text(one.answered_by.as_deref().map(|by| by.text.as_str()));
    }),
    ("request_id", |cell, one| {
        cell.text(one.request_id.as_deref());
    }),
    ("trace_id", |cell, one| cell.text(one.trace_id.as_deref())),
    ("attempt", |cell, one| {
        cell.count(one.attempt.map(u64::from));
    }),
    ("caller", |cell, one| cell.text(one.caller.as_deref())),
    ("proxied_client", |cell, one| {
        cell.end(one.proxied.and_then(|header| header.client));
    }),
    ("retry_of", |cell, one| cell.count(one.relations.retry_of)),
    ("retried_as", |cell, one| {
        cell.count(one.relations.retried_as);
    }),
    ("behind", |cell, one| cell.count(one.relations.behind)),
    ("front", |cell, one| cell.count(one.relations.front)),
    ("probe", |cell, one| cell.flag(Some(one.probe))),
    ("expected_timeout_ms", |cell, one| {
        cell.timeout(one.expected_timeout);
    }),
    ("timeout_guess_ms", |cell, one| {
        cell.timeout(one.timeout_guess);
    }),
    ("request_bytes", |cell, one| {
        cell.count(Some(one.request_bytes));
    }),
    ("response_bytes", |cell, one| {
        cell.count(Some(one.response_bytes));
    }),
    ("response_defect", |cell, one| {
        cell.text(one.defect.map(|defect| defect.name()));
    }),
    ("request_start_frame", |cell, one| {
        cell.frame(Some(one.events.request_start));
    }),
    ("request_end_frame", |cell, one| {
        cell.frame(one.events.request_end);
    }),
    ("request_last_frame", |cell, one| {
        cell.frame(one.events.request_last);
    }),
    ("request_acked_frame", |cell, one| {
        cell.frame(one.events.request_acked.map(|(mark, _)| mark));
    }),
    ("interim_status", |cell, one| {
        cell.list(&one.events.interim, |out, (_, status)| {
            number::unsigned(out, u64::from(*status));
        });
    }),
    ("interim_frame", |cell, one| {
        cell.list(&one.events.interim, |out, (mark, _)| {
            number::unsigned(out, mark.frame.number());
        });
    }),
    ("response_start_frame", |cell, one| {
        cell.frame(one.events.response_start);
    }),
    ("response_end_frame", |cell, one| {
        cell.frame(one.events.response_end);
    }),
    ("response_last_frame", |cell, one| {
        cell.frame(one.events.response_last);
    }),
    ("response_acked_frame", |cell, one| {
        cell.frame(one.events.response_acked);
    }),
    ("client_fin_frame", |cell, one| {
        cell.frame(one.events.client_fin);
    }),
    ("server_fin_frame", |cell, one| {
        cell.frame(one.events.server_fin);
    }),
    ("client_rst_frame", |cell, one| {
        cell.frame(one.events.client_rst);
    }),
    ("server_rst_frame", |cell, one| {
        cell.frame(one.events.server_rst);
    }),
    ("client_rst_stream_frame", |cell, one| {
        cell.frame(one.events.client_rst_stream);
    }),
    ("server_rst_stream_frame", |cell, one| {
        cell.frame(one.events.server_rst_stream);
    }),
    ("goaway_frame", |cell, one| cell.frame(one.events.goaway)),
    ("late_response_frame", |cell, one| {
        cell.frame(one.events.late_response);
    }),
];

/// The columns behind the gaps: long texts.
const TEXTS: [(&str, Put); 2] = [
    ("explanation", |cell, one| {
        let mut text = String::new();
        explain::exchange(&mut text, one, &cell.facts.names);
        cell.text(Some(&text));
    }),
    ("display_filter", |cell, one| {
        wireshark::exchange(cell.out, one, cell.facts.numbering());
    }),
];

/// A report as rows.
pub struct CsvReport<W: Write> {
    rows: csv::Writer<W>,
    facts: Facts,
    clock: number::Clock,
    cell: String,
    /// Whether the header is written.
    begun: bool,
    /// Whether rows leave at once because their reader waits for them.
    live: bool,
    /// Whether rows wait.
    waiting: bool,
}

impl<W: Write> CsvReport<W> {
    /// Creates a report of the exchanges that `filter` selects. `live`: a reader waits for rows.
    pub fn new(out: W, filter: Filter, live: bool) -> Self {
        Self {
            rows: WriterBuilder::new()
                .terminator(Terminator::CRLF)
                .from_writer(out),
            facts: Facts::new(filter, true),
            clock: number::Clock::default(),
            cell: String::new(),
            begun: false,
            live,
            waiting: false,
        }
    }

    fn header(&mut self) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let gaps = Gap::ALL.map(|gap| format!("{}_ms", gap.name()));
        let names = COLUMNS.iter().map(|(name, _)| *name);
        let names = names.chain(gaps.iter().map(String::as_str));
        let names = names.chain(TEXTS.iter().map(|(name, _)| *name));
        Ok(self.rows.write_record(names)?)
    }

    fn row(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.header()?;
        for (_, put) in &COLUMNS {
            self.cell(|cell| put(cell, exchange))?;
        }
        for gap in exchange.gaps.values() {
            self.cell(|cell| cell.millis(gap))?;
        }
        for (_, put) in &TEXTS {
            self.cell(|cell| put(cell, exchange))?;
        }
        self.waiting = true;
        Ok(self.rows.write_record(None::<&[u8]>)?)
    }

    fn cell(&mut self, put: impl FnOnce(&mut Cell<'_>)) -> io::Result<()> {
        self.cell.clear();
        put(&mut Cell {
            out: &mut self.cell,
            facts: &self.facts,
            clock: &mut self.clock,
        });
        Ok(self.rows.write_field(&self.cell)?)
    }
}

impl<W: Write> Report for CsvReport<W> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        let selected = self.facts.tell(event) != Standing::Nowhere;
        match event {
            ReportEvent::Exchange(exchange) if selected => self.row(exchange)?,
            ReportEvent::Aggregate(aggregate) => {
                let mut slowest = aggregate.slowest.iter();
                slowest.try_for_each(|exchange| self.row(exchange))?;
            }
            ReportEvent::AfterFrame if self.live && self.waiting => {
                self.waiting = false;
                self.rows.flush()?;
            }
            ReportEvent::Finish(_) => {
                self.header()?;
                self.rows.flush()?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// A cell in the making.
struct Cell<'a> {
    out: &'a mut String,
    facts: &'a Facts,
    clock: &'a mut number::Clock,
}

impl Cell<'_> {
    /// Text, harmless to a terminal and to a spreadsheet.
    fn text(&mut self, text: Option<&str>) {
        let text = text.unwrap_or_default();
        if text.starts_with(FORMULA) {
            self.out.push('\'');
        }
        escape::push_shown(self.out, text);
    }

    fn count(&mut self, count: Option<u64>) {
        if let Some(count) = count {
            number::unsigned(self.out, count);
        }
    }

    fn flag(&mut self, flag: Option<bool>) {
        if let Some(flag) = flag {
            self.out.push_str(if flag { "true" } else { "false" });
        }
    }

    fn end(&mut self, end: Option<Endpoint>) {
        if let Some(end) = end {
            number::endpoint(self.out, end);
        }
    }

    fn frame(&mut self, mark: Option<Mark>) {
        self.count(mark.map(|mark| mark.frame.number()));
    }

    fn millis(&mut self, span: Option<Span>) {
        if let Some(span) = span {
            number::millis(self.out, span);
        }
    }

    fn timeout(&mut self, span: Option<Span>) {
        if let Some(span) = span {
            number::millis_plain(self.out, span);
        }
    }

    fn words(&mut self, words: &[&str]) {
        self.list(words, |out, word: &&str| out.push_str(word));
    }

    fn list<T>(&mut self, list: &[T], push: fn(&mut String, &T)) {
        for (index, one) in list.iter().enumerate() {
            if index > 0 {
                self.out.push(BETWEEN);
            }
            push(self.out, one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Capture;
    use crate::testing::fixtures;

    fn report_of(exchanges: &[Exchange]) -> String {
        let mut out = Vec::new();
        let mut report = CsvReport::new(&mut out, Filter::default(), false);
        for exchange in exchanges {
            report.tell(ReportEvent::Exchange(exchange)).unwrap();
        }
        report
            .tell(ReportEvent::Finish(&Capture::default()))
            .unwrap();
        drop(report);
        String::from_utf8(out).unwrap()
    }

    /// The cells of one column.
    fn column(text: &str, name: &str) -> Vec<String> {
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        let at = rows.headers().unwrap().iter().position(|one| one == name);
        let at = at.unwrap_or_else(|| panic!("no column {name}"));
        rows.records()
            .map(|row| row.unwrap()[at].to_owned())
            .collect()
    }

    #[test]
    fn every_verdict_has_a_row_with_its_figures() {
        let exchanges = fixtures::every_verdict();
        let text = report_of(&exchanges);
        let verdicts: Vec<_> = exchanges.iter().map(|one| one.verdict.name()).collect();
        assert_eq!(column(&text, "verdict"), verdicts);
        for (gap, name) in Gap::ALL.into_iter().zip(crate::exchange::Gaps::NAMES) {
            let told = column(&text, &format!("{name}_ms"));
            for (told, one) in told.iter().zip(&exchanges) {
                let known = one.gaps.values()[gap as usize];
                let known = known.map(|span| span.as_millis());
                assert_eq!(told.parse().ok(), known, "{name}");
            }
        }
    }

    #[test]
    fn rows_leave_at_once_if_somebody_waits() {
        #[derive(Clone, Default)]
        struct Seen(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);
        impl Write for Seen {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.borrow_mut().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for live in [true, false] {
            let seen = Seen::default();
            let mut report = CsvReport::new(seen.clone(), Filter::default(), live);
            report.tell(ReportEvent::Exchange(&fixtures::ok())).unwrap();
            report.tell(ReportEvent::AfterFrame).unwrap();
            let lines = seen
                .0
                .borrow()
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            assert_eq!(lines, if live { 2 } else { 0 });
        }
    }

    #[test]
    fn nothing_but_a_header_where_there_was_nothing() {
        let text = report_of(&[]);
        assert_eq!(text.matches("\r\n").count(), 1);
        assert!(text.starts_with("id,source,source_name,connection,client,server,"));
    }

    #[test]
    fn no_text_is_a_formula_and_none_breaks_a_row() {
        let mut exchange = fixtures::ok();
        for (path, told) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@a", "'@a"),
            ("＝1", "'＝1"),
            ("'=1", "''=1"),
            ("\t=1", "\\x09=1"),
            ("\r=1", "\\x0d=1"),
            ("\n=1", "\\x0a=1"),
            ("/a,\"b\" c", "/a,\"b\" c"),
            ("/a=b", "/a=b"),
        ] {
            exchange.path = Some(path.into());
            let text = report_of(std::slice::from_ref(&exchange));
            assert_eq!(column(&text, "path"), [told]);
            assert_eq!(text.matches('\n').count(), 2, "{text}");
        }
    }
}
