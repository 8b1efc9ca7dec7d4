//! Packets to a file, a pipe, Wireshark.

use crate::file::{File, folder, packets, shown, whole};
use crate::lab::{Checked, Lab, SOON, wait_until};
use crate::plugin::{Plugin, signal};
use libtest_mimic::Failed;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

pub(super) fn to_a_file(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let file = File::new()?;
    let what = ["--filter", "tcp port 8080", "--count", "40", "-c", "app"];
    let ended = namespace.run(&[&["app", "-w", &*file][..], &what].concat())?;
    ended.is(0, &["40 packets captured", "as many packets as asked for"])?;
    namespace.nothing_left(&[])?;
    if packets(&file)? != 40 {
        return Err("not the 40 packets that were asked for".into());
    }
    // Names for addresses travel with them.
    let shown = shown("tshark", &["-N", "n", "-r"], &file)?;
    if !shown.contains(&format!("app.{}", namespace.name)) {
        return Err(format!("no names: {shown}").into());
    }
    whole(&file)
}

/// A display that nobody sees, and its name.
struct Display(Child, String);

impl Display {
    /// Starts one with a number that nobody has; it says the number once it can be used.
    fn start() -> Result<Self, Failed> {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x800x24"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = server.stdout.take();
        let mut display = Self(server, String::new());
        let mut number = String::new();
        if let Some(said) = said {
            BufReader::new(said).read_line(&mut number)?;
        }
        if number.trim().is_empty() {
            return Err("Xvfb did not start".into());
        }
        display.1 = format!(":{}", number.trim());
        Ok(display)
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The background that Wireshark gives HTTP, as its colouring rules come.
const HTTP_GREEN: &str = "#E4FFC7";

pub(super) fn into_wireshark(lab: &Lab) -> Checked {
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
    let display = Display::start()?;
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    // A profile of nobody's: no dialog, no rules of one's own.
    let home = folder()?;
    let mut without = namespace.command(&["app"]);
    without.env_remove("DISPLAY").env("HOME", home.path());
    Plugin::spawn(without)?
        .ended(SOON)?
        .is(1, &["Wireshark found no display", "with -w FILE"])?;
    namespace.nothing_left(&[])?;
    let mut command = namespace.command(&["app"]);
    command.env("DISPLAY", &display.1).env("HOME", home.path());
    let mut plugin = Plugin::spawn(command)?;
    plugin.captures()?;
    let title = format!("{}/app", namespace.name);
    let windows = ["-display", &display.1, "-root", "-tree"];
    wait_until("a window that is titled by the target", SOON, || {
        let shown = Command::new("xwininfo").args(windows).output()?;
        Ok(String::from_utf8_lossy(&shown.stdout).contains(&title))
    })?;
    let picture = home.path().join("shot.png");
    wait_until("rows of HTTP in the window", SOON, || {
        let shot = ["-display", &display.1, "-window", "root"];
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
        signal(id.parse()?, "TERM")?;
    }
    plugin.ended(SOON)?.is(0, &[])?;
    namespace.nothing_left(&[])
}

pub(super) fn ephemeral(lab: &Lab) -> Checked {
    let namespace = lab.namespace_with(&["pod-security.kubernetes.io/enforce=baseline"])?;
    namespace.traffic()?;
    let file = File::new()?;
    let ended = namespace.run(&["app", "-w", &file, "--mode", "ephemeral", "--count", "40"])?;
    ended.is(0, &["its entry stays in pod"])?;
    wait_until("the end of the ephemeral container", SOON, || {
        let path = ".status.ephemeralContainerStatuses[*].state.terminated.exitCode";
        Ok(namespace.get("pod/app", path)? == "0")
    })?;
    whole(&file)
}

/// Connects to the socket by which an agent is held, as any process of the pod can, and stays.
const STRANGER: &str = "
import socket, sys, time
kept = []
for number in range(300):
    kept.append(socket.socket(socket.AF_UNIX))
    kept[-1].connect('\\0' + sys.argv[1])
print('connected', flush=True)
time.sleep(600)
";

/// What processes of the target do to the agent's socket, which they see, keeps it neither there nor
/// from its work.
pub(super) fn strangers(lab: &Lab) -> Checked {
    if !lab.is_here() {
        println!("SKIPPED strangers in the target's network: it takes a cluster on this machine");
        return Ok(());
    }
    let namespace = lab.namespace_with(&["pod-security.kubernetes.io/enforce=baseline"])?;
    namespace.traffic()?;
    let file = File::new()?;
    let args = ["app", "-w", &file, "--mode", "ephemeral"];
    let mut plugin = namespace.start(&args)?;
    plugin.captures()?;
    let path = ".spec.ephemeralContainers[*].env[*].value";
    let run = namespace.get("pod/app", path)?;
    let agents = lab.agents(std::slice::from_ref(&run));
    let Some(agent) = agents.first().and_then(|folder| folder.rsplit('/').next()) else {
        return Err("there is no agent".into());
    };
    let mut stranger = Command::new("nsenter")
        .args(["-t", agent, "-n", "python3", "-c", STRANGER, &run])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    if let Some(stdout) = stranger.stdout.take() {
        BufReader::new(stdout).read_line(&mut said)?;
    }
    file.has_packets()?;
    let ended = plugin.interrupt()?;
    let gone = wait_until("the end of the ephemeral container", SOON, || {
        let path = ".status.ephemeralContainerStatuses[*].state.terminated.exitCode";
        Ok(namespace.get("pod/app", path)? == "0")
    });
    stranger.kill()?;
    stranger.wait()?;
    gone?;
    if said.trim() != "connected" {
        return Err("nobody could connect to it".into());
    }
    ended.is(0, &[])?;
    whole(&file)
}

pub(super) fn several(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.deployment("app", 3, &["serve"])?;
    namespace.rolled_out("deploy/app")?;
    let file = File::new()?;
    let mut plugin = namespace.start(&["-l", "app=app", "-w", &file, "-i", "lo"])?;
    plugin.said("capturing on", 3)?;
    plugin.interrupt()?.is(0, &[])?;
    namespace.nothing_left(&[])?;
    let shown = shown("capinfos", &["-I"], &file)?;
    let pods = namespace.get("pod", ".items[*].metadata.name")?;
    for pod in pods.split_whitespace() {
        if !shown.contains(&format!("{}/{pod} lo", namespace.name)) {
            return Err(format!("no interface for {pod}: {shown}").into());
        }
    }
    Ok(())
}

pub(super) fn file_each(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let folder = folder()?;
    let path = format!("{}/new/", folder.path().display());
    let args = ["app", "load", "-w", &path, "--count", "20", "--compress"];
    namespace.run(&args)?.is(0, &[])?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(&path)? {
        let entry = entry?;
        names.insert(entry.file_name().to_string_lossy().into_owned());
        if packets(entry.path())? != 20 {
            return Err(format!("not 20 packets in {}", entry.path().display()).into());
        }
        whole(entry.path())?;
    }
    let wanted = ["app", "load"].map(|pod| format!("{}_{pod}.pcapng", namespace.name));
    if names != BTreeSet::from(wanted) {
        return Err(format!("{names:?}").into());
    }
    namespace.nothing_left(&[])
}

/// Where nothing here can compile filters, the agent says it: its helper is gone then, too.
pub(super) fn bad_filter(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.server()?;
    let args = ["app", "-w", "-", "--filter", "tcp prt 80"];
    let words = ["«tcp prt 80» does not compile", "syntax error"];
    namespace.run(&args)?.is(2, &words)?;
    if !namespace.helpers()?.is_empty() {
        return Err("a helper was made".into());
    }
    let mut command = namespace.command(&args);
    command.env("PATH", "");
    let ended = Plugin::spawn(command)?.ended(SOON)?;
    // Where nobody can be asked, the agent says it.
    ended.is(1, &words)?;
    namespace.nothing_left(&[])
}
