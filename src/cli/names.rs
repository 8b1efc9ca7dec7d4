//! Names for addresses, so that reports and Wireshark show pods and services instead of numbers.

use crate::cluster::connect::Cluster;
use crate::cluster::target::Target;
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use meshsniff::event::{Report, ReportEvent};
use meshsniff::statistics::Summary;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest time for the server to answer: names are a nicety.
const PATIENCE: Duration = Duration::from_secs(5);

/// Address from which an Istio sidecar makes inbound connections on `lo`.
const ISTIO_INBOUND: ([u8; 4], &str) = ([127, 0, 0, 6], "istio-inbound");

/// Most addresses that are looked up one by one.
const MAX_ADDRESSES: usize = 32;

/// Names of addresses, the best one first.
pub(super) type Named = Vec<(IpAddr, Vec<String>)>;

/// The names of a target's own addresses.
pub(super) fn of_target(target: &Target) -> impl Iterator<Item = (IpAddr, String)> + '_ {
    let name = format!("{}.{}", target.name, target.namespace);
    // The node's own address is not the pod's.
    let own = target.addresses.iter().filter(|_| !target.host_network);
    own.map(move |address| (*address, name.clone()))
}

/// Looks up the names of the targets, and of all pods and services of their namespaces, as far as
/// the user may list them.
pub(super) async fn look_up(cluster: Cluster, targets: Vec<Target>) -> Named {
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
        for (address, called) in of_target(target) {
            name(address, called);
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
        for pod in pods.into_iter().flatten().filter(|pod| !has_ended(pod)) {
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

/// Addresses of a report that nobody has named. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Unnamed(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    summary: Summary,
    named: BTreeSet<IpAddr>,
}

impl Report for Unnamed {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        let seen = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            ReportEvent::Exchange(exchange) => seen.summary.exchange(exchange),
            ReportEvent::Connection(connection) => seen.summary.connection(connection),
            ReportEvent::Aggregate(aggregate) => seen.summary.merge(&aggregate.summary),
            ReportEvent::Name(address, _) => {
                seen.named.insert(address);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Unnamed {
    /// Looks them up in all namespaces, one by one: a cluster may have more pods than anybody
    /// wants to list. What the user may not see stays without a name.
    pub(super) async fn look_up(&self, cluster: &Cluster) -> Named {
        let addresses: Vec<IpAddr> = {
            let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let addresses = seen.summary.addresses();
            addresses.difference(&seen.named).copied().collect()
        };
        let addresses = addresses.into_iter().take(MAX_ADDRESSES);
        let named = addresses.map(|address| async move {
            let name = tokio::time::timeout(PATIENCE, name_of(cluster, address));
            Some((address, vec![name.await.ok()??]))
        });
        join_all(named).await.into_iter().flatten().collect()
    }
}

/// Whether a pod has ended: it keeps the address that another one may have by now.
fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The pod, or else the service, with this address.
async fn name_of(cluster: &Cluster, address: IpAddr) -> Option<String> {
    let with = |field: &str| ListParams::default().fields(&format!("{field}={address}"));
    let pods: Api<Pod> = Api::all(cluster.client.clone());
    let pods = pods.list(&with("status.podIP")).await.ok()?;
    let of_node = |pod: &Pod| {
        pod.spec
            .as_ref()
            .is_some_and(|spec| spec.host_network == Some(true))
    };
    let mut pods = pods.iter().filter(|pod| !has_ended(pod) && !of_node(pod));
    if let Some(pod) = pods.next() {
        return Some(format!("{}.{}", pod.name_any(), pod.namespace()?));
    }
    let services: Api<Service> = Api::all(cluster.client.clone());
    let services = services.list(&with("spec.clusterIP")).await.ok()?;
    let service = services.iter().next()?;
    Some(format!(
        "{}.{}.svc",
        service.name_any(),
        service.namespace()?
    ))
}
