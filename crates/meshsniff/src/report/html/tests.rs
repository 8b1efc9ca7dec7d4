use super::*;
use crate::event::{Aggregate, Capture, Conclusion, Outcome, Source};
use crate::exchange::{Connection, Exchange, Verdict};
use crate::packet::FrameId;
use crate::piece::{Shown, said};
use crate::testing::fixtures;
use crate::time::Span;
use base64::Engine as _;
use serde_json::Value;

const HOSTILE: &str = "/</script><script>alert(1)</script><!--<img src=x \
    onerror='alert(1)'>\"&\u{2028}\u{1b}[2J\u{202e}";

fn page_of(exchanges: &[Exchange], connections: &[Connection], outcomes: &[Outcome]) -> String {
    let mut out = Vec::new();
    let mut report = HtmlReport::new(&mut out, Filter::default(), false);
    report
        .tell(ReportEvent::Sources(&[Source {
            kind: "file".into(),
            name: "ut.pcap".into(),
            interfaces: Vec::new(),
        }]))
        .unwrap();
    report
        .tell(ReportEvent::Begin(FrameId::new(0, 1), fixtures::ORIGIN))
        .unwrap();
    for exchange in exchanges {
        report.tell(ReportEvent::Exchange(exchange)).unwrap();
    }
    for connection in connections {
        report.tell(ReportEvent::Connection(connection)).unwrap();
    }
    if !outcomes.is_empty() {
        report.tell(ReportEvent::Assertions(outcomes)).unwrap();
    }
    report
        .tell(ReportEvent::Finish(&Capture::default()))
        .unwrap();
    drop(report);
    String::from_utf8(out).unwrap()
}

/// The part that a person sees, without style and script.
fn markup(page: &str) -> &str {
    let begin = page.find("<body>").unwrap();
    let end = page.find("<script type=\"application/json\"").unwrap();
    &page[begin..end]
}

fn json(page: &str) -> &str {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    rest.split_once("</script>").unwrap().0
}

fn rows(page: &str) -> Vec<Value> {
    let mut data: Value = serde_json::from_str(json(page)).unwrap();
    data["rows"].as_array_mut().map(std::mem::take).unwrap()
}

fn numbered(exchange: &Exchange, id: u64) -> Exchange {
    Exchange {
        id,
        ..exchange.clone()
    }
}

#[test]
fn the_tutorials_case() {
    let page = page_of(&[fixtures::ok(), fixtures::gave_up()], &[], &[]);
    for expected in [
        "2 exchanges, <strong class=bad>1 did not go well",
        "50.00 %",
        "100.00 %",
        "<code>ack_to_client_close</code>",
    ] {
        assert!(
            markup(&page).contains(expected),
            "{expected} is not in\n{page}"
        );
    }
    let rows = rows(&page);
    let gave_up = &rows[1];
    assert_eq!(gave_up["took"]["ack_to_client_close"], "501.683");
    assert_eq!(gave_up["timeout"]["text"], "500 ms");
    assert_eq!(gave_up["timeout"]["guess"], true);
    assert_eq!(gave_up["timeout"]["us"], 500_000);
    let lines = gave_up["lines"].as_array().unwrap();
    let frames: Vec<_> = lines.iter().map(|line| line["frame"].as_u64()).collect();
    assert_eq!(frames, [Some(4185), Some(4186), Some(4192), Some(4303)]);
    assert_eq!(lines[2]["step"], "501.683");
    assert_eq!(lines[2]["what"], "FIN: the client closes");
    assert_eq!(lines[3]["us"], 2_005_223);
}

#[test]
fn every_verdict_can_be_shown() {
    let exchanges: Vec<_> = (0..)
        .zip(fixtures::every_verdict())
        .map(|(id, one)| numbered(&one, id))
        .collect();
    let connections = [
        fixtures::connection(),
        fixtures::refused(),
        fixtures::connect_timeout(),
    ];
    let page = page_of(&exchanges, &connections, &[]);
    let rows = rows(&page);
    // The connection that did its work is none of them.
    assert_eq!(rows.len(), exchanges.len() + 2);
    for exchange in &exchanges {
        assert!(markup(&page).contains(exchange.verdict.name()));
    }
    for row in rows {
        assert!(row["said"].as_str().unwrap().ends_with('.'), "{row}");
        assert!(!row["lines"].as_array().unwrap().is_empty(), "{row}");
        assert!(!row["filter"].as_str().unwrap().is_empty(), "{row}");
    }
    for verdict in Verdict::ALL {
        assert!(!words::verdict_in_words(verdict).is_empty());
    }
}

#[test]
fn nothing_of_the_wires_is_markup() {
    let exchange = Exchange {
        method: Some(HOSTILE.into()),
        path: Some(HOSTILE.into()),
        authority: Some(HOSTILE.into()),
        request_id: Some(HOSTILE.into()),
        ..fixtures::gave_up()
    };
    let outcome = Outcome {
        assertion: HOSTILE.into(),
        verdict: Conclusion::Failed,
        observed: HOSTILE.into(),
        exchanges: vec![exchange.clone()],
        connections: Vec::new(),
    };
    let mut out = Vec::new();
    let mut report = HtmlReport::new(&mut out, Filter::default(), false);
    let source = Source {
        name: HOSTILE.into(),
        ..Source::default()
    };
    report
        .tell(ReportEvent::Sources(&[source.clone(), source]))
        .unwrap();
    report
        .tell(ReportEvent::Comment(
            exchange.events.request_start.frame,
            HOSTILE,
        ))
        .unwrap();
    report.tell(ReportEvent::Exchange(&exchange)).unwrap();
    report.tell(ReportEvent::Assertions(&[outcome])).unwrap();
    report
        .tell(ReportEvent::Finish(&Capture {
            errors: vec![HOSTILE.into()],
            ..Capture::default()
        }))
        .unwrap();
    drop(report);
    let page = String::from_utf8(out).unwrap();
    let lower = page.to_lowercase();
    // The two scripts of the template, and no other; nothing that a parser could take for the begin
    // or the end of one.
    assert_eq!(lower.matches("<script").count(), 2);
    assert_eq!(lower.matches("</script").count(), 2);
    assert!(!lower.contains("<!--") && !lower.contains("<img"));
    assert!(!json(&page).contains(['<', '>', '&']));
    assert!(
        !page
            .chars()
            .any(|c| c == '\u{2028}' || c == '\u{202e}' || c == '\u{1b}')
    );
    let rows = rows(&page);
    let shown = said!(Shown(HOSTILE, usize::MAX));
    assert_eq!(rows[0]["host"], shown);
    assert!(shown.ends_with("\\u{2028}\\x1b[2J\\u{202e}"));
    assert!(
        rows[0]["lines"][0]["comment"]
            .as_str()
            .unwrap()
            .starts_with("/</script>")
    );
}

#[test]
fn the_program_s_own_parts_end_no_script() {
    assert!(!page::SCRIPT.contains("</") && !page::SCRIPT.contains("<!--"));
    assert!(!page::STYLE.contains("</"));
    for dangerous in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "eval(",
        "document.write",
    ] {
        assert!(!page::SCRIPT.contains(dangerous), "{dangerous}");
    }
    for network in ["http:", "https:", "url(", "@import"] {
        assert!(!page::STYLE.contains(network), "{network}");
    }
    let page = page_of(&[], &[], &[]);
    assert!(!page.contains("{{"));
}

#[test]
fn those_that_did_not_go_well_come_before_the_slowest() {
    let mut exchanges = Vec::new();
    for id in 0..5_000 {
        let mut exchange = numbered(&fixtures::ok(), id);
        let millis = i64::try_from(id * 7 % 5_000).unwrap();
        exchange.gaps.request_to_response = Some(Span::from_millis(millis));
        exchange.gaps.wait = exchange.gaps.request_to_response;
        exchanges.push(exchange);
    }
    exchanges.insert(10, numbered(&fixtures::gave_up(), 6_000));
    exchanges.push(numbered(&fixtures::server_reset(), 6_001));
    let page = page_of(&exchanges, &[], &[]);
    let rows = rows(&page);
    assert_eq!(rows.len(), 2_000);
    let bad = rows.iter().filter(|row| row["good"] == false).count();
    assert_eq!(bad, 2);
    let slow = |row: &Value| {
        row["took"]["request_to_response"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    let good = rows.iter().filter(|row| row["good"] == true);
    assert!(good.map(slow).all(|millis| millis >= 3_002.0));
    assert!(
        markup(&page).contains("3,002 exchanges that went well (shown are the slowest 1,998)"),
        "{}",
        markup(&page)
    );
}

#[test]
fn a_rare_verdict_is_not_crowded_out() {
    let mut exchanges: Vec<_> = (0..4_000)
        .map(|id| numbered(&fixtures::gave_up(), id))
        .collect();
    exchanges.push(numbered(&fixtures::server_reset(), 5_000));
    exchanges.push(numbered(&fixtures::ok(), 5_001));
    let page = page_of(&exchanges, &vec![fixtures::refused(); 700], &[]);
    let rows = rows(&page);
    assert_eq!(rows.len(), 2_001 + 500);
    assert!(
        rows.iter()
            .any(|row| row["verdict"] == "server-reset-unanswered")
    );
    for expected in [
        "2,000 exchanges that did not go well (2,000 client-gave-up)",
        "1 exchange that went well",
        "200 failed connections",
    ] {
        assert!(
            markup(&page).contains(expected),
            "{expected}: {}",
            markup(&page)
        );
    }
    assert!(page.len() < 5_000_000, "{}", page.len());
}

#[test]
fn long_names_do_not_make_a_long_page() {
    let long: compact_str::CompactString = "\u{202e}/é".repeat(2_000).into();
    let mut exchange = Exchange {
        path: Some(long.clone()),
        authority: Some(long.clone()),
        request_id: Some(long),
        ..fixtures::gave_up()
    };
    let mut out = Vec::new();
    let mut report = HtmlReport::new(&mut out, Filter::default(), false);
    for id in 0..3_000 {
        exchange.id = id;
        report.tell(ReportEvent::Exchange(&exchange)).unwrap();
    }
    report
        .tell(ReportEvent::Finish(&Capture::default()))
        .unwrap();
    drop(report);
    let page = String::from_utf8(out).unwrap();
    assert!(page.len() < 5_000_000, "{}", page.len());
    assert!(rows(&page).len() > 100);
    assert!(markup(&page).contains("that did not go well"));
}

#[test]
fn outcomes_are_told_and_linked() {
    let outcome = |verdict, exchanges| Outcome {
        assertion: "ack_to_client_close>400ms where path=/a&b".into(),
        verdict,
        observed: "1 of 4 exchanges".into(),
        exchanges,
        connections: Vec::new(),
    };
    let example = numbered(&fixtures::gave_up(), 77);
    let page = page_of(
        &[fixtures::ok()],
        &[],
        &[
            outcome(Conclusion::Passed, Vec::new()),
            outcome(Conclusion::Failed, vec![example]),
            outcome(Conclusion::NoTraffic, Vec::new()),
        ],
    );
    for expected in [
        "2 of 3 assertions did not pass.",
        "</span> passed<td>",
        "</span> failed<td>",
        "</span> no-traffic<td>",
        "path=/a&amp;b",
        "<a href=\"#exchange-77\">",
    ] {
        assert!(
            markup(&page).contains(expected),
            "{expected}: {}",
            markup(&page)
        );
    }
    // What an assertion points to is there, though it was never told as an exchange.
    assert!(rows(&page).iter().any(|row| row["id"] == 77));
}

#[test]
fn the_drawing_needs_no_script() {
    let page = page_of(
        &[
            fixtures::ok(),
            fixtures::gave_up(),
            fixtures::server_reset(),
        ],
        &[fixtures::connection(), fixtures::refused()],
        &[],
    );
    let markup = markup(&page);
    let problems = markup.find("id=problems").unwrap();
    let drawing = markup.find("id=seen tabindex").unwrap();
    assert!(problems < drawing && drawing < markup.find("aria-label=\"Summary\"").unwrap());
    for expected in [
        "<b>1</b> went well",
        "<b>1</b> left by the client",
        "<b>1</b> broken off by the server",
        "500 ms, a guess</text>",
        "role=img aria-label=\"Each exchange by when it began",
        "connection 0, 127.0.0.6:48764",
        ">client FIN</text>",
        ">refused</text>",
    ] {
        assert!(markup.contains(expected), "{expected}: {markup}");
    }
    let data: Value = serde_json::from_str(json(&page)).unwrap();
    let seen = &data["seen"];
    assert_eq!(seen["classes"].as_array().unwrap().len(), 3);
    // Since the first frame, which is that of the connection.
    let dot = &seen["classes"][1]["dots"][0];
    assert_eq!(
        (dot[0].as_i64(), dot[2].as_u64()),
        (Some(90_518_600), Some(3))
    );
    assert_eq!(seen["bars"].as_array().unwrap().len(), 2);
    // Without an exchange the connections are to be seen, with the axis of time below them.
    let alone = page_of(&[], &[fixtures::connection()], &[]);
    assert!(!alone.contains("id=seen-waits") && alone.contains("id=seen-connections"));
    assert!(alone.contains(">80 s</text>"), "{alone}");
    // Of nothing there is no drawing.
    let nothing = page_of(&[], &[], &[]);
    assert!(!nothing.contains("id=seen ") && nothing.contains("\"seen\":\nnull"));
}

#[test]
fn many_exchanges_stay_light() {
    let mut exchanges = Vec::new();
    for id in 0..30_000 {
        let mut exchange = numbered(&fixtures::ok(), id);
        let n = i64::try_from(id).unwrap();
        exchange.events.request_start = fixtures::mark(id + 1, 977 * n);
        exchange.gaps.wait = Some(Span::from_micros((n * 7_919) % 3_000_000));
        exchanges.push(exchange);
    }
    let page = page_of(&exchanges, &[], &[]);
    let data: Value = serde_json::from_str(json(&page)).unwrap();
    let good = &data["seen"]["classes"][0];
    let cells = good["cells"].as_array().unwrap();
    assert!(good["dots"].as_array().unwrap().is_empty());
    let count: u64 = cells.iter().map(|cell| cell[2].as_u64().unwrap()).sum();
    assert_eq!(count, 30_000);
    assert!(markup(&page).contains("30,000 of them are drawn together, in cells"));
    assert!(page.len() < 5_000_000, "{}", page.len());
}

#[test]
fn folded_exchanges_are_in_the_histograms() {
    let mut folded = Aggregate::default();
    for _ in 0..1_000 {
        folded.routes.add(&fixtures::ok());
        folded.summary.exchange(&fixtures::ok());
    }
    folded.slowest = vec![numbered(&fixtures::ok(), 9)];
    let mut out = Vec::new();
    let mut report = HtmlReport::new(&mut out, Filter::default(), false);
    report
        .tell(ReportEvent::Begin(FrameId::new(0, 1), fixtures::ORIGIN))
        .unwrap();
    report.tell(ReportEvent::Aggregate(&folded)).unwrap();
    report
        .tell(ReportEvent::Finish(&Capture::default()))
        .unwrap();
    drop(report);
    let page = String::from_utf8(out).unwrap();
    assert!(
        markup(&page).contains("1,000 exchanges, 1,000 2xx"),
        "{}",
        markup(&page)
    );
    assert!(
        markup(&page).contains("1,000 values: median 1.2"),
        "{}",
        markup(&page)
    );
    assert_eq!(rows(&page).len(), 1);
    assert!(
        markup(&page).contains("999 exchanges that went well"),
        "{}",
        markup(&page)
    );
    assert!(
        markup(&page).contains("Not drawn are 999 exchanges that the target only counted"),
        "{}",
        markup(&page)
    );
}

#[test]
fn the_same_twice_is_the_same() {
    let exchanges = fixtures::every_verdict();
    assert_eq!(page_of(&exchanges, &[], &[]), page_of(&exchanges, &[], &[]));
}

#[test]
fn the_policy_lets_this_style_and_this_script_through() {
    for (text, hash) in [
        (page::STYLE, page::STYLE_HASH),
        (page::SCRIPT, page::SCRIPT_HASH),
    ] {
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let digest = base64::prelude::BASE64_STANDARD.encode(digest);
        assert_eq!(format!("sha256-{digest}"), hash);
    }
}
