//! Nothing gets through any more, in either direction, and nobody is told.

use crate::file::{File, cut};
use crate::lab::{Checked, Lab, Namespace};
use crate::plugin::{PROGRAM, Plugin};
use libtest_mimic::Failed;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

/// A place for the plugin whose way to the cluster can be cut: a network namespace behind a pair of
/// interfaces.
struct Laptop {
    name: String,
    outside: String,
}

static NEXT: AtomicU8 = AtomicU8::new(1);

fn ip(args: &str) -> Checked {
    run("ip", args)
}

fn run(program: &str, args: &str) -> Checked {
    let output = Command::new(program).args(args.split(' ')).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {args}: {said}").into())
}

impl Laptop {
    fn new() -> Result<Self, Failed> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mslaptop{number}");
        let outside = format!("mslap{number}");
        // What an earlier run left.
        let _ = ip(&format!("netns del {name}"));
        let _ = ip(&format!("link del {outside}"));
        let laptop = Self { name, outside };
        let Self { name, outside } = &laptop;
        ip(&format!("netns add {name}"))?;
        ip(&format!(
            "link add {outside} type veth peer name inside netns {name}"
        ))?;
        ip(&format!("addr add 198.18.{number}.1/30 dev {outside}"))?;
        ip(&format!("link set {outside} up"))?;
        ip(&format!(
            "-n {name} addr add 198.18.{number}.2/30 dev inside"
        ))?;
        ip(&format!("-n {name} link set inside up"))?;
        ip(&format!("-n {name} link set lo up"))?;
        ip(&format!(
            "-n {name} route add default via 198.18.{number}.1"
        ))?;
        Ok(laptop)
    }

    fn start(&self, lab: &Lab, args: &[&str]) -> Result<Plugin, Failed> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, PROGRAM]);
        Plugin::set_up(&mut command, lab, args);
        Plugin::spawn(command)
    }

    /// From now on every packet vanishes.
    fn cut(&self) -> Checked {
        for chain in ["INPUT", "OUTPUT"] {
            let rule = format!("netns exec {} iptables -I {chain} -j DROP", self.name);
            ip(&rule)?;
        }
        Ok(())
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.name));
        let _ = ip(&format!("link del {}", self.outside));
    }
}

fn cut_off(lab: &Lab, namespace: &Namespace<'_>) -> Checked {
    let laptop = Laptop::new()?;
    let file = File::new()?;
    let mut plugin = laptop.start(lab, &["app", "-n", &namespace.name, "-w", &file])?;
    plugin.captures()?;
    let runs = namespace.runs()?;
    file.has_packets()?;
    laptop.cut()?;
    plugin.said("the API server does not answer", 1)?;
    let ended = plugin.interrupt()?;
    ended.is(1, &["nothing came for 30 s", "could not be deleted"])?;
    namespace.nothing_left(&runs)?;
    cut(&file)
}

/// Little is on its way when the network goes.
pub(super) fn cut_idle(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    cut_off(lab, &namespace)
}

/// Much is: the agent's writer is blocked for good.
pub(super) fn cut_loaded(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let url = namespace.url("app", "/bytes?n=100000")?;
    namespace.running("load", &["get", "-every", "5ms", "-c", "2", &url], "")?;
    cut_off(lab, &namespace)
}
