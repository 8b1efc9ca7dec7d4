//! The example does what it says.

use std::path::Path;
use std::process::Command;

#[test]
fn the_example_names_every_requests_verdict() {
    // Cargo builds the examples of a package for its tests.
    let tests = std::env::current_exe().expect("this program");
    let built = tests.parent().and_then(Path::parent).expect("its folder");
    let capture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata-pcaps/tutorial-envoy.pcap"
    );
    let output = Command::new(built.join("examples/analyse"))
        .arg(capture)
        .output()
        .expect("the example");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success());
    assert_eq!(printed.lines().count(), 7, "{printed}");
    assert!(
        printed.contains("/items?delay=2000: client-gave-up"),
        "{printed}"
    );
}
