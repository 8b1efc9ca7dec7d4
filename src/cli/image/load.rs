//! `image load`: the image into a cluster, or an engine, of this machine, by the program that it
//! comes with.

use super::loader::{Into, Loader};
use super::made;
use crate::cli::files::Passing;
use crate::stderr;
use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use kube::config::Kubeconfig;
use meshsniff_oci::{Architecture, Name};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Load the image into kind, minikube, k3d, containerd or Docker
///
/// Without --into, the kubeconfig's context tells where: kind-NAME, k3d-NAME, minikube. Where it
/// does not, the only one of these programs that is on the PATH is taken.
///
/// It prints the image's name, which is what --image takes.
#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// What to load it into
    #[arg(long, value_enum, value_name = "WHAT")]
    into: Option<Into>,

    /// Name of the image; its tag is the version unless it has one [default: meshsniff-agent]
    #[arg(long, value_name = "NAME[:TAG]", value_parser = made::named)]
    name: Option<Name>,

    /// Context of the kubeconfig that tells where
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// Kubeconfig file, instead of those in KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    kubeconfig: Option<PathBuf>,
}

/// Loads the image, and prints its name.
///
/// # Errors
/// If there is no image, if it is not clear where it should go, and if the program fails.
pub(super) fn run(args: &LoadArgs) -> anyhow::Result<()> {
    let agents = made::agents()?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => made::default_name()?,
    };
    let context = match &args.context {
        Some(context) => Some(context.clone()),
        None => current_context(args.kubeconfig.as_deref())?,
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let loader = Loader::chosen(args.into, context.as_deref(), &path)?;
    let for_docker = match loader.into.is_of_docker() {
        true => Some(architecture(loader.into)?),
        false => None,
    };
    let image = made::image(agents)?;
    let archive = match for_docker {
        Some(architecture) => image.archive_for_docker(&name, architecture)?,
        None => image.archive(&name)?,
    };
    let archive = Passing::new(".tar", &archive)?;
    let program = loader.into.program();
    let mut command = Command::new(program);
    command.args(loader.arguments(archive.path().as_os_str()));
    command.stdin(Stdio::null());
    // Standard output is for the name.
    command.stdout(io::stderr());
    let ran = shown(&command);
    stderr::line(&format!("running {ran}"));
    let ended = command.status();
    let ended = ended.with_context(|| format!("{program} cannot be started"))?;
    if !ended.success() {
        bail!(
            "{program} did not load the image ({ended}): what it says stands above; image save \
             FILE keeps the archive for another try by hand"
        );
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{name}")?;
    Ok(out.flush()?)
}

/// The kubeconfig's current context, if there is a kubeconfig that has one.
fn current_context(named: Option<&Path>) -> anyhow::Result<Option<String>> {
    let kubeconfig = match named {
        Some(path) => Kubeconfig::read_from(path).with_context(|| {
            let path = path.display();
            format!("the kubeconfig {path} cannot be read: name another, or a way with --into")
        })?,
        // Who has none means an engine of this machine.
        None => Kubeconfig::read().unwrap_or_default(),
    };
    Ok(kubeconfig.current_context.filter(|name| !name.is_empty()))
}

/// The architecture of the engine, which may be on another machine.
fn architecture(into: Into) -> anyhow::Result<Architecture> {
    let name = match into {
        Into::Docker => {
            let mut docker = Command::new(into.program());
            docker.args(["version", "--format", "{{.Server.Arch}}"]);
            let said = docker.stderr(Stdio::inherit()).output();
            let said = said.context("docker cannot be started")?;
            if !said.status.success() {
                bail!(
                    "docker does not reach its engine: see whether docker version does, and start \
                     the engine"
                );
            }
            String::from_utf8_lossy(&said.stdout).trim().to_owned()
        }
        // Their nodes are this machine's.
        _ => match std::env::consts::ARCH {
            "x86_64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        },
    };
    let architecture = Architecture::named(&name);
    architecture.with_context(|| {
        format!("there is no agent for {name}: load the image where amd64 or arm64 is")
    })
}

/// A command as it can be typed.
fn shown(command: &Command) -> String {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let words = words.map(|word| {
        let word = word.to_string_lossy();
        let plain = |one: char| one.is_ascii_alphanumeric() || "-_./:=".contains(one);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
