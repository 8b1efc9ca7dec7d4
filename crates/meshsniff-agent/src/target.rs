//! Which process on the node stands for the target: by the cgroup paths under `/proc`.
//!
//! No container runtime is asked. A process belongs to a pod or a container if a whole component of
//! its cgroup path names it, in any of the shapes that cgroup v1 and v2, the systemd and the
//! cgroupfs driver, containerd, CRI-O, Docker and Podman give it. Holds the search only; namespaces
//! are [`super::namespace`]'s.

use std::fs;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A target to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The pod's UID; of a static pod the hash of its configuration.
    pub pod: Option<String>,
    /// A container's id, without the runtime's prefix.
    pub container: Option<String>,
    /// That of one that must be among the pod's.
    pub proof: Option<String>,
}

/// Proxies of a mesh among the processes of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proxies {
    /// None.
    #[default]
    None,
    /// Nothing else runs there, as in a gateway.
    Alone,
    /// One runs beside an app.
    Beside,
}

impl Proxies {
    /// Those among processes with these names.
    fn among<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let (mut proxies, mut others) = (false, false);
        for name in names {
            if is_proxy(name) {
                proxies = true;
            } else if name != "pause" && !name.starts_with("meshsniff") {
                others = true;
            }
        }
        match (proxies, others) {
            (false, _) => Self::None,
            (true, false) => Self::Alone,
            (true, true) => Self::Beside,
        }
    }
}

/// A process that stands for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its process id, in this process's PID namespace.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// Which network namespace it is in (the inode of `/proc/PID/ns/net`).
    pub namespace: u64,
    /// The target's processes that are in other network namespaces: pid and name.
    pub elsewhere: Vec<(i32, String)>,
    /// Proxies of a mesh among the target's processes.
    pub proxies: Proxies,
}

/// Why the target was not found.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum TargetError {
    #[error(
        "no process of {0} runs on this node: check the id and the node (kubectl get pod -o wide); \
         a pod whose containers all ended has no network namespace any more"
    )]
    NotFound(String),
    #[error(
        "{target} runs in a sandbox of its own ({process}, {runtime}): its loopback traffic never \
         crosses a network namespace of the node; use an ephemeral container in the pod instead"
    )]
    Sandboxed {
        target: String,
        process: String,
        runtime: &'static str,
    },
    #[error(
        "the network namespace of {target} (process {pid}) cannot be read: CAP_SYS_PTRACE is \
         missing; run as root with it, in the host's PID namespace"
    )]
    NoRight { target: String, pid: i32 },
    #[error(
        "container {container} of {pod} is in another network namespace than its pod (process \
         {pid}, {name}): it made one of its own; capture the pod without naming the container"
    )]
    Apart {
        pod: String,
        container: String,
        pid: i32,
        name: String,
    },
    #[error("/proc cannot be read ({0}): is it mounted?")]
    NoProc(String),
}

impl Target {
    /// The target in words.
    #[must_use]
    pub fn describe(&self) -> String {
        match (&self.pod, &self.container) {
            (Some(pod), Some(container)) => format!("container {container} of pod {pod}"),
            (Some(pod), None) => format!("pod {pod}"),
            (None, Some(container)) => format!("container {container}"),
            (None, None) => "nothing".to_owned(),
        }
    }

    /// Whether a process with this `/proc/PID/cgroup` belongs to the target's pod, or to its
    /// container if only that is known.
    fn owns(&self, cgroup: &str) -> bool {
        let wanted = |component: &str| match (&self.pod, &self.container) {
            (Some(pod), _) => is_pod(component, pod),
            (None, Some(container)) => is_container(component, container),
            (None, None) => false,
        };
        let mut components = components(cgroup);
        components.any(wanted) && !is_monitor(cgroup)
    }

    fn owns_container(&self, cgroup: &str) -> bool {
        let container = self.container.as_deref();
        container.is_some_and(|id| is_of_container(cgroup, id))
    }

    fn is_proven_by(&self, cgroup: &str) -> bool {
        let proof = self.proof.as_deref();
        proof.is_none_or(|id| is_of_container(cgroup, id))
    }
}

fn is_of_container(cgroup: &str, id: &str) -> bool {
    components(cgroup).any(|component| is_container(component, id))
}

/// The components of all paths of a `/proc/PID/cgroup`, whose lines are
/// `hierarchy:controllers:path`.
fn components(cgroup: &str) -> impl Iterator<Item = &str> {
    cgroup
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .flat_map(|path| path.split(['/', ':']))
}

/// `pod<UID>` of the cgroupfs driver, `kubepods-burstable-pod<UID with underscores>.slice` of
/// systemd's.
fn is_pod(component: &str, uid: &str) -> bool {
    let component = component.strip_suffix(".slice").unwrap_or(component);
    let Some((before, named)) = component.rsplit_once("pod") else {
        return false;
    };
    let same = named.len() == uid.len()
        && named
            .bytes()
            .zip(uid.bytes())
            .all(|(a, b)| a == b || a == b'_' && b == b'-');
    same && (before.is_empty() || before.ends_with('-'))
}

/// `<id>` or `crio-<id>` of the cgroupfs driver, `<runtime>-<id>.scope` of systemd's.
fn is_container(component: &str, id: &str) -> bool {
    let scope = component.strip_suffix(".scope");
    let named = scope.and_then(|scope| scope.rsplit_once('-'));
    component == id
        || component.strip_prefix("crio-") == Some(id)
        || named.is_some_and(|(_, named)| named == id)
}

/// CRI-O's and Podman's monitor of a container has a scope beside it, and lives in the host's
/// namespaces.
fn is_monitor(cgroup: &str) -> bool {
    components(cgroup).any(|component| component.contains("conmon-"))
}

/// The runtime that keeps its network inside, if `name` is one of its processes.
fn sandbox_runtime(name: &str) -> Option<&'static str> {
    match name {
        _ if name.starts_with("runsc") => Some("gVisor"),
        _ if name.starts_with("qemu-system") || name.starts_with("cloud-hyperviso") => Some("Kata"),
        "firecracker" | "virtiofsd" => Some("Kata"),
        _ => None,
    }
}

/// Whether a process of this name, as the kernel cuts it, is a mesh's proxy.
fn is_proxy(name: &str) -> bool {
    matches!(
        name,
        "envoy"
            | "pilot-agent"
            | "linkerd2-proxy"
            | "ztunnel"
            | "consul-datapla"
            | "consul-dataplan"
    )
}

struct Candidate {
    /// When it started, in ticks since the node did.
    started: u64,
    pid: i32,
    name: String,
    in_container: bool,
    is_proof: bool,
    namespace: Option<u64>,
}

/// Finds the process whose network namespace is the target's: the oldest one, which is the
/// sandbox's own, or the first of the first container. Names prove nothing: the target chooses them,
/// and may make namespaces of its own.
///
/// `proc` is where procfs is mounted.
///
/// # Errors
/// If there is none, or it may not be looked at.
pub fn find(proc: &Path, target: &Target) -> Result<Found, TargetError> {
    let mut candidates = candidates(proc, target)?;
    candidates.sort_by_key(|one| (one.started, one.pid));
    let first = candidates.first();
    let Some(first) = first.filter(|_| candidates.iter().any(|one| one.is_proof)) else {
        return Err(TargetError::NotFound(target.describe()));
    };
    let sandboxed = |one: &Candidate| Some((one.name.clone(), sandbox_runtime(&one.name)?));
    if let Some((process, runtime)) = candidates.iter().find_map(sandboxed)
        && !candidates.iter().any(|one| one.name == "pause")
    {
        return Err(TargetError::Sandboxed {
            target: target.describe(),
            process,
            runtime,
        });
    }
    let Some(chosen) = candidates.iter().find(|one| one.namespace.is_some()) else {
        return Err(TargetError::NoRight {
            target: target.describe(),
            pid: first.pid,
        });
    };
    let asked = candidates.iter().find(|one| one.in_container);
    if let (Some(pod), Some(asked)) = (&target.pod, asked)
        && asked.namespace.is_some()
        && asked.namespace != chosen.namespace
    {
        return Err(TargetError::Apart {
            pod: format!("pod {pod}"),
            container: target.container.clone().unwrap_or_default(),
            pid: asked.pid,
            name: asked.name.clone(),
        });
    }
    let elsewhere = candidates
        .iter()
        .filter(|one| one.namespace.is_some() && one.namespace != chosen.namespace)
        .map(|one| (one.pid, one.name.clone()))
        .collect();
    Ok(Found {
        pid: chosen.pid,
        name: chosen.name.clone(),
        namespace: chosen.namespace.unwrap_or_default(),
        elsewhere,
        proxies: Proxies::among(candidates.iter().map(|one| one.name.as_str())),
    })
}

fn candidates(proc: &Path, target: &Target) -> Result<Vec<Candidate>, TargetError> {
    let entries = fs::read_dir(proc).map_err(|error| TargetError::NoProc(error.to_string()))?;
    let mut candidates = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let folder: PathBuf = entry.path();
        // A process may end at any moment: then it is none.
        let Ok(cgroup) = fs::read_to_string(folder.join("cgroup")) else {
            continue;
        };
        if !target.owns(&cgroup) {
            continue;
        }
        let Ok(name) = fs::read_to_string(folder.join("comm")) else {
            continue;
        };
        let Some(started) = started(&folder) else {
            continue;
        };
        candidates.push(Candidate {
            started,
            pid,
            name: name.trim_end().to_owned(),
            in_container: target.owns_container(&cgroup),
            is_proof: target.is_proven_by(&cgroup),
            namespace: namespace_of(&folder.join("ns/net")),
        });
    }
    Ok(candidates)
}

/// When a process started (proc_pid_stat(5), field 22). Its name, which may hold anything, ends with
/// the last parenthesis.
fn started(folder: &Path) -> Option<u64> {
    let stat = fs::read(folder.join("stat")).ok()?;
    let name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[name + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// The inode of a network namespace, which a link such as `net:[4026531840]` names.
pub(super) fn namespace_of(link: &Path) -> Option<u64> {
    let link = fs::read_link(link).ok()?;
    let link = link.to_str()?;
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    const ID: &str = "3b1f0c9d8e7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c";

    fn pod() -> Target {
        Target {
            pod: Some(UID.to_owned()),
            container: None,
            proof: None,
        }
    }

    fn container() -> Target {
        Target {
            pod: None,
            container: Some(ID.to_owned()),
            proof: None,
        }
    }

    #[test]
    fn every_shape_of_a_cgroup_path() {
        let underscores = UID.replace('-', "_");
        for path in [
            format!("11:memory:/kubepods/burstable/pod{UID}/{ID}\n1:name=systemd:/"),
            format!("0::/kubepods/pod{UID}/{ID}"),
            format!(
                "\
                 0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{underscores}.slice/cri-containerd-{ID}.scope"
            ),
            format!("0::/kubepods.slice/kubepods-pod{underscores}.slice/crio-{ID}.scope/container"),
            format!("11:memory:/kubepods/besteffort/pod{UID}/crio-{ID}\n1:name=systemd:/"),
            format!("0::/../../kubepods-pod{underscores}.slice/docker-{ID}.scope"),
            format!(
                "\
                 0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{underscores}.slice:cri-containerd:{ID}"
            ),
        ] {
            assert!(pod().owns(&path), "{path}");
            assert!(container().owns(&path), "{path}");
        }
        assert!(container().owns(&format!("0::/system.slice/docker-{ID}.scope")));
        assert!(container().owns(&format!("5:cpu:/docker/{ID}")));
    }

    #[test]
    fn only_whole_components_count() {
        for path in [
            format!("0::/kubepods/pod{UID}0/{ID}0"),
            format!("0::/kubepods/xpod{UID}/x{ID}"),
            format!("0::/kubepods/pod{}/{}", &UID[1..], &ID[1..]),
            format!("0::/kubepods.slice/kubepods-pod{UID}.slice/crio-conmon-{ID}.scope"),
            format!(
                "11:memory:/kubepods/pod{UID}/crio-conmon-{ID}\n1:name=systemd:/kubepods/pod{UID}"
            ),
            "0::/user.slice".to_owned(),
        ] {
            assert!(!pod().owns(&path), "{path}");
            assert!(!container().owns(&path), "{path}");
        }
    }

    #[test]
    fn a_static_pod_is_known_by_its_hash() {
        let target = Target {
            pod: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
            container: None,
            proof: None,
        };
        assert!(target.owns("0::/kubepods/podd41d8cd98f00b204e9800998ecf8427e/x"));
    }

    /// A procfs with these processes: pid, name, cgroup, network namespace.
    /// Processes by pid, name, cgroup and namespace, in the order in which they started.
    fn procfs(processes: &[(i32, &str, &str, u64)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (started, (pid, name, cgroup, namespace)) in processes.iter().enumerate() {
            let process = folder.path().join(pid.to_string());
            fs::create_dir_all(process.join("ns")).unwrap();
            fs::write(process.join("comm"), format!("{name}\n")).unwrap();
            let before = "S 1 ".to_owned() + &"0 ".repeat(17);
            let stat = format!("{pid} ({name}) {before}{started} 0 0\n");
            fs::write(process.join("stat"), stat).unwrap();
            fs::write(process.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
            symlink(format!("net:[{namespace}]"), process.join("ns/net")).unwrap();
        }
        fs::create_dir(folder.path().join("self")).unwrap();
        folder
    }

    #[test]
    fn the_sandbox_comes_first_and_others_are_told() {
        let inside = format!("/kubepods/pod{UID}/{ID}");
        let proc = procfs(&[
            (1, "systemd", "/", 1),
            // Numbers begin again some day.
            (50, "pause", &format!("/kubepods/pod{UID}/sandbox"), 9),
            (40, "app", &inside, 9),
            (41, "odd", &inside, 10),
            (60, "envoy", &inside, 9),
        ]);
        let found = find(proc.path(), &pod()).unwrap();
        assert_eq!((found.pid, found.namespace), (50, 9));
        assert_eq!(found.elsewhere, [(41, "odd".to_owned())]);
        assert_eq!(found.proxies, Proxies::Beside);
        let names = |names: &[&'static str]| Proxies::among(names.iter().copied());
        assert_eq!(names(&["pause", "pilot-agent", "envoy"]), Proxies::Alone);
        assert_eq!(names(&["pause", "node"]), Proxies::None);
    }

    #[test]
    fn whoever_is_called_like_a_sandbox_is_none() {
        let inside = format!("/kubepods/pod{UID}/{ID}");
        let processes = [
            (70, "pause) 1 (", inside.as_str(), 9),
            (40, "pause", &inside, 10),
            (41, "app", &inside, 10),
        ];
        let proc = procfs(&processes);
        let found = find(proc.path(), &pod()).unwrap();
        assert_eq!((found.pid, found.namespace), (70, 9));
        assert_eq!(found.elsewhere.len(), 2);
    }

    #[test]
    fn a_container_in_a_namespace_of_its_own_is_not_entered() {
        let (sandbox, inside) = (
            format!("/kubepods/pod{UID}/sandbox"),
            format!("/kubepods/pod{UID}/{ID}"),
        );
        let target = Target {
            container: Some(ID.to_owned()),
            ..pod()
        };
        // A process of it may be anywhere; its first one is where the pod is.
        let proc = procfs(&[
            (40, "pause", &sandbox, 9),
            (41, "app", &inside, 9),
            (42, "browser", &inside, 10),
        ]);
        assert_eq!(find(proc.path(), &target).unwrap().namespace, 9);
        let proc = procfs(&[(40, "pause", &sandbox, 9), (41, "app", &inside, 10)]);
        let error = find(proc.path(), &target).unwrap_err();
        assert!(
            matches!(error, TargetError::Apart { pid: 41, .. }),
            "{error}"
        );
        // Without a sandbox it is the pod's first process that counts.
        let proc = procfs(&[
            (40, "other", &format!("/kubepods/pod{UID}/other"), 9),
            (41, "app", &inside, 9),
        ]);
        assert_eq!(find(proc.path(), &target).unwrap().namespace, 9);
    }

    #[test]
    fn a_pod_without_the_container_that_proves_it_is_another() {
        let proc = procfs(&[(40, "app", &format!("/kubepods/pod{UID}/{ID}"), 9)]);
        let with = |proof: &str| Target {
            proof: Some(proof.to_owned()),
            ..pod()
        };
        assert_eq!(find(proc.path(), &with(ID)).unwrap().pid, 40);
        let error = find(proc.path(), &with(&ID.replace('0', "1"))).unwrap_err();
        assert!(matches!(error, TargetError::NotFound(_)), "{error}");
    }

    #[test]
    fn what_cannot_be_captured_is_said() {
        let nobody = procfs(&[(1, "systemd", "/", 1)]);
        let error = find(nobody.path(), &pod()).unwrap_err();
        assert!(matches!(error, TargetError::NotFound(_)));
        let inside = format!("/kubepods/pod{UID}/{ID}");
        let gvisor = procfs(&[(7, "runsc-sandbox", &inside, 3)]);
        let error = find(gvisor.path(), &pod()).unwrap_err();
        assert!(error.to_string().contains("gVisor"), "{error}");
        let hidden = procfs(&[(7, "app", &inside, 3)]);
        fs::remove_file(hidden.path().join("7/ns/net")).unwrap();
        let error = find(hidden.path(), &pod()).unwrap_err();
        assert!(error.to_string().contains("CAP_SYS_PTRACE"), "{error}");
    }
}
