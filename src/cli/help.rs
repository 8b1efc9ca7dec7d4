//! Short help that fits what packets come from: a file, a target in a cluster, this machine.
//!
//! `--help` shows every option of a command, `-h` those that what was typed can take.

use super::report::is_file;
use super::typed::Typed;
use clap::{Arg, Command};
use std::path::Path;

/// Origin of packets, as far as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Unknown,
    File,
    Stdin,
    Target,
    ThisMachine,
}

impl Origin {
    fn of(typed: &Typed<'_>) -> Self {
        let is_report = typed.command.get_name() == "report";
        let local = ["local", "pid", "netns"].iter().any(|id| typed.has(id));
        match typed.plain.first() {
            Some(first) if first == "-" && is_report => Self::Stdin,
            Some(first) if is_report && is_file(Path::new(first)) => Self::File,
            Some(_) => Self::Target,
            None if typed.has("selector") => Self::Target,
            None if local || typed.has("container") => Self::ThisMachine,
            None => Self::Unknown,
        }
    }

    /// Whether an option has a meaning for packets of this origin; as long as nothing is named,
    /// whether it has one for most.
    fn takes(self, is_report: bool, arg: &Arg) -> bool {
        let heading = arg.get_help_heading().unwrap_or_default();
        match (self, heading, arg.get_id().as_str()) {
            (Self::Target, heading, _) => heading != "Capturing on this machine",
            (_, _, "until_findings") => false,
            (Self::Unknown, "The exchanges", "redact") | (Self::File, _, "live") => false,
            (Self::Stdin, _, "write") => false,
            (Self::ThisMachine, _, "write") => !is_report,
            (_, "" | "The report" | "The exchanges" | "Assertions", _) => true,
            (Self::ThisMachine, "The target", id) => id == "container",
            (Self::ThisMachine, "The packets" | "Capturing on this machine", _) => true,
            (Self::Unknown, "The packets" | "The target", _) => !is_report,
            _ => false,
        }
    }
}

/// Returns the root of the command line, with a short help that fits the words that the program was
/// started with.
pub(super) fn fitted(root: impl Fn() -> Command) -> Command {
    let words = std::env::args_os().skip(1);
    let words: Vec<_> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    // Nobody else sees it.
    if words.is_empty() || words.iter().any(|word| word == "-h") {
        fit(root, &words)
    } else {
        root()
    }
}

fn fit(root: impl Fn() -> Command, words: &[String]) -> Command {
    let mut built = root();
    built.build();
    let typed = Typed::read(&built, words);
    let (name, origin) = (typed.command.get_name(), Origin::of(&typed));
    match name {
        "report" => root().mut_subcommand("report", |command| shortened(command, origin)),
        "capture" => root().mut_subcommand("capture", |command| shortened(command, origin)),
        _ if std::ptr::eq(typed.command, &built) => shortened(root(), origin),
        _ => root(),
    }
}

/// What `report -h` says while nothing is named: one screen of what most people need.
const REPORT: &str = "\
Time and judge every HTTP request of a target, live, or of captures

Usage: kubectl meshsniff report [OPTIONS] [TARGET|FILE]...

  TARGET               pod, or TYPE/NAME such as deploy/catalog
  FILE                 captures, or folders of them; - is standard input

  -o FORMAT[=FILE]     text, json, jsonl, junit, markdown, html, csv, har, svg
  --live               watch the figures while packets come
  --all                a timeline of every exchange, not one of each problem
  --filter-http TERMS  only exchanges that match: 'path=/items* status=5xx'
  --fail-on ASSERTION  exit status 3 if it holds: problems, 'not-ok>1%'
  --require CONDITION  exit status 3 unless it holds: 'p99(total)<=250ms'
  -w FILE              write the packets, too, with the verdicts as comments

";

fn shortened(command: Command, origin: Origin) -> Command {
    let is_report = command.get_name() == "report";
    let name = if is_report { " report" } else { "" };
    let more = [
        (
            is_report && !matches!(origin, Origin::File | Origin::Stdin),
            "FILE -h",
            "what a report of captures takes",
        ),
        (
            origin != Origin::Target,
            "TARGET -h",
            "of a target in a cluster",
        ),
        (
            origin != Origin::ThisMachine,
            "--local -h",
            "on this machine, without a cluster",
        ),
        (true, "--help", "everything, explained"),
    ];
    let mut text = String::from("More help:");
    for (_, typed, what) in more.iter().filter(|(shown, ..)| *shown) {
        text.push_str(&format!("\n  kubectl meshsniff{name} {typed:<11} {what}"));
    }
    if is_report && origin == Origin::Unknown {
        return command.override_help(format!("{REPORT}{text}"));
    }
    let command = command.mut_args(|arg| {
        let hidden = !origin.takes(is_report, &arg);
        arg.hide_short_help(hidden)
    });
    // Of the long help this would be no news.
    let long = command.get_after_long_help().cloned().unwrap_or_default();
    command.after_help(text).after_long_help(long)
}

#[cfg(test)]
mod tests {
    use super::super::root::Cli;
    use super::*;
    use clap::CommandFactory as _;

    /// The short help of what is typed.
    fn help(typed: &[&str]) -> String {
        let words: Vec<String> = typed.iter().map(|&word| word.to_owned()).collect();
        let command = fit(Cli::command, &words).no_binary_name(true);
        let shown = command.try_get_matches_from(words).expect_err("help");
        shown.to_string()
    }

    #[test]
    fn short_help_fits_what_was_typed() {
        for (typed, shown, hidden) in [
            (
                &["report", "a.pcap", "-h"][..],
                &["--fail-on", "--write", "--redact"][..],
                &["--namespace", "--interface", "--live"][..],
            ),
            (&["report", "-", "-h"], &["--live"], &["--write", "--mode"]),
            (
                &["report", "-h", "deploy/a"],
                &["--redact", "--namespace", "--mode", "--interface"],
                &["--netns"],
            ),
            (
                &["report", "--pid=1", "-h"],
                &["--netns", "--container", "--filter <"],
                &["--namespace", "--mode", "--write"],
            ),
            (
                &["report", "-h"],
                &["TARGET -h", "FILE -h", "--local -h"],
                &["--namespace", "--netns", "--redact"],
            ),
            (
                &["capture", "-h", "pod/a"],
                &["--namespace", "--dry-run"],
                &["--netns"],
            ),
            (
                &["-h"],
                &["--selector", "--filter <"],
                &["--mode", "--netns"],
            ),
        ] {
            let text = help(typed);
            for option in shown {
                assert!(text.contains(option), "{typed:?}: {option}\n{text}");
            }
            for option in hidden {
                assert!(!text.contains(option), "{typed:?}: {option}\n{text}");
            }
        }
    }

    #[test]
    fn what_report_takes_fits_a_screen() {
        let text = help(&["report", "-h"]);
        assert!(text.lines().count() <= 24, "{text}");
        let mut root = Cli::command();
        root.build();
        let report = root.find_subcommand("report").expect("a command");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            let option = line.trim_start().split(' ').next().unwrap_or_default();
            let known = report.get_arguments().any(|arg| {
                let long = arg.get_long().map(|long| format!("--{long}"));
                let short = arg.get_short().map(|short| format!("-{short}"));
                [long, short].into_iter().flatten().any(|one| one == option)
            });
            assert!(known || !option.starts_with('-'), "{line}");
        }
    }

    #[test]
    fn every_option_is_in_the_short_help_of_something() {
        let mut root = Cli::command();
        root.build();
        for name in ["report", "capture"] {
            let command = root.find_subcommand(name).expect("a command");
            let origins = [
                Origin::Unknown,
                Origin::File,
                Origin::Stdin,
                Origin::Target,
                Origin::ThisMachine,
            ];
            for arg in command.get_arguments() {
                let mut takers = origins.iter();
                let taken = takers.any(|origin| origin.takes(name == "report", arg));
                assert!(taken, "{name}: {arg}");
            }
        }
    }
}
