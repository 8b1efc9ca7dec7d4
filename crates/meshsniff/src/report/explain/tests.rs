//! Sentences of exchanges and connections.

use super::*;
use crate::exchange::Finding;
use crate::testing::fixtures;

fn explain(given: &Exchange) -> String {
    let mut out = String::new();
    exchange(&mut out, given, &Names::default());
    out
}

#[test]
fn the_tutorials_case() {
    assert_eq!(
        explain(&fixtures::gave_up()),
        "The client (127.0.0.6:48764, Istio's sidecar) closed 501.7 ms after sending GET \
         /items, before any response byte; the server's kernel had the request after 0.03 ms; \
         the 200 came 1503.5 ms too late. 500 ms is a usual timeout: probably the caller's \
         (gateway: UT, sidecar: DC)."
    );
}

#[test]
fn announced_timeouts_are_matched_or_not() {
    let announced = |millis| Exchange {
        expected_timeout: Some(Span::from_millis(millis)),
        timeout_guess: None,
        ..fixtures::gave_up()
    };
    assert!(explain(&announced(500)).contains("That is the timeout of 500 ms"));
    assert!(explain(&announced(2_000)).contains("earlier than the timeout of 2 s"));
    assert!(explain(&announced(100)).contains("later than the timeout of 100 ms"));
}

#[test]
fn every_verdict_has_a_sentence() {
    for exchange in fixtures::every_verdict() {
        let text = explain(&exchange);
        assert!(text.ends_with('.'), "{text}");
        assert!(!text.contains("  "), "{text}");
        assert!(text.len() > 30, "{text}");
    }
    for given in [fixtures::refused(), fixtures::connect_timeout()] {
        let mut text = String::new();
        connection(&mut text, &given, &Names::default());
        assert!(text.starts_with("The server (10.244.0.5:3000)"), "{text}");
    }
    let mut text = String::new();
    connection(&mut text, &fixtures::connection(), &Names::default());
    assert!(text.is_empty());
}

#[test]
fn silence_after_the_close_is_said() {
    let mut silent = fixtures::gave_up();
    silent.late_status = None;
    silent.events.late_response = None;
    silent.gaps.client_close_to_late_response = None;
    assert!(explain(&silent).contains("nothing more came from the server"));
    silent.doubt = Some(Doubt::CaptureEnded);
    let text = explain(&silent);
    assert!(
        text.contains("the capture ended before the server reacted"),
        "{text}"
    );
    assert!(
        text.ends_with("Uncertain: the capture ended before it was settled."),
        "{text}"
    );
}

#[test]
fn loss_is_named_when_it_cost_more_than_half() {
    let mut slow = fixtures::ok();
    slow.gaps.request_to_response = Some(Span::from_millis(210));
    slow.gaps.total = Some(Span::from_millis(211));
    let retransmission = |millis| Finding {
        kind: FindingKind::Retransmission,
        side: Side::Server,
        frames: Vec::new(),
        cost: Span::from_millis(millis),
    };
    slow.findings = vec![retransmission(201)];
    assert!(explain(&slow).contains("Packet loss, not the server, cost 201.0 ms"));
    slow.findings = vec![retransmission(90)];
    assert!(!explain(&slow).contains("loss"));
    // The answer came at once, but its last bytes had to be sent again.
    let mut tail = fixtures::ok();
    tail.gaps.response_to_ack = Some(Span::from_millis(230));
    tail.findings = vec![retransmission(229)];
    assert!(explain(&tail).contains("Packet loss"));
}

#[test]
fn half_close_race_and_unread_status() {
    let half = Exchange {
        half_closed: true,
        ..fixtures::ok()
    };
    assert!(explain(&half).contains("half-close"));
    let unread = Exchange {
        status: None,
        doubt: Some(Doubt::Snaplen),
        ..fixtures::ok()
    };
    let text = explain(&unread);
    assert!(
        text.contains("does not show") && text.contains("snap length"),
        "{text}"
    );
    let mut race = fixtures::server_closed();
    race.gaps.request_to_server_close = None;
    race.findings = vec![Finding {
        kind: FindingKind::KeepaliveRace,
        side: Side::Server,
        frames: Vec::new(),
        cost: Span::ZERO,
    }];
    assert!(explain(&race).contains("keep-alive race"));
}

#[test]
fn wire_data_cannot_escape() {
    let hostile = Exchange {
        path: Some(format!("/\u{1b}[2J\u{202e}{}", "x".repeat(5_000)).into()),
        ..fixtures::gave_up()
    };
    let text = explain(&hostile);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    assert!(text.chars().count() < 500);
}
