//! A client that gives up, and what only looks like it.

use super::{GET, OK, gave_up, ms, verdict};
use meshsniff::exchange::{AckWith, FindingKind, Verdict};
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::{ACK, FIN, Talk};

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
