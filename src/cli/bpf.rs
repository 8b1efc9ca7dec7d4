//! Checks whether `--filter` is an expression at all, before anything is made in the cluster.
//!
//! Compiling an expression takes libpcap, which the plugin is built without. tcpdump or Wireshark's
//! dumpcap is asked where it is installed. Otherwise the agent complains when it is to capture.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use thiserror::Error;

/// Longest time for a program to answer: a name in an expression makes it ask name servers.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two checks whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// An expression that every libpcap takes: a program that refuses this one cannot tell.
const SOUND: &str = "tcp";

/// An expression that does not compile: wrong usage.
#[derive(Debug, Error)]
#[error("the filter «{filter}» does not compile: {words}; see pcap-filter(7)")]
pub(super) struct BadFilter {
    filter: String,
    words: String,
}

/// Answer of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Sound,
    /// It does not compile, in libpcap's words.
    Bad(String),
    /// No answer.
    Unknown,
}

/// Checks an expression, if a program here can.
///
/// # Errors
/// If it does not compile.
pub(super) fn check(filter: Option<&str>) -> Result<(), BadFilter> {
    let filter = filter.unwrap_or_default();
    if filter.trim().is_empty() {
        return Ok(());
    }
    let asked: [fn(&str) -> Answer; 2] = [tcpdump, dumpcap];
    let mut answers = asked.iter().map(|ask| ask(filter));
    match answers.find(|answer| *answer != Answer::Unknown) {
        Some(Answer::Bad(words)) if !is_of_this_machine(&words) => Err(BadFilter {
            filter: filter.to_owned(),
            words,
        }),
        _ => Ok(()),
    }
}

/// Whether libpcap's complaint is about this machine, not the expression: another system, or a live
/// capture's link layer, may support it.
fn is_of_this_machine(words: &str) -> bool {
    words.contains("supported") || words.contains("not available")
}

/// Asks tcpdump, which opens no interface for this and needs no rights.
fn tcpdump(filter: &str) -> Answer {
    // What is behind -- is no option, whatever it begins with.
    let ask = |filter: &str| said_by("tcpdump", &["-d", "-y", "EN10MB", "--", filter]);
    match ask(filter) {
        Some((true, _)) => Answer::Sound,
        // Old ones want an interface, and a right to it.
        Some((false, said)) if matches!(ask(SOUND), Some((true, _))) => of_tcpdump(&said),
        _ => Answer::Unknown,
    }
}

/// Finds libpcap's words in tcpdump's output: its last line.
fn of_tcpdump(said: &str) -> Answer {
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    match last.and_then(|line| line.split_once(": ")) {
        Some((_, words)) => Answer::Bad(words.trim().to_owned()),
        None => Answer::Unknown,
    }
}

/// Asks Wireshark's dumpcap, which answers only if it may capture.
fn dumpcap(filter: &str) -> Answer {
    match said_by("dumpcap", &["-d", "-f", filter]) {
        Some((_, said)) => of_dumpcap(&said),
        None => Answer::Unknown,
    }
}

/// Finds libpcap's words in dumpcap's output. Its exit status is always that of success.
fn of_dumpcap(said: &str) -> Answer {
    const INVALID: &str = "isn't a valid capture filter (";
    let words = said.split_once(INVALID).and_then(|(_, rest)| {
        let line = rest.lines().next()?;
        line.strip_suffix(").").or_else(|| line.strip_suffix(')'))
    });
    match words {
        Some(words) => Answer::Bad(words.to_owned()),
        // Whether it is sound is not worth knowing: the agent looks again.
        None => Answer::Unknown,
    }
}

/// Runs a program: whether it succeeded, and its stderr; `None` if it is missing or too slow.
fn said_by(program: &str, args: &[&str]) -> Option<(bool, String)> {
    let path = find(program, &std::env::var_os("PATH")?)?;
    let child = Command::new(path)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let output = wait(child)?.wait_with_output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some((output.status.success(), said))
}

/// Waits for the end of a child, whose output is too short to need a reader meanwhile.
fn wait(mut child: Child) -> Option<Child> {
    let mut left = PATIENCE;
    while child.try_wait().ok()?.is_none() {
        if left.is_zero() {
            // It has had its time, and nobody waits for what becomes of it.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(LOOK);
        left = left.saturating_sub(LOOK);
    }
    Some(child)
}

/// Finds a program in the folders of a `PATH`, never in the working directory, where a search by
/// name alone may find one.
fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    folders
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tcpdump_says() {
        let bad = |words: &str| Answer::Bad(words.to_owned());
        let said = "tcpdump: can't parse filter expression: syntax error\n";
        let words = "can't parse filter expression: syntax error";
        assert_eq!(of_tcpdump(said), bad(words));
        let said = "Warning: assuming Ethernet\ntcpdump: unknown port '80x'\n";
        assert_eq!(of_tcpdump(said), bad("unknown port '80x'"));
        assert_eq!(of_tcpdump(""), Answer::Unknown);
    }

    #[test]
    fn what_dumpcap_says() {
        let said = "Capturing on 'eth0'\ndumpcap: Invalid capture filter \"tcp prt 80\" for \
                    interface 'eth0'.\n\nThat string isn't a valid capture filter (can't parse \
                    filter expression: syntax error).\nSee the User's Guide.\n";
        let words = "can't parse filter expression: syntax error".to_owned();
        assert_eq!(of_dumpcap(said), Answer::Bad(words));
        let said = "dumpcap: You do not have permission to capture on device \"eth0\".\n(socket: \
                    Operation not permitted)\n";
        assert_eq!(of_dumpcap(said), Answer::Unknown);
    }

    #[test]
    fn what_another_machine_may_take_is_no_error() {
        assert!(is_of_this_machine("ifname supported only on PF linktype"));
        assert!(!is_of_this_machine("syntax error"));
        assert!(check(Some("ifname lo")).is_ok());
        assert!(check(Some("inbound")).is_ok());
        assert!(check(None).is_ok());
        assert!(check(Some(" ")).is_ok());
        assert!(check(Some("tcp port 80 and host 10.0.0.1")).is_ok());
    }

    #[test]
    fn every_program_that_is_here_agrees() {
        for ask in [tcpdump, dumpcap] {
            let answers = [ask("tcp prt 80"), ask("-w /tmp/x"), ask("tcp port 80")];
            if answers[0] == Answer::Unknown {
                continue;
            }
            assert!(
                matches!(&answers[0], Answer::Bad(words) if words.contains("syntax error")),
                "{answers:?}"
            );
            assert!(matches!(&answers[1], Answer::Bad(_)), "{answers:?}");
            assert!(!matches!(&answers[2], Answer::Bad(_)), "{answers:?}");
        }
    }

    #[test]
    fn no_program_of_the_working_directory_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let program = format!("tcpdump{}", std::env::consts::EXE_SUFFIX);
        std::fs::write(folder.path().join(program), "").unwrap();
        let here = std::env::join_paths(["", "."]).unwrap();
        assert_eq!(find("tcpdump", &here), None);
        assert!(find("tcpdump", folder.path().as_os_str()).is_some());
    }
}
