//! Runs tshark over a capture file and reads what it says.
//!
//! Nothing here knows what our analyser says. A user's own preferences are kept out, so that the
//! answer depends on the program and the file alone.

use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

/// Ports of the captures that carry HTTP and that tshark does not know as such. Told so, it reads a
/// message head in several segments too; left to guess, it would not.
const HTTP_PORTS: [&str; 4] = ["3000-3001", "8081", "15020-15021", "15090"];

/// Bytes put in order before they are read, and messages shown in the frame that completes them:
/// our `request_end` and `response_end`.
const PREFERENCES: [&str; 5] = [
    "tcp.desegment_tcp_streams:TRUE",
    "tcp.reassemble_out_of_order:TRUE",
    "tcp.analyze_sequence_numbers:TRUE",
    "http.desegment_headers:TRUE",
    "http.desegment_body:TRUE",
];

/// A TCP segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub frame: u64,
    /// Nanoseconds since the epoch.
    pub nanos: i64,
    pub stream: u64,
    pub src: SocketAddr,
    pub dst: SocketAddr,
    /// Its first and the one after its last sequence number; SYN and FIN have one each.
    pub seq: u32,
    pub next: u32,
    pub fin: bool,
    /// Called a retransmission of any kind: plain, fast or spurious.
    pub retransmission: bool,
    pub out_of_order: bool,
    pub keep_alive: bool,
    pub messages: Vec<Message>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Request { method: String, path: String },
    Response { status: u16 },
}

/// A message, in the frame that tshark shows it in.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub frame: u64,
    pub from: SocketAddr,
    pub head: Head,
    /// The frame of the request it answers, or of the answer to it.
    pub other: Option<u64>,
    /// `http.time`: nanoseconds since that request.
    pub nanos: Option<i64>,
}

/// The TCP segments of a capture file, read by a tshark that was told which ports carry HTTP.
pub(crate) fn segments(capture: &Path) -> Vec<Segment> {
    run(capture, &HTTP_PORTS)
}

/// The same, but tshark knows only the ports that it knows by itself.
pub(crate) fn segments_untold(capture: &Path) -> Vec<Segment> {
    run(capture, &[])
}

fn run(capture: &Path, http_ports: &[&str]) -> Vec<Segment> {
    let mut command = Command::new("tshark");
    // Two passes, so that a request's line names its answer, too.
    command.args(["-n", "-2", "-T", "json", "--no-duplicate-keys"]);
    for preference in PREFERENCES {
        command.args(["-o", preference]);
    }
    for port in http_ports {
        command.args(["-d", &format!("tcp.port=={port},http")]);
    }
    let output = command
        .arg("-r")
        .arg(capture)
        .env("WIRESHARK_CONFIG_DIR", env!("CARGO_TARGET_TMPDIR"))
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .expect("tshark runs");
    assert!(
        output.status.success(),
        "tshark on {}: {}\n{}",
        capture.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let packets: Vec<Value> =
        serde_json::from_slice(&output.stdout).expect("tshark writes JSON with -T json");
    packets.iter().filter_map(segment).collect()
}

fn segment(packet: &Value) -> Option<Segment> {
    let layers = &packet["_source"]["layers"];
    let tcp = layers.get("tcp")?;
    let frame = number(&layers["frame"], "frame.number");
    let ip = |field: &str| -> IpAddr {
        let v4 = text(&layers["ip"], &format!("ip.{field}"));
        let address = v4.or_else(|| text(&layers["ipv6"], &format!("ipv6.{field}")));
        address.expect("an address").parse().expect("an IP address")
    };
    let src = SocketAddr::new(ip("src"), number(tcp, "tcp.srcport") as u16);
    let flags = &tcp["tcp.flags_tree"];
    let is_set = |flag: &str| text(flags, flag).is_some_and(|value| value == "1");
    let fin = is_set("tcp.flags.fin");
    let numbered = u32::from(is_set("tcp.flags.syn")) + u32::from(fin);
    let seq = number(tcp, "tcp.seq_raw") as u32;
    let has = |name: &str| find(&tcp["tcp.analysis"], &format!("tcp.analysis.{name}")).is_some();
    Some(Segment {
        frame,
        nanos: nanos(text(&layers["frame"], "frame.time_epoch").expect("a time")),
        stream: number(tcp, "tcp.stream"),
        src,
        dst: SocketAddr::new(ip("dst"), number(tcp, "tcp.dstport") as u16),
        seq,
        next: seq.wrapping_add(number(tcp, "tcp.len") as u32 + numbered),
        fin,
        retransmission: has("retransmission")
            || has("fast_retransmission")
            || has("spurious_retransmission"),
        out_of_order: has("out_of_order"),
        keep_alive: has("keep_alive"),
        messages: messages(frame, src, layers.get("http")),
    })
}

/// The messages of a frame. What tshark calls a continuation has neither a method nor a status and
/// is none.
fn messages(frame: u64, from: SocketAddr, http: Option<&Value>) -> Vec<Message> {
    let layers = match http {
        Some(Value::Array(several)) => several.iter().collect(),
        Some(one) => vec![one],
        None => vec![],
    };
    let message = |http: &Value| {
        let method = find(http, "http.request.method");
        let status = find(http, "http.response.code");
        let (head, other) = match (method, status) {
            (Some(method), _) => {
                let method = method.to_owned();
                let path = find(http, "http.request.uri")
                    .unwrap_or_default()
                    .to_owned();
                (Head::Request { method, path }, "http.response_in")
            }
            (None, Some(status)) => {
                let status = status.parse().expect("a status");
                (Head::Response { status }, "http.request_in")
            }
            (None, None) => return None,
        };
        Some(Message {
            frame,
            from,
            head,
            other: text(http, other).map(|frame| frame.parse().expect("a frame number")),
            nanos: text(http, "http.time").map(nanos),
        })
    };
    layers.into_iter().filter_map(message).collect()
}

/// A field at any depth: the names of the objects between are the message's own first line.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    match value {
        Value::Object(fields) => {
            text(value, name).or_else(|| fields.values().find_map(|field| find(field, name)))
        }
        Value::Array(values) => values.iter().find_map(|value| find(value, name)),
        _ => None,
    }
}

fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

fn number(object: &Value, name: &str) -> u64 {
    let text = text(object, name).unwrap_or_else(|| panic!("tshark says no {name}: {object}"));
    text.parse().unwrap_or_else(|_| panic!("{name}: {text}"))
}

/// Nanoseconds of seconds with nine decimals.
fn nanos(seconds: &str) -> i64 {
    let (whole, decimals) = seconds.split_once('.').expect("decimals");
    assert_eq!(decimals.len(), 9, "nine decimals: {seconds}");
    let magnitude = |text: &str| text.parse::<i64>().expect("digits");
    let nanos = magnitude(whole.trim_start_matches('-')) * 1_000_000_000 + magnitude(decimals);
    if whole.starts_with('-') {
        -nanos
    } else {
        nanos
    }
}
