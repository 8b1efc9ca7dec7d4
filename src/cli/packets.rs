//! Options about packets, the same for a capture on this machine and in a cluster.

use super::bpf::{self, BadFilter};
use clap::Args;
use std::time::Duration;

/// Choice of packets.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The packets")]
pub(super) struct PacketArgs {
    /// Interface to capture on; repeatable [default: lo where a mesh's proxy is seen, else all]
    #[arg(short, long, value_name = "NAME")]
    pub(super) interface: Vec<String>,

    /// Capture only packets that match this libpcap expression, such as 'tcp port 8080'
    #[arg(long, value_name = "EXPRESSION")]
    pub(super) filter: Option<String>,

    /// End after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = meshsniff::time::parse_duration)]
    pub(super) duration: Option<Duration>,

    /// End after this many packets of each target
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,

    /// Bytes to keep of each packet [default: whole offloaded segments]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(54..=262_144))]
    pub(super) snaplen: Option<u32>,
}

impl PacketArgs {
    /// Whether any of these options was given.
    pub(super) const fn is_set(&self) -> bool {
        !self.interface.is_empty()
            || self.filter.is_some()
            || self.duration.is_some()
            || self.count.is_some()
            || self.snaplen.is_some()
    }

    /// Checks the filter, as far as that can be done here.
    ///
    /// # Errors
    /// If the filter does not compile.
    pub(super) fn check(&self) -> Result<(), BadFilter> {
        bpf::check(self.filter.as_deref())
    }

    /// Returns the agent's options for the same.
    pub(super) fn to_options(&self) -> Vec<String> {
        let mut options = Vec::new();
        let mut push = |option: &str, value: String| {
            options.push(option.to_owned());
            options.push(value);
        };
        for name in &self.interface {
            push("--interface", name.clone());
        }
        if let Some(filter) = &self.filter {
            push("--filter", filter.clone());
        }
        if let Some(time) = self.duration {
            push("--duration", format!("{}ms", time.as_millis().max(1)));
        }
        if let Some(count) = self.count {
            push("--count", count.to_string());
        }
        if let Some(bytes) = self.snaplen {
            push("--snaplen", bytes.to_string());
        }
        options
    }
}
