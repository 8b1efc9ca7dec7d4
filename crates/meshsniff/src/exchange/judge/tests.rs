//! The rules of the verdicts: which close decides, and what it means.
//!
//! | module | holds |
//! |---|---|
//! | `case` | what a test says was seen |
//! | `doubts` | when a verdict is certain, and which of several doubts is told |
//! | `settled` | events, gaps, bytes, flags and findings |

mod case;
mod doubts;
mod settled;

use crate::exchange::model::{
    AckWith::Bare,
    Doubt::{self, *},
    Verdict::{self, *},
};
use case::{Case, fin, rst};

const CERTAIN: Option<Doubt> = None;

const fn doubtful(verdict: Verdict, doubt: Doubt) -> (Verdict, Option<Doubt>) {
    (verdict, Some(doubt))
}

// The whole response.

#[test]
fn a_whole_response_that_the_client_took_is_ok() {
    assert_eq!(Case::taken().verdict(), (Ok, CERTAIN));
}

#[test]
fn a_whole_response_is_ok_whoever_closes_after_it() {
    for close in [fin(30), rst(30), rst(30).bare()] {
        assert_eq!(Case::taken().client(close).verdict(), (Ok, CERTAIN));
        assert_eq!(Case::taken().server(close).verdict(), (Ok, CERTAIN));
    }
}

#[test]
fn after_101_or_a_connect_no_close_has_to_do_with_the_exchange() {
    let case = Case::asked()
        .response_begins(1000..1100, 20)
        .upgraded()
        .client(rst(30))
        .server(fin(29));
    assert_eq!(case.verdict(), (Upgraded, CERTAIN));
}

#[test]
fn nothing_at_all_until_the_capture_ends_is_unanswered() {
    let case = Case::asked();
    assert_eq!(case.verdict(), doubtful(Unanswered, CaptureEnded));
}

#[test]
fn half_a_response_until_the_capture_ends_is_unanswered() {
    let case = Case::asked()
        .response_begins(1000..1100, 20)
        .response_announced(1300);
    assert_eq!(case.verdict(), doubtful(Unanswered, CaptureEnded));
}

#[test]
fn an_until_close_response_without_a_close_is_unanswered() {
    let case = Case::asked()
        .response_begins(1000..1100, 20)
        .until_close()
        .client_takes(1100);
    assert_eq!(case.verdict(), doubtful(Unanswered, CaptureEnded));
}

// The client's close.

#[test]
fn a_clients_close_after_a_whole_request_and_before_any_response_byte_is_a_give_up() {
    let asked = Case::asked();
    let by_fin = asked.clone().client(fin(500)).client_fin_acked();
    assert_eq!(by_fin.verdict(), (ClientGaveUp, CERTAIN));
    assert_eq!(
        asked.client(rst(500)).verdict(),
        (ClientGaveUp, CERTAIN),
        "by RST"
    );
}

#[test]
fn a_clients_close_inside_the_response_is_a_give_up_mid_response() {
    let begun = Case::asked()
        .response_begins(1000..1100, 20)
        .response_announced(1300);
    let by_fin = begun.clone().client(fin(30)).client_fin_acked();
    assert_eq!(by_fin.verdict(), (ClientGaveUpMidResponse, CERTAIN));
    let by_rst = begun.client(rst(30));
    assert_eq!(by_rst.verdict(), (ClientGaveUpMidResponse, CERTAIN));
}

#[test]
fn one_byte_that_the_client_had_taken_makes_a_give_up_mid_response() {
    let begun = Case::asked()
        .response_begins(1000..1100, 20)
        .response_announced(1300)
        .server(rst(40));
    let none = begun.clone().client(fin(30).acked(1000));
    assert_eq!(none.verdict().0, ClientGaveUp);
    let one = begun.client(fin(30).acked(1001));
    assert_eq!(one.verdict().0, ClientGaveUpMidResponse);
}

#[test]
fn a_clients_close_inside_its_own_request_is_an_aborted_request() {
    let begun = Case::asking(150).request_announced(200);
    assert_eq!(
        begun.clone().client(fin(30)).verdict(),
        (ClientAbortedRequest, CERTAIN)
    );
    assert_eq!(
        begun.client(rst(30)).verdict(),
        (ClientAbortedRequest, CERTAIN),
        "by RST"
    );
}

#[test]
fn a_clients_close_inside_the_head_of_its_request_is_an_aborted_request() {
    let case = Case::asking(150).client(fin(30));
    assert_eq!(case.verdict(), (ClientAbortedRequest, CERTAIN));
}

#[test]
fn a_request_is_whole_if_the_close_stands_at_its_last_byte_or_beyond() {
    let aborted = Case::asked().client(rst(30).at(199));
    assert_eq!(aborted.verdict().0, ClientAbortedRequest);
    let gave_up = Case::asked().client(rst(30).at(200));
    assert_eq!(gave_up.verdict().0, ClientGaveUp);
}

#[test]
fn a_request_is_whole_too_if_its_announced_end_lies_before_the_close() {
    let begun = Case::asking(150).request_announced(200);
    let aborted = begun.clone().client(rst(30).at(199));
    assert_eq!(aborted.verdict().0, ClientAbortedRequest);
    let gave_up = begun.client(rst(30).at(200));
    assert_eq!(gave_up.verdict().0, ClientGaveUp);
}

#[test]
fn where_a_request_ended_counts_more_than_where_it_was_to_end() {
    // A request that cannot be read further than byte 200, of 900 announced: it ends where the
    // answer began.
    let case = Case::asked().request_announced(900).client(rst(30).at(200));
    assert_eq!(case.verdict().0, ClientGaveUp);
}

#[test]
fn a_clients_close_decides_unless_it_had_acknowledged_the_last_byte() {
    let lacking_one = Case::answered().client(fin(30).acked(1299));
    assert_eq!(lacking_one.verdict().0, ClientGaveUpMidResponse);
    let all = Case::answered().client(fin(30).acked(1300));
    assert_eq!(all.verdict(), (Ok, CERTAIN));
    let all = Case::answered().client(rst(30).acked(1300));
    assert_eq!(all.verdict(), (Ok, CERTAIN), "by RST");
}

#[test]
fn a_close_of_a_client_that_had_taken_nothing_of_a_whole_response_is_a_give_up() {
    let case = Case::answered().client(rst(30).acked(1000));
    assert_eq!(case.verdict(), (ClientGaveUp, CERTAIN));
}

#[test]
fn a_clients_close_before_an_announced_end_is_inside() {
    let begun = Case::asked()
        .response_begins(1000..1300, 20)
        .response_announced(1300);
    let inside = begun.clone().client(rst(30).acked(1299));
    assert_eq!(inside.verdict().0, ClientGaveUpMidResponse);
    let behind = begun.client(rst(30).acked(1300));
    assert_ne!(behind.verdict().0, ClientGaveUpMidResponse);
}

#[test]
fn a_clients_close_is_inside_a_response_whose_end_nobody_announced() {
    let case = Case::asked()
        .response_begins(1000..1100, 20)
        .chunked()
        .client(rst(30));
    assert_eq!(case.verdict(), (ClientGaveUpMidResponse, CERTAIN));
}

// An answer that ends with the connection.

#[test]
fn an_until_close_response_ends_with_the_servers_fin() {
    let case = Case::asked()
        .response_begins(1000..1300, 20)
        .until_close()
        .server(fin(24))
        .response_ends(1300, 20)
        .response_acked(25)
        .client(fin(26));
    assert_eq!(case.verdict(), (Ok, CERTAIN));
}

#[test]
fn where_a_response_ended_counts_more_than_where_it_was_to_end() {
    let announced = Case::taken().response_announced(1400);
    assert_eq!(announced.server(fin(30)).verdict(), (Ok, CERTAIN));
    let until_close = Case::taken().until_close().server(fin(30).at(1400));
    let closed = until_close.client(fin(31).acked(1300));
    assert_eq!(closed.verdict(), (Ok, CERTAIN));
}

#[test]
fn a_client_that_closes_before_the_servers_fin_was_inside_an_until_close_response() {
    let begun = Case::asked().response_begins(1000..1100, 20).until_close();
    let no_fin = begun.clone().client(rst(30));
    assert_eq!(no_fin.verdict(), (ClientGaveUpMidResponse, CERTAIN));
    let later_fin = begun
        .client(rst(30).acked(1100))
        .server_sends(1300)
        .server(fin(40));
    assert_eq!(later_fin.verdict(), (ClientGaveUpMidResponse, CERTAIN));
}

#[test]
fn a_client_that_had_taken_all_before_the_servers_fin_was_not_inside() {
    let begun = Case::asked().response_begins(1000..1300, 20).until_close();
    let case = begun.server(fin(24)).client(fin(30).acked(1300));
    assert_eq!(case.verdict().0, Ok);
}

#[test]
fn a_fin_ends_only_a_response_that_was_to_end_so() {
    // Chunked, and the last chunk never came: the FIN is no end.
    let case = Case::asked()
        .response_begins(1000..1100, 20)
        .chunked()
        .server(fin(30));
    assert_eq!(case.verdict(), (ServerTruncatedResponse, CERTAIN));
}

#[test]
fn a_reset_truncates_an_until_close_response() {
    let case = Case::asked()
        .response_begins(1000..1100, 20)
        .until_close()
        .server(rst(30));
    assert_eq!(case.verdict(), (ServerTruncatedResponse, CERTAIN));
}

#[test]
fn an_until_close_response_with_missing_bytes_before_its_fin_is_ok_and_doubtful() {
    let case = Case::asked()
        .response_begins(1000..1100, 20)
        .until_close()
        .server(fin(30).at(1300));
    assert_eq!(case.verdict(), doubtful(Ok, SequenceHole));
}

// A close of a stream.

#[test]
fn a_reset_of_the_stream_decides_as_one_of_the_connection_and_is_told_apart() {
    let of_client = Case::asked().client(rst(500).of_stream());
    assert_eq!(of_client.verdict(), (ClientGaveUp, CERTAIN));
    assert!(of_client.settle().was_of_stream());
    let of_server = Case::asked().server(rst(30).of_stream());
    assert_eq!(of_server.verdict(), (ServerResetUnanswered, CERTAIN));
    assert!(of_server.settle().was_of_stream());
    assert!(!Case::asked().client(rst(500)).settle().was_of_stream());
    let later = Case::taken().client(rst(30).of_stream());
    assert!(!later.settle().was_of_stream(), "it decided nothing");
}

// The server's close.

#[test]
fn a_servers_fin_before_any_response_byte_is_closed_unanswered() {
    let case = Case::asked().server(fin(30));
    assert_eq!(case.verdict(), (ServerClosedUnanswered, CERTAIN));
}

#[test]
fn a_servers_rst_before_any_response_byte_is_reset_unanswered() {
    let case = Case::asked().server(rst(30));
    assert_eq!(case.verdict(), (ServerResetUnanswered, CERTAIN));
}

#[test]
fn a_servers_close_inside_the_response_truncates_it() {
    let begun = Case::asked()
        .response_begins(1000..1100, 20)
        .response_announced(1300);
    let by_fin = begun.clone().server(fin(30));
    assert_eq!(by_fin.verdict(), (ServerTruncatedResponse, CERTAIN));
    let by_rst = begun.server(rst(30));
    assert_eq!(by_rst.verdict(), (ServerTruncatedResponse, CERTAIN));
}

#[test]
fn a_servers_fin_is_inside_if_its_number_lies_before_the_responses_end() {
    let inside = Case::answered().server(fin(24).at(1299));
    assert_eq!(inside.verdict().0, ServerTruncatedResponse);
    let behind = Case::taken().server(fin(24).at(1300));
    assert_eq!(behind.verdict(), (Ok, CERTAIN));
}

#[test]
fn a_servers_rst_is_inside_unless_the_whole_response_was_seen_before_it() {
    let after = Case::taken().server(rst(25));
    assert_eq!(after.verdict(), (Ok, CERTAIN));
    let with_it = Case::taken().server(rst(24));
    assert_eq!(with_it.verdict().0, ServerTruncatedResponse);
    let never_whole = Case::asked()
        .response_begins(1000..1300, 20)
        .response_announced(1300)
        .server(rst(25).at(1300));
    assert_eq!(never_whole.verdict().0, ServerTruncatedResponse);
}

// Who was first.

#[test]
fn the_first_close_inside_the_exchange_decides() {
    let asked = Case::asked();
    let server_first = asked.clone().client(rst(31)).server(fin(30));
    assert_eq!(server_first.verdict().0, ServerClosedUnanswered);
    let client_first = asked.clone().client(rst(30)).server(fin(31));
    assert_eq!(client_first.verdict().0, ClientGaveUp);
    let reset_first = asked.clone().server(fin(31)).server(rst(30));
    assert_eq!(reset_first.verdict().0, ServerResetUnanswered);
    let fin_first = asked.clone().server(fin(30)).server(rst(31));
    assert_eq!(fin_first.verdict().0, ServerClosedUnanswered);
    let client_fin_first = asked.client(fin(30)).client(rst(32)).server(rst(31));
    assert_eq!(client_fin_first.verdict().0, ClientGaveUp);
}

#[test]
fn a_close_that_is_not_inside_leaves_the_decision_to_the_next() {
    // The server's FIN stands behind the response; the client leaves without having taken it.
    let case = Case::answered()
        .server(fin(24))
        .client(rst(30).acked(1100))
        .client_takes(1100);
    assert_eq!(case.verdict().0, ClientGaveUpMidResponse);
}

#[test]
fn what_was_ended_by_a_boundary_is_decided_by_no_close() {
    let case = Case::taken()
        .at_boundary()
        .client(rst(30).acked(1000))
        .server(fin(21).at(1100));
    assert_eq!(case.verdict(), (Ok, CERTAIN));
}

// A FIN alone is ambiguous.

#[test]
fn a_fin_is_a_half_close_if_the_client_goes_on_to_acknowledge_the_answer() {
    let case = Case::asked()
        .client(fin(15))
        .response(1000..1300, 20..=24)
        .response_acked(25);
    assert_eq!(case.verdict(), (Ok, CERTAIN));
    assert!(case.settle().half_closed());
}

#[test]
fn one_byte_acknowledged_after_a_fin_makes_it_a_half_close() {
    let case = Case::asked()
        .client(fin(15))
        .response(1000..1300, 20..=24)
        .client_takes(1001);
    assert!(case.settle().half_closed());
    assert_eq!(case.verdict().0, Ok);
}

#[test]
fn data_after_a_fin_that_nobody_acknowledged_leaves_it_a_give_up_that_is_not_settled() {
    let case = Case::asked()
        .client(fin(15))
        .client_fin_acked()
        .response(1000..1300, 20..=24);
    assert_eq!(case.verdict(), doubtful(ClientGaveUp, CaptureEnded));
    assert!(!case.settle().half_closed());
}

#[test]
fn data_after_a_fin_that_meets_a_reset_proves_the_give_up() {
    let case = Case::asked()
        .client(fin(15))
        .response(1000..1300, 20..=24)
        .client(rst(25).acked(1000).bare());
    assert_eq!(case.verdict(), (ClientGaveUp, CERTAIN));
}

#[test]
fn a_fin_after_the_whole_response_was_taken_is_no_half_close() {
    let case = Case::taken().client(fin(30)).client_takes(1400);
    assert!(!case.settle().half_closed());
    assert_eq!(case.verdict().0, Ok);
    let lacking_one = Case::taken().client(fin(30).acked(1299)).client_takes(1300);
    assert!(lacking_one.settle().half_closed());
}

#[test]
fn a_fin_inside_a_request_is_no_half_close_of_its_exchange() {
    let case = Case::asking(150)
        .request_announced(200)
        .client(fin(15))
        .response(1000..1300, 20..=24)
        .response_acked(25);
    assert_eq!(case.verdict(), (ClientAbortedRequest, CERTAIN));
    assert!(!case.settle().half_closed());
}

#[test]
fn a_fin_after_a_request_that_cannot_be_read_to_its_end_may_be_a_half_close() {
    let case = Case::asking(150)
        .request_unreadable(Snaplen)
        .client(fin(15))
        .response(1000..1300, 20..=24)
        .response_acked(25);
    assert!(case.settle().half_closed());
    assert_eq!(case.verdict().0, Ok);
}

#[test]
fn what_was_ended_by_a_boundary_has_no_half_close() {
    let case = Case::taken()
        .client(fin(15).acked(1000))
        .at_boundary()
        .settle();
    assert!(!case.half_closed());
}

#[test]
fn after_a_half_close_the_clients_rst_may_still_decide() {
    let case = Case::asked()
        .client(fin(15))
        .response_begins(1000..1100, 20)
        .response_announced(1300)
        .client(rst(30));
    assert_eq!(case.verdict(), (ClientGaveUpMidResponse, CERTAIN));
    assert_eq!(case.settle().client_close(), Some((30, true)));
}

// Bytes that are no HTTP.

#[test]
fn server_bytes_that_are_no_http_are_an_invalid_response() {
    let open = Case::asked().no_http(1000..1100, 20);
    assert_eq!(open.verdict(), (ServerInvalidResponse, CERTAIN));
    let closed = open.clone().server(fin(30));
    assert_eq!(closed.verdict(), (ServerInvalidResponse, CERTAIN));
    let left = open.client(rst(30));
    assert_eq!(left.verdict(), (ServerInvalidResponse, CERTAIN));
    assert_eq!(
        left.settle().gap("request_to_client_close"),
        Some(18),
        "the client's close is still an event"
    );
}

#[test]
fn a_client_that_took_nothing_of_what_is_no_http_gave_up() {
    let case = Case::asked()
        .no_http(1000..1100, 20)
        .client(rst(30).acked(1000));
    assert_eq!(case.verdict(), (ClientGaveUp, CERTAIN));
}

// Answers that cannot be read.

#[test]
fn an_answer_that_cannot_be_read_is_ok_and_doubtful() {
    for why in [SequenceHole, Snaplen, CaptureStartedLate] {
        let case = Case::asked()
            .response_somewhere_from(1000)
            .response_unreadable(why);
        assert_eq!(case.verdict(), doubtful(Ok, why));
    }
}

#[test]
fn no_close_of_the_servers_decides_an_answer_that_cannot_be_read() {
    for close in [fin(30), rst(30), fin(30).at(1000)] {
        let case = Case::asked()
            .response_begins(1000..1100, 20)
            .response_unreadable(Snaplen)
            .server(close);
        assert_eq!(case.verdict(), doubtful(Ok, Snaplen));
    }
}

#[test]
fn of_an_answer_that_cannot_be_read_the_client_left_if_it_had_taken_no_byte_of_it() {
    let lost = Case::asked()
        .response_somewhere_from(1100)
        .response_unreadable(Snaplen)
        .server_sends(1300);
    let none = lost.clone().client(rst(30).acked(1100));
    assert_eq!(none.verdict(), (ClientGaveUp, CERTAIN));
    let one = lost.client(rst(30).acked(1101));
    assert_eq!(one.verdict(), doubtful(Ok, Snaplen));
}

#[test]
fn the_client_left_too_if_nothing_was_seen_of_the_answer_that_cannot_be_read() {
    let case = Case::asked()
        .response_unreadable(CaptureStartedLate)
        .client(rst(30));
    assert_eq!(case.verdict(), (ClientGaveUp, CERTAIN));
}

#[test]
fn an_answer_that_was_whole_all_the_same_is_judged_by_its_closes() {
    let case = Case::answered()
        .response_unreadable(Snaplen)
        .client(rst(30).acked(1200))
        .client_takes(1200);
    assert_eq!(case.verdict(), (ClientGaveUpMidResponse, CERTAIN));
}

// A FIN that the capture lacks.

#[test]
fn an_acknowledged_fin_that_the_capture_lacks_makes_the_server_first() {
    let lacking = Case::asked().server_fin_missing();
    let unanswered = lacking.clone().client(fin(30).acked(1001));
    assert_eq!(
        unanswered.verdict(),
        doubtful(ServerClosedUnanswered, SequenceHole)
    );
    let begun = lacking.response_begins(1000..1100, 20);
    let truncated = begun.clone().response_announced(1300);
    assert_eq!(
        truncated.client(fin(30).acked(1101)).verdict(),
        doubtful(ServerTruncatedResponse, SequenceHole)
    );
    let whole = begun.until_close().client(fin(30).acked(1101));
    assert_eq!(whole.verdict(), doubtful(Ok, SequenceHole));
}

#[test]
fn an_until_close_answer_of_which_nothing_was_taken_was_not_ended_by_the_missing_fin() {
    let case = Case::asked()
        .server_fin_missing()
        .response_begins(1000..1100, 20)
        .until_close()
        .response_somewhere_from(1101)
        .client(fin(30).acked(1101));
    assert_eq!(
        case.verdict(),
        doubtful(ServerClosedUnanswered, SequenceHole)
    );
}

#[test]
fn a_missing_fin_that_the_client_had_not_acknowledged_when_it_closed_came_after() {
    let asked = Case::asked().server_fin_missing();
    let gave_up = asked.client(fin(30));
    assert_eq!(gave_up.verdict(), doubtful(ClientGaveUp, SequenceHole));
    let mid = Case::asked()
        .server_fin_missing()
        .response_begins(1000..1100, 20)
        .response_announced(1300)
        .client(fin(30));
    assert_eq!(
        mid.verdict(),
        doubtful(ClientGaveUpMidResponse, SequenceHole)
    );
    let aborted = Case::asking(150).server_fin_missing().client(fin(30));
    assert_eq!(
        aborted.verdict(),
        doubtful(ClientAbortedRequest, SequenceHole)
    );
}

#[test]
fn a_give_up_mid_request_after_a_response_byte_is_one_mid_response_for_want_of_a_fin() {
    let case = Case::asking(150)
        .server_fin_missing()
        .response_begins(1000..1100, 20)
        .response_announced(1300)
        .client(rst(30));
    assert_eq!(
        case.verdict(),
        doubtful(ClientGaveUpMidResponse, SequenceHole)
    );
}

#[test]
fn a_server_that_acknowledged_a_fin_the_capture_lacks_was_left_by_its_client() {
    for close in [fin(30), rst(30)] {
        let case = Case::asked().client_fin_missing().server(close);
        assert_eq!(case.verdict(), doubtful(ClientGaveUp, SequenceHole));
    }
}

#[test]
fn a_reset_one_beyond_the_last_byte_comes_from_a_server_whose_fin_is_missing() {
    let beyond = Case::asked().server(rst(30).at(1001));
    assert_eq!(
        beyond.verdict(),
        doubtful(ServerClosedUnanswered, SequenceHole)
    );
    let acknowledged = Case::asked().server_fin_missing().server(rst(30));
    assert_eq!(
        acknowledged.verdict(),
        doubtful(ServerClosedUnanswered, SequenceHole)
    );
}

// Where two rules meet.

#[test]
fn a_client_that_closes_inside_both_messages_gave_up_mid_response() {
    let case = Case::asking(150)
        .request_announced(200)
        .response_begins(1000..1100, 20)
        .response_announced(1300)
        .client(rst(30));
    assert_eq!(case.verdict(), (ClientGaveUpMidResponse, CERTAIN));
}

#[test]
fn a_server_that_closes_before_the_request_is_whole_closed_unanswered() {
    let case = Case::asking(150)
        .request_announced(200)
        .request_acked(12, Bare)
        .server(rst(30));
    assert_eq!(case.verdict(), (ServerResetUnanswered, CERTAIN));
}
