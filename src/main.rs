//! The kubectl plugin.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl_meshsniff::cli::main()
}
