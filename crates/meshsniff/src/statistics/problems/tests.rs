//! Problems as the summary of a report tells them.

use super::{Behind, BehindKind, MAX_PROBLEMS, Problem, ProblemKind, Severity};
use crate::exchange::{Close, Connection, Exchange, Finding, FindingKind, Protocol, Side, Verdict};
use crate::packet::{Endpoint, FrameId};
use crate::statistics::Summary;
use crate::testing::fixtures;
use crate::time::Span;

const OTHER: Endpoint = Endpoint::v4([10, 244, 0, 6], 3000);

/// A give-up after so many milliseconds, with an id of its own.
fn left_after(id: u64, millis: i64) -> Exchange {
    let mut exchange = fixtures::gave_up();
    exchange.id = id;
    exchange.request_id = None;
    exchange.gaps.request_to_client_close = Some(Span::from_millis(millis));
    exchange
}

fn ok(id: u64) -> Exchange {
    Exchange {
        id,
        request_id: None,
        ..fixtures::ok()
    }
}

fn on(path: &str, exchange: Exchange) -> Exchange {
    Exchange {
        path: Some(path.into()),
        ..exchange
    }
}

fn told(exchanges: impl IntoIterator<Item = Exchange>) -> Vec<Problem> {
    let mut summary = Summary::new(false);
    for exchange in exchanges {
        summary.exchange(&exchange);
    }
    summary.problems().0
}

fn kinds(problems: &[Problem]) -> Vec<(&'static str, u64)> {
    let kinds = problems.iter();
    kinds
        .map(|problem| (problem.kind.name(), problem.count))
        .collect()
}

#[test]
fn names_are_those_of_one_kind_each() {
    for kind in ProblemKind::all() {
        assert_eq!(ProblemKind::of_name(kind.name()), Some(kind));
    }
    assert_eq!(ProblemKind::of_name("ok"), None);
}

#[test]
fn where_all_is_well_there_is_none() {
    assert!(told((0..10).map(ok)).is_empty());
}

#[test]
fn one_problem_says_how_many_of_how_many() {
    let problems = told((0..8).map(ok).chain((8..25).map(|id| left_after(id, 495))));
    assert_eq!(kinds(&problems), [("client-gave-up", 17)]);
    let problem = &problems[0];
    assert_eq!(problem.of, Some(25));
    assert_eq!(problem.routes, ["GET /items"]);
    assert_eq!(
        (problem.side, problem.severity),
        (Side::Client, Severity::Error)
    );
    assert_eq!(problem.exchanges, (8..25).collect::<Vec<u64>>());
    assert_eq!((problem.acknowledged, problem.late), (17, 17));
    assert_eq!(problem.late_by, Some(Span::from_micros(1_503_512)));
    let timer = problem.timer.expect("a timer");
    assert_eq!(timer.guess, Some(Span::from_millis(500)));
    assert!(problem.example.is_some());
}

#[test]
fn a_late_failure_is_no_success() {
    let mut failed = left_after(0, 500);
    failed.late_status = Some(500);
    let problems = told([failed, left_after(1, 500)]);
    assert_eq!(problems[0].late, 1);
}

#[test]
fn other_routes_are_not_counted_against_it() {
    let others = (0..100).map(|id| on("/other?n=1", ok(id)));
    let problems = told(others.chain([left_after(100, 30), on("/items?q", ok(101))]));
    assert_eq!(problems[0].of, Some(2));
}

#[test]
fn two_timers_are_two_problems_and_the_rest_is_one() {
    let exchanges = (0..5)
        .map(|id| on("/a", left_after(id, 498)))
        .chain((5..9).map(|id| on("/b", left_after(id, 1998 - id as i64))))
        .chain([left_after(9, 40), left_after(10, 7_123)]);
    let problems = told(exchanges);
    let found: Vec<_> = problems
        .iter()
        .map(|problem| {
            (
                problem.count,
                problem.routes[0].as_str(),
                problem.timer.is_some(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (5, "GET /a", true),
            (4, "GET /b", true),
            (2, "GET /items", false)
        ]
    );
}

#[test]
fn a_timer_is_none_of_few() {
    let cut = |id: u64, reset: bool| {
        let mut exchange = Exchange {
            id,
            ..fixtures::truncated()
        };
        let close = exchange.events.server_fin.or(exchange.events.server_rst);
        (exchange.events.server_fin, exchange.events.server_rst) =
            if reset { (None, close) } else { (close, None) };
        exchange.gaps.request_to_server_close = Some(Span::from_millis(20));
        exchange
    };
    let mut one = cut(3, true);
    one.gaps.request_to_server_close = Some(Span::from_secs(9));
    let problems = told([cut(0, false), cut(1, false), cut(2, true), one]);
    let found: Vec<_> = problems
        .iter()
        .map(|problem| (problem.detail.as_str(), problem.count, problem.timer))
        .collect();
    assert_eq!(found, [("", 2, None), ("RST", 2, None)]);
}

#[test]
fn many_routes_of_one_cause_are_one_problem() {
    let problems = told((0..60).map(|id| on(&format!("/items/{id}"), left_after(id, 499))));
    assert_eq!(kinds(&problems), [("client-gave-up", 60)]);
    let problem = &problems[0];
    assert_eq!(problem.routes.len(), Problem::MAX_ROUTES);
    assert_eq!(problem.routes_left_out, 55);
    assert_eq!(problem.exchanges.len(), Problem::MAX_LISTED);
    assert_eq!(problem.of, Some(60));
}

#[test]
fn servers_of_the_same_port_without_a_failure_are_counted() {
    let elsewhere = |id| Exchange {
        server: OTHER,
        ..ok(id)
    };
    let problems = told([elsewhere(0), elsewhere(1), left_after(2, 100)]);
    assert_eq!(problems[0].unaffected_servers, 1);
    let uncertain = Exchange {
        doubt: Some(crate::exchange::Doubt::SequenceHole),
        ..elsewhere(1)
    };
    let left = Exchange {
        server: OTHER,
        ..left_after(1, 90)
    };
    // Of what is uncertain nobody knows.
    for other in [left, uncertain] {
        let problems = told([elsewhere(0), other, left_after(2, 100)]);
        assert!(
            problems
                .iter()
                .all(|problem| problem.unaffected_servers == 0)
        );
    }
}

#[test]
fn failing_answers_are_told_by_status_and_by_who_made_them() {
    let answer = |id, status| Exchange {
        status: Some(status),
        ..ok(id)
    };
    let problems = told([
        answer(0, 503),
        answer(1, 503),
        answer(2, 500),
        answer(3, 404),
    ]);
    assert_eq!(
        kinds(&problems),
        [("failing-answer", 2), ("failing-answer", 1)]
    );
    assert_eq!(problems[0].detail, "503");
}

#[test]
fn a_finding_that_decided_names_the_problem() {
    let mut raced = fixtures::server_closed();
    raced.findings.push(Finding {
        kind: FindingKind::KeepaliveRace,
        side: Side::Server,
        frames: vec![fixtures::mark(1, 0)],
        cost: Span::ZERO,
    });
    raced.gaps.idle_before = Some(Span::from_secs(5));
    let problems = told([raced]);
    assert_eq!(kinds(&problems), [("keepalive-race", 1)]);
    assert_eq!(problems[0].min, Some(Span::from_secs(5)));
    assert_eq!(problems[0].severity, Severity::Error);
}

#[test]
fn a_cost_is_a_problem_if_it_was_most_of_the_wait() {
    let slowed = |cost: i64, wait: i64| {
        let mut exchange = ok(0);
        exchange.gaps.wait = Some(Span::from_millis(wait));
        exchange.findings.push(Finding {
            kind: FindingKind::DelayedAckStall,
            side: Side::Client,
            frames: vec![fixtures::mark(1, 0)],
            cost: Span::from_millis(cost),
        });
        exchange
    };
    assert!(told([slowed(40, 100)]).is_empty());
    assert!(told([slowed(4, 5)]).is_empty());
    let problems = told([slowed(40, 42), slowed(43, 50)]);
    assert_eq!(kinds(&problems), [("delayed-ack-stall", 2)]);
    assert_eq!(problems[0].severity, Severity::Warning);
    assert_eq!(problems[0].max, Some(Span::from_millis(43)));
}

#[test]
fn the_worst_comes_first() {
    let mut slow = ok(0);
    slow.gaps.wait = Some(Span::from_millis(50));
    slow.findings.push(Finding {
        kind: FindingKind::SynRetry,
        side: Side::Client,
        frames: Vec::new(),
        cost: Span::from_millis(45),
    });
    let exchanges = std::iter::repeat_n(slow, 9)
        .chain([fixtures::unanswered(), fixtures::server_reset()])
        .chain((10..12).map(|id| left_after(id, 10 * id as i64)));
    assert_eq!(
        kinds(&told(exchanges)),
        [
            ("client-gave-up", 2),
            ("server-reset-unanswered", 1),
            ("syn-retry", 9),
            ("unanswered", 1)
        ]
    );
}

/// The two legs of a proxy: the answer to its caller, and what it asked.
fn legs(front: Exchange, back: Exchange) -> [Exchange; 2] {
    let mut front = Exchange { id: 1, ..front };
    let mut back = Exchange { id: 2, ..back };
    front.relations.behind = Some(2);
    back.relations.front = Some(1);
    [front, back]
}

#[test]
fn of_a_proxys_two_legs_the_one_behind_is_the_cause() {
    let mut failed = fixtures::ok();
    failed.status = Some(504);
    let [front, mut back] = legs(failed.clone(), fixtures::server_reset());
    back.server = OTHER;
    // Whichever is settled first does not know of the other.
    let mut first = back.clone();
    first.relations.front = None;
    let problems = told([first, front.clone()]);
    assert_eq!(kinds(&problems), [("server-reset-unanswered", 1)]);
    assert_eq!(problems[0].fronts, 1);
    let mut first = front;
    first.relations.behind = None;
    let problems = told([first, back]);
    assert_eq!(kinds(&problems), [("server-reset-unanswered", 1)]);
    assert_eq!(problems[0].fronts, 1);
}

/// The 504 of a proxy, after 500 ms, at a time in microseconds.
fn timed_out(id: u64, micros: i64) -> Exchange {
    use crate::exchange::ProxyAnswer;
    use crate::mesh::answer::Software;
    let mut front = ok(id);
    front.status = Some(504);
    front.answered_by = Some(Box::new(ProxyAnswer {
        software: Software::Envoy,
        flag: "UT".into(),
        text: "upstream request timeout".into(),
    }));
    front.events.request_start = fixtures::mark(id, micros - 500_000);
    front.events.response_end = Some(fixtures::mark(id, micros));
    front
}

/// An encrypted connection of the fixtures' server to another one, on which it hung up after it had
/// heard nothing for 497 ms.
fn hung_up(id: u64, server: Endpoint, micros: i64) -> Connection {
    let mut leg = fixtures::connection();
    (leg.id, leg.client, leg.server) = (id, fixtures::SERVER, server);
    (leg.verdict, leg.protocol) = (None, Protocol::Tls);
    leg.first = fixtures::mark(id, micros - 498_000);
    leg.close = Some(Close {
        by: Side::Client,
        reset: false,
        mark: fixtures::mark(id, micros),
    });
    (leg.silence, leg.last_byte_by) = (Some(Span::from_millis(497)), Some(Side::Client));
    leg
}

/// What is behind the only answers of a proxy.
fn behind(exchanges: &[Exchange], connections: &[Connection]) -> Vec<Behind> {
    let mut summary = Summary::new(false);
    for exchange in exchanges {
        summary.exchange(exchange);
    }
    for connection in connections {
        summary.connection(connection);
    }
    let (problems, _) = summary.problems();
    let mut answers = problems
        .into_iter()
        .filter(|one| one.kind == ProblemKind::ProxyAnswer);
    let only = answers.next().expect("a problem");
    assert!(answers.next().is_none());
    only.behind
}

#[test]
fn behind_encryption_the_time_names_whom_a_proxy_waited_for() {
    let second = |n: u64| 1_000_000 * (n as i64 + 1);
    let answers: Vec<Exchange> = (0..4).map(|n| timed_out(n, second(n))).collect();
    let (silence, longer) = (Span::from_millis(497), Span::from_millis(900));
    let seen = behind(
        &answers,
        &[
            hung_up(10, OTHER, second(0) + 300),
            // Of one that was open before, and slower.
            Connection {
                first: fixtures::mark(11, 0),
                silence: Some(longer),
                ..hung_up(11, OTHER, second(1) - 300)
            },
            // Two servers at once; too late.
            hung_up(12, OTHER, second(2) + 300),
            hung_up(13, fixtures::SERVER, second(2) + 400),
            hung_up(14, OTHER, second(3) + 6_000),
        ],
    );
    let only = Behind {
        server: OTHER,
        kind: BehindKind::HungUp,
        count: 2,
        opened: 1,
        silence: Some((silence, longer)),
    };
    assert_eq!(seen, [only]);
}

#[test]
fn what_can_be_why_a_proxy_answered_so_is_told_and_nothing_else() {
    type Change = fn(&mut Connection);
    let legs: [(BehindKind, Change); 4] = [
        (BehindKind::HungUp, |_| ()),
        (BehindKind::Closed, |leg| {
            leg.close.as_mut().expect("a close").by = Side::Server;
        }),
        (BehindKind::Refused, |leg| {
            (leg.verdict, leg.protocol) = (Some(Verdict::ConnectRefused), Protocol::None);
        }),
        (BehindKind::TlsFailed, |leg| {
            leg.verdict = Some(Verdict::TlsFailed)
        }),
    ];
    for (status, flag, kinds) in [
        (504, "UT", &[BehindKind::HungUp][..]),
        (504, "", &[BehindKind::HungUp]),
        (503, "UF", &[BehindKind::Refused, BehindKind::TlsFailed]),
        (503, "UC", &[BehindKind::Closed]),
        (
            503,
            "URX",
            &[
                BehindKind::Closed,
                BehindKind::Refused,
                BehindKind::TlsFailed,
            ],
        ),
        (
            502,
            "",
            &[
                BehindKind::Closed,
                BehindKind::Refused,
                BehindKind::TlsFailed,
            ],
        ),
        (503, "UH", &[]),
        (503, "UO", &[]),
    ] {
        let mut answer = timed_out(0, 1_000_000);
        answer.status = Some(status);
        answer.answered_by.as_mut().expect("a proxy").flag = flag.into();
        for (kind, change) in legs {
            let mut leg = hung_up(10, OTHER, 1_000_100);
            change(&mut leg);
            let seen = behind(std::slice::from_ref(&answer), &[leg]);
            let seen: Vec<BehindKind> = seen.iter().map(|one| one.kind).collect();
            let wanted: Vec<BehindKind> =
                kinds.iter().copied().filter(|one| *one == kind).collect();
            assert_eq!(seen, wanted, "{status} {flag} {kind:?}");
        }
    }
}

#[test]
fn whom_a_proxy_waited_for_had_not_answered() {
    let one = |change: fn(&mut Connection)| {
        let mut leg = hung_up(10, OTHER, 1_000_100);
        change(&mut leg);
        let seen = behind(&[timed_out(0, 1_000_000)], &[leg]);
        seen.first().map(|one| one.kind)
    };
    assert_eq!(one(|_| ()), Some(BehindKind::HungUp));
    assert_eq!(one(|leg| leg.last_byte_by = Some(Side::Server)), None);
    assert_eq!(one(|leg| leg.silence = Some(Span::from_millis(249))), None);
    assert_eq!(
        one(|leg| leg.silence = Some(Span::from_millis(250))),
        Some(BehindKind::HungUp)
    );
    // What can be read is told by what it says.
    assert_eq!(one(|leg| leg.protocol = Protocol::Http1), None);
    assert_eq!(one(|leg| leg.close = None), None);
    // Another proxy's; the own pod's; that of another pod.
    assert_eq!(one(|leg| leg.client = Endpoint::v4([10, 9, 9, 9], 1)), None);
    let own = one(|leg| leg.client = Endpoint::v4([127, 0, 0, 6], 1));
    assert_eq!(own, Some(BehindKind::HungUp));
    let others = one(|leg| {
        leg.client = Endpoint::v4([127, 0, 0, 6], 1);
        leg.first.frame = FrameId::new(1, 1);
    });
    assert_eq!(others, None);
}

#[test]
fn what_is_told_elsewhere_leaves_nothing_behind() {
    let answered = |id, millis| {
        let mut front = fixtures::ok();
        (front.id, front.status) = (id, Some(504));
        front.gaps.request_to_response = Some(Span::from_millis(millis));
        front
    };
    let mut summary = Summary::new(false);
    // A gateway says 504 and resets what it had asked, four times; one 504 is the server's own.
    for id in 0..4 {
        summary.exchange(&answered(id, 500));
        let mut back = fixtures::gave_up();
        (back.id, back.server) = (10 + id, OTHER);
        back.relations.front = Some(id);
        summary.exchange(&back);
    }
    summary.exchange(&answered(9, 1));
    let (problems, _) = summary.problems();
    assert_eq!(
        kinds(&problems),
        [("client-gave-up", 4), ("failing-answer", 1)]
    );
    assert_eq!(problems[0].fronts, 4);
    let own = &problems[1];
    assert_eq!(
        (own.min, own.max),
        (Some(Span::from_millis(1)), Some(Span::from_millis(1)))
    );
    assert_eq!(
        (own.exchanges.as_slice(), own.evidence.len()),
        (&[9][..], 1)
    );
    let example = own.example.as_ref().expect("the one that is left");
    assert!(matches!(example, super::Example::Exchange(one) if one.id == 9));
    assert_eq!(own.acknowledged, 1);
    // Another program believes it.
    for part in summary.parts() {
        assert!(Summary::default().take_part(part).is_ok());
    }
}

#[test]
fn an_answer_to_what_never_became_whole_is_an_early_one() {
    let early = Exchange {
        request_cut: true,
        ..ok(0)
    };
    let problems = told([early]);
    assert_eq!(kinds(&problems), [("early-answer", 1)]);
    assert_eq!(problems[0].detail, "200");
}

#[test]
fn long_paths_are_counted_as_they_are_named() {
    let long = format!("/{}", "a".repeat(400));
    let exchanges = [on(&long, ok(0)), on(&long, left_after(1, 30)), ok(2), ok(3)];
    assert_eq!(told(exchanges)[0].of, Some(2));
}

#[test]
fn a_caller_who_left_first_is_the_cause() {
    let [mut front, mut back] = legs(fixtures::gave_up(), fixtures::gave_up());
    back.server = OTHER;
    let closed = back.events.client_fin.expect("a FIN");
    back.events.client_fin = Some(crate::packet::Mark {
        time: closed.time.plus(Span::from_millis(1)),
        ..closed
    });
    let mut first = front.clone();
    first.relations.behind = None;
    let problems = told([first, back.clone()]);
    assert_eq!((problems.len(), problems[0].server), (1, front.server));
    back.relations.front = None;
    front.relations.behind = Some(2);
    let problems = told([back, front.clone()]);
    assert_eq!((problems.len(), problems[0].server), (1, front.server));
}

#[test]
fn the_end_of_a_process_takes_what_it_did_with_it() {
    let mut summary = Summary::new(false);
    let exchange = fixtures::server_closed();
    let (close, _) = exchange.server_close().expect("a close");
    for id in 0..3 {
        summary.exchange(&Exchange {
            id,
            ..exchange.clone()
        });
        let mut connection = fixtures::connection();
        (connection.id, connection.server) = (id, exchange.server);
        connection.close = Some(Close {
            by: Side::Server,
            reset: false,
            mark: close,
        });
        connection.syn = None;
        summary.connection(&connection);
    }
    let mut refused = fixtures::refused();
    refused.server = exchange.server;
    refused.first.time = close.time.plus(Span::from_secs(1));
    summary.connection(&refused);
    let (problems, _) = summary.problems();
    assert_eq!(kinds(&problems), [("process-end", 3)]);
    assert_eq!(problems[0].exchanges, [0, 1, 2]);
    assert_eq!(problems[0].end.expect("an end").refused, 1);
}

#[test]
fn however_many_a_process_took_with_it_they_are_told_once() {
    use crate::packet::Mark;
    let at = |seconds: i64, n: u64| Mark {
        time: fixtures::ORIGIN.plus(Span::from_millis(1_000 * seconds)),
        order: 1_000 * seconds as u64 + n,
        ..fixtures::mark(1_000 * seconds as u64 + n, 0)
    };
    let mut summary = Summary::new(false);
    let mut id = 0;
    let mut closed = |summary: &mut Summary, seconds: i64, n: u64| {
        id += 1;
        let mut exchange = fixtures::server_closed();
        exchange.id = id;
        exchange.gaps.request_to_server_close = Some(Span::from_millis(500));
        let close = at(seconds, n);
        if exchange.events.server_fin.is_some() {
            exchange.events.server_fin = Some(close);
        } else {
            exchange.events.server_rst = Some(close);
        }
        summary.exchange(&exchange);
        let mut connection = fixtures::connection();
        (connection.id, connection.server, connection.syn) = (id, exchange.server, None);
        connection.close = Some(Close {
            by: Side::Server,
            reset: false,
            mark: close,
        });
        summary.connection(&connection);
    };
    let refused = |summary: &mut Summary, seconds: i64| {
        let mut refused = fixtures::refused();
        refused.server = fixtures::server_closed().server;
        refused.first = at(seconds, 0);
        refused.id = 10_000 + seconds as u64;
        summary.connection(&refused);
    };
    // One that has nothing to do with it, thirty of one end, five of another.
    closed(&mut summary, 100, 1);
    for n in 0..30 {
        closed(&mut summary, 200, n);
    }
    refused(&mut summary, 201);
    refused(&mut summary, 202);
    for n in 0..5 {
        closed(&mut summary, 300, n);
    }
    refused(&mut summary, 301);
    let (problems, _) = summary.problems();
    assert_eq!(
        kinds(&problems),
        [
            ("process-end", 30),
            ("process-end", 5),
            ("server-closed-unanswered", 1)
        ]
    );
    assert!(problems.iter().all(|problem| problem.timer.is_none()));
    assert_eq!(problems[2].exchanges, [1]);
    assert!(
        summary.timers().is_empty(),
        "what a process does at its end is no timer"
    );
}

#[test]
fn connections_have_problems_of_their_own() {
    let mut summary = Summary::new(false);
    summary.connection(&fixtures::refused());
    summary.connection(&fixtures::connect_timeout());
    summary.connection(&fixtures::connection());
    let (problems, _) = summary.problems();
    let mut found = kinds(&problems);
    found.sort_unstable();
    assert_eq!(found, [("connect-refused", 1), ("connect-timeout", 1)]);
    assert!(problems.iter().all(|problem| problem.of.is_some()));
}

#[test]
fn five_hundred_kinds_are_bounded_and_the_most_telling_come_first() {
    let mut summary = Summary::new(false);
    let verdicts = [
        fixtures::gave_up(),
        fixtures::server_reset(),
        fixtures::truncated(),
        fixtures::aborted(),
        fixtures::server_closed(),
    ];
    let mut id = 0;
    for server in 0..100_u16 {
        for exchange in &verdicts {
            for times in 0..=server / 10 {
                id += 1;
                let mut exchange = on(&format!("/{server}/{times}"), exchange.clone());
                exchange.id = id;
                exchange.server.port = server + 1;
                summary.exchange(&exchange);
            }
        }
    }
    let (problems, beyond) = summary.problems();
    assert_eq!(
        (problems.len(), beyond),
        (MAX_PROBLEMS, 500 - MAX_PROBLEMS as u64)
    );
    assert!(problems.is_sorted_by_key(|problem| !problem.count));
    assert_eq!(problems[0].count, 10);
    let ids: Vec<u64> = problems.iter().map(|problem| problem.id).collect();
    assert_eq!(ids, (0..MAX_PROBLEMS as u64).collect::<Vec<_>>());
}

#[test]
fn however_many_there_are_they_are_counted() {
    let mut summary = Summary::new(false);
    for number in 0..20_000_u32 {
        let mut exchange = left_after(u64::from(number), 20 + i64::from(number));
        exchange.path = Some(format!("/{number}").into());
        exchange.server = Endpoint::v4((0x0a00_0000 + number / 4).to_be_bytes(), 80);
        summary.exchange(&exchange);
    }
    let (cells, _) = summary.problems.cells(|_, _| false);
    assert!(cells.len() <= super::cells::MAX_CELLS);
    let counted: u64 = cells.iter().map(|(_, cell)| cell.counts.count).sum();
    assert_eq!(counted + summary.problems_left_out(), 20_000);
}

#[test]
fn what_is_sent_and_merged_makes_the_same_problems() {
    let exchanges: Vec<Exchange> = (0..400)
        .map(|id| match id % 4 {
            0 => left_after(id, 490 + id as i64 % 9),
            1 => ok(id),
            2 => on(
                "/b",
                Exchange {
                    id,
                    ..fixtures::truncated()
                },
            ),
            _ => on(
                "/c",
                Exchange {
                    id,
                    ..fixtures::server_reset()
                },
            ),
        })
        .collect();
    let mut whole = Summary::new(false);
    let mut halves = [Summary::new(false), Summary::new(false)];
    for exchange in &exchanges {
        whole.exchange(exchange);
        halves[exchange.id as usize / 3 % 2].exchange(exchange);
    }
    let [mut first, second] = halves;
    let mut sent = Summary::default();
    for part in second.parts() {
        let line = serde_json::to_string(&part).expect("a line");
        sent.take_part(serde_json::from_str(&line).expect("a part"))
            .expect("a part of a summary");
    }
    first.merge(&sent);
    let figures = |summary: &Summary| {
        let (problems, beyond) = summary.problems();
        let figures: Vec<_> = problems
            .into_iter()
            .map(|one| {
                let seen = (one.kind, one.server, one.routes, one.count, one.of);
                (
                    seen,
                    one.min,
                    one.max,
                    one.late_by,
                    one.first,
                    one.last,
                    one.timer,
                )
            })
            .collect();
        (figures, beyond)
    };
    assert_eq!(figures(&first), figures(&whole));
    assert!(whole.problems().0.len() >= 3);
}

#[test]
fn cells_that_no_exchange_makes_are_refused() {
    use crate::statistics::parts::SummaryPart;
    let mut summary = Summary::new(false);
    summary.exchange(&left_after(0, 500));
    let parts = summary.parts();
    let cells = parts
        .iter()
        .find(|part| matches!(part, SummaryPart::Problems { .. }));
    let right = serde_json::to_value(cells.expect("cells")).expect("JSON");
    let taken = |part: serde_json::Value| {
        let part = serde_json::from_value(part).map_err(|error| error.to_string())?;
        Summary::default()
            .take_part(part)
            .map_err(|error| error.to_string())
    };
    assert_eq!(taken(right.clone()), Ok(()));
    for (at, wrong) in [
        ("/key/kind", serde_json::json!("process-end")),
        ("/key/kind", serde_json::json!("ok")),
        ("/key/detail", serde_json::json!("<a href=//evil>")),
        ("/key/detail", serde_json::json!("[a](//evil)")),
        ("/key/route", serde_json::json!("a".repeat(301))),
        ("/counts/count", serde_json::json!(0)),
        ("/counts/count", serde_json::json!(u64::MAX)),
        ("/counts/uncertain", serde_json::json!(2)),
        ("/counts/min", serde_json::json!(null)),
        ("/counts/min", serde_json::json!(900_000_000)),
        ("/counts/late", serde_json::json!(0)),
        ("/counts/last", serde_json::json!(1)),
        ("/counts/callers", serde_json::json!(["a", "b", "c", "d"])),
    ] {
        let mut part = right.clone();
        let place = part
            .pointer_mut(&format!("/problems/cells/0{at}"))
            .expect("a field");
        *place = wrong.clone();
        assert!(taken(part).is_err(), "{at}: {wrong}");
    }
}

#[test]
fn every_verdict_that_is_not_good_is_in_one_problem() {
    let exchanges = fixtures::every_verdict();
    let bad = exchanges
        .iter()
        .filter(|one| one.good() == Some(false))
        .count() as u64;
    let problems = told(exchanges);
    let counted: u64 = problems.iter().map(|problem| problem.count).sum();
    assert_eq!(counted, bad);
    assert!(
        problems
            .iter()
            .any(|one| one.kind == ProblemKind::Verdict(Verdict::ClientGaveUp))
    );
}
