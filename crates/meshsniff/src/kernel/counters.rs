//! What a kernel counts of a network namespace, from `/proc/net/netstat` and `/proc/net/snmp`.

use serde::{Deserialize, Serialize};

/// A counter that says why connections die, and what it says in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The group of lines in which it stands.
    pub group: &'static str,
    /// Its name there, which is its name in reports, too.
    pub name: &'static str,
    /// What it counts.
    pub words: &'static str,
    /// Whether each of them harmed somebody.
    pub is_bad: bool,
}

const fn counter(group: &'static str, name: &'static str, words: &'static str) -> Counter {
    Counter {
        group,
        name,
        words,
        is_bad: false,
    }
}

const fn bad(group: &'static str, name: &'static str, words: &'static str) -> Counter {
    Counter {
        is_bad: true,
        ..counter(group, name, words)
    }
}

/// The counters that are told, in their order.
const COUNTERS: [Counter; 11] = [
    bad(
        "TcpExt",
        "ListenOverflows",
        "connections that a full accept queue turned away",
    ),
    counter(
        "TcpExt",
        "ListenDrops",
        "SYNs that were dropped at a listening socket, for this or another reason",
    ),
    bad(
        "TcpExt",
        "TCPReqQFullDrop",
        "SYNs that a full queue of half-open connections dropped",
    ),
    counter(
        "TcpExt",
        "TCPTimeouts",
        "times that a segment was not acknowledged in time",
    ),
    counter(
        "TcpExt",
        "TCPSynRetrans",
        "SYNs and answers to them that were sent again",
    ),
    bad(
        "TcpExt",
        "TCPAbortOnTimeout",
        "connections that were given up because nobody acknowledged",
    ),
    bad(
        "TcpExt",
        "TCPBacklogDrop",
        "segments that were dropped because a program kept its socket busy",
    ),
    bad(
        "TcpExt",
        "TCPRcvQDrop",
        "segments that were dropped because a receive queue was full",
    ),
    bad(
        "TcpExt",
        "TCPAbortOnMemory",
        "connections that were given up for want of memory",
    ),
    counter(
        "Icmp",
        "InDestUnreachs",
        "ICMP messages that something is unreachable, or that a packet was too large for the path",
    ),
    counter(
        "Icmp6",
        "Icmp6InPktTooBigs",
        "ICMPv6 messages that a packet was too large for the path",
    ),
];

/// How far the counters of a network namespace got, or how much further than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters([u64; COUNTERS.len()]);

impl Counters {
    /// Reads them from what the files `netstat`, `snmp` and `snmp6` of `/proc/net` hold, one behind
    /// the other. What a kernel does not count is 0.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut counters = Self::default();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some((group, names)) = line.split_once(": ") else {
                // `Icmp6InPktTooBigs     3`
                let mut words = line.split_whitespace();
                if let (Some(name), Some(value)) = (words.next(), words.next()) {
                    counters.set("Icmp6", name, value);
                }
                continue;
            };
            // `TcpExt: ListenOverflows …` and below it `TcpExt: 3 …`
            let values = lines.peek().and_then(|next| next.split_once(": "));
            if let Some((_, values)) = values.filter(|(of, _)| *of == group) {
                let both = names.split_whitespace().zip(values.split_whitespace());
                for (name, value) in both {
                    counters.set(group, name, value);
                }
                lines.next();
            }
        }
        counters
    }

    fn set(&mut self, group: &str, name: &str, value: &str) {
        let of = |counter: &Counter| counter.group == group && counter.name == name;
        if let Some(index) = COUNTERS.iter().position(of)
            // Some of them are printed as if they could be negative.
            && let Ok(value) = value.parse()
        {
            self.0[index] = value;
        }
    }

    /// How much further they are than they were `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut more = *self;
        for (more, before) in more.0.iter_mut().zip(before.0) {
            *more = more.saturating_sub(before);
        }
        more
    }

    /// Adds those of another network namespace.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(more);
        }
    }

    /// Those that are not 0.
    pub fn counted(&self) -> impl Iterator<Item = (&'static Counter, u64)> + Clone {
        let counted = COUNTERS.iter().zip(self.0);
        counted.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_group_and_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 7 3 4\n\
                    IpExt: ListenOverflows\nIpExt: 9\n\
                    Icmp: InMsgs InDestUnreachs\nIcmp: 1 -1\n\
                    Icmp6InPktTooBigs               \t2\nTcpExt: ListenOverflows\n";
        let counters = Counters::read(text);
        let told: Vec<_> = counters.counted().map(|(one, n)| (one.name, n)).collect();
        let expected = [
            ("ListenOverflows", 3),
            ("ListenDrops", 4),
            ("Icmp6InPktTooBigs", 2),
        ];
        assert_eq!(told, expected);
        let mut later = counters;
        later.add(&counters);
        assert_eq!(later.since(&counters), counters);
        assert_eq!(counters.since(&later), Counters::default());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_kernel_counts_what_is_told() {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/net/{name}"));
        let text = [read("netstat").unwrap(), read("snmp").unwrap()].concat();
        for counter in &COUNTERS[..10] {
            assert!(text.contains(counter.name), "{counter:?}");
        }
    }
}
