//! The programs that there are images of, and the platforms.

use std::fmt;

/// A program that there is an image of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The agent.
    Agent,
    /// The plugin.
    Plugin,
}

impl Program {
    /// All.
    pub const ALL: [Self; 2] = [Self::Agent, Self::Plugin];

    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The name of its file, and of its image.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "meshsniff-agent",
            Self::Plugin => "kubectl-meshsniff",
        }
    }

    /// User and group that it is started as, as in `images/Dockerfile`.
    pub(crate) const fn user(self) -> &'static str {
        match self {
            Self::Agent => "0:0",
            // Nothing in it takes root.
            Self::Plugin => "65532:65532",
        }
    }

    /// Arguments that it is started with unless others are given.
    pub(crate) const fn arguments(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Agent => Some(&["hold"]),
            Self::Plugin => None,
        }
    }

    /// The licences of what is linked into it (SPDX).
    pub(crate) const fn licences(self) -> &'static str {
        match self {
            // The agent, libpcap, glibc.
            Self::Agent => "(Apache-2.0 OR MIT) AND BSD-3-Clause AND LGPL-2.1-or-later",
            // The plugin, ring, glibc.
            Self::Plugin => "(Apache-2.0 OR MIT) AND ISC AND LGPL-2.1-or-later",
        }
    }
}

/// An architecture that there are images for. The system is Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Architecture {
    /// All, in the order in which an index lists them.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// By the name that Go, Kubernetes and OCI have for it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// By the name of a platform: `linux/amd64`.
    #[must_use]
    pub fn of_platform(platform: &str) -> Option<Self> {
        Self::named(platform.strip_prefix("linux/")?)
    }

    /// As Go, Kubernetes and OCI call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// `e_machine` of the ELF header.
    pub(crate) const fn machine(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
