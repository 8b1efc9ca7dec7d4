//! The agents that this plugin carries, for clusters that have no image of ours.
//!
//! They are put into it when it is built (`build.rs`, `images/agents`); a plugin that was built
//! without them has none.

use meshsniff_loader::Unfit;
pub use meshsniff_oci::Architecture;
use std::fmt;

/// An agent that is carried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// The architecture it runs on.
    pub architecture: Architecture,
    /// The agent, as `meshsniff_loader` opens it.
    pub packed: &'static [u8],
    /// The SHA-256 of that, in hexadecimal digits.
    pub digest: &'static str,
    /// The loader.
    pub loader: &'static [u8],
}

static ALL: &[Carried] = &include!(concat!(env!("OUT_DIR"), "/agents.rs"));

/// The command that builds a plugin with agents in it, in a checkout.
pub const MAKES_THEM: &str = "MESHSNIFF_AGENTS=$(images/agents) cargo install --locked --path .";

/// All agents that this plugin carries: none, or one for each architecture.
#[must_use]
pub fn all() -> &'static [Carried] {
    ALL
}

impl Carried {
    /// The one for this architecture.
    #[must_use]
    pub fn of(architecture: Architecture) -> Option<&'static Self> {
        ALL.iter().find(|one| one.architecture == architecture)
    }

    /// The agent's program.
    ///
    /// # Errors
    /// If what was put into the plugin is no agent.
    pub fn program(&self) -> Result<Vec<u8>, Unfit> {
        meshsniff_loader::open(self.packed, self.digest.as_bytes())
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.packed.len();
        write!(f, "the agent for {} ({length} bytes)", self.architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever this plugin was built with: nothing, or both.
    #[test]
    fn every_agent_that_is_carried_is_one_of_its_architecture() {
        let carried = all().iter().map(|one| one.architecture);
        let carried: Vec<Architecture> = carried.collect();
        assert!(
            carried.is_empty() || carried == Architecture::ALL,
            "{carried:?}"
        );
        for one in all() {
            // e_machine of the ELF header.
            let machine = match one.architecture {
                Architecture::Amd64 => 62,
                Architecture::Arm64 => 183,
            };
            for program in [&one.program().unwrap()[..], one.loader] {
                assert_eq!(program[..4], *b"\x7fELF", "{one:?}");
                assert_eq!(program[18..20], u16::to_le_bytes(machine), "{one:?}");
            }
        }
    }
}
