//! What is a change, what does harm, and who is named.

use super::*;
use crate::cluster::bringing::Brought;
use crate::cluster::manifest::{HelperOptions, Run, container, labels};
use serde_json::json;

/// A Job's manifest, as far as it is compared.
fn sent() -> Value {
    let (options, run) = (HelperOptions::default(), Run::new());
    let mut agent = container(&options, &Brought::Image, &run, "agent", false);
    agent["image"] = json!("agent:1");
    agent["resources"] = json!({"limits": {"memory": "1024Mi", "cpu": "2"}});
    agent["securityContext"] = json!({"runAsUser": 0, "runAsNonRoot": false,
            "capabilities": {"drop": ["ALL"], "add": ["NET_RAW", "SYS_ADMIN"]}});
    agent["volumeMounts"] = json!([{"name": "meshsniff-agent", "mountPath": "/meshsniff"}]);
    let sources = json!([{"configMap": {"name": "meshsniff-agent-0"}}]);
    let volumes = json!([{"name": "meshsniff-agent", "projected": {"sources": sources}}]);
    let metadata = json!({"name": run.name(), "labels": labels(&options, &run)});
    json!({"metadata": metadata, "spec": {"backoffLimit": 0, "activeDeadlineSeconds": 90,
            "ttlSecondsAfterFinished": 30, "template": {
                "metadata": {"labels": metadata["labels"], "annotations": {"who": "eve"}},
                "spec": {"nodeName": "n1", "hostPID": true, "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 5, "automountServiceAccountToken": false,
                    "tolerations": [{"operator": "Exists"}], "containers": [agent],
                    "volumes": volumes}}}})
}

/// The pod that is made of it, with all that an API server of 1.33 and the Job controller add.
fn made(sent: &Value) -> Value {
    let mut pod = sent["spec"]["template"].clone();
    let label = &mut pod["metadata"]["labels"];
    for key in [
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "controller-uid",
        "job-name",
    ] {
        label[key] = json!("x");
    }
    let spec = &mut pod["spec"];
    for (field, value) in [
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("serviceAccount", json!("default")),
        ("serviceAccountName", json!("default")),
        ("imagePullSecrets", json!([{"name": "of-the-account"}])),
        ("priority", json!(0)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
    ] {
        spec[field] = value;
    }
    let agent = &mut spec["containers"][0];
    agent["imagePullPolicy"] = json!("IfNotPresent");
    agent["terminationMessagePath"] = json!("/dev/termination-log");
    agent["resources"] = json!({"limits": {"memory": "1Gi", "cpu": "2"},
            "requests": {"memory": "1Gi", "cpu": "2"}});
    pod["metadata"]["managedFields"] = json!([{"manager": "kube-controller-manager",
            "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:containers": {"k:{\"name\":\"agent\"}": {"f:image": {}}}}}}]);
    pod
}

fn changes(sent: &Value, made: Value) -> Changes {
    Changes::of_pod(sent, &serde_json::from_value(made).unwrap())
}

#[test]
fn what_the_server_fills_in_is_no_change() {
    let sent = sent();
    let changes = changes(&sent, made(&sent));
    assert!(changes.is_empty(), "{changes}");
    let mut job = sent.clone();
    job["spec"]["parallelism"] = json!(1);
    job["spec"]["completions"] = json!(1);
    job["spec"]["suspend"] = json!(false);
    job["spec"]["template"] = made(&sent);
    let changes = Changes::of_job(&sent, &serde_json::from_value(job).unwrap());
    assert!(changes.is_empty(), "{changes}");
}

#[test]
fn what_does_harm_is_told_from_what_does_not() {
    let evil = json!({"name": "evil", "image": "evil:1"});
    for (at, value, harmful, words) in [
        (
            "/spec/containers/1",
            evil.clone(),
            false,
            "container evil was added",
        ),
        (
            "/spec/initContainers",
            json!([evil]),
            false,
            "init container evil was added",
        ),
        (
            "/spec/containers/0/image",
            json!("mirror.example/somewhere/agent:1"),
            false,
            "from agent:1 to mirror.example",
        ),
        (
            "/spec/containers/0/image",
            json!("evil:1"),
            true,
            "from agent:1 to evil:1",
        ),
        (
            "/spec/containers/0/command",
            json!(["/sh"]),
            true,
            "command of container agent",
        ),
        (
            "/spec/containers/0/args",
            json!(["-x"]),
            true,
            "args of container agent",
        ),
        (
            "/spec/hostPID",
            Value::Null,
            true,
            "hostPID (true) was removed",
        ),
        (
            "/spec/hostNetwork",
            json!(true),
            true,
            "hostNetwork (true) was added",
        ),
        (
            "/spec/hostUsers",
            json!(false),
            true,
            "hostUsers (false) was added",
        ),
        (
            "/spec/nodeName",
            json!("n2"),
            true,
            "nodeName was changed from n1 to n2",
        ),
        (
            "/spec/containers/0/securityContext/capabilities/add",
            json!(["NET_RAW"]),
            true,
            "capabilities",
        ),
        (
            "/spec/containers/0/securityContext/capabilities/drop",
            json!(["ALL", "KILL"]),
            false,
            "",
        ),
        (
            "/spec/containers/0/securityContext/privileged",
            json!(true),
            true,
            "privileged",
        ),
        (
            "/spec/containers/0/securityContext/runAsNonRoot",
            json!(true),
            true,
            "runAsNonRoot",
        ),
        (
            "/spec/containers/0/env/0/value",
            json!("other"),
            true,
            "MESHSNIFF_HOLD was changed",
        ),
        (
            "/spec/containers/0/env/1",
            json!({"name": "LD_PRELOAD", "value": "x"}),
            false,
            "LD_PRELOAD was added",
        ),
        (
            "/spec/containers/0/env/1",
            json!({"name": "HTTP_PROXY", "value": "x"}),
            false,
            "HTTP_PROXY was added",
        ),
        (
            "/spec/containers/0/volumeMounts/1",
            json!({"name": "x", "mountPath": "/"}),
            true,
            "a mount on / was added",
        ),
        (
            "/spec/containers/0/volumeMounts/1",
            json!({"name": "x", "mountPath": "/meshsniff/a"}),
            true,
            "a mount on /meshsniff/a was added",
        ),
        (
            "/spec/containers/0/volumeMounts/1",
            json!({"name": "x", "mountPath": "/var/run/secrets"}),
            false,
            "a mount on /var/run/secrets was added",
        ),
        (
            "/spec/containers/0/volumeMounts/0/name",
            json!("other"),
            true,
            "the mount on /meshsniff was changed",
        ),
        (
            "/spec/volumes/0/projected/sources/0/configMap/name",
            json!("other"),
            true,
            "volume meshsniff-agent was changed",
        ),
        (
            "/spec/volumes/0/projected/sources/0/configMap/optional",
            json!(false),
            false,
            "",
        ),
        (
            "/spec/containers/0/lifecycle",
            json!({"postStart": {"exec": {"command": ["x"]}}}),
            true,
            "lifecycle",
        ),
        (
            "/spec/containers/0/resources/limits/memory",
            json!("8Mi"),
            false,
            "limits.memory",
        ),
        (
            "/spec/volumes/1",
            json!({"name": "v", "hostPath": {"path": "/etc"}}),
            false,
            "volume v of the node's /etc",
        ),
        (
            "/spec/volumes/1",
            json!({"name": "v", "emptyDir": {}}),
            false,
            "volume v was added",
        ),
        (
            "/spec/volumes/1",
            json!({"name": "kube-api-access-x", "projected": {}}),
            false,
            "",
        ),
        (
            "/spec/securityContext/runAsNonRoot",
            json!(true),
            false,
            "the pod's runAsNonRoot",
        ),
        (
            "/spec/securityContext/sysctls",
            json!([{"name": "a", "value": "b"}]),
            false,
            "sysctls",
        ),
        (
            "/spec/nodeSelector",
            json!({"zone": "a"}),
            false,
            "nodeSelector",
        ),
        (
            "/spec/terminationGracePeriodSeconds",
            json!(3600),
            false,
            "from 5 to 3600",
        ),
        (
            "/metadata/labels/team",
            json!("mesh"),
            false,
            "label team (mesh) was added",
        ),
        (
            "/metadata/annotations/who",
            json!("mallory"),
            false,
            "annotation who was changed",
        ),
        (
            "/metadata/labels/meshsniff-run",
            json!("other"),
            true,
            "label meshsniff-run",
        ),
    ] {
        let sent = sent();
        let mut made = made(&sent);
        let (parent, key) = at.rsplit_once('/').unwrap();
        let parent = made.pointer_mut(parent).unwrap();
        match parent.as_array_mut() {
            Some(items) => items.push(value),
            None => parent[key] = value,
        }
        let changes = changes(&sent, made);
        assert_eq!(changes.harmful().is_some(), harmful, "{at}: {changes}");
        assert_eq!(changes.is_empty(), words.is_empty(), "{at}: {changes}");
        assert!(changes.to_string().contains(words), "{at}: {changes}");
    }
}

#[test]
fn what_is_put_beside_the_agent_is_told() {
    let sent = sent();
    let mut made = made(&sent);
    made["metadata"]["labels"]["team"] = json!("mesh");
    made["spec"]["initContainers"] = json!([{"name": "first", "image": "first:1"}]);
    let beside = changes(&sent, made).beside().unwrap().to_string();
    assert!(
        beside.starts_with("init container first was added:"),
        "{beside}"
    );
}

#[test]
fn a_jobs_lease_and_its_number_of_pods_are_its_own() {
    for (field, value, harmful) in [
        ("activeDeadlineSeconds", Value::Null, true),
        ("parallelism", json!(5), true),
        ("backoffLimit", json!(6), true),
        ("suspend", json!(true), false),
        ("ttlSecondsAfterFinished", json!(900), false),
    ] {
        let sent = sent();
        let mut made = sent.clone();
        made["spec"][field] = value;
        let changes = Changes::of_job(&sent, &serde_json::from_value(made).unwrap());
        assert!(changes.to_string().contains(field), "{field}: {changes}");
        assert_eq!(changes.harmful().is_some(), harmful, "{field}: {changes}");
    }
}

#[test]
fn a_field_manager_is_named_unless_it_is_our_own() {
    let sent = sent();
    let mut made = made(&sent);
    let containers = made["spec"]["containers"].as_array_mut().unwrap();
    containers.push(json!({"name": "evil", "image": "evil:1"}));
    let anonymous = changes(&sent, made.clone()).to_string();
    assert_eq!(
        anonymous,
        "container evil was added: a mutating webhook or an admission policy did that"
    );
    let all = made["metadata"]["managedFields"].as_array_mut().unwrap();
    all.push(
        json!({"manager": "mallory", "operation": "Update", "fieldsV1":
            {"f:spec": {"f:containers": {"k:{\"name\":\"evil\"}": {".": {}}}}}}),
    );
    let named = changes(&sent, made).to_string();
    assert_eq!(named, "container evil was added by mallory");
}

#[test]
fn a_long_list_is_cut() {
    let sent = sent();
    let mut made = made(&sent);
    made["metadata"]["annotations"]["who"] = json!("x".repeat(100_000));
    for number in 0..1_000 {
        made["metadata"]["annotations"][format!("a-{number}")] = json!("b");
    }
    let said = changes(&sent, made).to_string();
    assert!(said.contains("and 996 more") && said.len() < 500, "{said}");
}

#[test]
fn an_ephemeral_container_is_compared_too() {
    let container = json!({"name": "meshsniff-a", "image": "agent:1", "command": ["/agent"],
            "securityContext": {"allowPrivilegeEscalation": false}});
    let of = |made: Value| {
        let pod = json!({"spec": {"containers": [{"name": "app"}],
                "ephemeralContainers": [{"name": "debugger"}, made]}});
        Changes::of_ephemeral(&container, &serde_json::from_value(pod).unwrap())
    };
    let mut made = container.clone();
    made["imagePullPolicy"] = json!("IfNotPresent");
    assert!(of(made.clone()).is_empty());
    made["securityContext"] = json!({"privileged": true});
    assert!(of(made).harmful().is_some());
    assert!(
        of(json!({"name": "other"}))
            .to_string()
            .contains("meshsniff-a was removed")
    );
}
