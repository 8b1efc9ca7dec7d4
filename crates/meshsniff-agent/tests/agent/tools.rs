//! What of this machine the tests need, and waiting for it to do something.

use nix::sched::{CloneFlags, unshare};
use std::io::Write as _;
use std::panic::Location;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing here takes a tenth of it: who waits this long waits for ever.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(60);

/// How long a capture may take to end once something ended it.
pub(crate) const END: Duration = Duration::from_secs(5);

/// Programs and the Debian packages that have them.
pub(crate) type Tool = (&'static str, &'static str);
pub(crate) const IP: Tool = ("ip", "iproute2");
pub(crate) const TCPDUMP: Tool = ("tcpdump", "tcpdump");
pub(crate) const TSHARK: Tool = ("tshark", "tshark");
pub(crate) const CAPINFOS: Tool = ("capinfos", "wireshark-common");
pub(crate) const DUMPCAP: Tool = ("dumpcap", "wireshark-common");
pub(crate) const SETPRIV: Tool = ("setpriv", "util-linux");
pub(crate) const UNSHARE: Tool = ("unshare", "util-linux");

/// Whether a test can run that makes network namespaces and starts these programs. If not, it
/// should return: why is said, or a failure where `MESHSNIFF_REQUIRE_TOOLS=1`.
#[track_caller]
pub(crate) fn can(tools: &[Tool]) -> bool {
    if !rustix::process::geteuid().is_root() {
        return skip("root is needed");
    }
    let apart = thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok());
    if !apart.join().unwrap_or(false) {
        return skip("no network namespace can be made here");
    }
    let missing = tools.iter().find(|(tool, _)| !is_installed(tool));
    if let Some((tool, package)) = missing {
        return skip(&format!(
            "{tool} is not installed (Debian: apt-get install {package})"
        ));
    }
    true
}

fn is_installed(tool: &str) -> bool {
    // They differ in the way to ask for their version; that they can be started is enough.
    let mut command = Command::new(tool);
    command.arg("--version").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

/// Says that the test that called is left out, and why.
///
/// # Panics
/// If nothing may be left out.
#[track_caller]
pub(crate) fn skip(why: &str) -> bool {
    let required = std::env::var_os("MESHSNIFF_REQUIRE_TOOLS").is_some_and(|value| value == "1");
    assert!(
        !required,
        "{why}, and MESHSNIFF_REQUIRE_TOOLS=1 asks for everything"
    );
    let thread = thread::current();
    let file = Path::new(Location::caller().file()).file_stem();
    let file = file.and_then(|stem| stem.to_str()).unwrap_or("test");
    // The harness names threads for tests, unless there is only one.
    let what = thread.name().filter(|name| *name != "main").unwrap_or(file);
    // It keeps back what `eprintln!` writes in a test that passes, but not this.
    let _ = writeln!(std::io::stderr(), "SKIPPED agent {what}: {why}");
    false
}

/// Waits until `happened`, which cannot be waited for in any other way than by looking.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + FOR_EVER;
    while !happened() {
        assert!(Instant::now() < deadline, "it never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
