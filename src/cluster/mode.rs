//! The choice of a way into the pod's network, and the rights that it takes.

use super::connect::Cluster;
use super::error::{ApiError, Cause};
use super::manifest::HelperOptions;
use super::rights::{ON_OTHERS, ON_PODS, Rule};
use super::target::{Target, node};
use super::way::{Making, WAYS, Way, WayError};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser};
use std::fmt;

/// The way in that was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// This way.
    Way(Way),
    /// The first one that the cluster admits.
    Auto,
}

const AUTO: &str = "auto";

impl Default for Mode {
    fn default() -> Self {
        Self::Way(WAYS[0])
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Way(way) => way.facts().name,
            Self::Auto => AUTO,
        })
    }
}

impl Mode {
    /// Whether it may come to this way.
    #[must_use]
    pub fn allows(self, way: Way) -> bool {
        self == Self::Auto || self == Self::Way(way)
    }
}

impl clap::builder::ValueParserFactory for Mode {
    type Parser = ValueParser;

    fn value_parser() -> ValueParser {
        let ways = WAYS
            .iter()
            .map(|way| PossibleValue::new(way.facts().name).help(way.facts().help));
        let auto = PossibleValue::new(AUTO).help("The first of these that the cluster admits");
        let named = |name: String| {
            let way = WAYS.into_iter().find(|way| way.facts().name == name);
            way.map_or(Self::Auto, Self::Way)
        };
        ValueParser::new(PossibleValuesParser::new(ways.chain([auto])).map(named))
    }
}

/// The rules of a mode in the order of their places, each with its way in, or without one for all.
pub fn rules(mode: Mode) -> Vec<(Option<Way>, &'static Rule)> {
    let for_all = |rules: &'static [Rule]| rules.iter().map(|rule| (None, rule));
    let ways = WAYS.into_iter().filter(|way| mode.allows(*way));
    let of_ways = ways.flat_map(|way| way.facts().rules.iter().map(move |rule| (Some(way), rule)));
    let rules = for_all(ON_PODS).chain(of_ways).chain(for_all(ON_OTHERS));
    let mut rules: Vec<_> = rules.collect();
    rules.sort_by_key(|(_, rule)| rule.place);
    rules
}

/// Chooses a way in; returns a sentence, too, if it is not the first that was tried.
///
/// # Errors
/// If what was asked for is refused.
pub async fn choose(
    cluster: &Cluster,
    mode: Mode,
    own_namespace: Option<&str>,
    options: &HelperOptions,
    targets: &[Target],
) -> Result<(Way, Option<String>), WayError> {
    let target = targets.first().ok_or(WayError::NoTarget)?;
    let mut passed_over = None;
    let ways = match mode {
        Mode::Way(way) => {
            way.suits(targets)?;
            if !way.facts().starts_if_refused {
                return Ok((way, None));
            }
            vec![way]
        }
        Mode::Auto => {
            let node = node::get(cluster, &target.node).await;
            let mut ways = Vec::new();
            for way in WAYS.into_iter().filter(|way| way.suits(targets).is_ok()) {
                let place = way.facts().place;
                match node.as_ref().map_or(Ok(()), |node| node::fits(node, place)) {
                    Ok(()) => ways.push(way),
                    Err(error) => passed_over = Some(error),
                }
            }
            match passed_over {
                Some(error) if ways.is_empty() => return Err(error.into()),
                _ => ways,
            }
        }
    };
    let passed_over = passed_over.map(|error| error.to_string());
    let only = ways.len() == 1;
    let mut refused: Vec<(&str, ApiError)> = Vec::new();
    for way in ways {
        let shared = way.share(own_namespace, target);
        let making = Making::new(cluster, options, &shared, std::slice::from_ref(target));
        let noun = way.facts().noun;
        let error = match way.dry_run(making).await {
            Err(error) if !is_no_refusal(mode, error.cause()) => error,
            _ if refused.is_empty() => return Ok((way, passed_over)),
            _ => {
                let bare = |noun: &'static str| noun.split_once(' ').map_or(noun, |(_, bare)| bare);
                let why = refused.iter().map(|(noun, error)| {
                    format!("no {} is admitted ({})", bare(noun), error.words())
                });
                let why: Vec<String> = why.collect();
                return Ok((way, Some(format!("{}: {noun} is used", why.join(", ")))));
            }
        };
        if only {
            return Err(way.refusal(error, making));
        }
        refused.push((noun, error));
    }
    let nouns: Vec<&str> = refused.iter().map(|(noun, _)| *noun).collect();
    // In the server's words, and the last one with the next step.
    let last = refused.pop().map(|(_, error)| error.to_string());
    let reasons = refused.iter().map(|(_, error)| error.words()).chain(last);
    let reasons: Vec<String> = reasons.collect();
    Err(WayError::Neither(nouns.join(" nor "), reasons.join("; ")))
}

/// Whether a start may succeed although its dry run failed. A webhook that is down decides nothing,
/// and without the right to create pods a Job may still create one; with another way in at hand
/// that is tried first.
fn is_no_refusal(mode: Mode, cause: Cause) -> bool {
    cause.is_transient() || cause == Cause::MissingRight && mode != Mode::Auto
}

#[cfg(test)]
mod tests {
    use super::super::rights::{EXEC, Need, Place};
    use super::*;

    fn modes() -> impl Iterator<Item = Mode> {
        WAYS.into_iter().map(Mode::Way).chain([Mode::Auto])
    }

    #[test]
    fn no_right_is_listed_twice() {
        for mode in modes() {
            let rules = rules(mode);
            for (at, (way, rule)) in rules.iter().enumerate() {
                let again = rules[at + 1..].iter().find(|(other_way, other)| {
                    other.right == rule.right && other.place == rule.place && other_way == way
                });
                assert_eq!(again, None);
            }
        }
    }

    #[test]
    fn every_way_takes_what_exec_takes() {
        for way in WAYS {
            for right in EXEC {
                let mut rules = way.facts().rules.iter();
                assert!(rules.any(|rule| rule.right == right && rule.need == Need::Required));
            }
        }
        let [pod, ephemeral] = WAYS;
        let of = |way| rules(Mode::Way(way));
        assert!(
            !of(pod)
                .iter()
                .any(|(_, rule)| rule.right.on.subresource == "ephemeralcontainers")
        );
        assert!(
            !of(ephemeral)
                .iter()
                .any(|(_, rule)| rule.place == Place::Helper)
        );
    }

    #[test]
    fn modes_are_read_as_they_are_shown() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Typed {
            #[arg(long, default_value_t)]
            mode: Mode,
        }
        for mode in modes() {
            let typed = Typed::try_parse_from(["x".to_owned(), format!("--mode={mode}")]);
            assert_eq!(typed.unwrap().mode, mode);
        }
        assert_eq!(Typed::try_parse_from(["x"]).unwrap().mode, Mode::default());
        assert!(Typed::try_parse_from(["x", "--mode=attach"]).is_err());
    }
}
