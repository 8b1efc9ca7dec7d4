//! Every kind of target, and those that are refused.

use crate::file::{File, whole};
use crate::lab::{Checked, Lab};

pub(super) fn helper_namespace(lab: &Lab) -> Checked {
    let restricted = lab.namespace_with(&["pod-security.kubernetes.io/enforce=restricted"])?;
    let helpers = lab.namespace_with(&["pod-security.kubernetes.io/enforce=privileged"])?;
    lab.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: app, namespace: {}}}\nspec: {{terminationGracePeriodSeconds: 1, \
         securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}, containers: [{{name: \
         app, image: \"local/app:1\", imagePullPolicy: IfNotPresent, args: [serve], securityContext: {{allowPrivilegeEscalation: \
         false, capabilities: {{drop: [ALL]}}}}}}]}}\n",
        restricted.name
    ))?;
    restricted.ready("pod/app")?;
    let there = ["--helper-namespace", &helpers.name, "--duration", "1s"];
    let ended = restricted.run(&[&["app", "-w", "-"][..], &there].concat())?;
    ended.is(0, &["capturing on"])?;
    helpers.nothing_left(&[])?;
    restricted.nothing_left(&[])
}

pub(super) fn kinds(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    let name = &namespace.name;
    namespace.deployment("app", 1, &["serve"])?;
    let container = "containers: [{name: app, image: \"local/app:1\", imagePullPolicy: IfNotPresent, args: [serve]}]";
    let template = |app: &str| {
        format!(
            "template: {{metadata: {{labels: {{app: {app}}}}}, spec: {{terminationGracePeriodSeconds: 1, {container}}}}}"
        )
    };
    let selector = |app: &str| format!("selector: {{matchLabels: {{app: {app}}}}}");
    let spec = |app: &str| format!("{}, {}", selector(app), template(app));
    lab.apply(&format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: sts, namespace: {name}}}\nspec: {{serviceName: x, {}}}\n---\n\
         apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: ds, namespace: {name}}}\nspec: {{{}}}\n---\n\
         apiVersion: batch/v1\nkind: Job\nmetadata: {{name: job, namespace: {name}}}\nspec: {{template: {{spec: \
         {{restartPolicy: Never, terminationGracePeriodSeconds: 1, {container}}}}}}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: svc, namespace: {name}}}\nspec: {{selector: {{app: app}}, ports: \
         [{{port: 80, targetPort: 8080}}]}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: bare, namespace: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n",
        spec("sts"),
        spec("ds"),
    ))?;
    for what in ["deploy/app", "sts/sts", "ds/ds"] {
        namespace.rolled_out(what)?;
    }
    let all = ["wait", "--for=condition=Ready", "pod", "--all"];
    namespace.kubectl(&[&all[..], &["--timeout=60s"]].concat())?;
    let set = namespace.get("rs", ".items[0].metadata.name")?;
    for target in [
        "deploy/app",
        "sts/sts",
        "ds/ds",
        "job/job",
        "svc/svc",
        &format!("rs/{set}"),
    ] {
        let ended = namespace.run(&[target, "-w", "-", "--duration", "500ms"])?;
        ended.is(0, &["capturing on"])?;
    }
    for (target, words) in [
        ("svc/bare", "has no selector"),
        ("deploy/none", "there is no deployment none in namespace"),
        ("none", "there is no pod none in namespace"),
    ] {
        namespace.run(&[target, "-w", "-"])?.is(1, &[words])?;
    }
    namespace.nothing_left(&[])
}

pub(super) fn containers(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    let sidecar = "initContainers: [{name: proxy, image: \"local/app:1\", imagePullPolicy: IfNotPresent, restartPolicy: \
                   Always, args: [sleep]}]";
    namespace.running("app", &["serve"], sidecar)?;
    namespace.kubectl(&[
        "debug",
        "app",
        "--image=local/app:1",
        "--image-pull-policy=IfNotPresent",
        "--container=debugger",
        "--",
        "app",
        "sleep",
    ])?;
    for container in ["app", "proxy", "debugger"] {
        let args = ["app", "-c", container, "-w", "-", "--duration", "500ms"];
        namespace.run(&args)?.is(0, &["capturing on"])?;
    }
    let ended = namespace.run(&["app", "-c", "none", "-w", "-"])?;
    ended.is(1, &["it has app, proxy, debugger"])?;
    namespace.nothing_left(&[])
}

pub(super) fn host_network(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.running("app", &["sleep"], "hostNetwork: true")?;
    let ended = namespace.run(&["app", "-w", "-"])?;
    ended.is(1, &["shares the network of its node", "--node"])?;
    namespace.nothing_left(&[])
}

/// A server called `app` with more of its spec, which a client asks: captured in every mode.
fn with_spec(lab: &Lab, spec: &str) -> Checked {
    let namespace = lab.namespace()?;
    namespace.running("app", &["serve"], spec)?;
    namespace.load("/fast", "100ms")?;
    for mode in ["pod", "ephemeral"] {
        let file = File::new()?;
        let ended = namespace.run(&["app", "-w", &file, "--count", "50", "--mode", mode])?;
        ended.is(0, &["as many packets as asked for"])?;
        whole(&file)?;
    }
    let ended = namespace.run(&["report", "app", "--duration", "2s", "-o", "json"])?;
    ended.is(0, &["the time asked for is over"])?;
    namespace.nothing_left(&[])
}

pub(super) fn confined(lab: &Lab) -> Checked {
    with_spec(
        lab,
        "securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}",
    )
}

/// Its network belongs to a user namespace of its own.
pub(super) fn own_users(lab: &Lab) -> Checked {
    let able = "jsonpath={.items[*].status.runtimeHandlers[*].features.userNamespaces}";
    if !lab.kubectl(&["get", "nodes", "-o", able])?.contains("true") {
        println!(
            "SKIPPED a pod with users of its own: the container runtime has no user namespaces"
        );
        return Ok(());
    }
    with_spec(lab, "hostUsers: false")
}
