//! Answers that a proxy made itself: whose they are, and what the proxy logged with them.
//!
//! Envoy, nginx, HAProxy, the balancers of AWS and Google, Linkerd and Traefik answer in a server's
//! place when they reached none, or lost it. Such an answer is told by a header that only that
//! software sends together with a text that only it writes: either alone may be the server's own.

use crate::protocol::fields::Maker;
use compact_str::CompactString;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Bytes of a body that are looked at: every known text begins within them.
pub const MAX_BODY: usize = 512;

/// Software that stands between caller and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Software {
    /// Envoy, and with it Istio and many a gateway.
    Envoy,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// The application load balancer of AWS.
    AwsAlb,
    /// Google's load balancer.
    Google,
    /// Linkerd's proxy.
    Linkerd,
    /// Traefik.
    Traefik,
}

impl Software {
    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Its name in a sentence.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Envoy => "Envoy",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::AwsAlb => "AWS's balancer",
            Self::Google => "Google's balancer",
            Self::Linkerd => "Linkerd",
            Self::Traefik => "Traefik",
        }
    }
}

/// An answer that a proxy made itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyAnswer {
    /// The proxy.
    pub software: Software,
    /// What it logged with the answer: Envoy's flag, HAProxy's termination state. Empty if the
    /// answer does not tell.
    pub flag: CompactString,
    /// The text that the answer is known by.
    pub text: CompactString,
}

/// Flag of an Envoy that ended a request before the upstream's answer, by its reset reason.
const RESET_REASONS: [(&str, &str); 11] = [
    ("connection termination", "UC"),
    ("remote connection failure", "UF"),
    ("local connection failure", "UF"),
    ("connection failure", "UF"),
    ("connection timeout", "UF"),
    ("overflow", "UO"),
    ("protocol error", "UPE"),
    ("remote refused stream reset", "UR"),
    ("remote reset", "UR"),
    ("local refused stream reset", "LR"),
    ("local reset", "LR"),
];

/// Other bodies of Envoy's, whole, with status and flag. The flag is empty where Envoy logs none.
const ENVOY_BODIES: [(u16, &str, &str); 14] = [
    (504, "upstream request timeout", "UT"),
    (503, "no healthy upstream", "UH"),
    (403, "RBAC: access denied", ""),
    (429, "local_rate_limited", "RL"),
    (408, "stream timeout", "SI"),
    (504, "stream timeout", "SI"),
    (408, "request timeout", ""),
    (408, "request header timeout", ""),
    (504, "downstream duration timeout", ""),
    (504, "upstream max stream duration reached", "UMSDR"),
    (400, "Bad Request", "DPE"),
    (431, "Request Header Fields Too Large", "DPE"),
    (413, "Payload Too Large", ""),
    (413, "payload too large", ""),
];

/// How answers of Envoy's to a token that it does not take begin.
const JWT_BODIES: [&str; 6] = [
    "Jwt is missing",
    "Jwt is expired",
    "Jwt is not in the form",
    "Jwt issuer is not configured",
    "Jwt verification fails",
    "Audiences in Jwt are not allowed",
];

/// Sentences of HAProxy's pages, with its termination state where the page tells (configuration
/// manual, 8.5).
const HAPROXY_PAGES: [(u16, &str, &str); 13] = [
    // A request that cannot be read, or a client that left inside it: the page does not tell.
    (400, "Your browser sent an invalid request.", ""),
    (403, "Request forbidden by administrative rules.", "PR"),
    (
        408,
        "Your browser didn't send a complete request in time.",
        "cR",
    ),
    (
        410,
        "The resource is no longer available and will not be available again.",
        "",
    ),
    (413, "The request entity exceeds the maximum allowed.", ""),
    (421, "Request sent to a non-authoritative server", ""),
    (425, "Your browser sent early data.", ""),
    (
        429,
        "You have sent too many requests in a given amount of time.",
        "",
    ),
    (500, "An internal server error occurred.", ""),
    (
        501,
        "The server does not support the functionality required to fulfill the request.",
        "",
    ),
    // A server that left, or one whose answer cannot be read: the page does not tell.
    (
        502,
        "The server returned an invalid or incomplete response.",
        "",
    ),
    // No server, one that refused, or none that had room in time.
    (503, "No server is available to handle this request.", ""),
    (504, "The server didn't respond in time.", "sH"),
];

/// Tells whether a proxy made an answer of this status, by its head and the beginning of its body.
/// `is_empty`: it has no body for sure.
#[must_use]
pub fn recognise(status: u16, headers: &Maker, body: &[u8], is_empty: bool) -> Option<ProxyAnswer> {
    let has = |text: &str| memmem::find(body, text.as_bytes()).is_some();
    let told = |software, flag: &str, text: &str| {
        Some(ProxyAnswer {
            software,
            flag: flag.into(),
            text: text.into(),
        })
    };
    if !headers.linkerd_error.is_empty() {
        return told(Software::Linkerd, "", &headers.linkerd_error);
    }
    let server = headers.server.as_str();
    if matches!(server, "envoy" | "istio-envoy") {
        // Envoy says so where an upstream made the answer: that was another proxy, and what that
        // one logged is not this one's.
        let passed_on = headers.from_upstream;
        let said = headers.grpc_message.as_bytes();
        let body = if body.is_empty() { said } else { body };
        let is_empty = is_empty && said.is_empty() && !passed_on;
        return envoy(Some(status), body, is_empty)
            .and_then(|(flag, text)| told(Software::Envoy, flag, &text));
    }
    let is_gateway_error = matches!(status, 502..=504);
    if is_gateway_error && server.starts_with("awselb/") {
        return told(Software::AwsAlb, "", reason(status));
    }
    if is_gateway_error && server.starts_with("nginx") && has("<center>nginx") {
        return told(Software::Nginx, "", reason(status));
    }
    let google = memmem::find(headers.via.as_bytes(), b"google").is_some();
    if is_gateway_error && google && has("Error: Server Error") {
        return told(Software::Google, "", reason(status));
    }
    if server.is_empty() {
        let page = HAPROXY_PAGES.into_iter();
        let mut page = page.filter(|&(of, text, _)| of == status && has(text));
        if let Some((_, text, flag)) = page.next() {
            return told(Software::Haproxy, flag, text);
        }
        // Its other answers are those of any server in Go or Node.
        let traefik = "no available server";
        if status == 503 && body.trim_ascii() == traefik.as_bytes() {
            return told(Software::Traefik, "", traefik);
        }
    }
    None
}

/// Tells whether Envoy made an answer to a call itself, by its head and `grpc-message`: there stands
/// what is the body of its other answers.
#[must_use]
pub fn recognise_call(headers: &Maker, message: &[u8]) -> Option<ProxyAnswer> {
    let server = headers.server.as_str();
    let made = matches!(server, "envoy" | "istio-envoy") && !headers.from_upstream;
    let (flag, text) = envoy(None, message, false).filter(|_| made)?;
    Some(ProxyAnswer {
        software: Software::Envoy,
        flag: flag.into(),
        text,
    })
}

/// The flag and the text of an answer of Envoy's; of a call its HTTP status is not known.
fn envoy(
    status: Option<u16>,
    body: &[u8],
    is_empty: bool,
) -> Option<(&'static str, CompactString)> {
    let body = body.trim_ascii();
    let begins = |text: &str| body.starts_with(text.as_bytes());
    if begins("upstream connect error or disconnect/reset before headers") {
        // The text is made anew: what else stands in the body is whoever's.
        let reason = RESET_REASONS.into_iter().find(|(reason, _)| {
            let reason = format!("reset reason: {reason}");
            memmem::find(body, reason.as_bytes()).is_some()
        });
        let (reason, flag) = reason.unwrap_or(("unknown", ""));
        let text = format!("upstream connect error, reset reason: {reason}");
        return Some((flag, text.into()));
    }
    let known = ENVOY_BODIES.into_iter();
    let mut known = known.filter(|&(of, text, _)| {
        status.is_none_or(|status| of == status) && body == text.as_bytes()
    });
    if let Some((_, text, flag)) = known.next() {
        return Some((flag, text.into()));
    }
    if begins("fault filter abort") {
        return Some(("FI", "fault filter abort".into()));
    }
    if let Some(text) = JWT_BODIES.into_iter().find(|text| begins(text)) {
        return Some(("", text.into()));
    }
    match status {
        Some(400) if is_empty => Some(("", "".into())),
        Some(404) if is_empty => Some(("NR", "".into())),
        Some(503) if is_empty => Some(("NC", "".into())),
        _ => None,
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        502 => "502 Bad Gateway",
        503 => "503 Service Unavailable",
        _ => "504 Gateway Timeout",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(server: &str) -> Maker {
        Maker {
            server: server.into(),
            ..Maker::default()
        }
    }

    fn flag(status: u16, headers: &Maker, body: &str) -> Option<(Software, String)> {
        let answer = recognise(status, headers, body.as_bytes(), body.is_empty())?;
        Some((answer.software, answer.flag.to_string()))
    }

    #[test]
    fn envoys_answers_say_what_it_logged() {
        for (status, body, logged) in [
            (504, "upstream request timeout", "UT"),
            (503, "no healthy upstream", "UH"),
            (429, "local_rate_limited", "RL"),
            (504, "stream timeout", "SI"),
            (503, "fault filter abort", "FI"),
            (404, "", "NR"),
            (403, "RBAC: access denied", ""),
            (401, "Jwt is missing", ""),
        ] {
            let told = flag(status, &by("istio-envoy"), body);
            assert_eq!(told, Some((Software::Envoy, logged.to_owned())), "{body}");
            assert_eq!(flag(status, &by("gunicorn"), body), None, "{body}");
        }
        for (reason, logged) in RESET_REASONS {
            let before = "upstream connect error or disconnect/reset before headers. ";
            for retried in ["", "retried and the latest "] {
                let body = format!("{before}{retried}reset reason: {reason}");
                let told = flag(503, &by("envoy"), &body);
                assert_eq!(told, Some((Software::Envoy, logged.to_owned())), "{body}");
            }
        }
    }

    #[test]
    fn the_text_is_of_the_reason_alone() {
        let body = b"upstream connect error or disconnect/reset before headers. reset reason: \
            remote connection failure, transport failure reason: delayed connect error: 111";
        let answer = recognise(503, &by("envoy"), body, false).unwrap();
        let text = "upstream connect error, reset reason: remote connection failure";
        assert_eq!(answer.text, text);
    }

    #[test]
    fn an_answer_without_a_body_is_envoys_own_only_if_no_upstream_made_it() {
        let headers = Maker {
            from_upstream: true,
            ..by("istio-envoy")
        };
        assert_eq!(flag(404, &headers, ""), None);
        let passed_on = flag(504, &headers, "upstream request timeout");
        assert_eq!(passed_on, Some((Software::Envoy, "UT".to_owned())));
        assert_eq!(flag(404, &by("istio-envoy"), "not here"), None);
        assert_eq!(flag(500, &by("istio-envoy"), ""), None);
    }

    #[test]
    fn pages_of_other_proxies() {
        let nginx = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
            <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.22.1</center>";
        let told = |software| Some((software, String::new()));
        assert_eq!(flag(502, &by("nginx/1.22.1"), nginx), told(Software::Nginx));
        assert_eq!(flag(502, &by("gunicorn"), nginx), None);
        assert_eq!(flag(404, &by("nginx"), nginx), None, "an origin's own");
        let haproxy = "<html><body><h1>504 Gateway Time-out</h1>\n\
            The server didn't respond in time.\n</body></html>\n";
        let haproxy = flag(504, &by(""), haproxy);
        assert_eq!(haproxy, Some((Software::Haproxy, "sH".to_owned())));
        assert_eq!(flag(504, &by("awselb/2.0"), ""), told(Software::AwsAlb));
        let traefik = flag(503, &by(""), "no available server\n");
        assert_eq!(traefik, told(Software::Traefik));
        assert_eq!(flag(502, &by(""), "Bad Gateway"), None, "any server in Go");
        let linkerd = Maker {
            linkerd_error: "HTTP Balancer service in fail-fast".into(),
            ..Maker::default()
        };
        assert_eq!(flag(503, &linkerd, ""), told(Software::Linkerd));
        let google = Maker {
            via: "1.1 google".into(),
            ..Maker::default()
        };
        let page = "<h2>Error: Server Error</h2>";
        assert_eq!(flag(502, &google, page), told(Software::Google));
    }
}
