//! FINs and RSTs: which count, where they stand, and what they prove.

use super::talk::{
    ACK,
    End::{Client, Server},
    FIN, RST, Talk,
};
use super::{BODY, CERTAIN, EMPTY, GET, HEAD_OF_300, UNTIL_CLOSE, doubtful};
use crate::exchange::model::{
    Doubt::{CaptureEnded, SequenceHole},
    Side,
    Verdict::*,
};

fn asked() -> Talk {
    Talk::opened().say(Client, GET).ack(Server)
}

fn taken() -> Talk {
    asked().say(Server, EMPTY).ack(Client)
}

// FINs.

#[test]
fn a_clients_fin_is_a_give_up_at_that_moment() {
    let exchange = asked().after(500.0).fin(Client).ack(Server).exchange();
    assert_eq!(exchange.verdict(), (ClientGaveUp, CERTAIN));
    assert_eq!(exchange.event("client_fin"), Some(6));
    assert_eq!(exchange.gap("request_to_client_close"), Some(501));
    assert_eq!(exchange.gap("ack_to_client_close"), Some(500));
}

#[test]
fn a_fin_on_the_request_is_a_give_up_at_the_requests_end() {
    let talk = Talk::opened().send(Client, FIN.with(ACK), GET).ack(Server);
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict(), (ClientGaveUp, CERTAIN));
    assert_eq!(exchange.event("client_fin"), exchange.event("request_end"));
}

#[test]
fn a_fin_on_the_request_is_a_half_close_if_the_answer_is_taken() {
    let talk = Talk::opened().send(Client, FIN.with(ACK), GET);
    let exchange = talk.say(Server, EMPTY).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert!(exchange.half_closed());
    assert_eq!(exchange.bytes(), (18, 38));
}

#[test]
fn a_fin_on_half_a_request_aborts_it() {
    let talk = Talk::opened().send(Client, FIN.with(ACK), &GET[..10]);
    assert_eq!(talk.verdict().0, ClientAbortedRequest);
}

#[test]
fn a_fin_on_the_last_byte_of_a_response_closes_nothing() {
    let talk = asked().send(Server, FIN.with(ACK), EMPTY);
    let exchange = talk.ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.closes(), [None; 4]);
}

#[test]
fn a_fin_on_half_a_response_truncates_it() {
    let talk = asked().send(Server, FIN.with(ACK), HEAD_OF_300);
    let exchange = talk.ack(Client).exchange();
    assert_eq!(exchange.verdict(), (ServerTruncatedResponse, CERTAIN));
    assert_eq!(exchange.bytes(), (18, 40));
}

#[test]
fn a_repeated_fin_is_no_new_one() {
    let talk = asked().fin(Client).after(200.0).back(1).fin(Client);
    let exchange = talk.clone().ack(Server).exchange();
    assert_eq!(exchange.event("client_fin"), Some(6));
    assert_eq!(talk.connection().retransmissions, 1);
    assert_eq!(asked().fin(Client).connection().retransmissions, 0);
}

#[test]
fn a_fin_acknowledges_what_its_packet_does() {
    // The answer and the FIN cross: the FIN's own ACK shows that nothing of it was there yet.
    let crossed = asked().say(Server, EMPTY).unaware().fin(Client);
    let exchange = crossed.bare_rst(Client).exchange();
    assert_eq!(exchange.verdict().0, ClientGaveUp);
    assert_eq!(exchange.statuses(), (None, Some(200)));
    let taken_with_it = asked().say(Server, EMPTY).fin(Client).exchange();
    assert_eq!(taken_with_it.verdict(), (Ok, CERTAIN));
    assert_eq!(taken_with_it.event("response_acked"), Some(7));
}

#[test]
fn an_acknowledged_fin_is_settled() {
    let closed = asked().fin(Client);
    assert_eq!(closed.verdict(), doubtful(ClientGaveUp, CaptureEnded));
    assert_eq!(closed.ack(Server).verdict(), (ClientGaveUp, CERTAIN));
}

#[test]
fn an_acknowledged_request_settles_no_fin() {
    let talk = Talk::opened().say(Client, GET).fin(Client);
    let talk = talk.all_but(1).ack(Server);
    assert_eq!(talk.verdict(), doubtful(ClientGaveUp, CaptureEnded));
}

#[test]
fn an_answer_beyond_a_fin_is_no_half_close_before_it_is_taken() {
    let talk = asked().fin(Client).say(Server, EMPTY);
    assert_eq!(talk.verdict(), doubtful(ClientGaveUp, CaptureEnded));
    let half_closed = talk.ack(Client).exchange();
    assert_eq!(half_closed.verdict(), (Ok, CERTAIN));
    assert!(half_closed.half_closed());
}

#[test]
fn the_acknowledged_fin_of_a_server_is_no_data() {
    let talk = asked().fin(Client).fin(Server).ack(Client);
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict(), (ClientGaveUp, CERTAIN));
    assert!(!exchange.half_closed());
}

#[test]
fn an_acknowledged_fin_that_the_capture_lacks_is_no_data() {
    let talk = asked().fin(Client).missing().fin(Server).ack(Client);
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict(), doubtful(ClientGaveUp, SequenceHole));
    assert!(!exchange.half_closed());
}

#[test]
fn a_servers_fin_with_bytes_missing_before_it_proves_nothing() {
    let talk = asked().missing().say(Server, EMPTY).fin(Server);
    let exchange = talk.exchange();
    assert_eq!(
        exchange.verdict(),
        doubtful(ServerClosedUnanswered, SequenceHole)
    );
}

#[test]
fn a_servers_fin_next_to_its_last_byte_proves_that_there_was_no_answer() {
    let talk = asked().fin(Server);
    assert_eq!(talk.verdict(), (ServerClosedUnanswered, CERTAIN));
    let twice = taken().say(Client, GET).fin(Server);
    assert_eq!(twice.verdicts()[1], (ServerClosedUnanswered, CERTAIN));
}

// An answer that ends with the connection.

#[test]
fn an_until_close_response_is_whole_with_the_servers_fin() {
    let answered = asked().say(Server, UNTIL_CLOSE).say(Server, BODY);
    assert_eq!(answered.verdict(), doubtful(Unanswered, CaptureEnded));
    let exchange = answered.fin(Server).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.event("response_end"), Some(7), "its last byte");
    assert_eq!(exchange.event("response_acked"), Some(9));
    assert_eq!(exchange.bytes(), (18, 119));
}

#[test]
fn an_until_close_response_may_end_with_a_fin_on_its_last_byte() {
    let talk = asked().say(Server, UNTIL_CLOSE);
    let exchange = talk
        .send(Server, FIN.with(ACK), BODY)
        .ack(Client)
        .exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.event("response_end"), Some(7));
}

#[test]
fn an_until_close_response_taken_before_the_fin_was_taken_then() {
    let talk = asked().say(Server, UNTIL_CLOSE).ack(Client).fin(Server);
    let exchange = talk.ack(Client).exchange();
    assert_eq!(exchange.event("response_acked"), Some(7));
}

#[test]
fn an_until_close_response_with_a_hole_before_its_fin_is_not_whole_before_it_is_taken() {
    let talk = asked().say(Server, UNTIL_CLOSE).missing().say(Server, BODY);
    let open = talk.fin(Server);
    assert_eq!(open.verdict(), doubtful(Ok, SequenceHole));
    let exchange = open.ack(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, SequenceHole));
    assert_eq!(exchange.event("response_end"), None);
    assert_eq!(exchange.bytes(), (18, 119));
}

#[test]
fn a_client_that_leaves_an_until_close_response_gave_up_inside() {
    let talk = asked().say(Server, UNTIL_CLOSE).rst(Client);
    assert_eq!(talk.verdict(), (ClientGaveUpMidResponse, CERTAIN));
}

// RSTs.

#[test]
fn a_reset_with_an_ack_at_the_next_byte_proves_that_there_was_no_answer() {
    assert_eq!(
        asked().rst(Server).verdict(),
        (ServerResetUnanswered, CERTAIN)
    );
    assert_eq!(asked().rst(Client).verdict(), (ClientGaveUp, CERTAIN));
}

#[test]
fn a_bare_reset_of_the_clients_proves_nothing() {
    let talk = asked().bare_rst(Client);
    assert_eq!(talk.verdict(), doubtful(ClientGaveUp, SequenceHole));
}

#[test]
fn a_bare_reset_of_a_server_that_had_acknowledged_the_request_proves_it() {
    let talk = asked().bare_rst(Server);
    assert_eq!(talk.verdict(), (ServerResetUnanswered, CERTAIN));
    let never = Talk::opened().say(Client, GET).bare_rst(Server);
    assert_eq!(
        never.verdict(),
        doubtful(ServerResetUnanswered, SequenceHole)
    );
}

#[test]
fn a_reset_beyond_the_next_byte_proves_nothing() {
    let talk = asked().missing().say(Server, EMPTY).rst(Server);
    assert_eq!(
        talk.verdict(),
        doubtful(ServerResetUnanswered, SequenceHole)
    );
}

#[test]
fn a_reset_before_the_last_byte_proves_nothing() {
    let talk = asked().say(Server, HEAD_OF_300).say(Server, BODY);
    let behind = talk.clone().back(50).rst(Client);
    assert_eq!(
        behind.verdict(),
        doubtful(ClientGaveUpMidResponse, SequenceHole)
    );
    assert_eq!(
        talk.rst(Client).verdict(),
        (ClientGaveUpMidResponse, CERTAIN)
    );
}

#[test]
fn a_reset_behind_held_bytes_proves_nothing() {
    // A hole before the body's last part: where the RST stands is where the stream stands, but not
    // in order.
    let talk = asked()
        .say(Server, UNTIL_CLOSE)
        .missing()
        .say(Server, BODY)
        .say(Server, BODY)
        .rst(Server);
    assert_eq!(
        talk.verdict(),
        doubtful(ServerTruncatedResponse, SequenceHole)
    );
}

#[test]
fn a_reset_in_front_of_held_bytes_proves_nothing() {
    let talk = asked()
        .say(Server, UNTIL_CLOSE)
        .missing()
        .say(Server, BODY)
        .say(Server, BODY);
    assert_eq!(
        talk.back(200).rst(Server).verdict(),
        doubtful(ServerTruncatedResponse, SequenceHole)
    );
}

#[test]
fn a_reset_that_no_receiver_would_take_is_none() {
    for far in [
        asked().ahead(1 << 24).rst(Server),
        asked().back(1 << 24).rst(Server),
    ] {
        assert_eq!(far.verdict(), doubtful(Unanswered, CaptureEnded));
        assert_eq!(far.connection().close, None);
    }
    let near = asked().ahead((1 << 24) - 1).rst(Server);
    assert_eq!(near.verdict().0, ServerResetUnanswered);
}

#[test]
fn of_a_sides_resets_the_first_counts() {
    let talk = asked().rst(Client).after(50.0).bare_rst(Client);
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict(), (ClientGaveUp, CERTAIN));
    assert_eq!(exchange.event("client_rst"), Some(6));
}

#[test]
fn a_reset_acknowledges_the_request_and_says_so() {
    let exchange = Talk::opened().say(Client, GET).rst(Server).exchange();
    assert_eq!(exchange.event("request_acked"), Some(5));
    assert_eq!(exchange.verdict(), (ServerResetUnanswered, CERTAIN));
}

#[test]
fn data_on_a_reset_is_no_data() {
    let talk = asked().send(Server, RST.with(ACK), b"error");
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict(), (ServerResetUnanswered, CERTAIN));
    assert_eq!(exchange.bytes(), (18, 0));
}

#[test]
fn a_reset_of_a_side_of_which_nothing_was_seen_proves_nothing() {
    let talk = Talk::joined().send(Client, ACK, GET).bare_rst(Client);
    assert_eq!(talk.verdict().0, ClientGaveUp);
    assert!(talk.verdict().1.is_some());
    let first = Talk::joined().bare_rst(Server);
    assert_eq!(
        first.connection().close.map(|close| close.by),
        Some(Side::Server)
    );
}

// The connection's own close.

#[test]
fn a_connections_close_is_its_first() {
    let close = |talk: Talk| {
        let close = talk.connection().close?;
        Some((close.by, close.reset, close.mark.frame.number()))
    };
    let by_client = taken().fin(Client).fin(Server).ack(Client);
    assert_eq!(close(by_client), Some((Side::Client, false, 8)));
    let by_server = taken().fin(Server).fin(Client).ack(Server);
    assert_eq!(close(by_server), Some((Side::Server, false, 8)));
    let reset = taken().rst(Server);
    assert_eq!(close(reset), Some((Side::Server, true, 8)));
}

#[test]
fn a_connection_whose_first_close_may_be_missing_has_none() {
    let talk = taken().missing().fin(Client).ack(Server).fin(Server);
    assert_eq!(talk.connection().close, None);
}

#[test]
fn a_connection_is_idle_from_its_last_response_to_its_close() {
    let idle = |talk: Talk| {
        let idle = talk.connection().idle;
        idle.map(|span| span.as_nanos() / 1_000_000)
    };
    assert_eq!(idle(taken().after(5000.0).fin(Server)), Some(5001));
    assert_eq!(idle(taken()), None);
    let unanswered = taken().say(Client, GET).after(5000.0).fin(Server);
    assert_eq!(idle(unanswered), None);
}

#[test]
fn what_is_open_when_the_connection_ends_is_settled_in_order() {
    let talk = Talk::opened().say(Client, GET).say(Client, GET);
    let verdicts = talk.ack(Server).rst(Server).verdicts();
    let reset = (ServerResetUnanswered, CERTAIN);
    assert_eq!(verdicts, [reset, reset]);
}

// An ACK on a RST.

#[test]
fn a_rst_that_answers_late_data_acknowledges_none_of_it() {
    // Windows puts an ACK of the very data that it rejects on the RST. So does a program that took
    // it, and closes: then its ACK is what the capture lacks.
    let gone = asked()
        .fin(Client)
        .after(1500.0)
        .unaware()
        .say(Server, EMPTY);
    let exchange = gone.clone().rst(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(ClientGaveUp, SequenceHole));
    assert!(!exchange.half_closed());
    assert_eq!(exchange.event("late_response"), Some(7));
    let two = asked().fin(Client).unaware().say(Server, HEAD_OF_300);
    let two = two.unaware().say(Server, BODY).all_but(100).rst(Client);
    assert_eq!(two.verdict(), doubtful(ClientGaveUp, SequenceHole));
    assert_eq!(
        gone.clone().bare_rst(Client).verdict(),
        (ClientGaveUp, CERTAIN)
    );
    // A socket that is gone has no window.
    let rejected = gone.window(Client, 0).rst(Client);
    assert_eq!(rejected.verdict(), (ClientGaveUp, CERTAIN));
}

#[test]
fn a_rst_that_is_the_first_close_acknowledges_what_it_says() {
    let exchange = asked().say(Server, EMPTY).rst(Client).exchange();
    // The kernel had it. Whether the program read it nobody can tell.
    assert_eq!(exchange.verdict(), doubtful(Ok, SequenceHole));
    assert_eq!(exchange.event("response_acked"), Some(7));
}
