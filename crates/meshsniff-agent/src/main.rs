//! The program inside the image.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    meshsniff_agent::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    use std::io::Write as _;
    // Nothing is left to do if nobody can be told.
    let _ = writeln!(
        std::io::stderr(),
        "error: the agent captures on Linux only: run it in its image"
    );
    ExitCode::FAILURE
}
