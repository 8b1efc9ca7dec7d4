//! A folder in the place of captures: all captures below it.

use crate::cli::options::Misuse;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Folders in folders that are looked into.
const DEEPEST: usize = 16;
/// Captures of one report.
const MOST: usize = 500;

/// Puts the captures below a folder in the folder's place, sorted by name.
///
/// # Errors
/// If a folder cannot be read, or has no capture, or more than one report takes.
pub(super) fn opened(inputs: Vec<PathBuf>) -> Result<Vec<PathBuf>, Misuse> {
    let mut all = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            all.push(input);
            continue;
        }
        let mut below = Vec::new();
        walk(&input, DEEPEST, &mut below)?;
        if below.is_empty() {
            let name = input.display().to_string();
            let pod = match name.contains('/') {
                true => String::new(),
                false => format!("; a pod of that name is pod/{name}"),
            };
            return Err(Misuse(format!(
                "there is no capture below {name}: name a file{pod}"
            )));
        }
        below.sort();
        all.extend(below);
    }
    if all.len() > MOST {
        return Err(Misuse(format!(
            "{} captures are more than one report takes: name {MOST} at most",
            all.len()
        )));
    }
    Ok(all)
}

fn walk(folder: &Path, deeper: usize, found: &mut Vec<PathBuf>) -> Result<(), Misuse> {
    let unreadable = |error| {
        Misuse(format!(
            "the folder {} cannot be read: {error}",
            folder.display()
        ))
    };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let path = entry.path();
        // A link may lead in a circle, and its file is found where it lies.
        if kind.is_dir() {
            if deeper > 0 {
                walk(&path, deeper - 1, found)?;
            }
        } else if kind.is_file() && is_capture(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file is a capture by its first bytes, or by its name if it is compressed.
pub(in crate::cli) fn is_capture(path: &Path) -> bool {
    const CAPTURES: [[u8; 4]; 5] = [
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0x4d, 0x3c, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
        [0x0a, 0x0d, 0x0d, 0x0a],
    ];
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_ascii_lowercase());
    let name = name.unwrap_or_default();
    if [".gz", ".zst"].iter().any(|end| name.ends_with(end)) {
        return name.contains(".pcap") || name.contains(".cap");
    }
    let mut first = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && CAPTURES.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capture_below_a_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("b/c")).unwrap();
        for (name, bytes) in [
            ("b/c/rotated.7", &b"\x0a\x0d\x0d\x0a more"[..]),
            ("a.pcap", b"\xd4\xc3\xb2\xa1 more"),
            ("b/z.pcap.gz", b"\x1f\x8b"),
            ("notes.txt", b"none"),
            ("b/log.gz", b"\x1f\x8b"),
            ("empty.pcap", b""),
        ] {
            fs::write(at(name), bytes).unwrap();
        }
        let found = opened(vec![at("notes.txt"), folder.path().to_owned()]).unwrap();
        let expected = ["notes.txt", "a.pcap", "b/c/rotated.7", "b/z.pcap.gz"].map(at);
        assert_eq!(found, expected);
        let none = at("none");
        fs::create_dir(&none).unwrap();
        let error = opened(vec![none]).unwrap_err().to_string();
        assert!(error.contains("there is no capture below"), "{error}");
    }
}
