//! Network namespaces of the tests' own, gone with the test that made them.

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// A network namespace with a name and `lo` up. Its name ends with it, also when the test fails.
pub(crate) struct Netns {
    pub(crate) name: String,
    file: File,
}

impl Netns {
    pub(crate) fn new() -> Self {
        let name = unique("meshsniff-test");
        ip(&["netns", "add", &name]);
        let path = format!("/run/netns/{name}");
        let made = Self {
            file: File::open(path).expect("a namespace"),
            name,
        };
        made.ip(&["link", "set", "lo", "up"]);
        made
    }

    pub(crate) fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs `ip` on what is inside.
    pub(crate) fn ip(&self, args: &[&str]) {
        ip(&[&["-n", self.name.as_str()], args].concat());
    }

    /// Does `work` inside. What it opens and starts stays there.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let working = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).expect("to enter a namespace");
                work()
            });
            match working.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Takes its name away, as `ip netns del` does.
    pub(crate) fn delete(&self) {
        ip(&["netns", "del", &self.name]);
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // A test may have deleted it already.
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}

/// The target and a peer, with Ethernet between them.
pub(crate) struct Pair {
    pub(crate) target: Netns,
    pub(crate) peer: Netns,
}

impl Pair {
    pub(crate) const INTERFACE: &'static str = "eth0";
    pub(crate) const TARGET: [u8; 4] = [10, 77, 0, 1];
    pub(crate) const PEER: [u8; 4] = [10, 77, 0, 2];
    /// The target's hardware address.
    pub(crate) const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];

    pub(crate) fn new() -> Self {
        let (target, peer) = (Netns::new(), Netns::new());
        let (one, other) = (Self::INTERFACE, Self::INTERFACE);
        target.ip(&[
            "link",
            "add",
            one,
            "address",
            "02:00:00:00:00:01",
            "type",
            "veth",
            "peer",
            "name",
            other,
            "netns",
            &peer.name,
        ]);
        for (netns, address) in [(&target, "10.77.0.1/24"), (&peer, "10.77.0.2/24")] {
            netns.ip(&["address", "add", address, "dev", Self::INTERFACE]);
            netns.ip(&["link", "set", Self::INTERFACE, "up"]);
        }
        Self { target, peer }
    }
}

/// A name that nothing else on this machine has.
pub(crate) fn unique(before: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{before}-{}-{number}", std::process::id())
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("ip");
    assert!(
        output.status.success(),
        "ip {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}
