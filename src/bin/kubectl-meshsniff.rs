//! The kubectl plugin.

use std::process::ExitCode;

fn main() -> ExitCode {
    meshsniff::cli::main()
}
