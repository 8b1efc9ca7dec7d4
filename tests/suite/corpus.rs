//! The captures in `testdata-pcaps`: which there are, and their packets.
//!
//! `MESHSNIFF_CAPTURES=DIR` puts another folder in their place, for tests that need no ground
//! truth.

use meshsniff::capture::{CaptureReader, Input};
use meshsniff::testing::{Packet, keys};
use std::path::{Path, PathBuf};

/// Captures longer than this are left out where a test goes through one frame by frame.
const MAX_FRAMES: usize = 3_000;

/// The folder of the captures.
pub fn folder() -> PathBuf {
    std::env::var_os("MESHSNIFF_CAPTURES").map_or_else(own_folder, PathBuf::from)
}

/// The folder of the project's own captures with their ground truth: the one it keeps them in, or,
/// for `tests/fresh-captures`, where they were made anew.
pub fn own_folder() -> PathBuf {
    let kept = || Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata-pcaps");
    std::env::var_os("MESHSNIFF_FRESH_CAPTURES").map_or_else(kept, PathBuf::from)
}

/// The capture's name without `.gz` or `.zst`, if it has such an ending.
pub fn unpacked_name(name: &str) -> Option<&str> {
    name.strip_suffix(".gz")
        .or_else(|| name.strip_suffix(".zst"))
}

fn is_capture(name: &str) -> bool {
    let name = unpacked_name(name).unwrap_or(name);
    name.ends_with(".pcap") || name.ends_with(".pcapng")
}

/// Names of the capture files in a folder, sorted; compressed ones too.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a folder entry").file_name())
        .filter_map(|name| name.into_string().ok())
        .filter(|name| is_capture(name))
        .collect();
    names.sort();
    names
}

/// What a capture file holds, as far as it can be read.
pub fn packets(path: &Path) -> Vec<Packet> {
    let mut reader = CaptureReader::open(vec![Input::Path(path.into())])
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    reader.give_keys(keys());
    let mut packets = Vec::new();
    while let Some(frame) = reader.next() {
        let Ok(frame) = frame else { break };
        packets.push(frame.into());
    }
    packets
}

/// Every capture by its name, but for compressed copies and very long ones.
pub fn captures() -> Vec<(String, Vec<Packet>)> {
    let folder = folder();
    let names = names(&folder).into_iter();
    names
        .filter(|name| unpacked_name(name).is_none())
        .map(|name| (packets(&folder.join(&name)), name))
        .filter(|(packets, _)| packets.len() <= MAX_FRAMES)
        .map(|(packets, name)| (name, packets))
        .collect()
}
