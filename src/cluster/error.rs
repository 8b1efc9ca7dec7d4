//! What the API server and the network say, as sentences that name the next step.

use anyhow::anyhow;
use kube::Error;
use kube::core::Status;
use std::fmt;

/// What was being done when it failed.
#[derive(Clone, Copy, Debug)]
pub enum Doing<'a> {
    /// Making a client for the server at this address.
    Connecting(&'a str),
    /// A request: `verb` on `resource` in `namespace` (empty: the whole cluster), about `name`.
    Request {
        /// The verb in RBAC's terms, such as `create`.
        verb: &'a str,
        /// The resource in RBAC's terms, such as `pods/exec`.
        resource: &'a str,
        /// The namespace.
        namespace: &'a str,
        /// What it was about, in words.
        what: &'a str,
    },
}

impl<'a> Doing<'a> {
    /// A request.
    #[must_use]
    pub const fn request(
        verb: &'a str,
        resource: &'a str,
        namespace: &'a str,
        what: &'a str,
    ) -> Self {
        Self::Request {
            verb,
            resource,
            namespace,
            what,
        }
    }
}

impl fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting(server) => write!(f, "{server}"),
            Self::Request {
                verb,
                resource,
                namespace,
                ..
            } => {
                write!(f, "{verb} {resource}")?;
                if !namespace.is_empty() {
                    write!(f, " in namespace {namespace}")?;
                }
                Ok(())
            }
        }
    }
}

/// Whether the API server refused for lack of a right, as opposed to an admission's refusal, which is a 403, too.
///
/// Of a missing right the server says `User "…" cannot VERB resource …`, whichever authorizer was asked; of a WebSocket's
/// it may say nothing at all.
#[must_use]
pub fn is_missing_right(error: &Error) -> bool {
    match error {
        Error::Api(status) if status.code == 403 => {
            let message = &status.message;
            message.is_empty()
                // So the server puts what exec's second question came to.
                || message.trim_end().ends_with("is forbidden:")
                || message.contains("\" cannot ")
                    && (message.contains(" resource \"") || message.contains(" path \""))
        }
        _ => false,
    }
}

/// Whether nobody can tell yet: the server or a webhook of its did not answer as it should, which is no refusal.
#[must_use]
pub fn is_passing(error: &Error) -> bool {
    match error {
        Error::Api(status) => status.code >= 500 || status.code == 429 || status.code == 409,
        Error::Service(_) | Error::HyperError(_) => true,
        _ => false,
    }
}

/// Whether it is not there.
#[must_use]
pub fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// The sentence for `error`.
#[must_use]
pub fn explain(error: Error, doing: Doing<'_>) -> anyhow::Error {
    match &error {
        Error::Api(status) => refused(status, &error, doing),
        Error::Auth(cause) => anyhow!(
            "no credentials for the cluster could be had ({}): log in again, or see whether kubectl get ns works",
            chain(cause)
        ),
        Error::Service(_) | Error::HyperError(_) => anyhow!(
            "the cluster cannot be reached ({}): see whether kubectl get ns works, and whether a VPN or proxy is missing",
            chain(&error)
        ),
        _ => anyhow!("{doing} failed ({})", chain(&error)),
    }
}

fn refused(status: &Status, error: &Error, doing: Doing<'_>) -> anyhow::Error {
    let message = if status.message.is_empty() {
        status.reason.as_str()
    } else {
        status.message.as_str()
    };
    match status.code {
        401 => anyhow!(
            "the cluster does not know who you are ({message}): log in again, or choose another --context or --user"
        ),
        403 if is_missing_right(error) => {
            let said = if status.message.is_empty() {
                String::new()
            } else {
                format!(" ({message})")
            };
            anyhow!(
                "you may not {doing}{said}: ask for the rights that kubectl meshsniff rbac prints"
            )
        }
        404 => match doing {
            Doing::Request {
                what, namespace, ..
            } if !namespace.is_empty() => {
                anyhow!("there is no {what} in namespace {namespace}: check the name and -n")
            }
            Doing::Request { what, .. } => anyhow!("there is no {what}: check the name"),
            Doing::Connecting(_) => anyhow!("{message}"),
        },
        _ => anyhow!("the cluster refuses to {doing}: {message}"),
    }
}

/// An error with all its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, message: &str) -> Error {
        let status = Status::failure(message, "Forbidden").with_code(code);
        Error::Api(status.boxed())
    }

    const RBAC: &str = "jobs.batch is forbidden: User \"eve\" cannot create resource \"jobs\" in API group \"batch\" in the \
                        namespace \"shop\"";
    const POD_SECURITY: &str = "pods \"x\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true)";

    #[test]
    fn a_missing_right_is_no_refusal_by_admission() {
        assert!(is_missing_right(&api(403, RBAC)));
        assert!(is_missing_right(&api(403, "")));
        assert!(is_missing_right(&api(403, "pods \"x\" is forbidden: ")));
        assert!(!is_missing_right(&api(403, POD_SECURITY)));
        let quota = "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1";
        assert!(!is_missing_right(&api(403, quota)));
    }

    #[test]
    fn the_next_step_is_named() {
        let doing = Doing::request("create", "jobs", "shop", "job x");
        let text = explain(api(403, RBAC), doing).to_string();
        assert!(
            text.starts_with("you may not create jobs in namespace shop ("),
            "{text}"
        );
        assert!(text.contains("kubectl meshsniff rbac"), "{text}");
        let text = explain(api(403, POD_SECURITY), doing).to_string();
        assert!(text.contains("hostPID=true"), "{text}");
        let text = explain(api(404, "pods \"x\" not found"), doing).to_string();
        assert_eq!(
            text,
            "there is no job x in namespace shop: check the name and -n"
        );
    }

    #[test]
    fn a_webhook_that_is_down_refuses_nothing() {
        let down = "Internal error occurred: failed calling webhook \"x\": connection refused";
        assert!(is_passing(&api(500, down)));
        assert!(!is_passing(&api(403, POD_SECURITY)));
    }
}
