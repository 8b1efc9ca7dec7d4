//! The program that is to run inside the image. Capturing is not part of this version: it says so.

use std::io::{self, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Nothing is left to do if nobody can be told.
    if std::env::args()
        .skip(1)
        .any(|arg| arg == "--version" || arg == "-V")
    {
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(io::stdout(), "meshsniff-agent {version}");
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(
        io::stderr(),
        "error: the agent that captures in a pod is not part of this version; capture with tcpdump in the pod \
         and pipe it: kubectl exec POD -- tcpdump -i lo -U -w - | kubectl meshsniff report -"
    );
    ExitCode::FAILURE
}
