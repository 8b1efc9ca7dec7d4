//! From names and pods to targets.

use super::pod::{CONFIG_HASH, CONFIG_MIRROR, target};
use super::*;
use meshsniff_contract::environment::NODE;
use serde_json::{Value, json};

fn wanted() -> Wanted {
    Wanted {
        max_targets: 10,
        ..Wanted::default()
    }
}

fn pod(mut more: Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": "catalog", "namespace": "shop", "uid": "u-1", "annotations": {}},
        "spec": {"nodeName": "n1", "containers": [{"name": "app"}], "initContainers": [{"name": "proxy"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.5"}, {"ip": "fd00::5"}],
            "initContainerStatuses": [{"name": "proxy", "containerID": "containerd://abc", "image": "", "imageID": "",
                "ready": true, "restartCount": 0}]}
    });
    for (part, fields) in more.as_object_mut().unwrap() {
        for (name, value) in fields.as_object_mut().unwrap() {
            pod[part][name] = value.take();
        }
    }
    serde_json::from_value(pod).unwrap()
}

#[test]
fn what_can_be_typed() {
    assert_eq!("a".parse::<Named>().unwrap().to_string(), "pod/a");
    assert_eq!(
        "deploy/a".parse::<Named>().unwrap().to_string(),
        "deployment/a"
    );
    assert_eq!(
        "SVC/a.b".parse::<Named>().unwrap().to_string(),
        "service/a.b"
    );
    for wrong in ["", "pod/", "cm/a", "pod/a/b", "a b", "../a", "a?b", "."] {
        assert!(wrong.parse::<Named>().is_err(), "{wrong}");
    }
}

#[test]
fn a_pod_that_runs_is_a_target() {
    let found = target(&pod(json!({})), &wanted()).unwrap();
    assert_eq!((found.cgroup.as_str(), found.node.as_str()), ("u-1", "n1"));
    assert_eq!(found.addresses.len(), 2);
    assert_eq!(found.full_name(), "shop/catalog");
}

/// A pod with annotations of a mirror, an owner and a container in some state.
fn mirror(hash: &str, owner: &Value, state: &Value) -> Pod {
    pod(json!({
        "metadata": {
            "annotations": {CONFIG_HASH: hash, CONFIG_MIRROR: hash},
            "ownerReferences": [owner],
        },
        "status": {"containerStatuses": [{
            "name": "app", "containerID": "containerd://abc", "state": state, "image": "", "imageID": "",
            "ready": true, "restartCount": 0,
        }]},
    }))
}

fn node_n1() -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u-n1", "controller": true})
}

#[test]
fn a_static_pod_is_known_by_its_hash() {
    let running = json!({"running": {}});
    let found = target(&mirror("h", &node_n1(), &running), &wanted()).unwrap();
    assert_eq!(
        (found.cgroup.as_str(), found.proof.as_deref()),
        ("h", Some("abc"))
    );
}

#[test]
fn an_annotation_alone_names_no_other_pod() {
    let running = json!({"running": {}});
    let mut elsewhere = node_n1();
    elsewhere["name"] = "n2".into();
    let mut deployed = node_n1();
    (deployed["kind"], deployed["apiVersion"]) = ("ReplicaSet".into(), "apps/v1".into());
    for (owner, state) in [
        (elsewhere, &running),
        (deployed, &running),
        (node_n1(), &json!({"waiting": {}})),
    ] {
        let found = target(&mirror("h", &owner, state), &wanted()).unwrap();
        assert_eq!(
            (found.cgroup.as_str(), found.proof),
            ("u-1", None),
            "{owner}"
        );
    }
    for hash in [NODE, "h,node", "h node", "../h"] {
        let found = target(&mirror(hash, &node_n1(), &running), &wanted()).unwrap();
        assert_eq!((found.cgroup.as_str(), found.is_node()), ("u-1", false));
    }
}

#[test]
fn a_native_sidecar_is_a_container_like_others() {
    let sidecar = Wanted {
        container: Some("proxy".to_owned()),
        ..wanted()
    };
    let found = target(&pod(json!({})), &sidecar).unwrap();
    assert_eq!(found.container.as_deref(), Some("abc"));
    // One that is not running: the pod's network is there all the same.
    let waiting = Wanted {
        container: Some("app".to_owned()),
        ..wanted()
    };
    assert_eq!(target(&pod(json!({})), &waiting).unwrap().container, None);
    let none = Wanted {
        container: Some("x".to_owned()),
        ..wanted()
    };
    let why = target(&pod(json!({})), &none).unwrap_err().to_string();
    assert!(why.ends_with("it has app, proxy"), "{why}");
}

#[test]
fn what_cannot_be_captured_is_said() {
    let ended = pod(json!({"status": {"phase": "Succeeded"}}));
    assert!(
        target(&ended, &wanted())
            .unwrap_err()
            .to_string()
            .contains("ended")
    );
    let waiting = pod(json!({"spec": {"nodeName": null}}));
    assert!(
        target(&waiting, &wanted())
            .unwrap_err()
            .to_string()
            .contains("no node")
    );
    let host = pod(json!({"spec": {"hostNetwork": true}}));
    assert!(
        target(&host, &wanted())
            .unwrap_err()
            .to_string()
            .contains("--node")
    );
    let meant = Wanted {
        node: true,
        ..wanted()
    };
    assert!(target(&host, &meant).unwrap().host_network);
}
