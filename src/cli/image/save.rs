//! `image save`: the image as an OCI archive.

use super::made;
use crate::cli::files;
use crate::stderr;
use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use meshsniff_oci::Name;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// Write the image into an OCI archive, both platforms
///
/// The file is replaced once the archive is whole. It can be imported with ctr -n k8s.io images
/// import, kind load image-archive and skopeo copy --all oci-archive:FILE.
#[derive(Debug, Args)]
pub(super) struct SaveArgs {
    /// File to write; - is standard output
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,

    /// Name of the image once it is imported; its tag is the version unless it has one [default:
    /// meshsniff-agent]
    #[arg(long, value_name = "NAME[:TAG]", value_parser = made::named)]
    name: Option<Name>,
}

/// Writes the archive.
///
/// # Errors
/// If there is no image, or it cannot be written.
pub(super) fn run(args: &SaveArgs) -> anyhow::Result<()> {
    let to_stdout = args.file == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        bail!("an archive is nothing for a terminal: name a file, or pipe it into a program");
    }
    let image = made::image(made::agents()?)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => made::default_name()?,
    };
    let archive = image.archive(&name)?;
    let place = if to_stdout {
        let mut out = io::stdout().lock();
        out.write_all(&archive)?;
        out.flush()?;
        "standard output".to_owned()
    } else {
        write(&args.file, &archive)?;
        args.file.display().to_string()
    };
    stderr::line(&format!("{place}: {name}, {}", image.index.digest));
    Ok(())
}

fn write(path: &Path, archive: &[u8]) -> anyhow::Result<()> {
    let unwritten = || format!("{} cannot be written", path.display());
    let (mut file, kept) = files::open_whole(path, false, false).with_context(unwritten)?;
    file.write_all(archive).with_context(unwritten)?;
    kept.map_or(Ok(()), files::Kept::done)
}
