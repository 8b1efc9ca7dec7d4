//! A node's own network.

use crate::file::{File, matching};
use crate::lab::{Checked, Lab, Namespace, SOON};
use crate::plugin::Plugin;
use libtest_mimic::Failed;

/// A port for a pod in its node's network: no other test's, nor that of a run before, whose pod may
/// still be ending.
fn node_port(number: u16) -> u16 {
    let own = u16::try_from(std::process::id() % 5000).unwrap_or_default();
    20_000 + 2 * own + number
}

/// A pod in its node's network, a server that is asked ten times a second from beside it; returns
/// the node.
fn traffic(namespace: &Namespace<'_>, port: u16) -> Result<String, Failed> {
    let spec = format!(
        "hostNetwork: true, initContainers: [{{name: asks, image: \"local/app:1\", imagePullPolicy: IfNotPresent, restartPolicy: \
         Always, args: [get, -every, 100ms, \"http://127.0.0.1:{port}/fast\"]}}]"
    );
    let listen = format!(":{port}");
    namespace.running("app", &["serve", "-addr", &listen], &spec)?;
    namespace.get("pod/app", ".spec.nodeName")
}

/// The ports that a run says it left out.
fn left_out(said: &str) -> Result<Vec<String>, Failed> {
    let line = said.lines().find(|line| line.contains("are left out"));
    let line = line.ok_or_else(|| format!("nothing is left out: {said}"))?;
    let words = line.split(|c: char| !c.is_ascii_alphanumeric());
    let ports: Vec<String> = words
        .filter(|word| word.parse::<u16>().is_ok())
        .map(str::to_owned)
        .collect();
    for names in [&["containerd", "crio"][..], &["kubelet"]] {
        if !names.iter().any(|name| line.contains(&format!("({name})"))) {
            return Err(format!("no port of {} is left out: {line}", names.join(" or ")).into());
        }
    }
    if ports.contains(&"10250".to_owned()) {
        Ok(ports)
    } else {
        Err(format!("the kubelet's port is not left out: {line}").into())
    }
}

/// Holds a capture of a node to what was left out of it, and what was not.
fn without_the_stream(file: &File, said: &str, port: u16) -> Checked {
    for left_out in left_out(said)? {
        let packets = matching(file, &format!("tcp.port == {left_out}"))?;
        if packets > 0 {
            return Err(format!("{packets} packets of port {left_out}").into());
        }
    }
    match matching(file, &format!("tcp.port == {port} && tcp.len > 0"))? {
        0..5 => Err("the pod's own traffic is missing".into()),
        _ => Ok(()),
    }
}

pub(super) fn of_a_pod(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    let port = node_port(0);
    traffic(&namespace, port)?;
    let file = File::new()?;
    for filter in ["", "tcp or udp"] {
        let what = ["--duration", "4s", "--filter", filter];
        let ended = namespace.run(&[&["app", "--node", "-w", &*file][..], &what].concat())?;
        ended.is(0, &["this is the node's own network"])?;
        without_the_stream(&file, &ended.stderr, port)?;
    }
    let ended = namespace.run(&["app", "--node", "-w", "-", "--mode", "ephemeral"])?;
    ended.is(1, &["only a helper pod can capture", "--mode pod"])?;
    namespace.nothing_left(&[])
}

pub(super) fn by_name(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    let port = node_port(1);
    let node = format!("node/{}", traffic(&namespace, port)?);
    let file = File::new()?;
    let ended = namespace.run(&[&node, "-w", &file, "--duration", "4s"])?;
    ended.is(0, &["capturing on", &node])?;
    without_the_stream(&file, &ended.stderr, port)?;
    let filter = format!("tcp port {port} or tcp port 10250");
    let how = ["--duration", "3s", "-o", "json", "--filter", &filter];
    let ended = namespace.run(&[&["report", &node][..], &how].concat())?;
    ended.is(0, &["capturing on"])?;
    left_out(&ended.stderr)?;
    let summary = &ended.json()?["summary"];
    if summary["exchanges"].as_u64().unwrap_or_default() < 5 {
        return Err(format!("few exchanges: {summary}").into());
    }
    let ended = Plugin::start(lab, &["node/none", "-w", "-"])?.ended(SOON)?;
    ended.is(1, &["there is no node none"])?;
    namespace.nothing_left(&[])
}
