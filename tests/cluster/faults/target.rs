//! The target goes away, or is not what one would think.

use crate::file::{File, packets, whole};
use crate::lab::{Checked, Lab, Namespace, SOON, wait_until};
use crate::plugin::{report, signal};
use std::fs;
use std::process::Command;

/// Captures `app`, lets `harm` happen, and holds what is said to `words`; the capture is whole.
fn while_capturing(
    lab: &Lab,
    more: &[&str],
    words: &[&str],
    harm: impl FnOnce(&Namespace<'_>) -> Checked,
) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let file = File::new()?;
    let (plugin, runs) = namespace.capturing(&file, more)?;
    harm(&namespace)?;
    plugin.ended(SOON)?.is(0, words)?;
    namespace.nothing_left(&runs)?;
    whole(&file)
}

pub(super) fn deleted(lab: &Lab) -> Checked {
    while_capturing(lab, &[], &["the target is gone"], |namespace| {
        namespace
            .kubectl(&["delete", "pod", "app", "--wait=false"])
            .map(drop)
    })
}

pub(super) fn deleted_ephemeral(lab: &Lab) -> Checked {
    let words = ["SIGTERM came"];
    while_capturing(lab, &["--mode", "ephemeral"], &words, |namespace| {
        namespace
            .kubectl(&["delete", "pod", "app", "--wait=false"])
            .map(drop)
    })
}

/// Target and helper are evicted, in whichever order; neither holds the drain up.
pub(super) fn drained(lab: &Lab) -> Checked {
    while_capturing(lab, &[], &[" packets captured, "], |namespace| {
        let node = namespace.get("pod/app", ".spec.nodeName")?;
        let drain = [
            "drain",
            &node,
            "--force",
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--timeout=60s",
        ];
        let drained = lab.kubectl(&drain).map(drop);
        lab.kubectl(&["uncordon", &node])?;
        drained
    })
}

pub(super) fn replaced(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.deployment("app", 1, &["serve"])?;
    namespace.rolled_out("deploy/app")?;
    let file = File::new()?;
    let mut plugin = namespace.start(&["deploy/app", "-w", &file, "--follow"])?;
    plugin.captures()?;
    namespace.kubectl(&["delete", "pod", "-l", "app=app", "--wait=false"])?;
    plugin.said("capturing on", 2)?;
    let runs = namespace.runs()?;
    plugin.interrupt()?.is(0, &["the target is gone"])?;
    namespace.nothing_left(&runs)?;
    report(file.as_ref(), &[])?.is(0, &[])
}

/// The container dies and comes again; the pod and its network live on, and so does the capture.
pub(super) fn oom_killed(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    lab.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: app, namespace: {}}}\nspec: {{terminationGracePeriodSeconds: 1, containers: \
         [{{name: app, image: \"local/app:1\", imagePullPolicy: IfNotPresent, args: [serve], resources: {{limits: {{memory: \
         32Mi}}}}}}]}}\n",
        namespace.name
    ))?;
    namespace.ready("pod/app")?;
    namespace.load("/fast", "100ms")?;
    let file = File::new()?;
    let (plugin, runs) = namespace.capturing(&file, &[])?;
    let eat = namespace.url("app", "/eat?mb=64")?;
    namespace.pod("eater", &["get", "-n", "1", &eat], "restartPolicy: Never")?;
    wait_until("the container's second life", SOON, || {
        let path = ".status.containerStatuses[0].restartCount";
        Ok(namespace
            .get("pod/app", path)?
            .parse::<u32>()
            .is_ok_and(|count| count > 0))
    })?;
    file.grows()?;
    plugin.interrupt()?.is(0, &["it was asked to stop"])?;
    namespace.nothing_left(&runs)?;
    whole(&file)
}

/// The same pod gets a new network: the capture of the old one ends with a word.
pub(super) fn sandbox_killed(lab: &Lab) -> Checked {
    while_capturing(lab, &[], &["the target is gone"], kill_sandbox)
}

/// Kills the sandbox of the pod `app`.
fn kill_sandbox(namespace: &Namespace<'_>) -> Checked {
    let uid = namespace.get("pod/app", ".metadata.uid")?;
    let mut killed = false;
    for entry in fs::read_dir("/proc")?.flatten() {
        let folder = entry.path();
        let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        let groups = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        if name.trim() == "pause" && groups.contains(&uid) {
            let id = entry.file_name().to_string_lossy().parse()?;
            signal(id, "KILL")?;
            killed = true;
        }
    }
    if killed {
        Ok(())
    } else {
        Err("no sandbox found".into())
    }
}

/// The same pod is captured on in its new network.
pub(super) fn sandbox_killed_and_followed(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    // It talks to itself: whatever its address is.
    let talks = "initContainers: [{name: talks, image: \"local/app:1\", imagePullPolicy: IfNotPresent, restartPolicy: Always, \
                 args: [get, -every, 100ms, \"http://127.0.0.1:8080/fast\"]}]";
    namespace.running("app", &["serve"], talks)?;
    let file = File::new()?;
    for mode in ["pod", "ephemeral"] {
        let (mut plugin, _) = namespace.capturing(&file, &["--follow", "--mode", mode])?;
        for times in 2..4 {
            kill_sandbox(&namespace)?;
            plugin.said("capturing on", times)?;
            file.grows()?;
        }
        let runs = namespace.runs()?;
        plugin
            .interrupt()?
            .is(0, &["runs again in a new sandbox", "it was asked to stop"])?;
        namespace.nothing_left(&runs)?;
        whole(&file)?;
    }
    Ok(())
}

pub(super) fn static_pod(lab: &Lab) -> Checked {
    let Some(node) = &lab.node else {
        return Err("no node to put it on".into());
    };
    let namespace = lab.namespace()?;
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: static-app, namespace: {}}}\nspec: {{terminationGracePeriodSeconds: 1, \
         containers: [{{name: app, image: \"local/app:1\", imagePullPolicy: IfNotPresent, args: [serve]}}]}}\n",
        namespace.name
    );
    let folder = Command::new(node.join("static-pods")).output()?;
    let folder = String::from_utf8_lossy(&folder.stdout).trim().to_owned();
    let file = format!("{folder}/{}.yaml", namespace.name);
    fs::write(&file, manifest)?;
    let done = capture_static(&namespace);
    fs::remove_file(&file)?;
    done?;
    namespace.nothing_left(&[])
}

fn capture_static(namespace: &Namespace<'_>) -> Checked {
    wait_until("the static pod's mirror", SOON, || {
        Ok(namespace.ready("pod/static-app-node1").is_ok())
    })?;
    let url = namespace.url("static-app-node1", "/fast")?;
    namespace.running("load", &["get", "-every", "100ms", &url], "")?;
    let file = File::new()?;
    let ended = namespace.run(&["static-app-node1", "-w", &file, "--count", "20"])?;
    ended.is(0, &["as many packets as asked for"])?;
    if packets(&file)? == 20 {
        Ok(())
    } else {
        Err("not 20 packets".into())
    }
}

/// The one that is not the pod's own is named, and not captured.
pub(super) fn two_namespaces(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    lab.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: app, namespace: {}}}\nspec: {{terminationGracePeriodSeconds: 1, containers: \
         [{{name: app, image: \"local/app:1\", imagePullPolicy: IfNotPresent, args: [newnet], securityContext: {{privileged: \
         true}}}}]}}\n",
        namespace.name
    ))?;
    namespace.ready("pod/app")?;
    let ended = namespace.run(&["app", "-w", "-", "--duration", "1s"])?;
    ended.is(0, &["in another network namespace"])?;
    let ended = namespace.run(&["app", "-c", "app", "-w", "-", "--duration", "1s"])?;
    // Its first process is where the pod is, whatever others did.
    ended.is(0, &["in another network namespace"])?;
    namespace.nothing_left(&[])
}

/// A pod whose annotations say that it is the mirror of a static pod, with the UID of somebody
/// else's pod for its hash: nothing of that one is captured.
pub(super) fn false_mirror(lab: &Lab) -> Checked {
    let (victim, namespace) = (lab.namespace()?, lab.namespace()?);
    victim.traffic()?;
    let uid = victim.get("pod/app", ".metadata.uid")?;
    let node = victim.get("pod/app", ".spec.nodeName")?;
    lab.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: mirror, namespace: {}, finalizers: [\"test.local/stays\"], annotations: \
         {{kubernetes.io/config.mirror: {uid}, kubernetes.io/config.hash: {uid}}}}}\nspec: {{nodeName: {node}, \
         terminationGracePeriodSeconds: 1, containers: [{{name: app, image: \"local/app:1\", args: [serve]}}]}}\n",
        namespace.name
    ))?;
    let ended = namespace.run(&["mirror", "-w", "-", "--duration", "2s"]);
    let without = r#"{"metadata":{"finalizers":null}}"#;
    namespace.kubectl(&["patch", "pod", "mirror", "--type=merge", "-p", without])?;
    let ended = ended?;
    if ended.status.success() || ended.stderr.contains("capturing on") {
        return Err(format!("it was believed: {}", ended.stderr).into());
    }
    namespace.nothing_left(&[])
}

/// The agent in an ephemeral container runs as root all the same, where that is allowed.
pub(super) fn run_as_non_root(lab: &Lab) -> Checked {
    let namespace = lab.namespace_with(&["pod-security.kubernetes.io/enforce=baseline"])?;
    let user = "securityContext: {runAsNonRoot: true, runAsUser: 1000}";
    namespace.running("app", &["serve"], user)?;
    namespace.load("/fast", "100ms")?;
    let file = File::new()?;
    let ended = namespace.run(&["app", "-w", &file, "--mode", "auto", "--count", "50"])?;
    ended.is(
        0,
        &["an ephemeral container is used", "violates PodSecurity"],
    )?;
    whole(&file)
}

pub(super) fn completed(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.pod(
        "app",
        &["get", "-n", "1", "http://127.0.0.1:9/"],
        "restartPolicy: Never",
    )?;
    wait_until("the pod's end", SOON, || {
        let phase = namespace.get("pod/app", ".status.phase")?;
        Ok(matches!(phase.as_str(), "Succeeded" | "Failed"))
    })?;
    for mode in ["pod", "ephemeral"] {
        let ended = namespace.run(&["app", "-w", "-", "--mode", mode])?;
        ended.is(1, &["has ended", "its network is gone"])?;
    }
    namespace.nothing_left(&[])
}

/// No container lives long, but the pod's network does.
pub(super) fn crash_loop(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.pod("app", &["crash"], "")?;
    wait_until("a crash loop", SOON, || {
        let path = ".status.containerStatuses[0].restartCount";
        Ok(namespace
            .get("pod/app", path)?
            .parse::<u32>()
            .is_ok_and(|count| count > 0))
    })?;
    let ended = namespace.run(&["app", "-w", "-", "--duration", "2s"])?;
    ended.is(0, &["capturing on", "the time asked for is over"])?;
    namespace.nothing_left(&[])
}

/// The trailer still arrives.
pub(super) fn helper_deleted(lab: &Lab) -> Checked {
    while_capturing(lab, &[], &["SIGTERM came"], |namespace| {
        let pod = namespace.helper_pod()?;
        namespace
            .kubectl(&["delete", "pod", &pod, "--wait=false"])
            .map(drop)
    })
}

/// Nobody but the plugin will delete the pod then.
pub(super) fn job_orphaned(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let file = File::new()?;
    let (plugin, runs) = namespace.capturing(&file, &[])?;
    let ours = "app.kubernetes.io/managed-by=kubectl-meshsniff";
    namespace.kubectl(&["delete", "jobs", "-l", ours, "--cascade=orphan"])?;
    plugin.interrupt()?.is(0, &[])?;
    namespace.nothing_left(&runs)?;
    whole(&file)
}

/// Whoever may exec into the helper, and nothing else.
pub(super) fn misuse(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let mut plugin = namespace.start(&["app", "-w", "/dev/null"])?;
    plugin.captures()?;
    let runs = namespace.runs()?;
    let helper = namespace.helper_pod()?;
    let other = namespace.get("pod/load", ".metadata.uid")?;
    // As the plugin itself runs it there.
    let command = namespace.get(&format!("pod/{helper}"), ".spec.containers[0].command")?;
    let command: Vec<String> = serde_json::from_str(&command)?;
    let agent = command.iter().take_while(|word| *word != "hold");
    let agent: Vec<&str> = agent.map(String::as_str).collect();
    let agent = |more: &[&'static str]| [&agent[..], more].concat();
    let foreign = |more: &[&'static str]| [&agent(more)[..], &[&other]].concat();
    for (command, words) in [
        (vec!["/bin/sh", "-c", "id"], "no such file"),
        (foreign(&["capture", "--pod-uid"]), "not among the targets"),
        (foreign(&["report", "--pod-uid"]), "not among the targets"),
        (agent(&["capture", "--pid", "1"]), "not for a helper pod"),
        (
            agent(&["capture", "--netns", "/proc/1/ns/net"]),
            "not for a helper pod",
        ),
        (agent(&["capture"]), "name one with --pod-uid"),
        (
            agent(&["capture", "--node"]),
            "the node is not among the targets",
        ),
        (
            foreign(&["capture", "--node", "--container-id"]),
            "name one with --pod-uid",
        ),
    ] {
        let args = [
            &["-n", &namespace.name, "exec", &helper, "--"],
            command.as_slice(),
        ]
        .concat();
        let output = lab.try_kubectl(&args)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || !said.contains(words) {
            return Err(format!("{command:?} in the helper: {}, {said}", output.status).into());
        }
    }
    let uid = namespace.get("pod/app", ".metadata.uid")?;
    let written = [
        &agent(&["capture", "--write", "/proc/1/root/tmp/x", "--pod-uid"])[..],
        &[&uid],
    ]
    .concat();
    let args = [
        &["-n", &namespace.name, "exec", &helper, "--"],
        written.as_slice(),
    ]
    .concat();
    let output = lab.try_kubectl(&args)?;
    if output.status.success() {
        return Err("the helper wrote a file".into());
    }
    plugin.interrupt()?.is(0, &[])?;
    namespace.nothing_left(&runs)
}
