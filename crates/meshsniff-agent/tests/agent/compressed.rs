//! What `--compress` sends: frames of zstd that end where the traffic pauses, read by the plugin's
//! own reader and by zstd's.

use crate::http::Pod;
use crate::netns::Netns;
use crate::program::{Program, json, lines, rest};
use crate::stream::Stream;
use crate::tools::{END, FOR_EVER};
use meshsniff::stream::{Event, StreamReader};
use std::io::Read;
use std::sync::mpsc;
use std::thread;

fn capture(netns: &Netns, more: &[&str]) -> Program {
    netns.ready("capture", &[&["--compress"], more].concat())
}

/// zstd's own decoder.
fn decompressed(pipe: impl Read + Send + 'static) -> impl Read + Send + 'static {
    zstd::stream::read::Decoder::new(pipe).expect("a decoder")
}

/// The plugin's decoder keeps the rest of an open frame back: that nothing is missing before the
/// next packet shows that the frame was ended.
#[test]
fn packets_of_a_quiet_target_come_at_once() {
    let Some(pod) = Pod::new() else {
        return;
    };
    let mut program = capture(&pod, &[]);
    let stdout = program.stdout();
    let (sender, came) = mpsc::channel();
    let reading = thread::spawn(move || {
        let mut reader = StreamReader::new(stdout);
        while let Some(event) = reader.next() {
            if let Event::Packet { data, .. } = event.expect("a stream") {
                let _ = sender.send(data.to_vec());
            }
        }
        (reader.end().cloned(), reader.packets())
    });
    let mut client = pod.client();
    for number in 0..3 {
        let path = format!("/request-number-{number}");
        assert_eq!(client.get(&path), 200);
        let holds = |packet: &[u8], what: &str| {
            let mut places = packet.windows(what.len());
            places.any(|place| place == what.as_bytes())
        };
        loop {
            let packet = came.recv_timeout(FOR_EVER).expect("the request");
            if holds(&packet, &path) {
                break;
            }
        }
    }
    program.tell("stop");
    let last = program.end(END).last();
    let (end, packets) = reading.join().expect("a reader");
    let end = end.expect("an end");
    assert_eq!(
        (end.reason.as_str(), &last["reason"]),
        ("stop", &"stop".into())
    );
    assert_eq!(end.sentence, "it was asked to stop");
    assert_eq!(last["packets"], packets);
}

/// Packing under load takes memory: the system calls for that are still allowed.
#[test]
fn much_traffic_is_compressed_and_whole() {
    let Some(pod) = Pod::new() else {
        return;
    };
    let mut program = capture(&pod, &[]);
    let stream = Stream::read(decompressed(program.stdout()));
    let mut client = pod.client();
    for _ in 0..200 {
        assert_eq!(client.get("/bytes/70000"), 200);
    }
    drop(client);
    stream.wait("the traffic", |capture| capture.settled(1));
    let capture = program.stop(stream);
    assert!(capture.bytes.len() > 200 * 70_000);
}

#[test]
fn a_size_is_that_of_the_decompressed_stream() {
    const SIZE: usize = 200_000;
    let Some(pod) = Pod::new() else {
        return;
    };
    let mut program = capture(&pod, &["--size", &SIZE.to_string()]);
    let stream = Stream::read(decompressed(program.stdout()));
    let mut client = pod.client();
    for _ in 0..6 {
        assert_eq!(client.get("/bytes/70000"), 200);
    }
    let (_, capture) = program.ends_by("size", stream);
    // All but the last block's worth of it, and the statistics at the end.
    let bytes = capture.bytes.len();
    assert!((SIZE - 80_000..SIZE + 1_000).contains(&bytes), "{bytes}");
}

#[test]
fn lines_of_a_report_come_at_once() {
    let Some(pod) = Pod::new() else {
        return;
    };
    let mut program = pod.ready("report", &["--compress"]);
    let coming = lines(decompressed(program.stdout()));
    let mut client = pod.client();
    assert_eq!(client.get("/busy"), 503);
    loop {
        let line = coming.recv_timeout(FOR_EVER).expect("the exchange");
        if json(&line)["status"] == 503 {
            break;
        }
    }
    program.tell("stop");
    assert!(program.end(END).status.success());
    let last = rest(&coming).pop().expect("a line");
    assert_eq!(json(&last)["type"], "summary");
}
