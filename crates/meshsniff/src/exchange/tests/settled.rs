//! What is asked of an exchange that was judged.

use crate::exchange::model::{AckWith, Doubt, Exchange, FindingKind, Gaps, Scope, Side, Verdict};
use crate::packet::Mark;

fn number(mark: Mark) -> u64 {
    mark.frame.number()
}

/// An exchange that was judged.
pub(in crate::exchange) struct Settled(pub(in crate::exchange) Exchange);

impl Settled {
    pub(in crate::exchange) const fn verdict(&self) -> (Verdict, Option<Doubt>) {
        (self.0.verdict, self.0.doubt)
    }

    /// The frame of an event, by its name in the report.
    pub(in crate::exchange) fn event(&self, name: &str) -> Option<u64> {
        let events = &self.0.events;
        let mark = match name {
            "request_start" => Some(events.request_start),
            "request_end" => events.request_end,
            "request_last" => events.request_last,
            "response_last" => events.response_last,
            "request_acked" => events.request_acked.map(|(mark, _)| mark),
            "response_start" => events.response_start,
            "response_end" => events.response_end,
            "response_acked" => events.response_acked,
            "client_fin" => events.client_fin,
            "client_rst" => events.client_rst,
            "server_fin" => events.server_fin,
            "server_rst" => events.server_rst,
            "late_response" => events.late_response,
            "client_rst_stream" => events.client_rst_stream,
            "server_rst_stream" => events.server_rst_stream,
            "goaway" => events.goaway,
            _ => panic!("there is no event {name}"),
        };
        mark.map(number)
    }

    /// The frame that acknowledged the request, and what kind of packet it was.
    pub(in crate::exchange) fn request_acked(&self) -> Option<(u64, AckWith)> {
        let acked = self.0.events.request_acked;
        acked.map(|(mark, with)| (number(mark), with))
    }

    /// The interim responses: frame and status.
    pub(in crate::exchange) fn interim(&self) -> Vec<(u64, u16)> {
        let interim = self.0.events.interim.iter();
        interim
            .map(|&(mark, status)| (number(mark), status))
            .collect()
    }

    pub(in crate::exchange) fn method(&self) -> Option<&str> {
        self.0.method.as_deref()
    }

    /// The closes listed among its events: the client's FIN and RST, then the server's.
    pub(in crate::exchange) fn closes(&self) -> [Option<u64>; 4] {
        ["client_fin", "client_rst", "server_fin", "server_rst"].map(|name| self.event(name))
    }

    /// A gap in milliseconds, by its name in the report.
    pub(in crate::exchange) fn gap(&self, name: &str) -> Option<i64> {
        let at = Gaps::NAMES.iter().position(|&known| known == name);
        let gap = self.0.gaps.values()[at.unwrap_or_else(|| panic!("there is no gap {name}"))];
        gap.map(|gap| gap.as_nanos() / 1_000_000)
    }

    /// The gaps that it has, with their values.
    pub(in crate::exchange) fn gaps(&self) -> Vec<(&'static str, i64)> {
        let names = Gaps::NAMES.into_iter();
        names
            .filter_map(|name| Some((name, self.gap(name)?)))
            .collect()
    }

    /// Each finding with its frames and its cost in milliseconds.
    pub(in crate::exchange) fn findings(&self) -> Vec<(FindingKind, Vec<u64>, i64)> {
        let told = self.0.findings.iter().map(|finding| {
            let frames = finding.frames.iter().map(|&mark| number(mark)).collect();
            (finding.kind, frames, finding.cost.as_nanos() / 1_000_000)
        });
        told.collect()
    }

    /// Bytes of the request, and of the response.
    pub(in crate::exchange) const fn bytes(&self) -> (u64, u64) {
        (self.0.request_bytes, self.0.response_bytes)
    }

    /// The status of an answer in time, and that of a late one.
    pub(in crate::exchange) const fn statuses(&self) -> (Option<u16>, Option<u16>) {
        (self.0.status, self.0.late_status)
    }

    /// Who ended the stream alone, the code's name, and whether a GOAWAY did it.
    pub(in crate::exchange) fn reset(&self) -> Option<(Side, &'static str, bool)> {
        let reset = self.0.reset?;
        Some((reset.by, reset.code.name(), reset.by_goaway))
    }

    /// Its stream, its method and its path.
    pub(in crate::exchange) fn asked(&self) -> (Option<u32>, Option<&str>, Option<&str>) {
        let exchange = &self.0;
        (
            exchange.stream,
            exchange.method.as_deref(),
            exchange.path.as_deref(),
        )
    }

    /// Whether the close that decided ended the exchange's stream alone.
    pub(in crate::exchange) const fn was_of_stream(&self) -> bool {
        matches!(self.0.close_scope, Scope::Stream)
    }

    pub(in crate::exchange) const fn half_closed(&self) -> bool {
        self.0.half_closed
    }

    /// The flags of the proxies at `client`, `client_downstream` and `server`.
    pub(in crate::exchange) const fn envoy(&self) -> [&'static [&'static str]; 3] {
        let envoy = self.0.envoy;
        [envoy.client, envoy.client_downstream, envoy.server]
    }

    /// The timeout that is guessed, in milliseconds.
    pub(in crate::exchange) fn guess(&self) -> Option<i64> {
        self.0
            .timeout_guess
            .map(|guess| guess.as_nanos() / 1_000_000)
    }

    /// The frame of the client's first close and whether it was a RST.
    pub(in crate::exchange) fn client_close(&self) -> Option<(u64, bool)> {
        let close = self.0.client_close();
        close.map(|(mark, reset)| (number(mark), reset))
    }

    /// The frame of the server's first close and whether it was a RST.
    pub(in crate::exchange) fn server_close(&self) -> Option<(u64, bool)> {
        let close = self.0.server_close();
        close.map(|(mark, reset)| (number(mark), reset))
    }
}
