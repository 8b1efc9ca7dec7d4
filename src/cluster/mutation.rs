//! What the cluster changed in what was sent: the work of mutating webhooks and admission policies.
//!
//! What the API server and its controllers fill in by themselves is no change. A change does harm
//! if the agent is no longer the one that was asked for: another program, other rights, another
//! node. What is put beside it is told, because clusters do that to every pod. All other changes are
//! named only where the helper does not start.

#[cfg(test)]
mod tests;

use super::manifest::{MANAGED_BY, RUN};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use meshsniff_contract::AGENT_PATH;
use serde_json::Value;
use std::fmt;
use std::path::Path;

/// Most changes in a sentence.
const MAX_TOLD: usize = 5;
/// Most characters of a value in a sentence.
const MAX_VALUE: usize = 80;

/// Who makes a Job's pods.
const JOB_CONTROLLER: &str = "kube-controller-manager";
/// How the keys begin that the Job controller adds to its pods.
const OF_JOBS: [&str; 3] = ["batch.kubernetes.io/", "controller-uid", "job-name"];
/// How the name of the volume begins in which the API server puts a token.
const TOKEN: &str = "kube-api-access-";

/// Whether a change does harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Harmful,
    /// Something else runs beside it.
    Beside,
    Harmless,
}
use Harm::{Beside, Harmful, Harmless};

/// Fields of a pod's spec, and the harm of a change. Those that are not here the server fills in,
/// or nothing depends on them.
const OF_POD: [(&str, Harm); 23] = [
    ("nodeName", Harmful),
    ("hostPID", Harmful),
    ("hostNetwork", Harmful),
    ("hostIPC", Harmless),
    ("shareProcessNamespace", Harmless),
    ("restartPolicy", Harmful),
    ("runtimeClassName", Harmless),
    ("terminationGracePeriodSeconds", Harmless),
    ("activeDeadlineSeconds", Harmless),
    ("automountServiceAccountToken", Harmless),
    ("nodeSelector", Harmless),
    ("affinity", Harmless),
    ("topologySpreadConstraints", Harmless),
    ("schedulingGates", Harmless),
    ("readinessGates", Harmless),
    ("resourceClaims", Harmless),
    ("os", Harmless),
    ("dnsConfig", Harmless),
    ("hostAliases", Harmless),
    ("serviceAccountName", Harmless),
    ("priorityClassName", Harmless),
    ("imagePullSecrets", Harmless),
    ("tolerations", Harmless),
];

/// Those of them that the server fills in where they were not sent.
const FILLED_IN: [&str; 4] = [
    "serviceAccountName",
    "priorityClassName",
    "imagePullSecrets",
    "tolerations",
];

/// The same of a container.
const OF_CONTAINER: [(&str, Harm); 14] = [
    ("command", Harmful),
    ("args", Harmful),
    ("lifecycle", Harmful),
    ("livenessProbe", Harmful),
    ("startupProbe", Harmful),
    ("restartPolicy", Harmful),
    ("readinessProbe", Harmless),
    ("envFrom", Harmless),
    ("ports", Harmless),
    ("stdin", Harmless),
    ("targetContainerName", Harmless),
    ("tty", Harmless),
    ("volumeDevices", Harmless),
    ("workingDir", Harmless),
];

/// Fields of a container's security context by which its process has other rights.
const OF_RIGHTS: [&str; 6] = [
    "capabilities",
    "privileged",
    "procMount",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
];

/// Fields of a Job's spec.
const OF_JOB: [(&str, Harm); 4] = [
    // The cluster would not end it.
    ("activeDeadlineSeconds", Harmful),
    ("backoffLimit", Harmful),
    ("ttlSecondsAfterFinished", Harmless),
    ("suspend", Harmless),
];

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    harm: Harm,
    what: String,
    /// The field manager that has the field, if it is neither this program nor the Job controller.
    manager: Option<String>,
}

/// What was changed in an object. Displayed as a list, with who did it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// The changes in a Job that was sent as this manifest.
    #[must_use]
    pub fn of_job(sent: &Value, made: &Job) -> Self {
        let mut seen = Seen::new(&made.metadata);
        seen.labels(&sent["metadata"], &made.metadata);
        let Some(made) = value_of(&made.spec) else {
            return Self(seen.changes);
        };
        let spec = path(&[], &["f:spec"]);
        for (field, harm) in OF_JOB {
            seen.field(harm, &spec, field, &sent["spec"], &made);
        }
        for field in ["parallelism", "completions"] {
            // One is the default.
            if made[field].as_u64().is_some_and(|number| number != 1) {
                let what = changed(field, &Value::from(1), &made[field]);
                let at = path(&spec, &[&format!("f:{field}")]);
                seen.note(Harmful, what, &at);
            }
        }
        let at = path(&spec, &["f:template", "f:spec"]);
        let (sent, made) = (&sent["spec"]["template"], &made["template"]);
        seen.pod(&at, &sent["spec"], &made["spec"]);
        Self(seen.changes)
    }

    /// The changes in a pod that a Job made, which was sent as this manifest.
    #[must_use]
    pub fn of_pod(sent: &Value, made: &Pod) -> Self {
        let sent = &sent["spec"]["template"];
        let mut seen = Seen::new(&made.metadata);
        seen.labels(&sent["metadata"], &made.metadata);
        if let Some(made) = value_of(&made.spec) {
            seen.pod(&path(&[], &["f:spec"]), &sent["spec"], &made);
        }
        Self(seen.changes)
    }

    /// The changes in an ephemeral container that was sent as this manifest.
    #[must_use]
    pub fn of_ephemeral(sent: &Value, made: &Pod) -> Self {
        let mut seen = Seen::new(&made.metadata);
        let containers = made.spec.as_ref();
        let containers = containers.and_then(|spec| value_of(&spec.ephemeral_containers));
        let name = &sent["name"];
        let made = containers.as_ref().and_then(|all| named(all, name));
        let at = path(&[], &["f:spec", "f:ephemeralContainers", &key(name)]);
        match made {
            Some(made) => seen.container(&at, sent, made),
            None => seen.note(
                Harmful,
                format!("container {} was removed", told(name)),
                &at,
            ),
        }
        Self(seen.changes)
    }

    /// What was put beside the agent, if anything was.
    #[must_use]
    pub fn beside(&self) -> Option<Self> {
        let beside = self.0.iter().filter(|one| one.harm == Beside);
        let beside: Vec<Change> = beside.cloned().collect();
        (!beside.is_empty()).then_some(Self(beside))
    }

    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that do harm, if any does.
    #[must_use]
    pub fn harmful(&self) -> Option<Self> {
        let harmful = self.0.iter().filter(|one| one.harm == Harmful);
        let harmful: Vec<Change> = harmful.cloned().collect();
        (!harmful.is_empty()).then_some(Self(harmful))
    }

    /// Adds changes that are not among them yet.
    pub fn add(&mut self, more: Self) {
        for change in more.0 {
            if !self.0.iter().any(|known| known.what == change.what) {
                self.0.push(change);
            }
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, change) in self.0.iter().take(MAX_TOLD).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}", change.what)?;
            if let Some(manager) = &change.manager {
                write!(f, " by {manager}")?;
            }
        }
        match self.0.len().saturating_sub(MAX_TOLD) {
            0 => {}
            more => write!(f, " and {more} more")?,
        }
        // The server gives a webhook's changes to whoever sent the request.
        if self.0.iter().any(|change| change.manager.is_none()) {
            f.write_str(": a mutating webhook or an admission policy did that")?;
        }
        Ok(())
    }
}

/// The last part of an image's name, tag and digest included: a mirror changes what is before it.
fn last_part(image: Option<&str>) -> Option<&str> {
    image?.rsplit('/').next()
}

/// An object that is compared.
struct Seen<'a> {
    managers: Vec<&'a ManagedFieldsEntry>,
    changes: Vec<Change>,
}

impl<'a> Seen<'a> {
    fn new(metadata: &'a ObjectMeta) -> Self {
        let managers = metadata.managed_fields.iter().flatten();
        // Nobody else has a reason to set the label of the run.
        let run = path(&[], &["f:metadata", "f:labels", &format!("f:{RUN}")]);
        let is_own = |entry: &&ManagedFieldsEntry| {
            entry.manager.as_deref() == Some(JOB_CONTROLLER) || has(entry, &run)
        };
        Self {
            managers: managers.filter(|entry| !is_own(entry)).collect(),
            changes: Vec::new(),
        }
    }

    fn note(&mut self, harm: Harm, what: String, at: &[String]) {
        let its = self.managers.iter().find(|entry| has(entry, at));
        self.changes.push(Change {
            harm,
            what,
            manager: its.and_then(|entry| entry.manager.clone()),
        });
    }

    /// Compares a field of an object.
    fn field(&mut self, harm: Harm, at: &[String], field: &str, sent: &Value, made: &Value) {
        self.field_called(harm, at, field, field, sent, made);
    }

    fn field_called(
        &mut self,
        harm: Harm,
        at: &[String],
        field: &str,
        called: &str,
        sent: &Value,
        made: &Value,
    ) {
        let (sent, made) = (&sent[field], &made[field]);
        if !is_same(sent, made) {
            let at = path(at, &[&format!("f:{field}")]);
            self.note(harm, changed(called, sent, made), &at);
        }
    }

    fn labels(&mut self, sent: &Value, made: &ObjectMeta) {
        let empty = Value::Null;
        let labels = value_of(&made.labels).unwrap_or_default();
        let annotations = value_of(&made.annotations).unwrap_or_default();
        for (kind, made) in [("label", labels), ("annotation", annotations)] {
            let kinds = format!("{kind}s");
            let sent = &sent[&kinds];
            let keys = sent.as_object().into_iter().chain(made.as_object());
            for key in keys.flat_map(|map| map.keys()) {
                let (old, new) = (
                    sent.get(key).unwrap_or(&empty),
                    made.get(key).unwrap_or(&empty),
                );
                let by_job = OF_JOBS.iter().any(|prefix| key.starts_with(prefix));
                if is_same(old, new) || old.is_null() && by_job {
                    continue;
                }
                // By these it is found, and found to be left behind.
                let relied_on = kind == "label" && [RUN, MANAGED_BY.0].contains(&key.as_str());
                let harm = if relied_on { Harmful } else { Harmless };
                let what = changed(&format!("{kind} {key}"), old, new);
                let at = path(
                    &[],
                    &["f:metadata", &format!("f:{kinds}"), &format!("f:{key}")],
                );
                if !self.changes.iter().any(|known| known.what == what) {
                    self.note(harm, what, &at);
                }
            }
        }
    }

    fn pod(&mut self, at: &[String], sent: &Value, made: &Value) {
        let of_init = path(at, &["f:initContainers"]);
        for container in items(&made["initContainers"]) {
            let name = &container["name"];
            let what = format!("init container {} was added", told(name));
            self.note(Beside, what, &path(&of_init, &[&key(name)]));
        }
        let of_containers = path(at, &["f:containers"]);
        for container in items(&made["containers"]) {
            let name = &container["name"];
            if named(&sent["containers"], name).is_none() {
                let what = format!("container {} was added", told(name));
                self.note(Beside, what, &path(&of_containers, &[&key(name)]));
            }
        }
        for container in items(&sent["containers"]) {
            let name = &container["name"];
            let at = path(&of_containers, &[&key(name)]);
            match named(&made["containers"], name) {
                Some(made) => self.container(&at, container, made),
                None => self.note(
                    Harmful,
                    format!("container {} was removed", told(name)),
                    &at,
                ),
            }
        }
        for volume in items(&sent["volumes"]) {
            let name = &volume["name"];
            let of_made = named(&made["volumes"], name).unwrap_or(&Value::Null);
            // What is in them is executed.
            if !is_among(volume, of_made) {
                let at = path(at, &["f:volumes", &key(name)]);
                let what = format!("volume {} was changed", told(name));
                self.note(Harmful, what, &at);
            }
        }
        for volume in items(&made["volumes"]) {
            let name = &volume["name"];
            let of_server = name.as_str().is_some_and(|name| name.starts_with(TOKEN));
            if named(&sent["volumes"], name).is_some() || of_server {
                continue;
            }
            let at = path(at, &["f:volumes", &key(name)]);
            match volume["hostPath"]["path"].as_str() {
                Some(of_node) => {
                    let what = format!("volume {} of the node's {of_node} was added", told(name));
                    self.note(Beside, what, &at);
                }
                None => self.note(Harmless, format!("volume {} was added", told(name)), &at),
            }
        }
        for (field, harm) in OF_POD {
            if !(sent[field].is_null() && FILLED_IN.contains(&field)) {
                self.field(harm, at, field, sent, made);
            }
        }
        // Without a word the users are the node's.
        if made["hostUsers"] == Value::Bool(false) {
            let what = changed("hostUsers", &Value::Null, &made["hostUsers"]);
            self.note(Harmful, what, &path(at, &["f:hostUsers"]));
        }
        self.pod_security(at, sent, made);
    }

    /// What a container sets itself takes precedence over its pod's.
    fn pod_security(&mut self, at: &[String], sent: &Value, made: &Value) {
        let at = path(at, &["f:securityContext"]);
        let set = |field: &String| {
            let mut own = items(&sent["containers"]);
            own.all(|one| !one["securityContext"][field].is_null())
        };
        for field in made["securityContext"].as_object().into_iter().flatten() {
            let (field, value) = field;
            let harm = if OF_RIGHTS.contains(&field.as_str()) && !set(field) {
                Harmful
            } else {
                Harmless
            };
            let what = changed(&format!("the pod's {field}"), &Value::Null, value);
            self.note(harm, what, &path(&at, &[&format!("f:{field}")]));
        }
    }

    fn container(&mut self, at: &[String], sent: &Value, made: &Value) {
        let of = |field: &str| format!("{field} of container {}", told(&sent["name"]));
        let image = |side: &'_ Value| side["image"].as_str().map(str::to_owned);
        let (old, new) = (image(sent), image(made));
        let is_mirror = last_part(old.as_deref()) == last_part(new.as_deref());
        let harm = if is_mirror { Harmless } else { Harmful };
        self.field_called(harm, at, "image", &of("image"), sent, made);
        for (field, harm) in OF_CONTAINER {
            self.field_called(harm, at, field, &of(field), sent, made);
        }
        if !sent["imagePullPolicy"].is_null() {
            let field = "imagePullPolicy";
            self.field_called(Harmless, at, field, &of(field), sent, made);
        }
        self.environment(at, sent, made);
        self.mounts(at, sent, made);
        for kind in ["requests", "limits"] {
            let (old, new) = (&sent["resources"][kind], &made["resources"][kind]);
            for (name, amount) in old.as_object().into_iter().flatten() {
                let quantity = |value: &Value| value.as_str().and_then(quantity);
                if quantity(amount) != quantity(&new[name]) {
                    let at = path(at, &["f:resources", &format!("f:{kind}")]);
                    let what = changed(&of(&format!("{kind}.{name}")), amount, &new[name]);
                    self.note(Harmless, what, &path(&at, &[&format!("f:{name}")]));
                }
            }
        }
        self.container_security(at, sent, made);
    }

    fn mounts(&mut self, at: &[String], sent: &Value, made: &Value) {
        let of = |side: &Value, place: &Value| {
            let mut mounts = items(&side["volumeMounts"]);
            mounts.find(|one| one["mountPath"] == *place).cloned()
        };
        let sent_places = items(&sent["volumeMounts"]).map(|mount| &mount["mountPath"]);
        let made_places = items(&made["volumeMounts"]).map(|mount| &mount["mountPath"]);
        for place in sent_places {
            let (old, new) = (of(sent, place), of(made, place));
            if !is_among(&old.unwrap_or_default(), &new.unwrap_or_default()) {
                let what = format!("the mount on {} was changed", told(place));
                self.note(Harmful, what, &mount_at(at, place));
            }
        }
        for place in made_places.filter(|place| of(sent, place).is_none()) {
            // The agent is there, or what becomes the agent.
            let own = items(&sent["volumeMounts"]).map(|mount| &mount["mountPath"]);
            let mut own = own.filter_map(Value::as_str).chain([AGENT_PATH]);
            let hides_agent = place.as_str().is_some_and(|place| {
                own.any(|own| {
                    let (own, place) = (Path::new(own), Path::new(place));
                    own.starts_with(place) || place.starts_with(own)
                })
            });
            let harm = if hides_agent { Harmful } else { Harmless };
            let what = format!("a mount on {} was added", told(place));
            self.note(harm, what, &mount_at(at, place));
        }
    }

    fn environment(&mut self, at: &[String], sent: &Value, made: &Value) {
        let at = path(at, &["f:env"]);
        let names = items(&sent["env"]).chain(items(&made["env"]));
        let mut names: Vec<&Value> = names.map(|one| &one["name"]).collect();
        names.sort_by_key(|name| name.as_str());
        names.dedup();
        for name in names {
            let null = Value::Null;
            let [old, new] = [sent, made].map(|side| named(&side["env"], name).unwrap_or(&null));
            if is_same(old, new) {
                continue;
            }
            // The agent's own: its program is static, and loads nothing by others.
            let text = name.as_str().unwrap_or_default();
            let own = !old.is_null() || text.starts_with("MESHSNIFF_");
            let harm = if own { Harmful } else { Harmless };
            let how = match (old, new) {
                (Value::Null, _) => "added",
                (_, Value::Null) => "removed",
                _ => "changed",
            };
            // The value may be a secret.
            let what = format!("environment variable {} was {how}", told(name));
            self.note(harm, what, &path(&at, &[&key(name)]));
        }
    }

    fn container_security(&mut self, at: &[String], sent: &Value, made: &Value) {
        let at = path(at, &["f:securityContext"]);
        let (sent, made) = (&sent["securityContext"], &made["securityContext"]);
        let fields = [sent, made].into_iter().filter_map(Value::as_object);
        let mut fields: Vec<&String> = fields.flat_map(|map| map.keys()).collect();
        fields.sort();
        fields.dedup();
        for field in fields {
            let (old, new) = (&sent[field], &made[field]);
            let filled_in = match field.as_str() {
                // Both are what it has without a word.
                "privileged" => old.is_null() && *new == Value::Bool(false),
                "allowPrivilegeEscalation" => old.is_null() && *new == Value::Bool(true),
                "seLinuxOptions" => old.is_null(),
                "capabilities" => is_same_capabilities(old, new),
                _ => false,
            };
            // False may be another thing here than nothing.
            if old != new && !filled_in {
                let what = changed(&format!("securityContext.{field}"), old, new);
                let harm = if OF_RIGHTS.contains(&field.as_str()) {
                    Harmful
                } else {
                    Harmless
                };
                self.note(harm, what, &path(&at, &[&format!("f:{field}")]));
            }
        }
    }
}

/// Whether two lists of capabilities mean the same: where all are dropped, one more is none.
fn is_same_capabilities(old: &Value, new: &Value) -> bool {
    let names = |value: &Value, list: &str| {
        let mut names: Vec<String> = items(&value[list])
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        names.sort();
        names
    };
    let all = |value: &Value| names(value, "drop").iter().any(|name| name == "ALL");
    names(old, "add") == names(new, "add")
        && (all(old) && all(new) || names(old, "drop") == names(new, "drop"))
}

/// Whether two values mean the same: what is empty or false is like what is not there.
fn is_same(old: &Value, new: &Value) -> bool {
    fn is_nothing(value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.values().all(is_nothing),
            _ => false,
        }
    }
    if is_nothing(old) && is_nothing(new) {
        return true;
    }
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old.keys().chain(new.keys());
            let null = Value::Null;
            let of = |map: &serde_json::Map<String, Value>, key: &String| {
                map.get(key).unwrap_or(&null).clone()
            };
            keys.into_iter()
                .all(|key| is_same(&of(old, key), &of(new, key)))
        }
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| is_same(old, new))
        }
        _ => old == new,
    }
}

/// Whether all that was sent is in what was made, which the server may have filled up.
fn is_among(sent: &Value, made: &Value) -> bool {
    match (sent, made) {
        (Value::Object(sent), Value::Object(made)) => {
            let of = |key| made.get(key).unwrap_or(&Value::Null);
            sent.iter().all(|(key, value)| is_among(value, of(key)))
        }
        (Value::Array(sent), Value::Array(made)) => {
            let mut pairs = sent.iter().zip(made);
            sent.len() == made.len() && pairs.all(|(sent, made)| is_among(sent, made))
        }
        _ => is_same(sent, made),
    }
}

/// Where a mount is in `managedFields`.
fn mount_at(at: &[String], place: &Value) -> Vec<String> {
    let key = format!("k:{{\"mountPath\":{place}}}");
    path(at, &["f:volumeMounts", &key])
}

/// What became of a field, in words.
fn changed(called: &str, old: &Value, new: &Value) -> String {
    match (old, new) {
        (Value::Null, _) => format!("{called} ({}) was added", told(new)),
        (_, Value::Null) => format!("{called} ({}) was removed", told(old)),
        _ => format!("{called} was changed from {} to {}", told(old), told(new)),
    }
}

/// A value, as far as it fits into a sentence.
fn told(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    let mut short: String = text.chars().take(MAX_VALUE).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A quantity as a number, such as `256Mi`.
fn quantity(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let unit = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit));
    let (unit, factor) = unit.unwrap_or(("", 1.0));
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    Some((number * factor * 1e3).round())
}

fn value_of(typed: &impl serde::Serialize) -> Option<Value> {
    serde_json::to_value(typed).ok()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn named<'a>(list: &'a Value, name: &Value) -> Option<&'a Value> {
    items(list).find(|one| one["name"] == *name)
}

/// The key of an item of a list in `managedFields`.
fn key(name: &Value) -> String {
    format!("k:{{\"name\":{name}}}")
}

fn path(at: &[String], more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|one| (*one).to_owned());
    at.iter().cloned().chain(more).collect()
}

/// Whether a manager has a field.
fn has(entry: &ManagedFieldsEntry, at: &[String]) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    let found = at.iter().try_fold(fields, |fields, key| {
        fields.map(|fields| fields.get(key)).filter(Option::is_some)
    });
    found.is_some_and(|found| found.is_some())
}
