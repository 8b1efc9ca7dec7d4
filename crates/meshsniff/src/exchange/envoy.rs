//! Which flags of Envoy's go with which verdict.

use super::model::{Defect, ProxyAnswer, ResponseShape, Verdict};
use crate::mesh;
use crate::mesh::answer::Software;
use crate::mesh::envoy::{self, EnvoyFlags};
use crate::mesh::timeout;
use crate::packet::Endpoint;
use crate::time::Span;

/// What the flags of an exchange depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) verdict: Verdict,
    pub(super) client: Endpoint,
    /// The timeout announced on the request.
    pub(super) announced: Option<Span>,
    /// `request_to_client_close`.
    pub(super) gave_up_after: Option<Span>,
    /// Whether the server's kernel acknowledged the request.
    pub(super) acknowledged: bool,
    /// `response_silence`, or `request_silence`.
    pub(super) silent_for: Option<Span>,
    pub(super) shape: ResponseShape,
    /// Whether the close that decided was a RST.
    pub(super) reset: bool,
    /// Whether it ended one stream of several.
    pub(super) stream_ended: bool,
    /// Why the response is one that a proxy must refuse.
    pub(super) defect: Option<Defect>,
    /// The proxy that made the answer itself.
    pub(super) answered_by: Option<&'a ProxyAnswer>,
}

/// The flags to expect, and the usual figure a give-up fits if nothing was announced.
pub(super) fn flags(seen: &Seen<'_>) -> (EnvoyFlags, Option<Span>) {
    // 127.0.0.6 calls its own app: nothing that accepts there is a proxy.
    let accepted_by_proxy: &[&str] = if mesh::is_istio_inbound(seen.client) {
        &[]
    } else {
        // Where HTTP/1 has a disconnect, a stream is reset.
        if seen.stream_ended { &["DR"] } else { &["DC"] }
    };
    // A proxy resets a stream because its own caller left or reset one.
    let (left, silent_or_left): (&[&str], &[&str]) = if seen.stream_ended {
        (&["DC", "DR"], &["SI", "DC", "DR"])
    } else {
        (&["DC"], &["SI", "DC"])
    };
    let plain = |client: &'static [&'static str]| EnvoyFlags {
        client,
        client_downstream: &[],
        server: &[],
    };
    match seen.verdict {
        Verdict::ClientGaveUp => match (seen.announced, seen.gave_up_after) {
            (Some(announced), Some(gap)) => {
                let client: &[&str] = if timeout::matches(announced, gap) {
                    &["UT"]
                } else if timeout::usual_figure(gap).is_some() {
                    // Another timer of the same proxy: its stream idle timeout.
                    silent_or_left
                } else {
                    left
                };
                let flags = EnvoyFlags {
                    client,
                    client_downstream: &[],
                    server: accepted_by_proxy,
                };
                (flags, None)
            }
            (_, gap) => {
                // Whoever got no ACK did not lose patience: nobody was there.
                let guess = gap
                    .filter(|_| seen.acknowledged)
                    .and_then(timeout::usual_figure);
                let guess = guess.filter(|_| seen.announced.is_none());
                let downstream: &[&str] = match (guess.is_some(), seen.stream_ended) {
                    (true, false) => &["UT", "DC"],
                    (true, true) => &["UT", "DC", "DR"],
                    (false, false) => &["DC", "UT"],
                    (false, true) => &["DC", "DR", "UT"],
                };
                let flags = EnvoyFlags {
                    client: left,
                    client_downstream: downstream,
                    server: accepted_by_proxy,
                };
                (flags, guess)
            }
        },
        Verdict::ClientGaveUpMidResponse | Verdict::ClientAbortedRequest => {
            let mid_response = seen.verdict == Verdict::ClientGaveUpMidResponse;
            let timed_out = seen.announced.zip(seen.gave_up_after);
            let timed_out = timed_out.is_some_and(|(after, gap)| timeout::matches(after, gap));
            let idle = seen.silent_for.and_then(timeout::usual_figure).is_some();
            let client: &[&str] = match mid_response && timed_out {
                true => &["UT"],
                false if idle => silent_or_left,
                false => left,
            };
            // Whoever called that proxy had a timer, or a caller that reset its stream, too.
            let of_stream = seen.stream_ended && mid_response && !timed_out;
            let client_downstream: &[&str] = if of_stream { &["DC", "DR", "UT"] } else { &[] };
            let flags = EnvoyFlags {
                client,
                client_downstream,
                server: accepted_by_proxy,
            };
            (flags, None)
        }
        Verdict::ServerTruncatedResponse if seen.stream_ended => {
            let flags = EnvoyFlags {
                // A proxy that breaks off its answer passes on what its upstream did, or its
                // route's timeout was over.
                server: &["UR", "UC", "UPE", "UT"],
                ..plain(&["UR"])
            };
            (flags, None)
        }
        Verdict::ServerResetUnanswered | Verdict::Refused if seen.stream_ended => {
            (plain(&["UR"]), None)
        }
        Verdict::ServerClosedUnanswered | Verdict::ServerResetUnanswered | Verdict::Refused => {
            (plain(&["UC"]), None)
        }
        Verdict::ServerTruncatedResponse => {
            let client: &[&str] = match (seen.shape, seen.reset) {
                // A FIN inside a head is, to Envoy's codec, as bad as bytes that are none.
                (ResponseShape::Chunked | ResponseShape::Unread, false) => &["UPE"],
                (ResponseShape::UntilClose, true) | (ResponseShape::Stream, _) => &["UC"],
                // Envoy's codec calls a RST inside a message a protocol error, its connection pool
                // a termination: which is logged depends on which of them comes to know first.
                (ResponseShape::Length, false) | (_, true) => &["UC", "UPE"],
                _ => &["UC"],
            };
            (plain(client), None)
        }
        Verdict::ServerResetEarlyAnswer => (plain(&["UC"]), None),
        // Of a bare CR Envoy makes a blank, as RFC 9112, 2.2, permits.
        Verdict::ServerInvalidResponse if seen.defect == Some(Defect::BareCr) => (plain(&[]), None),
        Verdict::ServerInvalidResponse => (plain(&["UPE"]), None),
        // To Envoy a handshake that fails is a connection that never opened.
        Verdict::ConnectRefused
        | Verdict::ConnectTimeout
        | Verdict::TlsUnanswered
        | Verdict::TlsFailed
        | Verdict::TlsRefusedPlain => (plain(&["UF", "URX,UF"]), None),
        Verdict::PlainRefusedTls => (plain(&["UPE"]), None),
        // Its own timer, or its own client left.
        Verdict::TlsLeftWaiting => {
            let flags = EnvoyFlags {
                server: accepted_by_proxy,
                ..plain(&["UT", "DC"])
            };
            (flags, None)
        }
        Verdict::Ok => {
            let logged = seen.answered_by.filter(|by| by.software == Software::Envoy);
            let flags = EnvoyFlags {
                server: logged.map_or(&[], |by| envoy::of_answer(&by.flag)),
                ..EnvoyFlags::default()
            };
            (flags, None)
        }
        Verdict::Upgraded | Verdict::Unanswered => (EnvoyFlags::default(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: Endpoint = Endpoint::v4([10, 0, 0, 1], 1);
    const SIDECAR: Endpoint = Endpoint::v4([127, 0, 0, 6], 1);

    /// The flags at `client`, `client_downstream` and `server`.
    type Places = [&'static [&'static str]; 3];

    fn of(verdict: Verdict) -> Seen<'static> {
        Seen {
            verdict,
            client: CALLER,
            announced: None,
            gave_up_after: None,
            acknowledged: true,
            silent_for: None,
            shape: ResponseShape::Length,
            reset: false,
            stream_ended: false,
            defect: None,
            answered_by: None,
        }
    }

    fn gave_up(announced: Option<i64>, after: Option<i64>) -> Seen<'static> {
        Seen {
            announced: announced.map(Span::from_millis),
            gave_up_after: after.map(Span::from_millis),
            ..of(Verdict::ClientGaveUp)
        }
    }

    fn places(seen: &Seen<'_>) -> Places {
        let (envoy, _) = flags(seen);
        [envoy.client, envoy.client_downstream, envoy.server]
    }

    fn guess(seen: &Seen<'_>) -> Option<Span> {
        flags(seen).1
    }

    #[test]
    fn a_give_up_at_the_announced_timeout_is_the_callers_timeout() {
        let seen = gave_up(Some(700), Some(705));
        assert_eq!(places(&seen), [&["UT"][..], &[], &["DC"]]);
        assert_eq!(guess(&seen), None);
    }

    #[test]
    fn a_give_up_earlier_or_later_than_announced_is_a_disconnect() {
        for after in [600, 900] {
            let seen = gave_up(Some(700), Some(after));
            assert_eq!(places(&seen), [&["DC"][..], &[], &["DC"]]);
        }
        for after in [500, 1000] {
            let seen = gave_up(Some(700), Some(after));
            assert_eq!(places(&seen), [&["SI", "DC"][..], &[], &["DC"]]);
            assert_eq!(guess(&seen), None, "a usual figure, but nobody need guess");
        }
    }

    #[test]
    fn a_give_up_at_a_usual_figure_is_perhaps_a_timeout_one_hop_before() {
        let seen = gave_up(None, Some(501));
        assert_eq!(places(&seen), [&["DC"][..], &["UT", "DC"], &["DC"]]);
        assert_eq!(guess(&seen), Some(Span::from_millis(500)));
    }

    #[test]
    fn nobody_lost_patience_with_a_server_that_was_not_there() {
        let seen = Seen {
            acknowledged: false,
            ..gave_up(None, Some(15_000))
        };
        assert_eq!(guess(&seen), None);
    }

    #[test]
    fn a_give_up_at_no_usual_figure_is_rather_a_disconnect_one_hop_before() {
        for seen in [
            gave_up(None, Some(700)),
            gave_up(None, None),
            gave_up(Some(500), None),
        ] {
            assert_eq!(places(&seen), [&["DC"][..], &["DC", "UT"], &["DC"]]);
            assert_eq!(guess(&seen), None);
        }
    }

    #[test]
    fn a_client_that_closes_inside_a_message_is_a_disconnect() {
        for verdict in [
            Verdict::ClientGaveUpMidResponse,
            Verdict::ClientAbortedRequest,
        ] {
            let seen = Seen {
                gave_up_after: Some(Span::from_millis(500)),
                ..of(verdict)
            };
            assert_eq!(places(&seen), [&["DC"][..], &[], &["DC"]]);
            assert_eq!(guess(&seen), None);
        }
    }

    #[test]
    fn what_istios_sidecar_calls_from_127_0_0_6_is_no_proxy() {
        for seen in [
            gave_up(Some(500), Some(500)),
            gave_up(None, Some(500)),
            of(Verdict::ClientGaveUpMidResponse),
            of(Verdict::ClientAbortedRequest),
        ] {
            let none: &[&str] = &[];
            let behind_sidecar = Seen {
                client: SIDECAR,
                ..seen
            };
            assert_eq!(places(&behind_sidecar)[2], none);
            assert_eq!(places(&behind_sidecar)[..2], places(&seen)[..2]);
        }
    }

    #[test]
    fn a_servers_close_is_the_callers_upstream_connection() {
        for verdict in [
            Verdict::ServerClosedUnanswered,
            Verdict::ServerResetUnanswered,
        ] {
            assert_eq!(places(&of(verdict)), [&["UC"][..], &[], &[]]);
        }
    }

    #[test]
    fn a_truncated_response_by_its_shape_and_the_close() {
        use ResponseShape::{Chunked, Length, Unread, UntilClose};
        let client = |shape, reset| {
            let seen = Seen {
                shape,
                reset,
                ..of(Verdict::ServerTruncatedResponse)
            };
            let [client, downstream, server] = places(&seen);
            assert!(downstream.is_empty() && server.is_empty());
            client
        };
        let by_fin = |shape| client(shape, false);
        assert_eq!(by_fin(Chunked), ["UPE"]);
        assert_eq!(by_fin(Unread), ["UPE"]);
        assert_eq!(by_fin(Length), ["UC", "UPE"]);
        let by_rst = |shape| client(shape, true);
        for shape in [Chunked, Unread, Length] {
            assert_eq!(by_rst(shape), ["UC", "UPE"], "{shape:?}");
        }
        assert_eq!(by_rst(UntilClose), ["UC"]);
    }

    #[test]
    fn a_close_inside_the_response_is_whichever_timer_it_fits() {
        let left = |announced, after, silent| Seen {
            verdict: Verdict::ClientGaveUpMidResponse,
            silent_for: Some(Span::from_millis(silent)),
            ..gave_up(announced, Some(after))
        };
        let client = |announced, after, silent| places(&left(announced, after, silent))[0];
        assert_eq!(client(Some(1000), 1002, 300), ["UT"]);
        assert_eq!(client(Some(1000), 1002, 1000), ["UT"]);
        assert_eq!(client(Some(5000), 2340, 2000), ["SI", "DC"]);
        assert_eq!(client(None, 2340, 2000), ["SI", "DC"]);
        assert_eq!(client(None, 2000, 1700), ["DC"]);
    }

    #[test]
    fn answers_that_no_client_can_use() {
        let client = |verdict| places(&of(verdict));
        assert_eq!(
            client(Verdict::ServerInvalidResponse),
            [&["UPE"][..], &[], &[]]
        );
        assert_eq!(
            client(Verdict::ServerResetEarlyAnswer),
            [&["UC"][..], &[], &[]]
        );
    }

    #[test]
    fn an_answer_of_envoys_own_is_logged_where_it_was_made() {
        for (flag, logged) in [("UT", &["UT"][..]), ("NC", &["NC", "NR"]), ("", &[])] {
            let by = ProxyAnswer {
                software: Software::Envoy,
                flag: flag.into(),
                text: "".into(),
            };
            let seen = Seen {
                answered_by: Some(&by),
                ..of(Verdict::Ok)
            };
            assert_eq!(places(&seen), [&[][..], &[], logged]);
        }
    }

    #[test]
    fn a_connection_that_never_opened_is_an_upstream_failure() {
        for verdict in [Verdict::ConnectRefused, Verdict::ConnectTimeout] {
            assert_eq!(places(&of(verdict)), [&["UF", "URX,UF"][..], &[], &[]]);
        }
    }

    #[test]
    fn an_exchange_that_went_well_or_goes_on_has_no_flag() {
        for verdict in [Verdict::Ok, Verdict::Upgraded, Verdict::Unanswered] {
            assert!(places(&of(verdict)).iter().all(|flags| flags.is_empty()));
        }
    }

    #[test]
    fn every_list_is_among_those_that_can_be_read_back() {
        let endpoints = [
            Endpoint::v4([127, 0, 0, 6], 1),
            Endpoint::v4([10, 0, 0, 1], 1),
        ];
        let spans = [None, Some(500), Some(7_777)].map(|millis| millis.map(Span::from_millis));
        let shapes = [
            ResponseShape::Unread,
            ResponseShape::Length,
            ResponseShape::Chunked,
            ResponseShape::UntilClose,
            ResponseShape::NotHttp,
            ResponseShape::Stream,
        ];
        for verdict in Verdict::ALL {
            for client in endpoints {
                for (announced, gave_up_after) in
                    spans.iter().flat_map(|a| spans.iter().map(|b| (*a, *b)))
                {
                    for (shape, reset, stream_ended) in shapes
                        .iter()
                        .flat_map(|s| [(*s, false, false), (*s, true, false), (*s, true, true)])
                    {
                        let seen = Seen {
                            verdict,
                            client,
                            announced,
                            gave_up_after,
                            acknowledged: true,
                            silent_for: gave_up_after,
                            shape,
                            reset,
                            stream_ended,
                            defect: None,
                            answered_by: None,
                        };
                        let flags = flags(&seen).0;
                        let text = serde_json::to_string(&flags).unwrap();
                        assert_eq!(serde_json::from_str::<EnvoyFlags>(&text).unwrap(), flags);
                    }
                }
            }
        }
    }
}
