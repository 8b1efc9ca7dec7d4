//! What else is settled with a verdict: events, gaps, bytes, flags and findings.

use super::case::{Case, fin, rst};
use crate::exchange::model::{AckWith::Bare, FindingKind::*, Verdict::*};

/// A request that takes from frame 10 to this one.
fn asked_until(in_frame: u64) -> Case {
    Case::asking(200).request_ends(200, in_frame)
}

fn half_answered() -> Case {
    Case::asked()
        .response_begins(1000..1100, 20)
        .response_announced(1300)
}

/// Which closes are listed among the events.
mod closes {
    use super::*;

    #[test]
    fn every_close_since_the_request_began_is_listed() {
        let case = Case::asked()
            .client(fin(30))
            .client(rst(33))
            .server(fin(31))
            .server(rst(32));
        let listed = [Some(30), Some(33), Some(31), Some(32)];
        assert_eq!(case.settle().closes(), listed);
    }

    #[test]
    fn a_close_before_the_request_began_is_not_listed() {
        let case = Case::taken().client(rst(9).acked(1300));
        assert_eq!(case.settle().closes(), [None; 4]);
        let with_the_request = Case::taken().client(rst(10).acked(1300));
        let listed = [None, Some(10), None, None];
        assert_eq!(with_the_request.settle().closes(), listed);
    }

    #[test]
    fn the_close_that_decided_is_listed_even_if_it_came_before_the_request() {
        let case = Case::asked().server(fin(9)).server(rst(8).at(900));
        let settled = case.settle();
        assert_eq!(case.verdict().0, ServerResetUnanswered);
        assert_eq!(settled.closes(), [None, None, None, Some(8)]);
    }

    #[test]
    fn a_close_after_a_whole_response_belongs_to_the_connection() {
        let case = Case::taken().client(fin(25)).server(rst(26));
        assert_eq!(case.settle().closes(), [None; 4]);
        let with_its_last_byte = Case::taken().client(fin(24).acked(1300));
        let listed = [Some(24), None, None, None];
        assert_eq!(with_its_last_byte.settle().closes(), listed);
    }

    #[test]
    fn a_close_after_the_last_byte_of_what_did_not_end_well_is_listed() {
        let case = Case::answered().client(rst(30).acked(1200)).server(rst(31));
        assert_eq!(case.verdict().0, ClientGaveUpMidResponse);
        let listed = [None, Some(30), None, Some(31)];
        assert_eq!(case.settle().closes(), listed);
    }

    #[test]
    fn the_servers_fin_behind_the_last_byte_closes_nothing() {
        let case = Case::taken().server(fin(24).at(1300));
        assert_eq!(case.settle().closes(), [None; 4]);
        // Inside a response nobody finished it ends the exchange.
        let until_close = Case::asked()
            .response_begins(1000..1200, 20)
            .until_close()
            .server(fin(24).at(1300));
        let listed = [None, None, Some(24), None];
        assert_eq!(until_close.settle().closes(), listed);
    }

    #[test]
    fn the_servers_fin_behind_the_last_byte_is_listed_where_the_client_gave_up() {
        let case = Case::answered()
            .server(fin(24).at(1300))
            .client(rst(30).acked(1000));
        assert_eq!(case.verdict().0, ClientGaveUp);
        let listed = [None, Some(30), Some(24), None];
        assert_eq!(case.settle().closes(), listed);
    }

    #[test]
    fn a_half_close_leaves_its_event_and_no_gap() {
        let settled = Case::asked()
            .client(fin(15))
            .response(1000..1300, 20..=24)
            .response_acked(25)
            .settle();
        assert_eq!(settled.closes(), [Some(15), None, None, None]);
        assert_eq!(settled.client_close(), None);
        assert_eq!(settled.gap("request_to_client_close"), None);
        assert_eq!(settled.gap("ack_to_client_close"), None);
    }

    #[test]
    fn after_101_or_at_a_boundary_no_close_is_listed() {
        let closed = |case: Case| case.client(fin(21)).server(rst(22)).settle().closes();
        assert_eq!(closed(Case::answered().upgraded()), [None; 4]);
        assert_eq!(closed(Case::answered().at_boundary()), [None; 4]);
    }

    #[test]
    fn the_first_of_a_sides_two_closes_is_its_close() {
        let fin_first = Case::asked().client(fin(30)).client(rst(31)).settle();
        assert_eq!(fin_first.client_close(), Some((30, false)));
        let rst_first = Case::asked().client(fin(31)).client(rst(30)).settle();
        assert_eq!(rst_first.client_close(), Some((30, true)));
        let server = Case::asked().server(rst(30)).server(fin(31)).settle();
        assert_eq!(server.server_close(), Some((30, true)));
        let server = Case::asked().server(rst(32)).server(fin(31)).settle();
        assert_eq!(server.server_close(), Some((31, false)));
    }
}

mod gaps {
    use super::*;

    #[test]
    fn of_a_whole_exchange() {
        let gaps = Case::taken().previous_ended(3).settle().gaps();
        let expected = [
            ("request_duration", 2),
            ("request_to_ack", 1),
            ("request_to_response", 8),
            ("wait", 14),
            ("response_duration", 4),
            ("response_to_ack", 1),
            ("total", 14),
            ("idle_before", 7),
        ];
        assert_eq!(gaps, expected);
    }

    #[test]
    fn of_a_give_up() {
        let gaps = Case::asked().client(rst(513)).settle().gaps();
        let expected = [
            ("request_duration", 2),
            ("request_to_ack", 1),
            ("wait", 503),
            ("request_to_client_close", 501),
            ("ack_to_client_close", 500),
        ];
        assert_eq!(gaps, expected);
    }

    #[test]
    fn of_a_give_up_whose_answer_came_late() {
        let gaps = Case::asked()
            .client(fin(500))
            .response(1000..1300, 700..=704)
            .client(rst(705).acked(1000))
            .settle()
            .gaps();
        let expected = [
            ("request_duration", 2),
            ("request_to_ack", 1),
            ("wait", 490),
            ("request_to_client_close", 488),
            ("ack_to_client_close", 487),
            ("client_close_to_late_response", 200),
        ];
        assert_eq!(gaps, expected);
    }

    #[test]
    fn of_a_servers_close() {
        let gaps = Case::asked().server(fin(30)).settle().gaps();
        let expected = [
            ("request_duration", 2),
            ("request_to_ack", 1),
            ("wait", 20),
            ("request_to_server_close", 18),
        ];
        assert_eq!(gaps, expected);
    }

    #[test]
    fn nothing_is_guessed_of_what_was_not_seen() {
        let gaps = Case::asking(150).settle().gaps();
        assert_eq!(gaps, []);
    }

    #[test]
    fn the_clients_first_close_counts() {
        let case = Case::asked().client(fin(112)).client(rst(212));
        assert_eq!(case.settle().gap("request_to_client_close"), Some(100));
    }

    #[test]
    fn an_early_answer_comes_before_the_end_of_the_request() {
        let case = asked_until(22).response(1000..1300, 20..=24);
        assert_eq!(case.settle().gap("request_to_response"), Some(-2));
    }

    #[test]
    fn no_other_gap_is_negative() {
        let settled = asked_until(40)
            .request_acked(39, Bare)
            .previous_ended(11)
            .response(1000..1300, 30..=34)
            .response_acked(33)
            .settle();
        let expected = [
            ("request_duration", 30),
            ("request_to_response", -10),
            ("wait", 24),
            ("response_duration", 4),
            ("total", 24),
        ];
        assert_eq!(settled.gaps(), expected);
        let closed = asked_until(40)
            .request_acked(39, Bare)
            .client(rst(38))
            .server(rst(38))
            .settle();
        assert_eq!(closed.gaps(), [("request_duration", 30), ("wait", 28)]);
    }

    #[test]
    fn a_gap_of_nothing_is_one_all_the_same() {
        let settled = Case::asked()
            .request_acked(12, Bare)
            .previous_ended(10)
            .client(rst(12))
            .settle();
        let expected = [
            ("request_duration", 2),
            ("request_to_ack", 0),
            ("wait", 2),
            ("request_to_client_close", 0),
            ("ack_to_client_close", 0),
            ("idle_before", 0),
        ];
        assert_eq!(settled.gaps(), expected);
    }

    #[test]
    fn after_previous_is_of_pipelined_exchanges_only_and_may_be_negative() {
        let case = Case::taken().previous_ended(15);
        assert_eq!(case.settle().gap("after_previous"), None);
        let pipelined = case.pipelined();
        assert_eq!(pipelined.settle().gap("after_previous"), Some(5));
        let crossed = pipelined.previous_ended(22);
        assert_eq!(crossed.settle().gap("after_previous"), Some(-2));
        let unanswered = Case::asked().pipelined().previous_ended(5);
        assert_eq!(unanswered.settle().gap("after_previous"), None);
    }

    #[test]
    fn a_pipelined_exchange_was_not_idle_before() {
        let case = Case::taken().pipelined().previous_ended(15);
        assert_eq!(case.settle().gap("idle_before"), None);
    }
}

mod late_answers {
    use super::*;

    #[test]
    fn an_answer_of_which_the_client_took_nothing_is_late() {
        let settled = Case::asked()
            .client(fin(500))
            .response(1000..1300, 700..=704)
            .client(rst(705).acked(1000))
            .settle();
        assert_eq!(settled.statuses(), (None, Some(200)));
        assert_eq!(settled.event("late_response"), Some(700));
        assert_eq!(settled.event("response_start"), None);
        assert_eq!(settled.event("response_end"), None);
        assert_eq!(settled.bytes(), (100, 0));
    }

    #[test]
    fn an_answer_seen_just_before_the_close_is_late_and_cost_nothing() {
        let case = Case::asked()
            .response(1000..1300, 20..=24)
            .client(rst(25).acked(1000));
        let settled = case.settle();
        assert_eq!(case.verdict().0, ClientGaveUp);
        assert_eq!(settled.event("late_response"), Some(20));
        assert_eq!(settled.gap("client_close_to_late_response"), None);
        assert_eq!(settled.findings(), [(LateResponse, vec![20], 0)]);
    }

    #[test]
    fn an_answer_to_an_aborted_request_is_late() {
        let settled = Case::asking(150)
            .request_announced(200)
            .client(fin(20))
            .response(1000..1300, 25..=29)
            .response_acked(30)
            .settle();
        assert_eq!(settled.statuses(), (None, Some(200)));
        assert_eq!(settled.event("late_response"), Some(25));
        assert_eq!(settled.event("response_acked"), None);
        assert_eq!(settled.findings(), [(LateResponse, vec![25], 5)]);
    }

    #[test]
    fn an_answer_that_was_being_taken_is_not_late() {
        let settled = half_answered().client(rst(30)).settle();
        assert_eq!(settled.statuses(), (Some(200), None));
        assert_eq!(settled.event("late_response"), None);
        assert_eq!(settled.event("response_start"), Some(20));
        assert_eq!(settled.findings(), []);
    }

    #[test]
    fn an_answer_that_was_not_seen_is_not_late() {
        let settled = Case::asked()
            .response_somewhere_from(1100)
            .response_unreadable(super::super::SequenceHole)
            .client(rst(30).acked(1000))
            .settle();
        assert_eq!(settled.event("late_response"), None);
        assert_eq!(settled.findings(), []);
    }

    #[test]
    fn the_servers_close_makes_no_answer_late() {
        let settled = half_answered().server(rst(30)).settle();
        assert_eq!(settled.event("late_response"), None);
        assert_eq!(settled.event("response_start"), Some(20));
    }
}

mod bytes {
    use super::*;

    #[test]
    fn of_whole_messages() {
        assert_eq!(Case::taken().settle().bytes(), (100, 300));
    }

    #[test]
    fn of_a_whole_request_what_was_sent_after_it_is_no_part() {
        let case = Case::taken().last_request_byte(250, 13);
        assert_eq!(case.settle().bytes().0, 100);
    }

    #[test]
    fn of_a_request_that_cannot_be_read_to_its_end_up_to_its_last_byte_seen() {
        let case = Case::asking(400).last_request_byte(250, 12);
        assert_eq!(case.settle().bytes().0, 150);
    }

    #[test]
    fn of_a_request_that_was_not_finished_up_to_what_was_seen() {
        assert_eq!(Case::asking(150).settle().bytes().0, 50);
    }

    #[test]
    fn of_a_response_that_was_not_finished_up_to_its_last_byte_seen() {
        let case = half_answered().server_sends(1250);
        assert_eq!(case.client(rst(30)).settle().bytes().1, 100);
    }

    #[test]
    fn of_a_whole_response_what_was_sent_after_it_is_no_part() {
        let case = Case::taken()
            .server_sends(1900)
            .last_response_byte(1400, 26);
        assert_eq!(case.settle().bytes().1, 300);
    }

    #[test]
    fn no_response_has_none() {
        assert_eq!(Case::asked().server_sends(1100).settle().bytes().1, 0);
    }
}

mod keepalive_race {
    use super::*;

    #[test]
    fn a_servers_close_that_came_before_the_request_is_a_race() {
        for (close, verdict, closes) in [
            (fin(4), ServerClosedUnanswered, [None, None, Some(4), None]),
            (rst(4), ServerResetUnanswered, [None, None, None, Some(4)]),
        ] {
            let case = Case::asked().server(close);
            let settled = case.settle();
            assert_eq!(case.verdict().0, verdict);
            assert_eq!(settled.closes(), closes);
            assert_eq!(settled.findings(), [(KeepaliveRace, vec![4, 10], 6)]);
            assert_eq!(settled.gap("request_to_server_close"), None);
        }
    }

    #[test]
    fn a_servers_close_that_came_with_or_after_the_request_is_no_race() {
        for in_frame in [10, 11] {
            let settled = Case::asked().server(fin(in_frame)).settle();
            assert_eq!(settled.findings(), []);
        }
        let settled = asked_until(10).server(fin(10)).settle();
        assert_eq!(settled.gap("request_to_server_close"), Some(0));
    }

    #[test]
    fn a_clients_close_is_no_race() {
        let settled = Case::asked().client(rst(9)).settle();
        assert_eq!(settled.findings(), []);
    }
}

mod slow_request_body {
    use super::*;

    #[test]
    fn a_request_of_a_second_or_more_is_slow() {
        let settled = asked_until(1010).settle();
        assert_eq!(
            settled.findings(),
            [(SlowRequestBody, vec![10, 1010], 1000)]
        );
        let settled = asked_until(1009).settle();
        assert_eq!(settled.findings(), []);
    }

    #[test]
    fn a_slow_request_matters_if_it_took_more_than_half_of_the_exchange() {
        let answered = |in_frame| {
            let case = asked_until(1010).response(1000..1300, 1500..=in_frame);
            case.response_acked(in_frame + 1).settle().findings()
        };
        let slow = [(SlowRequestBody, vec![10, 1010], 1000)];
        assert_eq!(answered(2009), slow);
        assert_eq!(answered(2010), []);
    }
}

/// The figures that Envoy's flags depend on are handed on to it.
mod envoy {
    use super::*;

    #[test]
    fn a_give_up_at_the_announced_timeout() {
        let gave_up = |in_frame| {
            let case = Case::asked().timeout_announced(700).client(rst(in_frame));
            case.settle()
        };
        assert_eq!(gave_up(712).envoy(), [&["UT"][..], &[], &["DC"]]);
        assert_eq!(gave_up(712).guess(), None);
        assert_eq!(gave_up(312).envoy(), [&["DC"][..], &[], &["DC"]]);
    }

    #[test]
    fn a_give_up_at_a_usual_figure() {
        let settled = Case::asked().client(rst(512)).settle();
        assert_eq!(settled.guess(), Some(500));
        assert_eq!(settled.envoy(), [&["DC"][..], &["UT", "DC"], &["DC"]]);
    }

    #[test]
    fn behind_istios_sidecar_no_proxy_accepts() {
        let case = Case::asked().client_is_istios_sidecar().client(rst(512));
        assert_eq!(case.settle().envoy(), [&["DC"][..], &["UT", "DC"], &[]]);
    }

    #[test]
    fn a_truncated_response_by_its_shape_and_its_close() {
        let client = |case: Case| case.settle().envoy()[0];
        let chunks = Case::asked().response_begins(1000..1100, 20).chunked();
        assert_eq!(client(chunks.clone().server(fin(30))), ["UPE"]);
        assert_eq!(client(chunks.server(rst(30))), ["UC", "UPE"]);
        assert_eq!(client(half_answered().server(fin(30))), ["UC", "UPE"]);
        assert_eq!(client(half_answered().server(rst(30))), ["UC", "UPE"]);
    }

    #[test]
    fn no_flag_is_to_be_expected_of_an_answer() {
        let settled = Case::taken().timeout_announced(500).settle();
        assert!(settled.envoy().iter().all(|flags| flags.is_empty()));
    }
}
