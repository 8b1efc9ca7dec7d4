//! The command line.

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand};
use meshsniff::assertion::Assertion;
use meshsniff::condition::Filter;
use meshsniff::time::parse_duration;
use meshsniff_contract::arguments::{MAX_SLOWEST, PARTS, SNAPLEN, command, option};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// [`SNAPLEN`] as clap has it.
const BYTES: RangeInclusive<i64> = *SNAPLEN.start() as i64..=*SNAPLEN.end() as i64;

/// Captures in a target's network namespace
#[derive(Debug, Parser)]
#[command(name = meshsniff_contract::AGENT, version, max_term_width = 110)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Capture packets and write them as pcapng
    #[command(name = command::CAPTURE)]
    Capture(CaptureArgs),
    /// Analyse packets as they come and write a report as JSON lines
    #[command(name = command::REPORT)]
    Report(ReportArgs),
    /// Wait for captures: the helper pod's main process
    #[command(name = command::HOLD)]
    Hold(HoldArgs),
}

/// Which network namespace.
#[derive(Clone, Debug, Args)]
#[group(id = "target", multiple = true)]
pub struct TargetArgs {
    /// The pod with this UID (of a static pod: its config hash), found by /proc/*/cgroup
    #[arg(long = option::POD_UID, value_name = "UID", conflicts_with_all = ["pid", "netns"])]
    pub pod_uid: Option<String>,
    /// The container with this id; with --pod-uid, which of the pod's containers to prefer
    #[arg(long = option::CONTAINER_ID, value_name = "ID", conflicts_with_all = ["pid", "netns"])]
    pub container_id: Option<String>,
    /// The id of a container that must be among the pod's
    #[arg(long = option::PROOF, value_name = "ID", requires = "pod_uid")]
    pub proof: Option<String>,
    /// The process with this id
    #[arg(long = option::PID, value_name = "PID", conflicts_with = "netns")]
    pub pid: Option<i32>,
    /// The network namespace at this path, such as /run/netns/NAME; without any of these: the
    /// agent's own
    #[arg(long = option::NETNS, value_name = "PATH")]
    pub netns: Option<PathBuf>,
    /// The node's own network; with --pod-uid, that of a pod which shares it. The ports by which
    /// what is captured leaves the node are left out
    #[arg(long = option::NODE, conflicts_with_all = ["pid", "netns"])]
    pub node: bool,
}

impl TargetArgs {
    /// Whether the node itself is the target, and not a pod in its network.
    #[must_use]
    pub const fn is_node(&self) -> bool {
        self.node && self.pod_uid.is_none() && self.container_id.is_none()
    }
}

/// Choice of packets, and the end of the capture.
#[derive(Clone, Debug, Args)]
pub struct LiveArgs {
    /// Which network namespace.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Interface to capture on; may be given several times. Default: lo beside a mesh's proxy,
    /// else all; of a node any
    #[arg(short, long = option::INTERFACE, value_name = "NAME")]
    pub interface: Vec<String>,
    /// Capture only what fits this expression, in libpcap's language, such as 'tcp port 8080'
    #[arg(short, long = option::FILTER, value_name = "EXPRESSION", default_value = "")]
    pub filter: String,
    /// Bytes of each packet to keep; the default keeps whole offloaded segments
    #[arg(short, long = option::SNAPLEN, value_name = "BYTES", default_value_t = *SNAPLEN.end())]
    #[arg(value_parser = clap::value_parser!(u32).range(BYTES))]
    pub snaplen: u32,
    /// Size of each interface's ring in the kernel, in KiB
    #[arg(short = 'B', long = option::BUFFER_SIZE, value_name = "KIB", default_value_t = 16 * 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(256..=1_048_576))]
    pub buffer_size: u32,
    /// Bytes that may wait for a slow reader, in KiB; packets beyond are given up and counted
    #[arg(long = option::QUEUE_SIZE, value_name = "KIB", default_value_t = 32 * 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    pub queue_size: u32,
    /// End after this many packets
    #[arg(short, long = option::COUNT, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after this time, such as 30s or 5m
    #[arg(long = option::DURATION, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Compress the output with zstd
    #[arg(long = option::COMPRESS)]
    pub compress: bool,
    /// End unless a line comes on standard input every so often, from the start. Without it: from
    /// the first line on, every 30s
    #[arg(long = option::HEARTBEAT, value_name = "TIME", value_parser = parse_duration)]
    pub heartbeat: Option<Duration>,
    /// How early the kernel ends it when memory runs short; 1000: before anything else of its
    /// container
    #[arg(long = option::OOM_SCORE_ADJ, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(i16).range(0..=1000))]
    pub oom_score_adj: Option<i16>,
}

/// `capture`.
#[derive(Clone, Debug, Args)]
pub struct CaptureArgs {
    /// What to capture.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Keep the heads of HTTP messages, and of other protocols how a connection got on: no bodies
    #[arg(long = option::HEADERS_ONLY)]
    pub headers_only: bool,
    /// Mask the values of these header fields, such as authorization,cookie
    #[arg(long = option::REDACT, value_name = "NAMES", value_delimiter = ',')]
    pub redact: Vec<String>,
    /// End after this many bytes of the stream, before they are compressed
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub size: Option<u64>,
    /// Write to this file, which must not exist yet; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub write: PathBuf,
}

/// `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// What to capture.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Send every exchange, not only those that did not go well and the slowest
    #[arg(long = option::ALL)]
    pub all: bool,
    /// How many of the slowest good exchanges to send
    #[arg(long = option::SLOWEST, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u16).range(..=i64::from(MAX_SLOWEST)))]
    pub slowest: u16,
    /// Take this TCP port for HTTP whatever its first bytes look like; may be given several times
    #[arg(long = option::PORT, value_name = "PORT")]
    pub port: Vec<u16>,
    /// Leave these parts out of every exchange: query, path, host, request-id
    #[arg(long = option::REDACT, value_name = "PARTS", value_delimiter = ',')]
    #[arg(value_parser = PARTS.map(|(name, what)| PossibleValue::new(name).help(what)))]
    pub redact: Vec<String>,
    /// Count health checks of the kubelet and the mesh like all other requests
    #[arg(long = option::PROBES)]
    pub probes: bool,
    /// Only exchanges that fit, such as 'method=GET path=/items* status=5xx'; given several times,
    /// all must fit
    #[arg(long = option::FILTER_HTTP, value_name = "TERMS", value_parser = Filter::parse)]
    pub filter_http: Vec<Filter>,
    /// Send every second what was aggregated since, for a live view (--relay)
    #[arg(long = option::WATCHED, requires = "relay")]
    pub watched: bool,
    /// Count what kubectl-meshsniff needs to evaluate this assertion (--relay)
    #[arg(long = option::FAIL_ON, value_name = "ASSERTION", value_parser = Assertion::parse)]
    #[arg(requires = "relay")]
    pub fail_on: Vec<Assertion>,
    /// Write lines for kubectl-meshsniff of the same version, which makes any report of them,
    /// instead of JSON for everybody
    #[arg(long = option::RELAY)]
    pub relay: bool,
}

/// `hold`.
#[derive(Clone, Debug, Args)]
pub struct HoldArgs {
    /// How long to wait for the first capture
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub first: Duration,
    /// How long to wait after the last one
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub after: Duration,
    /// How long to hold whatever happens
    #[arg(long, value_name = "TIME", default_value = "168h", value_parser = parse_duration)]
    pub at_most: Duration,
    /// How early the kernel ends it when memory runs short; 1000: before anything else of its
    /// container
    #[arg(long = option::OOM_SCORE_ADJ, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(i16).range(0..=1000))]
    pub oom_score_adj: Option<i16>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use meshsniff_contract::arguments::{self, Packets, Request, Target, Task, part};
    use meshsniff_contract::times::HEARTBEAT_WITHIN;

    fn read(arguments: Vec<String>) -> Command {
        let words = std::iter::once(meshsniff_contract::AGENT.to_owned()).chain(arguments);
        Cli::try_parse_from(words).unwrap().command
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn packets() -> Packets {
        Packets {
            interfaces: words(&["lo", "eth0"]),
            filter: Some("tcp port 80".to_owned()),
            duration: Some(Duration::from_millis(1_500)),
            count: Some(7),
            snaplen: Some(100),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_capture_is_read_as_the_plugin_asks_for_it() {
        let request = Request {
            task: Task::Capture(arguments::Capture {
                headers_only: true,
                redact: words(&["cookie", "authorization"]),
                compress: true,
            }),
            packets: packets(),
            target: Target {
                node: true,
                pod_uid: Some("u-1".to_owned()),
                container_id: Some("abc".to_owned()),
                proof: Some("def".to_owned()),
                pid: None,
            },
            guest: true,
        };
        let Command::Capture(capture) = read(request.arguments()) else {
            panic!("not a capture");
        };
        let live = capture.live;
        assert!(capture.headers_only && live.compress && live.target.node);
        assert_eq!(capture.redact, ["cookie", "authorization"]);
        assert_eq!((capture.size, capture.write), (None, PathBuf::from("-")));
        assert_eq!(live.interface, request.packets.interfaces);
        assert_eq!(Some(live.filter), request.packets.filter);
        assert_eq!(live.duration, request.packets.duration);
        assert_eq!(live.count, request.packets.count);
        assert_eq!(Some(live.snaplen), request.packets.snaplen);
        assert_eq!(live.heartbeat, Some(HEARTBEAT_WITHIN));
        assert_eq!((live.buffer_size, live.queue_size), (2_048, 8_192));
        assert_eq!(live.oom_score_adj, Some(1_000));
        assert_eq!(live.target.pod_uid, request.target.pod_uid);
        assert_eq!(live.target.container_id, request.target.container_id);
        assert_eq!(live.target.proof, request.target.proof);
        assert_eq!((live.target.pid, live.target.netns), (None, None));
    }

    #[test]
    fn a_report_is_read_as_the_plugin_asks_for_it() {
        let all = arguments::PARTS.map(|(name, _)| name);
        let report = arguments::Report {
            all: true,
            probes: true,
            slowest: u16::MAX,
            ports: vec![8080, 81],
            filters: words(&["method=GET status=5xx", "path=/a*"]),
            assertions: words(&["not-ok>1%", "total>1s where path=/a"]),
            watched: true,
            redact: words(&all),
        };
        let request = Request {
            task: Task::Report(report.clone()),
            packets: packets(),
            target: Target {
                pid: Some(7),
                ..Target::default()
            },
            guest: false,
        };
        let Command::Report(read) = read(request.arguments()) else {
            panic!("not a report");
        };
        assert!(read.relay && read.all && read.probes && read.watched);
        assert_eq!((read.slowest, read.port), (MAX_SLOWEST, report.ports));
        let filters = report
            .filters
            .iter()
            .map(|typed| Filter::parse(typed).unwrap());
        assert_eq!(read.filter_http, filters.collect::<Vec<_>>());
        let assertions = read.fail_on.iter().map(|one| one.as_str().to_owned());
        assert_eq!(assertions.collect::<Vec<_>>(), report.assertions);
        assert_eq!(read.redact, all);
        assert!(all.contains(&part::REQUEST_ID));
        assert_eq!(
            (read.live.target.pid, read.live.oom_score_adj),
            (Some(7), None)
        );
    }

    #[test]
    fn nothing_is_asked_for_that_was_not_meant() {
        let Command::Capture(plain) = read(Request::default().arguments()) else {
            panic!("not a capture");
        };
        let Command::Report(report) = read(
            Request {
                task: Task::Report(arguments::Report::default()),
                ..Request::default()
            }
            .arguments(),
        ) else {
            panic!("not a report");
        };
        assert!(!plain.headers_only && !plain.live.compress && !plain.live.target.node);
        assert!(!report.all && !report.probes && !report.watched);
        assert_eq!(plain.live.snaplen, *SNAPLEN.end());
        assert_eq!((plain.live.count, plain.live.duration), (None, None));
        assert_eq!((report.slowest, plain.redact.len()), (0, 0));
    }

    #[test]
    fn a_container_holds() {
        for (guest, score) in [(false, None), (true, Some(1_000))] {
            let Command::Hold(hold) = read(arguments::hold(guest)) else {
                panic!("not a hold");
            };
            assert_eq!(hold.oom_score_adj, score);
        }
    }
}
