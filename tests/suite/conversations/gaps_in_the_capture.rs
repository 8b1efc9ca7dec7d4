//! What the capture lacks: a direction, the beginning, the end, bytes.

use super::{GET, OK, gave_up, ms, verdict};
use meshsniff::exchange::{Doubt, Verdict};
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::{Talk, analyse};

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
fn the_capture_ends_first() {
    let mut talk = Talk::opened("capture_ended");
    talk.say(Client, GET).ack(Server);
    assert_eq!(
        verdict(&talk.exchange()),
        (Verdict::Unanswered, None, Some(Doubt::CaptureEnded))
    );
}
