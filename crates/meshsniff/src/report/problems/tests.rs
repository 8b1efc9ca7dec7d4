//! The words of problems, each as a person reads it.

use super::{Told, described};
use crate::dns::{Dns, Failure};
use crate::event::Source;
use crate::exchange::{
    Connection, Doubt, EnvoyFlags, Exchange, Finding, FindingKind, ProxyAnswer, Side, Verdict,
};
use crate::kernel::Sockets;
use crate::mesh::answer::Software;
use crate::names::Names;
use crate::report::wireshark::Numbering;
use crate::statistics::{Problem, Summary};
use crate::testing::fixtures;
use crate::time::Span;

/// The sentence and what stands beside it, of the only problem.
fn words(exchanges: &[Exchange], connections: &[Connection]) -> (String, String) {
    let mut summary = Summary::new(false);
    for (id, exchange) in (0..).zip(exchanges) {
        summary.exchange(&Exchange {
            id,
            request_id: None,
            ..exchange.clone()
        });
    }
    for connection in connections {
        summary.connection(connection);
    }
    let mut all = described(&summary, fixtures::ORIGIN, &Names::default());
    assert_eq!(all.len(), 1, "{all:#?}");
    let only = all.remove(0);
    (only.sentence, only.more)
}

fn sentence(exchange: Exchange) -> String {
    words(&[exchange], &[]).0
}

fn found(kind: FindingKind, side: Side, cost: i64, mut exchange: Exchange) -> Exchange {
    exchange.findings.push(Finding {
        kind,
        side,
        frames: vec![fixtures::mark(1, 0)],
        cost: Span::from_millis(cost),
    });
    exchange.gaps.wait = Some(Span::from_millis(cost + 1));
    exchange
}

#[test]
fn the_tutorials_case_reads_like_an_expert_wrote_it() {
    let exchanges = [vec![fixtures::ok(); 8], vec![fixtures::gave_up(); 17]].concat();
    let (sentence, more) = words(&exchanges, &[]);
    assert_eq!(
        sentence,
        "GET /items on 10.244.0.5:3000: the caller gave up on 17 of 25 requests after 501.7 ms, a \
         timer, probably 500 ms."
    );
    assert_eq!(
        more,
        "The server's kernel had each within 0.03 ms. The answers came 1503.5 ms too late on \
         average: the server is too slow for that timeout, and its own metrics call it a success. \
         Envoy: DC at the sidecar; UT or DC at its caller (a guess)."
    );
}

#[test]
fn an_announced_timeout_is_named() {
    let mut exchange = fixtures::gave_up();
    exchange.expected_timeout = Some(Span::from_millis(500));
    exchange.envoy.client = &["UT"];
    let said = sentence(exchange);
    let timeout = "after 501.7 ms: the timeout of 500 ms that was announced on it.";
    assert!(said.ends_with(timeout), "{said}");
}

#[test]
fn whoever_left_early_blames_no_slow_server() {
    let mut exchange = fixtures::gave_up();
    exchange.timeout_guess = None;
    exchange.gaps.request_to_client_close = Some(Span::from_millis(37));
    let (_, more) = words(&[exchange], &[]);
    assert!(!more.contains("too slow"), "{more}");
    assert!(
        more.contains("too late; the server's own metrics call that a success"),
        "{more}"
    );
}

#[test]
fn every_verdict_has_its_words() {
    let cases = [
        (
            fixtures::gave_up_mid_response(),
            "the caller closed inside 1 response",
        ),
        (
            fixtures::aborted(),
            "the caller closed inside 1 request of its own",
        ),
        (
            fixtures::server_closed(),
            "the server closed the connection instead of answering",
        ),
        (
            fixtures::server_reset(),
            "the server reset the connection instead of answering",
        ),
        (
            fixtures::unanswered(),
            "1 request had no answer yet when the capture ended",
        ),
    ];
    for (exchange, words) in cases {
        let said = sentence(exchange);
        assert!(said.contains(words), "{said}");
    }
    for exchange in fixtures::every_verdict() {
        if exchange.good() == Some(false) {
            let said = sentence(exchange);
            assert!(
                said.ends_with('.') && !said.contains("  ") && !said.contains(" ."),
                "{said}"
            );
        }
    }
}

#[test]
fn whose_answer_it_is_is_said_as_far_as_it_is_known() {
    let answer = |status| Exchange {
        status: Some(status),
        ..fixtures::ok()
    };
    let (said, more) = words(&[answer(500)], &[]);
    assert!(
        said.contains("the server itself answered 1 request with 500"),
        "{said}"
    );
    assert!(!more.contains("proxy"), "{more}");
    let (said, more) = words(&[answer(503)], &[]);
    assert!(
        said.contains("the server answered 1 request with 503"),
        "{said}"
    );
    assert!(
        more.contains("If it is a proxy, the fault may be one hop on."),
        "{more}"
    );
    let by = ProxyAnswer {
        software: Software::Envoy,
        flag: "UF".into(),
        text: "upstream connect error".into(),
    };
    let by_itself = |by: ProxyAnswer, status| Exchange {
        answered_by: Some(Box::new(by)),
        ..answer(status)
    };
    let mut timed_out = by_itself(
        ProxyAnswer {
            flag: "UT".into(),
            ..by.clone()
        },
        504,
    );
    timed_out.gaps.request_to_response = Some(Span::from_micros(502_600));
    let said = sentence(timed_out);
    let timer = "(504 Envoy UT) after 502.6 ms, a timer, probably 500 ms: the fault is one hop on.";
    assert!(said.ends_with(timer), "{said}");
    let said = sentence(by_itself(by, 503));
    assert!(
        said.contains("a proxy answered 1 request in the server's place (503 Envoy UF)"),
        "{said}"
    );
}

#[test]
fn every_finding_has_its_words() {
    use FindingKind as Kind;
    let (ok, client, server) = (fixtures::ok, Side::Client, Side::Server);
    let cases = [
        (
            Kind::Retransmission,
            server,
            "1 request lost 43.0 ms to the server's segments that",
        ),
        (
            Kind::ZeroWindow,
            client,
            "1 request waited 43.0 ms for the client, which did not read",
        ),
        (
            Kind::DelayedAckStall,
            client,
            "1 request took 43.0 ms because of a delayed ACK",
        ),
        (
            Kind::SlowRequestBody,
            client,
            "1 request took the client 43.0 ms to send",
        ),
        (
            Kind::SynRetry,
            client,
            "1 request waited 43.0 ms for a SYN that had to be sent again",
        ),
        (
            Kind::ExpectUnanswered,
            client,
            "waited 43.0 ms for a 100 Continue that did not come",
        ),
        (
            Kind::DnsRetry,
            client,
            "waited 43.0 ms for a DNS query that had to be sent again",
        ),
        (
            Kind::DnsSlow,
            client,
            "1 request waited 43.0 ms for a slow lookup in DNS",
        ),
        (
            Kind::PortReuse,
            client,
            "waited 43.0 ms: the server still knew an older connection",
        ),
        (
            Kind::UnreadRequest,
            server,
            "1 request lay 43.0 ms unread in the server's socket",
        ),
        (
            Kind::AcceptQueueFull,
            server,
            "1 request waited 43.0 ms because the server's accept queue was full",
        ),
    ];
    for (kind, side, words) in cases {
        let said = sentence(found(kind, side, 43, ok()));
        assert!(said.contains(words), "{said}");
    }
    let cases = [
        (
            Kind::RequestUnacknowledged,
            "1 request was sent again and again, and never acknowledged",
        ),
        (
            Kind::ResponseUnacknowledged,
            "had an answer that was sent again and again, and never",
        ),
        (
            Kind::StrangerReset,
            "met a RST from somebody who does not know the connection any more",
        ),
        (
            Kind::KeepaliveRace,
            "1 request met a connection that the server was closing",
        ),
        (
            Kind::RequestStalled,
            "1 request stopped before the end, and was ended",
        ),
    ];
    for (kind, words) in cases {
        let said = sentence(found(kind, server, 0, fixtures::server_closed()));
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn what_became_of_requests_in_the_socket_is_said() {
    let with = |change: fn(&mut Sockets)| {
        let mut sockets = fixtures::unread();
        change(&mut sockets);
        Exchange {
            sockets: Some(Box::new(sockets)),
            ..fixtures::gave_up()
        }
    };
    let unread = with(|_| {});
    let not_accepted = with(|sockets| sockets.accepted = Some(false));
    let read = with(|sockets| {
        sockets.unread = None;
        sockets.read_by = Some(Span::from_millis(21));
    });
    let turned_away = with(|sockets| {
        sockets.unread = None;
        sockets.accepted = None;
        sockets.accept_queue_was_full = true;
    });
    let causes = "(a blocked event loop, an exhausted pool, a stopped process).";
    let busy = ": it was at work, or waited for others.";
    for (exchanges, expected) in [
        (
            vec![&unread],
            format!(" Its program did not read it {causes}"),
        ),
        (
            vec![&unread, &unread],
            format!(" Its program did not read any {causes}"),
        ),
        (
            vec![&unread, &not_accepted, &read],
            format!(
                " Its program did not read 2 of them, and had not even accepted 1 connection \
                 {causes} Its program had read 1 of them{busy}"
            ),
        ),
        (
            vec![&not_accepted],
            format!(
                " Its program did not read it, and had not even accepted the connection {causes}"
            ),
        ),
        (vec![&read], format!(" Its program had read it{busy}")),
        (
            vec![&read, &read],
            format!(" Its program had read each{busy}"),
        ),
        (vec![&turned_away], " Its accept queue was full.".to_owned()),
        (
            vec![&turned_away, &read],
            format!(
                " Its accept queue was full for 1 of them. Its program had read 1 of them{busy}"
            ),
        ),
    ] {
        let exchanges: Vec<_> = exchanges.into_iter().cloned().collect();
        let (_, more) = words(&exchanges, &[]);
        assert!(more.contains(&expected), "{more}");
    }
    // Nobody asked.
    let (_, more) = words(&[fixtures::gave_up()], &[]);
    assert!(!more.contains("program"), "{more}");
}

#[test]
fn connections_have_their_words() {
    let (said, _) = words(&[], &[fixtures::refused()]);
    assert!(
        said.contains(" refused 1 connection: nothing listens there"),
        "{said}"
    );
    let mut silent = fixtures::connect_timeout();
    let (said, _) = words(&[], std::slice::from_ref(&silent));
    assert!(
        said.contains("the address is gone, or packets are dropped on the way"),
        "{said}"
    );
    silent.accept_queue = fixtures::unread().listener;
    let (said, _) = words(&[], std::slice::from_ref(&silent));
    assert!(
        said.ends_with("1 connection: its accept queue was full."),
        "{said}"
    );
    silent.accept_queue = None;
    silent.server_answered_others = true;
    let (said, _) = words(&[], &[silent]);
    assert!(said.contains("its accept queue is full"), "{said}");
    for (verdict, expected) in [
        (
            Verdict::TlsUnanswered,
            "did not answer the TLS hello of 1 connection",
        ),
        (
            Verdict::TlsFailed,
            "the TLS handshakes of 1 connection failed: the server closed",
        ),
        (
            Verdict::TlsRefusedPlain,
            "answers in plain text, and the client spoke TLS to it",
        ),
        (
            Verdict::PlainRefusedTls,
            "answers with TLS, and the client spoke plain text to it",
        ),
    ] {
        let connection = Connection {
            verdict: Some(verdict),
            tls: None,
            close: None,
            ..fixtures::connection()
        };
        let (said, _) = words(&[], &[connection]);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn lookups_have_their_words() {
    let flow = |dns: Dns| Connection {
        dns: Some(Box::new(dns)),
        ..fixtures::lookups()
    };
    let failure = Failure {
        name: "catalog.svc".into(),
        kind: 1,
        code: 2,
        count: 1,
    };
    for (dns, expected) in [
        (
            Dns {
                unanswered: 1,
                ..Dns::default()
            },
            "queries from 1 client port had no answer.",
        ),
        (
            Dns {
                slowest: Some(Span::from_millis(250)),
                ..Dns::default()
            },
            "queries from 1 client port waited for their answer, the longest 250.0 ms.",
        ),
        (
            Dns {
                failed: 1,
                failures: vec![failure],
                ..Dns::default()
            },
            "queries from 1 client port were answered SERVFAIL.",
        ),
    ] {
        let (said, _) = words(&[], &[flow(dns)]);
        assert!(
            said.starts_with("DNS at ") && said.ends_with(expected),
            "{said}"
        );
    }
}

#[test]
fn flags_that_not_all_have_are_the_examples() {
    let mut other = fixtures::gave_up();
    other.envoy = EnvoyFlags::default();
    let (_, more) = words(&[fixtures::gave_up(), other], &[]);
    assert!(
        more.contains("Envoy, of the example: DC at the sidecar;"),
        "{more}"
    );
    let (_, more) = words(&[fixtures::gave_up(), fixtures::gave_up()], &[]);
    assert!(more.contains("Envoy: DC at the sidecar;"), "{more}");
}

#[test]
fn a_problem_is_told_behind_the_one_before() {
    let mut summary = Summary::new(false);
    let mut id = 0;
    let mut add = |exchange: Exchange| {
        id += 1;
        summary.exchange(&Exchange {
            id,
            request_id: None,
            caller: Some("gateway.mesh".into()),
            ..exchange
        });
    };
    for _ in 0..3 {
        add(fixtures::gave_up());
    }
    for _ in 0..2 {
        add(fixtures::server_reset());
    }
    let mut elsewhere = fixtures::server_closed();
    elsewhere.path = Some("/other".into());
    add(elsewhere);
    let (problems, beyond) = summary.problems();
    let names = Names::default();
    let told = Told {
        problems,
        beyond,
        origin: fixtures::ORIGIN,
        end: None,
        names: &names,
        source: None,
        numbering: Numbering::Ends,
    };
    let texts: Vec<(String, String)> = (0..3).map(|index| told.flowing(index)).collect();
    let begins = [
        "GET /items on 10.244.0.5:3000: the caller gave up on 3 of 5 requests after",
        "There, the server reset the connection instead of answering 2 of 5 requests after",
        "GET /other on the same server: the server closed the connection instead of answering",
    ];
    for ((sentence, _), begin) in texts.iter().zip(begins) {
        assert!(sentence.starts_with(begin), "{sentence}");
    }
    let asked = texts
        .iter()
        .filter(|(_, more)| more.contains("Asked by gateway.mesh."));
    assert_eq!(asked.count(), 1, "{texts:?}");
    assert!(texts[0].1.ends_with("Exchanges 1–3."), "{texts:?}");
    // By itself it says all of it.
    let alone = told.paragraph(&told.problems[1]);
    assert!(
        alone.starts_with("GET /items on 10.244.0.5:3000: the server reset"),
        "{alone}"
    );
    assert!(alone.contains("Asked by gateway.mesh."), "{alone}");
    assert_eq!(
        texts[1].1.matches("Asked by the same.").count(),
        1,
        "{texts:?}"
    );
    // Of a file nobody knows whether such a pod exists.
    assert_eq!(told.own_next(&told.problems[0]), "");
    let live = |problem: &Problem| {
        let source = Source {
            kind: "live".into(),
            ..Source::default()
        };
        let told = Told {
            source: Some(source),
            problems: Vec::new(),
            ..told
        };
        told.own_next(problem)
    };
    let mut asked = told.problems[0].clone();
    assert_eq!(live(&asked), "kubectl meshsniff report gateway -n mesh");
    for (caller, command) in [
        ("web.v2.shop", "kubectl meshsniff report web.v2 -n shop"),
        ("web.shop.svc", "kubectl meshsniff report svc/web -n shop"),
        ("-w/tmp/x.shop", ""),
        ("spiffe://cluster.local/ns/a/sa/b", ""),
        ("web", ""),
        ("web.shop;id", ""),
    ] {
        asked.callers = vec![caller.into()];
        assert_eq!(live(&asked), command, "{caller}");
    }
}

#[test]
fn times_doubts_and_brothers_are_facts() {
    let at = |id: u64| {
        let mut exchange = fixtures::gave_up();
        exchange.events.request_start = fixtures::mark(id + 1, 1_000_000 * id as i64);
        exchange.gaps.request_to_client_close = Some(Span::from_millis(40 + 40 * id as i64));
        exchange.doubt = (id == 0).then_some(Doubt::SequenceHole);
        exchange
    };
    let mut brother = fixtures::ok();
    brother.server = crate::packet::Endpoint::v4([10, 244, 0, 6], 3000);
    let (_, more) = words(&[at(0), at(1), at(2), brother], &[]);
    assert!(more.contains("Between 0.000 s and 2.000 s."), "{more}");
    assert!(more.contains("1 of them uncertain."), "{more}");
    assert!(
        more.contains("1 other server on port 3000 had no failure."),
        "{more}"
    );
    let (_, more) = words(&[at(0)], &[]);
    assert!(
        more.contains("Uncertain: the sequence numbers do not prove"),
        "{more}"
    );
}

#[test]
fn nothing_from_the_wire_is_a_word() {
    let mut exchange = fixtures::gave_up();
    exchange.path = Some("/\u{1b}[2J\n1. all is well".into());
    let said = sentence(exchange);
    assert!(!said.contains(['\u{1b}', '\n']), "{said}");
}
