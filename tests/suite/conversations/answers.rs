//! Answers: how many, of which kind, and to what.

use super::{GET, OK, ms, verdict};
use meshsniff::exchange::Verdict;
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::Talk;

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
        (Verdict::ServerInvalidResponse, None, None)
    );
    assert_eq!(exchange.envoy.client, ["UPE"]);
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
