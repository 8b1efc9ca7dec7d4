//! A program that does not read, told from one that reads and is slow: real servers of Python, Node
//! and Go, and what `ss` shows at the same time.

use crate::http::Client;
use crate::netns::Netns;
use crate::program::{Program, json, lines};
use crate::tools::{END, FOR_EVER, IP, Tool, can, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const SS: Tool = ("ss", "iproute2");
const PYTHON: Tool = ("python3", "python3");
const NODE: Tool = ("node", "nodejs");

fn file(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/servers");
    tests.join(name)
}

fn python(name: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(file(name));
    command
}

fn node() -> Command {
    let mut command = Command::new("node");
    command.arg(file("server.mjs"));
    command
}

/// The server of Go, built into `folder`. `None` where there is no compiler; it is said.
#[track_caller]
fn go(folder: &TempDir) -> Option<Command> {
    let is_there = Command::new("go").arg("version").output().is_ok();
    if !is_there {
        crate::tools::skip("go is not installed (Debian: apt-get install golang-go)");
        return None;
    }
    let program = folder.path().join("server");
    let mut build = Command::new("go");
    build
        .args(["build", "-o"])
        .args([&program, &file("server.go")]);
    let built = build.env("GO111MODULE", "off").output().expect("go");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "go build: {said}");
    Some(Command::new(program))
}

/// A server in a network namespace, its agent beside it, and the lines of its report.
struct Watched {
    netns: Netns,
    server: Child,
    said: BufReader<ChildStdout>,
    address: SocketAddr,
    agent: Program,
    report: Receiver<String>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Watched {
    fn start(mut server: Command) -> Self {
        let netns = Netns::new();
        server.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = netns.inside(|| server.spawn()).expect("a server");
        let mut said = BufReader::new(server.stdout.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a port");
        let port = line.trim().parse().expect("a port");
        let mut agent = netns.ready("report", &["--all"]);
        let report = lines(agent.stdout());
        Self {
            netns,
            server,
            said,
            address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into(),
            agent,
            report,
        }
    }

    fn client(&self) -> Client {
        Client::connect(&self.netns, self.address)
    }

    /// Waits until the server holds a request.
    fn holds(&mut self) {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        assert_eq!(line, "holds\n");
    }

    /// Lets the server go on.
    fn release(&mut self) {
        let stdin = self.server.stdin.as_mut().expect("a pipe");
        stdin.write_all(b"\n").expect("a server that reads");
    }

    /// Receive and send queue of the socket of the server's that belongs to `client`, or else of the
    /// one that listens, as `ss` shows them.
    fn ss(&self, client: Option<SocketAddr>) -> Option<(u64, u64)> {
        let mut command = Command::new("ss");
        command.args([
            if client.is_some() {
                "-tinmHO"
            } else {
                "-ltnHO"
            },
            "sport",
        ]);
        command.arg(format!("= :{}", self.address.port()));
        let shown = self.netns.inside(|| command.output()).expect("ss");
        let shown = String::from_utf8(shown.stdout).expect("text");
        let client = client.map(|client| format!(":{} ", client.port()));
        let line = shown
            .lines()
            .find(|line| client.as_ref().is_none_or(|client| line.contains(client)))?;
        let mut words = line.split_whitespace().skip(1);
        let mut number = || words.next()?.parse().ok();
        Some((number()?, number()?))
    }

    /// The exchange of this path, once it is told.
    fn exchange(&mut self, path: &str) -> Value {
        loop {
            let line = self.report.recv_timeout(FOR_EVER).expect("a line");
            let line = json(&line);
            if line["type"] == "exchange" && line["path"] == path {
                return line;
            }
        }
    }

    /// The last connection, and the summary, once it was told to stop.
    fn end(&mut self) -> Vec<Value> {
        self.agent.tell("stop");
        let rest = crate::program::rest(&self.report);
        self.agent.end(END);
        rest.iter().map(|line| json(line)).collect()
    }

    /// An exchange that waited long enough for the kernel to be asked while `ss` shows `queue` bytes
    /// in the receive queue. `wait` sends a request, and `go_on` has it answered.
    fn waits(
        &mut self,
        queue: impl Fn(&str) -> u64,
        wait: impl Fn(&mut Self, &str) -> Client,
        go_on: impl Fn(&mut Self, Client),
    ) -> Value {
        for attempt in 0.. {
            let path = format!("/waits-{attempt}");
            let client = wait(self, &path);
            let address = client.address();
            let shown = queue(&path);
            wait_until("ss shows the queue", || {
                self.ss(Some(address))
                    .is_some_and(|(unread, _)| unread == shown)
            });
            // What is measured is a time. It grows until the kernel was asked within it, which a
            // busy machine may put off.
            thread::sleep(Duration::from_millis(100 << attempt));
            assert_eq!(
                self.ss(Some(address)).map(|(unread, _)| unread),
                Some(shown)
            );
            go_on(self, client);
            let exchange = self.exchange(&path);
            let sockets = &exchange["sockets"];
            if !sockets.is_null() {
                assert_eq!(sockets["server"]["receive_queue"], shown, "{exchange:#}");
                assert_eq!(sockets["unread_bytes"], shown, "{exchange:#}");
                return exchange;
            }
            assert!(attempt < 8, "the kernel is never asked");
        }
        unreachable!("it is counted without end")
    }
}

fn finding(exchange: &Value, kind: &str) -> Option<f64> {
    let findings = exchange["findings"].as_array().expect("a list");
    let found = findings.iter().find(|finding| finding["kind"] == kind)?;
    found["ms"].as_f64()
}

/// Bytes of a request of [`Client::send`].
fn size(path: &str) -> u64 {
    format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").len() as u64
}

#[track_caller]
fn is_unread(exchange: &Value) {
    let unread = finding(exchange, "unread-request").unwrap_or_else(|| panic!("{exchange:#}"));
    let wait = exchange["gaps"]["wait"].as_f64().expect("a gap");
    assert!(unread >= 10.0 && unread <= wait, "{unread} of {wait}");
    assert_eq!(exchange["sockets"]["unread_ms"].as_f64(), Some(unread));
    let said = exchange["explanation"].as_str().expect("a sentence");
    assert!(said.contains("lay unread in the server's socket"), "{said}");
}

#[track_caller]
fn is_read(exchange: &Value) {
    assert_eq!(finding(exchange, "unread-request"), None, "{exchange:#}");
    let by = exchange["sockets"]["read_by_ms"].as_f64();
    let wait = exchange["gaps"]["wait"].as_f64().expect("a gap");
    assert!(by.is_some_and(|by| by > 0.0 && by < wait), "{exchange:#}");
    let said = exchange["explanation"].as_str().expect("a sentence");
    assert!(said.contains("had read the request within"), "{said}");
}

/// A loop that is blocked by one request leaves another unread; a handler that waits does not.
fn loop_is_blocked(server: Command) {
    let mut watched = Watched::start(server);
    let blocked = watched.waits(
        size,
        |watched, path| {
            let mut client = watched.client();
            assert_eq!(client.get("/warm"), 200);
            let mut blocker = watched.client();
            blocker.send("/block");
            watched.holds();
            client.send(path);
            client
        },
        |watched, mut client| {
            watched.release();
            assert_eq!(client.receive(), 200);
        },
    );
    is_unread(&blocked);
    assert_eq!(blocked["sockets"]["accepted"], true, "{blocked:#}");
}

fn handler_is_slow(server: Command) {
    let mut watched = Watched::start(server);
    for attempt in 0.. {
        let mut client = watched.client();
        client.send("/slow");
        watched.holds();
        assert_eq!(
            watched.ss(Some(client.address())).map(|(unread, _)| unread),
            Some(0)
        );
        thread::sleep(Duration::from_millis(100 << attempt));
        watched.release();
        assert_eq!(client.receive(), 200);
        drop(client);
        let exchange = watched.exchange("/slow");
        if !exchange["sockets"].is_null() {
            return is_read(&exchange);
        }
        assert!(attempt < 8, "the kernel is never asked");
    }
}

#[test]
fn python_s_event_loop_is_blocked() {
    if can(&[IP, SS, PYTHON]) {
        loop_is_blocked(python("server.py"));
    }
}

#[test]
fn node_s_event_loop_is_blocked() {
    if can(&[IP, SS, NODE]) {
        loop_is_blocked(node());
    }
}

#[test]
fn python_and_node_are_slow() {
    if can(&[IP, SS, PYTHON, NODE]) {
        handler_is_slow(python("server.py"));
        handler_is_slow(node());
    }
}

#[test]
fn go_s_pool_is_exhausted_and_go_is_slow() {
    let folder = TempDir::new().expect("a folder");
    let Some(server) = can(&[IP, SS]).then(|| go(&folder)).flatten() else {
        return;
    };
    let mut watched = Watched::start(server);
    let waiting = watched.waits(
        size,
        |watched, path| {
            let mut holder = watched.client();
            holder.send("/block");
            watched.holds();
            let mut client = watched.client();
            client.send(path);
            // It is there until the end: its socket is closed when its answer was read.
            thread::spawn(move || holder.receive());
            client
        },
        |watched, mut client| {
            watched.release();
            assert_eq!(client.receive(), 200);
        },
    );
    is_unread(&waiting);
    assert_eq!(waiting["sockets"]["accepted"], false, "{waiting:#}");
    assert_eq!(
        waiting["sockets"]["accept_queue"]["waiting"], 1,
        "{waiting:#}"
    );
    let said = waiting["explanation"].as_str().expect("a sentence");
    assert!(
        said.contains("had not even accepted the connection"),
        "{said}"
    );
    handler_is_slow(go(&folder).expect("it was there"));
}

#[test]
fn a_process_is_stopped() {
    if !can(&[IP, SS, PYTHON]) {
        return;
    }
    let mut watched = Watched::start(python("server.py"));
    let signal = |watched: &Watched, signal| {
        let id = Pid::from_raw(watched.server.id().cast_signed());
        kill(id, signal).expect("a server");
    };
    let stopped = watched.waits(
        size,
        |watched, path| {
            let mut client = watched.client();
            assert_eq!(client.get("/warm"), 200);
            signal(watched, Signal::SIGSTOP);
            client.send(path);
            client
        },
        |watched, mut client| {
            signal(watched, Signal::SIGCONT);
            assert_eq!(client.receive(), 200);
        },
    );
    is_unread(&stopped);
}

#[test]
fn an_accept_queue_is_full() {
    if !can(&[IP, SS, PYTHON]) {
        return;
    }
    let mut watched = Watched::start(python("full.py"));
    let waiting = [watched.client(), watched.client()];
    let turned_away = watched.netns.inside(|| {
        // As long as it takes for a second SYN and a little more.
        TcpStream::connect_timeout(&watched.address, Duration::from_millis(2_500))
    });
    assert!(turned_away.is_err());
    assert_eq!(watched.ss(None), Some((2, 1)));
    let lines = watched.end();
    let connection = lines
        .iter()
        .find(|line| line["verdict"] == "connect-timeout");
    let connection = connection.unwrap_or_else(|| panic!("{lines:#?}"));
    let queue = &connection["accept_queue"];
    assert_eq!((&queue["waiting"], &queue["most"]), (&2.into(), &1.into()));
    let said = connection["explanation"].as_str().expect("a sentence");
    assert!(said.contains("its accept queue was full"), "{said}");
    let capture = lines.iter().find(|line| line["type"] == "capture");
    let counted = &capture.expect("a line")["kernel"];
    assert!(counted["ListenOverflows"].as_u64() >= Some(1), "{counted}");
    drop(waiting);
}
