//! What the API server and the network answer: causes to decide by, and sentences that name the
//! next step.
//!
//! A cause comes from the answer's status where that tells it. Admission, authorizers and the
//! kubelet tell theirs in words only: those are looked for here and nowhere else.

use kube::Error;
use std::fmt;
use std::iter::successors;

/// The operation that failed.
#[derive(Clone, Debug)]
pub enum Doing {
    /// Making a client for the server at this address.
    Connecting(String),
    /// A request: `verb` on `resource` in `namespace`, about `what`.
    Request {
        /// The verb in RBAC's terms, such as `create`.
        verb: &'static str,
        /// The resource in RBAC's terms, such as `pods/exec`.
        resource: String,
        /// The namespace; empty for the whole cluster.
        namespace: String,
        /// The object in words.
        what: String,
    },
}

impl Doing {
    /// A request.
    pub fn request(
        verb: &'static str,
        resource: impl Into<String>,
        namespace: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        Self::Request {
            verb,
            resource: resource.into(),
            namespace: namespace.into(),
            what: what.into(),
        }
    }

    /// Makes an error of one that came meanwhile.
    pub fn failed(self) -> impl FnOnce(Error) -> ApiError {
        move |error| ApiError(Box::new((self, error)))
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting(server) => f.write_str(server),
            Self::Request {
                verb,
                resource,
                namespace,
                ..
            } if namespace.is_empty() => {
                write!(f, "{verb} {resource}")
            }
            Self::Request {
                verb,
                resource,
                namespace,
                ..
            } => {
                write!(f, "{verb} {resource} in namespace {namespace}")
            }
        }
    }
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server does not know who asks.
    Unknown,
    /// A right is missing.
    MissingRight,
    /// The object, or its namespace, does not exist.
    NotFound,
    /// An admission or the server itself refused it, with a reason that may be known.
    Refused(Option<Obstacle>),
    /// The server or a webhook is unavailable, or somebody else was faster: no refusal.
    Transient,
    /// The server cannot be reached.
    Unreachable,
    /// No credentials can be had.
    NoCredentials,
    /// Anything else.
    Other,
}

impl Cause {
    /// The cause of an error.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Api(status) => match status.code {
                401 => Self::Unknown,
                403 if is_missing_right(&status.message) => Self::MissingRight,
                404 => Self::NotFound,
                409 | 429 | 500.. => Self::Transient,
                _ => Self::Refused(Obstacle::in_words(&status.message)),
            },
            Error::Service(_) | Error::HyperError(_) => Self::Unreachable,
            Error::Auth(_) => Self::NoCredentials,
            _ => Self::Other,
        }
    }

    /// Whether the same request may succeed later: nothing was refused.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Transient | Self::Unreachable)
    }
}

/// Whether a 403 with this message is an authorizer's and not an admission's.
///
/// Of a missing right the server says `User "…" cannot VERB resource …`, whichever authorizer was
/// asked; of a WebSocket's it may say nothing at all.
fn is_missing_right(message: &str) -> bool {
    message.is_empty()
        // The server's answer to exec's second question.
        || message.trim_end().ends_with("is forbidden:")
        || message.contains("\" cannot ")
            && (message.contains(" resource \"") || message.contains(" path \""))
}

/// An obstacle to a container's start, of those whose next step is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Pod Security admits no such pod in this namespace.
    PodSecurity,
    /// The node cannot pull the image.
    Image,
    /// The namespace's quota is used up.
    Quota,
}

impl Obstacle {
    /// The obstacle that the server's words, or an event's, are about.
    #[must_use]
    pub fn in_words(words: &str) -> Option<Self> {
        if words.contains("violates PodSecurity") {
            Some(Self::PodSecurity)
        } else if ["ImagePull", "ErrImage", "pull"]
            .iter()
            .any(|word| words.contains(word))
        {
            Some(Self::Image)
        } else {
            words.contains("quota").then_some(Self::Quota)
        }
    }

    /// The next step, to be put behind a sentence.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::PodSecurity => {
                ": let the helper run in another namespace with --helper-namespace, or use --mode \
                 ephemeral"
            }
            Self::Image => {
                ": name an image that the node can pull with --image, and --image-pull-secret if \
                 it needs one"
            }
            Self::Quota => ": let the helper run in another namespace with --helper-namespace",
        }
    }
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub struct ApiError(Box<(Doing, Error)>);

impl ApiError {
    /// Why.
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause::of(&self.0.1)
    }

    /// The server's own words, or what stands for them.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.0.1 {
            Error::Api(status) if status.message.is_empty() => status.reason.clone(),
            Error::Api(status) => status.message.clone(),
            Error::Auth(cause) => chain(cause),
            error => chain(error),
        }
    }

    /// The words in brackets; empty if the server gave none.
    fn bracketed(&self) -> String {
        match &self.0.1 {
            Error::Api(status) if status.message.is_empty() => String::new(),
            _ => format!(" ({})", self.words()),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (doing, words) = (&self.0.0, self.words());
        match (self.cause(), doing) {
            (Cause::Unknown, _) => write!(
                f,
                "the cluster does not know who you are ({words}): log in again, or choose another \
                 --context or --user"
            ),
            (Cause::MissingRight, _) => write!(
                f,
                "you may not {doing}{}: ask for the rights that kubectl meshsniff rbac prints",
                self.bracketed()
            ),
            (Cause::NotFound, Doing::Connecting(_)) => f.write_str(&words),
            (
                Cause::NotFound,
                Doing::Request {
                    what, namespace, ..
                },
            ) if namespace.is_empty() => {
                write!(f, "there is no {what}: check the name")
            }
            (
                Cause::NotFound,
                Doing::Request {
                    what, namespace, ..
                },
            ) => write!(
                f,
                "there is no {what} in namespace {namespace}: check the name and -n"
            ),
            (Cause::NoCredentials, _) => write!(
                f,
                "no credentials for the cluster could be had ({words}): log in again, or see \
                 whether kubectl get ns works"
            ),
            (Cause::Unreachable, _) => write!(
                f,
                "the cluster cannot be reached ({words}): see whether kubectl get ns works, and \
                 whether a VPN or proxy is missing"
            ),
            (Cause::Refused(_) | Cause::Transient, _) => {
                write!(f, "the cluster refuses to {doing}: {words}")
            }
            (Cause::Other, _) => write!(f, "{doing} failed ({words})"),
        }
    }
}

/// An error with all its causes, each said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    for cause in successors(error.source(), |error| error.source()) {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn api(code: u16, message: &str) -> Error {
        let status = Status::failure(message, "Forbidden").with_code(code);
        Error::Api(status.boxed())
    }

    const RBAC: &str = "jobs.batch is forbidden: User \"eve\" cannot create resource \"jobs\" in \
                        API group \"batch\" in the namespace \"shop\"";
    const POD_SECURITY: &str = "pods \"x\" is forbidden: violates PodSecurity \"baseline:latest\": \
                                host namespaces (hostPID=true)";
    const QUOTA: &str = "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: \
                         pods=1, limited: pods=1";
    const WEBHOOK: &str =
        "Internal error occurred: failed calling webhook \"x\": connection refused";

    #[test]
    fn causes_are_told_apart() {
        for (code, message, cause) in [
            (401, "Unauthorized", Cause::Unknown),
            (403, RBAC, Cause::MissingRight),
            (403, "", Cause::MissingRight),
            (403, "pods \"x\" is forbidden: ", Cause::MissingRight),
            (
                403,
                POD_SECURITY,
                Cause::Refused(Some(Obstacle::PodSecurity)),
            ),
            (403, QUOTA, Cause::Refused(Some(Obstacle::Quota))),
            (403, "a policy of ours", Cause::Refused(None)),
            (404, "pods \"x\" not found", Cause::NotFound),
            (409, "the object has been modified", Cause::Transient),
            (422, "Pod \"x\" is invalid", Cause::Refused(None)),
            (429, "too many requests", Cause::Transient),
            (500, WEBHOOK, Cause::Transient),
        ] {
            assert_eq!(Cause::of(&api(code, message)), cause, "{code} {message}");
        }
        assert!(Cause::Transient.is_transient() && Cause::Unreachable.is_transient());
        assert!(!Cause::Refused(None).is_transient() && !Cause::MissingRight.is_transient());
    }

    #[test]
    fn obstacles_are_known_by_words() {
        for (words, obstacle) in [
            (POD_SECURITY, Some(Obstacle::PodSecurity)),
            (QUOTA, Some(Obstacle::Quota)),
            ("Failed to pull image \"x\"", Some(Obstacle::Image)),
            ("Error: ErrImageNeverPull", Some(Obstacle::Image)),
            ("Job has reached the specified backoff limit", None),
        ] {
            assert_eq!(Obstacle::in_words(words), obstacle, "{words}");
        }
    }

    #[test]
    fn the_next_step_is_named() {
        let said = |code, message| {
            let doing = Doing::request("create", "jobs", "shop", "job x");
            doing.failed()(api(code, message)).to_string()
        };
        let text = said(403, RBAC);
        assert!(
            text.starts_with("you may not create jobs in namespace shop (jobs.batch"),
            "{text}"
        );
        assert!(text.contains("kubectl meshsniff rbac"), "{text}");
        let text = said(403, "");
        assert!(
            text.starts_with("you may not create jobs in namespace shop: ask"),
            "{text}"
        );
        let text = said(403, POD_SECURITY);
        assert!(text.contains("hostPID=true"), "{text}");
        let text = said(404, "pods \"x\" not found");
        assert_eq!(
            text,
            "there is no job x in namespace shop: check the name and -n"
        );
    }
}
