//! The programs that can load an image's archive into a cluster or an engine of this machine, and
//! which of them is meant.

use anyhow::bail;
use clap::ValueEnum;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// Where an image can be loaded into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Into {
    /// A cluster of kind
    Kind,
    /// A cluster of minikube
    Minikube,
    /// A cluster of k3d
    K3d,
    /// The containerd of this machine
    Containerd,
    /// The Docker engine
    Docker,
}

impl Into {
    const ALL: [Self; 5] = [
        Self::Kind,
        Self::Minikube,
        Self::K3d,
        Self::Containerd,
        Self::Docker,
    ];

    /// The program that does it.
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Minikube => "minikube",
            Self::K3d => "k3d",
            Self::Containerd => "ctr",
            Self::Docker => "docker",
        }
    }

    /// Whether the images there may be those of a Docker engine, which reads a file of its own.
    pub(super) const fn is_of_docker(self) -> bool {
        matches!(self, Self::Docker | Self::Minikube)
    }
}

impl fmt::Display for Into {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "kind",
            Self::Minikube => "minikube",
            Self::K3d => "k3d",
            Self::Containerd => "containerd",
            Self::Docker => "docker",
        })
    }
}

/// A program, and the cluster that it is to load into; `None` is the program's own default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loader {
    pub(super) into: Into,
    cluster: Option<String>,
}

impl Loader {
    /// Chooses: what was asked for, or what the kubeconfig's context is called after, or the only
    /// one whose program is there.
    ///
    /// # Errors
    /// If its program is missing, and if several could be meant.
    pub(super) fn chosen(
        asked: Option<Into>,
        context: Option<&str>,
        path: &OsStr,
    ) -> anyhow::Result<Self> {
        let told = context.and_then(Self::of_context);
        let found = Into::ALL.into_iter().filter(|into| is_on(path, *into));
        let found: Vec<Into> = found.collect();
        let loader = match (asked, told) {
            (Some(asked), Some(told)) if told.into == asked => told,
            (Some(into), _) => Self {
                into,
                cluster: None,
            },
            (None, Some(told)) => told,
            (None, None) => match found[..] {
                [into] => Self {
                    into,
                    cluster: None,
                },
                [] => bail!(
                    "none of kind, minikube, k3d, ctr and docker is on the PATH: install the one of \
                     your cluster, or push the image to a registry (kubectl meshsniff image push)"
                ),
                _ => {
                    let context = context.map_or_else(
                        || "there is no current context to tell".to_owned(),
                        |context| format!("the context {context} does not tell"),
                    );
                    let found: Vec<_> = found.iter().map(Into::to_string).collect();
                    bail!(
                        "several could be meant, and {context} which one: name it with --into ({})",
                        found.join(", ")
                    )
                }
            },
        };
        if !found.contains(&loader.into) {
            let because = match (asked, context) {
                (None, Some(context)) => format!(", and the context is {context}"),
                _ => String::new(),
            };
            bail!(
                "{} is not on the PATH{because}: install it, or name another way with --into",
                loader.into.program()
            );
        }
        Ok(loader)
    }

    /// What a context is called after: the names that these programs and Docker Desktop give.
    fn of_context(context: &str) -> Option<Self> {
        let of = |into, cluster: &str| Self {
            into,
            cluster: (!cluster.is_empty()).then(|| cluster.to_owned()),
        };
        if let Some(cluster) = context.strip_prefix("kind-") {
            return Some(of(Into::Kind, cluster));
        }
        if let Some(cluster) = context.strip_prefix("k3d-") {
            return Some(of(Into::K3d, cluster));
        }
        match context {
            "minikube" => Some(of(Into::Minikube, context)),
            "docker-desktop" => Some(of(Into::Docker, "")),
            _ => None,
        }
    }

    /// The arguments of the program that load this archive.
    pub(super) fn arguments<'a>(&'a self, archive: &'a OsStr) -> Vec<&'a OsStr> {
        let (before, option): (&[&str], &str) = match self.into {
            Into::Kind => (&["load", "image-archive"], "--name"),
            Into::Minikube => (&["image", "load"], "--profile"),
            Into::K3d => (&["image", "import"], "--cluster"),
            // The namespace that the kubelet looks into.
            Into::Containerd => (&["--namespace", "k8s.io", "images", "import"], ""),
            Into::Docker => (&["load", "--input"], ""),
        };
        let mut arguments: Vec<&OsStr> = before.iter().map(OsStr::new).collect();
        arguments.push(archive);
        if let Some(cluster) = &self.cluster {
            arguments.extend([OsStr::new(option), OsStr::new(cluster)]);
        }
        arguments
    }
}

fn is_on(path: &OsStr, into: Into) -> bool {
    let name = into.program();
    let windows = format!("{name}.exe");
    std::env::split_paths(path)
        .filter(|folder| folder != Path::new(""))
        .any(|folder| {
            [name, &windows]
                .iter()
                .any(|name| folder.join(name).is_file())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A folder with programs of these names.
    fn with(programs: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for program in programs {
            std::fs::write(folder.path().join(program), "").unwrap();
        }
        folder
    }

    fn chosen(
        asked: Option<Into>,
        context: Option<&str>,
        programs: &[&str],
    ) -> Result<String, String> {
        let path = with(programs);
        let loader = Loader::chosen(asked, context, path.path().as_os_str());
        let loader = loader.map_err(|error| error.to_string())?;
        let arguments = loader.arguments(OsStr::new("A.tar"));
        let words = [OsStr::new(loader.into.program())].into_iter();
        let words: Vec<_> = words
            .chain(arguments)
            .map(|word| word.to_str().unwrap())
            .collect();
        Ok(words.join(" "))
    }

    const EVERYTHING: [&str; 5] = ["kind", "minikube", "k3d", "ctr", "docker"];

    #[test]
    fn the_context_tells_which_cluster_is_meant() {
        for (context, command) in [
            ("kind-blue", "kind load image-archive A.tar --name blue"),
            ("k3d-red", "k3d image import A.tar --cluster red"),
            ("minikube", "minikube image load A.tar --profile minikube"),
            ("docker-desktop", "docker load --input A.tar"),
        ] {
            let found = chosen(None, Some(context), &EVERYTHING);
            assert_eq!(found.as_deref(), Ok(command));
        }
    }

    #[test]
    fn what_is_asked_for_comes_before_what_the_context_tells() {
        let asked = |into| chosen(Some(into), Some("kind-blue"), &EVERYTHING).unwrap();
        assert_eq!(asked(Into::Docker), "docker load --input A.tar");
        assert_eq!(asked(Into::K3d), "k3d image import A.tar");
        assert_eq!(
            asked(Into::Kind),
            "kind load image-archive A.tar --name blue"
        );
    }

    #[test]
    fn the_only_program_is_taken_and_of_several_none() {
        for context in [None, Some("production")] {
            assert_eq!(
                chosen(None, context, &["ctr"]).unwrap(),
                "ctr --namespace k8s.io images import A.tar"
            );
        }
        let several = chosen(None, Some("production"), &["kind", "docker"]).unwrap_err();
        assert_eq!(
            several,
            "several could be meant, and the context production does not tell which one: name it \
             with --into (kind, docker)"
        );
        let none = chosen(None, None, &[]).unwrap_err();
        assert!(none.starts_with("none of kind, minikube, k3d, ctr and docker"));
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let missing = chosen(None, Some("k3d-red"), &["kind"]).unwrap_err();
        assert_eq!(
            missing,
            "k3d is not on the PATH, and the context is k3d-red: install it, or name another way \
             with --into"
        );
        let missing = chosen(Some(Into::Containerd), Some("k3d-red"), &["kind"]).unwrap_err();
        assert!(missing.starts_with("ctr is not on the PATH: install it"));
    }
}
