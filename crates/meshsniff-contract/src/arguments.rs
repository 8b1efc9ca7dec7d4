//! The agent's command line: what the plugin asks for, and the words that say it.
//!
//! The agent defines its commands and options by the names here, and has a test that reads every
//! word of a [`Request`].

use crate::times::HEARTBEAT_WITHIN;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The agent's commands.
pub mod command {
    /// Captures packets and writes them as pcapng.
    pub const CAPTURE: &str = "capture";
    /// Analyses packets as they come and writes a report as lines.
    pub const REPORT: &str = "report";
    /// Waits for captures: the main process of a container.
    pub const HOLD: &str = "hold";
}

/// The agent's options that the plugin uses, without their hyphens.
#[allow(missing_docs, reason = "the agent's help has a sentence for each")]
pub mod option {
    pub const POD_UID: &str = "pod-uid";
    pub const CONTAINER_ID: &str = "container-id";
    pub const PROOF: &str = "proof";
    pub const PID: &str = "pid";
    pub const NETNS: &str = "netns";
    pub const NODE: &str = "node";
    pub const INTERFACE: &str = "interface";
    pub const FILTER: &str = "filter";
    pub const SNAPLEN: &str = "snaplen";
    pub const BUFFER_SIZE: &str = "buffer-size";
    pub const QUEUE_SIZE: &str = "queue-size";
    pub const COUNT: &str = "count";
    pub const DURATION: &str = "duration";
    pub const COMPRESS: &str = "compress";
    pub const HEARTBEAT: &str = "heartbeat";
    pub const OOM_SCORE_ADJ: &str = "oom-score-adj";
    pub const HEADERS_ONLY: &str = "headers-only";
    pub const REDACT: &str = "redact";
    pub const ALL: &str = "all";
    pub const SLOWEST: &str = "slowest";
    pub const PORT: &str = "port";
    pub const PROBES: &str = "probes";
    pub const FILTER_HTTP: &str = "filter-http";
    pub const WATCHED: &str = "watched";
    pub const FAIL_ON: &str = "fail-on";
    pub const RELAY: &str = "relay";
}

/// Bytes of a packet that may be kept: from the headers of TCP over IPv4 on Ethernet to a whole
/// offloaded segment, IPv6 jumbograms included.
pub const SNAPLEN: RangeInclusive<u32> = 54..=256 << 10;

/// Slowest good exchanges that the agent sends at most.
pub const MAX_SLOWEST: u16 = 1_000;

/// The parts of a report that [`Report::redact`] can leave out, and what they are.
pub const PARTS: [(&str, &str); 4] = [
    (part::QUERY, "What follows the ? of a request target"),
    (part::PATH, "The request target"),
    (part::HOST, "`Host`"),
    (part::REQUEST_ID, "`x-request-id`, and the trace"),
];

/// The names of [`PARTS`].
#[allow(missing_docs, reason = "they stand beside the names, in PARTS")]
pub mod part {
    pub const QUERY: &str = "query";
    pub const PATH: &str = "path";
    pub const HOST: &str = "host";
    pub const REQUEST_ID: &str = "request-id";
}

/// A capture or a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What to do with the packets.
    pub task: Task,
    /// Which packets.
    pub packets: Packets,
    /// Whose.
    pub target: Target,
    /// Whether the agent's memory is the target's: then it takes little, and is ended first.
    pub guest: bool,
}

/// What to do with packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Send them.
    Capture(Capture),
    /// Analyse them, and send the report.
    Report(Report),
}

impl Default for Task {
    fn default() -> Self {
        Self::Capture(Capture::default())
    }
}

/// What of the packets leaves the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Only the heads of HTTP messages.
    pub headers_only: bool,
    /// Header fields whose values are masked.
    pub redact: Vec<String>,
    /// Compressed with zstd.
    pub compress: bool,
}

/// What of a report leaves the node, in the lines of the relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every exchange.
    pub all: bool,
    /// Health checks like all other requests.
    pub probes: bool,
    /// How many of the slowest good exchanges.
    pub slowest: u16,
    /// TCP ports that are HTTP's whatever their first bytes look like.
    pub ports: Vec<u16>,
    /// Only exchanges that fit all of these.
    pub filters: Vec<String>,
    /// Counts for these assertions.
    pub assertions: Vec<String>,
    /// What was aggregated, every second.
    pub watched: bool,
    /// Names of [`PARTS`] that are left out.
    pub redact: Vec<String>,
}

/// Which packets, and until when. What is not set is left to the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// The interfaces.
    pub interfaces: Vec<String>,
    /// An expression of libpcap's.
    pub filter: Option<String>,
    /// For how long.
    pub duration: Option<Duration>,
    /// How many packets.
    pub count: Option<u64>,
    /// Bytes of each packet, within [`SNAPLEN`].
    pub snaplen: Option<u32>,
}

/// Whose network. Without any of these it is the agent's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The node's; with a pod, that of a pod which shares it.
    pub node: bool,
    /// The pod with this UID, or of a static pod with this configuration's hash.
    pub pod_uid: Option<String>,
    /// The container with this id; with a pod, the one to prefer.
    pub container_id: Option<String>,
    /// A container that must be among the pod's, by its id: what else is said of the pod may be
    /// anybody's word.
    pub proof: Option<String>,
    /// The process with this id.
    pub pid: Option<i32>,
}

/// Words of a command line.
struct Words(Vec<String>);

impl Words {
    fn flag(&mut self, option: &str, is_set: bool) {
        self.0.extend(is_set.then(|| dashed(option)));
    }

    /// The option with each of the values; without any it is not there.
    fn values<V: ToString>(&mut self, option: &str, values: impl IntoIterator<Item = V>) {
        for value in values {
            self.0.extend([dashed(option), value.to_string()]);
        }
    }

    /// The option with all of the values in one.
    fn list(&mut self, option: &str, values: &[String]) {
        self.values(option, (!values.is_empty()).then(|| values.join(",")));
    }
}

/// An option as it is typed.
#[must_use]
pub fn dashed(option: &str) -> String {
    format!("--{option}")
}

impl Request {
    /// The agent's arguments: its command and its options.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut words = Words(Vec::new());
        match &self.task {
            Task::Capture(capture) => {
                words.0.push(command::CAPTURE.to_owned());
                words.flag(option::HEADERS_ONLY, capture.headers_only);
                words.list(option::REDACT, &capture.redact);
                words.flag(option::COMPRESS, capture.compress);
            }
            Task::Report(report) => {
                words.0.push(command::REPORT.to_owned());
                words.flag(option::RELAY, true);
                words.flag(option::ALL, report.all);
                words.flag(option::PROBES, report.probes);
                words.values(option::SLOWEST, [report.slowest.min(MAX_SLOWEST)]);
                words.values(option::PORT, &report.ports);
                words.values(option::FILTER_HTTP, &report.filters);
                words.values(option::FAIL_ON, &report.assertions);
                words.flag(option::WATCHED, report.watched);
                words.list(option::REDACT, &report.redact);
            }
        }
        let packets = &self.packets;
        words.values(option::INTERFACE, &packets.interfaces);
        words.values(option::FILTER, &packets.filter);
        let milliseconds = |time: Duration| format!("{}ms", time.as_millis().max(1));
        words.values(option::DURATION, packets.duration.map(milliseconds));
        words.values(option::COUNT, packets.count);
        words.values(option::SNAPLEN, packets.snaplen);
        let seconds = format!("{}s", HEARTBEAT_WITHIN.as_secs());
        words.values(option::HEARTBEAT, [seconds]);
        words.flag(option::NODE, self.target.node);
        words.values(option::POD_UID, &self.target.pod_uid);
        words.values(option::CONTAINER_ID, &self.target.container_id);
        words.values(option::PROOF, &self.target.proof);
        words.values(option::PID, self.target.pid);
        if self.guest {
            words.values(option::BUFFER_SIZE, [2_048]);
            words.values(option::QUEUE_SIZE, [8_192]);
            ended_first(&mut words);
        }
        words.0
    }
}

/// The arguments of a container's main process; `guest` as in [`Request::guest`].
#[must_use]
pub fn hold(guest: bool) -> Vec<String> {
    let mut words = Words(vec![command::HOLD.to_owned()]);
    if guest {
        ended_first(&mut words);
    }
    words.0
}

/// When memory runs short, before anything else of its container.
fn ended_first(words: &mut Words) {
    words.values(option::OOM_SCORE_ADJ, [1_000]);
}
