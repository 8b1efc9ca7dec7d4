//! The helper cannot start, or must not.

use crate::lab::{Checked, Lab, Namespace, SOON, wait_until};
use std::process::Command;
use std::time::Duration;

const NOWHERE: &str = "registry.invalid/meshsniff-agent:none";

pub(super) fn no_image(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let how = if lab.carried { "carried" } else { "image" };
    let args = ["app", "-w", "-", "--agent", how, "--image", NOWHERE];
    let plugin = namespace.start(&args)?;
    let ended = plugin.ended(SOON * 2)?;
    ended.is(1, &["image", "--image"])?;
    namespace.nothing_left(&[])
}

pub(super) fn no_image_ephemeral(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let plugin = namespace.start(&["app", "-w", "-", "--image", NOWHERE, "--mode", "ephemeral"])?;
    let ended = plugin.ended(SOON * 2)?;
    ended.is(1, &["--image", "its entry stays in pod"])?;
    namespace.nothing_left(&[])
}

/// The plugin is gone when the image is there at last: what then starts ends by itself.
pub(super) fn late_image(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let late = format!("docker.io/library/meshsniff-late-{}:1", std::process::id());
    let args = ["app", "-w", "-", "--agent", "image", "--image", &late];
    let plugin = namespace.start(&args)?;
    let mut runs = Vec::new();
    wait_until("a job of ours", SOON, || {
        runs = namespace.runs()?;
        Ok(!runs.is_empty())
    })?;
    plugin.signal("KILL")?;
    plugin.ended(SOON)?;
    let Some(node) = &lab.node else {
        return Err("no node to give the image to".into());
    };
    let tagged = Command::new(node.join("tag"))
        .args([&lab.image, &late])
        .output()?;
    if !tagged.status.success() {
        return Err(String::from_utf8_lossy(&tagged.stderr).into_owned().into());
    }
    // It did come to run, and was not only given up.
    let mut phase = String::new();
    wait_until("the helper to start after all", SOON * 2, || {
        let of_ours = [
            "get",
            "pods",
            "-l",
            "meshsniff-run",
            "-o",
            "jsonpath={.items[0].status.phase}",
        ];
        // It may be gone already: then the last thing that was seen counts.
        phase = namespace.kubectl(&of_ours).unwrap_or(phase.clone());
        Ok(matches!(phase.as_str(), "Running" | "Succeeded"))
    })?;
    namespace.nothing_left(&runs)
}

pub(super) fn pod_security(lab: &Lab) -> Checked {
    let namespace = lab.namespace_with(&["pod-security.kubernetes.io/enforce=baseline"])?;
    namespace.server()?;
    let ended = namespace.run(&["app", "-w", "-"])?;
    ended.is(
        1,
        &[
            "violates PodSecurity",
            "--helper-namespace",
            "--mode ephemeral",
        ],
    )?;
    namespace.nothing_left(&[])
}

/// A webhook that is down refuses pods until somebody repairs it: the error names it.
pub(super) fn webhook(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let name = &namespace.name;
    lab.apply(&format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {{name: {name}}}\n\
         webhooks: [{{name: down.meshsniff.test, clientConfig: {{url: \"https://127.0.0.1:9/\"}}, failurePolicy: Fail, sideEffects: \
         None, admissionReviewVersions: [v1], timeoutSeconds: 1, namespaceSelector: {{matchLabels: \
         {{kubernetes.io/metadata.name: {name}}}}}, rules: [{{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], \
         resources: [pods]}}]}}]\n"
    ))?;
    let ended = namespace.run(&["app", "-w", "-", "--timeout", "8s"]);
    lab.kubectl(&["delete", "mutatingwebhookconfiguration", name])?;
    ended?.is(1, &["down.meshsniff.test"])?;
    namespace.nothing_left(&[])
}

/// A mutating admission policy, which takes no server of its own, but Kubernetes 1.36.
pub(super) fn sidecar(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let (name, image) = (&namespace.name, &lab.app);
    let kinds = ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"];
    lab.apply(&format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicy\nmetadata: {{name: {name}}}\n\
         spec: {{failurePolicy: Fail, reinvocationPolicy: Never, matchConstraints: {{resourceRules: [{{apiGroups: [\"\"], \
         apiVersions: [v1], operations: [CREATE], resources: [pods]}}]}}, mutations: [{{patchType: JSONPatch, jsonPatch: \
         {{expression: '[JSONPatch{{op: \"add\", path: \"/spec/containers/-\", value: Object.spec.containers{{name: \
         \"sidecar\", image: \"{image}\", imagePullPolicy: \"IfNotPresent\", args: [\"serve\"]}}}}]'}}}}]}}\n\
         ---\napiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicyBinding\nmetadata: {{name: {name}}}\n\
         spec: {{policyName: {name}, matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: \
         {name}}}}}}}}}\n"
    ))?;
    let done = with_sidecar(&namespace);
    for kind in kinds {
        lab.kubectl(&["delete", kind, name])?;
    }
    done?;
    namespace.nothing_left(&[])
}

fn with_sidecar(namespace: &Namespace<'_>) -> Checked {
    let probe = [
        "run",
        "probe",
        "--image=probe:1",
        "--dry-run=server",
        "-o",
        "jsonpath={.spec.containers[*].name}",
    ];
    wait_until("the policy to count", SOON, || {
        Ok(namespace.kubectl(&probe)?.contains("sidecar"))
    })?;
    namespace.load("/fast", "50ms")?;
    let ended = namespace.run(&["app", "-w", "-", "--count", "20"])?;
    ended.is(
        0,
        &[
            "is not alone",
            "container sidecar was added",
            "20 packets captured",
        ],
    )?;
    // Its Job would be there for two minutes, should nobody delete it.
    wait_until("the end of the helper", Duration::from_secs(20), || {
        Ok(namespace.helpers()?.is_empty())
    })
}

pub(super) fn quota(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    namespace.kubectl(&["create", "quota", "full", "--hard=pods=1"])?;
    wait_until("the quota to count", SOON, || {
        Ok(namespace.get("quota/full", ".status.used.pods")? == "1")
    })?;
    let ended = namespace.run(&["app", "-w", "-"])?;
    ended.is(1, &["exceeded quota", "--helper-namespace"])?;
    namespace.nothing_left(&[])
}

/// Nobody else may run there, and the helper does.
pub(super) fn taint(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    let tolerant = "tolerations: [{operator: Exists}]";
    namespace.running("app", &["serve"], tolerant)?;
    let node = namespace.get("pod/app", ".spec.nodeName")?;
    let key = format!("meshsniff.test/{}", namespace.name);
    let taint = format!("{key}=x:NoExecute");
    lab.kubectl(&["taint", "node", &node, &taint])?;
    let done = capture_for_a_moment(&namespace);
    lab.kubectl(&["taint", "node", &node, &format!("{key}-")])?;
    done?;
    namespace.nothing_left(&[])
}

fn capture_for_a_moment(namespace: &Namespace<'_>) -> Checked {
    let plugin = namespace.start(&["app", "-w", "-", "--duration", "1s"])?;
    let ended = plugin.ended(SOON + Duration::from_secs(30))?;
    ended.is(0, &["capturing on"])
}
