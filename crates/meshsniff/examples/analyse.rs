//! Says what became of every request in a capture file.
//!
//!     cargo run -p meshsniff --example analyse testdata-pcaps/tutorial-envoy.pcap

#![allow(clippy::print_stdout, reason = "it is what the example is for")]

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("name a capture file")?;
    let mut lines = Vec::new();
    let analysed = meshsniff::analyse(&file, |exchange| {
        let path = exchange.path.as_deref().unwrap_or("?");
        lines.push(format!("{path}: {}", exchange.verdict));
    })?;
    lines.extend(analysed.errors.iter().map(ToString::to_string));
    println!("{}", lines.join("\n"));
    Ok(())
}
