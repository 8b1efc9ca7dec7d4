//! Writes static binaries of several platforms as one OCI archive, for `images/build`.
//!
//! `SOURCE_DATE_EPOCH`, seconds since 1970, is every time in it; 0 without it.

use anyhow::{Context as _, anyhow, bail};
use meshsniff_oci::image::epoch as epoch_of;
use meshsniff_oci::{Architecture, Binary, Image, Name, Program};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: meshsniff-oci [--program meshsniff-agent|kubectl-meshsniff] --name NAME \
                     --version VERSION OUT.tar linux/amd64=BINARY [linux/arm64=BINARY]";

/// What was typed.
struct Typed {
    program: Program,
    name: Name,
    version: String,
    out: String,
    /// Each with its file.
    binaries: Vec<(Architecture, String)>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let typed = match typed(&arguments) {
        Ok(typed) => typed,
        Err(error) => {
            eprintln!("meshsniff-oci: {error:#}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match write(&typed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("meshsniff-oci: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn typed(arguments: &[String]) -> anyhow::Result<Typed> {
    let (mut program, mut name, mut version) = (Program::Agent, None, None);
    let mut rest = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next();
            value.with_context(|| format!("{argument} takes a value"))
        };
        match argument.as_str() {
            "--program" => {
                let named = value()?;
                program = Program::named(named)
                    .with_context(|| format!("there is no image of {named}"))?;
            }
            "--name" => name = Some(value()?.parse()?),
            "--version" => version = Some(value()?.clone()),
            option if option.starts_with('-') => bail!("there is no option {option}"),
            _ => rest.push(argument.clone()),
        }
    }
    if rest.len() < 2 {
        bail!("name the archive to be written, and its binaries");
    }
    let binaries = rest.split_off(1).into_iter().map(|item| {
        let named = item.split_once('=').and_then(|(platform, path)| {
            Some((Architecture::of_platform(platform)?, path.to_owned()))
        });
        named
            .ok_or_else(|| anyhow!("{item} is not PLATFORM=BINARY with linux/amd64 or linux/arm64"))
    });
    Ok(Typed {
        program,
        binaries: binaries.collect::<anyhow::Result<_>>()?,
        out: rest.remove(0),
        name: name.context("--name is missing")?,
        version: version.context("--version is missing")?,
    })
}

fn write(typed: &Typed) -> anyhow::Result<()> {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_default();
    let epoch = epoch_of(&epoch)?;
    let mut read = Vec::new();
    for (architecture, path) in &typed.binaries {
        let bytes = fs::read(path).with_context(|| format!("{path} cannot be read"))?;
        read.push((*architecture, bytes));
    }
    let binaries = read.iter().map(|(architecture, bytes)| Binary {
        architecture: *architecture,
        bytes,
    });
    let binaries: Vec<_> = binaries.collect();
    let image = Image::new(typed.program, &typed.version, &binaries, epoch)?;
    for platform in &image.platforms {
        let length = platform.layer.content.len();
        eprintln!("linux/{}: layer of {length} bytes", platform.architecture);
    }
    // It gets its name when it is whole, so that nobody imports half an archive.
    let out = Path::new(&typed.out);
    let unwritten = || format!("{} cannot be written", typed.out);
    let folder = out.parent().filter(|folder| *folder != Path::new(""));
    let mut builder = tempfile::Builder::new();
    // As any other file: the umask says who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder.unwrap_or(Path::new(".")));
    let mut file = file.with_context(unwritten)?;
    file.write_all(&image.archive(&typed.name)?)
        .with_context(unwritten)?;
    file.persist(out).with_context(unwritten)?;
    eprintln!("{}: {}, {}", typed.out, typed.name, image.index.digest);
    Ok(())
}
