//! `rbac`: the least rights that a capture takes, as YAML for `kubectl apply -f -`, with the reason
//! for each.

use crate::cluster::connect::{Cluster, ConnectArgs, block_on};
use crate::cluster::mode::{Mode, rules};
use crate::cluster::rights::{Need, Place, Rule};
use clap::{ArgGroup, Args};
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Print the rights a capture takes, for kubectl apply -f -
///
/// They are a Role for the namespace of the target, one for that of the helper, and a ClusterRole
/// for what is in no namespace. The reason for each right stands above it. --user, --group or
/// --serviceaccount adds bindings.
///
/// Whoever may create Jobs in the helper's namespace and exec into them holds the rights of the
/// helper, which can look into a node's processes. Keep that namespace for nothing else.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("subject").args(["user", "group", "serviceaccount"]))]
pub(super) struct RbacArgs {
    /// Namespace of the targets [default: the context's]
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    namespace: Option<String>,

    /// Namespace of the helper pod [default: the target's]
    #[arg(long, value_name = "NAME", value_parser = name)]
    helper_namespace: Option<String>,

    /// Way into the pod's network
    #[arg(long, default_value_t)]
    mode: Mode,

    /// Bind the rights to this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Bind the rights to this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,

    /// Bind the rights to this service account
    #[arg(long, value_name = "NAMESPACE:NAME", value_parser = account)]
    serviceaccount: Option<(String, String)>,

    /// Grant targets in all namespaces, and the helper, too, unless --helper-namespace is given
    #[arg(long, conflicts_with = "namespace")]
    cluster_wide: bool,
}

/// Parses a name as in RFC 1123: nothing else ever gets into the YAML.
fn name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 63 || !text.bytes().all(fits) {
        return Err("names are small letters, digits and -".to_owned());
    }
    Ok(text.to_owned())
}

fn account(text: &str) -> Result<(String, String), String> {
    let (namespace, account) = text
        .split_once(':')
        .ok_or("it takes the form NAMESPACE:NAME")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if account.is_empty() || !account.bytes().all(fits) {
        return Err("names are letters, digits, - and .".to_owned());
    }
    Ok((name(namespace)?, account.to_owned()))
}

/// Prints the rights.
///
/// # Errors
/// If it cannot be written.
pub(super) fn run(args: RbacArgs) -> anyhow::Result<Vec<String>> {
    let namespace = match &args.namespace {
        Some(namespace) => namespace.clone(),
        None => context_namespace(),
    };
    let mut out = io::stdout().lock();
    out.write_all(print(&args, &namespace).as_bytes())?;
    out.flush()?;
    Ok(Vec::new())
}

/// Returns the namespace of the context; `default` without a kubeconfig, like kubectl.
fn context_namespace() -> String {
    let connected = block_on(Cluster::connect(&ConnectArgs::default()));
    let namespace = connected
        .ok()
        .and_then(Result::ok)
        .map(|cluster| cluster.namespace);
    namespace.unwrap_or_else(|| "default".to_owned())
}

fn print(args: &RbacArgs, namespace: &str) -> String {
    let target = (!args.cluster_wide).then_some(namespace);
    let helper = args.helper_namespace.as_deref().or(target);
    let of = |place: Place| -> Vec<&'static Rule> {
        let rules = rules(args.mode).into_iter().map(|(_, rule)| rule);
        rules.filter(|rule| rule.place == place).collect()
    };
    let mut documents = Vec::new();
    let targets = of(Place::Target);
    let helpers = of(Place::Helper);
    if target == helper {
        // One Role for both.
        let together = [targets, helpers].concat();
        documents.extend(role("meshsniff", target, &together, args));
    } else {
        documents.extend(role("meshsniff-target", target, &targets, args));
        documents.extend(role("meshsniff-helper", helper, &helpers, args));
    }
    documents.extend(role("meshsniff-cluster", None, &of(Place::Cluster), args));
    let mut text = String::from(
        "# The rights that kubectl meshsniff takes, as kubectl meshsniff rbac prints them. A right \
         that is marked\n# optional may be taken out; what is lost then stands beside it.\n",
    );
    text.push_str(&documents.join("---\n"));
    text
}

/// Returns a role and, if somebody is named, its binding; nothing if it would be empty.
fn role(name: &str, namespace: Option<&str>, rules: &[&Rule], args: &RbacArgs) -> Vec<String> {
    if rules.is_empty() {
        return Vec::new();
    }
    let kind = if namespace.is_some() {
        "Role"
    } else {
        "ClusterRole"
    };
    let mut role = head(kind, name, namespace);
    role.push_str("rules:\n");
    for (group, resource, verbs) in by_resource(rules) {
        for (verb, reasons) in &verbs {
            for reason in reasons {
                let _ = writeln!(role, "# {verb}: {reason}");
            }
        }
        let verbs: Vec<String> = verbs.iter().map(|(verb, _)| format!("{verb:?}")).collect();
        let _ = writeln!(
            role,
            "- apiGroups: [{group:?}]\n  resources: [{resource:?}]\n  verbs: [{}]",
            verbs.join(", ")
        );
    }
    let mut documents = vec![role];
    if let Some(subject) = subject(args) {
        let mut binding = head(&format!("{kind}Binding"), name, namespace);
        let _ = write!(
            binding,
            "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: \
             {name}\nsubjects:\n{subject}"
        );
        documents.push(binding);
    }
    documents
}

fn head(kind: &str, name: &str, namespace: Option<&str>) -> String {
    let mut text = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n"
    );
    if let Some(namespace) = namespace {
        // Quoted: a namespace may be called 123 or no.
        let _ = writeln!(text, "  namespace: {namespace:?}");
    }
    text
}

/// Verbs of a resource, each with its reasons.
type Verbs = Vec<(&'static str, Vec<String>)>;

/// Groups rules by resource, in the order in which resources first come.
fn by_resource(rules: &[&Rule]) -> Vec<(&'static str, String, Verbs)> {
    let mut resources: Vec<(&'static str, String, Verbs)> = Vec::new();
    for rule in rules {
        let (group, resource) = (rule.right.on.group, rule.right.on.to_string());
        let known = resources
            .iter()
            .position(|known| (known.0, &known.1) == (group, &resource));
        let at = known.unwrap_or_else(|| {
            resources.push((group, resource, Vec::new()));
            resources.len() - 1
        });
        let verbs = &mut resources[at].2;
        let reason = reason(rule);
        match verbs.iter_mut().find(|(verb, _)| *verb == rule.right.verb) {
            Some((_, reasons)) if reasons.contains(&reason) => {}
            Some((_, reasons)) => reasons.push(reason),
            None => verbs.push((rule.right.verb, vec![reason])),
        }
    }
    resources
}

fn reason(rule: &Rule) -> String {
    match rule.need {
        Need::Required => rule.why.to_owned(),
        Need::RequiredUnless(other) => format!("{} (optional if {other} is granted)", rule.why),
        Need::Sometimes | Need::Optional => format!("{} (optional)", rule.why),
    }
}

/// Quotes text: every JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn subject(args: &RbacArgs) -> Option<String> {
    if let Some((namespace, account)) = &args.serviceaccount {
        return Some(format!(
            "- kind: ServiceAccount\n  name: {}\n  namespace: {}\n",
            quoted(account),
            quoted(namespace)
        ));
    }
    let user = args.user.as_ref().map(|name| ("User", name));
    let (kind, name) = user.or_else(|| args.group.as_ref().map(|name| ("Group", name)))?;
    Some(format!(
        "- apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {}\n",
        quoted(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::way::WAYS;
    use k8s_openapi::api::rbac::v1::{PolicyRule, RoleBinding};
    use serde_json::Value;

    fn args() -> RbacArgs {
        RbacArgs {
            namespace: None,
            helper_namespace: None,
            mode: Mode::default(),
            user: None,
            group: None,
            serviceaccount: None,
            cluster_wide: false,
        }
    }

    fn documents(args: &RbacArgs) -> Vec<Value> {
        let text = print(args, "shop");
        let documents = text.split("---\n");
        documents
            .map(|one| serde_saphyr::from_str(one).unwrap())
            .collect()
    }

    fn grants(rules: &[PolicyRule], rule: &Rule) -> bool {
        rules.iter().any(|granted| {
            let has = |list: &Option<Vec<String>>, what: &str| {
                list.iter().flatten().any(|one| one == what)
            };
            has(&granted.api_groups, rule.right.on.group)
                && has(&granted.resources, &rule.right.on.to_string())
                && granted.verbs.iter().any(|verb| verb == rule.right.verb)
        })
    }

    #[test]
    fn every_rule_is_granted_where_it_is_asked_for() {
        for mode in WAYS.into_iter().map(Mode::Way).chain([Mode::Auto]) {
            let args = RbacArgs {
                mode,
                helper_namespace: Some("helpers".to_owned()),
                ..args()
            };
            let documents = documents(&args);
            for (_, rule) in rules(mode) {
                let namespace = match rule.place {
                    Place::Target => Some("shop"),
                    Place::Helper => Some("helpers"),
                    Place::Cluster => None,
                };
                let kind = namespace.map_or("ClusterRole", |_| "Role");
                let granted = documents.iter().any(|document| {
                    let rules: Option<Vec<PolicyRule>> =
                        serde_json::from_value(document["rules"].clone()).unwrap();
                    document["kind"] == kind
                        && document["metadata"]["namespace"].as_str() == namespace
                        && grants(&rules.unwrap_or_default(), rule)
                });
                assert!(granted, "{rule:?}");
            }
        }
    }

    #[test]
    fn one_namespace_takes_one_role() {
        let documents = documents(&args());
        let kinds: Vec<&str> = documents
            .iter()
            .filter_map(|one| one["kind"].as_str())
            .collect();
        assert_eq!(kinds, ["Role", "ClusterRole"]);
    }

    #[test]
    fn a_subject_gets_bindings() {
        let args = RbacArgs {
            serviceaccount: Some(("ci".to_owned(), "sniffer".to_owned())),
            ..args()
        };
        let binding: RoleBinding = serde_json::from_value(documents(&args)[1].clone()).unwrap();
        let subject = &binding.subjects.unwrap()[0];
        assert_eq!(subject.name, "sniffer");
        assert_eq!(subject.namespace.as_deref(), Some("ci"));
        assert_eq!(binding.role_ref.name, "meshsniff");
    }

    #[test]
    fn a_name_is_quoted_whatever_is_in_it() {
        let args = RbacArgs {
            user: Some("eve: \"x\"\n- kind".to_owned()),
            ..args()
        };
        let binding: RoleBinding = serde_json::from_value(documents(&args)[1].clone()).unwrap();
        assert_eq!(binding.subjects.unwrap()[0].name, "eve: \"x\"\n- kind");
        assert!(name("a: b").is_err() && name("Shop").is_err() && name("123").is_ok());
        assert!(account("a").is_err());
    }

    #[test]
    fn the_whole_cluster_takes_cluster_roles() {
        let args = RbacArgs {
            cluster_wide: true,
            helper_namespace: Some("helpers".to_owned()),
            ..args()
        };
        let documents = documents(&args);
        let names: Vec<&str> = documents
            .iter()
            .filter_map(|one| one["metadata"]["name"].as_str())
            .collect();
        assert_eq!(
            names,
            ["meshsniff-target", "meshsniff-helper", "meshsniff-cluster"]
        );
        assert_eq!(documents[0]["kind"], "ClusterRole");
        assert_eq!(documents[1]["kind"], "Role");
    }
}
