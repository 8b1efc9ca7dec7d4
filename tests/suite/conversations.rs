//! Behaviours one by one, each built packet by packet.

use meshsniff::exchange::{AckWith, Doubt, Exchange, FindingKind, Side, Verdict};
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::{ACK, FIN, RST, SYN, Talk, analyse};

const GET: &[u8] = b"GET /items HTTP/1.1\r\nHost: catalog\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn verdict(exchange: &Exchange) -> (Verdict, Option<u16>, Option<Doubt>) {
    (exchange.verdict, exchange.status, exchange.doubt)
}

fn ms(span: Option<meshsniff::time::Span>) -> f64 {
    span.expect("a gap").as_millis()
}

#[test]
fn a_good_exchange() {
    let mut talk = Talk::opened("a_good_exchange");
    talk.say(Client, GET)
        .ack(Server)
        .wait(3.0)
        .say(Server, OK)
        .ack(Client);
    let exchange = talk.exchange();
    assert_eq!(verdict(&exchange), (Verdict::Ok, Some(200), None));
    assert_eq!(
        exchange.events.request_acked.map(|(_, with)| with),
        Some(AckWith::Bare)
    );
    assert_eq!(ms(exchange.gaps.request_to_ack), 0.02);
    assert_eq!(ms(exchange.gaps.request_to_response), 3.04);
    assert_eq!(ms(exchange.gaps.response_to_ack), 0.02);
    assert_eq!(exchange.request_bytes, GET.len() as u64);
    assert_eq!(exchange.response_bytes, OK.len() as u64);
}

/// The tutorial's case: request, ACK, FIN at the timeout, an answer too late, RST.
fn gave_up(name: &'static str) -> Talk {
    let mut talk = Talk::opened(name);
    talk.say(Client, GET)
        .ack(Server)
        .wait(501.66)
        .fin(Client)
        .ack(Server);
    talk.wait(1_500.0).say(Server, OK).bare_rst(Client);
    talk
}

#[test]
fn the_client_gave_up_and_the_answer_came_late() {
    let exchange = gave_up("gave_up").exchange();
    assert_eq!(verdict(&exchange), (Verdict::ClientGaveUp, None, None));
    assert_eq!(exchange.late_status, Some(200));
    assert_eq!(ms(exchange.gaps.request_to_client_close), 501.7);
    assert_eq!(ms(exchange.gaps.ack_to_client_close), 501.68);
    assert_eq!(ms(exchange.gaps.client_close_to_late_response), 1_500.04);
    assert_eq!(exchange.timeout_guess.map(|t| t.as_millis()), Some(500.0));
    assert_eq!(exchange.envoy.client, ["DC"]);
    assert_eq!(exchange.envoy.client_downstream, ["UT", "DC"]);
    assert!(exchange.finding(FindingKind::LateResponse).is_some());
    assert_eq!(exchange.response_bytes, 0);
}

#[test]
fn an_answer_seen_just_before_the_fin_is_late_too_if_the_client_never_took_it() {
    let mut talk = Talk::opened("crossing_answer");
    talk.say(Client, GET)
        .ack(Server)
        .wait(500.0)
        .say(Server, OK);
    talk.unaware(Client, FIN.with(ACK), b"").bare_rst(Client);
    let exchange = talk.exchange();
    assert_eq!(verdict(&exchange), (Verdict::ClientGaveUp, None, None));
    assert_eq!(exchange.late_status, Some(200));
}

#[test]
fn an_announced_timeout_names_the_proxy() {
    let mut talk = Talk::opened("announced");
    talk.say(
        Client,
        b"GET / HTTP/1.1\r\nx-envoy-expected-rq-timeout-ms: 500\r\n\r\n",
    );
    talk.ack(Server)
        .wait(498.0)
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    let exchange = talk.exchange();
    assert_eq!(verdict(&exchange), (Verdict::ClientGaveUp, None, None));
    assert_eq!(exchange.envoy.client, ["UT"]);
    assert_eq!(exchange.envoy.server, ["DC"]);
    assert_eq!(exchange.timeout_guess, None);
}

#[test]
fn istios_sidecar_calls_an_app_and_no_proxy() {
    let mut talk = Talk::new("istio_inbound");
    talk.client_addr([127, 0, 0, 6], 48_764).open();
    talk.say(Client, GET)
        .ack(Server)
        .wait(497.0)
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    let exchange = talk.exchange();
    assert!(exchange.envoy.server.is_empty());
    assert_eq!(exchange.envoy.client_downstream, ["UT", "DC"]);
}

#[test]
fn a_half_close_is_no_give_up() {
    let mut talk = Talk::opened("half_close");
    talk.say(Client, GET)
        .fin(Client)
        .ack(Server)
        .wait(80.0)
        .say(Server, OK)
        .ack(Client);
    talk.fin(Server).ack(Client);
    let exchange = talk.exchange();
    assert_eq!(verdict(&exchange), (Verdict::Ok, Some(200), None));
    assert!(exchange.half_closed);
    assert!(exchange.events.client_fin.is_some());
    assert_eq!(exchange.gaps.request_to_client_close, None);
}

#[test]
fn a_fin_on_the_request_itself() {
    let mut talk = Talk::opened("fin_with_data");
    talk.packet(Client, FIN.with(ACK), GET)
        .ack(Server)
        .say(Server, OK)
        .ack(Client)
        .fin(Server)
        .ack(Client);
    assert_eq!(verdict(&talk.exchange()), (Verdict::Ok, Some(200), None));
}

#[test]
fn a_fin_that_is_repeated_counts_once() {
    let mut talk = Talk::opened("fin_repeated");
    talk.say(Client, GET)
        .ack(Server)
        .wait(300.0)
        .fin(Client)
        .wait(200.0)
        .again()
        .ack(Server)
        .fin(Server)
        .ack(Client);
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict, Verdict::ClientGaveUp);
    assert_eq!(ms(exchange.gaps.request_to_client_close), 300.04);
    assert_eq!(talk.seen().connections[0].retransmissions, 1);
}

#[test]
fn a_fin_that_overtakes_the_request() {
    let mut talk = Talk::opened("early_fin");
    let seq = talk.next_seq(Client);
    talk.uncaptured(Client, GET.len() as u32)
        .packet(Client, FIN.with(ACK), b"");
    let ack = talk.next_seq(Server);
    talk.raw(Client, ACK, seq, ack, GET)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict, Verdict::ClientGaveUp);
    assert_eq!(exchange.path.as_deref(), Some("/items"));
    assert_eq!(
        exchange.gaps.request_to_client_close, None,
        "it would be negative"
    );
}

#[test]
fn closes_by_the_client_at_each_phase() {
    let mut talk = Talk::opened("abort_in_head");
    talk.say(Client, &GET[..25])
        .ack(Server)
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    let exchange = talk.exchange();
    assert_eq!(
        verdict(&exchange),
        (Verdict::ClientAbortedRequest, None, None)
    );
    assert_eq!(exchange.path.as_deref(), Some("/items"));

    let mut talk = Talk::opened("abort_in_body");
    talk.say(
        Client,
        b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345",
    )
    .ack(Server)
    .rst(Client);
    assert_eq!(
        verdict(&talk.exchange()),
        (Verdict::ClientAbortedRequest, None, None)
    );

    let mut talk = Talk::opened("gave_up_mid_response");
    talk.say(Client, GET)
        .say(Server, &OK[..40])
        .ack(Client)
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    // The server's FIN comes later: the client's decides.
    let exchange = talk.exchange();
    assert_eq!(
        verdict(&exchange),
        (Verdict::ClientGaveUpMidResponse, Some(200), None)
    );
    assert_eq!(exchange.events.response_end, None);
    assert_eq!(exchange.response_bytes, 40);

    let mut talk = Talk::opened("client_rst_mid_response");
    talk.say(Client, GET).say(Server, &OK[..40]).rst(Client);
    assert_eq!(
        verdict(&talk.exchange()),
        (Verdict::ClientGaveUpMidResponse, Some(200), None)
    );
}

#[test]
fn closes_by_the_server_at_each_phase() {
    let mut talk = Talk::opened("server_closed");
    talk.say(Client, GET)
        .ack(Server)
        .fin(Server)
        .ack(Client)
        .fin(Client)
        .ack(Server);
    let exchange = talk.exchange();
    assert_eq!(
        verdict(&exchange),
        (Verdict::ServerClosedUnanswered, None, None)
    );
    assert_eq!(exchange.envoy.client, ["UC"]);
    assert_eq!(ms(exchange.gaps.request_to_server_close), 0.04);

    let mut talk = Talk::opened("server_reset");
    talk.say(Client, GET).ack(Server).rst(Server);
    assert_eq!(
        verdict(&talk.exchange()),
        (Verdict::ServerResetUnanswered, None, None)
    );

    let mut talk = Talk::opened("server_closed_inside_request");
    talk.say(Client, &GET[..25])
        .fin(Server)
        .ack(Client)
        .fin(Client)
        .ack(Server);
    assert_eq!(
        verdict(&talk.exchange()),
        (Verdict::ServerClosedUnanswered, None, None)
    );

    let mut talk = Talk::opened("truncated_length");
    talk.say(Client, GET)
        .say(Server, &OK[..40])
        .fin(Server)
        .ack(Client)
        .fin(Client)
        .ack(Server);
    let exchange = talk.exchange();
    assert_eq!(
        verdict(&exchange),
        (Verdict::ServerTruncatedResponse, Some(200), None)
    );
    assert_eq!(exchange.envoy.client, ["UC", "UPE"]);

    let mut talk = Talk::opened("truncated_chunked");
    talk.say(Client, GET).say(
        Server,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    );
    talk.fin(Server).ack(Client).fin(Client).ack(Server);
    let exchange = talk.exchange();
    assert_eq!(
        verdict(&exchange),
        (Verdict::ServerTruncatedResponse, Some(200), None)
    );
    assert_eq!(exchange.envoy.client, ["UPE"]);

    let mut talk = Talk::opened("truncated_by_rst");
    talk.say(Client, GET)
        .say(Server, &OK[..40])
        .ack(Client)
        .rst(Server);
    let exchange = talk.exchange();
    assert_eq!(
        verdict(&exchange),
        (Verdict::ServerTruncatedResponse, Some(200), None)
    );
    assert_eq!(exchange.envoy.client, ["UC"]);

    let mut talk = Talk::opened("until_close_by_rst");
    talk.say(Client, GET)
        .say(Server, b"HTTP/1.0 200 OK\r\n\r\nhello")
        .ack(Client)
        .rst(Server);
    assert_eq!(talk.exchange().verdict, Verdict::ServerTruncatedResponse);
}

#[test]
fn until_close_ends_with_its_last_byte() {
    let mut talk = Talk::opened("until_close");
    talk.say(Client, GET)
        .say(Server, b"HTTP/1.0 200 OK\r\n\r\nhello")
        .ack(Client)
        .wait(70.0);
    talk.fin(Server).ack(Client).fin(Client).ack(Server);
    let exchange = talk.exchange();
    assert_eq!(verdict(&exchange), (Verdict::Ok, Some(200), None));
    assert_eq!(exchange.events.response_end, exchange.events.response_start);
    let connection = &talk.seen().connections[0];
    assert_eq!(connection.close.map(|close| close.by), Some(Side::Server));
    assert_eq!(connection.idle.map(|idle| idle.as_millis()), Some(70.04));
}

#[test]
fn bytes_that_are_no_http() {
    let mut talk = Talk::opened("garbage");
    talk.say(Client, GET)
        .say(Server, b"-ERR unknown command\r\n")
        .ack(Client)
        .fin(Server)
        .ack(Client);
    let exchange = talk.exchange();
    assert_eq!(
        verdict(&exchange),
        (Verdict::ServerTruncatedResponse, None, None)
    );
    assert_eq!(exchange.envoy.client, ["UPE"]);
}

#[test]
fn a_close_after_the_answer_belongs_to_the_connection() {
    let mut talk = Talk::opened("close_after");
    talk.say(Client, GET)
        .say(Server, OK)
        .ack(Client)
        .wait(5.0)
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    let exchange = talk.exchange();
    assert_eq!(verdict(&exchange), (Verdict::Ok, Some(200), None));
    assert_eq!(exchange.client_close(), None);
    let connection = &talk.seen().connections[0];
    assert_eq!(
        connection.close.map(|close| (close.by, close.reset)),
        Some((Side::Client, false))
    );
}

#[test]
fn keep_alive_race() {
    let mut talk = Talk::opened("keep_alive_race");
    talk.say(Client, GET)
        .say(Server, OK)
        .ack(Client)
        .wait(5_000.0);
    talk.fin(Server).unaware(Client, ACK, GET).bare_rst(Server);
    let seen = talk.seen();
    let raced = &seen.exchanges[1];
    assert_eq!(
        verdict(raced),
        (Verdict::ServerClosedUnanswered, None, None)
    );
    assert!(raced.finding(FindingKind::KeepaliveRace).is_some());
    assert!(raced.events.server_fin.is_some());
    assert_eq!(raced.gaps.request_to_server_close, None);
    assert_eq!(raced.envoy.client, ["UC"]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut talk = Talk::opened("pipelining");
    talk.say(
        Client,
        &[GET, b"HEAD /2 HTTP/1.1\r\n\r\n", b"GET /3 HTTP/1.1\r\n\r\n"].concat(),
    );
    talk.say(Server, OK)
        .say(Server, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    talk.say(Server, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        .ack(Client);
    let seen = talk.seen();
    let statuses: Vec<_> = seen
        .exchanges
        .iter()
        .map(|x| (x.path.as_deref(), x.status))
        .collect();
    assert_eq!(
        statuses,
        [
            (Some("/items"), Some(200)),
            (Some("/2"), Some(200)),
            (Some("/3"), Some(404))
        ]
    );
    assert_eq!(ms(seen.exchanges[2].gaps.after_previous), 0.02);
    assert!(seen.exchanges.iter().all(|x| x.doubt.is_none()));
}

#[test]
fn an_interim_response_is_no_answer() {
    let mut talk = Talk::opened("interim");
    talk.say(
        Client,
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
    );
    talk.say(Server, b"HTTP/1.1 100 Continue\r\n\r\n")
        .say(Client, b"hi")
        .ack(Server)
        .wait(10.0)
        .fin(Client);
    talk.ack(Server).fin(Server).ack(Client);
    let exchange = talk.exchange();
    assert_eq!(verdict(&exchange), (Verdict::ClientGaveUp, None, None));
    assert_eq!(exchange.events.interim.len(), 1);
}

#[test]
fn an_early_answer_has_a_negative_gap() {
    let mut talk = Talk::opened("early_answer");
    talk.say(Client, b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab")
        .wait(5.0);
    talk.say(Server, b"HTTP/1.1 413 Big\r\nContent-Length: 0\r\n\r\n")
        .wait(5.0)
        .say(Client, b"cd")
        .ack(Server);
    let exchange = talk.exchange();
    assert_eq!(verdict(&exchange), (Verdict::Ok, Some(413), None));
    assert!(ms(exchange.gaps.request_to_response) < 0.0);
}

#[test]
fn upgrades_and_tunnels() {
    let mut talk = Talk::opened("upgrade");
    talk.say(
        Client,
        b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    );
    talk.say(
        Server,
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x01a",
    )
    .ack(Client);
    talk.say(Client, b"\x81\x81....x")
        .say(Server, b"GET / HTTP/1.1\r\n\r\n")
        .rst(Client);
    assert_eq!(
        verdict(&talk.exchange()),
        (Verdict::Upgraded, Some(101), None)
    );

    let mut talk = Talk::opened("connect");
    talk.say(Client, b"CONNECT a:443 HTTP/1.1\r\n\r\n")
        .say(Server, b"HTTP/1.1 200 OK\r\n\r\n");
    talk.say(Client, b"GET /inner HTTP/1.1\r\n\r\n")
        .say(Server, OK)
        .ack(Client);
    assert_eq!(
        verdict(&talk.exchange()),
        (Verdict::Upgraded, Some(200), None)
    );

    let mut talk = Talk::opened("connect_refused_by_proxy");
    talk.say(Client, b"CONNECT a:443 HTTP/1.1\r\n\r\n");
    talk.say(Server, b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        .say(Client, GET)
        .say(Server, OK)
        .ack(Client);
    let seen = talk.seen();
    assert_eq!(verdict(&seen.exchanges[0]), (Verdict::Ok, Some(403), None));
    assert_eq!(verdict(&seen.exchanges[1]), (Verdict::Ok, Some(200), None));
}

#[test]
fn connects_that_fail() {
    let mut talk = Talk::new("refused");
    talk.packet(Client, SYN, b"").rst(Server);
    let seen = talk.seen();
    assert!(seen.exchanges.is_empty());
    assert_eq!(seen.connections[0].verdict, Some(Verdict::ConnectRefused));
    assert_eq!(seen.connections[0].envoy.client, ["UF", "URX,UF"]);

    let mut talk = Talk::new("connect_timeout");
    talk.packet(Client, SYN, b"")
        .wait(1_000.0)
        .again()
        .wait(2_000.0)
        .again();
    let connection = &talk.seen().connections[0];
    assert_eq!(
        (connection.verdict, connection.syn_retries),
        (Some(Verdict::ConnectTimeout), 2)
    );

    let mut talk = Talk::new("one_syn");
    talk.packet(Client, SYN, b"");
    assert_eq!(talk.seen().connections[0].verdict, None);
}

#[test]
fn a_syn_that_had_to_be_repeated() {
    let mut talk = Talk::new("syn_retry");
    talk.packet(Client, SYN, b"").wait(1_000.0).again();
    talk.packet(Server, SYN.with(ACK), b"")
        .ack(Client)
        .say(Client, GET)
        .say(Server, OK)
        .ack(Client);
    let seen = talk.seen();
    let finding = seen.exchanges[0]
        .finding(FindingKind::SynRetry)
        .expect("finding");
    assert_eq!(finding.cost.as_millis(), 1_000.02);
    assert_eq!(seen.connections[0].syn_retries, 1);
    assert_eq!(seen.connections[0].retransmissions, 1);
    assert_eq!(seen.connections[0].verdict, None);
}

#[test]
fn a_port_used_again_is_another_connection() {
    let mut talk = Talk::opened("reuse");
    talk.say(Client, GET).say(Server, OK).ack(Client).wait(1.0);
    talk.uncaptured(Client, 77_777)
        .uncaptured(Server, 99_999)
        .open();
    talk.say(Client, GET).say(Server, OK).ack(Client);
    let seen = talk.seen();
    assert_eq!(seen.connections.len(), 2);
    assert_eq!(seen.exchanges.len(), 2);
    assert!(
        seen.exchanges
            .iter()
            .all(|x| verdict(x) == (Verdict::Ok, Some(200), None))
    );
}

#[test]
fn retransmission_is_a_finding_until_it_is_acknowledged() {
    let mut talk = Talk::opened("retransmission");
    talk.say(Client, GET)
        .wait(200.0)
        .again()
        .ack(Server)
        .say(Server, OK)
        .ack(Client);
    let exchange = talk.exchange();
    let finding = exchange
        .finding(FindingKind::Retransmission)
        .expect("finding");
    assert_eq!(finding.cost.as_millis(), 200.04);
    assert_eq!(
        ms(exchange.gaps.request_to_ack),
        200.04,
        "the first sighting counts"
    );

    let mut talk = Talk::opened("spurious");
    let seq = talk.next_seq(Client);
    talk.say(Client, GET).ack(Server);
    let ack = talk.next_seq(Server);
    talk.raw(Client, ACK, seq, ack, GET)
        .say(Server, OK)
        .ack(Client);
    assert!(talk.exchange().findings.is_empty());
    assert_eq!(talk.seen().connections[0].retransmissions, 1);
}

#[test]
fn a_packet_seen_twice_is_no_retransmission() {
    let mut talk = Talk::opened("seen_twice");
    talk.say(Client, GET)
        .on_another_interface()
        .ack(Server)
        .on_another_interface();
    talk.say(Server, OK)
        .on_another_interface()
        .ack(Client)
        .on_another_interface();
    let seen = talk.seen();
    assert_eq!(seen.exchanges.len(), 1);
    assert!(seen.exchanges[0].findings.is_empty());
    assert_eq!(seen.connections[0].retransmissions, 0);
    assert_eq!(seen.totals.duplicate_frames, 4);
}

#[test]
fn keep_alives_and_window_probes_are_no_data() {
    let mut talk = Talk::opened("keep_alive");
    talk.say(Client, GET).ack(Server);
    let (seq, ack) = (talk.next_seq(Client).wrapping_sub(1), talk.next_seq(Server));
    talk.wait(15_000.0)
        .raw(Client, ACK, seq, ack, b"")
        .ack(Server);
    talk.wait(15_000.0)
        .raw(Client, ACK, seq, ack, b"\n")
        .ack(Server)
        .say(Server, OK)
        .ack(Client);
    let seen = talk.seen();
    assert_eq!(verdict(&seen.exchanges[0]), (Verdict::Ok, Some(200), None));
    assert_eq!(seen.connections[0].retransmissions, 0);

    let body = b"POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc";
    let mut talk = Talk::opened("window_probe");
    talk.say(Client, body).window(Server, 0).ack(Server);
    let (seq, ack) = (talk.next_seq(Client), talk.next_seq(Server));
    talk.wait(200.0)
        .raw(Client, ACK, seq, ack, b"d")
        .ack(Server);
    talk.wait(400.0)
        .raw(Client, ACK, seq, ack, b"d")
        .ack(Server);
    talk.wait(400.0)
        .window(Server, 64_000)
        .ack(Server)
        .say(Client, b"def")
        .ack(Server)
        .say(Server, OK)
        .ack(Client);
    let seen = talk.seen();
    let exchange = &seen.exchanges[0];
    assert_eq!(verdict(exchange), (Verdict::Ok, Some(200), None));
    assert_eq!(seen.connections[0].retransmissions, 0);
    let finding = exchange.finding(FindingKind::ZeroWindow).expect("finding");
    assert_eq!(finding.cost.as_millis(), 1_000.1);
}

#[test]
fn nagle_waiting_for_a_delayed_ack() {
    let mut talk = Talk::opened("stall");
    talk.say(Client, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
        .wait(40.0)
        .ack(Server);
    talk.say(Client, b"hi").say(Server, OK).ack(Client);
    // The largest segment seen is the measure without an MSS; a larger one makes these small.
    let mut small = Talk::opened("stall_small");
    let big = [
        b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n".to_vec(),
        vec![b'x'; 1000],
    ]
    .concat();
    small.say(Client, &big).say(Server, OK).ack(Client);
    small
        .say(Client, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
        .wait(40.0)
        .ack(Server);
    small.say(Client, b"hi").say(Server, OK).ack(Client);
    let seen = small.seen();
    let finding = seen.exchanges[1]
        .finding(FindingKind::DelayedAckStall)
        .expect("finding");
    assert_eq!(finding.cost.as_millis(), 40.02);
    assert!(talk.exchange().findings.is_empty());
}

#[test]
fn a_slow_request_body() {
    let mut talk = Talk::opened("slow_body");
    talk.say(Client, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nh")
        .ack(Server)
        .wait(1_500.0);
    talk.say(Client, b"i").say(Server, OK).ack(Client);
    assert!(
        talk.exchange()
            .finding(FindingKind::SlowRequestBody)
            .is_some()
    );
}

#[test]
fn a_response_without_its_request_is_nobodys() {
    let mut talk = Talk::opened("orphan");
    talk.uncaptured(Client, 37)
        .say(Server, OK)
        .ack(Client)
        .wait(9.0);
    talk.say(Client, GET)
        .ack(Server)
        .wait(9.0)
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    let seen = talk.seen();
    assert_eq!(seen.exchanges.len(), 1);
    assert_eq!(
        verdict(&seen.exchanges[0]),
        (Verdict::ClientGaveUp, None, None)
    );
    assert_eq!(seen.connections[0].orphan_responses, 1);
}

#[test]
fn an_answer_that_the_capture_lacks_is_never_missing() {
    let mut talk = Talk::opened("unreadable");
    talk.say(Client, GET)
        .ack(Server)
        .uncaptured(Server, OK.len() as u32)
        .wait(3.0)
        .ack(Client);
    talk.wait(500.0)
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    let exchange = talk.exchange();
    assert_eq!(
        verdict(&exchange),
        (Verdict::Ok, None, Some(Doubt::SequenceHole))
    );
    assert_eq!(exchange.good(), None);
}

#[test]
fn a_capture_of_one_direction_only() {
    let mut talk = Talk::opened("one_sided");
    talk.say(Client, GET)
        .ack(Server)
        .say(Server, OK)
        .ack(Client)
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    let client_only: Vec<_> = talk
        .packets()
        .iter()
        .filter(|p| p.data[26..30] == [10, 0, 0, 1])
        .collect();
    let seen = analyse(client_only);
    assert_eq!(
        verdict(&seen.exchanges[0]),
        (Verdict::Ok, None, Some(Doubt::OneSided))
    );
    let server_only: Vec<_> = talk
        .packets()
        .iter()
        .filter(|p| p.data[26..30] == [10, 0, 0, 2])
        .collect();
    assert!(analyse(server_only).exchanges.is_empty());
}

#[test]
fn a_capture_that_starts_in_the_middle() {
    let mut talk = Talk::opened("mid_stream");
    for _ in 0..3 {
        talk.say(Client, GET)
            .ack(Server)
            .say(Server, OK)
            .ack(Client)
            .wait(5.0);
    }
    let seen = analyse(&talk.packets()[7..]);
    let doubts: Vec<_> = seen.exchanges.iter().map(verdict).collect();
    assert_eq!(
        doubts,
        [
            (Verdict::Ok, Some(200), Some(Doubt::CaptureStartedLate)),
            (Verdict::Ok, Some(200), None)
        ]
    );

    let mut talk = gave_up("mid_stream_gave_up");
    talk.wait(0.0);
    let seen = analyse(&talk.packets()[3..]);
    assert_eq!(
        verdict(&seen.exchanges[0]),
        (Verdict::ClientGaveUp, None, None)
    );
}

#[test]
fn a_snap_length_cuts_heads() {
    let mut talk = Talk::opened("snaplen");
    for _ in 0..2 {
        talk.say(Client, GET)
            .ack(Server)
            .wait(2.0)
            .say(Server, OK)
            .ack(Client)
            .wait(5.0);
    }
    talk.say(Client, GET)
        .ack(Server)
        .wait(500.0)
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .ack(Client);
    talk.snap(14 + 20 + 20 + 24);
    let seen = talk.seen();
    let all: Vec<_> = seen.exchanges.iter().map(verdict).collect();
    assert_eq!(
        all,
        [
            (Verdict::Ok, Some(200), Some(Doubt::Snaplen)),
            (Verdict::Ok, Some(200), Some(Doubt::Snaplen)),
            (Verdict::ClientGaveUp, None, Some(Doubt::Snaplen))
        ]
    );
    for exchange in &seen.exchanges {
        assert_eq!(exchange.path.as_deref(), Some("/items"));
    }
    assert_eq!(ms(seen.exchanges[0].gaps.request_to_response), 2.04);
    assert!(seen.exchanges[0].events.response_end.is_some());
}

#[test]
fn requests_hidden_in_cut_bytes_are_not_invented() {
    let mut talk = Talk::opened("hidden");
    talk.say(Client, &[GET, GET, GET].concat())
        .ack(Server)
        .say(Server, &[OK, OK, OK].concat())
        .ack(Client);
    talk.wait(4.0)
        .say(Client, GET)
        .ack(Server)
        .say(Server, OK)
        .ack(Client);
    talk.snap(14 + 20 + 20 + 24);
    let seen = talk.seen();
    assert_eq!(seen.exchanges.len(), 2);
    assert!(seen.connections[0].hidden_bytes > 0);
}

#[test]
fn a_bare_rst_proves_nothing_of_who_closed_first() {
    let mut talk = Talk::opened("bare_rst");
    talk.say(Client, GET)
        .ack(Server)
        .say(Server, OK)
        .bare_rst(Client);
    assert!(talk.exchange().doubt.is_some());

    let mut talk = Talk::opened("bare_server_rst");
    talk.say(Client, GET).packet(Server, RST, b"");
    assert!(talk.exchange().doubt.is_some());
}

#[test]
fn the_capture_ends_first() {
    let mut talk = Talk::opened("capture_ended");
    talk.say(Client, GET).ack(Server);
    assert_eq!(
        verdict(&talk.exchange()),
        (Verdict::Unanswered, None, Some(Doubt::CaptureEnded))
    );
}

#[test]
fn http2_and_tls_make_no_exchanges() {
    let mut talk = Talk::opened("http2");
    talk.say(
        Client,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    )
    .ack(Server)
    .fin(Client);
    let seen = talk.seen();
    assert!(seen.exchanges.is_empty());
    assert_eq!(
        (seen.totals.http2_connections, seen.totals.other_connections),
        (1, 0)
    );

    let mut talk = Talk::opened("tls");
    talk.say(Client, &[22, 3, 1, 0, 200, 1, 0, 0])
        .say(Server, &[22, 3, 3, 0, 90, 2, 0, 0])
        .rst(Client);
    let seen = talk.seen();
    assert!(seen.exchanges.is_empty());
    assert_eq!(seen.totals.encrypted_connections, 1);
}

#[test]
fn the_kubelets_probes_are_marked() {
    let mut talk = Talk::opened("probe");
    talk.say(
        Client,
        b"GET /healthz HTTP/1.1\r\nUser-Agent: kube-probe/1.36\r\n\r\n",
    )
    .say(Server, OK)
    .ack(Client);
    assert!(talk.exchange().probe);
    let mut talk = Talk::new("probe_port");
    talk.server_port(15021)
        .open()
        .say(Client, GET)
        .say(Server, OK)
        .ack(Client);
    assert!(talk.exchange().probe);
}
