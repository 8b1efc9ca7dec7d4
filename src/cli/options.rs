//! Options that several commands share, and the error of wrong usage.

use super::watch::tell;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use meshsniff::condition::Filter;
use meshsniff::protocol::tls::Keys;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

/// Wrong usage: options that make no sense together, in a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misuse(pub(super) String);

/// Option for ports of HTTP.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct PortArgs {
    /// Take this TCP port for HTTP whatever its first bytes look like; repeatable
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Vec<u16>,
}

/// Options for the keys of TLS sessions.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct KeyArgs {
    /// Read TLS with the keys in this file, as SSLKEYLOGFILE makes one; repeatable
    ///
    /// docs/tls-keys.md says how curl, browsers, Node, Go, Java and Envoy come to write one. Keys in a
    /// pcapng capture are used without it.
    #[arg(long, value_name = "FILE")]
    pub(super) keylog: Vec<PathBuf>,
}

impl KeyArgs {
    /// The keys.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn open(&self) -> anyhow::Result<Arc<Keys>> {
        let keys = Keys::default();
        for path in &self.keylog {
            let before = keys.sessions();
            keys.open(path)
                .with_context(|| format!("--keylog {} cannot be read", path.display()))?;
            if keys.sessions() == before {
                tell(&format!(
                    "warning: --keylog {} has no keys so far: is it what SSLKEYLOGFILE named?",
                    path.display()
                ));
            }
        }
        Ok(Arc::new(keys))
    }
}

/// Option for colour.
#[derive(Clone, Debug, Args)]
pub(super) struct ColorArgs {
    /// When to colour text; auto asks the terminal and NO_COLOR
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    color: When,
}

/// When text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

impl ColorArgs {
    /// Whether text on standard output is coloured.
    pub(super) fn is_wanted(&self) -> bool {
        match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => colour_is_welcome(),
        }
    }
}

/// Terms of a selection, and how they were typed: the agent gets the same.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    filter: Filter,
    typed: String,
}

impl Terms {
    /// The terms as they were typed.
    pub(super) fn typed(self) -> String {
        self.typed
    }
}

/// Parses terms.
pub(super) fn terms(typed: &str) -> Result<Terms, String> {
    let filter = Filter::parse(typed).map_err(|error| error.to_string())?;
    let typed = typed.to_owned();
    Ok(Terms { filter, typed })
}

/// Combines terms: all of them must match.
pub(super) fn all_of(terms: &[Terms]) -> Filter {
    let filters = terms.iter().map(|terms| terms.filter.clone());
    filters.fold(Filter::default(), Filter::and)
}

/// Whether standard output is a terminal that shows colour. <https://no-color.org>: any value but
/// the empty one says no.
fn colour_is_welcome() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !dumb
}

#[cfg(test)]
pub(super) mod testing {
    use clap::Args;

    /// The options of a command, of what is typed behind its name.
    pub(in super::super) fn parse_args<T: Args>(typed: &[&str]) -> Result<T, clap::Error> {
        let command = T::augment_args(clap::Command::new("command").no_binary_name(true));
        T::from_arg_matches(&command.try_get_matches_from(typed)?)
    }
}
