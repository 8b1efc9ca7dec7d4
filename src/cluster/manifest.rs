//! What all manifests have in common: names, labels and annotations, the container of the agent.

use super::bringing::{Agent, Brought, Source};
use super::target::Target;
use meshsniff_contract::{arguments, environment};
use serde_json::{Map, Value, json};
use std::hash::{BuildHasher as _, Hasher as _};

/// The label by which all that belongs to this program is found, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kubectl-meshsniff");
/// The label by which one run's objects are found.
pub const RUN: &str = "meshsniff-run";
/// The annotation that names the targets, for whoever finds the helper.
pub const TARGETS: &str = "meshsniff-targets";
/// The annotation that names who started it.
pub const STARTED_BY: &str = "meshsniff-started-by";
/// How the names of all objects begin.
pub const PREFIX: &str = "meshsniff-";

/// How the helper is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelperOptions {
    /// Where the agent comes from.
    pub source: Source,
    /// When the image is pulled; the cluster's default if empty.
    pub pull_policy: Option<String>,
    /// The service account; the namespace's default if empty.
    pub service_account: Option<String>,
    /// The priority class.
    pub priority_class: Option<String>,
    /// More labels.
    pub labels: Vec<(String, String)>,
    /// More annotations.
    pub annotations: Vec<(String, String)>,
    /// Privileged, instead of with the capabilities that it takes: where SELinux wants it.
    pub privileged: bool,
    /// The memory limit, such as `256Mi`.
    pub memory: Option<String>,
}

/// One run of the plugin, as far as the cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// A name that no other run has.
    pub id: String,
    /// Who runs it.
    pub user: String,
}

impl Run {
    /// A run with a name made up at random.
    #[must_use]
    pub fn new() -> Self {
        let mut names = ["USER", "USERNAME", "LOGNAME"].into_iter();
        let user = names.find_map(|name| std::env::var(name).ok());
        Self {
            id: random_name(),
            user: user.unwrap_or_else(|| "unknown".to_owned()),
        }
    }

    /// The name of what this run makes: one of an earlier run cannot be used again.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{PREFIX}{}", self.id)
    }
}

impl Default for Run {
    fn default() -> Self {
        Self::new()
    }
}

/// Ten letters and digits. The standard library seeds its hashers from the system's random numbers.
fn random_name() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let number = hasher.finish();
    let letter = |at: u32| char::from(LETTERS[(number >> (5 * at)) as usize % LETTERS.len()]);
    (0..10).map(letter).collect()
}

fn map<'a>(
    own: &'a [(String, String)],
    fixed: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Value {
    let own = own
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    // The fixed ones come last: they are never taken over.
    let all = own.chain(fixed);
    all.map(|(key, value)| (key.to_owned(), json!(value)))
        .collect::<Map<_, _>>()
        .into()
}

/// The labels of all that a run makes.
#[must_use]
pub fn labels(options: &HelperOptions, run: &Run) -> Value {
    let fixed = [
        ("app.kubernetes.io/name", "meshsniff"),
        MANAGED_BY,
        (RUN, run.id.as_str()),
        // Meshes that inject by webhook skip pods with this label before they ask anybody: the
        // annotation alone is of no use when the injector is down.
        ("sidecar.istio.io/inject", "false"),
    ];
    map(&options.labels, fixed)
}

/// The annotations of all that a run makes.
#[must_use]
pub fn annotations(options: &HelperOptions, run: &Run, targets: &[Target]) -> Value {
    let names: Vec<String> = targets.iter().map(Target::full_name).collect();
    let fixed = [
        (TARGETS, names.join(",")),
        (STARTED_BY, run.user.clone()),
        ("sidecar.istio.io/inject", "false".to_owned()),
        ("linkerd.io/inject", "disabled".to_owned()),
        ("consul.hashicorp.com/connect-inject", "false".to_owned()),
        ("kuma.io/sidecar-injection", "disabled".to_owned()),
        (
            "cluster-autoscaler.kubernetes.io/safe-to-evict",
            "true".to_owned(),
        ),
    ];
    map(
        &options.annotations,
        fixed.iter().map(|(key, value)| (*key, value.as_str())),
    )
}

/// A container that waits for captures; `guest` if its memory is the target's.
#[must_use]
pub fn container(
    options: &HelperOptions,
    brought: &Brought,
    run: &Run,
    name: &str,
    guest: bool,
) -> Value {
    let hold = arguments::hold(guest).into_iter();
    let command: Vec<String> = brought.command().into_iter().chain(hold).collect();
    let carrier = brought.carrier();
    let mut container = json!({
        "name": name,
        "image": carrier.map_or(&options.source.image, |carrier| &carrier.image),
        "command": command,
        "env": [{"name": environment::HOLD, "value": run.id}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    // What carries the agent is there already, or does not; the policy is that of the image which was
    // asked for.
    let is_asked_for = carrier.is_none() || options.source.agent == Agent::Carried;
    let policy = options.pull_policy.as_deref().filter(|_| is_asked_for);
    if let Some(policy) = policy.or(carrier.map(|_| "Never")) {
        container["imagePullPolicy"] = json!(policy);
    }
    container
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_given_twice() {
        let names: std::collections::HashSet<String> = (0..1000).map(|_| random_name()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.len() == 10));
    }
}
