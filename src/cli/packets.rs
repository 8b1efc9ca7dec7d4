//! Options about packets, the same for a capture on this machine and in a cluster.

use super::bpf::{self, BadFilter};
use clap::Args;
use meshsniff_contract::arguments::{Packets, SNAPLEN};
use std::ops::RangeInclusive;
use std::time::Duration;

/// [`SNAPLEN`] as clap has it.
const BYTES: RangeInclusive<i64> = *SNAPLEN.start() as i64..=*SNAPLEN.end() as i64;

/// Choice of packets.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The packets")]
pub(super) struct PacketArgs {
    /// Interface to capture on; repeatable [default: lo beside a mesh's proxy, else all]
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
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(BYTES))]
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

    /// Returns the same for the agent.
    pub(super) fn packets(&self) -> Packets {
        Packets {
            interfaces: self.interface.clone(),
            filter: self.filter.clone(),
            duration: self.duration,
            count: self.count,
            snaplen: self.snaplen,
        }
    }
}
