use super::*;
use crate::event::{Capture, Source};
use crate::exchange::Connection;
use crate::packet::FrameId;
use crate::testing::fixtures;
use quick_xml::Reader;
use quick_xml::events::Event;

fn drawn(of: SvgOf, exchanges: &[Exchange], connections: &[Connection]) -> io::Result<String> {
    let mut out = Vec::new();
    let mut report = SvgReport::new(&mut out, Filter::default(), false, of);
    report.tell(ReportEvent::Sources(&[Source {
        kind: "file".into(),
        name: "/home/me/a & b.pcap".into(),
        interfaces: Vec::new(),
    }]))?;
    report.tell(ReportEvent::Begin(FrameId::new(0, 1), fixtures::ORIGIN))?;
    for exchange in exchanges {
        report.tell(ReportEvent::Exchange(exchange))?;
    }
    for connection in connections {
        report.tell(ReportEvent::Connection(connection))?;
    }
    report.tell(ReportEvent::Finish(&Capture::default()))?;
    drop(report);
    Ok(String::from_utf8(out).unwrap())
}

/// The texts of a picture, in the order in which they stand; it must be XML.
fn texts(svg: &str) -> Vec<String> {
    let mut reader = Reader::from_str(svg);
    reader.config_mut().check_end_names = true;
    let (mut texts, mut open, mut depth) = (Vec::new(), false, 0);
    loop {
        match reader.read_event().expect("XML") {
            Event::Start(start) => {
                depth += 1;
                open = start.name().as_ref() == b"text";
                if open {
                    texts.push(String::new());
                }
            }
            Event::End(_) => {
                depth -= 1;
                open = false;
            }
            Event::Text(text) if open => {
                let text = text.decode().unwrap();
                texts.last_mut().unwrap().push_str(&text);
            }
            Event::GeneralRef(name) if open => {
                let name = name.decode().unwrap();
                texts.last_mut().unwrap().push_str(&format!("&{name};"));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    texts
}

#[test]
fn the_tutorials_case() {
    let exchanges = [fixtures::ok(), fixtures::gave_up()];
    let svg = drawn(SvgOf::Worst, &exchanges, &[]).unwrap();
    let texts = texts(&svg);
    for expected in [
        "✗",
        "client-gave-up",
        "FIN: the client closes",
        "501.683 ms",
        "after the ACK",
        "timeout 500 ms, a guess",
        "a &amp; b.pcap · kubectl meshsniff",
        "4192",
        "91.020323",
    ] {
        assert!(
            texts.iter().any(|text| text == expected),
            "{expected}: {texts:#?}"
        );
    }
    assert!(
        texts[0].starts_with("Problem 1: GET /items"),
        "{}",
        texts[0]
    );
    // No folder of whoever made it.
    assert!(!svg.contains("/home/me"));
    for frame in [4_185, 4_186, 4_192, 4_303] {
        assert!(svg.contains(&format!("data-frame=\"{frame}\"")), "{frame}");
    }
}

#[test]
fn what_is_asked_for_is_drawn() {
    let mut exchanges = fixtures::every_verdict();
    for (id, exchange) in (0..).zip(&mut exchanges) {
        exchange.id = id;
    }
    let connections = [fixtures::refused(), fixtures::connect_timeout()];
    for exchange in &exchanges {
        let svg = drawn(SvgOf::Exchange(exchange.id), &exchanges, &connections).unwrap();
        assert!(svg.contains(&format!("data-of=\"exchange {}\"", exchange.id)));
        assert!(svg.contains(&format!("data-verdict=\"{}\"", exchange.verdict)));
        assert!(texts(&svg).len() > 6, "{svg}");
    }
    let mut kinds = Vec::new();
    for number in 1.. {
        match drawn(SvgOf::Problem(number), &exchanges, &connections) {
            Ok(svg) => kinds.push(texts(&svg)[0].clone()),
            Err(error) => {
                let said = error.to_string();
                assert!(
                    said.contains("no problem") && said.contains("the report has"),
                    "{said}"
                );
                break;
            }
        }
    }
    assert!(
        kinds.len() > 4 && kinds.iter().any(|text| text.contains("refused")),
        "{kinds:?}"
    );
    let error = drawn(SvgOf::Exchange(99), &exchanges, &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no exchange 99 among 12 exchanges"),
        "{error}"
    );
}

#[test]
fn without_a_problem_it_is_the_slowest() {
    let mut slow = fixtures::ok();
    slow.id = 7;
    slow.gaps.wait = Some(crate::time::Span::from_millis(77));
    let svg = drawn(SvgOf::Worst, &[fixtures::ok(), slow, fixtures::ok()], &[]).unwrap();
    assert!(svg.contains("data-of=\"exchange 7\""), "{svg}");
    let nothing = drawn(SvgOf::Worst, &[], &[]).unwrap();
    assert!(texts(&nothing).iter().any(|text| text == "nothing to draw"));
}

#[test]
fn nothing_of_the_wires_is_markup() {
    let hostile = "/]]></svg><script>alert(1)</script><!--'\"&\u{1b}\u{202e}\u{fffe}\u{0}";
    let exchange = Exchange {
        method: Some(hostile.into()),
        path: Some(hostile.into()),
        authority: Some(hostile.into()),
        request_id: Some(hostile.into()),
        ..fixtures::gave_up()
    };
    let svg = drawn(SvgOf::Worst, &[exchange], &[]).unwrap();
    let texts = texts(&svg);
    assert!(
        texts.iter().any(|text| text.contains("&lt;script&gt;")),
        "{texts:?}"
    );
    assert!(!svg.contains("<script") && !svg.contains("<!--") && !svg.contains("onload"));
    assert!(!svg.contains(['\u{1b}', '\u{202e}', '\u{0}', '\u{fffe}']));
    // Nothing is loaded from anywhere.
    assert_eq!(
        svg.matches("http").count(),
        1,
        "the name of the format alone"
    );
}

#[test]
fn long_texts_stay_inside() {
    let long: compact_str::CompactString = "/very-long".repeat(400).into();
    let exchange = Exchange {
        path: Some(long.clone()),
        authority: Some(long.clone()),
        request_id: Some(long),
        ..fixtures::gave_up()
    };
    let svg = drawn(SvgOf::Worst, &[exchange], &[]).unwrap();
    assert!(svg.len() < 20_000, "{}", svg.len());
    for text in texts(&svg) {
        assert!(text.chars().count() <= 125, "{text}");
    }
}
