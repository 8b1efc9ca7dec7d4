//! Which flags of Envoy's go with which verdict.

use super::model::{ResponseShape, Verdict};
use crate::mesh::envoy::EnvoyFlags;
use crate::mesh::timeout;
use crate::packet::Endpoint;
use crate::time::Span;

/// What the flags of an exchange depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    pub(super) client: Endpoint,
    /// The timeout announced on the request.
    pub(super) announced: Option<Span>,
    /// `request_to_client_close`.
    pub(super) gave_up_after: Option<Span>,
    pub(super) shape: ResponseShape,
    /// Whether the close that decided was a RST.
    pub(super) reset: bool,
}

/// The flags to expect, and the usual figure a give-up fits if nothing was announced.
pub(super) fn flags(seen: &Seen) -> (EnvoyFlags, Option<Span>) {
    // 127.0.0.6 calls its own app: nothing that accepts there is a proxy.
    let accepted_by_proxy: &[&str] = if seen.client.is_istio_inbound() {
        &[]
    } else {
        &["DC"]
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
                } else {
                    &["DC"]
                };
                let flags = EnvoyFlags {
                    client,
                    client_downstream: &[],
                    server: accepted_by_proxy,
                };
                (flags, None)
            }
            (_, gap) => {
                let guess = gap.and_then(timeout::usual_figure);
                let guess = guess.filter(|_| seen.announced.is_none());
                let downstream: &[&str] = if guess.is_some() {
                    &["UT", "DC"]
                } else {
                    &["DC", "UT"]
                };
                let flags = EnvoyFlags {
                    client: &["DC"],
                    client_downstream: downstream,
                    server: accepted_by_proxy,
                };
                (flags, guess)
            }
        },
        Verdict::ClientGaveUpMidResponse | Verdict::ClientAbortedRequest => {
            let flags = EnvoyFlags {
                client: &["DC"],
                client_downstream: &[],
                server: accepted_by_proxy,
            };
            (flags, None)
        }
        Verdict::ServerClosedUnanswered | Verdict::ServerResetUnanswered => (plain(&["UC"]), None),
        Verdict::ServerTruncatedResponse => {
            let client: &[&str] = match (seen.shape, seen.reset) {
                // A FIN inside a head is, to Envoy's codec, as bad as bytes that are none.
                (ResponseShape::NotHttp, _)
                | (ResponseShape::Chunked | ResponseShape::Unread, false) => &["UPE"],
                (ResponseShape::Length, false) => &["UC", "UPE"],
                _ => &["UC"],
            };
            (plain(client), None)
        }
        Verdict::ConnectRefused | Verdict::ConnectTimeout => (plain(&["UF", "URX,UF"]), None),
        Verdict::Ok | Verdict::Upgraded | Verdict::Unanswered => (EnvoyFlags::default(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ];
        for verdict in Verdict::ALL {
            for client in endpoints {
                for (announced, gave_up_after) in
                    spans.iter().flat_map(|a| spans.iter().map(|b| (*a, *b)))
                {
                    for (shape, reset) in shapes.iter().flat_map(|s| [(*s, false), (*s, true)]) {
                        let seen = Seen {
                            verdict,
                            client,
                            announced,
                            gave_up_after,
                            shape,
                            reset,
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
