//! Names for addresses, so that Wireshark shows pods and services instead of numbers.

use crate::cluster::connect::Cluster;
use crate::cluster::target::Target;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Longest time for the server to answer: names are a nicety.
const PATIENCE: Duration = Duration::from_secs(5);

/// Address from which an Istio sidecar makes inbound connections on `lo`.
const ISTIO_INBOUND: ([u8; 4], &str) = ([127, 0, 0, 6], "istio-inbound");

/// Looks up the names of the targets, and of all pods and services of their namespaces, as far as
/// the user may list them.
pub(super) async fn look_up(cluster: Cluster, targets: Vec<Target>) -> Vec<(IpAddr, Vec<String>)> {
    let mut names: BTreeMap<IpAddr, Vec<String>> = BTreeMap::new();
    let mut name = |address: IpAddr, called: String| {
        let known = names.entry(address).or_default();
        if !known.contains(&called) {
            known.push(called);
        }
    };
    let (address, called) = ISTIO_INBOUND;
    name(address.into(), called.to_owned());
    for target in &targets {
        // The node's own address is not the pod's.
        if !target.host_network {
            for address in &target.addresses {
                name(*address, format!("{}.{}", target.name, target.namespace));
            }
        }
    }
    let namespaces: BTreeSet<&str> = targets.iter().map(|one| one.namespace.as_str()).collect();
    for namespace in namespaces {
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        let services: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
        let params = ListParams::default();
        let listed = tokio::time::timeout(PATIENCE, async {
            tokio::join!(pods.list(&params), services.list(&params))
        });
        let Ok((pods, services)) = listed.await else {
            continue;
        };
        for pod in pods.into_iter().flatten() {
            let called = format!("{}.{namespace}", pod.name_any());
            let hosts = pod.spec.is_some_and(|spec| spec.host_network == Some(true));
            let ips = pod.status.and_then(|status| status.pod_ips);
            for ip in ips.into_iter().flatten().filter(|_| !hosts) {
                if let Ok(address) = ip.ip.parse() {
                    name(address, called.clone());
                }
            }
        }
        for service in services.into_iter().flatten() {
            let called = format!("{}.{namespace}.svc", service.name_any());
            let ips = service.spec.and_then(|spec| spec.cluster_ips);
            // A headless service has "None".
            for ip in ips.into_iter().flatten() {
                if let Ok(address) = ip.parse() {
                    name(address, called.clone());
                }
            }
        }
    }
    names.into_iter().collect()
}
