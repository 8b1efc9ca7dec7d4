//! What can be asked of the agent.

use super::live::WHOLE;
use clap::{Args, Parser, Subcommand, ValueEnum};
use meshsniff::assertion::Assertion;
use meshsniff::condition::Filter;
use meshsniff::time::parse_duration;
use std::path::PathBuf;
use std::time::Duration;

/// Captures in a target's network namespace
#[derive(Debug, Parser)]
#[command(name = "meshsniff-agent", version, max_term_width = 110)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Capture packets and write them as pcapng
    Capture(CaptureArgs),
    /// Analyse packets as they come and write a report as JSON lines
    Report(ReportArgs),
    /// Wait for captures: what the helper pod's main process does
    Hold(HoldArgs),
}

/// Which network namespace.
#[derive(Clone, Debug, Args)]
#[group(id = "target", multiple = true)]
pub struct TargetArgs {
    /// The pod with this UID (of a static pod: its config hash), found by /proc/*/cgroup
    #[arg(long, value_name = "UID", conflicts_with_all = ["pid", "netns"])]
    pub pod_uid: Option<String>,
    /// The container with this id; with --pod-uid, which of the pod's containers to prefer
    #[arg(long, value_name = "ID", conflicts_with_all = ["pid", "netns"])]
    pub container_id: Option<String>,
    /// The process with this id
    #[arg(long, value_name = "PID", conflicts_with = "netns")]
    pub pid: Option<i32>,
    /// The network namespace at this path, such as /run/netns/NAME; without any of these: the agent's own
    #[arg(long, value_name = "PATH")]
    pub netns: Option<PathBuf>,
    /// The node's own network; with --pod-uid, that of a pod which shares it. The ports by which what is captured leaves the
    /// node are left out
    #[arg(long, conflicts_with_all = ["pid", "netns"])]
    pub node: bool,
}

impl TargetArgs {
    /// Whether the node itself is the target, and not a pod in its network.
    #[must_use]
    pub const fn is_node(&self) -> bool {
        self.node && self.pod_uid.is_none() && self.container_id.is_none()
    }
}

/// What to capture, and until when.
#[derive(Clone, Debug, Args)]
pub struct LiveArgs {
    /// Which network namespace.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Interface to capture on; may be given several times. Default: lo where a mesh's proxy is seen, else all; of a node any
    #[arg(short, long, value_name = "NAME")]
    pub interface: Vec<String>,
    /// Capture only what fits this expression, in libpcap's language, such as 'tcp port 8080'
    #[arg(short, long, value_name = "EXPRESSION", default_value = "")]
    pub filter: String,
    /// Bytes of each packet to keep; the default keeps whole offloaded segments
    #[arg(short, long, value_name = "BYTES", default_value_t = WHOLE, value_parser = clap::value_parser!(u32).range(54..=i64::from(WHOLE)))]
    pub snaplen: u32,
    /// Size of each interface's ring in the kernel, in KiB
    #[arg(short = 'B', long, value_name = "KIB", default_value_t = 16 * 1024, value_parser = clap::value_parser!(u32).range(256..=1_048_576))]
    pub buffer_size: u32,
    /// Bytes that may wait for a slow reader, in KiB; packets beyond are given up and counted
    #[arg(long, value_name = "KIB", default_value_t = 32 * 1024, value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    pub queue_size: u32,
    /// End after this many packets
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Pack the output with zstd
    #[arg(long)]
    pub compress: bool,
    /// End unless a line comes on standard input every so often, from the start. Without it: from the first line
    /// on, every 30s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub heartbeat: Option<Duration>,
    /// How early the kernel ends it when memory runs short; 1000: before anything else of its container
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(0..=1000))]
    pub oom_score_adj: Option<i16>,
}

/// `capture`.
#[derive(Clone, Debug, Args)]
pub struct CaptureArgs {
    /// What to capture.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Keep of TCP segments only the heads of HTTP/1 messages: no bodies, and nothing that is no HTTP
    #[arg(long)]
    pub headers_only: bool,
    /// Mask the values of these header fields, such as authorization,cookie
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub redact: Vec<String>,
    /// End after this many bytes of the stream, counted before they are packed
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
    #[arg(long)]
    pub all: bool,
    /// How many of the slowest good exchanges to send
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(..=1_000))]
    pub slowest: u16,
    /// Take this TCP port for HTTP whatever its first bytes look like; may be given several times
    #[arg(long, value_name = "PORT")]
    pub port: Vec<u16>,
    /// Leave these out of what is told of an exchange: query, path, host, request-id
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    pub redact: Vec<Part>,
    /// Count health checks of the kubelet and the mesh like all other requests
    #[arg(long)]
    pub probes: bool,
    /// Only exchanges that fit, such as 'method=GET path=/items* status=5xx'; given several times, all must fit
    #[arg(long, value_name = "TERMS", value_parser = Filter::parse)]
    pub filter_http: Vec<Filter>,
    /// Tell every second what was folded since, for those who watch (--relay)
    #[arg(long, requires = "relay")]
    pub watched: bool,
    /// Count what kubectl-meshsniff holds this against (--relay)
    #[arg(long, value_name = "ASSERTION", value_parser = Assertion::parse, requires = "relay")]
    pub fail_on: Vec<Assertion>,
    /// Write the lines that kubectl-meshsniff of the same version makes any report of, instead of JSON for everybody
    #[arg(long)]
    pub relay: bool,
}

/// What can be left out of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// What follows the ? of a request target.
    Query,
    /// The request target.
    Path,
    /// `Host`.
    Host,
    /// `x-request-id`.
    RequestId,
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
    /// How early the kernel ends it when memory runs short; 1000: before anything else of its container
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(0..=1000))]
    pub oom_score_adj: Option<i16>,
}
