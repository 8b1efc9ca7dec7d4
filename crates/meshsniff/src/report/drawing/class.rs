//! Kinds of verdicts that look alike on a drawing.

use crate::exchange::{Exchange, Verdict};

/// What became of an exchange, as far as a drawing tells it apart. Each has a shape of its own, so
/// that no colour has to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) enum Class {
    /// It went well.
    Good,
    /// It is not known what became of it.
    Unknown,
    /// A whole answer that says that it failed.
    Answered,
    /// The client left.
    Client,
    /// The server, or whoever stands for it, broke off.
    Server,
}

impl Class {
    /// Every class, the least telling first: later ones are drawn on top.
    pub(in super::super) const ALL: [Self; 5] = [
        Self::Good,
        Self::Unknown,
        Self::Answered,
        Self::Client,
        Self::Server,
    ];

    /// The class of an exchange.
    pub(in super::super) fn of(exchange: &Exchange) -> Self {
        match exchange.verdict {
            Verdict::Unanswered => Self::Unknown,
            Verdict::Ok | Verdict::Upgraded => match exchange.good() {
                Some(true) => Self::Good,
                Some(false) => Self::Answered,
                None => Self::Unknown,
            },
            verdict if verdict.ended_by_client() => Self::Client,
            _ => Self::Server,
        }
    }

    /// Its name on a page.
    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Answered => "answered",
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// What it means.
    pub(in super::super) const fn words(self) -> &'static str {
        match self {
            Self::Good => "went well",
            Self::Unknown => "without a known end",
            Self::Answered => "answered with a failure",
            Self::Client => "left by the client",
            Self::Server => "broken off by the server",
        }
    }
}
