//! Acknowledgments, windows, probes and repeats, and what they cost.

use super::talk::{
    ACK,
    End::{Client, Server},
    FIN, RST, SYN, Talk,
};
use super::{BODY, CERTAIN, EMPTY, GET, HEAD_OF_300, doubtful};
use crate::exchange::model::{
    AckWith,
    Doubt::CaptureEnded,
    FindingKind::{self, DelayedAckStall, Retransmission, ZeroWindow},
    Verdict::*,
};

/// A request with a body of 200 bytes: its head alone, 38 bytes.
const POST_HEAD: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 200\r\n\r\n";

fn asked() -> Talk {
    Talk::opened().say(Client, GET).ack(Server)
}

fn of_kind(talk: &Talk, kind: FindingKind) -> Vec<(Vec<u64>, i64)> {
    let findings = talk.exchange().findings();
    let of_kind = findings.into_iter().filter(|finding| finding.0 == kind);
    of_kind.map(|(_, frames, cost)| (frames, cost)).collect()
}

// Acknowledgments.

#[test]
fn what_acknowledged_the_request_is_told() {
    let acked = |talk: Talk| {
        let Some((mark, with)) = talk.exchange().request_acked() else {
            panic!("the request was acknowledged");
        };
        (mark, with)
    };
    let asked = || Talk::opened().say(Client, GET);
    assert_eq!(acked(asked().ack(Server)), (5, AckWith::Bare));
    assert_eq!(acked(asked().say(Server, EMPTY)), (5, AckWith::Data));
    assert_eq!(acked(asked().fin(Server)), (5, AckWith::Fin));
    assert_eq!(acked(asked().rst(Server)), (5, AckWith::Rst));
    let data_and_fin = asked().send(Server, FIN.with(ACK), EMPTY);
    assert_eq!(acked(data_and_fin), (5, AckWith::Fin));
}

#[test]
fn the_ack_of_a_part_acknowledges_no_request() {
    let talk = Talk::opened().say(Client, GET).all_but(1).ack(Server);
    assert_eq!(talk.exchange().event("request_acked"), None);
    let talk = talk.after(40.0).ack(Server);
    assert_eq!(talk.exchange().event("request_acked"), Some(6));
}

#[test]
fn an_ack_far_beyond_everything_acknowledges_nothing() {
    let talk = Talk::opened()
        .say(Client, GET)
        .too_much(1 << 30)
        .ack(Server);
    assert_eq!(talk.exchange().event("request_acked"), None);
}

#[test]
fn the_first_ack_counts() {
    let exchange = asked()
        .ack(Server)
        .say(Server, EMPTY)
        .ack(Client)
        .exchange();
    assert_eq!(exchange.event("request_acked"), Some(5));
}

// Windows.

#[test]
fn a_closed_window_costs_from_its_closing_to_its_opening() {
    let talk = asked()
        .say(Server, HEAD_OF_300)
        .window(Client, 0)
        .ack(Client)
        .after(80.0)
        .window(Client, 64_000)
        .ack(Client);
    assert_eq!(of_kind(&talk, ZeroWindow), [(vec![7, 8], 80)]);
}

#[test]
fn a_window_that_stays_closed_costs_until_the_capture_ends() {
    let talk = asked()
        .window(Server, 0)
        .ack(Server)
        .after(70.0)
        .ack(Server);
    assert_eq!(of_kind(&talk, ZeroWindow), [(vec![6], 70)]);
}

#[test]
fn a_window_of_the_servers_that_stays_closed_holds_up_the_request_sent_last() {
    let talk = Talk::opened().say(Client, GET).say(Client, GET);
    let seen = talk.window(Server, 0).ack(Server).ack(Client).seen();
    assert_eq!(seen.exchanges[0].findings(), []);
    assert_eq!(seen.exchanges[1].findings(), [(ZeroWindow, vec![6], 1)]);
}

#[test]
fn a_window_that_was_closed_before_the_request_costs_from_the_request_on() {
    let talk = Talk::opened()
        .window(Server, 0)
        .ack(Server)
        .after(500.0)
        .say(Client, GET)
        .after(20.0)
        .window(Server, 64_000)
        .ack(Server);
    assert_eq!(of_kind(&talk, ZeroWindow), [(vec![4, 6], 20)]);
}

#[test]
fn a_closed_window_of_the_clients_holds_up_the_answer_due_first() {
    let talk = Talk::opened()
        .say(Client, GET)
        .say(Client, GET)
        .window(Client, 0)
        .ack(Client)
        .window(Client, 64_000)
        .ack(Client);
    let seen = talk.seen();
    assert_eq!(seen.exchanges[0].findings(), [(ZeroWindow, vec![6, 7], 1)]);
    assert_eq!(seen.exchanges[1].findings(), []);
}

#[test]
fn a_closed_window_of_the_servers_holds_up_the_request_sent_last() {
    let talk = Talk::opened()
        .say(Client, GET)
        .say(Client, GET)
        .window(Server, 0)
        .ack(Server)
        .window(Server, 64_000)
        .ack(Server);
    let seen = talk.seen();
    assert_eq!(seen.exchanges[0].findings(), []);
    assert_eq!(seen.exchanges[1].findings(), [(ZeroWindow, vec![6, 7], 1)]);
}

#[test]
fn the_window_of_a_reset_or_a_syn_says_nothing() {
    let reset = asked().window(Server, 0).rst(Server);
    assert_eq!(of_kind(&reset, ZeroWindow), []);
    let opening = Talk::new()
        .window(Client, 0)
        .send(Client, SYN, GET)
        .syn_ack()
        .window(Client, 64_000)
        .ack(Client);
    assert_eq!(of_kind(&opening, ZeroWindow), []);
}

// Probes.

/// The server's window is closed, and the head of a request with a body was sent.
fn closed_window() -> Talk {
    let talk = Talk::opened().say(Client, POST_HEAD);
    talk.window(Server, 0).ack(Server)
}

#[test]
fn a_probe_of_a_closed_window_is_no_data() {
    let talk = closed_window()
        .ahead(0)
        .say(Client, b"x")
        .all_but(0)
        .ack(Server);
    let sent = talk.clone().say(Client, [b'x'; 200]).ack(Server).exchange();
    assert_eq!(sent.event("request_end"), Some(8));
    assert_eq!(talk.connection().retransmissions, 0);
    assert_eq!(sent.findings().len(), 1, "the closed window alone");
}

/// All but the last byte of a request was sent into a window that was closed.
fn all_but_one_byte() -> Talk {
    let talk = Talk::opened().window(Server, 0).ack(Server);
    talk.say(Client, &GET[..17])
}

#[test]
fn the_last_byte_of_a_request_is_not_sent_with_a_probe_that_was_refused() {
    let probed = all_but_one_byte().ahead(0).say(Client, &GET[17..]);
    assert_eq!(probed.exchange().event("request_end"), None);
    // The server acknowledges what was sent before the probe, and the probe is no part of that.
    let refused = probed.ack(Server);
    assert_eq!(refused.exchange().event("request_end"), None);
    let sent = refused.window(Server, 64_000).ack(Server);
    let exchange = sent.say(Client, &GET[17..]).exchange();
    assert_eq!(exchange.event("request_end"), Some(9));
}

#[test]
fn two_bytes_or_a_fin_are_no_probe() {
    let two = Talk::opened().window(Server, 0).ack(Server);
    let two = two.say(Client, &GET[..16]).say(Client, &GET[16..]);
    assert_eq!(two.exchange().event("request_end"), Some(6));
    let fin = all_but_one_byte().send(Client, FIN.with(ACK), &GET[17..]);
    assert_eq!(fin.exchange().event("request_end"), Some(6));
    assert_eq!(fin.verdict().0, ClientGaveUp);
}

#[test]
fn a_byte_sent_again_into_a_closed_window_is_no_probe() {
    let talk = all_but_one_byte().back(5).send(Client, ACK, &GET[12..13]);
    assert_eq!(talk.connection().retransmissions, 1);
}

#[test]
fn the_byte_of_a_probe_that_was_acknowledged_is_data() {
    let talk = closed_window().say(Client, b"x").ack(Server);
    let exchange = talk.say(Client, [b'x'; 199]).ack(Server).exchange();
    assert_eq!(exchange.event("request_end"), Some(8));
    assert_eq!(exchange.verdict(), doubtful(Unanswered, CaptureEnded));
    assert_eq!(exchange.bytes().0, 240);
}

#[test]
fn the_byte_of_a_probe_may_be_the_requests_last() {
    let talk = Talk::opened().say(Client, &GET[..17]).window(Server, 0);
    let talk = talk.ack(Server).say(Client, &GET[17..]).ack(Server);
    let exchange = talk.exchange();
    assert_eq!(exchange.event("request_end"), Some(6), "the probe's frame");
    assert_eq!(exchange.event("request_acked"), Some(7));
}

#[test]
fn one_byte_into_an_open_window_is_data() {
    let talk = Talk::opened().say(Client, &GET[..17]).ack(Server);
    let exchange = talk.say(Client, &GET[17..]).exchange();
    assert_eq!(exchange.event("request_end"), Some(6));
    assert_eq!(exchange.event("request_acked"), None);
}

// Keep-alives.

#[test]
fn a_keep_alive_is_no_retransmission() {
    for payload in [&b""[..], b"\0"] {
        let talk = asked().after(1000.0).back(1).send(Client, ACK, payload);
        assert_eq!(talk.connection().retransmissions, 0);
        assert_eq!(of_kind(&talk.ack(Server), Retransmission), []);
    }
    let two_bytes = asked().back(2).send(Client, ACK, b"\0\0");
    assert_eq!(two_bytes.connection().retransmissions, 1);
    let further_back = asked().back(2).send(Client, ACK, b"\0");
    assert_eq!(further_back.connection().retransmissions, 1);
    let fin = asked().fin(Client).back(1).fin(Client);
    assert_eq!(fin.connection().retransmissions, 1);
}

#[test]
fn a_keep_alive_after_a_fin_repeats_the_fins_number() {
    let talk = asked().fin(Client).ack(Server);
    let talk = talk.back(1).send(Client, ACK, b"\0");
    assert_eq!(talk.verdict(), (ClientGaveUp, CERTAIN));
    assert_eq!(talk.connection().hidden_bytes, 0);
}

#[test]
fn the_first_byte_of_a_side_that_was_not_seen_before_is_a_keep_alive() {
    let talk = Talk::joined().back(1).send(Client, ACK, b"\0");
    let talk = talk
        .ack(Server)
        .say(Client, GET)
        .say(Server, EMPTY)
        .ack(Client);
    let seen = talk.seen();
    assert_eq!(seen.exchanges.len(), 1);
    assert_eq!(seen.exchanges[0].bytes(), (18, 38));
    assert_eq!(seen.connections[0].hidden_bytes, 0);
}

#[test]
fn the_first_byte_of_a_server_that_was_not_seen_before_is_a_keep_alive() {
    let talk = Talk::joined().back(1).send(Server, ACK, b"\0");
    let exchange = talk
        .say(Client, GET)
        .say(Server, EMPTY)
        .ack(Client)
        .exchange();
    assert_eq!(exchange.statuses(), (Some(200), None));
}

#[test]
fn a_fin_with_the_last_byte_that_comes_again_is_no_keep_alive() {
    let talk = Talk::opened().say(Client, &GET[..17]);
    let talk = talk.send(Client, FIN.with(ACK), &GET[17..]);
    let again = talk.back(2).send(Client, FIN.with(ACK), &GET[17..]);
    assert_eq!(again.connection().retransmissions, 1);
}

// Repeats.

#[test]
fn a_retransmission_costs_from_the_first_sighting_to_the_ack() {
    let talk = Talk::opened()
        .say(Client, GET)
        .after(200.0)
        .back(18)
        .say(Client, GET)
        .after(5.0)
        .ack(Server);
    assert_eq!(of_kind(&talk, Retransmission), [(vec![4, 5, 6], 205)]);
    assert_eq!(talk.connection().retransmissions, 1);
}

#[test]
fn a_repeat_after_the_covering_ack_costs_nothing() {
    let talk = asked().back(18).say(Client, GET).ack(Server);
    assert_eq!(of_kind(&talk, Retransmission), []);
    assert_eq!(talk.connection().retransmissions, 1);
}

#[test]
fn a_retransmission_belongs_to_the_message_whose_bytes_were_repeated() {
    let talk = asked()
        .say(Server, EMPTY)
        .after(200.0)
        .back(38)
        .say(Server, EMPTY);
    let talk = talk.ack(Client).say(Client, GET).ack(Server);
    let seen = talk.seen();
    assert_eq!(
        seen.exchanges[0].findings(),
        [(Retransmission, vec![6, 7, 8], 201)]
    );
    assert_eq!(seen.exchanges[1].findings(), []);
}

#[test]
fn a_segment_with_one_new_byte_is_no_retransmission() {
    let talk = asked().say(Server, HEAD_OF_300).say(Server, BODY);
    let talk = talk.back(100).say(Server, [b'x'; 101]);
    assert_eq!(talk.connection().retransmissions, 0);
}

#[test]
fn what_a_repeat_adds_is_new() {
    let talk = asked()
        .say(Server, &EMPTY[..20])
        .back(20)
        .say(Server, EMPTY);
    let exchange = talk.too_much(18).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.event("response_start"), Some(6));
    assert_eq!(exchange.event("response_end"), Some(7));
}

#[test]
fn what_a_repeat_adds_is_retransmitted_by_itself() {
    // Bytes 0 to 20 in frame 6, 0 to 38 in frame 7, 20 to 38 again in frame 8.
    let talk = asked()
        .say(Server, &EMPTY[..20])
        .back(20)
        .say(Server, EMPTY);
    let talk = talk.after(100.0).say(Server, &EMPTY[20..]).ack(Client);
    assert_eq!(of_kind(&talk, Retransmission), [(vec![7, 8, 9], 101)]);
}

#[test]
fn what_a_repeat_repeats_is_not_in_flight_again() {
    // Bytes 0 to 20, 0 to 38, the ACK of 20, and 0 to 20 once more, which were acknowledged by
    // then.
    let talk = asked()
        .say(Server, &EMPTY[..20])
        .back(20)
        .say(Server, EMPTY);
    let talk = talk.ack(Client).back(20).say(Server, &EMPTY[..20]);
    let talk = talk.too_much(18).ack(Client);
    assert_eq!(of_kind(&talk, Retransmission), []);
}

#[test]
fn one_ack_may_end_several_retransmissions() {
    let talk = asked().say(Server, HEAD_OF_300).say(Server, [b'x'; 300]);
    let talk = talk.back(340).say(Server, HEAD_OF_300);
    let talk = talk.back(300).say(Server, [b'x'; 300]).ack(Client);
    let expected = [(vec![6, 8, 10], 4), (vec![7, 9, 10], 3)];
    assert_eq!(of_kind(&talk, Retransmission), expected);
}

#[test]
fn a_held_segment_that_comes_again_is_a_retransmission() {
    let talk = asked().say(Server, HEAD_OF_300).missing().say(Server, BODY);
    let talk = talk.say(Server, BODY).back(100).say(Server, BODY);
    assert_eq!(talk.connection().retransmissions, 1);
    let talk = talk.back(200).say(Server, BODY).ack(Client);
    assert_eq!(of_kind(&talk, Retransmission), [(vec![8, 9, 11], 3)]);
}

#[test]
fn bytes_far_from_everything_are_neither_data_nor_repeats() {
    for far in [1 << 30, (1 << 30) - 10] {
        let talk = asked().ahead(far).say(Server, EMPTY);
        assert_eq!(talk.verdict(), doubtful(Unanswered, CaptureEnded));
        assert_eq!(talk.connection().retransmissions, 0);
    }
}

// Delayed acknowledgments.

/// A client that holds back the second segment until the first, of `len` bytes, is acknowledged
/// after so many milliseconds, and goes on so many later. Both sides announce a segment size of
/// 1000 bytes.
fn stalled(len: usize, acked_after: f64, goes_on_after: f64) -> Talk {
    let head = format!("POST / HTTP/1.1\r\nContent-Length: {len}\r\n\r\n");
    let first = [head.as_bytes(), &vec![b'x'; len - head.len()]].concat();
    handshake(1000, 1000)
        .say(Client, first)
        .after(acked_after)
        .ack(Server)
        .after(goes_on_after)
        .say(Client, vec![b'x'; head.len()])
}

fn handshake(client_mss: u16, server_mss: u16) -> Talk {
    let talk = Talk::new().mss(client_mss).syn(Client);
    talk.mss(server_mss).syn_ack().ack(Client)
}

#[test]
fn a_sender_that_goes_on_at_once_after_a_late_ack_was_stalled_by_it() {
    let talk = stalled(100, 40.0, 0.05);
    assert_eq!(of_kind(&talk, DelayedAckStall), [(vec![4, 5, 6], 40)]);
    let cost = of_kind(&stalled(100, 39.99, 0.09), DelayedAckStall);
    assert_eq!(cost, [(vec![4, 5, 6], 39)], "up to the ACK");
}

#[test]
fn an_ack_is_late_after_30_ms() {
    let late = |millis| of_kind(&stalled(100, millis, 0.05), DelayedAckStall).len();
    assert_eq!(late(30.0), 1);
    assert_eq!(late(29.999), 0);
}

#[test]
fn a_sender_goes_on_at_once_within_100_us() {
    let stall = |millis| of_kind(&stalled(100, 40.0, millis), DelayedAckStall).len();
    assert_eq!(stall(0.1), 1);
    assert_eq!(stall(0.101), 0);
}

#[test]
fn a_full_segment_does_not_wait_for_an_ack() {
    let stall = |len| of_kind(&stalled(len, 40.0, 0.05), DelayedAckStall).len();
    // Options take up to 40 bytes of a full segment.
    assert_eq!(stall(959), 1);
    assert_eq!(stall(960), 0);
}

#[test]
fn what_a_full_segment_is_the_smaller_announcement_says() {
    for (client, server, stalls) in [(500, 1000, 0), (1000, 500, 0), (700, 700, 1)] {
        let talk = handshake(client, server).say(Client, POST_HEAD);
        let talk = talk.say(Client, [b'x'; 199]).ack(Server).after(0.05);
        let talk = talk.say(Client, b"x");
        assert_eq!(of_kind(&talk, DelayedAckStall), [], "an ACK in time");
        let talk = handshake(client, server);
        let head = b"POST / HTTP/1.1\r\nContent-Length: 501\r\n\r\n";
        let talk = talk.say(Client, [&head[..], &[b'x'; 460]].concat());
        let talk = talk.after(40.0).ack(Server).after(0.05);
        let talk = talk.say(Client, [b'x'; 41]);
        assert_eq!(of_kind(&talk, DelayedAckStall).len(), stalls);
    }
}

#[test]
fn a_segment_size_is_announced_once() {
    let talk = Talk::new().mss(1000).syn(Client);
    let talk = talk.mss(500).back(1).syn(Client);
    let talk = talk.mss(1000).syn_ack().ack(Client);
    let head = b"POST / HTTP/1.1\r\nContent-Length: 501\r\n\r\n";
    let talk = talk.say(Client, [&head[..], &[b'x'; 460]].concat());
    let talk = talk.after(40.0).ack(Server).after(0.05);
    let talk = talk.say(Client, [b'x'; 41]);
    assert_eq!(of_kind(&talk, DelayedAckStall).len(), 1);
}

#[test]
fn what_a_full_segment_is_the_largest_seen_says_where_nothing_was_announced() {
    let head = b"POST / HTTP/1.1\r\nContent-Length: 600\r\n\r\n";
    let full = [&head[..], &[b'x'; 260]].concat();
    let stall = |second: usize| {
        let talk = Talk::opened()
            .say(Client, &full)
            .say(Client, vec![b'x'; second]);
        let talk = talk.after(40.0).ack(Server).after(0.05);
        of_kind(&talk.say(Client, b"x"), DelayedAckStall).len()
    };
    assert_eq!(stall(259), 1);
    assert_eq!(stall(260), 0);
}

#[test]
fn only_a_bare_ack_is_a_delayed_one() {
    let talk = handshake(1000, 1000).say(Client, POST_HEAD).after(40.0);
    let talk = talk
        .say(Server, b"HTTP/1.1 100 Continue\r\n\r\n")
        .after(0.05);
    let talk = talk.say(Client, [b'x'; 200]);
    assert_eq!(of_kind(&talk, DelayedAckStall), []);
}

#[test]
fn only_the_next_segment_was_stalled() {
    let talk = handshake(1000, 1000).say(Client, POST_HEAD).after(40.0);
    let talk = talk.ack(Server).after(0.05).say(Client, BODY);
    let talk = talk.after(0.01).say(Client, BODY);
    assert_eq!(of_kind(&talk, DelayedAckStall), [(vec![4, 5, 6], 40)]);
}

#[test]
fn an_ack_of_several_segments_stalled_the_last_of_them() {
    let talk = handshake(1000, 1000)
        .say(Client, POST_HEAD)
        .say(Client, BODY);
    let talk = talk.after(40.0).ack(Server).after(0.05).say(Client, BODY);
    assert_eq!(of_kind(&talk, DelayedAckStall), [(vec![5, 6, 7], 40)]);
}

#[test]
fn a_reset_opens_no_window_and_says_no_data() {
    let talk = asked().window(Server, 0).ack(Server).after(60.0);
    let talk = talk.window(Server, 64_000).send(Server, RST.with(ACK), b"");
    assert_eq!(of_kind(&talk, ZeroWindow), [(vec![6], 60)]);
}

#[test]
fn an_ack_that_took_one_round_trip_was_not_delayed() {
    let stalls = |trip: f64, waited: f64| {
        let talk = Talk::new().mss(1000).syn(Client).after(trip).mss(1000);
        let talk = talk.syn_ack().after(0.0).ack(Client).say(Client, POST_HEAD);
        let talk = talk.after(waited).ack(Server).after(0.05);
        of_kind(&talk.say(Client, BODY), DelayedAckStall).len()
    };
    assert_eq!(stalls(100.0, 100.0), 0);
    assert_eq!(stalls(100.0, 149.0), 0);
    assert_eq!(stalls(100.0, 150.0), 1);
    assert_eq!(stalls(1.0, 30.0), 1);
}

#[test]
fn where_no_round_trip_is_known_none_is_exceeded() {
    let joined = |talk: Talk| {
        let talk = talk.say(Client, POST_HEAD).after(40.0).ack(Server);
        of_kind(&talk.after(0.05).say(Client, [b'x'; 200]), DelayedAckStall).len()
    };
    assert_eq!(joined(Talk::joined()), 0);
}
