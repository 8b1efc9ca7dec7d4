//! Writes an input of `conversation` or `missing_frame` as a capture file, to be opened:
//!
//! ```text
//! cargo +nightly run --example as_pcap -- missing_frame INPUT OUT.pcap
//! ```

use meshsniff::testing::pcap;
use meshsniff_fuzz::{conversation, missing_frame};
use std::{env, fs, io, process};

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [target, input, out] = args.as_slice() else {
        eprintln!("usage: as_pcap conversation|missing_frame INPUT OUT.pcap");
        process::exit(2);
    };
    let data = fs::read(input)?;
    let packets = match target.as_str() {
        "conversation" => conversation::packets(&data),
        _ => missing_frame::packets(&data),
    };
    fs::write(out, pcap(&packets))
}
