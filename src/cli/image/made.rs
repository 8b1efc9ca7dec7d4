//! The image of the agents that the plugin carries.

use crate::carried::{self, Carried, MAKES_THEM};
use anyhow::{anyhow, bail};
use meshsniff_contract::VERSION;
use meshsniff_oci::image::epoch;
use meshsniff_oci::name::BadName;
use meshsniff_oci::{Architecture, Binary, Image, Name, Program};

/// The name that the image has unless another is given.
pub(super) fn default_name() -> Result<Name, BadName> {
    named(Program::Agent.name())
}

/// Reads a name, whose tag is the version if it has none.
pub(super) fn named(text: &str) -> Result<Name, BadName> {
    Name::with_default_tag(text, VERSION)
}

/// The agents of which the image is made.
///
/// # Errors
/// If the plugin carries none.
pub(super) fn agents() -> anyhow::Result<&'static [Carried]> {
    let carried = carried::all();
    if carried.is_empty() {
        bail!(
            "this plugin was built without agents, so there is nothing to make an image of: build \
             one that has them, in a checkout, with {MAKES_THEM}"
        );
    }
    Ok(carried)
}

/// Makes the image: the one that `images/build` makes of the same agents.
///
/// # Errors
/// If what the plugin carries is damaged.
pub(super) fn image(agents: &[Carried]) -> anyhow::Result<Image> {
    let programs = agents.iter().map(program);
    let programs = programs.collect::<anyhow::Result<Vec<_>>>()?;
    let binaries = programs.iter().map(|(architecture, bytes)| Binary {
        architecture: *architecture,
        bytes,
    });
    let binaries: Vec<_> = binaries.collect();
    let epoch = epoch(&std::env::var("SOURCE_DATE_EPOCH").unwrap_or_default())?;
    Ok(Image::new(Program::Agent, VERSION, &binaries, epoch)?)
}

fn program(carried: &Carried) -> anyhow::Result<(Architecture, Vec<u8>)> {
    let architecture = carried.architecture;
    let program = carried.program().map_err(|_| {
        anyhow!("the agent for {architecture} in this plugin is damaged: install the plugin again")
    })?;
    Ok((architecture, program))
}
