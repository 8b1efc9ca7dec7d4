//! The docs show what the program prints, their links lead somewhere, and the manifests name its
//! version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The Markdown files in a folder; those in `expected` are printed by the program.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "target" || name == "expected" {
            continue;
        }
        if path.is_dir() {
            found.extend(pages(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// The lines of a page that are no code block, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// Whether a page has a heading to which GitHub gives this anchor.
fn has_anchor(text: &str, anchor: &str) -> bool {
    prose(text).any(|(_, line)| {
        let heading = line.trim_start_matches('#');
        let kept = heading.trim().chars().filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
        });
        heading.len() < line.len() && kept.eq(anchor.chars())
    })
}

/// All of a folder's sources as one text.
fn sources(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_attack_has_its_test() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/security.md")).expect("the page");
    let mut code = String::new();
    for folder in ["src", "crates", "tests"] {
        sources(&Path::new(ROOT).join(folder), &mut code);
    }
    let mut count = 0;
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let tests = row.trim_end_matches(['|', ' ']).rsplit(" | ").next();
        for test in tests.unwrap_or_default().split('`').skip(1).step_by(2) {
            count += 1;
            let is_there =
                code.contains(&format!("fn {test}(")) || code.contains(&format!("\"{test}\""));
            assert!(is_there, "there is no test {test:?}");
        }
    }
    assert!(count > 30, "{count} tests");
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages(Path::new(ROOT)) {
        let text = fs::read_to_string(&page).expect("a page");
        for (number, line) in prose(&text) {
            let links = line.split("](").skip(1);
            for link in links.filter_map(|rest| rest.split(')').next()) {
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = match file {
                    "" => page.clone(),
                    _ => page.with_file_name(file),
                };
                let leads = link.contains("://")
                    || target.exists() && anchor.is_empty()
                    || fs::read_to_string(&target).is_ok_and(|text| has_anchor(&text, anchor));
                if !leads {
                    broken.push(format!("{}:{number}: {link}", page.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn prose_ends_at_100_columns() {
    let mut long = Vec::new();
    for page in pages(Path::new(ROOT)) {
        let text = fs::read_to_string(&page).expect("a page");
        // Neither a table's row nor an address can be broken.
        let lines = prose(&text).filter(|(_, line)| {
            let is_whole = line.starts_with('|') || line.contains("]: https://");
            !is_whole && line.chars().count() > 100
        });
        long.extend(lines.map(|(number, _)| format!("{}:{number}", page.display())));
    }
    assert!(long.is_empty(), "longer than 100 columns: {long:#?}");
}

#[test]
fn the_example_is_what_is_printed() {
    let root = Path::new(ROOT);
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("a file of the project");
    let readme = read("README.md");
    let printed = read("tests/golden/expected/tutorial-envoy.pcap.report.txt");
    let (shown, _) = printed
        .split_once("\nSlowest of the good ones")
        .expect("a list of the slowest");
    // The README's command names the file from the top folder, the golden files' from its own.
    let shown = shown.replace("tutorial-envoy.pcap", "testdata-pcaps/tutorial-envoy.pcap");
    assert!(
        readme.contains(shown.trim_end()),
        "the README shows something else than:\n{shown}"
    );
}

#[test]
fn the_picture_is_what_is_drawn() {
    let root = Path::new(ROOT);
    let readme = fs::read_to_string(root.join("README.md")).expect("the README");
    let command = "report testdata-pcaps/tutorial-envoy.pcap -o svg";
    assert!(
        readme.contains(command),
        "the README does not say {command}"
    );
    assert!(readme.contains("](docs/client-gave-up.svg)"));
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-meshsniff"))
        .current_dir(root)
        .args(command.split(' '))
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(0));
    let drawn = String::from_utf8(output.stdout).expect("text");
    let path = root.join("docs/client-gave-up.svg");
    if std::env::var_os("MESHSNIFF_BLESS").is_some_and(|value| value == "1") {
        fs::write(path, drawn).expect("a file");
        return;
    }
    let shown = fs::read_to_string(path).expect("the picture");
    assert!(
        shown == drawn,
        "docs/client-gave-up.svg is another picture: MESHSNIFF_BLESS=1 cargo test --test suite \
         picture_is_what"
    );
}

#[test]
fn the_comparison_is_what_is_printed() {
    let root = Path::new(ROOT);
    let page = fs::read_to_string(root.join("docs/comparing.md")).expect("the page");
    let (_, command) = page
        .split_once("$ cargo run -- compare ")
        .expect("the command");
    let (command, _) = command.split_once("\n```").expect("its end");
    let words = command.replace("\\\n", " ");
    // Words in quotes have blanks in them.
    let words = words.split('\'').enumerate().flat_map(|(index, part)| {
        if index % 2 == 1 {
            vec![part]
        } else {
            part.split_whitespace().collect()
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-meshsniff"))
        .current_dir(root)
        .env_remove("COLUMNS")
        .arg("compare")
        .args(words)
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(3));
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(
        page.contains(printed.trim_end()),
        "docs/comparing.md shows something else than:\n{printed}"
    );
}

#[test]
fn the_job_for_ci_runs_this_version() {
    let root = Path::new(ROOT);
    let job = fs::read_to_string(root.join("manifests/ci/job.yaml")).expect("the Job");
    let image = format!("image: kubectl-meshsniff:{}\n", env!("CARGO_PKG_VERSION"));
    assert!(job.contains(&image), "it does not say {image}");
}
