//! What works: modes, targets, formats, rights.

use super::faults::whole;
use super::lab::{Checked, Lab, Namespace, SOON, folder, packets, wait_until};
use super::plugin::{Plugin, report, signal};
use libtest_mimic::{Failed, Trial};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

type Check = fn(&Lab) -> Checked;

const CAPTURES: [(&str, Check); 18] = [
    ("into Wireshark, which shows packets", into_wireshark),
    ("a pod, to a file", to_a_file),
    ("a pod, ephemeral, in a baseline namespace", ephemeral),
    (
        "a pod in a restricted namespace, from another",
        helper_namespace,
    ),
    ("every kind of target", kinds),
    ("several pods are several interfaces", several),
    ("several pods, a file each", file_each),
    (
        "a native sidecar and an ephemeral container are containers",
        containers,
    ),
    ("nodes' own networks are refused", host_network),
    (
        "a node's own network, without the stream itself",
        node_network,
    ),
    ("a node by its name, and a report of it", node_by_name),
    ("a filter that does not compile makes nothing", bad_filter),
    ("a report, live", live_report),
    ("a report with the packets beside it", report_with_packets),
    ("a report, watched and judged", judged_live),
    ("no report of what was not captured", no_report),
    ("a report of what was captured before the end", cut_report),
    ("only the rights it takes, and each one missing", rights),
];

pub(crate) fn trials(lab: &Arc<Lab>) -> Vec<Trial> {
    let trial = |(name, check): (&str, Check)| {
        let lab = Arc::clone(lab);
        Trial::test(format!("capture: {name}"), move || check(&lab))
    };
    CAPTURES.into_iter().map(trial).collect()
}

fn to_a_file(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    let args = [
        "app",
        "-n",
        &namespace.name,
        "-w",
        &path,
        "--filter",
        "tcp port 8080",
        "--count",
        "40",
        "-c",
        "app",
    ];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(0, &["40 packets captured", "as many packets as asked for"])?;
    namespace.nothing_left(&[])?;
    if packets(&file)? != 40 {
        return Err("not the 40 packets that were asked for".into());
    }
    // Names for addresses travel with them.
    let shown = Command::new("tshark")
        .args(["-N", "n", "-r"])
        .arg(&file)
        .output()?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    if !shown.contains(&format!("app.{}", namespace.name)) {
        return Err(format!("no names: {shown}").into());
    }
    whole(&file)
}

/// A display that nobody sees.
struct Display(Child, &'static str);

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The background that Wireshark gives HTTP, as its colouring rules come.
const HTTP_GREEN: &str = "#E4FFC7";

fn into_wireshark(lab: &Lab) -> Checked {
    for tool in ["wireshark", "Xvfb", "import", "xwininfo"] {
        if Command::new("which").arg(tool).output()?.stdout.is_empty() {
            if std::env::var_os("MESHSNIFF_REQUIRE_TOOLS").is_some() {
                return Err(format!("{tool} is not installed").into());
            }
            println!(
                "SKIPPED Wireshark: {tool} is not installed (Debian: wireshark xvfb imagemagick x11-utils)"
            );
            return Ok(());
        }
    }
    let name = ":78";
    let server = Command::new("Xvfb")
        .args([name, "-screen", "0", "1280x800x24"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let display = Display(server, name);
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    // A profile of nobody's: no dialog, no rules of one's own.
    let home = folder()?;
    let mut command = Plugin::command(lab, &["app", "-n", &namespace.name]);
    command.env("DISPLAY", display.1).env("HOME", home.path());
    let mut plugin = Plugin::spawn(command)?;
    plugin.captures()?;
    let title = format!("{}/app", namespace.name);
    let windows = ["-display", display.1, "-root", "-tree"];
    wait_until("a window that is titled by the target", SOON, || {
        let shown = Command::new("xwininfo").args(windows).output()?;
        Ok(String::from_utf8_lossy(&shown.stdout).contains(&title))
    })?;
    let picture = home.path().join("shot.png");
    wait_until("rows of HTTP in the window", SOON, || {
        let shot = ["-display", display.1, "-window", "root"];
        Command::new("import").args(shot).arg(&picture).status()?;
        let colours = Command::new("convert")
            .arg(&picture)
            .args(["-format", "%c", "histogram:info:-"])
            .output()?;
        let colours = String::from_utf8_lossy(&colours.stdout).into_owned();
        let green = colours.lines().find(|line| line.contains(HTTP_GREEN));
        let pixels = green.and_then(|line| line.trim().split(':').next()?.parse::<u32>().ok());
        Ok(pixels.is_some_and(|pixels| pixels > 1000))
    })?;
    // Closing the window is the end.
    let shown = Command::new("pgrep")
        .args(["-f", &format!("gui.window_title:{title}")])
        .output()?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let own = plugin.id().to_string();
    for id in shown.split_whitespace().filter(|id| **id != own) {
        super::plugin::signal(id.parse()?, "TERM")?;
    }
    plugin.ended(SOON)?.is(0, &[])?;
    namespace.nothing_left(&[])
}

fn ephemeral(lab: &Lab) -> Checked {
    let namespace = lab.namespace_with(&["pod-security.kubernetes.io/enforce=baseline"])?;
    namespace.traffic()?;
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    let args = [
        "app",
        "-n",
        &namespace.name,
        "-w",
        &path,
        "--mode",
        "ephemeral",
        "--count",
        "40",
    ];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(0, &["its entry stays in pod"])?;
    wait_until("the end of the ephemeral container", SOON, || {
        let path = ".status.ephemeralContainerStatuses[*].state.terminated.exitCode";
        Ok(namespace.get("pod/app", path)? == "0")
    })?;
    whole(&file)
}

fn helper_namespace(lab: &Lab) -> Checked {
    let restricted = lab.namespace_with(&["pod-security.kubernetes.io/enforce=restricted"])?;
    let helpers = lab.namespace_with(&["pod-security.kubernetes.io/enforce=privileged"])?;
    let name = &restricted.name;
    lab.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: app, namespace: {name}}}\nspec: {{terminationGracePeriodSeconds: 1, \
         securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}, containers: [{{name: \
         app, image: \"local/app:1\", imagePullPolicy: IfNotPresent, args: [serve], securityContext: {{allowPrivilegeEscalation: \
         false, capabilities: {{drop: [ALL]}}}}}}]}}\n"
    ))?;
    restricted.ready("pod/app")?;
    let args = [
        "app",
        "-n",
        name,
        "-w",
        "-",
        "--helper-namespace",
        &helpers.name,
        "--duration",
        "1s",
    ];
    Plugin::start(lab, &args)?
        .ended(SOON)?
        .is(0, &["capturing on"])?;
    helpers.nothing_left(&[])?;
    restricted.nothing_left(&[])
}

fn kinds(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    let name = &namespace.name;
    namespace.deployment("app", 1, &["serve"])?;
    let container = "containers: [{name: app, image: \"local/app:1\", imagePullPolicy: IfNotPresent, args: [serve]}]";
    let template = |app: &str| {
        format!(
            "template: {{metadata: {{labels: {{app: {app}}}}}, spec: {{terminationGracePeriodSeconds: 1, {container}}}}}"
        )
    };
    let selector = |app: &str| format!("selector: {{matchLabels: {{app: {app}}}}}");
    let spec = |app: &str| format!("{}, {}", selector(app), template(app));
    lab.apply(&format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: sts, namespace: {name}}}\nspec: {{serviceName: x, {}}}\n---\n\
         apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: ds, namespace: {name}}}\nspec: {{{}}}\n---\n\
         apiVersion: batch/v1\nkind: Job\nmetadata: {{name: job, namespace: {name}}}\nspec: {{template: {{spec: \
         {{restartPolicy: Never, terminationGracePeriodSeconds: 1, {container}}}}}}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: svc, namespace: {name}}}\nspec: {{selector: {{app: app}}, ports: \
         [{{port: 80, targetPort: 8080}}]}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: bare, namespace: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n",
        spec("sts"),
        spec("ds"),
    ))?;
    namespace.kubectl(&["rollout", "status", "deploy/app", "--timeout=60s"])?;
    namespace.kubectl(&["rollout", "status", "sts/sts", "--timeout=60s"])?;
    namespace.kubectl(&["rollout", "status", "ds/ds", "--timeout=60s"])?;
    namespace.ready("pod").or_else(|_| {
        namespace
            .kubectl(&[
                "wait",
                "--for=condition=Ready",
                "pod",
                "--all",
                "--timeout=60s",
            ])
            .map(drop)
    })?;
    let set = namespace.get("rs", ".items[0].metadata.name")?;
    for target in [
        "deploy/app",
        "sts/sts",
        "ds/ds",
        "job/job",
        "svc/svc",
        &format!("rs/{set}"),
    ] {
        let args = [target, "-n", name, "-w", "-", "--duration", "500ms"];
        let ended = Plugin::start(lab, &args)?.ended(SOON)?;
        ended.is(0, &["capturing on"])?;
    }
    for (target, words) in [
        ("svc/bare", "has no selector"),
        ("deploy/none", "there is no deployment none in namespace"),
        ("none", "there is no pod none in namespace"),
    ] {
        let args = [target, "-n", name, "-w", "-"];
        Plugin::start(lab, &args)?.ended(SOON)?.is(1, &[words])?;
    }
    namespace.nothing_left(&[])
}

fn several(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.deployment("app", 3, &["serve"])?;
    namespace.kubectl(&["rollout", "status", "deploy/app", "--timeout=60s"])?;
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    let args = [
        "-l",
        "app=app",
        "-n",
        &namespace.name,
        "-w",
        &path,
        "-i",
        "lo",
    ];
    let mut plugin = Plugin::start(lab, &args)?;
    plugin.said("capturing on", 3)?;
    plugin.interrupt()?.is(0, &[])?;
    namespace.nothing_left(&[])?;
    let shown = Command::new("capinfos").arg("-I").arg(&file).output()?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let pods = namespace.get("pod", ".items[*].metadata.name")?;
    for pod in pods.split_whitespace() {
        if !shown.contains(&format!("{}/{pod} lo", namespace.name)) {
            return Err(format!("no interface for {pod}: {shown}").into());
        }
    }
    Ok(())
}

fn file_each(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let folder = folder()?;
    let path = format!("{}/new/", folder.path().display());
    let args = [
        "app",
        "load",
        "-n",
        &namespace.name,
        "-w",
        &path,
        "--count",
        "20",
        "--compress",
    ];
    Plugin::start(lab, &args)?.ended(SOON)?.is(0, &[])?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(&path)? {
        let entry = entry?;
        names.insert(entry.file_name().to_string_lossy().into_owned());
        if packets(&entry.path())? != 20 {
            return Err(format!("not 20 packets in {}", entry.path().display()).into());
        }
        whole(&entry.path())?;
    }
    let wanted = ["app", "load"].map(|pod| format!("{}_{pod}.pcapng", namespace.name));
    if names != BTreeSet::from(wanted) {
        return Err(format!("{names:?}").into());
    }
    namespace.nothing_left(&[])
}

fn containers(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    let sidecar = "initContainers: [{name: proxy, image: \"local/app:1\", imagePullPolicy: IfNotPresent, restartPolicy: \
                   Always, args: [sleep]}]";
    namespace.pod("app", &["serve"], sidecar)?;
    namespace.ready("pod/app")?;
    namespace.kubectl(&[
        "debug",
        "app",
        "--image=local/app:1",
        "--image-pull-policy=IfNotPresent",
        "--container=debugger",
        "--",
        "app",
        "sleep",
    ])?;
    for container in ["app", "proxy", "debugger"] {
        let args = [
            "app",
            "-n",
            &namespace.name,
            "-c",
            container,
            "-w",
            "-",
            "--duration",
            "500ms",
        ];
        let ended = Plugin::start(lab, &args)?.ended(SOON)?;
        ended.is(0, &["capturing on"])?;
    }
    let args = ["app", "-n", &namespace.name, "-c", "none", "-w", "-"];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(1, &["it has app, proxy, debugger"])?;
    namespace.nothing_left(&[])
}

fn host_network(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.pod("app", &["sleep"], "hostNetwork: true")?;
    namespace.ready("pod/app")?;
    let args = ["app", "-n", &namespace.name, "-w", "-"];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(1, &["shares the network of its node", "--node"])?;
    namespace.nothing_left(&[])
}

/// A port for a pod in its node's network: no other test's, nor that of a run before, whose pod may still be ending.
fn node_port(number: u16) -> u16 {
    let own = u16::try_from(std::process::id() % 5000).unwrap_or_default();
    20_000 + 2 * own + number
}

/// A pod in its node's network, a server that is asked ten times a second from beside it; returns the node.
fn node_traffic(namespace: &Namespace<'_>, port: u16) -> Result<String, Failed> {
    let spec = format!(
        "hostNetwork: true, initContainers: [{{name: asks, image: \"local/app:1\", imagePullPolicy: IfNotPresent, restartPolicy: \
         Always, args: [get, -every, 100ms, \"http://127.0.0.1:{port}/fast\"]}}]"
    );
    let listen = format!(":{port}");
    namespace.pod("app", &["serve", "-addr", &listen], &spec)?;
    namespace.ready("pod/app")?;
    namespace.get("pod/app", ".spec.nodeName")
}

/// How many packets of a file fit a display filter.
fn matching(file: &Path, filter: &str) -> Result<usize, Failed> {
    let shown = Command::new("tshark")
        .args([
            "-n",
            "-Y",
            filter,
            "-T",
            "fields",
            "-e",
            "frame.number",
            "-r",
        ])
        .arg(file)
        .output()?;
    if !shown.status.success() {
        return Err(String::from_utf8_lossy(&shown.stderr).into_owned().into());
    }
    Ok(String::from_utf8_lossy(&shown.stdout).lines().count())
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
    for name in ["containerd", "kubelet"] {
        if !line.contains(&format!("({name})")) {
            return Err(format!("no port of {name} is left out: {line}").into());
        }
    }
    if ports.contains(&"10250".to_owned()) {
        Ok(ports)
    } else {
        Err(format!("the kubelet's port is not left out: {line}").into())
    }
}

/// Holds a capture of a node to what was left out of it, and what was not.
fn without_the_stream(file: &Path, said: &str, port: u16) -> Checked {
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

fn node_network(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    let port = node_port(0);
    node_traffic(&namespace, port)?;
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    for filter in ["", "tcp or udp"] {
        let args = [
            "app",
            "-n",
            &namespace.name,
            "--node",
            "-w",
            &path,
            "--duration",
            "4s",
            "--filter",
            filter,
        ];
        let ended = Plugin::start(lab, &args)?.ended(SOON)?;
        ended.is(0, &["this is the node's own network"])?;
        without_the_stream(&file, &ended.stderr, port)?;
    }
    let args = [
        "app",
        "-n",
        &namespace.name,
        "--node",
        "-w",
        "-",
        "--mode",
        "ephemeral",
    ];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(1, &["only a helper pod can capture", "--mode pod"])?;
    namespace.nothing_left(&[])
}

fn node_by_name(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    let port = node_port(1);
    let node = format!("node/{}", node_traffic(&namespace, port)?);
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    let args = [
        &node,
        "-n",
        &namespace.name,
        "-w",
        &path,
        "--duration",
        "4s",
    ];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(0, &["capturing on", &node])?;
    without_the_stream(&file, &ended.stderr, port)?;
    let filter = format!("tcp port {port} or tcp port 10250");
    let args = [
        "report",
        &node,
        "-n",
        &namespace.name,
        "--duration",
        "3s",
        "-o",
        "json",
        "--filter",
        &filter,
    ];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(0, &["capturing on"])?;
    left_out(&ended.stderr)?;
    let document: serde_json::Value = serde_json::from_slice(&ended.stdout)?;
    if document["summary"]["exchanges"]
        .as_u64()
        .unwrap_or_default()
        < 5
    {
        return Err(format!("few exchanges: {}", document["summary"]).into());
    }
    let args = ["node/none", "-w", "-"];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(1, &["there is no node none"])?;
    namespace.nothing_left(&[])
}

/// Where nothing here can compile filters, the agent says it: its helper is gone then, too.
fn bad_filter(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.pod("app", &["serve"], "")?;
    namespace.ready("pod/app")?;
    let args = [
        "app",
        "-n",
        &namespace.name,
        "-w",
        "-",
        "--filter",
        "tcp prt 80",
    ];
    let words = ["«tcp prt 80» does not compile", "syntax error"];
    Plugin::start(lab, &args)?.ended(SOON)?.is(2, &words)?;
    if !namespace.helpers()?.is_empty() {
        return Err("a helper was made".into());
    }
    let mut command = Plugin::command(lab, &args);
    command.env("PATH", "");
    let ended = Plugin::spawn(command)?.ended(SOON)?;
    // Where nobody can be asked, the agent says it.
    ended.is(1, &words)?;
    namespace.nothing_left(&[])
}

/// Adds a client that gives up after 500 ms.
fn impatient(namespace: &Namespace<'_>) -> Checked {
    namespace.traffic()?;
    let address = namespace.get("pod/app", ".status.podIP")?;
    let url = format!("http://{address}:8080/slow?ms=900");
    let args = ["get", "-every", "200ms", "-timeout", "500ms", &url];
    namespace.pod("hasty", &args, "")?;
    namespace.ready("pod/hasty")
}

fn live_report(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    impatient(&namespace)?;
    let name = &namespace.name;
    let args = ["report", "app", "-n", name, "--until-findings", "3"];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(0, &["capturing on"])?;
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    for words in ["client-gave-up", "GET /fast", &format!("{name}/app")] {
        if !text.contains(words) {
            return Err(format!("no {words:?} in {text}").into());
        }
    }
    let args = [
        "report",
        "app",
        "-n",
        name,
        "-o",
        "json",
        "--duration",
        "3s",
    ];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(0, &[])?;
    let document: serde_json::Value = serde_json::from_slice(&ended.stdout)?;
    if document["capture"]["complete"] != true || document["summary"]["exchanges"] == 0 {
        return Err(format!("not a whole report: {}", document["capture"]).into());
    }
    namespace.nothing_left(&[])
}

/// How many frames of a file fit a display filter.
fn tshark(file: &Path, filter: &str) -> Result<usize, Failed> {
    let output = Command::new("tshark")
        .args(["-n", "-r"])
        .arg(file)
        .args(["-Y", filter, "-T", "fields", "-e", "frame.number"])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(output.stdout.iter().filter(|byte| **byte == b'\n').count())
}

fn judged_live(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    impatient(&namespace)?;
    let folder = folder()?;
    let junit = folder.path().join("report.xml");
    let output = format!("junit={}", junit.display());
    let args = [
        "report",
        "app",
        "-n",
        &namespace.name,
        "-o",
        &output,
        "--duration",
        "5s",
        "--live",
        "--fail-on",
        "client-gave-up",
        // Good ones are only counted beside the target: these are held against what it counted.
        "--fail-on",
        "status=200 > 0 where path=/fast",
        "--fail-on",
        "request_to_response.p50>1m",
        "--fail-on",
        "exchanges<2",
        "--fail-on",
        "total>1h where path=/nothing-is-there",
    ];
    let ended = Plugin::start(lab, &args)?.ended(SOON)?;
    ended.is(
        3,
        &[
            "✗ 20",
            " GET /",
            "exchanges, ",
            "failed: client-gave-up: ",
            "failed: status=200 > 0 where path=/fast: ",
            "failed: total>1h where path=/nothing-is-there: nothing to judge",
        ],
    )?;
    let failed = ended.stderr.matches("failed: ").count();
    if failed != 3 || !ended.stdout.is_empty() {
        return Err(format!("{failed} failed: {}", ended.stderr).into());
    }
    let xml = fs::read_to_string(&junit)?;
    for words in ["failures=\"3\"", "FIN: the client closes", "GET /fast"] {
        if !xml.contains(words) {
            return Err(format!("no {words:?} in {xml}").into());
        }
    }
    namespace.nothing_left(&[])
}

fn report_with_packets(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    impatient(&namespace)?;
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    let args = [
        "report",
        "app",
        "-n",
        &namespace.name,
        "-o",
        "json",
        "-w",
        &path,
        "--duration",
        "3s",
    ];
    let live = Plugin::start(lab, &args)?.ended(SOON)?;
    live.is(0, &[])?;
    namespace.nothing_left(&[])?;
    let told = |stdout: &[u8]| -> Result<serde_json::Value, Failed> {
        let mut document: serde_json::Value = serde_json::from_slice(stdout)?;
        for exchange in document["exchanges"].as_array_mut().into_iter().flatten() {
            // Of a file it names a stream's number, of packets that come the ends.
            exchange["display_filter"].take();
        }
        Ok(document)
    };
    let live = told(&live.stdout)?;
    let read = report(&file, &["-o", "json"])?;
    read.is(0, &[])?;
    let read = told(&read.stdout)?;
    let commented = tshark(&file, "frame.comment contains \"client-gave-up\"")?;
    if commented == 0 {
        return Err("no frame of the file has a comment".into());
    }
    for part in ["summary", "exchanges"] {
        if live[part] != read[part] {
            return Err(format!("{part} differ: {} and {}", live[part], read[part]).into());
        }
    }
    let args = [
        "report",
        "app",
        "-n",
        &namespace.name,
        "-w",
        &path,
        "--until-findings",
        "2",
    ];
    Plugin::start(lab, &args)?
        .ended(SOON)?
        .is(0, &["it was asked to stop"])?;
    namespace.nothing_left(&[])
}

/// Only the error, in every format, with and without the packets; whether the helper is refused or the agent itself.
fn no_report(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.pod("app", &["serve"], "")?;
    namespace.ready("pod/app")?;
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    fs::write(&file, "what was there before")?;
    let name = &namespace.name;
    let never = ["--image", "local/none:1", "--image-pull-policy", "Never"];
    let nowhere = ["--helper-namespace", "nowhere"];
    for (why, words) in [
        (&never[..], "ErrImageNeverPull"),
        (&nowhere[..], "there is no namespace nowhere"),
        (&["-i", "none0"][..], "there is no interface none0"),
    ] {
        for how in [
            &[][..],
            &["-o", "json"],
            &["-w", &path],
            &["-w", &path, "-o", "json"],
            &["-w", &path, "-o", "jsonl"],
        ] {
            let args = [&["report", "app", "-n", name], why, how].concat();
            let ended = Plugin::start(lab, &args)?.ended(SOON)?;
            ended.is(1, &[words])?;
            if !ended.stdout.is_empty() {
                let told = String::from_utf8_lossy(&ended.stdout).into_owned();
                return Err(format!("{args:?}: a report of nothing: {told}").into());
            }
        }
        let args = [&["app", "-n", name, "-w", &path], why].concat();
        Plugin::start(lab, &args)?.ended(SOON)?.is(1, &[words])?;
    }
    if fs::read(&file)? != b"what was there before" {
        return Err("a capture of nothing took the place of what was there".into());
    }
    fs::remove_file(&file)?;
    let args = [&["app", "-n", name, "-w", &path], &nowhere[..]].concat();
    Plugin::start(lab, &args)?.ended(SOON)?.is(1, &[])?;
    if file.exists() {
        return Err("a capture of nothing left a file".into());
    }
    namespace.nothing_left(&[])
}

fn cut_report(lab: &Lab) -> Checked {
    if !lab.is_here() {
        println!("SKIPPED a report that is cut: it takes a cluster on this machine");
        return Ok(());
    }
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let folder = folder()?;
    let file = folder.path().join("a.pcapng");
    let path = file.to_string_lossy();
    for how in [&["-w", &path][..], &[]] {
        let args = [&["report", "app", "-n", &namespace.name, "-o", "json"], how].concat();
        let mut plugin = Plugin::start(lab, &args)?;
        plugin.captures()?;
        let runs = namespace.runs()?;
        std::thread::sleep(Duration::from_secs(2));
        for agent in lab.agents(&runs) {
            let id = agent.rsplit('/').next().unwrap_or_default();
            // The first takes the others with it.
            let _ = signal(id.parse()?, "KILL");
        }
        let ended = plugin.ended(SOON)?;
        ended.is(1, &["was cut"])?;
        let document: serde_json::Value = serde_json::from_slice(&ended.stdout)?;
        if document["capture"]["complete"] != false {
            return Err(format!("a whole report: {}", document["capture"]).into());
        }
        if !how.is_empty() && document["summary"]["exchanges"] == 0 {
            return Err("what was captured is not reported".into());
        }
        namespace.nothing_left(&runs)?;
    }
    Ok(())
}

/// Rights: verb and resource, and whether an error has to name the right when it is missing.
fn rules(ephemeral: bool) -> Vec<(&'static str, &'static str, bool)> {
    let mut rules = vec![
        ("get", "pods", true),
        ("get", "pods/exec", true),
        ("create", "pods/exec", true),
    ];
    if ephemeral {
        rules.push(("patch", "pods/ephemeralcontainers", true));
    } else {
        rules.extend([
            ("create", "jobs", true),
            ("patch", "jobs", false),
            ("delete", "jobs", false),
            ("get", "jobs", false),
            ("list", "pods", false),
            ("watch", "pods", false),
        ]);
    }
    rules
}

/// Grants `eve` these rights and no others, and waits until the API server knows.
fn grant(
    namespace: &Namespace<'_>,
    user: &str,
    rules: &[(&str, &str, bool)],
    but: Option<usize>,
) -> Checked {
    let kept = rules
        .iter()
        .enumerate()
        .filter(|(index, _)| Some(*index) != but);
    let rule = |(_, (verb, resource, _)): (usize, &(&str, &str, bool))| {
        let group = if *resource == "jobs" { "batch" } else { "\"\"" };
        format!("{{apiGroups: [{group}], resources: [{resource}], verbs: [{verb}]}}")
    };
    let kept: Vec<String> = kept.map(rule).collect();
    namespace.lab.apply(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: eve, namespace: {}}}\nrules: [{}]\n",
        namespace.name,
        kept.join(", ")
    ))?;
    wait_until("the rights that were granted", SOON, || {
        for (index, (verb, resource, _)) in rules.iter().enumerate() {
            // TYPE/NAME would be a pod called exec.
            let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
            let sub = format!("--subresource={sub}");
            let args = [
                "-n",
                &namespace.name,
                "auth",
                "can-i",
                verb,
                resource,
                &sub,
                "--as",
                user,
            ];
            let answer = namespace.lab.try_kubectl(&args)?;
            if answer.status.success() != (Some(index) != but) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

fn rights(lab: &Lab) -> Checked {
    for mode in ["pod", "ephemeral"] {
        let namespace = lab.namespace()?;
        namespace.pod("app", &["serve"], "")?;
        namespace.ready("pod/app")?;
        let name = &namespace.name;
        namespace.kubectl(&["create", "serviceaccount", "eve"])?;
        let account = format!("--serviceaccount={name}:eve");
        namespace.kubectl(&["create", "rolebinding", "eve", "--role=eve", &account])?;
        let rules = rules(mode == "ephemeral");
        let user = format!("system:serviceaccount:{name}:eve");
        let args = [
            "app",
            "-n",
            name,
            "--as",
            &user,
            "--mode",
            mode,
            "-w",
            "-",
            "--duration",
            "500ms",
        ];
        grant(&namespace, &user, &rules, None)?;
        Plugin::start(lab, &args)?
            .ended(SOON)?
            .is(0, &["capturing on"])?;
        for (index, (verb, resource, is_named)) in rules.iter().enumerate() {
            if !is_named {
                continue;
            }
            grant(&namespace, &user, &rules, Some(index))?;
            let ended = Plugin::start(lab, &args)?.ended(SOON * 2)?;
            let words = format!("you may not {verb} {resource}");
            ended.is(1, &[&words, "kubectl meshsniff rbac"])?;
        }
        namespace.nothing_left(&[])?;
    }
    Ok(())
}
