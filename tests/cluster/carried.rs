//! The agent as the plugin carries it, where no node has an image of ours.
//!
//! What can be captured so, and what goes wrong, is tried with the tables of `captures` and `faults`
//! (`MESHSNIFF_TEST_CARRIED`). Here is what only an agent can go through that is carried.

use super::file::File;
use super::lab::{Checked, Lab, Namespace, SOON, wait_until};
use super::plugin::Plugin;
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

type Check = fn(&Lab) -> Checked;

const CASES: [(&str, Check); 9] = [
    (
        "an image that cannot be pulled is done without",
        instead_of_an_image,
    ),
    ("runs side by side have it in common", side_by_side),
    (
        "nobody changes it, and another in its place is refused",
        another,
    ),
    ("a quota refuses it", quota),
    ("a policy refuses it", policy),
    ("cleanup removes what has lost its jobs", cleanup),
    ("the target's own image carries it", own_image),
    ("an ephemeral container gets it by a shell", by_a_shell),
    (
        "an ephemeral container without a shell is told before",
        without_a_shell,
    ),
];

pub(crate) fn trials(lab: &Arc<Lab>) -> Vec<Trial> {
    let trial = |(name, check): (&str, Check)| {
        let lab = Arc::clone(lab);
        Trial::test(format!("carried: {name}"), move || check(&lab))
    };
    CASES.into_iter().map(trial).collect()
}

/// The `ConfigMap`s of ours that are here.
fn parts(namespace: &Namespace<'_>) -> Result<Vec<String>, Failed> {
    let names = namespace.helpers()?;
    let parts = names
        .iter()
        .filter_map(|name| name.strip_prefix("configmaps/"));
    Ok(parts.map(str::to_owned).collect())
}

fn instead_of_an_image(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let args = ["app", "-w", "/dev/null", "--count", "5", "--image"];
    let ended = namespace.run(&[&args[..], &["registry.invalid/agent:1"]].concat())?;
    let words = [
        "registry.invalid/agent:1",
        "is carried there",
        "5 packets captured",
    ];
    ended.is(0, &words)?;
    namespace.nothing_left(&[])
}

fn side_by_side(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let start = || -> Result<Plugin, Failed> {
        let mut plugin = namespace.start(&["app", "-w", "/dev/null"])?;
        plugin.captures()?;
        Ok(plugin)
    };
    let (first, second) = (start()?, start()?);
    let both = parts(&namespace)?;
    first.interrupt()?.is(0, &[])?;
    wait_until("the end of the first Job", SOON, || {
        Ok(namespace.runs()?.len() == 1)
    })?;
    // One that comes later starts with them, and none are made anew.
    let third = start()?;
    second.interrupt()?.is(0, &[])?;
    // How many they are depends on how large the agent is.
    let later = parts(&namespace)?;
    if both.is_empty() || later != both {
        return Err(format!("{both:?} became {later:?}").into());
    }
    third.interrupt()?.is(0, &[])?;
    namespace.nothing_left(&[])
}

/// Whoever may edit them cannot: they are immutable. Whoever may make others first is found out.
fn another(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let mut plugin = namespace.start(&["app", "-w", "/dev/null"])?;
    plugin.captures()?;
    let parts = parts(&namespace)?;
    for part in &parts {
        let patch = r#"{"binaryData": {"loader": "AAAA", "agent.0": "AAAA", "agent.1": "AAAA"}}"#;
        let args = ["patch", "configmap", part, "--type=merge", "-p", patch];
        let args = [&["-n", namespace.name.as_str()], &args[..]].concat();
        let edited = lab.try_kubectl(&args)?;
        let said = String::from_utf8_lossy(&edited.stderr);
        if edited.status.success() || !said.contains("immutable") {
            return Err(format!("{part} could be edited: {said}").into());
        }
    }
    let swapped = parts.last().ok_or("no parts")?;
    plugin.interrupt()?.is(0, &[])?;
    namespace.nothing_left(&[])?;
    namespace.kubectl(&["create", "configmap", swapped, "--from-literal=agent.1=x"])?;
    let ended = namespace.run(&["app", "-w", "-"])?;
    let words = [swapped.as_str(), "holds something else", "delete configmap"];
    ended.is(1, &words)?;
    namespace.kubectl(&["delete", "configmap", swapped])?;
    namespace.nothing_left(&[])
}

fn quota(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    namespace.kubectl(&["create", "quota", "few", "--hard=count/configmaps=0"])?;
    wait_until("the quota to count", SOON, || {
        let made = ["create", "configmap", "probe", "--dry-run=server"];
        let args = [&["-n", namespace.name.as_str()], &made[..]].concat();
        Ok(!lab.try_kubectl(&args)?.status.success())
    })?;
    let ended = namespace.run(&["app", "-w", "-"])?;
    ended.is(1, &["configmaps", "exceeded quota", "--agent image"])?;
    namespace.nothing_left(&[])
}

/// A policy that admits no pod with such a volume.
fn policy(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let name = &namespace.name;
    let kinds = [
        "validatingadmissionpolicybinding",
        "validatingadmissionpolicy",
    ];
    lab.apply(&format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: {name}}}\n\
         spec: {{failurePolicy: Fail, matchConstraints: {{resourceRules: [{{apiGroups: [\"\"], apiVersions: [v1], \
         operations: [CREATE], resources: [pods]}}]}}, validations: [{{expression: '!has(object.spec.volumes) || \
         object.spec.volumes.all(one, !has(one.projected) || one.projected.sources.all(source, \
         !has(source.configMap) || source.configMap.name == \"kube-root-ca.crt\"))', message: no programs from ConfigMaps}}]}}\n\
         ---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: {name}}}\n\
         spec: {{policyName: {name}, validationActions: [Deny], matchResources: {{namespaceSelector: {{matchLabels: \
         {{kubernetes.io/metadata.name: {name}}}}}}}}}\n"
    ))?;
    let mut said = String::new();
    let refused = wait_until("the policy to count", SOON, || {
        let ended = namespace.run(&["app", "-w", "-", "--duration", "1s"])?;
        said = ended.stderr;
        Ok(ended.status.code() == Some(1) && said.contains("no programs from ConfigMaps"))
    });
    for kind in kinds {
        lab.kubectl(&["delete", kind, name])?;
    }
    refused.map_err(|_| Failed::from(said.clone()))?;
    if !said.contains("--agent image") {
        return Err(format!("it names no next step: {said}").into());
    }
    namespace.nothing_left(&[])
}

fn cleanup(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    let label = "app.kubernetes.io/managed-by=kubectl-meshsniff";
    namespace.kubectl(&["create", "configmap", "meshsniff-agent-amd64-x-0"])?;
    namespace.kubectl(&["label", "configmap", "meshsniff-agent-amd64-x-0", label])?;
    let ended = namespace.run(&["cleanup"])?;
    ended.is(0, &[])?;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    if !said.contains("removed configmap") {
        return Err(said.into());
    }
    namespace.nothing_left(&[])
}

/// Where nobody may look at nodes, the sandboxes' image is not known, nor the architecture.
fn own_image(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    namespace.kubectl(&["create", "serviceaccount", "eve"])?;
    let user = format!("system:serviceaccount:{}:eve", namespace.name);
    let account = format!("--serviceaccount={}:eve", namespace.name);
    namespace.kubectl(&[
        "create",
        "rolebinding",
        "eve",
        "--clusterrole=admin",
        &account,
    ])?;
    wait_until("the rights that were granted", SOON, || {
        let may = [
            "auth",
            "can-i",
            "create",
            "jobs",
            "--as",
            &user,
            "-n",
            &namespace.name,
        ];
        Ok(lab.try_kubectl(&may)?.status.success())
    })?;
    let file = File::new()?;
    let mut plugin = namespace.start(&["app", "-w", &file, "--as", &user])?;
    plugin.captures()?;
    let helper = format!("pod/{}", namespace.helper_pod()?);
    let image = namespace.get(&helper, ".spec.containers[0].image")?;
    if !image.contains(lab.app.trim_start_matches("docker.io/")) {
        return Err(format!("it is carried by {image}").into());
    }
    file.has_packets()?;
    plugin.interrupt()?.is(0, &[])?;
    namespace.nothing_left(&[])
}

/// Everything of the agent goes with it: what is left is the entry, with its end.
fn by_a_shell(lab: &Lab) -> Checked {
    let namespace = lab.namespace_with(&["pod-security.kubernetes.io/enforce=baseline"])?;
    lab.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web, namespace: {}}}\n\
         spec: {{containers: [{{name: web, image: \"docker.io/local/web:1\", imagePullPolicy: IfNotPresent}}]}}\n",
        namespace.name
    ))?;
    namespace.ready("pod/web")?;
    let address = namespace.get("pod/web", ".status.podIP")?;
    let url = format!("http://{address}/");
    namespace.running("load", &["get", "-every", "50ms", &url], "")?;
    let file = File::new()?;
    let args = ["web", "-w", &file, "--mode", "ephemeral", "--count", "40"];
    namespace.run(&args)?.is(0, &["40 packets captured"])?;
    let report = [
        "report",
        "web",
        "--mode",
        "auto",
        "--duration",
        "2s",
        "-o",
        "json",
    ];
    let ended = namespace.run(&report)?;
    ended.is(0, &["an ephemeral container is used"])?;
    let counted = ended.json()?["summary"]["exchanges"].as_u64();
    if counted.is_none_or(|count| count == 0) {
        return Err(format!("no exchange was told: {}", ended.stderr).into());
    }
    wait_until("the end of both", SOON, || {
        let path = ".status.ephemeralContainerStatuses[*].state.terminated.exitCode";
        Ok(namespace.get("pod/web", path)? == "0 0")
    })
}

fn without_a_shell(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    lab.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: app, namespace: {}}}\n\
         spec: {{containers: [{{name: app, image: \"docker.io/local/pause:1\", imagePullPolicy: IfNotPresent}}]}}\n",
        namespace.name
    ))?;
    namespace.ready("pod/app")?;
    let ended = namespace.run(&["app", "-w", "-", "--mode", "ephemeral"])?;
    let before = "no container of pod";
    ended.is(
        1,
        &[before, "has a shell", "--image", "its entry stays in pod"],
    )?;
    let order = ended.stderr.find(before) < ended.stderr.find("error:");
    if order {
        Ok(())
    } else {
        Err(ended.stderr.into())
    }
}
