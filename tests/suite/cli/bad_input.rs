//! What cannot be read, or only in part: one sentence, and what to do next.

use super::{
    Run, capture, exchanges, file, folder, good, json, nothing_reported, report, report_stdin,
};
use meshsniff::testing::files::{PcapFile, PcapNgFile};
use meshsniff::testing::{CLIENT, SERVER, TcpSegment, wrap};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The complaint of a run that went wrong: exit status 1, and one line that names the file and the
/// next step.
fn complaint<'a>(run: &'a Run, file: &Path, next_step: &str) -> &'a str {
    assert_eq!(run.status, Some(1), "{}", run.err);
    let line = run.err.strip_suffix('\n').expect("a whole line");
    let sentence = line.strip_prefix("error: ").expect("an error");
    assert!(!sentence.contains('\n'), "more than one line: {sentence}");
    assert!(
        sentence.contains(next_step),
        "“{next_step}” is not in: {sentence}"
    );
    let name = file.to_string_lossy();
    assert!(
        sentence.starts_with(&*name) || sentence.contains(&format!(" {name}")),
        "whose error? {sentence}"
    );
    sentence
}

#[test]
fn a_text_file_is_no_capture() {
    let folder = folder();
    let notes = file(&folder, "notes.txt", b"dear diary, today I met a pcap\n");
    let run = report(&notes, &[]);
    let sentence = complaint(&run, &notes, "pcap and pcapng can be read");
    assert!(sentence.contains("looks like text"), "{sentence}");
    nothing_reported(&run);
}

#[test]
fn an_empty_file_holds_nothing() {
    let folder = folder();
    let empty = file(&folder, "empty.pcap", b"");
    let run = report(&empty, &[]);
    complaint(&run, &empty, "is empty: nothing was captured");
    nothing_reported(&run);
    let run = report_stdin(&empty, &[]);
    complaint(&run, Path::new("standard input"), "is empty");
}

#[test]
fn a_folder_is_the_captures_below_it() {
    let folder = folder();
    let run = report(folder.path(), &[]);
    assert_eq!(run.status, Some(2));
    assert!(run.err.contains("there is no capture below"), "{}", run.err);
    nothing_reported(&run);
    let below = folder.path().join("b/c");
    fs::create_dir_all(&below).expect("folders");
    fs::write(folder.path().join("notes.txt"), "no capture").expect("a file");
    for name in ["resets.pcap", "closes.pcap"] {
        fs::copy(capture(name), below.join(name)).expect("a copy");
    }
    let document = json(&good(report(folder.path(), &["-o", "json"])));
    let sources = document["sources"].as_array().expect("sources");
    assert_eq!(sources.len(), 2);
    // Names in a text are as short as they can be.
    let text = good(report(folder.path(), &[]));
    assert!(text.starts_with("closes.pcap, resets.pcap   "), "{text}");
    assert!(text.contains("  closes.pcap   "), "a row for each: {text}");
}

#[test]
fn a_missing_file_is_named() {
    let folder = folder();
    let missing = folder.path().join("missing.pcap");
    let run = report(&missing, &[]);
    complaint(&run, &missing, "check the path");
    nothing_reported(&run);
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let secret = file(&folder, "secret.pcap", b"");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("permissions");
    if File::open(&secret).is_ok() {
        // Past the harness, which keeps back what a test prints that passes.
        let reason =
            "SKIPPED cli, a file that may not be read: this user may read every file (root?)";
        let _ = writeln!(std::io::stderr(), "{reason}");
        return;
    }
    let run = report(&secret, &[]);
    complaint(&run, &secret, "change its permissions");
    nothing_reported(&run);
}

/// Link type 147 is for private use.
fn of_unknown_link(folder: &TempDir) -> PathBuf {
    let mut bytes = fs::read(capture("tls.pcap")).expect("a capture");
    bytes[20..24].copy_from_slice(&147_u32.to_le_bytes());
    file(folder, "user0.pcap", &bytes)
}

#[test]
fn an_unknown_link_type() {
    let folder = folder();
    let unknown = of_unknown_link(&folder);
    let run = report(&unknown, &[]);
    complaint(
        &run,
        &unknown,
        "capture on an Ethernet or loopback interface",
    );
    nothing_reported(&run);
}

#[test]
fn a_pcapng_file_of_unknown_link_types_is_as_much_of_an_error() {
    let folder = folder();
    let pcapng = PcapNgFile::new(false).interface(147, 0, &[]);
    let pcapng = pcapng.packet(0, 1, b"closed").packet(0, 2, b"closed");
    let unknown = file(&folder, "user0.pcapng", &pcapng.bytes);
    let document = reported_in_part(&unknown, "capture on an Ethernet or loopback interface");
    let error = document["capture"]["errors"][0].as_str().expect("an error");
    let what = "holds nothing that can be read, only 2 frames of other kinds: link type 147 (a \
                user's own) cannot be read";
    assert!(error.contains(what), "{error}");
    // With something that can be read beside it, they are counted.
    let mixed = pcapng
        .interface(101, 0, &[])
        .packet(1, 3, &TcpSegment::default().ip());
    let mixed = file(&folder, "mixed.pcapng", &mixed.bytes);
    let document = json(&good(report(&mixed, &["-o", "json"])));
    let expected = serde_json::json!([
        {"what": "link type 147 (a user's own)", "frames": 2, "may_hide": true},
    ]);
    assert_eq!(document["capture"]["not_read"], expected);
    assert_eq!(document["capture"]["unsupported_frames"], 2);
    let text = good(report(&mixed, &[]));
    let note = "2 frames are in an encapsulation that is not read, and what is inside stays unseen: \
                2 link type 147";
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(one_line.contains(note), "{text}");
}

#[test]
fn a_capture_in_another_format_is_named_with_the_command_that_converts_it() {
    let folder = folder();
    let hcidump = [&[9, 0, 1, 0][..], &[1; 4], &[2, 0, 0, 0], &[4; 9]].concat();
    let formats: [(&[u8], &str); 8] = [
        (b"snoop\0\0\0\0\0\0\x02\0\0\0\x04", "snoop"),
        (b"btsnoop\0\0\0\0\x01\0\0\x03\xea", "btsnoop"),
        (b"TRSNIFF data    \x1a", "Sniffer"),
        (b"XCP\x00002.002\0", "NetXRay"),
        (b"RTSS\x01\x01", "Network Monitor 1"),
        (b"GMBU\0\x02", "Network Monitor 2"),
        (b"\0\0\x02\0\x12\x05\0\x10", "K12"),
        (&hcidump, "HCIdump"),
    ];
    for (bytes, format) in formats {
        let other = file(&folder, "other.cap", bytes);
        let run = report(&other, &[]);
        let sentence = complaint(&run, &other, "`editcap -F pcapng IN OUT`");
        assert!(sentence.contains(format), "{sentence}");
        nothing_reported(&run);
    }
}

#[test]
fn what_is_not_read_is_said_by_its_name() {
    let folder = folder();
    let [from, to] = [CLIENT, SERVER];
    let frames = [
        wrap::in_ethernet(&wrap::ip(from, to, 50, &[1; 40])),
        wrap::in_ethernet(&wrap::ip(from, to, 50, &[1; 40])),
        wrap::ethernet(0x0806, &[0; 28]),
        TcpSegment::default().ethernet(),
    ];
    let pcap = frames.iter().fold(PcapFile::micros(), |pcap, frame| {
        pcap.record(1, 0, frame.len() as u32, frame)
    });
    let capture = file(&folder, "closed.pcap", &pcap.bytes);
    let text = good(report(&capture, &[]));
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for note in [
        "2 frames are in an encapsulation that is not read, and what is inside stays unseen: 2 ESP",
        "1 frame is no TCP: 1 ARP",
    ] {
        assert!(one_line.contains(note), "{text}");
    }
}

/// What came before the bad place is reported all the same, in the report it is said to be
/// incomplete, and the status is 1.
fn reported_in_part(bad: &Path, next_step: &str) -> Value {
    let run = report(bad, &["-o", "json"]);
    let sentence = complaint(&run, bad, next_step);
    let document = json(&run.out);
    assert_eq!(document["capture"]["complete"], false);
    assert_eq!(document["capture"]["errors"][0], sentence);
    let text = report(bad, &[]);
    assert_eq!(text.status, Some(1));
    assert!(text.out.contains("incomplete: "), "{}", text.out);
    document
}

/// What is there of a capture when copying it was interrupted.
fn first_half(folder: &TempDir, name: &str) -> PathBuf {
    let bytes = fs::read(capture(name)).expect("a capture");
    file(
        folder,
        &format!("half-of-{name}"),
        &bytes[..bytes.len() / 2],
    )
}

#[test]
fn a_truncated_file_is_reported_up_to_where_it_ends() {
    let folder = folder();
    // All on one connection, one after the other.
    let whole = json(&good(report(&capture("early-hints.pcap"), &["-o", "json"])));
    let cut = first_half(&folder, "early-hints.pcap");
    let document = reported_in_part(&cut, "get the whole of it and try again");
    let (some, all) = (exchanges(&document), exchanges(&whole));
    assert!(some.len() > 1 && some.len() < all.len(), "{document}");
    // The last one may have lost its answer.
    let settled = some.len() - 1;
    assert_eq!(some[..settled], all[..settled]);
}

#[test]
fn a_truncated_gzip_file_is_reported_up_to_where_it_ends() {
    let folder = folder();
    let cut = first_half(&folder, "tutorial-envoy.pcap.gz");
    let document = reported_in_part(&cut, "get the whole of it and try again");
    assert!(
        document["capture"]["frames"].as_u64() > Some(3),
        "{document}"
    );
}

/// A good pcap file, and after it a record that claims to be this long.
fn hostile(folder: &TempDir, length: u32) -> PathBuf {
    let mut bytes = fs::read(capture("tls.pcap")).expect("a capture");
    for field in [0, 0, length, length] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend([0; 64]);
    file(folder, &format!("hostile-{length}.pcap"), &bytes)
}

#[test]
fn a_hostile_record_length_ends_the_file_and_nothing_else() {
    let folder = folder();
    let good = json(&good(report(&capture("tls.pcap"), &["-o", "json"])));
    for length in [u32::MAX, 0x7fff_ffff, 0x0fff_ffff] {
        let document = reported_in_part(&hostile(&folder, length), "apture again");
        for count in ["frames", "connections"] {
            assert_eq!(document["capture"][count], good["capture"][count]);
        }
        assert_eq!(document["exchanges"], good["exchanges"]);
    }
    let mut bytes = fs::read(capture("pcapng-comments.pcapng")).expect("a capture");
    for field in [6, 0xffff_fff0_u32] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend([0; 64]);
    let hostile = file(&folder, "hostile.pcapng", &bytes);
    let document = reported_in_part(&hostile, "apture again");
    assert_eq!(exchanges(&document).len(), 7);
}

/// Why `sentence` is not one that says a thing once; `None` if it is.
fn fault(sentence: &str) -> Option<String> {
    let mut ends = sentence.split(". ").skip(1);
    if ends.any(|rest| rest.starts_with(char::is_uppercase)) {
        return Some("more than one sentence".into());
    }
    let long = |part: &&str| part.len() > 20;
    let parts: Vec<_> = sentence.split(": ").filter(long).collect();
    let repeated = |&(at, part): &(usize, &&str)| parts[..at].contains(part);
    let found = parts.iter().enumerate().find(repeated);
    found.map(|(_, part)| format!("“{part}” is said twice"))
}

/// Printed once, as one plain sentence.
#[test]
fn every_complaint_is_one_sentence() {
    let folder = folder();
    let bad = [
        file(&folder, "notes.txt", b"dear diary, today I met a pcap\n"),
        file(&folder, "empty.pcap", b""),
        folder.path().to_owned(),
        folder.path().join("missing.pcap"),
        of_unknown_link(&folder),
        first_half(&folder, "early-hints.pcap"),
        first_half(&folder, "tutorial-envoy.pcap.gz"),
        hostile(&folder, u32::MAX),
    ];
    let mut faults = Vec::new();
    for bad in &bad {
        let run = report(bad, &[]);
        let sentence = complaint(&run, bad, "");
        faults.extend(fault(sentence).map(|fault| format!("{fault}: {sentence}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
