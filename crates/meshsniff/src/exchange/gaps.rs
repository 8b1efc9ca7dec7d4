//! The gaps between the events of an exchange.

use crate::time::Span;
use serde::{Deserialize, Serialize};

/// A gap: from one event of an exchange to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gap {
    /// `request_start` to `request_end`.
    RequestDuration,
    /// `request_end` to `request_acked`.
    RequestToAck,
    /// `request_end` to `response_start`; negative for an early answer.
    RequestToResponse,
    /// Pipelined only: `response_end` of the exchange before to `response_start`.
    AfterPrevious,
    /// `response_start` to `response_end`.
    ResponseDuration,
    /// `response_end` to `response_acked`.
    ResponseToAck,
    /// `request_start` to `response_end`.
    Total,
    /// `request_end` to the client's first FIN or RST.
    RequestToClientClose,
    /// `request_acked` to the client's first FIN or RST.
    AckToClientClose,
    /// `request_end` to the server's first FIN or RST.
    RequestToServerClose,
    /// The client's close to `late_response`.
    ClientCloseToLateResponse,
    /// End of the exchange before it on the connection to `request_start`.
    IdleBefore,
}

impl Gap {
    /// Every gap, in the order of the documentation.
    pub const ALL: [Self; Gaps::COUNT] = [
        Self::RequestDuration,
        Self::RequestToAck,
        Self::RequestToResponse,
        Self::AfterPrevious,
        Self::ResponseDuration,
        Self::ResponseToAck,
        Self::Total,
        Self::RequestToClientClose,
        Self::AckToClientClose,
        Self::RequestToServerClose,
        Self::ClientCloseToLateResponse,
        Self::IdleBefore,
    ];

    /// The name used in every report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Gaps::NAMES[self as usize]
    }

    /// Whether every answered exchange has it: where there is none, nobody was answered. The others
    /// tell of closes and the like, and that there is none of them is good.
    #[must_use]
    pub const fn is_of_every_answer(self) -> bool {
        match self {
            Self::RequestDuration
            | Self::RequestToAck
            | Self::RequestToResponse
            | Self::ResponseDuration
            | Self::ResponseToAck
            | Self::Total => true,
            Self::AfterPrevious
            | Self::RequestToClientClose
            | Self::AckToClientClose
            | Self::RequestToServerClose
            | Self::ClientCloseToLateResponse
            | Self::IdleBefore => false,
        }
    }

    /// Whether a close of the client's is one of its ends: a good exchange has none of these.
    #[must_use]
    pub const fn is_of_client_close(self) -> bool {
        matches!(
            self,
            Self::RequestToClientClose | Self::AckToClientClose | Self::ClientCloseToLateResponse
        )
    }
}

/// The gaps between the events. `docs/verdicts-and-fields.md` says what each is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// `request_start` to `request_end`.
    pub request_duration: Option<Span>,
    /// `request_end` to `request_acked`.
    pub request_to_ack: Option<Span>,
    /// `request_end` to `response_start`; negative for an early answer.
    pub request_to_response: Option<Span>,
    /// Pipelined only: `response_end` of the exchange before to `response_start`.
    pub after_previous: Option<Span>,
    /// `response_start` to `response_end`.
    pub response_duration: Option<Span>,
    /// `response_end` to `response_acked`.
    pub response_to_ack: Option<Span>,
    /// `request_start` to `response_end`.
    pub total: Option<Span>,
    /// `request_end` to the client's first FIN or RST.
    pub request_to_client_close: Option<Span>,
    /// `request_acked` to the client's first FIN or RST.
    pub ack_to_client_close: Option<Span>,
    /// `request_end` to the server's first FIN or RST.
    pub request_to_server_close: Option<Span>,
    /// The client's close to `late_response`.
    pub client_close_to_late_response: Option<Span>,
    /// End of the exchange before it on the connection to `request_start`.
    pub idle_before: Option<Span>,
}

impl Gaps {
    /// How many gaps there are names for.
    pub const COUNT: usize = 12;

    /// Their names, in the order of [`Gaps::values`].
    pub const NAMES: [&'static str; Self::COUNT] = [
        "request_duration",
        "request_to_ack",
        "request_to_response",
        "after_previous",
        "response_duration",
        "response_to_ack",
        "total",
        "request_to_client_close",
        "ack_to_client_close",
        "request_to_server_close",
        "client_close_to_late_response",
        "idle_before",
    ];

    /// The length of a gap; `None` if the exchange does not have it.
    #[must_use]
    pub const fn get(&self, gap: Gap) -> Option<Span> {
        self.values()[gap as usize]
    }

    /// The gaps that the exchange has, in the order of [`Gap::ALL`].
    pub fn present(&self) -> impl Iterator<Item = (Gap, Span)> {
        let all = Gap::ALL.into_iter().zip(self.values());
        all.filter_map(|(gap, span)| Some((gap, span?)))
    }

    /// The gaps in the order of [`Gaps::NAMES`].
    #[must_use]
    pub const fn values(&self) -> [Option<Span>; Self::COUNT] {
        [
            self.request_duration,
            self.request_to_ack,
            self.request_to_response,
            self.after_previous,
            self.response_duration,
            self.response_to_ack,
            self.total,
            self.request_to_client_close,
            self.ack_to_client_close,
            self.request_to_server_close,
            self.client_close_to_late_response,
            self.idle_before,
        ]
    }

    /// Gaps from what [`Gaps::values`] gave.
    #[must_use]
    pub const fn from_values(values: [Option<Span>; Self::COUNT]) -> Self {
        let [
            request_duration,
            request_to_ack,
            request_to_response,
            after_previous,
            response_duration,
            response_to_ack,
            total,
            request_to_client_close,
            ack_to_client_close,
            request_to_server_close,
            client_close_to_late_response,
            idle_before,
        ] = values;
        Self {
            request_duration,
            request_to_ack,
            request_to_response,
            after_previous,
            response_duration,
            response_to_ack,
            total,
            request_to_client_close,
            ack_to_client_close,
            request_to_server_close,
            client_close_to_late_response,
            idle_before,
        }
    }
}
