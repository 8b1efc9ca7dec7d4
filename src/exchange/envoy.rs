//! The response flags that Envoys around the vantage would log for what was seen.
//!
//! Three places: the proxy that opened this connection (`client`), the proxy that called that one
//! (`client_downstream`), and the proxy that accepted it (`server`). Behind an Istio sidecar on `lo`
//! they are the sidecar, the gateway, and nobody, because the app itself accepts.

use super::model::{EnvoyFlags, ResponseShape, Verdict};
use super::timeout;
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
