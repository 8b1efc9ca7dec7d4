use super::*;
use crate::assertion::{Assertion, Judge, Rules, WithAssertions};
use crate::condition::filter::Filter;
use crate::event::{Report as _, ReportEvent};
use crate::exchange::{
    AckWith, Doubt, ErrorCode, Events, Finding, FindingKind, Gaps, GoneAway, Scope, Side,
    StreamReset, Verdict,
};
use crate::kernel::Counters;
use crate::packet::NotRead;
use crate::relay::aggregate::{Aggregating, Aggregation};
use crate::report::json::{JsonReport, Style};
use crate::report::text::{TextOptions, TextReport};
use crate::statistics::ProblemKind;
use crate::statistics::routes::Routes;
use crate::statistics::{Summary, tally};
use crate::testing::fixtures;
use crate::time::Span;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

fn capture() -> Capture {
    let mut capture = Capture::default();
    capture.totals.frames = 272;
    capture.totals.bytes = 31_698;
    capture.totals.first = Some(fixtures::ORIGIN);
    capture.totals.last = Some(fixtures::ORIGIN.plus(Span::from_secs(92)));
    capture
}

fn end() -> End {
    End {
        reason: "stop".to_owned(),
        sentence: "it was asked to stop".to_owned(),
    }
}

/// What a target says that saw these.
fn lines(all: bool, exchanges: &[Exchange], connections: &[Connection]) -> Vec<String> {
    let mut out = Vec::new();
    let folding = Aggregation {
        all,
        slowest: 5,
        ..Aggregation::default()
    };
    let mut report = Aggregating::new(RelayWriter::new(&mut out), folding, || true);
    report
        .tell(ReportEvent::Sources(&[Source {
            kind: "live".to_owned(),
            name: "a target".to_owned(),
            interfaces: vec!["lo".to_owned()],
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
    report.tell(ReportEvent::Finish(&capture())).unwrap();
    report.told().end(&end()).unwrap();
    drop(report);
    let text = String::from_utf8(out).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn everything(all: bool) -> Vec<String> {
    let connections = [
        fixtures::connection(),
        fixtures::refused(),
        fixtures::connect_timeout(),
    ];
    lines(all, &fixtures::every_verdict(), &connections)
}

/// The text report of these relays, and what the last of their lines came to.
fn text(relays: &[Vec<String>]) -> (String, Vec<Result<Received, RelayError>>) {
    let names: Vec<String> = (0..relays.len()).map(|n| format!("pod-{n}")).collect();
    let mut out = Vec::new();
    let mut report = TextReport::new(&mut out, TextOptions::default());
    let mut gathered = Gathered::new(names);
    let mut last = Vec::new();
    for (index, lines) in (0..).zip(relays) {
        let mut receiver = Receiver::new(index);
        let mut heard = Ok(Received::Item);
        for line in lines {
            heard = receiver.line(line.as_bytes(), &mut gathered, &mut report);
            if heard.is_err() {
                break;
            }
        }
        receiver.close(&mut gathered);
        last.push(heard);
    }
    gathered.finish(&mut report).unwrap();
    drop(report);
    (String::from_utf8(out).unwrap(), last)
}

/// Every line but this one is of no account.
fn error_of(line: &str) -> RelayError {
    let mut lines = everything(true);
    lines.truncate(4);
    lines.push(line.to_owned());
    let (text, mut last) = text(&[lines]);
    assert!(text.contains("the report of pod-0 was cut off"), "{text}");
    last.remove(0).unwrap_err()
}

#[test]
fn the_end_is_heard() {
    for all in [false, true] {
        let (text, last) = text(&[everything(all)]);
        assert!(matches!(&last[0], Ok(Received::End(heard)) if *heard == end()));
        assert!(!text.contains("was cut off"), "{text}");
        assert!(text.starts_with("pod-0   272 frames"), "{text}");
    }
}

#[test]
fn a_cut_relay_is_said_to_be_cut() {
    let whole = everything(false);
    for length in 0..whole.len() {
        let (text, _) = text(&[whole[..length].to_vec()]);
        assert!(text.contains("the report of pod-0 was cut off"), "{text}");
    }
}

#[test]
fn folding_shows_routes_and_the_same_figures() {
    let mut exchanges = vec![fixtures::ok(); 40];
    for (index, exchange) in exchanges.iter_mut().enumerate() {
        exchange.id = index as u64;
        exchange.gaps.request_to_response = Some(Span::from_millis(1 + index as i64 % 7));
        if index % 3 == 0 {
            exchange.path = Some("/other?page=2".into());
        }
    }
    exchanges.push(fixtures::gave_up());
    let (folded, _) = text(&[lines(false, &exchanges, &[])]);
    let (whole, _) = text(&[lines(true, &exchanges, &[])]);
    assert!(folded.contains("GET /items\n"), "{folded}");
    let table: Vec<&str> = folded.lines().filter(|line| line.contains("2xx")).collect();
    assert_eq!(table.len(), 2, "{folded}");
    assert!(
        table[0].contains(" 26 ") && table[1].ends_with("2xx      GET /other"),
        "{folded}"
    );
    // Without the table and the numbers of exchanges, it is the same report.
    let plain = |text: &str| {
        let mut lines: Vec<&str> = text.lines().collect();
        if let Some(head) = lines.iter().position(|line| line.ends_with("request")) {
            let routes = lines[head..].iter().take_while(|line| !line.is_empty());
            let routes = routes.count() + 1;
            if lines[head].contains("p99") {
                lines.drain(head - 1..head - 1 + routes);
            }
        }
        let shown = lines.iter().map(|line| match line.find("exchange 4") {
            Some(at) if line.starts_with('✗') => line[..at].trim_end(),
            _ => line,
        });
        shown
            .map(|line| {
                let number = line.find("Exchange ").filter(|_| !line.starts_with('✗'));
                let line = number.map_or(line, |at| &line[..at]);
                line.replace("  exchange 0", "").trim_end().to_owned()
            })
            .collect::<Vec<String>>()
    };
    assert_eq!(plain(&folded), plain(&whole));
}

#[test]
fn two_targets_make_one_report() {
    let (one, _) = text(&[everything(true)]);
    let (two, last) = text(&[everything(true), everything(false)]);
    assert!(last.iter().all(Result::is_ok));
    let exchanges = fixtures::every_verdict().len();
    assert!(one.contains(&format!("{exchanges} exchanges: ")), "{one}");
    assert!(
        two.contains(&format!("{} exchanges: ", 2 * exchanges)),
        "{two}"
    );
    assert!(two.starts_with("pod-0, pod-1   544 frames"), "{two}");
}

#[test]
fn numbers_are_unique_across_targets() {
    let mut out = Vec::new();
    let style = Style::Lines { live: false };
    let mut report = JsonReport::new(&mut out, style, Filter::default(), false);
    let mut gathered = Gathered::new(vec!["a".to_owned(), String::new()]);
    let relays = [everything(true), everything(false)];
    let mut receivers = [Receiver::new(0), Receiver::new(1)];
    // In turns, as they would come.
    for number in 0..relays[0].len().max(relays[1].len()) {
        for (receiver, lines) in receivers.iter_mut().zip(&relays) {
            if let Some(line) = lines.get(number) {
                let heard = receiver.line(line.as_bytes(), &mut gathered, &mut report);
                assert!(heard.is_ok(), "{heard:?}");
            }
        }
    }
    assert!(receivers.iter().all(Receiver::has_ended));
    gathered.finish(&mut report).unwrap();
    drop(report);
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_type = |kind: &str| {
        lines
            .iter()
            .filter(|line| line["type"] == kind)
            .collect::<Vec<_>>()
    };
    let ids: Vec<_> = of_type("exchange")
        .iter()
        .map(|one| one["id"].as_u64().unwrap())
        .collect();
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(ids.len(), distinct.len());
    assert!(
        of_type("exchange")
            .iter()
            .all(|one| one["connection"].as_u64().unwrap() % 2 == one["source"])
    );
    assert_eq!(of_type("source")[0]["name"], "a");
    assert_eq!(
        of_type("summary")[0]["exchanges"],
        2 * fixtures::every_verdict().len()
    );
}

#[test]
fn what_is_no_line_is_an_error() {
    for (line, what) in [
        ("", "not a report"),
        ("{}", "not a report"),
        ("\"Before\"", "not a report"),
        ("{\"Exchange\":{}}", "not a report"),
        ("[\"\u{1b}[2J\"]", "not a report"),
        ("{\"Format\":1}", "its form"),
        ("{\"End\":{\"reason\":\"\",\"sentence\":\"\"}}", "its end"),
        ("{\"Begin\":[0,1795507200000000000]}", "cannot be"),
        ("{\"Begin\":[1,-1]}", "cannot be"),
        ("{\"Begin\":[1,9223372036854775807]}", "cannot be"),
        ("{\"Ranked\":99999999999999999}", "cannot be"),
        ("{\"Sources\":[]}", "cannot be"),
    ] {
        let error = error_of(line).to_string();
        assert!(error.contains(what), "{line}: {error}");
        assert!(!error.contains('\u{1b}'));
    }
    let long = " ".repeat(MAX_LINE + 1);
    assert!(matches!(error_of(&long), RelayError::TooLong));
}

#[test]
fn another_form_is_told_from_nonsense() {
    let (_, last) = text(&[vec![format!("{{\"Format\":{}}}", FORMAT + 1)]]);
    assert!(matches!(last[0], Err(RelayError::Format { found }) if found == FORMAT + 1));
    let (_, last) = text(&[vec!["\"After\"".to_owned()]]);
    assert!(matches!(last[0], Err(RelayError::OutOfTurn(_))));
}

#[test]
fn values_that_cannot_be_are_refused() {
    let all = everything(true);
    let of = |kind: &str| {
        let values = all
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        values
            .into_iter()
            .find(|value| value.get(kind).is_some())
            .unwrap()
    };
    for (kind, pointer, value) in [
        ("Exchange", "/Exchange/connection", json!(u64::MAX)),
        ("Exchange", "/Exchange/request_bytes", json!(u64::MAX)),
        ("Exchange", "/Exchange/status", json!(1_000)),
        ("Exchange", "/Exchange/trace_id", json!("no number")),
        ("Exchange", "/Exchange/minor_version", json!(10)),
        ("Exchange", "/Exchange/gaps/total", json!(i64::MIN)),
        (
            "Exchange",
            "/Exchange/events/request_start/time",
            json!(i64::MAX),
        ),
        ("Exchange", "/Exchange/events/request_start/frame", json!(0)),
        ("Exchange", "/Exchange/envoy/client", json!(["nonsense"])),
        ("Exchange", "/Exchange/server", json!("example.org:80")),
        ("Connection", "/Connection/syn_retries", json!(u64::MAX)),
        ("Connection", "/Connection/id", json!(1_u64 << 45)),
        ("Connection", "/Connection/first/time", json!(-1)),
        ("Capture", "/Capture/totals/frames", json!(u64::MAX)),
        ("Capture", "/Capture/dropped", json!(u64::MAX)),
        ("Capture", "/Capture/errors", json!(vec!["x"; 1_000])),
        ("Capture", "/Capture/totals/first", json!(-1)),
        (
            "Capture",
            "/Capture/unsupported_frames",
            json!({"195": u64::MAX}),
        ),
        (
            "Capture",
            "/Capture/totals/not_read",
            json!({"Esp": u64::MAX}),
        ),
        (
            "Capture",
            "/Capture/totals/dns/slowest_name",
            json!("x".repeat(2_000)),
        ),
    ] {
        let mut item = of(kind);
        // Some fields stand only where they hold something.
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        item.pointer_mut(parent).unwrap()[field] = value;
        let error = error_of(&item.to_string());
        assert!(
            matches!(error, RelayError::Wrong(_) | RelayError::NoLine(_)),
            "{pointer}: {error}"
        );
        let right = of(kind).to_string();
        let mut lines = all[..4].to_vec();
        lines.push(right);
        assert!(text(&[lines]).1[0].is_ok(), "{kind}");
    }
    let mut dns = *fixtures::lookups().dns.unwrap();
    dns.names = vec!["x".into(); 1_000];
    let mut item = of("Connection");
    item["Connection"]["dns"] = serde_json::to_value(&dns).unwrap();
    let error = error_of(&item.to_string());
    assert!(matches!(error, RelayError::Wrong(_)), "{error}");
}

#[test]
fn after_an_error_nothing_is_read() {
    let mut gathered = Gathered::new(vec![String::new()]);
    let mut report = TextReport::new(Vec::new(), TextOptions::default());
    let mut receiver = Receiver::new(0);
    assert!(receiver.line(b"?", &mut gathered, &mut report).is_err());
    let form = format!("{{\"Format\":{FORMAT}}}");
    assert!(
        receiver
            .line(form.as_bytes(), &mut gathered, &mut report)
            .is_err()
    );
}

#[test]
fn an_exchange_beyond_a_line_is_shortened() {
    let mut huge = fixtures::gave_up();
    huge.path = Some(format!("/{}", "\u{fffd}".repeat(90_000)).into());
    huge.findings.push(Finding {
        kind: FindingKind::Retransmission,
        side: crate::exchange::Side::Server,
        frames: vec![fixtures::mark(4185, 0); 30_000],
        cost: Span::ZERO,
    });
    let lines = lines(true, &[huge], &[]);
    assert!(lines.iter().all(|line| line.len() <= MAX_LINE));
    let (text, last) = text(&[lines]);
    assert!(last[0].is_ok());
    assert!(text.contains("1 exchange: 1 client-gave-up"), "{text}");
}

#[test]
fn progress_comes_at_any_time() {
    let progress = Progress {
        exchanges: 7,
        not_ok: 1,
        frames: 40,
        dropped: 2,
        not_told: 3,
    };
    let mut out = Vec::new();
    let mut relay = RelayWriter::new(&mut out);
    relay.progress(&progress).unwrap();
    drop(relay);
    let out = String::from_utf8(out).unwrap();
    let (_, last) = text(&[out.lines().map(str::to_owned).collect()]);
    let heard = last[0].as_ref().unwrap();
    assert!(matches!(heard, Received::Progress(heard) if *heard == progress));
}

#[test]
fn what_finds_no_room_is_counted() {
    let mut out = Vec::new();
    let folding = Aggregation {
        all: true,
        ..Aggregation::default()
    };
    let room = std::cell::Cell::new(true);
    let mut report = Aggregating::new(RelayWriter::new(&mut out), folding, || room.get());
    report
        .tell(ReportEvent::Exchange(&fixtures::gave_up()))
        .unwrap();
    room.set(false);
    report
        .tell(ReportEvent::Exchange(&fixtures::gave_up()))
        .unwrap();
    report
        .tell(ReportEvent::Exchange(&fixtures::gave_up()))
        .unwrap();
    report
        .tell(ReportEvent::Connection(&fixtures::refused()))
        .unwrap();
    assert_eq!(report.not_told(), 3);
    assert_eq!(report.so_far().exchanges, 3);
    report.tell(ReportEvent::Finish(&capture())).unwrap();
    report.told().end(&end()).unwrap();
    drop(report);
    let lines: Vec<String> = std::str::from_utf8(&out)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let (text, last) = text(&[lines]);
    assert!(last[0].is_ok());
    assert!(text.contains("3 exchanges: 3 client-gave-up"), "{text}");
    assert!(text.contains("refused 1 connection: "), "{text}");
    assert!(
        text.contains("gave up on 3 of 3 requests after 501.7 ms, a timer"),
        "{text}"
    );
    assert_eq!(text.matches("✗ GET /items").count(), 1, "{text}");
}

#[test]
fn assertions_count_what_was_folded_and_what_was_told() {
    let assertions = [
        "client-gave-up>25%",
        "exchanges<5",
        "total.p50>1h",
        "status=200>3",
        "client_side<99%",
    ];
    let assertions = assertions
        .map(|text| Assertion::parse(text).unwrap())
        .to_vec();
    let folding = Aggregation {
        slowest: 2,
        assertions: assertions.clone(),
        ..Aggregation::default()
    };
    let exchanges = [
        fixtures::ok(),
        fixtures::ok(),
        fixtures::ok(),
        fixtures::gave_up(),
    ];
    let mut out = Vec::new();
    let mut target = Aggregating::new(RelayWriter::new(&mut out), folding, || true);
    target
        .tell(ReportEvent::Begin(FrameId::new(0, 1), fixtures::ORIGIN))
        .unwrap();
    for exchange in &exchanges {
        target.tell(ReportEvent::Exchange(exchange)).unwrap();
    }
    target.tell(ReportEvent::Finish(&capture())).unwrap();
    target.told().end(&end()).unwrap();
    drop(target);
    let rules = Rules {
        assertions,
        ..Rules::default()
    };
    let judged = |relayed: bool| {
        let text = TextReport::new(io::sink(), TextOptions::default());
        let mut report = WithAssertions::new(text, rules.clone());
        if relayed {
            let mut gathered = Gathered::new(vec!["pod".to_owned()]);
            let mut receiver = Receiver::new(0);
            for line in out
                .strip_suffix(b"\n")
                .unwrap()
                .split(|byte| *byte == b'\n')
            {
                receiver.line(line, &mut gathered, &mut report).unwrap();
            }
            receiver.close(&mut gathered);
            gathered.finish(&mut report).unwrap();
        } else {
            for exchange in &exchanges {
                report.tell(ReportEvent::Exchange(exchange)).unwrap();
            }
            report.tell(ReportEvent::Finish(&capture())).unwrap();
        }
        report.failures().to_vec()
    };
    assert_eq!(judged(true), judged(false));
    assert_eq!(
        judged(true),
        [
            "exchanges<5: 4 exchanges",
            "client_side<99%: 3 of 4 exchanges (75.00 %) went well",
        ]
    );
}

#[test]
fn whoever_watches_hears_of_folded_exchanges_at_once() {
    let folding = Aggregation {
        live: true,
        ..Aggregation::default()
    };
    let mut out = Vec::new();
    let mut target = Aggregating::new(RelayWriter::new(&mut out), folding, || true);
    for _ in 0..5 {
        target.tell(ReportEvent::Exchange(&fixtures::ok())).unwrap();
    }
    let recent = target.take_recent();
    target.told().recent(&recent).unwrap();
    target.told().progress(&Progress::default()).unwrap();
    assert!(target.take_recent().is_empty());
    drop(target);
    let text = TextReport::new(io::sink(), TextOptions::default());
    let (mut report, mut gathered) = (text, Gathered::new(vec![String::new()]));
    let mut receiver = Receiver::new(0);
    let mut heard = 0;
    for line in out
        .strip_suffix(b"\n")
        .unwrap()
        .split(|byte| *byte == b'\n')
    {
        if let Received::Recent(routes) = receiver.line(line, &mut gathered, &mut report).unwrap() {
            heard += routes.sorted()[0].1.exchanges;
        }
    }
    assert_eq!(heard, 5);
    // They are no part of the report until its sums come.
    assert_eq!(report.summary().exchanges, 0);
}

/// An exchange in which every field holds something.
fn full_exchange() -> Exchange {
    let mark = fixtures::mark(7, 1_500);
    let gave_up = fixtures::gave_up();
    Exchange {
        stream: Some(3),
        close_scope: Scope::Stream,
        expected_timeout: Some(Span::from_millis(500)),
        status: Some(200),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
        events: Events {
            request_start: mark,
            request_end: Some(mark),
            request_last: Some(mark),
            request_acked: Some((mark, AckWith::Bare)),
            interim: vec![(mark, 103)],
            response_start: Some(mark),
            response_end: Some(mark),
            response_last: Some(mark),
            response_acked: Some(mark),
            client_fin: Some(mark),
            server_fin: Some(mark),
            client_rst: Some(mark),
            server_rst: Some(mark),
            late_response: Some(mark),
            client_rst_stream: Some(mark),
            server_rst_stream: Some(mark),
            goaway: Some(mark),
        },
        reset: Some(StreamReset {
            by: Side::Server,
            code: ErrorCode::REFUSED_STREAM,
            by_goaway: true,
        }),
        connection_error: Some((Side::Server, ErrorCode::CANCEL)),
        headers_cut: true,
        grpc: Some(Box::new(fixtures::call())),
        websocket: Some(Box::new(fixtures::websocket())),
        event_stream: Some(fixtures::event_stream()),
        gaps: Gaps::from_values([Some(Span::from_micros(1)); Gaps::COUNT]),
        doubt: Some(Doubt::Snaplen),
        sockets: Some(Box::new(fixtures::unread())),
        ..gave_up
    }
}

/// A line of every kind, in which every field holds something.
fn full_lines() -> Vec<Item<'static>> {
    let source = Source {
        kind: "live".to_owned(),
        name: "pod".to_owned(),
        interfaces: vec!["lo".to_owned()],
    };
    let connection = Connection {
        verdict: Some(Verdict::ConnectTimeout),
        doubt: Some(Doubt::CaptureEnded),
        syn: Some(fixtures::mark(1, 0)),
        handshake: Some(Span::from_micros(1)),
        syn_to_synack: Some(Span::from_micros(1)),
        idle: Some(Span::from_micros(1)),
        accept_queue: fixtures::unread().listener,
        goaway: Some(GoneAway {
            by: Side::Server,
            code: ErrorCode::NO_ERROR,
            last_stream: 3,
            mark: fixtures::mark(7, 1_500),
        }),
        max_concurrent: Some(100),
        tls: Some(Box::new(fixtures::tls())),
        dns: fixtures::lookups().dns,
        ..fixtures::refused()
    };
    let mut routes = Routes::default();
    routes.add(&fixtures::ok());
    let row = |routes: &Routes| routes.rows().next().unwrap();
    let mut summary = Summary::new(false);
    for _ in 0..5_000 {
        summary.exchange(&fixtures::ok());
    }
    summary.exchange(&fixtures::gave_up());
    summary.exchange(&Exchange {
        sockets: Some(Box::new(fixtures::unread())),
        ..fixtures::gave_up()
    });
    summary.connection(&fixtures::refused());
    summary.connection(&Connection {
        tls: Some(Box::new(fixtures::tls())),
        ..fixtures::connection()
    });
    let mut judge = Judge::new(Rules {
        assertions: vec![Assertion::parse("total.p50>1ms").unwrap()],
        ..Rules::default()
    });
    judge.exchange(&fixtures::ok());
    let mut capture = Capture {
        dropped: Some(1),
        unsupported_frames: BTreeMap::from([(195, 2)]),
        kernel: Some(Counters::read("Icmp6InPktTooBigs 3")),
        errors: vec!["cut".to_owned()],
        ..capture()
    };
    capture.totals.not_read.count(NotRead::Esp);
    if let Some(dns) = fixtures::lookups().dns {
        capture.totals.dns.flow(&dns);
    }
    let mut lines = vec![
        Item::Format(FORMAT),
        Item::Sources(vec![source].into()),
        Item::Begin(FrameId::new(0, 1), fixtures::ORIGIN),
        Item::Comment(FrameId::new(0, 1), "a comment".into()),
        Item::Exchange(Cow::Owned(full_exchange())),
        Item::Connection(Cow::Owned(connection)),
        Item::After,
        Item::Progress(Progress::default()),
        Item::Recent(row(&routes)),
        Item::Route(row(&routes)),
        Item::Slow(Cow::Owned(full_exchange())),
        Item::Ranked(1),
        Item::Capture(Cow::Owned(capture)),
        Item::End(Cow::Owned(end())),
    ];
    lines.extend(summary.parts().into_iter().map(Item::Summary));
    lines.extend(tally::parts(&judge.tallies()).into_iter().map(Item::Tally));
    lines
}

#[test]
fn the_format_rises_with_any_change_to_a_line() {
    let lines = full_lines();
    let kind = |item: &Item<'_>| match item {
        Item::Format(_) => 0,
        Item::Sources(_) => 1,
        Item::Begin(..) => 2,
        Item::Comment(..) => 3,
        Item::Exchange(_) => 4,
        Item::Connection(_) => 5,
        Item::After => 6,
        Item::Progress(_) => 7,
        Item::Recent(_) => 8,
        Item::Summary(_) => 9,
        Item::Route(_) => 10,
        Item::Slow(_) => 11,
        Item::Ranked(_) => 12,
        Item::Tally(_) => 13,
        Item::Capture(_) => 14,
        Item::End(_) => 15,
    };
    let kinds: BTreeSet<i32> = lines.iter().map(kind).collect();
    assert_eq!(kinds, (0..16).collect(), "a kind of line is missing here");
    let mut now = String::new();
    for line in &lines {
        now.push_str(&serde_json::to_string(line).unwrap());
        now.push('\n');
    }
    // Words that stand in lines, but not in those above.
    let problems: Vec<ProblemKind> = ProblemKind::all().collect();
    let words = json!([Verdict::ALL, Doubt::ALL, FindingKind::ALL, problems]);
    now.push_str(&format!("{words}\n"));
    let known = include_str!("lines.jsonl");
    assert!(
        now == known,
        "the lines of a relay are not those of format {FORMAT} any more: count FORMAT up, and let \
         src/relay/lines.jsonl hold these:\n{now}"
    );
}
