//! The program in `examples/` does what it says, of whole captures and of cut ones.

use std::path::Path;
use std::process::Command;

/// What `examples/analyse.rs` prints of a capture.
fn analysed(file: &Path) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--example", "analyse", "--"])
        .arg(file)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_example_analyses_a_file_and_what_is_left_of_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata-pcaps");
    let whole = folder.join("tutorial-envoy.pcap");
    let out = analysed(&whole);
    assert!(out.contains(": client-gave-up"), "{out}");
    let bytes = std::fs::read(whole).expect("a capture");
    let cut = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(cut.path(), &bytes[..bytes.len() - 1]).expect("a file");
    let out = analysed(cut.path());
    assert!(out.contains("/items: "), "{out}");
    assert!(out.contains("is cut short in the middle of frame"), "{out}");
}
