//! Which response answers which request, and when nobody can tell.

use super::talk::{
    ACK,
    End::{Client, Server},
    FIN, Talk,
};
use super::{BODY, CERTAIN, EMPTY, GET, HEAD_OF_300, doubtful};
use crate::exchange::model::{
    Doubt::{CaptureEnded, CaptureStartedLate, SequenceHole, Snaplen, Unreadable},
    Protocol,
    Verdict::*,
};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
const NO_HTTP: &[u8] = b"-ERR unknown command\r\n";
const CHUNKED_RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
const QUERY: &[u8] = b"QUERY / HTTP/1.1\r\n\r\n";

/// A request head of 40 bytes that announces a body of 100.
const POST_OF_100: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n";

/// A request head of 47 bytes.
const CHUNKED_POST: &[u8] = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

fn asked() -> Talk {
    Talk::opened().say(Client, GET).ack(Server)
}

/// One exchange, over and done with.
fn one_done() -> Talk {
    asked().say(Server, EMPTY).ack(Client)
}

/// Two requests, of which the second does not wait for the answer to the first.
fn two_asked() -> Talk {
    let talk = Talk::opened().say(Client, b"GET /1 HTTP/1.1\r\n\r\n");
    talk.say(Client, b"GET /2 HTTP/1.1\r\n\r\n").ack(Server)
}

/// Another request, its answer, and the client's ACK of it.
fn another(talk: Talk) -> Talk {
    talk.say(Client, GET).say(Server, EMPTY).ack(Client)
}

fn statuses(talk: &Talk) -> Vec<Option<u16>> {
    let exchanges = talk.seen().exchanges;
    exchanges.iter().map(|one| one.statuses().0).collect()
}

// First in, first out.

#[test]
fn responses_answer_requests_in_their_order() {
    let talk = two_asked().say(Server, EMPTY).say(Server, NOT_FOUND);
    let talk = talk.ack(Client);
    let seen = talk.seen();
    assert_eq!(talk.verdicts(), [(Ok, CERTAIN), (Ok, CERTAIN)]);
    assert_eq!(statuses(&talk), [Some(200), Some(404)]);
    assert_eq!(seen.exchanges[0].gap("after_previous"), None);
    assert_eq!(seen.exchanges[1].gap("after_previous"), Some(1));
    assert_eq!(seen.exchanges[1].gap("idle_before"), None);
}

#[test]
fn several_messages_may_share_a_segment() {
    let talk = Talk::opened().say(Client, [GET, GET].concat());
    let talk = talk.say(Server, [EMPTY, NOT_FOUND].concat()).ack(Client);
    assert_eq!(talk.verdicts(), [(Ok, CERTAIN), (Ok, CERTAIN)]);
    assert_eq!(statuses(&talk), [Some(200), Some(404)]);
}

#[test]
fn an_exchange_was_idle_since_the_response_before_it() {
    let seen = another(one_done().after(300.0)).seen();
    assert_eq!(seen.exchanges[1].gap("idle_before"), Some(301));
    assert_eq!(seen.exchanges[1].gap("after_previous"), None);
}

#[test]
fn the_close_of_one_exchange_ends_all_that_wait_behind_it() {
    let talk = two_asked().say(Server, EMPTY).ack(Client).rst(Client);
    assert_eq!(talk.verdicts(), [(Ok, CERTAIN), (ClientGaveUp, CERTAIN)]);
}

// What is no answer.

#[test]
fn an_interim_response_is_no_response() {
    let talk = Talk::opened()
        .say(Client, POST_OF_100)
        .say(Server, CONTINUE);
    let sent = talk.clone().say(Client, BODY).ack(Server);
    let exchange = sent.clone().say(Server, EMPTY).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.event("response_start"), Some(8));
    assert_eq!(exchange.interim(), [(5, 100)]);
    assert_eq!(exchange.bytes(), (140, 38));
    let gave_up = sent.rst(Client);
    assert_eq!(gave_up.verdict(), (ClientGaveUp, CERTAIN));
    assert_eq!(talk.rst(Client).verdict(), (ClientAbortedRequest, CERTAIN));
}

#[test]
fn half_an_interim_response_is_no_response() {
    let talk = asked().say(Server, &CONTINUE[..20]).rst(Client);
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict(), (ClientGaveUp, CERTAIN));
    assert_eq!(exchange.statuses(), (None, None));
}

#[test]
fn half_a_response_head_is_a_response() {
    let half = asked().say(Server, &EMPTY[..20]);
    let gave_up = half.clone().rst(Client).exchange();
    assert_eq!(gave_up.verdict(), (ClientGaveUpMidResponse, CERTAIN));
    assert_eq!(gave_up.statuses(), (Some(200), None));
    assert_eq!(gave_up.bytes(), (18, 20));
    let truncated = half.fin(Server);
    assert_eq!(truncated.verdict(), (ServerTruncatedResponse, CERTAIN));
    let unknown = asked().say(Server, &EMPTY[..11]).rst(Client);
    assert_eq!(
        unknown.verdict(),
        doubtful(ClientGaveUpMidResponse, SequenceHole)
    );
}

#[test]
fn a_response_without_a_request_is_never_paired_forward() {
    let talk = Talk::opened().say(Server, EMPTY).say(Client, GET);
    let seen = talk.clone().seen();
    assert_eq!(seen.connections[0].orphan_responses, 1);
    assert_eq!(talk.verdict(), doubtful(Unanswered, CaptureEnded));
    let answered = talk.say(Server, NOT_FOUND).ack(Client);
    assert_eq!(statuses(&answered), [Some(404)]);
}

#[test]
fn the_rest_of_a_response_without_a_request_is_not_the_next_ones_answer() {
    let talk = Talk::opened().say(Server, HEAD_OF_300).say(Client, GET);
    let rest = talk.say(Server, [b'x'; 300]);
    let unanswered = rest.clone().rst(Client).exchange();
    assert_eq!(unanswered.bytes(), (18, 0));
    let exchange = rest.say(Server, NOT_FOUND).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.statuses(), (Some(404), None));
    assert_eq!(exchange.bytes(), (18, 45));
}

#[test]
fn a_greeting_is_no_answer() {
    let talk = Talk::opened().say(Server, NO_HTTP).say(Client, GET);
    let exchange = talk.say(Server, EMPTY).ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
}

#[test]
fn bytes_that_are_no_http_where_an_answer_was_due_end_the_pairing() {
    let talk = asked().say(Server, NO_HTTP).ack(Client);
    assert_eq!(talk.verdict(), (ServerInvalidResponse, CERTAIN));
    let asked_again = another(talk);
    assert_eq!(asked_again.verdicts().len(), 1);
    assert_eq!(asked_again.connection().hidden_bytes, 18);
}

#[test]
fn bytes_that_are_no_http_hide_the_answers_to_the_requests_behind() {
    let talk = two_asked().say(Server, NO_HTTP).ack(Client);
    let verdicts = talk.verdicts();
    assert_eq!(verdicts[0], (ServerInvalidResponse, CERTAIN));
    assert_eq!(verdicts[1], doubtful(Ok, Unreadable));
}

#[test]
fn of_answers_hidden_by_what_is_no_http_the_client_left_if_it_had_taken_nothing() {
    let talk = two_asked().say(Server, NO_HTTP).unaware().rst(Client);
    assert_eq!(talk.verdicts()[1].0, ClientGaveUp);
}

#[test]
fn a_response_that_stops_being_one_keeps_its_beginning() {
    let talk = asked().say(Server, CHUNKED_RESPONSE);
    let talk = talk.say(Server, b"no chunk\r\n").ack(Client);
    let exchange = talk.exchange();
    assert_eq!(exchange.verdict(), (ServerInvalidResponse, CERTAIN));
    assert_eq!(exchange.statuses(), (Some(200), None));
    assert_eq!(exchange.event("response_start"), Some(6));
    assert_eq!(exchange.bytes(), (18, 47));
}

#[test]
fn two_sides_that_speak_no_http_make_no_exchange() {
    let talk = Talk::opened().say(Client, b"PING").say(Server, NO_HTTP);
    let seen = talk.seen();
    assert_eq!(seen.exchanges.len(), 0);
    assert_eq!(seen.connections[0].protocol, Protocol::Unknown);
}

// Methods and statuses that change what follows.

#[test]
fn the_response_to_head_has_no_body() {
    let talk = Talk::opened().say(Client, b"HEAD / HTTP/1.1\r\n\r\n");
    let talk = talk.say(Server, HEAD_OF_300).ack(Client);
    assert_eq!(talk.verdict(), (Ok, CERTAIN));
    let talk = talk.say(Client, GET).say(Server, NOT_FOUND).ack(Client);
    assert_eq!(statuses(&talk), [Some(200), Some(404)]);
}

#[test]
fn a_client_that_leaves_after_the_whole_of_a_response_without_a_body_gave_up_nothing() {
    let talk = Talk::opened().say(Client, b"HEAD / HTTP/1.1\r\n\r\n");
    let talk = talk.say(Server, HEAD_OF_300).rst(Client);
    assert_eq!(talk.verdict(), doubtful(Ok, SequenceHole));
}

#[test]
fn after_101_nothing_is_http() {
    let talk = Talk::opened().say(Client, UPGRADE);
    let talk = talk.say(Server, b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    let talk = talk.say(Client, GET).say(Server, EMPTY).rst(Client);
    assert_eq!(talk.verdict(), (Upgraded, CERTAIN));
    assert_eq!(talk.connection().orphan_responses, 0);
    assert_eq!(talk.connection().hidden_bytes, 0);
}

#[test]
fn a_connect_that_is_granted_is_a_tunnel_and_one_that_is_refused_is_none() {
    let connect = Talk::opened().say(Client, b"CONNECT a:443 HTTP/1.1\r\n\r\n");
    let tunnel = connect.clone().say(Server, b"HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(another(tunnel).verdict(), (Upgraded, CERTAIN));
    let refused = connect.say(Server, NOT_FOUND).ack(Client);
    assert_eq!(another(refused).verdicts(), [(Ok, CERTAIN), (Ok, CERTAIN)]);
}

// Requests that are not whole.

#[test]
fn an_answer_to_half_a_request_head_makes_it_a_request() {
    let talk = Talk::opened().say(Client, &GET[..7]).say(Server, NOT_FOUND);
    let exchange = talk.fin(Server).ack(Client).fin(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.method(), Some("GET"));
}

#[test]
fn an_answer_to_half_a_method_is_doubtful() {
    let talk = Talk::opened().say(Client, b"GE").say(Server, NOT_FOUND);
    let exchange = talk.fin(Server).ack(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, SequenceHole));
    assert_eq!(exchange.method(), None);
}

#[test]
fn half_a_request_head_is_a_request_on_a_connection_that_speaks_http() {
    let first = Talk::opened().say(Client, b"QUERY /se");
    assert_eq!(first.verdicts(), []);
    let known = Talk::opened().say(Client, b"GET /se");
    assert_eq!(known.verdict(), doubtful(Unanswered, CaptureEnded));
    let second = one_done().say(Client, b"QUERY /se");
    assert_eq!(second.verdicts()[1], doubtful(Unanswered, CaptureEnded));
}

#[test]
fn a_request_that_cannot_be_read_to_its_end_goes_on_until_it_is_answered() {
    let talk = Talk::opened().say(Client, CHUNKED_POST);
    let talk = talk.say(Client, b"no chunk\r\n").say(Client, BODY);
    let talk = talk.say(Server, EMPTY).say(Client, BODY).ack(Server);
    let exchange = talk.ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.event("request_end"), Some(6));
    assert_eq!(exchange.event("request_acked"), Some(7));
    assert_eq!(exchange.bytes().0, 157);
}

#[test]
fn a_request_that_cannot_be_read_to_its_end_and_was_not_answered_is_doubtful() {
    let talk = Talk::opened().say(Client, CHUNKED_POST);
    let talk = talk.say(Client, b"no chunk\r\n").ack(Server);
    let exchange = talk.rst(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(ClientGaveUp, Unreadable));
    assert_eq!(exchange.event("request_end"), Some(5));
}

#[test]
fn the_snap_length_cuts_a_requests_head_and_that_is_told() {
    let talk = Talk::opened()
        .cut_to(10)
        .say(Client, GET)
        .say(Server, EMPTY);
    let exchange = talk.ack(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, Snaplen));
    assert_eq!(exchange.method(), Some("GET"));
    assert_eq!(exchange.event("request_end"), Some(4));
    assert_eq!(exchange.bytes(), (18, 38));
}

#[test]
fn the_snap_length_cuts_a_requests_body_without_harm() {
    let talk = Talk::opened().say(Client, POST_OF_100);
    let talk = talk.cut_to(10).say(Client, BODY).say(Server, EMPTY);
    let exchange = talk.ack(Client).exchange();
    assert_eq!(exchange.verdict(), (Ok, CERTAIN));
    assert_eq!(exchange.event("request_end"), Some(5));
}

#[test]
fn the_snap_length_cuts_what_follows_a_body_in_its_segment() {
    let both = [&BODY[..], GET].concat();
    let talk = Talk::opened().say(Client, POST_OF_100);
    let talk = talk.cut_to(10).say(Client, both).say(Server, EMPTY);
    let seen = talk.say(Server, EMPTY).ack(Client).seen();
    assert_eq!(seen.exchanges.len(), 1);
    assert_eq!(seen.exchanges[0].event("request_end"), Some(5));
    assert_eq!(seen.connections[0].hidden_bytes, 18);
}

#[test]
fn the_snap_length_cuts_chunks_and_the_request_ends_with_the_cut() {
    let chunks = [b"64\r\n", &BODY[..], b"\r\n0\r\n\r\n"].concat();
    let talk = Talk::opened().say(Client, CHUNKED_POST);
    let talk = talk.cut_to(2).say(Client, chunks).ack(Server);
    let exchange = talk.rst(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(ClientGaveUp, Snaplen));
    assert_eq!(exchange.event("request_end"), Some(5));
    assert_eq!(exchange.bytes().0, 158);
}

#[test]
fn the_last_byte_of_a_request_may_be_missing() {
    let talk = Talk::opened().say(Client, POST_OF_100);
    let talk = talk.missing().say(Client, BODY).ack(Server);
    let exchange = talk.clone().rst(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(ClientGaveUp, SequenceHole));
    assert_eq!(exchange.event("request_end"), None);
    assert_eq!(exchange.bytes().0, 140);
    let answered = talk.say(Server, EMPTY).ack(Client);
    assert_eq!(answered.verdict(), (Ok, CERTAIN));
}

#[test]
fn a_hole_inside_chunks_leaves_the_requests_end_unknown() {
    let talk = Talk::opened().say(Client, CHUNKED_POST);
    let talk = talk.missing().say(Client, BODY);
    let talk = talk.ack(Server).say(Client, BODY).ack(Server);
    let gave_up = talk.clone().rst(Client).exchange();
    assert_eq!(gave_up.verdict(), doubtful(ClientGaveUp, SequenceHole));
    assert_eq!(gave_up.event("request_end"), Some(7));
    let answered = talk.say(Server, EMPTY).ack(Client);
    assert_eq!(answered.verdict(), (Ok, CERTAIN));
}

#[test]
fn a_hole_inside_a_requests_head_is_told() {
    let talk = Talk::opened().say(Client, &GET[..10]);
    let talk = talk.missing().say(Client, &GET[10..]).ack(Server);
    let answered = talk.clone().say(Server, EMPTY).ack(Client);
    assert_eq!(answered.verdict(), doubtful(Ok, SequenceHole));
    assert_eq!(talk.rst(Client).verdict().1, Some(SequenceHole));
}

#[test]
fn a_hole_that_leaves_no_request_line_leaves_no_request() {
    let talk = Talk::opened().say(Client, &GET[..3]);
    let talk = talk.missing().say(Client, &GET[3..]).ack(Server);
    let seen = talk.say(Server, EMPTY).ack(Client).seen();
    assert_eq!(seen.exchanges.len(), 0);
    assert_eq!(seen.connections[0].orphan_responses, 1);
}

// Where pairing begins anew, and how sure it is.

/// After one exchange a request is missing that was answered all the same.
fn one_missing() -> Talk {
    let talk = one_done().missing().say(Client, GET);
    talk.say(Server, EMPTY).ack(Client)
}

/// The beginning of the answer is missing, but the client took it.
fn answer_missing(talk: Talk) -> Talk {
    let talk = talk.ack(Server).missing().say(Server, &EMPTY[..20]);
    talk.say(Server, &EMPTY[20..]).ack(Client)
}

#[test]
fn a_method_that_begins_after_a_hole_is_whole_if_it_is_a_usual_one() {
    assert_eq!(another(one_missing()).verdicts()[1], (Ok, CERTAIN));
    let query = |talk: Talk| talk.say(Client, QUERY).say(Server, EMPTY).ack(Client);
    let odd = query(one_missing());
    assert_eq!(odd.verdicts()[1], doubtful(Ok, SequenceHole));
    assert_eq!(query(odd).verdicts()[2], (Ok, CERTAIN));
    assert_eq!(query(one_done()).verdicts()[1], (Ok, CERTAIN));
}

#[test]
fn a_request_that_is_answered_before_it_is_acknowledged_may_not_be_the_one() {
    // The missing request is acknowledged, its answer comes behind the next one.
    let talk = one_missing().say(Client, GET);
    let late = talk.all_but(18).say(Server, EMPTY).ack(Client);
    assert_eq!(late.verdicts()[1], doubtful(Ok, SequenceHole));
}

#[test]
fn a_request_inside_a_segment_is_no_boundary() {
    let talk = one_missing().say(Client, [b"\0", GET].concat());
    let seen = talk.say(Server, EMPTY).ack(Client).seen();
    assert_eq!(seen.exchanges.len(), 1);
    assert_eq!(seen.connections[0].hidden_bytes, 37);
}

#[test]
fn a_request_before_the_answer_to_what_is_missing_is_no_boundary() {
    let talk = one_done().missing().say(Client, GET).ack(Server);
    let talk = another(talk);
    assert_eq!(talk.verdicts().len(), 1);
    assert_eq!(talk.connection().hidden_bytes, 36);
    // From now on it is known not to wait for answers: no pairing is sure again.
    let talk = another(talk);
    assert_eq!(talk.verdicts()[1], doubtful(Ok, SequenceHole));
}

#[test]
fn a_request_while_the_one_before_is_being_answered_is_no_boundary() {
    let talk = asked().missing().say(Client, GET).say(Server, HEAD_OF_300);
    let seen = talk.ack(Client).say(Client, GET).seen();
    assert_eq!(seen.exchanges.len(), 1);
}

#[test]
fn bytes_missing_while_an_answer_was_due_may_be_a_request_that_did_not_wait() {
    let talk = asked().missing().say(Client, GET).say(Server, EMPTY);
    let talk = talk.ack(Client).say(Server, EMPTY).ack(Client);
    let verdicts = another(talk).verdicts();
    assert_eq!(verdicts[0], (Ok, CERTAIN));
    assert_eq!(verdicts[1], doubtful(Ok, SequenceHole));
}

#[test]
fn an_answer_that_was_lost_ends_with_the_next_request() {
    let talk = answer_missing(asked())
        .say(Client, GET)
        .say(Server, NOT_FOUND);
    let talk = talk.ack(Client);
    assert_eq!(talk.verdicts(), [doubtful(Ok, SequenceHole), (Ok, CERTAIN)]);
    assert_eq!(statuses(&talk), [None, Some(404)]);
}

#[test]
fn the_last_byte_of_an_answer_of_which_nothing_was_seen_may_be_a_fin_or_the_next_ones_first() {
    let talk = asked().missing().say(Server, EMPTY).ack(Client);
    let unread = doubtful(Ok, SequenceHole);
    assert_eq!(another(talk).verdicts(), [unread, unread]);
}

#[test]
fn an_answer_that_was_partly_lost_ends_with_the_last_byte_before_the_next_request() {
    let lost = asked().say(Server, CHUNKED_RESPONSE);
    let lost = lost.missing().say(Server, BODY);
    let talk = another(lost.say(Server, b"\r\n0\r\n\r\n").ack(Client));
    let seen = talk.seen();
    assert_eq!(talk.verdicts(), [doubtful(Ok, SequenceHole), (Ok, CERTAIN)]);
    assert_eq!(seen.exchanges[0].event("response_end"), Some(8));
    assert_eq!(seen.exchanges[0].event("response_acked"), Some(9));
    assert_eq!(seen.exchanges[1].gap("idle_before"), Some(2));
}

#[test]
fn what_answers_a_request_that_asked_for_an_upgrade_may_have_opened_a_tunnel() {
    let lost = |request| {
        let talk = answer_missing(Talk::opened().say(Client, request));
        another(talk).verdicts()[1]
    };
    assert_eq!(lost(UPGRADE), doubtful(Ok, SequenceHole));
    assert_eq!(lost(GET), (Ok, CERTAIN));
}

#[test]
fn no_http_after_a_stretch_that_could_not_be_read_may_be_a_rest_of_it() {
    let talk = answer_missing(asked())
        .say(Client, GET)
        .say(Server, NO_HTTP);
    assert_eq!(
        talk.ack(Client).verdicts()[1],
        doubtful(ServerInvalidResponse, SequenceHole)
    );
    let talk = another(answer_missing(asked())).say(Client, GET);
    let talk = talk.say(Server, NO_HTTP).ack(Client);
    assert_eq!(talk.verdicts()[2], (ServerInvalidResponse, CERTAIN));
}

#[test]
fn a_lost_answer_that_the_next_request_did_not_wait_for_leaves_its_pairing_in_doubt() {
    let talk = answer_missing(asked())
        .say(Client, GET)
        .say(Client, GET)
        .ack(Server);
    let talk = talk
        .say(Server, NOT_FOUND)
        .say(Server, NOT_FOUND)
        .ack(Client);
    let verdicts = talk.verdicts();
    assert_eq!(verdicts[0], doubtful(Ok, SequenceHole));
    assert_eq!(verdicts[1..], [(Ok, CERTAIN), (Ok, CERTAIN)]);
}

#[test]
fn every_answer_that_was_due_when_the_server_was_lost_is_unread() {
    let talk = two_asked().missing().say(Server, EMPTY);
    let talk = talk.say(Server, NOT_FOUND).ack(Client);
    let unread = doubtful(Ok, SequenceHole);
    assert_eq!(talk.verdicts(), [unread, unread]);
}

// Captures that start late.

#[test]
fn the_first_exchange_of_a_late_capture_is_doubtful_and_the_next_is_not() {
    let talk = another(Talk::joined());
    assert_eq!(talk.verdict(), doubtful(Ok, CaptureStartedLate));
    assert_eq!(another(talk).verdicts()[1], (Ok, CERTAIN));
}

#[test]
fn a_late_capture_of_a_client_that_does_not_wait_is_never_sure() {
    let talk = Talk::joined().say(Client, GET).say(Client, GET);
    let talk = talk.say(Server, EMPTY).say(Server, EMPTY).ack(Client);
    let late = doubtful(Ok, CaptureStartedLate);
    assert_eq!(another(talk).verdicts(), [late, late, late]);
}

#[test]
fn the_second_request_of_a_late_capture_is_sure_only_if_all_before_was_taken() {
    let talk = Talk::joined().say(Client, GET).say(Server, EMPTY);
    assert_eq!(another(talk.clone()).verdicts()[1], (Ok, CERTAIN));
    let not_taken = talk.unaware().say(Client, GET).say(Server, EMPTY);
    let verdicts = not_taken.ack(Client).verdicts();
    assert_eq!(verdicts[1], doubtful(Ok, CaptureStartedLate));
}

#[test]
fn a_late_capture_may_begin_inside_a_method() {
    let talk = Talk::joined().say(Client, QUERY).say(Server, EMPTY);
    let verdict = talk.ack(Client).verdict();
    assert_eq!(verdict, doubtful(Ok, CaptureStartedLate));
}

#[test]
fn a_late_capture_may_begin_with_the_rest_of_an_answer() {
    let rest = another(Talk::joined().say(Server, BODY).ack(Client));
    assert_eq!(rest.exchange().statuses(), (Some(200), None));
    let orphan = Talk::joined().say(Server, EMPTY).ack(Client);
    let orphan = orphan.say(Client, GET).say(Server, NOT_FOUND).ack(Client);
    assert_eq!(orphan.connection().orphan_responses, 1);
    assert_eq!(orphan.exchange().statuses(), (Some(404), None));
}

#[test]
fn a_close_in_a_late_capture_is_doubtful_only_if_the_server_has_said_something() {
    let silent = Talk::joined().say(Client, GET).ack(Server).rst(Client);
    assert_eq!(silent.verdict(), (ClientGaveUp, CERTAIN));
    let told = Talk::joined().say(Client, GET).say(Server, BODY);
    assert_eq!(told.rst(Client).verdict().1, Some(CaptureStartedLate));
}

// What the end of the capture leaves.

#[test]
fn a_response_without_an_end_ends_with_the_last_byte_seen() {
    let lost = asked().say(Server, CHUNKED_RESPONSE);
    let lost = lost.missing().say(Server, BODY).say(Server, BODY);
    let exchange = lost.clone().ack(Client).exchange();
    assert_eq!(exchange.verdict(), doubtful(Ok, SequenceHole));
    assert_eq!(exchange.event("response_end"), Some(8));
    assert_eq!(exchange.event("response_acked"), Some(9));
    assert_eq!(exchange.bytes(), (18, 247));
    let closed = lost.send(Server, FIN.with(ACK), b"").ack(Client);
    assert_eq!(closed.verdict(), doubtful(Ok, SequenceHole));
}
