//! Connections that open late, twice or not at all.

use super::{GET, OK, verdict};
use meshsniff::exchange::{FindingKind, Verdict};
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::{ACK, SYN, Talk};

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
