//! `report --live`, on a terminal that tmux plays, and without one.

use super::{capture, json, program};
use crate::tools;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Long enough on a busy machine: nothing waits so long that works.
const LONG: Duration = Duration::from_secs(60);
/// Between two looks at the screen.
const PAUSE: Duration = Duration::from_millis(50);

/// A terminal of its own, gone with the test.
pub(super) struct Terminal(String);

impl Terminal {
    pub(super) fn start(name: &str, command: &str) -> Self {
        let terminal = Self(format!("meshsniff-{}-{name}", std::process::id()));
        let status = terminal.tmux(&["new-session", "-d", "-x", "120", "-y", "30", command]);
        assert!(status.0, "tmux: {}", status.1);
        terminal
    }

    fn tmux(&self, args: &[&str]) -> (bool, String) {
        let output = Command::new("tmux")
            .args(["-f", "/dev/null", "-L", &self.0])
            .args(args)
            .output()
            .expect("tmux");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// Waits until this is on the screen.
    #[track_caller]
    pub(super) fn shows(&self, text: &str) -> String {
        self.awaits(text, true)
    }

    fn shows_no(&self, text: &str) {
        self.awaits(text, false);
    }

    fn awaits(&self, text: &str, there: bool) -> String {
        let mut screen = String::new();
        for _ in 0..LONG.as_millis() / PAUSE.as_millis() {
            screen = self.tmux(&["capture-pane", "-p", "-S", "-200"]).1;
            if screen.contains(text) == there {
                return screen;
            }
            thread::sleep(PAUSE);
        }
        panic!("waited for {text}, there: {there}, and saw\n{screen}");
    }

    fn press(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).0);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// The program, reading a capture that does not end.
fn endless(args: &str) -> String {
    // A shell waits for both ends of a pipe, and for no process substitution.
    format!(
        "bash -c \"'{}' report --live - {args} < <(cat '{}'; exec sleep 600); echo status \\$?; exec sleep 600\"",
        env!("CARGO_BIN_EXE_kubectl-meshsniff"),
        capture("tutorial-istio.pcap").display()
    )
}

#[test]
fn a_terminal_shows_it_and_its_keys_work() {
    if !tools::need("tmux", "tmux") {
        return;
    }
    let terminal = Terminal::start("keys", &endless("--fail-on client-gave-up"));
    let screen = terminal.shows("GET /items on");
    for expected in [
        "standard input",
        "routes, by rate (ms)",
        "gave up",
        "client-gave-up",
    ] {
        assert!(screen.contains(expected), "{expected}\n{screen}");
    }
    terminal.press("s");
    terminal.shows("routes, by not ok");
    terminal.press("Tab");
    terminal.press("Enter");
    terminal.shows("The server's kernel had");
    terminal.press("Escape");
    // A key that follows at once would be Alt with that key to a terminal.
    terminal.shows_no("The server's kernel had");
    terminal.press("?");
    terminal.shows("count anew");
    terminal.press("?");
    terminal.press("Space");
    terminal.shows("stands still");
    terminal.press("q");
    // The screen is as it was, and the report comes.
    let screen = terminal.shows("status 3");
    assert!(
        screen.contains("failed: client-gave-up: 4 of 14 exchanges"),
        "{screen}"
    );
    assert!(screen.contains("Slowest of the good ones"), "{screen}");
    assert!(!screen.contains("routes, by"), "{screen}");
}

#[test]
fn control_c_is_a_key_there() {
    if !tools::need("tmux", "tmux") {
        return;
    }
    let terminal = Terminal::start("interrupt", &endless("-o jsonl=/dev/null"));
    terminal.shows("client-gave-up");
    terminal.press("C-c");
    terminal.shows("status 0");
}

/// The processes below `process`.
fn below(process: &str) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace();
    let each = children.flat_map(|child| [vec![child.to_owned()], below(child)].concat());
    each.collect()
}

/// The program of a process that has not ended.
fn running(process: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (name, state) = stat.split_once('(')?.1.rsplit_once(')')?;
    (!state.starts_with(" Z")).then(|| name.to_owned())
}

#[test]
fn when_its_terminal_is_hung_up_it_ends() {
    if !tools::need("tmux", "tmux") {
        return;
    }
    let terminal = Terminal::start("hung-up", &endless(""));
    terminal.shows("client-gave-up");
    let pane = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]).1;
    let is_ours =
        |process: &String| running(process).is_some_and(|name| name.starts_with("kubectl-"));
    let ours: Vec<_> = below(pane.trim()).into_iter().filter(is_ours).collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    terminal.tmux(&["kill-server"]);
    for _ in 0..LONG.as_millis() / PAUSE.as_millis() {
        if running(&ours[0]).is_none() {
            return;
        }
        thread::sleep(PAUSE);
    }
    panic!("it is still running");
}

#[test]
fn without_a_terminal_it_is_lines_and_the_report_is_the_same() {
    let file = capture("tutorial-istio.pcap");
    let mut child = program()
        .args(["report", "--live", "-", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin
        .write_all(&fs::read(&file).expect("a capture"))
        .expect("a pipe");
    drop(stdin);
    let output = child.wait_with_output().expect("the program");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("✗ client-gave-up: GET /items"), "{said}");
    assert!(said.contains("gave up on 4 of "), "{said}");
    assert!(
        said.contains("14 exchanges") && said.contains("4 gave up"),
        "{said}"
    );
    let document = json(&String::from_utf8(output.stdout).expect("text"));
    assert_eq!(document["summary"]["exchanges"], 14);
    assert_eq!(document["sources"][0]["kind"], "stdin");
    let files = super::report(&file, &["--live"]);
    assert_eq!(files.status, Some(2));
    assert!(files.err.contains("packets that come now"), "{}", files.err);
}
