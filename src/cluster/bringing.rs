//! How the agent comes to where it runs: in an image of ours, or carried by this plugin into an
//! image that the node has anyway.
//!
//! An agent that is carried comes through the API server in `ConfigMap`s; [`meshsniff_loader`] has
//! its form there, and why nobody can make it another on its way. What the image holds beside it is
//! never executed. But whoever may exec into the helper finds it there, with the helper's rights: so
//! an image without a shell comes first.

use super::target::Target;
use crate::carried::{self, Architecture, Carried};
use clap::ValueEnum;
use k8s_openapi::api::core::v1::Node;
use meshsniff_contract::AGENT_PATH;
use meshsniff_loader::{FOLDER, LOADER};
use std::fmt;
use thiserror::Error;

/// Where the agent comes from, as it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Agent {
    /// From the image if one is named, else, or where it cannot be had, as this plugin carries it
    #[default]
    Auto,
    /// From the image
    Image,
    /// As this plugin carries it, through the API server, into an image that the node has
    Carried,
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Image => "image",
            Self::Carried => "carried",
        })
    }
}

/// What is asked for of the agent's coming.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Where it comes from.
    pub agent: Agent,
    /// Its image.
    pub image: String,
    /// Whether somebody named that.
    pub image_is_named: bool,
    /// The image that an agent which is carried is to be carried into.
    pub carrier: Option<String>,
    /// Names of secrets to pull the image with.
    pub pull_secrets: Vec<String>,
}

impl Source {
    /// Whether it is carried, unless that turns out not to be possible.
    #[must_use]
    pub fn is_carried(&self) -> bool {
        match self.agent {
            Agent::Image => false,
            Agent::Carried => true,
            Agent::Auto => !self.image_is_named && !carried::all().is_empty(),
        }
    }
}

/// A way for the agent to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brought {
    /// In its image.
    Image,
    /// Carried.
    Carried(Carrier),
}

/// An agent that is carried, and the image it is carried into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// The agent.
    pub agent: Carried,
    /// The image.
    pub image: String,
    /// The names of the secrets with which the node has pulled it: it may ask for them again.
    pub pull_secrets: Vec<String>,
}

impl Brought {
    /// The agent's command, without its arguments.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        match self {
            Self::Image => vec![AGENT_PATH.to_owned()],
            Self::Carried(carrier) => {
                vec![
                    format!("{FOLDER}/{LOADER}"),
                    carrier.agent.digest.to_owned(),
                ]
            }
        }
    }

    /// What is carried, if it is.
    #[must_use]
    pub fn carrier(&self) -> Option<&Carrier> {
        match self {
            Self::Image => None,
            Self::Carried(carrier) => Some(carrier),
        }
    }
}

/// Why no agent can be carried.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum NotCarried {
    #[error(
        "this plugin was built without agents to carry: {makes_them} builds one with them, or name \
         an image of the agent with --image",
        makes_them = carried::MAKES_THEM
    )]
    None,
    #[error(
        "no image is known that node {0} has and that could carry the agent: name one with --agent \
         carried --image"
    )]
    NoImage(String),
}

/// The ways for the agent to come to a node, in the order in which they are tried; never none.
/// `all` is what the plugin carries, and `node` the node, if it may be looked at.
///
/// # Errors
/// If it has to be carried and cannot.
pub fn ways(
    all: &[Carried],
    source: &Source,
    namespace: &str,
    node_name: &str,
    node: Option<&Node>,
    targets: &[Target],
) -> Result<Vec<Brought>, NotCarried> {
    let carried = || {
        if all.is_empty() {
            return Err(NotCarried::None);
        }
        let images = images(source, namespace, node, targets);
        let agents = agents(all, node);
        let pairs = images
            .into_iter()
            .flat_map(|image| agents.iter().map(move |agent| (image.clone(), *agent)));
        let ways = pairs.map(|((image, pull_secrets), agent)| {
            Brought::Carried(Carrier {
                agent,
                image,
                pull_secrets,
            })
        });
        let ways: Vec<Brought> = ways.collect();
        if ways.is_empty() {
            return Err(NotCarried::NoImage(node_name.to_owned()));
        }
        Ok(ways)
    };
    match source.agent {
        Agent::Image => Ok(vec![Brought::Image]),
        Agent::Carried => carried(),
        Agent::Auto => {
            let carried = carried().unwrap_or_default();
            if !source.image_is_named && !carried.is_empty() {
                return Ok(carried);
            }
            Ok([vec![Brought::Image], carried].concat())
        }
    }
}

/// The agents that may be of the node's architecture.
fn agents(all: &[Carried], node: Option<&Node>) -> Vec<Carried> {
    let status = node.and_then(|node| node.status.as_ref());
    let info = status.and_then(|status| status.node_info.as_ref());
    let known = info.and_then(|info| Architecture::named(&info.architecture));
    let of_node = |one: &&Carried| known.is_none_or(|known| one.architecture == known);
    all.iter().filter(of_node).copied().collect()
}

/// Images that the node has, with the secrets they were pulled with: the one that was named, or that
/// of the sandboxes, in which there is no shell, or else the target's own; last, whichever the node
/// names.
fn images(
    source: &Source,
    namespace: &str,
    node: Option<&Node>,
    targets: &[Target],
) -> Vec<(String, Vec<String>)> {
    if let Some(named) = &source.carrier {
        return vec![(named.clone(), source.pull_secrets.clone())];
    }
    let status = node.and_then(|node| node.status.as_ref());
    let listed = status.into_iter().flat_map(|status| status.images.iter());
    let listed = listed.flatten().filter_map(|image| {
        let names = image.names.as_deref().unwrap_or_default();
        // A tag or a digest that is there, of `<none>@<none>` neither.
        let name = names.iter().rev().find(|name| !name.contains('<'))?;
        Some((name.as_str(), image.size_bytes.unwrap_or(i64::MAX)))
    });
    let listed: Vec<(&str, i64)> = listed.collect();
    let pauses = listed.iter().filter(|(name, _)| is_pause(name));
    let mut images: Vec<(String, Vec<String>)> = pauses
        .map(|(name, _)| ((*name).to_owned(), Vec::new()))
        .collect();
    for target in targets {
        let secrets = if target.namespace == namespace {
            target.pull_secrets.clone()
        } else {
            Vec::new()
        };
        let own = target.images.iter().take(1);
        images.extend(own.map(|(_, image)| (image.clone(), secrets.clone())));
    }
    if images.is_empty() {
        let smallest = listed.iter().min_by_key(|(_, size)| *size);
        images.extend(smallest.map(|(name, _)| ((*name).to_owned(), Vec::new())));
    }
    let mut seen = std::collections::HashSet::new();
    images.retain(|(image, _)| seen.insert(image.clone()));
    images
}

/// Whether this is the image of the sandboxes, such as `registry.k8s.io/pause:3.10` or
/// `rancher/mirrored-pause:3.6`.
fn is_pause(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or(image);
    let name = name.rsplit('/').next().unwrap_or(name);
    let name = name.split(':').next().unwrap_or(name);
    name == "pause" || name.starts_with("pause-") || name.ends_with("-pause")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ALL: [Carried; 2] = [
        Carried {
            architecture: Architecture::Amd64,
            packed: b"a",
            digest: "aa",
            loader: b"l",
        },
        Carried {
            architecture: Architecture::Arm64,
            packed: b"b",
            digest: "bb",
            loader: b"m",
        },
    ];

    fn node(images: &[&str]) -> Node {
        let images: Vec<_> = images
            .iter()
            .zip(1..)
            .map(|(image, size)| json!({"names": ["x@<none>", image], "sizeBytes": size}))
            .collect();
        serde_json::from_value(json!({"status": {"images": images, "nodeInfo": {
            "architecture": "arm64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "linux",
            "osImage": "", "systemUUID": ""}}}))
        .unwrap()
    }

    fn target(image: &str) -> Target {
        Target {
            images: [("app", image), ("proxy", "sidecar:1")]
                .map(|(name, image)| (name.to_owned(), image.to_owned()))
                .to_vec(),
            pull_secrets: vec!["regcred".to_owned()],
            ..Target::for_tests()
        }
    }

    /// Each way in a word or two.
    fn told(
        all: &[Carried],
        source: &Source,
        namespace: &str,
        node: Option<&Node>,
        targets: &[Target],
    ) -> Result<Vec<String>, NotCarried> {
        let ways = ways(all, source, namespace, "n1", node, targets)?;
        let told = ways.iter().map(|way| match way {
            Brought::Image => "image".to_owned(),
            Brought::Carried(carrier) => format!(
                "{} {} {}",
                carrier.image,
                carrier.agent.architecture,
                carrier.pull_secrets.join(",")
            ),
        });
        Ok(told.map(|told| told.trim_end().to_owned()).collect())
    }

    fn source(agent: Agent) -> Source {
        Source {
            agent,
            ..Source::default()
        }
    }

    #[test]
    fn an_image_without_a_shell_comes_first() {
        let node = node(&["r.example/big:1", "registry.k8s.io/pause:3.10"]);
        let ways = |source: &Source, namespace, targets: &[Target]| {
            told(&ALL, source, namespace, Some(&node), targets).unwrap()
        };
        let carried = source(Agent::Carried);
        assert_eq!(
            ways(&carried, "shop", &[target("app@sha256:1")]),
            [
                "registry.k8s.io/pause:3.10 arm64",
                "app@sha256:1 arm64 regcred"
            ]
        );
        assert_eq!(
            ways(&carried, "helpers", &[target("app@sha256:1")])[1],
            "app@sha256:1 arm64",
            "a secret is its namespace's"
        );
        let named = Source {
            carrier: Some("mine:1".to_owned()),
            ..carried
        };
        assert_eq!(ways(&named, "shop", &[target("app")]), ["mine:1 arm64"]);
    }

    #[test]
    fn a_node_of_which_nothing_is_known_is_tried_with_both() {
        let carried = source(Agent::Carried);
        assert_eq!(
            told(&ALL, &carried, "shop", None, &[target("app")]).unwrap(),
            ["app amd64 regcred", "app arm64 regcred"]
        );
        let nothing = told(&ALL, &carried, "shop", None, &[]);
        assert_eq!(nothing, Err(NotCarried::NoImage("n1".to_owned())));
        let listed = node(&["big:1", "huge:1"]);
        assert_eq!(
            told(&ALL, &carried, "shop", Some(&listed), &[]).unwrap(),
            ["big:1 arm64"]
        );
    }

    #[test]
    fn an_image_that_is_named_is_tried_first() {
        let node = node(&["pause:1"]);
        let auto = source(Agent::Auto);
        let ways =
            |source: &Source, all: &[Carried]| told(all, source, "shop", Some(&node), &[]).unwrap();
        assert_eq!(ways(&auto, &ALL), ["pause:1 arm64"]);
        assert_eq!(ways(&auto, &[]), ["image"]);
        let named = Source {
            image_is_named: true,
            ..auto
        };
        assert_eq!(ways(&named, &ALL), ["image", "pause:1 arm64"]);
        assert_eq!(ways(&source(Agent::Image), &ALL), ["image"]);
        let carried = source(Agent::Carried);
        let none = told(&[], &carried, "shop", Some(&node), &[]);
        assert_eq!(none, Err(NotCarried::None));
    }

    #[test]
    fn sandboxes_have_their_image_by_many_names() {
        for image in [
            "registry.k8s.io/pause:3.10",
            "docker.io/rancher/mirrored-pause:3.6",
            "r.example:5000/eks/pause@sha256:ab",
            "k8s.gcr.io/pause-amd64:3.1",
        ] {
            assert!(is_pause(image), "{image}");
        }
        for image in ["r.example/pausemenu:1", "pause/app:1", "r.example:5000/app"] {
            assert!(!is_pause(image), "{image}");
        }
    }
}
