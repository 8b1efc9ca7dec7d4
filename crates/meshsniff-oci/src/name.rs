//! Names of images, as container runtimes store them.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A full name with its tag: `docker.io/library/meshsniff-agent:0.1.0`.
///
/// The kubelet looks `agent:1` up under its full name, and would not find an image that was imported
/// under the short one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// All before the tag.
    repository: String,
    tag: String,
}

/// Why something is no name for an image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadName {
    /// It names a content.
    #[error("{0} names a digest, which an image has by what is in it: give a tag")]
    Digest(String),
    /// Something in it is not allowed in a name.
    #[error(
        "{0} is no name for an image: it takes the form REGISTRY/NAME:TAG, in small letters, \
         digits, '.', '_' and '-'"
    )]
    Malformed(String),
}

impl Name {
    /// Reads a name as [`Name::from_str`], with this tag where it has none.
    ///
    /// # Errors
    /// If it is no name.
    pub fn with_default_tag(text: &str, tag: &str) -> Result<Self, BadName> {
        if text.contains('@') {
            return Err(BadName::Digest(text.to_owned()));
        }
        let last = text.rfind('/').map_or(0, |slash| slash + 1);
        let (short, tag) = match text[last..].split_once(':') {
            Some((name, tag)) => (&text[..last + name.len()], tag),
            None => (text, tag),
        };
        let repository = match short.split_once('/') {
            None => format!("docker.io/library/{short}"),
            Some((first, _)) if is_host(first) => short.to_owned(),
            Some(_) => format!("docker.io/{short}"),
        };
        let mut parts = repository.split('/');
        let host = parts.next().is_some_and(is_plain_host);
        if !host || !parts.all(is_component) || !is_tag(tag) {
            return Err(BadName::Malformed(text.to_owned()));
        }
        Ok(Self {
            repository,
            tag: tag.to_owned(),
        })
    }

    /// The tag alone.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The name without its tag.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The registry, and what the image is called there.
    #[must_use]
    pub fn in_registry(&self) -> (&str, &str) {
        // A full name has a slash.
        self.repository.split_once('/').unwrap_or_default()
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::with_default_tag(text, "latest")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

/// Whether what stands before the first slash is a registry, and no part of the name.
fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

fn is_plain_host(host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(fits)
}

/// Whether it may stand between slashes (distribution-spec, "Pulling manifests").
fn is_component(part: &str) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [part.as_bytes().first(), part.as_bytes().last()];
    let fits = |byte: u8| is_letter(&byte) || b"._-".contains(&byte);
    ends.iter().all(|end| end.is_some_and(is_letter)) && part.bytes().all(fits)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let fits = |byte: u8| is_word(&byte) || b".-".contains(&byte);
    tag.len() <= 128 && tag.as_bytes().first().is_some_and(is_word) && tag.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_runtimes_store() {
        for (given, full) in [
            ("agent", "docker.io/library/agent:latest"),
            ("agent:1", "docker.io/library/agent:1"),
            ("team/agent:1", "docker.io/team/agent:1"),
            ("localhost/agent", "localhost/agent:latest"),
            ("localhost:5000/agent", "localhost:5000/agent:latest"),
            (
                "registry.example/a/b:V_1.0-x",
                "registry.example/a/b:V_1.0-x",
            ),
        ] {
            let name: Name = given.parse().unwrap();
            assert_eq!(name.to_string(), full);
        }
    }

    #[test]
    fn what_no_runtime_would_take_is_refused() {
        for bad in [
            "", ":1", "agent:", "Agent:1", "a b", "a//b", "/a", "a/", "a:b:c", "a:.b", "-a", "a-",
        ] {
            let refused = bad.parse::<Name>();
            assert_eq!(refused, Err(BadName::Malformed(bad.to_owned())));
        }
        let digest = format!("agent@sha256:{}", "0".repeat(64));
        assert_eq!(digest.parse::<Name>(), Err(BadName::Digest(digest)));
    }
}
