//! When a verdict is certain, and which of several doubts is told.
//!
//! Where the test needs to tell two doubts apart: a doubtful pairing is `CaptureStartedLate`, what
//! cannot be read is `Snaplen`, what is missing `SequenceHole`, and what may still come
//! `CaptureEnded`.

use super::case::{Case, fin, rst};
use crate::exchange::model::{
    AckWith::{Bare, Data, Fin, Rst},
    Doubt::{self, *},
    Verdict::{self, *},
};

const PAIRING: Doubt = CaptureStartedLate;
const HOLE: Doubt = SequenceHole;
const UNREADABLE: Doubt = Snaplen;

/// A response of which a third was seen: the client's or the server's close comes inside it.
fn half_answered() -> Case {
    Case::asked()
        .response_begins(1000..1100, 20)
        .response_announced(1300)
}

/// A response of which the length is not known.
fn chunks() -> Case {
    Case::asked().response_begins(1000..1100, 20).chunked()
}

/// Bytes of the server's that are no part of the final response as far as anybody knows: a 1xx, or
/// the answer to another request.
fn told_something() -> Case {
    Case::asked().server_sends(1100)
}

/// Only half of the request was sent, and the server has said something.
fn half_asked() -> Case {
    Case::asking(150).request_announced(200).server_sends(1100)
}

/// `case` has this verdict, and `doubt` is told of it.
#[track_caller]
fn tells(case: Case, verdict: Verdict, doubt: impl Into<Option<Doubt>>) {
    assert_eq!(case.verdict(), (verdict, doubt.into()));
}

/// The doubts of a client's close.
mod client_closed {
    use super::*;

    #[test]
    fn a_fin_needs_no_proof_that_it_was_the_clients_first_close() {
        let gave_up = |close| Case::asked().client(close).client_fin_acked();
        tells(gave_up(fin(30).out_of_line()), ClientGaveUp, None);
        tells(gave_up(fin(30)).client_fin_missing(), ClientGaveUp, None);
    }

    #[test]
    fn a_reset_proves_the_give_up_only_of_a_socket_that_still_exists() {
        let asked = Case::asked();
        tells(asked.clone().client(rst(30)), ClientGaveUp, None);
        tells(asked.clone().client(rst(30).bare()), ClientGaveUp, HOLE);
        tells(
            asked.clone().client(rst(30).out_of_line()),
            ClientGaveUp,
            HOLE,
        );
        tells(
            asked.client(rst(30)).client_fin_missing(),
            ClientGaveUp,
            HOLE,
        );
    }

    #[test]
    fn a_reset_proves_a_give_up_mid_response_only_of_a_socket_that_still_exists() {
        let verdict = ClientGaveUpMidResponse;
        tells(half_answered().client(rst(30)), verdict, None);
        tells(half_answered().client(rst(30).bare()), verdict, HOLE);
        tells(half_answered().client(rst(30).out_of_line()), verdict, HOLE);
        tells(
            half_answered().client(rst(30)).client_fin_missing(),
            verdict,
            HOLE,
        );
    }

    #[test]
    fn a_reset_proves_an_aborted_request_only_of_a_socket_that_still_exists() {
        let verdict = ClientAbortedRequest;
        let asking = Case::asking(150);
        tells(asking.clone().client(rst(30)), verdict, None);
        tells(asking.clone().client(rst(30).bare()), verdict, HOLE);
        tells(asking.client(rst(30)).client_fin_missing(), verdict, HOLE);
    }

    #[test]
    fn no_response_byte_is_certain_only_if_the_closing_packet_says_so() {
        let case = Case::asked().client(fin(30).bare()).client_fin_acked();
        tells(case, ClientGaveUp, HOLE);
        let case = half_answered().client(fin(30).bare()).client_fin_acked();
        tells(case, ClientGaveUpMidResponse, HOLE);
    }

    #[test]
    fn an_aborted_request_is_certain_only_if_no_byte_of_it_is_missing_before_the_close() {
        let verdict = ClientAbortedRequest;
        tells(
            Case::asking(150).client(fin(30).out_of_line()),
            verdict,
            HOLE,
        );
        tells(Case::asking(150).client(fin(30).bare()), verdict, None);
    }

    #[test]
    fn what_was_taken_may_have_been_a_1xx_if_its_status_was_not_seen() {
        let case = half_answered().status_unknown().client(rst(30));
        tells(case, ClientGaveUpMidResponse, HOLE);
    }

    // What may still come.

    #[test]
    fn a_fin_that_the_server_has_not_reacted_to_is_not_settled() {
        tells(Case::asked().client(fin(30)), ClientGaveUp, CaptureEnded);
        tells(
            half_answered().client(fin(30)),
            ClientGaveUpMidResponse,
            CaptureEnded,
        );
    }

    #[test]
    fn a_fin_is_settled_when_the_server_acknowledges_it_or_closes_or_the_client_resets() {
        let open = [
            (Case::asked(), ClientGaveUp),
            (half_answered(), ClientGaveUpMidResponse),
        ];
        for (case, verdict) in open {
            let closed = case.client(fin(30));
            tells(closed.clone().client_fin_acked(), verdict, None);
            tells(closed.clone().server(fin(31)), verdict, None);
            tells(closed.clone().server(rst(31)), verdict, None);
            tells(closed.client(rst(31)), verdict, None);
        }
    }

    #[test]
    fn a_fin_is_not_settled_as_long_as_server_data_beyond_it_is_neither_taken_nor_reset() {
        let late = Case::asked().client(fin(30)).server_sends(1001);
        for reaction in [
            late.clone().client_fin_acked(),
            late.clone().server(fin(31)),
            late.clone().server(rst(31)),
        ] {
            tells(reaction, ClientGaveUp, CaptureEnded);
        }
        tells(late.client(rst(32).acked(1000)), ClientGaveUp, None);
    }

    #[test]
    fn an_aborted_request_has_nothing_to_wait_for() {
        tells(
            Case::asking(150).client(fin(30)),
            ClientAbortedRequest,
            None,
        );
    }

    // A doubtful pairing.

    #[test]
    fn a_doubtful_pairing_makes_a_give_up_mid_response_doubtful() {
        let case = half_answered().pairing_in_doubt(PAIRING).client(rst(30));
        tells(case, ClientGaveUpMidResponse, PAIRING);
    }

    #[test]
    fn a_doubtful_pairing_matters_to_a_give_up_only_if_the_server_has_said_something() {
        let silent = Case::asked().pairing_in_doubt(PAIRING);
        tells(silent.client(rst(30)), ClientGaveUp, None);
        let one_byte = Case::asked().pairing_in_doubt(PAIRING).server_sends(1001);
        tells(one_byte.client(rst(30)), ClientGaveUp, PAIRING);
        let not_taken = Case::asked().pairing_in_doubt(PAIRING).server_sends(1001);
        tells(not_taken.client(rst(30).acked(1000)), ClientGaveUp, None);
        let sure = told_something().client(rst(30));
        tells(sure, ClientGaveUp, None);
    }

    #[test]
    fn a_doubtful_pairing_matters_to_an_aborted_request_only_if_the_server_has_said_something() {
        let silent = Case::asking(150).pairing_in_doubt(PAIRING);
        tells(silent.client(rst(30)), ClientAbortedRequest, None);
        let told = half_asked().pairing_in_doubt(PAIRING).client(rst(30));
        tells(told, ClientAbortedRequest, PAIRING);
        tells(half_asked().client(rst(30)), ClientAbortedRequest, None);
    }

    #[test]
    fn a_doubtful_pairing_is_told_of_what_is_no_http() {
        let case = Case::asked()
            .pairing_in_doubt(PAIRING)
            .no_http(1000..1100, 20)
            .client(rst(30).bare());
        tells(case, ServerInvalidResponse, PAIRING);
    }

    // The request's own doubts.

    #[test]
    fn a_give_up_is_doubtful_if_the_requests_last_byte_is_missing() {
        let case = Case::asked().request_tail_lost().client(rst(30));
        tells(case, ClientGaveUp, HOLE);
    }

    #[test]
    fn a_give_up_is_doubtful_if_the_requests_end_cannot_be_read() {
        let case = Case::asked().request_unreadable(UNREADABLE).client(rst(30));
        tells(case, ClientGaveUp, UNREADABLE);
    }

    #[test]
    fn an_aborted_request_is_doubtful_if_its_end_cannot_be_read() {
        let case = Case::asking(150)
            .request_unreadable(UNREADABLE)
            .client(rst(30));
        tells(case, ClientAbortedRequest, UNREADABLE);
    }

    // An answer that cannot be read.

    #[test]
    fn of_an_answer_that_cannot_be_read_the_server_may_have_closed_first_all_the_same() {
        let lost = Case::asked().response_unreadable(UNREADABLE);
        for close in [fin(29), rst(29)] {
            let case = lost.clone().server(close).client(rst(30));
            tells(case, ClientGaveUp, UNREADABLE);
        }
        for close in [fin(31), rst(31)] {
            let case = lost.clone().server(close).client(rst(30));
            tells(case, ClientGaveUp, None);
        }
        let lost = Case::asking(150).response_unreadable(UNREADABLE);
        let second = lost.clone().server(fin(29)).client(fin(30));
        tells(second, ClientAbortedRequest, UNREADABLE);
        let first = lost.server(fin(31)).client(fin(30));
        tells(first, ClientAbortedRequest, None);
    }

    #[test]
    fn the_order_of_closes_tells_who_was_first_of_an_answer_that_can_be_read() {
        let case = Case::answered()
            .response_unreadable(UNREADABLE)
            .server(fin(28).at(1300))
            .client(rst(30).acked(1000));
        tells(case, ClientGaveUp, None);
    }
}

/// Which of two doubts of a client's close is told.
mod client_closed_precedence {
    use super::*;

    #[test]
    fn mid_response_a_doubtful_pairing_outranks_a_hole() {
        let case = half_answered().pairing_in_doubt(PAIRING);
        tells(
            case.client(rst(30).bare()),
            ClientGaveUpMidResponse,
            PAIRING,
        );
    }

    #[test]
    fn mid_response_a_doubtful_pairing_outranks_what_may_still_come() {
        let case = half_answered().pairing_in_doubt(PAIRING);
        tells(case.client(fin(30)), ClientGaveUpMidResponse, PAIRING);
    }

    #[test]
    fn mid_response_a_hole_outranks_what_may_still_come() {
        let case = half_answered().status_unknown();
        tells(case.client(fin(30)), ClientGaveUpMidResponse, HOLE);
    }

    #[test]
    fn of_an_aborted_request_what_cannot_be_read_outranks_a_hole() {
        let case = Case::asking(150).request_unreadable(UNREADABLE);
        tells(
            case.client(rst(30).bare()),
            ClientAbortedRequest,
            UNREADABLE,
        );
    }

    #[test]
    fn of_an_aborted_request_what_cannot_be_read_outranks_a_doubtful_pairing() {
        let case = Case::asking(150)
            .server_sends(1100)
            .request_unreadable(UNREADABLE)
            .pairing_in_doubt(PAIRING);
        tells(case.client(rst(30)), ClientAbortedRequest, UNREADABLE);
    }

    #[test]
    fn of_an_aborted_request_a_hole_outranks_a_doubtful_pairing() {
        let case = half_asked().pairing_in_doubt(PAIRING);
        tells(case.client(rst(30).bare()), ClientAbortedRequest, HOLE);
    }

    #[test]
    fn of_a_give_up_a_missing_last_byte_outranks_a_request_that_cannot_be_read() {
        let case = Case::asked()
            .request_unreadable(UNREADABLE)
            .request_tail_lost();
        tells(case.client(rst(30)), ClientGaveUp, HOLE);
    }

    #[test]
    fn of_a_give_up_a_missing_last_byte_outranks_an_answer_that_cannot_be_read() {
        let case = Case::asked()
            .request_tail_lost()
            .response_unreadable(UNREADABLE)
            .server(fin(29));
        tells(case.client(rst(30)), ClientGaveUp, HOLE);
    }

    #[test]
    fn of_a_give_up_the_requests_doubt_outranks_the_answers() {
        let case = Case::asked()
            .request_unreadable(UNREADABLE)
            .response_unreadable(CaptureStartedLate)
            .server(fin(29));
        tells(case.client(rst(30)), ClientGaveUp, UNREADABLE);
    }

    #[test]
    fn of_a_give_up_the_requests_doubt_outranks_all_that_follow() {
        let case = told_something()
            .request_unreadable(UNREADABLE)
            .pairing_in_doubt(PAIRING);
        tells(
            case.clone().client(rst(30).bare()),
            ClientGaveUp,
            UNREADABLE,
        );
        tells(case.client(fin(30)), ClientGaveUp, UNREADABLE);
    }

    #[test]
    fn of_a_give_up_an_answer_that_cannot_be_read_outranks_a_hole() {
        let case = Case::asked()
            .response_unreadable(UNREADABLE)
            .server(fin(29));
        tells(case.client(rst(30).bare()), ClientGaveUp, UNREADABLE);
    }

    #[test]
    fn of_a_give_up_an_answer_that_cannot_be_read_outranks_a_doubtful_pairing() {
        let case = told_something()
            .response_unreadable(UNREADABLE)
            .pairing_in_doubt(PAIRING)
            .server(fin(29));
        tells(case.client(rst(30)), ClientGaveUp, UNREADABLE);
    }

    #[test]
    fn of_a_give_up_a_hole_outranks_a_doubtful_pairing() {
        let case = told_something().pairing_in_doubt(PAIRING);
        tells(case.client(rst(30).bare()), ClientGaveUp, HOLE);
    }

    #[test]
    fn of_a_give_up_a_hole_outranks_what_may_still_come() {
        tells(Case::asked().client(fin(30).bare()), ClientGaveUp, HOLE);
    }

    #[test]
    fn of_a_give_up_a_doubtful_pairing_outranks_what_may_still_come() {
        let case = told_something().pairing_in_doubt(PAIRING);
        tells(case.client(fin(30)), ClientGaveUp, PAIRING);
    }

    #[test]
    fn a_missing_fin_of_the_servers_outranks_every_other_doubt() {
        let doubtful = |case: Case| {
            case.server_fin_missing()
                .request_unreadable(UNREADABLE)
                .pairing_in_doubt(PAIRING)
        };
        let gave_up = doubtful(told_something()).client(fin(30));
        tells(gave_up, ClientGaveUp, HOLE);
        let mid_response = doubtful(half_answered()).client(fin(30));
        tells(mid_response, ClientGaveUpMidResponse, HOLE);
        let aborted = doubtful(half_asked()).client(fin(30));
        tells(aborted, ClientAbortedRequest, HOLE);
    }

    #[test]
    fn bytes_that_are_no_http_outrank_a_missing_fin_of_the_servers() {
        let case = Case::asked()
            .no_http(1000..1100, 20)
            .server_fin_missing()
            .client(rst(30));
        tells(case, ServerInvalidResponse, None);
    }
}

/// The doubts of a server's close.
mod server_closed {
    use super::*;

    #[test]
    fn a_truncated_response_is_certain_if_the_close_stands_at_its_next_byte() {
        let verdict = ServerTruncatedResponse;
        for close in [fin(30), rst(30), rst(30).bare()] {
            tells(chunks().server(close), verdict, None);
            tells(chunks().server(close.out_of_line()), verdict, HOLE);
        }
    }

    #[test]
    fn a_truncated_response_is_certain_if_its_announced_end_was_not_reached() {
        let verdict = ServerTruncatedResponse;
        let short = half_answered().server(fin(30).at(1299).out_of_line());
        tells(short, verdict, None);
        let reached = half_answered().server(rst(30).at(1300).out_of_line());
        tells(reached, verdict, HOLE);
    }

    #[test]
    fn a_truncated_response_is_doubtful_if_a_fin_of_the_clients_is_missing() {
        let case = half_answered().server(fin(30)).client_fin_missing();
        tells(case, ServerTruncatedResponse, HOLE);
    }

    #[test]
    fn what_was_truncated_may_have_been_a_1xx_if_its_status_was_not_seen() {
        let case = chunks().status_unknown().server(fin(30));
        tells(case, ServerTruncatedResponse, HOLE);
        let no_http = Case::asked().no_http(1000..1100, 20).server(fin(30));
        tells(no_http, ServerInvalidResponse, None);
    }

    #[test]
    fn a_doubtful_pairing_makes_a_truncated_response_doubtful() {
        let case = half_answered().pairing_in_doubt(PAIRING).server(fin(30));
        tells(case, ServerTruncatedResponse, PAIRING);
    }

    #[test]
    fn no_response_byte_is_certain_if_the_servers_close_stands_at_its_next_byte() {
        let asked = Case::asked();
        tells(asked.clone().server(fin(30)), ServerClosedUnanswered, None);
        tells(
            asked.clone().server(fin(30).bare()),
            ServerClosedUnanswered,
            None,
        );
        tells(
            asked.clone().server(fin(30).out_of_line()),
            ServerClosedUnanswered,
            HOLE,
        );
        tells(
            asked.server(rst(30).out_of_line()),
            ServerResetUnanswered,
            HOLE,
        );
    }

    #[test]
    fn a_servers_close_is_doubtful_if_the_requests_last_byte_is_missing() {
        let lost = Case::asked().request_tail_lost();
        tells(lost.clone().server(fin(30)), ServerClosedUnanswered, HOLE);
        tells(lost.server(rst(30)), ServerResetUnanswered, HOLE);
    }

    #[test]
    fn a_bare_reset_is_certain_only_if_the_server_was_there_to_acknowledge_the_request() {
        let verdict = ServerResetUnanswered;
        let reset = |case: Case| case.server(rst(30).bare());
        for with in [Bare, Data, Fin] {
            tells(reset(Case::asked().request_acked(29, with)), verdict, None);
        }
        let by_the_reset = Case::asked().request_acked(29, Rst);
        tells(reset(by_the_reset), verdict, HOLE);
        let in_the_same_frame = Case::asked().request_acked(30, Bare);
        tells(reset(in_the_same_frame), verdict, HOLE);
        let never = Case::asked().request_not_acked();
        tells(reset(never.clone()), verdict, HOLE);
        tells(never.server(rst(30)), verdict, None);
    }

    #[test]
    fn a_doubtful_pairing_matters_only_if_the_server_has_said_something_before_it_closed() {
        for (close, verdict) in [
            (fin(30), ServerClosedUnanswered),
            (rst(30), ServerResetUnanswered),
        ] {
            let silent = Case::asked().pairing_in_doubt(PAIRING).server(close);
            tells(silent, verdict, None);
            let one_byte = Case::asked().pairing_in_doubt(PAIRING).server_sends(1001);
            tells(one_byte.server(close), verdict, PAIRING);
            tells(told_something().server(close), verdict, None);
        }
    }

    #[test]
    fn a_truncated_response_tells_a_doubtful_pairing_before_a_hole() {
        let case = chunks().pairing_in_doubt(PAIRING);
        tells(
            case.server(fin(30).out_of_line()),
            ServerTruncatedResponse,
            PAIRING,
        );
    }

    #[test]
    fn a_servers_close_tells_a_hole_before_a_doubtful_pairing() {
        let case = told_something().pairing_in_doubt(PAIRING);
        tells(
            case.clone().server(fin(30).out_of_line()),
            ServerClosedUnanswered,
            HOLE,
        );
        tells(
            case.server(rst(30).out_of_line()),
            ServerResetUnanswered,
            HOLE,
        );
    }

    #[test]
    fn a_missing_fin_outranks_a_doubtful_pairing() {
        let case = told_something().pairing_in_doubt(PAIRING);
        let by_client = case.clone().client_fin_missing().server(fin(30));
        tells(by_client, ClientGaveUp, HOLE);
        let by_server = case.server_fin_missing().server(rst(30));
        tells(by_server, ServerClosedUnanswered, HOLE);
    }

    #[test]
    fn a_fin_of_the_clients_that_is_missing_comes_before_one_of_the_servers() {
        let case = Case::asked().client_fin_missing().server_fin_missing();
        tells(case.server(rst(30)), ClientGaveUp, HOLE);
    }
}

/// The doubts of an exchange that no close decided.
mod not_closed {
    use super::*;

    #[test]
    fn a_whole_response_that_nobody_took_may_still_be_given_up() {
        tells(Case::answered(), Ok, CaptureEnded);
        tells(Case::answered().client_takes(1299), Ok, CaptureEnded);
        tells(Case::answered().client_takes(1300), Ok, None);
        tells(Case::taken(), Ok, None);
    }

    #[test]
    fn a_response_that_nobody_took_before_a_boundary_may_still_be_given_up() {
        tells(Case::answered().at_boundary(), Ok, HOLE);
        tells(Case::taken().at_boundary(), Ok, None);
    }

    #[test]
    fn a_missing_fin_of_the_clients_may_be_its_close_before_it_took_the_response() {
        let missing = Case::answered().client_fin_missing();
        tells(missing.clone(), Ok, HOLE);
        tells(missing.clone().at_boundary(), Ok, HOLE);
        tells(missing.response_acked(25), Ok, None);
    }

    #[test]
    fn a_response_whose_last_byte_is_missing_is_doubtful() {
        let case = Case::asked()
            .response_begins(1000..1200, 20)
            .response_tail_lost(1300, 24)
            .response_acked(25);
        tells(case, Ok, HOLE);
    }

    #[test]
    fn a_doubtful_pairing_is_told_whatever_the_verdict() {
        let doubtful = |case: Case| case.pairing_in_doubt(PAIRING);
        tells(doubtful(Case::taken()), Ok, PAIRING);
        let no_http = Case::asked().no_http(1000..1100, 20);
        tells(doubtful(no_http), ServerInvalidResponse, PAIRING);
        let upgraded = Case::asked().response_begins(1000..1100, 20).upgraded();
        tells(doubtful(upgraded), Upgraded, PAIRING);
    }

    #[test]
    fn what_a_doubtful_pairing_may_not_add_to() {
        let doubtful = |case: Case| case.pairing_in_doubt(PAIRING);
        tells(doubtful(Case::asked()), Unanswered, CaptureEnded);
        let unreadable = Case::asked().response_unreadable(UNREADABLE);
        tells(doubtful(unreadable), Ok, UNREADABLE);
        let until_close = Case::asked()
            .response_begins(1000..1100, 20)
            .until_close()
            .server(fin(30).at(1300));
        tells(doubtful(until_close), Ok, HOLE);
    }

    #[test]
    fn a_doubtful_pairing_outranks_a_hole() {
        let case = Case::answered().pairing_in_doubt(PAIRING);
        tells(case.client_fin_missing(), Ok, PAIRING);
    }

    #[test]
    fn a_doubtful_pairing_outranks_what_may_still_come() {
        tells(Case::answered().pairing_in_doubt(PAIRING), Ok, PAIRING);
    }

    #[test]
    fn a_hole_outranks_what_may_still_come() {
        let tail_lost = Case::asked()
            .response_begins(1000..1200, 20)
            .response_tail_lost(1300, 24);
        tells(tail_lost, Ok, HOLE);
        tells(Case::answered().client_fin_missing(), Ok, HOLE);
    }

    #[test]
    fn bytes_that_are_no_http_outrank_what_cannot_be_read() {
        let case = Case::asked()
            .no_http(1000..1100, 20)
            .response_unreadable(UNREADABLE);
        tells(case, ServerInvalidResponse, None);
    }

    #[test]
    fn an_announced_end_that_a_fin_reaches_is_ok_though_the_last_bytes_were_never_seen() {
        let reached = half_answered().server(fin(30).at(1300));
        tells(reached, Ok, HOLE);
        let no_fin = half_answered();
        tells(no_fin, Unanswered, CaptureEnded);
    }

    #[test]
    fn a_half_close_decides_nothing() {
        let case = Case::asked().client(fin(15)).server_sends(1100);
        tells(case.client_takes(1100), Unanswered, CaptureEnded);
    }
}

/// What is told of a doubt in the end.
mod told {
    use super::*;

    #[test]
    fn a_cut_head_makes_everything_doubtful() {
        for (case, verdict) in [
            (Case::taken(), Ok),
            (Case::asked().client(rst(30)), ClientGaveUp),
            (Case::asked().server(fin(30)), ServerClosedUnanswered),
            (Case::asked().upgraded(), Upgraded),
        ] {
            tells(case.head_cut(UNREADABLE), verdict, UNREADABLE);
        }
    }

    #[test]
    fn a_cut_head_is_told_last() {
        let cut = |case: Case| case.head_cut(UNREADABLE);
        tells(cut(Case::taken().pairing_in_doubt(PAIRING)), Ok, PAIRING);
        tells(
            cut(Case::asked().client(rst(30).bare())),
            ClientGaveUp,
            HOLE,
        );
        tells(cut(Case::answered()), Ok, CaptureEnded);
    }

    /// A hole in an exchange's evidence, by its verdict's own doubt and by its head's.
    fn holes() -> [Case; 2] {
        [
            Case::answered().client_fin_missing(),
            Case::taken().head_cut(HOLE),
        ]
    }

    #[test]
    fn a_hole_is_a_drop_if_the_kernel_lost_packets() {
        for case in holes() {
            tells(case.dropped(), Ok, CaptureDropped);
        }
    }

    #[test]
    fn a_hole_is_a_missing_side_if_only_one_was_seen() {
        for case in holes() {
            tells(case.one_sided(), Ok, OneSided);
        }
    }

    #[test]
    fn a_drop_outranks_a_missing_side() {
        for case in holes() {
            tells(case.one_sided().dropped(), Ok, CaptureDropped);
        }
    }

    #[test]
    fn a_hole_is_a_hole_otherwise() {
        for case in holes() {
            tells(case, Ok, HOLE);
        }
    }

    #[test]
    fn drops_and_missing_sides_explain_holes_and_nothing_else() {
        for (case, verdict, doubt) in [
            (Case::taken().pairing_in_doubt(PAIRING), Ok, PAIRING),
            (Case::taken().head_cut(UNREADABLE), Ok, UNREADABLE),
            (Case::answered(), Ok, CaptureEnded),
            (Case::asked(), Unanswered, CaptureEnded),
        ] {
            tells(case.clone().dropped(), verdict, doubt);
            tells(case.one_sided(), verdict, doubt);
        }
    }

    #[test]
    fn drops_and_missing_sides_lower_nothing_by_themselves() {
        tells(Case::taken().dropped().one_sided(), Ok, None);
        let gave_up = Case::asked().client(rst(30)).dropped().one_sided();
        tells(gave_up, ClientGaveUp, None);
    }
}
