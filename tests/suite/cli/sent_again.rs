//! `follow --curl`: what the command sends is what was captured, whatever bytes it holds. A shell
//! runs it, and a server on loopback writes down what comes.

use super::{capture, folder, good, run};
use crate::tools;
use meshsniff::testing::{End, Talk, write_pcap};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// A request as bytes, and as a server takes it apart.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    line: Vec<u8>,
    /// Names in lower case; sorted.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    fn parse(head: &[u8], body: Vec<u8>) -> Self {
        let head = head.strip_suffix(b"\r\n\r\n").expect("a whole head");
        let mut lines = split(head, b"\r\n").into_iter();
        let line = lines.next().expect("a request line").to_vec();
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for field in lines {
            if field[0] == b' ' || field[0] == b'\t' {
                let (_, value) = fields.last_mut().expect("a field to go on with");
                value.push(b' ');
                value.extend(field.trim_ascii());
                continue;
            }
            let colon = field.iter().position(|byte| *byte == b':');
            let (name, value) = field.split_at(colon.expect("a field"));
            fields.push((name.to_ascii_lowercase(), value[1..].trim_ascii().to_vec()));
        }
        fields.sort();
        Self { line, fields, body }
    }

    fn without(mut self, names: &[&str]) -> Self {
        let left = |name: &[u8]| names.iter().any(|one| one.as_bytes() == name);
        self.fields.retain(|(name, _)| !left(name));
        self
    }
}

fn split<'a>(mut bytes: &'a [u8], at: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(end) = find(bytes, at) {
        parts.push(&bytes[..end]);
        bytes = &bytes[end + at.len()..];
    }
    parts.push(bytes);
    parts
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|one| one == wanted)
}

/// The body that begins `rest`, once it is whole.
fn body(head: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
    let lower = head.to_ascii_lowercase();
    if find(&lower, b"transfer-encoding: chunked").is_some() {
        let (mut rest, mut body) = (rest, Vec::new());
        loop {
            let end = find(rest, b"\r\n")?;
            let size = std::str::from_utf8(&rest[..end]).expect("a size");
            let size = usize::from_str_radix(size, 16).expect("a size");
            let chunk = rest.get(end + 2..end + 2 + size)?;
            body.extend(chunk);
            rest = rest.get(end + 2 + size + 2..)?;
            if size == 0 {
                return Some(body);
            }
        }
    }
    let length = find(&lower, b"content-length: ").map_or(0, |at| {
        let digits = lower[at + 16..].split(|byte| *byte == b'\r').next();
        let digits = std::str::from_utf8(digits.expect("digits")).expect("digits");
        digits.parse().expect("a length")
    });
    rest.get(..length).map(<[u8]>::to_vec)
}

/// The command for what was said.
fn command(talk: &Talk, args: &[&str]) -> String {
    let folder = folder();
    let path = folder.path().join("talk.pcap");
    write_pcap(&path, talk.packets()).expect("a capture");
    let path = path.to_str().expect("a path");
    let run = run(&[&["follow", path, "--curl"], args].concat());
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{}", run.out);
    run.out
}

/// What a server gets that is asked by the command in this shell.
fn received(shell: &str, command: &str, server: &str) -> Request {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let here = listener.local_addr().expect("its address").to_string();
    let command = command
        .replace(
            &format!("--connect-to ::{server}"),
            &format!("--connect-to ::{here}"),
        )
        .replace(&format!("http://{server}"), &format!("http://{here}"));
    assert!(command.contains(&here), "{command}");
    let folder = folder();
    let asking = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("a time limit");
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let head = find(&bytes, b"\r\n\r\n").map(|end| bytes.split_at(end + 4));
            if let Some((head, rest)) = head
                && let Some(body) = body(head, rest)
            {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                stream.write_all(answer).expect("a reader");
                return Request::parse(head, body);
            }
            let count = stream.read(&mut buffer).expect("a request");
            assert!(count > 0, "curl left: {}", String::from_utf8_lossy(&bytes));
            bytes.extend(&buffer[..count]);
        }
    });
    let ran = Command::new(shell)
        .current_dir(folder.path())
        .args(["-c", &command])
        .env("HOME", folder.path())
        .env_remove("http_proxy")
        .env_remove("all_proxy")
        .stdin(Stdio::null())
        .output()
        .expect("the shell");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{shell}: {command}\n{said}");
    // Nothing in it was run, and nothing was written.
    assert_eq!(
        folder.path().read_dir().expect("a folder").count(),
        0,
        "{command}"
    );
    asking.join().expect("a request")
}

/// A talk in which the client sends these bytes and is answered.
fn asked(bytes: &[u8]) -> Talk {
    let mut talk = Talk::opened("again");
    for piece in bytes.chunks(1_000) {
        talk.say(End::Client, piece);
    }
    talk.ack(End::Server).wait(1.0);
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    talk.ack(End::Client);
    talk
}

fn shells() -> Vec<&'static str> {
    let has = |shell: &&str| {
        let mut command = Command::new(shell);
        let command = command.args(["-c", "true"]).stdin(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ["sh", "bash", "zsh"].into_iter().filter(has).collect()
}

/// Requests that must come as they were.
const SENT: [&[u8]; 22] = [
    b"GET /items?delay=2005 HTTP/1.1\r\nHost: catalog\r\nUser-Agent: shop/1\r\nAccept: */*\r\n\r\n",
    // Without what curl would add.
    b"GET / HTTP/1.1\r\nHost: catalog:3000\r\n\r\n",
    b"GET /a HTTP/1.0\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"DELETE /a HTTP/1.1\r\nHost: 10.1.2.3:8080\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://other.example/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
    // Hosts that a URL does not bring through.
    b"GET / HTTP/1.1\r\nHost: catalog:80\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: Catalog.Shop\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a'$(touch x)`touch y`\r\n\r\n",
    // Paths that a shell or curl would read otherwise.
    b"GET /it's/$HOME/$(touch${IFS}x)/;touch${IFS}y;\
      /../.././{1,2}/[3-4]/!!/%41/*?a=&b;#c HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a/%2e%2E/%2e/b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.\r\n\r\n",
    b"GET /it's/../a/./b?c=[1-2]&d={e,f}&$HOME HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET //double/@a HTTP/1.1\r\nHost: a\r\n\r\n",
    // Fields.
    b"GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\n\
      X-Quote: it's \"$HOME\" `touch x` !! \\ %s %% \\n\r\n\
      X-Dash: -o /tmp/x\r\nX-At: @/etc/passwd\r\nX-Tab: a\tb\r\nX-High: \xff\xfe\r\n\
      X-Utf: gr\xc3\xbc\xc3\x9fe \xe2\x80\xae\r\nX-A: 1\r\nX-A: 2\r\n-X-: y\r\n\r\n",
    // Bodies.
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
      Content-Length: 16\r\n\r\n{\"a\":\n \"it's\"}\n\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n@/etc/passwd",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\n-\0a\xff%s\\n'\"\x1b\r\n\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b",
    b"PATCH / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
      3\r\na=b\r\n2;x=y\r\n%%\r\n0\r\n\r\n",
];

#[test]
fn the_same_request_comes_again() {
    if !tools::need("curl", "curl") {
        return;
    }
    for (number, bytes) in SENT.iter().enumerate() {
        let talk = asked(bytes);
        let server = talk.exchange().server.to_string();
        let command = command(&talk, &["--exchange", "0"]);
        assert!(!command.contains("left out"), "{command}");
        let end = find(bytes, b"\r\n\r\n").expect("a head") + 4;
        let (head, rest) = bytes.split_at(end);
        let rest: Vec<u8> = match find(rest, b"2;x=y") {
            Some(_) => b"a=b%%".to_vec(),
            None => rest.to_vec(),
        };
        for shell in shells() {
            let received = received(shell, &command, &server);
            let sent = Request::parse(head, rest.clone());
            assert_eq!(received, sent, "{shell} {number}: {command}");
        }
    }
}

#[test]
fn credentials_are_named_and_left_out() {
    let bytes = b"GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\r\n top-secret\r\n\
        Cookie: top-secret\r\nX-Own: top-secret\r\nX-B: seen\r\n\r\n";
    let talk = asked(bytes);
    let command_line = command(&talk, &["--exchange", "0", "--redact", "x-own"]);
    assert!(!command_line.contains("top-secret"), "{command_line}");
    assert!(command_line.contains("X-B: seen"), "{command_line}");
    let said = "# left out as secret: authorization, cookie, x-own\n";
    assert!(command_line.contains(said), "{command_line}");
    let all = command(&talk, &["--exchange", "0", "--show-secrets"]);
    assert_eq!(all.matches("top-secret").count(), 3, "{all}");
    if tools::need("curl", "curl") {
        let server = talk.exchange().server.to_string();
        let sent = Request::parse(bytes, Vec::new());
        let sent = sent.without(&["authorization", "cookie", "x-own"]);
        assert_eq!(received("sh", &command_line, &server), sent);
        let sent = Request::parse(bytes, Vec::new());
        assert_eq!(received("sh", &all, &server), sent);
    }
    let signed = asked(b"GET /a?b=c&sig=top-secret HTTP/1.1\r\nHost: a\r\n\r\n");
    let masked = command(&signed, &["--exchange", "0"]);
    assert!(
        masked.contains("# left out as secret, of the query: sig\n"),
        "{masked}"
    );
    assert!(masked.contains("?b=c&sig=redacted"), "{masked}");
    let whole = command(&signed, &["--exchange", "0", "--show-secrets"]);
    assert!(whole.contains("?b=c&sig=top-secret"), "{whole}");
    let hidden = command(&talk, &["--exchange", "0", "--redact", "host"]);
    assert!(hidden.contains("left out as secret: host"), "{hidden}");
    assert!(!hidden.contains("--connect-to"), "{hidden}");
}

#[test]
fn of_pipelined_requests_the_one_that_was_asked_for() {
    let bytes = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n\
        GET /second HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n";
    let mut talk = asked(bytes);
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    talk.ack(End::Client);
    let first = command(&talk, &["--exchange", "0"]);
    assert!(
        first.contains("/first") && !first.contains("X-A"),
        "{first}"
    );
    let second = command(&talk, &["--exchange", "1"]);
    assert!(
        second.contains("/second") && second.contains("X-A"),
        "{second}"
    );
}

#[test]
fn brackets_of_an_address_are_no_pattern() {
    let path = capture("ipv6.pcap");
    let path = path.to_str().expect("a path");
    let out = good(run(&["follow", path, "--exchange", "0", "--curl"]));
    let quoted = out.contains("--connect-to '::[::1]:") || out.contains("--url 'http://[::1]:");
    assert!(quoted, "{out}");
}

#[test]
fn what_cannot_be_sent_again_is_said() {
    let mut long = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n".to_vec();
    long.resize(long.len() + 9_000, b'a');
    let odd = b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n@file: x\r\n\r\n";
    for (bytes, said) in [
        (
            &long[..],
            "# left out: the body of 9.0 kB, which is too long for a command\n",
        ),
        (
            odd,
            "# left out: 2 lines of the head that curl cannot send\n",
        ),
    ] {
        let command = command(&asked(bytes), &["--exchange", "0"]);
        assert!(command.contains(said), "{command}");
        assert!(!command.contains("Content-Length"), "{command}");
    }
    let mut talk = Talk::opened("hole");
    talk.say(
        End::Client,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
    );
    talk.uncaptured(End::Client, 3);
    talk.say(End::Client, b"ghi").ack(End::Server);
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    talk.ack(End::Client);
    let cut = command(&talk, &["--exchange", "0"]);
    let said = "the body of 9 bytes, which the capture does not have as a whole\n";
    assert!(cut.contains(said) && !cut.contains("--data"), "{cut}");
    let mut talk = Talk::opened("cut-head");
    talk.say(End::Client, b"GET /a HTTP/1.1\r\nHost: a\r\nX-A: ");
    talk.uncaptured(End::Client, 10);
    talk.say(End::Client, b"b\r\n\r\n").ack(End::Server);
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    talk.ack(End::Client);
    let cut = command(&talk, &["--exchange", "0"]);
    assert!(cut.contains("# left out: the rest of the head"), "{cut}");
}

#[test]
fn the_callers_time_is_the_limit() {
    let mut talk = Talk::opened("limit");
    let ask = b"GET /a HTTP/1.1\r\nHost: a\r\nx-envoy-expected-rq-timeout-ms: 1500\r\n\r\n";
    talk.say(End::Client, ask).ack(End::Server).wait(1_500.0);
    talk.fin(End::Client).ack(End::Server);
    let announced = command(&talk, &["--exchange", "0"]);
    assert!(announced.contains("--max-time 1.5\n"), "{announced}");
    assert!(
        announced.starts_with("# exchange 0: client-gave-up\n"),
        "{announced}"
    );
    let mut talk = Talk::opened("measured");
    talk.say(End::Client, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        .ack(End::Server);
    talk.wait(777.0).fin(End::Client).ack(End::Server);
    let measured = command(&talk, &["--exchange", "0"]);
    assert!(measured.contains("--max-time 0.77"), "{measured}");
}
