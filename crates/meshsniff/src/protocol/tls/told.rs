//! What a report says of TLS on a connection.

use super::alert::Alert;
use super::data::Bursts;
use super::hello::{Cipher, Version};
use crate::packet::Mark;
use crate::tcp::Side;
use crate::time::Span;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// A time of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The server's part.
    Server,
    /// The client's.
    Client,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::Whole, Self::Server, Self::Client];

    /// The name that it has in a report's JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "handshake_ms",
            Self::Server => "server_ms",
            Self::Client => "client_ms",
        }
    }
}

/// Why what is inside is not read, where keys were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum NotRead {
    /// They are not among them.
    NoKeys,
    /// They do not open its records.
    WrongKeys,
    /// The cipher suite is none that is read.
    Cipher,
    /// The hellos, by which keys are found, are not in the capture.
    HandshakeUnseen,
}

impl NotRead {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 4] = [
        Self::NoKeys,
        Self::WrongKeys,
        Self::Cipher,
        Self::HandshakeUnseen,
    ];

    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What happened at a step of a connection that speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "snake_case")]
pub enum StepKind {
    /// The first byte of the client's hello.
    ClientHello,
    /// The first byte of the server's.
    ServerHello,
    /// The last message of the handshake.
    HandshakeEnd,
    /// The alert that ended the handshake.
    Alert,
    /// The last byte of data.
    LastRecord,
}

impl StepKind {
    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A step of a connection that speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What happened.
    pub kind: StepKind,
    /// The sender.
    pub by: Side,
    /// The packet.
    pub mark: Mark,
}

/// TLS on one connection, as far as it is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// The version that the server chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The name that the client asked for (RFC 6066, 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<CompactString>,
    /// The protocol that the server chose (RFC 7301); TLS 1.3 encrypts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<CompactString>,
    /// Those that the client offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alpn_offered: Vec<CompactString>,
    /// The cipher suite that the server chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher: Option<Cipher>,
    /// Whether an earlier session was taken up again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<bool>,
    /// Whether the client sent data with its hello (0-RTT).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub early_data: bool,
    /// Whether the server took them; TLS 1.3 encrypts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_data_taken: Option<bool>,
    /// Whether the server asked for another hello.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retried: bool,
    /// Whether the server asked for the client's certificate; TLS 1.3 encrypts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<bool>,
    /// From the client's hello to the last message of the handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Span>,
    /// The server's part: from the end of the client's hello to the first byte of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Span>,
    /// The client's part: from the server's last byte to the next that the client said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Span>,
    /// The alert that ended the handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
    /// Whether the client, and the server, said that it closes; `None` where that is not to be seen.
    pub close_notify: [Option<bool>; 2],
    /// What came after the handshake.
    pub bursts: Bursts,
    /// The side with the last record of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_record_by: Option<Side>,
    /// Whether what is inside was read, with keys.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keys: bool,
    /// Why it was not, where keys were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_read: Option<NotRead>,
    /// The steps, in the order of their packets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

impl Tls {
    /// Notes a step. There is one of a kind.
    pub(crate) fn note(&mut self, kind: StepKind, by: Side, mark: Mark) {
        self.steps.retain(|step| step.kind != kind);
        let at = |step: &Step| step.mark.order <= mark.order;
        let place = self.steps.partition_point(at);
        self.steps.insert(place, Step { kind, by, mark });
    }

    /// How long that part of the handshake took, if it was seen.
    #[must_use]
    pub const fn part(&self, part: Part) -> Option<Span> {
        match part {
            Part::Whole => self.handshake,
            Part::Server => self.server,
            Part::Client => self.client,
        }
    }
}
