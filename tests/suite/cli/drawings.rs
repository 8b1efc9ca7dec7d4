//! Pictures of one exchange, and the capture as a drawing on a terminal.

use super::live_view::Terminal;
use super::{capture, folder, good, report, run};
use crate::tools;
use std::fs;

const ISTIO: &str = "tutorial-istio.pcap";

#[test]
fn a_picture_is_of_what_is_asked_for() {
    let file = capture("closes.pcap");
    let picture = |args: &[&str]| good(report(&file, &[&["-o", "svg"], args].concat()));
    // The worst problem and one of its exchanges, unless something else is said.
    let worst = picture(&[]);
    assert!(
        worst.starts_with("<svg ") && worst.ends_with("</svg>\n"),
        "{worst}"
    );
    assert!(worst.contains(">Problem 1: GET /chunked-cut,"), "{worst}");
    assert_eq!(worst, picture(&["--problem=1"]));
    let other = picture(&["--problem", "3"]);
    assert!(other.contains(">Problem 3: POST /items"), "{other}");
    assert!(
        other.contains("data-verdict=\"client-aborted-request\""),
        "{other}"
    );
    let exchange = picture(&["--exchange", "14"]);
    assert!(exchange.contains("data-of=\"exchange 14\""), "{exchange}");
    assert!(!exchange.contains("Problem"), "{exchange}");
    // A good one, too; a filter selects what there is to draw.
    assert!(picture(&["--exchange=0"]).contains("data-verdict=\"ok\""));
    let left = picture(&["--filter-http=verdict=client-gave-up"]);
    assert!(left.contains("data-verdict=\"client-gave-up\""), "{left}");
}

#[test]
fn a_picture_of_what_is_not_there_is_an_error() {
    let folder = folder();
    let path = folder.path().join("a.svg");
    let output = format!("svg={}", path.display());
    for (args, status, said) in [
        (
            &["--exchange=99"][..],
            1,
            "there is no exchange 99 among 14",
        ),
        (
            &["--problem=9"],
            1,
            "there is no problem 9; the report has 1 problem",
        ),
        (&["--problem=0"], 2, "0 is not in 1.."),
        (&["--problem=1", "--exchange=1"], 2, "cannot be used with"),
    ] {
        let run = report(&capture(ISTIO), &[&["-o", &output], args].concat());
        assert_eq!(run.status, Some(status), "{args:?}: {}", run.err);
        assert!(run.err.contains(said), "{args:?}: {}", run.err);
        assert!(!path.exists(), "{args:?}");
    }
    let alone = report(&capture(ISTIO), &["--exchange=1"]);
    assert_eq!(alone.status, Some(2));
    assert!(
        alone.err.contains("add -o svg=FILE") && alone.err.contains("follow"),
        "{}",
        alone.err
    );
    let help = good(run(&["report", "a.pcap", "-h"]));
    assert!(
        help.contains("--exchange <N>") && help.contains("--problem <N>"),
        "{help}"
    );
}

#[test]
fn without_a_problem_the_slowest_is_drawn_and_of_nothing_a_picture_that_says_so() {
    let fine = good(report(&capture("pipelining.pcap"), &["-o", "svg"]));
    assert!(
        fine.contains("data-verdict=\"ok\"") && !fine.contains("Problem"),
        "{fine}"
    );
    let nothing = report(&capture(ISTIO), &["-o", "svg", "--filter-http=path=/no"]);
    assert!(good(nothing).contains(">nothing to draw<"));
}

#[test]
fn a_terminal_shows_the_capture_as_a_drawing() {
    if !tools::need("tmux", "tmux") {
        return;
    }
    let program = env!("CARGO_BIN_EXE_kubectl-meshsniff");
    let file = capture("closes.pcap");
    let command = |more: &str| {
        let file = file.display();
        format!(
            "bash -c \"{more} '{program}' report --limit 1 --slowest 0 '{file}'; echo status \\$?; exec sleep 600\""
        )
    };
    let screen = Terminal::start("drawing", &command("")).shows("status 0");
    let legend = "⣿ 10 went well   × 5 left by the client   ▲ 7 broken off by the server";
    let axis = screen.find("└┴──").expect("an axis of time");
    assert!(screen[axis..].contains(legend), "{screen}");
    // Behind the problems, before the figures, and as wide as 80 columns.
    let problems = screen.find("next: ").expect("a next step");
    let figures = screen.find("counted").expect("figures");
    assert!(problems < axis && axis < figures, "{screen}");
    let drawn = screen[problems..figures].lines().skip(1);
    let widest = drawn.map(|line| line.trim_end().chars().count()).max();
    assert!(
        widest.is_some_and(|widest| widest > 60 && widest <= 80),
        "{widest:?}"
    );
    let narrow = Terminal::start("narrow", &command("COLUMNS=60")).shows("status 0");
    assert!(narrow.contains("left by the client"), "{narrow}");
    for line in narrow.lines().filter(|line| line.contains(['│', '└'])) {
        assert!(line.trim_end().chars().count() <= 60, "{line}");
    }
    // Of a few exchanges nothing would be learnt, and whatever is no terminal gets none.
    let few = format!("'{program}' report '{}'", capture(ISTIO).display());
    let few = format!("bash -c \"{few}; echo status \\$?; exec sleep 600\"");
    let few = Terminal::start("few", &few).shows("status 0");
    assert!(!few.contains('└'), "{few}");
    let piped = good(report(&file, &["--color=always"]));
    assert!(!piped.contains('└'), "{piped}");
    let written = folder();
    let path = written.path().join("a.txt");
    let output = format!("text={}", path.display());
    good(report(&file, &["-o", &output]));
    assert!(!fs::read_to_string(path).expect("a report").contains('└'));
}
