//! Header fields that say the same in every version of HTTP: who asks, for how long, and who made
//! an answer.

use super::{caller, trace};
use compact_str::CompactString;

/// Fields of a request head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFields {
    /// `x-request-id`.
    pub request_id: Option<CompactString>,
    /// The trace, by `traceparent`, `b3` or `x-b3-traceid`.
    pub trace_id: Option<CompactString>,
    /// `x-envoy-expected-rq-timeout-ms`, as sent.
    pub envoy_timeout: Option<CompactString>,
    /// `grpc-timeout`, as sent.
    pub grpc_timeout: Option<CompactString>,
    /// `x-envoy-attempt-count`.
    pub attempt: Option<u32>,
    /// The caller, by `x-forwarded-client-cert`, else `x-envoy-peer-metadata-id`.
    pub caller: Option<CompactString>,
    /// Whether `user-agent` is the kubelet's.
    pub kube_probe: bool,
}

impl RequestFields {
    /// Takes a field; any that is none of these is passed over.
    #[inline]
    pub fn take(&mut self, name: &str, value: &[u8]) {
        // The length picks at most three names to compare with: most fields cost one jump.
        match name.len() {
            2 if name.eq_ignore_ascii_case("b3") => {
                self.trace_id = self.trace_id.take().or_else(|| trace::by_b3(value));
            }
            11 if name.eq_ignore_ascii_case("traceparent") => {
                self.trace_id = trace::by_traceparent(value).or(self.trace_id.take());
            }
            12 if name.eq_ignore_ascii_case("x-request-id") => {
                self.request_id = Some(text(value)).filter(|id| !id.trim().is_empty());
            }
            12 if name.eq_ignore_ascii_case("x-b3-traceid") => {
                self.trace_id = self.trace_id.take().or_else(|| trace::by_id(value));
            }
            12 if name.eq_ignore_ascii_case("grpc-timeout") => {
                self.grpc_timeout = Some(text(value));
            }
            10 if name.eq_ignore_ascii_case("user-agent") => {
                self.kube_probe = value.starts_with(b"kube-probe/");
            }
            21 if name.eq_ignore_ascii_case("x-envoy-attempt-count") => {
                let digits = std::str::from_utf8(value.trim_ascii());
                self.attempt = digits.ok().and_then(|digits| digits.parse().ok());
            }
            23 if name.eq_ignore_ascii_case("x-forwarded-client-cert") => {
                self.caller = caller::by_certificate(value).or(self.caller.take());
            }
            24 if name.eq_ignore_ascii_case("x-envoy-peer-metadata-id") => {
                self.caller = self.caller.take().or_else(|| caller::by_metadata(value));
            }
            30 if name.eq_ignore_ascii_case("x-envoy-expected-rq-timeout-ms") => {
                self.envoy_timeout = Some(text(value));
            }
            _ => {}
        }
    }
}

/// Fields of a response head that tell who made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maker {
    /// `Server`.
    pub server: CompactString,
    /// `Via`.
    pub via: CompactString,
    /// `l5d-proxy-error`.
    pub linkerd_error: CompactString,
    /// `grpc-message`, as sent: to a call a proxy says there what it says to others in the body.
    pub grpc_message: CompactString,
    /// Whether there is an `x-envoy-upstream-service-time`: an upstream made it.
    pub from_upstream: bool,
}

impl Maker {
    /// Takes a field; any that is none of these is passed over.
    pub fn take(&mut self, name: &str, value: &[u8]) {
        match name.len() {
            3 if name.eq_ignore_ascii_case("via") => self.via = text(value),
            6 if name.eq_ignore_ascii_case("server") => self.server = text(value),
            12 if name.eq_ignore_ascii_case("grpc-message") => self.grpc_message = text(value),
            15 if name.eq_ignore_ascii_case("l5d-proxy-error") => self.linkerd_error = text(value),
            29 if name.eq_ignore_ascii_case("x-envoy-upstream-service-time") => {
                self.from_upstream = true;
            }
            _ => {}
        }
    }
}

/// Whether a `content-encoding` leaves the content as anything but itself.
#[must_use]
pub fn is_coded(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
}

/// A field's value as text.
pub(super) fn text(value: &[u8]) -> CompactString {
    CompactString::from_utf8_lossy(value.trim_ascii())
}
