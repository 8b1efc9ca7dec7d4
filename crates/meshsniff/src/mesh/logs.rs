//! What other proxies than Envoy write into their logs for what was seen, where their makers say so.
//!
//! nginx: the status and the line of its error log (`ngx_http_upstream.c` names them). HAProxy: the
//! termination state (configuration manual, 8.5). AWS ALB: the status (user guide, "Troubleshoot
//! your Application Load Balancers"). `docs/verdicts-and-fields.md` has the addresses of the pages.

/// What three proxies log; empty where their documentation does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    /// nginx.
    pub nginx: &'static str,
    /// HAProxy.
    pub haproxy: &'static str,
    /// AWS's application load balancer.
    pub alb: &'static str,
}

impl Logs {
    /// The software, and what it logs, where that is known.
    pub fn known(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = [
            ("nginx", self.nginx),
            ("haproxy", self.haproxy),
            ("aws-alb", self.alb),
        ];
        all.into_iter().filter(|(_, line)| !line.is_empty())
    }
}

/// What was seen, as a proxy cares about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The proxy's own timer ended the wait for an answer.
    TimedOut,
    /// The proxy's own timer ended the wait inside an answer.
    TimedOutInside,
    /// The proxy's caller left before an answer, by FIN.
    CallerLeft,
    /// The proxy's caller left before an answer, by RST.
    CallerReset,
    /// The proxy's caller left inside the answer.
    CallerLeftInside,
    /// The upstream closed before an answer.
    UpstreamClosed,
    /// The upstream reset before an answer.
    UpstreamReset,
    /// The upstream closed inside the answer.
    UpstreamTruncated,
    /// The upstream reset inside the answer.
    UpstreamResetInside,
    /// The upstream's answer cannot be passed on.
    InvalidAnswer,
    /// The upstream refused the connection.
    Refused,
    /// The upstream did not answer the SYN.
    Unreachable,
}

/// The logs of a proxy to which that happened.
#[must_use]
pub const fn of(event: Event) -> Logs {
    let (nginx, haproxy, alb) = match event {
        Event::TimedOut => ("504, upstream timed out", "sH", "504"),
        Event::TimedOutInside => ("upstream timed out", "sD", ""),
        Event::CallerLeft => ("499", "CH", "460"),
        Event::CallerReset => ("499", "CD", "460"),
        // Of the level `info`.
        Event::CallerLeftInside => ("client prematurely closed connection", "CD", ""),
        Event::UpstreamClosed => ("502, upstream prematurely closed connection", "SH", "502"),
        Event::UpstreamReset => ("502, Connection reset by peer", "SH", "502"),
        Event::UpstreamTruncated => ("upstream prematurely closed connection", "SD", ""),
        Event::UpstreamResetInside => ("Connection reset by peer", "SD", ""),
        Event::InvalidAnswer => ("502, upstream sent invalid header", "PH", "502"),
        Event::Refused => ("502, Connection refused", "SC", "502"),
        Event::Unreachable => ("504, upstream timed out", "sC", "504"),
    };
    Logs {
        nginx,
        haproxy,
        alb,
    }
}
