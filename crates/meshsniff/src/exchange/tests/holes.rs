//! What the capture lacks: when a hole is one, what it makes doubtful, and where pairing begins
//! anew.

use super::talk::{
    End::{Client, Server},
    Talk,
};
use super::{BODY, CERTAIN, EMPTY, GET, HEAD_OF_300, POST_OF_300, UNTIL_CLOSE, doubtful};
use crate::exchange::model::{
    Doubt::{CaptureDropped, CaptureEnded, CaptureStartedLate, OneSided, SequenceHole, Snaplen},
    Verdict::*,
};

fn asked() -> Talk {
    Talk::opened().say(Client, GET).ack(Server)
}

/// A response of 300 bytes and its head, in frames 6 to 9, of which the capture lacks those
/// numbered.
fn answered_without(lacking: &[u64]) -> Talk {
    let mut talk = asked();
    for number in 6..=9 {
        if lacking.contains(&number) {
            talk = talk.missing();
        }
        talk = match number {
            6 => talk.say(Server, HEAD_OF_300),
            _ => talk.say(Server, BODY),
        };
    }
    talk
}

// A hole is what was acknowledged and never seen.

#[test]
fn a_hole_inside_a_body_of_known_length_is_stepped_over() {
    let exchange = answered_without(&[7]).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.event("response_end"), Some(9));
    assert_eq!(exchange.bytes(), (18, 340));
}

#[test]
fn a_hole_at_the_end_of_a_body_makes_its_end_doubtful() {
    let exchange = answered_without(&[9]).ack(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, SequenceHole));
    assert_eq!(exchange.event("response_end"), None);
    assert_eq!(exchange.event("response_acked"), Some(10));
    assert_eq!(exchange.bytes(), (18, 340));
}

#[test]
fn what_was_not_acknowledged_is_no_hole() {
    let waiting = answered_without(&[7]);
    assert_eq!(waiting.verdict(), doubtful(Unanswered, CaptureEnded));
    let half = waiting.all_but(300).ack(Client);
    assert_eq!(half.verdict(), doubtful(Unanswered, CaptureEnded));
}

#[test]
fn a_hole_that_is_filled_later_is_none() {
    let talk = answered_without(&[7]).back(300).say(Server, BODY);
    let exchange = talk.ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(
        exchange.event("response_end"),
        Some(10),
        "the last missing byte"
    );
}

#[test]
fn a_hole_in_a_head_leaves_the_answer_unread() {
    let exchange = answered_without(&[6]).ack(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, SequenceHole));
    assert_eq!(exchange.statuses(), (None, None));
}

#[test]
fn an_acknowledged_number_after_the_last_byte_may_be_a_fin() {
    let talk = asked().say(Server, UNTIL_CLOSE).missing().fin(Server);
    let exchange = talk.ack(Client).fin(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, SequenceHole));
}

#[test]
fn an_acknowledged_number_is_a_byte_if_one_is_due() {
    let talk = asked().say(Server, HEAD_OF_300).say(Server, [b'x'; 299]);
    let exchange = talk.missing().say(Server, b"x").ack(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, SequenceHole));
    assert_eq!(exchange.bytes(), (18, 340));
    assert_eq!(exchange.event("response_acked"), Some(9));
}

// Which doubt a hole is.

#[test]
fn a_hole_where_the_kernel_lost_packets_is_a_drop() {
    let talk = answered_without(&[6]).ack(Client).dropped();
    assert_eq!(talk.verdict(), doubtful(Ok, CaptureDropped));
    let tail = answered_without(&[9]).ack(Client).dropped();
    assert_eq!(tail.verdict(), doubtful(Ok, CaptureDropped));
}

#[test]
fn drops_lower_nothing_by_themselves() {
    let talk = answered_without(&[]).ack(Client).dropped();
    assert_eq!(talk.verdict(), (Ok, CERTAIN));
}

/// Requests whose answers nobody captured.
fn one_sided() -> Talk {
    let talk = Talk::new().syn(Client).missing().syn_ack().ack(Client);
    let talk = talk.say(Client, GET).missing().say(Server, EMPTY);
    talk.ack(Client)
}

#[test]
fn a_hole_in_a_side_that_was_never_seen_is_one_sided() {
    assert_eq!(one_sided().verdict(), doubtful(Ok, OneSided));
}

#[test]
fn a_drop_outranks_a_side_that_was_never_seen() {
    assert_eq!(
        one_sided().dropped().verdict(),
        doubtful(Ok, CaptureDropped)
    );
}

#[test]
fn a_hole_before_the_first_packet_of_a_side_stays_one_sided() {
    let talk = one_sided().fin(Server).ack(Client);
    assert_eq!(talk.verdict(), doubtful(Ok, OneSided));
}

#[test]
fn a_hole_in_a_side_that_was_seen_is_not_one_sided() {
    let talk = answered_without(&[6]).ack(Client);
    assert_eq!(talk.verdict(), doubtful(Ok, SequenceHole));
}

#[test]
fn the_snap_length_cuts_a_body_without_harm() {
    let talk = asked()
        .say(Server, HEAD_OF_300)
        .cut_to(10)
        .say(Server, [b'x'; 300]);
    let exchange = talk.ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.event("response_end"), Some(7));
    assert_eq!(exchange.bytes(), (18, 340));
}

#[test]
fn the_snap_length_cuts_a_head_and_that_is_told() {
    let cut = asked().cut_to(20).say(Server, EMPTY).ack(Client);
    assert_eq!(cut.verdict(), doubtful(Ok, Snaplen));
    assert_eq!(cut.exchange().statuses(), (Some(200), None));
    let shorter = asked().cut_to(5).say(Server, EMPTY).ack(Client);
    assert_eq!(shorter.verdict(), doubtful(Ok, Snaplen));
    assert_eq!(shorter.exchange().statuses(), (None, None));
}

#[test]
fn a_cut_packet_that_repeats_a_part_of_another_adds_only_the_rest() {
    // 100 bytes are known; of the repeat with 200 the capture has 150, so that 50 bytes are cut.
    let talk = asked().say(Server, HEAD_OF_300).say(Server, BODY);
    let talk = talk.cut_to(150).back(100).say(Server, [b'x'; 200]);
    let talk = talk.ahead(100).say(Server, BODY);
    let exchange = talk.too_much(200).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.event("response_end"), Some(9));
}

// Where pairing begins anew.

#[test]
fn after_a_lost_request_the_next_that_begins_a_segment_is_sure() {
    let talk = asked().say(Server, EMPTY).ack(Client);
    let talk = talk
        .missing()
        .say(Client, GET)
        .say(Server, EMPTY)
        .ack(Client);
    let talk = talk.say(Client, GET).say(Server, EMPTY).ack(Client);
    let seen = talk.seen();
    let certain = (Ok, CERTAIN);
    assert_eq!(talk.verdicts(), [certain, certain]);
    assert_eq!(seen.exchanges[1].event("request_start"), Some(11));
    assert_eq!(seen.connections[0].orphan_responses, 1);
    assert_eq!(seen.connections[0].hidden_bytes, 18);
}

#[test]
fn what_was_lost_may_have_been_two_requests_until_the_client_has_waited_for_a_while() {
    let talk = asked().say(Server, EMPTY).ack(Client);
    let two = [GET, GET].concat();
    let mut talk = talk.missing().say(Client, &two).say(Server, EMPTY);
    for _ in 0..10 {
        talk = talk.ack(Client).say(Client, GET).say(Server, EMPTY);
    }
    let verdicts = talk.ack(Client).verdicts();
    let certain: Vec<bool> = verdicts.iter().map(|verdict| verdict.1.is_none()).collect();
    assert_eq!(certain[..2], [true, false], "the answer to the second one");
    assert_eq!(certain[9..], [true; 2], "{certain:?}");
}

#[test]
fn behind_a_lost_answer_a_client_that_pipelines_may_be_owed_several() {
    let (lost, rest) = EMPTY.split_at(9);
    let next = |talk: Talk| {
        let answered = talk.missing().say(Server, lost).say(Server, rest);
        let next = answered.ack(Client).say(Client, GET).say(Server, EMPTY);
        next.ack(Client).verdicts().pop().expect("the last one's")
    };
    let two = Talk::opened().say(Client, [GET, GET].concat()).ack(Server);
    assert!(next(two).1.is_some(), "the answer to the second one");
    assert_eq!(next(asked()), (Ok, CERTAIN));
}

#[test]
fn between_a_fin_that_crossed_the_answer_and_a_rst_may_have_been_an_ack() {
    let talk = asked().say(Server, EMPTY).unaware().fin(Client);
    assert_eq!(
        talk.clone().ack(Client).rst(Client).verdict(),
        (Ok, CERTAIN)
    );
    let verdict = talk.clone().rst(Client).verdict();
    assert_eq!(verdict, doubtful(ClientGaveUp, SequenceHole));
    // One that says to have taken no more than the FIN did leaves no room for it.
    let verdict = talk.unaware().rst(Client).verdict();
    assert_eq!(verdict, (ClientGaveUp, CERTAIN));
    let some = asked().say(Server, HEAD_OF_300).ack(Client).fin(Client);
    let rest = some.unaware().say(Server, [b'x'; 300]).rst(Client);
    assert_eq!(
        rest.verdict(),
        doubtful(ClientGaveUpMidResponse, SequenceHole)
    );
    let of_two = Talk::opened().say(Client, [GET, GET].concat()).ack(Server);
    let of_two = of_two.say(Server, EMPTY).unaware().fin(Client).fin(Server);
    let verdict = of_two.missing().ack(Client).rst(Client).verdicts().pop();
    assert_eq!(verdict, Some(doubtful(ClientGaveUp, SequenceHole)));
}

#[test]
fn an_ack_that_comes_again_does_not_make_what_it_acknowledged_younger() {
    // The lost request was acknowledged before its answer, whatever says so once more behind it.
    let talk = asked().say(Server, EMPTY).ack(Client);
    let talk = talk
        .missing()
        .say(Client, GET)
        .say(Server, EMPTY)
        .ack(Client);
    let talk = talk.ack(Server).say(Client, GET).say(Server, EMPTY);
    assert_eq!(talk.ack(Client).verdicts(), [(Ok, CERTAIN), (Ok, CERTAIN)]);
}

#[test]
fn a_lost_request_is_answered_by_what_the_server_says_from_then_on() {
    // The ACK of what was lost comes with the answer's first byte, and covers nothing beyond it.
    let talk = asked().say(Server, EMPTY).ack(Client);
    let talk = talk.missing().say(Client, GET).ack(Server);
    let talk = talk.say(Client, GET).say(Server, EMPTY).ack(Client);
    let verdicts = talk.verdicts();
    assert_eq!(verdicts[0], (Ok, CERTAIN));
    assert!(
        verdicts.len() == 1 || verdicts[1].1.is_some(),
        "{verdicts:?}"
    );
}

#[test]
fn of_a_connection_joined_late_the_first_request_is_sure_if_all_before_was_taken() {
    let talk = Talk::joined()
        .say(Client, GET)
        .say(Server, EMPTY)
        .ack(Client);
    assert_eq!(talk.verdict().0, Ok);
    assert_eq!(talk.exchange().statuses(), (Some(200), None));
}

#[test]
fn of_a_connection_joined_late_bytes_before_the_first_one_seen_may_be_the_answer() {
    let talk = Talk::joined()
        .say(Client, GET)
        .missing()
        .say(Server, &EMPTY[..10]);
    let exchange = talk.say(Server, &EMPTY[10..]).ack(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, CaptureStartedLate));
    assert_eq!(exchange.statuses(), (None, None));
}

#[test]
fn of_a_connection_joined_late_a_later_hole_is_one() {
    let talk = Talk::joined()
        .say(Client, GET)
        .say(Server, EMPTY)
        .ack(Client);
    let talk = talk.say(Client, GET).missing().say(Server, &EMPTY[..10]);
    let talk = talk.say(Server, &EMPTY[10..]);
    let filled = talk.clone().back(38).say(Server, &EMPTY[..10]).ack(Client);
    assert_eq!(filled.verdicts()[1], (Ok, CERTAIN));
    assert_eq!(talk.ack(Client).verdicts()[1], doubtful(Ok, SequenceHole));
}

#[test]
fn of_a_connection_joined_late_client_bytes_before_the_first_one_seen_are_no_hole() {
    let talk = Talk::joined().ack(Server).missing().say(Client, BODY);
    let talk = talk.say(Client, GET).say(Server, EMPTY).ack(Client);
    let seen = talk.seen();
    assert_eq!(seen.exchanges.len(), 1);
    assert_eq!(seen.connections[0].hidden_bytes, 0);
}

#[test]
fn of_a_connection_seen_from_its_handshake_they_are_a_hole() {
    let talk = asked().missing().say(Server, &EMPTY[..10]);
    let exchange = talk.say(Server, &EMPTY[10..]).ack(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, SequenceHole));
}

#[test]
fn the_end_of_a_request_may_be_known_by_the_number_of_the_clients_next_packet_alone() {
    let begun = Talk::opened().say(Client, &GET[..10]);
    let answered = |talk: Talk| talk.unaware().say(Server, EMPTY).ack(Client).unaware();
    let early = answered(begun.clone()).rst(Server);
    assert_eq!(early.verdict(), (ServerResetEarlyAnswer, CERTAIN));
    let unseen = answered(begun.missing().say(Client, &GET[10..])).rst(Server);
    assert_eq!(
        unseen.verdict(),
        doubtful(ServerResetEarlyAnswer, SequenceHole)
    );
}

#[test]
fn of_an_answer_that_ends_with_the_connection_its_fin_is_waited_for() {
    let taken = || asked().say(Server, UNTIL_CLOSE).ack(Client);
    let ended = taken().fin(Server);
    assert_eq!(ended.verdict(), doubtful(Ok, CaptureEnded));
    assert_eq!(ended.ack(Client).verdict(), (Ok, CERTAIN));
    let left = taken().missing().fin(Client).unaware().fin(Server);
    assert_eq!(left.ack(Client).verdict(), doubtful(Ok, SequenceHole));
}

#[test]
fn what_goes_on_behind_a_request_shows_that_it_did_not_wait() {
    // The capture lacks the beginning of an answer, all that had come when the client asked again.
    let asked_early = asked().missing().say(Server, &HEAD_OF_300[..30]);
    let asked_early = asked_early.say(Client, GET);
    let rest = [&HEAD_OF_300[30..], &[b'x'; 300]].concat();
    let both = asked_early.say(Server, rest).ack(Client);
    let third = both.say(Server, EMPTY).ack(Client).say(Client, GET);
    let verdicts = third.say(Server, EMPTY).ack(Client).verdicts();
    assert_eq!(verdicts.len(), 3);
    assert!(verdicts.iter().all(|(_, doubt)| doubt.is_some()));
}

#[test]
fn a_number_taken_for_the_byte_that_is_due_may_be_a_fins() {
    let short = [HEAD_OF_300, &[b'x'; 299]].concat();
    let two = Talk::opened().say(Client, [GET, GET].concat()).ack(Server);
    let left = two.say(Server, short).missing().fin(Server).ack(Client);
    let last = |talk: Talk| talk.verdicts().pop();
    let reset = last(left.clone().bare_rst(Server));
    assert_eq!(reset, Some(doubtful(ServerResetUnanswered, SequenceHole)));
    let gone = last(left.fin(Client).ack(Server));
    assert_eq!(gone, Some(doubtful(ClientGaveUp, SequenceHole)));
}

#[test]
fn what_stood_behind_a_missing_byte_may_have_been_answered_before() {
    let upload = Talk::opened().say(Client, POST_OF_300);
    let upload = upload.say(Client, [b'x'; 299]).missing().say(Client, b"x");
    let both = upload.say(Client, GET).unaware().say(Server, EMPTY);
    let both = both.unaware().say(Server, EMPTY).ack(Client);
    let verdicts = both.fin(Server).ack(Client).verdicts();
    assert_eq!(verdicts.len(), 2);
    assert_eq!(verdicts[1], doubtful(ServerClosedUnanswered, SequenceHole));
}

// Room.

#[test]
fn a_hole_behind_which_too_much_is_held_is_given_up() {
    const SEGMENT: usize = 60_000;
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 4200300\r\n\r\n";
    let mut talk = asked().say(Server, head).missing().say(Server, [b'x'; 300]);
    // 69 segments are less than 4 MiB, 70 are more.
    for _ in 0..69 {
        talk = talk.unaware().say(Server, [b'x'; SEGMENT]);
    }
    assert_eq!(talk.seen().totals.bytes_given_up, 0);
    assert_eq!(talk.verdict(), doubtful(Unanswered, CaptureEnded));
    let seen = talk.unaware().say(Server, [b'x'; SEGMENT]).seen();
    assert_eq!(seen.totals.bytes_given_up, 300);
    assert_eq!(seen.exchanges[0].verdict(), doubtful(Ok, CaptureEnded));
    assert_eq!(seen.exchanges[0].bytes(), (18, 4_200_344));
}
