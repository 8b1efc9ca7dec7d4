//! `image`: the agent's image, of the agents that the plugin carries.
//!
//! | here | holds |
//! |---|---|
//! | `made` | the image |
//! | `save` | `image save`: into a file |
//! | `push` | `image push`: into a registry |
//! | `docker_login` | the credentials that docker has for a registry |
//! | `load` | `image load`: into a cluster, or an engine, of this machine |
//! | `loader` | the programs that can load an archive, and which one is meant |

mod docker_login;
mod load;
mod loader;
mod made;
mod push;
mod save;

use clap::{Args, Subcommand};

/// Save, push or load the agent's image, which the plugin carries
///
/// The image of linux/amd64 and linux/arm64 is made of the agents in this plugin, and is the same
/// to the byte as the one that images/build writes. It takes neither a Docker engine nor a
/// download.
///
/// It is for clusters whose rules ask for an image of a registry of their own: name it with --image.
#[derive(Debug, Args)]
pub(super) struct ImageArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Save(save::SaveArgs),
    Push(push::PushArgs),
    Load(load::LoadArgs),
}

/// Does what was asked for.
///
/// # Errors
/// If the plugin carries no agents, and if the image does not get where it should.
pub(super) fn run(args: &ImageArgs) -> anyhow::Result<Vec<String>> {
    match &args.what {
        What::Save(args) => save::run(args)?,
        What::Push(args) => push::run(args)?,
        What::Load(args) => load::run(args)?,
    }
    Ok(Vec::new())
}
