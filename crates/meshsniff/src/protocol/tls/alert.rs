//! Alerts: who ended it, and why.

use crate::tcp::Side;
use serde::{Deserialize, Serialize};

/// An alert: who sent it, and which; `None` if it is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The sender.
    pub by: Side,
    /// Its description (RFC 8446, 6).
    pub description: Option<u8>,
}

impl Alert {
    /// The name of the description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let Some(description) = self.description else {
            return "an encrypted alert";
        };
        match description {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            121 => "ech_required",
            _ => "an unknown alert",
        }
    }

    /// Whether an alert that is a mere warning ends the connection all the same: close_notify and
    /// user_canceled.
    pub(super) const fn is_end(description: u8) -> bool {
        matches!(description, 0 | 90)
    }

    /// What an alert of this name means to who looks for the cause, as the end of a sentence about
    /// its sender; `None` where the name says it, or where it can be too much.
    #[must_use]
    pub fn meaning(name: &str) -> Option<&'static str> {
        Some(match name {
            "unknown_ca" => "it does not trust the other's issuer",
            "certificate_expired" => "the other's certificate has expired, or its clock is wrong",
            "certificate_revoked" => "the other's certificate was revoked",
            "certificate_required" => "it wants a certificate and had none",
            "bad_certificate" | "certificate_unknown" | "unsupported_certificate" => {
                "it does not accept the other's certificate"
            }
            "access_denied" => "it knows the other and lets it not in",
            "unrecognized_name" => "it does not serve the name in SNI",
            "no_application_protocol" => "it speaks none of the protocols that ALPN offers",
            "protocol_version" => "it speaks no version of TLS that the other offers",
            "handshake_failure" | "insufficient_security" => {
                "most often there is no cipher or curve that both know, or a certificate lacks"
            }
            "decrypt_error" => "a signature or a key of the other is wrong",
            "close_notify" => "it left in the middle of the handshake",
            _ => return None,
        })
    }
}
