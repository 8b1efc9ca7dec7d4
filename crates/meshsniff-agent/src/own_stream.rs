//! The ports by which a helper's own stream crosses the node's network.
//!
//! What a helper captures leaves it through the container runtime's streaming server, the kubelet
//! and the API server. In a pod's network none of that is seen. In the node's own it is, and a
//! capture that holds it feeds on itself: every packet sent home makes more of them.
//!
//! The ports are found by the processes that listen, in procfs: no runtime is asked, and no file of
//! the node is read.

use super::sockets;
use super::target::namespace_of;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Where the kubelet serves the API server unless it was told otherwise.
const KUBELET_PORT: u16 = 10250;

/// A program that the stream passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hop {
    /// Serves the streams of containers.
    Runtime,
    /// Asks it for them.
    Kubelet,
    /// Asks the kubelet; on a control plane's node only.
    ApiServer,
}

/// What the kernel calls the programs: it cuts names at 15 bytes. Distributions that put several
/// into one process are listed under all of them.
const PROGRAMS: [(&str, &[Hop]); 9] = [
    ("containerd", &[Hop::Runtime]),
    ("dockerd", &[Hop::Runtime]),
    ("cri-dockerd", &[Hop::Runtime]),
    ("crio", &[Hop::Runtime]),
    ("kubelet", &[Hop::Kubelet]),
    ("k3s-agent", &[Hop::Kubelet]),
    ("k3s-server", &[Hop::Kubelet, Hop::ApiServer]),
    ("kubelite", &[Hop::Kubelet, Hop::ApiServer]),
    ("kube-apiserver", &[Hop::ApiServer]),
];

/// The ports of a stream's way through one network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnStream {
    /// TCP port, and the program that listens there.
    ports: BTreeMap<u16, String>,
    /// Failed searches, a sentence each.
    missing: Vec<&'static str>,
}

/// A process in the node's own network, and that network namespace's inode: the first of all
/// processes, or where that may not be looked at, a kubelet.
#[must_use]
pub fn of_node(proc: &Path) -> Option<(i32, u64)> {
    let of = |pid: i32| Some((pid, namespace_of(&proc.join(format!("{pid}/ns/net")))?));
    of(1).or_else(|| {
        let processes = fs::read_dir(proc).into_iter().flatten().flatten();
        let kubelets = processes.filter(|process| {
            program(&process.path()).is_some_and(|(_, hops)| hops.contains(&Hop::Kubelet))
        });
        let pids = kubelets.filter_map(|kubelet| kubelet.file_name().to_str()?.parse().ok());
        pids.min().and_then(of)
    })
}

impl OwnStream {
    /// Looks the ports up for the network namespace with this inode; `proc` is where procfs is
    /// mounted.
    #[must_use]
    pub fn find(proc: &Path, namespace: u64) -> Self {
        let mut own = Self::default();
        let mut seen = BTreeSet::new();
        let mut listeners = None;
        for process in fs::read_dir(proc).into_iter().flatten().flatten() {
            let folder = process.path();
            let Some((name, hops)) = program(&folder) else {
                continue;
            };
            if namespace_of(&folder.join("ns/net")) != Some(namespace) {
                continue;
            }
            // The same for all processes of a network namespace.
            let listeners =
                listeners.get_or_insert_with(|| sockets::listening(&folder).into_iter().collect());
            let ports = ports_of(&folder, listeners);
            for hop in hops {
                let ports = hop.ports(&ports);
                if !ports.is_empty() {
                    seen.insert(*hop);
                }
                own.ports
                    .extend(ports.iter().map(|port| (*port, name.clone())));
            }
        }
        if !seen.contains(&Hop::Runtime) {
            own.missing.push(
                "no port of a container runtime was found on this node: if the capture holds its \
                 own stream, leave that out with --filter",
            );
        }
        if !seen.contains(&Hop::Kubelet) {
            own.ports.insert(KUBELET_PORT, "kubelet".to_owned());
            own.missing.push(
                "no port of a kubelet was found on this node, so its usual one, 10250, is left \
                 out: if it has another, leave that out with --filter",
            );
        }
        own
    }

    /// The filter that leaves the ports out, in libpcap's language; empty for none.
    #[must_use]
    pub fn expression(&self) -> String {
        let ports: Vec<String> = self
            .ports
            .keys()
            .map(|port| format!("tcp port {port}"))
            .collect();
        match ports.as_slice() {
            [] => String::new(),
            ports => format!("not ({})", ports.join(" or ")),
        }
    }

    /// The ports.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.keys().copied()
    }

    /// The ports that are left out, as a sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        let ports: Vec<String> = self
            .ports
            .iter()
            .map(|(port, name)| format!("{port} ({name})"))
            .collect();
        format!(
            "this is the node's own network, through which the capture itself leaves: TCP ports {} \
             are left out",
            ports.join(", ")
        )
    }

    /// A sentence for each program that could not be found.
    #[must_use]
    pub fn missing(&self) -> &[&'static str] {
        &self.missing
    }
}

impl Hop {
    /// Which of the ports that a program listens on are on the way.
    fn ports(self, listening: &[u16]) -> Vec<u16> {
        match self {
            // Its others are for health and metrics only, and somebody's business.
            Self::Kubelet if listening.contains(&KUBELET_PORT) => vec![KUBELET_PORT],
            // Which of them is the streaming server's, or the kubelet's if it was moved, cannot be
            // told from outside.
            Self::Runtime | Self::Kubelet | Self::ApiServer => listening.to_vec(),
        }
    }
}

/// The name of a process and what it stands for, if it is on the way.
fn program(folder: &Path) -> Option<(String, &'static [Hop])> {
    let name = fs::read_to_string(folder.join("comm")).ok()?;
    let name = name.trim_end();
    let (_, hops) = PROGRAMS.iter().find(|(known, _)| *known == name)?;
    Some((name.to_owned(), hops))
}

/// The ports that a process listens on.
fn ports_of(folder: &Path, listeners: &BTreeMap<u64, u16>) -> Vec<u16> {
    let descriptors = fs::read_dir(folder.join("fd"));
    let sockets = descriptors.into_iter().flatten().flatten();
    let sockets = sockets.filter_map(|descriptor| {
        let link = fs::read_link(descriptor.path()).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?;
        inode.strip_suffix(']')?.parse::<u64>().ok()
    });
    let ports: BTreeSet<u16> = sockets
        .filter_map(|inode| listeners.get(&inode).copied())
        .collect();
    ports.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn line(port: u16, state: &str, inode: u64) -> String {
        format!(
            "0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 \
             0 {inode} 1 0 100\n"
        )
    }

    /// A procfs with these processes: pid, name, network namespace, inodes of its sockets. All have
    /// the same table.
    fn procfs(table: &str, processes: &[(u32, &str, u64, &[u64])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (pid, name, namespace, sockets) in processes {
            let process = folder.path().join(pid.to_string());
            for part in ["ns", "fd", "net"] {
                fs::create_dir_all(process.join(part)).unwrap();
            }
            fs::write(process.join("comm"), format!("{name}\n")).unwrap();
            fs::write(process.join("net/tcp"), table).unwrap();
            symlink(format!("net:[{namespace}]"), process.join("ns/net")).unwrap();
            symlink("/dev/null", process.join("fd/0")).unwrap();
            for (number, inode) in sockets.iter().enumerate() {
                let descriptor = process.join(format!("fd/{}", number + 3));
                symlink(format!("socket:[{inode}]"), descriptor).unwrap();
            }
        }
        folder
    }

    fn table() -> String {
        [
            HEAD.to_owned(),
            line(40123, "0A", 11),
            line(10248, "0A", 12),
            line(10250, "0A", 13),
            line(10250, "01", 14),
            line(6443, "0A", 15),
            line(8080, "0A", 16),
        ]
        .concat()
    }

    fn found(processes: &[(u32, &str, u64, &[u64])]) -> OwnStream {
        OwnStream::find(procfs(&table(), processes).path(), 7)
    }

    #[test]
    fn every_hop_of_the_way_is_left_out() {
        let own = found(&[
            (1, "systemd", 7, &[]),
            (2, "containerd", 7, &[11]),
            (3, "kubelet", 7, &[12, 13, 14]),
            (4, "kube-apiserver", 7, &[15]),
            (5, "nginx", 7, &[16]),
        ]);
        let expression = "not (tcp port 6443 or tcp port 10250 or tcp port 40123)";
        assert_eq!(own.expression(), expression);
        assert!(own.missing().is_empty());
        let said = own.describe();
        assert!(said.contains("10250 (kubelet)"), "{said}");
        assert!(said.contains("40123 (containerd)"), "{said}");
    }

    #[test]
    fn programs_of_other_namespaces_are_not_on_the_way() {
        let own = found(&[(2, "containerd", 8, &[11]), (3, "kubelet", 7, &[13])]);
        assert_eq!(own.ports().collect::<Vec<_>>(), [10250]);
        assert_eq!(own.missing().len(), 1);
    }

    #[test]
    fn a_kubelet_that_was_moved_is_left_out_with_all_it_serves() {
        let own = found(&[(2, "crio", 7, &[11]), (3, "kubelet", 7, &[12, 15])]);
        assert_eq!(own.ports().collect::<Vec<_>>(), [6443, 10248, 40123]);
    }

    #[test]
    fn the_nodes_network_is_that_of_its_first_process_or_of_a_kubelet() {
        let processes: [(u32, &str, u64, &[u64]); 3] = [
            (1, "systemd", 7, &[]),
            (20, "kubelet", 9, &[]),
            (3, "nginx", 8, &[]),
        ];
        let proc = procfs("", &processes);
        assert_eq!(of_node(proc.path()), Some((1, 7)));
        fs::remove_file(proc.path().join("1/ns/net")).unwrap();
        assert_eq!(of_node(proc.path()), Some((20, 9)));
        assert_eq!(of_node(procfs("", &processes[2..]).path()), None);
    }

    #[test]
    fn what_is_not_found_is_said() {
        let own = found(&[]);
        assert_eq!(own.expression(), "not (tcp port 10250)");
        assert_eq!(own.missing().len(), 2);
        assert!(own.missing()[1].contains("10250"));
    }
}
