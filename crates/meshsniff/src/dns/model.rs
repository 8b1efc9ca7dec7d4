//! The figures of DNS: of one flow, and of a whole capture.

use crate::time::Span;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// What carried the messages of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// A connection.
    Tcp,
}

impl Transport {
    /// The name used in every report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// NOERROR.
pub(super) const NO_ERROR: u8 = 0;
/// NXDOMAIN.
pub(super) const NO_SUCH_NAME: u8 = 3;

/// The queries of one client's port to one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// What carried them.
    pub transport: Transport,
    /// Queries, with those that were sent again.
    pub queries: u64,
    /// Queries that were sent again.
    pub repeated: u64,
    /// Queries that had no answer until they were sent again, or at all.
    pub unanswered: u64,
    /// Answers that were no success.
    pub failed: u64,
    /// Those answers, by name, type and code: the first [`Dns::MAX_FAILURES`].
    pub failures: Vec<Failure>,
    /// Names that were asked for: the first [`Dns::MAX_NAMES`].
    pub names: Vec<CompactString>,
    /// The longest time from a query's first sending to its answer.
    pub slowest: Option<Span>,
    /// The name that took it.
    pub slowest_name: Option<CompactString>,
}

/// A name that could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The name.
    pub name: CompactString,
    /// The type that was asked for, by its number.
    pub kind: u16,
    /// The response code, by its number.
    pub code: u8,
    /// How often.
    pub count: u64,
}

impl Failure {
    /// Whether the server failed. A name that does not exist is no failure: a search through domains
    /// asks for many.
    #[must_use]
    pub const fn is_of_server(&self) -> bool {
        self.code != NO_SUCH_NAME
    }
}

impl Dns {
    /// Failures kept of a flow.
    pub const MAX_FAILURES: usize = 16;
    /// Names kept of a flow.
    pub const MAX_NAMES: usize = 16;

    /// An answer that comes this late makes somebody wait.
    pub const SLOW: Span = Span::from_millis(100);

    /// Whether somebody waited, or a server failed.
    #[must_use]
    pub fn is_notable(&self) -> bool {
        let slow = self.slowest.is_some_and(|slowest| slowest >= Self::SLOW);
        self.unanswered > 0 || slow || self.failures.iter().any(Failure::is_of_server)
    }

    /// Whether every query had an answer in time, and a good one.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.failed == 0 && !self.is_notable()
    }

    /// Replaces every name.
    pub fn mask_names(&mut self, mask: &str) {
        let failures = self.failures.iter_mut().map(|failure| &mut failure.name);
        for name in failures
            .chain(&mut self.names)
            .chain(&mut self.slowest_name)
        {
            *name = mask.into();
        }
    }

    pub(super) fn asked(&mut self, name: CompactString) {
        self.queries += 1;
        if self.names.len() < Self::MAX_NAMES && !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    pub(super) fn answered(&mut self, name: &CompactString, kind: u16, code: u8, took: Span) {
        if self.slowest.is_none_or(|slowest| took > slowest) {
            self.slowest = Some(took);
            self.slowest_name = Some(name.clone());
        }
        if code == 0 {
            return;
        }
        self.failed += 1;
        let mut known = self.failures.iter_mut();
        let same = |one: &&mut Failure| one.name == *name && one.kind == kind && one.code == code;
        if let Some(known) = known.find(same) {
            known.count += 1;
        } else if self.failures.len() < Self::MAX_FAILURES {
            self.failures.push(Failure {
                name: name.clone(),
                kind,
                code,
                count: 1,
            });
        }
    }
}

/// The figures of all flows of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsTotals {
    /// Queries, with those that were sent again.
    pub queries: u64,
    /// Queries that were sent again.
    pub repeated: u64,
    /// Queries that had no answer until they were sent again, or at all.
    pub unanswered: u64,
    /// Answers that were no success.
    pub failed: u64,
    /// Lookups that found their name only after others, as search domains have it.
    pub searches: u64,
    /// Names that those lookups asked for in vain.
    pub misses: u64,
    /// The time that this took, in nanoseconds.
    pub search_nanos: u64,
    /// The longest time from a query's first sending to its answer.
    pub slowest: Option<Span>,
    /// The name that took it.
    pub slowest_name: Option<CompactString>,
    /// A name that could not be looked up: the first one.
    pub failure: Option<Failure>,
}

impl DnsTotals {
    /// Takes over what is no count of another capture's.
    pub(crate) fn add_names(&mut self, other: &Self) {
        if other.slowest > self.slowest {
            self.slowest = other.slowest;
            self.slowest_name.clone_from(&other.slowest_name);
        }
        if self.failure.is_none() {
            self.failure.clone_from(&other.failure);
        }
    }

    /// Replaces every name.
    pub fn mask_names(&mut self, mask: &str) {
        let failure = self.failure.iter_mut().map(|failure| &mut failure.name);
        for name in failure.chain(&mut self.slowest_name) {
            *name = mask.into();
        }
    }

    /// Adds a flow.
    pub fn flow(&mut self, flow: &Dns) {
        self.queries += flow.queries;
        self.repeated += flow.repeated;
        self.unanswered += flow.unanswered;
        self.failed += flow.failed;
        if flow.slowest > self.slowest {
            self.slowest = flow.slowest;
            self.slowest_name.clone_from(&flow.slowest_name);
        }
        if self.failure.is_none() {
            self.failure = flow.failures.first().cloned();
        }
    }

    /// The time that names of search domains took.
    #[must_use]
    pub const fn search_time(&self) -> Span {
        Span::from_nanos(self.search_nanos as i64)
    }

    /// All that are counts.
    pub(crate) fn counts_mut(&mut self) -> [&mut u64; 7] {
        [
            &mut self.queries,
            &mut self.repeated,
            &mut self.unanswered,
            &mut self.failed,
            &mut self.searches,
            &mut self.misses,
            &mut self.search_nanos,
        ]
    }
}
