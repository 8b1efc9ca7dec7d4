//! SYNs, who is the client, and connections that never opened.

use super::talk::{
    ACK,
    End::{Client, Server},
    FIN, RST, SYN, Talk,
};
use super::{BODY, CERTAIN, EMPTY, GET, doubtful};
use crate::exchange::model::{
    Doubt::SequenceHole,
    FindingKind::{PortReuse, SynRetry},
    Protocol,
    Verdict::*,
};
use crate::time::Span;

fn millis(span: Option<Span>) -> Option<i64> {
    span.map(|span| span.as_nanos() / 1_000_000)
}

fn asked_and_answered(talk: Talk) -> Talk {
    talk.say(Client, GET).say(Server, EMPTY).ack(Client)
}

#[test]
fn a_handshake_lasts_from_the_first_syn_to_the_clients_ack() {
    let connection = Talk::new()
        .syn(Client)
        .after(20.0)
        .syn_ack()
        .after(3.0)
        .ack(Client)
        .connection();
    assert_eq!(millis(connection.syn_to_synack), Some(20));
    assert_eq!(millis(connection.handshake), Some(23));
    assert_eq!(connection.syn.map(|mark| mark.frame.number()), Some(1));
    assert_eq!(connection.syn_retries, 0);
    assert_eq!(connection.verdict, None);
    assert!(!connection.role_guessed);
    assert_eq!(connection.protocol, Protocol::None);
}

#[test]
fn a_repeated_syn_ack_moves_no_handshake() {
    let talk = Talk::new().syn(Client).syn_ack();
    let again = talk.after(1000.0).back(1).send(Server, SYN.with(ACK), b"");
    let connection = again.ack(Client).connection();
    assert_eq!(millis(connection.syn_to_synack), Some(1));
    assert_eq!(connection.retransmissions, 1);
}

#[test]
fn a_repeated_syn_is_a_finding_of_the_first_exchange() {
    let talk = Talk::new()
        .syn(Client)
        .after(1000.0)
        .back(1)
        .syn(Client)
        .after(2000.0)
        .back(1)
        .syn(Client)
        .syn_ack()
        .ack(Client);
    let seen = asked_and_answered(asked_and_answered(talk)).seen();
    assert_eq!(seen.exchanges[0].findings(), [(SynRetry, vec![1, 3], 3000)]);
    assert_eq!(seen.exchanges[1].findings(), []);
    let connection = &seen.connections[0];
    assert_eq!(connection.syn_retries, 2);
    assert_eq!(connection.retransmissions, 2);
    assert_eq!(millis(connection.syn_to_synack), Some(3001));
}

#[test]
fn a_connection_seen_from_its_synack_on_has_no_handshake_time() {
    let talk = Talk::new().missing().syn(Client).syn_ack().ack(Client);
    let connection = asked_and_answered(talk).connection();
    assert_eq!(connection.client.port, 40_000);
    assert_eq!(connection.handshake, None);
    assert_eq!(connection.syn_to_synack, None);
    assert!(!connection.role_guessed);
}

// Who is the client.

#[test]
fn the_sender_of_the_syn_is_the_client_whatever_its_port() {
    let connection = Talk::opened().client_port(80).connection();
    assert_eq!(connection.client.port, 40_000, "the port of its SYN");
    let low = Talk::new().client_port(80).syn(Client).syn_ack();
    assert_eq!(low.connection().client.port, 80);
    let synack_only = Talk::new().client_port(80).missing().syn(Client).syn_ack();
    assert_eq!(synack_only.connection().client.port, 80);
}

#[test]
fn of_a_connection_joined_late_the_higher_port_is_the_clients() {
    for talk in [Talk::joined().ack(Client), Talk::joined().ack(Server)] {
        let connection = talk.connection();
        assert_eq!(connection.client.port, 40_000);
        assert!(connection.role_guessed);
    }
}

#[test]
fn of_a_connection_joined_late_whoever_asks_is_the_client() {
    let talk = Talk::joined().client_port(80);
    let seen = asked_and_answered(talk).seen();
    assert_eq!(seen.connections[0].client.port, 80);
    assert!(!seen.connections[0].role_guessed);
    assert_eq!(seen.exchanges.len(), 1);
    assert_eq!(seen.exchanges[0].statuses(), (Some(200), None));
}

#[test]
fn of_a_connection_joined_late_whoever_answers_is_the_server() {
    let answered = Talk::joined().client_port(80).say(Server, EMPTY);
    let seen = asked_and_answered(answered.ack(Client)).seen();
    assert_eq!(seen.connections[0].client.port, 80);
    assert_eq!(seen.connections[0].orphan_responses, 1);
    assert_eq!(seen.exchanges.len(), 1);
}

#[test]
fn only_the_beginning_of_a_segment_tells_who_is_the_client() {
    let talk = Talk::joined().client_port(80).say(Client, b"\0\0\0");
    let request_inside = talk.back(2).say(Client, [b"\0\0", GET].concat());
    let connection = request_inside.connection();
    assert!(connection.role_guessed);
    assert_eq!(connection.client.port, 8080);
}

#[test]
fn a_side_spoke_if_it_sent_more_than_a_keep_alive() {
    let protocol = |talk: Talk| talk.connection().protocol;
    let joined = Talk::joined;
    assert_eq!(protocol(joined().say(Client, b"\0")), Protocol::None);
    assert_eq!(protocol(joined().say(Client, b"\0\0")), Protocol::Unknown);
    let with_fin = joined().send(Client, FIN.with(ACK), b"\0");
    assert_eq!(protocol(with_fin), Protocol::Unknown);
    let uncaptured = joined().cut_to(0).say(Client, BODY);
    assert_eq!(protocol(uncaptured), Protocol::Unknown);
}

#[test]
fn roles_once_known_are_not_swapped() {
    let talk = asked_and_answered(Talk::opened());
    let connection = talk.say(Server, GET).connection();
    assert_eq!(connection.client.port, 40_000);
}

// Connections that never opened.

#[test]
fn a_reset_that_answers_the_syn_refuses_the_connection() {
    let connection = Talk::new().syn(Client).rst(Server).connection();
    assert_eq!(connection.verdict, Some(ConnectRefused));
    assert_eq!(connection.envoy.client, ["UF", "URX,UF"]);
}

#[test]
fn a_reset_that_does_not_answer_the_syn_refuses_nothing() {
    let another = Talk::new().syn(Client).all_but(7).rst(Server);
    assert_eq!(another.connection().verdict, None);
    let bare = Talk::new().syn(Client).bare_rst(Server);
    assert_eq!(bare.connection().verdict, None);
    let own = Talk::new().syn(Client).rst(Client);
    assert_eq!(own.connection().verdict, None);
    let after_the_synack = Talk::new().syn(Client).syn_ack().rst(Server);
    assert_eq!(after_the_synack.connection().verdict, None);
}

#[test]
fn a_connection_that_opens_after_a_reset_was_not_refused() {
    let opening = || {
        let refused = Talk::new().syn(Client).rst(Server).after(100.0);
        refused.back(1).syn(Client).syn_ack()
    };
    assert_eq!(opening().connection().verdict, None);
    let seen = asked_and_answered(opening().ack(Client)).seen();
    assert_eq!(seen.connections[0].verdict, None);
    assert_eq!(seen.connections[0].close, None);
    assert_eq!(seen.exchanges[0].verdict(), (Ok, CERTAIN));
}

#[test]
fn a_client_that_opens_after_a_reset_of_its_own_has_not_reset_the_connection() {
    let talk = Talk::new().syn(Client).bare_rst(Client).after(100.0);
    let talk = talk.back(1).syn(Client).syn_ack().ack(Client);
    let seen = asked_and_answered(talk).seen();
    assert_eq!(seen.connections[0].close, None);
    assert_eq!(seen.exchanges[0].verdict(), (Ok, CERTAIN));
    assert_eq!(seen.exchanges[0].closes(), [None; 4]);
}

#[test]
fn a_repeated_synack_undoes_no_reset() {
    let talk = Talk::opened().say(Client, GET).ack(Server).rst(Server);
    let again = talk.back(1).send(Server, SYN.with(ACK), b"");
    let exchange = again.exchange();
    assert_eq!(exchange.verdict(), (ServerResetUnanswered, CERTAIN));
}

#[test]
fn two_syns_and_a_second_without_an_answer_are_a_connect_timeout() {
    let twice = |millis: f64| {
        let talk = Talk::new().syn(Client).after(millis).back(1).syn(Client);
        talk.connection().verdict
    };
    assert_eq!(twice(1000.0), Some(ConnectTimeout));
    assert_eq!(twice(999.0), None);
}

#[test]
fn one_syn_without_an_answer_is_no_connect_timeout() {
    // Another connection's packet says that the capture went on for two seconds.
    let talk = Talk::new().syn(Client).client_port(50_000);
    let seen = talk.after(2000.0).syn(Client).seen();
    assert_eq!(seen.connections.len(), 2);
    assert_eq!(seen.connections[0].verdict, None);
}

#[test]
fn syns_to_a_server_that_said_anything_at_all_are_no_connect_timeout() {
    let talk = Talk::new().syn(Client).after(1000.0).back(1).syn(Client);
    assert_eq!(talk.ack(Server).connection().verdict, None);
}

#[test]
fn a_connection_whose_synack_the_capture_lacks_opened_all_the_same() {
    let talk = Talk::new().syn(Client).after(1000.0).back(1).syn(Client);
    let talk = talk.missing().syn_ack().ack(Client);
    assert_eq!(talk.connection().verdict, None);
}

#[test]
fn data_in_a_syn_that_was_reset_is_a_request_that_may_have_had_an_answer() {
    let seen = Talk::new().send(Client, SYN, GET).rst(Server).seen();
    assert_eq!(seen.connections[0].verdict, None);
    assert_eq!(
        seen.exchanges[0].verdict(),
        doubtful(ServerResetUnanswered, SequenceHole)
    );
}

#[test]
fn data_in_a_syn_that_nobody_answered_makes_no_exchange() {
    let timed_out = Talk::new()
        .send(Client, SYN, GET)
        .after(1500.0)
        .back(19)
        .send(Client, SYN, GET)
        .seen();
    assert_eq!(timed_out.exchanges.len(), 0);
    assert_eq!(timed_out.connections[0].verdict, Some(ConnectTimeout));
}

#[test]
fn a_fin_may_come_with_the_syn_and_the_request() {
    let talk = Talk::new().send(Client, SYN.with(FIN), GET).syn_ack();
    // It has no ACK that could say that there was no answer.
    assert_eq!(talk.verdict(), doubtful(ClientGaveUp, SequenceHole));
}

#[test]
fn data_in_a_syn_that_was_taken_is_a_request() {
    let talk = Talk::new().send(Client, SYN, GET).syn_ack().ack(Client);
    let exchange = talk.say(Server, EMPTY).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.event("request_end"), Some(1));
    assert_eq!(exchange.bytes(), (18, 38));
}

// One connection or two.

#[test]
fn a_syn_with_another_number_is_another_connection() {
    let first = asked_and_answered(Talk::opened()).anew();
    let second = first.syn(Client).syn_ack().ack(Client);
    let seen = asked_and_answered(second).seen();
    assert_eq!(seen.connections.len(), 2);
    assert_eq!(seen.exchanges.len(), 2);
}

#[test]
fn a_syn_on_a_connection_joined_late_is_another_connection() {
    let first = asked_and_answered(Talk::joined()).anew();
    let second = first.syn(Client).syn_ack().ack(Client);
    let seen = asked_and_answered(second).seen();
    assert_eq!(seen.connections.len(), 2);
    assert!(seen.connections[1].syn.is_some());
}

#[test]
fn data_far_from_a_connection_that_is_over_is_another_connection() {
    let closed = asked_and_answered(Talk::opened()).fin(Client).fin(Server);
    let over = closed.ack(Client).anew();
    let seen = asked_and_answered(over).seen();
    assert_eq!(seen.connections.len(), 2);
    assert_eq!(seen.exchanges.len(), 2);
}

#[test]
fn data_near_a_connection_that_is_over_belongs_to_it() {
    let reset = Talk::opened().say(Client, GET).rst(Client);
    let seen = reset.unaware().say(Server, EMPTY).seen();
    assert_eq!(seen.connections.len(), 1);
    assert_eq!(seen.exchanges[0].statuses(), (None, Some(200)));
}

#[test]
fn a_packet_seen_on_two_interfaces_counts_once() {
    let talk = Talk::opened().say(Client, GET).seen_again_on(1);
    let seen = talk.say(Server, EMPTY).seen_again_on(1).ack(Client).seen();
    assert_eq!(seen.totals.duplicate_frames, 2);
    assert_eq!(seen.connections[0].retransmissions, 0);
    assert_eq!(seen.exchanges[0].verdict(), (Ok, CERTAIN));
}

#[test]
fn a_packet_that_comes_again_on_its_own_interface_is_a_retransmission() {
    let talk = Talk::opened().say(Client, GET).seen_again_on(0);
    let seen = talk.say(Server, EMPTY).ack(Client).seen();
    assert_eq!(seen.totals.duplicate_frames, 0);
    assert_eq!(seen.connections[0].retransmissions, 1);
}

#[test]
fn a_reset_ends_the_handshake_of_a_connection_too() {
    let connection = Talk::opened().send(Server, RST, b"").connection();
    assert_eq!(connection.verdict, None);
    assert_eq!(connection.close.map(|close| close.reset), Some(true));
}

// SYN-ACKs that open nothing.

#[test]
fn the_syn_ack_that_the_clients_ack_takes_is_the_connections() {
    let other = |talk: Talk| talk.ahead(5000).send(Server, SYN.with(ACK), b"");
    let before = other(Talk::new().syn(Client)).syn_ack().ack(Client);
    let after = other(Talk::new().syn(Client).syn_ack()).ack(Client);
    let later = other(Talk::new().syn(Client).syn_ack().ack(Client));
    for (talk, synack) in [(before, 2), (after, 1), (later, 1)] {
        let seen = asked_and_answered(talk).fin(Server).ack(Client).seen();
        assert_eq!(seen.exchanges.len(), 1);
        assert_eq!(seen.exchanges[0].verdict(), (Ok, CERTAIN));
        assert_eq!(seen.connections.len(), 1);
        assert_eq!(millis(seen.connections[0].syn_to_synack), Some(synack));
    }
}

#[test]
fn a_syn_ack_that_the_clients_ack_does_not_take_is_none_of_the_connections() {
    let other = |by| {
        let talk = Talk::new().syn(Client).ahead(by);
        let talk = talk.send(Server, SYN.with(ACK), b"").missing().syn_ack();
        asked_and_answered(talk.ack(Client)).fin(Server).ack(Client)
    };
    // Far away, either way round the circle of numbers, and just beyond the ACK.
    for by in [1 << 22, 1 << 31, u32::MAX - (1 << 22), 1000] {
        let seen = other(by).seen();
        assert_eq!(seen.exchanges[0].verdict(), (Ok, CERTAIN), "{by}");
        assert_eq!(seen.connections[0].syn_to_synack, None);
    }
    // Behind it may as well be bytes that the capture lacks.
    let near = other(u32::MAX - 1000).verdict();
    assert_eq!(near, doubtful(Ok, SequenceHole));
}

#[test]
fn an_ack_of_what_was_never_sent_opens_nothing() {
    let challenged = Talk::new().syn(Client).ahead(1 << 27).too_much(1 << 28);
    let challenged = challenged.ack(Server).ahead(1 << 28).bare_rst(Client);
    let again = challenged.clone().after(1000.0).back(1).syn(Client);
    let seen = asked_and_answered(again.syn_ack().ack(Client)).seen();
    assert_eq!(seen.exchanges.len(), 1);
    assert_eq!(seen.exchanges[0].verdict(), (Ok, CERTAIN));
    let findings = [(SynRetry, vec![1, 4], 1002), (PortReuse, vec![1, 2], 1002)];
    assert_eq!(seen.exchanges[0].findings(), findings);
    assert_eq!(seen.connections[0].hidden_bytes, 0);
    let ignored = challenged.after(1000.0).back(1).syn(Client).connection();
    assert_eq!(ignored.verdict, Some(ConnectTimeout));
}

#[test]
fn syns_of_one_number_are_one_connection_whatever_they_met() {
    let refused = |talk: Talk| talk.back(1).syn(Client).rst(Server);
    let talk = Talk::new().syn(Client).rst(Server);
    let talk = refused(refused(talk.after(500.0)).after(1400.0));
    let connection = talk.connection();
    assert_eq!(connection.verdict, Some(ConnectRefused));
    assert_eq!(connection.syn_retries, 2);
}
