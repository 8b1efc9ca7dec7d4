//! The pods that have been captured, and whether they have another sandbox since.

use super::plan::Finished;
use crate::cluster::target::Target;
use std::collections::{BTreeSet, HashMap};

/// Pods that have been captured, by their UIDs.
#[derive(Default)]
pub(super) struct Known(HashMap<String, Life>);

/// A pod when it was last seen.
struct Life {
    containers: BTreeSet<String>,
    /// Whether its stream has ended with its sandbox.
    gone: bool,
}

/// The use of a pod that is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Capture it: it is new.
    New,
    /// Capture it again: it was captured until its sandbox was gone, and has another one.
    Again,
    /// Nothing: it is captured already, or cannot be.
    Before,
}

impl Known {
    /// Notes that a pod is captured from now on.
    pub(super) fn begin(&mut self, target: &Target) {
        let containers = target.containers.clone();
        let life = Life {
            containers,
            gone: false,
        };
        self.0.insert(target.uid.clone(), life);
    }

    /// Decides about a pod that is found, and notes if it is captured from now on.
    pub(super) fn see(&mut self, target: &Target) -> Seen {
        // Before its network is set up a pod has no address, and nothing could be captured.
        if target.addresses.is_empty() {
            return Seen::Before;
        }
        // The API server learns late that the old containers are gone: new ones are a sure sign.
        let is_new = |life: &Life| !target.containers.is_subset(&life.containers);
        let seen = match self.0.get(&target.uid) {
            None => Seen::New,
            Some(life) if life.gone && !target.ending && is_new(life) => Seen::Again,
            Some(_) => return Seen::Before,
        };
        self.begin(target);
        seen
    }

    /// Notes the end of a stream.
    pub(super) fn ended(&mut self, finished: &Finished) {
        let with_sandbox = finished
            .last_word
            .as_ref()
            .is_some_and(|word| finished.way.ends_with_sandbox(&word.reason));
        if let Some(life) = self.0.get_mut(&finished.target.uid) {
            life.gone |= with_sandbox;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::way::{WAYS, Way};
    use meshsniff::stream::reader::End;

    fn target(containers: &[&str]) -> Target {
        Target {
            containers: containers.iter().map(|id| (*id).to_owned()).collect(),
            ..Target::for_tests()
        }
    }

    fn ended(way: Way, reason: &str) -> Finished {
        let (reason, sentence) = (reason.to_owned(), String::new());
        Finished {
            target: target(&["a"]),
            way,
            last_word: Some(End { reason, sentence }),
            error: None,
        }
    }

    #[test]
    fn a_pod_is_captured_again_in_its_new_sandbox() {
        let mut known = Known::default();
        assert_eq!(known.see(&target(&["a"])), Seen::New);
        // A container that comes again in the same sandbox.
        assert_eq!(known.see(&target(&["b"])), Seen::Before);
        known.ended(&ended(WAYS[0], "target-gone"));
        // As it was before.
        assert_eq!(known.see(&target(&["a"])), Seen::Before);
        let mut deleted = target(&["c"]);
        deleted.ending = true;
        assert_eq!(known.see(&deleted), Seen::Before);
        let mut homeless = target(&["c"]);
        homeless.addresses.clear();
        assert_eq!(known.see(&homeless), Seen::Before);
        assert_eq!(known.see(&target(&["c"])), Seen::Again);
        assert_eq!(known.see(&target(&["c"])), Seen::Before);
    }

    #[test]
    fn only_the_end_of_its_sandbox_is_one_to_go_on_after() {
        let [pod, ephemeral] = WAYS;
        for (way, reason, seen) in [
            (pod, "target-gone", Seen::Again),
            (pod, "signal", Seen::Before),
            (pod, "count", Seen::Before),
            (ephemeral, "signal", Seen::Again),
            (ephemeral, "duration", Seen::Before),
        ] {
            let mut known = Known::default();
            known.see(&target(&["a"]));
            known.ended(&ended(way, reason));
            assert_eq!(known.see(&target(&["b"])), seen, "{way:?} {reason}");
        }
    }
}
