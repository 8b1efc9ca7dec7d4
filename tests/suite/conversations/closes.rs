//! Closes by either side, in every phase of an exchange.

use super::{GET, OK, ms, verdict};
use meshsniff::exchange::{FindingKind, Side, Verdict};
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::{ACK, RST, Talk};

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
    assert_eq!(exchange.envoy.client, ["UC", "UPE"]);

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
