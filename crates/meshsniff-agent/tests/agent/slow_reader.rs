//! What is lost where: in the kernel because the agent is too slow, or behind it because its reader
//! is. Nothing is lost uncounted: what was delivered and what was lost are what tcpdump saw.

use crate::http::Pod;
use crate::program::Program;
use crate::stream::Stream;
use crate::tcpdump::Tcpdump;
use crate::tools::{IP, TCPDUMP, can, wait_until};
use nix::sys::signal::Signal;
use std::fs;

/// Far more than waits for a reader in the pipe and in the smallest queue.
const RESPONSES: usize = 60;

/// Closes at its end, as `settled` waits for.
fn flood(pod: &Pod) {
    let mut client = pod.client();
    for _ in 0..RESPONSES {
        client.get("/bytes/100000");
    }
}

/// Waits until the thread of this name has taken all that the kernel has, as it sleeps for longer
/// than a block may wait.
fn has_taken_all(program: &Program, name: &str) {
    let mut asleep = 0;
    wait_until("it has nothing to do", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", program.id())).expect("threads");
        let sleeps = tasks.flatten().any(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.contains(&format!(" ({name}) S "))
        });
        asleep = if sleeps { asleep + 1 } else { 0 };
        asleep > 40
    });
}

#[test]
fn what_a_slow_reader_loses_is_counted() {
    if !can(&[IP, TCPDUMP]) {
        return;
    }
    let pod = Pod::start();
    let theirs = Tcpdump::start(&pod, "lo", "tcp");
    let mut program = pod.ready("capture", &["-f", "tcp", "--queue-size", "64"]);
    let unread = program.stdout();
    flood(&pod);
    theirs
        .stream
        .wait("the traffic", |capture| capture.settled(1));
    let seen = theirs.stop().packets.len() as u64;
    // It is said while it goes on.
    let losing = program.hears("drops");
    assert_eq!(losing["kernel_dropped"], 0, "{losing}");
    assert!(losing["queue_dropped"].as_u64() > Some(0), "{losing}");
    has_taken_all(&program, "capture");
    program.tell("stop");
    let (last, capture) = program.ends_by("stop", Stream::read(unread));
    let statistics = capture.statistics.last().expect("statistics");
    assert_eq!(statistics.delivered, capture.packets.len() as u64);
    assert_eq!(statistics.kernel_dropped, 0);
    assert!(statistics.queue_dropped > 0, "{statistics:?}");
    assert_eq!(statistics.delivered + statistics.queue_dropped, seen);
    assert_eq!(statistics.received, seen);
    assert_eq!(last["kernel_dropped"], 0);
    assert_eq!(last["queue_dropped"], statistics.queue_dropped);
    assert_eq!(last["packets"], statistics.delivered);
    let message = last["message"].as_str().expect("a sentence");
    let lost = format!(
        "0 packets were lost in the kernel and {} packets because the stream was not read fast enough",
        statistics.queue_dropped
    );
    assert!(message.contains(&lost), "{message}");
}

#[test]
fn what_the_kernel_loses_is_counted_apart() {
    if !can(&[IP, TCPDUMP]) {
        return;
    }
    let pod = Pod::start();
    let theirs = Tcpdump::start(&pod, "lo", "tcp");
    let (mut program, stream) = pod.capture(&["-f", "tcp", "-B", "256"]);
    stream.wait("the header", |capture| !capture.interfaces.is_empty());
    program.signal(Signal::SIGSTOP);
    wait_until("every thread is stopped", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", program.id())).expect("threads");
        tasks.flatten().all(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            let state = stat
                .rsplit(") ")
                .next()
                .and_then(|rest| rest.chars().next());
            state == Some('T')
        })
    });
    flood(&pod);
    theirs
        .stream
        .wait("the traffic", |capture| capture.settled(1));
    let seen = theirs.stop().packets.len() as u64;
    program.tell("stop");
    program.signal(Signal::SIGCONT);
    let (last, capture) = program.ends_by("stop", stream);
    let statistics = capture.statistics.last().expect("statistics");
    assert_eq!(statistics.delivered, capture.packets.len() as u64);
    assert_eq!(statistics.queue_dropped, 0);
    assert!(statistics.kernel_dropped > 0, "{statistics:?}");
    assert_eq!(statistics.delivered + statistics.kernel_dropped, seen);
    assert_eq!(last["kernel_dropped"], statistics.kernel_dropped);
    assert_eq!(last["queue_dropped"], 0);
}

/// The same for a report: its reader is slow, and what the report says of itself must say so.
#[test]
fn what_a_slow_reader_of_a_report_loses_is_counted() {
    if !can(&[IP, TCPDUMP]) {
        return;
    }
    let pod = Pod::start();
    let mut program = pod.ready("report", &["-f", "tcp", "--queue-size", "64", "--all"]);
    let unread = program.stdout();
    let exchanges = 600;
    let mut client = pod.client();
    for number in 0..exchanges {
        client.get(&format!("/{number}{}", "x".repeat(200)));
    }
    drop(client);
    has_taken_all(&program, "report");
    program.tell("stop");
    let lines = crate::program::lines(unread);
    let ended = program.end(crate::tools::END);
    let lines = crate::program::rest(&lines);
    let told = lines
        .iter()
        .filter(|line| line.contains(r#""type":"exchange""#));
    let told = told.count();
    let last = ended.last();
    assert_eq!(last["reason"], "stop");
    let summary = lines.last().map(|line| crate::program::json(line));
    let summary = summary.expect("a line");
    assert_eq!(summary["type"], "summary", "what is small must not be lost");
    assert_eq!(summary["exchanges"], exchanges);
    let lost = last["queue_dropped"].as_u64().expect("a count");
    assert!(told < exchanges, "its reader was not slow enough");
    assert_eq!(told as u64 + lost, exchanges as u64, "{last}");
    let errors = lines.iter().map(|line| crate::program::json(line));
    let errors = errors.filter(|line| line["type"] == "capture");
    let errors: Vec<_> = errors.map(|mut line| line["errors"].take()).collect();
    let expected = format!(
        "{lost} lines were lost because the report was not read fast enough: the sums count what they told"
    );
    assert_eq!(errors, [serde_json::json!([expected])]);
}
