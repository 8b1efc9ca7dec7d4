//! What somebody meant who typed something else: the next step instead of a refusal.

use super::report::{folder, is_file};
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::path::Path;

/// How alike a word and a command are at least, of 1, where a capture file follows.
const ALIKE: f64 = 0.7;

/// A sentence for targets of a capture that are none: a file, or a command that was misspelt.
pub(super) fn by_targets(root: &Command, targets: &[String]) -> Option<String> {
    let (first, others) = targets.split_first()?;
    // Files and folders may have the names of pods.
    let path = Path::new(first);
    let folder = path.is_dir();
    let told = first.contains(['/', '.']) || folder::is_capture(path);
    if is_file(path) && told {
        let what = if folder { "a folder" } else { "a capture file" };
        return Some(format!(
            "{first} is {what}: kubectl meshsniff report {first} reports on it"
        ));
    }
    if first == "version" {
        return Some(
            "kubectl meshsniff --version prints the version; a pod of that name is pod/version"
                .to_owned(),
        );
    }
    let names = root.get_subcommands().map(Command::get_name);
    let alike = names.map(|name| (strsim::normalized_damerau_levenshtein(first, name), name));
    let (how, name) = alike.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    let file = others.iter().any(|other| is_file(Path::new(other)));
    let likely = if file {
        how >= ALIKE
    } else {
        is_slip(first, name)
    };
    if !likely || first.contains('/') {
        return None;
    }
    let command = [&[name.to_owned()], others].concat().join(" ");
    Some(if file {
        format!("there is no command {first}: did you mean kubectl meshsniff {command}?")
    } else {
        format!(
            "there is no command {first}: did you mean kubectl meshsniff {command}? A pod of that \
             name is pod/{first}"
        )
    })
}

/// Whether a word is a command with two letters changed over, or one left out: no pod is called so by
/// chance.
fn is_slip(word: &str, command: &str) -> bool {
    let letters = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    let once = strsim::damerau_levenshtein(word, command) == 1;
    once && (word.len() < command.len() || letters(word) == letters(command))
}

/// A sentence for an option that other tools have and this one calls something else.
pub(super) fn by_option(error: &clap::Error) -> Option<String> {
    const FORMATS: [&str; 9] = [
        "text", "json", "jsonl", "junit", "markdown", "html", "csv", "har", "svg",
    ];
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let name = typed.strip_prefix("--")?;
    let format = FORMATS.into_iter().find(|format| *format == name)?;
    Some(format!(
        "there is no option --{name}: -o {format} is a report as {format}, -o {format}=FILE into a \
         file"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::root::Cli;
    use clap::{CommandFactory as _, Parser as _};

    fn meant(targets: &[&str]) -> Option<String> {
        let targets: Vec<String> = targets.iter().map(|&target| target.into()).collect();
        by_targets(&Cli::command(), &targets)
    }

    #[test]
    fn a_file_is_reported_on() {
        let said = meant(&["./a/ut.pcap.gz"]).expect("a sentence");
        assert!(
            said.contains("kubectl meshsniff report ./a/ut.pcap.gz"),
            "{said}"
        );
        let said = meant(&["./src"]).expect("a sentence");
        assert!(said.starts_with("./src is a folder"), "{said}");
    }

    #[test]
    fn a_command_that_was_misspelt_is_named() {
        for (typed, right) in [
            (
                &["reprot", "ut.pcap"][..],
                "kubectl meshsniff report ut.pcap?",
            ),
            (
                &["anotate", "ut.pcap"],
                "kubectl meshsniff annotate ut.pcap?",
            ),
            (&["docter", "ut.pcap"], "kubectl meshsniff doctor ut.pcap?"),
            (
                &["reprot"],
                "kubectl meshsniff report? A pod of that name is pod/reprot",
            ),
            (&["compar"], "kubectl meshsniff compare? A pod"),
            (&["version"], "--version"),
        ] {
            let said = meant(typed).unwrap_or_else(|| panic!("nothing is said of {typed:?}"));
            assert!(said.contains(right), "{said}");
        }
    }

    #[test]
    fn pods_are_pods() {
        for target in [
            "catalog-7d9f",
            "deploy/report",
            "pod/reprot",
            "api",
            "web-0",
        ] {
            assert_eq!(meant(&[target]), None, "{target}");
        }
    }

    #[test]
    fn a_format_is_no_option() {
        let error = Cli::try_parse_from(["kubectl-meshsniff", "report", "a.pcap", "--json"]);
        let said = by_option(&error.expect_err("no such option")).expect("a sentence");
        assert!(said.contains("-o json is"), "{said}");
        let error = Cli::try_parse_from(["kubectl-meshsniff", "report", "a.pcap", "--jsno"]);
        assert_eq!(by_option(&error.expect_err("no such option")), None);
    }
}
