//! The gaps between the events of an exchange.

use crate::time::Span;
use serde::{Deserialize, Serialize};

/// Defines [`Gap`] and [`Gaps`] by one list.
macro_rules! gaps {
    ($($(#[$doc:meta])+ $gap:ident: $field:ident;)+) => {
        /// A gap: from one event of an exchange to another.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Gap {
            $($(#[$doc])+ $gap,)+
        }

        /// The gaps between the events. `docs/verdicts-and-fields.md` says what each is good for.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Gaps {
            $($(#[$doc])+ pub $field: Option<Span>,)+
        }

        impl Gap {
            /// Every gap, in the order of the documentation.
            pub const ALL: [Self; Gaps::COUNT] = [$(Self::$gap),+];
        }

        impl Gaps {
            /// How many gaps there are names for.
            pub const COUNT: usize = [$(stringify!($field)),+].len();

            /// Their names, in the order of [`Gap::ALL`].
            pub const NAMES: [&'static str; Self::COUNT] = [$(stringify!($field)),+];

            /// The gaps in the order of [`Gap::ALL`].
            #[must_use]
            pub const fn values(&self) -> [Option<Span>; Self::COUNT] {
                [$(self.$field),+]
            }

            /// Gaps from what [`Gaps::values`] gave.
            #[must_use]
            pub const fn from_values([$($field),+]: [Option<Span>; Self::COUNT]) -> Self {
                Self { $($field),+ }
            }
        }
    };
}

gaps! {
    /// `request_start` to `request_end`.
    RequestDuration: request_duration;
    /// `request_end` to `request_acked`.
    RequestToAck: request_to_ack;
    /// `request_end` to `response_start`; negative for an early answer.
    RequestToResponse: request_to_response;
    /// `request_last` to what ended the wait: the answer, a close, or the capture's end.
    RequestSilence: request_silence;
    /// The last byte of the response to the close that decided it.
    ResponseSilence: response_silence;
    /// `request_start`, or the first SYN of a connection opened for it, to `response_end` or the
    /// close that decided.
    Wait: wait;
    /// Pipelined only: `response_end` of the exchange before to `response_start`.
    AfterPrevious: after_previous;
    /// `response_start` to `response_end`.
    ResponseDuration: response_duration;
    /// `response_end` to `response_acked`.
    ResponseToAck: response_to_ack;
    /// `request_start` to `response_end`.
    Total: total;
    /// `request_end` to the client's first FIN or RST.
    RequestToClientClose: request_to_client_close;
    /// `request_acked` to the client's first FIN or RST.
    AckToClientClose: ack_to_client_close;
    /// `request_end` to the server's first FIN or RST.
    RequestToServerClose: request_to_server_close;
    /// The client's close to `late_response`.
    ClientCloseToLateResponse: client_close_to_late_response;
    /// End of the exchange before it on the connection to `request_start`.
    IdleBefore: idle_before;
}

impl Gap {
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
            Self::RequestSilence
            | Self::ResponseSilence
            | Self::Wait
            | Self::AfterPrevious
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

impl Gaps {
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
}
