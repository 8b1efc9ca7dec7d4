//! Sides made of exchanges built by hand, and compared.

use crate::compare::Thresholds;
use crate::compare::difference::{Comparison, Presence};
use crate::compare::language::ChangeAssertion;
use crate::compare::side::{ComparedSide, Gatherer, MAX_ROUTES, RouteName, Selection};
use crate::event::{Report as _, ReportEvent};
use crate::exchange::{Exchange, Gap};
use crate::report::json::read;
use crate::testing::fixtures;
use crate::time::Span;

fn selection() -> Selection {
    Selection {
        gaps: Selection::USUAL.to_vec(),
        ..Selection::default()
    }
}

fn ok(path: &str, micros: i64) -> Exchange {
    let mut exchange = fixtures::ok();
    exchange.path = Some(path.into());
    exchange.gaps.request_to_response = Some(Span::from_micros(micros));
    exchange
}

fn side(
    selection: &Selection,
    exchanges: &[Exchange],
    other: Option<&ComparedSide>,
) -> ComparedSide {
    let mut gatherer = Gatherer::new(selection, "side", other);
    for exchange in exchanges {
        gatherer.tell(ReportEvent::Exchange(exchange)).unwrap();
    }
    gatherer.done()
}

fn compared(selection: &Selection, before: &[Exchange], after: &[Exchange]) -> Comparison {
    let before = side(selection, before, None);
    let after = side(selection, after, Some(&before));
    Comparison::new(before, after, selection, Thresholds::default())
}

#[test]
fn routes_have_a_ceiling_and_none_seems_gone_because_of_it() {
    let selection = selection();
    let many = |from: usize, count: usize| -> Vec<Exchange> {
        let numbers = from..from + count;
        numbers.map(|number| ok(&format!("/{number}"), 5)).collect()
    };
    // Before has fewer than the ceiling: after keeps all of these, and finds room for some of its
    // own.
    let comparison = compared(&selection, &many(0, 100), &{
        let mut after = many(1_000, 900);
        after.extend(many(0, 100));
        after
    });
    let count = |presence| {
        let routes = comparison.routes.iter();
        routes.filter(|one| one.presence() == presence).count()
    };
    assert_eq!((count(Presence::Both), count(Presence::Gone)), (100, 0));
    assert_eq!(count(Presence::New), MAX_ROUTES + 1);
    // Before has more: what had no room there is with the others after, too.
    let comparison = compared(&selection, &many(0, 900), &many(0, 900));
    assert_eq!(comparison.routes.len(), MAX_ROUTES + 1);
    for route in &comparison.routes {
        assert_eq!(route.presence(), Presence::Both, "{:?}", route.route);
    }
    let other = comparison
        .routes
        .iter()
        .find(|one| one.route == RouteName::Other);
    assert_eq!(other.map(|one| one.after.exchanges), Some(700));
}

#[test]
fn many_values_are_tested_in_buckets() {
    let selection = selection();
    let values = |count: i64, shift: i64| -> Vec<Exchange> {
        let value = |number: i64| 10_000 + shift + number * 7_919 % 5_000;
        (0..count).map(|number| ok("/", value(number))).collect()
    };
    // One side in buckets, the other as single values: the same distribution must not differ.
    let same = compared(&selection, &values(3_000, 0), &values(6_000, 0));
    assert_eq!(
        same.routes[0].headline(Thresholds::default()),
        "no change beyond noise"
    );
    let slower = compared(&selection, &values(3_000, 0), &values(6_000, 2_000));
    assert_eq!(slower.routes[0].headline(Thresholds::default()), "slower");
    let gap = slower.routes[0].gaps[0];
    assert!(
        gap.longer.is_some_and(|share| (0.7..0.9).contains(&share)),
        "{gap:?}"
    );
}

#[test]
fn words_are_right_about_as_often_as_alpha_says() {
    let mut seed = 42_u64;
    let mut roll = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as i64
    };
    let selection = Selection {
        gaps: vec![Gap::RequestToResponse],
        ..selection()
    };
    let mut called = 0;
    let rounds = 300;
    for _ in 0..rounds {
        let mut sample =
            || -> Vec<Exchange> { (0..40).map(|_| ok("/", roll() % 10_000)).collect() };
        let comparison = compared(&selection, &sample(), &sample());
        assert_eq!(comparison.tests, 1);
        called += u32::from(!comparison.routes[0].words().is_empty());
    }
    // 15 are expected; three standard deviations are 11.
    assert!((4..=26).contains(&called), "{called}");
}

#[test]
fn patterns_make_one_route_and_servers_do_not_matter() {
    let selection = Selection {
        routes: vec!["/items/*".to_owned(), "/*".to_owned()],
        ..selection()
    };
    let mut elsewhere = ok("/items/2?page=3", 5);
    elsewhere.server.port = 1;
    let comparison = compared(&selection, &[ok("/items/1", 5), ok("/a", 5)], &[elsewhere]);
    let named: Vec<_> = comparison.routes.iter().map(|one| &one.route).collect();
    let route = |path: &str| RouteName::Named {
        method: "GET".into(),
        path: path.into(),
    };
    assert_eq!(named, [&route("/items/*"), &route("/*")]);
    assert_eq!(comparison.routes[0].presence(), Presence::Both);
}

#[test]
fn assertions_are_read_or_refused_with_a_sentence() {
    for right in [
        "slower",
        "worse where path=/items*",
        "better",
        "faster where method=GET,POST",
        "new",
        "gone",
        "request_to_response.p99>+20%",
        "total.p50 >= +10ms",
        "total.max<-1.5s",
        "client-gave-up>+1%",
        "client_gave_up>+0.5%",
        "good<-1%",
        "exchanges<10",
        "problems",
        "problems where path=/items*",
        "problem.client-gave-up",
        "problem.keep_alive",
    ] {
        assert!(ChangeAssertion::parse(right).is_ok(), "{right}");
    }
    for (wrong, said) in [
        ("", "name a change"),
        ("slower where", "name a change"),
        ("slowest", "worse, slower"),
        ("slower where status=5xx", "path= and method="),
        ("total>+10ms", "total.p50"),
        ("total.p50", "total.p50>+10ms"),
        ("total.p100>+10ms", "p1 to p99"),
        ("total.p50>10ms", "has no sign"),
        ("total.p50>+10", "+20% or +10ms"),
        ("total.p50=+10ms", "compare with > or <"),
        ("client-gave-up", "client-gave-up>+1%"),
        ("good", "good<-1%"),
        ("good<-10ms", "by points"),
        ("good<-200%", "100 points"),
        ("connect-refused>+1%", "nothing that compare can fail on"),
        ("exchanges", "exchanges<10"),
        ("problem.slow", "no kind of problem: process-end"),
        ("problems>1", "nothing that compare can fail on"),
        ("exchanges<many", "not a number"),
        ("total.p50!+10ms", "compare with"),
        ("total.p50>+é", "not a change"),
    ] {
        let error = ChangeAssertion::parse(wrong).expect_err(wrong).to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
}

#[test]
fn problems_that_are_new_or_have_grown_can_be_failures() {
    let selection = selection();
    let many = |left: usize| -> Vec<Exchange> {
        let all = [vec![fixtures::gave_up(); left], vec![ok("/items", 5); 100]].concat();
        let numbered = all.into_iter().enumerate();
        numbered
            .map(|(id, exchange)| Exchange {
                id: id as u64,
                request_id: None,
                ..exchange
            })
            .collect()
    };
    let judged = |before: usize, after: usize, assertion: &str| {
        let comparison = compared(&selection, &many(before), &many(after));
        let assertion = ChangeAssertion::parse(assertion).expect(assertion);
        let outcome = assertion.judge(&comparison, &selection);
        (outcome.name(), outcome.observed)
    };
    let new = "new client-gave-up of GET /items".to_owned();
    assert_eq!(judged(0, 3, "problems"), ("failed", new.clone()));
    assert_eq!(judged(0, 3, "problem.client-gave-up"), ("failed", new));
    assert_eq!(judged(2, 90, "problems").0, "failed");
    assert_eq!(judged(0, 3, "problems where path=/it*").0, "failed");
    for (before, after, assertion) in [
        (0, 3, "problem.server-reset-unanswered"),
        (0, 3, "problems where path=/other"),
        (0, 3, "problems where method=POST"),
        (3, 3, "problems"),
        (3, 0, "problems"),
    ] {
        assert_eq!(judged(before, after, assertion).0, "passed", "{assertion}");
    }
    let empty = compared(&selection, &[], &many(3));
    let outcome = ChangeAssertion::parse("problems")
        .expect("one")
        .judge(&empty, &selection);
    assert_eq!(outcome.name(), "no-traffic");
}

#[test]
fn a_damaged_report_is_read_or_refused() {
    let exchange = r#"{"verdict":"ok","status":200,"method":"GET","path":"/a?b","client":"10.0.0.1:1","gaps":{"total":1.5}}"#;
    let route = r#"{"method":"GET","path":"/a","exchanges":17592186044416,"statuses":{"1xx":9},"gaps":{"total":
        {"count":1,"min":1,"p50":-1e300,"p90":1e300,"p99":3,"max":4}}}"#;
    let document = format!(
        r#"{{"schema":"meshsniff.report/v1","exchanges":[{exchange},{exchange}],"routes":[{route},{route}],"summary":{{"probes":1}}}}"#
    );
    let selection = selection();
    let read = |bytes: &[u8]| read::report(bytes, "report.json", &selection, None);
    let whole = read(document.as_bytes()).expect("a report").0;
    let once_more = read(document.as_bytes()).expect("a report").0;
    // Counts that no capture has, which must not overflow.
    let comparison = Comparison::new(whole, once_more, &selection, Thresholds::default());
    assert_eq!(comparison.routes.len(), 1);
    for at in 0..document.len() {
        assert!(read(&document.as_bytes()[..at]).is_err(), "cut at {at}");
        for byte in [0, b'"', b'9', b'{', b'-', 0xff] {
            let mut damaged = document.clone().into_bytes();
            damaged[at] = byte;
            // Both are right: it must come to an end.
            if let (Ok((before, _)), Ok((after, _))) = (read(&damaged), read(document.as_bytes())) {
                let _ = Comparison::new(before, after, &selection, Thresholds::default());
            }
        }
    }
}
