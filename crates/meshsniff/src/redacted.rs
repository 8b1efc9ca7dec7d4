//! Reports without what may be secret in them.

use crate::condition::Filter;
use crate::event::{Capture, Outcome, Report, ReportEvent};
use crate::exchange::{Connection, Exchange};
use compact_str::{CompactString, format_compact};
use std::borrow::Cow;
use std::io;

/// What stands in the place of what is left out.
pub(crate) const MASK: &str = "redacted";

/// Parts of an exchange that are masked because they may be secret.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redacted {
    /// The query of a request target.
    pub query: bool,
    /// The whole target.
    pub path: bool,
    /// `Host`, the names that are asked of DNS, the caller, the words of a proxy that answered, and
    /// the reason why a WebSocket was closed.
    pub host: bool,
    /// `x-request-id`, and the trace.
    pub request_id: bool,
}

impl Redacted {
    /// Whether anything is.
    #[must_use]
    pub const fn any(self) -> bool {
        self.query || self.path || self.host || self.request_id
    }

    /// An exchange without them.
    #[must_use]
    pub fn exchange(self, exchange: &Exchange) -> Cow<'_, Exchange> {
        if !self.any() {
            return Cow::Borrowed(exchange);
        }
        let mut exchange = exchange.clone();
        self.apply(&mut exchange);
        Cow::Owned(exchange)
    }

    /// A connection without them.
    #[must_use]
    pub fn connection(self, connection: &Connection) -> Cow<'_, Connection> {
        match &connection.dns {
            Some(dns) if self.host => {
                let mut dns = dns.clone();
                dns.mask_names(MASK);
                Cow::Owned(Connection {
                    dns: Some(dns),
                    ..connection.clone()
                })
            }
            _ => Cow::Borrowed(connection),
        }
    }

    /// The result of an assertion without them.
    #[must_use]
    pub fn outcome(self, outcome: &Outcome) -> Outcome {
        let mut outcome = outcome.clone();
        for exchange in &mut outcome.exchanges {
            self.apply(exchange);
        }
        for connection in &mut outcome.connections {
            *connection = self.connection(connection).into_owned();
        }
        outcome
    }

    /// The end of a capture without them.
    #[must_use]
    pub fn capture(self, capture: &Capture) -> Cow<'_, Capture> {
        if !self.host {
            return Cow::Borrowed(capture);
        }
        let mut capture = capture.clone();
        capture.totals.dns.mask_names(MASK);
        Cow::Owned(capture)
    }

    fn apply(self, exchange: &mut Exchange) {
        // Who knows what stands where in it.
        exchange.said = None;
        let query = exchange.path.as_deref().and_then(|path| path.find('?'));
        if self.path && exchange.path.is_some() {
            exchange.path = Some(MASK.into());
        } else if let (true, Some(at), Some(path)) = (self.query, query, &mut exchange.path) {
            path.truncate(at + 1);
            path.push_str(MASK);
        }
        if self.host
            && let Some(path) = &exchange.path
            && let Some(without) = without_host(path, exchange.method.as_deref())
        {
            exchange.path = Some(without);
        }
        if self.host && exchange.authority.is_some() {
            exchange.authority = Some(MASK.into());
        }
        if self.host && exchange.caller.is_some() {
            exchange.caller = Some(MASK.into());
        }
        // Linkerd's errors are its own words, and name services.
        if let Some(by) = exchange.answered_by.as_deref_mut().filter(|_| self.host) {
            by.text = MASK.into();
        }
        // It is the other side's own words, too.
        if let Some(websocket) = exchange.websocket.as_deref_mut().filter(|_| self.host)
            && websocket.close_reason.is_some()
        {
            websocket.close_reason = Some(MASK.into());
        }
        if self.request_id && exchange.request_id.is_some() {
            exchange.request_id = Some(MASK.into());
        }
        if self.request_id {
            exchange.trace_id = None;
        }
    }
}

/// A request target without the host in it; `None` if there is none (RFC 9112, 3.2.2 and 3.2.3).
fn without_host(target: &str, method: Option<&str>) -> Option<CompactString> {
    if method == Some("CONNECT") {
        return Some(MASK.into());
    }
    let (scheme, rest) = target.split_once("://")?;
    if scheme.contains(['/', '?']) {
        return None;
    }
    let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    Some(format_compact!("{scheme}://{MASK}{path}"))
}

/// A report adapter that passes on what a filter selects, without what may be secret.
#[derive(Debug)]
pub struct Redacting<R> {
    told: R,
    redacted: Redacted,
    filter: Filter,
}

impl<R> Redacting<R> {
    /// Wraps `told`, which is not to select anything itself: it does not see what to select by.
    #[must_use]
    pub const fn new(told: R, redacted: Redacted, filter: Filter) -> Self {
        Self {
            told,
            redacted,
            filter,
        }
    }
}

impl<R: Report> Report for Redacting<R> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        let redacted = self.redacted;
        match event {
            ReportEvent::Exchange(exchange) if !self.filter.exchange(exchange) => Ok(()),
            ReportEvent::Connection(connection) if !self.filter.connection(connection) => Ok(()),
            ReportEvent::Exchange(exchange) => {
                let exchange = redacted.exchange(exchange);
                self.told.tell(ReportEvent::Exchange(&exchange))
            }
            ReportEvent::Connection(connection) => {
                let connection = redacted.connection(connection);
                self.told.tell(ReportEvent::Connection(&connection))
            }
            ReportEvent::Finish(capture) => {
                let capture = redacted.capture(capture);
                self.told.tell(ReportEvent::Finish(&capture))
            }
            ReportEvent::Assertions(outcomes) => {
                let outcomes: Vec<Outcome> =
                    outcomes.iter().map(|one| redacted.outcome(one)).collect();
                self.told.tell(ReportEvent::Assertions(&outcomes))
            }
            event => self.told.tell(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    #[test]
    fn the_reason_of_a_close_is_masked_with_the_host() {
        let exchange = Exchange {
            websocket: Some(Box::new(fixtures::websocket())),
            ..fixtures::ok()
        };
        let reason = |redacted: Redacted| {
            let exchange = redacted.exchange(&exchange).into_owned();
            exchange.websocket.and_then(|one| one.close_reason)
        };
        let host = Redacted {
            host: true,
            ..Redacted::default()
        };
        assert_eq!(reason(host).as_deref(), Some(MASK));
        assert_eq!(reason(Redacted::default()).as_deref(), Some("no room"));
    }

    #[test]
    fn a_host_is_found_wherever_a_target_has_one() {
        for (method, target, without) in [
            (
                "GET",
                "http://shop.example:80/a?b=c://d",
                Some("http://redacted/a?b=c://d"),
            ),
            ("GET", "http://shop.example?b", Some("http://redacted?b")),
            ("GET", "https://shop.example", Some("https://redacted")),
            ("CONNECT", "shop.example:443", Some("redacted")),
            ("GET", "/a?next=http://shop.example/", None),
            ("OPTIONS", "*", None),
        ] {
            assert_eq!(
                without_host(target, Some(method)).as_deref(),
                without,
                "{target}"
            );
        }
    }
}
